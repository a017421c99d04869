//! The options of `curl` that are understood, and what each does to a request.

/// What an option does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Does {
    /// It says this of the request; all but the last take a value.
    Method,
    Header,
    Url,
    User,
    Bearer,
    Agent,
    Referer,
    Cookie,
    Range,
    /// A body: joined with `&` to the one before.
    Data,
    /// The same, and `@` has no meaning.
    DataRaw,
    /// The same, byte for byte.
    DataBinary,
    DataUrlencode,
    Json,
    Get,
    Head,
    Compressed,
    PathAsIs,
    /// Brackets and braces in the URL stand for themselves.
    Globoff,
    Http10,
    Http11,
    /// It is chosen in the handshake of TLS; without TLS it is only offered.
    Http2,
    Http2PriorKnowledge,
    /// Nothing that the gateway sees.
    Nothing,
    /// Nothing, and it takes a value.
    NothingWithValue,
    /// Something that cannot be known from the line alone: what to do instead.
    Unknowable(&'static str),
}

use Does::{
    Agent, Bearer, Compressed, Cookie, Data, DataBinary, DataRaw, DataUrlencode, Get, Globoff,
    Head, Header, Http2, Http2PriorKnowledge, Http10, Http11, Json, Method, Nothing,
    NothingWithValue, PathAsIs, Range, Referer, Unknowable, Url, User,
};

const AS_SENT: &str = "add `-v`, run it, and paste the lines that begin with `>`";

/// Each option: its letter, its long name, what it does.
const OPTIONS: &[(char, &str, Does)] = &[
    ('X', "request", Method),
    ('H', "header", Header),
    (' ', "url", Url),
    ('u', "user", User),
    (' ', "oauth2-bearer", Bearer),
    ('A', "user-agent", Agent),
    ('e', "referer", Referer),
    ('b', "cookie", Cookie),
    ('r', "range", Range),
    ('d', "data", Data),
    (' ', "data-ascii", Data),
    (' ', "data-raw", DataRaw),
    (' ', "data-binary", DataBinary),
    (' ', "data-urlencode", DataUrlencode),
    (' ', "json", Json),
    ('G', "get", Get),
    ('I', "head", Head),
    (' ', "compressed", Compressed),
    (' ', "path-as-is", PathAsIs),
    ('0', "http1.0", Http10),
    (' ', "http1.1", Http11),
    (' ', "http2", Http2),
    (' ', "http2-prior-knowledge", Http2PriorKnowledge),
    (' ', "http3", Http2),
    ('s', "silent", Nothing),
    ('S', "show-error", Nothing),
    ('i', "include", Nothing),
    (' ', "show-headers", Nothing),
    ('v', "verbose", Nothing),
    ('k', "insecure", Nothing),
    ('L', "location", Nothing),
    ('f', "fail", Nothing),
    (' ', "fail-with-body", Nothing),
    ('N', "no-buffer", Nothing),
    ('#', "progress-bar", Nothing),
    (' ', "no-progress-meter", Nothing),
    ('g', "globoff", Globoff),
    ('O', "remote-name", Nothing),
    ('J', "remote-header-name", Nothing),
    ('q', "disable", Nothing),
    ('4', "ipv4", Nothing),
    ('6', "ipv6", Nothing),
    ('1', "tlsv1", Nothing),
    (' ', "tlsv1.2", Nothing),
    (' ', "tlsv1.3", Nothing),
    (' ', "ssl-reqd", Nothing),
    (' ', "no-keepalive", Nothing),
    (' ', "tcp-nodelay", Nothing),
    (' ', "basic", Nothing),
    ('o', "output", NothingWithValue),
    ('D', "dump-header", NothingWithValue),
    ('c', "cookie-jar", NothingWithValue),
    ('w', "write-out", NothingWithValue),
    ('m', "max-time", NothingWithValue),
    (' ', "connect-timeout", NothingWithValue),
    (' ', "expect100-timeout", NothingWithValue),
    (' ', "retry", NothingWithValue),
    (' ', "retry-delay", NothingWithValue),
    (' ', "retry-max-time", NothingWithValue),
    (' ', "max-redirs", NothingWithValue),
    (' ', "limit-rate", NothingWithValue),
    (' ', "resolve", NothingWithValue),
    (' ', "connect-to", NothingWithValue),
    (' ', "interface", NothingWithValue),
    (' ', "unix-socket", NothingWithValue),
    (' ', "cacert", NothingWithValue),
    (' ', "capath", NothingWithValue),
    (' ', "ciphers", NothingWithValue),
    (' ', "pinnedpubkey", NothingWithValue),
    (' ', "trace", NothingWithValue),
    (' ', "trace-ascii", NothingWithValue),
    (' ', "stderr", NothingWithValue),
    ('E', "cert", NothingWithValue),
    (' ', "cert-type", NothingWithValue),
    (' ', "key", NothingWithValue),
    (' ', "key-type", NothingWithValue),
    (' ', "pass", NothingWithValue),
    (
        ' ',
        "aws-sigv4",
        Unknowable(
            "it signs when it is sent, so that the line has no signature: add `-v`, run it, and paste the lines that begin with `>`",
        ),
    ),
    (
        'F',
        "form",
        Unknowable(
            "the body has a boundary that is chosen when it is sent, and is not in the trace either: save the request where it arrives, or send the form with `--data-binary`",
        ),
    ),
    (
        ' ',
        "form-string",
        Unknowable(
            "the body has a boundary that is chosen when it is sent, and is not in the trace either: save the request where it arrives, or send the form with `--data-binary`",
        ),
    ),
    (
        'T',
        "upload-file",
        Unknowable("say it with `-X PUT --data-binary @FILE`"),
    ),
    ('x', "proxy", Unknowable(AS_SENT)),
    (' ', "digest", Unknowable(AS_SENT)),
    (' ', "ntlm", Unknowable(AS_SENT)),
    (' ', "negotiate", Unknowable(AS_SENT)),
    (' ', "anyauth", Unknowable(AS_SENT)),
    ('n', "netrc", Unknowable("write what it says with `-u`")),
    (':', "next", Unknowable("paste one request at a time")),
    (
        'K',
        "config",
        Unknowable("write what it says into the line"),
    ),
    ('C', "continue-at", Unknowable("say the `Range` with `-r`")),
    ('z', "time-cond", Unknowable("say it with `-H`")),
    (' ', "variable", Unknowable("write the value itself")),
];

/// The option of this long name.
pub(super) fn long(name: &str) -> Option<Does> {
    let found = OPTIONS.iter().find(|(_, long, _)| *long == name);
    found.map(|(_, _, does)| *does)
}

/// The option of this letter.
pub(super) fn short(letter: char) -> Option<Does> {
    let found = OPTIONS.iter().find(|(short, _, _)| *short == letter);
    found.filter(|_| letter != ' ').map(|(_, _, does)| *does)
}

impl Does {
    /// Whether a value follows.
    pub(super) const fn takes_value(self) -> bool {
        !matches!(
            self,
            Get | Head
                | Compressed
                | PathAsIs
                | Globoff
                | Http10
                | Http11
                | Http2
                | Http2PriorKnowledge
                | Nothing
                | Unknowable(_)
        )
    }
}
