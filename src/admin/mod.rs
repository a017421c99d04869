//! Health, readiness, metrics and the admin API, on a listener of their own.
//!
//! In: an address, a [`Probe`] to ask, a [`Desk`] to work on, and
//! when to stop. Out: answers to `/livez`, `/readyz` and `/metrics` for
//! whoever asks, and to `/v1/…` for who shows a token. This room never: shares a
//! thread with requests of callers, or lets a secret out but in the answer that makes it.

pub mod api;

mod before_us;
mod exchange;
mod exposition;
mod places;

use crate::server::{self, Count, Entrance, Handed, Listen, Pulse, Single, Stream};
use api::{Desk, Guard, Tokens};
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use places::{Place, Places};
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::panic::resume_unwind;
use std::pin::pin;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// `[admin]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where to listen; `None` is nowhere.
    pub listen: Option<Listen>,
    /// The mode of a Unix socket's file.
    pub socket_mode: u32,
    /// Whose tokens the API takes. Without any there is none.
    pub tokens: Tokens,
    /// Where the token is that may change things, as a reference.
    pub token: Option<String>,
    /// Where the one is that may look.
    pub read_token: Option<String>,
    /// Whether the API may be reached from other machines.
    pub exposed: bool,
}

/// What the answers are made of.
pub trait Probe: Send + Sync + 'static {
    /// Whether requests can be served.
    ///
    /// # Errors
    /// A word or two on why they cannot, `draining` for one.
    fn ready(&self) -> Result<(), String>;

    /// Those that serve them, once they do.
    fn workers(&self) -> Option<Pulse>;

    /// All metrics, in the text form of `OpenMetrics`; who does not ask for that gets another form of it.
    fn metrics(&self) -> String;
}

/// What is served.
#[derive(Clone)]
pub struct Served {
    /// What health, readiness and metrics are made of.
    pub probe: Arc<dyn Probe>,
    /// What the API works on.
    pub desk: Arc<dyn Desk>,
    /// Who may use it.
    pub guard: Arc<Guard>,
}

/// Calls of the API that are worked on at a time; others wait, one a connection.
const AT_WORK: usize = 4;
/// Connections at a time: for one more the one that has been idle longest is closed.
const MAX_CONNECTIONS: usize = 64;
/// How long a connection may be without a request, and a head may take.
const IDLE: Duration = Duration::from_secs(75);
/// How long a connection may last, whatever it does: a reader that takes no answer ends here.
const LIFETIME: Duration = Duration::from_mins(10);
/// How long answers in flight may take when we stop.
const LAST_ANSWERS: Duration = Duration::from_secs(1);
/// Bytes of a connection that are read or written at a time, and of a head.
const BUFFER: usize = 16 * 1024;
/// How long the listener rests when the system has no more to give, files for one.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why the address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Something is in the way there.
    #[error(
        "cannot listen on `{place}` for health and metrics: {}\n\nhint: is another gateway running? set `[admin] listen`, or `\"off\"` for none",
        .why.why()
    )]
    InTheWay {
        /// Where.
        place: Listen,
        /// What.
        why: server::BindError,
    },
    /// A socket that was handed over is.
    #[error(transparent)]
    HandedOver(server::BindError),
}

impl BindError {
    /// Whether a gateway listens there, which may be the one before us. Asks it, for a moment.
    pub fn is_of_a_gateway(&self) -> bool {
        match self {
            Self::InTheWay {
                why: server::BindError::InUse(place),
                ..
            } => before_us::is_at(place),
            _ => false,
        }
    }
}

/// The socket, on which nobody answers yet.
#[derive(Debug)]
pub struct Bound {
    place: Listen,
    single: Single,
}

/// The listener at work.
#[derive(Debug)]
pub struct Running {
    address: Option<SocketAddr>,
    thread: JoinHandle<()>,
}

impl Running {
    /// Its address, which a Unix socket does not have.
    pub const fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Waits until it has stopped. Blocks the thread.
    ///
    /// # Panics
    /// When its thread did.
    pub fn wait(self) {
        self.thread
            .join()
            .unwrap_or_else(|panic| resume_unwind(panic));
    }
}

/// Listens; `None` when the settings name no address. Who comes waits for [`serve`].
///
/// # Errors
/// [`BindError`] names the address and what is in the way.
pub fn bind(settings: &Settings, handed: &mut Handed) -> Result<Option<Bound>, BindError> {
    let Some(wanted) = &settings.listen else {
        return Ok(None);
    };
    let place = wanted.clone();
    match server::bind_single(wanted, settings.socket_mode, handed) {
        Ok(single) => Ok(Some(Bound { place, single })),
        Err(why @ server::BindError::HandedOver { .. }) => Err(BindError::HandedOver(why)),
        Err(why) => Err(BindError::InTheWay { place, why }),
    }
}

/// Answers on a thread of its own until `stop`.
/// Whoever drains stops it last, so that `/readyz` can say so meanwhile.
///
/// # Errors
/// [`BindError`] when the system has no more threads or files.
pub fn serve(bound: Bound, served: Served, stop: CancellationToken) -> Result<Running, BindError> {
    let Bound { place, single } = bound;
    start(single, served, stop).map_err(|error| BindError::InTheWay {
        why: server::BindError::System(place.clone(), error),
        place,
    })
}

fn start(single: Single, served: Served, stop: CancellationToken) -> io::Result<Running> {
    let Single { listener, file } = single;
    let address = listener.place()?.address();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(AT_WORK)
        .build()?;
    let listener = {
        let _registers_there = runtime.enter();
        Entrance::open(listener)?
    };
    let thread = thread::Builder::new()
        .name("admin".to_owned())
        .spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, served.clone(), stop) => {}
                    () = exchange::tell_refusals(&served) => {}
                }
            });
            drop(file);
            // A reload whose files do not answer is not waited for.
            runtime.shutdown_timeout(LAST_ANSWERS);
        })?;
    Ok(Running { address, thread })
}

async fn accept(listener: Entrance, served: Served, stop: CancellationToken) {
    let places = Places::new(MAX_CONNECTIONS);
    let connections = TaskTracker::new();
    let (failures, closed) = (Count::default(), Count::default());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                if let Some(failed) = failures.add() {
                    tracing::warn!(
                        %error,
                        failed,
                        "the admin listener cannot accept connections; trying again"
                    );
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Those that were accepted before it have been looked at by then: none is idle whose request lies there.
        tokio::task::yield_now().await;
        let (place, of_another) = tokio::select! {
            taken = places.take() => taken,
            () = stop.cancelled() => break,
        };
        if let Some(closed) = of_another.then(|| closed.add()).flatten() {
            tracing::warn!(
                closed,
                "idle connections to the admin listener are closed: as many are open as may be"
            );
        }
        let (served, stop) = (served.clone(), stop.clone());
        connections.spawn(async move {
            // Its end, early or not, is nobody's concern.
            let _ = timeout(LIFETIME, converse(stream, peer, served, stop, place)).await;
        });
    }
    drop(listener);
    connections.close();
    let _ = timeout(LAST_ANSWERS, connections.wait()).await;
}

async fn converse(
    stream: Stream,
    peer: Option<IpAddr>,
    served: Served,
    stop: CancellationToken,
    place: Place,
) {
    let place = Arc::new(place);
    let of_answers = place.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let (served, place) = (served.clone(), of_answers.clone());
        async move {
            let answer = exchange::answer(&served, peer, request, &place).await;
            Ok::<_, Infallible>(answer)
        }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(IDLE)
            .max_buf_size(BUFFER)
            .keep_alive(true)
            .half_close(false)
            .serve_connection(TokioIo::new(stream), service)
    );
    tokio::select! {
        _ = connection.as_mut() => return,
        () = place.given_up() => return,
        () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::sync::Mutex;

    struct Told(Mutex<Result<(), String>>, Option<Pulse>);

    impl Told {
        fn well() -> Arc<Self> {
            Arc::new(Self(Mutex::new(Ok(())), None))
        }
    }

    impl Probe for Told {
        fn ready(&self) -> Result<(), String> {
            self.0.lock().unwrap().clone()
        }

        fn workers(&self) -> Option<Pulse> {
            self.1.clone()
        }

        fn metrics(&self) -> String {
            "# EOF\n".to_owned()
        }
    }

    struct Nothing;

    impl Desk for Nothing {
        fn configured(&self) -> Arc<api::Configured> {
            Arc::default()
        }

        fn store(&self) -> Option<&Arc<dyn crate::apps::made::Store>> {
            None
        }

        fn master(&self) -> Option<&crate::apps::made::MasterKey> {
            None
        }

        fn reload(&self, _: bool) -> Result<api::Reloaded, String> {
            Err("nothing to reload".into())
        }

        fn now(&self) -> crate::clock::Now {
            crate::clock::Clock::system().now()
        }

        fn is_serving(&self) -> bool {
            true
        }
    }

    fn served(probe: &Arc<Told>) -> Served {
        Served {
            probe: probe.clone(),
            desk: Arc::new(Nothing),
            guard: Arc::default(),
        }
    }

    const ANYWHERE: Settings = Settings {
        listen: Some(Listen::Tcp(SocketAddr::new(
            std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
            0,
        ))),
        socket_mode: 0o660,
        tokens: Tokens {
            write: None,
            read: None,
        },
        token: None,
        read_token: None,
        exposed: false,
    };

    fn started() -> (Arc<Told>, CancellationToken, Running) {
        let probe = Told::well();
        let stop = CancellationToken::new();
        let bound = bind(&ANYWHERE, &mut Handed::default()).unwrap().unwrap();
        let running = serve(bound, served(&probe), stop.clone()).unwrap();
        (probe, stop, running)
    }

    fn ask(running: &Running, line: &str) -> (u16, String, String) {
        let mut stream = std::net::TcpStream::connect(running.address().unwrap()).unwrap();
        let request = format!("{line} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (
            head[9..12].parse().unwrap(),
            head.to_owned(),
            body.to_owned(),
        )
    }

    #[test]
    fn health_readiness_and_metrics_are_told_and_nothing_else() {
        let (probe, stop, running) = started();
        let status_and_body = |line: &str| {
            let (status, _, body) = ask(&running, line);
            (status, body)
        };
        assert_eq!(status_and_body("GET /livez"), (200, "ok\n".into()));
        assert_eq!(status_and_body("HEAD /livez"), (200, String::new()));
        assert_eq!(status_and_body("GET /readyz"), (200, "ready\n".into()));
        assert_eq!(status_and_body("GET /readyz?x"), (200, "ready\n".into()));
        *probe.0.lock().unwrap() = Err("draining".into());
        assert_eq!(status_and_body("GET /readyz"), (503, "draining\n".into()));
        assert_eq!(status_and_body("GET /livez"), (200, "ok\n".into()));
        let (status, head, body) = ask(&running, "GET /metrics");
        assert_eq!((status, &*body), (200, ""));
        assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"));
        assert_eq!(status_and_body("GET /").0, 404);
        assert_eq!(status_and_body("GET /metrics/").0, 404);
        let (status, head, _) = ask(&running, "POST /metrics");
        assert_eq!(status, 405);
        assert!(head.contains("allow: GET, HEAD\r\n"));
        stop.cancel();
        running.wait();
    }

    #[test]
    fn who_has_a_worker_that_does_nothing_is_not_ready_and_lives() {
        // Nobody runs it.
        let held = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let workers = Pulse::of([held.handle().clone()]);
        let probe = Arc::new(Told(Mutex::new(Ok(())), Some(workers)));
        let stop = CancellationToken::new();
        let bound = bind(&ANYWHERE, &mut Handed::default()).unwrap().unwrap();
        let running = serve(bound, served(&probe), stop.clone()).unwrap();
        let (status, _, said) = ask(&running, "GET /readyz");
        assert_eq!((status, &*said), (503, "worker 0 does not answer\n"));
        assert_eq!(ask(&running, "GET /livez").0, 200);
        stop.cancel();
        running.wait();
    }

    #[test]
    fn no_address_is_no_listener() {
        let nowhere = Settings {
            listen: None,
            ..ANYWHERE
        };
        assert!(bind(&nowhere, &mut Handed::default()).unwrap().is_none());
    }

    #[test]
    fn an_address_in_use_is_named_with_a_hint() {
        let (_, stop, running) = started();
        let address = running.address().unwrap();
        let same = Settings {
            listen: Some(Listen::Tcp(address)),
            ..ANYWHERE
        };
        let error = bind(&same, &mut Handed::default()).unwrap_err();
        assert!(error.is_of_a_gateway());
        let error = error.to_string();
        assert!(
            error.starts_with(&format!(
                "cannot listen on `{address}` for health and metrics: "
            )),
            "{error}"
        );
        assert!(
            error.contains("\n\nhint: is another gateway running? set `[admin] listen`"),
            "{error}"
        );
        stop.cancel();
        running.wait();
    }

    #[test]
    fn who_listens_there_and_is_no_gateway_is_known_by_its_answer() {
        let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let same = Settings {
            listen: Some(Listen::Tcp(other.local_addr().unwrap())),
            ..ANYWHERE
        };
        let error = bind(&same, &mut Handed::default()).unwrap_err();
        let answers = thread::spawn(move || {
            for answer in [&b""[..], b"HTTP/1.1 200 OK\r\n\r\nhello\n"] {
                let (mut stream, _) = other.accept().unwrap();
                assert!(stream.read(&mut [0; 512]).unwrap() > 0);
                stream.write_all(answer).unwrap();
            }
        });
        assert!(!error.is_of_a_gateway() && !error.is_of_a_gateway());
        answers.join().unwrap();
        // It has gone.
        assert!(!error.is_of_a_gateway());
    }

    #[test]
    fn silent_connections_keep_nobody_from_asking_whether_we_live() {
        let (_, stop, running) = started();
        let connect = || std::net::TcpStream::connect(running.address().unwrap()).unwrap();
        let mut silent: Vec<_> = (0..2 * MAX_CONNECTIONS).map(|_| connect()).collect();
        assert_eq!(ask(&running, "GET /livez").0, 200);
        // Those that came first are closed, and those that came last are not.
        assert_eq!(silent[0].read(&mut [0; 8]).unwrap_or(0), 0);
        let last = silent.last_mut().unwrap();
        last.write_all(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
            .unwrap();
        assert_eq!(last.read(&mut [0; 8]).unwrap(), 8);
        stop.cancel();
        running.wait();
    }

    #[test]
    fn of_a_burst_each_request_is_answered() {
        let bound = bind(&ANYWHERE, &mut Handed::default()).unwrap().unwrap();
        let address = bound.single.listener.place().unwrap().address().unwrap();
        let asked = b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n";
        // All of them are there before any is accepted.
        let burst: Vec<_> = (0..MAX_CONNECTIONS + 36)
            .map(|_| {
                let mut stream = std::net::TcpStream::connect(address).unwrap();
                stream.write_all(asked).unwrap();
                stream
            })
            .collect();
        let stop = CancellationToken::new();
        let probe = Told::well();
        let running = serve(bound, served(&probe), stop.clone()).unwrap();
        for (number, mut stream) in burst.into_iter().enumerate() {
            let mut begins = [0; 12];
            stream.read_exact(&mut begins).unwrap();
            assert_eq!(&begins, b"HTTP/1.1 200", "{number}");
        }
        stop.cancel();
        running.wait();
    }

    #[test]
    fn whoever_owes_a_body_keeps_nobody_from_asking_whether_we_live() {
        let guard = Guard::new(Tokens {
            write: None,
            read: Some(api::Token::of(&[b'a'; 32])),
        });
        let stop = CancellationToken::new();
        let probe = Told::well();
        let served = Served {
            guard: Arc::new(guard),
            ..served(&probe)
        };
        let bound = bind(&ANYWHERE, &mut Handed::default()).unwrap().unwrap();
        let running = serve(bound, served, stop.clone()).unwrap();
        let owe = |line: &str| {
            let mut stream = std::net::TcpStream::connect(running.address().unwrap()).unwrap();
            let token = "a".repeat(32);
            let head = format!("{line} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n");
            let begun = format!("{head}Content-Length: 1000\r\n\r\n{{");
            stream.write_all(begun.as_bytes()).unwrap();
            stream
        };
        let mut owing: Vec<_> = (0..MAX_CONNECTIONS).map(|_| owe("GET /v1/apps")).collect();
        assert_eq!(ask(&running, "GET /livez").0, 200);
        // The first made way; it has got no answer.
        assert_eq!(owing[0].read(&mut [0; 8]).unwrap_or(0), 0);
        // What is open to all waits for no body at all.
        let mut begins = [0; 12];
        owe("GET /v1/openapi.json").read_exact(&mut begins).unwrap();
        assert_eq!(&begins, b"HTTP/1.1 200");
        stop.cancel();
        running.wait();
    }

    #[test]
    fn a_stop_ends_idle_connections() {
        let (_, stop, running) = started();
        let mut idle = std::net::TcpStream::connect(running.address().unwrap()).unwrap();
        stop.cancel();
        assert_eq!(idle.read(&mut [0; 8]).unwrap_or(0), 0);
        running.wait();
    }
}
