//! A body that is forwarded while it arrives, in constant memory.

use super::BodyError;
use super::arrival::Arrival;
use crate::schemes::digest::BodyCheck;
use bytes::Bytes;
use std::task::{Context, Poll, ready};

/// Hands bytes on as they come. Where a digest was given, or the body
/// is checked by its pieces, the last frame
/// waits until the end is there and the digest holds: until then no upstream
/// can take what it has for a whole request.
pub(super) struct Passing {
    arrival: Arrival,
    /// `None` when nothing needs to be proven, and once it is.
    check: Option<BodyCheck>,
    held: Option<Bytes>,
    ended: bool,
}

impl Passing {
    pub(super) fn new(arrival: Arrival, check: BodyCheck) -> Self {
        Self {
            check: (!check.is_idle() || arrival.is_checked()).then_some(check),
            arrival,
            held: None,
            ended: false,
        }
    }

    pub(super) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BodyError>>> {
        while !self.ended {
            let data = match ready!(self.arrival.poll_next(cx)) {
                Some(Ok(data)) => Some(data),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => None,
            };
            let ends = data.is_none() || self.arrival.is_end();
            let before = match (&mut self.check, data) {
                (Some(check), Some(data)) => {
                    check.update(&data);
                    self.held.replace(data)
                }
                (_, data) => data,
            };
            if ends {
                if let Some(Err(another)) = self.check.take().map(BodyCheck::finish)
                    && let Err(refused) = self.arrival.note(another)
                {
                    return Poll::Ready(Some(Err(refused)));
                }
                self.ended = true;
            }
            if let Some(before) = before {
                return Poll::Ready(Some(Ok(before)));
            }
        }
        Poll::Ready(self.held.take().map(Ok))
    }

    /// Whether all of it was handed out.
    pub(super) const fn is_end(&self) -> bool {
        self.ended && self.held.is_none()
    }
}
