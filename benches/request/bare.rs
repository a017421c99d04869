//! The proxy to compare with: hyper, one thread with a runtime, a listener and
//! upstream connections of its own, and nothing checked.

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::{TcpListener, TcpStream};

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
                async move { Ok::<_, Infallible>(pass(&pool, request).await) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
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
    async fn take(&self) -> Result<SendRequest<Incoming>, Box<dyn std::error::Error>> {
        let idle = self.idle.lock().expect("no panic within").pop_front();
        if let Some(mut sender) = idle
            && sender.ready().await.is_ok()
        {
            return Ok(sender);
        }
        let stream = TcpStream::connect(self.upstream).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }

    fn keep(&self, sender: SendRequest<Incoming>) {
        self.idle.lock().expect("no panic within").push_back(sender);
    }
}

async fn pass(pool: &Pool, request: Request<Incoming>) -> Response<BoxBody<Bytes, hyper::Error>> {
    let Ok(mut sender) = pool.take().await else {
        return bad_gateway();
    };
    let Ok(response) = sender.send_request(request).await else {
        return bad_gateway();
    };
    pool.keep(sender);
    response.map(BodyExt::boxed)
}

fn bad_gateway() -> Response<BoxBody<Bytes, hyper::Error>> {
    let nothing = Empty::new().map_err(|never| match never {}).boxed();
    let mut response = Response::new(nothing);
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    response
}
