//! A gate with the keys that a question needs, and nothing around it: no
//! socket, no limit, no memory of proofs. `tests/allocations.rs` stands before
//! the same one.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    RsaKeyPair,
};
use data_encoding::BASE64;
use http::{HeaderMap, HeaderValue, Method, Uri};
use portcullis::apps::{App, Key, Registry};
use portcullis::clock::Now;
use portcullis::crypto::certificate::Certificate;
use portcullis::crypto::{Algorithm, PrivateKey, SigningKey};
use portcullis::route::{IssuerSet, Route, Takers};
use portcullis::schemes::freshness::Freshness;
use portcullis::schemes::token::{Issuer, KeySet, Keys, Whose};
use portcullis::schemes::{Caller, Presented, Received, Refused, Rules, Surroundings, token};
use portcullis::secret::Secret;
use std::sync::Arc;
use std::time::Duration;

/// When everything happens, Unix seconds: noon of a day.
pub(crate) const NOW: u64 = 1_800_014_400;
/// That day, as AWS's signers write it.
pub(crate) const DAY: &str = "20270115";
pub(crate) const HOST: &str = "api.example.com";
pub(crate) const TARGET: &str = "/orders/1?page=2";

/// A key, and another of its kind that the gate does not know.
pub(crate) struct Pair {
    pub(crate) algorithm: Algorithm,
    pub(crate) key: Secret,
    pub(crate) other: Secret,
}

impl Pair {
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        Self {
            algorithm,
            key: make(algorithm),
            other: make(algorithm),
        }
    }

    /// The id that the gate knows its key by.
    pub(crate) const fn id(&self) -> &'static str {
        self.algorithm.name()
    }

    pub(crate) fn signing(&self) -> SigningKey {
        SigningKey::new(self.algorithm, &self.key).expect("it is a key")
    }

    /// That of nobody.
    pub(crate) fn wrong(&self) -> SigningKey {
        SigningKey::new(self.algorithm, &self.other).expect("it is a key")
    }
}

fn make(algorithm: Algorithm) -> Secret {
    let ecdsa = |curve| {
        let pair = EcdsaKeyPair::generate(curve)?;
        Ok(pair.to_pkcs8v1()?.as_ref().to_vec())
    };
    let ed25519 = || {
        let pair = Ed25519KeyPair::generate()?;
        Ok(pair.to_pkcs8v1()?.as_ref().to_vec())
    };
    let rsa = || {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048)?;
        Ok(pair.as_der()?.as_ref().to_vec())
    };
    match algorithm {
        Algorithm::Ed25519 => pem(ed25519()),
        Algorithm::EcdsaP256Sha256 => pem(ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING)),
        Algorithm::EcdsaP384Sha384 => pem(ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING)),
        Algorithm::RsaPssSha512 | Algorithm::RsaPssSha256 | Algorithm::RsaV15Sha256 => pem(rsa()),
        Algorithm::HmacSha256 | Algorithm::HmacSha512 => {
            let mut bytes = vec![0; 32];
            portcullis::crypto::random(&mut bytes);
            Secret::new(bytes)
        }
    }
}

fn pem(pkcs8: Result<Vec<u8>, Unspecified>) -> Secret {
    let text = BASE64.encode(&pkcs8.expect("the library makes keys"));
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n");
    Secret::new(pem.into_bytes())
}

pub(crate) fn now() -> Now {
    let time = Duration::from_secs(NOW);
    Now::new(time, time)
}

pub(crate) fn app(index: usize) -> Arc<App> {
    Arc::new(App {
        index,
        scopes: ["orders"].into_iter().collect(),
        ..App::new(format!("app-{index}"))
    })
}

/// What verifies.
pub(crate) struct Gate {
    pub(crate) registry: Registry,
    pub(crate) route: Route,
    pub(crate) tokens: token::Settings,
    pub(crate) seen: token::Cache,
}

impl Gate {
    /// One app with these keys, each named as its algorithm.
    pub(crate) fn of(pairs: &[&Pair]) -> Self {
        let app = app(0);
        let keys = pairs
            .iter()
            .map(|pair| key(&app, pair.id(), pair.algorithm, &pair.key));
        let keys = keys.collect();
        Self::with(Registry::new(vec![app], keys, 1).expect("no id twice"))
    }

    pub(crate) fn with(registry: Registry) -> Self {
        Self {
            registry,
            route: Route::any("orders"),
            tokens: token::Settings::new(None, Duration::from_mins(15), Duration::from_secs(30)),
            seen: token::Cache::new(8),
        }
    }

    /// Finds the credential that is shown and verifies it: what every request of a
    /// caller has to go through, whatever its scheme.
    pub(crate) fn judge(&self, received: &Received<'_>) -> Result<Caller, Refused> {
        self.judge_telling(received, false)
    }

    /// The text that a signature which is wrong was held against.
    pub(crate) fn text_of(&self, wrong: &Message) -> Vec<u8> {
        match self.judge_telling(&wrong.received(), true) {
            Err(Refused::Rejected {
                explained: Some(explained),
                ..
            }) => explained.base.as_bytes().to_vec(),
            other => panic!("{other:?}"),
        }
    }

    fn judge_telling(&self, received: &Received<'_>, explain: bool) -> Result<Caller, Refused> {
        let rules = Rules {
            registry: &self.registry,
            freshness: Freshness::USUAL,
            tokens: &self.tokens,
            verified: &self.seen,
            explain,
        };
        let presented = Presented::read(received, &self.route)?;
        presented.verify(received, &self.route, rules, now())
    }
}

/// No key of an app, and an issuer outside that calls its one key `name`.
pub(crate) fn of_issuer(pair: &Pair, name: &str) -> Gate {
    let mut gate = Gate::of(&[]);
    let private = PrivateKey::read(pair.algorithm, &pair.key).expect("it is a key");
    let jwk = private.public_jwk();
    let members = jwk.trim_start_matches('{');
    let set = format!(r#"{{"keys":[{{"kid":"{name}","use":"sig",{members}]}}"#);
    let algorithms = vec![pair.algorithm];
    let issuer = Issuer {
        name: "outside".into(),
        iss: None,
        audiences: Vec::new(),
        fields: vec![token::PORTCULLIS_TOKEN],
        attests: true,
        max_lifetime: Duration::from_hours(1),
        whose: Whose::App(gate.registry.apps()[0].clone()),
        signature_key: None,
        signature_secret: None,
        scopes: None,
        keys: Arc::new(Keys::fixed(
            KeySet::read(set.as_bytes(), &algorithms).expect("it is a set"),
        )),
        keys_from: "the bench".into(),
        algorithms,
    };
    let double = private.public().expect("it is a key").double();
    gate.tokens = gate.tokens.with_issuers(vec![issuer], double.into());
    gate.route.token_takers = vec![Takers {
        own: false,
        issuers: IssuerSet::NONE.with(0),
    }];
    gate
}

fn key(app: &Arc<App>, id: &str, algorithm: Algorithm, secret: &Secret) -> Key {
    Key::new(
        id,
        app.clone(),
        SigningKey::new(algorithm, secret)
            .and_then(|key| key.verifying())
            .expect("it is a key"),
    )
}

/// A request as it arrived.
pub(crate) struct Message {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) fields: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) certificate: Option<Certificate>,
}

impl Message {
    /// A GET that shows nothing yet.
    pub(crate) fn get(target: &str) -> Self {
        let mut fields = HeaderMap::new();
        fields.insert("host", HeaderValue::from_static(HOST));
        fields.insert("accept", HeaderValue::from_static("application/json"));
        Self {
            method: Method::GET,
            uri: target.parse().expect("a target"),
            fields,
            body: Vec::new(),
            certificate: None,
        }
    }

    /// A POST with a body that was read before its proof.
    pub(crate) fn post(target: &str, body: Vec<u8>) -> Self {
        Self {
            method: Method::POST,
            body,
            ..Self::get(target)
        }
    }

    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        let value = HeaderValue::try_from(value).expect("a value");
        self.fields.insert(name, value);
        self
    }

    /// Its head, read.
    pub(crate) fn received(&self) -> Received<'_> {
        let around = Surroundings {
            tls: false,
            http2: false,
            has_body: !self.body.is_empty(),
            public_url: None,
        };
        Received::read(&self.method, &self.uri, &self.fields, around)
            .expect("it is plain")
            .with_certificate(self.certificate.as_ref())
            .with_body(Some(&self.body))
    }

    pub(crate) fn absolute(&self) -> Uri {
        let target = self
            .uri
            .path_and_query()
            .map_or("/", |target| target.as_str());
        format!("http://{HOST}{target}").parse().expect("a URL")
    }
}
