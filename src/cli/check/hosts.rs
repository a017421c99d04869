//! Routes that take proofs of a key for whatever host the sender names.

use crate::config::Config;
use crate::route::Bind;

/// What to note of them, together.
pub(super) fn note(config: &Config) -> Option<String> {
    let gateway = &config.gateway;
    if gateway.public_url.is_some() {
        return None;
    }
    let routes = gateway.routes.in_order().iter();
    let open =
        routes.filter(|route| matches!(route.bind, Bind::Dpop | Bind::Key) && route.host.is_none());
    let names: Vec<_> = open.map(|route| format!("`{}`", route.name)).collect();
    (!names.is_empty()).then(|| {
        format!(
            "`bind` of {}: a DPoP proof is taken for any host, as `htu` is compared with the `Host` of the request, which its sender chooses; whoever leads a client to a host of another name can pass its token and proof on, once; hint: say `[server] public_url`, or give the route a `host`",
            names.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_route_that_takes_proofs_for_any_host_is_noted() {
        let text = r#"
            upstreams.orders.servers = ["http://127.0.0.1:1"]
            [[routes]]
            name = "orders"
            path = "/orders"
            upstream = "orders"
            accept = ["token"]
            bind = "dpop"
            [[routes]]
            name = "plain"
            path = "/plain"
            upstream = "orders"
            accept = ["token"]
        "#;
        let note = |text: &str| {
            let loaded = crate::config::from_text(text, "gateway.toml").unwrap();
            super::note(&loaded.config)
        };
        let told = note(text).unwrap();
        assert!(told.starts_with("`bind` of `orders`: "), "{told}");
        let hosted = text.replace("bind =", "host = \"api.example.com\"\nbind =");
        assert_eq!(note(&hosted), None);
        let public = "server.public_url = \"https://api.example.com\"\n";
        assert_eq!(note(&format!("{public}{text}")), None);
        assert_eq!(note(&text.replace("bind = \"dpop\"", "")), None);
    }
}
