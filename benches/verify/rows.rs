//! What is compared: one group for each scheme and form.

use crate::gate::{self, Gate, Message, NOW, Pair, TARGET};
use crate::judged::{bare_verification, judged};
use crate::turns::{Bare, Case, Group, Kind, bare, case, keep};
use crate::{aws, requests, tokens};
use http::header::HeaderName;
use portcullis::apps::{Certified, KeyHash, Pepper, Registry, StaticKey, Who};
use portcullis::crypto::certificate::{Certificate, Name};
use portcullis::crypto::digest::sha256;
use portcullis::crypto::{Algorithm, HmacKey};
use portcullis::route::{Dialect, KeyPlaces, Sender, Webhooks};
use portcullis::schemes::doctor::{self, Cost, Tries};
use portcullis::schemes::{Received, Surroundings};
use std::hint::black_box;
use std::sync::Arc;

/// Every group that is wanted.
pub(crate) fn all(is_wanted: &dyn Fn(&str) -> bool) -> Vec<Group> {
    let mut groups = Vec::new();
    let mut add = |name: &str, make: &dyn Fn(&str) -> Group| {
        if is_wanted(name) {
            groups.push(make(name));
        }
    };
    add("head of a signed GET", &head);
    for algorithm in Algorithm::ALL
        .into_iter()
        .filter(|one| one.is_for_requests())
    {
        let name = format!("http-signature, {}", algorithm.name());
        add(&name, &|name| signature(name, algorithm));
    }
    for dialect in Dialect::ALL {
        let name = format!("hmac-auth, {}", dialect.name());
        add(&name, &|name| hmac_auth(name, dialect));
    }
    add("aws-sigv4, header, key of the day kept", &aws::kept);
    add("aws-sigv4, header, first of the day", &aws::first);
    add("aws-sigv4, presigned, key of the day kept", &aws::presigned);
    add("aws-sigv4, target of eight forms", &aws::forms);
    add("aws-sigv4, body in four pieces of 16 KiB", &aws::pieces);
    for algorithm in Algorithm::ALL.into_iter().filter(|one| one.is_for_tokens()) {
        let name = format!("token, {}", algorithm.jose_name());
        add(&name, &|name| tokens::token(name, algorithm));
    }
    for algorithm in [Algorithm::RsaV15Sha256, Algorithm::EcdsaP256Sha256] {
        let name = format!("token of an issuer, {}", algorithm.jose_name());
        add(&name, &|name| tokens::issuer(name, algorithm));
    }
    add("token with DPoP, ES256", &tokens::dpop);
    add("api-key, of 10 000", &api_key);
    for sender in Sender::ALL {
        let name = format!("webhook of 1 KiB, {}", sender.name());
        add(&name, &|name| webhook(name, sender));
    }
    add("client-certificate, of 1 000", &certificate);
    groups
}

/// What comes before, of every request, whatever it shows.
fn head(name: &str) -> Group {
    let pair = Pair::new(Algorithm::HmacSha256);
    let message = keep(requests::signed(pair.algorithm, pair.id(), &pair.key));
    let read = move || {
        let around = Surroundings {
            tls: false,
            http2: false,
            has_body: false,
            public_url: None,
        };
        let message = black_box(message);
        Received::read(&message.method, &message.uri, &message.fields, around).is_ok()
    };
    Group::of(name, None, vec![case("read", Kind::Other, read)])
}

fn signature(name: &str, algorithm: Algorithm) -> Group {
    let pair: &Pair = keep(Pair::new(algorithm));
    let gate: &Gate = keep(Gate::of(&[pair]));
    let wrong = || requests::signed(algorithm, pair.id(), &pair.other);
    let text = gate.text_of(&wrong());
    let bare = if algorithm.is_mac() {
        bare_with_nonce(pair, text)
    } else {
        bare_verification(pair, text)
    };
    let good = requests::signed(algorithm, pair.id(), &pair.key);
    let unknown = requests::signed(algorithm, "nobody-at-al", &pair.key);
    let cases = vec![
        judged("good", Kind::Good, gate, [good]),
        judged("wrong signature", Kind::Bad, gate, [wrong()]),
        judged("unknown key", Kind::Bad, gate, [unknown]),
        what_went_wrong(gate, pair, keep(wrong())),
    ];
    Group {
        is_hashed: algorithm.is_mac(),
        ..Group::of(name, Some(bare), cases)
    }
}

/// As [`bare_verification`], and the hash by which a proof's nonce is known again.
fn bare_with_nonce(pair: &Pair, text: Vec<u8>) -> Bare {
    // As our signers make it.
    const NONCE: &[u8] = &[b'n'; 22];
    let (verification, id) = (bare_verification(pair, text), pair.id());
    bare("HMAC, and SHA-256 of the nonce", move || {
        (verification.run)();
        let length = id.len().to_be_bytes();
        sha256(&[&length, black_box(id.as_bytes()), black_box(NONCE)])
    })
}

/// What the failure path costs once more where `explain` is on.
fn what_went_wrong(gate: &'static Gate, pair: &'static Pair, wrong: &'static Message) -> Case {
    let received = keep(wrong.received());
    case(
        "beside: what went wrong, where `explain` is on",
        Kind::Other,
        move || {
            let key = gate.registry.key(pair.id()).expect("it is ours");
            let mut tries = Tries::of(if pair.algorithm.is_mac() {
                Cost::Secret
            } else {
                Cost::PublicKey
            });
            for sample in doctor::samples(received, &gate.route, &gate.registry, gate::now()) {
                let (key, secret) = (&key.verifying, Some(&pair.key));
                let found =
                    doctor::diagnose(&sample, received, key, secret, &[], gate::now(), &mut tries);
                assert_eq!(found, None);
            }
        },
    )
}

fn hmac_auth(name: &str, dialect: Dialect) -> Group {
    let pair: &Pair = keep(Pair::new(Algorithm::HmacSha256));
    let mut gate = Gate::of(&[pair]);
    gate.route.dialect = Some(dialect);
    let gate: &Gate = keep(gate);
    let wrong = || requests::signed_as(dialect, pair.id(), &pair.other);
    let bare = bare_verification(pair, gate.text_of(&wrong()));
    let good = requests::signed_as(dialect, pair.id(), &pair.key);
    let unknown = requests::signed_as(dialect, "nobody-at-al", &pair.key);
    let cases = vec![
        judged("good", Kind::Good, gate, [good]),
        judged("wrong signature", Kind::Bad, gate, [wrong()]),
        judged("unknown key", Kind::Bad, gate, [unknown]),
    ];
    Group::hashed(name, bare, cases)
}

fn api_key(name: &str) -> Group {
    let pair = Pair::new(Algorithm::HmacSha256);
    let pepper = || HmacKey::new(Algorithm::HmacSha256, &pair.key).expect("long enough");
    let app = gate::app(0);
    let key = |number: u32| format!("a-static-key-of-the-bench-{number:05}");
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
    let mut gate = Gate::with(registry);
    gate.route.key_places = Some(Arc::new(KeyPlaces {
        fields: vec![HeaderName::from_static("x-api-key")],
        ..KeyPlaces::default()
    }));
    let gate: &Gate = keep(gate);
    let shown = |number| Message::get(TARGET).with("x-api-key", &key(number));
    let (pepper, text) = (pepper(), key(7));
    let bare = bare("HMAC", move || pepper.sign(black_box(text.as_bytes())));
    let cases = vec![
        judged("good", Kind::Good, gate, [shown(7)]),
        judged("unknown key", Kind::Bad, gate, [shown(10_007)]),
    ];
    Group::hashed(name, bare, cases)
}

fn webhook(name: &str, sender: Sender) -> Group {
    const SIZE: usize = 1 << 10;
    let pair: &Pair = keep(Pair::new(Algorithm::HmacSha256));
    let mut gate = Gate::of(&[pair]);
    gate.route.webhooks = Some(Webhooks {
        sender,
        app: 0,
        query: false,
        window: None,
        hold: 1 << 20,
    });
    let gate: &Gate = keep(gate);
    let good = requests::hook(sender, &pair.signing(), SIZE);
    let wrong = requests::hook(sender, &pair.wrong(), SIZE);
    // The longest of their fronts, and none.
    let front = format!("msg_2Lh9KRb0pzN4LePd3XiA4v12Axj.{NOW}.");
    let front = match sender {
        Sender::StandardWebhooks => front.into_bytes(),
        Sender::Github => Vec::new(),
        Sender::Stripe => format!("{NOW}.").into_bytes(),
        Sender::Slack => format!("v0:{NOW}:").into_bytes(),
    };
    let body = good.body.clone();
    let key = HmacKey::new(pair.algorithm, &pair.key).expect("long enough");
    let bare = bare("HMAC, and SHA-256 to know it again", move || {
        let tag = key.sign_parts(&[black_box(&front), black_box(&body)]);
        (tag, sha256(&[black_box(&body)]))
    });
    let cases = vec![
        judged("good", Kind::Good, gate, [good]),
        judged("wrong signature", Kind::Bad, gate, [wrong]),
    ];
    Group::hashed(name, bare, cases)
}

fn certificate(name: &str) -> Group {
    let app = gate::app(0);
    let certificate = |number: u32| {
        let names = vec![Name::dns(&format!("caller-{number}.example.com"))];
        Certificate::new(&number.to_be_bytes(), names, 0, i64::MAX)
    };
    let known = |number| Certified {
        id: format!("certificate-{number}").into(),
        app: app.clone(),
        who: Who::Fingerprint(*certificate(number).fingerprint()),
        not_before: None,
        not_after: None,
        enabled: true,
    };
    let registry = Registry::new(vec![app.clone()], Vec::new(), 1).expect("no id twice");
    let registry = registry
        .with_certificates((0..1_000).map(known).collect())
        .expect("no id twice");
    let gate: &Gate = keep(Gate::with(registry));
    let shown = |number| Message {
        certificate: Some(certificate(number)),
        ..Message::get(TARGET)
    };
    let cases = vec![
        judged("good", Kind::Good, gate, [shown(7)]),
        Case {
            // It costs a look at its names besides, and is no secret: TLS has verified it.
            kind: Kind::Other,
            ..judged("unknown certificate", Kind::Bad, gate, [shown(1_007)])
        },
    ];
    Group::of(name, None, cases)
}
