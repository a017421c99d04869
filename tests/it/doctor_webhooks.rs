//! The doctor on webhooks: whoever builds a sender, or has its secret, is told the mistake, a guesser nothing.

use crate::harness::{Gateway, Request, Response, T0, Upstream};
use crate::webhooks::{BODY, BYTES, OLD, SENDERS, fields, setup, signature_field, signed_at, text};
use data_encoding::{BASE64, HEXLOWER};
use serde_json::Value;
use sha2::{Digest, Sha256};

fn start(upstream: &Upstream, sender: &str, lines: &str) -> Gateway {
    setup(upstream, sender, lines)
        .server("explain = true")
        .start()
}

/// A webhook of `body` whose sender has signed `text`.
fn with(gateway: &Gateway, sender: &str, secret: &[u8], text: &str, body: &str) -> Request {
    let mut request = gateway.request("POST", "/hooks").body(body);
    for (name, value) in fields(sender, secret, T0, text) {
        request = request.field(name, &value);
    }
    request
}

fn told(response: &Response) -> Option<String> {
    let problem = response.json();
    assert_eq!(problem["code"], "credential-rejected", "{problem:#}");
    let word = problem["mistake"].as_str().map(str::to_owned);
    assert_eq!(problem["hint"].is_string(), word.is_some(), "{problem:#}");
    word
}

#[test]
fn each_typical_mistake_of_a_sender_with_its_text_is_named() {
    let front = |sender: &str| text(sender, T0, "");
    let hash = HEXLOWER.encode(&Sha256::digest(BODY));
    for sender in SENDERS {
        let upstream = Upstream::start();
        let gateway = start(&upstream, sender, "");
        let front = front(sender);
        let mut table = vec![
            (format!("{front}{BODY}\n"), "body-written-anew"),
            (format!("{front}[object Object]"), "body-as-object"),
            (format!("{front}b'{BODY}'"), "body-as-object"),
            (front.clone(), "body-missing"),
            (format!("{front}{hash}"), "body-hashed"),
            (
                format!("{front}{}", BODY.replace(": ", ":").replace(", ", ",")),
                "body-written-anew",
            ),
        ];
        let (time, body) = (T0, BODY);
        table.extend(match sender {
            "standard-webhooks" => vec![
                (body.to_owned(), "body-alone"),
                (format!("{time}.{body}"), "id-missing"),
                (format!("msg_1.{body}"), "time-missing"),
                (format!("{time}.msg_1.{body}"), "front-in-other-order"),
                (format!("msg_1:{time}:{body}"), "separator"),
                (format!("msg_1.{time}{body}"), "separator"),
                (format!("msg_1\n{time}\n{body}"), "separator"),
            ],
            "stripe" => vec![
                (body.to_owned(), "body-alone"),
                (format!("{time}:{body}"), "separator"),
                (format!("{time}{body}"), "separator"),
                (format!("t={time}.{body}"), "separator"),
            ],
            "slack" => vec![
                (body.to_owned(), "body-alone"),
                (format!("{time}:{body}"), "version-missing"),
                (format!("v0.{time}.{body}"), "separator"),
                (format!("v0={time}:{body}"), "separator"),
            ],
            _ => Vec::new(),
        });
        for (text, wanted) in table {
            let request = with(&gateway, sender, BYTES, &text, BODY);
            let response = gateway.send(&request);
            assert_eq!(told(&response).as_deref(), Some(wanted), "{sender}: {text}");
            let base = response.json()["signature_base"].to_string();
            assert!(base.contains("order.paid"), "{base}");
        }
        upstream.assert_silent();
        gateway
            .send(&signed_at(&gateway, sender, BYTES, T0, BODY))
            .assert_passed();
    }
}

#[test]
fn a_body_that_was_written_anew_on_the_way_is_named() {
    for sender in SENDERS {
        let upstream = Upstream::start();
        let gateway = start(&upstream, sender, "");
        // Signed as Python writes it, and sent on as JavaScript does.
        let compact = BODY.replace(": ", ":").replace(", ", ",");
        let request = with(&gateway, sender, BYTES, &text(sender, T0, BODY), &compact);
        let answer = gateway.send(&request);
        assert_eq!(told(&answer).as_deref(), Some("body-written-anew"));
        // Whose lines end otherwise than they were signed, or whose last one no longer ends.
        for (signed, sent) in [("{\r\n}", "{\n}"), ("{\n}", "{\n}\n"), ("{\n}\n", "{\n}")] {
            let request = with(&gateway, sender, BYTES, &text(sender, T0, signed), sent);
            let answer = gateway.send(&request);
            assert_eq!(
                told(&answer).as_deref(),
                Some("body-written-anew"),
                "{sent:?}"
            );
            let hint = answer.json()["hint"].to_string();
            assert!(hint.contains("the same text with other white space"));
        }
        // What is another body altogether cannot be told from another secret.
        let request = with(&gateway, sender, BYTES, &text(sender, T0, BODY), "{}");
        assert_eq!(told(&gateway.send(&request)), None);
    }
}

#[test]
fn each_typical_mistake_of_a_sender_with_its_secret_is_named() {
    for sender in SENDERS {
        let upstream = Upstream::start();
        let gateway = start(&upstream, sender, "");
        let text = text(sender, T0, BODY);
        let ask = |secret: &[u8]| {
            let request = with(&gateway, sender, secret, &text, BODY);
            told(&gateway.send(&request))
        };
        let base64 = BASE64.encode(BYTES);
        let mut table = vec![([BYTES, b"\n"].concat(), "secret-with-newline")];
        if sender == "standard-webhooks" {
            table.extend([
                (base64.clone().into_bytes(), "secret-as-text"),
                (format!("whsec_{base64}").into_bytes(), "secret-with-prefix"),
                (HEXLOWER.encode(BYTES).into_bytes(), "secret-as-text"),
            ]);
        }
        for (secret, wanted) in table {
            assert_eq!(ask(&secret).as_deref(), Some(wanted), "{sender}");
        }
        assert_eq!(ask(b"canary-of-somebody-else!"), None);
    }
    // Stripe's prefix is a part of it.
    let upstream = Upstream::start();
    let setup = setup(&upstream, "stripe", "").server("explain = true");
    let bytes = b"whsec_Y2FuYXJ5LXNlY3JldC1vZi0yNC1ieXRl";
    setup.write_secret("new.secret", bytes);
    let gateway = setup.start();
    let bare = &bytes["whsec_".len()..];
    for secret in [bare.to_vec(), BASE64.decode(bare).unwrap()] {
        let request = with(&gateway, "stripe", &secret, &text("stripe", T0, BODY), BODY);
        let told = told(&gateway.send(&request));
        assert_eq!(told.as_deref(), Some("secret-without-prefix"));
    }
}

#[test]
fn a_key_of_a_sender_that_is_over_is_named_to_who_signs_with_it() {
    for sender in SENDERS {
        let upstream = Upstream::start();
        let gateway = start(&upstream, sender, "");
        gateway.advance(86_400);
        let late = signed_at(&gateway, sender, OLD, T0 + 86_400, BODY);
        let response = gateway.send(&late);
        assert_eq!(told(&response).as_deref(), Some("retired-key"), "{sender}");
        let record = gateway.record(0);
        assert_eq!(record["reason"], "key-not-active: retired-key");
    }
}

#[test]
fn one_of_several_signatures_is_enough_to_find_a_mistake() {
    let upstream = Upstream::start();
    for sender in ["standard-webhooks", "stripe"] {
        let gateway = start(&upstream, sender, "");
        let name = signature_field(sender);
        let wrong = with(&gateway, sender, BYTES, &format!("{BODY}\n"), BODY);
        let newline = format!("{}\n", text(sender, T0, BODY));
        let right_but = with(&gateway, sender, BYTES, &newline, BODY);
        let more = right_but.value(name).unwrap();
        let both = wrong.change(name, |value| match sender {
            "stripe" => format!("{value},{}", more.split_once(',').unwrap().1),
            _ => format!("{value} {more}"),
        });
        let answer = gateway.send(&both);
        assert_eq!(told(&answer).as_deref(), Some("body-written-anew"));
    }
}

#[test]
fn what_is_written_in_another_way_is_said_to_everybody() {
    let upstream = Upstream::start();
    let hex = "00".repeat(32);
    let base64 = BASE64.encode(&[0; 32]);
    for (sender, name, value, wanted) in [
        (
            "standard-webhooks",
            "Webhook-Signature",
            format!("v1,{hex}"),
            "hexadecimal",
        ),
        (
            "standard-webhooks",
            "Webhook-Signature",
            format!("v1={base64}"),
            "v1,BASE64",
        ),
        (
            "standard-webhooks",
            "Webhook-Timestamp",
            format!("{T0}000"),
            "milliseconds",
        ),
        (
            "github",
            "X-Hub-Signature-256",
            format!("sha256={base64}"),
            "base64",
        ),
        ("github", "X-Hub-Signature-256", hex.clone(), "sha256=HEX"),
        (
            "stripe",
            "Stripe-Signature",
            format!("t={T0},v1={base64}"),
            "base64",
        ),
        (
            "stripe",
            "Stripe-Signature",
            format!("t={T0}000,v1={hex}"),
            "milliseconds",
        ),
        (
            "stripe",
            "Stripe-Signature",
            format!("t={T0};v1={hex}"),
            "t=TIME",
        ),
        (
            "slack",
            "X-Slack-Signature",
            format!("v0={base64}"),
            "base64",
        ),
        (
            "slack",
            "X-Slack-Request-Timestamp",
            format!("{T0}000"),
            "milliseconds",
        ),
    ] {
        let gateway = setup(&upstream, sender, "").start();
        let good = signed_at(&gateway, sender, BYTES, T0, BODY);
        let response = gateway.send(&good.change(name, |_| value.clone()));
        response.assert_refused(400, "malformed-credential");
        let detail = response.json()["detail"].to_string();
        assert!(detail.contains(wanted), "{sender}: {detail}");
    }
    let gateway = setup(&upstream, "github", "").start();
    let sha1 = gateway
        .request("POST", "/hooks")
        .body(BODY)
        .field("X-Hub-Signature", &format!("sha1={}", "0".repeat(40)));
    let response = gateway.send(&sha1);
    response.assert_refused(400, "malformed-credential");
    let detail = response.json()["detail"].to_string();
    assert!(detail.contains("X-Hub-Signature-256"), "{detail}");
}

#[test]
fn a_guesser_of_webhooks_is_told_nothing() {
    for sender in SENDERS {
        let upstream = Upstream::start();
        let told = start(&upstream, sender, "");
        let plain = setup(&upstream, sender, "").start();
        let answer = |gateway: &Gateway, guess: u8| {
            let secret = [guess; 32];
            let text = text(sender, T0, BODY);
            let response = gateway.send(&with(gateway, sender, &secret, &text, BODY));
            let mut problem = response.json();
            let problem = problem.as_object_mut().unwrap();
            problem.remove("request_id");
            Value::from(problem.clone()).to_string()
        };
        let first = answer(&told, 0);
        assert!(
            !first.contains("mistake") && !first.contains("hint"),
            "{first}"
        );
        for guess in 1..20 {
            assert_eq!(answer(&told, guess), first);
        }
        assert!(!answer(&plain, 1).contains("signature_base"));
    }
}
