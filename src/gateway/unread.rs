//! What has to come of a request's body before it can be judged.

use super::begin::{Judged, Passing};
use super::outcome::Stopped;
use super::refusal::Refusal;
use super::reload::Settings;
use super::{Ending, Gateway, cors};
use crate::clock::Now;
use crate::forward::body::{self, Held};
use crate::schemes;
use crate::server::{Peer, RequestBody};
use http::request::Parts;
use http_body::Body as _;
use std::time::Duration;
use tokio::time::timeout;

/// How long the first byte of a body is waited for, whose end in its place would show that there is none.
const START_WITHIN: Duration = Duration::from_secs(5);

/// The same where that is only observed: who sends nothing before the answer begins is not to pay for it with more.
const OBSERVED_START_WITHIN: Duration = Duration::from_secs(1);

/// What is known of a request's body when the request is judged.
#[derive(Clone, Copy)]
pub(super) enum Known<'b> {
    /// Whether there is one.
    HasBody(bool),
    /// Not even that: it has no length, and counts as one until its end shows that it is none.
    Untold,
    /// All of it.
    Whole(&'b Held),
}

impl<'b> Known<'b> {
    /// By its head.
    pub(super) fn of(body: &RequestBody) -> Self {
        match body.size_hint().exact() {
            _ if body.is_end_stream() => Self::HasBody(false),
            // One that is said to be nothing is none, be its end still to come: nothing is forwarded before that.
            Some(length) => Self::HasBody(length > 0),
            None => Self::Untold,
        }
    }

    /// Whether one has to be reckoned with.
    pub(super) const fn has_body(self) -> bool {
        match self {
            Self::HasBody(has_body) => has_body,
            Self::Untold => true,
            Self::Whole(held) => !held.bytes.is_empty(),
        }
    }

    /// Whether there may be none for all that is known.
    pub(super) const fn is_untold(self) -> bool {
        matches!(self, Self::Untold)
    }

    /// All of it, where it was read.
    pub(super) const fn whole(self) -> Option<&'b Held> {
        match self {
            Self::Whole(held) => Some(held),
            Self::HasBody(_) | Self::Untold => None,
        }
    }

    /// What has to be waited for after this verdict; `None` where the verdict stands.
    pub(super) fn wait<T>(
        self,
        proven: &Result<T, Refusal>,
        hold: impl FnOnce() -> u64,
    ) -> Option<Wait> {
        match (self, proven) {
            (Self::Untold, Err(Refusal::Credential(schemes::Refused::Unbegun))) => {
                Some(Wait::Start)
            }
            (
                Self::Untold | Self::HasBody(_),
                Err(Refusal::Credential(schemes::Refused::Unread)),
            ) => Some(Wait::Whole(hold())),
            _ => None,
        }
    }
}

/// What is waited for.
pub(super) enum Wait {
    /// The first byte, or the end in its place.
    Start,
    /// All of it, of so many bytes at most.
    Whole(u64),
}

/// A request whose proof cannot be checked by its head alone.
pub(super) struct Unread {
    pub(super) parts: Box<Parts>,
    /// What of its body that takes.
    pub(super) wait: Wait,
    /// What a browser is told if it does not come.
    pub(super) told: cors::Told,
    /// Whether a client that goes before it is there, and hears no refusal, counts against its
    /// address: not where what would be refused is only observed.
    pub(super) counts: bool,
}

impl Gateway {
    /// The steps of [`Gateway::begin`] for a request of whose body something has to come first.
    pub(super) async fn begin_with_body(
        &self,
        settings: &Settings,
        peer: &Peer,
        unread: Unread,
        body: RequestBody,
        ending: &mut Ending,
        now: Now,
    ) -> Result<(Box<Passing>, RequestBody), Box<Stopped>> {
        let Unread {
            parts,
            wait,
            told,
            counts,
        } = unread;
        let (judged, body) = match wait {
            // It is forwarded as it was judged: as none only if it is at its end.
            Wait::Start => {
                let mut body = body;
                let within = if counts {
                    START_WITHIN
                } else {
                    OBSERVED_START_WITHIN
                };
                // Who waits for the answer's head first, as streams of gRPC may, has one.
                let _ = timeout(within, body.begin()).await;
                let known = Known::HasBody(!body.is_end_stream());
                // As one that came now: nothing of its body is judged.
                let now = self.shared.clock.later(now);
                let record = ending.record();
                let judged = self.judge(settings, peer, parts, known, record, now)?;
                (judged, body)
            }
            // Held back in memory that strangers have a bounded share of, and judged with its hash.
            Wait::Whole(most) => {
                let held = match body::hold(body, most, peer.address).await {
                    Ok(held) => held,
                    Err(error) => return Err(Stopped::told(error.into(), None, told)),
                };
                let (known, record) = (Known::Whole(&held), ending.record());
                let judged = self.judge(settings, peer, parts, known, record, now)?;
                // Where that is only observed, one passes whose proof does not hold.
                let bytes = if judged.is_of_an_app() {
                    held.into_proven_bytes()
                } else {
                    held.into_bytes()
                };
                (judged, RequestBody::whole(bytes))
            }
        };
        match judged {
            Judged::Passing(passing) => Ok((passing, body)),
            Judged::Unread(_) | Judged::Asked(_) => {
                Err(Refusal::Credential(schemes::Refused::Unread).into())
            }
        }
    }
}
