//! `[server]`: who may connect, and who may speak for others.

use super::Gathered;
use crate::config::file::Server;
use crate::server::{Caps, Fields, Forwarders, Networks};

pub(super) fn caps(server: &Server) -> Caps {
    Caps {
        connections: server.max_connections.0 as usize,
        per_address: server.max_connections_per_address.0,
        health_checkers: Networks(
            server
                .health_checkers
                .0
                .iter()
                .map(|one| one.value)
                .collect(),
        ),
    }
}

pub(super) fn forwarders(server: &Server, gathered: &mut Gathered<'_>) -> Forwarders {
    let trusted = &server.trusted_proxies.0;
    for one in trusted.iter().filter(|one| one.value.is_everyone()) {
        gathered.problem(
            one.problem("everyone is trusted to tell any address as its own")
                .hint("name the proxies that stand before the gateway")
                .warning(),
        );
    }
    if server.proxy_protocol.value && trusted.is_empty() {
        gathered.problem(
            server
                .proxy_protocol
                .problem("nobody may connect: there are no `trusted_proxies`")
                .hint("name the proxies that send the PROXY header")
                .of_absence(),
        );
    }
    Forwarders {
        trusted: Networks(trusted.iter().map(|one| one.value).collect()),
        fields: if trusted.is_empty() {
            Fields::Off
        } else {
            server.forwarded
        },
        proxy_protocol: server.proxy_protocol.value,
    }
}
