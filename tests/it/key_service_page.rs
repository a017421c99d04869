//! What `docs/key-service.md` tells a newcomer to type, run as it stands there: only addresses are changed.

use crate::harness::issuer::{every_key, signed};
use crate::harness::key_service::{ask, call, question, token};
use crate::harness::{Setup, Upstream, now};
use crate::readme::{Served, block_of, installed, root, serve};
use serde_json::json;
use std::fs;

fn page() -> String {
    fs::read_to_string(root().join("docs/key-service.md")).unwrap()
}

/// Runs lines of the operator's, and then of the instance's.
fn run(gateway: &Served, name: &str, block: &str) -> String {
    // Of the three commands that ask the admin API, which has a port of its own in a test.
    let admin = gateway.0.admin();
    let ours = format!(
        "portcullis() {{ case $1 in app | key | instance) command portcullis \"$@\" --admin http://{admin} ;; \
         *) command portcullis \"$@\" ;; esac; }}\n"
    );
    let block = block.replace("127.0.0.1:9180", &admin.to_string());
    gateway.run("bash", name, &(ours + &block))
}

/// A gateway as the page has it, with the app that it has its reader make.
fn tried() -> Served {
    let page = page();
    let gateway = serve(&block_of(&page, "toml", "servers = [\"echo:\"]"));
    let operator = block_of(&page, "sh", "portcullis serve");
    let (served, commands) = operator.split_once('\n').unwrap();
    // It runs already.
    assert!(served.starts_with("portcullis serve") && served.ends_with('&'));
    run(&gateway, "operator.sh", commands);
    gateway
}

#[test]
fn its_first_steps_work_word_for_word_with_openssl_and_curl() {
    let gateway = tried();
    let block = block_of(&page(), "bash", "openssl");
    let told = run(&gateway, "instance.sh", &block);
    assert!(told.contains("HTTP/1.1 200"), "{told}");
    // What it says of the two ways to go wrong.
    let call = block.lines().last().unwrap();
    let steps = block.strip_suffix(call).unwrap();
    let call = call.replace("curl", "curl -s");
    let (_, token) = steps.split_once("# For each token").unwrap();
    let (helpers, _) = steps.split_once("# At the first run").unwrap();
    let again = "instance=$(portcullis instance list phone --json | sed -n 's/.*\"id\": \"\\([^\"]*\\)\".*/\\1/p')";
    let again = format!("{helpers}{again}\n#{token}");
    let another = call.replace("$user", "Bearer of-another");
    let told = run(
        &gateway,
        "another.sh",
        &format!("{again}\n{another} || true"),
    );
    assert!(told.contains("binding-mismatch"), "{told}");
    let slip = again.replace("'cnf: '", "'cnf:'");
    assert_ne!(slip, again);
    let told = run(&gateway, "slip.sh", &format!("{slip}\n{call} || true"));
    assert!(told.contains("credential-rejected"), "{told}");
    let log = gateway
        .0
        .stdout
        .wait_for("why", |line| line.contains("decoy"));
    assert!(log.contains("decoy: wrong-signature (app phone)"), "{log}");
}

#[test]
fn its_lines_for_programs_work_word_for_word() {
    let gateway = tried();
    let block = block_of(&page(), "sh", "enrolled_app.py");
    let venv = installed("target/clients/venv/bin/python3");
    installed("examples/clients/node/node_modules");
    let examples = root().join("examples/clients");
    let (lines, rust) = block.trim_end().rsplit_once('\n').unwrap();
    // That one is run in `enrolled_apps.rs`, without a build.
    assert!(rust.contains("cargo run") && rust.contains("--example enrolled_app"));
    let lines = lines
        .replace(
            "target/clients/venv/bin/python3",
            &venv.display().to_string(),
        )
        .replace("examples/clients", &examples.display().to_string());
    let told = run(&gateway, "programs.sh", &lines);
    assert_eq!(told.matches("200").count(), 2, "{told}");
}

#[test]
fn its_configurations_are_good_ones() {
    let page = page();
    let dev = block_of(&page, "toml", "evidence = [\"dev\"]");
    let gateway = serve(&format!(
        "[server]\nlisten = \"127.0.0.1:8080\"\n[upstreams.orders]\nservers = [\"echo:\"]\n{dev}"
    ));
    let get = "portcullis token get --url http://127.0.0.1:8080 --app mobile --dev laptop --build 1.4.2 > token\n\
        curl -i -H \"Portcullis-Token: $(cat token)\" http://127.0.0.1:8080/orders/1";
    let told = run(&gateway, "dev.sh", get);
    assert!(told.contains("HTTP/1.1 200"), "{told}");
    let platforms = block_of(&page, "toml", "[issuers.github]");
    // The files of a cluster are not here.
    let platforms = platforms.replace("ca = \"file:/var/run", "# ca = \"file:/var/run");
    let keys = "keys = [{ id = \"NAME\", algorithm = \"hmac-sha256\", secret = \"generated:state/NAME.key\", schemes = [\"token\"], attests = true }]";
    let apps = ["deploy", "worker"].map(|name| {
        let keys = keys.replace("NAME", name);
        format!("[apps.{name}]\n{keys}\n")
    });
    let text = format!(
        "[upstreams.orders]\nservers = [\"echo:\"]\n[[routes]]\nname = \"orders\"\npath = \"/**\"\nupstream = \"orders\"\n\
         accept = [\"token\"]\n{}{platforms}",
        apps.concat()
    );
    gateway.0.setup().write("platforms.toml", text.as_bytes());
    run(&gateway, "check.sh", "portcullis check -c platforms.toml");
}

#[test]
fn its_pod_gets_one_token_after_another_for_its_projected_one() {
    let platforms = block_of(&page(), "toml", "[issuers.github]");
    let (_, cluster) = platforms.split_once("[issuers.cluster]").unwrap();
    // The files of a cluster are not here.
    let cluster = cluster
        .replace("ca = \"file:/var/run", "# ca = \"file:/var/run")
        .replace(
            "https://kubernetes.default.svc/openid/v1/jwks",
            "file:cluster.json",
        );
    let key = "{ id = \"worker\", algorithm = \"hmac-sha256\", secret = \"file:other.key\", schemes = [\"token\"], attests = true }";
    let worker = format!("[apps.worker]\nkeys = [{key}]\n[issuers.cluster]{cluster}");
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream);
    setup.write("cluster.json", every_key().to_string().as_bytes());
    let gateway = setup.more(&worker).start();
    let projected = signed("rsa-v1_5-sha256")
        .claim("iss", "https://kubernetes.default.svc.cluster.local")
        .claim("aud", "https://api.example.com")
        .claim("iat", now())
        .claim("jti", "projected")
        .claim("sub", "system:serviceaccount:prod:worker")
        .claim("kubernetes.io", json!({ "namespace": "prod" }));
    let evidence = json!({ "format": "oidc", "token": projected.text() });
    let address = gateway.address();
    for _ in 0..2 {
        let asked = question(address, "worker", &evidence);
        let made = token(&ask(address, "token", &asked));
        call(&gateway, &made, None).assert_passed();
    }
}
