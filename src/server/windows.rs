//! How much of its responses an HTTP/2 client has room for, by what it said.
//!
//! The library takes a piece of a response when there is room for one byte of
//! it, the end behind that at once, and tells nobody when the client had room
//! for all of it. Where it surely has, nobody needs to know; elsewhere the end
//! is held back until the last piece has gone, to see how long that takes.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Bytes that each end of a connection, and of a stream, may send unasked (RFC 9113, section 6.9.2).
const AT_FIRST: u64 = 65_535;

const SETTINGS: u8 = 0x4;
const WINDOW_UPDATE: u8 = 0x8;
/// The setting of what a client takes unasked on each stream (RFC 9113, section 6.5.2).
const INITIAL_WINDOW_SIZE: u64 = 0x4;
/// Bytes of a setting.
const SETTING: usize = 6;
/// Bytes of `WINDOW_UPDATE`.
const INCREMENT: usize = 4;

/// The room of one connection.
#[derive(Debug)]
pub(super) struct Windows {
    /// Bytes that the client takes on a stream without being asked.
    a_stream: AtomicU64,
    /// Bytes that it has taken, or said that it takes, on all streams together.
    granted: AtomicU64,
    /// Bytes of responses that went to the library, whether they could be sent or not: after streams that
    /// were reset it may think the room smaller than it is.
    handed: AtomicU64,
    /// In how many pieces.
    pieces: AtomicU64,
}

impl Default for Windows {
    fn default() -> Self {
        Self {
            a_stream: AtomicU64::new(AT_FIRST),
            granted: AtomicU64::new(AT_FIRST),
            handed: AtomicU64::new(0),
            pieces: AtomicU64::new(0),
        }
    }
}

impl Windows {
    /// Whether so many bytes more surely fit, on a stream that had `before`.
    pub(super) fn fit(&self, bytes: usize, before: u64) -> bool {
        let bytes = bytes as u64;
        self.handed.load(Relaxed) + bytes <= self.granted.load(Relaxed)
            && before + bytes <= self.a_stream.load(Relaxed)
    }

    /// What the client takes unasked on a stream, and what it took or said that it takes on all.
    pub(super) fn told(&self) -> (u64, u64) {
        (self.a_stream.load(Relaxed), self.granted.load(Relaxed))
    }

    /// Counts a piece of so many bytes that goes to the library.
    pub(super) fn note_handed(&self, bytes: usize) {
        let handed = self.handed.load(Relaxed) + bytes as u64;
        self.handed.store(handed, Relaxed);
        self.pieces.store(self.pieces() + 1, Relaxed);
    }

    /// How many pieces of responses went to the library.
    pub(super) fn pieces(&self) -> u64 {
        self.pieces.load(Relaxed)
    }
}

/// Reads what a client says of its windows, in whatever pieces it comes.
#[derive(Debug, Default)]
pub(super) struct Listening {
    kind: u8,
    /// Bytes of one thing that is said; 0 where the frame is about something else.
    whole: usize,
    said: [u8; SETTING],
    have: usize,
}

impl Listening {
    /// A frame begins.
    pub(super) fn begin(&mut self, kind: u8, is_of_connection: bool) {
        (self.kind, self.have) = (kind, 0);
        self.whole = match kind {
            SETTINGS => SETTING,
            WINDOW_UPDATE if is_of_connection => INCREMENT,
            _ => 0,
        };
    }

    /// More of its payload.
    pub(super) fn hear(&mut self, payload: &[u8], windows: &Windows) {
        if self.whole == 0 {
            return;
        }
        for byte in payload {
            if let Some(place) = self.said.get_mut(self.have) {
                *place = *byte;
            }
            self.have += 1;
            if self.have == self.whole {
                self.have = 0;
                self.note(windows);
            }
        }
    }

    fn note(&self, windows: &Windows) {
        let number = |bytes: &[u8]| {
            bytes
                .iter()
                .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
        };
        let (name, size) = self.said.split_at(2);
        if self.kind == WINDOW_UPDATE {
            // The first bit says nothing.
            let more = number(self.said.get(..INCREMENT).unwrap_or_default()) & 0x7fff_ffff;
            let granted = windows.granted.load(Relaxed);
            windows.granted.store(granted + more, Relaxed);
        } else if number(name) == INITIAL_WINDOW_SIZE {
            windows.a_stream.store(number(size), Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hear(windows: &Windows, kind: u8, is_of_connection: bool, payload: &[u8], step: usize) {
        let mut listening = Listening::default();
        listening.begin(kind, is_of_connection);
        for piece in payload.chunks(step) {
            listening.hear(piece, windows);
        }
    }

    #[test]
    fn a_client_has_room_for_what_it_takes_unasked_on_a_stream_and_on_all() {
        let windows = Windows::default();
        assert!(windows.fit(65_535, 0));
        assert!(!windows.fit(65_536, 0));
        assert!(windows.fit(1, 65_534));
        assert!(!windows.fit(1, 65_535), "the stream is full");
        windows.note_handed(65_535);
        assert!(!windows.fit(1, 0), "the connection is full");
        hear(&windows, WINDOW_UPDATE, false, &[0, 1, 0, 0], 4);
        assert!(!windows.fit(1, 0), "that was a stream's");
        hear(&windows, WINDOW_UPDATE, true, &[0x80, 0, 0, 3], 4);
        assert!(windows.fit(3, 0));
        assert!(!windows.fit(4, 0));
    }

    #[test]
    fn settings_and_windows_are_read_in_whatever_pieces_they_come() {
        let settings = [
            &[0, 3, 0, 0, 0, 100][..],
            &[0, 4, 0, 0, 1, 0],
            &[0, 5, 0, 0, 0x40, 0],
        ]
        .concat();
        for step in 1..=settings.len() {
            let windows = Windows::default();
            hear(&windows, SETTINGS, true, &settings, step);
            assert!(windows.fit(256, 0), "{step} at a time");
            assert!(!windows.fit(257, 0), "{step} at a time");
            windows.note_handed(65_535);
            hear(&windows, WINDOW_UPDATE, true, &[0, 0, 0, 9], step);
            assert!(windows.fit(9, 0), "{step} at a time");
            assert!(!windows.fit(10, 0), "{step} at a time");
        }
    }

    #[test]
    fn an_acknowledgement_says_nothing() {
        let windows = Windows::default();
        hear(&windows, SETTINGS, true, &[], 1);
        assert!(windows.fit(65_535, 0));
    }
}
