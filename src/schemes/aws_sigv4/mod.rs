//! AWS Signature Version 4, in `Authorization` or in the query of a presigned
//! URL: for callers that have a signer of AWS's already.
//!
//! `read` takes the proof apart, `text` writes what is signed, `forms` tells in
//! which ways signers write it, `verify` holds it against policy, time and key,
//! `told` shows it to those who may see it, `chunked` checks a body that is
//! signed in pieces, `sign` makes the proof.
//! What the signature leaves to the caller is demanded here all the same: the
//! host, a time, every `x-amz-*` field and the body's hash are in it.

pub mod chunked;
pub mod coverage;
pub mod credential;
pub mod forms;
pub mod mistakes;
pub mod payload;
pub mod read;
pub mod sign;
pub mod text;
mod told;
pub mod verify;

#[cfg(test)]
mod tests;

pub use super::signed::Rules;
pub use coverage::challenge;
pub use credential::is_scope_word;
pub use payload::Payload;
pub use read::{Presented, is_proof};
pub use told::told_veiled;
pub use verify::verify;

use http::HeaderName;

/// Where the body's hash is told.
pub const X_AMZ_CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");
/// When the request was signed.
pub const X_AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");
/// The token of a temporary credential, which says nothing here.
pub const X_AMZ_SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
/// How long the body is without the framing of `aws-chunked`.
pub const X_AMZ_DECODED_LENGTH: HeaderName =
    HeaderName::from_static("x-amz-decoded-content-length");
/// Which fields come behind such a body.
pub const X_AMZ_TRAILER: HeaderName = HeaderName::from_static("x-amz-trailer");
/// The content coding that such a body has.
pub const AWS_CHUNKED: &str = "aws-chunked";

/// The algorithm's name, everywhere.
pub(super) const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// In place of a hash: the body is not signed.
pub const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";
/// SHA-256 of nothing, in hexadecimal digits.
pub const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
