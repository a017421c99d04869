//! The commands with key pairs.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use crate::harness::pair::{Pair, pairs};
use crate::harness::{Gateway, Setup, Upstream};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use serde_json::Value;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Output};

const URL: &str = "http://api.example.com/orders/42?dry=1";
const THEN: &str = "1700000000";

fn portcullis(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(args).current_dir(folder).output().unwrap()
}

/// What a command prints for programs, and whether it said yes.
fn told(output: &Output) -> (bool, Value) {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let json = serde_json::from_str(&text);
    let err = String::from_utf8_lossy(&output.stderr);
    (
        output.status.success(),
        json.unwrap_or_else(|_| panic!("{text}{err}")),
    )
}

/// The options that name the private half of a pair.
fn private(pair: &Pair) -> Vec<String> {
    let reference = format!("file:{}", pair.private().display());
    [
        "--key-id",
        pair.algorithm,
        "--algorithm",
        pair.algorithm,
        "--secret",
        &reference,
    ]
    .map(str::to_owned)
    .into()
}

/// The request that `sign` made, in raw text.
fn signed(folder: &Path, pair: &Pair, scheme: &str) -> String {
    let key = private(pair);
    let mut args = vec!["sign", "--json", "--created", THEN, "--scheme", scheme, URL];
    args.extend(key.iter().map(String::as_str));
    let (done, json) = told(&portcullis(folder, &args));
    assert!(done, "{json}");
    let mut text = "GET /orders/42?dry=1 HTTP/1.1\r\nHost: api.example.com\r\n".to_owned();
    for header in json["headers"].as_array().unwrap() {
        let [name, value] = [0, 1].map(|at| header[at].as_str().unwrap());
        write!(text, "{name}: {value}\r\n").unwrap();
    }
    text + "\r\n"
}

fn explained(folder: &Path, pair: &Pair, key: &str, request: &str) -> (bool, Value) {
    std::fs::write(folder.join("request.txt"), request).unwrap();
    let reference = format!("file:{key}");
    let output = portcullis(
        folder,
        &[
            "explain",
            "--json",
            "--at",
            THEN,
            "--key-id",
            pair.algorithm,
            "--algorithm",
            pair.algorithm,
            "--secret",
            &reference,
            "request.txt",
        ],
    );
    told(&output)
}

#[test]
fn what_is_signed_with_a_private_key_is_explained_with_either_half() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for pair in pairs() {
        let scheme = match (pair.signs_requests(), pair.jose) {
            (true, _) => "http-signature",
            (false, _) => "token",
        };
        let request = signed(folder, &pair, scheme);
        std::fs::write(folder.join("public.pem"), pair.public_pem()).unwrap();
        let stranger = pair.stranger(folder);
        std::fs::write(folder.join("other.pem"), stranger.public_pem()).unwrap();
        for (key, passes) in [
            ("public.pem", true),
            (pair.private().to_str().unwrap(), true),
            ("other.pem", false),
        ] {
            let (passed, report) = explained(folder, &pair, key, &request);
            assert_eq!(passed, passes, "{pair:?} {key}: {report:#}");
            if !passes {
                let advice = report["refused"]["change"].as_str().unwrap_or_default();
                assert!(advice.contains("private"), "{report:#}");
            }
        }
    }
}

#[test]
fn tokens_are_signed_with_each_algorithm_of_theirs_and_with_no_other() {
    let folder = tempfile::tempdir().unwrap();
    for pair in pairs() {
        let key = private(&pair);
        let mut args = vec!["sign", "--json", "--scheme", "token", URL];
        args.extend(key.iter().map(String::as_str));
        let output = portcullis(folder.path(), &args);
        let Some(name) = pair.jose else {
            assert_eq!(output.status.code(), Some(2));
            let err = String::from_utf8_lossy(&output.stderr);
            assert!(err.contains("signs requests, but no tokens"), "{err}");
            continue;
        };
        let (_, json) = told(&output);
        let token = json["headers"][0][1].as_str().unwrap();
        let header = token.split('.').next().unwrap();
        let header = BASE64URL_NOPAD.decode(header.as_bytes()).unwrap();
        let header: Value = serde_json::from_slice(&header).unwrap();
        assert_eq!(
            (&header["alg"], &header["kid"]),
            (&name.into(), &pair.algorithm.into())
        );
    }
    let key = private(&Pair::of("rsa-pss-sha256"));
    let mut args = vec!["sign", URL];
    args.extend(key.iter().map(String::as_str));
    let output = portcullis(folder.path(), &args);
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(err.contains("signs tokens, but no requests"), "{err}");
}

#[test]
fn explain_names_the_usual_mistakes_of_libraries_with_private_keys() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (algorithm, told) in [
        ("ecdsa-p256-sha256", "DER"),
        ("ecdsa-p384-sha384", "DER"),
        ("rsa-pss-sha512", "any_salt"),
    ] {
        let pair = Pair::of(algorithm);
        let key = private(&pair);
        let mut args = vec!["sign", "--json", "--created", THEN, "--no-nonce", URL];
        args.extend(key.iter().map(String::as_str));
        let (_, json) = self::told(&portcullis(folder, &args));
        let base = json["signature_base"].as_str().unwrap().as_bytes();
        let mistaken = if algorithm == "rsa-pss-sha512" {
            pair.clone().longest_salt().sign(base)
        } else {
            pair.sign_der(base)
        };
        let input = json["headers"][0][1].as_str().unwrap();
        let request = format!(
            "GET /orders/42?dry=1 HTTP/1.1\r\nHost: api.example.com\r\nSignature-Input: {input}\r\n\
             Signature: sig1=:{}:\r\n\r\n",
            BASE64.encode(&mistaken)
        );
        std::fs::write(folder.join("public.pem"), pair.public_pem()).unwrap();
        let (passed, report) = explained(folder, &pair, "public.pem", &request);
        assert!(!passed);
        let likely = report["signatures"][0]["likely"]
            .as_str()
            .unwrap_or_default();
        assert!(likely.contains(told), "{report:#}");
    }
}

#[test]
fn a_key_of_another_kind_is_named_and_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let ed25519 = Pair::of("ed25519");
    let reference = format!("file:{}", ed25519.private().display());
    for (algorithm, told) in [
        ("ecdsa-p256-sha256", "an Ed25519 key"),
        ("rsa-pss-sha512", "an Ed25519 key"),
        ("hmac-sha256", "a key in PEM"),
    ] {
        let output = portcullis(
            folder.path(),
            &[
                "sign",
                "--key-id",
                "k",
                "--secret",
                &reference,
                "--algorithm",
                algorithm,
                URL,
            ],
        );
        assert_eq!(output.status.code(), Some(2));
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(err.contains(told), "{err}");
        assert!(!err.contains("MC4C"), "{err}");
    }
}

#[test]
fn request_sends_what_the_gateway_takes_and_check_shows_the_keys() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream);
    let mut keys = String::new();
    for pair in pairs() {
        let name = pair.algorithm;
        setup.write_secret(name, pair.public_pem().as_bytes());
        let _ = writeln!(
            keys,
            "{{ id = \"{name}\", algorithm = \"{name}\", public_key = \"file:{name}\" }},"
        );
    }
    let gateway = Gateway::start_now(setup.more(&format!("[apps.partner]\nkeys = [\n{keys}]\n")));
    let folder = gateway.setup().folder();
    let url = format!("http://{}/orders", gateway.address());
    for pair in pairs() {
        let key = private(&pair);
        let scheme = if pair.signs_requests() {
            "http-signature"
        } else {
            "token"
        };
        let mut args = vec!["request", "--scheme", scheme, "-d", "{}", &url];
        args.extend(key.iter().map(String::as_str));
        let output = portcullis(folder, &args);
        assert!(output.status.success(), "{pair:?} {output:?}");
    }
    assert_eq!(upstream.heard().len(), 6);

    gateway
        .setup()
        .write("shown.toml", gateway.setup().text().as_bytes());
    let shown = portcullis(folder, &["check", "-c", "shown.toml"]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(
        shown.contains("key ed25519: ed25519, file:ed25519"),
        "{shown}"
    );
}
