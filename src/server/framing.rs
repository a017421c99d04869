//! Which bytes of a connection are head, which body (RFC 9112), without a socket.
//!
//! Open to other crates so that it can be fuzzed against the HTTP library.

use super::Fault;
use super::chunks::{self, Chunks};
use super::head::{self, Body, Head};

/// Follows the framing of all requests of one connection.
#[derive(Debug)]
pub struct Framing {
    state: State,
    heads: u64,
}

#[derive(Debug)]
enum State {
    Head(Head),
    Length(u64),
    Chunks(Chunks),
    /// Behind a head that asks to switch protocols.
    Undecided,
}

/// What may be let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// So many bytes are clean; what stands behind them is part of a head.
    pub clear: usize,
    /// Why nothing behind them will ever be.
    pub end: Option<End>,
}

/// How the input of a connection ends early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Where a head should be there is none.
    Head(Fault),
    /// A body is not what its head said.
    Body(&'static str),
}

/// What is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaits {
    /// A request, of which not a byte is there.
    Request,
    /// The rest of a head.
    Head,
    /// More of a body.
    Body,
}

impl Default for Framing {
    fn default() -> Self {
        Self {
            state: State::Head(Head::default()),
            heads: 0,
        }
    }
}

impl Framing {
    /// A connection of which no byte has arrived.
    pub fn new() -> Self {
        Self::default()
    }

    /// Complete heads so far.
    pub const fn heads(&self) -> u64 {
        self.heads
    }

    /// What is missing behind `held`, the bytes that were not clear so far.
    pub fn awaits(&self, held: &[u8]) -> Awaits {
        match &self.state {
            State::Head(reading) if reading.has_begun(held) => Awaits::Head,
            State::Head(_) => Awaits::Request,
            State::Length(_) | State::Chunks(_) | State::Undecided => Awaits::Body,
        }
    }

    /// Whether what follows is neither head nor body yet: the last head asked
    /// to switch protocols. Nothing more is clear until [`Framing::go_on`].
    pub const fn is_undecided(&self) -> bool {
        matches!(self.state, State::Undecided)
    }

    /// The protocol is not switched: what follows is the next head.
    pub fn go_on(&mut self) {
        if self.is_undecided() {
            self.state = State::Head(Head::default());
        }
    }

    /// Follows `bytes`, which start with what was not clear the last time.
    /// After an end it must not be called again.
    pub fn follow(&mut self, bytes: &[u8]) -> Verdict {
        let mut clear = 0;
        let end = loop {
            let rest = bytes.get(clear..).unwrap_or_default();
            if rest.is_empty() {
                break None;
            }
            match &mut self.state {
                State::Head(head) => match head.read(rest) {
                    head::Progress::More => break None,
                    head::Progress::Complete { bytes, body } => {
                        clear += bytes;
                        self.heads += 1;
                        self.state = State::behind_head(body);
                    }
                    head::Progress::Fault(fault) => break Some(End::Head(fault)),
                },
                State::Undecided => break None,
                State::Length(left) => {
                    let here = (*left).min(rest.len() as u64);
                    clear += here as usize;
                    *left -= here;
                    if *left == 0 {
                        self.state = State::Head(Head::default());
                    }
                }
                State::Chunks(chunks) => match chunks.follow(rest) {
                    chunks::Progress::More => clear += rest.len(),
                    chunks::Progress::Complete { bytes } => {
                        clear += bytes;
                        self.state = State::Head(Head::default());
                    }
                    chunks::Progress::Bad(why) => break Some(End::Body(why)),
                },
            }
        };
        Verdict { clear, end }
    }
}

impl State {
    fn behind_head(body: Body) -> Self {
        match body {
            Body::None => Self::Head(Head::default()),
            Body::Length(length) => Self::Length(length),
            Body::Chunked => Self::Chunks(Chunks::START),
            Body::Undecided => Self::Undecided,
        }
    }
}
