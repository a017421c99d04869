//! What the standards print, and other implementations' cases, through the library and the running gateway.

use crate::harness::caller::content_digest;
use crate::harness::{Gateway, Request, Setup, Upstream, caller};
use http::{HeaderMap, HeaderValue};
use portcullis::schemes::digest::{BodyCheck, BodyProof, CONTENT_DIGEST, Digests};
use serde_json::Value;

macro_rules! vectors {
    ($file:literal) => {
        serde_json::from_str::<Value>(include_str!(concat!("vectors/", $file))).unwrap()
    };
}

/// RFC 9421, B.2.5 as bytes: HMAC over `date`, `@authority`, `content-type`.
fn b_2_5() -> (Request, i64) {
    (request_of("B.2.5"), SIGNED_AT)
}

/// When the requests of appendix B.2 were signed.
const SIGNED_AT: i64 = 1_618_884_473;

/// A request of the appendix with its signature.
fn request_of(id: &str) -> Request {
    let cases = vectors!("rfc9421/cases.json");
    let case = cases["cases"]
        .as_array()
        .unwrap()
        .iter()
        .find(|case| case["id"] == id)
        .unwrap();
    let message = &case["message"];
    let mut request = Request::new("POST", message["target"].as_str().unwrap())
        .authority("example.com")
        .body(message["body"].as_str().unwrap());
    for field in message["headers"].as_array().unwrap() {
        let (name, value) = (field[0].as_str().unwrap(), field[1].as_str().unwrap());
        if !["Host", "Content-Length"].contains(&name) {
            request = request.field(name, value);
        }
    }
    request
        .field("Signature-Input", case["signature_input"].as_str().unwrap())
        .field("Signature", case["signature"].as_str().unwrap())
}

fn gateway_of_the_standard(upstream: &Upstream, route: &str) -> Gateway {
    let keys = vectors!("rfc9421/keys.json");
    let secret = keys["test-shared-secret"]["secret_base64"]
        .as_str()
        .unwrap();
    let setup = Setup::before(upstream).route(route).more(
        "[apps.standard]\nkeys = [{ id = \"test-shared-secret\", algorithm = \"hmac-sha256\", secret = \"file:standard.key\" }]",
    );
    setup.write_secret("standard.key", format!("base64:{secret}").as_bytes());
    Gateway::start_at(setup, b_2_5().1)
}

#[test]
fn the_signature_of_rfc_9421_b_2_5_holds_and_covers_too_little() {
    let upstream = Upstream::start();
    let gateway = gateway_of_the_standard(&upstream, "");
    gateway
        .send(&b_2_5().0)
        .assert_refused(401, "coverage-missing");
    upstream.assert_silent();

    let waived = ["method", "path", "query", "body"]
        .map(|part| {
            format!(
                "{{ part = \"{part}\", until = 2030-01-01, reason = \"the standard's example\" }}"
            )
        })
        .join(", ");
    let gateway = gateway_of_the_standard(&upstream, &format!("waive = [{waived}]"));
    gateway.send(&b_2_5().0).assert_passed();
    gateway.send(&b_2_5().0).assert_refused(401, "replayed");
    for (name, value) in [
        ("Date", "Tue, 20 Apr 2021 02:07:56 GMT"),
        ("Content-Type", "application/jsom"),
    ] {
        let changed = b_2_5().0.change(name, |_| value.into());
        gateway
            .send(&changed)
            .assert_refused(401, "credential-rejected");
    }
}

/// A gateway with the key pairs of the appendix, at the time of its signatures.
fn gateway_of_the_pairs(upstream: &Upstream, waived: &[&str]) -> Gateway {
    let keys = vectors!("rfc9421/keys.json");
    let waivers: Vec<_> = waived
        .iter()
        .map(|part| {
            format!(
                "{{ part = \"{part}\", until = 2030-01-01, reason = \"the standard's example\" }}"
            )
        })
        .collect();
    let list = [
        ("test-key-rsa-pss", "rsa-pss-sha512"),
        ("test-key-ecc-p256", "ecdsa-p256-sha256"),
        ("test-key-ed25519", "ed25519"),
    ];
    let entries = list
        .map(|(id, algorithm)| {
            format!("{{ id = \"{id}\", algorithm = \"{algorithm}\", public_key = \"file:{id}\" }}")
        })
        .join(", ");
    let setup = Setup::before(upstream)
        .route(&format!("waive = [{}]", waivers.join(", ")))
        .more(&format!("[apps.standard]\nkeys = [{entries}]"));
    for (id, _) in list {
        let pem = keys[id]["public_pem"].as_str().unwrap();
        setup.write_secret(id, pem.as_bytes());
    }
    Gateway::start_at(setup, SIGNED_AT)
}

#[test]
fn the_signatures_by_key_pairs_of_rfc_9421_appendix_b_hold() {
    let upstream = Upstream::start();
    let strict = gateway_of_the_pairs(&upstream, &[]);
    // What each leaves out, and a field that each covers.
    for (id, waived, covered) in [
        ("B.2.2", &["method", "path", "query"][..], "Content-Digest"),
        ("B.2.3", &[], "Date"),
        ("B.2.6", &["query", "body"], "Date"),
    ] {
        let request = request_of(id);
        if waived.is_empty() {
            assert!(request.query().is_some() && request.body.is_some());
        } else {
            strict
                .send(&request)
                .assert_refused(401, "coverage-missing");
        }
        let gateway = gateway_of_the_pairs(&upstream, waived);
        let changed = request.clone().change(covered, |value| {
            value
                .replace("02:07:55", "02:07:56")
                .replace("sha-512=:W", "sha-512=:X")
        });
        gateway
            .send(&changed)
            .assert_refused(401, "credential-rejected");
        gateway.send(&request).assert_passed();
        gateway.send(&request).assert_refused(401, "replayed");
    }
    // It covers nothing, and that can be waived; what arrives is then not what was signed.
    let minimal = request_of("B.2.1");
    strict
        .send(&minimal)
        .assert_refused(401, "coverage-missing");
    let all = ["method", "authority", "path", "query", "body"];
    let open = gateway_of_the_pairs(&upstream, &all);
    open.send(&minimal).assert_passed();
    let changed = minimal.change("Signature-Input", |input| {
        input.replace("nonce=\"b", "nonce=\"c")
    });
    open.send(&changed)
        .assert_refused(401, "credential-rejected");
    assert_eq!(upstream.heard().len(), 4);
}

#[test]
fn sample_digests_of_rfc_9530_hold_and_its_deprecated_ones_do_not_count() {
    let samples = vectors!("rfc9530/sample_values.json");
    let mut safe = 0;
    for sample in samples["values"].as_array().unwrap() {
        let algorithm = sample["algorithm"].as_str().unwrap();
        let field = format!("{algorithm}={}", sample["value"].as_str().unwrap());
        let content = sample["content"].as_str().unwrap();
        let mut fields = HeaderMap::new();
        fields.insert(CONTENT_DIGEST, HeaderValue::from_str(&field).unwrap());
        let read = Digests::read(&fields);
        if !["sha-256", "sha-512"].contains(&algorithm) {
            assert!(read.is_err(), "{algorithm} was taken for safe");
            continue;
        }
        safe += 1;
        let digests = read.unwrap().expect("a digest");
        assert!(holds(&digests, content.as_bytes()), "{algorithm}");
        for at in 0..content.len() {
            let mut changed = content.as_bytes().to_vec();
            changed[at] ^= 1;
            assert!(!holds(&digests, &changed), "{algorithm}: byte {at} changed");
        }
        assert!(!holds(&digests, &content.as_bytes()[1..]), "{algorithm}");
    }
    assert_eq!(safe, 2);
}

#[test]
fn digests_of_rfc_9530_examples_hold() {
    let examples = vectors!("rfc9530/examples.json");
    let mut checked = 0;
    for example in examples["examples"].as_array().unwrap() {
        for check in example["checkable"].as_array().unwrap_or(&Vec::new()) {
            let content = check["content"].as_str().unwrap();
            let value = format!(
                "{}=:{}:",
                check["algorithm"].as_str().unwrap(),
                check["value"].as_str().unwrap()
            );
            let mut fields = HeaderMap::new();
            fields.insert(CONTENT_DIGEST, HeaderValue::from_str(&value).unwrap());
            let digests = Digests::read(&fields).unwrap().expect("a digest");
            assert!(holds(&digests, content.as_bytes()), "{}", example["id"]);
            checked += 1;
        }
    }
    assert!(checked > 3, "{checked} examples");
}

fn holds(digests: &Digests, body: &[u8]) -> bool {
    let mut check = BodyCheck::new(&BodyProof::Digests(digests.clone()));
    // In two parts, as it may arrive.
    let (first, second) = body.split_at(body.len() / 2);
    check.update(first);
    check.update(second);
    check.finish().is_ok()
}

#[test]
fn structured_fields_are_reserialized_as_their_working_group_says() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    let mut tried = 0;
    for cases in [
        vectors!("structured-fields/dictionary.json"),
        vectors!("structured-fields/param-dict.json"),
        vectors!("structured-fields/examples.json"),
    ] {
        for case in cases.as_array().unwrap() {
            // A dictionary: what `priority` is registered as.
            let lines: Vec<_> = case["raw"]
                .as_array()
                .unwrap()
                .iter()
                .map(|line| line.as_str().unwrap())
                .collect();
            let plain = lines
                .iter()
                .all(|line| line.bytes().all(|b| (0x20..0x7f).contains(&b)));
            if case["header_type"] != "dictionary" || !plain {
                continue;
            }
            // Of a name that stands twice the standard keeps one; who keeps the other reads what nobody signed.
            let is_twofold = case["name"] == "duplicate key dictionary";
            let fails = case["must_fail"] == true || is_twofold;
            if case["can_fail"] == true {
                continue;
            }
            let canonical = case["canonical"]
                .as_array()
                .or(case["raw"].as_array())
                .unwrap();
            let canonical = canonical
                .first()
                .and_then(Value::as_str)
                .unwrap_or_default();
            if canonical.is_empty() && !fails {
                // An empty dictionary has no serialization.
                continue;
            }
            let mut request = gateway.request("GET", "/");
            for line in &lines {
                request = request.field("Priority", line);
            }
            let signer = caller()
                .covering(&["@method", "@target-uri", "\"priority\";sf"])
                .value("\"priority\";sf", canonical);
            let response = gateway.send(&signer.sign(&request));
            let wanted = if fails { 400..402 } else { 200..201 };
            assert!(
                wanted.contains(&response.status),
                "{}: {lines:?} as {canonical}: {} {}",
                case["name"],
                response.status,
                response.text()
            );
            tried += 1;
        }
    }
    assert!(tried > 30, "{tried} cases");
}

#[test]
fn macs_of_wycheproof_are_accepted_where_they_are_right() {
    for (algorithm, file) in [
        ("hmac-sha256", vectors!("wycheproof/hmac_sha256_test.json")),
        ("hmac-sha512", vectors!("wycheproof/hmac_sha512_test.json")),
    ] {
        let mut tried = 0;
        for group in file["testGroups"].as_array().unwrap() {
            let bits = group["tagSize"].as_u64().unwrap();
            for test in group["tests"].as_array().unwrap() {
                let hex = |name: &str| {
                    data_encoding::HEXLOWER
                        .decode(test[name].as_str().unwrap().as_bytes())
                        .unwrap()
                };
                let (secret, message, tag) = (hex("key"), hex("msg"), hex("tag"));
                let algorithm = portcullis::crypto::Algorithm::from_name(algorithm).unwrap();
                let secret = portcullis::secret::Secret::new(secret);
                let Ok(key) = portcullis::crypto::HmacKey::new(algorithm, &secret) else {
                    // Short keys are refused before anything is verified with them.
                    assert!(group["keySize"].as_u64().unwrap() < 256);
                    continue;
                };
                // A truncated tag is never one of ours, be it right.
                let whole = bits == algorithm_bits(algorithm.name());
                let right = test["result"] == "valid" && whole;
                assert_eq!(
                    key.verify(&message, &tag).is_some(),
                    right,
                    "{} {}",
                    algorithm.name(),
                    test["tcId"]
                );
                tried += 1;
            }
        }
        assert!(tried > 100, "{tried} cases");
    }
}

fn algorithm_bits(name: &str) -> u64 {
    match name {
        "hmac-sha256" => 256,
        _ => 512,
    }
}

#[test]
fn our_own_signer_and_the_tests_agree_on_a_digest() {
    assert_eq!(
        content_digest(b"{\"hello\": \"world\"}"),
        "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:"
    );
}

#[test]
fn every_folder_of_vectors_is_listed_with_who_reads_it() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/vectors");
    let page = std::fs::read_to_string(folder.join("README.md")).unwrap();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let is_listed = page.contains(&format!("| `{name}` |"));
        assert_eq!(is_listed, entry.path().is_dir(), "{name}");
    }
}
