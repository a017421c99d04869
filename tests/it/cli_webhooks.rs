//! `sign`, `request` and `explain` on webhooks: what the commands make passes the gateway and the senders' own
//! libraries, and what is kept is explained in every form in which it is pasted.

use crate::harness::{Gateway, Setup, Upstream};
use crate::interop::verified_by;
use data_encoding::BASE64;
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

const BODY: &str = "{\"type\": \"order.paid\", \"id\": 7, \"naïve\": \"it's\"}";
/// A moment that is long ago, so that no clock matters.
const THEN: &str = "1700000000";
const URL: &str = "https://api.example.com/hooks";
/// Each sender, with a secret as it shows it, and what the library is that verifies it.
pub(crate) const SENDERS: [(&str, &str, &str); 4] = [
    (
        "standard-webhooks",
        "whsec_Y2FuYXJ5LXNlY3JldC1vZi0yNC1ieXRl",
        "python/standardwebhooks_receiver.py",
    ),
    (
        "github",
        "It's a canary to Everybody, of GitHub's",
        "node/octokit-receiver.mjs",
    ),
    (
        "stripe",
        "whsec_canary_which_is_all_of_the_secret",
        "node/stripe-receiver.mjs",
    ),
    (
        "slack",
        "canary31b10e8888abcd99yyyzzz85a5",
        "python/slack_receiver.py",
    ),
];

fn desk(secret: &str) -> TempDir {
    let desk = tempfile::tempdir().unwrap();
    std::fs::write(desk.path().join("hooks.secret"), secret).unwrap();
    desk
}

fn run(desk: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(args)
        .current_dir(desk)
        .output()
        .unwrap()
}

/// `sign` or `request`, as `sender`.
fn webhook(desk: &Path, command: &str, sender: &str, more: &[&str]) -> Output {
    let how = ["--scheme", "webhook", "--sender", sender];
    let key = ["--secret", "file:hooks.secret"];
    run(desk, &[&[command], &how[..], &key, more].concat())
}

fn signed(desk: &Path, sender: &str, more: &[&str]) -> String {
    let own = ["-d", BODY, URL];
    let output = webhook(desk, "sign", sender, &[more, &own].concat());
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn gateway(upstream: &Upstream, sender: &str, secret: &str) -> Gateway {
    let setup = Setup::before(upstream)
        .server("explain = true")
        .route(&format!(
            "accept = [\"webhook\"]\nwebhook = {{ sender = \"{sender}\", app = \"hooks\" }}"
        ))
        .more(
            "[apps.hooks]\nscopes = [\"events\"]\nkeys = [{ id = \"hooks-2026\", algorithm = \"hmac-sha256\", \
             secret = \"file:hooks.secret\", weak_secret = true, schemes = [\"webhook\"] }]",
        );
    setup.write_secret("hooks.secret", secret.as_bytes());
    Gateway::start_now(setup)
}

#[test]
fn what_request_sends_passes_the_gateway_and_once_only() {
    for (sender, secret, _) in SENDERS {
        let upstream = Upstream::start();
        let gateway = gateway(&upstream, sender, secret);
        let url = format!("http://{}/hooks", gateway.address());
        let desk = desk(secret);
        let ask = |more: &[&str]| webhook(desk.path(), "request", sender, more);
        let output = ask(&["-d", BODY, &url]);
        assert!(output.status.success(), "{output:?}");
        let got = upstream.only();
        assert_eq!(got.body, BODY.as_bytes());
        assert_eq!(got.field("portcullis-scheme"), Some("webhook"));
        // With the secret of another: told that the text is the same, so it is the secret.
        std::fs::write(desk.path().join("hooks.secret"), OTHER).unwrap();
        let output = ask(&["-d", BODY, &url]);
        let told = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains("the key id or the secret is"), "{told}");
        assert!(!told.contains("canary"), "{told}");
    }
}

/// The secret of another, in a form that every sender may have.
const OTHER: &str = "b2YgYW5vdGhlciBvbmUsIDI0IGJ5dGVz";

#[test]
fn what_sign_makes_is_what_the_senders_own_libraries_verify() {
    for (sender, secret, receiver) in SENDERS {
        let desk = desk(secret);
        let made: Value = serde_json::from_str(&signed(desk.path(), sender, &["--json"])).unwrap();
        let headers: serde_json::Map<String, Value> =
            { made["headers"].as_array().unwrap().iter() }
                .map(|pair| (pair[0].as_str().unwrap().to_owned(), pair[1].clone()))
                .collect();
        let ask = |body: &str| {
            let request = json!({ "headers": headers, "body": body });
            verified_by(receiver, &desk.path().join("hooks.secret"), &request)
        };
        assert!(ask(BODY), "{sender}: {headers:?}");
        assert!(!ask(&BODY.replace('7', "8")), "{sender}");
    }
}

fn explained(desk: &Path, args: &[&str], text: &str) -> (i32, Value) {
    std::fs::write(desk.join("pasted"), text).unwrap();
    let own = ["--json", "--at", THEN, "pasted"];
    let output = run(desk, &[&["explain"], args, &own].concat());
    let report = serde_json::from_slice(&output.stdout);
    let report = report.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code().unwrap(), report)
}

fn har(headers: &Value, body: &str) -> String {
    let list = headers.as_array().unwrap().iter();
    let list: Vec<_> = list
        .map(|pair| json!({ "name": pair[0], "value": pair[1] }))
        .collect();
    json!({ "request": {
        "method": "POST", "url": URL, "httpVersion": "HTTP/1.1", "headers": list,
        "postData": { "mimeType": "application/json", "text": body },
    } })
    .to_string()
}

fn raw(headers: &Value, body: &str) -> String {
    let list = headers.as_array().unwrap().iter();
    let line = |pair: &Value| {
        format!(
            "{}: {}\n",
            pair[0].as_str().unwrap(),
            pair[1].as_str().unwrap()
        )
    };
    let lines: String = list.map(line).collect();
    format!(
        "POST /hooks HTTP/1.1\nHost: api.example.com\n{lines}Content-Length: {}\n\n{body}",
        body.len()
    )
}

#[test]
fn a_webhook_is_explained_in_every_form_in_which_it_is_pasted() {
    for (sender, secret, _) in SENDERS {
        let desk = desk(secret);
        let then = |output: &str| signed(desk.path(), sender, &["--created", THEN, output]);
        let made: Value = serde_json::from_str(&then("--json")).unwrap();
        let other = BODY.replace(": 7", ": 8");
        let curl = then("--curl");
        let read = ["--sender", sender, "--secret", "file:hooks.secret"];
        for (good, bad) in [
            (raw(&made["headers"], BODY), raw(&made["headers"], &other)),
            (har(&made["headers"], BODY), har(&made["headers"], &other)),
            (curl.clone(), curl.replace(": 7", ": 8")),
        ] {
            let (code, report) = explained(desk.path(), &read, &good);
            assert_eq!(code, 0, "{report:#}");
            assert_eq!(report["signatures"][0]["holds"], true);
            assert_eq!(
                report["signatures"][0]["label"],
                format!("webhook of {sender}")
            );
            let (code, report) = explained(desk.path(), &read, &bad);
            assert_eq!(code, 1);
            assert_eq!(report["refused"]["code"], "credential-rejected");
            let change = report["refused"]["change"].as_str().unwrap();
            assert!(change.contains("another body"), "{change}");
        }
        // Where nothing says whose it is, it is asked.
        let key = ["--key-id", "a", "--secret", "file:hooks.secret"];
        let bare = explained(desk.path(), &key, &curl).1;
        let change = bare["refused"]["change"].as_str().unwrap();
        assert!(change.contains(&format!("`--sender {sender}`")), "{change}");
        // Of a body that is there in part nothing is told.
        let mut short = raw(&made["headers"], BODY);
        short.pop();
        let report = explained(desk.path(), &read, &short).1;
        assert!(
            report["refused"]["change"]
                .as_str()
                .unwrap()
                .contains("show the body too"),
            "{report:#}"
        );
        // Without the body there is nothing to judge, and with another sender's eyes nothing to see.
        let mut headless = raw(&made["headers"], BODY);
        headless.truncate(headless.find("\n\n").unwrap() + 1);
        let (_, report) = explained(desk.path(), &read, &headless);
        assert!(report["refused"].is_object(), "{report:#}");
    }
}

#[test]
fn what_a_webhook_covers_is_told_by_the_names_that_its_fields_have() {
    let (sender, secret, _) = SENDERS[0];
    let desk = desk(secret);
    let made = signed(desk.path(), sender, &["--created", THEN, "--json"]);
    let made: Value = serde_json::from_str(&made).unwrap();
    let read = ["--sender", sender, "--secret", "file:hooks.secret"];
    let standard = raw(&made["headers"], BODY).replace("Webhook-", "webhook-");
    for names in ["webhook", "svix"] {
        let text = standard.replace("webhook-", &format!("{names}-"));
        let (code, report) = explained(desk.path(), &read, &text);
        assert_eq!(code, 0, "{report:#}");
        let covers = [
            format!("{names}-id"),
            format!("{names}-timestamp"),
            "body".into(),
        ];
        assert_eq!(report["signatures"][0]["covers"], json!(covers));
    }
}

#[test]
fn the_body_of_a_webhook_is_told_to_be_what_is_signed() {
    for (sender, secret, _) in SENDERS {
        let desk = desk(secret);
        let made = signed(desk.path(), sender, &["--created", THEN, "--json"]);
        let made: Value = serde_json::from_str(&made).unwrap();
        let read = ["--sender", sender, "--secret", "file:hooks.secret"];
        let (code, report) = explained(desk.path(), &read, &raw(&made["headers"], BODY));
        assert_eq!(code, 0, "{report:#}");
        let steps = report["steps"].as_array().unwrap();
        let body = steps.iter().find(|step| step["name"] == "body").unwrap();
        assert_eq!(body["outcome"], "passed");
        assert_eq!(body["note"], "is what the sender has signed");
    }
}

#[test]
fn a_webhook_longer_than_a_gateway_reads_for_its_proof_is_told_so() {
    let (sender, secret, _) = SENDERS[1];
    let desk = desk(secret);
    let file = "[server]\nlisten = \"127.0.0.1:0\"\n[upstreams.a]\nservers = [\"echo:\"]\n\
        [[routes]]\nname = \"hooks\"\npath = \"/**\"\nupstream = \"a\"\naccept = [\"webhook\"]\n\
        webhook = { sender = \"github\", app = \"hooks\", hold = \"1 KiB\" }\n\
        [apps.hooks]\nkeys = [{ id = \"hooks\", algorithm = \"hmac-sha256\", \
        secret = \"file:hooks.secret\", schemes = [\"webhook\"] }]\n";
    std::fs::write(desk.path().join("gateway.toml"), file).unwrap();
    for (bytes, code) in [(1_024, 0), (1_025, 1)] {
        let body = "x".repeat(bytes);
        let how = ["--created", THEN, "--json", "-d", &body, URL];
        let made = webhook(desk.path(), "sign", sender, &how);
        let made: Value = serde_json::from_slice(&made.stdout).unwrap();
        let text = raw(&made["headers"], &body);
        let (found, report) = explained(desk.path(), &["--config", "gateway.toml"], &text);
        assert_eq!(found, code, "{report:#}");
        if code == 1 {
            assert_eq!(report["refused"]["code"], "body-too-large");
            let change = report["refused"]["change"].as_str().unwrap();
            assert!(change.contains("`webhook.hold`"), "{change}");
        }
    }
}

#[test]
fn explain_tries_the_mistakes_and_marks_where_the_callers_text_parts() {
    let (sender, secret, _) = SENDERS[0];
    let desk = desk(secret);
    let made = signed(desk.path(), sender, &["--created", THEN, "--json"]);
    let made: Value = serde_json::from_str(&made).unwrap();
    let text = raw(&made["headers"], BODY);
    let read = ["--sender", sender, "--secret", "file:hooks.secret"];
    let base = made["signature_base"].as_str().unwrap();
    assert!(base.ends_with(BODY), "{base}");
    // The key is used as text there, and ours as it is.
    let decoded = BASE64.decode(&secret.as_bytes()["whsec_".len()..]).unwrap();
    let as_bytes = format!(
        "base64:{}",
        BASE64.encode(&BASE64.encode(&decoded).into_bytes())
    );
    std::fs::write(desk.path().join("wrong.secret"), as_bytes).unwrap();
    let how = ["--scheme", "webhook", "--sender", sender];
    let more = [
        "--secret",
        "file:wrong.secret",
        "--created",
        THEN,
        "--json",
        "-d",
        BODY,
        URL,
    ];
    let output = run(desk.path(), &[&["sign"], &how[..], &more].concat());
    let wrong: Value = serde_json::from_slice(&output.stdout).unwrap();
    let (_, report) = explained(desk.path(), &read, &raw(&wrong["headers"], BODY));
    assert_eq!(
        report["signatures"][0]["mistake"], "secret-as-text",
        "{report:#}"
    );
    // Beside the caller's own text.
    for (mine, wanted) in [
        (base.to_owned(), None),
        (base.replace(": 7", ": 8"), Some("another body")),
        (base.replace("msg_", "MSG_"), Some("before the body")),
        (format!("{base}\n"), None),
        (BODY.to_owned(), Some("the body alone")),
    ] {
        std::fs::write(desk.path().join("mine"), &mine).unwrap();
        let beside = [&read[..], &["--base", "mine"]].concat();
        let (_, report) = explained(desk.path(), &beside, &text);
        let compared = &report["compared"];
        assert_eq!(compared["same"], wanted.is_none(), "{report:#}");
        if let Some(wanted) = wanted {
            let likely = compared["likely"].as_str().unwrap();
            assert!(likely.contains(wanted), "{mine}: {likely}");
            assert!(compared["difference"]["byte"].is_u64());
        }
    }
}

#[test]
fn explain_tries_the_mistakes_in_bodies_that_are_too_long_for_a_gateway_to_try() {
    let (sender, secret, _) = SENDERS[1];
    let desk = desk(secret);
    let read = ["--sender", sender, "--secret", "file:hooks.secret"];
    let [compact, spaced] = ["", " "].map(|space| {
        let long = "x".repeat(20_000);
        format!("{{\"long\":{space}\"{long}\"}}")
    });
    let own = ["--created", THEN, "--json", "-d", &compact, URL];
    let output = webhook(desk.path(), "sign", sender, &own);
    let made: Value = serde_json::from_slice(&output.stdout).unwrap();
    let headers = &made["headers"];
    std::fs::write(desk.path().join("mine"), &compact).unwrap();
    let beside = [&read[..], &["--base", "mine"]].concat();
    let (code, report) = explained(desk.path(), &beside, &raw(headers, &spaced));
    assert_eq!(code, 1);
    let signature = &report["signatures"][0];
    assert_eq!(signature["mistake"], "body-written-anew");
    assert_eq!(signature["base"][0], spaced);
    assert_eq!(report["compared"]["mistake"], "body-written-anew");
    assert_eq!(report["compared"]["difference"]["column"], 9);
    // There is a bound all the same, and it is told.
    let endless = "x".repeat(5 * 1024 * 1024);
    let (_, report) = explained(desk.path(), &read, &raw(headers, &endless));
    let told = report["signatures"][0]["no_base"].as_str().unwrap();
    assert!(told.contains("more than 4 MiB"), "{told}");
}

#[test]
fn explain_takes_senders_and_secrets_of_a_configuration() {
    for (sender, secret, _) in SENDERS {
        let desk = desk(secret);
        std::fs::write(desk.path().join("old.secret"), OTHER).unwrap();
        let config = format!(
            "[upstreams.backend]\nservers = [\"http://127.0.0.1:9\"]\n\
             [[routes]]\nname = \"hooks\"\npath = \"/hooks\"\nupstream = \"backend\"\naccept = [\"webhook\"]\n\
             webhook = {{ sender = \"{sender}\", app = \"hooks\" }}\n[apps.hooks]\nkeys = [\n\
             {{ id = \"new\", algorithm = \"hmac-sha256\", secret = \"file:hooks.secret\", weak_secret = true, schemes = [\"webhook\"] }},\n\
             {{ id = \"old\", algorithm = \"hmac-sha256\", secret = \"file:old.secret\", weak_secret = true, schemes = [\"webhook\"], not_after = 2023-01-01 }}]\n"
        );
        // `weak_secret` of one that is long enough is warned of, and no more.
        std::fs::write(desk.path().join("gateway.toml"), config).unwrap();
        let judge = |secret: &str| {
            std::fs::write(desk.path().join("used"), secret).unwrap();
            let how = [
                "--scheme",
                "webhook",
                "--sender",
                sender,
                "--secret",
                "file:used",
            ];
            let more = ["--created", THEN, "--json", "-d", BODY, URL];
            let output = run(desk.path(), &[&["sign"], &how[..], &more].concat());
            let made: Value = serde_json::from_slice(&output.stdout).unwrap();
            explained(
                desk.path(),
                &["-c", "gateway.toml", "--https"],
                &raw(&made["headers"], BODY),
            )
        };
        let (code, report) = judge(secret);
        assert_eq!(code, 0, "{report:#}");
        assert_eq!(report["steps"][2]["note"], "key `new` of app `hooks`");
        let (code, report) = judge(OTHER);
        assert_eq!(
            (code, &report["refused"]["code"]),
            (1, &json!("credential-rejected"))
        );
        let change = report["refused"]["change"].as_str().unwrap();
        assert!(change.contains("not in force"), "{change}");
        let (_, report) = judge(&format!("whsec_{}", BASE64.encode(secret.as_bytes())));
        assert_eq!(report["signatures"][0]["holds"], false, "{report:#}");
    }
}

#[test]
fn what_makes_no_webhook_is_refused_with_what_to_say_instead() {
    let desk = desk("not base64, but long enough for any: 1234");
    let told = |args: &[&str]| {
        let output = run(desk.path(), args);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let sign = |more: &[&str]| {
        told(
            &[
                &[
                    "sign",
                    "--scheme",
                    "webhook",
                    "--secret",
                    "file:hooks.secret",
                ],
                more,
            ]
            .concat(),
        )
    };
    for (args, wanted) in [
        (&["-d", "x", URL][..], "needs `--sender`"),
        (&["--sender", "github", URL], "webhooks are `POST`"),
        (
            &["--sender", "github", "--message-id", "a", "-d", "x", URL],
            "signs no id",
        ),
        (
            &["--sender", "standard-webhooks", "-d", "x", URL],
            "not base64",
        ),
        (
            &[
                "--sender",
                "github",
                "--algorithm",
                "hmac-sha512",
                "-d",
                "x",
                URL,
            ],
            "does not sign with",
        ),
        (
            &["--sender", "github", "--region", "x", "-d", "x", URL],
            "belongs to `--scheme aws-sigv4`",
        ),
    ] {
        let told = sign(args);
        assert!(told.contains(wanted), "{args:?}: {told}");
    }
    let told_of = told(&[
        "sign", "--scheme", "webhook", "--sender", "slack", "-d", "x", URL,
    ]);
    assert!(told_of.contains("a secret is needed"), "{told_of}");
    let stray = told(&[
        "sign",
        "--key-id",
        "a",
        "--secret",
        "file:hooks.secret",
        "--sender",
        "slack",
        URL,
    ]);
    assert!(stray.contains("belongs to `--scheme webhook`"), "{stray}");
    let sidecar = told(&[
        "sidecar",
        "--to",
        "http://127.0.0.1:9",
        "--scheme",
        "webhook",
        "--sender",
        "slack",
        "--secret",
        "file:hooks.secret",
    ]);
    assert!(
        sidecar.contains("portcullis request --scheme webhook"),
        "{sidecar}"
    );
    std::fs::write(
        desk.path().join("hooks.secret"),
        "whsec_Y2FuYXJ5LXNlY3JldC1vZi0yNC1ieXRl",
    )
    .unwrap();
    let dotted = sign(&[
        "--sender",
        "standard-webhooks",
        "--message-id",
        "a.b",
        "-d",
        "x",
        URL,
    ]);
    assert!(dotted.contains("no id of a message"), "{dotted}");
}
