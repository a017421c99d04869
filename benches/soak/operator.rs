//! Who runs the gateway, and cannot leave it alone.

use crate::bed::gateway::{Gateway, Settings, write_config};
use crate::bed::process::Place;
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

pub(super) fn routes(faulty: SocketAddr) -> String {
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
"#
    )
}

pub(super) struct Operator {
    tls: bool,
    origin: SocketAddr,
    faulty: SocketAddr,
    folder: PathBuf,
    process: Pid,
}

impl Operator {
    pub(super) fn new(
        tls: bool,
        origin: SocketAddr,
        faulty: SocketAddr,
        folder: &Path,
        gateway: &Gateway,
    ) -> Self {
        let id = i32::try_from(gateway.process.id()).expect("a process id");
        Self {
            tls,
            origin,
            faulty,
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
            let routes = format!("{}\n{more}\n", routes(self.faulty));
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
