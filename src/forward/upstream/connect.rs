//! A new connection to a server.

use super::Place;
use crate::forward::http1::Connection;
use std::io;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout_at};

/// Addresses of a name that are tried.
const MAX_ADDRESSES: usize = 8;
/// Connects before `by` to the first address that answers.
pub(super) async fn connect(place: &Place, by: Instant) -> io::Result<Connection<TcpStream>> {
    let stream = open(place, by).await?;
    // A request is written in one piece; what comes later is a body's next
    // frame, which has nothing to wait for.
    stream.set_nodelay(true)?;
    Ok(Connection::new(stream))
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
