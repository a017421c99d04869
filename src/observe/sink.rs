//! Bytes into a sink that may take none at the moment.
//!
//! Standard output and standard error may be pipes that another process has made non-blocking: a full one says so
//! then, and is read a moment later.

use std::io::{self, ErrorKind, Write};
use std::thread::sleep;
use std::time::Duration;

/// How long a sink is waited for that takes nothing.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long until it is asked again.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Gives bytes to `sink` until it takes no more, and flushes it. Gives back how many it took, and why no more. This
/// may take long: it is for threads that nobody waits for.
pub(super) fn give(sink: &mut dyn Write, bytes: &[u8]) -> (usize, io::Result<()>) {
    let (mut taken, mut given) = (0, Ok(()));
    while taken < bytes.len() && given.is_ok() {
        match patiently(|| sink.write(&bytes[taken..])) {
            Ok(0) => given = Err(ErrorKind::WriteZero.into()),
            Ok(more) => taken = bytes.len().min(taken + more),
            Err(why) => given = Err(why),
        }
    }
    // What the sink has taken and could not hand on goes out before what it takes next.
    let _ = patiently(|| sink.flush());
    (taken, given)
}

/// Asks until there is an answer, or nothing has been taken for too long.
fn patiently<T>(mut ask: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let mut left = PATIENCE;
    loop {
        match ask() {
            Err(why) if why.kind() == ErrorKind::Interrupted => {}
            Err(why) if why.kind() == ErrorKind::WouldBlock && !left.is_zero() => {
                sleep(LOOK_EVERY);
                left = left.saturating_sub(LOOK_EVERY);
            }
            answer => return answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A full pipe, which is read whenever it has said so: each time it has room for a few bytes.
    #[derive(Default)]
    struct Pipe {
        read: Vec<u8>,
        is_full: bool,
    }

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.is_full = !self.is_full;
            if self.is_full {
                return Err(ErrorKind::WouldBlock.into());
            }
            let taken = bytes.len().min(4);
            self.read.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_pipe_that_is_full_now_and_then_takes_all() {
        let mut pipe = Pipe::default();
        let (taken, given) = give(&mut pipe, b"a line of text\n");
        assert!(taken == 15 && given.is_ok());
        assert_eq!(pipe.read, b"a line of text\n");
    }

    #[test]
    fn a_sink_that_fails_is_not_waited_for() {
        let mut asked = 0;
        let told = patiently(|| {
            asked += 1;
            Err::<(), _>(ErrorKind::BrokenPipe.into())
        });
        assert_eq!(told.unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(asked, 1);
    }
}
