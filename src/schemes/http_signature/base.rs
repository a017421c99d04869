//! The signature base (RFC 9421, section 2.5): the bytes that are signed.
//! Signer and verifier share it, so they cannot drift apart.

use super::component::{BS, Component, KEY, Kind, NAME, REQ, SF, TR};
use super::cursor::ascii;
use super::read::{Bare, Input, MAX_FIELD};
use super::structured::{self, strict};
use crate::schemes::received::{Received, TargetForm};
use crate::schemes::signed::between_lines;
use data_encoding::BASE64;
use sfv::{Dictionary, FieldType, List};
use std::io::Write as _;

/// Why there is no signature base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoBase {
    /// A covered component is not in the request.
    Absent(String),
    /// A covered component cannot be taken this way: what, and why.
    Unsupported(String),
}

/// Writes the signature base of `input` over `received` to the end of `out`.
///
/// # Errors
/// [`NoBase`] names the component in the way.
pub fn write(out: &mut Vec<u8>, received: &Received<'_>, input: &Input<'_>) -> Result<(), NoBase> {
    for component in &input.components {
        write_identifier(out, component);
        out.extend_from_slice(b": ");
        write_value(out, received, component)?;
        out.push(b'\n');
    }
    out.extend_from_slice(b"\"@signature-params\": ");
    match input.text {
        Some(text) => out.extend_from_slice(text),
        None => write_parameters(out, input),
    }
    Ok(())
}

/// Writes the canonical text of a `Signature-Input` member.
pub fn write_parameters(out: &mut Vec<u8>, input: &Input<'_>) {
    out.push(b'(');
    for (at, component) in input.components.iter().enumerate() {
        if at > 0 {
            out.push(b' ');
        }
        write_identifier(out, component);
    }
    out.push(b')');
    for parameter in input.parameters() {
        write_parameter(out, parameter);
    }
}

fn write_parameter(out: &mut Vec<u8>, (name, value): (&[u8], Bare<'_>)) {
    out.push(b';');
    out.extend_from_slice(name);
    write_bare(out, value);
}

fn write_bare(out: &mut Vec<u8>, value: Bare<'_>) {
    let mut quoted = |open: &[u8], text: &[u8], close: &[u8]| {
        out.extend_from_slice(open);
        out.extend_from_slice(text);
        out.extend_from_slice(close);
    };
    match value {
        Bare::True => {}
        Bare::False => quoted(b"=?0", b"", b""),
        Bare::String(text) => quoted(b"=\"", text, b"\""),
        Bare::Bytes(text) => quoted(b"=:", text, b":"),
        Bare::Token(text) => quoted(b"=", text, b""),
        Bare::Integer(value) => write!(out, "={value}").expect("a Vec takes every byte"),
    }
}

/// A component's identifier as it stands in the base, for messages.
pub fn identifier(component: &Component<'_>) -> String {
    let mut out = Vec::new();
    write_identifier(&mut out, component);
    String::from_utf8_lossy(&out).into_owned()
}

fn write_identifier(out: &mut Vec<u8>, component: &Component<'_>) {
    if let Some(text) = component.canonical() {
        out.extend_from_slice(text);
        return;
    }
    out.push(b'"');
    out.extend_from_slice(component.name().as_bytes());
    out.push(b'"');
    for parameter in component.parameters() {
        write_parameter(out, parameter);
    }
}

fn write_value(
    out: &mut Vec<u8>,
    received: &Received<'_>,
    component: &Component<'_>,
) -> Result<(), NoBase> {
    if component.has(TR) {
        return Err(unsupported(
            component,
            "a trailer arrives behind the body, and a request is verified before its body is read",
        ));
    }
    if component.has(REQ) {
        return Err(unsupported(component, "`req` is for responses"));
    }
    match (component.kind, component.taken()) {
        (Kind::Field, _) => return write_field(out, received, component),
        (Kind::QueryParam, NAME) => return write_query_parameter(out, received, component),
        (Kind::QueryParam, _) => {
            return Err(unsupported(component, "`@query-param` takes `name` alone"));
        }
        (_, 0) => {}
        _ => {
            return Err(unsupported(
                component,
                "a derived component takes no parameter",
            ));
        }
    }
    let mut put = |text: &str| out.extend_from_slice(text.as_bytes());
    match component.kind {
        Kind::Method => put(received.method().as_str()),
        Kind::Authority => put(received.authority()),
        Kind::Scheme => put(received.scheme()),
        // Its path would read as `/`, which is another request.
        Kind::Path if received.form() == TargetForm::Asterisk => {
            let why = "the target is `*`, which has no path; cover `@request-target` instead";
            return Err(unsupported(component, why));
        }
        Kind::Path => put(received.path().raw()),
        Kind::Query => {
            put("?");
            put(received.query().unwrap_or_default());
        }
        Kind::TargetUri => {
            put(received.scheme());
            put("://");
            put(received.authority());
            // Written as a URL the target `*` has neither path nor query (RFC 9110, section 7.1).
            if received.form() != TargetForm::Asterisk {
                put(received.target());
            }
        }
        Kind::RequestTarget if received.form() == TargetForm::Absolute => {
            return Err(unsupported(
                component,
                "the target is an absolute URL; cover `@target-uri` instead",
            ));
        }
        Kind::RequestTarget => put(received.target()),
        Kind::QueryParam | Kind::Field => {}
    }
    Ok(())
}

/// What stands between two lines of a field (section 2.1).
const JOINT: &[u8] = b", ";
/// `sf` beside `key`.
const KEY_STRICTLY: u8 = KEY | SF;

fn write_field(
    out: &mut Vec<u8>,
    received: &Received<'_>,
    component: &Component<'_>,
) -> Result<(), NoBase> {
    let name = component.name();
    let mut lines = received.lines(name);
    let Some(first) = lines.next() else {
        return Err(NoBase::Absent(identifier(component)));
    };
    match component.taken() {
        0 => {
            out.extend_from_slice(first.as_bytes().trim_ascii());
            for line in lines {
                out.extend_from_slice(between_lines(name, JOINT));
                out.extend_from_slice(line.as_bytes().trim_ascii());
            }
            Ok(())
        }
        BS => {
            for (at, line) in std::iter::once(first).chain(lines).enumerate() {
                out.extend_from_slice(if at > 0 { b", :" } else { b":" });
                let text = BASE64.encode(line.as_bytes().trim_ascii());
                out.extend_from_slice(text.as_bytes());
                out.push(b':');
            }
            Ok(())
        }
        SF => {
            let text = joined(received, component)?;
            let strict = strict(name, &text).map_err(|why| unsupported(component, why))?;
            out.extend_from_slice(strict.as_bytes());
            Ok(())
        }
        // A dictionary member is serialized strictly anyway: `sf` beside `key` says the same.
        KEY | KEY_STRICTLY => {
            let text = joined(received, component)?;
            let dictionary = structured::read::<Dictionary>(&text)
                .map_err(|why| unsupported(component, why))?
                .ok_or_else(|| unsupported(component, "the field is not a dictionary"))?;
            let key = unescaped(ascii(component.value()));
            let member = dictionary
                .get(key.as_str())
                .ok_or_else(|| NoBase::Absent(identifier(component)))?;
            // As a one-member list a value is written as it is within a dictionary.
            let list: List = vec![member.clone()];
            out.extend_from_slice(list.serialize().unwrap_or_default().as_bytes());
            Ok(())
        }
        _ => Err(unsupported(
            component,
            "`bs` excludes `sf` and `key`, and `name` belongs to `@query-param`",
        )),
    }
}

/// All lines of a field, joined, as text that is short enough to be taken apart.
fn joined(received: &Received<'_>, component: &Component<'_>) -> Result<String, NoBase> {
    let mut out = Vec::new();
    for (at, line) in received.lines(component.name()).enumerate() {
        if at > 0 {
            out.extend_from_slice(between_lines(component.name(), JOINT));
        }
        out.extend_from_slice(line.as_bytes().trim_ascii());
        if out.len() > MAX_FIELD {
            let why = "the field is too long to be taken apart; cover it without `sf` and `key`";
            return Err(unsupported(component, why));
        }
    }
    String::from_utf8(out).map_err(|_| unsupported(component, "the field is not ASCII"))
}

/// Section 2.2.8: the parameter decoded as a form decodes it, encoded anew.
fn write_query_parameter(
    out: &mut Vec<u8>,
    received: &Received<'_>,
    component: &Component<'_>,
) -> Result<(), NoBase> {
    let absent = || NoBase::Absent(identifier(component));
    let bad = || unsupported(component, "the query is not UTF-8");
    let name = unescaped(ascii(component.value()));
    let (mut wanted, mut plain) = (Vec::new(), Vec::new());
    let mut again = Vec::new();
    let is_text = decode(&name, &mut wanted);
    encode(&wanted, &mut again);
    // A name that is encoded in another way than this is that of no parameter.
    if !is_text || again != name.as_bytes() {
        return Err(absent());
    }
    let mut found = None;
    for pair in received.query().unwrap_or_default().split('&') {
        if pair.is_empty() {
            continue;
        }
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        // There may be thousands of pairs: nothing is allocated for each.
        if !decode(key, &mut plain) {
            return Err(bad());
        }
        if plain == wanted && found.replace(value).is_some() {
            return Err(unsupported(
                component,
                "the parameter is there more than once; cover `@query` instead",
            ));
        }
    }
    if !decode(found.ok_or_else(absent)?, &mut plain) {
        return Err(bad());
    }
    encode(&plain, out);
    Ok(())
}

/// Puts what `text` stands for in a form into `plain`, in place of what is there. Whether that is UTF-8.
fn decode(text: &str, plain: &mut Vec<u8>) -> bool {
    plain.clear();
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        let escaped = if *first == b'%' { escape(behind) } else { None };
        let (byte, behind) = match (*first, escaped) {
            (_, Some(both)) => both,
            (b'+', None) => (b' ', behind),
            (byte, None) => (byte, behind),
        };
        plain.push(byte);
        rest = behind;
    }
    std::str::from_utf8(plain).is_ok()
}

/// The byte for which the two digits stand that come first, and what stands behind them.
fn escape(text: &[u8]) -> Option<(u8, &[u8])> {
    let [high, low, behind @ ..] = text else {
        return None;
    };
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    Some(((digit(high)? * 16 + digit(low)?) as u8, behind))
}

/// Writes `plain` as a form encodes it.
fn encode(plain: &[u8], out: &mut Vec<u8>) {
    for byte in plain {
        if byte.is_ascii_alphanumeric() || b"*-._".contains(byte) {
            out.push(*byte);
        } else {
            write!(out, "%{byte:02X}").expect("a Vec takes every byte");
        }
    }
}

/// A string's value: its text without escapes.
pub fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.extend(chars.next()),
            _ => out.push(c),
        }
    }
    out
}

fn unsupported(component: &Component<'_>, why: &str) -> NoBase {
    NoBase::Unsupported(format!("`{}`: {why}", identifier(component)))
}
