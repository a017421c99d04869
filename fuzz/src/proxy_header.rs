//! PROXY headers: reading them never panics, a header is within its bound, and
//! what stands behind it changes nothing.

use portcullis::server::proxy_header::read;

pub(super) fn check(bytes: &[u8]) {
    let whole = read(bytes);
    if let Ok(Some((length, spoken_for))) = whole {
        assert!(length <= bytes.len() && length <= 536, "{length}");
        let alone = bytes.get(..length).expect("it is within the input");
        assert_eq!(read(alone), Ok(Some((length, spoken_for))));
    }
    // However it arrives, the verdict is the same: no part of it is one already,
    // unless the whole is.
    for end in 0..bytes.len().min(600) {
        match read(bytes.get(..end).unwrap_or_default()) {
            Ok(None) => {}
            early => {
                assert_eq!(early, whole, "{end} of {}", bytes.len());
                break;
            }
        }
    }
}
