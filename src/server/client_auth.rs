//! Which certificates of clients are taken, their reload, and whether one that
//! was shown before a reload is taken behind it.

use super::client_certificate::is_authority;
use super::tls::BadCertificate;
use super::validity::Validity;
use crate::clock::Clock;
use crate::crypto::certificate::Certificate;
use arc_swap::ArcSwap;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{PemObject as _, SectionKind};
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// So many seconds before a certificate is over its connection ends behind an answer, so that a
/// client which has renewed it in time comes with the new one, and none of its requests is refused.
const LEAVES_BEFORE: i64 = 60;

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
    /// With the last second of each: to TLS an authority has no dates.
    authorities: Vec<(TrustAnchor<'static>, i64)>,
    /// Of them the one that is over first.
    first_end: i64,
    /// Goes by all of them.
    verifier: Arc<dyn ClientCertVerifier>,
    provider: Arc<CryptoProvider>,
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
        let mut ends = Vec::new();
        for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(&wanted.authorities) {
            let der = match section.map_err(|_| BadCertificate::NoAuthority)? {
                (SectionKind::Certificate, der) => CertificateDer::from(der),
                (SectionKind::Crl, _) => return Err(BadCertificate::RevocationList),
                _ => continue,
            };
            roots.add(der.clone()).map_err(BadCertificate::Authority)?;
            // TLS itself takes whatever it is given for an authority.
            let validity = Validity::of(&der).filter(|_| is_authority(&der));
            ends.push(validity.ok_or(BadCertificate::NoSigner(roots.len()))?.last);
        }
        let first_end = ends.iter().copied().min();
        let first_end = first_end.ok_or(BadCertificate::NoAuthority)?;
        let authorities = roots.roots.iter().cloned().zip(ends).collect();
        let verifier = verifier(roots, wanted.is_required, provider);
        Ok(Self {
            wanted: wanted.clone(),
            authorities,
            first_end,
            verifier: verifier.ok_or(BadCertificate::NoAuthority)?,
            provider: provider.clone(),
        })
    }

    /// What goes by the authorities that are not over; `None` where all are.
    fn verifier_at(&self, now: UnixTime) -> Option<Arc<dyn ClientCertVerifier>> {
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        if now <= self.first_end {
            return Some(self.verifier.clone());
        }
        // Made anew each time: a warning says which one is to be taken out.
        let left = self.authorities.iter().filter(|(_, end)| now <= *end);
        let left = left.map(|(authority, _)| authority.clone()).collect();
        verifier(left, self.wanted.is_required, &self.provider)
    }
}

/// `None` where there are no authorities.
fn verifier(
    authorities: RootCertStore,
    is_required: bool,
    provider: &Arc<CryptoProvider>,
) -> Option<Arc<dyn ClientCertVerifier>> {
    let authorities = Arc::new(authorities);
    let verifier = WebPkiClientVerifier::builder_with_provider(authorities, provider.clone());
    let verifier = if is_required {
        verifier
    } else {
        verifier.allow_unauthenticated()
    };
    verifier.build().ok()
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
        let Some(verifier) = self.rules.load().verifier_at(now) else {
            return Err(Error::InvalidCertificate(CertificateError::UnknownIssuer));
        };
        verifier.verify_client_cert(leaf, between, now)
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

    /// From when on its connection is to end, Unix time: some certificate of it is over soon.
    pub(super) fn leaves_at(&self) -> Option<i64> {
        let leaf = self.certificate.as_ref()?.not_after();
        // As in the handshake, by the system's time.
        let now = Clock::system().now().unix_seconds();
        let between = self.chain.iter().skip(1).filter_map(Validity::of);
        let ends = between.map(|between| between.last);
        // One that was over before was not needed.
        let end = ends.filter(|end| now <= *end).fold(leaf, i64::min);
        Some(leaves_at(end, now))
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

/// From when on a connection is to end that is made `now`, with a certificate that is over behind `end`.
/// One that is made shortly before stays for half of the rest: not each request needs a handshake
/// of a client that renews late.
fn leaves_at(end: i64, now: i64) -> i64 {
    let rest = end.saturating_sub(now);
    end.saturating_sub((rest / 2).clamp(0, LEAVES_BEFORE))
}

#[cfg(test)]
mod tests {
    use super::super::client_certificate;
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
    use rustls::crypto::aws_lc_rs;
    use std::time::Duration;

    struct Authority {
        issuer: Issuer<'static, KeyPair>,
        pem: String,
    }

    impl Authority {
        fn new() -> Self {
            Self::until(4000)
        }

        /// One that is over when this year begins.
        fn until(year: i32) -> Self {
            let mut params = CertificateParams::default();
            params.not_after = rcgen::date_time_ymd(year, 1, 1);
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
    fn an_authority_that_is_over_has_signed_nothing_and_the_others_go_on() {
        const END: u64 = 1_893_456_000;
        let (old, good) = (Authority::until(2030), Authority::new());
        let (of_old, of_good) = (old.sign(), good.sign());
        let takes = |clients: &Clients, leaf, at| {
            let now = UnixTime::since_unix_epoch(Duration::from_secs(at));
            clients.verify_client_cert(leaf, &[], now).is_ok()
        };
        let both = Clients::new(rules(&[&old, &good]));
        let alone = Clients::new(rules(&[&old]));
        for at in [END - 1, END] {
            assert!(takes(&both, &of_old, at));
            assert!(takes(&both, &of_good, at));
            assert!(takes(&alone, &of_old, at));
        }
        assert!(!takes(&both, &of_old, END + 1));
        assert!(takes(&both, &of_good, END + 1));
        assert!(!takes(&alone, &of_old, END + 1));
    }

    #[test]
    fn a_connection_ends_a_minute_before_its_certificate_or_after_half_of_what_is_left() {
        for (rest, before) in [(3_600, 60), (120, 60), (119, 59), (14, 7), (1, 0), (0, 0)] {
            assert_eq!(leaves_at(10_000, 10_000 - rest), 10_000 - before, "{rest}");
        }
        assert_eq!(leaves_at(10_000, 10_100), 10_000);
    }

    #[test]
    fn the_certificate_of_a_chain_that_is_over_first_ends_its_connection() {
        let leaf = Authority::new().sign();
        let year = |year| CertificateDer::from_pem_slice(Authority::until(year).pem.as_bytes());
        let between = [3000, 2001, 3500].map(|of| year(of).unwrap());
        let chain = [std::slice::from_ref(&leaf), &between[..]].concat();
        let clients = Arc::new(Clients::new(rules(&[&Authority::new()])));
        let certificate = client_certificate::read(&leaf);
        let shown = Shown::new(certificate, &chain, clients.clone(), 0);
        let end = Validity::of(&between[0]).unwrap().last;
        // The one that was over before has verified nothing.
        assert_eq!(shown.leaves_at(), Some(end - LEAVES_BEFORE));
        assert_eq!(Shown::new(None, &[], clients, 0).leaves_at(), None);
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
