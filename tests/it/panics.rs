//! A request that breaks the gateway breaks itself alone.

use crate::harness::lines::Lines;
use crate::harness::{Connection, Request, Setup, Upstream, caller, now, wait_until};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame};
use hyper_util::rt::{TokioExecutor, TokioIo};
use portcullis::authorize::Heights;
use portcullis::clock::{Clock, Now};
use portcullis::config::Config;
use portcullis::gateway::refusal::Code;
use portcullis::gateway::{Gateway, InForce, Settings, Shared, Tunnels};
use portcullis::limit::peer::Peers;
use portcullis::mint::Service;
use portcullis::observe::{self, AccessLog, Format, Observer};
use portcullis::replay::{Memory, Once, Recorded, Refused};
use portcullis::schemes::token;
use portcullis::secret::Secret;
use portcullis::server::{self, BoxError, Fault, Handed, Handler, Peer};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

/// A memory of proofs that panics when it is told to, once.
#[derive(Default)]
struct Breaks(AtomicBool);

impl Memory for Breaks {
    fn record(&self, _: Once, _: Now) -> Result<Recorded, Refused> {
        assert!(!self.0.swap(false, SeqCst), "on purpose");
        Ok(Recorded::NOWHERE)
    }

    fn write_down(&self, _: Recorded) -> Result<(), Refused> {
        Ok(())
    }
}

/// A server that stops when dropped.
struct Running {
    address: SocketAddr,
    stop: CancellationToken,
    workers: Option<server::Running>,
}

impl Running {
    fn start<H: Handler>(settings: &server::Settings, handler: H) -> Self {
        let bound = server::bind(settings, &mut Handed::default()).unwrap();
        let (address, stop) = (bound.addresses()[0], CancellationToken::new());
        let make = move |_| handler.clone();
        let workers = server::run(bound, settings, None, make, &stop).unwrap();
        Self {
            address,
            stop,
            workers: Some(workers),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(workers) = self.workers.take() {
            workers.wait();
        }
    }
}

/// A gateway with that memory, put together through the library.
struct Breakable {
    running: Running,
    memory: Arc<Breaks>,
    shared: Arc<Shared>,
    log: Lines,
    /// Its files.
    _setup: Setup,
}

impl Breakable {
    fn start(upstream: &Upstream) -> Self {
        let setup = Setup::before(upstream).server("workers = 1");
        let text = setup.text();
        let config = Config::from_text(&text, "gateway.toml", setup.folder(), &|_| None);
        let config = config.unwrap().config;
        let log = Lines::default();
        let observer = Observer::new(observe::Settings {
            access_log: Some(AccessLog::to(Box::new(log.clone()), Format::Json)),
            workers: 1,
            codes: Code::ALL.iter().map(|code| code.word()).collect(),
            shown: Vec::new(),
        });
        let settings = Settings::build(config.gateway, &observer, None).unwrap();
        let memory = Arc::new(Breaks::default());
        let shared = Arc::new(Shared {
            settings: InForce::new(settings, 1),
            memory: memory.clone(),
            observed: memory.clone(),
            heights: Arc::new(Heights::new([])),
            peers: Peers::new(),
            in_flight: Arc::default(),
            undecided: Arc::default(),
            tunnels: Tunnels::default(),
            tokens: token::Cache::new(1),
            minting: Arc::new(Service::new(&Secret::new(vec![7; 32]), memory.clone()).unwrap()),
            alarm: None,
            observer,
            clock: Clock::by_hand(now() as u64).0,
        });
        Self {
            running: Running::start(&config.server, Gateway::new(shared.clone(), 0)),
            memory,
            shared,
            log,
            _setup: setup,
        }
    }

    fn signed(&self, nonce: &str) -> Request {
        let request = Request::new("GET", "/").to(self.running.address);
        caller().nonce(nonce).sign(&request)
    }

    fn break_next(&self) {
        self.memory.0.store(true, SeqCst);
    }

    /// Waits until it says so of all requests: none is left.
    fn wait_until_none_is_in_flight(&self) {
        wait_until("the end of all requests", || {
            let metrics = self.shared.observer.render_metrics();
            metrics
                .lines()
                .any(|line| line == "portcullis_requests_in_flight 0")
        });
        assert_eq!(self.shared.in_flight.inside(), 0);
    }
}

#[test]
fn over_http_1_it_is_a_500_for_that_request_alone() {
    let upstream = Upstream::start();
    let gateway = Breakable::start(&upstream);
    let mut other = Connection::open(gateway.running.address);
    other.send(&gateway.signed("1").bytes());
    other.response().assert_passed();
    for round in 0..3 {
        gateway.break_next();
        let mut broken = Connection::open(gateway.running.address);
        broken.send(&gateway.signed("2").bytes());
        let response = broken.response();
        response.assert_refused(500, "internal-error");
        assert_eq!(response.field("connection"), Some("close"));
        assert!(!response.text().contains("on purpose"));
        assert!(broken.is_closed());
        let id = response.json()["request_id"].as_str().unwrap().to_owned();
        let record = gateway
            .log
            .wait_for("its record", |line| line.contains(&id));
        assert!(record.contains("\"status\":500,\"code\":\"internal-error\""));
        other.send(&gateway.signed(&format!("3-{round}")).bytes());
        other.response().assert_passed();
    }
    gateway.wait_until_none_is_in_flight();
}

async fn connect(address: SocketAddr) -> hyper::client::conn::http2::SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    sender
}

fn over_http_2(request: &Request) -> http::Request<Full<Bytes>> {
    let uri = format!("http://{}{}", request.authority, request.target);
    let mut built = http::Request::builder()
        .method(&*request.method)
        .uri(uri)
        .body(Full::default())
        .unwrap();
    for (name, value) in &request.fields {
        let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
        built.headers_mut().append(name, value.parse().unwrap());
    }
    built
}

#[tokio::test]
async fn over_http_2_the_other_streams_of_the_connection_go_on() {
    let (allow, allowed) = channel::<()>();
    let allowed = Mutex::new(allowed);
    let upstream = Upstream::answering(move |_, wire| {
        let _ = allowed.lock().unwrap().recv();
        wire.answer(200, &[], b"hello");
    });
    let gateway = Breakable::start(&upstream);
    let mut sender = connect(gateway.running.address).await;
    let held = tokio::spawn(sender.send_request(over_http_2(&gateway.signed("1"))));
    while upstream.heard().is_empty() {
        tokio::task::yield_now().await;
    }
    gateway.break_next();
    let broken = over_http_2(&gateway.signed("2"));
    let response = sender.send_request(broken).await.unwrap();
    assert_eq!(response.status(), 500);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(problem["code"], "internal-error");
    allow.send(()).unwrap();
    let response = held.await.unwrap().unwrap();
    assert_eq!(response.status(), 200);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "hello");
    gateway.wait_until_none_is_in_flight();
    ended(gateway).await;
}

/// Ends what the client here is still connected to.
async fn ended<T: Send + 'static>(server: T) {
    tokio::task::spawn_blocking(move || drop(server))
        .await
        .unwrap();
}

/// A handler whose bodies break after their first bytes, where `/broken` is asked for.
#[derive(Clone, Default)]
struct Bodies(Arc<AtomicUsize>);

struct Breaking {
    pieces: usize,
    breaks: bool,
    /// Whoever counts what is left of them.
    alive: Arc<AtomicUsize>,
}

impl Body for Breaking {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.pieces += 1;
        match self.pieces {
            1 => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"first"))))),
            2 => {
                // What there is goes out meanwhile.
                context.waker().wake_by_ref();
                Poll::Pending
            }
            _ if self.breaks => panic!("on purpose"),
            _ => Poll::Ready(None),
        }
    }
}

impl Drop for Breaking {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, SeqCst);
    }
}

impl Handler for Bodies {
    type Body = Breaking;

    async fn handle(
        &self,
        _: &Peer,
        head: Box<http::request::Parts>,
        _: portcullis::server::RequestBody,
    ) -> http::Response<Breaking> {
        self.0.fetch_add(1, SeqCst);
        http::Response::new(Breaking {
            pieces: 0,
            breaks: head.uri.path() == "/broken",
            alive: self.0.clone(),
        })
    }

    fn refuse(&self, _: &Peer, _: Fault) -> http::Response<Breaking> {
        unreachable!("these tests send requests only")
    }
}

fn bodies() -> (Bodies, Running) {
    let setup = Setup::with_servers("\"echo:\"").server("workers = 1");
    let text = setup.text();
    let config = Config::from_text(&text, "gateway.toml", setup.folder(), &|_| None);
    let bodies = Bodies::default();
    let running = Running::start(&config.unwrap().config.server, bodies.clone());
    (bodies, running)
}

#[test]
fn a_body_that_breaks_is_cut_where_its_client_sees_it() {
    let (bodies, running) = bodies();
    let mut other = Connection::open(running.address);
    for _ in 0..2 {
        let broken = Request::new("GET", "/broken").send_to(running.address);
        assert_eq!((broken.status, broken.complete), (200, false));
        other.send(&Request::new("GET", "/").bytes());
        let whole = other.response();
        assert_eq!((&*whole.body, whole.complete), (&b"first"[..], true));
    }
    drop(running);
    assert_eq!(bodies.0.load(SeqCst), 0, "each was dropped");
}

#[tokio::test]
async fn over_http_2_only_its_stream_is_reset() {
    let (_, running) = bodies();
    let mut sender = connect(running.address).await;
    let request = |path: &str| over_http_2(&Request::new("GET", path).to(running.address));
    let response = sender.send_request(request("/broken")).await.unwrap();
    assert!(response.into_body().collect().await.is_err());
    let response = sender.send_request(request("/")).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "first");
    ended(running).await;
}
