//! Tokens that are bound: by DPoP, to a signature of the request, to a certificate.

use crate::harness::dpop::{bare, proof_of, signer, thumbprint};
use crate::harness::issuer;
use crate::harness::pair::{Pair, pairs};
use crate::harness::{Caller, Gateway, Request, Response, Setup, T0, Token, Upstream, caller};
use data_encoding::BASE64;
use serde_json::json;
use std::process::Command;

const HOST: &str = "api.example.com";
const URL: &str = "https://api.example.com/orders/7";

fn start(upstream: &Upstream, tokens: &str, route: &str) -> Gateway {
    Setup::before(upstream)
        .server("public_url = \"https://api.example.com\"")
        .tokens(tokens)
        .route(route)
        .start()
}

fn p256() -> Pair {
    Pair::of("ecdsa-p256-sha256")
}

/// A token that is bound to `pair`.
fn bound(pair: &Pair) -> String {
    Token::new()
        .claim("cnf", json!({ "jkt": thumbprint(pair) }))
        .text()
}

fn request(gateway: &Gateway, token: &str) -> Request {
    gateway
        .request("GET", "/orders/7?b=2")
        .field("Portcullis-Token", token)
}

fn show(gateway: &Gateway, token: &str, proof: &str) -> Response {
    gateway.send(&request(gateway, token).field("DPoP", proof))
}

fn challenges(response: &Response) -> Vec<String> {
    let fields = response.fields.iter();
    let fields = fields.filter(|(name, _)| name.eq_ignore_ascii_case("www-authenticate"));
    fields.map(|(_, value)| value.clone()).collect()
}

#[test]
fn a_bound_token_passes_with_a_proof_of_its_key_once() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "", "");
    for pair in pairs().into_iter().filter(|pair| pair.jose.is_some()) {
        let token = bound(&pair);
        let proof = proof_of(&pair, "GET", URL, &token).text();
        show(&gateway, &token, &proof).assert_passed();
        show(&gateway, &token, &proof).assert_refused(401, "replayed");
        let again = proof_of(&pair, "GET", URL, &token).text();
        show(&gateway, &token, &again).assert_passed();
    }
    let got = upstream.got(0);
    assert_eq!(got.field("dpop"), None);
    assert_eq!(got.field("portcullis-scheme"), Some("token"));
    assert_eq!(got.field("portcullis-assurance"), Some("key"));
    // Ed25519 has two names, and libraries use either.
    let pair = Pair::of("ed25519");
    let token = bound(&pair);
    let proof = proof_of(&pair, "GET", URL, &token).header("alg", "Ed25519");
    show(&gateway, &token, &proof.text()).assert_passed();
}

#[test]
fn a_bound_token_without_a_proof_opens_nothing() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "", "");
    let token = bound(&p256());
    let refused = gateway.send(&request(&gateway, &token));
    refused.assert_refused(401, "credential-missing");
    assert!(refused.detail().contains("`DPoP`"), "{}", refused.detail());
    let told = challenges(&refused).join("\n");
    assert!(
        told.contains("DPoP error=\"invalid_dpop_proof\", algs=\"ES256 "),
        "{told}"
    );
    upstream.assert_silent();
}

#[test]
fn each_change_of_a_proof_is_refused() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "", "");
    let folder = tempfile::tempdir().unwrap();
    let (pair, stranger) = (p256(), p256().stranger(folder.path()));
    let token = bound(&pair);
    let good = || proof_of(&pair, "GET", URL, &token);
    let rejected = (401, "credential-rejected");
    let mismatch = (401, "binding-mismatch");
    for (what, proof, (status, code)) in [
        ("method", good().claim("htm", "POST"), mismatch),
        (
            "path",
            good().claim("htu", "https://api.example.com/orders/8"),
            mismatch,
        ),
        (
            "host",
            good().claim("htu", "https://other.example.com/orders/7"),
            mismatch,
        ),
        (
            "scheme",
            good().claim("htu", "http://api.example.com/orders/7"),
            mismatch,
        ),
        ("token", good().claim("ath", "AAAA"), mismatch),
        ("key", proof_of(&stranger, "GET", URL, &token), mismatch),
        ("signature", good().signed_by(signer(&stranger)), rejected),
        ("old", good().claim("iat", T0 - 301), (401, "clock-skew")),
        ("ahead", good().claim("iat", T0 + 31), (401, "clock-skew")),
        // The token is not over.
        ("over", good().claim("exp", T0), rejected),
        (
            "over within the second",
            good().claim("exp", T0 as f64 + 0.5),
            rejected,
        ),
        ("typ", good().header("typ", "JWT"), rejected),
        ("no typ", good().without_header("typ"), rejected),
        ("alg", good().header("alg", "ES384"), rejected),
        ("alg none", good().header("alg", "none"), rejected),
        ("no jwk", good().without_header("jwk"), rejected),
        (
            "private",
            good().header("jwk", {
                let mut jwk = bare(&pair);
                jwk["d"] = "AAAA".into();
                jwk
            }),
            rejected,
        ),
        ("crit", good().header("crit", json!(["exp"])), rejected),
        ("no jti", good().without("jti"), rejected),
        ("empty jti", good().claim("jti", ""), rejected),
        ("long jti", good().claim("jti", "x".repeat(257)), rejected),
        ("jti", good().claim("jti", 7), rejected),
        ("no iat", good().without("iat"), rejected),
        ("iat", good().claim("iat", "1800000000"), rejected),
        ("no htm", good().without("htm"), rejected),
        ("no htu", good().without("htu"), rejected),
        ("no ath", good().without("ath"), rejected),
    ] {
        let answer = show(&gateway, &token, &proof.text());
        assert_eq!((answer.status, &*answer.code()), (status, code), "{what}");
        if status == 401 {
            let told = challenges(&answer).join("\n");
            assert!(told.contains("DPoP error=\""), "{what}: {told}");
        }
    }
    show(&gateway, &token, "nonsense").assert_refused(400, "malformed-credential");
    let two = request(&gateway, &token)
        .field("DPoP", &good().text())
        .field("DPoP", &good().text());
    gateway.send(&two).assert_refused(400, "malformed-request");
    upstream.assert_silent();
    // What DPoP does not cover: the query. Whoever needs more signs the request.
    show(&gateway, &token, &good().text()).assert_passed();
    let wordy = good().claim("htu", "HTTPS://API.example.com:443/orders/7?b=3#x");
    show(&gateway, &token, &wordy.text()).assert_passed();
}

#[test]
fn what_is_wrong_with_a_proof_is_not_said_of_its_token() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream)
        .server("public_url = \"https://api.example.com\"\nexplain = true")
        .start();
    let pair = p256();
    let token = bound(&pair);
    let good = || proof_of(&pair, "GET", URL, &token);
    for (proof, wanted) in [
        (good().claim("iat", T0 - 301), "The DPoP proof was made at"),
        // As old as the token may be.
        (
            good().claim("iat", T0 - 3_600),
            "The DPoP proof was made at",
        ),
        (good().without("iat"), "`iat` is missing"),
        (good().claim("iat", T0 * 1_000), "not milliseconds"),
    ] {
        let told = show(&gateway, &token, &proof.text()).json();
        let detail = told["detail"].as_str().unwrap();
        assert!(detail.contains(wanted), "{told:#}");
        assert_eq!(told["mistake"], json!(null), "{told:#}");
    }
    for (member, wanted) in [
        (
            json!({ "jkt": format!("{}=", thumbprint(&pair)) }),
            "`cnf.jkt` is not accepted: it is a SHA-256 in base64url, 43 characters, without `=`",
        ),
        (
            json!({ "jwk": { "kty": "EC" } }),
            "`cnf.jwk` is not accepted: it is the public key alone",
        ),
        (json!({ "kid": "a" }), "`jkt`, `jwk` or `x5t#S256`"),
    ] {
        let token = Token::new().claim("cnf", member).text();
        let proof = proof_of(&pair, "GET", URL, &token).text();
        let told = show(&gateway, &token, &proof).json();
        let detail = told["detail"].as_str().unwrap();
        assert!(detail.contains(wanted), "{told:#}");
    }
}

#[test]
fn a_proof_is_asked_for_with_a_nonce_where_that_is_wanted() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "dpop_nonce = true", "");
    let (pair, token) = (p256(), bound(&p256()));
    let asked = |proof: Token| {
        let refused = show(&gateway, &token, &proof.text());
        refused.assert_refused(401, "credential-missing");
        let told = challenges(&refused).join("\n");
        assert!(told.contains("DPoP error=\"use_dpop_nonce\""), "{told}");
        refused.field("dpop-nonce").unwrap().to_owned()
    };
    let nonce = asked(proof_of(&pair, "GET", URL, &token));
    let with = |nonce: &str, iat: i64| {
        proof_of(&pair, "GET", URL, &token)
            .claim("nonce", nonce)
            .claim("iat", iat)
    };
    for _ in 0..2 {
        show(&gateway, &token, &with(&nonce, T0).text()).assert_passed();
    }
    asked(with("AAAA", T0));
    asked(proof_of(&pair, "GET", URL, &token).claim("nonce", 7));
    gateway.advance(290);
    show(&gateway, &token, &with(&nonce, T0 + 290).text()).assert_passed();
    gateway.advance(9);
    // A token is over before a nonce is: a fresh one shows that the old nonce is not enough.
    gateway.advance(2);
    let later = Token::new()
        .claim("iat", T0 + 300)
        .claim("exp", T0 + 600)
        .claim("cnf", json!({ "jkt": thumbprint(&pair) }))
        .text();
    let proof = proof_of(&pair, "GET", URL, &later)
        .claim("nonce", &*nonce)
        .claim("iat", T0 + 301);
    let refused = show(&gateway, &later, &proof.text());
    refused.assert_refused(401, "credential-missing");
    assert_ne!(refused.field("dpop-nonce"), Some(&*nonce));
}

#[test]
fn a_gateway_takes_the_nonces_of_another_that_has_its_secret() {
    let upstream = Upstream::start();
    let with = |secret: &str| {
        let setup = Setup::before(&upstream)
            .server("public_url = \"https://api.example.com\"")
            .tokens("dpop_nonce = true\nnonce_secret = \"file:nonce.key\"");
        setup.write_secret("nonce.key", secret.as_bytes());
        setup.start()
    };
    let secret = "0123456789-0123456789-0123456789";
    let (one, other) = (with(secret), with(secret));
    let strange = with("another-0123456789-0123456789-01");
    let (pair, token) = (p256(), bound(&p256()));
    let proof = || proof_of(&pair, "GET", URL, &token);
    let refused = show(&one, &token, &proof().text());
    refused.assert_refused(401, "credential-missing");
    let nonce = refused.field("dpop-nonce").unwrap();
    let proof = || proof().claim("nonce", nonce).text();
    show(&other, &token, &proof()).assert_passed();
    show(&strange, &token, &proof()).assert_refused(401, "credential-missing");
}

#[test]
fn a_route_that_observes_gives_the_nonce_that_it_will_ask_for() {
    let upstream = Upstream::start();
    let observing = "mode = \"observe\"";
    let gateway = start(&upstream, "dpop_nonce = true", observing);
    let (pair, token) = (p256(), bound(&p256()));
    let proof = || proof_of(&pair, "GET", URL, &token);
    let first = show(&gateway, &token, &proof().text());
    first.assert_passed();
    let nonce = first.field("dpop-nonce").unwrap().to_owned();
    let record = gateway.record(0);
    assert_eq!(record["would_refuse"], "credential-missing");
    assert_eq!(record["would_reason"], "nonce-missing");
    let second = show(&gateway, &token, &proof().claim("nonce", &*nonce).text());
    second.assert_passed();
    assert_eq!(second.field("dpop-nonce"), None);
    let record = gateway.record(1);
    assert_eq!(record.get("would_refuse"), None, "{record}");
    assert_eq!(record["app"], "mobile");
}

#[test]
fn who_lacks_a_nonce_beside_an_issuers_token_is_told_as_whoever_has_it() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream)
        .server("public_url = \"https://api.example.com\"\nworkers = 1")
        .tokens("dpop_nonce = true")
        .route("mode = \"observe\"");
    setup.write("keys.json", issuer::every_key().to_string().as_bytes());
    let headers = "headers = [\"portcullis-token\"]";
    let outside = issuer::section("file:keys.json", headers);
    let gateway = setup.more(&outside).start();
    let pair = p256();
    let token = issuer::token()
        .claim("cnf", json!({ "jkt": thumbprint(&pair) }))
        .text();
    let proof = || proof_of(&pair, "GET", URL, &token);
    let first = show(&gateway, &token, &proof().text());
    first.assert_passed();
    let record = gateway.record(0);
    assert_eq!(record["would_reason"], "nonce-missing", "{record}");
    assert_eq!(record["claimed_app"], "mobile", "{record}");
    assert_eq!(record["claimed_key"], "outside/ES256", "{record}");
    let nonce = first.field("dpop-nonce").unwrap();
    let proof = proof().claim("nonce", nonce).text();
    show(&gateway, &token, &proof).assert_passed();
    let record = gateway.record(1);
    assert_eq!(record.get("would_refuse"), None, "{record}");
    assert_eq!(record["app"], "mobile", "{record}");
    assert_eq!(record["key"], "outside/ES256", "{record}");
}

#[test]
fn in_authorization_such_a_token_stands_behind_dpop() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "headers = [\"authorization\"]", "");
    let (pair, token) = (p256(), bound(&p256()));
    let ask = |word: &str, token: &str, proof: Option<String>| {
        let request = gateway
            .request("GET", "/orders/7")
            .field("Authorization", &format!("{word} {token}"));
        gateway.send(&match proof {
            Some(proof) => request.field("DPoP", &proof),
            None => request,
        })
    };
    let proof = |token: &str| Some(proof_of(&pair, "GET", URL, token).text());
    ask("DPoP", &token, proof(&token)).assert_passed();
    ask("dpop", &token, proof(&token)).assert_passed();
    let got = upstream.got(0);
    assert_eq!(
        (got.field("authorization"), got.field("dpop")),
        (None, None)
    );
    // RFC 9449, section 7.2: else a thief would call it a bearer token.
    ask("Bearer", &token, proof(&token)).assert_refused(401, "binding-mismatch");
    ask("Bearer", &token, None).assert_refused(401, "credential-missing");
    ask("DPoP", &token, None).assert_refused(401, "credential-missing");
    let free = Token::new().text();
    let refused = ask("DPoP", &free, proof(&free));
    refused.assert_refused(401, "binding-mismatch");
    let told = challenges(&refused).join("\n");
    assert!(told.contains("DPoP error=\"invalid_token\""), "{told}");
    assert!(told.contains("Bearer"), "{told}");
    ask("Bearer", &free, None).assert_passed();
}

#[test]
fn a_proof_beside_a_token_that_is_bound_to_nothing_proves_nothing() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "", "");
    let free = Token::new().text();
    let proof = proof_of(&p256(), "GET", URL, &free).text();
    show(&gateway, &free, &proof).assert_refused(401, "binding-mismatch");
    upstream.assert_silent();
}

#[test]
fn a_route_can_ask_for_a_binding() {
    let upstream = Upstream::start();
    for (bind, status) in [("key", 200), ("dpop", 200), ("none", 200)] {
        let gateway = start(&upstream, "", &format!("bind = \"{bind}\""));
        let (pair, token) = (p256(), bound(&p256()));
        let proof = proof_of(&pair, "GET", URL, &token).text();
        assert_eq!(show(&gateway, &token, &proof).status, status, "{bind}");
        let free = gateway.send(&request(&gateway, &Token::new().text()));
        match bind {
            "none" => free.assert_passed(),
            _ => free.assert_refused(401, "binding-mismatch"),
        }
        let dpop = challenges(&gateway.send(&gateway.request("GET", "/")));
        let asks = dpop.iter().any(|one| one.starts_with("DPoP algs="));
        assert_eq!(asks, bind == "dpop");
    }
}

/// As it is signed for the public URL.
fn https(gateway: &Gateway) -> Request {
    let mut request = gateway.request("GET", "/orders/7?b=2").authority(HOST);
    request.scheme = "https";
    request
}

const BOTH: &str = "accept = [\"token+http-signature\"]";

fn signed(gateway: &Gateway, token: &str, signer: Caller) -> Request {
    let components = [
        "@method",
        "@authority",
        "@path",
        "@query",
        "portcullis-token",
    ];
    let request = https(gateway).field("Portcullis-Token", token);
    signer.covering(&components).sign(&request)
}

#[test]
fn a_signature_by_the_key_of_the_token_is_proof_enough() {
    let upstream = Upstream::start();
    let folder = tempfile::tempdir().unwrap();
    let (pair, other) = (p256(), p256().stranger(folder.path()));
    let setup = Setup::before(&upstream).route(BOTH);
    for (name, pair) in [("mine", &pair), ("other", &other)] {
        setup.write(&format!("{name}.pem"), pair.public_pem().as_bytes());
    }
    let keys = ["mine", "other"].map(|name| {
        format!("{{ id = \"{name}\", algorithm = \"ecdsa-p256-sha256\", public_key = \"file:{name}.pem\" }}")
    });
    let gateway = setup
        .server("public_url = \"https://api.example.com\"")
        .more(&format!(
            "[apps.pair]\nkeys = [{}, {{ id = \"tokens\", algorithm = \"hmac-sha256\", secret = \"file:mobile.key\" }}]\n",
            keys.join(", ")
        ))
        .start();
    let token = |cnf| {
        Token::new()
            .header("kid", "tokens")
            .claim("cnf", cnf)
            .text()
    };
    let by = |name: &str, pair: &Pair| caller().key_id(name).pair(pair.clone());
    let jkt = token(json!({ "jkt": thumbprint(&pair) }));
    gateway
        .send(&signed(&gateway, &jkt, by("mine", &pair)))
        .assert_passed();
    let got = upstream.got(0);
    assert_eq!(got.field("portcullis-scheme"), Some("token+http-signature"));
    let refused = gateway.send(&signed(&gateway, &jkt, by("other", &other)));
    refused.assert_refused(401, "binding-mismatch");
    // One proof is enough, and of two one would not be looked at.
    let proof = proof_of(&pair, "GET", URL, &jkt).text();
    let both = signed(&gateway, &jkt, by("mine", &pair).nonce("n-1")).field("DPoP", &proof);
    gateway
        .send(&both)
        .assert_refused(400, "malformed-credential");
    // The token itself may hold the key, which then need not be known here.
    let whole = token(json!({ "jwk": bare(&other) }));
    gateway
        .send(&signed(&gateway, &whole, by("whatever", &other)))
        .assert_passed();
    let refused = gateway.send(&signed(&gateway, &whole, by("mine", &pair)));
    refused.assert_refused(401, "credential-rejected");
}

#[test]
fn installations_and_accounts_of_approov_sign_messages() {
    let upstream = Upstream::start();
    let secret = b"a-secret-of-approov-that-has-64-bytes-as-its-own-have-in-base64!";
    let account = b"a-secret-for-messages-of-account";
    let setup = Setup::before(&upstream).route(BOTH);
    for (name, secret) in [("approov.secret", &secret[..]), ("account.secret", account)] {
        let text = format!("base64:{}", BASE64.encode(secret));
        setup.write_secret(name, text.as_bytes());
    }
    let gateway = setup
        .server("public_url = \"https://api.example.com\"")
        .more("[issuers.approov]\nalgorithms = [\"HS256\"]\nsecret = \"file:approov.secret\"\nheaders = [\"Approov-Token\"]\napp = \"mobile\"\nattests = true\nsignature_key = \"ipk\"\nsignature_secret = \"file:account.secret\"\n")
        .start();
    let (pair, folder) = (p256(), tempfile::tempdir().unwrap());
    let stranger = pair.stranger(folder.path());
    let der: String = pair
        .public_pem()
        .lines()
        .filter(|line| !line.starts_with('-'))
        .collect();
    let token = |ipk: Option<&str>| {
        let token = Token::new().without_header("kid").without("iat");
        let token = match ipk {
            Some(key) => token.claim("ipk", key),
            None => token,
        };
        token.signed_with(secret).text()
    };
    // As its default: no `keyid`, an end, and the algorithm.
    let message = |token: &str, label: &str, alg: &str, signer: Caller| {
        let request = https(&gateway).field("Approov-Token", token);
        signer
            .without_key_id()
            .label(label)
            .parameter(&format!("alg=\"{alg}\";expires={}", T0 + 15))
            .covering(&["@method", "@target-uri", "approov-token"])
            .sign(&request)
    };
    let ecdsa = "ecdsa-p256-sha256";
    let installed = token(Some(&der));
    let good = message(&installed, "install", ecdsa, caller().pair(pair.clone()));
    gateway.send(&good).assert_passed();
    let got = upstream.got(0);
    assert_eq!(got.field("portcullis-app"), Some("mobile"));
    assert_eq!(got.field("portcullis-assurance"), Some("attested+signed"));
    let other = message(&installed, "install", ecdsa, caller().pair(stranger));
    gateway
        .send(&other)
        .assert_refused(401, "credential-rejected");
    // A token that names a key is not opened by the account's secret.
    let hmac = "hmac-sha256";
    let by_account = || Caller::new("", account);
    gateway
        .send(&message(&installed, "account", hmac, by_account()))
        .assert_refused(401, "credential-rejected");
    let plain = token(None);
    gateway
        .send(&message(&plain, "account", hmac, by_account()))
        .assert_passed();
    gateway
        .send(&message(&plain, "account", hmac, caller()))
        .assert_refused(401, "credential-rejected");
    let broken = token(Some("AAAA"));
    gateway
        .send(&message(&broken, "account", hmac, by_account()))
        .assert_refused(401, "credential-rejected");
}

#[test]
fn the_command_line_makes_bound_tokens_and_their_proofs() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream).route("accept = [\"token\"]\nbind = \"dpop\"");
    let gateway = Gateway::start_now(setup);
    let secret = format!("file:{}", gateway.setup().path("mobile.key").display());
    let url = format!("http://{}/orders/7?b=2", gateway.address());
    for algorithm in ["ecdsa-p256-sha256", "ed25519", "rsa-v1_5-sha256"] {
        let device = format!("file:{}", Pair::of(algorithm).private().display());
        let asked = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(["request", "--scheme", "token", "--key-id", "mobile-2026"])
            .args(["--secret", &secret, "--dpop", &device])
            .args(["--dpop-algorithm", algorithm, &url])
            .output()
            .unwrap();
        assert!(asked.status.success(), "{asked:?}");
    }
    assert_eq!(upstream.heard().len(), 3);
    let stray = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["sign", "--key-id", "mobile-2026", "--secret", &secret])
        .args(["--dpop", "file:device.pem", &url])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&stray.stderr).into_owned();
    assert!(
        told.contains("`--dpop` belongs to `--scheme token`"),
        "{told}"
    );
}

#[test]
fn the_command_line_takes_up_the_nonce_that_it_is_asked_for() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream)
        .tokens("dpop_nonce = true")
        .route("accept = [\"token\"]\nbind = \"dpop\"");
    let gateway = Gateway::start_now(setup);
    let ask = |to: &str, more: &[&str]| {
        let secret = format!("file:{}", gateway.setup().path("mobile.key").display());
        let device = format!("file:{}", p256().private().display());
        Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(["request", "--scheme", "token", "--key-id", "mobile-2026"])
            .args(["--secret", &secret, "--dpop", &device, "-d", "x"])
            .args(more)
            .arg(format!("http://{to}/orders"))
            .output()
            .unwrap()
    };
    let to = gateway.address().to_string();
    let asked = ask(&to, &[]);
    assert!(asked.status.success(), "{asked:?}");
    assert_eq!(upstream.only().body, b"x");
    // One that is named is an experiment: what comes of it is shown.
    let named = ask(&to, &["--dpop-nonce", "AAAA"]);
    assert_eq!(named.status.code(), Some(1), "{named:?}");
    assert_eq!(upstream.heard().len(), 1);
    // A backend that refuses, and gives a nonce of its own, has heard the request.
    let wrong = Upstream::answering(|_, wire| {
        wire.answer(401, &[("DPoP-Nonce", "its-own")], b"wrong password");
    });
    let refused = ask(&wrong.address().to_string(), &[]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert_eq!(wrong.heard().len(), 1);
}
