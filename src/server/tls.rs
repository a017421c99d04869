//! Certificates and their reload, and the handshakes that go by them.

use super::client_auth::{Clients, Rules, Shown};
use super::client_certificate;
use super::socket::Stream;
use crate::secret::Secret;
use arc_swap::ArcSwap;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{InconsistentKeys, ServerConfig};
use std::io;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

pub use super::client_auth::ClientAuth;

/// `[server] tls`: what the files held when they were read.
#[derive(Debug)]
pub struct Settings {
    /// The certificate chain, PEM, leaf first.
    pub certificate: Vec<u8>,
    /// Its private key, PEM.
    pub key: Secret,
    /// Whether clients show certificates too.
    pub clients: Option<ClientAuth>,
}

/// The certificate in force. Replacing it touches no connection, and sessions
/// can still be resumed.
#[derive(Debug)]
pub struct Certificates {
    current: Arc<Current>,
    clients: Option<Arc<Clients>>,
    config: Arc<ServerConfig>,
}

/// Why a certificate cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BadCertificate {
    /// No certificate among what the file holds, or not PEM.
    #[error(
        "the certificate holds no certificate in PEM form\n\nhint: it starts with `-----BEGIN CERTIFICATE-----`, the leaf first"
    )]
    NoCertificate,
    /// A certificate that cannot be read.
    #[error("the certificate cannot be read: {0}")]
    Certificate(rustls::Error),
    /// No private key among what the file holds, or not PEM.
    #[error(
        "the key holds no private key in PEM form\n\nhint: PKCS#8, PKCS#1 and SEC1 are accepted, without a passphrase"
    )]
    NoKey,
    /// A key of a kind that is not known.
    #[error(
        "the private key cannot be used\n\nhint: RSA from 2048 bits on, ECDSA on P-256, P-384 or P-521, and Ed25519 are accepted"
    )]
    Key,
    /// The two do not belong together.
    #[error(
        "the private key does not belong to the certificate\n\nhint: the leaf must be the first certificate; was only one of the two files renewed?"
    )]
    Mismatch,
    /// No certificate among what the file of `client_ca` holds, or not PEM.
    #[error(
        "the client CA holds no certificate in PEM form\n\nhint: it starts with `-----BEGIN CERTIFICATE-----`, several follow each other"
    )]
    NoAuthority,
    /// A certificate of it that cannot be one of an authority.
    #[error("the client CA cannot be used: {0}")]
    Authority(rustls::Error),
    /// A certificate of it, counted from 1, that is not one of an authority.
    #[error(
        "certificate {0} of the client CA is no authority: it may not sign others\n\nhint: put there who signed it, with `CA:TRUE`, and name the client by `name` or `sha256`"
    )]
    NoSigner(usize),
    /// It holds a list of revoked certificates.
    #[error(
        "the client CA holds a revocation list (`X509 CRL`), which is not read\n\nhint: take it out; `certificates = [{{ id = \"stolen\", sha256 = \"…\", enabled = false }}]` of an app refuses a certificate"
    )]
    RevocationList,
    /// The system gives no random bytes for the key of session tickets.
    #[error("TLS cannot be set up: {0}")]
    Setup(rustls::Error),
}

impl Certificates {
    /// Reads a certificate and its key.
    ///
    /// # Errors
    /// [`BadCertificate`] names which of the two is bad, or that they do not
    /// belong together.
    pub fn new(settings: &Settings) -> Result<Self, BadCertificate> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let current = Arc::new(Current(ArcSwap::from_pointee(read(settings, &provider)?)));
        let clients = match &settings.clients {
            Some(wanted) => Some(Arc::new(Clients::new(Rules::read(wanted, &provider)?))),
            None => None,
        };
        let verifier: Arc<dyn ClientCertVerifier> = match &clients {
            Some(clients) => clients.clone(),
            None => WebPkiClientVerifier::no_client_auth(),
        };
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(BadCertificate::Setup)?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(current.clone());
        config.alpn_protocols = vec![ALPN_HTTP_2.to_vec(), b"http/1.1".to_vec()];
        // Early data can be replayed by anyone who saw it.
        config.max_early_data_size = 0;
        if clients.is_some() {
            // A session that is resumed brings its certificate along unverified: it
            // may be over by then, or its authority no longer trusted.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        } else {
            config.ticketer = aws_lc_rs::Ticketer::new().map_err(BadCertificate::Setup)?;
        }
        Ok(Self {
            current,
            clients,
            config: Arc::new(config),
        })
    }

    /// Puts another certificate in force for the handshakes to come, and other rules for those
    /// of clients for the requests to come.
    ///
    /// # Errors
    /// As [`Certificates::new`]; then the one in force stays.
    pub fn replace(&self, settings: &Settings) -> Result<(), BadCertificate> {
        let provider = self.config.crypto_provider();
        let key = read(settings, provider)?;
        // Whether there are any is not changed by a reload.
        if let (Some(clients), Some(wanted)) = (&self.clients, &settings.clients) {
            clients.replace(Rules::read(wanted, provider)?);
        }
        self.current.0.store(Arc::new(key));
        Ok(())
    }

    /// What shakes hands by them.
    pub(super) fn acceptor(&self) -> Acceptor {
        Acceptor {
            tls: TlsAcceptor::from(self.config.clone()),
            clients: self.clients.clone(),
        }
    }
}

/// Shakes hands with clients.
#[derive(Clone)]
pub(super) struct Acceptor {
    tls: TlsAcceptor,
    clients: Option<Arc<Clients>>,
}

/// A connection whose hands are shaken.
pub(super) struct Shaken {
    pub(super) stream: TlsStream<Stream>,
    /// Who takes certificates, and how often that had changed before it was asked.
    clients: Option<(Arc<Clients>, u64)>,
}

/// A client has shown a certificate that we cannot read, though TLS could verify it.
const UNREADABLE: &str = "a certificate is made out to over 100 names, or cannot be read";

impl Acceptor {
    /// Shakes hands. Who leaves before the first byte has come to its end, be it by a reset, as balancers do.
    pub(super) async fn accept(&self, mut stream: Stream) -> io::Result<Shaken> {
        // Counted first: authorities that change meanwhile may not have been asked.
        let clients = self
            .clients
            .as_ref()
            .map(|clients| (clients.clone(), clients.changes()));
        stream.hear_anew();
        match self.tls.accept(stream).into_fallible().await {
            Ok(stream) => Ok(Shaken { stream, clients }),
            Err((why, stream)) if stream.was_heard() => Err(why),
            Err(_) => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

impl Shaken {
    /// What the client has shown, verified; `None` where no client shows any.
    pub(super) fn shown(&self) -> io::Result<Option<Box<Shown>>> {
        let Some((clients, changes)) = &self.clients else {
            return Ok(None);
        };
        let (_, session) = self.stream.get_ref();
        let chain = session.peer_certificates().unwrap_or_default();
        let unreadable = || io::Error::other(UNREADABLE);
        let read = |leaf| client_certificate::read(leaf).ok_or_else(unreadable);
        let certificate = chain.first().map(read).transpose()?;
        let shown = Shown::new(certificate, chain, clients.clone(), *changes);
        Ok(Some(Box::new(shown)))
    }
}

/// What a client that wants HTTP/2 settles on.
pub(super) const ALPN_HTTP_2: &[u8] = b"h2";

#[derive(Debug)]
struct Current(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

fn read(settings: &Settings, provider: &CryptoProvider) -> Result<CertifiedKey, BadCertificate> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&settings.certificate)
        .collect::<Result<_, _>>()
        .map_err(|_| BadCertificate::NoCertificate)?;
    if chain.is_empty() {
        return Err(BadCertificate::NoCertificate);
    }
    let key =
        PrivateKeyDer::from_pem_slice(settings.key.expose()).map_err(|_| BadCertificate::NoKey)?;
    let key = provider
        .key_provider
        .load_private_key(key)
        .map_err(|_| BadCertificate::Key)?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) => Ok(certified),
        Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            Err(BadCertificate::Mismatch)
        }
        Err(other) => Err(BadCertificate::Certificate(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(name: &str) -> Settings {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        Settings {
            certificate: made.cert.pem().into_bytes(),
            key: Secret::new(made.signing_key.serialize_pem().into_bytes()),
            clients: None,
        }
    }

    #[test]
    fn a_certificate_with_its_key_is_taken() {
        let certificates = Certificates::new(&settings("a.test")).unwrap();
        certificates.replace(&settings("b.test")).unwrap();
    }

    #[test]
    fn what_is_bad_about_a_certificate_is_named() {
        let (good, other) = (settings("a.test"), settings("a.test"));
        let pem = |text: &str| text.as_bytes().to_vec();
        let junk = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for (certificate, key, why) in [
            (pem(""), pem(""), BadCertificate::NoCertificate),
            (pem("junk"), pem(""), BadCertificate::NoCertificate),
            (good.certificate.clone(), pem(""), BadCertificate::NoKey),
            (
                good.certificate.clone(),
                good.certificate.clone(),
                BadCertificate::NoKey,
            ),
            (
                good.certificate.clone(),
                pem("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
                BadCertificate::Key,
            ),
            (
                good.certificate.clone(),
                other.key.expose().to_vec(),
                BadCertificate::Mismatch,
            ),
            (
                pem(junk),
                good.key.expose().to_vec(),
                BadCertificate::Certificate(rustls::Error::InvalidCertificate(
                    rustls::CertificateError::BadEncoding,
                )),
            ),
        ] {
            let settings = Settings {
                certificate,
                key: Secret::new(key),
                clients: None,
            };
            assert_eq!(Certificates::new(&settings).unwrap_err(), why);
        }
    }

    #[test]
    fn a_bad_certificate_leaves_the_one_in_force() {
        let (good, other) = (settings("a.test"), settings("b.test"));
        let certificates = Certificates::new(&good).unwrap();
        let before = certificates.current.0.load_full();
        let mixed = Settings {
            certificate: other.certificate,
            key: good.key,
            clients: None,
        };
        assert_eq!(certificates.replace(&mixed), Err(BadCertificate::Mismatch));
        assert!(Arc::ptr_eq(&before, &certificates.current.0.load_full()));
    }
}
