//! Which certificates of clients are taken, and their reload.

use super::tls::BadCertificate;
use arc_swap::ArcSwap;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};
use std::sync::Arc;

/// `client_ca` and `client` of `[server] tls`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientAuth {
    /// Whose certificates are taken, PEM.
    pub authorities: Vec<u8>,
    /// Whether a connection without one ends in the handshake.
    pub is_required: bool,
}

/// The rules in force. Replacing them touches no connection.
#[derive(Debug)]
pub(super) struct Clients(ArcSwap<Rules>);

#[derive(Debug)]
pub(super) struct Rules(Arc<dyn ClientCertVerifier>);

impl Clients {
    pub(super) fn new(rules: Rules) -> Self {
        Self(ArcSwap::from_pointee(rules))
    }

    pub(super) fn replace(&self, rules: Rules) {
        self.0.store(Arc::new(rules));
    }
}

impl Rules {
    pub(super) fn read(
        wanted: &ClientAuth,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, BadCertificate> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&wanted.authorities) {
            let certificate = certificate.map_err(|_| BadCertificate::NoAuthority)?;
            roots.add(certificate).map_err(BadCertificate::Authority)?;
        }
        if roots.is_empty() {
            return Err(BadCertificate::NoAuthority);
        }
        let rules = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
        let rules = if wanted.is_required {
            rules
        } else {
            rules.allow_unauthenticated()
        };
        let rules = rules.build().map_err(|_| BadCertificate::NoAuthority)?;
        Ok(Self(rules))
    }
}

impl ClientCertVerifier for Clients {
    fn client_auth_mandatory(&self) -> bool {
        self.0.load().0.client_auth_mandatory()
    }

    /// None are told: whoever is not known to us learns nothing of whom we know.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.0.load().0.verify_client_cert(leaf, between, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0
            .load()
            .0
            .verify_tls12_signature(message, leaf, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0
            .load()
            .0
            .verify_tls13_signature(message, leaf, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.load().0.supported_verify_schemes()
    }
}
