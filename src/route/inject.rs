//! What is added to a request on its way to the upstream: the backend's own
//! credentials, which no device has.

use crate::secret::Secret;
use http::HeaderName;

/// What a route adds. What came under the same names does not pass.
#[derive(Debug)]
pub struct Inject {
    /// Whole fields, `Authorization` of `basic` among them.
    pub fields: Vec<InjectedField>,
    /// Members of a body that is a form.
    pub form: Vec<InjectedPair>,
}

/// A field that is added.
#[derive(Debug)]
pub struct InjectedField {
    /// Its name.
    pub name: HeaderName,
    /// Its value: bytes that can stand in a field.
    pub value: Secret,
    /// Where the value is from, for `check`.
    pub from: Box<str>,
}

/// A member that is added to a form.
#[derive(Debug)]
pub struct InjectedPair {
    /// Its name, of letters, digits, `-`, `_` and `.`.
    pub name: Box<str>,
    /// Name and value as they are written in a form.
    pub encoded: Secret,
    /// Whether the value is no secret: it stands in `gateway.toml`, and callers may know it.
    pub is_plain: bool,
    /// Where the value is from, for `check`.
    pub from: Box<str>,
}
