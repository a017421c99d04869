//! What a file of the journal looks like: a head, a seal, a note, the rest of the head, then slots.

use super::life::Held;

/// Bytes before the first slot.
pub(super) const FIRST_SLOT: u64 = 128;
const _: () = assert!(REST + 24 == FIRST_SLOT as usize);
/// Where the seal lies.
pub(super) const SEAL_AT: u64 = HEAD as u64;
/// What versions before wrote there, which did not tell how many slots there are.
pub(super) const UNCOUNTED: [u8; 8] = *b"complete";
/// Bytes of a slot. A page holds a whole number of them, so that none is half on the disk.
pub(super) const SLOT: usize = 32;

/// Where the note lies: which damage a later head covers, see [`Head::note`].
pub(super) const NOTE_AT: u64 = SEAL_AT + UNCOUNTED.len() as u64;

const HEAD: usize = 88;
/// Where the rest of the head lies; zeros in files of versions that knew none.
const REST: usize = NOTE_AT as usize + 8;
const MAGIC: [u8; 8] = *b"pcproof3";

/// The head of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// The boot of the machine in which it was written; zeros when that is not known.
    pub(super) boot: [u8; 16],
    /// When it was made, Unix time.
    pub(super) opened: i64,
    /// Proofs made at or before this second may have been used before the file was made.
    pub(super) floor: i64,
    /// The second before which proofs may end that no file holds any more.
    pub(super) forgotten: i64,
    /// How long its proofs are remembered, in seconds.
    pub(super) life: i64,
    /// Proofs that were made under a shorter one.
    pub(super) held: Held,
    /// Differs for every file, so that no slot of one passes in another.
    pub(super) salt: u64,
    /// How far ahead its proofs may be made, in seconds; zero where it does not tell.
    pub(super) skew: i64,
    /// Where the floor is told by the clock, as it was: below which second it never lies. Nothing of a floor that stays.
    pub(super) least: Option<i64>,
}

/// What lies before the slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Front {
    pub(super) head: Head,
    /// Zeros until nothing more will be written and all is on the disk.
    pub(super) seal: [u8; 8],
    pub(super) note: [u8; 8],
}

impl Front {
    pub(super) fn is_sealed(&self) -> bool {
        self.seal != [0; 8]
    }

    /// Whether its seal tells how many slots there are.
    pub(super) fn is_counted(&self) -> bool {
        self.is_sealed() && self.seal != UNCOUNTED
    }

    /// Whether its seal tells of more slots, or fewer.
    pub(super) fn is_cut(&self, slots: u64) -> bool {
        self.is_counted() && self.seal != self.head.seal(slots)
    }
}

impl Head {
    pub(super) fn encode(&self) -> [u8; FIRST_SLOT as usize] {
        let mut bytes = [0; FIRST_SLOT as usize];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..24].copy_from_slice(&self.boot);
        bytes[24..32].copy_from_slice(&self.opened.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.floor.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.forgotten.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.salt.to_le_bytes());
        bytes[56..64].copy_from_slice(&self.life.to_le_bytes());
        bytes[64..72].copy_from_slice(&self.held.made.to_le_bytes());
        bytes[72..80].copy_from_slice(&self.held.seconds.to_le_bytes());
        bytes[80..HEAD].copy_from_slice(&self.check().to_le_bytes());
        bytes[REST..REST + 8].copy_from_slice(&self.skew.to_le_bytes());
        bytes[REST + 8..REST + 16].copy_from_slice(&self.moves().to_le_bytes());
        bytes[REST + 16..].copy_from_slice(&self.check_rest().to_le_bytes());
        bytes
    }

    /// `None` when the head is damaged.
    pub(super) fn decode(bytes: &[u8; FIRST_SLOT as usize]) -> Option<Front> {
        let (magic, rest) = bytes.split_first_chunk::<8>()?;
        let (boot, rest) = rest.split_first_chunk::<16>()?;
        let (opened, rest) = rest.split_first_chunk::<8>()?;
        let (floor, rest) = rest.split_first_chunk::<8>()?;
        let (forgotten, rest) = rest.split_first_chunk::<8>()?;
        let (salt, rest) = rest.split_first_chunk::<8>()?;
        let (life, rest) = rest.split_first_chunk::<8>()?;
        let (held_made, rest) = rest.split_first_chunk::<8>()?;
        let (held_seconds, rest) = rest.split_first_chunk::<8>()?;
        let (check, rest) = rest.split_first_chunk::<8>()?;
        let (seal, rest) = rest.split_first_chunk::<8>()?;
        let (note, rest) = rest.split_first_chunk::<8>()?;
        let (skew, ends) = rest.split_first_chunk::<8>()?;
        let (least, ends) = ends.split_first_chunk::<8>()?;
        let (check_rest, _) = ends.split_first_chunk::<8>()?;
        let head = Self {
            boot: *boot,
            opened: i64::from_le_bytes(*opened),
            floor: i64::from_le_bytes(*floor),
            forgotten: i64::from_le_bytes(*forgotten),
            salt: u64::from_le_bytes(*salt),
            life: i64::from_le_bytes(*life),
            held: Held {
                made: i64::from_le_bytes(*held_made),
                seconds: i64::from_le_bytes(*held_seconds),
            },
            skew: i64::from_le_bytes(*skew),
            least: Some(i64::from_le_bytes(*least)).filter(|least| *least != 0),
        };
        let has_no_rest = rest.iter().all(|byte| *byte == 0);
        let whole = *magic == MAGIC
            && u64::from_le_bytes(*check) == head.check()
            && (has_no_rest || u64::from_le_bytes(*check_rest) == head.check_rest());
        whole.then_some(Front {
            head,
            seal: *seal,
            note: *note,
        })
    }

    /// What lies at [`SEAL_AT`] once nothing more will be written than these slots, and all of them are on the disk.
    pub(super) fn seal(&self, slots: u64) -> [u8; 8] {
        fold(self.check() ^ A, slots ^ B).to_le_bytes()
    }

    /// What is noted in the file once a later head is on the disk that covers it that so many of its slots are damaged.
    /// With more of them the note counts no longer.
    pub(super) fn note(&self, damaged: u64) -> [u8; 8] {
        fold(self.check() ^ C, damaged ^ A).to_le_bytes()
    }

    fn check(&self) -> u64 {
        let boot = u128::from_le_bytes(self.boot);
        let boot = fold(boot as u64 ^ A, (boot >> 64) as u64 ^ B);
        let times = fold(self.opened as u64 ^ boot, self.floor as u64 ^ A);
        let held = fold(self.held.made as u64 ^ A, self.held.seconds as u64 ^ B);
        let lives = fold(held ^ C, self.life as u64 ^ A);
        let known = fold(times ^ B, self.forgotten as u64 ^ C);
        fold(fold(known ^ A, self.salt ^ A), lives ^ B)
    }

    /// As it is written: zero is nothing.
    fn moves(&self) -> i64 {
        self.least
            .map_or(0, |least| if least == 0 { 1 } else { least })
    }

    fn check_rest(&self) -> u64 {
        let rest = fold(self.skew as u64 ^ B, self.moves() as u64 ^ C);
        fold(self.check() ^ B, rest ^ A)
    }
}

/// A slot as it lies in the file with `salt`, at `index`.
pub(super) fn encode_slot(id: [u8; 16], until: i64, salt: u64, index: u64) -> [u8; SLOT] {
    let mut bytes = [0; SLOT];
    bytes[..16].copy_from_slice(&id);
    bytes[16..24].copy_from_slice(&until.to_le_bytes());
    bytes[24..].copy_from_slice(&check(id, until, salt, index).to_le_bytes());
    bytes
}

/// What a slot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    /// Nothing was written. We leave no such place before another.
    Free,
    /// A proof, and its last second.
    Used([u8; 16], i64),
    /// Something that we did not write.
    Damaged,
}

pub(super) fn decode_slot(bytes: &[u8; SLOT], salt: u64, index: u64) -> Slot {
    if *bytes == [0; SLOT] {
        return Slot::Free;
    }
    let mut id = [0; 16];
    let mut numbers = [[0; 8]; 2];
    id.copy_from_slice(&bytes[..16]);
    numbers[0].copy_from_slice(&bytes[16..24]);
    numbers[1].copy_from_slice(&bytes[24..]);
    let until = i64::from_le_bytes(numbers[0]);
    if u64::from_le_bytes(numbers[1]) == check(id, until, salt, index) {
        Slot::Used(id, until)
    } else {
        Slot::Damaged
    }
}

fn check(id: [u8; 16], until: i64, salt: u64, index: u64) -> u64 {
    let id = u128::from_le_bytes(id);
    let id = fold(id as u64 ^ salt, (id >> 64) as u64 ^ A);
    fold(id ^ B, until as u64 ^ index.rotate_left(40) ^ C)
}

// Digits of pi: nothing up the sleeve, and no zero factors.
const A: u64 = 0x243f_6a88_85a3_08d3;
const B: u64 = 0x1319_8a2e_0370_7344;
const C: u64 = 0xa409_3822_299f_31d0;

/// Mixes two numbers so that every bit of both tells in the result.
pub(super) const fn fold(a: u64, b: u64) -> u64 {
    let product = a as u128 * b as u128;
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD_OF_A_FILE: Head = Head {
        boot: [9; 16],
        opened: 1_700_000_000,
        floor: i64::MIN,
        forgotten: 1_600_000_000,
        salt: 0x1234_5678_9abc_def0,
        life: 360,
        held: Held {
            made: 1_650_000_000,
            seconds: 120,
        },
        skew: 30,
        least: Some(1_699_999_000),
    };

    /// It, in a file that is not sealed and on which nothing was noted.
    const fn front(head: Head) -> Front {
        let (seal, note) = ([0; 8], [0; 8]);
        Front { head, seal, note }
    }

    #[test]
    fn what_is_written_is_read() {
        let mut bytes = HEAD_OF_A_FILE.encode();
        let told = Head::decode(&bytes).unwrap();
        assert_eq!(told, front(HEAD_OF_A_FILE));
        assert!(!told.is_sealed() && !told.is_cut(7));
        for (seal, counts) in [(HEAD_OF_A_FILE.seal(7), true), (UNCOUNTED, false)] {
            bytes[SEAL_AT as usize..][..seal.len()].copy_from_slice(&seal);
            let told = Head::decode(&bytes).unwrap();
            assert!(told.is_sealed() && !told.is_cut(7));
            assert_eq!(told.is_counted(), counts);
            assert_eq!((told.is_cut(6), told.is_cut(8)), (counts, counts));
        }
        let note = HEAD_OF_A_FILE.note(1);
        bytes[NOTE_AT as usize..][..note.len()].copy_from_slice(&note);
        assert_eq!(Head::decode(&bytes).map(|front| front.note), Some(note));
        assert_ne!(HEAD_OF_A_FILE.note(2), note);

        let slot = encode_slot([3; 16], 77, 5, 1_000);
        assert_eq!(decode_slot(&slot, 5, 1_000), Slot::Used([3; 16], 77));
        assert_eq!(decode_slot(&[0; SLOT], 5, 1_000), Slot::Free);
    }

    #[test]
    fn any_changed_bit_is_damage() {
        for bit in (0..HEAD * 8).chain(REST * 8..FIRST_SLOT as usize * 8) {
            let mut bytes = HEAD_OF_A_FILE.encode();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Head::decode(&bytes), None, "bit {bit}");
        }
        for bit in 0..SLOT * 8 {
            let mut slot = encode_slot([3; 16], 77, 5, 1_000);
            slot[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode_slot(&slot, 5, 1_000), Slot::Damaged, "bit {bit}");
        }
    }

    #[test]
    fn a_head_without_the_rest_is_read_as_one_that_tells_nothing_of_it() {
        let mut bytes = HEAD_OF_A_FILE.encode();
        bytes[REST..].fill(0);
        let told = Head {
            skew: 0,
            least: None,
            ..HEAD_OF_A_FILE
        };
        assert_eq!(Head::decode(&bytes), Some(front(told)));
    }

    #[test]
    fn a_slot_counts_in_its_own_place_only() {
        let slot = encode_slot([3; 16], 77, 5, 1_000);
        assert_eq!(decode_slot(&slot, 6, 1_000), Slot::Damaged);
        assert_eq!(decode_slot(&slot, 5, 1_001), Slot::Damaged);
    }

    #[test]
    fn a_file_of_the_wrong_shape_is_damaged() {
        assert_eq!(Head::decode(&[0; FIRST_SLOT as usize]), None);
        assert_eq!(Head::decode(&[0xff; FIRST_SLOT as usize]), None);
    }
}
