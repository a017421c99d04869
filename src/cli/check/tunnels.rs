//! Upstreams with fewer places than connections may go on in another protocol.

use crate::config::Config;

/// What to note of each.
pub(super) fn notes(config: &Config) -> Vec<String> {
    let gateway = &config.gateway;
    let (most, workers) = (gateway.tunnels.most, config.server.workers);
    let upstreams = gateway.upstreams.iter().enumerate();
    let noted = upstreams.filter_map(|(index, upstream)| {
        let routes = gateway.routes.in_order().iter();
        let routes = routes.filter(|route| route.upstream == index && !route.upgrade.is_empty());
        let routes: Vec<_> = routes.map(|route| format!("`{}`", route.name)).collect();
        let each = upstream.max_connections;
        let places = upstream.servers.len() * workers * each;
        (!routes.is_empty() && places < most).then(|| {
            format!(
                "`upgrade` of {}: upstream `{}` has {places} places ({each} to each server for each worker thread), and `tunnels` are up to {most}; when all are taken, its other requests get 503, too; hint: raise its `max_connections`, or give WebSockets an upstream of their own",
                routes.join(", "),
                upstream.name
            )
        })
    });
    noted.collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_upstream_that_has_fewer_places_than_tunnels_may_be_open_is_noted() {
        let text = r#"
            server = { workers = 2 }
            upstreams.chat.servers = ["http://127.0.0.1:1", "http://127.0.0.1:2"]
            upstreams.orders.servers = ["http://127.0.0.1:1"]
            [[routes]]
            name = "chat"
            path = "/chat"
            upstream = "chat"
            accept = ["token"]
            upgrade = ["websocket"]
            [[routes]]
            name = "orders"
            path = "/orders"
            upstream = "orders"
            accept = ["token"]
        "#;
        let notes = |text: &str| {
            let loaded = crate::config::from_text(text, "gateway.toml").unwrap();
            super::notes(&loaded.config)
        };
        let told = notes(text);
        assert_eq!(told.len(), 1);
        let said = "`upgrade` of `chat`: upstream `chat` has 1024 places (256 to each server for each worker thread), and `tunnels` are up to 10000; ";
        assert!(told[0].starts_with(said), "{told:?}");
        assert!(notes(&text.replace("workers = 2", "workers = 2, tunnels = 1_024")).is_empty());
    }
}
