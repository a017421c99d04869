//! Forms that get members. In: a form as a stranger may send it. What is found to have no name of
//! ours must have none for readers who know less.

use portcullis::forward::form;

const OURS: &str = "client_secret";

/// What must hold of any form.
pub(super) fn check(bytes: &[u8]) {
    if !form::has_none_of(bytes, &[OURS]) {
        return;
    }
    for separators in [&b"&"[..], b"&;"] {
        for member in bytes.split(|byte| separators.contains(byte)) {
            let name = member
                .split(|byte| *byte == b'=')
                .next()
                .unwrap_or_default();
            let name = lenient(name);
            let name = name.trim_ascii();
            // As Rack reads it: brackets in front are left out, and the name ends at the next one.
            let bare = name
                .split(|byte| matches!(byte, b'[' | b']'))
                .find(|part| !part.is_empty());
            // As PHP does: a bracket that nobody closes is a `_`.
            let closed: Vec<u8> = name
                .iter()
                .map(|byte| if *byte == b'[' { b'_' } else { *byte })
                .collect();
            let open = !name.contains(&b']');
            for read in [Some(name), bare, open.then_some(&closed)] {
                assert!(
                    !read.is_some_and(|read| read.eq_ignore_ascii_case(OURS.as_bytes())),
                    "a name of ours was passed over"
                );
            }
        }
    }
}

/// Decoded as far as it can be; what cannot, stays.
fn lenient(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(byte) = name.get(at) {
        let hex = name
            .get(at + 1..at + 3)
            .and_then(|two| std::str::from_utf8(two).ok());
        let decoded = hex.and_then(|two| u8::from_str_radix(two, 16).ok());
        match (byte, decoded) {
            (b'%', Some(decoded)) => {
                out.push(decoded);
                at += 2;
            }
            (b'+', _) => out.push(b' '),
            _ => out.push(*byte),
        }
        at += 1;
    }
    out
}
