//! `--scheme token`: a token that is made here, and the field that it stands in.

use super::dpop::{Bound, DpopArgs};
use super::{Keys, Proof, bad_key};
use crate::cli::message::Message;
use crate::cli::stop::Stop;
use crate::clock::Clock;
use crate::config::{self, period};
use crate::crypto::SigningKey;
use crate::schemes::token::{self, PORTCULLIS_TOKEN};
use anyhow::Result;
use clap::Args;
use http::HeaderName;
use http::header::AUTHORIZATION;
use std::time::Duration;

/// A token's life unless told otherwise.
const LIFETIME: Duration = Duration::from_mins(5);

/// What the token says, and where it stands.
#[derive(Args, Clone)]
pub(super) struct TokenArgs {
    /// Whom the token is for: the gateway's `[tokens] audience`
    #[arg(long, value_name = "TEXT", help_heading = "Token")]
    audience: Option<String>,
    /// The field that the token stands in; in `Authorization` behind `Bearer`, or behind `DPoP` with `--dpop` [default: Portcullis-Token]
    #[arg(long, value_name = "FIELD", help_heading = "Token")]
    token_place: Option<String>,
    /// What the token may be used for, of what its app may do; names joined by spaces
    #[arg(long, value_name = "SCOPES", help_heading = "Token")]
    scope: Option<String>,
    /// How long the token lives [default: 5m]
    #[arg(long, value_name = "DURATION", value_parser = period, help_heading = "Token")]
    lifetime: Option<Duration>,
    /// Bind the token to the request's `Authorization` header
    #[arg(long, help_heading = "Token")]
    bind: bool,
    #[command(flatten)]
    dpop: DpopArgs,
}

impl TokenArgs {
    /// Its options, and whether each is given.
    pub(super) const fn given(&self) -> [(&'static str, bool); 6] {
        [
            ("--audience", self.audience.is_some()),
            ("--token-place", self.token_place.is_some()),
            ("--scope", self.scope.is_some()),
            ("--lifetime", self.lifetime.is_some()),
            ("--bind", self.bind),
            ("--dpop", self.dpop.is_given()),
        ]
    }

    /// The key that the token is bound to, if one is named.
    pub(super) fn bound(&self) -> Result<Option<Bound>> {
        self.dpop.bound()
    }

    pub(super) const fn names_nonce(&self) -> bool {
        self.dpop.names_nonce()
    }

    /// The same of a token that is bound to no request.
    pub(super) fn unbound(&self) -> Self {
        Self {
            bind: false,
            ..self.clone()
        }
    }

    /// The field that the token stands in.
    pub(super) fn place(&self) -> Result<HeaderName> {
        let place = match &self.token_place {
            None => PORTCULLIS_TOKEN,
            Some(text) => config::place_of_token(text)
                .map_err(|why| Stop::usage(format!("`--token-place`: {why}")))?,
        };
        if self.bind && place == AUTHORIZATION {
            let why = "`--bind` is to an `Authorization` beside the token, and `--token-place` puts the token there";
            return Err(Stop::usage(why).into());
        }
        Ok(place)
    }

    pub(super) fn prove(&self, keys: &Keys, message: &Message, clock: Clock) -> Result<Proof> {
        let place = self.place()?;
        let bound = keys.bound.as_ref();
        let text = self.mint(keys, message, &clock)?;
        let beside = bound.and_then(|bound| bound.prove(message, &text, clock));
        let value = match bound {
            _ if place != AUTHORIZATION => text,
            None => format!("Bearer {text}"),
            Some(_) => format!("DPoP {text}"),
        };
        let mut fields = vec![(place, value)];
        fields.extend(beside);
        Ok(Proof {
            fields,
            ..Proof::default()
        })
    }

    fn mint(&self, keys: &Keys, message: &Message, clock: &Clock) -> Result<String> {
        let authorization = match (self.bind, message.fields.get(AUTHORIZATION)) {
            (false, _) => None,
            (true, Some(value)) => Some(value.as_bytes()),
            (true, None) => {
                return Err(Stop::usage(
                    "`--bind` needs the `Authorization` header that it binds to",
                )
                .hint("`-H 'Authorization: Bearer …'`")
                .into());
            }
        };
        let lifetime = self.lifetime.unwrap_or(LIFETIME);
        let jkt = keys.bound.as_ref().map(Bound::thumbprint);
        let iat = clock.now().unix_seconds();
        let pay = authorization.map(token::binding::pay);
        let claims = token::Claims {
            exp: iat.saturating_add(lifetime.as_secs() as i64),
            iat,
            aud: self.audience.as_deref(),
            scope: self.scope.as_deref(),
            pay: pay.as_deref(),
            cnf: jkt.as_deref().map(|jkt| token::Confirmation { jkt }),
            ..token::Claims::default()
        };
        let key = &keys.named;
        let signing = SigningKey::new(key.algorithm, &key.secret).map_err(bad_key)?;
        let text =
            token::sign(&key.id, &signing, &claims).map_err(|not| Stop::usage(not.to_string()))?;
        Ok(text)
    }
}
