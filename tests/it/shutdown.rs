//! How it ends.

use crate::harness::binary::program;
use crate::harness::{Binary, Connection, Request, Setup, Token, Upstream, caller};
use crate::webhooks;
use serde_json::Value;
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::mpsc;

#[test]
fn signals_that_other_servers_have_a_use_for_end_nothing_and_are_told() {
    let upstream = Upstream::start();
    let mut binary = Setup::before(&upstream).spawn();
    for name in ["USR1", "USR2"] {
        binary.signal(name);
        let words = format!("SIG{name} is ignored");
        let event = binary.stderr.wait_for(name, |line| line.contains(&words));
        assert!(event.contains("\"WARN\""), "{event}");
    }
    assert!(binary.is_running());
}

fn hold() -> (mpsc::Sender<()>, Upstream) {
    let (allow, allowed) = mpsc::channel::<()>();
    let allowed = Mutex::new(allowed);
    let upstream = Upstream::answering(move |_, wire| {
        let _ = allowed.lock().unwrap().recv();
        wire.answer(200, &[], b"hello");
    });
    (allow, upstream)
}

/// Where a request has reached the upstream.
fn in_flight(binary: &Binary, upstream: &Upstream) -> Connection {
    let now = Binary::now();
    let token = Token::new().claim("iat", now).claim("exp", now + 60).text();
    let request = binary.request("GET", "/").field("Portcullis-Token", &token);
    let mut connection = Connection::open(binary.address());
    connection.send(&request.bytes());
    upstream.wait_for_head(0);
    connection
}

#[test]
fn a_request_in_flight_is_finished_before_the_end() {
    let (allow, upstream) = hold();
    let mut binary = Setup::before(&upstream).spawn();
    let mut connection = in_flight(&binary, &upstream);
    binary.signal("TERM");
    binary
        .stderr
        .wait_for("that it stops", |line| line.contains("stopping"));
    allow.send(()).unwrap();
    let response = connection.response();
    response.assert_passed();
    assert!(connection.is_closed(), "a drained connection is not kept");
    let status = binary.wait();
    assert!(status.success(), "{status}");
    assert_eq!(binary.stdout.first(1).len(), 1, "its record is written");
    assert!(TcpStream::connect(binary.address()).is_err());
}

#[test]
fn idle_connections_do_not_hold_it_up() {
    let upstream = Upstream::start();
    let mut binary = Setup::before(&upstream).spawn();
    let mut idle = Connection::open(binary.address());
    idle.send(&binary.request("GET", "/").bytes());
    idle.response().assert_refused(401, "credential-missing");
    let mut silent = Connection::open(binary.address());
    binary.signal("TERM");
    assert!(binary.wait().success());
    assert!(idle.is_closed());
    assert!(silent.is_closed());
}

#[test]
fn an_interrupt_ends_it_as_well() {
    let upstream = Upstream::start();
    let mut binary = Setup::before(&upstream).spawn();
    binary.signal("INT");
    assert!(binary.wait().success());
}

#[test]
fn what_does_not_end_in_time_is_cut() {
    let upstream = Upstream::answering(|_, wire| wire.wait_for_close());
    let mut binary = Setup::before(&upstream)
        .server("drain_timeout = \"200ms\"")
        .spawn();
    let mut connection = in_flight(&binary, &upstream);
    binary.signal("TERM");
    assert!(connection.is_closed());
    assert!(binary.wait().code().is_some());
    let record: Value = serde_json::from_str(&binary.stdout.first(1)[0]).unwrap();
    assert_eq!(
        (&record["status"], &record["cut"]),
        (&Value::Null, &Value::Bool(true)),
        "{record}"
    );
    let reason = record["reason"].as_str().unwrap();
    assert!(
        reason.contains("`drain_timeout`"),
        "not that the client went: {record}"
    );
    assert_ne!(record["upstream"], Value::Null, "{record}");
}

/// A webhook of GitHub's: its body is read before its proof is known.
fn webhook(binary: &Binary, target: &str, body: &str) -> Request {
    let fields = webhooks::fields("github", webhooks::BYTES, 0, body);
    let request = binary.request("POST", target).body(body);
    fields.into_iter().fold(request, |request, (name, value)| {
        request.field(name, &value)
    })
}

#[test]
fn where_no_gateway_can_take_over_a_body_that_proves_its_request_has_the_time_of_the_drain() {
    let (_allow, upstream) = Upstream::held_but("/hooks");
    let mut binary = webhooks::setup(&upstream, "github", "")
        .upstream("timeout = \"3s\"")
        .spawn();
    let uploaded = webhook(&binary, "/hooks", webhooks::BODY);
    let mut slow = Connection::open(binary.address());
    slow.send(&uploaded.clone().field("Expect", "100-continue").head());
    assert_eq!(slow.head().unwrap().0, 100);
    // By its upstream's time-out we know that more time is over than a gateway that follows waits.
    let mut unanswered = Connection::open(binary.address());
    unanswered.send(&webhook(&binary, "/other", "{}").bytes());
    upstream.wait_for_head(0);
    binary.signal("TERM");
    binary
        .stderr
        .wait_for("that it refuses", |line| line.contains("refusing"));
    unanswered
        .response_to("POST")
        .assert_refused(504, "upstream-timeout");
    slow.send(webhooks::BODY.as_bytes());
    slow.response_to("POST").assert_passed();
    assert!(binary.wait().success());
}

#[test]
fn a_drained_gateway_is_not_ready_and_still_alive() {
    let (allow, upstream) = hold();
    let mut binary = Setup::before(&upstream).spawn();
    let mut connection = in_flight(&binary, &upstream);
    let ask = |path: &str| {
        Request::new("GET", path)
            .to(binary.admin())
            .send_to(binary.admin())
            .status
    };
    assert_eq!((ask("/readyz"), ask("/livez")), (200, 200));
    binary.signal("TERM");
    binary
        .stderr
        .wait_for("that it stops", |line| line.contains("stopping"));
    // The event stands before the drain begins, which is told by readiness.
    assert!((0..10_000).any(|_| ask("/readyz") == 503));
    assert_eq!(ask("/livez"), 200);
    allow.send(()).unwrap();
    connection.response().assert_passed();
    assert!(binary.wait().success());
}

#[test]
fn used_proofs_are_known_after_a_restart() {
    let upstream = Upstream::start();
    let mut binary = Setup::before(&upstream).spawn();
    let used = caller()
        .at(Binary::now())
        .nonce("n")
        .sign(&binary.request("GET", "/").authority("a.example"));
    binary.send(&used).assert_passed();
    binary.signal("TERM");
    assert!(binary.wait().success());
    let binary = binary.restarted();
    binary.send(&used).assert_refused(401, "replayed");
}

#[test]
fn a_taken_address_is_an_error_that_names_it() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream);
    let file = setup.write(
        "gateway.toml",
        setup.text_on(&address.to_string()).as_bytes(),
    );
    let output = std::process::Command::new(program())
        .args(["serve", "--config"])
        .arg(&file)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains(&address.to_string()), "{stderr}");
}
