//! Whom a connection, or a request on it, is from: what a trusted proxy tells of it.

use super::Peer;
use super::admission::{Admission, Place};
use super::proxy_header::{self, Fault, SpokenFor, Told};
use super::socket::Stream;
use http::HeaderMap;
use std::net::IpAddr;
use std::time::Duration;
use tokio::time::timeout;

impl Admission {
    /// Who is at the other end of a socket.
    pub(super) fn peer(&self, from: Option<IpAddr>) -> Peer {
        Peer {
            is_trusted: self.forwarders.trusted.contain(from),
            ..Peer::at(from)
        }
    }

    /// Learns from the header that a trusted proxy sends first whom it speaks
    /// for; false closes the connection. Nobody else is believed, or served.
    pub(super) async fn meet(
        &self,
        stream: &mut Stream,
        peer: &mut Peer,
        place: &mut Place,
        within: Duration,
    ) -> bool {
        if !peer.is_trusted {
            self.counts.strange_peer(peer.address);
            return false;
        }
        let fault = match timeout(within, proxy_header::take(stream)).await {
            Ok(Ok(told)) => return self.introduce(peer, place, told),
            // Somebody looks whether the port is open.
            Ok(Err(Fault::Silent)) => return false,
            Ok(Err(fault)) => fault.name(),
            Err(_) => "too late",
        };
        self.counts.without_a_header(peer.address, fault);
        false
    }

    fn introduce(&self, peer: &mut Peer, place: &mut Place, told: Told) -> bool {
        // A listener with TLS says so itself, once hands are shaken.
        peer.tls = told.tls;
        match told.spoken_for {
            SpokenFor::Itself => self.keep(place, self.looks_after_us(peer.address)),
            SpokenFor::Somebody => {
                // The proxy's address is the nearest we know; the fields are somebody's.
                peer.is_trusted = false;
                self.keep(place, false)
            }
            SpokenFor::Address(address) => {
                peer.via.extend(peer.address);
                peer.address = Some(address);
                peer.is_trusted = self.forwarders.trusted.contain(peer.address);
                self.keep(place, self.looks_after_us(peer.address))
                    && (peer.is_trusted || self.count(place, peer.address))
            }
        }
    }

    /// Whom a request is from that `peer`, a trusted proxy, passes on.
    pub(super) fn told_by(&self, peer: &Peer, fields: &HeaderMap) -> Peer {
        self.forwarders.told_by(peer, fields, &self.counts)
    }
}
