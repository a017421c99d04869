//! A configuration that changes under a running gateway.

use crate::harness::{Binary, Request, Response, Setup, Upstream, caller};

const OPEN: &str = "[[routes]]\nname = \"open\"\npath = \"/open\"\nupstream = \"backend\"\naccept = [\"public\"]\n";
const MORE: &str = "[[routes]]\nname = \"more\"\npath = \"/more\"\nupstream = \"backend\"\naccept = [\"public\"]\n";

fn metric(binary: &Binary, line: &str) -> Option<f64> {
    let metrics = Request::new("GET", "/metrics")
        .to(binary.admin())
        .send_to(binary.admin());
    metrics
        .text()
        .lines()
        .find_map(|known| known.strip_prefix(line)?.trim().parse().ok())
}

#[track_caller]
fn assert_open(response: &Response) {
    assert_eq!(response.status, 200, "{}", response.text());
}

#[test]
fn a_changed_file_is_in_force_without_a_restart() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream).routes(OPEN);
    let changed = setup.text().replace(OPEN, &format!("{OPEN}{MORE}"));
    let binary = setup.spawn();
    binary
        .send(&binary.request("GET", "/more"))
        .assert_refused(404, "no-route");
    binary.rewrite(&changed);
    let event = binary
        .stderr
        .wait_for("the reload", |line| line.contains("configuration reloaded"));
    assert!(event.contains("more"), "what changed is not told: {event}");
    assert_open(&binary.send(&binary.request("GET", "/more")));
}

#[test]
fn a_hangup_reloads() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream).routes(OPEN);
    let binary = setup.spawn();
    // Into the very file, which some watchers miss; the signal does not.
    let changed = binary
        .setup()
        .text()
        .replace(OPEN, &format!("{OPEN}{MORE}"));
    binary.setup().write("gateway.toml", changed.as_bytes());
    binary.signal("HUP");
    binary
        .stderr
        .wait_for("the reload", |line| line.contains("configuration reloaded"));
    assert_open(&binary.send(&binary.request("GET", "/more")));
}

#[test]
fn a_changed_secret_is_a_change_of_the_configuration() {
    let upstream = Upstream::start();
    let binary = Setup::before(&upstream).spawn();
    let new = b"a new secret for the same key id";
    let signed = |secret: &[u8], nonce: &str| {
        caller()
            .secret(secret)
            .at(Binary::now())
            .nonce(nonce)
            .sign(&binary.request("GET", "/"))
    };
    assert_open(&binary.send(&signed(crate::harness::setup::SECRET, "1")));
    binary.setup().write(
        "mobile.key.new",
        format!("base64:{}", data_encoding::BASE64.encode(new)).as_bytes(),
    );
    std::fs::rename(
        binary.setup().path("mobile.key.new"),
        binary.setup().path("mobile.key"),
    )
    .unwrap();
    binary
        .stderr
        .wait_for("the reload", |line| line.contains("configuration reloaded"));
    assert_open(&binary.send(&signed(new, "2")));
    binary
        .send(&signed(crate::harness::setup::SECRET, "3"))
        .assert_refused(401, "credential-rejected");
}

#[test]
fn a_bad_file_changes_nothing_and_its_problems_are_logged() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream).routes(OPEN);
    let bad = setup
        .text()
        .replace("upstream = \"backend\"", "upstream = \"nowhere\"")
        .replace(OPEN, MORE);
    let good = setup.text().replace(OPEN, &format!("{OPEN}{MORE}"));
    let bad = bad.replace("accept = [\"public\"]", "accept = [\"pubic\"]");
    let binary = setup.spawn();
    binary.rewrite(&bad);
    let event = binary
        .stderr
        .wait_for("the problems", |line| line.contains("not taken over"));
    assert!(event.contains("pubic"), "{event}");
    assert_open(&binary.send(&binary.request("GET", "/open")));
    binary
        .send(&binary.request("GET", "/more"))
        .assert_refused(404, "no-route");
    binary.rewrite(&good);
    binary
        .stderr
        .wait_for("the reload", |line| line.contains("configuration reloaded"));
    assert_open(&binary.send(&binary.request("GET", "/more")));
    for result in ["failure", "success"] {
        let line = format!("portcullis_config_reloads_total{{result=\"{result}\"}}");
        assert!(metric(&binary, &line).is_some_and(|count| count >= 1.0));
    }
}

#[test]
fn another_address_needs_a_restart_and_changes_nothing() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream).routes(OPEN);
    let moved = setup
        .text_on("127.0.0.1:1")
        .replace(OPEN, &format!("{OPEN}{MORE}"));
    let binary = setup.spawn();
    binary.rewrite(&moved);
    let event = binary
        .stderr
        .wait_for("the refusal", |line| line.contains("not taken over"));
    assert!(event.contains("listen"), "{event}");
    binary
        .send(&binary.request("GET", "/more"))
        .assert_refused(404, "no-route");
    assert_open(&binary.send(&binary.request("GET", "/open")));
}

#[test]
fn connections_and_nonces_live_on() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream);
    let changed = setup
        .text()
        .replace("[apps.mobile]", &format!("{MORE}\n[apps.mobile]"));
    let gateway = setup.start();
    let mut connection = gateway.connect();
    let used = caller().nonce("n").sign(&gateway.request("GET", "/"));
    connection.send(&used.bytes());
    connection.response().assert_passed();
    gateway.reload(&changed);
    connection.send(&gateway.request("GET", "/more").bytes());
    connection.response().assert_passed();
    connection.send(&used.bytes());
    connection.response().assert_refused(401, "replayed");
}

#[test]
fn a_request_in_flight_ends_by_the_rules_it_began_with() {
    let (allow, allowed) = std::sync::mpsc::channel::<()>();
    let allowed = std::sync::Mutex::new(allowed);
    let upstream = Upstream::answering(move |_, wire| {
        allowed.lock().unwrap().recv().unwrap();
        wire.answer(200, &[], b"hello");
    });
    let setup = Setup::before(&upstream).routes(OPEN);
    let without = setup.text().replace(OPEN, MORE);
    let gateway = setup.start();
    let mut connection = gateway.connect();
    connection.send(&gateway.request("GET", "/open").bytes());
    upstream.wait_for_head(0);
    gateway.reload(&without);
    allow.send(()).unwrap();
    connection.response().assert_passed();
    gateway
        .send(&gateway.request("GET", "/open"))
        .assert_refused(404, "no-route");
}

#[test]
fn many_reloads_under_load_refuse_nothing() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream).routes(OPEN);
    let texts = [
        setup.text(),
        setup.text().replace(OPEN, &format!("{OPEN}{MORE}")),
    ];
    let gateway = setup.start();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let asking: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut connection = gateway.connect();
                    let request = gateway.request("GET", "/open").bytes();
                    let mut asked = 0;
                    while asked < 50 || !stop.load(std::sync::atomic::Ordering::Relaxed) {
                        connection.send(&request);
                        connection.response().assert_passed();
                        asked += 1;
                    }
                })
            })
            .collect();
        for number in 0..100 {
            gateway.reload(&texts[number % 2]);
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        for thread in asking {
            thread.join().unwrap();
        }
    });
}
