//! Request heads: the method, the target and the fields as the HTTP library
//! would hand them over. In: a method, a target and fields, one a line.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use portcullis::route::{Path, PathEncoding};
use portcullis::schemes::{Received, Surroundings};

/// What must hold of any head.
pub fn check(bytes: &[u8]) {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let Some((method, target)) = lines.next().and_then(|line| {
        let space = line.iter().position(|byte| *byte == b' ')?;
        Some((line.get(..space)?, line.get(space + 1..)?))
    }) else {
        return;
    };
    if let Ok(text) = std::str::from_utf8(target) {
        one_reading(text);
    }
    let (Ok(method), Ok(uri)) = (Method::from_bytes(method), Uri::try_from(target)) else {
        return;
    };
    let mut fields = HeaderMap::new();
    for line in lines {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let (name, value) = line.split_at(colon);
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name),
            HeaderValue::from_bytes(value[1..].trim_ascii()),
        ) {
            fields.append(name, value);
        }
    }
    let around = Surroundings {
        tls: false,
        has_body: false,
        public_url: None,
    };
    let Ok(received) = Received::read(&method, &uri, &fields, around) else {
        return;
    };
    // What was read is what will be forwarded, and reads the same again.
    if let Some(target) = uri.path_and_query() {
        if received.target() != "*" {
            assert_eq!(received.target(), target.as_str());
        }
    }
    assert_eq!(
        received.authority(),
        received.authority().to_ascii_lowercase()
    );
    assert!(!received.authority().contains('@'));
    assert!(received.authority().starts_with(received.host()));
    one_reading(received.path().raw());
}

/// The canonical form of a canonical form is itself, and hides nothing.
fn one_reading(raw: &str) {
    let Ok(path) = Path::read(raw) else { return };
    assert_eq!(path.raw(), raw);
    let canonical = Path::read(path.canonical()).expect("what was read once reads again");
    assert_eq!(canonical.canonical(), path.canonical());
    assert_eq!(
        canonical.allowed_by(PathEncoding::Strict).is_ok(),
        path.allowed_by(PathEncoding::Strict).is_ok()
    );
    for segment in path.canonical().split(['/', '\\']) {
        assert!(segment != "." && segment != "..", "{raw}");
    }
}
