//! What is compared: one group for each scheme and form.

use crate::gate::{self, DAY, Gate, Message, NOW, Pair, TARGET};
use crate::requests::{self, REGION, SERVICE};
use bytes::Bytes;
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use http::header::HeaderName;
use portcullis::apps::{Certified, KeyHash, Pepper, Registry, StaticKey, Who};
use portcullis::crypto::certificate::{Certificate, Name};
use portcullis::crypto::digest::sha256;
use portcullis::crypto::{Algorithm, HmacKey, VerifyingKey};
use portcullis::route::{Dialect, KeyPlaces, Sender, Webhooks};
use portcullis::schemes::aws_sigv4::chunked::Decoder;
use portcullis::schemes::aws_sigv4::forms::Forms;
use portcullis::schemes::aws_sigv4::{self, EMPTY_SHA256};
use portcullis::schemes::digest::BodyProof;
use portcullis::schemes::doctor::{self, Cost, Tries};
use portcullis::schemes::{Received, Surroundings};
use std::cell::Cell;
use std::hint::black_box;
use std::sync::Arc;

/// One thing to be done again and again.
pub(crate) type Op = Box<dyn Fn()>;

/// What takes turns.
pub(crate) struct Group {
    pub(crate) name: String,
    /// What nobody can do without, over the very same texts.
    pub(crate) bare: Option<Bare>,
    /// The good one first.
    pub(crate) cases: Vec<Case>,
    /// Whether it is proven by hashing alone.
    pub(crate) is_hashed: bool,
}

pub(crate) struct Bare {
    pub(crate) name: &'static str,
    pub(crate) run: Op,
}

pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) run: Op,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Good,
    Bad,
    /// Held against nothing.
    Other,
}

impl Group {
    fn of(name: &str, bare: Option<Bare>, cases: Vec<Case>) -> Self {
        Self {
            name: name.to_owned(),
            bare,
            cases,
            is_hashed: false,
        }
    }

    fn hashed(name: &str, bare: Bare, cases: Vec<Case>) -> Self {
        Self {
            is_hashed: true,
            ..Self::of(name, Some(bare), cases)
        }
    }
}

/// Lives as long as the bench.
fn keep<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

fn bare<T>(name: &'static str, run: impl Fn() -> T + 'static) -> Bare {
    let run = Box::new(move || {
        black_box(run());
    });
    Bare { name, run }
}

fn case<T>(name: &'static str, kind: Kind, run: impl Fn() -> T + 'static) -> Case {
    let run = Box::new(move || {
        black_box(run());
    });
    Case { name, kind, run }
}

/// The verification of `messages`, one after the other, which all pass or do not.
fn judged(
    name: &'static str,
    kind: Kind,
    gate: &'static Gate,
    messages: impl IntoIterator<Item = Message>,
) -> Case {
    let all: Vec<Received<'_>> = messages
        .into_iter()
        .map(|message| keep(message).received())
        .collect();
    for received in &all {
        let verdict = gate.judge(received);
        assert_eq!(verdict.is_ok(), kind != Kind::Bad, "{name}: {verdict:?}");
    }
    let next = Cell::new(0);
    case(name, kind, move || {
        let at = next.get();
        next.set(if at + 1 == all.len() { 0 } else { at + 1 });
        gate.judge(black_box(&all[at]))
    })
}

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
    add("aws-sigv4, header, key of the day kept", &aws_kept);
    add("aws-sigv4, header, first of the day", &aws_first);
    add("aws-sigv4, presigned, key of the day kept", &aws_presigned);
    add("aws-sigv4, target of eight forms", &aws_forms);
    add("aws-sigv4, body in four pieces of 16 KiB", &aws_pieces);
    for algorithm in Algorithm::ALL.into_iter().filter(|one| one.is_for_tokens()) {
        let name = format!("token, {}", algorithm.jose_name());
        add(&name, &|name| token(name, algorithm));
    }
    for algorithm in [Algorithm::RsaV15Sha256, Algorithm::EcdsaP256Sha256] {
        let name = format!("token of an issuer, {}", algorithm.jose_name());
        add(&name, &|name| issuer(name, algorithm));
    }
    add("token with DPoP, ES256", &dpop);
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

/// The signature of `text` by `key`, verified and nothing else.
fn bare_verification(pair: &Pair, text: Vec<u8>) -> Bare {
    let key = pair.signing();
    let signature = key.sign(&text).as_bytes().to_vec();
    let key = key.verifying().expect("it is a key");
    assert!(key.verify(&text, &signature).is_some());
    let name = if pair.algorithm.is_mac() {
        "HMAC"
    } else {
        "signature"
    };
    bare(name, move || match &key {
        // Without the digest of the text, by which it is known again.
        VerifyingKey::Public(key) => key.verify(black_box(&text), &signature),
        VerifyingKey::Mac(key) => key.verify(black_box(&text), &signature).is_some(),
    })
}

fn signature(name: &str, algorithm: Algorithm) -> Group {
    let pair: &Pair = keep(Pair::new(algorithm));
    let gate: &Gate = keep(Gate::of(&[pair]));
    let wrong = || requests::signed(algorithm, pair.id(), &pair.other);
    let bare = bare_verification(pair, gate.text_of(&wrong()));
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
            for sample in doctor::samples(received, &gate.route, &gate.registry) {
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

/// Scopes enough that the key of none is still kept when it comes again.
const REGIONS: [&str; 8] = ["r-1", "r-2", "r-3", "r-4", "r-5", "r-6", "r-7", "r-8"];

fn aws_gate(pair: &'static Pair) -> &'static Gate {
    let mut gate = Gate::of(&[pair]);
    gate.route.sigv4.plus_is_space = true;
    keep(gate)
}

/// The hash of a canonical request, the HMAC of the string to sign, and, where it is not kept, the key of the day.
fn bare_aws(pair: &'static Pair, canonical: Vec<u8>, is_kept: bool) -> Bare {
    let key = keep(HmacKey::new(pair.algorithm, &pair.key).expect("long enough"));
    let keys = key.aws().expect("it is of HMAC with SHA-256");
    let day = keys.derive(requests::scope(REGION));
    let front = format!("AWS4-HMAC-SHA256\n{DAY}T120000Z\n{DAY}/{REGION}/{SERVICE}/aws4_request\n");
    let mut text = front.into_bytes();
    text.resize(text.len() + 64, b'0');
    let run = move |day: &portcullis::crypto::aws4::DayKey| {
        let hash = sha256(&[black_box(&canonical)]);
        (hash, day.sign(black_box(&text)))
    };
    if is_kept {
        bare("SHA-256 and HMAC", move || run(&day))
    } else {
        bare("SHA-256 and five HMACs", move || {
            run(&keys.derive(black_box(requests::scope(REGION))))
        })
    }
}

fn aws_kept(name: &str) -> Group {
    let pair: &Pair = keep(Pair::new(Algorithm::HmacSha256));
    let gate = aws_gate(pair);
    let signed = |id, key| requests::signed_for_aws(TARGET, id, key, REGION);
    let bare = bare_aws(pair, gate.text_of(&signed(pair.id(), &pair.other)), true);
    let cases = vec![
        judged("good", Kind::Good, gate, [signed(pair.id(), &pair.key)]),
        judged(
            "wrong signature",
            Kind::Bad,
            gate,
            [signed(pair.id(), &pair.other)],
        ),
        judged(
            "unknown key",
            Kind::Bad,
            gate,
            [signed("nobody-at-al", &pair.key)],
        ),
    ];
    Group::hashed(name, bare, cases)
}

fn aws_first(name: &str) -> Group {
    let pair: &Pair = keep(Pair::new(Algorithm::HmacSha256));
    let gate = aws_gate(pair);
    let signed = |id, key, region| requests::signed_for_aws(TARGET, id, key, region);
    let bare = bare_aws(
        pair,
        gate.text_of(&signed(pair.id(), &pair.other, "r-0")),
        false,
    );
    let good = REGIONS.map(|region| signed(pair.id(), &pair.key, region));
    let cases = vec![
        judged("good", Kind::Good, gate, good),
        judged(
            "wrong signature",
            Kind::Bad,
            gate,
            [signed(pair.id(), &pair.other, "r-0")],
        ),
        judged(
            "unknown key",
            Kind::Bad,
            gate,
            [signed("nobody-at-al", &pair.key, "r-0")],
        ),
    ];
    Group::hashed(name, bare, cases)
}

fn aws_presigned(name: &str) -> Group {
    let pair: &Pair = keep(Pair::new(Algorithm::HmacSha256));
    let gate = aws_gate(pair);
    let signed = |id, key| requests::presigned(id, key, REGION);
    let bare = bare_aws(pair, gate.text_of(&signed(pair.id(), &pair.other)), true);
    let cases = vec![
        judged("good", Kind::Good, gate, [signed(pair.id(), &pair.key)]),
        judged(
            "wrong signature",
            Kind::Bad,
            gate,
            [signed(pair.id(), &pair.other)],
        ),
        judged(
            "unknown key",
            Kind::Bad,
            gate,
            [signed("nobody-at-al", &pair.key)],
        ),
    ];
    Group::hashed(name, bare, cases)
}

/// A target that has as many forms as there can be: a good signature of the last one is held
/// against all of them, as a wrong one is.
fn aws_forms(name: &str) -> Group {
    const MANY: &str = "/a:b?z=1&q=a+b:c&a=2";
    let pair: &Pair = keep(Pair::new(Algorithm::HmacSha256));
    let gate = aws_gate(pair);
    let signed = |id, key| requests::signed_for_aws(MANY, id, key, REGION);
    let wrong = || signed(pair.id(), &pair.other);
    let bare = bare_aws(pair, gate.text_of(&wrong()), true);
    let unknown = signed("nobody-at-al", &pair.key);
    let cases = vec![
        judged(
            "good, by the last of them",
            Kind::Good,
            gate,
            [of_last_form(gate, pair, wrong())],
        ),
        judged("wrong signature", Kind::Bad, gate, [wrong()]),
        judged("unknown key", Kind::Bad, gate, [unknown]),
        judged(
            "good, as the SDKs sign",
            Kind::Other,
            gate,
            [signed(pair.id(), &pair.key)],
        ),
    ];
    // It is no longer one hash.
    Group::of(name, Some(bare), cases)
}

/// `message` signed as curl does that is given such a target.
fn of_last_form(gate: &Gate, pair: &Pair, mut message: Message) -> Message {
    let value = message.fields["authorization"]
        .to_str()
        .expect("text")
        .to_owned();
    let between = |front: &str, end: char| {
        let (_, rest) = value.split_once(front).expect("it is there");
        rest.split(end).next().unwrap_or_default().to_owned()
    };
    let names = between("SignedHeaders=", ',');
    let mut canonical = Vec::new();
    {
        let received = message.received();
        let forms = Forms::of(&received, false, &gate.route.sigv4);
        let (path, query) = forms.all().last().expect("there is one");
        aws_sigv4::text::write_front(&mut canonical, &received, path, query);
        let presented = aws_sigv4::Presented::read(&received, &gate.route);
        let presented = presented.expect("it can be read").expect("it is there");
        aws_sigv4::text::write_fields(&mut canonical, &received, &presented.signed)
            .expect("all are there");
    }
    canonical.extend_from_slice(EMPTY_SHA256.as_bytes());
    let time = format!("{DAY}T120000Z");
    let scope = format!("{DAY}/{REGION}/{SERVICE}/aws4_request");
    let text = aws_sigv4::text::string_to_sign(&time, &scope, &[&canonical]);
    let key = HmacKey::new(pair.algorithm, &pair.key).expect("long enough");
    let day = key
        .aws()
        .expect("of HMAC with SHA-256")
        .derive(requests::scope(REGION));
    let signature = HEXLOWER.encode(day.sign(&text).as_bytes());
    let value = format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
        pair.id()
    );
    message.fields.remove("authorization");
    message.with("authorization", &value)
}

fn aws_pieces(name: &str) -> Group {
    const PIECES_OF_IT: usize = 4;
    const SIZE: usize = 16 << 10;
    let pair: &Pair = keep(Pair::new(Algorithm::HmacSha256));
    let gate: &Gate = keep(Gate::of(&[pair]));
    let (message, body) = requests::in_pieces(pair, PIECES_OF_IT, SIZE);
    let received = keep(keep(message).received());
    let taken = move |body: &Bytes| {
        let caller = gate.judge(black_box(received)).expect("its head is good");
        let BodyProof::Chunked(chunks) = caller.body() else {
            panic!("it is in pieces");
        };
        let mut decoder = Decoder::new(chunks.clone());
        let mut rest = body.clone();
        loop {
            match decoder.next(&mut rest) {
                Ok(Some(data)) => drop(black_box(data)),
                Ok(None) => break decoder.finish().is_ok(),
                Err(_) => break false,
            }
        }
    };
    let mut wrong = body.clone();
    // The last piece: all before it holds.
    let at = wrong.len() - 200;
    wrong[at] ^= 1;
    let (body, wrong) = (Bytes::from(body), Bytes::from(wrong));
    assert!(taken(&body) && !taken(&wrong));
    let piece = vec![b'x'; SIZE];
    let (text, _) = requests::piece_text(pair, &"0".repeat(64), &piece);
    let key = keep(HmacKey::new(pair.algorithm, &pair.key).expect("long enough"));
    let day = key
        .aws()
        .expect("of HMAC with SHA-256")
        .derive(requests::scope(REGION));
    let bare = bare("SHA-256 and HMAC of each", move || {
        for _ in 0..PIECES_OF_IT {
            black_box(sha256(&[black_box(&piece)]));
            black_box(day.sign(black_box(text.as_bytes())));
        }
    });
    let cases = vec![
        case("good", Kind::Good, move || taken(&body)),
        case("wrong last piece", Kind::Bad, move || taken(&wrong)),
    ];
    Group::hashed(name, bare, cases)
}

/// Tokens enough that none is still remembered when it comes again.
const TOKENS: usize = 64;

fn text_of_token(message: &Message) -> Vec<u8> {
    let text = message.fields["portcullis-token"].to_str().expect("text");
    let (signed, _) = text.rsplit_once('.').expect("three parts");
    signed.as_bytes().to_vec()
}

fn token(name: &str, algorithm: Algorithm) -> Group {
    let pair: &Pair = keep(Pair::new(algorithm));
    let gate: &Gate = keep(Gate::of(&[pair]));
    let key = pair.signing();
    let new = (0..TOKENS).map(|number| requests::with_token(pair.id(), &key, number));
    let seen = requests::with_token(pair.id(), &key, TOKENS);
    let bare = bare_verification(pair, text_of_token(&seen));
    let wrong = requests::with_token(pair.id(), &pair.wrong(), 0);
    let unknown = requests::with_token("nobody-at-al", &key, 0);
    // By itself: the others would push it out.
    let remembering: &Gate = keep(Gate::of(&[pair]));
    let cases = vec![
        judged("good, new", Kind::Good, gate, new),
        judged("wrong signature", Kind::Bad, gate, [wrong]),
        judged("unknown key", Kind::Bad, gate, [unknown]),
        judged("good, seen before", Kind::Other, remembering, [seen]),
    ];
    Group::of(name, Some(bare), cases)
}

fn issuer(name: &str, algorithm: Algorithm) -> Group {
    let pair: &Pair = keep(Pair::new(algorithm));
    let gate: &Gate = keep(gate::of_issuer(pair, "2027-01"));
    let remembering: &Gate = keep(gate::of_issuer(pair, "2027-01"));
    let key = pair.signing();
    let new = (0..TOKENS).map(|number| requests::with_token("2027-01", &key, number));
    let seen = requests::with_token("2027-01", &key, TOKENS);
    let bare = bare_verification(pair, text_of_token(&seen));
    let wrong = requests::with_token("2027-01", &pair.wrong(), 0);
    let unknown = requests::with_token("2027-02", &key, 0);
    let cases = vec![
        judged("good, new", Kind::Good, gate, new),
        judged("wrong signature", Kind::Bad, gate, [wrong]),
        judged("unknown `kid`", Kind::Bad, gate, [unknown]),
        judged("good, seen before", Kind::Other, remembering, [seen]),
    ];
    Group::of(name, Some(bare), cases)
}

fn dpop(name: &str) -> Group {
    let pair: &Pair = keep(Pair::new(Algorithm::HmacSha256));
    let holder: &Pair = keep(Pair::new(Algorithm::EcdsaP256Sha256));
    let gate: &Gate = keep(Gate::of(&[pair]));
    let key = pair.signing();
    let good = || requests::with_dpop(pair.id(), &key, holder, &holder.key);
    let shown = good();
    let proof = shown.fields["dpop"].to_str().expect("text").to_owned();
    let (signed, signature) = proof.rsplit_once('.').expect("three parts");
    let bare_proof = bare_verification(holder, signed.as_bytes().to_vec());
    let text = shown.fields["portcullis-token"].as_bytes().to_vec();
    let bare = bare("signature, and SHA-256 of the token", move || {
        (bare_proof.run)();
        sha256(&[black_box(&text)])
    });
    // Of the same length, and of something else.
    let other = holder.signing().sign(b"something else");
    let other = BASE64URL_NOPAD.encode(other.as_bytes());
    assert_eq!(other.len(), signature.len());
    let wrong = good();
    let mut fields = wrong.fields;
    fields.remove("dpop");
    let wrong = Message { fields, ..wrong }.with("dpop", &format!("{signed}.{other}"));
    let foreign = {
        let proof = requests::with_dpop(pair.id(), &key, holder, &holder.other);
        let proof = proof.fields["dpop"].to_str().expect("text").to_owned();
        let mut message = good();
        message.fields.remove("dpop");
        message.with("dpop", &proof)
    };
    let cases = vec![
        judged("good, token seen before", Kind::Good, gate, [good()]),
        judged("wrong signature", Kind::Bad, gate, [wrong]),
        judged(
            "of a key that the token is not bound to",
            Kind::Bad,
            gate,
            [foreign],
        ),
    ];
    Group::of(name, Some(bare), cases)
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
