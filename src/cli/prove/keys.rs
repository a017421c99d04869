//! What proofs are made with, read once however many are made.

use super::dpop::Bound;
use super::{ProofArgs, SchemeName};
use crate::cli::key::NamedKey;
use anyhow::Result;
use http::header::WWW_AUTHENTICATE;
use http::{HeaderValue, Response, StatusCode};

/// What a refusal says for the lack of a nonce (RFC 9449, section 8).
const ASKED: &[u8] = b"use_dpop_nonce";

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
    /// Whether proofs may hold a nonce that an answer gives.
    pub(in crate::cli) const fn have_nonce(&self) -> bool {
        self.bound.is_some()
    }

    /// Takes up the nonce that an answer gives for the proofs beside tokens. Whether it was refused for the lack of that,
    /// and may be asked for again: a backend that gives nonces, too, has done what it was asked.
    pub(in crate::cli) fn learn<B>(&self, answer: &Response<B>) -> bool {
        let fields = answer.headers();
        let bound = self.bound.as_ref();
        let gives_nonce = bound.is_some_and(|bound| bound.learn(fields));
        let says_so = |value: &HeaderValue| {
            let mut places = value.as_bytes().windows(ASKED.len());
            places.any(|place| place == ASKED)
        };
        gives_nonce
            && answer.status() == StatusCode::UNAUTHORIZED
            && fields.get_all(WWW_AUTHENTICATE).iter().any(says_so)
    }
}
