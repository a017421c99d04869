//! Bodies of the key service. In: a letter for the door, `c`hallenge, `t`oken or `e`nrol, and a body. `CHALLENGE` in it is
//! put in the place of a fresh one, so that what lies behind the challenge is reached too.

use super::gate;
use portcullis::apps::{App, Evidence, Key, OnFailure, Registry, Scheme, Signer, TokenPolicy};
use portcullis::crypto::SigningKey;
use portcullis::mint::{CHALLENGE_LIFETIME, InForce, No, Service, Settings, TokenRates};
use portcullis::schemes::token;
use portcullis::store::embedded::Table;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

const APP: &str = "mobile";
const LIFETIME: Duration = Duration::from_mins(5);
const SKEW: Duration = Duration::from_secs(30);

/// What must hold of any body.
pub(super) fn check(bytes: &[u8]) {
    let Some((door, body)) = bytes.split_first() else {
        return;
    };
    let service = Service::new(&gate::secret(), Arc::new(Table::new(16)));
    let service = service.expect("the secret is long enough");
    match door {
        b'c' => {
            if let Ok(answer) = service.challenge(body, &settings_of_tokens(), gate::now()) {
                let answer: Value = serde_json::from_slice(&answer).expect("an answer is JSON");
                assert_eq!(answer["expires_in"], CHALLENGE_LIFETIME);
                assert_eq!(answer["challenge"].as_str().map(str::len), Some(55));
            }
        }
        b't' => token(&service, body),
        b'e' => drop(service.enrolling(body)),
        _ => {}
    }
}

fn settings_of_tokens() -> token::Settings {
    token::Settings::new(None, LIFETIME, SKEW)
}

/// No instance has enrolled: whatever is shown, the answer is a decoy, and looks like a token.
fn token(service: &Service, body: &[u8]) {
    let asked = format!("{{\"app\":\"{APP}\"}}");
    let fresh = service
        .challenge(asked.as_bytes(), &settings_of_tokens(), gate::now())
        .expect("it names an app");
    let fresh: Value = serde_json::from_slice(&fresh).expect("an answer is JSON");
    let fresh = fresh["challenge"].as_str().expect("it holds a challenge");
    let body = String::from_utf8_lossy(body).replace("CHALLENGE", fresh);
    let (registry, memory) = (registry(), Table::new(16));
    let settings = Settings {
        prefix: "/.portcullis".into(),
        issuer: "https://api.example.com".into(),
        audience: None,
        max_lifetime: LIFETIME,
        skew: SKEW,
        rate: None,
        rates: TokenRates::default(),
        dev: false,
    };
    let tokens = settings_of_tokens();
    let judged = service.judge(
        body.as_bytes(),
        InForce {
            settings: &settings,
            registry: &registry,
            tokens: &tokens,
            memory: &memory,
            peer: None,
            now: gate::now(),
        },
    );
    match judged {
        Ok(judged) => {
            assert!(judged.made.is_err(), "nobody proved anything");
            let answer: Value = serde_json::from_slice(&judged.body).expect("an answer is JSON");
            assert_eq!(answer["expires_in"], LIFETIME.as_secs());
            let token = answer["token"].as_str().expect("it holds a token");
            assert_eq!(token.split('.').count(), 3);
        }
        Err(No::Malformed(_)) => {}
        Err(other) => panic!("{other:?} is no answer to what a stranger sends here"),
    }
}

fn registry() -> Registry {
    let policy = TokenPolicy {
        keys: Vec::new(),
        lifetime: LIFETIME,
        evidence: vec![Evidence::InstanceKey],
        builds: Vec::new(),
        on_failure: OnFailure::Decoy,
        workloads: Vec::new(),
        client_id: None,
    };
    let app = Arc::new(App {
        scopes: gate::SCOPES.into_iter().collect(),
        tokens: Some(Arc::new(policy)),
        ..App::new(APP)
    });
    let signs = SigningKey::from(gate::key());
    let key = Key {
        schemes: [Scheme::Token].into_iter().collect(),
        attests: true,
        signer: Some(Arc::new(Signer::new(signs).expect("it signs tokens"))),
        ..Key::new(gate::KEY_ID, app.clone(), gate::key())
    };
    Registry::new(vec![app], vec![key], 1).expect("there is one key")
}
