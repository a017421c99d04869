//! Sockets → requests.
//!
//! In: settings, listeners, a [`Handler`] per worker, and when to stop. Out:
//! one call of the handler a request, one response a call. This room never:
//! looks at a credential, knows a route, or lets a byte pass to the HTTP
//! library that two readers could read differently.

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use std::net::IpAddr;
use std::time::Duration;

mod alarm;
mod chunks;
mod connection;
pub mod framing;
mod handed;
mod head;
mod library;
mod line;
mod listen;
mod paced;
mod socket;
mod socket_file;
pub mod tls;
mod wire;
mod work;

pub use handed::Handed;
pub use listen::{BindError, Bound, Listen, Listener, Single, bind, bind_single};
pub use socket::{Entrance, Stream};
pub use socket_file::SocketFile;
pub use work::{Drained, Pulse, Running, run};

/// An error of any kind on a body's way.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What answers requests. One is made per worker thread, and cloned per connection.
pub trait Handler: Clone + Send + Sync + 'static {
    /// A response's body.
    type Body: http_body::Body<Data = Bytes, Error = BoxError> + Send + 'static;

    /// Answers one request.
    fn handle(
        &self,
        peer: &Peer,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Self::Body>> + Send;

    /// Answers bytes that are no request; the connection closes behind it.
    fn refuse(&self, peer: &Peer, fault: Fault) -> Response<Self::Body>;
}

/// The other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its address, which those of a Unix socket do not have.
    pub address: Option<IpAddr>,
    /// Whether it speaks TLS with us.
    pub tls: bool,
}

/// Why bytes on a connection are no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// They break RFC 9112 in this way.
    Malformed(&'static str),
    /// The head is over a bound.
    HeadTooLarge,
    /// The target is over a bound.
    TargetTooLong,
    /// The head did not arrive in time.
    HeadTimeout,
}

/// `[server]`: where to listen, and every bound of a connection.
#[derive(Debug)]
pub struct Settings {
    /// Where; each worker listens on all of them.
    pub listen: Vec<Listen>,
    /// Who may connect to a Unix socket: the mode of its file.
    pub socket_mode: u32,
    /// Worker threads.
    pub workers: usize,
    /// TLS on every listener.
    pub tls: Option<tls::Settings>,
    /// Connections at a time, over all workers. One more a listener is
    /// accepted and waits, unread, until another ends.
    pub max_connections: usize,
    /// Every wait on a client has an end.
    pub deadlines: Deadlines,
}

/// How long a client may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// For the TLS handshake.
    pub handshake: Duration,
    /// For a whole head, from its first byte on.
    pub head: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// Between two bytes of a body that we wait for.
    pub body: Duration,
    /// Between two bytes of a response that it takes.
    pub write: Duration,
    /// For requests in flight when we are asked to stop.
    pub drain: Duration,
}

#[cfg(test)]
mod tests;
