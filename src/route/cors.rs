//! Which pages of other origins may call a route, as their browsers ask it
//! (Fetch standard, "CORS protocol").

use http::HeaderValue;
use std::fmt;
use std::time::Duration;

/// What a route tells browsers. Lists are as they stand in the fields of answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cors {
    /// Whose pages may call.
    pub origins: Vec<Origin>,
    /// With which methods; `None` is every method that the route takes.
    pub methods: Option<HeaderValue>,
    /// With which fields.
    pub headers: Option<HeaderValue>,
    /// Which fields of answers they may read.
    pub expose: Option<HeaderValue>,
    /// Whether browsers may send cookies and the like.
    pub credentials: bool,
    /// How long a browser may remember it.
    pub max_age: Duration,
}

/// An origin, or a pattern of some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Every one: `*`.
    Any,
    /// `https://app.example`.
    One(Box<str>),
    /// `https://*.example`: every host below that name.
    Below {
        /// With `://`.
        scheme: Box<str>,
        /// With the dot before it, and the port.
        name: Box<str>,
    },
}

/// Why a text is no origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadOrigin {
    /// There is no `scheme://`.
    #[error("it has no scheme")]
    Scheme,
    /// The host is none that a browser would send.
    #[error("its host is none: lower case, `*` only as the first name of several")]
    Host,
    /// The port is none, or the scheme's own, which browsers leave out.
    #[error("its port is none, or the scheme's own, which browsers leave out")]
    Port,
    /// Something follows the host.
    #[error("it has more than scheme, host and port")]
    Path,
}

impl Origin {
    /// Reads an origin as browsers write it, or a pattern.
    ///
    /// # Errors
    /// [`BadOrigin`] when no browser would ever send it.
    pub fn new(text: &str) -> Result<Self, BadOrigin> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let (scheme, rest) = text.split_once("://").ok_or(BadOrigin::Scheme)?;
        let is_of_scheme =
            |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.');
        if !scheme.starts_with(|c: char| c.is_ascii_lowercase())
            || !scheme.bytes().all(is_of_scheme)
        {
            return Err(BadOrigin::Scheme);
        }
        if rest.contains(['/', '?', '#', '@']) {
            return Err(BadOrigin::Path);
        }
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, Some(port)),
            _ => (rest, None),
        };
        if let Some(port) = port {
            let own = match scheme {
                "http" => 80,
                "https" => 443,
                _ => 0,
            };
            let number = port.parse::<u16>().ok().filter(|number| *number != own);
            // As browsers write it: no zeros before it.
            if number.is_none_or(|number| number.to_string() != port) {
                return Err(BadOrigin::Port);
            }
        }
        let below = host.strip_prefix("*.");
        if !is_host(below.unwrap_or(host)) || (below.is_some_and(|name| name.starts_with('['))) {
            return Err(BadOrigin::Host);
        }
        Ok(match below {
            None => Self::One(text.into()),
            Some(_) => Self::Below {
                scheme: format!("{scheme}://").into(),
                name: rest.strip_prefix('*').unwrap_or(rest).into(),
            },
        })
    }

    /// Whether it is, or takes in, the origin that a browser names.
    pub fn takes(&self, origin: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::One(one) => one.as_bytes() == origin,
            Self::Below { scheme, name } => origin
                .strip_prefix(scheme.as_bytes())
                .and_then(|rest| rest.strip_suffix(name.as_bytes()))
                .is_some_and(|front| std::str::from_utf8(front).is_ok_and(is_name)),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::One(one) => f.write_str(one),
            Self::Below { scheme, name } => write!(f, "{scheme}*{name}"),
        }
    }
}

fn is_host(text: &str) -> bool {
    match text.strip_prefix('[') {
        Some(literal) => literal
            .strip_suffix(']')
            .is_some_and(|ip| ip.parse::<std::net::Ipv6Addr>().is_ok()),
        None => is_name(text),
    }
}

/// Whether it is one label or several, in lower case.
fn is_name(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
    let mut labels = text.split('.');
    labels.all(|label| !label.is_empty() && label.bytes().all(fits))
}

impl Cors {
    /// Whether pages of `origin` may call.
    pub fn allows(&self, origin: &[u8]) -> bool {
        self.origins.iter().any(|one| one.takes(origin))
    }

    /// Whether pages of every origin may.
    pub fn allows_any(&self) -> bool {
        self.origins.contains(&Origin::Any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(pattern: &str, origin: &str) -> bool {
        Origin::new(pattern).unwrap().takes(origin.as_bytes())
    }

    #[test]
    fn an_origin_is_taken_whole() {
        assert!(takes("https://app.example", "https://app.example"));
        assert!(takes("http://localhost:3000", "http://localhost:3000"));
        for other in [
            "http://app.example",
            "https://app.example:8443",
            "https://app.example.evil.example",
            "https://evil-app.example",
            "https://app.exampleX",
            "null",
            "",
        ] {
            assert!(!takes("https://app.example", other), "{other}");
        }
    }

    #[test]
    fn a_pattern_takes_names_below_and_nothing_else() {
        for inside in ["https://a.example", "https://a.b.example"] {
            assert!(takes("https://*.example", inside), "{inside}");
        }
        assert!(takes("https://*.example:8443", "https://a.example:8443"));
        for outside in [
            "https://example",
            "https://.example",
            "https://aexample",
            "http://a.example",
            "https://a.example:8443",
            "https://evil/.example",
            "https://evil@.example",
            "https://evil:1.example",
            "https://a..example",
            "https://A.example",
        ] {
            assert!(!takes("https://*.example", outside), "{outside}");
        }
    }

    #[test]
    fn what_no_browser_sends_is_no_origin() {
        for (text, why) in [
            ("app.example", BadOrigin::Scheme),
            ("HTTPS://app.example", BadOrigin::Scheme),
            ("null", BadOrigin::Scheme),
            ("https://app.example/", BadOrigin::Path),
            ("https://u@app.example", BadOrigin::Path),
            ("https://App.example", BadOrigin::Host),
            ("https://", BadOrigin::Host),
            ("https://*", BadOrigin::Host),
            ("https://a.*.example", BadOrigin::Host),
            ("https://*.*.example", BadOrigin::Host),
            ("https://app.example:443", BadOrigin::Port),
            ("https://app.example:x", BadOrigin::Port),
            ("http://app.example:080", BadOrigin::Port),
        ] {
            assert_eq!(Origin::new(text), Err(why), "{text}");
        }
        for text in [
            "https://[::1]:8443",
            "capacitor://localhost",
            "https://*.example:1",
        ] {
            assert_eq!(Origin::new(text).unwrap().to_string(), text);
        }
    }
}
