//! An answer on its way out: its head, and its body as it comes.

use super::answer::{self, Framed};
use crate::server::BoxError;
use bytes::{Buf as _, Bytes};
use http_body::{Body, Frame};
use std::io::{self, IoSlice, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::AsyncWrite;

/// Pieces of a body of up to so many bytes are copied behind what goes out
/// with them, to leave in one `write`; larger ones go out from where they are.
const COPIED: usize = 16 * 1024;
/// Bytes of room that a connection keeps for its next answer.
const KEPT_ROOM: usize = 2 * COPIED;

/// What is still to be sent.
#[derive(Debug)]
pub(super) struct Out {
    /// The head, what stands between pieces, and small pieces.
    text: Vec<u8>,
    /// So much of it was taken.
    sent: usize,
    piece: Bytes,
    /// What stands behind the piece.
    end: &'static [u8],
    framed: Framed,
    body: Rest,
}

/// How the body stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    /// More comes.
    Open,
    /// It has given all that goes out.
    Over,
    /// It broke off: nothing may look like its end.
    Broken,
}

impl Default for Out {
    fn default() -> Self {
        Self {
            text: Vec::new(),
            sent: 0,
            piece: Bytes::new(),
            end: b"",
            framed: Framed::Length(0),
            body: Rest::Over,
        }
    }
}

impl Out {
    /// Where the next head is written to.
    pub(super) const fn text(&mut self) -> &mut Vec<u8> {
        &mut self.text
    }

    /// Starts the body of an answer whose head was written. One of which nothing goes out is
    /// asked for its end all the same, unless it `is_over`: who is left before that was cut off.
    pub(super) fn start(&mut self, framed: Framed, is_over: bool) {
        self.body = match framed {
            Framed::Length(0) if is_over => Rest::Over,
            _ => Rest::Open,
        };
        self.framed = framed;
    }

    /// Whether nothing waits to be sent.
    pub(super) fn is_empty(&self) -> bool {
        self.text.len() == self.sent && self.piece.is_empty() && self.end.is_empty()
    }

    /// Whether the body has given all that it has.
    pub(super) const fn is_last(&self) -> bool {
        !matches!(self.body, Rest::Open)
    }

    /// Whether the body broke off.
    pub(super) const fn is_broken(&self) -> bool {
        matches!(self.body, Rest::Broken)
    }

    /// Whether its end is that of the connection.
    pub(super) fn is_until_close(&self) -> bool {
        self.framed == Framed::UntilClose
    }

    /// Lets go of the room for heads.
    pub(super) fn let_go(&mut self) {
        if self.is_empty() {
            self.text = Vec::new();
        }
    }

    /// Takes up what the body has, until there is enough for one `write`.
    pub(super) fn fill<B>(&mut self, cx: &mut Context<'_>, body: &mut B)
    where
        B: Body<Data = Bytes, Error = BoxError> + Unpin,
    {
        while self.body == Rest::Open && self.has_room() {
            match Pin::new(&mut *body).poll_frame(cx) {
                Poll::Pending => return,
                Poll::Ready(None) => self.end(None),
                // The client has all that was announced.
                Poll::Ready(Some(Err(_))) if self.framed == Framed::Length(0) => self.end(None),
                Poll::Ready(Some(Err(_))) => self.body = Rest::Broken,
                Poll::Ready(Some(Ok(frame))) => self.take(frame, body.is_end_stream()),
            }
        }
    }

    fn has_room(&self) -> bool {
        self.piece.is_empty() && self.end.is_empty() && self.text.len() < COPIED
    }

    fn take(&mut self, frame: Frame<Bytes>, is_last: bool) {
        match frame.into_data() {
            Ok(piece) => self.piece(piece, is_last),
            Err(frame) => self.end(frame.into_trailers().ok().as_ref()),
        }
    }

    fn piece(&mut self, mut piece: Bytes, is_last: bool) {
        let mut end: &[u8] = b"";
        match &mut self.framed {
            Framed::Length(left) => {
                // More than was said would pass for the next answer.
                piece.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= piece.len() as u64;
                match *left {
                    0 if is_last => self.body = Rest::Over,
                    _ if is_last => self.body = Rest::Broken,
                    _ => {}
                }
            }
            Framed::Chunks(_) if piece.is_empty() => {
                if is_last {
                    self.end(None);
                }
                return;
            }
            Framed::Chunks(_) => {
                let _ = write!(self.text, "{:X}\r\n", piece.len());
                end = b"\r\n";
                if is_last {
                    end = b"\r\n0\r\n\r\n";
                    self.body = Rest::Over;
                }
            }
            Framed::UntilClose if is_last => self.body = Rest::Over,
            Framed::UntilClose => {}
        }
        if self.text.len() + piece.len() <= COPIED {
            self.text.reserve(piece.len() + end.len());
            self.text.extend_from_slice(&piece);
            self.text.extend_from_slice(end);
        } else {
            self.piece = piece;
            self.end = end;
        }
    }

    /// The body says that it is over.
    fn end(&mut self, trailers: Option<&http::HeaderMap>) {
        self.body = Rest::Over;
        match &self.framed {
            Framed::Length(0) | Framed::UntilClose => {}
            Framed::Length(_) => self.body = Rest::Broken,
            Framed::Chunks(announced) => {
                self.text.extend_from_slice(b"0\r\n");
                if let Some(trailers) = trailers {
                    answer::write_trailers(&mut self.text, trailers, announced);
                }
                self.text.extend_from_slice(b"\r\n");
            }
        }
    }

    /// Sends all that there is. Ready when it is taken.
    pub(super) fn poll_send<S: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut S,
    ) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            let text = self.text.get(self.sent..).unwrap_or_default();
            let stream = Pin::new(&mut *stream);
            let sent = if self.piece.is_empty() && self.end.is_empty() {
                ready!(stream.poll_write(cx, text))?
            } else {
                let slices = [text, &self.piece, self.end].map(IoSlice::new);
                ready!(stream.poll_write_vectored(cx, &slices))?
            };
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(sent);
        }
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, mut sent: usize) {
        let here = sent.min(self.text.len() - self.sent);
        self.sent += here;
        if self.sent == self.text.len() {
            self.sent = 0;
            if self.text.capacity() > KEPT_ROOM {
                self.text = Vec::new();
            }
            self.text.clear();
        }
        sent -= here;
        let here = sent.min(self.piece.len());
        self.piece.advance(here);
        sent -= here;
        if self.piece.is_empty() {
            // What it came from is not kept for longer than it takes.
            self.piece = Bytes::new();
        }
        self.end = self.end.get(sent..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, HeaderName, HeaderValue};
    use std::collections::VecDeque;
    use std::task::Waker;

    enum Next {
        Data(Bytes),
        Wait,
        Broken,
        Trailers(HeaderMap),
    }

    /// What comes, in this order; it may know its end before it is asked for it.
    struct Frames(VecDeque<Next>, bool);

    impl Body for Frames {
        type Data = Bytes;
        type Error = BoxError;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            Poll::Ready(match self.0.pop_front() {
                None => None,
                Some(Next::Data(bytes)) => Some(Ok(Frame::data(bytes))),
                Some(Next::Trailers(fields)) => Some(Ok(Frame::trailers(fields))),
                Some(Next::Broken) => Some(Err("broken".into())),
                Some(Next::Wait) => return Poll::Pending,
            })
        }

        fn is_end_stream(&self) -> bool {
            self.1 && self.0.is_empty()
        }
    }

    fn data(bytes: &[u8]) -> Next {
        Next::Data(Bytes::copy_from_slice(bytes))
    }

    /// Takes so many bytes a call, and keeps how many calls there were.
    struct Taker {
        taken: Vec<u8>,
        most: usize,
        calls: usize,
    }

    impl AsyncWrite for Taker {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.calls += 1;
            let here = bytes.len().min(self.most);
            self.taken.extend_from_slice(&bytes[..here]);
            Poll::Ready(Ok(here))
        }

        fn poll_write_vectored(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            self.poll_write(
                cx,
                &slices.iter().flat_map(|it| it.to_vec()).collect::<Vec<_>>(),
            )
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// What goes out behind `head`, by whom it was taken, and whether it is whole.
    fn sent(framed: Framed, body: &mut Frames, most: usize) -> (Vec<u8>, usize, bool) {
        let mut out = Out::default();
        out.text().extend_from_slice(b"head|");
        out.start(framed, body.is_end_stream());
        let mut taker = Taker {
            taken: Vec::new(),
            most,
            calls: 0,
        };
        let mut cx = Context::from_waker(Waker::noop());
        loop {
            out.fill(&mut cx, body);
            if out.is_empty() && out.is_last() {
                return (taker.taken, taker.calls, !out.is_broken());
            }
            assert!(out.poll_send(&mut cx, &mut taker).is_ready());
        }
    }

    fn body(frames: &[&[u8]]) -> Frames {
        Frames(frames.iter().map(|bytes| data(bytes)).collect(), true)
    }

    #[test]
    fn a_small_answer_leaves_in_one_write() {
        for framed in [Framed::Length(6), Framed::UntilClose] {
            let (taken, calls, whole) = sent(framed, &mut body(&[b"abc", b"def"]), usize::MAX);
            assert_eq!((&taken[..], calls, whole), (&b"head|abcdef"[..], 1, true));
        }
        let chunks = sent(
            Framed::Chunks(Vec::new()),
            &mut body(&[b"abc", b""]),
            usize::MAX,
        );
        assert_eq!(chunks, (b"head|3\r\nabc\r\n0\r\n\r\n".to_vec(), 1, true));
        assert_eq!(sent(Framed::Length(0), &mut body(&[b"x"]), 9).0, b"head|");
    }

    #[test]
    fn large_and_small_pieces_arrive_whole_however_they_are_taken() {
        let large = vec![b'x'; 3 * COPIED];
        let expected = [
            b"head|1\r\na\r\nC000\r\n",
            &large[..],
            b"\r\n1\r\nb\r\n0\r\n\r\n",
        ]
        .concat();
        for most in [701, 5_000, usize::MAX] {
            let mut frames = body(&[b"a", &large, b"b"]);
            let (taken, _, whole) = sent(Framed::Chunks(Vec::new()), &mut frames, most);
            assert!(taken == expected && whole, "by {most}");
        }
    }

    #[test]
    fn what_came_before_a_wait_goes_out_without_the_rest() {
        let mut frames = body(&[b"abc"]);
        frames.0.push_back(Next::Wait);
        frames.0.push_back(data(b"d"));
        let (taken, calls, _) = sent(Framed::Length(4), &mut frames, usize::MAX);
        assert_eq!((&taken[..], calls), (&b"head|abcd"[..], 2));
    }

    #[test]
    fn a_body_that_breaks_off_or_is_too_short_has_no_end() {
        let broken = || Frames([data(b"ab"), Next::Broken].into(), false);
        let (taken, _, whole) = sent(Framed::Chunks(Vec::new()), &mut broken(), 99);
        assert_eq!((&taken[..], whole), (&b"head|2\r\nab\r\n"[..], false));
        for mut frames in [
            body(&[b"ab"]),
            Frames([data(b"ab")].into(), false),
            broken(),
        ] {
            let (taken, _, whole) = sent(Framed::Length(3), &mut frames, 99);
            assert_eq!((&taken[..], whole), (&b"head|ab"[..], false));
        }
    }

    #[test]
    fn of_a_body_that_is_too_long_no_more_goes_out_than_was_said() {
        let (taken, _, whole) = sent(Framed::Length(3), &mut body(&[b"ab", b"cdef", b"g"]), 99);
        assert_eq!((&taken[..], whole), (&b"head|abc"[..], true));
    }

    #[test]
    fn a_body_of_which_nothing_more_goes_out_is_asked_for_its_end() {
        let trailers = || Next::Trailers(HeaderMap::new());
        for (length, frames) in [
            (0, vec![data(b""), trailers()]),
            (2, vec![data(b"ab"), trailers()]),
            (2, vec![data(b"ab"), data(b""), trailers()]),
            // The client has all of it.
            (2, vec![data(b"ab"), Next::Broken]),
        ] {
            let mut frames = Frames(frames.into(), false);
            let (taken, _, whole) = sent(Framed::Length(length), &mut frames, 99);
            assert_eq!(taken.len() as u64, 5 + length);
            assert!(whole && frames.0.is_empty());
        }
    }

    #[test]
    fn trailers_that_were_announced_end_the_chunks() {
        let name = HeaderName::from_static("x-sum");
        let mut trailers = HeaderMap::new();
        trailers.insert(name.clone(), HeaderValue::from_static("1"));
        for (announced, end) in [
            (vec![name], &b"0\r\nx-sum: 1\r\n\r\n"[..]),
            (Vec::new(), b"0\r\n\r\n"),
        ] {
            let frames = [data(b"a"), Next::Trailers(trailers.clone())];
            let mut frames = Frames(frames.into(), true);
            let (taken, ..) = sent(Framed::Chunks(announced), &mut frames, 99);
            assert_eq!(taken, [b"head|1\r\na\r\n", end].concat());
        }
    }
}
