//! The built-in test backend: it answers with what it was sent.

use crate::crypto::{DigestAlgorithm, Hasher};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Body;
use http_body_util::{BodyExt as _, Full};
use serde::Serialize;

/// Bytes of a body that are shown as text.
const MAX_TEXT: usize = 4 * 1024;

/// What a backend sees of a request.
#[derive(Debug, Serialize)]
struct Seen {
    method: String,
    target: String,
    version: String,
    headers: Vec<(String, String)>,
    body: SeenBody,
}

#[derive(Debug, Serialize)]
struct SeenBody {
    length: u64,
    sha256: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

/// Answers `request`, for a listener of its own. A body that breaks off is
/// answered with status 400.
pub async fn echo<B>(request: Request<B>) -> Response<Full<Bytes>>
where
    B: Body<Data = Bytes>,
{
    if let Ok(response) = answer(request).await {
        return response.map(Full::new);
    }
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response
}

/// Answers `request`. However long its body is, no more than its front is kept.
///
/// # Errors
/// The body's own.
pub(super) async fn answer<B>(request: Request<B>) -> Result<Response<Bytes>, B::Error>
where
    B: Body<Data = Bytes>,
{
    let (head, body) = request.into_parts();
    let seen = Seen {
        method: head.method.to_string(),
        target: head
            .uri
            .path_and_query()
            .map_or("/", |target| target.as_str())
            .to_owned(),
        version: format!("{:?}", head.version),
        headers: list(&head.headers),
        body: read(body).await?,
    };
    let mut text = serde_json::to_vec_pretty(&seen).unwrap_or_default();
    text.push(b'\n');
    let is_head = head.method == Method::HEAD;
    let length = text.len().into();
    let body = if is_head { Bytes::new() } else { text.into() };
    let mut response = Response::new(body);
    let fields = response.headers_mut();
    let json = HeaderValue::from_static("application/json");
    fields.insert(header::CONTENT_TYPE, json);
    if is_head {
        fields.insert(header::CONTENT_LENGTH, length);
    }
    Ok(response)
}

fn list(fields: &HeaderMap) -> Vec<(String, String)> {
    fields
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            (name.as_str().to_owned(), value.into_owned())
        })
        .collect()
}

async fn read<B>(body: B) -> Result<SeenBody, B::Error>
where
    B: Body<Data = Bytes>,
{
    let mut body = std::pin::pin!(body);
    let mut hasher = Hasher::new(DigestAlgorithm::Sha256);
    let mut length = 0;
    let mut front = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        length += data.len() as u64;
        hasher.update(&data);
        let room = MAX_TEXT - front.len();
        front.extend_from_slice(&data[..data.len().min(room)]);
    }
    let is_whole = front.len() as u64 == length;
    Ok(SeenBody {
        length,
        sha256: data_encoding::HEXLOWER.encode(&hasher.finish()),
        text: String::from_utf8(front).ok().filter(|_| is_whole),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn json(request: Request<Full<Bytes>>) -> serde_json::Value {
        let response = echo(request).await;
        assert_eq!(response.headers()["content-type"], "application/json");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        serde_json::from_slice(&body).unwrap()
    }

    #[tokio::test]
    async fn it_tells_all_that_it_was_sent() {
        let request = Request::post("/a%2Fb?c=1&c=2")
            .header("x-one", "1")
            .header("x-one", "2")
            .body(Full::from("hello"))
            .unwrap();
        assert_eq!(
            json(request).await,
            serde_json::json!({
                "method": "POST",
                "target": "/a%2Fb?c=1&c=2",
                "version": "HTTP/1.1",
                "headers": [["x-one", "1"], ["x-one", "2"]],
                "body": {
                    "length": 5,
                    "sha256": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
                    "text": "hello",
                },
            })
        );
    }

    #[tokio::test]
    async fn a_body_that_is_long_or_no_text_is_only_measured() {
        for body in [
            Bytes::from(vec![b'a'; MAX_TEXT + 1]),
            Bytes::from_static(b"\xff"),
        ] {
            let length = body.len();
            let seen = json(Request::new(Full::new(body))).await;
            assert_eq!(seen["body"]["length"], length);
            assert_eq!(seen["body"].get("text"), None);
        }
    }
}
