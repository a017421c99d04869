//! What is told when the key service has no answer.

use super::Code;
use crate::mint::No;
use crate::replay;
use std::time::Duration;

pub(super) const fn code(no: &No) -> Code {
    match no {
        No::Malformed(_) => Code::MalformedRequest,
        No::Rejected(_) => Code::EvidenceRejected,
        No::Peer(_) => Code::PeerLimited,
        No::Rate(..) => Code::RateExceeded,
        No::Memory(replay::Refused::Full | replay::Refused::Crowded { .. }) => {
            Code::ReplayStoreFull
        }
        No::Memory(_) => Code::StoreUnavailable,
    }
}

pub(super) fn retry_after(no: &No) -> Option<Duration> {
    match no {
        No::Malformed(_) | No::Rejected(_) => None,
        No::Peer(wait) | No::Rate(_, wait) => Some(*wait),
        No::Memory(refused) => super::until_remembered(*refused).or(Some(Duration::from_secs(1))),
    }
}

pub(super) fn detail(no: &No) -> String {
    match no {
        No::Malformed(malformed) => malformed.0.clone(),
        No::Rejected(_) => {
            "The log of the gateway tells why. For a token ask for a new challenge first; a code is good for as many instances, and as long, as was said when it was made.".to_owned()
        }
        No::Peer(_) => "Too much was asked of the key service from this address; `Retry-After` tells when to come again.".to_owned(),
        No::Rate(..) => "The app, or this instance of it, got as many tokens as it may; `Retry-After` tells when to come again.".to_owned(),
        No::Memory(_) => "No token was made; try again later, with a new challenge.".to_owned(),
    }
}
