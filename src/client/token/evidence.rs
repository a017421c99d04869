//! What shows that a genuine instance of an app asks.

use crate::crypto::{Algorithm, BadKey, PrivateKey};
use crate::secret::Secret;
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};
use std::fmt;

/// What is asked for, which evidence may cover.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The app.
    pub app: &'a str,
    /// The challenge to answer.
    pub challenge: &'a str,
    /// The SHA-256 of the `Authorization` that the token will be bound to, in base64.
    pub pay: Option<&'a str>,
    /// The thumbprint of the key that the token will be bound to.
    pub confirmation: Option<&'a str>,
    /// What the token will be for.
    pub scope: Option<&'a str>,
    /// What kind it will be of, where that is none for the gateway's own routes.
    pub typ: Option<&'a str>,
}

/// Shows that a genuine instance asks.
pub trait Evidence: Send + Sync {
    /// The member `evidence` of what is sent, for this very challenge.
    ///
    /// # Errors
    /// Why there is none, in words.
    fn show(&self, asked: &Asked<'_>) -> Result<Value, String>;
}

/// None at all: for a gateway on this machine whose configuration says so.
#[derive(Clone, Debug)]
pub struct Dev {
    instance: String,
    build: Option<String>,
}

impl Dev {
    /// An instance of this name.
    pub fn new(instance: &str) -> Self {
        Self {
            instance: instance.to_owned(),
            build: None,
        }
    }

    /// Of this build.
    #[must_use]
    pub fn build(mut self, build: &str) -> Self {
        self.build = Some(build.to_owned());
        self
    }
}

impl Evidence for Dev {
    fn show(&self, _: &Asked<'_>) -> Result<Value, String> {
        let mut shown = json!({ "format": "dev", "instance": self.instance });
        if let Some(build) = &self.build {
            shown["build"] = build.as_str().into();
        }
        Ok(shown)
    }
}

/// A token that names the workload, as Kubernetes, GitHub Actions and SPIFFE give it: read anew each time, since such
/// tokens do not live long.
pub struct Workload<F>(F);

impl<F: Fn(&str) -> Result<String, String> + Send + Sync> Workload<F> {
    /// `read` gets the challenge, which whoever makes the token may put into it as its `nonce`.
    pub const fn new(read: F) -> Self {
        Self(read)
    }
}

impl<F> fmt::Debug for Workload<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Workload")
    }
}

impl<F: Fn(&str) -> Result<String, String> + Send + Sync> Evidence for Workload<F> {
    fn show(&self, asked: &Asked<'_>) -> Result<Value, String> {
        let token = (self.0)(asked.challenge)?;
        Ok(json!({ "format": "oidc", "token": token.trim_end() }))
    }
}

/// The key of an enrolled instance, which signs what is asked for.
#[derive(Clone, Debug)]
pub struct InstanceKey {
    instance: String,
    build: String,
    key: PrivateKey,
}

impl InstanceKey {
    /// The key of `instance`, of Ed25519 or P-256, in PEM or as a JWK, and the build that it runs.
    ///
    /// # Errors
    /// [`BadKey`].
    pub fn new(
        instance: &str,
        build: &str,
        algorithm: Algorithm,
        key: &Secret,
    ) -> Result<Self, BadKey> {
        if !KINDS.contains(&algorithm) {
            return Err(BadKey::NoPair(algorithm));
        }
        Ok(Self::of(instance, build, PrivateKey::read(algorithm, key)?))
    }

    /// As [`InstanceKey::new`], with a key that was read.
    pub fn of(instance: &str, build: &str, key: PrivateKey) -> Self {
        Self {
            instance: instance.to_owned(),
            build: build.to_owned(),
            key,
        }
    }
}

/// Of what kinds an instance's key may be.
const KINDS: [Algorithm; 2] = [Algorithm::Ed25519, Algorithm::EcdsaP256Sha256];

/// The key of an instance, of whichever of both kinds it is: Ed25519 or P-256, in PEM or as a JWK.
///
/// # Errors
/// [`BadKey`].
pub fn instance_key(key: &Secret) -> Result<PrivateKey, BadKey> {
    let [first, second] = KINDS;
    PrivateKey::read(first, key).or_else(|bad| {
        PrivateKey::read(second, key).map_err(|other| match other {
            // Of the other kind it is not: what was found at first tells more.
            BadKey::OtherKind { .. } => bad,
            other => other,
        })
    })
}

impl Evidence for InstanceKey {
    fn show(&self, asked: &Asked<'_>) -> Result<Value, String> {
        let text = instance_text(asked, &self.instance, &self.build);
        Ok(json!({
            "format": "instance-key",
            "instance": self.instance,
            "build": self.build,
            "signature": BASE64URL_NOPAD.encode(&self.key.sign(text.as_bytes())),
        }))
    }
}

/// The text that an instance signs.
pub fn instance_text(asked: &Asked<'_>, instance: &str, build: &str) -> String {
    let typ = asked.typ.map(|typ| format!("typ: {typ}\n"));
    format!(
        "portcullis-instance-key-v1\napp: {}\nchallenge: {}\ninstance: {instance}\nbuild: {build}\npay: {}\ncnf: {}\nscope: {}\n{}",
        asked.app,
        asked.challenge,
        asked.pay.unwrap_or_default(),
        asked.confirmation.unwrap_or_default(),
        asked.scope.unwrap_or_default(),
        typ.unwrap_or_default(),
    )
}
