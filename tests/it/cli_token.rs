//! `portcullis token get` and `portcullis token inspect`.

use crate::harness::key_service::phone;
use crate::harness::{Binary, Setup, Token, Upstream};
use serde_json::Value;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

const DEV: &str = "evidence = [\"dev\"]";

struct Ran {
    code: i32,
    out: String,
    err: String,
}

fn portcullis(folder: &Path, args: &[&str], stdin: &str) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .arg("token")
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Who does not read it need not.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let ran = child.wait_with_output().unwrap();
    Ran {
        code: ran.status.code().unwrap(),
        out: String::from_utf8(ran.stdout).unwrap(),
        err: String::from_utf8(ran.stderr).unwrap(),
    }
}

/// A folder with the configuration that a gateway runs on.
fn desk(tokens: &str) -> (tempfile::TempDir, Binary) {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream).more(&phone(tokens));
    let folder = tempfile::tempdir().unwrap();
    for name in ["mobile.key", "mobile-512.key", "other.key"] {
        std::fs::copy(setup.path(name), folder.path().join(name)).unwrap();
    }
    std::fs::write(folder.path().join("gateway.toml"), setup.text()).unwrap();
    (folder, setup.spawn())
}

#[test]
fn a_token_is_got_and_told_what_it_says() {
    let (folder, gateway) = desk(DEV);
    let folder = folder.path();
    std::fs::write(folder.join("user"), "Bearer ada\n").unwrap();
    let url = format!("http://{}", gateway.address());
    let got = portcullis(
        folder,
        &[
            "get",
            "--url",
            &url,
            "--app",
            "phone",
            "--dev",
            "laptop",
            "--build",
            "1.4.2",
            "--authorization",
            "file:user",
            "--scope",
            "orders",
        ],
        "",
    );
    assert_eq!(got.code, 0, "{}", got.err);
    let told = portcullis(folder, &["inspect", "-c", "gateway.toml"], &got.out);
    assert_eq!(told.code, 0, "{}{}", told.out, told.err);
    for words in [
        "kid: phone-tokens",
        "scope: orders",
        "good for ",
        "the `Authorization` whose SHA-256 is ",
        "  holds",
        "of the app phone",
    ] {
        assert!(told.out.contains(words), "{words}: {}", told.out);
    }
    // Without a configuration there is nothing to check it by.
    let bearer = format!("Bearer {}", got.out);
    let told = portcullis(folder, &["inspect", "--json"], &bearer);
    let json: Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!(json["signature"], "not-checked");
    assert_eq!(json["claims"]["scope"], "orders");
    assert_eq!(json["app"], Value::Null);
    assert_eq!(told.code, 0);
    // In JSON, for programs.
    let args = [
        "get", "--url", &url, "--app", "phone", "--dev", "laptop", "--json",
    ];
    let json: Value = serde_json::from_str(&portcullis(folder, &args, "").out).unwrap();
    assert!(json["token"].as_str().unwrap().split('.').count() == 3);
}

#[test]
fn a_decoy_does_not_hold_and_a_refusal_is_told() {
    let (folder, gateway) = desk("evidence = [\"dev\"]\nbuilds = [\"9.9.9\"]");
    let url = format!("http://{}", gateway.address());
    let get = [
        "get", "--url", &url, "--app", "phone", "--dev", "x", "--build", "1",
    ];
    let got = portcullis(folder.path(), &get, "");
    assert_eq!(got.code, 0, "{}", got.err);
    let told = portcullis(folder.path(), &["inspect", "-c", "gateway.toml"], &got.out);
    assert_eq!(told.code, 1);
    assert!(
        told.out.contains("does not hold, or the token is a decoy"),
        "{}",
        told.out
    );
    let (folder, gateway) =
        desk("evidence = [\"dev\"]\nbuilds = [\"9.9.9\"]\non_failure = \"refuse\"");
    let url = format!("http://{}", gateway.address());
    let get = [
        "get", "--url", &url, "--app", "phone", "--dev", "x", "--build", "1",
    ];
    let got = portcullis(folder.path(), &get, "");
    assert_eq!((got.code, &*got.out), (1, ""));
    assert!(got.err.contains("403 `evidence-rejected`"), "{}", got.err);
}

#[test]
fn what_is_no_token_is_over_or_of_another_key_is_told() {
    let (folder, _gateway) = desk(DEV);
    let folder = folder.path();
    let inspect = |text: &str| portcullis(folder, &["inspect", "-c", "gateway.toml"], text);
    for text in ["", "a", "a.b", "!.!.!", "e30.e30", "e30.W10.AA"] {
        let told = inspect(text);
        assert_eq!(told.code, 2, "{text}: {}", told.out);
        assert!(told.err.contains("this is no token"), "{}", told.err);
    }
    let over = inspect(&Token::new().claim("iat", 1_000).claim("exp", 1_300).text());
    assert_eq!(over.code, 1);
    assert!(
        over.out.contains("over for ") && over.out.contains("  holds"),
        "{}",
        over.out
    );
    let other = inspect(&Token::new().header("alg", "ES256").text());
    assert!(
        other.out.contains("`alg` is not the key's"),
        "{}",
        other.out
    );
    let unknown = inspect(&Token::new().header("kid", "nobody").text());
    assert!(
        unknown.out.contains("no key of the configuration"),
        "{}",
        unknown.out
    );
    let evil = inspect(&Token::new().claim("sub", "\u{1b}[2Jevil").text());
    assert!(!evil.out.contains('\u{1b}'), "{:?}", evil.out);
    let unbound = inspect(&Token::new().text());
    assert!(
        unbound.out.contains("whoever has it can use it"),
        "{}",
        unbound.out
    );
}

#[test]
fn what_is_asked_for_wrongly_is_a_matter_of_usage() {
    let (folder, _gateway) = desk(DEV);
    for (args, told) in [
        (&["get", "--app", "phone", "--dev", "x"][..], "--url"),
        (
            &["get", "--app", "phone", "--url", "http://127.0.0.1:1"],
            "--dev",
        ),
        (
            &[
                "get",
                "--app",
                "phone",
                "--url",
                "api.example.com",
                "--dev",
                "x",
            ],
            "no URL of a gateway",
        ),
        (
            &[
                "get",
                "--app",
                "phone",
                "--url",
                "http://h",
                "--instance",
                "i",
            ],
            "--instance-key",
        ),
    ] {
        let ran = portcullis(folder.path(), args, "");
        assert_eq!(ran.code, 2, "{args:?}: {}", ran.err);
        assert!(ran.err.contains(told), "{args:?}: {}", ran.err);
    }
    let closed = crate::harness::Closed::port();
    let url = format!("http://{}", closed.address());
    let ran = portcullis(
        folder.path(),
        &["get", "--app", "phone", "--url", &url, "--dev", "x"],
        "",
    );
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("cannot be reached"), "{}", ran.err);
}
