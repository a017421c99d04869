//! The questions, each asked of a gateway that was just started.

use crate::bed::certificate;
use crate::bed::gateway::{self, Gateway, Settings};
use crate::bed::link::{Dialer, Door, Link, connect};
use crate::bed::origin::BYTES;
use crate::bed::process::{Place, own_resident};
use crate::bed::sign::{AUTHORITY, Body, Caller, Prepared, Proof};
use crate::bed::websocket;
use portcullis::clock::Clock;
use portcullis::limit::app::Rate;
use portcullis::limit::peer::{PeerSettings, Peers};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

/// How much is asked.
pub(super) struct Size {
    idle: usize,
    unknown_keys: usize,
    addresses_over_sockets: usize,
    addresses: u32,
    proofs: usize,
    bytes: usize,
    websockets: usize,
}

impl Size {
    pub(super) const WHOLE: Self = Self {
        idle: 2_000,
        unknown_keys: 1_000_000,
        addresses_over_sockets: 20_000,
        addresses: 1_000_000,
        proofs: 1_000_000,
        bytes: 100 * MIB,
        websockets: 10_000,
    };
    pub(super) const BRIEF: Self = Self {
        idle: 500,
        unknown_keys: 10_000,
        addresses_over_sockets: 1_000,
        addresses: 1_000_000,
        proofs: 20_000,
        bytes: 32 * MIB,
        websockets: 500,
    };
}

const MIB: usize = 1024 * 1024;
/// Connections that ask at a time, where all are kept.
const GROUP: usize = 50;
/// What a gateway holds open besides.
const OTHER_FILES: usize = 200;
/// Callers at a time, where many ask.
const CALLERS: usize = 32;

/// A debug build takes more, and may: its code and its futures are larger.
const DEBUG: f64 = 2.0;

/// What a gateway may take, in MiB.
const AT_REST: f64 = 15.0;
/// Beyond rest, in KiB for each: 2 000 of them then stay below 80 MiB.
const IDLE: f64 = 33.0;
const STRANGERS: f64 = 16.0;
const PASSING: f64 = 16.0;
/// For each proof that is remembered, in bytes; and for tables that are hardly filled, in MiB.
const PROOF: f64 = 64.0;
const PROOFS: f64 = 2.0;
/// Beyond rest, in KiB for each: 10 000 of them then stay below 400 MiB.
const WEBSOCKET: f64 = 39.0;

pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) ask: fn(&Ask<'_>) -> Vec<Verdict>,
}

pub(super) struct Verdict {
    pub(super) what: String,
    pub(super) mib: f64,
    pub(super) bound: f64,
}

impl Verdict {
    fn new(what: impl Into<String>, kib: u64, bound: f64) -> Vec<Self> {
        let allowed = if cfg!(debug_assertions) { DEBUG } else { 1.0 };
        vec![Self {
            what: what.into(),
            mib: kib as f64 / 1024.0,
            bound: bound * allowed,
        }]
    }
}

pub(super) const ALL: [Row; 9] = [
    Row {
        name: "at rest",
        ask: at_rest,
    },
    Row {
        name: "idle connections",
        ask: |ask| idle(ask, Door::HTTP1),
    },
    Row {
        name: "idle TLS connections",
        ask: |ask| idle(ask, Door::HTTP1_TLS),
    },
    Row {
        name: "unknown key ids",
        ask: unknown_keys,
    },
    Row {
        name: "peer addresses over sockets",
        ask: addresses_over_sockets,
    },
    Row {
        name: "peer addresses in the library",
        ask: addresses,
    },
    Row {
        name: "bodies",
        ask: bodies,
    },
    Row {
        name: "remembered proofs",
        ask: proofs,
    },
    Row {
        name: "WebSockets",
        ask: websockets,
    },
];

/// Where a question is asked.
pub(super) struct Ask<'a> {
    size: &'a Size,
    files: usize,
    upstream: SocketAddr,
    folder: &'a Path,
    runtime: Runtime,
}

const USUAL: Settings<'static> = Settings {
    workers: 2,
    place: Place::Anywhere,
    freshness: "",
    ..Settings::USUAL
};

impl<'a> Ask<'a> {
    pub(super) fn new(
        size: &'a Size,
        files: usize,
        upstream: SocketAddr,
        folder: &'a Path,
    ) -> Self {
        certificate::write(folder, AUTHORITY);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        Self {
            size,
            files,
            upstream,
            folder,
            runtime,
        }
    }

    fn start(&self, settings: &Settings<'_>) -> Gateway {
        gateway::start(settings, self.upstream, self.folder)
    }

    /// Connections that have all asked `each` times for `/orders/1`.
    fn ask(
        &self,
        gateway: &Gateway,
        door: Door,
        (connections, each): (usize, usize),
        from: impl Fn(usize) -> Ipv4Addr,
        (proof, status): (Proof, u16),
    ) -> Vec<Link> {
        /// Made at a time, so that the requests of a million are not in memory here.
        const PIECE: usize = 256;
        let dialer = Dialer::new(door, self.folder);
        let caller = Arc::new(Caller::new());
        self.runtime.block_on(async {
            let mut callers = JoinSet::new();
            for number in 0..connections {
                let (dialer, caller, to) = (dialer.clone(), caller.clone(), gateway.address);
                let from = from(number);
                callers.spawn(async move {
                    let mut link = dialer.dial(to, from).await.expect("it listens");
                    let mut left = each;
                    while left > 0 {
                        let count = left.min(PIECE);
                        left -= count;
                        let requests: Vec<_> = (0..count)
                            .map(|_| caller.request(proof, "/orders/1", None, door.http2))
                            .collect();
                        converse(&mut link, &requests, status).await;
                    }
                    link
                });
            }
            callers.join_all().await
        })
    }
}

async fn converse(link: &mut Link, requests: &[Prepared], status: u16) {
    let mut right = |told| assert_eq!(told, status);
    let whole = link.converse(requests, 1, &mut right).await;
    whole.expect("it answers");
}

const GOOD: (Proof, u16) = (Proof::Signature, 200);

fn here(_: usize) -> Ipv4Addr {
    Ipv4Addr::LOCALHOST
}

/// 127.3.0.1 and so on.
fn apart(number: usize) -> Ipv4Addr {
    Ipv4Addr::from(0x7f03_0001 + number as u32)
}

fn at_rest(ask: &Ask<'_>) -> Vec<Verdict> {
    let gateway = ask.start(&USUAL);
    Verdict::new("at rest", gateway.process.resident(), AT_REST)
}

/// Each has asked once, and was proven.
fn idle(ask: &Ask<'_>, door: Door) -> Vec<Verdict> {
    let tls = door.tls;
    let gateway = ask.start(&Settings { tls, ..USUAL });
    let count = ask.size.idle;
    // In groups, so that there are few connections to the upstream: those are not asked about.
    let _links: Vec<_> = (0..count / GROUP)
        .flat_map(|_| ask.ask(&gateway, door, (GROUP, 1), here, GOOD))
        .collect();
    let what = format!("{count} idle connections, {}, in all", door.name());
    let bound = AT_REST + IDLE * count as f64 / 1024.0;
    Verdict::new(what, gateway.process.resident(), bound)
}

fn unknown_keys(ask: &Ask<'_>) -> Vec<Verdict> {
    let gateway = ask.start(&USUAL);
    let unknown = (Proof::UnknownKey, 401);
    ask.ask(&gateway, Door::HTTP1, (CALLERS, 32), here, unknown);
    let before = gateway.process.resident();
    let count = ask.size.unknown_keys;
    let each = count.div_ceil(CALLERS);
    ask.ask(&gateway, Door::HTTP1, (CALLERS, each), here, unknown);
    let grown = gateway.process.resident().saturating_sub(before);
    Verdict::new(format!("{count} unknown key ids, growth"), grown, STRANGERS)
}

/// Each is refused once, in groups, so that what connections take does not count.
fn addresses_over_sockets(ask: &Ask<'_>) -> Vec<Verdict> {
    const MANY: usize = 10 * GROUP;
    let failures = r#"{ rate = "20/s", burst = 200 }"#;
    let gateway = ask.start(&Settings { failures, ..USUAL });
    let wrong = (Proof::WrongSignature, 401);
    ask.ask(&gateway, Door::HTTP1, (MANY, 1), nearby, wrong);
    let before = gateway.process.resident();
    let count = ask.size.addresses_over_sockets;
    for group in 0..count / MANY {
        let from = |number| apart(group * MANY + number);
        ask.ask(&gateway, Door::HTTP1, (MANY, 1), from, wrong);
    }
    let grown = gateway.process.resident().saturating_sub(before);
    let what = format!("{count} peer addresses over sockets, growth");
    Verdict::new(what, grown, STRANGERS)
}

/// 127.4.0.1 and so on.
fn nearby(number: usize) -> Ipv4Addr {
    Ipv4Addr::from(0x7f04_0001 + number as u32)
}

/// The very tables of the gateway, in this process.
fn addresses(ask: &Ask<'_>) -> Vec<Verdict> {
    let rate = Rate {
        count: 20,
        period: Duration::from_secs(1),
        burst: 200,
    };
    let settings = PeerSettings {
        failures: Some(rate),
        rate: Some(rate),
    };
    let (clock, _hand) = Clock::by_hand(1_800_000_000);
    let now = clock.now();
    let before = own_resident();
    let peers = Peers::new();
    let count = ask.size.addresses;
    for number in 0..count {
        let v4 = IpAddr::from(Ipv4Addr::from(number));
        let v6 = IpAddr::from(Ipv6Addr::from(u128::from(number) << 64));
        for peer in [v4, v6] {
            let _ = peers.check(&settings, Some(peer), now);
            peers.failed(&settings, Some(peer), now);
        }
    }
    let grown = own_resident().saturating_sub(before);
    drop(peers);
    let what = format!("{count} IPv4 and as many IPv6 peers in the library, growth");
    Verdict::new(what, grown, STRANGERS)
}

/// Up through both ways of checking, and down.
fn bodies(ask: &Ask<'_>) -> Vec<Verdict> {
    let more = r#"
[[routes]]
name = "held"
path = "/held/**"
upstream = "origin"
accept = ["http-signature"]
body = { limit = "1 GiB", verify = "before-forwarding" }
"#;
    let count = ask.size.bytes;
    let body = Body::new(count);
    let down = format!("/files{BYTES}{count}");
    let ways = [
        ("up, streamed", "/files/1", Some(&body)),
        ("up, held", "/held/1", Some(&body)),
        ("down", down.as_str(), None),
    ];
    let mut verdicts = Vec::new();
    for (way, path, body) in ways {
        let gateway = ask.start(&Settings { more, ..USUAL });
        ask.ask(&gateway, Door::HTTP1, (4, 1), here, GOOD);
        let before = gateway.process.resident();
        gateway.process.forget_peak();
        let dialer = Dialer::new(Door::HTTP1, ask.folder);
        let requests = [Caller::new().request(Proof::Signature, path, body, false)];
        ask.runtime.block_on(async {
            let link = dialer.dial(gateway.address, Ipv4Addr::LOCALHOST).await;
            converse(&mut link.expect("it listens"), &requests, 200).await;
        });
        let grown = gateway.process.peak().saturating_sub(before);
        let what = format!("{} MiB {way}, peak growth", count / MIB);
        verdicts.extend(Verdict::new(what, grown, PASSING));
    }
    verdicts
}

fn proofs(ask: &Ask<'_>) -> Vec<Verdict> {
    // One app may have a good half.
    let freshness = "proofs = 2_000_000";
    let gateway = ask.start(&Settings { freshness, ..USUAL });
    ask.ask(&gateway, Door::HTTP1, (CALLERS, 32), here, GOOD);
    let before = gateway.process.resident();
    // The first ones count, and so does room for those to come.
    let count = ask.size.proofs - CALLERS * 32;
    let each = count / CALLERS;
    ask.ask(&gateway, Door::HTTP1, (CALLERS, each), here, GOOD);
    let grown = gateway.process.resident().saturating_sub(before);
    let count = each * CALLERS;
    let one = grown * 1024 / count as u64;
    let bound = PROOFS + PROOF * count as f64 / MIB as f64;
    Verdict::new(
        format!("{count} remembered proofs, growth ({one} B each)"),
        grown,
        bound,
    )
}

fn websockets(ask: &Ask<'_>) -> Vec<Verdict> {
    let more = r#"
[[routes]]
name = "sockets"
path = "/sockets/**"
upstream = "origin"
accept = ["http-signature"]
upgrade = ["websocket"]
"#;
    let gateway = ask.start(&Settings {
        server: "max_connections = 20_000\nmax_connections_per_address = 20_000\ntunnels = 20_000",
        upstream: "max_connections = 20_000",
        more,
        ..USUAL
    });
    ask.ask(&gateway, Door::HTTP1, (4, 1), here, GOOD);
    let before = gateway.process.resident();
    let count = ask.size.websockets.min((ask.files - OTHER_FILES) / 2);
    let streams = ask.runtime.block_on(async {
        let caller = Caller::new();
        let mut streams = Vec::new();
        for number in 0..count {
            // A port is free again only after a while: many addresses have more of them.
            let from = apart(number % 8);
            streams.push(websocket(&caller, gateway.address, from).await);
        }
        streams
    });
    let grown = gateway.process.resident().saturating_sub(before);
    drop(streams);
    Verdict::new(
        format!("{count} WebSockets, in all"),
        before + grown,
        AT_REST + WEBSOCKET * count as f64 / 1024.0,
    )
}

/// One that has carried a message each way.
async fn websocket(caller: &Caller, to: SocketAddr, from: Ipv4Addr) -> TcpStream {
    let request = caller.request(Proof::Signature, "/sockets/1", None, false);
    let mut stream = connect(to, from).await.expect("it listens");
    websocket::open(&mut stream, &request)
        .await
        .expect("it switches");
    websocket::exchange(&mut stream, websocket::MESSAGE)
        .await
        .expect("it passes it back");
    stream
}
