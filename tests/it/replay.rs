//! What passes only once.

use crate::harness::{Binary, Caller, Connection, Gateway, Response, Setup, T0, Upstream, caller};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};

fn gateway() -> (Upstream, Gateway) {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    (upstream, gateway)
}

#[test]
fn a_replayed_nonce_is_refused() {
    let (upstream, gateway) = gateway();
    let request = gateway.request("GET", "/orders");
    let signed = caller().nonce("n-1").sign(&request);
    gateway.send(&signed).assert_passed();
    gateway.send(&signed).assert_refused(401, "replayed");
    // The nonce is used up, whatever else is signed with it.
    let other = caller()
        .nonce("n-1")
        .sign(&gateway.request("GET", "/other"));
    gateway.send(&other).assert_refused(401, "replayed");
    assert_eq!(upstream.heard().len(), 1);
    gateway
        .send(&caller().nonce("n-2").sign(&request))
        .assert_passed();
}

#[test]
fn a_nonce_belongs_to_its_key() {
    let (_upstream, gateway) = gateway();
    let request = gateway.request("GET", "/orders");
    gateway
        .send(&caller().nonce("n-1").sign(&request))
        .assert_passed();
    gateway
        .send(&Caller::other().nonce("n-1").sign(&request))
        .assert_passed();
}

#[test]
fn an_unsafe_request_without_nonce_passes_once() {
    let (upstream, gateway) = gateway();
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        let signed = caller().sign(&gateway.request(method, "/orders"));
        gateway.send(&signed).assert_passed();
        gateway.send(&signed).assert_refused(401, "replayed");
    }
    assert_eq!(upstream.heard().len(), 4);
}

/// What passes once and has no nonce, signed now.
fn tried(gateway: &Gateway) -> Response {
    let signer = caller().at(Binary::now());
    gateway.send(&signer.sign(&gateway.request("PUT", "/files/1")))
}

#[test]
fn what_a_backend_failed_at_passes_when_its_client_signs_it_again_at_once() {
    for status in [502, 503, 504] {
        let has_failed = AtomicBool::new(false);
        let upstream = Upstream::answering(move |_, wire| {
            let is_well = has_failed.swap(true, Ordering::SeqCst);
            wire.answer(if is_well { 200 } else { status }, &[], b"hello");
        });
        let gateway = Gateway::start_now(Setup::before(&upstream));
        let failed = tried(&gateway);
        assert_eq!((failed.status, &*failed.text()), (status, "hello"));
        // In the same second it would be the same proof.
        tried(&gateway).assert_passed();
    }
}

#[test]
fn a_client_that_tries_again_hears_what_is_wrong_with_the_backend_each_time() {
    let upstream = Upstream::answering(|_, wire| wire.close());
    let gateway = Gateway::start_now(Setup::before(&upstream));
    for _ in 0..3 {
        tried(&gateway).assert_refused(502, "upstream-invalid");
    }
}

/// A backend with one connection has failed at what passes once, whose client waits.
fn held_failure() -> (Upstream, Gateway, Connection) {
    let upstream = Upstream::answering(|_, wire| wire.answer(503, &[], b"hello"));
    let setup = Setup::before(&upstream).server("workers = 1");
    let gateway = setup.upstream("max_connections = 1").start();
    let mut connection = gateway.connect();
    let signed = caller().sign(&gateway.request("PUT", "/files/1"));
    connection.send(&signed.bytes());
    upstream.got(0);
    (upstream, gateway, connection)
}

#[test]
fn a_failure_that_waited_for_its_second_is_recorded_as_one_that_did_not() {
    let (_upstream, gateway, mut connection) = held_failure();
    let failed = connection.response_to("PUT");
    assert_eq!((failed.status, &*failed.text()), (503, "hello"));
    let record = gateway.record(0);
    assert_eq!(record["status"], 503, "{record}");
    assert_eq!(record.get("cut"), None, "{record}");
}

#[test]
fn a_failure_stands_in_the_log_though_its_client_did_not_wait_for_it() {
    let (_upstream, gateway, connection) = held_failure();
    drop(connection);
    let record = gateway.record(0);
    assert_eq!(record["status"], 503, "{record}");
}

#[test]
fn the_page_of_a_failure_arrives_whole_however_long_it_is() {
    let page: Vec<u8> = (0..=250).cycle().take(300_000).collect();
    let sent = page.clone();
    let upstream = Upstream::answering(move |got, wire| {
        if got.target() == "/long" {
            wire.answer(503, &[], &sent);
            return;
        }
        wire.send(b"HTTP/1.1 503 Because\r\nTransfer-Encoding: chunked\r\n\r\n");
        for piece in sent.chunks(1_000) {
            let size = format!("{:x}\r\n", piece.len());
            wire.send(&[size.as_bytes(), piece, b"\r\n"].concat());
        }
        wire.send(b"0\r\n\r\n");
    });
    let gateway = Setup::before(&upstream).start();
    let mut asked = ["/long", "/in/pieces"].map(|target| {
        let mut connection = gateway.connect();
        connection.send(&caller().sign(&gateway.request("PUT", target)).bytes());
        connection
    });
    for connection in &mut asked {
        let failed = connection.response_to("PUT");
        assert_eq!(failed.status, 503);
        assert!(failed.complete && failed.body == page);
    }
}

#[test]
fn a_safe_request_without_nonce_may_be_repeated() {
    let (_upstream, gateway) = gateway();
    for method in ["GET", "HEAD", "OPTIONS"] {
        let signed = caller().sign(&gateway.request(method, "/orders"));
        for _ in 0..3 {
            assert_eq!(gateway.send(&signed).status, 200, "{method}");
        }
    }
}

#[test]
fn a_strict_route_lets_every_request_pass_once() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream)
        .route("replay = \"strict\"")
        .start();
    let signed = caller().sign(&gateway.request("GET", "/orders"));
    gateway.send(&signed).assert_passed();
    gateway.send(&signed).assert_refused(401, "replayed");
}

#[test]
fn a_route_may_waive_single_use() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).route("replay = \"off\"").start();
    let signed = caller()
        .nonce("n")
        .sign(&gateway.request("POST", "/orders"));
    gateway.send(&signed).assert_passed();
    gateway.send(&signed).assert_passed();
}

#[test]
fn another_spelling_of_a_used_signature_is_a_replay() {
    let (upstream, gateway) = gateway();
    let signed = caller().sign(&gateway.request("POST", "/orders"));
    gateway.send(&signed).assert_passed();
    let spaced = signed
        .clone()
        .change("Signature-Input", |value| value.replace("\" \"", "\"  \""));
    gateway.send(&spaced).assert_refused(401, "replayed");
    let relabelled = signed
        .change("Signature-Input", |value| {
            value.replacen("sig=", "other=", 1)
        })
        .change("Signature", |value| value.replacen("sig=", "other=", 1));
    gateway.send(&relabelled).assert_refused(401, "replayed");
    assert_eq!(upstream.heard().len(), 1);
}

#[test]
fn a_nonce_is_used_up_only_by_a_request_that_is_proven() {
    let (_upstream, gateway) = gateway();
    let request = gateway.request("GET", "/orders");
    let signed = caller().nonce("n-1").sign(&request);
    let forged = caller()
        .nonce("n-1")
        .secret(b"not the secret of this very key!")
        .sign(&request);
    gateway
        .send(&forged)
        .assert_refused(401, "credential-rejected");
    let mut tampered = signed.clone();
    tampered.target = "/other".into();
    gateway
        .send(&tampered)
        .assert_refused(401, "credential-rejected");
    gateway.send(&signed).assert_passed();
}

#[test]
fn a_proof_is_remembered_for_as_long_as_it_would_be_accepted() {
    let (_upstream, gateway) = gateway();
    // From the latest clock that we accept, so that it lives longest.
    let signed = caller()
        .at(T0 + 30)
        .sign(&gateway.request("POST", "/orders"));
    gateway.send(&signed).assert_passed();
    for seconds in [0, 1, 100, 200, 28, 1, 1, 1, 30] {
        gateway.advance(seconds);
        let response = gateway.send(&signed);
        assert!(
            ["replayed", "clock-skew"].contains(&response.code().as_str()),
            "{}",
            response.text()
        );
    }
    assert_eq!(gateway.send(&signed).code(), "clock-skew");
}

#[test]
fn of_200_parallel_copies_exactly_one_passes() {
    const COPIES: usize = 200;
    let (upstream, gateway) = gateway();
    let copy = caller()
        .sign(&gateway.request("POST", "/orders").body("once"))
        .bytes();
    let (last, rest) = copy.split_at(copy.len() - 1);
    let start = Barrier::new(COPIES);
    let statuses: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..COPIES)
            .map(|_| {
                scope.spawn(|| {
                    let mut connection = Connection::open(gateway.address());
                    connection.send(last);
                    start.wait();
                    connection.send(rest);
                    let response = connection.response();
                    if response.status == 200 {
                        response.status.to_string()
                    } else {
                        response.code()
                    }
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let passed = statuses.iter().filter(|status| *status == "200").count();
    let replayed = statuses
        .iter()
        .filter(|status| *status == "replayed")
        .count();
    assert_eq!((passed, replayed), (1, COPIES - 1), "{statuses:?}");
    assert_eq!(upstream.heard().len(), 1);
}

#[test]
fn what_passed_before_a_crash_does_not_pass_after_it() {
    let upstream = Upstream::start();
    let binary = Setup::before(&upstream).spawn();
    let before = Binary::now();
    let address = binary.address();
    let signed: Vec<_> = (0..20)
        .map(|number| {
            let request = binary
                .request("POST", "/orders")
                .authority("api.example.com");
            caller()
                .at(before)
                .nonce(&format!("n-{number}"))
                .sign(&request)
        })
        .collect();
    for request in &signed {
        request.send_to(address).assert_passed();
    }
    let binary = binary.killed_and_restarted();
    for request in &signed {
        let response = binary.send(request);
        assert_eq!(response.status, 401, "{}", response.text());
        assert_eq!(response.code(), "replayed");
    }
    assert_eq!(upstream.heard().len(), 20);
}

#[test]
fn a_fresh_request_passes_at_once_after_a_crash() {
    let upstream = Upstream::start();
    let binary = Setup::before(&upstream).spawn();
    let used = caller()
        .at(Binary::now())
        .sign(&binary.request("POST", "/orders").authority("a.example"));
    binary.send(&used).assert_passed();
    let binary = binary.killed_and_restarted();
    let fresh = caller()
        .at(Binary::now())
        .nonce("after the crash")
        .sign(&binary.request("POST", "/orders").authority("a.example"));
    binary.send(&fresh).assert_passed();
    assert_eq!(binary.send(&used).code(), "replayed");
}

#[test]
fn a_full_memory_refuses_rather_than_forgets() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).freshness("proofs = 16").start();
    let used = caller().nonce("first").sign(&gateway.request("GET", "/"));
    gateway.send(&used).assert_passed();
    let mut codes = Vec::new();
    for number in 0..2000 {
        let request = caller()
            .nonce(&number.to_string())
            .sign(&gateway.request("GET", "/"));
        let response = gateway.send(&request);
        if response.status != 200 {
            response.assert_refused(503, "replay-store-full");
            codes.push(number);
            break;
        }
    }
    assert!(!codes.is_empty(), "its memory has no bound");
    gateway.send(&used).assert_refused(401, "replayed");
    // Once they have aged, there is room again.
    gateway.advance(1000);
    let request = caller()
        .at(T0 + 1000)
        .nonce("later")
        .sign(&gateway.request("GET", "/"));
    gateway.send(&request).assert_passed();
}

/// Sends what passes once with fresh nonces, 200 times: what comes of each.
fn flood(gateway: &Gateway) -> Vec<String> {
    let send = |number: u32| {
        let nonce = format!("flood-{number}");
        let request = gateway.request("GET", "/");
        let response = gateway.send(&caller().nonce(&nonce).sign(&request));
        match response.status {
            200 => "passed".to_owned(),
            _ => response.code(),
        }
    };
    (0..200).map(send).collect()
}

#[test]
fn what_an_app_sends_beyond_its_rate_takes_up_no_room_of_others() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream)
        .freshness("proofs = 100")
        .app("plan = \"small\"")
        .more("[plans.small]\nrate = \"2/s\"\nburst = 5\n")
        .start();
    let came = flood(&gateway);
    assert_eq!(came[..5], ["passed"; 5]);
    assert!(
        came[5..].iter().all(|code| code == "rate-exceeded"),
        "{came:?}"
    );
    // What was refused for it is not used up, and a copy of what passed is refused without a charge.
    gateway
        .hand()
        .advance(std::time::Duration::from_millis(500));
    let request = gateway.request("GET", "/");
    let again = |nonce: &str| gateway.send(&caller().nonce(nonce).sign(&request));
    again("flood-0").assert_refused(401, "replayed");
    again("flood-7").assert_passed();
    again("flood-8").assert_refused(429, "rate-exceeded");
    for number in 0..40 {
        let other = Caller::other().nonce(&number.to_string());
        gateway
            .send(&other.sign(&gateway.request("POST", "/")))
            .assert_passed();
    }
}

#[test]
fn an_app_without_a_rate_leaves_room_for_others() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).freshness("proofs = 100").start();
    let came = flood(&gateway);
    assert_eq!(came[..94], ["passed"; 94]);
    assert!(
        came[94..].iter().all(|code| code == "replay-store-full"),
        "{came:?}"
    );
    let request = gateway.request("GET", "/");
    let refused = gateway.send(&caller().nonce("more").sign(&request));
    refused.assert_refused(503, "replay-store-full");
    // Until the first of its own have ended: the window and two skews.
    assert_eq!(refused.field("retry-after"), Some("361"));
    let other = Caller::other().sign(&gateway.request("POST", "/"));
    gateway.send(&other).assert_passed();
    gateway.advance(361);
    let later = caller().at(T0 + 361).nonce("later").sign(&request);
    gateway.send(&later).assert_passed();
}

#[test]
fn a_limit_on_the_size_of_files_refuses_what_cannot_be_written_and_does_not_end_the_gateway() {
    let upstream = Upstream::start();
    let mut binary = Binary::spawn_with_small_files(Setup::before(&upstream));
    let signer = caller().at(Binary::now());
    let refused = (0..32).find_map(|number| {
        let once = signer.clone().nonce(&format!("n{number}"));
        let response = binary.send(&once.sign(&binary.request("GET", "/")));
        (response.status != 200).then_some(response)
    });
    refused
        .expect("more than fits does not pass")
        .assert_refused(503, "store-unavailable");
    let unsigned = binary.request("GET", "/");
    binary
        .send(&unsigned)
        .assert_refused(401, "credential-missing");
    assert!(binary.is_running());
}

#[test]
fn a_proof_that_cannot_be_written_down_does_not_pass() {
    let upstream = Upstream::start();
    let binary = Binary::spawn_with_small_files(Setup::before(&upstream));
    let signer = caller().at(Binary::now());
    let mut passed = 0;
    loop {
        let request = signer.clone().nonce(&passed.to_string());
        let request = request.sign(&binary.request("GET", "/"));
        let response = binary.send(&request);
        if response.status != 200 {
            response.assert_refused(503, "store-unavailable");
            // It may be on its way to the disk, so it stays used.
            assert_ne!(binary.send(&request).status, 200);
            break;
        }
        passed += 1;
        assert!(passed < 512 / 32, "more has passed than could be written");
    }
    assert_eq!(upstream.heard().len(), passed);
}
