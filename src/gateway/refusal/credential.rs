//! What is told to a caller whose credential does not let it in.

use super::{Code, Refusal};
use crate::apps::{Assurance, Scheme};
use crate::route::KeyPlaces;
use crate::schemes::aws_sigv4::coverage::{ASTERISK, LONE_MARK, how_to_sign};
use crate::schemes::freshness::is_in_milliseconds;
use crate::schemes::{self, Explained, Unbound, Wanted, Why};
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
        schemes::Refused::Rejected { why: Why::Claim(claim), .. } => token_detail(claim),
        schemes::Refused::Rejected { why: Why::WrongProof, .. } => "The signature of the DPoP proof does not match the key in its header.".to_owned(),
        schemes::Refused::Rejected { why: Why::Proof(what), .. } => proof_detail(what),
        schemes::Refused::Rejected { why: Why::WrongPop, .. } => "The signature of the proof in `OAuth-Client-Attestation-PoP` does not match the key in the attestation (`cnf.jwk`).".to_owned(),
        schemes::Refused::Rejected { why: Why::Pop(what), .. } => pop_detail(what),
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
        schemes::Refused::Skew { ours, theirs } if is_in_milliseconds(*theirs) => format!(
            "The credential was made at {theirs}, it is {ours} here: times are in whole seconds, and this looks like milliseconds."
        ),
        schemes::Refused::Skew { ours, theirs } => format!(
            "The credential was made at {theirs}, it is {ours} here ({} s apart): set the clock, or sign when you send.",
            ours.abs_diff(*theirs)
        ),
        schemes::Refused::Expired { at } => format!("The credential ended at {at} (Unix seconds); make a new one."),
        schemes::Refused::Digest => "The request has no body, and its digest is not that of nothing.".to_owned(),
        schemes::Refused::Unread => "The body's SHA-256 is signed and no field tells it: send it in `X-Amz-Content-Sha256`.".to_owned(),
        schemes::Refused::Unbegun => "A body without a length counts as one: cover its digest, or send `Content-Length: 0`.".to_owned(),
        schemes::Refused::Binding(unbound) => unbound_detail(*unbound).to_owned(),
        schemes::Refused::AppDisabled => "Ask the gateway's operator.".to_owned(),
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

/// Told to those whose token holds.
const fn unbound_detail(unbound: Unbound) -> &'static str {
    match unbound {
        Unbound::Authorization => {
            "The token holds for one `Authorization` (claim `pay`), and this request has another or none."
        }
        Unbound::Certificate => {
            "The token is bound to a client certificate (`cnf.x5t#S256`), and this connection shows another or none."
        }
        Unbound::NotBound => {
            "The token is bound to no key (claim `cnf`): send no DPoP proof with it, and not behind `DPoP`; where the route asks for a binding, get a token that has one."
        }
        Unbound::NoProof => "The token is bound to a key: send a proof of it in `DPoP` (RFC 9449).",
        Unbound::NoProofOrSignature => {
            "The token is bound to a key: send a proof of it in `DPoP` (RFC 9449), or sign the request with it where the route takes both."
        }
        Unbound::NoSignature => {
            "The token goes with a signature of the request: sign it too (RFC 9421), on a route that takes both."
        }
        Unbound::OtherKey => {
            "The DPoP proof is by another key than the one that the token is bound to (`cnf.jkt`)."
        }
        Unbound::OtherToken => {
            "The DPoP proof is for another token: `ath` must be the base64url of the SHA-256 of the token."
        }
        Unbound::OtherMethod => "The DPoP proof is for another method than this request's (`htm`).",
        Unbound::OtherUrl => {
            "The DPoP proof is for another URL than this request's (`htu`): scheme, host, port and path must be those that the gateway is called by."
        }
        Unbound::Nonce => "The DPoP proof needs the nonce in `DPoP-Nonce`: make a new one with it.",
        Unbound::Signature => {
            "The signature is by another key than the one that the token is bound to (`cnf`)."
        }
        Unbound::AsBearer => {
            "The token is bound to a key by DPoP: send it as `Authorization: DPoP`."
        }
        Unbound::NoPop => {
            "The attestation needs a proof of its key: send one in `OAuth-Client-Attestation-PoP`, or in `DPoP`."
        }
        Unbound::OtherAudience => {
            "The proof of the attestation's key is for another audience: `aud` must be the issuer identifier of the authorization server, alone."
        }
        Unbound::Challenge => {
            "The proof of the attestation's key needs the challenge in `OAuth-Client-Attestation-Challenge`: make a new one with it."
        }
    }
}

/// Of a DPoP proof, which everyone can make for himself.
fn proof_detail(what: &str) -> String {
    let rule = match what {
        "typ" => "it is `dpop+jwt`",
        "alg" => "it is one of ES256, ES384, EdDSA, Ed25519, PS256 and RS256",
        "jwk" => {
            "it is a public key of the kind that `alg` says, with no member of the private one"
        }
        "jti" => "it is a text of 1 to 256 bytes, another for every proof",
        "iat" => "it is in whole seconds, not milliseconds, since 1970",
        "htm" | "htu" => "it is a text",
        "ath" => "it is the base64url of the SHA-256 of the token",
        "header" => {
            return "The header of the DPoP proof has more than `typ`, `alg` and `jwk`.".to_owned();
        }
        "exp" => "it is in whole seconds since 1970, and not over",
        _ => "it is in whole seconds since 1970",
    };
    format!("The DPoP proof's `{what}` is not accepted: {rule}.")
}

/// Of a proof of an attestation's key, which everyone can make for himself.
fn pop_detail(what: &str) -> String {
    let rule = match what {
        "typ" => "it is `oauth-client-attestation-pop+jwt`",
        "alg" => "it is that of the key in the attestation (`cnf.jwk`)",
        "jti" => "it is a text of 1 to 256 bytes, another for every proof",
        "aud" => "it is the issuer identifier of the authorization server",
        "iat" => "it is in whole seconds, not milliseconds, since 1970",
        "header" => {
            return "The header of the proof of an attestation's key has more than `typ` and `alg`.".to_owned();
        }
        "exp" => "it is in whole seconds since 1970, and not over",
        _ => "it is in whole seconds since 1970",
    };
    format!("The `{what}` of the proof in `OAuth-Client-Attestation-PoP` is not accepted: {rule}.")
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

/// Told to those whose signature holds, and of the header, which is no secret.
fn token_detail(what: &str) -> String {
    let rule = match what {
        "lifetime" => return "The token lives too long: from `iat` to `exp` it may have `max_lifetime`, of the gateway's `[tokens]` or of its issuer.".to_owned(),
        "app" => return "The token stands for no app here: the claim that tells which one is missing, or its value is not listed.".to_owned(),
        "attestation typ" => return "The `typ` of what stands in `OAuth-Client-Attestation` must be `oauth-client-attestation+jwt`.".to_owned(),
        "attestation" => return "An attestation has `sub`, the client's id, `iat`, `exp`, and in `cnf.jwk` the client's public key, with `alg` if it is of RSA.".to_owned(),
        "client" => return "The attestation is of a client (`sub`) that this route does not take.".to_owned(),
        "header" => return "The token's header has more than `alg`, `kid` and `typ`.".to_owned(),
        "exp" => "every token has one, in whole seconds, not milliseconds, since 1970",
        "iat" | "nbf" => "it is in whole seconds, not milliseconds, since 1970",
        "aud" => "it must be, or list, the `audience` of the gateway's `[tokens]` or of the token's issuer",
        "scope" => "it is one text, names joined by spaces",
        "iss" => "it is a text, and that of the issuer, letter by letter",
        "sub" | "jti" | "pay" => "it is a text",
        "typ" => "it is `JWT` or `at+jwt`, or left out",
        "cnf" => "it has `jkt`, `jwk` or `x5t#S256`, and nothing else",
        "instance" => "this instance of the app is no longer known",
        "build" => "this build of the app is no longer accepted",
        "signature_key" => "it is a public key on P-256, in DER and base64",
        _ => "the header may have `alg`, `kid` and `typ` only",
    };
    format!("The token's `{what}` is not accepted: {rule}.")
}
