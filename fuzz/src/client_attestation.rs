//! Attested clients of OAuth. In: the proof of an attestation's key as a stranger may send it; or, when
//! the input starts with `{`, the claims of the attestation, which is signed first.

use super::gate;
use http::{HeaderMap, HeaderValue, Method, Uri};
use portcullis::route::{
    Bind, ClientAttestation, OAUTH_CLIENT_ATTESTATION, OAUTH_CLIENT_ATTESTATION_POP, Route,
};

/// The key of the examples of the draft, whose private half was never published.
const CLAIMS: &str = r#"{"sub":"shop","exp":1800000300,"iat":1800000000,"cnf":{"jwk":{"kty":"EC","crv":"P-256","x":"VcKVNBZ4IaBAYW3jxM4w3TJFVA7myeUGQyGt-g_yvpQ","y":"f-E-hYE3TAWKwhVv9pej9NABs9SX9XsNO80x57jFTyU"}}}"#;

/// What must hold of any proof.
pub(super) fn check(bytes: &[u8]) {
    let header = format!(
        r#"{{"typ":"oauth-client-attestation+jwt","alg":"HS256","kid":"{}"}}"#,
        gate::KEY_ID
    );
    let Some([attestation, proof]) = gate::beside_proof(&header, CLAIMS, bytes) else {
        return;
    };
    let mut fields = HeaderMap::new();
    fields.insert("host", HeaderValue::from_static("login.example.com"));
    fields.insert(OAUTH_CLIENT_ATTESTATION, attestation);
    fields.insert(OAUTH_CLIENT_ATTESTATION_POP, proof);
    let uri = Uri::from_static("/oauth2/token");
    let route = Route {
        token_fields: vec![OAUTH_CLIENT_ATTESTATION],
        client_attestation: Some(Box::new(ClientAttestation {
            audiences: vec!["https://as.example.com".into()],
            client_ids: Vec::new(),
            challenge: false,
        })),
        ..gate::route(Bind::None)
    };
    let passed = gate::takes_token(&Method::POST, &uri, &fields, &route);
    // Nobody has the key, and what is bound to none is no attestation.
    assert!(!passed, "a proof that nobody made passed");
}
