//! What is asked of the key service: it has no route, no upstream and no caller, and its bodies are read here.

use super::answer::Source;
use super::cors::Told;
use super::outcome::Stopped;
use super::refusal::Refusal;
use super::reload::Settings;
use super::{Ending, Gateway, together};
use crate::clock::Now;
use crate::forward::body::{self, BodyError};
use crate::mint::{self, Door, InForce, MAX_BODY, No, NoDoor, Reason};
use crate::replay;
use crate::route::NoRoute;
use crate::server::{Peer, RequestBody};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use http::{Method, Response};
use serde_json::json;

/// A request for the key service.
pub(super) struct Asked {
    door: Door,
    parts: Box<Parts>,
}

/// How long whoever checks tokens may keep the keys: a new one is told before it signs.
const KEEP_KEYS: HeaderValue = HeaderValue::from_static("public, max-age=300");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const KEY_SET: HeaderValue = HeaderValue::from_static("application/jwk-set+json");

/// Whether a request is for the key service; `None` where it is for a route.
pub(super) fn door(settings: &Settings, parts: &Parts) -> Option<Result<Door, Refusal>> {
    let minting = settings.minting.as_ref()?;
    let door = minting.door(&parts.method, parts.uri.path())?;
    Some(door.map_err(|no| {
        Refusal::Route(match no {
            NoDoor::Path => NoRoute::NotFound,
            NoDoor::Method(methods) => NoRoute::MethodNotAllowed(methods.to_vec()),
        })
    }))
}

/// Which door a preflight asks about, for a request with the method that is `asked`; `None` where it is for a route.
pub(super) fn door_of_preflight(
    settings: &Settings,
    asked: &HeaderValue,
    path: &str,
) -> Option<Result<Door, NoDoor>> {
    let minting = settings.minting.as_ref()?;
    let method = Method::from_bytes(asked.as_bytes()).ok()?;
    minting.door(&method, path)
}

impl Asked {
    pub(super) const fn new(door: Door, parts: Box<Parts>) -> Self {
        Self { door, parts }
    }
}

impl Gateway {
    /// Answers it, and tells pages whether they may read that.
    pub(super) async fn mint(
        &self,
        settings: &Settings,
        peer: &Peer,
        asked: Asked,
        body: RequestBody,
        ending: &mut Ending,
        now: Now,
    ) -> Result<Response<()>, Box<Stopped>> {
        let told = Told::of_minting(settings, &asked.parts.headers);
        let answered = self.answer_asked(settings, peer, asked, body, ending, now);
        match answered.await {
            Ok(mut response) => {
                told.tell(response.headers_mut());
                Ok(response)
            }
            Err(mut stopped) => {
                told.tell(&mut stopped.asks);
                Err(stopped)
            }
        }
    }

    async fn answer_asked(
        &self,
        settings: &Settings,
        peer: &Peer,
        asked: Asked,
        body: RequestBody,
        ending: &mut Ending,
        now: Now,
    ) -> Result<Response<()>, Box<Stopped>> {
        let Some(minting) = &settings.minting else {
            return Err(Refusal::Route(NoRoute::NotFound).into());
        };
        let service = &self.shared.minting;
        // Before anything is read: strangers pay for what they ask.
        let admitted = service.admit(minting, peer.address, now);
        admitted.map_err(Refusal::Mint)?;
        if asked.door == Door::Keys {
            let keys = service.keys(&settings.registry, now);
            let is_head = asked.parts.method == Method::HEAD;
            return Ok(answered(ending, keys, is_head, KEY_SET, KEEP_KEYS));
        }
        is_json(&asked.parts)?;
        let _undecided = self.shared.undecided.one();
        let held = body::hold(body, MAX_BODY as u64, peer.address).await;
        let held = held.map_err(|error| match error {
            // No route's limit, and no proof that would need it.
            BodyError::NotHeld { limit } => Refusal::from(BodyError::TooLarge { limit }),
            error => error.into(),
        })?;
        // It may have taken its time to come.
        let now = self.shared.clock.later(now);
        let answer = match asked.door {
            Door::Challenge => service.challenge(&held.bytes, &settings.tokens, now),
            Door::Enrol => self.enrol(&held.bytes, peer, ending, now).await,
            Door::Token | Door::Keys => {
                self.token(settings, minting, &held.bytes, peer, ending, now)
                    .await
            }
        };
        let answer = answer.map_err(|no| Box::<Stopped>::from(Refusal::Mint(no)))?;
        Ok(answered(ending, answer, false, JSON, NO_STORE))
    }

    /// A token, once it is written down what was used up for it.
    async fn token(
        &self,
        settings: &Settings,
        minting: &mint::Settings,
        body: &[u8],
        peer: &Peer,
        ending: &mut Ending,
        now: Now,
    ) -> Result<Bytes, No> {
        let memory = &*self.shared.memory;
        let judged = self.shared.minting.judge(
            body,
            InForce {
                settings: minting,
                registry: &settings.registry,
                tokens: &settings.tokens,
                memory,
                peer: peer.address,
                now,
            },
        )?;
        let record = ending.record();
        record.instance = judged.instance;
        match &judged.made {
            Ok(key) => {
                record.app = Some(judged.app);
                record.key = Some(key.id.clone());
            }
            // For whoever keeps the gateway: the caller is told nothing of it.
            Err(why) => {
                record.reason = Some(format!("decoy: {} (app {})", why.name(), judged.app).into());
            }
        }
        together::others_first().await;
        memory.write_down(judged.unwritten).map_err(No::Memory)?;
        Ok(judged.body)
    }
}

impl Gateway {
    /// An instance, once it is written down for good.
    async fn enrol(
        &self,
        body: &[u8],
        peer: &Peer,
        ending: &mut Ending,
        now: Now,
    ) -> Result<Bytes, No> {
        let service = &self.shared.minting;
        let enrolling = service.enrolling(body)?;
        let Some(store) = service.store().cloned() else {
            return Err(No::Rejected(Reason::UnknownCode));
        };
        let who = match peer.address {
            Some(address) => format!("peer:{address}"),
            None => "peer:unix".to_owned(),
        };
        let at = now.unix_seconds();
        // It waits for the disk, and this thread has others to answer.
        let done = tokio::task::spawn_blocking(move || {
            let done = enrolling.carry_out(&*store, &who, at);
            done.map(|()| enrolling)
        });
        let enrolled = done
            .await
            .unwrap_or(Err(No::Memory(replay::Refused::Unavailable)))?;
        let record = ending.record();
        record.app = Some(enrolled.app().into());
        record.instance = Some(enrolled.id().into());
        Ok(json!({ "instance": enrolled.id() }).to_string().into())
    }
}

/// A body that a page of another origin could send without being asked is none of ours.
fn is_json(parts: &Parts) -> Result<(), Box<Stopped>> {
    let kind = parts.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let kind = kind.map(|kind| kind.split(|byte| *byte == b';').next().unwrap_or(kind));
    if kind.is_some_and(|kind| kind.trim_ascii().eq_ignore_ascii_case(b"application/json")) {
        return Ok(());
    }
    let malformed = "`Content-Type` is not `application/json`.".to_owned();
    Err(Refusal::Mint(No::Malformed(mint::Malformed(malformed))).into())
}

fn answered(
    ending: &mut Ending,
    body: Bytes,
    is_head: bool,
    kind: HeaderValue,
    keep: HeaderValue,
) -> Response<()> {
    let length = HeaderValue::from(body.len());
    if !is_head {
        ending.carry(Source::whole(body));
    }
    let mut response = Response::new(());
    let fields = response.headers_mut();
    fields.insert(CONTENT_TYPE, kind);
    fields.insert(CACHE_CONTROL, keep);
    if is_head {
        fields.insert(CONTENT_LENGTH, length);
    }
    response
}
