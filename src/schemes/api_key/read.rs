//! The static key that a request shows. Everything borrows from it, but what has to be decoded.

use crate::apps::{MAX_STATIC_KEY, Registry, Scheme, StaticKey};
use crate::route::{KeyPlaces, KeyWord, Route};
use crate::schemes::Refused;
use crate::schemes::received::{Field, Received};
use data_encoding::BASE64;
use http::{HeaderName, HeaderValue};
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// The key that a request shows. Never prints it.
pub struct Presented<'r> {
    key: Cow<'r, [u8]>,
    /// The id that is said beside it.
    id: Option<String>,
    /// Where it stands.
    pub place: Place,
}

/// Where a key stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a field of its own.
    Field(HeaderName),
    /// In `Authorization`, behind this word.
    Authorization(KeyWord),
    /// In the query.
    Query,
}

impl fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Presented(in {:?})", self.place)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, "`{name}`"),
            Self::Authorization(word) => write!(f, "`Authorization: {}`", word.name()),
            Self::Query => f.write_str("the query"),
        }
    }
}

impl<'r> Presented<'r> {
    /// The static key that `received` shows; `None` where it shows none, or where none would be read.
    ///
    /// # Errors
    /// [`Refused::Malformed`] when there is more than one, or what stands there is no key.
    pub fn read(received: &Received<'r>, route: &Route) -> Result<Option<Self>, Refused> {
        let places = route.key_places.as_deref();
        let Some(places) = places.filter(|places| !places.unread) else {
            return Ok(None);
        };
        let mut found = None;
        let mut take = |place: Place, shown: Option<Shown<'r>>| {
            let shown = shown.and_then(|(id, key)| checked(key).map(|key| (id, key)));
            let (id, key) = shown.ok_or_else(|| {
                Refused::Malformed(format!(
                    "{place} holds no key: one has at most {MAX_STATIC_KEY} visible ASCII characters"
                ))
            })?;
            match found.replace(Self { key, id, place }) {
                None => Ok(()),
                Some(first) => Err(Refused::Malformed(format!(
                    "there is more than one static key, one of them in {}; send one",
                    first.place
                ))),
            }
        };
        for name in &places.fields {
            for value in received.lines_of(name) {
                let key = Cow::Borrowed(value.as_bytes().trim_ascii());
                take(Place::Field(name.clone()), Some((None, key)))?;
            }
        }
        if let Some((word, rest)) = in_authorization(received, route, places) {
            let shown = match word {
                KeyWord::Basic => basic(rest),
                KeyWord::Bearer | KeyWord::ApiKey => Some((None, Cow::Borrowed(rest))),
            };
            take(Place::Authorization(word), shown)?;
        }
        if let (Some(name), Some(query)) = (&places.query, received.query()) {
            for value in query.split('&').filter_map(|one| value_of(one, name)) {
                let key = percent_decoded(value);
                take(Place::Query, key.map(|key| (None, key)))?;
            }
        }
        Ok(found)
    }
}

impl Presented<'_> {
    /// The key as it is shown.
    pub fn shown(&self) -> &[u8] {
        &self.key
    }

    /// The key that it is, whatever its state.
    pub fn known(&self, registry: &Registry) -> Option<Arc<StaticKey>> {
        let known = registry.static_key(&self.key)?;
        let is_meant = self.id.as_ref().is_none_or(|id| *id == *known.id);
        is_meant.then_some(known)
    }
}

/// What a 401 asks for, as `WWW-Authenticate` says it: many clients send `Basic` to those alone that have asked for it
/// (RFC 7617, section 2). A browser opens a dialog for it.
pub fn challenges(route: &Route) -> impl Iterator<Item = HeaderValue> {
    let places = route.key_places.as_deref();
    let places = places.filter(|_| route.accepts(Scheme::ApiKey));
    let words = places.into_iter().flat_map(|places| &places.authorization);
    words.filter_map(|word| match word {
        KeyWord::Basic => Some(HeaderValue::from_static("Basic realm=\"portcullis\"")),
        KeyWord::Bearer => Some(HeaderValue::from_static("Bearer realm=\"portcullis\"")),
        // A word of nobody's but those who know it.
        KeyWord::ApiKey => None,
    })
}

/// A key, and the id that is said beside it.
type Shown<'r> = (Option<String>, Cow<'r, [u8]>);

/// What stands behind a word of `places` in `Authorization`. Only where the route accepts static
/// keys: elsewhere the field is the backend's.
fn in_authorization<'r>(
    received: &Received<'r>,
    route: &Route,
    places: &KeyPlaces,
) -> Option<(KeyWord, &'r [u8])> {
    if !route.accepts(Scheme::ApiKey) {
        return None;
    }
    let value = received.first(Field::Authorization)?.as_bytes();
    let mut words = places.authorization.iter();
    words.find_map(|word| Some((*word, word.behind(value)?)))
}

/// `KEY:`, as `curl -u KEY:` sends it, or `ID:KEY`.
fn basic(text: &[u8]) -> Option<Shown<'static>> {
    // Base64 has four characters for three bytes; an id is no longer than a key.
    if text.len() > (2 * MAX_STATIC_KEY + 1).div_ceil(3) * 4 {
        return None;
    }
    let text = BASE64.decode(text).ok()?;
    let colon = text.iter().position(|byte| *byte == b':')?;
    let (front, key) = (&text[..colon], &text[colon + 1..]);
    if key.is_empty() {
        return Some((None, Cow::Owned(front.to_vec())));
    }
    let id = String::from_utf8(front.to_vec()).ok()?;
    Some((Some(id), Cow::Owned(key.to_vec())))
}

fn checked(key: Cow<'_, [u8]>) -> Option<Cow<'_, [u8]>> {
    let is_visible = key.iter().all(|byte| matches!(byte, 0x21..=0x7e));
    let fits = (1..=MAX_STATIC_KEY).contains(&key.len());
    (is_visible && fits).then_some(key)
}

/// The value of a parameter, if it is called `name`.
fn value_of<'q>(parameter: &'q str, name: &str) -> Option<&'q str> {
    match parameter.split_once('=') {
        Some((found, value)) => (found == name).then_some(value),
        None => (parameter == name).then_some(""),
    }
}

fn percent_decoded(value: &str) -> Option<Cow<'_, [u8]>> {
    if !value.contains('%') {
        return Some(Cow::Borrowed(value.as_bytes()));
    }
    let digit = |byte: &u8| (*byte as char).to_digit(16);
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    loop {
        rest = match rest {
            [] => return Some(Cow::Owned(out)),
            [b'%', high, low, rest @ ..] => {
                out.push((digit(high)? * 16 + digit(low)?) as u8);
                rest
            }
            [b'%', ..] => return None,
            [byte, rest @ ..] => {
                out.push(*byte);
                rest
            }
        };
    }
}

/// `target` without the parameters that are called `name`, all else byte for byte; `None` where it
/// has none of them.
pub fn without_key(target: &str, name: &str) -> Option<String> {
    let (path, query) = target.split_once('?')?;
    if !query.split('&').any(|one| value_of(one, name).is_some()) {
        return None;
    }
    let mut others = query.split('&').filter(|one| value_of(one, name).is_none());
    let mut out = path.to_owned();
    if let Some(first) = others.next() {
        out.push('?');
        out.push_str(first);
        for one in others {
            out.push('&');
            out.push_str(one);
        }
    }
    Some(out)
}
