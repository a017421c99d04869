//! What a request is judged by: a configuration's routes and keys, or what the command line says.

use crate::apps::Registry;
use crate::config::Config;
use crate::route::{Route, Table};
use crate::schemes::freshness::Freshness;
use crate::schemes::{PublicUrl, token};

/// What a request is judged by.
pub(in crate::cli) struct Ground {
    pub(in crate::cli) routes: Table,
    /// What stands for a route where none takes the request, and what is veiled on all of them: see [`super::nowhere`].
    pub(in crate::cli) nowhere: Route,
    pub(in crate::cli) registry: Registry,
    /// Whether apps and keys may be made at run time, which are in no configuration.
    pub(in crate::cli) may_be_made: bool,
    pub(in crate::cli) freshness: Freshness,
    pub(in crate::cli) tokens: token::Settings,
    pub(in crate::cli) public_url: Option<PublicUrl>,
    /// Whether requests come over TLS, also those that do not say.
    pub(in crate::cli) is_tls: bool,
    pub(in crate::cli) gateway: Gateway,
}

/// What is known of the gateway that requests go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Gateway {
    /// Nothing: no configuration is at hand.
    Unknown,
    /// It ends TLS, or hears of it from whoever does.
    HearsOfTls,
    /// It takes every request as `http`.
    Plain,
}

impl Gateway {
    pub(in crate::cli) fn of(config: &Config) -> Self {
        let (server, gateway) = (&config.server, &config.gateway);
        let is_told = gateway.public_url.is_some() || !server.forwarders.trusted.0.is_empty();
        if server.tls.is_some() || is_told {
            Self::HearsOfTls
        } else {
            Self::Plain
        }
    }
}
