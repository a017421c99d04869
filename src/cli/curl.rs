//! A request as a `curl` command, ready to paste into a shell.

use super::message::{Message, Source};
use http::{HeaderName, Method};
use std::fmt::Write as _;

/// The command that sends `message` with `proof` added. `options` come first.
pub(super) fn command(
    options: &[&str],
    message: &Message,
    proof: &[(HeaderName, String)],
) -> String {
    let mut words = vec!["curl".to_owned()];
    words.extend(options.iter().map(|option| (*option).to_owned()));
    let url = format!(
        "{}://{}{}",
        message.uri.scheme_str().unwrap_or("http"),
        message
            .uri
            .authority()
            .map_or("", |authority| authority.as_str()),
        message.target()
    );
    if url.contains(['[', ']', '{', '}']) {
        words.push("--globoff".to_owned());
    }
    words.push(quoted(&url));
    let mut lines = vec![words.join(" ")];
    lines.extend(method(message));
    // The proof replaces what the message has under its names, as it does in what we send ourselves.
    let is_replaced = |name: &HeaderName| proof.iter().any(|(proven, _)| proven == name);
    for (name, value) in &message.fields {
        if is_replaced(name) {
            continue;
        }
        lines.push(header(name, &String::from_utf8_lossy(value.as_bytes())));
    }
    for (name, value) in proof {
        lines.push(header(name, value));
    }
    lines.extend(body(message));
    lines.join(" \\\n  ")
}

fn method(message: &Message) -> Option<String> {
    let usual = if has_body(message) {
        Method::POST
    } else {
        Method::GET
    };
    if message.method == usual {
        None
    } else if message.method == Method::HEAD && !has_body(message) {
        // With `-X HEAD`, curl would wait for a body that never comes; and it takes `--head` beside no data.
        Some("--head".to_owned())
    } else {
        Some(format!("-X {}", quoted(message.method.as_str())))
    }
}

/// Whether a body is said, be it an empty file's.
fn has_body(message: &Message) -> bool {
    !message.body.is_empty() || message.source != Source::Inline
}

fn header(name: &HeaderName, value: &str) -> String {
    let text = if value.is_empty() {
        // With `:`, curl would drop the header.
        format!("{};", shown(name))
    } else {
        format!("{}: {value}", shown(name))
    };
    format!("-H {}", quoted(&text))
}

fn body(message: &Message) -> Option<String> {
    match &message.source {
        Source::File(path) => Some(format!(
            "--data-binary {}",
            quoted(&format!("@{}", path.display()))
        )),
        Source::Stdin => Some("--data-binary @-".to_owned()),
        Source::Inline if message.body.is_empty() => None,
        Source::Inline => Some(format!(
            "--data-raw {}",
            quoted(&String::from_utf8_lossy(&message.body))
        )),
    }
}

/// A field's name as people write it: `Content-Digest`.
pub(super) fn shown(name: &HeaderName) -> String {
    const PECULIAR: [&str; 5] = [
        "DPoP",
        "ETag",
        "RateLimit",
        "RateLimit-Policy",
        "WWW-Authenticate",
    ];
    if let Some(own) = PECULIAR
        .iter()
        .find(|own| own.eq_ignore_ascii_case(name.as_str()))
    {
        return (*own).to_owned();
    }
    let mut upper = true;
    name.as_str()
        .chars()
        .map(|c| {
            let shown = if upper { c.to_ascii_uppercase() } else { c };
            upper = c == '-';
            shown
        })
        .collect()
}

/// Whether the command that sends `message` has control characters written out: not every shell reads them so.
pub(super) fn writes_out(message: &Message) -> bool {
    let body = match &message.source {
        Source::File(path) => path.to_string_lossy(),
        Source::Stdin => "".into(),
        Source::Inline => String::from_utf8_lossy(&message.body),
    };
    let fields = message.fields.values();
    let mut values = fields.map(|value| String::from_utf8_lossy(value.as_bytes()));
    body.contains(is_lost) || values.any(|value| value.contains(is_lost))
}

/// Whether a terminal would take it for itself.
fn is_lost(c: char) -> bool {
    c.is_control() && !matches!(c, '\n' | '\t')
}

/// One word for a shell, whatever is in it. Control characters are written out, as POSIX has it since 2024, and bash, zsh
/// and ksh had it long before, but not dash: in quotes alone they would be lost on the way through a terminal, or obeyed
/// by it.
pub(super) fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@,+".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else if text.contains(is_lost) {
        written_out(text)
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// `$'…'`. A byte has all three digits of octal, which no digit behind it can become a part of.
fn written_out(text: &str) -> String {
    let mut out = String::from("$'");
    for c in text.chars() {
        match c {
            '\n' => out.push_str(r"\n"),
            '\t' => out.push_str(r"\t"),
            '\r' => out.push_str(r"\r"),
            '\\' | '\'' => out.extend(['\\', c]),
            c if c.is_control() => {
                for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                    write!(out, "\\{byte:03o}").expect("a String takes every char");
                }
            }
            c => out.push(c),
        }
    }
    out.push('\'');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http::HeaderMap;

    #[test]
    fn head_is_asked_for_by_the_option_that_curl_takes() {
        let line = |body: &'static str| {
            let message = Message {
                method: Method::HEAD,
                uri: "http://h/".parse().unwrap(),
                fields: HeaderMap::new(),
                body: Bytes::from_static(body.as_bytes()),
                source: Source::Inline,
            };
            command(&[], &message, &[]).replace(" \\\n ", "")
        };
        assert_eq!(line(""), "curl http://h/ --head");
        assert_eq!(line("x"), "curl http://h/ -X HEAD --data-raw x");
    }

    #[test]
    fn a_field_of_the_message_makes_way_for_the_one_of_the_proof() {
        let mut fields = HeaderMap::new();
        fields.insert("authorization", "Basic eDp5".parse().unwrap());
        fields.insert("x-a", "1".parse().unwrap());
        let message = Message {
            method: Method::GET,
            uri: "http://h/".parse().unwrap(),
            fields,
            body: Bytes::new(),
            source: Source::Inline,
        };
        let proof = [(http::header::AUTHORIZATION, "Bearer t".to_owned())];
        let line = command(&[], &message, &proof).replace(" \\\n ", "");
        assert_eq!(
            line,
            "curl http://h/ -H 'X-A: 1' -H 'Authorization: Bearer t'"
        );
    }

    #[test]
    fn it_is_known_whether_a_command_has_control_characters_written_out() {
        let of = |body: &'static str, value: &str, source: Source| {
            let mut fields = HeaderMap::new();
            fields.insert("x-a", value.parse().unwrap());
            let message = Message {
                method: Method::POST,
                uri: "http://h/".parse().unwrap(),
                fields,
                body: Bytes::from_static(body.as_bytes()),
                source,
            };
            let line = command(&[], &message, &[]);
            (writes_out(&message), line.contains(" $'"))
        };
        let none = (false, false);
        assert_eq!(of("it's\n\t1", "a\tb", Source::Inline), none);
        assert_eq!(of("\u{1}", "a", Source::Stdin), none);
        assert_eq!(of("\u{1}", "a", Source::File("body".into())), none);
        let written = (true, true);
        assert_eq!(of("a\r\n", "a", Source::Inline), written);
        assert_eq!(of("a", "\u{85}", Source::Inline), written);
        assert_eq!(of("a", "a", Source::File("\u{1}".into())), written);
    }

    #[test]
    fn a_word_survives_a_shell() {
        for (text, expected) in [
            ("plain", "plain"),
            ("", "''"),
            ("a b", "'a b'"),
            ("it's", r"'it'\''s'"),
            ("$(x)`y`\"z\"", "'$(x)`y`\"z\"'"),
            ("~root", "'~root'"),
            ("a\tb\nc", "'a\tb\nc'"),
            ("it's\n\t\\1", "'it'\\''s\n\t\\1'"),
            ("it's\n\t\\1\r", r"$'it\'s\n\t\\1\r'"),
            (
                "\u{1}2\u{1b}[31m\u{7f}\u{85}é",
                r"$'\0012\033[31m\177\302\205é'",
            ),
        ] {
            assert_eq!(quoted(text), expected);
        }
    }
}
