//! What a request shows, found in all schemes, and the one place that says
//! how many credentials may decide: exactly one, or a token and a signature
//! of one app where the route asks for both.
//!
//! A further scheme is a variant of [`Credential`], its arms, and a line in
//! [`Found::ask`]. Its reader gives `None`, as cheaply as it can, for
//! a request that shows nothing of it.

mod examined;

use super::received::Field;
use super::{Caller, ProofId, Received, Refused, Wanted};
use super::{
    api_key, aws_sigv4, client_certificate, freshness, hmac_auth, http_signature, signed, token,
    webhook,
};
use crate::apps::{Key, Registry, Scheme};
use crate::clock::Now;
use crate::crypto::certificate::Certificate;
use crate::route::{Accept, Route};
use std::sync::Arc;

/// One credential of a request, read and not proven.
#[derive(Debug)]
pub enum Credential<'r> {
    /// HTTP message signatures.
    Signature(http_signature::Presented<'r>),
    /// AWS Signature Version 4.
    AwsSigv4(Box<aws_sigv4::Presented<'r>>),
    /// A signature in the dialect of another gateway.
    HmacAuth(hmac_auth::Presented<'r>),
    /// A token.
    Token(token::Presented<'r>),
    /// The certificate of the connection.
    Certificate(&'r Certificate),
    /// A static key.
    ApiKey(api_key::Presented<'r>),
    /// A webhook.
    Webhook(Box<webhook::Presented<'r>>),
}

/// What decides about a request: the one credential that it shows, or the
/// two that its route asks for.
#[derive(Debug)]
pub struct Presented<'r> {
    one: Credential<'r>,
    token: Option<token::Presented<'r>>,
}

/// The name of a token and a signature that let in together.
pub const PAIR: &str = "token+http-signature";

/// What credentials are verified by.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'s> {
    /// Every key.
    pub registry: &'s Registry,
    /// The window of time.
    pub freshness: freshness::Freshness,
    /// What a token must hold.
    pub tokens: &'s token::Settings,
    /// Tokens that were verified before.
    pub verified: &'s token::Cache,
    /// Whether anyone may see the text that was verified against.
    pub explain: bool,
}

impl<'s> Rules<'s> {
    /// Those of schemes whose callers sign a text made of the request.
    const fn signed(&self) -> signed::Rules<'s> {
        signed::Rules {
            registry: self.registry,
            freshness: self.freshness,
            explain: self.explain,
        }
    }
}

/// The credentials that a request shows. One decides, so that it is enough to
/// keep the first two.
#[derive(Debug, Default)]
struct Found<'r> {
    first: Option<Credential<'r>>,
    second: Option<Credential<'r>>,
    has_more: bool,
}

impl<'r> Found<'r> {
    /// Asks every scheme. One line each.
    fn ask(&mut self, received: &Received<'r>, route: &Route) -> Result<(), Refused> {
        self.add(aws(received, route)?, Credential::AwsSigv4);
        self.add(
            hmac_auth::Presented::read(received, route)?,
            Credential::HmacAuth,
        );
        self.add(signature(received, self)?, Credential::Signature);
        self.add(token::read(received, route)?, Credential::Token);
        self.add(
            api_key::Presented::read(received, route)?,
            Credential::ApiKey,
        );
        self.add(hook(received, route)?, Credential::Webhook);
        Ok(())
    }

    fn add<T>(&mut self, shown: Option<T>, credential: impl Fn(T) -> Credential<'r>) {
        let Some(shown) = shown else {
            return;
        };
        match self.first {
            None => self.first = Some(credential(shown)),
            Some(_) if self.second.is_none() => self.second = Some(credential(shown)),
            Some(_) => self.has_more = true,
        }
    }
}

// Large, and seldom there: apart, so that no other credential is moved with its room.
fn aws<'r>(
    received: &Received<'r>,
    route: &Route,
) -> Result<Option<Box<aws_sigv4::Presented<'r>>>, Refused> {
    Ok(aws_sigv4::Presented::read(received, route)?.map(Box::new))
}

// Large, and seldom there, as the one above.
fn hook<'r>(
    received: &Received<'r>,
    route: &Route,
) -> Result<Option<Box<webhook::Presented<'r>>>, Refused> {
    Ok(webhook::Presented::read(received, route)?.map(Box::new))
}

/// The message signatures. `Signature` by itself may be the proof of a
/// dialect, which was found before.
fn signature<'r>(
    received: &Received<'r>,
    before: &Found<'_>,
) -> Result<Option<http_signature::Presented<'r>>, Refused> {
    let is_there = received.shows(Field::SignatureInput)
        || before.first.is_none() && received.shows(Field::Signature);
    if is_there {
        http_signature::Presented::read(received)
    } else {
        Ok(None)
    }
}

impl<'r> Presented<'r> {
    /// Finds the one credential of `received` that `route` accepts.
    ///
    /// # Errors
    /// [`Refused`]: none, two, one that cannot be read or is not accepted here.
    pub fn read(received: &Received<'r>, route: &Route) -> Result<Self, Refused> {
        let mut found = Found::default();
        found.ask(received, route)?;
        let one = match (found.first, found.second) {
            (None, _) => return Self::of_connection(received, route),
            (Some(one), None) => one,
            (Some(one @ Credential::Signature(_)), Some(Credential::Token(token)))
                if route.pair && !found.has_more =>
            {
                let token = Some(token);
                return Ok(Self { one, token });
            }
            (Some(one), Some(other)) => {
                return Err(Refused::Malformed(format!(
                    "the request shows two credentials, of `{}` and of `{}`; send one of them",
                    one.scheme(),
                    other.scheme()
                )));
            }
        };
        let scheme = one.scheme();
        match route.accept {
            Accept::Proven(accepted) if accepted.contains(scheme) => Ok(Self::alone(one)),
            _ if route.pair && matches!(scheme, Scheme::HttpSignature | Scheme::Token) => {
                Err(Refused::Alone(scheme))
            }
            _ => Err(Refused::NotAccepted(scheme)),
        }
    }

    const fn alone(one: Credential<'r>) -> Self {
        Self { one, token: None }
    }

    /// What a request shows that shows nothing by itself. A certificate counts only
    /// then, and where the route accepts one: else it is a matter of transport.
    fn of_connection(received: &Received<'r>, route: &Route) -> Result<Self, Refused> {
        match (received.certificate(), route.accept) {
            (Some(certificate), Accept::Proven(accepted))
                if accepted.contains(Scheme::ClientCertificate) =>
            {
                Ok(Self::alone(Credential::Certificate(certificate)))
            }
            (_, Accept::Proven(accepted)) => {
                Err(Refused::Nothing(Box::new(Wanted::on(route, accepted))))
            }
            _ => Err(Refused::Missing),
        }
    }

    /// How it proves the request.
    pub const fn scheme(&self) -> Scheme {
        self.one.scheme()
    }

    /// The name of the scheme, or of both.
    pub const fn scheme_name(&self) -> &'static str {
        if self.token.is_some() {
            PAIR
        } else {
            self.scheme().name()
        }
    }

    /// The key id it names: claimed, not proven.
    pub fn claimed_key(&self, registry: &Registry) -> Option<String> {
        self.one.claimed_key(registry)
    }

    /// The app whose key it names or shows, where such a key alone decides.
    pub fn app_of_key(&self, registry: &Registry) -> Option<Arc<str>> {
        let app = match (&self.one, &self.token) {
            (Credential::ApiKey(key), None) => key.known(registry)?.app.clone(),
            (
                Credential::Signature(_) | Credential::AwsSigv4(_) | Credential::HmacAuth(_),
                None,
            ) => registry.key(&self.claimed_key(registry)?)?.app.clone(),
            _ => return None,
        };
        Some(app.name.clone())
    }

    /// The key of the token that alone decides, where the token holds: what it is bound to is still to be shown.
    pub fn key_of_token(&self, rules: Rules<'_>, now: Now) -> Option<Arc<Key>> {
        let Credential::Token(token) = &self.one else {
            return None;
        };
        let held = token::open(token, rules.registry, rules.tokens, rules.verified, now);
        held.ok().map(|held| held.key)
    }

    /// What may be used once only, where that is known before it is verified: claimed, not proven.
    pub fn nonce(&self) -> Option<ProofId> {
        match &self.one {
            Credential::Signature(signature) => signature.nonce(),
            _ => None,
        }
    }

    /// The caller that it proves.
    ///
    /// # Errors
    /// [`Refused`] says why it proves none.
    pub fn verify(
        &self,
        received: &Received<'_>,
        route: &Route,
        rules: Rules<'_>,
        now: Now,
    ) -> Result<Caller, Refused> {
        let proven = self.prove(received, route, rules, now);
        proven.map_err(|refused| refused.veiled_on(route))
    }

    fn prove(
        &self,
        received: &Received<'_>,
        route: &Route,
        rules: Rules<'_>,
        now: Now,
    ) -> Result<Caller, Refused> {
        let (Some(token), Credential::Signature(signature)) = (self.token, &self.one) else {
            return self.one.verify(received, route, rules, now);
        };
        // Each by itself, and for the same app. The token first: it may be bound to the one key that
        // must have signed. The signature covers the token, or it does not hold.
        let (registry, tokens) = (rules.registry, rules.tokens);
        let held = token::open(&token, registry, tokens, rules.verified, now)?;
        let own = held.signing_key();
        let is_named = own.is_some();
        let signed = rules.signed();
        let caller = http_signature::verify_by(own, signature, received, route, signed, now)?;
        let tokens = held.caller(&token, Some(&caller), received, route, tokens, now)?;
        let caller = caller.with_token(&tokens, is_named);
        caller.ok_or(Refused::OtherApp)
    }
}

impl Presented<'_> {
    /// The id of the key that was laid out for whoever finds it, where this is one: `claimed`, or the static key.
    pub fn honey(&self, claimed: Option<&str>, registry: &Registry) -> Option<Arc<str>> {
        match &self.one {
            Credential::ApiKey(key) => registry.honey(None, Some(key.shown())),
            _ => registry.honey(claimed, None),
        }
    }
}

impl Credential<'_> {
    const fn scheme(&self) -> Scheme {
        match self {
            Self::Signature(_) => Scheme::HttpSignature,
            Self::AwsSigv4(_) => Scheme::AwsSigv4,
            Self::HmacAuth(_) => Scheme::HmacAuth,
            Self::Token(_) => Scheme::Token,
            Self::Certificate(_) => Scheme::ClientCertificate,
            Self::ApiKey(_) => Scheme::ApiKey,
            Self::Webhook(_) => Scheme::Webhook,
        }
    }

    fn claimed_key(&self, registry: &Registry) -> Option<String> {
        match self {
            Self::Signature(signature) => signature.claimed_key().map(str::to_owned),
            Self::AwsSigv4(signature) => Some(signature.claimed_key().to_owned()),
            Self::HmacAuth(signature) => Some(signature.claimed_key().to_owned()),
            Self::Token(token) => token.claimed_key().map(|key| key.to_string()),
            Self::Certificate(certificate) => certificate.names().first().map(ToString::to_string),
            // The key itself is all that it shows: whose it is tells its id.
            Self::ApiKey(key) => key.known(registry).map(|known| known.id.to_string()),
            Self::Webhook(_) => None,
        }
    }

    fn verify(
        &self,
        received: &Received<'_>,
        route: &Route,
        rules: Rules<'_>,
        now: Now,
    ) -> Result<Caller, Refused> {
        match self {
            Self::Signature(signature) => {
                http_signature::verify(signature, received, route, rules.signed(), now)
            }
            Self::AwsSigv4(signature) => {
                aws_sigv4::verify(signature, received, route, rules.signed(), now)
            }
            Self::HmacAuth(signature) => {
                hmac_auth::verify(signature, received, route, rules.signed(), now)
            }
            Self::Token(token) => token::verify(
                token,
                received,
                route,
                rules.registry,
                rules.tokens,
                rules.verified,
                now,
            ),
            Self::Certificate(certificate) => {
                client_certificate::verify(certificate, rules.registry, now)
            }
            Self::ApiKey(key) => api_key::verify(key, rules.registry, now),
            Self::Webhook(hook) => webhook::verify(hook, received, route, rules.signed(), now),
        }
    }
}
