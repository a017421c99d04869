//! A backend that tells, byte for byte, what it got.

use super::DEADLINE;
use super::raw::find;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};

/// A running backend.
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    heard: Arc<Heard>,
}

#[derive(Debug, Default)]
struct Heard {
    requests: Mutex<Vec<Got>>,
    changed: Condvar,
    connections: AtomicUsize,
}

/// A request as it arrived.
#[derive(Clone, Debug, Default)]
pub struct Got {
    /// The head, with its empty line.
    pub head: String,
    /// The body, unframed, as far as it arrived.
    pub body: Vec<u8>,
    /// Whether all of the body arrived.
    pub complete: bool,
    /// Whether it has ended, completely or not.
    pub ended: bool,
    /// The number of the connection it came on, from 0.
    pub connection: usize,
}

/// The backend's end of a connection, while it answers.
#[derive(Debug)]
pub struct Wire<'w> {
    stream: &'w mut TcpStream,
    open: bool,
    /// A `HEAD` is answered without the body whose length is told.
    is_head: bool,
}

impl Upstream {
    /// Answers everything with `200` and `hello`.
    pub fn start() -> Self {
        Self::answering(|_, wire| wire.answer(200, &[], b"hello"))
    }

    /// As [`Upstream::start`], but each answer waits until it is allowed.
    pub fn held() -> (Sender<()>, Self) {
        Self::held_but("")
    }

    /// As [`Upstream::held`]; `at_once` alone is answered without.
    pub fn held_but(at_once: &'static str) -> (Sender<()>, Self) {
        let (allow, allowed) = channel::<()>();
        let allowed = Mutex::new(allowed);
        let upstream = Self::answering(move |got, wire| {
            if got.target() != at_once {
                let _ = allowed.lock().unwrap().recv();
            }
            wire.answer(200, &[], b"hello");
        });
        (allow, upstream)
    }

    /// As [`Upstream::start`], but the end of each body waits until it is allowed.
    pub fn in_two_parts() -> (Sender<()>, Self) {
        let (allow, allowed) = channel::<()>();
        let allowed = Mutex::new(allowed);
        let upstream = Self::answering(move |_, wire| {
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel");
            let _ = allowed.lock().unwrap().recv();
            wire.send(b"lo");
        });
        (allow, upstream)
    }

    /// As [`Upstream::start`], but what ends in `never` is never answered:
    /// it tells when the connection closes.
    pub fn silent_at(never: &'static str) -> (Receiver<()>, Self) {
        let (told, closed) = channel();
        let told = Mutex::new(told);
        let upstream = Self::answering(move |got, wire| {
            if got.target().ends_with(never) {
                wire.wait_for_close();
                told.lock().unwrap().send(()).unwrap();
            } else {
                wire.answer(200, &[], b"hello");
            }
        });
        (closed, upstream)
    }

    /// As [`Upstream::start`], but the answer to what ends in `target` never ends:
    /// it tells when the connection closes.
    pub fn endless_at(target: &'static str) -> (Receiver<()>, Self) {
        let (told, closed) = channel();
        let told = Mutex::new(told);
        let upstream = Self::answering(move |got, wire| {
            if got.target().ends_with(target) {
                wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n");
                while wire.send(&[b'x'; 16 * 1024]) {}
                wire.close();
                // Who does not wait for it may be gone.
                let _ = told.lock().unwrap().send(());
            } else {
                wire.answer(200, &[], b"hello");
            }
        });
        (closed, upstream)
    }

    /// Reads each request whole, then lets `answer` answer it.
    pub fn answering(answer: impl Fn(&Got, &mut Wire<'_>) + Send + Sync + 'static) -> Self {
        Self::serving(move |stream, heard, number| {
            let mut read = Vec::new();
            while let Some(got) = receive(stream, &mut read, heard, number) {
                let is_head = got.line().starts_with("HEAD ");
                let mut wire = Wire {
                    stream,
                    open: true,
                    is_head,
                };
                if !got.complete {
                    return;
                }
                answer(&got, &mut wire);
                if !wire.open {
                    return;
                }
            }
        })
    }

    /// Hands each connection over as it is, with its number.
    pub fn raw(serve: impl Fn(&mut TcpStream, usize) + Send + Sync + 'static) -> Self {
        Self::serving(move |stream, _, number| serve(stream, number))
    }

    fn serving(serve: impl Fn(&mut TcpStream, &Heard, usize) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::new(Heard::default());
        let (of_connections, serve) = (heard.clone(), Arc::new(serve));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                let number = of_connections.connections.fetch_add(1, Ordering::SeqCst);
                let (heard, serve) = (of_connections.clone(), serve.clone());
                std::thread::spawn(move || {
                    let _ = stream.set_nodelay(true);
                    serve(&mut stream, &heard, number);
                    let _ = stream.shutdown(Shutdown::Both);
                });
            }
        });
        Self { address, heard }
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections that were made to it.
    pub fn connections(&self) -> usize {
        self.heard.connections.load(Ordering::SeqCst)
    }

    /// Every request of which the head arrived.
    pub fn heard(&self) -> Vec<Got> {
        self.heard.requests.lock().unwrap().clone()
    }

    /// The `n`th request, from 0; waits until it has ended.
    pub fn got(&self, n: usize) -> Got {
        self.wait(&format!("request {n}"), |requests| {
            requests.get(n).filter(|got| got.ended).cloned()
        })
    }

    /// The one request that arrived.
    #[track_caller]
    pub fn only(&self) -> Got {
        let got = self.got(0);
        assert_eq!(self.heard().len(), 1, "one request was expected");
        got
    }

    /// Waits until a request's head has arrived.
    pub fn wait_for_head(&self, n: usize) -> Got {
        self.wait(&format!("the head of request {n}"), |requests| {
            requests.get(n).cloned()
        })
    }

    /// Waits until a request has so much of its body.
    pub fn wait_for_body(&self, n: usize, bytes: usize) -> Got {
        self.wait(
            &format!("{bytes} bytes of the body of request {n}"),
            |requests| {
                requests
                    .get(n)
                    .filter(|got| got.body.len() >= bytes || got.ended)
                    .cloned()
            },
        )
    }

    /// Fails if it heard of any request.
    #[track_caller]
    pub fn assert_silent(&self) {
        let heard = self.heard();
        assert!(heard.is_empty(), "the upstream heard: {heard:#?}");
    }

    fn wait<T>(&self, what: &str, find: impl Fn(&[Got]) -> Option<T>) -> T {
        let mut requests = self.heard.requests.lock().unwrap();
        loop {
            if let Some(found) = find(&requests) {
                return found;
            }
            let (next, waited) = self.heard.changed.wait_timeout(requests, DEADLINE).unwrap();
            requests = next;
            if waited.timed_out() {
                let heard = requests.clone();
                drop(requests);
                panic!("the upstream waited in vain for {what}; it heard: {heard:#?}");
            }
        }
    }
}

impl Got {
    /// The request line.
    pub fn line(&self) -> &str {
        self.head.split("\r\n").next().unwrap_or_default()
    }

    /// The target.
    pub fn target(&self) -> &str {
        self.line().split(' ').nth(1).unwrap_or_default()
    }

    /// The fields, as written, in order.
    pub fn fields(&self) -> Vec<(&str, &str)> {
        self.head
            .trim_end()
            .split("\r\n")
            .skip(1)
            .map(|line| {
                let (name, value) = line.split_once(':').expect("a field");
                (name, value.trim())
            })
            .collect()
    }

    /// Every value of a field.
    pub fn values(&self, name: &str) -> Vec<&str> {
        self.fields()
            .into_iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .collect()
    }

    /// The value of a field that is there once at most.
    #[track_caller]
    pub fn field(&self, name: &str) -> Option<&str> {
        let values = self.values(name);
        assert!(values.len() < 2, "`{name}` arrived twice: {values:?}");
        values.first().copied()
    }
}

impl Wire<'_> {
    /// Answers under a length.
    pub fn answer(&mut self, status: u16, fields: &[(&str, &str)], body: &[u8]) {
        let mut head = format!("HTTP/1.1 {status} Because\r\n");
        for (name, value) in fields {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        let _ = write!(head, "Content-Length: {}\r\n\r\n", body.len());
        self.send(head.as_bytes());
        if !self.is_head {
            self.send(body);
        }
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Ends the connection behind what was sent: the other end sees it as
    /// soon as this returns.
    pub fn close(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
        self.open = false;
    }

    /// Waits until the other end closes; what it sends meanwhile is lost.
    pub fn wait_for_close(&mut self) {
        let mut buffer = [0; 1024];
        while matches!(self.stream.read(&mut buffer), Ok(n) if n > 0) {}
        self.open = false;
    }
}

/// Reads one request; `None` when the connection ends before another head.
fn receive(
    stream: &mut TcpStream,
    read: &mut Vec<u8>,
    ears: &Heard,
    connection: usize,
) -> Option<Got> {
    let end = loop {
        if let Some(end) = find(read, b"\r\n\r\n") {
            break end + 4;
        }
        if !fill(stream, read) {
            return None;
        }
    };
    let head: Vec<u8> = read.drain(..end).collect();
    let mut got = Got {
        head: String::from_utf8(head).expect("a head of text"),
        connection,
        ..Got::default()
    };
    let place = {
        let mut requests = ears.requests.lock().unwrap();
        requests.push(got.clone());
        ears.changed.notify_all();
        requests.len() - 1
    };
    let tell = |got: &Got| {
        ears.requests.lock().unwrap()[place] = got.clone();
        ears.changed.notify_all();
    };
    let length = got.field("content-length").map(str::to_owned);
    if got.field("transfer-encoding") == Some("chunked") {
        got.complete = receive_chunks(stream, read, &mut got, &tell);
    } else {
        let length: usize = length.map_or(0, |length| length.parse().unwrap());
        while got.body.len() < length && (!read.is_empty() || fill(stream, read)) {
            let some = read.len().min(length - got.body.len());
            got.body.extend(read.drain(..some));
            tell(&got);
        }
        got.complete = got.body.len() == length;
    }
    got.ended = true;
    tell(&got);
    Some(got)
}

fn receive_chunks(
    stream: &mut TcpStream,
    read: &mut Vec<u8>,
    got: &mut Got,
    tell: &impl Fn(&Got),
) -> bool {
    loop {
        let end = loop {
            if let Some(end) = find(read, b"\r\n") {
                break end;
            }
            if !fill(stream, read) {
                return false;
            }
        };
        let line: Vec<u8> = read.drain(..end + 2).collect();
        let line = std::str::from_utf8(&line[..end]).unwrap();
        let size = usize::from_str_radix(line, 16).expect("a bare chunk size");
        while read.len() < size + 2 {
            if !fill(stream, read) {
                got.body.extend(read.drain(..).take(size));
                return false;
            }
        }
        got.body.extend(read.drain(..size));
        assert_eq!(read.drain(..2).collect::<Vec<_>>(), b"\r\n");
        tell(got);
        if size == 0 {
            return true;
        }
    }
}

fn fill(stream: &mut TcpStream, read: &mut Vec<u8>) -> bool {
    let mut buffer = [0; 16 * 1024];
    match stream.read(&mut buffer) {
        Ok(0) | Err(_) => false,
        Ok(some) => {
            read.extend_from_slice(&buffer[..some]);
            true
        }
    }
}
