//! One connection: which protocol, every bound of it, and how it ends.

use super::admission::{Admission, Place};
use super::alarm::{Alarm, after};
use super::library::{http1, http2};
use super::line::Line;
use super::paced::{First, Out, PREFACE, Paced};
use super::socket::Stream;
use super::tls::{self, ALPN_HTTP_2};
use super::wire::Wire;
use super::{BoxError, Deadlines, Handler, Peer};
use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue};
use http::{Request, Response, Version};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// What a client still sends behind a refusal is read and thrown away, up to
/// here: a reset in its place would take the refusal from it.
const LINGER_BYTES: usize = 256 * 1024;
const LINGER_TIME: Duration = Duration::from_secs(1);
const LINGER_STEP: usize = 8 * 1024;

/// When we stop, a connection that has not brought a request yet has this
/// long to do so: what was accepted is answered.
const LAST_CALL: Duration = Duration::from_millis(100);

/// What the connections of one worker share.
pub(super) struct Worker<H> {
    handler: H,
    deadlines: Deadlines,
    tls: Option<TlsAcceptor>,
    admission: Arc<Admission>,
    closing: Closing,
    cut: AtomicUsize,
    http1: conn::http1::Builder,
    http2: conn::http2::Builder<TokioExecutor>,
}

/// Whether we are about to stop.
#[derive(Debug, Default)]
struct Closing {
    // Beside the token, whose state lies behind a lock, for a look at every turn.
    begun: AtomicBool,
    token: CancellationToken,
}

impl<H: Handler> Worker<H> {
    pub(super) fn new(
        handler: H,
        deadlines: Deadlines,
        tls: Option<TlsAcceptor>,
        admission: Arc<Admission>,
    ) -> Self {
        Self {
            handler,
            deadlines,
            tls,
            admission,
            closing: Closing::default(),
            cut: AtomicUsize::new(0),
            http1: http1(),
            http2: http2(),
        }
    }

    /// Asks every connection to end with the requests that are in flight.
    pub(super) fn close(&self) {
        self.closing.begun.store(true, Ordering::Relaxed);
        self.closing.token.cancel();
    }

    /// Requests that were cut off because they outlasted `deadlines.drain`.
    pub(super) fn cut(&self) -> usize {
        self.cut.load(Ordering::Relaxed)
    }

    /// Serves one connection, which keeps its place to its end.
    pub(super) async fn serve(&self, mut stream: Stream, from: Option<IpAddr>, mut place: Place) {
        stream.send_at_once();
        let mut peer = self.admission.peer(from);
        if self.admission.forwarders.proxy_protocol {
            // Few have it; the others do not pay for its buffer.
            let within = self.deadlines.head;
            let meet = self
                .admission
                .meet(&mut stream, &mut peer, &mut place, within);
            tokio::select! {
                biased;
                may_pass = Box::pin(meet) => if !may_pass { return },
                () = self.last_call() => return,
            }
        }
        match &self.tls {
            None => self.serve_clear(stream, peer).await,
            // The TLS state is large; a clear-text connection does not pay for it.
            Some(acceptor) => Box::pin(self.serve_tls(stream, peer, acceptor)).await,
        }
    }

    async fn serve_tls(&self, stream: Stream, mut peer: Peer, acceptor: &TlsAcceptor) {
        let handshake = timeout(self.deadlines.handshake, acceptor.accept(stream));
        let shaken = tokio::select! {
            biased;
            shaken = handshake => shaken,
            () = self.last_call() => return,
        };
        let Ok(Ok(stream)) = shaken else {
            return;
        };
        let http_2 = stream.get_ref().1.alpn_protocol() == Some(ALPN_HTTP_2);
        peer.tls = true;
        match tls::certificate_of(stream.get_ref().1) {
            Ok(certificate) => peer.certificate = certificate,
            Err(tls::Unreadable) => return,
        }
        if http_2 {
            self.serve_http2(stream, First::default(), peer).await;
        } else {
            self.serve_http1(stream, First::default(), None, peer).await;
        }
    }

    /// HTTP/2 without TLS is only for who knows that we speak it, and starts
    /// with the preface; `Upgrade: h2c` is a field like any other.
    pub(super) async fn serve_clear<S>(&self, mut stream: S, peer: Peer)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut first = First::default();
        let mut until = after(self.deadlines.idle);
        while !first.space().is_empty() && PREFACE.starts_with(first.bytes()) {
            let read = tokio::select! {
                biased;
                read = timeout_at(until, stream.read(first.space())) => read,
                () = self.last_call() => return,
            };
            match read {
                Ok(Ok(0) | Err(_)) => return,
                Err(_) if first.bytes().is_empty() => return,
                // Too late: the wire finds so too, and says it.
                Err(_) => break,
                Ok(Ok(read)) => {
                    if first.bytes().is_empty() {
                        until = after(self.deadlines.head);
                    }
                    first.extend(read);
                }
            }
        }
        if first.bytes() == PREFACE {
            Box::pin(self.serve_http2(stream, first, peer)).await;
        } else {
            self.serve_http1(stream, first, Some(until), peer).await;
        }
    }

    async fn serve_http1<S>(&self, stream: S, first: First, head_until: Option<Instant>, peer: Peer)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let line = Arc::new(Line::default());
        let paced = Paced::new(stream, first, line.clone(), self.deadlines.write);
        let wire = Wire::new(paced, self.deadlines, head_until);
        let desk = self.desk(peer, line.clone());
        let service = service_fn(move |request| Turn::new(&desk).answer(request));
        let mut connection = self.http1.serve_connection(TokioIo::new(wire), service);
        let whole = self
            .drive(Pin::new(&mut connection), &line, None, |connection| {
                connection.graceful_shutdown();
            })
            .await;
        if whole {
            let wire = connection.into_parts().io.into_inner();
            let _ = timeout(LINGER_TIME, part(wire)).await;
        }
    }

    async fn serve_http2<S>(&self, stream: S, first: First, peer: Peer)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let line = Arc::new(Line::default());
        let paced = Paced::new(stream, first, line.clone(), self.deadlines.write);
        let desk = self.desk(peer, line.clone());
        let service = service_fn(move |request| Turn::new(&desk).answer(request));
        let connection = pin!(self.http2.serve_connection(TokioIo::new(paced), service));
        self.drive(connection, &line, Some(self.deadlines.idle), |connection| {
            connection.graceful_shutdown();
        })
        .await;
    }

    fn desk(&self, peer: Peer, line: Arc<Line>) -> Arc<Desk<H>> {
        Arc::new(Desk {
            handler: self.handler.clone(),
            peer,
            line,
            admission: self.admission.clone(),
        })
    }

    /// Runs a connection until it ends, or has to; false when it was cut off.
    /// `idle` is how long it may be without a request, where nothing else sees to it.
    async fn drive<C: Future>(
        &self,
        mut connection: Pin<&mut C>,
        line: &Line,
        idle: Option<Duration>,
        end: impl Fn(Pin<&mut C>),
    ) -> bool {
        let mut closing = pin!(self.closing.token.cancelled());
        let mut watched = false;
        let mut quiet = None;
        let mut phase = Phase::Open;
        let mut alarm = Alarm::default();
        poll_fn(move |cx| {
            if self.closing.begun.load(Ordering::Relaxed) {
                line.note_last();
            }
            loop {
                if connection.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(true);
                }
                match phase {
                    Phase::Open => {
                        // Once, to be woken; then only when there is something to see.
                        if !watched || self.closing.begun.load(Ordering::Relaxed) {
                            watched = true;
                            if closing.as_mut().poll(cx).is_ready() {
                                phase = Phase::LastCall {
                                    until: after(LAST_CALL),
                                    cut_at: after(self.deadlines.drain),
                                };
                                continue;
                            }
                        }
                        let Some(idle) = idle.filter(|_| line.is_idle()) else {
                            return Poll::Pending;
                        };
                        let until = match quiet {
                            Some((requests, until)) if requests == line.requests() => until,
                            _ => {
                                let until = after(idle);
                                quiet = Some((line.requests(), until));
                                until
                            }
                        };
                        if !alarm.poll(cx, until) {
                            return Poll::Pending;
                        }
                        end(connection.as_mut());
                        phase = Phase::Ending {
                            cut_at: after(self.deadlines.write),
                        };
                    }
                    Phase::LastCall { until, cut_at } => {
                        if line.requests() == 0 && !alarm.poll(cx, until.min(cut_at)) {
                            return Poll::Pending;
                        }
                        end(connection.as_mut());
                        phase = Phase::Ending { cut_at };
                    }
                    Phase::Ending { cut_at } => {
                        if !alarm.poll(cx, cut_at) {
                            return Poll::Pending;
                        }
                        self.cut.fetch_add(line.unfinished(), Ordering::Relaxed);
                        return Poll::Ready(false);
                    }
                }
            }
        })
        .await
    }

    /// Ends when we stop, a moment later.
    async fn last_call(&self) {
        self.closing.token.cancelled().await;
        tokio::time::sleep(LAST_CALL.min(self.deadlines.drain)).await;
    }
}

/// Where a connection stands.
#[derive(Clone, Copy, Debug)]
enum Phase {
    Open,
    /// We stop; a first request may still come.
    LastCall {
        until: Instant,
        cut_at: Instant,
    },
    /// What is in flight is the last.
    Ending {
        cut_at: Instant,
    },
}

/// Where the requests of one connection are answered.
struct Desk<H> {
    handler: H,
    peer: Peer,
    line: Arc<Line>,
    admission: Arc<Admission>,
}

/// One request's turn, from its head to the end of its response.
struct Turn<H>(Arc<Desk<H>>);

impl<H: Handler> Turn<H> {
    fn new(desk: &Arc<Desk<H>>) -> Self {
        desk.line.take_off();
        Self(desk.clone())
    }

    async fn answer(
        self,
        request: Request<Incoming>,
    ) -> Result<Response<impl http_body::Body<Data = Bytes, Error = BoxError> + Send>, Infallible>
    {
        let Desk {
            handler,
            peer,
            line,
            admission,
        } = &*self.0;
        // HTTP/2 has a frame for it.
        let has_connection_field = request.version() != Version::HTTP_2;
        let fault = line.next_request();
        let told = (peer.is_trusted && fault.is_none())
            .then(|| admission.told_by(peer, request.headers()));
        let peer = told.as_ref().unwrap_or(peer);
        let mut response = match fault {
            None => handler.handle(peer, request).await,
            Some(fault) => handler.refuse(peer, fault),
        };
        if fault.is_some() || (line.is_last() && has_connection_field) {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        }
        // The body takes the turn with it, whatever becomes of the body.
        let hold = move |error| {
            let _turn = &self;
            error
        };
        Ok(response.map(|body| body.map_err(hold)))
    }
}

impl<H> Drop for Turn<H> {
    fn drop(&mut self) {
        self.0.line.land();
    }
}

/// Says that nothing more comes, and lets a peer that is still sending read what we said.
async fn part<S: AsyncRead + AsyncWrite + Unpin>(wire: Wire<S>) {
    let unread = wire.has_unread();
    let mut stream = wire.into_inner();
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
