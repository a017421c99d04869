//! Callers who sign as for Kong, as for Apache APISIX, or after draft-cavage-http-signatures-12.

use crate::harness::pair::Pair;
use crate::harness::setup::SECRET;
use crate::harness::{Gateway, Request, Response, Setup, T0, Upstream, caller, h2};
use crate::signed_requests::assert_cookies_are_signed_as_forwarded;
use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::process::Command;

/// [`T0`], as callers write it.
const DATE: &str = "Fri, 15 Jan 2027 08:00:00 GMT";
const DIALECTS: [&str; 3] = ["kong", "apisix", "cavage-12"];

fn setup(upstream: &Upstream, dialect: &str) -> Setup {
    Setup::before(upstream).route(&format!(
        "accept = [\"http-signature\", \"token\", \"hmac-auth\"]\ndialect = \"{dialect}\""
    ))
}

fn start(dialect: &str) -> (Upstream, Gateway) {
    let upstream = Upstream::start();
    let gateway = setup(&upstream, dialect).start();
    (upstream, gateway)
}

fn mac(text: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET).unwrap();
    mac.update(text.as_bytes());
    BASE64.encode(&mac.finalize().into_bytes())
}

fn digest(body: &str) -> String {
    format!("SHA-256={}", BASE64.encode(&Sha256::digest(body)))
}

/// `request` with date, digest and proof; `more` is covered too. Written by hand for each dialect.
pub(crate) fn sign(dialect: &str, request: &Request, more: &[&str]) -> Request {
    sign_at(DATE, dialect, request, more)
}

fn sign_at(date: &str, dialect: &str, request: &Request, more: &[&str]) -> Request {
    let mut request = request.clone().field("Date", date);
    let mut names = vec!["date", "host"];
    if let Some(body) = &request.body {
        let text = String::from_utf8(body.clone()).unwrap();
        request = request.field("Digest", &digest(&text));
        names.push("digest");
    }
    names.extend(more);
    let (target, line) = match dialect {
        "kong" => (
            "request-line",
            format!("{} {} HTTP/1.1", request.method, request.target),
        ),
        "apisix" => (
            "@request-target",
            format!("{} {}", request.method, request.target),
        ),
        _ => (
            "(request-target)",
            format!(
                "(request-target): {} {}",
                request.method.to_lowercase(),
                request.target
            ),
        ),
    };
    let mut lines = vec![line];
    for name in &names {
        let value = match *name {
            "host" => request.authority.clone(),
            name => request.value(name).unwrap(),
        };
        lines.push(format!("{name}: {value}"));
    }
    let text = match dialect {
        "apisix" => format!("mobile-2026\n{}\n", lines.join("\n")),
        _ => lines.join("\n"),
    };
    let list = format!("{target} {}", names.join(" "));
    let signature = mac(&text);
    let value = match dialect {
        "kong" => format!(
            "hmac username=\"mobile-2026\", algorithm=\"hmac-sha256\", headers=\"{list}\", signature=\"{signature}\""
        ),
        _ => format!(
            "Signature keyId=\"mobile-2026\",algorithm=\"hmac-sha256\",headers=\"{list}\",signature=\"{signature}\""
        ),
    };
    request.field("Authorization", &value)
}

fn whole(gateway: &Gateway) -> Request {
    gateway
        .request("POST", "/orders/7?item=1&item=2")
        .field("X-Custom", "a, b")
        .body("{\"count\": 1}")
}

#[test]
fn recorded_requests_get_the_recorded_verdict() {
    let file: Value = serde_json::from_str(include_str!("vectors/hmac-auth/cases.json")).unwrap();
    assert_eq!(file["now"], T0);
    for dialect in DIALECTS {
        let upstream = Upstream::start();
        let gateway = setup(&upstream, dialect).start();
        let mut passed = 0;
        for case in file["cases"].as_array().unwrap() {
            if case["dialect"] != dialect {
                continue;
            }
            let shown = &case["request"];
            let text = |name: &str| shown[name].as_str().unwrap();
            let mut request = gateway
                .request(text("method"), text("target"))
                .authority(text("authority"));
            for field in shown["fields"].as_array().unwrap() {
                request = request.field(field[0].as_str().unwrap(), field[1].as_str().unwrap());
            }
            if let Some(body) = shown["body"].as_str() {
                request = request.body(body);
            }
            let response = gateway.send(&request);
            if case["verdict"] == "passes" {
                assert_eq!(response.status, 200, "{case}: {}", response.text());
                passed += 1;
            } else {
                let code = response.code();
                assert_eq!(
                    case["verdict"],
                    code.as_str(),
                    "{case}: {}",
                    response.text()
                );
            }
        }
        assert_eq!(upstream.heard().len(), passed);
        assert!(passed > 4, "{dialect}: {passed}");
    }
}

#[test]
fn a_signed_request_passes_and_the_backend_learns_who_signed_it() {
    for dialect in DIALECTS {
        let (upstream, gateway) = start(dialect);
        gateway
            .send(&sign(dialect, &whole(&gateway), &["x-custom"]))
            .assert_passed();
        let got = upstream.only();
        assert_eq!(got.target(), "/orders/7?item=1&item=2");
        assert_eq!(got.field("portcullis-scheme"), Some("hmac-auth"));
        assert_eq!(got.field("portcullis-assurance"), Some("signed"));
        assert_eq!(got.field("portcullis-key"), Some("mobile-2026"));
        // The proof ends here.
        assert_eq!(got.field("authorization"), None);
        assert_eq!(got.field("date"), Some(DATE));
    }
}

#[test]
fn a_proof_is_kept_where_the_route_says_so() {
    let upstream = Upstream::start();
    let gateway = setup(&upstream, "kong").route("keep_proof = true").start();
    let signed = sign("kong", &gateway.request("GET", "/"), &[]);
    gateway.send(&signed).assert_passed();
    assert_eq!(
        upstream.only().field("authorization").map(str::to_owned),
        signed.value("authorization")
    );
}

#[test]
fn the_users_own_authorization_passes_beside_the_proof() {
    let (upstream, gateway) = start("kong");
    let user = gateway
        .request("GET", "/")
        .field("Authorization", "Bearer of-the-user");
    let signed = sign("kong", &user, &["authorization"]);
    let proof = signed.fields.last().unwrap().1.clone();
    let moved = user
        .field("Date", DATE)
        .field("Proxy-Authorization", &proof);
    gateway.send(&moved).assert_passed();
    let got = upstream.only();
    assert_eq!(got.field("authorization"), Some("Bearer of-the-user"));
    assert_eq!(got.field("proxy-authorization"), None);
    let stolen = moved.change("Authorization", |_| "Bearer of-another".into());
    gateway
        .send(&stolen)
        .assert_refused(401, "credential-rejected");
}

#[test]
fn each_change_is_refused() {
    for dialect in DIALECTS {
        let (upstream, gateway) = start(dialect);
        let signed = sign(dialect, &whole(&gateway), &["x-custom"]);
        let refused = |what: &str, change: &dyn Fn(Request) -> Request, codes: &[&str]| {
            let response = gateway.send(&change(signed.clone()));
            assert!(
                codes.contains(&response.code().as_str()),
                "{dialect} {what}: {}",
                response.text()
            );
        };
        let rejected = &["credential-rejected"][..];
        for (what, changed) in signed.elsewhere() {
            refused(what, &|_| changed.clone(), rejected);
        }
        refused(
            "order of the query",
            &|r| r.target(|_| "/orders/7?item=2&item=1".into()),
            rejected,
        );
        refused("end", &|r| r.target(|it| format!("{it}&")), rejected);
        refused(
            "field",
            &|r| r.change("X-Custom", |_| "a,b".into()),
            rejected,
        );
        refused(
            "lost field",
            &|r| r.without("X-Custom"),
            &["coverage-missing"],
        );
        refused(
            "field twice",
            &|r| r.field("X-Custom", "c"),
            &["malformed-credential"],
        );
        refused(
            "date",
            &|r| r.change("Date", |at| at.replace(":00 ", ":01 ")),
            rejected,
        );
        refused(
            "body and digest",
            &|r| r.change("Digest", |_| digest("{}")).body("{}"),
            rejected,
        );
        refused(
            "signature",
            &|r| {
                r.change("Authorization", |value| {
                    value.replace("signature=\"", "signature=\"AAAA")
                })
            },
            rejected,
        );
        refused(
            "unknown key",
            &|r| {
                r.change("Authorization", |value| {
                    value.replace("mobile-2026", "mobile-2099")
                })
            },
            rejected,
        );
        refused(
            "another app's key",
            &|r| {
                r.change("Authorization", |value| {
                    value.replace("mobile-2026", "other-2026")
                })
            },
            rejected,
        );
        refused(
            "no proof",
            &|r| r.without("Authorization"),
            &["credential-missing"],
        );
        // It uses the request up, so it comes last.
        refused("body", &|r| r.body("{\"count\": 2}"), &["digest-mismatch"]);
        upstream.assert_silent();
    }
}

#[test]
fn a_request_that_changes_something_passes_once() {
    for dialect in DIALECTS {
        let (upstream, gateway) = start(dialect);
        let signed = sign(dialect, &whole(&gateway), &[]);
        gateway.send(&signed).assert_passed();
        gateway.send(&signed).assert_refused(401, "replayed");
        // Base64 has one spelling for the same bytes, and the text is what is remembered.
        let spelt = signed.change("Authorization", |value| value.replace(", ", ",  "));
        let again = gateway.send(&spelt);
        assert_eq!(again.code(), "replayed", "{}", again.text());
        assert_eq!(upstream.heard().len(), 1);
        let get = sign(dialect, &gateway.request("GET", "/orders"), &[]);
        gateway.send(&get).assert_passed();
        gateway.send(&get).assert_passed();
    }
}

#[test]
fn a_time_that_is_not_signed_does_not_make_a_proof_forgotten_sooner() {
    for unsigned in [format!("expires={T0}"), format!("created={}", T0 - 300)] {
        let (upstream, gateway) = start("cavage-12");
        let signed = sign("cavage-12", &whole(&gateway), &[]);
        let with = signed.clone().change("Authorization", |value| {
            value.replace(",headers", &format!(",{unsigned},headers"))
        });
        gateway.send(&with).assert_passed();
        // What it says would be over with both skews, were it signed.
        gateway.advance(62);
        gateway.send(&signed).assert_refused(401, "replayed");
        assert_eq!(upstream.heard().len(), 1);
    }
}

#[test]
fn a_proof_ends_with_its_window() {
    for dialect in DIALECTS {
        let (_upstream, gateway) = start(dialect);
        let signed = sign(dialect, &gateway.request("GET", "/orders"), &[]);
        gateway.advance(300);
        gateway.send(&signed).assert_passed();
        gateway.advance(1);
        let refused = gateway.send(&signed);
        refused.assert_refused(401, "clock-skew");
        assert_eq!(refused.json()["credential_time"], T0);
    }
}

#[test]
fn a_date_may_name_its_zone_as_the_libraries_of_callers_do_and_is_in_no_other() {
    for dialect in DIALECTS {
        let (upstream, gateway) = start(dialect);
        let dated = |zone: &str| {
            let date = DATE.replace("GMT", zone);
            let request = gateway.request("GET", "/orders");
            gateway.send(&sign_at(&date, dialect, &request, &[]))
        };
        for zone in ["GMT", "UTC", "+0000", "-0000"] {
            let response = dated(zone);
            assert_eq!(
                response.status,
                200,
                "{dialect} {zone}: {}",
                response.text()
            );
        }
        for zone in ["+0100", "+00:00", "EST", "Z"] {
            dated(zone).assert_refused(400, "malformed-credential");
        }
        assert_eq!(upstream.heard().len(), 4);
    }
}

#[test]
fn a_body_without_a_length_that_has_no_byte_is_none() {
    for dialect in DIALECTS {
        let (upstream, gateway) = start(dialect);
        let signed = |n: usize| {
            let request = gateway.request("POST", &format!("/orders/{n}"));
            sign(dialect, &request, &[])
        };
        gateway.send(&signed(1).body("").chunked()).assert_passed();
        let refused = gateway.send(&signed(2).body("x").chunked());
        refused.assert_refused(401, "coverage-missing");
        assert!(refused.text().contains("`digest`"), "{}", refused.text());
        let mut passed = 1;
        // The first line of Kong's names the version.
        if dialect != "kong" {
            let address = gateway.address();
            assert_eq!(h2::send(&signed(3).body(""), address).status, 200);
            assert_eq!(h2::send(&signed(4).body("x"), address).status, 401);
            passed += 1;
        }
        let heard = upstream.heard();
        assert_eq!(heard.len(), passed);
        assert!(heard.iter().all(|got| got.body.is_empty()));
    }
}

#[test]
fn an_unknown_key_and_a_wrong_signature_look_alike() {
    for dialect in DIALECTS {
        let (_upstream, gateway) = start(dialect);
        let signed = sign(dialect, &gateway.request("GET", "/orders"), &[]);
        let answer = |id: &str| {
            let changed = signed
                .clone()
                .change("Authorization", |value| value.replace("mobile-2026", id));
            gateway.send(&changed).seen()
        };
        assert_eq!(answer("mobile-2099"), answer("other-2026"));
    }
}

#[test]
fn a_route_without_a_dialect_takes_no_such_proof() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    for dialect in DIALECTS {
        let signed = sign(dialect, &gateway.request("GET", "/orders"), &[]);
        gateway
            .send(&signed)
            .assert_refused(401, "credential-missing");
    }
    upstream.assert_silent();
}

#[test]
fn the_other_schemes_of_a_route_stay() {
    for dialect in DIALECTS {
        let (_upstream, gateway) = start(dialect);
        let request = gateway
            .request("GET", "/orders")
            .field("Authorization", "Bearer of-the-user");
        gateway.send(&caller().sign(&request)).assert_passed();
        let both = caller().sign(&sign(dialect, &gateway.request("GET", "/orders"), &[]));
        gateway
            .send(&both)
            .assert_refused(400, "malformed-credential");
    }
}

#[test]
fn a_key_that_may_not_sign_so_is_rejected() {
    let upstream = Upstream::start();
    let setup = setup(&upstream, "kong").more(
        "[apps.narrow]\nkeys = [{ id = \"narrow\", algorithm = \"hmac-sha256\", secret = \"file:mobile.key\", schemes = [\"token\"] }]",
    );
    let gateway = setup.start();
    let signed = sign("kong", &gateway.request("GET", "/orders"), &[])
        .change("Authorization", |value| {
            value.replace("mobile-2026", "narrow")
        });
    gateway
        .send(&signed)
        .assert_refused(401, "credential-rejected");
}

#[test]
fn the_documentation_of_apisix_is_followed_where_the_route_waives_the_body() {
    let upstream = Upstream::start();
    let waive = "waive = [{ part = \"body\", until = 2030-01-01, reason = \"written after the documentation\" }]";
    let gateway = setup(&upstream, "apisix").route(waive).start();
    let text = format!("mobile-2026\nPOST /orders\ndate: {DATE}\n");
    let request = gateway
        .request("POST", "/orders")
        .field("Date", DATE)
        .field("Digest", &digest("{}"))
        .field("Authorization", &format!(
            "Signature keyId=\"mobile-2026\",algorithm=\"hmac-sha256\",headers=\"@request-target date\",signature=\"{}\"",
            mac(&text)
        ))
        .body("{}");
    gateway.send(&request).assert_passed();
}

#[test]
fn a_refused_caller_learns_what_to_cover() {
    for (dialect, challenge) in [
        (
            "kong",
            "hmac realm=\"portcullis\", headers=\"date request-line digest\"",
        ),
        (
            "apisix",
            "Signature realm=\"portcullis\", headers=\"date @request-target digest\"",
        ),
        (
            "cavage-12",
            "Signature realm=\"portcullis\", headers=\"date (request-target) host digest\"",
        ),
    ] {
        let (_upstream, gateway) = start(dialect);
        let response = gateway.send(&gateway.request("POST", "/orders").body("{}"));
        response.assert_refused(401, "credential-missing");
        let told = response.fields.iter();
        let mut told = told.filter(|(name, _)| name.eq_ignore_ascii_case("www-authenticate"));
        assert!(told.any(|(_, value)| value == challenge), "{dialect}");
    }
}

#[test]
fn over_http2_the_first_line_says_so_and_the_target_does_not() {
    let upstream = Upstream::start();
    let gateway = setup(&upstream, "kong").start();
    let authority = gateway.address().to_string();
    for (name, line) in [
        ("request-line", "GET /orders HTTP/2.0"),
        ("@request-target", "@request-target: get /orders"),
    ] {
        let text = format!("date: {DATE}\n{line}\nhost: {authority}");
        let request = gateway.request("GET", "/orders").field("Date", DATE).field(
            "Authorization",
            &format!(
                "hmac username=\"mobile-2026\", algorithm=\"hmac-sha256\", headers=\"date {name} host\", signature=\"{}\"",
                mac(&text)
            ),
        );
        assert_eq!(h2::send(&request, gateway.address()).status, 200, "{name}");
    }
}

#[test]
fn over_http_1_0_the_first_line_is_signed_as_over_http_1_1_and_who_signs_another_is_told_which() {
    let upstream = Upstream::start();
    let gateway = setup(&upstream, "kong").server("explain = true").start();
    let authority = gateway.address().to_string();
    let ask = |version: &str| {
        let text = format!("date: {DATE}\nGET /orders {version}\nhost: {authority}");
        let request = gateway.request("GET", "/orders").field("Date", DATE).field(
            "Authorization",
            &format!(
                "hmac username=\"mobile-2026\", algorithm=\"hmac-sha256\", headers=\"date request-line host\", signature=\"{}\"",
                mac(&text)
            ),
        );
        let bytes = String::from_utf8(request.bytes()).unwrap();
        let mut connection = gateway.connect();
        connection.send(
            bytes
                .replacen(" HTTP/1.1\r\n", " HTTP/1.0\r\n", 1)
                .as_bytes(),
        );
        connection.response()
    };
    ask("HTTP/1.1").assert_passed();
    let refused = ask("HTTP/1.0");
    refused.assert_refused(401, "credential-rejected");
    let told = refused.json();
    assert_eq!(told["mistake"], "http-version", "{told:#}");
    let hint = told["hint"].as_str().unwrap();
    assert!(
        hint.contains("else `HTTP/1.1`, over HTTP/1.0 too"),
        "{hint}"
    );
    assert_eq!(upstream.heard().len(), 1);
}

#[test]
fn cookies_are_signed_as_they_are_forwarded() {
    for dialect in DIALECTS {
        let (upstream, gateway) = start(dialect);
        // Kong's first line names the version.
        let over_either = dialect != "kong";
        assert_cookies_are_signed_as_forwarded(&gateway, &upstream, over_either, |get| {
            sign(dialect, get, &["cookie"])
        });
        // What is no cookie stands once.
        let once = gateway.request("GET", "/").field("X-Custom", "a");
        let twice = sign(dialect, &once, &["x-custom"]).field("X-Custom", "a");
        gateway
            .send(&twice)
            .assert_refused(400, "malformed-credential");
    }
}

#[test]
fn over_either_version_the_host_is_signed_as_it_was_sent() {
    for dialect in ["apisix", "cavage-12"] {
        let upstream = Upstream::start();
        let gateway = setup(&upstream, dialect).server("explain = true").start();
        let signed = |authority: &str, sent: &str| {
            let request = gateway.request("GET", "/orders").authority(authority);
            sign(dialect, &request, &[]).authority(sent)
        };
        let over_http2 = |signed: &Request| h2::send(signed, gateway.address());
        for authority in ["API.example.com", "api.example.com:81", "api.example.com"] {
            let signed = signed(authority, authority);
            gateway.send(&signed).assert_passed();
            over_http2(&signed).assert_passed();
        }
        // What clients leave in `:authority`, and signers leave out.
        let (with_port, without) = ("api.example.com:80", "api.example.com");
        gateway.send(&signed(with_port, with_port)).assert_passed();
        over_http2(&signed(without, with_port)).assert_passed();
        let assert_told = |refused: &Response, mistake: &str| {
            assert_eq!(refused.status, 401);
            assert_eq!(refused.json()["mistake"], mistake, "{}", refused.text());
        };
        for (authority, sent, mistake) in [
            (with_port, without, "host-with-port"),
            (without, "API.example.com", "host-not-as-sent"),
        ] {
            let signed = signed(authority, sent);
            assert_told(&gateway.send(&signed), mistake);
            assert_told(&over_http2(&signed), mistake);
        }
        assert_told(
            &gateway.send(&signed(without, with_port)),
            "host-not-as-sent",
        );
        assert_told(&over_http2(&signed(with_port, with_port)), "host-as-sent");
    }
}

#[test]
fn who_has_a_key_that_the_dialect_does_not_take_is_told_so_where_it_may_be_told() {
    for explain in [true, false] {
        let upstream = Upstream::start();
        let pair = Pair::of("ecdsa-p256-sha256");
        let setup = setup(&upstream, "cavage-12")
            .server(&format!("explain = {explain}"))
            .more("[apps.partner]\nkeys = [{ id = \"partner\", algorithm = \"ecdsa-p256-sha256\", public_key = \"file:pair.pem\" }]");
        setup.write_secret("pair.pem", pair.public_pem().as_bytes());
        let gateway = setup.start();
        let text = format!(
            "(request-target): get /orders\nhost: {}\ndate: {DATE}",
            gateway.address()
        );
        let signature = BASE64.encode(&pair.sign(text.as_bytes()));
        let folder = gateway.setup().folder();
        let config = gateway.setup().text();
        gateway.setup().write("gateway.toml", config.as_bytes());
        for named in ["algorithm=\"hs2019\",", ""] {
            let proof = format!(
                "Signature keyId=\"partner\",{named}headers=\"(request-target) host date\",signature=\"{signature}\""
            );
            let request = gateway.request("GET", "/orders").field("Date", DATE);
            let request = request.field("Authorization", &proof);
            let refused = gateway.send(&request);
            refused.assert_refused(401, "credential-rejected");
            let mistake = refused.json()["mistake"].clone();
            let known = explain.then_some("algorithm-not-taken");
            assert_eq!(mistake.as_str(), known, "{}", refused.text());
            gateway.setup().write("pasted", &request.bytes());
            let output = Command::new(env!("CARGO_BIN_EXE_portcullis"))
                .args(["explain", "-c", "gateway.toml", "--json", "--at"])
                .args([&*T0.to_string(), "pasted"])
                .current_dir(folder)
                .output()
                .unwrap();
            let report: Value = serde_json::from_slice(&output.stdout).unwrap();
            let change = report["refused"]["change"].as_str().unwrap();
            let told = "`ecdsa-p256-sha256` is not taken in this dialect, `cavage-12`";
            assert!(change.starts_with(told), "{change}");
        }
        upstream.assert_silent();
    }
}
