//! What `README.md` tells a newcomer to type, run as it stands there: only
//! addresses are changed.

use crate::harness::{Binary, Setup};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn its_configuration_and_every_way_to_sign_work_word_for_word() {
    let gateway = serve(&block("toml", "[[routes]]"));
    gateway.run("bash", "sign.sh", &block("sh", "portcullis request"));
    gateway.run("bash", "by-hand.sh", &block("bash", "openssl"));
}

#[test]
fn its_python_signs_and_makes_tokens() {
    let gateway = serve(&block("toml", "[[routes]]"));
    let sign = block("python", "HTTPMessageSigner");
    let token = block("python", "jwt.encode");
    let python = installed("target/clients/venv/bin/python3");
    let printed = gateway.run(&python, "sign.py", &format!("{sign}\n{token}"));
    assert_eq!(printed.lines().collect::<Vec<_>>(), ["200", "200"]);
}

#[test]
fn its_javascript_signs() {
    let gateway = serve(&block("toml", "[[routes]]"));
    let modules = installed("examples/clients/node/node_modules");
    symlink(modules, gateway.0.setup().path("node_modules")).unwrap();
    let printed = gateway.run("node", "sign.mjs", &block("js", "createSigner"));
    assert_eq!(printed.trim(), "200");
}

#[test]
fn its_links_lead_somewhere() {
    for page in [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "CHANGELOG.md",
        "examples/README.md",
    ] {
        let folder = root().join(page);
        let folder = folder.parent().unwrap();
        let text = fs::read_to_string(root().join(page)).unwrap();
        for target in text.split("](").skip(1) {
            let target = target.split([')', '#']).next().unwrap();
            assert!(
                target.starts_with("https://") || folder.join(target).exists(),
                "{page} links to {target}"
            );
        }
    }
}

/// A gateway that serves the page's configuration.
struct Served(Binary);

fn serve(config: &str) -> Served {
    let config = config
        .replace("127.0.0.1:8080", "127.0.0.1:0")
        .replace("http://127.0.0.1:9000", "echo:");
    let text = format!("{config}\n[admin]\nlisten = \"127.0.0.1:0\"\n");
    let setup = Setup::with_servers("\"echo:\"");
    Served(Binary::spawn_on(setup, &text))
}

impl Served {
    /// Runs a block, in the folder of the configuration; it must succeed. Gives back what it printed.
    fn run(&self, program: impl AsRef<Path>, name: &str, block: &str) -> String {
        let address = self.0.address().to_string();
        let block = block.replace("127.0.0.1:8080", &address);
        let block = if Path::new(name).extension().is_some_and(|kind| kind == "sh") {
            // Any line that fails ends it.
            format!(
                "set -euo pipefail\n{}",
                block.replace("curl -i", "curl --fail-with-body -i")
            )
        } else {
            block
        };
        let file = self.0.setup().write(name, block.as_bytes());
        let ours = Path::new(env!("CARGO_BIN_EXE_portcullis"))
            .parent()
            .unwrap();
        let path = format!("{}:{}", ours.display(), env!("PATH"));
        let output = Command::new(program.as_ref())
            .arg(file)
            .current_dir(self.0.setup().folder())
            .env("PATH", path)
            .output()
            .unwrap_or_else(|why| panic!("{} is needed: {why}", program.as_ref().display()));
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{name}: {printed}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        printed
    }
}

/// The one block of `language` that holds `mark`.
fn block(language: &str, mark: &str) -> String {
    let page = fs::read_to_string(root().join("README.md")).unwrap();
    let fence = format!("\n```{language}\n");
    let mut found = page
        .split(&fence)
        .skip(1)
        .map(|rest| rest.split("\n```").next().unwrap())
        .filter(|block| block.contains(mark));
    let block = found.next().expect("the page has such a block").to_owned();
    assert!(
        found.next().is_none(),
        "{language} with {mark} stands twice"
    );
    block
}

fn installed(path: &str) -> PathBuf {
    let path = root().join(path);
    assert!(
        path.exists(),
        "{} is missing: run ./test, or examples/clients/install",
        path.display()
    );
    path
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
