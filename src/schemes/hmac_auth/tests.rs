//! Recorded requests of each dialect, the draft's appendix C, what must be
//! refused, and the property that makes a signature one.

use super::Rules;
use super::read::{MAX_COVERED, MAX_FIELD, Presented};
use super::sign::{CannotSign, Parameters, sign};
use super::text;
use super::verify::verify;
use crate::apps::{App, Key, Registry, Scheme};
use crate::clock::{Clock, Now};
use crate::crypto::{Algorithm, HmacKey};
use crate::route::{Dialect, Part, Route, Waiver};
use crate::schemes::digest::BodyProof;
use crate::schemes::freshness::Freshness;
use crate::schemes::received::{PublicUrl, Received, Surroundings};
use crate::schemes::{self, Assurance, Caller, Refused, Why, tests};
use crate::secret::Secret;
use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderValue, Method, Uri};
use proptest::prelude::*;
use serde_json::Value;
use sha2::Sha256;
use std::fmt::Write as _;
use std::sync::Arc;

const NOW: i64 = 1_800_000_000;
const DATE: &str = "Fri, 15 Jan 2027 08:00:00 GMT";
const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
const SECRET_512: &[u8] = b"fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210";

/// What is changed, and how.
type Change = (&'static str, fn(&mut Message));

/// A request in owned parts.
#[derive(Clone)]
struct Message {
    method: Method,
    uri: Uri,
    fields: HeaderMap,
    has_body: bool,
    http2: bool,
    public_url: Option<PublicUrl>,
}

impl Message {
    fn new(method: &str, target: &str, fields: &[(&str, &str)]) -> Self {
        Self {
            method: method.parse().unwrap(),
            uri: target.parse().unwrap(),
            fields: tests::fields(fields),
            has_body: false,
            http2: false,
            public_url: None,
        }
    }

    /// A request with all that a dialect may want covered.
    fn whole() -> Self {
        let mut message = Self::new(
            "POST",
            "/orders/7?item=1&item=2",
            &[
                ("Host", "api.example.com"),
                ("Date", DATE),
                (
                    "Digest",
                    "SHA-256=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
                ),
                ("X-Custom", "a, b"),
            ],
        );
        message.has_body = true;
        message
    }

    /// A recorded one.
    fn recorded(request: &Value) -> Self {
        let mut fields = vec![("Host", request["authority"].as_str().unwrap())];
        for field in request["fields"].as_array().unwrap() {
            fields.push((field[0].as_str().unwrap(), field[1].as_str().unwrap()));
        }
        let text = |name: &str| request[name].as_str().unwrap();
        let mut message = Self::new(text("method"), text("target"), &fields);
        message.has_body = request["body"].is_string();
        message
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.fields
            .insert(name, HeaderValue::from_str(value).unwrap());
        self
    }

    fn received(&self) -> Received<'_> {
        let around = Surroundings {
            tls: true,
            http2: self.http2,
            has_body: self.has_body,
            public_url: self.public_url.as_ref(),
        };
        Received::read(&self.method, &self.uri, &self.fields, around).unwrap()
    }

    fn signed(self, dialect: Dialect, covered: &str) -> Self {
        let created = (dialect == Dialect::Cavage12).then_some(NOW);
        let parameters = Parameters {
            dialect,
            key_id: "mobile-2026",
            covered,
            created,
        };
        let signed = sign(&self.received(), &parameters, &key().into()).unwrap();
        self.with("authorization", &signed.value)
    }

    /// `value` with the signature of `text` in place of `{}`.
    fn proven(self, value: &str, text: &str) -> Self {
        let signature = BASE64.encode(key().sign(text.as_bytes()).as_bytes());
        self.with("authorization", &value.replace("{}", &signature))
    }

    fn verified(&self, dialect: Dialect) -> Result<Caller, Refused> {
        self.verified_by(&route(dialect), &registry(|_, _| {}), false)
    }

    fn verified_by(
        &self,
        route: &Route,
        registry: &Registry,
        explain: bool,
    ) -> Result<Caller, Refused> {
        let received = self.received();
        let presented = Presented::read(&received, route)?.ok_or(Refused::Missing)?;
        verify(
            &presented,
            &received,
            route,
            rules(registry, explain),
            now(),
        )
    }
}

const fn rules(registry: &Registry, explain: bool) -> Rules<'_> {
    Rules {
        registry,
        freshness: Freshness::USUAL,
        explain,
    }
}

fn route(dialect: Dialect) -> Route {
    Route {
        dialect: Some(dialect),
        ..Route::any("test")
    }
}

fn now() -> Now {
    Clock::by_hand(NOW as u64).0.now()
}

fn key() -> HmacKey {
    HmacKey::new(Algorithm::HmacSha256, &Secret::new(SECRET.to_vec())).unwrap()
}

fn registry(change: impl Fn(&mut App, &mut Key)) -> Registry {
    let keys = [
        ("mobile-2026", Algorithm::HmacSha256, SECRET),
        ("mobile-512", Algorithm::HmacSha512, SECRET_512),
    ];
    let mut all = Vec::new();
    let app = || App::new("app");
    for (id, algorithm, secret) in keys {
        let mut owner = app();
        let mut key = Key::new(
            id,
            Arc::new(app()),
            HmacKey::new(algorithm, &Secret::new(secret.to_vec())).unwrap(),
        );
        change(&mut owner, &mut key);
        key.app = Arc::new(owner);
        all.push(key);
    }
    Registry::new(vec![Arc::new(app())], all, 1).unwrap()
}

fn dialect(name: &Value) -> Dialect {
    Dialect::ALL
        .into_iter()
        .find(|one| one.name() == name.as_str().unwrap())
        .unwrap()
}

fn malformed(result: Result<Caller, Refused>) -> String {
    match result {
        Err(Refused::Malformed(why)) => why,
        other => panic!("{other:?}"),
    }
}

/// A list that covers all that [`Message::whole`] has.
const fn whole_list(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Kong => "date host request-line digest x-custom",
        Dialect::Apisix => "@request-target date host digest x-custom",
        Dialect::Cavage12 => "(request-target) (created) host digest x-custom date",
    }
}

#[test]
fn recorded_requests_have_the_recorded_text_and_verdict() {
    let file = include_str!("../../../tests/it/vectors/hmac-auth/cases.json");
    let file: Value = serde_json::from_str(file).unwrap();
    assert_eq!(file["now"], NOW);
    let mut passed = 0;
    for case in file["cases"].as_array().unwrap() {
        let dialect = dialect(&case["dialect"]);
        let message = Message::recorded(&case["request"]);
        let received = message.received();
        if let Ok(Some(presented)) = Presented::read(&received, &route(dialect)) {
            let mut out = Vec::new();
            if text::write(&mut out, &received, &presented.input).is_ok() {
                assert_eq!(String::from_utf8(out).unwrap(), case["text"], "{case}");
            }
        }
        let verdict = match message.verified(dialect) {
            Ok(caller) => {
                assert_eq!(caller.scheme(), Some(Scheme::HmacAuth));
                assert_eq!(caller.assurance(), Assurance::Signed);
                let proves_body = matches!(caller.body(), BodyProof::Digests(_));
                assert_eq!(proves_body, message.has_body, "{case}");
                passed += 1;
                // What is wrong with a body shows when it arrives.
                if case["verdict"] == "digest-mismatch" {
                    continue;
                }
                "passes"
            }
            Err(Refused::Coverage(missing)) => {
                assert_eq!(serde_json::json!(missing), case["missing"], "{case}");
                "coverage-missing"
            }
            Err(Refused::Absent(_)) => "coverage-missing",
            Err(Refused::Malformed(_)) => "malformed-credential",
            Err(Refused::Rejected { .. }) => "credential-rejected",
            Err(Refused::Skew { .. }) => "clock-skew",
            Err(Refused::Expired { .. }) => "credential-expired",
            Err(other) => panic!("{case}: {other:?}"),
        };
        assert_eq!(case["verdict"], verdict, "{case}");
    }
    assert!(passed > 20, "{passed} passed");
}

/// What Kong's own documentation prints; its secret is too short for a key of ours.
#[test]
fn the_documented_example_of_kong_has_the_documented_signature() {
    let message = Message::new(
        "GET",
        "/requests",
        &[
            ("Host", "hmac.com"),
            ("Date", "Thu, 22 Jun 2017 17:15:21 GMT"),
            (
                "Authorization",
                "hmac username=\"alice123\", algorithm=\"hmac-sha256\", headers=\"date request-line\", signature=\"ujWCGHeec9Xd6UD2zlyxiNMCiXnDOWeVFMu5VeRUxtw=\"",
            ),
        ],
    );
    let received = message.received();
    let presented = Presented::read(&received, &route(Dialect::Kong))
        .unwrap()
        .unwrap();
    assert_eq!(presented.claimed_key(), "alice123");
    let mut out = Vec::new();
    text::write(&mut out, &received, &presented.input).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(b"secret").unwrap();
    mac.update(&out);
    assert_eq!(mac.finalize().into_bytes()[..], presented.signature[..]);
}

#[test]
fn appendix_c_has_the_printed_text_and_is_refused_as_it_is_printed() {
    let file = include_str!("../../../tests/it/vectors/draft-cavage-12/cases.json");
    let file: Value = serde_json::from_str(file).unwrap();
    let request = &file["request"];
    let route = route(Dialect::Cavage12);
    let mut written = 0;
    for case in file["cases"].as_array().unwrap() {
        let mut fields = Vec::new();
        for field in request["headers"].as_array().unwrap() {
            fields.push((field[0].as_str().unwrap(), field[1].as_str().unwrap()));
        }
        let target = request["target"].as_str().unwrap();
        let mut message = Message::new("POST", target, &fields);
        message.has_body = true;
        let of = |algorithm: &str, list: Option<&str>| {
            let mut value = format!(
                "Signature keyId=\"Test\",algorithm=\"{algorithm}\",signature=\"{}\"",
                case["signature"].as_str().unwrap()
            );
            for time in ["created", "expires"] {
                if let Some(at) = case["params"].get(time) {
                    let _ = write!(value, ",{time}={at}");
                }
            }
            if let Some(list) = list {
                let _ = write!(value, ",headers=\"{list}\"");
            }
            message.clone().with("authorization", &value)
        };
        let list = case["headers_param"].as_str();
        let printed = of(case["params"]["algorithm"].as_str().unwrap(), list);
        // C.3 has the draft's own times beside a name of older drafts; C.1 covers what those did.
        let told = printed.verified(Dialect::Cavage12).unwrap_err();
        match case["id"].as_str().unwrap() {
            "C.1" => assert!(matches!(told, Refused::Coverage(_)), "{told:?}"),
            "C.2" => assert_eq!(told, Refused::coverage(["digest"])),
            _ => assert!(matches!(told, Refused::Malformed(_)), "{told:?}"),
        }

        // The text is what the algorithm has no part in. C.1's default is that of an older draft.
        let message = of("hs2019", Some(list.unwrap_or("date")));
        let received = message.received();
        let presented = Presented::read(&received, &route).unwrap().unwrap();
        let mut out = Vec::new();
        text::write(&mut out, &received, &presented.input).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), case["signing_string"]);
        written += 1;
        // C.3 is right but for what was signed, and so it is not.
        let refused = message.verified(Dialect::Cavage12).unwrap_err();
        assert!(
            matches!(refused, Refused::Coverage(_) | Refused::Skew { .. }),
            "{refused:?}"
        );
    }
    assert_eq!(written, 3);
}

#[test]
fn what_we_sign_holds_in_every_dialect() {
    for dialect in Dialect::ALL {
        let message = Message::whole().signed(dialect, whole_list(dialect));
        let caller = message.verified(dialect).unwrap();
        assert_eq!(caller.key_id().map(|id| &**id), Some("mobile-2026"));
        let proof = caller.proof().unwrap();
        assert_eq!((proof.created, proof.last_second), (NOW, NOW + 300));
        assert_eq!(proof.nonce, None);
        let again = message.verified(dialect).unwrap();
        assert_eq!(again.proof().unwrap().text, proof.text);
    }
}

#[test]
fn a_signature_of_one_dialect_is_none_of_another() {
    for dialect in Dialect::ALL {
        let message = Message::whole().signed(dialect, whole_list(dialect));
        for other in Dialect::ALL.into_iter().filter(|other| *other != dialect) {
            assert!(message.verified(other).is_err(), "{dialect:?} {other:?}");
        }
        // And nothing at all where the route has no dialect.
        let received = message.received();
        assert!(
            Presented::read(&received, &Route::any("test"))
                .unwrap()
                .is_none()
        );
    }
}

#[test]
fn each_change_to_what_is_signed_is_refused() {
    for dialect in Dialect::ALL {
        let signed = Message::whole().signed(dialect, whole_list(dialect));
        signed.verified(dialect).unwrap();
        let all: [Change; 9] = [
            ("method", |m| m.method = Method::PUT),
            ("path", |m| {
                m.uri = "/orders/8?item=1&item=2".parse().unwrap();
            }),
            ("query", |m| {
                m.uri = "/orders/7?item=1&item=3".parse().unwrap();
            }),
            ("lost query", |m| m.uri = "/orders/7".parse().unwrap()),
            ("host", |m| {
                *m = m.clone().with("host", "other.example.com");
            }),
            ("date", |m| {
                *m = m.clone().with("date", "Fri, 15 Jan 2027 08:00:01 GMT");
            }),
            ("digest", |m| {
                *m = m.clone().with(
                    "digest",
                    "SHA-256=X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=",
                );
            }),
            ("field", |m| *m = m.clone().with("x-custom", "a,b")),
            ("lost field", |m| {
                m.fields.remove("x-custom");
            }),
        ];
        for (what, change) in all {
            let mut changed = signed.clone();
            change(&mut changed);
            let refused = changed.verified(dialect).unwrap_err();
            let as_it_should = matches!(
                refused,
                Refused::Rejected {
                    why: Why::WrongSignature,
                    ..
                } | Refused::Absent(_)
            );
            assert!(as_it_should, "{dialect:?} {what}: {refused:?}");
        }
    }
}

#[test]
fn an_unknown_key_looks_like_a_wrong_signature() {
    for dialect in Dialect::ALL {
        let signed = Message::whole().signed(dialect, whole_list(dialect));
        let value = signed.fields["authorization"].to_str().unwrap().to_owned();
        let unknown = value.replace("mobile-2026", "mobile-2099");
        let other = value.replace("mobile-2026", "mobile-512");
        for (value, why) in [(unknown, Why::UnknownKey), (other, Why::WrongSignature)] {
            assert_eq!(
                signed
                    .clone()
                    .with("authorization", &value)
                    .verified(dialect)
                    .unwrap_err(),
                Refused::Rejected {
                    why,
                    explained: None
                }
            );
        }
    }
}

#[test]
fn a_key_proves_what_it_may_while_it_may() {
    let signed = Message::whole().signed(Dialect::Kong, whole_list(Dialect::Kong));
    let told = |change: &dyn Fn(&mut App, &mut Key)| {
        let route = route(Dialect::Kong);
        signed
            .verified_by(&route, &registry(change), false)
            .unwrap_err()
    };
    let rejected = |why| Refused::Rejected {
        why,
        explained: None,
    };
    assert_eq!(
        told(&|_, key| key.schemes = [Scheme::Token].into_iter().collect()),
        rejected(Why::KeyNotForScheme)
    );
    assert_eq!(
        told(&|_, key| key.enabled = false),
        rejected(Why::KeyNotActive)
    );
    assert_eq!(
        told(&|_, key| key.not_after = Some(NOW)),
        rejected(Why::KeyNotActive)
    );
    assert_eq!(told(&|app, _| app.enabled = false), Refused::AppDisabled);
}

#[test]
fn the_algorithm_that_is_named_must_be_the_keys() {
    let value = "Signature keyId=\"mobile-2026\",algorithm=\"hmac-sha512\",headers=\"@request-target date\",signature=\"{}\"";
    let message = Message::new("GET", "/o", &[("Host", "a.example"), ("Date", DATE)]);
    let message = message.proven(value, &format!("mobile-2026\nGET /o\ndate: {DATE}\n"));
    assert_eq!(
        message.verified(Dialect::Apisix).unwrap_err(),
        Refused::Rejected {
            why: Why::WrongAlgorithm,
            explained: None
        }
    );
}

#[test]
fn the_names_of_key_pairs_are_those_of_one_algorithm_each_and_of_draft_cavage_alone() {
    let read = |dialect, name: &str| {
        let list = match dialect {
            Dialect::Cavage12 => "(request-target) host date",
            Dialect::Kong | Dialect::Apisix => "@request-target host date",
        };
        let word = super::read::word(dialect);
        let key_id = if dialect == Dialect::Kong {
            "username"
        } else {
            "keyId"
        };
        let value = format!(
            "{word} {key_id}=\"k\",algorithm=\"{name}\",headers=\"{list}\",signature=\"AAAA\""
        );
        let message = Message::new(
            "GET",
            "/o",
            &[("Host", "a.example"), ("Authorization", &value)],
        );
        let received = message.received();
        let presented = super::read::Presented::read(&received, &route(dialect));
        presented.map(|presented| presented.unwrap().algorithm)
    };
    for (name, algorithm) in [
        ("hs2019", None),
        ("rsa-sha256", Some(Algorithm::RsaV15Sha256)),
        ("ed25519", Some(Algorithm::Ed25519)),
        ("ed25519-sha512", Some(Algorithm::Ed25519)),
    ] {
        assert_eq!(read(Dialect::Cavage12, name), Ok(algorithm), "{name}");
        for dialect in [Dialect::Kong, Dialect::Apisix] {
            assert!(read(dialect, name).is_err(), "{name}");
        }
    }
    for name in [
        "rsa-sha1",
        "rsa-sha512",
        "ecdsa-sha256",
        "RSA-SHA256",
        "none",
    ] {
        assert!(read(Dialect::Cavage12, name).is_err(), "{name}");
    }
}

#[test]
fn a_route_waives_by_name_but_never_the_time() {
    let mut route = route(Dialect::Apisix);
    let waive = |part| Waiver {
        part,
        until: NOW + 1,
        reason: "callers written after the documentation".into(),
    };
    route.waivers = vec![waive(Part::Body)];
    let told =
        |message: &Message, route: &Route| message.verified_by(route, &registry(|_, _| {}), false);
    let message = Message::whole().signed(Dialect::Apisix, "@request-target date");
    assert_eq!(told(&message, &route).unwrap().body(), &BodyProof::Unproven);
    // What is covered all the same is checked.
    let message = Message::whole().signed(Dialect::Apisix, "@request-target date digest");
    let caller = told(&message, &route).unwrap();
    assert!(matches!(caller.body(), BodyProof::Digests(_)));
    route.waivers = Part::ALL.into_iter().map(waive).collect();
    let message = Message::whole().signed(Dialect::Apisix, "x-custom");
    assert_eq!(
        told(&message, &route).unwrap_err(),
        Refused::coverage(["date"])
    );
    for waiver in &mut route.waivers {
        waiver.until = NOW;
    }
    assert_eq!(
        told(&message, &route).unwrap_err(),
        Refused::coverage(["date", "@request-target", "digest"])
    );
}

#[test]
fn a_route_of_one_host_wants_the_host_covered() {
    for (dialect, list) in [
        (Dialect::Kong, "date request-line digest"),
        (Dialect::Apisix, "@request-target date digest"),
    ] {
        let message = Message::whole().signed(dialect, list);
        message.verified(dialect).unwrap();
        let route = Route {
            host: Some(crate::route::HostPattern::new("api.example.com").unwrap()),
            ..route(dialect)
        };
        let refused = message.verified_by(&route, &registry(|_, _| {}), false);
        assert_eq!(refused.unwrap_err(), Refused::coverage(["host"]));
    }
}

#[test]
fn an_authorization_beside_the_proof_is_covered_like_any() {
    let message = Message::whole().signed(Dialect::Kong, whole_list(Dialect::Kong));
    let proof = message.fields["authorization"].clone();
    let mut beside = message.with("authorization", "Bearer of-the-user");
    beside.fields.insert("proxy-authorization", proof.clone());
    assert_eq!(
        beside.verified(Dialect::Kong).unwrap_err(),
        Refused::coverage(["authorization"])
    );
    // Two proofs are one too many.
    beside.fields.insert("authorization", proof.clone());
    let told = malformed(beside.verified(Dialect::Kong));
    assert!(told.contains("both hold a signature"), "{told}");
    beside.fields.remove("authorization");
    beside.verified(Dialect::Kong).unwrap();
    beside.fields.append("proxy-authorization", proof);
    malformed(beside.verified(Dialect::Kong));
}

#[test]
fn a_digest_of_either_kind_covers_the_body_and_each_that_is_there_must_be_covered() {
    let of_nothing = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:";
    let both = || Message::whole().with("content-digest", of_nothing);
    let list = "date request-line digest";
    assert_eq!(
        both()
            .signed(Dialect::Kong, list)
            .verified(Dialect::Kong)
            .unwrap_err(),
        Refused::coverage(["content-digest"])
    );
    assert_eq!(
        both()
            .signed(Dialect::Kong, "date request-line content-digest")
            .verified(Dialect::Kong)
            .unwrap_err(),
        Refused::coverage(["digest"])
    );
    both()
        .signed(Dialect::Kong, "date request-line content-digest digest")
        .verified(Dialect::Kong)
        .unwrap();
    let mut new = both();
    new.fields.remove("digest");
    new.signed(Dialect::Kong, "date request-line content-digest")
        .verified(Dialect::Kong)
        .unwrap();
    // Without a body it must be the digest of nothing.
    let mut empty = Message::whole();
    empty.has_body = false;
    let caller = empty
        .clone()
        .signed(Dialect::Kong, list)
        .verified(Dialect::Kong);
    assert_eq!(caller.unwrap().body(), &BodyProof::Empty);
    let wrong = empty.with(
        "digest",
        "SHA-256=X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=",
    );
    assert_eq!(
        wrong
            .signed(Dialect::Kong, list)
            .verified(Dialect::Kong)
            .unwrap_err(),
        Refused::Digest
    );
}

#[test]
fn a_host_is_what_the_caller_sees() {
    let get = |host| Message::new("GET", "/o", &[("Host", host), ("Date", DATE)]);
    let value = "hmac username=\"mobile-2026\", algorithm=\"hmac-sha256\", headers=\"date host request-line\", signature=\"{}\"";
    let text = |host: &str| format!("date: {DATE}\nhost: {host}\nGET /o HTTP/1.1");
    // As it was written.
    for host in [
        "api.example.com",
        "API.Example.com:443",
        "api.example.com:8443",
    ] {
        let message = get(host).proven(value, &text(host));
        message.verified(Dialect::Kong).unwrap();
    }
    // Over HTTP/2 as well, where it stands in `:authority`.
    let value_2 = value.replace("request-line", "@request-target");
    for (host, sent) in [
        ("API.example.com", "API.example.com"),
        ("api.example.com", "api.example.com:443"),
        ("api.example.com:8443", "api.example.com:8443"),
    ] {
        let text = format!("date: {DATE}\nhost: {host}\n@request-target: get /o");
        let target = format!("https://{sent}/o");
        let mut message = Message::new("GET", &target, &[("Date", DATE)]).proven(&value_2, &text);
        message.http2 = true;
        message.verified(Dialect::Kong).unwrap();
        message.uri = "https://other.example.com/o".parse().unwrap();
        message.verified(Dialect::Kong).unwrap_err();
    }
    // Behind a balancer that writes its own: what callers take us for.
    let mut behind = get("10.0.0.7").proven(value, &text("api.example.com"));
    behind.public_url = Some(PublicUrl {
        scheme: "https".into(),
        authority: "api.example.com".into(),
    });
    behind.verified(Dialect::Kong).unwrap();
    let own = get("10.0.0.7").proven(value, &text("10.0.0.7"));
    let own = Message {
        public_url: behind.public_url,
        ..own
    };
    own.verified(Dialect::Kong).unwrap_err();
}

#[test]
fn the_first_line_holds_the_version_it_came_in() {
    let value = "hmac username=\"mobile-2026\", algorithm=\"hmac-sha256\", headers=\"date request-line\", signature=\"{}\"";
    for (http2, version) in [(false, "1.1"), (true, "2.0")] {
        let mut message = Message::new("GET", "/o", &[("Host", "a.example"), ("Date", DATE)])
            .proven(value, &format!("date: {DATE}\nGET /o HTTP/{version}"));
        message.http2 = http2;
        message.verified(Dialect::Kong).unwrap();
        message.http2 = !http2;
        message.verified(Dialect::Kong).unwrap_err();
    }
}

#[test]
fn a_field_that_the_connection_names_cannot_be_covered() {
    let message = Message::whole()
        .signed(Dialect::Kong, whole_list(Dialect::Kong))
        .with("connection", "close, X-Custom");
    assert!(malformed(message.verified(Dialect::Kong)).contains("X-Custom"));
}

#[test]
fn what_has_two_readings_is_refused() {
    let kong = |rest: &str| {
        let message = Message::whole().with("authorization", &format!("hmac {rest}"));
        malformed(message.verified(Dialect::Kong))
    };
    let good = "username=\"u\", algorithm=\"hmac-sha256\", headers=\"date\", signature=\"AAAA\"";
    for (rest, told) in [
        ("", "the name of a parameter"),
        ("username", "`=`"),
        ("username=", "the value of `username`"),
        ("username=\"u", "`\"`"),
        ("username=\"u\\\"\"", "holds `\\`"),
        ("username=\"u\" algorithm=\"hmac-sha256\"", "`,`"),
        (&format!("{good},"), "the name of a parameter"),
        (&format!("{good}, username=\"v\""), "there twice"),
        (&format!("{good}, Username=\"v\""), "there twice"),
        (&good.replace("\"u\"", "\"\""), "`username` is needed"),
        (&good.replace("AAAA", "AAA"), "not base64"),
        (&good.replace("AAAA", "A AA"), "not base64"),
        (&good.replace("\"date\"", "\"date \""), "is no name"),
        (
            &good.replace("\"date\"", "\"date (created)\""),
            "is no name",
        ),
        (&good.replace("\"date\"", "\"date\tx\""), "is no name"),
        (
            &good.replace("\"date\"", "\"date d\u{e4}te\""),
            "outside ASCII",
        ),
    ] {
        let why = kong(rest);
        assert!(why.contains(told), "{rest}: {why}");
    }
    let list: Vec<String> = (0..=MAX_COVERED).map(|at| format!("x{at}")).collect();
    let why = kong(&good.replace("date", &list.join(" ")));
    assert!(why.contains("more than 64 names"), "{why}");
    let many: Vec<String> = (0..13).map(|at| format!("x{at}=1")).collect();
    let why = kong(&format!("{good}, {}", many.join(", ")));
    assert!(why.contains("more than 16 parameters"), "{why}");
    let why = kong(&good.replace("\"u\"", &format!("\"{}\"", "u".repeat(MAX_FIELD))));
    assert!(why.contains("more than 8192 bytes"), "{why}");
}

#[test]
fn times_are_whole_numbers_as_they_are_written() {
    let told = |times: &str| {
        let value = format!(
            "Signature keyId=\"k\",{times},headers=\"(request-target) (created) host\",signature=\"AAAA\""
        );
        let message = Message::new("GET", "/o", &[("Host", "a.example")]);
        message
            .with("authorization", &value)
            .verified(Dialect::Cavage12)
    };
    for times in [
        "created=01800000000",
        "created=+1800000000",
        "created=-1",
        "created=1800000000.5",
        "created=1e9",
        "created=\"\"",
        "created=\" 1800000000\"",
        "created=1000000000000000",
        "created=1800000000,expires=1.",
        "created=1800000000,expires=1.1.1",
        "created=1800000000,expires=.5",
    ] {
        malformed(told(times));
    }
    for times in ["created=1800000000", "created=\"1800000000\""] {
        assert!(matches!(told(times), Err(Refused::Rejected { .. })));
    }
    // Milliseconds are told from a clock that is wrong by who shows it.
    let far = told("created=1800000000000");
    assert!(matches!(far, Err(Refused::Skew { .. })), "{far:?}");
}

#[test]
fn a_rejected_signature_shows_its_text_to_those_who_may_see_it() {
    let message = Message::whole()
        .with("cookie", "session=of-the-user")
        .signed(Dialect::Kong, "date Cookie request-line digest");
    let value = message.fields["authorization"].to_str().unwrap();
    let value = value.replace("mobile-2026", "mobile-2099");
    let message = message.with("authorization", &value);
    let refused = message.verified_by(&route(Dialect::Kong), &registry(|_, _| {}), true);
    let Err(Refused::Rejected {
        explained: Some(explained),
        ..
    }) = refused
    else {
        panic!("{refused:?}");
    };
    assert!(
        explained
            .base
            .starts_with(&format!("date: {DATE}\nCookie: <sha-256"))
    );
    assert!(!explained.base.contains("of-the-user"));
}

#[test]
fn what_cannot_be_signed_is_said() {
    let message = Message::whole();
    let told = |dialect, key_id, covered| {
        let parameters = Parameters {
            dialect,
            key_id,
            covered,
            created: None,
        };
        sign(&message.received(), &parameters, &key().into()).unwrap_err()
    };
    for (dialect, key_id, covered) in [
        (Dialect::Kong, "a\"b", "date"),
        (Dialect::Kong, "", "date"),
        (Dialect::Kong, "k", "date  digest"),
        (Dialect::Kong, "k", "date date"),
        (Dialect::Cavage12, "k", "(created)"),
        (Dialect::Apisix, "k", "(request-target)"),
    ] {
        let why = told(dialect, key_id, covered);
        assert!(matches!(why, CannotSign::Unreadable(_)), "{why:?}");
    }
    let why = told(Dialect::Kong, "k", "date x-absent");
    assert_eq!(why.to_string(), "the request has no `x-absent`");
}

#[test]
fn one_credential_decides() {
    let route = route(Dialect::Kong);
    let read = |message: &Message| {
        let received = message.received();
        schemes::Presented::read(&received, &route).map(|presented| presented.scheme())
    };
    let message = Message::whole().signed(Dialect::Kong, whole_list(Dialect::Kong));
    assert_eq!(read(&message), Ok(Scheme::HmacAuth));
    for (name, value) in [("portcullis-token", "a.b.c"), ("signature-input", "sig=()")] {
        let refused = read(&message.clone().with(name, value)).unwrap_err();
        assert!(matches!(refused, Refused::Malformed(_)), "{refused:?}");
    }
}

#[test]
fn a_401_says_what_to_cover() {
    for (dialect, challenge) in [
        (
            Dialect::Kong,
            "hmac realm=\"portcullis\", headers=\"date request-line digest\"",
        ),
        (
            Dialect::Apisix,
            "Signature realm=\"portcullis\", headers=\"date @request-target digest\"",
        ),
        (
            Dialect::Cavage12,
            "Signature realm=\"portcullis\", headers=\"date (request-target) host digest\"",
        ),
    ] {
        let message = Message::whole();
        let told = super::challenge(&message.received(), &route(dialect));
        assert_eq!(told.unwrap(), challenge);
    }
    let message = Message::whole();
    assert_eq!(
        super::challenge(&message.received(), &Route::any("x")),
        None
    );
}

proptest! {
    #[test]
    fn any_list_that_is_signed_holds_and_no_other_order_does(
        names in proptest::sample::subsequence(
            vec!["x-a", "X-B", "x-c", "x-d"], 2..=4).prop_shuffle(),
        which in 0..3usize,
        at in 0..3usize,
    ) {
        let dialect = Dialect::ALL[which];
        let mut message = Message::whole();
        for (name, value) in [("x-a", "1"), ("x-b", "2"), ("x-c", ""), ("x-d", "a: b")] {
            message = message.with(name, value);
        }
        let base = whole_list(dialect);
        let list = format!("{base} {}", names.join(" "));
        let signed = message.signed(dialect, &list);
        prop_assert!(signed.verified(dialect).is_ok());
        let mut other = names.clone();
        other.swap(at % names.len(), (at + 1) % names.len());
        let value = signed.fields["authorization"].to_str().unwrap();
        let value = value.replace(&list, &format!("{base} {}", other.join(" ")));
        prop_assert!(signed.clone().with("authorization", &value).verified(dialect).is_err());
    }

    #[test]
    fn no_field_of_any_bytes_is_a_proof(value in "[ -~]{0,200}", which in 0..3usize) {
        let dialect = Dialect::ALL[which];
        let word = super::read::word(dialect);
        let message = Message::whole().with("authorization", &format!("{word} {value}"));
        prop_assert!(message.verified(dialect).is_err());
    }
}
