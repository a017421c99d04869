//! Where the keys of an issuer are: an address of the web.

use crate::schemes::authority::port_of;
use std::fmt;
use std::net::IpAddr;

/// `https://` anywhere, `http://` on this machine only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    is_tls: bool,
    /// Without the brackets of IPv6.
    host: Box<str>,
    port: u16,
    /// Path and query.
    target: Box<str>,
}

/// Why keys are not fetched from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPlace {
    /// Anybody on the way could put other keys there.
    #[error("goes in clear text, where anyone on the way can put other keys")]
    Clear,
    /// Not of the web, or with what has no meaning here.
    #[error("is not `https://host/path` or `https://host:port/path`, without user and fragment")]
    NoUrl,
}

impl Place {
    /// Reads a URL.
    ///
    /// # Errors
    /// [`BadPlace`].
    pub fn read(text: &str) -> Result<Self, BadPlace> {
        let uri: http::Uri = text.parse().map_err(|_| BadPlace::NoUrl)?;
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(BadPlace::NoUrl),
        };
        let authority = uri.authority().ok_or(BadPlace::NoUrl)?;
        if authority.as_str().contains('@') || text.contains('#') {
            return Err(BadPlace::NoUrl);
        }
        let host = authority.host().trim_matches(['[', ']']);
        if host.is_empty() || authority.as_str().ends_with(':') {
            return Err(BadPlace::NoUrl);
        }
        let port = match port_of(authority).map_err(|_| BadPlace::NoUrl)? {
            Some(port) => port,
            None if is_tls => 443,
            None => 80,
        };
        let is_here = host.eq_ignore_ascii_case("localhost")
            || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
        if !is_tls && !is_here {
            return Err(BadPlace::Clear);
        }
        Ok(Self {
            is_tls,
            host: host.to_ascii_lowercase().into(),
            port,
            target: uri
                .path_and_query()
                .map_or("/", |target| target.as_str())
                .into(),
        })
    }

    /// Whether it speaks TLS.
    pub const fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// Its host, without brackets.
    pub const fn host(&self) -> &str {
        &self.host
    }

    /// Its port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Its path and query.
    pub const fn target(&self) -> &str {
        &self.target
    }

    /// Its host and port, as `Host` has them.
    pub fn authority(&self) -> String {
        let host = &self.host;
        let host = if host.contains(':') {
            format!("[{host}]")
        } else {
            host.to_string()
        };
        match (self.is_tls, self.port) {
            (true, 443) | (false, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_over_tls_or_from_this_machine_and_from_no_port_that_is_guessed() {
        for text in [
            "https://example.com/keys",
            "https://example.com:8443/keys?v=1",
            "https://[2001:db8::1]/keys",
            "http://127.0.0.1:8080/keys",
            "http://[::1]:8080/keys",
            "http://localhost/keys",
            "https://example.com/",
        ] {
            assert_eq!(Place::read(text).unwrap().to_string(), text);
        }
        let bare = Place::read("https://EXAMPLE.com").unwrap();
        assert_eq!(bare.to_string(), "https://example.com/");
        for text in [
            "http://example.com/keys",
            "http://10.0.0.1/keys",
            "http://localhost.example.com/keys",
            "http://127.0.0.1.example.com/keys",
        ] {
            assert_eq!(Place::read(text), Err(BadPlace::Clear), "{text}");
        }
        for text in [
            "",
            "keys",
            "/keys",
            "ftp://example.com/keys",
            "https://user@example.com/keys",
            "https://127.0.0.1@example.com/keys",
            "https://example.com/keys#one",
            "https://example.com:0/keys",
            "http://127.0.0.1:99999/keys",
            "https://example.com:84430/keys",
            "https://example.com:90O0/keys",
            "https://[::1]:-1/keys",
            "https://:443/keys",
            "https://exa mple.com/",
        ] {
            assert_eq!(Place::read(text), Err(BadPlace::NoUrl), "{text}");
        }
    }
}
