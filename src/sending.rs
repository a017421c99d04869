//! How what we send leaves, to whichever side: whether it is taken.

use std::io;
use std::task::Poll;

/// What is asked of whatever takes what we send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// To take bytes.
    Write,
    /// To pass on what it has taken.
    Flush,
    /// To take the end.
    Shutdown,
}

/// Whether a peer has us wait, and with what.
#[derive(Debug, Default)]
pub(crate) struct Waits(Option<Step>);

impl Waits {
    /// Whether it does.
    pub(crate) const fn is_any(&self) -> bool {
        self.0.is_some()
    }

    /// Notes what came of a step; true when it had to wait and goes on: its peer has taken some of what went before, so it is
    /// there. Where a flush has to wait a write that goes on tells nothing: TLS has room of its own.
    pub(crate) fn note<T>(&mut self, step: Step, polled: &Poll<io::Result<T>>) -> bool {
        let waited = std::mem::replace(&mut self.0, polled.is_pending().then_some(step));
        waited == Some(step) && matches!(polled, Poll::Ready(Ok(_)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_had_to_wait_and_goes_on_was_taken_by_the_peer() {
        const ON: Option<io::ErrorKind> = None;
        let taken = |steps: &[(Step, Poll<Option<io::ErrorKind>>)]| {
            let mut waits = Waits::default();
            let steps = steps.iter().map(|(step, polled)| {
                let polled = polled.map(|error| error.map_or(Ok(()), |kind| Err(kind.into())));
                waits.note(*step, &polled)
            });
            steps.collect::<Vec<_>>()
        };
        let (on, waits) = (Poll::Ready(ON), Poll::Pending);
        let broken = Poll::Ready(Some(io::ErrorKind::BrokenPipe));
        let write = |polled| (Step::Write, polled);
        let flush = |polled| (Step::Flush, polled);
        assert_eq!(taken(&[write(on), flush(on)]), [false, false]);
        assert_eq!(taken(&[write(waits), write(waits)]), [false, false]);
        let again = [write(waits), write(on), write(on)];
        assert_eq!(taken(&again), [false, true, false]);
        assert_eq!(taken(&[write(waits), write(broken)]), [false, false]);
        assert_eq!(taken(&[flush(waits), flush(on)]), [false, true]);
        let into_tls = [flush(waits), write(on), flush(waits), flush(on)];
        assert_eq!(taken(&into_tls), [false, false, false, true]);
    }
}
