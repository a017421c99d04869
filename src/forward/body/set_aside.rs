//! A body that is taken in whole and checked before the upstream hears of
//! it: its front in memory, the rest in a file without a name.
//!
//! The file is touched on the runtime's threads for blocking work, in large
//! pieces. A write to a file mostly is a copy, but when the system decides to
//! catch up with its disk it takes as long as the disk does, and on this
//! thread every other request of the worker would wait with it. A piece is as
//! much as takes longer to hash than to hand over.

use super::BodyError;
use super::arrival::Arrival;
use super::frames::Frames;
use crate::schemes::digest::BodyCheck;
use bytes::Bytes;
use std::fs::File;
use std::future::Future as _;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use std::vec;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::Instant;

/// Bytes of a body that stay in memory.
pub const MAX_IN_MEMORY: usize = 1024 * 1024;
/// Bytes of all such bodies together that do; what comes beyond them goes to the file at once.
const MAX_ALL_IN_MEMORY: usize = 64 * 1024 * 1024;
/// From so many bytes on a body keeps its room until they are sent; a smaller one, until they are
/// handed out, which costs no allocation.
const LARGE: usize = 64 * 1024;
/// How often it is told at most that they cannot be set aside.
const TOLD_EVERY: Duration = Duration::from_mins(1);
/// Bytes that are gathered for one write.
const WRITE_PIECE: usize = 256 * 1024;
/// Bytes that one read asks for; two such pieces are in memory at a time.
const READ_PIECE: u64 = 128 * 1024;

/// A body that was found to be the one that was meant.
pub(super) struct SetAside {
    /// In memory; where it is large, the last of it holds the room that all of it takes.
    front: vec::IntoIter<Bytes>,
    /// The room that it takes where it is not.
    room: Room,
    rest: Option<Rest>,
}

/// Bytes that bodies which are set aside have in memory, of all workers.
static IN_MEMORY: AtomicUsize = AtomicUsize::new(0);

/// When it was last told that one cannot be set aside.
static TOLD: Mutex<Option<Instant>> = Mutex::new(None);

/// What one of them has of it, until this is dropped.
#[derive(Debug, Default)]
struct Room(usize);

impl Room {
    /// Takes so many more; false, and nothing is taken, where there are no more.
    fn take(&mut self, bytes: usize) -> bool {
        let more = |taken: usize| {
            let all = taken.checked_add(bytes)?;
            (all <= MAX_ALL_IN_MEMORY).then_some(all)
        };
        let taken = IN_MEMORY.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        if taken.is_ok() {
            self.0 += bytes;
        }
        taken.is_ok()
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        IN_MEMORY.fetch_sub(self.0, Ordering::Relaxed);
    }
}

/// The last of what a large body has in memory. Bytes go out in their order, so the
/// room is given back when all of them are sent: an answer may take much longer.
struct Last {
    bytes: Bytes,
    _room: Room,
}

impl AsRef<[u8]> for Last {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Takes all of a body in.
pub(super) async fn take_in(
    mut arrival: Arrival,
    mut check: BodyCheck,
) -> Result<(SetAside, u64), BodyError> {
    let mut front = Frames::default();
    let mut piece = Frames::default();
    let mut file = None;
    let mut room = Room::default();
    while let Some(data) = arrival.next().await? {
        check.update(&data);
        let in_memory = piece.bytes() == 0 && file.is_none();
        let fits = in_memory && front.bytes() + data.len() <= MAX_IN_MEMORY;
        if fits && room.take(data.len()) {
            front.push(data);
            continue;
        }
        piece.push(data);
        if piece.bytes() >= WRITE_PIECE {
            let full = std::mem::take(&mut piece);
            file = Some(write(file, full).await?);
        }
    }
    // Before the last write: a body that will be refused need not be kept.
    check.finish().or_else(|another| arrival.note(another))?;
    if piece.bytes() > 0 {
        file = Some(write(file, piece).await?);
    }
    let bytes = arrival.taken();
    let rest = file
        .map(|file| Rest::new(file, bytes - front.bytes() as u64))
        .transpose()
        .map_err(failed)?;
    let mut front = front.into_list();
    if room.0 >= LARGE
        && let Some(last) = front.pop()
    {
        front.push(Bytes::from_owner(Last {
            bytes: last,
            _room: std::mem::take(&mut room),
        }));
    }
    let front = front.into_iter();
    Ok((SetAside { front, room, rest }, bytes))
}

async fn write(file: Option<File>, piece: Frames) -> Result<File, BodyError> {
    let written = spawn_blocking(move || {
        let mut file = file.map_or_else(tempfile::tempfile, Ok)?;
        for frame in piece.into_list() {
            file.write_all(&frame)?;
        }
        Ok(file)
    });
    written
        .await
        .unwrap_or_else(|stopped| Err(io::Error::other(stopped)))
        .map_err(failed)
}

/// Tells whoever keeps the gateway, now and then.
fn failed(why: io::Error) -> BodyError {
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    if told.is_none_or(|at| at.elapsed() >= TOLD_EVERY) {
        *told = Some(Instant::now());
        let folder = folder();
        tracing::error!(
            folder = %folder.display(),
            %why,
            "bodies cannot be set aside until they are checked: their requests are refused"
        );
    }
    BodyError::Spill(why)
}

/// Where files without a name are made.
pub fn folder() -> PathBuf {
    tempfile::env::temp_dir()
}

/// Whether a file for a body can be made.
///
/// # Errors
/// What the system said.
pub fn try_it() -> io::Result<()> {
    tempfile::tempfile().map(drop)
}

impl SetAside {
    pub(super) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BodyError>>> {
        if let Some(data) = self.front.next() {
            if self.front.len() == 0 {
                // Whoever sends it may not come for more, and its answer may take long.
                self.room = Room::default();
            }
            return Poll::Ready(Some(Ok(data)));
        }
        let Some(rest) = &mut self.rest else {
            return Poll::Ready(None);
        };
        let piece = ready!(rest.poll_piece(cx));
        if rest.is_end() {
            self.rest = None;
        }
        Poll::Ready(Some(piece.map_err(failed)))
    }

    /// Whether all of it was handed out.
    pub(super) fn is_end(&self) -> bool {
        self.front.len() == 0 && self.rest.is_none()
    }
}

/// What lies in the file, read back one piece ahead.
struct Rest {
    reading: JoinHandle<io::Result<(File, Bytes)>>,
    /// Bytes that no read has asked for yet.
    unasked: u64,
    ended: bool,
}

impl Rest {
    fn new(mut file: File, bytes: u64) -> io::Result<Self> {
        file.rewind()?;
        let ask = bytes.min(READ_PIECE);
        Ok(Self {
            reading: read(file, ask),
            unasked: bytes - ask,
            ended: false,
        })
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        let read_piece = ready!(Pin::new(&mut self.reading).poll(cx));
        let (file, piece) =
            match read_piece.unwrap_or_else(|stopped| Err(io::Error::other(stopped))) {
                Ok(done) => done,
                Err(error) => return Poll::Ready(Err(error)),
            };
        if self.unasked == 0 {
            self.ended = true;
        } else {
            let ask = self.unasked.min(READ_PIECE);
            self.unasked -= ask;
            self.reading = read(file, ask);
        }
        Poll::Ready(Ok(piece))
    }

    const fn is_end(&self) -> bool {
        self.ended
    }
}

fn read(file: File, ask: u64) -> JoinHandle<io::Result<(File, Bytes)>> {
    spawn_blocking(move || {
        let mut piece = Vec::with_capacity(ask as usize);
        let read = (&file).take(ask).read_to_end(&mut piece)?;
        if read as u64 == ask {
            Ok((file, piece.into()))
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::Meter;
    use super::super::tests::Framed;
    use super::*;
    use crate::schemes::digest::BodyProof;
    use http_body_util::Full;
    use std::future::poll_fn;

    #[tokio::test]
    async fn what_was_sent_takes_no_memory_of_others_though_its_answer_goes_on() {
        const BODIES: usize = 32;
        let body = Bytes::from(vec![7; MAX_IN_MEMORY]);
        let mut sent = Vec::new();
        for _ in 0..BODIES {
            let arrival = Arrival::new(Full::new(body.clone()), u64::MAX, Meter::default());
            let check = BodyCheck::new(&BodyProof::Unproven);
            let (mut kept, _) = take_in(arrival, check).await.unwrap();
            let piece = poll_fn(|cx| kept.poll_next(cx)).await.unwrap().unwrap();
            assert_eq!(piece, body);
            assert!(IN_MEMORY.load(Ordering::Relaxed) >= MAX_IN_MEMORY);
            drop(piece);
            sent.push(kept);
        }
        // Other tests have some of it.
        let left = IN_MEMORY.load(Ordering::Relaxed);
        assert!(left < BODIES * MAX_IN_MEMORY, "{left}");
    }

    #[tokio::test]
    async fn a_small_body_gives_its_room_back_as_the_last_of_it_is_handed_out() {
        for (frames, [before, between, after]) in [
            ([LARGE - 2, 1], [LARGE - 1, LARGE - 1, 0]),
            // The last of a large one has it.
            ([LARGE - 1, 1], [0, 0, 0]),
        ] {
            let [first, last] = frames.map(|bytes| vec![7_u8; bytes]);
            let body = Framed::of_unknown_length(&[&first, &last]);
            let arrival = Arrival::new(body, u64::MAX, Meter::default());
            let check = BodyCheck::new(&BodyProof::Unproven);
            let (mut kept, _) = take_in(arrival, check).await.unwrap();
            assert_eq!(kept.room.0, before);
            assert!(poll_fn(|cx| kept.poll_next(cx)).await.unwrap().unwrap() == first);
            assert_eq!(kept.room.0, between);
            assert!(poll_fn(|cx| kept.poll_next(cx)).await.unwrap().unwrap() == last);
            assert_eq!(kept.room.0, after);
            assert!(kept.is_end());
        }
    }

    #[test]
    fn all_bodies_together_have_so_much_memory_and_give_it_back() {
        let mut first = Room::default();
        assert!(first.take(MAX_IN_MEMORY));
        let mut second = Room::default();
        assert!(!second.take(MAX_ALL_IN_MEMORY), "the first has some of it");
        drop(first);
        drop(second);
        assert!(IN_MEMORY.load(Ordering::Relaxed) <= MAX_ALL_IN_MEMORY);
    }
}
