//! The gateway as it is delivered: the binary, and a configuration.

use super::certificate::{CERTIFICATE, KEY};
use super::process::{Place, Process, command};
use super::sign::{KEY_ID, SECRET};
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::thread;

/// What is told to a gateway, besides the origin.
#[derive(Clone, Copy)]
pub(crate) struct Settings<'s> {
    /// Its folder below that of the run.
    pub(crate) name: &'s str,
    pub(crate) workers: usize,
    pub(crate) tls: bool,
    /// More of `[server]`, and more of the upstream.
    pub(crate) server: &'s str,
    pub(crate) upstream: &'s str,
    /// `[peers] failures`.
    pub(crate) failures: &'s str,
    /// `[freshness]`.
    pub(crate) freshness: &'s str,
    /// What stands at the end of the file besides.
    pub(crate) more: &'s str,
    pub(crate) place: Place,
    /// Another build than this one.
    pub(crate) binary: Option<&'s Path>,
}

impl Settings<'_> {
    /// One worker, alone on its core; limits are there and never reached.
    pub(crate) const USUAL: Self = Self {
        name: "gateway",
        workers: 1,
        tls: false,
        // All load comes from one address.
        server: "max_connections_per_address = 20_000",
        upstream: "",
        failures: r#""off""#,
        // So short that no run fills the memory, whose size is the usual one.
        freshness: "window = \"10s\"\nskew = \"1s\"",
        more: "",
        place: Place::Proxy,
        binary: None,
    };
}

pub(crate) struct Gateway {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
}

/// Starts one before `upstream`, with its files below `folder`, where the certificate lies too.
pub(crate) fn start(settings: &Settings<'_>, upstream: SocketAddr, folder: &Path) -> Gateway {
    let home = folder.join(settings.name);
    fs::create_dir_all(&home).expect("a folder");
    let key = home.join("bench.key");
    fs::write(&key, SECRET).expect("a file");
    fs::set_permissions(key, Permissions::from_mode(0o600)).expect("it is ours");
    write_config(settings, upstream, folder);
    let this_build = Path::new(env!("CARGO_BIN_EXE_portcullis"));
    let mut child = command(settings.binary.unwrap_or(this_build), settings.place)
        .args(["serve", "--config", "gateway.toml"])
        .current_dir(&home)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the gateway runs");
    let mut lines = BufReader::new(child.stderr.take().expect("a pipe"));
    let mut told = String::new();
    let mut tells = |message: &str| loop {
        let start = told.len();
        let read = lines.read_line(&mut told).expect("a line");
        assert!(read > 0, "the gateway does not start:\n{told}");
        if let Some(address) = address(&told[start..], message) {
            break address;
        }
    };
    let address = tells("listening");
    let admin = tells("admin listening");
    // Kept empty, so that the gateway never waits for us to read.
    thread::spawn(move || lines.read_to_end(&mut Vec::new()));
    Gateway {
        process: Process::new(child),
        address,
        admin,
    }
}

/// The address that an event of the gateway tells.
fn address(line: &str, message: &str) -> Option<SocketAddr> {
    let event: serde_json::Value = serde_json::from_str(line).ok()?;
    let fields = event.get("fields").unwrap_or(&event);
    if fields.get("message")? != message {
        return None;
    }
    fields.get("address")?.as_str()?.parse().ok()
}

/// Writes `gateway.toml`, whole at once: a gateway that runs may read it at any time.
pub(crate) fn write_config(settings: &Settings<'_>, upstream: SocketAddr, folder: &Path) {
    let Settings {
        workers,
        server,
        upstream: more_of_upstream,
        failures,
        freshness,
        more,
        ..
    } = settings;
    let tls = if settings.tls {
        format!(
            "tls = {{ certificate = \"file:../{CERTIFICATE}\", key = \"file:../{KEY}\" }}\npublic_url = \"https://{}\"",
            super::sign::AUTHORITY
        )
    } else {
        String::new()
    };
    let config = format!(
        r#"
[server]
listen = "127.0.0.1:0"
workers = {workers}
{tls}
{server}

[admin]
listen = "127.0.0.1:0"

[freshness]
{freshness}

[peers]
failures = {failures}

[upstreams.origin]
servers = ["http://{upstream}"]
{more_of_upstream}

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

[[routes]]
name = "files"
path = "/files/**"
upstream = "origin"
accept = ["http-signature", "token"]
scopes = ["orders"]
body = {{ limit = "1 GiB", verify = "while-forwarding" }}

[apps.bench]
plan = "wide"
scopes = ["orders"]
keys = [{{ id = "{KEY_ID}", algorithm = "hmac-sha256", secret = "file:bench.key" }}]
{more}
"#
    );
    let home = folder.join(settings.name);
    let new = home.join("gateway.toml.new");
    fs::write(&new, config).expect("a file");
    fs::rename(new, home.join("gateway.toml")).expect("the same folder");
}
