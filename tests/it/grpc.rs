//! gRPC by an implementation of others, grpcio, on both sides of the gateway:
//! every kind of call, streams that go on together, statuses and trailers as they were sent.

use crate::harness::h2::{END_HEADERS, HEADERS, Session, frame, literal, to_each_head};
use crate::harness::secure::Authority;
use crate::harness::{Gateway, Request, Setup, Token, Upstream};
use crate::interop::installed;
use crate::streaming::{as_http, over_http_2};
use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A running gRPC server; its standard input is its life.
struct Server {
    child: Child,
    port: u16,
}

fn python() -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(installed(root.join("target/clients/venv/bin/python3")));
    command.arg(root.join("examples/clients/python/grpc_peers.py"));
    command
}

impl Server {
    fn start(tls: Option<(PathBuf, PathBuf)>) -> Self {
        let mut command = python();
        command.arg("server");
        if let Some((certificate, key)) = tls {
            command.arg("--tls").args([certificate, key]);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        Self {
            child,
            port: line.trim().parse().expect("a port"),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

fn call(gateway: &Gateway, more: &[&str]) -> Value {
    let output = python()
        .args(["client", "--to", &gateway.address().to_string()])
        .args(more)
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn assert_whole(got: &Value, app: &str) {
    let expected = json!({
        "unary": { "answer": "hello you", "trailers": { "x-app": app, "x-raw-bin": "00ff" } },
        "large": 1_000_006,
        "stream": { "sum": 4950, "trailers": { "x-count": "100" } },
        "collect": "a,b,c",
        "early": "yes",
        "chat": ["re: one", "re: two", "re: three"],
        "chat_ends": "end",
        "fail": {
            "code": "FAILED_PRECONDITION",
            "details": "not today, café",
            "trailers": { "x-why": "because" },
        },
        "unknown": { "code": "UNIMPLEMENTED", "details": "Method not found!", "trailers": {} },
    });
    assert_eq!(*got, expected);
}

#[test]
fn calls_of_every_kind_pass_in_clear_text_with_a_token() {
    let server = Server::start(None);
    let gateway = Setup::with_servers(&format!("\"http://127.0.0.1:{}\"", server.port))
        .upstream("protocol = \"http2\"")
        .route("accept = [\"token\"]")
        .start();
    let got = call(&gateway, &["--token", &Token::new().text()]);
    assert_whole(&got, "mobile");
    assert_eq!(gateway.record(0)["version"], "2");
    let got = call(&gateway, &[]);
    assert!(got["refused"].is_object(), "{got}");
}

#[test]
fn calls_of_every_kind_pass_over_tls_on_both_sides_and_a_public_route() {
    let authority = Authority::new();
    let setup = Setup::with_servers("\"echo:\"");
    let certified = authority.certify("localhost");
    setup.write("ca.pem", authority.pem().as_bytes());
    let certificate = setup.write("cert.pem", certified.certificate.as_bytes());
    let key = setup.write_secret("key.pem", certified.key.as_bytes());
    let server = Server::start(Some((certificate, key)));
    let gateway = setup
        .server("tls = { certificate = \"file:cert.pem\", key = \"file:key.pem\" }")
        .more(&format!(
            "[upstreams.grpc]\nservers = [\"https://localhost:{}\"]\ntls = {{ ca = \"file:ca.pem\" }}\n",
            server.port
        ))
        .routes("[[routes]]\nname = \"grpc\"\npath = \"/**\"\nupstream = \"grpc\"\naccept = [\"public\"]\n")
        .start();
    let ca = gateway.setup().path("ca.pem");
    let got = call(
        &gateway,
        &["--ca", ca.to_str().unwrap(), "--host", "localhost"],
    );
    assert_whole(&got, "nobody");
}

/// A backend that begins the answer to the first call of a connection, and then says nothing more.
fn begins(media_type: Option<&'static str>) -> Upstream {
    Upstream::raw(move |stream, _| {
        to_each_head(stream, &[], || {
            let mut bytes = Vec::new();
            let Some(media_type) = media_type else {
                return bytes;
            };
            // `:status: 200` as in the static table.
            let mut block = vec![0x88, 0x10];
            literal(&mut block, b"content-type");
            literal(&mut block, media_type.as_bytes());
            frame(&mut bytes, HEADERS, END_HEADERS, 1, &block);
            bytes
        });
    })
}

/// Waits for no client's body, but for so long where a call is silent.
fn impatient(upstream: &Upstream, protocol: &str, idle: &str, accept: &str) -> Gateway {
    Setup::before(upstream)
        .server("body_timeout = \"300ms\"\nmin_rate = \"1 GiB/s\"\nmin_rate_grace = \"300ms\"")
        .upstream(&format!(
            "protocol = \"{protocol}\"\nidle_timeout = \"{idle}\""
        ))
        .route(&format!("accept = [\"{accept}\"]"))
        .start()
}

fn post(gateway: &Gateway, media_type: &str) -> Request {
    gateway
        .request("POST", "/orders.Orders/Watch")
        .field("Content-Type", media_type)
}

/// Begins a call, sends one message, and waits for the end of its answer.
fn ends(gateway: &Gateway, request: &Request) -> Result<Option<HeaderMap>, h2::Error> {
    over_http_2(gateway, |mut client| {
        let request = as_http(request);
        async move {
            let (answer, mut messages) = client.send_request(request, false).unwrap();
            messages
                .send_data(Bytes::from_static(b"\0\0\0\0\0"), false)
                .unwrap();
            let mut answer = answer.await.unwrap().into_body();
            while let Some(data) = answer.data().await {
                data?;
            }
            answer.trailers().await
        }
    })
}

#[test]
fn an_answered_call_may_be_as_silent_as_its_upstream_and_trailers_tell_when_it_is_cut() {
    let upstream = begins(Some("application/grpc+proto"));
    let gateway = impatient(&upstream, "http2", "2s", "public");
    let trailers = ends(&gateway, &post(&gateway, "application/grpc+proto"));
    let trailers = trailers.unwrap().expect("trailers");
    assert_eq!(trailers["grpc-status"], "4");
    assert_eq!(trailers["portcullis-code"], "upstream-timeout");
    assert!(trailers.contains_key("grpc-message"));
    let record = gateway.record(0);
    assert_eq!(
        (&record["status"], &record["cut"]),
        (&200.into(), &true.into())
    );
    let reason = record["reason"].as_str().unwrap();
    assert!(reason.contains("the upstream did not go on"), "{reason}");
}

#[test]
fn only_what_both_sides_call_grpc_is_waited_for_so_long() {
    for (asks, answers) in [
        ("application/json", "application/grpc"),
        ("application/grpc-web+proto", "application/grpc-web+proto"),
        ("application/grpc", "text/html"),
    ] {
        let upstream = begins(Some(answers));
        let gateway = impatient(&upstream, "http2", "1h", "public");
        ends(&gateway, &post(&gateway, asks)).unwrap_err();
        let record = gateway.record(0);
        assert_eq!(
            record["reason"], "the body did not arrive in time",
            "{asks}, {answers}"
        );
    }
}

#[test]
fn a_proven_call_without_an_answer_is_waited_for_where_the_upstream_is_said_to_speak_http_2() {
    let upstream = begins(None);
    let gateway = impatient(&upstream, "http2", "2s", "token");
    let token = Token::new().text();
    let proven = |media_type| post(&gateway, media_type).field("Portcullis-Token", &token);
    let mut session = Session::open(gateway.address(), &[]);
    session.head(1, &proven("application/grpc"), false);
    // Another request is the clock.
    session.head(3, &proven("application/json"), false);
    let first = loop {
        let frame = session.next().expect("the connection ended");
        if frame.kind == HEADERS {
            break frame;
        }
    };
    assert_eq!((first.stream, first.status()), (3, 408));
    let refused = session.wait_for(HEADERS, 1);
    assert_eq!((refused.status(), refused.ends()), (200, true));
    let record = gateway.record(1);
    assert_eq!(
        (&record["status"], &record["code"]),
        (&408.into(), &"request-timeout".into())
    );
}

#[test]
fn a_call_to_a_server_that_may_be_any_is_a_body_like_any_other_until_it_is_answered() {
    let (_closed, upstream) = Upstream::silent_at("/orders.Orders/Watch");
    let gateway = impatient(&upstream, "auto", "1h", "token");
    let token = Token::new().text();
    let call = post(&gateway, "application/grpc").field("Portcullis-Token", &token);
    let mut session = Session::open(gateway.address(), &[]);
    session.head(1, &call, false);
    assert!(session.wait_for(HEADERS, 1).ends());
    assert_eq!(gateway.record(0)["code"], "request-timeout");
}

#[test]
fn a_call_of_a_stranger_is_a_body_like_any_other_until_it_is_answered() {
    let upstream = begins(None);
    let gateway = impatient(&upstream, "http2", "1h", "public");
    let mut session = Session::open(gateway.address(), &[]);
    session.head(1, &post(&gateway, "application/grpc"), false);
    assert!(session.wait_for(HEADERS, 1).ends());
    assert_eq!(gateway.record(0)["code"], "request-timeout");
}
