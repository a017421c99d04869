//! What to change, for each reason to refuse.

use super::case::Case;
use super::report::{Compared, Report};
use super::shown::ago;
use super::{aws_sigv4, hmac_auth, token as shown_token, unknown, unsaid, webhook};
use crate::apps::{Key, Scheme, SchemeSet};
use crate::crypto::Algorithm;
use crate::route::{Ambiguous, NoRoute, Table};
use crate::schemes::aws_sigv4::coverage::{ASTERISK, BODY, BODY_IN_PIECES, LONE_MARK};
use crate::schemes::freshness::is_in_milliseconds;
use crate::schemes::hmac_auth::verify::is_of;
use crate::schemes::http_signature::{Presented, base};
use crate::schemes::token::Issuer;
use crate::schemes::{Malformed, Received, Refused, Timed, Unbound, Why, token};
use std::borrow::Cow;
use std::fmt::Write as _;

/// Routes and keys that a message lists.
pub(super) const LISTED: usize = 8;

/// For a head that has two readings.
pub(super) fn head(malformed: &Malformed) -> Option<String> {
    match malformed {
        Malformed::Path(Ambiguous::EmptySegment | Ambiguous::EncodedSlash) => Some(
            "send the path in its one plain form; `path_encoding = \"legacy\"` on the route takes `//` and `%2F`".to_owned(),
        ),
        Malformed::Path(_) => Some("send the path in its one plain form".to_owned()),
        Malformed::Host(_) => Some("a request has one `Host`, `host` or `host:port`".to_owned()),
        _ => None,
    }
}

/// For a request that no route takes.
pub(super) fn route(none: &NoRoute, routes: &Table, received: &Received<'_>) -> Option<String> {
    match none {
        NoRoute::MethodNotAllowed(methods) => {
            let methods: Vec<String> = methods.iter().map(|method| format!("`{method}`")).collect();
            Some(format!(
                "{} is taken here: {}",
                received.path().raw(),
                methods.join(", ")
            ))
        }
        NoRoute::Ambiguous(_) => Some(
            "write the path without `;…`, `%3B`, `%3F`, `%23`, `//` and `%2F` where it is another route's"
                .to_owned(),
        ),
        NoRoute::NotFound if routes.routes().is_empty() => None,
        NoRoute::NotFound => {
            let mut list: Vec<String> = routes
                .routes()
                .iter()
                .take(LISTED)
                .map(|route| match &route.host {
                    Some(host) => format!("`{}` of `{host}`", route.path),
                    None => format!("`{}`", route.path),
                })
                .collect();
            if routes.routes().len() > LISTED {
                list.push("…".to_owned());
            }
            Some(format!("the routes are {}", list.join(", ")))
        }
    }
}

/// What a route accepts that is for webhooks alone.
fn webhooks() -> SchemeSet {
    [Scheme::Webhook].into_iter().collect()
}

/// For a credential that does not hold.
pub(super) fn credential(why: &Refused, case: Case<'_>, report: &Report) -> Option<String> {
    let Case {
        received,
        route,
        ground,
        ..
    } = case;
    let now = case.now.unix_seconds();
    Some(match why {
        Refused::Nothing(wanted) if wanted.schemes == webhooks() => {
            "`portcullis sign --scheme webhook` makes what its sender would send; see `portcullis sign --help`".to_owned()
        }
        Refused::Missing | Refused::Nothing(_) if let Some(told) = unsaid::advice(case) => told,
        Refused::Missing | Refused::Nothing(_) => {
            "`portcullis sign --curl …` makes a signed request; see `portcullis sign --help`"
                .to_owned()
        }
        Refused::NotAccepted(scheme) => format!(
            "add `{scheme}` to `accept` of route `{}`, or prove the request in another way",
            route.name
        ),
        Refused::NobodySigns(there) => unsigned(there),
        Refused::Coverage(missing) if aws_sigv4::claimed(received, route).is_some() => {
            not_signed_for_aws(missing)
        }
        Refused::Coverage(missing) if hmac_auth::claimed(received, route).is_some() => {
            format!("add `{}` to the list in `headers`", missing.join(" "))
        }
        Refused::Coverage(missing) => format!(
            "add {} to the list in `Signature-Input`",
            missing
                .iter()
                .map(|name| format!("\"{name}\""))
                .collect::<Vec<_>>()
                .join(" ")
        ),
        Refused::TokenNotCovered(field) => {
            format!("add \"{field}\" to the list in `Signature-Input`")
        }
        Refused::Absent(_) => {
            "send it, or take it from the list; something on the way may have removed it".to_owned()
        }
        Refused::Skew { theirs, .. } if is_in_milliseconds(*theirs) => {
            "give the time in whole seconds, as it is signed and as it is sent: divide it by 1,000".to_owned()
        }
        Refused::Skew { of, ours, theirs } => {
            let shown = webhook::shown(received, route).and(route.webhooks.as_ref());
            let rules = shown.map_or(ground.freshness, |webhooks| {
                crate::schemes::webhook::verify::freshness(webhooks, ground.freshness)
            });
            let (whose, rules) = match of {
                Timed::Credential => ("its", rules),
                Timed::DpopProof | Timed::Pop => ("the proof's", ground.tokens.dpop.freshness),
            };
            format!(
                "{whose} time is {}; accepted are {} s back and {} s ahead: sign when you send, and check both clocks",
                ago(*theirs, *ours),
                rules.window.as_secs(),
                rules.skew.as_secs()
            )
        }
        Refused::Expired { at } => format!("it ended {}: make a new one", ago(*at, now)),
        Refused::Unread => {
            "show the body too, behind an empty line (in a trace of `curl -v`, take the `> ` off before the lines of the head, leave out all others, and add it): its hash is a part of what is signed"
                .to_owned()
        }
        Refused::Rejected {
            why: Why::Claim(claim),
            ..
        } => {
            let issuer = shown_token::issuer(case)?;
            return shown_token::claim(issuer, claim, &report.token.as_ref()?.claims);
        }
        // The detail says it all.
        Refused::Malformed(_)
        | Refused::Alone(_)
        | Refused::OtherApp
        | Refused::Digest
        | Refused::Unbegun
        | Refused::Rejected {
            why: Why::WrongProof | Why::Proof(_) | Why::WrongPop | Why::Pop(_),
            ..
        } => return None,
        Refused::Rejected { why, .. } => rejected(*why, case, report),
        Refused::Binding(Unbound::Nonce) => {
            "only the gateway that runs knows its nonces: send the request, and take the one in `DPoP-Nonce`".to_owned()
        }
        Refused::Binding(Unbound::Challenge) => {
            "only the gateway that runs knows its challenges: send the request, and take the one in `OAuth-Client-Attestation-Challenge`".to_owned()
        }
        Refused::Binding(Unbound::OtherAudience) => {
            let told = route.client_attestation.as_deref();
            let names = told.map_or(&[][..], |told| &told.audiences);
            format!("`aud` must be `{}`", names.join("` or `"))
        }
        Refused::Binding(Unbound::OtherUrl) => format!(
            "`htu` must be `{}://{}{}`",
            received.scheme(),
            received.authority(),
            received.target().split('?').next().unwrap_or_default()
        ),
        Refused::Binding(Unbound::OtherMethod) => {
            format!("`htm` must be `{}`", received.method())
        }
        Refused::Binding(unbound) if *unbound != Unbound::Authorization => return None,
        Refused::Binding(_) => format!(
            "`pay` must be the base64 of the SHA-256 of `Authorization`{}",
            received
                .fields()
                .get(http::header::AUTHORIZATION)
                .map_or_else(String::new, |value| format!(
                    ", here `{}`",
                    token::binding::pay(value.as_bytes())
                ))
        ),
        Refused::AppDisabled => "the app has `enabled = false` in `gateway.toml`".to_owned(),
    })
}

const SIGN_BODY_IN_PIECES: &str = "sign the SHA-256 of the body, or its pieces: botocore and boto3 sign it with `request_checksum_calculation = \"when_required\"`";

/// For what a signature of AWS's leaves out. In its list stand fields alone: a body is signed by its
/// hash, and of a lone `?` nothing can be signed.
fn not_signed_for_aws(missing: &[Cow<'_, str>]) -> String {
    let has = |name: &str| missing.iter().any(|one| one == name);
    let fields = missing.iter().map(|name| &**name);
    let fields: Vec<&str> = fields
        .filter(|name| !matches!(*name, ASTERISK | BODY | BODY_IN_PIECES | LONE_MARK))
        .collect();
    let mut told = Vec::with_capacity(3);
    if !fields.is_empty() {
        told.push(format!(
            "sign {} too, in `SignedHeaders`",
            fields.join(", ")
        ));
    }
    if has(BODY) {
        told.push(
            "sign the SHA-256 of the body, not a word in its place, and send it in `X-Amz-Content-Sha256`, which is signed too"
                .to_owned(),
        );
    }
    if has(BODY_IN_PIECES) {
        told.push(SIGN_BODY_IN_PIECES.to_owned());
    }
    if has(LONE_MARK) {
        told.push("take the `?` at the end of the target away".to_owned());
    }
    if has(ASTERISK) {
        told.push("name a path in place of `*`".to_owned());
    }
    told.join("; ")
}

/// For what no sender signs.
fn unsigned(there: &[Cow<'_, str>]) -> String {
    let change = there.iter().map(|name| match &**name {
        "@method" => "a webhook is a `POST`",
        "@query" => "take the query out of the URL, or say `query = true` in the route's `webhook`",
        _ => "send no `Authorization`, or let the route `waive` it until a date",
    });
    change.collect::<Vec<_>>().join("; ")
}

fn rejected(why: Why, case: Case<'_>, report: &Report) -> String {
    let Case {
        received,
        route,
        ground,
        ..
    } = case;
    let now = case.now.unix_seconds();
    // Of a pair the token is opened first. Beside a signature that holds it is the token that does not.
    let bad_token = report.token.as_ref().filter(|token| {
        let mut signatures = report.signatures.iter();
        if token.holds == Some(true) {
            token.mistake.is_some()
        } else {
            signatures.all(|one| one.holds == Some(true))
        }
    });
    let is_of_token = report.signatures.is_empty() || bad_token.is_some();
    let key_id = bad_token
        .and_then(|token| token.header.get("kid")?.as_str().map(str::to_owned))
        .or_else(|| aws_sigv4::claimed(received, route))
        .or_else(|| hmac_auth::claimed(received, route))
        .or_else(|| claimed(received, report));
    let key = key_id.as_deref().and_then(|id| ground.registry.key(id));
    let key = key.as_deref();
    let compared = report.compared.as_ref();
    let is_pair = key.is_some_and(|key| key.mac().is_none());
    if let (None, true, Some(issuer)) = (key, is_of_token, shown_token::issuer(case)) {
        return of_issuer(why, issuer, key_id.as_deref());
    }
    match why {
        Why::UnknownKey if report.static_key.is_some() => {
            "no app has this key: `portcullis hash-key` prints the hash of one, which must be among the `api_keys` of its app".to_owned()
        }
        Why::UnknownKey => unknown::advice(key_id.as_deref(), ground),
        Why::WrongSignature => match report.signatures.iter().find_map(|one| one.likely.as_deref()) {
            Some(likely) => likely.to_owned(),
            None if is_of_token => report
                .token
                .as_ref()
                .and_then(|token| token.likely.as_deref())
                .unwrap_or(if is_pair {
                    "the token is not signed with the private half of this key"
                } else {
                    "the token is not signed with this key's secret"
                })
                .to_owned(),
            None if compared.is_none() && webhook::shown(received, route).is_some() => {
                let app = webhook::app(route, ground).map_or("", |app| &*app.name);
                format!(
                    "no key of app `{app}` has signed this body: another secret, or another body – it must be the sender's own bytes, as they came"
                )
            }
            None if let Some(hint) = compared.and_then(Compared::hint) => hint,
            None if is_pair => format!(
                "compare the text you sign with the one above: `--base FILE` names the first difference; if they are the same, the private key is not the other half of this one, or signs with another algorithm than `{}`",
                key.map_or("the key's", |key| key.algorithm().name())
            ),
            None if compared.is_some_and(|compared| compared.same) => {
                "both texts are the same: compare the secrets, and whether yours is decoded from base64 or hex before use".to_owned()
            }
            None => {
                "compare the text you sign with the one above: `--base FILE` names the first difference; if they are the same, the secret differs, or is not decoded from base64 or hex before use".to_owned()
            }
        },
        Why::KeyNotActive => {
            let mut text = "the key is not in force".to_owned();
            if let Some(at) = key.and_then(|key| key.not_before).filter(|at| *at > now) {
                write!(text, ": it begins {}", ago(at, now)).expect("a String takes every char");
            }
            if let Some(at) = key.and_then(|key| key.not_after).filter(|at| *at <= now) {
                write!(text, ": it ended {}", ago(at, now)).expect("a String takes every char");
            }
            text
        }
        Why::KeyNotForScheme => "`schemes` of the key does not list this scheme, or its secret is too short for it: fewer than 32 bytes prove neither `http-signature` nor `token`".to_owned(),
        Why::WrongAlgorithm if is_of_token => format!(
            "`alg` must be the key's{}",
            key.map_or_else(String::new, |key| token_name(key.algorithm()))
        ),
        Why::WrongAlgorithm if let Some(told) = not_taken(key, case) => told,
        Why::WrongAlgorithm => format!(
            "the algorithm that is named must be the key's{}, or be left out",
            key.map_or_else(String::new, |key| format!(", `{}`", key.algorithm()))
        ),
        Why::UnknownCertificate => {
            "no app has a name of the certificate, or its SHA-256, among its `certificates`".to_owned()
        }
        Why::SeveralCertificates => {
            "its names stand for several of the `certificates` of apps: leave one".to_owned()
        }
        // The detail says it all.
        Why::WrongProof | Why::Proof(_) | Why::WrongPop | Why::Pop(_) => String::new(),
        Why::Claim(claim) => format!("`{claim}` must be one that is accepted"),
    }
}

/// For a key whose algorithm the route's dialect does not take, whatever is named beside the signature.
fn not_taken(key: Option<&Key>, case: Case<'_>) -> Option<String> {
    hmac_auth::claimed(case.received, case.route)?;
    let (algorithm, dialect) = (key?.algorithm(), case.route.dialect?);
    let taken = Algorithm::ALL.into_iter();
    let taken = taken.filter(|one| is_of(dialect, *one));
    let taken: Vec<_> = taken.map(Algorithm::name).collect();
    (!is_of(dialect, algorithm)).then(|| {
        format!(
            "`{algorithm}` is not taken in this dialect, `{}`: sign with a key of `{}`",
            dialect.name(),
            taken.join("`, `")
        )
    })
}

/// For a token of an issuer outside.
fn of_issuer(why: Why, issuer: &Issuer, key_id: Option<&str>) -> String {
    let id = key_id.unwrap_or("?");
    match why {
        Why::WrongAlgorithm => {
            let algorithms = issuer.algorithms.iter().map(|one| one.jose_name());
            let algorithms: Vec<_> = algorithms.collect();
            format!(
                "`alg` must be that of the key `{id}`, and one of those in `[issuers.{}]`: `{}`",
                issuer.name,
                algorithms.join("`, `")
            )
        }
        Why::WrongSignature => format!(
            "the token is not signed with the key `{id}` of issuer `{}`: it was changed, or is another's",
            issuer.name
        ),
        _ => shown_token::no_key(issuer, key_id),
    }
}

/// What a token calls the key's algorithm.
fn token_name(algorithm: Algorithm) -> String {
    if algorithm.is_for_tokens() {
        format!(", `{}`", algorithm.jose_name())
    } else {
        format!("; this key is of `{algorithm}`, which signs no tokens")
    }
}

fn claimed(received: &Received<'_>, report: &Report) -> Option<String> {
    if let Ok(Some(presented)) = Presented::read(received) {
        return presented.claimed_key().map(base::unescaped);
    }
    let kid = report.token.as_ref()?.header.get("kid")?;
    kid.as_str().map(str::to_owned)
}
