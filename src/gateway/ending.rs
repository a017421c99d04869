//! What ends with a response, in one place.

use super::answer::Source;
use super::in_force::Taken;
use super::reload::Settings;
use super::{Worker, grpc, observed};
use crate::clock::Now;
use crate::forward::body::Meter;
use crate::limit::Place;
use crate::observe::{CLIENT_WENT, Record, trace_id};
use crate::server::{Peer, is_ended_by_us};
use http::StatusCode;
use http::request::Parts;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What ends with the response: its record is written, its place freed.
/// All of it lies in one place, since it is moved with the response.
pub(super) struct Ending(Option<Box<Open>>);

/// What is open until then.
pub(super) struct Open {
    record: Record,
    /// The response's body, as soon as it is there.
    source: Source,
    settings: Arc<Taken>,
    place: Option<Place>,
    /// Whether it is a call of gRPC, and refused as one.
    is_grpc: bool,
    /// Bytes of the request's body so far.
    received: Option<Meter>,
    /// Whether its body is waited for before its proof.
    is_unproven: bool,
    /// Whether a proof is used up of which its client can make no other within the same second.
    has_used_up: bool,
    worker: Arc<Worker>,
}

impl Ending {
    /// Of a request of `peer`, whose head had arrived at `now`.
    pub(super) fn new(peer: &Peer, settings: Arc<Taken>, worker: &Arc<Worker>, now: Now) -> Self {
        // The place first: it is made there, and not moved to it.
        let open = Box::new_uninit();
        let open = Box::write(
            open,
            Open {
                record: Record::open(worker.ids.next(now), now, peer.address, peer.tls),
                source: Source::NOTHING,
                settings,
                place: None,
                is_grpc: false,
                received: None,
                is_unproven: false,
                has_used_up: false,
                worker: worker.clone(),
            },
        );
        worker.shared.observer.opened();
        Self(Some(open))
    }

    /// Notes what a request is, whatever becomes of it.
    pub(super) fn describe(&mut self, parts: &Parts) {
        let open = self.open();
        open.record.version = parts.version;
        open.record.method = Some(parts.method.clone());
        // Also of a path that is refused: whoever reads the log has to find it.
        open.record.path = parts.uri.path().into();
        open.record.trace = trace_id(&parts.headers);
        open.is_grpc = grpc::is_call(&parts.method, &parts.headers);
    }

    /// All that is still open, for whoever goes on where the response ends.
    pub(super) fn hand_over(&mut self) -> Self {
        let mut open = self.0.take();
        if let Some(open) = &mut open {
            // Whoever goes on counts by itself.
            open.received = None;
        }
        Self(open)
    }

    /// What is known so far, unless it was handed over.
    pub(super) fn open_record(&self) -> Option<&Record> {
        self.0.as_ref().map(|open| &open.record)
    }

    /// The settings that the request was judged by, unless it was handed over.
    pub(super) fn settings(&self) -> Option<&Settings> {
        self.0.as_ref().map(|open| &**open.settings)
    }

    /// What is known so far.
    pub(super) fn record(&mut self) -> &mut Record {
        &mut self.open().record
    }

    /// Notes what is sent, unless whoever goes on has noted it.
    pub(super) fn note_status(&mut self, status: StatusCode) {
        if let Some(open) = &mut self.0 {
            open.record.status = status.as_u16();
        }
    }

    pub(super) fn is_grpc(&self) -> bool {
        self.0.as_ref().is_some_and(|open| open.is_grpc)
    }

    /// Takes the response's body up.
    pub(super) fn carry(&mut self, source: Source) {
        self.open().source = source;
    }

    /// The response's body, unless it was handed over.
    pub(super) fn source(&self) -> Option<&Source> {
        self.0.as_ref().map(|open| &open.source)
    }

    /// The same to be read, and the record of it.
    pub(super) fn carried(&mut self) -> Option<(&mut Source, &mut Record)> {
        let open = self.0.as_mut()?;
        Some((&mut open.source, &mut open.record))
    }

    /// Keeps the request's place until the response ends.
    pub(super) fn keep(&mut self, place: Option<Place>) {
        self.open().place = place;
    }

    /// Notes whether its body is waited for, for a proof that holds the body's hash: a client that
    /// goes then has shown none, and its address pays for it.
    pub(super) fn note_unproven(&mut self, is_unproven: bool) {
        self.open().is_unproven = is_unproven;
    }

    /// Notes whether a proof is used up of which its client can make no other within the same second.
    pub(super) fn note_used_up(&mut self, has_used_up: bool) {
        self.open().has_used_up = has_used_up;
    }

    /// Whether it is, unless whoever goes on answers.
    pub(super) fn has_used_up(&self) -> bool {
        self.0.as_ref().is_some_and(|open| open.has_used_up)
    }

    /// The place that is kept.
    pub(super) fn place(&mut self) -> Option<&mut Place> {
        self.open().place.as_mut()
    }

    /// Counts the request's body.
    pub(super) fn count(&mut self, received: Meter) {
        self.open().received = Some(received);
    }

    fn open(&mut self) -> &mut Open {
        self.0
            .as_mut()
            .expect("what is open is taken only when this ends or is handed over")
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let Some(open) = &mut self.0 else {
            return;
        };
        // What it holds is free before the record says that it is over.
        open.source = Source::NOTHING;
        let record = &mut open.record;
        if let Some(received) = &open.received {
            record.bytes_in = received.bytes();
            if received.is_another() {
                observed::note_body(record);
            }
        }
        let is_cut_by_us = open.worker.cuts.load(Ordering::Relaxed);
        let has_status = record.status != 0;
        record.cut |= !has_status;
        if record.cut && !is_cut_by_us && is_ended_by_us() {
            let why = "its connection was ended by us, for what came in on it";
            record.reason.get_or_insert_with(|| why.into());
        }
        if !has_status && !is_cut_by_us {
            record.status = CLIENT_WENT;
            let why = "the client went away";
            record.reason.get_or_insert_with(|| why.into());
        }
        if record.cut && is_cut_by_us {
            let why = "it was in flight when the gateway stopped, for longer than `drain_timeout`";
            record.reason.get_or_insert_with(|| why.into());
        }
        let shared = &open.worker.shared;
        let now = shared.clock.later(record.started);
        if open.is_unproven && !is_cut_by_us {
            let peers = &open.settings.peers;
            shared.peers.failed(peers, record.peer, now);
        }
        shared.observer.finish(&open.settings.labels, record, now);
    }
}

impl std::fmt::Debug for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ending").finish_non_exhaustive()
    }
}
