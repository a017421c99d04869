//! Digests of bodies, whole or as they stream.

use super::blocks;
use sha2::{Digest as _, Sha256, Sha512};

/// A digest algorithm of RFC 9530's registry that is still safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DigestAlgorithm {
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl DigestAlgorithm {
    /// Every algorithm we accept, in the order they are documented.
    pub const ALL: [Self; 2] = [Self::Sha256, Self::Sha512];

    /// The key in `Content-Digest`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha-256",
            Self::Sha512 => "sha-512",
        }
    }

    /// Bytes in a digest.
    pub const fn size(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }

    /// The algorithm of that name, if we accept it.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }
}

/// A digest in the making.
#[derive(Clone, Debug)]
pub struct Hasher(State);

#[derive(Clone, Debug)]
enum State {
    Sha256(Sha256),
    Sha512(Box<Sha512>),
}

impl Hasher {
    /// Starts a digest.
    pub fn new(algorithm: DigestAlgorithm) -> Self {
        Self(match algorithm {
            DigestAlgorithm::Sha256 => State::Sha256(Sha256::new()),
            DigestAlgorithm::Sha512 => State::Sha512(Box::default()),
        })
    }

    /// Takes the next bytes in.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Sha256(state) => state.update(bytes),
            State::Sha512(state) => state.update(bytes),
        }
    }

    /// The digest of all that was taken in.
    pub fn finish(self) -> Vec<u8> {
        match self.0 {
            State::Sha256(state) => state.finalize().to_vec(),
            State::Sha512(state) => state.finalize().to_vec(),
        }
    }
}

/// SHA-256 of texts that begin alike: what they have in common is hashed once.
#[derive(Clone, Debug)]
pub struct Begun256 {
    state: Sha256,
    bytes: usize,
}

impl Begun256 {
    /// Takes in how they begin.
    pub fn new(parts: &[&[u8]]) -> Self {
        let mut state = Sha256::new();
        for part in parts {
            state.update(part);
        }
        let bytes = parts.iter().map(|part| part.len()).sum();
        blocks::of_whole(bytes);
        Self { state, bytes }
    }

    /// The digest of the one that ends so.
    pub fn end(&self, rest: &[u8]) -> [u8; 32] {
        blocks::of_rest(self.bytes, rest.len());
        let mut state = self.state.clone();
        state.update(rest);
        state.finalize().into()
    }
}

/// SHA-256 of `parts`, one after another.
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut state = Sha256::new();
    for part in parts {
        state.update(part);
    }
    blocks::of_text(parts.iter().map(|part| part.len()).sum());
    state.finalize().into()
}
