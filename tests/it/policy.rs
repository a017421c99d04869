//! One policy for every scheme: which credentials decide, how well a caller
//! must be proven, and that an app does not fall back.

use crate::harness::setup::SECRET;
use crate::harness::{
    Caller, Gateway, Request, Response, Setup, Token, Upstream, caller, wait_until,
};

const ATTESTER: &[u8] = b"a secret that no caller ever sees";

/// An app whose tokens somebody attests, and who signs with a key of its own.
const PHONE: &str = r#"
[apps.phone]
scopes = ["orders", "read"]
keys = [
    { id = "phone-2026", algorithm = "hmac-sha256", secret = "file:mobile.key" },
    { id = "attester", algorithm = "hmac-sha256", secret = "file:attester.key", schemes = ["token"], attests = true },
]
"#;

fn setup(upstream: &Upstream) -> Setup {
    let setup = Setup::before(upstream).more(PHONE);
    setup.write_secret("attester.key", ATTESTER);
    setup
}

fn phone() -> Caller {
    Caller::new("phone-2026", SECRET)
}

/// What somebody says who has looked at an instance of the app.
fn attested() -> Token {
    Token::new().header("kid", "attester").signed_with(ATTESTER)
}

fn showing(gateway: &Gateway, token: &Token) -> Request {
    gateway
        .request("GET", "/orders")
        .field("Portcullis-Token", &token.text())
}

/// Signed by `signer`, over the token too.
fn both(gateway: &Gateway, token: &Token, signer: &Caller) -> Request {
    signed_over(&showing(gateway, token), signer)
}

fn signed_over(request: &Request, signer: &Caller) -> Request {
    let components = ["@method", "@authority", "@path", "portcullis-token"];
    signer.clone().covering(&components).sign(request)
}

fn says(upstream: &Upstream, n: usize, name: &str) -> Option<String> {
    upstream.got(n).field(name).map(str::to_owned)
}

#[test]
fn each_of_several_schemes_lets_in_and_two_at_once_are_refused() {
    let upstream = Upstream::start();
    let gateway = setup(&upstream).start();
    let token = Token::new();
    gateway.send(&showing(&gateway, &token)).assert_passed();
    let request = gateway.request("GET", "/orders");
    gateway.send(&caller().sign(&request)).assert_passed();
    let refused = gateway.send(&both(&gateway, &token, &caller()));
    refused.assert_refused(400, "malformed-credential");
    for scheme in ["`http-signature`", "`token`"] {
        assert!(refused.detail().contains(scheme), "{}", refused.detail());
    }
    assert_eq!(upstream.heard().len(), 2);
}

#[test]
fn a_route_that_asks_for_both_takes_both_of_one_app_and_neither_alone() {
    let upstream = Upstream::start();
    let gateway = setup(&upstream)
        .route("accept = [\"token+http-signature\"]")
        .start();
    gateway
        .send(&both(&gateway, &attested(), &phone()))
        .assert_passed();
    for (name, value) in [
        ("portcullis-app", Some("phone")),
        ("portcullis-key", Some("phone-2026")),
        ("portcullis-scheme", Some("token+http-signature")),
        ("portcullis-assurance", Some("attested+signed")),
        ("portcullis-scopes", Some("orders read")),
        ("portcullis-token", None),
        ("signature", None),
    ] {
        assert_eq!(says(&upstream, 0, name).as_deref(), value, "{name}");
    }
    let record = gateway.record(0);
    assert_eq!(record["scheme"], "token+http-signature");

    let alone = gateway.send(&showing(&gateway, &attested()));
    alone.assert_refused(401, "scheme-not-accepted");
    assert!(alone.detail().contains("signature"), "{}", alone.detail());
    let asked = alone.field("accept-signature").unwrap();
    assert!(asked.contains("\"portcullis-token\""), "{asked}");
    let request = phone().sign(&gateway.request("GET", "/orders"));
    let alone = gateway.send(&request);
    alone.assert_refused(401, "scheme-not-accepted");
    assert!(alone.detail().contains("a token"), "{}", alone.detail());
    gateway
        .send(&gateway.request("GET", "/orders"))
        .assert_refused(401, "credential-missing");
    assert_eq!(upstream.heard().len(), 1);
}

#[test]
fn the_signature_beside_a_token_covers_it() {
    let upstream = Upstream::start();
    let gateway = setup(&upstream)
        .route("accept = [\"token+http-signature\"]")
        .start();
    let bare = phone().sign(&showing(&gateway, &attested()));
    let refused = gateway.send(&bare);
    refused.assert_refused(401, "coverage-missing");
    assert!(
        refused.detail().contains("portcullis-token"),
        "{}",
        refused.detail()
    );
    let good = both(&gateway, &attested(), &phone());
    let later = attested().claim("jti", "another").text();
    let exchanged = good.clone().change("portcullis-token", |_| later.clone());
    gateway
        .send(&exchanged)
        .assert_refused(401, "credential-rejected");
    gateway.send(&good).assert_passed();
    // An empty field beside the one that holds it may not be slipped in uncovered.
    let gateway = setup(&upstream)
        .route("accept = [\"token+http-signature\"]\ntoken_headers = [\"Portcullis-Token\", \"authorization\"]\nwaive = [{ part = \"authorization\", until = 2999-01-01, reason = \"test\" }]")
        .start();
    let request = gateway
        .request("GET", "/orders")
        .field("Authorization", &format!("Bearer {}", attested().text()));
    let refused = gateway.send(
        &phone()
            .covering(&["@method", "@authority", "@path"])
            .sign(&request),
    );
    refused.assert_refused(401, "coverage-missing");
    assert!(
        refused.detail().contains("authorization"),
        "{}",
        refused.detail()
    );
    let covering = ["@method", "@authority", "@path", "authorization"];
    gateway
        .send(&phone().covering(&covering).sign(&request))
        .assert_passed();
    assert_eq!(says(&upstream, 1, "authorization"), None);
}

#[test]
fn both_must_hold_and_be_of_one_app() {
    let upstream = Upstream::start();
    let gateway = setup(&upstream)
        .route("accept = [\"token+http-signature\"]")
        .start();
    let of_two = gateway.send(&both(&gateway, &attested(), &Caller::other()));
    of_two.assert_refused(401, "binding-mismatch");
    assert!(of_two.detail().contains("two apps"), "{}", of_two.detail());
    for (token, signer) in [
        (
            attested().signed_with(b"some other secret of some length"),
            phone(),
        ),
        (
            attested(),
            phone().secret(b"some other secret of some length"),
        ),
    ] {
        gateway
            .send(&both(&gateway, &token, &signer))
            .assert_refused(401, "credential-rejected");
    }
    let over = attested().claim("exp", crate::harness::now() - 60);
    gateway
        .send(&both(&gateway, &over.without("iat"), &phone()))
        .assert_refused(401, "credential-expired");
    upstream.assert_silent();
}

#[test]
fn a_token_narrows_what_both_may_do_and_the_signature_passes_once() {
    let upstream = Upstream::start();
    let gateway = setup(&upstream)
        .route("accept = [\"token+http-signature\"]\nscopes = [\"orders\"]")
        .start();
    let narrow = attested().claim("scope", "read");
    gateway
        .send(&both(&gateway, &narrow, &phone()))
        .assert_refused(403, "scope-missing");
    let request = both(&gateway, &attested(), &phone().nonce("once"));
    gateway.send(&request).assert_passed();
    gateway.send(&request).assert_refused(401, "replayed");
}

#[test]
fn a_token_of_the_apps_own_key_adds_nothing_to_a_signature() {
    let upstream = Upstream::start();
    let gateway = setup(&upstream)
        .route("accept = [\"token+http-signature\", \"token\", \"http-signature\"]")
        .start();
    let own = Token::new().header("kid", "phone-2026");
    let requests = [
        (both(&gateway, &own, &phone()), "signed"),
        (both(&gateway, &attested(), &phone()), "attested+signed"),
        (showing(&gateway, &own), "key"),
        (showing(&gateway, &attested()), "attested"),
        (phone().sign(&gateway.request("GET", "/orders")), "signed"),
    ];
    for (n, (request, assurance)) in requests.iter().enumerate() {
        gateway.send(request).assert_passed();
        let got = says(&upstream, n, "portcullis-assurance");
        assert_eq!(got.as_deref(), Some(*assurance));
    }
}

/// What each kind of proof, in order, is answered: own token, signature, attested token, both.
fn answers(gateway: &Gateway) -> [Response; 4] {
    let own = Token::new().header("kid", "phone-2026");
    [
        showing(gateway, &own),
        phone().sign(&gateway.request("GET", "/orders")),
        showing(gateway, &attested()),
        both(gateway, &attested(), &phone()),
    ]
    .map(|request| gateway.send(&request))
}

const ANY: &str = "accept = [\"token+http-signature\", \"token\", \"http-signature\"]\n";

#[test]
fn a_route_or_a_plan_asks_for_assurance_and_less_is_refused() {
    for (asked, passing) in [
        ("signed", 3),
        ("attested", 2),
        ("attested+signed", 1),
        ("key", 4),
    ] {
        for by in ["route", "plan"] {
            let upstream = Upstream::start();
            let line = format!("assurance = \"{asked}\"\n");
            let setup = if by == "route" {
                setup(&upstream).route(&format!("{ANY}{line}"))
            } else {
                let setup = Setup::before(&upstream).route(ANY);
                setup.write_secret("attester.key", ATTESTER);
                let app = PHONE.replace("[apps.phone]", "[apps.phone]\nplan = \"asking\"");
                setup.more(&format!("{app}\n[plans.asking]\n{line}"))
            };
            let gateway = setup.start();
            let answers = answers(&gateway);
            let (refused, passed) = answers.split_at(4 - passing);
            for response in passed {
                response.assert_passed();
            }
            for response in refused {
                response.assert_refused(403, "assurance-too-low");
                let detail = response.detail();
                assert!(
                    detail.contains(&format!("The {by} asks for `{asked}`")),
                    "{detail}"
                );
            }
            assert_eq!(upstream.heard().len(), passing);
        }
    }
}

#[test]
fn who_is_not_proven_learns_nothing_of_the_assurance_that_is_asked_for() {
    let upstream = Upstream::start();
    let gateway = setup(&upstream)
        .route(&format!("{ANY}assurance = \"attested+signed\""))
        .start();
    let signer = phone().secret(b"some other secret of some length");
    gateway
        .send(&signer.sign(&gateway.request("GET", "/orders")))
        .assert_refused(401, "credential-rejected");
    upstream.assert_silent();
}

fn by_token(gateway: &Gateway) -> Response {
    gateway.send(&showing(gateway, &Token::new()))
}

fn by_signature(gateway: &Gateway) -> Response {
    gateway.send(&caller().sign(&gateway.request("GET", "/orders")))
}

#[test]
fn an_app_that_has_moved_up_does_not_fall_back_and_others_do_as_they_like() {
    let upstream = Upstream::start();
    let gateway = setup(&upstream).app("downgrade = \"refuse\"").start();
    by_token(&gateway).assert_passed();
    // Nothing that fails moves an app up, whoever names it.
    let strange = caller().secret(b"some other secret of some length");
    let request = gateway.request("GET", "/orders");
    gateway
        .send(&strange.sign(&request))
        .assert_refused(401, "credential-rejected");
    by_token(&gateway).assert_passed();
    by_signature(&gateway).assert_passed();
    let refused = by_token(&gateway);
    refused.assert_refused(403, "assurance-too-low");
    assert!(
        refused.detail().contains("moved up to `signed`"),
        "{}",
        refused.detail()
    );
    by_signature(&gateway).assert_passed();
    let other = Token::new()
        .header("kid", "other-2026")
        .signed_with(crate::harness::setup::OTHER_SECRET);
    gateway
        .send(&Caller::other().sign(&request))
        .assert_passed();
    gateway.send(&showing(&gateway, &other)).assert_passed();
}

#[test]
fn a_rise_says_that_weaker_proofs_are_refused_or_would_be_where_the_app_only_observes() {
    let upstream = Upstream::start();
    for (mode, are) in [("enforce", "are"), ("observe", "would be")] {
        let lines = format!("downgrade = \"refuse\"\nmode = \"{mode}\"");
        let gateway = setup(&upstream).app(&lines).spawn();
        let signed = caller().at(crate::harness::Binary::now());
        let signed = signed.sign(&gateway.request("GET", "/orders"));
        gateway.send(&signed).assert_passed();
        let told = format!("an app has moved up: weaker proofs of it {are} refused from now on");
        gateway.stderr.wait_for(&told, |line| line.contains(&told));
    }
}

#[test]
fn what_an_app_has_moved_up_to_survives_a_reload_and_is_forgotten_when_nobody_asks_for_it() {
    let upstream = Upstream::start();
    let gateway = setup(&upstream).app("downgrade = \"refuse\"").start();
    let text = gateway.setup().text();
    by_signature(&gateway).assert_passed();
    gateway.reload(&text.replace("scopes = [\"orders\", \"read\"]", "scopes = [\"orders\"]"));
    by_token(&gateway).assert_refused(403, "assurance-too-low");
    // How an operator lets an app start anew.
    gateway.reload(&text.replace("downgrade = \"refuse\"", ""));
    by_token(&gateway).assert_passed();
    gateway.reload(&text);
    by_token(&gateway).assert_passed();
    by_signature(&gateway).assert_passed();
    by_token(&gateway).assert_refused(403, "assurance-too-low");
}

#[test]
fn what_an_app_has_moved_up_to_survives_a_kill_and_a_clean_stop() {
    let upstream = Upstream::start();
    let mut gateway = setup(&upstream).app("downgrade = \"refuse\"").spawn();
    let kept = gateway.setup().path("state/moved-up");
    let signed = |gateway: &crate::harness::Binary| {
        let at = crate::harness::Binary::now();
        gateway.send(&caller().at(at).sign(&gateway.request("GET", "/orders")))
    };
    let token = |gateway: &crate::harness::Binary| {
        let now = crate::harness::Binary::now();
        let token = Token::new().claim("iat", now).claim("exp", now + 300);
        let request = gateway.request("GET", "/orders");
        gateway.send(&request.field("Portcullis-Token", &token.text()))
    };
    token(&gateway).assert_passed();
    signed(&gateway).assert_passed();
    wait_until("the file", || {
        std::fs::read_to_string(&kept).is_ok_and(|text| text.contains("\nmobile signed\n"))
    });
    // Each rise is told, so that who is refused from then on knows why.
    for (from, to) in [("none", "key"), ("key", "signed")] {
        let fields = format!("\"app\":\"mobile\",\"from\":\"{from}\",\"to\":\"{to}\"");
        gateway.stderr.wait_for_count(&fields, 1);
    }
    gateway = gateway.killed_and_restarted();
    token(&gateway).assert_refused(403, "assurance-too-low");
    gateway.signal("TERM");
    assert!(gateway.wait().success());
    gateway = gateway.restarted();
    token(&gateway).assert_refused(403, "assurance-too-low");
    signed(&gateway).assert_passed();
}
