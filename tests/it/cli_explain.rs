//! `portcullis explain` on what people paste: a `curl` line, a HAR file, and the text that they signed.

use crate::cli_webhooks::SENDERS;
use crate::harness::{Connection, Setup, Upstream};
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::mpsc;
use tempfile::TempDir;

const SECRET: &str = "canary-canary-canary-canary-canary-canary";
/// A moment that is long ago, so that no clock matters.
const THEN: &str = "1700000000";
const URL: &str = "https://api.example.com/orders/42?b=2&a=1";
const BODY: &str = "{\"it's\": 7}";
/// How each scheme signs, and how `explain` is told of it.
const SCHEMES: [(&[&str], &[&str]); 5] = [
    (&[], &[]),
    (&["--scheme", "token"], &[]),
    (
        &["--scheme", "hmac-auth", "--dialect", "kong"],
        &["--dialect", "kong"],
    ),
    (
        &["--scheme", "hmac-auth", "--dialect", "apisix"],
        &["--dialect", "apisix"],
    ),
    (
        &["--scheme", "hmac-auth", "--dialect", "cavage-12"],
        &["--dialect", "cavage-12"],
    ),
];

fn desk() -> TempDir {
    let desk = tempfile::tempdir().unwrap();
    std::fs::write(desk.path().join("key"), SECRET).unwrap();
    desk
}

fn run(desk: &Path, command: &str, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .arg(command)
        .args(["--key-id", "demo", "--secret", "file:key"])
        .args(args)
        .current_dir(desk)
        .output()
        .unwrap()
}

fn signed(desk: &Path, how: &[&str], output: &str) -> String {
    let own = ["--created", THEN, "-d", BODY, output, URL];
    let output = run(desk, "sign", &[how, &own].concat());
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn explained(desk: &Path, text: &str, args: &[&str]) -> (i32, Value) {
    std::fs::write(desk.join("pasted"), text).unwrap();
    let own = ["--json", "--at", THEN, "pasted"];
    let output = run(desk, "explain", &[args, &own].concat());
    let report = serde_json::from_slice(&output.stdout);
    let report = report.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code().unwrap(), report)
}

fn har(headers: &Value, body: &str) -> Value {
    let list = headers.as_array().unwrap().iter();
    let list: Vec<_> = list
        .map(|pair| json!({ "name": pair[0], "value": pair[1] }))
        .collect();
    json!({ "request": {
        "method": "POST", "url": URL, "httpVersion": "HTTP/1.1", "headers": list,
        "postData": { "mimeType": "application/json", "text": body },
    } })
}

#[test]
fn a_curl_line_is_judged_in_every_scheme() {
    let desk = desk();
    for (how, read) in SCHEMES {
        let line = signed(desk.path(), how, "--curl");
        assert!(line.starts_with("curl "), "{line}");
        let (code, report) = explained(desk.path(), &line, read);
        assert_eq!(code, 0, "{report:#}");
        assert_eq!(report["request"]["scheme"], "https");
        assert_eq!(report["request"]["target"], "/orders/42?b=2&a=1");
        if how.contains(&"token") {
            continue;
        }
        let (code, report) = explained(desk.path(), &line.replace("7}", "8}"), read);
        assert_eq!(
            (code, &report["refused"]["code"]),
            (1, &json!("digest-mismatch"))
        );
        let sorted = line.replace("b=2&a=1", "a=1&b=2");
        let (code, report) = explained(desk.path(), &sorted, read);
        assert_eq!(
            (code, &report["refused"]["code"]),
            (1, &json!("credential-rejected"))
        );
        let other = line.replace("b=2&a=1", "c=3&a=1&b=2");
        assert_eq!(explained(desk.path(), &other, read).0, 1);
    }
}

#[test]
fn a_har_entry_is_judged_in_every_scheme() {
    let desk = desk();
    for (how, read) in SCHEMES {
        let made: Value = serde_json::from_str(&signed(desk.path(), how, "--json")).unwrap();
        let good = har(&made["headers"], BODY);
        let (code, report) = explained(desk.path(), &good.to_string(), read);
        assert_eq!(code, 0, "{report:#}");
        let bad = har(&made["headers"], "{}");
        let file = json!({ "log": { "entries": [bad, good] } }).to_string();
        let entry = |which: &'static str| [read, &["--entry", which]].concat();
        assert_eq!(explained(desk.path(), &file, &entry("2")).0, 0);
        if !how.contains(&"token") {
            let (_, report) = explained(desk.path(), &file, &entry("1"));
            assert_eq!(report["refused"]["code"], "digest-mismatch");
        }
        let output = run(desk.path(), "explain", &[read, &["pasted"]].concat());
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2));
        assert!(
            told.contains("2 entries") && told.contains("`--entry`"),
            "{told}"
        );
    }
}

#[test]
fn what_curl_would_choose_by_itself_is_told_and_not_guessed() {
    let desk = desk();
    for (line, told) in [
        ("curl -F a=b http://h/", "`-F`"),
        ("curl --aws-sigv4 aws:amz:r:s http://h/", "`--aws-sigv4`"),
        ("curl --nonsense http://h/", "`--nonsense`"),
        ("curl http://h/ | jq .", "`|`"),
        ("curl \"http://h/$ID\"", "single quotes"),
    ] {
        std::fs::write(desk.path().join("pasted"), line).unwrap();
        let output = run(desk.path(), "explain", &["pasted"]);
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{line}");
        assert!(err.contains(told) && err.contains("hint"), "{line}: {err}");
    }
}

#[test]
fn the_first_byte_that_differs_is_marked_in_every_scheme_with_a_text() {
    let desk = desk();
    for (how, read) in SCHEMES {
        if how.contains(&"token") {
            continue;
        }
        let made: Value = serde_json::from_str(&signed(desk.path(), how, "--json")).unwrap();
        let line = signed(desk.path(), how, "--curl");
        // With another nonce, and so another text: the one of the line is the one to compare.
        let (_, report) = explained(desk.path(), &line, read);
        let text: Vec<&str> = report["signatures"][0]["base"]
            .as_array()
            .unwrap()
            .iter()
            .map(|line| line.as_str().unwrap())
            .collect();
        let text = text.join("\n");
        assert_eq!(
            text.lines().count(),
            made["signature_base"].as_str().unwrap().lines().count()
        );
        let wrong = text.replace("b=2&a=1", "a=1&b=2");
        std::fs::write(desk.path().join("mine"), &wrong).unwrap();
        let args = [read, &["--their-text", "mine"]].concat();
        let (_, report) = explained(desk.path(), &line, &args);
        let compared = &report["compared"];
        assert_eq!(compared["mistake"], "query-sorted", "{report:#}");
        let difference = &compared["difference"];
        let at = text.find("b=2").unwrap();
        assert_eq!(difference["byte"], at);
        let before = &text[..at];
        assert_eq!(difference["line"], before.matches('\n').count() + 1);
        assert_eq!(
            difference["column"],
            at - before.rfind('\n').map_or(0, |end| end + 1) + 1
        );
        assert_eq!(
            (&difference["gateway"], &difference["caller"]),
            (&json!("`b`"), &json!("`a`"))
        );
        // Bytes that are no text are told as what they are.
        let mut bytes = text.clone().into_bytes();
        bytes[at] = 0xff;
        std::fs::write(desk.path().join("mine"), &bytes).unwrap();
        let (_, report) = explained(desk.path(), &line, &args);
        assert_eq!(report["compared"]["difference"]["caller"], "the byte 0xFF");
        let shown = run(
            desk.path(),
            "explain",
            &[&args[..], &["--at", THEN, "pasted"]].concat(),
        );
        let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
        let marks = shown.lines().find(|line| line.trim() == "^");
        assert!(marks.is_some(), "{shown}");
    }
}

#[test]
fn the_mistake_is_named_in_the_report() {
    let desk = desk();
    let line = signed(desk.path(), &[], "--curl");
    // Signed by a secret that was not decoded.
    std::fs::write(
        desk.path().join("key"),
        format!("hex:{}", data_encoding::HEXLOWER.encode(SECRET.as_bytes())),
    )
    .unwrap();
    assert_eq!(explained(desk.path(), &line, &[]).0, 0);
    let hex = data_encoding::HEXLOWER.encode(&[7; 32]);
    std::fs::write(desk.path().join("key"), &hex).unwrap();
    let line = signed(desk.path(), &[], "--curl");
    std::fs::write(desk.path().join("key"), format!("hex:{hex}")).unwrap();
    let (code, report) = explained(desk.path(), &line, &[]);
    assert_eq!(code, 1);
    assert_eq!(report["signatures"][0]["mistake"], "secret-as-text");
}

#[test]
fn the_mistakes_are_tried_in_texts_that_are_too_long_for_a_gateway_to_try() {
    let desk = desk();
    let long = format!("X-Long: {}", "x".repeat(20_000));
    let url = URL.replace("b=2&a=1", "a=1&b=2");
    let cover = ["--cover", "x-long", "-H", &long];
    let own = ["--created", THEN, "--curl", &url];
    let output = run(desk.path(), "sign", &[&cover[..], &own].concat());
    assert!(output.status.success(), "{output:?}");
    let line = String::from_utf8(output.stdout).unwrap();
    let (code, report) = explained(desk.path(), &line, &[]);
    assert_eq!(code, 0, "{report:#}");
    let (code, report) = explained(desk.path(), &line.replace("a=1&b=2", "b=2&a=1"), &[]);
    assert_eq!(code, 1);
    assert_eq!(report["signatures"][0]["mistake"], "query-sorted");
}

#[test]
fn what_is_signed_for_a_url_is_what_curl_sends_for_it() {
    let desk = desk();
    for url in [
        "https://api.example.com:443/a",
        "http://api.example.com:80/a?b",
        "https://api.example.com?b=2",
        "https://api.example.com",
    ] {
        for (how, read) in SCHEMES {
            let own = ["--created", THEN, "--curl", url];
            let output = run(desk.path(), "sign", &[how, &own].concat());
            assert!(output.status.success(), "{url}: {output:?}");
            let line = String::from_utf8(output.stdout).unwrap();
            let (code, report) = explained(desk.path(), &line, read);
            assert_eq!(code, 0, "{line}\n{report}");
        }
    }
}

#[test]
fn a_body_of_control_characters_is_what_curl_sends() {
    let desk = desk();
    let body = "\u{1}\u{b}\u{1b}[31m\u{1c}7\u{7f}\u{85}\r\n\t'\\é";
    for (how, read) in SCHEMES {
        let own = ["--created", THEN, "--curl", "-d", body, URL];
        let output = run(desk.path(), "sign", &[how, &own].concat());
        assert!(output.status.success(), "{output:?}");
        let line = String::from_utf8(output.stdout).unwrap();
        let is_lost = |c: char| c.is_control() && c != '\n';
        assert!(!line.contains(is_lost), "{line:?}");
        let (code, report) = explained(desk.path(), &line, read);
        assert_eq!(code, 0, "{line}\n{report}");
    }
}

#[test]
fn a_label_that_no_gateway_reads_is_refused() {
    let desk = desk();
    for label in ["Sig1", "1a", "my sig", "a\nb", ""] {
        let output = run(desk.path(), "sign", &["--label", label, URL]);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && told.contains("label"), "{told}");
        assert!(!told.contains("panicked"), "{told}");
    }
    let output = run(desk.path(), "sign", &["--label", "*my_sig-1.0", URL]);
    assert!(output.status.success(), "{output:?}");
}

/// A gateway that speaks TLS and asks for a token, and for a signature over it.
fn with_gateway() -> TempDir {
    let desk = desk();
    let certified = rcgen::generate_simple_self_signed(["api.example.com".to_owned()]).unwrap();
    for (name, text) in [
        ("cert.pem", certified.cert.pem()),
        ("key.pem", certified.signing_key.serialize_pem()),
        (
            "other",
            "another-another-another-another-another".to_owned(),
        ),
        (
            "stranger",
            "nobody-nobody-nobody-nobody-nobody-nobody".to_owned(),
        ),
        (
            "gateway.toml",
            r#"
[server]
tls = { certificate = "file:cert.pem", key = "file:key.pem" }
[upstreams.orders]
servers = ["echo:"]
[[routes]]
name = "pair"
path = "/pair"
upstream = "orders"
accept = ["token+http-signature"]
[[routes]]
name = "all"
path = "/**"
upstream = "orders"
accept = ["http-signature"]
[apps.phone]
keys = [
    { id = "demo", algorithm = "hmac-sha256", secret = "file:key" },
    { id = "attester", algorithm = "hmac-sha256", secret = "file:other" },
]
"#
            .to_owned(),
        ),
    ] {
        std::fs::write(desk.path().join(name), text).unwrap();
    }
    desk
}

fn by_the_gateway(desk: &Path, text: &str) -> (i32, String) {
    std::fs::write(desk.join("pasted"), text).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["explain", "-c", "gateway.toml", "--at", THEN, "pasted"])
        .current_dir(desk)
        .output()
        .unwrap();
    let told = [output.stdout, output.stderr].concat();
    (
        output.status.code().unwrap(),
        String::from_utf8(told).unwrap(),
    )
}

#[test]
fn a_raw_request_came_to_a_gateway_that_speaks_tls_over_tls() {
    let desk = with_gateway();
    let args = [
        "--created",
        THEN,
        "--cover",
        "@target-uri",
        "https://api.example.com/a",
    ];
    let output = run(desk.path(), "sign", &args);
    let fields = String::from_utf8(output.stdout).unwrap();
    let raw = format!("GET /a HTTP/1.1\nHost: api.example.com\n{fields}\n");
    let (code, told) = by_the_gateway(desk.path(), &raw);
    assert_eq!(code, 0, "{told}");
}

#[test]
fn a_request_to_https_is_one_to_http_for_a_gateway_that_hears_of_no_tls() {
    let desk = with_gateway();
    let written = std::fs::read_to_string(desk.path().join("gateway.toml")).unwrap();
    let (front, rest) = written.split_once("[upstreams.orders]").unwrap();
    assert!(front.contains("tls ="));
    let url = "https://api.example.com/a";
    let how = ["--created", THEN, "--cover", "@target-uri"];
    let sign = |output, url| {
        let output = run(desk.path(), "sign", &[&how[..], &[output, url]].concat());
        String::from_utf8(output.stdout).unwrap()
    };
    let made: Value = serde_json::from_str(&sign("--json", url)).unwrap();
    let mut har = har(&made["headers"], "");
    har["request"]["url"] = json!(url);
    har["request"]["method"] = json!("GET");
    har["request"]["httpVersion"] = json!("h2");
    for pasted in [sign("--curl", url), har.to_string()] {
        for (server, takes_https) in [
            ("", false),
            (
                "tls = { certificate = \"file:cert.pem\", key = \"file:key.pem\" }",
                true,
            ),
            ("public_url = \"https://api.example.com\"", true),
            ("trusted_proxies = [\"10.0.0.0/8\"]", true),
        ] {
            let text = format!("[server]\n{server}\n[upstreams.orders]{rest}");
            std::fs::write(desk.path().join("gateway.toml"), text).unwrap();
            let (code, told) = by_the_gateway(desk.path(), &pasted);
            assert_eq!(code, i32::from(!takes_https), "{server}: {told}");
            let is_noted = told.contains("it takes requests as `http`");
            assert_eq!(is_noted, !takes_https, "{server}: {told}");
            assert_eq!(told.contains("the scheme differs"), !takes_https, "{told}");
        }
        std::fs::write(
            desk.path().join("gateway.toml"),
            format!("[upstreams.orders]{rest}"),
        )
        .unwrap();
        std::fs::write(desk.path().join("pasted"), &pasted).unwrap();
        let args = [
            "explain",
            "-c",
            "gateway.toml",
            "--at",
            THEN,
            "--https",
            "pasted",
        ];
        let output = bare(desk.path(), &args);
        assert!(output.status.success(), "{output:?}");
    }
    // What was signed for `http` is what the gateway takes.
    let plain = sign("--curl", "http://api.example.com/a");
    let line = plain.replace("http://", "https://");
    assert_eq!(by_the_gateway(desk.path(), &line).0, 0);
}

#[test]
fn a_body_of_which_not_all_is_there_gets_no_digest_to_sign() {
    let desk = desk();
    let made = signed(desk.path(), &[], "--json");
    let made: Value = serde_json::from_str(&made).unwrap();
    let mut headers = made["headers"].clone();
    let length = json!(["Content-Length", BODY.len().to_string()]);
    headers.as_array_mut().unwrap().push(length);
    let whole = explained(desk.path(), &har(&headers, BODY).to_string(), &[]).1;
    assert_eq!(whole["passes"], true, "{whole:#}");
    let kept = &BODY[1..];
    let lines = headers.as_array().unwrap().iter();
    let lines = lines.map(|pair| {
        format!(
            "{}: {}\n",
            pair[0].as_str().unwrap(),
            pair[1].as_str().unwrap()
        )
    });
    let raw = format!(
        "POST /orders/42?b=2&a=1 HTTP/1.1\nHost: api.example.com\n{}\n{kept}",
        lines.collect::<String>()
    );
    for pasted in [har(&headers, kept).to_string(), raw] {
        let report = explained(desk.path(), &pasted, &["--https"]).1;
        assert_eq!(report["refused"], Value::Null, "{report:#}");
        let body = report["steps"].as_array().unwrap().last().unwrap();
        assert_eq!(
            (&body["name"], &body["outcome"]),
            (&json!("body"), &json!("not-checked"))
        );
        let notes = report["notes"].to_string();
        assert!(notes.contains("its digest is not checked here"), "{notes}");
    }
}

#[test]
fn without_a_configuration_it_is_asked_how_a_signature_is_to_be_read() {
    let desk = desk();
    for (how, read) in SCHEMES {
        let Some(dialect) = read.strip_prefix(&["--dialect"]) else {
            continue;
        };
        let raw = signed(desk.path(), how, "--curl");
        for raw in [
            &raw,
            &raw.replace("-H 'Authorization:", "-H 'Proxy-Authorization:"),
        ] {
            let (code, report) = explained(desk.path(), raw, &[]);
            assert_eq!(code, 1, "{report:#}");
            let change = report["refused"]["change"].as_str().unwrap();
            let wanted = format!("`--dialect {}`", dialect[0]);
            assert!(change.contains(&wanted), "{change}");
        }
    }
    let (_, report) = explained(desk.path(), "GET / HTTP/1.1\nHost: h\n\n", &[]);
    let change = report["refused"]["change"].as_str().unwrap();
    assert!(change.contains("portcullis sign"), "{change}");
}

#[test]
fn beside_a_good_signature_it_is_the_token_that_is_talked_about() {
    let desk = with_gateway();
    let pair = |key_id: &str, secret: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(["sign", "--scheme", "token", "--created", THEN])
            .args(["--key-id", key_id, "--secret", secret])
            .arg("https://api.example.com/pair")
            .current_dir(desk.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let token = String::from_utf8(output.stdout).unwrap();
        let token = token.trim();
        let args = [
            "--created",
            THEN,
            "-H",
            token,
            "https://api.example.com/pair",
        ];
        let output = run(desk.path(), "sign", &args);
        let fields = String::from_utf8(output.stdout).unwrap();
        let raw = format!("GET /pair HTTP/1.1\nHost: api.example.com\n{token}\n{fields}\n");
        by_the_gateway(desk.path(), &raw)
    };
    let (code, told) = pair("attester", "file:other");
    assert_eq!(code, 0, "{told}");
    let (code, told) = pair("nobody", "file:other");
    assert!(
        code == 1 && told.contains("no key is called `nobody`"),
        "{told}"
    );
    let (code, told) = pair("attester", "file:stranger");
    assert!(
        code == 1 && told.contains("the token is not signed with"),
        "{told}"
    );
}

#[test]
fn what_a_signature_of_aws_s_leaves_out_is_told_by_what_it_is() {
    let desk = desk();
    let url = "http://api.example.com/orders";
    let sign = |more: &[&str]| {
        let how = [
            "--scheme",
            "aws-sigv4",
            "--region",
            "us-east-1",
            "--service",
            "api",
            "--created",
            THEN,
            url,
        ];
        let output = run(desk.path(), "sign", &[&how[..], more].concat());
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let change = |text: &str| {
        let (_, report) = explained(desk.path(), text, &[]);
        let refused = &report["refused"];
        assert_eq!(refused["code"], "coverage-missing", "{report:#}");
        refused["change"].as_str().unwrap().to_owned()
    };
    let unsigned = "X-Amz-Content-Sha256: UNSIGNED-PAYLOAD";
    let told = change(&sign(&["-d", "{}", "--curl", "-H", unsigned]));
    assert!(
        told.contains("SHA-256 of the body") && !told.contains("SignedHeaders"),
        "{told}"
    );
    let fields = sign(&[]);
    let raw = |target: &str, more: &str| {
        format!("GET {target} HTTP/1.1\nHost: api.example.com\n{more}{fields}\n")
    };
    let (code, report) = explained(desk.path(), &raw("/orders", ""), &[]);
    assert_eq!(code, 0, "{report:#}");
    let take_away = "take the `?` at the end of the target away";
    assert_eq!(change(&raw("/orders?", "")), take_away);
    let sign_too = "sign x-amz-acl too, in `SignedHeaders`";
    assert_eq!(change(&raw("/orders", "X-Amz-Acl: private\n")), sign_too);
    assert_eq!(
        change(&raw("/orders?", "X-Amz-Acl: private\n")),
        format!("{sign_too}; {take_away}")
    );
}

#[test]
fn a_body_that_curl_takes_from_standard_input_is_asked_for_in_a_file() {
    let desk = desk();
    std::fs::write(desk.path().join("pasted"), "curl http://h/ -d @-").unwrap();
    let output = run(desk.path(), "explain", &["pasted"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        told.contains("standard input") && told.contains("@FILE"),
        "{told}"
    );
}

fn bare(desk: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(args)
        .current_dir(desk)
        .output()
        .unwrap()
}

/// The fields of a proof for `POST path` with `body`, as AWS's signers make it where the body's hash is in no field.
fn signed_as_aws(path: &str, body: &str) -> String {
    proof_of_aws(&canonical_of_aws(path, body)).0
}

const AWS_DATE: &str = "20231114T221320Z";

/// What they hash and sign.
fn canonical_of_aws(path: &str, body: &str) -> String {
    let hash = HEXLOWER.encode(&Sha256::digest(body));
    format!(
        "POST\n{path}\n\nhost:api.example.com\nx-amz-date:{AWS_DATE}\n\nhost;x-amz-date\n{hash}"
    )
}

/// The fields of a proof of this canonical request, and the string to sign.
fn proof_of_aws(canonical: &str) -> (String, String) {
    let mac = |key: &[u8], text: &str| {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.update(text.as_bytes());
        mac.finalize().into_bytes().to_vec()
    };
    let (date, scope) = (AWS_DATE, "20231114/us-east-1/api/aws4_request");
    let hash = HEXLOWER.encode(&Sha256::digest(canonical));
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{hash}");
    let mut key = format!("AWS4{SECRET}").into_bytes();
    for part in scope.split('/') {
        key = mac(&key, part);
    }
    let signature = HEXLOWER.encode(&mac(&key, &text));
    let fields = format!(
        "X-Amz-Date: {date}\nAuthorization: AWS4-HMAC-SHA256 Credential=demo/{scope}, SignedHeaders=host;x-amz-date, Signature={signature}\n"
    );
    (fields, text)
}

/// A request for `path` with this proof, as it is pasted.
fn pasted_of_aws(path: &str, fields: &str) -> String {
    format!("POST {path} HTTP/1.1\nHost: api.example.com\n{fields}\n{BODY}")
}

#[test]
fn a_mistake_is_named_in_each_form_that_aws_s_signers_write() {
    let desk = desk();
    for path in ["/a/b:c", "/a/b%3Ac"] {
        let wrong = canonical_of_aws(path, BODY).replace("POST", "post");
        let pasted = pasted_of_aws("/a/b:c", &proof_of_aws(&wrong).0);
        std::fs::write(desk.path().join("mine"), &wrong).unwrap();
        let none: &[&str] = &[];
        for more in [none, &["--base", "mine"]] {
            let (exit, report) = explained(desk.path(), &pasted, more);
            assert_eq!(exit, 1);
            let signature = &report["signatures"][0];
            assert_eq!(signature["mistake"], "method-in-lower-case", "{report:#}");
            let notes = report["notes"].to_string();
            assert!(notes.contains("one of 2"), "{report:#}");
            // The form that is nearest to the caller's is laid beside it.
            if !more.is_empty() {
                assert_eq!(signature["base"][1], path);
                assert_eq!(report["compared"]["mistake"], "method-in-lower-case");
            }
        }
    }
}

#[test]
fn a_string_to_sign_is_laid_beside_ours_and_not_beside_the_canonical_request() {
    let desk = desk();
    for path in ["/a/b:c", "/a/b%3Ac"] {
        let right = canonical_of_aws(path, BODY);
        let wrong = right.replace("POST", "post");
        let other = right.replace("/a/", "/other/");
        for (canonical, line, mistake) in [
            (&right, None, None),
            (&wrong, Some(4), Some("method-in-lower-case")),
            (&other, Some(4), None),
        ] {
            let (fields, to_sign) = proof_of_aws(canonical);
            std::fs::write(desk.path().join("mine"), to_sign).unwrap();
            let pasted = pasted_of_aws("/a/b:c", &fields);
            let (_, report) = explained(desk.path(), &pasted, &["--base", "mine"]);
            let compared = &report["compared"];
            assert_eq!(compared["same"], line.is_none(), "{report:#}");
            assert_eq!(compared["difference"]["line"].as_u64(), line);
            assert_eq!(compared["mistake"].as_str(), mistake);
            let likely = compared["likely"].to_string();
            let is_told = likely.contains("the hash of the canonical request differs");
            assert_eq!(is_told, line.is_some() && mistake.is_none(), "{likely}");
        }
    }
}

#[test]
fn what_differs_in_a_text_of_aws_s_is_named_by_the_line_that_it_stands_in() {
    let desk = desk();
    let right = canonical_of_aws("/a/b", BODY);
    let upper = right.replace("host:", "Host:");
    for (wrong, mistake, likely) in [
        (
            canonical_of_aws("/a/b", "{}"),
            None,
            "another body was signed",
        ),
        (
            right.replace("/a/b", "/api/a/b"),
            None,
            "another path was signed",
        ),
        (
            right.replace("/a/b\n", "/a/b?c=d\n"),
            None,
            "its own line is the next",
        ),
        (
            right.replace("/a/b\n\n", "/a/b\nc=d\n"),
            None,
            "another query was signed",
        ),
        (
            right.replace("/a/b\n\n", "/a/b\n?\n"),
            Some("question-mark-signed"),
            "a `?` stands before the query",
        ),
        (
            right.replace("\n\nhost;", "\nhost;"),
            Some("empty-line-missing"),
            "an empty line is missing",
        ),
        (
            right.replace("\n\n", "\n"),
            Some("empty-line-missing"),
            "an empty line is missing",
        ),
        (
            upper.replace("x-amz-date:", "X-Amz-Date:"),
            Some("names-in-upper-case"),
            "in another case",
        ),
    ] {
        std::fs::write(desk.path().join("mine"), &wrong).unwrap();
        let pasted = pasted_of_aws("/a/b", &proof_of_aws(&wrong).0);
        let (_, report) = explained(desk.path(), &pasted, &["--base", "mine"]);
        let compared = &report["compared"];
        assert_eq!(compared["mistake"].as_str(), mistake, "{report:#}");
        let told = compared["likely"].as_str().unwrap();
        assert!(told.contains(likely), "{told}");
        let change = report["refused"]["change"].as_str().unwrap();
        assert!(change.contains(likely), "{change}");
    }
    // The time stands in the string to sign too, and there by its place. A text of another run is no mistake.
    let (fields, to_sign) = proof_of_aws(&right);
    let pasted = pasted_of_aws("/a/b", &fields);
    for (text, line) in [(&to_sign, 2), (&right, 5)] {
        let earlier = text.replace(AWS_DATE, "20200101T000000Z");
        std::fs::write(desk.path().join("mine"), &earlier).unwrap();
        let (_, report) = explained(desk.path(), &pasted, &["--base", "mine"]);
        let compared = &report["compared"];
        assert_eq!(compared["mistake"], Value::Null, "{report:#}");
        assert_eq!(compared["difference"]["line"], line);
        let told = compared["likely"].as_str().unwrap();
        assert!(told.contains("the time differs"), "{told}");
        let by_key = compared["by_key"].as_str().unwrap();
        assert!(by_key.contains("the gateway's text"), "{by_key}");
    }
}

#[test]
fn a_newline_that_an_editor_put_behind_the_body_is_no_reason_to_refuse_it() {
    let desk = desk();
    let url = "http://api.example.com/orders";
    let sign = |how: &[&str]| {
        let own = ["--created", THEN, "-d", BODY, url];
        let output = bare(desk.path(), &[&["sign"], how, &own].concat());
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let key = ["--key-id", "demo", "--secret", "file:key"];
    let files = SENDERS.map(|(sender, secret, _)| {
        std::fs::write(desk.path().join(sender), secret).unwrap();
        (sender, format!("file:{sender}"))
    });
    let mut all = vec![
        (sign(&key), key.to_vec()),
        (signed_as_aws("/orders", BODY), key.to_vec()),
    ];
    for (sender, file) in &files {
        let how = ["--sender", sender, "--secret", file];
        let fields = sign(&[&["--scheme", "webhook"], &how[..]].concat());
        all.push((fields, how.to_vec()));
    }
    for (fields, how) in all {
        for (end, exit) in [("", 0), ("\n", 0), ("\r\n", 0), ("\n\n", 1)] {
            let text =
                format!("POST /orders HTTP/1.1\nHost: api.example.com\n{fields}\n{BODY}{end}");
            std::fs::write(desk.path().join("pasted"), text).unwrap();
            let own = ["explain", "--json", "--at", THEN, "pasted"];
            let output = bare(desk.path(), &[&own[..], &how].concat());
            let report: Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(output.status.code(), Some(exit), "{how:?}: {report:#}");
            let is_told = report["notes"].to_string().contains("editor's");
            assert_eq!(is_told, end.trim_end() != end && exit == 0, "{report:#}");
        }
    }
    // A length says that the newline is the body's own.
    let (fields, length) = (sign(&key), BODY.len() + 1);
    let text = format!(
        "POST /orders HTTP/1.1\nHost: api.example.com\nContent-Length: {length}\n{fields}\n{BODY}\n"
    );
    let (_, report) = explained(desk.path(), &text, &[]);
    assert_eq!(report["refused"]["code"], "digest-mismatch", "{report:#}");
}

/// A gateway whose routes ask for a scope that nobody has, or take five bytes.
fn with_bounds() -> TempDir {
    let desk = desk();
    let mut config = r#"
[upstreams.orders]
servers = ["echo:"]
[apps.phone]
keys = [{ id = "demo", algorithm = "hmac-sha256", secret = "file:key" }]
[apps.sender]
keys = [{ id = "hooks", algorithm = "hmac-sha256", secret = "file:hooks.secret", schemes = ["webhook"] }]
[[routes]]
name = "open"
path = "/open"
upstream = "orders"
accept = ["public"]
body = { limit = "5 B" }
"#
    .to_owned();
    for (scheme, more) in [
        ("http-signature", ""),
        ("aws-sigv4", ""),
        (
            "webhook",
            "webhook = { sender = \"github\", app = \"sender\" }",
        ),
    ] {
        for (kind, bound) in [
            ("narrow", "scopes = [\"orders\"]"),
            ("small", "body = { limit = \"5 B\" }"),
        ] {
            let route = format!(
                "[[routes]]\nname = \"{kind}-{scheme}\"\npath = \"/{kind}/{scheme}\"\nupstream = \"orders\"\naccept = [\"{scheme}\"]\n{bound}\n{more}\n"
            );
            config.push_str(&route);
        }
    }
    let secret = "hooks-hooks-hooks-hooks-hooks-hooks";
    std::fs::write(desk.path().join("hooks.secret"), secret).unwrap();
    std::fs::write(desk.path().join("gateway.toml"), config).unwrap();
    desk
}

/// What the gateway in `desk` makes of `text`: the code of its refusal, or `passes`, and the whole report.
fn verdict(desk: &Path, text: &str) -> (String, Value) {
    std::fs::write(desk.join("pasted"), text).unwrap();
    let config = ["-c", "gateway.toml", "--at", THEN];
    let own = ["explain", "--json", "pasted"];
    let output = bare(desk, &[&own[..], &config].concat());
    let report = serde_json::from_slice(&output.stdout);
    let report: Value =
        report.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let code = report["refused"]["code"].as_str().unwrap_or("passes");
    (code.to_owned(), report)
}

#[test]
fn a_newline_that_was_signed_is_the_body_s_own_and_so_is_one_of_which_no_proof_tells() {
    let desk = with_bounds();
    let body = "hello\n";
    let sign = |how: &[&str], path: &str| {
        let url = format!("http://api.example.com{path}");
        let own = ["--created", THEN, "-d", body, &url];
        let output = bare(desk.path(), &[&["sign"], how, &own].concat());
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let key = ["--key-id", "demo", "--secret", "file:key"];
    let hook = ["--scheme", "webhook", "--sender", "github"];
    let hook = [&hook[..], &["--secret", "file:hooks.secret"]].concat();
    let mut all = vec![("/open".to_owned(), String::new(), "body-too-large")];
    for (kind, code) in [("narrow", "scope-missing"), ("small", "body-too-large")] {
        let path = |scheme: &str| format!("/{kind}/{scheme}");
        let (plain, aws, webhook) = (path("http-signature"), path("aws-sigv4"), path("webhook"));
        let fields = [
            sign(&key, &plain),
            signed_as_aws(&aws, body),
            sign(&hook, &webhook),
        ];
        let paths = [plain, aws, webhook].into_iter();
        all.extend(paths.zip(fields).map(|(path, fields)| (path, fields, code)));
    }
    for (path, fields, code) in all {
        for length in ["", "Content-Length: 6\n"] {
            let text =
                format!("POST {path} HTTP/1.1\nHost: api.example.com\n{length}{fields}\n{body}");
            let (found, report) = verdict(desk.path(), &text);
            assert_eq!(found, code, "{path} {length:?}: {report:#}");
            assert!(!report["notes"].to_string().contains("editor's"));
        }
    }
}

#[test]
fn what_the_gateway_refuses_of_a_transfer_coding_and_of_a_length_is_refused() {
    let desk = with_bounds();
    let chunks = "5\r\nhello\r\n0\r\n\r\n";
    let bad = "malformed-request";
    for (version, fields, body, code) in [
        ("1.1", "Transfer-Encoding: chunked\n", chunks, "passes"),
        ("1.0", "Transfer-Encoding: chunked\n", chunks, bad),
        ("2", "Transfer-Encoding: chunked\n", chunks, bad),
        (
            "1.1",
            "Transfer-Encoding: chunked\n",
            "5\r\nhello\r\n0\r\n: x\r\n\r\n",
            bad,
        ),
        (
            "1.1",
            "Transfer-Encoding: chunked\n",
            "00000000000000000000000005\r\nhello\r\n0\r\n\r\n",
            bad,
        ),
        ("1.1", "Content-Length: 5\n", "", "passes"),
        ("1.1", "Content-Length: 6\n", "", "body-too-large"),
        ("1.1", "Content-Length: 6\n", "hello", "body-too-large"),
    ] {
        let text = format!("POST /open HTTP/{version}\nHost: h\n{fields}\n{body}");
        let (found, report) = verdict(desk.path(), &text);
        assert_eq!(found, code, "{version} {fields}{body:?}: {report:#}");
    }
    // The body of a webhook is read before it is known who calls.
    let signature = "0".repeat(64);
    let text = format!(
        "POST /narrow/webhook HTTP/1.1\nHost: h\nX-Hub-Signature-256: sha256={signature}\nTransfer-Encoding: chunked\n\n5;a=b\r\nhello\r\n0\r\n\r\n"
    );
    let (found, report) = verdict(desk.path(), &text);
    assert_eq!((&*found, &report["refused"]["step"]), (bad, &json!("body")));
}

#[test]
fn two_quotes_within_double_quotes_are_read_as_a_shell_does_and_noted() {
    let desk = desk();
    for line in [
        "curl \"http://h/x\"\"y\"",
        "curl http://h/xy -H \"A: b\"\"c\"",
        "curl http://h/xy -H \"A: \"\"\"",
        "curl http://h/xy -d \"\"\"x\"\"\"",
    ] {
        let (_, report) = explained(desk.path(), line, &[]);
        assert_eq!(report["request"]["target"], "/xy", "{line}: {report:#}");
        let notes = report["notes"].to_string();
        assert!(notes.contains("`cmd`"), "{line}: {notes}");
    }
}

#[test]
fn a_body_that_was_kept_in_its_chunks_is_judged_without_their_sizes() {
    let desk = desk();
    let output = run(
        desk.path(),
        "sign",
        &["--created", THEN, "-d", BODY, "http://api.example.com/a"],
    );
    let fields = String::from_utf8(output.stdout).unwrap();
    let text = format!(
        "POST /a HTTP/1.1\nHost: api.example.com\nTransfer-Encoding: chunked\n{fields}\n{:x}\r\n{BODY}\r\n0\r\n\r\n",
        BODY.len()
    );
    let (code, report) = explained(desk.path(), &text, &[]);
    assert_eq!(code, 0, "{report:#}");
}

#[test]
fn a_length_that_the_gateway_refuses_is_refused() {
    let desk = desk();
    for length in ["abc", "+5", "5, 5", "99999999999999999999"] {
        let text = format!("POST /a HTTP/1.1\nHost: a\nContent-Length: {length}\n\nhello");
        let (code, report) = explained(desk.path(), &text, &[]);
        let refused = &report["refused"]["code"];
        assert_eq!(
            (code, refused),
            (1, &json!("malformed-request")),
            "{length}"
        );
    }
}

#[test]
fn a_caller_s_text_is_laid_beside_its_own_signature_and_not_a_proxy_s() {
    let desk = desk();
    let url = "http://h/a?b=1";
    let sign = |label: &str, key_id: &str| -> Value {
        let how = ["sign", "--json", "--created", THEN, "--label", label];
        let key = ["--key-id", key_id, "--secret", "file:key", url];
        let output = bare(desk.path(), &[&how[..], &key].concat());
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let (proxy, mine) = (sign("proxy", "edge-proxy"), sign("sig1", "demo"));
    let field = |at: usize| {
        let value = |made: &Value| made["headers"][at][1].as_str().unwrap().to_owned();
        format!("{}, {}", value(&proxy), value(&mine))
    };
    let request = |target: &str| {
        format!(
            "GET {target} HTTP/1.1\nHost: h\nSignature-Input: {}\nSignature: {}\n\n",
            field(0),
            field(1)
        )
    };
    let base = mine["signature_base"].as_str().unwrap();
    // An editor's byte order mark is no part of it.
    for text in [base.to_owned(), format!("\u{feff}{base}")] {
        std::fs::write(desk.path().join("mine"), text).unwrap();
        let (_, report) = explained(desk.path(), &request("/a?b=1"), &["--base", "mine"]);
        assert_eq!(report["compared"]["same"], true, "{report:#}");
    }
    // Where none is the same, it is the one that does not hold.
    let other = request("/a?b=2");
    let (_, report) = explained(desk.path(), &other, &["--base", "mine"]);
    assert_eq!(report["compared"]["difference"]["line"], 4, "{report:#}");
    let output = run(
        desk.path(),
        "explain",
        &["--at", THEN, "--base", "mine", "pasted"],
    );
    let told = String::from_utf8(output.stdout).unwrap();
    let (_, of_mine) = told.split_once("`sig1`").unwrap();
    let marked = |text: &str| text.lines().filter(|line| line.starts_with('>')).count();
    assert_eq!((marked(&told), marked(of_mine)), (1, 1), "{told}");
}

/// A gateway with a page's route and one for an app that is only observed, and a static key in the query.
fn with_pages() -> TempDir {
    let desk = desk();
    for (name, text) in [
        ("pepper", "a pepper of more than thirty-two bytes"),
        ("old.key", "canary-key-of-the-old-0123"),
        (
            "gateway.toml",
            r#"
[upstreams.orders]
servers = ["echo:"]
[[routes]]
name = "page"
path = "/page/**"
methods = ["GET", "POST"]
upstream = "orders"
accept = ["http-signature"]
upgrade = ["websocket"]
cors = { origins = ["https://app.example"] }
[[routes]]
name = "narrow"
path = "/narrow"
upstream = "orders"
accept = ["http-signature", "api-key", "aws-sigv4"]
scopes = ["orders"]
[[routes]]
name = "app"
path = "/app/**"
upstream = "orders"
accept = ["token"]
token_headers = ["X-App-Token"]
[apps.phone]
mode = "observe"
keys = [{ id = "demo", algorithm = "hmac-sha256", secret = "file:key" }]
api_keys = [{ id = "old", secret = "file:old.key", not_after = 2030-01-01 }]
[api_keys]
pepper = "file:pepper"
unsafe_query_parameter = "api_key"
"#,
        ),
    ] {
        std::fs::write(desk.path().join(name), text).unwrap();
    }
    desk
}

#[test]
fn a_preflight_is_answered_without_a_proof() {
    let desk = with_pages();
    let ask = |fields: &str| {
        let text = format!("OPTIONS /page/x HTTP/1.1\nHost: h\n{fields}\n");
        by_the_gateway(desk.path(), &text)
    };
    let asked = "Access-Control-Request-Method: POST\n";
    let (code, told) = ask(&format!("Origin: https://app.example\n{asked}"));
    assert!(code == 0 && told.contains("without a proof"), "{told}");
    assert!(told.contains("`page`"), "{told}");
    let (code, told) = ask(&format!("Origin: https://other.example\n{asked}"));
    assert!(code == 0 && told.contains("goes no further"), "{told}");
    // What asks for no method is a request like any other.
    let (code, told) = ask("Origin: https://app.example\n");
    assert!(code == 1 && told.contains("405"), "{told}");
}

#[test]
fn a_handshake_of_a_page_that_may_not_call_is_told_from_one_of_ours() {
    let desk = with_pages();
    let args = ["--created", THEN, "http://h/page/x"];
    let output = run(desk.path(), "sign", &args);
    let fields = String::from_utf8(output.stdout).unwrap();
    let ask = |origin: &str| {
        let asked = "Connection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
        let text = format!("GET /page/x HTTP/1.1\nHost: h\n{asked}\nOrigin: {origin}\n{fields}\n");
        by_the_gateway(desk.path(), &text)
    };
    for origin in ["https://other.example", "https://h", "http://h:443"] {
        let (code, told) = ask(origin);
        assert!(code == 1 && told.contains("origin-not-allowed"), "{told}");
        assert!(told.contains("add its origin to `cors`"), "{told}");
    }
    for origin in ["https://app.example", "http://h", "http://h:80", "HTTP://H"] {
        let (code, told) = ask(origin);
        assert!(code == 0, "{origin}: {told}");
    }
}

#[test]
fn that_an_app_is_only_observed_is_told() {
    let desk = with_pages();
    let args = ["--created", THEN, "http://h/narrow"];
    let output = run(desk.path(), "sign", &args);
    let fields = String::from_utf8(output.stdout).unwrap();
    let raw = format!("GET /narrow HTTP/1.1\nHost: h\n{fields}\n");
    let (code, told) = by_the_gateway(desk.path(), &raw);
    assert!(code == 1 && told.contains("scope"), "{told}");
    assert!(told.contains("the app only observes"), "{told}");
}

#[test]
fn no_credential_in_a_query_is_repeated() {
    let desk = with_pages();
    let (key, token) = ("canary-static-key-0123", "canary-session-token");
    let signed = |how: &[&str], url: &str| -> Value {
        let own = ["--json", "--created", THEN, url];
        let output = run(desk.path(), "sign", &[how, &own].concat());
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let query = format!("?a=1&api_key={key}");
    let made = signed(&[], &format!("http://h/narrow{query}"));
    let pairs = made["headers"].as_array().unwrap().iter();
    let fields = pairs.fold(String::new(), |fields, pair| {
        let [name, value] = [&pair[0], &pair[1]].map(|text| text.as_str().unwrap());
        format!("{fields}{name}: {value}\n")
    });
    let aws = ["--scheme", "aws-sigv4", "--region", "r", "--service", "s"];
    let url = format!("http://h/narrow?X-Amz-Security-Token={token}");
    let presigned = signed(&[&aws[..], &["--presign", "600"]].concat(), &url);
    let presigned_url = presigned["url"].as_str().unwrap();
    let target = presigned_url.strip_prefix("http://h").unwrap();
    let (_, behind) = presigned_url.split_once("X-Amz-Signature=").unwrap();
    let signature = &behind[..64];
    let text = |made: &Value| made["signature_base"].as_str().unwrap().to_owned();
    // As callers get it wrong who are told what differs.
    let wrong = [
        ("?a=1&", "a=1&"),
        ("?a=1&", ""),
        ("&", ";"),
        ("&", "&amp;"),
        ("&", "%26"),
        ("&", "& "),
        ("&", ""),
        ("api_key=", "API_KEY="),
        ("api_key=", "api_key%3D"),
    ]
    .map(|(from, to)| text(&made).replace(from, to))
    .map(|mine| (format!("GET /narrow{query}"), &*fields, mine));
    let as_signed = [
        (format!("GET /narrow{query}"), &*fields, text(&made)),
        (format!("GET /nope{query}"), &*fields, text(&made)),
        (format!("DELETE /page/x{query}"), "", text(&made)),
        (format!("GET {target}"), "", text(&presigned)),
        (
            format!("GET {}", target.replace("canary-s", "canary-S")),
            "",
            text(&presigned),
        ),
        (format!("GET /nope{target}"), "", text(&presigned)),
    ];
    for (line, fields, mine) in as_signed.into_iter().chain(wrong) {
        std::fs::write(desk.path().join("mine"), mine).unwrap();
        let raw = format!("{line} HTTP/1.1\nHost: h\n{fields}\n");
        std::fs::write(desk.path().join("pasted"), raw).unwrap();
        for json in [None, Some("--json")] {
            let own = ["explain", "-c", "gateway.toml", "--at", THEN];
            let files = ["--base", "mine", "pasted"];
            let output = bare(desk.path(), &[&own[..], &files, json.as_slice()].concat());
            let told = [output.stdout, output.stderr].concat();
            let told = String::from_utf8(told).unwrap();
            assert!(told.contains("***") || told.contains("<a token>"), "{told}");
            assert!(!told.to_lowercase().contains("canary"), "{line}: {told}");
            assert!(!told.contains(signature), "{line}: {told}");
        }
    }
}

#[test]
fn a_token_that_came_to_another_route_is_not_repeated() {
    let desk = with_pages();
    let token = "X-App-Token: canary-app-token";
    let cover = ["--created", THEN, "--cover", "x-app-token", "-H", token];
    let url = ["http://h/page/x"];
    let output = run(desk.path(), "sign", &[&cover[..], &url].concat());
    let fields = String::from_utf8(output.stdout).unwrap();
    let raw = format!("GET /page/x HTTP/1.1\nHost: h\n{token}\n{fields}\n");
    let (_, told) = by_the_gateway(desk.path(), &raw);
    assert!(told.contains("x-app-token"), "{told}");
    assert!(!told.contains("canary-app"), "{told}");
}

#[test]
fn a_url_that_is_not_understood_is_repeated_without_its_query() {
    let desk = desk();
    let entry = json!({ "request": { "method": "GET", "url": "https://h/a?api_key=canary" } });
    let two = json!({ "log": { "entries": [entry, entry] } }).to_string();
    for text in ["curl 'http://h/a b?api_key=canary'", &two] {
        std::fs::write(desk.path().join("pasted"), text).unwrap();
        let output = run(desk.path(), "explain", &["pasted"]);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.contains("?…") && !told.contains("canary"), "{told}");
    }
}

#[test]
fn what_curl_makes_of_brackets_and_braces_is_what_is_judged() {
    let desk = desk();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = mpsc::channel();
    let server = std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut head, mut piece) = (stream.unwrap(), Vec::new(), [0; 1024]);
            while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                let read = stream.read(&mut piece).unwrap();
                // It is told so that no more is asked.
                if read == 0 {
                    return;
                }
                head.extend_from_slice(&piece[..read]);
            }
            let head = String::from_utf8(head).unwrap();
            tell.send(head.split(' ').nth(1).unwrap().to_owned())
                .unwrap();
            let answer = "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    for (option, target) in [
        ("", r"/a?f\[a\]=\{b\}"),
        ("-g", r"/a?f[a]={b}\["),
        ("", "/a?f[]=1&f[]=2"),
        ("", "/a?f[::1]=[1::2]"),
        ("", r"/a?\\\[a\]=\b"),
        ("-G -d 'f[1-2]={a}'", "/a"),
        ("", "/a?{1,2}"),
        ("", "/a?{}"),
        ("", "/a?[1-3]"),
        ("", "/a?[a]"),
        ("", "/a?["),
        ("", "/a?a]"),
        ("", "/a?}"),
        ("", r"/a?\\[1-2]"),
    ] {
        let line = format!("curl --path-as-is {option} 'http://{address}{target}'");
        let script = format!("curl() {{ command curl -qs --noproxy '*' \"$@\"; }}\n{line}");
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        assert!(output.status.code().is_some_and(|code| code != 127));
        let sent: Vec<String> = told.try_iter().collect();
        let [target] = sent.as_slice() else {
            std::fs::write(desk.path().join("pasted"), &line).unwrap();
            let output = run(desk.path(), "explain", &["pasted"]);
            assert_eq!(output.status.code(), Some(1), "{line}");
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(told.contains("`-g`"), "{line}: {told}");
            continue;
        };
        let (_, report) = explained(desk.path(), &line, &[]);
        assert_eq!(report["request"]["target"], **target, "{line}");
    }
    drop(std::net::TcpStream::connect(address).unwrap());
    server.join().unwrap();
}

#[test]
fn what_the_gateway_refuses_of_a_request_line_is_told_in_its_words() {
    let desk = desk();
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    for line in [
        "GET /a#top HTTP/1.1",
        "GET  /a HTTP/1.1",
        "GET /a  HTTP/1.1",
        "GET /a HTTP/1.1 ",
        "GET /\u{e9} HTTP/1.1",
        "GET /a< HTTP/1.0",
    ] {
        let raw = format!("{line}\r\nHost: h\r\n\r\n");
        let mut connection = Connection::open(gateway.address());
        connection.send(raw.as_bytes());
        let answer = connection.response();
        assert_eq!(answer.status, 400, "{line}");
        std::fs::write(desk.path().join("pasted"), raw).unwrap();
        let output = run(desk.path(), "explain", &["pasted"]);
        assert_eq!(output.status.code(), Some(1), "{line}");
        let told = String::from_utf8(output.stderr).unwrap();
        let detail = answer.detail();
        assert!(told.contains(&detail), "{line}: {told}, not {detail}");
    }
}

#[test]
fn line_ends_that_an_editor_gives_a_caller_s_text_are_not_what_went_wrong() {
    let desk = desk();
    for (how, read) in SCHEMES {
        if how.contains(&"token") {
            continue;
        }
        let line = signed(desk.path(), how, "--curl");
        let (_, report) = explained(desk.path(), &line, read);
        let base = report["signatures"][0]["base"].as_array().unwrap().iter();
        let base: Vec<_> = base.map(|line| line.as_str().unwrap()).collect();
        let base = base.join("\n");
        let text = base.trim_end();
        let ways = [text.to_owned(), format!("{text}\n")];
        let of_windows = ways.each_ref().map(|way| way.replace('\n', "\r\n"));
        for mine in ways.iter().chain(&of_windows) {
            std::fs::write(desk.path().join("mine"), mine).unwrap();
            for secret in [SECRET, "another-another-another-another-another"] {
                std::fs::write(desk.path().join("key"), secret).unwrap();
                let args = [read, &["--base", "mine"]].concat();
                let (code, report) = explained(desk.path(), &line, &args);
                assert_eq!(report["compared"]["same"], true, "{mine:?} {report:#}");
                assert_eq!(code, i32::from(secret != SECRET));
                let is_noted = report["notes"].to_string().contains("an editor's");
                assert_eq!(is_noted, *mine != base, "{mine:?} {report:#}");
                if code != 0 {
                    let change = report["refused"]["change"].as_str().unwrap();
                    assert!(change.contains("compare the secrets"), "{change}");
                }
            }
        }
        std::fs::write(desk.path().join("key"), SECRET).unwrap();
    }
}

#[test]
fn of_a_text_that_differs_the_key_tells_whether_it_was_signed() {
    let desk = desk();
    let mistake = "method-in-lower-case";
    let right = canonical_of_aws("/a", BODY);
    let wrong = right.replace("POST", "post");
    let (of_right, _) = proof_of_aws(&right);
    let (of_wrong, to_sign) = proof_of_aws(&wrong);
    let other = "another-another-another-another-another";
    for (fields, mine, secret, told) in [
        (&of_wrong, &wrong, SECRET, "the key signed your text"),
        (&of_wrong, &to_sign, SECRET, "the key signed your text"),
        (
            &of_right,
            &wrong,
            SECRET,
            "the key signed the gateway's text",
        ),
        (
            &of_wrong,
            &wrong,
            other,
            "the key did not sign your text either",
        ),
        (
            &of_wrong,
            &to_sign,
            other,
            "the key did not sign your text either",
        ),
    ] {
        std::fs::write(desk.path().join("key"), secret).unwrap();
        for end in ["", "\n", "\r\n"] {
            std::fs::write(desk.path().join("mine"), format!("{mine}{end}")).unwrap();
            let pasted = pasted_of_aws("/a", fields);
            let (_, report) = explained(desk.path(), &pasted, &["--base", "mine"]);
            let compared = &report["compared"];
            assert_eq!(compared["mistake"], mistake, "{told} {report:#}");
            let by_key = compared["by_key"].as_str().unwrap();
            assert!(by_key.contains(told), "{by_key}");
            if told.contains("either") {
                let change = report["refused"]["change"].as_str().unwrap();
                assert!(change.contains("lower case") && change.contains(told));
            }
        }
    }
}

#[test]
fn no_credential_in_a_field_is_repeated_from_a_caller_s_text() {
    let desk = desk();
    let credential = "Bearer canary/canary-0123";
    let field = format!("Authorization: {credential}");
    let cover = ["--created", THEN, "--cover", "authorization", "-H", &field];
    let output = run(desk.path(), "sign", &[&cover[..], &["http://h/a"]].concat());
    let fields = String::from_utf8(output.stdout).unwrap();
    let base = format!("\"@method\": PUT\n\"@path\": /a\n\"authorization\": {credential}\nx");
    for mine in [
        base.replace('\n', " "),
        base.replace('\n', "\\n"),
        serde_json::to_string(&base).unwrap().replace('/', "\\/"),
        base.replace("\"authorization\": ", "").replace('\n', " "),
        "canary/canary-0123".to_owned(),
    ] {
        std::fs::write(desk.path().join("mine"), &mine).unwrap();
        let raw = format!("GET /a HTTP/1.1\nHost: h\n{field}\n{fields}\n");
        std::fs::write(desk.path().join("pasted"), raw).unwrap();
        for json in [None, Some("--json")] {
            let own = ["--at", THEN, "--base", "mine", "pasted"];
            let output = run(desk.path(), "explain", &[&own, json.as_slice()].concat());
            let told = [output.stdout, output.stderr].concat();
            let told = String::from_utf8(told).unwrap();
            assert!(told.contains("***"), "{mine}: {told}");
            assert!(!told.contains("canary"), "{mine}: {told}");
        }
    }
}
