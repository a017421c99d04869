//! A `curl` command line, as browsers copy it and people write it: the request
//! that it would send.

use super::data::{data, urlencoded};
use super::options::{self, Does};
use super::url::{
    basic, globbed, has_letters_in_escapes, user_of, with_query, without_dots, without_fragment,
};
use super::{Body, Files, Pasted, addressed, no_parts, shell};
use crate::cli::stop::Stop;
use anyhow::Result;
use http::header::{
    ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HeaderMap, HeaderName,
    HeaderValue, RANGE, REFERER, TRANSFER_ENCODING, USER_AGENT,
};
use http::{Method, Version};

/// Bytes of a body that the line and its files may make together.
const MAX_BODY: usize = 64 * 1024 * 1024;
/// What `-d` says of a body, unless a header says otherwise.
const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");

/// What is said of escapes that curl writes anew.
const CASE_OF_ESCAPES: &str = "some versions of curl write the escapes of `--data-urlencode` and of `-G` in lower case, `%2b`: here those of the first are in upper case, and others as the line has them";
/// What is said of HTTP/2 that a server may decline.
const OFFERED: &str = "without TLS `--http2` only offers HTTP/2, and the request goes in HTTP/1.1; `--http2-prior-knowledge` sends it in HTTP/2";
/// What is said of `""` within double quotes.
const DOUBLED: &str = "`\"\"` within double quotes stands for nothing, as a POSIX shell reads it; if Windows' `cmd` wrote it for a quote, let the browser copy the request as cURL (bash), or (POSIX)";

/// Whether `text` is a `curl` command, behind a prompt or not.
pub fn is_one(text: &[u8]) -> bool {
    behind_the_word(text).is_some()
}

/// What stands behind the word `curl`.
fn behind_the_word(text: &[u8]) -> Option<&[u8]> {
    let text = text.strip_prefix(b"$ ").unwrap_or(text).trim_ascii_start();
    let words = [&b"curl"[..], b"curl.exe"].into_iter();
    let mut rests = words.filter_map(|word| text.strip_prefix(word));
    rests.find(|rest| rest.first().is_none_or(u8::is_ascii_whitespace))
}

/// Reads the command. `files` opens what its `@` names.
///
/// # Errors
/// What is not understood, and what to do instead.
pub fn read(text: &[u8], files: Files<'_>) -> Result<Pasted> {
    let line = std::str::from_utf8(behind_the_word(text).unwrap_or(text))
        .map_err(|_| Stop::failed("the `curl` line is not UTF-8"))?;
    let mut told = Told::default();
    let words = shell::words(line)?;
    if words.has_doubled {
        told.note(DOUBLED);
    }
    let count = words.all.len();
    let mut words = words.all.into_iter();
    while let Some(word) = words.next() {
        told.at = count - words.len();
        let mut value = |name: &str| {
            let value = words.next();
            value.ok_or_else(|| Stop::failed(format!("`{name}` needs a value behind it")))
        };
        if let Some(name) = word.strip_prefix("--") {
            let does = options::long(name).ok_or_else(|| unknown(&word))?;
            let value = if does.takes_value() {
                value(&word)?
            } else {
                String::new()
            };
            told.option(&word, does, value, files)?;
        } else if let Some(letters) = word.strip_prefix('-').filter(|rest| !rest.is_empty()) {
            let mut chars = letters.chars();
            while let Some(letter) = chars.next() {
                let name = format!("-{letter}");
                let does = options::short(letter).ok_or_else(|| unknown(&name))?;
                let value = match (does.takes_value(), chars.as_str()) {
                    (false, _) => String::new(),
                    (true, "") => value(&name)?,
                    (true, rest) => {
                        let rest = rest.to_owned();
                        chars = "".chars();
                        rest
                    }
                };
                told.option(&name, does, value, files)?;
            }
        } else {
            told.url(word)?;
        }
    }
    told.pasted()
}

fn unknown(option: &str) -> Stop {
    let option = option.escape_debug();
    Stop::failed(format!("the option `{option}` of curl is not understood here")).hint(
        "leave it out if the request is the same without it; or add `-v`, run it, and paste the lines that begin with `>`",
    )
}

/// What the options say.
#[derive(Default)]
struct Told {
    /// Which of the words behind `curl` is read, from 1.
    at: usize,
    /// And where it stands.
    url: Option<(String, usize)>,
    method: Option<Method>,
    headers: Vec<String>,
    /// What options say in the place of headers, which these go before.
    usual: Vec<(HeaderName, String)>,
    /// `Authorization` by name and password.
    user: Option<String>,
    data: Option<Vec<u8>>,
    version: Option<Version>,
    only_offers_http2: bool,
    json: bool,
    get: bool,
    head: bool,
    path_as_is: bool,
    globoff: bool,
    notes: Vec<String>,
}

impl Told {
    fn url(&mut self, url: String) -> Result<(), Stop> {
        if let Some((_, before)) = self.url {
            // They are not repeated: what looks like one may be a part of a credential that lost its quotes.
            let at = self.at;
            let message = format!("there are two URLs, the words {before} and {at} behind `curl`");
            return Err(Stop::failed(message).hint(
                "paste one request at a time, and put a value with spaces, such as a header, in quotes",
            ));
        }
        self.url = Some((url, self.at));
        Ok(())
    }

    fn option(&mut self, name: &str, does: Does, value: String, files: Files<'_>) -> Result<()> {
        match does {
            Does::Url => self.url(value)?,
            Does::Method => {
                let method = Method::from_bytes(value.as_bytes());
                let bad = |_| Stop::failed(format!("`{}` is not a method", value.escape_debug()));
                self.method = Some(method.map_err(bad)?);
            }
            Does::Header if value.starts_with('@') => {
                return Err(Stop::failed("a file of headers is not read")
                    .hint("write each with `-H`")
                    .into());
            }
            Does::Header => self.headers.push(value),
            Does::User => {
                let text = if value.contains(':') {
                    value
                } else {
                    return Err(Stop::failed("curl asks for the password of `-u`")
                        .hint("write `-u NAME:PASSWORD`")
                        .into());
                };
                self.user = Some(basic(text.as_bytes()));
            }
            Does::Bearer => self.say(AUTHORIZATION, format!("Bearer {value}")),
            Does::Agent => self.say(USER_AGENT, value),
            Does::Referer => self.say(REFERER, value),
            Does::Range => self.say(RANGE, format!("bytes={value}")),
            // Without any it keeps those that answers set.
            Does::Cookie if value.is_empty() => {}
            Does::Cookie if !value.contains('=') => {
                return Err(Stop::failed("a file of cookies is not read")
                    .hint("write them as `-b 'name=value; other=value'`")
                    .into());
            }
            Does::Cookie => {
                let before = self.usual.iter().find(|(name, _)| *name == COOKIE);
                let all = before.map_or_else(|| value.clone(), |(_, all)| format!("{all};{value}"));
                self.say(COOKIE, all);
            }
            Does::Data | Does::DataRaw | Does::DataBinary | Does::Json => {
                self.json |= does == Does::Json;
                let bytes = data(does, &value, files)?;
                self.append(&bytes, does != Does::Json)?;
            }
            Does::DataUrlencode => {
                let (text, has_letters) = urlencoded(&value, files)?;
                if has_letters {
                    self.note(CASE_OF_ESCAPES);
                }
                self.append(text.as_bytes(), true)?;
            }
            Does::Get => self.get = true,
            Does::Head => self.head = true,
            Does::PathAsIs => self.path_as_is = true,
            Does::Globoff => self.globoff = true,
            Does::Compressed => self.notes.push(
                "`--compressed` adds `Accept-Encoding`, of a value that depends on curl: it is not taken here".to_owned(),
            ),
            Does::Http10 => self.version = Some(Version::HTTP_10),
            Does::Http11 => self.version = Some(Version::HTTP_11),
            Does::Http2 | Does::Http2PriorKnowledge => {
                self.version = Some(Version::HTTP_2);
                self.only_offers_http2 = does == Does::Http2;
            }
            Does::Nothing | Does::NothingWithValue => {}
            Does::Unknowable(instead) => {
                let message = format!("what `{name}` sends is not to be seen from the line");
                return Err(Stop::failed(message).hint(instead).into());
            }
        }
        Ok(())
    }

    /// Of options that say the same the last counts.
    fn say(&mut self, name: HeaderName, value: String) {
        self.usual.retain(|(before, _)| *before != name);
        if !value.is_empty() {
            self.usual.push((name, value));
        }
    }

    fn note(&mut self, note: &str) {
        if !self.notes.iter().any(|told| told == note) {
            self.notes.push(note.to_owned());
        }
    }

    fn append(&mut self, bytes: &[u8], joined: bool) -> Result<(), Stop> {
        let data = match &mut self.data {
            Some(data) => {
                if joined {
                    data.push(b'&');
                }
                data
            }
            none => none.insert(Vec::new()),
        };
        if data.len() + bytes.len() > MAX_BODY {
            let message = format!("the body has more than {MAX_BODY} bytes");
            return Err(Stop::failed(message));
        }
        data.extend_from_slice(bytes);
        Ok(())
    }

    fn pasted(mut self) -> Result<Pasted> {
        let Some((url, _)) = self.url.take() else {
            return Err(Stop::failed("the `curl` line has no URL").into());
        };
        let url = if self.globoff {
            url
        } else {
            globbed(&url).ok_or_else(pattern)?
        };
        let mut url = without_fragment(&url).to_owned();
        if !url.contains("://") {
            // As curl guesses.
            url.insert_str(0, "http://");
        }
        if !self.path_as_is {
            let plain = without_dots(&url);
            if plain != url {
                self.note("curl takes `.` and `..` out of a path before it sends it, unless `--path-as-is` is there");
                url = plain;
            }
        }
        let mut data = self.data.take();
        if self.get
            && let Some(data) = data.take()
        {
            let data = String::from_utf8_lossy(&data);
            if has_letters_in_escapes(&data) {
                self.note(CASE_OF_ESCAPES);
            }
            url = with_query(&url, &data);
        }
        let is_http2 = self.version == Some(Version::HTTP_2);
        let scheme = url.split("://").next().unwrap_or_default();
        let is_tls = ["https", "wss"]
            .iter()
            .any(|one| scheme.eq_ignore_ascii_case(one));
        if is_http2 && self.only_offers_http2 && !is_tls {
            self.note(OFFERED);
            self.version = Some(Version::HTTP_11);
        }
        let mut notes = self.notes;
        let mut parts = no_parts();
        parts.version = self.version.unwrap_or_default();
        parts.method = self.method.unwrap_or(match (self.head, &data) {
            (true, _) => Method::HEAD,
            (false, Some(_)) => Method::POST,
            (false, None) => Method::GET,
        });
        let mut usual = self.usual;
        let by_name = self.user.or_else(|| user_of(&url));
        usual.extend(by_name.map(|basic| (AUTHORIZATION, basic)));
        if let Some(data) = &data {
            usual.push((CONTENT_LENGTH, data.len().to_string()));
        }
        let json = "application/json".to_owned();
        if self.json {
            usual.extend([(CONTENT_TYPE, json.clone()), (ACCEPT, json)]);
        }
        let mut headers = headers(&self.headers, usual, data.is_some())?;
        if parts.version == Version::HTTP_2 {
            // There are no transfer codings in it, and curl leaves the field out.
            headers.remove(TRANSFER_ENCODING);
        }
        let (parts, tls) = addressed(&url, parts, headers)?;
        let covers = |part: &str| {
            ["signature-input", "authorization", "proxy-authorization"]
                .iter()
                .filter_map(|name| parts.headers.get(*name)?.to_str().ok())
                .any(|value| value.to_ascii_lowercase().contains(part))
        };
        if tls && self.version.is_none() && !url.starts_with("ws") && covers("request-line") {
            notes.push("over `https` curl and the server choose the version of HTTP when they meet, mostly HTTP/2, and the request line that is signed names it: here it is HTTP/1.1; `--http1.1` or `--http2` settles it".to_owned());
        }
        if covers("user-agent") && !parts.headers.contains_key(USER_AGENT) {
            notes.push("`User-Agent` names curl and its version, which the line does not tell: say it with `-A`".to_owned());
        }
        Ok(Pasted {
            parts,
            body: data
                .filter(|data| !data.is_empty())
                .map_or(Body::None, Body::Whole),
            tls: Some(tls),
            notes,
        })
    }
}

/// The URL is not repeated: a credential may stand in it.
fn pattern() -> Stop {
    Stop::failed("`{…}` and `[…]` in the URL are a pattern to curl, which makes a request of each URL that it stands for")
        .hint("paste the one request that is meant; with `-g`, or a `\\` before each of these signs, curl sends them as they stand")
}

/// The fields: those that `-H` names, then those of other options and of curl itself.
fn headers(
    lines: &[String],
    usual: Vec<(HeaderName, String)>,
    has_body: bool,
) -> Result<HeaderMap> {
    let mut fields = HeaderMap::new();
    let mut taken_out = Vec::new();
    for line in lines {
        // The value is not repeated: it may be a credential.
        let bad = |why: &str| {
            let name = line.split_once(':').map_or("…", |(name, _)| name);
            Stop::failed(format!("`-H` of `{}`: {why}", name.escape_debug()))
        };
        let (name, value) = match (line.split_once(':'), line.strip_suffix(';')) {
            (Some((name, value)), _) => (name, value.trim()),
            (None, Some(name)) => (name, ""),
            (None, None) => return Err(bad("there is no `:`").into()),
        };
        let is_removal = value.is_empty() && line.contains(':');
        // Spaces around it are sent as they stand here.
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| bad("it is no name of a header, and gets a 400"))?;
        if is_removal {
            taken_out.push(name);
            continue;
        }
        let value = HeaderValue::from_bytes(value.as_bytes())
            .map_err(|_| bad("its value holds a control character"))?;
        fields.append(name, value);
    }
    if fields.contains_key(TRANSFER_ENCODING) {
        taken_out.push(CONTENT_LENGTH);
    }
    let mut add = |name: HeaderName, value: HeaderValue| {
        if !fields.contains_key(&name) && !taken_out.contains(&name) {
            fields.insert(name, value);
        }
    };
    for (name, value) in usual {
        let bad = |_| Stop::failed(format!("what becomes `{name}` holds a control character"));
        let value = HeaderValue::from_bytes(value.as_bytes()).map_err(bad)?;
        add(name, value);
    }
    add(ACCEPT, HeaderValue::from_static("*/*"));
    if has_body {
        add(CONTENT_TYPE, FORM);
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(line: &str) -> Pasted {
        let files = |name: &str| match name {
            "data" => Ok(b"a\r\nb\n".to_vec()),
            other => Err(format!("no {other}")),
        };
        read(line.as_bytes(), &files).unwrap_or_else(|why| panic!("{line}: {why}"))
    }

    fn error(line: &str) -> String {
        read(line.as_bytes(), &|_| Err("no file".to_owned()))
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn the_line_that_a_browser_copies_is_the_request_that_it_sent() {
        let line = r#"curl 'https://api.example.com/orders?b=2&a=%C3%A9#top' \
  -X 'PUT' \
  -H 'accept: */*' \
  -H $'x-note: it\'s \u00e9' \
  -H 'content-type: application/json' \
  -b 'a=1; b=2' \
  --data-raw $'{"it\'s":1}' \
  --compressed --insecure"#;
        let pasted = taken(line);
        assert_eq!(pasted.parts.method, "PUT");
        assert_eq!(pasted.parts.uri, "/orders?b=2&a=%C3%A9");
        let fields = &pasted.parts.headers;
        assert_eq!(fields["host"], "api.example.com");
        assert_eq!(fields["content-type"], "application/json");
        assert_eq!(fields["cookie"], "a=1; b=2");
        assert_eq!(fields["x-note"].as_bytes(), "it's é".as_bytes());
        assert_eq!(fields["content-length"], "10");
        assert_eq!(pasted.body, Body::Whole(b"{\"it's\":1}".to_vec()));
        assert_eq!(pasted.tls, Some(true));
        assert_eq!(pasted.notes.len(), 1);
    }

    #[test]
    fn what_curl_adds_by_itself_is_added() {
        for (line, method, target, body) in [
            ("curl http://h", "GET", "/", ""),
            ("$ curl h/a", "GET", "/a", ""),
            ("curl -I http://h?x", "HEAD", "/?x", ""),
            ("curl http://h/ -d a=1 -d b=2", "POST", "/", "a=1&b=2"),
            ("curl -sSXPATCH http://h/ -da", "PATCH", "/", "a"),
            ("curl http://h/ -d @data", "POST", "/", "ab"),
            (
                "curl http://h/ --data-binary @data",
                "POST",
                "/",
                "a\r\nb\n",
            ),
            ("curl http://h/ --data-raw @data", "POST", "/", "@data"),
            ("curl http://h/?x -G -d a=1", "GET", "/?x&a=1", ""),
            ("curl 'http://h/?x&' -G -d a=1", "GET", "/?x&a=1", ""),
            ("curl 'http://h/?' -G -d a=1", "GET", "/?a=1", ""),
            ("curl http://h/ -G -d ''", "GET", "/", ""),
            ("curl http://h/?x -G -d ''", "GET", "/?x", ""),
            ("curl wss://h/live", "GET", "/live", ""),
            // As Chrome copies `?f[a]=1`, and as others do.
            (r"curl 'http://h/?f\[a\]=1'", "GET", "/?f[a]=1", ""),
            (r"curl 'http://h/?\{a,b\}'", "GET", "/?{a,b}", ""),
            (r"curl -g 'http://h/?f[1-2]\['", "GET", r"/?f[1-2]\[", ""),
            ("curl 'http://h/?{1,2}' --globoff", "GET", "/?{1,2}", ""),
            ("curl 'http://h/?f[]=1&g[]=2'", "GET", "/?f[]=1&g[]=2", ""),
            (
                "curl -G http://h/ -d 'f[1-2]={a}'",
                "GET",
                "/?f[1-2]={a}",
                "",
            ),
            (
                "curl http://h/ -G --data-urlencode 'q=ä b' --data-urlencode '=&'",
                "GET",
                "/?q=%C3%A4+b&%26",
                "",
            ),
            (
                "curl http://h/ --data-urlencode a@b=c",
                "POST",
                "/",
                "a@b=c",
            ),
            (
                "curl http://h/ --data-urlencode n@data",
                "POST",
                "/",
                "n=a%0D%0Ab%0A",
            ),
            ("curl http://h/a/./b/../c/..", "GET", "/a/", ""),
            ("curl --path-as-is http://h/a/../b", "GET", "/a/../b", ""),
            ("curl --json '{}' --url http://h/", "POST", "/", "{}"),
            ("curl -o x -w '%{http_code}' -m 3 http://h/", "GET", "/", ""),
        ] {
            let pasted = taken(line);
            assert_eq!(pasted.parts.method, method, "{line}");
            assert_eq!(pasted.parts.uri.to_string(), target, "{line}");
            let sent = match &pasted.body {
                Body::Whole(bytes) => bytes.as_slice(),
                _ => b"",
            };
            assert_eq!(sent, body.as_bytes(), "{line}");
        }
        let fields = taken("curl http://h/ -d a -u me:x -H 'accept:' -H 'x-empty;'")
            .parts
            .headers;
        assert_eq!(fields["content-type"], FORM);
        assert_eq!(fields["authorization"], "Basic bWU6eA==");
        assert_eq!(fields["x-empty"], "");
        assert!(!fields.contains_key("accept"));
        for (line, name, value) in [
            ("curl http://me:x%40@h/", "authorization", "Basic bWU6eEA="),
            ("curl http://me@h/", "authorization", "Basic bWU6"),
            (
                "curl http://no@h/ -u a:b -u me:x",
                "authorization",
                "Basic bWU6eA==",
            ),
            (
                "curl http://h/ --oauth2-bearer t -u me:x",
                "authorization",
                "Bearer t",
            ),
            (
                "curl http://me@h/ -H 'Authorization: x'",
                "authorization",
                "x",
            ),
            ("curl http://h/ -A a -A b", "user-agent", "b"),
            ("curl http://h/ -r 1-2 -r 3-4", "range", "bytes=3-4"),
            ("curl http://h/ -b a=1 -b ''  -b b=2", "cookie", "a=1;b=2"),
            ("curl http://h:80/", "host", "h"),
            ("curl https://h:443/", "host", "h"),
            ("curl https://h:80/", "host", "h:80"),
        ] {
            assert_eq!(taken(line).parts.headers[name], value, "{line}");
        }
        let fields = taken("curl http://h/ -A '' -e '' -H 'transfer-encoding: chunked' -d a");
        for name in ["user-agent", "referer", "content-length"] {
            assert!(!fields.parts.headers.contains_key(name), "{name}");
        }
        let fields = taken("curl --http2 https://h/ -H 'transfer-encoding: chunked' -d a");
        assert!(!fields.parts.headers.contains_key(TRANSFER_ENCODING));
        let fields = taken("curl --json 1 http://h/ -H 'Host: other'")
            .parts
            .headers;
        assert_eq!(fields["content-type"], "application/json");
        assert_eq!(fields["host"], "other");
    }

    #[test]
    fn what_the_line_does_not_settle_is_noted() {
        let kong = "-H 'Authorization: hmac username=\"a\", headers=\"date request-line\"'";
        for (line, told) in [
            (
                format!("curl https://h/ {kong}"),
                "`--http1.1` or `--http2`",
            ),
            (format!("curl --http1.1 https://h/ {kong}"), ""),
            (format!("curl --http2 https://h/ {kong}"), ""),
            (format!("curl http://h/ {kong}"), ""),
            (format!("curl wss://h/ {kong}"), ""),
            ("curl https://h/".to_owned(), ""),
            ("curl -G -d 'q=%C3%A9' http://h/".to_owned(), "lower case"),
            ("curl -G -d 'q=%20' http://h/".to_owned(), ""),
            ("curl -d 'q=%C3%A9' http://h/".to_owned(), ""),
            (
                "curl -G --data-urlencode 'q=é' http://h/".to_owned(),
                "lower case",
            ),
        ] {
            let notes = taken(&line).notes;
            assert_eq!(
                notes.len(),
                usize::from(!told.is_empty()),
                "{line}: {notes:?}"
            );
            assert!(notes.concat().contains(told), "{line}: {notes:?}");
        }
        let version = |line: &str| taken(line).parts.version;
        assert_eq!(version("curl http://h/"), Version::HTTP_11);
        for line in [
            "curl --http2 https://h/",
            "curl --http2-prior-knowledge http://h/",
            "curl --http2 --http2-prior-knowledge http://h/",
        ] {
            assert_eq!(version(line), Version::HTTP_2, "{line}");
        }
        // What arrives is what the offer was made in.
        for line in [
            "curl --http2 http://h/",
            "curl --http2 h",
            "curl --http3 HTTP://h/",
        ] {
            assert_eq!(version(line), Version::HTTP_11, "{line}");
            assert_eq!(taken(line).notes, [OFFERED]);
        }
    }

    #[test]
    fn what_is_not_understood_is_named_and_no_value_is_told() {
        for (line, told) in [
            ("curl", "no URL"),
            ("curl http://a/ http://b/", "words 1 and 2"),
            (
                "curl -H Authorization: Bearer canary http://a/",
                "words 3 and 4",
            ),
            ("curl 'http://me:canary@h/a b'", "http://…@h/a b"),
            ("curl 'http://me:canary@ä/'", "xn--"),
            ("curl http://a/ -H 'Accept : canary'", "`Accept `"),
            ("curl --nonsense http://a/", "`--nonsense`"),
            ("curl -sZ http://a/", "`-Z`"),
            ("curl http://a/ -H", "needs a value"),
            ("curl http://a/ -F a=canary", "`-F`"),
            ("curl --aws-sigv4 aws:amz:r:s http://a/", "`--aws-sigv4`"),
            ("curl http://a/ -H 'x canary'", "no `:`"),
            ("curl http://a/ -H 'x y: canary'", "no name"),
            ("curl http://a/ -H $'x: canary\\x01y'", "control character"),
            ("curl http://a/ -A $'canary\\n'", "control character"),
            ("curl http://a/ -u canary", "password"),
            ("curl http://a/ -b canary", "cookies"),
            ("curl http://a/ -H @canary", "file of headers"),
            ("curl http://a/ -d @canary", "no file"),
            ("curl 'http://a/?canary={1,2}'", "`-g`"),
            ("curl 'http://a/?canary=[1-3]'", "`-g`"),
            ("curl 'http://a/?canary=a]'", "`-g`"),
            ("curl http://a/ | jq", "`|`"),
            ("curl ftp://a/", "needs `http`"),
            ("curl 'http://a/ä b'", "no URL"),
            ("curl -X 'P T' http://a/", "not a method"),
        ] {
            let message = error(line);
            assert!(
                message.contains(told) && !message.contains("canary"),
                "{line}: {message}"
            );
        }
        assert!(!is_one(b"curling http://a/") && is_one(b"curl") && is_one(b"$ curl\thttp://a"));
    }
}
