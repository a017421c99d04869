//! How what we send leaves, to whichever side: what the system is asked for, and whether it is taken.

use socket2::SockRef;
use std::io;
use std::task::Poll;
use tokio::net::TcpStream;

/// Bytes that the system takes of us before its peer has room for them; when half of them have gone it asks for more. It would
/// take some MiB, and ask when a third of those has gone: who takes them slowly would seem to take nothing.
const MOST_UNSENT: u32 = 128 * 1024;

/// Has small pieces sent at once, where they would wait for larger ones, and large ones taken in steps that can be seen.
///
/// # Errors
/// When the connection is none any more.
pub(crate) fn at_once(stream: &TcpStream) -> io::Result<()> {
    // Without it large ones are sent all the same.
    let _ = SockRef::from(stream).set_tcp_notsent_lowat(MOST_UNSENT);
    stream.set_nodelay(true)
}

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
pub(crate) mod tests {
    use super::*;
    use std::net::SocketAddr;
    use tokio::net::{TcpListener, TcpSocket};

    /// Room that a test's peer has; the system doubles it.
    const ROOM: u32 = 64 * 1024;
    /// More than is taken for it. Without the option it is more than a MiB.
    pub(crate) const FEW: usize = 512 * 1024;

    /// A listener whose connections have little room.
    pub(crate) fn with_little_room() -> TcpListener {
        let socket = little();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        socket.listen(1).unwrap()
    }

    /// A connection with little room.
    pub(crate) async fn connect_with_little_room(to: SocketAddr) -> TcpStream {
        little().connect(to).await.unwrap()
    }

    fn little() -> TcpSocket {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(ROOM).unwrap();
        socket
    }

    /// Bytes that the system takes for a peer that reads nothing, before it has us wait.
    pub(crate) async fn taken(stream: &TcpStream) -> usize {
        stream.writable().await.unwrap();
        let mut taken = 0;
        while let Ok(bytes) = stream.try_write(&[0; 16 * 1024]) {
            taken += bytes;
        }
        taken
    }

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
