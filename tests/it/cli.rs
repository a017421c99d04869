//! What the commands print, refuse and exit with.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use crate::harness::{Closed, Gateway, Setup, T0, Upstream};
use http::Request;
use portcullis::apps::{App, Key, Registry};
use portcullis::clock::Now;
use portcullis::crypto::{Algorithm, HmacKey};
use portcullis::schemes::Verifier;
use portcullis::schemes::freshness::Freshness;
use portcullis::secret::Secret;
use serde_json::Value;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// A secret of raw bytes that must never be seen again.
const SECRET: &str = "canary-canary-canary-canary-canary-canary";
/// A moment that is long ago, so that no clock matters.
const THEN: &str = "1700000000";
const URL: &str = "http://api.example.com/orders/42?dry=1";
const COMMANDS: [&str; 18] = [
    "serve",
    "demo",
    "check",
    "sign",
    "request",
    "explain",
    "readiness",
    "app",
    "key",
    "instance",
    "audit",
    "token",
    "reload",
    "hash-key",
    "sidecar",
    "vectors",
    "completions",
    "man",
];

/// A folder with a key in it, in which commands run.
struct Desk(TempDir);

struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Desk {
    fn new() -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        desk.put("key", SECRET);
        desk
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn put(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::write(self.path().join(name), text).unwrap();
    }

    fn run(&self, args: &[&str]) -> Ran {
        self.run_with(args, "")
    }

    fn run_with(&self, args: &[&str], stdin: &str) -> Ran {
        let mut child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(args)
            .current_dir(self.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that reads no input may be gone already.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        let output = child.wait_with_output().unwrap();
        let ran = Ran {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        };
        assert!(!ran.out.contains("canary"), "{args:?}: {}", ran.out);
        assert!(!ran.err.contains("canary"), "{args:?}: {}", ran.err);
        ran
    }

    /// `command` with the key of this desk.
    fn keyed(&self, command: &str, args: &[&str]) -> Ran {
        let mut all = vec![command, "--key-id", "demo", "--secret", "file:key"];
        all.extend(args);
        self.run(&all)
    }

    /// A signed request as raw text, and its signature base.
    fn signed(&self, args: &[&str], body: &str) -> (String, String) {
        let mut all = vec!["--created", THEN, "--json", URL];
        if !body.is_empty() {
            all.extend(["-d", body]);
        }
        all.extend(args);
        let ran = self.keyed("sign", &all);
        assert_eq!(ran.code, 0, "{}", ran.err);
        let json: Value = serde_json::from_str(&ran.out).unwrap();
        let method = if body.is_empty() { "GET" } else { "POST" };
        let mut text = format!("{method} /orders/42?dry=1 HTTP/1.1\r\nHost: api.example.com\r\n");
        if !body.is_empty() {
            write!(text, "Content-Length: {}\r\n", body.len()).unwrap();
        }
        for header in json["headers"].as_array().unwrap() {
            let [name, value] = [&header[0], &header[1]].map(|part| part.as_str().unwrap());
            write!(text, "{name}: {value}\r\n").unwrap();
        }
        text.push_str("\r\n");
        text.push_str(body);
        let base = json["signature_base"].as_str().unwrap_or_default();
        (text, base.to_owned())
    }

    /// What `explain` says of `request`, judged at [`THEN`].
    fn explained(&self, request: &str, args: &[&str]) -> (i32, Value) {
        self.put("request.txt", request);
        let mut all = vec!["--json", "--at", THEN, "request.txt"];
        all.extend(args);
        let ran = self.keyed("explain", &all);
        assert!(ran.err.is_empty(), "{}", ran.err);
        (ran.code, serde_json::from_str(&ran.out).unwrap())
    }

    fn refused(&self, request: &str) -> String {
        let (code, report) = self.explained(request, &[]);
        assert_eq!(code, 1);
        report["refused"]["code"].as_str().unwrap().to_owned()
    }
}

#[test]
fn every_command_has_a_help_with_an_example() {
    let desk = Desk::new();
    let all = desk.run(&["--help"]);
    assert_eq!(all.code, 0);
    for command in COMMANDS {
        assert!(all.out.contains(command), "{command}");
        let help = desk.run(&[command, "--help"]);
        assert_eq!(help.code, 0);
        assert!(help.out.contains("Example"), "{command}: {}", help.out);
    }
    assert_eq!(desk.run(&["--version"]).code, 0);
}

#[test]
fn whose_secret_is_in_no_variable_is_not_told_to_make_another_that_the_gateway_does_not_know() {
    let desk = Desk::new();
    let secret = ["--secret", "env:PORTCULLIS_TEST_NONE"];
    for command in ["sign", "request"] {
        let ran = desk.run(&[&[command, "--key-id", "k"], &secret[..], &[URL]].concat());
        assert_eq!(ran.code, 2, "{}", ran.err);
        assert!(ran.err.contains("hint: is it exported?"), "{}", ran.err);
        assert!(!ran.err.contains("openssl"), "{}", ran.err);
    }
}

#[test]
fn a_wrong_command_line_exits_with_2_and_says_what_is_accepted() {
    let desk = Desk::new();
    desk.put("short", "canary");
    for (args, told) in [
        (&["sgn"][..], "sign"),
        (&["sign"], "<URL>"),
        (&["sign", URL], "--key-id"),
        (&["sign", "--key-id", "k", URL], "--secret"),
        (
            &["sign", "--key-id", "k", "--secret", "canary", URL],
            "env:NAME",
        ),
        (
            &[
                "sign",
                "--key-id",
                "k",
                "--secret",
                "env:PORTCULLIS_TEST_NONE",
                URL,
            ],
            "PORTCULLIS_TEST_NONE",
        ),
        (
            &["sign", "--key-id", "k", "--secret", "file:none", URL],
            "none",
        ),
        (
            &["sign", "--key-id", "k", "--secret", "file:short", URL],
            "at least 32",
        ),
        (
            &["sign", "--key-id", "k", "--secret", "file:key", "/orders"],
            "http://",
        ),
        (
            &[
                "sign",
                "--key-id",
                "k",
                "--secret",
                "file:key",
                "localhost:8080/orders/1",
            ],
            "it must start with `http://`",
        ),
        (
            &[
                "sign",
                "--key-id",
                "k",
                "--secret",
                "file:key",
                "-H",
                "Authorization canary",
                URL,
            ],
            "name: value",
        ),
        (
            &[
                "sign", "--key-id", "k", "--secret", "file:key", "--cover", "x-none", URL,
            ],
            "x-none",
        ),
        (
            &[
                "sign", "--key-id", "k", "--secret", "file:key", "--bind", URL,
            ],
            "--scheme token",
        ),
        (
            &[
                "sign", "--key-id", "k", "--secret", "file:key", "--scheme", "token", "--bind", URL,
            ],
            "Authorization",
        ),
        (
            &[
                "sign",
                "--key-id",
                "k",
                "--secret",
                "file:key",
                "--expires",
                "60",
                URL,
            ],
            "`60s` is 60 seconds",
        ),
        (
            &[
                "sign",
                "--key-id",
                "k",
                "--secret",
                "file:key",
                "http://h/a/../b",
            ],
            "ambiguous",
        ),
        (
            &["sign", "--key-id", "k", "--secret-stdin", "-d", "@-", URL],
            "standard input",
        ),
        (&["explain", "--at", "noon"], "Unix"),
        (&["explain", "-c", "none.toml"], "none.toml"),
        (&["completions", "dos"], "bash"),
    ] {
        let ran = desk.run(args);
        assert_eq!(ran.code, 2, "{args:?}: {}", ran.err);
        assert!(ran.err.contains(told), "{args:?}: {}", ran.err);
    }
}

#[test]
fn what_sign_prints_is_verified() {
    let desk = Desk::new();
    let (text, _) = desk.signed(
        &["--cover", "@scheme", "--tag", "test", "--expires", "60s"],
        "{}",
    );
    let mut request = Request::post("/orders/42?dry=1");
    for line in text.lines().skip(1).take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(": ").unwrap();
        request = request.header(name, value);
    }
    let (parts, ()) = request.body(()).unwrap().into_parts();
    let then = Now::new(Duration::from_secs(THEN.parse().unwrap()), Duration::ZERO);
    let caller = verifier().verify(&parts, true, false, then).unwrap();
    assert_eq!(&**caller.key_id().unwrap(), "demo");
}

fn verifier() -> Verifier {
    let app = Arc::new(App::new("test"));
    let secret = Secret::new(SECRET.as_bytes().to_vec());
    let key = Key::new(
        "demo",
        app.clone(),
        HmacKey::new(Algorithm::HmacSha256, &secret).unwrap(),
    );
    let registry = Registry::new(vec![app], vec![key], 1).unwrap();
    Verifier::new(registry, Freshness::USUAL)
}

#[test]
fn a_secret_may_come_from_standard_input_or_the_environment_in_three_spellings() {
    let desk = Desk::new();
    let hex = data_encoding::HEXLOWER.encode(SECRET.as_bytes());
    let base64 = data_encoding::BASE64.encode(SECRET.as_bytes());
    let args = ["--created", THEN, "--no-nonce", URL];
    let expected = desk.keyed("sign", &args).out;
    for secret in [
        SECRET.to_owned(),
        format!("hex:{hex}\n"),
        format!("base64:{base64}\n"),
    ] {
        let mut all = vec!["sign", "--key-id", "demo", "--secret-stdin"];
        all.extend(args);
        assert_eq!(desk.run_with(&all, &secret).out, expected);
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    let command = command.args([
        "sign",
        "--key-id",
        "demo",
        "--secret",
        "env:PORTCULLIS_TEST_KEY",
    ]);
    let command = command.args(args).env("PORTCULLIS_TEST_KEY", SECRET);
    let output = command.output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
}

#[test]
fn a_newline_behind_a_secret_made_elsewhere_is_part_of_it_and_told() {
    let desk = Desk::new();
    let line = format!("{SECRET}\n");
    desk.put("line.key", &line);
    let hex = data_encoding::HEXLOWER.encode(line.as_bytes());
    desk.put("hex.key", format!("hex:{hex}\n"));
    let sign = |source: &[&str], stdin: &str| {
        let args = [
            "sign",
            "--key-id",
            "demo",
            "--created",
            THEN,
            "--no-nonce",
            URL,
        ];
        let ran = desk.run_with(&[&args[..], source].concat(), stdin);
        assert_eq!(ran.code, 0, "{}", ran.err);
        ran
    };
    let told = "warning: the secret's bytes end in a newline, which is part of it";
    let meant = sign(&["--secret", "file:hex.key"], "");
    assert!(!meant.err.contains(told), "{}", meant.err);
    for ran in [
        sign(&["--secret", "file:line.key"], ""),
        sign(&["--secret-stdin"], &line),
    ] {
        assert_eq!(ran.out, meant.out);
        assert!(ran.err.contains(told), "{}", ran.err);
    }
    let without = sign(&["--secret", "file:key"], "");
    assert_ne!(without.out, meant.out);
    assert!(!without.err.contains(told), "{}", without.err);
}

#[test]
fn a_port_that_is_none_is_told_and_the_schemes_own_is_not_called_in_its_place() {
    let desk = Desk::new();
    desk.put("token", "of-the-gateway");
    for port in ["99999", "65536", "0", "-1", "9000x", "90O0"] {
        let url = format!("http://127.0.0.1:{port}");
        let url = url.as_str();
        for ran in [
            desk.keyed("sign", &[url]),
            desk.keyed("request", &[url]),
            desk.keyed("sidecar", &["--to", url]),
            desk.run(&["token", "get", "--app", "a", "--dev", "x", "--url", url]),
            desk.run(&["app", "list", "--token-file", "token", "--admin", url]),
        ] {
            assert_eq!(ran.code, 2, "{url}: {}", ran.err);
            let told = "has a port that is none";
            assert!(ran.err.contains(told), "{url}: {}", ran.err);
        }
    }
}

#[test]
fn milliseconds_are_not_taken_for_seconds() {
    let desk = Desk::new();
    for ran in [
        desk.keyed("sign", &["--created", "1796058366000", URL]),
        desk.keyed("explain", &["--at", "1796058366000"]),
    ] {
        assert_eq!(ran.code, 2, "{}", ran.err);
        let told = "not milliseconds: `1796058366`";
        assert!(ran.err.contains(told), "{}", ran.err);
    }
}

#[test]
fn explain_shows_the_front_alone_of_a_file_that_is_another() {
    let desk = Desk::new();
    desk.put("zeros", vec![0; 1 << 20]);
    let ran = desk.keyed("explain", &["zeros"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("line 1 is not"), "{}", ran.err);
    assert!(ran.err.len() < 1_000, "{} bytes", ran.err.len());
    let (text, base) = desk.signed(&[], "");
    let (_, whole) = desk.explained(&text, &[]);
    let (_, beside) = desk.explained(&text, &["--base", "zeros"]);
    let gateway_line = &beside["compared"]["difference"]["gateway_line"];
    assert_eq!(gateway_line.as_str(), base.lines().next());
    let length = beside.to_string().len();
    assert!(length < whole.to_string().len() + 10_000, "{length} bytes");
}

#[test]
fn explain_and_request_exit_by_what_they_found_though_nobody_reads_it() {
    let desk = Desk::new();
    let (text, _) = desk.signed(&[], "");
    desk.put("request.txt", text.replace("dry=1", "dry=2"));
    let (url, served) = answering(http_answer("403 Forbidden", "text/plain", "no"));
    let explain = &["explain", "--at", THEN, "request.txt"][..];
    let key = &["--key-id", "demo", "--secret", "file:key"][..];
    for command in [explain, &["request", "-i", &url]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let status = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args([command, key].concat())
            .current_dir(desk.path())
            .stdout(writer)
            .status()
            .unwrap();
        assert_eq!(status.code(), Some(1), "{command:?}");
    }
    served.join().unwrap();
}

#[test]
fn check_says_when_what_it_prints_is_lost_and_nothing_where_nobody_reads_on() {
    let desk = Desk::new();
    desk.put("gateway.toml", "");
    let run = |args: &[&str], out: Stdio| {
        let output = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .arg("check")
            .args(args)
            .current_dir(desk.path())
            .stdout(out)
            .output()
            .unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), told)
    };
    for args in [&[][..], &["--json"], &["--print", "schema"]] {
        let mut full = std::fs::File::options();
        let full = full.write(true).open("/dev/full").unwrap();
        let (code, told) = run(args, Stdio::from(full));
        assert_eq!(code, Some(1), "{args:?}: {told}");
        assert!(told.contains("standard output cannot be written"), "{told}");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let (code, told) = run(args, Stdio::from(writer));
        assert_eq!(code, Some(0), "{args:?}: {told}");
    }
}

#[test]
fn check_notes_the_same_in_json_as_in_text() {
    let desk = Desk::new();
    // With few files, and where nobody can make a folder, two are sure.
    desk.put("gateway.toml", "[state]\ndirectory = \"/proc/state\"\n");
    let run = |more: &str| {
        let script = format!("ulimit -n 64; exec \"$0\" check {more}");
        let mut command = Command::new("sh");
        command
            .args(["-c", &script, env!("CARGO_BIN_EXE_portcullis")])
            .current_dir(desk.path());
        command.output().unwrap()
    };
    let json: Value = serde_json::from_slice(&run("--json").stdout).unwrap();
    let notes = json["notes"].as_array().unwrap();
    for sure in [
        "too few files may be open",
        "nothing can be written in `/proc`",
    ] {
        let is_it = |note: &Value| note.as_str().unwrap().contains(sure);
        assert!(notes.iter().any(is_it), "{notes:?}");
    }
    let text = String::from_utf8(run("").stderr).unwrap();
    for note in notes {
        let line = format!("note: {}\n", note.as_str().unwrap());
        assert!(text.contains(&line), "{text}");
    }
}

#[test]
fn request_gives_the_answer_out_though_standard_error_is_full() {
    let desk = Desk::new();
    let (url, served) = answering(http_answer("200 OK", "text/plain", "hello"));
    let mut full = std::fs::File::options();
    let output = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["request", "--key-id", "demo", "--secret", "file:key", &url])
        .current_dir(desk.path())
        .stderr(full.write(true).open("/dev/full").unwrap())
        .output()
        .unwrap();
    served.join().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output.stdout, b"hello");
}

#[test]
fn a_curl_line_survives_the_shell() {
    let desk = Desk::new();
    let body = "{\"it's\": \"$HOME `id` \\\\ \\\"\"}";
    let ran = desk.keyed(
        "sign",
        &[
            "--curl",
            "-X",
            "PUT",
            "-H",
            "X-Odd: a 'b' \"c\" $d",
            "-d",
            body,
            "http://h/o?a=1&b=$x'y",
        ],
    );
    assert_eq!(ran.code, 0, "{}", ran.err);
    let script = format!("curl() {{ printf '%s\\n' \"$@\"; }}\n{}", ran.out);
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    assert!(output.stderr.is_empty());
    let words = String::from_utf8(output.stdout).unwrap();
    let words: Vec<&str> = words.lines().collect();
    assert_eq!(words[0], "http://h/o?a=1&b=$x'y");
    assert_eq!(words[1..3], ["-X", "PUT"]);
    assert!(words.contains(&"X-Odd: a 'b' \"c\" $d"));
    assert!(words.contains(&"Content-Type: application/json"));
    assert_eq!(words[words.len() - 2..], ["--data-raw", body]);
    assert_eq!(words.iter().filter(|word| **word == "-H").count(), 5);
    assert!(!ran.err.contains("needs bash"), "{}", ran.err);
}

#[test]
fn of_a_curl_line_that_not_every_shell_reads_it_is_told() {
    let desk = Desk::new();
    let ran = desk.keyed("sign", &["--curl", "-d", "a\r\nb", "http://h/o"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains(r"--data-raw $'a\r\nb'"), "{}", ran.out);
    assert!(ran.err.contains("needs bash, zsh or ksh"), "{}", ran.err);
}

#[test]
fn explain_lets_a_good_request_pass() {
    let desk = Desk::new();
    for body in ["", "{\"item\": 7}"] {
        let (text, base) = desk.signed(&[], body);
        let (code, report) = desk.explained(&text, &[]);
        assert_eq!(code, 0, "{report:#}");
        let signature = &report["signatures"][0];
        assert_eq!(signature["holds"], true);
        let lines: Vec<&str> = signature["base"]
            .as_array()
            .unwrap()
            .iter()
            .map(|line| line.as_str().unwrap())
            .collect();
        assert_eq!(lines.join("\n"), base);
    }
}

#[test]
fn explain_names_the_code_of_the_step_that_refuses() {
    let desk = Desk::new();
    let (text, _) = desk.signed(&[], "{\"item\": 7}");
    for (changed, code) in [
        (text.replace("item\": 7", "item\": 8"), "digest-mismatch"),
        (text.replace("dry=1", "dry=0"), "credential-rejected"),
        (text.replace("POST ", "PUT "), "credential-rejected"),
        (
            text.replace("Host: api", "Host: app"),
            "credential-rejected",
        ),
        (text.replace(" \"@query\"", ""), "coverage-missing"),
        (
            text.replace("Host: api", "Authorization: Bearer x\r\nHost: api"),
            "coverage-missing",
        ),
        (
            text.replace("created=1700000000", "created=1699990000"),
            "clock-skew",
        ),
        (
            text.replace("created=1700000000", "created=17000000x0"),
            "malformed-credential",
        ),
        (
            text.replace("keyid=\"demo\"", "keyid=\"none\""),
            "credential-rejected",
        ),
        (
            text.replace("Signature", "X-Signature"),
            "credential-missing",
        ),
        (text.replace("/orders/42", "/orders//42"), "ambiguous-path"),
        (
            text.replace("Host: api.example.com\r\n", ""),
            "malformed-request",
        ),
    ] {
        assert_eq!(desk.refused(&changed), code, "{changed}");
    }
}

#[test]
fn explain_takes_a_request_as_an_editor_leaves_it() {
    let desk = Desk::new();
    let (text, _) = desk.signed(&[], "{\"item\": 7}");
    let edited = format!("{}\n", text.replace('\r', ""));
    assert_eq!(desk.explained(&edited, &[]).0, 0);
    let (code, report) = desk.explained(&edited.replace("Content-Length: 11\n", ""), &[]);
    assert_eq!(code, 0, "{report:#}");
    assert!(report["notes"].to_string().contains("newline"));
}

#[test]
fn explain_recognises_a_text_that_was_signed_by_mistake() {
    let desk = Desk::new();
    let (text, base) = desk.signed(&[], "{\"item\": 7}");
    let key = HmacKey::new(
        Algorithm::HmacSha256,
        &Secret::new(SECRET.as_bytes().to_vec()),
    )
    .unwrap();
    for (signed, told) in [
        (format!("{base}\n"), "newline"),
        (base.replace('\n', "\r\n"), "CR LF"),
        (base.replace("\"@query\": ?", "\"@query\": "), "`?`"),
        (base.replace("POST", "post"), "lower case"),
        (base.replace("example.com\n", "example.com:80\n"), "port"),
    ] {
        let tag = data_encoding::BASE64.encode(key.sign(signed.as_bytes()).as_bytes());
        let front = text.split("Signature: ").next().unwrap();
        let request = format!("{front}Signature: sig1=:{tag}:\r\n\r\n{{\"item\": 7}}");
        let (_, report) = desk.explained(&request, &[]);
        let likely = report["signatures"][0]["likely"].as_str().unwrap();
        assert!(likely.contains(told), "{likely}");

        desk.put("base.txt", &signed);
        let (_, report) = desk.explained(&request, &["--base", "base.txt"]);
        let compared = &report["compared"];
        assert_eq!(compared["same"], false);
        assert!(
            compared["likely"].as_str().unwrap().contains(told),
            "{compared}"
        );
    }
}

#[test]
fn sign_and_explain_agree_in_every_dialect() {
    let desk = Desk::new();
    for dialect in ["kong", "apisix", "cavage-12"] {
        let args = ["--scheme", "hmac-auth", "--dialect", dialect];
        let (text, base) = desk.signed(&args, "{\"item\": 7}");
        assert!(base.contains("/orders/42?dry=1\n"), "{base}");
        let read = ["--dialect", dialect];
        let (code, report) = desk.explained(&text, &read);
        assert_eq!(code, 0, "{report:#}");
        let signature = &report["signatures"][0];
        assert_eq!(signature["label"], dialect);
        assert_eq!(signature["holds"], true);
        let lines: Vec<_> = base.split('\n').collect();
        assert_eq!(signature["base"], serde_json::json!(lines));

        desk.put("base.txt", base.replace("dry=1", "dry=2"));
        let (_, report) = desk.explained(&text, &[&read[..], &["--base", "base.txt"]].concat());
        assert_eq!(report["compared"]["difference"]["caller"], "`2`");

        let (code, report) = desk.explained(&text.replace(" host", ""), &read);
        assert_eq!(code, 1);
        assert!(report["refused"]["change"].is_string(), "{report:#}");
        // Nobody reads it so where nobody says so.
        assert_eq!(desk.refused(&text), "credential-missing");
    }
}

#[test]
fn a_short_secret_of_another_gateway_signs_and_explains_what_it_may_prove() {
    let desk = Desk::new();
    desk.put("key", "canary-12345");
    for how in [
        &["--scheme", "hmac-auth", "--dialect", "kong"][..],
        &[
            "--scheme",
            "aws-sigv4",
            "--region",
            "local",
            "--service",
            "api",
        ],
    ] {
        let (text, _) = desk.signed(how, "{\"item\": 7}");
        let read = if how.contains(&"--dialect") {
            &how[2..]
        } else {
            &[]
        };
        let (code, report) = desk.explained(&text, read);
        assert_eq!(
            (code, &report["signatures"][0]["holds"]),
            (0, &true.into()),
            "{how:?} {report:#}"
        );
    }
    desk.put("key", "canary");
    let too_short = desk.keyed("sign", &["--scheme", "hmac-auth", "--dialect", "kong", URL]);
    assert_eq!(too_short.code, 2);
    assert!(too_short.err.contains("at least 8"), "{}", too_short.err);
}

#[test]
fn explain_recognises_the_mistakes_of_every_dialect() {
    let desk = Desk::new();
    let secret = Secret::new(SECRET.as_bytes().to_vec());
    let key = HmacKey::new(Algorithm::HmacSha256, &secret).unwrap();
    for (dialect, from, to, told) in [
        ("kong", ": post", ": POST", "upper case"),
        ("kong", "?dry=1", "", "query"),
        ("kong", "$", "\n", "newline stands at the end"),
        ("cavage-12", ": post", ": POST", "upper case"),
        ("apisix", "\n$", "", "newline at the end is missing"),
        ("apisix", "POST", "post", "lower case"),
        ("apisix", "demo\n", "", "key's id"),
    ] {
        let args = ["--scheme", "hmac-auth", "--dialect", dialect];
        let (text, base) = desk.signed(&args, "{}");
        let signed = format!("{base}$").replace(from, to).replace('$', "");
        let of = |text: &str| data_encoding::BASE64.encode(key.sign(text.as_bytes()).as_bytes());
        let request = text.replace(&of(&base), &of(&signed));
        let (_, report) = desk.explained(&request, &["--dialect", dialect]);
        let likely = report["signatures"][0]["likely"].as_str();
        assert!(
            likely.is_some_and(|likely| likely.contains(told)),
            "{dialect} {told}: {report:#}"
        );
    }
}

const AWS: [&str; 6] = [
    "--scheme",
    "aws-sigv4",
    "--region",
    "us-east-1",
    "--service",
    "api",
];

#[test]
fn sign_and_explain_agree_as_aws_s_clients_do() {
    let desk = Desk::new();
    let (text, base) = desk.signed(&AWS, "{\"item\": 7}");
    assert!(base.contains("\ndry=1\n"), "{base}");
    let (code, report) = desk.explained(&text, &[]);
    assert_eq!(code, 0, "{report:#}");
    let signature = &report["signatures"][0];
    assert_eq!(signature["label"], "aws-sigv4");
    assert_eq!(signature["holds"], true);
    let lines: Vec<_> = base.split('\n').collect();
    assert_eq!(signature["base"], serde_json::json!(lines));
    assert_eq!(signature["string_to_sign"][0], "AWS4-HMAC-SHA256");

    desk.put("base.txt", base.replace("dry=1", "dry=2"));
    let (_, report) = desk.explained(&text, &["--base", "base.txt"]);
    assert_eq!(report["compared"]["difference"]["caller"], "`2`");

    let (code, report) = desk.explained(&text.replace("{\"item\": 7}", "{\"item\": 8}"), &[]);
    assert_eq!(
        (code, &report["refused"]["code"]),
        (1, &"digest-mismatch".into())
    );
    let (code, report) = desk.explained(&text.replace("dry=1", "dry=2"), &[]);
    assert_eq!(
        (code, &report["refused"]["code"]),
        (1, &"credential-rejected".into())
    );
    let more = text.replacen("\r\n\r\n", "\r\nX-Amz-Acl: x\r\n\r\n", 1);
    let more = if more == text {
        text.replacen("\n\n", "\nX-Amz-Acl: x\n\n", 1)
    } else {
        more
    };
    let (code, report) = desk.explained(&more, &[]);
    assert_eq!(code, 1);
    let change = report["refused"]["change"].as_str().unwrap();
    assert!(change.contains("x-amz-acl"), "{change}");
}

#[test]
fn explain_recognises_the_mistakes_of_aws_s_callers() {
    let desk = Desk::new();
    let secret = Secret::new(SECRET.as_bytes().to_vec());
    let key = HmacKey::new(Algorithm::HmacSha256, &secret).unwrap();
    for (from, to, told) in [
        ("POST\n", "post\n", "lower case"),
        ("$", "\n", "newline stands at the end"),
        ("HASH$", "UNSIGNED-PAYLOAD", "UNSIGNED-PAYLOAD"),
        (
            "HASH$",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "as if there were none",
        ),
    ] {
        let (text, base) = desk.signed(&AWS, "{}");
        let scope = text.split("Credential=").nth(1).unwrap();
        let scope = scope.split(',').next().unwrap().split_once('/').unwrap().1;
        let date = text.split("X-Amz-Date: ").nth(1).unwrap();
        let date = date.split(['\r', '\n']).next().unwrap();
        let keys = key.aws().unwrap();
        let day = keys.derive(portcullis::crypto::aws4::Scope {
            date: &date[..8],
            region: "us-east-1",
            service: "api",
        });
        let of = |canonical: &str| {
            let hash = portcullis::crypto::digest::sha256(&[canonical.as_bytes()]);
            let hash = data_encoding::HEXLOWER.encode(&hash);
            let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{hash}");
            data_encoding::HEXLOWER.encode(day.sign(text.as_bytes()).as_bytes())
        };
        assert!(text.contains(&of(&base)));
        let (front, hash) = base.rsplit_once('\n').unwrap();
        let marked = format!(
            "{front}\n{}$",
            if from.contains("HASH") { "HASH" } else { hash }
        );
        let signed = marked.replace(from, to).replace('$', "");
        let request = text.replace(&of(&base), &of(&signed));
        let (_, report) = desk.explained(&request, &[]);
        let likely = report["signatures"][0]["likely"].as_str();
        assert!(
            likely.is_some_and(|likely| likely.contains(told)),
            "{told}: {report:#}"
        );
    }
}

#[test]
fn a_presigned_url_is_printed_and_explained() {
    let desk = Desk::new();
    let at = ["--created", THEN, "--presign", "600", "--json", URL];
    let args = [&AWS[..], &at].concat();
    let ran = desk.keyed("sign", &args);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let printed: Value = serde_json::from_str(&ran.out).unwrap();
    let url = printed["url"].as_str().unwrap();
    let (front, target) = url.split_once("/orders").unwrap();
    let host = front.split_once("://").unwrap().1;
    let request = format!("GET /orders{target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let (code, report) = desk.explained(&request, &[]);
    assert_eq!(code, 0, "{report:#}");
    let ran = desk.keyed("sign", &[&AWS[..], &["--presign", "600", URL]].concat());
    assert!(ran.out.contains("X-Amz-Expires=600"), "{}", ran.out);
    let ran = desk.keyed("sign", &[&AWS[..], &["--presign", "604801", URL]].concat());
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("7 days"), "{}", ran.err);
}

#[test]
fn an_option_of_another_scheme_is_not_taken() {
    let desk = Desk::new();
    for (args, told) in [
        (
            &["--dialect", "kong"][..],
            "`--dialect` belongs to `--scheme hmac-auth`",
        ),
        (&["--scheme", "hmac-auth"], "needs `--dialect`"),
        (&["--scheme", "aws-sigv4"], "needs `--region`"),
        (
            &["--presign", "60"],
            "`--presign` belongs to `--scheme aws-sigv4`",
        ),
        (
            &[&AWS[..], &["--cover", "x"]].concat(),
            "`--cover` belongs to `--scheme http-signature`",
        ),
        (
            &["--scheme", "hmac-auth", "--dialect", "kong", "--tag", "x"],
            "`--tag` belongs to `--scheme http-signature`",
        ),
        (
            &["--scheme", "hmac-auth", "--dialect", "kong", "--bind"],
            "`--bind` belongs to `--scheme token`",
        ),
        (
            &[
                "--scheme",
                "hmac-auth",
                "--dialect",
                "kong",
                "--cover",
                "x-absent",
            ],
            "the request has no `x-absent`",
        ),
        (
            &["--scheme", "token", "--dialect", "kong"],
            "belongs to `--scheme hmac-auth`",
        ),
        (
            &["--token-place", "X-Token"],
            "`--token-place` belongs to `--scheme token`",
        ),
        (
            &[
                "--scheme",
                "token",
                "--token-place",
                "Authorization: Bearer",
            ],
            "`--token-place`: it is not a field name",
        ),
        (
            &[
                "--scheme",
                "token",
                "--token-place",
                "Authorization",
                "--bind",
                "-H",
                "Authorization: Bearer x",
            ],
            "`--token-place` puts the token there",
        ),
    ] {
        let ran = desk.keyed("sign", &[args, &[URL]].concat());
        assert_eq!(ran.code, 2, "{args:?}");
        assert!(ran.err.contains(told), "{args:?}: {}", ran.err);
    }
}

#[test]
fn a_token_is_signed_into_the_field_that_is_said() {
    let desk = Desk::new();
    for (place, line) in [
        ("x-token", "X-Token: ey"),
        ("authorization", "Authorization: Bearer ey"),
    ] {
        let ran = desk.keyed("sign", &["--scheme", "token", "--token-place", place, URL]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        assert!(ran.out.starts_with(line), "{}", ran.out);
    }
}

#[test]
fn explain_names_line_column_and_characters_of_the_first_difference() {
    let desk = Desk::new();
    let (text, base) = desk.signed(&[], "");
    desk.put("base.txt", base.replace("?dry=1", "?dry=2"));
    let (_, report) = desk.explained(&text, &["--base", "base.txt"]);
    let difference = &report["compared"]["difference"];
    assert_eq!(difference["line"], 4);
    assert_eq!(difference["column"], 16);
    assert_eq!(difference["gateway"], "`1`");
    assert_eq!(difference["caller"], "`2`");
}

#[test]
fn explain_shows_a_tokens_claims_and_never_its_signature() {
    let desk = Desk::new();
    let (text, _) = desk.signed(
        &[
            "--scheme",
            "token",
            "--audience",
            "api",
            "--scope",
            "orders",
        ],
        "",
    );
    let signature = text.trim_end().rsplit('.').next().unwrap().to_owned();
    let (code, report) = desk.explained(&text, &[]);
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(report["token"]["claims"]["aud"], "api");
    assert_eq!(report["token"]["header"]["alg"], "HS256");
    assert!(!report.to_string().contains(&signature));

    let wrong = text.replace(&signature, &"A".repeat(signature.len()));
    assert_eq!(desk.refused(&wrong), "credential-rejected");
    desk.put("request.txt", &text);
    let ran = desk.keyed("explain", &["--at", "1700000600", "request.txt"]);
    assert_eq!(ran.code, 1);
    assert!(ran.out.contains("credential-expired") && !ran.out.contains(&signature));
}

#[test]
fn explain_digests_the_credentials_that_a_signature_covers() {
    let desk = Desk::new();
    let ran = desk.keyed(
        "sign",
        &[
            "--created",
            THEN,
            "-H",
            "Authorization: Bearer opaque-bird",
            URL,
        ],
    );
    let text = format!(
        "GET /orders/42?dry=1 HTTP/1.1\nHost: api.example.com\nAuthorization: Bearer opaque-bird\n{}\n",
        ran.out
    );
    let (code, report) = desk.explained(&text, &[]);
    assert_eq!(code, 0, "{report:#}");
    assert!(!report.to_string().contains("opaque-bird"));
}

#[test]
fn explain_without_any_key_still_shows_the_text() {
    let desk = Desk::new();
    let (text, _) = desk.signed(&[], "");
    let ran = desk.run_with(&["explain", "--at", THEN], &text);
    assert_eq!(ran.code, 1);
    assert!(ran.out.contains("\"@authority\": api.example.com"));
    assert!(ran.out.contains("no key is known here"), "{}", ran.out);
}

/// Answers one request with `answer`; gives back the address and what was received.
fn answering(answer: String) -> (String, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut got = Vec::new();
        let mut piece = [0; 1024];
        while !got.windows(4).any(|end| end == b"\r\n\r\n") {
            let read = stream.read(&mut piece).unwrap();
            assert!(read > 0);
            got.extend_from_slice(&piece[..read]);
        }
        stream.write_all(answer.as_bytes()).unwrap();
        String::from_utf8(got).unwrap()
    });
    (format!("http://{address}"), server)
}

fn http_answer(status: &str, kind: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[test]
fn request_sends_the_target_as_it_is_with_its_proof() {
    let desk = Desk::new();
    let (url, server) = answering(http_answer("200 OK", "text/plain", "hello"));
    let ran = desk.keyed("request", &[&format!("{url}/a%2fb?x=%41&&y"), "-i"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(
        ran.out.contains("200 OK") && ran.out.ends_with("hello"),
        "{}",
        ran.out
    );
    assert!(ran.out.contains("Content-Type: text/plain"));
    let got = server.join().unwrap();
    assert!(got.starts_with("GET /a%2fb?x=%41&&y HTTP/1.1\r\n"), "{got}");
    for field in [
        "signature-input:",
        "signature:",
        "signature-base-digest:",
        "host:",
    ] {
        assert_eq!(
            got.to_lowercase().matches(&format!("\r\n{field}")).count(),
            1,
            "{got}"
        );
    }
}

#[test]
fn what_request_puts_into_a_file_is_the_body_alone() {
    let desk = Desk::new();
    let (url, server) = answering(http_answer("200 OK", "text/plain", "hello"));
    let ran = desk.keyed("request", &[&url]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "hello"));
    assert!(ran.err.contains("HTTP/1.1 200 OK"), "{}", ran.err);
    server.join().unwrap();
}

#[test]
fn request_shows_where_the_gateways_text_parts_from_the_signed_one() {
    let desk = Desk::new();
    let problem = serde_json::json!({
        "title": "The credential does not hold",
        "status": 401,
        "code": "credential-rejected",
        "detail": "Compare.\u{1b}[31m",
        "signature_base": "\"@method\": PUT\nmore",
    });
    let answer = http_answer(
        "401 Unauthorized",
        "application/problem+json",
        &problem.to_string(),
    );
    let (url, server) = answering(answer);
    let ran = desk.keyed("request", &[&url]);
    server.join().unwrap();
    assert_eq!(ran.code, 1);
    assert!(ran.out.contains("credential-rejected"));
    assert!(
        ran.out
            .contains("Line 1, column 12: the gateway has `P`, signed was `G`"),
        "{}",
        ran.out
    );
    assert!(
        !ran.out.contains('\u{1b}'),
        "a terminal must not obey a server"
    );
}

#[test]
fn request_believes_that_the_texts_are_the_same_and_shows_no_token_of_a_url() {
    let desk = Desk::new();
    for (base, same, told) in [
        (
            "GET\n/x\nX-Amz-Security-Token=<a token>",
            Some(true),
            "It is the text that was signed here",
        ),
        (
            "PUT\n/x\nX-Amz-Security-Token=<a token>",
            None,
            "Line 1, column 1: the gateway has `P`, signed was `G`",
        ),
        (
            "GET\n/x\nX-Amz-Security-Token=<a token>",
            Some(false),
            "Line 3, column 7: the gateway has `S`, signed was `A`",
        ),
    ] {
        let problem = serde_json::json!({
            "status": 401,
            "code": "credential-rejected",
            "signature_base": base,
            "signature_base_matches": same,
        });
        let answer = http_answer(
            "401 Unauthorized",
            "application/problem+json",
            &problem.to_string(),
        );
        let (url, server) = answering(answer);
        let url = format!("{url}/x?X-Amz-Security-Token=canary-token");
        let presign = ["--presign", "600", &url];
        // That no canary is seen holds for whatever runs here.
        let ran = desk.keyed("request", &[&AWS[..], &presign].concat());
        server.join().unwrap();
        assert_eq!(ran.code, 1, "{}", ran.err);
        assert!(ran.out.contains(told), "{}", ran.out);
        let compares = ran.out.contains("\nLine ");
        assert_eq!(compares, same != Some(true), "{}", ran.out);
    }
}

#[test]
fn request_prints_json_and_exits_by_status() {
    let desk = Desk::new();
    let (url, server) = answering(http_answer("503 Service Unavailable", "text/plain", "no"));
    let ran = desk.keyed("request", &["--json", &url]);
    server.join().unwrap();
    assert_eq!(ran.code, 1);
    let json: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(json["status"], 503);
    assert_eq!(json["body"]["text"], "no");
}

#[test]
fn request_says_when_tls_meets_plain_http() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    let desk = Desk::new();
    let ran = desk.keyed("request", &[&format!("https://{}/", gateway.address())]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("is it `http://`?"), "{}", ran.err);
}

#[test]
fn explain_knows_a_secret_that_was_not_decoded() {
    let desk = Desk::new();
    let line = "base64:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
    desk.put("right.key", line);
    let text = &line["base64:".len()..];
    for scheme in ["http-signature", "token"] {
        let signed = desk.run_with(
            &[
                "sign",
                "--key-id",
                "k",
                "--secret-stdin",
                "--created",
                THEN,
                "--scheme",
                scheme,
                "http://h/",
            ],
            text,
        );
        let request = format!("GET / HTTP/1.1\nHost: h\n{}\n", signed.out);
        let ran = desk.run_with(
            &[
                "explain",
                "--at",
                THEN,
                "--key-id",
                "k",
                "--secret",
                "file:right.key",
            ],
            &request,
        );
        assert_eq!(ran.code, 1, "{}", ran.err);
        assert!(ran.out.contains("decode it from base64"), "{}", ran.out);
    }
}

#[test]
fn request_says_that_nobody_listens() {
    let desk = Desk::new();
    let closed = Closed::port();
    let address = closed.address();
    let ran = desk.keyed("request", &[&format!("http://{address}/")]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains(&address.to_string()), "{}", ran.err);
}

/// A gateway that speaks TLS as `localhost`, and how to call it.
fn over_tls(upstream: &Upstream) -> (Gateway, Vec<String>) {
    let setup = Setup::before(upstream)
        .server("tls = { certificate = \"file:cert.pem\", key = \"file:key.pem\" }");
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    setup.write("cert.pem", certified.cert.pem().as_bytes());
    setup.write("key.pem", certified.signing_key.serialize_pem().as_bytes());
    let gateway = setup.start();
    let secret = gateway.setup().path("mobile.key");
    let args = [
        "--key-id".to_owned(),
        "mobile-2026".to_owned(),
        "--secret".to_owned(),
        format!("file:{}", secret.display()),
        "--created".to_owned(),
        T0.to_string(),
        format!("https://localhost:{}/orders?x=1", gateway.address().port()),
    ];
    (gateway, args.to_vec())
}

#[test]
fn request_speaks_tls_with_the_authority_that_it_is_told_to_trust() {
    let upstream = Upstream::start();
    let (gateway, args) = over_tls(&upstream);
    let authority = gateway.setup().path("cert.pem").display().to_string();
    let desk = Desk::new();
    let mut all = vec!["request", "-d", "hello", "--cacert", &authority];
    all.extend(args.iter().map(String::as_str));
    let ran = desk.run(&all);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert_eq!(upstream.got(0).target(), "/orders?x=1");

    all.retain(|word| !["--cacert", &authority].contains(word));
    let ran = desk.run(&all);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("--cacert"), "{}", ran.err);
}

#[test]
fn explain_takes_routes_and_keys_from_a_configuration() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream).route("methods = [\"GET\"]");
    setup.write("gateway.toml", setup.text().as_bytes());
    let secret = format!("file:{}", setup.path("mobile.key").display());
    let config = setup.path("gateway.toml").display().to_string();
    let desk = Desk::new();
    let at = T0.to_string();
    let signed = desk.run(&[
        "sign",
        "--key-id",
        "mobile-2026",
        "--secret",
        &secret,
        "--created",
        &at,
        "http://h/orders",
    ]);
    let text = format!("GET /orders HTTP/1.1\nHost: h\n{}\n", signed.out);
    let explain = ["explain", "-c", &config, "--at", &at];
    let ran = desk.run_with(&explain, &text);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("key `mobile-2026` of app"), "{}", ran.out);

    let ran = desk.run_with(&explain, &text.replace("GET", "POST"));
    assert!(ran.out.contains("405 method-not-allowed"), "{}", ran.out);
    let ran = desk.run_with(&explain, &text.replace("mobile-2026", "mobil-2026"));
    assert!(
        ran.out.contains("no key is called `mobil-2026`"),
        "{}",
        ran.out
    );
    // It may be one that was made at run time, where any can be: then nothing is said of the request.
    assert_eq!(ran.code, 1);
    for words in [
        "not checked keys made at run time",
        "This cannot be told here.",
    ] {
        assert!(ran.out.contains(words), "{}", ran.out);
    }
    assert!(!ran.out.contains("credential-rejected"), "{}", ran.out);
}

#[test]
fn completions_and_manual_pages_are_made() {
    let desk = Desk::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let ran = desk.run(&["completions", shell]);
        assert_eq!(ran.code, 0);
        assert!(ran.out.contains("explain"), "{shell}");
    }
    assert_eq!(desk.run(&["man", "pages"]).code, 0);
    for command in COMMANDS {
        let page = desk.path().join(format!("pages/portcullis-{command}.1"));
        assert!(std::fs::read_to_string(page).unwrap().contains(".TH"));
    }
}

#[test]
fn the_demo_gets_every_answer_it_should() {
    let desk = Desk::new();
    let ran = desk.run(&["demo", "--once", "--listen", "127.0.0.1:0"]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("Every answer is what it should be."));
    for word in [
        "Portcullis-App: demo",
        "replayed",
        "clock-skew",
        "the secret is used with its `base64:`",
        "rate-exceeded",
        "Retry-After",
    ] {
        assert!(ran.out.contains(word), "{word}");
    }
    assert!(
        !ran.out.replace("`base64:`", "").contains("base64:"),
        "the fresh secret is not shown"
    );
}

/// A configuration with a route for signed requests, `route` in it, and `rest` behind it.
fn demo_config(route: &str, rest: &str) -> String {
    let key =
        r#"{ id = "mobile", algorithm = "hmac-sha256", secret = "generated:state/mobile.key" }"#;
    format!(
        "[upstreams.orders]\nservers = [\"http://127.0.0.1:9\"]\n\
         [[routes]]\nname = \"orders\"\npath = \"/orders/**\"\nupstream = \"orders\"\n\
         accept = [\"http-signature\", \"token+http-signature\"]\n{route}\n\
         [apps.mobile]\nplan = \"own\"\nkeys = [{key}]\n{rest}\n"
    )
}

/// Runs the demo on a configuration; every answer has to be what it should be.
fn demonstrated(config: &str) -> String {
    let desk = Desk::new();
    desk.put("gateway.toml", config);
    let ran = desk.run(&["demo", "--once", "--listen", "127.0.0.1:0"]);
    assert_eq!(ran.code, 0, "{config}\n{}{}", ran.out, ran.err);
    ran.out
}

#[test]
fn the_demo_plays_on_good_configurations_whatever_they_limit() {
    let own = "[plans.own]\nrate = \"20/s\"\n";
    let beside = |route: &str| {
        format!(
            "{own}[[routes]]\nname = \"beside\"\nupstream = \"orders\"\n\
             accept = [\"public\"]\n{route}"
        )
    };
    for (route, rest) in [
        ("", own),
        ("", "[plans.own]\nrate = \"1000/s\"\n"),
        ("", "[plans.own]\nrate = \"20/s\"\nconcurrency = 2\n"),
        ("methods = [\"POST\"]", own),
        ("replay = \"strict\"", own),
        ("in_flight = 1", own),
        (
            "",
            &format!(
                "{own}[peers]\nfailures = {{ rate = \"1/s\", burst = 5 }}\n\
                 rate = \"1/s\""
            ),
        ),
        (
            "",
            &format!(
                "{own}[overload]\nin_flight = 1\nqueue = 1\nqueue_timeout = \"1ms\"\n\
                 [server]\nmax_connections = 1\nmax_connections_per_address = 1"
            ),
        ),
        (
            "",
            &format!(
                "{own}[freshness]\nwindow = \"2h\"\n\
                 [server]\ndrain = {{ not_ready = \"1h\" }}"
            ),
        ),
        ("", &format!("{own}[freshness]\nproofs = 10")),
        ("", &beside("path = \"/orders/*/items\"")),
    ] {
        let told = demonstrated(&demo_config(route, rest));
        assert!(
            told.contains("Configuration: `gateway.toml` here."),
            "{told}"
        );
    }
    // Where what is shown as refused would pass, or not go so far.
    for (route, rest) in [
        ("mode = \"observe\"", own),
        ("replay = \"off\"", own),
        (
            "assurance = \"attested+signed\"",
            &format!(
                "{own}[apps.attester]\nkeys = [{{ id = \"attester\", algorithm = \"hmac-sha256\", \
                 secret = \"generated:state/a.key\", schemes = [\"token\"], attests = true }}]"
            ),
        ),
        ("body = { limit = \"5 B\" }", own),
        (
            "waive = [{ part = \"query\", until = 2036-01-01, reason = \"old callers\" }]",
            own,
        ),
        ("", &beside("path = \"/orders/*\"")),
        ("", &beside("host = \"127.0.0.1\"\npath = \"/orders/42\"")),
    ] {
        let told = demonstrated(&demo_config(route, rest));
        assert!(told.contains("no route of `gateway.toml` here"), "{told}");
        assert!(
            told.contains("Configuration: the built-in sample."),
            "{told}"
        );
    }
}

#[test]
fn the_demo_asks_no_issuer_and_opens_no_registry_of_a_configuration() {
    let issuer = TcpListener::bind("127.0.0.1:0").unwrap();
    let desk = Desk::new();
    let state = desk.path().join("real");
    let config = demo_config(
        "",
        &format!(
            "[plans.own]\nrate = \"20/s\"\n[state]\ndirectory = \"{}\"\n\
             [issuers.outside]\nissuer = \"https://issuer.example\"\naudience = \"api\"\n\
             algorithms = [\"EdDSA\"]\njwks = \"http://{}/keys\"\napp = \"mobile\"\n",
            state.display(),
            issuer.local_addr().unwrap(),
        ),
    );
    let told = demonstrated(&config);
    assert!(
        told.contains("Configuration: `gateway.toml` here."),
        "{told}"
    );
    issuer.set_nonblocking(true).unwrap();
    let asked = issuer.accept().unwrap_err();
    assert_eq!(asked.kind(), std::io::ErrorKind::WouldBlock);
    assert!(!state.exists());
}

#[test]
fn the_demo_makes_no_secret_of_a_configuration_be_that_good_or_not() {
    let desk = Desk::new();
    let state = desk.path().join("real");
    let good = demo_config(
        "",
        &format!(
            "[plans.own]\nrate = \"20/s\"\n[state]\ndirectory = \"{0}\"\n\
             [apps.other]\nkeys = [{{ id = \"other\", algorithm = \"hmac-sha256\", \
             secret = \"generated:{0}/other.key\" }}]\n",
            state.display(),
        ),
    );
    let bad = format!("{good}[upstreams.empty]\nservers = []\n");
    for (config, told) in [
        (good, "Configuration: `gateway.toml` here."),
        (bad, "Configuration: the built-in sample."),
    ] {
        let ran = demonstrated(&config);
        assert!(ran.contains(told), "{ran}");
        assert!(!state.exists(), "{told}");
    }
}
