//! `portcullis token get` and `portcullis token inspect`.

use crate::admin_registry::that_minds_modes;
use crate::harness::issuer::{AUD, ISS};
use crate::harness::key_service::phone;
use crate::harness::pair::Pair;
use crate::harness::{Binary, Setup, Token, Upstream};
use serde_json::Value;
use std::fs::Permissions;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::JoinHandle;

const DEV: &str = "evidence = [\"dev\"]";

struct Ran {
    code: i32,
    out: String,
    err: String,
}

/// How one of `phone` is enrolled at the gateway at `url`.
const fn enrol_as(url: &str) -> [&str; 9] {
    [
        "enrol",
        "--url",
        url,
        "--app",
        "phone",
        "--code",
        "file:code",
        "--build",
        "1.4.2",
    ]
}

/// How an instance of `phone` gets a token, from the gateway at `place`.
const fn get_as<'a>([how, place]: [&'a str; 2], id: &'a str, key: &'a str) -> [&'a str; 11] {
    [
        "get",
        how,
        place,
        "--app",
        "phone",
        "--instance",
        id,
        "--instance-key",
        key,
        "--build",
        "1.4.2",
    ]
}

fn portcullis(folder: &Path, args: &[&str], stdin: &str) -> Ran {
    run(folder, &[&["token"], args].concat(), stdin)
}

fn run(folder: &Path, args: &[&str], stdin: &str) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Who does not read it need not.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let ran = child.wait_with_output().unwrap();
    Ran {
        code: ran.status.code().unwrap(),
        out: String::from_utf8(ran.stdout).unwrap(),
        err: String::from_utf8(ran.stderr).unwrap(),
    }
}

/// A folder with the configuration that a gateway runs on.
fn desk(tokens: &str) -> (tempfile::TempDir, Binary) {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream).more(&phone(tokens));
    let folder = tempfile::tempdir().unwrap();
    for name in ["mobile.key", "mobile-512.key", "other.key"] {
        std::fs::copy(setup.path(name), folder.path().join(name)).unwrap();
    }
    std::fs::write(folder.path().join("gateway.toml"), setup.text()).unwrap();
    (folder, setup.spawn())
}

#[test]
fn a_token_is_got_and_told_what_it_says() {
    let (folder, gateway) = desk(DEV);
    let folder = folder.path();
    std::fs::write(folder.join("user"), "Bearer ada\n").unwrap();
    let url = format!("http://{}", gateway.address());
    let got = portcullis(
        folder,
        &[
            "get",
            "--url",
            &url,
            "--app",
            "phone",
            "--dev",
            "laptop",
            "--build",
            "1.4.2",
            "--authorization",
            "file:user",
            "--scope",
            "orders",
        ],
        "",
    );
    assert_eq!(got.code, 0, "{}", got.err);
    let told = portcullis(folder, &["inspect", "-c", "gateway.toml"], &got.out);
    assert_eq!(told.code, 0, "{}{}", told.out, told.err);
    for words in [
        "kid: phone-tokens",
        "scope: orders",
        "good for ",
        "the `Authorization` whose SHA-256 is ",
        "  holds",
        "of the app phone",
    ] {
        assert!(told.out.contains(words), "{words}: {}", told.out);
    }
    // Without a configuration there is nothing to check it by.
    let bearer = format!("Bearer {}", got.out);
    let told = portcullis(folder, &["inspect", "--json"], &bearer);
    let json: Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!(json["signature"], "not-checked");
    assert_eq!(json["claims"]["scope"], "orders");
    assert_eq!(json["app"], Value::Null);
    assert_eq!(told.code, 0);
    // In JSON, for programs.
    let args = [
        "get", "--url", &url, "--app", "phone", "--dev", "laptop", "--json",
    ];
    let json: Value = serde_json::from_str(&portcullis(folder, &args, "").out).unwrap();
    assert!(json["token"].as_str().unwrap().split('.').count() == 3);
}

#[test]
fn a_decoy_does_not_hold_and_a_refusal_is_told() {
    let (folder, gateway) = desk("evidence = [\"dev\"]\nbuilds = [\"9.9.9\"]");
    let url = format!("http://{}", gateway.address());
    let get = [
        "get", "--url", &url, "--app", "phone", "--dev", "x", "--build", "1",
    ];
    let got = portcullis(folder.path(), &get, "");
    assert_eq!(got.code, 0, "{}", got.err);
    let told = portcullis(folder.path(), &["inspect", "-c", "gateway.toml"], &got.out);
    assert_eq!(told.code, 1);
    assert!(
        told.out.contains("does not hold, or the token is a decoy"),
        "{}",
        told.out
    );
    let (folder, gateway) =
        desk("evidence = [\"dev\"]\nbuilds = [\"9.9.9\"]\non_failure = \"refuse\"");
    let url = format!("http://{}", gateway.address());
    let get = [
        "get", "--url", &url, "--app", "phone", "--dev", "x", "--build", "1",
    ];
    let got = portcullis(folder.path(), &get, "");
    assert_eq!((got.code, &*got.out), (1, ""));
    assert!(got.err.contains("403 `evidence-rejected`"), "{}", got.err);
}

#[test]
fn what_is_no_token_is_over_or_of_another_key_is_told() {
    let (folder, _gateway) = desk(DEV);
    let folder = folder.path();
    let inspect = |text: &str| portcullis(folder, &["inspect", "-c", "gateway.toml"], text);
    for text in ["", "a", "a.b", "!.!.!", "e30.e30", "e30.W10.AA"] {
        let told = inspect(text);
        assert_eq!(told.code, 2, "{text}: {}", told.out);
        assert!(told.err.contains("this is no token"), "{}", told.err);
    }
    let over = inspect(&Token::new().claim("iat", 1_000).claim("exp", 1_300).text());
    assert_eq!(over.code, 1);
    assert!(
        over.out.contains("over for ") && over.out.contains("  holds"),
        "{}",
        over.out
    );
    let within = Token::new().claim("iat", 1_000).claim("exp", 1_300.5);
    let within = inspect(&within.text());
    assert_eq!(within.code, 1);
    assert!(within.out.contains("over for "), "{}", within.out);
    let other = inspect(&Token::new().header("alg", "ES256").text());
    assert!(
        other.out.contains("`alg` is not the key's"),
        "{}",
        other.out
    );
    let unknown = inspect(&Token::new().header("kid", "nobody").text());
    assert!(
        unknown.out.contains("no key of the configuration"),
        "{}",
        unknown.out
    );
    let evil = inspect(&Token::new().claim("sub", "\u{1b}[2Jevil").text());
    assert!(!evil.out.contains('\u{1b}'), "{:?}", evil.out);
    let unbound = inspect(&Token::new().text());
    assert!(
        unbound.out.contains("whoever has it can use it"),
        "{}",
        unbound.out
    );
}

#[test]
fn whether_a_token_is_over_is_in_the_exit_code_though_nobody_reads_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let over = Token::new().claim("iat", 1_000).claim("exp", 1_300).text();
    std::fs::write(folder.path().join("token"), over).unwrap();
    for args in [&["token"][..], &["--json", "token"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let status = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(["token", "inspect"])
            .args(args)
            .current_dir(folder.path())
            .stdout(writer)
            .status()
            .unwrap();
        assert_eq!(status.code(), Some(1), "{args:?}");
    }
}

#[test]
fn what_is_asked_for_wrongly_is_a_matter_of_usage() {
    let (folder, _gateway) = desk(DEV);
    for (args, told) in [
        (&["get", "--app", "phone", "--dev", "x"][..], "--url"),
        (
            &["get", "--app", "phone", "--url", "http://127.0.0.1:1"],
            "--dev",
        ),
        (
            &[
                "get",
                "--app",
                "phone",
                "--url",
                "api.example.com",
                "--dev",
                "x",
            ],
            "no URL of a gateway",
        ),
        (
            &[
                "get",
                "--app",
                "phone",
                "--url",
                "http://me:canary@h /",
                "--dev",
                "x",
            ],
            "`http://…@h /` is no URL of a gateway",
        ),
        (
            &[
                "get",
                "--app",
                "phone",
                "--url",
                "http://h",
                "--instance",
                "i",
            ],
            "--instance-key",
        ),
    ] {
        let ran = portcullis(folder.path(), args, "");
        assert_eq!(ran.code, 2, "{args:?}: {}", ran.err);
        assert!(ran.err.contains(told), "{args:?}: {}", ran.err);
        assert!(!ran.err.contains("canary"), "{}", ran.err);
    }
    let closed = crate::harness::Closed::port();
    let url = format!("http://{}", closed.address());
    let ran = portcullis(
        folder.path(),
        &["get", "--app", "phone", "--url", &url, "--dev", "x"],
        "",
    );
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("cannot be reached"), "{}", ran.err);
}

/// A gateway whose operator has registered the app `phone`, and made a code for it in the file `code`.
fn registered() -> Binary {
    let upstream = Upstream::start();
    let gateway = crate::key_service_instances::setup(&upstream).spawn();
    let tokens = "{\"evidence\":[\"instance-key\"],\"builds\":[\"1.4.2\"]}";
    for command in [
        &[
            "app", "create", "phone", "--scope", "orders", "--tokens", tokens,
        ][..],
        &["key", "create", "phone", "--scheme", "token", "--attests"],
        &["instance", "enrol-code", "phone", "--out", "code"],
    ] {
        operate(&gateway, command);
    }
    gateway
}

/// Runs a command of whoever operates the gateway, and gives what it prints.
#[track_caller]
fn operate(gateway: &Binary, command: &[&str]) -> String {
    let admin = format!("http://{}", gateway.admin());
    let there = ["--admin", &admin, "--token-file", "write.token"];
    let ran = run(gateway.setup().folder(), &[command, &there].concat(), "");
    assert_eq!(ran.code, 0, "{command:?}: {}", ran.err);
    ran.out
}

/// Passes one request on to the gateway, and is gone once that has answered. Gives its URL.
fn that_loses_the_answer(gateway: SocketAddr) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let passing = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let request = whole(&mut client);
        let mut server = TcpStream::connect(gateway).unwrap();
        server.write_all(&request).unwrap();
        let mut piece = [0; 4096];
        let read = server.read(&mut piece).unwrap();
        assert!(piece[..read].starts_with(b"HTTP/1.1 200 "));
    });
    (url, passing)
}

/// Answers one request so, and is gone. Gives its URL.
fn that_answers(status: &'static str, body: &'static str) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answering = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        whole(&mut client);
        let length = body.len();
        write!(
            client,
            "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .unwrap();
    });
    (url, answering)
}

/// A request with all of its body.
fn whole(client: &mut TcpStream) -> Vec<u8> {
    let mut request = Vec::new();
    let mut piece = [0; 4096];
    while !is_whole(&request) {
        let read = client.read(&mut piece).unwrap();
        assert_ne!(read, 0, "the request broke off");
        request.extend_from_slice(&piece[..read]);
    }
    request
}

/// Whether a request is there with all of its body.
fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let mut lines = head.lines();
    let length = lines.find_map(|line| line.strip_prefix("content-length: "));
    length.is_none_or(|length| length.parse() == Ok(body.len()))
}

#[test]
fn the_key_of_who_may_have_enrolled_stays_and_of_who_reached_nobody_goes() {
    let gateway = registered();
    let folder = gateway.setup().folder();
    let enrol = |url: &str, out: &str| {
        let args = [&enrol_as(url)[..], &["--out", out]].concat();
        portcullis(folder, &args, "")
    };
    let closed = crate::harness::Closed::port();
    let nobody = enrol(&format!("http://{}", closed.address()), "nobody.pem");
    assert_eq!(nobody.code, 1, "{}", nobody.out);
    assert!(nobody.err.contains("cannot be reached"), "{}", nobody.err);
    assert!(!nobody.err.contains("is not known"), "{}", nobody.err);
    assert!(!folder.join("nobody.pem").exists());

    let (url, passing) = that_loses_the_answer(gateway.address());
    let lost = enrol(&url, "lost.pem");
    passing.join().unwrap();
    assert_eq!((lost.code, &*lost.out), (1, ""), "{}", lost.err);
    for words in [
        "whether it has enrolled is not known",
        "`portcullis instance list phone` tells",
        "its key stays in `lost.pem`",
    ] {
        assert!(lost.err.contains(words), "{}", lost.err);
    }
    // It has, and its key is one that proves it.
    let instances = operate(&gateway, &["instance", "list", "phone"]);
    let instance = instances.lines().nth(1).expect("it has enrolled");
    let id = instance.split_whitespace().next().unwrap();
    let url = format!("http://{}", gateway.address());
    let get = get_as(["--url", &url], id, "file:lost.pem");
    let got = portcullis(folder, &get, "");
    assert_eq!(got.code, 0, "{}", got.err);
    let request = gateway
        .request("GET", "/")
        .field("Portcullis-Token", got.out.trim());
    gateway.send(&request).assert_passed();
}

#[test]
fn why_nobody_enrolled_is_told_and_the_key_goes_where_nothing_was_done() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("code"), "pcs_e_0123").unwrap();
    let unavailable = "503 Service Unavailable";
    for (status, body, told, stays) in [
        (
            unavailable,
            r#"{"code":"store-unavailable","detail":"The disk is full."}"#,
            "503 `store-unavailable`: The disk is full; whether it has enrolled is not known",
            true,
        ),
        (
            "502 Bad Gateway",
            "<html>",
            "with 502; whether it has enrolled is not known",
            true,
        ),
        (
            unavailable,
            r#"{"code":"overloaded","detail":"Too many are in flight."}"#,
            "Too many are in flight.",
            false,
        ),
    ] {
        let (url, answering) = that_answers(status, body);
        let args = [&enrol_as(&url)[..], &["--out", "new.pem"]].concat();
        let ran = portcullis(folder, &args, "");
        answering.join().unwrap();
        assert_eq!((ran.code, &*ran.out), (1, ""), "{told}: {}", ran.err);
        assert!(ran.err.contains(told), "{told}: {}", ran.err);
        for words in ["is not known", "go on with `--instance-key file:new.pem`"] {
            assert_eq!(ran.err.contains(words), stays, "{told}: {}", ran.err);
        }
        let made = folder.join("new.pem");
        assert_eq!(made.exists(), stays, "{told}");
        let _ = std::fs::remove_file(made);
    }
}

#[test]
fn whoever_has_to_wait_for_a_token_is_told_how_long() {
    let folder = tempfile::tempdir().unwrap();
    // The field stands behind the status, at the end of its line.
    let limited = "429 Too Many Requests\r\nRetry-After: 6";
    for (body, told) in [
        (
            r#"{"code":"rate-exceeded","detail":"The app got as many as it may."}"#,
            "hint: come again in 6 s: The app got as many as it may.",
        ),
        ("", "hint: come again in 6 s"),
    ] {
        let (url, answering) = that_answers(limited, body);
        let get = ["get", "--url", &url, "--app", "phone", "--dev", "x"];
        let ran = portcullis(folder.path(), &get, "");
        answering.join().unwrap();
        assert_eq!((ran.code, &*ran.out), (1, ""), "{}", ran.err);
        assert!(ran.err.contains("refuses with 429"), "{}", ran.err);
        assert!(ran.err.contains(told), "{}", ran.err);
    }
}

#[test]
fn an_instance_whose_id_nobody_reads_is_named_and_keeps_its_key() {
    let gateway = registered();
    let folder = gateway.setup().folder();
    let url = format!("http://{}", gateway.address());
    let codes = ["instance", "enrol-code", "phone", "--uses", "3", "--out"];
    operate(&gateway, &[&codes[..], &["codes"]].concat());
    let closed = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        Stdio::from(writer)
    };
    let mut full = std::fs::File::options();
    let full = Stdio::from(full.write(true).open("/dev/full").unwrap());
    for (name, out, more) in [
        ("closed.pem", closed(), &[][..]),
        ("json.pem", closed(), &["--json"]),
        ("full.pem", full, &[]),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(["token", "enrol", "--url", &url, "--app", "phone"])
            .args(["--code", "file:codes", "--build", "1.4.2", "--out", name])
            .args(more)
            .current_dir(folder)
            .stdout(out)
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{name}: {told}");
        for words in [
            "cannot be written to standard output",
            "it has enrolled all the same, as the instance `",
            &format!("its key stays in `{name}`"),
        ] {
            assert!(told.contains(words), "{name}: {told}");
        }
        assert!(folder.join(name).exists(), "{name}");
    }
}

#[test]
fn an_instance_enrols_from_the_shell_and_gets_tokens_that_its_key_is_bound_to() {
    let gateway = registered();
    let folder = gateway.setup().folder();
    let url = format!("http://{}", gateway.address());
    // Where the gateway listens may stand in its configuration as well.
    let at = gateway.setup().text_on(&gateway.address().to_string());
    std::fs::write(folder.join("at.toml"), at).unwrap();
    let enrol = enrol_as(&url);
    let enrolled = portcullis(
        folder,
        &[&enrol[..], &["--out", "instance.pem"]].concat(),
        "",
    );
    assert_eq!(enrolled.code, 0, "{}", enrolled.err);
    let id = enrolled.out.trim();
    let mode = std::fs::metadata(folder.join("instance.pem"))
        .unwrap()
        .permissions();
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777,
        0o600
    );
    for place in [["--url", &url], ["-c", "at.toml"]] {
        let get = get_as(place, id, "file:instance.pem");
        let plain = portcullis(folder, &get, "");
        assert_eq!(plain.code, 0, "{}", plain.err);
        let request = gateway
            .request("GET", "/")
            .field("Portcullis-Token", plain.out.trim());
        gateway.send(&request).assert_passed();
        let bound = [&get[..], &["--bound-to-key", "file:instance.pem", "--json"]].concat();
        let bound: Value = serde_json::from_str(&portcullis(folder, &bound, "").out).unwrap();
        assert!(bound["expires_at"].as_i64().unwrap() > Binary::now());
        let bound = bound["token"].as_str().unwrap();
        let request = gateway.request("GET", "/").field("Portcullis-Token", bound);
        gateway
            .send(&request)
            .assert_refused(401, "credential-missing");
        let told = portcullis(folder, &["inspect"], bound);
        assert!(told.out.contains("(`cnf.jwk`)"), "{}", told.out);
        let bound = [
            "--bound-to-key",
            "file:instance.pem",
            "--client-attestation",
        ];
        let attested = portcullis(folder, &[&get[..], &bound].concat(), "");
        assert_eq!(attested.code, 0, "{}", attested.err);
        let told = portcullis(folder, &["inspect"], &attested.out);
        assert!(
            told.out.contains("typ: oauth-client-attestation+jwt"),
            "{}",
            told.out
        );
    }
    // A code is good for one; nothing is left behind of who comes second.
    let second = portcullis(folder, &[&enrol[..], &["--out", "second.pem"]].concat(), "");
    assert_eq!(second.code, 1, "{}", second.out);
    assert!(
        second.err.contains("403 `evidence-rejected`"),
        "{}",
        second.err
    );
    assert!(!folder.join("second.pem").exists());
    let taken = portcullis(
        folder,
        &[&enrol[..], &["--out", "instance.pem"]].concat(),
        "",
    );
    assert_eq!(taken.code, 2, "{}", taken.out);
    assert!(
        taken.err.contains("`--instance-key file:PATH` one that is"),
        "{}",
        taken.err
    );
}

#[test]
fn a_key_that_is_there_enrols_of_either_kind() {
    let gateway = registered();
    let folder = gateway.setup().folder();
    let url = format!("http://{}", gateway.address());
    let pair = Pair::of("ecdsa-p256-sha256");
    std::fs::copy(pair.private(), folder.join("phone.pem")).unwrap();
    let key = ["--build", "1.4.2", "--instance-key", "file:phone.pem"];
    let enrol = [
        "enrol",
        "--url",
        &url,
        "--app",
        "phone",
        "--code",
        "file:code",
        "--json",
    ];
    let enrolled = portcullis(folder, &[&enrol[..], &key].concat(), "");
    assert_eq!(enrolled.code, 0, "{}", enrolled.err);
    let enrolled: Value = serde_json::from_str(&enrolled.out).unwrap();
    let id = enrolled["instance"].as_str().unwrap();
    let get = ["get", "--url", &url, "--app", "phone", "--instance", id];
    for more in [&[][..], &["--instance-algorithm", "ecdsa-p256-sha256"]] {
        let got = portcullis(folder, &[&get[..], &key, more].concat(), "");
        assert_eq!(got.code, 0, "{}", got.err);
        let request = gateway
            .request("GET", "/")
            .field("Portcullis-Token", got.out.trim());
        gateway.send(&request).assert_passed();
    }
    let wrong = portcullis(
        folder,
        &[&get[..], &key, &["--instance-algorithm", "ed25519"]].concat(),
        "",
    );
    assert_eq!(wrong.code, 2);
    assert!(wrong.err.contains("this is a key on"), "{}", wrong.err);
}

#[test]
fn who_is_stuck_is_told_where() {
    let gateway = registered();
    let folder = gateway.setup().folder();
    let url = format!("http://{}", gateway.address());
    let admin = format!("http://{}", gateway.admin());
    let slip = std::fs::read_to_string(folder.join("code")).unwrap();
    let slip = slip.trim().replace("pcs_e_", "pcs_e_0");
    std::fs::write(folder.join("slip"), &slip[..slip.len() - 1]).unwrap();
    let enrol = |code: &'static str| {
        [
            "enrol", "--url", &url, "--app", "phone", "--build", "1.4.2", "--out", "new.pem",
            "--code", code,
        ]
    };
    let get = |evidence: &[&'static str], url: &str| -> Vec<String> {
        let all = ["get", "--app", "phone", "--url", url];
        all.iter()
            .chain(evidence)
            .map(ToString::to_string)
            .collect()
    };
    let instance =
        |key: &'static str| ["--instance", "i", "--build", "1.4.2", "--instance-key", key];
    for (args, code, told) in [
        // An id is no option, whatever it begins with.
        (get(&["--instance", "-o"], &url), 2, "--instance-key"),
        (
            enrol("file:slip").map(ToOwned::to_owned).to_vec(),
            1,
            "`code` cannot be read",
        ),
        (
            enrol("pcs_e_0123").map(ToOwned::to_owned).to_vec(),
            2,
            "`--code` takes a reference",
        ),
        (
            get(&instance("file:none.pem"), &url),
            2,
            "the file of `--instance-key`, `none.pem` cannot be opened",
        ),
        (
            get(&instance("env:NOBODY_SET_IT"), &url),
            2,
            "which `--instance-key` names",
        ),
        (
            get(&instance("file:code"), &url),
            2,
            "it is neither PEM nor a JWK",
        ),
        (
            get(&["--workload", "eyJhbGciOiJSUzI1NiJ9"], &url),
            2,
            "say `--workload file:PATH`",
        ),
        (
            get(&["--dev", "x", "--bound-to", "short"], &url),
            1,
            "`cnf.jkt` is not a thumbprint",
        ),
        // What answers there is another listener, or another path.
        (get(&["--dev", "x"], &admin), 1, "`--prefix` names its path"),
        (
            get(&["--dev", "x", "--prefix", "/elsewhere"], &url),
            1,
            "`--prefix` names its path",
        ),
    ] {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let ran = portcullis(folder, &args, "");
        assert_eq!(ran.code, code, "{args:?}: {}", ran.err);
        assert!(ran.err.contains(told), "{args:?}: {}", ran.err);
        // What may be a secret is not repeated.
        assert!(
            !ran.err.contains("pcs_e_0123") && !ran.err.contains("eyJ"),
            "{}",
            ran.err
        );
    }
    assert!(!folder.join("new.pem").exists());
}

#[test]
fn the_gateway_is_found_by_its_configuration_or_what_is_missing_there_is_told() {
    let (folder, gateway) = desk(DEV);
    let folder = folder.path();
    let text = std::fs::read_to_string(folder.join("gateway.toml")).unwrap();
    let port = gateway.address().port();
    let listens = "listen = \"127.0.0.1:0\"\nworkers";
    assert!(text.contains(listens), "{text}");
    let at = |lines: &str| text.replace(listens, &format!("{lines}\nworkers"));
    let every = format!("listen = \"0.0.0.0:{port}\"");
    let several = format!("listen = [\"unix:x.sock\", \"127.0.0.1:{port}\"]");
    let public = format!("listen = \"127.0.0.1:0\"\npublic_url = \"http://127.0.0.1:{port}\"");
    // Apps of the registry may be there where none is of the configuration.
    let alone = |text: String| text.split("[apps.phone]").next().unwrap().to_owned();
    for (name, text, code, told) in [
        ("several", alone(at(&several)), 0, ""),
        ("every", alone(at(&every)), 0, ""),
        ("public", at(&public), 0, ""),
        (
            "socket",
            alone(at("listen = \"unix:x.sock\"")),
            2,
            "name one with `--url`",
        ),
        (
            "nobody",
            alone(text.replace("[state]", "[state]\nregistry = \"off\"")),
            2,
            "no app of this configuration gets tokens",
        ),
        (
            "broken",
            text.replace("[\"dev\"]", "[\"oidc\"]"),
            2,
            "workloads",
        ),
    ] {
        std::fs::write(folder.join("other.toml"), text).unwrap();
        let get = [
            "get",
            "-c",
            "other.toml",
            "--app",
            "phone",
            "--dev",
            "laptop",
        ];
        let ran = portcullis(folder, &get, "");
        assert_eq!(ran.code, code, "{name}: {}", ran.err);
        assert!(ran.err.contains(told), "{name}: {}", ran.err);
    }
}

#[test]
fn who_may_not_read_the_gateways_secrets_gets_a_token_by_its_configuration() {
    let (folder, gateway) = desk(DEV);
    let folder = folder.path();
    let text = std::fs::read_to_string(folder.join("gateway.toml")).unwrap();
    let listens = format!("listen = \"{}\"", gateway.address());
    let text = text.replace(
        "listen = \"127.0.0.1:0\"\nworkers",
        &format!("{listens}\nworkers"),
    );
    std::fs::write(folder.join("at.toml"), text).unwrap();
    let state = folder.join("state");
    std::fs::create_dir(&state).unwrap();
    let mode = |mode| std::fs::set_permissions(&state, Permissions::from_mode(mode)).unwrap();
    mode(0o000);
    let output = that_minds_modes(folder)
        .args(["token", "get", "-c", "at.toml"])
        .args(["--app", "phone", "--dev", "laptop"])
        .current_dir(folder)
        .output()
        .unwrap();
    mode(0o700);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{told}");
}

#[test]
fn over_tls_the_authority_is_named_and_a_workload_shows_its_token_from_a_file_or_the_environment() {
    let upstream = Upstream::start();
    let authority = crate::harness::secure::Authority::new();
    let certified = authority.certify("localhost");
    let setup = Setup::before(&upstream)
        .server("tls = { certificate = \"file:cert.pem\", key = \"file:key.pem\" }");
    setup.write("cert.pem", certified.certificate.as_bytes());
    setup.write_secret("key.pem", certified.key.as_bytes());
    setup.write("ca.pem", authority.pem().as_bytes());
    setup.write(
        "keys.json",
        crate::harness::issuer::every_key().to_string().as_bytes(),
    );
    let tokens = format!(
        "evidence = [\"oidc\"]\nworkloads = [{{ issuer = \"platform\", claims = [{{ claim = \"sub\", value = \"repo:acme/app\" }}] }}]\n\
         on_failure = \"refuse\"\n[issuers.platform]\nissuer = \"{ISS}\"\naudience = \"{AUD}\"\nalgorithms = [\"RS256\"]\njwks = \"file:keys.json\"\n"
    );
    let gateway = setup.more(&phone(&tokens)).spawn();
    let folder = gateway.setup().folder();
    let now = Binary::now();
    let assertion = |jti: &str| {
        let token = crate::key_service::assertion().claim("iat", now);
        token.claim("exp", now + 600).claim("jti", jti).text()
    };
    let url = format!("https://localhost:{}", gateway.address().port());
    let get = |reference: &str, more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        let args = [
            "token",
            "get",
            "--url",
            &url,
            "--app",
            "phone",
            "--workload",
            reference,
        ];
        let output = command
            .args(args)
            .args(more)
            .env("PLATFORM_TOKEN", assertion("b"))
            .current_dir(folder)
            .output()
            .unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        (output.status.code().unwrap(), told)
    };
    std::fs::write(folder.join("assertion"), assertion("a") + "\n").unwrap();
    let trusting = ["--cacert", "ca.pem"];
    let (code, told) = get("file:assertion", &[]);
    assert!(code == 1 && told.contains("--cacert"), "{told}");
    for reference in ["file:assertion", "env:PLATFORM_TOKEN"] {
        let (code, told) = get(reference, &trusting);
        assert_eq!(code, 0, "{reference}: {told}");
        // An assertion is good for one token.
        let (code, told) = get(reference, &trusting);
        assert!(
            code == 1 && told.contains("403 `evidence-rejected`"),
            "{told}"
        );
    }
}
