//! What the admin API makes and changes: apps, keys, codes to enrol by, and the audit of it all.

use crate::admin_api::{READ, WRITE, ask, names, validate, with_tokens};
use crate::harness::binary::program;
use crate::harness::issuer::{AUD, ISS, every_key};
use crate::harness::{
    Binary, Caller, Gateway, Request, Response, Setup, T0, Token, Upstream, caller, wait_until,
};
use portcullis::apps::made::{
    AuditEntry, Change, Expect, InstanceRecord, Outcome, Record, Revision, Store, Write,
};
use portcullis::config::Config;
use portcullis::store::registry::Registry;
use serde_json::{Value, json};
use std::fs::{DirBuilder, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

const PLANS: &str = "[plans.standard]\nrate = \"1000/s\"\n[plans.slow]\nrate = \"10/s\"\n";

fn setup(upstream: &Upstream) -> Setup {
    with_tokens(Setup::before(upstream)).more(PLANS)
}

fn start(upstream: &Upstream) -> Gateway {
    setup(upstream).start()
}

/// Somebody with the token that may change things.
#[derive(Clone, Copy)]
struct Operator(SocketAddr);

impl Operator {
    fn send(self, method: &str, target: &str, tag: Option<&str>, body: Option<&Value>) -> Response {
        let mut request = Request::new(method, target)
            .field("Authorization", &format!("Bearer {WRITE}"))
            .to(self.0);
        if let Some(tag) = tag {
            request = request.field("If-Match", tag);
        }
        if let Some(body) = body {
            request = request
                .field("Content-Type", "application/json")
                .body(body.to_string());
        }
        request.send_to(self.0)
    }

    fn get(self, target: &str) -> Response {
        ask(self.0, READ, "GET", target)
    }

    fn post(self, target: &str, body: &Value) -> Response {
        self.send("POST", target, None, Some(body))
    }

    /// Makes it, and gives back the answer's body.
    #[track_caller]
    fn make(self, target: &str, body: &Value) -> Value {
        let made = self.post(target, body);
        assert_eq!(made.status, 201, "{}", made.text());
        made.json()
    }

    /// The tag of what is at `target` now.
    #[track_caller]
    fn tag(self, target: &str) -> String {
        let there = self.get(target);
        there.field("etag").expect("a tag").to_owned()
    }
}

fn operator(gateway: &Gateway) -> Operator {
    Operator(gateway.admin())
}

#[test]
fn an_app_is_made_changed_and_deleted_and_a_repeated_call_changes_nothing_more() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    let api = operator(&gateway);
    let app = json!({ "name": "shop", "plan": "standard", "scopes": ["orders", "read"] });
    let made = api.post("/v1/apps", &app);
    assert_eq!(made.status, 201, "{}", made.text());
    let first = made.field("etag").unwrap().to_owned();
    assert_eq!(made.json()["before"], Value::Null);
    assert_eq!(made.json()["after"]["source"], "registry");
    api.post("/v1/apps", &app).assert_refused(409, "exists");
    let shown = api.get("/v1/apps/shop");
    assert_eq!(shown.json(), made.json()["after"]);
    assert_eq!(shown.field("etag"), Some(&*first));
    assert_eq!(
        names(&api.get("/v1/apps"), "name"),
        ["mobile", "other", "shop"]
    );
    let one = "/v1/apps?source=registry";
    assert_eq!(names(&api.get(one), "name"), ["shop"]);

    let patch = json!({ "plan": null, "enabled": false });
    let change = |tag: Option<&str>| api.send("PATCH", "/v1/apps/shop", tag, Some(&patch));
    let missing = change(None);
    missing.assert_refused(428, "if-match-missing");
    assert_eq!(missing.field("etag"), Some(&*first));
    change(Some("\"0\"")).assert_refused(412, "stale");
    change(Some("W/\"1\"")).assert_refused(412, "stale");
    change(Some("17")).assert_refused(400, "malformed-request");
    let changed = change(Some(&first));
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert_eq!(changed.json()["before"]["plan"], "standard");
    assert_eq!(changed.json()["after"]["plan"], Value::Null);
    assert_eq!(changed.json()["after"]["scopes"], json!(["orders", "read"]));
    let second = changed.field("etag").unwrap().to_owned();
    assert_ne!(first, second);
    change(Some(&first)).assert_refused(412, "stale");
    // What is so already is not written once more.
    let same = change(Some("*"));
    assert_eq!(same.field("etag"), Some(&*second));
    assert_eq!(same.json()["before"], same.json()["after"]);

    let delete = |tag: &str| api.send("DELETE", "/v1/apps/shop", Some(tag), None);
    delete(&first).assert_refused(412, "stale");
    assert_eq!(delete(&second).json()["after"], Value::Null);
    delete("*").assert_refused(404, "not-found");
    api.get("/v1/apps/shop").assert_refused(404, "not-found");
}

#[test]
fn what_stands_in_the_file_is_not_changed_and_its_names_are_taken() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    let api = operator(&gateway);
    api.make("/v1/apps", &json!({ "name": "shop" }));
    let body = json!({ "enabled": false });
    for (method, target, body) in [
        ("PATCH", "/v1/apps/mobile", Some(&body)),
        ("DELETE", "/v1/apps/mobile", None),
        ("PATCH", "/v1/keys/mobile-2026", Some(&body)),
        ("POST", "/v1/keys/mobile-2026/rotate", None),
        ("POST", "/v1/keys/mobile-2026/revoke", None),
    ] {
        let refused = api.send(method, target, Some("*"), body);
        refused.assert_refused(409, "configured-in-file");
    }
    for (target, body) in [
        ("/v1/apps", json!({ "name": "mobile" })),
        ("/v1/keys", json!({ "app": "mobile" })),
        ("/v1/keys", json!({ "app": "shop", "id": "mobile-2026" })),
        ("/v1/enrolments", json!({ "app": "mobile" })),
    ] {
        api.post(target, &body)
            .assert_refused(409, "configured-in-file");
    }
}

#[test]
fn a_dry_run_is_answered_as_it_would_be_and_writes_nothing() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    let api = operator(&gateway);
    api.make("/v1/apps", &json!({ "name": "shop" }));
    api.make("/v1/keys", &json!({ "app": "shop", "id": "shop-1" }));
    let code = api.make("/v1/enrolments", &json!({ "app": "shop" }));
    let code = code["after"]["id"].as_str().unwrap().to_owned();
    let looked = || {
        let targets = [
            "/v1/apps?source=registry",
            "/v1/keys?source=registry",
            "/v1/enrolments?app=shop",
            "/v1/audit",
        ];
        targets.map(|target| api.get(target).json())
    };
    let before = looked();
    let app = json!({ "name": "other-shop" });
    let key = json!({ "app": "shop" });
    let off = json!({ "enabled": false });
    let end = json!({ "not_after": "2099-01-01" });
    for (method, target, body, status) in [
        ("POST", "/v1/apps", Some(&app), 201),
        ("PATCH", "/v1/apps/shop", Some(&off), 200),
        ("DELETE", "/v1/apps/shop", None, 200),
        ("POST", "/v1/keys", Some(&key), 201),
        ("PATCH", "/v1/keys/shop-1", Some(&end), 200),
        ("POST", "/v1/keys/shop-1/rotate", None, 201),
        ("POST", "/v1/keys/shop-1/retire", None, 200),
        ("POST", "/v1/keys/shop-1/revoke", None, 200),
        ("POST", "/v1/enrolments", Some(&key), 201),
        ("DELETE", &*format!("/v1/enrolments/{code}"), None, 200),
    ] {
        let target = format!("{target}?dry_run=true");
        let would = api.send(method, &target, Some("*"), body);
        assert_eq!(would.status, status, "{target}: {}", would.text());
        assert_eq!(would.field("etag"), None, "{target}");
        let told = would.json();
        assert_eq!(told["dry_run"], true, "{target}");
        assert_ne!(told["before"], told["after"], "{target}");
        for secret in ["secret", "code"] {
            assert!(told[secret].is_null(), "{target}");
        }
    }
    // And refused as it would be.
    let taken = api.post("/v1/apps?dry_run=true", &json!({ "name": "shop" }));
    taken.assert_refused(409, "exists");
    let stale = api.send("DELETE", "/v1/apps/shop?dry_run", Some("\"0\""), None);
    stale.assert_refused(412, "stale");
    assert_eq!(before, looked());
}

#[test]
fn every_value_that_is_refused_is_told_with_its_place() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    let api = operator(&gateway);
    let faults = |target: &str, body: &Value| -> Vec<String> {
        let refused = api.post(target, body);
        refused.assert_refused(422, "invalid");
        let told = refused.json();
        let errors = told["errors"].as_array().unwrap().iter();
        errors
            .map(|error| {
                assert!(error["accepted"].is_string(), "{told}");
                error["at"].as_str().unwrap().to_owned()
            })
            .collect()
    };
    let body =
        json!({ "name": "a b", "plan": 3, "scopes": ["x", "x"], "mode": "dream", "owner": 1 });
    assert_eq!(
        faults("/v1/apps", &body),
        ["/name", "/plan", "/scopes", "/mode", "/owner"]
    );
    assert_eq!(faults("/v1/apps", &json!({})), ["/name"]);
    let body = json!({ "name": "shop", "plan": "gold" });
    assert_eq!(faults("/v1/apps", &body), ["/plan"]);
    api.make("/v1/apps", &json!({ "name": "shop" }));
    let body =
        json!({ "app": "shop", "id": "a\"", "kind": "paper", "not_after": "soon", "schemes": [] });
    let wrong = faults("/v1/keys", &body);
    assert_eq!(wrong, ["/id", "/kind", "/not_after", "/schemes"]);
    for (body, at) in [
        (json!({ "not_after": "2001-01-01" }), "/not_after"),
        (json!({ "algorithm": "ed25519" }), "/algorithm"),
        (
            json!({ "kind": "static", "algorithm": "hmac-sha256" }),
            "/algorithm",
        ),
        (
            json!({ "kind": "static", "schemes": ["token"] }),
            "/schemes",
        ),
        (
            json!({ "kind": "public-key", "algorithm": "ed25519" }),
            "/public_key",
        ),
        (json!({ "public_key": "canary" }), "/algorithm"),
        (
            json!({ "public_key": "canary", "algorithm": "ed25519" }),
            "/public_key",
        ),
    ] {
        let mut body = body;
        body["app"] = "shop".into();
        assert_eq!(faults("/v1/keys", &body), [at], "{body}");
        assert!(!api.post("/v1/keys", &body).text().contains("canary"));
    }
    let body = json!({ "app": "shop", "uses": 0, "expires_in": "1h" });
    assert_eq!(faults("/v1/enrolments", &body), ["/expires_in", "/uses"]);
    api.post("/v1/keys", &json!({ "app": "nobody" }))
        .assert_refused(404, "not-found");
    let private = include_str!("vectors/rfc9421/keys/test-key-ed25519.pem");
    let body = json!({ "app": "shop", "algorithm": "ed25519", "public_key": private });
    let refused = api.post("/v1/keys", &body);
    assert!(
        refused.text().contains("the public half"),
        "{}",
        refused.text()
    );
}

#[test]
fn an_issuer_that_is_not_there_is_refused_with_its_place_and_those_that_are() {
    let upstream = Upstream::start();
    let setup = setup(&upstream);
    setup.write("keys.json", every_key().to_string().as_bytes());
    let platform = format!(
        "[issuers.platform]\nissuer = \"{ISS}\"\naudience = \"{AUD}\"\n\
         algorithms = [\"RS256\"]\njwks = \"file:keys.json\"\n"
    );
    let gateway = setup.more(&platform).start();
    let api = operator(&gateway);
    let known_by = |issuer: &str| {
        let claims = json!([{ "claim": "sub", "value": "repo:acme/app" }]);
        let workload = json!({ "issuer": issuer, "claims": claims });
        json!({ "evidence": ["oidc"], "workloads": [workload] })
    };
    let is_told = |refused: &Response| {
        refused.assert_refused(422, "invalid");
        let told = refused.json();
        let error = &told["errors"][0];
        assert_eq!(error["at"], "/tokens", "{told}");
        assert_eq!(error["accepted"], "`platform`", "{told}");
    };
    let misspelt = json!({ "name": "deploy", "tokens": known_by("plattform") });
    is_told(&api.post("/v1/apps", &misspelt));
    let good = json!({ "name": "deploy", "tokens": known_by("platform") });
    api.make("/v1/apps", &good);
    let patch = |body: &Value| api.send("PATCH", "/v1/apps/deploy", Some("*"), Some(body));
    is_told(&patch(&json!({ "tokens": known_by("plattform") })));
    assert_eq!(patch(&json!({ "enabled": false })).status, 200);
}

#[test]
fn a_key_is_shown_once_rotated_with_overlap_and_ended() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    let api = operator(&gateway);
    api.make("/v1/apps", &json!({ "name": "shop" }));
    let state = |id: &str| api.get(&format!("/v1/keys/{id}")).json()["state"].clone();
    let made = api.make(
        "/v1/keys",
        &json!({ "app": "shop", "id": "shop/1", "schemes": ["http-signature"], "not_after": "2099-01-01" }),
    );
    let secret = made["secret"].as_str().unwrap();
    let is_ours = secret.starts_with("pcs_s_") && secret.len() == 55;
    assert!(is_ours, "{secret}");
    assert_eq!(state("shop%2F1"), "active");
    let listed = api.get("/v1/keys?app=shop");
    assert_eq!(names(&listed, "id"), ["shop/1"]);
    assert!(!listed.text().contains(secret));

    let rotate = |id: &str, body: Value| {
        let target = format!("/v1/keys/{id}/rotate");
        api.send("POST", &target, Some("*"), Some(&body))
    };
    let rotated = rotate("shop%2F1", json!({ "id": "shop-2", "overlap_seconds": 60 }));
    assert_eq!(rotated.status, 201, "{}", rotated.text());
    let told = rotated.json();
    assert_eq!(told["before"]["state"], "active");
    assert_eq!(told["after"]["state"], "draining");
    assert_eq!(told["made"]["rotated_from"], "shop/1");
    for inherited in ["schemes", "not_after", "app", "algorithm"] {
        assert_eq!(told["made"][inherited], told["before"][inherited]);
    }
    assert_ne!(told["secret"], made["secret"]);
    rotate("shop%2F1", json!({})).assert_refused(409, "wrong-state");
    rotate("shop-2", json!({ "panic": true, "overlap_seconds": 1 })).assert_refused(422, "invalid");

    let fled = rotate("shop-2", json!({ "id": "shop-3", "panic": true })).json();
    assert_eq!(fled["after"]["state"], "retired");
    assert_eq!(state("shop-3"), "active");
    let end = |id: &str, how: &str, body: Option<&Value>| {
        api.send("POST", &format!("/v1/keys/{id}/{how}"), Some("*"), body)
    };
    let later = json!({ "at": "2098-01-01" });
    let draining = end("shop-3", "retire", Some(&later)).json();
    assert_eq!(draining["after"]["state"], "draining");
    assert_eq!(draining["after"]["retired_from"], "2098-01-01T00:00:00Z");
    assert_eq!(
        end("shop-3", "revoke", None).json()["after"]["state"],
        "retired"
    );
    end("shop-3", "revoke", None).assert_refused(409, "wrong-state");
    end("shop-3", "retire", None).assert_refused(409, "wrong-state");

    let delete = |id: &str| api.send("DELETE", &format!("/v1/keys/{id}"), Some("*"), None);
    delete("shop%2F1").assert_refused(409, "wrong-state");
    assert_eq!(delete("shop-3").json()["after"], Value::Null);
    api.get("/v1/keys/shop-3").assert_refused(404, "not-found");

    // One that waits, and a static one.
    let waits = api.make(
        "/v1/keys",
        &json!({ "app": "shop", "id": "waits", "active_from": null }),
    );
    assert_eq!(waits["after"]["state"], "pending");
    let since = json!({ "active_from": "2020-01-01" });
    let active = api.send("PATCH", "/v1/keys/waits", Some("*"), Some(&since));
    assert_eq!(
        active.json()["after"]["state"],
        "active",
        "{}",
        active.text()
    );
    let fixed = api.make("/v1/keys", &json!({ "app": "shop", "kind": "static" }));
    assert!(fixed["secret"].as_str().unwrap().starts_with("pcs_k_"));
    assert_eq!(fixed["after"]["schemes"], json!(["api-key"]));
    let public = include_str!("vectors/rfc9421/keys/test-key-ed25519.pub.pem");
    let body = json!({ "app": "shop", "id": "pair", "algorithm": "ed25519", "public_key": public });
    let pair = api.make("/v1/keys", &body);
    assert_eq!(pair["after"]["kind"], "public-key");
    assert!(pair.get("secret").is_none());
    rotate("pair", json!({})).assert_refused(422, "invalid");
    let next = rotate("pair", json!({ "id": "pair-2", "public_key": public }));
    assert_eq!(next.status, 201, "{}", next.text());
}

#[test]
fn the_sunset_of_static_keys_ends_those_of_the_registry_too() {
    let upstream = Upstream::start();
    let gateway = setup(&upstream)
        .route("accept = [\"api-key\"]")
        .more("[api_keys]\nsunset = 2027-03-01\n")
        .start();
    let api = operator(&gateway);
    api.make("/v1/apps", &json!({ "name": "shop" }));
    let made = api.make("/v1/keys", &json!({ "app": "shop", "kind": "static" }));
    let secret = made["secret"].as_str().unwrap();
    let ask = || gateway.send(&gateway.request("GET", "/").field("X-Api-Key", secret));
    let passed = ask();
    passed.assert_passed();
    assert_eq!(
        passed.field("sunset"),
        Some("Mon, 01 Mar 2027 00:00:00 GMT")
    );
    gateway.advance(60 * 86_400);
    ask().assert_refused(401, "credential-rejected");
}

#[test]
fn a_static_key_of_the_registry_reaches_no_backend_though_no_route_takes_any() {
    let upstream = Upstream::start();
    let route = |name: &str, more: &str| {
        format!(
            "[[routes]]\nname = \"{name}\"\npath = \"/{name}\"\nupstream = \"backend\"\n{more}\n\n"
        )
    };
    let routes = route("open", "accept = [\"public\"]")
        + &route("signed", "accept = [\"http-signature\"]")
        + &route("kept", "accept = [\"public\"]\nkeep_proof = true");
    let gateway = setup(&upstream)
        .routes(&routes)
        .more("[api_keys]\nunsafe_query_parameter = \"api_key\"\n")
        .start();
    let api = operator(&gateway);
    let show = |path: &str, key: &str| {
        let target = format!("{path}?a=1&api_key={key}&b=%2f");
        gateway.request("GET", &target).field("X-Api-Key", key)
    };
    // As long as there is none, what stands there is the backend's.
    gateway.send(&show("/open", "its-own")).assert_passed();
    let got = upstream.got(0);
    assert_eq!(got.target(), "/open?a=1&api_key=its-own&b=%2f");
    assert_eq!(got.field("x-api-key"), Some("its-own"));

    api.make("/v1/apps", &json!({ "name": "shop" }));
    let made = api.make("/v1/keys", &json!({ "app": "shop", "kind": "static" }));
    let key = made["secret"].as_str().unwrap();
    gateway.send(&show("/open", key)).assert_passed();
    let signed = caller().sign(&show("/signed", key));
    gateway.send(&signed).assert_passed();
    for (number, target) in [(1, "/open?a=1&b=%2f"), (2, "/signed?a=1&b=%2f")] {
        let got = upstream.got(number);
        assert_eq!(got.target(), target);
        assert_eq!(got.field("x-api-key"), None, "{target}");
    }
    gateway.send(&show("/kept", key)).assert_passed();
    assert_eq!(upstream.got(3).field("x-api-key"), Some(key));
}

#[test]
fn of_a_chain_of_rotations_none_is_lost_when_one_within_is_deleted() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    let api = operator(&gateway);
    api.make("/v1/apps", &json!({ "name": "shop" }));
    api.make("/v1/keys", &json!({ "app": "shop", "id": "one" }));
    for (old, new) in [("one", "two"), ("two", "three"), ("three", "four")] {
        let target = format!("/v1/keys/{old}/rotate");
        let body = json!({ "id": new, "panic": true });
        assert_eq!(
            api.send("POST", &target, Some("*"), Some(&body)).status,
            201
        );
    }
    let before = |id: &str| api.get(&format!("/v1/keys/{id}")).json()["rotated_from"].clone();
    for (gone, follows) in [("two", "three"), ("three", "four")] {
        let answer = api.send("DELETE", &format!("/v1/keys/{gone}"), Some("*"), None);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(before(follows), "one");
    }
    // An app's `tokens` may name it, and what follows follows it still.
    let answer = api.send("DELETE", "/v1/keys/one", Some("*"), None);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(before("four"), "one");
}

#[test]
fn a_key_whose_end_has_come_stays_retired() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    let api = operator(&gateway);
    api.make("/v1/apps", &json!({ "name": "shop" }));
    api.make("/v1/keys", &json!({ "app": "shop", "id": "one" }));
    let change = |end: Value| {
        let body = json!({ "not_after": end });
        api.send("PATCH", "/v1/keys/one", Some("*"), Some(&body))
    };
    let ends = change(json!("2027-01-15T09:00:00Z"));
    assert_eq!(ends.status, 200, "{}", ends.text());
    gateway.advance(3_600);
    let state = api.get("/v1/keys/one").json()["state"].clone();
    assert_eq!(state, "retired");
    for end in [json!(null), json!("2099-01-01")] {
        change(end).assert_refused(409, "wrong-state");
    }
}

#[test]
fn an_end_that_is_past_is_refused_and_ends_nothing() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    let api = operator(&gateway);
    api.make("/v1/apps", &json!({ "name": "shop" }));
    api.make("/v1/keys", &json!({ "app": "shop", "id": "one" }));
    let ask =
        |method: &str, target: &str, body: Value| api.send(method, target, Some("*"), Some(&body));
    for past in ["2026-06-01", "2027-01-15T08:00:00Z"] {
        for (method, target, name) in [
            ("POST", "/v1/keys/one/retire", "at"),
            ("PATCH", "/v1/keys/one", "not_after"),
        ] {
            let refused = ask(method, target, json!({ name: past }));
            refused.assert_refused(422, "invalid");
            let error = refused.json()["errors"][0].clone();
            assert_eq!(error["at"], format!("/{name}"));
            let why = error["detail"].as_str().unwrap();
            assert!(why.ends_with("is past"), "{why}");
            assert_eq!(error["accepted"], "a later moment");
        }
    }
    assert_eq!(api.get("/v1/keys/one").json()["state"], "active");
    let drains = json!({ "at": "2027-01-15T08:00:01Z" });
    let drains = ask("POST", "/v1/keys/one/retire", drains);
    assert_eq!(drains.json()["after"]["state"], "draining");
    let ended = ask("POST", "/v1/keys/one/retire", json!({}));
    assert_eq!(ended.json()["after"]["state"], "retired");
}

#[test]
fn the_only_active_key_of_an_app_is_not_safe_to_retire() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    let api = operator(&gateway);
    api.make("/v1/apps", &json!({ "name": "shop" }));
    let safe = |id: &str| {
        let told = api.get(&format!("/v1/keys/{id}/safe-to-retire")).json();
        let why = told["why"].as_str().unwrap().to_owned();
        (told["safe"] == true, why)
    };
    let alone = (false, "no other key of its app is active".to_owned());
    api.make("/v1/keys", &json!({ "app": "shop", "id": "one" }));
    assert_eq!(safe("one"), alone);
    // None that a caller could come with.
    for other in [
        json!({ "app": "shop", "id": "waits", "active_from": null }),
        json!({ "app": "shop", "id": "bait", "honey": true }),
        json!({ "app": "shop", "id": "shown", "kind": "static" }),
        json!({ "app": "shop", "id": "brief", "not_after": "2027-01-15T09:00:00Z" }),
    ] {
        api.make("/v1/keys", &other);
    }
    assert_eq!(safe("one"), (true, "it was never used".to_owned()));
    gateway.advance(3_600);
    let unlike = "no other active key of its app can take its place".to_owned();
    assert_eq!(safe("one"), (false, unlike));
    // One that is over is nobody's any more.
    assert_eq!(safe("brief"), (true, "it is retired already".to_owned()));
    api.make("/v1/keys", &json!({ "app": "shop", "id": "two" }));
    assert_eq!(safe("one"), (true, "it was never used".to_owned()));
}

#[test]
fn tokens_that_are_refused_are_told_with_all_that_is_taken_here() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    let api = operator(&gateway);
    let told = |evidence: &str| {
        let tokens = json!({ "evidence": [evidence] });
        let refused = api.post("/v1/apps", &json!({ "name": "shop", "tokens": tokens }));
        refused.assert_refused(422, "invalid");
        let error = refused.json()["errors"][0].clone();
        assert_eq!(error["at"], "/tokens");
        let text = |name: &str| error[name].as_str().unwrap().to_owned();
        (text("detail"), text("accepted"))
    };
    let (why, _) = told("instance-keys");
    assert!(why.contains("`instance-keys`"), "{why}");
    assert!(why.contains("`instance-key`, `oidc`"), "{why}");
    let (why, _) = told(&"x".repeat(10_000));
    assert!(why.chars().count() <= 257, "{why}");
    let (_, accepted) = told("dev");
    assert!(
        accepted.contains("`\"instance-key\"` or `\"oidc\"`"),
        "{accepted}"
    );
}

#[test]
fn a_key_is_not_safe_to_retire_for_one_that_its_callers_could_not_come_with() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    let api = operator(&gateway);
    api.make("/v1/apps", &json!({ "name": "shop" }));
    let make = |id: &str, more: &Value| {
        let mut key = json!({ "app": "shop", "id": id });
        let more = more.as_object().unwrap().clone();
        key.as_object_mut().unwrap().extend(more);
        api.make("/v1/keys", &key);
    };
    let others = |id: &str| {
        let told = api.get(&format!("/v1/keys/{id}/safe-to-retire")).json();
        assert_eq!(
            told["safe"],
            told["other_active_keys"] != json!([]),
            "{told}"
        );
        told["other_active_keys"].clone()
    };
    make("signs", &json!({ "schemes": ["http-signature", "token"] }));
    make("mints", &json!({ "attests": true, "schemes": ["token"] }));
    make("sigv4", &json!({ "schemes": ["aws-sigv4"] }));
    for id in ["signs", "mints", "sigv4"] {
        assert_eq!(others(id), json!([]), "{id}");
    }
    make("tokens", &json!({ "schemes": ["token"] }));
    make(
        "mints-too",
        &json!({ "attests": true, "schemes": ["token"] }),
    );
    assert_eq!(others("signs"), json!(["tokens"]));
    assert_eq!(others("mints"), json!(["mints-too"]));
    assert_eq!(others("sigv4"), json!([]));
    // Whoever has a static key may well sign from now on.
    make("shown", &json!({ "kind": "static" }));
    assert_eq!(others("shown"), json!(["signs", "sigv4", "tokens"]));
}

#[test]
fn a_key_is_not_safe_to_retire_for_one_whose_algorithm_cannot_prove_what_it_does() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    let api = operator(&gateway);
    api.make("/v1/apps", &json!({ "name": "shop" }));
    let make = |key: &Value| {
        let mut key = key.clone();
        key["app"] = "shop".into();
        api.make("/v1/keys", &key);
    };
    let others = |id: &str| {
        let told = api.get(&format!("/v1/keys/{id}/safe-to-retire")).json();
        let others = told["other_active_keys"].clone();
        assert_eq!(told["safe"], others != json!([]), "{told}");
        others
    };
    let ed25519 = include_str!("vectors/rfc9421/keys/test-key-ed25519.pub.pem");
    let p256 = include_str!("vectors/rfc9421/keys/test-key-ecc-p256.pub.pem");
    make(&json!({ "id": "sigv4", "schemes": ["aws-sigv4"] }));
    make(&json!({ "id": "pair", "algorithm": "ed25519", "public_key": ed25519 }));
    assert_eq!(others("sigv4"), json!([]));
    // Nor does it help the pair that it says it may prove what the other does.
    assert_eq!(others("pair"), json!([]));

    let long = json!(["token", "aws-sigv4", "hmac-auth"]);
    make(&json!({ "id": "long", "algorithm": "hmac-sha512", "schemes": long }));
    make(&json!({ "id": "tokens", "schemes": ["token"] }));
    let curve = json!({ "id": "curve", "algorithm": "ecdsa-p256-sha256", "public_key": p256, "schemes": ["hmac-auth"] });
    make(&curve);
    assert_eq!(others("sigv4"), json!([]));
    assert_eq!(others("tokens"), json!(["pair"]));
    assert_eq!(others("long"), json!(["pair"]));
    make(&json!({ "id": "any" }));
    assert_eq!(others("sigv4"), json!(["any"]));
    // Who has a static key cannot sign with one that proves nothing.
    make(&json!({ "id": "shown", "kind": "static" }));
    let all = json!(["any", "long", "pair", "sigv4", "tokens"]);
    assert_eq!(others("shown"), all);
}

#[test]
fn whether_a_key_of_the_file_is_safe_to_retire_is_not_asked_here() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    let api = operator(&gateway);
    api.get("/v1/keys/mobile-2026/safe-to-retire")
        .assert_refused(409, "configured-in-file");
}

#[test]
fn whether_a_key_is_safe_to_retire_is_told_by_its_last_use() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    let api = operator(&gateway);
    api.make("/v1/apps", &json!({ "name": "shop" }));
    api.make("/v1/keys", &json!({ "app": "shop", "id": "used" }));
    api.make("/v1/keys", &json!({ "app": "shop", "id": "idle" }));
    let safe = |id: &str, query: &str| {
        let target = format!("/v1/keys/{id}/safe-to-retire{query}");
        let answer = api.get(&target);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    };
    assert_eq!(safe("used", "")["safe"], true);
    assert_eq!(safe("used", "")["other_active_keys"], json!(["idle"]));
    api.get("/v1/keys/used/safe-to-retire?quiet_seconds=0")
        .assert_refused(422, "invalid");
    api.get("/v1/keys/nobody/safe-to-retire")
        .assert_refused(404, "not-found");
}

#[test]
fn a_key_that_callers_use_is_not_safe_to_retire_until_it_was_quiet_for_long_enough() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    let api = operator(&gateway);
    api.make("/v1/apps", &json!({ "name": "shop" }));
    let made = api.make("/v1/keys", &json!({ "app": "shop", "id": "old" }));
    let secret = made["secret"].as_str().unwrap().as_bytes().to_vec();
    let safe = || {
        api.get("/v1/keys/old/safe-to-retire?quiet_seconds=3600")
            .json()
    };
    assert_eq!(safe()["last_used"], json!({}));
    assert_eq!(safe()["why"], "no other key of its app is active");

    let get = gateway.request("GET", "/orders");
    let signed = Caller::new("old", &secret).sign(&get);
    gateway.send(&signed).assert_passed();
    gateway.advance(120);
    let token = Token::new().header("kid", "old").signed_with(&secret);
    let shown = get.field("Portcullis-Token", &token.text());
    gateway.send(&shown).assert_passed();
    // What is refused is no use.
    gateway.advance(60);
    let wrong = Caller::new("old", &[7; 32]).at(T0 + 180);
    let wrong = wrong.sign(&gateway.request("GET", "/orders"));
    gateway
        .send(&wrong)
        .assert_refused(401, "credential-rejected");
    // It is written within a second or so.
    wait_until("both uses", || {
        safe()["last_used"].as_object().unwrap().len() == 2
    });
    let told = safe();
    let last = json!({ "http-signature": "2027-01-15T08:00:00Z", "token": "2027-01-15T08:02:00Z" });
    assert_eq!(told["last_used"], last);
    assert_eq!(told["safe"], false);
    assert_eq!(told["why"], "it was used at 2027-01-15T08:02:00Z");

    let rotated = api.send(
        "POST",
        "/v1/keys/old/rotate",
        Some("*"),
        Some(&json!({ "id": "new", "overlap_seconds": 86_400 })),
    );
    assert_eq!(rotated.status, 201, "{}", rotated.text());
    gateway.advance(3_539);
    assert_eq!(safe()["safe"], false);
    gateway.advance(1);
    let told = safe();
    assert_eq!((&told["safe"], &told["last_used"]), (&json!(true), &last));
    assert_eq!(told["other_active_keys"], json!(["new"]));
    let retired = api.send("POST", "/v1/keys/old/retire", Some("*"), None);
    assert_eq!(retired.status, 200, "{}", retired.text());
    assert_eq!(safe()["why"], "it is retired already");
}

#[test]
fn while_uses_cannot_be_written_down_they_are_told_and_no_key_is_safe_to_retire() {
    let upstream = Upstream::start();
    let binary = setup(&upstream).spawn();
    let api = Operator(binary.admin());
    api.make("/v1/apps", &json!({ "name": "shop" }));
    let made = api.make("/v1/keys", &json!({ "app": "shop", "id": "used" }));
    api.make("/v1/keys", &json!({ "app": "shop", "id": "idle" }));
    let safe = |id: &str| {
        let told = api.get(&format!("/v1/keys/{id}/safe-to-retire")).json();
        let why = told["why"].as_str().unwrap().to_owned();
        (told["safe"] == true, why)
    };
    let unused = "it was never used".to_owned();
    assert_eq!(safe("used"), (true, unused.clone()));
    limit_files(&binary, "0");
    let app = json!({ "name": "more" });
    api.post("/v1/apps", &app)
        .assert_refused(503, "registry-unwritable");
    let secret = made["secret"].as_str().unwrap().as_bytes();
    let get = binary.request("GET", "/");
    let signed = Caller::new("used", secret).at(Binary::now()).sign(&get);
    binary.send(&signed).assert_passed();
    let (is_safe, why) = safe("used");
    assert!(!is_safe && why.starts_with("it was used at "), "{why}");
    let (is_safe, why) = safe("idle");
    assert!(
        !is_safe && why.contains("uses cannot be written down now"),
        "{why}"
    );
    limit_files(&binary, "unlimited");
    assert_eq!(api.post("/v1/apps", &app).status, 201);
    assert_eq!(safe("idle"), (true, unused));
    assert!(!safe("used").0);
}

#[test]
fn the_key_of_a_token_that_is_shown_beside_a_signature_is_used_as_well() {
    let upstream = Upstream::start();
    let pair = "\n[[routes]]\nname = \"pair\"\npath = \"/pair\"\nupstream = \"backend\"\naccept = [\"token+http-signature\"]\n";
    let gateway = setup(&upstream).more(pair).start();
    let api = operator(&gateway);
    api.make("/v1/apps", &json!({ "name": "shop" }));
    let secret = |id: &str| {
        let made = api.make("/v1/keys", &json!({ "app": "shop", "id": id }));
        made["secret"].as_str().unwrap().as_bytes().to_vec()
    };
    let (signs, attests) = (secret("signs"), secret("attests"));
    let token = Token::new().header("kid", "attests").signed_with(&attests);
    let get = gateway
        .request("GET", "/pair")
        .field("Portcullis-Token", &token.text());
    let covered = [
        "\"@method\"",
        "\"@authority\"",
        "\"@path\"",
        "\"portcullis-token\"",
    ];
    let signed = Caller::new("signs", &signs)
        .covering(&covered)
        .value("\"portcullis-token\"", &token.text());
    gateway.send(&signed.sign(&get)).assert_passed();
    let told = || api.get("/v1/keys/attests/safe-to-retire").json();
    wait_until("its use", || {
        told()["last_used"] == json!({ "token": "2027-01-15T08:00:00Z" })
    });
    assert_eq!(told()["safe"], false);
}

#[test]
fn of_parallel_writers_with_one_tag_one_wins() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    let api = operator(&gateway);
    api.make("/v1/apps", &json!({ "name": "shop" }));
    let tag = api.tag("/v1/apps/shop");
    let (won, stale) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for writer in 0..8 {
            let (tag, won, stale) = (&tag, &won, &stale);
            scope.spawn(move || {
                let scopes = json!({ "scopes": [format!("of-{writer}")] });
                let answer = api.send("PATCH", "/v1/apps/shop", Some(tag), Some(&scopes));
                match answer.status {
                    200 => won.fetch_add(1, SeqCst),
                    412 => stale.fetch_add(1, SeqCst),
                    _ => panic!("{}", answer.text()),
                };
            });
        }
    });
    assert_eq!((won.into_inner(), stale.into_inner()), (1, 7));
    // And of those who make the same thing.
    let made = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let answer = api.post("/v1/apps", &json!({ "name": "twice" }));
                match answer.status {
                    201 => made.fetch_add(1, SeqCst),
                    409 => 0,
                    _ => panic!("{}", answer.text()),
                };
            });
        }
    });
    assert_eq!(made.into_inner(), 1);
}

#[test]
fn of_a_reload_that_takes_a_plan_away_and_apps_that_are_made_with_it_one_is_refused() {
    let upstream = Upstream::start();
    let setup = setup(&upstream);
    let without = setup.text();
    let with = format!("{without}[plans.brief]\nrate = \"5/s\"\n");
    let binary = Binary::spawn_on(setup, &without);
    let api = Operator(binary.admin());
    let reload = || api.send("POST", "/v1/reload", None, None).status;
    for round in 0..8 {
        binary.rewrite(&with);
        assert_eq!(reload(), 200);
        binary.rewrite(&without);
        let begin = std::sync::Barrier::new(3);
        let (made, reloaded) = std::thread::scope(|scope| {
            let write = |writer: u32| {
                let begin = &begin;
                scope.spawn(move || {
                    begin.wait();
                    let make = |number: &u32| {
                        let name = format!("app-{round}-{writer}-{number}");
                        let app = json!({ "name": name, "plan": "brief" });
                        api.post("/v1/apps", &app).status == 201
                    };
                    (0..6).take_while(make).count()
                })
            };
            let (one, other) = (write(1), write(2));
            begin.wait();
            let reloaded = reload();
            (one.join().unwrap() + other.join().unwrap(), reloaded)
        });
        let wanted = if made == 0 { 200 } else { 409 };
        assert_eq!(reloaded, wanted, "round {round}: {made} were made");
        for app in names(&api.get("/v1/apps?source=registry"), "name") {
            let gone = api.send("DELETE", &format!("/v1/apps/{app}"), Some("*"), None);
            assert_eq!(gone.status, 200, "{}", gone.text());
        }
    }
}

#[test]
fn every_change_has_its_line_and_no_secret_is_in_any() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    let api = operator(&gateway);
    api.make("/v1/apps", &json!({ "name": "shop" }));
    let key = api.make("/v1/keys", &json!({ "app": "shop", "id": "shop-1" }));
    let rotated = api.send(
        "POST",
        "/v1/keys/shop-1/rotate",
        Some("*"),
        Some(&json!({ "id": "shop-2" })),
    );
    let fixed = api.make(
        "/v1/keys",
        &json!({ "app": "shop", "id": "fixed", "kind": "static" }),
    );
    let code = api.make("/v1/enrolments", &json!({ "app": "shop" }));
    let off = json!({ "enabled": false });
    api.send("PATCH", "/v1/apps/shop", Some("*"), Some(&off));
    let audit = api.get("/v1/audit");
    let lines = audit.json()["items"].as_array().unwrap().clone();
    let whats: Vec<&str> = lines
        .iter()
        .map(|line| line["what"].as_str().unwrap())
        .collect();
    assert_eq!(
        whats,
        [
            "app.change",
            "enrolment.create",
            "key.create",
            "key.rotate",
            "key.create",
            "app.create"
        ]
    );
    let change = &lines[0];
    assert_eq!(change["who"], "admin:write");
    assert_eq!(change["target"], "app/shop");
    assert_eq!(change["before"]["enabled"], true);
    assert_eq!(change["after"]["enabled"], false);
    assert_eq!(lines[3]["after"]["new"]["id"], "shop-2");

    let count = |query: &str| {
        let found = api.get(&format!("/v1/audit?{query}"));
        names(&found, "what").len()
    };
    assert_eq!(count("what=key"), 3);
    assert_eq!(count("what=key.create&target=key/fixed"), 1);
    assert_eq!(
        count("who=admin:write&since=2001-01-01&until=2099-01-01"),
        6
    );
    assert_eq!(count("who=nobody"), 0);
    assert_eq!(count("until=2001-01-01"), 0);
    assert_eq!(count("log=events"), 0);
    api.get("/v1/audit?since=yesterday")
        .assert_refused(422, "invalid");
    api.get("/v1/audit?page=YQ").assert_refused(422, "invalid");
    // Page by page, filtered.
    let mut found = Vec::new();
    let mut target = "/v1/audit?what=key&limit=1".to_owned();
    loop {
        let page = api.get(&target);
        found.extend(names(&page, "target"));
        match page.json()["next"].as_str() {
            Some(next) => target = format!("/v1/audit?what=key&limit=1&page={next}"),
            None => break,
        }
    }
    assert_eq!(found, ["key/fixed", "key/shop-1", "key/shop-1"]);

    let secrets = [
        key["secret"].clone(),
        rotated.json()["secret"].clone(),
        fixed["secret"].clone(),
        code["code"].clone(),
        WRITE.into(),
    ];
    let told = [
        audit.text(),
        api.get("/v1/keys").text(),
        api.get("/v1/enrolments?app=shop").text(),
        gateway.log().text(),
        gateway.ask_admin("/metrics").text(),
    ];
    for secret in secrets {
        let secret = secret.as_str().unwrap();
        assert!(secret.len() > 30);
        for text in &told {
            assert!(!text.contains(secret));
        }
    }
    let file = std::fs::read(gateway.setup().path("state/portcullis.redb")).unwrap();
    let secret = key["secret"].as_str().unwrap().as_bytes();
    assert!(!file.windows(secret.len()).any(|window| window == secret));
}

#[test]
fn lines_by_a_clock_that_was_set_back_hide_none_that_came_before_them() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    let store = gateway.registry();
    for (number, at) in [-9_000, 1, 2, -7_200, 3].into_iter().enumerate() {
        let audit = AuditEntry {
            at: T0 + at,
            who: "test".into(),
            what: "test".into(),
            target: format!("line/{number}"),
            before: None,
            after: None,
            outcome: Outcome::Done,
            times: 1,
        };
        let write = Write {
            changes: Vec::new(),
            audit,
            dry_run: false,
        };
        store.write(write).unwrap();
    }
    for limit in [1, 2, 3, 100] {
        let first = format!("/v1/audit?since=2027-01-15T08:00:00Z&limit={limit}");
        let (mut found, mut target) = (Vec::new(), first.clone());
        loop {
            let page = operator(&gateway).get(&target);
            let more = names(&page, "target");
            assert!(more.len() <= limit, "{more:?}");
            found.extend(more);
            match page.json()["next"].as_str() {
                Some(next) => target = format!("{first}&page={next}"),
                None => break,
            }
        }
        assert_eq!(found, ["line/4", "line/2", "line/1"], "{limit}");
    }
}

#[test]
fn instances_are_listed_and_revoked_and_codes_withdrawn() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    let api = operator(&gateway);
    api.make("/v1/apps", &json!({ "name": "shop" }));
    let body = json!({ "app": "shop", "uses": 3, "expires_in": 60, "build": "1.4.2" });
    let code = api.make("/v1/enrolments", &body);
    assert!(code["code"].as_str().unwrap().starts_with("pcs_e_"));
    assert_eq!(code["after"]["uses_left"], 3);
    assert_eq!(code["after"]["expired"], false);
    let id = code["after"]["id"].as_str().unwrap();
    assert_eq!(names(&api.get("/v1/enrolments?app=shop"), "id"), [id]);
    let target = format!("/v1/enrolments/{id}");
    api.send("DELETE", &target, None, None)
        .assert_refused(428, "if-match-missing");
    let gone = api.send("DELETE", &target, Some("*"), None);
    assert_eq!(gone.status, 200, "{}", gone.text());
    api.send("DELETE", &target, Some("*"), None)
        .assert_refused(404, "not-found");
    assert!(names(&api.get("/v1/instances?app=shop"), "id").is_empty());
    api.get("/v1/instances").assert_refused(422, "invalid");
    api.get("/v1/instances/x").assert_refused(404, "not-found");
}

#[test]
fn an_instance_that_is_revoked_stays_so_over_a_restart() {
    let upstream = Upstream::start();
    let setup = setup(&upstream);
    let text = setup.text();
    {
        let loaded = Config::from_text(&text, "gateway.toml", setup.folder(), &|_| None).unwrap();
        let registry = Registry::open(&loaded.config.registry.unwrap()).unwrap();
        let app = json!({ "name": "shop", "made_at": 1 });
        let app = serde_json::from_value(app).unwrap();
        let instance = InstanceRecord {
            id: "phone-1".into(),
            app: "shop".into(),
            public: "{}".into(),
            thumbprint: "t".into(),
            build: Some("1.4.2".into()),
            enabled: true,
            enrolled_at: 1_700_000_000,
            last_seen: None,
            revision: Revision::default(),
        };
        let write = Write {
            changes: vec![
                Change::Put(Record::App(app), Expect::Absent),
                Change::Put(Record::Instance(instance), Expect::Absent),
            ],
            audit: AuditEntry {
                at: 1,
                who: "peer:127.0.0.1".into(),
                what: "instance.enrol".into(),
                target: "instance/phone-1".into(),
                before: None,
                after: None,
                outcome: Outcome::Done,
                times: 1,
            },
            dry_run: false,
        };
        registry.write(write).unwrap();
    }
    let binary = Binary::spawn_on(setup, &text);
    let api = Operator(binary.admin());
    let list = api.get("/v1/instances?app=shop");
    assert_eq!(names(&list, "id"), ["phone-1"]);
    let shown = api.get("/v1/instances/phone-1");
    assert_eq!(shown.json()["enrolled_at"], "2023-11-14T22:13:20Z");
    let revoke = |tag: &str| api.send("POST", "/v1/instances/phone-1/revoke", Some(tag), None);
    let tag = shown.field("etag").unwrap();
    let revoked = revoke(tag);
    assert_eq!(
        revoked.json()["after"]["enabled"],
        false,
        "{}",
        revoked.text()
    );
    revoke(tag).assert_refused(412, "stale");
    let again = revoke("*");
    assert_eq!(again.json()["before"], again.json()["after"]);
    let document = ask(binary.admin(), READ, "GET", "/v1/openapi.json").json();
    validate(
        &document,
        &[
            ("GET", "/v1/instances", &list),
            ("GET", "/v1/instances/{instance}", &shown),
            ("POST", "/v1/instances/{instance}/revoke", &revoked),
        ],
    );
    // Not a moment to write anything more down.
    let binary = binary.killed_and_restarted();
    let api = Operator(binary.admin());
    let after = api.get("/v1/instances/phone-1").json();
    assert_eq!(after["enabled"], false);
    assert_eq!(names(&api.get("/v1/audit?what=instance"), "what").len(), 2);
}

#[test]
fn with_the_registry_off_what_the_file_says_is_shown_and_nothing_is_made() {
    let upstream = Upstream::start();
    let setup = setup(&upstream);
    let text = setup.text().replace(
        "directory = \"state\"",
        "directory = \"state\"\nregistry = \"off\"",
    );
    let binary = Binary::spawn_on(setup, &text);
    let api = Operator(binary.admin());
    assert_eq!(names(&api.get("/v1/apps"), "name"), ["mobile", "other"]);
    api.post("/v1/apps", &json!({ "name": "shop" }))
        .assert_refused(503, "registry-off");
    api.get("/v1/audit").assert_refused(503, "registry-off");
}

#[test]
fn what_an_app_of_the_registry_has_moved_up_to_outlives_a_start_without_the_registry() {
    let upstream = Upstream::start();
    let setup = setup(&upstream).route("accept = [\"http-signature\", \"api-key\"]");
    let mut binary = setup.spawn();
    let api = Operator(binary.admin());
    api.make(
        "/v1/apps",
        &json!({ "name": "shop", "downgrade": "refuse" }),
    );
    let key = api.make("/v1/keys", &json!({ "app": "shop", "id": "shop-1" }));
    let shown = api.make("/v1/keys", &json!({ "app": "shop", "kind": "static" }));
    let by_static_key = |binary: &Binary| {
        let shown = shown["secret"].as_str().unwrap();
        binary.send(&binary.request("GET", "/").field("X-Api-Key", shown))
    };
    by_static_key(&binary).assert_passed();
    let signer = Caller::new("shop-1", key["secret"].as_str().unwrap().as_bytes());
    let request = signer.at(Binary::now()).sign(&binary.request("GET", "/"));
    binary.send(&request).assert_passed();
    by_static_key(&binary).assert_refused(403, "assurance-too-low");

    let on = binary.setup().text();
    let off = on.replace("[state]\n", "[state]\nregistry = \"off\"\n");
    for text in [off, on] {
        binary.signal("TERM");
        assert!(binary.wait().success());
        binary = binary.restarted_on(&text);
    }
    by_static_key(&binary).assert_refused(403, "assurance-too-low");
}

/// Runs it so that the mode of a file or folder counts, which it does not for a user who may do everything.
pub(crate) fn that_minds_modes(folder: &Path) -> Command {
    static MINDS: LazyLock<bool> = LazyLock::new(|| {
        let folder = tempfile::tempdir().unwrap();
        let closed = folder.path().join("closed");
        DirBuilder::new().mode(0o000).create(&closed).unwrap();
        lists(folder.path()) && !lists(&closed)
    });
    if std::fs::metadata(folder).unwrap().uid() != 0 {
        return Command::new(program());
    }
    assert!(
        *MINDS,
        "no mode counts for root here: CAP_SETPCAP is needed to give up CAP_DAC_OVERRIDE, or another user"
    );
    let mut command = who_may_not_do_everything();
    command.arg(program());
    command
}

/// Runs what is added to it as root whose access is checked.
fn who_may_not_do_everything() -> Command {
    let mut command = Command::new("setpriv");
    command.args([
        "--inh-caps=-dac_override,-dac_read_search",
        "--bounding-set=-dac_override,-dac_read_search",
    ]);
    command
}

/// Whether such a one may look into a folder.
fn lists(folder: &Path) -> bool {
    let looked = who_may_not_do_everything().arg("ls").arg(folder).output();
    looked.expect("setpriv is needed").status.success()
}

/// Lets its files grow to so many bytes from now on.
fn limit_files(binary: &Binary, size: &str) {
    let process = binary.process();
    let pid = process.file_name().unwrap().to_str().unwrap();
    let status = Command::new("prlimit")
        .args(["--pid", pid, &format!("--fsize={size}:unlimited")])
        .status()
        .expect("prlimit is needed");
    assert!(status.success());
}

fn is_writable(admin: SocketAddr) -> bool {
    let metrics = Request::new("GET", "/metrics").to(admin).send_to(admin);
    metrics
        .text()
        .contains("\nportcullis_registry_writable 1\n")
}

#[test]
fn a_registry_that_cannot_be_written_refuses_changes_and_requests_go_on() {
    let upstream = Upstream::start();
    let binary = setup(&upstream).spawn();
    let api = Operator(binary.admin());
    api.make("/v1/apps", &json!({ "name": "shop" }));
    limit_files(&binary, "0");
    let app = json!({ "name": "more" });
    let refused = api.post("/v1/apps", &app);
    refused.assert_refused(503, "registry-unwritable");
    assert!(refused.json()["hint"].as_str().unwrap().contains("disk"));
    assert!(!is_writable(binary.admin()));
    // What the file says is shown, and who is known passes.
    let get = binary.request("GET", "/");
    let signed = caller().at(Binary::now()).sign(&get);
    binary.send(&signed).assert_passed();
    assert_eq!(api.get("/v1/apps/mobile").status, 200);
    limit_files(&binary, "unlimited");
    let made = api.post("/v1/apps", &app);
    assert_eq!(made.status, 201, "{}", made.text());
    assert!(is_writable(binary.admin()));
}

#[test]
fn a_registry_that_cannot_be_written_at_the_start_verifies_and_says_so_until_it_can_be() {
    let upstream = Upstream::start();
    let setup = setup(&upstream);
    let mut binary = setup.spawn();
    let api = Operator(binary.admin());
    api.make("/v1/apps", &json!({ "name": "shop" }));
    let key = api.make("/v1/keys", &json!({ "app": "shop", "id": "shop-1" }));
    let secret = key["secret"].as_str().unwrap();
    // A crash, and then what it left unfinished cannot be put right.
    binary.kill();
    let file = binary.setup().path("state/portcullis.redb");
    let mode = |mode| std::fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
    mode(0o400);
    let before = std::fs::read(&file).unwrap();
    let starts = |binary: Binary| {
        let command = that_minds_modes(binary.setup().folder());
        let binary = binary.restarted_by(command);
        binary.stderr.wait_for("why", |line| {
            line.contains("\"ERROR\"") && line.contains("the registry cannot be written")
        });
        binary
    };
    let mut binary = starts(binary);
    let shop = Caller::new("shop-1", secret.as_bytes());
    let ask = |binary: &Binary, caller: Caller| {
        let signed = caller.at(Binary::now()).sign(&binary.request("GET", "/"));
        binary.send(&signed)
    };
    ask(&binary, shop.clone()).assert_passed();
    ask(&binary, caller()).assert_passed();
    ask(
        &binary,
        shop.clone().secret(b"another-secret-of-32-bytes-and-so"),
    )
    .assert_refused(401, "credential-rejected");
    let api = Operator(binary.admin());
    assert_eq!(api.get("/v1/keys/shop-1").json()["state"], "active");
    assert_eq!(api.get("/v1/status").json()["registry"]["writable"], false);
    assert!(!is_writable(binary.admin()));
    for _ in 0..2 {
        let refused = api.post("/v1/apps", &json!({ "name": "more" }));
        refused.assert_refused(503, "registry-unwritable");
    }
    ask(&binary, shop.clone()).assert_passed();
    // Nothing at all is written, and what starts next finds it so too.
    binary.signal("TERM");
    assert!(binary.wait().success());
    assert_eq!(std::fs::read(&file).unwrap(), before);
    let binary = starts(binary);
    ask(&binary, shop.clone()).assert_passed();
    let api = Operator(binary.admin());
    api.post("/v1/apps", &json!({ "name": "more" }))
        .assert_refused(503, "registry-unwritable");
    // It may be written again.
    mode(0o600);
    api.make("/v1/apps", &json!({ "name": "more" }));
    assert!(is_writable(binary.admin()));
    ask(&binary, shop).assert_passed();
    let names = names(&api.get("/v1/apps?source=registry"), "name");
    assert_eq!(names, ["more", "shop"]);
}

#[test]
fn a_gateway_that_starts_on_a_full_disk_verifies_what_it_can_and_the_rest_once_there_is_room() {
    let upstream = Upstream::start();
    let binary = setup(&upstream).spawn();
    let api = Operator(binary.admin());
    api.make("/v1/apps", &json!({ "name": "shop" }));
    let key = api.make("/v1/keys", &json!({ "app": "shop", "id": "shop-1" }));
    let secret = key["secret"].as_str().unwrap().as_bytes().to_vec();
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg("trap '' XFSZ; ulimit -S -f 0; exec \"$0\" \"$@\"")
        .arg(program());
    let mut binary = binary;
    binary.kill();
    let binary = binary.restarted_by(command);
    for of in [
        "the registry cannot be written",
        "proofs cannot be written down",
    ] {
        binary.stderr.wait_for("why", |line| {
            line.contains("\"ERROR\"") && line.contains(of)
        });
    }
    let ask = |method: &str, nonce: &str| {
        let caller = Caller::new("shop-1", &secret).at(Binary::now());
        let request = binary.request(method, "/orders");
        binary.send(&caller.nonce(nonce).sign(&request))
    };
    let api = Operator(binary.admin());
    let safe = Caller::new("shop-1", &secret).at(Binary::now());
    let safe = safe.sign(&binary.request("GET", "/orders"));
    binary.send(&safe).assert_passed();
    ask("POST", "one").assert_refused(503, "store-unavailable");
    let app = json!({ "name": "more" });
    api.post("/v1/apps", &app)
        .assert_refused(503, "registry-unwritable");
    limit_files(&binary, "unlimited");
    api.make("/v1/apps", &app);
    // A file for proofs is begun within a second or so.
    wait_until("proofs that can be written", || {
        let admin = binary.admin();
        let metrics = Request::new("GET", "/metrics").to(admin).send_to(admin);
        let metrics = metrics.text();
        metrics.contains("\nportcullis_proofs_writable 1\n")
    });
    ask("POST", "two").assert_passed();
    ask("POST", "two").assert_refused(401, "replayed");
    // What was refused stays used.
    ask("POST", "one").assert_refused(401, "replayed");
    // What passed then is known to the next one.
    let binary = binary.killed_and_restarted();
    let caller = Caller::new("shop-1", &secret).at(Binary::now());
    let again = caller.nonce("two");
    let again = again.sign(&binary.request("POST", "/orders"));
    binary.send(&again).assert_refused(401, "replayed");
}

/// Runs the gateway where `folder` can only be read.
fn that_only_reads(folder: &Path) -> Command {
    let of_its_own = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c"]);
        let only_read =
            "mount --bind \"$ONLY_READ\" \"$ONLY_READ\" && mount -o remount,bind,ro \"$ONLY_READ\"";
        command.arg(format!("{only_read} && {script}"));
        command.env("ONLY_READ", folder);
        command
    };
    let tried = of_its_own("! touch \"$ONLY_READ/it\"").output();
    assert!(
        tried.as_ref().is_ok_and(|tried| tried.status.success()),
        "missing: file systems of one's own (`unshare --map-root-user --mount`): {tried:?}"
    );
    let mut command = of_its_own("exec \"$0\" \"$@\"");
    command.arg(program());
    command
}

#[test]
fn a_gateway_that_starts_where_nothing_can_be_written_verifies_what_it_can() {
    let upstream = Upstream::start();
    let mut binary = setup(&upstream).spawn();
    let api = Operator(binary.admin());
    api.make("/v1/apps", &json!({ "name": "shop" }));
    let key = api.make("/v1/keys", &json!({ "app": "shop", "id": "shop-1" }));
    let secret = key["secret"].as_str().unwrap().as_bytes().to_vec();
    let caller = || Caller::new("shop-1", &secret).at(Binary::now());
    let post = |binary: &Binary, nonce: &str| {
        let request = binary.request("POST", "/orders");
        binary.send(&caller().nonce(nonce).sign(&request))
    };
    post(&binary, "one").assert_passed();
    let command = that_only_reads(&binary.setup().path("state"));
    // A crash, and then what it left unfinished cannot be put right.
    binary.kill();
    let binary = binary.restarted_by(command);
    for of in [
        "the registry cannot be written",
        "proofs cannot be written down",
    ] {
        binary.stderr.wait_for("why", |line| {
            line.contains("\"ERROR\"") && line.contains(of) && line.contains("ead-only file")
        });
    }
    let safe = caller().sign(&binary.request("GET", "/orders"));
    binary.send(&safe).assert_passed();
    post(&binary, "one").assert_refused(401, "replayed");
    post(&binary, "two").assert_refused(503, "store-unavailable");
    let api = Operator(binary.admin());
    api.post("/v1/apps", &json!({ "name": "more" }))
        .assert_refused(503, "registry-unwritable");
    let told = |path| {
        let admin = binary.admin();
        Request::new("GET", path).to(admin).send_to(admin)
    };
    assert!(!is_writable(binary.admin()));
    let metrics = told("/metrics").text();
    assert!(metrics.contains("\nportcullis_proofs_writable 0\n"));
    assert_eq!(told("/readyz").status, 200, "all but these requests pass");
}

#[test]
fn what_is_made_and_changed_is_answered_as_the_document_says() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    let api = operator(&gateway);
    let document = gateway.ask_admin("/v1/openapi.json").json();
    let any = Some("*");
    let app = api.post("/v1/apps", &json!({ "name": "shop", "plan": "slow" }));
    let twice = api.post("/v1/apps", &json!({ "name": "shop" }));
    let plan = json!({ "plan": "standard", "explain": true });
    let changed = api.send("PATCH", "/v1/apps/shop", any, Some(&plan));
    let missing = api.send("PATCH", "/v1/apps/shop", None, Some(&plan));
    let stale = api.send("PATCH", "/v1/apps/shop", Some("\"0\""), Some(&plan));
    let key = api.post("/v1/keys", &json!({ "app": "shop", "id": "one" }));
    let dry = api.post("/v1/keys?dry_run=true", &json!({ "app": "shop" }));
    let rotated = api.send(
        "POST",
        "/v1/keys/one/rotate",
        any,
        Some(&json!({ "id": "two" })),
    );
    let draining = api.send("POST", "/v1/keys/one/rotate", any, None);
    let end = json!({ "not_after": "2099-01-01" });
    let patched = api.send("PATCH", "/v1/keys/two", any, Some(&end));
    let retired = api.send("POST", "/v1/keys/one/retire", any, None);
    let revoked = api.send("POST", "/v1/keys/two/revoke", any, None);
    let code = api.post("/v1/enrolments", &json!({ "app": "shop" }));
    let codes = api.get("/v1/enrolments?app=shop");
    let id = code.json()["after"]["id"].as_str().unwrap().to_owned();
    let withdrawn = api.send("DELETE", &format!("/v1/enrolments/{id}"), any, None);
    let apps = api.get("/v1/apps");
    let keys = api.get("/v1/keys");
    let shown = api.get("/v1/apps/shop");
    let one = api.get("/v1/keys/one");
    let safe = api.get("/v1/keys/one/safe-to-retire");
    let audit = api.get("/v1/audit");
    let in_file = api.send("DELETE", "/v1/apps/mobile", any, None);
    let deleted = api.send("DELETE", "/v1/apps/shop", any, None);
    for (status, answer) in [
        (201, &app),
        (200, &changed),
        (201, &key),
        (201, &rotated),
        (200, &deleted),
    ] {
        assert_eq!(answer.status, status, "{}", answer.text());
    }
    validate(
        &document,
        &[
            ("POST", "/v1/apps", &app),
            ("POST", "/v1/apps", &twice),
            ("PATCH", "/v1/apps/{app}", &changed),
            ("PATCH", "/v1/apps/{app}", &missing),
            ("PATCH", "/v1/apps/{app}", &stale),
            ("POST", "/v1/keys", &key),
            ("POST", "/v1/keys", &dry),
            ("POST", "/v1/keys/{key}/rotate", &rotated),
            ("POST", "/v1/keys/{key}/rotate", &draining),
            ("PATCH", "/v1/keys/{key}", &patched),
            ("POST", "/v1/keys/{key}/retire", &retired),
            ("POST", "/v1/keys/{key}/revoke", &revoked),
            ("POST", "/v1/enrolments", &code),
            ("GET", "/v1/enrolments", &codes),
            ("DELETE", "/v1/enrolments/{enrolment}", &withdrawn),
            ("GET", "/v1/apps", &apps),
            ("GET", "/v1/keys", &keys),
            ("GET", "/v1/apps/{app}", &shown),
            ("GET", "/v1/keys/{key}", &one),
            ("GET", "/v1/keys/{key}/safe-to-retire", &safe),
            ("GET", "/v1/audit", &audit),
            ("DELETE", "/v1/apps/{app}", &in_file),
            ("DELETE", "/v1/apps/{app}", &deleted),
        ],
    );
}

#[test]
fn one_build_is_turned_off_alone_and_the_last_of_the_list_stays() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    let api = operator(&gateway);
    let tokens = json!({ "evidence": ["instance-key"], "builds": ["1.4.1"] });
    api.make("/v1/apps", &json!({ "name": "shop", "tokens": tokens }));
    api.make("/v1/apps", &json!({ "name": "plain" }));
    let build = |method: &str, app: &str, build: &str, tag: &str| {
        let target = format!("/v1/apps/{app}/builds/{build}");
        api.send(method, &target, Some(tag), None)
    };
    let builds = |answer: &Response| {
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["after"]["tokens"]["builds"].clone()
    };
    let taken = build("PUT", "shop", "1.4.2", "*");
    assert_eq!(builds(&taken), json!(["1.4.1", "1.4.2"]));
    let again = build("PUT", "shop", "1.4.2", "*");
    assert_eq!(again.field("etag"), taken.field("etag"));
    build("DELETE", "shop", "1.4.1", "\"0\"").assert_refused(412, "stale");
    let refused = build("DELETE", "shop", "1.4.1", "*");
    assert_eq!(builds(&refused), json!(["1.4.2"]));
    build("DELETE", "shop", "1.4.2", "*").assert_refused(409, "wrong-state");
    let twice = json!({ "evidence": ["instance-key"], "builds": ["1.4.2", "1.4.2"] });
    api.make("/v1/apps", &json!({ "name": "twice", "tokens": twice }));
    build("DELETE", "twice", "1.4.2", "*").assert_refused(409, "wrong-state");
    build("PUT", "shop", "a%22b", "*").assert_refused(422, "invalid");
    build("PUT", "plain", "1", "*").assert_refused(409, "wrong-state");
    build("PUT", "mobile", "1", "*").assert_refused(409, "configured-in-file");
    assert_eq!(
        names(&api.get("/v1/audit?what=app.take-build"), "target"),
        ["app/shop"]
    );
    let document = ask(gateway.admin(), READ, "GET", "/v1/openapi.json").json();
    let path = "/v1/apps/{app}/builds/{build}";
    validate(
        &document,
        &[("PUT", path, &taken), ("DELETE", path, &refused)],
    );
}

#[test]
fn a_pair_of_the_gateways_own_shows_its_public_half_alone() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    let api = operator(&gateway);
    api.make("/v1/apps", &json!({ "name": "shop" }));
    for algorithm in ["ed25519", "ecdsa-p256-sha256", "ecdsa-p384-sha384"] {
        let body =
            json!({ "app": "shop", "id": algorithm, "kind": "pair", "algorithm": algorithm });
        let made = api.make("/v1/keys", &body);
        assert!(made.get("secret").is_none());
        assert_eq!(made["after"]["attests"], true);
        assert_eq!(made["after"]["schemes"], json!(["token"]));
        let public: Value =
            serde_json::from_str(made["after"]["public_key"].as_str().unwrap()).unwrap();
        assert!(public["x"].is_string() && public.get("d").is_none());
        let target = format!("/v1/keys/{algorithm}/rotate");
        let rotated = api.send("POST", &target, Some("*"), None).json();
        assert_eq!(rotated["made"]["kind"], "pair");
        assert_ne!(rotated["made"]["public_key"], made["after"]["public_key"]);
        assert_eq!(rotated["made"]["attests"], true);
    }
    let rsa = json!({ "app": "shop", "kind": "pair", "algorithm": "rsa-pss-sha512" });
    api.post("/v1/keys", &rsa).assert_refused(422, "invalid");
}

#[test]
fn a_key_that_was_ended_at_once_stays_retired_when_the_clock_is_set_back() {
    let upstream = Upstream::start();
    let gateway = setup(&upstream)
        .route("accept = [\"http-signature\", \"api-key\"]")
        .start();
    let api = operator(&gateway);
    let tokens = json!({ "evidence": ["instance-key"] });
    api.make("/v1/apps", &json!({ "name": "shop", "tokens": tokens }));
    let make = |id: &str, kind: &str| {
        let made = api.make(
            "/v1/keys",
            &json!({ "app": "shop", "id": id, "kind": kind }),
        );
        made["secret"].as_str().unwrap_or_default().to_owned()
    };
    let ids = ["revoked", "retired", "panicked"];
    let secrets = ids.map(|id| make(id, "secret"));
    let fixed = make("fixed", "static");
    make("signs", "pair");
    let sign = |id: &str, secret: &str, at: i64| {
        let caller = caller().key_id(id).secret(secret.as_bytes()).at(at);
        gateway.send(&caller.sign(&gateway.request("GET", "/orders")))
    };
    let show = || gateway.send(&gateway.request("GET", "/orders").field("X-Api-Key", &fixed));
    let published = || {
        let keys = gateway.request("GET", "/.portcullis/jwks.json");
        gateway.send(&keys).json()["keys"].as_array().unwrap().len()
    };
    for (id, secret) in ids.iter().zip(&secrets) {
        sign(id, secret, T0).assert_passed();
    }
    show().assert_passed();
    assert_eq!(published(), 1);

    gateway.advance(1_000);
    let end = |id: &str, how: &str, body: Option<&Value>| {
        api.send("POST", &format!("/v1/keys/{id}/{how}"), Some("*"), body)
    };
    let panic = json!({ "id": "next", "panic": true });
    for (id, how, body) in [
        ("revoked", "revoke", None),
        ("retired", "retire", None),
        ("panicked", "rotate", Some(&panic)),
        ("fixed", "revoke", None),
        ("signs", "revoke", None),
    ] {
        let ended = end(id, how, body);
        assert!(ended.status / 100 == 2, "{}", ended.text());
        let after = ended.json()["after"].clone();
        assert_eq!(after["state"], "retired", "{id}");
        assert_eq!(after["retired_from"], "2027-01-15T08:16:40Z", "{id}");
    }

    gateway.hand().set(T0 as u64 + 900);
    // It is no matter of the time that a caller says.
    let known = caller().at(T0 + 900);
    gateway
        .send(&known.sign(&gateway.request("GET", "/orders")))
        .assert_passed();
    for (id, secret) in ids.iter().zip(&secrets) {
        sign(id, secret, T0 + 900).assert_refused(401, "credential-rejected");
    }
    show().assert_refused(401, "credential-rejected");
    assert_eq!(published(), 0);
    let since = json!({ "active_from": "2027-01-15T08:00:00Z" });
    let later = json!({ "at": "2099-01-01" });
    for id in ["revoked", "retired", "panicked", "fixed", "signs"] {
        let target = format!("/v1/keys/{id}");
        assert_eq!(api.get(&target).json()["state"], "retired", "{id}");
        let safe = api.get(&format!("{target}/safe-to-retire")).json();
        assert_eq!(safe["why"], "it is retired already", "{id}");
        for refused in [
            api.send("PATCH", &target, Some("*"), Some(&since)),
            end(id, "retire", Some(&later)),
            end(id, "revoke", None),
            end(id, "rotate", None),
        ] {
            refused.assert_refused(409, "wrong-state");
        }
        let gone = api.send("DELETE", &target, Some("*"), None);
        assert_eq!(gone.status, 200, "{}", gone.text());
    }
}

#[test]
fn a_key_that_attests_is_of_an_algorithm_of_tokens_and_proves_them_alone() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    let api = operator(&gateway);
    api.make("/v1/apps", &json!({ "name": "shop" }));
    let refuse = |method: &str, target: &str, body: &Value, wanted: &[&str]| {
        // What is made anew has no tag yet.
        let tag = (target != "/v1/keys").then_some("*");
        let refused = api.send(method, target, tag, Some(body));
        refused.assert_refused(422, "invalid");
        let told = refused.json();
        let errors = told["errors"].as_array().unwrap().iter();
        let places: Vec<&str> = errors.map(|one| one["at"].as_str().unwrap()).collect();
        assert_eq!(places, wanted, "{told}");
    };
    let rsa = include_str!("vectors/rfc9421/keys/test-key-rsa-pss.pub.pem");
    for (body, at) in [
        (
            json!({ "algorithm": "hmac-sha512", "schemes": ["token"] }),
            &["/algorithm"][..],
        ),
        (json!({ "algorithm": "hmac-sha512" }), &["/algorithm"]),
        (
            json!({ "algorithm": "rsa-pss-sha512", "public_key": rsa }),
            &["/algorithm"],
        ),
        (json!({ "schemes": ["http-signature"] }), &["/schemes"]),
        (
            json!({ "schemes": ["token", "http-signature"] }),
            &["/schemes"],
        ),
        (
            json!({ "kind": "pair", "schemes": ["http-signature"] }),
            &["/schemes"],
        ),
        (
            json!({ "algorithm": "hmac-sha512", "schemes": ["hmac-auth"] }),
            &["/algorithm", "/schemes"],
        ),
    ] {
        let mut body = body;
        body["app"] = "shop".into();
        body["attests"] = true.into();
        refuse("POST", "/v1/keys", &body, at);
    }

    // Where they are not said, its schemes are what is in force.
    let make = |body: Value| api.make("/v1/keys", &body)["after"]["schemes"].clone();
    let body = json!({ "app": "shop", "id": "signs", "attests": true });
    assert_eq!(make(body), json!(["token"]));
    let rotate = json!({ "id": "next", "algorithm": "hmac-sha512" });
    refuse("POST", "/v1/keys/signs/rotate", &rotate, &["/algorithm"]);
    let change = json!({ "schemes": ["http-signature"] });
    refuse("PATCH", "/v1/keys/signs", &change, &["/schemes"]);
    let attests = json!({ "attests": true });
    for (body, at) in [
        (
            json!({ "app": "shop", "id": "sha512", "algorithm": "hmac-sha512" }),
            "/attests",
        ),
        (
            json!({ "app": "shop", "id": "requests", "schemes": ["http-signature"] }),
            "/schemes",
        ),
    ] {
        make(body.clone());
        let target = format!("/v1/keys/{}", body["id"].as_str().unwrap());
        refuse("PATCH", &target, &attests, &[at]);
    }
    let both = json!({ "attests": true, "schemes": ["token"] });
    let changed = api.send("PATCH", "/v1/keys/requests", Some("*"), Some(&both));
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert_eq!(changed.json()["after"]["schemes"], json!(["token"]));
    let unsaid = json!({ "schemes": null });
    let changed = api.send("PATCH", "/v1/keys/requests", Some("*"), Some(&unsaid));
    assert_eq!(changed.json()["after"]["schemes"], json!(["token"]));
}

#[test]
fn what_is_made_and_ended_is_in_force_when_the_answer_is_there() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    let api = operator(&gateway);
    let get = gateway.request("GET", "/");
    let status = |id: &str, secret: &str| {
        let caller = caller().key_id(id).secret(secret.as_bytes());
        gateway
            .send(&caller.at(crate::harness::now()).sign(&get))
            .status
    };
    let secret = |answer: &Value| answer["secret"].as_str().unwrap().to_owned();
    api.make("/v1/apps", &json!({ "name": "shop", "plan": "standard" }));
    let one = secret(&api.make("/v1/keys", &json!({ "app": "shop", "id": "one" })));
    assert_eq!(status("one", &one), 200);
    assert_eq!(status("one", &format!("{one}x")), 401);
    let rotate = |id: &str, body: Value| {
        let answer = api.send(
            "POST",
            &format!("/v1/keys/{id}/rotate"),
            Some("*"),
            Some(&body),
        );
        assert_eq!(answer.status, 201, "{}", answer.text());
        secret(&answer.json())
    };
    let two = rotate("one", json!({ "id": "two" }));
    assert_eq!((status("one", &one), status("two", &two)), (200, 200));
    let three = rotate("two", json!({ "id": "three", "panic": true }));
    assert_eq!((status("two", &two), status("three", &three)), (401, 200));
    let enable = |enabled: bool| {
        let body = json!({ "enabled": enabled });
        api.send("PATCH", "/v1/apps/shop", Some("*"), Some(&body))
    };
    enable(false);
    assert_eq!(status("three", &three), 403);
    enable(true);
    assert_eq!(status("three", &three), 200);
    api.send("POST", "/v1/keys/three/revoke", Some("*"), None);
    assert_eq!(status("three", &three), 401);
    assert_eq!(status("one", &one), 200);
    api.send("DELETE", "/v1/apps/shop", Some("*"), None);
    assert_eq!(status("one", &one), 401);
}
