//! What routes let pass that proofs need not cover, as `check` lists it.

use super::line;
use crate::config::{self, Config};
use crate::route::ReplayPolicy;
use std::fmt::Write as _;

pub(super) fn describe(out: &mut String, config: &Config) {
    let mut lines = Vec::new();
    for route in config.gateway.routes.in_order() {
        for waiver in &route.waivers {
            let until = config::date(waiver.until);
            lines.push((
                route,
                format!(
                    "`{}` need not be covered until {until}: {}",
                    waiver.part.name(),
                    waiver.reason
                ),
            ));
        }
        if route.replay == ReplayPolicy::Off {
            lines.push((
                route,
                "the same request may pass many times (`replay = \"off\"`)".to_owned(),
            ));
        }
    }
    if !lines.is_empty() {
        let _ = writeln!(out, "\nwaivers");
    }
    for (route, text) in lines {
        line(out, &route.name, &text);
    }
}
