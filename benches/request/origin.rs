//! The origin: reads a request, answers 1 KB. As little as can be, since it shares its core with the load.

use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const BODY: usize = 1_000;

pub(super) fn run() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        println!("{}", listener.local_addr().expect("an address"));
        let mut answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {BODY}\r\n\r\n"
        )
        .into_bytes();
        answer.resize(answer.len() + BODY, b'x');
        let answer: &'static [u8] = answer.leak();
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, answer));
        }
    });
}

async fn serve(mut stream: TcpStream, answer: &'static [u8]) {
    let _ = stream.set_nodelay(true);
    let mut buffer = Vec::with_capacity(16 * 1024);
    loop {
        let end = loop {
            if let Some(end) = request_end(&buffer) {
                break end;
            }
            match stream.read_buf(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        };
        buffer.drain(..end);
        if stream.write_all(answer).await.is_err() {
            return;
        }
    }
}

/// Where the first request ends, once it is whole.
fn request_end(buffer: &[u8]) -> Option<usize> {
    let head = memmem::find(buffer, b"\r\n\r\n")? + 4;
    let fields = &buffer[..head];
    if crate::load::field(fields, b"transfer-encoding:").is_some() {
        return memmem::find(&buffer[head..], b"0\r\n\r\n").map(|at| head + at + 5);
    }
    let length = crate::load::field(fields, b"content-length:").map_or(0, crate::load::number);
    (buffer.len() >= head + length).then_some(head + length)
}
