//! `curl` lines. In: any bytes. What is read is a request that goes over the
//! wire; its words, quoted anew, are the same words; no file is opened.

use portcullis::cli::pasted::{curl, shell};

/// What must hold of any line.
pub(super) fn check(bytes: &[u8]) {
    let files = |_: &str| Ok(b"a file\r\n".to_vec());
    match curl::read(bytes, &files) {
        Ok(pasted) => {
            assert!(pasted.parts.uri.path().starts_with('/'));
            assert!(pasted.parts.uri.authority().is_none());
            assert!(pasted.parts.headers.contains_key("host"));
        }
        Err(why) => assert!(!why.to_string().is_empty()),
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(words) = shell::words(text) {
        let quoted = words
            .all
            .iter()
            .map(|word| format!("'{}'", word.replace('\'', r"'\''")));
        let line = quoted.collect::<Vec<_>>().join(" ");
        assert_eq!(
            shell::words(&line).ok().map(|again| again.all),
            Some(words.all)
        );
    }
}
