//! The same callers in other languages, with key pairs.

use crate::harness::pair::{Pair, pairs};
use crate::harness::{Gateway, Request, Setup, Upstream};
use crate::interop::{
    Client, HTTP_MESSAGE_SIGNATURES, NODE_HTTP_MESSAGE_SIG, NODE_HTTP_MESSAGE_SIGNATURES, PYJWT,
    Proof, REQUESTS_HTTP_SIGNATURE, assert_refused,
};
use std::fmt::Write as _;

/// A gateway whose clock is the clients', with a key for each algorithm.
fn start(upstream: &Upstream, any_salt: bool) -> Gateway {
    let setup = Setup::before(upstream).routes(
        "[[routes]]\nname = \"all\"\npath = \"/**\"\nupstream = \"backend\"\naccept = [\"http-signature\"]\n\
         [[routes]]\nname = \"token\"\npath = \"/token/**\"\nupstream = \"backend\"\naccept = [\"token\"]\nbind = \"authorization\"\n",
    );
    let mut keys = String::new();
    for pair in pairs() {
        let name = pair.algorithm;
        setup.write_secret(name, pair.public_pem().as_bytes());
        let salt = any_salt && name == "rsa-pss-sha512";
        let _ = writeln!(
            keys,
            "{{ id = \"{name}\", algorithm = \"{name}\", public_key = \"file:{name}\", any_salt = {salt} }},"
        );
    }
    Gateway::start_now(setup.more(&format!("[apps.partner]\nkeys = [\n{keys}]\n")))
}

/// What makes a client sign with this pair.
fn options(pair: &Pair) -> Vec<String> {
    let private = pair.private().to_str().unwrap();
    [
        "--key-id",
        pair.algorithm,
        "--algorithm",
        pair.algorithm,
        "--secret-file",
        private,
        "--authorization",
        "Bearer of-the-user",
    ]
    .map(str::to_owned)
    .into()
}

fn each_algorithm(client: Client, any_salt: bool) {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start();
    let gateway = start(&upstream, any_salt);
    let is_token = client.proof == Proof::Token;
    for pair in pairs() {
        if is_token && pair.jose.is_none() || !is_token && !pair.signs_requests() {
            continue;
        }
        let before = upstream.heard().len();
        accepted_and_refused(client, &pair, &gateway, folder.path());
        assert_eq!(
            upstream.heard().len() - before,
            if is_token { 3 } else { 2 }
        );
    }
}

fn accepted_and_refused(client: Client, pair: &Pair, gateway: &Gateway, folder: &std::path::Path) {
    let prefix = match client.proof {
        Proof::Token => "/token",
        Proof::Signature => "",
    };
    let own = options(pair);
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    let answer = client.run(gateway, &format!("{prefix}/orders/7?b=2&a=1"), &own);
    assert_eq!(answer["status"], 200, "{client:?} {pair:?}: {answer}");

    let target = format!("{prefix}/orders/7?item=1");
    let with_body = [&own[..], &["--body", "{\"count\": 1}"]].concat();
    let signed = client.sign(gateway, "POST", &target, &with_body);
    let refused = |what: &str, changed: &Request, codes: &[&str]| {
        let what = format!("{} {what}", pair.algorithm);
        assert_refused(client, &what, &gateway.send(changed), codes);
    };
    let spoilt = |value: &str| match client.proof {
        Proof::Signature => value.replacen("=:", "=:AAAA", 1),
        Proof::Token => {
            let (front, signature) = value.rsplit_once('.').unwrap();
            format!("{front}.AAAA{}", &signature[4..])
        }
    };
    refused(
        "signature",
        &signed.clone().change(client.field(), spoilt),
        &["credential-rejected"],
    );
    let rejected: &[&str] = match client.proof {
        Proof::Signature => &["credential-rejected"],
        Proof::Token => &["binding-mismatch"],
    };
    refused(
        "authorization",
        &{ signed.clone() }.change("Authorization", |_| "Bearer of-another".into()),
        rejected,
    );
    if client.proof == Proof::Signature {
        for (what, changed) in signed.elsewhere() {
            refused(what, &changed, rejected);
        }
        let other = signed.clone().body("{\"count\": 2}");
        refused("body", &other, &["digest-mismatch"]);
    }
    let stranger = pair.stranger(folder);
    let foreign = [
        &own[..],
        &["--secret-file", stranger.private().to_str().unwrap()],
    ]
    .concat();
    let unknown = [&own[..], &["--key-id", "unknown"]].concat();
    for (what, options) in [("another key", foreign), ("unknown key", unknown)] {
        let request = client.sign(gateway, "GET", &target, &options);
        let response = gateway.send(&request);
        assert_refused(client, what, &response, &["credential-rejected"]);
    }
    // The wrong body has used the first one up, and this second may be the same.
    let once = [&with_body[..], &["--nonce"]].concat();
    let again = client.sign(gateway, "POST", &target, &once);
    gateway.send(&again).assert_passed();
    match client.proof {
        Proof::Signature => gateway.send(&again).assert_refused(401, "replayed"),
        Proof::Token => gateway.send(&again).assert_passed(),
    }
}

#[test]
fn python_http_message_signatures_passes_with_each_pair() {
    each_algorithm(HTTP_MESSAGE_SIGNATURES, false);
}

#[test]
fn python_requests_http_signature_passes_with_each_pair() {
    each_algorithm(REQUESTS_HTTP_SIGNATURE, false);
}

#[test]
fn pyjwt_passes_with_each_pair() {
    each_algorithm(PYJWT, false);
}

#[test]
fn node_http_message_sig_passes_with_each_pair() {
    each_algorithm(NODE_HTTP_MESSAGE_SIG, false);
}

#[test]
fn node_http_message_signatures_passes_with_each_pair_and_its_salt_where_the_key_says_so() {
    each_algorithm(NODE_HTTP_MESSAGE_SIGNATURES, true);
    let upstream = Upstream::start();
    let strict = start(&upstream, false);
    let own = options(&Pair::of("rsa-pss-sha512"));
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    let request = NODE_HTTP_MESSAGE_SIGNATURES.sign(&strict, "GET", "/orders/7", &own);
    strict
        .send(&request)
        .assert_refused(401, "credential-rejected");
    upstream.assert_silent();
}
