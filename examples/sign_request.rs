//! Sign a request from Rust, so that a gateway lets it pass (RFC 9421).
//!
//!     cargo run --example sign_request
//!     cargo run --example sign_request -- http://127.0.0.1:8080/orders KEY_ID KEY_FILE
//!
//! The first prints a signed request and the text that was signed: method,
//! host, path, query, body and time, each on a line. The second sends it, over
//! plain HTTP, with a key of the gateway's; one sees the answer. `portcullis demo`
//! tells a URL, a key and a file to try it with.

use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use http::Request;
use http::header::HOST;
use portcullis::client::Signer;
use portcullis::crypto::Algorithm;
use portcullis::secret::Secret;
use std::error::Error;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const BODY: &str = r#"{"item": 7}"#;
const PATIENCE: Duration = Duration::from_secs(10);
const MAX_ANSWER: u64 = 1024 * 1024;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    run(&args, &mut std::io::stdout().lock())
}

/// Shows a request that is signed, or sends one and shows the answer.
pub(crate) fn run(args: &[String], out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    match args {
        [] => {
            let secret = Secret::new(b"an example's secret of 32 bytes.".to_vec());
            let (text, base) = signed("http://127.0.0.1:8080/orders?dry=1", "example", &secret)?;
            writeln!(out, "{text}\n\nThe text that was signed:\n\n{base}")?;
            Ok(())
        }
        [url, key_id, file] => {
            let (text, _) = signed(url, key_id, &read_secret(file)?)?;
            writeln!(out, "{}", send(url, &text)?)?;
            Ok(())
        }
        _ => Err("accepted are no arguments, or URL KEY_ID KEY_FILE".into()),
    }
}

/// The whole request as it goes over the wire, and its signature base.
fn signed(url: &str, key_id: &str, secret: &Secret) -> Result<(String, String), Box<dyn Error>> {
    let mut request = Request::post(url)
        .header("Content-Type", "application/json")
        .body(BODY)?;
    let signer = Signer::new(key_id, Algorithm::HmacSha256, secret)?;
    let proof = signer.sign(&mut request)?;

    let uri = request.uri();
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let host = uri.authority().ok_or("the URL has no host")?;
    let mut text = format!("POST {target} HTTP/1.1\r\n{HOST}: {host}\r\n");
    for (name, value) in request.headers() {
        write!(text, "{name}: {}\r\n", value.to_str()?)?;
    }
    write!(
        text,
        "content-length: {}\r\nconnection: close\r\n\r\n{BODY}",
        BODY.len()
    )?;
    Ok((text, proof.base))
}

/// Sends `text` to the host of `url`.
fn send(url: &str, text: &str) -> Result<String, Box<dyn Error>> {
    let uri: http::Uri = url.parse()?;
    if uri.scheme_str() != Some("http") {
        // What is meant for TLS must not go in clear text.
        return Err(format!("`{url}` is not `http://…`: this example speaks no TLS").into());
    }
    let host = uri.host().ok_or("the URL has no host")?;
    let mut stream = TcpStream::connect((host, uri.port_u16().unwrap_or(80)))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(text.as_bytes())?;
    let mut answer = String::new();
    stream.take(MAX_ANSWER).read_to_string(&mut answer)?;
    Ok(answer)
}

/// Reads a secret as the gateway does: `base64:…`, `hex:…`, or the bytes themselves, all of them. What ends the line of
/// one that the gateway has made, `pcs_…`, is none of it.
fn read_secret(file: &str) -> Result<Secret, Box<dyn Error>> {
    let bytes = std::fs::read(file)?;
    let text = bytes.trim_ascii_end();
    let secret = if let Some(base64) = text.strip_prefix(b"base64:") {
        BASE64.decode(base64)?
    } else if let Some(hex) = text.strip_prefix(b"hex:") {
        HEXLOWER_PERMISSIVE.decode(hex)?
    } else if let (true, Some(line)) = (bytes.starts_with(b"pcs_"), bytes.strip_suffix(b"\n")) {
        line.strip_suffix(b"\r").unwrap_or(line).to_vec()
    } else {
        bytes
    };
    Ok(Secret::new(secret))
}
