//! Checksums that AWS's clients put behind a body. They find what a fault has
//! changed, and nothing that a stranger has: but for the digests none is a
//! matter of cryptography, and SHA-1 is good for nothing else any more.

use super::{DigestAlgorithm, Hasher};
use aws_lc_rs::digest;
use std::fmt;

/// A kind of checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// CRC-32, as in Ethernet and gzip.
    Crc32,
    /// CRC-32C, Castagnoli's.
    Crc32c,
    /// CRC-64/NVME.
    Crc64Nvme,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl Checksum {
    /// Each of them.
    pub const ALL: [Self; 6] = [
        Self::Crc32,
        Self::Crc32c,
        Self::Crc64Nvme,
        Self::Sha1,
        Self::Sha256,
        Self::Sha512,
    ];

    /// The field that holds it.
    pub const fn field(self) -> &'static str {
        match self {
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
            Self::Sha512 => "x-amz-checksum-sha512",
        }
    }

    /// Bytes it has.
    pub const fn size(self) -> usize {
        match self {
            Self::Crc32 | Self::Crc32c => 4,
            Self::Crc64Nvme => 8,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

/// A checksum in the making.
pub struct Summer(State);

enum State {
    Crc(&'static Table, u64),
    Sha1(Box<digest::Context>),
    Sha2(Hasher),
}

impl Summer {
    /// Starts a checksum.
    pub fn new(kind: Checksum) -> Self {
        Self(match kind {
            Checksum::Crc32 => State::Crc(&CRC_32, CRC_32.ones),
            Checksum::Crc32c => State::Crc(&CRC_32C, CRC_32C.ones),
            Checksum::Crc64Nvme => State::Crc(&CRC_64, CRC_64.ones),
            Checksum::Sha1 => State::Sha1(Box::new(digest::Context::new(
                &digest::SHA1_FOR_LEGACY_USE_ONLY,
            ))),
            Checksum::Sha256 => State::Sha2(Hasher::new(DigestAlgorithm::Sha256)),
            Checksum::Sha512 => State::Sha2(Hasher::new(DigestAlgorithm::Sha512)),
        })
    }

    /// Takes the next bytes in.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Crc(table, crc) => *crc = table.update(*crc, bytes),
            State::Sha1(state) => state.update(bytes),
            State::Sha2(state) => state.update(bytes),
        }
    }

    /// The checksum of all that was taken in, its first byte first.
    pub fn finish(self) -> Vec<u8> {
        match self.0 {
            State::Crc(table, crc) => {
                let crc = (crc ^ table.ones).to_be_bytes();
                crc[crc.len() - table.bytes..].to_vec()
            }
            State::Sha1(state) => state.finish().as_ref().to_vec(),
            State::Sha2(state) => state.finish(),
        }
    }
}

impl fmt::Debug for Summer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Summer(..)")
    }
}

/// Eight bytes are taken at a time: what a byte makes of the remainder when as
/// many bytes come behind it.
struct Table {
    bytes: usize,
    ones: u64,
    steps: [[u64; 256]; 8],
}

static CRC_32: Table = Table::new(0xedb8_8320, 4);
static CRC_32C: Table = Table::new(0x82f6_3b78, 4);
static CRC_64: Table = Table::new(0x9a6c_9329_ac4b_c9b5, 8);

impl Table {
    /// Of a polynomial whose bits are written in reverse.
    const fn new(polynomial: u64, bytes: usize) -> Self {
        let mut steps = [[0; 256]; 8];
        let mut byte = 0;
        while byte < 256 {
            let mut crc = byte as u64;
            let mut bit = 0;
            while bit < 8 {
                crc = if crc & 1 == 1 {
                    crc >> 1 ^ polynomial
                } else {
                    crc >> 1
                };
                bit += 1;
            }
            steps[0][byte] = crc;
            byte += 1;
        }
        let mut behind = 1;
        while behind < 8 {
            let mut byte = 0;
            while byte < 256 {
                let crc = steps[behind - 1][byte];
                steps[behind][byte] = crc >> 8 ^ steps[0][(crc & 0xff) as usize];
                byte += 1;
            }
            behind += 1;
        }
        let ones = if bytes == 8 { u64::MAX } else { 0xffff_ffff };
        Self { bytes, ones, steps }
    }

    fn update(&self, mut crc: u64, bytes: &[u8]) -> u64 {
        let mut eights = bytes.chunks_exact(8);
        for eight in &mut eights {
            let mut word = [0; 8];
            word.copy_from_slice(eight);
            let word = (u64::from_le_bytes(word) ^ crc).to_le_bytes();
            crc = 0;
            for (behind, byte) in word.iter().rev().enumerate() {
                crc ^= self.steps[behind][*byte as usize];
            }
        }
        for byte in eights.remainder() {
            crc = crc >> 8 ^ self.steps[0][(crc as u8 ^ byte) as usize];
        }
        crc
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::HEXLOWER;

    fn of(kind: Checksum, pieces: &[&[u8]]) -> String {
        let mut sum = Summer::new(kind);
        for piece in pieces {
            sum.update(piece);
        }
        let sum = sum.finish();
        assert_eq!(sum.len(), kind.size());
        HEXLOWER.encode(&sum)
    }

    /// The check values of the catalogue of CRCs, and of FIPS 180.
    #[test]
    fn checksums_are_those_of_their_catalogue() {
        for (kind, sum) in [
            (Checksum::Crc32, "cbf43926"),
            (Checksum::Crc32c, "e3069283"),
            (Checksum::Crc64Nvme, "ae8b14860a799888"),
            (Checksum::Sha1, "f7c3bc1d808e04732adf679965ccc34ca7ae3441"),
            (
                Checksum::Sha256,
                "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
            ),
            (
                Checksum::Sha512,
                "d9e6762dd1c8eaf6d61b3c6192fc408d4d6d5f1176d0c29169bc24e71c3f274ad27fcd5811b313d681f7e55ec02d73d499c95455b6b5bb503acf574fba8ffe85",
            ),
        ] {
            assert_eq!(of(kind, &[b"123456789"]), sum, "{kind:?}");
        }
    }

    #[test]
    fn pieces_make_the_same_as_the_whole() {
        let bytes: Vec<u8> = (0..=255).cycle().take(1_000).collect();
        for kind in Checksum::ALL {
            let whole = of(kind, &[&bytes]);
            for cut in [0, 1, 7, 8, 9, 63, 500, 999] {
                let (front, rest) = bytes.split_at(cut);
                assert_eq!(of(kind, &[front, rest]), whole, "{kind:?} {cut}");
            }
        }
    }
}
