//! Where to listen, and whom to trust.

use super::values::{Refused, Word, one_of};
use crate::server;
use serde_json::{Value as Json, json};
use std::path::PathBuf;

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listen(pub(super) server::Listen);

impl Word for Listen {
    const TAKES: &'static str =
        "an address and a port: `\"127.0.0.1:8080\"`, `\"[::]:443\"`, or `\"unix:PATH\"`";

    fn parse(text: &str) -> Result<Self, Refused> {
        if let Some(path) = text.strip_prefix("unix:") {
            let good = !path.is_empty() && !path.contains(char::is_control);
            return good
                .then(|| Self(server::Listen::Unix(PathBuf::from(path))))
                .ok_or_else(|| Refused::new("names no file"));
        }
        let literal = match text.strip_prefix("localhost:") {
            Some(port) => format!("127.0.0.1:{port}"),
            None => text.to_owned(),
        };
        if let Ok(address) = literal.parse() {
            return Ok(Self(server::Listen::Tcp(address)));
        }
        let refused = Refused::new("is not an address with a port");
        Err(
            if let Some(port) = text.strip_prefix(':').or_else(|| text.strip_prefix("*:")) {
                refused.hint(format!("`[::]:{port}` listens on every address"))
            } else if text.parse::<u16>().is_ok() {
                refused.hint(format!("`127.0.0.1:{text}` listens on this machine only"))
            } else if text.parse::<std::net::IpAddr>().is_ok() {
                refused.hint("the port is missing")
            } else if text.starts_with('/') {
                refused.hint(format!("`unix:{text}` is a Unix socket"))
            } else if text
                .rsplit_once(':')
                .is_some_and(|(_, port)| port.parse::<u16>().is_ok())
            {
                refused.hint("names are not looked up: write the address, or `localhost`")
            } else {
                refused
            },
        )
    }
}

/// An address to listen on, or `"off"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ListenOrOff(pub(super) Option<server::Listen>);

impl Word for ListenOrOff {
    const TAKES: &'static str =
        "an address and a port, `\"127.0.0.1:9180\"`, `\"unix:PATH\"`, or `\"off\"`";

    fn parse(text: &str) -> Result<Self, Refused> {
        match text {
            "off" => Ok(Self(None)),
            text => Listen::parse(text).map(|listen| Self(Some(listen.0))),
        }
    }
}

/// Who may use a file, as chmod(1) takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileMode(pub(super) u32);

impl Word for FileMode {
    const TAKES: &'static str = "the mode of a file in octal digits: `\"0660\"`, `\"0600\"`";

    fn parse(text: &str) -> Result<Self, Refused> {
        let digits = (3..=4).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        let mode = u32::from_str_radix(text, 8).ok().filter(|_| digits);
        match mode {
            Some(mode) if mode <= 0o777 => Ok(Self(mode)),
            _ => Err(Refused::new("is not the mode of a file")),
        }
    }

    fn schema() -> Json {
        json!({ "type": "string", "pattern": "^0?[0-7]{3}$" })
    }
}

impl Word for server::Network {
    const TAKES: &'static str =
        "an address, `\"192.0.2.7\"`, a network, `\"10.0.0.0/8\"`, or `\"unix\"`";

    fn parse(text: &str) -> Result<Self, Refused> {
        use server::BadNetwork::{Address, Host, Length, Mapped};
        text.parse().map_err(|bad| {
            let refused = Refused::new(format!("{bad}"));
            match bad {
                Host(network) => refused.hint(format!("the network is `{network}`")),
                Mapped(address) => refused.hint(format!("write `{address}`")),
                Length => refused.hint("IPv4 has 32 bits, IPv6 has 128"),
                Address => refused.hint("names are not looked up: write the address"),
            }
        })
    }
}

impl Word for server::Fields {
    const TAKES: &'static str = "`\"x-forwarded-for\"`, `\"forwarded\"` or `\"off\"`";

    fn parse(text: &str) -> Result<Self, Refused> {
        one_of(text, &FIELDS, |text| match text {
            "x-forwarded-for" => Some(Self::XForwardedFor),
            "forwarded" => Some(Self::Forwarded),
            "off" => Some(Self::Off),
            _ => None,
        })
    }

    fn schema() -> Json {
        json!({ "type": "string", "enum": FIELDS })
    }
}

const FIELDS: [&str; 3] = ["x-forwarded-for", "forwarded", "off"];
