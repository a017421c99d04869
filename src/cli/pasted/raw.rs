//! A request as text: pasted from a log, a trace, or the `>` lines of `curl -v`.

use super::{Body, MAX_HEADERS, Pasted, announced, chunks};
use crate::cli::stop::Stop;
use crate::server::Fault;
use crate::server::http1::head;
use anyhow::Result;
use http::header::{HeaderName, HeaderValue, TRANSFER_ENCODING};
use http::request::Parts;
use http::{Method, Request, Uri, Version};

/// Takes `text` apart. Lines may end in CR LF or in LF.
///
/// # Errors
/// The line that is no part of a request.
pub fn read(text: &[u8]) -> Result<Pasted> {
    let mut notes = Vec::new();
    let trace = last_of_trace(text, &mut notes);
    let traced = trace.is_some();
    let mut lines = trace.unwrap_or_else(|| Lines::of(text));
    let mut next = || loop {
        let line = lines.next()?;
        match (traced, line.strip_prefix(b"> ")) {
            (false, _) => return Some((lines.number, line)),
            (true, Some(line)) => return Some((lines.number, line)),
            // `>` alone is the empty line; `*` and `<` lines are not the request's.
            (true, None) if line == b">" => return Some((lines.number, &[])),
            (true, None) => {}
        }
    };
    let (number, first) = loop {
        match next() {
            Some((_, b"")) => {}
            Some(found) => break found,
            None => {
                return Err(Stop::failed("there is no request: the text is empty")
                        .hint("the raw text is wanted: `POST /orders HTTP/1.1`, the headers, an empty line, the body; or a HAR entry, or a `curl` line")
                        .into());
            }
        }
    };
    let (mut parts, ()) = request_line(number, first)?.into_parts();
    while let Some((number, line)) = next() {
        if line.is_empty() {
            break;
        }
        if parts.headers.len() == MAX_HEADERS {
            return Err(Stop::failed(format!(
                "line {number}: the request has more than {MAX_HEADERS} headers"
            ))
            .hint("an empty line ends the headers")
            .into());
        }
        let (name, value) = field(number, line)?;
        parts.headers.append(name, value);
    }
    let rest = if traced { &[] } else { lines.rest };
    let body = body(&parts, rest, &mut notes);
    Ok(Pasted {
        parts,
        body,
        tls: None,
        notes,
    })
}

/// A trace from its request on: the last of several, and not what is said to a proxy before it.
/// `None` where `text` is no trace.
fn last_of_trace<'t>(text: &'t [u8], notes: &mut Vec<String>) -> Option<Lines<'t>> {
    // What looks like one in a body, such as a mail that is quoted, is the body's.
    if Lines::of(text).first().is_some_and(is_request_line) {
        return None;
    }
    let mut lines = Lines::of(text);
    let (mut found, mut count, mut has_tunnel) = (None, 0, false);
    loop {
        let here = lines;
        let Some(line) = lines.next() else {
            break;
        };
        if !is_traced_request_line(line) {
            continue;
        }
        let is_connect = line.starts_with(b"> CONNECT ");
        has_tunnel |= is_connect;
        count += u32::from(!is_connect);
        if found.is_none() || !is_connect {
            found = Some(here);
        }
    }
    if has_tunnel && count > 0 {
        notes.push("`CONNECT` is for the proxy, and passed over here".to_owned());
    }
    if count > 1 {
        notes.push(format!(
            "the trace has {count} requests, and this is the last: for another, paste its lines alone"
        ));
    }
    found
}

#[derive(Clone, Copy)]
struct Lines<'t> {
    rest: &'t [u8],
    number: usize,
}

impl<'t> Lines<'t> {
    const fn of(text: &'t [u8]) -> Self {
        Self {
            rest: text,
            number: 0,
        }
    }

    fn next(&mut self) -> Option<&'t [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let end = self.rest.iter().position(|byte| *byte == b'\n');
        let (line, rest) = match end {
            Some(end) => (&self.rest[..end], &self.rest[end + 1..]),
            None => (self.rest, &[][..]),
        };
        self.rest = rest;
        self.number += 1;
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }

    /// The next that is not empty.
    fn first(&mut self) -> Option<&'t [u8]> {
        loop {
            match self.next()? {
                b"" => {}
                line => return Some(line),
            }
        }
    }
}

/// The words of `line`, as many as a request line has and one more.
fn words(line: &[u8]) -> Vec<&[u8]> {
    const MOST: usize = 4;
    let words = line.split(|byte| *byte == b' ');
    words.filter(|word| !word.is_empty()).take(MOST).collect()
}

/// Whether a request that is no trace begins with `line`. Before a trace may stand what curl says of its progress.
fn is_request_line(line: &[u8]) -> bool {
    let words = line.split(|byte| b" \t".contains(byte));
    let mut words = words.filter(|word| !word.is_empty());
    let is_version = |word: &[u8]| word.starts_with(b"HTTP/");
    // Also one that the gateway refuses, since a word is too many or a tab parts them.
    match (words.next(), words.next(), words.next_back()) {
        (Some(b"*" | b"<" | b">"), ..) | (_, None, _) => false,
        (_, Some(last), None) => last.starts_with(b"/") || is_version(last),
        (_, _, Some(last)) => is_version(last),
    }
}

fn is_traced_request_line(line: &[u8]) -> bool {
    line.strip_prefix(b"> ").is_some_and(|line| {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        line.split(|byte| *byte == b' ')
            .nth(2)
            .is_some_and(|version| version.starts_with(b"HTTP/"))
    })
}

fn request_line(number: usize, line: &[u8]) -> Result<Request<()>> {
    // The line is not repeated: the text may be another, such as a secret.
    let bad = || {
        Stop::failed(format!(
            "line {number} is not `METHOD target HTTP/1.1`"
        ))
        .hint("the raw text is wanted, as behind `>` in the output of `curl -v`; or a HAR entry, or a whole `curl` line")
    };
    let (method, target, version) = match words(line).as_slice() {
        [method, target] => (*method, *target, None),
        [method, target, b"HTTP/1.0"] => (*method, *target, Some(Version::HTTP_10)),
        [method, target, b"HTTP/1.1"] => (*method, *target, Some(Version::HTTP_11)),
        [method, target, b"HTTP/2" | b"HTTP/2.0"] => (*method, *target, Some(Version::HTTP_2)),
        _ => return Err(bad().into()),
    };
    let method = Method::from_bytes(method).map_err(|_| bad())?;
    // What is read below is more than the gateway takes: it would be another request, without a `#…`.
    let fault = match version {
        Some(Version::HTTP_2) => None,
        Some(_) => head::fault_in_request_line(line),
        None => head::fault_in_request_line(&[line.trim_ascii_end(), b" HTTP/1.1"].concat()),
    };
    if let Some(Fault::Malformed(why)) = fault {
        return Err(Stop::failed(format!("line {number}: {why}"))
            .hint("the gateway answers such a line with 400")
            .into());
    }
    let mut request = Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = Uri::try_from(target)
        .map_err(|why| Stop::failed(format!("line {number}: the target is none: {why}")))?;
    *request.version_mut() = version.unwrap_or_default();
    Ok(request)
}

fn field(number: usize, line: &[u8]) -> Result<(HeaderName, HeaderValue)> {
    // The value is not repeated: it may be a credential.
    let bad = |what: &str| Stop::failed(format!("line {number} is no header: {what}"));
    if line.starts_with(b" ") || line.starts_with(b"\t") {
        return Err(
            bad("it starts with a space, and folded headers are not accepted")
                .hint("write the header in one line")
                .into(),
        );
    }
    let colon = line
        .iter()
        .position(|byte| *byte == b':')
        .ok_or_else(|| bad("there is no `:`").hint("an empty line ends the headers"))?;
    let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
    let name = HeaderName::from_bytes(name).map_err(|_| bad("its name is no field name"))?;
    let value =
        HeaderValue::from_bytes(value).map_err(|_| bad("its value holds a control character"))?;
    Ok((name, value))
}

fn body(parts: &Parts, rest: &[u8], notes: &mut Vec<String>) -> Body {
    if parts.headers.contains_key(TRANSFER_ENCODING) {
        if rest.trim_ascii().is_empty() {
            notes.push("the body is chunked: its digest is not checked here".to_owned());
            return Body::NotGiven;
        }
        match chunks::put_together(rest) {
            Some(Ok(body)) => {
                notes.push("the body is in chunks: it is taken without their sizes".to_owned());
                return Body::Whole(body);
            }
            Some(Err(why)) => return Body::Broken(why),
            None => {}
        }
        notes.push(
            "the body is said to be chunked, and is not: all that follows the empty line is taken as it"
                .to_owned(),
        );
        return Body::Rest(rest.to_vec());
    }
    match announced(&parts.headers) {
        Some(0) => Body::None,
        Some(_) if rest.trim_ascii().is_empty() => {
            notes.push("the text has no body: its digest is not checked here".to_owned());
            Body::NotGiven
        }
        Some(length) if rest.len() >= length => {
            if !rest[length..].trim_ascii().is_empty() {
                notes.push(format!(
                    "the text goes on behind the {length} bytes that `Content-Length` announces"
                ));
            }
            Body::Whole(rest[..length].to_vec())
        }
        Some(length) => {
            notes.push(format!(
                "`Content-Length` announces {length} bytes, the text has {}: its digest is not checked here",
                rest.len()
            ));
            Body::NotGiven
        }
        None if rest.trim_ascii().is_empty() => Body::None,
        None => {
            notes.push(
                "there is no `Content-Length`: all that follows the empty line is taken as the body"
                    .to_owned(),
            );
            Body::Rest(rest.to_vec())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_may_end_either_way() {
        for text in [
            "POST /a?b HTTP/1.1\nHost: x\nContent-Length: 2\n\nhi\n",
            "POST /a?b HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi",
        ] {
            let raw = read(text.as_bytes()).unwrap();
            assert_eq!(raw.parts.uri, "/a?b");
            assert_eq!(raw.parts.headers["host"], "x");
            assert!(matches!(&raw.body, Body::Whole(body) if body == b"hi"));
        }
    }

    #[test]
    fn a_body_of_no_chunks_is_none() {
        for (chunks, has_body) in [("0\n\n", false), ("1\nx\n0\n\n", true), ("", true)] {
            let text = format!("POST /a HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\n{chunks}");
            assert_eq!(
                read(text.as_bytes()).unwrap().has_body(),
                has_body,
                "{chunks}"
            );
        }
    }

    #[test]
    fn the_trace_of_curl_is_taken() {
        let text =
            "* Connected\n> GET /a HTTP/1.1\r\n> Host: x\r\n> \r\n< HTTP/1.1 200 OK\n< a: b\n";
        let raw = read(text.as_bytes()).unwrap();
        assert_eq!(raw.parts.uri, "/a");
        assert_eq!(raw.parts.headers.len(), 1);
        assert!(!raw.has_body());
    }

    #[test]
    fn what_a_body_quotes_is_no_trace_and_what_curl_says_before_one_is_no_request() {
        let quoted = "Hello\n> GET /evil HTTP/1.1\n> Host: y\n";
        for line in [
            "POST /a HTTP/1.1",
            "\n\nPOST /a HTTP/2",
            "POST /a",
            "POST /a ",
        ] {
            let raw = read(format!("{line}\nHost: x\n\n{quoted}").as_bytes()).unwrap();
            assert_eq!(raw.parts.uri, "/a", "{line}");
            assert_eq!(raw.body, Body::Rest(quoted.as_bytes().to_vec()));
        }
        // Also where the gateway would refuse the line.
        for line in [
            "POST /orders/a b HTTP/1.1",
            "POST /a HTTP/1.1 ",
            "POST\t/a HTTP/1.1",
            "POST /a\tHTTP/1.1",
            "POST\t/a",
            "POST HTTP/1.1",
        ] {
            let told = read(format!("{line}\nHost: x\n\n{quoted}").as_bytes());
            let told = told.err().unwrap().to_string();
            assert!(told.starts_with("line 1"), "{line:?}: {told}");
        }
        for said in [
            "  % Total    % Received % Xferd  Average Speed\n  0     0*   Trying ::1\n",
            "Note: Unnecessary use of -X\n",
            "* using HTTP/2\n",
            "< HTTP/1.1 200 OK\n",
            "} [5 bytes data]\n",
            "\n",
        ] {
            let raw = read(format!("{said}> GET /a HTTP/1.1\r\n> Host: x\r\n").as_bytes());
            assert_eq!(raw.unwrap().parts.uri, "/a", "{said}");
        }
    }

    #[test]
    fn of_a_trace_with_several_requests_the_last_is_taken_and_that_is_told() {
        let get = |path: &str| {
            format!("> GET {path} HTTP/1.1\r\n> Host: x\r\n> \r\n< HTTP/1.1 302 Found\r\n")
        };
        let connect = "> CONNECT x:443 HTTP/1.1\r\n> Host: x:443\r\n> \r\n< HTTP/1.1 200 OK\r\n";
        for (text, target, told) in [
            (get("/a"), "/a", [false, false]),
            (get("/a") + &get("/b"), "/b", [false, true]),
            (connect.to_owned() + &get("/a"), "/a", [true, false]),
            (
                connect.to_owned() + &get("/a") + connect + &get("/b"),
                "/b",
                [true, true],
            ),
            (connect.to_owned(), "x:443", [false, false]),
        ] {
            let raw = read(text.as_bytes()).unwrap();
            assert_eq!(raw.parts.uri.to_string(), target);
            assert_eq!(raw.parts.headers.len(), 1);
            let notes = raw.notes.concat();
            let has = ["`CONNECT`", "2 requests"].map(|word| notes.contains(word));
            assert_eq!(has, told, "{notes}");
        }
    }

    #[test]
    fn a_body_ends_where_the_text_tells_and_else_perhaps_before_its_last_newline() {
        let body = |fields: &str, body: &str| {
            let text = format!("POST / HTTP/1.1\nHost: x\n{fields}\n{body}");
            read(text.as_bytes()).unwrap().body
        };
        let chunked = "Transfer-Encoding: chunked\n";
        let whole = |text: &str| Body::Whole(text.as_bytes().to_vec());
        let rest = |text: &str| Body::Rest(text.as_bytes().to_vec());
        assert_eq!(body("Content-Length: 3\n", "hi\n\n"), whole("hi\n"));
        assert_eq!(body(chunked, "5\r\nhello\r\n0\r\n\r\n"), whole("hello"));
        assert_eq!(body(chunked, "hello\n"), rest("hello\n"));
        let broken = body(chunked, "5;a=b\r\nhello\r\n0\r\n\r\n");
        assert_eq!(broken, Body::Broken("chunk extensions are not accepted"));
        assert_eq!(body("", "hi\r\n"), rest("hi\r\n"));
        assert_eq!(body("", "hi\r\n").without_newline(), Some(rest("hi")));
        assert_eq!(rest("hi\n\n").without_newline(), Some(rest("hi\n")));
        assert_eq!(rest("hi").without_newline(), None);
        assert_eq!(whole("hi\n").without_newline(), None);
    }

    #[test]
    fn what_is_no_request_is_told_by_line_and_without_its_value() {
        let error = |text: &str| read(text.as_bytes()).err().unwrap().to_string();
        assert!(error("").contains("empty"));
        assert!(error("wget http://x/ -H a").contains("line 1"));
        // Of a file that is none, the front is enough.
        for long in [
            "\0".repeat(1 << 20),
            format!("GET /{}\"", "x".repeat(1 << 17)),
        ] {
            let message = error(&long);
            assert!(
                message.contains("line 1") && message.len() < 500,
                "{message}"
            );
        }
        let many = (0..25_000).fold("GET / HTTP/1.1\n".to_owned(), |text, at| {
            text + &format!("x-{at}: 1\n")
        });
        assert!(error(&many).contains("line 1002: the request has more than 1000 headers"));
        // As the gateway says it.
        for (line, told) in [
            ("GET /a#top HTTP/1.1", "holds a `#`"),
            ("GET /a#top", "holds a `#`"),
            ("GET  /a HTTP/1.1", "not a method, a target and a version"),
            ("GET /a HTTP/1.1 ", "does not end in"),
            ("GET /\u{e9} HTTP/1.0", "not ASCII"),
        ] {
            let message = error(line);
            assert!(message.starts_with("line 1: "), "{message}");
            assert!(message.contains(told), "{message}");
        }
        let message = error("GET / HTTP/1.1\nAuthorization canary");
        assert!(message.contains("line 2") && !message.contains("canary"));
        for text in [
            "base64:canary\n",
            "a canary in words\n",
            "GET /canary< HTTP/1.1\n",
        ] {
            let message = error(text);
            assert!(
                message.contains("line 1") && !message.contains("canary"),
                "{message}"
            );
        }
    }
}
