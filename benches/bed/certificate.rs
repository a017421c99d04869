//! A certificate made for one run, a client that trusts no other, and a server that shows it.

use rcgen::{CertifiedKey, generate_simple_self_signed};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Files in the folder of a run.
pub(crate) const CERTIFICATE: &str = "cert.pem";
pub(crate) const KEY: &str = "key.pem";
/// Both in one file, as `HAProxy` wants them.
pub(crate) const BOTH: &str = "both.pem";

/// Writes the files.
pub(crate) fn write(folder: &Path, host: &str) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec![host.to_owned()]).expect("a certificate");
    let (cert, key) = (cert.pem(), signing_key.serialize_pem());
    fs::write(folder.join(CERTIFICATE), &cert).expect("a file");
    fs::write(folder.join(KEY), &key).expect("a file");
    fs::write(folder.join(BOTH), format!("{cert}{key}")).expect("a file");
}

/// A client that settles on `protocol` and nothing else.
pub(crate) fn client(folder: &Path, protocol: &[u8]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(leaf(folder)).expect("a certificate");
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider speaks them")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    TlsConnector::from(Arc::new(config))
}

/// A server that settles on one of `protocols`.
pub(crate) fn server(folder: &Path, protocols: &[&[u8]]) -> TlsAcceptor {
    let key = PrivateKeyDer::from_pem_file(folder.join(KEY)).expect("a key");
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider speaks them")
        .with_no_client_auth()
        .with_single_cert(vec![leaf(folder)], key)
        .expect("they belong together");
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

fn leaf(folder: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(folder.join(CERTIFICATE)).expect("a certificate")
}
