//! The key service beside libraries that nobody here wrote: they read its tokens, and make the assertions that it takes.

use crate::harness::issuer::{AUD, ISS, Issuer};
use crate::harness::key_service::{ask, call, challenge, phone, question, token};
use crate::harness::pair::Pair;
use crate::harness::{Gateway, Setup, Upstream, wait_until};
use crate::interop::command;
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// A library that reads or makes tokens, and the file that has it do so.
#[derive(Clone, Copy, Debug)]
enum Library {
    PyJwt,
    Joserfc,
    Authlib,
    Jose,
}

const LIBRARIES: [Library; 4] = [
    Library::PyJwt,
    Library::Joserfc,
    Library::Authlib,
    Library::Jose,
];

impl Library {
    fn command(self, python: &str, node: &str) -> Command {
        let name = match self {
            Self::PyJwt => "pyjwt",
            Self::Joserfc => "joserfc",
            Self::Authlib => "authlib",
            Self::Jose => return command(node),
        };
        let mut command = command(python);
        command.args(["--library", name]);
        command
    }

    /// What it says of each token.
    fn reads(self, how: &[&str], tokens: &[&str]) -> Vec<Value> {
        let mut command = self.command("python/token_reader.py", "node/token-reader.mjs");
        command.args(how).stdin(Stdio::piped());
        let mut child = { command.stdout(Stdio::piped()).spawn() }.expect("Python and Node");
        let mut input = child.stdin.take().unwrap();
        writeln!(input, "{}", tokens.join("\n")).unwrap();
        drop(input);
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{self:?}");
        let told = String::from_utf8(output.stdout).unwrap();
        let told: Vec<_> = { told.lines() }
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(told.len(), tokens.len(), "{self:?}");
        told
    }

    /// Makes a key in `folder` and the set of it, or an assertion with these claims.
    fn platform(self, folder: &Path, algorithm: &str, more: &[&str]) -> String {
        let mut command = self.command("python/oidc_platform.py", "node/oidc-platform.mjs");
        let output = command
            .args(["--algorithm", algorithm, "--key", "platform.jwk"])
            .args(more)
            .current_dir(folder)
            .output()
            .expect("Python and Node");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{self:?}: {told}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

const AUDIENCE: &str = "https://api.example.com";

fn dev(build: &str) -> Value {
    json!({ "format": "dev", "instance": "laptop", "build": build })
}

/// The claims which each library finds in a real token are the same; what is none of ours is refused.
fn are_read_alike(gateway: &Gateway, apps: &[&str], how: &[&str]) {
    let address = gateway.address();
    let of = |app: &str, build: &str| {
        token(&ask(address, "token", &question(address, app, &dev(build))))
    };
    let real: Vec<_> = apps.iter().map(|app| of(app, "1.4.2")).collect();
    let decoys: Vec<_> = apps.iter().map(|app| of(app, "6.6.6")).collect();
    let shown: Vec<&str> = real.iter().chain(&decoys).map(String::as_str).collect();
    for library in LIBRARIES {
        let mine = [how, &["--audience", AUDIENCE]].concat();
        let told = library.reads(&mine, &shown);
        let (good, bad) = told.split_at(apps.len());
        for ((told, token), app) in good.iter().zip(&real).zip(apps) {
            let (_, claims, _) = crate::key_service::parts(token);
            assert_eq!(told["claims"], claims, "{library:?} {app}: {told}");
            assert_eq!(claims["sub"], "laptop");
        }
        for (told, app) in bad.iter().zip(apps) {
            assert!(told["refused"].is_string(), "{library:?} {app}: {told}");
        }
        let others = [how, &["--audience", "https://other.example"]].concat();
        for told in library.reads(&others, &shown) {
            assert!(told["refused"].is_string(), "{library:?}: {told}");
        }
    }
}

#[test]
fn pyjwt_joserfc_authlib_and_jose_read_tokens_by_the_key_set() {
    let upstream = Upstream::start();
    let algorithms = [
        "ed25519",
        "ecdsa-p256-sha256",
        "ecdsa-p384-sha384",
        "rsa-v1_5-sha256",
        "rsa-pss-sha256",
    ];
    let setup = Setup::before(&upstream).tokens(&format!("audience = \"{AUDIENCE}\""));
    let app = |name: &&str| {
        let pem = std::fs::read(Pair::of(name).private()).unwrap();
        setup.write_secret(&format!("{name}.pem"), &pem);
        format!(
            "[apps.{name}]\nkeys = [{{ id = \"{name}\", algorithm = \"{name}\", private_key = \"file:{name}.pem\", \
             schemes = [\"token\"], attests = true }}]\ntokens = {{ evidence = [\"dev\"], builds = [\"1.4.2\"] }}\n"
        )
    };
    let more: String = algorithms.iter().map(app).collect();
    let gateway = Gateway::start_now(setup.more(&more));
    let set = format!("http://{}/.portcullis/jwks.json", gateway.address());
    are_read_alike(&gateway, &algorithms, &["--jwks", &set]);
}

#[test]
fn pyjwt_joserfc_authlib_and_jose_read_tokens_by_the_secret() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream).tokens(&format!("audience = \"{AUDIENCE}\""));
    let setup = setup.more(&phone("evidence = [\"dev\"]\nbuilds = [\"1.4.2\"]"));
    let secret = setup.path("other.key").display().to_string();
    let gateway = Gateway::start_now(setup);
    are_read_alike(&gateway, &["phone"], &["--secret-file", &secret]);
}

/// The app `phone` is whatever of this platform has the right `sub`.
fn of_platform(upstream: &Upstream, folder: &Path, jwks: &str) -> Gateway {
    let setup = Setup::before(upstream).tokens("rate = \"off\"");
    if folder.join("set.json").exists() {
        setup.write("set.json", &std::fs::read(folder.join("set.json")).unwrap());
    }
    let tokens = format!(
        "evidence = [\"oidc\"]\nworkloads = [{{ issuer = \"platform\", claims = [{{ claim = \"sub\", value = \"repo:acme/app\" }}] }}]\n\
         [issuers.platform]\nissuer = \"{ISS}\"\naudience = \"{AUD}\"\nalgorithms = [\"RS256\", \"PS256\", \"ES256\"]\njwks = \"{jwks}\"\n"
    );
    Gateway::start_now(setup.more(&phone(&tokens)))
}

fn status(gateway: &Gateway, challenge: &str, assertion: &str) -> u16 {
    let question = json!({
        "app": "phone", "challenge": challenge,
        "evidence": { "format": "oidc", "token": assertion },
    });
    let token = token(&ask(gateway.address(), "token", &question));
    call(gateway, &token, None).status
}

#[test]
fn assertions_that_pyjwt_joserfc_authlib_and_jose_make_are_evidence() {
    for (library, algorithm) in [
        (Library::PyJwt, "RS256"),
        (Library::Joserfc, "PS256"),
        (Library::Authlib, "ES256"),
        (Library::Jose, "ES256"),
    ] {
        let upstream = Upstream::start();
        let folder = tempfile::tempdir().unwrap();
        let made = |more: &[&str]| library.platform(folder.path(), algorithm, more);
        made(&["--set", "set.json"]);
        let gateway = of_platform(&upstream, folder.path(), "file:set.json");
        let new = || challenge(gateway.address(), "phone");
        let signed = |sub: &str, aud: &str, nonce: Option<&str>| {
            let mut claims = json!({ "iss": ISS, "aud": aud, "sub": sub });
            if let Some(nonce) = nonce {
                claims["nonce"] = nonce.into();
            }
            made(&["--claims", &claims.to_string()])
        };
        let good = signed("repo:acme/app", AUD, None);
        assert_eq!(status(&gateway, &new(), &good), 200, "{library:?}");
        // Once, for this workload, this audience and this challenge alone.
        assert_eq!(status(&gateway, &new(), &good), 401, "{library:?}");
        let another = signed("repo:evil/app", AUD, None);
        assert_eq!(status(&gateway, &new(), &another), 401, "{library:?}");
        let another = signed("repo:acme/app", "https://other.example", None);
        assert_eq!(status(&gateway, &new(), &another), 401, "{library:?}");
        let nonce = new();
        let bound = signed("repo:acme/app", AUD, Some(&nonce));
        assert_eq!(status(&gateway, &new(), &bound), 401, "{library:?}");
        let bound = signed("repo:acme/app", AUD, Some(&nonce));
        assert_eq!(status(&gateway, &nonce, &bound), 200, "{library:?}");
        assert_eq!(upstream.heard().len(), 2, "{library:?}");
    }
}

#[test]
fn a_platforms_key_set_is_fetched_where_a_library_of_its_own_has_made_it() {
    let upstream = Upstream::start();
    let folder = tempfile::tempdir().unwrap();
    let made = |more: &[&str]| Library::Jose.platform(folder.path(), "RS256", more);
    made(&["--set", "served.json"]);
    let set = std::fs::read(folder.path().join("served.json")).unwrap();
    let platform = Issuer::start(&serde_json::from_slice(&set).unwrap());
    let gateway = of_platform(&upstream, folder.path(), &platform.url());
    let claims = json!({ "iss": ISS, "aud": AUD, "sub": "repo:acme/app" }).to_string();
    // The keys come when they come: until then it is a decoy.
    wait_until("the keys of the platform", || {
        let assertion = made(&["--claims", &claims]);
        status(&gateway, &challenge(gateway.address(), "phone"), &assertion) == 200
    });
}
