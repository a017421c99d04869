//! Protect one upstream, from Rust.
//!
//!     cargo run --example minimal_gateway
//!     cargo run --example minimal_gateway -- http://127.0.0.1:9000
//!
//! The first takes the built-in echo backend, sends one request without and
//! one with a signature, and ends: one sees `401` and `200`. The second guards
//! the given backend on port 8080 until Enter is pressed.

use http::Request;
use portcullis::cli::serve::{self, StartOptions};
use portcullis::client::Signer;
use portcullis::config::Config;
use portcullis::crypto::{Algorithm, random};
use portcullis::secret::Secret;
use std::error::Error;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _, stdin};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> Result<(), Box<dyn Error>> {
    let upstream = std::env::args().nth(1);
    let listen = if upstream.is_some() {
        "127.0.0.1:8080"
    } else {
        "127.0.0.1:0"
    };
    let backend = upstream.as_deref().unwrap_or("echo:");
    let text = format!(
        r#"
        [server]
        listen = "{listen}"

        [upstreams.backend]
        servers = ["{backend}"]

        [[routes]]
        name = "everything"
        path = "/**"
        upstream = "backend"
        accept = ["http-signature"]

        [apps.example]
        keys = [{{ id = "example-1", algorithm = "hmac-sha256", secret = "env:EXAMPLE_KEY" }}]
        "#
    );

    // A secret is always a reference; here we answer for the variable ourselves.
    let mut bytes = [0; 32];
    random(&mut bytes);
    let written = format!("base64:{}", data_encoding::BASE64.encode(&bytes));
    let variables = |name: &str| (name == "EXAMPLE_KEY").then(|| written.clone());
    let directory = tempfile::tempdir()?;
    let loaded = Config::from_text(&text, "the example", directory.path(), &variables)
        .map_err(|report| report.to_string())?;

    let gateway = serve::start(loaded, StartOptions::default())?;
    let address = *gateway.addresses.first().ok_or("it listens nowhere")?;
    println!("listening on http://{address}, before {backend}");
    if upstream.is_some() {
        let file = directory.path().join("example.key");
        std::fs::write(&file, &written)?;
        println!(
            "key `example-1`, its secret is in {}; Enter ends it",
            file.display()
        );
        stdin().lock().read_line(&mut String::new())?;
    } else {
        let signer = Signer::new(
            "example-1",
            Algorithm::HmacSha256,
            &Secret::new(bytes.to_vec()),
        )?;
        let unsigned = status(address, None)?;
        let proven = status(address, Some(&signer))?;
        println!("without a signature: {unsigned}\nwith one:            {proven}");
        assert!(unsigned.contains(" 401 ") && proven.contains(" 200 "));
    }
    gateway.stop();
    Ok(())
}

/// The status line that a request gets, signed or not.
fn status(address: SocketAddr, signer: Option<&Signer>) -> Result<String, Box<dyn Error>> {
    let mut request = Request::get(format!("http://{address}/hello")).body("")?;
    if let Some(signer) = signer {
        signer.sign(&mut request)?;
    }
    let mut text = format!("GET /hello HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    for (name, value) in request.headers() {
        write!(text, "{name}: {}\r\n", value.to_str()?)?;
    }
    text.push_str("\r\n");
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(text.as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}
