//! A client's certificate, read once a connection.

use crate::crypto::certificate::{Certificate, Name};
use rustls::pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::X509Version;

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

/// Whether a certificate is one of an authority, by what its extensions say (RFC 5280, section 6.1.4).
/// Versions before the third have none: there it is who has signed itself.
pub(super) fn is_authority(der: &CertificateDer<'_>) -> bool {
    let Ok((_, read)) = X509Certificate::from_der(der) else {
        return false;
    };
    if read.version() != X509Version::V3 {
        return read.issuer().as_raw() == read.subject().as_raw();
    }
    let is_one = matches!(read.basic_constraints(), Ok(Some(said)) if said.value.ca);
    is_one
        && match read.key_usage() {
            Ok(said) => said.is_none_or(|said| said.value.key_cert_sign()),
            Err(_) => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, KeyUsagePurpose, SanType};

    #[test]
    fn an_authority_says_that_it_is_one_and_may_sign_certificates() {
        let ca = IsCa::Ca(BasicConstraints::Unconstrained);
        for (is_ca, usages, is_one) in [
            (IsCa::NoCa, vec![], false),
            (IsCa::ExplicitNoCa, vec![], false),
            (IsCa::NoCa, vec![KeyUsagePurpose::KeyCertSign], false),
            (ca, vec![KeyUsagePurpose::DigitalSignature], false),
            (ca, vec![KeyUsagePurpose::KeyCertSign], true),
            (ca, vec![], true),
        ] {
            let mut params = CertificateParams::default();
            params.is_ca = is_ca;
            params.key_usages = usages;
            let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
            assert_eq!(is_authority(made.der()), is_one, "{params:?}");
        }
        assert!(!is_authority(&CertificateDer::from(&b"junk"[..])));
    }

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
