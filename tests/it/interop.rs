//! Callers in other languages, by their own ecosystems' libraries, as they stand in `examples/clients`.

use crate::harness::setup::SECRET;
use crate::harness::{Binary, Gateway, Request, Response, Setup, T0, Upstream};
use serde_json::Value;
use std::fmt::Debug;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A caller: its file, and how it proves itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client {
    file: &'static str,
    pub(crate) proof: Proof,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Proof {
    Signature,
    Token,
}

pub(crate) const HTTP_MESSAGE_SIGNATURES: Client = Client {
    file: "python/http_message_signatures_client.py",
    proof: Proof::Signature,
};
pub(crate) const REQUESTS_HTTP_SIGNATURE: Client = Client {
    file: "python/requests_http_signature_client.py",
    proof: Proof::Signature,
};
pub(crate) const PYJWT: Client = Client {
    file: "python/pyjwt_client.py",
    proof: Proof::Token,
};
pub(crate) const AUTHLIB_DPOP: Client = Client {
    file: "python/authlib_dpop_client.py",
    proof: Proof::Token,
};
pub(crate) const NODE_DPOP: Client = Client {
    file: "node/dpop-client.mjs",
    proof: Proof::Token,
};
pub(crate) const NODE_HTTP_MESSAGE_SIGNATURES: Client = Client {
    file: "node/http-message-signatures-client.mjs",
    proof: Proof::Signature,
};
pub(crate) const NODE_HTTP_MESSAGE_SIG: Client = Client {
    file: "node/http-message-sig-client.mjs",
    proof: Proof::Signature,
};

impl Client {
    /// Runs it; its last line is JSON.
    pub(crate) fn run(self, gateway: &Gateway, target: &str, more: &[&str]) -> Value {
        run(
            self.file,
            gateway,
            target,
            ("mobile-2026", "mobile.key"),
            more,
        )
    }

    /// What it signs, to be sent by the test, changed or not.
    pub(crate) fn sign(
        self,
        gateway: &Gateway,
        method: &str,
        target: &str,
        more: &[&str],
    ) -> Request {
        let mut arguments = vec!["--print", "--method", method];
        arguments.extend_from_slice(more);
        let printed = self.run(gateway, target, &arguments);
        request(gateway, target, &printed)
    }

    /// Its field that holds the proof itself.
    pub(crate) const fn field(self) -> &'static str {
        match self.proof {
            Proof::Signature => "Signature",
            Proof::Token => "Portcullis-Token",
        }
    }
}

/// Runs a caller with the key of that id and the file of its secret; its last line is JSON.
pub(crate) fn run(
    file: &str,
    gateway: &Gateway,
    target: &str,
    (key_id, secret): (&str, &str),
    more: &[&str],
) -> Value {
    let output = command(file)
        .args(["--url", &format!("http://{}{target}", gateway.address())])
        .args(["--key-id", key_id])
        .arg("--secret-file")
        .arg(gateway.setup().path(secret))
        .args(more)
        .output()
        .expect("Python and Node are needed");
    assert!(
        output.status.success(),
        "{file} {target} {more:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Python or Node, with this file of `examples/clients`.
pub(crate) fn command(file: &str) -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = if file.starts_with("python/") {
        installed(root.join("target/clients/venv/bin/python3"))
    } else {
        installed(root.join("examples/clients/node/node_modules/.installed"));
        "node".into()
    };
    let mut command = Command::new(program);
    command.arg(root.join("examples/clients").join(file));
    command
}

/// Whether a receiver of webhooks takes `request`, under the secret of that file.
pub(crate) fn verified_by(file: &str, secret: &Path, request: &Value) -> bool {
    let mut command = command(file);
    command.arg("--secret-file").arg(secret);
    let piped = { command.stdin(Stdio::piped()).stdout(Stdio::piped()) }.stderr(Stdio::piped());
    let mut child = piped.spawn().expect("Python and Node are needed");
    let mut input = child.stdin.take().expect("it is piped");
    input.write_all(request.to_string().as_bytes()).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{file}: {told}");
    serde_json::from_slice(&output.stdout).expect("true or false")
}

/// What a caller has printed instead of sending it; the framing is the test's own.
pub(crate) fn request(gateway: &Gateway, target: &str, printed: &Value) -> Request {
    let mut request = gateway.request(printed["method"].as_str().unwrap(), target);
    for (name, value) in printed["headers"].as_object().unwrap() {
        if !["content-length", "host"].contains(&name.to_lowercase().as_str()) {
            request = request.field(name, value.as_str().unwrap());
        }
    }
    match printed["body"].as_str() {
        Some("") | None => request,
        Some(body) => request.body(body),
    }
}

pub(crate) fn installed(path: PathBuf) -> PathBuf {
    assert!(
        path.exists(),
        "{} is missing: run ./test, or examples/clients/install",
        path.display()
    );
    path
}

/// A gateway whose clock is the clients'.
fn start() -> (Upstream, Gateway) {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream)
        .app("scopes = [\"orders\"]")
        .routes(
            "[[routes]]\nname = \"all\"\npath = \"/**\"\nupstream = \"backend\"\naccept = [\"http-signature\"]\n\
             [[routes]]\nname = \"token\"\npath = \"/token/**\"\nupstream = \"backend\"\naccept = [\"token\"]\nbind = \"authorization\"\nscopes = [\"orders\"]\n",
        );
    (upstream, Gateway::start_now(setup))
}

fn accepted_as_it_comes(client: Client) {
    let (upstream, gateway) = start();
    let prefix = if client.proof == Proof::Token {
        "/token"
    } else {
        ""
    };
    let bound = ["--authorization", "Bearer of-the-user"];
    for (number, (target, more)) in [
        ("/orders/7", &[][..]),
        ("/orders/7?b=2&a=1&a=2", &[]),
        ("/orders?q=a%20b", &["--method", "DELETE"]),
        ("/orders", &["--method", "POST", "--body", "{\"count\": 1}"]),
        (
            "/orders?x=1",
            &["--method", "PUT", "--body", "{\"count\": 2}", "--nonce"],
        ),
        ("/orders/8", &["--nonce"]),
    ]
    .into_iter()
    .enumerate()
    {
        let target = format!("{prefix}{target}");
        let answer = client.run(&gateway, &target, &[more, &bound].concat());
        assert_eq!(
            answer["status"], 200,
            "{client:?} {target} {more:?}: {answer}"
        );
        assert_eq!(answer["body"], "hello");
        let got = upstream.got(number);
        assert_eq!(got.target(), target);
        assert_eq!(got.field("portcullis-key"), Some("mobile-2026"));
        assert_eq!(got.field("authorization"), Some("Bearer of-the-user"));
    }
    if client.proof == Proof::Signature {
        let answer = client.run(&gateway, "/orders/9", &[]);
        assert_eq!(answer["status"], 200, "{client:?}: {answer}");
    }
}

/// Each change to what was signed, and what it is refused with.
fn each_change_is_refused(client: Client) {
    let (upstream, gateway) = start();
    let signed = client.sign(
        &gateway,
        "POST",
        "/orders/7?item=1",
        &[
            "--authorization",
            "Bearer of-the-user",
            "--body",
            "{\"count\": 1}",
        ],
    );
    let refused = |what: &str, change: &dyn Fn(Request) -> Request, codes: &[&str]| {
        let changed = change(signed.clone());
        assert_refused(client, what, &gateway.send(&changed), codes);
    };
    let rejected = &["credential-rejected"][..];
    for (what, changed) in signed.elsewhere() {
        assert_refused(client, what, &gateway.send(&changed), rejected);
    }
    refused(
        "Authorization",
        &|r| r.change("Authorization", |_| "Bearer of-another".into()),
        rejected,
    );
    refused(
        "lost Authorization",
        &|r| r.without("Authorization"),
        &["credential-rejected", "coverage-missing"],
    );
    refused(
        "digest",
        &|r| {
            let digest = crate::harness::caller::content_digest(b"{\"count\": 2}");
            r.change("Content-Digest", |_| digest.clone())
                .body("{\"count\": 2}")
        },
        rejected,
    );
    refused(
        "signature",
        &|r| r.change("Signature", |v| v.replacen(':', ":AAAA", 1)),
        rejected,
    );
    upstream.assert_silent();

    // What does not use the request up is tried with the one request; a wrong body is the last.
    let uncovered = client.sign(&gateway, "GET", "/orders/7", &[]);
    for (what, changed) in [
        (
            "Authorization",
            uncovered.clone().field("Authorization", "Basic x"),
        ),
        ("body", uncovered.clone().body("{}")),
    ] {
        let codes = ["coverage-missing", "digest-mismatch"];
        assert_refused(client, what, &gateway.send(&changed), &codes);
    }
    refused("body", &|r| r.body("{\"count\": 2}"), &["digest-mismatch"]);
    upstream.assert_silent();
    times_keys_and_replay(client, &gateway, &upstream, "/orders/7?item=1", &[]);
}

fn times_keys_and_replay(
    client: Client,
    gateway: &Gateway,
    upstream: &Upstream,
    target: &str,
    more: &[&str],
) {
    let now = Binary::now();
    // A token says when it ends, and a signature when it was made; what is left of a signature
    // without its bytes is its list.
    let (past, left) = match client.proof {
        Proof::Signature => ("clock-skew", "malformed-credential"),
        Proof::Token => ("credential-expired", "credential-missing"),
    };
    for (what, created, code) in [
        ("stale", now - 3600, past),
        ("future", now + 3600, "clock-skew"),
        ("ancient", T0 - 1_000_000_000, past),
    ] {
        let created = created.to_string();
        let request = client.sign(
            gateway,
            "GET",
            target,
            &[more, &["--created", &created]].concat(),
        );
        assert_refused(client, what, &gateway.send(&request), &[code]);
    }
    let unknown = client.sign(
        gateway,
        "GET",
        target,
        &[more, &["--key-id", "mobile-2099"]].concat(),
    );
    let unknown = gateway.send(&unknown);
    assert_refused(client, "unknown key", &unknown, &["credential-rejected"]);
    let wrong = gateway.setup().write_secret(
        "wrong.key",
        format!(
            "base64:{}",
            data_encoding::BASE64.encode(&SECRET.iter().rev().copied().collect::<Vec<_>>())
        )
        .as_bytes(),
    );
    let wrong = wrong.to_str().unwrap();
    let wrong = client.sign(
        gateway,
        "GET",
        target,
        &[more, &["--secret-file", wrong]].concat(),
    );
    assert_refused(
        client,
        "wrong secret",
        &gateway.send(&wrong),
        &["credential-rejected"],
    );
    let stripped = client
        .sign(gateway, "GET", target, more)
        .without(client.field());
    let stripped = gateway.send(&stripped);
    assert_refused(client, "no proof", &stripped, &[left]);
    upstream.assert_silent();
    if client.proof == Proof::Signature {
        let once = client.sign(gateway, "GET", target, &[more, &["--nonce"]].concat());
        gateway.send(&once).assert_passed();
        assert_refused(client, "replayed", &gateway.send(&once), &["replayed"]);
        assert_eq!(upstream.heard().len(), 1);
    }
}

#[track_caller]
pub(crate) fn assert_refused(client: impl Debug, what: &str, response: &Response, codes: &[&str]) {
    assert!(
        [400, 401].contains(&response.status) && codes.contains(&response.code().as_str()),
        "{client:?}: {what}: {} {}",
        response.status,
        response.text()
    );
}

/// Two tests for each: as it comes it passes, and changed it does not.
macro_rules! clients {
    ($($client:ident: $accepted:ident, $refused:ident;)*) => {$(
        #[test]
        fn $accepted() {
            accepted_as_it_comes($client);
        }

        #[test]
        fn $refused() {
            each_change_is_refused($client);
        }
    )*};
}
pub(crate) use clients;

clients! {
    HTTP_MESSAGE_SIGNATURES: python_http_message_signatures_is_accepted_as_it_comes,
        python_http_message_signatures_is_refused_after_each_change;
    REQUESTS_HTTP_SIGNATURE: python_requests_http_signature_is_accepted_as_it_comes,
        python_requests_http_signature_is_refused_after_each_change;
    NODE_HTTP_MESSAGE_SIGNATURES: node_http_message_signatures_is_accepted_as_it_comes,
        node_http_message_signatures_is_refused_after_each_change;
    NODE_HTTP_MESSAGE_SIG: node_http_message_sig_is_accepted_as_it_comes,
        node_http_message_sig_is_refused_after_each_change;
}

#[test]
fn pyjwt_is_accepted_as_it_comes() {
    accepted_as_it_comes(PYJWT);
}

#[test]
fn pyjwt_is_refused_after_each_change() {
    let (upstream, gateway) = start();
    let bound = ["--authorization", "Bearer of-the-user"];
    let signed = PYJWT.sign(&gateway, "GET", "/token/orders", &bound);
    for (what, changed, codes) in [
        (
            "Authorization",
            signed
                .clone()
                .change("Authorization", |_| "Bearer of-another".into()),
            &["binding-mismatch"][..],
        ),
        (
            "lost Authorization",
            signed.clone().without("Authorization"),
            &["binding-mismatch"],
        ),
        (
            "signature",
            signed.clone().change("Portcullis-Token", |token| {
                let (front, mac) = token.rsplit_once('.').unwrap();
                format!("{front}.{}", mac.chars().rev().collect::<String>())
            }),
            &["credential-rejected", "malformed-credential"],
        ),
        (
            "claims",
            signed.clone().change("Portcullis-Token", |token| {
                let parts: Vec<_> = token.split('.').collect();
                let claims = data_encoding::BASE64URL_NOPAD
                    .decode(parts[1].as_bytes())
                    .unwrap();
                let claims = String::from_utf8(claims)
                    .unwrap()
                    .replace("\"iat\":1", "\"iat\": 1");
                format!(
                    "{}.{}.{}",
                    parts[0],
                    crate::harness::token::part(&claims),
                    parts[2]
                )
            }),
            &["credential-rejected"],
        ),
    ] {
        assert_refused(PYJWT, what, &gateway.send(&changed), codes);
    }
    let unbound = PYJWT.sign(&gateway, "GET", "/token/orders", &[]);
    assert_refused(
        PYJWT,
        "unbound",
        &gateway.send(&unbound),
        &["binding-mismatch"],
    );
    let narrowed = PYJWT.sign(
        &gateway,
        "GET",
        "/token/orders",
        &[&bound[..], &["--scope", "items"]].concat(),
    );
    gateway.send(&narrowed).assert_refused(403, "scope-missing");
    let long = PYJWT.sign(
        &gateway,
        "GET",
        "/token/orders",
        &[&bound[..], &["--lifetime", "100000"]].concat(),
    );
    assert_refused(
        PYJWT,
        "long life",
        &gateway.send(&long),
        &["credential-rejected"],
    );
    times_keys_and_replay(PYJWT, &gateway, &upstream, "/token/orders", &bound);
}

#[test]
fn the_minimal_example_of_node_http_message_signatures_is_refused_and_told_why() {
    let (upstream, gateway) = start();
    let signed = NODE_HTTP_MESSAGE_SIGNATURES
        .sign(&gateway, "GET", "/orders", &[])
        .change("Signature-Input", |value| {
            let (_, params) = value.split_once(')').unwrap();
            format!("sig=(){params}")
        });
    let response = gateway.send(&signed);
    response.assert_refused(401, "coverage-missing");
    for component in ["@method", "@authority", "@path"] {
        assert!(response.detail().contains(component), "{}", response.text());
    }
    upstream.assert_silent();
}

#[test]
fn a_caller_with_hawk_is_told_what_the_route_takes() {
    for scheme in ["http-signature", "hmac-auth", "aws-sigv4", "token"] {
        let upstream = Upstream::start();
        let dialect = if scheme == "hmac-auth" {
            "\ndialect = \"kong\""
        } else {
            ""
        };
        let route = format!("accept = [\"{scheme}\"]{dialect}");
        let gateway = Gateway::start_now(Setup::before(&upstream).route(&route));
        let key = ("mobile-2026", "mobile.key");
        let answer = run("node/hawk-client.mjs", &gateway, "/orders/7", key, &[]);
        assert_eq!(answer["status"], 401, "{scheme}: {answer}");
        let body = answer["body"].as_str().unwrap();
        assert!(body.contains("credential-missing"), "{scheme}: {body}");
        upstream.assert_silent();
    }
}

#[test]
fn the_bytes_of_a_secret_are_the_same_to_callers_as_to_the_gateway() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream);
    setup.write_secret("mobile.key", b" 0123456789-0123456789-0123456789 \n");
    let gateway = Gateway::start_now(setup);
    for file in [
        "python/http_message_signatures_client.py",
        "node/http-message-signatures-client.mjs",
    ] {
        let key = ("mobile-2026", "mobile.key");
        let answer = run(file, &gateway, "/orders/7", key, &[]);
        assert_eq!(answer["status"], 200, "{file}: {answer}");
    }
}
