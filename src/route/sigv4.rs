//! What a route makes of AWS Signature Version 4.

use std::time::Duration;

/// How a path may stand in what is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignedPath {
    /// Either way.
    Any,
    /// As it was sent: the signers of S3, and curl.
    AsSent,
    /// Percent-encoded once more: the signers of all other services.
    EncodedAgain,
}

/// What a route that accepts `aws-sigv4` takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigV4 {
    /// The regions that callers may sign for; empty is any.
    pub regions: Vec<Box<str>>,
    /// The services that callers may sign for; empty is any.
    pub services: Vec<Box<str>>,
    /// How they sign paths.
    pub path: SignedPath,
    /// Whether the upstream reads `+` in a query as a space, so that callers may sign it so.
    pub plus_is_space: bool,
    /// The longest life of a presigned URL.
    pub presigned: Duration,
    /// Whether `x-amz-content-sha256` may stand beside what is signed.
    pub unsigned_content_sha256: bool,
    /// Bytes of a body that are taken in before the proof is known, where no field tells its hash.
    pub hold: u64,
}

impl SigV4 {
    /// The longest life that a presigned URL may be given: AWS has the same.
    pub const MAX_PRESIGNED: Duration = Duration::from_hours(7 * 24);
    /// The most that may be taken in of one body before its proof is known.
    pub const MAX_HOLD: u64 = 16 * 1024 * 1024;

    /// Whether a request for this region and service is taken.
    pub fn takes(&self, region: &str, service: &str) -> bool {
        let has = |list: &[Box<str>], wanted: &str| {
            list.is_empty() || list.iter().any(|one| **one == *wanted)
        };
        has(&self.regions, region) && has(&self.services, service)
    }
}

impl Default for SigV4 {
    fn default() -> Self {
        Self {
            regions: Vec::new(),
            services: Vec::new(),
            path: SignedPath::Any,
            plus_is_space: false,
            presigned: Duration::from_hours(1),
            unsigned_content_sha256: false,
            hold: 1024 * 1024,
        }
    }
}
