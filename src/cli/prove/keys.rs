//! What proofs are made with, read once however many are made.

use super::dpop::Bound;
use super::{ProofArgs, SchemeName};
use crate::cli::key::NamedKey;
use anyhow::Result;
use http::HeaderMap;

/// The keys of a proof. Does not print.
pub(in crate::cli) struct Keys {
    /// That of the scheme.
    pub(super) named: NamedKey,
    /// That which a token is bound to.
    pub(super) bound: Option<Bound>,
}

impl ProofArgs {
    /// The keys that the scheme needs.
    pub(in crate::cli) fn keys(&self) -> Result<Keys> {
        let named = match self.scheme {
            SchemeName::ApiKey | SchemeName::Webhook => self.key.unnamed(),
            _ => self.key.required(),
        }?;
        // What belongs to another scheme is told so, and not read.
        self.refuse_strays()?;
        if self.scheme == SchemeName::Token {
            self.token.place()?;
        }
        let bound = self.token.bound()?;
        Ok(Keys { named, bound })
    }
}

impl Keys {
    /// Takes up the nonce that an answer gives for the proofs beside tokens; whether it gives one.
    pub(in crate::cli) fn learn(&self, answer: &HeaderMap) -> bool {
        let bound = self.bound.as_ref();
        bound.is_some_and(|bound| bound.learn(answer))
    }
}
