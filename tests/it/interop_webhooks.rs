//! Senders of webhooks in other languages, as they stand in `examples/clients`: the libraries of Standard Webhooks,
//! of Stripe, of GitHub and of Slack, unchanged; and `v1a`, which none of these has, by the vectors of two that do.

use crate::harness::{Binary, Gateway, Request, Setup, Upstream};
use crate::interop::{request, run};
use portcullis::client::WebhookSigner;
use portcullis::clock::Clock;
use portcullis::crypto::Algorithm;
use portcullis::route::Sender;
use portcullis::secret::Secret;
use serde_json::Value;

/// A sender: its file, its name on the route, its secret as the sender shows it, and the field that holds its proof.
#[derive(Clone, Copy, Debug)]
struct Client {
    file: &'static str,
    sender: &'static str,
    secret: &'static str,
    field: &'static str,
    /// The field that tells the time that is signed, where one does alone.
    time: Option<&'static str>,
}

const ALL: [Client; 4] = [
    Client {
        file: "python/standardwebhooks_sender.py",
        sender: "standard-webhooks",
        secret: "whsec_Y2FuYXJ5LXNlY3JldC1vZi0yNC1ieXRl",
        field: "webhook-signature",
        time: Some("webhook-timestamp"),
    },
    Client {
        file: "python/slack_sender.py",
        sender: "slack",
        secret: "8f742231b10e8888abcd99yyyzzz85a5",
        field: "X-Slack-Signature",
        time: Some("X-Slack-Request-Timestamp"),
    },
    Client {
        file: "node/octokit-sender.mjs",
        sender: "github",
        secret: "It's a Secret to Everybody, of GitHub's",
        field: "X-Hub-Signature-256",
        time: None,
    },
    Client {
        file: "node/stripe-sender.mjs",
        sender: "stripe",
        secret: "whsec_of_stripe_which_is_all_of_the_secret",
        field: "Stripe-Signature",
        time: None,
    },
];

const BODY: &str = r#"{"type": "order.paid", "id": 7, "naïve": "—"}"#;

impl Client {
    fn start(self) -> (Upstream, Gateway) {
        let upstream = Upstream::start();
        let gateway = Gateway::start_now(self.setup(&upstream));
        (upstream, gateway)
    }

    fn setup(self, upstream: &Upstream) -> Setup {
        let sender = self.sender;
        let setup = Setup::before(upstream)
            .route(&format!(
                "accept = [\"webhook\"]\nwebhook = {{ sender = \"{sender}\", app = \"hooks\" }}"
            ))
            .more(
                "[apps.hooks]\nscopes = [\"events\"]\nkeys = [{ id = \"hooks-2026\", algorithm = \"hmac-sha256\", \
                 secret = \"file:hooks.secret\", weak_secret = true, schemes = [\"webhook\"] }]",
            );
        setup.write_secret("hooks.secret", self.secret.as_bytes());
        setup
    }

    /// Runs it; its last line is JSON.
    fn run(self, gateway: &Gateway, secret: &str, more: &[&str]) -> Value {
        let more = [&["--body", BODY], more].concat();
        run(self.file, gateway, "/hooks", ("hooks-2026", secret), &more)
    }

    /// What it signs, to be sent by the test, changed or not.
    fn sign(self, gateway: &Gateway) -> Request {
        self.sign_by(gateway, "hooks.secret")
    }

    fn sign_by(self, gateway: &Gateway, secret: &str) -> Request {
        let printed = self.run(gateway, secret, &["--print"]);
        request(gateway, "/hooks", &printed)
    }

    /// Another secret of the same form.
    fn another_secret(self) -> Vec<u8> {
        let mut secret = self.secret.as_bytes().to_vec();
        let last = secret.len() - 2;
        secret.swap(last - 1, last);
        assert_ne!(secret, self.secret.as_bytes());
        secret
    }
}

#[test]
fn what_each_sender_signs_passes_once_as_it_comes() {
    for client in ALL {
        let (upstream, gateway) = client.start();
        let answer = client.run(&gateway, "hooks.secret", &[]);
        assert_eq!(answer["status"], 200, "{client:?}: {answer}");
        let got = upstream.only();
        assert_eq!(got.body, BODY.as_bytes());
        assert_eq!(got.field("portcullis-key"), Some("hooks-2026"));
        assert_eq!(got.field("portcullis-scheme"), Some("webhook"));
    }
}

#[test]
fn each_change_of_what_a_sender_signs_is_refused() {
    for client in ALL {
        let (upstream, gateway) = client.start();
        let signed = client.sign(&gateway);
        let refused = |request: &Request, code: &str| {
            gateway.send(request).assert_refused(401, code);
        };
        let again = || signed.clone();
        refused(&again().body(BODY.replace('7', "8")), "credential-rejected");
        refused(&again().body(""), "credential-rejected");
        let put = Request {
            method: "PUT".into(),
            ..again()
        };
        refused(&put, "coverage-missing");
        let more = Request {
            target: "/hooks?more=1".into(),
            ..again()
        };
        refused(&more, "coverage-missing");
        refused(
            &again().field("Authorization", "Bearer x"),
            "coverage-missing",
        );
        refused(&again().without(client.field), "credential-missing");
        if let Some(time) = client.time {
            let earlier = |value: &str| (value.parse::<i64>().unwrap() - 1).to_string();
            refused(&again().change(time, earlier), "credential-rejected");
        }
        gateway
            .setup()
            .write_secret("another.secret", &client.another_secret());
        let another = client.sign_by(&gateway, "another.secret");
        refused(&another, "credential-rejected");
        assert!(upstream.heard().is_empty());
        gateway.send(&signed).assert_passed();
        refused(&signed, "replayed");
    }
}

#[test]
fn what_a_sender_signs_passes_at_its_time_only_where_it_signs_one() {
    for client in ALL {
        for unix in [Binary::now() - 3600, Binary::now() + 3600] {
            let upstream = Upstream::start();
            let gateway = Gateway::start_at(client.setup(&upstream), unix);
            let response = gateway.send(&client.sign(&gateway));
            if client.sender == "github" {
                response.assert_passed();
            } else {
                response.assert_refused(401, "clock-skew");
                upstream.assert_silent();
            }
        }
    }
}

#[test]
fn what_other_implementations_sign_by_ed25519_gets_the_recorded_verdict() {
    let file = include_str!("vectors/webhooks/standard-webhooks-v1a.json");
    let file: Value = serde_json::from_str(file).unwrap();
    let mut passed = 0;
    for case in file["cases"].as_array().unwrap() {
        let text = |name: &str| case[name].as_str().unwrap();
        let at = case["timestamp"].as_i64().unwrap();
        let upstream = Upstream::start();
        let setup = Setup::before(&upstream)
            .route("accept = [\"webhook\"]\nwebhook = { sender = \"standard-webhooks\", app = \"hooks\" }")
            .more(
                "[apps.hooks]\nscopes = [\"events\"]\nkeys = [{ id = \"hooks-2026\", algorithm = \"ed25519\", \
                 public_key = \"file:hooks.public\", schemes = [\"webhook\"] }]",
            );
        setup.write_secret("hooks.public", text("public_key").as_bytes());
        let gateway = Gateway::start_at(setup, at);
        let webhook = gateway.request("POST", "/hooks").body(text("payload"));
        let webhook = webhook
            .field("webhook-id", text("msg_id"))
            .field("webhook-timestamp", &at.to_string())
            .field("webhook-signature", text("signature"));
        let response = gateway.send(&webhook);
        let is_let_in = response.status == 200;
        assert_eq!(
            is_let_in,
            text("expect") == "valid",
            "{case}: {}",
            response.text()
        );
        passed += usize::from(is_let_in);
        // And what we sign with their key is what they signed: there is one signature only.
        if is_let_in {
            let secret = Secret::new(text("private_key").as_bytes().to_vec());
            let sender = Sender::StandardWebhooks;
            let webhooks = WebhookSigner::new(sender, Algorithm::Ed25519, &secret).unwrap();
            let webhooks = webhooks.clock(Clock::by_hand(at.unsigned_abs()).0);
            let made = webhooks
                .sign(text("msg_id"), text("payload").as_bytes())
                .unwrap();
            let ours = made.fields.last().unwrap().1.to_str().unwrap().to_owned();
            assert!(
                text("signature").split(' ').any(|one| one == ours),
                "{ours}"
            );
        }
    }
    assert_eq!(passed, 3);
}
