//! Where connections come in.

use super::Settings;
use std::io;
use std::net::{SocketAddr, TcpListener};
use tokio::net::TcpSocket;

/// Connections that may wait to be accepted, on each listener.
pub(super) const BACKLOG: u32 = 1024;

/// Listeners on every address, a set for each worker.
#[derive(Debug)]
pub struct Bound {
    pub(super) workers: Vec<Vec<TcpListener>>,
    addresses: Vec<SocketAddr>,
}

impl Bound {
    /// Where we listen, in the order of the settings, with ports that were left to the system filled in.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Someone listens there.
    #[error(
        "cannot listen on `{0}`: the address is in use\n\nhint: is another gateway running? set `[server] listen`"
    )]
    InUse(SocketAddr),
    /// The port is for privileged programs.
    #[error(
        "cannot listen on `{0}`: permission denied\n\nhint: ports below 1024 need the capability `CAP_NET_BIND_SERVICE`; set `[server] listen` to a higher one"
    )]
    Denied(SocketAddr),
    /// No interface has that address.
    #[error(
        "cannot listen on `{0}`: this machine does not have that address\n\nhint: `0.0.0.0` and `[::]` are every address; set `[server] listen`"
    )]
    NotHere(SocketAddr),
    /// The system refuses for another reason.
    #[error("cannot listen on `{0}`: {1}\n\nhint: set `[server] listen`")]
    System(SocketAddr, io::Error),
    /// The system does not let us wait for sockets at all.
    #[error("cannot listen: {0}")]
    Runtime(io::Error),
}

/// Listens on every address of `settings`, once for each worker.
///
/// # Errors
/// [`BindError`] names the address and what is in the way.
pub fn bind(settings: &Settings) -> Result<Bound, BindError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .map_err(BindError::Runtime)?;
    let bound = {
        let _sockets_need_one = runtime.enter();
        bind_all(settings)
    };
    // Unlike dropping it, this may be done within another runtime.
    runtime.shutdown_background();
    bound
}

fn bind_all(settings: &Settings) -> Result<Bound, BindError> {
    let mut workers: Vec<_> = (0..settings.workers.max(1)).map(|_| Vec::new()).collect();
    let mut addresses = Vec::with_capacity(settings.listen.len());
    for &wanted in &settings.listen {
        let named = |error| BindError::from_io(wanted, error);
        if wanted.port() != 0 {
            probe(wanted).map_err(named)?;
        }
        let mut address = wanted;
        for listeners in &mut workers {
            let listener = listen(address).map_err(named)?;
            address = listener.local_addr().map_err(named)?;
            listeners.push(listener);
        }
        addresses.push(address);
    }
    Ok(Bound { workers, addresses })
}

/// Our listeners share their port among the workers, and so would another
/// gateway of the same user: silently, each getting half of the connections.
/// A listener that does not share finds out.
fn probe(address: SocketAddr) -> io::Result<()> {
    let socket = socket(address)?;
    socket.bind(address)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket(address)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

fn socket(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // Connections of a gateway that has just stopped do not keep the next from starting.
    socket.set_reuseaddr(true)?;
    Ok(socket)
}

impl BindError {
    fn from_io(address: SocketAddr, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::AddrInUse => Self::InUse(address),
            io::ErrorKind::PermissionDenied => Self::Denied(address),
            io::ErrorKind::AddrNotAvailable => Self::NotHere(address),
            _ => Self::System(address, error),
        }
    }
}
