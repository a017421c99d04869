//! From when until when certificates hold.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

/// From its first second to its last, Unix time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// It holds in this one.
    pub first: i64,
    /// And in this one.
    pub last: i64,
}

impl Validity {
    /// That of each certificate in `pem`, in their order. What cannot be read is passed over.
    pub fn all(pem: &[u8]) -> Vec<Self> {
        let ders = CertificateDer::pem_slice_iter(pem).filter_map(Result::ok);
        ders.filter_map(|der| Self::of(&der)).collect()
    }

    pub(super) fn of(der: &CertificateDer<'_>) -> Option<Self> {
        let (_, read) = X509Certificate::from_der(der).ok()?;
        let validity = read.validity();
        Some(Self {
            first: validity.not_before.timestamp(),
            last: validity.not_after.timestamp(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    #[test]
    fn each_certificate_of_a_chain_has_its_own() {
        let made = |year| {
            let mut params = CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(year, 1, 1);
            let key = KeyPair::generate().unwrap();
            params.self_signed(&key).unwrap().pem()
        };
        let junk = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let chain = [&made(2030), junk, &made(2026)].concat();
        let until = |last| Validity {
            first: 1_577_836_800,
            last,
        };
        let all = [until(1_893_456_000), until(1_767_225_600)];
        assert_eq!(Validity::all(chain.as_bytes()), all);
        assert!(Validity::all(b"").is_empty());
    }
}
