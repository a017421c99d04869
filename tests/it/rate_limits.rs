//! How much a caller may ask.

use crate::harness::h2::{self, RST_STREAM, Session};
use crate::harness::{Caller, Gateway, Response, Setup, T0, Token, Upstream, caller};
use serde_json::Value;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

const PLAN: &str = "[plans.small]\nrate = \"10/s\"\nburst = 3\n";

fn limited(upstream: &Upstream) -> Setup {
    Setup::before(upstream).app("plan = \"small\"").more(PLAN)
}

fn ask(gateway: &Gateway) -> Response {
    gateway.send(
        &gateway
            .request("GET", "/")
            .field("Portcullis-Token", &Token::new().text()),
    )
}

#[test]
fn a_burst_passes_and_the_next_request_is_told_when_to_come_again() {
    let upstream = Upstream::start();
    let gateway = limited(&upstream).start();
    for _ in 0..3 {
        ask(&gateway).assert_passed();
    }
    let response = ask(&gateway);
    response.assert_refused(429, "rate-exceeded");
    assert_eq!(response.field("retry-after"), Some("1"));
    assert_eq!(upstream.heard().len(), 3);
    gateway
        .hand()
        .advance(std::time::Duration::from_millis(100));
    ask(&gateway).assert_passed();
    ask(&gateway).assert_refused(429, "rate-exceeded");
    gateway.advance(10);
    for _ in 0..3 {
        ask(&gateway).assert_passed();
    }
    ask(&gateway).assert_refused(429, "rate-exceeded");
}

#[test]
fn every_limited_answer_tells_the_limit_and_what_is_left() {
    let upstream = Upstream::start();
    let gateway = limited(&upstream).start();
    let mut left = Vec::new();
    for _ in 0..4 {
        let response = ask(&gateway);
        let policy = response
            .field("ratelimit-policy")
            .expect("RateLimit-Policy");
        assert!(
            policy.contains("q=3") || policy.contains("q=10"),
            "{policy}"
        );
        let limit = response.field("ratelimit").expect("RateLimit");
        let rest = limit.split("r=").nth(1).expect("r=");
        let rest: u32 = rest.split(';').next().unwrap().parse().unwrap();
        left.push(rest);
    }
    assert_eq!(left, [2, 1, 0, 0]);
    let other = Caller::other().sign(&gateway.request("GET", "/"));
    let response = gateway.send(&other);
    response.assert_passed();
    assert_eq!(response.field("ratelimit"), None);
}

#[test]
fn an_apps_keys_and_schemes_share_its_limit_and_apps_do_not() {
    let upstream = Upstream::start();
    let gateway = limited(&upstream).start();
    let request = gateway.request("GET", "/");
    gateway.send(&caller().sign(&request)).assert_passed();
    gateway
        .send(&Caller::sha512().sign(&request))
        .assert_passed();
    ask(&gateway).assert_passed();
    gateway
        .send(&caller().sign(&request))
        .assert_refused(429, "rate-exceeded");
    for _ in 0..10 {
        gateway
            .send(&Caller::other().sign(&request))
            .assert_passed();
    }
}

#[test]
fn a_request_that_is_not_proven_costs_the_app_nothing() {
    let upstream = Upstream::start();
    let gateway = limited(&upstream).start();
    let request = gateway.request("GET", "/");
    for _ in 0..20 {
        let forged = caller()
            .secret(b"not the secret of this very key!")
            .sign(&request);
        gateway
            .send(&forged)
            .assert_refused(401, "credential-rejected");
    }
    for _ in 0..3 {
        ask(&gateway).assert_passed();
    }
}

#[test]
fn requests_in_flight_are_limited_and_a_place_is_free_again_at_the_end() {
    let (allow, allowed) = mpsc::channel::<()>();
    let allowed = Mutex::new(allowed);
    let upstream = Upstream::answering(move |_, wire| {
        allowed.lock().unwrap().recv().unwrap();
        wire.answer(200, &[], b"hello");
    });
    let gateway = Setup::before(&upstream)
        .app("plan = \"few\"")
        .more("[plans.few]\nconcurrency = 2\n")
        .start();
    let request = gateway
        .request("GET", "/")
        .field("Portcullis-Token", &Token::new().text());
    let mut first = gateway.connect();
    let mut second = gateway.connect();
    first.send(&request.bytes());
    second.send(&request.bytes());
    upstream.wait_for_head(1);
    let response = gateway.send(&request);
    response.assert_refused(429, "concurrency-exceeded");
    assert!(response.field("retry-after").is_some());
    allow.send(()).unwrap();
    allow.send(()).unwrap();
    first.response().assert_passed();
    second.response().assert_passed();
    allow.send(()).unwrap();
    // The record is written when the response has ended, and its place is free.
    gateway.record(2);
    gateway.send(&request).assert_passed();
}

#[test]
fn a_place_is_free_again_when_the_client_leaves() {
    let (_closed, upstream) = Upstream::endless_at("/streams");
    let gateway = Setup::before(&upstream)
        .app("plan = \"one\"")
        .more("[plans.one]\nconcurrency = 1\nrate = \"10/s\"\n")
        .start();
    let token = Token::new().text();
    let streaming = gateway
        .request("GET", "/streams")
        .field("Portcullis-Token", &token);
    let mut connection = gateway.connect();
    connection.send(&streaming.bytes());
    assert_eq!(connection.take(4096).len(), 4096);
    let refused = ask(&gateway);
    refused.assert_refused(429, "concurrency-exceeded");
    assert!(refused.field("ratelimit").is_some(), "it has a rate too");
    drop(connection);
    gateway.record(1);
    ask(&gateway).assert_passed();
}

#[test]
fn a_peer_that_is_refused_too_often_is_limited_before_anything_is_verified() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream)
        .peers("failures = { rate = \"1/s\", burst = 5 }")
        .start();
    let request = gateway.request("GET", "/");
    for _ in 0..5 {
        gateway
            .send(&request)
            .assert_refused(401, "credential-missing");
    }
    let response = gateway.send(&request);
    response.assert_refused(429, "peer-limited");
    assert!(response.field("retry-after").is_some());
    gateway
        .send(&caller().sign(&request))
        .assert_refused(429, "peer-limited");
    upstream.assert_silent();
    gateway.advance(60);
    gateway.send(&caller().sign(&request)).assert_passed();
}

#[test]
fn a_bad_proof_counts_and_is_recorded_as_one_though_its_stream_is_reset_at_once() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream)
        .peers("failures = { rate = \"1/h\", burst = 5 }")
        .start();
    let forged = caller()
        .secret(b"not the secret of this very key!")
        .sign(&gateway.request("GET", "/"));
    let mut session = Session::open(gateway.address(), &[]);
    let mut bytes = Vec::new();
    for id in (1..).step_by(2).take(8) {
        h2::put_request(&mut bytes, id, &forged, true);
        h2::frame(&mut bytes, RST_STREAM, 0, id, &h2::CANCEL.to_be_bytes());
    }
    session.send(&bytes);
    for place in 0..5 {
        let record = gateway.record(place);
        assert_eq!(record["code"], "credential-rejected", "{record}");
        assert_eq!(record["reason"], "wrong-signature", "{record}");
    }
    gateway.record(7);
    ask(&gateway).assert_refused(429, "peer-limited");
    upstream.assert_silent();
}

#[test]
fn an_upload_that_its_client_gives_up_on_is_no_refusal_and_counts_against_nobody() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream)
        .route("accept = [\"public\"]\nbody = { limit = \"1 MiB\" }")
        .peers("failures = { rate = \"1/h\", burst = 3 }")
        .start();
    let upload = gateway.request("PUT", "/");
    let mut session = Session::open(gateway.address(), &[]);
    for (place, id) in (1..).step_by(2).take(6).enumerate() {
        session.head(id, &upload, false);
        session.frame(h2::DATA, 0, id, b"a part of it");
        assert!(session.settle());
        session.reset(id);
        let record = gateway.record(place);
        assert_eq!(record["status"], 499, "{record}");
        assert_eq!(record["code"], Value::Null, "{record}");
    }
    gateway.send(&gateway.request("GET", "/")).assert_passed();
}

#[test]
fn requests_that_pass_do_not_count_against_their_peer() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream)
        .peers("failures = { rate = \"1/s\", burst = 2 }")
        .start();
    for _ in 0..20 {
        ask(&gateway).assert_passed();
    }
}

#[test]
fn a_trusted_proxy_does_not_wait_for_what_it_passes_on_that_nobody_can_read() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream)
        .server("trusted_proxies = [\"127.0.0.1\"]")
        .peers("failures = { rate = \"1/h\", burst = 1 }")
        .start();
    for _ in 0..3 {
        let unreadable = gateway
            .request("GET", "/?q=\"x\"")
            .field("X-Forwarded-For", "192.0.2.66");
        gateway
            .send(&unreadable)
            .assert_refused(400, "malformed-request");
    }
    ask(&gateway).assert_passed();
}

#[test]
fn whoever_is_proven_and_breaks_its_body_off_is_no_stranger() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream)
        .route("body = { limit = \"1 MiB\", verify = \"while-forwarding\" }")
        .peers("failures = { rate = \"1/h\", burst = 1 }")
        .start();
    for number in 0..3 {
        let upload = gateway.request("POST", "/").body("a body of some length");
        let upload = caller().nonce(&number.to_string()).sign(&upload).bytes();
        let mut connection = gateway.connect();
        connection.send(&upload[..upload.len() - 9]);
        connection.finish();
        connection
            .response()
            .assert_refused(400, "malformed-request");
    }
    ask(&gateway).assert_passed();
}

#[test]
fn requests_of_any_kind_may_be_limited_per_peer() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream)
        .peers("failures = \"off\"\nrate = { rate = \"1/s\", burst = 4 }")
        .start();
    for _ in 0..4 {
        ask(&gateway).assert_passed();
    }
    ask(&gateway).assert_refused(429, "peer-limited");
}

#[test]
fn whoever_has_to_wait_is_told_for_which_of_the_two_limits_of_an_address() {
    let upstream = Upstream::start();
    for (peers, accept, told) in [
        (
            "failures = \"off\"\nrate = { rate = \"1/h\", burst = 1 }",
            "accept = [\"public\"]",
            "Too much was asked from this address",
        ),
        (
            "failures = { rate = \"1/h\", burst = 1 }\nrate = { rate = \"1/h\", burst = 9 }",
            "accept = [\"http-signature\"]",
            "Too many requests from this address were refused",
        ),
    ] {
        let gateway = Setup::before(&upstream).peers(peers).route(accept).start();
        let request = gateway.request("GET", "/");
        gateway.send(&request);
        let refused = gateway.send(&request);
        refused.assert_refused(429, "peer-limited");
        assert!(refused.field("retry-after").is_some());
        let detail = refused.detail();
        assert!(detail.starts_with(told), "{detail}");
        // Written when each answer has ended, by either worker.
        let records = [0, 1].map(|place| gateway.record(place));
        let mut limited = records.iter().filter(|record| record["status"] == 429);
        let record = limited.next().expect("its record");
        assert_eq!(record["reason"], detail.as_str());
    }
}

#[test]
fn counts_and_nonces_live_on_through_a_reload() {
    let upstream = Upstream::start();
    let setup = limited(&upstream);
    let same = setup.text();
    let roomier = setup.text().replace("burst = 3", "burst = 5");
    let gateway = setup.start();
    let used = caller().nonce("n").sign(&gateway.request("GET", "/"));
    gateway.send(&used).assert_passed();
    ask(&gateway).assert_passed();
    ask(&gateway).assert_passed();
    gateway.reload(&same);
    ask(&gateway).assert_refused(429, "rate-exceeded");
    gateway.reload(&roomier);
    let passed = (0..10).filter(|_| ask(&gateway).status == 200).count();
    assert!(
        passed <= 2,
        "{passed} passed: the reload forgot what was used"
    );
    gateway.advance(60);
    gateway.send(&used).assert_refused(401, "replayed");
    let passed = (0..10)
        .filter(|_| {
            let token = Token::new().claim("iat", T0 + 60).claim("exp", T0 + 360);
            let request = gateway
                .request("GET", "/")
                .field("Portcullis-Token", &token.text());
            gateway.send(&request).status == 200
        })
        .count();
    assert!(
        (4..=5).contains(&passed),
        "{passed} of the new burst passed"
    );
}

#[test]
fn a_step_or_an_app_that_reloads_take_away_and_put_back_still_knows_what_it_used() {
    const STEP: &str = "[plans.small.signed]\nrate = \"1/h\"\nburst = 2\n";
    let upstream = Upstream::start();
    let setup = limited(&upstream).more(STEP);
    let whole = setup.text();
    let gateway = setup.start();
    let signed = || gateway.send(&caller().sign(&gateway.request("GET", "/")));
    for _ in 0..2 {
        signed().assert_passed();
    }
    signed().assert_refused(429, "rate-exceeded");
    for away in [
        whole.replace(STEP, ""),
        whole.replace("[apps.mobile]", "[apps.elsewhere]"),
    ] {
        assert_ne!(away, whole);
        gateway.reload(&away);
        signed().assert_passed();
        gateway.reload(&whole);
        signed().assert_refused(429, "rate-exceeded");
    }
}

#[test]
fn an_app_whose_rate_a_reload_raises_need_not_ask_for_it_to_count() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream)
        .app("plan = \"small\"")
        .more("[plans.small]\nrate = \"1/h\"\nburst = 3\n");
    let quicker = setup.text().replace("1/h", "1/s");
    let gateway = setup.start();
    for _ in 0..3 {
        ask(&gateway).assert_passed();
    }
    ask(&gateway).assert_refused(429, "rate-exceeded");
    gateway.reload(&quicker);
    gateway.advance(2);
    for _ in 0..2 {
        ask(&gateway).assert_passed();
    }
    ask(&gateway).assert_refused(429, "rate-exceeded");
}

#[test]
fn a_limit_never_lets_more_through_than_burst_plus_rate_by_time() {
    let upstream = Upstream::start();
    let gateway = limited(&upstream).start();
    let passed = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..25 {
                    if ask(&gateway).status == 200 {
                        passed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(passed.load(Ordering::Relaxed), 3);
}

#[test]
fn a_plan_may_give_more_to_who_is_proven_better() {
    let plan = "[plans.small]\nrate = \"10/s\"\nburst = 1\n[plans.small.signed]\nrate = \"10/s\"\nburst = 2\n";
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream)
        .app("plan = \"small\"")
        .more(plan)
        .start();
    let sign = || gateway.send(&caller().sign(&gateway.request("GET", "/")));
    let first = ask(&gateway);
    first.assert_passed();
    let policy = first.field("ratelimit-policy").unwrap();
    assert!(policy.starts_with("\"small\";"), "{policy}");
    ask(&gateway).assert_refused(429, "rate-exceeded");
    for _ in 0..2 {
        let signed = sign();
        signed.assert_passed();
        let policy = signed.field("ratelimit-policy").unwrap();
        assert!(policy.starts_with("\"small.signed\";"), "{policy}");
    }
    sign().assert_refused(429, "rate-exceeded");
    // What is used up survives a reload of both.
    gateway.reload(&gateway.setup().text().replace("burst = 2", "burst = 3"));
    sign().assert_passed();
    sign().assert_refused(429, "rate-exceeded");
    ask(&gateway).assert_refused(429, "rate-exceeded");
    assert_eq!(upstream.heard().len(), 4);
}
