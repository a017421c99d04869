//! Request heads, as the HTTP library hands them over.

use super::{gate, head};
use portcullis::route::{Path, PathEncoding};
use portcullis::schemes::Received;

/// What must hold of any head.
pub(super) fn check(bytes: &[u8]) {
    let first = bytes.split(|byte| *byte == b'\n').next();
    let target = first.and_then(|line| head::cut(line, b' '));
    if let Some(text) = target.and_then(|(_, target)| std::str::from_utf8(target).ok()) {
        has_one_reading(text);
    }
    let Some((method, uri, fields)) = head::read(bytes) else {
        return;
    };
    let Ok(received) = Received::read(&method, &uri, &fields, gate::around(false)) else {
        return;
    };
    // What was read is what will be forwarded.
    if let Some(target) = uri.path_and_query()
        && received.target() != "*"
    {
        assert_eq!(received.target(), target.as_str());
    }
    let authority = received.authority();
    assert_eq!(authority, authority.to_ascii_lowercase());
    assert!(!authority.contains('@'));
    assert!(authority.starts_with(received.host()));
    has_one_reading(received.path().raw());
}

/// The canonical form of a canonical form is itself, and hides nothing.
fn has_one_reading(raw: &str) {
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
