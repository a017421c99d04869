//! A body that is here when its request is: checked at once, while the processor has its bytes at hand.

use super::{BodyError, Meter, ProvenBody};
use crate::route::BodyPolicy;
use crate::schemes::digest::{BodyCheck, BodyProof, Mismatch};
use bytes::Bytes;

/// What was found of a body that is here.
#[derive(Debug)]
pub struct Looked {
    bytes: Bytes,
    found: Result<(), Mismatch>,
}

/// Checks all of a body; `None` where [`prepare`](super::prepare) has more to do than that: there is none, it
/// is over the limit, or comes in pieces.
pub fn look(bytes: &Bytes, proof: &BodyProof, policy: BodyPolicy) -> Option<Looked> {
    let is_plain = matches!(proof, BodyProof::Digests(_) | BodyProof::Unproven);
    if !is_plain || bytes.is_empty() || bytes.len() as u64 > policy.limit {
        return None;
    }
    let mut check = BodyCheck::new(proof);
    check.update(bytes);
    Some(Looked {
        bytes: bytes.clone(),
        found: check.finish(),
    })
}

impl Looked {
    /// The body, ready to be forwarded.
    ///
    /// # Errors
    /// It is another than was proven, and that is not only observed.
    pub fn prepared(self, meter: &Meter) -> Result<ProvenBody, BodyError> {
        meter.add(self.bytes.len());
        self.found.or_else(|another| meter.note(another))?;
        Ok(ProvenBody::whole(self.bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::BodyVerify;
    use crate::schemes::digest::{CONTENT_DIGEST, Digests};
    use http::HeaderMap;
    use http_body_util::BodyExt as _;

    const POLICY: BodyPolicy = BodyPolicy {
        limit: 5,
        verify: BodyVerify::WhileForwarding,
    };

    fn digest_of(body: &[u8]) -> BodyProof {
        let field = Digests::field_of(body).parse().unwrap();
        let fields = HeaderMap::from_iter([(CONTENT_DIGEST, field)]);
        BodyProof::Digests(Digests::read(&fields).unwrap().unwrap())
    }

    fn looked(body: &'static [u8], proof: &BodyProof) -> Option<Looked> {
        look(&Bytes::from_static(body), proof, POLICY)
    }

    #[tokio::test]
    async fn a_body_that_is_here_passes_when_it_is_the_one_that_was_proven_or_none_had_to_be() {
        for proof in [digest_of(b"hello"), BodyProof::Unproven] {
            let meter = Meter(Some(std::sync::Arc::default()));
            let body = looked(b"hello", &proof).unwrap().prepared(&meter).unwrap();
            assert!(body.is_here());
            assert_eq!(meter.bytes(), 5);
            assert_eq!(body.collect().await.unwrap().to_bytes(), "hello");
        }
    }

    #[tokio::test]
    async fn another_body_does_not_pass_unless_that_is_only_observed() {
        let another = || looked(b"hallo", &digest_of(b"hello")).unwrap();
        let refused = another().prepared(&Meter::default());
        assert!(matches!(refused, Err(BodyError::Mismatch(Mismatch))));
        let meter = Meter(Some(std::sync::Arc::default())).observing();
        let body = another().prepared(&meter).unwrap();
        assert!(meter.is_another());
        assert_eq!(body.collect().await.unwrap().to_bytes(), "hallo");
    }

    #[test]
    fn what_is_not_there_or_too_long_or_to_be_nothing_is_looked_at_by_those_that_take_it() {
        assert!(looked(b"", &digest_of(b"")).is_none());
        assert!(looked(b"hello!", &digest_of(b"hello!")).is_none());
        assert!(looked(b"hello", &BodyProof::Empty).is_none());
    }
}
