//! Tokens. In: a token as a stranger may send it; or, when the input starts
//! with `{`, its header and its claims, one a line, which are signed first, so
//! that what lies behind the signature is reached too.

use super::gate;
use http::{HeaderMap, HeaderValue, Method, Uri};
use portcullis::route::Bind;
use portcullis::schemes::{Received, token};
use std::time::Duration;

const MAX_LIFETIME: Duration = Duration::from_mins(15);
const SKEW: Duration = Duration::from_secs(30);

/// What must hold of any token.
pub(super) fn check(bytes: &[u8]) {
    let signed = bytes.first() == Some(&b'{');
    let value = if signed {
        signed_token(bytes)
    } else if let Ok(value) = HeaderValue::from_bytes(bytes) {
        value
    } else {
        return;
    };
    let mut fields = HeaderMap::new();
    fields.insert("host", HeaderValue::from_static("api.example.com"));
    fields.insert("authorization", HeaderValue::from_static("Basic YTpi"));
    fields.insert(token::PORTCULLIS_TOKEN, value);
    let uri = Uri::from_static("/orders");
    let received = Received::read(&Method::GET, &uri, &fields, gate::around(false))
        .expect("nothing but the token is odd");
    let registry = gate::registry();
    let settings = token::Settings::new(None, MAX_LIFETIME, SKEW);
    let cache = token::Cache::new(1);
    for bind in [Bind::None, Bind::Authorization] {
        let route = gate::route(bind);
        let Ok(Some(presented)) = token::read(&received, &route) else {
            return;
        };
        let claimed = presented.claimed_key();
        let verify = || {
            token::verify(
                &presented,
                &received,
                &route,
                &registry,
                &settings,
                &cache,
                gate::now(),
            )
        };
        let Ok(caller) = verify() else { continue };
        assert!(signed, "a token that nobody signed passed");
        assert_eq!(claimed.as_deref(), Some(gate::KEY_ID));
        for scope in caller.scopes().iter() {
            assert!(gate::SCOPES.contains(&scope), "`{scope}` is not the app's");
        }
        let proof = caller.proof().expect("a token is a proof");
        assert!(proof.last_second >= gate::NOW);
        assert!(proof.last_second - gate::NOW <= seconds(MAX_LIFETIME + SKEW));
        assert!(proof.created <= gate::NOW + seconds(SKEW));
        // From the cache too.
        verify().expect("what passed once passes in the same second");
    }
}

/// A header and claims, one a line, signed.
fn signed_token(bytes: &[u8]) -> HeaderValue {
    let end = bytes.iter().position(|byte| *byte == b'\n');
    let (header, claims) = match end {
        Some(end) => (&bytes[..end], &bytes[end + 1..]),
        None => (bytes, &[][..]),
    };
    gate::token(header, claims)
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).expect("a short time")
}
