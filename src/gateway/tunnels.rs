//! Requests that leave HTTP: who may ask for it, how many may be open, and
//! the record that is written when one ends.

use super::ending::Ending;
use crate::forward::Head;
use crate::forward::tunnel::{Far, Passed, names_upgrade, pass};
use crate::route::Route;
use crate::server::Tunnel;
use http::header::{TRANSFER_ENCODING, UPGRADE};
use http::request::Parts;
use http::{HeaderValue, Version};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How tunnels are bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TunnelSettings {
    /// How long one may stay open in which no byte passes.
    pub idle: Duration,
    /// How many may be open.
    pub most: usize,
}

/// Tunnels that are open, of all workers.
#[derive(Clone, Debug, Default)]
pub struct Tunnels(Arc<AtomicUsize>);

impl Tunnels {
    /// How many there are.
    pub fn open(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// One more, if `head` asks for one.
    pub(super) fn enter_for(
        &self,
        head: &Head,
        settings: TunnelSettings,
    ) -> Result<Option<Open>, NoRoom> {
        if head.upgrade.is_none() {
            return Ok(None);
        }
        let more = |open| (open < settings.most).then_some(open + 1);
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .map_err(|_| NoRoom)?;
        Ok(Some(Open {
            among: self.0.clone(),
            idle: settings.idle,
        }))
    }
}

/// As many tunnels as may be are open.
#[derive(Debug)]
pub(super) struct NoRoom;

/// One tunnel's place among all.
#[derive(Debug)]
pub(super) struct Open {
    among: Arc<AtomicUsize>,
    idle: Duration,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.among.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The protocol that a request asks for, if its route has it. Whatever asks
/// in another way is a request like any other, without `Upgrade`: over
/// another version than HTTP/1.1, with a body, or for several protocols.
pub fn asked(route: &Route, parts: &Parts, has_body: bool) -> Option<HeaderValue> {
    if route.upgrade.is_empty() || parts.version != Version::HTTP_11 {
        return None;
    }
    // One that is empty, and was read, is one as well.
    if has_body || parts.headers.contains_key(TRANSFER_ENCODING) {
        return None;
    }
    let mut protocols = parts.headers.get_all(UPGRADE).iter();
    let (protocol, None) = (protocols.next()?, protocols.next()) else {
        return None;
    };
    let wanted = protocol.as_bytes();
    let has = |name: &str| name.as_bytes().eq_ignore_ascii_case(wanted);
    (route.upgrade.iter().any(|name| has(name)) && names_upgrade(&parts.headers))
        .then(|| protocol.clone())
}

impl Open {
    /// The tunnel from a client to `far`, which keeps `ending` open until it ends.
    pub(super) fn lead_to(self, far: Far, ending: Ending) -> Tunnel {
        let mut trip = Trip {
            passed: Passed::default(),
            ending,
            open: self,
        };
        // What stands in the record should this be dropped before it begins, and then before its end.
        trip.cut("the client went away before the switch");
        Tunnel::new(move |client| async move {
            trip.cut("it was open when the gateway stopped");
            match pass(client, far, trip.open.idle, &mut trip.passed).await {
                Ok(()) => trip.ended(),
                Err(cut) => trip.cut(&cut.to_string()),
            }
        })
    }
}

/// An open tunnel and its record.
struct Trip {
    passed: Passed,
    ending: Ending,
    open: Open,
}

impl Trip {
    fn cut(&mut self, why: &str) {
        let record = self.ending.record();
        record.cut = true;
        record.reason = Some(why.into());
    }

    fn ended(&mut self) {
        let record = self.ending.record();
        record.cut = false;
        record.reason = None;
    }
}

impl Drop for Trip {
    fn drop(&mut self) {
        let record = self.ending.record();
        record.bytes_in = self.passed.up;
        record.bytes_out = self.passed.down;
    }
}
