//! Whether it is a gateway that listens where our admin listener is to be.

use crate::server::Listen;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// How long it may take to let us in, and for each piece of its answer: it is on this machine.
const PATIENCE: Duration = Duration::from_secs(1);
/// More bytes than the answer has.
const MOST: usize = 1024;
/// In how many pieces it comes at most: who trickles is no gateway, and does not hold us up for long.
const PIECES: usize = 4;

/// Whether who listens there answers `/livez` as we do. Blocks the thread, for a moment.
pub(super) fn is_at(place: &Listen) -> bool {
    let answer = match place {
        Listen::Tcp(address) => TcpStream::connect_timeout(address, PATIENCE).and_then(|stream| {
            stream.set_read_timeout(Some(PATIENCE))?;
            ask(stream)
        }),
        Listen::Unix(path) => UnixStream::connect(path).and_then(|stream| {
            stream.set_read_timeout(Some(PATIENCE))?;
            ask(stream)
        }),
    };
    answer
        .is_ok_and(|answer| answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\nok\n"))
}

fn ask(mut stream: impl Read + Write) -> io::Result<String> {
    stream.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let (mut answer, mut piece) = (Vec::new(), [0; MOST]);
    for _ in 0..PIECES {
        let read = stream.read(&mut piece)?;
        answer.extend(piece.iter().take(read));
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends a byte whenever it is read, without end; counts how often that is.
    struct Trickling(usize);

    impl Read for Trickling {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.0 += 1;
            into[0] = b'x';
            Ok(1)
        }
    }

    impl Write for Trickling {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn who_trickles_does_not_hold_a_start_up() {
        let mut trickling = Trickling(0);
        assert_eq!(ask(&mut trickling).unwrap().len(), PIECES);
        assert_eq!(trickling.0, PIECES);
    }
}
