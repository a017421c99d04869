//! What a route adds on the way to its upstream, and who gets it.

use crate::harness::{Caller, Gateway, Request, Response, Setup, Token, Upstream, caller};
use data_encoding::BASE64;
use serde_json::Value;

const FORM: &str = "application/x-www-form-urlencoded";
const KEY: &str = "canary-legacy-key";
const SECRET: &str = "canary secret+of/the&client=ä";

/// The route before an authorization server, and another that adds nothing.
fn start(upstream: &Upstream, inject: &str, more: &str) -> Gateway {
    setup(upstream, inject, more).start()
}

fn setup(upstream: &Upstream, inject: &str, more: &str) -> Setup {
    let route = |name: &str, path: &str, more: &str| {
        format!(
            "[[routes]]\nname = \"{name}\"\npath = \"{path}\"\nupstream = \"backend\"\n\
             accept = [\"http-signature\", \"token\"]\n{more}\n\n"
        )
    };
    let routes = route("server", "/oauth/**", &format!("{inject}\n{more}"));
    let setup = Setup::before(upstream).routes(&(routes + &route("plain", "/plain/**", "")));
    setup.write_secret("legacy.key", format!("{KEY}\n").as_bytes());
    setup.write_secret("client.secret", SECRET.as_bytes());
    setup
}

fn post(gateway: &Gateway, form: &str) -> Request {
    gateway
        .request("POST", "/oauth/token")
        .field("Content-Type", FORM)
        .body(form)
}

fn with_token(request: &Request) -> Request {
    request
        .clone()
        .field("Portcullis-Token", &Token::new().text())
}

fn is_400(response: &Response, told: &str) {
    response.assert_refused(400, "malformed-request");
    let detail = response.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains(told), "{detail}");
}

#[test]
fn a_field_is_added_for_the_backend_and_replaces_what_came() {
    let upstream = Upstream::start();
    let inject = "inject = { header = { \"X-Api-Key\" = \"file:legacy.key\" } }";
    let gateway = start(&upstream, inject, "");
    let request = with_token(&gateway.request("GET", "/oauth/x")).field("X-Api-Key", "theirs");
    gateway.send(&request).assert_passed();
    assert_eq!(upstream.got(0).field("x-api-key"), Some(KEY));
    let other = with_token(&gateway.request("GET", "/plain/x")).field("X-Api-Key", "theirs");
    gateway.send(&other).assert_passed();
    assert_eq!(upstream.got(1).field("x-api-key"), Some("theirs"));
    gateway
        .send(&gateway.request("GET", "/oauth/x"))
        .assert_refused(401, "credential-missing");
    assert_eq!(upstream.heard().len(), 2);
}

#[test]
fn the_clients_id_and_secret_are_encoded_before_they_are_joined() {
    let upstream = Upstream::start();
    let inject =
        "inject = { basic = { user = \"shop:web äpp\", password = \"file:client.secret\" } }";
    let gateway = start(&upstream, inject, "");
    // `Authorization` belongs to the server; here it is ours.
    let request = with_token(&post(&gateway, "grant_type=x")).field("Authorization", "Basic eDp4");
    gateway.send(&request).assert_passed();
    let got = upstream.only();
    let value = got.field("authorization").unwrap();
    let pair = BASE64
        .decode(value.strip_prefix("Basic ").unwrap().as_bytes())
        .unwrap();
    assert_eq!(
        String::from_utf8(pair).unwrap(),
        "shop%3Aweb%20%C3%A4pp:canary%20secret%2Bof%2Fthe%26client%3D%C3%A4"
    );
    assert_eq!(got.body, b"grant_type=x");
}

const INTO_FORM: &str =
    "inject = { form = { client_id = \"shop\", client_secret = \"file:client.secret\" } }";
const ADDED: &str = "client_id=shop&client_secret=canary%20secret%2Bof%2Fthe%26client%3D%C3%A4";

#[test]
fn members_are_added_behind_a_form_once_and_its_length_is_right() {
    for verify in ["before-forwarding", "while-forwarding"] {
        let upstream = Upstream::start();
        let body = format!("body = {{ verify = \"{verify}\" }}");
        let gateway = start(&upstream, INTO_FORM, &body);
        for (number, (form, chunked, wanted)) in [
            (
                "grant_type=refresh_token&refresh_token=r",
                false,
                "grant_type=refresh_token&refresh_token=r&",
            ),
            (
                "grant_type=refresh_token&refresh_token=r",
                true,
                "grant_type=refresh_token&refresh_token=r&",
            ),
            ("a=1&", false, "a=1&"),
            ("", false, ""),
        ]
        .into_iter()
        .enumerate()
        {
            let mut request = post(&gateway, form);
            request.chunked = chunked;
            let signed = caller().nonce(&number.to_string()).sign(&request);
            gateway.send(&signed).assert_passed();
            let got = upstream.got(number);
            let wanted = format!("{wanted}{ADDED}");
            assert_eq!(String::from_utf8(got.body.clone()).unwrap(), wanted);
            assert_eq!(
                got.field("content-length"),
                Some(&*wanted.len().to_string())
            );
            assert_eq!(got.field("transfer-encoding"), None);
            // It is of the body that came.
            assert_eq!(got.field("content-digest"), None);
        }
    }
}

#[test]
fn a_client_that_names_itself_as_we_do_is_named_once() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, INTO_FORM, "");
    let secret = ADDED.strip_prefix("client_id=shop&").unwrap();
    for (number, form) in ["client_id=shop", "a=1&client_id=shop&b=2"]
        .into_iter()
        .enumerate()
    {
        gateway
            .send(&with_token(&post(&gateway, form)))
            .assert_passed();
        let got = upstream.got(number);
        let wanted = format!("{form}&{secret}");
        assert_eq!(String::from_utf8(got.body.clone()).unwrap(), wanted);
        let length = wanted.len().to_string();
        assert_eq!(got.field("content-length"), Some(&*length));
    }
    for form in [
        "client_id=shop&client_id=shop",
        "client_id=shop&client_id=other",
    ] {
        is_400(
            &gateway.send(&with_token(&post(&gateway, form))),
            "client_id",
        );
    }
    let in_query = Request {
        target: "/oauth/token?client_id=shop".into(),
        ..post(&gateway, "a=1")
    };
    is_400(&gateway.send(&with_token(&in_query)), "client_id");
    // Whoever guesses at a secret is not told that he was right.
    is_400(
        &gateway.send(&with_token(&post(&gateway, secret))),
        "client_secret",
    );
}

#[test]
fn what_is_verified_is_the_body_that_came() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, INTO_FORM, "");
    let mut wrong = caller().sign(&post(&gateway, "grant_type=refresh_token"));
    wrong.body = Some(format!("grant_type=refresh_token&{ADDED}").into());
    gateway.send(&wrong).assert_refused(401, "digest-mismatch");
    upstream.assert_silent();
}

#[test]
fn a_member_that_a_caller_sends_under_a_name_of_ours_is_refused() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, INTO_FORM, "");
    for form in [
        "client_secret=guess",
        "a=1&client_id=other",
        "a=1;client_secret=guess",
        "client%5Fsecret=guess",
        "client.secret=guess",
        "client_secret[]=guess",
    ] {
        let told = if form.contains("id") {
            "client_id"
        } else {
            "client_secret"
        };
        is_400(&gateway.send(&with_token(&post(&gateway, form))), told);
    }
    let in_query = Request {
        target: "/oauth/token?client_id=other".into(),
        ..post(&gateway, "a=1")
    };
    is_400(&gateway.send(&with_token(&in_query)), "client_id");
    let odd = post(&gateway, "client%u005Fsecret=guess");
    is_400(&gateway.send(&with_token(&odd)), "not encoded");
    let encoded = post(&gateway, "a=1").field("Content-Encoding", "gzip");
    is_400(&gateway.send(&with_token(&encoded)), "Content-Encoding");
    upstream.assert_silent();
}

#[test]
fn a_form_is_held_up_to_its_bound_and_no_further() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, INTO_FORM, "");
    let most = 64 * 1024;
    let request = with_token(&post(&gateway, &"a".repeat(most)));
    gateway.send(&request).assert_passed();
    assert_eq!(upstream.got(0).body.len(), most + 1 + ADDED.len());
    for chunked in [false, true] {
        let mut request = with_token(&post(&gateway, &"a".repeat(most + 1)));
        request.chunked = chunked;
        gateway.send(&request).assert_refused(413, "body-too-large");
    }
    assert_eq!(upstream.heard().len(), 1);
}

#[test]
fn a_caller_names_another_client_in_no_body_of_another_kind() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, INTO_FORM, "");
    let multipart =
        "--b\r\nContent-Disposition: form-data; name=\"client_id\"\r\n\r\nother\r\n--b--\r\n";
    for (kind, body, told) in [
        (
            "multipart/form-data; boundary=b",
            multipart,
            "form-urlencoded",
        ),
        (
            "application/json",
            "{\"client_id\":\"other\"}",
            "form-urlencoded",
        ),
        // Taken for a form by servers that end the type at a comma.
        (
            "application/x-www-form-urlencoded, text/plain",
            "client_id=other",
            "form-urlencoded",
        ),
        (
            "application/x-www-form-urlencoded; charset=\"UTF-16\"",
            "a=1",
            "`charset=utf-8`",
        ),
        // A `charset`, too, where servers decode names, or look for it anywhere.
        (
            "application/x-www-form-urlencoded; charset*=utf-8''utf-7",
            "+AGM-lient_id=other",
            "`charset=utf-8`",
        ),
        (
            "application/x-www-form-urlencoded; xcharset=IBM037",
            "%83%93%89%85%95%a3%6d%89%84=other",
            "`charset=utf-8`",
        ),
        (
            "application/x-www-form-urlencoded; x=charset=utf-16",
            "a=1",
            "`charset=utf-8`",
        ),
        (
            "application/x-www-form-urlencoded; charset=utf-8; x=\"charset=utf-16\"",
            "a=1",
            "`charset=utf-8`",
        ),
    ] {
        let request = gateway.request("POST", "/oauth/token");
        let request = request.field("Content-Type", kind).body(body);
        is_400(&gateway.send(&with_token(&request)), told);
    }
    let unsaid = gateway
        .request("POST", "/oauth/token")
        .body("client_id=other");
    is_400(&gateway.send(&with_token(&unsaid)), "form-urlencoded");
    let in_query = gateway.request("POST", "/oauth/token?client_id=other");
    is_400(&gateway.send(&with_token(&in_query)), "client_id");
    upstream.assert_silent();
}

#[test]
fn requests_without_a_body_pass_as_they_are() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, INTO_FORM, "");
    let get = gateway
        .request("GET", "/oauth/authorize?client_id=shop")
        .field("Content-Type", FORM);
    let post = gateway.request("POST", "/oauth/logout?all=1");
    for (number, request) in [get, post].iter().enumerate() {
        gateway.send(&caller().sign(request)).assert_passed();
        assert!(upstream.got(number).body.is_empty());
    }
    let upper = gateway
        .request("POST", "/oauth/token")
        .field(
            "Content-Type",
            "Application/X-WWW-Form-Urlencoded; charset=UTF-8;",
        )
        .body("a=1");
    gateway.send(&with_token(&upper)).assert_passed();
    assert_eq!(upstream.got(2).body, format!("a=1&{ADDED}").as_bytes());
}

#[test]
fn a_route_that_observes_adds_nothing_for_whom_it_does_not_know() {
    let upstream = Upstream::start();
    let inject = "inject = { header = { \"X-Api-Key\" = \"file:legacy.key\" }, form = { client_secret = \"file:client.secret\" } }";
    let gateway = start(&upstream, inject, "mode = \"observe\"");
    let request = post(&gateway, "a=1").field("X-Api-Key", "theirs");
    gateway.send(&request).assert_passed();
    gateway.send(&with_token(&request)).assert_passed();
    let unknown = upstream.got(0);
    assert_eq!(unknown.field("x-api-key"), Some("theirs"));
    assert_eq!(unknown.body, b"a=1");
    let known = upstream.got(1);
    assert_eq!(known.field("x-api-key"), Some(KEY));
    assert!(known.body.starts_with(b"a=1&client_secret="));
}

#[test]
fn what_is_added_is_in_no_log_answer_metric_or_printed_configuration() {
    let upstream = Upstream::start();
    let inject = "inject = { header = { \"X-Api-Key\" = \"file:legacy.key\" }, \
                  form = { client_secret = \"file:client.secret\" } }";
    let setup = setup(&upstream, inject, "").server("explain = true");
    let text = setup.text();
    let loaded =
        portcullis::config::Config::from_text(&text, "gateway.toml", setup.folder(), &|_| None)
            .unwrap();
    let printed = serde_json::to_string(&loaded.resolved).unwrap();
    assert!(printed.contains("file:legacy.key") && printed.contains("file:client.secret"));
    let debug = format!("{:?}", loaded.config);
    for text in [printed, debug] {
        assert!(
            !text.contains("canary") && !text.contains(&BASE64.encode(b"canary")),
            "{text}"
        );
    }
    let gateway = setup.start();
    for request in [
        caller().sign(&post(&gateway, "a=1")),
        Caller::new("mobile-2026", b"another-secret-of-32-bytes-in-all")
            .sign(&post(&gateway, "a=2")),
        with_token(&post(&gateway, "client_secret=x")),
    ] {
        let response = gateway.send(&request);
        assert!(!response.text().contains("canary"), "{}", response.text());
    }
    for n in 0..3 {
        let record: Value = gateway.record(n);
        assert!(!record.to_string().contains("canary"), "{record}");
    }
    assert!(!gateway.ask_admin("/metrics").text().contains("canary"));
    assert_eq!(upstream.heard().len(), 1);
}
