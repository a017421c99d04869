//! [`Admitted`] → the upstream's response.
//!
//! In: an [`Admitted`] caller, by value, the head that was verified and the
//! body. Out: the response, streaming. This room never: changes the target,
//! sends a request twice of which a byte may have been read, or lets a client
//! choose what the backend believes about it.

pub mod body;
pub mod echo;
pub mod headers;
pub mod upstream;

use http::{HeaderMap, Method};
use std::net::IpAddr;

/// What goes to the upstream besides the body: owned, since the request's
/// head is taken apart before its body is read.
#[derive(Debug)]
pub struct Head {
    /// As received.
    pub method: Method,
    /// Path and query, byte for byte as received.
    pub target: http::uri::PathAndQuery,
    /// Host as the caller sees it.
    pub authority: Box<str>,
    /// `http` or `https`, as the caller sees it.
    pub scheme: &'static str,
    /// HTTP version it arrived in.
    pub version: http::Version,
    /// The fields as received.
    pub fields: HeaderMap,
    /// Who sent it.
    pub peer: IpAddr,
    /// `Portcullis-Request-Id`.
    pub request_id: Box<str>,
}

/// Why there is no response of the upstream.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// No server took the connection.
    #[error("no server of the upstream can be reached: {0}")]
    Unreachable(String),
    /// A server did not answer in time.
    #[error("the upstream did not {0} in time")]
    Timeout(&'static str),
    /// A server's answer is no valid HTTP.
    #[error("the upstream's answer is not valid: {0}")]
    Invalid(String),
    /// The request's own body broke off, or is not the one that was proven.
    #[error(transparent)]
    Body(#[from] body::BodyError),
}
