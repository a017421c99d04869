//! A request as somebody pastes it: the raw text of a log or a trace, an entry
//! of a HAR file, or the `curl` line that a browser copies.
//!
//! In: text. Out: [`Pasted`], the request as it would arrive, or what in the
//! text is not understood, and where. It opens no file by itself.

pub mod curl;
pub mod har;
pub mod raw;
pub mod shell;

mod chunks;
mod data;
mod options;
mod url;

use super::paint::short;
use super::stop::Stop;
use crate::client::target_of;
use crate::schemes::authority::without_own_port;
use anyhow::Result;
use http::header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Request, Uri};

/// Headers of a request that are read: more than any gateway takes.
const MAX_HEADERS: usize = 1_000;

/// A request taken from text.
#[derive(Debug)]
pub struct Pasted {
    /// Its head.
    pub parts: Parts,
    /// Its body.
    pub body: Body,
    /// Whether it goes over TLS, where the text tells.
    pub tls: Option<bool>,
    /// What a reader should know of how the text was taken.
    pub notes: Vec<String>,
}

/// A body, as far as the text has it.
#[derive(Debug, PartialEq, Eq)]
pub enum Body {
    /// There is none.
    None,
    /// All of it.
    Whole(Vec<u8>),
    /// All that follows the head, where nothing tells its end: an editor may have put a newline there.
    Rest(Vec<u8>),
    /// The head announces one, the text does not have it.
    NotGiven,
    /// It is in chunks that the gateway refuses, for this reason.
    Broken(&'static str),
}

impl Body {
    /// Its bytes, if the text has them.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Whole(bytes) | Self::Rest(bytes) => Some(bytes),
            Self::None | Self::NotGiven | Self::Broken(_) => None,
        }
    }

    /// The same without the newline that an editor may have put at its end; `None` where there is none.
    pub fn without_newline(&self) -> Option<Self> {
        let Self::Rest(bytes) = self else {
            return None;
        };
        let mut ends = [b"\r\n".as_slice(), b"\n"].into_iter();
        let bytes = ends.find_map(|end| bytes.strip_suffix(end))?;
        Some(Self::Rest(bytes.to_vec()))
    }
}

/// Opens the files that a `curl` line names.
pub type Files<'f> = &'f dyn Fn(&str) -> Result<Vec<u8>, String>;

impl Pasted {
    /// Takes `text` apart, whatever of the three it is. `entry` is which of a HAR
    /// file's entries is meant, from 1.
    ///
    /// # Errors
    /// What is not understood, where, and what to do.
    pub fn read(text: &[u8], entry: Option<usize>, files: Files<'_>) -> Result<Self> {
        let text = without_mark(text);
        let front = text.trim_ascii_start();
        if front.starts_with(b"{") || front.starts_with(b"[") {
            return har::read(front, entry);
        }
        if entry.is_some() {
            return Err(Stop::usage("`--entry` is for HAR files, and this is none").into());
        }
        if curl::is_one(front) {
            return curl::read(front, files);
        }
        raw::read(text)
    }

    /// Whether the request has a body: one of no bytes is none, however it is framed.
    pub const fn has_body(&self) -> bool {
        match &self.body {
            Body::None => false,
            Body::Whole(bytes) => !bytes.is_empty(),
            Body::Rest(_) | Body::NotGiven | Body::Broken(_) => true,
        }
    }
}

/// `text` without the byte order mark that editors on Windows put in front.
pub fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
}

/// A request to an absolute URL, as it goes over the wire.
fn addressed(url: &str, mut parts: Parts, headers: HeaderMap) -> Result<(Parts, bool)> {
    let bad = |why: &str| {
        let hint = if url::authority(url).is_ascii() {
            "`https://api.example.com/orders?page=2` is one; what is not ASCII is percent-encoded"
        } else {
            "a host that is not ASCII is written as it is looked up, `xn--…`: browsers copy it so"
        };
        let shown = short(&url::told(url));
        Stop::failed(format!("the URL `{shown}` is no URL: {why}")).hint(hint)
    };
    let uri: Uri = url.parse().map_err(|why| bad(&format!("{why}")))?;
    // A WebSocket begins as a request of HTTP.
    let scheme = match uri.scheme_str() {
        Some("http" | "ws") => Some("http"),
        Some("https" | "wss") => Some("https"),
        _ => None,
    };
    let (Some(scheme), Some(authority)) = (scheme, uri.authority()) else {
        return Err(bad("it needs `http` or `https`, and a host").into());
    };
    let authority = match authority.as_str().rsplit_once('@') {
        // The user before it goes into `Authorization`, which is the sender's business.
        Some((_, host)) => host,
        None => authority.as_str(),
    };
    let authority = without_own_port(scheme, authority);
    parts.uri = target_of(&uri)
        .parse()
        .map_err(|_| bad("its path cannot be a target"))?;
    parts.headers = headers;
    if !parts.headers.contains_key(HOST) {
        let host = HeaderValue::from_str(authority).map_err(|_| bad("its host is none"))?;
        parts.headers.insert(HOST, host);
    }
    Ok((parts, scheme == "https"))
}

/// A head with nothing in it.
fn no_parts() -> Parts {
    Request::new(()).into_parts().0
}

/// What `Content-Length` announces.
pub(super) fn announced(headers: &HeaderMap) -> Option<usize> {
    let text = headers.get(CONTENT_LENGTH)?.to_str().ok()?;
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}
