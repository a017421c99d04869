//! Protect one upstream, from within a program of one's own.
//!
//! ```sh
//! cargo run --example minimal_gateway                         # before the built-in backend
//! cargo run --example minimal_gateway -- http://127.0.0.1:9000
//! ```
//!
//! It starts a gateway, sends an unsigned and a signed request through it, and ends:
//!
//! ```text
//! listening on 127.0.0.1:40123
//! unsigned: HTTP/1.1 401 Unauthorized
//! signed:   HTTP/1.1 200 OK
//! ```

use http::Request;
use portcullis::cli::serve::{StartOptions, start};
use portcullis::client::Signer;
use portcullis::config::Config;
use portcullis::crypto::Algorithm;
use portcullis::secret::Secret;
use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};

const SECRET: &str = "an example's secret, not for use";

fn main() -> Result<(), Box<dyn Error>> {
    let upstream = std::env::args().nth(1).unwrap_or("echo:".to_owned());
    let folder = tempfile::tempdir()?;
    let text = format!(
        r#"
        [server]
        listen = "127.0.0.1:0"
        workers = 1

        [admin]
        listen = "off"

        [upstreams.backend]
        servers = ["{upstream}"]

        [[routes]]
        name = "all"
        path = "/**"
        upstream = "backend"
        accept = ["http-signature"]

        [apps.example]
        keys = [{{ id = "example", algorithm = "hmac-sha256", secret = "env:EXAMPLE_KEY" }}]
        "#
    );
    let environment = |name: &str| (name == "EXAMPLE_KEY").then(|| SECRET.to_owned());
    let loaded = Config::from_text(&text, "the example", folder.path(), &environment)
        .map_err(|problems| problems.to_string())?;
    let running = start(
        loaded,
        StartOptions::default().access_log(Box::new(std::io::sink())),
    )?;
    let address = *running.addresses.first().ok_or("it listens nowhere")?;
    println!("listening on {address}");

    let mut request = Request::get(format!("http://{address}/orders/1")).body(String::new())?;
    println!("unsigned: {}", answer(address, &request)?);
    let secret = Secret::new(SECRET.as_bytes().to_vec());
    Signer::new("example", Algorithm::HmacSha256, &secret)?.sign(&mut request)?;
    println!("signed:   {}", answer(address, &request)?);

    running.stop();
    Ok(())
}

/// Sends a request; gives back the answer's status line.
fn answer(address: SocketAddr, request: &Request<String>) -> Result<String, Box<dyn Error>> {
    let mut stream = TcpStream::connect(address)?;
    write!(
        stream,
        "GET {} HTTP/1.1\r\nhost: {address}\r\n",
        request.uri().path()
    )?;
    for (name, value) in request.headers() {
        write!(stream, "{name}: {}\r\n", value.to_str()?)?;
    }
    stream.write_all(b"connection: close\r\n\r\n")?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}
