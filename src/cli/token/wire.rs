//! How `token get` and `token enrol` reach the key service.

use crate::cli::message::{Message, Source, without_user};
use crate::cli::send;
use crate::client::token::{Answer, MAX_ANSWER, Transport};
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use http::{Method, Uri};
use rustls::ClientConfig;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::runtime::Runtime;

/// HTTP/1.1, one connection a request.
pub(super) struct Http {
    /// Where the key service is, with the `/` at its end.
    pub(super) base: String,
    pub(super) tls: Option<Arc<ClientConfig>>,
    pub(super) timeout: Duration,
    /// There until it is dropped.
    pub(super) runtime: Option<Runtime>,
    /// Whether a request has left.
    pub(super) left: AtomicBool,
}

impl Http {
    /// Whether the key service may have got a request.
    pub(super) fn may_have_arrived(&self) -> bool {
        self.left.load(Ordering::Relaxed)
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        // A look-up of a name has a thread of its own, which a silent resolver holds for long: nobody waits for that.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Transport for Http {
    fn post(&self, path: &str, body: &[u8]) -> Result<Answer, String> {
        let uri: Uri = format!("{}{path}", self.base)
            .parse()
            .map_err(|_| format!("`{}` is no URL", without_user(&self.base)))?;
        let runtime = self.runtime.as_ref();
        let runtime = runtime.expect("it is taken when this is dropped alone");
        let mut fields = HeaderMap::new();
        fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let message = Message {
            method: Method::POST,
            uri,
            fields,
            body: body.to_vec().into(),
            source: Source::Inline,
        };
        let conversation = async {
            let leaves = || self.left.store(true, Ordering::Relaxed);
            let mut answer = send::send_telling(&message, self.tls.as_ref(), leaves).await?;
            let (body, has_more) = send::collect(answer.body_mut(), MAX_ANSWER).await?;
            let retry_after = answer.headers().get(RETRY_AFTER);
            anyhow::ensure!(!has_more, "the answer is too long");
            Ok(Answer {
                status: answer.status().as_u16(),
                retry_after: retry_after.and_then(|value| value.to_str().ok()?.parse().ok()),
                body,
            })
        };
        let answered =
            runtime.block_on(async { tokio::time::timeout(self.timeout, conversation).await });
        match answered {
            Ok(answered) => answered.map_err(|why| format!("{why:#}")),
            Err(_) => Err("the answer did not end in time".to_owned()),
        }
    }
}
