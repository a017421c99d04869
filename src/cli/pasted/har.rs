//! A HAR file (HTTP Archive 1.2), one of its entries, or the request within one.

use super::url::told;
use super::{Body, MAX_HEADERS, Pasted, addressed, announced, no_parts};
use crate::cli::paint::short;
use crate::cli::stop::Stop;
use anyhow::Result;
use data_encoding::BASE64;
use http::header::{AUTHORIZATION, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Version};
use serde::Deserialize;
use serde_json::Value;

/// What is said where neither is there.
const NO_CREDENTIALS: &str = "the entry has neither `Authorization` nor `Cookie`: browsers leave them out of a HAR unless they are told to save it with sensitive data";
/// Entries that a message lists.
const LISTED: usize = 8;

#[derive(Deserialize)]
struct Entry {
    request: Request,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "an object, a request")]
struct Request {
    method: String,
    url: String,
    #[serde(default)]
    http_version: String,
    #[serde(default)]
    headers: Vec<Header>,
    post_data: Option<PostData>,
}

#[derive(Deserialize)]
#[serde(expecting = "an object of `name` and `value`")]
struct Header {
    name: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(expecting = "an object with the body")]
struct PostData {
    text: Option<String>,
    encoding: Option<String>,
    #[serde(default)]
    params: Vec<Value>,
}

/// Takes the entry `which`, from 1, or the only one there is.
///
/// # Errors
/// What is no HAR, or which entry is to be named.
pub fn read(text: &[u8], which: Option<usize>) -> Result<Pasted> {
    let bad = |why: String| {
        Stop::failed(format!("this begins as JSON does, and is no HAR: {why}"))
            .hint("a HAR file is wanted, one of its entries, or the `request` of one: browsers save it in their network tools")
    };
    let mut json: Value = serde_json::from_slice(text).map_err(|why| bad(why.to_string()))?;
    let entry = if let Some(entries) = json.pointer_mut("/log/entries").map(Value::take) {
        let Value::Array(entries) = entries else {
            return Err(bad("`log.entries` is no list".to_owned()).into());
        };
        one_of(entries, which)?
    } else if let Value::Array(entries) = json {
        one_of(entries, which)?
    } else if which.is_some_and(|which| which != 1) {
        return Err(Stop::usage("this is one entry: `--entry` is for a whole HAR file").into());
    } else {
        json
    };
    let request = if entry.get("request").is_some() {
        serde_json::from_value::<Entry>(entry).map(|entry| entry.request)
    } else {
        serde_json::from_value::<Request>(entry)
    };
    request.map_err(|why| bad(without_value(&why)))?.pasted()
}

/// What is wrong, without the value that is: it may be a credential.
fn without_value(why: &serde_json::Error) -> String {
    let text = why.to_string();
    match text.rsplit_once(", expected ") {
        Some((_, wanted)) => format!("a value in it is not {wanted}"),
        None => text,
    }
}

fn one_of(mut entries: Vec<Value>, which: Option<usize>) -> Result<Value> {
    let count = entries.len();
    if count == 0 {
        return Err(Stop::failed("the HAR file has no request in it")
            .hint(
                "let the page send the request while the network tools are open, and save it again",
            )
            .into());
    }
    match which {
        Some(which) if (1..=count).contains(&which) => Ok(entries.swap_remove(which - 1)),
        Some(which) => Err(Stop::usage(format!(
            "there is no entry {which}: the HAR file has {count}"
        ))
        .into()),
        None if count == 1 => Ok(entries.swap_remove(0)),
        None => {
            let text = |entry: &Value, place: &str| {
                let text = entry.pointer(place).and_then(Value::as_str);
                text.map_or_else(|| "?".to_owned(), |text| short(&told(text)))
            };
            let mut list: Vec<String> = entries
                .iter()
                .take(LISTED)
                .enumerate()
                .map(|(at, entry)| {
                    let (method, url) =
                        (text(entry, "/request/method"), text(entry, "/request/url"));
                    format!("{}: {method} {url}", at + 1)
                })
                .collect();
            if count > LISTED {
                list.push("…".to_owned());
            }
            Err(Stop::usage(format!(
                "the HAR file has {count} entries: say which is meant with `--entry`"
            ))
            .hint(list.join("\n      "))
            .into())
        }
    }
}

impl Request {
    fn pasted(self) -> Result<Pasted> {
        let mut notes = Vec::new();
        let mut parts = no_parts();
        parts.method = Method::from_bytes(self.method.as_bytes())
            .map_err(|_| Stop::failed(format!("`{}` is not a method", short(&self.method))))?;
        parts.version = match self.http_version.to_ascii_lowercase().as_str() {
            "http/1.0" => Version::HTTP_10,
            "h2" | "http/2" | "http/2.0" => Version::HTTP_2,
            "h3" | "http/3" | "http/3.0" => {
                notes.push("it went over HTTP/3: taken as HTTP/2".to_owned());
                Version::HTTP_2
            }
            _ => Version::HTTP_11,
        };
        let headers = headers(&self.headers)?;
        let (parts, tls) = addressed(&self.url, parts, headers)?;
        let is_bare = |name: &HeaderName| !parts.headers.contains_key(name);
        if [AUTHORIZATION, COOKIE].iter().all(is_bare)
            && !parts.headers.contains_key("signature-input")
        {
            notes.push(NO_CREDENTIALS.to_owned());
        }
        let body = body(self.post_data, &parts.headers, &mut notes)?;
        Ok(Pasted {
            parts,
            body,
            tls: Some(tls),
            notes,
        })
    }
}

fn headers(list: &[Header]) -> Result<HeaderMap> {
    if list.len() > MAX_HEADERS {
        return Err(Stop::failed(format!(
            "the entry has {} headers; at most {MAX_HEADERS} are read",
            list.len()
        ))
        .into());
    }
    let mut fields = HeaderMap::new();
    for Header { name, value } in list {
        let shown = short(name);
        // The value is not repeated: it may be a credential.
        let value = HeaderValue::from_bytes(value.trim().as_bytes()).map_err(|_| {
            Stop::failed(format!(
                "the value of the header `{shown}` holds a control character"
            ))
        })?;
        if name.eq_ignore_ascii_case(":authority") {
            fields.insert(HOST, value);
            continue;
        }
        // What HTTP/2 has in the place of a request line.
        if name.starts_with(':') {
            continue;
        }
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| Stop::failed(format!("`{shown}` is no name of a header")))?;
        fields.append(name, value);
    }
    Ok(fields)
}

fn body(data: Option<PostData>, fields: &HeaderMap, notes: &mut Vec<String>) -> Result<Body> {
    let announced = announced(fields);
    let not_given = |notes: &mut Vec<String>| {
        notes.push("the HAR does not have the body: its digest is not checked here".to_owned());
        Body::NotGiven
    };
    let Some(data) = data else {
        return Ok(match announced {
            None | Some(0) => Body::None,
            Some(_) => not_given(notes),
        });
    };
    let text = match data.text {
        // Some browsers write so of what they did not keep.
        Some(text) if text.is_empty() && announced > Some(0) => return Ok(not_given(notes)),
        Some(text) if !text.is_empty() || data.params.is_empty() => text,
        _ => return Ok(not_given(notes)),
    };
    let bytes = match data.encoding.as_deref() {
        None | Some("") => text.into_bytes(),
        Some("base64") => BASE64
            .decode(text.as_bytes())
            .map_err(|_| Stop::failed("`postData.text` is said to be base64, and is not"))?,
        Some(other) => {
            let other = short(other);
            return Err(Stop::failed(format!("`postData.encoding` is `{other}`"))
                .hint("text and `base64` are understood")
                .into());
        }
    };
    if let Some(length) = announced.filter(|length| *length != bytes.len()) {
        notes.push(format!(
            "`Content-Length` announces {length} bytes, the HAR has {}: what is no text, as a file that is sent, is not kept in one as it was, and its digest is not checked here",
            bytes.len()
        ));
        return Ok(Body::NotGiven);
    }
    Ok(if bytes.is_empty() {
        Body::None
    } else {
        Body::Whole(bytes)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: &str = r#"{"request": {"method": "POST", "url": "https://api.example.com/a?b=1#x",
        "httpVersion": "h2", "headers": [{"name": ":method", "value": "POST"},
        {"name": "X-A", "value": "1"}, {"name": "x-a", "value": "2"}, {"name": "content-length", "value": "2"}],
        "postData": {"mimeType": "text/plain", "text": "hi"}}, "response": {}}"#;

    fn error(text: &str, which: Option<usize>) -> String {
        read(text.as_bytes(), which).unwrap_err().to_string()
    }

    #[test]
    fn an_entry_is_the_request_that_was_sent() {
        let request = ENTRY.split_once("\"request\": ").unwrap().1;
        let request = request.split_once(", \"response\"").unwrap().0;
        let file = format!("{{\"log\": {{\"entries\": [{ENTRY}]}}}}");
        for text in [ENTRY, request, &file, &format!("[{ENTRY}]")] {
            let pasted = read(text.as_bytes(), None).unwrap();
            assert_eq!(pasted.parts.uri, "/a?b=1");
            assert_eq!(pasted.parts.headers["host"], "api.example.com");
            assert_eq!(pasted.parts.headers.get_all("x-a").iter().count(), 2);
            assert_eq!(pasted.parts.version, Version::HTTP_2);
            assert_eq!(pasted.tls, Some(true));
            assert_eq!(pasted.body, Body::Whole(b"hi".to_vec()));
            assert_eq!(pasted.notes, [NO_CREDENTIALS]);
        }
    }

    #[test]
    fn a_credential_that_browsers_leave_out_is_missed_in_a_note() {
        for name in ["Authorization", "cookie", "Signature-Input"] {
            let pasted = read(ENTRY.replace("X-A", name).as_bytes(), None).unwrap();
            assert!(pasted.notes.is_empty(), "{name}: {:?}", pasted.notes);
        }
    }

    #[test]
    fn of_several_entries_one_is_named() {
        let file = format!("{{\"log\": {{\"entries\": [{ENTRY}, {ENTRY}]}}}}");
        let told = error(&file, None);
        assert!(
            told.contains("has 2 entries") && told.contains("2: POST https://api"),
            "{told}"
        );
        let with_key = file.replace("b=1", "api_key=canary");
        let told = error(&with_key, None);
        assert!(told.contains("2: POST") && !told.contains("canary"));
        assert!(error(&file, Some(3)).contains("no entry 3"));
        assert!(error(&file, Some(0)).contains("no entry 0"));
        assert!(read(file.as_bytes(), Some(2)).is_ok());
        assert!(error(ENTRY, Some(2)).contains("one entry"));
    }

    #[test]
    fn a_body_that_a_har_cannot_hold_is_told() {
        for (from, to, body, told) in [
            (
                "\"text\": \"hi\"",
                "\"text\": \"aGk=\", \"encoding\": \"base64\"",
                Body::Whole(b"hi".to_vec()),
                "",
            ),
            (
                "\"text\": \"hi\"",
                "\"params\": [{}]",
                Body::NotGiven,
                "does not have the body",
            ),
            (
                "\"text\": \"hi\"",
                "\"text\": \"hi!\"",
                Body::NotGiven,
                "announces 2 bytes, the HAR has 3",
            ),
            (
                "\"text\": \"hi\"",
                "\"text\": \"h\"",
                Body::NotGiven,
                "not checked here",
            ),
            ("postData", "none", Body::NotGiven, "does not have the body"),
        ] {
            let pasted = read(ENTRY.replace(from, to).as_bytes(), None).unwrap();
            assert_eq!(pasted.body, body);
            assert!(pasted.notes.concat().contains(told), "{:?}", pasted.notes);
        }
    }

    #[test]
    fn what_is_no_har_is_told() {
        for (text, told) in [
            ("{", "is no HAR"),
            ("{}", "missing field `method`"),
            ("{\"log\": {\"entries\": 1}}", "no list"),
            ("{\"log\": {\"entries\": []}}", "has no request in it"),
            ("[]", "has no request in it"),
            (&ENTRY.replace("https:", "ftp:"), "needs `http` or `https`"),
            (
                &ENTRY.replace("https:", "ftp://me:canary@"),
                "`ftp://…@//api.example.com",
            ),
            (
                &ENTRY.replace(
                    "{\"name\": \":method\", \"value\": \"POST\"}",
                    "\"Authorization: canary, expected canary\"",
                ),
                "not an object of `name` and `value`",
            ),
            (&ENTRY.replace("\"1\"", "[\"canary\"]"), "not a string"),
            (
                &ENTRY.replace("\"2\"}]", "\"2\"}, \"canary\"]"),
                "not an object",
            ),
            (
                &ENTRY.replace("\"POST\", \"url\"", "\"P T\", \"url\""),
                "not a method",
            ),
            (&ENTRY.replace("X-A", "X A"), "no name of a header"),
            (
                &ENTRY.replace("\"1\"", "\"canary\\u0001x\""),
                "control character",
            ),
        ] {
            let message = error(text, None);
            assert!(
                message.contains(told) && !message.contains("canary"),
                "{message}"
            );
        }
    }
}
