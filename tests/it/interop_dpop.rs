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
    let refused = |what: &str, change: &dyn Fn(&mut Request), codes: &[&str]| {
        let mut request = proven.clone();
        change(&mut request);
        assert_refused(client, what, &gateway.send(&request), codes);
    };
    let mismatch: &[&str] = &["binding-mismatch"];
    refused("method", &|r| r.method = "PUT".into(), mismatch);
    refused("path", &|r| r.target = "/orders/8".into(), mismatch);
    refused(
        "authority",
        &|r| r.authority = "other.example".into(),
        mismatch,
    );
    let theirs = |name: &str| other.value(name).unwrap();
    refused(
        "token",
        &|r| {
            *r = r
                .clone()
                .change("Portcullis-Token", |_| theirs("Portcullis-Token"));
        },
        mismatch,
    );
    refused(
        "proof",
        &|r| {
            *r = r.clone().change("DPoP", |_| theirs("DPoP"));
        },
        mismatch,
    );
    refused(
        "signature",
        &|r| {
            *r = r.clone().change("DPoP", |proof| {
                let (front, signature) = proof.rsplit_once('.').unwrap();
                format!("{front}.AAAA{}", &signature[4..])
            });
        },
        &["credential-rejected"],
    );
    refused(
        "no proof",
        &|r| *r = r.clone().without("DPoP"),
        &["credential-missing"],
    );
    gateway.send(&proven).assert_passed();
    refused("the same again", &|_| {}, &["replayed"]);
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
