//! HAR files. In: any bytes. What is read is a request that goes over the wire.

use portcullis::cli::pasted::{Body, har};

/// What must hold of any file.
pub(super) fn check(bytes: &[u8]) {
    for entry in [None, Some(1), Some(2)] {
        match har::read(bytes, entry) {
            Ok(pasted) => {
                assert!(pasted.parts.uri.path().starts_with('/'));
                assert!(pasted.parts.uri.authority().is_none());
                assert!(pasted.parts.headers.contains_key("host"));
                assert!(pasted.tls.is_some());
                assert_ne!(pasted.body, Body::Whole(Vec::new()));
            }
            Err(why) => assert!(!why.to_string().is_empty()),
        }
    }
}
