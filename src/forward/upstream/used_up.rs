//! What of this machine's may be used up, so that there is no connection and no server is to blame.

use rustix::io::Errno;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// What is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::forward) enum UsedUp {
    /// Files or memory: no server can be connected to.
    Files,
    /// Ports to come from, of which there are as many for each server.
    Ports,
}

impl UsedUp {
    /// What is, where an error is due to that.
    pub(in crate::forward) fn of(error: &io::Error) -> Option<Self> {
        match Errno::from_io_error(error)? {
            Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM => Some(Self::Files),
            Errno::ADDRNOTAVAIL => Some(Self::Ports),
            _ => None,
        }
    }
}

impl fmt::Display for UsedUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Files => "no file or memory is left for a connection to it",
            Self::Ports => "no port is left for a connection to it",
        })
    }
}

/// Why `to` cannot be connected to. A machine without an address of its kind, where IPv6 is switched
/// off, says what one says whose ports are used up; nothing of that one is, and it stays so.
pub(super) fn told_apart(error: io::Error, to: SocketAddr) -> io::Error {
    if UsedUp::of(&error) == Some(UsedUp::Ports) && has_no_address_for(to) {
        return io::Error::new(
            error.kind(),
            "this machine has no address to connect to it from",
        );
    }
    error
}

/// Asks for a way there; nothing is sent.
fn has_no_address_for(to: SocketAddr) -> bool {
    let any = match to {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let Ok(socket) = UdpSocket::bind((any, 0)) else {
        return false;
    };
    let way = socket.connect(to);
    way.is_err_and(|error| UsedUp::of(&error) == Some(UsedUp::Ports))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(number: Errno) -> io::Error {
        io::Error::from_raw_os_error(number.raw_os_error())
    }

    #[test]
    fn what_we_lack_is_told_apart_from_what_servers_do() {
        for (number, used_up) in [
            (Errno::MFILE, Some(UsedUp::Files)),
            (Errno::NFILE, Some(UsedUp::Files)),
            (Errno::NOBUFS, Some(UsedUp::Files)),
            (Errno::NOMEM, Some(UsedUp::Files)),
            (Errno::ADDRNOTAVAIL, Some(UsedUp::Ports)),
            (Errno::CONNREFUSED, None),
            (Errno::CONNRESET, None),
            (Errno::HOSTUNREACH, None),
            (Errno::TIMEDOUT, None),
        ] {
            assert_eq!(UsedUp::of(&error(number)), used_up, "{number:?}");
        }
        assert_eq!(UsedUp::of(&io::Error::other("it does not speak")), None);
    }

    #[test]
    fn where_there_is_a_way_it_is_ports_that_are_used_up() {
        let to = SocketAddr::from(([127, 0, 0, 1], 9));
        let told = told_apart(error(Errno::ADDRNOTAVAIL), to);
        assert_eq!(UsedUp::of(&told), Some(UsedUp::Ports));
    }
}
