//! How many files the process may open, and how many the configuration needs.

use crate::config::Config;
use crate::server::RESERVED_FOR_HEALTH;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files besides connections of callers and to upstreams: what lies open all
/// the time, and the connections that ask for health and metrics.
const OWN: u64 = 160;

/// Raises the limit as far as we may; gives back the one in force.
pub(super) fn raise() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => number(maximum),
        Err(_) => number(current),
    }
}

/// The most that [`raise`] could reach.
pub(super) fn most() -> u64 {
    number(getrlimit(Resource::Nofile).maximum)
}

/// Without a limit, whatever is needed.
fn number(limit: Option<u64>) -> u64 {
    limit.unwrap_or(u64::MAX)
}

/// What a configuration may open at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Need {
    connections: u64,
    upstreams: u64,
}

impl Need {
    pub(super) fn of(config: &Config) -> Self {
        let upstreams = config.gateway.upstreams.iter();
        // To each server, for each worker.
        let upstreams = upstreams.map(|one| one.servers.len() * one.max_connections);
        Self {
            connections: (config.server.caps.connections + RESERVED_FOR_HEALTH) as u64,
            upstreams: (upstreams.sum::<usize>() * config.server.workers) as u64,
        }
    }

    pub(super) const fn all(self) -> u64 {
        self.connections
            .saturating_add(self.upstreams)
            .saturating_add(OWN)
    }

    /// What to say where only so many may be open.
    pub(super) fn shortage(self, limit: u64) -> Option<String> {
        let Self {
            connections,
            upstreams,
        } = self;
        (self.all() > limit).then(|| {
            format!(
                "up to {} files are needed ({connections} connections, {upstreams} to upstreams, {OWN} of our own), and {limit} may be open; hint: raise `LimitNOFILE=` or `ulimit -n`, or lower `max_connections` of `[server]` and `[upstreams]`",
                self.all()
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_is_summed_and_said_where_it_does_not_fit() {
        let text = r#"
            server = { workers = 2, max_connections = 1_000 }
            [upstreams.a]
            servers = ["http://127.0.0.1:1", "http://127.0.0.1:2"]
            max_connections = 10
            [upstreams.b]
            servers = ["http://127.0.0.1:3"]
        "#;
        let loaded = crate::config::from_text(text, "gateway.toml").unwrap();
        let need = Need::of(&loaded.config);
        assert_eq!(need.all(), 1_016 + 2 * (2 * 10 + 256) + OWN);
        assert_eq!(need.shortage(need.all()), None);
        let told = need.shortage(1_024).unwrap();
        assert!(
            told.starts_with(
                "up to 1728 files are needed (1016 connections, 552 to upstreams, 160 of our own), and 1024 may be open; hint: "
            ),
            "{told}"
        );
    }
}
