//! Which server of an upstream gets a request, and which does not.

use crate::harness::upstream::{Got, Wire};
use crate::harness::{Closed, Gateway, Request, Response, Setup, Upstream, caller};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};

const PUBLIC: &str = "accept = [\"public\"]";
/// More requests than chance needs to reach every server.
const MANY: usize = 300;

fn servers(addresses: &[SocketAddr]) -> String {
    let quoted = |address: &SocketAddr| format!("\"http://{address}\"");
    addresses.iter().map(quoted).collect::<Vec<_>>().join(", ")
}

fn of_metrics(page: &Response, series: &str) -> u64 {
    let text = page.text();
    let found = text.lines().find_map(|line| line.strip_prefix(series));
    found.map_or(0, |rest| rest.trim().parse().unwrap())
}

fn metric(gateway: &Gateway, series: &str) -> u64 {
    of_metrics(&gateway.ask_admin("/metrics"), series)
}

fn in_state(gateway: &Gateway, state: &str) -> u64 {
    let series = format!("portcullis_upstream_servers{{upstream=\"backend\",state=\"{state}\"}}");
    metric(gateway, &series)
}

fn retries(gateway: &Gateway, result: &str) -> u64 {
    let series =
        format!("portcullis_upstream_retries_total{{upstream=\"backend\",result=\"{result}\"}}");
    metric(gateway, &series)
}

fn get(gateway: &Gateway) -> Response {
    gateway.send(&gateway.request("GET", "/"))
}

/// Sends until so many servers are ejected. The statuses that were answered.
fn send_until_ejected(gateway: &Gateway, servers: u64) -> Vec<u16> {
    let mut statuses = Vec::new();
    while in_state(gateway, "ejected") < servers {
        statuses.push(get(gateway).status);
        assert!(statuses.len() < MANY, "not ejected: {statuses:?}");
    }
    statuses
}

/// A server that answers, or closes every connection, as it is told.
fn mortal() -> (Upstream, Arc<AtomicBool>) {
    let alive = Arc::new(AtomicBool::new(true));
    let is_alive = alive.clone();
    let upstream = Upstream::answering(move |_, wire| {
        if is_alive.load(Ordering::SeqCst) {
            wire.answer(200, &[], b"hello");
        }
        // Also one that lives ends its connections: the next request makes its own.
        wire.close();
    });
    (upstream, alive)
}

fn hang(_: &Got, wire: &mut Wire<'_>) {
    wire.wait_for_close();
}

#[test]
fn servers_that_refuse_or_hang_are_ejected_and_the_good_one_answers_on() {
    let (good, hangs, refuses) = (Upstream::start(), Upstream::answering(hang), Closed::port());
    let addresses = [good.address(), hangs.address(), refuses.address()];
    let gateway = Setup::with_servers(&servers(&addresses))
        .upstream("timeout = \"1s\"")
        .upstream("ejection = { failures = 2, for = \"10s\", at_most = \"100%\" }")
        .upstream("panic_threshold = \"off\"")
        .route(PUBLIC)
        .start();
    let statuses = send_until_ejected(&gateway, 2);
    let late = statuses.iter().filter(|status| **status == 504).count();
    // What was refused went to another server; what was sent did not.
    assert_eq!(late, 2, "{statuses:?}");
    assert!(statuses.iter().all(|status| matches!(status, 200 | 504)));
    for _ in 0..50 {
        get(&gateway).assert_passed();
    }
    assert_eq!(hangs.heard().len(), 2);
    // After its time each gets one request to show how it is.
    gateway.advance(11);
    let statuses: Vec<_> = (0..50).map(|_| get(&gateway).status).collect();
    let late = statuses.iter().filter(|status| **status == 504).count();
    assert_eq!(late, 1, "{statuses:?}");
    assert_eq!(hangs.heard().len(), 3);
    assert_eq!(in_state(&gateway, "ejected"), 2);
}

#[test]
fn a_server_that_died_and_lives_again_is_back_after_one_trial() {
    let ((one, one_lives), (other, _)) = (mortal(), mortal());
    let gateway = Setup::with_servers(&servers(&[one.address(), other.address()]))
        .upstream("ejection = { failures = 3 }")
        .route(PUBLIC)
        .start();
    one_lives.store(false, Ordering::SeqCst);
    send_until_ejected(&gateway, 1);
    let heard = one.heard().len();
    for _ in 0..20 {
        get(&gateway).assert_passed();
    }
    assert_eq!(one.heard().len(), heard, "it is left out");
    one_lives.store(true, Ordering::SeqCst);
    gateway.advance(11);
    let mut sent = 0;
    while in_state(&gateway, "up") < 2 {
        get(&gateway).assert_passed();
        sent += 1;
        assert!(sent < MANY);
    }
    assert_eq!(one.heard().len(), heard + 1, "one request was enough");
    for _ in 0..MANY {
        get(&gateway).assert_passed();
    }
    assert!(one.heard().len() > heard + MANY / 10);
}

#[test]
fn a_reload_brings_no_ejected_server_back() {
    let (good, refuses) = (Upstream::start(), Closed::port());
    let gateway = Setup::with_servers(&servers(&[good.address(), refuses.address()]))
        .upstream("ejection = { failures = 1 }")
        .route(PUBLIC)
        .start();
    send_until_ejected(&gateway, 1);
    let sent = retries(&gateway, "sent");
    assert!(sent > 0);
    let changed = gateway
        .setup()
        .text()
        .replace("[apps.other]", "[apps.another]");
    gateway.reload(&changed);
    assert_eq!(in_state(&gateway, "ejected"), 1);
    for _ in 0..20 {
        get(&gateway).assert_passed();
    }
    assert_eq!(retries(&gateway, "sent"), sent);
}

#[test]
fn when_most_servers_are_dead_requests_are_answered_by_the_one_that_lives() {
    let good = Upstream::start();
    let (one, one_lives) = mortal();
    let (other, other_lives) = mortal();
    let addresses = [good.address(), one.address(), other.address()];
    let binary = Setup::with_servers(&servers(&addresses))
        .upstream("health = { path = \"/healthz\", every = \"20ms\", healthy_after = 1 }")
        .route(PUBLIC)
        .spawn();
    let live = |lives: bool, said: &str| {
        one_lives.store(lives, Ordering::SeqCst);
        other_lives.store(lives, Ordering::SeqCst);
        for server in [&one, &other] {
            let address = server.address().to_string();
            binary
                .stderr
                .wait_for(said, |line| line.contains(said) && line.contains(&address));
        }
    };
    let get = || binary.send(&binary.request("GET", "/")).status;
    live(false, "is down");
    let statuses: Vec<_> = (0..200).map(|_| get()).collect();
    let failed = statuses.iter().filter(|status| **status != 200).count();
    assert!(failed <= 3, "{statuses:?}");
    let begins = "too few servers are well: all are used";
    binary.stderr.wait_for_count(begins, 1);

    live(true, "is up");
    assert_eq!(get(), 200);
    let over = "servers that are not well are left out again";
    binary.stderr.wait_for_count(over, 1);
    let told = binary.stderr.text();
    assert_eq!(told.matches(begins).count(), 1, "{told}");
}

#[test]
fn servers_that_failed_together_share_requests_again() {
    let ((one, one_lives), (other, other_lives)) = (mortal(), mortal());
    let gateway = Setup::with_servers(&servers(&[one.address(), other.address()]))
        .route(PUBLIC)
        .start();
    let live = |lives: bool| {
        one_lives.store(lives, Ordering::SeqCst);
        other_lives.store(lives, Ordering::SeqCst);
    };
    get(&gateway).assert_passed();
    live(false);
    (0..MANY).for_each(|_| assert_eq!(get(&gateway).status, 502));
    live(true);
    gateway.advance(31);
    let heard = || [one.heard().len(), other.heard().len()];
    let before = heard();
    (0..MANY).for_each(|_| get(&gateway).assert_passed());
    let after = heard();
    for server in 0..2 {
        assert!(after[server] - before[server] > MANY / 5, "{after:?}");
    }
}

#[test]
fn a_server_that_fails_at_once_or_breaks_its_answers_off_draws_no_requests() {
    let fails: [&[u8]; 3] = [
        b"HTTP/1.1 500 Because\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 429 Because\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
    ];
    for answer in fails {
        let bad = Upstream::answering(move |_, wire| {
            wire.send(answer);
            wire.close();
        });
        let (one, other) = (Upstream::start(), Upstream::start());
        let addresses = [one.address(), bad.address(), other.address()];
        let gateway = Setup::with_servers(&servers(&addresses))
            .route(PUBLIC)
            .start();
        (0..MANY).for_each(|_| drop(get(&gateway)));
        // Each would get a third, were they the same.
        let got = bad.heard().len();
        assert!((1..MANY / 6).contains(&got), "{got}");
    }
}

#[test]
fn while_one_backend_hangs_others_answer_and_its_circuit_opens_and_closes() {
    let well = Arc::new(AtomicBool::new(false));
    let is_well = well.clone();
    let sick = Upstream::answering(move |_, wire| {
        if is_well.load(Ordering::SeqCst) {
            wire.answer(200, &[], b"well");
        } else {
            wire.wait_for_close();
        }
    });
    let good = Upstream::start();
    let route = |name: &str, upstream: &str| {
        format!(
            "[[routes]]\nname = \"{name}\"\npath = \"/{name}\"\nupstream = \"{upstream}\"\n{PUBLIC}\n"
        )
    };
    let gateway = Setup::before(&sick)
        .server("workers = 1")
        .upstream("timeout = \"1s\"\nejection = { failures = 2, at_most = \"100%\" }")
        .upstream("panic_threshold = \"off\"")
        .routes(&(route("sick", "backend") + &route("good", "good")))
        .more(&format!(
            "[upstreams.good]\nservers = [\"http://{}\"]\n",
            good.address()
        ))
        .start();
    let to_sick = gateway.request("GET", "/sick");
    let to_good = gateway.request("GET", "/good");
    for n in 0..2 {
        let mut waiting = gateway.connect();
        waiting.send(&to_sick.bytes());
        sick.wait_for_head(n);
        for _ in 0..10 {
            gateway.send(&to_good).assert_passed();
        }
        waiting.response().assert_refused(504, "upstream-timeout");
    }
    // Open: nobody waits for it any more.
    for _ in 0..5 {
        gateway
            .send(&to_sick)
            .assert_refused(502, "upstream-unreachable");
        gateway.send(&to_good).assert_passed();
    }
    assert_eq!(sick.heard().len(), 2);
    well.store(true, Ordering::SeqCst);
    gateway.advance(11);
    for _ in 0..5 {
        gateway.send(&to_sick).assert_passed();
    }
}

#[test]
fn only_what_anyone_may_repeat_is_sent_again_after_its_connection_broke() {
    let upstream = || {
        Upstream::answering(|got, wire| {
            if got.connection > 0 {
                wire.answer(200, &[], b"hello");
            }
            wire.close();
        })
    };
    for (method, public, passes) in [
        ("GET", true, true),
        ("OPTIONS", true, true),
        ("POST", true, false),
        ("DELETE", true, false),
        ("GET", false, false),
    ] {
        let upstream = upstream();
        let setup = Setup::before(&upstream);
        let gateway = if public { setup.route(PUBLIC) } else { setup }.start();
        let request = gateway.request(method, "/");
        let request = if public {
            request
        } else {
            caller().sign(&request)
        };
        let response = gateway.send(&request);
        if passes {
            response.assert_passed();
            assert_eq!(upstream.heard().len(), 2, "{method}");
        } else {
            response.assert_refused(502, "upstream-invalid");
            assert_eq!(upstream.heard().len(), 1, "{method}");
        }
        assert_eq!(retries(&gateway, "sent"), u64::from(passes));
    }
}

#[test]
fn no_request_is_sent_again_more_than_once_after_its_connection_broke() {
    let upstream = Upstream::answering(|_, wire| wire.close());
    let gateway = Setup::before(&upstream).route(PUBLIC).start();
    get(&gateway).assert_refused(502, "upstream-invalid");
    assert_eq!(upstream.heard().len(), 2);
}

#[test]
fn retries_end_with_their_budget() {
    let (one, other) = (Closed::port(), Closed::port());
    let gateway = Setup::with_servers(&servers(&[one.address(), other.address()]))
        .upstream("ejection = \"off\"\nretries = { budget = \"1%\", at_least = \"1/s\" }")
        .route(PUBLIC)
        .start();
    for _ in 0..40 {
        get(&gateway).assert_refused(502, "upstream-unreachable");
    }
    assert_eq!(retries(&gateway, "sent"), 10);
    assert_eq!(retries(&gateway, "over-budget"), 30);
    // Later there are some again.
    gateway.advance(60);
    get(&gateway).assert_refused(502, "upstream-unreachable");
    assert_eq!(retries(&gateway, "sent"), 11);
}

#[test]
fn when_every_connection_of_a_server_is_in_use_it_is_overloaded() {
    let upstream = Upstream::answering(hang);
    let gateway = Setup::before(&upstream)
        .server("workers = 1\ndrain_timeout = \"100ms\"")
        .upstream("max_connections = 1\nconnect_timeout = \"100ms\"")
        .route(PUBLIC)
        .start();
    let mut first = gateway.connect();
    first.send(&gateway.request("GET", "/").bytes());
    upstream.wait_for_head(0);
    let second = get(&gateway);
    second.assert_refused(503, "overloaded");
    assert_eq!(second.field("retry-after"), Some("1"));
}

#[test]
fn servers_are_checked_go_down_and_come_up_and_reloads_change_how() {
    let status = Arc::new(AtomicU16::new(204));
    let told = status.clone();
    let sick = Upstream::answering(move |got, wire| match got.target() {
        "/" => wire.answer(200, &[], b"hello"),
        _ => wire.answer(told.load(Ordering::SeqCst), &[], b""),
    });
    let good = Upstream::start();
    let health = "health = { path = \"/healthz?x\", every = \"20ms\", healthy_after = 1, unhealthy_after = 2 }";
    let binary = Setup::with_servers(&servers(&[sick.address(), good.address()]))
        .upstream(health)
        .route(PUBLIC)
        .spawn();
    let check = sick.got(0);
    assert_eq!(check.line(), "GET /healthz?x HTTP/1.1");
    assert_eq!(check.field("host"), Some(&*sick.address().to_string()));
    assert_eq!(check.field("user-agent"), Some("portcullis-health"));
    let asked = |upstream: &Upstream| {
        let heard = upstream.heard();
        heard.iter().filter(|got| got.target() == "/").count()
    };
    let get = || binary.send(&binary.request("GET", "/")).assert_passed();
    let in_state = |state: &str| {
        let page = Request::new("GET", "/metrics").to(binary.admin());
        let series =
            format!("portcullis_upstream_servers{{upstream=\"backend\",state=\"{state}\"}}");
        of_metrics(&page.send_to(binary.admin()), &series)
    };

    status.store(500, Ordering::SeqCst);
    let event = binary
        .stderr
        .wait_for("a server goes down", |line| line.contains("is down"));
    assert!(event.contains(&sick.address().to_string()), "{event}");
    assert!(event.contains("it answered 500"), "{event}");
    assert_eq!((in_state("up"), in_state("down")), (1, 1));
    let before = asked(&sick);
    (0..30).for_each(|_| get());
    assert_eq!(asked(&sick), before, "it gets no requests");

    status.store(200, Ordering::SeqCst);
    binary
        .stderr
        .wait_for("a server comes up", |line| line.contains("is up"));
    (0..MANY).for_each(|_| get());
    assert!(asked(&sick) > before, "it gets requests again");

    let text = std::fs::read_to_string(binary.setup().path("gateway.toml")).unwrap();
    binary.rewrite(&text.replace("/healthz?x", "/other"));
    let mut n = 0;
    while sick.wait_for_head(n).target() != "/other" {
        n += 1;
    }
}

#[test]
fn checks_that_fail_everywhere_refuse_nobody() {
    let upstream = || {
        Upstream::answering(|got, wire| {
            let status = if got.target() == "/" { 200 } else { 500 };
            wire.answer(status, &[], b"hello");
        })
    };
    let (one, other) = (upstream(), upstream());
    let binary = Setup::with_servers(&servers(&[one.address(), other.address()]))
        .upstream("health = { path = \"/healthz\", every = \"20ms\", unhealthy_after = 1 }")
        .route(PUBLIC)
        .spawn();
    for server in [&one, &other] {
        let address = server.address().to_string();
        binary.stderr.wait_for("a server goes down", |line| {
            line.contains("is down") && line.contains(&address)
        });
    }
    for _ in 0..20 {
        binary.send(&binary.request("GET", "/")).assert_passed();
    }
}
