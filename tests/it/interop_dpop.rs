//! Callers with DPoP, by their own ecosystems' libraries: `jose` and `dpop` of npm, `Authlib` of Python's.

use crate::harness::{Binary, Gateway, Request, Setup, Upstream};
use crate::interop::{AUTHLIB_DPOP, Client, NODE_DPOP, assert_refused};

/// A gateway whose clock is the clients'.
fn start(upstream: &Upstream, tokens: &str) -> Gateway {
    Gateway::start_now(setup(upstream, tokens))
}

fn setup(upstream: &Upstream, tokens: &str) -> Setup {
    Setup::before(upstream)
        .tokens(tokens)
        .route("accept = [\"token\"]\nbind = \"dpop\"")
}

fn accepted_as_it_comes_and_refused_when_changed(client: Client) {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "");
    for (number, (target, more)) in [
        ("/orders/7", &[][..]),
        ("/orders/7?b=2&a=1&a=2", &["--method", "DELETE"]),
        ("/orders", &["--method", "POST", "--body", "{\"count\": 1}"]),
    ]
    .into_iter()
    .enumerate()
    {
        let answer = client.run(&gateway, target, more);
        assert_eq!(answer["status"], 200, "{client:?} {target}: {answer}");
        let got = upstream.got(number);
        assert_eq!(got.field("portcullis-scheme"), Some("token"));
        assert_eq!(got.field("dpop"), None);
    }
    let heard = upstream.heard().len();
    let proven = client.sign(&gateway, "POST", "/orders/7?item=1", &["--body", "x"]);
    let other = client.sign(&gateway, "POST", "/orders/7?item=1", &["--body", "x"]);
    let refused = |what: &str, changed: &Request, codes: &[&str]| {
        assert_refused(client, what, &gateway.send(changed), codes);
    };
    let change = |name: &str, change: &dyn Fn(&str) -> String| proven.clone().change(name, change);
    let mismatch: &[&str] = &["binding-mismatch"];
    for (what, changed) in proven.elsewhere() {
        // The proof is of the URL without its query.
        if !what.contains("query") {
            refused(what, &changed, mismatch);
        }
    }
    for name in ["Portcullis-Token", "DPoP"] {
        let theirs = change(name, &|_| other.value(name).unwrap());
        refused(name, &theirs, mismatch);
    }
    let spoilt = change("DPoP", &|proof| {
        let (front, signature) = proof.rsplit_once('.').unwrap();
        format!("{front}.AAAA{}", &signature[4..])
    });
    refused("signature", &spoilt, &["credential-rejected"]);
    let bare = proven.clone().without("DPoP");
    refused("no proof", &bare, &["credential-missing"]);
    gateway.send(&proven).assert_passed();
    refused("the same again", &proven, &["replayed"]);
    assert_eq!(upstream.heard().len(), heard + 1);

    // A gateway whose clock is elsewhere.
    for unix in [Binary::now() - 3600, Binary::now() + 3600] {
        let upstream = Upstream::start();
        let gateway = Gateway::start_at(setup(&upstream, ""), unix);
        let proven = client.sign(&gateway, "GET", "/orders/7", &[]);
        let codes = ["clock-skew", "credential-expired"];
        assert_refused(client, "time", &gateway.send(&proven), &codes);
        upstream.assert_silent();
    }
}

#[test]
fn npm_jose_and_dpop_pass_as_they_come() {
    accepted_as_it_comes_and_refused_when_changed(NODE_DPOP);
}

#[test]
fn authlib_passes_as_it_comes() {
    accepted_as_it_comes_and_refused_when_changed(AUTHLIB_DPOP);
}

#[test]
fn npm_dpop_answers_the_challenge_for_a_nonce() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "dpop_nonce = true");
    let answer = NODE_DPOP.run(&gateway, "/orders/7", &[]);
    assert_eq!(answer["status"], 200, "{answer}");
    assert_eq!(upstream.heard().len(), 1);
}
