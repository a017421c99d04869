//! The key service: challenge, evidence, token or decoy.

use crate::admin_api::with_tokens;
use crate::harness::issuer::{AUD, ISS, Issuer, every_key, signed};
use crate::harness::key_service::{ask, call, challenge, phone, post, question, token};
use crate::harness::pair::Pair;
use crate::harness::{Gateway, Request, Response, Setup, Token, Upstream, now};
use crate::key_service_instances::{api, done};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::cell::Cell;
use std::net::SocketAddr;

const DEV: &str = "evidence = [\"dev\"]";

fn start(upstream: &Upstream, tokens: &str) -> Gateway {
    Setup::before(upstream).more(&phone(tokens)).start()
}

fn dev() -> Value {
    json!({ "format": "dev", "instance": "laptop", "build": "1.4.2" })
}

fn asked(gateway: &Gateway, evidence: &Value) -> Response {
    let address = gateway.address();
    ask(address, "token", &question(address, "phone", evidence))
}

pub(crate) fn parts(token: &str) -> (Value, Value, Vec<u8>) {
    let parts: Vec<_> = token
        .split('.')
        .map(|part| BASE64URL_NOPAD.decode(part.as_bytes()).unwrap())
        .collect();
    let json = |part: &[u8]| serde_json::from_slice(part).unwrap();
    (json(&parts[0]), json(&parts[1]), parts[2].clone())
}

#[test]
fn a_challenge_and_evidence_make_a_token_that_opens_the_route_as_attested() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream)
        .tokens("audience = \"https://api.example.com\"")
        .route("assurance = \"attested\"\nscopes = [\"orders\"]\naccept = [\"token\"]")
        .more(&phone(DEV))
        .start();
    let answer = asked(&gateway, &dev());
    for (name, value) in [
        ("content-type", "application/json"),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(answer.field(name), Some(value));
    }
    assert_eq!(answer.json()["expires_in"], 300);
    let token = token(&answer);
    for _ in 0..2 {
        call(&gateway, &token, None).assert_passed();
    }
    let got = upstream.got(1);
    for (field, value) in [
        ("portcullis-app", "phone"),
        ("portcullis-key", "phone-tokens"),
        ("portcullis-scheme", "token"),
        ("portcullis-assurance", "attested"),
        ("portcullis-scopes", "orders read"),
    ] {
        assert_eq!(got.field(field), Some(value), "{field}");
    }
    let (_, claims, _) = parts(&token);
    assert_eq!(claims["aud"], "https://api.example.com");
    assert_eq!(
        claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(),
        300
    );
    let told = "\"app\":\"phone\",\"key\":\"phone-tokens\",\"status\":200";
    gateway
        .log()
        .wait_for("whose token it is", |log| log.contains(told));
}

#[test]
fn a_token_is_bound_to_the_users_authorization_and_may_do_less() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream)
        .route("bind = \"authorization\"\nscopes = [\"orders\"]\naccept = [\"token\"]")
        .more(&phone(DEV))
        .start();
    let address = gateway.address();
    let of = |user: &str, scope: &str| {
        let mut body = question(address, "phone", &dev());
        body["pay"] = BASE64.encode(&Sha256::digest(user)).into();
        body["scope"] = scope.into();
        token(&ask(address, "token", &body))
    };
    let alices = of("Bearer alice", "orders admin");
    call(&gateway, &alices, Some("Bearer alice")).assert_passed();
    assert_eq!(upstream.got(0).field("portcullis-scopes"), Some("orders"));
    assert_eq!(upstream.got(0).field("authorization"), Some("Bearer alice"));
    call(&gateway, &alices, Some("Bearer mallory")).assert_refused(401, "binding-mismatch");
    call(&gateway, &alices, None).assert_refused(401, "binding-mismatch");
    let narrow = of("Bearer alice", "read");
    call(&gateway, &narrow, Some("Bearer alice")).assert_refused(403, "scope-missing");
    assert_eq!(upstream.heard().len(), 1);
}

#[test]
fn a_decoy_looks_like_a_token_and_opens_nothing() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, DEV);
    let address = gateway.address();
    let body = question(address, "phone", &dev());
    let real = ask(address, "token", &body);
    let decoy = ask(address, "token", &body);
    let comparable = |answer: &Response| {
        let names: Vec<String> = answer.fields.iter().map(|(name, _)| name.clone()).collect();
        (answer.status, names, answer.body.len())
    };
    assert_eq!(comparable(&real), comparable(&decoy));
    assert_eq!(real.json()["expires_in"], decoy.json()["expires_in"]);
    let (real, decoy) = (token(&real), token(&decoy));
    let ((header, claims, mac), (its_header, its_claims, its_mac)) = (parts(&real), parts(&decoy));
    assert_eq!((header, mac.len()), (its_header, its_mac.len()));
    let names = |claims: &Value| {
        claims
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&claims), names(&its_claims));
    call(&gateway, &decoy, None).assert_refused(401, "credential-rejected");
    upstream.assert_silent();
    call(&gateway, &real, None).assert_passed();
    // The owner learns why, in one line.
    let told = "\"reason\":\"decoy: challenge-reused (app phone)\"";
    let log = gateway.log().wait_for("why", |log| log.contains(told));
    let line = log.lines().find(|line| line.contains(told)).unwrap();
    assert!(
        line.contains("\"status\":200") && !line.contains("\"app\":"),
        "{line}"
    );
    let metrics = gateway.ask_admin("/metrics").text();
    for line in [
        "portcullis_token_requests_total{outcome=\"minted\",reason=\"ok\"} 1",
        "portcullis_token_requests_total{outcome=\"decoy\",reason=\"challenge-reused\"} 1",
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
}

#[test]
fn whoever_guesses_gets_decoys_for_apps_that_are_there_and_for_those_that_are_not() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "evidence = [\"dev\"]\nbuilds = [\"1.4.2\"]");
    let address = gateway.address();
    let other = challenge(address, "other");
    let old = json!({ "format": "dev", "build": "1.4.1" });
    for (what, body) in [
        ("unknown-app", question(address, "phony", &dev())),
        // An app without `tokens` is none here.
        ("unknown-app", question(address, "mobile", &dev())),
        (
            "challenge-foreign",
            json!({ "app": "phone", "challenge": other, "evidence": dev() }),
        ),
        (
            "challenge-foreign",
            json!({ "app": "phone", "challenge": "x", "evidence": dev() }),
        ),
        ("build-not-accepted", question(address, "phone", &old)),
        (
            "evidence-not-accepted",
            question(
                address,
                "phone",
                &json!({ "format": "oidc", "token": "a.b.c" }),
            ),
        ),
    ] {
        let token = token(&ask(address, "token", &body));
        call(&gateway, &token, None).assert_refused(401, "credential-rejected");
        let metrics = gateway.ask_admin("/metrics").text();
        let line = format!("{{outcome=\"decoy\",reason=\"{what}\"}}");
        assert!(metrics.contains(&line), "{what}: {metrics}");
    }
    upstream.assert_silent();
}

#[test]
fn an_app_may_prefer_an_error() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "evidence = [\"dev\"]\non_failure = \"refuse\"");
    let body = json!({ "app": "phone", "challenge": "x", "evidence": dev() });
    let refused = ask(gateway.address(), "token", &body);
    refused.assert_refused(403, "evidence-rejected");
    assert!(!refused.text().contains("challenge-foreign"));
    assert_eq!(gateway.record(0)["reason"], "challenge-foreign");
}

#[test]
fn of_many_parallel_answers_to_one_challenge_one_opens_the_route() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, DEV);
    let address = gateway.address();
    let body = question(address, "phone", &dev());
    assert_eq!(passed_of(&gateway, address, &body, 8), 1);
}

/// How many tokens open the route, of those that are answered to one question asked so often at once.
pub(crate) fn passed_of(
    gateway: &Gateway,
    address: SocketAddr,
    question: &Value,
    times: usize,
) -> usize {
    let tokens: Vec<String> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..times)
            .map(|_| scope.spawn(|| token(&ask(address, "token", question))))
            .collect();
        asking.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let passed = tokens
        .iter()
        .filter(|token| call(gateway, token, None).status == 200);
    passed.count()
}

#[test]
fn an_answered_challenge_is_used_up_after_a_kill_too_and_an_open_one_is_good() {
    let upstream = Upstream::start();
    let first = Setup::before(&upstream).more(&phone(DEV)).spawn();
    let answered = question(first.address(), "phone", &dev());
    let open = question(first.address(), "phone", &dev());
    assert_eq!(ask(first.address(), "token", &answered).status, 200);
    let second = first.killed_and_restarted();
    let address = second.address();
    let call = |body: &Value| {
        let token = token(&ask(address, "token", body));
        let request = Request::new("GET", "/").to(address);
        second
            .send(&request.field("Portcullis-Token", &token))
            .status
    };
    assert_eq!(call(&answered), 401);
    assert_eq!(call(&open), 200);
}

#[test]
fn a_challenge_is_over_after_a_minute_and_a_token_after_its_life() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "evidence = [\"dev\"]\nlifetime = \"90s\"");
    let address = gateway.address();
    let late = question(address, "phone", &dev());
    let good = token(&asked(&gateway, &dev()));
    gateway.advance(60);
    let decoy = token(&ask(address, "token", &late));
    call(&gateway, &decoy, None).assert_refused(401, "credential-rejected");
    call(&gateway, &good, None).assert_passed();
    gateway.advance(30);
    call(&gateway, &good, None).assert_refused(401, "credential-expired");
}

#[test]
fn a_build_that_is_turned_off_gets_no_token_and_those_it_has_hold_no_longer() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream);
    let text = |builds: &str| {
        let tokens = format!("evidence = [\"dev\"]\nbuilds = {builds}");
        format!("{}\n{}", setup.text(), phone(&tokens))
    };
    let (both, one) = (text("[\"1.4.1\", \"1.4.2\"]"), text("[\"1.4.2\"]"));
    let gateway = setup
        .more(&phone(
            "evidence = [\"dev\"]\nbuilds = [\"1.4.1\", \"1.4.2\"]",
        ))
        .start();
    let of = |build: &str| {
        let evidence = json!({ "format": "dev", "instance": "a", "build": build });
        token(&asked(&gateway, &evidence))
    };
    let (old, new) = (of("1.4.1"), of("1.4.2"));
    call(&gateway, &old, None).assert_passed();
    gateway.reload(&one);
    call(&gateway, &old, None).assert_refused(401, "credential-rejected");
    call(&gateway, &of("1.4.1"), None).assert_refused(401, "credential-rejected");
    call(&gateway, &new, None).assert_passed();
    call(&gateway, &of("1.4.2"), None).assert_passed();
    gateway.reload(&both);
    call(&gateway, &old, None).assert_passed();
}

#[test]
fn keys_change_without_a_refused_token() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream);
    let key = |id: &str, file: &str| {
        format!(
            "{{ id = \"{id}\", algorithm = \"hmac-sha256\", secret = \"file:{file}\", schemes = [\"token\"], attests = true }}"
        )
    };
    let app = |keys: &str, order: &str| {
        format!("[apps.phone]\nkeys = [{keys}]\n[apps.phone.tokens]\nkey = {order}\n{DEV}\n")
    };
    let (old, new) = (key("old", "other.key"), key("new", "mobile.key"));
    let plain = setup.text();
    let both = format!(
        "{plain}\n{}",
        app(&format!("{old}, {new}"), "[\"new\", \"old\"]")
    );
    let last = format!("{plain}\n{}", app(&new, "\"new\""));
    let gateway = setup.more(&app(&old, "\"old\"")).start();
    let first = token(&asked(&gateway, &dev()));
    gateway.reload(&both);
    let second = token(&asked(&gateway, &dev()));
    assert_eq!(parts(&first).0["kid"], "old");
    assert_eq!(parts(&second).0["kid"], "new");
    for token in [&first, &second] {
        call(&gateway, token, None).assert_passed();
    }
    gateway.reload(&last);
    call(&gateway, &first, None).assert_refused(401, "credential-rejected");
    call(&gateway, &second, None).assert_passed();
}

#[test]
fn tokens_of_private_keys_are_checked_by_whoever_fetches_the_public_halves() {
    let upstream = Upstream::start();
    let algorithms = [
        "ed25519",
        "ecdsa-p256-sha256",
        "rsa-v1_5-sha256",
        "rsa-pss-sha256",
    ];
    let setup = Setup::before(&upstream);
    let app = |name: &str| {
        let pem = std::fs::read(Pair::of(name).private()).unwrap();
        setup.write_secret(&format!("{name}.pem"), &pem);
        format!(
            "[apps.{name}]\nkeys = [{{ id = \"{name}\", algorithm = \"{name}\", private_key = \"file:{name}.pem\", \
             schemes = [\"token\"], attests = true }}]\ntokens = {{ {DEV} }}\n"
        )
    };
    let more: String = algorithms.into_iter().map(app).collect();
    let gateway = setup.more(&more).start();
    let address = gateway.address();
    let answer = gateway.send(&gateway.request("GET", "/.portcullis/jwks.json"));
    assert_eq!(
        answer.field("content-type"),
        Some("application/jwk-set+json")
    );
    assert_eq!(answer.field("cache-control"), Some("public, max-age=300"));
    let set = answer.json();
    assert_eq!(set["keys"].as_array().unwrap().len(), algorithms.len());
    for key in set["keys"].as_array().unwrap() {
        let name = key["kid"].as_str().unwrap();
        let pair = Pair::of(name);
        let jose = pair.jose.unwrap();
        let wanted = pair.jwk(name);
        for member in ["kty", "crv", "x", "y", "n", "e"] {
            assert_eq!(key[member], wanted[member], "{name} {member}");
        }
        assert_eq!((&key["alg"], &key["use"]), (&json!(jose), &json!("sig")));
        assert!(key.get("d").is_none());
        let token = token(&ask(address, "token", &question(address, name, &dev())));
        call(&gateway, &token, None).assert_passed();
        let (header, ..) = parts(&token);
        assert_eq!(
            (&header["alg"], &header["kid"]),
            (&json!(jose), &json!(name))
        );
    }
    let head = gateway.send(&gateway.request("HEAD", "/.portcullis/jwks.json"));
    assert_eq!((head.status, head.body.len()), (200, 0));
}

/// The app `phone`, known by its platform; the keys of that are in a file.
pub(crate) fn of_a_platform(upstream: &Upstream, more: &str) -> Gateway {
    let setup = Setup::before(upstream);
    setup.write("keys.json", every_key().to_string().as_bytes());
    let tokens = format!(
        "evidence = [\"oidc\"]\n[[apps.phone.tokens.workloads]]\nissuer = \"platform\"\n\
         claims = [{{ claim = \"sub\", value = [\"repo:acme/app\", \"repo:acme/other\"] }}, \
         {{ claim = [\"kubernetes.io\", \"namespace\"], value = \"prod\" }}]\n{more}\n\
         [issuers.platform]\nissuer = \"{ISS}\"\naudience = \"{AUD}\"\nalgorithms = [\"ES256\", \"RS256\"]\n\
         jwks = \"file:keys.json\"\n"
    );
    setup.more(&phone(&tokens)).start()
}

pub(crate) fn assertion() -> Token {
    signed("rsa-v1_5-sha256")
        .claim("iat", now())
        .claim("exp", now() + 600)
        .claim("sub", "repo:acme/app")
        .claim("kubernetes.io", json!({ "namespace": "prod" }))
}

fn oidc(token: &Token) -> Value {
    json!({ "format": "oidc", "token": token.text() })
}

#[test]
fn a_workload_gets_a_token_for_what_its_platform_says_of_it_once() {
    let upstream = Upstream::start();
    let gateway = of_a_platform(&upstream, "");
    let named = |jti: &str| assertion().claim("jti", jti);
    let first = token(&asked(&gateway, &oidc(&named("a"))));
    call(&gateway, &first, None).assert_passed();
    assert_eq!(parts(&first).1["sub"], "repo:acme/app");
    let address = gateway.address();
    let nonce = challenge(address, "phone");
    let bound = json!({
        "app": "phone", "challenge": nonce,
        "evidence": oidc(&named("b").claim("nonce", nonce.as_str())),
    });
    call(&gateway, &token(&ask(address, "token", &bound)), None).assert_passed();
    let refused = |what: &str, evidence: &Value| {
        let token = token(&asked(&gateway, evidence));
        call(&gateway, &token, None).assert_refused(401, "credential-rejected");
        let metrics = gateway.ask_admin("/metrics").text();
        let line = format!("{{outcome=\"decoy\",reason=\"{what}\"}}");
        assert!(metrics.contains(&line), "{what}: {metrics}");
    };
    refused("assertion-reused", &oidc(&named("a")));
    refused(
        "assertion-of-another-challenge",
        &oidc(&named("c").claim("nonce", nonce.as_str())),
    );
    refused(
        "workload-not-accepted",
        &oidc(&named("d").claim("sub", "repo:evil/app")),
    );
    refused(
        "workload-not-accepted",
        &oidc(&named("e").without("kubernetes.io")),
    );
    refused(
        "assertion-rejected",
        &oidc(&named("f").claim("aud", "https://other.example")),
    );
    refused(
        "assertion-rejected",
        &oidc(&named("g").claim("iss", "https://evil.example")),
    );
    refused(
        "assertion-rejected",
        &oidc(&named("h").claim("exp", now() + 3_601)),
    );
    refused(
        "assertion-rejected",
        &oidc(&named("i").header("kid", "unknown")),
    );
    refused(
        "assertion-rejected",
        &oidc(&named("j").header("alg", "ES256")),
    );
    refused(
        "assertion-expired",
        &oidc(&named("k").claim("exp", now() - 1)),
    );
}

#[test]
fn what_is_evidence_opens_no_route() {
    let upstream = Upstream::start();
    let gateway = of_a_platform(&upstream, "");
    let text = assertion().text();
    for (field, value) in [
        ("Authorization", format!("Bearer {text}")),
        ("Portcullis-Token", text),
    ] {
        let request = gateway.request("GET", "/").field(field, &value);
        assert_eq!(gateway.send(&request).status, 401);
    }
    upstream.assert_silent();
}

#[test]
fn an_app_of_the_registry_is_known_by_a_platform_whose_tokens_open_nothing_themselves() {
    let upstream = Upstream::start();
    let setup = with_tokens(Setup::before(&upstream));
    setup.write("keys.json", every_key().to_string().as_bytes());
    let platform = format!(
        "[issuers.platform]\nissuer = \"{ISS}\"\naudience = \"{AUD}\"\n\
         algorithms = [\"RS256\"]\njwks = \"file:keys.json\"\n"
    );
    let gateway = setup.more(&platform).start();
    let claims = json!([{ "claim": "sub", "value": "repo:acme/app" }]);
    let workload = json!({ "issuer": "platform", "claims": claims });
    let tokens = json!({ "evidence": ["oidc"], "workloads": [workload] });
    let app = json!({ "name": "deploy", "tokens": tokens });
    done(&api(&gateway, "POST", "/v1/apps", &app));
    let key = json!({ "app": "deploy", "schemes": ["token"], "attests": true });
    done(&api(&gateway, "POST", "/v1/keys", &key));

    let address = gateway.address();
    let evidence = oidc(&assertion().claim("jti", "a"));
    let asked = question(address, "deploy", &evidence);
    let made = token(&ask(address, "token", &asked));
    call(&gateway, &made, None).assert_passed();
    assert_eq!(upstream.only().field("portcullis-app"), Some("deploy"));
    let text = assertion().text();
    for (field, value) in [
        ("Authorization", format!("Bearer {text}")),
        ("Portcullis-Token", text),
    ] {
        let request = gateway.request("GET", "/").field(field, &value);
        assert_eq!(gateway.send(&request).status, 401);
    }
    // The one of before.
    upstream.only();
}

#[test]
fn an_assertion_that_is_renewed_seldom_may_be_good_for_many_tokens() {
    let upstream = Upstream::start();
    let gateway = of_a_platform(&upstream, "single_use = false");
    for _ in 0..3 {
        let token = token(&asked(&gateway, &oidc(&assertion().claim("jti", "a"))));
        call(&gateway, &token, None).assert_passed();
    }
}

#[test]
fn a_workload_that_has_to_wait_gets_its_token_for_the_same_assertion() {
    let upstream = Upstream::start();
    let gateway = of_a_platform(&upstream, "");
    let rate = "[tokens]\ninstance_rate = { rate = \"6/min\", burst = 1 }\n";
    let text = gateway.setup().text();
    gateway.reload(&text.replace("[tokens]\n", rate));
    let [first, second] = ["a", "b"].map(|jti| oidc(&assertion().claim("jti", jti)));
    let made = token(&asked(&gateway, &first));
    call(&gateway, &made, None).assert_passed();
    let waits = asked(&gateway, &second);
    waits.assert_refused(429, "rate-exceeded");
    assert_eq!(waits.field("retry-after"), Some("10"));
    gateway.advance(10);
    let made = token(&asked(&gateway, &second));
    call(&gateway, &made, None).assert_passed();
}

#[test]
fn the_keys_of_a_platform_are_fetched_as_those_of_every_issuer() {
    let upstream = Upstream::start();
    let platform = Issuer::start(&every_key());
    let tokens = format!(
        "evidence = [\"oidc\"]\nworkloads = [{{ issuer = \"platform\", claims = [{{ claim = \"sub\", value = \"repo:acme/app\" }}] }}]\n\
         [issuers.platform]\nissuer = \"{ISS}\"\naudience = \"{AUD}\"\nalgorithms = [\"RS256\"]\njwks = \"{}\"\n",
        platform.url()
    );
    let setup = Setup::before(&upstream).tokens("rate = \"off\"");
    let gateway = setup.more(&phone(&tokens)).start();
    let tried = Cell::new(0);
    // The keys come when they come: until then it is a decoy.
    crate::harness::wait_until("the keys of the platform", || {
        let fresh = assertion().claim("jti", tried.replace(tried.get() + 1).to_string());
        let token = token(&asked(&gateway, &oidc(&fresh)));
        call(&gateway, &token, None).status == 200
    });
}

#[test]
fn an_address_may_ask_for_so_much_whatever_it_is_answered() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream)
        .tokens("rate = { rate = \"1/h\", burst = 3 }")
        .more(&phone(DEV))
        .start();
    let address = gateway.address();
    let body = question(address, "phone", &dev());
    call(&gateway, &token(&ask(address, "token", &body)), None).assert_passed();
    assert_eq!(ask(address, "token", &body).status, 200);
    let refused = ask(address, "challenge", &json!({ "app": "phone" }));
    refused.assert_refused(429, "peer-limited");
    let wait: u32 = refused.field("retry-after").unwrap().parse().unwrap();
    assert!((3_000..=3_600).contains(&wait), "{wait}");
    // It goes on to call.
    assert_eq!(gateway.send(&gateway.request("GET", "/")).status, 401);
}

#[test]
fn an_instance_gets_so_many_tokens_and_another_is_not_kept_waiting() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream)
        .tokens("instance_rate = { rate = \"1/h\", burst = 2 }")
        .more(&phone(DEV))
        .start();
    let of = |instance: &str| asked(&gateway, &json!({ "format": "dev", "instance": instance }));
    assert_eq!((of("a").status, of("a").status), (200, 200));
    let refused = of("a");
    refused.assert_refused(429, "rate-exceeded");
    assert!(refused.field("retry-after").is_some());
    call(&gateway, &token(&of("b")), None).assert_passed();
}

#[test]
fn a_body_that_cannot_be_read_is_refused_and_the_place_is_told() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, DEV);
    let send = |request: Request| gateway.send(&request.to(gateway.address()));
    let told = |body: &str| {
        let request = Request::new("POST", "/.portcullis/token")
            .field("Content-Type", "application/json; charset=utf-8")
            .body(body);
        let refused = send(request);
        refused.assert_refused(400, "malformed-request");
        refused.detail()
    };
    assert!(told("{").contains("line 1, column 1"));
    assert!(told("{\"app\":\"phone\"}").contains("`challenge` is missing"));
    assert!(told("{\"app\":\"phone\",\"app\":\"phone\"}").contains("every name once"));
    assert!(told("{\"app\":1}").contains("`app` is not a text"));
    let evidence =
        "{\"app\":\"phone\",\"challenge\":\"x\",\"evidence\":{\"format\":\"dev\",\"x\":1}}";
    assert!(told(evidence).contains("`evidence.x` is not known here"));
    let form = post("challenge", &json!({ "app": "phone" }))
        .without("Content-Type")
        .field("Content-Type", "text/plain");
    send(form).assert_refused(400, "malformed-request");
    let long = json!({ "app": "phone", "challenge": "x".repeat(40_000), "evidence": dev() });
    send(post("token", &long)).assert_refused(413, "body-too-large");
    let get = send(Request::new("GET", "/.portcullis/challenge"));
    get.assert_refused(405, "method-not-allowed");
    assert_eq!(get.field("allow"), Some("POST"));
    for path in [
        "/.portcullis",
        "/.portcullis/",
        "/.portcullis/other",
        "/.portcullis/token/x",
    ] {
        send(Request::new("GET", path)).assert_refused(404, "no-route");
    }
    upstream.assert_silent();
    // A longer name is a route's.
    send(Request::new("GET", "/.portcullis2")).assert_refused(401, "credential-missing");
}

#[test]
fn where_no_app_gets_tokens_yet_everyone_gets_decoys() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    let token = token(&asked(&gateway, &dev()));
    call(&gateway, &token, None).assert_refused(401, "credential-rejected");
}

#[test]
fn the_key_service_answers_below_its_prefix_over_both_versions() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream)
        .tokens("prefix = \"/auth/tokens\"\nissuer = \"https://issuer.example\"")
        .more(&phone(DEV))
        .start();
    let post = |door: &str, body: &Value| {
        Request::new("POST", &format!("/auth/tokens/{door}"))
            .field("Content-Type", "application/json")
            .body(body.to_string())
            .to(gateway.address())
    };
    let answer = gateway.send(&post("challenge", &json!({ "app": "phone" })));
    let challenge = answer.json()["challenge"].clone();
    let body = json!({ "app": "phone", "challenge": challenge, "evidence": dev() });
    let token = token(&gateway.send(&post("token", &body)));
    assert_eq!(parts(&token).1["iss"], "https://issuer.example");
    call(&gateway, &token, None).assert_passed();
}

#[test]
fn neither_tokens_nor_evidence_stand_in_a_log() {
    let upstream = Upstream::start();
    let gateway = of_a_platform(&upstream, "");
    let good = assertion().claim("jti", "a");
    let made = token(&asked(&gateway, &oidc(&good)));
    let decoy = token(&asked(&gateway, &oidc(&good)));
    call(&gateway, &decoy, None).assert_refused(401, "credential-rejected");
    call(&gateway, &made, None).assert_passed();
    gateway.record(5);
    let log = gateway.log().text();
    for canary in [&good.text(), &made, &decoy] {
        let (_, signature) = canary.rsplit_once('.').unwrap();
        assert!(!log.contains(signature));
    }
}
