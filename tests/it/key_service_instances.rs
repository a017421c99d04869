//! Instances of apps of the registry: they enrol by a code, and sign challenges by their own keys.

use crate::admin_api::{WRITE, with_tokens};
use crate::harness::dpop::{bare, proof_of, thumbprint};
use crate::harness::key_service::{ask, call, challenge, token};
use crate::harness::pair::Pair;
use crate::harness::{Gateway, Request, Response, Setup, Upstream, wait_until};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use portcullis::client::token::instance_key;
use portcullis::crypto::Algorithm;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::net::SocketAddr;

/// Asks the admin API.
pub(crate) fn api(gateway: &Gateway, method: &str, target: &str, body: &Value) -> Response {
    let there = |tag: Option<&str>| {
        let request = Request::new(method, target)
            .field("Authorization", &format!("Bearer {WRITE}"))
            .field("Content-Type", "application/json")
            .to(gateway.admin());
        let request = match tag {
            Some(tag) => request.field("If-Match", tag),
            None => request,
        };
        let request = if body.is_null() {
            request
        } else {
            request.body(body.to_string())
        };
        request.send_to(gateway.admin())
    };
    let answer = there(None);
    if answer.status != 428 {
        return answer;
    }
    let get = Request::new("GET", target.trim_end_matches("/revoke"))
        .field("Authorization", &format!("Bearer {WRITE}"))
        .to(gateway.admin());
    let tag = get.send_to(gateway.admin());
    there(tag.field("etag"))
}

#[track_caller]
pub(crate) fn done(answer: &Response) -> Value {
    assert!(answer.status / 100 == 2, "{}", answer.text());
    answer.json()
}

/// A gateway with the app `phone` in its registry, which takes these builds.
fn start(upstream: &Upstream, route: &str) -> Gateway {
    with_phone(setup(upstream).route(&format!("accept = [\"token\"]\n{route}")))
}

/// A configuration with an admin API, and no limits of the key service.
pub(crate) fn setup(upstream: &Upstream) -> Setup {
    with_tokens(Setup::before(upstream)).tokens("rate = \"off\"\ninstance_rate = \"off\"")
}

/// Runs it, and makes the app `phone` in its registry.
pub(crate) fn with_phone(setup: Setup) -> Gateway {
    let gateway = setup.start();
    register(&gateway, "5m");
    gateway
}

/// Makes the app `phone`, whose tokens live so long.
pub(crate) fn register(gateway: &Gateway, lifetime: &str) {
    let app = json!({
        "name": "phone", "scopes": ["orders", "read"],
        "tokens": { "evidence": ["instance-key"], "builds": ["1.4.1", "1.4.2"], "lifetime": lifetime },
    });
    done(&api(gateway, "POST", "/v1/apps", &app));
    sign_with(gateway, "phone-tokens");
}

/// Makes a key that signs its tokens.
pub(crate) fn sign_with(gateway: &Gateway, id: &str) {
    let key = json!({ "app": "phone", "id": id, "schemes": ["token"], "attests": true });
    done(&api(gateway, "POST", "/v1/keys", &key));
}

pub(crate) fn code(gateway: &Gateway, more: &Value) -> String {
    let mut body = json!({ "app": "phone" });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    let made = done(&api(gateway, "POST", "/v1/enrolments", &body));
    made["code"]
        .as_str()
        .unwrap_or_else(|| panic!("{made}"))
        .to_owned()
}

fn enrolling(code: &str, pair: &Pair) -> Value {
    json!({ "app": "phone", "code": code, "key": bare(pair), "build": "1.4.2" })
}

/// An instance that has enrolled.
pub(crate) struct Instance {
    pub(crate) id: String,
    pub(crate) pair: Pair,
    pub(crate) address: SocketAddr,
}

impl Instance {
    fn enrolled(gateway: &Gateway, pair: Pair) -> Self {
        let address = gateway.address();
        Self::by_code(address, &code(gateway, &json!({})), pair)
    }

    /// Enrols by this code.
    pub(crate) fn by_code(address: SocketAddr, code: &str, pair: Pair) -> Self {
        let answer = ask(address, "enrol", &enrolling(code, &pair));
        let id = done(&answer)["instance"].as_str().unwrap().to_owned();
        Self { id, pair, address }
    }

    /// What it asks, signed.
    pub(crate) fn question(&self, build: &str, pay: &str, cnf: &str, scope: &str) -> Value {
        let challenge = challenge(self.address, "phone");
        let text = format!(
            "portcullis-instance-key-v1\napp: phone\nchallenge: {challenge}\ninstance: {}\nbuild: {build}\n\
             pay: {pay}\ncnf: {cnf}\nscope: {scope}\n",
            self.id
        );
        let signature = BASE64URL_NOPAD.encode(&self.pair.sign(text.as_bytes()));
        let mut body = json!({
            "app": "phone", "challenge": challenge,
            "evidence": { "format": "instance-key", "instance": self.id, "build": build, "signature": signature },
        });
        for (name, value) in [
            ("pay", pay.into()),
            ("scope", scope.into()),
            ("cnf", json!({ "jkt": cnf })),
        ] {
            if value != "" && value != json!({ "jkt": "" }) {
                body[name] = value;
            }
        }
        body
    }

    fn token(&self) -> String {
        token(&ask(
            self.address,
            "token",
            &self.question("1.4.2", "", "", ""),
        ))
    }
}

#[test]
fn from_enrolment_to_a_call_and_what_is_stolen_or_revoked_opens_nothing() {
    let upstream = Upstream::start();
    let gateway = start(
        &upstream,
        "bind = \"authorization\"\nassurance = \"attested\"",
    );
    let phone = Instance::enrolled(&gateway, Pair::of("ecdsa-p256-sha256"));
    let other = Instance::enrolled(&gateway, Pair::of("ed25519"));
    let pay = BASE64.encode(&Sha256::digest("Bearer alice"));
    let cnf = thumbprint(&phone.pair);
    let asked = phone.question("1.4.2", &pay, &cnf, "orders");
    let token = token(&ask(phone.address, "token", &asked));
    let call = |user: &str, pair: Option<&Pair>| {
        let request = gateway
            .request("GET", "/orders/7")
            .field("Portcullis-Token", &token)
            .field("Authorization", user);
        let url = format!("http://{}/orders/7", gateway.address());
        let proof = pair.map(|pair| proof_of(pair, "GET", &url, &token).text());
        gateway.send(&match &proof {
            Some(proof) => request.field("DPoP", proof),
            None => request,
        })
    };
    call("Bearer alice", Some(&phone.pair)).assert_passed();
    let got = upstream.got(0);
    assert_eq!(got.field("portcullis-app"), Some("phone"));
    assert_eq!(got.field("portcullis-assurance"), Some("attested"));
    assert_eq!(got.field("portcullis-scopes"), Some("orders"));
    call("Bearer mallory", Some(&phone.pair)).assert_refused(401, "binding-mismatch");
    call("Bearer alice", Some(&other.pair)).assert_refused(401, "binding-mismatch");
    call("Bearer alice", None).assert_refused(401, "credential-missing");
    let revoke = format!("/v1/instances/{}/revoke", phone.id);
    done(&api(&gateway, "POST", &revoke, &Value::Null));
    call("Bearer alice", Some(&phone.pair)).assert_refused(401, "credential-rejected");
    assert_eq!(upstream.heard().len(), 1);
}

#[test]
fn an_instance_is_told_with_the_build_of_its_last_token() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "");
    let phone = Instance::enrolled(&gateway, Pair::of("ed25519"));
    let build = || {
        let shown = api(
            &gateway,
            "GET",
            &format!("/v1/instances/{}", phone.id),
            &Value::Null,
        );
        done(&shown)["build"].clone()
    };
    let other = phone.question("1.4.1", "", "", "");
    // What is refused, or not signed, proves no build.
    let mut changed = other.clone();
    changed["challenge"] = challenge(phone.address, "phone").into();
    for question in [changed, phone.question("1.5", "", "", "")] {
        token(&ask(phone.address, "token", &question));
    }
    assert_eq!(build(), "1.4.2");
    token(&ask(phone.address, "token", &other));
    wait_until("its build", || build() == "1.4.1");
}

#[test]
fn an_instance_that_is_revoked_gets_decoys_and_others_go_on() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "");
    let phone = Instance::enrolled(&gateway, Pair::of("ecdsa-p256-sha256"));
    let other = Instance::enrolled(&gateway, Pair::of("ed25519"));
    let (its, others) = (phone.token(), other.token());
    for token in [&its, &others] {
        // From the cache the second time.
        call(&gateway, token, None).assert_passed();
        call(&gateway, token, None).assert_passed();
    }
    done(&api(
        &gateway,
        "POST",
        &format!("/v1/instances/{}/revoke", phone.id),
        &Value::Null,
    ));
    call(&gateway, &its, None).assert_refused(401, "credential-rejected");
    call(&gateway, &phone.token(), None).assert_refused(401, "credential-rejected");
    call(&gateway, &others, None).assert_passed();
    call(&gateway, &other.token(), None).assert_passed();
    // Each record says whose it is, so that one that misbehaves can be found and revoked.
    let count = |text: &str, times| gateway.log().wait_for_count(text, times);
    for (one, times) in [(&phone, 5), (&other, 7)] {
        count(&format!("\"instance\":\"{}\"", one.id), times);
    }
    let decoy = "\"status\":200,\"reason\":\"decoy: instance-revoked";
    count(&format!("\"instance\":\"{}\",{decoy}", phone.id), 1);
    let metrics = gateway.ask_admin("/metrics").text();
    let line = "{outcome=\"decoy\",reason=\"instance-revoked\"} 1";
    assert!(metrics.contains(line), "{metrics}");
}

#[test]
fn nothing_of_what_an_instance_signs_can_be_changed_or_be_anothers() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "");
    let phone = Instance::enrolled(&gateway, Pair::of("ed25519"));
    let address = gateway.address();
    let pay = BASE64.encode(&Sha256::digest("Bearer alice"));
    let cnf = thumbprint(&phone.pair);
    let good = || phone.question("1.4.2", &pay, &cnf, "orders");
    let changed = |pointer: &str, value: Value| {
        let mut body = good();
        *body.pointer_mut(pointer).unwrap() = value;
        body
    };
    let without = |name: &str| {
        let mut body = good();
        body.as_object_mut().unwrap().remove(name);
        body
    };
    let folder = tempfile::tempdir().unwrap();
    let stranger = Instance {
        id: phone.id.clone(),
        pair: Pair::of("ed25519").stranger(folder.path()),
        address,
    };
    let unknown = Instance {
        id: "nobody".to_owned(),
        pair: Pair::of("ed25519"),
        address,
    };
    let other = BASE64.encode(&Sha256::digest("Bearer mallory"));
    for (why, body) in [
        (
            "wrong-signature",
            changed("/challenge", challenge(address, "phone").into()),
        ),
        (
            "wrong-signature",
            changed("/evidence/build", "1.4.1".into()),
        ),
        ("wrong-signature", changed("/pay", other.into())),
        ("wrong-signature", changed("/scope", "read".into())),
        (
            "wrong-signature",
            changed(
                "/cnf/jkt",
                "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I".into(),
            ),
        ),
        (
            "wrong-signature",
            changed("/evidence/signature", "A".repeat(86).into()),
        ),
        ("wrong-signature", without("pay")),
        ("wrong-signature", without("cnf")),
        ("wrong-signature", without("scope")),
        ("wrong-signature", stranger.question("1.4.2", "", "", "")),
        ("unknown-instance", unknown.question("1.4.2", "", "", "")),
        ("build-not-accepted", phone.question("1.3.0", "", "", "")),
    ] {
        let before = count(&gateway, why);
        let decoy = token(&ask(address, "token", &body));
        call(&gateway, &decoy, Some("Bearer alice")).assert_refused(401, "credential-rejected");
        assert_eq!(count(&gateway, why), before + 1, "{why} {body}");
    }
    // One that is written in another way is told so: whoever sends it sees that himself.
    let signature = good()["evidence"]["signature"].clone();
    let bytes = BASE64URL_NOPAD.decode(signature.as_str().unwrap().as_bytes());
    let bytes = bytes.unwrap();
    for written in [
        BASE64.encode(&bytes),
        data_encoding::BASE64URL.encode(&bytes),
        data_encoding::HEXLOWER.encode(&bytes),
    ] {
        let body = changed("/evidence/signature", written.into());
        let refused = ask(address, "token", &body);
        refused.assert_refused(400, "malformed-request");
        let told = "`evidence.signature` is not base64url without padding";
        assert!(refused.detail().contains(told), "{}", refused.detail());
    }
    call(&gateway, &phone.token(), None).assert_passed();
}

fn count(gateway: &Gateway, why: &str) -> u64 {
    let metrics = gateway.ask_admin("/metrics").text();
    let line = format!("portcullis_token_requests_total{{outcome=\"decoy\",reason=\"{why}\"}} ");
    let found = metrics.lines().find_map(|found| found.strip_prefix(&*line));
    found.map_or(0, |number| number.parse().unwrap())
}

#[test]
fn a_code_enrols_as_many_as_it_says_and_nobody_else() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "");
    let address = gateway.address();
    let pair = Pair::of("ed25519");
    let refused =
        |body: &Value| ask(address, "enrol", body).assert_refused(403, "evidence-rejected");
    let once = code(&gateway, &json!({}));
    let mut others = enrolling(&once, &pair);
    others["app"] = "other".into();
    refused(&others);
    let mut old = enrolling(&once, &pair);
    old["build"] = "1.3.0".into();
    refused(&old);
    assert_eq!(ask(address, "enrol", &enrolling(&once, &pair)).status, 200);
    refused(&enrolling(&once, &Pair::of("ecdsa-p256-sha256")));
    let mut typed = once.clone();
    let last = typed.pop().unwrap();
    typed.push(if last == '0' { '1' } else { '0' });
    let malformed = ask(address, "enrol", &enrolling(&typed, &pair));
    malformed.assert_refused(400, "malformed-request");
    assert!(malformed.detail().contains("`code`"));
    let of_build = code(&gateway, &json!({ "build": "1.4.1" }));
    refused(&enrolling(&of_build, &pair));
    // Of many at once, as many as it is good for.
    let three = code(&gateway, &json!({ "uses": 3 }));
    let fresh = || {
        let pem = portcullis::crypto::generate(Algorithm::Ed25519).unwrap();
        let key = instance_key(&pem).unwrap().public_jwk();
        serde_json::from_str::<Value>(&key).unwrap()
    };
    let enrolled: usize = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..6)
            .map(|_| {
                let mut body = enrolling(&three, &pair);
                body["key"] = fresh();
                scope.spawn(move || usize::from(ask(address, "enrol", &body).status == 200))
            })
            .collect();
        asking.into_iter().map(|one| one.join().unwrap()).sum()
    });
    assert_eq!(enrolled, 3);
    for (key, told) in [
        (
            json!({ "kty": "RSA", "n": "AA", "e": "AQAB" }),
            "`key.crv` is missing",
        ),
        (
            json!({ "kty": "OKP", "crv": "Ed25519", "x": "AAAA" }),
            "`key.x` is not",
        ),
    ] {
        let mut body = enrolling(&three, &pair);
        body["key"] = key;
        let refused = ask(address, "enrol", &body);
        refused.assert_refused(400, "malformed-request");
        assert!(refused.detail().contains(told), "{}", refused.detail());
    }
}

#[test]
fn a_key_whose_answer_was_lost_gets_its_id_again_and_one_that_is_revoked_does_not_come_back() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "");
    let address = gateway.address();
    let two = code(&gateway, &json!({ "uses": 2 }));
    let (one, other) = (Pair::of("ed25519"), Pair::of("ecdsa-p256-sha256"));
    // Many at once are one too.
    let ids: Vec<String> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| Instance::by_code(address, &two, one.clone()).id))
            .collect();
        asking.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let first = Instance::by_code(address, &two, one.clone());
    assert!(ids.iter().all(|id| *id == first.id), "{ids:?}");
    // It took up one use: the other is still there, and after that none.
    let second = Instance::by_code(address, &two, other.clone());
    assert_ne!(first.id, second.id);
    assert_eq!(
        Instance::by_code(address, &two, one.clone()).id,
        first.id,
        "the code is used up"
    );
    call(&gateway, &first.token(), None).assert_passed();
    let revoke = format!("/v1/instances/{}/revoke", first.id);
    done(&api(&gateway, "POST", &revoke, &Value::Null));
    ask(address, "enrol", &enrolling(&two, &one)).assert_refused(403, "evidence-rejected");
    assert_eq!(Instance::by_code(address, &two, other).id, second.id);
}

#[test]
fn a_build_or_a_key_that_is_turned_off_takes_its_tokens_with_it() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "");
    let phone = Instance::enrolled(&gateway, Pair::of("ecdsa-p256-sha256"));
    let of = |build: &str| {
        token(&ask(
            phone.address,
            "token",
            &phone.question(build, "", "", ""),
        ))
    };
    let (old, new) = (of("1.4.1"), of("1.4.2"));
    call(&gateway, &old, None).assert_passed();
    call(&gateway, &new, None).assert_passed();
    let builds = json!({ "tokens": { "evidence": ["instance-key"], "builds": ["1.4.2"] } });
    done(&api(&gateway, "PATCH", "/v1/apps/phone", &builds));
    call(&gateway, &old, None).assert_refused(401, "credential-rejected");
    call(&gateway, &of("1.4.1"), None).assert_refused(401, "credential-rejected");
    call(&gateway, &new, None).assert_passed();
    done(&api(
        &gateway,
        "POST",
        "/v1/keys/phone-tokens/revoke",
        &Value::Null,
    ));
    call(&gateway, &new, None).assert_refused(401, "credential-rejected");
    call(&gateway, &of("1.4.2"), None).assert_refused(401, "credential-rejected");
}

#[test]
fn what_was_turned_off_stays_so_when_its_key_no_longer_attests_or_its_app_gets_no_tokens() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "");
    let phone = Instance::enrolled(&gateway, Pair::of("ed25519"));
    let other = Instance::enrolled(&gateway, Pair::of("ed25519"));
    let old = phone.question("1.4.1", "", "", "");
    let old = token(&ask(phone.address, "token", &old));
    let (revoked, good) = (other.token(), phone.token());
    let change = |target: &str, to: &Value| done(&api(&gateway, "PATCH", target, to));
    let passes = |token: &str| call(&gateway, token, None).assert_passed();
    let is_refused =
        |token: &str| call(&gateway, token, None).assert_refused(401, "credential-rejected");
    for token in [&old, &revoked, &good] {
        passes(token);
    }
    let builds = json!({ "tokens": { "evidence": ["instance-key"], "builds": ["1.4.2"] } });
    change("/v1/apps/phone", &builds);
    let revoke = format!("/v1/instances/{}/revoke", other.id);
    done(&api(&gateway, "POST", &revoke, &Value::Null));
    for to in [false, true, false] {
        change("/v1/keys/phone-tokens", &json!({ "attests": to }));
        is_refused(&old);
        is_refused(&revoked);
        passes(&good);
    }
    change("/v1/apps/phone", &json!({ "tokens": null }));
    is_refused(&revoked);
    passes(&good);
}

#[test]
fn enrolments_and_failures_stand_in_the_audit() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "");
    let phone = Instance::enrolled(&gateway, Pair::of("ed25519"));
    let changes = done(&api(&gateway, "GET", "/v1/audit", &Value::Null)).to_string();
    assert!(
        changes.contains("\"instance.enrol\"") && changes.contains(&phone.id),
        "{changes}"
    );
    let body = phone.question("1.3.0", "", "", "");
    for _ in 0..3 {
        assert_eq!(ask(phone.address, "token", &body).status, 200);
    }
    crate::harness::wait_until("the lines of the audit", || {
        let events = api(&gateway, "GET", "/v1/audit?log=events", &Value::Null).text();
        events.contains("\"token.decoy\"") && events.contains("build-not-accepted")
    });
}
