//! `kill -9` while keys are rotated and ended under load: what was acknowledged
//! is there, what was not is there whole or not at all, and no request with a
//! key that is good is refused.

use crate::admin_api::{WRITE, with_tokens};
use crate::harness::{Binary, Caller, Connection, Request, Response, Setup, Upstream, wait_until};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::RwLock;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

const ROUNDS: usize = 100;
/// Apps whose keys are rotated side by side, each with somebody who calls meanwhile.
const APPS: usize = 3;
/// Keys of one app that are good at a time, before the oldest is ended.
const HELD: usize = 3;
/// Keys that were ended of which each restart is asked.
const ASKED: usize = 6;

#[test]
fn a_hundred_kills_of_rotations_under_load_refuse_no_valid_key_and_lose_no_acknowledged_change() {
    let upstream = Upstream::start();
    let mut gateway = with_tokens(Setup::before(&upstream)).spawn();
    let mut dice = Dice::new();
    let _told = Told(dice.0);
    let held: Vec<Held> = (0..APPS).map(|_| Held::default()).collect();
    let mut chains: Vec<Chain> = held
        .iter()
        .zip(0..)
        .map(|(held, app)| Chain::make(gateway.admin(), app, held))
        .collect();
    for _ in 0..ROUNDS {
        let (address, admin) = (gateway.address(), gateway.admin());
        let (calls, changes) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (until, moment) = (1 + dice.below(16), dice.below(100_000));
        std::thread::scope(|scope| {
            for (chain, held) in chains.iter_mut().zip(&held) {
                let (mut calling, mut changing) = (dice.another(), dice.another());
                let (calls, changes) = (&calls, &changes);
                scope.spawn(move || call(held, address, calls, &mut calling));
                scope.spawn(move || chain.change(held, admin, changes, &mut changing));
            }
            wait_until("calls and changes", || {
                calls.load(SeqCst) >= APPS && changes.load(SeqCst) >= until
            });
            // Somewhere in what is under way then.
            for _ in 0..moment {
                std::hint::spin_loop();
            }
            gateway.kill();
        });
        gateway = gateway.restarted();
        for (chain, held) in chains.iter_mut().zip(&held) {
            chain.settle(held, gateway.admin());
            chain.look(held, gateway.address(), gateway.admin());
        }
    }
    let mut rotated: Vec<_> = chains.iter().flat_map(|chain| &chain.rotated).collect();
    assert!(rotated.len() >= ROUNDS, "only {} rotations", rotated.len());
    let audited = audited(gateway.admin());
    let mut audited: Vec<_> = audited.iter().collect();
    rotated.sort_unstable();
    audited.sort_unstable();
    assert_eq!(rotated, audited);
}

/// The keys of an app that are good, the oldest first. Whoever calls holds it
/// until the answer is there: what is to be ended is taken out before.
type Held = RwLock<Vec<Caller>>;

/// Calls with one and another key that is good, until nobody answers any more.
fn call(held: &Held, address: SocketAddr, calls: &AtomicUsize, dice: &mut Dice) {
    loop {
        let held = held.read().unwrap();
        let caller = &held[dice.below(held.len())];
        let once = dice.below(4) == 0;
        let Some(response) = send(&signed(caller, address, once.then(|| dice.next())), address)
        else {
            return;
        };
        assert_eq!(response.status, 200, "{}: {}", caller.id(), response.text());
        calls.fetch_add(1, SeqCst);
    }
}

fn signed(caller: &Caller, address: SocketAddr, once: Option<u64>) -> Request {
    let caller = caller.clone().at(Binary::now());
    match once {
        None => caller.sign(&Request::new("GET", "/orders").to(address)),
        Some(nonce) => caller
            .nonce(&format!("n-{nonce}"))
            .sign(&Request::new("POST", "/orders").to(address).body("one")),
    }
}

/// The whole answer, unless the process ends before.
fn send(request: &Request, address: SocketAddr) -> Option<Response> {
    let mut connection = Connection::try_open(address)?;
    connection
        .try_send(&request.bytes())
        .then(|| connection.whole_response_to(&request.method))
        .flatten()
}

/// What is under way.
enum Doing {
    Rotate {
        old: Caller,
        new: String,
        panic: bool,
    },
    Retire(Caller),
    Delete(Caller),
}

/// What one operator knows of the keys of one app.
struct Chain {
    app: String,
    /// Keys that were asked for so far.
    asked: usize,
    /// What is there of it: from which key to which.
    rotated: Vec<(String, String)>,
    /// Those that prove nothing any more, and are still to be deleted.
    retired: Vec<Caller>,
    /// The last of those that were ended, deleted ones too.
    ended: Vec<Caller>,
    /// What was not answered.
    unsure: Option<Doing>,
}

impl Chain {
    fn make(admin: SocketAddr, number: usize, held: &Held) -> Self {
        let app = format!("app-{number}");
        let made = ask(admin, "POST", "/v1/apps", &json!({ "name": app })).unwrap();
        assert_eq!(made.status, 201, "{}", made.text());
        let id = format!("{app}-0");
        let key = json!({ "app": app, "id": id });
        let made = ask(admin, "POST", "/v1/keys", &key).unwrap();
        held.write().unwrap().push(caller_of(&id, &made));
        Self {
            app,
            asked: 0,
            rotated: Vec::new(),
            retired: Vec::new(),
            ended: Vec::new(),
            unsure: None,
        }
    }

    /// Rotates and ends keys, until nobody answers any more.
    fn change(&mut self, held: &Held, admin: SocketAddr, begun: &AtomicUsize, dice: &mut Dice) {
        loop {
            let doing = self.choose(held, dice);
            begun.fetch_add(1, SeqCst);
            let Some(answer) = ask_for(admin, &doing) else {
                self.unsure = Some(doing);
                return;
            };
            self.done(held, doing, &answer);
        }
    }

    fn choose(&mut self, held: &Held, dice: &mut Dice) -> Doing {
        if let Some(retired) = self.retired.pop() {
            return Doing::Delete(retired);
        }
        let mut held = held.write().unwrap();
        if held.len() > HELD {
            return Doing::Retire(held.remove(0));
        }
        let panic = held.len() > 1 && dice.below(4) == 0;
        let old = held.last().unwrap().clone();
        if panic {
            held.pop();
        }
        self.rotation(old, panic)
    }

    fn rotation(&mut self, old: Caller, panic: bool) -> Doing {
        self.asked += 1;
        let new = format!("{}-{}", self.app, self.asked);
        Doing::Rotate { old, new, panic }
    }

    fn done(&mut self, held: &Held, doing: Doing, answer: &Response) {
        match doing {
            Doing::Rotate { old, new, panic } => {
                held.write().unwrap().push(caller_of(&new, answer));
                self.rotated.push((old.id().to_owned(), new));
                if panic {
                    self.end(old);
                }
            }
            Doing::Retire(key) => {
                assert_eq!(answer.status, 200, "{}", answer.text());
                self.end(key);
            }
            Doing::Delete(_) => assert_eq!(answer.status, 200, "{}", answer.text()),
        }
    }

    fn end(&mut self, key: Caller) {
        self.ended.insert(0, key.clone());
        self.ended.truncate(ASKED);
        self.retired.push(key);
    }

    /// What was not answered was done whole, or not at all.
    fn settle(&mut self, held: &Held, admin: SocketAddr) {
        match self.unsure.take() {
            None => {}
            Some(Doing::Rotate { old, new, panic }) => {
                let now = key(admin, old.id()).expect("the old key")["state"].clone();
                let Some(made) = key(admin, &new) else {
                    assert_eq!(now, "active", "{}", old.id());
                    if panic {
                        held.write().unwrap().push(old);
                    }
                    return;
                };
                assert_eq!(made["rotated_from"], old.id());
                assert_eq!(made["state"], "active", "{new}");
                assert_eq!(now, if panic { "retired" } else { "draining" });
                self.rotated.push((old.id().to_owned(), new.clone()));
                if panic {
                    self.end(old);
                }
                // Its secret was in the answer that nobody got.
                let again = self.rotation(Caller::new(&new, b"unknown"), true);
                let answer = ask_for(admin, &again).unwrap();
                self.done(held, again, &answer);
            }
            Some(Doing::Retire(one)) => {
                let state = key(admin, one.id()).expect("a key")["state"].clone();
                if state == "retired" {
                    self.end(one);
                } else {
                    held.write().unwrap().insert(0, one);
                }
            }
            Some(Doing::Delete(one)) => {
                if let Some(there) = key(admin, one.id()) {
                    assert_eq!(there["state"], "retired");
                    self.retired.push(one);
                }
            }
        }
    }

    /// That exactly those keys are there that must be, and that each proves what it may.
    fn look(&self, held: &Held, address: SocketAddr, admin: SocketAddr) {
        let held = held.read().unwrap();
        let there = ask(
            admin,
            "GET",
            &format!("/v1/keys?app={}", self.app),
            &Value::Null,
        );
        let there = there.unwrap().json()["items"].as_array().unwrap().clone();
        let there: BTreeSet<&str> = there
            .iter()
            .map(|key| key["id"].as_str().unwrap())
            .collect();
        let known = held.iter().chain(&self.retired).map(Caller::id);
        assert_eq!(there, known.collect());
        for caller in &*held {
            let response = send(&signed(caller, address, None), address).unwrap();
            assert_eq!(response.status, 200, "{}: {}", caller.id(), response.text());
        }
        for caller in &self.ended {
            let response = send(&signed(caller, address, None), address).unwrap();
            response.assert_refused(401, "credential-rejected");
        }
    }
}

fn ask_for(admin: SocketAddr, doing: &Doing) -> Option<Response> {
    match doing {
        Doing::Rotate { old, new, panic } => {
            let target = format!("/v1/keys/{}/rotate", old.id());
            let body = if *panic {
                json!({ "id": new, "panic": true })
            } else {
                json!({ "id": new, "overlap_seconds": 86_400 })
            };
            ask(admin, "POST", &target, &body)
        }
        Doing::Retire(key) => {
            let target = format!("/v1/keys/{}/retire", key.id());
            ask(admin, "POST", &target, &json!({}))
        }
        Doing::Delete(key) => {
            let target = format!("/v1/keys/{}", key.id());
            ask(admin, "DELETE", &target, &Value::Null)
        }
    }
}

fn ask(admin: SocketAddr, method: &str, target: &str, body: &Value) -> Option<Response> {
    let mut request = Request::new(method, target)
        .field("Authorization", &format!("Bearer {WRITE}"))
        .field("If-Match", "*")
        .to(admin);
    if !body.is_null() {
        request = request
            .field("Content-Type", "application/json")
            .body(body.to_string());
    }
    send(&request, admin)
}

/// The key, where there is one.
fn key(admin: SocketAddr, id: &str) -> Option<Value> {
    let shown = ask(admin, "GET", &format!("/v1/keys/{id}"), &Value::Null).unwrap();
    if shown.status == 404 {
        return None;
    }
    assert_eq!(shown.status, 200, "{}", shown.text());
    Some(shown.json())
}

fn caller_of(id: &str, made: &Response) -> Caller {
    assert_eq!(made.status, 201, "{}", made.text());
    Caller::new(id, made.json()["secret"].as_str().unwrap().as_bytes())
}

/// From which key to which, as the audit tells.
fn audited(admin: SocketAddr) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut target = "/v1/audit?what=key&limit=1000".to_owned();
    loop {
        let page = ask(admin, "GET", &target, &Value::Null).unwrap().json();
        for line in page["items"].as_array().unwrap() {
            if line["what"].as_str().unwrap().starts_with("key.rotate") {
                let old = line["target"].as_str().unwrap().trim_start_matches("key/");
                let new = line["after"]["new"]["id"].as_str().unwrap();
                found.push((old.to_owned(), new.to_owned()));
            }
        }
        let Some(next) = page["next"].as_str() else {
            return found;
        };
        target = format!("/v1/audit?what=key&limit=1000&page={next}");
    }
}

/// `SplitMix64`: what is thrown follows from where it began.
struct Dice(u64);

impl Dice {
    fn new() -> Self {
        let mut seed = [0; 8];
        portcullis::crypto::random(&mut seed);
        Self(u64::from_le_bytes(seed))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    fn another(&mut self) -> Self {
        Self(self.next())
    }
}

/// Tells what the dice began with, when the test fails.
struct Told(u64);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = writeln!(std::io::stderr(), "--- the dice began with {}", self.0);
        }
    }
}
