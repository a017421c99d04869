//! One request, one answer: the HTTP/1.1 client behind `request` and `demo`.

use super::message::{Message, read_bounded};
use super::stop::Stop;
use crate::client::host_of;
use crate::schemes::authority::port_of;
use anyhow::Result;
use bytes::Bytes;
use http::header::{HOST, HeaderValue};
use http::{HeaderName, Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// How long a connection may take to be made, of the whole time there is.
const CONNECT: Duration = Duration::from_secs(10);
/// Addresses of a host that are tried.
const MAX_ADDRESSES: usize = 8;
/// Bytes of a file of authorities, as `gateway.toml` takes them.
const MAX_AUTHORITIES: u64 = 1 << 20;
/// What a port is.
pub(super) const PORTS: &str = "a port is a number from 1 to 65535";

/// Connects and sends `message` with `proof` added; the answer's body is
/// still to be read.
pub(super) async fn send(
    message: &Message,
    proof: &[(HeaderName, String)],
    tls: Option<&Arc<ClientConfig>>,
) -> Result<Response<Incoming>> {
    send_to(message, proof, tls, "[server]", || ()).await
}

/// The same with nothing added, which says when the request leaves: what fails before that reached nobody.
pub(super) async fn send_telling(
    message: &Message,
    tls: Option<&Arc<ClientConfig>>,
    leaves: impl FnOnce(),
) -> Result<Response<Incoming>> {
    send_to(message, &[], tls, "[server]", leaves).await
}

/// The same for a gateway's admin listener, with nothing added.
pub(super) async fn send_to_admin(
    message: &Message,
    tls: Option<&Arc<ClientConfig>>,
) -> Result<Response<Incoming>> {
    send_to(message, &[], tls, "[admin]", || ()).await
}

/// The same for the listener that a section of a gateway's configuration describes.
async fn send_to(
    message: &Message,
    proof: &[(HeaderName, String)],
    tls: Option<&Arc<ClientConfig>>,
    section: &str,
    leaves: impl FnOnce(),
) -> Result<Response<Incoming>> {
    let request = request(message, proof)?;
    let (host, port) = destination(&message.uri)?;
    let stream = tokio::time::timeout(CONNECT, connect(host, port))
        .await
        .unwrap_or_else(|_| Err("no answer in time".to_owned()))
        .map_err(|why| unreachable_host(host, port, section, &why))?;
    match tls {
        None => {
            leaves();
            exchange(stream, request).await
        }
        Some(config) => {
            let name = ServerName::try_from(host.to_owned())
                .map_err(|_| Stop::usage(format!("`{host}` is no name a certificate can have")))?;
            let connecting = TlsConnector::from(config.clone()).connect(name, stream);
            let stream = tokio::time::timeout(CONNECT, connecting)
                .await
                .map_err(|_| {
                    Stop::failed(format!(
                        "TLS with `{host}:{port}` failed: no answer in time"
                    ))
                    .hint("is TLS spoken there, or is it `http://`?")
                })?
                .map_err(|why| no_tls(host, port, &why))?;
            leaves();
            exchange(stream, request).await
        }
    }
}

/// What TLS needs when the URL is `https`: the system's authorities, or those of `authorities`.
pub(super) fn tls(uri: &Uri, authorities: Option<&Path>) -> Result<Option<Arc<ClientConfig>>> {
    if uri.scheme_str() != Some("https") {
        return Ok(None);
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = match authorities {
        Some(path) => builder
            .with_root_certificates(roots(path)?)
            .with_no_client_auth(),
        None => builder
            .with_platform_verifier()
            .map_err(|why| {
                Stop::failed(format!("this system's certificates cannot be used: {why}"))
                    .hint("`--cacert FILE` names the authority to trust")
            })?
            .with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Some(Arc::new(config)))
}

fn roots(path: &Path) -> Result<RootCertStore> {
    let bad = |why: String| {
        Stop::usage(format!("`{}` cannot be trusted: {why}", path.display()))
            .hint("a file of certificates in PEM form is accepted")
    };
    let file = std::fs::File::open(path).map_err(|why| bad(why.to_string()))?;
    let pem = read_bounded(file, &path.display().to_string(), MAX_AUTHORITIES)?;
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|why| bad(why.to_string()))?;
        store.add(certificate).map_err(|why| bad(why.to_string()))?;
    }
    if store.is_empty() {
        return Err(bad("it holds no certificate".to_owned()).into());
    }
    Ok(store)
}

/// Path and query as they are, in origin form; `Host` unless the caller gave one.
pub(super) fn request(
    message: &Message,
    proof: &[(HeaderName, String)],
) -> Result<Request<Full<Bytes>>> {
    let mut request = Request::new(Full::new(message.body.clone()));
    *request.method_mut() = message.method.clone();
    *request.uri_mut() = message.target().parse()?;
    let fields = request.headers_mut();
    fields.clone_from(&message.fields);
    for (name, value) in proof {
        fields.insert(name, HeaderValue::from_str(value)?);
    }
    if !fields.contains_key(HOST)
        && let Some(host) = host_of(&message.uri)
    {
        fields.insert(HOST, HeaderValue::from_str(host)?);
    }
    Ok(request)
}

/// The host and the port that a URL leads to; a port that is none leads nowhere.
pub(super) fn destination(uri: &Uri) -> Result<(&str, u16)> {
    let authority = uri
        .authority()
        .ok_or_else(|| Stop::usage("the URL has no host"))?;
    let host = authority.host();
    let port = port_of(authority)
        .map_err(|bad| Stop::usage(format!("the URL of `{host}` {bad}")).hint(PORTS))?;
    let usual = if uri.scheme_str() == Some("https") {
        443
    } else {
        80
    };
    // A resolver takes `::1`, not `[::1]`.
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Ok((host, port.unwrap_or(usual)))
}

/// Connects, or tells why not.
async fn connect(host: &str, port: u16) -> Result<TcpStream, String> {
    let addresses = tokio::net::lookup_host((host, port))
        .await
        .map_err(|why| why.to_string())?;
    let mut last = None;
    for address in addresses.take(MAX_ADDRESSES) {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true).map_err(|why| why.to_string())?;
                return Ok(stream);
            }
            Err(why) => last = Some(why),
        }
    }
    Err(last.map_or_else(
        || "the host has no address".to_owned(),
        |why| why.to_string(),
    ))
}

fn no_tls(host: &str, port: u16, why: &std::io::Error) -> Stop {
    let source = why
        .get_ref()
        .and_then(|source| source.downcast_ref::<rustls::Error>());
    let hint = match source {
        Some(rustls::Error::InvalidMessage(_)) => {
            "what answers there speaks no TLS: is it `http://`?".to_owned()
        }
        Some(why) if why.to_string().contains("CaUsedAsEndEntity") => {
            "the certificate is an authority's own: make one with `basicConstraints=CA:FALSE`"
                .to_owned()
        }
        Some(rustls::Error::InvalidCertificate(why)) => not_taken(host, why),
        _ => "is TLS spoken there?".to_owned(),
    };
    Stop::failed(format!("TLS with `{host}:{port}` failed: {why}")).hint(hint)
}

/// What to do about a certificate of `host` that is not taken.
fn not_taken(host: &str, why: &CertificateError) -> String {
    let hint = match why {
        // A signature is bad, or of another algorithm than the key, where an authority has but the name of a trusted one.
        CertificateError::UnknownIssuer
        | CertificateError::BadSignature
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "`--cacert FILE` names the authority to trust"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the certificate is over: the server needs a new one, unless this machine's clock is wrong"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the certificate is not good yet: is this machine's clock right?"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            return format!(
                "the certificate is not for `{host}`: call the server by a name that it is for"
            );
        }
        _ => "the server needs another certificate",
    };
    hint.to_owned()
}

fn unreachable_host(host: &str, port: u16, section: &str, why: &str) -> Stop {
    Stop::failed(format!("`{host}:{port}` cannot be reached: {why}")).hint(format!(
        "is the gateway running, and does it listen there? `{section} listen` says where"
    ))
}

/// Sends a request over a connection that was made.
pub(super) async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>> {
    let broken = |why: hyper::Error| {
        let stop = Stop::failed(format!("the connection broke: {why}"));
        if why.is_parse() || why.is_incomplete_message() {
            return stop.hint("does HTTP/1.1 answer there, and is it `http://` or `https://`?");
        }
        stop
    };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    // It ends when the answer has ended, or with the runtime.
    tokio::spawn(connection);
    Ok(sender.send_request(request).await.map_err(broken)?)
}

/// The whole body, or its first `limit` bytes; true when there was more.
pub(super) async fn collect(body: &mut Incoming, limit: usize) -> Result<(Vec<u8>, bool)> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|why| Stop::failed(format!("the answer broke off: {why}")))?;
        if let Ok(data) = frame.into_data() {
            let room = limit - bytes.len();
            bytes.extend_from_slice(&data[..room.min(data.len())]);
            if data.len() > room {
                return Ok((bytes, true));
            }
        }
    }
    Ok((bytes, false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_file_of_authorities_no_more_is_read_than_one_has() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("endless");
        let file = std::fs::File::create(&path).unwrap();
        file.set_len(MAX_AUTHORITIES + 1).unwrap();
        let told = roots(&path).unwrap_err().to_string();
        assert!(told.contains("at most that many are read"), "{told}");
        file.set_len(MAX_AUTHORITIES).unwrap();
        let told = roots(&path).unwrap_err().to_string();
        assert!(told.contains("it holds no certificate"), "{told}");
    }

    #[test]
    fn another_authority_is_advised_only_where_the_authority_is_not_known() {
        let told = |why| {
            let why = std::io::Error::other(rustls::Error::InvalidCertificate(why));
            no_tls("api.example.com", 443, &why).to_string()
        };
        for why in [
            CertificateError::UnknownIssuer,
            CertificateError::BadSignature,
            // By the key of ECDSA of an authority that has the name of one with a key of RSA.
            CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext {
                signature_algorithm_id: vec![0x2a],
                public_key_algorithm_id: vec![0x2b],
            },
        ] {
            assert!(told(why).contains("--cacert"));
        }
        for (why, hint) in [
            (CertificateError::Expired, "the certificate is over"),
            (CertificateError::NotValidYet, "is not good yet"),
            (
                CertificateError::NotValidForName,
                "the certificate is not for `api.example.com`",
            ),
            (CertificateError::Revoked, "another certificate"),
        ] {
            let told = told(why);
            assert!(told.contains(hint), "{told}");
            assert!(!told.contains("--cacert"), "{told}");
        }
    }
}
