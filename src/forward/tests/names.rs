//! The room before servers that have a name, and more addresses than one.

use super::*;
use crate::forward::upstream::resolve::{Found, Resolve};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

/// A resolver that is told what to find, and counts how often it was asked.
#[derive(Default)]
struct Told {
    addresses: Mutex<Option<Vec<SocketAddr>>>,
    asked: AtomicUsize,
}

impl Told {
    fn knows(&self, ports: &[u16]) {
        let addresses = ports.iter().map(|port| ([127, 0, 0, 1], *port).into());
        *self.addresses.lock().unwrap() = Some(addresses.collect());
    }

    fn fails(&self) {
        *self.addresses.lock().unwrap() = None;
    }
}

/// Shared between the room and the test.
struct Asked(Arc<Told>);

impl Resolve for Asked {
    fn resolve(&self, host: &str, port: u16) -> Found {
        assert_eq!((host, port), ("orders.test", 80));
        self.0.asked.fetch_add(1, Ordering::SeqCst);
        let found = self.0.addresses.lock().unwrap().clone();
        Box::pin(async move { found.ok_or_else(|| io::Error::other("no such name")) })
    }
}

/// A resolver that takes its time to say what it knows.
struct Slow {
    /// How long it takes and which port it finds: the first time, the next, and so on. The last
    /// stays.
    finds: Vec<(Duration, u16)>,
    asked: Arc<AtomicUsize>,
}

impl Resolve for Slow {
    fn resolve(&self, _: &str, _: u16) -> Found {
        let nth = self.asked.fetch_add(1, Ordering::SeqCst);
        let (takes, port) = self.finds[nth.min(self.finds.len() - 1)];
        let address: SocketAddr = ([127, 0, 0, 1], port).into();
        Box::pin(async move {
            sleep(takes).await;
            Ok(vec![address])
        })
    }
}

const EVERY: Duration = Duration::from_secs(10);
/// What is said where it is the resolver that does not answer, and no server.
const NOT_LOOKED_UP: &str = "the upstream's name was not looked up in time: `orders.test:80`";

fn gate(ports: &[u16], protocol: Protocol) -> (Gate, Arc<Told>) {
    let told = Arc::new(Told::default());
    told.knows(ports);
    let mut gate = Gate::set(&[], |it| {
        it.servers.push(Server::Http {
            host: "orders.test".into(),
            port: 80,
        });
        it.protocol = protocol;
        it.resolve_every = EVERY;
    });
    gate.pool = Pool::resolving(Arc::new(Asked(told.clone())));
    (gate, told)
}

/// Before a [`Slow`] resolver, for which a request waits a second.
fn slow_gate(finds: &[(Duration, u16)]) -> (Gate, Arc<AtomicUsize>) {
    let (mut gate, _) = gate(&[], Protocol::Auto);
    let asked = Arc::new(AtomicUsize::new(0));
    gate.pool = Pool::resolving(Arc::new(Slow {
        finds: finds.to_vec(),
        asked: asked.clone(),
    }));
    gate.settings.connect = Duration::from_secs(1);
    gate.upstream = Upstream::new(gate.settings.clone(), None);
    (gate, asked)
}

/// Answers each request with `name`, on as many connections as come.
async fn named(name: &'static str) -> (u16, JoinHandle<()>) {
    let (listener, port) = listen().await;
    let serving = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                loop {
                    let mut read = Vec::new();
                    while !read.ends_with(b"\r\n\r\n") {
                        let Ok(byte) = stream.read_u8().await else {
                            return;
                        };
                        read.push(byte);
                    }
                    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{name}");
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            });
        }
    });
    (port, serving)
}

async fn ask(gate: &Gate) -> String {
    text(gate.get("/").await).await
}

#[tokio::test]
async fn a_new_connection_goes_to_the_next_address() {
    let ((a, _a), (b, _b)) = (named("a").await, named("b").await);
    let (gate, told) = gate(&[a, b], Protocol::Auto);
    let all = tokio::join!(ask(&gate), ask(&gate), ask(&gate), ask(&gate));
    let mut all = [all.0, all.1, all.2, all.3];
    all.sort();
    assert_eq!(all, ["a", "a", "b", "b"]);
    // Once for all of them.
    assert_eq!(told.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_address_that_refuses_is_passed_over() {
    let (_closed, closed) = closed_port();
    let (a, _a) = named("a").await;
    let (gate, _) = gate(&[closed, a], Protocol::Auto);
    assert_eq!(ask(&gate).await, "a");
}

#[tokio::test(start_paused = true)]
async fn an_address_that_went_away_gets_no_new_request() {
    let ((a, _a), (b, _b)) = (named("a").await, named("b").await);
    let (gate, told) = gate(&[a], Protocol::Auto);
    assert_eq!(ask(&gate).await, "a");
    told.knows(&[b]);
    // Not looked up yet, and its connection is kept.
    assert_eq!(ask(&gate).await, "a");
    tokio::time::sleep(EVERY + Duration::from_secs(1)).await;
    assert_eq!(ask(&gate).await, "b");
}

#[tokio::test(start_paused = true)]
async fn a_connection_in_use_is_not_kept_when_its_address_went_away_meanwhile() {
    let (listener, a) = listen().await;
    let (b, _b) = named("b").await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_head(&mut stream).await;
        let start = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no";
        stream.write_all(start).await.unwrap();
        tokio::time::sleep(EVERY * 2).await;
        stream.write_all(b"k").await.unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        rest
    });
    let (gate, told) = gate(&[a], Protocol::Auto);
    let answer = gate.get("/").await;
    told.knows(&[b]);
    assert_eq!(text(answer).await, "ok");
    assert_eq!(server.await.unwrap(), b"");
    assert_eq!(ask(&gate).await, "b");
}

#[tokio::test(start_paused = true)]
async fn a_resolver_that_fails_leaves_the_known_addresses() {
    let (a, _a) = named("a").await;
    let (gate, told) = gate(&[a], Protocol::Auto);
    assert_eq!(ask(&gate).await, "a");
    told.fails();
    // Longer than it is watched without being used, and longer than connections are kept.
    tokio::time::sleep(Duration::from_mins(2)).await;
    let before = told.asked.load(Ordering::SeqCst);
    assert_eq!(ask(&gate).await, "a");
    assert_eq!(told.asked.load(Ordering::SeqCst), before + 1);
}

#[tokio::test]
async fn while_the_resolver_fails_a_reload_that_changes_the_connections_keeps_the_known_addresses()
{
    let (a, _a) = named("a").await;
    let (mut gate, told) = gate(&[a], Protocol::Auto);
    assert_eq!(ask(&gate).await, "a");
    told.fails();
    gate.settings.keep_alive = None;
    gate.settings.max_connections += 1;
    gate.upstream = Upstream::new(gate.settings.clone(), Some(&gate.upstream));
    assert_eq!(ask(&gate).await, "a");
    assert_eq!(told.asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn while_the_resolver_fails_a_worker_that_has_not_asked_goes_where_others_go() {
    let (a, _a) = named("a").await;
    let (mut gate, told) = gate(&[a], Protocol::Auto);
    assert_eq!(ask(&gate).await, "a");
    told.fails();
    gate.pool = Pool::resolving(Arc::new(Asked(told.clone())));
    assert_eq!(ask(&gate).await, "a");
    assert_eq!(told.asked.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn while_the_resolver_hangs_a_worker_that_has_not_asked_has_time_left_for_where_others_go() {
    let (a, _a) = named("a").await;
    let (mut gate, _) = slow_gate(&[(Duration::ZERO, a)]);
    assert_eq!(ask(&gate).await, "a");
    let hangs = Slow {
        finds: vec![(LONG, 1)],
        asked: Arc::default(),
    };
    gate.pool = Pool::resolving(Arc::new(hangs));
    assert_eq!(ask(&gate).await, "a");
}

#[tokio::test(start_paused = true)]
async fn while_the_resolver_fails_a_worker_goes_where_others_found_the_name_since() {
    let ((a, _a), (b, _b)) = (named("a").await, named("b").await);
    let (mut gate, told) = gate(&[a], Protocol::Auto);
    assert_eq!(ask(&gate).await, "a");
    // Longer than it is watched without being used, and longer than connections are kept.
    sleep(Duration::from_mins(2)).await;
    told.knows(&[b]);
    let other = Pool::resolving(Arc::new(Asked(told.clone())));
    let first = std::mem::replace(&mut gate.pool, other);
    assert_eq!(ask(&gate).await, "b");
    told.fails();
    gate.pool = first;
    assert_eq!(ask(&gate).await, "b");
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_not_used_is_not_looked_up() {
    let (a, _a) = named("a").await;
    let (gate, told) = gate(&[a], Protocol::Auto);
    assert_eq!(ask(&gate).await, "a");
    tokio::time::sleep(Duration::from_hours(1)).await;
    assert_eq!(told.asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_name_that_nobody_knows_is_unreachable() {
    let (gate, told) = gate(&[], Protocol::Auto);
    let failed = gate.get("/").await.unwrap_err();
    let none =
        "no server of the upstream can be reached: `orders.test:80`: the name has no address";
    assert_eq!(failed.to_string(), none);
    told.fails();
    let failed = gate.get("/").await.unwrap_err().to_string();
    assert!(
        failed.ends_with("the name is not found: no such name"),
        "{failed}"
    );
}

/// A resolver that has no file left to ask with.
struct WithoutFiles;

impl Resolve for WithoutFiles {
    fn resolve(&self, _: &str, _: u16) -> Found {
        let number = rustix::io::Errno::MFILE.raw_os_error();
        Box::pin(async move { Err(io::Error::from_raw_os_error(number)) })
    }
}

/// Before a server for which there is no file left, and `other`. The first failure of either ejects it.
fn gate_without_files(other: Server, retries: Option<Retries>) -> Gate {
    let (mut gate, _) = gate(&[], Protocol::Auto);
    gate.pool = Pool::resolving(Arc::new(WithoutFiles));
    gate.settings.servers.push(other);
    gate.settings.balance.ejection = Some(Ejection {
        failures: 1,
        time: LONG,
        at_most: 100,
    });
    gate.settings.balance.retries = retries;
    gate.upstream = Upstream::new(gate.settings.clone(), None);
    gate
}

/// A budget for no request.
const NO_RETRIES: Retries = Retries {
    budget: 0,
    at_least: 0,
    period: LONG,
};

#[tokio::test]
async fn what_we_have_no_file_left_for_goes_to_a_server_that_has_a_connection_whatever_the_budget_says()
 {
    let (port, _b) = named("b").await;
    let host = "127.0.0.1".into();
    let kept = Server::Http { host, port };
    let gate = gate_without_files(kept.clone(), Some(NO_RETRIES));
    for _ in 0..64 {
        assert_eq!(ask(&gate).await, "b");
    }
    assert_eq!(gate.upstream.servers_by_state()[0], ("up", 2));
    assert_eq!(gate.upstream.retries()[0], ("sent", 0));
    // Whoever wants no second server gets none.
    let gate = gate_without_files(kept, None);
    let mut failed = 0;
    for _ in 0..64 {
        failed += u32::from(gate.get("/").await.is_err());
    }
    assert!(failed > 0);
}

#[tokio::test]
async fn what_we_have_no_file_left_for_on_any_server_is_no_servers_fault() {
    let orders = Server::Http {
        host: "orders.test".into(),
        port: 80,
    };
    let gate = gate_without_files(orders, Some(NO_RETRIES));
    for _ in 0..4 {
        let failed = gate.get("/").await.unwrap_err();
        let Failed::Overloaded(why) = &failed else {
            panic!("{failed}");
        };
        let lacks = "`orders.test:80`: no file or memory is left for a connection to it: ";
        assert!(why.starts_with(lacks), "{why}");
    }
    assert_eq!(gate.upstream.servers_by_state()[0], ("up", 2));
    assert_eq!(gate.upstream.retries()[0], ("sent", 0));
}

#[test]
fn what_was_sent_is_not_said_to_be_unsent_where_memory_lacks() {
    let number = rustix::io::Errno::NOBUFS.raw_os_error();
    let broken = http1::Broken::Io(io::Error::from_raw_os_error(number));
    let failed = Failed::from(broken);
    assert!(matches!(failed, Failed::Broke(_)), "{failed}");
}

#[tokio::test(start_paused = true)]
async fn while_a_resolver_hangs_a_name_is_looked_up_once_however_many_ask() {
    let (mut gate, asked) = slow_gate(&[(LONG, 1)]);
    gate.settings.max_connections = 50;
    gate.upstream = Upstream::new(gate.settings.clone(), None);
    let gate = Arc::new(gate);
    let mut waiting = Vec::new();
    for _ in 0..50 {
        let gate = gate.clone();
        waiting.push(tokio::spawn(async move { gate.get("/").await }));
        sleep(Duration::from_millis(10)).await;
    }
    for one in waiting {
        let failed = one.await.unwrap().unwrap_err();
        assert_eq!(failed.to_string(), NOT_LOOKED_UP);
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn what_one_request_did_not_wait_for_is_found_by_the_next() {
    let (port, _a) = named("a").await;
    let (gate, asked) = slow_gate(&[(Duration::from_millis(1_500), port)]);
    let failed = gate.get("/").await.unwrap_err();
    assert_eq!(failed.to_string(), NOT_LOOKED_UP);
    assert_eq!(ask(&gate).await, "a");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_came_for_in_an_hour_is_looked_up_anew() {
    let ((a, _a), (b, _b)) = (named("a").await, named("b").await);
    let (gate, asked) = slow_gate(&[(Duration::from_millis(1_500), a), (Duration::ZERO, b)]);
    let failed = gate.get("/").await.unwrap_err();
    assert_eq!(failed.to_string(), NOT_LOOKED_UP);
    sleep(Duration::from_hours(1)).await;
    assert_eq!(ask(&gate).await, "b");
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_look_up_that_goes_on_is_waited_for_however_long_ago_it_began() {
    let (a, _a) = named("a").await;
    let hour = Duration::from_hours(1);
    let (gate, asked) = slow_gate(&[(hour + Duration::from_millis(1_500), a)]);
    let failed = gate.get("/").await.unwrap_err();
    assert_eq!(failed.to_string(), NOT_LOOKED_UP);
    sleep(hour).await;
    assert_eq!(ask(&gate).await, "a");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

/// Says that it is well or not, as it is told, once on each connection; and how often it was asked.
async fn moody(is_well: Arc<AtomicBool>) -> (u16, Arc<AtomicUsize>, JoinHandle<()>) {
    let (listener, port) = listen().await;
    let asked = Arc::new(AtomicUsize::new(0));
    let heard = asked.clone();
    let serving = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_head(&mut stream).await;
            heard.fetch_add(1, Ordering::SeqCst);
            let status = if is_well.load(Ordering::SeqCst) {
                200
            } else {
                503
            };
            let answer =
                format!("HTTP/1.1 {status} Told\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (port, asked, serving)
}

#[tokio::test]
async fn an_address_that_fails_has_no_turn_until_one_request_has_tried_it() {
    let well = |is_well| Arc::new(AtomicBool::new(is_well));
    let mood = well(false);
    let (good, _, _good) = moody(well(true)).await;
    let (sick, asked, _sick) = moody(mood.clone()).await;
    let (mut gate, _) = gate(&[good, sick], Protocol::Auto);
    gate.settings.balance.ejection = Some(Ejection {
        failures: 3,
        time: Duration::from_secs(10),
        at_most: 50,
    });
    gate.upstream = Upstream::new(gate.settings.clone(), None);
    let (clock, hand) = Clock::by_hand(1_000_000);
    gate.clock = clock;
    let bad = async |requests: usize| {
        let mut bad = 0;
        for _ in 0..requests {
            let mut head = head(Method::GET, "/");
            head.asked = gate.clock.now();
            let answer = gate.send(head, nothing().await).await.unwrap();
            bad += usize::from(answer.response.status() == 503);
        }
        bad
    };
    assert_eq!(bad(6).await, 3);
    assert_eq!(bad(6).await, 0);
    hand.advance(Duration::from_secs(11));
    assert_eq!(bad(6).await, 1);
    assert_eq!(asked.load(Ordering::SeqCst), 4);
    mood.store(true, Ordering::SeqCst);
    hand.advance(Duration::from_secs(21));
    assert_eq!(bad(7).await, 0);
    // The trial, and every other one behind it.
    assert_eq!(asked.load(Ordering::SeqCst), 8);
}

#[tokio::test]
async fn a_trial_of_an_address_that_refuses_ends_on_the_connection_that_another_has() {
    let (listener, well) = listen().await;
    tokio::spawn(async move {
        for connection in 0.. {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut streams = h2::server::handshake(stream).await.unwrap();
                while let Some(Ok((_, mut answer))) = streams.accept().await {
                    let mut body = answer.send_response(Response::new(()), false).unwrap();
                    body.send_data(format!("{connection}").into(), true)
                        .unwrap();
                }
            });
        }
    });
    let (_closed, closed) = closed_port();
    let (mut gate, _) = gate(&[closed, well], Protocol::Http2);
    gate.settings.balance.ejection = Some(Ejection {
        failures: 1,
        time: Duration::from_secs(10),
        at_most: 50,
    });
    gate.upstream = Upstream::new(gate.settings.clone(), None);
    let (clock, hand) = Clock::by_hand(1_000_000);
    gate.clock = clock;
    // The first request finds that it refuses, and the others are trials: the time doubles.
    for seconds in [0, 11, 21, 41] {
        hand.advance(Duration::from_secs(seconds));
        let mut head = head(Method::GET, "/");
        head.asked = gate.clock.now();
        assert_eq!(text(gate.send(head, nothing().await).await).await, "0");
    }
}

#[tokio::test]
async fn over_http2_every_address_gets_a_connection() {
    let mut ports = Vec::new();
    let (came, mut has_come) = tokio::sync::mpsc::channel(4);
    for _ in 0..3 {
        let (listener, port) = listen().await;
        ports.push(port);
        let came = came.clone();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut connection = h2::server::handshake(stream).await.unwrap();
            came.send(port).await.unwrap();
            while let Some(Ok((_, mut answer))) = connection.accept().await {
                answer.send_response(Response::new(()), true).unwrap();
            }
        });
    }
    let (gate, _) = gate(&ports, Protocol::Http2);
    assert_eq!(ask(&gate).await, "");
    let mut all = Vec::new();
    // The first for the request; the others at once, though nobody waits for them.
    for _ in 0..3 {
        all.push(has_come.recv().await.unwrap());
    }
    all.sort_unstable();
    ports.sort_unstable();
    assert_eq!(all, ports);
}
