//! The least that a `WebSocket` asks of a caller (RFC 6455): the opening handshake, and
//! messages that the origin gives back as they came.

use super::sign::Prepared;
use memchr::memmem;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const FIELDS: &[u8] = b"connection: Upgrade\r\nupgrade: websocket\r\n\
    sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
/// Five bytes, masked.
pub(crate) const MESSAGE: &[u8] = b"\x82\x85mask\x05\x04\x1f\x07\x02";
pub(crate) const CLOSE: &[u8] = b"\x88\x80mask";

/// Asks for the switch of protocols as `request`, over HTTP/1.1, and waits for it.
pub(crate) async fn open(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    request: &Prepared,
) -> io::Result<()> {
    let fields = request.head.strip_suffix(b"\r\n").expect("a head");
    stream.write_all(&[fields, FIELDS].concat()).await?;
    stream.flush().await?;
    let mut answer = Vec::new();
    while memmem::find(&answer, b"\r\n\r\n").is_none() {
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    if answer.starts_with(b"HTTP/1.1 101 ") {
        Ok(())
    } else {
        let answer = String::from_utf8_lossy(&answer);
        Err(io::Error::other(answer.into_owned()))
    }
}

/// Sends a message, and takes it back.
pub(crate) async fn exchange(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    message: &[u8],
) -> io::Result<()> {
    stream.write_all(message).await?;
    stream.flush().await?;
    let mut back = vec![0; message.len()];
    stream.read_exact(&mut back).await?;
    if back == message {
        Ok(())
    } else {
        Err(io::Error::other("another message came back"))
    }
}
