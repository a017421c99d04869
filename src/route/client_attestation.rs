//! What a route asks of clients of OAuth that are attested
//! (draft-ietf-oauth-attestation-based-client-auth-09).

use http::HeaderName;

/// The field that the attestation stands in: a token.
pub const OAUTH_CLIENT_ATTESTATION: HeaderName =
    HeaderName::from_static("oauth-client-attestation");
/// The field that its proof of possession stands in.
pub const OAUTH_CLIENT_ATTESTATION_POP: HeaderName =
    HeaderName::from_static("oauth-client-attestation-pop");

/// What is asked of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientAttestation {
    /// What `aud` of a proof must be: one of these.
    pub audiences: Vec<Box<str>>,
    /// Which clients, by `sub`; none is any.
    pub client_ids: Vec<Box<str>>,
    /// Whether a proof must hold a challenge of ours.
    pub challenge: bool,
}
