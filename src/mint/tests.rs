mod enrol;

use super::*;
use crate::apps::{App, ClaimRule, Evidence, Scheme, SchemeSet, Signer, TokenPolicy, Workload};
use crate::clock::{Clock, Hand};
use crate::crypto::{Algorithm, HmacKey, SigningKey, VerifyingKey, blocks, counted};
use crate::replay::Refused;
use crate::schemes::token::{Issuer, KeySet, Keys, Whose};
use crate::store::embedded::Table;
use data_encoding::BASE64URL_NOPAD;
use serde_json::Value;
use std::net::Ipv4Addr;
use std::sync::atomic::AtomicU32;

const T0: i64 = 1_800_000_000;
const SECRET: &[u8; 32] = b"canary-secret-canary-secret-0001";
const PLATFORM: &[u8; 32] = b"canary-platform-canary-platform!";
const ED25519: &str = include_str!("../../tests/it/vectors/rfc9421/keys/test-key-ed25519.pem");
const P256: &str = include_str!("../../tests/it/vectors/rfc9421/keys/test-key-ecc-p256.pem");

/// A memory that cannot be written.
struct Broken(Refused);

impl Memory for Broken {
    fn record(&self, _: Once, _: Now) -> Result<Recorded, Refused> {
        Err(self.0)
    }

    fn write_down(&self, _: Recorded) -> Result<(), Refused> {
        Err(Refused::Unavailable)
    }
}

/// What the memory of proofs was asked for.
#[derive(Default)]
struct Watched {
    table: Option<Table>,
    recorded: AtomicU32,
    blanks: AtomicU32,
}

impl Watched {
    /// How many were recorded, and how many blanks made, since this was last asked.
    fn take(&self) -> (u32, u32) {
        let take = |number: &AtomicU32| number.swap(0, Ordering::Relaxed);
        (take(&self.recorded), take(&self.blanks))
    }
}

impl Memory for Watched {
    fn record(&self, once: Once, now: Now) -> Result<Recorded, Refused> {
        let recorded = self.table.as_ref().unwrap().record(once, now)?;
        self.recorded.fetch_add(1, Ordering::Relaxed);
        Ok(recorded)
    }

    fn look(&self, once: Once, now: Now) -> Result<(), Refused> {
        self.table.as_ref().unwrap().look(once, now)
    }

    fn blank(&self) -> Recorded {
        self.blanks.fetch_add(1, Ordering::Relaxed);
        Recorded::NOWHERE
    }

    fn write_down(&self, _: Recorded) -> Result<(), Refused> {
        Ok(())
    }
}

/// A service and what is in force; each test changes what it is about.
struct House {
    service: Service,
    settings: Settings,
    registry: Registry,
    tokens: schemes::token::Settings,
    memory: Arc<dyn Memory>,
    peer: Option<IpAddr>,
    clock: Clock,
    hand: Hand,
}

fn policy(evidence: Evidence) -> TokenPolicy {
    TokenPolicy {
        keys: Vec::new(),
        lifetime: Duration::from_mins(5),
        evidence: vec![evidence],
        builds: Vec::new(),
        on_failure: OnFailure::Decoy,
        workloads: match evidence {
            Evidence::Oidc => vec![Workload {
                issuer: "platform".into(),
                claims: vec![ClaimRule {
                    claim: vec!["sub".into()],
                    value: vec!["repo:acme/app".into()],
                }],
                single_use: true,
            }],
            _ => Vec::new(),
        },
        client_id: None,
    }
}

fn mac() -> SigningKey {
    HmacKey::new(Algorithm::HmacSha256, &Secret::new(SECRET.to_vec()))
        .unwrap()
        .into()
}

fn private(algorithm: Algorithm, pem: &str) -> SigningKey {
    SigningKey::new(algorithm, &Secret::new(pem.as_bytes().to_vec())).unwrap()
}

fn app(name: &str, index: usize, policy: TokenPolicy) -> Arc<App> {
    Arc::new(App {
        index,
        scopes: ["orders", "read"].into_iter().collect(),
        tokens: Some(Arc::new(policy)),
        ..App::new(name)
    })
}

fn key(id: &str, app: &Arc<App>, signs: SigningKey) -> Key {
    let verifying = signs.verifying().unwrap();
    Key {
        schemes: [Scheme::Token].into_iter().collect::<SchemeSet>(),
        attests: true,
        signer: Some(Arc::new(Signer::new(signs).unwrap())),
        ..Key::new(id, app.clone(), verifying)
    }
}

impl House {
    fn new() -> Self {
        Self::with(policy(Evidence::Dev), mac())
    }

    fn with(policy: TokenPolicy, signs: SigningKey) -> Self {
        let mobile = app("mobile", 0, policy);
        let key = key("mobile-tokens", &mobile, signs);
        Self::of(vec![mobile], vec![key])
    }

    fn of(apps: Vec<Arc<App>>, keys: Vec<Key>) -> Self {
        let (clock, hand) = Clock::by_hand(T0 as u64);
        let platform = HmacKey::new(Algorithm::HmacSha256, &Secret::new(PLATFORM.to_vec()));
        let platform = platform.unwrap();
        let issuer = Issuer {
            name: "platform".into(),
            iss: Some("https://platform.example".into()),
            audiences: vec!["https://api.example.com".into()],
            fields: Vec::new(),
            attests: false,
            max_lifetime: Duration::from_hours(1),
            whose: Whose::NoApp,
            signature_key: None,
            signature_secret: None,
            scopes: None,
            algorithms: vec![Algorithm::HmacSha256],
            keys: Arc::new(Keys::fixed(KeySet::of_secret(Some("p"), platform))),
            keys_from: "a test".into(),
        };
        let skew = Duration::from_secs(30);
        let tokens = schemes::token::Settings::new(None, Duration::from_mins(15), skew);
        let double: VerifyingKey = HmacKey::dummy(Algorithm::HmacSha256).into();
        Self {
            service: Service::new(&Secret::new(vec![7; 32]), Arc::new(Table::new(64))).unwrap(),
            settings: Settings {
                prefix: "/.portcullis".into(),
                issuer: "https://api.example.com".into(),
                audience: Some("https://api.example.com".into()),
                max_lifetime: Duration::from_mins(15),
                skew,
                rate: None,
                rates: TokenRates::default(),
                dev: true,
            },
            registry: Registry::new(apps, keys, 1).unwrap(),
            tokens: tokens.with_issuers(vec![issuer], double),
            memory: Arc::new(Table::new(1024)),
            peer: Some(Ipv4Addr::LOCALHOST.into()),
            clock,
            hand,
        }
    }

    fn challenge(&self, app: &str) -> String {
        let body = json!({ "app": app }).to_string();
        let answer = self
            .service
            .challenge(body.as_bytes(), &self.tokens, self.clock.now());
        let answer: Value = serde_json::from_slice(&answer.unwrap()).unwrap();
        assert_eq!(answer["expires_in"], 60);
        answer["challenge"].as_str().unwrap().to_owned()
    }

    fn in_force(&self) -> InForce<'_> {
        InForce {
            settings: &self.settings,
            registry: &self.registry,
            tokens: &self.tokens,
            memory: &*self.memory,
            peer: self.peer,
            now: self.clock.now(),
        }
    }

    fn judge(&self, body: &Value) -> Result<Judged, No> {
        let body = body.to_string();
        self.service.judge(body.as_bytes(), self.in_force())
    }

    /// An answer of `app` with `evidence` to a fresh challenge of its own.
    fn ask(&self, app: &str, evidence: &Value) -> Result<Judged, No> {
        self.judge(&json!({
            "app": app, "challenge": self.challenge(app), "evidence": evidence,
        }))
    }

    fn why(&self, app: &str, evidence: &Value) -> Reason {
        self.ask(app, evidence).unwrap().made.unwrap_err()
    }
}

fn dev() -> Value {
    json!({ "format": "dev", "instance": "laptop", "build": "1.4.2" })
}

/// An assertion of the platform, with claims changed.
fn assertion(claims: &Value) -> String {
    let mut all = json!({
        "iss": "https://platform.example", "aud": "https://api.example.com", "sub": "repo:acme/app",
        "iat": T0, "exp": T0 + 600, "jti": "one",
    });
    for (name, value) in claims.as_object().unwrap() {
        all[name] = value.clone();
    }
    let platform = HmacKey::new(Algorithm::HmacSha256, &Secret::new(PLATFORM.to_vec()));
    schemes::token::sign_claims("p", &platform.unwrap().into(), &all).unwrap()
}

fn oidc(claims: &Value) -> Value {
    json!({ "format": "oidc", "token": assertion(claims) })
}

/// Header, claims and signature of a token that was answered with.
fn opened(judged: &Judged) -> (Value, Value, usize) {
    let answer: Value = serde_json::from_slice(&judged.body).unwrap();
    let token = answer["token"].as_str().unwrap();
    let parts: Vec<_> = token
        .split('.')
        .map(|part| BASE64URL_NOPAD.decode(part.as_bytes()).unwrap())
        .collect();
    let json = |part: &[u8]| serde_json::from_slice(part).unwrap();
    (json(&parts[0]), json(&parts[1]), parts[2].len())
}

#[test]
fn a_token_says_who_got_it_for_how_long_and_for_what() {
    let house = House::new();
    let judged = house
        .judge(&json!({
            "app": "mobile", "challenge": house.challenge("mobile"), "evidence": dev(),
            "scope": "orders admin",
            "pay": schemes::token::binding::pay(b"Bearer of a user"),
            "cnf": { "jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" },
        }))
        .unwrap();
    assert_eq!(&*judged.made.as_ref().unwrap().id, "mobile-tokens");
    let (header, claims, _) = opened(&judged);
    assert_eq!(
        header,
        json!({ "typ": "JWT", "alg": "HS256", "kid": "mobile-tokens" })
    );
    let jti = claims["jti"].as_str().unwrap();
    assert_eq!(jti.len(), 22);
    assert_eq!(
        claims,
        json!({
            "jti": jti, "iss": "https://api.example.com", "sub": "laptop",
            "aud": "https://api.example.com", "iat": T0, "exp": T0 + 300,
            // It only narrows.
            "scope": "orders",
            "build": "1.4.2",
            "pay": schemes::token::binding::pay(b"Bearer of a user"),
            "cnf": { "jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" },
        })
    );
}

#[test]
fn no_token_lives_longer_than_any_may() {
    let mut house = House::new();
    house.settings.max_lifetime = Duration::from_secs(90);
    let judged = house.ask("mobile", &dev()).unwrap();
    let (_, claims, _) = opened(&judged);
    assert_eq!(claims["exp"], T0 + 90);
    let answer: Value = serde_json::from_slice(&judged.body).unwrap();
    assert_eq!(answer["expires_in"], 90);
}

#[test]
fn gateways_with_one_secret_for_nonces_take_each_others_challenges() {
    let (mut one, mut other) = (House::new(), House::new());
    let own = Secret::new(vec![8; 32]);
    other.service = Service::new(&own, Arc::new(Table::new(64))).unwrap();
    let crossed = |one: &House, other: &House| {
        let challenge = one.challenge("mobile");
        let body = json!({ "app": "mobile", "challenge": challenge, "evidence": dev() });
        other.judge(&body).unwrap().made.map(drop)
    };
    let foreign = Err(Reason::ForeignChallenge);
    assert_eq!(crossed(&one, &other), foreign);
    let fleet = Secret::new(vec![9; 32]);
    let share = |house: &mut House| {
        house.tokens.dpop.nonces = schemes::token::dpop::nonce::Nonces::shared(&fleet).unwrap();
    };
    share(&mut one);
    assert_eq!(crossed(&one, &other), foreign);
    share(&mut other);
    assert_eq!(crossed(&one, &other), Ok(()));
    assert_eq!(crossed(&other, &one), Ok(()));
}

#[test]
fn a_decoy_has_the_shape_and_the_size_of_a_token_and_another_signature() {
    for signs in [
        mac(),
        private(Algorithm::Ed25519, ED25519),
        private(Algorithm::EcdsaP256Sha256, P256),
    ] {
        let verifying = signs.verifying().unwrap();
        let house = House::with(policy(Evidence::Dev), signs);
        let body = |app: &str, challenge: &str| {
            json!({
                "app": app, "challenge": challenge, "evidence": dev(), "scope": "orders",
                "cnf": { "jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" },
            })
        };
        let challenge = house.challenge("mobile");
        let real = house.judge(&body("mobile", &challenge)).unwrap();
        // The same again is one that was answered before.
        let decoy = house.judge(&body("mobile", &challenge)).unwrap();
        assert_eq!(decoy.made.as_ref().unwrap_err(), &Reason::ReusedChallenge);
        assert_eq!(real.body.len(), decoy.body.len());
        let ((header, claims, size), (its_header, its_claims, its_size)) =
            (opened(&real), opened(&decoy));
        assert_eq!((header, size), (its_header, its_size));
        let names = |claims: &Value| -> Vec<String> {
            claims.as_object().unwrap().keys().cloned().collect()
        };
        assert_eq!(names(&claims), names(&its_claims));
        let verifies = |judged: &Judged| {
            let answer: Value = serde_json::from_slice(&judged.body).unwrap();
            let (signed, signature) = answer["token"].as_str().unwrap().rsplit_once('.').unwrap();
            let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap();
            verifying.verify(signed.as_bytes(), &signature).is_some()
        };
        assert!(verifies(&real) && !verifies(&decoy));
        // An app that is not there is answered like one that is.
        let nobody = house
            .judge(&body("mobilf", &house.challenge("mobilf")))
            .unwrap();
        assert_eq!(nobody.made.as_ref().unwrap_err(), &Reason::UnknownApp);
        let (header, claims, size) = opened(&nobody);
        assert_eq!(
            (header["alg"].clone(), size),
            (opened(&real).0["alg"].clone(), its_size)
        );
        assert_eq!(names(&claims), names(&its_claims));
        assert!(!verifies(&nobody));
    }
}

/// Signatures made and checked, blocks hashed, writes: what an answer to a body costs.
#[derive(Debug, PartialEq, Eq)]
struct Cost {
    signatures: (u32, u32),
    blocks: usize,
    writes: u32,
}

/// That, and why there is no token.
fn cost(house: &House, memory: &Watched, body: &Value) -> (Cost, Option<Reason>) {
    counted::take();
    memory.take();
    let (judged, blocks) = blocks::counted(|| house.judge(body).unwrap());
    let (recorded, blanks) = memory.take();
    let why = judged.made.err();
    // A token writes down all that was recorded for it at once; what was recorded before something else failed
    // waits for whoever writes next.
    let writes = match why {
        None => recorded.min(1) + blanks,
        Some(_) => blanks,
    };
    let cost = Cost {
        signatures: counted::take(),
        blocks,
        writes,
    };
    (cost, why)
}

fn watched(house: &mut House) -> Arc<Watched> {
    let memory = Arc::new(Watched {
        table: Some(Table::new(1024)),
        ..Watched::default()
    });
    house.memory = memory.clone();
    memory
}

/// Whatever is wrong, it is found out at the cost of an answer that is right: so time tells nothing.
#[test]
fn every_answer_costs_the_same_signatures_hashes_and_writes_whatever_is_wrong_with_it() {
    for signs in [
        mac(),
        private(Algorithm::Ed25519, ED25519),
        private(Algorithm::EcdsaP256Sha256, P256),
    ] {
        let mobile = app("mobile", 0, policy(Evidence::Dev));
        // As long as the id that is made up for who is not there.
        let key = key("mobile-12345678", &mobile, signs);
        let mut house = House::of(vec![mobile], vec![key]);
        let memory = watched(&mut house);
        let body = |app: &str, challenge: &str, build: &str| {
            json!({
                "app": app, "challenge": challenge,
                "evidence": { "format": "dev", "instance": "laptop", "build": build },
            })
        };
        let right = body("mobile", &house.challenge("mobile"), "1.4.2");
        // What is made once is made.
        house.judge(&body("mobilf", "x", "1.4.2")).unwrap();
        let (cost_of_right, why) = cost(&house, &memory, &right);
        assert_eq!(
            (cost_of_right.signatures, cost_of_right.writes, why),
            ((1, 0), 1, None)
        );
        let over = house.challenge("mobile");
        house.hand.advance(Duration::from_mins(1));
        for (wanted, body) in [
            (Reason::ExpiredChallenge, body("mobile", &over, "1.4.2")),
            (
                Reason::UnknownApp,
                body("mobilf", &house.challenge("mobilf"), "1.4.2"),
            ),
            (
                Reason::ForeignChallenge,
                body("mobile", &house.challenge("mobilf"), "1.4.2"),
            ),
            (
                Reason::ForeignChallenge,
                body("mobile", &"x".repeat(55), "1.4.2"),
            ),
        ] {
            let cost = cost(&house, &memory, &body);
            assert_eq!(cost, (Cost { ..cost_of_right }, Some(wanted)));
        }
        let challenge = house.challenge("mobile");
        let again = body("mobile", &challenge, "1.4.2");
        house.judge(&again).unwrap();
        let reused = cost(&house, &memory, &again);
        assert_eq!(
            reused,
            (Cost { ..cost_of_right }, Some(Reason::ReusedChallenge))
        );
    }
}

#[test]
fn an_assertion_costs_the_same_whatever_is_wrong_with_it() {
    let mut of_platform = House::with(policy(Evidence::Oidc), mac());
    let memory = watched(&mut of_platform);
    let cost = |app: &str, challenge: &str, evidence: &Value| {
        let body = json!({ "app": app, "challenge": challenge, "evidence": evidence });
        let (cost, why) = cost(&of_platform, &memory, &body);
        ((cost.signatures, cost.writes), why)
    };
    let fresh = || of_platform.challenge("mobile");
    let right = cost("mobile", &fresh(), &oidc(&json!({})));
    assert_eq!(right, (((1, 1), 1), None));
    let forged = format!("{}AAAA", assertion(&json!({})).trim_end_matches(|_| true));
    let foreign = House::with(policy(Evidence::Oidc), mac());
    let of = |claims: Value| ("mobile", fresh(), oidc(&claims));
    let text = |token: &str| {
        (
            "mobile",
            fresh(),
            json!({ "format": "oidc", "token": token }),
        )
    };
    let of_nobody = of_platform.challenge("mobilf");
    for (wanted, (app, challenge, evidence)) in [
        (
            Reason::UnknownApp,
            ("mobilf", of_nobody, oidc(&json!({ "jti": 1 }))),
        ),
        (
            Reason::ForeignChallenge,
            (
                "mobile",
                foreign.challenge("other"),
                oidc(&json!({ "jti": "2" })),
            ),
        ),
        (
            Reason::ForeignChallenge,
            ("mobile", "x".to_owned(), oidc(&json!({ "jti": "3" }))),
        ),
        (Reason::ReusedAssertion, of(json!({}))),
        (Reason::Workload, of(json!({ "sub": "repo:else" }))),
        (Reason::Assertion, of(json!({ "aud": "else" }))),
        (Reason::Assertion, of(json!({ "iss": "else" }))),
        (Reason::Assertion, text(&forged)),
        (Reason::Assertion, text("a.b.c")),
        (Reason::ExpiredAssertion, of(json!({ "exp": T0 }))),
        (Reason::Nonce, of(json!({ "nonce": "x" }))),
    ] {
        let cost = cost(app, &challenge, &evidence);
        assert_eq!(cost, (((1, 1), 1), Some(wanted)), "{evidence}");
    }
}

#[test]
fn an_app_that_is_not_there_is_answered_like_one_of_those_that_are_each_as_often() {
    let kinds = [
        ("a", mac(), 1),
        ("b", private(Algorithm::Ed25519, ED25519), 2),
        ("c", private(Algorithm::EcdsaP256Sha256, P256), 3),
    ];
    let mut apps = Vec::new();
    let mut keys = Vec::new();
    for (name, signs, minutes) in kinds {
        let lifetime = Duration::from_mins(minutes);
        let policy = TokenPolicy {
            lifetime,
            ..policy(Evidence::Dev)
        };
        let app = app(name, apps.len(), policy);
        keys.push(key(name, &app, signs));
        apps.push(app);
    }
    let house = House::of(apps, keys);
    let answer = |app: &str| {
        let judged = house.judge(&json!({ "app": app, "challenge": "x", "evidence": dev() }));
        let judged = judged.unwrap();
        let (header, claims, _) = opened(&judged);
        assert_eq!(judged.made.unwrap_err(), Reason::UnknownApp);
        assert!(header["kid"].as_str().unwrap().starts_with(app));
        let lifetime = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
        (header["alg"].as_str().unwrap().to_owned(), lifetime)
    };
    let mut found = std::collections::BTreeMap::new();
    for number in 0..150 {
        let name = format!("nobody-{number}");
        let first = answer(&name);
        assert_eq!(first, answer(&name));
        *found.entry(first).or_insert(0) += 1;
    }
    let found: Vec<_> = found.into_iter().collect();
    let like = |alg: &str, lifetime| (alg.to_owned(), lifetime);
    let kinds: Vec<_> = found.iter().map(|(kind, _)| kind.clone()).collect();
    assert_eq!(
        kinds,
        [like("ES256", 180), like("EdDSA", 120), like("HS256", 60)]
    );
    assert!(found.iter().all(|(_, count)| *count > 20), "{found:?}");
}

#[test]
fn a_challenge_is_answered_once_rightly_or_not() {
    let house = House::with(policy(Evidence::Oidc), mac());
    let challenge = house.challenge("mobile");
    let answer = |claims: Value| {
        let body = json!({ "app": "mobile", "challenge": challenge, "evidence": oidc(&claims) });
        house.judge(&body).unwrap().made
    };
    assert_eq!(
        answer(json!({ "sub": "else" })).unwrap_err(),
        Reason::Workload
    );
    assert_eq!(answer(json!({})).unwrap_err(), Reason::ReusedChallenge);
}

#[test]
fn of_many_parallel_answers_to_one_challenge_one_gets_a_token() {
    let house = House::new();
    let body = json!({
        "app": "mobile", "challenge": house.challenge("mobile"), "evidence": dev(),
    });
    let won: usize = std::thread::scope(|scope| {
        let answers: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| usize::from(house.judge(&body).unwrap().made.is_ok())))
            .collect();
        answers.into_iter().map(|one| one.join().unwrap()).sum()
    });
    assert_eq!(won, 1);
}

#[test]
fn strangers_cannot_fill_the_memory_that_counts() {
    let house = House::with(policy(Evidence::Oidc), mac());
    // More than the memory of wrong answers holds: it is full, and right ones go on.
    for number in 0..200 {
        let evidence = json!({ "format": "oidc", "token": format!("a.b.{number}") });
        assert_eq!(house.why("mobile", &evidence), Reason::Assertion);
    }
    assert!(house.ask("mobile", &oidc(&json!({}))).unwrap().made.is_ok());
}

#[test]
fn a_challenge_is_good_for_its_app_and_for_its_time() {
    let other = app("other", 1, policy(Evidence::Dev));
    let mobile = app("mobile", 0, policy(Evidence::Dev));
    let keys = vec![key("m", &mobile, mac()), key("o", &other, mac())];
    let house = House::of(vec![mobile, other], keys);
    let challenge = house.challenge("other");
    let body = |app: &str| json!({ "app": app, "challenge": challenge, "evidence": dev() });
    let foreign = house.judge(&body("mobile")).unwrap().made.unwrap_err();
    assert_eq!(foreign, Reason::ForeignChallenge);
    house.hand.advance(Duration::from_mins(1));
    let late = house.judge(&body("other")).unwrap().made.unwrap_err();
    assert_eq!(late, Reason::ExpiredChallenge);
}

#[test]
fn the_key_that_is_in_force_signs_and_the_one_before_it_goes_on_to_hold() {
    let mobile = app("mobile", 0, policy(Evidence::Dev));
    let dated = |id, from, until| Key {
        not_before: from,
        not_after: until,
        ..key(id, &mobile, mac())
    };
    let old = dated("old", None, Some(T0 + 200));
    let new = dated("new", Some(T0 + 100), None);
    let house = House::of(vec![mobile.clone()], vec![old, new]);
    let signed_by = || {
        let judged = house.ask("mobile", &dev()).unwrap();
        judged.made.map(|key| key.id.to_string())
    };
    assert_eq!(signed_by().unwrap(), "old");
    house.hand.advance(Duration::from_secs(100));
    assert_eq!(signed_by().unwrap(), "new");
    // The order that the app says goes before dates.
    let first = |ids: [&str; 2]| TokenPolicy {
        keys: ids.map(Box::from).to_vec(),
        ..policy(Evidence::Dev)
    };
    for ids in [["one", "two"], ["two", "one"]] {
        let mobile = app("mobile", 0, first(ids));
        let keys = vec![
            key("one", &mobile, mac()),
            key("two", &mobile, mac()),
            key("x", &mobile, mac()),
        ];
        let house = House::of(vec![mobile], keys);
        let judged = house.ask("mobile", &dev()).unwrap();
        assert_eq!(&*judged.made.unwrap().id, ids[0]);
    }
}

#[test]
fn no_key_in_force_and_an_app_that_is_switched_off_get_decoys() {
    let mobile = app("mobile", 0, policy(Evidence::Dev));
    let over = Key {
        not_after: Some(T0),
        ..key("over", &mobile, mac())
    };
    let house = House::of(vec![mobile], vec![over]);
    assert_eq!(house.why("mobile", &dev()), Reason::NoKey);
    let mut off = App {
        enabled: false,
        ..App::new("off")
    };
    off.tokens = Some(Arc::new(policy(Evidence::Dev)));
    let off = Arc::new(off);
    let house = House::of(vec![off.clone()], vec![key("k", &off, mac())]);
    assert_eq!(house.why("off", &dev()), Reason::AppDisabled);
    // Where no app is known at all, there is something to answer like.
    let empty = House::of(Vec::new(), Vec::new());
    assert_eq!(empty.why("mobile", &dev()), Reason::UnknownApp);
}

#[test]
fn what_the_app_does_not_take_gets_a_decoy() {
    let mut some = policy(Evidence::Dev);
    some.builds = vec!["1.4.2".into()];
    let house = House::with(some, mac());
    assert!(house.ask("mobile", &dev()).unwrap().made.is_ok());
    for evidence in [
        json!({ "format": "dev", "build": "1.4.1" }),
        json!({ "format": "dev" }),
    ] {
        assert_eq!(house.why("mobile", &evidence), Reason::Build);
    }
    assert_eq!(house.why("mobile", &oidc(&json!({}))), Reason::NotAccepted);
    let long = json!({ "format": "oidc", "token": "x".repeat(MAX_EVIDENCE + 1) });
    assert_eq!(house.why("mobile", &long), Reason::TooLarge);
    let mut shut = House::new();
    shut.settings.dev = false;
    assert_eq!(shut.why("mobile", &dev()), Reason::NotAccepted);
}

#[test]
fn dev_is_evidence_for_whoever_asks_from_this_machine() {
    let mut house = House::new();
    for (peer, is_here) in [
        (Some("127.0.0.1"), true),
        (Some("127.9.9.9"), true),
        (Some("::1"), true),
        (Some("::ffff:127.0.0.1"), true),
        // As a proxy tells it, or the system passes it on.
        (Some("203.0.113.9"), false),
        (Some("::ffff:203.0.113.9"), false),
        (Some("2001:db8::1"), false),
        (None, false),
    ] {
        house.peer = peer.map(|text| text.parse().unwrap());
        let why = house.ask("mobile", &dev()).unwrap().made.err();
        let wanted = (!is_here).then_some(Reason::NotAccepted);
        assert_eq!(why, wanted, "{peer:?}");
    }
}

#[test]
fn an_app_that_prefers_an_error_gets_one_and_unknown_apps_are_answered_alike() {
    let mut refusing = policy(Evidence::Dev);
    refusing.on_failure = OnFailure::Refuse;
    let house = House::with(refusing, mac());
    for app in ["mobile", "mobilf"] {
        let refused = house.judge(&json!({ "app": app, "challenge": "x", "evidence": dev() }));
        assert!(matches!(refused, Err(No::Rejected(_))), "{refused:?}");
    }
    assert_eq!(
        house.service.counts(),
        [
            ("minted", "ok", 0),
            ("refused", "unknown-app", 1),
            ("refused", "challenge-foreign", 1)
        ]
    );
}

#[test]
fn an_assertion_is_good_for_one_token_or_for_the_challenge_in_it() {
    let house = House::with(policy(Evidence::Oidc), mac());
    let judged = house.ask("mobile", &oidc(&json!({}))).unwrap();
    assert_eq!(opened(&judged).1["sub"], "repo:acme/app");
    assert_eq!(
        house.why("mobile", &oidc(&json!({}))),
        Reason::ReusedAssertion
    );
    let nonce = house.challenge("mobile");
    let with_nonce = json!({
        "app": "mobile", "challenge": nonce, "evidence": oidc(&json!({ "nonce": nonce })),
    });
    assert!(house.judge(&with_nonce).unwrap().made.is_ok());
    assert_eq!(
        house.why("mobile", &oidc(&json!({ "nonce": nonce }))),
        Reason::Nonce
    );
    // Without a name of its own, by what is signed.
    let nameless = oidc(&json!({ "jti": null, "exp": T0 + 599 }));
    assert_eq!(house.why("mobile", &nameless), Reason::Assertion);
    let mut many = policy(Evidence::Oidc);
    many.workloads[0].single_use = false;
    let house = House::with(many, mac());
    for _ in 0..3 {
        assert!(house.ask("mobile", &oidc(&json!({}))).unwrap().made.is_ok());
    }
}

/// A memory that begins at [`T0`].
struct Young(Table);

impl Memory for Young {
    fn record(&self, once: Once, now: Now) -> Result<Recorded, Refused> {
        if once.made < T0 {
            return Err(Refused::MaybeReplayed);
        }
        self.0.record(once, now)
    }

    fn write_down(&self, _: Recorded) -> Result<(), Refused> {
        Ok(())
    }
}

#[test]
fn an_assertion_from_before_the_memory_fails_like_one_that_was_used() {
    let mut house = House::with(policy(Evidence::Oidc), mac());
    house.memory = Arc::new(Young(Table::new(10)));
    let old = oidc(&json!({ "iat": T0 - 60 }));
    assert_eq!(house.why("mobile", &old), Reason::OldAssertion);
    assert!(house.ask("mobile", &oidc(&json!({}))).unwrap().made.is_ok());
}

#[test]
fn every_claim_of_a_workload_must_hold() {
    let mut some = policy(Evidence::Oidc);
    some.workloads[0].claims.push(ClaimRule {
        claim: vec!["kubernetes.io".into(), "namespace".into()],
        value: vec!["prod".into(), "staging".into()],
    });
    some.workloads[0].single_use = false;
    let house = House::with(some, mac());
    let ask = |claims: Value| house.ask("mobile", &oidc(&claims)).unwrap().made;
    for space in [json!("prod"), json!("staging"), json!(["else", "prod"])] {
        assert!(ask(json!({ "kubernetes.io": { "namespace": space } })).is_ok());
    }
    for space in [
        json!("dev"),
        json!(["dev"]),
        json!(1),
        json!(null),
        json!([]),
        json!({ "prod": 1 }),
    ] {
        let why = ask(json!({ "kubernetes.io": { "namespace": space } })).unwrap_err();
        assert_eq!(why, Reason::Workload);
    }
    assert_eq!(ask(json!({})).unwrap_err(), Reason::Workload);
}

#[test]
fn what_cannot_be_remembered_is_no_decoy_but_an_error() {
    let mut house = House::new();
    for refused in [Refused::Full, Refused::Unavailable, Refused::MaybeReplayed] {
        house.memory = Arc::new(Broken(refused));
        let no = house.ask("mobile", &dev()).unwrap_err();
        assert_eq!(no, No::Memory(refused));
    }
    // Who is not proven does not get so far.
    assert_eq!(house.why("mobilf", &dev()), Reason::UnknownApp);
}

#[test]
fn an_app_and_its_instances_get_so_many_tokens_and_strangers_use_none_of_them_up() {
    let rate = |burst| Rate {
        count: 1,
        period: Duration::from_secs(1),
        burst,
    };
    let mut house = House::new();
    house.settings.rates.usual.app = Some(rate(3));
    house.settings.rates.usual.instance = Some(rate(1));
    let of = |instance: &str| json!({ "format": "dev", "instance": instance });
    for _ in 0..50 {
        let body = json!({ "app": "mobile", "challenge": "x", "evidence": of("a") });
        assert!(house.judge(&body).unwrap().made.is_err());
    }
    assert!(house.ask("mobile", &of("a")).is_ok());
    assert!(matches!(house.ask("mobile", &of("a")), Err(No::Rate(..))));
    assert!(house.ask("mobile", &of("b")).is_ok());
    assert!(house.ask("mobile", &of("c")).is_ok());
    assert!(matches!(house.ask("mobile", &of("d")), Err(No::Rate(..))));
}

#[test]
fn an_app_gets_no_more_than_its_rate_however_many_instances_owe_more() {
    let rate = |count, period, burst| Rate {
        count,
        period: Duration::from_secs(period),
        burst,
    };
    let mut house = House::new();
    house.settings.rates.usual.instance = Some(rate(10, 3_600, 10));
    let charge = |house: &House, instance: String| {
        let minter = house.registry.minter("mobile").unwrap();
        let examined = Examined {
            subject: Some(instance.into()),
            instance: None,
            build: None,
            tells_build: false,
            verdict: Ok(None),
        };
        let key = minter.key(T0).unwrap();
        house.service.charge(key, &examined, house.in_force())
    };
    let mut instances = (0..).map(|number| number.to_string());
    for instance in instances.by_ref().take(200_000) {
        charge(&house, instance).unwrap();
    }
    house.settings.rates.usual.app = Some(rate(1, 1, 1));
    for second in 0..3 {
        let mut ask = || charge(&house, instances.next().unwrap());
        assert_eq!(ask(), Ok(()), "{second}");
        let wait = No::Rate(Reason::AppRate, Duration::from_secs(1));
        assert_eq!(ask(), Err(wait), "{second}");
        house.hand.advance(Duration::from_secs(1));
    }
}

#[test]
fn a_token_that_its_app_has_to_wait_for_uses_up_nothing_of_the_instance() {
    let mut house = House::new();
    house.settings.rates.usual = Rates {
        app: Some(Rate {
            count: 1,
            period: Duration::from_secs(1),
            burst: 1,
        }),
        instance: Some(Rate {
            count: 3,
            period: Duration::from_hours(1),
            burst: 3,
        }),
    };
    let waits = || match house.ask("mobile", &dev()) {
        Err(No::Rate(why, _)) => why,
        other => panic!("{other:?}"),
    };
    for _ in 0..3 {
        house.ask("mobile", &dev()).unwrap();
        house.hand.advance(Duration::from_millis(100));
        // The third time it is the instance's own rate: it has got all of it.
        let why = waits();
        assert!(matches!(why, Reason::AppRate | Reason::InstanceRate));
        house.hand.advance(Duration::from_millis(1_100));
    }
    assert_eq!(waits(), Reason::InstanceRate);
}

/// One in ten seconds.
fn slow(burst: u32) -> Rate {
    Rate {
        count: 1,
        period: Duration::from_secs(10),
        burst,
    }
}

fn named(jti: usize) -> Value {
    oidc(&json!({ "jti": jti.to_string() }))
}

#[test]
fn whoever_has_to_wait_gets_a_token_for_the_same_assertion_later() {
    let app = Rates {
        app: Some(slow(1)),
        instance: None,
    };
    let instance = Rates {
        app: None,
        instance: Some(slow(1)),
    };
    for rates in [app, instance] {
        let mut house = House::with(policy(Evidence::Oidc), mac());
        house.settings.rates.usual = rates;
        assert!(house.ask("mobile", &named(1)).unwrap().made.is_ok());
        let challenge = house.challenge("mobile");
        let body = json!({ "app": "mobile", "challenge": challenge, "evidence": named(2) });
        match house.judge(&body) {
            Err(No::Rate(_, wait)) => assert_eq!(wait, Duration::from_secs(10)),
            other => panic!("{other:?}"),
        }
        // Of one that was used nobody is told that it would do in a while.
        assert_eq!(house.why("mobile", &named(1)), Reason::ReusedAssertion);
        house.hand.advance(Duration::from_secs(10));
        // The challenge was answered, that is all it cost.
        let again = house.judge(&body).unwrap().made;
        assert_eq!(again.unwrap_err(), Reason::ReusedChallenge);
        assert!(house.ask("mobile", &named(2)).unwrap().made.is_ok());
        assert_eq!(house.why("mobile", &named(2)), Reason::ReusedAssertion);
    }
}

/// Asks with each of these at once; which of them got a token.
fn at_once(house: &House, evidence: &[Value]) -> Vec<bool> {
    std::thread::scope(|scope| {
        let ask = |one| scope.spawn(move || house.ask("mobile", one));
        let asked: Vec<_> = evidence.iter().map(ask).collect();
        let answers = asked.into_iter().map(|one| one.join().unwrap());
        answers
            .map(|answer| match answer {
                Ok(judged) => judged.made.is_ok(),
                Err(No::Rate(..)) => false,
                Err(other) => panic!("{other:?}"),
            })
            .collect()
    })
}

#[test]
fn many_workloads_at_once_get_as_many_tokens_as_the_rate_says_and_the_others_theirs_later() {
    let mut house = House::with(policy(Evidence::Oidc), mac());
    house.settings.rates.usual.app = Some(slow(3));
    let mut left: Vec<Value> = (0..8).map(named).collect();
    for wanted in [3, 3, 2] {
        let got = at_once(&house, &left);
        assert_eq!(got.iter().filter(|got| **got).count(), wanted);
        let mut got = got.into_iter();
        left.retain(|_| got.next() == Some(false));
        house.hand.advance(Duration::from_secs(30));
    }
    assert!(left.is_empty());
}

#[test]
fn of_copies_of_one_assertion_at_once_one_gets_a_token_and_is_counted() {
    let mut house = House::with(policy(Evidence::Oidc), mac());
    house.settings.rates.usual = Rates {
        app: Some(slow(8)),
        instance: Some(slow(8)),
    };
    let copies = vec![named(0); 8];
    let got = at_once(&house, &copies);
    assert_eq!(got.iter().filter(|got| **got).count(), 1);
    for other in 1..8 {
        assert!(house.ask("mobile", &named(other)).unwrap().made.is_ok());
    }
    assert!(matches!(house.ask("mobile", &named(8)), Err(No::Rate(..))));
}

/// A memory that has no room for assertions, as long as it is told so, and does not know it before.
struct Narrow(Table, AtomicBool);

impl Memory for Narrow {
    fn record(&self, once: Once, now: Now) -> Result<Recorded, Refused> {
        // A challenge does not say its end.
        if once.own_end.is_some() && self.1.load(Ordering::Relaxed) {
            return Err(Refused::Full);
        }
        self.0.record(once, now)
    }

    fn write_down(&self, _: Recorded) -> Result<(), Refused> {
        Ok(())
    }
}

#[test]
fn an_assertion_that_cannot_be_recorded_counts_for_no_rate() {
    let mut house = House::with(policy(Evidence::Oidc), mac());
    house.settings.rates.usual = Rates {
        app: Some(slow(1)),
        instance: Some(slow(1)),
    };
    let memory = Arc::new(Narrow(Table::new(100), AtomicBool::new(true)));
    house.memory = memory.clone();
    let no = house.ask("mobile", &named(1)).unwrap_err();
    assert_eq!(no, No::Memory(Refused::Full));
    memory.1.store(false, Ordering::Relaxed);
    assert!(house.ask("mobile", &named(1)).unwrap().made.is_ok());
    assert!(matches!(house.ask("mobile", &named(2)), Err(No::Rate(..))));
}

#[test]
fn an_address_is_counted_whatever_it_is_answered() {
    let mut house = House::new();
    house.settings.rate = Some(Rate {
        count: 1,
        period: Duration::from_secs(1),
        burst: 2,
    });
    let ask = |text: &str| {
        let peer = Some(text.parse().unwrap());
        house
            .service
            .admit(&house.settings, peer, house.clock.now())
    };
    assert!(ask("192.0.2.1").is_ok() && ask("192.0.2.1").is_ok());
    assert!(matches!(ask("192.0.2.1"), Err(No::Peer(_))));
    assert!(ask("192.0.2.2").is_ok());
}

#[test]
fn steps_of_the_clock_break_nothing() {
    let house = House::new();
    let challenge = house.challenge("mobile");
    for seconds in [T0 - 600, T0 + 600, 0, T0] {
        house.hand.set(seconds as u64);
        let body = json!({ "app": "mobile", "challenge": challenge, "evidence": dev() });
        let made = house.judge(&body).unwrap().made;
        match seconds {
            T0 => assert!(made.is_ok()),
            seconds if seconds < T0 => assert_eq!(made.unwrap_err(), Reason::EarlyChallenge),
            _ => assert_eq!(made.unwrap_err(), Reason::ExpiredChallenge),
        }
    }
}

#[test]
fn what_cannot_be_read_is_told_where() {
    let house = House::new();
    let good = || json!({ "app": "mobile", "challenge": "x", "evidence": { "format": "dev" } });
    let with = |name: &str, value: Value| {
        let mut body = good();
        body[name] = value;
        body
    };
    let private = json!({ "jwk": { "kty": "OKP", "crv": "Ed25519", "d": "x",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" } });
    for (body, told) in [
        (json!({}), "`app` is missing"),
        (json!({ "app": "mobile" }), "`challenge` is missing"),
        (
            json!({ "app": "mobile", "challenge": "x" }),
            "`evidence` is missing",
        ),
        (with("app", json!(1)), "`app` is not a text"),
        (with("app", json!("a/b")), "`app` is not a name"),
        (
            with("app", json!("x".repeat(65))),
            "`app` is not a text of 1 to 64",
        ),
        (with("more", json!(1)), "`more` is not known here"),
        (with("evidence", json!("x")), "`evidence` is not an object"),
        (with("evidence", json!({})), "`evidence.format` is missing"),
        (
            with("evidence", json!({ "format": "psychic" })),
            "`evidence.format` is not one of",
        ),
        (
            with("evidence", json!({ "format": "oidc" })),
            "`evidence.token` is missing",
        ),
        (
            with("evidence", json!({ "format": "dev", "x": 1 })),
            "`evidence.x` is not known here",
        ),
        (with("pay", json!("AAAA")), "`pay` is not the SHA-256"),
        (with("scope", json!("a  b")), "`scope` is not names"),
        (with("scope", json!("a\"b")), "`scope` is not names"),
        (with("scope", json!("a\nb")), "`scope` is not a text"),
        (with("cnf", json!({})), "`cnf` has either"),
        (
            with("cnf", json!({ "jkt": "AAAA" })),
            "`cnf.jkt` is not a thumbprint",
        ),
        (
            with("cnf", json!({ "jwk": { "kty": "RSA" } })),
            "`cnf.jwk.crv` is missing",
        ),
        (with("cnf", private), "`cnf.jwk.d` is not known here"),
    ] {
        match house.judge(&body) {
            Err(No::Malformed(Malformed(detail))) => assert!(detail.contains(told), "{detail}"),
            other => panic!("{body}: {other:?}"),
        }
    }
    let refused = |body: &str| match house.service.challenge(
        body.as_bytes(),
        &house.tokens,
        house.clock.now(),
    ) {
        Err(No::Malformed(Malformed(detail))) => detail,
        other => panic!("{body}: {other:?}"),
    };
    assert!(refused("").contains("line 1, column 0"));
    assert!(refused("{\n\"app\":\"a\",\"app\":\"b\"}").contains("line 2"));
    assert!(refused("[]").contains("not one JSON object"));
    assert!(refused("{\"app\":\"a\"} x").contains("column 13"));
    assert!(refused(&format!("{}1", "{\"a\":".repeat(50))).contains("not one JSON object"));
}

#[test]
fn the_public_halves_of_private_keys_are_told_and_no_secret_is() {
    let house = House::with(policy(Evidence::Dev), private(Algorithm::Ed25519, ED25519));
    let set = house.service.keys(&house.registry, house.clock.now());
    let set: Value = serde_json::from_slice(&set).unwrap();
    assert_eq!(
        set,
        json!({ "keys": [{
            "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": "mobile-tokens",
            "x": "JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs",
        }] })
    );
    let secret = House::new();
    let set = secret.service.keys(&secret.registry, secret.clock.now());
    assert_eq!(set, "{\"keys\":[]}");
}

#[test]
fn public_halves_that_are_too_many_to_be_told_are_seen_to_be_left_out() {
    let told = |number: usize| {
        let apps = (0..number).map(|index| {
            let policy = policy(Evidence::Dev);
            app(&format!("app-{index}"), index, policy)
        });
        let apps: Vec<_> = apps.collect();
        let own = apps.iter().map(|app| {
            let id = format!("{}-tokens", app.name);
            key(&id, app, private(Algorithm::Ed25519, ED25519))
        });
        let own = own.collect();
        let house = House::of(apps, own);
        let (set, is_whole) = keys::public(&house.registry, T0);
        let set: Value = serde_json::from_str(&set).unwrap();
        (set["keys"].as_array().unwrap().len(), is_whole)
    };
    assert_eq!(told(keys::MAX_KEYS), (keys::MAX_KEYS, true));
    assert_eq!(told(keys::MAX_KEYS + 1), (keys::MAX_KEYS, false));
}
