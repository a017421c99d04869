//! Which fields do not pass.
//!
//! Names are compared with `_` and `.` read as `-`: backends that hand fields
//! on as variables do the same (safety, 20–25).

use crate::route::{InjectedField, OAUTH_CLIENT_ATTESTATION_POP};
use crate::schemes::aws_sigv4::{
    X_AMZ_CONTENT_SHA256, X_AMZ_DECODED_LENGTH, X_AMZ_SECURITY_TOKEN, X_AMZ_TRAILER,
};
use http::header::{AUTHORIZATION, CONNECTION, HeaderMap, HeaderName, HeaderValue};

/// Fields of a proof, besides those a token may stand in.
const PROOF: [&str; 3] = ["signature", "signature-input", "signature-base-digest"];

/// Fields that say what the body is: of one that got longer they are not true.
const DIGESTS: [&str; 4] = ["content-digest", "repr-digest", "digest", "content-md5"];

/// Which of the fields that came are not forwarded.
pub(super) struct Rule<'r> {
    /// Names that `Connection` holds.
    pub(super) nominated: Vec<HeaderName>,
    /// Fields that we add.
    pub(super) injected: &'r [InjectedField],
    /// Whether the body that goes on is longer than the one that came.
    pub(super) body_is_longer: bool,
    pub(super) keep_proof: bool,
    pub(super) token_fields: &'r [HeaderName],
    /// Those of other routes.
    pub(super) foreign_token_fields: &'r [HeaderName],
    /// Fields that hold signatures of webhooks.
    pub(super) webhook_fields: &'r [&'r str],
    /// Fields that a static key may stand in.
    pub(super) key_fields: &'r [HeaderName],
    pub(super) authorization_is_proof: bool,
    /// Whether `DPoP` is a proof for us.
    pub(super) dpop_is_proof: bool,
    /// Whether `OAuth-Client-Attestation-PoP` is one.
    pub(super) pop_is_proof: bool,
    pub(super) authorization_is_signature: bool,
    pub(super) authorization_is_key: bool,
    /// Where AWS Signature Version 4 proved the request.
    pub(super) sigv4: Option<SigV4>,
}

/// What of its fields does not pass.
#[derive(Clone, Copy)]
pub(super) struct SigV4 {
    /// Those that tell how the body was framed.
    pub(super) is_unframed: bool,
}

impl SigV4 {
    fn drops(self, name: &HeaderName, keep_proof: bool) -> bool {
        let is_of_frames = *name == X_AMZ_DECODED_LENGTH
            || *name == X_AMZ_TRAILER
            || *name == X_AMZ_CONTENT_SHA256;
        let is_of_proof = *name == X_AMZ_CONTENT_SHA256 || *name == X_AMZ_SECURITY_TOKEN;
        self.is_unframed && is_of_frames || !keep_proof && is_of_proof
    }
}

impl Rule<'_> {
    pub(super) fn drops(&self, name: &HeaderName) -> bool {
        if self.nominated.contains(name) {
            return true;
        }
        let is_injected = |one: &InjectedField| is_same(name.as_str(), one.name.as_str());
        if self.injected.iter().any(is_injected) {
            return true;
        }
        if self.body_is_longer && DIGESTS.contains(&name.as_str()) {
            return true;
        }
        if *name == AUTHORIZATION {
            return !self.keep_proof
                && (self.authorization_is_signature
                    || self.authorization_is_key
                    || self.authorization_is_proof && self.may_be_token(name));
        }
        // With `keep_proof` it passes like any field, unless it is of those that only we may set.
        if !self.keep_proof && self.foreign_token_fields.contains(name) {
            return true;
        }
        if self.may_be_token(name) || self.key_fields.contains(name) {
            return !self.keep_proof;
        }
        if self
            .sigv4
            .is_some_and(|sigv4| sigv4.drops(name, self.keep_proof))
        {
            return true;
        }
        let name = name.as_str();
        if self.webhook_fields.contains(&name)
            || self.dpop_is_proof && name == "dpop"
            || self.pop_is_proof && name == OAUTH_CLIENT_ATTESTATION_POP.as_str()
        {
            return !self.keep_proof;
        }
        if name.starts_with("signature") && PROOF.contains(&name) {
            return !self.keep_proof;
        }
        is_ours_to_say(name) || is_another_proxys_to_say(name)
    }

    fn may_be_token(&self, name: &HeaderName) -> bool {
        self.token_fields.contains(name)
    }
}

/// Fields that would speak for us or for the connection, and fields by which
/// a client could have a backend take its request for another one. `inject`
/// refuses these, and takes what is another proxy's to say: so some names are in
/// both lists.
pub fn is_ours_to_say(name: &str) -> bool {
    let (exact, fronts): (&[&str], &[&str]) = match name.as_bytes().first() {
        Some(b'c') => (
            &["connection", "content-length", "client-ip"],
            &["client-cert"],
        ),
        Some(b'e') => (&["expect"], &[]),
        Some(b'f') => (&["forwarded"], &[]),
        Some(b'h') => (&["host", "http2-settings"], &[]),
        Some(b'k') => (&["keep-alive"], &[]),
        Some(b'p') => (&["proxy"], &["proxy-", "portcullis-"]),
        Some(b'r') => (&["remote-user", "remote-addr"], &[]),
        Some(b's') => (&[], &["ssl-client-"]),
        Some(b't') => (
            &["te", "trailer", "transfer-encoding", "true-client-ip"],
            &[],
        ),
        Some(b'u') => (&["upgrade"], &[]),
        Some(b'v') => (&["via"], &[]),
        Some(b'x') => (
            &[
                "x-forwarded",
                "x-real-ip",
                "x-request-id",
                "x-rewrite-url",
                "x-http-method",
                "x-http-method-override",
                "x-method-override",
                "x-sendfile",
                "x-sendfile-type",
                "x-remote-user",
                "x-client-ip",
                "x-cluster-client-ip",
            ],
            &[
                "x-forwarded-",
                "x-original-",
                "x-accel-",
                "x-client-cert",
                "x-ssl-client-",
            ],
        ),
        _ => return false,
    };
    is_of(name, exact, fronts)
}

/// Fields by which other proxies tell the servers behind them who calls, from
/// where, by which scheme and certificate, or what was asked for first. A list of
/// names (docs/hardening.md has it too): nothing else tells them from others.
///
/// Not what is signed itself, and means something by its signature alone: backends verify
/// `X-Amzn-Oidc-Data`, `X-Goog-IAP-JWT-Assertion` and `CF-Access-Jwt-Assertion`, and
/// `X-Amzn-Oidc-Accesstoken` is a token of its issuer.
fn is_another_proxys_to_say(name: &str) -> bool {
    let bytes = name.as_bytes();
    let (exact, fronts): (&[&str], &[&str]) = match bytes.first() {
        Some(b'c') => (
            &["cf-pseudo-ipv4", "cloudfront-viewer-address"],
            &[
                "cf-access-authenticated-",
                "cf-client-cert",
                "cf-connecting-ip",
            ],
        ),
        Some(b'd') => (&["do-connecting-ip"], &[]),
        Some(b'f') => (
            &[
                "fastly-client-ip",
                "fly-client-ip",
                "forwarded-for",
                "front-end-https",
            ],
            &[],
        ),
        Some(b'i') => (&[], &["iv-"]),
        Some(b'o') => (&[], &["oam-remote-user", "oidc-claim-"]),
        Some(b'r') => (&[], &["remote-"]),
        Some(b's') => (
            &["sm-authtype", "sm-universalid"],
            &["sm-authdir", "sm-user"],
        ),
        Some(b't') => (&[], &["tailscale-user-"]),
        Some(b'w') => (&[], &["wl-proxy-"]),
        // Of these there are many, so that they are told apart by what follows `x-`.
        Some(b'x') => match bytes.get(2) {
            Some(b'a') => (
                &[
                    "x-amzn-oidc-identity",
                    "x-anonymous-consumer",
                    "x-apigateway-api-userinfo",
                    "x-arr-clientcert",
                    "x-arr-ssl",
                    "x-azure-clientip",
                    "x-azure-socketip",
                ],
                &[
                    "x-amzn-mtls-",
                    "x-appengine-",
                    "x-auth-couchdb-",
                    "x-auth-request-",
                    "x-authenticated-",
                    "x-authentik-",
                ],
            ),
            Some(b'c') => (
                &[],
                &[
                    "x-client-dn",
                    "x-client-verify",
                    "x-consumer-",
                    "x-credential-",
                ],
            ),
            Some(b'e') => (&["x-endpoint-api-userinfo"], &["x-envoy-"]),
            Some(b'g') => (&[], &["x-goog-authenticated-user-"]),
            Some(b'h') => (&["x-http-host-override"], &[]),
            Some(b'm') => (&[], &["x-ms-client-principal", "x-ms-token-"]),
            Some(b'n') => (&["x-nf-client-connection-ip"], &[]),
            Some(b'p') => (&[], &["x-pomerium-claim-"]),
            Some(b'r') => (&[], &["x-remote-"]),
            Some(b's') => (&["x-scheme"], &["x-ssl-"]),
            Some(b't') => (&[], &["x-tls-client"]),
            Some(b'u') => (&["x-url-scheme", "x-userinfo"], &[]),
            Some(b'v') => (&["x-vercel-forwarded-for"], &["x-vouch-"]),
            Some(b'w') => (&[], &["x-webauth-"]),
            _ => return false,
        },
        _ => return false,
    };
    is_of(name, exact, fronts)
}

fn is_of(name: &str, exact: &[&str], fronts: &[&str]) -> bool {
    exact
        .iter()
        .any(|one| one.len() == name.len() && begins(name, one))
        || fronts.iter().any(|front| begins(name, front))
}

/// Fields of an answer that are meant for us, or that only we may set.
/// `Trailer` passes, since trailers do.
pub(super) fn is_of_one_hop(name: &str) -> bool {
    match name.as_bytes().first() {
        Some(b'c') => name == "connection",
        Some(b'k') => name == "keep-alive",
        Some(b'p') => begins(name, "portcullis-") || name.starts_with("proxy-"),
        Some(b't') => matches!(name, "te" | "transfer-encoding"),
        Some(b'u') => name == "upgrade",
        _ => false,
    }
}

/// Whether a server may take the two for one name.
fn is_same(name: &str, other: &str) -> bool {
    let fold = |byte: u8| match byte {
        other if other.is_ascii_alphanumeric() => other,
        _ => b'-',
    };
    name.len() == other.len() && name.bytes().map(fold).eq(other.bytes().map(fold))
}

/// Whether `name` begins with `front`, with all that is neither letter nor digit read as `-`.
fn begins(name: &str, front: &str) -> bool {
    name.len() >= front.len()
        && name
            .bytes()
            .zip(front.bytes())
            .all(|(byte, wanted)| byte == wanted || wanted == b'-' && !byte.is_ascii_alphanumeric())
}

/// The fields that `Connection` names: read once, since each is compared with every field.
pub(super) fn nominated(fields: &HeaderMap) -> Vec<HeaderName> {
    if !fields.contains_key(CONNECTION) {
        return Vec::new();
    }
    let values = fields.get_all(CONNECTION).iter();
    values
        .map(HeaderValue::as_bytes)
        .filter(|value| {
            !value.eq_ignore_ascii_case(b"keep-alive") && !value.eq_ignore_ascii_case(b"close")
        })
        .flat_map(|value| value.split(|byte| *byte == b','))
        // What is no name names no field.
        .filter_map(|one| HeaderName::from_bytes(one.trim_ascii()).ok())
        .collect()
}
