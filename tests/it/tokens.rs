//! Requests that show a token.

use crate::harness::setup::{OTHER_SECRET, SECRET};
use crate::harness::token::part;
use crate::harness::{Gateway, Request, Response, Setup, T0, Token, Upstream, caller};
use data_encoding::{BASE64URL, BASE64URL_NOPAD};
use serde_json::{Value, json};

fn gateway() -> (Upstream, Gateway) {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    (upstream, gateway)
}

fn show(gateway: &Gateway, token: &str) -> Response {
    gateway.send(
        &gateway
            .request("GET", "/orders/7?x=1")
            .field("Portcullis-Token", token),
    )
}

#[track_caller]
fn assert_rejected(gateway: &Gateway, token: &str) {
    let response = show(gateway, token);
    let code = if response.status < 500 {
        response.code()
    } else {
        String::new()
    };
    assert!(
        matches!(
            (response.status, code.as_str()),
            (
                401,
                "credential-rejected" | "credential-expired" | "clock-skew"
            ) | (400, "malformed-credential")
        ),
        "{token}: {} {}",
        response.status,
        response.text()
    );
}

#[test]
fn a_token_signed_with_an_apps_key_passes_many_times_and_with_any_method() {
    let (upstream, gateway) = gateway();
    let token = Token::new().text();
    for method in ["GET", "POST", "DELETE", "GET"] {
        let request = gateway
            .request(method, "/orders/7")
            .field("Portcullis-Token", &token);
        gateway.send(&request).assert_passed();
    }
    let got = upstream.got(0);
    assert_eq!(got.field("portcullis-app"), Some("mobile"));
    assert_eq!(got.field("portcullis-scheme"), Some("token"));
    assert_eq!(got.field("portcullis-assurance"), Some("key"));
    assert_eq!(got.field("portcullis-token"), None);
}

#[test]
fn a_token_has_no_say_about_the_body() {
    let (upstream, gateway) = gateway();
    let request = gateway
        .request("POST", "/orders")
        .field("Portcullis-Token", &Token::new().text())
        .body("anything");
    gateway.send(&request).assert_passed();
    assert_eq!(upstream.only().body, b"anything");
}

#[test]
fn a_type_is_not_demanded_but_must_be_jwt() {
    let (_upstream, gateway) = gateway();
    for token in [
        Token::new().without_header("typ"),
        Token::new().header("typ", "JWT"),
        Token::new().header("typ", "jwt"),
    ] {
        assert_eq!(show(&gateway, &token.text()).status, 200, "{token:?}");
    }
    for kind in [
        json!("at+jws"),
        json!("dpop+jwt"),
        json!("JOSE"),
        json!(1),
        json!(null),
    ] {
        assert_rejected(&gateway, &Token::new().header("typ", kind).text());
    }
}

#[test]
fn another_algorithm_than_the_keys_is_refused() {
    let (upstream, gateway) = gateway();
    for algorithm in [
        "none", "None", "HS512", "HS384", "RS256", "ES256", "hs256", "",
    ] {
        let token = Token::new().header("alg", algorithm);
        assert_rejected(&gateway, &token.text());
        let unsigned = token.text();
        let unsigned = &unsigned[..=unsigned.rfind('.').unwrap()];
        assert_rejected(&gateway, unsigned);
    }
    assert_rejected(&gateway, &Token::new().without_header("alg").text());
    assert_rejected(
        &gateway,
        &Token::new().header("alg", json!(["HS256"])).text(),
    );
    upstream.assert_silent();
}

#[test]
fn the_key_is_named_by_kid_and_nothing_else() {
    let (upstream, gateway) = gateway();
    assert_rejected(&gateway, &Token::new().without_header("kid").text());
    for kid in [
        json!("unknown"),
        json!(1),
        json!(null),
        json!(""),
        json!("../mobile-2026"),
        json!("other-2026"),
    ] {
        assert_rejected(&gateway, &Token::new().header("kid", kid).text());
    }
    for (name, value) in [
        ("jku", json!("https://example.com/keys")),
        ("jwk", json!({ "kty": "oct", "k": "AAAA" })),
        ("x5u", json!("https://example.com/cert")),
        ("x5c", json!(["AAAA"])),
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("zip", json!("DEF")),
        ("b64", json!(false)),
    ] {
        assert_rejected(&gateway, &Token::new().header(name, value).text());
    }
    upstream.assert_silent();
}

#[test]
fn unknown_keys_and_wrong_signatures_have_the_same_answer() {
    let (_upstream, gateway) = gateway();
    let unknown = show(&gateway, &Token::new().header("kid", "mobile-2099").text());
    let wrong = show(&gateway, &Token::new().signed_with(OTHER_SECRET).text());
    assert_eq!(unknown.seen(), wrong.seen());
    unknown.assert_refused(401, "credential-rejected");
}

#[test]
fn a_key_is_bound_to_its_app() {
    let (upstream, gateway) = gateway();
    let token = Token::new()
        .header("kid", "other-2026")
        .signed_with(OTHER_SECRET);
    assert_eq!(show(&gateway, &token.text()).status, 200);
    assert_eq!(upstream.only().field("portcullis-app"), Some("other"));
}

#[test]
fn an_expiry_is_needed_and_obeyed() {
    let (upstream, gateway) = gateway();
    assert_rejected(&gateway, &Token::new().without("exp").text());
    show(
        &gateway,
        &Token::new()
            .claim("exp", T0 - 1)
            .claim("iat", T0 - 60)
            .text(),
    )
    .assert_refused(401, "credential-expired");
    show(
        &gateway,
        &Token::new().claim("exp", T0).claim("iat", T0 - 60).text(),
    )
    .assert_refused(401, "credential-expired");
    for exp in [
        json!("1800000300"),
        json!(-1),
        json!(-0.5),
        json!(1e30),
        json!(null),
        json!(true),
        json!([T0 + 300]),
        json!(1e11),
        json!(100_000_000_001_u64),
        json!(18_446_744_073_709_551_615_u64),
        json!({}),
    ] {
        assert_rejected(&gateway, &Token::new().claim("exp", exp).text());
    }
    upstream.assert_silent();
}

#[test]
fn a_token_that_passed_before_is_refused_once_it_has_expired() {
    let (_upstream, gateway) = gateway();
    let token = Token::new().text();
    assert_eq!(show(&gateway, &token).status, 200);
    gateway.advance(299);
    assert_eq!(show(&gateway, &token).status, 200);
    gateway.advance(1);
    show(&gateway, &token).assert_refused(401, "credential-expired");
}

#[test]
fn a_lifetime_over_the_cap_is_refused_with_or_without_iat() {
    let (upstream, gateway) = gateway();
    assert_rejected(&gateway, &Token::new().claim("exp", T0 + 901).text());
    assert_rejected(
        &gateway,
        &Token::new()
            .claim("exp", T0 + 100_000)
            .without("iat")
            .text(),
    );
    assert_rejected(
        &gateway,
        &Token::new()
            .claim("iat", T0 - 700)
            .claim("exp", T0 + 300)
            .text(),
    );
    upstream.assert_silent();
    assert_eq!(
        show(&gateway, &Token::new().claim("exp", T0 + 900).text()).status,
        200
    );
}

#[test]
fn a_token_from_the_future_is_refused() {
    let (upstream, gateway) = gateway();
    for name in ["iat", "nbf"] {
        assert_rejected(&gateway, &Token::new().claim(name, T0 + 31).text());
        for wrong in [json!("1"), json!(1e30), json!(null), json!(-5), json!([])] {
            assert_rejected(&gateway, &Token::new().claim(name, wrong).text());
        }
    }
    upstream.assert_silent();
    assert_eq!(
        show(&gateway, &Token::new().claim("nbf", T0 - 5).text()).status,
        200
    );
    assert_eq!(
        show(&gateway, &Token::new().claim("iat", T0 + 20).text()).status,
        200
    );
}

#[test]
fn the_audience_must_be_ours_where_we_name_one() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream)
        .tokens("audience = \"https://api.example.com\"")
        .start();
    assert_rejected(&gateway, &Token::new().text());
    for audience in [
        json!("https://api.example.org"),
        json!([]),
        json!(["x"]),
        json!(1),
        json!(null),
        json!("https://api.example.com/"),
        json!([1]),
    ] {
        assert_rejected(&gateway, &Token::new().claim("aud", audience).text());
    }
    upstream.assert_silent();
    for audience in [
        json!("https://api.example.com"),
        json!(["x", "https://api.example.com"]),
    ] {
        let token = Token::new().claim("aud", audience).text();
        assert_eq!(show(&gateway, &token).status, 200);
    }
}

#[test]
fn a_scope_claim_narrows_and_never_widens() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream)
        .app("scopes = [\"orders\", \"items\"]")
        .routes(
            "[[routes]]\nname = \"orders\"\npath = \"/orders\"\nupstream = \"backend\"\naccept = [\"token\"]\nscopes = [\"orders\"]\n\
             [[routes]]\nname = \"admin\"\npath = \"/admin\"\nupstream = \"backend\"\naccept = [\"token\"]\nscopes = [\"admin\"]\n",
        )
        .start();
    let ask = |target: &str, token: &Token| {
        let request = Request::new("GET", target)
            .to(gateway.address())
            .field("Portcullis-Token", &token.text());
        gateway.send(&request)
    };
    ask("/orders", &Token::new()).assert_passed();
    ask("/orders", &Token::new().claim("scope", "orders")).assert_passed();
    ask("/orders", &Token::new().claim("scope", "items")).assert_refused(403, "scope-missing");
    ask("/orders", &Token::new().claim("scope", "")).assert_refused(403, "scope-missing");
    ask("/admin", &Token::new().claim("scope", "admin orders"))
        .assert_refused(403, "scope-missing");
    for wrong in [json!(1), json!(["orders"]), json!(null), json!({})] {
        let response = ask("/orders", &Token::new().claim("scope", wrong));
        assert!((400..404).contains(&response.status), "{}", response.text());
    }
    let narrowed = upstream
        .heard()
        .into_iter()
        .nth(1)
        .expect("two requests passed");
    assert_eq!(narrowed.field("portcullis-scopes"), Some("orders"));
}

#[test]
fn a_route_can_demand_that_a_token_is_bound_to_authorization() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream)
        .route("bind = \"authorization\"")
        .start();
    let ask = |token: &Token, authorization: Option<&str>| {
        let mut request = gateway
            .request("GET", "/")
            .field("Portcullis-Token", &token.text());
        if let Some(value) = authorization {
            request = request.field("Authorization", value);
        }
        gateway.send(&request)
    };
    let bound = Token::new().paying("Bearer of-the-user");
    for (token, authorization) in [
        (&Token::new(), Some("Bearer of-the-user")),
        (&Token::new(), None),
        (&bound, Some("Bearer of-another")),
        (&bound, Some("bearer of-the-user")),
        (&bound, None),
        (&Token::new().claim("pay", ""), Some("Bearer of-the-user")),
        (&Token::new().claim("pay", 1), Some("Bearer of-the-user")),
    ] {
        let response = ask(token, authorization);
        assert!(
            [
                ("binding-mismatch".to_owned(), 401),
                ("credential-rejected".to_owned(), 401)
            ]
            .contains(&(response.code(), response.status)),
            "{}",
            response.text()
        );
    }
    upstream.assert_silent();
    ask(&bound, Some("Bearer of-the-user")).assert_passed();
    assert_eq!(
        upstream.only().field("authorization"),
        Some("Bearer of-the-user")
    );
}

#[test]
fn a_binding_is_obeyed_where_no_route_asks_for_it() {
    let (upstream, gateway) = gateway();
    let token = Token::new().paying("Bearer of-the-user").text();
    let request = gateway
        .request("GET", "/")
        .field("Portcullis-Token", &token);
    let other = request.clone().field("Authorization", "Bearer of-another");
    gateway.send(&other).assert_refused(401, "binding-mismatch");
    upstream.assert_silent();
}

#[test]
fn a_confirmation_that_we_cannot_check_is_refused() {
    let (upstream, gateway) = gateway();
    for cnf in [
        json!({ "jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" }),
        json!({}),
        json!(1),
    ] {
        let response = show(&gateway, &Token::new().claim("cnf", cnf).text());
        assert_eq!(response.status, 401, "{}", response.text());
    }
    upstream.assert_silent();
}

#[test]
fn what_is_no_compact_jws_is_refused() {
    let (upstream, gateway) = gateway();
    let good = Token::new().text();
    let parts: Vec<&str> = good.split('.').collect();
    let [header, claims, mac] = parts[..] else {
        panic!("three parts")
    };
    let padded = BASE64URL.encode(&BASE64URL_NOPAD.decode(mac.as_bytes()).unwrap());
    // 32 bytes end in a letter of which two bits are unused: another letter is another spelling of the same bytes.
    let last = mac.chars().last().unwrap();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let next = alphabet
        .chars()
        .nth(alphabet.find(last).unwrap() + 1)
        .unwrap();
    let respelled = format!("{}{next}", &mac[..mac.len() - 1]);
    let long = format!("{header}.{}.{mac}", "A".repeat(9000));
    for token in [
        String::new(),
        ".".into(),
        "..".into(),
        "...".into(),
        header.into(),
        format!("{header}.{claims}"),
        format!("{header}.{claims}."),
        format!("{header}.{claims}.{mac}."),
        format!("{header}.{claims}.{mac}.x"),
        format!("{header}.{claims}.{padded}"),
        format!("{header}.{claims}.{respelled}"),
        format!("{header}.{claims}.{}", &mac[..42]),
        format!(".{claims}.{mac}"),
        format!("{header}..{mac}"),
        format!("{header}=.{claims}.{mac}"),
        format!(" {header}.{claims} .{mac}"),
        format!("Bearer {good}"),
        format!("{good},{good}"),
        format!("{{\"payload\":\"{claims}\"}}"),
        long,
    ] {
        let response = show(&gateway, &token);
        assert!(
            (400..402).contains(&response.status),
            "{token}: {}",
            response.text()
        );
    }
    upstream.assert_silent();
}

#[test]
fn json_with_two_readings_is_refused() {
    let (upstream, gateway) = gateway();
    let token = Token::new();
    let header = token.header_text();
    let claims = token.claims_text();
    let deep = format!(
        "{{\"exp\":{},\"x\":{}1{}}}",
        T0 + 300,
        "[".repeat(64),
        "]".repeat(64)
    );
    for (header, claims) in [
        (header.replace('{', "{\"alg\":\"none\","), claims.clone()),
        (
            header.replace('{', "{\"kid\":\"other-2026\","),
            claims.clone(),
        ),
        (header.clone(), claims.replace('{', "{\"exp\":1,")),
        (header.clone(), format!("{claims} ")).clone(),
        (header.clone(), claims.replace('{', "[").replace('}', "]")),
        (header.clone(), "null".into()),
        (header.clone(), String::new()),
        (header.clone(), format!("{claims}{claims}")),
        (header.clone(), format!("\u{feff}{claims}")),
        (
            header.clone(),
            claims
                .replace("exp", "e\\u0078p")
                .replace('{', "{\"exp\":1,"),
        ),
        (header.clone(), deep),
        ("[]".into(), claims.clone()),
        (format!("{header}x"), claims.clone()),
    ] {
        let text = token.text_of(&header, &claims);
        let response = show(&gateway, &text);
        if claims.ends_with("} ") {
            // White space around JSON has one reading only.
            assert!([200, 400, 401].contains(&response.status));
            continue;
        }
        assert!(
            (400..402).contains(&response.status),
            "{header} {claims}: {} {}",
            response.status,
            response.text()
        );
    }
    let invalid = BASE64URL_NOPAD.encode(&[b'{', 0xff, b'}']);
    let response = show(
        &gateway,
        &format!("{}.{invalid}.{}", part(&header), part("x")),
    );
    assert!((400..402).contains(&response.status), "{}", response.text());
    drop(upstream);
}

#[test]
fn a_token_sent_twice_or_beside_a_signature_is_refused() {
    let (upstream, gateway) = gateway();
    let token = Token::new().text();
    let twice = gateway
        .request("GET", "/")
        .field("Portcullis-Token", &token)
        .field("Portcullis-Token", &token);
    let response = gateway.send(&twice);
    assert_eq!(response.status, 400, "{}", response.text());
    let both = caller().sign(&gateway.request("GET", "/"));
    let both = both.field("Portcullis-Token", &token);
    let response = gateway.send(&both);
    assert_eq!(response.status, 400, "{}", response.text());
    upstream.assert_silent();
}

#[test]
fn authorization_is_a_tokens_place_only_where_the_config_says_so() {
    let (upstream, gateway) = gateway();
    let bearer = format!("Bearer {}", Token::new().text());
    let request = gateway.request("GET", "/").field("Authorization", &bearer);
    gateway
        .send(&request)
        .assert_refused(401, "credential-missing");
    upstream.assert_silent();

    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream)
        .tokens("headers = [\"authorization\"]")
        .start();
    let request = gateway.request("GET", "/").field("Authorization", &bearer);
    gateway.send(&request).assert_passed();
    assert_eq!(upstream.only().field("authorization"), None);
    let elsewhere = gateway
        .request("GET", "/")
        .field("Portcullis-Token", &Token::new().text());
    gateway
        .send(&elsewhere)
        .assert_refused(401, "credential-missing");
}

#[test]
fn a_token_is_refused_where_the_route_takes_signatures_only() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream)
        .route("accept = [\"http-signature\"]")
        .start();
    show(&gateway, &Token::new().text()).assert_refused(401, "scheme-not-accepted");
    upstream.assert_silent();
}

#[test]
fn a_cached_token_is_refused_once_a_reload_takes_its_key_away() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream);
    let without = setup.text().replace("mobile-2026", "mobile-2027");
    let gateway = setup.start();
    let token = Token::new().text();
    for _ in 0..3 {
        assert_eq!(show(&gateway, &token).status, 200);
    }
    gateway.reload(&without);
    show(&gateway, &token).assert_refused(401, "credential-rejected");
}

#[test]
fn a_cached_token_is_refused_once_its_keys_time_is_over() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream)
        .more("[apps.dated]\nkeys = [{ id = \"dated\", algorithm = \"hmac-sha256\", secret = \"file:mobile.key\", not_after = 2027-01-15T08:01:00Z }]")
        .start();
    // T0 is 2027-01-15T08:00:00Z.
    let token = Token::new().header("kid", "dated").text();
    assert_eq!(show(&gateway, &token).status, 200);
    gateway.advance(60);
    show(&gateway, &token).assert_refused(401, "credential-rejected");
}

#[test]
fn a_longer_key_signs_with_its_own_algorithm_only() {
    let (_upstream, gateway) = gateway();
    let header = |algorithm: &str| {
        Token::new()
            .header("kid", "mobile-512")
            .header("alg", algorithm)
    };
    assert_rejected(&gateway, &header("HS512").sha512().text());
    assert_rejected(&gateway, &header("HS256").sha512().text());
    assert_rejected(&gateway, &header("HS256").signed_with(SECRET).text());
}

#[test]
fn claims_of_others_do_no_harm() {
    let (_upstream, gateway) = gateway();
    let mut token = Token::new().claim("sub", "someone").claim("jti", "1");
    for (name, value) in [
        ("iss", json!("https://id.example")),
        ("x", Value::Null),
        ("y", json!([1, { "z": 2 }])),
    ] {
        token = token.claim(name, value);
    }
    assert_eq!(show(&gateway, &token.text()).status, 200);
}
