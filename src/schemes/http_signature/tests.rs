//! The standard's own vectors, what must be refused, and the property that
//! makes a signature one: change any covered byte and it does not hold.

use super::Rules;
use super::base::{self, NoBase};
use super::read::{Input, MAX_TAKEN_APART, Presented};
use super::sign::{Parameters, sign};
use super::structured::{self, MAX_PARTS};
use super::verify::verify;
use crate::apps::{App, Key, Registry, Scheme};
use crate::clock::{Clock, Now};
use crate::crypto::{Algorithm, HmacKey};
use crate::route::{Part, Route, Waiver};
use crate::schemes::digest::{BadDigest, BodyProof, Digests};
use crate::schemes::freshness::Freshness;
use crate::schemes::received::{Received, Surroundings};
use crate::schemes::{Caller, Refused, Why, tests};
use crate::secret::Secret;
use data_encoding::BASE64;
use http::{HeaderMap, HeaderValue, Method, Uri};
use proptest::prelude::*;
use serde_json::Value;
use std::sync::Arc;

const NOW: i64 = 1_618_884_480;

/// A request in owned parts.
#[derive(Clone)]
struct Message {
    method: Method,
    uri: Uri,
    fields: HeaderMap,
    has_body: bool,
    tls: bool,
}

impl Message {
    fn new(method: &str, target: &str, fields: &[(&str, &str)]) -> Self {
        Self {
            method: method.parse().unwrap(),
            uri: target.parse().unwrap(),
            fields: tests::fields(fields),
            has_body: false,
            tls: true,
        }
    }

    fn with_body(mut self, body: &str) -> Self {
        self.has_body = true;
        self.set("content-digest", &Digests::field_of(body.as_bytes()));
        self
    }

    fn set(&mut self, name: &'static str, value: &str) {
        self.fields
            .insert(name, HeaderValue::from_str(value).unwrap());
    }

    fn received(&self) -> Received<'_> {
        let around = Surroundings {
            tls: self.tls,
            http2: false,
            has_body: self.has_body,
            public_url: None,
        };
        Received::read(&self.method, &self.uri, &self.fields, around).unwrap()
    }

    fn signed(mut self, components: &[&str], change: impl FnOnce(&mut Parameters<'_>)) -> Self {
        let mut parameters = Parameters {
            created: NOW,
            key_id: "k1",
            ..Parameters::default()
        };
        change(&mut parameters);
        let signed = sign(
            &self.received(),
            "sig",
            components,
            &parameters,
            &secret().into(),
        )
        .unwrap();
        self.set("signature-input", &signed.input);
        self.set("signature", &signed.signature);
        self
    }

    fn verified(&self) -> Result<Caller, Refused> {
        self.verified_on(&Route::any("test"))
    }

    fn verified_on(&self, route: &Route) -> Result<Caller, Refused> {
        self.verified_by(route, &registry(|_, _| {}), false)
    }

    fn verified_by(
        &self,
        route: &Route,
        registry: &Registry,
        explain: bool,
    ) -> Result<Caller, Refused> {
        let rules = Rules {
            registry,
            freshness: Freshness::USUAL,
            explain,
        };
        let presented = Presented::read(&self.received())?.ok_or(Refused::Missing)?;
        verify(&presented, &self.received(), route, rules, now())
    }
}

fn now() -> Now {
    Clock::by_hand(NOW as u64).0.now()
}

fn secret() -> HmacKey {
    HmacKey::new(Algorithm::HmacSha256, &Secret::new(vec![7; 32])).unwrap()
}

fn registry(change: impl FnOnce(&mut App, &mut Key)) -> Registry {
    let mut app = App::new("app");
    let mut key = Key::new("k1", Arc::new(App::new("app")), secret());
    change(&mut app, &mut key);
    let app = Arc::new(app);
    key.app = app.clone();
    Registry::new(vec![app], vec![key], 1).unwrap()
}

/// A request with everything in it that can be covered.
fn full() -> Message {
    Message::new(
        "POST",
        "/orders/7?b=2&a=1",
        &[
            ("host", "api.example.com"),
            ("authorization", "Bearer user-token"),
            ("content-type", "application/json"),
        ],
    )
    .with_body("{}")
}

const ALL: [&str; 6] = [
    "\"@method\"",
    "\"@authority\"",
    "\"@path\"",
    "\"@query\"",
    "\"authorization\"",
    "\"content-digest\"",
];

fn rejected_as(result: Result<Caller, Refused>) -> Option<Why> {
    match result.err() {
        Some(Refused::Rejected { why, .. }) => Some(why),
        _ => None,
    }
}

// --- vectors ---------------------------------------------------------------

fn vectors(text: &str) -> Vec<Value> {
    let value: Value = serde_json::from_str(text).unwrap();
    value["cases"].as_array().unwrap().clone()
}

fn message_of(case: &Value) -> Message {
    let message = &case["message"];
    let fields: Vec<(&str, &str)> = message["headers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pair| (pair[0].as_str().unwrap(), pair[1].as_str().unwrap()))
        .collect();
    let mut message = Message::new(
        message["method"].as_str().unwrap(),
        message["target"].as_str().unwrap(),
        &fields,
    );
    message.has_body = message.fields.contains_key("content-length");
    message
}

#[test]
fn every_signature_base_of_rfc_9421_appendix_b_is_rebuilt() {
    let cases = vectors(include_str!("../../../tests/it/vectors/rfc9421/cases.json"));
    let mut seen = 0;
    for case in cases
        .iter()
        .filter(|case| case["message"]["method"].is_string())
    {
        let id = case["id"].as_str().unwrap();
        let message = message_of(case);
        let (_, text) = case["signature_input"]
            .as_str()
            .unwrap()
            .split_once('=')
            .unwrap();
        let input = Input::read(text).unwrap();
        let mut out = Vec::new();
        base::write(&mut out, &message.received(), &input).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            case["signature_base"].as_str().unwrap(),
            "{id}"
        );
        seen += 1;
    }
    assert_eq!(seen, 7, "every request of the file is rebuilt");
}

#[test]
fn rfc_9421_b_2_5_verifies_and_is_refused_for_what_it_does_not_cover() {
    let keys: Value =
        serde_json::from_str(include_str!("../../../tests/it/vectors/rfc9421/keys.json")).unwrap();
    let shared = BASE64
        .decode(
            keys["test-shared-secret"]["secret_base64"]
                .as_str()
                .unwrap()
                .as_bytes(),
        )
        .unwrap();
    let case = vectors(include_str!("../../../tests/it/vectors/rfc9421/cases.json"))
        .into_iter()
        .find(|case| case["id"] == "B.2.5")
        .unwrap();
    let mut message = message_of(&case);
    message.set("signature-input", case["signature_input"].as_str().unwrap());
    message.set("signature", case["signature"].as_str().unwrap());
    let registry = registry(|_, key| {
        key.id = "test-shared-secret".into();
        key.verifying = HmacKey::new(Algorithm::HmacSha256, &Secret::new(shared))
            .unwrap()
            .into();
    });
    let mut route = Route::any("test");
    let refused = message.verified_by(&route, &registry, false).unwrap_err();
    assert_eq!(
        refused,
        Refused::coverage(["@method", "@path", "@query", "content-digest"])
    );
    for part in [Part::Method, Part::Path, Part::Query, Part::Body] {
        route.waivers.push(Waiver {
            part,
            until: NOW + 1,
            reason: "the vector covers less".to_owned(),
        });
    }
    assert!(message.verified_by(&route, &registry, false).is_ok());
    message.set("date", "Tue, 20 Apr 2021 02:07:56 GMT");
    let changed = message.verified_by(&route, &registry, false);
    assert_eq!(rejected_as(changed), Some(Why::WrongSignature));
}

#[test]
fn a_nonce_is_used_up_under_the_key_that_signed_whatever_keyid_claims() {
    let read = |text| Input::read(text).unwrap();
    let claims_a = read(r#"();created=1;keyid="a";nonce="n""#);
    let claims_b = read(r#"();created=1;keyid="b";nonce="n""#);
    let claims_none = read(r#"();created=1;nonce="n""#);
    let [a, b] = [b"a", b"b"].map(|key| claims_a.nonce_of(key).unwrap());
    assert_ne!(a, b);
    for input in [claims_a, claims_b, claims_none] {
        assert_eq!(
            [b"a", b"b"].map(|key| input.nonce_of(key)),
            [Some(a), Some(b)]
        );
    }
    assert_eq!(read("();created=1").nonce_of(b"a"), None);
}

#[test]
fn a_signature_that_covers_nothing_is_refused_however_valid() {
    let message = full().signed(&[], |_| {});
    assert_eq!(
        message.verified().unwrap_err(),
        Refused::coverage([
            "@method",
            "@authority",
            "@path",
            "@query",
            "authorization",
            "content-digest"
        ])
    );
}

#[test]
fn components_are_written_as_rfc_9421_section_2_shows() {
    const FOLDED: &str = "X-Obs-Fold-Header: Obsolete\n    line folding.\n";
    let cases = vectors(include_str!(
        "../../../tests/it/vectors/rfc9421/components.json"
    ));
    let mut lines = 0;
    for case in &cases {
        let text = case["message_text"].as_str().unwrap();
        // Responses, CONNECT and folded lines never reach this room.
        if text.starts_with("HTTP/") || text.starts_with("CONNECT") {
            continue;
        }
        let text = text.replace(FOLDED, "");
        let mut rest = text.lines().peekable();
        let start = rest
            .next_if(|line| line.ends_with(" HTTP/1.1"))
            .unwrap_or("GET / HTTP/1.1");
        let mut words = start.split(' ');
        let (method, target) = (words.next().unwrap(), words.next().unwrap());
        let mut fields: Vec<(&str, &str)> = rest
            .map(|line| line.split_once(':').unwrap())
            .map(|(name, value)| (name, value.trim()))
            .collect();
        if fields.iter().all(|(name, _)| *name != "Host") {
            fields.push(("Host", "www.example.com"));
        }
        let message = Message::new(method, target, &fields);
        for line in case["expected_lines"].as_array().unwrap() {
            let line = line.as_str().unwrap();
            let (identifier, _) = line.split_once(": ").unwrap();
            if identifier == "\"x-obs-fold-header\"" {
                continue;
            }
            let input = format!("({identifier})");
            let input = Input::read(&input).unwrap();
            let mut out = Vec::new();
            base::write(&mut out, &message.received(), &input).unwrap();
            let out = String::from_utf8(out).unwrap();
            assert_eq!(out.lines().next().unwrap(), line, "{}", case["id"]);
            lines += 1;
        }
    }
    assert_eq!(lines, 18, "all 21 of the file but one of each of these");
}

#[test]
fn the_query_parameters_of_rfc_9421_section_2_2_8_are_decoded_and_encoded_anew() {
    let message = Message::new(
        "GET",
        "/parameters?var=this%20is%20a%20big%0Amultiline%20value&bar=with+plus+whitespace&fa%C3%A7ade%22%3A%20=something",
        &[("host", "www.example.com")],
    );
    let text = "(\"@query-param\";name=\"var\" \"@query-param\";name=\"bar\" \"@query-param\";name=\"fa%C3%A7ade%22%3A%20\")";
    let input = Input::read(text).unwrap();
    let mut out = Vec::new();
    base::write(&mut out, &message.received(), &input).unwrap();
    let out = String::from_utf8(out).unwrap();
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(
        lines[..3],
        [
            "\"@query-param\";name=\"var\": this%20is%20a%20big%0Amultiline%20value",
            "\"@query-param\";name=\"bar\": with%20plus%20whitespace",
            "\"@query-param\";name=\"fa%C3%A7ade%22%3A%20\": something",
        ]
    );
}

/// The line of `component` in the text, or why there is none.
fn line(message: &Message, component: &str) -> Result<String, NoBase> {
    let list = format!("({component})");
    let input = Input::read(&list).unwrap();
    let mut out = Vec::new();
    base::write(&mut out, &message.received(), &input)?;
    let text = String::from_utf8(out).unwrap();
    Ok(text.lines().next().unwrap().to_owned())
}

#[test]
fn a_query_parameter_is_found_however_its_name_is_encoded_and_only_if_it_is_there_once() {
    let value = |query: &str, name: &str| -> Result<String, NoBase> {
        let target = format!("/?{query}");
        let message = Message::new("GET", &target, &[("host", "api.example.com")]);
        let component = format!("\"@query-param\";name=\"{name}\"");
        let line = line(&message, &component)?;
        Ok(line.split_once(": ").unwrap().1.to_owned())
    };
    for (query, name, wanted) in [
        ("a=1&b=2", "b", "2"),
        ("&a=1&&b", "b", ""),
        ("%61=x+y%2b%zz%4", "a", "x%20y%2B%25zz%254"),
        ("a+b=1", "a%20b", "1"),
        ("caf%c3%a9=%C3%A9", "caf%C3%A9", "%C3%A9"),
        ("=1", "", "1"),
        ("b=%FF&a=1", "a", "1"),
    ] {
        assert_eq!(value(query, name).as_deref(), Ok(wanted), "{query}");
    }
    for (query, name) in [
        ("a=1", "b"),
        ("ab=1", "a"),
        ("a=1", "ab"),
        ("a=1", "%61"),
        ("a+b=1", "a+b"),
        ("%C3%A9=1", "%c3%a9"),
    ] {
        assert!(
            matches!(value(query, name), Err(NoBase::Absent(_))),
            "{query}"
        );
    }
    for (query, why) in [
        ("a=1&%61=2", "more than once"),
        ("a=1&%FF=2", "not UTF-8"),
        ("a=%FF", "not UTF-8"),
    ] {
        let Err(NoBase::Unsupported(told)) = value(query, "a") else {
            panic!("{query} has one `a`");
        };
        assert!(told.contains(why), "{query}: {told}");
    }
}

#[test]
fn the_target_asterisk_is_a_host_alone_as_a_url_and_covered_as_a_target() {
    let message = Message::new("OPTIONS", "*", &[("host", "api.example.com")]);
    assert_eq!(
        line(&message, "\"@target-uri\"").as_deref(),
        Ok("\"@target-uri\": https://api.example.com")
    );
    let signed = |target| {
        message
            .clone()
            .signed(&["\"@method\"", "\"@authority\"", target], |_| {})
    };
    assert_eq!(
        signed("\"@target-uri\"").verified().unwrap_err(),
        Refused::coverage(["@request-target"])
    );
    assert!(signed("\"@request-target\"").verified().is_ok());
}

#[test]
fn structured_fields_are_serialized_as_their_vectors_say() {
    let files = [
        include_str!("../../../tests/it/vectors/structured-fields/binary.json"),
        include_str!("../../../tests/it/vectors/structured-fields/boolean.json"),
        include_str!("../../../tests/it/vectors/structured-fields/dictionary.json"),
        include_str!("../../../tests/it/vectors/structured-fields/examples.json"),
        include_str!("../../../tests/it/vectors/structured-fields/item.json"),
        include_str!("../../../tests/it/vectors/structured-fields/key-generated.json"),
        include_str!("../../../tests/it/vectors/structured-fields/list.json"),
        include_str!("../../../tests/it/vectors/structured-fields/listlist.json"),
        include_str!("../../../tests/it/vectors/structured-fields/number.json"),
        include_str!("../../../tests/it/vectors/structured-fields/param-dict.json"),
        include_str!("../../../tests/it/vectors/structured-fields/param-list.json"),
        include_str!("../../../tests/it/vectors/structured-fields/string.json"),
        include_str!("../../../tests/it/vectors/structured-fields/token.json"),
    ];
    // Of those in which a name stands twice the standard keeps one: they are not covered so.
    let twice = ["duplicate key dictionary", "0x2c in dictionary key"];
    let (mut good, mut bad, mut refused) = (0, 0, 0);
    for file in files {
        let cases: Vec<Value> = serde_json::from_str(file).unwrap();
        for case in cases {
            let name = case["name"].as_str().unwrap();
            let strings = |value: &Value| -> Vec<String> {
                value
                    .as_array()
                    .map(|all| {
                        all.iter()
                            .map(|one| one.as_str().unwrap().to_owned())
                            .collect()
                    })
                    .unwrap_or_default()
            };
            let raw = strings(&case["raw"]).join(", ");
            // A field of a kind that the table knows stands for each kind.
            let field = match case["header_type"].as_str().unwrap() {
                "dictionary" => "priority",
                "list" => "cache-status",
                _ => "idempotency-key",
            };
            let written = structured::strict(field, &raw);
            if case["must_fail"] == true {
                assert!(written.is_err(), "{name}: {raw}");
                bad += 1;
            } else if twice.contains(&name) {
                assert!(written.unwrap_err().contains("twice"), "{name}: {raw}");
                refused += 1;
            } else if case["can_fail"] != true || written.is_ok() {
                let canonical = match case.get("canonical") {
                    Some(lines) => strings(lines).join(", "),
                    None => raw.clone(),
                };
                // A list without members is not sent at all, so there is nothing to cover.
                if canonical.is_empty() && field != "idempotency-key" {
                    assert!(written.is_err(), "{name}");
                } else {
                    assert_eq!(written.as_deref(), Ok(canonical.as_str()), "{name}");
                }
                good += 1;
            }
        }
    }
    let all = (good, refused, bad);
    assert_eq!(all, (129, 2, 187), "every case of the files is run");
}

#[test]
fn the_digests_of_rfc_9530_appendix_d_hold_and_its_weak_ones_do_not_stand_alone() {
    let text = include_str!("../../../tests/it/vectors/rfc9530/sample_values.json");
    let samples: Value = serde_json::from_str(text).unwrap();
    let body = b"{\"hello\": \"world\"}";
    let mut strong = 0;
    for sample in samples["values"].as_array().unwrap() {
        let name = sample["algorithm"].as_str().unwrap();
        let value = sample["value"].as_str().unwrap();
        let mut fields = HeaderMap::new();
        fields.insert(
            "content-digest",
            HeaderValue::from_str(&format!("{name}={value}")).unwrap(),
        );
        match name {
            "sha-256" | "sha-512" => {
                let digests = Digests::read(&fields).unwrap().unwrap();
                let mut check =
                    crate::schemes::digest::BodyCheck::new(&BodyProof::Digests(digests));
                check.update(body);
                assert!(check.finish().is_ok(), "{name}");
                strong += 1;
            }
            _ => assert_eq!(Digests::read(&fields), Err(BadDigest::NoneKnown), "{name}"),
        }
    }
    assert_eq!(strong, 2);
}

// --- what is accepted ------------------------------------------------------

#[test]
fn every_way_to_cover_the_target_is_taken() {
    for target in [
        &["\"@target-uri\""][..],
        &["\"@authority\"", "\"@path\"", "\"@query\""],
        &["\"@authority\"", "\"@request-target\""],
        &["\"@authority\";bs"][..0],
    ] {
        if target.is_empty() {
            continue;
        }
        let components: Vec<&str> = ["\"@method\"", "\"authorization\"", "\"content-digest\""]
            .into_iter()
            .chain(target.iter().copied())
            .collect();
        let message = full().signed(&components, |_| {});
        assert!(message.verified().is_ok(), "{target:?}");
    }
}

#[test]
fn a_query_is_covered_only_whole() {
    let components = [
        "\"@method\"",
        "\"@authority\"",
        "\"@path\"",
        "\"@query-param\";name=\"a\"",
        "\"@query-param\";name=\"b\"",
        "\"authorization\"",
        "\"content-digest\"",
    ];
    let message = full().signed(&components, |_| {});
    assert_eq!(
        message.verified().unwrap_err(),
        Refused::coverage(["@query"])
    );
}

#[test]
fn white_space_in_the_list_is_written_anew() {
    let mut message = full().signed(&ALL, |_| {});
    let text = message.fields["signature-input"].to_str().unwrap();
    let spaced = text
        .replace("(\"@method\" ", "( \"@method\"   ")
        .replace(";created", "; created");
    message.set("signature-input", &spaced);
    assert!(message.verified().is_ok());
}

#[test]
fn several_labels_pass_when_exactly_one_satisfies_the_policy() {
    let mut message = full().signed(&ALL, |_| {});
    let (input, signature) = (
        message.fields["signature-input"]
            .to_str()
            .unwrap()
            .to_owned(),
        message.fields["signature"].to_str().unwrap().to_owned(),
    );
    message.set(
        "signature-input",
        &format!("other=(\"date\");created=1;keyid=\"k9\", {input}"),
    );
    message.set("signature", &format!("other=:AAAA:, {signature}"));
    assert!(message.verified().is_ok());
    let again = (
        input.replacen("sig", "two", 1),
        signature.replacen("sig", "two", 1),
    );
    message.set("signature-input", &format!("{input}, {}", again.0));
    message.set("signature", &format!("{signature}, {}", again.1));
    assert!(matches!(message.verified(), Err(Refused::Malformed(_))));
}

#[test]
fn field_parameters_are_verified() {
    let mut message = full();
    message.set("example-dict", "a=1,    b=2;x=1;y=2,   c=(a   b   c)");
    message
        .fields
        .append("x-lines", HeaderValue::from_static("one"));
    message
        .fields
        .append("x-lines", HeaderValue::from_static("two, three"));
    let mut components = ALL.to_vec();
    components.extend([
        "\"example-dict\";sf",
        "\"example-dict\";key=\"b\"",
        "\"x-lines\";bs",
        "\"x-lines\"",
    ]);
    let message = message.signed(&components, |_| {});
    assert!(message.verified().is_ok());
    let mut changed = message.clone();
    changed.set("example-dict", "a=1, b=2;x=1;y=3, c=(a b c)");
    assert_eq!(rejected_as(changed.verified()), Some(Why::WrongSignature));
    let mut joined = message;
    joined.fields.remove("x-lines");
    joined.set("x-lines", "one, two, three");
    assert_eq!(rejected_as(joined.verified()), Some(Why::WrongSignature));
}

#[test]
fn a_digest_of_nothing_on_a_request_without_a_body_is_checked() {
    let mut message = Message::new("GET", "/orders", &[("host", "api.example.com")]);
    message.set("content-digest", &Digests::field_of(b""));
    let components = ["\"@method\"", "\"@target-uri\"", "\"content-digest\""];
    assert!(
        message
            .clone()
            .signed(&components, |_| {})
            .verified()
            .is_ok()
    );
    message.set("content-digest", &Digests::field_of(b"x"));
    assert_eq!(
        message.signed(&components, |_| {}).verified().unwrap_err(),
        Refused::Digest
    );
}

// --- what is refused -------------------------------------------------------

#[test]
fn what_cannot_be_verified_is_refused_with_its_reason() {
    let inputs = [
        ("(\"@method\";tr);created=1;keyid=\"k1\"", "trailer"),
        ("(\"@method\";req);created=1;keyid=\"k1\"", "responses"),
        ("(\"@status\");created=1;keyid=\"k1\"", "`@status`"),
        ("(\"@query-param\");created=1;keyid=\"k1\"", "`name` alone"),
        ("(\"x\";what);created=1;keyid=\"k1\"", "`what`"),
        ("(\"x\";sf=1);created=1;keyid=\"k1\"", "`sf`"),
        ("(\"X\");created=1;keyid=\"k1\"", "lower case"),
        ("(\"x\" \"x\");created=1;keyid=\"k1\"", "twice"),
        ("(\"x\"\"y\");created=1;keyid=\"k1\"", "a space"),
        ("(x);created=1;keyid=\"k1\"", "in quotes"),
        ("\"x\";created=1;keyid=\"k1\"", "`(`"),
        ("();created=1;created=2;keyid=\"k1\"", "twice"),
        ("();created=1.5;keyid=\"k1\"", "decimals"),
        ("();created=-1;keyid=\"k1\"", "whole Unix seconds"),
        ("();created=\"1\";keyid=\"k1\"", "whole Unix seconds"),
        ("();created=1234567890123456;keyid=\"k1\"", "15 digits"),
        ("();created=1;keyid=k1", "in quotes"),
        ("();created=1;keyid=\"k1", "does not end"),
        ("();created=1;keyid=\"k\\1\"", "escapes"),
        ("();created=1", "`keyid"),
        ("();keyid=\"k1\"", "`created`"),
        ("();created=1;keyid=\"k1\" x", "`,`"),
        ("();created=1;keyid=\"k1\",", "ends in `,`"),
    ];
    for (input, says) in inputs {
        let mut message = full();
        let mut route = Route::any("test");
        for part in Part::ALL {
            route.waivers.push(Waiver {
                part,
                until: i64::MAX,
                reason: String::new(),
            });
        }
        let input = input.replace("created=1;", &format!("created={NOW};"));
        message.set("signature-input", &format!("sig={input}"));
        message.set("signature", "sig=:AAAA:");
        match message.verified_on(&route) {
            Err(Refused::Malformed(text)) => assert!(text.contains(says), "{input}: {text}"),
            other => panic!("{input}: {other:?}"),
        }
    }
}

#[test]
fn one_of_the_two_fields_alone_and_unequal_labels_are_refused() {
    let mut message = full().signed(&ALL, |_| {});
    let mut alone = message.clone();
    alone.fields.remove("signature");
    assert!(matches!(alone.verified(), Err(Refused::Malformed(_))));
    let mut alone = message.clone();
    alone.fields.remove("signature-input");
    assert!(matches!(alone.verified(), Err(Refused::Malformed(_))));
    message.set("signature", "other=:AAAA:");
    assert!(matches!(message.verified(), Err(Refused::Malformed(_))));
}

#[test]
fn a_byte_outside_ascii_is_called_so_wherever_it_stands() {
    let input = r#"a=("@method" "x";bs "y";key="k"  "@path");created=1;keyid="k\\";nonce="n"; b=:AA==:;t=*a/b;f=?0, c=()"#;
    let message = |input: &[u8], signature: &[u8]| {
        let mut message = Message::new("GET", "https://a.example/", &[("host", "a.example")]);
        for (name, text) in [("signature-input", input), ("signature", signature)] {
            let value = HeaderValue::from_bytes(text).unwrap();
            message.fields.insert(name, value);
        }
        message
    };
    let signature = "a=:AAAA:, c=:AA==:";
    let good = message(input.as_bytes(), signature.as_bytes());
    assert!(Presented::read(&good.received()).unwrap().is_some());
    let changes = |text: &str| {
        let text = text.as_bytes().to_vec();
        (0..text.len()).map(move |at| [&text[..at], &[text[at] | 0x80], &text[at + 1..]].concat())
    };
    let refused = |message: Message, name: &str| {
        let words = format!("`{name}` holds a byte outside ASCII");
        let read = Presented::read(&message.received());
        assert_eq!(read.unwrap_err(), Refused::Malformed(words));
    };
    for input in changes(input) {
        refused(message(&input, signature.as_bytes()), "Signature-Input");
    }
    for signature in changes(signature) {
        refused(message(input.as_bytes(), &signature), "Signature");
    }
}

#[test]
fn an_unknown_key_and_a_wrong_signature_are_the_same_word_outside() {
    let message = full().signed(&ALL, |parameters| parameters.key_id = "nobody");
    assert_eq!(rejected_as(message.verified()), Some(Why::UnknownKey));
    let mut message = full().signed(&ALL, |_| {});
    message.set(
        "signature",
        "sig=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:",
    );
    assert_eq!(rejected_as(message.verified()), Some(Why::WrongSignature));
}

#[test]
fn a_key_out_of_force_or_of_another_scheme_or_algorithm_is_rejected() {
    let message = full().signed(&ALL, |_| {});
    let why = |change: fn(&mut App, &mut Key)| {
        rejected_as(message.verified_by(&Route::any("test"), &registry(change), false))
    };
    assert_eq!(
        why(|_, key| key.not_before = Some(NOW + 1)),
        Some(Why::KeyNotActive)
    );
    assert_eq!(
        why(|_, key| key.not_after = Some(NOW)),
        Some(Why::KeyNotActive)
    );
    assert_eq!(why(|_, key| key.enabled = false), Some(Why::KeyNotActive));
    assert_eq!(
        why(|_, key| key.schemes = [Scheme::Token].into_iter().collect()),
        Some(Why::KeyNotForScheme)
    );
    assert_eq!(why(|_, _| {}), None);
    let off = registry(|app, _| app.enabled = false);
    assert_eq!(
        message
            .verified_by(&Route::any("test"), &off, false)
            .unwrap_err(),
        Refused::AppDisabled
    );
    let named = full().signed(&ALL, |parameters| {
        parameters.algorithm = Some(Algorithm::HmacSha512);
    });
    assert_eq!(rejected_as(named.verified()), Some(Why::WrongAlgorithm));
}

#[test]
fn a_covered_field_that_is_gone_is_named() {
    let mut components = ALL.to_vec();
    components.push("\"content-type\"");
    let mut message = full().signed(&components, |_| {});
    message.fields.remove("content-type");
    assert_eq!(
        message.verified().unwrap_err(),
        Refused::Absent("\"content-type\"".to_owned())
    );
}

#[test]
fn only_who_may_see_it_gets_the_text_and_no_credential_in_it() {
    let mut message = full().signed(&ALL, |_| {});
    message.set("content-digest", &Digests::field_of(b"other"));
    let closed = message.verified().unwrap_err();
    assert!(matches!(
        closed,
        Refused::Rejected {
            explained: None,
            ..
        }
    ));
    let route = Route::any("test");
    let open = message.verified_by(&route, &registry(|app, _| app.explain = true), false);
    let Err(Refused::Rejected {
        explained: Some(explained),
        ..
    }) = open
    else {
        panic!("{open:?}")
    };
    assert!(explained.base.contains("\"@path\": /orders/7\n"));
    assert!(!explained.base.contains("user-token"));
    assert_eq!(explained.same_text, None);
}

#[test]
fn a_callers_own_digest_of_the_base_tells_text_from_secret() {
    let message = full();
    let parameters = Parameters {
        created: NOW,
        key_id: "k1",
        ..Parameters::default()
    };
    let other = HmacKey::new(Algorithm::HmacSha256, &Secret::new(vec![8; 32])).unwrap();
    let signed = sign(&message.received(), "sig", &ALL, &parameters, &other.into()).unwrap();
    let mut message = message;
    message.set("signature-input", &signed.input);
    message.set("signature", &signed.signature);
    message.set(
        "signature-base-digest",
        &crate::schemes::explained::digest_field(signed.base.as_bytes()),
    );
    let same = |message: &Message| match message.verified_by(
        &Route::any("test"),
        &registry(|_, _| {}),
        true,
    ) {
        Err(Refused::Rejected {
            explained: Some(explained),
            ..
        }) => explained.same_text,
        other => panic!("{other:?}"),
    };
    assert_eq!(same(&message), Some(true));
    message.set("authorization", "Bearer another");
    assert_eq!(same(&message), Some(false));
}

#[test]
fn a_field_in_which_a_name_stands_twice_is_covered_only_as_it_stands() {
    for (name, form, good, other) in [
        (
            "content-type",
            ";sf",
            "multipart/form-data;boundary=x",
            "multipart/form-data;boundary=EVIL;boundary=x",
        ),
        ("x-d", ";sf", "limit=2, a", "limit=9999, a, limit=2"),
        ("x-d", ";sf", "a=(1;x 2), b", "a=(1;x=3;x 2), b"),
        ("priority", ";sf", "u=1", "u=7, u=1"),
        ("x-d", ";key=\"a\"", "a=1;p, b", "a=2, b, a=1;p"),
        ("x-d", ";key=\"a\"", "a=1;p, b", "a=1;p=0;p, b"),
    ] {
        let component = format!("\"{name}\"{form}");
        let mut components = ALL.to_vec();
        components.push(&component);
        let mut message = full();
        message.set(name, good);
        let mut message = message.signed(&components, |_| {});
        assert!(message.verified().is_ok(), "{good}");
        message.set(name, other);
        let told = message.verified().unwrap_err();
        let is_told = matches!(&told, Refused::Malformed(why) if why.contains("twice"));
        assert!(is_told, "{other}: {told:?}");
    }
}

#[test]
fn strangers_have_no_more_taken_apart_by_more_signatures_or_longer_fields() {
    let read = |each: usize| {
        let list = |label: usize| {
            let many: Vec<String> = (0..each).map(|n| format!("\"f{n}\";sf")).collect();
            format!("s{label}=({})", many.join(" "))
        };
        let mut message = full();
        let all: Vec<String> = (0..4).map(list).collect();
        message.set("signature-input", &all.join(", "));
        message.set("signature", "s0=:AA==:, s1=:AA==:, s2=:AA==:, s3=:AA==:");
        Presented::read(&message.received()).map(|_| ())
    };
    assert_eq!(read(MAX_TAKEN_APART / 4), Ok(()));
    let Err(Refused::Malformed(told)) = read(MAX_TAKEN_APART / 4 + 1) else {
        panic!("it is read");
    };
    assert!(told.contains("by all signatures together"), "{told}");
    for (part, joint, form) in [
        ("1", ", ", "\"x-d\";sf"),
        ("aN", ", ", "\"x-d\";key=\"a1\""),
        ("a;pN", ", ", "\"x-d\";sf"),
        ("1", " ", "\"x-d\";sf"),
    ] {
        let with = |count: usize| {
            let parts: Vec<String> = (0..count)
                .map(|n| part.replace('N', &n.to_string()))
                .collect();
            let text = parts.join(joint);
            let text = if joint == " " {
                format!("({text})")
            } else {
                text
            };
            let mut message = full();
            message.set("x-d", &text);
            line(&message, form)
        };
        // Few are read, unless the text is one of two kinds.
        let few = with(2);
        assert!(!matches!(&few, Err(NoBase::Unsupported(why)) if why.contains("too many")));
        let many = with(MAX_PARTS + 1);
        let is_told = matches!(&many, Err(NoBase::Unsupported(why)) if why.contains("too many"));
        assert!(is_told, "{form}: {many:?}");
    }
}

#[test]
fn bounds_are_held() {
    let many: Vec<String> = (0..65).map(|n| format!("\"f{n}\"")).collect();
    assert!(Input::read(&format!("({})", many.join(" "))).is_err());
    for form in [
        "\"f\";key=\"N\"",
        "\"fN\";sf",
        "\"@query-param\";name=\"N\"",
    ] {
        let list = |count: usize| {
            let many: Vec<String> = (0..count)
                .map(|n| form.replace('N', &n.to_string()))
                .collect();
            Input::read(&format!("({})", many.join(" "))).is_ok()
        };
        assert!(list(MAX_TAKEN_APART), "{form}");
        assert!(!list(MAX_TAKEN_APART + 1), "{form}");
    }
    let large = format!("a={}", "1".repeat(8_200));
    let fields = [("host", "api.example.com"), ("x-large", large.as_str())];
    let large = Message::new("GET", "/", &fields);
    for (component, fits) in [("\"x-large\"", true), ("\"x-large\";key=\"a\"", false)] {
        let (components, parameters) = ([component], Parameters::default());
        let signed = sign(
            &large.received(),
            "s",
            &components,
            &parameters,
            &secret().into(),
        );
        assert_eq!(signed.is_ok(), fits, "{component}");
    }
    let many: Vec<String> = (0..17).map(|n| format!("p{n}")).collect();
    assert!(Input::read(&format!("();{}", many.join(";"))).is_err());
    let mut message = full().signed(&ALL, |_| {});
    let five: Vec<String> = (0..5).map(|n| format!("s{n}=()")).collect();
    message.set("signature-input", &five.join(", "));
    assert!(matches!(message.verified(), Err(Refused::Malformed(_))));
    message.set(
        "signature-input",
        &format!("sig=();x=\"{}\"", "a".repeat(8_200)),
    );
    assert!(matches!(message.verified(), Err(Refused::Malformed(_))));
}

// --- properties ------------------------------------------------------------

/// What a change between signing and verifying does to one covered part.
fn changed(message: &Message, part: usize, at: usize, to: u8) -> Option<Message> {
    let mut message = message.clone();
    let swap = |text: &str| -> Option<String> {
        let mut bytes = text.as_bytes().to_vec();
        let at = at % bytes.len();
        if bytes[at] == to {
            return None;
        }
        bytes[at] = to;
        String::from_utf8(bytes).ok()
    };
    match part {
        0 => message.method = swap(message.method.as_str())?.parse().ok()?,
        1 => message.uri = swap(&message.uri.to_string())?.parse().ok()?,
        2 => {
            let names = [
                "host",
                "authorization",
                "content-digest",
                "signature-input",
                "signature",
            ];
            let name = names[at % names.len()];
            let value = swap(message.fields[name].to_str().ok()?)?;
            if name == "host" && value.eq_ignore_ascii_case("api.example.com") {
                return None;
            }
            message
                .fields
                .insert(name, HeaderValue::from_str(&value).ok()?);
        }
        _ => message.tls = !message.tls,
    }
    Some(message)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_request_with_any_covered_byte_changed_is_refused(
        part in 0..3_usize,
        at in 0..200_usize,
        to in 0x21..0x7f_u8,
    ) {
        let message = full().signed(&ALL, |_| {});
        prop_assert!(message.verified().is_ok());
        if let Some(changed) = changed(&message, part, at, to) {
            let around = Surroundings { tls: true, http2: false, has_body: true, public_url: None };
            let read = Received::read(&changed.method, &changed.uri, &changed.fields, around);
            // A label may be renamed in one field only: in both it would still be the caller's signature.
            prop_assert!(read.is_err() || changed.verified().is_err());
        }
    }

    #[test]
    fn what_is_signed_verifies(
        path in "(/[a-zA-Z0-9_.~-]{1,8}){1,3}",
        query in proptest::option::of("[a-z0-9=&%2B;:@/?-]{0,20}"),
        value in "[ -~]{0,30}",
        nonce in proptest::option::of("[ -~]{1,20}"),
    ) {
        prop_assume!(crate::route::Path::read(&path).is_ok());
        let target = match &query {
            Some(query) => format!("{path}?{query}"),
            None => path,
        };
        prop_assume!(target.parse::<Uri>().is_ok());
        let mut message = Message::new("GET", &target, &[("host", "api.example.com")]);
        message.set("x-any", &value);
        let components = ["\"@method\"", "\"@target-uri\"", "\"@query\"", "\"x-any\"", "\"x-any\";bs"];
        let message = message.signed(&components, |parameters| {
            // The property needs the text for as long as the test runs.
            parameters.nonce = nonce.map(|text| &*text.leak());
        });
        prop_assert!(message.verified().is_ok());
    }

    #[test]
    fn no_text_makes_the_reader_panic_and_what_it_reads_it_writes_readably(text in "[ -~]{0,60}") {
        if let Ok(input) = Input::read(&text) {
            let mut out = Vec::new();
            base::write_parameters(&mut out, &input);
            let written = String::from_utf8(out).unwrap();
            let again = Input::read(&written).unwrap();
            prop_assert_eq!(again.text, Some(written.as_bytes()), "it is canonical");
            prop_assert_eq!(again, input);
        }
    }

    #[test]
    fn what_the_reader_takes_a_general_parser_takes_and_writes_alike(
        text in "\\(( ?\"[a-z@-]{1,6}\"(;sf|;bs|;key=\"[a-z]\")? ?){0,3}\\)(;[a-z]{1,4}(=[0-9]{1,4}|=\"[a-z\\\\]{0,3}\"|=\\?[01]|=[a-z]{1,3})?){0,3}"
    ) {
        if let Ok(input) = Input::read(&text) {
            let mut out = Vec::new();
            base::write_parameters(&mut out, &input);
            let general: sfv::List = sfv::Parser::new(&text).parse().unwrap();
            let written = sfv::FieldType::serialize(&general).unwrap();
            prop_assert_eq!(input.text, Some(text.as_bytes()).filter(|_| text == written));
            prop_assert_eq!(String::from_utf8(out).unwrap(), written);
        }
    }
}

#[test]
fn what_has_several_spellings_is_written_in_one() {
    for (text, canonical) in [
        ("(\"a\"  \"b\")", "(\"a\" \"b\")"),
        ("( \"a\")", "(\"a\")"),
        ("(\"a\" )", "(\"a\")"),
        ("( )", "()"),
        ("(\"a\"; sf)", "(\"a\";sf)"),
        ("(\"a\";sf=?1)", "(\"a\";sf)"),
        ("();x=?1", "();x"),
        ("(); x", "();x"),
        ("();created=01", "();created=1"),
        ("();x=-0", "();x=0"),
        ("();x=-1", "();x=-1"),
        ("();x=0", "();x=0"),
        ("();x=?0", "();x=?0"),
        ("();x=:YQ==:", "();x=:YQ==:"),
    ] {
        let input = Input::read(text).unwrap();
        assert_eq!(
            input.text,
            Some(text.as_bytes()).filter(|_| text == canonical),
            "{text}"
        );
        let mut out = Vec::new();
        base::write_parameters(&mut out, &input);
        assert_eq!(String::from_utf8(out).unwrap(), canonical);
    }
}

#[test]
fn a_signature_that_cannot_be_read_is_not_repeated() {
    let mut message = full();
    message.set("signature-input", "sig1=();created=1;keyid=\"k\"");
    for written in [
        "sig1=canary+canary+canary=",
        "sig1=\"canary\"",
        "sig1=:canary",
    ] {
        message.set("signature", written);
        let Err(Refused::Malformed(told)) = Presented::read(&message.received()) else {
            panic!("{written} is read");
        };
        assert!(
            told.contains("between two `:`") && !told.contains("canary"),
            "{told}"
        );
    }
}

#[test]
fn an_empty_nonce_is_told_and_not_taken_for_a_replay() {
    let told = super::read::Input::read("();created=1;nonce=\"\"").unwrap_err();
    assert!(told.contains("`nonce` is empty"), "{told}");
}
