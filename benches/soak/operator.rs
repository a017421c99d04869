//! Who runs the gateway, and cannot leave it alone.

use crate::bed::certificate::CERTIFICATE;
use crate::bed::gateway::{Gateway, Settings, write_config};
use crate::bed::process::Place;
use crate::bed::sign::AUTHORITY;
use crate::faults::HEALTH;
use rustix::process::{Pid, Signal, kill_process};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// How often the configuration changes.
const CHANGES: Duration = Duration::from_secs(2);
/// Every so many changes one is a mistake.
const MISTAKES: u32 = 5;

/// Deadlines that slow callers meet, and that a busy machine does not.
pub(super) const SERVER: &str = r#"
head_timeout = "4s"
body_timeout = "4s"
write_timeout = "4s"
"#;
pub(super) const FAILURES: &str = r#"{ rate = "50/s", burst = 500 }"#;
/// Proofs live shortly; while there is room they linger for minutes, so there is room for
/// half a minute of them, and their memory is full early.
pub(super) const FRESHNESS: &str = r#"
window = "5s"
skew = "1s"
proofs = 100_000
"#;

pub(super) const fn name(tls: bool) -> &'static str {
    if tls { "with TLS" } else { "without TLS" }
}

/// What stands behind the gateways besides the origin.
pub(super) struct Backends {
    pub(super) origin: SocketAddr,
    pub(super) faulty: SocketAddr,
    pub(super) ailing: SocketAddr,
    /// Over HTTP/2, and under TLS where the gateway speaks it too.
    pub(super) calls: SocketAddr,
}

pub(super) fn routes(backends: &Backends, tls: bool) -> String {
    let Backends {
        origin,
        faulty,
        ailing,
        calls,
    } = backends;
    let calls = if tls {
        format!(
            r#"servers = ["https://{calls}"]
tls = {{ ca = "file:../{CERTIFICATE}", server_name = "{AUTHORITY}" }}"#
        )
    } else {
        format!("servers = [\"http://{calls}\"]\nprotocol = \"http2\"")
    };
    format!(
        r#"
[upstreams.faulty]
servers = ["http://{faulty}"]
timeout = "500ms"
connect_timeout = "500ms"
idle_timeout = "1s"

[[routes]]
name = "faulty"
path = "/faulty/**"
upstream = "faulty"
accept = ["token"]

[upstreams.torn]
servers = ["http://{origin}", "http://{faulty}"]
timeout = "500ms"
connect_timeout = "500ms"
idle_timeout = "1s"
ejection = {{ failures = 3, for = "500ms" }}
health = {{ path = "{HEALTH}", every = "200ms", timeout = "500ms" }}

[[routes]]
name = "torn"
path = "/torn/**"
upstream = "torn"
accept = ["token"]

[upstreams.ailing]
servers = ["http://{origin}", "http://{ailing}"]
health = {{ path = "{HEALTH}", every = "100ms", unhealthy_after = 2 }}

[[routes]]
name = "ailing"
path = "/ailing/**"
upstream = "ailing"
accept = ["token"]

[upstreams.calls]
{calls}

[[routes]]
name = "calls"
path = "/calls/**"
upstream = "calls"
accept = ["token"]

[[routes]]
name = "sockets"
path = "/sockets/**"
upstream = "origin"
accept = ["http-signature"]
upgrade = ["websocket"]
"#
    )
}

pub(super) struct Operator {
    tls: bool,
    origin: SocketAddr,
    routes: String,
    folder: PathBuf,
    process: Pid,
}

impl Operator {
    pub(super) fn new(
        tls: bool,
        origin: SocketAddr,
        routes: String,
        folder: &Path,
        gateway: &Gateway,
    ) -> Self {
        let id = i32::try_from(gateway.process.id()).expect("a process id");
        Self {
            tls,
            origin,
            routes,
            folder: folder.to_owned(),
            process: Pid::from_raw(id).expect("a process id"),
        }
    }

    /// Changes the configuration and says so, until `stop`.
    pub(super) async fn work(self, stop: CancellationToken) {
        let mut change = 0;
        while stop.run_until_cancelled(sleep(CHANGES)).await.is_some() {
            change += 1;
            let more = match change % MISTAKES {
                0 => String::from("no_such_key = true"),
                turn => format!(
                    r#"[[routes]]
name = "new-{turn}"
path = "/new-{change}/**"
upstream = "origin"
accept = ["token"]"#
                ),
            };
            let routes = format!("{}\n{more}\n", self.routes);
            let settings = Settings {
                name: name(self.tls),
                workers: 2,
                tls: self.tls,
                server: SERVER,
                failures: FAILURES,
                freshness: FRESHNESS,
                more: &routes,
                place: Place::Anywhere,
                ..Settings::USUAL
            };
            write_config(&settings, self.origin, &self.folder);
            // It has ended already, or it hears of it.
            let _ = kill_process(self.process, Signal::HUP);
        }
    }
}
