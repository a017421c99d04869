//! The proxy to compare with: hyper, a runtime, a listener and upstream
//! connections for each thread, with the gateway's own sizes, and nothing checked.

use crate::bed::certificate;
use crate::bed::process::{Place, Process, role};
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::{self as client, SendRequest};
use hyper::header::{HOST, HeaderValue};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response, Uri, Version};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use portcullis::crypto::{DigestAlgorithm, Hasher};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::thread;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_rustls::TlsAcceptor;

/// The gateway's own, so that both read and write in equal pieces.
const BUFFER: usize = 64 * 1024;
const H2_STREAM_WINDOW: u32 = 64 * 1024;
const H2_CONNECTION_WINDOW: u32 = 2 * 1024 * 1024;
const H2_STREAMS: u32 = 100;

/// The first argument of the role.
pub(super) const ROLE: &str = "--role-bare";

/// What a bare proxy does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) http2: bool,
    pub(super) tls: bool,
    /// Passes the request's body through SHA-256, and looks at nothing.
    pub(super) hashes: bool,
    pub(super) threads: usize,
}

/// Starts one as a process of its own.
pub(super) fn start(
    kind: Kind,
    upstream: SocketAddr,
    folder: &Path,
    place: Place,
) -> (Process, SocketAddr) {
    let (upstream, folder) = (upstream.to_string(), folder.display().to_string());
    let [http2, tls, hashes] = [kind.http2, kind.tls, kind.hashes].map(|on| on.to_string());
    let threads = kind.threads.to_string();
    let arguments = [ROLE, &upstream, &folder, &http2, &tls, &hashes, &threads];
    role(&arguments, place)
}

/// The role itself. Its arguments are as [`start`] says them.
pub(super) fn run(arguments: &[String]) {
    let [upstream, folder, http2, tls, hashes, threads] = arguments else {
        panic!("six arguments behind the role");
    };
    let on = |word: &String| word == "true";
    let kind = Kind {
        http2: on(http2),
        tls: on(tls),
        hashes: on(hashes),
        threads: threads.parse().expect("a number"),
    };
    let upstream = upstream.parse().expect("an address");
    let tls = kind
        .tls
        .then(|| certificate::server(Path::new(folder), &[b"h2", b"http/1.1"]));
    let first = listener("127.0.0.1:0".parse().expect("an address"));
    let address = first.local_addr().expect("an address");
    println!("{address}");
    let more = (1..kind.threads).map(|_| listener(address));
    let threads: Vec<_> = std::iter::once(first)
        .chain(more)
        .map(|listener| {
            let tls = tls.clone();
            thread::spawn(move || serve(listener, upstream, kind, tls.as_ref()))
        })
        .collect();
    for thread in threads {
        thread.join().expect("it serves until it is killed");
    }
}

fn listener(address: SocketAddr) -> std::net::TcpListener {
    use socket2::{Domain, Socket, Type};
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_reuse_port(true).expect("a socket option");
    socket.set_nonblocking(true).expect("a socket option");
    socket.bind(&address.into()).expect("a port");
    socket.listen(1024).expect("it listens");
    socket.into()
}

fn serve(
    listener: std::net::TcpListener,
    upstream: SocketAddr,
    kind: Kind,
    tls: Option<&TlsAcceptor>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener).expect("it does not block");
        let pool = Arc::new(Pool {
            upstream,
            idle: Mutex::default(),
        });
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let pool = pool.clone();
            match tls.cloned() {
                None => {
                    tokio::spawn(converse(stream, kind, pool));
                }
                Some(tls) => {
                    tokio::spawn(async move {
                        if let Ok(stream) = tls.accept(stream).await {
                            converse(stream, kind, pool).await;
                        }
                    });
                }
            }
        }
    });
}

async fn converse<S>(stream: S, kind: Kind, pool: Arc<Pool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| {
        let pool = pool.clone();
        async move { pass(&pool, request, kind).await }
    });
    let stream = TokioIo::new(stream);
    // A caller that hangs up is no news.
    if kind.http2 {
        let _ = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(H2_STREAMS)
            .initial_stream_window_size(H2_STREAM_WINDOW)
            .initial_connection_window_size(H2_CONNECTION_WINDOW)
            .max_send_buf_size(BUFFER)
            .serve_connection(stream, service)
            .await;
    } else {
        let _ = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(None)
            .max_buf_size(BUFFER)
            .half_close(true)
            .serve_connection(stream, service)
            .await;
    }
}

/// Upstream connections. As the gateway does, it takes the one that was used last of those whose
/// answer has been read to its end: what was used last is still in the processor's caches.
struct Pool {
    upstream: SocketAddr,
    idle: Mutex<VecDeque<SendRequest<Passed>>>,
}

impl Pool {
    async fn take(&self) -> Result<SendRequest<Passed>, anyhow::Error> {
        let idle = {
            let mut idle = self.idle.lock().expect("no panic within");
            let last = idle.iter().rposition(SendRequest::is_ready);
            idle.remove(last.unwrap_or(0))
        };
        if let Some(mut sender) = idle
            && sender.ready().await.is_ok()
        {
            return Ok(sender);
        }
        let stream: TcpStream = TcpSocket::new_v4()?.connect(self.upstream).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = client::Builder::new()
            .max_buf_size(BUFFER)
            .handshake(TokioIo::new(stream))
            .await?;
        tokio::spawn(connection);
        Ok(sender)
    }

    fn keep(&self, sender: SendRequest<Passed>) {
        self.idle.lock().expect("no panic within").push_back(sender);
    }
}

async fn pass(
    pool: &Pool,
    request: Request<Incoming>,
    kind: Kind,
) -> Result<Response<Incoming>, anyhow::Error> {
    let mut request = request.map(|body| {
        if kind.hashes {
            Passed::Hashed(Box::new(Hashed::new(body)))
        } else {
            Passed::Plain(body)
        }
    });
    if kind.http2 {
        // HTTP/1.1 has the host in a field, and only the path in its first line.
        let uri = request.uri();
        let host = uri.authority().map_or("", |host| host.as_str());
        let host = HeaderValue::from_str(host)?;
        let path = uri.path_and_query().cloned();
        request.headers_mut().insert(HOST, host);
        *request.uri_mut() = path.map_or_else(Uri::default, Uri::from);
        *request.version_mut() = Version::HTTP_11;
    }
    let mut sender = pool.take().await?;
    let response = sender.send_request(request).await?;
    pool.keep(sender);
    Ok(response)
}

/// A body on its way.
enum Passed {
    Plain(Incoming),
    Hashed(Box<Hashed>),
}

impl Body for Passed {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Self::Plain(body) => Pin::new(body).poll_frame(context),
            Self::Hashed(body) => Pin::new(body.as_mut()).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Plain(body) => body.is_end_stream(),
            Self::Hashed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Plain(body) => body.size_hint(),
            Self::Hashed(body) => body.size_hint(),
        }
    }
}

/// One pass of SHA-256 over a body while it streams.
struct Hashed {
    body: Incoming,
    hasher: Option<Hasher>,
}

impl Hashed {
    fn new(body: Incoming) -> Self {
        Self {
            body,
            hasher: Some(Hasher::new(DigestAlgorithm::Sha256)),
        }
    }
}

impl Body for Hashed {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let (Some(bytes), Some(hasher)) = (frame.data_ref(), &mut self.hasher)
        {
            hasher.update(bytes);
        }
        if self.body.is_end_stream()
            && let Some(hasher) = self.hasher.take()
        {
            std::hint::black_box(hasher.finish());
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
