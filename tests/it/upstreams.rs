//! Upstreams over TLS and through Unix sockets: who they are is made sure of, and what cannot be is told.

use crate::harness::secure::{Authority, Secure};
use crate::harness::{Binary, Gateway, Response, Setup, Upstream, caller};
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;

const BOTH: &[&str] = &["h2", "http/1.1"];

/// Before `server`, whose certificate is for `localhost`; `ca.pem` is of `authority`.
fn before(server: &Secure, authority: &Authority, lines: &str) -> Setup {
    let servers = format!("\"https://localhost:{}\"", server.port());
    let setup = Setup::with_servers(&servers)
        .server("workers = 1")
        .upstream(lines);
    setup.write("ca.pem", authority.pem().as_bytes());
    setup
}

const TRUST: &str = "tls = { ca = \"file:ca.pem\" }";

fn ask(gateway: &Gateway, target: &str) -> Response {
    gateway.send(&caller().nonce(target).sign(&gateway.request("GET", target)))
}

/// Refused as unreachable, and the log says why.
fn assert_unreachable(gateway: &Gateway, server: &Secure, why: &str) {
    let response = ask(gateway, "/secret");
    response.assert_refused(502, "upstream-unreachable");
    let record = gateway.record(0);
    let reason = record["reason"].as_str().unwrap();
    assert!(reason.contains(why), "{reason}");
    assert!(
        reason.contains(&format!("`localhost:{}`", server.port())),
        "{reason}"
    );
    assert!(
        !response.text().contains(why),
        "a caller learns nothing of it"
    );
    assert_eq!(server.heard(), Vec::<String>::new());
}

#[test]
fn both_settle_on_a_version_over_tls_or_the_protocol_says_which() {
    let authority = Authority::new();
    let certified = authority.certify("localhost");
    for (alpn, protocol, expected) in [
        (BOTH, "auto", "HTTP/2.0"),
        (&["http/1.1"], "auto", "HTTP/1.1"),
        (&[], "auto", "HTTP/1.1"),
        (BOTH, "http1", "HTTP/1.1"),
        (BOTH, "http2", "HTTP/2.0"),
    ] {
        let server = Secure::start(&certified, alpn, None);
        let lines = format!("{TRUST}\nprotocol = \"{protocol}\"");
        let gateway = before(&server, &authority, &lines).start();
        for target in ["/a", "/b"] {
            assert_eq!(ask(&gateway, target).status, 200, "{alpn:?} {protocol}");
        }
        let heard = server.heard();
        assert!(
            heard.iter().all(|one| one.starts_with(expected)),
            "{heard:?}"
        );
        assert_eq!(heard.len(), 2);
    }
}

#[test]
fn a_server_without_http2_over_tls_is_unreachable_where_it_must_speak_it() {
    let authority = Authority::new();
    let server = Secure::start(&authority.certify("localhost"), &[], None);
    let lines = format!("{TRUST}\nprotocol = \"http2\"");
    let gateway = before(&server, &authority, &lines).start();
    assert_unreachable(&gateway, &server, "it does not speak HTTP/2 over TLS");
}

#[test]
fn a_server_of_an_unknown_authority_hears_nothing() {
    let authority = Authority::new();
    let server = Secure::start(&Authority::new().certify("localhost"), BOTH, None);
    let gateway = before(&server, &authority, TRUST).start();
    assert_unreachable(
        &gateway,
        &server,
        "no authority that we know has signed it (hint: `tls.ca`",
    );
}

#[test]
fn a_server_with_another_name_hears_nothing() {
    let authority = Authority::new();
    let server = Secure::start(&authority.certify("other.example"), BOTH, None);
    let gateway = before(&server, &authority, TRUST).start();
    assert_unreachable(&gateway, &server, "the certificate is not for `localhost`");
}

#[test]
fn a_server_whose_certificate_has_expired_hears_nothing() {
    let authority = Authority::new();
    let server = Secure::start(&authority.certify_expired("localhost"), BOTH, None);
    let gateway = before(&server, &authority, TRUST).start();
    assert_unreachable(&gateway, &server, "it has expired");
}

#[test]
fn a_server_that_the_system_does_not_trust_hears_nothing() {
    let authority = Authority::new();
    let server = Secure::start(&authority.certify("localhost"), BOTH, None);
    let gateway = before(&server, &authority, "").start();
    assert_unreachable(&gateway, &server, "the certificate is not trusted");
}

#[test]
fn a_server_may_have_another_name_than_its_host() {
    let authority = Authority::new();
    let server = Secure::start(&authority.certify("orders.internal"), BOTH, None);
    let lines = "tls = { ca = \"file:ca.pem\", server_name = \"orders.internal\" }";
    let gateway = before(&server, &authority, lines).start();
    assert_eq!(ask(&gateway, "/").status, 200);
}

#[test]
fn a_server_without_tls_hears_nothing_that_could_be_read() {
    let authority = Authority::new();
    let plain = Upstream::raw(|stream, _| {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
    });
    let servers = format!("\"https://localhost:{}\"", plain.address().port());
    let setup = Setup::with_servers(&servers).upstream(TRUST);
    setup.write("ca.pem", authority.pem().as_bytes());
    let gateway = setup.start();
    ask(&gateway, "/").assert_refused(502, "upstream-unreachable");
    let record = gateway.record(0);
    let reason = record["reason"].as_str().unwrap();
    assert!(reason.contains("it does not speak TLS"), "{reason}");
}

#[test]
fn a_server_that_asks_who_we_are_is_told_or_says_no() {
    let authority = Authority::new();
    for protocol in ["http1", "http2"] {
        let server = Secure::start(&authority.certify("localhost"), BOTH, Some(&authority));
        let lines = format!("{TRUST}\nprotocol = \"{protocol}\"");
        let gateway = before(&server, &authority, &lines).start();
        assert_unreachable(
            &gateway,
            &server,
            "it asked who we are and was told nothing",
        );
        // The connections go on by the settings of before, which are the same.
        let others = "[upstreams.others]\nservers = [\"echo:\"]\n";
        gateway.reload(&format!("{}\n{others}", gateway.setup().text()));
        ask(&gateway, "/").assert_refused(502, "upstream-unreachable");
        let record = gateway.record(1);
        let reason = record["reason"].as_str().unwrap();
        assert!(reason.contains("was told nothing"), "{reason}");

        let lines = format!(
            "tls = {{ ca = \"file:ca.pem\", certificate = \"file:client.pem\", key = \"file:client.key\" }}\n\
             protocol = \"{protocol}\""
        );
        let setup = before(&server, &authority, &lines);
        let client = authority.certify("gateway.internal");
        setup.write("client.pem", client.certificate.as_bytes());
        setup.write_secret("client.key", client.key.as_bytes());
        assert_eq!(ask(&setup.start(), "/").status, 200, "{protocol}");
    }
}

#[test]
fn an_authority_that_is_replaced_is_trusted_after_a_reload() {
    let (old, new) = (Authority::new(), Authority::new());
    let server = Secure::start(&new.certify("localhost"), BOTH, None);
    let gateway = before(&server, &old, TRUST).start();
    assert_unreachable(&gateway, &server, "no authority that we know");
    gateway.setup().write("ca.pem", new.pem().as_bytes());
    gateway.reload(&gateway.setup().text());
    assert_eq!(ask(&gateway, "/").status, 200);
    // And the other way: what was connected under other settings is not used.
    gateway.setup().write("ca.pem", old.pem().as_bytes());
    gateway.reload(&gateway.setup().text());
    ask(&gateway, "/again").assert_refused(502, "upstream-unreachable");
}

#[test]
fn the_authorities_of_the_system_are_read_again_at_a_reload() {
    let (wrong, right) = (Authority::new(), Authority::new());
    let server = Secure::start(&right.certify("localhost"), BOTH, None);
    let setup = before(&server, &wrong, "").route("accept = [\"public\"]");
    let file = setup.write("system.pem", wrong.pem().as_bytes());
    let binary = Binary::spawn_with(setup, &[("SSL_CERT_FILE", file.to_str().unwrap())]);
    let ask = || binary.send(&binary.request("GET", "/"));
    // Something is kept of it when the reload comes.
    ask().assert_refused(502, "upstream-unreachable");
    for (authority, status) in [(&right, 200), (&wrong, 502)] {
        let done = "configuration reloaded";
        let told = binary.stderr.text().matches(done).count();
        binary
            .setup()
            .write("system.pem", authority.pem().as_bytes());
        binary.signal("HUP");
        binary.stderr.wait_for_count(done, told + 1);
        let event = binary.stderr.text();
        let event = event.lines().rfind(|line| line.contains(done)).unwrap();
        assert!(
            event.contains("upstreams.backend.tls.ca: changed"),
            "{event}"
        );
        assert_eq!(ask().status, status);
    }
}

#[test]
fn a_server_is_reached_through_its_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
            .unwrap();
        String::from_utf8(head).unwrap()
    });
    let gateway = Setup::with_servers(&format!("\"unix:{}\"", path.display())).start();
    let response = ask(&gateway, "/orders");
    assert_eq!((response.status, response.text()), (200, "hello".into()));
    let head = server.join().unwrap();
    assert!(head.starts_with("GET /orders HTTP/1.1\r\n"), "{head}");
    let label = format!("unix:{}", path.display());
    assert_eq!(gateway.record(0)["upstream"], label.as_str());
    ask(&gateway, "/gone").assert_refused(502, "upstream-unreachable");
}

#[test]
fn a_server_that_hangs_is_named_where_its_client_does_not_wait_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let gateway = Setup::with_servers(&format!("\"unix:{}\"", path.display())).start();
    let mut client = gateway.connect();
    client.send(&caller().sign(&gateway.request("GET", "/orders")).bytes());
    let (_silent, _) = listener.accept().unwrap();
    drop(client);
    let record = gateway.record(0);
    assert_eq!(record["status"], 499, "{record}");
    let label = format!("unix:{}", path.display());
    assert_eq!(record["upstream"], label.as_str(), "{record}");
}

#[test]
fn a_server_behind_a_socket_is_checked_as_localhost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let gateway = Setup::with_servers(&format!("\"unix:{}\"", path.display()))
        .upstream("health = { path = \"/healthz\" }")
        .start();
    let (mut stream, _) = listener.accept().unwrap();
    let mut head = [0; 44];
    stream.read_exact(&mut head).unwrap();
    let head = String::from_utf8_lossy(&head);
    assert!(
        head.starts_with("GET /healthz HTTP/1.1\r\nhost: localhost\r\n"),
        "{head}"
    );
    drop(gateway);
}
