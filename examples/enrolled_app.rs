//! An app without a key of the gateway's: it enrols once, gets tokens by a key of its own, and calls for its user.
//!
//!     echo /orders/1 | cargo run --no-default-features --example enrolled_app -- --gateway http://127.0.0.1:8080 \
//!         --app phone --build 1.4.2 --authorization-file user.txt --state instance --code-file code
//!
//! It calls each path that it reads, and one sees a line of JSON for it. The code is needed for the first run alone:
//! from then on the instance is known by the key in `--state`, a folder.

use http::{HeaderMap, Method, Request, Uri};
use portcullis::client::DpopKey;
use portcullis::client::token::{self, Answer, InstanceKey, Tokens, Transport, instance_key};
use portcullis::crypto::{Algorithm, generate};
use portcullis::secret::Secret;
use std::collections::HashMap;
use std::error::Error;
use std::fs::{self, OpenOptions};
use std::io::{BufRead, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);
const MAX_ANSWER: u64 = 1024 * 1024;

fn main() -> Result<(), Box<dyn Error>> {
    let args = std::env::args().skip(1);
    run(args, std::io::stdin().lock(), &mut std::io::stdout().lock())
}

/// Calls each path of `paths`, and writes a line for it.
pub(crate) fn run(
    args: impl Iterator<Item = String>,
    paths: impl BufRead,
    out: &mut impl Write,
) -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = args.collect();
    let pairs = args.chunks_exact(2);
    let options: HashMap<&str, &str> = pairs.map(|pair| (&*pair[0], &*pair[1])).collect();
    let option = |name: &str| -> Result<&str, Box<dyn Error>> {
        let value = options.get(name).copied();
        value.ok_or_else(|| format!("`{name}` is missing").into())
    };
    let (app, build) = (option("--app")?, option("--build")?);
    let http = PlainHttp::to(option("--gateway")?)?;
    let authorization = fs::read_to_string(option("--authorization-file")?)?;
    let authorization = authorization.trim();

    let state = Path::new(option("--state")?);
    if !state.join("id").exists() {
        let code = fs::read_to_string(option("--code-file")?)?;
        enrol(&http, app, code.trim(), build, state)?;
    }
    let id = fs::read_to_string(state.join("id"))?;
    let pem = Secret::new(fs::read(state.join("key.pem"))?);
    let dpop = DpopKey::new(Algorithm::Ed25519, &pem)?;
    let evidence = InstanceKey::of(&id, build, instance_key(&pem)?);
    // One for the whole program: it keeps the token, and gets another before it ends.
    let tokens = Tokens::new(app, http.clone(), evidence)
        .pay(authorization)
        .bound_to(&dpop.thumbprint());

    let mut nonce = None;
    for path in paths.lines() {
        let url = format!("{}{}", http.0, path?.trim());
        let status = call(&url, &tokens, &dpop, authorization, &mut nonce)?;
        writeln!(out, "{{\"status\": {status}}}")?;
        out.flush()?;
    }
    Ok(())
}

/// Makes a key, and has the gateway know this instance by it. The key is kept before anybody is asked: by the same code it
/// is the same instance, should the answer be lost.
fn enrol(
    http: &PlainHttp,
    app: &str,
    code: &str,
    build: &str,
    state: &Path,
) -> Result<(), Box<dyn Error>> {
    let key = state.join("key.pem");
    if !key.exists() {
        let pem = generate(Algorithm::Ed25519).ok_or("no key can be made")?;
        fs::create_dir_all(state)?;
        keep(&key, pem.expose())?;
    }
    let pem = Secret::new(fs::read(&key)?);
    let id = token::enrol(http, app, code, &instance_key(&pem)?, build)?;
    keep(&state.join("id"), id.as_bytes())?;
    Ok(())
}

/// Writes a file whole or not at all.
fn keep(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let new = path.with_extension("new");
    let mut file = OpenOptions::new();
    let mut file = { file.write(true).create(true).truncate(true).mode(0o600) }.open(&new)?;
    file.write_all(bytes)?;
    fs::rename(new, path)
}

/// Calls with a token, its user's `Authorization`, and a proof of the key. `nonce` is what the gateway wants in proofs,
/// where `[tokens] dpop_nonce` says so: it comes with its answers.
fn call(
    url: &str,
    tokens: &Tokens,
    dpop: &DpopKey,
    authorization: &str,
    nonce: &mut Option<String>,
) -> Result<u16, Box<dyn Error>> {
    let (mut was_refused, mut was_asked) = (false, false);
    loop {
        let token = tokens.token()?;
        let mut request = Request::get(url)
            .header("authorization", authorization)
            .header("portcullis-token", token.field()?)
            .body(())?;
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let fields = request.headers_mut();
        dpop.prove(&method, &uri, token.text(), nonce.as_deref(), fields);
        let (answer, told) = send(&method, &uri, fields, b"")?;
        let is_new = told.is_some() && told != *nonce;
        *nonce = told.or(nonce.take());
        match answer.status {
            401 if is_new && !was_asked => was_asked = true,
            // Over, or never good: once more with another. If that fails too, something is wrong with the app or the instance.
            401 if !was_refused => {
                was_refused = true;
                tokens.refused(&token);
            }
            status => return Ok(status),
        }
    }
}

/// A program sends by the HTTP client that it has; this one speaks plain HTTP to a gateway on the same machine.
#[derive(Clone)]
struct PlainHttp(String);

impl PlainHttp {
    fn to(gateway: &str) -> Result<Self, Box<dyn Error>> {
        if gateway.parse::<Uri>()?.scheme_str() != Some("http") {
            // What is meant for TLS must not go in clear text.
            return Err(format!("`{gateway}` is not `http://…`: this app speaks no TLS").into());
        }
        Ok(Self(gateway.trim_end_matches('/').to_owned()))
    }
}

impl Transport for PlainHttp {
    fn post(&self, path: &str, body: &[u8]) -> Result<Answer, String> {
        let ask = || -> Result<Answer, Box<dyn Error>> {
            let uri = format!("{}/.portcullis/{path}", self.0).parse()?;
            let mut fields = HeaderMap::new();
            fields.insert("content-type", "application/json".parse()?);
            Ok(send(&Method::POST, &uri, &fields, body)?.0)
        };
        ask().map_err(|why| why.to_string())
    }
}

/// The answer, and the nonce that it tells.
fn send(
    method: &Method,
    uri: &Uri,
    fields: &HeaderMap,
    body: &[u8],
) -> Result<(Answer, Option<String>), Box<dyn Error>> {
    let authority = uri.authority().ok_or("the URL has no host")?;
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let mut message = format!(
        "{method} {target} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\ncontent-length: {}\r\n",
        body.len()
    )
    .into_bytes();
    for (name, value) in fields {
        message.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    message.extend([b"\r\n", body].concat());
    let address = (authority.host(), authority.port_u16().unwrap_or(80));
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(&message)?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut answer)?;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let (head, body) = answer.split_at(end.ok_or("no answer")? + 4);
    let head = String::from_utf8_lossy(head);
    let named = head.lines().filter_map(|line| line.split_once(": "));
    let mut nonces = named.filter(|(name, _)| name.eq_ignore_ascii_case("dpop-nonce"));
    let nonce = nonces.next().map(|(_, nonce)| nonce.to_owned());
    let answer = Answer {
        status: head.split(' ').nth(1).unwrap_or_default().parse()?,
        body: body.to_vec(),
        retry_after: None,
    };
    Ok((answer, nonce))
}
