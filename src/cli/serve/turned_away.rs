//! The metrics of connections: those that are open, and what is turned away before it is a request.

use crate::observe::Observer;
use crate::server::Counts;
use std::sync::Arc;

type Read = fn(&Counts) -> u64;

/// Shows every number.
pub(super) fn show(observer: &Observer, counts: &Arc<Counts>) {
    let shown: [(_, _, Read); 9] = [
        (
            "connections_closed_full",
            "Connections closed since `max_connections` were open",
            Counts::full,
        ),
        (
            "connections_closed_per_address",
            "Connections closed since their address had `max_connections_per_address`",
            Counts::per_address,
        ),
        (
            "connections_closed_stranger",
            "Connections closed since only trusted proxies may connect",
            Counts::strange,
        ),
        (
            "connections_closed_proxy_header",
            "Connections of trusted proxies closed for want of a PROXY header",
            Counts::header,
        ),
        (
            "connections_closed_flood",
            "Connections over HTTP/2 closed since their clients sent too much that is cheap for them",
            Counts::flood,
        ),
        (
            "http2_heads_refused",
            "Requests over HTTP/2 that the library refused, so that no record tells of them",
            Counts::heads,
        ),
        (
            "tls_handshakes_failed",
            "Connections closed since their TLS handshake failed",
            Counts::handshake,
        ),
        (
            "accepts_failed",
            "How often no connection could be accepted, most often for want of files",
            Counts::accept,
        ),
        (
            "forwarded_unreadable",
            "Requests of trusted proxies that did not tell readably whom they are from",
            Counts::forwarded,
        ),
    ];
    for (name, help, read) in shown {
        let counts = counts.clone();
        observer.counter(name, help, move || read(&counts));
    }
    let counts = counts.clone();
    let help = "Connections that are open";
    observer.gauge("open_connections", help, move || counts.open() as i64);
}
