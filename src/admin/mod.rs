//! Health, readiness, metrics and the admin API, on a listener of their own.
//!
//! In: an address, a [`Probe`] to ask, a [`Desk`] to work on, and
//! when to stop. Out: answers to `/livez`, `/readyz` and `/metrics` for
//! whoever asks, and to `/v1/…` for who shows a token. This room never: shares a
//! thread with requests of callers, or lets a secret out but in the answer that makes it.

pub mod api;

mod exchange;

use crate::server::{self, Entrance, Handed, Listen, Single, Stream};
use api::{Desk, Guard, Tokens};
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::panic::resume_unwind;
use std::pin::pin;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::sync::Semaphore;
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

    /// All metrics, in the text form of `OpenMetrics`.
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
/// Connections at a time.
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
#[error(
    "cannot listen on `{place}` for health and metrics: {why}\n\nhint: is another gateway running? set `[admin] listen`, or `\"off\"` for none"
)]
pub struct BindError {
    place: Listen,
    why: String,
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

/// Answers on a thread of its own until `stop`; `None` when the settings name no address.
/// Whoever drains stops it last, so that `/readyz` can say so meanwhile.
///
/// # Errors
/// [`BindError`] names the address and what is in the way.
pub fn serve(
    settings: &Settings,
    handed: &mut Handed,
    served: Served,
    stop: CancellationToken,
) -> Result<Option<Running>, BindError> {
    let Some(wanted) = &settings.listen else {
        return Ok(None);
    };
    let failed = |why| BindError {
        place: wanted.clone(),
        why,
    };
    let single = server::bind_single(wanted, settings.socket_mode, handed)
        .map_err(|error| failed(error.why()))?;
    start(single, served, stop)
        .map(Some)
        .map_err(|error| failed(error.to_string()))
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
            runtime.block_on(accept(listener, served, stop));
            drop(file);
        })?;
    Ok(Running { address, thread })
}

async fn accept(listener: Entrance, served: Served, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let connections = TaskTracker::new();
    loop {
        let place = tokio::select! {
            place = places.clone().acquire_owned() => place,
            () = stop.cancelled() => break,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        if let Ok((stream, peer)) = accepted {
            let (served, stop) = (served.clone(), stop.clone());
            connections.spawn(async move {
                // Its end, early or not, is nobody's concern.
                let _ = timeout(LIFETIME, converse(stream, peer, served, stop)).await;
                drop(place);
            });
        } else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
        }
    }
    drop(listener);
    connections.close();
    let _ = timeout(LAST_ANSWERS, connections.wait()).await;
}

async fn converse(stream: Stream, peer: Option<IpAddr>, served: Served, stop: CancellationToken) {
    let service = service_fn(move |request: Request<Incoming>| {
        let served = served.clone();
        async move { Ok::<_, Infallible>(exchange::answer(&served, peer, request).await) }
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
        () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::sync::Mutex;

    struct Told(Mutex<Result<(), String>>);

    impl Probe for Told {
        fn ready(&self) -> Result<(), String> {
            self.0.lock().unwrap().clone()
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

        fn reload(&self, _: bool) -> Result<Vec<String>, String> {
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
        let probe = Arc::new(Told(Mutex::new(Ok(()))));
        let stop = CancellationToken::new();
        let running = serve(
            &ANYWHERE,
            &mut Handed::default(),
            served(&probe),
            stop.clone(),
        )
        .unwrap()
        .unwrap();
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
        assert_eq!((status, &*body), (200, "# EOF\n"));
        assert!(head.contains(
            "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"
        ));
        assert_eq!(status_and_body("GET /").0, 404);
        assert_eq!(status_and_body("GET /metrics/").0, 404);
        let (status, head, _) = ask(&running, "POST /metrics");
        assert_eq!(status, 405);
        assert!(head.contains("allow: GET, HEAD\r\n"));
        stop.cancel();
        running.wait();
    }

    #[test]
    fn no_address_is_no_listener() {
        let probe = Arc::new(Told(Mutex::new(Ok(()))));
        let nowhere = Settings {
            listen: None,
            ..ANYWHERE
        };
        assert!(
            serve(
                &nowhere,
                &mut Handed::default(),
                served(&probe),
                CancellationToken::new()
            )
            .unwrap()
            .is_none()
        );
    }

    #[test]
    fn an_address_in_use_is_named_with_a_hint() {
        let (probe, stop, running) = started();
        let address = running.address().unwrap();
        let same = Settings {
            listen: Some(Listen::Tcp(address)),
            ..ANYWHERE
        };
        let error = serve(&same, &mut Handed::default(), served(&probe), stop.clone())
            .unwrap_err()
            .to_string();
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
    fn a_stop_ends_idle_connections() {
        let (_, stop, running) = started();
        let mut idle = std::net::TcpStream::connect(running.address().unwrap()).unwrap();
        stop.cancel();
        assert_eq!(idle.read(&mut [0; 8]).unwrap_or(0), 0);
        running.wait();
    }
}
