//! Static keys: where they stand, whom they prove, what their callers are told, and where they never go.

use crate::harness::{Gateway, Request, Response, Setup, T0, Token, Upstream, caller, h2};
use data_encoding::{BASE64, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

const KEY: &str = "canary-static-key-0123456789";
const OTHER: &str = "canary-another-key-012345678";
const PEPPER: &[u8] = b"pepper-pepper-pepper-pepper-peppe";

fn hash(key: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(PEPPER).unwrap();
    mac.update(key.as_bytes());
    format!(
        "hmac-sha256:{}",
        HEXLOWER.encode(&mac.finalize().into_bytes())
    )
}

/// Two apps with a static key each, one by its hash and one by its file.
fn setup(upstream: &Upstream, lines: &str) -> Setup {
    let setup = Setup::before(upstream);
    setup.write_secret("pepper", PEPPER);
    setup.write_secret("other.static", format!("{OTHER}\n").as_bytes());
    let (of_mobile, more) = (hash(KEY), "pepper = \"file:pepper\"");
    setup
        .app(&format!("api_keys = [{{ id = \"legacy-1\", hash = \"{of_mobile}\" }}]"))
        .more(&format!(
            "[apps.old]\nscopes = [\"orders\"]\napi_keys = [{{ id = \"legacy-2\", secret = \"file:other.static\", not_after = 2036-02-01 }}]\n\
             [api_keys]\n{more}\n{lines}"
        ))
}

fn on_one_route(upstream: &Upstream, lines: &str) -> Gateway {
    setup(upstream, lines)
        .route("accept = [\"http-signature\", \"token\", \"api-key\"]")
        .start()
}

fn keyed(gateway: &Gateway, key: &str) -> Request {
    gateway
        .request("GET", "/orders/7?item=1")
        .field("X-Api-Key", key)
}

#[test]
fn an_app_that_has_moved_up_to_tokens_does_not_fall_back_to_its_static_key() {
    let upstream = Upstream::start();
    let gateway = setup(&upstream, "")
        .app("downgrade = \"refuse\"")
        .route("accept = [\"http-signature\", \"token\", \"api-key\"]")
        .start();
    let by_key = || gateway.send(&keyed(&gateway, KEY));
    by_key().assert_passed();
    let request = gateway.request("GET", "/orders/7?item=1");
    let token = request.field("Portcullis-Token", &Token::new().text());
    gateway.send(&token).assert_passed();
    let refused = by_key();
    refused.assert_refused(403, "assurance-too-low");
    assert!(refused.detail().contains("moved up to `key`"));
    gateway.send(&token).assert_passed();
}

#[test]
fn a_static_key_names_its_app_and_goes_no_further() {
    let upstream = Upstream::start();
    let gateway = on_one_route(&upstream, "");
    for (number, (key, app, id)) in [(KEY, "mobile", "legacy-1"), (OTHER, "old", "legacy-2")]
        .into_iter()
        .enumerate()
    {
        gateway.send(&keyed(&gateway, key)).assert_passed();
        let got = upstream.got(number);
        assert_eq!(got.target(), "/orders/7?item=1");
        assert_eq!(got.field("portcullis-app"), Some(app));
        assert_eq!(got.field("portcullis-key"), Some(id));
        assert_eq!(got.field("portcullis-scheme"), Some("api-key"));
        assert_eq!(got.field("portcullis-assurance"), Some("key"));
        assert_eq!(got.field("x-api-key"), None);
        let record = gateway.record(number);
        assert_eq!(record["app"], app);
        assert_eq!(record["key"], id);
        assert_eq!(record["scheme"], "api-key");
    }
    // The same key comes again, also with what changes something.
    for _ in 0..2 {
        let post = gateway.request("POST", "/orders").field("X-Api-Key", KEY);
        gateway.send(&post.body("{}")).assert_passed();
    }
    let metrics = gateway.ask_admin("/metrics").text();
    for (app, count) in [("mobile", 3), ("old", 1)] {
        let line = format!("portcullis_api_key_requests_total{{app=\"{app}\"}} {count}");
        assert!(metrics.contains(&line), "{metrics}");
    }
    assert!(!metrics.contains("canary"));
    assert!(!gateway.log().first(4).join("").contains("canary"));
}

#[test]
fn a_switch_to_another_protocol_tells_that_the_key_is_deprecated_too() {
    let upstream = Upstream::raw(|stream, _| {
        let (mut head, mut buffer) = (Vec::new(), [0; 1024]);
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read(&mut buffer).unwrap() {
                0 => return,
                some => head.extend_from_slice(&buffer[..some]),
            }
        }
        let switch =
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
        stream.write_all(switch.as_bytes()).unwrap();
        let _ = stream.read(&mut buffer);
    });
    let gateway = setup(&upstream, "sunset = 2027-03-01")
        .route("accept = [\"api-key\"]\nupgrade = [\"websocket\"]")
        .start();
    let mut connection = gateway.connect();
    let handshake = keyed(&gateway, KEY)
        .field("Connection", "Upgrade")
        .field("Upgrade", "websocket");
    connection.send(&handshake.bytes());
    let (status, fields) = connection.head().unwrap();
    assert_eq!(status, 101);
    for name in ["deprecation", "sunset"] {
        let mut told = fields.iter().map(|(known, _)| known.to_lowercase());
        assert!(told.any(|known| known == name), "{fields:?}");
    }
}

#[test]
fn every_answer_tells_that_the_key_is_deprecated_and_when_it_ends() {
    let upstream = Upstream::start();
    let lines =
        "deprecation = 2026-12-01\nsunset = 2036-03-01\nlink = \"https://example.com/keys\"";
    let gateway = setup(&upstream, lines)
        .route("accept = [\"http-signature\", \"token\", \"api-key\"]\nscopes = [\"orders\"]")
        .start();
    let told = |response: &Response| {
        let field = |name: &str| response.field(name).map(str::to_owned);
        (field("deprecation"), field("sunset"), field("link"))
    };
    let all = |sunset: &str| {
        (
            Some("@1796083200".to_owned()),
            Some(sunset.to_owned()),
            Some("<https://example.com/keys>; rel=\"deprecation\"; type=\"text/html\"".to_owned()),
        )
    };
    let response = gateway.send(&keyed(&gateway, OTHER));
    response.assert_passed();
    // Its own end comes first.
    assert_eq!(told(&response), all("Fri, 01 Feb 2036 00:00:00 GMT"));
    // Who is proven and may not is told as well.
    let response = gateway.send(&keyed(&gateway, KEY));
    response.assert_refused(403, "scope-missing");
    assert_eq!(told(&response), all("Sat, 01 Mar 2036 00:00:00 GMT"));
    // Strangers, and callers who sign, are not.
    for request in [
        keyed(&gateway, "canary-of-nobody-0123456789"),
        gateway.request("GET", "/"),
        caller().sign(&gateway.request("GET", "/")),
    ] {
        assert_eq!(told(&gateway.send(&request)), (None, None, None));
    }
    // After its end a key is none, and `sunset` ends them all.
    gateway.advance(3_304 * 86_400);
    gateway
        .send(&keyed(&gateway, OTHER))
        .assert_refused(401, "credential-rejected");
    gateway
        .send(&keyed(&gateway, KEY))
        .assert_refused(403, "scope-missing");
    gateway.advance(30 * 86_400);
    gateway
        .send(&keyed(&gateway, KEY))
        .assert_refused(401, "credential-rejected");
}

#[test]
fn without_a_word_about_it_the_key_is_deprecated_all_the_same() {
    let upstream = Upstream::answering(|_, wire| {
        wire.answer(
            200,
            &[("Deprecation", "@1"), ("Link", "</a>; rel=\"next\"")],
            b"",
        );
    });
    let gateway = on_one_route(&upstream, "link = \"https://example.com/keys\"");
    let response = gateway.send(&keyed(&gateway, KEY));
    assert_eq!(response.field("deprecation"), Some("@1793491200"));
    assert_eq!(response.field("sunset"), None);
    let links: Vec<_> = response.values("link");
    assert_eq!(links.len(), 2, "{links:?}");
}

#[test]
fn an_unknown_key_is_refused_like_every_other_proof_and_never_repeated() {
    let upstream = Upstream::start();
    let gateway = on_one_route(&upstream, "unsafe_query_parameter = \"api_key\"");
    let unknown = gateway.send(&keyed(&gateway, "canary-of-nobody-0123456789"));
    unknown.assert_refused(401, "credential-rejected");
    let wrong = caller()
        .sign(&gateway.request("GET", "/orders/7?item=1"))
        .change("Signature", |_| {
            format!("sig=:{}:", BASE64.encode(&[7; 32]))
        });
    let wrong = gateway.send(&wrong);
    let but_id = |response: &Response| {
        let mut problem: Value = serde_json::from_str(&response.text()).unwrap();
        problem["request_id"].take();
        problem
    };
    assert_eq!(but_id(&unknown), but_id(&wrong));
    assert_eq!(
        unknown.field("www-authenticate"),
        wrong.field("www-authenticate")
    );
    for request in [
        keyed(&gateway, "canary with spaces"),
        keyed(&gateway, KEY).field("X-Api-Key", KEY),
        gateway.request("GET", &format!("/?api_key={KEY}&api_key={KEY}")),
    ] {
        let response = gateway.send(&request);
        response.assert_refused(400, "malformed-credential");
        assert!(!response.text().contains("canary"), "{}", response.text());
    }
    let log = gateway.log().first(5).join("\n");
    assert!(
        log.contains("unknown-key") && !log.contains("canary"),
        "{log}"
    );
    upstream.assert_silent();
}

#[test]
fn the_record_of_a_known_key_that_is_refused_names_it_and_its_caller_is_not_told_more() {
    let upstream = Upstream::start();
    let setup = setup(&upstream, "")
        .app("enabled = false")
        .route("accept = [\"api-key\"]")
        .more("[apps.over]\napi_keys = [{ id = \"legacy-3\", secret = \"file:over.static\", not_after = 2020-01-01 }]");
    let over = "canary-key-that-is-over-0123";
    setup.write_secret("over.static", over.as_bytes());
    let gateway = setup.start();
    let cases = [
        (KEY, 403, "app-disabled", Some("legacy-1"), Some("mobile")),
        (over, 401, "credential-rejected", Some("legacy-3"), None),
        (
            "canary-of-nobody-0123456789",
            401,
            "credential-rejected",
            None,
            None,
        ),
    ];
    for (number, (key, status, code, id, app)) in cases.into_iter().enumerate() {
        let refused = gateway.send(&keyed(&gateway, key));
        refused.assert_refused(status, code);
        assert_eq!(refused.field("deprecation"), None);
        assert!(!refused.text().contains("legacy-"), "{}", refused.text());
        let record = gateway.record(number);
        assert_eq!(record["claimed_key"].as_str(), id, "{record}");
        assert_eq!(record["app"].as_str(), app, "{record}");
        assert_eq!(record["key"], Value::Null, "{record}");
        assert_eq!(record["scheme"], "api-key");
    }
    upstream.assert_silent();
}

#[test]
fn one_credential_decides() {
    let upstream = Upstream::start();
    let gateway = on_one_route(&upstream, "");
    let both = caller()
        .sign(&gateway.request("GET", "/"))
        .field("X-Api-Key", KEY);
    gateway
        .send(&both)
        .assert_refused(400, "malformed-credential");
    // Also beside a token.
    let token = Token::new().text();
    let both = keyed(&gateway, KEY).field("Portcullis-Token", &token);
    gateway
        .send(&both)
        .assert_refused(400, "malformed-credential");
    upstream.assert_silent();
}

#[test]
fn where_it_stands_is_what_the_configuration_says() {
    let upstream = Upstream::start();
    let lines = "headers = [\"apikey\", \"Authorization: Bearer\", \"Authorization: Basic\"]\nunsafe_query_parameter = \"api_key\"";
    let gateway = on_one_route(&upstream, lines);
    let basic = format!("Basic {}", BASE64.encode(format!("{KEY}:").as_bytes()));
    let bearer = format!("Bearer {KEY}");
    let get = || gateway.request("GET", "/orders?b=%2f&a=1");
    for (number, request) in [
        get().field("apikey", KEY),
        get().field("Authorization", &bearer),
        get().field("Authorization", &basic),
        gateway.request("GET", &format!("/orders?b=%2f&api_key={KEY}&a=1")),
    ]
    .iter()
    .enumerate()
    {
        gateway.send(request).assert_passed();
        let got = upstream.got(number);
        // The query goes on byte for byte, but for the key.
        assert_eq!(got.target(), "/orders?b=%2f&a=1");
        assert_eq!(got.field("authorization"), None);
        assert_eq!(got.field("apikey"), None);
        assert_eq!(got.field("portcullis-key"), Some("legacy-1"));
    }
    for request in [
        keyed(&gateway, KEY),
        get().field("Authorization", &format!("ApiKey {KEY}")),
    ] {
        gateway
            .send(&request)
            .assert_refused(401, "credential-missing");
    }
    let log = gateway.log().first(6).join("");
    assert!(!log.contains("canary"), "{log}");
}

#[test]
fn a_401_asks_for_a_key_behind_the_words_of_authorization_where_the_route_takes_one() {
    let upstream = Upstream::start();
    let words = |lines: &str, accept: &str| -> Vec<String> {
        let setup = setup(&upstream, lines).route(&format!("accept = {accept}"));
        let gateway = setup.start();
        let answer = gateway.send(&gateway.request("GET", "/orders/7"));
        answer.assert_refused(401, "credential-missing");
        let fields = answer.fields.iter();
        let asked = fields.filter(|(name, _)| name.eq_ignore_ascii_case("www-authenticate"));
        asked.map(|(_, value)| value.clone()).collect()
    };
    let lines = "headers = [\"X-Api-Key\", \"Authorization: Basic\", \"Authorization: Bearer\", \"Authorization: ApiKey\"]";
    let (basic, bearer) = ("Basic realm=\"portcullis\"", "Bearer realm=\"portcullis\"");
    assert_eq!(words(lines, "[\"api-key\"]"), ["Portcullis", basic, bearer]);
    // Where a browser would open its dialog for nothing.
    assert_eq!(words(lines, "[\"http-signature\"]"), ["Portcullis"]);
    assert_eq!(words("", "[\"api-key\"]"), ["Portcullis"]);
}

#[test]
fn a_key_is_forwarded_only_where_a_route_keeps_proofs() {
    let upstream = Upstream::start();
    let routes = "[[routes]]\nname = \"kept\"\npath = \"/kept\"\nupstream = \"backend\"\naccept = [\"api-key\"]\nkeep_proof = true\n\
         [[routes]]\nname = \"signed\"\npath = \"/signed\"\nupstream = \"backend\"\naccept = [\"http-signature\"]\n\
         [[routes]]\nname = \"open\"\npath = \"/open\"\nupstream = \"backend\"\naccept = [\"public\"]\n";
    let gateway = setup(
        &upstream,
        "unsafe_query_parameter = \"api_key\"\nheaders = [\"X-Api-Key\", \"Authorization: Bearer\"]",
    )
    .routes(routes)
    .start();
    let kept = gateway.request("GET", &format!("/kept?api_key={KEY}"));
    gateway.send(&kept).assert_passed();
    assert_eq!(upstream.got(0).target(), format!("/kept?api_key={KEY}"));
    let kept = gateway.request("GET", "/kept").field("X-Api-Key", KEY);
    gateway.send(&kept).assert_passed();
    assert_eq!(upstream.got(1).field("x-api-key"), Some(KEY));
    // A key that proves nothing here is not handed to a backend either.
    let open = gateway
        .request("GET", &format!("/open?api_key={KEY}"))
        .field("X-Api-Key", KEY);
    gateway.send(&open).assert_passed();
    assert_eq!(upstream.got(2).target(), "/open");
    assert_eq!(upstream.got(2).field("x-api-key"), None);
    // The user's own `Authorization` is the backend's, where no key may stand there.
    let user = gateway
        .request("GET", "/signed")
        .field("Authorization", "Bearer of-the-user");
    let signed = caller()
        .covering(&["@method", "@authority", "@path", "authorization"])
        .sign(&user);
    gateway.send(&signed).assert_passed();
    assert_eq!(
        upstream.got(3).field("authorization"),
        Some("Bearer of-the-user")
    );
    gateway
        .send(&gateway.request("GET", "/signed").field("X-Api-Key", KEY))
        .assert_refused(401, "scheme-not-accepted");
}

#[test]
fn a_static_key_is_taken_over_http2_too() {
    let upstream = Upstream::start();
    let gateway = on_one_route(&upstream, "");
    let response = h2::send(&keyed(&gateway, KEY), gateway.address());
    response.assert_passed();
    assert_eq!(upstream.only().field("x-api-key"), None);
}

#[test]
fn what_was_counted_goes_on_after_a_reload() {
    let upstream = Upstream::start();
    let gateway = on_one_route(&upstream, "");
    gateway.send(&keyed(&gateway, KEY)).assert_passed();
    let text = gateway.setup().text().replace("legacy-1", "legacy-3");
    gateway.reload(&text);
    gateway.send(&keyed(&gateway, KEY)).assert_passed();
    assert_eq!(upstream.got(1).field("portcullis-key"), Some("legacy-3"));
    let metrics = gateway.ask_admin("/metrics").text();
    assert!(metrics.contains("portcullis_api_key_requests_total{app=\"mobile\"} 2"));
}

/// The binary, in the folder of `setup`.
fn run(setup: &Setup, args: &[&str], input: &str) -> (Option<i32>, String, String) {
    use std::io::Write as _;
    let mut child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(args)
        .current_dir(setup.folder())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that reads no input may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn hash_key_prints_what_the_gateway_takes() {
    let upstream = Upstream::start();
    let setup = setup(&upstream, "");
    // The entry may be what is missing: all else may be wrong with the file.
    let unfinished = format!(
        "{}\n[apps.new]\napi_keys = [{{ id = \"x\" }}]\n",
        setup.text()
    );
    setup.write("gateway.toml", unfinished.as_bytes());
    let (code, out, err) = run(&setup, &["hash-key"], &format!("{KEY}\n"));
    assert_eq!(
        (code, out.trim(), err.as_str()),
        (Some(0), hash(KEY).as_str(), "")
    );
    setup.write_secret("legacy.key", KEY.as_bytes());
    let args = ["hash-key", "--id", "legacy-9", "--key-file", "legacy.key"];
    let (_, out, _) = run(&setup, &args, "");
    let entry = format!(
        "api_keys = [{{ id = \"legacy-9\", hash = \"{}\" }}]\n",
        hash(KEY)
    );
    assert_eq!(out, entry);
    let (_, out, _) = run(&setup, &["hash-key", "--json"], KEY);
    let json: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["hash"], hash(KEY).as_str());
    // What is no key is not repeated, and none is taken from the command line.
    for (args, input, told) in [
        (&["hash-key"][..], "canary", "it could be guessed"),
        (&["hash-key"], "canary with a space in it", "a space"),
        (&["hash-key"], &"canary".repeat(100), "600 characters"),
        (&["hash-key", "--id", "a b"], KEY, "not a key id"),
        (&["hash-key", "-c", "nowhere.toml"], KEY, "cannot be read"),
        (
            &["hash-key", "a-key-as-an-argument"],
            "",
            "unexpected argument",
        ),
    ] {
        let (code, out, err) = run(&setup, args, input);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{args:?}: {err}");
        assert!(
            err.contains(told) && !err.contains("canary"),
            "{args:?}: {err}"
        );
    }
}

#[test]
fn hash_key_makes_the_pepper_that_the_gateway_then_uses() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream);
    setup.write("gateway.toml", b"");
    let (code, out, err) = run(&setup, &["hash-key", "--id", "legacy-1"], KEY);
    assert_eq!(code, Some(0), "{err}");
    let gateway = setup
        .route("accept = [\"api-key\"]")
        .app(out.trim())
        .start();
    gateway.send(&keyed(&gateway, KEY)).assert_passed();
}

#[test]
fn check_warns_of_static_keys_and_shows_them_without_their_hash() {
    let upstream = Upstream::start();
    let setup = setup(
        &upstream,
        "sunset = 2026-01-01\nunsafe_query_parameter = \"key\"",
    )
    .route("accept = [\"http-signature\", \"api-key\"]");
    setup.write("gateway.toml", setup.text().as_bytes());
    let (code, out, err) = run(&setup, &["check"], "");
    assert_eq!(code, Some(0), "{err}");
    assert!(
        out.contains("static key legacy-1, until 2026-01-01"),
        "{out}"
    );
    for told in [
        "a static key proves no part of a request",
        "a key in the query is kept in histories",
        "static keys are no longer taken",
    ] {
        assert!(err.contains(told), "{told}: {err}");
    }
    let (_, json, _) = run(&setup, &["check", "--json"], "");
    for text in [&out, &err, &json] {
        assert!(
            !text.contains(&hash(KEY)[12..]) && !text.contains("canary"),
            "{text}"
        );
    }
}

#[test]
fn sign_request_and_explain_take_static_keys() {
    let upstream = Upstream::start();
    let gateway = on_one_route(
        &upstream,
        "headers = [\"X-Api-Key\", \"Authorization: Basic\"]\nunsafe_query_parameter = \"api_key\"",
    );
    let setup = gateway.setup();
    setup.write_secret("legacy.key", KEY.as_bytes());
    let url = format!("http://{}/orders", gateway.address());
    let sent = ["--scheme", "api-key", "--secret", "file:legacy.key", &url];
    let (code, out, err) = run(setup, &[&["request"][..], &sent].concat(), "");
    assert_eq!(code, Some(0), "{out}{err}");
    let placed = [
        &["request", "--key-place", "Authorization: Basic"][..],
        &sent,
    ]
    .concat();
    let (code, out, err) = run(setup, &placed, "");
    assert_eq!(code, Some(0), "{out}{err}");
    let (_, out, _) = run(setup, &[&["sign"][..], &sent].concat(), "");
    assert_eq!(out.trim(), format!("X-Api-Key: {KEY}"));
    for args in [
        &["sign", "--scheme", "api-key", &url][..],
        &[
            "sign",
            "--scheme",
            "api-key",
            "--secret",
            "file:legacy.key",
            "--key-place",
            "Cookie",
            &url,
        ],
        &[
            "sign",
            "--scheme",
            "api-key",
            "--secret",
            "file:legacy.key",
            "--no-nonce",
            &url,
        ],
        &[
            "sign",
            "--key-id",
            "k",
            "--secret",
            "file:legacy.key",
            "--key-place",
            "X",
            &url,
        ],
    ] {
        let (code, out, err) = run(setup, args, "");
        assert_eq!((code, out.as_str()), (Some(2), ""), "{args:?}: {err}");
    }
    setup.write("gateway.toml", setup.text().as_bytes());
    let at = T0.to_string();
    let explain = ["explain", "-c", "gateway.toml", "--at", &at];
    for (request, told, exit) in [
        (
            format!("GET /a?api_key={KEY} HTTP/1.1\r\nHost: a\r\n\r\n"),
            "known as `legacy-1`",
            0,
        ),
        (
            format!("GET / HTTP/1.1\r\nHost: a\r\nX-Api-Key: {OTHER}x\r\n\r\n"),
            "known here as none",
            1,
        ),
    ] {
        let (code, out, err) = run(setup, &explain, &request);
        assert_eq!(code, Some(exit), "{out}{err}");
        assert!(out.contains(told) && !out.contains("canary"), "{out}");
    }
}
