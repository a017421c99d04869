//! One HTTP/2 stream: its request goes to the handler, its response to the HTTP/2 library. Its client has to send, and
//! to take, within deadlines of the stream's own, whatever the connection's others do.

use super::date;
use super::patience::Patience;
use super::turn::Turn;
use super::{BoxError, Handler};
use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, HeaderName, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Body;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use tokio::sync::oneshot;
use tokio::time::Instant;

/// A response goes to the library in pieces of at most so many bytes: the
/// next is asked for when the client has taken the one before.
const PIECE: usize = 16 * 1024;
/// To a client that makes us wait: so that it can be seen how slow it is.
const SMALL_PIECE: usize = 1024;

/// Fields about a connection of HTTP/1.1, which HTTP/2 does not have (RFC 9113, section 8.2.2).
const OF_CONNECTIONS: [HeaderName; 5] = [
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Runs a stream to its end. Where it ends before its response does, it is reset.
pub(super) async fn run<H: Handler>(
    mut turn: Turn<H>,
    request: Request<RecvStream>,
    mut reply: SendResponse<Bytes>,
) {
    let answer = {
        let mut making = pin!(turn.on_stream(request));
        poll_fn(|cx| match making.as_mut().poll(cx) {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            // Its client has reset it, or is gone.
            Poll::Pending => reply.poll_reset(cx).map(|_| None),
        })
        .await
    };
    let Some((mut head, body)) = answer.map(Response::into_parts) else {
        return;
    };
    let patience = Patience::new(turn.deadlines().write, turn.deadlines().pace);
    let body = Pieces::new(body, turn);
    let is_end = body.is_known_to_end();
    fit(&mut head.headers, body.length().filter(|_| !is_end));
    match reply.send_response(Response::from_parts(head, ()), is_end) {
        Err(_) => reply.send_reset(Reason::INTERNAL_ERROR),
        Ok(_) if is_end => {}
        Ok(out) => {
            let mut sending = Sending::new(out, body, patience);
            poll_fn(|cx| sending.poll(cx)).await;
        }
    }
}

/// Makes fields fit for HTTP/2, and whole. Those of a connection have no place here; whoever says one of them
/// says `Connection` as well (RFC 9110, section 7.6.1).
fn fit(fields: &mut HeaderMap, length: Option<u64>) {
    if fields.remove(CONNECTION).is_some() {
        for name in &OF_CONNECTIONS {
            fields.remove(name);
        }
    }
    if !fields.contains_key(DATE)
        && let Some(date) = date::value(Instant::now())
    {
        fields.insert(DATE, date);
    }
    if let Some(length) = length
        && !fields.contains_key(CONTENT_LENGTH)
    {
        fields.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
}

/// A response's body on its way to the library.
struct Sending<B: Body<Data = Bytes>, T: Gives> {
    out: SendStream<Bytes>,
    pieces: Pieces<B, T>,
    /// The piece that waits until the client makes room, and whether the body ends with it.
    held: Option<(Bytes, bool)>,
    /// Bytes of the piece before, which the library has: they have to go first.
    before: usize,
    /// Bytes that the client has made room for since it was last told.
    moved: usize,
    /// Whether the client makes us wait.
    is_slow: bool,
    patience: Patience,
}

/// How far a response has come.
enum Pause {
    /// All of it went, or nobody takes it.
    Over,
    /// More is waited for, where it comes from.
    Source,
    /// The client is waited for.
    Client,
}

impl<B, T> Sending<B, T>
where
    B: Body<Data = Bytes, Error = BoxError> + Unpin,
    T: Gives,
{
    const fn new(out: SendStream<Bytes>, pieces: Pieces<B, T>, patience: Patience) -> Self {
        Self {
            out,
            pieces,
            held: None,
            before: 0,
            moved: 0,
            is_slow: false,
            patience,
        }
    }

    /// Ready when it has ended, or its client is late.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // With its reset the library lets go of the last piece, too: that is no end.
        if self.pieces.waits_for_its_end() && self.out.poll_reset(cx).is_ready() {
            return Poll::Ready(());
        }
        let mut pause = self.go_on(cx);
        // Its client has reset it, or is gone.
        if !matches!(pause, Pause::Over) && self.out.poll_reset(cx).is_ready() {
            pause = Pause::Over;
        }
        let moved = std::mem::take(&mut self.moved);
        if moved > 0 {
            self.patience.moved(moved);
        }
        let is_over = match pause {
            Pause::Over => true,
            Pause::Source => false,
            Pause::Client => {
                self.is_slow = true;
                self.patience.wait(cx, self.before)
            }
        };
        if is_over {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    fn go_on(&mut self, cx: &mut Context<'_>) -> Pause {
        loop {
            if let Some((piece, is_end)) = self.held.take() {
                match self.poll_room(cx) {
                    Poll::Pending => {
                        self.held = Some((piece, is_end));
                        return Pause::Client;
                    }
                    Poll::Ready(None) => return Pause::Over,
                    Poll::Ready(Some(())) => {}
                }
                let bytes = piece.len();
                if self.out.send_data(piece, is_end).is_err() || is_end {
                    return Pause::Over;
                }
                self.moved += bytes;
                self.before = bytes;
            }
            let most = if std::mem::take(&mut self.is_slow) {
                SMALL_PIECE
            } else {
                PIECE
            };
            let next = match self.pieces.poll_next(cx, most) {
                Poll::Ready(next) => next,
                Poll::Pending if self.pieces.waits_for_its_end() => return Pause::Client,
                Poll::Pending => return Pause::Source,
            };
            match next {
                Ok(Next::Piece(piece)) => {
                    let is_end = self.pieces.is_known_to_end();
                    if is_end && self.pieces.handed == piece.len() as u64 {
                        // It is all there is, and the client surely has room for it.
                        let _ = self.out.send_data(piece, true);
                        return Pause::Over;
                    }
                    // No more is claimed of the connection's window than can be of use to others.
                    self.out.reserve_capacity(1);
                    self.held = Some((piece, is_end));
                }
                Ok(Next::End(None)) => {
                    let _ = self.out.send_data(Bytes::new(), true);
                    return Pause::Over;
                }
                Ok(Next::End(Some(trailers))) => {
                    self.out.reserve_capacity(0);
                    let _ = self.out.send_trailers(*trailers);
                    return Pause::Over;
                }
                Err(_) => {
                    self.out.send_reset(Reason::INTERNAL_ERROR);
                    return Pause::Over;
                }
            }
        }
    }

    /// Whether the client has made room for a byte; `None` when it takes no more.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Option<()>> {
        while self.out.capacity() == 0 {
            match ready!(self.out.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Poll::Ready(None),
            }
        }
        Poll::Ready(Some(()))
    }
}

/// A response's body in pieces. `turn` ends with it, and is told when all of it went.
struct Pieces<B: Body<Data = Bytes>, T: Gives> {
    body: B,
    rest: Bytes,
    /// Bytes that went to the library.
    handed: u64,
    /// Ends when the client has taken the piece before, where that is waited for.
    taken: Option<oneshot::Receiver<Infallible>>,
    end: End,
    turn: T,
}

/// How a response's body ends.
enum End {
    /// It goes on.
    Open,
    /// With these trailers, or without.
    Known(Option<Box<HeaderMap>>),
    /// The library has it.
    Given,
}

/// What comes next of a response's body.
enum Next {
    Piece(Bytes),
    /// With these trailers, or without.
    End(Option<Box<HeaderMap>>),
}

/// What a response's pieces ask and tell the connection.
pub(super) trait Gives: Unpin {
    /// Whether the client surely has room for so many bytes, behind `before` of the same response.
    fn fits(&self, bytes: usize, before: u64) -> bool;

    /// A piece of so many bytes goes to the library.
    fn note_handed(&mut self, bytes: usize);

    /// All of the response went.
    fn note_whole(&mut self);

    /// It broke off where it comes from.
    fn note_broken(&mut self);

    /// It is dropped before all of it went.
    fn note_cut(&mut self);
}

/// A piece that tells when nobody holds it any more: its client has taken it, or is gone.
struct Lent {
    piece: Bytes,
    _until_dropped: oneshot::Sender<Infallible>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.piece
    }
}

impl<B: Body<Data = Bytes>, T: Gives> Pieces<B, T> {
    const fn new(body: B, turn: T) -> Self {
        Self {
            body,
            rest: Bytes::new(),
            handed: 0,
            taken: None,
            end: End::Open,
            turn,
        }
    }

    /// The next piece, of at most so many bytes.
    fn piece(&mut self, most: usize) -> Bytes {
        let bytes = self.rest.len().min(most);
        let piece = self.rest.split_to(bytes);
        // The end may stand behind it.
        let is_to_be_seen = self.rest.is_empty() && !self.turn.fits(bytes, self.handed);
        self.turn.note_handed(bytes);
        self.handed += bytes as u64;
        if !is_to_be_seen {
            self.taken = None;
            return piece;
        }
        let (told, taken) = oneshot::channel();
        self.taken = Some(taken);
        Bytes::from_owner(Lent {
            piece,
            _until_dropped: told,
        })
    }

    /// Whether the end goes with the piece that came last: the client surely has room for both.
    fn is_known_to_end(&self) -> bool {
        self.rest.is_empty() && self.taken.is_none() && self.body.is_end_stream()
    }
}

impl<B, T> Pieces<B, T>
where
    B: Body<Data = Bytes, Error = BoxError> + Unpin,
    T: Gives,
{
    fn poll_next(&mut self, cx: &mut Context<'_>, most: usize) -> Poll<Result<Next, BoxError>> {
        while self.rest.is_empty() && matches!(self.end, End::Open) {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                None => self.end = End::Known(None),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(frame) => {
                        let trailers = frame.into_trailers().unwrap_or_default();
                        self.end = End::Known(Some(Box::new(trailers)));
                    }
                },
                Some(Err(why)) => {
                    self.turn.note_broken();
                    return Poll::Ready(Err(why));
                }
            }
        }
        if matches!(self.end, End::Open) {
            return Poll::Ready(Ok(Next::Piece(self.piece(most))));
        }
        if let Some(taken) = &mut self.taken {
            let Err(_) = ready!(Pin::new(taken).poll(cx));
            self.taken = None;
        }
        let end = std::mem::replace(&mut self.end, End::Given);
        Poll::Ready(Ok(Next::End(match end {
            End::Known(trailers) => trailers,
            End::Open | End::Given => None,
        })))
    }

    /// Whether only the end is still to go, once the last piece has.
    const fn waits_for_its_end(&self) -> bool {
        matches!(self.end, End::Known(_))
    }

    /// How long it is, where that is known.
    fn length(&self) -> Option<u64> {
        self.body.size_hint().exact()
    }
}

impl<B: Body<Data = Bytes>, T: Gives> Drop for Pieces<B, T> {
    fn drop(&mut self) {
        // The library does not ask for an end that it was told of.
        if matches!(self.end, End::Given) || self.is_known_to_end() {
            self.turn.note_whole();
        } else {
            self.turn.note_cut();
        }
    }
}
