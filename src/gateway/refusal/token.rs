//! What is told of a token, of what it is bound to, and of the proofs beside it.

use crate::schemes::Unbound;

/// Told to those whose signature holds, and of the header, which is no secret.
pub(super) fn claim(what: &str) -> String {
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
        "cnf.jkt" | "cnf.x5t#S256" => "it is a SHA-256 in base64url, 43 characters, without `=` behind them",
        "cnf.jwk" => "it is the public key alone, of a kind that tokens are signed with, and with `alg` if it is of RSA",
        "instance" => "this instance of the app is no longer known",
        "build" => "this build of the app is no longer accepted",
        "signature_key" => "it is a public key on P-256, in DER and base64",
        _ => "the header may have `alg`, `kid` and `typ` only",
    };
    format!("The token's `{what}` is not accepted: {rule}.")
}

/// Told to those whose token holds.
pub(super) const fn unbound(unbound: Unbound) -> &'static str {
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
pub(super) fn proof(what: &str) -> String {
    let rule = match what {
        "typ" => "it is `dpop+jwt`",
        "alg" => "it is one of ES256, ES384, EdDSA, Ed25519, PS256 and RS256",
        "jwk" => {
            "it is a public key of the kind that `alg` says, with no member of the private one"
        }
        "jti" => "it is a text of 1 to 256 bytes, another for every proof",
        "iat missing" => {
            return "The DPoP proof's `iat` is missing: it is the time at which the proof was made, in whole seconds since 1970.".to_owned();
        }
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
pub(super) fn pop(what: &str) -> String {
    let rule = match what {
        "typ" => "it is `oauth-client-attestation-pop+jwt`",
        "alg" => "it is that of the key in the attestation (`cnf.jwk`)",
        "jti" => "it is a text of 1 to 256 bytes, another for every proof",
        "aud" => "it is the issuer identifier of the authorization server",
        "iat missing" => {
            return "The `iat` of the proof in `OAuth-Client-Attestation-PoP` is missing: it is the time at which the proof was made, in whole seconds since 1970.".to_owned();
        }
        "iat" => "it is in whole seconds, not milliseconds, since 1970",
        "header" => {
            return "The header of the proof of an attestation's key has more than `typ` and `alg`.".to_owned();
        }
        "exp" => "it is in whole seconds since 1970, and not over",
        _ => "it is in whole seconds since 1970",
    };
    format!("The `{what}` of the proof in `OAuth-Client-Attestation-PoP` is not accepted: {rule}.")
}
