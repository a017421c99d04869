//! Verification for a service of one's own, without the gateway.

use super::freshness::Freshness;
use super::received::{Received, Surroundings};
use super::{Caller, Malformed, Refused, http_signature};
use crate::apps::Registry;
use crate::clock::Now;
use crate::route::Route;
use http::request::Parts;

/// Checks HTTP message signatures by the same rules as the gateway.
///
/// It remembers nothing: whoever must not take a request twice keeps
/// [`Caller::proof`] of what passed until [`super::Proof::last_second`], and
/// whoever reads the body checks it with [`super::digest::BodyCheck`].
#[derive(Debug)]
pub struct Verifier {
    registry: Registry,
    freshness: Freshness,
    route: Route,
}

/// Why a request does not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotVerified {
    /// Its head can be read in two ways.
    Malformed(Malformed),
    /// Its proof does not hold.
    Refused(Refused),
}

impl Verifier {
    /// A verifier for these keys.
    pub fn new(registry: Registry, freshness: Freshness) -> Self {
        Self {
            registry,
            freshness,
            route: Route::any("service"),
        }
    }

    /// Who sent the request whose head is `parts`. `tls` tells whether the
    /// caller speaks `https` with this service.
    ///
    /// # Errors
    /// [`NotVerified`].
    pub fn verify(
        &self,
        parts: &Parts,
        has_body: bool,
        tls: bool,
        now: Now,
    ) -> Result<Caller, NotVerified> {
        let around = Surroundings {
            tls,
            http2: parts.version == http::Version::HTTP_2,
            has_body,
            public_url: None,
        };
        let received = Received::read(&parts.method, &parts.uri, &parts.headers, around)
            .map_err(NotVerified::Malformed)?;
        let rules = http_signature::Rules {
            registry: &self.registry,
            freshness: self.freshness,
            explain: false,
        };
        http_signature::Presented::read(&received)
            .and_then(|presented| presented.ok_or(Refused::Missing))
            .and_then(|presented| {
                http_signature::verify(&presented, &received, &self.route, rules, now)
            })
            .map_err(NotVerified::Refused)
    }
}
