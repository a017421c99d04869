//! What does each scheme cost, for a good and for a bad credential?

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    RsaKeyPair,
};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, criterion_group, criterion_main};
use data_encoding::BASE64;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use portcullis::apps::{App, Key, KeyHash, Pepper, Registry, SchemeSet, Scopes, StaticKey};
use portcullis::client::{AwsSigner, HmacSigner, Signer};
use portcullis::clock::{Clock, Now};
use portcullis::crypto::aws4::Scope;
use portcullis::crypto::digest::sha256;
use portcullis::crypto::{Algorithm, HmacKey, SigningKey};
use portcullis::route::{Dialect, KeyPlaces, Route};
use portcullis::schemes::doctor::{self, Cost, Tries};
use portcullis::schemes::freshness::Freshness;
use portcullis::schemes::http_signature::{self, Rules};
use portcullis::schemes::{
    Caller, Received, Refused, Surroundings, api_key, aws_sigv4, hmac_auth, token,
};
use portcullis::secret::Secret;
use std::hint::black_box;
use std::slice;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

const NOW: u64 = 1_800_000_000;

fn signature(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("http-signature");
    let gate = Gate::new();
    for pair in pairs()
        .iter()
        .filter(|pair| pair.algorithm.is_for_requests())
    {
        let name = pair.algorithm.name();
        let good = signed(pair.algorithm, name, &pair.key);
        let wrong = signed(pair.algorithm, name, &pair.other);
        assert!(gate.signature(&good).is_ok());
        assert!(gate.signature(&wrong).is_err());
        for (what, fields) in [("good", good), ("wrong signature", wrong)] {
            group.bench_with_input(BenchmarkId::new(name, what), &fields, |bencher, fields| {
                bencher.iter(|| gate.signature(black_box(fields)));
            });
        }
        // What the failure path costs once more where `explain` is on.
        group.bench_with_input(
            BenchmarkId::new(name, "what went wrong"),
            &signed(pair.algorithm, name, &pair.other),
            |bencher, fields| bencher.iter(|| gate.what_went_wrong(black_box(fields), pair)),
        );
        bare(&mut group, pair);
        // An unknown id has the kind of one of our keys; where all are of one kind, of that one.
        let alone = Gate::of(slice::from_ref(pair));
        let unknown = signed(pair.algorithm, "nobody", &pair.key);
        group.bench_with_input(
            BenchmarkId::new(name, "unknown key"),
            &unknown,
            |bencher, fields| bencher.iter(|| alone.signature(black_box(fields))),
        );
    }
    group.finish();
}

/// The operation alone, over as many bytes as a signature base has.
fn bare(group: &mut BenchmarkGroup<'_, WallTime>, pair: &Pair) {
    let text = [b'x'; 250];
    let key = SigningKey::new(pair.algorithm, &pair.key).expect("it is a key");
    let signature = key.sign(&text);
    let key = key.verifying().expect("it is a key");
    assert!(key.verify(&text, signature.as_bytes()).is_some());
    group.bench_function(BenchmarkId::new(pair.algorithm.name(), "bare"), |bencher| {
        bencher.iter(|| key.verify(black_box(&text), black_box(signature.as_bytes())));
    });
}

fn hmac_auth(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hmac-auth");
    for dialect in Dialect::ALL {
        let pair = &pairs()[0];
        let mut gate = Gate::of(slice::from_ref(pair));
        gate.route.dialect = Some(dialect);
        let name = Algorithm::HmacSha256.name();
        let good = signed_as(dialect, name, &pair.key);
        assert!(gate.hmac(&good).is_ok());
        for (what, fields) in [
            ("good", good),
            ("wrong signature", signed_as(dialect, name, &pair.other)),
            ("unknown key", signed_as(dialect, "nobody-at-al", &pair.key)),
        ] {
            group.bench_with_input(
                BenchmarkId::new(dialect.name(), what),
                &fields,
                |bencher, fields| bencher.iter(|| gate.hmac(black_box(fields))),
            );
        }
    }
    // What the hash alone costs, over a text as long as Kong's.
    let key = HmacKey::dummy(Algorithm::HmacSha256);
    group.bench_function("bare HMAC", |bencher| {
        bencher.iter(|| key.sign(black_box(&[b'x'; 103])));
    });
    group.finish();
}

fn static_keys(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("api-key");
    let pepper = || HmacKey::new(Algorithm::HmacSha256, &pairs()[0].key).expect("long enough");
    let gate = Gate::of(&[]);
    let app = gate.registry.apps()[0].clone();
    let key = |number: u32| format!("a-static-key-of-the-bench-{number}");
    let known = |number| StaticKey {
        id: format!("legacy-{number}").into(),
        app: app.clone(),
        hash: KeyHash::of(&Pepper::new(pepper()), key(number).as_bytes()),
        not_before: None,
        not_after: None,
        enabled: true,
        uses: Arc::default(),
        made: None,
    };
    let registry = Registry::new(vec![app.clone()], Vec::new(), 1).expect("no id twice");
    let registry = registry
        .with_static_keys(Pepper::new(pepper()), (0..10_000).map(known).collect())
        .expect("no key twice");
    let route = Route {
        key_places: Some(Arc::new(KeyPlaces {
            fields: vec![HeaderName::from_static("x-api-key")],
            ..KeyPlaces::default()
        })),
        ..route()
    };
    for (what, key) in [("good", key(7)), ("unknown key", key(10_007))] {
        let mut fields = HeaderMap::new();
        fields.insert("host", HeaderValue::from_static("api.example.com"));
        fields.insert("x-api-key", HeaderValue::try_from(key).expect("a value"));
        let verify = |fields: &HeaderMap| {
            let received = gate.received(fields);
            let presented = api_key::Presented::read(&received, &route)?;
            api_key::verify(&presented.ok_or(Refused::Missing)?, &registry, now())
        };
        assert_eq!(verify(&fields).is_ok(), what == "good");
        group.bench_function(BenchmarkId::new("of 10000", what), |bencher| {
            bencher.iter(|| verify(black_box(&fields)));
        });
    }
    let pepper = pepper();
    group.bench_function("bare HMAC", |bencher| {
        bencher.iter(|| pepper.sign(black_box(&[b'x'; 27])));
    });
    group.finish();
}

fn aws_sigv4(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("aws-sigv4");
    let pair = &pairs()[0];
    assert_eq!(pair.algorithm, Algorithm::HmacSha256);
    let name = pair.algorithm.name();
    // A target that has one form, and one that has as many as there can be.
    for (target, uri) in [
        ("one form", "/orders/1?page=2"),
        ("eight forms", "/a:b?z=1&q=a+b:c&a=2"),
    ] {
        let mut gate = Gate::of(slice::from_ref(pair));
        gate.route.sigv4.plus_is_space = true;
        gate.uri = Uri::from_static(uri);
        let good = signed_for_aws(uri, name, &pair.key);
        assert!(gate.aws(&good).is_ok());
        for (what, fields) in [
            ("good", good),
            ("wrong signature", signed_for_aws(uri, name, &pair.other)),
            (
                "unknown key",
                signed_for_aws(uri, "nobody-at-al", &pair.key),
            ),
        ] {
            group.bench_with_input(
                BenchmarkId::new(target, what),
                &fields,
                |bencher, fields| {
                    bencher.iter(|| gate.aws(black_box(fields)));
                },
            );
        }
    }
    // What the hashes alone cost: of a canonical request, of the string to sign, of a day's key.
    let keys = HmacKey::dummy(Algorithm::HmacSha256);
    let keys = keys.aws().expect("it is of HMAC with SHA-256");
    let scope = Scope {
        date: "20270115",
        region: "us-east-1",
        service: "api",
    };
    let day = keys.derive(scope);
    group.bench_function("bare hash and HMAC", |bencher| {
        bencher.iter(|| {
            let hash = sha256(&[black_box(&[b'x'; 330])]);
            let mut text = [b'x'; 132];
            text[100..].copy_from_slice(&hash);
            day.sign(&text)
        });
    });
    group.bench_function("bare key of a day", |bencher| {
        bencher.iter(|| keys.derive(black_box(scope)));
    });
    group.finish();
}

fn tokens(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("token");
    let gate = Gate::new();
    for pair in pairs().iter().filter(|pair| pair.algorithm.is_for_tokens()) {
        let name = pair.algorithm.jose_name();
        let id = pair.algorithm.name();
        let good = with_token(pair.algorithm, id, &pair.key);
        assert!(gate.token(&good, &token::Cache::new(8)).is_ok());
        let kept = token::Cache::new(8);
        group.bench_function(BenchmarkId::new(name, "good, seen before"), |bencher| {
            bencher.iter(|| gate.token(black_box(&good), &kept));
        });
        group.bench_function(BenchmarkId::new(name, "good, new"), |bencher| {
            bencher.iter_batched(
                || token::Cache::new(1),
                |cache| gate.token(black_box(&good), &cache),
                criterion::BatchSize::SmallInput,
            );
        });
        let wrong = with_token(pair.algorithm, id, &pair.other);
        group.bench_function(BenchmarkId::new(name, "wrong signature"), |bencher| {
            bencher.iter(|| gate.token(black_box(&wrong), &kept));
        });
        let alone = Gate::of(slice::from_ref(pair));
        let unknown = with_token(pair.algorithm, "nobody", &pair.key);
        group.bench_function(BenchmarkId::new(name, "unknown key"), |bencher| {
            bencher.iter(|| alone.token(black_box(&unknown), &kept));
        });
    }
    group.finish();
}

/// A key, and another of its kind.
struct Pair {
    algorithm: Algorithm,
    key: Secret,
    other: Secret,
}

/// One of each algorithm, the same ones for all benches.
fn pairs() -> &'static [Pair] {
    static PAIRS: OnceLock<Vec<Pair>> = OnceLock::new();
    PAIRS.get_or_init(make_pairs)
}

fn make_pairs() -> Vec<Pair> {
    let ed25519 = || {
        let pair = Ed25519KeyPair::generate()?;
        Ok(pair.to_pkcs8v1()?.as_ref().to_vec())
    };
    let ecdsa = |curve| {
        let pair = EcdsaKeyPair::generate(curve)?;
        Ok(pair.to_pkcs8v1()?.as_ref().to_vec())
    };
    let rsa = || {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048)?;
        Ok(pair.as_der()?.as_ref().to_vec())
    };
    Algorithm::ALL
        .into_iter()
        .map(|algorithm| {
            let make = || match algorithm {
                Algorithm::Ed25519 => pem(ed25519()),
                Algorithm::EcdsaP256Sha256 => pem(ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING)),
                Algorithm::EcdsaP384Sha384 => pem(ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING)),
                Algorithm::RsaPssSha512 | Algorithm::RsaPssSha256 | Algorithm::RsaV15Sha256 => {
                    pem(rsa())
                }
                Algorithm::HmacSha256 | Algorithm::HmacSha512 => {
                    let mut bytes = vec![0; 32];
                    portcullis::crypto::random(&mut bytes);
                    Secret::new(bytes)
                }
            };
            Pair {
                algorithm,
                key: make(),
                other: make(),
            }
        })
        .collect()
}

fn pem(pkcs8: Result<Vec<u8>, Unspecified>) -> Secret {
    let text = BASE64.encode(&pkcs8.expect("the library makes keys"));
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n");
    Secret::new(pem.into_bytes())
}

struct Gate {
    registry: Registry,
    route: Route,
    uri: Uri,
}

impl Gate {
    /// One app with a key of each algorithm, named as it.
    fn new() -> Self {
        Self::of(pairs())
    }

    /// One app with these keys, named as their algorithms.
    fn of(pairs: &[Pair]) -> Self {
        let app = Arc::new(App {
            name: "bench".into(),
            index: 0,
            scopes: Scopes::none(),
            enabled: true,
            explain: false,
            policy: portcullis::apps::Policy::default(),
            tokens: None,
            made: None,
        });
        let keys = pairs
            .iter()
            .map(|pair| Key {
                id: pair.algorithm.name().into(),
                app: app.clone(),
                verifying: SigningKey::new(pair.algorithm, &pair.key)
                    .and_then(|key| key.verifying())
                    .expect("it is a key"),
                not_before: None,
                not_after: None,
                enabled: true,
                schemes: SchemeSet::all(),
                attests: false,
                signer: None,
                made: None,
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

    fn what_went_wrong(&self, fields: &HeaderMap, pair: &Pair) {
        let received = self.received(fields);
        let key = self
            .registry
            .key(pair.algorithm.name())
            .expect("it is ours");
        for sample in doctor::samples(&received, &self.route, &self.registry) {
            let (key, secret) = (&key.verifying, Some(&pair.key));
            let mut tries = Tries::of(if key.mac().is_some() {
                Cost::Secret
            } else {
                Cost::PublicKey
            });
            let found = doctor::diagnose(&sample, &received, key, secret, &[], now(), &mut tries);
            assert_eq!(found, None);
        }
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

    fn aws(&self, fields: &HeaderMap) -> Result<Caller, Refused> {
        let received = self.received(fields);
        let presented =
            aws_sigv4::Presented::read(&received, &self.route)?.ok_or(Refused::Missing)?;
        let rules = aws_sigv4::Rules {
            registry: &self.registry,
            freshness: Freshness {
                window: Duration::from_mins(5),
                skew: Duration::from_secs(30),
            },
            explain: false,
        };
        aws_sigv4::verify(&presented, &received, &self.route, rules, now())
    }

    fn token(&self, fields: &HeaderMap, cache: &token::Cache) -> Result<Caller, Refused> {
        let received = self.received(fields);
        let presented = token::read(&received, &self.route)?.ok_or(Refused::Missing)?;
        let settings = token::Settings::new(None, Duration::from_mins(15), Duration::from_secs(30));
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

fn signed(algorithm: Algorithm, key_id: &str, key: &Secret) -> HeaderMap {
    let mut request = Request::get("http://api.example.com/orders/1?page=2")
        .header("host", "api.example.com")
        .header("accept", "application/json")
        .body(Vec::new())
        .expect("a request");
    Signer::new(key_id, algorithm, key)
        .expect("it is a key")
        .clock(Clock::by_hand(NOW).0)
        .sign(&mut request)
        .expect("it is plain");
    request.into_parts().0.headers
}

fn signed_as(dialect: Dialect, key_id: &str, secret: &Secret) -> HeaderMap {
    let mut fields = HeaderMap::new();
    fields.insert("host", HeaderValue::from_static("api.example.com"));
    fields.insert("accept", HeaderValue::from_static("application/json"));
    let uri = Uri::from_static("http://api.example.com/orders/1?page=2");
    let made = HmacSigner::new(dialect, key_id, Algorithm::HmacSha256, secret)
        .expect("long enough")
        .clock(Clock::by_hand(NOW).0)
        .sign(&Method::GET, &uri, &fields, b"")
        .expect("it is plain");
    fields.extend(made.fields);
    fields
}

fn signed_for_aws(target: &str, key_id: &str, secret: &Secret) -> HeaderMap {
    let mut fields = HeaderMap::new();
    fields.insert("host", HeaderValue::from_static("api.example.com"));
    fields.insert("accept", HeaderValue::from_static("application/json"));
    let uri = format!("http://api.example.com{target}");
    let uri: Uri = uri.parse().expect("it is one");
    let made = AwsSigner::new(key_id, secret, "us-east-1", "api")
        .expect("long enough")
        .clock(Clock::by_hand(NOW).0)
        .sign(&Method::GET, &uri, &fields, b"")
        .expect("it is plain");
    fields.extend(made.fields);
    fields
}

fn with_token(algorithm: Algorithm, key_id: &str, key: &Secret) -> HeaderMap {
    let claims = token::Claims {
        iat: NOW as i64,
        exp: NOW as i64 + 300,
        scope: Some("orders"),
        ..token::Claims::default()
    };
    let key = SigningKey::new(algorithm, key).expect("it is a key");
    let text = token::sign(key_id, &key, &claims).expect("it signs tokens");
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
    targets = signature, hmac_auth, aws_sigv4, static_keys, tokens
}
criterion_main!(benches);
