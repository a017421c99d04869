//! Certificates and their reload.

use crate::secret::Secret;

/// `[server] tls`: what the files held when they were read.
#[derive(Debug)]
pub struct Settings {
    /// The certificate chain, PEM, leaf first.
    pub certificate: Vec<u8>,
    /// Its private key, PEM.
    pub key: Secret,
}
