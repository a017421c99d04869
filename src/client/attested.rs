//! For clients of OAuth that are attested (draft-ietf-oauth-attestation-based-client-auth-09).

use super::{fresh_nonce, pair_for_tokens};
use crate::clock::Clock;
use crate::crypto::{Algorithm, BadKey, PrivateKey};
use crate::schemes::token::attestation::{
    OAUTH_CLIENT_ATTESTATION, OAUTH_CLIENT_ATTESTATION_POP, PopClaims, sign_pop,
};
use crate::secret::Secret;
use http::header::InvalidHeaderValue;
use http::{HeaderMap, HeaderValue};

/// Shows an attestation, and proves its key, once for every request.
///
/// ```
/// use portcullis::client::AttestedClient;
/// use portcullis::crypto::Algorithm;
/// use portcullis::secret::Secret;
///
/// # let pem = Secret::new(include_bytes!("../../tests/it/vectors/rfc9421/keys/test-key-ecc-p256.pem").to_vec());
/// let client = AttestedClient::new(Algorithm::EcdsaP256Sha256, &pem)?;
/// // Whoever attests puts this into `cnf.jwk`.
/// let jwk = client.public_jwk();
/// # let (attestation, jwk) = ("a.b.c", jwk);
/// let mut request = http::Request::post("https://login.example.com/oauth2/token").body("grant_type=…")?;
/// client.prove(attestation, "https://login.example.com", None, request.headers_mut())?;
/// assert!(request.headers().contains_key("oauth-client-attestation-pop"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct AttestedClient {
    key: PrivateKey,
    clock: Clock,
}

impl AttestedClient {
    /// A private key, in PEM or as a JWK, of an algorithm that tokens are signed with.
    ///
    /// # Errors
    /// [`BadKey`].
    pub fn new(algorithm: Algorithm, key: &Secret) -> Result<Self, BadKey> {
        let key = pair_for_tokens(algorithm, key)?;
        // One that has a public half.
        key.public()?;
        Ok(Self {
            key,
            clock: Clock::system(),
        })
    }

    /// Takes the time from `clock`.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The public half of the key, as JSON.
    pub fn public_jwk(&self) -> String {
        self.key.public_jwk()
    }

    /// Adds the attestation and a proof for `audience`: the issuer identifier of the authorization
    /// server. `challenge` is what the last answer with `OAuth-Client-Attestation-Challenge` has given.
    ///
    /// # Errors
    /// [`InvalidHeaderValue`]: `attestation` cannot stand in a field.
    ///
    /// # Panics
    /// Never: a proof is base64url.
    pub fn prove(
        &self,
        attestation: &str,
        audience: &str,
        challenge: Option<&str>,
        fields: &mut HeaderMap,
    ) -> Result<(), InvalidHeaderValue> {
        let attestation = HeaderValue::try_from(attestation)?;
        let proof = sign_pop(
            &self.key,
            &PopClaims {
                audience,
                iat: self.clock.now().unix_seconds(),
                jti: &fresh_nonce(),
                challenge,
            },
        );
        let proof = HeaderValue::try_from(proof).expect("a proof is base64url");
        fields.insert(OAUTH_CLIENT_ATTESTATION, attestation);
        fields.insert(OAUTH_CLIENT_ATTESTATION_POP, proof);
        Ok(())
    }
}
