//! The proof of a key beside a token (DPoP, RFC 9449).

use super::bad_key;
use crate::cli::key::{AlgorithmName, named_by};
use crate::cli::message::Message;
use crate::client::DpopKey;
use crate::clock::Clock;
use crate::schemes::token::dpop::{DPOP, DPOP_NONCE};
use anyhow::Result;
use clap::Args;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Which key a token is bound to.
#[derive(Args, Clone)]
pub(super) struct DpopArgs {
    /// Bind the token to this private key, `env:NAME` or `file:PATH`, and prove in `DPoP` that it is there
    #[arg(long, value_name = "REFERENCE", help_heading = "Token")]
    dpop: Option<String>,
    /// The algorithm of that key
    #[arg(
        long,
        value_name = "NAME",
        default_value = "ecdsa-p256-sha256",
        requires = "dpop",
        help_heading = "Token"
    )]
    dpop_algorithm: AlgorithmName,
    /// The nonce that the gateway asks for in `DPoP-Nonce`; `request` asks once more by itself where none is named
    #[arg(long, value_name = "TEXT", requires = "dpop", help_heading = "Token")]
    dpop_nonce: Option<String>,
}

impl DpopArgs {
    pub(super) const fn is_given(&self) -> bool {
        self.dpop.is_some()
    }

    pub(super) const fn names_nonce(&self) -> bool {
        self.dpop_nonce.is_some()
    }

    /// The key, if one is named.
    pub(super) fn bound(&self) -> Result<Option<Bound>> {
        let Some(reference) = &self.dpop else {
            return Ok(None);
        };
        let key = DpopKey::new(
            self.dpop_algorithm.algorithm(),
            &named_by("--dpop", reference)?,
        );
        Ok(Some(Bound {
            key: key.map_err(bad_key)?,
            nonce: Mutex::new(self.dpop_nonce.clone()),
        }))
    }
}

/// The key that a token is bound to, and the nonce that its next proof holds. Does not print.
pub(super) struct Bound {
    key: DpopKey,
    nonce: Mutex<Option<String>>,
}

impl Bound {
    /// What a token holds that is bound to it.
    pub(super) fn thumbprint(&self) -> String {
        self.key.thumbprint()
    }

    /// The field that proves the key beside `token`.
    pub(super) fn prove(
        &self,
        message: &Message,
        token: &str,
        clock: Clock,
    ) -> Option<(HeaderName, String)> {
        let mut fields = HeaderMap::new();
        let nonce = self.nonce().clone();
        let (method, uri) = (&message.method, &message.uri);
        let key = self.key.clone().clock(clock);
        key.prove(method, uri, token, nonce.as_deref(), &mut fields);
        let proof = fields.get(DPOP)?.to_str().ok()?;
        Some((DPOP, proof.to_owned()))
    }

    /// Keeps the nonce that an answer gives for the next proof (RFC 9449, section 8.2); whether it gives one.
    pub(super) fn learn(&self, answer: &HeaderMap) -> bool {
        let given = answer.get(DPOP_NONCE).map(HeaderValue::to_str);
        let Some(Ok(given)) = given else {
            return false;
        };
        *self.nonce() = Some(given.to_owned());
        true
    }

    fn nonce(&self) -> MutexGuard<'_, Option<String>> {
        self.nonce.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
