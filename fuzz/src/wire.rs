//! The wire guard, against the HTTP library behind it. In: what a connection sends.

use http_body_util::BodyExt;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use portcullis::server::framing::{End, Framing};
use std::cell::Cell;
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
        assert_eq!(stepped.heads, whole.heads, "in steps of {step}");
        assert_eq!(stepped.end, whole.end, "in steps of {step}");
        // How much of a bad body has gone through depends on how it arrived.
        if !matches!(whole.end, Some(End::Body(_))) {
            assert_eq!(stepped.clear, whole.clear, "in steps of {step}");
        }
    }
    // What went through is read by the library as at most as many requests:
    // one more would be one that nobody checked.
    let clear = bytes.get(..whole.clear).expect("it is a part of it");
    let seen = requests_in(clear);
    assert!(seen <= whole.heads, "{seen} of {} heads", whole.heads);
}

/// What came of following bytes that arrived so many at a time.
struct Followed {
    clear: usize,
    heads: u64,
    end: Option<End>,
}

impl Followed {
    fn of(bytes: &[u8], step: usize) -> Self {
        let mut framing = Framing::new();
        let (mut clear, mut arrived) = (0, 0);
        let mut end = None;
        while arrived < bytes.len() && end.is_none() {
            arrived = (arrived + step).min(bytes.len());
            let verdict = framing.follow(&bytes[clear..arrived]);
            clear += verdict.clear;
            assert!(clear <= arrived);
            if framing.is_undecided() {
                // Nobody switches here: what came is followed again.
                framing.go_on();
                arrived = clear;
                continue;
            }
            // What is held back is part of a head, and bounded.
            assert!(arrived - clear <= MAX_HELD);
            end = verdict.end;
        }
        let _ = framing.awaits(&bytes[clear..arrived]);
        Self {
            clear,
            heads: framing.heads(),
            end,
        }
    }
}

/// How many requests the library finds.
fn requests_in(bytes: &[u8]) -> u64 {
    thread_local! {
        static RUNTIME: Runtime = Builder::new_current_thread().build().expect("a runtime");
    }
    let seen = Rc::new(Cell::new(0));
    let count = seen.clone();
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        count.set(count.get() + 1);
        async move {
            // Read on, so that the next request is reached.
            let _ = request.into_body().collect().await;
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
    seen.get()
}
