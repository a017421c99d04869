//! A request's head from an input: method and target, then fields, one a line.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};

/// The head, where the HTTP library would take it. Lines that are no field are left out.
pub(super) fn read(bytes: &[u8]) -> Option<(Method, Uri, HeaderMap)> {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let (method, target) = cut(lines.next()?, b' ')?;
    let method = Method::from_bytes(method).ok()?;
    let uri = Uri::try_from(target).ok()?;
    let mut fields = HeaderMap::new();
    for (name, value) in lines.filter_map(|line| cut(line, b':')) {
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name),
            HeaderValue::from_bytes(value.trim_ascii()),
        ) {
            fields.append(name, value);
        }
    }
    Some((method, uri, fields))
}

/// What stands before and behind the first `at`.
pub(super) fn cut(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let place = bytes.iter().position(|byte| *byte == at)?;
    Some((&bytes[..place], &bytes[place + 1..]))
}
