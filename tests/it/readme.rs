//! What `README.md` tells a newcomer to type, run as it stands there: only
//! addresses are changed.

use crate::harness::{Binary, Setup};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn its_configuration_and_every_way_to_sign_work_word_for_word() {
    let gateway = serve(&block("toml", "[[routes]]"));
    gateway.run("bash", "sign.sh", &block("sh", "portcullis sign --curl"));
    gateway.run("bash", "by-hand.sh", &block("bash", "openssl"));
}

#[test]
fn its_key_pair_signs() {
    let pair = block("sh", "genpkey");
    let folder = tempfile::tempdir().unwrap();
    let made = Command::new("bash")
        .args(["-euc", pair.split("portcullis").next().unwrap()])
        .current_dir(&folder)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let moved = |text: &str| {
        let path = format!("\"file:{}/laptop.pub.pem\"", folder.path().display());
        text.replace("\"file:laptop.pub.pem\"", &path)
    };
    let page = page();
    let keys = page.split("`keys = ").nth(1).expect("it says the key");
    let keys = moved(keys.split('`').next().unwrap());
    let config = block("toml", "[[routes]]");
    let (front, _) = config.split_once("keys = ").unwrap();
    let gateway = serve(&format!("{front}keys = {keys}\n"));
    let line = pair.lines().last().unwrap();
    let private = format!("file:{}/laptop.pem", folder.path().display());
    gateway.run(
        "bash",
        "pair.sh",
        &line.replace("file:laptop.pem", &private),
    );
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
fn its_lines_for_routes_apps_and_servers_are_understood_together() {
    let page = page();
    let row = |start: &str| {
        let row = page.lines().find(|line| line.starts_with(start));
        row.and_then(|row| row.split('`').nth(1))
            .unwrap_or_else(|| panic!("the page has a row `{start}`"))
    };
    let routes = [
        "| `body =",
        "| `replay =",
        "| `bind =",
        "| `waive =",
        "| `path_encoding =",
        "| `upgrade =",
        "| `cors =",
        "| `in_flight =",
    ]
    .map(row)
    .join("\n");
    let public = page
        .split("`[server] ")
        .nth(1)
        .expect("it names `[server]`");
    let public = public.split('`').next().expect("and the line ends");
    let config = block("toml", "[[routes]]")
        .replace("[server]", &format!("[server]\n{public}"))
        .replace(
            "\n[apps.mobile]",
            &format!("{routes}\n\n[apps.mobile]\nexplain = true"),
        );
    let setup = Setup::with_servers("\"echo:\"");
    setup.write("gateway.toml", config.as_bytes());
    let checked = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .arg("check")
        .current_dir(setup.folder())
        .output()
        .expect("check runs");
    let printed = String::from_utf8_lossy(&checked.stdout);
    assert!(
        checked.status.success() && printed.contains("legacy uploader"),
        "{printed}{}",
        String::from_utf8_lossy(&checked.stderr)
    );
}

#[test]
fn its_other_commands_work() {
    let gateway = serve(&block("toml", "[[routes]]"));
    gateway.run("bash", "check.sh", "portcullis check");
    let request = "GET /orders/1 HTTP/1.1\nHost: 127.0.0.1\n\n";
    gateway.0.setup().write("request.txt", request.as_bytes());
    let explain = block("sh", "portcullis explain");
    let explain = explain.split('#').next().expect("a command stands first");
    let told = gateway.run("bash", "explain.sh", &format!("{explain} || [ $? = 1 ]"));
    assert!(told.contains("credential-missing"), "{told}");
    let page = page();
    for command in ["portcullis completions bash", "portcullis man DIR"] {
        assert!(page.contains(&format!("`{command}`")), "{command}");
        gateway.run("bash", "command.sh", command);
    }
    assert!(gateway.0.setup().path("DIR/portcullis.1").exists());
}

#[test]
fn its_links_lead_somewhere() {
    let mut pages = vec![
        root().join("examples/README.md"),
        root().join("examples/clients/README.md"),
        root().join("examples/oauth2/README.md"),
    ];
    for folder in [root(), root().join("docs")] {
        let entries = fs::read_dir(folder).unwrap();
        pages.extend(entries.map(|entry| entry.unwrap().path()));
    }
    pages.retain(|page| page.extension().is_some_and(|end| end == "md"));
    assert!(pages.len() > 25, "{pages:?}");
    for page in &pages {
        let text = fs::read_to_string(page).unwrap();
        for target in text.split("](").skip(1) {
            let target = target.split(')').next().unwrap();
            if target.starts_with("https://") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let led_to = if file.is_empty() {
                page.clone()
            } else {
                page.parent().unwrap().join(file)
            };
            assert!(led_to.exists(), "{} links to {target}", page.display());
            let is_there = anchor.is_empty()
                || anchors(&fs::read_to_string(&led_to).unwrap()).contains(anchor);
            assert!(is_there, "{} links to {target}", page.display());
        }
    }
}

/// The places of a page that links can lead to: its headings as GitHub names them, and what has an `id`.
fn anchors(page: &str) -> BTreeSet<String> {
    let headings = page.lines().filter(|line| line.starts_with('#'));
    let headings = headings.map(|line| {
        let text = line.trim_start_matches('#').trim().to_lowercase();
        let kept = text.chars().filter_map(|letter| match letter {
            ' ' => Some('-'),
            '-' | '_' => Some(letter),
            letter => letter.is_alphanumeric().then_some(letter),
        });
        kept.collect()
    });
    let ids = page.split("<a id=\"").skip(1);
    let ids = ids.map(|rest| rest.split('"').next().unwrap().to_owned());
    headings.chain(ids).collect()
}

/// A gateway that serves a page's configuration.
pub(crate) struct Served(pub(crate) Binary);

pub(crate) fn serve(config: &str) -> Served {
    let config = config
        .replace("127.0.0.1:8080", "127.0.0.1:0")
        .replace("http://127.0.0.1:9000", "echo:");
    let text = format!("{config}\n[admin]\nlisten = \"127.0.0.1:0\"\n");
    let setup = Setup::with_servers("\"echo:\"");
    Served(Binary::spawn_on(setup, &text))
}

impl Served {
    /// Runs a block, in the folder of the configuration; it must succeed. Gives back what it printed.
    pub(crate) fn run(&self, program: impl AsRef<Path>, name: &str, block: &str) -> String {
        let address = self.0.address().to_string();
        let block = block.replace("127.0.0.1:8080", &address);
        let block = if Path::new(name).extension().is_some_and(|end| end == "sh") {
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
    block_of(&page(), language, mark)
}

/// The same of any page.
pub(crate) fn block_of(page: &str, language: &str, mark: &str) -> String {
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

fn page() -> String {
    fs::read_to_string(root().join("README.md")).unwrap()
}

pub(crate) fn installed(path: &str) -> PathBuf {
    let path = root().join(path);
    assert!(
        path.exists(),
        "{} is missing: run ./test, or examples/clients/install",
        path.display()
    );
    path
}

pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
