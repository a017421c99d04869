//! Forms that get members on their way: `inject.form` of a route.
//!
//! What was proven is what came. Here it gets longer: the body is taken in
//! whole, looked through for the names that are ours, and goes on with them
//! behind it. Servers read forms in many ways, so a name counts as ours in all
//! of them. A client that says the same as we, no secret and in the same bytes,
//! has said it for us.

mod text;

pub use text::{encode, folded};

use super::body::{BodyError, ProvenBody};
use super::{Head, Told};
use crate::route::{Accept, Inject, InjectedPair, Route};
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, Method};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use text::{Names, Odd};
use zeroize::Zeroizing;

/// Bytes of a form that is held. Of codes, tokens and assertions none is so long.
pub const MAX_FORM: u64 = 64 * 1024;

/// Members of query and form together: servers count them so, and drop what stands behind their
/// thousandth, old ones behind their 512th. So they would ours.
const MAX_MEMBERS: usize = 500;

/// In which ASCII stands for itself, and nothing else for ASCII.
const CHARSETS: [&[u8]; 5] = [
    b"utf-8",
    b"utf8",
    b"us-ascii",
    b"iso-8859-1",
    b"windows-1252",
];

/// Why nothing can be added to a form.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadForm {
    /// The caller says itself what we say.
    #[error("it has a `{0}`, which the gateway adds: leave it out")]
    Ours(Box<str>),
    /// The body is none.
    #[error("the body is none; this route takes `application/x-www-form-urlencoded` alone")]
    Other,
    /// Servers could read other names in it than we do.
    #[error("its type has a parameter other than `charset=utf-8`: leave it out")]
    Charset,
    /// It is encoded as a whole.
    #[error("it has a `Content-Encoding`: send it as it is")]
    Encoded,
    /// A name that servers would read differently.
    #[error(
        "it has a name that is not encoded as a form's names are, or brackets that do not stand in pairs behind it"
    )]
    Odd,
    /// Ours would come too late to be read.
    #[error("it has more than {MAX_MEMBERS} members, with those of the query")]
    TooMany,
}

/// What is added to requests of this caller, if anything is.
pub(super) fn injected<'r>(route: &'r Route, told: &Told<'_>) -> Option<&'r Inject> {
    let inject = route.inject.as_deref()?;
    // Who is nobody where it is only observed gets nothing that opens the backend.
    let may = told.is_anyone() || route.accept == Accept::Public;
    may.then_some(inject)
}

/// Whether members are added to a request with this head.
///
/// # Errors
/// [`BadForm`] where the caller may say what we say in another way than by a form: servers look for
/// the same names in bodies of many kinds, and in the query of what may have one.
pub(super) fn is_for(inject: &Inject, head: &Head, body: &ProvenBody) -> Result<bool, BadForm> {
    let has_one = !body.is_end_stream();
    let method = &head.parts.method;
    let may_have_one = has_one || matches!(*method, Method::POST | Method::PUT | Method::PATCH);
    if inject.form.is_empty() || !may_have_one {
        return Ok(false);
    }
    if is_form(&head.parts.headers)? {
        return Ok(true);
    }
    if has_one {
        return Err(BadForm::Other);
    }
    check(query(head), &inject.form, |_| false)?;
    Ok(false)
}

fn is_form(fields: &HeaderMap) -> Result<bool, BadForm> {
    let Some(value) = fields.get(CONTENT_TYPE) else {
        return Ok(false);
    };
    let mut parts = value.as_bytes().split(|byte| *byte == b';');
    let essence = parts.next().unwrap_or_default().trim_ascii();
    if !essence.eq_ignore_ascii_case(b"application/x-www-form-urlencoded") {
        return Ok(false);
    }
    if parts.all(keeps_ascii) {
        Ok(true)
    } else {
        Err(BadForm::Charset)
    }
}

/// Whether a parameter of a form's type says nothing by which names are read otherwise than as they stand. Some servers look
/// for `charset=` anywhere behind the type, others take `charset*` for it (RFC 8187), and a form has no other parameter.
fn keeps_ascii(parameter: &[u8]) -> bool {
    let mut both = parameter.splitn(2, |byte| *byte == b'=');
    let name = both.next().unwrap_or_default().trim_ascii();
    if !name.eq_ignore_ascii_case(b"charset") {
        return parameter.trim_ascii().is_empty();
    }
    let charset = both.next().unwrap_or_default().trim_ascii();
    let quoted = charset
        .strip_prefix(b"\"")
        .and_then(|rest| rest.strip_suffix(b"\""));
    let charset = quoted.unwrap_or(charset);
    CHARSETS.iter().any(|one| charset.eq_ignore_ascii_case(one))
}

fn query(head: &Head) -> &[u8] {
    head.target.query().unwrap_or_default().as_bytes()
}

/// `body` with the members of `inject` behind it.
pub(super) async fn add(
    inject: &Inject,
    head: &Head,
    is_unframed: bool,
    mut body: ProvenBody,
) -> Result<ProvenBody, BodyError> {
    if is_encoded(&head.parts.headers, is_unframed) {
        return Err(BadForm::Encoded.into());
    }
    let query = query(head);
    check(query, &inject.form, |_| false)?;
    let too_large = BodyError::TooLarge { limit: MAX_FORM };
    if body.size_hint().lower() > MAX_FORM {
        return Err(too_large);
    }
    // Wiped when it is sent: it has secrets at its end.
    let mut form = Zeroizing::new(Vec::with_capacity(room(&body, &inject.form)));
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        if (form.len() + data.len()) as u64 > MAX_FORM {
            return Err(too_large);
        }
        form.extend_from_slice(&data);
    }
    let came = form.len();
    check(&form, &inject.form, |one| is_in(&form, one))?;
    count(query, &form)?;
    for one in &inject.form {
        if is_in(&form[..came], one) {
            continue;
        }
        if form.last().is_some_and(|last| *last != b'&') {
            form.push(b'&');
        }
        form.extend_from_slice(one.encoded.expose());
    }
    Ok(ProvenBody::whole(Bytes::from_owner(Wiped(form))))
}

/// Room for all of it, so that no copy of a secret is left where it grew.
fn room(body: &ProvenBody, pairs: &[InjectedPair]) -> usize {
    let came = body.size_hint().exact().unwrap_or(MAX_FORM);
    let ours = pairs.iter().map(|one| one.encoded.len() + 1);
    usize::try_from(came.min(MAX_FORM)).unwrap_or_default() + ours.sum::<usize>()
}

struct Wiped(Zeroizing<Vec<u8>>);

impl AsRef<[u8]> for Wiped {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

fn is_encoded(fields: &HeaderMap, is_unframed: bool) -> bool {
    fields.get_all(CONTENT_ENCODING).iter().any(|value| {
        value.as_bytes().split(|byte| *byte == b',').any(|one| {
            let one = one.trim_ascii();
            let is_framing = is_unframed && one.eq_ignore_ascii_case(b"aws-chunked");
            !(one.is_empty() || is_framing || one.eq_ignore_ascii_case(b"identity"))
        })
    })
}

/// Whether so few members come that ours are read behind them. Empty ones count.
fn count(query: &[u8], form: &[u8]) -> Result<(), BadForm> {
    let members = |text: &[u8]| {
        let parted = text.iter().filter(|byte| matches!(byte, b'&' | b';'));
        parted.count() + usize::from(!text.is_empty())
    };
    if members(query) + members(form) > MAX_MEMBERS {
        return Err(BadForm::TooMany);
    }
    Ok(())
}

/// Looks through a form, or a query, for the names of `pairs`. Those that are `said` may stand there, once.
fn check(
    form: &[u8],
    pairs: &[InjectedPair],
    said: impl Fn(&InjectedPair) -> bool,
) -> Result<(), BadForm> {
    let mut found: Vec<&str> = Vec::new();
    for name in Names::of(form) {
        let name = name.map_err(|Odd| BadForm::Odd)?;
        let is_same = |one: &&InjectedPair| folded(one.name.as_bytes()) == name;
        if let Some(ours) = pairs.iter().find(is_same) {
            // Of two the one that is not as ours could be what the server takes.
            if found.contains(&&*ours.name) || !said(ours) {
                return Err(BadForm::Ours(ours.name.clone()));
            }
            found.push(&ours.name);
        }
    }
    Ok(())
}

/// Whether a member of the form is `pair` as we write it. Of a secret nobody learns that.
fn is_in(form: &[u8], pair: &InjectedPair) -> bool {
    let mut members = form.split(|byte| *byte == b'&');
    pair.is_plain && members.any(|member| member == pair.encoded.expose())
}

/// For fuzzing: whether `form` has none of these names, in any way a server may read it.
#[doc(hidden)]
pub fn has_none_of(form: &[u8], names: &[&str]) -> bool {
    Names::of(form)
        .all(|name| name.is_ok_and(|name| names.iter().all(|one| folded(one.as_bytes()) != name)))
}

#[cfg(test)]
mod tests;
