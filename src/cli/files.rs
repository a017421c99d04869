//! How many files the process may open, how many the configuration needs, and how large they may be.

use crate::config::Config;
use crate::server::RESERVED_FOR_HEALTH;
use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
use std::io;
use tokio::signal::unix::{SignalKind, signal};

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

/// Lets a write fail that would make a file larger than it may be (`ulimit -f`): else the signal that comes with it
/// ends the process. For the life of the process; to be called inside a runtime.
///
/// # Errors
/// What the system said.
pub(super) fn outlive_size_limit() -> io::Result<()> {
    signal(SignalKind::from_raw(Signal::XFSZ.as_raw())).map(drop)
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

    /// How many connections of callers there may be at a time, where that is fewer than the configuration says since
    /// only so many files may be open. As many are left for what they lead to, and our own; with next to none, callers
    /// have a quarter of them.
    pub(super) fn connections_within(self, limit: u64) -> Option<usize> {
        if self.all() <= limit {
            return None;
        }
        let reserved = RESERVED_FOR_HEALTH as u64;
        let left = limit.saturating_sub(OWN + reserved);
        let callers = left - self.upstreams.min(left / 2);
        let fit = callers.max(limit / 4).max(1);
        (fit < self.connections - reserved).then_some(fit as usize)
    }

    /// What to say where only so many may be open.
    pub(super) fn shortage(self, limit: u64) -> Option<String> {
        let Self {
            connections,
            upstreams,
        } = self;
        let all = self.all();
        let so = self
            .connections_within(limit)
            .map_or_else(String::new, |most| {
                format!(", so that no more than {most} connections are let in at a time")
            });
        (all > limit).then(|| {
            format!(
                "up to {all} files are needed ({connections} connections, {upstreams} to upstreams, {OWN} of our own), and {limit} may be open{so}; hint: raise `LimitNOFILE=` or `ulimit -n`, or lower `max_connections` of `[server]` and `[upstreams]`"
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
                "up to 1728 files are needed (1016 connections, 552 to upstreams, 160 of our own), and 1024 may be open, so that no more than 424 connections are let in at a time; hint: "
            ),
            "{told}"
        );
    }

    #[test]
    fn where_few_files_may_be_open_callers_leave_enough_for_what_they_lead_to() {
        let need = Need {
            connections: 1_000 + RESERVED_FOR_HEALTH as u64,
            upstreams: 200,
        };
        for (limit, most) in [
            (u64::MAX, None),
            (1_376, None),
            (1_375, Some(999)),
            (700, Some(324)),
            (500, Some(162)),
            (300, Some(75)),
            (64, Some(16)),
            (0, Some(1)),
        ] {
            assert_eq!(need.connections_within(limit), most, "{limit}");
        }
        // It is not callers that are too many.
        let need = Need {
            connections: 50 + RESERVED_FOR_HEALTH as u64,
            upstreams: 10_000,
        };
        assert_eq!(need.connections_within(1_024), None);
        let told = need.shortage(1_024).unwrap();
        assert!(told.contains("and 1024 may be open; hint: "), "{told}");
    }
}
