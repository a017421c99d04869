//! Whole answers of a gateway that runs: success and every kind of failure take turns on one connection.

use crate::bed::gateway::{self, Gateway, Settings};
use crate::bed::process::{Place, settle};
use crate::gate::Pair;
use crate::turns::Asked;
use crate::turns::table::{alike, median, ratios, three};
use crate::wire::Wire;
use data_encoding::BASE64URL_NOPAD;
use portcullis::crypto::{Algorithm, SigningKey};
use portcullis::mint::{Signed, signed_text};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

/// Answers of each kind for one round that others count: a turn here is one answer.
const ANSWERS: usize = 10;
const BUILD: &str = "1.4.2";

/// How an answer to a challenge goes.
type Question = fn(&mut App) -> Value;

/// What fails, and how; the first does not.
const CASES: [(&str, Question); 8] = [
    ("token", App::good),
    ("decoy: unknown app", App::of_nobody),
    ("decoy: another app's challenge", App::foreign),
    ("decoy: a challenge answered before", App::reused),
    ("decoy: a build that is not taken", App::old_build),
    ("decoy: another's signature", App::forged),
    ("decoy: unknown instance", App::unknown),
    ("decoy: revoked instance", App::revoked),
];
/// Of them, those that evidence of no key can show.
const WITHOUT_KEY: usize = 5;

/// One app under measure.
struct App {
    wire: Wire,
    name: String,
    /// One that is not there and is answered like it.
    nobody: String,
    instances: Option<Instances>,
    last: Option<Value>,
}

struct Instances {
    key: SigningKey,
    other: SigningKey,
    good: String,
    revoked: String,
}

pub(crate) fn run(asked: &Asked) {
    let made = Algorithm::ALL.into_iter().filter(|one| one.is_for_tokens());
    let names = made.map(|one| (format!("answers, {}", one.jose_name()), one));
    let of_key = "answers, HS256, evidence of an instance's key".to_owned();
    let wanted: Vec<_> = names.filter(|(name, _)| asked.wants(name)).collect();
    if asked.only_names {
        for name in wanted.iter().map(|(name, _)| name).chain([&of_key]) {
            println!("{name}");
        }
        return;
    }
    if wanted.is_empty() && !asked.wants(&of_key) {
        return;
    }
    settle(Place::Rest);
    let folder = tempfile::tempdir().expect("a folder");
    let gateway = start(folder.path());
    let rounds = if asked.is_bench {
        asked.rounds * ANSWERS
    } else {
        1
    };
    if asked.is_bench {
        println!("\nmicroseconds until the whole answer is there; medians of {rounds} rounds\n");
        println!("| what is asked | | µs | a second | ÷ token: min / median / max | mark |");
        println!("| --- | --- | ---: | ---: | --- | --- |");
    }
    for (name, algorithm) in wanted {
        let app = format!("app-{}", algorithm.name());
        let wire = Wire::to(gateway.address);
        measure(&name, &mut App::of(wire, app, None), asked, rounds);
    }
    if asked.wants(&of_key) {
        let mut app = enrolled(&gateway, folder.path());
        measure(&of_key, &mut app, asked, rounds);
        enrolling(&gateway, folder.path(), asked, rounds.min(101));
    }
}

fn start(folder: &Path) -> Gateway {
    let mut more = String::from(
        "[tokens]\naudience = \"https://api.example.com\"\nrate = \"off\"\napp_rate = \"off\"\ninstance_rate = \"off\"\n",
    );
    let home = folder.join(Settings::USUAL.name);
    std::fs::create_dir_all(&home).expect("a folder");
    for algorithm in Algorithm::ALL.into_iter().filter(|one| one.is_for_tokens()) {
        let name = algorithm.name();
        let file = format!("{name}.key");
        let path = home.join(&file);
        std::fs::write(&path, Pair::new(algorithm).key.expose()).expect("a file");
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&path, private).expect("it is ours");
        let what = if algorithm.is_mac() {
            "secret"
        } else {
            "private_key"
        };
        let _ = writeln!(
            more,
            "[apps.app-{name}]\nkeys = [{{ id = \"app-{name}-12345678\", algorithm = \"{name}\", {what} = \"file:{file}\", \
             schemes = [\"token\"], attests = true }}]\ntokens = {{ evidence = [\"dev\"], builds = [\"{BUILD}\"] }}"
        );
    }
    let settings = Settings {
        more: &more,
        ..Settings::USUAL
    };
    // Nothing is forwarded.
    let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
    gateway::start(&settings, nowhere, folder)
}

/// The admin API of the gateway below `folder`.
fn admin(gateway: &Gateway, folder: &Path) -> Wire {
    let file = folder.join(Settings::USUAL.name).join("state/admin.token");
    let token = std::fs::read_to_string(file).expect("it is made at the start");
    Wire::to(gateway.admin).with_bearer(token.trim())
}

/// An app of the registry, with instances that have enrolled.
fn enrolled(gateway: &Gateway, folder: &Path) -> App {
    let mut wire = Wire::to(gateway.address);
    let mut admin = admin(gateway, folder);
    let tokens = json!({ "evidence": ["instance-key"], "builds": [BUILD] });
    done(
        &mut admin,
        "/v1/apps",
        &json!({ "name": "phone", "tokens": tokens }),
    );
    done(
        &mut admin,
        "/v1/keys",
        &json!({ "app": "phone", "schemes": ["token"], "attests": true }),
    );
    let pair = Pair::new(Algorithm::EcdsaP256Sha256);
    let mut enrol = || {
        let body = enrolment(&mut admin, &pair);
        let answer = wire.post("/.portcullis/enrol", &body);
        text(&answer.body, "instance")
    };
    let (good, revoked) = (enrol(), enrol());
    let revoke = format!("/v1/instances/{revoked}/revoke");
    done(&mut admin, &revoke, &Value::Null);
    let instances = Instances {
        key: pair.signing(),
        other: pair.wrong(),
        good,
        revoked,
    };
    App::of(wire, "phone".to_owned(), Some(instances))
}

/// A question to enrol, by a code of its own.
fn enrolment(admin: &mut Wire, pair: &Pair) -> Value {
    let code = done(admin, "/v1/enrolments", &json!({ "app": "phone" }));
    json!({ "app": "phone", "code": code["code"], "key": jwk(pair), "build": BUILD })
}

fn jwk(pair: &Pair) -> Value {
    let key = portcullis::crypto::PrivateKey::read(pair.algorithm, &pair.key);
    serde_json::from_str(&key.expect("it is one").public_jwk()).expect("JSON")
}

fn done(admin: &mut Wire, path: &str, body: &Value) -> Value {
    let answer = admin.post(path, body);
    assert!(answer.status / 100 == 2, "{path}: {}", answer.body);
    answer.body
}

fn text(of: &Value, member: &str) -> String {
    let text = of[member].as_str();
    text.unwrap_or_else(|| panic!("no `{member}` in {of}"))
        .to_owned()
}

/// What enrolling takes, rightly and with a code that another key has used up: no answer is a secret there.
fn enrolling(gateway: &Gateway, folder: &Path, asked: &Asked, rounds: usize) {
    let mut admin = admin(gateway, folder);
    let mut wire = Wire::to(gateway.address);
    let [pair, other] = [(); 2].map(|()| Pair::new(Algorithm::EcdsaP256Sha256));
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let mut body = enrolment(&mut admin, &pair);
        for (key, spent, wanted) in [(&pair, &mut first, 200), (&other, &mut second, 403)] {
            body["key"] = jwk(key);
            let answer = wire.post("/.portcullis/enrol", &body);
            assert_eq!(answer.status, wanted, "{}", answer.body);
            spent.push(answer.took.as_secs_f64() * 1e6);
        }
    }
    if asked.is_bench {
        for (what, spent) in [
            ("enrolled, on the disk", &first),
            ("refused: a code used up", &second),
        ] {
            let median = median(spent);
            println!("| enrol | {what} | {median:.0} | {:.0} | | |", 1e6 / median);
        }
    }
}

fn measure(name: &str, app: &mut App, asked: &Asked, rounds: usize) {
    let cases = match app.instances {
        Some(_) => &CASES[..],
        None => &CASES[..WITHOUT_KEY],
    };
    let mut spent = vec![Vec::with_capacity(rounds); cases.len() + 1];
    for round in 0..rounds {
        for place in 0..cases.len() {
            let at = (place + round) % cases.len();
            let question = (cases[at].1)(app);
            let answer = app.wire.post("/.portcullis/token", &question);
            assert_eq!(answer.status, 200, "{}: {}", cases[at].0, answer.body);
            spent[at].push(answer.took.as_secs_f64() * 1e6);
        }
        let challenge = app
            .wire
            .post("/.portcullis/challenge", &json!({ "app": app.name }));
        spent[cases.len()].push(challenge.took.as_secs_f64() * 1e6);
    }
    if !asked.is_bench {
        return;
    }
    let mut front = name;
    for (at, spent_here) in spent.iter().enumerate() {
        let took = median(spent_here);
        // Each took its own time: what is alike are the medians.
        let (by, mark) = match cases.get(at) {
            Some(_) if at > 0 => (
                three(&ratios(spent_here, &spent[0])),
                alike(took / median(&spent[0])),
            ),
            _ => (String::new(), String::new()),
        };
        let what = cases.get(at).map_or("challenge", |(what, _)| what);
        println!(
            "| {front} | {what} | {took:.1} | {:.0} | {by} | {mark} |",
            1e6 / took
        );
        front = "";
    }
}

impl App {
    fn of(wire: Wire, name: String, instances: Option<Instances>) -> Self {
        let mut app = Self {
            wire,
            nobody: name.clone(),
            name,
            instances,
            last: None,
        };
        // One whose answers have the same `alg` and size: which, only the gateway knows.
        let question = app.good();
        let wanted = app.wire.post("/.portcullis/token", &question);
        let wanted = header(&text(&wanted.body, "token"));
        let of_length = |number: usize| format!("{number:0width$}", width = app.name.len());
        for number in 0..10_000 {
            let name = of_length(number);
            let question =
                json!({ "app": name, "challenge": "x", "evidence": { "format": "dev" } });
            let answer = app.wire.post("/.portcullis/token", &question);
            if header(&text(&answer.body, "token")) == wanted {
                app.nobody = name;
                return app;
            }
        }
        panic!("no name is answered like `{}`", app.name);
    }

    fn challenge(&mut self, app: &str) -> String {
        let answer = self
            .wire
            .post("/.portcullis/challenge", &json!({ "app": app }));
        text(&answer.body, "challenge")
    }

    fn ask(
        &self,
        app: &str,
        challenge: &str,
        build: &str,
        of: fn(&Instances) -> (&str, &SigningKey),
    ) -> Value {
        let evidence = match &self.instances {
            None => {
                json!({ "format": "dev", "instance": "q8Bx0cR1V2k6yJmZ3nD4eA", "build": build })
            }
            Some(all) => {
                let (instance, key) = of(all);
                let text = signed_text(&Signed {
                    app,
                    challenge,
                    instance,
                    build,
                    pay: None,
                    cnf: None,
                    scope: None,
                    typ: None,
                });
                let signature = BASE64URL_NOPAD.encode(key.sign(text.as_bytes()).as_bytes());
                json!({ "format": "instance-key", "instance": instance, "build": build, "signature": signature })
            }
        };
        json!({ "app": app, "challenge": challenge, "evidence": evidence })
    }

    fn answering(&mut self, of: fn(&Instances) -> (&str, &SigningKey), build: &str) -> Value {
        let name = self.name.clone();
        let challenge = self.challenge(&name);
        self.ask(&name, &challenge, build, of)
    }

    fn good(&mut self) -> Value {
        let question = self.answering(|all| (&all.good, &all.key), BUILD);
        self.last = Some(question.clone());
        question
    }

    fn of_nobody(&mut self) -> Value {
        let name = self.nobody.clone();
        let challenge = self.challenge(&name);
        self.ask(&name, &challenge, BUILD, |all| (&all.good, &all.key))
    }

    fn foreign(&mut self) -> Value {
        let challenge = self.challenge("another");
        self.ask(&self.name, &challenge, BUILD, |all| (&all.good, &all.key))
    }

    /// The good question again, once that has been asked.
    fn reused(&mut self) -> Value {
        match self.last.clone() {
            Some(question) => question,
            None => self.good(),
        }
    }

    fn old_build(&mut self) -> Value {
        self.answering(|all| (&all.good, &all.key), "1.4.1")
    }

    fn forged(&mut self) -> Value {
        self.answering(|all| (&all.good, &all.other), BUILD)
    }

    fn unknown(&mut self) -> Value {
        self.answering(|all| (unknown_id(all), &all.key), BUILD)
    }

    fn revoked(&mut self) -> Value {
        self.answering(|all| (&all.revoked, &all.key), BUILD)
    }
}

/// An id of nobody, of the length of ids.
fn unknown_id(_: &Instances) -> &'static str {
    "AAAAAAAAAAAAAAAAAAAAAA"
}

/// What a stranger sees of how it is signed.
fn header(token: &str) -> (Value, usize) {
    let mut parts = token.split('.');
    let header = parts.next().unwrap_or_default();
    let header = BASE64URL_NOPAD.decode(header.as_bytes());
    let header: Value = serde_json::from_slice(&header.expect("base64url")).expect("JSON");
    (header["alg"].clone(), parts.next_back().map_or(0, str::len))
}
