//! What a stranger may send the key service: each bad answer gets a decoy, leaves one line in the audit with the true
//! reason, and nothing that grows.

use crate::harness::dpop::bare;
use crate::harness::key_service::{ask, call, challenge, token};
use crate::harness::pair::Pair;
use crate::harness::{Gateway, Response, Setup, T0, Upstream, wait_until};
use crate::key_service::{parts, passed_of};
use crate::key_service_instances::{Instance, api, code, done, setup, with_phone};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Events of the audit for which `wanted` holds, newest first.
fn events(gateway: &Gateway, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
    let listed = done(&api(
        gateway,
        "GET",
        "/v1/audit?log=events&limit=1000",
        &Value::Null,
    ));
    let items = listed["items"].as_array().unwrap().iter();
    items.filter(|one| wanted(one)).cloned().collect()
}

fn times(events: &[Value]) -> u64 {
    let times = events
        .iter()
        .map(|event| event["times"].as_u64().unwrap_or(1));
    times.sum()
}

fn remembered(gateway: &Gateway) -> u64 {
    let metrics = gateway.ask_admin("/metrics").text();
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix("portcullis_remembered_proofs "));
    line.unwrap().parse().unwrap()
}

/// An instance of `phone`.
fn enrolled(gateway: &Gateway, pair: Pair) -> Instance {
    Instance::by_code(gateway.address(), &code(gateway, &json!({})), pair)
}

#[test]
fn each_bad_answer_gets_a_decoy_and_one_line_with_the_true_reason_and_nothing_grows() {
    let upstream = Upstream::start();
    let gateway = with_phone(setup(&upstream).route("accept = [\"token\"]"));
    let address = gateway.address();
    let phone = enrolled(&gateway, Pair::of("ed25519"));
    let revoked = enrolled(&gateway, Pair::of("ecdsa-p256-sha256"));
    let revoke = format!("/v1/instances/{}/revoke", revoked.id);
    done(&api(&gateway, "POST", &revoke, &Value::Null));
    let other = json!({ "name": "tablet", "tokens": { "evidence": ["instance-key"] } });
    done(&api(&gateway, "POST", "/v1/apps", &other));
    let key = json!({ "app": "tablet", "schemes": ["token"], "attests": true });
    done(&api(&gateway, "POST", "/v1/keys", &key));
    let good = || phone.question("1.4.2", "", "", "");
    let changed = |pointer: &str, value: Value| {
        let mut body = good();
        *body.pointer_mut(pointer).unwrap() = value;
        body
    };
    // Made before the clock moves: one that will be over, one that is used up.
    let late = good();
    let used = good();
    let first = token(&ask(address, "token", &used));
    call(&gateway, &first, None).assert_passed();
    gateway.advance(60);
    let before = remembered(&gateway);
    let of_tablet = {
        let mut body = changed("/app", "tablet".into());
        body["challenge"] = challenge(address, "tablet").into();
        body
    };
    let cases = [
        ("challenge-expired", "phone", late),
        ("challenge-expired", "phone", used),
        (
            "challenge-foreign",
            "phone",
            changed("/challenge", challenge(address, "tablet").into()),
        ),
        (
            "challenge-foreign",
            "phone",
            changed("/challenge", "x".into()),
        ),
        (
            "evidence-too-large",
            "phone",
            changed(
                "/evidence",
                json!({ "format": "oidc", "token": "x".repeat(17_000) }),
            ),
        ),
        ("unknown-instance", "tablet", of_tablet),
        (
            "instance-revoked",
            "phone",
            revoked.question("1.4.2", "", "", ""),
        ),
        ("unknown-app", "phony", changed("/app", "phony".into())),
        (
            "build-not-accepted",
            "phone",
            phone.question("1.3.0", "", "", ""),
        ),
    ];
    let mut wanted = BTreeMap::<(&str, &str), u64>::new();
    for (why, app, body) in &cases {
        let answer = ask(address, "token", body);
        let decoy = token(&answer);
        call(&gateway, &decoy, None).assert_refused(401, "credential-rejected");
        *wanted.entry((app, why)).or_default() += 1;
    }
    // It is the same once more, right after: one that was answered.
    let again = good();
    call(&gateway, &token(&ask(address, "token", &again)), None).assert_passed();
    token(&ask(address, "token", &again));
    wanted.insert(("phone", "challenge-reused"), 1);
    let counted = |app: &str, why: &str| {
        let target = format!("app/{app}");
        let all = events(&gateway, |event| {
            event["what"] == "token.decoy"
                && event["target"] == target.as_str()
                && event.to_string().contains(why)
        });
        times(&all)
    };
    for ((app, why), number) in wanted {
        wait_until("the line of the audit", || counted(app, why) == number);
        let line = format!("decoy: {why} (app {app})");
        let log = gateway.log().text();
        assert!(log.matches(&line).count() as u64 >= number, "{line}");
    }
    // One more token was made, and that is all that is remembered.
    assert_eq!(remembered(&gateway), before + 1);
}

#[test]
fn a_challenge_from_a_time_that_has_not_come_is_none() {
    let upstream = Upstream::start();
    let gateway = with_phone(setup(&upstream).route("accept = [\"token\"]"));
    let phone = enrolled(&gateway, Pair::of("ed25519"));
    gateway.advance(600);
    let early = phone.question("1.4.2", "", "", "");
    // The clock was ahead, and somebody has set it right.
    gateway.hand().set(T0 as u64);
    let decoy = token(&ask(phone.address, "token", &early));
    call(&gateway, &decoy, None).assert_refused(401, "credential-rejected");
    let metrics = gateway.ask_admin("/metrics").text();
    let line = "{outcome=\"decoy\",reason=\"challenge-early\"} 1";
    assert!(metrics.contains(line), "{metrics}");
}

#[test]
fn of_two_answers_to_one_challenge_in_parallel_one_wins_and_the_other_leaves_a_line() {
    let upstream = Upstream::start();
    let gateway = with_phone(setup(&upstream).route("accept = [\"token\"]"));
    let phone = enrolled(&gateway, Pair::of("ed25519"));
    let question = phone.question("1.4.2", "", "", "");
    assert_eq!(passed_of(&gateway, phone.address, &question, 2), 1);
    wait_until("the line of the audit", || {
        let all = events(&gateway, |event| {
            event.to_string().contains("challenge-reused")
        });
        times(&all) == 1
    });
}

/// Names, ids and codes that strangers make up: what is kept of them has a bound.
#[test]
fn a_flood_of_bad_answers_grows_nothing() {
    const FLOOD: u64 = 600;
    let upstream = Upstream::start();
    let gateway = with_phone(setup(&upstream));
    let address = gateway.address();
    let before = remembered(&gateway);
    let kept = || {
        events(&gateway, |event| {
            event["what"] == "token.decoy" || event["what"] == "events.left-over"
        })
    };
    for number in 0..FLOOD {
        let evidence = json!({
            "format": "instance-key", "instance": format!("made-up-{number}"), "build": "1.4.2", "signature": "A".repeat(86),
        });
        let body =
            json!({ "app": format!("made-up-{number}"), "challenge": "x", "evidence": evidence });
        token(&ask(address, "token", &body));
    }
    // All are counted; how many are told apart in one turn of the writer, and how many lines are kept, has a bound.
    wait_until("the lines of the audit", || times(&kept()) == FLOOD);
    assert_eq!(remembered(&gateway), before);
    let metrics = gateway.ask_admin("/metrics").text();
    assert!(!metrics.contains("made-up"), "{metrics}");
    assert!(metrics.contains("{outcome=\"decoy\",reason=\"unknown-app\"} 600"));
}

/// What does not enrol is refused in the same words, whatever is wrong: an app, a code, a build.
#[test]
fn who_cannot_enrol_learns_nothing_of_apps_and_codes() {
    let upstream = Upstream::start();
    let gateway = with_phone(setup(&upstream));
    let address = gateway.address();
    let pair = Pair::of("ed25519");
    let enrolling = |app: &str, code: &str, build: &str| json!({ "app": app, "code": code, "key": bare(&pair), "build": build });
    let (used, other) = (code(&gateway, &json!({})), code(&gateway, &json!({})));
    let mut by_another = enrolling("phone", &used, "1.4.2");
    by_another["key"] = bare(&Pair::of("ecdsa-p256-sha256"));
    done(&ask(address, "enrol", &by_another));
    let made_up = portcullis::apps::made::Printed::new(portcullis::apps::made::Kind::Enrolment);
    let made_up = made_up.expose();
    let short = code(&gateway, &json!({ "expires_in": 60 }));
    gateway.advance(120);
    let comparable = |answer: &Response| {
        let mut body = answer.json();
        body["request_id"] = Value::Null;
        let names: Vec<String> = answer.fields.iter().map(|(name, _)| name.clone()).collect();
        (answer.status, names, body)
    };
    let mut answers = Vec::new();
    for (why, body) in [
        ("code-unknown", enrolling("phone", made_up, "1.4.2")),
        ("code-unknown", enrolling("phony", made_up, "1.4.2")),
        ("code-unknown", enrolling("phony", &other, "1.4.2")),
        ("code-unknown", enrolling("phone", &used, "1.4.2")),
        ("build-not-accepted", enrolling("phone", &other, "1.3.0")),
        ("code-expired", enrolling("phone", &short, "1.4.2")),
    ] {
        let refused = ask(address, "enrol", &body);
        refused.assert_refused(403, "evidence-rejected");
        answers.push((why, comparable(&refused)));
    }
    let (_, first) = &answers[0];
    assert!(
        answers.iter().all(|(_, answer)| answer == first),
        "{answers:?}"
    );
    // The operator is told each reason.
    for why in ["code-unknown", "build-not-accepted", "code-expired"] {
        let number = answers.iter().filter(|(one, _)| *one == why).count() as u64;
        wait_until("the lines of the audit", || {
            let all = events(&gateway, |event| {
                event["what"] == "instance.enrol" && event.to_string().contains(why)
            });
            times(&all) == number
        });
    }
    // Nothing of it was used up.
    done(&ask(address, "enrol", &enrolling("phone", &other, "1.4.2")));
}

#[test]
fn tries_to_enrol_count_against_the_address() {
    let upstream = Upstream::start();
    let setup = crate::admin_api::with_tokens(Setup::before(&upstream));
    let gateway = with_phone(setup.tokens("rate = { rate = \"1/h\", burst = 3 }"));
    let made_up = portcullis::apps::made::Printed::new(portcullis::apps::made::Kind::Enrolment);
    let body = json!({
        "app": "phone", "code": made_up.expose(), "key": bare(&Pair::of("ed25519")), "build": "1.4.2",
    });
    for _ in 0..3 {
        let refused = ask(gateway.address(), "enrol", &body);
        refused.assert_refused(403, "evidence-rejected");
    }
    let refused = ask(gateway.address(), "enrol", &body);
    refused.assert_refused(429, "peer-limited");
}

#[test]
fn a_plan_says_how_many_tokens_its_apps_and_their_instances_get() {
    let upstream = Upstream::start();
    let plans = "[plans.few]\ntokens = { rate = \"1/h\", burst = 3 }\ninstance_tokens = { rate = \"1/h\", burst = 2 }\n";
    let gateway = with_phone(setup(&upstream).more(plans));
    let (one, other) = (
        enrolled(&gateway, Pair::of("ed25519")),
        enrolled(&gateway, Pair::of("ecdsa-p256-sha256")),
    );
    let asked = |instance: &Instance| {
        let question = instance.question("1.4.2", "", "", "");
        ask(instance.address, "token", &question)
    };
    // Without a plan nothing is limited here.
    for _ in 0..4 {
        assert_eq!(asked(&one).status, 200);
    }
    let few = json!({ "plan": "few" });
    done(&api(&gateway, "PATCH", "/v1/apps/phone", &few));
    assert_eq!((asked(&one).status, asked(&one).status), (200, 200));
    asked(&one).assert_refused(429, "rate-exceeded");
    assert_eq!(asked(&other).status, 200);
    let refused = asked(&other);
    refused.assert_refused(429, "rate-exceeded");
    assert!(refused.field("retry-after").is_some());
    let metrics = gateway.ask_admin("/metrics").text();
    for why in ["app-rate", "instance-rate"] {
        let line =
            format!("portcullis_token_requests_total{{outcome=\"limited\",reason=\"{why}\"}} 1");
        assert!(metrics.contains(&line), "{metrics}");
        wait_until("the lines of the audit", || {
            let all = events(&gateway, |event| {
                event["what"] == "token.limit" && event.to_string().contains(why)
            });
            times(&all) == 1
        });
    }
    let log = gateway.log().text();
    assert!(log.contains("\"reason\":\"app-rate\""), "{log}");
}

/// A stranger cannot tell by its answers which apps there are, also where all of them were made at run time.
#[test]
fn an_app_that_is_not_there_is_answered_like_those_of_the_registry() {
    let upstream = Upstream::start();
    let gateway = setup(&upstream).start();
    let address = gateway.address();
    let answers = || {
        let of = |number: u32| {
            let evidence = json!({
                "format": "instance-key", "instance": "i", "build": "1.4.2", "signature": "A".repeat(86),
            });
            let app = format!("nobody-{number}");
            let body = json!({ "app": app, "challenge": "x", "evidence": evidence });
            let answer = ask(address, "token", &body);
            let (header, ..) = parts(&token(&answer));
            let algorithm = header["alg"].as_str().unwrap().to_owned();
            (algorithm, answer.json()["expires_in"].as_u64().unwrap())
        };
        (0..20).map(of).collect::<BTreeSet<_>>()
    };
    let all = |kinds: &[(&str, u64)]| -> BTreeSet<(String, u64)> {
        let kinds = kinds.iter();
        kinds
            .map(|(name, life)| ((*name).to_owned(), *life))
            .collect()
    };
    // There is none that could be answered like.
    assert_eq!(answers(), all(&[("HS256", 300)]));
    let tokens = json!({ "evidence": ["instance-key"], "lifetime": "10m" });
    done(&api(
        &gateway,
        "POST",
        "/v1/apps",
        &json!({ "name": "phone", "tokens": tokens }),
    ));
    let pair = json!({ "app": "phone", "kind": "pair", "algorithm": "ed25519" });
    done(&api(&gateway, "POST", "/v1/keys", &pair));
    assert_eq!(answers(), all(&[("EdDSA", 600)]));
    done(&api(&gateway, "DELETE", "/v1/apps/phone", &Value::Null));
    assert_eq!(answers(), all(&[("HS256", 300)]));
}
