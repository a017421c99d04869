//! Which key service is asked, and how it is reached.

use super::wire::Http;
use crate::cli::message::without_user;
use crate::cli::send;
use crate::cli::skim::skimmed;
use crate::cli::stop::Stop;
use crate::client::token::NoToken;
use crate::config::period;
use anyhow::Result;
use clap::Args;
use http::Uri;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Where the key service of a gateway answers, unless it is said.
const USUAL_PREFIX: &str = "/.portcullis";

/// Which key service.
#[derive(Args)]
pub(super) struct Place {
    /// The gateway, with scheme and host
    #[arg(long, value_name = "URL", help_heading = "Gateway")]
    url: Option<String>,
    /// The gateway that this configuration is of: `[server] public_url`, or where it listens
    #[arg(short, long, value_name = "FILE", help_heading = "Gateway")]
    config: Option<PathBuf>,
    /// Where the key service answers [default: what the configuration says, or /.portcullis]
    #[arg(long, value_name = "PATH", help_heading = "Gateway")]
    prefix: Option<String>,
    /// Trust the certificates of this file, and no others
    #[arg(long, value_name = "FILE", help_heading = "Gateway")]
    cacert: Option<PathBuf>,
    /// How long each answer may take
    #[arg(long, value_name = "DURATION", value_parser = period, default_value = "30s", help_heading = "Gateway")]
    timeout: Duration,
}

impl Place {
    /// The way there.
    pub(super) fn transport(&self) -> Result<Http> {
        let (base, prefix) = self.found()?;
        let uri: Uri = base
            .parse()
            .ok()
            .filter(|uri: &Uri| {
                matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some()
            })
            .ok_or_else(|| {
                let shown = without_user(&base);
                Stop::usage(format!("`{shown}` is no URL of a gateway"))
                    .hint("with scheme and host: `https://api.example.com`")
            })?;
        // Told here, not by each attempt to get there.
        send::destination(&uri)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        Ok(Http {
            base: format!(
                "{}/{}/",
                base.trim_end_matches('/'),
                prefix.trim_matches('/')
            ),
            tls: send::tls(&uri, self.cacert.as_deref())?,
            timeout: self.timeout,
            runtime: Some(runtime),
            left: AtomicBool::new(false),
        })
    }

    /// The gateway's URL, and the path that its key service answers below.
    fn found(&self) -> Result<(String, String)> {
        let said = self.prefix.clone();
        match (&self.url, &self.config) {
            (None, Some(path)) => {
                let (base, prefix) = of_config(path)?;
                Ok((base, said.unwrap_or(prefix)))
            }
            (url, _) => Ok((
                url.clone().unwrap_or_default(),
                said.unwrap_or_else(|| USUAL_PREFIX.to_owned()),
            )),
        }
    }
}

fn of_config(path: &Path) -> Result<(String, String)> {
    let config = skimmed(path)?;
    let minting = config.gateway.minting.ok_or_else(|| {
        Stop::usage("no app of this configuration gets tokens")
            .hint("`tokens = { … }` on an app switches the key service on")
    })?;
    let server = &config.server;
    let scheme = if server.tls.is_some() {
        "https"
    } else {
        "http"
    };
    let listens = || {
        server
            .listen
            .iter()
            .find_map(crate::server::Listen::address)
    };
    let base = match (&config.gateway.public_url, listens()) {
        (Some(url), _) => format!("{}://{}", url.scheme, url.authority),
        (None, Some(address)) if address.ip().is_unspecified() => {
            format!("{scheme}://127.0.0.1:{}", address.port())
        }
        (None, Some(address)) => format!("{scheme}://{address}"),
        (None, None) => {
            return Err(
                Stop::usage("the gateway of this configuration listens at no address")
                    .hint("name one with `--url`")
                    .into(),
            );
        }
    };
    Ok((base, minting.prefix.to_string()))
}

/// Why nothing came of it, and what to do about it.
pub(super) fn stopped(no: NoToken) -> Stop {
    let stop = Stop::failed(no.to_string());
    match no {
        // No key service says these: a route does, or another listener.
        NoToken::Nonsense(_)
        | NoToken::Refused {
            status: 401 | 404 | 405,
            ..
        } => stop.hint("is the key service there? `--prefix` names its path"),
        NoToken::Refused {
            detail,
            retry_after: Some(after),
            ..
        } => {
            let again = format!("come again in {} s", after.as_secs());
            stop.hint(match detail {
                Some(detail) => format!("{again}: {detail}"),
                None => again,
            })
        }
        NoToken::Refused {
            detail: Some(detail),
            ..
        } => stop.hint(detail),
        _ => stop,
    }
}
