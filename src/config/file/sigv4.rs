//! `sigv4` of a route as written.

use crate::config::lists::Several;
use crate::config::read::At;
use crate::config::table::table;
use crate::config::times::Seconds;
use crate::config::values::Size;
use crate::config::words::ScopeWord;
use crate::route::SignedPath;

table! {
    /// What is taken of callers who sign with AWS Signature Version 4.
    pub struct SigV4 {
        /// The regions they may sign for. Where they are not said, any.
        pub regions: Option<Several<ScopeWord>>,
        /// The services they may sign for. Where they are not said, any.
        pub services: Option<Several<ScopeWord>>,
        /// How they sign paths: `"as-sent"`, as the signers of S3 and curl do; `"encoded-again"`, as those of all other
        /// services do; `"any"` of the two. What looks encoded twice is taken as sent only where this says so.
        /// `//` is merged, as the latter do, only with `"encoded-again"`.
        pub path: SignedPath = "any",
        /// Whether the upstream reads `+` in a query as a space, so that callers may have signed it so: then `a+b` and
        /// `a%20b` have one signature.
        pub plus_is_space: bool = false,
        /// The longest life of a presigned URL, `X-Amz-Expires`: at most `"7d"`. One that does not say it lives as
        /// long as any other proof (`[freshness] window`).
        pub presigned: At<Seconds> = "1h",
        /// Take an `X-Amz-Content-Sha256` that is not signed, where it is the body's hash, which is (axios-aws4).
        pub unsigned_content_sha256: bool = false,
        /// Bytes of a body that are read before its proof is known, where no `X-Amz-Content-Sha256` tells its hash: at
        /// most `"16 MiB"`. Such bodies share 64 MiB of memory, those of one address 16 MiB.
        pub hold: At<Size> = "1 MiB",
    }
}
