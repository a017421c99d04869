//! What was let through, counted, logged and heard is the same, to the last request.

use crate::harness::{Binary, Caller, Request, Setup, Upstream, binary, caller, wait_until};
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

const THREADS: usize = 4;
/// Requests of each thread for each of two apps.
const EACH: usize = 40;
/// How many of them the limit of one app lets through.
const BURST: usize = 25;

fn counted(admin: SocketAddr, labels: &str) -> usize {
    let metrics = Request::new("GET", "/metrics").to(admin).send_to(admin);
    let lines = metrics.text();
    let found = lines.lines().filter_map(|line| {
        let (name, value) = line.rsplit_once(' ')?;
        let is = name.starts_with("portcullis_requests_total{") && name.contains(labels);
        is.then(|| value.parse::<usize>().unwrap())
    });
    found.sum()
}

#[test]
fn what_is_let_through_is_what_is_counted_logged_and_heard_and_never_more_than_the_limit() {
    let upstream = Upstream::start();
    let limit = format!("[plans.small]\nrate = \"1/h\"\nburst = {BURST}\n");
    let setup = Setup::before(&upstream);
    let mut gateway = setup.app("plan = \"small\"").more(&limit).spawn();
    let now = crate::harness::Binary::now();
    let (limited, free) = (caller().at(now), Caller::other().at(now));
    let (passed, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let begin = Barrier::new(THREADS);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                begin.wait();
                for _ in 0..EACH {
                    for caller in [&limited, &free] {
                        let response = gateway.send(&caller.sign(&gateway.request("GET", "/")));
                        match response.status {
                            200 => passed.fetch_add(1, SeqCst),
                            429 => refused.fetch_add(1, SeqCst),
                            _ => panic!("{}", response.text()),
                        };
                    }
                }
            });
        }
    });
    let (passed, refused) = (passed.into_inner(), refused.into_inner());
    assert_eq!(passed, BURST + THREADS * EACH);
    assert_eq!(refused, THREADS * EACH - BURST);
    assert_eq!(upstream.heard().len(), passed);
    // A request counts once its answer has ended, which may be a moment after its client has it.
    let admin = gateway.admin();
    wait_until("the count", || {
        counted(admin, "route=\"all\"") >= passed + refused
    });
    assert_eq!(counted(admin, "reason=\"ok\""), passed);
    assert_eq!(counted(admin, "reason=\"rate-exceeded\""), refused);
    assert_eq!(counted(admin, ""), passed + refused);
    gateway.signal("TERM");
    assert!(gateway.wait().success());
    gateway.stdout.wait_for_end();
    let log = gateway.stdout.text();
    assert_eq!(log.matches("\"status\":200").count(), passed);
    assert_eq!(log.matches("\"status\":429").count(), refused);
    assert_eq!(log.lines().count(), passed + refused);
}

#[test]
fn lines_of_the_log_that_are_lost_are_told_of_once_with_why_and_so_is_their_end() {
    const LOST: &str = "lines of the access log are lost";
    const LINES: usize = 3;
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream).route("accept = [\"public\"]");
    let pipe = setup.path("access.pipe");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    // Whoever opens it to write, too, does not wait for another end.
    let open = || File::options().read(true).write(true).open(&pipe).unwrap();
    let first = open();
    let text = setup.text();
    let mut piped = Command::new("sh");
    piped
        .arg("-c")
        .arg("exec \"$0\" \"$@\" >access.pipe")
        .arg(binary::program());
    let binary = Binary::spawn_by(setup, &text, piped);
    let send = || {
        let response = binary.send(&binary.request("GET", "/"));
        assert_eq!(response.status, 200, "{}", response.text());
    };
    let dropped = || {
        let metrics = Request::new("GET", "/metrics").to(binary.admin());
        let text = metrics.send_to(binary.admin()).text();
        let mut lines = text.lines();
        let name = "portcullis_access_log_dropped_total ";
        let number = lines.find_map(|line| line.strip_prefix(name)?.parse::<usize>().ok());
        number.unwrap()
    };
    drop(first);
    for _ in 0..LINES {
        send();
    }
    let event = binary
        .stderr
        .wait_for("the event", |line| line.contains(LOST));
    assert!(event.contains("Broken pipe"), "{event}");
    wait_until("the count", || dropped() == LINES);
    let mut again = BufReader::new(open());
    send();
    let event = binary.stderr.wait_for("the end of it", |line| {
        line.contains("the access log is written again")
    });
    assert!(event.contains(&format!("\"lost\":{LINES}")), "{event}");
    assert_eq!(binary.stderr.text().matches(LOST).count(), 1);
    assert_eq!(dropped(), LINES);
    let mut line = String::new();
    again.read_line(&mut line).unwrap();
    serde_json::from_str::<serde_json::Value>(&line).unwrap();
}
