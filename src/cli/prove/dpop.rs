//! The proof of a key beside a token (DPoP, RFC 9449).

use super::bad_key;
use crate::cli::key::{AlgorithmName, named_by};
use crate::cli::message::Message;
use crate::client::DpopKey;
use crate::clock::Clock;
use crate::schemes::token::dpop::DPOP;
use anyhow::Result;
use clap::Args;
use http::{HeaderMap, HeaderName};

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
    /// The nonce that the gateway asks for in `DPoP-Nonce`
    #[arg(long, value_name = "TEXT", requires = "dpop", help_heading = "Token")]
    dpop_nonce: Option<String>,
}

impl DpopArgs {
    pub(super) const fn is_given(&self) -> bool {
        self.dpop.is_some()
    }

    pub(super) fn key(&self, clock: Clock) -> Result<Option<DpopKey>> {
        let Some(reference) = &self.dpop else {
            return Ok(None);
        };
        let key = DpopKey::new(
            self.dpop_algorithm.algorithm(),
            &named_by("--dpop", reference)?,
        );
        Ok(Some(key.map_err(bad_key)?.clock(clock)))
    }

    /// The field that proves `key` beside `token`.
    pub(super) fn prove(
        &self,
        key: &DpopKey,
        message: &Message,
        token: &str,
    ) -> Option<(HeaderName, String)> {
        let mut fields = HeaderMap::new();
        let nonce = self.dpop_nonce.as_deref();
        key.prove(&message.method, &message.uri, token, nonce, &mut fields);
        let proof = fields.get(DPOP)?.to_str().ok()?;
        Some((DPOP, proof.to_owned()))
    }
}
