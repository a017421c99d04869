//! Words about certificates of clients.

use super::values::{Refused, Word, one_of};
use data_encoding::HEXLOWER_PERMISSIVE;
use serde_json::{Value as Json, json};

/// Whether clients must show a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientCertificates {
    /// Or they are not served.
    Required,
    /// They may.
    Optional,
}

impl ClientCertificates {
    pub(super) fn is_required(self) -> bool {
        self == Self::Required
    }
}

impl Word for ClientCertificates {
    const TAKES: &'static str = "`\"required\"` or `\"optional\"`";

    fn parse(text: &str) -> Result<Self, Refused> {
        one_of(text, &["required", "optional"], |text| match text {
            "required" => Some(Self::Required),
            "optional" => Some(Self::Optional),
            _ => None,
        })
    }

    fn schema() -> Json {
        json!({ "type": "string", "enum": ["required", "optional"] })
    }
}

/// SHA-256 of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint(pub(super) [u8; 32]);

impl Word for Fingerprint {
    const TAKES: &'static str =
        "32 bytes in hexadecimal digits, as `openssl x509 -fingerprint -sha256 -noout` prints them";

    fn parse(text: &str) -> Result<Self, Refused> {
        let digits: String = text.split(':').collect();
        HEXLOWER_PERMISSIVE
            .decode(digits.as_bytes())
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or_else(|| Refused::new("is not the SHA-256 of a certificate"))
    }

    fn schema() -> Json {
        json!({ "type": "string", "pattern": "^([0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}$" })
    }
}
