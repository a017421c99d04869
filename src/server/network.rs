//! Sets of addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Addresses that begin alike, or those who come through a Unix socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// Whoever comes through a Unix socket.
    Unix,
    /// IPv4 addresses, by their first bits.
    V4(Ipv4Addr, u8),
    /// IPv6 addresses, by their first bits.
    V6(Ipv6Addr, u8),
}

/// Why a text names no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadNetwork {
    /// It is no address.
    #[error("is no address and no network")]
    Address,
    /// Its length is no number of bits of such an address.
    #[error("has a length that such an address does not have")]
    Length,
    /// Bits behind the length are set.
    #[error("is an address within a network")]
    Host(Network),
    /// IPv4 written as IPv6.
    #[error("is IPv4 written as IPv6")]
    Mapped(Ipv4Addr),
}

impl FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        if text == "unix" {
            return Ok(Self::Unix);
        }
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| BadNetwork::Address)?;
        if let (IpAddr::V6(_), IpAddr::V4(address)) = (address, address.to_canonical()) {
            return Err(BadNetwork::Mapped(address));
        }
        let whole = if address.is_ipv4() { 32 } else { 128 };
        let length = match length {
            None => whole,
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().map_err(|_| BadNetwork::Length)?
            }
            Some(_) => return Err(BadNetwork::Length),
        };
        if length > whole {
            return Err(BadNetwork::Length);
        }
        let network = match address {
            IpAddr::V4(address) => Self::V4(Ipv4Addr::from_bits(first4(address, length)), length),
            IpAddr::V6(address) => Self::V6(Ipv6Addr::from_bits(first6(address, length)), length),
        };
        match network {
            Self::V4(start, _) if IpAddr::V4(start) != address => Err(BadNetwork::Host(network)),
            Self::V6(start, _) if IpAddr::V6(start) != address => Err(BadNetwork::Host(network)),
            network => Ok(network),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix => f.write_str("unix"),
            Self::V4(address, 32) => address.fmt(f),
            Self::V6(address, 128) => address.fmt(f),
            Self::V4(address, length) => write!(f, "{address}/{length}"),
            Self::V6(address, length) => write!(f, "{address}/{length}"),
        }
    }
}

fn first4(address: Ipv4Addr, length: u8) -> u32 {
    let behind = u32::MAX.checked_shr(length.into()).unwrap_or(0);
    address.to_bits() & !behind
}

fn first6(address: Ipv6Addr, length: u8) -> u128 {
    let behind = u128::MAX.checked_shr(length.into()).unwrap_or(0);
    address.to_bits() & !behind
}

impl Network {
    /// Whether it is every address of its kind.
    pub const fn is_everyone(&self) -> bool {
        matches!(self, Self::V4(_, 0) | Self::V6(_, 0))
    }

    fn contains(&self, address: Option<IpAddr>) -> bool {
        match (self, address) {
            (Self::Unix, None) => true,
            (Self::V4(start, length), Some(IpAddr::V4(address))) => {
                first4(address, *length) == start.to_bits()
            }
            (Self::V6(start, length), Some(IpAddr::V6(address))) => {
                first6(address, *length) == start.to_bits()
            }
            _ => false,
        }
    }
}

/// Some networks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(pub Vec<Network>);

impl Networks {
    /// Whether `address` is in one of them; `None` is whoever comes through a Unix socket.
    pub fn contain(&self, address: Option<IpAddr>) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let address = address.map(|address| address.to_canonical());
        self.0.iter().any(|network| network.contains(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(list: &[&str]) -> Networks {
        Networks(list.iter().map(|text| text.parse().unwrap()).collect())
    }

    #[test]
    fn an_address_is_in_a_network_when_its_first_bits_are() {
        let networks = networks(&["10.0.0.0/8", "192.0.2.7", "2001:db8::/33", "::1"]);
        for (address, inside) in [
            ("10.255.0.1", true),
            ("11.0.0.1", false),
            ("192.0.2.7", true),
            ("192.0.2.6", false),
            ("2001:db8:7fff::1", true),
            ("2001:db8:8000::1", false),
            ("::1", true),
            ("::2", false),
            ("::ffff:10.1.2.3", true),
            ("::ffff:11.1.2.3", false),
        ] {
            let at = Some(address.parse().unwrap());
            assert_eq!(networks.contain(at), inside, "{address}");
        }
        assert!(!networks.contain(None));
        assert!(self::networks(&["unix"]).contain(None));
        let everyone = self::networks(&["0.0.0.0/0", "::/0"]);
        assert!(everyone.0.iter().all(Network::is_everyone));
        for address in ["1.2.3.4", "ffff::1"] {
            assert!(everyone.contain(Some(address.parse().unwrap())));
        }
        assert!(!everyone.contain(None));
    }

    #[test]
    fn what_names_no_network_is_told_why() {
        for (text, why) in [
            ("", BadNetwork::Address),
            ("localhost", BadNetwork::Address),
            ("10.0.0.0/33", BadNetwork::Length),
            ("10.0.0.0/+8", BadNetwork::Length),
            ("10.0.0.0/", BadNetwork::Length),
            ("::/129", BadNetwork::Length),
            ("::/999", BadNetwork::Length),
            (
                "10.1.0.0/8",
                BadNetwork::Host(Network::V4(Ipv4Addr::new(10, 0, 0, 0), 8)),
            ),
            (
                "::ffff:10.0.0.1",
                BadNetwork::Mapped(Ipv4Addr::new(10, 0, 0, 1)),
            ),
        ] {
            assert_eq!(text.parse::<Network>(), Err(why), "{text}");
        }
        for text in ["unix", "10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "::1"] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), text);
        }
    }
}
