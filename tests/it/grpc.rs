//! gRPC by an implementation of others, grpcio, on both sides of the gateway:
//! every kind of call, streams that go on together, statuses and trailers as they were sent.

use crate::harness::secure::Authority;
use crate::harness::{Gateway, Setup, Token};
use crate::interop::installed;
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
