//! Sockets → requests.
//!
//! In: settings, listeners, a [`Handler`] per worker, and when to stop. Out:
//! one call of the handler a request, one response a call. This room never:
//! looks at a credential, knows a route, or reads a byte that two readers
//! could read differently.

use crate::crypto::certificate::Certificate;
use bytes::Bytes;
use http::Response;
use http::request::Parts;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

mod admission;
mod body;
mod client_auth;
mod client_certificate;
mod connection;
mod counts;
mod date;
mod drain;
mod forwarded;
mod frames;
mod handed;
mod heads;
pub mod http1;
mod http2;
mod introduction;
mod line;
mod listen;
mod network;
mod paced;
mod parting;
mod patience;
pub mod proxy_header;
mod socket;
mod socket_file;
mod streams;
pub mod tls;
mod tunnel;
mod turn;
mod validity;
mod windows;
mod work;

pub use admission::{Caps, RESERVED_FOR_HEALTH};
pub use body::{Reins, RequestBody};
pub(crate) use counts::Count;
pub use counts::Counts;
pub use forwarded::{Fields, Forwarders};
#[doc(hidden)]
pub use frames::{Heard, heard};
pub use handed::Handed;
pub use line::is_ended_by_us;
pub use listen::{BindError, Bound, Listen, Listener, Single, bind, bind_single};
pub use network::{BadNetwork, Network, Networks};
pub use patience::Pace;
pub use socket::{Entrance, Stream};
pub use socket_file::SocketFile;
pub use tunnel::{Duplex, Tunnel};
pub use validity::Validity;
pub use work::{Drained, Pulse, Running, run};

/// An error of any kind on a body's way.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What answers requests. One is made per worker thread, and cloned per connection.
pub trait Handler: Clone + Send + Sync + 'static {
    /// A response's body.
    type Body: http_body::Body<Data = Bytes, Error = BoxError> + Unpin + Send + 'static;

    /// Answers one request. Its head stays where it was read, from its first
    /// reader to its last. A 101 with a [`Tunnel`] in its extensions hands
    /// the connection over; behind an answer with [`LastAnswer`] it ends.
    fn handle(
        &self,
        peer: &Peer,
        head: Box<Parts>,
        body: RequestBody,
    ) -> impl Future<Output = Response<Self::Body>> + Send;

    /// Answers bytes that are no request; the connection closes behind it.
    fn refuse(&self, peer: &Peer, fault: Fault) -> Response<Self::Body>;

    /// Is told that we stop: what is in flight is the last, and waits for nothing that need not come.
    fn note_stop(&self) {}

    /// Is told that requests outlasted the stop: what they are answered in is dropped from here on.
    fn note_cut(&self) {}
}

/// In the extensions of an answer: no more requests are wanted on its connection.
#[derive(Clone, Copy, Debug)]
pub struct LastAnswer;

/// The other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its address, which those of a Unix socket do not have. Of whom a
    /// trusted proxy speaks for, that one's.
    pub address: Option<IpAddr>,
    /// The trusted proxies between there and here, the nearest last.
    pub via: Vec<IpAddr>,
    /// Whether it speaks TLS with us, or with the proxy that tells so.
    pub tls: bool,
    /// Whether it is a trusted proxy, so that its fields tell whom it speaks for.
    pub is_trusted: bool,
    /// The certificate that it showed us in the TLS handshake, verified.
    pub certificate: Option<Arc<Certificate>>,
    /// From when on its connection is to end, Unix time: what it showed there is over soon.
    pub leaves_at: Option<i64>,
}

impl Peer {
    /// Somebody at the other end of a connection in clear text.
    pub const fn at(address: Option<IpAddr>) -> Self {
        Self {
            address,
            via: Vec::new(),
            tls: false,
            is_trusted: false,
            certificate: None,
            leaves_at: None,
        }
    }
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
    /// Connections at a time, over all workers. More are closed at once.
    pub caps: Caps,
    /// Whom we believe when it speaks for others.
    pub forwarders: Forwarders,
    /// Every wait on a client has an end.
    pub deadlines: Deadlines,
}

/// What comes before a gateway that stops accepts no more, each for so long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Goodbye {
    /// It says that it is not ready, and does everything else as ever.
    pub not_ready: Duration,
    /// Its answers tell clients to connect anew.
    pub goodbye: Duration,
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
    /// For requests in flight when nothing more is accepted.
    pub drain: Duration,
    /// How slow the rest of a body may come, and a response be taken.
    pub pace: Pace,
}

#[cfg(test)]
mod tests;
