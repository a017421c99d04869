//! The table: what is sent, over what, to whom, and beside whom.

use crate::bed::link::Door;
use crate::bed::sign::Proof;
use crate::field::Contestant;

/// One comparison: ours, and the others that take turns with it.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) body: usize,
    pub(super) path: &'static str,
    pub(super) door: Door,
    pub(super) connections: usize,
    /// Requests at a time on each connection, where the protocol can.
    pub(super) streams: usize,
    pub(super) ours: Lane,
    pub(super) beside: Vec<Beside>,
}

/// Who is asked, with what proof, and what it has to answer.
#[derive(Clone, Copy)]
pub(super) struct Lane {
    pub(super) contestant: Contestant,
    pub(super) proof: Proof,
    pub(super) statuses: &'static [u16],
}

pub(super) struct Beside {
    pub(super) name: &'static str,
    pub(super) lane: Lane,
    /// What our share of it shall be at most.
    pub(super) mark: Option<f64>,
}

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

const OK: &[u16] = &[200];
const REFUSED: &[u16] = &[401];
const REFUSED_OR_LIMITED: &[u16] = &[401, 429];

/// What a signed or a token request shall cost at most.
const PROVEN: Marks = Marks {
    bare: Some(1.25),
    haproxy_checked: Some(0.85),
    nginx: Some(1.2),
};
const OTHER_DOORS: Marks = Marks {
    bare: Some(1.2),
    haproxy_checked: None,
    nginx: None,
};
const NONE: Marks = Marks {
    bare: None,
    haproxy_checked: None,
    nginx: None,
};
const HASHED: f64 = 1.1;
const HASHED_OTHER_DOORS: f64 = 1.2;
const TWO_WORKERS: f64 = 1.1;
/// What each worker has to do is the same, however many there are.
const CONNECTIONS_OF_A_WORKER: usize = 8;
const BAD_TO_GOOD: f64 = 1.0;

#[derive(Clone, Copy)]
struct Marks {
    bare: Option<f64>,
    haproxy_checked: Option<f64>,
    nginx: Option<f64>,
}

/// All rows, in the order in which they are printed.
pub(super) fn rows() -> Vec<Row> {
    let get = |name, proof, marks| Row::get(name, proof, Door::HTTP1, marks);
    vec![
        get("public GET", Proof::None, NONE),
        get("signed GET", Proof::Signature, PROVEN),
        get("signed GET, 256 connections", Proof::Signature, PROVEN).connections(256),
        get("token GET", Proof::Token, PROVEN),
        get("token GET, 256 connections", Proof::Token, PROVEN).connections(256),
        Row::post("signed POST 1 KiB", "/orders/1", KIB),
        Row::post("signed POST 64 KiB, streamed", "/files/1", 64 * KIB),
        Row::post("signed POST 64 KiB, held", "/orders/1", 64 * KIB),
        Row::post("signed POST 1 MiB, streamed", "/files/1", MIB),
        Row::post("signed POST 1 MiB, held", "/orders/1", MIB),
        Row::get(
            "signed GET, HTTP/2",
            Proof::Signature,
            Door::HTTP2,
            OTHER_DOORS,
        ),
        Row::get(
            "signed GET, HTTP/2, 32 streams on each of 2",
            Proof::Signature,
            Door::HTTP2,
            OTHER_DOORS,
        )
        .connections(2)
        .streams(32),
        Row::get(
            "signed GET, TLS",
            Proof::Signature,
            Door::HTTP1_TLS,
            OTHER_DOORS,
        ),
        Row::get(
            "signed GET, HTTP/2, TLS",
            Proof::Signature,
            Door::HTTP2_TLS,
            OTHER_DOORS,
        ),
        Row::get(
            "token GET, HTTP/2, TLS",
            Proof::Token,
            Door::HTTP2_TLS,
            OTHER_DOORS,
        ),
        Row::post_through(
            "signed POST 64 KiB, HTTP/2, TLS",
            "/files/1",
            64 * KIB,
            Door::HTTP2_TLS,
        ),
        Row::refused("wrong signature", Proof::WrongSignature, false),
        Row::refused("unknown key", Proof::UnknownKey, false),
        Row::refused(
            "wrong signatures beyond the limit",
            Proof::WrongSignature,
            true,
        ),
        Row::two_workers(),
        Row::two_threads(),
    ]
}

impl Row {
    fn get(name: &'static str, proof: Proof, door: Door, marks: Marks) -> Self {
        let path = if proof == Proof::None {
            "/public/1"
        } else {
            "/orders/1"
        };
        let lane = |contestant| Lane {
            contestant,
            proof,
            statuses: OK,
        };
        let beside = |name, contestant, mark| Beside {
            name,
            lane: lane(contestant),
            mark,
        };
        let mut others = vec![beside("bare hyper", Contestant::bare(door), marks.bare)];
        if proof != Proof::None {
            others.push(beside(
                "HAProxy, checked",
                Contestant::Haproxy { checked: true },
                marks.haproxy_checked,
            ));
            others.push(beside(
                "nginx, checked",
                Contestant::Nginx { checked: true },
                None,
            ));
        }
        others.push(beside(
            "HAProxy, unchecked",
            Contestant::Haproxy { checked: false },
            None,
        ));
        others.push(beside(
            "nginx, unchecked",
            Contestant::Nginx { checked: false },
            marks.nginx,
        ));
        Self {
            name,
            body: 0,
            path,
            door,
            connections: 16,
            streams: 1,
            ours: lane(Contestant::Gateway { tls: door.tls }),
            beside: others,
        }
    }

    fn post(name: &'static str, path: &'static str, body: usize) -> Self {
        Self::post_through(name, path, body, Door::HTTP1)
    }

    /// Nobody else here checks a body that it streams: the others only pass it.
    fn post_through(name: &'static str, path: &'static str, body: usize, door: Door) -> Self {
        let small = body <= KIB;
        let marks = if small { PROVEN } else { NONE };
        let mut row = Self {
            body,
            path,
            ..Self::get(name, Proof::Signature, door, marks)
        };
        row.beside.retain(|beside| !beside.lane.contestant.checks());
        let hashed = if door == Door::HTTP1 {
            HASHED
        } else {
            HASHED_OTHER_DOORS
        };
        row.beside.push(Beside {
            name: "bare hyper + SHA-256",
            lane: Lane {
                contestant: Contestant::hashing(door),
                ..row.ours
            },
            mark: (!small).then_some(hashed),
        });
        row
    }

    /// What it costs us to say no, beside a signed request that passes.
    fn refused(name: &'static str, proof: Proof, limited: bool) -> Self {
        let gateway = Contestant::Gateway { tls: false };
        let contestant = if limited {
            Contestant::LimitedGateway
        } else {
            gateway
        };
        let statuses = if limited { REFUSED_OR_LIMITED } else { REFUSED };
        let good = Lane {
            contestant: gateway,
            proof: Proof::Signature,
            statuses: OK,
        };
        Self {
            ours: Lane {
                contestant,
                proof,
                statuses,
            },
            beside: vec![Beside {
                name: "signed GET that passes",
                lane: good,
                mark: Some(BAD_TO_GOOD),
            }],
            ..Self::get(name, proof, Door::HTTP1, NONE)
        }
    }

    fn two_workers() -> Self {
        let workers = |workers| Lane {
            contestant: Contestant::GatewayAnywhere { workers },
            proof: Proof::Signature,
            statuses: OK,
        };
        Self {
            ours: workers(2),
            beside: vec![Beside {
                name: "one worker",
                lane: workers(1),
                mark: Some(TWO_WORKERS),
            }],
            ..Self::get("two workers", Proof::Signature, Door::HTTP1, NONE)
        }
    }

    /// What two threads cost where they share nothing: that much is the machine's.
    fn two_threads() -> Self {
        let threads = |threads| Lane {
            contestant: Contestant::bare_anywhere(threads),
            proof: Proof::Signature,
            statuses: OK,
        };
        Self {
            ours: threads(2),
            beside: vec![Beside {
                name: "bare hyper, one thread",
                lane: threads(1),
                mark: None,
            }],
            ..Self::get(
                "bare hyper, two threads",
                Proof::Signature,
                Door::HTTP1,
                NONE,
            )
        }
    }

    /// Connections over which `lane` is asked.
    pub(super) fn connections_of(&self, lane: Lane) -> usize {
        let shared = lane.contestant.workers();
        shared.map_or(self.connections, |workers| {
            workers * CONNECTIONS_OF_A_WORKER
        })
    }

    /// Beside the build before and nobody else; `false` where the gateway has no part in it.
    pub(super) fn only_beside_before(&mut self) -> bool {
        let Some(contestant) = self.ours.contestant.before() else {
            return false;
        };
        self.beside = vec![Beside {
            name: "the build before",
            lane: Lane {
                contestant,
                ..self.ours
            },
            mark: None,
        }];
        true
    }

    const fn connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    const fn streams(mut self, streams: usize) -> Self {
        self.streams = streams;
        self
    }
}
