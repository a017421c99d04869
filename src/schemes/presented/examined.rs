//! A credential as the doctor takes it, once it is refused: whose keys it claims, and what it shows.

use super::{Credential, Presented};
use crate::apps::{Key, Registry};
use crate::clock::Now;
use crate::route::Route;
use crate::schemes::doctor::{MAX_TEXT, Sample};
use crate::schemes::received::Received;
use crate::schemes::{aws_sigv4, hmac_auth, http_signature, webhook};
use std::sync::Arc;

impl<'r> Presented<'r> {
    /// Whether it claims a key whose id `is_it`, of those that its samples are held against. No text is
    /// written for that.
    pub fn claims(&self, route: &Route, registry: &Registry, is_it: impl Fn(&str) -> bool) -> bool {
        let of_token = || self.token.and_then(|token| token.claimed_key());
        self.one.claims(route, registry, &is_it) || of_token().is_some_and(|id| is_it(&id))
    }

    /// What it shows.
    pub fn samples(
        self,
        received: &'r Received<'r>,
        route: &Route,
        registry: &'r Registry,
        now: Now,
    ) -> Vec<Sample<'r>> {
        let token = self.token.and_then(|token| token.sample());
        self.one
            .samples(received, route, registry, now)
            .into_iter()
            .chain(token)
            .collect()
    }
}

impl<'r> Credential<'r> {
    fn claims(&self, route: &Route, registry: &Registry, is_it: impl Fn(&str) -> bool) -> bool {
        match self {
            Self::Signature(signature) => {
                http_signature::mistakes::key_ids(signature).any(|id| is_it(&id))
            }
            Self::HmacAuth(signature) => is_it(signature.claimed_key()),
            Self::Token(token) => token.claimed_key().is_some_and(|id| is_it(&id)),
            Self::AwsSigv4(signature) => is_it(signature.claimed_key()),
            Self::Webhook(_) => keys_of_hooks(route, registry)
                .iter()
                .any(|key| is_it(&key.id)),
            // Nothing is signed with the one, and with the other nothing that we made a text of.
            Self::ApiKey(_) | Self::Certificate(_) => false,
        }
    }

    fn samples(
        self,
        received: &'r Received<'r>,
        route: &Route,
        registry: &'r Registry,
        now: Now,
    ) -> Vec<Sample<'r>> {
        match self {
            Self::Signature(signature) => http_signature::mistakes::samples(signature, received),
            Self::HmacAuth(signature) => {
                let sample = hmac_auth::mistakes::sample(signature, received);
                sample.into_iter().collect()
            }
            Self::Token(token) => token.sample().into_iter().collect(),
            Self::AwsSigv4(signature) => {
                let seconds = now.unix_seconds();
                let sample = aws_sigv4::mistakes::sample(&signature, received, route, seconds);
                sample.into_iter().collect()
            }
            Self::Webhook(hook) => {
                let keys = keys_of_hooks(route, registry);
                webhook::mistakes::samples(&hook, received, keys, MAX_TEXT)
            }
            Self::ApiKey(_) | Self::Certificate(_) => Vec::new(),
        }
    }
}

/// The keys that a webhook on this route may be signed with: it names none.
fn keys_of_hooks<'r>(route: &Route, registry: &'r Registry) -> &'r [Arc<Key>] {
    let app = route.webhooks.as_ref().map(|webhooks| webhooks.app);
    app.map_or(&[][..], |app| registry.webhook_keys(app))
}
