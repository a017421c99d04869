//! The request as received: the one source for signing, matching and forwarding.
//!
//! In: the head that the HTTP library parsed. Out: [`Received`], borrowed
//! from it, or [`Malformed`]: what one reader could take for another request
//! than the next is refused here, before anything is looked up.

mod fields;
mod framing;
mod held;
mod target;

use super::authority::{normal_authority, split_port};
use crate::crypto::certificate::Certificate;
use crate::route::{Ambiguous, Path};
use fields::Shown;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, Uri};
use std::borrow::Cow;
use target::{host, target_form};

pub use fields::{Field, Lines};

/// Bytes a request target may have.
pub const MAX_TARGET: usize = 8 * 1024;
/// Fields a request may have.
pub const MAX_FIELDS: usize = 100;
/// Bytes all fields of a request may have together.
pub const MAX_HEAD: usize = 32 * 1024;
/// Names that `Connection` may hold, of a request or an answer: each is compared with each field.
pub const MAX_NOMINATED: usize = 32;

/// How the target was written (RFC 9112, section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetForm {
    /// `/path?query`, and every HTTP/2 request.
    Origin,
    /// `http://host/path?query`.
    Absolute,
    /// `*`, of `OPTIONS`.
    Asterisk,
}

/// A request's head, checked, borrowed, unchanged.
#[derive(Clone, Debug)]
pub struct Received<'r> {
    method: &'r Method,
    scheme: &'r str,
    sent_authority: &'r str,
    authority: Cow<'r, str>,
    /// Bytes of it that are the host.
    host: usize,
    target: &'r str,
    form: TargetForm,
    path: Path<'r>,
    query: Option<&'r str>,
    fields: &'r HeaderMap,
    shown: Shown<'r>,
    has_body: bool,
    has_untold_length: bool,
    is_http2: bool,
    certificate: Option<&'r Certificate>,
    body_hash: Option<&'r [u8; 32]>,
    body: Option<&'r [u8]>,
}

/// What callers take us for, when it is not what arrives here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    /// `http` or `https`.
    pub scheme: Box<str>,
    /// Host, and port unless it is the scheme's own.
    pub authority: Box<str>,
}

impl PublicUrl {
    /// The host alone.
    pub fn host(&self) -> &str {
        split_port(&self.authority).0
    }
}

/// What surrounds a head on its connection.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'r> {
    /// Whether the connection is TLS.
    pub tls: bool,
    /// Whether it is HTTP/2, whose target parts arrive apart: that is no absolute form.
    pub http2: bool,
    /// Whether the request has a body, be it an empty one of unknown length.
    pub has_body: bool,
    /// `[server] public_url`.
    pub public_url: Option<&'r PublicUrl>,
}

/// Why a head is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The path has two readings.
    #[error("the path is ambiguous: {0}")]
    Path(#[from] Ambiguous),
    /// The target is longer than [`MAX_TARGET`].
    #[error("the target has {0} bytes; at most {MAX_TARGET} are accepted")]
    TargetTooLong(usize),
    /// More than [`MAX_FIELDS`] fields or [`MAX_HEAD`] bytes.
    #[error("the head is too large; at most {MAX_FIELDS} fields and {MAX_HEAD} bytes are accepted")]
    HeadTooLarge,
    /// No, or more than one, or a bad `Host` or `:authority`.
    #[error("{0}")]
    Host(&'static str),
    /// The target's form does not fit.
    #[error("{0}")]
    Target(&'static str),
    /// The method is none we pass on.
    #[error("the method `{0}` is not accepted")]
    Method(Box<str>),
    /// A field that may stand once stands twice.
    #[error("the field `{0}` is there more than once")]
    Repeated(HeaderName),
    /// `Connection` names a field that must reach us.
    #[error("`Connection` names the field `{0}`, which cannot be dropped")]
    Connection(Box<str>),
    /// Framing that two readers could read differently.
    #[error("{0}")]
    Framing(&'static str),
    /// A field name with another character than letters, digits and `-`, which some backends read as `-`.
    #[error("the field name `{0}` holds `{1}`, which some servers read as `-`")]
    Name(Box<str>, char),
    /// A field value that begins or ends with white space, which HTTP/2 does not have there.
    #[error("the field `{0}` begins or ends with white space, which is not accepted over HTTP/2")]
    Value(HeaderName),
    /// An expectation other than `100-continue`.
    #[error("only `Expect: 100-continue` is known")]
    Expectation,
}

impl<'r> Received<'r> {
    /// Reads a head.
    ///
    /// # Errors
    /// [`Malformed`] says what in it could be read in two ways, or is over a bound.
    pub fn read(
        method: &'r Method,
        uri: &'r Uri,
        fields: &'r HeaderMap,
        around: Surroundings<'r>,
    ) -> Result<Self, Malformed> {
        let shown = fields::check(fields, around.http2)?;
        let form = target_form(method, uri, around.http2)?;
        let target = match form {
            TargetForm::Asterisk => "*",
            _ => uri.path_and_query().map_or("/", |target| target.as_str()),
        };
        if target.len() > MAX_TARGET {
            return Err(Malformed::TargetTooLong(target.len()));
        }
        let sent_authority = host(uri, shown.lines("host", fields))?;
        let (scheme, authority) = match around.public_url {
            Some(url) => (&*url.scheme, &*url.authority),
            None => (if around.tls { "https" } else { "http" }, sent_authority),
        };
        let (path, query) = match memchr::memchr(b'?', target.as_bytes()) {
            Some(at) => (&target[..at], Some(&target[at + 1..])),
            None => (target, None),
        };
        let path = match form {
            TargetForm::Asterisk => Path::read("/")?,
            _ => Path::read(path)?,
        };
        // All of it at a time, without a way out: that is several bytes an instruction.
        let is_good = |query: &str| {
            let bytes = query.bytes();
            bytes.fold(true, |good, byte| good & matches!(byte, 0x21..=0x7e))
        };
        if !query.is_none_or(is_good) {
            return Err(Malformed::Target(
                "the query holds a byte that must be percent-encoded",
            ));
        }
        let authority = normal_authority(scheme, authority);
        Ok(Self {
            method,
            scheme,
            sent_authority,
            host: split_port(&authority).0.len(),
            authority,
            target,
            form,
            path,
            query,
            fields,
            shown,
            has_body: around.has_body,
            has_untold_length: false,
            is_http2: around.http2,
            certificate: None,
            body_hash: None,
            body: None,
        })
    }

    /// The same over a connection with this client certificate, verified.
    #[must_use]
    pub const fn with_certificate(mut self, certificate: Option<&'r Certificate>) -> Self {
        self.certificate = certificate;
        self
    }

    /// The verified certificate of the connection.
    pub const fn certificate(&self) -> Option<&'r Certificate> {
        self.certificate
    }

    /// The same, of whose body no length is told, if `is_untold`: there may be none.
    #[must_use]
    pub const fn with_untold_length(mut self, is_untold: bool) -> Self {
        self.has_untold_length = is_untold;
        self
    }

    /// The same without a body, where for all that is told it may have none.
    pub fn without_body_of_untold_length(&self) -> Option<Self> {
        self.has_untold_length.then(|| Self {
            has_body: false,
            has_untold_length: false,
            ..self.clone()
        })
    }

    /// The same, whose body has been read and has this SHA-256.
    #[must_use]
    pub const fn with_body_hash(mut self, hash: Option<&'r [u8; 32]>) -> Self {
        self.body_hash = hash;
        self
    }

    /// SHA-256 of the body, where it was read before its proof.
    pub const fn body_hash(&self) -> Option<[u8; 32]> {
        match self.body_hash {
            Some(hash) => Some(*hash),
            None => None,
        }
    }

    /// The method, in the case it was sent in.
    pub const fn method(&self) -> &'r Method {
        self.method
    }

    /// `http` or `https`, as the caller sees it.
    pub const fn scheme(&self) -> &'r str {
        self.scheme
    }

    /// Host and port as they were sent: in `Host`, or where there is none in `:authority` or an absolute target.
    pub const fn sent_authority(&self) -> &'r str {
        self.sent_authority
    }

    /// Host in lower case, and port unless it is the scheme's own (RFC 9421, section 2.2.3).
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// [`Received::authority`] without its port.
    pub fn host(&self) -> &str {
        &self.authority[..self.host]
    }

    /// Path and query, byte for byte as received.
    pub const fn target(&self) -> &'r str {
        self.target
    }

    /// How the target was written.
    pub const fn form(&self) -> TargetForm {
        self.form
    }

    /// The path.
    pub const fn path(&self) -> &Path<'r> {
        &self.path
    }

    /// The query without `?`; `Some("")` when there is a `?` and nothing behind it.
    pub const fn query(&self) -> Option<&'r str> {
        self.query
    }

    /// The fields, in order.
    pub const fn fields(&self) -> &'r HeaderMap {
        self.fields
    }

    /// The lines of one of that name, in lower case, in order; of those that [`Field`] knows without a look-up.
    pub fn lines(&self, name: &str) -> Lines<'r> {
        self.shown.lines(name, self.fields)
    }

    /// As [`Received::lines`], by a name that need not be read for the look-up.
    pub fn lines_of(&self, name: &HeaderName) -> Lines<'r> {
        self.shown.lines_of(name, self.fields)
    }

    /// The first line of this field.
    pub const fn first(&self, field: Field) -> Option<&'r HeaderValue> {
        self.shown.first(field)
    }

    /// Whether this field is among them.
    pub const fn shows(&self, field: Field) -> bool {
        self.first(field).is_some()
    }

    /// Whether a body follows.
    pub const fn has_body(&self) -> bool {
        self.has_body
    }

    /// Whether it came over HTTP/2.
    pub const fn is_http2(&self) -> bool {
        self.is_http2
    }
}
