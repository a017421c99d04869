//! gateway.toml: what is accepted, what is refused, and in which words.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use portcullis::apps::made::{Kind, Printed};
use portcullis::config::{self, Config, Loaded, Report, Severity, changes};
use portcullis::schemes::freshness::Freshness;
use portcullis::store::registry::Registry;
use proptest::prelude::*;
use serde_json::Value as Json;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const CANARY: &str = "canary-0123456789-0123456789-0123456789";

/// The key of the standard, as in RFC 9421, appendix B.1.4.
const ED25519_JWK: &str =
    r#"{"kty":"OKP","crv":"Ed25519","kid":"k","x":"JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs"}"#;

/// Another one, as in RFC 8037, appendix A.2.
const OTHER_JWK: &str =
    r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = root().join("tests/it/configs").join(folder);
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "toml"));
    files.sort();
    files
}

fn environment(name: &str) -> Option<String> {
    match name {
        "GOOD_KEY" => Some("0123456789-0123456789-0123456789".to_owned()),
        "LONG_KEY" => Some(CANARY.to_owned()),
        "STATIC_KEY" => Some("static-0123456789".to_owned()),
        "SHORT_KEY" => Some("canary".to_owned()),
        "BAD_BASE64" => Some("base64:canary?".to_owned()),
        "ED25519_JWK" => Some(ED25519_JWK.to_owned()),
        "OTHER_JWK" => Some(OTHER_JWK.to_owned()),
        "ED25519_SET" => Some(format!("{{\"keys\": [{ED25519_JWK}]}}")),
        // Of small order: anybody can sign under it.
        "WEAK_JWK" => Some(format!(
            r#"{{"kty":"OKP","crv":"Ed25519","x":"{}"}}"#,
            "A".repeat(43)
        )),
        "SECRET_JWK" => Some(format!(r#"{{"kty":"oct","k":"{}"}}"#, "A".repeat(43))),
        "BAD_HEX" => Some("hex:canary".to_owned()),
        _ if name.starts_with("KEY_OF_") => {
            Some(format!("{name}-0123456789-0123456789-0123456789"))
        }
        _ => None,
    }
}

/// A certificate and its key; those of every call belong together.
fn certified() -> (&'static str, &'static str) {
    static MADE: OnceLock<(String, String)> = OnceLock::new();
    let made = MADE.get_or_init(fresh_certificate);
    (&made.0, &made.1)
}

/// Who signs the certificates of clients.
fn authority() -> &'static str {
    static MADE: OnceLock<String> = OnceLock::new();
    MADE.get_or_init(|| authority_until(4000))
}

/// One that is over when this year begins.
fn authority_until(year: i32) -> String {
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.not_after = rcgen::date_time_ymd(year, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    params.self_signed(&key).unwrap().pem()
}

fn fresh_certificate() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

/// A folder with the files that configurations here refer to.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = certified();
    let revoking =
        authority().to_owned() + "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n";
    for (name, content) in [
        ("cert.pem", certificate),
        ("key.pem", key),
        ("ca.pem", authority()),
        ("ca-and-crl.pem", revoking.as_str()),
        ("newline.key", "0123456789-0123456789-0123456789\n"),
        ("empty.key", ""),
        (
            "ed25519.pem",
            include_str!("vectors/rfc9421/keys/test-key-ed25519.pem"),
        ),
        (
            "ed25519.pub.pem",
            include_str!("vectors/rfc9421/keys/test-key-ed25519.pub.pem"),
        ),
        (
            "set.json",
            r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k","x":"JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs"}]}"#,
        ),
        (
            "p256.pub.pem",
            include_str!("vectors/rfc9421/keys/test-key-ecc-p256.pub.pem"),
        ),
        ("p384.pub.pem", include_str!("vectors/openssl/p384.pub.pem")),
        (
            "rsa.pub.pem",
            include_str!("vectors/rfc9421/keys/test-key-rsa.pub.pem"),
        ),
        (
            "rsa-1024.pub.pem",
            include_str!("vectors/openssl/rsa-1024.pub.pem"),
        ),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    folder
}

fn load(text: &str, name: &str) -> Result<Loaded, Report> {
    Config::from_text(text, name, folder().path(), &environment)
}

fn load_file(path: &Path) -> Result<Loaded, Report> {
    let name = path.file_name().unwrap().to_str().unwrap();
    load(&fs::read_to_string(path).unwrap(), name)
}

/// What is warned of, but that there are no routes: most texts here have none.
fn warnings(loaded: &Loaded) -> Vec<&config::Problem> {
    let all = loaded.warnings.iter();
    all.filter(|one| one.key != "routes").collect()
}

#[test]
fn a_key_of_another_certificate_is_found_before_anything_listens() {
    let folder = folder();
    fs::write(folder.path().join("key.pem"), fresh_certificate().1).unwrap();
    let text = "[server]\ntls = { certificate = \"file:cert.pem\", key = \"file:key.pem\" }\n";
    let report = Config::from_text(text, "gateway.toml", folder.path(), &environment).unwrap_err();
    let told = report.to_string();
    assert!(
        told.contains("server.tls.key: the private key does not belong to the certificate"),
        "{told}"
    );
    assert!(
        told.contains("hint: the leaf must be the first certificate"),
        "{told}"
    );
}

#[test]
fn a_certificate_that_is_over_is_told_once_its_last_second_has_passed() {
    let folder = folder();
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2026, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    fs::write(folder.path().join("cert.pem"), certificate.pem()).unwrap();
    fs::write(folder.path().join("key.pem"), key.serialize_pem()).unwrap();
    let text = "[server]\ntls = { certificate = \"file:cert.pem\", key = \"file:key.pem\" }\n";
    let loaded = Config::from_text(text, "gateway.toml", folder.path(), &environment).unwrap();
    let told = |now| only(&loaded, now).unwrap();
    let message = "server.tls.certificate: the certificate is over since 2026-01-01";
    assert!(!told(END).contains(message), "{}", told(END));
    assert!(told(END + 1).contains(message), "{}", told(END + 1));
}

/// The first second of 2026.
const END: i64 = 1_767_225_600;

/// What is told at a time of what has its time: one thing at most.
fn only(loaded: &Loaded, now: i64) -> Option<String> {
    let told: Vec<String> = loaded.lapsed(now).map(ToString::to_string).collect();
    assert!(told.len() <= 1, "{told:?}");
    told.into_iter().next()
}

#[test]
fn a_certificate_is_warned_of_before_it_is_over_14_days_or_the_last_quarter_of_its_life() {
    const DAY: i64 = 24 * 60 * 60;
    let folder = folder();
    let made = |first, last| {
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        (params.not_before, params.not_after) = (first, last);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        (certificate, key.serialize_pem())
    };
    let end = rcgen::date_time_ymd(2026, 1, 1);
    let (long, key) = made(rcgen::date_time_ymd(2025, 1, 1), end);
    let (brief, brief_key) = made(rcgen::date_time_ymd(2025, 12, 28), end);
    let (later, later_key) = made(
        rcgen::date_time_ymd(2025, 1, 1),
        rcgen::date_time_ymd(2030, 1, 1),
    );
    let server = "[server.tls]\ncertificate = \"file:cert.pem\"\nkey = \"file:key.pem\"\n";
    let upstream = "[upstreams.a]\nservers = [\"https://127.0.0.1:1\"]\n\
                    tls = { ca = \"file:cert.pem\", certificate = \"file:cert.pem\", key = \"file:key.pem\" }\n";
    let of_server = "server.tls.certificate: the certificate holds until 2026-01-01";
    let of_upstream = "upstreams.a.tls.certificate: the certificate holds until 2026-01-01";
    let of_chain = "server.tls.certificate: certificate 2 of the chain holds until 2026-01-01";
    for (chain, key, text, days, message) in [
        (long.clone(), &key, server, 14, of_server),
        (brief, &brief_key, server, 1, of_server),
        (long.clone(), &key, upstream, 14, of_upstream),
        (later + &long, &later_key, server, 14, of_chain),
    ] {
        fs::write(folder.path().join("cert.pem"), chain).unwrap();
        fs::write(folder.path().join("key.pem"), key).unwrap();
        let loaded = Config::from_text(text, "gateway.toml", folder.path(), &environment).unwrap();
        assert_eq!(only(&loaded, END - days * DAY - 1), None, "{message}");
        let told = only(&loaded, END - days * DAY).unwrap();
        assert!(told.contains(message), "{told}");
        let over = only(&loaded, END + 1).unwrap();
        assert!(over.contains("is over since"), "{over}");
    }
}

#[test]
fn a_certificate_that_does_not_hold_yet_is_told_until_its_first_second() {
    let folder = folder();
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.not_before = rcgen::date_time_ymd(2026, 1, 1);
    params.not_after = rcgen::date_time_ymd(2030, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    let early = params.self_signed(&key).unwrap().pem();
    fs::write(folder.path().join("early.pem"), early).unwrap();
    fs::write(folder.path().join("early.key"), key.serialize_pem()).unwrap();
    let tls = |certificate: &str, more: &str| {
        format!(
            "tls = {{ certificate = \"file:{certificate}.pem\", key = \"file:{certificate}.key\"{more} }}\n"
        )
    };
    fs::copy(
        folder.path().join("key.pem"),
        folder.path().join("cert.key"),
    )
    .unwrap();
    let of_client_ca = tls("cert", ", client_ca = \"file:early.pem\"");
    let upstream = tls("early", ", ca = \"file:ca.pem\"");
    for (text, key, what) in [
        (
            format!("[server]\n{}", tls("early", "")),
            "server.tls.certificate",
            "the certificate",
        ),
        (
            format!("[server]\n{of_client_ca}"),
            "server.tls.client_ca",
            "certificate 1 of the client CA",
        ),
        (
            format!("[upstreams.a]\nservers = [\"https://127.0.0.1:1\"]\n{upstream}"),
            "upstreams.a.tls.certificate",
            "the certificate",
        ),
    ] {
        let loaded = Config::from_text(&text, "gateway.toml", folder.path(), &environment).unwrap();
        let told = only(&loaded, END - 1).unwrap();
        let message = format!("{key}: {what} holds only from 2026-01-01 on");
        assert!(told.contains(&message), "{told}");
        assert_eq!(only(&loaded, END), None);
    }
}

#[test]
fn an_authority_of_clients_that_is_over_is_told_with_its_number() {
    let folder = folder();
    let authorities = authority().to_owned() + &authority_until(2026);
    fs::write(folder.path().join("ca.pem"), authorities).unwrap();
    let text = "[server]\ntls = { certificate = \"file:cert.pem\", key = \"file:key.pem\", client_ca = \"file:ca.pem\" }\n";
    let loaded = Config::from_text(text, "gateway.toml", folder.path(), &environment).unwrap();
    let told_at = |now| {
        let told = loaded.lapsed(now).map(ToString::to_string);
        told.filter(|one| one.contains("over since"))
            .collect::<Vec<_>>()
    };
    assert_eq!(told_at(1_767_225_600), [""; 0]);
    let told = told_at(1_767_225_601);
    assert_eq!(told.len(), 1, "{told:?}");
    let message = "server.tls.client_ca: certificate 2 of the client CA is over since 2026-01-01";
    assert!(told[0].contains(message), "{told:?}");
}

fn refused(text: &str) -> Report {
    load(text, "gateway.toml").unwrap_err()
}

/// Compares with what is committed; `UPDATE=1` commits to what it is now.
#[expect(
    clippy::disallowed_methods,
    reason = "a test may be told to write its expectations"
)]
fn expect(path: &Path, found: &str, how: &str) {
    if std::env::var("UPDATE").is_ok() {
        fs::write(path, found).unwrap();
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    assert!(
        found == expected,
        "{}: expected\n{expected}\nfound\n{found}\n`{how}` writes it anew",
        path.display()
    );
}

#[test]
fn every_good_configuration_loads_without_a_warning() {
    for path in files("accepted") {
        let loaded = load_file(&path).unwrap_or_else(|report| panic!("{report}"));
        let warnings = warnings(&loaded);
        assert!(warnings.is_empty(), "{}: {}", path.display(), warnings[0]);
    }
}

#[test]
fn every_bad_configuration_is_refused_in_these_words() {
    let files = files("refused");
    assert!(files.len() >= 25);
    for path in files {
        let report = load_file(&path)
            .err()
            .unwrap_or_else(|| panic!("{} loads", path.display()));
        let message = format!("{report}\n");
        assert!(!message.contains("canary"), "{}: {message}", path.display());
        assert!(
            !format!("{report:?}").contains("canary"),
            "{}",
            path.display()
        );
        assert!(
            !report.to_json().to_string().contains("canary"),
            "{}",
            path.display()
        );
        expect(
            &path.with_extension("txt"),
            &message,
            "UPDATE=1 cargo test --test it config",
        );
    }
}

#[test]
fn ten_different_problems_are_told_in_one_run() {
    let path = root().join("tests/it/configs/refused/ten_at_once.toml");
    let report = load_file(&path).unwrap_err();
    assert_eq!(report.problems().len(), 10, "{report}");
}

#[test]
fn the_sample_is_good_and_what_the_page_says_is_what_the_code_says() {
    let text = fs::read_to_string(root().join("gateway.toml")).unwrap();
    let loaded =
        config::from_text(&text, "gateway.toml").unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(loaded.config.gateway.routes.routes().len(), 2);
    assert!(text.starts_with("#:schema ./docs/gateway.schema.json\n"));
    for (file, printed, page) in [
        ("docs/config.md", config::reference_page(), "reference"),
        ("docs/gateway.schema.json", config::schema_json(), "schema"),
    ] {
        expect(
            &root().join(file),
            &printed,
            &format!("portcullis check --print {page} > {file}"),
        );
    }
}

const ROUTE: &str = "upstreams.u.servers = [\"echo:\"]\n[[routes]]\nname = \"r\"\npath = \"/\"\nupstream = \"u\"\naccept = [\"token\"]\n";
const ISSUER: &str = "apps.a = {}\n[issuers.i]\napp = \"a\"\nalgorithms = [\"HS256\"]\n";

/// Each key that takes a reference, in the order of the page, and a file with `@` where that stands.
fn files_with_a_reference() -> Vec<(&'static str, String)> {
    let key = |rest: &str| format!("[apps.a]\nkeys = [{{ id = \"a\", algorithm = {rest} }}]\n");
    let static_key = |rest: &str| format!("[apps.a]\napi_keys = [{{ id = \"a\", {rest} }}]\n");
    vec![
        ("[admin] token", "admin.token = \"@\"".to_owned()),
        ("[admin] read_token", "admin.read_token = \"@\"".to_owned()),
        ("[state] master_key", "state.master_key = \"@\"".to_owned()),
        (
            "[tokens] nonce_secret",
            "tokens.nonce_secret = \"@\"".to_owned(),
        ),
        (
            "[api_keys] pepper",
            format!(
                "api_keys.pepper = \"@\"\n{}",
                static_key("secret = \"env:GIVEN\"")
            ),
        ),
        (
            "[routes.inject] header",
            format!("{ROUTE}inject.header = {{ X-Key = \"@\" }}\n"),
        ),
        (
            "[routes.inject] form",
            format!("{ROUTE}inject.form = {{ client_secret = \"@\" }}\n"),
        ),
        (
            "[routes.inject.basic] password",
            format!("{ROUTE}inject.basic = {{ user = \"a\", password = \"@\" }}\n"),
        ),
        (
            "[[apps.NAME.keys]] secret",
            key("\"hmac-sha256\", secret = \"@\""),
        ),
        (
            "[[apps.NAME.keys]] public_key",
            key("\"ed25519\", public_key = \"@\""),
        ),
        (
            "[[apps.NAME.keys]] private_key",
            key("\"ed25519\", private_key = \"@\", schemes = [\"token\"], attests = true"),
        ),
        (
            "[[apps.NAME.api_keys]] secret",
            static_key("secret = \"@\""),
        ),
        ("[issuers.NAME] secret", format!("{ISSUER}secret = \"@\"\n")),
        (
            "[issuers.NAME] signature_secret",
            format!("{ISSUER}secret = \"env:GIVEN\"\nsignature_secret = \"@\"\n"),
        ),
    ]
}

/// Each key of the reference page that takes a reference, with its section, and what it takes.
fn references_on_the_page() -> Vec<(String, String)> {
    let page = config::reference_page();
    let mut section = "";
    let mut keys = Vec::new();
    for line in page.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            section = heading.trim_matches('`');
        }
        let mut cells = line.split(" | ");
        if let (Some(key), Some(takes)) = (cells.next(), cells.next())
            && takes.contains("env:NAME")
        {
            let key = key.trim_start_matches("| ").trim_matches('`');
            keys.push((format!("{section} {key}"), takes.to_owned()));
        }
    }
    keys
}

#[test]
fn each_key_takes_the_references_that_the_page_says_and_no_other() {
    let listed = references_on_the_page();
    let files = files_with_a_reference();
    let names: Vec<&str> = listed.iter().map(|(key, _)| key.as_str()).collect();
    let tried: Vec<&str> = files.iter().map(|(key, _)| *key).collect();
    assert_eq!(names, tried, "a key that takes a reference is tried here");
    for ((key, takes), (_, file)) in listed.iter().zip(&files) {
        let folder = folder();
        let content = match key.rsplit_once(' ').unwrap().1 {
            "public_key" => include_str!("vectors/rfc9421/keys/test-key-ed25519.pub.pem"),
            "private_key" => include_str!("vectors/rfc9421/keys/test-key-ed25519.pem"),
            _ => CANARY,
        };
        let given = |name: &str| (name == "GIVEN").then(|| content.to_owned());
        let path = folder.path().join("given");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        for (form, reference) in [
            ("env:NAME", "env:GIVEN"),
            ("file:PATH", "file:given"),
            ("generated:PATH", "generated:made"),
        ] {
            let text = file.replace('@', reference);
            let loaded = Config::from_text(&text, "gateway.toml", folder.path(), &given);
            let told = loaded.as_ref().err().map(ToString::to_string);
            assert_eq!(loaded.is_ok(), takes.contains(form), "{text}\n{told:?}");
        }
    }
}

#[test]
fn checking_makes_no_secret_and_loading_makes_it_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.toml");
    fs::copy(root().join("gateway.toml"), &path).unwrap();

    let checked = Config::check(&path).unwrap();
    assert!(checked.resolved.keys()[0].to_be_generated);
    assert!(!folder.path().join("state").exists());

    let first = Config::load(&path).unwrap();
    let second = Config::load(&path).unwrap();
    assert!(!second.resolved.keys()[0].to_be_generated);
    assert_eq!(
        changes(&first.resolved, &second.resolved),
        Vec::<String>::new()
    );
    let key = folder.path().join("state/mobile-2026.key");
    let master = folder.path().join("state/master.key");
    let token = folder.path().join("state/admin.token");
    assert_eq!(first.config.files, [path, token, key, master]);
}

#[test]
fn the_pepper_is_made_where_what_must_outlive_the_process_is() {
    let folder = folder();
    let text = "state.directory = \"kept\"\n[apps.old]\napi_keys = [{ id = \"old\", secret = \"env:STATIC_KEY\" }]\n";
    Config::from_text(text, "gateway.toml", folder.path(), &environment).unwrap();
    assert!(folder.path().join("kept/api-keys.pepper").exists());
    assert!(!folder.path().join("state").exists());
    // One that lies where it was made before is not made anew.
    fs::rename(folder.path().join("kept"), folder.path().join("state")).unwrap();
    let refused = Config::from_text(text, "gateway.toml", folder.path(), &environment);
    let told = refused.unwrap_err().to_string();
    assert!(told.contains("lies in `state`"), "{told}");
    assert!(!folder.path().join("kept/api-keys.pepper").exists());
}

/// Runs the program in `folder`, with this in `PORTCULLIS_LOG`.
fn run(folder: &Path, args: &[&str], log: &str) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(args)
        .env("PORTCULLIS_LOG", log)
        .current_dir(folder)
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), told)
}

#[test]
fn no_key_is_hashed_under_another_pepper_than_is_meant() {
    let folder = folder();
    let args = ["hash-key", "--key-file", "static"];
    fs::write(folder.path().join("static"), "static-0123456789").unwrap();
    for text in [
        "[api_keys]\npepper = \"mine\"\n",
        "[state]\ndirectory = 3\n",
    ] {
        fs::write(folder.path().join("gateway.toml"), text).unwrap();
        let (code, told) = run(folder.path(), &args, "info");
        assert_eq!(code, Some(2), "{text}: {told}");
        assert!(!folder.path().join("state").exists(), "{text}");
    }
}

#[test]
fn events_that_cannot_be_chosen_are_told_as_what_is_wrong_with_a_configuration_is() {
    let (code, told) = run(folder().path(), &["serve"], "portcullis=loud");
    assert_eq!(code, Some(2), "{told}");
    let message = "`PORTCULLIS_LOG`: the filter `portcullis=loud` is not like";
    assert!(told.contains(message), "{told}");
    let (code, told) = run(folder().path(), &["serve"], "warning");
    assert_eq!(code, Some(2), "{told}");
    let message = "`PORTCULLIS_LOG`: `warning` is no level; `off`, `error`, `warn`, `info`";
    assert!(told.contains(message), "{told}");
}

/// What a page shows as TOML.
fn pieces(page: &str) -> impl Iterator<Item = &str> {
    let rest = page.split("\n```toml\n").skip(1);
    rest.map(|rest| rest.split("\n```").next().unwrap())
}

#[test]
fn every_key_that_a_page_shows_is_one_that_there_is() {
    let docs = fs::read_dir(root().join("docs")).unwrap();
    let mut pages: Vec<PathBuf> = docs.map(|entry| entry.unwrap().path()).collect();
    pages.retain(|path| path.extension().is_some_and(|end| end == "md"));
    pages.push(root().join("README.md"));
    let mut count = 0;
    for path in pages {
        for piece in pieces(&fs::read_to_string(&path).unwrap()) {
            count += 1;
            // Only of its keys: what they refer to stands elsewhere.
            let wrong = |around: &str| {
                let report = config::from_text(&format!("{around}{piece}\n"), "piece").err()?;
                let mut problems = report.problems().iter();
                let of_key =
                    problems.find(|one| one.key.is_empty() || one.message == "unknown key");
                of_key.map(ToString::to_string)
            };
            // It may be what stands within a table.
            let told = ["", "[[routes]]\n", "[upstreams.u]\n"].map(wrong);
            let is_good = told.iter().any(Option::is_none);
            assert!(is_good, "{}: {told:?}\n{piece}", path.display());
        }
    }
    assert!(count > 20, "{count}");
}

#[test]
fn a_default_is_the_same_written_or_left_out() {
    let left_out = config::from_text("", "gateway.toml").unwrap();
    let written =
        fs::read_to_string(root().join("tests/it/configs/accepted/defaults.toml")).unwrap();
    let written = config::from_text(&written, "gateway.toml").unwrap();
    assert_eq!(
        changes(&left_out.resolved, &written.resolved),
        Vec::<String>::new()
    );
    assert_eq!(left_out.config.gateway.freshness, Freshness::USUAL);
}

#[test]
fn a_reload_tells_what_changed_and_of_a_secret_only_that() {
    let text =
        fs::read_to_string(root().join("tests/it/configs/accepted/everything.toml")).unwrap();
    let folder = folder();
    let before = Config::from_text(&text, "gateway.toml", folder.path(), &environment).unwrap();
    let text = text
        .replace("window = \"4m\"", "window = \"6m\"")
        .replace("\"GET\", \"POST\"", "\"GET\"")
        .replace("apps.desk", "apps.table");
    let other = |name: &str| match name {
        "GOOD_KEY" => Some(CANARY.to_owned()),
        name => environment(name),
    };
    let after = Config::from_text(&text, "gateway.toml", folder.path(), &other).unwrap();
    let lines = changes(&before.resolved, &after.resolved);
    assert_eq!(
        lines,
        [
            "apps.desk: removed",
            "apps.table: added",
            "freshness.window: \"4m\" → \"6m\"",
            "routes.orders.methods: [\"GET\",\"HEAD\",\"POST\"] → [\"GET\",\"HEAD\"]",
            "apps.mobile.keys.mobile-2026.secret: changed",
        ]
    );
}

/// Adds the keys of a schema that have none below them, by their paths. Gives back whether there are any.
fn keys_of(schema: &Json, path: &str, keys: &mut BTreeSet<String>) -> bool {
    let mut any = false;
    for one in schema["anyOf"].as_array().into_iter().flatten() {
        any |= keys_of(one, path, keys);
    }
    any |= schema["items"].is_object() && keys_of(&schema["items"], path, keys);
    let named = &schema["additionalProperties"];
    any |= named.is_object() && keys_of(named, &format!("{path}.*"), keys);
    for (name, one) in schema["properties"].as_object().into_iter().flatten() {
        any = true;
        let path = format!("{path}.{name}");
        let path = path.trim_start_matches('.');
        if !keys_of(one, path, keys) {
            keys.insert(path.to_owned());
        }
    }
    any
}

/// What a change of a key is told as, where that is not the key's own name.
const TOLD_AS: [(&str, &str); 10] = [
    ("api_keys.deprecation", "notice"),
    ("api_keys.link", "notice"),
    // A static key has a secret in place of its hash.
    ("apps.*.api_keys.hash", "secret"),
    // Names, as the new ones that they are.
    ("apps.*.api_keys.id", "legacy-3"),
    ("apps.*.keys.id", "mobile-2027"),
    ("issuers.*.jwks", "keys"),
    ("routes.inject.basic.user", "authorization"),
    ("routes.name", "goods"),
    ("routes.waive.part", "query"),
    // Those of the routes that say nothing else.
    ("tokens.headers", "token_headers"),
];

/// The names in what is told of a change: those of its path, and of what differs in values that are shown whole.
fn names_told(line: &str) -> BTreeSet<String> {
    let (path, values) = line.split_once(": ").unwrap();
    let mut names: BTreeSet<String> = path.split(['.', '[', ']']).map(str::to_owned).collect();
    if let Some((old, new)) = values.split_once(" → ") {
        let [old, new]: [Json; 2] = [old, new].map(|value| serde_json::from_str(value).unwrap());
        names_of_what_differs(&old, &new, &mut names);
    }
    names
}

fn names_of_what_differs(old: &Json, new: &Json, names: &mut BTreeSet<String>) {
    match (old, new) {
        (Json::Object(before), Json::Object(after)) => {
            for name in before.keys().chain(after.keys()) {
                let (old, new) = (&old[name.as_str()], &new[name.as_str()]);
                if old != new {
                    names.insert(name.clone());
                    names_of_what_differs(old, new, names);
                }
            }
        }
        (Json::Array(before), Json::Array(after)) => {
            for (old, new) in before.iter().zip(after) {
                names_of_what_differs(old, new, names);
            }
        }
        _ => {}
    }
}

#[test]
fn a_reload_tells_the_change_of_every_key_that_there_is() {
    let text = fs::read_to_string(root().join("tests/it/configs/each_key.toml")).unwrap();
    let lines: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.split(" #~ ").collect())
        .collect();
    let plain: Vec<&str> = lines.iter().map(|line| line[0]).collect();
    let folder = folder();
    let write = |name: &str, content: &str| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    };
    let (certificate, key) = certified();
    write("chain.pem", &format!("{certificate}{certificate}"));
    write("cas.pem", &authority().repeat(2));
    write("again.pem", &format!("again\n{key}"));
    let private = fs::read_to_string(folder.path().join("ed25519.pem")).unwrap();
    write("ed25519-2.pem", &private);
    let load = |lines: &[&str]| {
        let text = lines.join("\n");
        Config::from_text(&text, "gateway.toml", folder.path(), &environment)
            .unwrap_or_else(|report| panic!("{report}"))
    };
    let before = load(&plain);
    let mut told = BTreeSet::new();
    for (number, line) in lines.iter().enumerate() {
        for change in &line[1..] {
            let (key, other) = change.split_once(" ~").unwrap();
            let mut changed = plain.clone();
            changed[number] = other.trim();
            let after = load(&changed);
            let found = changes(&before.resolved, &after.resolved);
            let shown = found.join("\n");
            let names: BTreeSet<String> = found.iter().flat_map(|line| names_told(line)).collect();
            let is_told = |name: &str| names.contains(name);
            let own = key.rsplit('.').next().unwrap();
            let mut others = TOLD_AS.iter().filter(|(known, _)| *known == key);
            let is_named = is_told(own) || others.any(|(_, other)| is_told(other));
            assert!(is_named, "{change}: {shown}");
            // Neither a secret nor a hash.
            for secret in ["canary", "0123456789", "112233445566"] {
                assert!(!shown.contains(secret), "{change}: {shown}");
            }
            told.insert(key.to_owned());
        }
    }
    let mut all = BTreeSet::new();
    let schema = serde_json::from_str(&config::schema_json()).unwrap();
    keys_of(&schema, "", &mut all);
    // Beside a secret that is long enough it changes nothing, and without it a short one is refused.
    all.remove("apps.*.keys.weak_secret");
    // Beside `trusted_proxies` there is one kind only.
    all.remove("apps.*.tokens.evidence");
    assert_eq!(told, all);
}

/// An app with tokens for `evidence`, at a gateway whose `[server]` says this.
fn with_evidence(server: &str, evidence: &str) -> String {
    format!(
        "[server]\n{server}\n[tokens]\naudience = \"a\"\n[issuers.ci]\nissuer = \"https://ci.example\"\n\
         audience = \"a\"\nalgorithms = [\"EdDSA\"]\njwks = \"file:set.json\"\n[apps.a]\n\
         keys = [{{ id = \"a\", algorithm = \"hmac-sha256\", secret = \"env:GOOD_KEY\", schemes = [\"token\"], attests = true }}]\n\
         [apps.a.tokens]\nevidence = {evidence}\n\
         workloads = [{{ issuer = \"ci\", claims = [{{ claim = \"sub\", value = \"b\" }}] }}]\n"
    )
}

#[test]
fn a_reload_tells_the_change_of_what_is_taken_as_evidence() {
    let folder = folder();
    let with = |evidence: &str| {
        let text = with_evidence("", evidence);
        let loaded = Config::from_text(&text, "gateway.toml", folder.path(), &environment);
        loaded.unwrap_or_else(|report| panic!("{report}")).resolved
    };
    let before = with("[\"oidc\"]");
    assert_eq!(
        changes(&before, &with("[\"oidc\", \"dev\"]")),
        ["apps.a.tokens.evidence: [\"oidc\"] → [\"oidc\",\"dev\"]"]
    );
}

#[test]
fn dev_at_a_gateway_that_others_know_by_a_name_is_a_warning() {
    for (url, is_told) in [
        ("https://api.example.com", true),
        ("http://192.0.2.1:8080", true),
        ("http://localhost:8080", false),
        ("http://127.0.0.1:8080", false),
        ("http://[::1]:8080", false),
    ] {
        let server = format!("public_url = \"{url}\"");
        let told = |evidence: &str| {
            let loaded = load(&with_evidence(&server, evidence), "gateway.toml");
            let loaded = loaded.unwrap_or_else(|report| panic!("{report}"));
            let told = loaded.warnings.iter().map(|one| one.key.clone());
            told.collect::<Vec<String>>()
        };
        let wanted: &[&str] = if is_told {
            &["apps.a.tokens.evidence[1]"]
        } else {
            &[]
        };
        assert_eq!(told("[\"oidc\", \"dev\"]"), wanted, "{url}");
        assert!(told("[\"oidc\"]").is_empty(), "{url}");
    }
}

#[test]
fn keys_in_another_order_are_a_change_since_the_last_that_can_signs() {
    let key = |id: &str| {
        format!("{{ id = \"{id}\", algorithm = \"hmac-sha256\", secret = \"env:GOOD_KEY\" }}")
    };
    let folder = folder();
    let with = |ids: [&str; 2]| {
        let text = format!("[apps.a]\nkeys = [{}]\n", ids.map(key).join(", "));
        let loaded = Config::from_text(&text, "gateway.toml", folder.path(), &environment);
        loaded.unwrap_or_else(|report| panic!("{report}")).resolved
    };
    let before = with(["one", "two"]);
    assert_eq!(
        changes(&before, &with(["two", "one"])),
        ["apps.a.keys: in another order"]
    );
    assert_eq!(
        changes(&before, &with(["two", "three"])),
        ["apps.a.keys.one: removed", "apps.a.keys.three: added"]
    );
}

#[test]
fn a_key_or_a_route_that_is_put_first_is_no_change_of_the_secrets_of_those_behind_it() {
    let key = |id: &str| {
        format!(
            "{{ id = \"{id}\", algorithm = \"hmac-sha256\", secret = \"env:KEY_OF_{}\" }}",
            id.to_uppercase()
        )
    };
    let route = |name: &str| {
        format!(
            "[[routes]]\nname = \"{name}\"\npath = \"/{name}\"\nupstream = \"u\"\naccept = [\"http-signature\"]\n\
             inject.header = {{ X-Key = \"env:KEY_OF_{}\" }}\n",
            name.to_uppercase()
        )
    };
    let folder = folder();
    let with = |ids: &[&str], names: &[&str]| {
        let keys: Vec<String> = ids.iter().map(|id| key(id)).collect();
        let routes: String = names.iter().map(|name| route(name)).collect();
        let text = format!(
            "upstreams.u.servers = [\"https://u.example\"]\n{routes}[apps.a]\nkeys = [{}]\n",
            keys.join(", ")
        );
        let loaded = Config::from_text(&text, "gateway.toml", folder.path(), &environment);
        loaded.unwrap_or_else(|report| panic!("{report}")).resolved
    };
    let before = with(&["one", "two"], &["x", "y"]);
    assert_eq!(
        changes(&before, &with(&["three", "one", "two"], &["z", "x", "y"])),
        ["apps.a.keys.three: added", "routes.z: added"]
    );
}

#[test]
fn no_master_key_is_made_beside_a_registry_that_another_has_sealed() {
    let folder = folder();
    let state = folder.path().join("state");
    fs::create_dir(&state).unwrap();
    fs::write(state.join("portcullis.redb"), "sealed").unwrap();
    let report = refused_in(folder.path(), "");
    assert!(
        report.contains("state.master_key: `generated:state/master.key` is missing, and `state/portcullis.redb` is sealed under it"),
        "{report}"
    );
    assert!(!state.join("master.key").exists());
    // Another registry is made with its key.
    let text = "state.registry = \"redb:other.redb\"\n";
    Config::from_text(text, "gateway.toml", folder.path(), &environment).unwrap();
    assert!(state.join("master.key").exists());
}

#[test]
fn a_registry_that_was_brought_back_with_its_own_key_is_not_judged_by_what_is_left_beside_it() {
    let [folder, elsewhere] = [folder(), folder()];
    let open = |folder: &Path| {
        let loaded = Config::from_text("", "gateway.toml", folder, &environment).unwrap();
        drop(Registry::open(&loaded.config.registry.unwrap()).unwrap());
    };
    open(folder.path());
    open(elsewhere.path());
    let copy = |name: &str| {
        let [from, to] = [&elsewhere, &folder].map(|one| one.path().join("state").join(name));
        fs::copy(from, to).unwrap();
    };
    copy("master.key");
    let report = refused_in(folder.path(), "");
    let told = "state.master_key: `generated:state/master.key` is another master key than `state/portcullis.redb` is sealed under";
    assert!(report.contains(told), "{report}");
    copy("portcullis.redb");
    open(folder.path());
    let probe = |folder: &Path| fs::read(folder.join("state/portcullis.redb.probe")).unwrap();
    assert!(probe(folder.path()) == probe(elsewhere.path()));
}

#[test]
fn a_folder_is_no_registry() {
    let folder = folder();
    fs::create_dir_all(folder.path().join("kept/more")).unwrap();
    // That of `[state] directory` is not there before the first start.
    for path in ["state", "kept/more"] {
        let text = format!("state.registry = \"redb:{path}\"\n");
        let report = refused_in(folder.path(), &text);
        let told = format!("state.registry: `{path}` is a folder");
        assert!(report.contains(&told), "{report}");
        let hint = format!("`redb:{path}/portcullis.redb`");
        assert!(report.contains(&hint), "{report}");
    }
}

#[test]
fn no_pepper_is_made_where_a_hash_says_that_there_was_one() {
    let folder = folder();
    let key = |how: &str| format!("[apps.old]\napi_keys = [{{ id = \"old\", {how} }}]\n");
    let of_hash = key(&format!("hash = \"hmac-sha256:{}\"", "0".repeat(64)));
    let file = folder.path().join("gateway.toml");
    fs::write(&file, &of_hash).unwrap();
    let report = Config::load(&file).unwrap_err().to_string();
    let message = "api_keys.pepper: `generated:state/api-keys.pepper` is missing, and static keys are hashed under it";
    assert!(report.contains(message), "{report}");
    // Who only looks at the file, on whatever machine, is warned.
    let (code, told) = run(folder.path(), &["check"], "info");
    assert!(code == Some(0) && told.contains(message), "{told}");
    // Nor by who hashes another key.
    fs::write(folder.path().join("static"), "static-0123456789").unwrap();
    let (code, told) = run(folder.path(), &["hash-key", "--key-file", "static"], "info");
    assert!(code == Some(2) && told.contains(message), "{told}");
    let pepper = folder.path().join("state/api-keys.pepper");
    assert!(!pepper.exists());
    // A key itself is hashed at the load, whatever under.
    let of_secret = key("secret = \"env:STATIC_KEY\"");
    Config::from_text(&of_secret, "gateway.toml", folder.path(), &environment).unwrap();
    assert!(pepper.exists());
    Config::from_text(&of_hash, "gateway.toml", folder.path(), &environment).unwrap();
}

#[test]
fn a_broken_certificate_for_an_upstream_is_told_where_it_stands() {
    let folder = folder();
    let broken = "-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----\n";
    let text = "[upstreams.u]\nservers = [\"https://u.example\"]\n\
         tls = { ca = \"file:cert.pem\", certificate = \"file:broken.pem\", key = \"file:key.pem\" }\n";
    fs::write(folder.path().join("broken.pem"), broken).unwrap();
    let report = Config::from_text(text, "gateway.toml", folder.path(), &environment).unwrap_err();
    let told = report.to_string();
    assert!(told.contains("upstreams.u.tls.certificate: "), "{told}");
    assert!(!told.contains("upstreams.u.tls.key: "), "{told}");
}

/// What is said of this text in a folder, whether it is to be run on or only looked at.
fn refused_in(folder: &Path, text: &str) -> String {
    let path = folder.join("gateway.toml");
    fs::write(&path, text).unwrap();
    let looked_at = Config::check(&path).unwrap_err().to_string();
    assert_eq!(looked_at, Config::load(&path).unwrap_err().to_string());
    looked_at
}

#[test]
fn what_is_past_its_date_is_told_from_that_second_on() {
    let path = root().join("tests/it/configs/accepted/everything.toml");
    let loaded = load_file(&path).unwrap();
    // 2027-01-31 is the key's, 2027-03-01 the waiver's.
    for (now, count) in [
        (1_801_353_599, 0),
        (1_801_353_600, 1),
        (1_803_859_199, 1),
        (1_803_859_200, 2),
    ] {
        assert_eq!(loaded.lapsed(now).count(), count, "{now}");
    }
}

#[test]
fn a_secret_in_the_wrong_place_is_never_shown() {
    for line in [
        format!("secret = \"{CANARY}\""),
        format!("secret = {CANARY}"),
        format!("secret = \"{CANARY}"),
        format!("secret = '''{CANARY}'''"),
        format!("secret = [\"{CANARY}\"]"),
        format!("secret = \"env:{CANARY}\""),
        format!("secret = {{ value = \"{CANARY}\" }}"),
        format!("secert = \"{CANARY}\""),
        format!("key = \"{CANARY}\""),
        format!("secert = {CANARY}"),
        format!("secret: \"{CANARY}\""),
        format!("secret = \"base64:{CANARY}\""),
    ] {
        for text in [
            format!("[[apps.a.keys]]\nid = \"a\"\nalgorithm = \"hmac-sha256\"\n{line}\n"),
            format!("[apps.a]\nkeys = [{{ id = \"a\", algorithm = \"hmac-sha1\", {line} }}]\n"),
            format!("[server.tls]\n{line}\n"),
        ] {
            let report = refused(&text);
            for shown in [
                report.to_string(),
                report.coloured(),
                report.to_json().to_string(),
                format!("{report:?}"),
            ] {
                assert!(!shown.contains("canary"), "{text}\n{shown}");
            }
        }
    }
    for text in [
        format!("[apps.a]\nkeys = \"{CANARY}\""),
        format!("[apps.a]\nkeys = [\"{CANARY}\", \"{CANARY}\"]"),
    ] {
        assert!(!refused(&text).to_string().contains("canary"), "{text}");
    }
}

#[test]
fn what_opens_the_gate_wider_is_a_warning() {
    let text = fs::read_to_string(root().join("tests/it/configs/wide_open.toml")).unwrap();
    let loaded = config::from_text(&text, "gateway.toml").unwrap();
    let keys: Vec<&str> = loaded
        .warnings
        .iter()
        .map(|problem| problem.key.as_str())
        .collect();
    assert_eq!(
        keys,
        [
            "server.listen",
            "server.trusted_proxies[1]",
            "server.health_checkers[1]",
            "admin.listen",
            "routes[0].name",
            "apps.idle"
        ]
    );
    assert!(
        loaded
            .warnings
            .iter()
            .all(|problem| problem.severity == Severity::Warning)
    );
}

#[test]
fn what_has_no_effect_or_another_one_than_it_seems_is_a_warning() {
    let tls = "tls = { certificate = \"file:a.pem\", key = \"file:a.key\" }\n";
    for (server, key, told) in [
        (
            "trusted_proxies = [\"10.0.0.1\"]\nforwarded = \"off\"\n",
            "server.forwarded",
            "all who come through one are one address",
        ),
        (
            "forwarded = \"forwarded\"\n",
            "server.forwarded",
            "there are no `trusted_proxies`",
        ),
        (
            "max_connections = 500\nmax_connections_per_address = 500\n",
            "server.max_connections_per_address",
            "one address may have all",
        ),
        (
            &format!("{tls}public_url = \"http://a.example.com\"\n"),
            "server.public_url",
            "who signs `https`",
        ),
        (
            "[admin]\nlisten = \"off\"\nread_token = \"env:NOPE\"\n",
            "admin.read_token",
            "the admin listener is off",
        ),
    ] {
        let loaded = config::from_text(&format!("[server]\n{server}"), "gateway.toml").unwrap();
        let [warning] = warnings(&loaded)[..] else {
            panic!("{server}: {:?}", loaded.warnings);
        };
        assert_eq!(warning.key, key);
        assert!(warning.message.contains(told), "{}", warning.message);
    }
    for server in [
        "",
        "trusted_proxies = [\"10.0.0.1\"]\nforwarded = \"forwarded\"\n",
        "trusted_proxies = [\"10.0.0.1\"]\nforwarded = \"off\"\nproxy_protocol = true\n",
        "forwarded = \"off\"\n",
        "max_connections = 500\nmax_connections_per_address = 499\n",
        "max_connections = 10\nmax_connections_per_address = 10\n",
        &format!("{tls}public_url = \"https://a.example.com\"\n"),
        "[admin]\nlisten = \"off\"\ntoken = \"off\"\n",
    ] {
        let loaded = config::from_text(&format!("[server]\n{server}"), "gateway.toml").unwrap();
        let none = warnings(&loaded);
        assert!(none.is_empty(), "{server}: {none:?}");
    }
}

#[test]
fn a_stop_that_lasts_longer_than_the_gateway_which_follows_waits_is_a_warning() {
    let warnings = |text: &str| {
        let loaded = config::from_text(text, "gateway.toml").unwrap();
        let warnings = loaded.warnings.iter().map(ToString::to_string);
        warnings
            .filter(|one| one.contains("gives up"))
            .collect::<Vec<_>>()
    };
    let drain = "[server]\ndrain = { not_ready = \"20s\", goodbye = \"40s\" }\n";
    let told = warnings(drain);
    let message = "server.drain: a gateway that is started before this one ends gives up after 1m, \
                   while `not_ready` and `goodbye` last 1m";
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains(message), "{told:?}");
    let wait = |wait: &str| format!("[state]\nwait = \"{wait}\"\n");
    assert_eq!(warnings(&(drain.to_owned() + &wait("61s"))), [""; 0]);
    for none in ["", &wait("1ms")] {
        assert_eq!(warnings(none), [""; 0], "{none}");
    }
}

#[test]
fn a_method_that_is_left_to_a_route_which_asks_for_less_is_a_warning() {
    const SIGNED: &str = "accept = [\"http-signature\"]";
    let route = |name: &str, rest: &str| {
        format!("[[routes]]\nname = \"{name}\"\nupstream = \"u\"\n{rest}\n")
    };
    let guarded = |methods: &str| {
        let asks = "scopes = [\"orders\"]\nassurance = \"signed\"";
        route(
            "orders",
            &format!("path = \"/orders/**\"\nmethods = {methods}\n{SIGNED}\n{asks}"),
        )
    };
    let warnings = |routes: &[String]| -> Vec<String> {
        let apps = "apps.a.api_keys = [{ id = \"k\", secret = \"env:STATIC_KEY\" }]";
        let text = format!(
            "{apps}\nupstreams.u.servers = [\"echo:\"]\n{}",
            routes.concat()
        );
        let loaded = load(&text, "gateway.toml").unwrap();
        let told = loaded
            .warnings
            .iter()
            .filter(|one| one.message.contains("leaves"));
        told.map(|one| format!("{}: {}", one.key, one.message))
            .collect()
    };
    let public = "accept = [\"public\"]";
    for (methods, wider, told) in [
        (
            "[\"GET\"]",
            public,
            Some("`POST` and others here to the route `all`, which is public"),
        ),
        (
            "[\"POST\", \"PUT\", \"PATCH\", \"DELETE\"]",
            public,
            Some("`GET` and others here to the route `all`, which is public"),
        ),
        (
            "[\"GET\"]",
            &format!("{SIGNED}\nscopes = [\"orders\"]\nmode = \"observe\""),
            Some("`POST` and others here to the route `all`, which refuses nobody"),
        ),
        (
            "[\"GET\"]",
            &format!("{SIGNED}\nscopes = [\"more\"]"),
            Some(
                "`POST` and others here to the route `all`, which does not ask for the scope `orders`",
            ),
        ),
        (
            "[\"GET\"]",
            &format!("{SIGNED}\nscopes = [\"orders\"]"),
            Some("`POST` and others here to the route `all`, whose `assurance` is lower"),
        ),
        (
            "[\"GET\"]",
            &format!("{SIGNED}\nscopes = [\"more\", \"orders\"]\nassurance = \"signed\""),
            None,
        ),
        (
            "[\"GET\"]",
            &format!("{public}\nmethods = [\"GET\", \"OPTIONS\"]"),
            None,
        ),
    ] {
        let wider = route("all", &format!("path = \"/**\"\n{wider}"));
        let told = told.map(|told| format!("routes[0].path: `methods` leaves {told}"));
        let told: Vec<String> = told.into_iter().collect();
        assert_eq!(warnings(&[guarded(methods), wider]), told);
    }
    // What else can be less; what is only different is not.
    let waive = |parts: &[(&str, &str)]| {
        let one = |(part, until): &(_, _)| {
            format!("{{ part = \"{part}\", until = {until}, reason = \"x\" }}")
        };
        format!(
            "{SIGNED}\nwaive = [{}]",
            parts.iter().map(one).collect::<Vec<_>>().join(", ")
        )
    };
    let token = |rest: &str| format!("accept = [\"token\"]\n{rest}");
    let accept = |several: &str| format!("accept = [{several}]");
    let fewer = |name: &str| format!("which accepts `{name}`, less than whatever is accepted here");
    let both = "\"token+http-signature\"";
    for (narrow, wider, told) in [
        (
            accept("\"http-signature\""),
            accept("\"api-key\""),
            Some(fewer("api-key")),
        ),
        (
            accept("\"http-signature\""),
            accept("\"http-signature\", \"token\""),
            Some(fewer("token")),
        ),
        (
            accept("\"token\""),
            accept("\"api-key\""),
            Some(fewer("api-key")),
        ),
        (accept(both), accept("\"token\""), Some(fewer("token"))),
        (
            accept(both),
            accept("\"http-signature\""),
            Some(fewer("http-signature")),
        ),
        (
            accept("\"token\", \"http-signature\""),
            accept("\"token\""),
            None,
        ),
        (accept("\"token\""), accept(both), None),
        (
            token("bind = \"dpop\""),
            token(""),
            Some("whose `bind` asks for less".to_owned()),
        ),
        (
            token("bind = \"dpop\""),
            token("bind = \"key\""),
            Some("whose `bind` asks for less".to_owned()),
        ),
        (token("bind = \"key\""), token("bind = \"dpop\""), None),
        (
            token("bind = \"key\""),
            token("bind = \"authorization\""),
            None,
        ),
        (token("bind = \"key\""), accept("\"http-signature\""), None),
        (
            token("replay = \"strict\""),
            token("replay = \"off\""),
            Some("where nothing passes only once".to_owned()),
        ),
        (token("replay = \"strict\""), token(""), None),
        (token(""), token("replay = \"strict\""), None),
        (
            waive(&[]),
            waive(&[("body", "2999-01-01")]),
            Some("which waives `body`".to_owned()),
        ),
        (
            waive(&[("body", "2999-01-01")]),
            waive(&[("body", "2999-01-02")]),
            Some("which waives `body`".to_owned()),
        ),
        (
            waive(&[("query", "2999-01-02"), ("body", "2999-01-01")]),
            waive(&[("body", "2999-01-01")]),
            None,
        ),
    ] {
        let told = told.map(|told| {
            format!(
                "routes[0].path: `methods` leaves `POST` and others here to the route `all`, {told}"
            )
        });
        let narrow = route(
            "narrow",
            &format!("path = \"/a/**\"\nmethods = [\"GET\"]\n{narrow}"),
        );
        let wider = route("all", &format!("path = \"/**\"\n{wider}"));
        let told: Vec<String> = told.into_iter().collect();
        assert_eq!(warnings(&[narrow, wider]), told);
    }
    // Said of the very path, it is meant.
    let open = route("open", &format!("path = \"/orders/**\"\n{public}"));
    let all = route("all", &format!("path = \"/**\"\n{public}"));
    assert_eq!(warnings(&[guarded("[\"GET\"]"), open, all]), [""; 0]);
}

#[test]
fn a_time_that_the_whole_exchange_never_has_is_a_warning() {
    let warned = |times: &str| -> Vec<String> {
        let text = format!("[upstreams.u]\nservers = [\"echo:\"]\n{times}\n");
        let loaded = config::from_text(&text, "gateway.toml").unwrap();
        let warnings = warnings(&loaded).into_iter();
        warnings.map(|one| one.key.clone()).collect()
    };
    assert_eq!(warned("timeout = \"2h\""), ["upstreams.u.timeout"]);
    assert_eq!(
        warned("idle_timeout = \"2h\""),
        ["upstreams.u.idle_timeout"]
    );
    for fine in [
        "timeout = \"1h\"\nidle_timeout = \"1h\"",
        "idle_timeout = \"2h\"\ntotal_timeout = \"1d\"",
        "total_timeout = \"1s\"",
    ] {
        assert_eq!(warned(fine), [""; 0], "{fine}");
    }
}

#[test]
fn a_path_that_another_host_opens_for_less_is_a_warning() {
    let warnings = |site: &str| -> Vec<String> {
        let text = format!(
            "upstreams.u.servers = [\"echo:\"]\nupstreams.v.servers = [\"echo:\"]\n\
             [[routes]]\nname = \"admin\"\nupstream = \"u\"\npath = \"/admin/**\"\naccept = [\"http-signature\"]\n\
             [[routes]]\nname = \"site\"\npath = \"/**\"\n{site}\n"
        );
        let loaded = config::from_text(&text, "gateway.toml").unwrap();
        let warnings = loaded.warnings.iter();
        warnings
            .map(|one| format!("{}: {}", one.key, one.message))
            .collect()
    };
    let of_host = "host = \"www.example.com\"\nupstream = \"u\"\naccept = [\"public\"]";
    assert_eq!(
        warnings(of_host),
        [
            "routes[0].path: every method for the host `www.example.com` goes to the route `site` before, which is public"
        ]
    );
    for (methods, told) in [
        ("[\"POST\"]", "`POST` for the host `www.example.com` goes"),
        ("[\"GET\"]", "`GET` for the host `www.example.com` goes"),
        (
            "[\"PUT\", \"PATCH\"]",
            "`PUT` and others for the host `www.example.com` go",
        ),
    ] {
        let listed = format!("methods = {methods}\n{of_host}");
        let told = format!("routes[0].path: {told} to the route `site` before, which is public");
        assert_eq!(warnings(&listed), [told]);
    }
    let pattern = of_host.replace("www.", "*.");
    assert_eq!(
        warnings(&pattern),
        [
            "routes[0].path: every method for the host `*.example.com` goes to the route `site` before, which is public"
        ]
    );
    for harmless in [
        // Of every host, to another backend, for as much, or guarded there too.
        of_host.replace("host = \"www.example.com\"\n", ""),
        of_host.replace("\"u\"", "\"v\""),
        of_host.replace("public", "http-signature"),
        format!(
            "{of_host}\n[[routes]]\nname = \"there\"\nupstream = \"u\"\npath = \"/admin/**\"\n\
             host = \"www.example.com\"\naccept = [\"http-signature\"]"
        ),
    ] {
        assert_eq!(warnings(&harmless), [""; 0], "{harmless}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_a_problem_like_any_other() {
    let folder = tempfile::tempdir().unwrap();
    let missing = Config::load(&folder.path().join("none.toml")).unwrap_err();
    assert!(
        missing
            .to_string()
            .contains("hint: `-c PATH` names another file"),
        "{missing}"
    );
    assert!(Config::load(folder.path()).is_err());
    let latin = folder.path().join("latin.toml");
    fs::write(&latin, b"[server]\n# \xe9\n").unwrap();
    assert!(
        Config::load(&latin)
            .unwrap_err()
            .to_string()
            .contains("is not UTF-8 in line 2")
    );
}

#[test]
fn one_key_of_two_apps_or_of_callers_and_webhooks_is_a_warning() {
    let key = |id: &str, what: &str, schemes: &str| format!("{{ id = \"{id}\", {what}{schemes} }}");
    let mac = "algorithm = \"hmac-sha256\", secret = \"env:GOOD_KEY\"";
    let public = "algorithm = \"ed25519\", public_key = \"env:ED25519_JWK\"";
    let webhooks = ", schemes = [\"webhook\"]";
    let warnings = |ours: &[String], theirs: &[String]| -> Vec<String> {
        let text = format!(
            "[apps.a]\nkeys = [{}]\n[apps.b]\nkeys = [{}]\n",
            ours.join(", "),
            theirs.join(", ")
        );
        let loaded =
            Config::from_text(&text, "gateway.toml", folder().path(), &environment).unwrap();
        let same = loaded.warnings.iter();
        same.filter(|one| one.to_string().contains("this is the same key as"))
            .map(|one| one.key.clone())
            .collect()
    };
    for what in [mac, public] {
        let two = warnings(&[key("one", what, "")], &[key("two", what, "")]);
        assert_eq!(two, ["apps.b.keys[0].id"], "{what}");
        // A key is renamed by a while under both names.
        let renamed = warnings(&[key("one", what, ""), key("two", what, "")], &[]);
        assert!(renamed.is_empty(), "{renamed:?}");
    }
    let kinds = warnings(&[key("one", mac, ""), key("two", mac, webhooks)], &[]);
    assert_eq!(kinds, ["apps.a.keys[1].id"]);
    let other = mac.replace("GOOD_KEY", "LONG_KEY");
    assert!(warnings(&[key("one", mac, "")], &[key("two", &other, "")]).is_empty());
}

#[test]
fn a_secret_that_others_can_read_or_that_ends_in_a_newline_is_a_warning() {
    let text = "[apps.a]\nkeys = [{ id = \"a\", algorithm = \"hmac-sha256\", secret = \"file:newline.key\" }]";
    let folder = folder();
    let key = folder.path().join("newline.key");
    for (mode, count) in [(0o600, 1), (0o640, 2), (0o604, 2)] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        let loaded = Config::from_text(text, "gateway.toml", folder.path(), &environment).unwrap();
        assert_eq!(warnings(&loaded).len(), count, "{mode:o}");
    }
}

#[test]
fn a_line_end_behind_a_key_that_a_gateway_made_is_no_part_of_it() {
    let text = "[apps.a]\nkeys = [{ id = \"a\", algorithm = \"hmac-sha256\", secret = \"file:made.key\" }]";
    let folder = folder();
    let path = folder.path().join("made.key");
    let load = |secret: &str| {
        fs::write(&path, secret).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        Config::from_text(text, "gateway.toml", folder.path(), &environment).unwrap()
    };
    let made = Printed::new(Kind::Secret);
    let made = made.expose();
    let bare = load(made);
    for end in ["\n", "\r\n"] {
        let redirected = load(&format!("{made}{end}"));
        let none = warnings(&redirected);
        assert!(none.is_empty(), "{none:?}");
        let changed = changes(&bare.resolved, &redirected.resolved);
        assert_eq!(changed, Vec::<String>::new(), "{end:?}");
    }
    // Of what only looks like one the newline is a part.
    let mistyped = load(&format!("{made}0\n"));
    assert_eq!(warnings(&mistyped).len(), 1);
    let without = load(&format!("{made}0"));
    assert!(!changes(&mistyped.resolved, &without.resolved).is_empty());
}

#[test]
fn callers_that_come_in_where_the_admin_listener_is_when_nothing_is_said_are_refused() {
    for listen in ["0.0.0.0:9180", "[::]:9180", "127.0.0.1:9180"] {
        let told = refused(&format!("[server]\nlisten = \"{listen}\"\n")).to_string();
        assert!(told.contains("admin.listen: callers come in at"), "{told}");
    }
    for listen in ["0.0.0.0:9181", "[::1]:9180", "192.0.2.1:9180"] {
        let text = format!("[server]\nlisten = \"{listen}\"\n");
        assert!(load(&text, "gateway.toml").is_ok(), "{listen}");
    }
    // Whoever needs no admin listener may have its port.
    let text = "server.listen = \"0.0.0.0:9180\"\nadmin.listen = \"off\"\n";
    assert!(load(text, "gateway.toml").is_ok());
}

#[test]
fn a_newline_behind_a_secret_that_is_decoded_is_no_part_of_it() {
    let folder = folder();
    let key = folder.path().join("webhook.key");
    let secret = "whsec_MDEyMzQ1Njc4OS0wMTIzNDU2Nzg5LTAxMjM0NTY3ODk=\n";
    fs::write(&key, secret).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    for (sender, count) in [("standard-webhooks", 0), ("github", 1)] {
        let text = format!(
            r#"
            upstreams.hooks.servers = ["echo:"]
            [[routes]]
            name = "hooks"
            path = "/hooks"
            upstream = "hooks"
            accept = ["webhook"]
            webhook = {{ sender = "{sender}", app = "sender" }}
            [apps.sender]
            keys = [{{ id = "w", algorithm = "hmac-sha256", secret = "file:webhook.key", schemes = ["webhook"] }}]
            "#
        );
        let loaded = Config::from_text(&text, "gateway.toml", folder.path(), &environment).unwrap();
        assert_eq!(
            loaded.warnings.len(),
            count,
            "{sender}: {:?}",
            loaded.warnings
        );
    }
}

#[test]
fn no_number_of_warnings_hides_an_error() {
    use std::fmt::Write;
    let mut text = String::new();
    for at in 0..2_000 {
        writeln!(text, "[apps.a{at}]").unwrap();
    }
    assert!(load(&text, "gateway.toml").is_ok());
    text.push_str("scopes = [\"a\", \"a\"]\n");
    let report = refused(&text);
    assert_eq!(report.problems()[0].severity, Severity::Error);
}

#[test]
fn ten_thousand_apps_are_no_burden() {
    use std::fmt::Write;
    let mut text = String::from("plans.standard.rate = \"20/s\"\n");
    for at in 0..10_000 {
        let key =
            format!("{{ id = \"k{at}\", algorithm = \"hmac-sha256\", secret = \"env:GOOD_KEY\" }}");
        writeln!(text, "[apps.a{at}]\nplan = \"standard\"\nkeys = [{key}]").unwrap();
    }
    let loaded = load(&text, "gateway.toml").unwrap();
    assert_eq!(loaded.config.gateway.keys.len(), 10_000);
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        look_at(&text);
    }

    #[test]
    fn no_damage_to_a_good_file_makes_it_panic(at in 0usize..6000, cut in 0usize..40, put in "[ -~\\n\"'é]{0,8}") {
        let good = include_str!("configs/accepted/everything.toml");
        let floor = |mut at: usize| {
            at = at.min(good.len());
            while !good.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        look_at(&format!("{}{put}{}", &good[..floor(at)], &good[floor(at + cut)..]));
    }
}

/// Reads `text` and everything that can be said about it.
fn look_at(text: &str) {
    if let Err(report) = config::from_text(text, "gateway.toml") {
        assert!(!report.problems().is_empty());
        let _ = (report.to_string(), report.coloured(), report.to_json());
    }
}
