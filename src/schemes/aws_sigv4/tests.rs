//! AWS's own suites, what must be refused, and bodies in pieces.

mod cost;

use super::chunked::{BadChunks, Decoder, MAX_CHUNK_HEAD, MAX_TRAILER};
use super::credential::MAX_COVERED;
use super::forms::Forms;
use super::read::{MAX_PARAMETERS, Presented};
use super::sign::{Parameters, presign, presigned_query, sign};
use super::{EMPTY_SHA256, UNSIGNED_PAYLOAD, text, verify};
use crate::apps::{App, Key, Registry, Scheme, SchemeSet};
use crate::clock::{Clock, Now};
use crate::crypto::aws4::{DayKey, Scope};
use crate::crypto::digest::sha256;
use crate::crypto::{Algorithm, HmacKey};
use crate::route::{Part, Route, SigV4, SignedPath, Waiver};
use crate::schemes::digest::BodyProof;
use crate::schemes::freshness::Freshness;
use crate::schemes::received::{Malformed, Received, Surroundings};
use crate::schemes::signed::Rules;
use crate::schemes::{Assurance, Caller, Refused, Why, tests};
use crate::secret::Secret;
use bytes::Bytes;
use data_encoding::{BASE64, HEXLOWER};
use http::{HeaderMap, HeaderValue, Method, Uri};
use proptest::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// `20150830T123600Z`.
const NOW: i64 = 1_440_938_160;
const DATE: &str = "20150830T123600Z";
const SECRET: &[u8] = b"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// A request in owned parts.
#[derive(Clone, Debug)]
struct Message {
    method: Method,
    uri: Uri,
    fields: HeaderMap,
    body: Vec<u8>,
}

impl Message {
    fn new(method: &str, target: &str, fields: &[(&str, &str)], body: &[u8]) -> Self {
        Self {
            method: method.parse().unwrap(),
            uri: target.parse().unwrap(),
            fields: tests::fields(fields),
            body: body.to_vec(),
        }
    }

    /// A GET with what every proof needs.
    fn get(target: &str) -> Self {
        let fields = [("host", "example.com"), ("x-amz-date", DATE)];
        Self::new("GET", target, &fields, b"")
    }

    fn put(body: &[u8]) -> Self {
        let mut message = Self::get("/");
        message.method = Method::PUT;
        message.body = body.to_vec();
        message
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.fields
            .insert(name, HeaderValue::from_str(value).unwrap());
        self
    }

    fn received(&self) -> Result<Received<'_>, Malformed> {
        let around = Surroundings {
            tls: false,
            http2: false,
            has_body: !self.body.is_empty(),
            public_url: None,
        };
        Received::read(&self.method, &self.uri, &self.fields, around)
    }

    fn verdict(&self, gate: &Gate) -> Result<Caller, Refused> {
        let hash = sha256(&[&self.body]);
        gate.verdict(&self.received().unwrap().with_body_hash(Some(&hash)))
    }

    /// As [`Message::verdict`], before its body has been read.
    fn by_head(&self, gate: &Gate) -> Result<Caller, Refused> {
        gate.verdict(&self.received().unwrap())
    }

    /// The same, signed by the key `AKIDEXAMPLE`.
    fn signed(self, names: &str, payload: &str) -> Self {
        let parameters = parameters(names, payload);
        let value = {
            let received = self.received().unwrap();
            sign(&received, &parameters, &key(SECRET)).unwrap().value
        };
        self.with("authorization", &value)
    }
}

fn parameters<'a>(names: &'a str, payload: &'a str) -> Parameters<'a> {
    Parameters {
        key_id: "AKIDEXAMPLE",
        region: "us-east-1",
        service: "service",
        time: NOW,
        signed: names,
        payload,
    }
}

fn key(secret: &[u8]) -> HmacKey {
    HmacKey::new(Algorithm::HmacSha256, &Secret::new(secret.to_vec())).unwrap()
}

struct Gate {
    registry: Registry,
    route: Route,
    freshness: Freshness,
    explain: bool,
    now: Now,
}

impl Gate {
    fn verdict(&self, received: &Received<'_>) -> Result<Caller, Refused> {
        let presented = Presented::read(received, &self.route)?.ok_or(Refused::Missing)?;
        let rules = Rules {
            registry: &self.registry,
            freshness: self.freshness,
            explain: self.explain,
        };
        verify(&presented, received, &self.route, rules, self.now)
    }

    fn new() -> Self {
        let app = Arc::new(App::new("app"));
        let one = |id: &str, mac: HmacKey, schemes| Key {
            schemes,
            ..Key::new(id, app.clone(), mac)
        };
        let long = Secret::new(vec![7; 64]);
        let sha512 = HmacKey::new(Algorithm::HmacSha512, &long).unwrap();
        let tokens = SchemeSet::from_iter([Scheme::Token]);
        let keys = vec![
            one("AKIDEXAMPLE", key(SECRET), SchemeSet::of_keys()),
            one("other", key(&[8; 32]), SchemeSet::of_keys()),
            one("a/b", key(SECRET), SchemeSet::of_keys()),
            one("long", sha512, SchemeSet::of_keys()),
            one("narrow", key(SECRET), tokens),
        ];
        Self {
            registry: Registry::new(vec![app.clone()], keys, 1).unwrap(),
            route: Route::any("any"),
            freshness: Freshness::USUAL,
            explain: false,
            now: at(NOW),
        }
    }

    fn waiving(part: Part) -> Self {
        let mut gate = Self::new();
        gate.route.waivers.push(Waiver {
            part,
            until: i64::MAX,
            reason: "a test".to_owned(),
        });
        gate
    }

    fn taking(sigv4: SigV4) -> Self {
        let mut gate = Self::new();
        gate.route.sigv4 = sigv4;
        gate
    }
}

fn at(unix: i64) -> Now {
    Clock::by_hand(u64::try_from(unix).unwrap()).0.now()
}

fn why(refused: Result<Caller, Refused>) -> Why {
    match refused {
        Err(Refused::Rejected { why, .. }) => why,
        other => panic!("{other:?}"),
    }
}

fn malformed(refused: Result<Caller, Refused>) -> String {
    match refused {
        Err(Refused::Malformed(what)) => what,
        other => panic!("{other:?}"),
    }
}

// AWS's suites.

fn suites() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/vectors/aws-sigv4")
}

/// Folders of cases, those within folders too.
fn folders(at: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(at).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(folders(&path));
            all.push(path);
        }
    }
    all.sort();
    all
}

/// A request as the suites write it, before anyone has judged its target.
struct Raw {
    method: String,
    target: String,
    fields: Vec<(String, String)>,
    body: String,
}

impl Raw {
    fn read(text: &str) -> Self {
        let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
        let mut lines = head.lines();
        let first = lines.next().unwrap();
        let (method, rest) = first.split_once(' ').unwrap();
        let target = rest.strip_suffix(" HTTP/1.1").unwrap();
        let fields = lines.map(|line| {
            let (name, value) = line.split_once(':').unwrap();
            (name.to_owned(), value.trim().to_owned())
        });
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            fields: fields.collect(),
            body: body.to_owned(),
        }
    }

    /// `None` where its target is none that a server takes.
    fn message(&self) -> Option<Message> {
        let _: Uri = self.target.parse().ok()?;
        let fields: Vec<(&str, &str)> = self
            .fields
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        let message = Message::new(&self.method, &self.target, &fields, self.body.as_bytes());
        message.received().is_ok().then_some(message)
    }
}

/// How a case of the suites ended.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sum {
    passed: usize,
    only_their_text: usize,
    ambiguous: usize,
}

impl Sum {
    /// Holds one signed request against its canonical request and string to sign.
    fn add(&mut self, name: &str, signed: &Raw, canonical: &str, to_sign: &str) {
        let Some(message) = signed.message() else {
            return self.add_target(name, signed, canonical);
        };
        // Where their signers have merged empty segments, all must sign so.
        let merged = |path: &str| message.received().unwrap().path().raw() != path;
        let is_merged = canonical.lines().nth(1).is_some_and(merged);
        let gate = if is_merged && message.received().unwrap().path().raw().contains("//") {
            Gate::taking(only_encoded_again())
        } else {
            Gate::new()
        };
        let caller = message
            .verdict(&gate)
            .unwrap_or_else(|why| panic!("{name}: {why:?}"));
        assert_eq!(caller.key_id().map(|id| &**id), Some("AKIDEXAMPLE"));
        assert_eq!(caller.assurance(), Assurance::Signed);
        let hash = sha256(&[&message.body]);
        let received = message.received().unwrap().with_body_hash(Some(&hash));
        let presented = Presented::read(&received, &gate.route).unwrap().unwrap();
        let forms = Forms::of(&received, presented.in_query, &gate.route.sigv4);
        let mut fields = Vec::new();
        text::write_fields(&mut fields, &received, &presented.signed).unwrap();
        let payloads = super::verify::payloads(&presented, &received, false).unwrap();
        let ours = forms.all().map(|(path, query)| {
            let mut out = Vec::new();
            text::write_front(&mut out, &received, path, query);
            out.extend_from_slice(&fields);
            out.extend_from_slice(payloads.first().as_bytes());
            String::from_utf8(out).unwrap()
        });
        let ours: Vec<String> = ours.collect();
        assert!(
            ours.iter().any(|text| text == canonical),
            "{name}: {ours:#?}"
        );
        let scope = presented.credential.scope_text();
        let text = text::string_to_sign(&presented.time.text, scope, &[canonical.as_bytes()]);
        assert_eq!(String::from_utf8(text).unwrap(), to_sign, "{name}");
        each_change_is_refused(name, &message, &gate);
        self.passed += 1;
    }

    /// Of a target that no server takes, the part that we make anew.
    fn add_target(&mut self, name: &str, signed: &Raw, canonical: &str) {
        let target = &signed.target;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let has_dots = path.split('/').any(|segment| matches!(segment, "." | ".."));
        if has_dots {
            let uri: Uri = target.parse().unwrap();
            let fields = HeaderMap::from_iter([(
                http::header::HOST,
                HeaderValue::from_static("example.amazonaws.com"),
            )]);
            let around = Surroundings {
                tls: false,
                http2: false,
                has_body: false,
                public_url: None,
            };
            let refused = Received::read(&Method::GET, &uri, &fields, around);
            assert!(matches!(refused, Err(Malformed::Path(_))), "{name}");
            self.ambiguous += 1;
            return;
        }
        let mut lines = canonical.lines().skip(1);
        assert_eq!(
            super::forms::encoded_again(path),
            lines.next().unwrap(),
            "{name}"
        );
        if !query.contains("X-Amz-") {
            let ours = super::forms::encoded(query, *b"%2B").unwrap();
            assert_eq!(ours, lines.next().unwrap(), "{name}");
        }
        self.only_their_text += 1;
    }
}

fn each_change_is_refused(name: &str, message: &Message, gate: &Gate) {
    let refused = |what: &str, changed: Message| {
        let refused = changed.verdict(gate);
        assert!(refused.is_err(), "{name}: {what}");
    };
    let mut changed = message.clone();
    changed.method = Method::PATCH;
    refused("method", changed);
    let target = message.uri.to_string();
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let mut changed = message.clone();
    changed.uri = format!("{path}x?{query}").parse().unwrap();
    refused("path", changed);
    for more in ["x=1", "&x", "a=b&"] {
        let mut changed = message.clone();
        changed.uri = format!("{path}?{more}{query}").parse().unwrap();
        refused(more, changed);
    }
    for field in message.fields.keys() {
        if ["authorization", "content-length"].contains(&field.as_str()) {
            continue;
        }
        let mut changed = message.clone();
        let value = changed.fields.get_mut(field).unwrap();
        *value = HeaderValue::from_bytes(&[value.as_bytes(), b"x"].concat()).unwrap();
        if changed.received().is_ok() {
            refused(field.as_str(), changed);
        }
        let mut changed = message.clone();
        changed.fields.remove(field);
        if changed.received().is_ok() {
            refused(field.as_str(), changed);
        }
    }
    refused(
        "a field of AWS's",
        message.clone().with("x-amz-acl", "public"),
    );
    let mut changed = message.clone();
    changed.body.push(b'x');
    // Where its hash is told, the body is held against it on its way.
    if !message.fields.contains_key("x-amz-content-sha256") {
        refused("body", changed);
    }
}

#[test]
fn the_suite_in_its_old_layout_holds() {
    let mut sum = Sum::default();
    for folder in folders(&suites().join("aws4_testsuite")) {
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let file = |kind: &str| std::fs::read_to_string(folder.join(format!("{name}.{kind}")));
        let Ok(signed) = file("sreq") else {
            continue;
        };
        let (canonical, to_sign) = (file("creq").unwrap(), file("sts").unwrap());
        let mut signed = Raw::read(&signed);
        if name == "post-sts-header-after" {
            // The token was added behind the signer's back.
            let refused = signed.message().unwrap().verdict(&Gate::new()).unwrap_err();
            assert_eq!(refused, Refused::coverage(["x-amz-security-token"]));
            continue;
        }
        let value = file("authz").unwrap();
        let shown = signed
            .fields
            .iter()
            .position(|(name, _)| name == "Authorization");
        let shown = shown.unwrap();
        if signed.fields[shown].1 != value.trim() {
            // The suite's own slip: this signature is of nothing.
            assert_eq!(name, "get-vanilla-with-session-token");
            let refused = signed.message().unwrap().verdict(&Gate::new());
            assert_eq!(why(refused), Why::WrongSignature);
        }
        signed.fields[shown].1 = value.trim().to_owned();
        sum.add(&name, &signed, &canonical, &to_sign);
    }
    assert_eq!(
        sum,
        Sum {
            passed: 19,
            only_their_text: 2,
            ambiguous: 2
        }
    );
}

#[test]
fn the_suite_in_its_new_layout_holds_in_both_forms() {
    for (form, wanted) in [("header", [18, 3, 4]), ("query", [18, 3, 4])] {
        let mut sum = Sum::default();
        for folder in folders(&suites().join("aws-c-auth-v4")) {
            let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
            let file = |kind: &str| {
                std::fs::read_to_string(folder.join(format!("{form}-{kind}.txt"))).unwrap()
            };
            let signed = Raw::read(&file("signed-request"));
            if name == "post-sts-header-after" {
                let refused = signed.message().unwrap().verdict(&Gate::new()).unwrap_err();
                if form == "header" {
                    assert_eq!(refused, Refused::coverage(["x-amz-security-token"]));
                } else {
                    assert_eq!(why(Err(refused)), Why::WrongSignature);
                }
                continue;
            }
            sum.add(
                &name,
                &signed,
                &file("canonical-request"),
                &file("string-to-sign"),
            );
        }
        let [passed, only_their_text, ambiguous] = wanted;
        assert_eq!(
            sum,
            Sum {
                passed,
                only_their_text,
                ambiguous
            },
            "{form}"
        );
    }
}

// What a strict reader refuses.

#[test]
fn a_proof_is_read_strictly() {
    let good = Message::get("/").signed("host;x-amz-date", EMPTY_SHA256);
    assert!(good.verdict(&Gate::new()).is_ok());
    let value = good.fields["authorization"].to_str().unwrap().to_owned();
    let (front, signature) = value.split_once("Signature=").unwrap();
    for (changed, what) in [
        (
            format!("{front}Signature={}", signature.to_uppercase()),
            "lower case",
        ),
        (format!("{front}Signature={}", &signature[..62]), "64"),
        (format!("{front}Signature={signature}00"), "64"),
        (format!("{front}Signature="), "needed"),
        (format!("{value}, Signature={signature}"), "twice"),
        (format!("{value}, X=1"), "not known"),
        (
            value.replace("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"),
            "not accepted",
        ),
        (
            value.replace("host;x-amz-date", "x-amz-date;host"),
            "sorted",
        ),
        (
            value.replace("host;x-amz-date", "host;host;x-amz-date"),
            "sorted",
        ),
        (
            value.replace("host;x-amz-date", "Host;x-amz-date"),
            "lower case",
        ),
        (
            value.replace("host;x-amz-date", "host;;x-amz-date"),
            "lower case",
        ),
        (value.replace("host;x-amz-date", ""), "needed"),
        (value.replace("/aws4_request", ""), "Credential"),
        (
            value.replace("/aws4_request", "/aws5_request"),
            "Credential",
        ),
        (value.replace("/20150830/", "/2015083/"), "Credential"),
        (value.replace("/20150830/", "/20150831/"), "the day of"),
        (value.replace("AKIDEXAMPLE/", "/"), "Credential"),
        (value.replace("/service/", "/se rvice/"), "Credential"),
        ("AWS4-HMAC-SHA256".to_owned(), "NAME=VALUE"),
    ] {
        let refused = good
            .clone()
            .with("authorization", &changed)
            .verdict(&Gate::new());
        let told = malformed(refused);
        assert!(told.contains(what), "{changed}: {told}");
    }
    let many: Vec<String> = (0..=MAX_COVERED).map(|at| format!("x{at:03}")).collect();
    let many = value.replace("host;x-amz-date", &many.join(";"));
    let refused = good
        .clone()
        .with("authorization", &many)
        .verdict(&Gate::new());
    assert!(malformed(refused).contains("more than 64"));
    // Another family's word is somebody else's.
    let other = good.with("authorization", "Bearer x").verdict(&Gate::new());
    assert!(matches!(other, Err(Refused::Missing)));
}

#[test]
fn two_proofs_are_one_too_many() {
    let query = presigned_query(&parameters("host", EMPTY_SHA256), 60);
    let target = format!("/?{query}&X-Amz-Signature={}", "0".repeat(64));
    let both = Message::get(&target).signed("host;x-amz-date", EMPTY_SHA256);
    assert!(malformed(both.verdict(&Gate::new())).contains("send one"));
}

#[test]
fn a_query_of_too_many_parameters_is_not_sorted() {
    let target = format!("/?{}", vec!["a"; MAX_PARAMETERS].join("&"));
    let good = Message::get(&target).signed("host;x-amz-date", EMPTY_SHA256);
    assert!(good.verdict(&Gate::new()).is_ok());
    let target = format!("{target}&a");
    let bad = Message::get(&target).signed("host;x-amz-date", EMPTY_SHA256);
    assert!(malformed(bad.verdict(&Gate::new())).contains("256"));
}

#[test]
fn what_is_there_must_be_covered() {
    let good = Message::get("/");
    for (name, value) in [
        ("x-amz-meta-colour", "red"),
        ("x-amz-security-token", "x"),
        ("x-amz-content-sha256", EMPTY_SHA256),
        (
            "content-digest",
            "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:",
        ),
        ("digest", "x"),
        ("portcullis-token", "x"),
    ] {
        let with = good.clone().with(name, value);
        let bare = with.clone().signed("host;x-amz-date", EMPTY_SHA256);
        let refused = bare.verdict(&Gate::new()).unwrap_err();
        assert_eq!(refused, Refused::coverage([name]));
        let mut names = ["host", "x-amz-date", name];
        names.sort_unstable();
        let covered = with.signed(&names.join(";"), EMPTY_SHA256);
        assert!(covered.verdict(&Gate::new()).is_ok(), "{name}");
    }
    let refused = good.clone().signed("x-amz-date", EMPTY_SHA256);
    let refused = refused.verdict(&Gate::new()).unwrap_err();
    assert_eq!(refused, Refused::coverage(["host"]));
    let refused = good.signed("host", EMPTY_SHA256).verdict(&Gate::new());
    assert_eq!(refused.unwrap_err(), Refused::coverage(["x-amz-date"]));
    let absent = Message::get("/").with("x-a", "1");
    let mut absent = absent.signed("host;x-a;x-amz-date", EMPTY_SHA256);
    absent.fields.remove("x-a");
    let refused = absent.verdict(&Gate::new()).unwrap_err();
    assert_eq!(refused, Refused::Absent("x-a".to_owned()));
}

#[test]
fn date_may_tell_the_time_where_it_is_signed() {
    let mut message = Message::get("/").with("date", "Sun, 30 Aug 2015 12:36:00 GMT");
    message.fields.remove("x-amz-date");
    let good = message.clone().signed("date;host", EMPTY_SHA256);
    assert!(good.verdict(&Gate::new()).is_ok());
    let refused = message.signed("host", EMPTY_SHA256).verdict(&Gate::new());
    assert_eq!(refused.unwrap_err(), Refused::coverage(["date"]));
}

#[test]
fn an_unsigned_hash_is_taken_where_the_route_says_so_and_is_held_against_the_body() {
    let gate = Gate::taking(SigV4 {
        unsigned_content_sha256: true,
        ..SigV4::default()
    });
    let hash = HEXLOWER.encode(&sha256(&[b"{}"]));
    let signed = Message::put(b"{}").signed("host;x-amz-date", &hash);
    let good = signed.clone().with("x-amz-content-sha256", &hash);
    assert!(good.verdict(&gate).is_ok());
    assert!(good.verdict(&Gate::new()).is_err());
    let other = HEXLOWER.encode(&sha256(&[b"[]"]));
    let bad = signed.clone().with("x-amz-content-sha256", &other);
    assert_eq!(why(bad.verdict(&gate)), Why::WrongSignature);
    for word in [UNSIGNED_PAYLOAD, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"] {
        let bad = signed.clone().with("x-amz-content-sha256", word);
        let bad = bad.with("x-amz-decoded-content-length", "2");
        assert!(bad.verdict(&gate).is_err());
    }
}

#[test]
fn an_unsigned_body_passes_by_waiver_alone() {
    let names = "host;x-amz-content-sha256;x-amz-date";
    let put = Message::put(b"{}").with("x-amz-content-sha256", UNSIGNED_PAYLOAD);
    let put = put.signed(names, UNSIGNED_PAYLOAD);
    let refused = put.verdict(&Gate::new()).unwrap_err();
    assert_eq!(refused, Refused::coverage(["body"]));
    let caller = put.verdict(&Gate::waiving(Part::Body)).unwrap();
    assert_eq!(*caller.body(), BodyProof::Unproven);
    // Where there is none, nothing is left open.
    let get = Message::get("/").with("x-amz-content-sha256", UNSIGNED_PAYLOAD);
    let mut get = get.signed(names, UNSIGNED_PAYLOAD);
    assert_eq!(*get.verdict(&Gate::new()).unwrap().body(), BodyProof::Empty);
    get.body = b"added".to_vec();
    assert!(get.verdict(&Gate::new()).is_err());
}

#[test]
fn a_body_without_a_hash_is_asked_for_after_all_that_is_cheap() {
    let hash = HEXLOWER.encode(&sha256(&[b"{}"]));
    let put = Message::put(b"{}").signed("host;x-amz-date", &hash);
    let gate = Gate::new();
    assert_eq!(put.by_head(&gate).unwrap_err(), Refused::Unread);
    let caller = put.verdict(&gate).unwrap();
    assert!(matches!(caller.body(), BodyProof::Digests(_)));
    let mut late = Gate::new();
    late.now = at(NOW + 301);
    assert!(matches!(put.by_head(&late), Err(Refused::Skew { .. })));
    let bare = put.clone().with("x-amz-acl", "public");
    assert!(matches!(bare.by_head(&gate), Err(Refused::Coverage(_))));
    // Who it claims to be makes no difference.
    let value = put.fields["authorization"].to_str().unwrap();
    let nobody = value.replace("AKIDEXAMPLE", "nobody");
    let nobody = put.clone().with("authorization", &nobody);
    assert_eq!(nobody.by_head(&gate).unwrap_err(), Refused::Unread);
    let mut changed = put;
    changed.body = b"[]".to_vec();
    assert_eq!(why(changed.verdict(&gate)), Why::WrongSignature);
}

#[test]
fn only_a_key_for_it_proves_a_request() {
    let good = Message::get("/").signed("host;x-amz-date", EMPTY_SHA256);
    let value = good.fields["authorization"].to_str().unwrap();
    for (id, reason) in [
        ("nobody", Why::UnknownKey),
        ("other", Why::WrongSignature),
        ("long", Why::WrongAlgorithm),
        ("narrow", Why::KeyNotForScheme),
    ] {
        let value = value.replace("AKIDEXAMPLE", id);
        let refused = good
            .clone()
            .with("authorization", &value)
            .verdict(&Gate::new());
        assert_eq!(why(refused), reason);
    }
    let value = value.replace("AKIDEXAMPLE", "a/b");
    let caller = good.with("authorization", &value).verdict(&Gate::new());
    assert_eq!(caller.unwrap().key_id().map(|id| &**id), Some("a/b"));
}

#[test]
fn a_days_key_is_kept_for_those_alone_who_have_it() {
    let good = Message::get("/").signed("host;x-amz-date", EMPTY_SHA256);
    let mut bad = good.clone();
    bad.method = Method::PUT;
    let gate = Gate::new();
    let scope = Scope {
        date: "20150830",
        region: "us-east-1",
        service: "service",
    };
    let key = gate.registry.key("AKIDEXAMPLE").unwrap();
    let keys = key.mac().unwrap().aws().unwrap();
    assert!(bad.verdict(&gate).is_err());
    assert!(keys.kept(scope).is_none());
    assert!(good.verdict(&gate).is_ok());
    assert!(keys.kept(scope).is_some());
    assert!(good.verdict(&gate).is_ok());
    assert!(bad.verdict(&gate).is_err());
}

#[test]
fn region_and_service_are_any_or_those_that_are_named() {
    let good = Message::get("/").signed("host;x-amz-date", EMPTY_SHA256);
    for (regions, services, passes) in [
        (&[][..], &[][..], true),
        (&["eu-central-1", "us-east-1"][..], &[][..], true),
        (&[][..], &["service"][..], true),
        (&["eu-central-1"][..], &[][..], false),
        (&[][..], &["s3"][..], false),
        (&["us-east-1"][..], &["s3"][..], false),
    ] {
        let list = |names: &[&str]| names.iter().map(|name| (*name).into()).collect();
        let gate = Gate::taking(SigV4 {
            regions: list(regions),
            services: list(services),
            ..SigV4::default()
        });
        let verdict = good.verdict(&gate);
        if passes {
            assert!(verdict.is_ok());
        } else {
            assert!(
                malformed(verdict).contains("region"),
                "{regions:?} {services:?}"
            );
        }
    }
}

// Forms of the target.

fn forms(target: &str, settings: &SigV4) -> (Vec<String>, Vec<String>) {
    let message = Message::get(target);
    let received = message.received().unwrap();
    let forms = Forms::of(&received, false, settings);
    let owned = |list: Vec<std::borrow::Cow<'_, str>>| -> Vec<String> {
        list.into_iter().map(std::borrow::Cow::into_owned).collect()
    };
    (owned(forms.paths), owned(forms.queries))
}

#[test]
fn a_plain_target_has_one_form() {
    for target in ["/", "/orders/7", "/orders?a=1&b=2", "/a?a=%20&b=%C3%A9"] {
        let (paths, queries) = forms(target, &SigV4::default());
        assert_eq!((paths.len(), queries.len()), (1, 1), "{target}");
    }
}

#[test]
fn a_target_has_the_forms_that_signers_give_it() {
    let any = SigV4::default();
    let plus = SigV4 {
        plus_is_space: true,
        ..SigV4::default()
    };
    for (target, settings, paths, queries) in [
        (
            "/caf%C3%A9",
            &any,
            vec!["/caf%25C3%25A9", "/caf%C3%A9"],
            vec![""],
        ),
        ("/a:b", &any, vec!["/a%3Ab", "/a:b"], vec![""]),
        ("/a%2520b", &any, vec!["/a%252520b"], vec![""]),
        ("/a;b", &any, vec!["/a%3Bb", "/a;b"], vec![""]),
        ("/a%3Bb", &any, vec!["/a%253Bb"], vec![""]),
        ("/a%3bb", &any, vec!["/a%253bb"], vec![""]),
        ("/?b=2&a=1", &any, vec!["/"], vec!["a=1&b=2", "b=2&a=1"]),
        ("/?a", &any, vec!["/"], vec!["a=", "a"]),
        ("/?q=a:b", &any, vec!["/"], vec!["q=a:b", "q=a%3Ab"]),
        ("/?q=a+b", &any, vec!["/"], vec!["q=a+b", "q=a%2Bb"]),
        (
            "/?q=a+b",
            &plus,
            vec!["/"],
            vec!["q=a+b", "q=a%2Bb", "q=a%20b"],
        ),
        ("/?q=%c3%a9", &any, vec!["/"], vec!["q=%c3%a9", "q=%C3%A9"]),
        ("/?q=%zz", &any, vec!["/"], vec!["q=%zz"]),
        (
            "/?a-b=1&a=2",
            &any,
            vec!["/"],
            vec!["a=2&a-b=1", "a-b=1&a=2"],
        ),
    ] {
        let (ours, theirs) = forms(target, settings);
        assert_eq!(ours, paths, "{target}");
        assert_eq!(theirs, queries, "{target}");
    }
    for (path, wanted) in [
        (SignedPath::AsSent, "/a%2520b"),
        (SignedPath::EncodedAgain, "/a%252520b"),
    ] {
        let settings = SigV4 {
            path,
            ..SigV4::default()
        };
        assert_eq!(forms("/a%2520b", &settings).0, [wanted]);
    }
}

#[test]
fn a_signature_for_one_path_does_not_stand_for_the_one_that_is_encoded_twice() {
    // Signed the general way: what is signed is `/a%2520b`.
    let signed = Message::get("/a%20b").signed("host;x-amz-date", EMPTY_SHA256);
    assert!(signed.verdict(&Gate::new()).is_ok());
    let mut other = signed;
    other.uri = "/a%2520b".parse().unwrap();
    assert_eq!(why(other.verdict(&Gate::new())), Why::WrongSignature);
}

fn only_encoded_again() -> SigV4 {
    SigV4 {
        path: SignedPath::EncodedAgain,
        ..SigV4::default()
    }
}

#[test]
fn a_signature_for_one_path_does_not_stand_for_the_one_with_an_empty_segment() {
    let signed = Message::get("/b/k").signed("host;x-amz-date", EMPTY_SHA256);
    let mut other = signed.clone();
    other.uri = "/b//k".parse().unwrap();
    assert_eq!(why(other.verdict(&Gate::new())), Why::WrongSignature);
    // Where all callers sign so, it is what they write.
    let merging = Gate::taking(only_encoded_again());
    assert!(other.verdict(&merging).is_ok() && signed.verdict(&merging).is_ok());
    for (target, wanted) in [
        ("/b//k", &["/b//k"][..]),
        ("/b//k:v", &["/b//k%3Av", "/b//k:v"]),
        ("/b//%3Bk", &["/b//%253Bk"]),
    ] {
        assert_eq!(forms(target, &SigV4::default()).0, wanted, "{target}");
    }
}

#[test]
fn keys_of_s3_that_look_encoded_twice_are_signed_as_sent_where_the_route_takes_that_alone() {
    let as_sent = SigV4 {
        path: SignedPath::AsSent,
        ..SigV4::default()
    };
    for (path, again) in [("/b/a%3Bb", "/b/a%253Bb"), ("/b/50%2541", "/b/50%252541")] {
        assert_eq!(forms(path, &as_sent).0, [path]);
        // Where others may sign too, it would stand for `/b/a;b` as they write it.
        assert_eq!(forms(path, &SigV4::default()).0, [again]);
    }
}

#[test]
fn how_much_is_hashed_for_one_request_has_a_bound() {
    let long = "x".repeat(7 * 1024);
    let target = format!("/a:b?z=1&q=a+b:{long}");
    let message = Message::get(&target).with("x-long", &"y".repeat(20 * 1024));
    let settings = SigV4 {
        plus_is_space: true,
        ..SigV4::default()
    };
    let received = message.received().unwrap();
    let forms = Forms::of(&received, false, &settings);
    assert_eq!((forms.paths.len(), forms.queries.len()), (2, 4));
    // The last of them is not tried.
    let last = Parameters {
        service: "s3",
        ..parameters("host;x-amz-date;x-long", EMPTY_SHA256)
    };
    let value = sign(&received, &last, &key(SECRET)).unwrap().value;
    let late = message.clone().with("authorization", &value);
    assert_eq!(
        why(late.verdict(&Gate::taking(settings))),
        Why::WrongSignature
    );
}

// Presigned URLs.

fn presigned(target: &str, life: u32, payload: &str) -> Message {
    let parameters = parameters("host", payload);
    let query = presigned_query(&parameters, life);
    let joint = if target.contains('?') { '&' } else { '?' };
    let target = format!("{target}{joint}{query}");
    let mut message = Message::get(&target);
    message.fields.remove("x-amz-date");
    let received = message.received().unwrap();
    let made = presign(&received, &parameters, &key(SECRET)).unwrap();
    message.uri = format!("{target}&X-Amz-Signature={}", made.value)
        .parse()
        .unwrap();
    message
}

#[test]
fn a_presigned_url_lives_as_long_as_it_says_and_the_route_lets_it() {
    let url = presigned("/a?b=1", 600, EMPTY_SHA256);
    for (later, passes) in [
        (0, true),
        (600, true),
        (601, false),
        (-30, true),
        (-31, false),
    ] {
        let mut gate = Gate::new();
        gate.now = at(NOW + later);
        assert_eq!(url.verdict(&gate).is_ok(), passes, "{later}");
    }
    let mut gate = Gate::new();
    gate.now = at(NOW + 601);
    let refused = url.verdict(&gate).unwrap_err();
    assert_eq!(refused, Refused::Expired { at: NOW + 600 });
    let long = presigned("/", 3601, EMPTY_SHA256);
    assert!(malformed(long.verdict(&Gate::new())).contains("at most 3600"));
    let caller = url.verdict(&Gate::new()).unwrap();
    assert_eq!(caller.proof().unwrap().last_second, NOW + 600);
    let mut gate = Gate::new();
    gate.route.sigv4.presigned = Duration::from_secs(599);
    assert!(url.verdict(&gate).is_err());
}

#[test]
fn a_presigned_url_covers_the_body_or_that_there_is_none() {
    for payload in [EMPTY_SHA256, UNSIGNED_PAYLOAD] {
        let mut url = presigned("/", 60, payload);
        assert!(url.verdict(&Gate::new()).is_ok());
        url.method = Method::PUT;
        assert!(url.verdict(&Gate::new()).is_err());
        url.method = Method::GET;
        url.body = b"added".to_vec();
        assert!(url.verdict(&Gate::new()).is_err());
    }
    let hash = HEXLOWER.encode(&sha256(&[b"{}"]));
    let mut url = presigned("/", 60, &hash);
    url.body = b"{}".to_vec();
    assert!(url.verdict(&Gate::new()).is_ok());
    let mut url = presigned("/", 60, UNSIGNED_PAYLOAD);
    url.body = b"{}".to_vec();
    assert_eq!(
        url.verdict(&Gate::new()).unwrap_err(),
        Refused::coverage(["body"])
    );
    assert!(url.verdict(&Gate::waiving(Part::Body)).is_ok());
}

/// As `presigned`, for `service`, with a body of which the URL tells nothing.
fn presigned_for(service: &str, payload: &str, body: &[u8]) -> Message {
    let of = |payload| Parameters {
        service,
        ..parameters("host", payload)
    };
    let target = format!("/?{}", presigned_query(&of(EMPTY_SHA256), 60));
    let mut message = Message::get(&target);
    message.method = Method::PUT;
    message.body = body.to_vec();
    message.fields.remove("x-amz-date");
    let received = message.received().unwrap();
    let made = presign(&received, &of(payload), &key(SECRET)).unwrap();
    message.uri = format!("{target}&X-Amz-Signature={}", made.value)
        .parse()
        .unwrap();
    message
}

#[test]
fn where_the_body_is_waived_a_presigned_url_may_sign_it_all_the_same() {
    let hash = HEXLOWER.encode(&sha256(&[b"{}"]));
    let (plain, waived) = (Gate::new(), Gate::waiving(Part::Body));
    for service in ["service", "s3"] {
        let mut signed = presigned_for(service, &hash, b"{}");
        assert!(signed.verdict(&plain).is_ok(), "{service}");
        assert!(signed.verdict(&waived).is_ok(), "{service}");
        // One that is too long to be read, or may be, is refused as it stands.
        for length in [None, Some("1048577")] {
            let long = signed.clone();
            let long = match length {
                Some(length) => long.with("content-length", length),
                None => long,
            };
            assert_eq!(why(long.by_head(&waived)), Why::WrongSignature);
        }
        signed = signed.with("content-length", "2");
        // The body is asked for where the head alone does not prove it, whoever it claims to be of.
        assert_eq!(signed.by_head(&waived).unwrap_err(), Refused::Unread);
        let mut nobody = signed.clone();
        let url = signed.uri.to_string().replace("AKIDEXAMPLE", "nobody");
        nobody.uri = url.parse().unwrap();
        assert_eq!(nobody.by_head(&waived).unwrap_err(), Refused::Unread);
        assert_eq!(why(nobody.verdict(&waived)), Why::UnknownKey);
        signed.body = b"[]".to_vec();
        assert_eq!(why(signed.verdict(&waived)), Why::WrongSignature);
    }
}

#[test]
fn where_the_body_is_waived_a_presigned_url_that_does_not_sign_it_passes_by_its_head() {
    let waived = Gate::waiving(Part::Body);
    for service in ["service", "s3"] {
        let unsigned = presigned_for(service, UNSIGNED_PAYLOAD, b"{}");
        assert!(unsigned.verdict(&Gate::new()).is_err(), "{service}");
        let caller = unsigned.by_head(&waived).unwrap();
        assert_eq!(*caller.body(), BodyProof::Unproven, "{service}");
        assert!(unsigned.verdict(&waived).is_ok(), "{service}");
    }
}

#[test]
fn a_presigned_url_is_read_strictly() {
    let url = presigned("/", 60, EMPTY_SHA256);
    let target = url.uri.to_string();
    for (from, to, what) in [
        ("X-Amz-Date=", "X-Amz-Dote=", "needed"),
        ("X-Amz-Expires=60", "X-Amz-Expires=0", "X-Amz-Expires"),
        ("X-Amz-Expires=60", "X-Amz-Expires=-60", "X-Amz-Expires"),
        ("X-Amz-Expires=60", "X-Amz-Expires=%36", "X-Amz-Expires"),
        ("X-Amz-Expires=60", "X-Amz-Expire%73=60", "escapes"),
        ("X-Amz-Expires=60", "%58-Amz-Expires=60", "escapes"),
        (
            "X-Amz-Expires=60",
            "X-Amz-Expires=60&X-Amz-Expires=60",
            "twice",
        ),
        (
            "X-Amz-Algorithm=AWS4",
            "X-Amz-Algorithm=AWS5",
            "not accepted",
        ),
        ("X-Amz-Date=2015", "X-Amz-Date=x015", "moment"),
        ("X-Amz-Signature=", "X-Amz-Signature=0", "64"),
        ("X-Amz-Signature=", "X-Amz-Signature=&x=", "needed"),
    ] {
        let mut changed = url.clone();
        changed.uri = target.replace(from, to).parse().unwrap();
        let told = malformed(changed.verdict(&Gate::new()));
        assert!(told.contains(what), "{to}: {told}");
    }
    let with = url.with("authorization", "Bearer of-the-user");
    let refused = with.verdict(&Gate::new()).unwrap_err();
    assert_eq!(refused, Refused::coverage(["authorization"]));
}

#[test]
fn where_no_life_is_said_it_is_that_of_any_proof() {
    let parameters = parameters("host", EMPTY_SHA256);
    let query = presigned_query(&parameters, 60).replace("&X-Amz-Expires=60", "");
    let mut message = Message::get(&format!("/?{query}"));
    message.fields.remove("x-amz-date");
    let received = message.received().unwrap();
    let made = presign(&received, &parameters, &key(SECRET)).unwrap();
    message.uri = format!("/?{query}&X-Amz-Signature={}", made.value)
        .parse()
        .unwrap();
    for (later, passes) in [(300, true), (301, false)] {
        let mut gate = Gate::new();
        gate.now = at(NOW + later);
        assert_eq!(message.verdict(&gate).is_ok(), passes);
    }
    // It is remembered for as long as it could be taken if the route took longer lives.
    let mut gate = Gate::new();
    gate.now = at(NOW);
    gate.route.sigv4.presigned = Duration::from_mins(1);
    let caller = message.verdict(&gate).unwrap();
    assert_eq!(caller.proof().unwrap().last_second, NOW + 300);
    gate.now = at(NOW + 61);
    assert!(message.verdict(&gate).is_err());
}

#[test]
fn a_route_that_does_not_accept_it_looks_at_none() {
    let mut gate = Gate::new();
    gate.route.accept = crate::route::Accept::Proven([Scheme::HttpSignature].into_iter().collect());
    for message in [
        Message::get("/").signed("host;x-amz-date", EMPTY_SHA256),
        presigned("/", 60, EMPTY_SHA256),
    ] {
        assert_eq!(message.verdict(&gate).unwrap_err(), Refused::Missing);
    }
}

#[test]
fn a_rejected_caller_that_may_see_it_sees_the_text_and_no_token() {
    let mut gate = Gate::new();
    gate.explain = true;
    let message = Message::get("/?b=2&a=1").with("x-amz-security-token", "of-the-user");
    let mut message = message.signed("host;x-amz-date;x-amz-security-token", EMPTY_SHA256);
    message.method = Method::PUT;
    match message.verdict(&gate) {
        Err(Refused::Rejected {
            explained: Some(explained),
            ..
        }) => {
            assert!(
                explained
                    .base
                    .starts_with("PUT\n/\na=1&b=2\nhost:example.com\n")
            );
            assert!(!explained.base.contains("of-the-user"));
        }
        other => panic!("{other:?}"),
    }
    let told = super::told_veiled("GET\n/\nX-Amz-Security-Token=of-the-user&a=1\n");
    assert!(!told.contains("of-the-user") && told.contains("&a=1\n"));
}

// Bodies in pieces.

struct Pieces {
    day: DayKey,
    previous: String,
    out: Vec<u8>,
}

impl Pieces {
    fn of(message: &Message) -> Self {
        let value = message.fields["authorization"].to_str().unwrap();
        Self {
            day: key(SECRET).aws().unwrap().derive(Scope {
                date: "20150830",
                region: "us-east-1",
                service: "service",
            }),
            previous: value.rsplit_once('=').unwrap().1.to_owned(),
            out: Vec::new(),
        }
    }

    fn sign(&mut self, kind: &str, rest: &str) -> String {
        let text = format!(
            "AWS4-HMAC-SHA256-{kind}\n{DATE}\n20150830/us-east-1/service/aws4_request\n{}\n{rest}",
            self.previous
        );
        self.previous = HEXLOWER.encode(self.day.sign(text.as_bytes()).as_bytes());
        self.previous.clone()
    }

    fn push(&mut self, data: &[u8]) {
        let hash = HEXLOWER.encode(&sha256(&[data]));
        let signature = self.sign("PAYLOAD", &format!("{EMPTY_SHA256}\n{hash}"));
        let head = format!("{:x};chunk-signature={signature}\r\n", data.len());
        self.out.extend_from_slice(head.as_bytes());
        self.out.extend_from_slice(data);
        if !data.is_empty() {
            self.out.extend_from_slice(b"\r\n");
        }
    }

    fn end(mut self, trailer: Option<&str>) -> Vec<u8> {
        self.push(b"");
        if let Some(line) = trailer {
            let hash = HEXLOWER.encode(&sha256(&[line.as_bytes(), b"\n"]));
            let signature = self.sign("TRAILER", &hash);
            let lines = format!("{line}\r\nx-amz-trailer-signature:{signature}\r\n");
            self.out.extend_from_slice(lines.as_bytes());
        }
        self.out.extend_from_slice(b"\r\n");
        self.out
    }
}

const SIGNED_CHUNKS: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
const SIGNED_TRAILER: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";
const UNSIGNED_TRAILER: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";

fn chunked_head(word: &str, length: usize, trailer: Option<&str>) -> Message {
    let mut message = Message::put(b"framed")
        .with("x-amz-content-sha256", word)
        .with("x-amz-decoded-content-length", &length.to_string());
    let mut names = "host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length".to_owned();
    if let Some(trailer) = trailer {
        message = message.with("x-amz-trailer", trailer);
        names.push_str(";x-amz-trailer");
    }
    message.signed(&names, word)
}

fn decoder(message: &Message, gate: &Gate) -> Decoder {
    match message.verdict(gate).unwrap().body() {
        BodyProof::Chunked(chunks) => Decoder::new(chunks.clone()),
        other => panic!("{other:?}"),
    }
}

/// What comes out of `body`, which arrives so many bytes at a time.
fn decode(mut decoder: Decoder, body: &[u8], step: usize) -> Result<Vec<u8>, BadChunks> {
    let mut out = Vec::new();
    for part in body.chunks(step) {
        let mut part = Bytes::copy_from_slice(part);
        while let Some(data) = decoder.next(&mut part)? {
            assert!(!data.is_empty());
            out.extend_from_slice(&data);
        }
        assert!(part.is_empty());
    }
    decoder.finish()?;
    Ok(out)
}

#[test]
fn a_digest_beside_a_body_in_pieces_is_refused_since_nobody_would_check_it() {
    let message = Message::put(b"framed")
        .with(
            "content-digest",
            "sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:",
        )
        .with("x-amz-content-sha256", SIGNED_CHUNKS)
        .with("x-amz-decoded-content-length", "6")
        .signed(
            "content-digest;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length",
            SIGNED_CHUNKS,
        );
    let Err(Refused::Malformed(why)) = message.verdict(&Gate::new()) else {
        panic!("it passes");
    };
    assert!(why.contains("`Content-Digest` stands beside"), "{why}");
}

/// What AWS's documentation prints of an upload in pieces to S3 ("Signature calculations for the
/// `Authorization` header: transferring payload in multiple chunks"), with and without a trailer.
#[test]
fn the_uploads_that_the_documentation_prints_hold() {
    let gate = |at_unix| {
        let mut gate = Gate::new();
        let app = gate.registry.apps()[0].clone();
        let secret = b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
        let one = Key {
            schemes: SchemeSet::of_keys(),
            ..Key::new("AKIAIOSFODNN7EXAMPLE", app.clone(), key(secret))
        };
        gate.registry = Registry::new(vec![app], vec![one], 1).unwrap();
        gate.now = at(at_unix);
        gate
    };
    // `20130524T000000Z`.
    let gate = gate(1_369_353_600);
    let common = [
        ("host", "s3.amazonaws.com"),
        ("x-amz-date", "20130524T000000Z"),
        ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ("content-encoding", "aws-chunked"),
        ("x-amz-decoded-content-length", "66560"),
    ];
    let names = "x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class";
    let credential = "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request";
    for (word, more, names, signatures, trailer) in [
        (
            SIGNED_CHUNKS,
            ("content-length", "66824"),
            format!("content-encoding;content-length;host;{names}"),
            [
                "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
                "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
                "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
                "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
            ],
            String::new(),
        ),
        (
            SIGNED_TRAILER,
            ("x-amz-trailer", "x-amz-checksum-crc32c"),
            format!("content-encoding;host;{names};x-amz-trailer"),
            [
                "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
                "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
                "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
                "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
            ],
            "x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n".to_owned(),
        ),
    ] {
        let [seed, first, second, last] = signatures;
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={seed}"
        );
        let mut fields = common.to_vec();
        fields.extend([
            ("x-amz-content-sha256", word),
            more,
            ("authorization", &authorization),
        ]);
        let head = Message::new("PUT", "/examplebucket/chunkObject.txt", &fields, b"framed");
        let (front, rest) = ("a".repeat(65_536), "a".repeat(1_024));
        let body = format!(
            "10000;chunk-signature={first}\r\n{front}\r\n400;chunk-signature={second}\r\n{rest}\r\n0;chunk-signature={last}\r\n{trailer}\r\n"
        );
        if trailer.is_empty() {
            assert_eq!(body.len(), 66_824);
        }
        let out = decode(decoder(&head, &gate), body.as_bytes(), 1_000).unwrap();
        assert_eq!(out.len(), 66_560);
    }
}

#[test]
fn signed_pieces_come_out_without_their_heads() {
    let gate = Gate::new();
    let head = chunked_head(SIGNED_CHUNKS, 11, None);
    let mut pieces = Pieces::of(&head);
    pieces.push(b"hello ");
    pieces.push(b"world");
    let body = pieces.end(None);
    for step in [1, 2, 3, 7, 100, 1_000] {
        let out = decode(decoder(&head, &gate), &body, step).unwrap();
        assert_eq!(out, b"hello world");
    }
    // No byte of it can be changed, and none be left away.
    for at in 0..body.len() {
        let mut changed = body.clone();
        changed[at] ^= 1;
        assert!(decode(decoder(&head, &gate), &changed, 64).is_err(), "{at}");
        assert!(
            decode(decoder(&head, &gate), &body[..at], 64).is_err(),
            "{at}"
        );
    }
    let more = [&body[..], b"x"].concat();
    assert!(decode(decoder(&head, &gate), &more, 64).is_err());
}

#[test]
fn pieces_cannot_change_places() {
    let gate = Gate::new();
    let head = chunked_head(SIGNED_CHUNKS, 4, None);
    let mut pieces = Pieces::of(&head);
    pieces.push(b"ab");
    let first = pieces.out.len();
    pieces.push(b"cd");
    let second = pieces.out.len();
    let body = pieces.end(None);
    let swapped = [&body[first..second], &body[..first], &body[second..]].concat();
    assert_eq!(
        decode(decoder(&head, &gate), &swapped, 64),
        Err(BadChunks::Signature("a piece of the body"))
    );
}

#[test]
fn where_that_is_only_observed_what_does_not_match_comes_out_and_is_noted() {
    let gate = Gate::new();
    let name = "x-amz-checksum-crc32c";
    let head = chunked_head(SIGNED_TRAILER, 9, Some(name));
    let mut pieces = Pieces::of(&head);
    pieces.push(b"123456789");
    let good = pieces.end(Some(&format!("{name}:4waSgw==")));
    let run = |body: &[u8]| {
        let mut decoder = decoder(&head, &gate).observing(true);
        let (mut rest, mut out) = (Bytes::copy_from_slice(body), Vec::new());
        while let Some(data) = decoder.next(&mut rest)? {
            out.extend_from_slice(&data);
        }
        decoder.finish().map(|()| (out, decoder.is_another()))
    };
    assert_eq!(run(&good).unwrap(), (b"123456789".to_vec(), false));
    let at = good
        .windows(9)
        .position(|nine| nine == b"123456789")
        .unwrap();
    let mut changed = good.clone();
    changed[at] = b'x';
    assert_eq!(run(&changed).unwrap(), (b"x23456789".to_vec(), true));
    let cut = run(&good[..good.len() - 2]);
    assert!(matches!(cut, Err(BadChunks::Framing(_))), "{cut:?}");
}

#[test]
fn a_signed_trailer_holds_the_checksum() {
    let gate = Gate::new();
    let name = "x-amz-checksum-crc32c";
    let head = chunked_head(SIGNED_TRAILER, 9, Some(name));
    let sum = BASE64.encode(&[0xe3, 0x06, 0x92, 0x83]);
    let body = |line: &str| {
        let mut pieces = Pieces::of(&head);
        pieces.push(b"123456789");
        pieces.end(Some(line))
    };
    let good = body(&format!("{name}:{sum}"));
    assert_eq!(
        decode(decoder(&head, &gate), &good, 5).unwrap(),
        b"123456789"
    );
    for at in 0..good.len() {
        let mut changed = good.clone();
        changed[at] ^= 1;
        assert!(decode(decoder(&head, &gate), &changed, 64).is_err(), "{at}");
    }
    let wrong = body(&format!("{name}:AAAAAA=="));
    let refused = decode(decoder(&head, &gate), &wrong, 64);
    assert!(matches!(refused, Err(BadChunks::Checksum(_))));
    let missing = body("x-amz-checksum-crc32:AAAAAA==");
    let refused = decode(decoder(&head, &gate), &missing, 64);
    assert!(matches!(refused, Err(BadChunks::Framing(_))));
    let mut unsigned = Pieces::of(&head);
    unsigned.push(b"123456789");
    let mut unsigned = unsigned.end(None);
    unsigned.truncate(unsigned.len() - 2);
    unsigned.extend_from_slice(format!("{name}:{sum}\r\n\r\n").as_bytes());
    let refused = decode(decoder(&head, &gate), &unsigned, 64);
    assert!(matches!(refused, Err(BadChunks::Framing(_))));
}

#[test]
fn an_unsigned_body_in_pieces_passes_by_waiver_and_is_held_against_its_checksum() {
    for (name, sum) in [
        ("x-amz-checksum-crc32", "cbf43926"),
        ("x-amz-checksum-crc32c", "e3069283"),
        ("x-amz-checksum-crc64nvme", "ae8b14860a799888"),
        (
            "x-amz-checksum-sha1",
            "f7c3bc1d808e04732adf679965ccc34ca7ae3441",
        ),
        (
            "x-amz-checksum-sha256",
            "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
        ),
        (
            "x-amz-checksum-sha512",
            "d9e6762dd1c8eaf6d61b3c6192fc408d4d6d5f1176d0c29169bc24e71c3f274ad27fcd5811b313d681f7e55ec02d73d499c95455b6b5bb503acf574fba8ffe85",
        ),
    ] {
        let head = chunked_head(UNSIGNED_TRAILER, 9, Some(name));
        let refused = head.verdict(&Gate::new()).unwrap_err();
        let word = "body (STREAMING-UNSIGNED-PAYLOAD-TRAILER)";
        assert_eq!(refused, Refused::coverage([word]));
        let gate = Gate::waiving(Part::Body);
        let sum = BASE64.encode(&HEXLOWER.decode(sum.as_bytes()).unwrap());
        let body = format!("4\r\n1234\r\n5\r\n56789\r\n0\r\n{name}:{sum}\r\n\r\n");
        assert_eq!(
            decode(decoder(&head, &gate), body.as_bytes(), 3).unwrap(),
            b"123456789"
        );
        let changed = body.replace("1234", "1235");
        let refused = decode(decoder(&head, &gate), changed.as_bytes(), 64);
        assert!(matches!(refused, Err(BadChunks::Checksum(_))), "{name}");
    }
    let head = Message::put(b"framed")
        .with("x-amz-content-sha256", UNSIGNED_TRAILER)
        .with("x-amz-decoded-content-length", "9")
        .signed(
            "host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length",
            UNSIGNED_TRAILER,
        );
    let told = malformed(head.verdict(&Gate::waiving(Part::Body)));
    assert!(told.contains("needs `X-Amz-Trailer`"), "{told}");
    for (announced, named) in [
        ("x-amz-checksum-xxhash3", "x-amz-checksum-xxhash3"),
        (&*"x".repeat(4_000), &*"x".repeat(40)),
    ] {
        let head = chunked_head(UNSIGNED_TRAILER, 9, Some(announced));
        let told = malformed(head.verdict(&Gate::waiving(Part::Body)));
        let begins = format!("`X-Amz-Trailer: {named}` names no checksum that is checked here: ");
        assert!(told.contains(&begins), "{told}");
    }
}

#[test]
fn a_body_in_pieces_is_bounded_and_as_long_as_it_says() {
    let name = "x-amz-checksum-crc32";
    let gate = Gate::waiving(Part::Body);
    let head = chunked_head(UNSIGNED_TRAILER, 4, Some(name));
    let told = |body: &str| decode(decoder(&head, &gate), body.as_bytes(), 16).unwrap_err();
    for body in ["5\r\n", "2\r\nab\r\n3\r\n", "2\r\nab\r\n0\r\n"] {
        assert_eq!(told(body), BadChunks::Length(4), "{body}");
    }
    let long = "0".repeat(MAX_CHUNK_HEAD);
    let trailer = format!("4\r\nabcd\r\n0\r\nx:{}", "y".repeat(MAX_TRAILER));
    let lines = format!(
        "4\r\nabcd\r\n0\r\n{}",
        "x:yyyyyyyyyy\r\n".repeat(MAX_TRAILER / 12 + 1)
    );
    for body in [
        long.as_str(),
        &trailer,
        &lines,
        "",
        "4",
        "4\r\nabc",
        "4\nabcd",
        "4 \r\nabcd",
        "+4\r\nabcd",
        "g\r\nabcd",
        "4;x=1\r\nabcd",
        "\r\nabcd",
        "1000000000000000\r\n",
        "4\r\nabcde\r\n",
        "4\r\nabcd0\r\n",
        "4\r\nabcd\r\n0\r\n\r\n",
        "4\r\nabcd\r\n0\r\nnothing\r\n\r\n",
    ] {
        assert!(matches!(told(body), BadChunks::Framing(_)), "{body}");
    }
    // Nothing comes out of a body whose length is not told, or twice.
    let untold = Message::put(b"x").with("x-amz-content-sha256", SIGNED_CHUNKS);
    let untold = untold.signed("host;x-amz-content-sha256;x-amz-date", SIGNED_CHUNKS);
    assert!(malformed(untold.verdict(&gate)).contains("Decoded-Content-Length"));
    let mut none = chunked_head(SIGNED_CHUNKS, 4, None);
    none.body.clear();
    assert!(malformed(none.verdict(&gate)).contains("there is none"));
}

proptest! {
    #[test]
    fn any_body_in_any_pieces_comes_out_as_it_was(
        data in proptest::collection::vec(any::<u8>(), 0..300),
        size in 1_usize..50,
        step in 1_usize..80,
    ) {
        let gate = Gate::new();
        let head = chunked_head(SIGNED_CHUNKS, data.len(), None);
        let mut pieces = Pieces::of(&head);
        for piece in data.chunks(size) {
            pieces.push(piece);
        }
        let body = pieces.end(None);
        prop_assert_eq!(decode(decoder(&head, &gate), &body, step).unwrap(), data);
    }

    #[test]
    fn what_is_told_to_be_encoded_is_what_encoding_only_sorts(
        query in prop_oneof!["[ab%2Ff=&+~]{0,12}", "([a-z]=(%[0-9A-Fa-f]{2}|[a-z.]){0,3}&?){0,4}"],
    ) {
        let sorted = super::forms::sorted(&query).into_owned();
        // Encoding writes the `=` that a name may lack.
        let pairs = super::read::pairs(&sorted).filter(|_| !query.is_empty());
        let pairs: Vec<String> = pairs.map(|(name, value)| format!("{name}={value}")).collect();
        let anew = super::forms::encoded(&query, *b"%2B");
        prop_assert_eq!(super::forms::is_encoded(&query), anew == Some(pairs.join("&")));
    }

    #[test]
    fn what_is_encoded_anew_stays_so(query in "[a-z%0-9A-F+&=:/ -]{0,60}") {
        if let Some(once) = super::forms::encoded(&query, *b"%2B") {
            prop_assert_eq!(super::forms::encoded(&once, *b"%2B"), Some(once));
        }
    }
}
