//! Mutual TLS: the certificate of a client names an app.

use crate::harness::curl::curl;
use crate::harness::{
    DEADLINE, Gateway, Request, Response, Setup, T0, Token, Upstream, caller, wait_until,
};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

const HOST: &str = "api.example.com";

/// Who signs certificates.
struct Authority(Issuer<'static, KeyPair>, String);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, "An authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self(Issuer::new(params, key), pem)
    }

    /// A certificate in PEM and in DER, and its key.
    fn sign(&self, names: &[SanType]) -> (String, Vec<u8>, String) {
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, "A client");
        params.subject_alt_names = names.to_vec();
        // The gateway's clock is set by hand, that of TLS is the system's.
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2100, 1, 1);
        let key = KeyPair::generate().unwrap();
        let made = params.signed_by(&key, &self.0).unwrap();
        (made.pem(), made.der().to_vec(), key.serialize_pem())
    }
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

fn dns(text: &str) -> SanType {
    SanType::DnsName(text.try_into().unwrap())
}

fn email(text: &str) -> SanType {
    SanType::Rfc822Name(text.try_into().unwrap())
}

const KNOWN: &str = "[apps.fleet]\nscopes = [\"orders\"]\ncertificates = [\n\
    { id = \"by-uri\", name = \"spiffe://example.com/fleet\" },\n\
    { id = \"by-host\", name = \"Fleet.example.com\" },\n\
    { id = \"by-mail\", name = \"fleet@example.com\" },\n\
    { id = \"over\", name = \"old.example.com\", not_after = 2026-01-01 },\n\
    { id = \"off\", name = \"off.example.com\", enabled = false },\n";

struct Scene {
    upstream: Upstream,
    gateway: Gateway,
    authority: Authority,
}

impl Scene {
    /// A gateway whose one route takes certificates, and what `route` says besides.
    fn set(client: &str, route: &str) -> Self {
        Self::knowing(client, route, |_, _| String::new())
    }

    fn knowing(client: &str, route: &str, more: impl FnOnce(&Setup, &Authority) -> String) -> Self {
        let upstream = Upstream::start();
        let authority = Authority::new();
        let setup = Setup::before(&upstream).server(&format!(
            "workers = 1\ntrusted_proxies = [\"127.0.0.1\"]\ntls = {{ certificate = \"file:cert.pem\", key = \"file:key.pem\", client_ca = \"file:ca.pem\"{client} }}"
        ));
        let server = Authority::new();
        let (certificate, _, key) = server.sign(&[dns(HOST)]);
        setup.write("server-ca.pem", server.1.as_bytes());
        setup.write("cert.pem", certificate.as_bytes());
        setup.write_secret("key.pem", key.as_bytes());
        setup.write("ca.pem", authority.1.as_bytes());
        let known = format!("{KNOWN}{}]\n", more(&setup, &authority));
        let accept = if route.contains("accept") {
            ""
        } else {
            "accept = [\"client-certificate\"]\n"
        };
        let gateway = setup
            .route(&format!("{accept}{route}"))
            .more(&known)
            .start();
        Self {
            upstream,
            gateway,
            authority,
        }
    }

    /// Writes a certificate and its key beside the configuration.
    fn certificate(&self, names: &[SanType]) -> (PathBuf, PathBuf) {
        write(self.gateway.setup(), "client", &self.authority.sign(names))
    }

    fn send(&self, request: &Request, files: Option<&(PathBuf, PathBuf)>) -> Response {
        self.try_send(request, files, &[])
    }

    fn try_send(
        &self,
        request: &Request,
        files: Option<&(PathBuf, PathBuf)>,
        more: &[&str],
    ) -> Response {
        let authority = self.gateway.setup().path("server-ca.pem");
        let mut arguments = vec!["--cacert", authority.to_str().unwrap()];
        if let Some((certificate, key)) = files {
            arguments.extend(["--cert", certificate.to_str().unwrap()]);
            arguments.extend(["--key", key.to_str().unwrap()]);
        }
        arguments.extend(more);
        curl(request, self.gateway.address(), &arguments)
    }
}

fn write(setup: &Setup, name: &str, signed: &(String, Vec<u8>, String)) -> (PathBuf, PathBuf) {
    (
        setup.write(&format!("{name}.pem"), signed.0.as_bytes()),
        setup.write(&format!("{name}.key"), signed.2.as_bytes()),
    )
}

fn request(method: &str) -> Request {
    let mut request = Request::new(method, "/orders").authority(HOST);
    request.scheme = "https";
    request
}

#[test]
fn a_certificate_names_its_app_over_either_version() {
    let scene = Scene::set("", "scopes = [\"orders\"]");
    for (n, (name, id, version)) in [
        (uri("spiffe://example.com/fleet"), "by-uri", "--http1.1"),
        (dns("fleet.EXAMPLE.com"), "by-host", "--http2"),
        (email("fleet@Example.com"), "by-mail", "--http1.1"),
    ]
    .into_iter()
    .enumerate()
    {
        let files = scene.certificate(&[dns("of-no-one.example.com"), name]);
        let response = scene.try_send(&request("GET"), Some(&files), &[version]);
        response.assert_passed();
        let got = scene.upstream.got(n);
        assert_eq!(got.field("portcullis-app"), Some("fleet"));
        assert_eq!(got.field("portcullis-key"), Some(id));
        assert_eq!(got.field("portcullis-scheme"), Some("client-certificate"));
        assert_eq!(got.field("portcullis-assurance"), Some("key"));
        assert_eq!(got.field("portcullis-scopes"), Some("orders"));
        let record = scene.gateway.record(n);
        assert_eq!(
            (&record["app"], &record["key"]),
            (&"fleet".into(), &id.into())
        );
        assert_eq!(record["scheme"], "client-certificate");
    }
}

#[test]
fn a_token_bound_to_a_certificate_holds_on_its_connections_only() {
    let scene = Scene::set("", "accept = [\"token\"]");
    let signed = scene.authority.sign(&[dns("phone.example.com")]);
    let files = write(scene.gateway.setup(), "phone", &signed);
    let others = scene.certificate(&[dns("phone.example.com")]);
    let digest = portcullis::crypto::digest::sha256(&[&signed.1]);
    let digest = data_encoding::BASE64URL_NOPAD.encode(&digest);
    let bound = |cnf| {
        let token = Token::new().claim("cnf", cnf);
        request("GET").field("Portcullis-Token", &token.text())
    };
    let good = bound(json!({ "x5t#S256": digest }));
    scene.send(&good, Some(&files)).assert_passed();
    scene
        .send(&good, Some(&others))
        .assert_refused(401, "binding-mismatch");
    // What we cannot check is not taken for a binding, nor for none.
    for cnf in [
        json!({ "x5t": digest }),
        json!({ "x5t#S256": digest, "jku": "https://example.com" }),
        json!({ "x5t#S256": "AAAA" }),
    ] {
        scene
            .send(&bound(cnf), Some(&files))
            .assert_refused(401, "credential-rejected");
    }
    // Of two bindings both must hold.
    let jkt = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
    let two = bound(json!({ "x5t#S256": digest, "jkt": jkt }));
    scene
        .send(&two, Some(&files))
        .assert_refused(401, "credential-missing");
}

#[test]
fn a_certificate_can_be_named_by_all_of_it() {
    let mut files = None;
    let scene = Scene::knowing("", "", |setup, authority| {
        let signed = authority.sign(&[]);
        files = Some(write(setup, "whole", &signed));
        let hex: Vec<_> = portcullis::crypto::digest::sha256(&[&signed.1])
            .iter()
            .map(|byte| format!("{byte:02X}"))
            .collect();
        format!("{{ id = \"whole\", sha256 = \"{}\" }}", hex.join(":"))
    });
    scene.send(&request("GET"), files.as_ref()).assert_passed();
    assert_eq!(scene.upstream.only().field("portcullis-key"), Some("whole"));
    let other = scene.certificate(&[]);
    scene
        .send(&request("GET"), Some(&other))
        .assert_refused(401, "credential-rejected");
}

#[test]
fn a_stolen_certificate_is_refused_by_all_of_it_and_others_of_its_name_pass() {
    let mut stolen = None;
    let scene = Scene::knowing("", "", |setup, authority| {
        let signed = authority.sign(&[dns("fleet.example.com")]);
        stolen = Some(write(setup, "stolen", &signed));
        let digest = portcullis::crypto::digest::sha256(&[&signed.1]);
        let hex = data_encoding::HEXLOWER.encode(&digest);
        format!("{{ id = \"stolen\", sha256 = \"{hex}\", enabled = false }}")
    });
    scene
        .send(&request("GET"), stolen.as_ref())
        .assert_refused(401, "credential-rejected");
    assert_eq!(scene.gateway.record(0)["reason"], "key-not-active");
    let renewed = scene.certificate(&[dns("fleet.example.com")]);
    scene.send(&request("GET"), Some(&renewed)).assert_passed();
}

#[test]
fn a_certificate_that_stands_for_nobody_is_refused_as_every_bad_credential() {
    let scene = Scene::set("", "accept = [\"client-certificate\", \"http-signature\"]");
    let (mine, other) = (uri("spiffe://example.com/fleet"), dns("fleet.example.com"));
    let mut told = Vec::new();
    for (n, (names, reason)) in [
        (vec![dns("stranger.example.com")], "unknown-certificate"),
        (vec![], "unknown-certificate"),
        (vec![uri("fleet.example.com:1")], "unknown-certificate"),
        (vec![mine, other], "several-certificates"),
        (vec![dns("old.example.com")], "key-not-active"),
        (vec![dns("off.example.com")], "key-not-active"),
    ]
    .into_iter()
    .enumerate()
    {
        let files = scene.certificate(&names);
        let response = scene.send(&request("GET"), Some(&files));
        response.assert_refused(401, "credential-rejected");
        assert_eq!(scene.gateway.record(n)["reason"], reason);
        told.push(response.json()["detail"].clone());
    }
    let forged = caller().key_id("unknown").sign(&request("GET"));
    let response = scene.send(&forged, Some(&scene.certificate(&[])));
    response.assert_refused(401, "credential-rejected");
    told.push(response.json()["detail"].clone());
    told.dedup();
    assert_eq!(told.len(), 1, "{told:?}");
    scene.upstream.assert_silent();
}

#[test]
fn what_the_request_shows_counts_and_the_certificate_is_transport_then() {
    let scene = Scene::set("", "accept = [\"client-certificate\", \"http-signature\"]");
    let files = scene.certificate(&[dns("fleet.example.com")]);
    let signed = caller().sign(&request("GET"));
    scene.send(&signed, Some(&files)).assert_passed();
    assert_eq!(
        scene.upstream.only().field("portcullis-app"),
        Some("mobile")
    );
    // Nor does it stand in for one that does not hold.
    let forged = caller().secret(&[7; 32]).sign(&request("GET"));
    scene
        .send(&forged, Some(&files))
        .assert_refused(401, "credential-rejected");
}

#[test]
fn a_certificate_does_not_count_where_the_route_does_not_accept_it() {
    let scene = Scene::set("", "accept = [\"http-signature\"]");
    let files = scene.certificate(&[dns("fleet.example.com")]);
    scene
        .send(&request("GET"), Some(&files))
        .assert_refused(401, "credential-missing");
    scene
        .send(&caller().sign(&request("GET")), Some(&files))
        .assert_passed();
}

#[test]
fn a_certificate_does_not_count_for_those_whom_its_proxy_speaks_for() {
    let scene = Scene::set("", "");
    let files = scene.certificate(&[dns("fleet.example.com")]);
    scene.send(&request("GET"), Some(&files)).assert_passed();
    let somebodys = request("GET").field("x-forwarded-for", "192.0.2.1");
    scene
        .send(&somebodys, Some(&files))
        .assert_refused(401, "credential-missing");
}

#[test]
fn unsafe_requests_pass_as_often_as_they_are_sent_and_strictly_too() {
    let scene = Scene::set("", "replay = \"strict\"");
    let files = scene.certificate(&[dns("fleet.example.com")]);
    for n in 0..2 {
        let request = request("POST").body("hello");
        scene.send(&request, Some(&files)).assert_passed();
        assert_eq!(scene.upstream.got(n).body, b"hello");
    }
}

/// Fails unless the connection ends in its handshake, which is seen nowhere but in the metrics.
fn no_connection(scene: &Scene, files: Option<&(PathBuf, PathBuf)>) {
    let before = failed_handshakes(scene);
    let sent = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        scene.send(&request("GET"), files)
    }));
    assert!(sent.is_err(), "there is an answer");
    wait_until("the metrics to tell of the failed handshake", || {
        failed_handshakes(scene) == before + 1
    });
}

fn failed_handshakes(scene: &Scene) -> u64 {
    let page = scene.gateway.ask_admin("/metrics").text();
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix("portcullis_tls_handshakes_failed_total "));
    line.expect("they are counted").parse().unwrap()
}

#[test]
fn without_a_certificate_of_the_authority_there_is_no_connection() {
    let scene = Scene::set("", "");
    no_connection(&scene, None);
    let strange = write(
        scene.gateway.setup(),
        "strange",
        &Authority::new().sign(&[dns("fleet.example.com")]),
    );
    no_connection(&scene, Some(&strange));
    scene.upstream.assert_silent();
}

#[test]
fn where_it_is_optional_the_route_decides() {
    let scene = Scene::set(", client = \"optional\"", "");
    scene
        .send(&request("GET"), None)
        .assert_refused(401, "credential-missing");
    let files = scene.certificate(&[dns("fleet.example.com")]);
    scene.send(&request("GET"), Some(&files)).assert_passed();
    // What is shown must hold all the same.
    let strange = write(
        scene.gateway.setup(),
        "strange",
        &Authority::new().sign(&[]),
    );
    no_connection(&scene, Some(&strange));
}

#[test]
fn fields_that_claim_a_certificate_reach_nobody() {
    let scene = Scene::set(", client = \"optional\"", "accept = [\"public\"]");
    let claimed = request("GET")
        .field("X-Client-Cert", "x")
        .field("X-SSL-Client-Verify", "SUCCESS")
        .field("Client-Cert", ":YQ==:")
        .field("X-Forwarded-Client-Cert", "URI=spiffe://example.com/fleet");
    scene.send(&claimed, None).assert_passed();
    let got = scene.upstream.only();
    for (name, _) in got.fields() {
        assert!(!name.to_ascii_lowercase().contains("client-"), "{name}");
    }
}

#[test]
fn a_certificate_is_held_to_its_dates_at_every_request() {
    let scene = Scene::set("", "");
    let files = scene.certificate(&[dns("fleet.example.com")]);
    scene.send(&request("GET"), Some(&files)).assert_passed();
    scene.gateway.advance(till_the_end() + 1);
    scene
        .send(&request("GET"), Some(&files))
        .assert_refused(401, "credential-expired");
}

/// To the year 2100, when every certificate here is over: TLS goes by the system's clock and sees
/// nothing of it.
fn till_the_end() -> u64 {
    4_102_444_800_u64.saturating_sub(T0 as u64)
}

/// A connection of each version.
fn kept(scene: &Scene) -> [Kept; 2] {
    let signed = scene.authority.sign(&[dns("fleet.example.com")]);
    [false, true].map(|is_http2| Kept::open(scene, &signed, is_http2))
}

#[test]
fn a_connection_ends_with_a_good_answer_before_its_certificate_is_over() {
    let scene = Scene::set("", "");
    let mut kept = kept(&scene);
    for ahead in [till_the_end() - 61, 0] {
        scene.gateway.advance(ahead);
        for kept in &mut kept {
            assert_eq!(kept.ask().0, 200);
        }
    }
    scene.gateway.advance(1);
    for mut kept in kept {
        assert_eq!(kept.ask().0, 200);
        kept.ends();
    }
}

#[test]
fn a_connection_ends_with_the_refusal_of_its_certificate_that_is_over() {
    let scene = Scene::set("", "");
    let mut kept = kept(&scene);
    for kept in &mut kept {
        assert_eq!(kept.ask().0, 200);
    }
    scene.gateway.advance(till_the_end() + 1);
    for mut kept in kept {
        let (status, body) = kept.ask();
        assert_eq!(status, 401, "{body}");
        assert!(body.contains("\"credential-expired\""), "{body}");
        kept.ends();
    }
}

#[test]
fn a_reload_changes_who_is_known_and_whose_certificates_are_taken() {
    let scene = Scene::set("", "");
    let setup = scene.gateway.setup();
    let files = scene.certificate(&[dns("fleet.example.com")]);
    scene.send(&request("GET"), Some(&files)).assert_passed();

    let text = setup.text();
    scene
        .gateway
        .reload(&text.replace("Fleet.example.com", "other.example.com"));
    scene
        .send(&request("GET"), Some(&files))
        .assert_refused(401, "credential-rejected");

    let next = Authority::new();
    setup.write("ca.pem", next.1.as_bytes());
    scene.gateway.reload(&text);
    no_connection(&scene, Some(&files));
    let renewed = write(setup, "renewed", &next.sign(&[dns("fleet.example.com")]));
    scene.send(&request("GET"), Some(&renewed)).assert_passed();
}

/// A connection of a client that has shown a certificate, and stays for many requests.
struct Kept {
    runtime: Runtime,
    sender: Sender,
    /// Is over when the connection is.
    connection: JoinHandle<()>,
}

enum Sender {
    One(http1::SendRequest<Empty<Bytes>>),
    Two(http2::SendRequest<Empty<Bytes>>),
}

impl Kept {
    fn open(scene: &Scene, signed: &(String, Vec<u8>, String), is_http2: bool) -> Self {
        let mut roots = RootCertStore::empty();
        let authority = scene.gateway.setup().path("server-ca.pem");
        roots
            .add(CertificateDer::from_pem_file(authority).unwrap())
            .unwrap();
        let chain = vec![CertificateDer::from(signed.1.clone())];
        let key = PrivateKeyDer::from_pem_slice(signed.2.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .unwrap();
        if is_http2 {
            config.alpn_protocols = vec![b"h2".to_vec()];
        }
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let (sender, connection) = runtime.block_on(async {
            let stream = TcpStream::connect(scene.gateway.address()).await.unwrap();
            let connector = TlsConnector::from(Arc::new(config));
            let name = ServerName::try_from(HOST).unwrap();
            let stream = TokioIo::new(connector.connect(name, stream).await.unwrap());
            if is_http2 {
                let shaken = http2::handshake(TokioExecutor::new(), stream).await;
                let (sender, connection) = shaken.unwrap();
                (Sender::Two(sender), tokio::spawn(until_over(connection)))
            } else {
                let (sender, connection) = http1::handshake(stream).await.unwrap();
                (Sender::One(sender), tokio::spawn(until_over(connection)))
            }
        });
        Self {
            runtime,
            sender,
            connection,
        }
    }

    /// Status and body of the answer to one more request.
    fn ask(&mut self) -> (u16, String) {
        let sender = &mut self.sender;
        self.runtime.block_on(async {
            let response = match sender {
                Sender::One(sender) => {
                    sender.ready().await.unwrap();
                    let request = http::Request::get("/orders").header("host", HOST);
                    sender
                        .send_request(request.body(Empty::new()).unwrap())
                        .await
                }
                Sender::Two(sender) => {
                    let request = http::Request::get(format!("https://{HOST}/orders"));
                    sender
                        .send_request(request.body(Empty::new()).unwrap())
                        .await
                }
            };
            let response = response.unwrap();
            let status = response.status().as_u16();
            let body = response.collect().await.unwrap().to_bytes();
            (status, String::from_utf8_lossy(&body).into_owned())
        })
    }

    /// Waits until the gateway has ended it.
    fn ends(self) {
        let Self {
            runtime,
            sender: _open_till_then,
            connection,
        } = self;
        let ended = runtime.block_on(async { timeout(DEADLINE, connection).await });
        ended.expect("the connection stays open").unwrap();
    }
}

async fn until_over(connection: impl Future<Output = hyper::Result<()>>) {
    // How it ends is not asked.
    let _ = connection.await;
}

#[test]
fn a_reload_that_takes_an_authority_away_ends_what_its_certificates_prove_on_open_connections() {
    let scene = Scene::set("", "");
    let (mine, next) = (&scene.authority, Authority::new());
    let trust = |authorities: &[&Authority]| {
        let pems: Vec<_> = authorities.iter().map(|one| one.1.as_str()).collect();
        let setup = scene.gateway.setup();
        setup.write("ca.pem", pems.concat().as_bytes());
        // Something else changes, too: of that a gateway tells by which it is waited for.
        let name = format!("{}@example.com", authorities.len());
        scene
            .gateway
            .reload(&setup.text().replace("fleet@example.com", &name));
    };
    let signed = mine.sign(&[dns("fleet.example.com")]);
    let open = |is_http2| Kept::open(&scene, &signed, is_http2);
    let mut kept = [open(false), open(true)];
    let passes = |kept: &mut Kept| assert_eq!(kept.ask().0, 200);
    kept.iter_mut().for_each(passes);

    // One more authority: whoever is still known notices nothing.
    trust(&[mine, &next]);
    kept.iter_mut().for_each(passes);
    kept.iter_mut().for_each(passes);

    trust(&[&next]);
    for mut kept in kept {
        let (status, body) = kept.ask();
        assert_eq!(status, 401, "{body}");
        assert!(body.contains("\"credential-missing\""), "{body}");
        kept.ends();
    }
}

#[test]
fn a_certificate_of_too_many_names_is_counted_as_a_handshake_that_failed() {
    let scene = Scene::set("", "");
    let names: Vec<_> = (0..101).map(|n| dns(&format!("{n}.example.com"))).collect();
    no_connection(&scene, Some(&scene.certificate(&names)));
    let files = scene.certificate(&names[1..]);
    scene
        .send(&request("GET"), Some(&files))
        .assert_refused(401, "credential-rejected");
}
