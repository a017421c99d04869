//! What verification allocates, counted: a test binary of its own, since it
//! counts by an allocator. The gate is the one of `cargo bench --bench verify`.

use allocation_counter::measure;
use gate::{Gate, Message, Pair, TARGET};
use http::HeaderName;
use portcullis::apps::{KeyHash, Pepper, Registry, StaticKey};
use portcullis::crypto::{Algorithm, HmacKey};
use portcullis::route::{Dialect, KeyPlaces, Sender, Webhooks};
use std::sync::Arc;

#[expect(dead_code, reason = "the bench asks for more")]
#[path = "../benches/verify/gate.rs"]
mod gate;
#[expect(dead_code, reason = "the bench asks for more")]
#[path = "../benches/verify/requests.rs"]
mod requests;

/// How many times `gate` allocates to find and verify what `message` shows, once it was warm.
fn counted(gate: &Gate, message: &Message) -> u64 {
    let received = message.received();
    for _ in 0..2 {
        gate.judge(&received).expect("it is good");
    }
    measure(|| drop(gate.judge(&received).expect("it is good"))).count_total
}

fn secret() -> Pair {
    Pair::new(Algorithm::HmacSha256)
}

#[test]
fn a_signed_request_is_verified_without_an_allocation() {
    let pair = secret();
    let message = requests::signed(pair.algorithm, pair.id(), &pair.key);
    assert_eq!(counted(&Gate::of(&[&pair]), &message), 0);
}

#[test]
fn a_token_that_was_seen_before_is_verified_without_an_allocation() {
    let pair = secret();
    let message = requests::with_token(pair.id(), &pair.signing(), 1);
    assert_eq!(counted(&Gate::of(&[&pair]), &message), 0);
}

#[test]
fn so_is_a_token_of_an_issuer_outside() {
    let pair = Pair::new(Algorithm::EcdsaP256Sha256);
    let message = requests::with_token("2027-01", &pair.signing(), 1);
    assert_eq!(counted(&gate::of_issuer(&pair, "2027-01"), &message), 0);
}

#[test]
fn a_signature_of_aws_is_verified_with_one_allocation_and_a_presigned_url_with_five() {
    let pair = secret();
    let gate = Gate::of(&[&pair]);
    let signed = requests::signed_for_aws(TARGET, pair.id(), &pair.key, requests::REGION);
    // What is read of it, which is large.
    assert_eq!(counted(&gate, &signed), 1);
    let presigned = requests::presigned(pair.id(), &pair.key, requests::REGION);
    // Besides that, parameters whose escapes are taken away, and the query in order.
    assert_eq!(counted(&gate, &presigned), 5);
}

#[test]
fn a_signature_of_another_gateways_callers_is_verified_with_one_allocation() {
    let pair = secret();
    for dialect in Dialect::ALL {
        let mut gate = Gate::of(&[&pair]);
        gate.route.dialect = Some(dialect);
        let message = requests::signed_as(dialect, pair.id(), &pair.key);
        // The signature's bytes.
        assert_eq!(counted(&gate, &message), 1, "{}", dialect.name());
    }
}

#[test]
fn a_static_key_is_looked_up_without_an_allocation() {
    let (pair, app) = (secret(), gate::app(0));
    let pepper = || Pepper::new(HmacKey::new(pair.algorithm, &pair.key).expect("long enough"));
    let key = "a-static-key-of-the-test";
    let known = StaticKey {
        id: "legacy".into(),
        app: app.clone(),
        hash: KeyHash::of(&pepper(), key.as_bytes()),
        not_before: None,
        not_after: None,
        enabled: true,
        uses: Arc::default(),
        made: None,
    };
    let registry = Registry::new(vec![app], Vec::new(), 1).expect("no id twice");
    let registry = registry.with_static_keys(pepper(), vec![known]);
    let mut gate = Gate::with(registry.expect("no id twice"));
    gate.route.key_places = Some(Arc::new(KeyPlaces {
        fields: vec![HeaderName::from_static("x-api-key")],
        ..KeyPlaces::default()
    }));
    let message = Message::get(TARGET).with("x-api-key", key);
    assert_eq!(counted(&gate, &message), 0);
}

#[test]
fn a_webhook_is_verified_with_few_allocations() {
    let pair = secret();
    for sender in Sender::ALL {
        let mut gate = Gate::of(&[&pair]);
        gate.route.webhooks = Some(Webhooks {
            sender,
            app: 0,
            query: false,
            window: None,
            hold: 1 << 20,
        });
        let message = requests::hook(sender, &pair.signing(), 1 << 10);
        let count = counted(&gate, &message);
        assert!(count <= 8, "{}: {count}", sender.name());
    }
}
