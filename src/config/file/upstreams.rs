//! `[upstreams.NAME]` as written.

use crate::config::balance::{EjectionTable, HealthTable, OrOff, RetriesTable, Share};
use crate::config::lists::Several;
use crate::config::read::At;
use crate::config::secrets::SecretFile;
use crate::config::servers::ServerName;
use crate::config::table::{Required, table};
use crate::config::times::{Idleness, Period};
use crate::config::values::Count;
use crate::forward::upstream;

table! {
    /// A backend: its servers, and how long they may take.
    pub struct Upstream {
        /// Its servers; of two drawn by chance the one with less to do gets a request. `"http://host:port"`,
        /// `"https://host:port"`, `"unix:/path/to.sock"`, or `"echo:"`, the built-in test backend.
        pub servers: Required<Several<At<upstream::Server>>>,
        /// From the end of the request to the end of the answer's head. An interim answer (1xx) is none.
        pub timeout: At<Period> = "30s",
        /// How long making a connection may take.
        pub connect_timeout: Period = "2s",
        /// The longest pause between two bytes, either way. A stream of events that is silent for longer is cut:
        /// have its server send a comment now and then, or set more here, and in `total_timeout` too.
        pub idle_timeout: At<Period> = "60s",
        /// From when a request goes to a server to the last byte of the answer. A body that is checked before
        /// forwarding is there by then; of one that passes while it arrives, a caller who is late gets 408.
        pub total_timeout: Period = "1h",
        /// Connections to each server, for each worker thread. Over HTTP/2 a connection carries many requests, and
        /// this is how many of them there are at a time. Each WebSocket is one.
        pub max_connections: Count = 256,
        /// How long a connection is kept for the next request, over HTTP/1.1; for less where its server says that it
        /// waits for less. `"off"`: each request has a connection of its own and says so, for servers that close
        /// without a word, or leave bodies unread.
        pub keep_alive: OrOff<Idleness> = "30s",
        /// Which HTTP its servers speak. `"auto"`: what a server of `https://` settles on, HTTP/2 or HTTP/1.1, and
        /// HTTP/1.1 otherwise; `"http2"` in clear text is by prior knowledge, as for gRPC.
        pub protocol: At<upstream::Protocol> = "auto",
        /// Whom we trust among servers of `https://`, and who we are to them. The files are read again when they change.
        pub tls: Option<At<UpstreamTls>>,
        /// How often the names of its servers are looked up again while they are used. Every address of a name is
        /// used, but for one that fails while others are well; one that is gone gets no new request; where the
        /// look-up fails the known ones stay.
        pub resolve_every: Period = "30s",
        /// When a server is left out whose requests fail: it refuses, breaks off or does not answer in time,
        /// its answer is no HTTP, or is 502, 503 or 504.
        pub ejection: OrOff<EjectionTable> = { failures = 5, for = "10s", at_most = "50%" },
        /// How servers are asked how they are, and when that takes them out: `{ path = "/healthz" }` is enough.
        pub health: Option<OrOff<At<HealthTable>>>,
        /// In how long a server that comes back, or is added while the gateway runs, gets its full share.
        pub slow_start: OrOff<Period> = "off",
        /// When less than this share of the servers is well, all are used: checks that fail alone refuse nobody.
        pub panic_threshold: OrOff<Share> = "50%",
        /// How many requests may be sent to a second server: a share of the recent ones, and so many in any case.
        pub retries: OrOff<RetriesTable> = { budget = "20%", at_least = "3/s" },
    }
}

table! {
    /// Whom we trust among servers of `https://`, and who we are to them.
    pub struct UpstreamTls {
        /// The authorities whose certificates are trusted, in PEM. Where they are not said, those that the system has
        /// at the start, or at the last reload.
        pub ca: Option<At<SecretFile>>,
        /// Our own certificate chain in PEM, leaf first, for servers that ask for one.
        pub certificate: Option<At<SecretFile>>,
        /// Its private key in PEM.
        pub key: Option<At<SecretFile>>,
        /// The name that a server's certificate must be for, in place of the host in its URL.
        pub server_name: Option<ServerName>,
    }
}
