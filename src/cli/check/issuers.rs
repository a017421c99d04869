//! The issuers outside, as `check` lists them.

use super::line;
use crate::config::{self, Loaded, time};
use crate::schemes::token::Whose;
use std::fmt::Write as _;

pub(super) fn describe(out: &mut String, loaded: &Loaded) {
    let issuers = loaded.config.gateway.tokens.issuers();
    if !issuers.is_empty() {
        let _ = writeln!(out, "\nissuers");
    }
    for issuer in issuers {
        let whose = match &issuer.whose {
            Whose::App(app) => format!("app {}", app.name),
            Whose::Claim(path, apps) => {
                let mut apps: Vec<_> = apps.values().map(|app| &*app.name).collect();
                apps.sort_unstable();
                apps.dedup();
                format!("by `{path}` app {}", apps.join(" or "))
            }
            Whose::NoApp => "evidence for tokens of ours".to_owned(),
        };
        let algorithms: Vec<_> = issuer
            .algorithms
            .iter()
            .map(|one| one.jose_name())
            .collect();
        line(
            out,
            &issuer.name,
            &format!(
                "{} by {} → {whose}; at most {} old",
                algorithms.join(" "),
                issuer.keys_from,
                time(issuer.max_lifetime)
            ),
        );
        let fields: Vec<_> = issuer.fields.iter().map(http::HeaderName::as_str).collect();
        let mut text = format!("in {}", fields.join(", "));
        if let Some(iss) = &issuer.iss {
            let _ = write!(text, "; iss {iss}");
        }
        if !issuer.audiences.is_empty() {
            let _ = write!(text, "; aud {}", issuer.audiences.join(" or "));
        }
        if issuer.attests {
            text.push_str("; attests");
        }
        line(out, "", &text);
        let routes = loaded.config.gateway.routes.in_order();
        let routes: Vec<_> = routes
            .iter()
            .filter(|route| {
                config::issuers_of(route, &loaded.config.gateway).any(|name| *name == *issuer.name)
            })
            .map(|route| &*route.name)
            .collect();
        let routes = if routes.is_empty() {
            "on no route".to_owned()
        } else {
            format!("on {}", routes.join(", "))
        };
        line(out, "", &routes);
    }
}
