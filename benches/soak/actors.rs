//! Who calls: good callers of every kind, and those that misbehave.

use crate::bed::link::{Dialer, Door, Link, connect};
use crate::bed::origin::BYTES;
use crate::bed::sign::{Body, Caller, Prepared, Proof};
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// How long a caller thinks between two batches.
pub(super) const THINKS: Duration = Duration::from_millis(20);
/// Requests in a batch, on one connection.
const BATCH: usize = 8;
/// Batches until a caller comes with a new connection.
const BATCHES: usize = 16;
/// Unexpected things that are told; the others are counted.
const TOLD: usize = 20;
/// How many of each kind there are.
pub(super) const EACH: usize = 2;

/// Where to call.
#[derive(Clone)]
pub(super) struct Site {
    pub(super) address: SocketAddr,
    pub(super) dialer: Dialer,
    pub(super) door: Door,
    pub(super) stop: CancellationToken,
    pub(super) tally: Arc<Tally>,
}

/// What came back.
#[derive(Default)]
pub(super) struct Tally(Mutex<Told>);

#[derive(Default)]
struct Told {
    answered: BTreeMap<&'static str, u64>,
    wrong: u64,
    first: Vec<String>,
}

impl Tally {
    /// From now on it has to come back at least once.
    pub(super) fn awaits(&self, who: &'static str) {
        let mut told = self.0.lock().expect("no panic within");
        told.answered.entry(who).or_default();
    }

    pub(super) fn good(&self, who: &'static str) {
        let mut told = self.0.lock().expect("no panic within");
        *told.answered.entry(who).or_default() += 1;
    }

    pub(super) fn wrong(&self, what: String) {
        let mut told = self.0.lock().expect("no panic within");
        told.wrong += 1;
        if told.first.len() < TOLD {
            told.first.push(what);
        }
    }

    pub(super) fn answered(&self) -> String {
        let told = self.0.lock().expect("no panic within");
        let sum: u64 = told.answered.values().sum();
        format!("{sum} as they should be, {} not", told.wrong)
    }

    /// Whether everything came back, and as it should.
    pub(super) fn print(&self) -> bool {
        let told = self.0.lock().expect("no panic within");
        println!("\n| callers | as they should be |\n| --- | ---: |");
        for (who, count) in &told.answered {
            println!("| {who} | {count} |");
        }
        if told.wrong > 0 {
            println!("\n{} were not:\n{}", told.wrong, told.first.join("\n"));
        }
        let never = told.answered.iter().filter(|(_, count)| **count == 0);
        let never: Vec<_> = never.map(|(who, _)| *who).collect();
        if !never.is_empty() {
            println!("\nnever: {}", never.join("; "));
        }
        told.wrong == 0 && never.is_empty()
    }
}

/// What a kind of caller asks for, and what may come back.
struct Kind {
    who: &'static str,
    proof: Proof,
    path: &'static str,
    body: usize,
    statuses: &'static [u16],
    /// Whether an answer may be cut off or fail to come.
    may_break: bool,
}

impl Kind {
    const fn good(who: &'static str, proof: Proof, path: &'static str, body: usize) -> Self {
        Self {
            who,
            proof,
            path,
            body,
            statuses: &[200],
            may_break: false,
        }
    }

    const fn bad(who: &'static str, proof: Proof) -> Self {
        Self {
            statuses: &[401, 429],
            ..Self::good(who, proof, "/orders/1", 0)
        }
    }

    const fn before_faults(who: &'static str, path: &'static str) -> Self {
        Self {
            statuses: &[200, 502, 503, 504],
            may_break: true,
            ..Self::good(who, Proof::Token, path, 0)
        }
    }
}

const KIB: usize = 1024;

static KINDS: [Kind; 12] = [
    Kind::good("public", Proof::None, "/public/1", 0),
    Kind::good("signed", Proof::Signature, "/orders/1", 0),
    Kind::good("token", Proof::Token, "/orders/1", 0),
    Kind::good("signed body, held", Proof::Signature, "/orders/1", 8 * KIB),
    Kind::good(
        "signed body, streamed",
        Proof::Signature,
        "/files/1",
        64 * KIB,
    ),
    Kind::good(
        "large body, held",
        Proof::Signature,
        "/orders/1",
        1024 * KIB,
    ),
    Kind::good("large answer", Proof::Token, "/files/bytes-300000", 0),
    Kind::bad("wrong signatures, refused", Proof::WrongSignature),
    Kind::bad("unknown keys, refused", Proof::UnknownKey),
    Kind::good(
        "one of two servers is ill at times",
        Proof::Token,
        "/ailing/1",
        0,
    ),
    Kind::before_faults("before a faulty backend", "/faulty/1"),
    Kind::before_faults("one of two servers is faulty", "/torn/1"),
];

pub(super) fn start(site: &Site, running: &mut JoinSet<()>) {
    for kind in &KINDS {
        site.tally.awaits(kind.who);
        for number in 0..EACH {
            // Good callers are not taken for the bad ones: those have addresses of their own.
            let from = match kind.statuses {
                [401, ..] => Ipv4Addr::new(127, 5, 0, 1 + number as u8),
                _ => Ipv4Addr::LOCALHOST,
            };
            running.spawn(call(site.clone(), kind, from));
        }
    }
    if site.door == Door::HTTP1 {
        running.spawn(slow_head(site.clone()));
        running.spawn(slow_body(site.clone()));
        running.spawn(slow_reader(site.clone()));
    }
    running.spawn(hangs_up(site.clone()));
}

async fn call(site: Site, kind: &'static Kind, from: Ipv4Addr) {
    let body = (kind.body > 0).then(|| Body::new(kind.body));
    while !site.stop.is_cancelled() {
        if let Err(error) = visit(&site, kind, from, body.as_ref()).await
            && !kind.may_break
        {
            let door = site.door.name();
            site.tally.wrong(format!("{}, {door}: {error}", kind.who));
        }
        sleep(THINKS).await;
    }
}

/// One connection, some batches.
async fn visit(
    site: &Site,
    kind: &'static Kind,
    from: Ipv4Addr,
    body: Option<&Body>,
) -> io::Result<()> {
    let mut link = site.dialer.dial(site.address, from).await?;
    for _ in 0..BATCHES {
        if site.stop.is_cancelled() {
            break;
        }
        let caller = Caller::new();
        let count = if kind.body > 64 * KIB { 1 } else { BATCH };
        let requests: Vec<Prepared> = (0..count)
            .map(|_| caller.request(kind.proof, kind.path, body, site.door.http2))
            .collect();
        let mut told = |status| {
            if kind.statuses.contains(&status) {
                site.tally.good(kind.who);
            } else {
                let door = site.door.name();
                site.tally.wrong(format!("{}, {door}: {status}", kind.who));
            }
        };
        link.converse(&requests, BATCH, &mut told).await?;
        sleep(THINKS).await;
    }
    Ok(())
}

/// A head that comes byte by byte, and never whole.
async fn slow_head(site: Site) {
    let drip = async {
        loop {
            if let Ok(mut stream) = connect(site.address, Ipv4Addr::LOCALHOST).await {
                let head = b"GET /public/1 HTTP/1.1\r\nhost: api.example.com\r\nx-slow: ";
                let endless = head.iter().chain(std::iter::repeat(&b'x'));
                for byte in endless {
                    // Until it is cut.
                    if stream.write_all(&[*byte]).await.is_err() {
                        site.tally.good("slow heads, cut");
                        break;
                    }
                    sleep(THINKS * 5).await;
                }
            }
            sleep(THINKS).await;
        }
    };
    let _ = site.stop.run_until_cancelled(drip).await;
}

/// A body whose rest never comes, on a connection that stays open until it is cut.
async fn slow_body(site: Site) {
    let wait = async {
        let body = Body::new(64 * KIB);
        loop {
            let request = Caller::new().request(Proof::Signature, "/files/1", Some(&body), false);
            if let Ok(mut stream) = connect(site.address, Ipv4Addr::LOCALHOST).await {
                let half = &request.body[..request.body.len() / 2];
                let sent = async {
                    stream.write_all(&request.head).await?;
                    stream.write_all(half).await?;
                    let mut answer = Vec::new();
                    tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut answer).await
                };
                let _ = sent.await;
                site.tally.good("slow bodies, cut");
            }
            sleep(THINKS).await;
        }
    };
    let _ = site.stop.run_until_cancelled(wait).await;
}

/// A large answer that nobody takes, until it is cut.
async fn slow_reader(site: Site) {
    let path = format!("/files{BYTES}20000000");
    let wait = async {
        loop {
            let request = Caller::new().request(Proof::Token, &path, None, false);
            if let Ok(mut stream) = connect(site.address, Ipv4Addr::LOCALHOST).await {
                let _ = stream.write_all(&request.head).await;
                // Writing still works when the other side has cut it, once; twice it does not.
                while stream.write_all(b"\r\n").await.is_ok() {
                    sleep(THINKS * 25).await;
                }
                site.tally.good("slow readers, cut");
            }
            sleep(THINKS).await;
        }
    };
    let _ = site.stop.run_until_cancelled(wait).await;
}

/// Hangs up at each point of a request in turn.
async fn hangs_up(site: Site) {
    let body = Body::new(64 * KIB);
    let mut turn = 0_u32;
    while !site.stop.is_cancelled() {
        turn += 1;
        let asks = async {
            let mut link = site.dialer.dial(site.address, Ipv4Addr::LOCALHOST).await?;
            let caller = Caller::new();
            let request = match turn % 3 {
                0 => caller.request(Proof::Signature, "/files/1", Some(&body), site.door.http2),
                1 => caller.request(Proof::Token, "/files/bytes-5000000", None, site.door.http2),
                _ => caller.request(Proof::Token, "/faulty/1", None, site.door.http2),
            };
            ask(&mut link, request).await
        };
        // Sooner or later in the request, as it comes.
        let patience = Duration::from_micros(u64::from(turn % 50) * 200);
        let _ = tokio::time::timeout(patience, asks).await;
        site.tally.good("hung up");
        sleep(THINKS).await;
    }
}

async fn ask(link: &mut Link, request: Prepared) -> io::Result<()> {
    link.converse(&[request], 1, &mut |_| {}).await
}
