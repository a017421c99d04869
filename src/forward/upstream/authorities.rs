//! Whose word we take for who a server is: the authorities of a file, or those of the system.

use super::tls::Bad;
use crate::crypto::digest;
use rustls::client::{WantsClientCert, WebPkiServerVerifier};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};
use rustls_platform_verifier::BuilderVerifierExt as _;
use std::sync::Arc;

/// Has `builder` trust the authorities in `pem`, or those of the system as they are now; and a digest of them.
pub(super) fn trust(
    builder: ConfigBuilder<ClientConfig, WantsVerifier>,
    pem: Option<&[u8]>,
) -> Result<(ConfigBuilder<ClientConfig, WantsClientCert>, [u8; 32]), Bad> {
    let (roots, content) = match pem {
        Some(pem) => (of_file(pem)?, digest::sha256(&[pem])),
        // These are asked at each handshake: there is nothing to read.
        None if cfg!(any(windows, target_vendor = "apple", target_os = "android")) => {
            let builder = builder.with_platform_verifier();
            let builder = builder.map_err(|why| Bad::System(why.to_string()))?;
            return Ok((builder, digest::sha256(&[])));
        }
        None => of_system()?,
    };
    let provider = builder.crypto_provider().clone();
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|_| Bad::Authority)?;
    Ok((builder.with_webpki_verifier(verifier), content))
}

fn of_file(pem: &[u8]) -> Result<RootCertStore, Bad> {
    let mut roots = RootCertStore::empty();
    for one in CertificateDer::pem_slice_iter(pem) {
        let added = one.map(|certificate| roots.add(certificate));
        if !matches!(added, Ok(Ok(()))) {
            return Err(Bad::Authority);
        }
    }
    if roots.is_empty() {
        return Err(Bad::Authority);
    }
    Ok(roots)
}

/// Those of the system that can be read, as others take them too.
fn of_system() -> Result<(RootCertStore, [u8; 32]), Bad> {
    let found = rustls_native_certs::load_native_certs();
    // In whatever order the files of a folder are read.
    let digests = found.certs.iter().map(|one| digest::sha256(&[&one[..]]));
    let mut digests: Vec<[u8; 32]> = digests.collect();
    digests.sort_unstable();
    digests.dedup();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found.errors.first().map(ToString::to_string);
        let why = why.unwrap_or_else(|| "there are none".to_owned());
        return Err(Bad::System(why));
    }
    Ok((roots, digest::sha256(&[digests.as_flattened()])))
}
