//! The whole way of a caller: its app is registered, an instance enrols, answers a challenge, gets a token, and calls
//! with its user's `Authorization`. What was stolen anywhere on this way opens nothing.

use crate::harness::dpop::{bare, proof_of, thumbprint};
use crate::harness::key_service::{ask, token};
use crate::harness::pair::Pair;
use crate::harness::{Binary, Caller, Gateway, Response, T0, Upstream, binary, wait_until};
use crate::key_service::parts;
use crate::key_service_instances::{Instance, setup};
use data_encoding::BASE64;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::cell::Cell;
use std::process::Command;

const ROUTES: &str = "[[routes]]\nname = \"dpop\"\npath = \"/dpop/**\"\nupstream = \"backend\"\naccept = [\"token\"]\n\
    bind = \"dpop\"\nassurance = \"attested\"\nscopes = [\"orders\"]\n\
    [[routes]]\nname = \"signature\"\npath = \"/signature/**\"\nupstream = \"backend\"\n\
    accept = [\"token+http-signature\"]\nbind = \"key\"\nassurance = \"attested+signed\"\nscopes = [\"orders\"]\n";

/// How an instance proves that it has the key which its token is bound to.
#[derive(Clone, Copy, Debug)]
enum By {
    Dpop,
    Signature,
}

/// A gateway, what its operator types, and the time.
struct World {
    gateway: Gateway,
    elapsed: Cell<i64>,
}

impl World {
    /// The operator registers an app, whose tokens live so long, and a key for it.
    fn new(upstream: &Upstream, lifetime: &str) -> Self {
        let gateway = setup(upstream).routes(ROUTES).start();
        let elapsed = Cell::new(0);
        let world = Self { gateway, elapsed };
        let tokens =
            json!({ "evidence": ["instance-key"], "builds": ["1.4.2"], "lifetime": lifetime });
        let tokens = tokens.to_string();
        world.types(&[
            "app", "create", "phone", "--scope", "orders", "--tokens", &tokens,
        ]);
        world.types(&["key", "create", "phone", "--scheme", "token", "--attests"]);
        world
    }

    /// Runs a command of the operator's, which must succeed; gives back what it prints.
    fn types(&self, args: &[&str]) -> String {
        let admin = format!("http://{}", self.gateway.admin());
        let output = Command::new(binary::program())
            .args(args)
            .args(["--admin", &admin, "--token-file", "write.token"])
            .current_dir(self.gateway.setup().folder())
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {told}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// An instance enrols by a code of the operator's.
    fn enrolled(&self, pair: Pair) -> Instance {
        let code = self.types(&["instance", "enrol-code", "phone"]);
        Instance::by_code(self.gateway.address(), code.trim(), pair)
    }

    fn now(&self) -> i64 {
        if binary::is_named() {
            Binary::now()
        } else {
            T0 + self.elapsed.get()
        }
    }

    /// Calls with a token and a user's `Authorization`; `pair` proves the key.
    fn call(&self, by: By, token: &str, user: &str, pair: &Pair) -> Response {
        let target = match by {
            By::Dpop => "/dpop/7",
            By::Signature => "/signature/7",
        };
        let request = self
            .gateway
            .request("GET", target)
            .field("Portcullis-Token", token)
            .field("Authorization", user);
        let request = match by {
            By::Dpop => {
                let url = format!("http://{}{target}", self.gateway.address());
                let proof = proof_of(pair, "GET", &url, token).claim("iat", self.now());
                request.field("DPoP", &proof.text())
            }
            By::Signature => Caller::new("its-own", b"")
                .pair(pair.clone())
                .at(self.now())
                .covering(&[
                    "@method",
                    "@authority",
                    "@path",
                    "authorization",
                    "portcullis-token",
                ])
                .sign(&request),
        };
        self.gateway.send(&request)
    }
}

/// What `instance` asks for: a token for this user, bound to its key in the way that the proof needs.
fn question(instance: &Instance, by: By, user: &str) -> Value {
    let pay = BASE64.encode(&Sha256::digest(user));
    let jkt = thumbprint(&instance.pair);
    let mut question = instance.question("1.4.2", &pay, &jkt, "orders");
    if let By::Signature = by {
        // What is signed is its thumbprint all the same.
        question["cnf"] = json!({ "jwk": bare(&instance.pair) });
    }
    question
}

fn granted(instance: &Instance, by: By, user: &str) -> String {
    token(&ask(
        instance.address,
        "token",
        &question(instance, by, user),
    ))
}

fn every_way() -> impl Iterator<Item = (Pair, Pair, By)> {
    let of = Pair::of;
    [
        (of("ed25519"), of("ecdsa-p256-sha256")),
        (of("ecdsa-p256-sha256"), of("ed25519")),
    ]
    .into_iter()
    .flat_map(|(own, other)| [By::Dpop, By::Signature].map(|by| (own.clone(), other.clone(), by)))
}

#[test]
fn who_goes_the_whole_way_is_let_in_and_what_is_stolen_on_it_opens_nothing() {
    for (pair, other, by) in every_way() {
        let upstream = Upstream::start();
        let world = World::new(&upstream, "5m");
        let phone = world.enrolled(pair);
        let stranger = world.enrolled(other);
        let token = granted(&phone, by, "Bearer ada");
        world
            .call(by, &token, "Bearer ada", &phone.pair)
            .assert_passed();
        let got = upstream.got(0);
        for (name, value) in [
            ("authorization", "Bearer ada"),
            ("portcullis-app", "phone"),
            ("portcullis-scopes", "orders"),
        ] {
            assert_eq!(got.field(name), Some(value), "{by:?}");
        }
        assert_eq!(got.field("portcullis-token"), None);
        let assurance = got.field("portcullis-assurance").unwrap();
        assert!(assurance.starts_with("attested"), "{by:?} {assurance}");

        // Beside another user's `Authorization`.
        world
            .call(by, &token, "Bearer eve", &phone.pair)
            .assert_refused(401, "binding-mismatch");
        // From another instance of the same app.
        let stolen = world.call(by, &token, "Bearer ada", &stranger.pair);
        assert_eq!(stolen.status, 401, "{by:?}: {}", stolen.text());
        // With no proof at all.
        let bare = world
            .gateway
            .request("GET", "/dpop/7")
            .field("Portcullis-Token", &token)
            .field("Authorization", "Bearer ada");
        world
            .gateway
            .send(&bare)
            .assert_refused(401, "credential-missing");
        // Once the instance is revoked; the other one goes on.
        let others = granted(&stranger, by, "Bearer bob");
        world.types(&["instance", "revoke", &phone.id]);
        world
            .call(by, &token, "Bearer ada", &phone.pair)
            .assert_refused(401, "credential-rejected");
        let late = granted(&phone, by, "Bearer ada");
        world
            .call(by, &late, "Bearer ada", &phone.pair)
            .assert_refused(401, "credential-rejected");
        world
            .call(by, &others, "Bearer bob", &stranger.pair)
            .assert_passed();
        assert_eq!(upstream.heard().len(), 2, "{by:?}");
    }
}

#[test]
fn a_token_of_the_whole_way_ends() {
    for (pair, _, by) in every_way() {
        let upstream = Upstream::start();
        let named = binary::is_named();
        // A binary has the system's clock: there it is seconds until the end comes by itself.
        let world = World::new(&upstream, if named { "2s" } else { "5m" });
        let phone = world.enrolled(pair);
        let token = granted(&phone, by, "Bearer ada");
        let answer = || world.call(by, &token, "Bearer ada", &phone.pair);
        if named {
            wait_until("the end of the token", || answer().status == 401);
        } else {
            answer().assert_passed();
            world.gateway.advance(300);
            world.elapsed.set(300);
        }
        answer().assert_refused(401, "credential-expired");
    }
}

#[test]
fn who_fails_on_the_whole_way_cannot_see_it_in_the_answer() {
    for (pair, other, by) in every_way() {
        let upstream = Upstream::start();
        let world = World::new(&upstream, "5m");
        let phone = world.enrolled(pair);
        let impostor = Instance {
            id: phone.id.clone(),
            pair: other,
            address: phone.address,
        };
        let real = ask(phone.address, "token", &question(&phone, by, "Bearer ada"));
        // The instance's id and all that it says are right; only its key is not there.
        let mut forged = question(&impostor, by, "Bearer ada");
        forged["cnf"] = question(&phone, by, "Bearer ada")["cnf"].clone();
        let forged = ask(phone.address, "token", &forged);
        let used = question(&phone, by, "Bearer ada");
        let first = ask(phone.address, "token", &used);
        let again = ask(phone.address, "token", &used);
        let shape = |answer: &Response| {
            let names: Vec<_> = answer.fields.iter().map(|(name, _)| name.clone()).collect();
            let (header, claims, signature) = parts(&token(answer));
            let claims = claims.as_object().unwrap();
            let lengths: Vec<_> = claims
                .iter()
                .map(|(name, value)| (name.clone(), value.to_string().len()))
                .collect();
            let body = (
                answer.status,
                answer.body.len(),
                answer.json()["expires_in"].clone(),
            );
            (body, names, header, lengths, signature.len())
        };
        for decoy in [&forged, &again] {
            assert_eq!(shape(decoy), shape(&real), "{by:?}");
            world
                .call(by, &token(decoy), "Bearer ada", &phone.pair)
                .assert_refused(401, "credential-rejected");
        }
        for real in [&real, &first] {
            world
                .call(by, &token(real), "Bearer ada", &phone.pair)
                .assert_passed();
        }
        assert_eq!(upstream.heard().len(), 2);
    }
}
