//! The proxy to compare with: hyper, one thread with a runtime, a listener and
//! upstream connections of its own, and nothing checked.

use hyper::body::Incoming;
use hyper::client::conn::http1::{self as client, SendRequest};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::{TcpListener, TcpStream};

/// The gateway's own, so that both read and write in equal pieces.
const BUFFER: usize = 64 * 1024;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

pub(super) fn run(upstream: SocketAddr) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        println!("{}", listener.local_addr().expect("an address"));
        let pool = Arc::new(Pool {
            upstream,
            idle: Mutex::default(),
        });
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let pool = pool.clone();
            let service = service_fn(move |request| {
                let pool = pool.clone();
                async move { pass(&pool, request).await }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(None)
                .max_buf_size(BUFFER)
                .half_close(true)
                .serve_connection(TokioIo::new(stream), service);
            tokio::spawn(connection);
        }
    });
}

/// Upstream connections, the one longest idle first: its answer has been read to its end.
struct Pool {
    upstream: SocketAddr,
    idle: Mutex<VecDeque<SendRequest<Incoming>>>,
}

impl Pool {
    async fn take(&self) -> Result<SendRequest<Incoming>, BoxError> {
        let idle = self.idle.lock().expect("no panic within").pop_front();
        if let Some(mut sender) = idle
            && sender.ready().await.is_ok()
        {
            return Ok(sender);
        }
        let stream = TcpStream::connect(self.upstream).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = client::Builder::new()
            .max_buf_size(BUFFER)
            .handshake(TokioIo::new(stream))
            .await?;
        tokio::spawn(connection);
        Ok(sender)
    }

    fn keep(&self, sender: SendRequest<Incoming>) {
        self.idle.lock().expect("no panic within").push_back(sender);
    }
}

async fn pass(pool: &Pool, request: Request<Incoming>) -> Result<Response<Incoming>, BoxError> {
    let mut sender = pool.take().await?;
    let response = sender.send_request(request).await?;
    pool.keep(sender);
    Ok(response)
}
