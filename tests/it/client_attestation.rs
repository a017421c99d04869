//! Attested clients of OAuth, as draft-ietf-oauth-attestation-based-client-auth-09 has them shown.

use crate::harness::dpop::{bare, proof_of};
use crate::harness::pair::{Pair, pairs};
use crate::harness::{Gateway, Request, Response, Setup, Token, Upstream, now};
use serde_json::{Value, json};

const AUDIENCE: &str = "https://login.example.com";
const URL: &str = "https://login.example.com/oauth2/token";
const SECRET: &[u8] = b"attester-secret-of-32-bytes-or-so";

/// A route before an authorization server, and one that does not take such fields. Key `attester` attests.
fn start(upstream: &Upstream, more: &str, tokens: &str) -> Gateway {
    let route = |name: &str, path: &str, more: &str| {
        format!(
            "[[routes]]\nname = \"{name}\"\npath = \"{path}\"\nupstream = \"backend\"\naccept = [\"token\"]\n{more}\n\n"
        )
    };
    let taking = format!(
        "assurance = \"attested\"\nclient_attestation = {{ audience = \"{AUDIENCE}\"{more} }}"
    );
    let routes = route("login", "/oauth2/**", &taking) + &route("plain", "/plain/**", "");
    let setup = Setup::before(upstream)
        .server("public_url = \"https://login.example.com\"")
        .tokens(tokens)
        .routes(&routes)
        .more(
            "[apps.shop]\nkeys = [{ id = \"attester\", algorithm = \"hmac-sha256\", secret = \"file:attester.key\", schemes = [\"token\"], attests = true }]\n",
        );
    setup.write_secret("attester.key", SECRET);
    setup.start()
}

fn p256() -> Pair {
    Pair::of("ecdsa-p256-sha256")
}

fn token_of(jwk: &Value) -> Token {
    Token::new()
        .header("typ", "oauth-client-attestation+jwt")
        .header("kid", "attester")
        .claim("sub", "shop-app")
        .claim("cnf", json!({ "jwk": jwk }))
        .signed_with(SECRET)
}

fn attestation(pair: &Pair) -> Token {
    let mut jwk = bare(pair);
    if jwk["kty"] == "RSA" {
        jwk["alg"] = pair.jose.unwrap().into();
    }
    token_of(&jwk)
}

/// A proof: the header and claims that one for DPoP has, but for those that it has not.
fn pop(pair: &Pair) -> Token {
    proof_of(pair, "POST", URL, "")
        .header("typ", "oauth-client-attestation-pop+jwt")
        .without_header("jwk")
        .without("htm")
        .without("htu")
        .without("ath")
        .claim("aud", AUDIENCE)
}

fn post(gateway: &Gateway, attestation: &Token) -> Request {
    gateway
        .request("POST", "/oauth2/token")
        .field("OAuth-Client-Attestation", &attestation.text())
        .field("Content-Type", "application/x-www-form-urlencoded")
        .body("grant_type=refresh_token")
}

fn show(gateway: &Gateway, attestation: &Token, proof: &Token) -> Response {
    let request = post(gateway, attestation);
    gateway.send(&request.field("OAuth-Client-Attestation-PoP", &proof.text()))
}

fn told(response: &Response) -> String {
    let fields = response.fields.iter();
    let fields = fields.filter(|(name, _)| name.eq_ignore_ascii_case("www-authenticate"));
    let all: Vec<&str> = fields.map(|(_, value)| value.as_str()).collect();
    all.join("\n")
}

#[test]
fn an_attested_client_passes_with_a_proof_of_its_key_once() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "", "");
    for (number, pair) in pairs()
        .into_iter()
        .filter(|pair| pair.jose.is_some())
        .enumerate()
    {
        let (attestation, proof) = (attestation(&pair), pop(&pair));
        show(&gateway, &attestation, &proof).assert_passed();
        show(&gateway, &attestation, &proof).assert_refused(401, "replayed");
        // The attestation is for many requests.
        show(&gateway, &attestation, &pop(&pair)).assert_passed();
        let got = upstream.got(2 * number);
        for (field, value) in [
            ("portcullis-app", Some("shop")),
            ("portcullis-assurance", Some("attested")),
            ("oauth-client-attestation", None),
            ("oauth-client-attestation-pop", None),
        ] {
            assert_eq!(got.field(field), value, "{pair:?}");
        }
    }
}

#[test]
fn an_attestation_without_a_proof_of_its_key_opens_nothing() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "", "");
    let attestation = attestation(&p256());
    let refused = gateway.send(&post(&gateway, &attestation));
    refused.assert_refused(401, "credential-missing");
    assert_eq!(refused.json()["error"], "invalid_client_attestation");
    assert!(told(&refused).contains("Bearer error=\"invalid_client_attestation\""));
    let folder = tempfile::tempdir().unwrap();
    let stranger = p256().stranger(folder.path());
    let other = show(&gateway, &attestation, &pop(&stranger));
    other.assert_refused(401, "credential-rejected");
    assert_eq!(other.json()["error"], "invalid_client_attestation");
    let twice = post(&gateway, &attestation)
        .field("OAuth-Client-Attestation-PoP", &pop(&p256()).text())
        .field("OAuth-Client-Attestation-PoP", &pop(&p256()).text());
    gateway
        .send(&twice)
        .assert_refused(400, "malformed-credential");
    upstream.assert_silent();
}

#[test]
fn each_change_of_a_proof_is_refused() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "", "");
    let pair = p256();
    let attestation = attestation(&pair);
    let iat = now();
    for (what, proof, code) in [
        (
            "aud",
            pop(&pair).claim("aud", "https://other.example"),
            "binding-mismatch",
        ),
        (
            "two",
            pop(&pair).claim("aud", json!([AUDIENCE, "x"])),
            "binding-mismatch",
        ),
        ("no aud", pop(&pair).without("aud"), "credential-rejected"),
        ("no jti", pop(&pair).without("jti"), "credential-rejected"),
        (
            "empty jti",
            pop(&pair).claim("jti", ""),
            "credential-rejected",
        ),
        (
            "long jti",
            pop(&pair).claim("jti", "x".repeat(257)),
            "credential-rejected",
        ),
        ("no iat", pop(&pair).without("iat"), "credential-rejected"),
        (
            "text iat",
            pop(&pair).claim("iat", "now"),
            "credential-rejected",
        ),
        ("old", pop(&pair).claim("iat", iat - 301), "clock-skew"),
        ("ahead", pop(&pair).claim("iat", iat + 90), "clock-skew"),
        (
            "over",
            pop(&pair).claim("exp", iat - 1),
            "credential-rejected",
        ),
        (
            "early",
            pop(&pair).claim("nbf", iat + 90),
            "credential-rejected",
        ),
        (
            "typ",
            pop(&pair).header("typ", "JWT"),
            "credential-rejected",
        ),
        (
            "alg",
            pop(&pair).header("alg", "ES384"),
            "credential-rejected",
        ),
        (
            "jwk",
            pop(&pair).header("jwk", bare(&pair)),
            "credential-rejected",
        ),
        (
            "dpop",
            proof_of(&pair, "POST", URL, ""),
            "credential-rejected",
        ),
    ] {
        let refused = show(&gateway, &attestation, &proof);
        assert_eq!(refused.json()["code"], code, "{what}: {}", refused.text());
    }
    upstream.assert_silent();
    let list = pop(&pair).claim("aud", json!([AUDIENCE])).claim("more", 7);
    show(&gateway, &attestation, &list).assert_passed();
}

#[test]
fn an_attestation_has_all_that_one_needs_and_stands_in_its_own_field() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, ", client_id = [\"shop-app\", \"shop-web\"]", "");
    let pair = p256();
    let good = attestation(&pair);
    for (what, token, code) in [
        ("sub", good.clone().without("sub"), "credential-rejected"),
        (
            "empty sub",
            good.clone().claim("sub", ""),
            "credential-rejected",
        ),
        (
            "other sub",
            good.clone().claim("sub", "bot"),
            "credential-rejected",
        ),
        ("no cnf", good.clone().without("cnf"), "credential-rejected"),
        (
            "jkt",
            good.clone().claim(
                "cnf",
                json!({ "jkt": crate::harness::dpop::thumbprint(&pair) }),
            ),
            "credential-rejected",
        ),
        (
            "iat",
            good.clone().without("iat").claim("nbf", now()),
            "credential-rejected",
        ),
        (
            "typ",
            good.clone().header("typ", "JWT"),
            "credential-rejected",
        ),
        (
            "no typ",
            good.clone().without_header("typ"),
            "credential-rejected",
        ),
        (
            "key",
            good.clone()
                .signed_with(b"another-secret-of-32-bytes-and-so"),
            "credential-rejected",
        ),
        (
            "kid",
            good.clone().header("kid", "nobody"),
            "credential-rejected",
        ),
        (
            "self-made",
            good.clone()
                .header("kid", "mobile-2026")
                .signed_with(crate::harness::setup::SECRET),
            "assurance-too-low",
        ),
    ] {
        let refused = show(&gateway, &token, &pop(&pair));
        assert_eq!(refused.json()["code"], code, "{what}: {}", refused.text());
    }
    let token = good.text();
    // In no other field, also not once it was verified.
    show(&gateway, &good, &pop(&pair)).assert_passed();
    for target in ["/oauth2/token", "/plain/x"] {
        let elsewhere = gateway
            .request("GET", target)
            .field("Portcullis-Token", &token)
            .field("OAuth-Client-Attestation-PoP", &pop(&pair).text());
        gateway
            .send(&elsewhere)
            .assert_refused(401, "credential-rejected");
    }
    let both = post(&gateway, &good).field("Portcullis-Token", &token);
    gateway
        .send(&both)
        .assert_refused(400, "malformed-credential");
    // Where a route does not take them, they are the backend's.
    let own = Token::new().text();
    let plain = gateway
        .request("GET", "/plain/x")
        .field("OAuth-Client-Attestation", &token)
        .field("OAuth-Client-Attestation-PoP", "x.y.z")
        .field("Portcullis-Token", &own);
    gateway.send(&plain).assert_passed();
    let got = upstream.got(1);
    assert_eq!(got.field("oauth-client-attestation"), Some(&*token));
    assert_eq!(got.field("oauth-client-attestation-pop"), Some("x.y.z"));
}

#[test]
fn one_proof_may_serve_for_dpop_too() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "", "");
    let pair = p256();
    let attestation = attestation(&pair);
    // With the server's own access token, or with none.
    for proof in [
        proof_of(&pair, "POST", URL, "the server's").text(),
        proof_of(&pair, "POST", URL, "").without("ath").text(),
    ] {
        let request = post(&gateway, &attestation).field("DPoP", &proof);
        gateway.send(&request).assert_passed();
        gateway.send(&request).assert_refused(401, "replayed");
    }
    assert!(
        upstream.got(0).field("dpop").is_some(),
        "the server binds its tokens to it"
    );
    let folder = tempfile::tempdir().unwrap();
    let stranger = pair.stranger(folder.path());
    for proof in [
        proof_of(&stranger, "POST", URL, "").text(),
        proof_of(&pair, "GET", URL, "").text(),
        proof_of(&pair, "POST", "https://login.example.com/other", "").text(),
    ] {
        let request = post(&gateway, &attestation).field("DPoP", &proof);
        gateway
            .send(&request)
            .assert_refused(401, "binding-mismatch");
    }
    // Beside a proof for us, `DPoP` is the server's alone.
    let both = post(&gateway, &attestation)
        .field("OAuth-Client-Attestation-PoP", &pop(&pair).text())
        .field("DPoP", "for.the.server");
    gateway.send(&both).assert_passed();
    assert_eq!(upstream.got(2).field("dpop"), Some("for.the.server"));
}

#[test]
fn a_proof_is_asked_for_with_a_challenge_where_that_is_wanted() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, ", challenge = true", "");
    let pair = p256();
    let attestation = attestation(&pair);
    let asked = show(&gateway, &attestation, &pop(&pair));
    asked.assert_refused(401, "credential-missing");
    assert_eq!(asked.json()["error"], "use_attestation_challenge");
    assert!(told(&asked).contains("error=\"use_attestation_challenge\""));
    let challenge = asked
        .field("oauth-client-attestation-challenge")
        .unwrap()
        .to_owned();
    let made_up = pop(&pair).claim("challenge", "5c1a9e10-29ff-4c2b-ae73-57c0957c09c4");
    show(&gateway, &attestation, &made_up).assert_refused(401, "credential-missing");
    let with = |challenge: &str| pop(&pair).claim("challenge", challenge);
    show(&gateway, &attestation, &with(&challenge)).assert_passed();
    show(&gateway, &attestation, &with(&challenge)).assert_passed();
    // By DPoP, it is a nonce of DPoP that is asked for.
    let dpop =
        |proof: &Token| gateway.send(&post(&gateway, &attestation).field("DPoP", &proof.text()));
    let asked = dpop(&proof_of(&pair, "POST", URL, ""));
    asked.assert_refused(401, "credential-missing");
    let nonce = asked.field("dpop-nonce").unwrap().to_owned();
    dpop(&proof_of(&pair, "POST", URL, "").claim("nonce", nonce)).assert_passed();
}

#[test]
fn whatever_is_wrong_is_said_in_one_word_in_the_document_and_in_the_challenge() {
    const INVALID: &str = "invalid_client_attestation";
    let upstream = Upstream::start();
    let gateway = start(&upstream, "", "");
    let (pair, iat) = (p256(), now());
    let folder = tempfile::tempdir().unwrap();
    let stranger = pair.stranger(folder.path());
    let good = attestation(&pair);
    let proof = || pop(&pair);
    let used = proof();
    show(&gateway, &good, &used).assert_passed();
    let is_over = good.clone().claim("iat", iat - 120).claim("exp", iat - 60);
    let made_later = good.clone().claim("iat", iat + 900).claim("exp", iat + 960);
    let lives_long = good.clone().claim("exp", iat + 90_000);
    let forged = good
        .clone()
        .signed_with(b"another-secret-of-32-bytes-and-so");
    for (what, attestation, proof, error) in [
        ("over", is_over, proof(), "use_fresh_attestation"),
        ("later", made_later, proof(), INVALID),
        ("long", lives_long, proof(), INVALID),
        (
            "kid",
            good.clone().header("kid", "nobody"),
            proof(),
            INVALID,
        ),
        ("signature", forged, proof(), INVALID),
        ("sub", good.clone().without("sub"), proof(), INVALID),
        ("used", good.clone(), used, INVALID),
        (
            "old",
            good.clone(),
            proof().claim("iat", iat - 301),
            INVALID,
        ),
        (
            "proof over",
            good.clone(),
            proof().claim("exp", iat - 5),
            INVALID,
        ),
        ("other key", good.clone(), pop(&stranger), INVALID),
        (
            "aud",
            good.clone(),
            proof().claim("aud", "https://x.example"),
            INVALID,
        ),
    ] {
        let refused = show(&gateway, &attestation, &proof);
        assert_eq!(refused.status, 401, "{what}: {}", refused.text());
        assert_eq!(refused.json()["error"], error, "{what}: {}", refused.text());
        let told = told(&refused);
        let words: Vec<_> = told.lines().filter(|one| one.contains("error=")).collect();
        assert_eq!(words, [format!("Bearer error=\"{error}\"")], "{what}");
    }
    // By DPoP, it is the words of DPoP.
    let by_dpop = |method: &str| proof_of(&pair, method, URL, "");
    for (what, proof, code) in [
        ("elsewhere", by_dpop("GET"), "binding-mismatch"),
        ("old", by_dpop("POST").claim("iat", iat - 301), "clock-skew"),
        (
            "over",
            by_dpop("POST").claim("exp", iat - 5),
            "credential-rejected",
        ),
    ] {
        let refused = gateway.send(&post(&gateway, &good).field("DPoP", &proof.text()));
        refused.assert_refused(401, code);
        let error = "invalid_dpop_proof";
        assert_eq!(refused.json()["error"], error, "{what}: {}", refused.text());
        let told = told(&refused);
        assert!(told.contains(&format!("DPoP error=\"{error}\"")), "{what}");
        assert!(!told.contains("Bearer error="), "{what}: {told}");
    }
    // Who shows no attestation is told no such word.
    let plain = gateway.request("POST", "/oauth2/token").body("x=y");
    let refused = gateway.send(&plain.field("Portcullis-Token", &Token::new().text()));
    assert_eq!(refused.json()["error"], Value::Null);
    assert!(!told(&refused).contains("error="));
    assert_eq!(upstream.heard().len(), 1);
}

#[test]
fn an_attestation_need_not_say_whom_it_is_for_but_must_not_be_for_others() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "", "audience = \"https://api.example.com\"");
    let pair = p256();
    show(&gateway, &attestation(&pair), &pop(&pair)).assert_passed();
    let named = attestation(&pair).claim("aud", "https://api.example.com");
    show(&gateway, &named, &pop(&pair)).assert_passed();
    let others = attestation(&pair).claim("aud", "https://other.example.com");
    show(&gateway, &others, &pop(&pair)).assert_refused(401, "credential-rejected");
}
