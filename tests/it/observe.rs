//! Rules that are only observed: what they would refuse passes and is
//! recorded, and nothing else is any different for it.

use crate::harness::setup::{OTHER_SECRET, SECRET};
use crate::harness::{Caller, Gateway, Request, Response, Setup, T0, Token, Upstream, caller, h2};
use crate::{aws_sigv4, hmac_auth, webhooks};
use data_encoding::BASE64;
use proptest::prelude::*;
use serde_json::Value;

const WRONG: &[u8] = b"some other secret of some length";

/// One route that observes and one that enforces, side by side.
const ROUTES: &str = r#"
[[routes]]
name = "watched"
path = "/watched/**"
upstream = "backend"
accept = ["http-signature", "token"]
scopes = ["orders"]
mode = "observe"

[[routes]]
name = "enforced"
path = "/enforced/**"
upstream = "backend"
accept = ["http-signature", "token"]
scopes = ["orders"]
"#;

fn setup(upstream: &Upstream) -> Setup {
    one_worker(upstream)
        .routes(ROUTES)
        .app("scopes = [\"orders\"]")
}

/// Records come in the order of requests.
fn one_worker(upstream: &Upstream) -> Setup {
    Setup::before(upstream).server("workers = 1")
}

/// What a record says of a request that passed.
fn would_refuse(gateway: &Gateway, n: usize) -> (Value, Value) {
    let record = gateway.record(n);
    assert_eq!(record["status"], 200, "{record}");
    assert_eq!(record.get("code"), None, "{record}");
    (record["observed"].clone(), record["would_refuse"].clone())
}

#[test]
fn what_would_be_refused_passes_as_what_it_could_prove_and_is_recorded() {
    let upstream = Upstream::start();
    let gateway = setup(&upstream).start();
    let get = |target: &str| gateway.request("GET", target);
    let sign = |signer: Caller| signer.sign(&get("/watched/1"));
    let nonce = sign(caller().nonce("once"));
    let no_app = None;
    let mobile = Some("mobile");
    for (n, (request, code, app)) in [
        (sign(caller()), None, mobile),
        (get("/watched/1"), Some("credential-missing"), no_app),
        (
            sign(caller().secret(WRONG)),
            Some("credential-rejected"),
            no_app,
        ),
        (
            sign(caller().key_id("nobody")),
            Some("credential-rejected"),
            no_app,
        ),
        (sign(caller().at(T0 - 3600)), Some("clock-skew"), no_app),
        (
            sign(caller().covering(&["@method", "@authority"])),
            Some("coverage-missing"),
            no_app,
        ),
        (
            get("/watched/1").field("Portcullis-Token", "a.b"),
            Some("malformed-credential"),
            no_app,
        ),
        (nonce.clone(), None, mobile),
        (nonce, Some("replayed"), mobile),
        (sign(Caller::other()), Some("scope-missing"), Some("other")),
    ]
    .into_iter()
    .enumerate()
    {
        gateway.send(&request).assert_passed();
        let (by, recorded) = would_refuse(&gateway, n);
        assert_eq!(
            (by.as_str(), recorded.as_str()),
            (Some("route"), code),
            "{n}"
        );
        let got = upstream.got(n);
        assert_eq!(got.field("portcullis-app"), app, "{n}");
        assert_eq!(got.field("portcullis-would-refuse"), code, "{n}");
        let assurance = if app.is_some() { "signed" } else { "none" };
        assert_eq!(got.field("portcullis-assurance"), Some(assurance), "{n}");
        for gone in ["signature", "signature-input", "portcullis-token"] {
            assert_eq!(got.field(gone), None, "{n}");
        }
    }
    let record = gateway.record(2);
    assert_eq!(record["claimed_key"], "mobile-2026");
    assert_eq!(record["claimed_app"], "mobile");
    assert_eq!(record["would_reason"], "wrong-signature");
    assert_eq!(gateway.record(3).get("claimed_app"), None);
    let page = gateway.ask_admin("/metrics").text();
    for line in [
        "portcullis_observed_requests_total{route=\"watched\",reason=\"ok\"} 2",
        "portcullis_observed_requests_total{route=\"watched\",reason=\"credential-rejected\"} 2",
        "portcullis_observed_requests_total{route=\"watched\",reason=\"replayed\"} 1",
        "portcullis_would_refuse_total{route=\"watched\"} 8",
        "portcullis_would_refuse_total{route=\"enforced\"} 0",
        "portcullis_requests_total{route=\"watched\",status=\"2xx\",reason=\"ok\"} 10",
    ] {
        assert!(page.contains(line), "{line}\n{page}");
    }
}

#[test]
fn the_mistake_of_who_would_be_refused_is_named_in_the_record_alone_as_that_of_who_is() {
    let upstream = Upstream::start();
    let more = "\"token\", \"aws-sigv4\", \"hmac-auth\"]\ndialect = \"kong\"";
    let setup = one_worker(&upstream)
        .routes(&ROUTES.replace("\"token\"]", more))
        .app("explain = true");
    // Without `base64:` in front it is the text itself: whoever decodes it makes a mistake.
    setup.write_secret("mobile.key", BASE64.encode(SECRET).as_bytes());
    let gateway = setup.start();
    let named = "wrong-signature: secret-decoded";
    let as_text = BASE64.encode(OTHER_SECRET);
    let of_another = Caller::other().secret(as_text.as_bytes());
    let in_each_way = |target: &str| {
        let get = gateway.request("GET", target);
        let token = Token::new().text();
        [
            (caller().sign(&get), named),
            (get.clone().field("Portcullis-Token", &token), named),
            (aws_sigv4::sign(&get), named),
            (hmac_auth::sign("kong", &get, &[]), named),
            // A guesser, and one whose app is told nothing.
            (caller().secret(WRONG).sign(&get), "wrong-signature"),
            (of_another.sign(&get), "wrong-signature"),
        ]
    };
    let both = in_each_way("/watched/1").into_iter();
    for (n, ((watched, reason), (refused, _))) in both.zip(in_each_way("/enforced/1")).enumerate() {
        let answer = gateway.send(&watched);
        answer.assert_passed();
        assert!(!answer.text().contains("secret-decoded"));
        assert_eq!(would_refuse(&gateway, 2 * n).1, "credential-rejected");
        assert_eq!(gateway.record(2 * n)["would_reason"], reason, "{n}");
        let told = upstream.got(n).head;
        assert!(!told.contains("secret-decoded"), "{told}");
        gateway
            .send(&refused)
            .assert_refused(401, "credential-rejected");
        assert_eq!(gateway.record(2 * n + 1)["reason"], reason, "{n}");
    }
    let page = gateway.ask_admin("/metrics").text();
    assert!(page.contains("route=\"watched\",reason=\"credential-rejected\"} 6"));
    assert!(!page.contains("secret-decoded"), "{page}");
}

#[test]
fn the_mistake_of_a_sender_whose_webhooks_are_observed_is_named_in_the_record() {
    let upstream = Upstream::start();
    let gateway = webhooks::setup(&upstream, "github", "mode = \"observe\"")
        .server("workers = 1\nexplain = true")
        .start();
    let body = webhooks::BODY;
    let mut request = gateway.request("POST", "/hooks").body(body);
    let newline = format!("{body}\n");
    for (name, value) in webhooks::fields("github", webhooks::BYTES, T0, &newline) {
        request = request.field(name, &value);
    }
    gateway.send(&request).assert_passed();
    assert_eq!(would_refuse(&gateway, 0).1, "credential-rejected");
    let reason = gateway.record(0)["would_reason"].clone();
    assert_eq!(reason, "wrong-signature: body-written-anew");
}

#[test]
fn what_is_observed_is_looked_into_no_longer_than_a_second_allows_for_all() {
    let upstream = Upstream::start();
    let gateway = setup(&upstream).app("explain = true").start();
    let as_text = BASE64.encode(SECRET);
    let signer = caller().secret(as_text.as_bytes());
    let watched = signer.sign(&gateway.request("GET", "/watched/1"));
    // The clock stands still: all of it is in one second.
    let count = 140;
    for _ in 0..count {
        gateway.send(&watched).assert_passed();
    }
    let reasons = (0..count).map(|n| gateway.record(n)["would_reason"].clone());
    let named = reasons.filter(|reason| reason == "wrong-signature: secret-as-text");
    assert_eq!(named.count(), 128);
    let enforced = signer.sign(&gateway.request("GET", "/enforced/1"));
    let told = || gateway.send(&enforced).json()["mistake"].clone();
    assert_eq!(told(), Value::Null);
    gateway.advance(1);
    assert_eq!(told(), "secret-as-text");
}

#[test]
fn the_route_beside_it_refuses_and_its_requests_say_nothing_of_observing() {
    let upstream = Upstream::start();
    let gateway = setup(&upstream).start();
    let request = gateway.request("GET", "/enforced/1");
    gateway
        .send(&request)
        .assert_refused(401, "credential-missing");
    gateway
        .send(&caller().secret(WRONG).sign(&request))
        .assert_refused(401, "credential-rejected");
    gateway
        .send(&Caller::other().sign(&request))
        .assert_refused(403, "scope-missing");
    gateway.send(&caller().sign(&request)).assert_passed();
    for n in 0..4 {
        let record = gateway.record(n);
        assert_eq!(record.get("observed"), None, "{record}");
    }
    assert_eq!(upstream.only().field("portcullis-would-refuse"), None);
    // What a client says about it is not believed.
    let forged = request.field("Portcullis-Would-Refuse", "replayed");
    gateway.send(&caller().sign(&forged)).assert_passed();
    assert_eq!(upstream.got(1).field("portcullis-would-refuse"), None);
}

#[test]
fn heads_peers_and_limits_on_bodies_refuse_on_an_observed_route_too() {
    let upstream = Upstream::start();
    let routes = ROUTES.replace(
        "mode = \"observe\"",
        "mode = \"observe\"\nbody = { limit = \"8 B\" }",
    );
    let gateway = setup(&upstream)
        .routes(&routes)
        .peers("failures = { rate = \"1/h\", burst = 3 }")
        .start();
    gateway
        .send(&gateway.request("GET", "/watched//1"))
        .assert_refused(400, "ambiguous-path");
    let twice = gateway.request("GET", "/watched/1");
    gateway
        .send(&twice.field("Date", "a").field("Date", "b"))
        .assert_refused(400, "malformed-request");
    gateway
        .send(&gateway.request("POST", "/watched/1").body("far too long"))
        .assert_refused(413, "body-too-large");
    // What passes is nobody's fault, however often.
    for _ in 0..8 {
        gateway
            .send(&gateway.request("GET", "/watched/1"))
            .assert_passed();
    }
    gateway
        .send(&gateway.request("GET", "/nowhere"))
        .assert_refused(404, "no-route");
    gateway
        .send(&gateway.request("GET", "/watched/1"))
        .assert_refused(429, "peer-limited");
}

#[test]
fn a_body_that_is_another_passes_whole_in_both_ways_of_checking_it() {
    for verify in ["before-forwarding", "while-forwarding"] {
        let upstream = Upstream::start();
        let routes = ROUTES.replace(
            "mode = \"observe\"",
            &format!("mode = \"observe\"\nbody = {{ verify = \"{verify}\" }}"),
        );
        let gateway = setup(&upstream).routes(&routes).start();
        let long = vec![b'x'; 3 << 20];
        for (n, (signed, sent)) in [
            (b"one".to_vec(), b"two".to_vec()),
            (long.clone(), [long, b"more".to_vec()].concat()),
        ]
        .into_iter()
        .enumerate()
        {
            for chunked in [false, true] {
                let n = n * 2 + usize::from(chunked);
                let request = gateway.request("POST", "/watched/1").body(signed.clone());
                let mut request = caller()
                    .nonce(&n.to_string())
                    .sign(&request)
                    .body(sent.clone());
                request.chunked = chunked;
                gateway.send(&request).assert_passed();
                assert_eq!(would_refuse(&gateway, n).1, "digest-mismatch", "{verify}");
                let got = upstream.got(n);
                assert_eq!(got.body, sent, "{verify}");
                assert_eq!(got.field("portcullis-app"), Some("mobile"));
                // The small one comes with its head, unless it is chunked.
                let is_here = n == 0 || verify == "before-forwarding";
                let known = is_here.then_some("digest-mismatch");
                assert_eq!(got.field("portcullis-would-refuse"), known);
            }
        }
    }
}

#[test]
fn of_two_verdicts_the_backend_is_told_the_one_that_the_record_has() {
    let upstream = Upstream::start();
    let routes = ROUTES.replace(
        "mode = \"observe\"",
        "mode = \"observe\"\nbody = { verify = \"before-forwarding\" }",
    );
    let gateway = setup(&upstream).routes(&routes).start();
    let signed = caller().sign(&gateway.request("POST", "/watched/1").body("one"));
    gateway.send(&signed).assert_passed();
    gateway.send(&signed.body("two")).assert_passed();
    assert_eq!(would_refuse(&gateway, 1).1, "replayed");
    let told = upstream.got(1);
    assert_eq!(told.field("portcullis-would-refuse"), Some("replayed"));
}

#[test]
fn a_body_where_none_was_signed_passes_whole() {
    let upstream = Upstream::start();
    let gateway = setup(&upstream).start();
    let digest = crate::harness::caller::content_digest(b"");
    let request = gateway
        .request("POST", "/watched/1")
        .field("Content-Digest", &digest);
    let request = caller().sign(&request).body("something").chunked();
    gateway.send(&request).assert_passed();
    assert_eq!(would_refuse(&gateway, 0).1, "digest-mismatch");
    assert_eq!(upstream.only().body, b"something");
}

#[test]
fn a_body_without_a_length_is_judged_by_whether_a_byte_of_it_comes_and_passes_whole() {
    let upstream = Upstream::start();
    let gateway = setup(&upstream).start();
    let signed = |nonce: &str| {
        let request = gateway.request("POST", "/watched/1");
        caller().nonce(nonce).sign(&request)
    };
    let long = "something of several chunks".repeat(100);
    let mut n = 0;
    for (body, code) in [("", None), (&*long, Some("coverage-missing"))] {
        gateway
            .send(&signed(&format!("{n}")).body(body).chunked())
            .assert_passed();
        assert_eq!(would_refuse(&gateway, n).1.as_str(), code);
        let over_http_2 = signed(&format!("{}", n + 1)).body(body);
        let response = h2::send(&over_http_2, gateway.address());
        assert_eq!(response.status, 200);
        assert_eq!(would_refuse(&gateway, n + 1).1.as_str(), code);
        for got in [upstream.got(n), upstream.got(n + 1)] {
            assert_eq!(got.body, body.as_bytes());
        }
        n += 2;
    }
}

#[test]
fn who_waits_for_the_answer_before_a_body_waits_for_less_where_that_is_only_observed() {
    let upstream = Upstream::start();
    let gateway = setup(&upstream).start();
    let begun = |target: &str| {
        let request = gateway.request("POST", target).body("x").chunked();
        let mut connection = gateway.connect();
        let signer = caller().nonce(target).without_digest();
        connection.send(&signer.sign(&request).head());
        connection
    };
    let _enforced = begun("/enforced/1");
    let _watched = begun("/watched/1");
    let head = upstream.wait_for_head(0);
    assert_eq!(head.target(), "/watched/1");
    let log = gateway.log().text();
    assert_eq!(log, "", "the other is still waited for");
}

#[test]
fn the_limits_of_an_app_are_counted_for_an_observed_route_on_an_account_of_its_own() {
    let upstream = Upstream::start();
    let gateway = setup(&upstream)
        .app("plan = \"small\"")
        .more("[plans.small]\nrate = \"1/h\"\nburst = 2")
        .start();
    let send = |target: &str| gateway.send(&caller().sign(&gateway.request("GET", target)));
    for n in 0..4 {
        let response = send("/watched/1");
        response.assert_passed();
        assert_eq!(response.field("ratelimit"), None, "it is not in force");
        let code = if n < 2 {
            Value::Null
        } else {
            "rate-exceeded".into()
        };
        assert_eq!(would_refuse(&gateway, n).1, code, "{n}");
    }
    for _ in 0..2 {
        send("/enforced/1").assert_passed();
    }
    send("/enforced/1").assert_refused(429, "rate-exceeded");
}

#[test]
fn what_an_observed_route_sees_moves_no_app_up_and_uses_no_nonce_up() {
    let upstream = Upstream::start();
    let gateway = setup(&upstream).app("downgrade = \"refuse\"").start();
    let get = |target: &str| gateway.request("GET", target);
    let token = |target: &str| get(target).field("Portcullis-Token", &Token::new().text());
    gateway
        .send(&caller().nonce("n").sign(&get("/watched/1")))
        .assert_passed();
    gateway.send(&token("/enforced/1")).assert_passed();
    gateway
        .send(&caller().nonce("n").sign(&get("/enforced/1")))
        .assert_passed();
    gateway
        .send(&token("/enforced/1"))
        .assert_refused(403, "assurance-too-low");
    gateway.send(&token("/watched/1")).assert_passed();
    assert_eq!(would_refuse(&gateway, 4).1, "assurance-too-low");
}

const OF_THE_APP: &str = "mode = \"observe\"\nplan = \"small\"\ndowngrade = \"refuse\"";

#[test]
fn an_observed_app_is_refused_for_its_proof_alone() {
    let upstream = Upstream::start();
    let routes = ROUTES.replace("mode = \"observe\"", "assurance = \"signed\"");
    let gateway = one_worker(&upstream)
        .routes(&routes)
        .app(OF_THE_APP)
        .more("[plans.small]\nrate = \"1/h\"\nburst = 3")
        .start();
    let get = || gateway.request("GET", "/enforced/1");
    let token = || Token::new().text();
    // Naming it proves nothing.
    for (request, code) in [
        (caller().secret(WRONG).sign(&get()), "credential-rejected"),
        (caller().at(T0 - 3600).sign(&get()), "clock-skew"),
        (get(), "credential-missing"),
    ] {
        gateway.send(&request).assert_refused(401, code);
    }
    let changed = gateway.request("POST", "/enforced/1").body("one");
    let changed = caller().sign(&changed).body("two");
    gateway
        .send(&changed)
        .assert_refused(401, "digest-mismatch");
    assert!(upstream.heard().is_empty());
    // Another app is refused as ever.
    gateway
        .send(&Caller::other().sign(&get()))
        .assert_refused(403, "scope-missing");

    let with_scope = |request: &Request| gateway.send(request);
    with_scope(&caller().sign(&get())).assert_passed();
    let record = gateway.record(5);
    assert_eq!(record["observed"], "app");
    assert_eq!(record["would_refuse"], "scope-missing");
    assert_eq!(record["app"], "mobile");
    assert_eq!(upstream.got(0).field("portcullis-app"), Some("mobile"));
    let tokens = gateway
        .request("GET", "/watched/1")
        .field("Portcullis-Token", &token());
    gateway.send(&tokens).assert_passed();
    assert_eq!(gateway.record(6)["would_refuse"], "scope-missing");
}

#[test]
fn an_observed_app_may_replay_and_exceed_and_fall_back_and_each_is_recorded() {
    let upstream = Upstream::start();
    let gateway = one_worker(&upstream)
        .app(OF_THE_APP)
        .more("[plans.small]\nrate = \"1/h\"\nburst = 3")
        .start();
    let get = || gateway.request("GET", "/orders");
    let once = caller().nonce("once").sign(&get());
    let token = get().field("Portcullis-Token", &Token::new().text());
    for (n, (request, code)) in [
        (&once, None),
        (&once, Some("replayed")),
        (&token, Some("assurance-too-low")),
        (&caller().at(T0 - 1).sign(&get()), None),
        (&caller().at(T0 - 2).sign(&get()), None),
        (&caller().at(T0 - 3).sign(&get()), Some("rate-exceeded")),
    ]
    .into_iter()
    .enumerate()
    {
        gateway.send(request).assert_passed();
        let (by, recorded) = would_refuse(&gateway, n);
        assert_eq!((by.as_str(), recorded.as_str()), (Some("app"), code), "{n}");
        assert_eq!(upstream.got(n).field("portcullis-app"), Some("mobile"));
    }
    // On the day of enforcement it is refused, by what it has shown before.
    gateway.reload(&gateway.setup().text().replace("mode = \"observe\"", ""));
    gateway
        .send(&token)
        .assert_refused(403, "assurance-too-low");
    gateway.send(&caller().sign(&get())).assert_passed();
}

/// What a caller may do, rightly or wrongly.
#[derive(Clone, Copy, Debug)]
struct Step {
    route: u8,
    who: u8,
    how: u8,
    nonce: u8,
    later: u8,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (0..3_u8, 0..5_u8, 0..9_u8, 0..4_u8, 0..3_u8);
    let step = step.prop_map(|(route, who, how, nonce, later)| Step {
        route,
        // Most often the one with limits, and most often rightly.
        who: who.saturating_sub(2),
        how: how.saturating_sub(2),
        nonce,
        later,
    });
    prop::collection::vec(step, 1..32)
}

/// The app of each step; the last is the one that is observed.
const WHO: [(&str, &[u8], &str); 3] = [
    ("mobile-2026", SECRET, "mobile"),
    ("other-2026", OTHER_SECRET, "other"),
    ("seen-2026", WRONG, "seen"),
];

impl Step {
    fn is_softened(self) -> bool {
        self.route == 0 || WHO[usize::from(self.who)].2 == "seen"
    }

    fn request(self, gateway: &Gateway, now: i64) -> Request {
        let (id, secret, _) = WHO[usize::from(self.who)];
        let target = ["/watched/1", "/enforced/1", "/enforced/2"][usize::from(self.route)];
        let method = if self.how == 1 { "POST" } else { "GET" };
        let request = gateway.request(method, target);
        let signer = Caller::new(id, secret).at(now);
        match self.how {
            0 => signer.sign(&request),
            1 => signer.sign(&request.body("one")).body("two"),
            2 => signer.nonce(&self.nonce.to_string()).sign(&request),
            3 => signer
                .secret(b"a third secret that is of no key")
                .sign(&request),
            4 => request,
            5 => signer.at(now - 3600).sign(&request),
            _ => {
                let token = Token::new()
                    .header("kid", id)
                    .signed_with(secret)
                    .claim("iat", now)
                    .claim("exp", now + 300);
                request.field("Portcullis-Token", &token.text())
            }
        }
    }
}

/// A gateway on which little is left over by each request that counts.
fn tight(upstream: &Upstream, watched: &str, asks: [bool; 3]) -> Gateway {
    let [assurance, downgrade, replay] = asks;
    let on = |asked: bool, line: &'static str| if asked { line } else { "" };
    let enforced = [
        on(assurance, "assurance = \"signed\"\n"),
        on(replay, "replay = \"strict\"\n"),
    ]
    .concat();
    let routes = format!(
        "[[routes]]\nname = \"watched\"\npath = \"/watched/**\"\nupstream = \"backend\"\n{watched}\n\
         [[routes]]\nname = \"enforced\"\npath = \"/enforced/**\"\nupstream = \"backend\"\n\
         accept = [\"http-signature\", \"token\"]\nscopes = [\"orders\"]\n{enforced}"
    );
    let downgrade = on(downgrade, "downgrade = \"refuse\"\n");
    let setup = Setup::before(upstream)
        .routes(&routes)
        .freshness("proofs = 6")
        .peers("failures = { rate = \"1/h\", burst = 12 }")
        .app(&format!("scopes = [\"orders\"]\nplan = \"small\"\n{downgrade}"))
        .more(&format!(
            "[plans.small]\nrate = \"1/min\"\nburst = 2\n\
             [apps.seen]\nmode = \"observe\"\nplan = \"small\"\n{downgrade}\
             keys = [{{ id = \"seen-2026\", algorithm = \"hmac-sha256\", secret = \"file:seen.key\" }}]"
        ));
    setup.write_secret("seen.key", WRONG);
    setup.start()
}

/// Sends `steps` and gives back what was said to those for which a rule is in force.
fn said(
    gateway: &Gateway,
    steps: &[Step],
    without: impl Fn(&Step) -> bool,
) -> Vec<(usize, u16, String)> {
    let code = |response: &Response| match response.status {
        200 => String::new(),
        _ => response.code(),
    };
    let mut now = T0;
    let mut said = Vec::new();
    for (n, step) in steps.iter().enumerate() {
        let later = u64::from(step.later) * 3;
        gateway.advance(later);
        now += later as i64;
        if without(step) {
            continue;
        }
        let response = gateway.send(&step.request(gateway, now));
        if !step.is_softened() {
            said.push((n, response.status, code(&response)));
        }
    }
    said
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_is_enforced_is_as_if_nothing_were_observed(
        steps in steps(),
        asks in prop::array::uniform3(any::<bool>()),
        strict in any::<bool>(),
    ) {
        let upstream = Upstream::start();
        let strict = if strict { "replay = \"strict\"\nassurance = \"signed\"\n" } else { "" };
        let watched = format!(
            "accept = [\"http-signature\", \"token\"]\nscopes = [\"orders\"]\nmode = \"observe\"\n{strict}"
        );
        let observing = tight(&upstream, &watched, asks);
        // The rule is not there, and the proofs of the app that is observed pass elsewhere.
        let without = tight(&upstream, "accept = [\"public\"]", asks);
        let is_seen = |step: &Step| {
            // What does not prove to be the app's is refused, and counts.
            step.is_softened() && step.route != 0 && matches!(step.how, 0 | 2 | 6)
        };
        prop_assert_eq!(
            said(&observing, &steps, |_| false),
            said(&without, &steps, is_seen)
        );
    }
}
