//! Keeps secrets out of the excerpts that a report shows.
//!
//! A report shows the lines a problem stands in, and such a line may hold a
//! secret that was written there instead of a reference.

use std::ops::Range;

/// What a reference to a secret starts with; a reference is no secret.
pub(super) const REFERENCES: [&str; 3] = ["env:", "file:", "generated:"];

/// Every part of `text` that stands where a secret's value stands and is no
/// reference. Looks at the text alone, so that broken syntax hides nothing.
pub(super) fn secrets_in(text: &str) -> Vec<Range<usize>> {
    let lower = text.to_ascii_lowercase();
    // Who confuses the halves of a pair writes the private one where the public one belongs.
    let mut masks = values_of("secret", text, &lower);
    masks.extend(values_of("public_key", text, &lower));
    // And who is in a hurry the key itself where its hash belongs.
    masks.extend(values_of("hash", text, &lower));
    masks.extend(values_of("pepper", text, &lower));
    masks.extend(values_of("read_token", text, &lower));
    masks.extend(values_of("token =", text, &lower));
    masks.extend(values_of("token=", text, &lower));
    masks.extend(values_of("password", text, &lower));
    masks
}

fn values_of(name: &str, text: &str, lower: &str) -> Vec<Range<usize>> {
    let mut masks = Vec::new();
    let mut from = 0;
    while let Some(at) = lower[from..].find(name) {
        // An equals sign that belongs to the name is looked at again.
        let after = from + at + name.trim_end_matches('=').len();
        from += at + name.len();
        let rest = &text[after..];
        let value = rest.trim_start_matches(|c: char| !matches!(c, '=' | ':' | '\n'));
        // Only `secret = …`, `"secret" : …` and the like: not prose that has the word.
        let between = &rest[..rest.len() - value.len()];
        if !value.starts_with(['=', ':']) || between.contains(['#', ',', '{', '}', '[']) {
            continue;
        }
        let value = value[1..].trim_start_matches([' ', '\t']);
        let start = text.len() - value.len();
        masks.extend(unless_reference(value).map(|length| start..start + length));
    }
    masks
}

/// How much of `value`, which starts where a value starts, has to be masked.
fn unless_reference(value: &str) -> Option<usize> {
    let bare = value.trim_start_matches(['"', '\'']);
    if REFERENCES.iter().any(|prefix| bare.starts_with(prefix)) {
        return None;
    }
    for quote in ["\"\"\"", "'''"] {
        if let Some(inner) = value.strip_prefix(quote) {
            let length = inner
                .find(quote)
                .map_or(inner.len(), |end| end + quote.len());
            return Some(quote.len() + length);
        }
    }
    Some(value.find('\n').unwrap_or(value.len()))
}

/// What of the line around `at`, whose syntax is broken, may be a secret: all
/// that follows a key which we do not know as harmless.
pub(super) fn suspects_in_line(text: &str, at: usize) -> Option<Range<usize>> {
    let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let line = text[start..].lines().next().unwrap_or_default();
    let sign = if line.contains('=') { '=' } else { ':' };
    for (place, _) in line.match_indices(sign) {
        let name = line[..place].trim_end().trim_end_matches(['"', '\'']);
        let from = name
            .rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .map_or(0, |at| at + 1);
        if !name.is_char_boundary(from) || !HARMLESS.contains(&&name[from..]) {
            return Some(start + place + 1..start + line.len());
        }
    }
    None
}

/// Keys whose values are shown even where their line's syntax is broken.
const HARMLESS: [&str; 50] = [
    "listen",
    "public_url",
    "certificate",
    "workers",
    "explain",
    "max_connections",
    "handshake_timeout",
    "head_timeout",
    "idle_timeout",
    "body_timeout",
    "write_timeout",
    "min_rate",
    "min_rate_grace",
    "drain_timeout",
    "directory",
    "window",
    "skew",
    "proofs",
    "failures",
    "rate",
    "burst",
    "audience",
    "headers",
    "max_lifetime",
    "servers",
    "timeout",
    "connect_timeout",
    "total_timeout",
    "protocol",
    "resolve_every",
    "ca",
    "server_name",
    "concurrency",
    "name",
    "host",
    "path",
    "methods",
    "upstream",
    "accept",
    "scopes",
    "body",
    "replay",
    "bind",
    "waive",
    "until",
    "plan",
    "enabled",
    "keys",
    "id",
    "algorithm",
];

/// `text` with each byte of `masks` replaced, so that every position stays what it is.
pub(super) fn apply(text: &str, masks: &[Range<usize>]) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for mask in masks {
        let span = super::problem::clamp(text, mask);
        for byte in &mut bytes[span] {
            if *byte != b'\n' {
                *byte = b'*';
            }
        }
    }
    String::from_utf8(bytes).expect("whole characters were replaced by ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(text: &str) -> String {
        apply(text, &secrets_in(text))
    }

    #[test]
    fn a_literal_secret_is_masked_however_it_is_written() {
        for text in [
            "secret = \"canary\"",
            "secret = canary",
            "secret: 'canary'",
            "\"secret\" = \"canary",
            "keys = [{ id = \"a\", secret = \"canary\" }]",
            "weak_secret='canary'",
            "SECRET = \"\"\"\ncanary\"\"\"",
            "secret =\"über-canary\"",
        ] {
            assert!(!masked(text).contains("canary"), "{text}");
            assert_eq!(masked(text).len(), text.len());
        }
    }

    #[test]
    fn on_a_broken_line_only_what_follows_a_harmless_key_is_shown() {
        for (line, shown) in [
            ("window = 5m", "window = 5m"),
            ("secert = canary", "secert =*******"),
            (
                "keys = [{ id = 'a', secert = canary }]",
                "keys = [{ id = 'a', secert =**********",
            ),
            ("secert: canary", "secert:*******"),
            ("é = canary", "é =*******"),
        ] {
            let text = format!("[apps.a]\n{line}\n");
            let masks: Vec<_> = suspects_in_line(&text, text.len() - 2)
                .into_iter()
                .collect();
            assert_eq!(apply(&text, &masks).lines().nth(1), Some(shown));
        }
    }

    #[test]
    fn references_and_prose_stay_readable() {
        for text in [
            "secret = \"env:KEY\"",
            "# A secret is never written here\nwindow = \"5m\"",
            "# secrets, by reference\n",
        ] {
            assert_eq!(masked(text), text);
        }
    }
}
