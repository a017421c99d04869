//! Client attestations of the key service: what it mints, routes before an authorization server take.

use crate::client_token::Wire;
use crate::harness::dpop::{bare, proof_of, thumbprint};
use crate::harness::key_service::{ask, call, question, token};
use crate::harness::pair::Pair;
use crate::harness::{Gateway, Response, Setup, Upstream, now};
use crate::interop;
use crate::key_service::parts;
use crate::key_service_instances::{Instance, api, code, done, setup, with_phone};
use data_encoding::BASE64URL_NOPAD;
use portcullis::client::AttestedClient;
use portcullis::client::token::{InstanceKey, Tokens, enrol};
use portcullis::clock::Clock;
use portcullis::crypto::{Algorithm, PrivateKey};
use portcullis::secret::Secret;
use serde_json::{Value, json};

const AUDIENCE: &str = "https://login.example.com";
const TYP: &str = "oauth-client-attestation+jwt";
const ROUTES: &str = "[[routes]]\nname = \"login\"\npath = \"/oauth2/**\"\nupstream = \"backend\"\naccept = [\"token\"]\n\
    assurance = \"attested\"\nclient_attestation = { audience = \"https://login.example.com\", client_id = \"shop-app\" }\n\
    [[routes]]\nname = \"plain\"\npath = \"/orders/**\"\nupstream = \"backend\"\naccept = [\"token\"]\n";

/// The app `phone`, a client of OAuth where `client` says so, whose key is a private one.
fn start(upstream: &Upstream, client: &str, is_now: bool) -> Gateway {
    let setup = Setup::before(upstream)
        .tokens("audience = \"https://api.example.com\"")
        .routes(ROUTES);
    let pem = std::fs::read(Pair::of("ed25519").private()).unwrap();
    setup.write_secret("attester.pem", &pem);
    let setup = setup.more(&format!(
        "[apps.phone]\nkeys = [{{ id = \"attester\", algorithm = \"ed25519\", private_key = \"file:attester.pem\", \
         schemes = [\"token\"], attests = true }}]\n[apps.phone.tokens]\nevidence = [\"dev\"]\n{client}\n"
    ));
    if is_now {
        Gateway::start_now(setup)
    } else {
        setup.start()
    }
}

fn asked(gateway: &Gateway, app: &str, cnf: &Value) -> Response {
    let address = gateway.address();
    let evidence = json!({ "format": "dev", "instance": "laptop", "build": "1.4.2" });
    let mut body = question(address, app, &evidence);
    body["typ"] = TYP.into();
    body["cnf"] = cnf.clone();
    ask(address, "token", &body)
}

fn attestation(gateway: &Gateway, app: &str, pair: &Pair) -> String {
    token(&asked(gateway, app, &json!({ "jwk": bare(pair) })))
}

/// Shows it with a proof by the key of `pair`.
fn show(gateway: &Gateway, attestation: &str, pair: &Pair) -> Response {
    let proof = proof_of(pair, "POST", AUDIENCE, "")
        .header("typ", "oauth-client-attestation-pop+jwt")
        .without_header("jwk")
        .without("htm")
        .without("htu")
        .without("ath")
        .claim("aud", AUDIENCE);
    let request = gateway
        .request("POST", "/oauth2/token")
        .field("OAuth-Client-Attestation", attestation)
        .field("OAuth-Client-Attestation-PoP", &proof.text())
        .field("Content-Type", "application/x-www-form-urlencoded")
        .body("grant_type=refresh_token");
    gateway.send(&request)
}

#[test]
fn an_attestation_of_the_key_service_opens_the_route_before_an_authorization_server() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "client_id = \"shop-app\"", false);
    let pair = Pair::of("ecdsa-p256-sha256");
    let made = attestation(&gateway, "phone", &pair);
    let (header, claims, _) = parts(&made);
    assert_eq!(
        header,
        json!({ "typ": TYP, "alg": "EdDSA", "kid": "attester" })
    );
    assert_eq!(claims["sub"], "shop-app");
    assert_eq!(claims["cnf"], json!({ "jwk": bare(&pair) }));
    // It is shown to others than our routes.
    assert!(claims.get("aud").is_none());
    show(&gateway, &made, &pair).assert_passed();
    show(&gateway, &made, &pair).assert_passed();
    let got = upstream.got(0);
    assert_eq!(got.field("portcullis-app"), Some("phone"));
    assert_eq!(got.field("portcullis-assurance"), Some("attested"));
    let folder = tempfile::tempdir().unwrap();
    let other = Pair::of("ecdsa-p256-sha256").stranger(folder.path());
    show(&gateway, &made, &other).assert_refused(401, "credential-rejected");
    // Neither passes in the other's field.
    call(&gateway, &made, None).assert_refused(401, "credential-rejected");
    let plain = token(&ask(
        gateway.address(),
        "token",
        &question(gateway.address(), "phone", &json!({ "format": "dev" })),
    ));
    show(&gateway, &plain, &pair).assert_refused(401, "credential-rejected");
    assert_eq!(upstream.heard().len(), 2);
}

#[test]
fn whoever_may_have_no_attestation_gets_a_decoy_of_one() {
    let upstream = Upstream::start();
    let pair = Pair::of("ecdsa-p256-sha256");
    let gateway = start(&upstream, "", false);
    for (app, why) in [("phone", "no-oauth-client"), ("phony", "unknown-app")] {
        let decoy = attestation(&gateway, app, &pair);
        let (header, claims, _) = parts(&decoy);
        assert_eq!(header["typ"], TYP);
        assert_eq!(claims["sub"], app);
        show(&gateway, &decoy, &pair).assert_refused(401, "credential-rejected");
        let metrics = gateway.ask_admin("/metrics").text();
        let line = format!("{{outcome=\"decoy\",reason=\"{why}\"}} 1");
        assert!(metrics.contains(&line), "{metrics}");
    }
    upstream.assert_silent();
}

#[test]
fn an_attestation_needs_the_key_of_its_client_and_is_asked_for_by_its_name() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "client_id = \"shop-app\"", false);
    let pair = Pair::of("ecdsa-p256-sha256");
    let told = |cnf: &Value| {
        let refused = asked(&gateway, "phone", cnf);
        refused.assert_refused(400, "malformed-request");
        refused.detail()
    };
    assert!(told(&json!({ "jkt": thumbprint(&pair) })).contains("`cnf.jwk` is missing"));
    let mut body = question(gateway.address(), "phone", &json!({ "format": "dev" }));
    body["typ"] = TYP.into();
    let refused = ask(gateway.address(), "token", &body);
    assert!(refused.detail().contains("`cnf.jwk` is missing"));
    body["typ"] = "at+jwt".into();
    let refused = ask(gateway.address(), "token", &body);
    refused.assert_refused(400, "malformed-request");
    let told = "`typ` is not one of `JWT`, `oauth-client-attestation+jwt`";
    assert!(refused.detail().contains(told), "{}", refused.detail());
    body["typ"] = "JWT".into();
    call(
        &gateway,
        &token(&ask(gateway.address(), "token", &body)),
        None,
    )
    .assert_passed();
}

/// What is signed says that an attestation is asked for: nobody can make a token's question into one.
#[test]
fn an_instance_signs_that_it_asks_for_an_attestation() {
    let upstream = Upstream::start();
    let gateway = with_phone(setup(&upstream).routes(ROUTES));
    let tokens = json!({ "tokens": {
        "evidence": ["instance-key"], "builds": ["1.4.2"], "client_id": "shop-app",
    } });
    let changed = api(&gateway, "PATCH", "/v1/apps/phone", &tokens);
    done(&changed);
    let pair = Pair::of("ecdsa-p256-sha256");
    let code = code(&gateway, &json!({}));
    let phone = Instance::by_code(gateway.address(), &code, pair.clone());
    let question = |is_signed: bool| {
        let mut body = phone.question("1.4.2", "", &thumbprint(&pair), "");
        let challenge = body["challenge"].as_str().unwrap();
        let typ = if is_signed {
            format!("typ: {TYP}\n")
        } else {
            String::new()
        };
        let text = format!(
            "portcullis-instance-key-v1\napp: phone\nchallenge: {challenge}\ninstance: {}\nbuild: 1.4.2\npay: \ncnf: {}\nscope: \n{typ}",
            phone.id,
            thumbprint(&pair)
        );
        let signature = BASE64URL_NOPAD.encode(&pair.sign(text.as_bytes()));
        body["evidence"]["signature"] = signature.into();
        body["cnf"] = json!({ "jwk": bare(&pair) });
        body["typ"] = TYP.into();
        token(&ask(gateway.address(), "token", &body))
    };
    let good = question(true);
    show(&gateway, &good, &pair).assert_passed();
    show(&gateway, &question(false), &pair).assert_refused(401, "credential-rejected");
    // It ends with its instance.
    let revoke = format!("/v1/instances/{}/revoke", phone.id);
    let revoked = api(&gateway, "POST", &revoke, &Value::Null);
    done(&revoked);
    show(&gateway, &good, &pair).assert_refused(401, "credential-rejected");
}

#[test]
fn the_library_gets_it_for_an_enrolled_instance_and_shows_it() {
    let upstream = Upstream::start();
    let gateway = with_phone(setup(&upstream).routes(ROUTES));
    let tokens = json!({ "tokens": { "evidence": ["instance-key"], "client_id": "shop-app" } });
    let changed = api(&gateway, "PATCH", "/v1/apps/phone", &tokens);
    done(&changed);
    let (clock, _) = Clock::by_hand(u64::try_from(now()).unwrap());
    let algorithm = Algorithm::EcdsaP256Sha256;
    let pem = Secret::new(std::fs::read(Pair::of("ecdsa-p256-sha256").private()).unwrap());
    let key = PrivateKey::read(algorithm, &pem).unwrap();
    let wire = || Wire(gateway.address());
    let code = code(&gateway, &json!({}));
    let instance = enrol(&wire(), "phone", &code, &key, "1.4.2").unwrap();
    let evidence = InstanceKey::of(&instance, "1.4.2", key.clone());
    let attestations = Tokens::new("phone", wire(), evidence)
        .bound_to_key(&key)
        .client_attestations()
        .clock(clock.clone());
    let client = AttestedClient::new(algorithm, &pem).unwrap().clock(clock);
    let attestation = attestations.token().unwrap();
    let mut fields = http::HeaderMap::new();
    let proven = client.prove(attestation.text(), AUDIENCE, None, &mut fields);
    proven.unwrap();
    let request = fields.iter().fold(
        gateway.request("POST", "/oauth2/token"),
        |request, (name, value)| request.field(name.as_str(), value.to_str().unwrap()),
    );
    gateway.send(&request).assert_passed();
}

#[test]
fn another_library_takes_it_as_it_comes_and_makes_the_proof() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "client_id = \"shop-app\"", true);
    let service = format!("http://{}/.portcullis", gateway.address());
    let url = format!("http://{}/oauth2/token", gateway.address());
    let output = interop::command("python/pyjwt_attestation_client.py")
        .args(["--service", &service, "--app", "phone", "--url", &url])
        .args(["--audience", AUDIENCE])
        .output()
        .expect("Python is needed");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["status"], 200, "{answer}");
    assert_eq!(answer["claims"]["sub"], "shop-app");
    assert_eq!(upstream.got(0).field("portcullis-app"), Some("phone"));
}
