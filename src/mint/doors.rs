//! Where the key service answers.

use super::Settings;
use http::Method;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// A challenge.
    Challenge,
    /// A token.
    Token,
    /// To be known as an instance.
    Enrol,
    /// The public halves of the keys that sign tokens.
    Keys,
}

/// Nothing is answered there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoDoor {
    /// Nothing is behind this path.
    Path,
    /// These methods are taken there.
    Method(&'static [Method]),
}

impl Settings {
    /// What a request asks the key service for; `None` where it is not for us.
    pub fn door(&self, method: &Method, path: &str) -> Option<Result<Door, NoDoor>> {
        let rest = path.strip_prefix(&*self.prefix)?;
        let (door, methods): (_, &'static [Method]) = match rest {
            "/challenge" => (Door::Challenge, &[Method::POST]),
            "/token" => (Door::Token, &[Method::POST]),
            "/enrol" => (Door::Enrol, &[Method::POST]),
            "/jwks.json" => (Door::Keys, &[Method::GET, Method::HEAD]),
            "" => return Some(Err(NoDoor::Path)),
            rest if rest.starts_with('/') => return Some(Err(NoDoor::Path)),
            // A longer name that begins like ours.
            _ => return None,
        };
        Some(if methods.contains(method) {
            Ok(door)
        } else {
            Err(NoDoor::Method(methods))
        })
    }
}
