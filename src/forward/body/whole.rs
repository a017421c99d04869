//! A body that is taken in whole by whoever signs it: its digest stands before it in the head.

use super::arrival::Arrival;
use super::{BodyError, BoxError, Meter, ProvenBody, Source, set_aside};
use crate::crypto::{DigestAlgorithm, Hasher};
use crate::schemes::digest::{BodyCheck, BodyProof};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

/// Takes all of `body` in, its front in memory and the rest in a file without
/// a name, and tells its SHA-256.
///
/// # Errors
/// [`BodyError`].
pub async fn take_in<B>(body: B, limit: u64) -> Result<(ProvenBody, Vec<u8>), BodyError>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
{
    let length = body.size_hint().lower();
    if length > limit {
        return Err(BodyError::TooLarge { limit });
    }
    let hasher = Arc::new(Mutex::new(Hasher::new(DigestAlgorithm::Sha256)));
    let passing = Hashed {
        body,
        hasher: hasher.clone(),
    };
    let arrival = Arrival::new(passing, limit, Meter::default());
    let check = BodyCheck::new(&BodyProof::Unproven);
    let (kept, bytes) = set_aside::take_in(arrival, check).await?;
    let digest = std::mem::replace(
        &mut *hasher.lock().unwrap_or_else(PoisonError::into_inner),
        Hasher::new(DigestAlgorithm::Sha256),
    );
    let body = if bytes == 0 {
        ProvenBody::empty()
    } else {
        ProvenBody::new(Source::SetAside(Box::new(kept)), Some(bytes))
    };
    Ok((body, digest.finish()))
}

/// A body that is hashed as it passes.
struct Hashed<B> {
    body: B,
    hasher: Arc<Mutex<Hasher>>,
}

impl<B: Body<Data = Bytes> + Unpin> Body for Hashed<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            let mut hasher = self.hasher.lock().unwrap_or_else(PoisonError::into_inner);
            hasher.update(data);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Framed;
    use super::*;
    use crate::crypto::digest::sha256;
    use http_body_util::BodyExt as _;

    #[tokio::test]
    async fn a_body_is_told_by_its_digest_and_comes_out_as_it_went_in() {
        let piece = vec![7; 700 * 1024];
        for frames in [
            &[][..],
            &[b"a".as_slice(), b"", b"bc"],
            &[&piece, &piece, &piece],
        ] {
            let whole = frames.concat();
            let (body, digest) = take_in(Framed::of_unknown_length(frames), 1 << 30)
                .await
                .unwrap();
            assert_eq!(digest, sha256(&[&whole]));
            assert_eq!(body.size_hint().exact(), Some(whole.len() as u64));
            assert!(body.collect().await.unwrap().to_bytes() == whole);
        }
    }

    #[tokio::test]
    async fn more_than_the_limit_is_refused() {
        for body in [
            Framed::of_known_length(&[b"1234", b"5"]),
            Framed::of_unknown_length(&[b"1234", b"5"]),
        ] {
            let refused = take_in(body, 4).await;
            assert!(matches!(refused, Err(BodyError::TooLarge { limit: 4 })));
        }
    }
}
