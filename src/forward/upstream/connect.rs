//! A new connection to a server.

use super::{Io, Place};
use crate::forward::body::ProvenBody;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use std::io;
use tokio::net::{TcpStream, lookup_host};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};

/// Addresses of a name that are tried.
const MAX_ADDRESSES: usize = 8;
/// Fields that a server's answer may have.
const MAX_ANSWER_FIELDS: usize = 100;
/// Bytes that the head of a server's answer may have.
const MAX_ANSWER_HEAD: usize = 64 * 1024;
/// Bytes that a connection buffers, each way.
const MAX_BUFFER: usize = 128 * 1024;

/// A connection. Dropping it closes it at once, whatever is under way.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) sender: SendRequest<ProvenBody>,
    task: AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        // The task may be in the middle of sending a body that nobody waits for any more.
        self.task.abort();
    }
}

/// Connects before `by` to the first address that answers.
pub(super) async fn connect(place: &Place, by: Instant) -> io::Result<Connection> {
    let stream = open(place, by).await?;
    // A request is written in one piece; what comes later is a body's next
    // frame, which has nothing to wait for.
    stream.set_nodelay(true)?;
    let (sender, connection) = answers()
        .handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    let task = tokio::spawn(async move {
        // What goes wrong is told to whoever waits for an answer; while idle it concerns nobody.
        let _ = connection.await;
    });
    Ok(Connection {
        sender,
        task: task.abort_handle(),
    })
}

/// How answers are read, with every bound set.
pub(in crate::forward) fn answers() -> Builder {
    let mut builder = Builder::new();
    builder
        .max_headers(MAX_ANSWER_FIELDS)
        .max_buf_size(MAX_BUFFER)
        .max_header_size(MAX_ANSWER_HEAD);
    builder
}

/// Connects, for what is no HTTP for long.
pub(super) async fn open_raw(place: &Place, by: Instant) -> io::Result<Box<dyn Io>> {
    let stream = open(place, by).await?;
    stream.set_nodelay(true)?;
    Ok(Box::new(stream))
}

async fn open(place: &Place, by: Instant) -> io::Result<TcpStream> {
    let found = timeout_at(by, lookup_host((&*place.host, place.port))).await??;
    let addresses: Vec<_> = found.take(MAX_ADDRESSES).collect();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for (tried, address) in addresses.iter().enumerate() {
        // One that does not answer must leave time for the others.
        let now = Instant::now();
        let share = by.saturating_duration_since(now) / (addresses.len() - tried) as u32;
        match timeout_at(now + share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(elapsed) => last = elapsed.into(),
        }
    }
    Err(last)
}
