//! For those who show a token that is bound to a key of theirs (DPoP, RFC 9449).

use super::{fresh_nonce, pair_for_tokens};
use crate::clock::Clock;
use crate::crypto::{Algorithm, BadKey, PrivateKey};
use crate::schemes::token::dpop::{DPOP, ProofClaims, sign_proof};
use crate::secret::Secret;
use data_encoding::BASE64URL_NOPAD;
use http::{HeaderMap, HeaderValue, Method, Uri};

/// Proves the possession of a key, once for every request.
///
/// ```
/// use portcullis::client::DpopKey;
/// use portcullis::crypto::Algorithm;
/// use portcullis::secret::Secret;
///
/// # let pem = Secret::new(include_bytes!("../../tests/it/vectors/rfc9421/keys/test-key-ecc-p256.pem").to_vec());
/// let key = DpopKey::new(Algorithm::EcdsaP256Sha256, &pem)?;
/// // Whoever makes the token binds it to this: `"cnf": { "jkt": … }`.
/// let jkt = key.thumbprint();
/// # let (token, jkt) = ("a.b.c", jkt);
/// let mut request = http::Request::get("https://api.example.com/orders/1?x=1").body(())?;
/// let (method, uri) = (request.method().clone(), request.uri().clone());
/// key.prove(&method, &uri, token, None, request.headers_mut());
/// assert!(request.headers().contains_key("dpop"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct DpopKey {
    key: PrivateKey,
    thumbprint: [u8; 32],
    clock: Clock,
}

impl DpopKey {
    /// A private key, in PEM or as a JWK, of an algorithm that tokens are signed with.
    ///
    /// # Errors
    /// [`BadKey`].
    pub fn new(algorithm: Algorithm, key: &Secret) -> Result<Self, BadKey> {
        let key = pair_for_tokens(algorithm, key)?;
        Ok(Self {
            thumbprint: *key.public()?.thumbprint(),
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

    /// What a token that is bound to this key holds in `cnf.jkt` (RFC 7638).
    pub fn thumbprint(&self) -> String {
        BASE64URL_NOPAD.encode(&self.thumbprint)
    }

    /// Adds the proof for a request of this method to this URL, which shows `token`. `nonce` is the
    /// one that the last answer with `DPoP-Nonce` has given.
    ///
    /// # Panics
    /// Never: a proof is base64url.
    pub fn prove(
        &self,
        method: &Method,
        uri: &Uri,
        token: &str,
        nonce: Option<&str>,
        fields: &mut HeaderMap,
    ) {
        let proof = sign_proof(
            &self.key,
            &ProofClaims {
                method: method.as_str(),
                url: &uri.to_string(),
                token,
                iat: self.clock.now().unix_seconds(),
                jti: &fresh_nonce(),
                nonce,
            },
        );
        let value = HeaderValue::try_from(proof).expect("a proof is base64url");
        fields.insert(DPOP, value);
    }
}
