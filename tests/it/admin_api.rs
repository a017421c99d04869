//! The admin API: who may use it, what it tells, and that it is what its document says.

use crate::harness::curl::curl;
use crate::harness::{Binary, Connection, Gateway, Request, Response, Setup, Upstream, setup};
use crate::interop::installed;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

pub(crate) const WRITE: &str = "write-token-0123456789-0123456789-0123";
pub(crate) const READ: &str = "read-token-0123456789-0123456789-01234";

/// A gateway whose tokens are known.
fn start(upstream: &Upstream) -> Gateway {
    with_tokens(Setup::before(upstream)).start()
}

pub(crate) fn with_tokens(setup: Setup) -> Setup {
    setup.write_secret("write.token", WRITE.as_bytes());
    setup.write_secret("read.token", format!("{READ}\n").as_bytes());
    setup.admin(
        "listen = \"127.0.0.1:0\"\ntoken = \"file:write.token\"\nread_token = \"file:read.token\"",
    )
}

fn request(token: &str, method: &str, target: &str) -> Request {
    Request::new(method, target).field("Authorization", &format!("Bearer {token}"))
}

pub(crate) fn ask(admin: SocketAddr, token: &str, method: &str, target: &str) -> Response {
    request(token, method, target).to(admin).send_to(admin)
}

fn look(gateway: &Gateway, target: &str) -> Response {
    ask(gateway.admin(), READ, "GET", target)
}

/// The names of what a list has.
pub(crate) fn names(response: &Response, name: &str) -> Vec<String> {
    let items = response.json()["items"].as_array().expect("a list").clone();
    let names = items.iter().map(|item| item[name].as_str().unwrap());
    names.map(ToOwned::to_owned).collect()
}

/// Holds answers against the document, by Python's validators.
pub(crate) fn validate(document: &Value, answers: &[(&str, &str, &Response)]) {
    let answers: Vec<Value> = answers
        .iter()
        .map(|(method, path, response)| {
            json!({
                "method": method.to_lowercase(),
                "path": path,
                "status": response.status,
                "type": response.field("content-type"),
                "body": response.json(),
            })
        })
        .collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut child = Command::new(installed(root.join("target/clients/venv/bin/python3")))
        .arg(root.join("tests/it/admin_api/validate.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("Python is needed");
    let given = json!({ "document": document, "answers": answers }).to_string();
    let mut input = child.stdin.take().unwrap();
    input.write_all(given.as_bytes()).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let counted = String::from_utf8(output.stdout).unwrap();
    assert_eq!(counted.trim(), answers.len().to_string());
}

#[test]
fn the_token_is_made_at_the_first_start_and_only_its_owner_can_read_it() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    let file = gateway.setup().path("state/admin.token");
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let token = std::fs::read_to_string(&file).unwrap();
    let status = ask(gateway.admin(), token.trim_end(), "GET", "/v1/status");
    assert_eq!(status.status, 200, "{}", status.text());
    assert_eq!(status.json()["role"], "write");
}

#[test]
fn without_a_token_of_this_gateway_nothing_is_told_but_the_document() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    for path in ["/v1/status", "/v1/apps", "/v1/nothing", "/v1"] {
        let none = gateway.ask_admin(path);
        none.assert_refused(401, "token-missing");
        assert_eq!(none.field("www-authenticate"), Some("Bearer"));
        for token in ["", "x", &WRITE[1..], &format!("{WRITE}x")] {
            let refused = ask(gateway.admin(), token, "GET", path);
            assert_eq!(refused.status, 401, "{token}");
        }
    }
    assert_eq!(gateway.ask_admin("/v1/openapi.json").status, 200);
    // What was there before is as it was.
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(gateway.ask_admin(path).status, 200, "{path}");
    }
    let public = request(WRITE, "GET", "/v1/status").to(gateway.address());
    gateway
        .send(&public)
        .assert_refused(401, "credential-missing");
    upstream.assert_silent();
}

#[test]
fn refused_tokens_are_limited_and_counted_and_good_ones_are_not_kept_out() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    let wrong = |n: usize| ask(gateway.admin(), &format!("{WRITE}{n}"), "GET", "/v1/status");
    for n in 0..20 {
        wrong(n).assert_refused(401, "token-rejected");
    }
    let limited = wrong(20);
    limited.assert_refused(429, "too-many-refused");
    assert_eq!(limited.field("retry-after"), Some("1"));
    assert_eq!(look(&gateway, "/v1/status").status, 200);
    gateway.advance(3);
    wrong(21).assert_refused(401, "token-rejected");
    let metrics = gateway.ask_admin("/metrics").text();
    let counted = "portcullis_admin_tokens_refused_total 22";
    assert!(metrics.contains(counted), "{metrics}");
}

#[test]
fn who_may_look_changes_nothing() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    assert_eq!(look(&gateway, "/v1/status").json()["role"], "read");
    let document = gateway.ask_admin("/v1/openapi.json").json();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let path = path.replace(['{', '}'], "");
            let answer = ask(gateway.admin(), READ, &method.to_uppercase(), &path);
            if method == "get" {
                assert_ne!(answer.status, 403, "{method} {path}");
            } else {
                answer.assert_refused(403, "role-too-low");
            }
        }
    }
}

#[test]
fn every_route_is_in_the_document_and_the_reverse() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    let document = gateway.ask_admin("/v1/openapi.json").json();
    let known = ["GET", "POST", "PUT", "PATCH", "DELETE"];
    for (path, methods) in document["paths"].as_object().unwrap() {
        let there: BTreeSet<String> = methods
            .as_object()
            .unwrap()
            .keys()
            .map(|method| method.to_uppercase())
            .collect();
        let path = path.replace(['{', '}'], "");
        for method in known.into_iter().filter(|one| !there.contains(*one)) {
            let other = ask(gateway.admin(), WRITE, method, &path);
            other.assert_refused(405, "method-not-allowed");
            let allowed = other.field("allow").expect("the methods that it takes");
            let allowed = allowed.split(", ").filter(|method| *method != "HEAD");
            let allowed: BTreeSet<String> = allowed.map(ToOwned::to_owned).collect();
            assert_eq!(allowed, there, "{path}");
        }
        for method in &there {
            // Not its turn yet: it has no body, and names nothing that is there.
            let answer = ask(gateway.admin(), WRITE, method, &path);
            let code = answer.json()["code"].as_str().map(ToOwned::to_owned);
            let found = !matches!(code.as_deref(), Some("no-route" | "method-not-allowed"));
            assert!(found, "{method} {path}: {}", answer.text());
        }
    }
}

#[test]
fn what_the_file_says_of_apps_and_keys_is_shown_and_no_secret() {
    let upstream = Upstream::start();
    let setup = with_tokens(Setup::before(&upstream))
        .app("plan = \"standard\"\nscopes = [\"orders\"]")
        .more("[plans.standard]\nrate = \"10/s\"\n[apps.old]\nenabled = false\napi_keys = [{ id = \"old/1\", secret = \"file:old.static\", not_after = 2020-02-01 }]");
    setup.write_secret("old.static", b"canary-static-key-0123456789\n");
    let gateway = setup.start();
    let apps = look(&gateway, "/v1/apps");
    assert_eq!(names(&apps, "name"), ["mobile", "old", "other"]);
    let mobile = look(&gateway, "/v1/apps/mobile");
    assert_eq!(mobile.field("etag"), None);
    assert_eq!(mobile.json()["source"], "gateway.toml");
    assert_eq!(mobile.json()["plan"], "standard");
    assert_eq!(mobile.json()["scopes"], json!(["orders"]));
    let keys = look(&gateway, "/v1/keys?app=mobile");
    assert_eq!(names(&keys, "id"), ["mobile-2026", "mobile-512"]);
    let old = look(&gateway, "/v1/keys/old%2F1").json();
    assert_eq!(old["kind"], "static");
    assert_eq!(old["state"], "retired");
    assert_eq!(old["not_after"], "2020-02-01T00:00:00Z");
    look(&gateway, "/v1/apps/nobody").assert_refused(404, "not-found");
    look(&gateway, "/v1/keys/nobody").assert_refused(404, "not-found");
    look(&gateway, "/v1/keys?app=nobody").assert_refused(404, "not-found");

    let all = look(&gateway, "/v1/keys");
    for text in [apps.text(), mobile.text(), keys.text(), all.text()] {
        for secret in [setup::SECRET, setup::OTHER_SECRET, b"canary-static-key"] {
            let plain = String::from_utf8_lossy(secret).into_owned();
            let base64 = data_encoding::BASE64.encode(secret);
            assert!(!text.contains(&plain) && !text.contains(&base64), "{text}");
        }
    }
}

#[test]
fn lists_come_page_by_page() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    let mut found = Vec::new();
    let mut target = "/v1/keys?limit=2".to_owned();
    loop {
        let page = look(&gateway, &target);
        assert_eq!(page.status, 200, "{}", page.text());
        found.extend(names(&page, "id"));
        match page.json()["next"].as_str() {
            Some(next) => target = format!("/v1/keys?limit=2&page={next}"),
            None => break,
        }
    }
    assert_eq!(found, ["mobile-2026", "mobile-512", "other-2026"]);
    for query in ["limit=0", "limit=1001", "limit=x", "page=%20", "page=_w"] {
        look(&gateway, &format!("/v1/keys?{query}")).assert_refused(422, "invalid");
    }
}

#[test]
fn what_cannot_be_read_is_refused_with_its_place_and_what_is_accepted() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    let admin = gateway.admin();
    let unknown = look(&gateway, "/v1/apps?sauce=registry");
    unknown.assert_refused(422, "invalid");
    let error = &unknown.json()["errors"][0];
    assert_eq!(error["at"], "query sauce");
    assert_eq!(error["accepted"], "`source`, `limit`, `page`");
    let unknown = look(&gateway, "/v1/apps?source=moon");
    let accepted = &unknown.json()["errors"][0]["accepted"];
    assert_eq!(accepted, "`gateway.toml`, `registry`");
    look(&gateway, "/v1/apps?limit=1&limit=1").assert_refused(422, "invalid");
    look(&gateway, "/v1/apps/%zz").assert_refused(400, "malformed-request");
    look(&gateway, "/v1/nothing").assert_refused(404, "no-route");

    let post = |kind: &str, body: &str| {
        let request = request(WRITE, "POST", "/v1/reload?dry_run=true").to(admin);
        let request = request.field("Content-Type", kind).body(body);
        request.send_to(admin)
    };
    let json = "application/json";
    post("text/plain", "{}").assert_refused(415, "not-json");
    post(json, "{").assert_refused(400, "malformed-request");
    post(json, "[]").assert_refused(400, "malformed-request");
    post(json, r#"{"a": 1, "a": 1}"#).assert_refused(400, "malformed-request");
    let unknown = post(json, r#"{"force": true}"#);
    unknown.assert_refused(422, "invalid");
    assert_eq!(unknown.json()["errors"][0]["at"], "/force");
    post(json, &" ".repeat(64 * 1024 + 1)).assert_refused(413, "body-too-large");

    // As many bytes without telling how many.
    let chunked = request(WRITE, "POST", "/v1/reload")
        .to(admin)
        .field("Transfer-Encoding", "chunked");
    let mut connection = Connection::open(admin);
    connection.send(&chunked.head());
    for _ in 0..3 {
        let piece = format!("8000\r\n{}\r\n", " ".repeat(0x8000));
        connection.try_send(piece.as_bytes());
    }
    connection
        .response_to("POST")
        .assert_refused(413, "body-too-large");
}

#[test]
fn answers_are_what_the_document_says() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    let document = gateway.ask_admin("/v1/openapi.json");
    let admin = gateway.admin();
    let reload = ask(admin, WRITE, "POST", "/v1/reload");
    let status = look(&gateway, "/v1/status");
    let apps = look(&gateway, "/v1/apps?limit=1");
    let app = look(&gateway, "/v1/apps/mobile");
    let no_app = look(&gateway, "/v1/apps/nobody");
    let keys = look(&gateway, "/v1/keys");
    let key = look(&gateway, "/v1/keys/mobile-2026");
    let invalid = look(&gateway, "/v1/keys?limit=0");
    let missing = gateway.ask_admin("/v1/keys");
    let low = ask(admin, READ, "POST", "/v1/reload");
    validate(
        &document.json(),
        &[
            ("GET", "/v1/openapi.json", &document),
            ("GET", "/v1/status", &status),
            ("GET", "/v1/apps", &apps),
            ("GET", "/v1/apps/{app}", &app),
            ("GET", "/v1/apps/{app}", &no_app),
            ("GET", "/v1/keys", &keys),
            ("GET", "/v1/keys/{key}", &key),
            ("GET", "/v1/keys", &invalid),
            ("GET", "/v1/keys", &missing),
            ("POST", "/v1/reload", &low),
            ("POST", "/v1/reload", &reload),
        ],
    );
}

#[test]
fn every_code_is_documented() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/admin-api.md"))
        .expect("the page is there");
    for code in portcullis::admin::api::Code::ALL {
        let row = format!("| `{}` | {} |", code.word(), code.status().as_u16());
        assert!(page.contains(&row), "no row {row}");
    }
    for (path, methods) in portcullis::admin::api::document()["paths"]
        .as_object()
        .unwrap()
    {
        for method in methods.as_object().unwrap().keys() {
            let row = format!("| `{} {path}` |", method.to_uppercase());
            assert!(page.contains(&row), "no row {row}");
        }
    }
}

#[test]
fn a_reload_by_call_is_whole_or_not_at_all_and_tells_what_it_changed() {
    const OPEN: &str = "[[routes]]\nname = \"open\"\npath = \"/open\"\nupstream = \"backend\"\naccept = [\"public\"]\n";
    const MORE: &str = "[[routes]]\nname = \"more\"\npath = \"/more\"\nupstream = \"backend\"\naccept = [\"public\"]\n";
    let upstream = Upstream::start();
    let setup = with_tokens(Setup::before(&upstream)).routes(OPEN);
    let text = setup.text();
    // Neither a change of the file nor a signal comes first.
    let binary = Binary::spawn_on(setup, &text);
    let reload = |query: &str| {
        let target = format!("/v1/reload{query}");
        ask(binary.admin(), WRITE, "POST", &target)
    };
    let nothing = reload("");
    assert_eq!(
        nothing.json(),
        json!({ "dry_run": false, "changes": [], "warnings": [] })
    );

    let bad = text.replace("pub", "pup");
    let file = binary.setup().path("other.toml");
    std::fs::write(&file, bad).unwrap();
    // Renamed onto the watched file: the watcher waits a moment, the call does not.
    std::fs::rename(&file, binary.setup().path("gateway.toml")).unwrap();
    let refused = reload("");
    refused.assert_refused(409, "not-reloaded");
    assert!(refused.detail().contains("pup"), "{}", refused.detail());
    let hint = |refused: &Response| refused.json()["hint"].as_str().unwrap().to_owned();
    assert!(hint(&refused).contains("`portcullis check`"));
    assert_eq!(binary.send(&binary.request("GET", "/open")).status, 200);

    std::fs::write(&file, text.replace(OPEN, &format!("{OPEN}{MORE}"))).unwrap();
    std::fs::rename(&file, binary.setup().path("gateway.toml")).unwrap();
    let reloaded = reload("");
    assert_eq!(reloaded.status, 200, "{}", reloaded.text());
    assert_eq!(binary.send(&binary.request("GET", "/more")).status, 200);

    let restart = text.replace("workers = 2", "workers = 3");
    std::fs::write(&file, restart).unwrap();
    std::fs::rename(&file, binary.setup().path("gateway.toml")).unwrap();
    for query in ["", "?dry_run=true"] {
        let refused = reload(query);
        refused.assert_refused(409, "not-reloaded");
        assert!(refused.detail().contains("server.workers"));
        // The file is good: that is not what to look for.
        let hint = hint(&refused);
        assert!(hint.contains("restart the gateway"), "{hint}");
        assert!(!hint.contains("check"), "{hint}");
    }
}

#[test]
fn a_new_token_is_taken_after_a_reload_and_the_old_one_is_not() {
    let upstream = Upstream::start();
    let setup = with_tokens(Setup::before(&upstream));
    let text = setup.text();
    let gateway = setup.start();
    let new = "another-token-0123456789-0123456789";
    gateway.setup().write("write.token", new.as_bytes());
    gateway.reload(&text);
    assert_eq!(ask(gateway.admin(), new, "GET", "/v1/status").status, 200);
    ask(gateway.admin(), WRITE, "GET", "/v1/status").assert_refused(401, "token-rejected");
}

#[test]
fn who_asks_for_nothing_in_particular_is_told_what_is_here() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    let told = gateway.ask_admin("/");
    assert_eq!(told.status, 404);
    assert!(told.text().contains("/v1/openapi.json"), "{}", told.text());
}

#[test]
fn with_the_token_off_there_is_no_api() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream)
        .admin("listen = \"127.0.0.1:0\"\ntoken = \"off\"")
        .start();
    let none = gateway.ask_admin("/v1/openapi.json");
    assert_eq!(none.status, 404);
    assert!(!none.text().contains("API"), "{}", none.text());
    assert_eq!(gateway.ask_admin("/livez").status, 200);
    assert!(!gateway.setup().path("state/admin.token").exists());
}

#[test]
fn curl_talks_to_it_over_a_unix_socket() {
    let upstream = Upstream::start();
    let setup = with_tokens(Setup::before(&upstream))
        .admin("listen = \"unix:admin.sock\"\ntoken = \"file:write.token\"");
    let socket = setup.path("admin.sock");
    let _gateway = setup.start();
    let address = "127.0.0.1:1".parse().unwrap();
    let request = request(WRITE, "GET", "/v1/apps").authority("localhost");
    let answer = curl(
        &request,
        address,
        &["--unix-socket", socket.to_str().unwrap()],
    );
    assert_eq!(names(&answer, "name"), ["mobile", "other"]);
}
