//! Pages of other origins: what their browsers are told.

use crate::harness::key_service::{phone, post};
use crate::harness::{Gateway, Request, Response, Setup, Upstream, caller, h2};
use serde_json::{Value, json};

const APP: &str = "https://app.example";

/// A route with `cors` for one origin and a pattern, and one without.
fn gateway(upstream: &Upstream, more: &str) -> Gateway {
    Setup::before(upstream)
        .routes(&format!(
            "[[routes]]\nname = \"orders\"\npath = \"/orders/**\"\nmethods = [\"GET\", \"POST\"]\nupstream = \"backend\"\n\
             accept = [\"http-signature\", \"token\"]\n\
             cors = {{ origins = [\"{APP}\", \"https://*.pages.example\"]{more} }}\n\
             [[routes]]\nname = \"rest\"\npath = \"/**\"\nupstream = \"backend\"\naccept = [\"http-signature\"]\n"
        ))
        .start()
}

fn preflight(gateway: &Gateway, target: &str, origin: &str, method: &str) -> Request {
    gateway
        .request("OPTIONS", target)
        .field("Origin", origin)
        .field("Access-Control-Request-Method", method)
        .field("Access-Control-Request-Headers", "content-type,signature")
}

/// The fields that browsers look at, by their ends.
fn told(response: &Response) -> Vec<(String, String)> {
    let fields = response.fields.iter();
    let mut told: Vec<_> = fields
        .filter_map(|(name, value)| {
            let name = name.to_ascii_lowercase();
            let end = name.strip_prefix("access-control-")?.to_owned();
            Some((end, value.clone()))
        })
        .collect();
    told.sort();
    told
}

fn pairs(told: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = told.iter();
    owned
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn varies(response: &Response) -> bool {
    response
        .values("vary")
        .iter()
        .flat_map(|value| value.split(','))
        .any(|name| name.trim().eq_ignore_ascii_case("origin"))
}

#[test]
fn a_preflight_is_answered_here_and_needs_no_proof() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream, ", max_age = \"1h\"");
    let headers = "authorization, content-type, content-digest, signature, signature-input, portcullis-token, dpop";
    for origin in [APP, "https://a.pages.example", "https://a.b.pages.example"] {
        let response = gateway.send(&preflight(&gateway, "/orders/7", origin, "POST"));
        assert_eq!((response.status, response.text()), (204, String::new()));
        assert_eq!(
            told(&response),
            pairs(&[
                ("allow-headers", headers),
                ("allow-methods", "POST"),
                ("allow-origin", origin),
                ("max-age", "3600"),
            ])
        );
        assert!(varies(&response));
    }
    upstream.assert_silent();
    let record = gateway.record(0);
    assert_eq!(
        (&record["status"], &record["route"], &record["method"]),
        (&204.into(), &"orders".into(), &"OPTIONS".into())
    );
    assert_eq!(record["code"], Value::Null);
}

#[test]
fn a_page_of_another_origin_is_told_nothing() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream, "");
    for origin in [
        "https://evil.example",
        "https://app.example.evil.example",
        "http://app.example",
        "https://pages.example",
        "https://evil.example/.pages.example",
        "null",
    ] {
        let response = gateway.send(&preflight(&gateway, "/orders/7", origin, "GET"));
        assert_eq!(
            (response.status, told(&response)),
            (204, Vec::new()),
            "{origin}"
        );
        assert!(varies(&response));
        let asked = gateway.request("GET", "/orders/7").field("Origin", origin);
        let response = gateway.send(&caller().sign(&asked));
        response.assert_passed();
        assert_eq!(told(&response), Vec::new(), "{origin}");
        assert!(varies(&response));
    }
}

#[test]
fn a_route_is_found_by_the_method_that_is_asked_for() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream, ", methods = [\"GET\"]");
    let response = gateway.send(&preflight(&gateway, "/orders/7", APP, "GET"));
    assert_eq!(response.status, 204);
    assert!(told(&response).contains(&("allow-methods".into(), "GET".into())));
    // The route without `cors` takes it, and asks for a proof.
    for request in [
        preflight(&gateway, "/orders/7", APP, "DELETE"),
        preflight(&gateway, "/other", APP, "GET"),
        preflight(&gateway, "/orders/7", APP, "GET").without("origin"),
        preflight(&gateway, "/orders/7", APP, "GET").without("access-control-request-method"),
        preflight(&gateway, "/orders/7", APP, "no method"),
    ] {
        gateway
            .send(&request)
            .assert_refused(401, "credential-missing");
    }
    upstream.assert_silent();
    let plain = caller().sign(&gateway.request("OPTIONS", "/other"));
    gateway.send(&plain).assert_passed();
    assert_eq!(upstream.only().line(), "OPTIONS /other HTTP/1.1");
}

#[test]
fn what_the_upstream_says_to_browsers_is_replaced() {
    let upstream = Upstream::answering(|_, wire| {
        wire.answer(
            200,
            &[
                ("Access-Control-Allow-Origin", "*"),
                ("Access-Control-Allow-Credentials", "true"),
                ("Vary", "Accept"),
            ],
            b"hello",
        );
    });
    let gateway = gateway(
        &upstream,
        ", expose = [\"RateLimit\", \"ETag\"], credentials = true",
    );
    let asked = gateway.request("GET", "/orders/7").field("Origin", APP);
    let response = gateway.send(&caller().sign(&asked));
    response.assert_passed();
    assert_eq!(
        told(&response),
        pairs(&[
            ("allow-credentials", "true"),
            ("allow-origin", APP),
            ("expose-headers", "ratelimit, etag"),
        ])
    );
    assert_eq!(response.values("vary"), ["Accept", "Origin"]);
    let other = gateway.send(&caller().sign(&gateway.request("GET", "/other")));
    assert_eq!(other.field("access-control-allow-origin"), Some("*"));
    assert_eq!(other.field("vary"), Some("Accept"));
}

#[test]
fn a_page_can_read_why_it_was_refused() {
    let upstream = Upstream::answering(|_, wire| wire.close());
    let gateway = gateway(&upstream, "");
    let asked = gateway.request("GET", "/orders/7").field("Origin", APP);
    let unsigned = gateway.send(&asked);
    unsigned.assert_refused(401, "credential-missing");
    let broken = gateway.send(&caller().sign(&asked));
    broken.assert_refused(502, "upstream-invalid");
    for response in [unsigned, broken] {
        assert_eq!(told(&response), pairs(&[("allow-origin", APP)]));
        assert!(varies(&response));
    }
}

#[test]
fn a_page_can_read_that_there_was_no_room_for_it() {
    let (allow, upstream) = Upstream::held();
    let gateway = Setup::before(&upstream)
        .route(&format!("cors = {{ origins = [\"{APP}\"] }}"))
        .more("[overload]\nin_flight = 1\nqueue_timeout = \"50ms\"\n")
        .start();
    let asked = |path: &str| caller().sign(&gateway.request("GET", path).field("Origin", APP));
    let mut first = gateway.connect();
    first.send(&asked("/1").bytes());
    upstream.wait_for_head(0);
    let refused = gateway.send(&asked("/2"));
    refused.assert_refused(503, "overloaded");
    assert_eq!(told(&refused), pairs(&[("allow-origin", APP)]));
    allow.send(()).unwrap();
    first.response().assert_passed();
}

#[test]
fn every_origin_may_call_where_the_route_says_so() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream)
        .route("cors = { origins = [\"*\"], headers = [] }")
        .start();
    let response = gateway.send(&preflight(&gateway, "/x", "null", "PATCH"));
    assert_eq!(response.status, 204);
    assert_eq!(
        told(&response),
        pairs(&[
            ("allow-methods", "PATCH"),
            ("allow-origin", "*"),
            ("max-age", "600"),
        ])
    );
}

#[test]
fn preflights_count_at_the_limit_of_their_address() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream)
        .route("cors = { origins = [\"*\"] }")
        .peers("rate = { rate = \"1/h\", burst = 2 }")
        .start();
    let asked = preflight(&gateway, "/", APP, "GET");
    assert_eq!(gateway.send(&asked).status, 204);
    assert_eq!(gateway.send(&asked).status, 204);
    let refused = gateway.send(&asked);
    refused.assert_refused(429, "peer-limited");
    assert_eq!(told(&refused), pairs(&[("allow-origin", "*")]));
}

#[test]
fn a_page_can_read_that_its_address_has_to_wait() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream)
        .route(&format!(
            "cors = {{ origins = [\"{APP}\"], expose = [\"Retry-After\"] }}"
        ))
        .peers("failures = { rate = \"1/h\", burst = 2 }")
        .start();
    let asked = |origin: &str| gateway.request("GET", "/x").field("Origin", origin);
    for _ in 0..2 {
        let refused = gateway.send(&asked(APP));
        refused.assert_refused(401, "credential-missing");
    }
    for (origin, fields) in [
        (
            APP,
            pairs(&[("allow-origin", APP), ("expose-headers", "retry-after")]),
        ),
        ("https://evil.example", Vec::new()),
    ] {
        let refused = gateway.send(&asked(origin));
        refused.assert_refused(429, "peer-limited");
        assert!(refused.field("retry-after").is_some());
        assert_eq!(told(&refused), fields, "{origin}");
        assert!(varies(&refused));
    }
    // Were this refused, the browser would not send what is, and the page would read nothing.
    let before = gateway.send(&preflight(&gateway, "/x", APP, "GET"));
    assert_eq!(before.status, 204);
    upstream.assert_silent();
}

#[test]
fn pages_may_send_the_fields_that_their_route_takes_proofs_in() {
    let upstream = Upstream::start();
    for (route, fields) in [
        ("accept = [\"public\"]", ""),
        (
            "accept = [\"http-signature\"]",
            ", content-digest, signature, signature-input",
        ),
        (
            "accept = [\"token\"]\nbind = \"dpop\"\ntoken_headers = [\"authorization\", \"X-Token\"]",
            ", x-token, dpop",
        ),
        (
            "accept = [\"token+http-signature\"]",
            ", content-digest, signature, signature-input, portcullis-token, dpop",
        ),
        ("accept = [\"api-key\"]", ", x-api-key"),
        (
            "accept = [\"aws-sigv4\"]",
            ", x-amz-date, x-amz-content-sha256, x-amz-security-token",
        ),
        (
            "accept = [\"hmac-auth\"]\ndialect = \"kong\"",
            ", digest, content-digest, x-date",
        ),
        (
            "accept = [\"hmac-auth\"]\ndialect = \"cavage-12\"",
            ", digest, content-digest, signature",
        ),
    ] {
        let gateway = Setup::before(&upstream)
            .route(&format!("{route}\ncors = {{ origins = [\"*\"] }}"))
            .start();
        let response = gateway.send(&preflight(&gateway, "/x", APP, "POST"));
        assert_eq!(
            response.field("access-control-allow-headers"),
            Some(&*format!("authorization, content-type{fields}")),
            "{route}"
        );
    }
}

#[test]
fn a_route_on_which_any_page_may_switch_protocols_as_its_visitor_is_a_warning() {
    const TLS: &str = "server.tls = { certificate = \"file:c.pem\", key = \"file:k.pem\", client_ca = \"file:a.pem\" }\n";
    const BASIC: &str = "api_keys.headers = [\"Authorization: Basic\"]\n";
    const UPGRADE: &str = "upgrade = [\"websocket\"]\n";
    let cors = format!("{UPGRADE}cors = {{ origins = [\"{APP}\"] }}\n");
    for (top, accept, rest, is_warned) in [
        (
            TLS,
            "\"http-signature\", \"client-certificate\"",
            UPGRADE,
            true,
        ),
        (TLS, "\"client-certificate\"", &*cors, false),
        (TLS, "\"client-certificate\"", "", false),
        ("", "\"http-signature\"", UPGRADE, false),
        (BASIC, "\"api-key\"", UPGRADE, true),
        ("", "\"api-key\"", UPGRADE, false),
    ] {
        let text = format!(
            "{top}upstreams.u.servers = [\"echo:\"]\n[[routes]]\nname = \"r\"\npath = \"/\"\n\
             upstream = \"u\"\naccept = [{accept}]\n{rest}"
        );
        let loaded = portcullis::config::from_text(&text, "gateway.toml").unwrap();
        let mut warnings = loaded.warnings.iter();
        let told = warnings.any(|one| one.message.contains("whosever page asks"));
        assert_eq!(told, is_warned, "{text}");
    }
}

#[test]
fn pages_ask_the_key_service_where_it_says_so_and_nowhere_else() {
    let upstream = Upstream::start();
    let start = |cors: &str| {
        let setup = Setup::before(&upstream).tokens(&format!("rate = \"1/h\"\n{cors}"));
        setup.more(&phone("evidence = [\"dev\"]")).start()
    };
    let some = format!("cors = {{ origins = [\"{APP}\"], max_age = \"1h\" }}");
    let gateway = start(&some);
    let challenge = "/.portcullis/challenge";
    let granted = gateway.send(&preflight(&gateway, challenge, APP, "POST"));
    assert_eq!((granted.status, granted.text()), (204, String::new()));
    assert_eq!(
        told(&granted),
        pairs(&[
            ("allow-headers", "content-type"),
            ("allow-methods", "POST"),
            ("allow-origin", APP),
            ("max-age", "3600"),
        ])
    );
    // Refusals can be read as well: of its rate, of its path and method, and before that.
    let ours = pairs(&[("allow-origin", APP), ("expose-headers", "retry-after")]);
    let body = json!({ "app": "phone" });
    let from = |gateway: &Gateway, origin: &str| {
        let asked = post("challenge", &body).to(gateway.address());
        gateway.send(&asked.field("Origin", origin))
    };
    let get = |path: &str| gateway.request("GET", path).field("Origin", APP);
    let answers = [
        (from(&gateway, APP), 200),
        (from(&gateway, APP), 429),
        (gateway.send(&get(challenge)), 405),
        (gateway.send(&get("/.portcullis/x")), 404),
    ];
    for (answer, status) in answers {
        assert_eq!(answer.status, status, "{}", answer.text());
        assert_eq!(told(&answer), ours);
        assert!(varies(&answer));
    }
    let foreign = from(&gateway, "https://evil.example");
    assert!(varies(&foreign) && told(&foreign).is_empty());
    let foreign = preflight(&gateway, challenge, "https://evil.example", "POST");
    let foreign = gateway.send(&foreign);
    assert_eq!((foreign.status, told(&foreign)), (204, Vec::new()));
    let wrong = gateway.send(&preflight(&gateway, challenge, APP, "GET"));
    assert_eq!((wrong.status, told(&wrong)), (405, ours));

    let gateway = start("");
    let preflight = gateway.send(&preflight(&gateway, challenge, APP, "POST"));
    for (answer, status) in [(preflight, 405), (from(&gateway, APP), 200)] {
        assert_eq!(answer.status, status);
        assert!(told(&answer).is_empty() && !varies(&answer));
    }
}

#[test]
fn a_page_can_read_that_its_address_has_to_wait_to_ask_the_key_service() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream)
        .tokens("cors = { origins = [\"*\"] }")
        .more(&phone("evidence = [\"dev\"]"))
        .peers("rate = { rate = \"1/h\", burst = 1 }")
        .start();
    let asked = post("challenge", &json!({ "app": "phone" })).to(gateway.address());
    let asked = asked.field("Origin", APP);
    assert_eq!(gateway.send(&asked).status, 200);
    let refused = gateway.send(&asked);
    refused.assert_refused(429, "peer-limited");
    let ours = pairs(&[("allow-origin", "*"), ("expose-headers", "retry-after")]);
    assert_eq!(told(&refused), ours);
}

#[test]
fn a_preflight_is_answered_over_http_2_too() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream, "");
    let answer = h2::send(
        &preflight(&gateway, "/orders/7", APP, "GET"),
        gateway.address(),
    );
    assert_eq!(answer.status, 204);
    upstream.assert_silent();
}
