//! A request's body on its way from its connection to whoever reads it.
//!
//! The connection reads when the body is asked for, one piece at a time.
//! Mostly both are in one task, and nobody waits for the other's lock.

use bytes::Bytes;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// What both ends share.
#[derive(Debug)]
pub(in crate::server) struct Inlet(Mutex<Slot>);

#[derive(Debug, Default)]
struct Slot {
    piece: Option<Bytes>,
    failed: Option<io::Error>,
    /// Nothing comes behind the piece.
    is_over: bool,
    /// Somebody waits for the next piece.
    is_wanted: bool,
    /// Nobody will.
    is_gone: bool,
    /// The request is answered; the connection waits for the end of its body only.
    is_answered: bool,
    /// Who.
    reader: Option<Waker>,
    /// Who brings it.
    connection: Option<Waker>,
}

/// What came next.
#[derive(Debug)]
pub(in crate::server) enum Next {
    Piece { data: Bytes, is_last: bool },
    End,
    Failed(io::Error),
}

impl Inlet {
    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the next piece, or asks for it.
    pub(in crate::server) fn poll_next(&self, cx: &Context<'_>) -> Poll<Next> {
        let mut slot = self.slot();
        if let Some(data) = slot.piece.take() {
            let is_last = slot.is_over;
            return Poll::Ready(Next::Piece { data, is_last });
        }
        if let Some(error) = slot.failed.take() {
            slot.is_over = true;
            return Poll::Ready(Next::Failed(error));
        }
        if slot.is_over {
            return Poll::Ready(Next::End);
        }
        let mine = cx.waker();
        if !slot.reader.as_ref().is_some_and(|it| it.will_wake(mine)) {
            slot.reader = Some(mine.clone());
        }
        if !slot.is_wanted {
            slot.is_wanted = true;
            // In the same task it looks by itself, once this is polled.
            if let Some(connection) = &slot.connection
                && !connection.will_wake(mine)
            {
                connection.wake_by_ref();
            }
        }
        Poll::Pending
    }

    /// Says that nobody will ask again.
    pub(in crate::server) fn leave(&self) {
        let mut slot = self.slot();
        slot.is_gone = true;
        slot.piece = None;
        slot.reader = None;
        if slot.is_answered
            && let Some(connection) = &slot.connection
        {
            connection.wake_by_ref();
        }
    }
}

/// The connection's end. Dropped before the body is over, it tells so.
#[derive(Debug)]
pub(super) struct Feeder(Arc<Inlet>);

/// Whether anybody wants more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wants {
    Nothing,
    Piece,
    /// Whoever did is gone.
    NoMore,
}

impl Feeder {
    /// With `ahead` the first piece is brought before anybody asks for it.
    pub(super) fn new(ahead: bool) -> (Self, Arc<Inlet>) {
        let inlet = Arc::new(Inlet(Mutex::new(Slot {
            is_wanted: ahead,
            ..Slot::default()
        })));
        (Self(inlet.clone()), inlet)
    }

    /// Says that the request is answered.
    pub(super) fn note_answered(&self) {
        self.0.slot().is_answered = true;
    }

    /// What is wanted now. The task is woken when that changes.
    pub(super) fn wants(&self, cx: &Context<'_>) -> Wants {
        let mut slot = self.0.slot();
        if slot.is_gone {
            return Wants::NoMore;
        }
        let mine = cx.waker();
        if !slot
            .connection
            .as_ref()
            .is_some_and(|it| it.will_wake(mine))
        {
            slot.connection = Some(mine.clone());
        }
        if slot.is_wanted && slot.piece.is_none() {
            Wants::Piece
        } else {
            Wants::Nothing
        }
    }

    /// Brings a piece; true when it was this very task that asked for it.
    pub(super) fn give(&self, cx: &Context<'_>, data: Bytes, is_last: bool) -> bool {
        self.change(cx, |slot| {
            slot.piece = Some(data);
            slot.is_over = is_last;
        })
    }

    /// Says that it is over; true when it was this very task that asked.
    pub(super) fn end(&self, cx: &Context<'_>) -> bool {
        self.change(cx, |slot| slot.is_over = true)
    }

    /// Says that no more comes, and why; true when it was this very task that asked.
    pub(super) fn fail(&self, cx: &Context<'_>, error: io::Error) -> bool {
        self.change(cx, |slot| slot.failed = Some(error))
    }

    fn change(&self, cx: &Context<'_>, change: impl FnOnce(&mut Slot)) -> bool {
        let mut slot = self.0.slot();
        change(&mut slot);
        slot.is_wanted = false;
        match &slot.reader {
            Some(reader) if !reader.will_wake(cx.waker()) => {
                reader.wake_by_ref();
                false
            }
            reader => reader.is_some(),
        }
    }
}

impl Drop for Feeder {
    fn drop(&mut self) {
        let mut slot = self.0.slot();
        if !slot.is_over && slot.failed.is_none() {
            slot.failed = Some(io::ErrorKind::ConnectionAborted.into());
            if let Some(reader) = slot.reader.take() {
                reader.wake();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn task() -> (Arc<Woken>, Waker) {
        let woken = Arc::<Woken>::default();
        (woken.clone(), woken.into())
    }

    fn times(woken: &Woken) -> usize {
        woken.0.load(Ordering::Relaxed)
    }

    #[test]
    fn in_one_task_a_piece_passes_when_it_is_asked_for_and_nobody_is_woken() {
        let (woken, waker) = task();
        let cx = Context::from_waker(&waker);
        let (feeder, inlet) = Feeder::new(false);
        assert_eq!(feeder.wants(&cx), Wants::Nothing);
        assert!(inlet.poll_next(&cx).is_pending());
        assert_eq!(feeder.wants(&cx), Wants::Piece);
        assert!(feeder.give(&cx, Bytes::from_static(b"a"), false));
        assert_eq!(feeder.wants(&cx), Wants::Nothing);
        let Poll::Ready(Next::Piece { data, is_last }) = inlet.poll_next(&cx) else {
            panic!("no piece");
        };
        assert_eq!((&data[..], is_last), (&b"a"[..], false));
        assert!(inlet.poll_next(&cx).is_pending());
        assert!(feeder.end(&cx));
        assert!(matches!(inlet.poll_next(&cx), Poll::Ready(Next::End)));
        drop(feeder);
        assert!(matches!(inlet.poll_next(&cx), Poll::Ready(Next::End)));
        assert_eq!(times(&woken), 0);
    }

    #[test]
    fn between_two_tasks_each_wakes_the_other() {
        let ((reading, reader), (bringing, bringer)) = (task(), task());
        let (reader, bringer) = (Context::from_waker(&reader), Context::from_waker(&bringer));
        let (feeder, inlet) = Feeder::new(false);
        assert_eq!(feeder.wants(&bringer), Wants::Nothing);
        assert!(inlet.poll_next(&reader).is_pending());
        assert_eq!((times(&reading), times(&bringing)), (0, 1));
        assert!(!feeder.give(&bringer, Bytes::from_static(b"a"), false));
        assert_eq!((times(&reading), times(&bringing)), (1, 1));
        feeder.note_answered();
        inlet.leave();
        assert_eq!(times(&bringing), 2);
        assert_eq!(feeder.wants(&bringer), Wants::NoMore);
    }

    #[test]
    fn a_body_whose_connection_ends_before_it_does_fails() {
        let (woken, waker) = task();
        let cx = Context::from_waker(&waker);
        let (feeder, inlet) = Feeder::new(true);
        assert_eq!(feeder.wants(&cx), Wants::Piece);
        assert!(inlet.poll_next(&cx).is_pending());
        drop(feeder);
        assert_eq!(times(&woken), 1);
        let Poll::Ready(Next::Failed(error)) = inlet.poll_next(&cx) else {
            panic!("it does not");
        };
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
    }
}
