//! `inject` of a route: what it is made of, and what it would be better without.

use super::Gathered;
use crate::apps::Mode;
use crate::config::file::{Basic, Inject, Route};
use crate::config::outside::FormText;
use crate::config::read::At;
use crate::config::secrets::{Given, Places, Reference};
use crate::forward::form;
use crate::forward::is_ours_to_say;
use crate::route::{self, Accept, InjectedField, InjectedPair};
use crate::secret::Secret;
use data_encoding::BASE64;
use http::header::{AUTHORIZATION, HeaderName};
use zeroize::Zeroizing;

/// Fields that a route adds, and members of a form, at most.
const MAX_EACH: usize = 16;
/// Bytes that one of them may have.
const MAX_VALUE: usize = 4 * 1024;

/// Fields that say what the body is, which is not ours to change.
const OF_BODY: [&str; 6] = [
    "content-type",
    "content-encoding",
    "content-digest",
    "repr-digest",
    "digest",
    "content-md5",
];

/// `None` when there is a problem with it.
pub(super) fn inject(
    at: &At<Inject>,
    route: &Route,
    accept: Option<Accept>,
    places: &Places<'_>,
    gathered: &mut Gathered<'_>,
) -> Option<Box<route::Inject>> {
    let told = &at.value;
    if told.header.entries.is_empty() && told.form.entries.is_empty() && told.basic.is_none() {
        let draft = at.problem("there is nothing in it");
        gathered.problem(draft.accepted("`header`, `basic` or `form`"));
        return None;
    }
    warn(at, route, accept, gathered);
    let fields: Vec<_> = told
        .header
        .entries
        .iter()
        .map(|(name, value)| field(name, value.as_ref(), told, places, gathered))
        .collect();
    let basic = told
        .basic
        .as_ref()
        .map(|basic| authorization(basic, places, gathered));
    let form: Vec<_> = told
        .form
        .entries
        .iter()
        .map(|(name, value)| pair(name, value.as_ref(), told, places, gathered))
        .collect();
    for (list, what) in [(fields.len(), "header"), (form.len(), "form")] {
        if list > MAX_EACH {
            let draft = at.problem(format!("`{what}` has more than {MAX_EACH} names"));
            gathered.problem(draft);
        }
    }
    Some(Box::new(route::Inject {
        fields: fields.into_iter().chain(basic).collect::<Option<_>>()?,
        form: form.into_iter().collect::<Option<_>>()?,
    }))
}

/// Who else gets to use the credential.
fn warn(at: &At<Inject>, route: &Route, accept: Option<Accept>, gathered: &mut Gathered<'_>) {
    if accept == Some(Accept::Public) {
        let draft = at.problem("anyone may use what is added here: the route is public");
        gathered.problem(
            draft
                .hint("say in `accept` what callers are to prove themselves with")
                .warning(),
        );
    } else if route.mode.value == Mode::Observe {
        let draft = at.problem(
            "this route only observes: nothing is added for callers that are not proven, everything for those that are, whatever they may",
        );
        gathered.problem(
            draft
                .hint("`mode = \"enforce\"` once all are proven")
                .warning(),
        );
    }
}

fn field(
    name: &At<String>,
    value: Option<&Given>,
    told: &Inject,
    places: &Places<'_>,
    gathered: &mut Gathered<'_>,
) -> Option<InjectedField> {
    let Ok(field) = HeaderName::from_bytes(name.value.as_bytes()) else {
        // That it is no name has been said.
        return None;
    };
    if is_ours_to_say(field.as_str()) || OF_BODY.contains(&field.as_str()) {
        let draft = name.problem("this field cannot be added: the gateway, or the body, says it");
        gathered.problem(draft);
        return None;
    }
    if field == AUTHORIZATION && told.basic.is_some() {
        let draft = name.problem("`basic` is `Authorization` too");
        gathered.problem(draft.accepted("one of the two"));
        return None;
    }
    let same = |(other, _): &&(At<String>, Option<Given>)| {
        other.key != name.key
            && form::folded(other.value.as_bytes()) == form::folded(name.value.as_bytes())
    };
    if let Some((other, _)) = told.header.entries.iter().find(same)
        && other.key < name.key
    {
        let draft = name.problem(format!("this is the same field as `{}`", other.value));
        gathered.problem(draft);
        return None;
    }
    let reference = value?;
    let value = secret(reference, places, gathered)?;
    let is_good = |byte: &u8| *byte == b'\t' || matches!(*byte, 0x20..=0x7e | 0x80..);
    let trimmed = value.expose().trim_ascii().len() == value.len();
    if !value.expose().iter().all(is_good) || !trimmed {
        let draft = reference.problem("what it leads to cannot stand in a field");
        gathered.problem(
            draft.accepted("one line, without control characters and without spaces around it"),
        );
        return None;
    }
    Some(InjectedField {
        name: field,
        value,
        from: reference.value.to_string().into(),
    })
}

/// RFC 6749, section 2.3.1, and RFC 7617, section 2.
fn authorization(
    basic: &Basic,
    places: &Places<'_>,
    gathered: &mut Gathered<'_>,
) -> Option<InjectedField> {
    let reference = basic.password.get()?;
    let password = secret(reference, places, gathered)?;
    let user = &basic.user.get()?.value.0;
    let mut pair = Zeroizing::new(Vec::new());
    form::encode(user.as_bytes(), &mut pair);
    pair.push(b':');
    form::encode(password.expose(), &mut pair);
    let mut value = b"Basic ".to_vec();
    value.extend_from_slice(Zeroizing::new(BASE64.encode(&pair)).as_bytes());
    Some(InjectedField {
        name: AUTHORIZATION,
        value: Secret::new(value),
        from: format!("Basic {user} {}", reference.value).into(),
    })
}

fn pair(
    name: &At<String>,
    value: Option<&At<FormText>>,
    told: &Inject,
    places: &Places<'_>,
    gathered: &mut Gathered<'_>,
) -> Option<InjectedPair> {
    let at = value?;
    if told.basic.is_some() && name.value == "client_secret" {
        let draft = name.problem("the client would show its secret twice, which servers refuse");
        gathered.problem(
            draft
                .accepted("`basic`, or `client_secret` in `form`")
                .hint("an authorization server wants one of the two (RFC 6749, section 2.3)"),
        );
        return None;
    }
    let is_plain = matches!(at.value, FormText::Text(_));
    let (value, from) = match &at.value {
        FormText::Text(_) if is_secret(&name.value) => {
            gathered.problems.mask(at.span.clone());
            let draft = at.problem("a secret is never written here");
            gathered.problem(draft.accepted("`env:NAME` or `file:PATH`"));
            return None;
        }
        FormText::Text(text) => (Secret::new(text.as_bytes().to_vec()), text.clone()),
        FormText::Reference(reference) => {
            let from = reference.to_string();
            let reference = At {
                value: reference.clone(),
                span: at.span.clone(),
                key: at.key.clone(),
            };
            (secret(&reference, places, gathered)?, from)
        }
    };
    let mut encoded = Vec::with_capacity(name.value.len() + 1 + 3 * value.len());
    encoded.extend_from_slice(name.value.as_bytes());
    encoded.push(b'=');
    form::encode(value.expose(), &mut encoded);
    Some(InjectedPair {
        name: name.value.as_str().into(),
        encoded: Secret::new(encoded),
        is_plain,
        from: from.into(),
    })
}

/// Whether the name of a member says that its value is one.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["secret", "password", "assertion", "token", "key"]
        .iter()
        .any(|word| name.contains(word))
}

/// What a reference leads to, without the line's end that editors put there.
fn secret(
    reference: &At<Reference>,
    places: &Places<'_>,
    gathered: &mut Gathered<'_>,
) -> Option<Secret> {
    if let Reference::Generated(_) = reference.value {
        let draft = reference.problem("no credential of an upstream is made here");
        gathered
            .problem(draft.accepted("`env:NAME` or `file:PATH`, of one that the upstream knows"));
        return None;
    }
    let opened = places.open(&reference.value).map(|mut opened| {
        opened.forgive_newline();
        opened
    });
    let Some(secret) = gathered.take(reference, opened)?.secret else {
        // It was not read.
        return Some(Secret::new(b"-".to_vec()));
    };
    let written = secret.expose();
    let bare = written.strip_suffix(b"\n").unwrap_or(written);
    let bare = bare.strip_suffix(b"\r").unwrap_or(bare);
    if bare.is_empty() || bare.len() > MAX_VALUE {
        let draft = reference.problem(format!("what it leads to has {} bytes", bare.len()));
        gathered.problem(draft.accepted(format!("1 to {MAX_VALUE} bytes")));
        return None;
    }
    Some(Secret::new(bare.to_vec()))
}
