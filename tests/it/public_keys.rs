//! Callers with key pairs: signatures and tokens by OpenSSL, before the running gateway.

use crate::harness::pair::{Pair, pairs};
use crate::harness::{Caller, Gateway, Request, Setup, Token, Upstream, caller};
use data_encoding::{BASE64, HEXLOWER};
use std::fmt::Write as _;

/// When the hand-set clock starts, as a date.
const DATE: &str = "Fri, 15 Jan 2027 08:00:00 GMT";

/// A gateway with a key for each algorithm that has pairs, beside those of secrets.
fn start(upstream: &Upstream, any_salt: bool) -> Gateway {
    Gateway::start(configured(Setup::before(upstream), any_salt))
}

fn configured(setup: Setup, any_salt: bool) -> Setup {
    let mut keys = String::new();
    for pair in pairs() {
        let name = pair.algorithm;
        let salt = if any_salt && name.contains("pss") {
            ", any_salt = true"
        } else {
            ""
        };
        let file = format!("{name}.pub.pem");
        setup.write_secret(&file, pair.public_pem().as_bytes());
        let _ = writeln!(
            keys,
            "{{ id = \"{name}\", algorithm = \"{name}\", public_key = \"file:{file}\"{salt} }},"
        );
    }
    setup.more(&format!("[apps.partner]\nkeys = [\n{keys}]\n"))
}

fn signer(pair: &Pair) -> Caller {
    caller().key_id(pair.algorithm).pair(pair.clone())
}

fn post(gateway: &Gateway) -> Request {
    gateway
        .request("POST", "/orders/7?item=1")
        .field("Authorization", "Bearer of-the-user")
        .body("{\"count\": 1}")
}

#[test]
fn a_request_signed_with_each_algorithm_passes_and_none_that_was_changed() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, false);
    for pair in pairs().into_iter().filter(Pair::signs_requests) {
        let named = format!("alg=\"{}\"", pair.algorithm);
        let signed = signer(&pair).sign(&post(&gateway));
        let change =
            |name, from, to| { signed.clone() }.change(name, |it| it.replacen(from, to, 1));
        let others = [
            ("authorization", change("Authorization", "user", "other")),
            (
                "time",
                change(
                    "Signature-Input",
                    "created=1800000000",
                    "created=1800000001",
                ),
            ),
            ("signature", change("Signature", ":", ":AAAA")),
        ];
        for (what, changed) in signed.elsewhere().into_iter().chain(others) {
            let response = gateway.send(&changed);
            assert_eq!(response.status, 401, "{pair:?} {what}: {}", response.text());
            assert_eq!(response.code(), "credential-rejected", "{pair:?} {what}");
        }
        let mut body = signed.clone();
        body.body = Some("{\"count\": 2}".into());
        gateway.send(&body).assert_refused(401, "digest-mismatch");
        let again = signer(&pair).parameter(&named).sign(&post(&gateway));
        gateway.send(&again).assert_passed();
        gateway.send(&again).assert_refused(401, "replayed");
    }
    let keys: Vec<_> = upstream
        .heard()
        .iter()
        .map(|got| got.field("portcullis-key").unwrap().to_owned())
        .collect();
    let wanted: Vec<_> = pairs()
        .into_iter()
        .filter(Pair::signs_requests)
        .map(|pair| pair.algorithm)
        .collect();
    assert_eq!(keys, wanted);
}

#[test]
fn a_token_signed_with_each_algorithm_passes_and_none_that_was_changed() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, false);
    for pair in pairs() {
        let Some(name) = pair.jose else { continue };
        let token = Token::new()
            .header("kid", pair.algorithm)
            .header("alg", name)
            .signed_by(signer(&pair));
        let get = gateway.request("GET", "/orders");
        let send = |text: &str| gateway.send(&get.clone().field("Portcullis-Token", text));
        let text = token.text();
        send(&text).assert_passed();
        send(&text).assert_passed();
        let (signed, signature) = text.rsplit_once('.').unwrap();
        let other = Token::new().text();
        let foreign = other.rsplit_once('.').unwrap().1;
        for changed in [
            format!("{signed}."),
            format!("{signed}.{foreign}"),
            format!("{signed}.{}", signature.chars().rev().collect::<String>()),
            token
                .text_of(&token.header_text(), "{\"exp\":1800000299}")
                .rsplit_once('.')
                .map(|(signed, _)| format!("{signed}.{signature}"))
                .unwrap(),
        ] {
            let response = send(&changed);
            assert!([400, 401].contains(&response.status), "{name} {changed}");
        }
    }
    assert_eq!(upstream.heard().len(), 10);
}

#[test]
fn a_token_cannot_choose_how_it_is_verified() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, false);
    for pair in pairs() {
        let send = |token: &Token| {
            let get = gateway.request("GET", "/orders");
            gateway.send(&get.field("Portcullis-Token", &token.text()))
        };
        let token = Token::new().header("kid", pair.algorithm);
        for name in [
            "HS256", "HS512", "none", "ES256", "ES384", "EdDSA", "RS256", "RS512", "PS256", "PS512",
        ] {
            if Some(name) == pair.jose {
                continue;
            }
            let own = token.clone().header("alg", name).signed_by(signer(&pair));
            send(&own).assert_refused(401, "credential-rejected");
        }
        // The public key is no secret: an HMAC by it proves nothing.
        let public = pair.public_pem();
        for secret in [public.as_bytes(), public.trim().as_bytes()] {
            for name in ["HS256", pair.jose.unwrap_or("PS512")] {
                let confused = token.clone().header("alg", name).signed_with(secret);
                send(&confused).assert_refused(401, "credential-rejected");
            }
        }
    }
    upstream.assert_silent();
}

#[test]
fn a_request_cannot_choose_how_it_is_verified() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, false);
    for pair in pairs() {
        let get = gateway.request("GET", "/orders");
        for other in pairs().iter().map(|other| other.algorithm) {
            if other == pair.algorithm && pair.signs_requests() {
                continue;
            }
            // Named beside the signature, or the signature sent under the id of that key.
            let named = signer(&pair).parameter(&format!("alg=\"{other}\""));
            let moved = signer(&pair).key_id(other);
            for caller in [named, moved] {
                gateway
                    .send(&caller.sign(&get))
                    .assert_refused(401, "credential-rejected");
            }
        }
        let public = pair.public_pem();
        for named in ["alg=\"hmac-sha256\"", "tag=\"t\""] {
            let confused = caller()
                .key_id(pair.algorithm)
                .secret(public.as_bytes())
                .parameter(named);
            gateway
                .send(&confused.sign(&get))
                .assert_refused(401, "credential-rejected");
        }
    }
    upstream.assert_silent();
}

#[test]
fn the_other_spelling_of_an_ecdsa_signature_is_a_replay() {
    const ORDER: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    let upstream = Upstream::start();
    let gateway = start(&upstream, false);
    let signed = signer(&Pair::of("ecdsa-p256-sha256")).sign(&post(&gateway));
    let other = signed.clone().change("Signature", |value| {
        let text = value.split(':').nth(1).unwrap();
        let mut bytes = BASE64.decode(text.as_bytes()).unwrap();
        let order = HEXLOWER.decode(ORDER.as_bytes()).unwrap();
        let mut borrow = 0;
        for at in (0..32).rev() {
            let difference = i16::from(order[at]) - i16::from(bytes[32 + at]) - borrow;
            borrow = i16::from(difference < 0);
            bytes[32 + at] = difference.rem_euclid(256) as u8;
        }
        format!("sig=:{}:", BASE64.encode(&bytes))
    });
    gateway.send(&signed).assert_passed();
    gateway.send(&other).assert_refused(401, "replayed");
    let fresh = signer(&Pair::of("ecdsa-p256-sha256")).sign(&post(&gateway));
    // Signed anew, and the same text: a copy all the same.
    gateway.send(&fresh).assert_refused(401, "replayed");
    assert_eq!(upstream.heard().len(), 1);
}

#[test]
fn a_longer_salt_passes_where_the_key_says_so_and_only_there() {
    let upstream = Upstream::start();
    let strict = start(&upstream, false);
    let lenient = start(&upstream, true);
    let pair = Pair::of("rsa-pss-sha512");
    let signed = |gateway: &Gateway, pair: Pair| {
        gateway.send(&signer(&pair).sign(&gateway.request("GET", "/orders")))
    };
    signed(&strict, pair.clone()).assert_passed();
    signed(&strict, pair.clone().longest_salt()).assert_refused(401, "credential-rejected");
    signed(&lenient, pair.clone()).assert_passed();
    signed(&lenient, pair.longest_salt()).assert_passed();
}

#[test]
fn an_unknown_key_and_a_wrong_signature_look_alike_whatever_the_algorithm() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, false);
    let folder = tempfile::tempdir().unwrap();
    let get = gateway.request("GET", "/orders");
    let mut seen = Vec::new();
    for pair in pairs() {
        let stranger = pair.stranger(folder.path());
        for id in [pair.algorithm, "unknown", "mobile-2026"] {
            let signature = signer(&stranger).key_id(id).sign(&get);
            let token = Token::new()
                .header("kid", id)
                .header("alg", pair.jose.unwrap_or("PS512"))
                .signed_by(signer(&stranger));
            let token = get.clone().field("Portcullis-Token", &token.text());
            for request in [signature, token] {
                let response = gateway.send(&request);
                response.assert_refused(401, "credential-rejected");
                seen.push(response.seen());
            }
        }
    }
    seen.dedup();
    assert_eq!(seen.len(), 1, "{seen:#?}");
    upstream.assert_silent();
}

#[test]
fn a_key_that_changes_in_its_file_is_taken_over_by_a_reload() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, false);
    let old = Pair::of("ed25519");
    let new = old.stranger(gateway.setup().folder());
    let send = |pair: &Pair| gateway.send(&signer(pair).sign(&gateway.request("GET", "/orders")));
    send(&old).assert_passed();
    send(&new).assert_refused(401, "credential-rejected");
    gateway
        .setup()
        .write_secret("ed25519.pub.pem", new.public_pem().as_bytes());
    gateway.reload(&gateway.setup().text());
    send(&old).assert_refused(401, "credential-rejected");
    send(&new).assert_passed();
}

#[test]
fn one_caller_of_draft_cavage_uses_up_no_proof_of_another_that_signs_the_same() {
    let upstream = Upstream::start();
    let accept = "accept = [\"hmac-auth\"]\ndialect = \"cavage-12\"";
    let gateway = Gateway::start(configured(Setup::before(&upstream).route(accept), false));
    let request = gateway.request("POST", "/beat").field("Date", DATE);
    let text = format!(
        "(request-target): post /beat\nhost: {}\ndate: {DATE}",
        request.authority
    );
    for pair in pairs() {
        let id = pair.algorithm;
        if !["ed25519", "rsa-pss-sha512"].contains(&id) {
            continue;
        }
        let signature = BASE64.encode(&pair.sign(text.as_bytes()));
        let value = format!(
            "Signature keyId=\"{id}\",headers=\"(request-target) host date\",signature=\"{signature}\""
        );
        let signed = request.clone().field("Authorization", &value);
        gateway.send(&signed).assert_passed();
        gateway.send(&signed).assert_refused(401, "replayed");
    }
    assert_eq!(upstream.heard().len(), 2);
}

#[test]
fn callers_of_draft_cavage_sign_with_ed25519_and_rsa_and_those_of_other_dialects_do_not() {
    let upstream = Upstream::start();
    for dialect in ["cavage-12", "kong", "apisix"] {
        let accept = format!("accept = [\"hmac-auth\"]\ndialect = \"{dialect}\"");
        let gateway = Gateway::start(configured(Setup::before(&upstream).route(&accept), false));
        for pair in pairs() {
            let id = pair.algorithm;
            let request = gateway.request("GET", "/orders?a=1").field("Date", DATE);
            let host = &request.authority;
            let (text, open) = match dialect {
                "cavage-12" => (
                    format!("(request-target): get /orders?a=1\nhost: {host}\ndate: {DATE}"),
                    format!(
                        "Signature keyId=\"{id}\",algorithm=\"hs2019\",headers=\"(request-target) host date\""
                    ),
                ),
                "kong" => (
                    format!("GET /orders?a=1 HTTP/1.1\nhost: {host}\ndate: {DATE}"),
                    format!(
                        "hmac username=\"{id}\", algorithm=\"hmac-sha256\", headers=\"request-line host date\""
                    ),
                ),
                _ => (
                    format!("{id}\nGET /orders?a=1\nhost: {host}\ndate: {DATE}\n"),
                    format!(
                        "Signature keyId=\"{id}\",algorithm=\"hmac-sha256\",headers=\"@request-target host date\""
                    ),
                ),
            };
            let proof = |text: &str| {
                let signature = BASE64.encode(&pair.sign(text.as_bytes()));
                let separator = if dialect == "kong" { ", " } else { "," };
                let value = format!("{open}{separator}signature=\"{signature}\"");
                gateway.send(&request.clone().field("Authorization", &value))
            };
            proof(&text.replace("a=1", "a=2")).assert_refused(401, "credential-rejected");
            let is_of_it = dialect == "cavage-12"
                && ["ed25519", "rsa-pss-sha512", "rsa-v1_5-sha256"].contains(&id);
            if is_of_it {
                proof(&text).assert_passed();
            } else {
                proof(&text).assert_refused(401, "credential-rejected");
            }
        }
    }
    assert_eq!(upstream.heard().len(), 3);
}
