//! Callers who sign as AWS's clients do: in a field, in the URL, with a body that is whole, untold or in pieces.

use crate::harness::h2::Session;
use crate::harness::raw::Connection;
use crate::harness::setup::SECRET;
use crate::harness::{Binary, DEADLINE, Gateway, Request, Setup, T0, Upstream, caller, h2};
use crate::signed_requests::assert_cookies_are_signed_as_forwarded;
use data_encoding::{BASE64, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};

/// [`T0`], as callers write it.
const DATE: &str = "20270115T080000Z";
const SCOPE: &str = "20270115/us-east-1/api/aws4_request";
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const ACCEPT: &str = "accept = [\"http-signature\", \"token\", \"aws-sigv4\"]";
const WAIVE_BODY: &str =
    "waive = [{ part = \"body\", until = 2030-01-01, reason = \"signers of S3\" }]";

fn setup(upstream: &Upstream) -> Setup {
    Setup::before(upstream).route(ACCEPT)
}

fn start() -> (Upstream, Gateway) {
    let upstream = Upstream::start();
    let gateway = setup(&upstream).start();
    (upstream, gateway)
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn sha256(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

/// The key of a day, written by hand.
fn day_key() -> Vec<u8> {
    let mut key = [b"AWS4", SECRET].concat();
    for part in SCOPE.split('/') {
        key = mac(&key, part);
    }
    key
}

/// The signature of a canonical request.
fn signature_of(canonical: &str) -> String {
    let text = format!(
        "AWS4-HMAC-SHA256\n{DATE}\n{SCOPE}\n{}",
        sha256(canonical.as_bytes())
    );
    HEXLOWER.encode(&mac(&day_key(), &text))
}

/// What stands for path and query in the canonical request, and for the body.
struct Form<'f> {
    path: &'f str,
    query: &'f str,
    payload: &'f str,
}

/// `request` with a date and a proof of every field it has.
fn sign_as(request: &Request, form: &Form<'_>) -> Request {
    let request = request.clone().field("X-Amz-Date", DATE);
    let mut names: Vec<String> = request
        .fields
        .iter()
        .map(|(name, _)| name.to_lowercase())
        .collect();
    names.push("host".into());
    names.sort();
    names.dedup();
    let lines: String = names
        .iter()
        .map(|name| match name.as_str() {
            "host" => format!("host:{}\n", request.authority),
            name => format!("{name}:{}\n", request.value(name).unwrap()),
        })
        .collect();
    let list = names.join(";");
    let canonical = format!(
        "{}\n{}\n{}\n{lines}\n{list}\n{}",
        request.method, form.path, form.query, form.payload
    );
    let signature = signature_of(&canonical);
    request.field(
        "Authorization",
        &format!("AWS4-HMAC-SHA256 Credential=mobile-2026/{SCOPE}, SignedHeaders={list}, Signature={signature}"),
    )
}

/// Of a plain target, with the body's hash.
pub(crate) fn sign(request: &Request) -> Request {
    let hash = sha256(request.body.as_deref().unwrap_or_default());
    sign_as(
        request,
        &Form {
            path: request.path(),
            query: request.query().unwrap_or_default(),
            payload: &hash,
        },
    )
}

fn with_hash(request: Request) -> Request {
    let hash = sha256(request.body.as_deref().unwrap_or_default());
    request.field("X-Amz-Content-Sha256", &hash)
}

fn whole(gateway: &Gateway) -> Request {
    gateway
        .request("POST", "/orders/7?item=1&item=2")
        .field("X-Custom", "a, b")
        .body("{\"count\": 1}")
}

/// A target that proves itself for so many seconds.
fn presign(gateway: &Gateway, method: &str, path: &str, expires: u32, payload: &str) -> Request {
    let credential = format!("mobile-2026/{SCOPE}").replace('/', "%2F");
    let query = format!(
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={credential}&X-Amz-Date={DATE}&X-Amz-Expires={expires}&X-Amz-SignedHeaders=host"
    );
    let host = gateway.address();
    let canonical = format!("{method}\n{path}\n{query}\nhost:{host}\n\nhost\n{payload}");
    let signature = signature_of(&canonical);
    gateway.request(
        method,
        &format!("{path}?{query}&X-Amz-Signature={signature}"),
    )
}

#[test]
fn a_signed_request_passes_and_the_backend_learns_who_signed_it() {
    let (upstream, gateway) = start();
    let signed = sign(&with_hash(whole(&gateway)).field("X-Amz-Security-Token", "of-the-user"));
    gateway.send(&signed).assert_passed();
    let got = upstream.only();
    assert_eq!(got.target(), "/orders/7?item=1&item=2");
    assert_eq!(got.body, b"{\"count\": 1}");
    assert_eq!(got.field("portcullis-scheme"), Some("aws-sigv4"));
    assert_eq!(got.field("portcullis-assurance"), Some("signed"));
    assert_eq!(got.field("portcullis-key"), Some("mobile-2026"));
    // The proof ends here.
    for name in [
        "authorization",
        "x-amz-content-sha256",
        "x-amz-security-token",
    ] {
        assert_eq!(got.field(name), None, "{name}");
    }
    assert_eq!(got.field("x-amz-date"), Some(DATE));
}

#[test]
fn a_proof_is_kept_where_the_route_says_so() {
    let upstream = Upstream::start();
    let gateway = setup(&upstream).route("keep_proof = true").start();
    let signed = sign(&with_hash(gateway.request("GET", "/")));
    gateway.send(&signed).assert_passed();
    let got = upstream.only();
    for name in ["authorization", "x-amz-content-sha256"] {
        assert_eq!(got.field(name).map(str::to_owned), signed.value(name));
    }
}

#[test]
fn each_change_is_refused() {
    let (upstream, gateway) = start();
    let signed = sign(&with_hash(whole(&gateway)));
    let refused = |what: &str, change: &dyn Fn(Request) -> Request, code: &str| {
        let response = gateway.send(&change(signed.clone()));
        assert_eq!(response.code(), code, "{what}: {}", response.text());
    };
    let rejected = "credential-rejected";
    for (what, changed) in signed.elsewhere() {
        refused(what, &|_| changed.clone(), rejected);
    }
    refused("end", &|r| r.target(|it| format!("{it}&")), rejected);
    refused(
        "field",
        &|r| r.change("X-Custom", |_| "a,b".into()),
        rejected,
    );
    refused("lost field", &|r| r.without("X-Custom"), "coverage-missing");
    refused(
        "a field of AWS's",
        &|r| r.field("X-Amz-Acl", "public-read"),
        "coverage-missing",
    );
    refused(
        "time",
        &|r| r.change("X-Amz-Date", |at| at.replace("00Z", "01Z")),
        rejected,
    );
    refused(
        "day",
        &|r| r.change("Authorization", |v| v.replace("20270115/", "20270114/")),
        "malformed-credential",
    );
    refused(
        "region",
        &|r| r.change("Authorization", |v| v.replace("us-east-1", "us-east-2")),
        rejected,
    );
    refused(
        "body and hash",
        &|r| {
            r.change("X-Amz-Content-Sha256", |_| sha256(b"{}"))
                .body("{}")
        },
        rejected,
    );
    refused(
        "lost hash",
        &|r| r.without("X-Amz-Content-Sha256"),
        "coverage-missing",
    );
    refused(
        "an unsigned body",
        &|r| r.change("X-Amz-Content-Sha256", |_| "UNSIGNED-PAYLOAD".into()),
        "coverage-missing",
    );
    refused(
        "signature",
        &|r| r.change("Authorization", |v| v.replace("Signature=", "Signature=0")),
        "malformed-credential",
    );
    refused(
        "unknown key",
        &|r| r.change("Authorization", |v| v.replace("mobile-2026", "mobile-2099")),
        rejected,
    );
    refused(
        "another app's key",
        &|r| r.change("Authorization", |v| v.replace("mobile-2026", "other-2026")),
        rejected,
    );
    refused(
        "no proof",
        &|r| r.without("Authorization"),
        "credential-missing",
    );
    // It uses the request up, so it comes last.
    refused("body", &|r| r.body("{\"count\": 2}"), "digest-mismatch");
    upstream.assert_silent();
}

#[test]
fn a_body_whose_hash_no_field_tells_is_read_before_its_proof() {
    let (upstream, gateway) = start();
    let signed = sign(&whole(&gateway));
    let mut changed = signed.clone();
    changed.body = Some("{\"count\": 2}".into());
    gateway
        .send(&changed)
        .assert_refused(401, "credential-rejected");
    upstream.assert_silent();
    // What was not proven is not used up.
    gateway.send(&signed).assert_passed();
    gateway.send(&signed).assert_refused(401, "replayed");
    assert_eq!(upstream.only().body, b"{\"count\": 1}");
    let chunked = sign(&whole(&gateway).field("X-Number", "2")).chunked();
    gateway.send(&chunked).assert_passed();
    assert_eq!(upstream.got(1).body, b"{\"count\": 1}");
    assert_eq!(upstream.got(1).field("content-length"), Some("12"));
    // A body of no bytes is none.
    let none = sign(&gateway.request("POST", "/none").body("")).chunked();
    gateway.send(&none).assert_passed();
}

#[test]
fn a_target_that_ends_in_a_question_mark_is_refused_since_none_signs_it() {
    let (upstream, gateway) = start();
    let signed = sign(&gateway.request("GET", "/orders"));
    let mut marked = signed.clone();
    marked.target.push('?');
    let told = "The target ends in a `?` with nothing behind it, which no signer of AWS's signs: leave it out.";
    let refused = gateway.send(&marked);
    refused.assert_refused(401, "coverage-missing");
    assert_eq!(refused.detail(), told);
    // Beside what is not signed either, each is told by itself.
    marked = marked.field("X-Amz-Acl", "private");
    assert_eq!(
        gateway.send(&marked).detail(),
        format!("The signature must cover `x-amz-acl` too. {told}")
    );
    upstream.assert_silent();
    gateway.send(&signed).assert_passed();
}

#[test]
fn what_was_signed_for_the_root_does_not_pass_as_options_for_all_of_the_server() {
    let (upstream, gateway) = start();
    let signed = sign(&gateway.request("OPTIONS", "/"));
    let mut all = signed.clone();
    all.target = "*".to_owned();
    let refused = gateway.send(&all);
    refused.assert_refused(401, "coverage-missing");
    assert_eq!(
        refused.detail(),
        "The target is `*`, which AWS's signers write as `/`: name a path."
    );
    upstream.assert_silent();
    gateway.send(&signed).assert_passed();
}

#[test]
fn cookies_are_signed_as_they_are_forwarded() {
    let (upstream, gateway) = start();
    assert_cookies_are_signed_as_forwarded(&gateway, &upstream, true, sign);
}

#[test]
fn a_body_is_read_before_its_proof_only_up_to_the_routes_bound() {
    let upstream = Upstream::start();
    let gateway = setup(&upstream)
        .route("sigv4 = { hold = \"1 KiB\" }")
        .route("body = { verify = \"while-forwarding\" }")
        .start();
    let body = |length| gateway.request("PUT", "/").body(vec![b'x'; length]);
    gateway.send(&sign(&body(1024))).assert_passed();
    for request in [sign(&body(1025)), sign(&body(1025)).chunked()] {
        let refused = gateway.send(&request);
        refused.assert_refused(413, "body-too-large");
        assert!(refused.detail().contains("X-Amz-Content-Sha256"));
    }
    assert_eq!(upstream.heard().len(), 1);
    // Told, it need not be read before.
    gateway.send(&sign(&with_hash(body(1025)))).assert_passed();
}

#[test]
fn a_body_that_is_read_before_its_proof_counts_against_its_peer_unless_it_proves_somebody() {
    let upstream = Upstream::start();
    let start = || {
        setup(&upstream)
            .route("sigv4 = { hold = \"1 KiB\" }")
            .peers("failures = { rate = \"1/h\", burst = 3 }")
            .start()
    };
    let body = |gateway: &Gateway| gateway.request("PUT", "/").body(vec![b'x'; 1025]);
    let gateway = start();
    for _ in 0..3 {
        gateway
            .send(&sign(&body(&gateway)).chunked())
            .assert_refused(413, "body-too-large");
    }
    let signed = sign(&gateway.request("GET", "/"));
    gateway.send(&signed).assert_refused(429, "peer-limited");

    // Of these the body is never sent.
    let gateway = start();
    let upload = sign(&body(&gateway));
    let mut session = Session::open(gateway.address(), &[]);
    for (place, id) in (1..).step_by(2).take(3).enumerate() {
        session.head(id, &upload, false);
        assert!(session.settle());
        session.reset(id);
        gateway.record(place);
    }
    let signed = sign(&gateway.request("GET", "/"));
    gateway.send(&signed).assert_refused(429, "peer-limited");
    upstream.assert_silent();
}

/// A backend over HTTP/2 that takes no byte of a body, and tells of each head that comes.
fn stuck() -> (Receiver<()>, Upstream) {
    let (heads, asked) = channel();
    let heads = Mutex::new(heads);
    let upstream = Upstream::raw(move |stream, _| {
        let no_window = [&h2::INITIAL_WINDOW.to_be_bytes()[..], &[0; 4]].concat();
        h2::to_each_head(stream, &no_window, || {
            let _ = heads.lock().unwrap().send(());
            Vec::new()
        });
    });
    (asked, upstream)
}

#[test]
fn proven_bodies_that_a_backend_does_not_take_shut_nobody_out_of_another_route() {
    let (asked, stuck) = stuck();
    let upstream = Upstream::start();
    let route = |path: &str, to: &str| {
        format!("[[routes]]\nname = \"{to}\"\npath = \"{path}\"\nupstream = \"{to}\"\n{ACCEPT}\n")
    };
    let gateway = Setup::before(&upstream)
        .routes(&[route("/stuck/**", "stuck"), route("/other", "backend")].concat())
        .more(&format!(
            "[upstreams.stuck]\nservers = [\"http://{}\"]\nprotocol = \"http2\"\n",
            stuck.address()
        ))
        .start();
    // As much as the bodies of one address may take before they are proven.
    let mut waiting = Vec::new();
    for number in 0..16 {
        let request = gateway.request("POST", &format!("/stuck/{number}"));
        let mut connection = gateway.connect();
        connection.send(&sign(&request.body(vec![b'x'; MIB])).bytes());
        asked.recv_timeout(DEADLINE).unwrap();
        waiting.push(connection);
    }
    let other = gateway.request("POST", "/other").body(vec![b'x'; 200_000]);
    gateway.send(&sign(&other)).assert_passed();
}

#[test]
fn what_was_signed_for_an_escaped_semicolon_is_no_signature_for_a_plain_one() {
    let (upstream, gateway) = start();
    let mut parted = sign(&gateway.request("GET", "/x?note=x%3Badmin%3D1"));
    gateway.send(&parted).assert_passed();
    parted.target = "/x?note=x;admin=1".into();
    gateway
        .send(&parted)
        .assert_refused(401, "credential-rejected");
    assert_eq!(upstream.heard().len(), 1);
}

/// A connection on which the gateway has asked for the body of `request`, which is still to be sent.
fn asked_for_its_body(gateway: &Gateway, request: &Request) -> Connection {
    let mut connection = gateway.connect();
    let expecting = request.clone().field("Expect", "100-continue");
    connection.send(&expecting.head());
    assert_eq!(connection.head().unwrap().0, 100);
    connection
}

#[test]
fn a_body_that_was_waited_for_is_charged_for_and_timed_when_it_has_come() {
    let upstream = Upstream::start();
    let gateway = setup(&upstream)
        .app("plan = \"few\"")
        .more("[plans.few]\nrate = \"1/s\"\nburst = 1\n")
        .start();
    let slow = sign(&whole(&gateway));
    let mut connection = asked_for_its_body(&gateway, &slow);
    gateway.advance(5);
    gateway
        .send(&sign(&gateway.request("GET", "/meanwhile")))
        .assert_passed();
    gateway.advance(1);
    connection.send(&slow.framed_body());
    connection.response_to("POST").assert_passed();
    assert_eq!(gateway.record(1)["upstream_ms"], 0.0);
}

#[test]
fn after_a_body_was_held_the_connection_goes_on() {
    let (_upstream, gateway) = start();
    let mut connection = gateway.connect();
    let mut bad = sign(&whole(&gateway));
    bad.body = Some("{\"count\": 2}".into());
    for _ in 0..3 {
        connection.send(&bad.bytes());
        connection
            .response_to("POST")
            .assert_refused(401, "credential-rejected");
    }
    connection.send(&sign(&whole(&gateway)).bytes());
    connection.response_to("POST").assert_passed();
}

#[test]
fn who_is_refused_by_the_head_sends_no_body_into_memory() {
    let (_upstream, gateway) = start();
    let signed = sign(&whole(&gateway)).change("X-Amz-Date", |at| at.replace("T08", "T07"));
    let mut connection = gateway.connect();
    // The answer is there before a byte of the body is.
    connection.send(&signed.head());
    connection
        .response_to("POST")
        .assert_refused(401, "clock-skew");
}

#[test]
fn a_request_that_changes_something_passes_once() {
    let (upstream, gateway) = start();
    let signed = sign(&with_hash(whole(&gateway)));
    gateway.send(&signed).assert_passed();
    gateway.send(&signed).assert_refused(401, "replayed");
    // Another way to write the same proof is the same proof.
    let spelt = signed.change("Authorization", |value| value.replace(", ", ","));
    gateway.send(&spelt).assert_refused(401, "replayed");
    assert_eq!(upstream.heard().len(), 1);
    let get = sign(&gateway.request("GET", "/orders"));
    gateway.send(&get).assert_passed();
    gateway.send(&get).assert_passed();
}

#[test]
fn a_proof_ends_with_its_window() {
    let (_upstream, gateway) = start();
    let signed = sign(&gateway.request("GET", "/orders"));
    gateway.advance(300);
    gateway.send(&signed).assert_passed();
    gateway.advance(1);
    let refused = gateway.send(&signed);
    refused.assert_refused(401, "clock-skew");
    assert_eq!(refused.json()["credential_time"], T0);
}

#[test]
fn an_unknown_key_and_a_wrong_signature_look_alike() {
    let (_upstream, gateway) = start();
    for signed in [
        sign(&gateway.request("GET", "/orders")),
        sign(&whole(&gateway)),
    ] {
        let answer = |id: &str| {
            let changed = signed
                .clone()
                .change("Authorization", |value| value.replace("mobile-2026", id));
            gateway.send(&changed).seen()
        };
        assert_eq!(answer("mobile-2099"), answer("other-2026"));
    }
}

#[test]
fn path_and_query_pass_in_the_forms_that_signers_give_them() {
    let (upstream, gateway) = start();
    for (number, (target, path, query)) in [
        ("/caf%C3%A9", "/caf%25C3%25A9", ""),
        ("/caf%C3%A9", "/caf%C3%A9", ""),
        ("/a?b=2&a=1", "/a", "b=2&a=1"),
        ("/a?b=2&a=1", "/a", "a=1&b=2"),
        ("/a?q=x:y@z", "/a", "q=x:y@z"),
        ("/a?q=x:y@z", "/a", "q=x%3Ay%40z"),
        ("/a?q", "/a", "q="),
        ("/a?q=a+b", "/a", "q=a%2Bb"),
    ]
    .into_iter()
    .enumerate()
    {
        let form = Form {
            path,
            query,
            payload: EMPTY,
        };
        let signed = sign_as(&gateway.request("GET", target), &form);
        gateway.send(&signed).assert_passed();
        // Whatever was signed, what was sent is forwarded.
        assert_eq!(upstream.got(number).target(), target);
    }
}

#[test]
fn plus_is_a_space_only_where_the_route_says_so() {
    let upstream = Upstream::start();
    for (line, passes) in [("", false), ("sigv4 = { plus_is_space = true }", true)] {
        let gateway = setup(&upstream).route(line).start();
        let form = Form {
            path: "/a",
            query: "q=a%20b",
            payload: EMPTY,
        };
        let signed = sign_as(&gateway.request("GET", "/a?q=a+b"), &form);
        assert_eq!(gateway.send(&signed).status == 200, passes);
    }
}

#[test]
fn a_route_may_name_regions_services_and_the_way_paths_are_signed() {
    let upstream = Upstream::start();
    let plain = Form {
        path: "/a%20b",
        query: "",
        payload: EMPTY,
    };
    for (line, code) in [
        (
            "sigv4 = { regions = [\"us-east-1\"], services = [\"api\", \"s3\"] }",
            None,
        ),
        (
            "sigv4 = { regions = [\"eu-central-1\"] }",
            Some("malformed-credential"),
        ),
        (
            "sigv4 = { services = [\"s3\"] }",
            Some("malformed-credential"),
        ),
        ("sigv4 = { path = \"as-sent\" }", None),
        (
            "sigv4 = { path = \"encoded-again\" }",
            Some("credential-rejected"),
        ),
    ] {
        let gateway = setup(&upstream).route(line).start();
        let response = gateway.send(&sign_as(&gateway.request("GET", "/a%20b"), &plain));
        match code {
            None => response.assert_passed(),
            Some(code) => assert_eq!(response.code(), code, "{line}"),
        }
    }
}

#[test]
fn a_presigned_url_is_the_proof_until_its_life_is_over() {
    let (upstream, gateway) = start();
    let url = presign(&gateway, "GET", "/files/1", 600, EMPTY);
    gateway.send(&url).assert_passed();
    gateway.advance(600);
    gateway.send(&url).assert_passed();
    // It goes on as it came: what was verified is what is sent.
    assert_eq!(upstream.got(1).target(), url.target);
    assert_eq!(
        upstream.got(1).field("portcullis-scheme"),
        Some("aws-sigv4")
    );
    gateway.advance(1);
    gateway.send(&url).assert_refused(401, "credential-expired");
    // What the access log holds cannot be used.
    let record = gateway.record(0);
    assert_eq!(record["path"], "/files/1");
    assert!(!record.to_string().contains("X-Amz-"));
}

#[test]
fn a_presigned_url_proves_nothing_but_what_it_was_made_for() {
    let (upstream, gateway) = start();
    let url = presign(&gateway, "GET", "/files/1", 600, EMPTY);
    let refused = |what: &str, change: &dyn Fn(Request) -> Request, code: &str| {
        let response = gateway.send(&change(url.clone()));
        assert_eq!(response.code(), code, "{what}: {}", response.text());
    };
    let rejected = "credential-rejected";
    refused("method", &|r| r.method("DELETE"), rejected);
    let retargeted = |from: &str, to: &str| url.clone().target(|it| it.replace(from, to));
    refused("path", &|_| retargeted("/1?", "/2?"), rejected);
    refused(
        "more query",
        &|r| r.target(|it| format!("{it}&x=1")),
        rejected,
    );
    refused("life", &|_| retargeted("=600", "=601"), rejected);
    refused("host", &|r| r.authority("other.example"), rejected);
    refused("body", &|r| r.body("x"), rejected);
    refused(
        "a field of AWS's",
        &|r| r.field("X-Amz-Acl", "public-read"),
        "coverage-missing",
    );
    refused(
        "somebody's authorization",
        &|r| r.field("Authorization", "Bearer x"),
        "coverage-missing",
    );
    upstream.assert_silent();
    let long = presign(&gateway, "GET", "/files/1", 3601, EMPTY);
    gateway
        .send(&long)
        .assert_refused(400, "malformed-credential");
}

#[test]
fn a_presigned_upload_passes_once() {
    let upstream = Upstream::start();
    let gateway = setup(&upstream)
        .route("sigv4 = { presigned = \"7d\" }")
        .route(WAIVE_BODY)
        .start();
    let put = presign(&gateway, "PUT", "/files/1", 604_800, "UNSIGNED-PAYLOAD").body("x");
    gateway.send(&put).assert_passed();
    gateway.advance(600_000);
    gateway.send(&put).assert_refused(401, "replayed");
    assert_eq!(upstream.only().body, b"x");
}

#[test]
fn a_waiver_of_the_body_refuses_no_presigned_url_that_signs_it() {
    let upstream = Upstream::start();
    for line in ["", WAIVE_BODY] {
        let gateway = setup(&upstream).route(line).start();
        let put = presign(&gateway, "PUT", "/files/1", 600, &sha256(b"x"));
        gateway
            .send(&put.clone().body("y"))
            .assert_refused(401, "credential-rejected");
        gateway.send(&put.body("x")).assert_passed();
    }
    assert_eq!(upstream.heard().len(), 2);
    // What signs none is not read before its proof, however long it is.
    let gateway = setup(&upstream)
        .route(WAIVE_BODY)
        .route("sigv4 = { hold = \"1 KiB\" }")
        .route("body = { verify = \"while-forwarding\" }")
        .start();
    let put = presign(&gateway, "PUT", "/files/1", 600, "UNSIGNED-PAYLOAD");
    let long = put.body(vec![b'x'; 1025]);
    gateway.send(&long).assert_passed();
    gateway
        .send(&long.target(|target| target.replace("/files/1", "/files/2")))
        .assert_refused(401, "credential-rejected");
}

#[test]
fn an_unsigned_body_passes_by_waiver_alone() {
    let upstream = Upstream::start();
    let request = |gateway: &Gateway| {
        let put = gateway.request("PUT", "/files/1").body("x");
        let put = put.field("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD");
        let form = Form {
            path: "/files/1",
            query: "",
            payload: "UNSIGNED-PAYLOAD",
        };
        sign_as(&put, &form)
    };
    let gateway = setup(&upstream).start();
    let refused = gateway.send(&request(&gateway));
    refused.assert_refused(401, "coverage-missing");
    assert!(refused.detail().contains("UNSIGNED-PAYLOAD"));
    upstream.assert_silent();
    let gateway = setup(&upstream).route(WAIVE_BODY).start();
    gateway.send(&request(&gateway)).assert_passed();
}

#[test]
fn a_hash_beside_what_is_signed_is_taken_where_the_route_says_so() {
    let upstream = Upstream::start();
    let request = |gateway: &Gateway| {
        let put = gateway.request("PUT", "/files/1").body("x");
        sign(&put).field("X-Amz-Content-Sha256", &sha256(b"x"))
    };
    let gateway = setup(&upstream).start();
    gateway
        .send(&request(&gateway))
        .assert_refused(401, "coverage-missing");
    let gateway = setup(&upstream)
        .route("sigv4 = { unsigned_content_sha256 = true }")
        .start();
    let bad = request(&gateway).change("X-Amz-Content-Sha256", |_| sha256(b"y"));
    gateway
        .send(&bad)
        .assert_refused(401, "credential-rejected");
    gateway.send(&request(&gateway)).assert_passed();
}

#[test]
fn the_other_schemes_of_a_route_stay() {
    let (_upstream, gateway) = start();
    let request = gateway
        .request("GET", "/orders")
        .field("Authorization", "Bearer of-the-user");
    gateway.send(&caller().sign(&request)).assert_passed();
    let both = caller().sign(&sign(&gateway.request("GET", "/orders")));
    gateway
        .send(&both)
        .assert_refused(400, "malformed-credential");
}

#[test]
fn a_route_that_does_not_accept_it_passes_it_on_as_any_authorization() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    let signed = sign(&gateway.request("GET", "/orders"));
    gateway
        .send(&signed)
        .assert_refused(401, "credential-missing");
    // It may be meant for the backend.
    gateway.send(&caller().sign(&signed)).assert_passed();
    assert_eq!(
        upstream.only().field("authorization").map(str::to_owned),
        signed.value("authorization")
    );
}

#[test]
fn a_key_that_may_not_sign_so_is_rejected() {
    let upstream = Upstream::start();
    let gateway = setup(&upstream)
        .more("[apps.narrow]\nkeys = [{ id = \"narrow\", algorithm = \"hmac-sha256\", secret = \"file:mobile.key\", schemes = [\"token\"] }]")
        .start();
    let signed = sign(&gateway.request("GET", "/orders"));
    for id in ["narrow", "mobile-512"] {
        let changed = signed
            .clone()
            .change("Authorization", |value| value.replace("mobile-2026", id));
        gateway
            .send(&changed)
            .assert_refused(401, "credential-rejected");
    }
}

#[test]
fn a_refused_caller_learns_what_to_sign() {
    let (_upstream, gateway) = start();
    let response = gateway.send(&gateway.request("GET", "/orders"));
    response.assert_refused(401, "credential-missing");
    let mut told = response.fields.iter();
    assert!(told.any(|(name, value)| {
        name.eq_ignore_ascii_case("www-authenticate") && value.starts_with("AWS4-HMAC-SHA256 ")
    }));
}

#[test]
fn who_may_see_it_sees_the_canonical_request_and_whether_it_is_theirs() {
    let upstream = Upstream::start();
    let gateway = setup(&upstream).server("explain = true").start();
    let canonical = format!(
        "GET\n/a\na=1&b=2\nhost:{}\nsignature-base-digest:DIGEST\nx-amz-date:{DATE}\n\nhost;signature-base-digest;x-amz-date\n{EMPTY}",
        gateway.address()
    );
    let signed = sign(&gateway.request("GET", "/a?b=2&a=1"));
    let wrong = signed.change("Authorization", |value| {
        value.replace("mobile-2026", "nobody")
    });
    let told = gateway.send(&wrong).json();
    let base = told["signature_base"].as_str().unwrap();
    let ours = canonical
        .replace("signature-base-digest:DIGEST\n", "")
        .replace(";signature-base-digest", "");
    assert_eq!(base, ours);
    let digest = BASE64.encode(&Sha256::digest(base.as_bytes()));
    let told = wrong.field("Signature-Base-Digest", &format!("sha-256=:{digest}:"));
    assert_eq!(gateway.send(&told).json()["signature_base_matches"], true);
}

#[test]
fn over_http2_it_is_the_same() {
    let (upstream, gateway) = start();
    for request in [
        sign(&gateway.request("GET", "/orders?b=2&a=1")),
        sign(&whole(&gateway)),
        sign(&with_hash(whole(&gateway)).field("X-Number", "2")),
    ] {
        h2::send(&request, gateway.address()).assert_passed();
    }
    assert_eq!(upstream.heard().len(), 3);
}

// Bodies in pieces.

const CHUNKED: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
const CHUNKED_TRAILER: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";
const UNSIGNED_TRAILER: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";

/// Signs a body piece by piece.
struct Pieces {
    key: Vec<u8>,
    date: String,
    scope: String,
    previous: String,
}

impl Pieces {
    fn of(request: &Request) -> Self {
        let value = request.value("Authorization").unwrap();
        Self {
            key: day_key(),
            date: DATE.into(),
            scope: SCOPE.into(),
            previous: value.rsplit_once('=').unwrap().1.into(),
        }
    }

    fn sign(&mut self, kind: &str, rest: &str) -> String {
        let text = format!(
            "AWS4-HMAC-SHA256-{kind}\n{}\n{}\n{}\n{rest}",
            self.date, self.scope, self.previous
        );
        self.previous = HEXLOWER.encode(&mac(&self.key, &text));
        self.previous.clone()
    }

    /// The head of the next piece, whose data has this hash.
    fn head(&mut self, length: usize, hash: &str) -> String {
        let signature = self.sign("PAYLOAD", &format!("{EMPTY}\n{hash}"));
        format!("{length:x};chunk-signature={signature}\r\n")
    }

    fn piece(&mut self, data: &[u8]) -> Vec<u8> {
        let head = self.head(data.len(), &sha256(data));
        [head.as_bytes(), data, b"\r\n"].concat()
    }
}

/// The head of a request whose body comes in pieces.
fn chunked_head(gateway: &Gateway, word: &str, length: u64, more: &[(&str, &str)]) -> Request {
    let mut request = gateway
        .request("PUT", "/files/1")
        .field("X-Amz-Content-Sha256", word)
        .field("X-Amz-Decoded-Content-Length", &length.to_string());
    for (name, value) in more {
        request = request.field(name, value);
    }
    let form = Form {
        path: "/files/1",
        query: "",
        payload: word,
    };
    sign_as(&request, &form)
}

fn in_pieces(head: Request, data: &[&[u8]]) -> Request {
    let mut pieces = Pieces::of(&head);
    let mut body: Vec<u8> = data.iter().flat_map(|data| pieces.piece(data)).collect();
    body.extend(pieces.piece(b""));
    head.body(body)
}

#[test]
fn pieces_are_checked_and_their_heads_end_here() {
    for verify in ["before-forwarding", "while-forwarding"] {
        let upstream = Upstream::start();
        let gateway = setup(&upstream)
            .route(&format!("body = {{ verify = \"{verify}\" }}"))
            .start();
        let more = [("Content-Encoding", "aws-chunked, gzip")];
        let head = chunked_head(&gateway, CHUNKED, 11, &more);
        let request = in_pieces(head, &[b"hello ", b"world"]);
        gateway.send(&request).assert_passed();
        let more = [("Content-Encoding", "aws-chunked"), ("X-Number", "2")];
        let head = chunked_head(&gateway, CHUNKED, 11, &more);
        let request = in_pieces(head, &[b"hello world"]).chunked();
        gateway.send(&request).assert_passed();
        for (number, encoding) in [(0, Some("gzip")), (1, None)] {
            let got = upstream.got(number);
            assert_eq!(got.body, b"hello world");
            assert_eq!(got.field("content-length"), Some("11"));
            assert_eq!(got.field("transfer-encoding"), None);
            assert_eq!(got.field("content-encoding"), encoding);
            for name in ["x-amz-content-sha256", "x-amz-decoded-content-length"] {
                assert_eq!(got.field(name), None, "{name}");
            }
        }
        // None at all is a body too.
        let none = in_pieces(chunked_head(&gateway, CHUNKED, 0, &[]), &[]);
        gateway.send(&none).assert_passed();
        assert_eq!(upstream.got(2).field("content-length"), Some("0"));
    }
}

#[test]
fn a_piece_that_was_changed_never_completes_at_the_upstream() {
    for (verify, is_silent) in [("before-forwarding", true), ("while-forwarding", false)] {
        let upstream = Upstream::start();
        let gateway = setup(&upstream)
            .route(&format!("body = {{ verify = \"{verify}\" }}"))
            .start();
        let head = chunked_head(&gateway, CHUNKED, 11, &[]);
        let request = in_pieces(head, &[b"hello ", b"world"]);
        let text = request.body.clone().unwrap();
        let changed = |from: &[u8], to: &[u8]| {
            let at = crate::harness::raw::find(&text, from).unwrap();
            let mut body = text.clone();
            body.splice(at..at + from.len(), to.iter().copied());
            body
        };
        let mut number = 0;
        for (what, body, code) in [
            ("data", changed(b"world", b"words"), "digest-mismatch"),
            ("more", changed(b"\r\n0;", b"\r\n1;"), "digest-mismatch"),
            ("size", changed(b"5;", b"4;"), "digest-mismatch"),
            (
                "signature",
                changed(b"5;chunk-signature=", b"5;chunk-signature=0"),
                "malformed-request",
            ),
            ("end", text[..text.len() - 2].to_vec(), "malformed-request"),
            ("half", text[..text.len() / 2].to_vec(), "malformed-request"),
            ("behind", [&text[..], b"x"].concat(), "malformed-request"),
        ] {
            // Each is another request: a proof that held is used up.
            number += 1;
            let more = [("X-Number", &*number.to_string())];
            let head = chunked_head(&gateway, CHUNKED, 11, &more);
            let again = in_pieces(head, &[b"hello ", b"world"]);
            let fresh = again.body.clone().unwrap();
            // The pieces of the new head, changed as those of the first were.
            let body = transplant(&text, &body, &fresh);
            let response = gateway.send(&again.body(body));
            assert_eq!(
                response.code(),
                code,
                "{verify} {what}: {}",
                response.text()
            );
        }
        if is_silent {
            upstream.assert_silent();
        } else {
            assert!(upstream.heard().iter().all(|got| got.body.len() < 11));
        }
    }
}

/// `fresh`, with the signatures of its own, changed as `changed` is from `text`.
fn transplant(text: &[u8], changed: &[u8], fresh: &[u8]) -> Vec<u8> {
    let signatures = |text: &[u8]| -> Vec<String> {
        let text = String::from_utf8_lossy(text).into_owned();
        let found = text.split("chunk-signature=").skip(1);
        found.map(|rest| rest[..64].to_owned()).collect()
    };
    let mut out = String::from_utf8(changed.to_vec()).unwrap();
    for (old, new) in signatures(text).iter().zip(signatures(fresh)) {
        out = out.replace(old, &new);
    }
    out.into_bytes()
}

#[test]
fn a_signed_trailer_is_checked_and_goes_no_further() {
    let (upstream, gateway) = start();
    let name = "x-amz-checksum-crc32c";
    let send = |sum: &str, number: &str| {
        let more = [("X-Amz-Trailer", name), ("X-Number", number)];
        let head = chunked_head(&gateway, CHUNKED_TRAILER, 9, &more);
        let mut pieces = Pieces::of(&head);
        let mut body = pieces.piece(b"123456789");
        body.extend(pieces.head(0, EMPTY).into_bytes());
        let line = format!("{name}:{sum}");
        let signature = pieces.sign("TRAILER", &sha256(format!("{line}\n").as_bytes()));
        body.extend(format!("{line}\r\nx-amz-trailer-signature:{signature}\r\n\r\n").into_bytes());
        gateway.send(&head.body(body))
    };
    send("4waSgw==", "1").assert_passed();
    send("4waSgg==", "2").assert_refused(401, "digest-mismatch");
    let got = upstream.only();
    assert_eq!(got.body, b"123456789");
    assert_eq!(got.field("x-amz-trailer"), None);
}

#[test]
fn unsigned_pieces_pass_by_waiver_and_their_checksum_is_checked() {
    let upstream = Upstream::start();
    let request = |gateway: &Gateway, name: &str, sum: &str, data: &str| {
        let more = [("X-Amz-Trailer", name)];
        let head = chunked_head(gateway, UNSIGNED_TRAILER, 9, &more);
        head.body(format!("9\r\n{data}\r\n0\r\n{name}:{sum}\r\n\r\n"))
    };
    let gateway = setup(&upstream).start();
    let crc32 = ("x-amz-checksum-crc32", "y/Q5Jg==");
    let refused = gateway.send(&request(&gateway, crc32.0, crc32.1, "123456789"));
    refused.assert_refused(401, "coverage-missing");
    // What botocore needs to hear, which sends so by default over https.
    for told in [
        UNSIGNED_TRAILER,
        "`request_checksum_calculation = \"when_required\"`",
    ] {
        assert!(refused.detail().contains(told), "{}", refused.detail());
    }
    upstream.assert_silent();
    let gateway = setup(&upstream).route(WAIVE_BODY).start();
    for (number, (name, sum)) in [
        crc32,
        ("x-amz-checksum-crc32c", "4waSgw=="),
        ("x-amz-checksum-crc64nvme", "rosUhgp5mIg="),
        ("x-amz-checksum-sha1", "98O8HYCOBHMq32eZZczDTKeuNEE="),
        (
            "x-amz-checksum-sha256",
            "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=",
        ),
        (
            "x-amz-checksum-sha512",
            "2eZ2LdHI6vbWGzxhkvxAjU1tXxF20MKRabwk5xw/J0rSf81YEbMT1oH35V7ALXPUmclUVba1u1A6z1dPuo/+hQ==",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        gateway
            .send(&request(&gateway, name, sum, "123456789"))
            .assert_passed();
        assert_eq!(upstream.got(number).body, b"123456789");
        gateway.advance(1);
    }
    let gateway = setup(&upstream).route(WAIVE_BODY).start();
    gateway
        .send(&request(&gateway, crc32.0, crc32.1, "123456780"))
        .assert_refused(401, "digest-mismatch");
    let (name, sum) = ("x-amz-checksum-xxhash3", "AAAAAAAAAAA=");
    let refused = gateway.send(&request(&gateway, name, sum, "123456789"));
    refused.assert_refused(400, "malformed-credential");
    let told = "`X-Amz-Trailer: x-amz-checksum-xxhash3` names no checksum that is checked here";
    assert!(refused.detail().contains(told), "{}", refused.detail());
}

#[test]
fn a_body_in_pieces_is_bounded_by_what_it_is_without_their_heads() {
    let upstream = Upstream::start();
    let gateway = setup(&upstream)
        .route("body = { limit = \"1 KiB\" }")
        .start();
    let data = vec![b'x'; 1024];
    let pieces: Vec<&[u8]> = data.chunks(64).collect();
    let head = chunked_head(&gateway, CHUNKED, 1024, &[]);
    gateway.send(&in_pieces(head, &pieces)).assert_passed();
    let head = chunked_head(&gateway, CHUNKED, 1025, &[]);
    gateway
        .send(&in_pieces(head, &[&data, b"x"]))
        .assert_refused(413, "body-too-large");
    // Nor may the heads be without end.
    let pieces: Vec<&[u8]> = data.chunks(1).collect();
    let head = chunked_head(&gateway, CHUNKED, 1024, &[("X-Number", "3")]);
    gateway
        .send(&in_pieces(head, &pieces))
        .assert_refused(413, "body-too-large");
}

const GIB: u64 = 1 << 30;
const MIB: usize = 1 << 20;

#[test]
fn a_gibibyte_in_pieces_does_not_move_peak_memory() {
    let (sizes, size) = std::sync::mpsc::channel();
    let sizes = std::sync::Mutex::new(sizes);
    let upstream = Upstream::raw(move |stream, _| {
        let (head, mut sum) = crate::bodies::read_head(stream);
        if head.is_empty() {
            return;
        }
        let mut buffer = vec![0; 256 * 1024];
        while sum < GIB {
            match std::io::Read::read(stream, &mut buffer) {
                Ok(0) | Err(_) => break,
                Ok(some) => sum += some as u64,
            }
        }
        sizes.lock().unwrap().send(sum).unwrap();
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        let _ = std::io::Write::write_all(stream, answer);
    });
    let binary = setup(&upstream)
        .route("body = { limit = \"2 GiB\", verify = \"while-forwarding\" }")
        .spawn();
    let before = crate::bodies::warmed_up(&binary);
    let date = portcullis::schemes::date::write_basic(Binary::now());
    let scope = format!("{}/us-east-1/api/aws4_request", &date[..8]);
    let block = vec![0_u8; MIB];
    let hash = sha256(&block);
    let blocks = GIB as usize / MIB;
    let request = binary.request("PUT", "/up");
    let host = &request.authority;
    let names = "host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length";
    let canonical = format!(
        "PUT\n/up\n\nhost:{host}\nx-amz-content-sha256:{CHUNKED}\nx-amz-date:{date}\nx-amz-decoded-content-length:{GIB}\n\n{names}\n{CHUNKED}"
    );
    let mut key = [b"AWS4", SECRET].concat();
    for part in scope.split('/') {
        key = mac(&key, part);
    }
    let text = format!(
        "AWS4-HMAC-SHA256\n{date}\n{scope}\n{}",
        sha256(canonical.as_bytes())
    );
    let signature = HEXLOWER.encode(&mac(&key, &text));
    let mut pieces = Pieces {
        key,
        date: date.clone(),
        scope: scope.clone(),
        previous: signature.clone(),
    };
    let head_length = pieces.head(MIB, &hash).len();
    pieces.previous.clone_from(&signature);
    let end_length = 1 + ";chunk-signature=".len() + 64 + 4;
    let length = blocks * (head_length + MIB + 2) + end_length;
    let request = request
        .field("X-Amz-Date", &date)
        .field("X-Amz-Content-Sha256", CHUNKED)
        .field("X-Amz-Decoded-Content-Length", &GIB.to_string())
        .field("Content-Length", &length.to_string())
        .field(
            "Authorization",
            &format!("AWS4-HMAC-SHA256 Credential=mobile-2026/{scope}, SignedHeaders={names}, Signature={signature}"),
        );
    let mut connection = Connection::open(binary.address());
    connection.send(&request.head());
    for _ in 0..blocks {
        connection.send(pieces.head(MIB, &hash).as_bytes());
        connection.send(&block);
        connection.send(b"\r\n");
    }
    connection.send(format!("{}\r\n", pieces.head(0, EMPTY)).as_bytes());
    connection.response().assert_passed();
    assert_eq!(size.recv().unwrap(), GIB);
    let grown = binary.peak_memory() - before;
    let most = 16 * MIB as u64;
    assert!(grown < most, "peak memory grew by {} KiB", grown / 1024);
}

#[test]
fn an_honest_caller_learns_which_mistake_it_made_and_a_guesser_nothing() {
    let upstream = Upstream::start();
    let gateway = setup(&upstream).server("explain = true").start();
    let request = || with_hash(gateway.request("PUT", "/a?x=1").body("{}"));
    let hash = sha256(b"{}");
    let form = |query, payload| Form {
        path: "/a",
        query,
        payload,
    };
    let lower = {
        let mut lower = request();
        lower.method = "put".into();
        let mut signed = sign_as(&lower, &form("x=1", &hash));
        signed.method = "PUT".into();
        signed
    };
    let newline = format!("{hash}\n");
    for (signed, mistake) in [
        (lower, "method-in-lower-case"),
        (sign_as(&request(), &form("", &hash)), "query-missing"),
        (
            sign_as(&request(), &form("x=1", &newline)),
            "trailing-newline",
        ),
        (sign_as(&request(), &form("x=1", EMPTY)), "body-as-empty"),
        (
            sign_as(&request(), &form("x=1", "UNSIGNED-PAYLOAD")),
            "body-unsigned",
        ),
    ] {
        let told = gateway.send(&signed);
        told.assert_refused(401, "credential-rejected");
        assert_eq!(told.json()["mistake"], mistake, "{}", told.text());
    }
    let guessed = sign(&request()).change("Authorization", |value| {
        let (front, _) = value.split_once("Signature=").unwrap();
        format!("{front}Signature={}", "7".repeat(64))
    });
    let unknown = guessed.clone().change("Authorization", |value| {
        value.replace("mobile-2026", "nobody")
    });
    for request in [guessed, unknown] {
        let told = gateway.send(&request);
        told.assert_refused(401, "credential-rejected");
        assert_eq!(told.json()["mistake"], Value::Null);
    }
    upstream.assert_silent();
}

#[test]
fn a_secret_that_was_decoded_before_use_is_told_so() {
    let upstream = Upstream::start();
    // AWS's secrets are text: this one's file has no `base64:` before it.
    let text = BASE64.encode(SECRET);
    let setup = setup(&upstream).server("explain = true");
    setup.write_secret("mobile.key", text.as_bytes());
    let gateway = setup.start();
    let told = gateway.send(&sign(&gateway.request("GET", "/")));
    told.assert_refused(401, "credential-rejected");
    assert_eq!(told.json()["mistake"], "secret-decoded", "{}", told.text());
}
