//! More requests than may be in flight.

use crate::harness::{Connection, Gateway, Setup, Upstream, caller, h2, wait_until};

const ROUTES: &str = r#"
[[routes]]
name = "all"
path = "/**"
upstream = "backend"
accept = ["http-signature"]

[[routes]]
name = "capped"
path = "/capped"
upstream = "backend"
accept = ["http-signature"]
in_flight = 1

[[routes]]
name = "health"
path = "/health"
upstream = "backend"
accept = ["public"]
reserved = true
"#;

/// Room for two, and a queue for one whose end no test waits for.
fn gateway(upstream: &Upstream, overload: &str) -> Gateway {
    Setup::before(upstream)
        .routes(ROUTES)
        .more(&format!("[overload]\n{overload}\n"))
        .start()
}

const SMALL: &str = "in_flight = 2\nqueue = 1\nqueue_timeout = \"1h\"\nreserve = 1";

/// Sends a proven request, and leaves its answer to the test.
fn ask(gateway: &Gateway, path: &str) -> Connection {
    let mut connection = gateway.connect();
    connection.send(&caller().sign(&gateway.request("GET", path)).bytes());
    connection
}

fn metric(gateway: &Gateway, name: &str) -> u64 {
    let text = gateway.ask_admin("/metrics").text();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no `{name}`"))
        .trim()
        .parse()
        .unwrap()
}

/// Waits until the gateway says so of itself.
pub(crate) fn wait_for(gateway: &Gateway, name: &str, wanted: u64) {
    wait_until(&format!("{name}{wanted}"), || {
        metric(gateway, name) == wanted
    });
}

const ADMITTED: &str = "portcullis_admitted_requests ";
pub(crate) const QUEUED: &str = "portcullis_queued_requests ";

#[test]
fn more_than_may_be_in_flight_wait_and_the_oldest_is_told_to_come_again() {
    let (allow, upstream) = Upstream::held_but("/health");
    let gateway = gateway(&upstream, SMALL);
    let mut first = [ask(&gateway, "/1"), ask(&gateway, "/2")];
    upstream.wait_for_head(1);
    let mut oldest = ask(&gateway, "/oldest");
    wait_for(&gateway, QUEUED, 1);
    let mut newest = ask(&gateway, "/newest");
    let refused = oldest.response();
    refused.assert_refused(503, "overloaded");
    assert_eq!(refused.field("retry-after"), Some("1"));
    assert_eq!(
        (metric(&gateway, ADMITTED), metric(&gateway, QUEUED)),
        (2, 1)
    );
    // A health check passes meanwhile, by the reserve.
    gateway
        .send(&gateway.request("GET", "/health"))
        .assert_passed();
    for _ in 0..3 {
        allow.send(()).unwrap();
    }
    for connection in &mut first {
        connection.response().assert_passed();
    }
    newest.response().assert_passed();
    wait_for(&gateway, ADMITTED, 0);
    assert_eq!(upstream.heard().len(), 4, "the refused one reached nobody");
    let refused = |line: &str| line.contains("\"code\":\"overloaded\"");
    gateway.log().wait_for("the refusal's record", refused);
    let counted = "portcullis_requests_total{route=\"all\",status=\"5xx\",reason=\"overloaded\"}";
    assert_eq!(metric(&gateway, counted), 1);
}

#[test]
fn a_wait_ends_after_the_time_it_may_take() {
    let (allow, upstream) = Upstream::held_but("/health");
    let gateway = gateway(&upstream, "in_flight = 1\nqueue_timeout = \"50ms\"");
    let mut first = ask(&gateway, "/1");
    upstream.wait_for_head(0);
    let refused = ask(&gateway, "/2").response();
    refused.assert_refused(503, "overloaded");
    assert_eq!(refused.field("retry-after"), Some("1"));
    allow.send(()).unwrap();
    first.response().assert_passed();
    assert_eq!(upstream.heard().len(), 1);
}

#[test]
fn a_refused_caller_may_come_again_on_the_same_connection() {
    let (allow, upstream) = Upstream::held_but("/health");
    let gateway = gateway(&upstream, "in_flight = 1\nqueue_timeout = \"50ms\"");
    let mut first = ask(&gateway, "/1");
    upstream.wait_for_head(0);
    let mut second = ask(&gateway, "/2");
    second.response().assert_refused(503, "overloaded");
    allow.send(()).unwrap();
    first.response().assert_passed();
    allow.send(()).unwrap();
    second.send(&caller().sign(&gateway.request("GET", "/2")).bytes());
    second.response().assert_passed();
}

#[test]
fn the_cap_of_a_route_is_its_own() {
    let (allow, upstream) = Upstream::held_but("/health");
    let gateway = gateway(
        &upstream,
        "in_flight = 3\nqueue = 1\nqueue_timeout = \"50ms\"",
    );
    let mut capped = ask(&gateway, "/capped");
    upstream.wait_for_head(0);
    ask(&gateway, "/capped")
        .response()
        .assert_refused(503, "overloaded");
    let mut other = ask(&gateway, "/other");
    upstream.wait_for_head(1);
    for _ in 0..2 {
        allow.send(()).unwrap();
    }
    capped.response().assert_passed();
    other.response().assert_passed();
}

#[test]
fn a_flood_of_bad_proofs_takes_no_place_and_waits_for_none() {
    let (allow, upstream) = Upstream::held_but("/health");
    let gateway = gateway(&upstream, SMALL);
    let mut held = [ask(&gateway, "/1"), ask(&gateway, "/2")];
    upstream.wait_for_head(1);
    let bad = caller()
        .secret(b"a secret that is not the key's at all")
        .sign(&gateway.request("GET", "/"));
    for _ in 0..20 {
        gateway
            .send(&bad)
            .assert_refused(401, "credential-rejected");
    }
    assert_eq!(
        (metric(&gateway, ADMITTED), metric(&gateway, QUEUED)),
        (2, 0)
    );
    for _ in 0..2 {
        allow.send(()).unwrap();
    }
    for connection in &mut held {
        connection.response().assert_passed();
    }
}

#[test]
fn strangers_who_hold_all_places_that_they_may_have_keep_no_proven_caller_out() {
    const OPEN: &str = r#"
[[routes]]
name = "watched"
path = "/watched"
upstream = "backend"
accept = ["http-signature"]
mode = "observe"

[[routes]]
name = "open"
path = "/open"
upstream = "backend"
accept = ["public"]
"#;
    let (allow, upstream) = Upstream::held_but("/now");
    let gateway = Setup::before(&upstream)
        .routes(&format!("{ROUTES}{OPEN}"))
        .more("[overload]\nin_flight = 4\nqueue_timeout = \"50ms\"\n")
        .start();
    let stranger = |path: &str| {
        let mut connection = gateway.connect();
        connection.send(&gateway.request("GET", path).bytes());
        connection
    };
    let mut held = [stranger("/watched"), stranger("/open")];
    upstream.wait_for_head(1);
    for path in ["/watched", "/open"] {
        stranger(path).response().assert_refused(503, "overloaded");
    }
    let without_proof = |line: &str| line.contains("requests without a proof are in flight");
    gateway.log().wait_for("why", without_proof);
    gateway
        .send(&caller().sign(&gateway.request("GET", "/now")))
        .assert_passed();
    wait_for(&gateway, ADMITTED, 2);
    let mut proven = [ask(&gateway, "/watched"), ask(&gateway, "/2")];
    upstream.wait_for_head(4);
    for _ in 0..4 {
        allow.send(()).unwrap();
    }
    for connection in held.iter_mut().chain(&mut proven) {
        connection.response().assert_passed();
    }
    wait_for(&gateway, ADMITTED, 0);
}

#[test]
fn a_place_is_held_until_the_answers_body_has_ended() {
    let (allow, upstream) = Upstream::in_two_parts();
    let gateway = gateway(&upstream, SMALL);
    let mut first = ask(&gateway, "/1");
    assert_eq!(first.head().unwrap().0, 200);
    assert_eq!(first.take(3), b"hel");
    assert_eq!(metric(&gateway, ADMITTED), 1);
    allow.send(()).unwrap();
    assert_eq!(first.take(2), b"lo");
    wait_for(&gateway, ADMITTED, 0);
}

#[test]
fn a_caller_that_goes_away_frees_its_place_and_its_turn() {
    let (allow, upstream) = Upstream::held_but("/health");
    let gateway = gateway(&upstream, SMALL);
    // Over HTTP/1.1 the end of what a client sends is not yet its going.
    let open = |path: &str| {
        let request = caller().sign(&gateway.request("GET", path));
        h2::open(gateway.address(), &request)
    };
    let first = [open("/1"), open("/2")];
    upstream.wait_for_head(1);
    let waits = open("/3");
    wait_for(&gateway, QUEUED, 1);
    drop(waits);
    wait_for(&gateway, QUEUED, 0);
    drop(first);
    wait_for(&gateway, ADMITTED, 0);
    for _ in 0..3 {
        allow.send(()).unwrap();
    }
    ask(&gateway, "/4").response().assert_passed();
}

#[test]
fn over_http_2_the_refusal_is_the_same_and_the_body_is_taken_in() {
    let (allow, upstream) = Upstream::held_but("/health");
    let gateway = gateway(&upstream, "in_flight = 1\nqueue_timeout = \"50ms\"");
    let mut first = ask(&gateway, "/1");
    upstream.wait_for_head(0);
    let request = gateway.request("POST", "/2").body(vec![b'x'; 32 * 1024]);
    let refused = h2::send(&caller().nonce("2").sign(&request), gateway.address());
    assert_eq!(refused.status, 503);
    assert_eq!(refused.json()["code"], "overloaded");
    allow.send(()).unwrap();
    first.response().assert_passed();
}

#[test]
fn a_reload_changes_the_caps_and_what_is_in_flight_counts() {
    let (allow, upstream) = Upstream::held_but("/health");
    let gateway = gateway(&upstream, "in_flight = 2\nqueue_timeout = \"50ms\"");
    let one = gateway
        .setup()
        .text()
        .replace("in_flight = 2", "in_flight = 1");
    let mut first = ask(&gateway, "/1");
    upstream.wait_for_head(0);
    gateway.reload(&one);
    ask(&gateway, "/2")
        .response()
        .assert_refused(503, "overloaded");
    allow.send(()).unwrap();
    first.response().assert_passed();
}

#[test]
fn a_cap_that_is_taken_away_and_put_back_by_reloads_counts_what_it_had_let_in() {
    let (allow, upstream) = Upstream::held_but("/health");
    let gateway = gateway(&upstream, "in_flight = 9\nqueue_timeout = \"50ms\"");
    let capped = gateway.setup().text();
    let free = capped.replace("in_flight = 1\n", "");
    assert_ne!(capped, free);
    let mut first = ask(&gateway, "/capped");
    upstream.wait_for_head(0);
    gateway.reload(&free);
    gateway.reload(&capped);
    ask(&gateway, "/capped")
        .response()
        .assert_refused(503, "overloaded");
    allow.send(()).unwrap();
    first.response().assert_passed();
}
