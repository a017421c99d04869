//! What a token says, whose it is, and the DPoP proof beside it, for a reader. Signatures stay where they are.

use super::case::Case;
use super::report::{Parameter, Report, Token};
use super::shown::moment;
use crate::clock::Now;
use crate::route::Route;
use crate::schemes::doctor::Finding;
use crate::schemes::token::dpop::DPOP;
use crate::schemes::token::{Issuer, MAX_TOKEN, Whose};
use crate::schemes::{self, Received};
use data_encoding::BASE64URL_NOPAD;
use http::header::AUTHORIZATION;
use serde_json::Value;

/// Key names of an issuer that a message lists.
const LISTED: usize = 8;

/// Takes down the token and the proof, if there are some to read.
pub(super) fn credential(report: &mut Report, case: Case<'_>) {
    let Case {
        received,
        route,
        now,
        ..
    } = case;
    let field = received.fields().get(DPOP);
    let proof = field.and_then(|value| value.to_str().ok());
    report.dpop = proof.and_then(|text| shown("DPoP".to_owned(), text, now));
    let Some((place, text)) = found(received, route) else {
        return;
    };
    let name = route.token_fields.get(place).expect("it was found there");
    let Some(mut token) = shown(crate::cli::curl::shown(name), text, now) else {
        return;
    };
    let presented = schemes::token::read(received, route).ok().flatten();
    let sample = presented.and_then(|token| token.sample());
    let found = sample.and_then(|sample| {
        token.holds = case.holds(&sample);
        case.mistake(&sample, token.holds)
    });
    token.likely = found.as_ref().map(Finding::hint);
    token.mistake = found.map(|found| found.mistake.word());
    let issuer = issuer(case);
    token.issuer = issuer.map(|issuer| issuer.name.to_string());
    report.token = Some(token);
}

/// The text of the token, and in which of the route's fields it stands.
fn found<'r>(received: &Received<'r>, route: &Route) -> Option<(usize, &'r str)> {
    let mut fields = route.token_fields.iter().enumerate();
    fields.find_map(|(place, name)| {
        let value = received.fields().get(name)?.to_str().ok()?;
        let text = if name == AUTHORIZATION {
            let (word, rest) = value.split_once(' ')?;
            let is_known = ["bearer", "dpop"]
                .iter()
                .any(|one| word.eq_ignore_ascii_case(one));
            is_known.then(|| rest.trim_start())?
        } else {
            value
        };
        (text.len() <= MAX_TOKEN).then_some((place, text))
    })
}

fn shown(field: String, text: &str, now: Now) -> Option<Token> {
    let (header, claims) = parts(text)?;
    let times = ["iat", "nbf", "exp"].into_iter().filter_map(|name| {
        let at = claims.get(name)?;
        // As the gateway takes it, without a fraction.
        let at = at.as_i64().or_else(|| Some(at.as_f64()?.floor() as i64))?;
        Some(Parameter {
            name: name.to_owned(),
            value: at.to_string(),
            note: Some(moment(at, now.unix_seconds())),
        })
    });
    Some(Token {
        field,
        times: times.collect(),
        header,
        claims,
        issuer: None,
        holds: None,
        likely: None,
        mistake: None,
    })
}

/// Header and claims.
fn parts(text: &str) -> Option<(Value, Value)> {
    let mut pieces = text.split('.');
    let mut decode = || {
        let bytes = BASE64URL_NOPAD.decode(pieces.next()?.as_bytes()).ok()?;
        serde_json::from_slice::<Value>(&bytes).ok()
    };
    Some((decode()?, decode()?))
}

/// The issuer outside whose token it seems to be: the one that it names, or the only one whose tokens
/// may stand there. Of several of one name it is the one for which it is.
pub(super) fn issuer(case: Case<'_>) -> Option<&Issuer> {
    let Case { route, ground, .. } = case;
    let (place, text) = found(case.received, route)?;
    let (header, claims) = parts(text)?;
    let takers = route.takers(place);
    let all = ground.tokens.issuers().iter().enumerate();
    let mut taken: Vec<_> = all
        .filter(|(at, _)| takers.issuers.has(*at))
        .map(|(_, issuer)| issuer)
        .collect();
    let id = header.get("kid").and_then(Value::as_str);
    let is_own = takers.own && id.is_some_and(|id| ground.registry.key(id).is_some());
    let iss = claims.get("iss").and_then(Value::as_str);
    let is_of = |one: &&Issuer| iss.is_some() && one.iss.as_deref() == iss;
    let named = taken
        .iter()
        .position(|one| is_of(one) && is_for(one, &claims))
        .or_else(|| taken.iter().position(is_of));
    match named {
        Some(at) => Some(taken.swap_remove(at)),
        None if taken.len() == 1 && !is_own => taken.pop(),
        None => None,
    }
}

/// Whether `aud` is what this issuer's tokens must have there.
fn is_for(issuer: &Issuer, claims: &Value) -> bool {
    let is_wanted = |one: &Value| {
        let text = one.as_str();
        issuer.audiences.iter().any(|name| text == Some(&**name))
    };
    let list = |aud| Value::as_array(aud).map_or(std::slice::from_ref(aud), Vec::as_slice);
    let mut named = claims.get("aud").into_iter().flat_map(list);
    issuer.audiences.is_empty() || named.any(is_wanted)
}

/// What to do about a token of `issuer` whose key is not there.
pub(super) fn no_key(issuer: &Issuer, id: Option<&str>) -> String {
    let keys = issuer.keys.current();
    if keys.is_empty() {
        return format!(
            "the keys of issuer `{}` are at {}: `--fetch` gets them",
            issuer.name, issuer.keys_from
        );
    }
    let mut names: Vec<&str> = keys.ids().collect();
    let more = if names.len() > LISTED { ", …" } else { "" };
    names.truncate(LISTED);
    format!(
        "issuer `{}` has no key `{}`; it has `{}`{more}",
        issuer.name,
        id.unwrap_or("?"),
        names.join("`, `")
    )
}

/// What a claim of a token of `issuer` is, and what it must be.
pub(super) fn claim(issuer: &Issuer, claim: &str, claims: &Value) -> Option<String> {
    let here = |value: Option<&Value>| value.map_or("missing".to_owned(), |one| format!("`{one}`"));
    let section = format!("`[issuers.{}]`", issuer.name);
    Some(match claim {
        "iss" => format!(
            "`iss` is {} here, and {section} has `issuer = \"{}\"`",
            here(claims.get("iss")),
            issuer.iss.as_deref()?
        ),
        "aud" => format!(
            "`aud` is {} here, and {section} asks for `{}`",
            here(claims.get("aud")),
            issuer.audiences.join("` or `")
        ),
        "lifetime" => format!(
            "{section} takes tokens of at most {} s (`max_lifetime`)",
            issuer.max_lifetime.as_secs()
        ),
        "app" => {
            let Whose::Claim(path, apps) = &issuer.whose else {
                return None;
            };
            let mut value = Some(claims);
            for name in &path.0 {
                value = value.and_then(|value| value.get(&**name));
            }
            let mut known: Vec<&str> = apps.keys().map(|name| &**name).collect();
            known.sort_unstable();
            format!(
                "`{path}` is {} here, and {section} lists `{}`",
                here(value),
                known.join("`, `")
            )
        }
        _ => return None,
    })
}
