//! What is sent: the same bytes to both proxies' kind, signed by hand ahead of time.

use data_encoding::{BASE64, HEXLOWER};
use portcullis::clock::Clock;
use portcullis::crypto::{Algorithm, DigestAlgorithm, Hasher, HmacKey};
use portcullis::schemes::token;
use portcullis::secret::Secret;

/// The key's secret, as its file holds it.
pub(super) const SECRET: &[u8] = b"a secret of the benches only, 32+";
const KEY_ID: &str = "bench";
const AUTHORITY: &str = "api.example.com";
/// What clients send besides.
const PLAIN: &str = "User-Agent: bench/1.0\r\nAccept: application/json\r\n";

#[derive(Clone, Copy)]
pub(super) enum Scenario {
    Public,
    Signed,
    SignedBody,
    Token,
}

/// A gateway whose limits are there and never reached.
pub(super) fn config(upstream: &str) -> String {
    format!(
        r#"
[server]
listen = "127.0.0.1:0"
workers = 1

[admin]
listen = "127.0.0.1:0"

[state]
directory = "state"

[upstreams.origin]
servers = ["http://{upstream}"]

[plans.wide]
rate = "1000000/s"
burst = 1000000
concurrency = 10000

[[routes]]
name = "public"
path = "/public/**"
upstream = "origin"
accept = ["public"]

[[routes]]
name = "orders"
path = "/orders/**"
upstream = "origin"
accept = ["http-signature", "token"]
scopes = ["orders"]

[apps.bench]
plan = "wide"
scopes = ["orders"]
keys = [{{ id = "{KEY_ID}", algorithm = "hmac-sha256", secret = "file:bench.key" }}]
"#
    )
}

impl Scenario {
    pub(super) const ALL: [Self; 4] = [Self::Public, Self::Signed, Self::SignedBody, Self::Token];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Public => "unsigned GET, public",
            Self::Signed => "signed GET, nonce",
            Self::SignedBody => "signed POST, 1 KiB",
            Self::Token => "GET with token",
        }
    }

    /// So many requests, each with a proof of its own; a token is shown many times.
    pub(super) fn requests(self, count: usize) -> Vec<Vec<u8>> {
        let caller = Caller::new();
        let token = caller.token();
        (0..count)
            .map(|_| match self {
                Self::Public => get("/public/1?page=2", ""),
                Self::Signed => caller.signed("GET", "/orders/1", "page=2", b""),
                Self::SignedBody => caller.signed("POST", "/orders", "page=2", &[b'x'; 1024]),
                Self::Token => get(
                    "/orders/1?page=2",
                    &format!("Portcullis-Token: {token}\r\n"),
                ),
            })
            .collect()
    }
}

fn get(target: &str, fields: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: {AUTHORITY}\r\n{PLAIN}{fields}\r\n").into_bytes()
}

struct Caller {
    key: HmacKey,
    now: i64,
}

impl Caller {
    fn new() -> Self {
        let secret = Secret::new(SECRET.to_vec());
        Self {
            key: HmacKey::new(Algorithm::HmacSha256, &secret).expect("it is long enough"),
            now: Clock::system().now().unix_seconds(),
        }
    }

    fn token(&self) -> String {
        let claims = token::Claims {
            iat: self.now,
            exp: self.now + 600,
            ..token::Claims::default()
        };
        token::sign(KEY_ID, &Secret::new(SECRET.to_vec()), &claims).expect("it is long enough")
    }

    fn signed(&self, method: &str, path: &str, query: &str, body: &[u8]) -> Vec<u8> {
        let mut nonce = [0; 16];
        portcullis::crypto::random(&mut nonce);
        let mut parts = vec![
            ("@method", method.to_owned()),
            ("@authority", AUTHORITY.to_owned()),
            ("@path", path.to_owned()),
            ("@query", format!("?{query}")),
        ];
        let mut fields = String::from(PLAIN);
        if !body.is_empty() {
            let mut hasher = Hasher::new(DigestAlgorithm::Sha256);
            hasher.update(body);
            let digest = format!("sha-256=:{}:", BASE64.encode(&hasher.finish()));
            fields = format!(
                "{fields}Content-Length: {}\r\nContent-Digest: {digest}\r\n",
                body.len()
            );
            parts.push(("content-digest", digest));
        }
        let covered: Vec<_> = parts
            .iter()
            .map(|(name, _)| format!("\"{name}\""))
            .collect();
        let params = format!(
            r#"({});created={};keyid="{KEY_ID}";nonce="{}""#,
            covered.join(" "),
            self.now,
            HEXLOWER.encode(&nonce)
        );
        parts.push(("@signature-params", params.clone()));
        let lines: Vec<_> = parts
            .iter()
            .map(|(name, value)| format!("\"{name}\": {value}"))
            .collect();
        let tag = self.key.sign(lines.join("\n").as_bytes());
        let signature = BASE64.encode(tag.as_bytes());
        let head = format!(
            "{method} {path}?{query} HTTP/1.1\r\nHost: {AUTHORITY}\r\n{fields}\
             Signature-Input: sig={params}\r\nSignature: sig=:{signature}:\r\n\r\n"
        );
        [head.as_bytes(), body].concat()
    }
}
