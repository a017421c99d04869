//! A gateway's configuration, as text: what a test does not say has a plain default.

use super::{Binary, Gateway, Upstream};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The secret of key `mobile-2026`, as its file holds it.
pub const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
/// The secret of key `mobile-512`.
pub const SECRET_512: &[u8] = b"fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210";
/// The secret of key `other-2026`, which belongs to another app.
pub const OTHER_SECRET: &[u8] = b"another-secret-of-32-bytes-and-so";

/// A configuration in the making.
#[derive(Debug)]
pub struct Setup {
    folder: TempDir,
    server: String,
    admin: String,
    freshness: String,
    peers: String,
    tokens: String,
    upstream: String,
    servers: String,
    route: String,
    routes: Option<String>,
    app: String,
    more: String,
}

impl Setup {
    /// One route for every path, by signature or token, to `upstream`; two apps.
    pub fn before(upstream: &Upstream) -> Self {
        Self::with_servers(&format!("\"http://{}\"", upstream.address()))
    }

    /// As [`Setup::before`], with `servers` as they stand in the list.
    pub fn with_servers(servers: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let setup = Self {
            folder,
            server: String::new(),
            admin: "listen = \"127.0.0.1:0\"\n".into(),
            freshness: String::new(),
            // Tests refuse a lot from one address; those about peers say their own.
            peers: "failures = \"off\"\n".into(),
            tokens: String::new(),
            upstream: String::new(),
            servers: servers.into(),
            route: String::new(),
            routes: None,
            app: String::new(),
            more: String::new(),
        };
        for (name, secret) in [
            ("mobile.key", SECRET),
            ("mobile-512.key", SECRET_512),
            ("other.key", OTHER_SECRET),
        ] {
            let text = format!("base64:{}", data_encoding::BASE64.encode(secret));
            setup.write_secret(name, text.as_bytes());
        }
        setup
    }

    /// Lines for `[server]`.
    pub fn server(mut self, lines: &str) -> Self {
        push(&mut self.server, lines);
        self
    }

    /// Lines for `[admin]`, instead of a free port.
    pub fn admin(mut self, lines: &str) -> Self {
        self.admin = format!("{lines}\n");
        self
    }

    /// Lines for `[freshness]`.
    pub fn freshness(mut self, lines: &str) -> Self {
        push(&mut self.freshness, lines);
        self
    }

    /// Lines for `[peers]`, instead of no limit.
    pub fn peers(mut self, lines: &str) -> Self {
        self.peers = format!("{lines}\n");
        self
    }

    /// Lines for `[tokens]`.
    pub fn tokens(mut self, lines: &str) -> Self {
        push(&mut self.tokens, lines);
        self
    }

    /// Lines for the upstream.
    pub fn upstream(mut self, lines: &str) -> Self {
        push(&mut self.upstream, lines);
        self
    }

    /// Lines for the one route.
    pub fn route(mut self, lines: &str) -> Self {
        push(&mut self.route, lines);
        self
    }

    /// These routes, whole, instead of the one; the upstream is `backend`.
    pub fn routes(mut self, text: &str) -> Self {
        self.routes = Some(text.into());
        self
    }

    /// Lines for the app `mobile`.
    pub fn app(mut self, lines: &str) -> Self {
        push(&mut self.app, lines);
        self
    }

    /// Whole sections more.
    pub fn more(mut self, text: &str) -> Self {
        push(&mut self.more, text);
        self
    }

    /// Writes a file beside the configuration.
    pub fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// Writes a file that only its owner can read.
    pub fn write_secret(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.write(name, bytes);
        let own = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&path, own).unwrap();
        path
    }

    /// A file beside the configuration.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The folder of the configuration.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The configuration's text, listening on any free port.
    pub fn text(&self) -> String {
        self.text_on("127.0.0.1:0")
    }

    /// The configuration's text, listening on `address`.
    pub fn text_on(&self, address: &str) -> String {
        let Self {
            server,
            admin,
            freshness,
            peers,
            tokens,
            upstream,
            servers,
            route,
            app,
            more,
            ..
        } = self;
        let listen = if server.contains("listen =") {
            String::new()
        } else {
            format!("listen = \"{address}\"\n")
        };
        let workers = if server.contains("workers =") {
            ""
        } else {
            "workers = 2\n"
        };
        let accept = if route.contains("accept =") {
            ""
        } else {
            "accept = [\"http-signature\", \"token\"]\n"
        };
        let routes = self.routes.clone().unwrap_or_else(|| {
            format!("[[routes]]\nname = \"all\"\npath = \"/**\"\nupstream = \"backend\"\n{accept}{route}")
        });
        format!(
            "[server]\n{listen}{workers}{server}\n\
             [admin]\n{admin}\n\
             [state]\ndirectory = \"state\"\n\n\
             [freshness]\n{freshness}\n\
             [peers]\n{peers}\n\
             [tokens]\n{tokens}\n\
             [upstreams.backend]\nservers = [{servers}]\n{upstream}\n\
             {routes}\n\
             [apps.mobile]\n{app}keys = [\n\
             {{ id = \"mobile-2026\", algorithm = \"hmac-sha256\", secret = \"file:mobile.key\" }},\n\
             {{ id = \"mobile-512\", algorithm = \"hmac-sha512\", secret = \"file:mobile-512.key\" }},\n\
             ]\n\n\
             [apps.other]\nkeys = [{{ id = \"other-2026\", algorithm = \"hmac-sha256\", secret = \"file:other.key\" }}]\n\n\
             {more}"
        )
    }

    /// Runs it in this process, with a hand-set clock at [`super::T0`]; or the
    /// binary on it, where one is named to be tested.
    pub fn start(self) -> Gateway {
        Gateway::start(self)
    }

    /// Runs the built binary on it.
    pub fn spawn(self) -> Binary {
        Binary::spawn(self)
    }
}

fn push(to: &mut String, lines: &str) {
    to.push_str(lines);
    to.push('\n');
}
