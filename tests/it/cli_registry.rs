//! `portcullis app`, `key` and `reload`, with a gateway that runs and without one.

use crate::harness::{Setup, Upstream, binary};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// What a command did.
struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Ran {
    #[track_caller]
    fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{}", self.err);
        serde_json::from_str(&self.out).expect("JSON")
    }
}

/// Runs a command in the folder of a configuration.
fn run(folder: &Path, args: &[&str]) -> Ran {
    let output = Command::new(binary::program())
        .args(args)
        .current_dir(folder)
        .output()
        .unwrap();
    Ran {
        code: output.status.code().expect("an exit code"),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A configuration whose admin listener has a port that is known.
fn setup(upstream: &Upstream) -> Setup {
    let setup = Setup::before(upstream)
        .app("plan = \"standard\"\nscopes = [\"orders\"]")
        .more("[plans.standard]\nrate = \"10/s\"\n");
    let socket = setup.path("admin.sock");
    setup.admin(&format!("listen = \"unix:{}\"", socket.display()))
}

#[test]
fn apps_and_keys_are_shown_alike_with_a_gateway_and_without() {
    let upstream = Upstream::start();
    let setup = setup(&upstream);
    setup.write("gateway.toml", setup.text().as_bytes());
    let commands: [&[&str]; 4] = [
        &["app", "list"],
        &["app", "show", "mobile"],
        &["key", "list", "--app", "mobile"],
        &["key", "show", "mobile-2026"],
    ];
    let before: Vec<Ran> = commands
        .iter()
        .map(|args| run(setup.folder(), args))
        .collect();
    let gateway = setup.start();
    for (args, before) in commands.into_iter().zip(before) {
        assert_eq!(before.code, 0, "{args:?}: {}", before.err);
        let after = run(gateway.setup().folder(), args);
        assert_eq!(after.code, 0, "{args:?}: {}", after.err);
        assert_eq!(before.out, after.out, "{args:?}");
        let json = [args, &["--json"]].concat();
        assert!(run(gateway.setup().folder(), &json).json().is_object());
    }
    let list = run(gateway.setup().folder(), &["app", "list"]).out;
    let mobile = list.lines().find(|line| line.starts_with("mobile"));
    let words: Vec<&str> = mobile.unwrap().split_whitespace().collect();
    let expected = ["mobile", "standard", "orders", "enabled", "gateway.toml"];
    assert_eq!(words, expected);
    let shown = run(
        gateway.setup().folder(),
        &["app", "show", "mobile", "--json"],
    );
    assert_eq!(shown.json()["keys"][0]["id"], "mobile-2026");
}

#[test]
fn what_is_not_there_and_what_cannot_be_reached_is_told_with_a_hint() {
    let upstream = Upstream::start();
    let setup = setup(&upstream);
    setup.write("gateway.toml", setup.text().as_bytes());
    let folder = setup.folder();
    let nobody = run(folder, &["app", "show", "nobody"]);
    assert_eq!(nobody.code, 1);
    assert!(nobody.err.contains("there is no app `nobody`"));
    assert!(nobody.err.contains("hint:"));
    let reload = run(folder, &["reload"]);
    assert_eq!(reload.code, 1);
    assert!(reload.err.contains("no gateway runs"), "{}", reload.err);
    let unreachable = run(
        folder,
        &[
            "app",
            "list",
            "--admin",
            "unix:nowhere",
            "--token-file",
            "mobile.key",
        ],
    );
    assert_eq!(unreachable.code, 1);
    assert!(unreachable.err.contains("cannot be reached"));
    for (args, told) in [
        (
            &[
                "app",
                "list",
                "--admin",
                "ftp://x",
                "--token-file",
                "mobile.key",
            ][..],
            "--admin",
        ),
        (
            &[
                "app",
                "list",
                "--admin",
                "http://127.0.0.1:1",
                "--token-file",
                "none",
            ],
            "token",
        ),
        (&["app", "list", "-c", "none.toml"], "none.toml"),
    ] {
        let wrong = run(folder, args);
        assert_eq!(wrong.code, 2, "{args:?}: {}", wrong.err);
        assert!(wrong.err.contains(told), "{}", wrong.err);
    }
}

#[test]
fn a_token_of_another_gateway_is_refused() {
    let upstream = Upstream::start();
    let setup = setup(&upstream);
    setup.write("gateway.toml", setup.text().as_bytes());
    setup.write_secret("other.token", b"other-token-0123456789-0123456789");
    let gateway = setup.start();
    let folder = gateway.setup().folder();
    let refused = run(folder, &["app", "list", "--token-file", "other.token"]);
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("this gateway"), "{}", refused.err);
}

#[test]
fn a_running_gateway_reloads_and_says_what_changed() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream);
    let text = setup.text();
    let binary = setup.spawn();
    let folder = binary.setup().folder();
    let admin = format!("http://{}", binary.admin());
    let reload = |more: &[&str]| run(folder, &[&["reload", "--admin", &admin], more].concat());
    assert_eq!(reload(&[]).out, "nothing changed\n");
    let file = folder.join("new.toml");
    std::fs::write(
        &file,
        text.clone() + "[plans.x]\nrate = \"1/s\"\n[apps.new]\nplan = \"x\"\n",
    )
    .unwrap();
    std::fs::rename(&file, folder.join("gateway.toml")).unwrap();
    let would = reload(&["--dry-run"]);
    // The watcher may have been faster.
    assert_eq!(would.code, 0, "{}", would.err);
    assert_eq!(reload(&[]).code, 0);
    let shown = run(folder, &["app", "show", "new", "--admin", &admin]);
    assert_eq!(shown.code, 0, "{}", shown.err);
}
