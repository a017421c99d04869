//! The way of a running gateway to its end, one phase after the other.

use super::Running;
use super::control::Control;
use crate::admin;
use crate::apps::made::Store as _;
use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

/// How long a memory of proofs that another gateway may wait for is kept at a stop for requests whose body is
/// waited for before their proof: all that time nobody accepts.
const UNDECIDED: Duration = Duration::from_secs(2);

/// How long the memory of proofs is kept at a stop for requests whose body is waited for before their proof. Where
/// no gateway can listen beside us none waits for it, and they have as long as all else that is in flight.
const fn kept_for_undecided(is_handed_on: bool, drain: Duration) -> Duration {
    if is_handed_on { UNDECIDED } else { drain }
}

/// Where a gateway stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// It serves.
    Serving,
    /// It says that it is not ready, and serves.
    NotReady,
    /// It serves, and sends its clients away.
    Goodbye,
    /// It accepts no connection; what is in flight goes on.
    Refusing,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Serving => "serving",
            Self::NotReady => "not ready",
            Self::Goodbye => "saying goodbye",
            Self::Refusing => "refusing",
        })
    }
}

/// The phase, for all threads to see.
#[derive(Debug, Default)]
pub(super) struct Current(AtomicU8);

impl Current {
    pub(super) fn get(&self) -> Phase {
        let known = [Phase::NotReady, Phase::Goodbye, Phase::Refusing];
        let now = self.0.load(Ordering::Acquire);
        let found = known.into_iter().find(|phase| *phase as u8 == now);
        found.unwrap_or(Phase::Serving)
    }

    fn set(&self, phase: Phase) {
        self.0.store(phase as u8, Ordering::Release);
    }
}

impl Control {
    /// Enters a phase, and says so.
    fn enter(&self, phase: Phase) {
        self.phase.set(phase);
        let in_flight = self.shared.in_flight.inside();
        tracing::info!(%phase, in_flight, "stopping");
    }

    /// Spends as much time in a phase as it is to last.
    fn spend(&self, phase: Phase, lasts: Duration) {
        if !lasts.is_zero() {
            self.enter(phase);
            std::thread::sleep(lasts);
        }
    }
}

impl Running {
    /// Stops: says that it is not ready, sends clients away, accepts nothing
    /// more, lets requests in flight end. Gives back how many were cut.
    ///
    /// The memory of proofs is given up as soon as no request can come any
    /// more and every proof is known, for a gateway that follows: what is in
    /// flight does not need it.
    pub fn stop(mut self) -> usize {
        let control = self.control.clone();
        let goodbye = control.goodbye();
        control.spend(Phase::NotReady, goodbye.not_ready);
        if !goodbye.goodbye.is_zero() {
            self.workers.say_goodbye();
        }
        control.spend(Phase::Goodbye, goodbye.goodbye);
        control.enter(Phase::Refusing);
        control.stop.cancel();
        self.workers.settled();
        let kept = kept_for_undecided(self.is_handed_on, self.drain);
        control.shared.undecided.wait(kept);
        // It listens where the one that follows wants to.
        if self.is_handed_on {
            self.close_admin();
        }
        control.moved_up.close();
        if let Some(made) = &control.made {
            let rest = control.guard.rest(control.shared.clock.now());
            for line in rest {
                made.store.note(line);
            }
            // Before the memory of proofs, which a gateway that follows waits for.
            made.store.close();
        }
        if let Err(why) = control.proofs.close() {
            tracing::warn!("the memory of proofs was not written to the disk: {why}");
        }
        let admin = self.admin_running.take();
        let cut = self.workers.wait().cut;
        if !control.shared.observer.flush() {
            tracing::warn!("lines of the access log were not written: nobody took them in time");
        }
        self.admin_stop.cancel();
        if let Some(admin) = admin {
            admin.wait();
        }
        cut
    }

    fn close_admin(&mut self) {
        self.admin_stop.cancel();
        if let Some(admin) = self.admin_running.take() {
            admin::Running::wait(admin);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_memory_of_proofs_that_no_gateway_can_wait_for_is_kept_as_long_as_the_drain() {
        for drain in [1, 30].map(Duration::from_secs) {
            assert_eq!(kept_for_undecided(false, drain), drain);
            assert_eq!(kept_for_undecided(true, drain), UNDECIDED);
        }
    }
}
