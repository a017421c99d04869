//! Call a protected API from Rust.
//!
//! ```sh
//! cargo run --no-default-features --example sign_request -- \
//!     http://127.0.0.1:8080/orders/1 mobile-2026 state/mobile-2026.key
//! ```
//!
//! It sends a signed GET and prints the answer, which starts with
//! `HTTP/1.1 200 OK` when the gateway of this repository's `gateway.toml` runs.
//! Without arguments it only prints a signed request.

use http::Request;
use portcullis::client::Signer;
use portcullis::crypto::Algorithm;
use portcullis::secret::Secret;
use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, key_id, file] = match arguments.as_slice() {
        [] => return show(),
        [url, key_id, file] => [url, key_id, file],
        _ => return Err("three arguments are needed: URL, key id, the secret's file".into()),
    };
    let request = signed(url, key_id, &secret_in(&std::fs::read(file)?)?)?;
    let authority = request.uri().authority().ok_or("the URL has no host")?;
    let port = authority.port_u16().unwrap_or(80);
    let mut stream = TcpStream::connect((authority.host(), port))?;
    stream.write_all(written(&request).as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    println!("{answer}");
    Ok(())
}

fn show() -> Result<(), Box<dyn Error>> {
    let request = signed(
        "http://api.example.com/orders/1?page=2",
        "mobile-2026",
        &Secret::new(vec![7; 32]),
    )?;
    println!("{}", written(&request));
    Ok(())
}

fn signed(url: &str, key_id: &str, secret: &Secret) -> Result<Request<String>, Box<dyn Error>> {
    let mut request = Request::get(url)
        .header("accept", "application/json")
        .header("connection", "close")
        .body(String::new())?;
    // Covers method, authority, path and query, and the body if there is one.
    Signer::new(key_id, Algorithm::HmacSha256, secret)?.sign(&mut request)?;
    Ok(request)
}

/// The request as HTTP/1.1 writes it. Any HTTP client will do in its place.
fn written(request: &Request<String>) -> String {
    let (uri, method) = (request.uri(), request.method());
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let host = uri.authority().map_or("", |authority| authority.as_str());
    let mut text = format!("{method} {target} HTTP/1.1\r\nhost: {host}\r\n");
    for (name, value) in request.headers() {
        let value = value.to_str().unwrap_or_default();
        text = format!("{text}{name}: {value}\r\n");
    }
    text + "\r\n"
}

/// `base64:…`, as a `generated:` secret is written, or the bytes themselves.
fn secret_in(content: &[u8]) -> Result<Secret, data_encoding::DecodeError> {
    Ok(Secret::new(match content.strip_prefix(b"base64:") {
        Some(text) => data_encoding::BASE64.decode(text.trim_ascii_end())?,
        None => content.to_vec(),
    }))
}
