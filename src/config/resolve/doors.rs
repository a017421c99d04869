//! `[server]`: where callers come in, who may connect, and who may speak for others.

use super::Gathered;
use crate::config::file::{File, Server};
use crate::config::time;
use crate::server::{Caps, Fields, Forwarders, Networks};

/// Places of which only one can be listened on: to whoever comes second the system says that the address is in use.
pub(super) fn places_that_meet(file: &File, gathered: &mut Gathered<'_>) {
    let listen = &file.server.listen.0;
    // Of one that stands there twice in the same letters it is told already.
    let is_told = gathered.problems.any_at("server.listen");
    for (number, at) in listen.iter().enumerate().filter(|_| !is_told) {
        let (one, mut before) = (&at.value.0, listen.iter().take(number));
        let Some(other) = before.find(|other| !one.goes_beside(&other.value.0)) else {
            continue;
        };
        let other = &other.value.0;
        gathered.problem(if one == other || one.address().is_none() {
            at.problem(format!("`{one}` stands here twice"))
        } else {
            at.problem(format!("`{one}` and `{other}` have addresses in common"))
                .hint("`0.0.0.0` is every address of IPv4, `[::]` every address, and of IPv6 alone where one of IPv4 with its port stands beside it")
        });
    }
    let admin = &file.admin.listen;
    let Some(place) = &admin.value.0 else { return };
    let mut callers = listen.iter().map(|at| &at.value.0);
    let Some(met) = callers.find(|one| one.meets(place)) else {
        return;
    };
    let draft = if met == place || place.address().is_none() {
        admin.problem("callers come in at this very address")
    } else {
        admin.problem(format!(
            "callers come in at `{met}`, which has addresses in common with `{place}`"
        ))
    };
    gathered.problem(draft.hint("give health and metrics a port of their own, or `\"off\"`"));
}

/// Says of a stop that lasts longer than the gateway which follows waits: that one gives up, and the other ends all the same.
pub(super) fn followed_too_late(file: &File, gathered: &mut Gathered<'_>) {
    let (drain, wait) = (&file.server.drain, file.state.wait.0);
    let before = drain.not_ready.0.saturating_add(drain.goodbye.0);
    if before >= wait {
        let draft = drain.problem(format!(
            "a gateway that is started before this one ends gives up after {}, while `not_ready` and `goodbye` last {}",
            time(wait),
            time(before)
        ));
        let hint = "`wait` of `[state]` longer than both together, where restarts overlap";
        gathered.problem(draft.hint(hint).warning());
    }
}

pub(super) fn caps(server: &Server, gathered: &mut Gathered<'_>) -> Caps {
    let connections = server.max_connections.0 as usize;
    let usual = Caps::usual_per_address(connections);
    let said = server.max_connections_per_address.as_ref();
    let is_all = |said: u32| said as usize >= connections && (usual as usize) < connections;
    if let Some(at) = said.filter(|at| is_all(at.value.0)) {
        gathered.problem(
            at.problem("one address may have all `max_connections`, and others none")
                .hint(format!("without this key it is {usual} of {connections}; connections of `trusted_proxies` are not counted"))
                .warning(),
        );
    }
    let checkers = &server.health_checkers.0;
    for one in checkers.iter().filter(|one| one.value.is_everyone()) {
        gathered.problem(
            one.problem("everyone is let in beyond `max_connections_per_address`, and into the places kept for checks")
                .hint("name the addresses that the checks come from")
                .warning(),
        );
    }
    Caps {
        connections,
        per_address: said.map_or(usual, |at| at.value.0),
        health_checkers: Networks(checkers.iter().map(|one| one.value).collect()),
    }
}

pub(super) fn forwarders(server: &Server, gathered: &mut Gathered<'_>) -> Forwarders {
    let trusted = &server.trusted_proxies.0;
    let forwarded = &server.forwarded;
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
    let tells_nothing = forwarded.value == Fields::Off && !server.proxy_protocol.value;
    if tells_nothing && !trusted.is_empty() {
        gathered.problem(
            forwarded
                .problem("`trusted_proxies` are asked for nothing: all who come through one are one address, in `[peers]` too")
                .hint("`\"x-forwarded-for\"` or `\"forwarded\"`, whichever they send, or `proxy_protocol = true`")
                .warning(),
        );
    }
    if forwarded.value == Fields::Forwarded && trusted.is_empty() {
        gathered.problem(
            forwarded
                .problem("nobody is believed: there are no `trusted_proxies`")
                .hint("name the proxies that stand before the gateway, or take `forwarded` away")
                .of_absence()
                .warning(),
        );
    }
    Forwarders {
        trusted: Networks(trusted.iter().map(|one| one.value).collect()),
        fields: if trusted.is_empty() {
            Fields::Off
        } else {
            forwarded.value
        },
        proxy_protocol: server.proxy_protocol.value,
    }
}
