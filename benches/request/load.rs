//! The load: 16 connections, each sending its next request once it has the whole answer.

use memchr::memmem;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

const CONNECTIONS: usize = 16;

pub(super) struct Load(Runtime);

impl Load {
    pub(super) fn new() -> Self {
        Self(
            tokio::runtime::Builder::new_current_thread()
                .enable_io()
                .build()
                .expect("a runtime"),
        )
    }

    /// Connections that are kept over all rounds.
    pub(super) fn connect(&self, address: SocketAddr) -> Vec<TcpStream> {
        self.0.block_on(async {
            let mut streams = Vec::new();
            for _ in 0..CONNECTIONS {
                let stream = TcpStream::connect(address).await.expect("a connection");
                stream.set_nodelay(true).expect("a socket option");
                streams.push(stream);
            }
            streams
        })
    }

    /// Sends every request and reads every answer, which must be 200.
    pub(super) fn send(&self, streams: &mut Vec<TcpStream>, requests: Vec<Vec<u8>>) {
        let share = requests.len().div_ceil(streams.len());
        let mut requests = requests.into_iter();
        self.0.block_on(async {
            let mut turns = JoinSet::new();
            for stream in streams.drain(..) {
                turns.spawn(converse(stream, requests.by_ref().take(share).collect()));
            }
            *streams = turns.join_all().await;
        });
    }
}

async fn converse(mut stream: TcpStream, requests: Vec<Vec<u8>>) -> TcpStream {
    let mut buffer = Vec::with_capacity(16 * 1024);
    for request in &requests {
        stream.write_all(request).await.expect("it takes a request");
        while !is_whole(&buffer) {
            let read = stream.read_buf(&mut buffer).await.expect("it answers");
            assert!(read > 0, "it hung up");
        }
        assert!(
            buffer.starts_with(b"HTTP/1.1 200"),
            "{}\n---\n{}",
            String::from_utf8_lossy(request),
            String::from_utf8_lossy(&buffer)
        );
        buffer.clear();
    }
    stream
}

fn is_whole(answer: &[u8]) -> bool {
    let Some(head) = memmem::find(answer, b"\r\n\r\n") else {
        return false;
    };
    let length = field(&answer[..head + 4], b"content-length:").map_or(0, number);
    answer.len() >= head + 4 + length
}

/// The value of a field, by its lower-case name with the colon.
pub(super) fn field<'h>(head: &'h [u8], name: &[u8]) -> Option<&'h [u8]> {
    head.split(|byte| *byte == b'\n').find_map(|line| {
        let (front, value) = line.split_at_checked(name.len())?;
        front.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
    })
}

pub(super) fn number(digits: &[u8]) -> usize {
    let text = std::str::from_utf8(digits).expect("digits");
    text.parse().expect("a number")
}
