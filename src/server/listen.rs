//! Where connections come in.

use super::Settings;
use super::handed::Handed;
use super::socket_file::SocketFile;
use socket2::SockRef;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use tokio::net::TcpSocket;

/// Connections that may wait to be accepted, on each listener.
pub(super) const BACKLOG: u32 = 1024;

/// A place to listen at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Listen {
    /// An address and a port.
    Tcp(SocketAddr),
    /// A socket in the file system.
    Unix(PathBuf),
}

impl Listen {
    /// The address, of a place that has one.
    pub const fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }

    /// Whether somebody may come in at both: one is the other, or every address of its kind. `[::]` is every
    /// address of both kinds. A port that is left to the system is nobody else's.
    pub fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Tcp(one), Self::Tcp(other)) => {
                one.port() != 0 && one.port() == other.port() && has_one_of(*one, *other)
            }
            // `./a` is `a`.
            (Self::Unix(one), Self::Unix(other)) => {
                Path::new(".").join(one) == Path::new(".").join(other)
            }
            _ => false,
        }
    }

    /// Whether [`bind`] can listen on both: they do not meet, or are `[::]`, which then has callers by IPv6
    /// alone, and one of IPv4.
    pub fn goes_beside(&self, other: &Self) -> bool {
        !self.meets(other) || self.leaves_ipv4_to(other) || other.leaves_ipv4_to(self)
    }

    /// Whether this is `[::]`, and `other` is of IPv4 with the same port.
    fn leaves_ipv4_to(&self, other: &Self) -> bool {
        let (Self::Tcp(one), Self::Tcp(other)) = (self, other) else {
            return false;
        };
        one.port() != 0
            && one.port() == other.port()
            && one.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED)
            && other.ip().to_canonical().is_ipv4()
    }
}

/// Whether an address is both's. One of IPv4 that is written as one of IPv6 is that of IPv4.
fn has_one_of(one: SocketAddr, other: SocketAddr) -> bool {
    let is_all_of =
        |all: IpAddr, ip: IpAddr| all.is_unspecified() && (all.is_ipv6() || ip.is_ipv4());
    let (ip, other_ip) = (one.ip().to_canonical(), other.ip().to_canonical());
    // Two of IPv6 that are alike may be of different links.
    let same = one == other || (ip.is_ipv4() && ip == other_ip);
    same || is_all_of(ip, other_ip) || is_all_of(other_ip, ip)
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A socket on which connections come in.
#[derive(Debug)]
pub enum Listener {
    /// By an address.
    Tcp(TcpListener),
    /// By the file system.
    Unix(UnixListener),
}

impl Listener {
    /// Where it listens.
    ///
    /// # Errors
    /// When the system does not tell, or it has no name.
    pub fn place(&self) -> io::Result<Listen> {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(Listen::Tcp),
            Self::Unix(listener) => {
                let address = listener.local_addr()?;
                let path = address
                    .as_pathname()
                    .ok_or_else(|| io::Error::other("a Unix socket without a path"))?;
                Ok(Listen::Unix(path.to_owned()))
            }
        }
    }

    /// The same socket once more.
    ///
    /// # Errors
    /// When the system has no more files.
    pub fn try_clone(&self) -> io::Result<Self> {
        match self {
            Self::Tcp(listener) => listener.try_clone().map(Self::Tcp),
            Self::Unix(listener) => listener.try_clone().map(Self::Unix),
        }
    }
}

/// Listeners on every address, a set for each worker.
#[derive(Debug)]
pub struct Bound {
    /// Each with whether it stays open when we are gone: it was handed over.
    pub(super) workers: Vec<Vec<(Listener, bool)>>,
    pub(super) places: Vec<Listen>,
    /// Removed when they are dropped.
    pub(super) files: Vec<SocketFile>,
}

impl Bound {
    /// Where we listen, in the order of the settings, with ports that were left to the system filled in.
    pub fn places(&self) -> &[Listen] {
        &self.places
    }

    /// Whether another gateway may listen in some of the places too: before
    /// us, or once we are gone.
    pub fn is_handed_on(&self) -> bool {
        self.workers
            .iter()
            .flatten()
            .any(|(_, handed_on)| *handed_on)
    }

    /// Those of the places that have an address.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.places.iter().filter_map(Listen::address).collect()
    }
}

/// What to do about a socket that was handed over for another place.
const SAME: &str = "`ListenStream=` of the socket unit and `listen` of `[server]` or `[admin]` must say the same; `ListenStream=443` is `[::]:443`, every address of IPv4 and IPv6";

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Someone listens there.
    #[error(
        "cannot listen on `{0}`: the address is in use\n\nhint: is another gateway running? {hint}",
        hint = elsewhere(.0)
    )]
    InUse(Listen),
    /// The port is for privileged programs, or the folder is not ours to write to.
    #[error("cannot listen on `{0}`: permission denied\n\nhint: {hint}", hint = denied(.0))]
    Denied(Listen),
    /// No interface has that address.
    #[error(
        "cannot listen on `{0}`: this machine does not have that address\n\nhint: `0.0.0.0` and `[::]` are every address; set `[server] listen`"
    )]
    NotHere(Listen),
    /// There is no folder for the socket.
    #[error(
        "cannot listen on `{0}`: its folder is not there\n\nhint: make it first (`RuntimeDirectory=` does under systemd), or set another path"
    )]
    NoFolder(Listen),
    /// Something else has that name.
    #[error(
        "cannot listen on `{0}`: there is a file of that name, which is no socket\n\nhint: it is left as it is; remove it, or set another path"
    )]
    NoSocket(Listen),
    /// A socket that was handed over has the address, among others.
    #[error(
        "cannot listen on `{wanted}`: the socket `{handed}` that was handed over to us is in the way\n\nhint: {hint}",
        hint = SAME
    )]
    HandedOver {
        /// Where we are to listen.
        wanted: Listen,
        /// What was handed over.
        handed: Listen,
    },
    /// A socket was handed over that no setting names.
    #[error(
        "the socket {handed} was handed over to us, and nothing listens there: we listen on {wanted}\n\nhint: {hint}",
        hint = SAME
    )]
    NotAsked {
        /// What was handed over.
        handed: String,
        /// What is listened on, in words.
        wanted: String,
    },
    /// The system refuses for another reason.
    #[error("cannot listen on `{0}`: {1}\n\nhint: {hint}", hint = elsewhere(.0))]
    System(Listen, io::Error),
    /// The system does not let us wait for sockets at all.
    #[error("cannot listen: {0}")]
    Runtime(io::Error),
}

const fn elsewhere(place: &Listen) -> &'static str {
    match place {
        Listen::Tcp(_) => "set `[server] listen`",
        Listen::Unix(_) => "set another path",
    }
}

const fn denied(place: &Listen) -> &'static str {
    match place {
        Listen::Tcp(_) => {
            "ports below 1024 need the capability `CAP_NET_BIND_SERVICE`; set `[server] listen` to a higher one"
        }
        Listen::Unix(_) => {
            "the user that the gateway runs as must be allowed to write to its folder"
        }
    }
}

/// A listener that is not shared among workers.
#[derive(Debug)]
pub struct Single {
    /// The socket.
    pub listener: Listener,
    /// Removed when it is dropped: after the socket.
    pub file: Option<SocketFile>,
}

/// Listens at one place, once. `mode` is that of a Unix socket's file.
///
/// # Errors
/// [`BindError`] names the place and what is in the way.
pub fn bind_single(place: &Listen, mode: u32, handed: &mut Handed) -> Result<Single, BindError> {
    let (listener, file) = match (handed.take(place), place) {
        (Some(listener), _) => (listener, None),
        (None, Listen::Tcp(address)) => {
            let listener = TcpListener::bind(address)
                .map_err(|error| handed.or_in_the_way(BindError::from_io(place, error)))?;
            (Listener::Tcp(listener), None)
        }
        (None, Listen::Unix(path)) => {
            let (listener, file) = SocketFile::bind(path, mode)?;
            (Listener::Unix(listener), Some(file))
        }
    };
    Ok(Single { listener, file })
}

/// Listens on every address of `settings`, once for each worker. A socket
/// that was handed over is taken in place of a new one.
///
/// # Errors
/// [`BindError`] names the address and what is in the way.
pub fn bind(settings: &Settings, handed: &mut Handed) -> Result<Bound, BindError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .map_err(BindError::Runtime)?;
    let bound = {
        let _sockets_need_one = runtime.enter();
        bind_all(settings, handed)
    };
    // Unlike dropping it, this may be done within another runtime.
    runtime.shutdown_background();
    bound
}

fn bind_all(settings: &Settings, handed: &mut Handed) -> Result<Bound, BindError> {
    let count = settings.workers.max(1);
    let mut bound = Bound {
        workers: (0..count).map(|_| Vec::new()).collect(),
        places: Vec::with_capacity(settings.listen.len()),
        files: Vec::new(),
    };
    for wanted in &settings.listen {
        let named = |error| BindError::from_io(wanted, error);
        // Each of those that share a port has a queue of its own, in which callers wait.
        let taken: Vec<_> = std::iter::from_fn(|| handed.take(wanted)).collect();
        let outlives_us = !taken.is_empty();
        let listeners = match wanted {
            _ if !taken.is_empty() => shared(taken, count).map_err(named)?,
            Listen::Tcp(address) => {
                let mut others = settings.listen.iter();
                let only_v6 = others.any(|other| wanted.leaves_ipv4_to(other));
                each_its_own(*address, only_v6, count)
                    .map_err(|error| handed.or_in_the_way(named(error)))?
            }
            Listen::Unix(path) => {
                let (listener, file) = SocketFile::bind(path, settings.socket_mode)?;
                bound.files.push(file);
                shared(vec![Listener::Unix(listener)], count).map_err(named)?
            }
        };
        let first = listeners.first().map(Listener::place);
        bound.places.extend(first.transpose().map_err(named)?);
        for (number, listener) in listeners.into_iter().enumerate() {
            bound.workers[number % count].push((listener, outlives_us));
        }
    }
    Ok(bound)
}

/// At least one of these sockets for each worker; from one, several may take.
fn shared(mut listeners: Vec<Listener>, count: usize) -> io::Result<Vec<Listener>> {
    let sockets = listeners.len();
    for number in sockets..count {
        listeners.push(listeners[number % sockets].try_clone()?);
    }
    Ok(listeners)
}

/// A socket for each worker; the kernel spreads connections.
fn each_its_own(wanted: SocketAddr, only_v6: bool, count: usize) -> io::Result<Vec<Listener>> {
    if wanted.port() != 0 {
        probe(wanted, only_v6)?;
    }
    let mut address = wanted;
    let mut listeners = Vec::with_capacity(count);
    for _ in 0..count {
        let listener = listen(address, only_v6)?;
        address = listener.local_addr()?;
        listeners.push(Listener::Tcp(listener));
    }
    Ok(listeners)
}

/// Our listeners share their port among the workers, and so would another
/// gateway of the same user: silently, each getting half of the connections.
/// A listener that does not share finds out.
fn probe(address: SocketAddr, only_v6: bool) -> io::Result<()> {
    let socket = socket(address, only_v6)?;
    socket.bind(address)
}

fn listen(address: SocketAddr, only_v6: bool) -> io::Result<TcpListener> {
    let socket = socket(address, only_v6)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

fn socket(address: SocketAddr, only_v6: bool) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // Connections of a gateway that has just stopped do not keep the next from starting.
    socket.set_reuseaddr(true)?;
    if only_v6 {
        // It would have the port for IPv4 too, and `0.0.0.0` would find it in use.
        SockRef::from(&socket).set_only_v6(true)?;
    }
    Ok(socket)
}

impl BindError {
    /// What is in the way, without the place.
    pub fn why(&self) -> String {
        let whole = self.to_string();
        let first = whole.split("\n\n").next().unwrap_or_default();
        let why = first.split_once("`: ").map_or(first, |(_, why)| why);
        why.to_owned()
    }

    pub(super) fn from_io(place: &Listen, error: io::Error) -> Self {
        let place = place.clone();
        match error.kind() {
            io::ErrorKind::AddrInUse => Self::InUse(place),
            io::ErrorKind::PermissionDenied => Self::Denied(place),
            io::ErrorKind::AddrNotAvailable => Self::NotHere(place),
            _ => Self::System(place, error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> Listen {
        match text.strip_prefix("unix:") {
            Some(path) => Listen::Unix(path.into()),
            None => Listen::Tcp(text.parse().unwrap()),
        }
    }

    #[test]
    fn places_meet_where_somebody_may_come_in_at_both() {
        for (one, other, meets, goes_beside) in [
            ("127.0.0.1:1", "127.0.0.1:1", true, false),
            ("127.0.0.1:1", "127.0.0.1:2", false, true),
            ("127.0.0.1:1", "127.0.0.2:1", false, true),
            ("127.0.0.1:0", "127.0.0.1:0", false, true),
            ("127.0.0.1:1", "0.0.0.0:1", true, false),
            ("127.0.0.1:1", "0.0.0.0:2", false, true),
            ("127.0.0.1:0", "0.0.0.0:0", false, true),
            ("127.0.0.1:1", "[::]:1", true, true),
            ("[::ffff:127.0.0.1]:1", "[::]:1", true, true),
            ("127.0.0.1:1", "[::1]:1", false, true),
            ("127.0.0.1:1", "[::ffff:127.0.0.1]:1", true, false),
            ("0.0.0.0:1", "[::ffff:127.0.0.1]:1", true, false),
            ("0.0.0.0:1", "[::1]:1", false, true),
            ("0.0.0.0:1", "[::]:1", true, true),
            ("0.0.0.0:1", "[::]:2", false, true),
            ("0.0.0.0:0", "[::]:0", false, true),
            ("[::]:1", "[::1]:1", true, false),
            ("[::]:1", "[::]:1", true, false),
            ("[fe80::1%1]:1", "[fe80::1%1]:1", true, false),
            ("[fe80::1%1]:1", "[fe80::1%2]:1", false, true),
            ("unix:a", "unix:a", true, false),
            ("unix:a", "unix:b", false, true),
            ("unix:a", "0.0.0.0:1", false, true),
        ] {
            let (first, second) = (place(one), place(other));
            for (first, second) in [(&first, &second), (&second, &first)] {
                assert_eq!(first.meets(second), meets, "{first} {second}");
                assert_eq!(first.goes_beside(second), goes_beside, "{first} {second}");
            }
        }
    }
}
