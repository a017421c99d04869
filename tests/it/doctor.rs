//! The doctor: an honest caller is told which mistake it made, a guesser nothing.

use crate::harness::binary::program;
use crate::harness::pair::Pair;
use crate::harness::setup::{SECRET, SECRET_512};
use crate::harness::{Caller, Gateway, Request, Response, Setup, T0, Token, Upstream, caller, now};
use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use portcullis::schemes::doctor::Mistake;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "/orders/caf%C3%A9/7?b=2&a=1";
const BODY: &str = "{\"item\": 7}";

fn gateway(upstream: &Upstream) -> Gateway {
    Setup::before(upstream).server("explain = true").start()
}

fn request(gateway: &Gateway) -> Request {
    gateway
        .request("POST", TARGET)
        .field("Content-Type", "application/json")
        .body(BODY)
}

fn covering() -> Caller {
    caller().covering(&[
        "@method",
        "@authority",
        "@path",
        "@query",
        "content-type",
        "content-digest",
    ])
}

/// `request` with the signature of what `edit` makes of the right text.
fn signed(signer: &Caller, request: &Request, edit: impl Fn(&str) -> String) -> Request {
    let right = signer.sign(request);
    // With the digest that signing adds.
    let unsigned = right
        .clone()
        .without("Signature-Input")
        .without("Signature");
    let wrong = edit(&signer.base(&unsigned));
    let mac = BASE64.encode(&signer.mac(wrong.as_bytes()));
    right.change("Signature", |_| format!("sig=:{mac}:"))
}

fn mistake(response: &Response, code: &str) -> Option<String> {
    let problem = response.json();
    assert_eq!(problem["code"], code, "{problem:#}");
    let word = problem["mistake"].as_str().map(str::to_owned);
    assert_eq!(problem["hint"].is_string(), word.is_some(), "{problem:#}");
    word
}

#[track_caller]
fn assert_told(gateway: &Gateway, request: &Request, wanted: &str) {
    let response = gateway.send(request);
    let told = mistake(&response, "credential-rejected");
    assert_eq!(told.as_deref(), Some(wanted), "{}", response.text());
}

#[test]
fn each_typical_mistake_with_the_text_is_named() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    let hex = HEXLOWER.encode(&Sha256::digest(BODY));
    let base64 = BASE64.encode(&Sha256::digest(BODY));
    let port = format!(":{}", gateway.address().port());
    for (from, to, wanted) in [
        ("POST", "post", "method-in-lower-case"),
        ("?b=2&a=1", "?a=1&b=2", "query-sorted"),
        ("\"@query\": ?", "\"@query\": ", "question-mark-missing"),
        ("caf%C3%A9", "café", "path-decoded"),
        ("caf%C3%A9", "caf%25C3%25A9", "path-encoded-twice"),
        ("caf%C3%A9", "caf%c3%a9", "escape-case"),
        ("/7\n", "/7/\n", "path-slash"),
        ("/7\n", "/7?b=2&a=1\n", "path-with-query"),
        (&*port, "", "host-without-port"),
        (&*base64, &*hex, "body-digest-in-hex"),
        (
            &*format!("sha-256=:{base64}:"),
            &*base64,
            "body-digest-bare",
        ),
        (
            &*format!("sha-256=:{base64}:"),
            &*format!("sha-256={base64}"),
            "body-digest-bare",
        ),
        (
            "\"@authority\": ",
            "\"@authority\": http://",
            "host-with-scheme",
        ),
        (
            "\"@signature-params\"",
            "@signature-params",
            "names-without-quotes",
        ),
        (
            &*format!("created={T0}"),
            &*format!("created={}", T0 - 1),
            "clock-read-twice",
        ),
        (
            "\n\"content-type\": application/json\n\"content-digest\"",
            "\n\"Content-Type\": application/json\n\"Content-Digest\"",
            "names-in-upper-case",
        ),
        (": ", ":", "space-missing"),
        ("-params\": (", "-params\": sig=(", "label-in-params"),
        ("\n", "\r\n", "crlf"),
    ] {
        let wrong = |text: &str| text.replace(from, to);
        let wrong = signed(&covering(), &request(&gateway), wrong);
        assert_told(&gateway, &wrong, wanted);
    }
    let newline = |text: &str| format!("{text}\n");
    let newline = signed(&covering(), &request(&gateway), newline);
    assert_told(&gateway, &newline, "trailing-newline");
    covering_passes(&gateway);
}

#[test]
fn escapes_that_were_signed_in_another_case_are_told_from_a_decoded_path() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    let request = gateway.request("GET", "/orders/caf%c3%a9/7?b=%c3%a9");
    for (from, to, wanted) in [
        ("caf%c3%a9", "caf%C3%A9", "escape-case"),
        ("caf%c3%a9", "café", "path-decoded"),
        ("b=%c3%a9", "b=%C3%A9", "escape-case"),
    ] {
        let wrong = |text: &str| text.replace(from, to);
        assert_told(&gateway, &signed(&caller(), &request, wrong), wanted);
    }
}

fn covering_passes(gateway: &Gateway) {
    let right = signed(&covering(), &request(gateway), str::to_owned);
    gateway.send(&right).assert_passed();
}

#[test]
fn the_place_that_a_caller_takes_us_for_is_named() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream)
        .server("explain = true\npublic_url = \"https://api.example.com\"")
        .start();
    let request = gateway.request("GET", "/orders?x=1");
    let signer = caller().covering(&["@method", "@target-uri"]);
    let url = |url: &str| {
        let signer = signer.clone().value("\"@target-uri\"", url);
        signer.sign(&request)
    };
    let right = url("https://api.example.com/orders?x=1");
    gateway.send(&right).assert_passed();
    let inner = gateway.address();
    for (wrong, wanted) in [
        ("http://api.example.com/orders?x=1", "scheme-differs"),
        ("https://api.example.com:443/orders?x=1", "host-with-port"),
        ("http://api.example.com:80/orders?x=1", "host-with-port"),
        (&*format!("https://{inner}/orders?x=1"), "host-as-sent"),
        (&*format!("http://{inner}/orders?x=1"), "scheme-differs"),
        ("https://api.example.com/orders", "query-missing"),
    ] {
        assert_told(&gateway, &url(wrong), wanted);
    }
}

#[test]
fn each_typical_mistake_with_the_secret_is_named() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    let base64 = BASE64.encode(SECRET);
    let decoded = HEXLOWER.decode(SECRET).unwrap();
    for (secret, wanted) in [
        (base64.as_bytes(), "secret-as-text"),
        (HEXLOWER.encode(SECRET).as_bytes(), "secret-as-text"),
        (format!("base64:{base64}").as_bytes(), "secret-with-prefix"),
        (&[SECRET, b"\n"].concat(), "secret-with-newline"),
        (&decoded, "secret-decoded"),
        (SECRET_512, "other-key"),
    ] {
        let mut signer = caller().secret(secret);
        if wanted == "other-key" {
            signer = Caller::sha512().key_id("mobile-2026");
        }
        assert_told(&gateway, &signer.sign(&request(&gateway)), wanted);
        let token = Token::new().signed_by(signer).text();
        let token = gateway
            .request("GET", "/")
            .field("Portcullis-Token", &token);
        assert_told(&gateway, &token, wanted);
    }
    let hash = Caller::sha512().secret(SECRET).key_id("mobile-2026");
    assert_told(&gateway, &hash.sign(&request(&gateway)), "other-hash");
    let token = Token::new().header("alg", "HS512").signed_by(hash).text();
    let token = gateway
        .request("GET", "/")
        .field("Portcullis-Token", &token);
    assert_told(&gateway, &token, "other-hash");
}

#[test]
fn a_signature_that_is_written_otherwise_is_named() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    let right = caller().sign(&request(&gateway));
    let again = |write: fn(&[u8]) -> String| {
        right.clone().change("Signature", |value| {
            let text = value.trim_start_matches("sig=:").trim_end_matches(':');
            format!("sig=:{}:", write(&BASE64.decode(text.as_bytes()).unwrap()))
        })
    };
    let hex = again(|bytes| HEXLOWER.encode(bytes));
    assert_told(&gateway, &hex, "signature-in-hex");
    let hex = again(|bytes| BASE64.encode(HEXLOWER.encode(bytes).as_bytes()));
    assert_told(&gateway, &hex, "signature-in-hex");
    let twice = again(|bytes| BASE64.encode(BASE64.encode(bytes).as_bytes()));
    assert_told(&gateway, &twice, "signature-encoded-twice");
    let token = Token::new().text();
    let (front, mac) = token.rsplit_once('.').unwrap();
    let digits = HEXLOWER.encode(&BASE64URL_NOPAD.decode(mac.as_bytes()).unwrap());
    let token = format!("{front}.{}", BASE64URL_NOPAD.encode(digits.as_bytes()));
    let token = gateway
        .request("GET", "/")
        .field("Portcullis-Token", &token);
    assert_told(&gateway, &token, "signature-in-hex");
}

const KEYS: &str = "[apps.old]\nexplain = true\nkeys = [\
    { id = \"old\", algorithm = \"hmac-sha256\", secret = \"file:old.key\", not_after = 2026-01-01 },\
    { id = \"new\", algorithm = \"hmac-sha256\", secret = \"file:new.key\" },\
    { id = \"next\", algorithm = \"hmac-sha256\", secret = \"file:next.key\", not_before = 2028-01-01 },\
    { id = \"tokens\", algorithm = \"hmac-sha256\", secret = \"file:tokens.key\", schemes = [\"token\"] }]";

fn with_keys(upstream: &Upstream) -> Gateway {
    let setup = Setup::before(upstream).more(KEYS);
    for name in ["old", "new", "next", "tokens"] {
        setup.write_secret(&format!("{name}.key"), &secret(name));
    }
    setup.start()
}

fn secret(name: &str) -> Vec<u8> {
    format!("{name:-<32}").into_bytes()
}

#[test]
fn a_key_that_may_not_be_used_is_named_to_those_who_hold_it() {
    let upstream = Upstream::start();
    let gateway = with_keys(&upstream);
    let request = gateway.request("GET", "/orders");
    let ask = |id: &str, used: &str| {
        let signed = Caller::new(id, &secret(used)).sign(&request);
        let response = gateway.send(&signed);
        let told = mistake(&response, "credential-rejected");
        (told, response.json()["hint"].to_string())
    };
    assert_eq!(ask("old", "old").0.as_deref(), Some("retired-key"));
    assert_eq!(ask("next", "next").0.as_deref(), Some("early-key"));
    assert_eq!(
        ask("tokens", "tokens").0.as_deref(),
        Some("key-not-for-scheme")
    );
    // The id is the new key's, the secret still the old one's.
    let (told, hint) = ask("new", "old");
    assert_eq!(told.as_deref(), Some("retired-key"));
    assert!(hint.contains("(`old`)"), "{hint}");
    assert_eq!(ask("old", "new").0.as_deref(), Some("other-key"));
    // And to others nothing.
    assert_eq!(ask("old", "none").0, None);
    assert_eq!(ask("none", "old").0, None);
    let named = Caller::new("new", &secret("new")).parameter("alg=\"hmac-sha512\"");
    let response = gateway.send(&named.sign(&request));
    let told = mistake(&response, "credential-rejected");
    assert_eq!(told.as_deref(), Some("algorithm-named-wrongly"));
}

#[test]
fn a_clock_is_blamed_only_where_the_signature_holds() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    let late = caller().at(T0 - 3_600);
    let response = gateway.send(&late.sign(&request(&gateway)));
    let told = mistake(&response, "clock-skew");
    assert_eq!(told.as_deref(), Some("clock-offset"));
    let guessed = late.secret(&secret("guessed")).sign(&request(&gateway));
    assert_eq!(mistake(&gateway.send(&guessed), "clock-skew"), None);
    let milliseconds = caller().at(T0 * 1_000).sign(&request(&gateway));
    let told = mistake(&gateway.send(&milliseconds), "clock-skew");
    assert_eq!(told.as_deref(), Some("time-in-milliseconds"));
}

/// What `explain` says of `request` with the `gateway.toml` of `folder`.
fn explained(folder: &Path, request: &Request) -> Value {
    let raw = [request.head(), request.body.clone().unwrap_or_default()].concat();
    std::fs::write(folder.join("pasted"), raw).unwrap();
    let at = now().to_string();
    let args = [
        "explain",
        "-c",
        "gateway.toml",
        "--json",
        "--at",
        &at,
        "pasted",
    ];
    let output = Command::new(program())
        .args(args)
        .current_dir(folder)
        .output()
        .unwrap();
    let report = serde_json::from_slice(&output.stdout);
    report.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn explain_names_the_mistake_that_the_gateway_names_also_where_the_signature_holds() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream).server("explain = true").more(KEYS);
    for name in ["old", "new", "next", "tokens"] {
        setup.write_secret(&format!("{name}.key"), &secret(name));
    }
    setup.write("gateway.toml", setup.text().as_bytes());
    let folder = setup.folder().to_owned();
    let gateway = setup.start();
    let bare = gateway.request("GET", "/orders");
    let by = |id: &str| Caller::new(id, &secret(id));
    let token = |algorithm: &str, signer: Caller| {
        let token = Token::new().header("alg", algorithm);
        let token = token.header("kid", signer.id()).signed_by(signer);
        bare.clone().field("Portcullis-Token", &token.text())
    };
    for (wrong, wanted) in [
        (by("old").sign(&bare), "retired-key"),
        (by("next").sign(&bare), "early-key"),
        (by("tokens").sign(&bare), "key-not-for-scheme"),
        (
            by("new").parameter("alg=\"hmac-sha512\"").sign(&bare),
            "algorithm-named-wrongly",
        ),
        (caller().at(now() - 3_600).sign(&bare), "clock-offset"),
        (
            caller().at(now() * 1_000).sign(&bare),
            "time-in-milliseconds",
        ),
        (
            signed(&caller(), &bare, |text| format!("{text}\n")),
            "trailing-newline",
        ),
        (token("HS256", by("old")), "retired-key"),
        (token("HS512", caller()), "algorithm-named-wrongly"),
        // Tokens are signed with no key of this algorithm.
        (token("HS512", Caller::sha512()), "algorithm-not-taken"),
    ] {
        let told = gateway.send(&wrong).json();
        assert_eq!(told["mistake"], wanted, "{told:#}");
        let report = explained(&folder, &wrong);
        let named = [&report["signatures"][0], &report["token"]];
        let named = named.map(|one| &one["mistake"]);
        assert!(named.iter().any(|word| **word == wanted), "{report:#}");
        if wanted == "time-in-milliseconds" {
            let change = report["refused"]["change"].to_string();
            assert!(change.contains("in whole seconds"), "{change}");
        }
    }
    // Of one that passes, and to one who guesses, nothing.
    for (request, holds) in [
        (caller().sign(&bare), true),
        (by("old").secret(&secret("guessed")).sign(&bare), false),
    ] {
        let report = explained(&folder, &request);
        let signature = &report["signatures"][0];
        assert_eq!(signature["holds"], holds, "{report:#}");
        assert_eq!(signature["mistake"], Value::Null);
    }
}

/// A gateway that asks for a token and a signature on `/pair`, and where its configuration lies.
fn that_takes_pairs(upstream: &Upstream) -> (Gateway, PathBuf) {
    const PAIR: &str = "[[routes]]\nname = \"pair\"\npath = \"/pair\"\nupstream = \"backend\"\n\
        accept = [\"token+http-signature\"]";
    let setup = Setup::before(upstream).server("explain = true").more(PAIR);
    setup.write("gateway.toml", setup.text().as_bytes());
    let folder = setup.folder().to_owned();
    (setup.start(), folder)
}

fn pair(gateway: &Gateway, token: &Token, signer: Caller) -> Request {
    let text = token.text();
    let request = gateway.request("GET", "/pair");
    let request = request.field("Portcullis-Token", &text);
    let covered = ["@method", "@authority", "@path", "portcullis-token"];
    let signer = signer.covering(&covered);
    signer.value("\"portcullis-token\"", &text).sign(&request)
}

#[test]
fn of_a_token_and_a_signature_beside_it_the_one_that_is_wrong_is_named() {
    let upstream = Upstream::start();
    let (gateway, folder) = that_takes_pairs(&upstream);
    let pair = |token: &Token, signer: Caller| pair(&gateway, token, signer);
    let right = Token::new();
    gateway.send(&pair(&right, caller())).assert_passed();
    let later = now() + 3_600;
    let of_later = Token::new().claim("iat", later).claim("exp", later + 300);
    let sha512 = Token::new().header("alg", "HS512");
    let by_sha512 = sha512.clone().header("kid", "mobile-512").sha512();
    for (wrong, is_the_token, wanted, change) in [
        // Tokens are signed with no key of this algorithm.
        (
            pair(&by_sha512, caller()),
            true,
            "algorithm-not-taken",
            "this key is of `hmac-sha512`, which signs no tokens",
        ),
        (
            pair(&sha512, caller()),
            true,
            "algorithm-named-wrongly",
            "`alg` must be the key's, `HS256`",
        ),
        (
            pair(&right, Caller::sha512().parameter("alg=\"hmac-sha256\"")),
            false,
            "algorithm-named-wrongly",
            "the key's, `hmac-sha512`, or be left out",
        ),
        (pair(&of_later, caller()), true, "clock-offset", "in "),
        (
            pair(&right, caller().at(now() - 3_600)),
            false,
            "clock-offset",
            " ago",
        ),
    ] {
        let told = gateway.send(&wrong).json();
        assert_eq!(told["mistake"], wanted, "{told:#}");
        let report = explained(&folder, &wrong);
        let accepts = &report["route"]["accepts"];
        assert_eq!(accepts, &serde_json::json!(["token+http-signature"]));
        let (token, signature) = (&report["token"], &report["signatures"][0]);
        let (wrong, right) = if is_the_token {
            (token, signature)
        } else {
            (signature, token)
        };
        assert_eq!(wrong["mistake"], wanted, "{report:#}");
        assert_eq!(right["mistake"], Value::Null, "{report:#}");
        let told = report["refused"]["change"].as_str().unwrap();
        assert!(told.contains(change), "{told}");
    }
}

#[test]
fn a_credential_that_holds_says_nothing_of_a_guessed_one_beside_it() {
    let upstream = Upstream::start();
    let (gateway, folder) = that_takes_pairs(&upstream);
    let guessed = secret("guessed");
    let right = Token::new();
    let sha512 = right.clone().header("alg", "HS512");
    let late = caller().at(now() - 3_600);
    for (wrong, code) in [
        (
            pair(&gateway, &right, late.clone().secret(&guessed)),
            "clock-skew",
        ),
        (
            pair(&gateway, &right, late.at(now() * 1_000).secret(&guessed)),
            "clock-skew",
        ),
        (
            pair(&gateway, &sha512.signed_with(&guessed), caller()),
            "credential-rejected",
        ),
    ] {
        assert_eq!(mistake(&gateway.send(&wrong), code), None);
        let report = explained(&folder, &wrong);
        assert_eq!(report["refused"]["code"], code);
        for one in [&report["token"], &report["signatures"][0]] {
            assert_eq!(one["mistake"], Value::Null, "{report:#}");
        }
    }
}

#[test]
fn no_mistake_is_named_whose_mend_leads_to_a_key_that_is_not_taken_there() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream)
        .server("explain = true")
        .route("accept = [\"hmac-auth\", \"token\"]\ndialect = \"cavage-12\"");
    let curve = Pair::of("ecdsa-p256-sha256");
    setup.write_secret("curve.pem", curve.public_pem().as_bytes());
    let setup = setup.more(
        "[apps.pairs]\nkeys = [{ id = \"curve\", algorithm = \"ecdsa-p256-sha256\", public_key = \"file:curve.pem\" }]",
    );
    setup.write("gateway.toml", setup.text().as_bytes());
    let folder = setup.folder().to_owned();
    let gateway = setup.start();
    let bare = gateway.request("GET", "/orders");
    let token = |secret: &[u8]| {
        let token = Token::new().header("kid", "mobile-512").signed_with(secret);
        bare.clone().field("Portcullis-Token", &token.text())
    };
    let date = "Fri, 15 Jan 2027 08:00:00 GMT";
    let host = gateway.address();
    let text = format!("(request-target): get /orders\nhost: {host}\ndate: {date}");
    let cavage = |signature: &[u8]| {
        let proof = format!(
            "Signature keyId=\"curve\", headers=\"(request-target) host date\", signature=\"{}\"",
            BASE64.encode(signature)
        );
        let request = bare.clone().field("Date", date);
        request.field("Authorization", &proof)
    };
    for (wrong, wanted) in [
        // Made with SHA-256, and so would it be with the key's hash.
        (token(SECRET_512), Some("algorithm-not-taken")),
        // It is mended by the name of the key that signed.
        (token(SECRET), Some("other-key")),
        (token(&secret("guessed")), None),
        (
            cavage(&curve.sign_der(text.as_bytes())),
            Some("algorithm-not-taken"),
        ),
        (
            cavage(&curve.sign(text.as_bytes())),
            Some("algorithm-not-taken"),
        ),
        (cavage(&curve.sign_der(b"another")), None),
    ] {
        let told = mistake(&gateway.send(&wrong), "credential-rejected");
        assert_eq!(told.as_deref(), wanted);
        let report = explained(&folder, &wrong);
        let named = [&report["signatures"][0], &report["token"]];
        let mut named = named.iter().filter_map(|one| one["mistake"].as_str());
        assert_eq!(named.next(), wanted, "{report:#}");
    }
}

#[test]
fn another_key_pair_of_the_same_app_is_named_whatever_the_query() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream).server("explain = true");
    let first = Pair::of("ed25519");
    let second = first.stranger(setup.folder());
    setup.write_secret("first.pem", first.public_pem().as_bytes());
    setup.write_secret("second.pem", second.public_pem().as_bytes());
    let keys = ["first", "second"].map(|name| {
        format!("{{ id = \"{name}\", algorithm = \"ed25519\", public_key = \"file:{name}.pem\" }}")
    });
    let gateway = setup
        .more(&format!("[apps.pairs]\nkeys = [{}]", keys.join(", ")))
        .start();
    let signer = caller().key_id("first").pair(second);
    for target in [
        "/orders?since=2026-11-30T10:00:00Z&limit=10",
        "/orders?email=a%40b.com&limit=10",
        "/orders",
    ] {
        let wrong = signer.sign(&gateway.request("GET", target));
        assert_told(&gateway, &wrong, "other-key");
    }
    // And the texts are still tried, under the key that is named.
    let signer = caller().key_id("first").pair(first);
    let request = gateway.request("GET", "/orders?b=2&a=1");
    let wrong = signed(&signer, &request, |text| text.replace("b=2&a=1", "a=1&b=2"));
    assert_told(&gateway, &wrong, "query-sorted");
}

#[test]
fn a_slash_that_stands_for_no_path_is_named() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    let request = gateway.request("GET", "/?x=1");
    let signer = caller().covering(&["@method", "@target-uri"]);
    let url = format!("http://{}?x=1", gateway.address());
    let wrong = signer.value("\"@target-uri\"", &url).sign(&request);
    assert_told(&gateway, &wrong, "path-slash");
}

#[test]
fn each_typical_mistake_is_named_in_every_dialect_of_hmac_auth() {
    const DATE: &str = "Fri, 15 Jan 2027 08:00:00 GMT";
    const BEFORE: &str = "Fri, 15 Jan 2027 07:59:59 GMT";
    let upstream = Upstream::start();
    let digest = BASE64.encode(&Sha256::digest(BODY));
    let hex = HEXLOWER.encode(&Sha256::digest(BODY));
    for dialect in ["kong", "apisix", "cavage-12"] {
        let gateway = Setup::before(&upstream)
            .server("explain = true")
            .route(&format!(
                "accept = [\"hmac-auth\"]\ndialect = \"{dialect}\""
            ))
            .start();
        let host = gateway.address().to_string();
        let (list, line, word, id) = match dialect {
            "kong" => (
                "request-line",
                format!("POST {TARGET} HTTP/1.1"),
                "hmac",
                "username",
            ),
            "apisix" => (
                "@request-target",
                format!("POST {TARGET}"),
                "Signature",
                "keyId",
            ),
            _ => (
                "(request-target)",
                format!("(request-target): post {TARGET}"),
                "Signature",
                "keyId",
            ),
        };
        let text = format!("{line}\ndate: {DATE}\nhost: {host}\ndigest: SHA-256={digest}");
        let text = match dialect {
            "apisix" => format!("mobile-2026\n{text}\n"),
            _ => text,
        };
        let list = format!("{list} date host digest");
        let ask = |text: &str, secret: &[u8]| {
            let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
            mac.update(text.as_bytes());
            let mac = BASE64.encode(&mac.finalize().into_bytes());
            let proof = format!(
                "{word} {id}=\"mobile-2026\", algorithm=\"hmac-sha256\", headers=\"{list}\", signature=\"{mac}\""
            );
            request(&gateway)
                .field("Date", DATE)
                .field("Digest", &format!("SHA-256={digest}"))
                .field("Authorization", &proof)
        };
        gateway.send(&ask(&text, SECRET)).assert_passed();
        let url = format!("http://{host}");
        let mut table = vec![
            (&*host, &*url, "host-with-scheme"),
            ("date: ", "", "name-missing"),
            ("?b=2&a=1", "?a=1&b=2", "query-sorted"),
            ("?b=2&a=1", "", "query-missing"),
            ("caf%C3%A9", "café", "path-decoded"),
            ("caf%C3%A9", "caf%25C3%25A9", "path-encoded-twice"),
            (&*host, "127.0.0.1", "host-without-port"),
            (&*digest, &*hex, "body-digest-in-hex"),
            (DATE, BEFORE, "clock-read-twice"),
            ("date:", "Date:", "names-in-upper-case"),
        ];
        table.extend(match dialect {
            "kong" => [
                ("POST", "post", "method-in-lower-case"),
                ("/1.1", "/1.0", "http-version"),
                (" HTTP/1.1", "", "http-version"),
                ("POST", "request-line: POST", "name-in-front"),
            ],
            "apisix" => [
                ("POST", "post", "method-in-lower-case"),
                ("mobile-2026\n", "", "key-id-missing"),
                ("a=1\n", "a=1 HTTP/1.1\n", "http-version"),
                ("POST", "@request-target: POST", "name-in-front"),
            ],
            _ => [
                ("post", "POST", "method-in-upper-case"),
                (": ", ":", "space-missing"),
                ("a=1\n", "a=1 HTTP/1.1\n", "http-version"),
                ("(request-target): ", "", "name-missing"),
            ],
        });
        for (from, to, wanted) in table {
            let mut wrong = text.replace(from, to);
            if from == "date:" {
                wrong = wrong
                    .replace("host:", "Host:")
                    .replace("digest:", "Digest:");
            }
            assert_told(&gateway, &ask(&wrong, SECRET), wanted);
        }
        let (wrong, wanted) = match text.strip_suffix('\n') {
            Some(without) => (without.to_owned(), "trailing-newline-missing"),
            None => (format!("{text}\n"), "trailing-newline"),
        };
        assert_told(&gateway, &ask(&wrong, SECRET), wanted);
        let as_text = BASE64.encode(SECRET);
        assert_told(&gateway, &ask(&text, as_text.as_bytes()), "secret-as-text");
        // The digest of the base tells key from text here too.
        let guessed = ask(&text, &secret("guessed"));
        let base = format!("sha-256=:{}:", BASE64.encode(&Sha256::digest(&text)));
        let same = gateway.send(&guessed.field("Signature-Base-Digest", &base));
        assert_eq!(mistake(&same, "credential-rejected"), None);
        assert_eq!(same.json()["signature_base_matches"], true);
    }
}

#[test]
fn a_guesser_is_told_nothing_and_cannot_tell_a_known_key() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    let answer = |key: &str, mac: &[u8]| {
        let guessed = caller().key_id(key).sign(&request(&gateway));
        let mac = format!("sig=:{}:", BASE64.encode(mac));
        let response = gateway.send(&guessed.change("Signature", |_| mac.clone()));
        let mut problem = response.json();
        assert!(problem["mistake"].is_null() && problem["hint"].is_null());
        let problem = problem.as_object_mut().unwrap();
        problem.remove("request_id");
        let base = problem.remove("signature_base").unwrap().to_string();
        (base.replace(key, "KEY"), Value::from(problem.clone()))
    };
    let first = answer("mobile-2026", &[0; 32]);
    for guess in 1..40 {
        assert_eq!(answer("mobile-2026", &[guess; 32]), first);
    }
    assert_eq!(answer("of-nobody", &[1; 32]), first);
}

#[test]
fn nothing_is_looked_for_where_nothing_is_explained() {
    let upstream = Upstream::start();
    let plain = Setup::before(&upstream).start();
    let of_app = Setup::before(&upstream).app("explain = true").start();
    let ask = |gateway: &Gateway, signer: &Caller| {
        let wrong = |text: &str| format!("{text}\n");
        let response = gateway.send(&signed(signer, &request(gateway), wrong));
        mistake(&response, "credential-rejected")
    };
    assert_eq!(ask(&plain, &caller()), None);
    assert_eq!(ask(&of_app, &Caller::other()), None);
    assert_eq!(ask(&of_app, &caller()).as_deref(), Some("trailing-newline"));
}

#[test]
fn a_flood_is_not_looked_into_for_longer_than_a_second_allows() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    let wrong = signed(&caller(), &request(&gateway), |text| format!("{text}\n"));
    let told = |count: usize| {
        let answers = (0..count).map(|_| gateway.send(&wrong));
        let told = answers.filter(|one| mistake(one, "credential-rejected").is_some());
        told.count()
    };
    // The clock stands still: all of it is in one second.
    assert_eq!(told(200), 128);
    assert_eq!(told(1), 0);
    gateway.advance(1);
    assert_eq!(told(1), 1);
}

#[test]
fn a_flood_of_which_nothing_may_be_told_takes_no_hint_from_an_app_that_may() {
    let upstream = Upstream::start();
    let hash = "5a".repeat(32);
    let setup = Setup::before(&upstream)
        .app(&format!(
            "explain = true\napi_keys = [{{ id = \"legacy\", hash = \"hmac-sha256:{hash}\" }}]"
        ))
        .more("[api_keys]\npepper = \"file:pepper\"")
        .route("accept = [\"http-signature\", \"token\", \"api-key\"]");
    setup.write_secret("pepper", &secret("pepper"));
    let gateway = setup.start();
    let wrong = |signer: &Caller| {
        let newline = |text: &str| format!("{text}\n");
        signed(signer, &request(&gateway), newline)
    };
    let token = Token::new().header("kid", "of-nobody").text();
    for refused in [
        wrong(&caller().key_id("of-nobody")),
        wrong(&Caller::other()),
        request(&gateway).field("Portcullis-Token", &token),
        request(&gateway).field("X-Api-Key", "a-static-key-of-nobody-0123456789"),
    ] {
        // The clock stands still: all of it is in one second.
        for _ in 0..200 {
            let response = gateway.send(&refused);
            assert_eq!(mistake(&response, "credential-rejected"), None);
        }
    }
    assert_told(&gateway, &wrong(&caller()), "trailing-newline");
}

#[test]
fn the_log_names_the_mistake_beside_the_true_reason() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    let wrong = signed(&caller(), &request(&gateway), |text| format!("{text}\n"));
    gateway.send(&wrong);
    let record = gateway.record(0);
    assert_eq!(record["reason"], "wrong-signature: trailing-newline");
}

#[test]
fn every_mistake_is_documented_with_what_it_says() {
    let page = include_str!("../../docs/explain.md");
    for mistake in Mistake::ALL {
        let row = format!("| `{}` | {} |", mistake.word(), mistake.says());
        assert!(page.contains(&row), "{row}");
    }
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    assert_eq!(rows.count(), Mistake::ALL.len());
}

/// The MAC of `text`.
fn mac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

/// Whoever signs as for AWS.
#[derive(Clone, Copy)]
struct ForAws<'a> {
    id: &'a str,
    service: &'a str,
    time: &'a str,
    secret: &'a [u8],
    /// What stands before the secret.
    front: &'a [u8],
}

/// As it is right.
const FOR_AWS: ForAws<'static> = ForAws {
    id: "mobile-2026",
    service: "execute-api",
    time: "20270115T080000Z",
    secret: SECRET,
    front: b"AWS4",
};

impl ForAws<'_> {
    fn scope(&self) -> String {
        let (day, service) = (&self.time[..8], self.service);
        format!("{day}/eu-west-1/{service}/aws4_request")
    }

    /// The canonical request of `request`, its path and query in this form.
    fn canonical(&self, request: &Request, path: &str, query: &str) -> String {
        let (method, host, time) = (&request.method, &request.authority, self.time);
        let hash = Sha256::digest(request.body.as_deref().unwrap_or_default());
        let hash = HEXLOWER.encode(&hash);
        format!(
            "{method}\n{path}\n{query}\nhost:{host}\nx-amz-date:{time}\n\nhost;x-amz-date\n{hash}"
        )
    }

    fn string_to_sign(&self, canonical: &str) -> String {
        let hash = HEXLOWER.encode(&Sha256::digest(canonical));
        let (time, scope) = (self.time, self.scope());
        format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{hash}")
    }

    /// `request` with the signature of this canonical request.
    fn sign(&self, request: &Request, canonical: &str) -> Request {
        let scope = self.scope();
        let mut key = [self.front, self.secret].concat();
        for part in scope.split('/') {
            key = mac(&key, part.as_bytes());
        }
        let signature = HEXLOWER.encode(&mac(&key, self.string_to_sign(canonical).as_bytes()));
        request.clone().field("X-Amz-Date", self.time).field(
            "Authorization",
            &format!(
                "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders=host;x-amz-date, Signature={signature}",
                self.id
            ),
        )
    }
}

/// A gateway that tells all, on a route for signers of AWS's.
fn for_aws(upstream: &Upstream, route: &str) -> Gateway {
    let route = format!("accept = [\"aws-sigv4\"]\n{route}");
    let setup = Setup::before(upstream).server("explain = true");
    let setup = setup.route(&route).more(KEYS);
    for name in ["old", "new", "next", "tokens"] {
        setup.write_secret(&format!("{name}.key"), &secret(name));
    }
    setup.start()
}

#[test]
fn each_typical_mistake_of_callers_of_aws_is_named() {
    let upstream = Upstream::start();
    let gateway = for_aws(&upstream, "");
    let request = request(&gateway);
    let hash = HEXLOWER.encode(&Sha256::digest(BODY));
    let base64 = BASE64.encode(&Sha256::digest(BODY));
    let empty = HEXLOWER.encode(&Sha256::digest(""));
    let right = FOR_AWS.canonical(&request, "/orders/caf%25C3%25A9/7", "a=1&b=2");
    gateway
        .send(&FOR_AWS.sign(&request, &right))
        .assert_passed();
    let host = format!("host:{}", request.authority);
    for (from, to, wanted) in [
        ("POST", "post", "method-in-lower-case"),
        ("a=1&b=2", "", "query-missing"),
        ("/7\n", "/7/\n", "path-slash"),
        (&*host, "host:127.0.0.1", "host-without-port"),
        ("host:", "host:http://", "host-with-scheme"),
        (&*hash, &*base64, "body-hash-in-base64"),
        (&*hash, &*hash.to_uppercase(), "body-hash-in-upper-case"),
        (&*hash, "UNSIGNED-PAYLOAD", "body-unsigned"),
        (&*hash, &*empty, "body-as-empty"),
        (&*hash, &*format!("{hash}\n"), "trailing-newline"),
        ("a=1&b=2", "?a=1&b=2", "question-mark-signed"),
        ("\n\nhost;", "\nhost;", "empty-line-missing"),
    ] {
        gateway.advance(1);
        let wrong = right.replace(from, to);
        assert_told(&gateway, &FOR_AWS.sign(&request, &wrong), wanted);
    }
    let fields = right
        .replace("host:", "Host:")
        .replace("x-amz-date:", "X-Amz-Date:");
    let names = fields.replace("host;x-amz-date", "Host;X-Amz-Date");
    for wrong in [fields, names] {
        gateway.advance(1);
        let wrong = FOR_AWS.sign(&request, &wrong);
        assert_told(&gateway, &wrong, "names-in-upper-case");
    }
    // Signed a second before it is sent: all of it, or the last text alone.
    let before = ForAws {
        time: "20270115T075959Z",
        ..FOR_AWS
    };
    let all = before.canonical(&request, "/orders/caf%25C3%25A9/7", "a=1&b=2");
    for canonical in [&all, &right] {
        gateway.advance(1);
        let wrong = before.sign(&request, canonical);
        let wrong = wrong.change("X-Amz-Date", |_| FOR_AWS.time.to_owned());
        assert_told(&gateway, &wrong, "clock-read-twice");
    }
    let plain = gateway.request("GET", "/orders");
    let right_too = FOR_AWS.canonical(&plain, "/orders", "");
    for wrong in [
        right_too.replace("\n\n", "\n"),
        right_too.replace("/orders\n\n", "/orders\n"),
        right_too.replace("\n\nhost;", "\nhost;"),
    ] {
        gateway.advance(1);
        let wrong = FOR_AWS.sign(&plain, &wrong);
        assert_told(&gateway, &wrong, "empty-line-missing");
    }
    let other = secret("guessed");
    let guessed = ForAws {
        secret: &other,
        ..FOR_AWS
    };
    let guessed = gateway.send(&guessed.sign(&request, &right));
    assert_eq!(mistake(&guessed, "credential-rejected"), None);
    let strict = for_aws(&upstream, "sigv4 = { path = \"as-sent\" }");
    let request = self::request(&strict);
    let again = FOR_AWS.canonical(&request, "/orders/caf%25C3%25A9/7", "a=1&b=2");
    assert_told(&strict, &FOR_AWS.sign(&request, &again), "form-not-taken");
}

/// Path and query of `/orders/caf%C3%A9/7?b=2&a=x:y` as AWS's signers write them.
const PATHS: [&str; 2] = ["/orders/caf%25C3%25A9/7", "/orders/caf%C3%A9/7"];
const QUERIES: [&str; 3] = ["a=x:y&b=2", "a=x%3Ay&b=2", "b=2&a=x:y"];
const WRITTEN: &str = "/orders/caf%C3%A9/7?b=2&a=x:y";

#[test]
fn a_mistake_of_callers_of_aws_is_named_in_every_form_that_the_route_takes() {
    let upstream = Upstream::start();
    let as_text = BASE64.encode(SECRET);
    for (route, service, paths) in [
        ("", "execute-api", &PATHS[..]),
        ("", "s3", &PATHS),
        ("sigv4 = { path = \"as-sent\" }", "execute-api", &PATHS[1..]),
    ] {
        let gateway = for_aws(&upstream, route);
        let signer = ForAws { service, ..FOR_AWS };
        let request = gateway.request("POST", WRITTEN).body(BODY);
        let forms = paths
            .iter()
            .flat_map(|path| QUERIES.map(|query| (*path, query)));
        for (path, query) in forms {
            let right = signer.canonical(&request, path, query);
            let passed = gateway.send(&signer.sign(&request, &right));
            passed.assert_passed();
            let told = |signer: ForAws<'_>, canonical: &str, wanted: Option<&str>| {
                // As much as a second allows is tried for each.
                gateway.advance(1);
                let response = gateway.send(&signer.sign(&request, canonical));
                let word = mistake(&response, "credential-rejected");
                assert_eq!(word.as_deref(), wanted, "{service} {route} {canonical}");
            };
            let hash = HEXLOWER.encode(&Sha256::digest(BODY));
            for (from, to, wanted) in [
                ("POST", "post", "method-in-lower-case"),
                (query, "", "query-missing"),
                ("/7\n", "/7/\n", "path-slash"),
                (&*hash, "UNSIGNED-PAYLOAD", "body-unsigned"),
                (&*hash, &*hash.to_uppercase(), "body-hash-in-upper-case"),
                ("\n", "\r\n", "crlf"),
            ] {
                told(signer, &right.replace(from, to), Some(wanted));
            }
            for (secret, front, wanted) in [
                (as_text.as_bytes(), &b"AWS4"[..], Some("secret-as-text")),
                (SECRET, b"", Some("aws4-missing")),
                (SECRET_512, b"AWS4", None),
            ] {
                let signer = ForAws {
                    secret,
                    front,
                    ..signer
                };
                told(signer, &right, wanted);
            }
            let old = secret("old");
            let retired = ForAws {
                id: "old",
                secret: &old,
                ..signer
            };
            told(retired, &right, Some("retired-key"));
            // And named as the key that followed it.
            let retired = ForAws {
                id: "new",
                ..retired
            };
            told(retired, &right, Some("retired-key"));
        }
    }
}

#[test]
fn of_forms_that_are_too_long_together_mistakes_of_the_first_are_named() {
    let upstream = Upstream::start();
    let gateway = for_aws(&upstream, "");
    // Six of them are more than 16 KiB.
    let long = format!("c={}", "x".repeat(3_000));
    let request = gateway.request("GET", &format!("{WRITTEN}&{long}"));
    let query = format!("{}&{long}", QUERIES[0]);
    let right = FOR_AWS.canonical(&request, PATHS[0], &query);
    let passed = gateway.send(&FOR_AWS.sign(&request, &right));
    passed.assert_passed();
    for (from, to, wanted) in [
        ("GET", "get", "method-in-lower-case"),
        ("\n", "\r\n", "crlf"),
    ] {
        gateway.advance(1);
        let wrong = right.replace(from, to);
        let response = gateway.send(&FOR_AWS.sign(&request, &wrong));
        let told = mistake(&response, "credential-rejected");
        assert_eq!(told.as_deref(), Some(wanted));
    }
    // A key that has gone is known in each.
    let old = secret("old");
    let retired = ForAws {
        id: "old",
        secret: &old,
        ..FOR_AWS
    };
    gateway.advance(1);
    let last = format!("{}&{long}", QUERIES[2]);
    let last = FOR_AWS.canonical(&request, PATHS[1], &last);
    let response = gateway.send(&retired.sign(&request, &last));
    let told = mistake(&response, "credential-rejected");
    assert_eq!(told.as_deref(), Some("retired-key"));
}

#[test]
fn a_clock_is_blamed_in_every_form_that_callers_of_aws_sign() {
    let upstream = Upstream::start();
    let gateway = for_aws(&upstream, "");
    let request = gateway.request("GET", WRITTEN);
    let late = ForAws {
        time: "20270115T070000Z",
        ..FOR_AWS
    };
    for path in PATHS {
        for query in QUERIES {
            gateway.advance(1);
            let canonical = late.canonical(&request, path, query);
            let response = gateway.send(&late.sign(&request, &canonical));
            let told = mistake(&response, "clock-skew");
            assert_eq!(told.as_deref(), Some("clock-offset"), "{canonical}");
        }
    }
}

#[test]
fn the_digest_of_either_text_of_aws_in_any_form_tells_the_key_from_the_text() {
    let upstream = Upstream::start();
    let gateway = for_aws(&upstream, "");
    let request = gateway.request("GET", WRITTEN);
    let other = secret("guessed");
    let guessed = ForAws {
        secret: &other,
        ..FOR_AWS
    };
    let ask = |canonical: &str, text: &str| {
        let digest = BASE64.encode(&Sha256::digest(text));
        let digest = format!("sha-256=:{digest}:");
        let signed = guessed.sign(&request, canonical);
        let told = gateway.send(&signed.field("Signature-Base-Digest", &digest));
        told.json()
    };
    for path in PATHS {
        for query in QUERIES {
            let right = guessed.canonical(&request, path, query);
            for text in [&right, &guessed.string_to_sign(&right)] {
                let told = ask(&right, text);
                assert_eq!(told["signature_base_matches"], true, "{text}: {told:#}");
                assert_eq!(told["signature_base"], right);
            }
            let wrong = right.replace("GET", "get");
            for text in [&wrong, &guessed.string_to_sign(&wrong)] {
                let told = ask(&wrong, text);
                assert_eq!(told["signature_base_matches"], false, "{text}: {told:#}");
                let detail = told["detail"].as_str().unwrap();
                assert!(detail.contains("one of 6"), "{detail}");
            }
        }
    }
}

#[test]
fn a_presigned_url_that_was_copied_out_of_html_is_told_so() {
    let upstream = Upstream::start();
    let gateway = for_aws(&upstream, "");
    let parameters = [
        "X-Amz-Algorithm=AWS4-HMAC-SHA256",
        "X-Amz-Credential=mobile-2026%2F20270115%2Feu-west-1%2Fs3%2Faws4_request",
        "X-Amz-Date=20270115T080000Z",
        "X-Amz-SignedHeaders=host",
        "X-Amz-Signature=5a",
    ];
    let target = format!("/orders?{}", parameters.join("&amp;"));
    let response = gateway.send(&gateway.request("GET", &target));
    response.assert_refused(400, "malformed-credential");
    let detail = response.json()["detail"].to_string();
    assert!(
        detail.contains("`&amp;` stands before `X-Amz-Credential`"),
        "{detail}"
    );
}
