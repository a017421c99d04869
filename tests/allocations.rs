//! What verification allocates, counted: a test binary of its own, since it
//! counts by an allocator.

use allocation_counter::measure;
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use portcullis::apps::{App, Key, Policy, Registry, SchemeSet};
use portcullis::client::Signer;
use portcullis::clock::{Clock, Now};
use portcullis::crypto::{Algorithm, SigningKey};
use portcullis::route::Route;
use portcullis::schemes::freshness::Freshness;
use portcullis::schemes::http_signature::{self, Rules};
use portcullis::schemes::{Caller, Received, Refused, Surroundings, token};
use portcullis::secret::Secret;
use std::sync::Arc;
use std::time::Duration;

const NOW: u64 = 1_800_000_000;
const KEY_ID: &str = "mobile-2026";

struct Gate {
    registry: Registry,
    route: Route,
    uri: Uri,
    tokens: token::Settings,
}

fn secret() -> Secret {
    Secret::new(b"a secret of this test, of 32 bytes".to_vec())
}

fn now() -> Now {
    let time = Duration::from_secs(NOW);
    Now::new(time, time)
}

impl Gate {
    fn new() -> Self {
        let app = Arc::new(App {
            name: "mobile".into(),
            index: 0,
            scopes: ["orders"].into_iter().collect(),
            enabled: true,
            explain: false,
            policy: Policy::default(),
            tokens: None,
        });
        let key = SigningKey::new(Algorithm::HmacSha256, &secret()).expect("it is plain");
        let key = Key {
            id: KEY_ID.into(),
            app: app.clone(),
            verifying: key.verifying().expect("it is plain"),
            not_before: None,
            not_after: None,
            enabled: true,
            schemes: SchemeSet::all(),
            attests: false,
            signer: None,
        };
        Self {
            registry: Registry::new(vec![app], vec![key], 1).expect("it is plain"),
            route: Route::any("orders"),
            uri: Uri::from_static("/orders/1?page=2"),
            tokens: token::Settings::new(None, Duration::from_mins(15), Duration::from_secs(30)),
        }
    }

    fn received<'r>(&'r self, fields: &'r HeaderMap) -> Received<'r> {
        let around = Surroundings {
            tls: false,
            http2: false,
            has_body: false,
            public_url: None,
        };
        Received::read(&Method::GET, &self.uri, fields, around).expect("it is plain")
    }

    fn signature(&self, fields: &HeaderMap) -> Result<Caller, Refused> {
        let received = self.received(fields);
        let presented = http_signature::Presented::read(fields)?.ok_or(Refused::Missing)?;
        let rules = Rules {
            registry: &self.registry,
            freshness: Freshness {
                window: Duration::from_mins(5),
                skew: Duration::from_secs(30),
            },
            explain: false,
        };
        http_signature::verify(&presented, &received, &self.route, rules, now())
    }

    fn token(&self, fields: &HeaderMap, cache: &token::Cache) -> Result<Caller, Refused> {
        let received = self.received(fields);
        let presented = token::read(&received, &self.route)?.ok_or(Refused::Missing)?;
        token::verify(
            &presented,
            &received,
            &self.route,
            &self.registry,
            &self.tokens,
            cache,
            now(),
        )
    }
}

/// How many times `verify` allocates once it was warm.
fn counted(verify: impl Fn() -> Result<Caller, Refused>) -> u64 {
    for _ in 0..2 {
        verify().expect("it is good");
    }
    measure(|| drop(verify().expect("it is good"))).count_total
}

#[test]
fn a_signed_request_is_verified_without_an_allocation() {
    let gate = Gate::new();
    let mut request = Request::get("http://api.example.com/orders/1?page=2")
        .header("host", "api.example.com")
        .header("accept", "application/json")
        .body(Vec::new())
        .unwrap();
    Signer::new(KEY_ID, Algorithm::HmacSha256, &secret())
        .unwrap()
        .clock(Clock::by_hand(NOW).0)
        .sign(&mut request)
        .unwrap();
    assert_eq!(counted(|| gate.signature(request.headers())), 0);
}

#[test]
fn a_token_that_was_seen_before_is_verified_without_an_allocation() {
    let gate = Gate::new();
    let claims = token::Claims {
        iat: NOW as i64,
        exp: NOW as i64 + 300,
        ..token::Claims::default()
    };
    let key = SigningKey::new(Algorithm::HmacSha256, &secret()).unwrap();
    let text = token::sign(KEY_ID, &key, &claims).unwrap();
    let mut fields = HeaderMap::new();
    fields.insert("host", HeaderValue::from_static("api.example.com"));
    fields.insert(
        token::PORTCULLIS_TOKEN,
        HeaderValue::try_from(text).unwrap(),
    );
    let cache = token::Cache::new(8);
    assert_eq!(counted(|| gate.token(&fields, &cache)), 0);
}
