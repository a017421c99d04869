//! The metrics of what is turned away before it is a request.

use crate::observe::Observer;
use crate::server::Counts;
use std::sync::Arc;

type Read = fn(&Counts) -> u64;

/// Shows every count.
pub(super) fn show(observer: &Observer, counts: &Arc<Counts>) {
    let shown: [(_, _, Read); 6] = [
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
            "tls_handshakes_failed",
            "Connections closed since their TLS handshake failed",
            Counts::handshake,
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
}
