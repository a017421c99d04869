//! A backend that does in turn what backends do at their worst, and one that is ill by turns.

use crate::actors::Tally;
use crate::bed::origin::{self, Requests};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

/// How long it is up, and how long it is gone.
const UP: Duration = Duration::from_secs(2);
const GONE: Duration = Duration::from_millis(500);
/// What health checks ask for.
pub(super) const HEALTH: &str = "/health";
/// Health checks to which one says that it is well, and then as many that it is ill.
const CHECKS: u32 = 4;

/// Listens until `stop`; where it listens stays the same.
pub(super) async fn start(stop: CancellationToken) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        let work = misbehave(listener, address);
        let _ = stop.run_until_cancelled(work).await;
    });
    address
}

async fn misbehave(listener: TcpListener, address: SocketAddr) {
    let mut listener = Some(listener);
    let mut turn = 0_u32;
    loop {
        let until = Instant::now() + UP;
        if let Some(listener) = listener.take() {
            while let Ok(Ok((stream, _))) = timeout_at(until, listener.accept()).await {
                turn += 1;
                tokio::spawn(answer(stream, turn));
            }
        }
        // Killed: connections to it are refused.
        sleep(GONE).await;
        // Another may hold the port meanwhile; then it stays dead for one more turn.
        listener = TcpListener::bind(address).await.ok();
    }
}

async fn answer(stream: TcpStream, turn: u32) {
    const CUT: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nnot all of it";
    if turn.is_multiple_of(6) {
        // Reset at once.
        let _ = stream.set_zero_linger();
        return;
    }
    if turn % 6 > 3 {
        return origin::serve(stream).await;
    }
    let mut requests = Requests::new(stream);
    if !matches!(requests.next().await, Ok(true)) {
        return;
    }
    let mut stream = requests.stream;
    match turn % 6 {
        1 => {
            // Hangs, until it is given up on.
            let _ = stream.readable().await;
            let _ = stream.try_read(&mut [0; 64]);
        }
        2 => {
            let _ = stream.write_all(CUT).await;
        }
        _ => {
            let _ = stream.write_all(&CUT[..30]).await;
            let _ = stream.set_zero_linger();
        }
    }
}

/// Listens as long as the run lasts, and answers every request: only to health checks it says,
/// by their number, that it is ill, so that a gateway that asks it has to lose nothing by it.
pub(super) async fn ailing(tally: Arc<Tally>) -> SocketAddr {
    const ILL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
    const TOLD: &str = "health checks of one that is ill";
    tally.awaits(TOLD);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        let checks = Arc::new(AtomicU32::new(0));
        while let Ok((stream, _)) = listener.accept().await {
            let (checks, tally) = (checks.clone(), tally.clone());
            let asked = format!("GET {HEALTH} ");
            tokio::spawn(origin::serve_but(stream, move |head| {
                if !head.starts_with(asked.as_bytes()) {
                    return None;
                }
                let turn = checks.fetch_add(1, Ordering::Relaxed) / CHECKS;
                let is_ill = turn % 2 == 1;
                is_ill.then(|| {
                    tally.good(TOLD);
                    ILL
                })
            }));
        }
    });
    address
}
