//! An upstream's servers: choice, health, and connections kept per worker.

mod authorities;
pub mod balance;
pub mod budget;
pub mod checks;
pub mod ejection;
pub mod grpc_health;
pub mod health;

mod connect;
mod dice;
mod http2;
mod kept;
mod left_out;
mod load;
mod lost;
mod place;
mod pool;
mod resets;
pub mod resolve;
mod scarce;
mod stream;
pub mod tls;
mod used_up;

pub(super) use balance::{Chosen, Counted, Tried};
pub(super) use connect::MAX_ANSWER_FIELDS;
pub(super) use http2::Slot;
pub use kept::MAX_IDLE;
pub(super) use left_out::Way;
pub(super) use place::{Place, Target};
pub use pool::Pool;
pub(super) use pool::{Lease, NoPlace, Ready, Wants};
pub(super) use stream::Stream;
pub(super) use used_up::UsedUp;

use super::Failed;
use crate::clock::Now;
use balance::{Standing, nanos};
use budget::{Budget, Counts};
use checks::{Check, settings_of_a_check};
use ejection::Taken;
use http::StatusCode;
use left_out::Of;
use place::At;
use scarce::Scarce;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// No deadline is longer: times to come have to be computable.
pub const MAX_DEADLINE: Duration = Duration::from_hours(30 * 24);

/// `[upstreams.NAME]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Its name.
    pub name: Arc<str>,
    /// Its servers, at least one.
    pub servers: Vec<Server>,
    /// For a connection to be made.
    pub connect: Duration,
    /// From the request's end to the end of the answer's head.
    pub first_byte: Duration,
    /// Between two bytes, either way.
    pub idle: Duration,
    /// From first to last byte of request and answer.
    pub total: Duration,
    /// Connections to each server, per worker; of HTTP/2 requests at a time.
    pub max_connections: usize,
    /// How requests are spread over its servers.
    pub balance: balance::Rules,
    /// Which HTTP is spoken to them.
    pub protocol: Protocol,
    /// How TLS is spoken to those of `https://`; there has to be something where there are any.
    pub tls: Option<Arc<tls::Client>>,
    /// How often their names are looked up again.
    pub resolve_every: Duration,
    /// How long a connection of HTTP/1.1 is kept without a request, if any is.
    pub keep_alive: Option<Duration>,
}

impl Settings {
    /// Whether connections to `server` by it and by `other` are the same ones, counted together: so it is at an
    /// address or a socket, where both agree in how it is spoken to.
    pub fn shares(&self, server: &Server, other: &Self) -> bool {
        let place = |settings: &Self| Target::new(server, settings, Arc::default(), None).place;
        other.servers.contains(server) && place(self).is_some_and(|it| place(other) == Some(it))
    }
}

/// Which HTTP is spoken to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// What both settle on over TLS; HTTP/1.1 otherwise.
    Auto,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2; in clear text by prior knowledge.
    Http2,
}

/// One server of an upstream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Server {
    /// The built-in test backend, `echo:`.
    Echo,
    /// `http://host:port`.
    Http {
        /// Host name or address literal, without brackets.
        host: Box<str>,
        /// Port.
        port: u16,
    },
    /// `https://host:port`.
    Https {
        /// Host name or address literal, without brackets.
        host: Box<str>,
        /// Port.
        port: u16,
    },
    /// `unix:/path`.
    Unix {
        /// The socket.
        path: Box<Path>,
    },
}

/// One upstream of one configuration; workers share it.
#[derive(Debug)]
pub struct Upstream {
    settings: Settings,
    targets: Vec<Target>,
    /// One server that cannot be left out: nothing is kept of it.
    is_plain: bool,
    /// Whether too few of them are well.
    scarce: Scarce,
    /// Held while it is found whether one more server may be ejected.
    ejecting: Mutex<()>,
    budget: Budget,
    retries: Arc<Counts>,
}

impl Upstream {
    /// An upstream as it is set; deadlines over [`MAX_DEADLINE`] are that long.
    /// A server that `before`, the upstream of this name until now, has too
    /// goes on as it stood there.
    pub fn new(mut settings: Settings, before: Option<&Self>) -> Self {
        for deadline in [
            &mut settings.connect,
            &mut settings.first_byte,
            &mut settings.idle,
            &mut settings.total,
        ] {
            *deadline = MAX_DEADLINE.min(*deadline);
        }
        let targets: Vec<_> = settings
            .servers
            .iter()
            .map(|server| {
                let known = before.map(|before| before.target_of(server));
                let standing = match known {
                    None => Arc::default(),
                    Some(None) => Arc::new(Standing::added(&settings.balance)),
                    Some(Some(target)) => target.standing.clone(),
                };
                Target::new(server, &settings, standing, known.flatten())
            })
            .collect();
        let rules = &settings.balance;
        let may_eject = rules
            .ejection
            .as_ref()
            .is_some_and(|ejection| ejection.most(targets.len()) > 0);
        Self {
            is_plain: targets.len() == 1 && !may_eject && rules.health.is_none(),
            scarce: Scarce::of(settings.name.clone(), before.map(|before| &before.scarce)),
            settings,
            targets,
            ejecting: Mutex::new(()),
            budget: Budget::default(),
            retries: before.map_or_else(Arc::default, |before| before.retries.clone()),
        }
    }

    /// A server, if it is one of them.
    fn target_of(&self, server: &Server) -> Option<&Target> {
        let mut known = self.settings.servers.iter().zip(&self.targets);
        let (_, target) = known.find(|(one, _)| *one == server)?;
        Some(target)
    }

    /// How it is set.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The server that a request goes to which was sent to those in `tried`;
    /// `None` where none is left that may have it.
    pub(super) fn choose(&self, tried: &Tried, now: Now) -> Option<Chosen> {
        let rules = &self.settings.balance;
        let mut chosen = if self.is_plain {
            let may = tried.is_none() || (tried.may_repeat && !tried.is_full());
            may.then(Chosen::only)?
        } else {
            let now = nanos(now);
            dice::throw(|dice| {
                balance::choose(&self.targets, rules, tried, now, dice, &self.scarce)
            })?
        };
        let place = self.target(&chosen).place.as_ref();
        if let Some(left_out) = place.and_then(|place| place.left_out.as_ref()) {
            chosen.way = left_out.way(rules, tried.is_none(), nanos(now));
        }
        Some(chosen)
    }

    /// Tells how it went, `why` it failed if it did, to the address that it went to. Whether it tells of the
    /// server as well.
    fn tell_address(&self, chosen: &mut Chosen, why: Option<&str>, now: Now) -> bool {
        let of = Of {
            upstream: &self.settings.name,
            server: &self.targets[chosen.index].label,
            rules: &self.settings.balance,
            now: nanos(now),
        };
        chosen.way.tell(why, of)
    }

    pub(super) fn target(&self, chosen: &Chosen) -> &Target {
        &self.targets[chosen.index]
    }

    /// Whether a request may be sent once more.
    pub(super) fn allows_retry(&self, now: Now) -> bool {
        let Some(rules) = &self.settings.balance.retries else {
            return false;
        };
        let came = |target: &Target| target.standing.load.came();
        let came = self.targets.iter().map(came).fold(0, u32::wrapping_add);
        let allowed = self.budget.allows(rules, came, nanos(now));
        self.retries.count(allowed);
        allowed
    }

    /// The head of an answer came; after `took`, where only the server took the time.
    pub(super) fn answered(
        &self,
        chosen: &mut Chosen,
        status: StatusCode,
        took: Option<Duration>,
        now: Now,
    ) {
        let index = chosen.index;
        // What a proxy says whose own backend fails, or a server that is going down.
        let why = matches!(status.as_u16(), 502..=504).then(|| status.as_str());
        let is_the_servers = self.tell_address(chosen, why, now);
        let Some(counted) = chosen.counted() else {
            return;
        };
        let (standing, taken) = counted.tell();
        if let Some(why) = why {
            if is_the_servers || taken != Taken::In {
                self.count_failure(index, taken, now, why);
            }
            return;
        }
        let at = nanos(now);
        if standing.circuit.succeeded(taken, at) {
            standing.comes_back(at);
            let (upstream, server) = (&*self.settings.name, &*self.targets[index].label);
            tracing::info!(upstream, server, "a server is back: it answered a request");
        }
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            // It does nothing for it: whoever does so at once is not to look fast.
            standing.load.failed(at);
        } else if let Some(took) = took {
            standing.load.answered(took, at);
        }
    }

    /// No answer came.
    pub(super) fn failed(&self, chosen: &mut Chosen, why: &Failed, now: Now) {
        let index = chosen.index;
        if !why.is_the_servers() {
            chosen.excuse();
            return;
        }
        let why = why.to_string();
        let is_the_servers = self.tell_address(chosen, Some(&why), now);
        let Some(counted) = chosen.counted() else {
            return;
        };
        let (_, taken) = counted.tell();
        if is_the_servers || taken != Taken::In {
            self.count_failure(index, taken, now, &why);
        }
    }

    fn count_failure(&self, index: usize, taken: Taken, now: Now, why: &str) {
        let Target {
            label, standing, ..
        } = &self.targets[index];
        let now = nanos(now);
        let Some(rules) = &self.settings.balance.ejection else {
            standing.load.failed(now);
            return;
        };
        if taken == Taken::Anyway {
            // It is out, and gets requests all the same.
            standing.load.failed(now);
        }
        let one_at_a_time = self.ejecting.lock();
        let _held = one_at_a_time.unwrap_or_else(PoisonError::into_inner);
        let has_room = || {
            let out = self.targets.iter();
            let out = out.filter(|one| one.standing.circuit.is_out()).count();
            let has_room = out < rules.most(self.targets.len());
            if !has_room {
                // It stays among those that are chosen from, and is not to look fast.
                standing.load.failed(now);
            }
            has_room
        };
        if let Some(time) = standing.circuit.failed(taken, rules, now, has_room) {
            let (upstream, server, seconds) = (&*self.settings.name, &**label, time.as_secs_f64());
            tracing::warn!(
                upstream,
                server,
                seconds,
                why,
                "a server is ejected: its requests fail"
            );
        }
    }

    /// What its servers are to be asked, where its settings say so.
    pub fn checks(&self) -> Vec<Check> {
        let Some(health) = &self.settings.balance.health else {
            return Vec::new();
        };
        let settings = Arc::new(settings_of_a_check(&self.settings, health));
        let check = |target: &Target| {
            let place = target.place.clone()?;
            let is_grpc = health.grpc.is_some();
            Some(Check {
                label: target.label.clone(),
                place: if is_grpc {
                    Arc::new(place.over_http2())
                } else {
                    place
                },
                standing: target.standing.clone(),
                settings: settings.clone(),
                health: health.clone(),
            })
        };
        self.targets.iter().filter_map(check).collect()
    }

    /// How many of its servers are in each state.
    pub fn servers_by_state(&self) -> [(&'static str, usize); 3] {
        let rules = &self.settings.balance;
        let (mut up, mut ejected, mut down) = (0, 0, 0);
        for Target { standing, .. } in &self.targets {
            if standing.is_down(rules) {
                down += 1;
            } else if !self.is_plain && rules.ejection.is_some() && standing.circuit.is_out() {
                ejected += 1;
            } else {
                up += 1;
            }
        }
        [("up", up), ("ejected", ejected), ("down", down)]
    }

    /// Requests that were sent once more, and those that would have been but for the budget.
    pub fn retries(&self) -> [(&'static str, u64); 2] {
        [
            ("sent", self.retries.allowed.load(Ordering::Relaxed)),
            ("over-budget", self.retries.refused.load(Ordering::Relaxed)),
        ]
    }
}

#[cfg(test)]
mod tests;
