//! An answer, from head to end, in the bytes as they arrive.
//!
//! [`Reading`] does the same without a connection: open to other crates so
//! that it can be fuzzed.

use super::framing::{Framing, Step};
use super::head::{Head, Reader};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode};

/// How far the reading of an answer is.
#[derive(Debug)]
pub(super) enum Answer {
    Head(Reader),
    Body(Framing),
}

impl Answer {
    pub(super) fn none_yet() -> Self {
        Self::Head(Reader::default())
    }

    /// Whether all of it was read.
    pub(super) const fn is_over(&self) -> bool {
        matches!(self, Self::Body(framing) if framing.is_over())
    }

    /// The final head, once all of it is there. What comes behind it is the body.
    pub(super) fn head(
        &mut self,
        arrived: &mut BytesMut,
        asked: &Method,
    ) -> Result<Option<Head>, &'static str> {
        let Self::Head(reader) = self else {
            return Err("it has one head only");
        };
        let head = reader.read(arrived, asked)?;
        if let Some(head) = &head {
            *self = Self::Body(head.framing);
        }
        Ok(head)
    }

    /// What comes next of the body.
    pub(super) fn step(&mut self, arrived: &mut BytesMut) -> Result<Step, &'static str> {
        match self {
            Self::Body(framing) => framing.next(arrived),
            Self::Head(_) => Ok(Step::More),
        }
    }

    /// Whether the answer is whole when the server closes here.
    pub(super) fn ends_with_the_connection(&mut self) -> bool {
        if let Self::Body(framing @ Framing::UntilClose) = self {
            *framing = Framing::Length(0);
        }
        self.is_over()
    }
}

/// One answer, read from bytes that somebody brings.
#[derive(Debug)]
pub struct Reading {
    asked: Method,
    arrived: BytesMut,
    answer: Answer,
}

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub enum Part {
    /// The head of the final answer.
    Head {
        /// Its status.
        status: StatusCode,
        /// Its fields.
        fields: HeaderMap,
        /// Whether the server takes another request behind it.
        keeps_open: bool,
    },
    /// Bytes of its body.
    Data(Bytes),
    /// Its trailers: it is over.
    Trailers(HeaderMap),
    /// It is over.
    End,
}

impl Reading {
    /// Of the answer to a request with this method.
    pub fn answer_to(asked: Method) -> Self {
        Self {
            asked,
            arrived: BytesMut::new(),
            answer: Answer::none_yet(),
        }
    }

    /// Brings what the server sent next.
    pub fn bring(&mut self, bytes: &[u8]) {
        self.arrived.extend_from_slice(bytes);
    }

    /// Bytes that were brought and not read yet.
    pub fn held(&self) -> usize {
        self.arrived.len()
    }

    /// What comes next; `None` when more has to be brought first.
    ///
    /// # Errors
    /// What is wrong with it. Nothing behind it means anything.
    pub fn read(&mut self) -> Result<Option<Part>, &'static str> {
        if matches!(self.answer, Answer::Head(_)) {
            let head = self.answer.head(&mut self.arrived, &self.asked)?;
            return Ok(head.map(|head| Part::Head {
                status: head.parts.status,
                fields: head.parts.headers,
                keeps_open: head.keeps_open,
            }));
        }
        Ok(match self.answer.step(&mut self.arrived)? {
            Step::Data(data) => Some(Part::Data(data)),
            Step::Trailers(fields) => Some(Part::Trailers(fields)),
            Step::End => Some(Part::End),
            Step::More => None,
        })
    }

    /// Whether the answer is whole when the server closes here.
    pub fn ends_with_the_connection(mut self) -> bool {
        self.answer.ends_with_the_connection()
    }
}
