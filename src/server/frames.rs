//! The guard between a socket and the HTTP/2 library: it follows the frames
//! that come in, by their heads, and those about windows whole; it ends a connection whose client
//! floods us with what is cheap to send and is no request.
//!
//! What the library bounds by itself is left to it: the size of frames and
//! heads, CONTINUATION, small DATA that does not end a body and that nobody has read, and streams
//! that are reset before we look at them. In front of a connection that has to end a
//! stand-in goes through, which the library answers with GOAWAY
//! (`ENHANCE_YOUR_CALM`): the client learns why, and no byte of it comes behind.

use super::heads::Heads;
use super::http2::H2_CONNECTION_WINDOW;
use super::line::Line;
use super::paced::{First, Out, PREFACE, Paced};
use super::parting::{LINGER_TIME, Linger, Quiet};
use super::socket::Breaks;
use super::windows::Listening;
use crate::framing::{self, DATA, HEAD, Head, Part, Walk};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// Frames besides bytes of bodies that a client may send in a while, above what
/// requests and the responses it takes explain. Ends of bodies are among them: of those that come
/// for a stream that was reset the library counts none.
const FRAMES: u64 = 4_000;
const FRAMES_IN: Duration = Duration::from_secs(1);
/// What explains one frame each: these many for each request, such as its
/// head, a priority, a window, the end of its body and a reset…
const FRAMES_PER_REQUEST: u64 = 5;
/// …one for so many bytes of responses: windows are opened as they go…
const BYTES_PER_FRAME: u64 = 512;
/// …and these many for each piece of a response: clients of gRPC answer one, be it a few bytes, with a
/// window and a ping, to learn how much their way to us holds; others with two windows.
const FRAMES_PER_PIECE: u64 = 2;

/// Frames of bodies of fewer than so many bytes the library counts until they are read, and ends a
/// connection over too many.
const SMALL: usize = 256;
/// So many of them, and such as end no body, go through at a time: then those who read the bodies have their turn.
/// Else the library would take in all that has come first, and count what nobody has had the time to read.
const SMALL_AT_ONCE: usize = 50;
/// Bytes that are read at a time while there are mostly such: of what is read at once all goes through.
const SIP: usize = 1024;

/// Bytes that are taken of a client behind the end of its connection: more than the windows that
/// it was given let it send unasked.
const LINGER_BYTES: usize = H2_CONNECTION_WINDOW as usize + 1024 * 1024;

/// The start of a head that never ends: more CONTINUATION than the library takes.
const STAND_IN: &[u8] = &stand_in();
const CONTINUATIONS: usize = 15;

const fn stand_in() -> [u8; HEAD * (CONTINUATIONS + 1)] {
    const HEADERS: u8 = 0x1;
    const CONTINUATION: u8 = 0x9;
    let mut bytes = [0; HEAD * (CONTINUATIONS + 1)];
    let mut at = 0;
    while at < bytes.len() {
        bytes[at + 3] = if at == 0 { HEADERS } else { CONTINUATION };
        // Of stream 1: a client's.
        bytes[at + 8] = 1;
        at += HEAD;
    }
    bytes
}

/// A clear-text or TLS stream, guarded.
#[derive(Debug)]
pub(super) struct Frames<S> {
    stream: Paced<S>,
    walk: Walk,
    listening: Listening,
    heads: Heads,
    /// What of the stand-in goes through next, once the connection has to end.
    ending: Option<&'static [u8]>,
    /// Behind the end of what we send.
    linger: Option<Box<Linger>>,
    /// Frames that have to be explained.
    frames: u64,
    /// Frames of bodies that brought nothing, not even the end.
    empty: usize,
    /// Bytes that were sent.
    sent: u64,
    from: Mark,
    /// Small frames of bodies that went through at a time.
    small: usize,
    /// Whether what came last was mostly such.
    sips: bool,
}

/// Where we counted last.
#[derive(Clone, Copy, Debug)]
struct Mark {
    at: Instant,
    sent: u64,
    requests: u64,
    pieces: u64,
}

impl<S> Frames<S> {
    /// Guards `stream`, of which nothing was read besides its first bytes. Each head may take `head`.
    pub(super) fn new(stream: Paced<S>, head: Duration) -> Self {
        Self {
            stream,
            walk: Walk::behind(PREFACE.len()),
            listening: Listening::default(),
            heads: Heads::new(head),
            ending: None,
            linger: None,
            frames: 0,
            empty: 0,
            sent: 0,
            from: Mark {
                at: Instant::now(),
                sent: 0,
                requests: 0,
                pieces: 0,
            },
            small: 0,
            sips: false,
        }
    }

    fn line(&self) -> &Line {
        self.stream.line()
    }

    /// Follows `bytes`; how many of them may go through.
    fn follow(&mut self, bytes: &[u8]) -> usize {
        let mut rest = bytes;
        while !self.has_to_end()
            && let Some(part) = self.walk.next(&mut rest)
        {
            match part {
                Part::Head(head) => self.begin(head),
                Part::Payload(payload) => {
                    self.listening.hear(payload, self.stream.line().windows());
                }
            }
        }
        bytes.len() - rest.len()
    }

    /// Whether nothing may go through from here on.
    fn has_to_end(&self) -> bool {
        self.walk.is_between_frames() && self.line().is_flooded()
    }

    fn begin(&mut self, head: Head) {
        let Head {
            length,
            kind,
            flags,
            stream,
        } = head;
        if head.is_empty_data() {
            self.empty += 1;
            // A client that sends one now and then is to come with another connection before that.
            if framing::wears_out(self.empty, self.line().unfinished()) {
                self.line().note_lost();
            }
        }
        self.listening.begin(kind, stream == 0);
        self.heads.begin(kind, flags, stream);
        let is_end = head.ends();
        self.small += usize::from(kind == DATA && length < SMALL && !is_end);
        if kind != DATA || length == 0 || is_end {
            self.frames += 1;
            if self.frames >= FRAMES {
                self.count();
            }
        }
    }

    /// A head does not come to its end in time. Within a frame nothing can be said in front of it.
    fn end_late(&mut self) -> io::Result<()> {
        self.heads.settle(self.walk.payload(), self.stream.line());
        self.line().note_ended();
        if !self.walk.is_between_frames() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.ending = Some(STAND_IN);
        Ok(())
    }

    /// Looks at a clock once in [`FRAMES`] frames that nothing explains.
    fn count(&mut self) {
        let (requests, pieces) = (self.line().requests(), self.line().windows().pieces());
        let explained = (requests - self.from.requests) * FRAMES_PER_REQUEST
            + (pieces - self.from.pieces) * FRAMES_PER_PIECE
            + (self.sent - self.from.sent) / BYTES_PER_FRAME;
        self.frames = self.frames.saturating_sub(explained);
        let now = Instant::now();
        // Where some are explained, the others are still of the same while.
        let is_over = now - self.from.at >= FRAMES_IN;
        self.from = Mark {
            at: if is_over { now } else { self.from.at },
            sent: self.sent,
            requests,
            pieces,
        };
        if is_over {
            self.frames = 0;
        } else if self.frames >= FRAMES {
            self.line().note_flooded();
        }
    }
}

/// What the guard made of a client's bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct Heard {
    /// So many go through.
    pub through: usize,
    /// It floods us.
    pub is_flooded: bool,
    /// Bytes that it takes unasked on a stream, and bytes that it said it takes on all.
    pub windows: (u64, u64),
    /// Requests that have begun.
    pub heads: u64,
    /// A head is not whole.
    pub is_within_head: bool,
}

/// For fuzzing: what the guard makes of `bytes`, none of which is explained, `step` at a time.
pub fn heard(bytes: &[u8], step: usize) -> Heard {
    const LONG: Duration = Duration::from_hours(1);
    let pace = super::Pace {
        rate: None,
        grace: LONG,
    };
    let stream = Paced::new((), First::default(), Arc::default(), LONG, pace);
    let mut frames = Frames::new(stream, LONG);
    let mut through = 0;
    for piece in bytes.chunks(step.max(1)) {
        let clear = frames.follow(piece);
        through += clear;
        if clear < piece.len() {
            break;
        }
    }
    Heard {
        through,
        is_flooded: frames.line().is_flooded(),
        windows: frames.line().windows().told(),
        heads: frames.heads.begun(),
        is_within_head: frames.heads.is_open(frames.walk.payload()),
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Frames<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.ending.is_none() && this.has_to_end() {
                this.ending = Some(STAND_IN);
            }
            if let Some(rest) = &mut this.ending {
                let (here, more) = rest.split_at(rest.len().min(buf.remaining()));
                buf.put_slice(here);
                *rest = more;
                return Poll::Ready(Ok(()));
            }
            if this.small >= SMALL_AT_ONCE {
                // Nothing is waited for: more may be there.
                this.small = 0;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let (before, small) = (buf.filled().len(), this.small);
            let polled = if this.sips {
                poll_sip(Pin::new(&mut this.stream), cx, buf)
            } else {
                Pin::new(&mut this.stream).poll_read(cx, buf)
            };
            let Poll::Ready(read) = polled else {
                this.small = 0;
                if !this.heads.wait(cx, this.walk.payload()) {
                    return Poll::Pending;
                }
                this.end_late()?;
                continue;
            };
            this.heads.settle(this.walk.payload(), this.stream.line());
            // Who leaves TLS without a word has gone, too.
            read.inspect_err(|_| this.line().note_gone())?;
            let new = buf.filled().get(before..).unwrap_or_default();
            let (all, clear) = (new.len(), this.follow(new));
            this.sips = (this.small - small) * SMALL > all;
            buf.set_filled(before + clear);
            if all > 0 {
                this.line().note_heard();
            } else {
                this.line().note_gone();
            }
            if all == 0 || clear > 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

/// Reads no more than a few frames.
fn poll_sip<S: AsyncRead>(
    stream: Pin<&mut S>,
    cx: &mut Context<'_>,
    buf: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    let most = buf.remaining().min(SIP);
    let mut sip = ReadBuf::new(buf.initialize_unfilled_to(most));
    let polled = stream.poll_read(cx, &mut sip);
    let read = sip.filled().len();
    buf.advance(read);
    polled
}

impl<S: AsyncRead + AsyncWrite + Breaks + Unpin> AsyncWrite for Frames<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, buf))?;
        self.sent += written as u64;
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, bufs))?;
        self.sent += written as u64;
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// The library ends a connection by this, and waits for it. Its client may still be taking its
    /// last answer, and send windows as it does: it is heard out.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // Behind what came last, and not since nothing comes: that is what it is ended for.
        if !this.heads.is_waiting() {
            this.line().note_ended();
        }
        match this.stream.out() {
            Out::Open => ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?,
            Out::Shut => {}
            Out::Failed => return Poll::Ready(Ok(())),
        }
        // Who floods us has lost nothing.
        if this.line().is_flooded() {
            return Poll::Ready(Ok(()));
        }
        let new = || {
            Box::new(Linger::new(
                LINGER_BYTES,
                Quiet::TALKING,
                Instant::now() + LINGER_TIME,
            ))
        };
        let linger = this.linger.get_or_insert_with(new);
        let before = linger.left();
        let polled = linger.poll(cx, &mut this.stream);
        if linger.left() < before {
            this.line().note_heard();
        }
        polled.map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::super::line::is_ended_by_us;
    use super::super::patience::Pace;
    use super::*;
    use std::future::poll_fn;
    use std::pin::pin;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Join, Sink, duplex, join, sink};

    const HEAD_TIME: Duration = Duration::from_secs(8);

    /// Sends a frame again and again behind the preface, as much of it as there is room for.
    struct Endless {
        frame: Vec<u8>,
        sent: usize,
    }

    impl AsyncRead for Endless {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            while buf.remaining() > 0 {
                let frames = self.sent.checked_sub(PREFACE.len());
                let byte = frames.map_or(0, |at| self.frame[at % self.frame.len()]);
                buf.put_slice(&[byte]);
                self.sent += 1;
            }
            Poll::Ready(Ok(()))
        }
    }

    fn guarded(frame: &[u8]) -> Frames<Join<Endless, Sink>> {
        let client = Endless {
            frame: frame.to_vec(),
            sent: 0,
        };
        guarding(join(client, sink()), &Arc::default())
    }

    fn guarding<S>(stream: S, line: &Arc<Line>) -> Frames<S> {
        let long = Duration::from_hours(1);
        let pace = Pace {
            rate: None,
            grace: long,
        };
        let first = First::default();
        Frames::new(
            Paced::new(stream, first, line.clone(), long, pace),
            HEAD_TIME,
        )
    }

    /// How much of a flood of this goes through, read so many bytes at a time.
    async fn let_through(frame: &[u8], step: usize) -> usize {
        let mut frames = guarded(frame);
        let (mut through, mut buf) = (0, vec![0; step]);
        while through < 10 * FRAMES as usize * frame.len() {
            match frames.read(&mut buf).await.unwrap() {
                0 => break,
                read => through += read,
            }
        }
        through
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_pings_now_and_then_is_never_taken_for_a_flood() {
        let frame = [&[0, 0, 8, 6, 0, 0, 0, 0, 0], &[0; 8][..]].concat();
        // What is sent explains a part of the frames, more or less of them.
        for sent in [0, 17, 131, 1_000] {
            for pause in [1, 200] {
                let mut frames = guarded(&frame);
                frames.read_exact(&mut [0; PREFACE.len()]).await.unwrap();
                let answer = vec![0; sent];
                for _ in 0..5 * FRAMES {
                    frames.read_exact(&mut [0; 17]).await.unwrap();
                    frames.write_all(&answer).await.unwrap();
                    tokio::time::advance(Duration::from_millis(pause)).await;
                }
                assert!(!frames.line().is_flooded(), "{sent} bytes, {pause} ms");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_ends_wherever_its_frames_and_our_reads_begin_and_end() {
        // Of other kinds, ends of bodies, padded too, and what brings nothing.
        let others = [0_u8, 1, 4, 5, 8, 23].map(|payload| (2, 0, payload));
        let of_bodies = [(DATA, 1, 0), (DATA, 1, 8), (DATA, 9, 6), (DATA, 0, 0)];
        for (kind, flags, payload) in others.into_iter().chain(of_bodies) {
            let frame = [
                &[0, 0, payload, kind, flags, 0, 0, 0, 3],
                &*vec![0; payload.into()],
            ]
            .concat();
            let whole = frame.len();
            // Steps of whole frames find the flood at the same place of one, again and again.
            for step in [7, whole, whole + 1, 3 * whole, 585 * whole, 16 * 1024] {
                let through = let_through(&frame, step).await;
                let flood = PREFACE.len() + FRAMES as usize * whole + STAND_IN.len();
                assert_eq!(through, flood, "{kind} {flags} {payload}, by {step}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_answers_each_piece_of_a_response_with_a_window_and_a_ping_is_no_flood() {
        let window = [0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0, 20];
        let ping: Vec<u8> = [&[0, 0, 8, 6, 0, 0, 0, 0, 0], &[0; 8][..]].concat();
        for (pings, is_flood) in [(1, false), (2, true)] {
            let frame = [&window[..], &*ping.repeat(pings)].concat();
            let mut frames = guarded(&frame);
            frames.read_exact(&mut [0; PREFACE.len()]).await.unwrap();
            let mut answer = vec![0; frame.len()];
            // Of which a byte is too little to explain anything.
            for _ in 0..5 * FRAMES {
                frames.line().windows().note_handed(1);
                frames.read_exact(&mut answer).await.unwrap();
                if frames.line().is_flooded() {
                    break;
                }
            }
            assert_eq!(frames.line().is_flooded(), is_flood, "{pings} pings");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_of_bodies_are_no_flood() {
        let frame = [0, 0, 1, DATA, 0, 0, 0, 0, 3, b'x'];
        let through = let_through(&frame, 16 * 1024).await;
        assert!(through >= 10 * FRAMES as usize * frame.len(), "{through}");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_reads_bodies_has_a_turn_while_small_frames_of_them_come_without_end() {
        /// As much as the library reads at a time.
        const STEP: usize = 16 * 1024;
        let frame = [0, 0, 1, DATA, 0, 0, 0, 0, 3, b'x'];
        let mut reading = pin!(let_through(&frame, STEP));
        let mut turns = 0;
        let through = poll_fn(|cx| {
            turns += 1;
            reading.as_mut().poll(cx)
        });
        let frames = through.await / frame.len();
        // Behind the first, as many in a turn as one sip may hold.
        let most = SIP / frame.len() + 1;
        assert!(
            turns >= (frames - STEP / frame.len()) / most,
            "{turns} turns"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_stops_ends_the_connection_in_time_and_with_a_word_between_two_frames() {
        // A head of which another frame has to come.
        let head = [0, 0, 3, 1, 0, 0, 0, 0, 1, 0x82, 0x87, 0x84];
        for (sent, is_told) in [(head.len(), true), (head.len() - 1, false)] {
            let (ours, mut client) = duplex(1024);
            let mut frames = guarding(ours, &Arc::default());
            client.write_all(PREFACE).await.unwrap();
            client.write_all(&head[..sent]).await.unwrap();
            let (start, mut through) = (Instant::now(), Vec::new());
            let read = frames.read_to_end(&mut through).await;
            assert_eq!(start.elapsed(), HEAD_TIME);
            assert_eq!(read.is_ok(), is_told);
            let stand_in = if is_told { STAND_IN } else { &[] };
            assert_eq!(through[PREFACE.len() + sent..], *stand_in);
        }
    }

    /// Of a client that has left TLS without a word.
    struct Torn;

    impl AsyncRead for Torn {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()))
        }
    }

    #[tokio::test]
    async fn a_client_that_goes_without_a_word_is_not_told_as_ended_by_us() {
        let line = Arc::default();
        let mut frames = guarding(join(Torn, sink()), &line);
        frames.read(&mut [0; 1]).await.unwrap_err();
        // So the library lets go of it as if all were well.
        line.note_ended();
        line.tell_end();
        assert!(!is_ended_by_us());
    }

    /// What a client does once it was told that nothing more comes.
    #[derive(Clone, Copy, Debug)]
    enum Then {
        Ends,
        SaysNothing,
        TalksOn,
        SendsAll,
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_is_told_the_end_at_once_and_then_heard_out_for_a_while() {
        let pause = Duration::from_millis(400);
        for (then, waited) in [
            (Then::Ends, Duration::ZERO),
            (Then::SaysNothing, Duration::from_secs(2)),
            (Then::TalksOn, LINGER_TIME),
            (Then::SendsAll, Duration::ZERO),
        ] {
            let (ours, mut client) = duplex(1024);
            let line = Arc::default();
            let mut frames = guarding(ours, &line);
            let start = Instant::now();
            let ended = tokio::spawn(async move {
                frames.write_all(b"all").await.unwrap();
                frames.shutdown().await.unwrap();
                start.elapsed()
            });
            let mut told = Vec::new();
            client.read_to_end(&mut told).await.unwrap();
            assert_eq!((&*told, start.elapsed()), (&b"all"[..], Duration::ZERO));
            match then {
                Then::Ends => drop(client),
                Then::SaysNothing => assert_eq!(line.said(), 0),
                Then::TalksOn => {
                    while client.write_all(b"x").await.is_ok() {
                        tokio::time::sleep(pause).await;
                    }
                }
                Then::SendsAll => while client.write_all(&[0; 1024]).await.is_ok() {},
            }
            assert_eq!(ended.await.unwrap(), waited, "{then:?}");
            let talks = matches!(then, Then::TalksOn | Then::SendsAll);
            assert_eq!(line.said() > 0, talks, "{then:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_floods_us_is_not_heard_out() {
        let (ours, _client) = duplex(1024);
        let mut frames = guarding(ours, &Arc::default());
        frames.line().note_flooded();
        let start = Instant::now();
        frames.shutdown().await.unwrap();
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}
