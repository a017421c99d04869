//! Tokens of issuers outside, and where their keys come from.

use crate::harness::issuer::{AUD, ISS, Issuer, every_key, section, set, signed, token};
use crate::harness::pair::{Pair, pairs};
use crate::harness::secure::{Authority, Secure};
use crate::harness::{Caller, Gateway, Response, Setup, T0, Token, Upstream, wait_until};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

/// A gateway that takes tokens of an issuer in `Authorization`; its keys are in a file.
fn start(upstream: &Upstream, more: &str) -> Gateway {
    let setup = Setup::before(upstream).app("scopes = [\"orders\", \"read\"]");
    setup.write("keys.json", every_key().to_string().as_bytes());
    setup.more(&section("file:keys.json", more)).start()
}

/// As [`start`], with keys that are fetched from `issuer`.
fn fetching(upstream: &Upstream, issuer: &Issuer, more: &str) -> Gateway {
    Setup::before(upstream)
        .more(&section(&issuer.url(), more))
        .start()
}

fn show(gateway: &Gateway, token: &str) -> Response {
    show_in(gateway, "Authorization", &format!("Bearer {token}"))
}

fn show_in(gateway: &Gateway, field: &str, value: &str) -> Response {
    gateway.send(&gateway.request("GET", "/orders/7?x=1").field(field, value))
}

fn p256(name: &str) -> Value {
    Pair::of("ecdsa-p256-sha256").jwk(name)
}

#[test]
fn a_token_passes_with_each_algorithm_and_stands_for_its_app() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "");
    let jose = pairs().into_iter().filter(|pair| pair.jose.is_some());
    for (number, pair) in jose.enumerate() {
        let token = signed(pair.algorithm).text();
        // From the cache the second time.
        for _ in 0..2 {
            show(&gateway, &token).assert_passed();
        }
        let got = upstream.got(2 * number + 1);
        let key = format!("outside/{}", pair.jose.unwrap());
        for (field, value) in [
            ("portcullis-app", Some("mobile")),
            ("portcullis-key", Some(&*key)),
            ("portcullis-scheme", Some("token")),
            ("portcullis-assurance", Some("key")),
            ("portcullis-scopes", Some("orders read")),
            ("authorization", None),
        ] {
            assert_eq!(got.field(field), value, "{pair:?} {field}");
        }
    }
}

#[test]
fn a_token_that_was_changed_or_was_made_for_others_is_refused() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "");
    let folder = tempfile::tempdir().unwrap();
    let stranger = Pair::of("ecdsa-p256-sha256").stranger(folder.path());
    let spoilt = |text: &str| {
        let (front, signature) = text.rsplit_once('.').unwrap();
        format!("{front}.AAAA{}", &signature[4..])
    };
    let good = token().text();
    for (what, text) in [
        ("iss", token().claim("iss", "https://other.example/").text()),
        ("no iss", token().without("iss").text()),
        ("iss of lists", token().claim("iss", json!([ISS])).text()),
        ("aud", token().claim("aud", "https://other.example").text()),
        ("no aud", token().without("aud").text()),
        ("no exp", token().without("exp").text()),
        ("life", token().claim("exp", T0 + 3_601).text()),
        ("alg", token().header("alg", "ES384").text()),
        ("alg none", token().header("alg", "none").text()),
        ("kid", token().header("kid", "RS256").text()),
        ("no such kid", token().header("kid", "unknown").text()),
        ("cnf", token().claim("cnf", json!({ "jwe": "x" })).text()),
        ("jku", token().header("jku", "https://evil.example/").text()),
        ("jwk", token().header("jwk", p256("ES256")).text()),
        ("crit", token().header("crit", json!(["exp"])).text()),
        (
            "stranger",
            token()
                .signed_by(Caller::new("outside", &[]).pair(stranger))
                .text(),
        ),
        ("signature", spoilt(&good)),
    ] {
        show(&gateway, &text).assert_refused(401, "credential-rejected");
        let _ = what;
    }
    show(&gateway, &token().claim("exp", T0).text()).assert_refused(401, "credential-expired");
    show(&gateway, &token().claim("nbf", T0 + 60).text()).assert_refused(401, "clock-skew");
    show(&gateway, &token().without_header("kid").text())
        .assert_refused(400, "malformed-credential");
    upstream.assert_silent();
    show(&gateway, &good).assert_passed();
    // What issuers like to say beside it is no reason to refuse.
    show(&gateway, &token().header("x5t", "AAAA").text()).assert_passed();
    show(
        &gateway,
        &token().claim("aud", json!(["other", AUD])).text(),
    )
    .assert_passed();
}

#[test]
fn the_public_key_is_no_secret_to_sign_with() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "");
    let pem = Pair::of("ecdsa-p256-sha256").public_pem();
    for secret in [pem.as_bytes(), pem.trim().as_bytes()] {
        let forged = token()
            .header("alg", "HS256")
            .signed_by(Caller::new("outside", secret));
        show(&gateway, &forged.text()).assert_refused(401, "credential-rejected");
    }
    upstream.assert_silent();
}

#[test]
fn unknown_keys_and_wrong_signatures_have_the_same_answer() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "");
    let good = token().text();
    let (front, signature) = good.rsplit_once('.').unwrap();
    let wrong = show(&gateway, &format!("{front}.AAAA{}", &signature[4..]));
    // Before the next is sent: another worker may be faster to write its record.
    assert_eq!(gateway.record(0)["reason"], "wrong-signature");
    let unknown = show(&gateway, &token().header("kid", "unknown").text());
    assert_eq!(unknown.seen(), wrong.seen());
    assert_eq!(gateway.record(1)["reason"], "unknown-key");
    assert_eq!(gateway.record(1)["claimed_key"], "unknown");
}

#[test]
fn tokens_stand_only_where_their_maker_may_put_them() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "headers = [\"X-Outside\"]");
    let (own, outside) = (Token::new().text(), token().text());
    show_in(&gateway, "X-Outside", &outside).assert_passed();
    show_in(&gateway, "Portcullis-Token", &own).assert_passed();
    assert_eq!(upstream.got(0).field("x-outside"), None);
    // Both are known by now, which helps them nowhere else.
    show_in(&gateway, "Portcullis-Token", &outside).assert_refused(401, "credential-rejected");
    show_in(&gateway, "X-Outside", &own).assert_refused(401, "credential-rejected");
    let both = gateway
        .request("GET", "/orders/7")
        .field("X-Outside", &outside)
        .field("Portcullis-Token", &own);
    gateway
        .send(&both)
        .assert_refused(400, "malformed-credential");
    // `Authorization` is none of its fields: it is the upstream's.
    let user = format!("Bearer {outside}");
    let two = gateway
        .request("GET", "/orders/7")
        .field("X-Outside", &outside)
        .field("Authorization", &user);
    gateway.send(&two).assert_passed();
    assert_eq!(upstream.got(2).field("authorization"), Some(&*user));
}

#[test]
fn one_field_takes_tokens_of_apps_and_of_issuers() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "headers = [\"Portcullis-Token\"]");
    for text in [Token::new().text(), token().text()] {
        for _ in 0..2 {
            show_in(&gateway, "Portcullis-Token", &text).assert_passed();
        }
    }
    let strange = Token::new().header("x5t", "AAAA").text();
    show_in(&gateway, "Portcullis-Token", &strange).assert_refused(401, "credential-rejected");
    let unknown = Token::new().header("kid", "unknown").text();
    show_in(&gateway, "Portcullis-Token", &unknown).assert_refused(401, "credential-rejected");
}

#[test]
fn a_route_says_whose_tokens_it_takes() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream);
    setup.write("keys.json", every_key().to_string().as_bytes());
    let route = |name: &str, more: &str| {
        format!(
            "[[routes]]\nname = \"{name}\"\npath = \"/{name}\"\nupstream = \"backend\"\naccept = [\"token\"]\n{more}\n"
        )
    };
    let routes = [
        route("any", ""),
        route("named", "issuers = [\"outside\"]"),
        route("nobodys", "issuers = []"),
    ];
    let gateway = setup
        .routes(&routes.concat())
        .more(&section("file:keys.json", ""))
        .start();
    let bearer = format!("Bearer {}", token().text());
    let ask = |target: &str| {
        gateway.send(
            &gateway
                .request("GET", target)
                .field("Authorization", &bearer),
        )
    };
    ask("/any").assert_passed();
    ask("/named").assert_passed();
    ask("/nobodys").assert_refused(401, "credential-missing");
}

#[test]
fn a_file_of_keys_that_is_emptied_ends_all_of_them_at_once() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "");
    let (seen, fresh) = (token().text(), token().claim("jti", "2").text());
    show(&gateway, &seen).assert_passed();
    let text = gateway.setup().text();
    gateway.setup().write("keys.json", b"{\"keys\": []}");
    gateway.reload(&text);
    for token in [&seen, &fresh] {
        show(&gateway, token).assert_refused(401, "credential-rejected");
    }
    let keys = every_key().to_string();
    gateway.setup().write("keys.json", keys.as_bytes());
    gateway.reload(&text);
    show(&gateway, &fresh).assert_passed();
}

#[test]
fn issuers_that_share_keys_and_a_field_each_get_the_tokens_that_are_theirs() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream);
    setup.write("keys.json", every_key().to_string().as_bytes());
    let twin = "https://twin.example";
    let other = section("file:keys.json", "")
        .replace("issuers.outside", "issuers.twin")
        .replace(AUD, twin)
        .replace("\"mobile\"", "\"other\"");
    let gateway = setup
        .more(&section("file:keys.json", ""))
        .more(&other)
        .start();
    let (first, second) = (token().text(), token().claim("aud", twin).text());
    let of_first = (&first, "mobile", "outside/ES256");
    let of_second = (&second, "other", "twin/ES256");
    // From the cache the second time.
    for (number, (text, app, key)) in [of_first, of_second, of_second, of_first]
        .into_iter()
        .enumerate()
    {
        show(&gateway, text).assert_passed();
        let got = upstream.got(number);
        assert_eq!(got.field("portcullis-app"), Some(app));
        assert_eq!(got.field("portcullis-key"), Some(key));
    }
    let nobodys = token().claim("aud", "https://nobody.example").text();
    let answer = show(&gateway, &nobodys);
    answer.assert_refused(401, "credential-rejected");
    assert!(answer.text().contains("aud"), "{}", answer.text());
}

#[test]
fn a_claim_says_which_app_a_token_stands_for() {
    let upstream = Upstream::start();
    let more = "claim = [\"access\", \"roles\"]\napps = [{ value = \"1:2:ios:3\", app = \"mobile\" }, { value = \"partner of ours\", app = \"other\" }, { value = \"1:2:android:3\", app = \"mobile\" }]";
    let gateway = start(&upstream, more);
    let with = |value: Value| token().claim("access", json!({ "roles": value })).text();
    for (number, (value, app)) in [
        (json!("1:2:ios:3"), "mobile"),
        (json!("partner of ours"), "other"),
        (json!(["nobody", "partner of ours"]), "other"),
        (json!(["1:2:ios:3", "1:2:android:3"]), "mobile"),
    ]
    .into_iter()
    .enumerate()
    {
        show(&gateway, &with(value)).assert_passed();
        assert_eq!(upstream.got(number).field("portcullis-app"), Some(app));
    }
    for value in [
        json!("mobile"),
        json!("1:2:IOS:3"),
        json!(["1:2:ios:3", "partner of ours"]),
        json!(["1:2:ios:3", 1]),
        json!([]),
        json!(1),
        json!(null),
        json!({ "1:2:ios:3": 1 }),
    ] {
        let answer = show(&gateway, &with(value.clone()));
        answer.assert_refused(401, "credential-rejected");
        assert!(answer.text().contains("stands for no app"), "{value}");
    }
    show(&gateway, &token().text()).assert_refused(401, "credential-rejected");
    let flat = token().claim("access", "1:2:ios:3").text();
    show(&gateway, &flat).assert_refused(401, "credential-rejected");
}

#[test]
fn a_claim_narrows_the_scopes_of_the_app_and_never_adds_to_them() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "scope_claim = \"scp\"");
    for (number, (value, scopes)) in [
        (json!("orders admin"), "orders"),
        (json!(["read", "orders"]), "orders read"),
        (json!(["read orders"]), "orders read"),
    ]
    .into_iter()
    .enumerate()
    {
        show(&gateway, &token().claim("scp", value).text()).assert_passed();
        let got = upstream.got(number);
        assert_eq!(got.field("portcullis-scopes"), Some(scopes));
    }
    // `scope` is another claim; without the one that counts there is none.
    show(&gateway, &token().claim("scope", "orders").text()).assert_passed();
    assert_eq!(upstream.got(3).field("portcullis-scopes"), Some(""));
    // Where another claim tells the scopes, `scope` may be what its issuer likes.
    let listed = token()
        .claim("scp", json!(["orders"]))
        .claim("scope", json!(["openid"]));
    show(&gateway, &listed.text()).assert_passed();
    let odd = token().claim("scp", json!([1])).text();
    show(&gateway, &odd).assert_refused(401, "credential-rejected");
}

#[test]
fn an_app_that_is_switched_off_is_so_for_tokens_of_issuers_too() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream).app("enabled = false");
    setup.write("keys.json", every_key().to_string().as_bytes());
    let gateway = setup.more(&section("file:keys.json", "")).start();
    show(&gateway, &token().text()).assert_refused(403, "app-disabled");
}

#[test]
fn firebase_app_check_opens_a_route() {
    let upstream = Upstream::start();
    // In front of its number stands a zero, as App Check writes it.
    let mut key = Pair::of("rsa-v1_5-sha256").jwk("abc-1");
    let modulus = key["n"].as_str().unwrap().as_bytes();
    let modulus = BASE64URL_NOPAD.decode(modulus).unwrap();
    key["n"] = BASE64URL_NOPAD
        .encode(&[&[0][..], &modulus].concat())
        .into();
    let issuer = Issuer::start(&set(&[key]));
    let project = "projects/123456789012";
    let iss = "https://firebaseappcheck.googleapis.com/123456789012";
    let text = format!(
        "[issuers.firebase]\nissuer = \"{iss}\"\naudience = \"{project}\"\nalgorithms = [\"RS256\"]\njwks = \"{}\"\n\
         headers = [\"X-Firebase-AppCheck\"]\nclaim = \"sub\"\napps = [{{ value = \"1:123456789012:android:aa\", app = \"mobile\" }}]\nattests = true\n",
        issuer.url()
    );
    let gateway = Setup::before(&upstream).more(&text).start();
    let made = |app: &str| {
        signed("rsa-v1_5-sha256")
            .header("kid", "abc-1")
            .claim("iss", iss)
            .claim("aud", json!([project, "projects/my-project"]))
            .claim("sub", app)
            .claim("provider", "play_integrity")
            .text()
    };
    let good = made("1:123456789012:android:aa");
    show_in(&gateway, "X-Firebase-AppCheck", &good).assert_passed();
    let got = upstream.only();
    assert_eq!(got.field("portcullis-app"), Some("mobile"));
    assert_eq!(got.field("portcullis-key"), Some("firebase/abc-1"));
    assert_eq!(got.field("portcullis-assurance"), Some("attested"));
    assert_eq!(got.field("x-firebase-appcheck"), None);
    let other = made("1:123456789012:android:bb");
    show_in(&gateway, "X-Firebase-AppCheck", &other).assert_refused(401, "credential-rejected");
}

#[test]
fn approov_opens_a_route_and_its_tokens_are_bound_to_the_user() {
    let upstream = Upstream::start();
    let secret = b"a-secret-of-approov-that-has-64-bytes-as-its-own-have-in-base64!";
    let setup = Setup::before(&upstream).route("bind = \"authorization\"");
    let text = format!("base64:{}", data_encoding::BASE64.encode(secret));
    setup.write_secret("approov.secret", text.as_bytes());
    let gateway = setup
        .more("[issuers.approov]\nalgorithms = [\"HS256\"]\nsecret = \"file:approov.secret\"\nheaders = [\"Approov-Token\"]\napp = \"mobile\"\n")
        .start();
    // As its cloud makes them: no `kid`, no `iat`, an address and an identifier of the device.
    let made = |secret: &[u8]| {
        Token::new()
            .without_header("kid")
            .without("iat")
            .claim("did", "ExampleApproovTokenDID==")
            .claim("ip", "1.2.3.4")
            .paying("Bearer of-the-user")
            .signed_with(secret)
            .text()
    };
    let ask = |token: &str, user: &str| {
        let request = gateway.request("GET", "/orders/7");
        gateway.send(
            &request
                .field("Approov-Token", token)
                .field("Authorization", user),
        )
    };
    ask(&made(secret), "Bearer of-the-user").assert_passed();
    assert_eq!(upstream.only().field("portcullis-key"), Some("approov"));
    ask(&made(secret), "Bearer of-another").assert_refused(401, "binding-mismatch");
    // A device that is not trusted gets a token that looks the same.
    ask(&made(&secret[1..]), "Bearer of-the-user").assert_refused(401, "credential-rejected");
}

#[test]
fn keys_are_fetched_before_the_gateway_listens() {
    let upstream = Upstream::start();
    let issuer = Issuer::start(&every_key());
    let gateway = fetching(&upstream, &issuer, "");
    show(&gateway, &token().text()).assert_passed();
    assert_eq!(issuer.asked(), 1);
    let head = issuer.heard(0).to_ascii_lowercase();
    assert!(head.starts_with("get /keys?v=1 http/1.1\r\n"), "{head}");
    for field in [
        "host: 127.0.0.1:",
        "accept: application/json",
        "user-agent: portcullis-issuers",
    ] {
        assert!(head.contains(field), "{head}");
    }
}

#[test]
fn a_flood_of_unknown_keys_reaches_an_issuer_once_in_its_cooldown() {
    let upstream = Upstream::start();
    let issuer = Issuer::start(&every_key());
    let gateway = fetching(&upstream, &issuer, "cooldown = \"1h\"");
    for number in 0..300 {
        let unknown = token().header("kid", format!("unknown-{number}")).text();
        show(&gateway, &unknown).assert_refused(401, "credential-rejected");
    }
    assert_eq!(issuer.asked(), 1);
    show(&gateway, &token().text()).assert_passed();
}

#[test]
fn a_flood_beside_keys_that_are_too_old_reaches_an_issuer_once_in_its_cooldown() {
    let upstream = Upstream::start();
    let issuer = Issuer::start(&every_key());
    let gateway = fetching(&upstream, &issuer, "cooldown = \"1h\"\nstale = \"2h\"");
    gateway.advance(7_200);
    let late = token().claim("iat", T0 + 7_200).claim("exp", T0 + 10_800);
    let unknown = late.clone().header("kid", "unknown");
    let both = [late.text(), unknown.text()];
    for text in both.iter().cycle().take(600) {
        show(&gateway, text).assert_refused(401, "credential-rejected");
    }
    assert_eq!(issuer.asked(), 1);
}

#[test]
fn keys_that_have_become_too_old_are_fetched_when_a_token_names_one() {
    let upstream = Upstream::start();
    let issuer = Issuer::start(&every_key());
    let gateway = fetching(&upstream, &issuer, "cooldown = \"1ms\"\nstale = \"2h\"");
    show(&gateway, &token().text()).assert_passed();
    // As after a night's sleep of the machine: it is not yet time for `refresh`.
    gateway.advance(7_200);
    let late = token()
        .claim("iat", T0 + 7_200)
        .claim("exp", T0 + 9_000)
        .text();
    show(&gateway, &late).assert_refused(401, "credential-rejected");
    wait_until("the same keys", || show(&gateway, &late).status == 200);
}

#[test]
fn a_new_key_is_fetched_though_another_issuer_has_one_of_its_name() {
    let upstream = Upstream::start();
    let issuer = Issuer::start(&set(&[p256("old")]));
    let setup = Setup::before(&upstream);
    let other = set(&[Pair::of("rsa-v1_5-sha256").jwk("1")]);
    setup.write("keys.json", other.to_string().as_bytes());
    let other = section("file:keys.json", "").replace("issuers.outside", "issuers.other");
    let gateway = setup
        .more(&other)
        .more(&section(&issuer.url(), "cooldown = \"1ms\""))
        .start();
    let new = token().header("kid", "1").text();
    issuer.serve(&set(&[p256("1")]));
    show(&gateway, &new).assert_refused(401, "credential-rejected");
    wait_until("the new key", || show(&gateway, &new).status == 200);
    let others = signed("rsa-v1_5-sha256").header("kid", "1").text();
    show(&gateway, &others).assert_passed();
}

#[test]
fn issuers_with_secrets_use_up_no_tries_of_those_with_key_sets() {
    let upstream = Upstream::start();
    let mut setup = Setup::before(&upstream);
    setup.write("keys.json", every_key().to_string().as_bytes());
    let secrets = ["a", "b", "c", "d"].map(|name| (name, name.repeat(64)));
    for (name, secret) in &secrets {
        setup.write_secret(&format!("{name}.secret"), secret.as_bytes());
        setup = setup.more(&format!(
            "[issuers.{name}]\nalgorithms = [\"HS256\"]\nsecret = \"file:{name}.secret\"\napp = \"mobile\"\n"
        ));
    }
    let last = section("file:keys.json", "").replace("issuers.outside", "issuers.z");
    let gateway = setup.more(&last).start();
    for pair in pairs().into_iter().filter(|pair| pair.jose.is_some()) {
        show(&gateway, &signed(pair.algorithm).text()).assert_passed();
    }
    for (_, secret) in &secrets {
        let text = Token::new().signed_with(secret.as_bytes()).text();
        show(&gateway, &text).assert_passed();
    }
}

#[test]
fn a_new_key_is_fetched_when_a_token_names_it() {
    let upstream = Upstream::start();
    let issuer = Issuer::start(&set(&[p256("old")]));
    let gateway = fetching(&upstream, &issuer, "cooldown = \"1ms\"");
    let (old, new) = (
        token().header("kid", "old").text(),
        token().header("kid", "new").text(),
    );
    show(&gateway, &old).assert_passed();
    assert_eq!(issuer.asked(), 1);
    issuer.serve(&set(&[p256("new")]));
    // The first is refused, and makes us ask.
    show(&gateway, &new).assert_refused(401, "credential-rejected");
    wait_until("the new key", || show(&gateway, &new).status == 200);
    // What was verified with a key that is gone is verified again.
    show(&gateway, &old).assert_refused(401, "credential-rejected");
}

#[test]
fn an_issuer_that_gives_its_keys_no_names_changes_them_one_after_the_other() {
    let upstream = Upstream::start();
    let folder = tempfile::tempdir().unwrap();
    let [old, new] = [(); 2].map(|()| {
        let pair = Pair::of("ecdsa-p256-sha256").stranger(folder.path());
        let mut jwk = pair.jwk("");
        jwk.as_object_mut().unwrap().remove("kid");
        let signer = Caller::new("outside", &[]).pair(pair);
        let text = token().without_header("kid").signed_by(signer).text();
        (jwk, text)
    });
    let issuer = Issuer::start(&set(std::slice::from_ref(&old.0)));
    let gateway = fetching(&upstream, &issuer, "cooldown = \"1ms\"");
    // One that names a key has them fetched.
    let ask = || show(&gateway, &token().header("kid", "any").text());
    show(&gateway, &old.1).assert_passed();
    show(&gateway, &new.1).assert_refused(401, "credential-rejected");
    issuer.serve(&set(&[old.0.clone(), new.0.clone()]));
    ask().assert_refused(401, "credential-rejected");
    wait_until("both keys", || show(&gateway, &new.1).status == 200);
    show(&gateway, &old.1).assert_passed();
    issuer.serve(&set(std::slice::from_ref(&new.0)));
    ask().assert_refused(401, "credential-rejected");
    wait_until("its end", || show(&gateway, &old.1).status == 401);
    show(&gateway, &new.1).assert_passed();
}

#[test]
fn keys_stay_while_their_issuer_is_down_but_not_for_ever() {
    let upstream = Upstream::start();
    let issuer = Issuer::start(&every_key());
    let gateway = fetching(&upstream, &issuer, "cooldown = \"1ms\"\nstale = \"2h\"");
    for (status, body) in [
        (503, ""),
        (302, ""),
        (200, "<html>"),
        (200, "{\"keys\":{}}"),
        (200, &*"x".repeat(300 * 1024)),
    ] {
        issuer.say(status, body);
        let asked = issuer.asked();
        show(&gateway, &token().header("kid", "unknown").text())
            .assert_refused(401, "credential-rejected");
        wait_until("a fetch", || issuer.asked() > asked);
        show(&gateway, &token().text()).assert_passed();
    }
    let late = token()
        .claim("iat", T0 + 7_000)
        .claim("exp", T0 + 9_000)
        .text();
    gateway.advance(7_000);
    show(&gateway, &late).assert_passed();
    let keys = |count: u32| {
        let line = format!("portcullis_issuer_keys{{issuer=\"outside\"}} {count}\n");
        let metrics = gateway.ask_admin("/metrics").text();
        assert!(metrics.contains(&line), "{metrics}");
    };
    keys(5);
    gateway.advance(300);
    show(&gateway, &late).assert_refused(401, "credential-rejected");
    keys(0);
    // Whoever raises it while the issuer is down, has them back.
    let text = gateway.setup().text();
    gateway.reload(&text.replace("stale = \"2h\"", "stale = \"3h\""));
    wait_until("the keys", || show(&gateway, &late).status == 200);
    keys(5);
    gateway.reload(&text);
    wait_until("their end", || show(&gateway, &late).status == 401);
}

#[test]
fn a_key_that_its_issuer_no_longer_lists_ends_though_no_other_can_be_used() {
    let upstream = Upstream::start();
    for listed in [set(&[]), set(&[Pair::of("rsa-v1_5-sha256").jwk("RS256")])] {
        let issuer = Issuer::start(&every_key());
        let more = "algorithms = [\"ES256\"]\ncooldown = \"1ms\"";
        let gateway = fetching(&upstream, &issuer, more);
        let seen = token().text();
        show(&gateway, &seen).assert_passed();
        issuer.serve(&listed);
        let unknown = token().header("kid", "unknown").text();
        show(&gateway, &unknown).assert_refused(401, "credential-rejected");
        wait_until("its end", || show(&gateway, &seen).status == 401);
        let new = token().claim("sub", "another").text();
        show(&gateway, &new).assert_refused(401, "credential-rejected");
        issuer.serve(&every_key());
        wait_until("the keys", || show(&gateway, &new).status == 200);
    }
}

#[test]
fn an_issuer_that_is_silent_makes_nobody_wait() {
    let upstream = Upstream::start();
    // Never allowed: it answers nothing.
    let (_allow, silent) = Upstream::held();
    let gateway = Setup::before(&upstream).start();
    let jwks = format!("http://{}/keys", silent.address());
    let text = gateway.setup().text();
    gateway.reload(&format!("{text}\n{}", section(&jwks, "")));
    wait_until("the question", || silent.heard().len() == 1);
    for _ in 0..3 {
        show(&gateway, &token().text()).assert_refused(401, "credential-rejected");
    }
    show_in(&gateway, "Portcullis-Token", &Token::new().text()).assert_passed();
    assert_eq!(silent.heard().len(), 1);
}

#[test]
fn keys_survive_a_reload_and_go_with_their_issuer() {
    let upstream = Upstream::start();
    let issuer = Issuer::start(&every_key());
    let gateway = fetching(&upstream, &issuer, "");
    let good = token().text();
    show(&gateway, &good).assert_passed();
    issuer.say(503, "");
    let text = gateway.setup().text();
    gateway.reload(&text.replace("audience =", "max_lifetime = \"2h\"\naudience ="));
    show(&gateway, &good).assert_passed();
    assert_eq!(issuer.asked(), 1);
    let (without, _) = text.split_once("[issuers.outside]").unwrap();
    gateway.reload(without);
    show(&gateway, &good).assert_refused(401, "credential-missing");
    // Back again, they are to be fetched.
    gateway.reload(&text);
    show(&gateway, &good).assert_refused(401, "credential-rejected");
    wait_until("a second question", || issuer.asked() == 2);
}

#[test]
fn a_reload_that_changes_what_keys_are_for_reads_those_that_are_there_anew() {
    let upstream = Upstream::start();
    let issuer = Issuer::start(&every_key());
    let gateway = fetching(&upstream, &issuer, "algorithms = [\"ES256\"]");
    let (ec, rsa) = (token().text(), signed("rsa-v1_5-sha256").text());
    show(&gateway, &ec).assert_passed();
    show(&gateway, &rsa).assert_refused(401, "credential-rejected");
    issuer.say(503, "");
    let text = gateway.setup().text();
    gateway.reload(&text.replace("[\"ES256\"]", "[\"ES256\", \"RS256\"]"));
    for text in [&ec, &rsa] {
        show(&gateway, text).assert_passed();
    }
    wait_until("a fetch that fails", || issuer.asked() == 2);
    for text in [&ec, &rsa] {
        show(&gateway, text).assert_passed();
    }
    gateway.reload(&text.replace("[\"ES256\"]", "[\"RS256\"]"));
    show(&gateway, &ec).assert_refused(401, "credential-rejected");
    show(&gateway, &rsa).assert_passed();
}

#[test]
fn a_reload_that_changes_whom_we_trust_keeps_the_keys_that_are_there() {
    let upstream = Upstream::start();
    let authority = Authority::new();
    let keys = every_key().to_string();
    let server = Secure::saying(&authority.certify("localhost"), &["http/1.1"], &keys);
    let jwks = format!("https://localhost:{}/keys", server.port());
    let setup = Setup::before(&upstream);
    setup.write("ca.pem", authority.pem().as_bytes());
    setup.write("other.pem", Authority::new().pem().as_bytes());
    let gateway = setup.more(&section(&jwks, "ca = \"file:ca.pem\"")).start();
    show(&gateway, &token().text()).assert_passed();
    let text = gateway.setup().text();
    gateway.reload(&text.replace("file:ca.pem", "file:other.pem"));
    // It is fetched anew at once, which fails.
    let failed = "portcullis_issuer_fetches_total{issuer=\"outside\",result=\"failure\"} 1";
    wait_until("a fetch", || {
        gateway.ask_admin("/metrics").text().contains(failed)
    });
    show(&gateway, &token().text()).assert_passed();
    gateway.reload(&text);
    let fetched = "portcullis_issuer_fetches_total{issuer=\"outside\",result=\"success\"} 2";
    wait_until("another fetch", || {
        gateway.ask_admin("/metrics").text().contains(fetched)
    });
    show(&gateway, &token().text()).assert_passed();
}

#[test]
fn what_a_reload_changes_holds_for_tokens_seen_before() {
    let upstream = Upstream::start();
    let issuer = Issuer::start(&every_key());
    let gateway = fetching(&upstream, &issuer, "");
    let good = token().text();
    show(&gateway, &good).assert_passed();
    let text = gateway.setup().text();
    gateway.reload(&text.replace(AUD, "https://other.example"));
    show(&gateway, &good).assert_refused(401, "credential-rejected");
    assert_eq!(issuer.asked(), 1);
}

#[test]
fn keys_come_over_tls_from_whom_we_trust_and_from_nobody_else() {
    let upstream = Upstream::start();
    let authority = Authority::new();
    let keys = every_key().to_string();
    let server = Secure::saying(&authority.certify("localhost"), &["http/1.1"], &keys);
    let jwks = format!("https://localhost:{}/keys", server.port());
    for (ca, status) in [(&authority, 200), (&Authority::new(), 401)] {
        let setup = Setup::before(&upstream);
        setup.write("ca.pem", ca.pem().as_bytes());
        let gateway = setup.more(&section(&jwks, "ca = \"file:ca.pem\"")).start();
        assert_eq!(show(&gateway, &token().text()).status, status);
        let metrics = gateway.ask_admin("/metrics").text();
        let result = if status == 200 { "success" } else { "failure" };
        let line =
            format!("portcullis_issuer_fetches_total{{issuer=\"outside\",result=\"{result}\"}} 1");
        assert!(metrics.contains(&line), "{metrics}");
    }
}

#[test]
fn metrics_tell_of_the_keys_of_each_issuer() {
    let upstream = Upstream::start();
    let issuer = Issuer::start(&every_key());
    let gateway = fetching(&upstream, &issuer, "");
    gateway.advance(90);
    let metrics = gateway.ask_admin("/metrics").text();
    for line in [
        "portcullis_issuer_fetches_total{issuer=\"outside\",result=\"success\"} 1",
        "portcullis_issuer_fetches_total{issuer=\"outside\",result=\"failure\"} 0",
        "portcullis_issuer_keys{issuer=\"outside\"} 5",
        "portcullis_issuer_keys_age_seconds{issuer=\"outside\"} 90",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
}
