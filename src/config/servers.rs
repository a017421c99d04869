//! Servers of an upstream, and how they are spoken to.

use super::gather::shown;
use super::values::{Refused, Word};
use super::words::host_and_port;
use crate::forward::upstream::{Server, tls};
use http::uri::Authority;
use std::path::Path;

/// Bytes that the path of a socket may have (`sun_path` of `unix(7)`, without the byte that ends it).
const MAX_SOCKET_PATH: usize = 107;

impl Word for Server {
    const TAKES: &'static str = "`\"http://host:port\"`, `\"https://host\"`, `\"unix:/path/to.sock\"`, or `\"echo:\"`, the built-in test backend";

    fn parse(text: &str) -> Result<Self, Refused> {
        if text == "echo:" {
            return Ok(Self::Echo);
        }
        if let Some(path) = text.strip_prefix("unix:") {
            return socket(path);
        }
        let (rest, is_tls) = match text.split_once("://") {
            Some(("http", rest)) => (rest, false),
            Some(("https", rest)) => (rest, true),
            _ => {
                return Err(match text.parse::<Authority>() {
                    Ok(_) => {
                        Refused::new("is not a URL").hint(format!("`http://{}`?", shown(text)))
                    }
                    Err(_) => Refused::new("is not a URL"),
                });
            }
        };
        if let Some(at) = rest.find(['/', '?', '#']) {
            let scheme = if is_tls { "https" } else { "http" };
            return Err(
                Refused::new("has more than scheme, host and port").hint(format!(
                    "the path is the caller's: `{scheme}://{}` is enough",
                    shown(&rest[..at])
                )),
            );
        }
        let (host, port) = host_and_port(rest)?;
        let host = host.trim_matches(['[', ']']).into();
        Ok(if is_tls {
            Self::Https {
                host,
                port: port.unwrap_or(443),
            }
        } else {
            Self::Http {
                host,
                port: port.unwrap_or(80),
            }
        })
    }
}

fn socket(path: &str) -> Result<Server, Refused> {
    if !path.starts_with('/') {
        return Err(Refused::new("is not the full path of a socket")
            .hint("`unix:/run/orders.sock` starts with a slash"));
    }
    if path.len() > MAX_SOCKET_PATH || path.contains('\0') {
        return Err(Refused::new("has a path that no socket can have")
            .hint(format!("it may have {MAX_SOCKET_PATH} bytes")));
    }
    Ok(Server::Unix {
        path: Path::new(path).into(),
    })
}

/// A name that a certificate can be for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServerName(pub(super) Box<str>);

impl Word for ServerName {
    const TAKES: &'static str = "a host's name or address: `\"orders.internal\"`";

    fn parse(text: &str) -> Result<Self, Refused> {
        if tls::is_server_name(text) {
            return Ok(Self(text.into()));
        }
        Err(Refused::new("is no name a certificate can have"))
    }
}
