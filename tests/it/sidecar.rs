//! `portcullis sidecar`: what local tools send goes on signed, and what comes back is as it was.

use crate::harness::lines::Lines;
use crate::harness::pair::Pair;
use crate::harness::{Connection, Gateway, Request, Response, Setup, Upstream, binary};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

/// More than is held in memory.
const LARGE: usize = 3 * 1024 * 1024 + 7;

/// A sidecar; killed when dropped.
struct Sidecar {
    child: Child,
    stderr: Lines,
}

impl Sidecar {
    fn start(gateway: &Gateway, how: &[&str]) -> Self {
        let to = format!("http://{}", gateway.address());
        let mut child = command(gateway.setup().folder(), &to)
            .args(["--listen", "127.0.0.1:0"])
            .args(how)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = Lines::of(child.stderr.take().unwrap());
        Self { child, stderr }
    }

    fn address(&self) -> SocketAddr {
        let line = &self.stderr.first(1)[0];
        let place = line.strip_prefix("signs what comes to ").unwrap();
        place.split(',').next().unwrap().parse().unwrap()
    }

    fn request(&self, method: &str, target: &str) -> Request {
        Request::new(method, target).to(self.address())
    }

    fn terminate(&self) {
        let pid = self.child.id().to_string();
        let killed = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(killed.unwrap().success());
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(folder: &Path, to: &str) -> Command {
    let mut command = Command::new(binary::program());
    command
        .args(["sidecar", "--to", to])
        .args(["--key-id", "mobile-2026", "--secret", "file:mobile.key"])
        .current_dir(folder);
    command
}

fn refused(how: &[&str]) -> Output {
    let setup = Setup::before(&Upstream::start());
    let output = command(setup.folder(), "http://127.0.0.1:1")
        .args(how)
        .output();
    output.unwrap()
}

/// That a refusal points to where its code is explained.
#[track_caller]
fn assert_explained(response: &Response) {
    let told = response.json();
    let place = told["type"].as_str().unwrap();
    let (page, code) = place.split_once('#').unwrap();
    assert_eq!(told["code"], code);
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains(&format!("<a id=\"{code}\">")), "{place}");
}

fn large() -> Vec<u8> {
    (0..LARGE).map(|at| (at % 251) as u8).collect()
}

#[test]
fn what_a_tool_sends_passes_the_gateway_in_every_scheme() {
    for (accept, how) in [
        ("accept = [\"http-signature\"]", &[][..]),
        ("accept = [\"token\"]", &["--scheme", "token"]),
        (
            "accept = [\"aws-sigv4\"]",
            &[
                "--scheme",
                "aws-sigv4",
                "--region",
                "eu-central-1",
                "--service",
                "api",
            ],
        ),
        (
            "accept = [\"hmac-auth\"]\ndialect = \"kong\"",
            &["--scheme", "hmac-auth", "--dialect", "kong"],
        ),
        (
            "accept = [\"hmac-auth\"]\ndialect = \"apisix\"",
            &["--scheme", "hmac-auth", "--dialect", "apisix"],
        ),
        (
            "accept = [\"hmac-auth\"]\ndialect = \"cavage-12\"",
            &["--scheme", "hmac-auth", "--dialect", "cavage-12"],
        ),
    ] {
        let upstream = Upstream::start();
        let gateway = Gateway::start_now(Setup::before(&upstream).route(accept));
        let sidecar = Sidecar::start(&gateway, how);
        for request in [
            sidecar.request("GET", "/orders?b=2&a=%C3%A9"),
            sidecar.request("POST", "/orders").body("{\"item\": 7}"),
            sidecar.request("PUT", "/orders/1").body(large()),
            sidecar.request("POST", "/orders").body(large()).chunked(),
            sidecar.request("POST", "/orders").body("").chunked(),
            sidecar.request("DELETE", "/orders/1"),
        ] {
            let response = request.send_to(sidecar.address());
            assert_eq!(response.status, 200, "{how:?}: {}", response.text());
            assert_eq!(response.text(), "hello");
            let got = upstream.got(upstream.heard().len() - 1);
            assert_eq!(got.target(), request.target);
            assert!(got.body == request.body.clone().unwrap_or_default());
        }
    }
}

#[test]
fn it_leaves_nothing_in_the_folder_in_which_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("mobile.key"), [b'k'; 32]).unwrap();
    let child = command(folder.path(), "http://127.0.0.1:1")
        .args(["--listen", "127.0.0.1:0"])
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.unwrap();
    let stderr = Lines::of(child.stderr.take().unwrap());
    let sidecar = Sidecar { child, stderr };
    sidecar.address();
    let left: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["mobile.key"]);
}

#[test]
fn each_copy_of_a_request_is_signed_anew() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream).route("replay = \"strict\"\nkeep_proof = true");
    let gateway = Gateway::start_now(setup);
    let sidecar = Sidecar::start(&gateway, &[]);
    let mut connection = Connection::open(sidecar.address());
    for _ in 0..3 {
        connection.send(&sidecar.request("GET", "/orders").bytes());
        assert_eq!(connection.response().status, 200);
    }
    let signatures: Vec<String> = upstream
        .heard()
        .iter()
        .map(|got| got.head.clone())
        .collect();
    assert!(signatures[0] != signatures[1] && signatures[1] != signatures[2]);
}

#[test]
fn an_answer_comes_as_it_is_and_so_does_a_refusal() {
    let upstream = Upstream::answering(|_, wire| {
        wire.answer(
            418,
            &[
                ("X-Odd", "a, b"),
                ("Set-Cookie", "a=1"),
                ("Set-Cookie", "b=2"),
            ],
            b"teapot",
        );
    });
    let gateway = Gateway::start_now(Setup::before(&upstream));
    let sidecar = Sidecar::start(&gateway, &[]);
    let response = sidecar
        .request("GET", "/orders")
        .field("X-Of-Tool", "kept")
        .field("Connection", "x-of-hop")
        .field("X-Of-Hop", "dropped")
        .send_to(sidecar.address());
    assert_eq!((response.status, &*response.text()), (418, "teapot"));
    assert_eq!(response.field("x-odd"), Some("a, b"));
    assert_eq!(response.values("set-cookie"), ["a=1", "b=2"]);
    let got = upstream.only();
    assert!(got.head.contains("x-of-tool: kept") && !got.head.contains("x-of-hop"));

    let upstream = Upstream::start();
    let strict = Setup::before(&upstream).route("scopes = [\"admin\"]");
    let strict = Gateway::start_now(strict);
    let sidecar = Sidecar::start(&strict, &[]);
    let response = sidecar.request("GET", "/").send_to(sidecar.address());
    response.assert_refused(403, "scope-missing");
    assert!(response.json()["request_id"].is_string());
}

#[test]
fn no_page_of_a_browser_is_signed_for() {
    let upstream = Upstream::start();
    let gateway = Gateway::start_now(Setup::before(&upstream));
    let sidecar = Sidecar::start(&gateway, &[]);
    let port = sidecar.address().port();
    for (request, code) in [
        (
            sidecar
                .request("GET", "/")
                .field("Origin", "https://evil.example"),
            "not-for-browsers",
        ),
        (
            sidecar
                .request("GET", "/")
                .field("Sec-Fetch-Site", "cross-site"),
            "not-for-browsers",
        ),
        (
            sidecar
                .request("GET", "/")
                .authority(&format!("evil.example:{port}")),
            "not-local",
        ),
        (
            sidecar
                .request("GET", "http://evil.example/")
                .authority("evil.example"),
            "not-local",
        ),
        // Of requests to these, browsers do not tell that they come from a page.
        (
            sidecar
                .request("GET", "/")
                .authority(&format!("0.0.0.0:{port}")),
            "not-local",
        ),
        (
            sidecar
                .request("GET", "/")
                .authority(&format!("[::ffff:127.0.0.1]:{port}")),
            "not-local",
        ),
    ] {
        let response = request.send_to(sidecar.address());
        assert_eq!(response.status, 403, "{}", response.text());
        assert_eq!(response.json()["code"], code);
        assert_explained(&response);
    }
    let local = sidecar
        .request("GET", "/")
        .authority(&format!("localhost:{port}"));
    assert_eq!(local.send_to(sidecar.address()).status, 200);
    assert_eq!(upstream.heard().len(), 1);
}

#[test]
fn what_cannot_be_signed_or_reached_is_told() {
    let upstream = Upstream::start();
    let gateway = Gateway::start_now(Setup::before(&upstream));
    let sidecar = Sidecar::start(&gateway, &["--cover", "x-needed"]);
    let response = sidecar.request("GET", "/").send_to(sidecar.address());
    assert_eq!(
        (response.status, response.code()),
        (400, "cannot-sign".to_owned())
    );
    assert_explained(&response);
    let response = sidecar
        .request("GET", "/")
        .field("X-Needed", "1")
        .send_to(sidecar.address());
    assert_eq!(response.status, 200);
    let alone = Sidecar::start(&gateway, &[]);
    let address = alone.address();
    drop(gateway);
    let response = Request::new("GET", "/").to(address).send_to(address);
    assert_eq!(
        (response.status, response.code()),
        (502, "upstream-unreachable".to_owned())
    );
    assert_explained(&response);
}

#[test]
fn it_listens_on_this_machine_alone_unless_told_otherwise() {
    for (how, told) in [
        (&["--listen", "0.0.0.0:0"][..], "`--for-others-too`"),
        (&["--listen", "[::]:0"], "`--for-others-too`"),
        (&["--listen", "nowhere"], "listen"),
        (&["--to", "http://a/path"], "nothing behind"),
        (&["--to", "http://me:canary@h/"], "`http://…@h/`"),
        (&["--scheme", "hmac-auth"], "`--dialect`"),
        (&["--scheme", "hmac-auth", "--cover", "x-a"], "`--dialect`"),
        (
            &["--scheme", "token", "--bind", "--algorithm", "hmac-sha512"],
            "signs requests, but no tokens",
        ),
        (
            &["--scheme", "token", "--dpop", "file:none.pem"],
            "the file of `--dpop`",
        ),
        (
            &[
                "--scheme",
                "aws-sigv4",
                "--region",
                "r",
                "--service",
                "s",
                "--presign",
                "9",
            ],
            "`--presign`",
        ),
        (&["--algorithm", "ed25519"], "key"),
    ] {
        let setup = Setup::before(&Upstream::start());
        let to = if how[0] == "--to" {
            how[1]
        } else {
            "http://127.0.0.1:1"
        };
        let how = if how[0] == "--to" { &[][..] } else { how };
        let output = command(setup.folder(), to).args(how).output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{how:?}: {err}");
        assert!(err.contains(told), "{how:?}: {err}");
        assert!(!err.contains("canary"), "{err}");
    }
    let output = refused(&["--timeout", "soon"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_place_that_is_taken_is_told_with_the_option_that_names_another() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = taken.local_addr().unwrap().to_string();
    let output = refused(&["--listen", &place]);
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{err}");
    for told in [&*place, "the address is in use", "`--listen`"] {
        assert!(err.contains(told), "{told}: {err}");
    }
    assert!(!err.contains("[server]"), "{err}");
}

#[test]
fn a_unix_socket_is_served_whatever_host_is_named() {
    let upstream = Upstream::start();
    let gateway = Gateway::start_now(Setup::before(&upstream));
    let to = format!("http://{}", gateway.address());
    let folder = gateway.setup().folder();
    let mut child = command(folder, &to)
        .args(["--listen", "unix:tool.sock"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stderr = Lines::of(child.stderr.take().unwrap());
    let sidecar = Sidecar { child, stderr };
    sidecar.stderr.first(1);
    let mut connection = Connection::open_unix(&folder.join("tool.sock"));
    for (target, host) in [
        ("/orders", "localhost"),
        ("/orders", "api.example.com"),
        ("http://api.example.com/orders", "api.example.com"),
    ] {
        let request = Request::new("GET", target).authority(host);
        connection.send(&request.bytes());
        let response = connection.response();
        assert_eq!(response.status, 200, "{host}: {}", response.text());
    }
    let page = Request::new("GET", "/orders").field("Origin", "https://evil.example");
    connection.send(&page.bytes());
    assert_eq!(connection.response().code(), "not-for-browsers");
}

/// A gateway that takes tokens that are bound to a key, and how to prove by the one in `device.pem`.
fn asks_for_a_key(upstream: &Upstream, tokens: &str) -> (Gateway, [&'static str; 4]) {
    let setup = Setup::before(upstream)
        .tokens(tokens)
        .route("accept = [\"token\"]\nbind = \"dpop\"");
    let key = std::fs::read(Pair::of("ecdsa-p256-sha256").private()).unwrap();
    setup.write_secret("device.pem", &key);
    let how = ["--scheme", "token", "--dpop", "file:device.pem"];
    (Gateway::start_now(setup), how)
}

#[test]
fn the_key_that_tokens_are_bound_to_is_read_once() {
    let upstream = Upstream::start();
    let (gateway, how) = asks_for_a_key(&upstream, "");
    let sidecar = Sidecar::start(&gateway, &how);
    let address = sidecar.address();
    std::fs::remove_file(gateway.setup().path("device.pem")).unwrap();
    for method in ["GET", "POST"] {
        let response = sidecar.request(method, "/orders").send_to(address);
        assert_eq!(response.status, 200, "{method}: {}", response.text());
    }
}

#[test]
fn a_token_stands_in_the_field_that_its_route_takes() {
    const PLACE: &str = "headers = [\"authorization\"]";
    const THERE: [&str; 2] = ["--token-place", "Authorization"];
    let upstream = Upstream::start();
    let (bound, how) = asks_for_a_key(&upstream, PLACE);
    let setup = Setup::before(&upstream).tokens(PLACE);
    let free = Gateway::start_now(setup.route("accept = [\"token\"]"));
    for (gateway, how, told) in [
        (
            bound,
            &how[..],
            "Send a token, in `Authorization: DPoP`, and its proof in `DPoP`.",
        ),
        (free, &how[..2], "Send a token, in `Authorization: Bearer`."),
    ] {
        let elsewhere = Sidecar::start(&gateway, how);
        let refused = elsewhere
            .request("GET", "/orders")
            .send_to(elsewhere.address());
        refused.assert_refused(401, "credential-missing");
        assert_eq!(refused.detail(), told);
        let sidecar = Sidecar::start(&gateway, &[how, &THERE].concat());
        for method in ["GET", "POST"] {
            let response = sidecar
                .request(method, "/orders")
                .send_to(sidecar.address());
            assert_eq!(response.status, 200, "{how:?}: {}", response.text());
        }
    }
}

#[test]
fn the_nonce_that_a_gateway_asks_for_is_taken_up() {
    let upstream = Upstream::start();
    let (gateway, how) = asks_for_a_key(&upstream, "dpop_nonce = true");
    let sidecar = Sidecar::start(&gateway, &how);
    for target in ["/orders/1", "/orders/2"] {
        let response = sidecar.request("GET", target).send_to(sidecar.address());
        assert_eq!(response.status, 200, "{target}: {}", response.text());
    }
    // Asked once, and known from then on.
    let log = gateway.log();
    log.wait_for_count("\"path\":\"/orders/", 3);
    assert_eq!(log.text().matches("\"status\":401").count(), 1);
    // A short body is kept until then.
    let sidecar = Sidecar::start(&gateway, &how);
    let request = sidecar.request("POST", "/orders").body("short");
    let response = request.send_to(sidecar.address());
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(upstream.got(2).body, b"short");
    // A longer one that was sent is not there any more: the tool is told.
    let sidecar = Sidecar::start(&gateway, &how);
    let longer = "x".repeat(256 * 1024 + 1);
    let request = sidecar.request("POST", "/orders").body(longer);
    let refused = request.send_to(sidecar.address());
    refused.assert_refused(401, "credential-missing");
    assert!(refused.field("dpop-nonce").is_some());
    let response = request.send_to(sidecar.address());
    assert_eq!(response.status, 200, "{}", response.text());
}

#[test]
fn what_a_backend_has_refused_is_not_sent_again_though_it_gives_a_nonce() {
    let upstream = Upstream::answering(|_, wire| {
        wire.answer(401, &[("DPoP-Nonce", "its-own")], b"wrong password");
    });
    let (gateway, how) = asks_for_a_key(&upstream, "");
    let sidecar = Sidecar::start(&gateway, &how);
    for (heard, method) in ["GET", "POST"].iter().enumerate() {
        let request = sidecar.request(method, "/login").body("short");
        let response = request.send_to(sidecar.address());
        assert_eq!(
            (response.status, &*response.text()),
            (401, "wrong password")
        );
        assert_eq!(upstream.heard().len(), heard + 1, "{method}");
    }
}

#[test]
fn many_short_bodies_that_are_kept_may_come_slowly() {
    let upstream = Upstream::start();
    let (gateway, how) = asks_for_a_key(&upstream, "");
    let sidecar = Sidecar::start(&gateway, &how);
    let request = sidecar.request("POST", "/orders");
    let bytes = request.body("x".repeat(256 * 1024)).bytes();
    let (front, last) = bytes.split_at(bytes.len() - 1);
    let open = |_| {
        let mut connection = Connection::open(sidecar.address());
        connection.send(front);
        connection
    };
    // More than strangers' bodies have room for.
    let mut waiting: Vec<Connection> = (0..66).map(open).collect();
    for connection in &mut waiting {
        connection.send(last);
        assert_eq!(connection.response().status, 200);
    }
}

#[test]
fn told_to_stop_it_answers_what_is_in_flight_and_ends() {
    let (allow, upstream) = Upstream::held();
    let gateway = Gateway::start_now(Setup::before(&upstream));
    let mut sidecar = Sidecar::start(&gateway, &[]);
    let mut connection = Connection::open(sidecar.address());
    connection.send(&sidecar.request("POST", "/orders").body("x").bytes());
    upstream.wait_for_head(0);
    sidecar.terminate();
    allow.send(()).unwrap();
    assert_eq!(connection.response().status, 200);
    assert!(sidecar.child.wait().unwrap().success());
}
