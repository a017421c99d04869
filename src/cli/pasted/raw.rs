//! A request as text: pasted from a log, a trace, or the `>` lines of `curl -v`.

use super::{Body, Pasted, announced, chunks};
use crate::cli::stop::Stop;
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
    let text = String::from_utf8_lossy(line);
    // The line is not repeated: the text may be another, such as a secret.
    let bad = || {
        Stop::failed(format!(
            "line {number} is not `METHOD target HTTP/1.1`"
        ))
        .hint("the raw text is wanted, as behind `>` in the output of `curl -v`; or a HAR entry, or a whole `curl` line")
    };
    let words: Vec<&str> = text.split(' ').filter(|word| !word.is_empty()).collect();
    let (method, target, version) = match words.as_slice() {
        [method, target, "HTTP/1.0"] => (method, target, Version::HTTP_10),
        [method, target] | [method, target, "HTTP/1.1"] => (method, target, Version::HTTP_11),
        [method, target, "HTTP/2" | "HTTP/2.0"] => (method, target, Version::HTTP_2),
        _ => return Err(bad().into()),
    };
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(method.as_bytes()).map_err(|_| bad())?;
    *request.uri_mut() = target
        .parse::<Uri>()
        .map_err(|why| Stop::failed(format!("line {number}: the target is none: {why}")))?;
    *request.version_mut() = version;
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
                "`Content-Length` announces {length} bytes, the text has {}",
                rest.len()
            ));
            Body::Whole(rest.to_vec())
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
    fn the_trace_of_curl_is_taken() {
        let text =
            "* Connected\n> GET /a HTTP/1.1\r\n> Host: x\r\n> \r\n< HTTP/1.1 200 OK\n< a: b\n";
        let raw = read(text.as_bytes()).unwrap();
        assert_eq!(raw.parts.uri, "/a");
        assert_eq!(raw.parts.headers.len(), 1);
        assert!(!raw.has_body());
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
