//! What happened: one record a request, and counters.
//!
//! In: a [`Record`], opened when a request arrives and closed when its
//! response ends. Out: one line in the access log, and metrics. This room
//! never: sees a secret, a query, a token or a body.

pub mod access_log;
pub mod metrics;

use crate::clock::Now;
use std::net::IpAddr;
use std::sync::Arc;

/// Everything that is kept of one request.
#[derive(Debug)]
pub struct Record {
    /// `Portcullis-Request-Id`: 32 hexadecimal digits.
    pub id: Box<str>,
    /// When its head had arrived.
    pub started: Now,
    /// Who sent it.
    pub peer: IpAddr,
    /// Whether over TLS.
    pub tls: bool,
    /// HTTP version.
    pub version: http::Version,
    /// Method; `None` when the bytes were no request.
    pub method: Option<http::Method>,
    /// Host as the caller sees it.
    pub host: Box<str>,
    /// Path as received, never the query.
    pub path: Box<str>,
    /// The route's number and name.
    pub route: Option<(usize, Arc<str>)>,
    /// The proven app.
    pub app: Option<Arc<str>>,
    /// The proven key.
    pub key: Option<Arc<str>>,
    /// The key id that was only claimed, when a request was refused.
    pub claimed_key: Option<Box<str>>,
    /// How it was proven.
    pub scheme: Option<&'static str>,
    /// The trace it belongs to (W3C trace context), 32 hexadecimal digits.
    pub trace: Option<Box<str>>,
    /// Status that was sent.
    pub status: u16,
    /// Code of the refusal, from the table.
    pub code: Option<&'static str>,
    /// The true reason, fuller than what the caller was told.
    pub reason: Option<Box<str>>,
    /// Bytes of the request's body that arrived.
    pub bytes_in: u64,
    /// Bytes of the response's body that were sent.
    pub bytes_out: u64,
    /// The upstream server that answered.
    pub upstream: Option<Arc<str>>,
    /// When the upstream's response head had arrived.
    pub upstream_answered: Option<Now>,
    /// Whether the response was cut before its end.
    pub cut: bool,
}
