//! Why there is no answer of an upstream, in the words of the access log.

use super::body;
use super::upstream::UsedUp;
use std::io;

/// Why there is no response of the upstream.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// No server took the connection.
    #[error("no server of the upstream can be reached: {0}")]
    Unreachable(String),
    /// It took too long.
    #[error("{late} in time{}", behind(.server.as_deref()))]
    Timeout {
        /// What did.
        late: Late,
        /// The server, once it is named.
        server: Option<Box<str>>,
    },
    /// Every connection that a server may have is in use, or this machine has nothing left to make one with.
    #[error("{0}")]
    Overloaded(String),
    /// The connection broke before the head of an answer was there.
    #[error("the upstream gave no answer: {0}")]
    Broke(String),
    /// A server's answer is no valid HTTP.
    #[error("the upstream's answer is not valid: {0}")]
    Invalid(String),
    /// The request's own body broke off, or is not the one that was proven.
    #[error(transparent)]
    Body(#[from] body::BodyError),
}

/// What was not done in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Late {
    /// No resolver answered.
    #[error("the upstream's name was not looked up")]
    LookUp,
    /// No connection was made.
    #[error("the upstream did not connect")]
    Connect,
    /// The server took the connection, and did not say who it is.
    #[error("the upstream did not finish the TLS handshake")]
    Handshake,
    /// It has said who it is, or need not, and did not begin to speak HTTP/2.
    #[error("the upstream did not begin to speak HTTP/2")]
    Http2,
    /// The head of an answer did not come.
    #[error("the upstream did not answer")]
    Answer,
    /// Nothing more came, or was taken.
    #[error("the upstream did not go on")]
    GoOn,
    /// All the time that there was is over.
    #[error("the upstream did not finish")]
    Finish,
    /// So it is, and the client still owed some of its body.
    #[error("the client did not send its body")]
    Body,
    /// The connection was given up: it broke, though at our end.
    #[error("the upstream did not answer our ping")]
    Ping,
}

impl Failed {
    /// It took too long.
    pub(super) const fn late(late: Late) -> Self {
        Self::Timeout { late, server: None }
    }

    /// There is no connection; `late` is what a deadline was for that does not say so itself.
    pub(super) fn connecting(error: &io::Error, late: Late) -> Self {
        if let Some(used_up) = UsedUp::of(error) {
            return Self::Overloaded(format!("{used_up}: {error}"));
        }
        if error.kind() == io::ErrorKind::TimedOut {
            return Self::late(Late::of(error).unwrap_or(late));
        }
        Self::Unreachable(error.to_string())
    }

    /// The same, with the server's name.
    pub(super) fn of(mut self, label: &str) -> Self {
        self.name(label);
        self
    }

    /// Names the server that it is of, once.
    pub fn name(&mut self, label: &str) {
        match self {
            Self::Unreachable(why)
            | Self::Overloaded(why)
            | Self::Broke(why)
            | Self::Invalid(why) => *why = format!("`{label}`: {why}"),
            Self::Timeout { server, .. } => *server = Some(label.into()),
            Self::Body(_) => {}
        }
    }

    /// Whether it tells something of the server, rather than of the request or of us.
    pub(super) const fn is_the_servers(&self) -> bool {
        !matches!(self, Self::Body(_) | Self::Overloaded(_))
    }

    /// Whether the connection broke, or was refused, before an answer was there.
    pub(super) const fn is_break(&self) -> bool {
        matches!(
            self,
            Self::Broke(_)
                | Self::Unreachable(_)
                | Self::Timeout {
                    late: Late::Ping,
                    ..
                }
        )
    }

    /// Whether all the time that there was is over, whoever took it.
    pub(super) const fn is_end_of_time(&self) -> bool {
        matches!(
            self,
            Self::Timeout {
                late: Late::Finish,
                ..
            }
        )
    }
}

/// A server behind what is told of it.
fn behind(server: Option<&str>) -> String {
    server
        .map(|server| format!(": `{server}`"))
        .unwrap_or_default()
}

impl Late {
    /// What an error of a new connection is due to, where it says so.
    fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }
}

impl From<Late> for io::Error {
    fn from(late: Late) -> Self {
        Self::new(io::ErrorKind::TimedOut, late)
    }
}
