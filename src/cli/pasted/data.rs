//! What `-d` of a `curl` line and its kin put into a body or a query.

use super::Files;
use super::options::Does;
use crate::cli::stop::Stop;
use anyhow::Result;
use std::fmt::Write as _;

/// The bytes of one `-d` and its kin.
pub(super) fn data(does: Does, value: &str, files: Files<'_>) -> Result<Vec<u8>> {
    match value.strip_prefix('@') {
        Some(name) if does != Does::DataRaw => {
            let mut bytes = files(name).map_err(Stop::failed)?;
            if does == Does::Data {
                bytes.retain(|byte| !matches!(byte, b'\r' | b'\n' | 0));
            }
            Ok(bytes)
        }
        _ => Ok(value.as_bytes().to_vec()),
    }
}

/// `content`, `=content`, `name=content`, `@file` or `name@file`, the content encoded; and whether
/// that took letters, which not all versions of curl write in upper case.
pub(super) fn urlencoded(value: &str, files: Files<'_>) -> Result<(String, bool)> {
    let at = value.find('=').or_else(|| value.find('@'));
    let (name, content) = match at.map(|at| (value.split_at(at), value[at..].starts_with('@'))) {
        None => ("", value.as_bytes().to_vec()),
        Some(((name, rest), true)) => (name, files(&rest[1..]).map_err(Stop::failed)?),
        Some(((name, rest), false)) => (name, rest.as_bytes()[1..].to_vec()),
    };
    let mut out = String::with_capacity(value.len());
    if !name.is_empty() {
        out.push_str(name);
        out.push('=');
    }
    let mut has_letters = false;
    for byte in content {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte as char);
        } else if byte == b' ' {
            out.push('+');
        } else {
            has_letters |= byte >> 4 > 9 || byte & 15 > 9;
            let _ = write!(out, "%{byte:02X}");
        }
    }
    Ok((out, has_letters))
}
