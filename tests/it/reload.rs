//! A configuration that changes under a running gateway.

use crate::harness::secure::{Authority, Certified};
use crate::harness::{
    Binary, Connection, DEADLINE, Request, Response, Setup, Upstream, binary, caller,
};
use std::io::Write as _;
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

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
fn a_file_that_changes_nothing_was_taken_over_too() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream);
    let same = format!("{}\n# Read, and good.\n", setup.text());
    let binary = setup.spawn();
    let count = || {
        let line = "portcullis_config_reloads_total{result=\"success\"}";
        metric(&binary, line).unwrap()
    };
    let before = count();
    binary.rewrite(&same);
    binary.stderr.wait_for("that it was read", |line| {
        line.contains("read again: it changes nothing")
    });
    assert!(count() > before);
}

/// Waits until this socket is told that a configuration is in force: at the start, and after each reading.
fn wait_until_ready(socket: &UnixDatagram) {
    let mut message = [0; 512];
    loop {
        let length = socket.recv(&mut message).unwrap();
        if &message[..length] == b"READY=1\n" {
            return;
        }
    }
}

#[test]
fn a_change_that_somebody_asks_for_before_it_is_seen_is_counted_and_told_once() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream).routes(OPEN);
    let path = setup.path("notify.sock");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(DEADLINE)).unwrap();
    let binary = Binary::spawn_with(setup, &[("NOTIFY_SOCKET", path.to_str().unwrap())]);
    wait_until_ready(&manager);
    let count = || {
        let line = "portcullis_config_reloads_total{result=\"success\"}";
        metric(&binary, line).unwrap() as u64
    };
    let before = count();
    let file = binary.setup().path("gateway.toml");
    let mut file = std::fs::File::options().append(true).open(file).unwrap();
    write!(file, "\n{MORE}").unwrap();
    binary.signal("HUP");
    wait_until_ready(&manager);
    assert_eq!(count(), before + 1);
    // Only what nobody writes any more is read because it changed.
    drop(file);
    wait_until_ready(&manager);
    assert_eq!(count(), before + 1);
    let told = binary.stderr.text();
    assert!(!told.contains("it changes nothing"), "{told}");
    assert_open(&binary.send(&binary.request("GET", "/more")));
}

#[test]
fn what_concerns_no_app_of_the_file_or_is_never_shown_is_told_as_changed() {
    let hash = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream).more(&format!(
        "[api_keys]\npepper = \"file:pepper\"\n[plans.made]\nrate = \"10/s\"\n\
         [apps.old]\napi_keys = [{{ id = \"old-1\", hash = \"hmac-sha256:{hash}\" }}]\n"
    ));
    setup.write_secret("pepper", b"a pepper of more than thirty-two bytes");
    let other = setup.text().replace("10/s", "20/s");
    let other = other.replace(hash, &hash.replace('0', "1"));
    let binary = setup.spawn();
    binary.rewrite(&other);
    let event = binary
        .stderr
        .wait_for("the reload", |line| line.contains("configuration reloaded"));
    for told in [
        "plans.made.rate.rate",
        "apps.old.api_keys.old-1.hash: changed",
    ] {
        assert!(event.contains(told), "{told}: {event}");
    }
    assert!(!event.contains("112233445566"), "{event}");
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
fn a_file_that_has_lost_all_its_routes_changes_nothing() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream).routes(OPEN);
    let cut = setup.text().split_once("[[routes]]").unwrap().0.to_owned();
    let binary = setup.spawn();
    binary.rewrite(&cut);
    let event = binary
        .stderr
        .wait_for("the refusal", |line| line.contains("not taken over"));
    assert!(event.contains("has no `[[routes]]`"), "{event}");
    assert_open(&binary.send(&binary.request("GET", "/open")));
}

#[test]
fn an_emptied_file_is_told_as_one_without_routes_and_not_as_one_to_restart_with() {
    let upstream = Upstream::start();
    let binary = Setup::before(&upstream).routes(OPEN).spawn();
    binary.rewrite("");
    let event = binary
        .stderr
        .wait_for("the refusal", |line| line.contains("not taken over"));
    assert!(event.contains("has no `[[routes]]`"), "{event}");
    assert!(!event.contains("restart"), "{event}");
    assert_open(&binary.send(&binary.request("GET", "/open")));
}

#[test]
fn a_file_that_has_lost_all_its_apps_changes_nothing_while_a_route_asks_for_one() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream);
    let text = setup.text();
    let (cut, _) = text.split_once("[apps.mobile]").unwrap();
    let public = "accept = [\"public\"]";
    let open = cut.replace("accept = [\"http-signature\", \"token\"]", public);
    assert!(open.contains(public), "{open}");
    let binary = setup.spawn();
    binary.rewrite(cut);
    let event = binary
        .stderr
        .wait_for("the refusal", |line| line.contains("not taken over"));
    assert!(event.contains("has no `[apps]`"), "{event}");
    let signed = caller().at(Binary::now()).sign(&binary.request("GET", "/"));
    assert_open(&binary.send(&signed));
    binary.reload(&open);
    assert_open(&binary.send(&binary.request("GET", "/")));
}

/// An app whose key is made for it, and one with a static key.
const MADE: &str = "[apps.made]\nkeys = [{ id = \"made-1\", algorithm = \"hmac-sha256\", secret = \"generated:made.key\" }]\n\
    [apps.old]\napi_keys = [{ id = \"old-1\", secret = \"file:old.static\" }]\n";

/// Before one with these.
fn with_made(upstream: &Upstream) -> Setup {
    let setup = Setup::before(upstream);
    setup.write_secret("old.static", b"a-static-key-0123456789");
    setup
}

/// What that app's caller gets, with what is in the file of its key when it is first asked.
fn signs_as_made(binary: &Binary) -> impl Fn(&str) -> Response {
    let text = std::fs::read_to_string(binary.setup().path("made.key")).unwrap();
    let secret = text.trim().strip_prefix("base64:").unwrap();
    let secret = data_encoding::BASE64.decode(secret.as_bytes()).unwrap();
    let made = caller().key_id("made-1").secret(&secret);
    move |nonce| {
        let made = made.clone().at(Binary::now()).nonce(nonce);
        binary.send(&made.sign(&binary.request("GET", "/")))
    }
}

#[test]
fn a_made_secret_that_is_gone_stays_in_force_and_is_made_no_second_time() {
    let upstream = Upstream::start();
    let binary = with_made(&upstream).more(MADE).spawn();
    let ask = signs_as_made(&binary);
    let all = ["made.key", "state/master.key", "state/api-keys.pepper"];
    for (number, name) in all.into_iter().enumerate() {
        let [here, aside] = [name, "aside"].map(|name| binary.setup().path(name));
        std::fs::rename(&here, &aside).unwrap();
        binary.signal("HUP");
        let words = format!("`{name}` is gone");
        let event = binary.stderr.wait_for(name, |line| line.contains(&words));
        assert!(event.contains("not taken over"), "{event}");
        assert_open(&ask(&number.to_string()));
        assert_eq!(metric(&binary, "portcullis_config_in_force "), Some(0.0));
        assert!(!here.exists(), "{name} was made again");
        std::fs::rename(&aside, &here).unwrap();
        binary.signal("HUP");
        binary.stderr.wait_for_count("is good again", number + 1);
    }
    assert!(!binary.stderr.text().contains("configuration reloaded"));
}

#[test]
fn an_admin_token_that_is_taken_away_ends_and_another_is_made() {
    let upstream = Upstream::start();
    let binary = with_made(&upstream).spawn();
    let file = binary.setup().path("state/admin.token");
    let before = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    binary.signal("HUP");
    binary.stderr.wait_for("changed", |line| {
        line.contains("configuration reloaded") && line.contains("admin.token: changed")
    });
    assert_ne!(std::fs::read(&file).unwrap(), before);
}

#[test]
fn a_file_that_is_refused_leaves_no_secret_behind_and_one_that_is_taken_over_has_its_own() {
    let upstream = Upstream::start();
    let setup = with_made(&upstream);
    let text = setup.text();
    let good = format!("{text}{MADE}");
    let moved = good.replace("directory = \"state\"", "directory = \"elsewhere\"");
    let misspelt = format!("{good}[overlaod]\nqueue = 1\n");
    let binary = setup.spawn();
    for (text, words) in [
        (moved, "a change of state.directory"),
        (misspelt, "overlaod"),
    ] {
        binary.rewrite(&text);
        let event = binary.stderr.wait_for(words, |line| line.contains(words));
        assert!(event.contains("not taken over"), "{event}");
        for name in ["elsewhere", "made.key", "state/api-keys.pepper"] {
            assert!(!binary.setup().path(name).exists(), "{name} was made");
        }
    }
    binary.reload(&good);
    assert_open(&signs_as_made(&binary)("1"));
    assert!(binary.setup().path("state/api-keys.pepper").exists());
}

/// What `portcullis reload` says beside its output.
fn warned_by_reload(binary: &Binary, more: &[&str]) -> String {
    let admin = format!("http://{}", binary.admin());
    let ran = std::process::Command::new(binary::program())
        .args(["reload", "--admin", &admin])
        .args(more)
        .current_dir(binary.setup().folder())
        .output()
        .unwrap();
    let told = String::from_utf8(ran.stderr).unwrap();
    assert!(ran.status.success(), "{told}");
    told
}

#[test]
fn a_certificate_that_is_over_is_warned_of_once_when_it_is_put_in_place() {
    const OVER: &str = "server.tls.certificate: the certificate is over since 2001-01-01";
    let put = |setup: &Setup, certified: &Certified| {
        setup.write_secret("key.pem", certified.key.as_bytes());
        setup.write("cert.pem", certified.certificate.as_bytes());
    };
    let authority = Authority::new();
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream)
        .server("tls = { certificate = \"file:cert.pem\", key = \"file:key.pem\" }");
    put(&setup, &authority.certify("localhost"));
    let more = setup
        .text()
        .replace("[apps.mobile]", &format!("{MORE}\n[apps.mobile]"));
    let binary = setup.spawn();
    assert!(!warned_by_reload(&binary, &[]).contains("the certificate"));
    put(binary.setup(), &authority.certify_expired("localhost"));
    for dry_run in [&["--dry-run"][..], &[]] {
        let told = warned_by_reload(&binary, dry_run);
        let warning = told.lines().find(|line| line.starts_with("warning: "));
        assert!(warning.is_some_and(|line| line.contains(OVER)), "{told}");
    }
    let event = binary
        .stderr
        .wait_for("the warning", |line| line.contains(OVER));
    assert!(event.contains("\"WARN\""), "{event}");
    // Another change says nothing of it, where nothing of it has changed.
    binary.rewrite(&more);
    binary.stderr.wait_for("the reload", |line| {
        line.contains("configuration reloaded") && line.contains("routes.more")
    });
    assert_eq!(binary.stderr.text().matches(OVER).count(), 1);
}

#[test]
fn a_configuration_that_is_not_in_force_is_shown_until_it_is() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream).routes(OPEN);
    let good = setup.text();
    let bad = good.replace("accept = [\"public\"]", "accept = [\"pubic\"]");
    let binary = setup.spawn();
    let is_in_force = || metric(&binary, "portcullis_config_in_force ");
    assert_eq!(is_in_force(), Some(1.0));
    binary.rewrite(&bad);
    binary
        .stderr
        .wait_for("the problems", |line| line.contains("not taken over"));
    assert_eq!(is_in_force(), Some(0.0));
    binary.rewrite(&good);
    binary
        .stderr
        .wait_for("that it is good", |line| line.contains("is good again"));
    assert_eq!(is_in_force(), Some(1.0));
}

#[test]
fn cores_that_are_taken_away_hold_no_reload_up() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream)
        .server("workers = \"auto\"")
        .routes(OPEN);
    let more = setup.text().replace(OPEN, &format!("{OPEN}{MORE}"));
    let binary = setup.spawn();
    // All of its threads, as a smaller quota of a container's does.
    let pinned = std::process::Command::new("taskset")
        .args([
            "-acp",
            "0",
            binary.process().file_name().unwrap().to_str().unwrap(),
        ])
        .output()
        .expect("`taskset`, of util-linux");
    assert!(pinned.status.success(), "{pinned:?}");
    binary.rewrite(&more);
    let event = binary
        .stderr
        .wait_for("the reload", |line| line.contains("configuration reloaded"));
    assert!(!event.contains("workers"), "{event}");
    assert_open(&binary.send(&binary.request("GET", "/more")));
}

#[test]
fn worker_threads_that_are_left_to_the_gateway_need_a_restart_where_they_would_be_others() {
    let upstream = Upstream::start();
    let cores = std::thread::available_parallelism().unwrap().get();
    let said = format!("workers = {}\n", cores + 1);
    let setup = Setup::before(&upstream).server(&said).routes(OPEN);
    let binary = setup.spawn();
    let text = std::fs::read_to_string(binary.setup().path("gateway.toml")).unwrap();
    for (times, left) in [(1, "workers = \"auto\"\n"), (2, "")] {
        binary.rewrite(&text.replace(&said, left));
        let refused = "a change of server.workers needs a restart";
        binary.stderr.wait_for_count(refused, times);
        binary.rewrite(&text);
        binary.stderr.wait_for_count("is good again", times);
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

/// What a process holds: memory, files and threads.
#[derive(Debug)]
struct Held {
    memory: u64,
    files: usize,
    threads: usize,
}

impl Held {
    fn by(binary: &Binary) -> Self {
        let count = |folder| {
            std::fs::read_dir(binary.process().join(folder))
                .unwrap()
                .count()
        };
        Self {
            memory: binary.memory(),
            files: count("fd"),
            threads: count("task"),
        }
    }
}

#[test]
fn a_hundred_reloads_under_load_fail_no_request_and_leave_nothing_behind() {
    let upstreams = [Upstream::start(), Upstream::start()];
    let setup = Setup::before(&upstreams[0]);
    let first = setup.text();
    let address = |upstream: &Upstream| format!("http://{}", upstream.address());
    // Another server, other limits and one route more.
    let second = first
        .replace(&address(&upstreams[0]), &address(&upstreams[1]))
        .replace("[apps.mobile]", &format!("{MORE}\n[apps.mobile]"));
    let second = format!("{second}\n[overload]\nin_flight = 100\n");
    let texts = [second, first];
    let binary = setup.spawn();
    let (stop, passed) = (AtomicBool::new(false), AtomicUsize::new(0));
    let reload = |number: usize| {
        binary.rewrite(&texts[number % 2]);
        binary.signal("HUP");
        binary
            .stderr
            .wait_for_count("configuration reloaded", number + 1);
    };
    std::thread::scope(|scope| {
        for name in 0..2 {
            let (binary, stop, passed) = (&binary, &stop, &passed);
            scope.spawn(move || {
                let _all = Stops(stop);
                let mut connection = Connection::open(binary.address());
                let mut number = 0;
                while !stop.load(SeqCst) {
                    let request = binary.request("POST", "/").body("x");
                    let signed = caller()
                        .at(Binary::now())
                        .nonce(&format!("{name}-{number}"))
                        .sign(&request);
                    connection.send(&signed.bytes());
                    connection.response().assert_passed();
                    passed.fetch_add(1, SeqCst);
                    number += 1;
                }
            });
        }
        let _all = Stops(&stop);
        for number in 0..20 {
            reload(number);
        }
        let before = Held::by(&binary);
        for number in 20..120 {
            reload(number);
            assert!(!stop.load(SeqCst), "a request has failed");
        }
        let after = Held::by(&binary);
        let told = format!("before: {before:?}, after: {after:?}");
        // Threads that look names up and read files come and go: of each worker one at a time.
        assert!(after.threads <= before.threads + 4, "{told}");
        // Connections to the servers come and go: of each worker one for each request in flight.
        assert!(after.files <= before.files + 8, "{told}");
        assert!(after.memory <= before.memory + (4 << 20), "{told}");
    });
    assert!(passed.into_inner() >= 100);
    for upstream in &upstreams {
        assert!(!upstream.heard().is_empty());
    }
}

/// Stops the load when it is dropped, be it by a test that fails.
struct Stops<'s>(&'s AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}
