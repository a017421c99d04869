use super::*;
use crate::clock::Hand;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

const NOW: u64 = 1_800_000_000;

/// A key service as it is documented, in memory.
#[derive(Clone, Default)]
struct Service(Arc<Within>);

#[derive(Default)]
struct Within {
    asked: Mutex<Vec<(String, Value)>>,
    tokens: AtomicUsize,
    /// What it answers in place of what it should.
    instead: Mutex<Option<Result<Answer, String>>>,
    /// Each token waits until one of these comes.
    gate: Mutex<Option<Receiver<()>>>,
}

impl Service {
    fn asked(&self, path: &str) -> Vec<Value> {
        let asked = self.0.asked.lock().unwrap();
        let of_path = asked.iter().filter(|(known, _)| known == path);
        of_path.map(|(_, body)| body.clone()).collect()
    }

    fn instead(&self, answer: Option<Result<Answer, String>>) {
        *self.0.instead.lock().unwrap() = answer;
    }

    fn gated(self) -> (Sender<()>, Self) {
        let (open, gate) = channel();
        *self.0.gate.lock().unwrap() = Some(gate);
        (open, self)
    }
}

fn answer(status: u16, body: &Value) -> Answer {
    Answer {
        status,
        body: body.to_string().into_bytes(),
        retry_after: None,
    }
}

impl Transport for Service {
    fn post(&self, path: &str, body: &[u8]) -> Result<Answer, String> {
        let body = serde_json::from_slice(body).unwrap();
        self.0.asked.lock().unwrap().push((path.to_owned(), body));
        if let Some(instead) = &*self.0.instead.lock().unwrap() {
            return instead.clone();
        }
        if path == "challenge" {
            let challenge = json!({ "challenge": "c".repeat(55), "expires_in": 60 });
            return Ok(answer(200, &challenge));
        }
        if let Some(gate) = &*self.0.gate.lock().unwrap() {
            gate.recv().unwrap();
        }
        let number = self.0.tokens.fetch_add(1, Ordering::SeqCst);
        let token = format!("header.claims.signature-{number}");
        Ok(answer(200, &json!({ "token": token, "expires_in": 300 })))
    }
}

fn tokens(service: &Service) -> (Tokens, Hand) {
    let (clock, hand) = Clock::by_hand(NOW);
    let tokens = Tokens::new("mobile", service.clone(), Dev::new("laptop").build("1.4.2"));
    (tokens.clock(clock), hand)
}

fn number(tokens: &Tokens) -> String {
    let token = tokens.token().unwrap();
    token.text().rsplit('-').next().unwrap().to_owned()
}

#[test]
fn what_is_asked_for_is_what_the_service_takes() {
    let service = Service::default();
    let (tokens, _) = tokens(&service);
    let tokens = tokens.pay("Bearer abc").bound_to("jkt").scope("orders");
    let token = tokens.token().unwrap();
    assert_eq!(token.field().unwrap(), "header.claims.signature-0");
    assert!(token.field().unwrap().is_sensitive());
    assert_eq!(service.asked("challenge"), [json!({ "app": "mobile" })]);
    assert_eq!(
        service.asked("token"),
        [json!({
            "app": "mobile",
            "challenge": "c".repeat(55),
            "evidence": { "format": "dev", "instance": "laptop", "build": "1.4.2" },
            "pay": pay(b"Bearer abc"),
            "cnf": { "jkt": "jkt" },
            "scope": "orders",
        })]
    );
}

#[test]
fn a_token_is_kept_and_renewed_before_it_ends() {
    let service = Service::default();
    let (tokens, hand) = tokens(&service);
    assert_eq!(number(&tokens), "0");
    hand.advance(Duration::from_secs(239));
    assert_eq!(number(&tokens), "0");
    // The margin of 60 s is made shorter by chance, by half at most.
    hand.advance(Duration::from_secs(32));
    assert_eq!(number(&tokens), "1");
    assert_eq!(service.asked("token").len(), 2);
    tokens.refused(&tokens.token().unwrap());
    assert_eq!(number(&tokens), "2");
}

#[test]
fn who_has_one_token_after_another_refused_asks_ever_more_seldom() {
    let service = Service::default();
    let (tokens, hand) = tokens(&service);
    let first = tokens.token().unwrap();
    tokens.refused(&first);
    let second = tokens.token().unwrap();
    // Of threads that had the same token, one is enough to say so.
    tokens.refused(&first);
    assert!(Arc::ptr_eq(&tokens.token().unwrap(), &second));
    tokens.refused(&second);
    let mut pauses = Vec::new();
    for _ in 0..9 {
        let NoToken::Pausing { after, last } = tokens.token().unwrap_err() else {
            panic!("it asks again at once");
        };
        assert_eq!(*last, NoToken::RefusedAgain);
        pauses.push(after);
        hand.advance(after);
        tokens.refused(&tokens.token().unwrap());
    }
    assert!(pauses[0] <= FIRST_PAUSE, "{pauses:?}");
    assert!(pauses.iter().all(|pause| *pause <= MAX_PAUSE), "{pauses:?}");
    assert!(pauses[8] >= MAX_PAUSE / 2, "{pauses:?}");
    // One that was good for a while is refused: there is another at once, as the first time.
    hand.advance(MAX_PAUSE);
    let good = tokens.token().unwrap();
    hand.advance(QUIET);
    tokens.refused(&good);
    assert!(!Arc::ptr_eq(&tokens.token().unwrap(), &good));
}

#[test]
fn by_the_clocks_of_a_machine_a_token_is_kept_too() {
    let service = Service::default();
    let tokens = Tokens::new("mobile", service.clone(), Dev::new("laptop"));
    let before = Clock::system().now().unix_seconds();
    let token = tokens.token().unwrap();
    assert!((before + 299..before + 600).contains(&token.expires_at()));
    assert_eq!(number(&tokens), "0");
    assert_eq!(service.asked("token").len(), 1);
}

#[test]
fn a_token_may_hold_the_key_itself_and_the_evidence_covers_its_thumbprint() {
    let pem = crate::crypto::generate(crate::crypto::Algorithm::EcdsaP256Sha256).unwrap();
    let key = instance_key(&pem).unwrap();
    let service = Service::default();
    let evidence = InstanceKey::of("i-1", "1.4.2", key.clone());
    let tokens = Tokens::new("mobile", service.clone(), evidence);
    let tokens = tokens.bound_to("another").bound_to_key(&key);
    tokens.token().unwrap();
    let asked = service.asked("token").remove(0);
    let jwk: Value = serde_json::from_str(&key.public_jwk()).unwrap();
    assert_eq!(asked["cnf"], json!({ "jwk": jwk }));
    let thumbprint = super::super::DpopKey::new(key.algorithm(), &pem)
        .unwrap()
        .thumbprint();
    let asked_for = Asked {
        app: "mobile",
        challenge: &"c".repeat(55),
        pay: None,
        confirmation: Some(&thumbprint),
        scope: None,
        typ: None,
    };
    let is_signed = |asked: &Value, asked_for: &Asked<'_>| {
        let text = instance_text(asked_for, "i-1", "1.4.2");
        let signature = asked["evidence"]["signature"].as_str().unwrap();
        let signature = data_encoding::BASE64URL_NOPAD
            .decode(signature.as_bytes())
            .unwrap();
        key.public().unwrap().verify(text.as_bytes(), &signature)
    };
    assert!(asked.get("typ").is_none() && is_signed(&asked, &asked_for));
    // Of an attestation it covers that it is one.
    let evidence = InstanceKey::of("i-1", "1.4.2", key.clone());
    let attestations = Tokens::new("mobile", service.clone(), evidence)
        .bound_to_key(&key)
        .client_attestations();
    attestations.token().unwrap();
    let asked = service.asked("token").remove(1);
    assert_eq!(asked["typ"], "oauth-client-attestation+jwt");
    let of_attestation = Asked {
        typ: Some("oauth-client-attestation+jwt"),
        ..asked_for
    };
    assert!(is_signed(&asked, &of_attestation) && !is_signed(&asked, &asked_for));
}

#[test]
fn the_text_that_an_instance_signs_is_that_of_the_vectors() {
    let cases = include_str!("../../../tests/it/vectors/instance-key/cases.json");
    let cases: Vec<Value> = serde_json::from_str(cases).unwrap();
    for case in &cases {
        let of = |name: &str| case["asked"][name].as_str();
        let asked = Asked {
            app: of("app").unwrap(),
            challenge: of("challenge").unwrap(),
            pay: of("pay"),
            confirmation: of("cnf"),
            scope: of("scope"),
            typ: of("typ"),
        };
        let text = instance_text(&asked, of("instance").unwrap(), of("build").unwrap());
        assert_eq!(text, case["text"], "{}", case["name"]);
    }
}

#[test]
fn however_many_ask_one_request_is_sent_and_all_get_its_token() {
    let (open, service) = Service::default().gated();
    let (tokens, _) = tokens(&service);
    let (told, asking) = channel();
    std::thread::scope(|scope| {
        let ask = || {
            told.clone().send(()).unwrap();
            number(&tokens)
        };
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(ask)).collect();
        (0..16).for_each(|_| asking.recv().unwrap());
        open.send(()).unwrap();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), "0");
        }
    });
    assert_eq!(service.asked("challenge").len(), 1);
    assert_eq!(service.asked("token").len(), 1);
}

#[test]
fn while_one_renews_others_go_on_with_the_token_that_is_good() {
    let (open, service) = Service::default().gated();
    let (tokens, hand) = tokens(&service);
    open.send(()).unwrap();
    assert_eq!(number(&tokens), "0");
    hand.advance(Duration::from_secs(280));
    std::thread::scope(|scope| {
        let renewing = scope.spawn(|| number(&tokens));
        while service.asked("token").len() < 2 {
            std::thread::yield_now();
        }
        assert_eq!(number(&tokens), "0");
        open.send(()).unwrap();
        assert_eq!(renewing.join().unwrap(), "1");
    });
    assert_eq!(number(&tokens), "1");
}

#[test]
fn pauses_grow_to_their_bound_and_a_good_token_is_used_to_its_end() {
    let service = Service::default();
    let (tokens, hand) = tokens(&service);
    assert_eq!(number(&tokens), "0");
    service.instead(Some(Err("no route to host".to_owned())));
    hand.advance(Duration::from_secs(280));
    assert_eq!(number(&tokens), "0");
    assert_eq!(service.asked("challenge").len(), 2);
    // Within the pause nobody is asked.
    assert_eq!(number(&tokens), "0");
    assert_eq!(service.asked("challenge").len(), 2);
    hand.advance(Duration::from_secs(20));
    let mut pauses = Vec::new();
    for _ in 0..9 {
        let failed = tokens.token().unwrap_err();
        assert_eq!(failed, NoToken::Unreachable("no route to host".to_owned()));
        let NoToken::Pausing { after, last } = tokens.token().unwrap_err() else {
            panic!("it asks again at once");
        };
        assert_eq!(*last, failed);
        pauses.push(after);
        hand.advance(after);
    }
    assert!(pauses.iter().all(|pause| *pause <= MAX_PAUSE), "{pauses:?}");
    assert!(pauses[8] >= MAX_PAUSE / 2, "{pauses:?}");
    assert!(pauses[0] < Duration::from_secs(3), "{pauses:?}");
    service.instead(None);
    assert_eq!(number(&tokens), "1");
}

#[test]
fn a_gateway_that_says_when_to_come_again_is_believed_within_a_bound() {
    for (asked, wanted) in [(30, 30), (100_000, 600)] {
        let service = Service::default();
        let (tokens, _) = tokens(&service);
        let problem = json!({ "code": "rate-exceeded", "detail": "Wait." });
        let refused = Answer {
            retry_after: Some(asked),
            ..answer(429, &problem)
        };
        service.instead(Some(Ok(refused)));
        let failed = tokens.token().unwrap_err();
        let told = "the gateway refuses with 429 `rate-exceeded`";
        assert_eq!(failed.to_string(), told);
        let NoToken::Pausing { after, .. } = tokens.token().unwrap_err() else {
            panic!("it asks again at once");
        };
        assert_eq!(after, Duration::from_secs(wanted));
    }
}

#[test]
fn what_no_key_service_answers_is_an_error_and_no_token() {
    for (body, what) in [
        ("", "it is no JSON object"),
        ("[]", "it is no JSON object"),
        ("{}", "there is no `challenge` in it"),
        ("{\"challenge\":7}", "there is no `challenge` in it"),
    ] {
        let service = Service::default();
        let (tokens, _) = tokens(&service);
        service.instead(Some(Ok(Answer {
            status: 200,
            body: body.into(),
            retry_after: None,
        })));
        assert_eq!(
            tokens.token().unwrap_err(),
            NoToken::Nonsense(what),
            "{body}"
        );
    }
    let service = Service::default();
    for odd in [
        json!({ "challenge": "c", "token": "a.b.c" }),
        json!({ "challenge": "c", "token": "a b", "expires_in": 300 }),
        json!({ "challenge": "c", "token": "a.b.c", "expires_in": -1 }),
        json!({ "challenge": "c", "token": "a".repeat(9000), "expires_in": 300 }),
    ] {
        let (tokens, _) = tokens(&service);
        service.instead(Some(Ok(answer(200, &odd))));
        let failed = tokens.token().unwrap_err();
        assert!(matches!(failed, NoToken::Nonsense(_)), "{odd}");
    }
    let (tokens, _) = tokens(&service);
    service.instead(Some(Ok(Answer {
        status: 200,
        body: vec![b' '; MAX_ANSWER + 1],
        retry_after: None,
    })));
    assert_eq!(
        tokens.token().unwrap_err(),
        NoToken::Nonsense("it is too long")
    );
}

#[test]
fn a_token_ends_by_whichever_clock_is_over_first_and_does_not_print() {
    let token = Token {
        text: Secret::new(b"canary.canary.canary".to_vec()),
        ends: Now::new(Duration::from_secs(1_000), Duration::from_secs(500)),
    };
    let left = |unix, running| {
        token.left(Now::new(
            Duration::from_secs(unix),
            Duration::from_secs(running),
        ))
    };
    assert_eq!(left(900, 400), Duration::from_secs(100));
    assert_eq!(left(100, 450), Duration::from_secs(50));
    assert_eq!(left(990, 1), Duration::from_secs(10));
    assert_eq!(left(1_001, 1), Duration::ZERO);
    assert_eq!(left(1, 500), Duration::ZERO);
    let service = Service::default();
    let (tokens, _) = tokens(&service);
    tokens.token().unwrap();
    for printed in [format!("{token:?}"), format!("{tokens:?}")] {
        assert!(
            !printed.contains("canary") && !printed.contains("signature"),
            "{printed}"
        );
    }
}

#[test]
fn a_transport_that_panics_leaves_nobody_waiting() {
    struct Panics;
    impl Transport for Panics {
        fn post(&self, _: &str, _: &[u8]) -> Result<Answer, String> {
            panic!("for the test");
        }
    }
    let (clock, _) = Clock::by_hand(NOW);
    let tokens = Tokens::new("mobile", Panics, Dev::new("x")).clock(clock);
    std::thread::scope(|scope| {
        assert!(scope.spawn(|| tokens.token()).join().is_err());
    });
    assert!(matches!(tokens.token(), Err(NoToken::Pausing { .. })));
}

#[test]
fn an_instance_signs_the_documented_text() {
    let pem = include_bytes!("../../../tests/it/vectors/rfc9421/keys/test-key-ed25519.pem");
    let key = InstanceKey::new(
        "i-1",
        "1.4.2",
        crate::crypto::Algorithm::Ed25519,
        &Secret::new(pem.to_vec()),
    )
    .unwrap();
    let asked = Asked {
        app: "mobile",
        challenge: "abc",
        pay: Some("cGF5"),
        confirmation: None,
        scope: Some("orders read"),
        typ: None,
    };
    let shown = key.show(&asked).unwrap();
    let text = "portcullis-instance-key-v1\napp: mobile\nchallenge: abc\ninstance: i-1\nbuild: 1.4.2\npay: cGF5\ncnf: \nscope: orders read\n";
    assert_eq!(instance_text(&asked, "i-1", "1.4.2"), text);
    let public = include_bytes!("../../../tests/it/vectors/rfc9421/keys/test-key-ed25519.pub.pem");
    let salt = crate::crypto::PssSalt::Digest;
    let public =
        crate::crypto::PublicKey::read(crate::crypto::Algorithm::Ed25519, public, salt).unwrap();
    let signature = shown["signature"].as_str().unwrap();
    let signature = data_encoding::BASE64URL_NOPAD
        .decode(signature.as_bytes())
        .unwrap();
    assert!(public.verify(text.as_bytes(), &signature));
    assert_eq!(shown["format"], "instance-key");
    assert_eq!(
        (&shown["instance"], &shown["build"]),
        (&json!("i-1"), &json!("1.4.2"))
    );
}
