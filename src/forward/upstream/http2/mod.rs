//! One HTTP/2 connection to a server, which carries many requests.

mod keeper;
mod worn;

use super::connect::MAX_ANSWER_HEAD;
use super::stream::Stream;
use super::tls::hinted;
use crate::forward::Late;
use crate::framing::MOST_EMPTY;
use bytes::Bytes;
use h2::PingPong;
use h2::client::{Builder, Connection, SendRequest};
use keeper::Keeper;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use worn::{Counting, Empty, Resets, Taken};

/// Requests at a time on one connection, whatever the server allows: each answer may bring an empty frame.
const MAX_STREAMS: usize = MOST_EMPTY;
/// Bytes of an answer's body in flight to us.
const STREAM_WINDOW: u32 = 64 * 1024;
/// The same for all answers together: no slow client keeps the others waiting.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * MAX_STREAMS as u32;
/// Bytes of a frame that we take.
const MAX_FRAME: u32 = 16 * 1024;
/// Bytes that field compression may remember.
const HEADER_TABLE: u32 = 4 * 1024;
/// Bytes of each request's body that wait to be written.
const SEND_BUFFER: usize = 64 * 1024;
/// Streams of which we remember for a while that we have reset them: what the server had sent by then is no
/// error of its. Of 64 resets a second and one for each place that others keep (see `resets`), this remembers all.
const RESETS_REMEMBERED: usize = 4096;
const RESETS_REMEMBERED_FOR: Duration = Duration::from_secs(10);
/// Streams we may have to reset for the server's errors, until the connection, whose requests share them, ends.
const RESETS_FOR_ERRORS: usize = 65_536;
/// Bytes by which frames of an answer that are shorter than 256 fall short of that, of all that wait to be
/// taken. A client that takes nothing of an answer in frames of 16 bytes holds a megabyte of it, and of
/// single bytes sixteen: some shall not end the others' connection.
const SMALL_FRAMES: usize = 64 * 1024 * 1024;

/// A connection. Whoever holds it may send on it; when nobody does it closes.
#[derive(Debug)]
pub(super) struct Http2 {
    /// Where it leads to.
    pub(super) address: Option<SocketAddr>,
    state: Mutex<State>,
    /// Heads and frames that were heard, of all answers.
    heard: AtomicUsize,
    empty: Empty,
    taken: Taken,
}

#[derive(Debug)]
struct State {
    /// `None` when it gets no more requests. Once there is no sender left and
    /// no request under way, the connection says good-bye and closes.
    sender: Option<SendRequest<Bytes>>,
    /// Requests under way.
    in_use: usize,
    resets: Resets,
    idle_since: Instant,
    /// Whether it was given up since the server did not say that it is still there.
    is_dead: bool,
    /// Whether one of its requests has told that it broke off.
    is_told: bool,
}

/// One request's place on a connection.
#[derive(Debug)]
pub(in crate::forward) struct Slot {
    connection: Arc<Http2>,
    sender: SendRequest<Bytes>,
    /// How much had been heard on the connection when this was last heard of.
    heard: usize,
    is_over: bool,
    is_excused: bool,
}

impl Http2 {
    /// Starts to speak HTTP/2, and waits until `by` for the server to say
    /// that it does so too, and how many requests it takes at a time.
    pub(super) async fn start(
        stream: Stream,
        address: Option<SocketAddr>,
        by: Instant,
    ) -> io::Result<Arc<Self>> {
        let was_asked = stream.was_asked();
        let empty = Empty::default();
        let taken = Taken::default();
        let stream = Counting::new(stream, empty.clone(), taken.clone());
        let (sender, mut connection) = timeout_at(by, builder().handshake(stream))
            .await
            .map_err(|_| Late::Http2)?
            .map_err(|why| not_spoken(&why, was_asked))?;
        let heard = poll_fn(|cx| match Pin::new(&mut connection).poll(cx) {
            Poll::Ready(Ok(())) => {
                Poll::Ready(Err(io::Error::other("it closed the connection at once")))
            }
            Poll::Ready(Err(why)) => Poll::Ready(Err(not_spoken(&why, was_asked))),
            // Nothing may be sent until its settings are there.
            Poll::Pending if sender.current_max_send_streams() > 0 => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
        });
        timeout_at(by, heard).await.map_err(|_| Late::Http2)??;
        let pings = connection.ping_pong();
        let this = Arc::new(Self {
            address,
            state: Mutex::new(State {
                sender: Some(sender),
                in_use: 0,
                resets: Resets::default(),
                idle_since: Instant::now(),
                is_dead: false,
                is_told: false,
            }),
            heard: AtomicUsize::new(0),
            empty,
            taken,
        });
        tokio::spawn(drive(connection, pings, Arc::downgrade(&this)));
        Ok(this)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it may be given requests: not after an error, not after
    /// the server's good-bye, and not when it is worn out.
    pub(super) fn is_open(&self) -> bool {
        let mut state = self.state();
        let mut cx = Context::from_waker(Waker::noop());
        let has_failed = match &mut state.sender {
            Some(sender) => matches!(sender.poll_ready(&mut cx), Poll::Ready(Err(_))),
            None => false,
        };
        if has_failed || self.empty.wears_out(state.in_use) {
            state.sender = None;
        }
        state.sender.is_some()
    }

    /// Requests under way.
    pub(super) fn load(&self) -> usize {
        self.state().in_use
    }

    /// Whether one more would find a place.
    pub(super) fn has_room(&self) -> bool {
        self.state().has_room()
    }

    /// A place for one more request, if there is one.
    pub(super) fn take(self: &Arc<Self>) -> Option<Slot> {
        let mut state = self.state();
        if !state.has_room() {
            return None;
        }
        let sender = state.sender.clone()?;
        state.in_use += 1;
        Some(Slot {
            connection: self.clone(),
            sender,
            heard: self.heard.load(Ordering::Relaxed),
            is_over: false,
            is_excused: false,
        })
    }

    /// That it breaks off is no word of the server: its one request may be what it was ended for.
    pub(super) fn tells_nothing(&self) {
        self.state().is_told = true;
    }

    /// Gives it no more requests; those that are under way go on.
    pub(super) fn retire(&self) {
        self.state().sender = None;
    }
}

impl State {
    fn has_room(&self) -> bool {
        self.sender
            .as_ref()
            .is_some_and(|sender| self.in_use < sender.current_max_send_streams().min(MAX_STREAMS))
    }
}

impl Slot {
    /// Sends on this place, once.
    pub(in crate::forward) const fn sender(&mut self) -> &mut SendRequest<Bytes> {
        &mut self.sender
    }

    /// Notes that something was heard of the answer.
    pub(in crate::forward) fn heard(&mut self) {
        self.heard = self.connection.heard.fetch_add(1, Ordering::Relaxed) + 1;
    }

    /// Notes that the answer is late. If nothing at all was heard on the
    /// connection meanwhile, it gets no more requests.
    pub(in crate::forward) fn late(&self) {
        if self.connection.heard.load(Ordering::Relaxed) == self.heard {
            self.connection.retire();
        }
    }

    /// Notes that the stream has ended on both sides, or by the server: when
    /// this is dropped the server has nothing more to do for it.
    pub(in crate::forward) const fn over(&mut self) {
        self.is_over = true;
    }

    /// Notes, where the stream has not ended, that it is reset, and when.
    pub(super) fn note_reset(&self) -> Option<Instant> {
        if self.is_over {
            return None;
        }
        let now = Instant::now();
        let mut state = self.connection.state();
        if state.resets.wear_out(now) {
            state.sender = None;
        }
        Some(now)
    }

    /// Whether its connection was given up since the server did not say that it is still there.
    pub(in crate::forward) fn is_dead(&self) -> bool {
        self.connection.state().is_dead
    }

    /// Notes that it failed with its connection: of all that did, the first one tells of the server.
    pub(in crate::forward) fn broke(&mut self) {
        let mut state = self.connection.state();
        self.is_excused = std::mem::replace(&mut state.is_told, true);
    }

    /// Whether it failed with its connection, and another one has told so.
    pub(in crate::forward) const fn is_excused(&self) -> bool {
        self.is_excused
    }

    pub(super) const fn connection(&self) -> &Arc<Http2> {
        &self.connection
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.connection.state();
        state.in_use -= 1;
        if state.in_use == 0 {
            state.idle_since = Instant::now();
        }
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder
        .enable_push(false)
        .initial_max_send_streams(0)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(MAX_FRAME)
        .max_header_list_size(MAX_ANSWER_HEAD as u32)
        .header_table_size(HEADER_TABLE)
        .max_send_buffer_size(SEND_BUFFER)
        .max_concurrent_reset_streams(RESETS_REMEMBERED)
        .reset_stream_duration(RESETS_REMEMBERED_FOR)
        .data_frame_budget(SMALL_FRAMES)
        .max_local_error_reset_streams(Some(RESETS_FOR_ERRORS));
    builder
}

fn not_spoken(why: &h2::Error, was_asked: bool) -> io::Error {
    if let Some(inner) = why.get_io() {
        let text = format!("it broke off before it spoke HTTP/2: {inner}");
        // TLS has words of its own, where its refusal was not lost with the connection.
        let is_told = inner.get_ref().is_some();
        return io::Error::other(hinted(text, was_asked && !is_told));
    }
    io::Error::other(format!("it does not speak HTTP/2: {why}"))
}

/// Runs a connection until it ends: reads, writes, asks now and then whether
/// the server is still there, and closes what is used no more.
async fn drive(
    mut connection: Connection<Counting<Stream>, Bytes>,
    pings: Option<PingPong>,
    shared: Weak<Http2>,
) {
    let mut keeper = Keeper::new(pings, shared.clone());
    poll_fn(|cx| {
        // What goes wrong is told to whoever waits for an answer.
        if Pin::new(&mut connection).poll(cx).is_ready() {
            return Poll::Ready(());
        }
        keeper.poll(cx)
    })
    .await;
    if let Some(shared) = shared.upgrade() {
        shared.retire();
    }
}
