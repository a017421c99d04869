//! The ways in: Unix sockets, and sockets that are handed over.

use crate::harness::binary::program;
use crate::harness::{
    Binary, Connection, DEADLINE, Gateway, Request, Setup, Upstream, caller, wait_until,
};
use std::cell::RefCell;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;

const BOTH: &str = "listen = [\"127.0.0.1:0\", \"unix:gate.sock\"]";

/// A request whose host does not depend on the way it takes.
fn request(method: &str, target: &str) -> Request {
    Request::new(method, target).authority("api.example.com")
}

fn ask(path: &Path, request: &Request) -> crate::harness::Response {
    let mut connection = Connection::open_unix(path);
    connection.send(&request.bytes());
    connection.response_to(&request.method)
}

#[test]
fn a_signed_request_passes_through_a_unix_socket_and_is_logged_so() {
    let upstream = Upstream::start();
    // One worker, so that records stand in the order of their requests.
    let setup = Setup::before(&upstream).server(BOTH).server("workers = 1");
    let gateway = setup.start();
    let path = gateway.setup().path("gate.sock");
    for _ in 0..4 {
        let signed = caller().sign(&request("GET", "/orders"));
        ask(&path, &signed).assert_passed();
    }
    let got = upstream.got(0);
    assert_eq!(got.field("x-forwarded-for"), Some("unknown"));
    assert_eq!(
        got.field("forwarded"),
        Some("for=unknown;host=api.example.com;proto=http")
    );
    assert_eq!(gateway.record(0)["peer"], "unix");
    // The other door is open too.
    let signed = caller().sign(&request("GET", "/orders"));
    gateway.send(&signed).assert_passed();
    assert_eq!(gateway.record(4)["peer"], "127.0.0.1");
}

#[test]
fn curl_finds_the_way_through_a_unix_socket() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).server(BOTH).start();
    let path = gateway.setup().path("gate.sock");
    let signed = caller().sign(&request("GET", "/orders"));
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let more = ["--unix-socket", path.to_str().unwrap(), version];
        crate::harness::curl::curl(&signed, gateway.address(), &more).assert_passed();
    }
}

#[test]
fn what_a_unix_peer_causes_is_one_count_for_all_of_them() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream)
        .server(BOTH)
        .peers("failures = { rate = \"1/h\", burst = 2 }")
        .start();
    let path = gateway.setup().path("gate.sock");
    for _ in 0..2 {
        ask(&path, &request("GET", "/")).assert_refused(401, "credential-missing");
    }
    ask(&path, &request("GET", "/")).assert_refused(429, "peer-limited");
    gateway
        .send(&request("GET", "/"))
        .assert_refused(401, "credential-missing");
}

#[test]
fn the_socket_has_its_mode_and_is_removed_at_the_end() {
    let upstream = Upstream::start();
    for (lines, mode) in [("", 0o660), ("socket_mode = \"0600\"", 0o600)] {
        let setup = Setup::before(&upstream).server(BOTH).server(lines);
        let mut binary = setup.spawn();
        let path = binary.setup().path("gate.sock");
        let there = std::fs::metadata(&path).unwrap();
        assert!(there.file_type().is_socket());
        assert_eq!(there.mode() & 0o777, mode);
        binary.signal("TERM");
        assert!(binary.wait().success());
        assert!(!path.exists());
    }
}

#[test]
fn the_socket_of_a_dead_gateway_is_replaced_and_that_of_a_live_one_is_not() {
    let upstream = Upstream::start();
    let mut binary = Setup::before(&upstream).server(BOTH).spawn();
    let path = binary.setup().path("gate.sock");

    let text = binary.setup().text().replace("\"state\"", "\"other\"");
    let other = binary.setup().write("other.toml", text.as_bytes());
    let told = fails(&other);
    assert!(
        told.contains("gate.sock`: the address is in use\n\nhint: is another gateway running? set another path"),
        "{told}"
    );
    ask(&path, &request("GET", "/")).assert_refused(401, "credential-missing");

    binary.kill();
    assert!(path.exists());
    let mut binary = binary.restarted();
    ask(&path, &request("GET", "/")).assert_refused(401, "credential-missing");

    // What is no socket is nobody's to take away.
    binary.signal("TERM");
    assert!(binary.wait().success());
    std::fs::write(&path, "dear").unwrap();
    let told = fails(&other);
    assert!(
        told.contains("there is a file of that name, which is no socket"),
        "{told}"
    );
    assert_eq!(std::fs::read(&path).unwrap(), b"dear");
}

fn fails(config: &Path) -> String {
    let output = std::process::Command::new(program())
        .arg("serve")
        .arg("--config")
        .arg(config)
        .output()
        .unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn health_and_metrics_can_be_behind_a_unix_socket() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream)
        .admin("listen = \"unix:admin.sock\"")
        .start();
    let path = gateway.setup().path("admin.sock");
    let ready = ask(&path, &request("GET", "/readyz"));
    assert_eq!((ready.status, ready.text()), (200, "ready\n".into()));
}

fn handed_over(setup: Setup, listen: &str, socket: impl Into<OwnedFd>) -> Binary {
    let text = setup.text_on(listen);
    Binary::spawn_with_socket(setup, &text, socket.into())
}

#[test]
fn a_socket_handed_over_is_served_by_every_worker_and_outlives_us() {
    let upstream = Upstream::start();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // Whoever comes before we are there waits.
    let mut early = Connection::open(address);
    early.send(&request("GET", "/").bytes());
    let setup = Setup::before(&upstream).server("workers = 2");
    let socket = listener.try_clone().unwrap();
    let mut binary = handed_over(setup, &address.to_string(), socket);
    assert_eq!(binary.address(), address);
    early.response().assert_refused(401, "credential-missing");
    for _ in 0..8 {
        binary
            .send(&request("GET", "/"))
            .assert_refused(401, "credential-missing");
    }
    binary.signal("TERM");
    assert!(binary.wait().success());
    // It is whoever handed it over that closes it.
    let mut late = Connection::open(address);
    late.send(&request("GET", "/").bytes());
    let setup = Setup::before(&upstream);
    let _next = handed_over(setup, &address.to_string(), listener);
    late.response().assert_refused(401, "credential-missing");
}

#[test]
fn a_unix_socket_handed_over_keeps_its_file_and_others_are_bound_as_usual() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream).server(BOTH);
    let path = setup.path("gate.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let text = setup.text();
    let mut binary = Binary::spawn_with_socket(setup, &text, listener.into());
    ask(&path, &request("GET", "/")).assert_refused(401, "credential-missing");
    binary
        .send(&request("GET", "/"))
        .assert_refused(401, "credential-missing");
    binary.signal("TERM");
    assert!(binary.wait().success());
    assert!(path.exists());
}

#[test]
fn a_socket_handed_over_that_no_setting_names_is_refused() {
    let upstream = Upstream::start();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let setup = Setup::before(&upstream);
    let text = setup.text_on("127.0.0.1:0");
    let (code, told) = Binary::fails_with_socket(&setup, &text, listener.into());
    assert_eq!(code, Some(1));
    let expected = format!(
        "the socket `{address}` was handed over to us, and nothing listens there: we listen on `127.0.0.1:0`, `127.0.0.1:0`"
    );
    assert!(told.contains(&expected), "{told}");
}

#[test]
fn what_is_handed_over_and_does_not_listen_is_refused() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream);
    let text = setup.text();
    let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
    for socket in [
        OwnedFd::from(one),
        std::fs::File::open("/dev/null").unwrap().into(),
    ] {
        let (code, told) = Binary::fails_with_socket(&setup, &text, socket);
        assert_eq!(code, Some(1));
        assert!(told.contains("the socket number 0 ("), "{told}");
    }
}

/// The messages that a service manager gets.
struct Manager(UnixDatagram);

impl Manager {
    fn next(&self) -> String {
        let mut message = [0; 512];
        let length = self.0.recv(&mut message).unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap()
    }

    /// The next message but for the watchdog's.
    fn next_news(&self) -> String {
        std::iter::repeat_with(|| self.next())
            .find(|message| message != "WATCHDOG=1\n")
            .unwrap()
    }
}

/// The binary under a service manager, once it has said that it is ready.
fn managed(upstream: &Upstream) -> (Manager, Binary) {
    let setup = Setup::before(upstream);
    let path = setup.path("notify.sock");
    let manager = Manager(UnixDatagram::bind(&path).unwrap());
    manager.0.set_read_timeout(Some(DEADLINE)).unwrap();
    let told = [
        ("NOTIFY_SOCKET", path.to_str().unwrap()),
        ("WATCHDOG_USEC", "200000"),
    ];
    let binary = Binary::spawn_with(setup, &told);
    assert_eq!(manager.next_news(), "READY=1\n");
    (manager, binary)
}

#[test]
fn the_service_manager_is_told_how_it_goes() {
    let upstream = Upstream::start();
    let (manager, mut binary) = managed(&upstream);
    while manager.next() != "WATCHDOG=1\n" {}

    binary.signal("HUP");
    let reloading = manager.next_news();
    let time = reloading
        .strip_prefix("RELOADING=1\nMONOTONIC_USEC=")
        .unwrap();
    assert!(time.trim().parse::<u64>().unwrap() > 0);
    assert_eq!(manager.next_news(), "READY=1\n");

    binary.signal("TERM");
    assert_eq!(manager.next_news(), "STOPPING=1\n");
    assert!(binary.wait().success());
}

/// Holds files so that whoever opens one waits, as for a file system that does not answer, until its input ends.
const HELD: &str = "import fcntl, signal, sys
signal.signal(signal.SIGIO, signal.SIG_IGN)
held = open(sys.argv[1], 'r+b')
fcntl.fcntl(held, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print('held', flush=True)
sys.stdin.read()";

#[test]
fn files_that_do_not_answer_keep_neither_the_watchdog_nor_a_stop_waiting() {
    let upstream = Upstream::start();
    let (manager, mut binary) = managed(&upstream);
    let mut holder = std::process::Command::new("python3")
        .args(["-c", HELD])
        .arg(binary.setup().path("gateway.toml"))
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("Python is needed");
    let mut line = String::new();
    let mut said = std::io::BufReader::new(holder.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut said, &mut line).unwrap();
    assert_eq!(line, "held\n");

    binary.signal("HUP");
    assert!(manager.next_news().starts_with("RELOADING=1\n"));
    let event = "the files of the configuration do not answer";
    while !binary.stderr.text().contains(event) {
        assert_eq!(manager.next(), "WATCHDOG=1\n");
    }
    let request = binary.request("GET", "/orders");
    let signed = caller().at(Binary::now()).sign(&request);
    binary.send(&signed).assert_passed();

    binary.signal("TERM");
    assert_eq!(manager.next_news(), "STOPPING=1\n");
    assert!(binary.wait().success());
    drop(holder.stdin.take());
    holder.wait().unwrap();
}

/// The values of a key of a unit file.
fn values<'u>(unit: &'u str, key: &str) -> Vec<&'u str> {
    unit.lines()
        .filter_map(|line| line.strip_prefix(key)?.strip_prefix('='))
        .collect()
}

#[test]
fn the_units_for_systemd_fit_the_gateway() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/systemd");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let (service, socket) = (read("portcullis.service"), read("portcullis.socket"));
    for unit in [&service, &socket] {
        for line in unit.lines().filter(|line| !line.is_empty()) {
            let is_heading = line.starts_with('[') && line.ends_with(']');
            let assigned = line.split_once('=').map_or("", |(key, _)| key);
            let is_key =
                !assigned.is_empty() && assigned.bytes().all(|b| b.is_ascii_alphanumeric());
            assert!(line.starts_with('#') || is_heading || is_key, "{line}");
        }
    }
    // It is told what `Type=` waits for: `the_service_manager_is_told_how_it_goes`.
    assert_eq!(values(&service, "Type"), ["notify"]);
    assert_eq!(values(&service, "Requires"), ["portcullis.socket"]);
    for key in ["ExecStart", "ExecReload"] {
        let command = values(&service, key)[0].replace("/etc/portcullis", "/nowhere");
        let output = std::process::Command::new(program())
            .args(command.split(' ').skip(1))
            .output()
            .unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(
            told.contains("/nowhere/gateway.toml"),
            "its arguments are understood: {told}"
        );
        // Nor is it tried again.
        let code = output.status.code().unwrap().to_string();
        assert_eq!(values(&service, "RestartPreventExitStatus"), [code]);
    }

    // The `listen` that the service file speaks of is what the socket file has.
    let (_, listen) = service.lines().next().unwrap().split_once('`').unwrap();
    let (listen, _) = listen.split_once('`').unwrap();
    let text = format!("[server]\n{listen}\n");
    assert!(service.contains("`[state] directory = \"/var/lib/portcullis\"`"));
    // Beside `gateway.toml` the unit's user may write nothing.
    assert!(service.contains("\"generated:/var/lib/portcullis/"));
    assert_eq!(values(&service, "StateDirectory"), ["portcullis"]);
    let loaded = portcullis::config::from_text(&text, "gateway.toml").unwrap();
    let places = &loaded.config.server.listen;
    let streams = values(&socket, "ListenStream");
    assert_eq!(places.len(), streams.len());
    for (place, stream) in places.iter().zip(streams) {
        assert_eq!(place.to_string().trim_start_matches("unix:"), stream);
    }
}

fn metric(gateway: &Gateway, name: &str) -> u64 {
    on_page(&gateway.ask_admin("/metrics").text(), name)
}

fn on_page(page: &str, name: &str) -> u64 {
    let line = page.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap().trim().parse().unwrap()
}

/// A connection that has a place: it was answered.
fn placed(gateway: &Gateway) -> Connection {
    let mut connection = gateway.connect();
    connection.send(&request("GET", "/").bytes());
    connection
        .response()
        .assert_refused(401, "credential-missing");
    connection
}

#[test]
fn who_comes_over_the_cap_is_closed_and_counted_and_others_go_on() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream)
        .server("max_connections = 3\nworkers = 2")
        .start();
    let mut held = [placed(&gateway), placed(&gateway), placed(&gateway)];
    for _ in 0..4 {
        assert!(gateway.connect().is_closed());
    }
    assert_eq!(metric(&gateway, "portcullis_open_connections"), 3);
    for connection in &mut held {
        connection.send(&request("GET", "/").bytes());
        connection
            .response()
            .assert_refused(401, "credential-missing");
    }
    assert_eq!(
        metric(&gateway, "portcullis_connections_closed_full_total"),
        4
    );
}

#[test]
fn health_checkers_come_in_when_nobody_else_does() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream)
        .server("max_connections = 1")
        .server("health_checkers = [\"127.0.0.1\"]")
        .start();
    let _held: Vec<_> = (0..17).map(|_| placed(&gateway)).collect();
    assert!(gateway.connect().is_closed(), "the reserve has an end");
    assert_eq!(
        metric(&gateway, "portcullis_connections_closed_full_total"),
        1
    );
}

#[test]
fn an_address_has_so_many_connections_and_a_unix_socket_any_number() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream)
        .server(BOTH)
        .server("max_connections_per_address = 2")
        .start();
    let _held = [placed(&gateway), placed(&gateway)];
    assert!(gateway.connect().is_closed());
    let path = gateway.setup().path("gate.sock");
    let mut others: Vec<_> = (0..5).map(|_| Connection::open_unix(&path)).collect();
    for other in &mut others {
        other.send(&request("GET", "/").bytes());
        other.response().assert_refused(401, "credential-missing");
    }
    let closed = metric(&gateway, "portcullis_connections_closed_per_address_total");
    assert_eq!(closed, 1);
}

#[test]
fn one_address_does_not_get_all_connections_where_nothing_is_said_of_it() {
    let upstream = Upstream::start();
    let of_address = |page: &str| {
        let closed = on_page(page, "portcullis_connections_closed_per_address_total");
        let full = on_page(page, "portcullis_connections_closed_full_total");
        (closed, full)
    };
    let gateway = Setup::before(&upstream)
        .server("max_connections = 80")
        .start();
    let _held: Vec<_> = (0..20).map(|_| placed(&gateway)).collect();
    assert!(gateway.connect().is_closed());
    assert_eq!(of_address(&gateway.ask_admin("/metrics").text()), (1, 0));

    // It is as much less where few files may be open.
    let setup = Setup::before(&upstream).server("workers = 1");
    let text = setup.text();
    let binary = Binary::spawn_by(setup, &text, limited(300, 300));
    let told = binary.stderr.text();
    assert!(told.contains("no more than 75 connections"), "{told}");
    let _strangers: Vec<_> = (0..30)
        .map(|_| Connection::open(binary.address()))
        .collect();
    wait_until("that those over the cap are closed", || {
        let mut admin = Connection::open(binary.admin());
        admin.send(&request("GET", "/metrics").bytes());
        of_address(&admin.response().text()) == (12, 0)
    });
}

#[test]
fn too_few_open_files_are_found_at_the_start_and_by_check() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream).server("workers = 1\nmax_connections = 500");
    let config = setup.write("checked.toml", setup.text().as_bytes());
    let needed = "up to 932 files are needed (516 connections, 256 to upstreams, 160 of our own), and 600 may be open, so that no more than 212 connections are let in at a time; hint: ";
    let output = limited(100, 600)
        .arg("check")
        .arg("-c")
        .arg(&config)
        .output()
        .unwrap();
    assert!(output.status.success());
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains(needed), "{told}");

    let text = setup.text();
    let few = Binary::spawn_by(setup, &text, limited(100, 600));
    assert!(few.stderr.text().contains(needed), "{}", few.stderr.text());

    // What the hard limit has room for is taken without a word.
    let said = "workers = 1\nmax_connections = 500\nmax_connections_per_address = 200";
    let setup = Setup::before(&upstream).server(said);
    let text = setup.text();
    let enough = Binary::spawn_by(setup, &text, limited(100, 2_000));
    assert!(
        !enough.stderr.text().contains("files"),
        "{}",
        enough.stderr.text()
    );
    let mut held: Vec<_> = (0..200)
        .map(|_| Connection::open(enough.address()))
        .collect();
    for connection in &mut held {
        connection.send(&request("GET", "/").bytes());
        connection
            .response()
            .assert_refused(401, "credential-missing");
    }
}

#[test]
fn without_a_file_to_spare_it_goes_on_and_takes_connections_again() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream).server("workers = 1");
    let text = setup.text();
    let binary = Binary::spawn_by(setup, &text, limited(64, 64));
    let held = files_of(&binary);
    let _waiting = [(); 8].map(|()| Connection::open(binary.address()));
    binary.stderr.wait_for("that it has no files", |line| {
        line.contains("\"cannot accept connections")
    });
    drop(held);
    binary
        .send(&request("GET", "/"))
        .assert_refused(401, "credential-missing");
}

#[test]
fn without_a_file_to_spare_no_server_is_blamed_and_with_one_requests_pass_again() {
    let servers = [(); 2].map(|()| {
        // Each request takes a file of its own.
        Upstream::answering(|_, wire| {
            wire.answer(200, &[("Connection", "close")], b"hello");
            wire.close();
        })
    });
    let quoted = servers
        .each_ref()
        .map(|one| format!("\"http://{}\"", one.address()));
    let setup = Setup::with_servers(&quoted.join(", "))
        .server("workers = 1")
        .upstream("ejection = { failures = 1 }")
        .upstream("health = { path = \"/\", every = \"100ms\", unhealthy_after = 1 }")
        .route("accept = [\"public\"]");
    let text = setup.text();
    let binary = Binary::spawn_by(setup, &text, limited(64, 64));
    let (get, metrics) = (request("GET", "/"), request("GET", "/metrics"));
    let before = RefCell::new([binary.address(), binary.admin()].map(Connection::open));
    let page = || {
        let [_, admin] = &mut *before.borrow_mut();
        admin.send(&metrics.bytes());
        admin.response().text()
    };
    let refused = || {
        let [gate, _] = &mut *before.borrow_mut();
        gate.send(&get.bytes());
        let response = gate.response();
        if response.status == 200 {
            return false;
        }
        response.assert_refused(503, "overloaded");
        assert_eq!(response.field("retry-after"), Some("1"));
        true
    };
    assert!(!refused());
    assert_eq!(on_page(&page(), "portcullis_accepts_failed_total"), 0);
    let held = files_of(&binary);
    let _waiting = [(); 8].map(|()| Connection::open(binary.address()));
    // For so long that each server was to be checked a few times.
    wait_until("that files are used up", || {
        refused() && on_page(&page(), "portcullis_accepts_failed_total") > 5
    });
    binary.stdout.wait_for("what was lacking", |line| {
        line.contains("`: no file or memory is left for a connection to it: Too many open files")
            && line.contains("\"upstream\":\"127.0.0.1:")
    });
    drop(held);
    wait_until("that requests pass again", || !refused());
    let up = "portcullis_upstream_servers{upstream=\"backend\",state=\"up\"}";
    assert_eq!(on_page(&page(), up), 2);
    let told = binary.stderr.text();
    assert!(!told.contains("a server is "), "{told}");
}

/// Connections to the admin listener that take every file of 64: those of callers have a cap below.
fn files_of(binary: &Binary) -> Vec<Connection> {
    let held = (0..64).map(|_| Connection::open(binary.admin())).collect();
    binary.stderr.wait_for("that it has no files", |line| {
        line.contains("the admin listener cannot accept connections")
    });
    held
}

#[test]
fn where_few_files_may_be_open_strangers_leave_enough_for_health_and_for_callers() {
    let upstream = Upstream::start();
    let said = "workers = 1\nmax_connections_per_address = 1_000";
    let setup = Setup::before(&upstream).server(said);
    let text = setup.text();
    let binary = Binary::spawn_by(setup, &text, limited(300, 300));
    let told = binary.stderr.text();
    let cap = "and 300 may be open, so that no more than 75 connections are let in at a time";
    assert!(told.contains(cap), "{told}");

    let mut kept = Connection::open(binary.address());
    kept.send(&request("GET", "/").bytes());
    kept.response().assert_refused(401, "credential-missing");
    let _strangers: Vec<_> = (0..400)
        .map(|_| Connection::open(binary.address()))
        .collect();
    let asked = |path: &str| {
        let mut admin = Connection::open(binary.admin());
        admin.send(&request("GET", path).bytes());
        admin.response()
    };
    wait_until("that those over the cap are closed", || {
        let page = asked("/metrics").text();
        on_page(&page, "portcullis_connections_closed_full_total") == 326
    });
    assert_eq!(asked("/livez").status, 200);
    let signed = caller().at(Binary::now()).sign(&request("GET", "/orders"));
    kept.send(&signed.bytes());
    kept.response().assert_passed();
    let page = asked("/metrics").text();
    assert_eq!(on_page(&page, "portcullis_accepts_failed_total"), 0);
}

/// A command that runs the binary where so many files may be open.
fn limited(soft: u32, hard: u32) -> std::process::Command {
    let mut command = std::process::Command::new("sh");
    let script = format!("ulimit -S -n {soft}; ulimit -H -n {hard}; exec \"$0\" \"$@\"");
    let binary = program();
    command.arg("-c").arg(script).arg(binary);
    command
}
