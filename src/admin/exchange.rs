//! One request on the admin listener, and its answer.

use super::api::{self, Answer, Asked, Code, MAX_BODY, Problem};
use super::exposition::Form;
use super::places::Place;
use super::{Probe, Served};
use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderValue, RETRY_AFTER,
    WWW_AUTHENTICATE,
};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::spawn_blocking;
use tokio::time::{interval, timeout};

/// How long workers have to show that they live: less than the second that whoever asks has patience for.
const PATIENCE: Duration = Duration::from_millis(800);
/// How often it is looked whether refusals are to be told.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a body may take.
const BODY_TIME: Duration = Duration::from_secs(10);

/// Answers one request of `peer`, which over a Unix socket has no address. Its connection may lose its `place` while
/// its body is awaited.
pub(super) async fn answer(
    served: &Served,
    peer: Option<IpAddr>,
    request: Request<Incoming>,
    place: &Arc<Place>,
) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    let has_api = !served.guard.is_off();
    if has_api && api::is_of_api(path) {
        let answer = call(served, peer, request, place).await;
        return written(answer.unwrap_or_else(Answer::from));
    }
    let _kept = place.answering();
    let (parts, _body) = request.into_parts();
    tell(&parts, &*served.probe, has_api).await
}

/// Whether requests can be served, by what is known, and by each worker that is asked.
async fn ready(probe: &dyn Probe) -> Result<(), String> {
    probe.ready()?;
    let Some(workers) = probe.workers() else {
        return Ok(());
    };
    match workers.silent(PATIENCE).await {
        Some(worker) => Err(format!("worker {worker} does not answer")),
        None => Ok(()),
    }
}

async fn call(
    served: &Served,
    peer: Option<IpAddr>,
    request: Request<Incoming>,
    place: &Arc<Place>,
) -> Result<Answer, Problem> {
    let (parts, body) = request.into_parts();
    let is_open = api::is_open(parts.uri.path());
    let who = if is_open {
        api::Who::anyone()
    } else {
        let entered = served.guard.enter(&parts.headers, served.desk.now());
        entered.inspect_err(|problem| {
            let who = peer.map_or("unix".to_owned(), |peer| format!("peer:{peer}"));
            note(served, &who, problem.code);
        })?
    };
    let body = if is_open {
        // Nobody wants one.
        Bytes::new()
    } else {
        read(&parts, body).await?
    };
    let _kept = place.answering();
    let desk = served.desk.clone();
    let name = who.name.clone();
    // It may wait for the disk, and this thread tells whether we live.
    let answered = spawn_blocking(move || {
        let asked = Asked {
            method: &parts.method,
            path: parts.uri.path(),
            query: parts.uri.query(),
            fields: &parts.headers,
            body: &body,
        };
        api::answer(&*desk, &who, &asked)
    });
    let answer = answered
        .await
        .map_err(|_| Problem::new(Code::Internal, "the gateway failed while it answered this"))?;
    if answer.status == Code::RoleTooLow.status() {
        note(served, &name, Code::RoleTooLow);
    }
    Ok(answer)
}

/// Lets the audit tell of a refusal. Waits for nothing.
fn note(served: &Served, who: &str, code: Code) {
    let line = served.guard.line(who, code, served.desk.now());
    if let (Some(line), Some(store)) = (line, served.desk.store()) {
        store.note(line);
    }
}

/// Lets the audit tell now and then of refusals that no further one told. Never ends.
pub(super) async fn tell_refusals(served: &Served) {
    let mut look = interval(LOOK_EVERY);
    loop {
        look.tick().await;
        if let Some(store) = served.desk.store() {
            let due = served.guard.due(served.desk.now());
            for line in due {
                store.note(line);
            }
        }
    }
}

async fn read(parts: &Parts, body: Incoming) -> Result<Bytes, Problem> {
    let too_large = || {
        Problem::new(Code::TooLarge, "the body has more than 64 KiB")
            .hint("nothing that the API takes is larger")
    };
    let length = parts.headers.get(CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > MAX_BODY as u64) {
        return Err(too_large());
    }
    let collected = timeout(BODY_TIME, Limited::new(body, MAX_BODY).collect()).await;
    match collected {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(why)) if why.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Problem::new(Code::Malformed, "the body broke off")),
        Err(_) => Err(Problem::new(
            Code::Timeout,
            "the body was not there after 10 seconds",
        )),
    }
}

/// An answer of the API as HTTP.
fn written(answer: Answer) -> Response<Full<Bytes>> {
    let kind = if answer.is_problem {
        "application/problem+json"
    } else {
        "application/json"
    };
    let mut text = format!("{:#}", answer.body);
    text.push('\n');
    let mut response = of(answer.status, kind, text);
    let fields = response.headers_mut();
    for (name, value) in [
        (ETAG, answer.etag),
        (ALLOW, answer.allow),
        (
            RETRY_AFTER,
            answer.retry_after.map(|after| after.to_string()),
        ),
    ] {
        if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
            fields.insert(name, value);
        }
    }
    if answer.status == StatusCode::UNAUTHORIZED {
        fields.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// What is told to whoever asks.
async fn tell(parts: &Parts, probe: &dyn Probe, has_api: bool) -> Response<Full<Bytes>> {
    let (method, path) = (&parts.method, parts.uri.path());
    let known = matches!(path, "/livez" | "/readyz" | "/metrics");
    if known && method != Method::GET && method != Method::HEAD {
        let mut refusal = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        let allowed = HeaderValue::from_static("GET, HEAD");
        refusal.headers_mut().insert(ALLOW, allowed);
        return refusal;
    }
    match path {
        "/livez" => text(StatusCode::OK, "ok\n"),
        "/readyz" => match ready(probe).await {
            Ok(()) => text(StatusCode::OK, "ready\n"),
            Err(why) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
        },
        "/metrics" => {
            let form = Form::asked_for(&parts.headers);
            of(StatusCode::OK, form.media_type(), form.of(probe.metrics()))
        }
        _ if has_api => text(
            StatusCode::NOT_FOUND,
            "only /livez, /readyz, /metrics and the API are here: /v1/openapi.json lists what it has\n",
        ),
        _ => text(
            StatusCode::NOT_FOUND,
            "only /livez, /readyz and /metrics are here\n",
        ),
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    of(status, "text/plain; charset=utf-8", body)
}

fn of(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let fields = response.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
