//! What is told to a caller whose credential does not let it in.

use super::{Code, Refusal, token as of_token};
use crate::apps::{Assurance, Scheme};
use crate::route::KeyPlaces;
use crate::schemes::aws_sigv4::coverage::{ASTERISK, LONE_MARK, how_to_sign};
use crate::schemes::freshness::is_in_milliseconds;
use crate::schemes::{self, Explained, Timed, Unbound, Wanted, Why};
use crate::{authorize, replay};
use http::header::{AUTHORIZATION, HeaderName};
use std::borrow::Cow;

/// Its row in the table.
pub(super) const fn code(refused: &schemes::Refused) -> Code {
    match refused {
        schemes::Refused::Missing | schemes::Refused::Nothing(_) => Code::CredentialMissing,
        schemes::Refused::NotAccepted(_) | schemes::Refused::Alone(_) => Code::SchemeNotAccepted,
        schemes::Refused::Malformed(_) => Code::MalformedCredential,
        schemes::Refused::Rejected { .. } => Code::CredentialRejected,
        schemes::Refused::Coverage(_)
        | schemes::Refused::NobodySigns(_)
        | schemes::Refused::TokenNotCovered(_)
        | schemes::Refused::Absent(_)
        | schemes::Refused::Unread
        | schemes::Refused::Unbegun => Code::CoverageMissing,
        schemes::Refused::Skew { .. } => Code::ClockSkew,
        schemes::Refused::Expired { .. } => Code::CredentialExpired,
        schemes::Refused::Digest => Code::DigestMismatch,
        schemes::Refused::Binding(unbound) if unbound.is_missing() => Code::CredentialMissing,
        schemes::Refused::Binding(_) | schemes::Refused::OtherApp => Code::BindingMismatch,
        schemes::Refused::AppDisabled => Code::AppDisabled,
    }
}

/// What to show, to whoever shows nothing.
fn show(wanted: &Wanted) -> String {
    let mut ways: Vec<String> = wanted.schemes.iter().map(|one| way(one, wanted)).collect();
    if wanted.pair {
        ways.push(format!(
            "{} and, beside it, {SIGNATURE} which covers it too",
            token(wanted)
        ));
    }
    match ways.split_last() {
        Some((last, [])) => format!("Send {last}."),
        Some((last, others)) => format!("Send {}, or {last}.", others.join(", ")),
        None => "Show a credential.".to_owned(),
    }
}

const SIGNATURE: &str = "a signature (RFC 9421: `Signature-Input` and `Signature`; `Accept-Signature` tells what to cover)";

fn way(scheme: Scheme, wanted: &Wanted) -> String {
    let way = match scheme {
        Scheme::HttpSignature => SIGNATURE,
        Scheme::AwsSigv4 => {
            "a signature of AWS Signature Version 4 (`Authorization: AWS4-HMAC-SHA256 …`)"
        }
        Scheme::HmacAuth => {
            "a signature in this route's dialect (`WWW-Authenticate` tells what to cover)"
        }
        Scheme::Token => return token(wanted),
        Scheme::ClientCertificate => "a client certificate, in the TLS handshake",
        Scheme::ApiKey => return static_key(wanted.key_places.as_deref()),
        Scheme::Webhook => "a webhook as its sender signs it, with its signature",
    };
    way.to_owned()
}

/// A token, and the fields of the route in which it may stand.
fn token(wanted: &Wanted) -> String {
    let (word, proof) = if wanted.is_bound {
        ("DPoP", ", and its proof in `DPoP`")
    } else {
        ("Bearer", "")
    };
    let places = wanted.token_fields.iter().map(|field| {
        if *field == AUTHORIZATION {
            format!("`Authorization: {word}`")
        } else {
            format!("`{}`", shown(field))
        }
    });
    format!("a token, in {}{proof}", either(places))
}

/// A static key, and where it may stand.
fn static_key(places: Option<&KeyPlaces>) -> String {
    let Some(places) = places else {
        return "a static key".to_owned();
    };
    let fields = places.fields.iter();
    let fields = fields.map(|field| format!("`{}`", shown(field)));
    let words = places.authorization.iter();
    let words = words.map(|word| format!("`Authorization: {}`", word.name()));
    let query = places.query.iter().map(|name| format!("`?{name}=`"));
    let all = fields.chain(words).chain(query);
    format!("a static key, in {}", either(all))
}

fn either(places: impl Iterator<Item = String>) -> String {
    places.collect::<Vec<_>>().join(" or ")
}

/// The name of a field as people write it.
fn shown(field: &HeaderName) -> String {
    let words = field.as_str().split('-').map(|word| {
        let (first, rest) = word.split_at(word.len().min(1));
        format!("{}{rest}", first.to_ascii_uppercase())
    });
    words.collect::<Vec<_>>().join("-")
}

pub(super) fn detail(refused: &schemes::Refused) -> String {
    match refused {
        schemes::Refused::Missing => format!("Send {SIGNATURE}, or a token."),
        schemes::Refused::Nothing(wanted) => show(wanted),
        schemes::Refused::NotAccepted(scheme) => format!("This route does not accept `{scheme}`."),
        schemes::Refused::Alone(scheme) => {
            let missing = match scheme {
                Scheme::Token => "a signature (`http-signature`) beside the token, which covers it",
                _ => "a token beside the signature, which covers it",
            };
            format!("This route asks for a token and a signature together: send {missing}.")
        }
        schemes::Refused::TokenNotCovered(field) => format!(
            "The signature must cover `{field}` too, where the token stands."
        ),
        schemes::Refused::OtherApp => "The token and the signature are of two apps; both must be of the one that calls.".to_owned(),
        schemes::Refused::Malformed(what) => what.clone(),
        schemes::Refused::Rejected { why: Why::Claim(claim), .. } => of_token::claim(claim),
        schemes::Refused::Rejected { why: Why::WrongProof, .. } => "The signature of the DPoP proof does not match the key in its header.".to_owned(),
        schemes::Refused::Rejected { why: Why::Proof(what), .. } => of_token::proof(what),
        schemes::Refused::Rejected { why: Why::WrongPop, .. } => "The signature of the proof in `OAuth-Client-Attestation-PoP` does not match the key in the attestation (`cnf.jwk`).".to_owned(),
        schemes::Refused::Rejected { why: Why::Pop(what), .. } => of_token::pop(what),
        schemes::Refused::Rejected { explained: Some(explained), .. } => compared(explained),
        schemes::Refused::Rejected { explained: None, .. } => {
            "The key is not known or not in force, or the signature does not match the request as it arrived. `portcullis explain` shows the text to sign.".to_owned()
        }
        schemes::Refused::Coverage(missing) => not_covered(missing),
        schemes::Refused::NobodySigns(there) => format!(
            "No sender of webhooks signs {}: a webhook is a `POST` to a URL without a query, and carries no `Authorization`.",
            list(there)
        ),
        schemes::Refused::Absent(component) => format!("The signature covers `{component}`, which the request does not carry as it arrived."),
        schemes::Refused::Skew { of, ours, theirs } if is_in_milliseconds(*theirs) => format!(
            "{} was made at {theirs}, it is {ours} here: times are in whole seconds, and this looks like milliseconds.",
            timed(*of)
        ),
        schemes::Refused::Skew { of, ours, theirs } => format!(
            "{} was made at {theirs}, it is {ours} here ({} s apart): set the clock, or sign when you send.",
            timed(*of),
            ours.abs_diff(*theirs)
        ),
        schemes::Refused::Expired { at } => format!("The credential ended at {at} (Unix seconds); make a new one."),
        schemes::Refused::Digest => "The request has no body, and its digest is not that of nothing.".to_owned(),
        schemes::Refused::Unread => "The body's SHA-256 is signed and no field tells it: send it in `X-Amz-Content-Sha256`.".to_owned(),
        schemes::Refused::Unbegun => "A body without a length counts as one: cover its digest, or send `Content-Length: 0`.".to_owned(),
        schemes::Refused::Binding(unbound) => of_token::unbound(*unbound).to_owned(),
        schemes::Refused::AppDisabled => "Ask the gateway's operator.".to_owned(),
    }
}

const fn timed(of: Timed) -> &'static str {
    match of {
        Timed::Credential => "The credential",
        Timed::DpopProof => "The DPoP proof",
        Timed::Pop => "The proof in `OAuth-Client-Attestation-PoP`",
    }
}

/// What went wrong with an attested client of OAuth, in the words of
/// draft-ietf-oauth-attestation-based-client-auth-09, section 7.4, or of DPoP where that is its
/// proof. One word for all that does not hold: a guesser learns nothing by it.
pub(in crate::gateway) fn oauth_error(refusal: &Refusal) -> Option<&'static str> {
    const INVALID: &str = "invalid_client_attestation";
    match refusal {
        Refusal::Credential(refused) => match refused {
            schemes::Refused::Binding(Unbound::Challenge) => Some("use_attestation_challenge"),
            schemes::Refused::Expired { .. } => Some("use_fresh_attestation"),
            schemes::Refused::Rejected { .. }
            | schemes::Refused::Skew { .. }
            | schemes::Refused::Binding(_) => dpop_error(refused).or(Some(INVALID)),
            _ => None,
        },
        Refusal::Replay(replay::Refused::Replayed | replay::Refused::MaybeReplayed) => {
            Some(INVALID)
        }
        _ => None,
    }
}

/// What is wrong with a DPoP proof, or with the token beside it (RFC 9449, sections 7.1 and 9).
pub(in crate::gateway) const fn dpop_error(refused: &schemes::Refused) -> Option<&'static str> {
    match refused {
        schemes::Refused::Binding(Unbound::Nonce) => Some("use_dpop_nonce"),
        schemes::Refused::Binding(
            Unbound::OtherToken
            | Unbound::OtherMethod
            | Unbound::OtherUrl
            | Unbound::NoProof
            | Unbound::NoProofOrSignature,
        )
        | schemes::Refused::Rejected {
            why: Why::WrongProof | Why::Proof(_),
            ..
        }
        | schemes::Refused::Skew {
            of: Timed::DpopProof,
            ..
        } => Some("invalid_dpop_proof"),
        schemes::Refused::Binding(Unbound::OtherKey | Unbound::AsBearer | Unbound::NotBound) => {
            Some("invalid_token")
        }
        _ => None,
    }
}

/// What to make of the text that a caller is shown.
fn compared(explained: &Explained) -> String {
    let told = match explained.same_text {
        Some(true) => {
            return "You signed the text that we see: the key id or the secret is wrong."
                .to_owned();
        }
        Some(false) => "You signed another text than we see: compare yours with `signature_base`.",
        None => {
            "Compare the text you signed with `signature_base`; if they are equal, the key id or the secret is wrong."
        }
    };
    match explained.others {
        0 => told.to_owned(),
        others => format!(
            "{told} It is one of {}, with path, query or body written otherwise, that would do: keep to your signer's way.",
            others + 1
        ),
    }
}

/// What must be covered, and what must go since no signature can cover it.
fn not_covered(missing: &[Cow<'static, str>]) -> String {
    let names = missing
        .iter()
        .filter(|name| !matches!(&***name, ASTERISK | LONE_MARK));
    let names: Vec<_> = names.cloned().collect();
    let mut told = Vec::with_capacity(2);
    if !names.is_empty() {
        let how = names.iter().find_map(|name| how_to_sign(name));
        let how = how.map(|how| format!(": {how}")).unwrap_or_default();
        told.push(format!(
            "The signature must cover {} too{how}.",
            list(&names)
        ));
    }
    for name in missing {
        match &**name {
            ASTERISK => told.push(format!("The target is {ASTERISK}.")),
            LONE_MARK => told.push(format!("The target ends in {LONE_MARK}.")),
            _ => {}
        }
    }
    told.join(" ")
}

fn list(names: &[Cow<'static, str>]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

/// What is told to a caller who is proven, and may not.
pub(super) fn denied(refused: &authorize::Refused) -> String {
    match refused {
        authorize::Refused::ScopeMissing(scope) => format!(
            "This route needs the scope `{scope}`, which the app or its token does not have."
        ),
        authorize::Refused::TooLow { needed, shown, by } => format!(
            "The {by} asks for `{}`, this request is proven as `{}`: {}.",
            needed.name(),
            shown.name(),
            what_to_show(*needed)
        ),
        authorize::Refused::Downgraded { reached, shown } => format!(
            "This app has moved up to `{}` and may not fall back to `{}` (`downgrade`): change the caller, or ask the gateway's operator.",
            reached.name(),
            shown.name()
        ),
    }
}

const fn what_to_show(needed: Assurance) -> &'static str {
    match needed {
        Assurance::None | Assurance::Key => "show a credential",
        Assurance::Signed => "sign it",
        Assurance::Attested => "show a token of somebody who attests, not one of the app's own",
        Assurance::AttestedSigned => {
            "sign it, and show a token of somebody who attests beside the signature"
        }
    }
}
