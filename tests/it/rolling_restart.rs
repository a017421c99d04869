//! One gateway follows another on the same sockets, under load.

use crate::harness::binary::program;
use crate::harness::lines::Lines;
use crate::harness::{Binary, Connection, Request, Response, Setup, Upstream, caller, wait_until};
use portcullis::config::Config;
use portcullis::store::registry::Registry;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::channel;

/// Who keeps the listening socket, as systemd would, and starts gateways on it.
struct Supervisor {
    setup: Setup,
    socket: TcpListener,
}

/// One gateway of several that follow each other.
struct Generation {
    child: Child,
    log: Lines,
    events: Lines,
}

impl Supervisor {
    fn new(upstream: &Upstream, server: &str) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let setup = Setup::before(upstream)
            .admin("listen = \"unix:admin.sock\"")
            .server(server);
        let text = setup.text_on(&socket.local_addr().unwrap().to_string());
        setup.write("gateway.toml", text.as_bytes());
        Self { setup, socket }
    }

    fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// Starts a gateway; it may not serve yet when this returns.
    fn start(&self) -> Generation {
        let socket: OwnedFd = self.socket.try_clone().unwrap().into();
        let mut child = Command::new("sh")
            .arg("-c")
            .arg("exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" serve")
            .arg(program())
            .current_dir(self.setup.folder())
            .stdin(socket)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Generation {
            log: Lines::of(child.stdout.take().unwrap()),
            events: Lines::of(child.stderr.take().unwrap()),
            child,
        }
    }

    fn signed(&self, nonce: &str) -> Request {
        let request = Request::new("POST", "/orders")
            .to(self.address())
            .body("an order");
        caller().at(Binary::now()).nonce(nonce).sign(&request)
    }

    fn ready(&self) -> Response {
        let mut admin = Connection::open_unix(&self.setup.path("admin.sock"));
        admin.send(b"GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        admin.response()
    }
}

impl Generation {
    fn wait_for(&self, event: &str) {
        self.events.wait_for(event, |line| line.contains(event));
    }

    fn serves(self) -> Self {
        self.wait_for("admin listening");
        self
    }

    fn stop(&self) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits for its end, and gives back how many requests it has logged.
    fn ended(mut self) -> usize {
        self.events.wait_for_end();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {}", self.events.text());
        self.log.wait_for_end();
        self.log.text().lines().count()
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client that keeps its connection until it is told not to.
struct Client {
    address: SocketAddr,
    connection: Option<Connection>,
}

impl Client {
    fn ask(&mut self, request: &Request) -> Response {
        let connection = self
            .connection
            .get_or_insert_with(|| Connection::open(self.address));
        connection.send(&request.bytes());
        let response = connection.response_to(&request.method);
        if response.field("connection") == Some("close") {
            self.connection = None;
        }
        response
    }
}

/// Signed requests without a pause, each sent a second time at once, which
/// may meet another gateway than the first. Gives back how many passed.
fn load(supervisor: &Supervisor, name: usize, passed: &AtomicUsize, stop: &AtomicBool) {
    let [mut first, mut second] = [0, 1].map(|_| Client {
        address: supervisor.address(),
        connection: None,
    });
    let mut number = 0;
    while !stop.load(SeqCst) {
        let request = supervisor.signed(&format!("{name}-{number}"));
        first.ask(&request).assert_passed();
        second.ask(&request).assert_refused(401, "replayed");
        number += 1;
        passed.fetch_add(1, SeqCst);
    }
}

/// Stops the load when it is dropped, be it by a test that fails.
struct Stops<'s>(&'s AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

/// Waits for so many more requests to pass, or for the end of the load.
fn wait_for_more(passed: &AtomicUsize, more: usize, stop: &AtomicBool) {
    let wanted = passed.load(SeqCst) + more;
    wait_until("requests that pass", || {
        passed.load(SeqCst) >= wanted || stop.load(SeqCst)
    });
}

fn restarts(supervisor: &Supervisor, upstream: &Upstream, next: impl Fn(Generation) -> Generation) {
    let (passed, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    // What was signed before the first start on a folder is refused.
    let mut running = supervisor.start().serves();
    let last = std::thread::scope(|scope| {
        for name in 0..3 {
            let (passed, stop) = (&passed, &stop);
            scope.spawn(move || {
                let _all = Stops(stop);
                load(supervisor, name, passed, stop);
            });
        }
        let _all = Stops(&stop);
        for _ in 0..3 {
            wait_for_more(&passed, 20, &stop);
            running = next(running);
        }
        wait_for_more(&passed, 20, &stop);
        running
    });
    last.stop();
    assert!(last.ended() > 0);
    assert_eq!(upstream.heard().len(), passed.into_inner());
}

/// Long enough for a client that asks all the time to hear of it.
const GOODBYE: &str = "drain = { goodbye = \"2s\" }";

#[test]
fn a_gateway_that_starts_while_the_old_one_drains_loses_no_request_and_lets_no_proof_pass_twice() {
    let upstream = Upstream::start();
    let supervisor = Supervisor::new(&upstream, GOODBYE);
    restarts(&supervisor, &upstream, |old| {
        let new = supervisor.start();
        new.wait_for("waiting for the gateway before us");
        old.stop();
        let new = new.serves();
        assert!(old.ended() > 0);
        new
    });
}

#[test]
fn a_gateway_that_starts_after_the_old_one_has_ended_loses_no_request_either() {
    let upstream = Upstream::start();
    let supervisor = Supervisor::new(&upstream, GOODBYE);
    restarts(&supervisor, &upstream, |old| {
        old.stop();
        assert!(old.ended() > 0);
        supervisor.start().serves()
    });
}

#[test]
fn the_old_one_answers_what_it_has_while_the_new_one_serves() {
    let (allow, allowed) = channel::<()>();
    let allowed = Mutex::new(allowed);
    let upstream = Upstream::answering(move |got, wire| {
        if got.connection == 0 {
            allowed.lock().unwrap().recv().unwrap();
        }
        wire.answer(200, &[], b"hello");
    });
    let supervisor = Supervisor::new(&upstream, "");
    let old = supervisor.start().serves();
    let held = supervisor.signed("held");
    let mut slow = Connection::open(supervisor.address());
    slow.send(&held.bytes());
    upstream.wait_for_head(0);
    old.stop();
    let new = supervisor.start().serves();
    assert_eq!(supervisor.ready().text(), "ready\n");
    let mut client = Client {
        address: supervisor.address(),
        connection: None,
    };
    client.ask(&supervisor.signed("new")).assert_passed();
    client.ask(&held).assert_refused(401, "replayed");
    allow.send(()).unwrap();
    slow.response_to("POST").assert_passed();
    assert_eq!(old.ended(), 1);
    new.stop();
    assert_eq!(new.ended(), 2);
}

#[test]
fn one_that_waits_in_vain_says_who_has_the_folder() {
    let upstream = Upstream::start();
    let supervisor = Supervisor::new(&upstream, "");
    let _old = supervisor.start().serves();
    let text = std::fs::read_to_string(supervisor.setup.path("gateway.toml")).unwrap();
    let short = text.replace("[state]\n", "[state]\nwait = \"50ms\"\n");
    supervisor.setup.write("gateway.toml", short.as_bytes());
    let mut new = supervisor.start();
    new.events.wait_for_end();
    assert_eq!(new.child.wait().unwrap().code(), Some(1));
    let told = new.events.text();
    assert!(told.contains("is in use by another gateway"), "{told}");
    assert!(told.contains("set a longer `[state] wait`"), "{told}");
}

#[test]
fn one_that_could_not_follow_ends_at_once_and_the_old_one_goes_on() {
    let upstream = Upstream::start();
    let supervisor = Supervisor::new(&upstream, "");
    let old = supervisor.start().serves();

    // A socket that no setting names.
    let more = TcpListener::bind("127.0.0.1:0").unwrap();
    let new = Command::new("sh")
        .arg("-c")
        .arg("exec 3<&0 4>&1 </dev/null >&2; LISTEN_FDS=2 LISTEN_PID=$$ exec \"$0\" serve")
        .arg(program())
        .current_dir(supervisor.setup.folder())
        .stdin(OwnedFd::from(supervisor.socket.try_clone().unwrap()))
        .stdout(OwnedFd::from(more))
        .output()
        .unwrap();
    assert_eq!(new.status.code(), Some(1));
    let told = String::from_utf8(new.stderr).unwrap();
    assert!(told.contains("nothing listens there"), "{told}");
    assert!(!told.contains("waiting for the gateway"), "{told}");

    // An address for health that a program has which is no gateway.
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap();
    let other = std::thread::spawn(move || {
        drop(other.accept().unwrap());
        other
    });
    let text = std::fs::read_to_string(supervisor.setup.path("gateway.toml")).unwrap();
    let text = text.replace("unix:admin.sock", &address.to_string());
    supervisor.setup.write("gateway.toml", text.as_bytes());
    let mut new = supervisor.start();
    new.events.wait_for_end();
    assert_eq!(new.child.wait().unwrap().code(), Some(1));
    let told = new.events.text();
    let said =
        format!("cannot listen on `{address}` for health and metrics: the address is in use");
    assert!(told.contains(&said), "{told}");
    assert!(!told.contains("waiting for the gateway"), "{told}");
    other.join().unwrap();

    assert_eq!(supervisor.ready().status, 200);
    let mut client = Client {
        address: supervisor.address(),
        connection: None,
    };
    client.ask(&supervisor.signed("on")).assert_passed();
    old.stop();
    assert_eq!(old.ended(), 1);
}

#[test]
fn one_with_another_master_key_ends_at_once_and_the_old_one_goes_on() {
    let upstream = Upstream::start();
    let supervisor = Supervisor::new(&upstream, "");
    let old = supervisor.start().serves();
    let right = std::fs::read_to_string(supervisor.setup.path("gateway.toml")).unwrap();
    let wrong = right.replace("[state]\n", "[state]\nmaster_key = \"file:other.key\"\n");
    let another = "another-master-key-0123456789abcdef";
    supervisor.setup.write("other.key", another.as_bytes());
    supervisor.setup.write("wrong.toml", wrong.as_bytes());
    let check = || {
        let mut check = Command::new(program());
        check.args(["check", "-c", "wrong.toml"]);
        let ran = check.current_dir(supervisor.setup.folder()).output();
        let ran = ran.unwrap();
        (ran.status.code(), String::from_utf8(ran.stderr).unwrap())
    };
    let told = |what: (Option<i32>, String), by: &str| {
        assert_eq!(what.0, Some(2), "{}", what.1);
        for part in [
            "`file:other.key` is another master key than `state/portcullis.redb` is sealed under",
            "the key that it was made with",
            by,
        ] {
            assert!(what.1.contains(part), "{part}\n{}", what.1);
        }
        assert!(!what.1.contains("waiting for the gateway"), "{}", what.1);
    };
    let by_probe = "`state/portcullis.redb.probe` tells it";
    told(check(), by_probe);

    supervisor.setup.write("gateway.toml", wrong.as_bytes());
    let mut new = supervisor.start();
    new.events.wait_for_end();
    let code = new.child.wait().unwrap().code();
    told((code, new.events.text()), by_probe);
    supervisor.setup.write("gateway.toml", right.as_bytes());

    assert_eq!(supervisor.ready().status, 200);
    old.stop();
    old.ended();
    // The registry itself is asked, now that nobody has it.
    let by_itself = "move `state/portcullis.redb` away";
    told(check(), by_itself);
    assert!(!check().1.contains(".probe"));
}

#[test]
fn one_that_waits_can_be_told_to_stop() {
    let upstream = Upstream::start();
    let supervisor = Supervisor::new(&upstream, "");
    let old = supervisor.start().serves();
    let new = supervisor.start();
    new.wait_for("waiting for the gateway before us");
    new.stop();
    assert_eq!(new.ended(), 0);
    assert_eq!(supervisor.ready().status, 200);
    old.stop();
    old.ended();
}

#[test]
fn one_that_starts_while_a_command_has_the_registry_serves_once_that_ends() {
    let upstream = Upstream::start();
    let supervisor = Supervisor::new(&upstream, "");
    let loaded = Config::load(&supervisor.setup.path("gateway.toml")).unwrap();
    let settings = loaded.config.registry.unwrap();
    let held = Registry::open(&settings).unwrap();
    let new = supervisor.start();
    new.wait_for("waiting for another process to give the registry up");
    drop(held);
    let new = new.serves();
    assert_eq!(supervisor.ready().text(), "ready\n");
    new.stop();
    new.ended();
}

#[test]
fn a_command_beside_a_gateway_that_starts_ends_neither() {
    let upstream = Upstream::start();
    for _ in 0..4 {
        let supervisor = Supervisor::new(&upstream, "");
        let new = supervisor.start();
        let made = Command::new(program())
            .args(["app", "create", "shop"])
            .current_dir(supervisor.setup.folder())
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        let new = new.serves();
        new.stop();
        new.ended();
    }
}
