//! `portcullis explain` on tokens of issuers outside, and on the proofs of keys beside tokens.

use crate::harness::dpop::{proof_of, thumbprint};
use crate::harness::issuer::{AUD, ISS, Issuer, every_key, section, set, token};
use crate::harness::pair::Pair;
use crate::harness::{T0, Token};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

/// A configuration with an issuer, which is described by these lines.
fn desk(issuer: &str) -> TempDir {
    let desk = tempfile::tempdir().unwrap();
    let path = desk.path();
    std::fs::write(path.join("keys.json"), every_key().to_string()).unwrap();
    std::fs::write(
        path.join("mobile.key"),
        "canary-canary-canary-canary-canary-canary",
    )
    .unwrap();
    std::fs::write(
        path.join("gateway.toml"),
        format!(
            "[upstreams.backend]\nservers = [\"http://127.0.0.1:9\"]\n\
             [[routes]]\nname = \"all\"\npath = \"/**\"\nupstream = \"backend\"\naccept = [\"token\"]\n\
             [apps.mobile]\nkeys = [{{ id = \"mobile-2026\", algorithm = \"hmac-sha256\", secret = \"file:mobile.key\" }}]\n{issuer}"
        ),
    )
    .unwrap();
    desk
}

fn run(desk: &Path, headers: &str, more: &[&str]) -> Output {
    let text = format!("GET /orders/7?x=1 HTTP/1.1\nHost: api.example\n{headers}\n");
    std::fs::write(desk.join("pasted"), text).unwrap();
    Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args([
            "explain",
            "-c",
            "gateway.toml",
            "--json",
            "--at",
            &T0.to_string(),
        ])
        .args(more)
        .arg("pasted")
        .current_dir(desk)
        .output()
        .unwrap()
}

fn explained(desk: &Path, headers: &str, more: &[&str]) -> Value {
    let output = run(desk, headers, more);
    let report = serde_json::from_slice(&output.stdout);
    report.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

fn bearer(token: &Token) -> String {
    format!("Authorization: Bearer {}\n", token.text())
}

fn change(report: &Value) -> &str {
    report["refused"]["change"].as_str().unwrap_or_default()
}

#[test]
fn a_token_of_an_issuer_is_judged_with_keys_of_a_file() {
    let desk = desk(&section("file:keys.json", ""));
    let judge = |token: &Token| explained(desk.path(), &bearer(token), &[]);
    let report = judge(&token());
    assert_eq!(report["passes"], true, "{report:#}");
    assert_eq!(report["token"]["issuer"], "outside");
    assert_eq!(
        report["steps"][2]["note"],
        "key `outside/ES256` of app `mobile`"
    );
    for (token, code, wanted) in [
        (
            token().header("kid", "of-none"),
            "credential-rejected",
            "has no key `of-none`; it has `",
        ),
        (
            token().header("alg", "ES384"),
            "credential-rejected",
            "`alg` must be that of the key",
        ),
        (
            token().claim("aud", "https://other.example"),
            "credential-rejected",
            "https://other.example",
        ),
        (
            token().claim("exp", T0 + 90_000),
            "credential-rejected",
            "`max_lifetime`",
        ),
        (
            token().claim("exp", T0 - 1),
            "credential-expired",
            "make a new one",
        ),
    ] {
        let report = judge(&token);
        assert_eq!(report["refused"]["code"], code, "{report:#}");
        assert!(change(&report).contains(wanted), "{report:#}");
    }
    // One that was changed on the way.
    let (front, signature) = token()
        .text()
        .rsplit_once('.')
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .unwrap();
    let spoilt = format!("Authorization: Bearer {front}.AAAA{}\n", &signature[4..]);
    let report = explained(desk.path(), &spoilt, &[]);
    assert!(
        change(&report).contains("not signed with the key `ES256` of issuer `outside`"),
        "{report:#}"
    );
}

#[test]
fn of_issuers_of_one_name_the_one_whose_audience_it_has_is_explained() {
    let first = section("file:keys.json", "");
    let second = first
        .replace("issuers.outside", "issuers.twin")
        .replace(AUD, "https://twin.example");
    let desk = desk(&format!("{first}\n{second}max_lifetime = \"30m\"\n"));
    let judge = |token: &Token| explained(desk.path(), &bearer(token), &[]);
    let twins = token().claim("aud", "https://twin.example");
    let report = judge(&twins);
    assert_eq!(report["token"]["issuer"], "twin", "{report:#}");
    assert!(
        change(&report).contains("`[issuers.twin]` takes tokens of at most 1800 s"),
        "{report:#}"
    );
    let report = judge(&twins.claim("exp", T0 + 900));
    assert_eq!(report["passes"], true, "{report:#}");
    assert_eq!(judge(&token())["token"]["issuer"], "outside");
}

#[test]
fn the_app_that_a_claim_stands_for_is_explained() {
    let more = "claim = \"azp\"\napps = [{ value = \"mobile-app\", app = \"mobile\" }]";
    let desk = desk(&section("file:keys.json", more));
    let judge = |token: &Token| explained(desk.path(), &bearer(token), &[]);
    assert_eq!(judge(&token().claim("azp", "mobile-app"))["passes"], true);
    let report = judge(&token().claim("azp", "other-app"));
    assert!(
        change(&report).contains("`azp` is `\"other-app\"` here"),
        "{report:#}"
    );
    assert!(change(&report).contains("lists `mobile-app`"), "{report:#}");
    assert!(change(&judge(&token())).contains("`azp` is missing here"));
}

#[test]
fn keys_on_the_web_are_fetched_only_where_that_is_asked_for() {
    let issuer = Issuer::start(&every_key());
    let desk = desk(&section(&issuer.url(), ""));
    let report = explained(desk.path(), &bearer(&token()), &[]);
    assert_eq!(report["refused"]["code"], "credential-rejected");
    assert!(
        change(&report).contains("`--fetch` gets them"),
        "{report:#}"
    );
    assert_eq!(issuer.asked(), 0);
    let report = explained(desk.path(), &bearer(&token()), &["--fetch"]);
    assert_eq!(report["passes"], true, "{report:#}");
    assert_eq!(issuer.asked(), 1);
    // What cannot be had is said, and nothing is judged without it.
    for (status, body, wanted) in [
        (500, "no", "it answered 500"),
        (200, "no", "it is not a JWK Set"),
        (200, "{\"keys\": []}", "none of its keys can be used"),
    ] {
        issuer.say(status, body);
        let output = run(desk.path(), &bearer(&token()), &["--fetch"]);
        assert_eq!(output.status.code(), Some(1));
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(
            told.contains(wanted) && told.contains("issuer `outside`"),
            "{told}"
        );
        assert!(output.stdout.is_empty());
    }
    issuer.serve(&set(&[Pair::of("ecdsa-p256-sha256").jwk("newer")]));
    let report = explained(desk.path(), &bearer(&token()), &["--fetch"]);
    assert!(
        change(&report).contains("has no key `ES256`; it has `newer`"),
        "{report:#}"
    );
}

#[test]
fn fetching_without_a_configuration_is_refused() {
    let desk = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["explain", "--fetch", "pasted"])
        .current_dir(desk.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("needs a configuration"), "{told}");
}

#[test]
fn the_proof_of_a_key_beside_a_token_is_explained() {
    let desk = desk(&section("file:keys.json", ""));
    let pair = Pair::of("ecdsa-p256-sha256");
    let bound = token()
        .claim("cnf", json!({ "jkt": thumbprint(&pair) }))
        .text();
    let judge = |proof: &Token| {
        let headers = format!("Authorization: DPoP {bound}\nDPoP: {}\n", proof.text());
        explained(desk.path(), &headers, &["--https"])
    };
    let url = "https://api.example/orders/7";
    let good = proof_of(&pair, "GET", url, &bound);
    let report = judge(&good);
    assert_eq!(report["passes"], true, "{report:#}");
    assert_eq!(report["dpop"]["claims"]["htu"], url);
    assert_eq!(report["dpop"]["header"]["typ"], "dpop+jwt");
    for (proof, wanted) in [
        (proof_of(&pair, "POST", url, &bound), "`htm` must be `GET`"),
        (
            proof_of(&pair, "GET", "http://api.example/orders/7", &bound),
            "`htu` must be `https://api.example/orders/7`",
        ),
    ] {
        let report = judge(&proof);
        assert_eq!(report["refused"]["code"], "binding-mismatch", "{report:#}");
        assert!(change(&report).contains(wanted), "{report:#}");
    }
    // Of a token whose key is known here, too: it is not the token that is old.
    let own = Token::new()
        .claim("cnf", json!({ "jkt": thumbprint(&pair) }))
        .signed_with(b"canary-canary-canary-canary-canary-canary")
        .text();
    let old = proof_of(&pair, "GET", url, &own).claim("iat", T0 - 301);
    let headers = format!("Portcullis-Token: {own}\nDPoP: {}\n", old.text());
    let report = explained(desk.path(), &headers, &["--https"]);
    assert_eq!(report["refused"]["code"], "clock-skew", "{report:#}");
    assert_eq!(report["token"]["mistake"], Value::Null, "{report:#}");
    assert!(
        change(&report).starts_with("the proof's time is 5 min ago"),
        "{report:#}"
    );
    let alone = explained(
        desk.path(),
        &format!("Authorization: DPoP {bound}\n"),
        &["--https"],
    );
    assert_eq!(alone["refused"]["code"], "credential-missing");
    assert!(alone.get("dpop").is_none());
    assert_eq!(alone["token"]["claims"]["iss"], ISS);
}
