//! A request as a `curl` command, ready to paste into a shell.

use super::message::{Message, Source};
use http::{HeaderName, Method};

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
    for (name, value) in &message.fields {
        lines.push(header(name, &String::from_utf8_lossy(value.as_bytes())));
    }
    for (name, value) in proof {
        lines.push(header(name, value));
    }
    lines.extend(body(message));
    lines.join(" \\\n  ")
}

fn method(message: &Message) -> Option<String> {
    let usual = if message.body.is_empty() && message.source == Source::Inline {
        Method::GET
    } else {
        Method::POST
    };
    if message.method == usual {
        None
    } else if message.method == Method::HEAD {
        // With `-X HEAD`, curl would wait for a body that never comes.
        Some("--head".to_owned())
    } else {
        Some(format!("-X {}", quoted(message.method.as_str())))
    }
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

/// One word for a POSIX shell, whatever is in it.
pub(super) fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@,+".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_survives_a_shell() {
        for (text, expected) in [
            ("plain", "plain"),
            ("", "''"),
            ("a b", "'a b'"),
            ("it's", r"'it'\''s'"),
            ("$(x)`y`\"z\"", "'$(x)`y`\"z\"'"),
            ("~root", "'~root'"),
        ] {
            assert_eq!(quoted(text), expected);
        }
    }
}
