//! The library's `client::token` before the real key service.

use crate::harness::key_service::{call, phone};
use crate::harness::{Gateway, Request, Response, Setup, Upstream, now};
use crate::key_service::{assertion, of_a_platform};
use crate::key_service_instances::{api, code, done, setup, with_phone};
use portcullis::client::token::{
    Answer, Dev, InstanceKey, NoToken, Tokens, Transport, Workload, enrol, instance_key,
};
use portcullis::client::{AttestedClient, DpopKey, Signer};
use portcullis::clock::{Clock, Hand};
use portcullis::crypto::{Algorithm, generate};
use portcullis::secret::Secret;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How the tests send requests.
pub(crate) struct Wire(pub(crate) SocketAddr);

impl Transport for Wire {
    fn post(&self, path: &str, body: &[u8]) -> Result<Answer, String> {
        let request = Request::new("POST", &format!("/.portcullis/{path}"))
            .field("Content-Type", "application/json")
            .body(body);
        let response = request.to(self.0).send_to(self.0);
        Ok(Answer {
            status: response.status,
            body: response.text().into_bytes(),
            retry_after: response
                .field("retry-after")
                .and_then(|text| text.parse().ok()),
        })
    }
}

fn start(upstream: &Upstream, tokens: &str) -> Gateway {
    Setup::before(upstream)
        .route("assurance = \"attested\"\naccept = [\"token\"]\nbind = \"authorization\"")
        .more(&phone(tokens))
        .start()
}

/// A clock of a caller's own.
fn clock() -> (Clock, Hand) {
    Clock::by_hand(u64::try_from(now()).unwrap())
}

/// An app whose user has this `Authorization`, with a clock of its own.
fn app(gateway: &Gateway, user: &str) -> (Tokens, Hand) {
    let (clock, hand) = clock();
    let evidence = Dev::new("laptop").build("1.4.2");
    let tokens = Tokens::new("phone", Wire(gateway.address()), evidence);
    (tokens.pay(user).clock(clock), hand)
}

#[test]
fn a_token_of_the_key_service_opens_the_route_for_its_user_and_is_renewed() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "evidence = [\"dev\"]");
    let (tokens, hand) = app(&gateway, "Bearer ada");
    let first = tokens.token().unwrap();
    call(&gateway, first.text(), Some("Bearer ada")).assert_passed();
    call(&gateway, first.text(), Some("Bearer eve")).assert_refused(401, "binding-mismatch");
    assert_eq!(tokens.token().unwrap().text(), first.text());
    hand.advance(Duration::from_secs(290));
    let second = tokens.token().unwrap();
    assert_ne!(second.text(), first.text());
    call(&gateway, second.text(), Some("Bearer ada")).assert_passed();
}

#[test]
fn who_is_not_genuine_gets_a_token_that_opens_nothing_or_is_told_so() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "evidence = [\"dev\"]\nbuilds = [\"9.9.9\"]");
    let (tokens, _) = app(&gateway, "Bearer ada");
    let decoy = tokens.token().unwrap();
    call(&gateway, decoy.text(), Some("Bearer ada")).assert_refused(401, "credential-rejected");
    upstream.assert_silent();
    let gateway = start(
        &upstream,
        "evidence = [\"dev\"]\nbuilds = [\"9.9.9\"]\non_failure = \"refuse\"",
    );
    let (tokens, _) = app(&gateway, "Bearer ada");
    let refused = tokens.token().unwrap_err();
    let NoToken::Refused { status, code, .. } = refused else {
        panic!("{refused}");
    };
    assert_eq!((status, code.as_deref()), (403, Some("evidence-rejected")));
}

/// Two routes before one backend: by a DPoP proof, and by a signature beside the token.
const BOTH: &str = "[[routes]]\nname = \"proven\"\npath = \"/proven/**\"\nupstream = \"backend\"\naccept = [\"token\"]\n\
    bind = \"dpop\"\nassurance = \"attested\"\n\
    [[routes]]\nname = \"signed\"\npath = \"/signed/**\"\nupstream = \"backend\"\naccept = [\"token+http-signature\"]\n\
    bind = \"key\"\nassurance = \"attested+signed\"\n";

/// A call with the token, its user's `Authorization`, and what proves the key: `prove` adds it.
fn proven(
    gateway: &Gateway,
    target: &str,
    token: &str,
    prove: impl Fn(&mut http::Request<&'static str>),
) -> Response {
    let url = format!("http://{}{target}", gateway.address());
    let mut request = http::Request::get(url)
        .header("Authorization", "Bearer ada")
        .header("Portcullis-Token", token)
        .body("")
        .unwrap();
    prove(&mut request);
    let fields = request.headers().iter();
    let sent = fields.fold(gateway.request("GET", target), |sent, (name, value)| {
        sent.field(name.as_str(), value.to_str().unwrap())
    });
    gateway.send(&sent)
}

#[test]
fn an_instance_enrols_and_its_key_proves_each_call_with_each_of_its_tokens() {
    for algorithm in [Algorithm::Ed25519, Algorithm::EcdsaP256Sha256] {
        let upstream = Upstream::start();
        let gateway = with_phone(setup(&upstream).routes(BOTH));
        let address = gateway.address();
        let (fixed, _) = clock();
        let pem = generate(algorithm).unwrap();
        let key = instance_key(&pem).unwrap();
        assert_eq!(key.algorithm(), algorithm);
        let code = code(&gateway, &json!({}));
        let id = enrol(&Wire(address), "phone", &code, &key, "1.4.2").unwrap();
        // After an answer that was lost; another key gets nothing by the code.
        let again = enrol(&Wire(address), "phone", &code, &key, "1.4.2").unwrap();
        assert_eq!(again, id);
        let other = instance_key(&generate(algorithm).unwrap()).unwrap();
        let refused = enrol(&Wire(address), "phone", &code, &other, "1.4.2").unwrap_err();
        assert!(
            refused.to_string().contains("403 `evidence-rejected`"),
            "{refused}"
        );

        let (clock, hand) = clock();
        let evidence = InstanceKey::of(&id, "1.4.2", key.clone());
        let tokens = Tokens::new("phone", Wire(address), evidence)
            .pay("Bearer ada")
            .bound_to_key(&key)
            .scope("orders")
            .clock(clock);
        let dpop = DpopKey::new(algorithm, &pem).unwrap().clock(fixed.clone());
        let signer = |pem: &Secret| {
            let signer = Signer::new("its-own", algorithm, pem).unwrap();
            signer.clock(fixed.clone())
        };
        let (own, strange) = (signer(&pem), signer(&generate(algorithm).unwrap()));
        let mut seen = Vec::new();
        for _ in 0..2 {
            let token = tokens.token().unwrap();
            let shown = token.text();
            assert!(!seen.contains(&shown.to_owned()));
            seen.push(shown.to_owned());
            assert_eq!(
                token.expires_at(),
                now() + 300 + 290 * (seen.len() as i64 - 1)
            );
            proven(&gateway, "/proven/1", shown, |request| {
                let (method, uri) = (request.method().clone(), request.uri().clone());
                dpop.prove(&method, &uri, shown, None, request.headers_mut());
            })
            .assert_passed();
            proven(&gateway, "/signed/1", shown, |request| {
                own.sign(request).unwrap();
            })
            .assert_passed();
            proven(&gateway, "/signed/1", shown, |request| {
                strange.sign(request).unwrap();
            })
            .assert_refused(401, "credential-rejected");
            proven(&gateway, "/proven/1", shown, |_| {}).assert_refused(401, "credential-missing");
            hand.advance(Duration::from_secs(290));
        }
        let got = upstream.got(3);
        assert_eq!(got.field("portcullis-assurance"), Some("attested+signed"));
        assert_eq!(got.field("portcullis-scopes"), Some("orders"));
        assert_eq!(upstream.heard().len(), 4);
    }
}

#[test]
fn one_installation_that_signs_with_its_own_key_locks_no_other_out() {
    let upstream = Upstream::start();
    let plain = "[[routes]]\nname = \"plain\"\npath = \"/orders/**\"\nupstream = \"backend\"\n\
        accept = [\"token\"]\nassurance = \"attested\"\n";
    let gateway = with_phone(setup(&upstream).routes(&format!("{BOTH}{plain}")));
    let refuse = json!({ "downgrade": "refuse" });
    done(&api(&gateway, "PATCH", "/v1/apps/phone", &refuse));
    let (fixed, _) = clock();
    let tokens = |is_bound: bool| {
        let pem = generate(Algorithm::Ed25519).unwrap();
        let key = instance_key(&pem).unwrap();
        let wire = || Wire(gateway.address());
        let id = enrol(&wire(), "phone", &code(&gateway, &json!({})), &key, "1.4.2").unwrap();
        let evidence = InstanceKey::of(&id, "1.4.2", key.clone());
        let tokens = Tokens::new("phone", wire(), evidence).clock(fixed.clone());
        let tokens = if is_bound {
            tokens.pay("Bearer ada").bound_to_key(&key)
        } else {
            tokens
        };
        (tokens.token().unwrap().text().to_owned(), pem)
    };
    let ((others, _), (its, pem)) = (tokens(false), tokens(true));
    call(&gateway, &others, None).assert_passed();
    let own = Signer::new("its-own", Algorithm::Ed25519, &pem).unwrap();
    let own = own.clock(fixed.clone());
    proven(&gateway, "/signed/1", &its, |request| {
        own.sign(request).unwrap();
    })
    .assert_passed();
    call(&gateway, &others, None).assert_passed();
    let got = upstream.got(1);
    assert_eq!(got.field("portcullis-assurance"), Some("attested+signed"));
}

#[test]
fn a_workload_shows_a_fresh_assertion_for_each_token() {
    let upstream = Upstream::start();
    let gateway = of_a_platform(&upstream, "");
    let (clock, hand) = clock();
    // The platform is asked with the challenge as its `nonce`; line ends, as files have them, do not matter.
    let workload =
        Workload::new(|challenge: &str| Ok(assertion().claim("nonce", challenge).text() + "\n"));
    let tokens = Tokens::new("phone", Wire(gateway.address()), workload).clock(clock.clone());
    for _ in 0..2 {
        call(&gateway, tokens.token().unwrap().text(), None).assert_passed();
        hand.advance(Duration::from_secs(290));
    }
    let broken = Workload::new(|_: &str| Err("the file is not there yet".to_owned()));
    let tokens = Tokens::new("phone", Wire(gateway.address()), broken).clock(clock);
    let failed = tokens.token().unwrap_err().to_string();
    assert_eq!(
        failed,
        "the evidence cannot be made: the file is not there yet"
    );
}

#[test]
fn many_threads_ask_the_key_service_once() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "evidence = [\"dev\"]");
    let (tokens, hand) = app(&gateway, "Bearer ada");
    let minted = || {
        let metrics = gateway.ask_admin("/metrics").text();
        metrics.contains("portcullis_token_requests_total{outcome=\"minted\",reason=\"ok\"} 2\n")
    };
    for _ in 0..2 {
        let passed = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let token = tokens.token().unwrap();
                    call(&gateway, token.text(), Some("Bearer ada")).assert_passed();
                    passed.fetch_add(1, Ordering::Relaxed);
                });
            }
        });
        assert_eq!(passed.into_inner(), 8);
        hand.advance(Duration::from_secs(310));
    }
    assert!(minted());
}

#[test]
fn an_instance_gets_attestations_and_is_an_attested_client_of_oauth_by_its_key() {
    const LOGIN: &str = "https://login.example.com";
    let upstream = Upstream::start();
    let route = "[[routes]]\nname = \"login\"\npath = \"/oauth2/**\"\nupstream = \"backend\"\naccept = [\"token\"]\n\
        assurance = \"attested\"\nclient_attestation = { audience = \"https://login.example.com\", client_id = \"shop-app\" }\n";
    let gateway = with_phone(setup(&upstream).routes(route));
    let tokens =
        json!({ "evidence": ["instance-key"], "builds": ["1.4.2"], "client_id": "shop-app" });
    let changed = json!({ "tokens": tokens });
    done(&api(&gateway, "PATCH", "/v1/apps/phone", &changed));
    for algorithm in [Algorithm::Ed25519, Algorithm::EcdsaP256Sha256] {
        let pem = generate(algorithm).unwrap();
        let key = instance_key(&pem).unwrap();
        let wire = || Wire(gateway.address());
        let code = code(&gateway, &json!({}));
        let id = enrol(&wire(), "phone", &code, &key, "1.4.2").unwrap();
        let (clock, _) = clock();
        let evidence = InstanceKey::of(&id, "1.4.2", key.clone());
        let tokens = Tokens::new("phone", wire(), evidence).clock(clock.clone());
        let attestation = tokens.bound_to_key(&key).client_attestations();
        let attestation = attestation.token().unwrap();
        let client = AttestedClient::new(algorithm, &pem).unwrap().clock(clock);
        let mut fields = http::HeaderMap::new();
        client
            .prove(attestation.text(), LOGIN, None, &mut fields)
            .unwrap();
        let request = gateway
            .request("POST", "/oauth2/token")
            .body("grant_type=refresh_token");
        let request = fields.iter().fold(request, |request, (name, value)| {
            request.field(name.as_str(), value.to_str().unwrap())
        });
        gateway.send(&request).assert_passed();
    }
    assert_eq!(upstream.got(1).field("portcullis-app"), Some("phone"));
}
