//! The frames of HTTP/2, in bytes that come in pieces of any size (RFC 9113, section 4.1).

/// Bytes of a frame's head.
pub const HEAD: usize = 9;
/// The kind of a frame that carries a body.
pub const DATA: u8 = 0x0;
/// The flag of the last frame of a body.
pub const END_STREAM: u8 = 0x1;
/// The flag of a frame that has padding, whose length comes first.
const PADDED: u8 = 0x8;
/// Bytes that padding takes, with its length.
const MOST_PADDING: usize = 256;

/// Frames of bodies that bring nothing, not even the end, after one more of which the HTTP/2 library ends a connection, with
/// all that is under way on it, however far apart they come. Nobody can set that.
pub const MOST_EMPTY: usize = 100;
/// So many are left to requests that bring more than one.
const EMPTY_SPARE: usize = 50;

/// Whether a connection on which so many of them came could be ended so, were it given further requests beside those in flight.
pub fn wears_out(came: usize, in_flight: usize) -> bool {
    came > 0 && came + in_flight.max(EMPTY_SPARE) >= MOST_EMPTY
}

/// What a frame's head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Bytes of payload behind it.
    pub length: usize,
    /// What it is about.
    pub kind: u8,
    /// Flags, whose meaning is the kind's.
    pub flags: u8,
    /// The stream that it is of, with the reserved bit as it came.
    pub stream: u32,
}

impl Head {
    /// Whether it ends the body that it is of.
    pub const fn ends(&self) -> bool {
        self.flags & END_STREAM != 0
    }

    /// Whether it is of a body, of which it may bring nothing, not even the end: what is padded may be all padding.
    pub const fn is_empty_data(&self) -> bool {
        let most = if self.flags & PADDED == 0 {
            0
        } else {
            MOST_PADDING
        };
        self.kind == DATA && self.length <= most && !self.ends()
    }
}

/// What comes next of a walk.
#[derive(Debug, PartialEq, Eq)]
pub enum Part<'b> {
    /// A frame's head is complete.
    Head(Head),
    /// Some of what stands behind it.
    Payload(&'b [u8]),
}

/// Follows frames by their heads.
#[derive(Debug)]
pub struct Walk {
    head: [u8; HEAD],
    /// So much of a frame's head is there.
    have: usize,
    /// Bytes of a payload that are still to come.
    payload: usize,
}

impl Walk {
    /// Of frames that begin behind so many bytes.
    pub const fn behind(bytes: usize) -> Self {
        Self {
            head: [0; HEAD],
            have: 0,
            payload: bytes,
        }
    }

    /// Bytes of a payload that are still to come.
    pub const fn payload(&self) -> usize {
        self.payload
    }

    /// Whether the next byte is the first one of a frame.
    pub const fn is_between_frames(&self) -> bool {
        self.have == 0 && self.payload == 0
    }

    /// Takes the next part off `bytes`; `None` where there is no more in them.
    pub fn next<'b>(&mut self, bytes: &mut &'b [u8]) -> Option<Part<'b>> {
        if self.payload > 0 && !bytes.is_empty() {
            let (payload, rest) = bytes.split_at(self.payload.min(bytes.len()));
            self.payload -= payload.len();
            *bytes = rest;
            return Some(Part::Payload(payload));
        }
        while let Some((byte, rest)) = bytes.split_first() {
            *bytes = rest;
            if let Some(place) = self.head.get_mut(self.have) {
                *place = *byte;
            }
            self.have += 1;
            if self.have == HEAD {
                self.have = 0;
                return Some(Part::Head(self.begin()));
            }
        }
        None
    }

    const fn begin(&mut self) -> Head {
        let [a, b, c, kind, flags, stream @ ..] = self.head;
        self.payload = u32::from_be_bytes([0, a, b, c]) as usize;
        Head {
            length: self.payload,
            kind,
            flags,
            stream: u32::from_be_bytes(stream),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_found_however_their_bytes_come() {
        let bytes = [
            &b"preface"[..],
            &[0, 0, 3, DATA, END_STREAM, 0, 0, 0, 5],
            b"abc",
            &[0, 0, 0, DATA, 0, 0, 0, 1, 2],
            &[0, 1, 0, 6, 0, 0x80, 0, 0, 0],
            &[7; 256],
        ]
        .concat();
        let padded = |length, flags| Head {
            length,
            kind: DATA,
            flags,
            stream: 1,
        };
        assert!(padded(256, PADDED).is_empty_data());
        assert!(!padded(257, PADDED).is_empty_data());
        assert!(!padded(1, 0).is_empty_data());
        assert!(!padded(1, PADDED | END_STREAM).is_empty_data());
        for step in 1..=bytes.len() {
            let mut walk = Walk::behind(7);
            let (mut heads, mut payload) = (Vec::new(), Vec::new());
            for mut piece in bytes.chunks(step) {
                while let Some(part) = walk.next(&mut piece) {
                    match part {
                        Part::Head(head) => heads.push(head),
                        Part::Payload(some) => payload.extend_from_slice(some),
                    }
                }
            }
            assert!(walk.is_between_frames(), "{step} at a time");
            let told: Vec<_> = heads
                .iter()
                .map(|head| (head.length, head.kind, head.ends(), head.stream))
                .collect();
            let wanted = [
                (3, DATA, true, 5),
                (0, DATA, false, 258),
                (256, 6, false, 0x8000_0000),
            ];
            assert_eq!(told, wanted, "{step} at a time");
            assert_eq!(heads.iter().filter(|head| head.is_empty_data()).count(), 1);
            assert_eq!(payload, [&b"prefaceabc"[..], &[7; 256]].concat());
        }
    }
}
