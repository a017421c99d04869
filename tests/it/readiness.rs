//! `portcullis readiness`: who would break, as the access log tells it.

use crate::harness::setup::SECRET;
use crate::harness::{Caller, Gateway, Setup, T0, Upstream, binary, caller};
use data_encoding::BASE64;
use portcullis::schemes::doctor::Mistake;
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

fn run(folder: &Path, args: &[&str], stdin: &[u8]) -> Ran {
    let mut child = Command::new(binary::program())
        .arg("readiness")
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // One that reads no input may be gone already.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran {
        code: output.status.code(),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

fn judge(args: &[&str], lines: &[Value]) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let log: Vec<String> = lines.iter().map(ToString::to_string).collect();
    run(folder.path(), args, log.join("\n").as_bytes())
}

fn report(args: &[&str], lines: &[Value]) -> (Option<i32>, Value) {
    let ran = judge(&[&["--json"], args].concat(), lines);
    let json = serde_json::from_str(&ran.out);
    (
        ran.code,
        json.unwrap_or_else(|_| panic!("{}{}", ran.out, ran.err)),
    )
}

/// A record of an observed request.
fn seen(time: &str, app: &str, would_refuse: Option<&str>) -> Value {
    let mut line = json!({
        "time": format!("2027-01-15T{time}.000Z"), "request_id": "00", "peer": "192.0.2.10", "route": "orders",
        "app": app, "key": format!("{app}-2026"), "status": 200, "observed": "route",
    });
    if let Some(code) = would_refuse {
        line["would_refuse"] = code.into();
    }
    line
}

#[test]
fn what_a_gateway_observed_is_told_with_what_to_change_until_nobody_would_break() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream)
        .server("workers = 1")
        .route("mode = \"observe\"\nscopes = [\"orders\"]")
        .app("scopes = [\"orders\"]");
    let gateway = Gateway::start(setup);
    let request = gateway.request("GET", "/orders/7");
    let wrong = caller().secret(b"some other secret of some length");
    for request in [
        caller().sign(&request),
        caller().at(T0 - 3600).sign(&request),
        caller().at(T0 - 7200).sign(&request),
        wrong.sign(&request),
        caller().key_id("nobody").sign(&request),
        Caller::other().sign(&request),
        request.clone(),
    ] {
        gateway.send(&request).assert_passed();
    }
    gateway.record(6);
    let log = gateway.log().text();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("access.log"), &log).unwrap();
    let ran = run(folder.path(), &["access.log"], b"");
    assert_eq!(ran.code, Some(1), "{}{}", ran.out, ran.err);
    for told in [
        "7 observed requests of 4 callers",
        "✗ app mobile, key mobile-2026",
        "would be refused 3 times of 4 requests, first 2027-01-15T08:00:00.000Z",
        "2 × clock-skew on route all",
        "7200 s apart",
        "set the caller's clock",
        "1 × credential-rejected (wrong-signature) on route all",
        "✗ app other, key other-2026",
        "1 × scope-missing",
        "✗ somebody with the unknown key nobody",
        "✗ somebody without a key at 127.0.0.1",
        "4 callers would break",
    ] {
        assert!(ran.out.contains(told), "{told}\n{}", ran.out);
    }
    let known = run(
        folder.path(),
        &["--known-only", "--json", "-"],
        log.as_bytes(),
    );
    assert_eq!(known.code, Some(1));
    let known: Value = serde_json::from_str(&known.out).unwrap();
    assert_eq!(known["callers"].as_array().unwrap().len(), 2);
    assert_eq!(known["callers"][0]["would_refuse"]["count"], 3);

    // Mended, and looked at from then on.
    gateway.advance(3600);
    gateway
        .send(&caller().at(T0 + 3600).sign(&request))
        .assert_passed();
    gateway.record(7);
    let log = gateway.log().text();
    let since = ["--since", "2027-01-15T09:00:00Z"];
    let ran = run(folder.path(), &since, log.as_bytes());
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    assert!(
        ran.out.contains("✓ app mobile, key mobile-2026, 1 request"),
        "{}",
        ran.out
    );
    assert!(ran.out.contains("nobody would break"), "{}", ran.out);
}

#[test]
fn who_is_asked_for_a_nonce_and_passes_then_would_not_break() {
    let asked = |app: &str| {
        let mut line = seen("08:00:00", app, Some("credential-missing"));
        line["would_reason"] = "nonce-missing".into();
        line
    };
    let passed = || seen("08:00:01", "a", None);
    let lines = [asked("a"), passed(), passed(), asked("a")];
    let (exit, told) = report(&[], &lines);
    assert_eq!(exit, Some(0), "{told}");
    let ran = judge(&[], &[asked("b"), asked("b")]);
    assert_eq!(ran.code, Some(1), "{}", ran.out);
    for told in ["2 times of 2", "the nonce that the answer gives"] {
        assert!(ran.out.contains(told), "{}", ran.out);
    }
}

#[test]
fn one_device_that_takes_nonces_does_not_hide_those_that_never_do() {
    let asked = || {
        let mut line = seen("08:00:00", "a", Some("credential-missing"));
        line["would_reason"] = "nonce-missing".into();
        line
    };
    let passed = || seen("08:00:01", "a", None);
    let (exit, told) = report(&[], &[asked(), asked(), passed(), asked()]);
    assert_eq!(exit, Some(1), "{told}");
    assert_eq!(told["callers"][0]["would_refuse"]["count"], 3, "{told}");
    // By another proof, as it may be, where no nonce is asked for.
    let mut elsewhere = passed();
    elsewhere["route"] = "elsewhere".into();
    let (exit, told) = report(&[], &[asked(), elsewhere]);
    assert_eq!(exit, Some(1), "{told}");
}

#[test]
fn a_record_counts_by_app_route_and_time() {
    let mut elsewhere = seen("09:00:00", "b", Some("replayed"));
    elsewhere["route"] = "elsewhere".into();
    let lines = [
        seen("08:00:00", "a", Some("clock-skew")),
        seen("08:30:00", "a", None),
        elsewhere,
        // Enforced, so that it breaks already, or does not.
        json!({ "time": "2027-01-15T08:00:00.000Z", "request_id": "00", "peer": "192.0.2.10", "code": "replayed" }),
    ];
    for (args, code, count) in [
        (&[][..], Some(1), 3),
        (&["--app", "a"], Some(1), 2),
        (
            &["--app", "a", "--since", "2027-01-15T08:10:00Z"],
            Some(0),
            1,
        ),
        (&["--route", "elsewhere"], Some(1), 1),
        (
            &["--route", "orders", "--since", "2027-01-15T08:30:00Z"],
            Some(0),
            1,
        ),
    ] {
        let (exit, report) = report(args, &lines);
        assert_eq!(exit, code, "{args:?}");
        assert_eq!(report["ready"], code == Some(0));
        assert_eq!(report["observed"]["count"], count, "{args:?}");
    }
    let (_, all) = report(&[], &lines);
    let first = &all["callers"][0];
    assert_eq!(
        (&first["app"], &first["key"]),
        (&json!("a"), &json!("a-2026"))
    );
    assert_eq!(first["requests"]["count"], 2);
    assert_eq!(first["would_refuse"]["first"], "2027-01-15T08:00:00.000Z");
    let reason = &first["reasons"][0];
    assert_eq!(
        (&reason["code"], &reason["route"]),
        (&json!("clock-skew"), &json!("orders"))
    );
    assert!(reason["hint"].as_str().unwrap().contains("clock"));
}

#[test]
fn callers_that_sign_wrongly_are_told_apart_by_their_mistake_with_what_is_right() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream)
        .server("workers = 1")
        .route("mode = \"observe\"")
        .app("explain = true");
    let gateway = Gateway::start(setup);
    let request = gateway.request("GET", "/orders?b=2&a=1");
    let sorted = ["@method", "@authority", "@path", "@query"];
    let sorted = caller().covering(&sorted).value("\"@query\"", "?a=1&b=2");
    let as_text = BASE64.encode(SECRET);
    for signer in [
        sorted.clone(),
        caller().secret(as_text.as_bytes()),
        sorted,
        caller().secret(b"some other secret of some length"),
        caller().at(T0 - 3600),
        caller().at(T0 * 1000),
    ] {
        gateway.send(&signer.sign(&request)).assert_passed();
    }
    gateway.record(5);
    let log = gateway.log().text();
    let folder = tempfile::tempdir().unwrap();
    let ran = run(folder.path(), &[], log.as_bytes());
    assert_eq!(ran.code, Some(1), "{}{}", ran.out, ran.err);
    for told in [
        "2 × credential-rejected (wrong-signature: query-sorted) on route all",
        Mistake::QuerySorted.says(),
        "1 × credential-rejected (wrong-signature: secret-as-text) on route all",
        Mistake::SecretAsText.says(),
        "1 × credential-rejected (wrong-signature) on route all",
        "where `explain` is on for the app",
        "1 × clock-skew (clock-offset) on route all",
        "3600 s apart",
        "widen `[freshness] window`",
        "1 × clock-skew (time-in-milliseconds) on route all",
        Mistake::Milliseconds.says(),
    ] {
        assert!(ran.out.contains(told), "{told}\n{}", ran.out);
    }
}

#[test]
fn every_mistake_that_a_record_names_has_its_hint_and_a_strangers_text_names_none() {
    let record = |app: &str, code: &str, reason: &str| {
        let mut record = seen("08:00:00", app, Some(code));
        record["would_reason"] = reason.into();
        record
    };
    let of_mistakes = Mistake::ALL.iter().map(|mistake| {
        let word = mistake.word();
        let reason = format!("wrong-signature: {word}");
        record(word, "credential-rejected", &reason)
    });
    let strangers = "`Authorization`: crlf";
    let of_another_release = "wrong-signature: of-another-release";
    let others = [
        record("strangers", "malformed-credential", strangers),
        record("new", "credential-rejected", of_another_release),
    ];
    let lines: Vec<Value> = of_mistakes.chain(others).collect();
    let (_, report) = report(&[], &lines);
    let callers = report["callers"].as_array().unwrap();
    let of = |app: &str| {
        let found = callers.iter().find(|one| one["app"] == app);
        found.unwrap()["reasons"][0].clone()
    };
    for mistake in Mistake::ALL {
        let told = of(mistake.word());
        assert_eq!(told["reason"], "wrong-signature", "{told}");
        assert_eq!(told["mistake"], mistake.word());
        // Of a clock there is more to say.
        if *mistake != Mistake::ClockOffset {
            assert_eq!(told["hint"], mistake.says());
        }
    }
    for (app, reason) in [("strangers", strangers), ("new", of_another_release)] {
        let told = of(app);
        assert_eq!(told["mistake"], Value::Null, "{told}");
        assert_eq!(told["example"], reason);
    }
}

#[test]
fn for_a_clock_that_is_ahead_the_bound_to_widen_is_named_too() {
    let mut ahead = seen("08:00:00", "a", Some("clock-skew"));
    ahead["would_reason"] =
        "The credential was made at 1800003600, it is 1800000000 here (3600 s apart)".into();
    let (_, report) = report(&[], &[ahead]);
    let hint = report["callers"][0]["reasons"][0]["hint"].as_str().unwrap();
    for bound in ["`[freshness] window`", "ahead, `skew`"] {
        assert!(hint.contains(bound), "{hint}");
    }
}

#[test]
fn where_nothing_can_be_said_it_is_not_said_that_all_is_well() {
    let enforced =
        json!({ "time": "2027-01-15T08:00:00.000Z", "request_id": "00", "peer": "192.0.2.10" });
    let lines = [seen("08:00:00", "a", None)];
    for (args, lines, told) in [
        (&[][..], &[][..], "no access record"),
        (&[], &[enforced], "none of 1 access records"),
        (&["--app", "b"], &lines, "fewer conditions"),
        (&["--since", "2028-01-01"], &lines, "fewer conditions"),
        (&["no-such.log"], &lines, "`no-such.log` cannot be read"),
        (&["--since", "yesterday"], &lines, "takes `30m`"),
    ] {
        let ran = judge(args, lines);
        assert_eq!(ran.code, Some(2), "{args:?} {}", ran.out);
        assert!(ran.err.contains(told), "{told}: {}", ran.err);
        assert_eq!(ran.out, "");
    }
}

#[test]
fn lines_of_others_are_passed_over_and_nothing_a_stranger_wrote_reaches_the_terminal() {
    let mut claiming = seen("08:00:00", "a", Some("credential-rejected"));
    let object = claiming.as_object_mut().unwrap();
    object.remove("app");
    object.remove("key");
    object.insert("claimed_key".into(), "k\u{1b}[2J\n".into());
    object.insert("would_reason".into(), "\u{1b}[31m a sentence".into());
    let endless = format!("{{\"time\":\"{}\"}}", "x".repeat(200_000));
    let log = format!("not json\n\n{endless}\n{{\"a\":1}}\n{claiming}\n");
    let folder = tempfile::tempdir().unwrap();
    let ran = run(folder.path(), &[], log.as_bytes());
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert!(!ran.out.contains('\u{1b}'), "{:?}", ran.out);
    assert!(ran.out.contains("3 lines passed over"), "{}", ran.out);
    assert!(
        ran.out.contains("1 observed request of 1 caller"),
        "{}",
        ran.out
    );
}

#[test]
fn a_named_file_without_a_record_is_told_unless_it_is_empty() {
    let folder = tempfile::tempdir().unwrap();
    let log = seen("08:00:00", "a", None).to_string();
    let compressed = b"\x1f\x8b\x08\x00\n\x00\xffnot what it was";
    for (name, content) in [
        ("access.log", log.as_bytes()),
        ("access.log.1.gz", &compressed[..]),
        ("fresh.log", &b""[..]),
        ("blank.log", &b"\n"[..]),
    ] {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    for args in [
        &["access.log", "access.log.1.gz"][..],
        &["--json", "access.log.1.gz", "access.log"],
        &["access.log.1.gz"],
    ] {
        let ran = run(folder.path(), args, b"");
        assert_eq!(ran.code, Some(2), "{args:?} {}", ran.out);
        assert_eq!(ran.out, "");
        for told in [
            "`access.log.1.gz` holds no access record",
            "`zcat access.log.1.gz | portcullis readiness -`",
        ] {
            assert!(ran.err.contains(told), "{told}: {}", ran.err);
        }
    }
    let files = ["fresh.log", "access.log", "blank.log"];
    let ran = run(folder.path(), &files, b"");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.out.contains("nobody would break"), "{}", ran.out);
}

#[test]
fn who_would_break_is_in_the_exit_code_though_nobody_reads_the_report() {
    let folder = tempfile::tempdir().unwrap();
    let log = seen("08:00:00", "a", Some("clock-skew")).to_string();
    std::fs::write(folder.path().join("access.log"), log).unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = Command::new(binary::program())
        .args(["readiness", "access.log"])
        .current_dir(folder.path())
        .stdout(writer)
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(1));
}

#[test]
fn strangers_without_end_take_no_room_from_apps_and_are_counted_all_the_same() {
    let mut log = String::new();
    for n in 0..12_000 {
        let mut line = seen("08:00:00", "a", Some("credential-rejected"));
        let object = line.as_object_mut().unwrap();
        object.remove("app");
        object.remove("key");
        object.insert("claimed_key".into(), format!("k{n}").into());
        log.push_str(&line.to_string());
        log.push('\n');
    }
    log.push_str(&seen("09:00:00", "late", Some("replayed")).to_string());
    let folder = tempfile::tempdir().unwrap();
    let ran = run(folder.path(), &["--json"], log.as_bytes());
    assert_eq!(ran.code, Some(1));
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    let callers = report["callers"].as_array().unwrap();
    assert_eq!(callers.len(), 5_001);
    assert!(callers.iter().any(|one| one["app"] == "late"));
    assert_eq!(report["beyond"]["count"], 7_000);
    let known = run(folder.path(), &["--json", "--known-only"], log.as_bytes());
    let report: Value = serde_json::from_str(&known.out).unwrap();
    assert_eq!(report["beyond"]["count"], 0);
}
