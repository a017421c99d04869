//! Callers of `hmac-auth` in other languages, as they stand in `examples/clients`: by hand as the documentation of
//! Kong and of Apache APISIX says, and by the libraries for draft-cavage.

use crate::harness::pair::Pair;
use crate::harness::{Binary, Gateway, Request, Setup, Upstream};
use crate::interop::{assert_refused, clients, request, run};
use serde_json::Value;

/// A caller: its file, its dialect, and the field that holds its proof.
#[derive(Clone, Copy, Debug)]
struct Client {
    file: &'static str,
    dialect: &'static str,
    field: &'static str,
}

const KONG: Client = Client {
    file: "python/kong_hmac_client.py",
    dialect: "kong",
    field: "Authorization",
};
const APISIX: Client = Client {
    file: "python/apisix_hmac_client.py",
    dialect: "apisix",
    field: "Authorization",
};
const NODE_HTTP_SIGNATURE: Client = Client {
    file: "node/http-signature-client.mjs",
    dialect: "cavage-12",
    field: "Authorization",
};
const NODE_CAVAGE: Client = Client {
    file: "node/http-message-signatures-cavage-client.mjs",
    dialect: "cavage-12",
    field: "Signature",
};

impl Client {
    fn start(self) -> (Upstream, Gateway) {
        let upstream = Upstream::start();
        let route = format!("accept = [\"hmac-auth\"]\ndialect = \"{}\"", self.dialect);
        let setup = Setup::before(&upstream).route(&route);
        (upstream, Gateway::start_now(setup))
    }

    /// Runs it; its last line is JSON.
    fn run(self, gateway: &Gateway, target: &str, more: &[&str]) -> Value {
        run(
            self.file,
            gateway,
            target,
            ("mobile-2026", "mobile.key"),
            more,
        )
    }

    /// What it signs, to be sent by the test, changed or not.
    fn sign(self, gateway: &Gateway, target: &str, more: &[&str]) -> Request {
        let printed = self.run(gateway, target, &[&["--print"], more].concat());
        request(gateway, target, &printed)
    }
}

fn accepted_as_it_comes(client: Client) {
    let (upstream, gateway) = client.start();
    for (number, (target, more)) in [
        ("/orders/7", &[][..]),
        ("/orders/7?b=2&a=1&a=2", &[]),
        ("/orders?q=a%20b", &["--method", "DELETE"]),
        ("/orders", &["--method", "POST", "--body", "{\"count\": 1}"]),
        (
            "/orders?x=1",
            &["--method", "PUT", "--body", "{\"count\": 2}"],
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let answer = client.run(&gateway, target, more);
        assert_eq!(
            answer["status"], 200,
            "{client:?} {target} {more:?}: {answer}"
        );
        assert_eq!(answer["body"], "hello");
        let got = upstream.got(number);
        assert_eq!(got.target(), target);
        assert_eq!(got.field("portcullis-key"), Some("mobile-2026"));
        assert_eq!(got.field("portcullis-scheme"), Some("hmac-auth"));
        assert_eq!(got.field("authorization"), None);
    }
}

fn each_change_is_refused(client: Client) {
    let (upstream, gateway) = client.start();
    let target = "/orders/7?item=1";
    let post = ["--method", "POST", "--body", "{\"count\": 1}"];
    let signed = client.sign(&gateway, target, &post);
    let refused = |what: &str, request: &Request, codes: &[&str]| {
        assert_refused(client, what, &gateway.send(request), codes);
    };
    let changed = |what: &str, change: &dyn Fn(Request) -> Request, codes: &[&str]| {
        refused(what, &change(signed.clone()), codes);
    };
    let rejected = &["credential-rejected"][..];
    for (what, request) in signed.elsewhere() {
        // Kong's and APISIX's callers need not cover it.
        if what != "authority" || client.dialect == "cavage-12" {
            refused(what, &request, rejected);
        }
    }
    changed(
        "digest and body",
        &|r| {
            let digest = "SHA-256=RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=";
            r.change("Digest", |_| digest.into()).body("{}")
        },
        rejected,
    );
    changed(
        "lost digest",
        &|r| r.without("Digest"),
        &["coverage-missing", "malformed-credential"],
    );
    changed(
        "two digests",
        &|r| {
            let digest = r.value("Digest").unwrap();
            r.field("Digest", &digest)
        },
        &["malformed-credential"],
    );
    changed(
        "added authorization",
        &|r| r.field("Authorization", "Basic x"),
        &["malformed-request", "coverage-missing"],
    );
    changed(
        "signature",
        &|r| {
            r.change(client.field, |v| {
                v.replace("signature=\"", "signature=\"AAAA")
            })
        },
        rejected,
    );
    changed(
        "list",
        &|r| r.change(client.field, |v| v.replace(" digest", "")),
        &["coverage-missing"],
    );
    changed(
        "no proof",
        &|r| r.without(client.field),
        &["credential-missing"],
    );

    let now = Binary::now();
    for (what, created) in [("stale", now - 3600), ("future", now + 3600)] {
        let created = created.to_string();
        let request = client.sign(&gateway, target, &["--created", &created]);
        refused(what, &request, &["clock-skew", "credential-expired"]);
    }
    let unknown = client.sign(&gateway, target, &["--key-id", "mobile-2099"]);
    refused("unknown key", &unknown, rejected);
    let wrong = gateway.setup().write_secret("wrong.key", &[b'x'; 32]);
    let wrong = client.sign(
        &gateway,
        target,
        &["--secret-file", wrong.to_str().unwrap()],
    );
    refused("wrong secret", &wrong, rejected);
    let body = client.sign(&gateway, target, &[]).body("{}");
    refused("added body", &body, &["coverage-missing"]);
    upstream.assert_silent();

    let once = client.sign(&gateway, "/once", &post);
    gateway.send(&once).assert_passed();
    refused("replayed", &once, &["replayed"]);
    assert_eq!(upstream.heard().len(), 1);
    // It uses the request up, so it comes last.
    changed("body", &|r| r.body("{\"count\": 2}"), &["digest-mismatch"]);
    assert_eq!(upstream.heard().len(), 1);
}

clients! {
    KONG: callers_of_kong_are_accepted_as_they_come, each_change_to_a_request_of_kongs_is_refused;
    APISIX: callers_of_apisix_are_accepted_as_they_come, each_change_to_a_request_of_apisixs_is_refused;
    NODE_HTTP_SIGNATURE: node_http_signature_is_accepted_as_it_comes, each_change_to_node_http_signature_is_refused;
    NODE_CAVAGE: node_http_message_signatures_cavage_is_accepted_as_it_comes, each_change_to_node_cavage_is_refused;
}

#[test]
fn kongs_caller_keeps_an_authorization_of_its_own() {
    let (upstream, gateway) = KONG.start();
    let answer = KONG.run(
        &gateway,
        "/orders",
        &["--authorization", "Bearer of-the-user"],
    );
    assert_eq!(answer["status"], 200, "{answer}");
    let got = upstream.only();
    assert_eq!(got.field("authorization"), Some("Bearer of-the-user"));
}

#[test]
fn the_default_of_node_http_signature_is_refused_and_told_why() {
    let (upstream, gateway) = NODE_HTTP_SIGNATURE.start();
    let signed = NODE_HTTP_SIGNATURE.sign(&gateway, "/orders", &["--library-default"]);
    assert!(!signed.value("Authorization").unwrap().contains("headers="));
    let response = gateway.send(&signed);
    response.assert_refused(401, "coverage-missing");
    for name in ["(request-target)", "host", "date"] {
        assert!(response.detail().contains(name), "{}", response.text());
    }
    upstream.assert_silent();
}

#[test]
fn both_libraries_for_draft_cavage_pass_with_key_pairs_under_their_own_names() {
    const ALGORITHMS: [&str; 2] = ["rsa-v1_5-sha256", "ed25519"];
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream).route("accept = [\"hmac-auth\"]\ndialect = \"cavage-12\"");
    let keys = ALGORITHMS.map(|name| {
        setup.write_secret(name, Pair::of(name).public_pem().as_bytes());
        format!("{{ id = \"{name}\", algorithm = \"{name}\", public_key = \"file:{name}\" }}")
    });
    let app = format!("[apps.partner]\nkeys = [{}]\n", keys.join(", "));
    let gateway = Gateway::start_now(setup.more(&app));
    for client in [NODE_HTTP_SIGNATURE, NODE_CAVAGE] {
        for name in ALGORITHMS {
            let pair = Pair::of(name);
            let own = |key_id| {
                let private = pair.private().to_str().unwrap();
                [
                    "--key-id",
                    key_id,
                    "--algorithm",
                    name,
                    "--secret-file",
                    private,
                ]
            };
            let answer = client.run(&gateway, "/orders/7?a=1", &own(name));
            assert_eq!(answer["status"], 200, "{client:?} {name}: {answer}");
            let signed = client.sign(&gateway, "/orders/7?item=1", &own(name));
            for (what, changed) in signed.elsewhere() {
                let response = gateway.send(&changed);
                assert_refused(client, what, &response, &["credential-rejected"]);
            }
            // Under the name of another key.
            let [other] = ALGORITHMS
                .into_iter()
                .filter(|one| *one != name)
                .collect::<Vec<_>>()[..]
            else {
                panic!("there are two");
            };
            let foreign = client.sign(&gateway, "/orders/7", &own(other));
            let response = gateway.send(&foreign);
            assert_refused(client, "another key", &response, &["credential-rejected"]);
        }
    }
}
