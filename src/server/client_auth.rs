//! Which certificates of clients are taken, their reload, and whether one that
//! was shown before a reload is taken behind it.

use super::tls::BadCertificate;
use crate::clock::Clock;
use crate::crypto::certificate::Certificate;
use arc_swap::ArcSwap;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// `client_ca` and `client` of `[server] tls`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientAuth {
    /// Whose certificates are taken, PEM.
    pub authorities: Vec<u8>,
    /// Whether a connection without one ends in the handshake.
    pub is_required: bool,
}

/// The rules in force. A connection goes by them from its next request on ([`Shown`]).
#[derive(Debug)]
pub(super) struct Clients {
    rules: ArcSwap<Rules>,
    /// How often other rules were put in force.
    changes: AtomicU64,
}

#[derive(Debug)]
pub(super) struct Rules {
    wanted: ClientAuth,
    verifier: Arc<dyn ClientCertVerifier>,
}

impl Clients {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            rules: ArcSwap::from_pointee(rules),
            changes: AtomicU64::new(0),
        }
    }

    pub(super) fn replace(&self, rules: Rules) {
        let has_changed = self.rules.load().wanted != rules.wanted;
        self.rules.store(Arc::new(rules));
        if has_changed {
            // Behind them: who sees the number finds the rules.
            self.changes.fetch_add(1, Ordering::Release);
        }
    }

    /// Whoever has it may ask the rules that go with it, or later ones.
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
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
        Ok(Self {
            wanted: wanted.clone(),
            verifier: rules,
        })
    }
}

impl ClientCertVerifier for Clients {
    fn client_auth_mandatory(&self) -> bool {
        self.rules.load().verifier.client_auth_mandatory()
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
        let rules = self.rules.load();
        rules.verifier.verify_client_cert(leaf, between, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let rules = self.rules.load();
        rules.verifier.verify_tls12_signature(message, leaf, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let rules = self.rules.load();
        rules.verifier.verify_tls13_signature(message, leaf, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.rules.load().verifier.supported_verify_schemes()
    }
}

/// What a client has shown in its handshake, for as long as its connection lasts: a certificate,
/// or none where it was asked for one.
#[derive(Debug)]
pub(super) struct Shown {
    certificate: Option<Arc<Certificate>>,
    /// All that came with it, the leaf first: other authorities have to be asked about it.
    chain: Box<[CertificateDer<'static>]>,
    clients: Arc<Clients>,
    /// The number of changes behind which it was verified last, or [`LOST`].
    held_at: AtomicU64,
}

/// Some rules did not take it: its connection ends, whatever follows them.
const LOST: u64 = u64::MAX;

impl Shown {
    /// What was verified when so many changes had been made, or later.
    pub(super) fn new(
        certificate: Option<Certificate>,
        chain: &[CertificateDer<'static>],
        clients: Arc<Clients>,
        changes: u64,
    ) -> Self {
        Self {
            certificate: certificate.map(Arc::new),
            chain: chain.into(),
            clients,
            held_at: AtomicU64::new(changes),
        }
    }

    pub(super) fn certificate(&self) -> Option<Arc<Certificate>> {
        self.certificate.clone()
    }

    /// Whether the rules in force take it. It is verified anew once a change of them;
    /// that its client has the key was shown in the handshake.
    pub(super) fn holds(&self) -> bool {
        let held_at = self.held_at.load(Ordering::Relaxed);
        let is_news = held_at != self.clients.changes.load(Ordering::Relaxed);
        !is_news || (held_at != LOST && self.holds_anew())
    }

    fn holds_anew(&self) -> bool {
        // Counted first: those that are put in force meanwhile are asked at the next request.
        let changes = self.clients.changes();
        // As in the handshake, by the system's time.
        let now = UnixTime::since_unix_epoch(Clock::system().now().unix());
        let holds = match self.chain.split_first() {
            Some((leaf, between)) => {
                let verified = self.clients.verify_client_cert(leaf, between, now);
                verified.is_ok()
            }
            None => !self.clients.client_auth_mandatory(),
        };
        let held_at = if holds { changes } else { LOST };
        self.held_at.store(held_at, Ordering::Relaxed);
        holds
    }
}

#[cfg(test)]
mod tests {
    use super::super::client_certificate;
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
    use rustls::crypto::aws_lc_rs;

    struct Authority {
        issuer: Issuer<'static, KeyPair>,
        pem: String,
    }

    impl Authority {
        fn new() -> Self {
            let mut params = CertificateParams::default();
            params
                .distinguished_name
                .push(DnType::CommonName, "An authority");
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let key = KeyPair::generate().unwrap();
            let pem = params.self_signed(&key).unwrap().pem();
            Self {
                issuer: Issuer::new(params, key),
                pem,
            }
        }

        fn sign(&self) -> CertificateDer<'static> {
            let key = KeyPair::generate().unwrap();
            let made = CertificateParams::default().signed_by(&key, &self.issuer);
            made.unwrap().der().clone()
        }
    }

    fn rules(authorities: &[&Authority]) -> Rules {
        rules_where(true, authorities)
    }

    fn rules_where(is_required: bool, authorities: &[&Authority]) -> Rules {
        let pems: Vec<_> = authorities.iter().map(|one| one.pem.as_bytes()).collect();
        let wanted = ClientAuth {
            authorities: pems.concat(),
            is_required,
        };
        Rules::read(&wanted, &Arc::new(aws_lc_rs::default_provider())).unwrap()
    }

    fn shown(leaf: &CertificateDer<'static>, clients: &Arc<Clients>, changes: u64) -> Shown {
        let certificate = client_certificate::read(leaf);
        assert!(certificate.is_some());
        let chain = std::slice::from_ref(leaf);
        Shown::new(certificate, chain, clients.clone(), changes)
    }

    #[test]
    fn what_was_shown_holds_as_long_as_every_change_of_the_authorities_leaves_it_one() {
        let (mine, other) = (Authority::new(), Authority::new());
        let clients = Arc::new(Clients::new(rules(&[&mine])));
        let shown = shown(&mine.sign(), &clients, clients.changes());
        assert!(shown.holds());
        clients.replace(rules(&[&other, &mine]));
        assert!(shown.holds());
        clients.replace(rules(&[&other]));
        assert!(!shown.holds());
        // Its connection ends: it does not come back.
        clients.replace(rules(&[&mine]));
        assert!(!shown.holds());
    }

    #[test]
    fn none_was_shown_for_as_long_as_every_change_leaves_it_to_clients() {
        let (mine, other) = (Authority::new(), Authority::new());
        let clients = Arc::new(Clients::new(rules_where(false, &[&mine])));
        let shown = Shown::new(None, &[], clients.clone(), clients.changes());
        assert!(shown.holds());
        clients.replace(rules_where(false, &[&other]));
        assert!(shown.holds());
        clients.replace(rules_where(true, &[&other]));
        assert!(!shown.holds());
        clients.replace(rules_where(false, &[&other]));
        assert!(!shown.holds());
    }

    #[test]
    fn it_is_verified_anew_once_a_change_and_not_where_the_authorities_are_the_same() {
        let (mine, other) = (Authority::new(), Authority::new());
        let clients = Arc::new(Clients::new(rules(&[&mine])));
        let shown = shown(&mine.sign(), &clients, clients.changes());
        let held_at = || shown.held_at.load(Ordering::Relaxed);
        clients.replace(rules(&[&mine]));
        assert_eq!(clients.changes(), held_at());
        clients.replace(rules(&[&mine, &other]));
        assert_ne!(clients.changes(), held_at());
        assert!(shown.holds());
        assert_eq!(clients.changes(), held_at());
    }

    #[test]
    fn authorities_that_change_while_hands_are_shaken_are_asked_at_the_first_request() {
        let (mine, other) = (Authority::new(), Authority::new());
        let clients = Arc::new(Clients::new(rules(&[&mine])));
        let before = clients.changes();
        clients.replace(rules(&[&other]));
        assert!(!shown(&mine.sign(), &clients, before).holds());
    }
}
