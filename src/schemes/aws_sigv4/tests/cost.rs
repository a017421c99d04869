//! What a verification hashes, in blocks of 64 bytes: a stopwatch sees nothing else of it.

use super::*;
use crate::crypto::blocks::counted;

/// A gate whose registry has one key, so that every unknown id has its double there.
fn gate(sigv4: SigV4) -> Gate {
    let mut gate = Gate::taking(sigv4);
    let keys = gate.registry.keys();
    let one = keys.filter(|key| &*key.id == "AKIDEXAMPLE").map(|key| Key {
        schemes: key.schemes,
        ..Key::new(key.id.clone(), key.app.clone(), super::key(SECRET))
    });
    let one = one.collect();
    gate.registry = Registry::new(gate.registry.apps().to_vec(), one, 1).unwrap();
    // What nobody has is made once a process.
    let unknown = named(&good("/"), "nobody");
    assert!(unknown.verdict(&gate).is_err());
    assert!(good("/").verdict(&gate).is_ok());
    assert!(unknown.verdict(&gate).is_err());
    gate.registry = Registry::new(gate.registry.apps().to_vec(), fresh(&gate), 1).unwrap();
    gate
}

/// The same keys, none of which has been used.
fn fresh(gate: &Gate) -> Vec<Key> {
    let keys = gate.registry.keys();
    keys.map(|key| Key {
        schemes: key.schemes,
        ..Key::new(key.id.clone(), key.app.clone(), super::key(SECRET))
    })
    .collect()
}

fn good(target: &str) -> Message {
    Message::get(target).signed("host;x-amz-date", EMPTY_SHA256)
}

/// The same, whose signature is another.
fn wrong(message: &Message) -> Message {
    let value = message.fields["authorization"].to_str().unwrap();
    let (front, digits) = value.split_at(value.len() - 64);
    let other = if digits.starts_with('0') { '1' } else { '0' };
    let value = format!("{front}{other}{}", &digits[1..]);
    message.clone().with("authorization", &value)
}

fn named(message: &Message, id: &str) -> Message {
    let value = message.fields["authorization"].to_str().unwrap();
    let value = value.replace("AKIDEXAMPLE", id);
    message.clone().with("authorization", &value)
}

fn blocks(message: &Message, gate: &Gate, passes: bool) -> usize {
    let (received, hash) = (message.received().unwrap(), sha256(&[&message.body]));
    let received = received.with_body_hash(Some(&hash));
    let presented = Presented::read(&received, &gate.route).unwrap().unwrap();
    let rules = Rules {
        registry: &gate.registry,
        freshness: gate.freshness,
        explain: false,
    };
    let (verdict, blocks) = counted(|| verify(&presented, &received, &gate.route, rules, gate.now));
    assert_eq!(verdict.is_ok(), passes, "{verdict:?}");
    blocks
}

#[test]
fn a_wrong_signature_and_an_unknown_id_cost_no_more_than_a_right_signature() {
    let gate = gate(SigV4::default());
    let good = good("/orders?a=1&b=2");
    let (wrong, unknown) = (wrong(&good), named(&good, "nobody"));
    // Nobody has used the key today.
    let before = blocks(&wrong, &gate, false);
    assert_eq!(blocks(&unknown, &gate, false), before);
    assert_eq!(blocks(&good, &gate, true), before);
    // Now its owner has.
    let after = blocks(&good, &gate, true);
    assert_eq!(blocks(&wrong, &gate, false), after);
    assert_eq!(blocks(&unknown, &gate, false), after);
    // One HMAC from a state that is ready, three from a fresh key each.
    assert_eq!(before - after, 2 + 3 * 4);
    // 3 of the canonical request; 2 of the key, 3 of the string to sign, 1 of its outer half.
    assert_eq!(after, 9);
}

#[test]
fn a_day_that_nobody_uses_costs_the_same_for_every_id() {
    let gate = Gate::new();
    let good = good("/");
    assert!(good.verdict(&gate).is_ok());
    let kept = blocks(&good, &gate, true);
    let seen = || -> Vec<usize> {
        let ids = (0..200).map(|number| format!("none-{number}"));
        ids.map(|id| blocks(&named(&good, &id), &gate, false))
            .collect()
    };
    // What nobody has is made once a process.
    seen();
    let seen = seen();
    // Those whose double has been used, and the others.
    assert!(seen.iter().all(|blocks| [kept, kept + 14].contains(blocks)));
    let other = good.fields["authorization"].to_str().unwrap();
    let other = other.replace("us-east-1", "us-west-9");
    let other = good.clone().with("authorization", &other);
    for id in ["AKIDEXAMPLE", "other", "long", "narrow", "nobody", "none-1"] {
        assert_eq!(blocks(&named(&other, id), &gate, false), kept + 14, "{id}");
    }
}

#[test]
fn a_wrong_signature_costs_what_a_right_one_of_the_last_form_costs() {
    let settings = SigV4 {
        plus_is_space: true,
        ..SigV4::default()
    };
    let gate = gate(settings);
    let good = good("/a:b?z=1&q=a+b:c&a=2");
    let one = {
        blocks(&good, &gate, true);
        blocks(&good, &gate, true)
    };
    let wrong = blocks(&wrong(&good), &gate, false);
    assert_eq!(blocks(&of_last_form(&good, &gate), &gate, true), wrong);
    // What all forms have in common is hashed once; the others cost 3 of the canonical request and 3 of
    // the string to sign each.
    assert_eq!((one, wrong), (9 + 6, 9 + 7 * 6));
}

/// Signed as curl does that is given such a target.
fn of_last_form(message: &Message, gate: &Gate) -> Message {
    let received = message.received().unwrap();
    let forms = Forms::of(&received, false, &gate.route.sigv4);
    assert_eq!((forms.paths.len(), forms.queries.len()), (2, 4));
    let presented = Presented::read(&received, &gate.route).unwrap().unwrap();
    let mut canonical = Vec::new();
    let (path, query) = forms.all().last().unwrap();
    text::write_front(&mut canonical, &received, path, query);
    text::write_fields(&mut canonical, &received, &presented.signed).unwrap();
    canonical.extend_from_slice(EMPTY_SHA256.as_bytes());
    let scope = presented.credential.scope_text();
    let to_sign = text::string_to_sign(DATE, scope, &[&canonical]);
    let day = super::key(SECRET);
    let day = day.aws().unwrap().derive(presented.credential.scope());
    let signature = HEXLOWER.encode(day.sign(&to_sign).as_bytes());
    let value = message.fields["authorization"].to_str().unwrap();
    let value = format!("{}{signature}", &value[..value.len() - 64]);
    message.clone().with("authorization", &value)
}

#[test]
fn usual_targets_are_hashed_in_one_form() {
    for target in [
        "/",
        "/orders/7",
        "/orders?a=1&b=2",
        "/a/b-c_d.e~f?a=%20&b=%C3%A9&b=1",
    ] {
        let gate = gate(SigV4::default());
        let good = good(target);
        blocks(&good, &gate, true);
        let right = blocks(&good, &gate, true);
        assert_eq!(blocks(&wrong(&good), &gate, false), right, "{target}");
    }
}

/// The same, whose signature is another.
fn wrong_url(message: &Message) -> Message {
    let target = message.uri.to_string();
    let (front, digits) = target.split_at(target.len() - 64);
    let other = if digits.starts_with('0') { '1' } else { '0' };
    let mut wrong = message.clone();
    wrong.uri = format!("{front}{other}{}", &digits[1..]).parse().unwrap();
    wrong
}

#[test]
fn a_presigned_url_costs_the_same_whether_it_holds_or_not() {
    let gate = gate(SigV4::default());
    // The signer's own parameters stand behind the others, unsorted.
    for (target, payload) in [
        ("/orders", EMPTY_SHA256),
        ("/orders/1?page=2", EMPTY_SHA256),
        ("/orders/1?page=2&a=%20", UNSIGNED_PAYLOAD),
    ] {
        let good = presigned(target, 300, payload);
        blocks(&good, &gate, true);
        let right = blocks(&good, &gate, true);
        assert_eq!(blocks(&wrong_url(&good), &gate, false), right, "{target}");
        let mut unknown = good.clone();
        let url = good.uri.to_string().replace("AKIDEXAMPLE", "nobodyatall");
        unknown.uri = url.parse().unwrap();
        assert_eq!(blocks(&unknown, &gate, false), right, "{target}");
    }
}

/// As `presigned`, for S3, and of the body nothing is told.
fn as_for_s3(target: &str, payload: &str) -> Message {
    let of = |payload| Parameters {
        service: "s3",
        ..parameters("host", payload)
    };
    let target = format!("{target}&{}", presigned_query(&of(EMPTY_SHA256), 300));
    let mut message = Message::get(&target);
    message.fields.remove("x-amz-date");
    let received = message.received().unwrap();
    let made = presign(&received, &of(payload), &key(SECRET)).unwrap();
    let target = format!("{target}&X-Amz-Signature={}", made.value);
    message.uri = target.parse().unwrap();
    message
}

#[test]
fn a_url_presigned_as_for_s3_costs_the_same_whichever_way_its_body_is_signed() {
    let gate = gate(SigV4::default());
    let of = |payload: &str| as_for_s3("/orders/1?page=2", payload);
    let (unsigned, empty) = (of(UNSIGNED_PAYLOAD), of(EMPTY_SHA256));
    blocks(&unsigned, &gate, true);
    let right = blocks(&unsigned, &gate, true);
    assert_eq!(blocks(&empty, &gate, true), right);
    assert_eq!(blocks(&wrong_url(&unsigned), &gate, false), right);
}
