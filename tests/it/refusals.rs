//! What a refused caller gets.

use crate::harness::{
    Binary, Caller, Gateway, Request, Response, Setup, Token, Upstream, caller, h2, now,
};
use portcullis::schemes::date;
use serde_json::Value;
use std::io::Write as _;

/// Fails unless the answer is a problem in the one form that all have.
#[track_caller]
fn assert_form(response: &Response, status: u16, code: &str) {
    response.assert_refused(status, code);
    let body = response.json();
    let members: Vec<_> = body.as_object().unwrap().keys().cloned().collect();
    for member in ["type", "title", "status", "code", "detail", "request_id"] {
        assert!(
            body.get(member).is_some(),
            "{code} has no `{member}`: {members:?}"
        );
    }
    assert_eq!(body["status"], status);
    assert!(
        body["type"]
            .as_str()
            .unwrap()
            .ends_with(&format!("#{code}")),
        "{body}"
    );
    assert!(!body["title"].as_str().unwrap().is_empty());
    let id = body["request_id"].as_str().unwrap();
    assert_eq!(id.len(), 32, "{id}");
    assert_eq!(response.field("portcullis-request-id").unwrap_or(id), id);
    assert_eq!(response.field("cache-control"), Some("no-store"), "{code}");
}

const ROUTES: &str = r#"
[[routes]]
name = "all"
path = "/all/**"
upstream = "backend"
accept = ["http-signature", "token"]
body = { limit = "1 KiB" }

[[routes]]
name = "get"
path = "/get"
methods = ["GET"]
upstream = "backend"
accept = ["public"]

[[routes]]
name = "signed"
path = "/signed"
upstream = "backend"
accept = ["http-signature"]

[[routes]]
name = "bound"
path = "/bound"
upstream = "backend"
accept = ["token"]
bind = "authorization"

[[routes]]
name = "scoped"
path = "/scoped"
upstream = "backend"
accept = ["token"]
scopes = ["admin"]

[[routes]]
name = "nobody"
path = "/nobody"
upstream = "nobody"
accept = ["public"]

[[routes]]
name = "slow"
path = "/slow"
upstream = "slow"
accept = ["public"]
"#;

#[test]
fn every_code_can_be_reached_and_has_the_one_form() {
    let upstream = Upstream::answering(|got, wire| match got.target() {
        "/slow" => wire.wait_for_close(),
        "/all/garbage" => {
            wire.send(b"garbage\r\n\r\n");
            wire.close();
        }
        _ => wire.answer(200, &[], b"hello"),
    });
    let gateway = Setup::before(&upstream)
        .routes(ROUTES)
        .app("plan = \"small\"")
        .more(&format!(
            "[plans.small]\nrate = \"1/s\"\nburst = 4\n\
             [upstreams.nobody]\nservers = [\"http://127.0.0.1:1\"]\n\
             [upstreams.slow]\nservers = [\"http://{}\"]\ntimeout = \"100ms\"\n\
             [apps.off]\nenabled = false\nkeys = [{{ id = \"off\", algorithm = \"hmac-sha256\", secret = \"file:mobile.key\" }}]\n",
            upstream.address()
        ))
        .start();
    let request = |method: &str, target: &str| gateway.request(method, target);
    let get = |target: &str| gateway.request("GET", target);
    let token = Token::new().text();
    let show = |target: &str, token: &str| get(target).field("Portcullis-Token", token);
    let once = caller().nonce("once").sign(&get("/all/x"));
    gateway.send(&once).assert_passed();
    let mut wrong_body = Caller::other().sign(&request("POST", "/all/x").body("right"));
    wrong_body.body = Some(b"wrong".to_vec());

    for (request, status, code) in [
        (
            get("/all/x").field("Host", "twice.example"),
            400,
            "malformed-request",
        ),
        (
            get("/all/x")
                .field("Signature", "x")
                .field("Signature-Input", "x=("),
            400,
            "malformed-credential",
        ),
        (get("/all/../x"), 400, "ambiguous-path"),
        (get("/all/x"), 401, "credential-missing"),
        (
            caller().key_id("unknown").sign(&get("/all/x")),
            401,
            "credential-rejected",
        ),
        (
            caller().covering(&["@method"]).sign(&get("/all/x")),
            401,
            "coverage-missing",
        ),
        (
            caller().at(now() - 9999).sign(&get("/all/x")),
            401,
            "clock-skew",
        ),
        (
            caller()
                .at(now() - 9)
                .parameter(&format!("expires={}", now() - 1))
                .sign(&get("/all/x")),
            401,
            "credential-expired",
        ),
        (once, 401, "replayed"),
        (wrong_body, 401, "digest-mismatch"),
        (show("/bound", &token), 401, "binding-mismatch"),
        (show("/signed", &token), 401, "scheme-not-accepted"),
        (show("/scoped", &token), 403, "scope-missing"),
        (
            caller().key_id("off").sign(&get("/all/x")),
            403,
            "app-disabled",
        ),
        (get("/elsewhere"), 404, "no-route"),
        (request("POST", "/get"), 405, "method-not-allowed"),
        (
            Caller::other().sign(&request("POST", "/all/x").body(vec![b'x'; 1025])),
            413,
            "body-too-large",
        ),
        (
            get(&format!("/get?{}", "x".repeat(9000))),
            414,
            "uri-too-long",
        ),
        (
            get("/get").field("X", &"x".repeat(40_000)),
            431,
            "headers-too-large",
        ),
        (get("/nobody"), 502, "upstream-unreachable"),
        (
            Caller::other().sign(&get("/all/garbage")),
            502,
            "upstream-invalid",
        ),
        (get("/slow"), 504, "upstream-timeout"),
    ] {
        let response = gateway.send(&request);
        assert_form(&response, status, code);
    }
    let refused = (0..8)
        .map(|_| gateway.send(&show("/all/x", &token)))
        .find(|response| response.status != 200)
        .expect("a limit");
    assert_form(&refused, 429, "rate-exceeded");
    assert!(refused.field("retry-after").is_some());
}

#[test]
fn a_head_that_does_not_come_is_a_408_or_a_closed_connection() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream)
        .server("head_timeout = \"200ms\"\nbody_timeout = \"200ms\"")
        .start();
    let mut connection = gateway.connect();
    connection.send(b"GET / HTTP/1.1\r\nHost: ");
    if let Some(response) = connection.try_response_to("GET") {
        assert_form(&response, 408, "request-timeout");
    }
    assert!(connection.is_closed());
    let mut connection = gateway.connect();
    let request = caller().sign(&gateway.request("POST", "/").body("never comes"));
    connection.send(&request.head());
    assert_form(&connection.response(), 408, "request-timeout");
    upstream.assert_silent();
}

#[test]
fn a_401_tells_how_to_sign() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    let response = gateway.send(&gateway.request("POST", "/orders?x=1").body("x"));
    response.assert_refused(401, "credential-missing");
    let accept = response
        .field("accept-signature")
        .expect("Accept-Signature");
    for part in [
        "\"@method\"",
        "\"@authority\"",
        "\"@path\"",
        "\"@query\"",
        "\"content-digest\"",
        "created",
    ] {
        assert!(accept.contains(part), "{part} is not in {accept}");
    }
    let want = response
        .field("want-content-digest")
        .expect("Want-Content-Digest");
    assert!(want.contains("sha-256="), "{want}");
    assert!(response.field("www-authenticate").is_some());
    let request = gateway
        .request("GET", "/")
        .field("Authorization", "Bearer x");
    let accept = gateway.send(&request);
    let accept = accept
        .field("accept-signature")
        .expect("Accept-Signature")
        .to_owned();
    assert!(accept.contains("\"authorization\""), "{accept}");
}

#[test]
fn a_401_that_is_due_to_the_body_asks_for_a_proof_like_every_other() {
    let upstream = Upstream::start();
    let both = "[\"http-signature\", \"token\"]";
    for (verify, accept) in [
        ("before-forwarding", "[\"http-signature\"]"),
        ("while-forwarding", both),
    ] {
        let gateway = Setup::before(&upstream)
            .route(&format!(
                "body = {{ verify = \"{verify}\" }}\naccept = {accept}"
            ))
            .tokens("headers = [\"Authorization\"]")
            .start();
        let request = gateway.request("POST", "/orders?x=1").body("right");
        let missing = gateway.send(&request);
        missing.assert_refused(401, "credential-missing");
        let mut wrong = caller().sign(&request);
        wrong.body = Some(b"wrong".to_vec());
        let mismatch = gateway.send(&wrong);
        mismatch.assert_refused(401, "digest-mismatch");
        for name in [
            "www-authenticate",
            "accept-signature",
            "want-content-digest",
        ] {
            let asked = missing.values(name);
            let challenges = if accept == both { 2 } else { 1 };
            let number = if name == "www-authenticate" {
                challenges
            } else {
                1
            };
            assert_eq!(asked.len(), number, "{name}: {asked:?}");
            assert_eq!(mismatch.values(name), asked, "{name}: {verify}");
        }
    }
}

#[test]
fn explained_refusals_show_the_base_and_others_do_not() {
    let upstream = Upstream::start();
    let plain = Setup::before(&upstream).start();
    let whole = Setup::before(&upstream).server("explain = true").start();
    let app = Setup::before(&upstream).app("explain = true").start();
    let ask = |gateway: &Gateway, signer: &Caller| {
        let request = signer
            .sign(
                &gateway
                    .request("POST", "/orders?x=1")
                    .field("Authorization", "Bearer canary-of-the-user")
                    .body("x"),
            )
            .change("Signature", |value| {
                if value.starts_with("sig=:A") {
                    value.replacen("sig=:A", "sig=:B", 1)
                } else {
                    format!("sig=:A{}", &value[6..])
                }
            });
        let response = gateway.send(&request);
        response.assert_refused(401, "credential-rejected");
        response
    };
    for gateway in [&whole, &app] {
        let response = ask(gateway, &caller());
        let text = response.text();
        for line in [
            "@method\\\": POST",
            "@path\\\": /orders",
            "@query\\\": ?x=1",
        ] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
        assert!(!text.contains("canary-of-the-user"), "{text}");
    }
    let response = ask(&app, &Caller::other());
    assert!(!response.text().contains("@method"), "{}", response.text());
    let response = ask(&plain, &caller());
    assert!(!response.text().contains("@method"), "{}", response.text());
}

#[test]
fn explained_refusals_say_whether_key_or_text_is_wrong() {
    use data_encoding::BASE64;
    use sha2::{Digest, Sha256};
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).server("explain = true").start();
    let request = gateway.request("GET", "/orders");
    let signer = caller().secret(b"not the secret of this very key!");
    let digest = |base: &str| format!("sha-256=:{}:", BASE64.encode(&Sha256::digest(base)));
    let same_text = signer
        .sign(&request)
        .field("Signature-Base-Digest", &digest(&signer.base(&request)));
    let key = gateway.send(&same_text);
    key.assert_refused(401, "credential-rejected");
    let other_text = signer
        .sign(&request)
        .field("Signature-Base-Digest", &digest("another text"));
    let text = gateway.send(&other_text);
    text.assert_refused(401, "credential-rejected");
    assert_ne!(key.detail(), text.detail());
}

#[test]
fn a_token_in_the_explained_base_is_digested() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream)
        .server("explain = true")
        .route("accept = [\"http-signature\"]")
        .start();
    let signer = caller()
        .secret(b"not the secret of this very key!")
        .covering(&["@method", "@target-uri", "authorization", "cookie"]);
    let request = gateway
        .request("GET", "/")
        .field("Authorization", "Bearer canary-1")
        .field("Cookie", "session=canary-2");
    let response = gateway.send(&signer.sign(&request));
    response.assert_refused(401, "credential-rejected");
    assert!(!response.text().contains("canary"), "{}", response.text());
}

const ROUTE_OF_EACH_SCHEME: &str = r#"
[[routes]]
name = "all"
path = "/**"
upstream = "backend"
accept = ["http-signature", "token"]

[[routes]]
name = "aws"
path = "/aws"
upstream = "backend"
accept = ["aws-sigv4"]

[[routes]]
name = "kong"
path = "/kong"
upstream = "backend"
accept = ["hmac-auth"]
dialect = "kong"
"#;

/// Requests by key `canary`, signed by hand as AWS's clients do in a field and
/// in a URL, and as for Kong; each with the MAC in it.
fn signed_otherwise(binary: &Binary, secret: &[u8], at: i64) -> [(Request, String); 3] {
    use data_encoding::{BASE64, HEXLOWER};
    use sha2::{Digest, Sha256};
    let mac = |key: &[u8], text: &str| Caller::new("canary", key).mac(text.as_bytes());
    let hash = |text: &str| HEXLOWER.encode(&Sha256::digest(text));
    let get = |target: &str| binary.request("GET", target);
    let (host, time, empty) = (binary.address(), date::write_basic(at), hash(""));

    let scope = format!("{}/us-east-1/api/aws4_request", &time[..8]);
    let first = [&b"AWS4"[..], secret].concat();
    let key = scope.split('/').fold(first, |key, part| mac(&key, part));
    let of_aws = |canonical: &str| {
        let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hash(canonical));
        HEXLOWER.encode(&mac(&key, &text))
    };
    let (token, list) = (
        "canary-of-a-session",
        "host;x-amz-date;x-amz-security-token",
    );
    let lines = format!("host:{host}\nx-amz-date:{time}\nx-amz-security-token:{token}\n");
    let in_field = of_aws(&format!("GET\n/aws\n\n{lines}\n{list}\n{empty}"));
    let field = format!(
        "AWS4-HMAC-SHA256 Credential=canary/{scope}, SignedHeaders={list}, Signature={in_field}"
    );
    let query = format!(
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=canary%2F{}&X-Amz-Date={time}&X-Amz-Expires=60&X-Amz-SignedHeaders=host",
        scope.replace('/', "%2F")
    );
    let in_url = of_aws(&format!("GET\n/aws\n{query}\nhost:{host}\n\nhost\n{empty}"));

    let date = date::write(at);
    let text = format!("GET /kong HTTP/1.1\ndate: {date}\nhost: {host}");
    let for_kong = BASE64.encode(&mac(secret, &text));
    let hmac = format!(
        "hmac username=\"canary\", algorithm=\"hmac-sha256\", headers=\"request-line date host\", signature=\"{for_kong}\""
    );
    let by_field = get("/aws")
        .field("X-Amz-Date", &time)
        .field("X-Amz-Security-Token", token)
        .field("Authorization", &field);
    let by_url = get(&format!("/aws?{query}&X-Amz-Signature={in_url}"));
    let as_for_kong = get("/kong")
        .field("Date", &date)
        .field("Authorization", &hmac);
    [
        (by_field, in_field),
        (by_url, in_url),
        (as_for_kong, for_kong),
    ]
}

#[test]
fn nothing_secret_reaches_an_answer_a_log_or_a_metric() {
    let upstream = Upstream::start();
    let binary = Setup::before(&upstream)
        .server("explain = true")
        .routes(ROUTE_OF_EACH_SCHEME)
        .app("explain = true")
        .more("[apps.canary]\nexplain = true\nkeys = [{ id = \"canary\", algorithm = \"hmac-sha256\", secret = \"file:canary.key\" }]");
    let secret = b"canary-secret-of-a-key-32-bytes!";
    binary.write_secret("canary.key", secret);
    let binary = Binary::spawn_talkative(binary);
    let now = Binary::now();
    let signer = Caller::new("canary", secret).at(now);
    let user = "Bearer canary-credential-of-the-user";
    let good = binary
        .request("GET", "/orders?password=canary-in-the-query")
        .field("Authorization", user)
        .field("Cookie", "session=canary-in-a-cookie");
    let guess = b"not the secret of this very key!";
    let wrong = signer.clone().secret(guess);
    let expected = data_encoding::BASE64.encode(&signer.mac(wrong.base(&good).as_bytes()));
    let token = Token::new()
        .header("kid", "canary")
        .claim("iat", now)
        .claim("exp", now + 60)
        .claim("note", "canary-in-a-token");
    let stale = Token::new()
        .header("kid", "canary")
        .claim("exp", now - 5)
        .claim("iat", now - 60)
        .signed_with(secret);
    let token = token.signed_with(secret).text();
    let stale = stale.text();
    let forged = format!("{}x", &token[..token.len() - 1]);
    let show = |token: &str| binary.request("GET", "/").field("Portcullis-Token", token);
    let shown = |response: &Response| {
        let fields = format!("{:?} {}", response.fields, response.text());
        (response.status, fields)
    };
    let mut answers = Vec::new();
    let otherwise = signed_otherwise(&binary, secret, now);
    for (request, _) in &otherwise {
        let response = binary.send(request);
        response.assert_passed();
        answers.push(shown(&response));
    }
    for (request, _) in signed_otherwise(&binary, guess, now) {
        for response in [binary.send(&request), h2::send(&request, binary.address())] {
            assert_eq!(response.json()["code"], "credential-rejected");
            answers.push(shown(&response));
        }
    }
    for request in [
        signer.sign(&good),
        wrong.sign(&good),
        signer.clone().at(now - 9999).sign(&good),
        signer.clone().covering(&["@method"]).sign(&good),
        signer
            .sign(&good)
            .change("Authorization", |value| format!("{value}x")),
        show(&token),
        show(&stale),
        show(&forged),
        show(&token).field("Portcullis-Token", &token),
        show("canary-that-is-no-token"),
        binary
            .request("GET", "/../canary?canary-in-the-query")
            .field("Authorization", user),
        good.clone(),
    ] {
        for response in [binary.send(&request), h2::send(&request, binary.address())] {
            answers.push(shown(&response));
        }
    }
    let metrics = Request::new("GET", "/metrics")
        .to(binary.admin())
        .send_to(binary.admin());
    binary.stdout.first(answers.len());
    let mut texts = vec![
        ("metrics", metrics.text()),
        ("access log", binary.stdout.text()),
        ("stderr", binary.stderr.text()),
    ];
    for (status, answer) in &answers {
        if *status != 200 {
            texts.push(("answer", answer.clone()));
        }
    }
    let shown_mac = token.rsplit('.').next().unwrap();
    for (place, text) in texts {
        for canary in [
            std::str::from_utf8(secret).unwrap(),
            &data_encoding::BASE64.encode(secret),
            &data_encoding::HEXLOWER.encode(secret),
            "canary-credential-of-the-user",
            "canary-in-the-query",
            "canary-in-a-cookie",
            "canary-in-a-token",
            "canary-that-is-no-token",
            "canary-of-a-session",
            &expected,
            &otherwise[0].1,
            &otherwise[1].1,
            &otherwise[2].1,
            &token,
            &stale,
            shown_mac,
        ] {
            // The query is part of what explains a refusal to the caller who sent it, and of nothing else.
            if place == "answer" && canary == "canary-in-the-query" {
                continue;
            }
            assert!(
                !text.contains(canary),
                "`{canary}` is in the {place}: {text}"
            );
        }
    }
}

#[test]
fn a_guesser_learns_nothing_of_keys_and_apps() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream)
        .more(&format!(
            "[apps.off]\nenabled = false\n{}\n[apps.keyed]\nkeys = [{}]\n",
            "keys = [{ id = \"off\", algorithm = \"hmac-sha256\", secret = \"file:mobile.key\" }]",
            [
                ("early", "not_before = 2099-01-01"),
                ("late", "not_after = 2001-01-01"),
                ("disabled", "enabled = false"),
                ("signs", "schemes = [\"http-signature\"]"),
                ("shows", "schemes = [\"token\"]"),
            ]
            .map(|(id, more)| format!(
                "{{ id = \"{id}\", algorithm = \"hmac-sha256\", secret = \"file:mobile.key\", {more} }}"
            ))
            .join(", ")
        ))
        .start();
    let guess = b"a guess that is no secret at all";
    let ids = [
        "unknown",
        "mobile-2026",
        "mobile-512",
        "off",
        "early",
        "late",
        "disabled",
        "signs",
        "shows",
    ];
    let get = gateway.request("GET", "/orders");
    let mut seen = Vec::new();
    for id in ids {
        let signed = |signer: Caller| signer.key_id(id).secret(guess).sign(&get);
        let token = |algorithm: &str| {
            let token = Token::new().header("kid", id).header("alg", algorithm);
            get.clone()
                .field("Portcullis-Token", &token.signed_with(guess).text())
        };
        for request in [
            signed(caller()),
            signed(caller().parameter("alg=\"hmac-sha256\"")),
            signed(caller().parameter("alg=\"hmac-sha512\"")),
            signed(caller().parameter("alg=\"unheard-of\"")),
            token("HS256"),
            token("HS512"),
            token("none"),
        ] {
            let response = gateway.send(&request);
            response.assert_refused(401, "credential-rejected");
            seen.push(response.seen());
        }
    }
    seen.dedup();
    assert_eq!(seen.len(), 1, "{seen:#?}");
    // Who has the secret is told no more than that, unless the app is switched off.
    for (id, code) in [
        ("early", "credential-rejected"),
        ("late", "credential-rejected"),
        ("disabled", "credential-rejected"),
        ("shows", "credential-rejected"),
        ("off", "app-disabled"),
    ] {
        let response = gateway.send(&caller().key_id(id).sign(&get));
        assert_eq!(response.code(), code, "{id}");
    }
    upstream.assert_silent();
}

#[test]
fn the_log_tells_the_true_reason_that_the_caller_is_not_told() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).server("workers = 1").start();
    let request = gateway.request("GET", "/orders/7?secret=1");
    gateway.send(&caller().key_id("nobody").sign(&request));
    gateway.send(
        &caller()
            .secret(b"not the secret of this very key!")
            .sign(&request),
    );
    gateway.send(&caller().parameter("alg=\"ed25519\"").sign(&request));
    gateway.send(&caller().sign(&request));
    let reasons: Vec<_> = (0..4).map(|number| gateway.record(number)).collect();
    let reason = |number: usize| {
        reasons[number]["reason"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    assert!(reason(0).contains("unknown-key"), "{}", reasons[0]);
    assert!(reason(1).contains("wrong-signature"), "{}", reasons[1]);
    assert!(reason(2).contains("wrong-algorithm"), "{}", reasons[2]);
    assert_eq!(reasons[0]["claimed_key"], "nobody");
    assert_eq!(reasons[0]["app"], Value::Null);
    for record in &reasons {
        assert_eq!(record["path"], "/orders/7", "{record}");
        assert!(!record.to_string().contains("secret=1"), "{record}");
        assert_eq!(record["method"], "GET");
        assert_eq!(record["route"], "all");
    }
    let passed = &reasons[3];
    assert_eq!(passed["status"], 200, "{passed}");
    assert_eq!(passed["app"], "mobile");
    assert_eq!(passed["key"], "mobile-2026");
    assert_eq!(passed["scheme"], "http-signature");
    assert_eq!(passed["bytes_out"], 5);
}

#[test]
fn a_refused_request_still_leaves_the_connection_to_the_next() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    let mut connection = gateway.connect();
    for _ in 0..3 {
        connection.send(&gateway.request("GET", "/").bytes());
        connection
            .response()
            .assert_refused(401, "credential-missing");
        connection.send(&caller().sign(&gateway.request("GET", "/")).bytes());
        connection.response().assert_passed();
    }
}

#[test]
fn head_requests_are_refused_without_a_body() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    let mut connection = gateway.connect();
    connection.send(&gateway.request("HEAD", "/").bytes());
    let response = connection.response_to("HEAD");
    assert_eq!(response.status, 401);
    connection.send(&caller().sign(&gateway.request("GET", "/")).bytes());
    connection.response().assert_passed();
}

#[test]
fn a_refused_http_2_client_gets_its_answer_while_it_still_sends() {
    use crate::harness::curl::h2c;
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    for size in [10, 100_000, 900_000] {
        let request = gateway.request("POST", "/").body(vec![b'x'; size]);
        let answer = h2c(&request, gateway.address());
        assert_eq!(answer.code(), "credential-missing", "{size} bytes");
        assert!(answer.complete, "{size} bytes");
    }
    upstream.assert_silent();
}

#[test]
fn an_http_2_client_gets_every_answer_that_comes_while_it_still_sends() {
    use crate::harness::curl::h2c;
    // It has its answer by the head alone, and hears no other request.
    let upstream = Upstream::raw(|stream, _| {
        crate::bodies::read_head(stream);
        let _ = stream.write_all(
            b"HTTP/1.1 401 Because\r\nContent-Length: 5\r\nConnection: close\r\n\r\nlogin",
        );
        let _ = std::io::copy(stream, &mut std::io::sink());
    });
    let nobody = crate::harness::Closed::port();
    let gateway = Setup::before(&upstream)
        .more(&format!(
            "[upstreams.gone]\nservers = [\"http://{}\"]\n",
            nobody.address()
        ))
        .routes(
            "[[routes]]\nname = \"early\"\npath = \"/early\"\nupstream = \"backend\"\n\
             accept = [\"public\"]\n\
             [[routes]]\nname = \"small\"\npath = \"/small\"\nupstream = \"backend\"\n\
             accept = [\"public\"]\nbody = { limit = \"32 KiB\" }\n\
             [[routes]]\nname = \"gone\"\npath = \"/gone\"\nupstream = \"gone\"\n\
             accept = [\"public\"]\n",
        )
        .start();
    for size in [100_000, 900_000] {
        let post = |path: &str| gateway.request("POST", path).body(vec![b'x'; size]);
        let early = h2c(&post("/early"), gateway.address());
        assert_eq!((early.status, &*early.text()), (401, "login"), "{size}");
        let gone = h2c(&post("/gone"), gateway.address());
        assert_eq!(gone.code(), "upstream-unreachable", "{size}");
        let small = h2c(&post("/small"), gateway.address());
        assert_eq!(small.code(), "body-too-large", "{size}");
        for answer in [early, gone, small] {
            assert!(answer.complete, "{size}: {answer:?}");
        }
    }
}

#[test]
fn a_body_that_is_framed_wrong_is_refused_with_what_is_wrong_with_it() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    for (body, told) in [
        (
            "3;a=b\r\nabc\r\n0\r\n\r\n",
            "chunk extensions are not accepted",
        ),
        (
            "3\r\nabc\r\ng\r\n\r\n",
            "the size of a chunk is not a hexadecimal number",
        ),
    ] {
        let target = format!("/{}", body.len());
        let request = gateway.request("POST", &target).body("abc").chunked();
        let head = caller().sign(&request).head();
        let mut connection = gateway.connect();
        connection.send(&[&*head, body.as_bytes()].concat());
        let refused = connection.response();
        assert_form(&refused, 400, "malformed-request");
        assert!(refused.detail().contains(told), "{}", refused.text());
    }
    upstream.assert_silent();
}

#[test]
fn a_copy_is_told_to_be_one_in_words_that_hold_for_every_scheme() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    let signed = caller().sign(&gateway.request("POST", "/").body("{}"));
    gateway.send(&signed).assert_passed();
    let copy = gateway.send(&signed);
    copy.assert_refused(401, "replayed");
    let told = copy.detail();
    for words in ["was used before", "`nonce`", "`jti`", "another second"] {
        assert!(told.contains(words), "{told}");
    }
}
