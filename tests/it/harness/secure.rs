//! An upstream that speaks TLS, and the authority that certifies it.

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio_rustls::TlsAcceptor;

/// Who certifies servers and clients.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, PEM.
pub struct Certified {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params
            .distinguished_name
            .push(DnType::CommonName, "authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    /// Its own certificate, PEM.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for `name`.
    pub fn certify(&self, name: &str) -> Certified {
        self.certify_until(name, 4096)
    }

    /// A certificate for `name` that was good until a year long ago.
    pub fn certify_expired(&self, name: &str) -> Certified {
        self.certify_until(name, 2001)
    }

    fn certify_until(&self, name: &str, year: i32) -> Certified {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        Certified {
            certificate: params.signed_by(&key, &self.0).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }
}

/// A running upstream; it answers everything with `hello`.
pub struct Secure {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Secure {
    /// Shows `certified`, and settles on one of `alpn`. With `clients` it
    /// wants to know who calls.
    pub fn start(certified: &Certified, alpn: &[&str], clients: Option<&Authority>) -> Self {
        Self::with(certified, alpn, clients, "hello")
    }

    /// As [`Secure::start`], but it answers with `says`.
    pub fn saying(certified: &Certified, alpn: &[&str], says: &str) -> Self {
        Self::with(certified, alpn, None, says)
    }

    fn with(certified: &Certified, alpn: &[&str], clients: Option<&Authority>, says: &str) -> Self {
        let says = Bytes::copy_from_slice(says.as_bytes());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let heard: Arc<Mutex<Vec<String>>> = Arc::default();
        let acceptor = TlsAcceptor::from(Arc::new(config(certified, alpn, clients)));
        let of_server = heard.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    let (heard, says) = (of_server.clone(), says.clone());
                    tokio::spawn(serve(acceptor.clone(), stream, heard, says));
                }
            });
        });
        Self { address, heard }
    }

    /// Its port.
    pub const fn port(&self) -> u16 {
        self.address.port()
    }

    /// Version and target of every request that it heard.
    pub fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

async fn serve(
    acceptor: TlsAcceptor,
    stream: tokio::net::TcpStream,
    heard: Arc<Mutex<Vec<String>>>,
    says: Bytes,
) {
    let Ok(stream) = acceptor.accept(stream).await else {
        return;
    };
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let service = service_fn(move |request: Request<Incoming>| {
        let line = format!("{:?} {}", request.version(), request.uri());
        heard.lock().unwrap().push(line);
        let says = Full::new(says.clone());
        async { Ok::<_, std::convert::Infallible>(Response::new(says)) }
    });
    let stream = TokioIo::new(stream);
    if is_http2 {
        let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        let _ = builder.serve_connection(stream, service).await;
    } else {
        let builder = hyper::server::conn::http1::Builder::new();
        let _ = builder.serve_connection(stream, service).await;
    }
}

fn config(
    certified: &Certified,
    alpn: &[&str],
    clients: Option<&Authority>,
) -> rustls::ServerConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots
                .add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap())
                .unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let chain = CertificateDer::from_pem_slice(certified.certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(certified.key.as_bytes()).unwrap();
    let mut config = builder.with_single_cert(vec![chain], key).unwrap();
    config.alpn_protocols = alpn.iter().map(|one| one.as_bytes().to_vec()).collect();
    config
}
