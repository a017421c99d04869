//! Where the admin API is, and one call of it.

use super::offline::{Aim, Kept, Offline, UNTIL_RESTART, in_turn};
use super::{Where, part, with_a_way_past};
use crate::admin;
use crate::admin::api::{self, Asked, Code};
use crate::cli::message::{Message, Source, without_user};
use crate::cli::send;
use crate::cli::skim::skimmed;
use crate::cli::stop::Stop;
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::secret::Secret;
use crate::server::Listen;
use crate::store::registry::LOOK_AGAIN;
use anyhow::Result;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, ETAG, HOST, HeaderMap, HeaderValue, IF_MATCH};
use http::{Method, Uri};
use rustls::ClientConfig;
use serde_json::Value as Json;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpStream, UnixStream};

/// How long an answer may take, and all that comes before it.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long a knock may take while a registry is waited for: whoever listens on this machine takes it at once.
const GLANCE: Duration = Duration::from_millis(250);
/// Bytes of an answer that are read: far more than a page has.
const MAX_ANSWER: usize = 64 << 20;

/// Who answers.
pub(super) enum Reach {
    /// A gateway that runs.
    Gateway(Box<Gateway>),
    /// Nobody runs: we, with the same code.
    Here(Box<Offline>),
}

/// A gateway that runs.
pub(super) struct Gateway {
    place: Place,
    bearer: HeaderValue,
}

enum Place {
    Url(Uri, Option<Arc<ClientConfig>>),
    Unix(PathBuf),
}

/// A call of the API.
pub(super) struct Call<'a> {
    method: Method,
    path: &'a str,
    query: String,
    if_match: Option<&'a str>,
    body: Option<Json>,
}

/// What was answered, and is no problem.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) body: Json,
    /// How the thing is tagged that it shows.
    pub(super) etag: Option<String>,
}

impl<'a> Call<'a> {
    /// To look.
    pub(super) fn get(path: &'a str, query: &[(&str, &str)]) -> Self {
        Self::new(Method::GET, path, query)
    }

    /// To do something.
    pub(super) fn new(method: Method, path: &'a str, query: &[(&str, &str)]) -> Self {
        let pairs = query
            .iter()
            .map(|(name, value)| format!("{name}={}", part(value)));
        Self {
            method,
            path,
            query: pairs.collect::<Vec<_>>().join("&"),
            if_match: None,
            body: None,
        }
    }

    /// Adds a body.
    pub(super) fn with(mut self, body: Json) -> Self {
        self.body = Some(body);
        self
    }

    /// Says of which revision it is.
    pub(super) const fn matching(mut self, tag: &'a str) -> Self {
        self.if_match = Some(tag);
        self
    }

    fn fields(&self) -> Result<HeaderMap> {
        let mut fields = HeaderMap::new();
        if self.body.is_some() {
            let json = HeaderValue::from_static("application/json");
            fields.insert(CONTENT_TYPE, json);
        }
        if let Some(tag) = self.if_match {
            let tag =
                HeaderValue::from_str(tag).map_err(|_| Stop::usage("`--if-match` is no `ETag`"))?;
            fields.insert(IF_MATCH, tag);
        }
        Ok(fields)
    }

    fn content(&self) -> Vec<u8> {
        let body = self.body.as_ref();
        body.map_or_else(Vec::new, |body| body.to_string().into_bytes())
    }
}

impl Reach {
    /// Finds who answers, to look.
    pub(super) fn find(at: &Where) -> Result<Self> {
        Self::found(at, Aim::Look)
    }

    /// Finds who answers, to change something, or on a dry run to try it out.
    pub(super) fn to_change(at: &Where, dry_run: bool) -> Result<Self> {
        Self::found(at, if dry_run { Aim::Try } else { Aim::Change })
    }

    fn found(at: &Where, aim: Aim) -> Result<Self> {
        if let Some(url) = &at.admin {
            let place = place(url, at.cacert.as_deref())?;
            let bearer = match &at.token_file {
                Some(file) => bearer(&read_token(file)?)?,
                None => bearer(&configured_token(&at.config)?)?,
            };
            return Ok(Self::Gateway(Box::new(Gateway { place, bearer })));
        }
        let settings = skimmed(&at.config).map_err(with_a_way_past)?.admin;
        let refused = match answering(&settings, PATIENCE) {
            Ok(place) => return Self::gateway(at, place, &settings),
            Err(why) => why,
        };
        // But for a change nothing is made: neither the registry nor its master key.
        let loaded = match aim {
            Aim::Look | Aim::Try => Config::check(&at.config),
            // Nor for one that ends here: all that is wrong is told before.
            Aim::Change => Config::check(&at.config).and_then(|_| Config::load(&at.config)),
        };
        let loaded = loaded.map_err(|report| Stop::bad_config(&report))?;
        let kept = Kept::of(loaded.config.registry.as_ref(), aim)?;
        let open = || Offline::open(&loaded.config, &kept).map(|one| Self::Here(Box::new(one)));
        let look = || {
            std::thread::sleep(LOOK_AGAIN);
            answering(&settings, GLANCE).map(|place| Self::gateway(at, place, &settings))
        };
        in_turn(&Clock::system(), refused, open, look)
    }

    fn gateway(at: &Where, place: &Listen, settings: &admin::Settings) -> Result<Self> {
        let token = match (&at.token_file, &settings.token) {
            (Some(file), _) => read_token(file)?,
            (None, Some(reference)) => open_token(&at.config, reference)?,
            (None, None) => {
                return Err(Stop::failed("a gateway runs, and its admin API is off: `[admin] token`")
                    .hint("take `token = \"off\"` out of the configuration and restart it, or stop it and run this again")
                    .into());
            }
        };
        let place = match place {
            Listen::Tcp(address) => Place::Url(format!("http://{address}").parse()?, None),
            Listen::Unix(path) => Place::Unix(path.clone()),
        };
        let bearer = bearer(&token)?;
        Ok(Self::Gateway(Box::new(Gateway { place, bearer })))
    }

    /// Calls it.
    pub(super) fn ask(&self, call: &Call<'_>) -> Result<Reply> {
        let (status, etag, body) = match self {
            Self::Gateway(gateway) => gateway.ask(call)?,
            Self::Here(offline) => {
                let (fields, content) = (call.fields()?, call.content());
                let asked = Asked {
                    method: &call.method,
                    path: call.path,
                    query: Some(&call.query),
                    fields: &fields,
                    body: &content,
                };
                let answer = api::answer(&**offline, &offline.who(), &asked);
                if offline.is_unmade() && answer.body["code"] == Code::Off.word() {
                    return Err(Stop::failed("no registry has been made yet, so it holds nothing")
                        .hint("the gateway makes it when it starts, as does `portcullis app create`")
                        .into());
                }
                (answer.status.as_u16(), answer.etag, answer.body)
            }
        };
        if (200..300).contains(&status) {
            return Ok(Reply { body, etag });
        }
        Err(refused(status, &body).into())
    }
}

impl Gateway {
    fn ask(&self, call: &Call<'_>) -> Result<(u16, Option<String>, Json)> {
        let mut fields = call.fields()?;
        fields.insert(AUTHORIZATION, self.bearer.clone());
        let target = match call.query.as_str() {
            "" => call.path.to_owned(),
            query => format!("{}?{query}", call.path),
        };
        let base = match &self.place {
            Place::Url(uri, _) => uri.to_string(),
            Place::Unix(_) => {
                fields.insert(HOST, HeaderValue::from_static("localhost"));
                "http://localhost".to_owned()
            }
        };
        let message = Message {
            method: call.method.clone(),
            uri: format!("{}{target}", base.trim_end_matches('/')).parse()?,
            fields,
            body: Bytes::from(call.content()),
            source: Source::Inline,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let exchanged = tokio::time::timeout(PATIENCE, self.exchange(&message));
            exchanged.await.map_err(|_| {
                Stop::failed("the gateway did not answer in a minute")
                    .hint("whether the change was made is not known: look before you ask again")
            })?
        })
    }

    async fn exchange(&self, message: &Message) -> Result<(u16, Option<String>, Json)> {
        let mut response = match &self.place {
            Place::Url(_, tls) => send::send_to_admin(message, tls.as_ref()).await?,
            Place::Unix(path) => {
                let stream = UnixStream::connect(path).await.map_err(|why| {
                    Stop::failed(format!(
                        "`unix:{}` cannot be reached: {why}",
                        path.display()
                    ))
                })?;
                send::exchange(stream, send::request(message, &[])?).await?
            }
        };
        let (bytes, more) = send::collect(response.body_mut(), MAX_ANSWER).await?;
        let body = serde_json::from_slice(&bytes).ok().filter(|_| !more);
        let body = body.ok_or_else(|| {
            Stop::failed(format!(
                "what answers there is no admin API: {}",
                response.status()
            ))
            .hint("is it another program, or a gateway whose `[admin] token` is off?")
        })?;
        let etag = response.headers().get(ETAG);
        let etag = etag
            .and_then(|etag| etag.to_str().ok())
            .map(ToOwned::to_owned);
        Ok((response.status().as_u16(), etag, body))
    }
}

/// Where a gateway answers within `patience`, or why none does.
fn answering(settings: &admin::Settings, patience: Duration) -> Result<&Listen, String> {
    let Some(place) = &settings.listen else {
        return Err("`[admin] listen` is off".to_owned());
    };
    match knock(place, patience) {
        Ok(()) => Ok(place),
        Err(why) => Err(format!(
            "its admin API at `{place}` cannot be reached: {why}"
        )),
    }
}

/// Whether anybody listens there.
fn knock(place: &Listen, patience: Duration) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let knocked = async {
            match place {
                Listen::Tcp(address) => TcpStream::connect(address).await.map(drop),
                Listen::Unix(path) => UnixStream::connect(path).await.map(drop),
            }
        };
        tokio::time::timeout(patience, knocked).await?
    })
}

fn place(url: &str, authorities: Option<&Path>) -> Result<Place> {
    if let Some(path) = url.strip_prefix("unix:") {
        return Ok(Place::Unix(path.into()));
    }
    let bad = || {
        let shown = without_user(url);
        Stop::usage(format!("`{shown}` is not where an admin API can be"))
            .hint("`--admin http://127.0.0.1:9180`, `https://…` or `unix:PATH`")
    };
    let uri: Uri = url.parse().map_err(|_| bad())?;
    let bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
    let plain = uri.authority().is_some_and(|at| !at.as_str().contains('@'));
    if !matches!(uri.scheme_str(), Some("http" | "https")) || !bare || !plain {
        return Err(bad().into());
    }
    // The token goes where it is meant to go, or nowhere.
    send::destination(&uri)?;
    let tls = send::tls(&uri, authorities)?;
    Ok(Place::Url(uri, tls))
}

fn read_token(file: &Path) -> Result<Secret> {
    let shown = file.display();
    let bytes = std::fs::read(file)
        .map_err(|why| Stop::usage(format!("the token's file `{shown}` cannot be read: {why}")))?;
    Ok(Secret::new(bytes.trim_ascii_end().to_vec()))
}

/// The token that the configuration names, of a gateway that need not be the one it describes.
fn configured_token(path: &Path) -> Result<Secret> {
    if matches!(path.try_exists(), Ok(false)) {
        let shown = path.display();
        return Err(Stop::usage(format!(
            "a token is needed, and `{shown}`, which would name it, is not there"
        ))
        .hint("`--token-file FILE` names the token's file, `-c FILE` a configuration")
        .into());
    }
    match &skimmed(path)?.admin.token {
        Some(reference) => open_token(path, reference),
        None => Err(Stop::usage("a token is needed: `[admin] token` is off")
            .hint("`--token-file FILE` names one")
            .into()),
    }
}

fn open_token(config: &Path, reference: &str) -> Result<Secret> {
    config::admin_token(config, reference).map_err(|why| {
        Stop::failed(format!(
            "the token that `[admin] token` names cannot be had: {}",
            why.message
        ))
        .hint(format!(
            "run this as the gateway's user, or name a copy of it: `--token-file FILE`; {UNTIL_RESTART}"
        ))
        .into()
    })
}

fn bearer(token: &Secret) -> Result<HeaderValue> {
    let value = [b"Bearer ", token.expose()].concat();
    let mut value = HeaderValue::from_bytes(&value)
        .map_err(|_| Stop::usage("what the token's file holds is no token"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// What the API refuses, as a command tells it.
fn refused(status: u16, problem: &Json) -> Stop {
    let text = |name: &str| problem[name].as_str();
    let detail = text("detail").unwrap_or("the admin API refuses it");
    // A report on a configuration begins with the word with which what stops a command is told.
    let mut told = detail.strip_prefix("error: ").unwrap_or(detail).to_owned();
    let errors = problem["errors"].as_array().map_or(&[][..], Vec::as_slice);
    for error in errors {
        let at = error["at"].as_str().unwrap_or_default();
        let detail = error["detail"].as_str().unwrap_or_default();
        if errors.len() > 1 {
            let _ = write!(told, "\n  {at}: {detail}");
        }
        if let Some(accepted) = error["accepted"].as_str().filter(|text| !text.is_empty()) {
            let _ = write!(told, "\n  accepted: {accepted}");
        }
    }
    let stop = match status {
        400 | 422 => Stop::usage(told),
        _ => Stop::failed(told),
    };
    match text("hint") {
        Some(hint) => stop.hint(hint),
        None => stop,
    }
}
