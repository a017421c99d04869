//! `portcullis app`, `key`, `instance`, `audit` and `reload`, with a gateway that runs and without one.

use crate::admin_registry::that_minds_modes;
use crate::harness::pair::Pair;
use crate::harness::{Closed, Gateway, Setup, Token, Upstream, binary};
use serde_json::Value;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

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
    run_by(&mut Command::new(binary::program()), folder, args)
}

fn run_by(command: &mut Command, folder: &Path, args: &[&str]) -> Ran {
    let output = command.args(args).current_dir(folder).output().unwrap();
    Ran {
        code: output.status.code().expect("an exit code"),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs a command whose output goes to `out`, and gives what it says beside it.
fn unwritten(folder: &Path, line: &str, out: Stdio) -> (Option<i32>, String) {
    let ran = Command::new(binary::program())
        .args(line.split(' '))
        .current_dir(folder)
        .stdout(out)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    (ran.status.code(), String::from_utf8(ran.stderr).unwrap())
}

/// A pipe that nobody reads any more.
fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    Stdio::from(writer)
}

/// The names in a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
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
    assert!(!reload.err.contains("check"), "{}", reload.err);
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
    let closed = Closed::port();
    let admin = format!("http://{}", closed.address());
    let list = ["app", "list", "--token-file", "mobile.key", "--admin"];
    let unreachable = run(folder, &[&list[..], &[admin.as_str()]].concat());
    assert_eq!(unreachable.code, 1);
    let hint = "`[admin] listen` says where";
    assert!(unreachable.err.contains(hint), "{}", unreachable.err);
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
        (
            &["app", "list", "--admin", "http://me:canary@h:1"],
            "`http://…@h:1` is not where an admin API can be",
        ),
        (&["app", "list", "-c", "none.toml"], "none.toml"),
        // What is missing is the token, which may be named by itself.
        (
            &[
                "app",
                "list",
                "--admin",
                "http://127.0.0.1:1",
                "-c",
                "none.toml",
            ],
            "`--token-file FILE`",
        ),
        (&["audit", "--limit", "0"], "`--limit` `0` lists nothing"),
    ] {
        let wrong = run(folder, args);
        assert_eq!(wrong.code, 2, "{args:?}: {}", wrong.err);
        assert!(wrong.err.contains(told), "{}", wrong.err);
        assert!(!wrong.err.contains("canary"), "{}", wrong.err);
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
    // It need not be another's.
    let hint = "one that was replaced there counts a moment later";
    assert!(refused.err.contains(hint), "{}", refused.err);
}

#[test]
fn a_file_that_asks_for_a_restart_leads_elsewhere_than_to_the_gateway_and_that_is_told() {
    let upstream = Upstream::start();
    let setup = setup(&upstream);
    let text = setup.text();
    setup.write("gateway.toml", text.as_bytes());
    let gateway = setup.start();
    let folder = gateway.setup().folder();
    for (text, words) in [
        // Its token would lie there.
        (
            text.replace("directory = \"state\"", "directory = \"other\""),
            "`generated:other/admin.token` is not there yet",
        ),
        (text.replace("admin.sock", "other.sock"), "is in use"),
    ] {
        gateway.setup().write("asks.toml", text.as_bytes());
        let refused = run(folder, &["reload", "-c", "asks.toml"]);
        assert_eq!(refused.code, 1);
        assert!(refused.err.contains(words), "{}", refused.err);
        let hint = "`[admin]` and `[state]` of before until a restart";
        assert!(refused.err.contains(hint), "{}", refused.err);
        assert!(!folder.join("other").exists());
    }
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

/// The folder of a configuration with a gateway, or none, on it.
enum On {
    Gateway(Gateway),
    Nothing(Box<Setup>),
}

impl On {
    fn folder(&self) -> &Path {
        match self {
            Self::Gateway(gateway) => gateway.setup().folder(),
            Self::Nothing(setup) => setup.folder(),
        }
    }

    fn run(&self, line: &str) -> Ran {
        run(self.folder(), &line.split(' ').collect::<Vec<_>>())
    }

    #[track_caller]
    fn good(&self, line: &str) -> String {
        let ran = self.run(line);
        assert_eq!(ran.code, 0, "{line}: {}", ran.err);
        ran.out
    }
}

fn both(upstream: &Upstream) -> [On; 2] {
    let there = setup(upstream);
    there.write("gateway.toml", there.text().as_bytes());
    let alone = setup(upstream);
    alone.write("gateway.toml", alone.text().as_bytes());
    [On::Gateway(there.start()), On::Nothing(Box::new(alone))]
}

#[test]
fn an_app_lives_from_its_first_command_to_its_last_with_a_gateway_and_without() {
    let upstream = Upstream::start();
    for on in both(&upstream) {
        let would = on.good("app create shop --plan standard --scope orders --dry-run");
        assert!(would.starts_with("would be made app shop"), "{would}");
        on.good("app create shop --plan standard --scope orders --scope read");
        let again = on.run("app create shop");
        assert_eq!(again.code, 1);
        assert!(again.err.contains("is there already"), "{}", again.err);
        let nameless = on.run("app create a/b");
        assert_eq!(nameless.code, 2, "{}", nameless.err);
        assert!(nameless.err.contains("accepted: a name of 1 to 64 letters"));
        let planless = on.run("app create b --plan gold");
        assert!(
            planless.err.contains("accepted: `standard`"),
            "{}",
            planless.err
        );

        let off = on.good("app disable shop");
        assert!(
            off.contains("enabled yes → no") || off.contains("true → false"),
            "{off}"
        );
        let list = on.good("app list");
        let shop = list.lines().find(|line| line.starts_with("shop")).unwrap();
        let words: Vec<&str> = shop.split_whitespace().collect();
        assert_eq!(
            words,
            [
                "shop", "standard", "orders,", "read", "disabled", "registry"
            ]
        );
        on.good("app enable shop");
        on.good("app change shop --no-plan --explain --mode observe");
        let shown: Value = serde_json::from_str(&on.good("app show shop --json")).unwrap();
        assert_eq!(shown["plan"], Value::Null);
        assert_eq!(shown["mode"], "observe");
        let tag = shown["etag"].as_str().unwrap();
        on.good("app change shop --plan standard");
        let args = ["app", "delete", "shop", "--if-match", tag];
        let stale = run(on.folder(), &args);
        assert_eq!(stale.code, 1);
        assert!(
            stale.err.contains("changed by somebody else") || stale.err.contains("by now"),
            "{}",
            stale.err
        );

        let secret = on.run("key create shop --id shop-1");
        assert_eq!(secret.code, 0, "{}", secret.err);
        // Alone, so that a pipe takes it.
        assert_eq!(secret.out.lines().count(), 1);
        assert!(secret.out.starts_with("pcs_s_"));
        assert!(secret.err.contains("made key shop-1"));
        assert!(secret.err.contains("shown this once"));
        on.good("key rotate shop-1 --new-id shop-2 --overlap 2h --out new.key");
        let file = on.folder().join("new.key");
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let new = std::fs::read_to_string(&file).unwrap();
        assert!(new.starts_with("pcs_s_") && new != secret.out.trim_end());
        let taken = on.run("key rotate shop-2 --out new.key");
        assert_eq!(taken.code, 2, "{}", taken.err);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), new);
        // Where nothing is made, no file is left behind.
        let refused = on.run("key rotate nobody --out left.key");
        assert_eq!(refused.code, 1);
        assert!(!on.folder().join("left.key").exists());
        let json: Value =
            serde_json::from_str(&on.good("key create shop --id shop-3 --json")).unwrap();
        assert!(json["secret"].as_str().unwrap().starts_with("pcs_s_"));

        assert!(
            on.good("key safe-to-retire shop-1")
                .starts_with("safe to retire: it was never used")
        );
        let past = on.run("key retire shop-1 --at-moment 2001-01-01");
        assert_eq!(past.code, 2, "{}", past.err);
        assert!(past.err.contains("is past"), "{}", past.err);
        let later = on.good("key retire shop-1 --at-moment 2099-01-01");
        assert!(later.starts_with("draining key shop-1"), "{later}");
        let now = on.good("key retire shop-1");
        assert!(now.starts_with("retired key shop-1"), "{now}");
        on.good("key revoke shop-3");
        let keys = on.good("key list --app shop");
        let states: Vec<(&str, &str)> = keys
            .lines()
            .skip(1)
            .map(|line| {
                let words: Vec<&str> = line.split_whitespace().collect();
                (words[0], words[4])
            })
            .collect();
        assert_eq!(
            states,
            [
                ("shop-1", "retired"),
                ("shop-2", "active"),
                ("shop-3", "retired")
            ]
        );
        let only = on.run("key safe-to-retire shop-2");
        assert_eq!(only.code, 1, "{}", only.err);
        let told = "not safe to retire: no other key of its app is active\n";
        assert!(only.out.starts_with(told), "{}", only.out);
        on.good("key delete shop-1");
        on.good("key create shop --id waits --pending");
        let later = on.good("key activate waits --from 2099-01-01");
        assert!(later.starts_with("scheduled key waits"), "{later}");
        let at_once = on.good("key activate waits");
        assert!(at_once.starts_with("activated key waits"), "{at_once}");
        assert_eq!(on.run("key activate waits").code, 1);

        let code = on.run("instance enrol-code shop --uses 2 --expires-in 30m");
        assert!(code.out.starts_with("pcs_e_"), "{}", code.err);
        let codes = on.good("instance codes shop");
        let id = codes
            .lines()
            .nth(1)
            .unwrap()
            .split_whitespace()
            .next()
            .unwrap();
        on.good(&format!("instance withdraw {id}"));
        assert_eq!(on.good("instance list shop").lines().count(), 1);

        let audit = on.good("audit --what key.rotate --json");
        let audit: Value = serde_json::from_str(&audit).unwrap();
        let who = audit["items"][0]["who"].as_str().unwrap();
        match &on {
            On::Gateway(_) => assert_eq!(who, "admin:write"),
            On::Nothing(_) => assert!(who.starts_with("cli:"), "{who}"),
        }
        assert!(!audit.to_string().contains("pcs_"));
        on.good("app delete shop");
        assert_eq!(on.run("app show shop").code, 1);
        let fixed = on.run("app disable mobile");
        assert_eq!(fixed.code, 1);
        assert!(
            fixed.err.contains("stands in gateway.toml"),
            "{}",
            fixed.err
        );
    }
}

#[test]
fn a_key_whose_output_went_into_a_file_signs_without_the_line_end() {
    let upstream = Upstream::start();
    let setup = setup(&upstream);
    setup.write("gateway.toml", setup.text().as_bytes());
    let on = On::Nothing(Box::new(setup));
    on.good("app create shop --plan standard --scope orders");
    let printed = on.good("key create shop --id shop-1");
    let secret = printed.strip_suffix('\n').expect("it is a line");
    let windows = format!("{secret}\r\n");
    for (name, text) in [
        ("line.key", printed.as_str()),
        ("windows.key", windows.as_str()),
        ("bare.key", secret),
    ] {
        std::fs::write(on.folder().join(name), text).unwrap();
    }
    let then = "1700000000";
    let sign = |name: &str| {
        let key = format!("--key-id shop-1 --secret file:{name}");
        let ran = on.run(&format!("sign {key} --created {then} --no-nonce http://h/"));
        assert_eq!(ran.code, 0, "{}", ran.err);
        (ran.out, ran.err)
    };
    let bare = sign("bare.key");
    for name in ["line.key", "windows.key"] {
        assert_eq!(sign(name), bare, "{name}");
    }
    let request = format!("GET / HTTP/1.1\nHost: h\n{}\n", bare.0);
    std::fs::write(on.folder().join("request.txt"), request).unwrap();
    for name in ["bare.key", "line.key", "windows.key"] {
        let key = format!("--key-id shop-1 --secret file:{name}");
        let told = on.good(&format!("explain --at {then} {key} --json request.txt"));
        let told: Value = serde_json::from_str(&told).unwrap();
        assert_eq!(told["signatures"][0]["holds"], true, "{name}: {told:#}");
    }
}

#[test]
fn a_secret_that_could_not_be_written_is_told_and_not_lost_in_silence() {
    let upstream = Upstream::start();
    let setup = setup(&upstream);
    setup.write("gateway.toml", setup.text().as_bytes());
    let on = On::Nothing(Box::new(setup));
    on.good("app create shop --plan standard --scope orders");
    let full = || {
        let mut file = std::fs::File::options();
        Stdio::from(file.write(true).open("/dev/full").unwrap())
    };
    for (line, out, hint) in [
        (
            "key create shop --id shop-1",
            closed(),
            "revoke the key `shop-1`",
        ),
        (
            "key create shop --id shop-2",
            full(),
            "revoke the key `shop-2`",
        ),
        (
            "key create shop --id shop-3 --json",
            closed(),
            "revoke the key `shop-3`",
        ),
        (
            "key rotate shop-1 --panic --new-id shop-4",
            closed(),
            "revoke the key `shop-4`",
        ),
        ("instance enrol-code shop", closed(), "withdraw the code `"),
    ] {
        let (code, told) = unwritten(on.folder(), line, out);
        assert_eq!(code, Some(1), "{line}: {told}");
        for words in [
            "cannot be written to standard output",
            "nobody has it",
            hint,
        ] {
            assert!(told.contains(words), "{line}: {told}");
        }
    }
    // What is in the file of `--out` is not lost with the rest.
    let line = "key create shop --id shop-5 --json --out shop-5.key";
    let (code, told) = unwritten(on.folder(), line, closed());
    assert_eq!(code, Some(0), "{told}");
    assert!(on.folder().join("shop-5.key").exists());
}

#[test]
fn a_secret_for_which_its_file_has_no_room_is_named_and_leaves_no_file_behind() {
    let upstream = Upstream::start();
    let setup = setup(&upstream);
    setup.write("gateway.toml", setup.text().as_bytes());
    let on = On::Gateway(setup.start());
    on.good("app create shop --plan standard --scope orders");
    for (line, file, hint) in [
        (
            "key create shop --id shop-1 --out shop.key",
            "shop.key",
            "revoke the key `shop-1`",
        ),
        (
            "key rotate shop-1 --new-id shop-2 --json --out shop.key",
            "shop.key",
            "revoke the key `shop-2`",
        ),
        (
            "instance enrol-code shop --out code",
            "code",
            "withdraw the code `",
        ),
    ] {
        let mut full = Command::new("sh");
        full.arg("-c")
            .arg("trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$@\"")
            .arg(binary::program());
        let args: Vec<&str> = line.split(' ').collect();
        let ran = run_by(&mut full, on.folder(), &args);
        assert_eq!(ran.code, 1, "{line}: {}", ran.err);
        let unwritten = format!("cannot be written to `{file}`");
        for words in [&*unwritten, "nobody has it", hint] {
            assert!(ran.err.contains(words), "{line}: {}", ran.err);
        }
        assert!(!on.folder().join(file).exists(), "{line}");
    }
}

#[test]
fn where_no_secret_is_made_there_is_no_file_of_it() {
    let upstream = Upstream::start();
    for on in both(&upstream) {
        on.good("app create shop");
        let public = Pair::of("ed25519").public_pem();
        std::fs::write(on.folder().join("public.pem"), public).unwrap();
        for line in [
            "key create shop --algorithm ed25519 --public-key public.pem --out no.key",
            "key create shop --kind pair --algorithm ed25519 --out no.key",
        ] {
            let ran = on.run(line);
            assert_eq!(ran.code, 0, "{line}: {}", ran.err);
            assert!(ran.err.contains("no secret is made"), "{}", ran.err);
            assert!(!on.folder().join("no.key").exists(), "{line}");
        }
    }
}

#[test]
fn whether_a_key_is_safe_to_retire_is_in_the_exit_code_though_nobody_reads_why() {
    let upstream = Upstream::start();
    let setup = setup(&upstream);
    setup.write("gateway.toml", setup.text().as_bytes());
    let on = On::Nothing(Box::new(setup));
    on.good("app create shop");
    on.good("key create shop --id only --out only.key");
    for line in ["key safe-to-retire only", "key safe-to-retire only --json"] {
        let (code, told) = unwritten(on.folder(), line, closed());
        assert_eq!(code, Some(1), "{line}: {told}");
    }
}

#[test]
fn who_may_only_read_the_registry_learns_whether_a_key_is_safe_to_retire() {
    let upstream = Upstream::start();
    let setup = setup(&upstream);
    setup.write("gateway.toml", setup.text().as_bytes());
    let on = On::Nothing(Box::new(setup));
    on.good("app create shop");
    on.good("key create shop --id one --out one.key");
    on.good("key create shop --id two --out two.key");
    let file = on.folder().join("state/portcullis.redb");
    std::fs::set_permissions(file, Permissions::from_mode(0o400)).unwrap();
    let ask = ["key", "safe-to-retire", "one"];
    let ran = run_by(&mut that_minds_modes(on.folder()), on.folder(), &ask);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    let told = "safe to retire: it was never used";
    assert!(ran.out.starts_with(told), "{}", ran.out);
}

#[test]
fn who_may_not_look_into_the_state_directory_is_told_so_and_not_that_nothing_is_there() {
    let upstream = Upstream::start();
    let setup = setup(&upstream);
    setup.write("gateway.toml", setup.text().as_bytes());
    // Here the registry alone lies there.
    let alone = Setup::before(&upstream).admin("listen = \"off\"").text();
    let alone = alone.replace("[state]\n", "[state]\nmaster_key = \"file:other.key\"\n");
    setup.write(
        "alone.toml",
        alone.replace("\"state\"", "\"alone\"").as_bytes(),
    );
    setup.write("token", Token::new().text().as_bytes());
    let on = On::Nothing(Box::new(setup));
    on.good("app create shop");
    on.good("app create shop -c alone.toml");
    let mode = |mode| {
        for name in ["state", "alone"] {
            let folder = on.folder().join(name);
            std::fs::set_permissions(folder, Permissions::from_mode(mode)).unwrap();
        }
    };
    mode(0o000);
    let run = |line: &str| {
        let args: Vec<&str> = line.split(' ').collect();
        run_by(&mut that_minds_modes(on.folder()), on.folder(), &args)
    };
    for line in [
        "app list",
        "app show shop",
        "app create more",
        "app create more --dry-run",
        "key list",
        "key safe-to-retire mobile-2026",
        "audit",
        "check",
        "token inspect -c gateway.toml token",
    ] {
        let ran = run(line);
        assert_eq!((ran.code, &*ran.out), (2, ""), "{line}: {}", ran.err);
        for words in [
            "cannot be read: Permission denied",
            "run commands as that user",
        ] {
            assert!(ran.err.contains(words), "{line}: {}", ran.err);
        }
    }
    for line in ["app list", "audit", "app delete shop --dry-run"] {
        let ran = run(&format!("{line} -c alone.toml"));
        assert_eq!((ran.code, &*ran.out), (1, ""), "{line}: {}", ran.err);
        let words = "portcullis.redb` cannot be looked at: Permission denied";
        assert!(ran.err.contains(words), "{line}: {}", ran.err);
        let hint = "run this as the gateway's user";
        assert!(ran.err.contains(hint), "{line}: {}", ran.err);
    }
    mode(0o700);
    on.good("app show shop");
    on.good("app show shop -c alone.toml");
}

#[test]
fn a_copy_of_the_token_is_enough_for_who_may_not_read_the_gateways_secrets() {
    let upstream = Upstream::start();
    let setup = setup(&upstream);
    setup.write("gateway.toml", setup.text().as_bytes());
    let gateway = setup.start();
    let folder = gateway.setup().folder();
    let state = folder.join("state");
    std::fs::copy(state.join("admin.token"), folder.join("copy.token")).unwrap();
    let mode = |mode| std::fs::set_permissions(&state, Permissions::from_mode(mode)).unwrap();
    mode(0o000);
    let list = |more: &[&str]| {
        let args = [&["app", "list"], more].concat();
        run_by(&mut that_minds_modes(folder), folder, &args)
    };
    let (bare, with_copy) = (list(&[]), list(&["--token-file", "copy.token"]));
    mode(0o700);
    assert_eq!(bare.code, 1, "{}", bare.out);
    let hint = "run this as the gateway's user, or name a copy of it";
    assert!(bare.err.contains(hint), "{}", bare.err);
    assert_eq!(with_copy.code, 0, "{}", with_copy.err);
    assert!(with_copy.out.contains("mobile"), "{}", with_copy.out);
}

#[test]
fn a_secret_is_given_out_though_standard_error_is_full() {
    let upstream = Upstream::start();
    let setup = setup(&upstream);
    setup.write("gateway.toml", setup.text().as_bytes());
    let on = On::Nothing(Box::new(setup));
    on.good("app create shop --plan standard --scope orders");
    for line in [
        "key create shop",
        "key create shop --out shop.key",
        "instance enrol-code shop",
    ] {
        let mut full = std::fs::File::options();
        let output = Command::new(binary::program())
            .args(line.split(' '))
            .current_dir(on.folder())
            .stderr(full.write(true).open("/dev/full").unwrap())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{line}: {output:?}");
        assert_eq!(output.stdout.is_empty(), line.contains("--out"), "{line}");
    }
    let secret = std::fs::read(on.folder().join("shop.key")).unwrap();
    assert!(!secret.is_empty());
}

#[test]
fn a_bad_configuration_is_told_in_lines_that_end_and_as_one_error() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream);
    let text = setup.text();
    let binary = setup.spawn();
    let folder = binary.setup().folder();
    let admin = format!("http://{}", binary.admin());
    let file = folder.join("new.toml");
    std::fs::write(&file, text + "[upstreams.bad]\nservers = []\n").unwrap();
    std::fs::rename(&file, folder.join("gateway.toml")).unwrap();
    let list = run(folder, &["app", "list"]);
    let token = ["--token-file", "state/admin.token"];
    let reload = run(
        folder,
        &[&["reload", "--admin", &admin], &token[..]].concat(),
    );
    let past = "hint: a gateway that runs goes on with what it had read before: `--admin URL";
    assert!(list.err.contains(past), "{}", list.err);
    for (ran, code) in [(list, 2), (reload, 1)] {
        assert_eq!(ran.code, code, "{}", ran.err);
        let told = "error: upstreams.bad.servers: this list is empty\n";
        assert!(ran.err.starts_with(told), "{}", ran.err);
        assert!(ran.err.ends_with('\n'), "{}", ran.err);
    }
}

#[test]
fn the_lines_of_the_admin_apis_page_work_one_after_the_other() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/admin-api.md"));
    let page = page.expect("the page is there");
    let block = page.split("```sh\n").nth(1).expect("it has lines to try");
    let block = block.split("```").next().unwrap();
    let upstream = Upstream::start();
    // It has an app `mobile`, as the README's.
    let setup = Setup::before(&upstream).more("[plans.standard]\nrate = \"10/s\"\n");
    let binary = setup.spawn();
    let admin = format!("http://{}", binary.admin());
    for line in block.lines() {
        let command = line.split('#').next().unwrap();
        let mut args: Vec<&str> = command.split_whitespace().skip(1).collect();
        args.extend(["--admin", admin.as_str()]);
        let ran = run(binary.setup().folder(), &args);
        assert_eq!(ran.code, 0, "{line}: {}{}", ran.out, ran.err);
    }
}

#[test]
fn who_only_looks_makes_no_registry() {
    let upstream = Upstream::start();
    let setup = setup(&upstream);
    setup.write("gateway.toml", setup.text().as_bytes());
    for args in [
        &["app", "list"][..],
        &["key", "list"],
        &["app", "show", "mobile"],
    ] {
        assert_eq!(run(setup.folder(), args).code, 0);
    }
    assert!(!setup.path("state").exists());
}

#[test]
fn a_registry_that_nobody_has_made_yet_is_not_told_to_be_off() {
    let upstream = Upstream::start();
    let setup = setup(&upstream);
    let text = setup.text();
    setup.write("gateway.toml", text.as_bytes());
    let off = text.replace("[state]\n", "[state]\nregistry = \"off\"\n");
    setup.write("off.toml", off.as_bytes());
    for (config, told) in [
        ("gateway.toml", "no registry has been made yet"),
        ("off.toml", "`[state] registry` is off"),
    ] {
        for command in [&["audit"][..], &["instance", "list", "mobile"]] {
            let ran = run(setup.folder(), &[command, &["-c", config]].concat());
            assert_eq!(ran.code, 1, "{command:?}: {}", ran.out);
            assert!(ran.err.contains(told), "{command:?}: {}", ran.err);
        }
    }
    assert!(!setup.path("state").exists());
}

#[test]
fn a_dry_run_without_a_gateway_makes_nothing() {
    let upstream = Upstream::start();
    let setup = setup(&upstream);
    setup.write("gateway.toml", setup.text().as_bytes());
    let before = names(setup.folder());
    let on = On::Nothing(Box::new(setup));
    for (line, code) in [
        ("app create shop --plan standard --dry-run", 0),
        ("app create shop --plan gold --dry-run", 2),
        ("app disable mobile --dry-run", 1),
        ("app disable shop --dry-run", 1),
        ("key revoke shop-1 --dry-run", 1),
    ] {
        let ran = on.run(line);
        assert_eq!(ran.code, code, "{line}: {}{}", ran.out, ran.err);
        assert_eq!(names(on.folder()), before, "{line}");
    }
    // Where there is a registry, the change is tried on what it holds.
    on.good("app create shop");
    let would = on.good("app delete shop --dry-run");
    assert!(would.starts_with("would be deleted app shop"), "{would}");
    on.good("app show shop");
}

#[test]
fn a_command_that_ends_at_a_configuration_that_is_wrong_has_made_nothing() {
    let upstream = Upstream::start();
    let setup = setup(&upstream).more(
        "[apps.unset]\nkeys = [{ id = \"unset\", algorithm = \"hmac-sha256\", \
         secret = \"env:NOBODY_SET_IT\" }]\n",
    );
    setup.write("gateway.toml", setup.text().as_bytes());
    let before = names(setup.folder());
    let ran = run(setup.folder(), &["app", "create", "shop"]);
    assert_eq!((ran.code, &*ran.out), (2, ""), "{}", ran.err);
    assert!(ran.err.contains("NOBODY_SET_IT"), "{}", ran.err);
    assert_eq!(names(setup.folder()), before);
}

#[test]
fn a_registry_that_a_gateway_has_and_whose_api_is_off_is_told_so() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream).admin("listen = \"off\"");
    let text = setup.text();
    setup.write("gateway.toml", text.as_bytes());
    let folder = setup.folder().to_owned();
    let loaded = portcullis::config::Config::load(&folder.join("gateway.toml")).unwrap();
    let _held =
        portcullis::store::registry::Registry::open(&loaded.config.registry.unwrap()).unwrap();
    let refused = run(&folder, &["app", "create", "shop"]);
    assert_eq!(refused.code, 1);
    for word in [
        "is in use by a gateway",
        "`[admin] listen` is off",
        "--admin URL",
    ] {
        assert!(refused.err.contains(word), "{}", refused.err);
    }
}

#[test]
fn what_an_app_lacks_to_get_tokens_is_told() {
    let upstream = Upstream::start();
    let tokens = r#"{"evidence":["instance-key"]}"#;
    let (key, evidence) = ("mind: no key of shop signs tokens", "nobody can enrol");
    for on in both(&upstream) {
        let told = |line: &str| {
            let ran = on.run(line);
            assert_eq!(ran.code, 0, "{line}: {}", ran.err);
            (ran.err.contains(key), ran.err.contains(evidence))
        };
        assert_eq!(told("app create shop"), (false, false));
        assert_eq!(told("instance enrol-code shop"), (false, true));
        let change = format!("app change shop --tokens {tokens}");
        assert_eq!(told(&format!("{change} --dry-run")), (false, false));
        assert_eq!(told(&change), (true, false));
        // One that callers hold is none.
        assert_eq!(
            told("key create shop --id its-own --out its.key"),
            (false, false)
        );
        assert_eq!(told("app show shop"), (true, false));
        assert_eq!(told("instance enrol-code shop"), (true, false));
        let json = "app show shop --json";
        assert_eq!(told(json), (false, false));
        told("key create shop --scheme token --attests --out signs.key");
        assert_eq!(told("instance enrol-code shop"), (false, false));
        assert_eq!(told("app show shop"), (false, false));
    }
}
