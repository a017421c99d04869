//! The least that HTTP/1.1 asks of a caller.

use super::link::Stream;
use super::sign::Prepared;
use bytes::{Buf, BytesMut};
use memchr::memmem;
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const BUFFER: usize = 64 * 1024;

pub(crate) struct Http1 {
    stream: Box<dyn Stream>,
    buffer: BytesMut,
}

impl Http1 {
    pub(crate) fn new(stream: Box<dyn Stream>) -> Self {
        Self {
            stream,
            buffer: BytesMut::with_capacity(BUFFER),
        }
    }

    /// Sends a request and reads the answer to its end; gives its status.
    pub(crate) async fn exchange(&mut self, request: &Prepared) -> io::Result<u16> {
        if request.body.is_empty() {
            self.stream.write_all(&request.head).await?;
        } else {
            let mut both = Buf::chain(request.head.as_slice(), request.body.as_ref());
            self.stream.write_all_buf(&mut both).await?;
        }
        self.stream.flush().await?;
        let (status, mut rest) = loop {
            if let Some(end) = memmem::find(&self.buffer, b"\r\n\r\n") {
                let head = self.buffer.split_to(end + 4);
                let length = field(&head, b"content-length:").map_or(0, number);
                break (status(&head)?, length);
            }
            self.read().await?;
        };
        // What was read is let go at once: an answer may be large.
        loop {
            let part = rest.min(self.buffer.len());
            self.buffer.advance(part);
            rest -= part;
            if rest == 0 {
                return Ok(status);
            }
            self.read().await?;
        }
    }

    async fn read(&mut self) -> io::Result<()> {
        self.buffer.reserve(BUFFER / 4);
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}

fn status(head: &[u8]) -> io::Result<u16> {
    let digits = head.get(9..12).and_then(|word| str::from_utf8(word).ok());
    digits
        .and_then(|word| word.parse().ok())
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// The value of a field, by its lower-case name with the colon.
pub(crate) fn field<'h>(head: &'h [u8], name: &[u8]) -> Option<&'h [u8]> {
    head.split(|byte| *byte == b'\n').find_map(|line| {
        let (front, value) = line.split_at_checked(name.len())?;
        front.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
    })
}

pub(crate) fn number(digits: &[u8]) -> usize {
    let text = str::from_utf8(digits).expect("digits");
    text.parse().expect("a number")
}
