//! How an HTTP/1.1 connection ends, so that its client can read what it was told.

use super::http1::Connection;
use super::paced::Out;
use super::socket::Breaks;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// What a client still sends behind a refusal is read and thrown away, up to
/// here: a reset in its place would take the refusal from it. Many send all of
/// a body before they read a byte, and what is on its way is a lot on a fast line.
const LINGER_BYTES: usize = 64 * 1024 * 1024;
const LINGER_TIME: Duration = Duration::from_secs(2);
const LINGER_STEP: usize = 16 * 1024;

/// Says that nothing more comes, and lets a peer that is still sending read what we said.
pub(super) async fn part<S: AsyncRead + AsyncWrite + Breaks + Unpin>(connection: Connection<S>) {
    let _ = timeout(LINGER_TIME, hear_out(connection)).await;
}

async fn hear_out<S: AsyncRead + AsyncWrite + Breaks + Unpin>(connection: Connection<S>) {
    if connection.is_cut_short() {
        // Not the end that all of an answer has.
        return;
    }
    let unread = connection.has_unread();
    let mut stream = connection.into_stream();
    match stream.out() {
        Out::Failed => return,
        Out::Shut => {}
        Out::Open => {
            if stream.shutdown().await.is_err() {
                return;
            }
        }
    }
    if unread {
        let mut scratch = vec![0; LINGER_STEP];
        let mut left = LINGER_BYTES;
        while left > 0 {
            match stream.read(&mut scratch).await {
                Ok(read) if read > 0 => left = left.saturating_sub(read),
                _ => return,
            }
        }
    }
}
