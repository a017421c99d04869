//! The key service as a function: no socket, and a memory that remembers nothing, so that one challenge can be
//! answered again and again.

use crate::gate::{self, Pair};
use crate::turns::{Case, Group, Kind, bare, case, keep};
use portcullis::apps::{App, Evidence, Key, OnFailure, Registry, Scheme, Signer, TokenPolicy};
use portcullis::clock::Now;
use portcullis::crypto::Algorithm;
use portcullis::mint::{InForce, Service, Settings, TokenRates};
use portcullis::replay::{Memory, Once, Recorded, Refused};
use portcullis::schemes::token;
use portcullis::secret::Secret;
use serde_json::{Value, json};
use std::hint::black_box;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

const APP: &str = "phone";
/// What is answered like it is as long.
const NOBODY: &str = "phony";

/// Remembers nothing.
struct Forgets;

impl Memory for Forgets {
    fn record(&self, _: Once, _: Now) -> Result<Recorded, Refused> {
        Ok(Recorded::NOWHERE)
    }

    fn write_down(&self, _: Recorded) -> Result<(), Refused> {
        Ok(())
    }
}

struct House {
    service: Service,
    settings: Settings,
    registry: Registry,
    tokens: token::Settings,
}

impl House {
    fn of(pair: &Pair) -> Self {
        let app = Arc::new(App {
            scopes: ["orders"].into_iter().collect(),
            tokens: Some(Arc::new(policy())),
            ..App::new(APP)
        });
        let signs = pair.signing();
        let verifying = signs.verifying().expect("it is a key");
        let key = Key {
            schemes: [Scheme::Token].into_iter().collect(),
            attests: true,
            signer: Some(Arc::new(Signer::new(signs).expect("of a usual size"))),
            // An id as long as the one that is made up for who is not there.
            ..Key::new("phone-12345678", app.clone(), verifying)
        };
        let skew = Duration::from_secs(30);
        let secret = Secret::new(vec![7; 32]);
        Self {
            service: Service::new(&secret, Arc::new(Forgets)).expect("long enough"),
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
            registry: Registry::new(vec![app], vec![key], 1).expect("no id twice"),
            tokens: token::Settings::new(None, Duration::from_mins(15), skew),
        }
    }

    fn challenge(&self, app: &str) -> String {
        let body = json!({ "app": app }).to_string();
        let answer = self
            .service
            .challenge(body.as_bytes(), &self.tokens, gate::now());
        let answer: Value = serde_json::from_slice(&answer.expect("it is one")).expect("JSON");
        answer["challenge"].as_str().expect("a text").to_owned()
    }

    /// An answer to a challenge of `challenged` for `app`, judged.
    fn judged(&'static self, name: &'static str, kind: Kind, app: &str, challenged: &str) -> Case {
        let evidence = json!({ "format": "dev", "instance": "laptop", "build": "1.4.2" });
        let body = json!({
            "app": app, "challenge": self.challenge(challenged), "evidence": evidence, "scope": "orders",
        });
        let body = body.to_string();
        let judge = move || {
            let with = InForce {
                settings: &self.settings,
                registry: &self.registry,
                tokens: &self.tokens,
                memory: &Forgets,
                peer: Some(Ipv4Addr::LOCALHOST.into()),
                now: gate::now(),
            };
            self.service.judge(black_box(body.as_bytes()), with)
        };
        let made = judge().expect("it is answered").made;
        assert_eq!(made.is_ok(), kind == Kind::Good, "{name}: {made:?}");
        case(name, kind, judge)
    }
}

fn policy() -> TokenPolicy {
    TokenPolicy {
        keys: Vec::new(),
        lifetime: Duration::from_mins(5),
        evidence: vec![Evidence::Dev],
        builds: Vec::new(),
        on_failure: OnFailure::Decoy,
        workloads: Vec::new(),
        client_id: None,
    }
}

pub(crate) fn challenge(name: &str) -> Group {
    let pair = Pair::new(Algorithm::HmacSha256);
    let house: &House = keep(House::of(&pair));
    let key = pair.signing();
    let text = [7; 64];
    let bare = bare("HMAC", move || key.sign(black_box(&text)));
    let body = json!({ "app": APP }).to_string();
    let made = case("made", Kind::Other, move || {
        house
            .service
            .challenge(black_box(body.as_bytes()), &house.tokens, gate::now())
    });
    Group::of(name, Some(bare), vec![made])
}

pub(crate) fn token(name: &str, algorithm: Algorithm) -> Group {
    let pair = Pair::new(algorithm);
    let house: &House = keep(House::of(&pair));
    let key = pair.signing();
    // About as long as header and claims.
    let text = [b'x'; 400];
    let what = if algorithm.is_mac() {
        "HMAC"
    } else {
        "signature"
    };
    let bare = bare(what, move || key.sign(black_box(&text)));
    let cases = vec![
        house.judged("token", Kind::Good, APP, APP),
        house.judged("decoy: foreign challenge", Kind::Alike, APP, NOBODY),
        house.judged("decoy: unknown app", Kind::Alike, NOBODY, NOBODY),
    ];
    Group::of(name, Some(bare), cases)
}
