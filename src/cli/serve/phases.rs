//! The way of a running gateway to its end, one phase after the other.

use super::Running;
use super::control::Control;
use crate::admin;
use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

/// How long the memory of proofs is kept at a stop for requests whose body is waited for before their proof:
/// a gateway that follows waits for it, too.
const UNDECIDED: Duration = Duration::from_secs(2);

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
    /// more, for a gateway that follows: what is in flight does not need it.
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
        control.shared.undecided.wait(UNDECIDED);
        // It listens where the one that follows wants to.
        if self.is_handed_on {
            self.close_admin();
        }
        control.moved_up.close();
        if let Some(made) = &control.made {
            // Before the memory of proofs, which a gateway that follows waits for.
            made.store.close();
        }
        if let Err(why) = control.proofs.close() {
            tracing::warn!("the memory of proofs was not written to the disk: {why}");
        }
        let admin = self.admin_running.take();
        let cut = self.workers.wait().cut;
        control.shared.observer.flush();
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
