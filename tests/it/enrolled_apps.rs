//! The whole way in three languages, as `examples` has it: an app enrols, gets tokens, calls for its user, and renews.

use crate::harness::{DEADLINE, Gateway, Upstream};
use crate::interop::command;
use crate::key_service_instances::{api, code, done, register, setup, sign_with};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{JoinHandle, spawn};

#[path = "../../examples/enrolled_app.rs"]
#[expect(dead_code, reason = "its `main` is for the shell")]
mod enrolled_app;

/// In which language.
#[derive(Clone, Copy, Debug)]
enum Language {
    Rust,
    Python,
    JavaScript,
}

/// An app that runs: it calls each path that it is given.
struct App {
    paths: Option<Box<dyn Write>>,
    lines: Receiver<String>,
    runs: Runs,
}

enum Runs {
    Child(Child),
    Thread(Option<JoinHandle<Result<(), String>>>),
}

impl Language {
    fn start(self, gateway: &Gateway, more: &[&str]) -> App {
        self.start_at(gateway.address(), gateway, more)
    }

    /// As [`Language::start`], where it reaches the gateway at another address.
    fn start_at(self, address: SocketAddr, gateway: &Gateway, more: &[&str]) -> App {
        let folder = gateway.setup().folder();
        let file = |name: &str| folder.join(name).display().to_string();
        let url = format!("http://{address}");
        let (user, state) = (file("user"), file("instance"));
        let all = [
            "--gateway",
            &url,
            "--app",
            "phone",
            "--build",
            "1.4.2",
            "--authorization-file",
            &user,
            "--state",
            &state,
        ];
        let all = all.iter().chain(more).map(ToString::to_string);
        let file = match self {
            Self::Rust => return App::here(all.collect()),
            Self::Python => "python/enrolled_app.py",
            Self::JavaScript => "node/enrolled-app.mjs",
        };
        let mut child = command(file)
            .args(all)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("Python and Node are needed");
        App {
            paths: child.stdin.take().map(|paths| Box::new(paths) as _),
            lines: lines_of(child.stdout.take().unwrap()),
            runs: Runs::Child(child),
        }
    }
}

impl App {
    /// In this process.
    fn here(args: Vec<String>) -> Self {
        let (paths, input) = { std::io::pipe().map(|(input, paths)| (paths, input)) }.unwrap();
        let (output, mut out) = std::io::pipe().unwrap();
        let runs = spawn(move || {
            let ran = enrolled_app::run(args.into_iter(), BufReader::new(input), &mut out);
            ran.map_err(|why| why.to_string())
        });
        Self {
            paths: Some(Box::new(paths)),
            lines: lines_of(output),
            runs: Runs::Thread(Some(runs)),
        }
    }

    /// Has it call a path, and gives back the status.
    fn call(&mut self, path: &str) -> Value {
        let paths = self.paths.as_mut().unwrap();
        writeln!(paths, "{path}").unwrap();
        paths.flush().unwrap();
        match self.lines.recv_timeout(DEADLINE) {
            Ok(line) => serde_json::from_str::<Value>(&line).unwrap()["status"].clone(),
            Err(why) => panic!("{why}: {}", self.failure().unwrap_or_default()),
        }
    }

    /// Ends it; what it says where it fails.
    fn failure(&mut self) -> Option<String> {
        self.paths = None;
        match &mut self.runs {
            Runs::Child(child) => {
                let mut told = String::new();
                let mut stderr = child.stderr.take().unwrap();
                stderr.read_to_string(&mut told).unwrap();
                let failed = !child.wait().unwrap().success();
                failed.then_some(told)
            }
            Runs::Thread(thread) => thread.take().unwrap().join().unwrap().err(),
        }
    }

    fn ends_well(mut self) {
        let failure = self.failure();
        assert_eq!(failure, None);
    }
}

fn lines_of(out: impl Read + Send + 'static) -> Receiver<String> {
    let (told, lines) = channel();
    spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            let _ = told.send(line);
        }
    });
    lines
}

/// A gateway for them, with the app `phone`.
fn start(upstream: &Upstream, tokens: &str) -> Gateway {
    let route =
        "accept = [\"token\"]\nbind = \"dpop\"\nassurance = \"attested\"\nscopes = [\"orders\"]";
    let gateway = Gateway::start_now(setup(upstream).tokens(tokens).route(route));
    register(&gateway, "5m");
    gateway.setup().write("user", b"Bearer of-ada\n");
    gateway
}

fn lives(gateway: &Gateway, lifetime: &str) {
    let tokens = json!({ "evidence": ["instance-key"], "builds": ["1.4.2"], "lifetime": lifetime });
    let changed = json!({ "tokens": tokens });
    done(&api(gateway, "PATCH", "/v1/apps/phone", &changed));
}

fn minted(gateway: &Gateway) -> u64 {
    let metrics = gateway.ask_admin("/metrics").text();
    let line = "portcullis_token_requests_total{outcome=\"minted\",reason=\"ok\"} ";
    let found = metrics.lines().find_map(|found| found.strip_prefix(line));
    found.map_or(0, |number| number.parse().unwrap())
}

fn goes_the_whole_way(language: Language) {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "");
    let folder = gateway.setup();

    // Without a code nothing comes of the first run.
    let told = language.start(&gateway, &[]).failure().unwrap();
    assert!(told.contains("--code-file"), "{told}");
    folder.write("code", b"pcs_e_of-somebody-else\n");
    let code_file = folder.path("code").display().to_string();
    let first = ["--code-file", &code_file];
    let told = language.start(&gateway, &first).failure().unwrap();
    assert!(told.contains("400"), "{told}");

    let code = code(&gateway, &json!({}));
    folder.write("code", format!("{code}\n").as_bytes());
    let mut app = language.start(&gateway, &first);
    assert_eq!(app.call("/orders/1?page=2"), 200);
    let got = upstream.got(0);
    for (name, value) in [
        ("authorization", "Bearer of-ada"),
        ("portcullis-app", "phone"),
        ("portcullis-assurance", "attested"),
    ] {
        assert_eq!(got.field(name), Some(value), "{language:?}");
    }
    // The token is kept.
    assert_eq!(app.call("/orders/2"), 200);
    assert_eq!(minted(&gateway), 1, "{language:?}");
    // It gets another when its tokens are refused of a sudden, as here where their key is another.
    let revoke = "/v1/keys/phone-tokens/revoke";
    done(&api(&gateway, "POST", revoke, &Value::Null));
    sign_with(&gateway, "phone-tokens-2");
    assert_eq!(app.call("/orders/3"), 200, "{language:?}");
    app.ends_well();

    // From the second run on it is known by its key. It renews in time: all calls pass, with one token after another.
    lives(&gateway, "3s");
    let mut app = language.start(&gateway, &[]);
    while minted(&gateway) < 5 {
        if app.call("/orders/4") != 200 {
            // On a machine that stood still for longer than a token lives.
            let log = gateway.log();
            log.wait_for("the reason", |log| log.contains("credential-expired"));
        }
    }
    app.ends_well();

    lives(&gateway, "5m");
    let mut app = language.start(&gateway, &[]);
    assert_eq!(app.call("/orders/5"), 200, "{language:?}");
    let all = done(&api(
        &gateway,
        "GET",
        "/v1/instances?app=phone",
        &Value::Null,
    ));
    let all = all["items"].as_array().unwrap();
    assert_eq!(all.len(), 1);
    let revoke = format!("/v1/instances/{}/revoke", all[0]["id"].as_str().unwrap());
    done(&api(&gateway, "POST", &revoke, &Value::Null));
    assert_eq!(app.call("/orders/6"), 401, "{language:?}");
    app.ends_well();
}

/// Hands one request on to the gateway, and keeps the answer for itself.
fn losing_the_answer(gateway: &Gateway) -> (SocketAddr, JoinHandle<()>) {
    let (to, listener) = (gateway.address(), TcpListener::bind("127.0.0.1:0").unwrap());
    let address = listener.local_addr().unwrap();
    let lost = spawn(move || {
        let (client, _) = listener.accept().unwrap();
        let mut gateway = TcpStream::connect(to).unwrap();
        let mut back = gateway.try_clone().unwrap();
        let (answered, mut request) = (
            spawn(move || back.read(&mut [0; 1024])),
            client.try_clone().unwrap(),
        );
        spawn(move || std::io::copy(&mut request, &mut gateway));
        assert!(answered.join().unwrap().unwrap() > 0);
        let _ = client.shutdown(Shutdown::Both);
    });
    (address, lost)
}

#[test]
fn each_of_them_is_one_instance_also_where_the_answer_to_its_first_question_is_lost() {
    for language in [Language::Rust, Language::Python, Language::JavaScript] {
        let upstream = Upstream::start();
        let gateway = start(&upstream, "");
        let code = code(&gateway, &json!({}));
        let code_file = gateway.setup().write("code", code.as_bytes());
        let code_file = code_file.display().to_string();
        let first = ["--code-file", &*code_file];
        let (address, lost) = losing_the_answer(&gateway);
        let failure = language.start_at(address, &gateway, &first).failure();
        assert!(failure.is_some(), "{language:?}");
        lost.join().unwrap();
        // By the same code, which is used up, and the same key.
        let mut app = language.start(&gateway, &first);
        assert_eq!(app.call("/orders/1"), 200, "{language:?}");
        app.ends_well();
        let all = done(&api(
            &gateway,
            "GET",
            "/v1/instances?app=phone",
            &Value::Null,
        ));
        assert_eq!(all["items"].as_array().unwrap().len(), 1, "{language:?}");
    }
}

#[test]
fn each_of_them_answers_the_challenge_for_a_nonce() {
    for language in [Language::Rust, Language::Python, Language::JavaScript] {
        let upstream = Upstream::start();
        let gateway = start(&upstream, "dpop_nonce = true");
        let code = code(&gateway, &json!({}));
        let code_file = gateway.setup().write("code", code.as_bytes());
        let code_file = code_file.display().to_string();
        let mut app = language.start(&gateway, &["--code-file", &code_file]);
        for path in ["/orders/1", "/orders/2"] {
            assert_eq!(app.call(path), 200, "{language:?}");
        }
        app.ends_well();
        assert_eq!(minted(&gateway), 1, "{language:?}");
        // Asked once, and known from then on.
        let log = gateway.log();
        log.wait_for_count("\"path\":\"/orders/", 3);
        let log = log.text();
        assert_eq!(log.matches("\"status\":401").count(), 1, "{language:?}");
    }
}

#[test]
fn an_app_that_speaks_no_tls_sends_its_code_to_no_gateway_that_does() {
    let gateway = Upstream::start();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let state = folder.path().join("instance");
    let (user, code) = (
        file("user", "Bearer of-ada\n"),
        file("code", "pcs_e_code\n"),
    );
    let args = [
        ("--gateway", format!("https://{}", gateway.address())),
        ("--app", "phone".into()),
        ("--build", "1.4.2".into()),
        ("--authorization-file", user),
        ("--state", state.display().to_string()),
        ("--code-file", code),
    ];
    let args = args.map(|(option, value)| [option.to_owned(), value]);
    let ran = enrolled_app::run(args.into_iter().flatten(), &b""[..], &mut Vec::<u8>::new());
    let refused = ran.unwrap_err().to_string();
    assert!(refused.contains("`http://…`"), "{refused}");
    assert_eq!(gateway.connections(), 0);
    assert!(!state.exists());
}

#[test]
fn an_app_in_rust_goes_the_whole_way() {
    goes_the_whole_way(Language::Rust);
}

#[test]
fn an_app_in_python_goes_the_whole_way() {
    goes_the_whole_way(Language::Python);
}

#[test]
fn an_app_in_javascript_goes_the_whole_way() {
    goes_the_whole_way(Language::JavaScript);
}
