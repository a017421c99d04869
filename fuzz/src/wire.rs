//! The reader of HTTP/1.1, against the HTTP library's. In: what a connection sends.

use http::HeaderMap;
use http_body_util::BodyExt;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use portcullis::server::http1::reader::{Reader, Step};
use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;
use tokio::io::AsyncWriteExt;
use tokio::runtime::{Builder, Runtime};

/// More than a head may have.
const MAX_HELD: usize = 64 * 1024;

/// What must hold of any bytes.
pub(super) fn check(bytes: &[u8]) {
    let whole = Followed::of(bytes, bytes.len());
    for step in [1, 7] {
        let stepped = Followed::of(bytes, step);
        assert_eq!(stepped.requests, whole.requests, "in steps of {step}");
        assert_eq!(stepped.end, whole.end, "in steps of {step}");
        // Of a body that is not whole, how far its framing was followed depends on how it arrived.
        if whole.is_good() && whole.requests.last().is_none_or(|last| last.is_whole) {
            assert_eq!(stepped.read, whole.read, "in steps of {step}");
        }
    }
    // What was read is read by the library as the same requests: where the
    // two differ, one of them reads what nobody checked.
    let read = bytes.get(..whole.read).expect("it is a part of it");
    let seen = requests_in(read);
    assert!(seen.len() <= whole.requests.len(), "{seen:?}");
    for (theirs, ours) in seen.iter().zip(&whole.requests) {
        assert_eq!(theirs.head(), ours.head());
        if theirs.is_whole && ours.is_whole {
            assert_eq!(theirs.body, ours.body);
        }
    }
}

/// One request, as somebody read it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Request {
    method: String,
    target: String,
    fields: HeaderMap,
    body: Vec<u8>,
    is_whole: bool,
}

impl Request {
    fn new(head: &http::request::Parts) -> Self {
        Self {
            method: head.method.to_string(),
            target: head.uri.to_string(),
            fields: head.headers.clone(),
            ..Self::default()
        }
    }

    fn head(&self) -> (&str, &str, &HeaderMap) {
        (&self.method, &self.target, &self.fields)
    }
}

/// What came of reading bytes that arrived so many at a time.
#[derive(Debug, Default)]
struct Followed {
    requests: Vec<Request>,
    /// Bytes in front of what is no request, or not the whole of a head.
    read: usize,
    end: Option<String>,
}

impl Followed {
    fn of(bytes: &[u8], step: usize) -> Self {
        let mut reader = Reader::default();
        let mut this = Self::default();
        let mut arrived = 0;
        for piece in bytes.chunks(step.max(1)) {
            reader.bring(piece);
            arrived += piece.len();
            while this.end.is_none() && this.take(&mut reader) {
                this.read = arrived - reader.held();
            }
            // What is held back is part of a head, and bounded.
            assert!(this.end.is_some() || reader.held() <= MAX_HELD);
        }
        if !this.is_good()
            && let Some(last) = this.requests.last_mut()
        {
            // How much of a bad body has gone through depends on how it arrived.
            last.body.clear();
        }
        this
    }

    /// Whether no body in it is bad.
    fn is_good(&self) -> bool {
        self.end.is_none() || self.requests.last().is_none_or(|last| last.is_whole)
    }

    /// Takes up what comes next; false when it is not there yet.
    fn take(&mut self, reader: &mut Reader) -> bool {
        if let Some(last) = self.requests.last_mut()
            && !last.is_whole
        {
            match reader.step() {
                Ok(Step::Data(data)) => last.body.extend(data),
                Ok(Step::End) => last.is_whole = true,
                Ok(Step::More) => return false,
                Err(why) => self.end = Some(why.to_owned()),
            }
            return self.end.is_none();
        }
        match reader.head() {
            Ok(Some(asked)) => self.requests.push(Request::new(&asked.parts)),
            Ok(None) => return false,
            Err(fault) => self.end = Some(format!("{fault:?}")),
        }
        self.end.is_none()
    }
}

/// The requests that the library finds.
fn requests_in(bytes: &[u8]) -> Vec<Request> {
    thread_local! {
        static RUNTIME: Runtime = Builder::new_current_thread().build().expect("a runtime");
    }
    let seen = Rc::new(RefCell::new(Vec::new()));
    let found = seen.clone();
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let (head, body) = request.into_parts();
        let mut one = Request::new(&head);
        let found = found.clone();
        async move {
            // Read on, so that the next request is reached.
            if let Ok(body) = body.collect().await {
                one.is_whole = true;
                one.body = body.to_bytes().to_vec();
            }
            found.borrow_mut().push(one);
            Ok::<_, Infallible>(hyper::Response::new(String::new()))
        }
    });
    RUNTIME.with(|runtime| {
        runtime.block_on(async {
            let (mut ours, theirs) = tokio::io::duplex(bytes.len().max(1) + (1 << 20));
            ours.write_all(bytes).await.expect("there is room");
            ours.shutdown().await.expect("it is memory");
            let _ = hyper::server::conn::http1::Builder::new()
                .half_close(true)
                .serve_connection(TokioIo::new(theirs), service)
                .await;
        });
    });
    seen.take()
}
