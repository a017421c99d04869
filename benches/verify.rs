//! What does each scheme cost, for a good and for a bad credential?

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use portcullis::apps::{App, Key, Registry, SchemeSet, Scopes};
use portcullis::client::{HmacSigner, Signer};
use portcullis::clock::{Clock, Now};
use portcullis::crypto::{Algorithm, HmacKey};
use portcullis::route::{Dialect, Route};
use portcullis::schemes::freshness::Freshness;
use portcullis::schemes::http_signature::{self, Rules};
use portcullis::schemes::{Caller, Received, Refused, Surroundings, hmac_auth, token};
use portcullis::secret::Secret;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

const NOW: u64 = 1_800_000_000;
const SECRET: &[u8; 32] = b"a secret of the benches only, 32";

fn signature(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("http-signature");
    let gate = Gate::new();
    for algorithm in Algorithm::ALL {
        let good = signed(algorithm, algorithm.name(), SECRET);
        let wrong = signed(algorithm, algorithm.name(), &[7; 32]);
        let unknown = signed(algorithm, "nobody", SECRET);
        assert!(gate.signature(&good).is_ok());
        for (name, fields) in [
            ("good", good),
            ("wrong signature", wrong),
            ("unknown key", unknown),
        ] {
            group.bench_with_input(
                BenchmarkId::new(algorithm.name(), name),
                &fields,
                |bencher, fields| bencher.iter(|| gate.signature(black_box(fields))),
            );
        }
    }
    group.finish();
}

fn hmac_auth(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hmac-auth");
    for dialect in Dialect::ALL {
        let mut gate = Gate::new();
        gate.route.dialect = Some(dialect);
        let name = Algorithm::HmacSha256.name();
        let good = signed_as(dialect, name, SECRET);
        assert!(gate.hmac(&good).is_ok());
        for (what, fields) in [
            ("good", good),
            ("wrong signature", signed_as(dialect, name, &[7; 32])),
            ("unknown key", signed_as(dialect, "nobody-at-al", SECRET)),
        ] {
            group.bench_with_input(
                BenchmarkId::new(dialect.name(), what),
                &fields,
                |bencher, fields| bencher.iter(|| gate.hmac(black_box(fields))),
            );
        }
    }
    // What the hash alone costs, over a text as long as Kong's.
    let key = HmacKey::new(Algorithm::HmacSha256, &Secret::new(SECRET.to_vec()));
    let key = key.expect("long enough");
    group.bench_function("bare HMAC", |bencher| {
        bencher.iter(|| key.sign(black_box(&[b'x'; 103])));
    });
    group.finish();
}

fn tokens(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("token");
    let gate = Gate::new();
    let name = Algorithm::HmacSha256.name();
    let good = with_token(name, SECRET);
    assert!(gate.token(&good, &token::Cache::new(8)).is_ok());
    let kept = token::Cache::new(8);
    group.bench_function("good, seen before", |bencher| {
        bencher.iter(|| gate.token(black_box(&good), &kept));
    });
    group.bench_function("good, new", |bencher| {
        bencher.iter_batched(
            || token::Cache::new(1),
            |cache| gate.token(black_box(&good), &cache),
            criterion::BatchSize::SmallInput,
        );
    });
    for (name, fields) in [
        ("wrong signature", with_token(name, &[7; 32])),
        ("unknown key", with_token("nobody", SECRET)),
    ] {
        group.bench_with_input(
            BenchmarkId::from_parameter(name),
            &fields,
            |bencher, fields| {
                bencher.iter(|| gate.token(black_box(fields), &kept));
            },
        );
    }
    group.finish();
}

struct Gate {
    registry: Registry,
    route: Route,
    uri: Uri,
}

impl Gate {
    /// One app with a key of each algorithm, named as it.
    fn new() -> Self {
        let app = Arc::new(App {
            name: "bench".into(),
            index: 0,
            scopes: Scopes::none(),
            enabled: true,
            explain: false,
        });
        let keys = Algorithm::ALL
            .into_iter()
            .map(|algorithm| Key {
                id: algorithm.name().into(),
                app: app.clone(),
                mac: HmacKey::new(algorithm, &Secret::new(SECRET.to_vec())).expect("long enough"),
                not_before: None,
                not_after: None,
                enabled: true,
                schemes: SchemeSet::all(),
            })
            .collect();
        Self {
            registry: Registry::new(vec![app], keys, 1).expect("no id twice"),
            route: route(),
            uri: Uri::from_static("/orders/1?page=2"),
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

    fn hmac(&self, fields: &HeaderMap) -> Result<Caller, Refused> {
        let received = self.received(fields);
        let presented =
            hmac_auth::Presented::read(&received, &self.route)?.ok_or(Refused::Missing)?;
        let rules = hmac_auth::Rules {
            registry: &self.registry,
            freshness: Freshness {
                window: Duration::from_mins(5),
                skew: Duration::from_secs(30),
            },
            explain: false,
        };
        hmac_auth::verify(&presented, &received, &self.route, rules, now())
    }

    fn token(&self, fields: &HeaderMap, cache: &token::Cache) -> Result<Caller, Refused> {
        let received = self.received(fields);
        let presented = token::read(&received, &self.route)?.ok_or(Refused::Missing)?;
        let settings = token::Settings {
            audience: None,
            max_lifetime: Duration::from_mins(15),
            skew: Duration::from_secs(30),
        };
        let (registry, route) = (&self.registry, &self.route);
        token::verify(
            &presented,
            &received,
            route,
            registry,
            &settings,
            cache,
            now(),
        )
    }
}

fn route() -> Route {
    Route::any("orders")
}

fn now() -> Now {
    let time = Duration::from_secs(NOW);
    Now::new(time, time)
}

fn signed(algorithm: Algorithm, key_id: &str, secret: &[u8]) -> HeaderMap {
    let mut request = Request::get("http://api.example.com/orders/1?page=2")
        .header("host", "api.example.com")
        .header("accept", "application/json")
        .body(Vec::new())
        .expect("a request");
    Signer::new(key_id, algorithm, &Secret::new(secret.to_vec()))
        .expect("long enough")
        .clock(Clock::by_hand(NOW).0)
        .sign(&mut request)
        .expect("it is plain");
    request.into_parts().0.headers
}

fn signed_as(dialect: Dialect, key_id: &str, secret: &[u8]) -> HeaderMap {
    let mut fields = HeaderMap::new();
    fields.insert("host", HeaderValue::from_static("api.example.com"));
    fields.insert("accept", HeaderValue::from_static("application/json"));
    let secret = Secret::new(secret.to_vec());
    let uri = Uri::from_static("http://api.example.com/orders/1?page=2");
    let made = HmacSigner::new(dialect, key_id, Algorithm::HmacSha256, &secret)
        .expect("long enough")
        .clock(Clock::by_hand(NOW).0)
        .sign(&Method::GET, &uri, &fields, b"")
        .expect("it is plain");
    fields.extend(made.fields);
    fields
}

fn with_token(key_id: &str, secret: &[u8]) -> HeaderMap {
    let claims = token::Claims {
        iat: NOW as i64,
        exp: NOW as i64 + 300,
        scope: Some("orders"),
        ..token::Claims::default()
    };
    let text = token::sign(key_id, &Secret::new(secret.to_vec()), &claims).expect("long enough");
    let mut fields = HeaderMap::new();
    fields.insert("host", HeaderValue::from_static("api.example.com"));
    fields.insert(
        token::PORTCULLIS_TOKEN,
        HeaderValue::try_from(text).expect("a field"),
    );
    fields
}

criterion_group! {
    name = benches;
    config = Criterion::default().measurement_time(Duration::from_secs(3));
    targets = signature, hmac_auth, tokens
}
criterion_main!(benches);
