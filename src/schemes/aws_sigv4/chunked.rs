//! A body in pieces that AWS's clients send as `aws-chunked`: each piece with a
//! head of its own and, where it is signed, a signature that holds the one before.
//!
//! In: the body's bytes as they arrive. Out: the bytes without the heads. What
//! was given out before an error was found must never end as a whole body.

use super::payload::{Chunked, Trailer};
use super::read::Presented;
use super::{ALGORITHM, EMPTY_SHA256};
use crate::crypto::aws4::DayKey;
use crate::crypto::checksum::{Checksum, Summer};
use crate::crypto::digest::sha256;
use crate::crypto::{DigestAlgorithm, Hasher};
use bytes::Bytes;
use data_encoding::{BASE64, HEXLOWER};
use std::sync::Arc;

/// Bytes that the head of a piece may have.
pub const MAX_CHUNK_HEAD: usize = 256;
/// Bytes that all lines behind the last piece may have.
pub const MAX_TRAILER: usize = 4 * 1024;
/// What comes behind the size of a signed piece.
const CHUNK_SIGNATURE: &str = "chunk-signature=";
/// The line that signs those before it.
const TRAILER_SIGNATURE: &str = "x-amz-trailer-signature";

/// What a body in pieces is checked by.
#[derive(Debug)]
pub struct Chunks {
    /// Where pieces are signed.
    day: Option<DayKey>,
    /// The request's own signature.
    seed: [u8; 32],
    time: String,
    scope: String,
    trailer: Option<Trailer>,
    length: u64,
}

impl PartialEq for Chunks {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Chunks {}

/// What is wrong with a body in pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadChunks {
    /// It is not framed as it should be.
    #[error("the body is not framed as `aws-chunked`: {0}")]
    Framing(&'static str),
    /// A piece, or what comes behind the last, is not signed by the key.
    #[error("the signature of {0} does not match")]
    Signature(&'static str),
    /// The checksum behind the body is not the body's.
    #[error("the body does not match `{}`", .0.field())]
    Checksum(Checksum),
    /// It is not as long as was said.
    #[error("the body does not have the {0} bytes that `X-Amz-Decoded-Content-Length` says")]
    Length(u64),
}

impl Chunks {
    pub(super) fn new(
        presented: &Presented<'_>,
        chunked: Chunked<'_>,
        day: Option<DayKey>,
    ) -> Self {
        Self {
            day,
            seed: presented.signature,
            time: presented.time.text.clone().into_owned(),
            scope: presented.credential.scope_text().to_owned(),
            trailer: chunked.trailer,
            length: chunked.length,
        }
    }

    /// Of a body whose pieces nobody signs, with nothing behind them.
    #[cfg(all(test, feature = "gateway"))]
    pub(crate) const fn unsigned(length: u64) -> Self {
        Self {
            day: None,
            seed: [0; 32],
            time: String::new(),
            scope: String::new(),
            trailer: None,
            length,
        }
    }

    /// Bytes of the body without the heads.
    pub const fn length(&self) -> u64 {
        self.length
    }
}

/// Takes the pieces apart.
#[derive(Debug)]
pub struct Decoder {
    chunks: Arc<Chunks>,
    at: At,
    /// A line of which not all has arrived.
    line: Vec<u8>,
    /// The signature that the next one holds.
    previous: [u8; 32],
    /// That of the piece at hand.
    presented: [u8; 32],
    hasher: Option<Hasher>,
    sum: Option<Summer>,
    total: u64,
    behind: Behind,
    /// Whether what does not match passes and is noted.
    observes: bool,
    is_another: bool,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Head,
    /// So many bytes of the piece.
    Data(u64),
    /// The end of its line.
    DataEnd,
    Trailer,
    Done,
}

/// What came behind the last piece.
#[derive(Debug, Default)]
struct Behind {
    bytes: usize,
    canonical: Vec<u8>,
    checksum: Option<Vec<u8>>,
    is_signed: bool,
}

impl Decoder {
    /// Of a body from its first byte.
    pub fn new(chunks: Arc<Chunks>) -> Self {
        let sum = match chunks.trailer {
            Some(Trailer::Checksum(kind)) => Some(Summer::new(kind)),
            Some(Trailer::Any) | None => None,
        };
        Self {
            at: At::Head,
            line: Vec::new(),
            previous: chunks.seed,
            presented: [0; 32],
            hasher: None,
            sum,
            total: 0,
            behind: Behind::default(),
            chunks,
            observes: false,
            is_another: false,
        }
    }

    /// The same, where signatures and a checksum that do not match are only observed.
    #[must_use]
    pub const fn observing(mut self, observes: bool) -> Self {
        self.observes = observes;
        self
    }

    /// Whether some did not match.
    pub const fn is_another(&self) -> bool {
        self.is_another
    }

    const fn refuse(&mut self, bad: BadChunks) -> Result<(), BadChunks> {
        if self.observes {
            self.is_another = true;
            return Ok(());
        }
        Err(bad)
    }

    /// Takes from the front of `input` up to the next bytes of the body, if it has any.
    ///
    /// # Errors
    /// [`BadChunks`]; nothing may be taken from it thereafter.
    pub fn next(&mut self, input: &mut Bytes) -> Result<Option<Bytes>, BadChunks> {
        while !input.is_empty() {
            match self.at {
                At::Head => {
                    if let Some(line) = self.take_line(input, MAX_CHUNK_HEAD)? {
                        self.head(&line)?;
                    }
                }
                At::Data(left) => {
                    let here = usize::try_from(left).unwrap_or(usize::MAX);
                    let data = input.split_to(here.min(input.len()));
                    if let Some(hasher) = &mut self.hasher {
                        hasher.update(&data);
                    }
                    if let Some(sum) = &mut self.sum {
                        sum.update(&data);
                    }
                    let left = left - data.len() as u64;
                    self.at = At::Data(left);
                    if left == 0 {
                        self.check_chunk()?;
                        self.at = At::DataEnd;
                    }
                    return Ok(Some(data));
                }
                At::DataEnd => {
                    if let Some(line) = self.take_line(input, 2)? {
                        if !line.is_empty() {
                            return Err(BadChunks::Framing("a piece is longer than its head says"));
                        }
                        self.at = At::Head;
                    }
                }
                At::Trailer => {
                    if let Some(line) = self.take_line(input, MAX_TRAILER)? {
                        self.trailer(&line)?;
                    }
                }
                At::Done => return Err(BadChunks::Framing("something comes behind its end")),
            }
        }
        Ok(None)
    }

    /// Whether all of it has come, and holds.
    ///
    /// # Errors
    /// [`BadChunks::Framing`] where something is missing.
    pub fn finish(&self) -> Result<(), BadChunks> {
        if self.is_done() {
            Ok(())
        } else {
            Err(BadChunks::Framing("it ends before its last piece"))
        }
    }

    /// Whether nothing more may come.
    pub fn is_done(&self) -> bool {
        self.at == At::Done
    }

    /// A line without its end, once that is here.
    fn take_line(&mut self, input: &mut Bytes, most: usize) -> Result<Option<Vec<u8>>, BadChunks> {
        let end = memchr::memchr(b'\n', input);
        let part = input.split_to(end.map_or(input.len(), |at| at + 1));
        if self.line.len() + part.len() > most {
            return Err(BadChunks::Framing(match self.at {
                At::DataEnd => "a piece is longer than its head says",
                At::Trailer => "what comes behind it is too long",
                _ => "the head of a piece is too long",
            }));
        }
        self.line.extend_from_slice(&part);
        if end.is_none() {
            return Ok(None);
        }
        let mut line = std::mem::take(&mut self.line);
        line.pop();
        if line.pop_if(|last| *last == b'\r').is_none() {
            return Err(BadChunks::Framing("a line does not end with CR LF"));
        }
        Ok(Some(line))
    }

    /// `SIZE` or `SIZE;chunk-signature=SIGNATURE`.
    fn head(&mut self, line: &[u8]) -> Result<(), BadChunks> {
        const BAD: BadChunks = BadChunks::Framing("the head of a piece cannot be read");
        let line = std::str::from_utf8(line).map_err(|_| BAD)?;
        let (size, extension) = match line.split_once(';') {
            Some((size, extension)) => (size, Some(extension)),
            None => (line, None),
        };
        let is_size = (1..=15).contains(&size.len()) && size.bytes().all(|b| b.is_ascii_hexdigit());
        let size = u64::from_str_radix(size, 16).ok().filter(|_| is_size);
        let size = size.ok_or(BAD)?;
        match (&self.chunks.day, extension) {
            (Some(_), Some(extension)) => {
                let signature = extension.strip_prefix(CHUNK_SIGNATURE);
                self.presented = signature.and_then(signature_of).ok_or(BAD)?;
                self.hasher = Some(Hasher::new(DigestAlgorithm::Sha256));
            }
            (Some(_), None) => return Err(BadChunks::Framing("a piece has no signature")),
            (None, Some(_)) => return Err(BAD),
            (None, None) => {}
        }
        let length = self.chunks.length;
        self.total = self.total.saturating_add(size);
        if self.total > length || size == 0 && self.total != length {
            return Err(BadChunks::Length(length));
        }
        if size > 0 {
            self.at = At::Data(size);
        } else {
            self.check_chunk()?;
            self.at = At::Trailer;
        }
        Ok(())
    }

    fn check_chunk(&mut self) -> Result<(), BadChunks> {
        let (Some(day), Some(hasher)) = (&self.chunks.day, self.hasher.take()) else {
            return Ok(());
        };
        let hash = HEXLOWER.encode(&hasher.finish());
        let text = self.text("PAYLOAD", &[EMPTY_SHA256, &hash]);
        let tag = day.sign(&text);
        if !tag.is(&self.presented) {
            self.refuse(BadChunks::Signature("a piece of the body"))?;
        }
        self.previous = self.presented;
        Ok(())
    }

    fn text(&self, what: &str, more: &[&str]) -> Vec<u8> {
        let previous = HEXLOWER.encode(&self.previous);
        let Chunks { time, scope, .. } = &*self.chunks;
        let mut out = format!("{ALGORITHM}-{what}\n{time}\n{scope}\n{previous}");
        for line in more {
            out.push('\n');
            out.push_str(line);
        }
        out.into_bytes()
    }

    /// `NAME:VALUE`, or the end.
    fn trailer(&mut self, line: &[u8]) -> Result<(), BadChunks> {
        const BAD: BadChunks = BadChunks::Framing("what comes behind it cannot be read");
        if line.is_empty() {
            return self.end();
        }
        if self.chunks.trailer.is_none() || self.behind.is_signed {
            return Err(BadChunks::Framing("something comes behind its end"));
        }
        self.behind.bytes += line.len();
        if self.behind.bytes > MAX_TRAILER {
            return Err(BadChunks::Framing("what comes behind it is too long"));
        }
        let line = std::str::from_utf8(line).map_err(|_| BAD)?;
        let (name, value) = line.split_once(':').ok_or(BAD)?;
        let (name, value) = (name.to_ascii_lowercase(), value.trim());
        if name == TRAILER_SIGNATURE && self.chunks.day.is_some() {
            return self.check_trailer(value);
        }
        if let Some(Trailer::Checksum(kind)) = self.chunks.trailer
            && name == kind.field()
        {
            let sum = BASE64.decode(value.as_bytes()).map_err(|_| BAD)?;
            if self.behind.checksum.replace(sum).is_some() {
                return Err(BadChunks::Framing("its checksum is there twice"));
            }
        }
        let canonical = &mut self.behind.canonical;
        for part in [&*name, ":", value, "\n"] {
            canonical.extend_from_slice(part.as_bytes());
        }
        Ok(())
    }

    fn check_trailer(&mut self, value: &str) -> Result<(), BadChunks> {
        let presented = signature_of(value).ok_or(BadChunks::Framing(
            "the signature of what comes behind it cannot be read",
        ))?;
        let hash = HEXLOWER.encode(&sha256(&[&self.behind.canonical]));
        let text = self.text("TRAILER", &[&hash]);
        let tag = self.chunks.day.as_ref().map(|day| day.sign(&text));
        let holds = tag.is_some_and(|tag| tag.is(&presented));
        if !holds {
            self.refuse(BadChunks::Signature("what comes behind the body"))?;
        }
        self.behind.is_signed = true;
        Ok(())
    }

    fn end(&mut self) -> Result<(), BadChunks> {
        if self.chunks.trailer.is_some() && self.chunks.day.is_some() && !self.behind.is_signed {
            return Err(BadChunks::Framing("what comes behind it has no signature"));
        }
        if let (Some(Trailer::Checksum(kind)), Some(sum)) = (self.chunks.trailer, self.sum.take()) {
            match &self.behind.checksum {
                None => return Err(BadChunks::Framing("the checksum is missing behind it")),
                Some(told) if *told != sum.finish() => self.refuse(BadChunks::Checksum(kind))?,
                Some(_) => {}
            }
        }
        self.at = At::Done;
        Ok(())
    }
}

fn signature_of(text: &str) -> Option<[u8; 32]> {
    super::payload::hex256(text)
}
