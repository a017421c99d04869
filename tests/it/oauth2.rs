//! The route before an authorization server, with a real one behind it: `examples/oauth2`.

use crate::admin_api::with_tokens;
use crate::harness::{Gateway, Setup};
use crate::interop::installed;
use crate::key_service_instances::{api, done};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

const CLIENT_SECRET: &str = "canary client+secret/of=the&shop";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn python(file: &str) -> Command {
    let mut command = Command::new(installed(root().join("target/clients/venv/bin/python3")));
    command.arg(root().join("examples/oauth2").join(file));
    command
}

/// The authorization server, and what it says that it has seen.
struct Server {
    child: Child,
    port: String,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Server {
    fn start(folder: &Path) -> Self {
        let secret = folder.join("the-servers-own.secret");
        std::fs::write(&secret, CLIENT_SECRET).unwrap();
        let mut child = python("server.py")
            .args(["--port", "0", "--client-secret-file"])
            .arg(secret)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (told, lines) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                let _ = told.send(line);
            }
        });
        let first = lines.recv_timeout(crate::harness::DEADLINE).unwrap();
        Self {
            port: first.strip_prefix("listening on ").unwrap().to_owned(),
            child,
            lines,
            seen: Vec::new(),
        }
    }

    /// What it has seen up to its next answer to `GET /mark`, which is asked for straight away.
    fn seen(&mut self) -> &[String] {
        let mark = crate::harness::Request::new("GET", "/mark");
        let address = format!("127.0.0.1:{}", self.port).parse().unwrap();
        mark.to(address).send_to(address);
        loop {
            let line = self.lines.recv_timeout(crate::harness::DEADLINE).unwrap();
            if line.starts_with("GET /mark") {
                return &self.seen;
            }
            self.seen.push(line);
        }
    }

    fn tokens_asked_for(&mut self) -> Vec<String> {
        let seen = self.seen().iter();
        seen.filter(|line| line.contains("/oauth2/token"))
            .cloned()
            .collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The example's own routes, before `server`, and its app; `inject` in place of its own if it is given.
fn start(server: &Server, inject: Option<&str>) -> Gateway {
    let text = std::fs::read_to_string(root().join("examples/oauth2/gateway.toml")).unwrap();
    let routes = &text[text.find("[[routes]]").unwrap()..];
    let mut routes = routes.replace("upstream = \"login\"", "upstream = \"backend\"");
    let own = "inject.basic = { user = \"shop-app\", password = \"file:client.secret\" }";
    assert!(routes.contains(own), "{routes}");
    if let Some(inject) = inject {
        routes = routes.replace(own, inject);
    }
    let setup = Setup::with_servers(&format!("\"http://127.0.0.1:{}\"", server.port));
    let setup = with_tokens(setup).routes(&routes);
    setup.write_secret("client.secret", format!("{CLIENT_SECRET}\n").as_bytes());
    let gateway = Gateway::start_now(setup);
    // What the page of the example has its reader type.
    let tokens = json!({ "evidence": ["instance-key"], "builds": ["1.0"] });
    let app = json!({ "name": "shop", "tokens": tokens });
    done(&api(&gateway, "POST", "/v1/apps", &app));
    let key =
        json!({ "app": "shop", "id": "shop-attested", "schemes": ["token"], "attests": true });
    done(&api(&gateway, "POST", "/v1/keys", &key));
    let code = done(&api(
        &gateway,
        "POST",
        "/v1/enrolments",
        &json!({ "app": "shop" }),
    ));
    let code = code["code"].as_str().unwrap().to_owned();
    gateway.setup().write("code", code.as_bytes());
    gateway
}

fn run(mut command: Command, gateway: &Gateway) -> Value {
    command.args(["--gateway", &format!("http://{}", gateway.address())]);
    let ran = command.output().unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr),
    );
    assert!(ran.status.success(), "{out}{err}");
    serde_json::from_str(out.trim()).unwrap_or_else(|why| panic!("{why}: {out}{err}"))
}

fn app(gateway: &Gateway) -> Value {
    let mut command = python("app.py");
    command.current_dir(gateway.setup().folder());
    command.args(["--state", "shop.jwk", "--code-file", "code"]);
    run(command, gateway)
}

#[test]
fn a_genuine_app_without_a_secret_logs_in_and_refreshes() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path());
    for (number, inject) in [
        None,
        Some("inject.form = { client_secret = \"file:client.secret\" }"),
    ]
    .into_iter()
    .enumerate()
    {
        let gateway = start(&server, inject);
        let got = app(&gateway);
        assert_eq!(got["code"]["token_type"], "Bearer");
        assert_eq!(got["refreshed"], true);
        let asked = server.tokens_asked_for();
        assert_eq!(asked.len(), 2 * (number + 1), "{asked:?}");
        for line in asked {
            assert_eq!(line, "POST /oauth2/token 200 app=shop shown=-");
        }
    }
}

#[test]
fn a_bot_with_all_that_the_app_has_fails_before_the_server_sees_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path());
    let gateway = start(&server, None);
    let stolen = app(&gateway);
    let loot = |name: &str| stolen[name].as_str().unwrap().to_owned();
    let before = server.tokens_asked_for();
    let mut command = python("bot.py");
    command.args(["--refresh-token", &loot("refresh_token")]);
    command.args(["--attested-token", &loot("attested_token")]);
    let answers = run(command, &gateway);
    let answers = answers.as_array().unwrap();
    assert_eq!(answers.len(), 15);
    for answer in answers {
        assert_eq!(answer["status"], 401, "{answer}");
        let code = match answer["token"].as_str().unwrap() {
            "none" => "credential-missing",
            // It is a good one, and the bot has not the key that it is bound to.
            "stolen" => "binding-mismatch",
            _ => "credential-rejected",
        };
        assert_eq!(answer["code"], code, "{answer}");
    }
    assert_eq!(server.tokens_asked_for(), before, "the server saw the bot");
    // Genuine apps are served as ever.
    assert_eq!(app(&gateway)["refreshed"], true);
}
