//! A client's certificate, read once a connection.

use crate::crypto::certificate::{Certificate, Name};
use rustls::pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

/// Names that a certificate may be made out to.
const MAX_NAMES: usize = 100;

/// Reads a certificate that TLS has verified; `None` when it cannot be read
/// as the one that was.
pub(super) fn read(der: &CertificateDer<'_>) -> Option<Certificate> {
    let (rest, read) = X509Certificate::from_der(der).ok()?;
    if !rest.is_empty() {
        return None;
    }
    let mut names = Vec::new();
    // Names count as alternative names only: what stands in the subject is for people.
    if let Some(extension) = read.subject_alternative_name().ok()? {
        for name in &extension.value.general_names {
            names.extend(match name {
                GeneralName::DNSName(text) => Some(Name::dns(text)),
                GeneralName::URI(text) => Some(Name::uri(text)),
                GeneralName::RFC822Name(text) => Some(Name::email(text)),
                _ => None,
            });
        }
    }
    let validity = read.validity();
    (names.len() <= MAX_NAMES).then(|| {
        Certificate::new(
            der,
            names,
            validity.not_before.timestamp(),
            validity.not_after.timestamp(),
        )
    })
}

/// The last second at which a certificate holds, Unix time; `None` where it cannot be read.
pub(super) fn last_second(der: &CertificateDer<'_>) -> Option<i64> {
    let (_, read) = X509Certificate::from_der(der).ok()?;
    Some(read.validity().not_after.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, SanType};

    #[test]
    fn names_and_times_are_read_and_what_is_damaged_is_not() {
        let mut params = CertificateParams::new(vec!["A.test".to_owned()]).unwrap();
        let more = [
            SanType::URI("spiffe://test/a".try_into().unwrap()),
            SanType::Rfc822Name("Ann@TEST".try_into().unwrap()),
            SanType::IpAddress([192, 0, 2, 1].into()),
        ];
        params.subject_alt_names.extend(more);
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2030, 1, 1);
        let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let certificate = read(made.der()).unwrap();
        assert_eq!(
            certificate.names(),
            [
                Name::Dns("a.test".into()),
                Name::Uri("spiffe://test/a".into()),
                Name::Email("Ann@test".into()),
            ]
        );
        assert_eq!(certificate.not_before(), 1_577_836_800);
        assert_eq!(certificate.not_after(), 1_893_456_000);
        for end in 0..made.der().len() {
            assert!(read(&CertificateDer::from(&made.der()[..end])).is_none());
        }
        let longer = [&made.der()[..], b"x"].concat();
        assert!(read(&CertificateDer::from(longer)).is_none());
    }
}
