//! The room before raw servers, which say what no library would.

mod behind_a_server;
mod names;
mod over_http2;
mod over_tls;

use super::body::tests::{BEFORE, Framed, WHILE, digest_of};
use super::body::{BodyError, Meter, prepare};
use super::upstream::balance::Rules;
use super::upstream::budget::Retries;
use super::upstream::ejection::Ejection;
use super::upstream::{MAX_IDLE, Protocol, Server, Settings};
use super::*;
use crate::authorize;
use crate::clock::{Clock, Now};
use crate::limit::{self, app::AppLimits, overload};
use crate::replay::{self, Recorded};
use crate::route::Accept;
use crate::schemes::Caller;
use crate::schemes::digest::BodyProof;
use bytes::Bytes;
use http::HeaderMap;
use http_body::Body;
use http_body_util::{BodyExt as _, Empty};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

/// Longer than any test: what a deadline that is not under test is set to.
const LONG: Duration = Duration::from_hours(24);

/// As many as any test wants.
const RETRIES: Retries = Retries {
    budget: 20,
    at_least: 100,
    period: Duration::from_secs(1),
};

/// A memory that no anonymous caller ever needs.
struct NoMemory;

impl replay::Memory for NoMemory {
    fn record(&self, _: replay::Once, _: Now) -> Result<Recorded, replay::Refused> {
        Err(replay::Refused::Unavailable)
    }

    fn write_down(&self, _: Recorded) -> Result<(), replay::Refused> {
        Err(replay::Refused::Unavailable)
    }
}

/// Through the real doors, as anyone comes to a public route.
fn admitted(route: &Route) -> Admitted {
    let (clock, _) = Clock::by_hand(1_000_000);
    let now = clock.now();
    let caller = Caller::anonymous(route).unwrap();
    let memories = replay::Memories {
        enforced: &NoMemory,
        observed: &NoMemory,
    };
    let limits = AppLimits::new(&[], None);
    let limits = limit::Limits {
        enforced: &limits,
        observed: &limits,
    };
    let fresh = replay::check(caller, route, &Method::GET, false, memories, LONG, now).unwrap();
    let permit = authorize::check(fresh, route, &authorize::Heights::new([])).unwrap();
    let charged = limit::charge(permit, limits, now).unwrap();
    let written = replay::write_down(charged.unwritten(), &NoMemory).unwrap();
    charged.seated(seat(), written)
}

/// A place where there is room for all.
fn seat() -> overload::Seat {
    let settings = overload::Settings {
        in_flight: u32::MAX,
        queue: 1,
        queue_timeout: LONG,
        reserve: 1,
    };
    let route = overload::RouteCap {
        name: "test".into(),
        in_flight: None,
        reserved: false,
        public: true,
    };
    let gate = overload::WorkerGate::new(&Arc::default());
    let caps = overload::Overload::new(settings, vec![route], None);
    caps.seat(&gate, 0, overload::Who::Unproven).unwrap()
}

fn head(method: Method, target: &'static str) -> Head {
    let mut parts = Box::new(Request::new(()).into_parts().0);
    parts.method = method;
    Head {
        parts,
        target: target.parse().unwrap(),
        authority: "api.example.com".into(),
        scheme: "https",
        asked: Clock::by_hand(1_000_000).0.now(),
        peer: Some([192, 0, 2, 1].into()),
        via: Vec::new(),
        request_id: *b"0123456789abcdef0123456789abcdef",
        would_refuse: None,
        drops_keys: true,
        upgrade: None,
    }
}

/// One that is too long to go beside others over HTTP/2.
fn long_head() -> Head {
    let mut long = head(Method::GET, "/");
    let value = "a".repeat(5_000).parse().unwrap();
    long.parts.headers.insert("cookie", value);
    long
}

/// A gate before `servers`.
struct Gate {
    route: Route,
    settings: Settings,
    upstream: Upstream,
    pool: Pool,
    clock: Clock,
}

impl Gate {
    fn before(servers: &[u16]) -> Self {
        Self::set(servers, |_| {})
    }

    fn set(ports: &[u16], set: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings {
            name: "test".into(),
            servers: ports
                .iter()
                .map(|port| Server::Http {
                    host: "127.0.0.1".into(),
                    port: *port,
                })
                .collect(),
            connect: LONG,
            first_byte: LONG,
            idle: LONG,
            total: LONG,
            max_connections: 8,
            balance: Rules {
                retries: Some(RETRIES),
                ..Rules::default()
            },
            protocol: Protocol::Auto,
            tls: None,
            resolve_every: LONG,
            keep_alive: Some(MAX_IDLE),
        };
        set(&mut settings);
        Self {
            route: Route {
                accept: Accept::Public,
                ..Route::any("test")
            },
            upstream: Upstream::new(settings.clone(), None),
            clock: Clock::by_hand(1_000_000).0,
            settings,
            pool: Pool::new(),
        }
    }

    async fn send(&self, head: Head, body: ProvenBody) -> Result<Answer, Failed> {
        self.send_to(head, body, &mut None).await
    }

    /// Notes which server it went to.
    async fn send_to(
        &self,
        head: Head,
        body: ProvenBody,
        server: &mut Option<Arc<str>>,
    ) -> Result<Answer, Failed> {
        let caller = admitted(&self.route);
        let upstream = &self.upstream;
        let to = To { upstream, server };
        let (pool, clock) = (&self.pool, &self.clock);
        forward(caller, &self.route, &head, body, to, pool, clock).await
    }

    async fn get(&self, target: &'static str) -> Result<Answer, Failed> {
        self.send(head(Method::GET, target), nothing().await).await
    }

    async fn post(&self, body: ProvenBody) -> Result<Answer, Failed> {
        self.send(head(Method::POST, "/"), body).await
    }
}

async fn nothing() -> ProvenBody {
    let empty = Empty::<Bytes>::new();
    prepare(empty, &BodyProof::Unproven, BEFORE, Meter::default())
        .await
        .unwrap()
}

async fn unproven(body: Framed) -> ProvenBody {
    prepare(body, &BodyProof::Unproven, BEFORE, Meter::default())
        .await
        .unwrap()
}

async fn whole(answer: Answer) -> Result<Bytes, body::BoxError> {
    Ok(answer.response.into_body().collect().await?.to_bytes())
}

async fn text(answer: Result<Answer, Failed>) -> String {
    let bytes = whole(answer.unwrap()).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

async fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// A port on which nobody listens, for as long as the socket lives.
fn closed_port() -> (TcpSocket, u16) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}

/// Reads one head; what came behind it is lost.
async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n") {
        let byte = stream.read_u8().await.unwrap();
        read.push(byte);
    }
    String::from_utf8(read).unwrap()
}

/// A server that gives each connection one list of answers, one a request,
/// and closes it behind them. Its end tells the heads of each connection.
fn serve(
    listener: TcpListener,
    connections: Vec<Vec<&'static [u8]>>,
) -> JoinHandle<Vec<Vec<String>>> {
    tokio::spawn(async move {
        let mut heads = Vec::new();
        for answers in connections {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut read = Vec::new();
            for answer in answers {
                read.push(read_head(&mut stream).await);
                stream.write_all(answer).await.unwrap();
            }
            heads.push(read);
        }
        heads
    })
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[tokio::test]
async fn the_request_goes_out_byte_for_byte_with_one_framing_field() {
    let (listener, port) = listen().await;
    let server = serve(listener, vec![vec![OK]]);
    let mut head = head(Method::GET, "/a%2fB/~%7e/?q=%20+&q=&&x");
    head.parts.headers.append("accept", "*/*".parse().unwrap());
    let gate = Gate::before(&[port]);
    let mut to = None;
    let answer = gate.send_to(head, nothing().await, &mut to).await.unwrap();
    assert_eq!(to.as_deref(), Some(&*format!("127.0.0.1:{port}")));
    assert_eq!(whole(answer).await.unwrap(), "ok");
    assert_eq!(
        server.await.unwrap()[0][0],
        "GET /a%2fB/~%7e/?q=%20+&q=&&x HTTP/1.1\r\n\
         host: api.example.com\r\n\
         accept: */*\r\n\
         connection: keep-alive\r\n\
         portcullis-request-id: 0123456789abcdef0123456789abcdef\r\n\
         portcullis-assurance: none\r\n\
         x-forwarded-for: 192.0.2.1\r\n\
         x-forwarded-host: api.example.com\r\n\
         x-forwarded-proto: https\r\n\
         forwarded: for=192.0.2.1;host=api.example.com;proto=https\r\n\
         via: 1.1 portcullis\r\n\r\n"
    );
}

#[tokio::test]
async fn an_empty_query_and_an_asterisk_are_not_tidied_away() {
    let (listener, port) = listen().await;
    let server = serve(listener, vec![vec![OK, OK]]);
    let gate = Gate::before(&[port]);
    text(gate.get("/?").await).await;
    text(gate.send(head(Method::OPTIONS, "*"), nothing().await).await).await;
    let heads = server.await.unwrap();
    assert!(heads[0][0].starts_with("GET /? HTTP/1.1\r\n"));
    assert!(heads[0][1].starts_with("OPTIONS * HTTP/1.1\r\n"));
}

#[tokio::test]
async fn a_body_of_unknown_length_goes_out_in_chunks_with_any_method() {
    for method in [Method::GET, Method::POST] {
        let (listener, port) = listen().await;
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let head = read_head(&mut stream).await;
            let mut body = [0; 20];
            stream.read_exact(&mut body).await.unwrap();
            stream.write_all(OK).await.unwrap();
            (head, body)
        });
        let body = unproven(Framed::of_unknown_length(&[b"hello", b"world"])).await;
        let gate = Gate::before(&[port]);
        assert_eq!(text(gate.send(head(method, "/"), body).await).await, "ok");
        let (head, body) = server.await.unwrap();
        assert_eq!(head.matches("transfer-encoding: chunked\r\n").count(), 1);
        assert!(!head.contains("content-length"));
        assert!(body.starts_with(b"5\r\nhello\r\n5\r\nworld\r\n"));
    }
}

#[tokio::test]
async fn a_connection_is_used_again_after_each_kind_of_whole_answer() {
    let (listener, port) = listen().await;
    let server = serve(
        listener,
        vec![vec![
            OK,
            b"HTTP/1.1 204 No Content\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
            OK,
        ]],
    );
    let gate = Gate::before(&[port]);
    for expected in ["ok", "", "ok", "", "ok"] {
        assert_eq!(text(gate.get("/").await).await, expected);
    }
    assert_eq!(server.await.unwrap()[0].len(), 5);
}

#[tokio::test]
async fn an_answer_to_head_keeps_its_length_and_has_no_body() {
    let (listener, port) = listen().await;
    let server = serve(
        listener,
        vec![vec![b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", OK]],
    );
    let gate = Gate::before(&[port]);
    let answer = gate.send(head(Method::HEAD, "/"), nothing().await).await;
    let answer = answer.unwrap();
    assert_eq!(answer.response.headers()[CONTENT_LENGTH], "9");
    assert_eq!(whole(answer).await.unwrap(), "");
    assert_eq!(text(gate.get("/").await).await, "ok");
    server.await.unwrap();
}

#[tokio::test]
async fn a_connection_that_the_server_closed_meanwhile_is_replaced_unnoticed() {
    let (listener, port) = listen().await;
    let server = serve(listener, vec![vec![OK], vec![OK], vec![OK]]);
    let gate = Gate::before(&[port]);
    for _ in 0..3 {
        // With a body: it must not be lost with the stale connection.
        let body = unproven(Framed::of_known_length(&[b""])).await;
        assert_eq!(text(gate.post(body).await).await, "ok");
    }
    assert_eq!(server.await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_request_that_was_sent_is_never_sent_again() {
    let (listener, port) = listen().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_head(&mut stream).await;
        stream.write_all(OK).await.unwrap();
        read_head(&mut stream).await;
        drop(stream);
        // Nothing may come here.
        listener
    });
    let gate = Gate::before(&[port]);
    assert_eq!(text(gate.get("/").await).await, "ok");
    let failed = gate.post(nothing().await).await.unwrap_err();
    assert!(matches!(failed, Failed::Broke(_)), "{failed}");
    let listener = server.await.unwrap().into_std().unwrap();
    let none = listener.accept().unwrap_err();
    assert_eq!(none.kind(), io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn an_answer_tells_when_it_was_asked_for_and_not_when_another_was_that_never_came() {
    let (listener, port) = listen().await;
    let (clock, hand) = Clock::by_hand(1_000_000);
    let start = clock.now();
    tokio::spawn(async move {
        let (mut first, _) = listener.accept().await.unwrap();
        read_head(&mut first).await;
        hand.advance(Duration::from_secs(3));
        drop(first);
        let (mut second, _) = listener.accept().await.unwrap();
        read_head(&mut second).await;
        hand.advance(Duration::from_secs(2));
        second.write_all(OK).await.unwrap();
    });
    let mut gate = Gate::before(&[port]);
    gate.clock = clock;
    let answer = gate.get("/").await.unwrap();
    let since = |at: Now| at.monotonic().saturating_sub(start.monotonic()).as_secs();
    assert_eq!((since(answer.asked), since(answer.answered)), (3, 5));
}

#[tokio::test]
async fn a_server_that_refuses_is_passed_over_for_the_next() {
    let (listener, port) = listen().await;
    let server = serve(listener, vec![vec![OK, OK]]);
    let (_closed, refuses) = closed_port();
    let gate = Gate::before(&[refuses, port]);
    for _ in 0..2 {
        let body = unproven(Framed::of_known_length(&[b""])).await;
        assert_eq!(text(gate.post(body).await).await, "ok");
    }
    server.await.unwrap();
}

#[tokio::test]
async fn when_every_server_refuses_the_failure_names_one() {
    let ((_one, one), (_other, other)) = (closed_port(), closed_port());
    let failed = Gate::before(&[one, other]).get("/").await.unwrap_err();
    let Failed::Unreachable(why) = failed else {
        panic!("{failed}");
    };
    let names = |port| why.starts_with(&format!("`127.0.0.1:{port}`: "));
    assert!(names(one) || names(other), "{why}");
}

/// A server that reads one head, writes `answer` and then only listens. Its
/// end is the end of the connection, and tells what came behind the head.
fn hang(listener: TcpListener, answer: &'static [u8]) -> JoinHandle<Vec<u8>> {
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_head(&mut stream).await;
        stream.write_all(answer).await.unwrap();
        let mut rest = Vec::new();
        // Closed or reset: both are an end.
        let _ = stream.read_to_end(&mut rest).await;
        rest
    })
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_is_given_up_and_its_connection_closed() {
    let (listener, port) = listen().await;
    let server = hang(listener, b"");
    let gate = Gate::set(&[port], |it| it.first_byte = Duration::from_secs(3));
    let failed = gate.get("/").await.unwrap_err();
    let late = format!("the upstream did not answer in time: `127.0.0.1:{port}`");
    assert_eq!(failed.to_string(), late);
    assert_eq!(server.await.unwrap(), b"");
}

#[tokio::test(start_paused = true)]
async fn the_answer_is_due_only_once_the_request_is_out() {
    let (listener, port) = listen().await;
    let server = hang(listener, b"");
    let gate = Gate::set(&[port], |it| {
        it.first_byte = Duration::from_secs(3);
        it.total = Duration::from_mins(1);
    });
    let started = tokio::time::Instant::now();
    // The client has sent a part and takes its time; only the total bounds that here.
    let body = unproven(
        Framed::of_known_length(&[b"part"])
            .then_stalls()
            .and_owes(1),
    )
    .await;
    let failed = gate.post(body).await.unwrap_err();
    assert_eq!(failed.to_string(), "the body did not arrive in time");
    assert_eq!(started.elapsed().as_secs(), 60);
    assert_eq!(server.await.unwrap(), b"part");
}

#[tokio::test(start_paused = true)]
async fn clients_that_take_all_the_time_for_their_bodies_eject_no_server() {
    let ((one, port), (other, other_port)) = (listen().await, listen().await);
    let mut servers = Vec::new();
    for listener in [one, other] {
        servers.push(tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                open.push(stream);
            }
        }));
    }
    let gate = Gate::set(&[port, other_port], |it| {
        it.total = Duration::from_secs(3);
        it.balance.ejection = Some(Ejection {
            failures: 1,
            time: LONG,
            at_most: 100,
        });
    });
    for _ in 0..4 {
        let body = Framed::of_known_length(&[b"part"])
            .then_stalls()
            .and_owes(1);
        let failed = gate.post(unproven(body).await).await.unwrap_err();
        assert_eq!(failed.to_string(), "the body did not arrive in time");
    }
    assert_eq!(gate.upstream.servers_by_state()[0], ("up", 2));
    // Where nobody but the server took the time, it counts.
    gate.get("/").await.unwrap_err();
    assert_eq!(gate.upstream.servers_by_state()[0], ("up", 1));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_stops_in_the_middle_is_cut_and_never_ends_cleanly() {
    for (idle, total, expected) in [
        (3, 60, "the upstream did not go on in time"),
        (60, 3, "the upstream did not finish in time"),
    ] {
        let (listener, port) = listen().await;
        let server = hang(listener, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel");
        let gate = Gate::set(&[port], |it| {
            it.idle = Duration::from_secs(idle);
            it.total = Duration::from_secs(total);
        });
        let mut body = gate.get("/").await.unwrap().response.into_body();
        assert_eq!(
            body.frame().await.unwrap().unwrap().into_data().unwrap(),
            "hel"
        );
        let error = body.frame().await.unwrap().unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert_eq!(body.bytes(), 3);
        assert!(!body.is_end_stream());
        assert_eq!(server.await.unwrap(), b"");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_which_there_is_always_more_ends_when_its_time_is_over() {
    let (listener, port) = listen().await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n";
        stream.write_all(head).await.unwrap();
        while stream.write_all(&[0; 8 * 1024]).await.is_ok() {}
    });
    let gate = Gate::set(&[port], |it| it.total = Duration::from_secs(3));
    let mut body = gate.get("/").await.unwrap().response.into_body();
    for second in 0.. {
        // Nobody waits for it: when it is asked for, the next piece is there.
        tokio::time::advance(Duration::from_secs(1)).await;
        match body.frame().await.unwrap() {
            Ok(_) => assert!(second < 3),
            Err(error) => {
                assert_eq!(error.to_string(), "the upstream did not finish in time");
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_takes_no_more_of_a_body_is_given_up() {
    let (listener, port) = listen().await;
    let server = tokio::spawn(async move { listener.accept().await.unwrap() });
    let gate = Gate::set(&[port], |it| it.idle = Duration::from_secs(3));
    let (body, taken) = Endless::new();
    let body = prepare(body, &BodyProof::Unproven, ENDLESS, Meter::default())
        .await
        .unwrap();
    let failed = gate.post(body).await.unwrap_err();
    let late = format!("the upstream did not go on in time: `127.0.0.1:{port}`");
    assert_eq!(failed.to_string(), late);
    assert!(taken.load(Ordering::Relaxed) < MAX_BUFFERED);
    drop(server);
}

#[tokio::test(start_paused = true)]
async fn an_answer_comes_only_as_fast_as_it_is_taken() {
    let (listener, port) = listen().await;
    let written = Arc::new(AtomicUsize::new(0));
    let counter = written.clone();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        while let Ok(bytes) = stream.write(&PIECE).await {
            counter.fetch_add(bytes, Ordering::Relaxed);
        }
    });
    let answer = Gate::before(&[port]).get("/").await.unwrap();
    let mut body = answer.response.into_body();
    body.frame().await.unwrap().unwrap();
    // Time stands still until nothing else can move.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let stuck_at = written.load(Ordering::Relaxed);
    assert!(stuck_at < MAX_BUFFERED, "{stuck_at}");
    drop(body);
    server.await.unwrap();
}

#[tokio::test]
async fn an_answer_that_is_cut_short_is_an_error_and_its_connection_not_kept() {
    for cut in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel"[..],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ] {
        let (listener, port) = listen().await;
        serve(listener, vec![vec![cut], vec![OK]]);
        let gate = Gate::before(&[port]);
        let answer = gate.get("/").await.unwrap();
        assert!(whole(answer).await.is_err());
        assert_eq!(text(gate.get("/").await).await, "ok");
    }
}

#[tokio::test]
async fn an_answer_that_could_be_read_in_two_ways_is_none() {
    let fat: &'static [u8] = format!(
        "HTTP/1.1 200 OK\r\nx: {}\r\nContent-Length: 0\r\n\r\n",
        "x".repeat(70_000)
    )
    .leak()
    .as_bytes();
    let many: &'static [u8] = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(201))
        .leak()
        .as_bytes();
    for bad in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"[..],
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: a\r\n b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: a\0\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx : a\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"ok",
        b"",
        fat,
        many,
    ] {
        let (listener, port) = listen().await;
        serve(listener, vec![vec![bad], vec![OK]]);
        let gate = Gate::before(&[port]);
        let bad = String::from_utf8_lossy(bad);
        match gate.post(nothing().await).await {
            Err(Failed::Invalid(_) | Failed::Broke(_)) => {}
            other => panic!("{bad}: {other:?}"),
        }
        assert_eq!(text(gate.get("/").await).await, "ok", "behind {bad}");
    }
}

#[tokio::test]
async fn bytes_behind_an_answer_are_no_answer_to_the_next_request() {
    let (listener, port) = listen().await;
    let twice = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged";
    serve(listener, vec![vec![twice], vec![OK]]);
    let gate = Gate::before(&[port]);
    assert_eq!(text(gate.get("/").await).await, "ok");
    assert_eq!(text(gate.get("/").await).await, "ok");
}

#[tokio::test]
async fn a_connection_is_not_used_again_after_an_answer_that_cannot_have_the_body_it_tells_of() {
    for answer in [
        b"HTTP/1.1 204 No Content\r\nContent-Length: 44\r\n\r\n".as_slice(),
        b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
    ] {
        let (listener, port) = listen().await;
        tokio::spawn(async move {
            let ((mut first, _), mut others) = (listener.accept().await.unwrap(), Vec::new());
            read_head(&mut first).await;
            first.write_all(answer).await.unwrap();
            tokio::spawn(async move {
                read_head(&mut first).await;
                let body = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged";
                first.write_all(body).await.unwrap();
            });
            while let Ok((mut stream, _)) = listener.accept().await {
                read_head(&mut stream).await;
                stream.write_all(OK).await.unwrap();
                others.push(stream);
            }
        });
        let gate = Gate::before(&[port]);
        let nothing = gate.get("/").await.unwrap();
        assert!(nothing.response.body().is_end_stream());
        assert!(!nothing.response.headers().contains_key(CONTENT_LENGTH));
        let kept = gate.get("/").await;
        assert_eq!(text(kept).await, "ok");
    }
}

#[tokio::test]
async fn an_answer_before_the_requests_end_is_passed_on_and_the_connection_closed() {
    let (listener, port) = listen().await;
    let server = hang(listener, OK);
    let body = unproven(Framed::of_unknown_length(&[b"part"]).then_stalls()).await;
    let gate = Gate::before(&[port]);
    assert_eq!(text(gate.post(body).await).await, "ok");
    assert!(!server.await.unwrap().ends_with(b"0\r\n\r\n"));
}

#[tokio::test]
async fn a_body_that_does_not_match_never_becomes_a_whole_request() {
    for (body, behind_head) in [
        (Framed::of_known_length(&[b"aaa", b"bbb", b"c"]), "aaa"),
        (
            Framed::of_unknown_length(&[b"aaa", b"bbb", b"c"]),
            "3\r\naaa\r\n3\r\nbbb\r\n",
        ),
    ] {
        let (listener, port) = listen().await;
        let server = hang(listener, b"");
        let body = prepare(body.slowly(), &digest_of(b"other"), WHILE, Meter::default())
            .await
            .unwrap();
        let failed = Gate::before(&[port]).post(body).await.unwrap_err();
        assert!(
            matches!(failed, Failed::Body(BodyError::Mismatch(_))),
            "{failed}"
        );
        assert_eq!(
            String::from_utf8(server.await.unwrap()).unwrap(),
            behind_head
        );
    }
}

#[tokio::test]
async fn a_body_that_matches_is_whole_at_the_server() {
    for policy in [BEFORE, WHILE] {
        for body in [
            Framed::of_known_length(&[b"hel", b"lo"]),
            Framed::of_unknown_length(&[b"hel", b"lo"]),
        ] {
            let (listener, port) = listen().await;
            let server = tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                let chunked = read_head(&mut stream).await.contains("chunked");
                let expected = if chunked {
                    &b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"[..]
                } else {
                    b"hello"
                };
                let mut got = vec![0; expected.len()];
                stream.read_exact(&mut got).await.unwrap();
                assert_eq!(got, expected);
                stream.write_all(OK).await.unwrap();
            });
            let body = prepare(body, &digest_of(b"hello"), policy, Meter::default())
                .await
                .unwrap();
            assert_eq!(text(Gate::before(&[port]).post(body).await).await, "ok");
            server.await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_client_that_goes_away_in_its_body_takes_the_request_along() {
    let (listener, port) = listen().await;
    let server = hang(listener, b"");
    let body = Framed::of_unknown_length(&[b"part"]).then_fails(io::ErrorKind::ConnectionReset);
    let body = unproven(body.slowly()).await;
    let failed = Gate::before(&[port]).post(body).await.unwrap_err();
    assert!(
        matches!(failed, Failed::Body(BodyError::BrokeOff(_))),
        "{failed}"
    );
    assert_eq!(server.await.unwrap(), b"4\r\npart\r\n");
}

#[tokio::test]
async fn whoever_stops_waiting_for_an_answer_cancels_the_request() {
    let (listener, port) = listen().await;
    let (arrived, has_arrived) = tokio::sync::oneshot::channel();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_head(&mut stream).await;
        arrived.send(()).unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    });
    let gate = Gate::before(&[port]);
    tokio::select! {
        _ = gate.get("/") => panic!("nobody answers"),
        arrived = has_arrived => arrived.unwrap(),
    }
    server.await.unwrap();
}

#[tokio::test]
async fn whoever_stops_reading_an_answer_cancels_the_request() {
    let (listener, port) = listen().await;
    let server = hang(listener, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel");
    let gate = Gate::before(&[port]);
    let mut body = gate.get("/").await.unwrap().response.into_body();
    body.frame().await.unwrap().unwrap();
    drop(body);
    server.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_server_has_no_more_connections_than_it_may() {
    let (listener, port) = listen().await;
    hang(listener, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    let gate = Gate::set(&[port], |it| {
        it.max_connections = 1;
        it.connect = Duration::from_secs(3);
    });
    let first = gate.get("/").await.unwrap();
    let Err(Failed::Overloaded(why)) = gate.get("/").await else {
        panic!("there is no place");
    };
    assert_eq!(
        why,
        format!("`127.0.0.1:{port}`: all of its 1 connections are in use")
    );
    drop(first);
}

#[tokio::test]
async fn a_request_that_waits_for_a_place_gets_the_connection_that_comes_free() {
    let (listener, port) = listen().await;
    let server = serve(listener, vec![vec![OK, OK, OK]]);
    let gate = Gate::set(&[port], |it| it.max_connections = 1);
    let all = tokio::join!(
        async { text(gate.get("/").await).await },
        async { text(gate.get("/").await).await },
        async { text(gate.get("/").await).await },
    );
    assert_eq!(all, ("ok".into(), "ok".into(), "ok".into()));
    server.await.unwrap();
}

#[tokio::test]
async fn an_answer_that_was_read_ahead_is_whole_and_keeps_no_connection_from_others() {
    let answers: [&[u8]; 4] = [
        b"HTTP/1.1 503 Because\r\n\r\nno",
        b"HTTP/1.1 503 Because\r\nContent-Length: 2\r\n\r\nno",
        b"HTTP/1.1 503 Because\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nn\r\n1\r\no\r\n0\r\n\r\n",
        b"HTTP/1.1 503 Because\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\nx-t: v\r\n\r\n",
    ];
    for (n, answer) in answers.into_iter().enumerate() {
        let (listener, port) = listen().await;
        // The first ends with its connection.
        let connections = if n == 0 {
            vec![vec![answer], vec![OK]]
        } else {
            vec![vec![answer, OK]]
        };
        let server = serve(listener, connections);
        let gate = Gate::set(&[port], |it| it.max_connections = 1);
        let mut held = gate.get("/").await.unwrap();
        held.response.body_mut().read_ahead(1024 * 1024).await;
        assert_eq!(text(gate.get("/").await).await, "ok");
        let came = held.response.into_body().collect().await.unwrap();
        let trailer = came.trailers().and_then(|them| them.get("x-t")).cloned();
        assert_eq!(trailer.is_some(), n == 3);
        assert_eq!(came.to_bytes(), "no");
        server.await.unwrap();
    }
}

#[tokio::test]
async fn no_more_is_read_ahead_than_is_asked_for_and_what_breaks_off_then_breaks_off_at_its_place()
{
    let (listener, port) = listen().await;
    serve(
        listener,
        vec![vec![b"HTTP/1.1 503 Because\r\nContent-Length: 9\r\n\r\nno"]],
    );
    let gate = Gate::before(&[port]);
    let mut body = gate.get("/").await.unwrap().response.into_body();
    body.read_ahead(0).await;
    body.read_ahead(1024 * 1024).await;
    assert!(!body.is_end_stream());
    assert_eq!(
        body.frame().await.unwrap().unwrap().into_data().unwrap(),
        "no"
    );
    assert!(body.frame().await.unwrap().is_err());
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_a_place_is_not_the_servers_time_to_answer() {
    const SECOND: Duration = Duration::from_secs(1);
    let (listener, port) = listen().await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_head(&mut stream).await;
        let begun = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";
        stream.write_all(begun).await.unwrap();
        sleep(3 * SECOND).await;
        stream.write_all(b"ok").await.unwrap();
        read_head(&mut stream).await;
        sleep(SECOND).await;
        stream.write_all(OK).await.unwrap();
        stream
    });
    let gate = Gate::set(&[port], |it| {
        it.max_connections = 1;
        it.first_byte = 2 * SECOND;
    });
    let first = gate.get("/").await;
    let both = tokio::join!(text(first), async { text(gate.get("/").await).await });
    assert_eq!(both, ("ok".into(), "ok".into()));
}

#[tokio::test]
async fn open_tunnels_count_among_what_a_server_has_to_do() {
    let opened: [_; 2] = std::array::from_fn(|_| Arc::new(AtomicUsize::new(0)));
    let mut ports = Vec::new();
    for counter in &opened {
        let (listener, port) = listen().await;
        let counter = counter.clone();
        ports.push(port);
        tokio::spawn(async move {
            let mut streams = Vec::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                read_head(&mut stream).await;
                let switch = b"HTTP/1.1 101 \r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
                stream.write_all(switch).await.unwrap();
                counter.fetch_add(1, Ordering::SeqCst);
                streams.push(stream);
            }
        });
    }
    for round in 1..=4 {
        let gate = Gate::before(&ports);
        let mut open = Vec::new();
        for _ in 0..6 {
            let mut asks = head(Method::GET, "/");
            asks.upgrade = Some("websocket".parse().unwrap());
            open.push(gate.send(asks, nothing().await).await.unwrap().far);
        }
        let counts = opened.each_ref().map(|one| one.load(Ordering::SeqCst));
        assert_eq!(counts, [3 * round, 3 * round]);
    }
}

#[tokio::test]
async fn connections_outlive_the_configuration_that_made_them() {
    let (listener, port) = listen().await;
    let server = serve(listener, vec![vec![OK, OK]]);
    let mut gate = Gate::before(&[port]);
    text(gate.get("/").await).await;
    gate.upstream = Upstream::new(gate.settings.clone(), Some(&gate.upstream));
    text(gate.get("/").await).await;
    server.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_request_is_closed_when_it_is_old() {
    let (listener, port) = listen().await;
    let server = hang(listener, OK);
    let gate = Gate::before(&[port]);
    let started = tokio::time::Instant::now();
    text(gate.get("/").await).await;
    // The server sees its end while the pool still lives.
    server.await.unwrap();
    assert_eq!(started.elapsed().as_secs(), 30);
    drop(gate);
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_closed_before_its_server_closes_it_where_that_says_when() {
    for (said, tenths) in [
        ("timeout=5, max=100", 40),
        ("max=100 , Timeout = 2", 10),
        ("timeout=7\r\nKeep-Alive: timeout=6", 50),
        ("timeout=600", 300),
        // Half of so little.
        ("timeout=1", 5),
        // It is kept no moment.
        ("timeout=0", 0),
        // These say nothing.
        ("timeout=", 300),
        ("timeout=-1", 300),
        ("timeout=99999999999999999999", 300),
        ("5", 300),
        ("max=5", 300),
    ] {
        let (listener, port) = listen().await;
        let answer =
            format!("HTTP/1.1 200 OK\r\nKeep-Alive: {said}\r\nContent-Length: 2\r\n\r\nok");
        let server = hang(listener, answer.into_bytes().leak());
        let gate = Gate::before(&[port]);
        let started = Instant::now();
        let answer = gate.get("/").await.unwrap();
        // It was said to us.
        assert!(!answer.response.headers().contains_key("keep-alive"));
        assert_eq!(whole(answer).await.unwrap(), "ok");
        server.await.unwrap();
        assert_eq!(started.elapsed().as_millis() / 100, tenths, "{said}");
        drop(gate);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_tells_how_long_it_waits_only_to_who_asks_is_asked() {
    let (listener, port) = listen().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let head = read_head(&mut stream).await;
        let answer: &[u8] = if head.contains("\r\nconnection: keep-alive\r\n") {
            b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=2\r\nContent-Length: 2\r\n\r\nok"
        } else {
            OK
        };
        stream.write_all(answer).await.unwrap();
        stream.read(&mut [0]).await.unwrap()
    });
    let gate = Gate::before(&[port]);
    let started = Instant::now();
    text(gate.get("/").await).await;
    assert_eq!(server.await.unwrap(), 0);
    assert_eq!(started.elapsed().as_secs(), 1);
    drop(gate);
}

#[tokio::test(start_paused = true)]
async fn no_connection_is_kept_for_longer_than_the_upstream_says() {
    for (keep_alive, tenths) in [(Some(5), 50), (Some(1), 10), (None, 0)] {
        let (listener, port) = listen().await;
        let said = b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=20\r\nContent-Length: 2\r\n\r\nok";
        let server = hang(listener, said);
        let gate = Gate::set(&[port], |it| {
            it.keep_alive = keep_alive.map(Duration::from_secs);
        });
        let started = Instant::now();
        text(gate.get("/").await).await;
        server.await.unwrap();
        assert_eq!(started.elapsed().as_millis() / 100, tenths);
        drop(gate);
    }
}

#[tokio::test]
async fn where_no_connection_is_kept_each_request_says_so_and_has_its_own() {
    let (listener, port) = listen().await;
    // It keeps them, and would read a body that it left unread as the next request.
    let server = serve(listener, vec![vec![OK], vec![OK]]);
    let gate = Gate::set(&[port], |it| it.keep_alive = None);
    assert_eq!(text(gate.get("/").await).await, "ok");
    let body = unproven(Framed::of_known_length(&[b"x"])).await;
    assert_eq!(text(gate.post(body).await).await, "ok");
    for heads in server.await.unwrap() {
        let closes = heads[0].contains("\r\nconnection: close\r\n");
        assert!(closes && !heads[0].contains("keep-alive"), "{}", heads[0]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_grows_old_soon_is_closed_before_older_ones() {
    const SOON: &[u8] = b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5\r\nContent-Length: 2\r\n\r\nok";
    let (listener, port) = listen().await;
    let gate = Gate::before(&[port]);
    let server = tokio::spawn(async move {
        let (mut first, _) = listener.accept().await.unwrap();
        read_head(&mut first).await;
        let (mut second, _) = listener.accept().await.unwrap();
        read_head(&mut second).await;
        first.write_all(OK).await.unwrap();
        sleep(Duration::from_secs(1)).await;
        second.write_all(SOON).await.unwrap();
        let from = Instant::now();
        let mut closed = Vec::new();
        for stream in [&mut second, &mut first] {
            assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
            closed.push(from.elapsed().as_secs());
        }
        closed
    });
    let both = tokio::join!(async { text(gate.get("/").await).await }, async {
        text(gate.get("/").await).await
    },);
    assert_eq!(both, ("ok".into(), "ok".into()));
    assert_eq!(server.await.unwrap(), [4, 29]);
}

#[tokio::test]
async fn trailers_of_an_answer_pass_without_what_only_we_may_say() {
    let (listener, port) = listen().await;
    serve(
        listener,
        vec![vec![
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n\
              2\r\nok\r\n0\r\nx-sum: 7\r\nportcullis-app: forged\r\nContent-Length: 99\r\nSet-Cookie: a=b\r\n\
              Content-Type: text/html\r\nHost: a.example\r\nTransfer-Encoding: gzip\r\nConnection: x\r\n\r\n",
        ]],
    );
    let answer = Gate::before(&[port]).get("/").await.unwrap();
    let whole = answer.response.into_body().collect().await.unwrap();
    let trailers = whole.trailers().unwrap();
    assert_eq!(trailers["x-sum"], "7");
    assert_eq!(trailers.len(), 1);
}

#[tokio::test]
async fn the_built_in_backend_answers_without_a_socket() {
    let gate = Gate::set(&[], |it| it.servers.push(Server::Echo));
    let body = Framed::of_unknown_length(&[b"hel", b"lo"]);
    let body = prepare(body, &digest_of(b"hello"), WHILE, Meter::default())
        .await
        .unwrap();
    let (head, mut to) = (head(Method::POST, "/"), None);
    let answer = gate.send_to(head, body, &mut to).await.unwrap();
    assert_eq!(to.as_deref(), Some("echo:"));
    let seen: serde_json::Value = serde_json::from_slice(&whole(answer).await.unwrap()).unwrap();
    assert_eq!(seen["method"], "POST");
    assert_eq!(seen["body"]["text"], "hello");
    assert_eq!(
        seen["headers"][0],
        serde_json::json!(["host", "api.example.com"])
    );

    let body = Framed::of_unknown_length(&[b"hel", b"lO"]);
    let body = prepare(body, &digest_of(b"hello"), WHILE, Meter::default())
        .await
        .unwrap();
    let failed = gate.post(body).await.unwrap_err();
    assert!(matches!(failed, Failed::Body(BodyError::Mismatch(_))));
}

/// What the sockets and buffers of one connection hold, generously.
const MAX_BUFFERED: usize = 32 * 1024 * 1024;
const ENDLESS: crate::route::BodyPolicy = crate::route::BodyPolicy {
    limit: u64::MAX,
    ..BEFORE
};

static PIECE: [u8; 64 * 1024] = [b'x'; 64 * 1024];

/// A body that has always more.
struct Endless(Arc<AtomicUsize>);

impl Endless {
    fn new() -> (Self, Arc<AtomicUsize>) {
        let taken = Arc::new(AtomicUsize::new(0));
        (Self(taken.clone()), taken)
    }
}

impl Body for Endless {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, io::Error>>> {
        self.0.fetch_add(PIECE.len(), Ordering::Relaxed);
        Poll::Ready(Some(Ok(http_body::Frame::data(Bytes::from_static(&PIECE)))))
    }
}

#[tokio::test]
async fn a_deadline_of_forever_is_no_panic() {
    let (listener, port) = listen().await;
    serve(listener, vec![vec![OK]]);
    let gate = Gate::set(&[port], |it| {
        it.connect = Duration::MAX;
        it.first_byte = Duration::MAX;
        it.idle = Duration::MAX;
        it.total = Duration::MAX;
        it.max_connections = usize::MAX;
    });
    assert_eq!(text(gate.get("/").await).await, "ok");
}

#[tokio::test]
async fn nothing_that_a_client_sent_shows_in_debug() {
    let mut head = head(Method::GET, "/path?canary");
    head.parts
        .headers
        .insert("authorization", "canary".parse().unwrap());
    assert!(!format!("{head:?}").contains("canary"));
    for policy in [BEFORE, WHILE] {
        let body = Framed::of_known_length(&[b"canary"]);
        let body = prepare(body, &digest_of(b"canary"), policy, Meter::default())
            .await
            .unwrap();
        assert!(!format!("{body:?}").contains("canary"));
    }
}
