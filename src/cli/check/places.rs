//! Upstreams that can hold every place in flight, so that callers of the others find none.

use crate::config::Config;
use crate::forward::upstream::{Server, Settings};
use crate::route::Accept;

/// What to note of all of them, in one.
pub(super) fn note(config: &Config) -> Option<String> {
    let upstreams = config.gateway.upstreams.iter().enumerate();
    let fill = upstreams.filter(|(index, upstream)| can_fill(config, *index, upstream));
    let names: Vec<_> = fill.map(|(_, one)| format!("`{}`", one.name)).collect();
    let who = match names.len() {
        0 => return None,
        1 => format!("upstream {}", names[0]),
        _ => format!("each of the upstreams {}", names.join(", ")),
    };
    Some(format!(
        "{who} has as many places as requests may be in flight ({} with {} worker threads): when its servers hang, callers of other upstreams get 503, too; hint: give its routes `in_flight`, together less than that, or lower its `max_connections`",
        config.gateway.overload.in_flight, config.server.workers
    ))
}

fn can_fill(config: &Config, index: usize, upstream: &Settings) -> bool {
    let gateway = &config.gateway;
    let overload = &gateway.overload;
    let routes = || gateway.routes.in_order().iter();
    let mut others = routes().filter(|route| route.upstream != index && !route.reserved);
    if others.next().is_none() || upstream.servers.contains(&Server::Echo) {
        return false;
    }
    let places = upstream.servers.len() * config.server.workers;
    let places = places.saturating_mul(upstream.max_connections);
    let most = |is_public: bool| {
        let own = routes().filter(|route| route.upstream == index);
        let own = own.filter(|route| (route.accept == Accept::Public) == is_public);
        own.map(|route| route.in_flight.unwrap_or(overload.in_flight))
            .fold(0, u32::saturating_add)
    };
    // Who has no proof has a share, where any route asks for one.
    let has_share = routes().any(|route| route.accept != Accept::Public);
    let share = if has_share {
        overload.unproven()
    } else {
        overload.in_flight
    };
    let most = most(false).saturating_add(most(true).min(share));
    places.min(most as usize) >= overload.in_flight as usize
}

#[cfg(test)]
mod tests {
    const TEXT: &str = r#"
        server = { workers = 4 }
        upstreams.orders.servers = ["http://127.0.0.1:1"]
        upstreams.users.servers = ["http://127.0.0.1:2"]
        [[routes]]
        name = "orders"
        path = "/orders"
        upstream = "orders"
        accept = ["token"]
        [[routes]]
        name = "users"
        path = "/users"
        upstream = "users"
        accept = ["token"]
    "#;

    fn note(text: &str) -> Option<String> {
        let loaded = crate::config::from_text(text, "gateway.toml").unwrap();
        super::note(&loaded.config)
    }

    #[test]
    fn upstreams_that_can_hold_every_place_in_flight_are_noted_in_one() {
        let told = note(TEXT).unwrap();
        let said = "each of the upstreams `orders`, `users` has as many places as requests may be in flight (1024 with 4 worker threads): ";
        assert!(told.starts_with(said), "{told}");
        let capped = TEXT.replace("name = \"users\"", "name = \"users\"\nin_flight = 1_000");
        let told = note(&capped).unwrap();
        assert!(told.starts_with("upstream `orders` has "), "{told}");
        // Where nobody has a proof, nobody has a share.
        let public = note(&TEXT.replace("\"token\"", "\"public\""));
        assert!(public.is_some());
    }

    #[test]
    fn those_that_have_fewer_or_strangers_alone_or_nobody_beside_them_are_not() {
        for text in [
            TEXT.replace("workers = 4", "workers = 3"),
            format!("{TEXT}\n[overload]\nin_flight = 1_025"),
            TEXT.replace("accept", "in_flight = 1_000\naccept"),
            TEXT.replace("upstream = \"users\"", "upstream = \"orders\""),
            TEXT.replace("http://127.0.0.1:1", "echo:")
                .replace("http://127.0.0.1:2", "echo:"),
        ] {
            assert_eq!(note(&text), None, "{text}");
        }
        let strangers = TEXT.replacen("\"token\"", "\"public\"", 1);
        let told = note(&strangers).unwrap();
        assert!(told.starts_with("upstream `users` has "), "{told}");
    }
}
