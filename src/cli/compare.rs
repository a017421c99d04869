//! Two signature bases side by side: where they part, and why most likely.

use super::paint::visible;
use serde::Serialize;

/// Where two texts part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Difference {
    /// Line, from 1.
    pub(super) line: usize,
    /// Character of the line, from 1.
    pub(super) column: usize,
    /// What stands there in the gateway's text.
    pub(super) gateway: String,
    /// What stands there in the caller's.
    pub(super) caller: String,
    /// The gateway's whole line.
    pub(super) gateway_line: String,
    /// The caller's.
    pub(super) caller_line: String,
}

/// The first place where `caller` differs from `gateway`.
pub(super) fn first_difference(gateway: &str, caller: &str) -> Option<Difference> {
    if gateway == caller {
        return None;
    }
    let (mut line, mut column) = (1, 1);
    let mut theirs = caller.chars();
    let mut ours = gateway.chars();
    let (a, b) = loop {
        match (ours.next(), theirs.next()) {
            (Some(a), Some(b)) if a == b => {
                if a == '\n' {
                    (line, column) = (line + 1, 1);
                } else {
                    column += 1;
                }
            }
            pair => break pair,
        }
    };
    let whole = |text: &str| visible(text.split('\n').nth(line - 1).unwrap_or_default());
    Some(Difference {
        line,
        column,
        gateway: character(a),
        caller: character(b),
        gateway_line: whole(gateway),
        caller_line: whole(caller),
    })
}

fn character(c: Option<char>) -> String {
    match c {
        None => "the end of the text".to_owned(),
        Some('\n') => "the end of the line".to_owned(),
        Some('\r') => "a carriage return (CR)".to_owned(),
        Some(' ') => "a space".to_owned(),
        Some('\t') => "a tab".to_owned(),
        Some(c) if c.is_ascii_graphic() => format!("`{c}`"),
        Some(c) => format!("U+{:04X}", u32::from(c)),
    }
}

/// What of a request the likely mistakes need.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// `Host` as it was sent.
    pub(super) host: String,
    /// `http` or `https`, as the gateway takes it.
    pub(super) scheme: String,
    /// The target, path and query.
    pub(super) target: String,
    /// The path with unreserved characters decoded.
    pub(super) decoded_path: String,
    /// The member of `Signature-Input` as it was sent, without its label.
    pub(super) input: String,
    /// Its label.
    pub(super) label: String,
}

/// A mistake that callers make: what it is, and what it makes of the right text.
pub(super) struct Mistake {
    /// What the caller did, and what is right.
    pub(super) what: &'static str,
    make: fn(&str, &Seen) -> String,
}

impl Mistake {
    /// What this mistake makes of `base`.
    pub(super) fn make(&self, base: &str, seen: &Seen) -> String {
        (self.make)(base, seen)
    }
}

/// The mistakes that make `base` into `caller`, whole or in the line where they part first.
pub(super) fn likely(base: &str, caller: &str, seen: &Seen) -> Option<&'static str> {
    let found = MISTAKES
        .iter()
        .find(|mistake| mistake.make(base, seen) == caller);
    if let Some(mistake) = found {
        return Some(mistake.what);
    }
    let (ours, theirs) = base
        .split('\n')
        .zip(caller.split('\n'))
        .find(|(ours, theirs)| ours != theirs)?;
    MISTAKES
        .iter()
        .filter(|mistake| mistake.what != TRAILING_NEWLINE)
        .find(|mistake| mistake.make(ours, seen) == theirs)
        .map(|mistake| mistake.what)
        .or_else(|| by_shape(base, caller, ours, theirs))
}

/// Mistakes that can be seen and not remade.
fn by_shape(base: &str, caller: &str, ours: &str, theirs: &str) -> Option<&'static str> {
    let sorted = |text: &str| {
        let mut lines: Vec<&str> = text.trim_end().lines().collect();
        lines.pop();
        lines.sort_unstable();
        lines.join("\n")
    };
    let letters = |text: &str| {
        let mut letters: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
        letters.sort_unstable();
        letters
    };
    let without_spaces = |text: &str| text.split_whitespace().collect::<String>();
    if ours.starts_with("\"@signature-params\"") && theirs.starts_with("\"@signature-params\"") {
        if without_spaces(ours) == without_spaces(theirs) {
            return Some(SPACES);
        }
        if letters(ours) == letters(theirs) {
            return Some(
                "the components or parameters stand in another order: the last line repeats `Signature-Input` as it was sent",
            );
        }
        return Some(
            "the last line must repeat the value of `Signature-Input` behind the label, every parameter as it was sent",
        );
    }
    if sorted(base) == sorted(caller) {
        return Some(
            "the components stand in another order: it is the order of the list in `Signature-Input`",
        );
    }
    if ours.eq_ignore_ascii_case(theirs) {
        return Some("upper and lower case differ");
    }
    if without_spaces(ours) == without_spaces(theirs) {
        return Some(SPACES);
    }
    let name = |line: &str| line.split_once(": ").map(|(name, _)| name.to_owned());
    match (name(ours), name(theirs)) {
        (Some(a), Some(b)) if a == b => {
            Some("the values differ: what was signed is not what arrived")
        }
        (Some(_), Some(_)) => {
            Some("the components differ: one line for each component of the list, in its order")
        }
        _ => None,
    }
}

const TRAILING_NEWLINE: &str =
    "a newline stands at the end: the signature base ends with its last line, without one";
const SPACES: &str =
    "white space differs: one space between components, none around `;` and `=`, values trimmed";

/// Every mistake we know to make again.
pub(super) const MISTAKES: &[Mistake] = &[
    Mistake {
        what: TRAILING_NEWLINE,
        make: |base, _| format!("{base}\n"),
    },
    Mistake {
        what: "lines end in CR LF: they end in LF alone",
        make: |base, _| base.replace('\n', "\r\n"),
    },
    Mistake {
        what: "lines end in CR LF: they end in LF alone",
        make: |base, _| {
            format!("{base}\r\n")
                .replace('\n', "\r\n")
                .replace("\r\r", "\r")
        },
    },
    Mistake {
        what: "lines end in CR LF: they end in LF alone",
        make: |base, _| format!("{base}\r"),
    },
    Mistake {
        what: "the value of `@query` lacks its `?`: it starts with one",
        make: |base, _| base.replace("\"@query\": ?", "\"@query\": "),
    },
    Mistake {
        what: "the method is in lower case: it stands as in the request line",
        make: |base, _| value(base, "@method", str::to_ascii_lowercase),
    },
    Mistake {
        what: "the host is written as in `Host`: it is in lower case, without the scheme's own port",
        make: |base, seen| value(base, "@authority", |_| seen.host.clone()),
    },
    Mistake {
        what: "the scheme's own port stands behind the host: it is left out",
        make: |base, seen| {
            let port = if seen.scheme == "https" { 443 } else { 80 };
            value(base, "@authority", |host| format!("{host}:{port}"))
        },
    },
    Mistake {
        what: "the port is missing behind the host: one that is not the scheme's own belongs there",
        make: |base, _| {
            value(base, "@authority", |host| {
                let (name, _) = host.rsplit_once(':').unwrap_or((host, ""));
                name.to_owned()
            })
        },
    },
    Mistake {
        what: "the scheme differs, `http` or `https`: callers behind TLS termination need `[server] public_url` (here: `--https`)",
        make: |base, seen| {
            let other = if seen.scheme == "https" {
                "http"
            } else {
                "https"
            };
            let base = value(base, "@scheme", |_| other.to_owned());
            value(&base, "@target-uri", |uri| {
                uri.replacen(&format!("{}://", seen.scheme), &format!("{other}://"), 1)
            })
        },
    },
    Mistake {
        what: "`@path` holds the query too: it ends before the `?`",
        make: |base, seen| value(base, "@path", |_| seen.target.clone()),
    },
    Mistake {
        what: "`@path` was decoded: it stands as in the request line",
        make: |base, seen| value(base, "@path", |_| seen.decoded_path.clone()),
    },
    Mistake {
        what: "the last line repeats `Signature-Input` letter by letter: in the text it has its canonical form, one space between components and none around `;` and `=`",
        make: |base, seen| value(base, "@signature-params", |_| seen.input.clone()),
    },
    Mistake {
        what: "the label stands in the last line: only what follows `label=` belongs there",
        make: |base, seen| {
            value(base, "@signature-params", |input| {
                format!("{}={input}", seen.label)
            })
        },
    },
    Mistake {
        what: "the last line, `\"@signature-params\"`, is missing",
        make: |base, _| match base.rsplit_once('\n') {
            Some((front, _)) => front.to_owned(),
            None => base.to_owned(),
        },
    },
    Mistake {
        what: "the names stand without quotes: `\"@method\": POST`",
        make: |base, _| {
            each_line(base, |line| match line.split_once(": ") {
                Some((name, value)) => format!("{}: {value}", name.replace('"', "")),
                None => line.to_owned(),
            })
        },
    },
    Mistake {
        what: "the space behind `:` is missing",
        make: |base, _| each_line(base, |line| line.replacen(": ", ":", 1)),
    },
];

/// `base` with the value of one component made anew.
fn value(base: &str, component: &str, make: impl Fn(&str) -> String) -> String {
    let front = format!("\"{component}\": ");
    each_line(base, |line| match line.strip_prefix(&front) {
        Some(value) => format!("{front}{}", make(value)),
        None => line.to_owned(),
    })
}

fn each_line(base: &str, make: impl Fn(&str) -> String) -> String {
    let lines: Vec<String> = base.split('\n').map(make).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "\"@method\": POST\n\"@authority\": api.example.com\n\"@query\": ?a=1\n\"@signature-params\": (\"@method\" \"@authority\" \"@query\");created=1;keyid=\"k\"";

    fn seen() -> Seen {
        Seen {
            host: "API.example.com:80".to_owned(),
            scheme: "http".to_owned(),
            target: "/o?a=1".to_owned(),
            decoded_path: "/o".to_owned(),
            input: "(\"@method\"  \"@authority\" \"@query\"); created=1;keyid=\"k\"".to_owned(),
            label: "sig1".to_owned(),
        }
    }

    #[test]
    fn the_first_difference_has_line_column_and_both_characters() {
        let caller = BASE.replace("?a=1", "a=1");
        let difference = first_difference(BASE, &caller).unwrap();
        assert_eq!((difference.line, difference.column), (3, 11));
        assert_eq!(difference.gateway, "`?`");
        assert_eq!(difference.caller, "`a`");
        assert_eq!(first_difference(BASE, BASE), None);
    }

    #[test]
    fn a_text_that_goes_on_differs_where_ours_ends() {
        let difference = first_difference(BASE, &format!("{BASE}\n")).unwrap();
        assert_eq!(difference.gateway, "the end of the text");
        assert_eq!(difference.caller, "the end of the line");
    }

    #[test]
    fn every_mistake_is_recognised_by_what_it_makes() {
        for mistake in MISTAKES {
            let caller = mistake.make(BASE, &seen());
            if caller != BASE {
                assert_eq!(likely(BASE, &caller, &seen()), Some(mistake.what));
            }
        }
    }

    #[test]
    fn a_mistake_is_recognised_beside_another_one() {
        let caller = BASE
            .replace("POST", "post")
            .replace("created=1", "created=2");
        let cause = likely(BASE, &caller, &seen()).unwrap();
        assert!(cause.contains("lower case"), "{cause}");
    }

    #[test]
    fn another_order_is_told_as_order() {
        let caller = BASE.replace("created=1;keyid=\"k\"", "keyid=\"k\";created=1");
        assert!(likely(BASE, &caller, &seen()).unwrap().contains("order"));
        let caller = BASE.replacen(
            "\"@method\": POST\n\"@authority\": api.example.com\n",
            "\"@authority\": api.example.com\n\"@method\": POST\n",
            1,
        );
        assert!(likely(BASE, &caller, &seen()).unwrap().contains("order"));
    }
}
