//! `portcullis explain` on what people paste: a `curl` line, a HAR file, and the text that they signed.

use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Output};
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
