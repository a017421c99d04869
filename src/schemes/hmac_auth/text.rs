//! The text that is signed. Signer and verifier share it, so they cannot drift apart.

use super::read::{Input, Item};
use crate::route::Dialect;
use crate::schemes::Refused;
use crate::schemes::received::Received;
use crate::schemes::signed::{BETWEEN_COOKIES, host_as_signed};
use http::header::{COOKIE, HOST};

/// Why there is no text to sign.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoText {
    /// A covered field is not in the request.
    #[error("the request has no `{0}`")]
    Absent(String),
    /// A covered field stands twice: two readers would pick different ones.
    #[error("the covered field `{0}` is there more than once")]
    Repeated(String),
}

impl From<NoText> for Refused {
    fn from(none: NoText) -> Self {
        match none {
            NoText::Absent(name) => Self::Absent(name),
            NoText::Repeated(_) => Self::Malformed(none.to_string()),
        }
    }
}

/// Writes what `input` signs of `received` to the end of `out`.
///
/// # Errors
/// [`NoText`] names the field in the way.
pub fn write(out: &mut Vec<u8>, received: &Received<'_>, input: &Input<'_>) -> Result<(), NoText> {
    let is_apisix = input.dialect == Dialect::Apisix;
    if is_apisix {
        out.extend_from_slice(input.key_id.as_bytes());
        out.push(b'\n');
    }
    for (at, item) in input.items().enumerate() {
        if at > 0 {
            out.push(b'\n');
        }
        write_item(out, received, input, item)?;
    }
    // Its last line ends like the others, and there may be none but the key's.
    if is_apisix && input.names().next().is_some() {
        out.push(b'\n');
    }
    Ok(())
}

fn write_item(
    out: &mut Vec<u8>,
    received: &Received<'_>,
    input: &Input<'_>,
    item: Item<'_>,
) -> Result<(), NoText> {
    match item {
        Item::RequestLine => {
            write_target(out, received, Case::AsSent);
            out.extend_from_slice(if received.is_http2() {
                b" HTTP/2.0"
            } else {
                b" HTTP/1.1"
            });
        }
        Item::Target => match input.dialect {
            Dialect::Apisix => write_target(out, received, Case::AsSent),
            Dialect::Kong => {
                out.extend_from_slice(b"@request-target: ");
                write_target(out, received, Case::Lower);
            }
            Dialect::Cavage12 => {
                out.extend_from_slice(b"(request-target): ");
                write_target(out, received, Case::Lower);
            }
        },
        Item::Created => write_time(out, b"(created): ", input.created),
        Item::Expires => write_time(out, b"(expires): ", input.expires),
        Item::Field(name) => {
            let start = out.len();
            out.extend_from_slice(name.as_bytes());
            if input.dialect == Dialect::Cavage12
                && let Some(name) = out.get_mut(start..)
            {
                name.make_ascii_lowercase();
            }
            out.extend_from_slice(b": ");
            write_field(out, received, name)?;
        }
    }
    Ok(())
}

/// How a method is written. Those that reach us are in upper case.
#[derive(Clone, Copy)]
enum Case {
    AsSent,
    Lower,
}

fn write_target(out: &mut Vec<u8>, received: &Received<'_>, case: Case) {
    for byte in received.method().as_str().bytes() {
        out.push(match case {
            Case::AsSent => byte,
            Case::Lower => byte.to_ascii_lowercase(),
        });
    }
    out.push(b' ');
    out.extend_from_slice(received.target().as_bytes());
}

fn write_time(out: &mut Vec<u8>, name: &[u8], time: Option<super::read::Seconds<'_>>) {
    out.extend_from_slice(name);
    out.extend_from_slice(time.map_or("", |time| time.text).as_bytes());
}

/// The value of a field; of `Cookie`, which HTTP/2 may split, all its lines as they are forwarded.
fn write_field(out: &mut Vec<u8>, received: &Received<'_>, name: &str) -> Result<(), NoText> {
    if !name.eq_ignore_ascii_case(COOKIE.as_str()) {
        out.extend_from_slice(field(received, name)?);
        return Ok(());
    }
    let mut lines = received.lines(name);
    let first = lines.next();
    let first = first.ok_or_else(|| NoText::Absent(name.to_owned()))?;
    out.extend_from_slice(first.as_bytes().trim_ascii());
    for line in lines {
        out.extend_from_slice(BETWEEN_COOKIES);
        out.extend_from_slice(line.as_bytes().trim_ascii());
    }
    Ok(())
}

/// The one value of a field, without white space around it.
pub(super) fn field<'r>(received: &'r Received<'_>, name: &str) -> Result<&'r [u8], NoText> {
    if name.eq_ignore_ascii_case(HOST.as_str()) {
        return Ok(host_as_signed(received).as_bytes());
    }
    let mut lines = received.lines(name);
    match (lines.next(), lines.next()) {
        (Some(one), None) => Ok(one.as_bytes().trim_ascii()),
        (None, _) => Err(NoText::Absent(name.to_owned())),
        (Some(_), Some(_)) => Err(NoText::Repeated(name.to_owned())),
    }
}
