//! What connections cost that wait for their next request.

use crate::harness::{Binary, Connection, Setup, Upstream, caller};

/// As many as a process may have open everywhere, and the rest of the tests beside them.
const CONNECTIONS: u64 = 400;
/// Key ids that nobody has.
const STRANGERS: usize = 10_000;
/// Requests whose signatures cannot be read.
const UNREADABLE: usize = 20_000;
/// Bytes of memory that one may cost.
const EACH: u64 = 40 * 1024;

/// Connections that have had a request each and wait for the next.
fn waiting(binary: &Binary, count: u64) -> Vec<Connection> {
    (0..count)
        .map(|_| {
            let mut connection = Connection::open(binary.address());
            connection.send(&binary.request("GET", "/").bytes());
            connection.response().assert_passed();
            connection
        })
        .collect()
}

#[test]
fn a_connection_that_waits_for_its_next_request_costs_little() {
    let upstream = Upstream::start();
    let binary = Setup::before(&upstream)
        .route("accept = [\"public\"]")
        .server("workers = 1")
        .spawn();
    drop(waiting(&binary, 8));
    let before = binary.memory();
    let _held = waiting(&binary, CONNECTIONS);
    let more = binary.memory().saturating_sub(before);
    assert!(more < CONNECTIONS * EACH, "{} each", more / CONNECTIONS);
}

#[test]
fn key_ids_that_nobody_has_leave_nothing_behind() {
    let upstream = Upstream::start();
    let binary = Setup::before(&upstream).server("workers = 1").spawn();
    let strangers = |from: usize, count: usize| {
        let mut connection = Connection::open(binary.address());
        for number in from..from + count {
            let unknown = caller()
                .at(Binary::now())
                .key_id(&format!("{number:0>200}"));
            connection.send(&unknown.sign(&binary.request("GET", "/")).bytes());
            connection
                .response()
                .assert_refused(401, "credential-rejected");
        }
    };
    strangers(0, 500);
    let before = binary.memory();
    strangers(500, STRANGERS);
    let more = binary.memory().saturating_sub(before);
    // Were each id kept, it would be more than this.
    assert!(more < (STRANGERS * 200) as u64 / 2, "{more}");
}

#[test]
fn signatures_that_cannot_be_read_leave_nothing_behind() {
    let upstream = Upstream::start();
    let binary = Setup::before(&upstream).server("workers = 1").spawn();
    let broken = binary
        .request("GET", "/")
        .field(
            "Signature-Input",
            "a=();created=1, b=();created=1, c=();created=1, d=(",
        )
        .field("Signature", "a=:AA==:")
        .bytes();
    let ask = |count: usize| {
        let mut connection = Connection::open(binary.address());
        for _ in 0..count {
            connection.send(&broken);
            connection
                .response()
                .assert_refused(400, "malformed-credential");
        }
    };
    ask(500);
    let before = binary.memory();
    ask(UNREADABLE);
    let more = binary.memory().saturating_sub(before);
    // Were a list kept for each label, it would be more than this: three words each.
    assert!(more < (UNREADABLE * 4 * 24) as u64 / 2, "{more}");
}
