//! A request as the command line describes it, with the words of `curl`.

use super::send::PORTS;
use super::stop::Stop;
use crate::client::target_of;
use crate::schemes::authority::port_of;
use anyhow::Result;
use bytes::Bytes;
use clap::Args;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Uri};
use std::borrow::Cow;
use std::io::Read;
use std::path::PathBuf;

/// Bytes of a body that the commands read into memory.
const MAX_DATA: u64 = 256 * 1024 * 1024;

/// What to send, and where.
#[derive(Args)]
pub(super) struct MessageArgs {
    /// Where the request goes, with scheme and host
    url: String,
    /// The method [default: GET, or POST with `--data`]
    #[arg(short = 'X', long, value_name = "METHOD", help_heading = "Request")]
    request: Option<String>,
    /// A header, `name: value`; may be given again
    #[arg(short = 'H', long, value_name = "HEADER", help_heading = "Request")]
    header: Vec<String>,
    /// The body: the text itself, `@FILE`, or `@-` for standard input
    #[arg(short, long, value_name = "DATA", help_heading = "Request")]
    data: Option<String>,
}

/// A request, not sent yet.
#[derive(Clone, Debug)]
pub(super) struct Message {
    /// Method.
    pub(super) method: Method,
    /// The URL, absolute.
    pub(super) uri: Uri,
    /// Fields, without `Host` unless it was asked for.
    pub(super) fields: HeaderMap,
    /// The body, empty for none.
    pub(super) body: Bytes,
    /// Where the body was read from.
    pub(super) source: Source,
}

/// Where a body comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// It was given as text, or there is none.
    Inline,
    /// A file.
    File(PathBuf),
    /// Standard input.
    Stdin,
}

impl MessageArgs {
    /// Reads the request; `stdin_taken` says that standard input holds the secret.
    pub(super) fn message(&self, stdin_taken: bool) -> Result<Message> {
        let uri = absolute(&self.url)?;
        let (body, source) = match &self.data {
            None => (Bytes::new(), Source::Inline),
            Some(data) => read(data, stdin_taken)?,
        };
        let method = match &self.request {
            Some(name) => Method::from_bytes(name.as_bytes())
                .map_err(|_| Stop::usage(format!("`{name}` is not a method")))?,
            None if self.data.is_some() => Method::POST,
            None => Method::GET,
        };
        let mut fields = HeaderMap::new();
        for line in &self.header {
            let (name, value) = field(line)?;
            fields.append(name, value);
        }
        Ok(Message {
            method,
            uri,
            fields,
            body,
            source,
        })
    }
}

impl Message {
    /// Says what the body is, unless the caller said so: JSON if it is JSON,
    /// else what `curl` says.
    pub(super) fn say_content_type(&mut self) {
        if self.body.is_empty() || self.fields.contains_key(CONTENT_TYPE) {
            return;
        }
        let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(&self.body).is_ok();
        let kind = if is_json {
            "application/json"
        } else {
            "application/x-www-form-urlencoded"
        };
        self.fields
            .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    }

    /// Path and query as they stand in the request line.
    pub(super) fn target(&self) -> Cow<'_, str> {
        target_of(&self.uri)
    }
}

fn absolute(url: &str) -> Result<Uri> {
    let bad = |why: &str| {
        let shown = without_user(url);
        Stop::usage(format!("`{shown}` is not a URL to send to: {why}"))
    };
    let no_scheme = || {
        bad("it must start with `http://` or `https://`, and a host")
            .hint("`http://127.0.0.1:8080/orders`")
    };
    if !url.contains("://") {
        return Err(no_scheme().into());
    }
    let uri: Uri = url.parse().map_err(|why| {
        bad(&format!("{why}"))
            .hint("spaces and letters outside ASCII must be percent-encoded; quote the URL for your shell")
    })?;
    match (uri.scheme_str(), uri.authority()) {
        (Some("http" | "https"), Some(authority)) if authority.as_str().contains('@') => {
            Err(bad("it holds a user name")
                .hint("say it in a header: `-H 'Authorization: …'`")
                .into())
        }
        (Some("http" | "https"), Some(authority)) => match port_of(authority) {
            Ok(_) => Ok(uri),
            Err(none) => Err(bad(&format!("it {none}")).hint(PORTS).into()),
        },
        _ => Err(no_scheme().into()),
    }
}

/// `url` as it may be repeated: what stands before an `@` may be a name with its password, also where it is no URL otherwise.
pub(super) fn without_user(url: &str) -> Cow<'_, str> {
    let Some((front, rest)) = url.rsplit_once('@') else {
        return Cow::Borrowed(url);
    };
    let scheme = front.split_once("://").map_or("", |(scheme, _)| scheme);
    // It may stand further behind, in a query.
    let is_one = scheme.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let scheme = if is_one { scheme } else { "" };
    let separator = if scheme.is_empty() { "" } else { "://" };
    Cow::Owned(format!("{scheme}{separator}…@{rest}"))
}

fn field(line: &str) -> Result<(HeaderName, HeaderValue)> {
    let bad = |shown: &str| {
        // The value is not repeated: it may be a credential.
        Stop::usage(format!("the header `{shown}` is not `name: value`"))
            .hint("`-H 'Content-Type: application/json'`")
    };
    let (name, value) = line.split_once(':').ok_or_else(|| bad("…"))?;
    let value = HeaderValue::from_str(value.trim()).map_err(|_| bad(name))?;
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad(name))?;
    Ok((name, value))
}

fn read(data: &str, stdin_taken: bool) -> Result<(Bytes, Source)> {
    let Some(path) = data.strip_prefix('@') else {
        return Ok((Bytes::copy_from_slice(data.as_bytes()), Source::Inline));
    };
    if path == "-" {
        if stdin_taken {
            return Err(
                Stop::usage("standard input cannot be both the secret and the body").into(),
            );
        }
        let body = read_bounded(std::io::stdin().lock(), "standard input", MAX_DATA)?;
        return Ok((body.into(), Source::Stdin));
    }
    let file = std::fs::File::open(path)
        .map_err(|why| Stop::usage(format!("the body's file `{path}` cannot be opened: {why}")))?;
    let body = read_bounded(file, path, MAX_DATA)?;
    Ok((body.into(), Source::File(path.into())))
}

/// Reads all of `from`, at most `limit` bytes of it.
pub(super) fn read_bounded(from: impl Read, shown: &str, limit: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(|why| Stop::usage(format!("`{shown}` cannot be read: {why}")))?;
    if bytes.len() as u64 > limit {
        return Err(Stop::usage(format!(
            "`{shown}` has more than {limit} bytes; at most that many are read"
        ))
        .into());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_is_refused_is_repeated_without_its_password() {
        for (url, shown) in [
            ("http://me:canary@h/", "`http://…@h/`"),
            ("http://me:canary@h/a b", "`http://…@h/a b`"),
            ("http://me:can/ary@h/", "`http://…@h/`"),
            ("http://me:can@ary@h:0/", "`http://…@h:0/`"),
            ("me:canary@h", "`…@h`"),
            ("http://h:0/a", "`http://h:0/a`"),
            ("/a", "`/a`"),
        ] {
            let told = absolute(url).unwrap_err().to_string();
            assert!(told.contains(shown), "{told}");
            assert!(!told.contains("can"), "{told}");
        }
    }
}
