//! What callers with a static key are told in every answer: that it is
//! deprecated (RFC 9745), and when it ends (RFC 8594); and the key that the upstream does not get.

use super::ending::Ending;
use crate::apps::{Registry, Scheme, StaticKey};
use crate::observe::One;
use crate::route::{KeyPlaces, Route};
use crate::schemes::api_key::without_key;
use http::Uri;
use http::header::{HeaderMap, HeaderName, HeaderValue, LINK};
use http::uri::PathAndQuery;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

const DEPRECATION: HeaderName = HeaderName::from_static("deprecation");
const SUNSET: HeaderName = HeaderName::from_static("sunset");

/// `[api_keys]`, as far as answers tell of it.
#[derive(Clone, Debug)]
pub struct Notice {
    deprecation: HeaderValue,
    link: Option<HeaderValue>,
    sunset: Option<i64>,
}

impl Notice {
    /// Since when static keys are deprecated, Unix time, where that is explained, and from when on
    /// none is taken.
    ///
    /// # Panics
    /// Never: digits can stand in a field.
    pub fn new(deprecated: i64, link: Option<&str>, sunset: Option<i64>) -> Self {
        let value = |text: String| HeaderValue::try_from(text).ok();
        Self {
            deprecation: value(format!("@{deprecated}")).expect("digits are a value"),
            link: link.and_then(|link| {
                value(format!("<{link}>; rel=\"deprecation\"; type=\"text/html\""))
            }),
            sunset,
        }
    }

    /// The first second at which no static key is taken any more, Unix time.
    pub const fn sunset(&self) -> Option<i64> {
        self.sunset
    }

    /// Tells a caller with this key.
    pub(super) fn tell(&self, fields: &mut HeaderMap, known: &StaticKey) {
        fields.insert(DEPRECATION, self.deprecation.clone());
        let ends = known.not_after.into_iter().chain(self.sunset).min();
        if let Some(at) = ends.and_then(date) {
            fields.insert(SUNSET, at);
        }
        if let Some(link) = &self.link {
            fields.append(LINK, link.clone());
        }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        write!(f, "Deprecation: {}", text(&self.deprecation))?;
        match &self.link {
            Some(link) => write!(f, ", Link: {}", text(link)),
            None => Ok(()),
        }
    }
}

/// What a caller is told who has shown a static key; `None` once the record was handed over.
pub(super) fn notice(ending: &Ending) -> Option<(Notice, Arc<StaticKey>)> {
    let record = ending.open_record()?;
    if record.scheme != Some(Scheme::ApiKey.name()) {
        return None;
    }
    // Said only of who was proven.
    let id = record.key.clone()?;
    let settings = ending.settings()?;
    let known = settings.registry.static_key_of(&id)?.clone();
    Some((settings.notice.clone()?, known))
}

fn date(unix_seconds: i64) -> Option<HeaderValue> {
    let at = Timestamp::from_second(unix_seconds).ok()?;
    let text = DateTimePrinter::new().timestamp_to_rfc9110_string(&at);
    HeaderValue::try_from(text.ok()?).ok()
}

/// Where static keys stand that the upstream does not get. Those of the registry come and go while
/// a configuration is in force: where only they may be shown, it is asked whether it has any.
pub(super) fn key_places_to_empty<'r>(
    route: &'r Route,
    registry: &Registry,
) -> Option<&'r KeyPlaces> {
    let places = route.key_places.as_deref().filter(|_| !route.keep_proof)?;
    (!places.unread || registry.has_static_keys_beside()).then_some(places)
}

/// What the upstream is asked for: the very bytes that were verified, but a static key in the query.
pub(super) fn target(uri: &Uri, key_places: Option<&KeyPlaces>) -> PathAndQuery {
    // Read once by the HTTP library.
    let asked = uri.path_and_query().cloned();
    let asked = asked.unwrap_or_else(|| PathAndQuery::from_static("/"));
    let without = key_places
        .and_then(|places| places.query.as_deref())
        .and_then(|name| without_key(asked.as_str(), name))
        .and_then(|target| target.try_into().ok());
    without.unwrap_or(asked)
}

/// What apps were counted for before goes on.
pub(super) fn go_on(list: &mut [StaticKey], before: &Registry) {
    for one in list {
        let mut known = before.static_keys();
        if let Some(known) = known.find(|known| known.app.name == one.app.name) {
            one.uses = known.uses.clone();
        }
    }
}

/// How often each app has shown static keys.
pub(super) fn uses(registry: &Registry) -> Vec<One> {
    let all: BTreeMap<_, _> = registry
        .static_keys()
        .map(|known| (known.app.name.clone(), known.uses.get()))
        .collect();
    let one = |(app, value): (Arc<str>, u64)| One {
        labels: vec![("app", app.to_string())],
        value,
    };
    all.into_iter().map(one).collect()
}
