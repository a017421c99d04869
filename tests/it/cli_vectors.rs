//! `portcullis vectors`: what it writes is what a gateway of that configuration says.

use crate::cli_webhooks::SENDERS;
use crate::harness::setup::{SECRET, SECRET_512};
use crate::harness::{Binary, Gateway, Request, Setup, T0, Upstream, binary};
use crate::interop::verified_by;
use data_encoding::BASE64;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

const ROUTES: &str = "\
[[routes]]
name = \"signed\"
path = \"/orders/**\"
upstream = \"backend\"
accept = [\"http-signature\", \"token\", \"token+http-signature\"]
scopes = [\"orders\"]

[[routes]]
name = \"kong.old\"
path = \"/kong/*\"
methods = [\"GET\", \"POST\"]
upstream = \"backend\"
accept = [\"hmac-auth\"]
dialect = \"kong\"

[[routes]]
name = \"apisix\"
path = \"/apisix\"
upstream = \"backend\"
accept = [\"hmac-auth\", \"http-signature\"]
dialect = \"apisix\"

[[routes]]
name = \"cavage\"
path = \"/cavage/**\"
host = \"*.cavage.example\"
upstream = \"backend\"
accept = [\"hmac-auth\"]
dialect = \"cavage-12\"

[[routes]]
name = \"aws\"
path = \"/aws/**\"
upstream = \"backend\"
accept = [\"aws-sigv4\"]
sigv4 = { regions = [\"eu-central-1\"], services = [\"files\"] }

[[routes]]
name = \"bound\"
path = \"/bound/**\"
upstream = \"backend\"
accept = [\"token\"]
bind = \"authorization\"

[[routes]]
name = \"open\"
path = \"/open\"
upstream = \"backend\"
accept = [\"public\"]

";

/// Those that ask for more than a right proof, or share a host, a path or a method with another.
const PICKY: &str = "\
[[routes]]
name = \"strict\"
path = \"/strict/**\"
upstream = \"backend\"
accept = [\"token\"]
replay = \"strict\"

[[routes]]
name = \"own-field\"
path = \"/own-field\"
upstream = \"backend\"
accept = [\"token\"]
token_headers = [\"X-App-Token\"]

[[routes]]
name = \"kong-bound\"
path = \"/kong-bound\"
upstream = \"backend\"
accept = [\"hmac-auth\", \"token\"]
dialect = \"kong\"
bind = \"authorization\"

[[routes]]
name = \"apisix-bound\"
path = \"/apisix-bound\"
upstream = \"backend\"
accept = [\"hmac-auth\", \"token\"]
dialect = \"apisix\"
bind = \"authorization\"

[[routes]]
name = \"user-beside-token\"
path = \"/user-beside-token\"
upstream = \"backend\"
accept = [\"http-signature\", \"token\", \"token+http-signature\"]
bind = \"authorization\"
token_headers = [\"authorization\", \"Portcullis-Token\"]

[[routes]]
name = \"slack-bound\"
path = \"/slack-bound\"
upstream = \"backend\"
accept = [\"webhook\", \"token\"]
webhook = { sender = \"slack\", app = \"slack\" }
bind = \"authorization\"

[[routes]]
name = \"dpop\"
path = \"/dpop/**\"
upstream = \"backend\"
accept = [\"token\"]
bind = \"dpop\"

[[routes]]
name = \"dpop-word\"
path = \"/dpop-word\"
upstream = \"backend\"
accept = [\"token\"]
bind = \"dpop\"
token_headers = [\"authorization\"]

[[routes]]
name = \"keyed\"
path = \"/keyed/**\"
upstream = \"backend\"
accept = [\"token\", \"token+http-signature\"]
bind = \"key\"

[[routes]]
name = \"attested\"
path = \"/attested\"
upstream = \"backend\"
accept = [\"token\"]
assurance = \"attested\"

[[routes]]
name = \"item\"
path = \"/items/*\"
upstream = \"backend\"
accept = [\"token\"]

[[routes]]
name = \"below-items\"
path = \"/items/**\"
upstream = \"backend\"
accept = [\"http-signature\"]

[[routes]]
name = \"reads\"
path = \"/shared/**\"
upstream = \"backend\"
accept = [\"token\"]
methods = [\"GET\"]

[[routes]]
name = \"writes\"
path = \"/shared/**\"
upstream = \"backend\"
accept = [\"http-signature\"]

[[routes]]
name = \"one-host\"
path = \"/hosts\"
upstream = \"backend\"
accept = [\"token\"]
host = \"www.hosts.example\"

[[routes]]
name = \"other-hosts\"
path = \"/hosts\"
upstream = \"backend\"
accept = [\"http-signature\"]
host = \"*.hosts.example\"

";

/// Those that take webhooks, each named after its sender.
const HOOKS: &str = "\
[[routes]]
name = \"standard-webhooks\"
path = \"/hooks/standard-webhooks\"
upstream = \"backend\"
accept = [\"webhook\"]
webhook = { sender = \"standard-webhooks\", app = \"standard-webhooks\" }

[[routes]]
name = \"github\"
path = \"/hooks/github\"
upstream = \"backend\"
accept = [\"webhook\"]
webhook = { sender = \"github\", app = \"github\" }

[[routes]]
name = \"stripe\"
path = \"/hooks/stripe\"
upstream = \"backend\"
accept = [\"webhook\"]
webhook = { sender = \"stripe\", app = \"stripe\" }

[[routes]]
name = \"slack\"
path = \"/hooks/slack\"
methods = [\"POST\"]
upstream = \"backend\"
accept = [\"webhook\"]
webhook = { sender = \"slack\", app = \"slack\", window = \"1m\" }
";

/// Whose webhooks are taken.
const WEBHOOKS: &str = "\
[apps.standard-webhooks]
keys = [
  { id = \"standard-webhooks-2026\", algorithm = \"hmac-sha256\", secret = \"file:standard-webhooks-2026.key\", weak_secret = true, schemes = [\"webhook\"] },
  { id = \"standard-pair\", algorithm = \"ed25519\", public_key = \"file:standard-pair.pem\", schemes = [\"webhook\"] },
]
[apps.github]
keys = [{ id = \"github-2026\", algorithm = \"hmac-sha256\", secret = \"file:github-2026.key\", schemes = [\"webhook\"] }]
[apps.stripe]
keys = [{ id = \"stripe-2026\", algorithm = \"hmac-sha256\", secret = \"file:stripe-2026.key\", schemes = [\"webhook\"] }]
[apps.slack]
keys = [{ id = \"slack-2026\", algorithm = \"hmac-sha256\", secret = \"file:slack-2026.key\", schemes = [\"webhook\"] }]
";

/// Whose tokens say that somebody has looked at the app; other apps have keys of the same kind.
const GENUINE: &str = "\
[apps.genuine]
keys = [{ id = \"genuine-2026\", algorithm = \"hmac-sha256\", secret = \"file:genuine-2026.key\", attests = true, schemes = [\"token\"] }]
";

/// The keys of each kind that signs requests.
const PAIRS: [&str; 5] = [
    "ed25519",
    "ecdsa-p256-sha256",
    "ecdsa-p384-sha384",
    "rsa-pss-sha512",
    "rsa-v1_5-sha256",
];

fn setup(upstream: &Upstream) -> Setup {
    let keys: Vec<String> = PAIRS
        .iter()
        .map(|name| {
            format!(
                "{{ id = \"{name}\", algorithm = \"{name}\", public_key = \"file:{name}.pem\" }}"
            )
        })
        .collect();
    Setup::before(upstream)
        .tokens("audience = \"orders\"")
        .app("scopes = [\"orders\"]")
        .routes(&format!("{ROUTES}{PICKY}{HOOKS}"))
        .more(&format!(
            "[apps.pairs]\nscopes = [\"orders\"]\nkeys = [{}]\n{GENUINE}{WEBHOOKS}",
            keys.join(", ")
        ))
}

/// The routes that take webhooks, with secrets as each sender has them.
fn webhooks_with_secrets(upstream: &Upstream) -> Setup {
    let setup = Setup::before(upstream).routes(HOOKS).more(WEBHOOKS);
    let public = include_bytes!("vectors/rfc9421/keys/test-key-ed25519.pub.pem");
    setup.write_secret("standard-pair.pem", public);
    for (sender, secret, _) in SENDERS {
        setup.write_secret(&format!("{sender}-2026.key"), secret.as_bytes());
    }
    setup
}

fn vectors(setup: &Setup, args: &[&str]) -> Output {
    Command::new(binary::program())
        .arg("vectors")
        .args(args)
        .current_dir(setup.folder())
        .output()
        .unwrap()
}

fn written(setup: &Setup, folder: &str, more: &[&str]) -> BTreeMap<String, String> {
    written_at(setup, folder, T0, more)
}

fn written_at(setup: &Setup, folder: &str, unix: i64, more: &[&str]) -> BTreeMap<String, String> {
    setup.write("gateway.toml", setup.text().as_bytes());
    let time = unix.to_string();
    let output = vectors(setup, &[&["--time", &time, folder], more].concat());
    assert!(output.status.success(), "{output:?}");
    read(&setup.path(folder))
}

fn read(folder: &Path) -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let files = entries.map(|entry| {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        (name, std::fs::read_to_string(entry.path()).unwrap())
    });
    files.collect()
}

fn cases(files: &BTreeMap<String, String>) -> Vec<(Value, Value)> {
    let files = files.iter().filter(|(name, _)| name.starts_with('0'));
    files
        .flat_map(|(_, text)| {
            let file: Value = serde_json::from_str(text).unwrap();
            let cases = file["cases"].as_array().unwrap().clone();
            cases.into_iter().map(move |case| (file.clone(), case))
        })
        .collect()
}

/// Sends a request as its file has it.
fn sent(gateway: &Gateway, case: &Value) -> Value {
    let shown = &case["request"];
    let text = |name: &str| shown[name].as_str().unwrap();
    let mut request = Request::new(text("method"), text("target")).authority(text("authority"));
    for header in shown["headers"].as_array().unwrap() {
        let (name, value) = (header[0].as_str().unwrap(), header[1].as_str().unwrap());
        if name != "Host" {
            request = request.field(name, value);
        }
    }
    if let Some(body) = shown["body"].as_str() {
        request = request.body(body);
    }
    let response = gateway.send(&request);
    let passes = response.status == 200;
    let code = (!passes).then(|| response.code());
    let status = (!passes).then_some(response.status);
    serde_json::json!({ "passes": passes, "status": status, "code": code })
}

#[test]
fn every_written_request_gets_the_written_verdict() {
    let upstream = Upstream::start();
    let setup = setup(&upstream);
    let files = written(&setup, "vectors", &[]);
    let keys: Value = serde_json::from_str(&files["keys.json"]).unwrap();
    let mut algorithms = BTreeSet::new();
    for key in keys["keys"].as_array().unwrap() {
        let text = |name: &str| key[name].as_str();
        algorithms.insert(text("algorithm").unwrap().to_owned());
        let file = match text("id").unwrap() {
            "mobile-2026" => "mobile.key".to_owned(),
            "mobile-512" => "mobile-512.key".to_owned(),
            "other-2026" => "other.key".to_owned(),
            sender if sender.ends_with("-2026") => format!("{sender}.key"),
            pair => format!("{pair}.pem"),
        };
        let content = text("secret").or(text("public_key")).unwrap();
        setup.write_secret(&file, content.as_bytes());
    }
    let gateway = Gateway::start_at(setup, T0);
    let (mut passed, mut refused) = (BTreeSet::new(), BTreeSet::new());
    let mut told_of = BTreeMap::<_, BTreeSet<_>>::new();
    for (file, case) in cases(&files) {
        let told = sent(&gateway, &case);
        assert_eq!(told, case["verdict"], "{}: {case:#}", file["route"]);
        let kind = format!("{} {} {}", file["route"], file["scheme"], case["algorithm"]);
        let title = case["title"].as_str().unwrap().replace(", with a body", "");
        let code = told["code"].as_str().unwrap_or("passes").to_owned();
        told_of
            .entry(kind.clone())
            .or_default()
            .insert((title, code));
        if told["passes"] == true {
            passed.insert(kind);
        } else {
            refused.insert(told["code"].as_str().unwrap().to_owned());
        }
    }
    // Nothing that is rightly made is refused, and nothing passes whose proof is another or none.
    let plain = [
        ("as it is signed", "passes"),
        ("with another signature", "credential-rejected"),
        ("without any proof", "credential-missing"),
    ];
    for (kind, told) in &told_of {
        for (title, code) in plain {
            let codes = told.iter().filter(|(of, _)| of == title);
            let codes: Vec<_> = codes.map(|(_, code)| code.as_str()).collect();
            assert_eq!(codes, [code], "{kind}: {title}");
        }
    }
    assert!(!files["README.md"].contains("There is none for"));
    // Each way with each kind of key that it goes with: 7 and 5 and 5, then 2 or 5 to `hmac-auth`.
    let of = |front: &str| passed.iter().filter(|kind| kind.starts_with(front)).count();
    assert_eq!(of("\"signed\" \"http-signature\""), 7);
    assert_eq!(of("\"signed\" \"token\""), 5);
    assert_eq!(of("\"signed\" \"token+http-signature\""), 5);
    assert_eq!(of("\"kong.old\" \"hmac-auth\""), 2);
    assert_eq!(of("\"apisix\" \"hmac-auth\""), 2);
    assert_eq!(of("\"cavage\" \"hmac-auth\""), 5);
    assert_eq!(of("\"aws\" \"aws-sigv4\""), 1);
    assert_eq!(of("\"bound\" \"token\""), 5);
    assert_eq!(of("\"user-beside-token\" \"http-signature\""), 7);
    assert_eq!(of("\"user-beside-token\" \"token\""), 5);
    assert_eq!(of("\"user-beside-token\" \"token+http-signature\""), 5);
    assert_eq!(of("\"slack-bound\" \"webhook\""), 1);
    assert_eq!(of("\"slack-bound\" \"token\""), 5);
    assert_eq!(of("\"dpop\" \"token\""), 5);
    assert_eq!(of("\"keyed\" \"token+http-signature\""), 4);
    assert_eq!(of("\"attested\" \"token\""), 1);
    assert_eq!(of("\"standard-webhooks\" \"webhook\""), 2);
    for sender in ["github", "stripe", "slack"] {
        assert_eq!(of(&format!("\"{sender}\" \"webhook\"")), 1, "{sender}");
    }
    assert_eq!(algorithms.len(), 7);
    for code in [
        "credential-rejected",
        "credential-missing",
        "credential-expired",
        "clock-skew",
        "coverage-missing",
        "digest-mismatch",
        "method-not-allowed",
        "scope-missing",
    ] {
        assert!(refused.contains(code), "{code} is not among {refused:?}");
    }
}

#[test]
fn the_same_seed_and_time_make_the_same_vectors() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream);
    let one = written(&setup, "one", &[]);
    assert_eq!(written(&setup, "two", &[]), one);
    let other = written(&setup, "three", &["--seed", "another"]);
    assert_ne!(other["keys.json"], one["keys.json"]);
    assert!(
        one["README.md"].contains("| `001-all-http-signature.json` | `all` | `http-signature` |")
    );
}

#[test]
fn no_secret_of_the_configuration_is_read_or_written() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream);
    let secrets = [SECRET, SECRET_512].map(|secret| BASE64.encode(secret));
    let with_real = written(&setup, "real", &["--with-real-secrets"]);
    let thrown = {
        for name in ["mobile.key", "mobile-512.key", "other.key"] {
            std::fs::remove_file(setup.path(name)).unwrap();
        }
        written(&setup, "thrown", &[])
    };
    for text in with_real.values().chain(thrown.values()) {
        assert!(secrets.iter().all(|secret| !text.contains(secret)));
    }
    let keys: Value = serde_json::from_str(&with_real["keys.json"]).unwrap();
    assert!(
        keys["keys"]
            .as_array()
            .unwrap()
            .iter()
            .all(|key| key["secret"].is_null())
    );
    assert!(with_real["README.md"].contains("own secrets"));

    let gateway = Gateway::start_at(Setup::before(&upstream), T0);
    let passes = |files| {
        let told = cases(files).into_iter().map(|(_, case)| {
            let told = sent(&gateway, &case);
            (told["passes"].clone(), case["verdict"]["passes"].clone())
        });
        told.collect::<Vec<_>>()
    };
    let real = passes(&with_real);
    assert!(real.iter().all(|(told, written)| told == written));
    assert!(real.iter().any(|(told, _)| *told == true));
    assert!(passes(&thrown).iter().all(|(told, _)| *told == false));
}

#[test]
fn what_passes_the_gateway_is_for_its_owner_alone() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream);
    let mode = |name: &str| {
        let told = std::fs::metadata(setup.path(name)).unwrap();
        told.permissions().mode() & 0o777
    };
    let open = setup.path("there-already");
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, PermissionsExt::from_mode(0o755)).unwrap();
    for folder in ["new", "there-already"] {
        let files = written(&setup, folder, &["--with-real-secrets"]);
        assert_eq!(mode(folder), 0o700, "{folder}");
        for name in files.keys() {
            assert_eq!(mode(&format!("{folder}/{name}")), 0o600, "{folder}/{name}");
        }
    }
}

#[test]
fn a_folder_that_others_may_read_stays_so_where_nothing_in_it_passes_the_gateway() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream);
    let open = setup.path("open");
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, PermissionsExt::from_mode(0o755)).unwrap();
    written(&setup, "open", &[]);
    let told = std::fs::metadata(&open).unwrap();
    assert_eq!(told.permissions().mode() & 0o777, 0o755);
}

#[test]
fn a_way_in_which_nothing_passes_has_no_file_and_is_named() {
    let upstream = Upstream::start();
    // Nobody but the running gateway can make the nonce.
    let setup = Setup::before(&upstream)
        .tokens("dpop_nonce = true")
        .route("bind = \"dpop\"");
    let files = written(&setup, "vectors", &[]);
    assert!(files.contains_key("001-all-http-signature.json"));
    assert!(!files.keys().any(|name| name.contains("token")));
    assert!(files["README.md"].contains("There is none for `token` on route `all`."));
}

#[test]
fn a_token_that_has_no_field_but_the_one_it_is_bound_to_leaves_the_other_ways_their_files() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream)
        .tokens("headers = [\"authorization\"]")
        .route("bind = \"authorization\"");
    let files = written(&setup, "vectors", &[]);
    assert!(files.contains_key("001-all-http-signature.json"));
    let (_, first) = &cases(&files)[0];
    assert_eq!(first["verdict"]["passes"], true, "{first:#}");
    assert!(files["README.md"].contains("There is none for `token` on route `all`."));
}

#[test]
fn of_keys_that_are_alike_one_is_tried_where_none_passes() {
    let upstream = Upstream::start();
    // Requests are numbered as they are made, those of trials too.
    let written_beside = |count: usize| {
        let key = |number| {
            format!(
                "{{ id = \"many-{number}\", algorithm = \"hmac-sha256\", secret = \"file:many.key\" }}"
            )
        };
        let keys: Vec<String> = (0..count).map(key).collect();
        let many = format!("[apps.many]\nkeys = [{}]\n{WEBHOOKS}", keys.join(", "));
        let setup = Setup::before(&upstream).routes(PICKY).more(&many);
        cases(&written(&setup, "vectors", &[]))
    };
    let few = written_beside(1);
    assert!(few.iter().all(|(file, _)| file["route"] != "attested"));
    assert!(few.iter().any(|(file, _)| file["route"] == "item"));
    assert_eq!(written_beside(50), few);
}

#[test]
fn requests_that_are_made_anew_later_are_no_replays_of_the_first() {
    const LATER: u64 = 20;
    let upstream = Upstream::start();
    let setup = webhooks_with_secrets(&upstream);
    let real = ["--with-real-secrets"];
    let first = written_at(&setup, "first", T0, &real);
    let second = written_at(&setup, "second", T0 + LATER as i64, &real);
    let gateway = Gateway::start_at(setup, T0);
    let is_as_written = |files| {
        for (_, case) in cases(files) {
            assert_eq!(sent(&gateway, &case), case["verdict"], "{case:#}");
        }
    };
    is_as_written(&first);
    gateway.advance(LATER);
    is_as_written(&second);
}

#[test]
fn nothing_is_written_over_and_what_is_wrong_is_told() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream);
    written(&setup, "vectors", &[]);
    let before = read(&setup.path("vectors"));
    for (args, told) in [
        (&["vectors"][..], "is not empty"),
        (&["gateway.toml"], "cannot be used"),
        (&["-c", "nowhere.toml", "new"], "cannot be read"),
        (&["--time", "soon", "new"], "soon"),
        (&["--time", "1800000000000", "new"], "not milliseconds"),
    ] {
        let output = vectors(&setup, args);
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{err}");
        assert!(err.contains(told), "{err}");
    }
    assert_eq!(read(&setup.path("vectors")), before);
    setup.write("bad.toml", b"[[routes]]\nname = 7\n");
    let output = vectors(&setup, &["-c", "bad.toml", "new"]);
    assert_eq!(output.status.code(), Some(2));
}

/// Whether a sender's own library takes the case's webhook; `None` where what is changed is not its to judge.
fn library_says(case: &Value, receiver: &str, secret: &Path) -> Option<bool> {
    let title = case["title"].as_str().unwrap();
    let is_signed = [
        "as it is signed, with a body",
        "with another body",
        "with another signature",
        "signed with another secret",
    ];
    is_signed.contains(&title).then(|| {
        let request = &case["request"];
        let headers = request["headers"].as_array().unwrap();
        let headers: serde_json::Map<String, Value> = { headers.iter() }
            .map(|header| (header[0].as_str().unwrap().to_owned(), header[1].clone()))
            .collect();
        let request = serde_json::json!({ "headers": headers, "body": request["body"] });
        verified_by(receiver, secret, &request)
    })
}

#[test]
fn webhooks_that_are_written_get_the_same_verdict_of_the_senders_own_library() {
    let upstream = Upstream::start();
    let setup = setup(&upstream);
    let files = written_at(&setup, "webhooks", Binary::now(), &[]);
    let keys: Value = serde_json::from_str(&files["keys.json"]).unwrap();
    let mut keys = keys["keys"].as_array().unwrap().iter();
    let key = keys.find(|key| key["id"] == "standard-webhooks-2026");
    let shown = key.unwrap()["secret"].as_str().unwrap();
    let shown = shown.replace("base64:", "whsec_");
    let secret = setup.write_secret("receiver.secret", shown.as_bytes());
    let (sender, _, receiver) = SENDERS[0];
    let mut told = Vec::new();
    for (file, case) in cases(&files) {
        if file["sender"] == sender && case["algorithm"] == "hmac-sha256" {
            let Some(holds) = library_says(&case, receiver, &secret) else {
                continue;
            };
            assert_eq!(case["verdict"]["passes"], holds, "{case:#}");
            told.push(holds);
        }
    }
    told.sort_unstable();
    assert_eq!(told, [false, false, false, true]);
}

#[test]
fn webhooks_by_the_real_secrets_get_the_written_verdict_of_the_gateway_and_of_each_senders_library()
{
    let upstream = Upstream::start();
    let setup = webhooks_with_secrets(&upstream);
    let now = Binary::now();
    let files = written_at(&setup, "real", now, &["--with-real-secrets"]);
    for (sender, secret, _) in SENDERS {
        let secret = secret.strip_prefix("whsec_").unwrap_or(secret);
        assert!(
            files.values().all(|text| !text.contains(secret)),
            "{sender}"
        );
    }
    let gateway = Gateway::start_at(setup, now);
    for (sender, _, receiver) in SENDERS {
        let secret = gateway.setup().path(&format!("{sender}-2026.key"));
        let mut told = Vec::new();
        for (file, case) in cases(&files) {
            if file["sender"] == sender {
                assert_eq!(sent(&gateway, &case), case["verdict"], "{case:#}");
                if let Some(holds) = library_says(&case, receiver, &secret) {
                    assert_eq!(case["verdict"]["passes"], holds, "{sender}: {case:#}");
                    told.push(holds);
                }
            }
        }
        told.sort_unstable();
        // No case stands for the pair, of which the gateway has one half.
        assert_eq!(told, [false, false, false, true], "{sender}");
    }
}
