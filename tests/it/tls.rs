//! TLS, HTTP/2 by ALPN, and certificates that change.

use crate::harness::curl::curl;
use crate::harness::{Binary, Gateway, Request, Response, Setup, Upstream, caller, wait_until};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use socket2::SockRef;
use std::time::Duration;

const HOST: &str = "api.example.com";

/// Writes a fresh certificate and its key.
fn certify(setup: &Setup) {
    certify_until(setup, 4096);
}

fn certify_until(setup: &Setup, year: i32) {
    let mut params = CertificateParams::new(vec![HOST.to_owned()]).unwrap();
    params.not_after = date_time_ymd(year, 1, 1);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    for (name, text) in [
        ("cert.pem", certificate.pem()),
        ("key.pem", key.serialize_pem()),
    ] {
        let new = setup.write(&format!("{name}.new"), text.as_bytes());
        std::fs::rename(new, setup.path(name)).unwrap();
    }
}

fn setup(upstream: &Upstream) -> Setup {
    let setup = Setup::before(upstream)
        .server("workers = 1")
        .server("tls = { certificate = \"file:cert.pem\", key = \"file:key.pem\" }");
    certify(&setup);
    setup
}

fn request(method: &str, target: &str) -> Request {
    let mut request = Request::new(method, target).authority(HOST);
    request.scheme = "https";
    request
}

fn ask(setup: &Setup, address: std::net::SocketAddr, request: &Request, more: &[&str]) -> Response {
    let authority = setup.path("cert.pem");
    let mut arguments = vec!["--cacert", authority.to_str().unwrap()];
    arguments.extend_from_slice(more);
    curl(request, address, &arguments)
}

#[test]
fn a_signed_request_passes_over_either_version() {
    let upstream = Upstream::start();
    let gateway = setup(&upstream).start();
    for (number, version) in ["--http1.1", "--http2"].into_iter().enumerate() {
        let signer = caller()
            .covering(&["@method", "@target-uri", "@scheme", "content-digest"])
            .nonce(version);
        let request = signer.sign(
            &request("POST", "/orders?x=1")
                .field(
                    "Content-Digest",
                    &crate::harness::caller::content_digest(b"hello"),
                )
                .body("hello"),
        );
        let response = ask(gateway.setup(), gateway.address(), &request, &[version]);
        assert_eq!(response.status, 200, "{version}: {}", response.text());
        let got = upstream.got(number);
        assert_eq!(got.field("x-forwarded-proto"), Some("https"));
        assert_eq!(got.field("x-forwarded-host"), Some(HOST));
        assert_eq!(gateway.record(number)["tls"], true);
    }
    assert_eq!(gateway.record(0)["version"], "1.1");
    assert_eq!(gateway.record(1)["version"], "2");
}

#[test]
fn a_signature_for_http_does_not_hold_for_https() {
    let upstream = Upstream::start();
    let gateway = setup(&upstream).start();
    let plain = Request::new("GET", "/orders").authority(HOST);
    let mut signed = caller().covering(&["@method", "@target-uri"]).sign(&plain);
    signed.scheme = "https";
    let response = ask(gateway.setup(), gateway.address(), &signed, &[]);
    response.assert_refused(401, "credential-rejected");
    upstream.assert_silent();
}

#[test]
fn plain_text_on_a_tls_listener_is_not_answered_as_a_request() {
    let upstream = Upstream::start();
    let gateway = setup(&upstream).start();
    let mut connection = gateway.connect();
    connection.send(&caller().sign(&gateway.request("GET", "/")).bytes());
    connection.finish();
    let bytes = connection.take(usize::MAX);
    assert!(
        !bytes.starts_with(b"HTTP/1.1 200"),
        "{}",
        String::from_utf8_lossy(&bytes)
    );
    upstream.assert_silent();
}

#[test]
fn old_versions_of_tls_are_refused() {
    let upstream = Upstream::start();
    let gateway = setup(&upstream).start();
    for version in ["1.0", "1.1"] {
        let output = std::process::Command::new("curl")
            .args(["--silent", "--show-error", "--insecure", "--noproxy", "*"])
            .args(["--max-time", "30", "--tlsv1.0", "--tls-max", version])
            // Else curl's own library refuses before it sends a byte.
            .args(["--ciphers", "DEFAULT@SECLEVEL=0"])
            .arg(format!("https://{}/", gateway.address()))
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{version}");
        // It is the gateway that says no: an alert comes from the other end.
        assert!(told.contains("alert"), "{version}: {told}");
    }
    upstream.assert_silent();
}

#[test]
fn a_new_certificate_is_shown_after_a_reload_and_the_old_one_is_gone() {
    let upstream = Upstream::start();
    let binary = setup(&upstream).spawn();
    let signed = |nonce: &str| {
        caller()
            .at(Binary::now())
            .nonce(nonce)
            .sign(&request("GET", "/"))
    };
    let passes = |binary: &Binary, nonce: &str| {
        ask(binary.setup(), binary.address(), &signed(nonce), &[]).status == 200
    };
    assert!(passes(&binary, "1"));
    certify(binary.setup());
    binary.signal("HUP");
    binary
        .stderr
        .wait_for("the reload", |line| line.contains("configuration reloaded"));
    assert!(passes(&binary, "2"));
}

#[test]
fn a_bad_certificate_changes_nothing() {
    let upstream = Upstream::start();
    let binary = setup(&upstream).spawn();
    let old = std::fs::read(binary.setup().path("cert.pem")).unwrap();
    binary.setup().write("cert.pem", b"no certificate");
    binary.signal("HUP");
    binary
        .stderr
        .wait_for("the refusal", |line| line.contains("not taken over"));
    let trusted = binary.setup().write("old.pem", &old);
    let signed = caller().at(Binary::now()).sign(&request("GET", "/"));
    let response = curl(
        &signed,
        binary.address(),
        &["--cacert", trusted.to_str().unwrap()],
    );
    assert_eq!(response.status, 200);
}

fn shows(gateway: &Gateway, line: &str) -> bool {
    let page = gateway.ask_admin("/metrics").text();
    page.lines().any(|shown| shown == line)
}

#[test]
fn metrics_tell_when_the_certificate_in_force_ends() {
    let upstream = Upstream::start();
    let setup = setup(&upstream);
    certify_until(&setup, 2030);
    let gateway = setup.start();
    let ends = |end: u64| {
        let line = format!("portcullis_certificate_not_after_timestamp{{of=\"server\"}} {end}");
        shows(&gateway, &line)
    };
    assert!(ends(1_893_456_000));
    certify_until(gateway.setup(), 2040);
    gateway.reload(&gateway.setup().text());
    assert!(ends(2_208_988_800));
}

#[test]
fn who_leaves_before_the_first_byte_has_failed_no_handshake_be_it_by_a_reset() {
    let upstream = Upstream::start();
    let gateway = setup(&upstream).start();
    for _ in 0..5 {
        let connection = gateway.connect();
        let socket = SockRef::from(connection.stream());
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    }
    let mut connection = gateway.connect();
    connection.send(b"GET / HTTP/1.1\r\n\r\n");
    connection.finish();
    connection.take(usize::MAX);
    wait_until("all of them to be gone", || {
        shows(&gateway, "portcullis_open_connections 0")
    });
    assert!(shows(&gateway, "portcullis_tls_handshakes_failed_total 1"));
}
