//! One connection: which protocol, every bound of it, and how it ends.

use super::admission::{Admission, Place};
use super::client_auth::Shown;
use super::drain::{Asking, Closing, LAST_CALL, Phase, Silence, Word};
use super::frames::Frames;
use super::http1;
use super::http2::{self, Http2, is_of_a_flood};
use super::line::Line;
use super::paced::{First, PREFACE, Paced};
use super::parting::part;
use super::socket::{Breaks, Stream};
use super::tls::{ALPN_HTTP_2, Acceptor, Shaken};
use super::turn::Desk;
use super::{Deadlines, Handler, Peer};
use crate::clock::alarm::{Alarm, Rounds, after};
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::time::{Instant, timeout, timeout_at};

/// How often we look whether an HTTP/1 client that waits for an answer is still
/// there, and whether one that asks for nothing needs its memory.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// A connection that speaks HTTP, to its end. It is made in its box, and not
/// in the task that waits for it: a future keeps a place for everything that
/// was ever moved through it.
type Served<'w> = Pin<Box<dyn Future<Output = ()> + Send + 'w>>;

/// What the connections of one worker share.
pub(super) struct Worker<H> {
    handler: H,
    deadlines: Deadlines,
    tls: Option<Acceptor>,
    admission: Arc<Admission>,
    closing: Closing,
    cut: AtomicUsize,
    tunnels_cut: AtomicUsize,
    http2: h2::server::Builder,
}

impl<H: Handler> Worker<H> {
    pub(super) fn new(
        handler: H,
        deadlines: Deadlines,
        tls: Option<Acceptor>,
        admission: Arc<Admission>,
    ) -> Self {
        Self {
            handler,
            deadlines,
            tls,
            admission,
            closing: Closing::default(),
            cut: AtomicUsize::new(0),
            tunnels_cut: AtomicUsize::new(0),
            http2: http2::builder(),
        }
    }

    /// Asks every connection to end with the requests that are in flight.
    pub(super) fn close(&self) {
        self.handler.note_stop();
        self.closing.close();
    }

    /// How far it is on its way to the end.
    pub(super) const fn closing(&self) -> &Closing {
        &self.closing
    }

    /// Requests that were cut off because they outlasted `deadlines.drain`.
    pub(super) fn cut(&self) -> usize {
        self.cut.load(Ordering::Relaxed)
    }

    /// Tunnels that were closed because they outlasted `deadlines.drain`.
    pub(super) fn tunnels_cut(&self) -> usize {
        self.tunnels_cut.load(Ordering::Relaxed)
    }

    /// Serves one connection, which keeps its place to its end.
    pub(super) async fn serve(
        &self,
        mut stream: Stream,
        from: Option<IpAddr>,
        mut place: Place,
        asking: Asking,
    ) {
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
            None => self.serve_clear(stream, peer, asking).await,
            Some(acceptor) => self.serve_tls(stream, peer, acceptor, asking).await,
        }
    }

    async fn serve_tls(&self, stream: Stream, peer: Peer, acceptor: &Acceptor, asking: Asking) {
        let handshake = timeout(self.deadlines.handshake, acceptor.accept(stream));
        let served = tokio::select! {
            biased;
            // Large, and over soon.
            shaken = Box::pin(handshake) => match shaken.unwrap_or_else(|over| Err(over.into())) {
                Ok(shaken) => self.serve_shaken(shaken, peer, asking),
                Err(why) => return self.admission.counts.unshaken(peer.address, &why),
            },
            () = self.last_call() => return,
        };
        if let Some(served) = served {
            served.await;
        }
    }

    fn serve_shaken(&self, shaken: Shaken, mut peer: Peer, asking: Asking) -> Option<Served<'_>> {
        let http_2 = shaken.stream.get_ref().1.alpn_protocol() == Some(ALPN_HTTP_2);
        let noted = |why: &io::Error| self.admission.counts.unshaken(peer.address, why);
        let shown = shaken.shown().inspect_err(noted).ok()?;
        peer.tls = true;
        peer.certificate = shown.as_deref().and_then(Shown::certificate);
        peer.leaves_at = shown.as_deref().and_then(Shown::leaves_at);
        let desk = self.desk(peer, shown);
        Some(if http_2 {
            self.serve_http2(shaken.stream, First::default(), desk, asking)
        } else {
            self.serve_http1(shaken.stream, First::default(), None, desk, asking)
        })
    }

    /// HTTP/2 without TLS is only for who knows that we speak it, and starts
    /// with the preface; `Upgrade: h2c` is a field like any other.
    pub(super) async fn serve_clear<S>(&self, mut stream: S, peer: Peer, asking: Asking)
    where
        S: AsyncRead + AsyncWrite + Breaks + Unpin + Send + 'static,
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
        let served = if first.bytes() == PREFACE {
            self.serve_http2(stream, first, self.desk(peer, None), asking)
        } else {
            self.serve_http1(stream, first, Some(until), self.desk(peer, None), asking)
        };
        served.await;
    }

    fn serve_http1<S>(
        &self,
        stream: S,
        first: First,
        head_until: Option<Instant>,
        desk: Desk<H>,
        asking: Asking,
    ) -> Served<'_>
    where
        S: AsyncRead + AsyncWrite + Breaks + Unpin + Send + 'static,
    {
        let line = desk.line.clone();
        let paced = self.paced(stream, First::default(), &line);
        let mut connection =
            http1::Connection::new(paced, first.bytes(), &self.deadlines, head_until);
        Box::pin(async move {
            let tunnel = {
                let serving = pin!(connection.serve(&desk));
                let end = |_: Pin<&mut _>| line.note_ending();
                self.drive(serving, &line, None, asking, end).await
            };
            match tunnel {
                None => {}
                Some(None) => Box::pin(part(connection, self.drained())).await,
                Some(Some(tunnel)) => {
                    let tunnel = tunnel.run(connection, self.drained());
                    if Box::pin(tunnel).await.is_err() {
                        self.tunnels_cut.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        })
    }

    /// Ends when we stop and nothing in flight is waited for any more.
    async fn drained(&self) {
        self.closing.refusing_for(self.deadlines.drain).await;
    }

    fn serve_http2<S>(&self, stream: S, first: First, desk: Desk<H>, asking: Asking) -> Served<'_>
    where
        S: AsyncRead + AsyncWrite + Breaks + Unpin + Send + 'static,
    {
        let line = desk.line.clone();
        let paced = self.paced(stream, first, &line);
        let frames = Frames::new(paced, self.deadlines.head);
        let mut connection = Http2::new(self.http2.handshake(frames), desk);
        let idle = Some(self.deadlines.idle);
        Box::pin(async move {
            let pinned = Pin::new(&mut connection);
            let leave = |connection: Pin<&mut Http2<_, _>>| connection.get_mut().leave();
            let ended = self.drive(pinned, &line, idle, asking, leave);
            if let Some(Err(why)) = ended.await
                && is_of_a_flood(&why)
            {
                line.note_flooded();
            }
        })
    }

    fn paced<S>(&self, stream: S, first: First, line: &Arc<Line>) -> Paced<S> {
        let Deadlines { write, pace, .. } = self.deadlines;
        Paced::new(stream, first, line.clone(), write, pace)
    }

    fn desk(&self, peer: Peer, shown: Option<Box<Shown>>) -> Desk<H> {
        Desk {
            handler: self.handler.clone(),
            shown,
            deadlines: self.deadlines,
            line: Arc::new(Line::of(peer.address, self.admission.counts.clone())),
            peer,
            admission: self.admission.clone(),
        }
    }

    /// Runs a connection until it ends, or has to; `None` when it was cut off.
    /// `idle` is how long it may be without a request, where nothing else sees
    /// to it: on HTTP/2, whose goodbye loses no request that is on its way.
    async fn drive<C: Future>(
        &self,
        mut connection: Pin<&mut C>,
        line: &Line,
        idle: Option<Duration>,
        asking: Asking,
        end: impl Fn(Pin<&mut C>),
    ) -> Option<C::Output> {
        let mut asking = Some(asking);
        let mut signal = pin!(self.closing.goodbye());
        let mut watched = false;
        let (mut quiet, mut silent) = (None, None);
        let mut phase = Phase::Open;
        let mut alarm = Alarm::default();
        let mut rounds = Rounds::default();
        poll_fn(move |cx| {
            if self.closing.has_begun() {
                line.note_last();
            }
            loop {
                if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                    return Poll::Ready(Some(ended));
                }
                let wanted = !line.is_idle() || line.is_holding();
                if idle.is_none() && rounds.poll(cx, LOOK_EVERY, wanted) {
                    line.ask_to_look();
                    continue;
                }
                match phase {
                    Phase::Open => {
                        line.watch(cx);
                        // Once, to be woken; then only when there is something to see.
                        if !watched || self.closing.has_begun() {
                            watched = true;
                            if signal.as_mut().poll(cx).is_ready() {
                                signal.set(self.closing.refusing());
                                phase = Phase::Goodbye { said: false };
                                continue;
                            }
                        }
                        // Without a goodbye only a certificate makes it the last.
                        let Some(idle) = idle.filter(|_| line.is_idle() || line.is_last()) else {
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
                        if !line.is_last() && !alarm.poll(cx, until) {
                            return Poll::Pending;
                        }
                        end(connection.as_mut());
                        line.note_goodbye();
                        drop(asking.take());
                        // A request that crosses our goodbye has its own deadlines, until we stop.
                        signal.set(self.closing.refusing());
                        phase = Phase::Ending {
                            cut_at: None,
                            word: Word::of(self.deadlines.write),
                        };
                    }
                    Phase::Goodbye { said } => {
                        if signal.as_mut().poll(cx).is_ready() {
                            phase = Phase::LastCall {
                                until: after(LAST_CALL),
                                cut_at: after(self.deadlines.drain),
                            };
                        } else if said || idle.is_none() || line.requests() == 0 {
                            return Poll::Pending;
                        } else {
                            end(connection.as_mut());
                            phase = Phase::Goodbye { said: true };
                        }
                    }
                    Phase::LastCall { until, cut_at } => {
                        if line.requests() == 0 && !alarm.poll(cx, until.min(cut_at)) {
                            return Poll::Pending;
                        }
                        end(connection.as_mut());
                        drop(asking.take());
                        phase = Phase::Ending {
                            cut_at: Some(cut_at),
                            word: Word::LAST,
                        };
                    }
                    Phase::Ending { cut_at, word } => {
                        if cut_at.is_none() && signal.as_mut().poll(cx).is_ready() {
                            silent = None;
                            phase = Phase::Ending {
                                cut_at: Some(after(self.deadlines.drain)),
                                word: Word::LAST,
                            };
                            continue;
                        }
                        // A client that says nothing to our goodbye is not waited for.
                        let heard_by = if line.unfinished() == 0 {
                            let said = line.said();
                            let silence = silent.get_or_insert_with(|| Silence::begin(said));
                            Some(silence.until(word, said))
                        } else {
                            silent = None;
                            None
                        };
                        let Some(until) = heard_by.into_iter().chain(cut_at).min() else {
                            return Poll::Pending;
                        };
                        if !alarm.poll(cx, until) {
                            return Poll::Pending;
                        }
                        let unfinished = line.unfinished();
                        if unfinished > 0 {
                            self.cut.fetch_add(unfinished, Ordering::Relaxed);
                            self.handler.note_cut();
                        }
                        return Poll::Ready(None);
                    }
                }
            }
        })
        .await
    }

    /// Ends a moment after we stop, however often it is asked for: also for a client that drips.
    async fn last_call(&self) {
        let moment = LAST_CALL.min(self.deadlines.drain);
        self.closing.refusing_for(moment).await;
    }
}
