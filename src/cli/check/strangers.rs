//! Upstreams whose connections anybody may hold, so that proven callers find none.

use crate::apps::Mode;
use crate::config::Config;
use crate::forward::upstream::{Server, Settings};
use crate::route::{Accept, Route};

/// Whether a caller may pass that is not proven. What is reserved is kept from strangers by other means.
fn is_open(route: &Route) -> bool {
    (route.accept == Accept::Public || route.mode == Mode::Observe) && !route.reserved
}

/// Whether it refuses who is not proven.
fn asks(route: &Route) -> bool {
    route.accept != Accept::Public && route.mode != Mode::Observe
}

/// What to note of each.
pub(super) fn notes(config: &Config) -> Vec<String> {
    let mut told: Vec<&Settings> = Vec::new();
    let mut notes = Vec::new();
    for (index, upstream) in config.gateway.upstreams.iter().enumerate() {
        // Of connections in common once.
        let mut servers = upstream.servers.iter();
        if servers.any(|server| told.iter().any(|other| upstream.shares(server, other))) {
            continue;
        }
        if let Some(note) = note(config, index, upstream) {
            told.push(upstream);
            notes.push(note);
        }
    }
    notes
}

fn note(config: &Config, index: usize, upstream: &Settings) -> Option<String> {
    let gateway = &config.gateway;
    let routes = gateway.routes.in_order();
    let is_own = |route: &Route| route.upstream == index;
    let serves_proven = routes.iter().any(|route| is_own(route) && asks(route));
    if !serves_proven || upstream.servers.contains(&Server::Echo) {
        return None;
    }
    let reaches = |route: &Route, server: &Server| {
        let other = gateway.upstreams.get(route.upstream);
        is_own(route) || other.is_some_and(|other| upstream.shares(server, other))
    };
    let servers = &upstream.servers;
    let open = routes.iter().filter(|route| is_open(route));
    let open: Vec<_> = open
        .filter(|route| servers.iter().any(|server| reaches(route, server)))
        .collect();
    // One that none of them leads to is left.
    let is_left = |server| !open.iter().any(|route| reaches(route, server));
    if servers.iter().any(is_left) {
        return None;
    }
    let share = gateway.overload.unproven();
    // Of a route without a cap of its own all of the share.
    let caps = open.iter().map(|route| route.in_flight.unwrap_or(share));
    let most = caps.fold(0, u32::saturating_add).min(share) as usize;
    let places = servers.len().saturating_mul(upstream.max_connections);
    let names = open.iter().map(|route| format!("`{}`", route.name));
    let names: Vec<_> = names.collect();
    let upstreams = gateway.upstreams.iter().enumerate();
    let others = upstreams
        .filter(|(other, _)| *other != index && open.iter().any(|route| route.upstream == *other));
    let others = others.map(|(_, other)| format!(", in common with upstream `{}`", other.name));
    let others: String = others.collect();
    (places <= most).then(|| {
        format!(
            "anyone may pass on {}: {most} requests without a proof may be in flight, and upstream `{}` has {places} places for each worker thread{others}; when they hold all of a thread's, proven callers there get 503, too; hint: raise its `max_connections` above {}, give these routes `in_flight`, or an upstream of their own, with another `max_connections` where it has the same servers",
            names.join(", "),
            upstream.name,
            most / servers.len()
        )
    })
}

#[cfg(test)]
mod tests {
    const TEXT: &str = r#"
        upstreams.orders.servers = ["http://127.0.0.1:1"]
        [[routes]]
        name = "orders"
        path = "/orders"
        upstream = "orders"
        accept = ["token"]
        [[routes]]
        name = "news"
        path = "/news"
        upstream = "orders"
        accept = ["public"]
        [[routes]]
        name = "watched"
        path = "/watched"
        upstream = "orders"
        accept = ["token"]
        mode = "observe"
    "#;

    /// The open routes have an upstream of their own.
    const APART: &str = r#"
        [upstreams.orders]
        servers = ["http://127.0.0.1:1", "unix:/orders"]
        [upstreams.open]
        servers = ["unix:/orders", "http://127.0.0.1:1", "http://127.0.0.1:2"]
        [[routes]]
        name = "orders"
        path = "/orders"
        upstream = "orders"
        accept = ["token"]
        [[routes]]
        name = "news"
        path = "/news"
        upstream = "open"
        accept = ["public"]
        in_flight = 511
    "#;

    fn notes(text: &str) -> Vec<String> {
        let loaded = crate::config::from_text(text, "gateway.toml").unwrap();
        super::notes(&loaded.config)
    }

    #[test]
    fn an_upstream_whose_connections_strangers_may_hold_is_noted() {
        let told = notes(TEXT);
        assert_eq!(told.len(), 1);
        let said = "anyone may pass on `news`, `watched`: 512 requests without a proof may be in flight, and upstream `orders` has 256 places for each worker thread; ";
        assert!(told[0].starts_with(said), "{told:?}");
        assert!(told[0].contains("raise its `max_connections` above 512, "));
    }

    #[test]
    fn one_for_strangers_alone_is_apart_only_where_its_connections_are_others() {
        let few = |text: &str, upstream: &str| {
            let section = format!("[upstreams.{upstream}]");
            text.replace(&section, &format!("{section}\nmax_connections = 255"))
        };
        let common = few(&few(APART, "orders"), "open");
        let told = notes(&common);
        assert_eq!(told.len(), 1, "{told:?}");
        let said = "anyone may pass on `news`: 511 requests without a proof may be in flight, and upstream `orders` has 510 places for each worker thread, in common with upstream `open`; ";
        assert!(told[0].starts_with(said), "{told:?}");
        assert!(told[0].contains("raise its `max_connections` above 255, "));
        for text in [
            APART.to_owned(),
            few(APART, "orders"),
            few(APART, "open"),
            // A server of its own.
            common.replace("\"unix:/orders\"]", "\"unix:/other\"]"),
            // What is known of a name's addresses, and so its connections, is of one upstream.
            common.replace("127.0.0.1", "localhost"),
            common.replace("[upstreams.open]", "[upstreams.open]\nprotocol = \"http2\""),
        ] {
            assert!(notes(&text).is_empty(), "{text}");
        }
    }

    #[test]
    fn connections_in_common_are_noted_once() {
        let few = APART.replace("servers", "max_connections = 100\nservers");
        let route = "[[routes]]\nname = \"more\"\npath = \"/more\"\nupstream = \"open\"";
        let text = format!("{few}\n{route}\naccept = [\"token\"]");
        let told = notes(&text);
        assert_eq!(told.len(), 1, "{told:?}");
    }

    #[test]
    fn one_that_has_more_or_no_proven_callers_or_whose_strangers_have_fewer_is_not() {
        let capped = |name: &str| format!("name = \"{name}\"\nin_flight = 100");
        for text in [
            TEXT.replace("name = \"news\"", &capped("news"))
                .replace("name = \"watched\"", &capped("watched")),
            format!("upstreams.orders.max_connections = 600\n{TEXT}"),
            TEXT.replace("\"token\"", "\"public\"")
                .replace("mode = \"observe\"", ""),
            TEXT.replace("http://127.0.0.1:1", "echo:"),
            // Nobody is refused for his proof there, nor proven before the others.
            TEXT.replace(
                "path = \"/orders\"",
                "path = \"/orders\"\nmode = \"observe\"",
            ),
        ] {
            assert!(notes(&text).is_empty(), "{text}");
        }
    }
}
