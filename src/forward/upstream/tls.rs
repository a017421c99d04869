//! Whom we trust as a server, and who we are to it.

use super::Protocol;
use super::authorities::trust;
use crate::crypto::digest;
use crate::secret::Secret;
use rustls::client::ResolvesClientCert;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{AlertDescription, CertificateError, ClientConfig, InconsistentKeys, SignatureScheme};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// What a server that speaks HTTP/2 settles on.
pub(super) const ALPN_HTTP_2: &[u8] = b"h2";
const ALPN_HTTP_1: &[u8] = b"http/1.1";

/// `[upstreams.NAME] tls`: what the files held when they were read.
#[derive(Debug, Default)]
pub struct Settings {
    /// The authorities that are trusted, PEM; `None` trusts those that the system has now.
    pub ca: Option<Vec<u8>>,
    /// Our own certificate chain, PEM, and its private key.
    pub identity: Option<(Vec<u8>, Secret)>,
    /// The name that the certificate must be for, in place of the server's host.
    pub server_name: Option<Box<str>>,
}

/// Why these settings cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Bad {
    /// No certificate that could be trusted.
    #[error(
        "the file holds no authority's certificate in PEM form\n\nhint: it starts with `-----BEGIN CERTIFICATE-----`"
    )]
    Authority,
    /// The system names no authority.
    #[error(
        "this system's certificates cannot be used: {0}\n\nhint: `ca = \"file:ca.pem\"` names the authority to trust"
    )]
    System(String),
    /// Our certificate is none.
    #[error(
        "the client certificate cannot be read\n\nhint: it starts with `-----BEGIN CERTIFICATE-----`, the leaf first"
    )]
    Certificate,
    /// Our key is none.
    #[error(
        "the client's private key cannot be used\n\nhint: PKCS#8, PKCS#1 and SEC1 are accepted, without a passphrase"
    )]
    Key,
    /// Our certificate and our key do not belong together.
    #[error(
        "the private key does not belong to the client certificate\n\nhint: the leaf must be the first certificate; was only one of the two files renewed?"
    )]
    Mismatch,
    /// Anything else that TLS objects to.
    #[error("TLS cannot be set up: {0}")]
    Setup(String),
}

/// How TLS is spoken to the servers of an upstream. Two of the same content are equal.
#[derive(Clone)]
pub struct Client {
    config: Arc<ClientConfig>,
    server_name: Option<Box<str>>,
    has_own_authority: bool,
    has_identity: bool,
    nobody: Arc<Nobody>,
    /// A digest of the authorities that are trusted.
    authorities: [u8; 32],
    content: [u8; 32],
}

impl Client {
    /// Makes the settings ready.
    ///
    /// # Errors
    /// [`Bad`] names what cannot be used.
    pub fn new(settings: &Settings, protocol: Protocol) -> Result<Self, Bad> {
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(|why| Bad::Setup(why.to_string()))?;
        let (builder, authorities) = trust(builder, settings.ca.as_deref())?;
        let nobody = Arc::new(Nobody::default());
        let mut config = match &settings.identity {
            None => builder.with_client_cert_resolver(nobody.clone()),
            Some((certificate, key)) => builder
                .with_client_auth_cert(chain(certificate)?, private_key(key)?)
                .map_err(|why| match why {
                    rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => Bad::Mismatch,
                    rustls::Error::InvalidCertificate(_) => Bad::Certificate,
                    _ => Bad::Key,
                })?,
        };
        config.alpn_protocols = match protocol {
            Protocol::Auto => vec![ALPN_HTTP_2.to_vec(), ALPN_HTTP_1.to_vec()],
            Protocol::Http1 => vec![ALPN_HTTP_1.to_vec()],
            Protocol::Http2 => vec![ALPN_HTTP_2.to_vec()],
        };
        Ok(Self {
            config: Arc::new(config),
            server_name: settings.server_name.clone(),
            has_own_authority: settings.ca.is_some(),
            has_identity: settings.identity.is_some(),
            nobody,
            content: content(settings, &authorities, protocol),
            authorities,
        })
    }

    /// The same, offering HTTP/1.1 alone.
    pub(super) fn alone(&self) -> Self {
        let mut config = ClientConfig::clone(&self.config);
        config.alpn_protocols = vec![ALPN_HTTP_1.to_vec()];
        Self {
            config: Arc::new(config),
            ..self.clone()
        }
    }

    /// The name that is asked for in place of a server's host.
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    /// Whether it trusts authorities of its own, and not those of the system.
    pub const fn has_own_authority(&self) -> bool {
        self.has_own_authority
    }

    /// A digest of the system's authorities as they were read, where they are trusted.
    pub fn of_the_system(&self) -> Option<&[u8; 32]> {
        (!self.has_own_authority).then_some(&self.authorities)
    }

    /// Whether it can say who we are.
    pub const fn has_identity(&self) -> bool {
        self.has_identity
    }

    /// How often servers have asked who we are, while we have nothing to say: more often after a
    /// handshake than before it, where its server did.
    pub(super) fn asked_in_vain(&self) -> usize {
        self.nobody.0.load(Ordering::Relaxed)
    }

    /// What handshakes go by.
    pub(super) fn config(&self) -> Arc<ClientConfig> {
        self.config.clone()
    }

    /// Speaks TLS over `stream` with the server at `host`.
    ///
    /// # Errors
    /// In words that say what to do about it.
    pub async fn secure(&self, host: &str, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let name = self.name(host)?;
        let shaking = TlsConnector::from(self.config()).connect(name.clone(), stream);
        shaking.await.map_err(|error| explain(&error, &name, false))
    }

    /// The name that the certificate of a server at `host` must be for.
    pub(super) fn name(&self, host: &str) -> io::Result<ServerName<'static>> {
        let name = self.server_name.as_deref().unwrap_or(host);
        ServerName::try_from(name.to_owned()).map_err(|_| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("`{name}` is no name a certificate can have"),
            )
        })
    }
}

/// Has no certificate, and counts how often it was asked for one. One for all handshakes: sessions
/// are resumed under the same alone.
#[derive(Debug, Default)]
struct Nobody(AtomicUsize);

impl ResolvesClientCert for Nobody {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}

impl PartialEq for Client {
    fn eq(&self, other: &Self) -> bool {
        self.content == other.content
    }
}

impl Eq for Client {}

impl Hash for Client {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.content.hash(state);
    }
}

/// Whether a certificate can be for `name`.
pub fn is_server_name(name: &str) -> bool {
    ServerName::try_from(name).is_ok()
}

fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Bad> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        _ => Err(Bad::Certificate),
    }
}

fn private_key(key: &Secret) -> Result<PrivateKeyDer<'static>, Bad> {
    PrivateKeyDer::from_pem_slice(key.expose()).map_err(|_| Bad::Key)
}

/// A digest of all that a handshake depends on: connections made under other
/// settings are not used.
fn content(settings: &Settings, authorities: &[u8; 32], protocol: Protocol) -> [u8; 32] {
    let (certificate, key) = match &settings.identity {
        Some((certificate, key)) => (certificate.as_slice(), key.expose()),
        None => (&[][..], &[][..]),
    };
    let parts: [&[u8]; 5] = [
        &[protocol as u8, u8::from(settings.ca.is_some())],
        authorities,
        certificate,
        key,
        settings
            .server_name
            .as_deref()
            .unwrap_or_default()
            .as_bytes(),
    ];
    let digests = parts.map(|part| digest::sha256(&[part]));
    digest::sha256(&digests.each_ref().map(|one| &one[..]))
}

/// A handshake's failure, in words that say what to do about it; `was_asked` says whether the server
/// asked in vain who we are.
pub(super) fn explain(error: &io::Error, name: &ServerName<'_>, was_asked: bool) -> io::Error {
    let Some(cause) = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>())
    else {
        let text = format!("TLS failed: {error}");
        return io::Error::new(error.kind(), hinted(text, was_asked));
    };
    let kind = match cause {
        rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol)
        | rustls::Error::NoApplicationProtocol => io::ErrorKind::Unsupported,
        _ => error.kind(),
    };
    let is_about_us = was_asked && is_refusal(cause);
    io::Error::new(kind, hinted(words(cause, &name.to_str()), is_about_us))
}

/// What a server says that does not take us for anyone it serves. Over TLS
/// 1.3 this comes when the handshake is over for us, in place of an answer.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refusal(String);

/// What went wrong on a connection whose handshake is over: put in words where it is a refusal.
pub(super) fn told(error: io::Error, was_asked: bool) -> io::Error {
    let cause = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let refusal = cause
        .filter(|cause| is_refusal(cause))
        .map(|cause| Refusal(hinted(words(cause, ""), was_asked)));
    match refusal {
        Some(refusal) => io::Error::new(error.kind(), refusal),
        None => error,
    }
}

/// What a server said that refused us, if that is what [`told`] found.
pub(in crate::forward) fn refusal(error: &io::Error) -> Option<String> {
    let refusal = error.get_ref()?.downcast_ref::<Refusal>()?;
    Some(refusal.to_string())
}

const fn is_refusal(cause: &rustls::Error) -> bool {
    use AlertDescription as Alert;
    matches!(
        cause,
        rustls::Error::AlertReceived(
            Alert::HandshakeFailure
                | Alert::BadCertificate
                | Alert::UnsupportedCertificate
                | Alert::CertificateRevoked
                | Alert::CertificateExpired
                | Alert::CertificateUnknown
                | Alert::UnknownCA
                | Alert::AccessDenied
                | Alert::CertificateRequired
        )
    )
}

/// With what to do about it, where we were asked and told nothing.
pub(super) fn hinted(text: String, was_asked: bool) -> String {
    if was_asked {
        return format!(
            "{text} (hint: it asked who we are and was told nothing: `tls.certificate` and `tls.key` say it)"
        );
    }
    text
}

fn words(cause: &rustls::Error, name: &str) -> String {
    use rustls::{AlertDescription as Alert, Error};
    match cause {
        Error::InvalidCertificate(why) => match why {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                "the certificate is not trusted: no authority that we know has signed it (hint: `tls.ca` names the authority to trust)".to_owned()
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "the certificate is not trusted: it has expired".to_owned()
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "the certificate is not trusted: it is not valid yet".to_owned()
            }
            CertificateError::Revoked => {
                "the certificate is not trusted: it was revoked".to_owned()
            }
            CertificateError::NotValidForName
            | CertificateError::NotValidForNameContext { .. } => format!(
                "the certificate is not for `{name}` (hint: `tls.server_name` is the name it must be for)"
            ),
            other => format!("the certificate is not trusted: {other}"),
        },
        Error::AlertReceived(Alert::NoApplicationProtocol) | Error::NoApplicationProtocol => {
            "it speaks none of the HTTP versions that `protocol` allows".to_owned()
        }
        Error::AlertReceived(alert) => format!("it refused the handshake: {alert:?}"),
        Error::InvalidMessage(_) => {
            "it does not speak TLS (hint: is it an `http://` server?)".to_owned()
        }
        other => format!("TLS failed: {other}"),
    }
}
