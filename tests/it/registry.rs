//! Apps and keys that are made while the gateway runs: in force at once, by
//! every look-up, until their dates say otherwise.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use crate::admin_api::{READ, WRITE, ask, with_tokens};
use crate::harness::issuer::{AUD, ISS, every_key};
use crate::harness::{Caller, Gateway, Request, Setup, T0, Token, Upstream, wait_until};
use data_encoding::BASE64;
use portcullis::apps::made::live::Live;
use portcullis::apps::made::{
    AppRecord, AuditEntry, Change, Expect, KeyRecord, Kind, Life, Log, MasterKey, Material,
    Outcome, Overlap, Page, Printed, Record, Revision, Store, Target, Touched, Watcher, Write,
    WriteError, rotate,
};
use portcullis::apps::{Assurance, Beside, Downgrade, Key, Mode, Registry, Scheme, TokenPolicy};
use portcullis::crypto::Algorithm;
use portcullis::secret::Secret;
use portcullis::store::registry;
use proptest::prelude::*;
use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;

fn app(name: &str) -> AppRecord {
    AppRecord {
        name: name.to_owned(),
        plan: None,
        scopes: Vec::new(),
        enabled: true,
        explain: false,
        mode: Mode::Enforce,
        downgrade: Downgrade::Allow,
        tokens: None,
        made_at: T0,
        revision: Revision(0),
    }
}

fn key_of(app: &str, id: &str, material: Material) -> KeyRecord {
    KeyRecord {
        id: id.to_owned(),
        app: app.to_owned(),
        material,
        schemes: None,
        life: Life::active_from(T0),
        not_after: None,
        honey: false,
        attests: false,
        made_at: T0,
        rotated_from: None,
        revision: Revision(0),
    }
}

/// Who makes apps, beside a gateway that runs.
struct Desk {
    store: Arc<dyn Store>,
    master: MasterKey,
}

impl Desk {
    fn of(gateway: &Gateway) -> Self {
        Self {
            store: gateway.registry(),
            master: master_of(&gateway.folder()),
        }
    }

    fn secret(&self, id: &str) -> (Printed, Material) {
        let printed = Printed::new(Kind::Secret);
        let material = Material::Secret {
            algorithm: Algorithm::HmacSha256,
            sealed: self.master.seal(id, &printed.secret()),
        };
        (printed, material)
    }

    fn write(&self, changes: Vec<Change>) -> Result<Revision, WriteError> {
        self.store.write(Write {
            changes,
            audit: line(),
            dry_run: false,
        })
    }

    fn put(&self, record: Record) {
        self.write(vec![Change::Put(record, Expect::Any)]).unwrap();
    }

    /// An app with a key, and who signs with it.
    fn caller(&self, record: AppRecord, id: &str) -> Caller {
        let (printed, material) = self.secret(id);
        let key = key_of(&record.name, id, material);
        self.put(Record::App(record));
        self.put(Record::Key(key));
        Caller::new(id, printed.expose().as_bytes())
    }

    fn rotate(&self, id: &str, next: &str, overlap: Overlap, now: i64) -> Caller {
        let old = self.store.key(id).unwrap().unwrap();
        let (printed, material) = self.secret(next);
        let changes = rotate(&old, next.to_owned(), material, overlap, now).unwrap();
        self.write(changes).unwrap();
        Caller::new(next, printed.expose().as_bytes())
    }
}

fn master_of(folder: &Path) -> MasterKey {
    let text = fs::read_to_string(folder.join("state/master.key")).unwrap();
    let text = text.trim().strip_prefix("base64:").unwrap();
    MasterKey::new(&Secret::new(BASE64.decode(text.as_bytes()).unwrap())).unwrap()
}

fn line() -> AuditEntry {
    AuditEntry {
        at: T0,
        who: "test".to_owned(),
        what: "test".to_owned(),
        target: "test".to_owned(),
        before: None,
        after: None,
        outcome: Outcome::Done,
        times: 1,
    }
}

fn get(gateway: &Gateway) -> Request {
    gateway.request("GET", "/orders")
}

fn running(setup: Setup) -> (Gateway, Desk) {
    let gateway = Gateway::start_at(setup, T0);
    let desk = Desk::of(&gateway);
    (gateway, desk)
}

#[test]
fn an_app_that_is_made_calls_at_once_and_one_that_is_changed_or_removed_is_that_at_once() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream).route("scopes = [\"orders\"]\n");
    let (gateway, desk) = running(setup);
    let ask = |caller: &Caller| gateway.send(&caller.sign(&get(&gateway)));
    let stranger = Caller::new("made-1", &[7; 32]);
    ask(&stranger).assert_refused(401, "credential-rejected");

    let mut record = app("made");
    record.scopes = vec!["orders".to_owned()];
    let caller = desk.caller(record.clone(), "made-1");
    ask(&caller).assert_passed();
    let got = upstream.only();
    assert_eq!(got.field("portcullis-app"), Some("made"));
    assert_eq!(got.field("portcullis-key"), Some("made-1"));

    record.scopes = vec!["other".to_owned()];
    desk.put(Record::App(record.clone()));
    ask(&caller).assert_refused(403, "scope-missing");
    record.scopes = vec!["orders".to_owned()];
    record.enabled = false;
    desk.put(Record::App(record.clone()));
    ask(&caller).assert_refused(403, "app-disabled");
    record.enabled = true;
    desk.put(Record::App(record));
    ask(&caller).assert_passed();
    let gone = Change::Remove(Target::App("made".to_owned()), Expect::Present);
    desk.write(vec![gone]).unwrap();
    ask(&caller).assert_refused(401, "credential-rejected");
}

#[test]
fn a_rotation_refuses_nobody_until_its_overlap_is_over_and_a_panic_the_old_key_at_once() {
    let upstream = Upstream::start();
    let (gateway, desk) = running(Setup::before(&upstream));
    let ask = |caller: &Caller| gateway.send(&caller.sign(&get(&gateway)));
    let first = desk.caller(app("made"), "made-1");
    let overlap = Overlap::Seconds(60);
    let second = desk.rotate("made-1", "made-2", overlap, T0);
    ask(&first).assert_passed();
    ask(&second).assert_passed();
    gateway.advance(59);
    ask(&first).assert_passed();
    gateway.advance(1);
    // Nothing happened but that time went on.
    ask(&first).assert_refused(401, "credential-rejected");
    ask(&second).assert_passed();
    let third = desk.rotate("made-2", "made-3", Overlap::Panic, T0 + 60);
    ask(&second).assert_refused(401, "credential-rejected");
    ask(&third).assert_passed();
}

#[test]
fn tokens_that_were_seen_are_refused_once_their_key_is_replaced_retired_or_its_app_switched_off() {
    let upstream = Upstream::start();
    let (gateway, desk) = running(Setup::before(&upstream));
    let id = "made-1";
    let (printed, material) = desk.secret(id);
    desk.put(Record::App(app("made")));
    let key = key_of("made", id, material);
    desk.put(Record::Key(key.clone()));
    let unsigned = Token::new().header("kid", id);
    let token = unsigned.signed_with(printed.expose().as_bytes()).text();
    let ask = || gateway.send(&get(&gateway).field("Portcullis-Token", &token));
    for _ in 0..2 {
        ask().assert_passed();
    }
    let mut off = app("made");
    off.enabled = false;
    desk.put(Record::App(off));
    ask().assert_refused(403, "app-disabled");
    desk.put(Record::App(app("made")));
    ask().assert_passed();
    // The same id, another secret.
    let (_, other) = desk.secret(id);
    desk.put(Record::Key(key_of("made", id, other)));
    ask().assert_refused(401, "credential-rejected");
    desk.put(Record::Key(key.clone()));
    for _ in 0..2 {
        ask().assert_passed();
    }
    let life = Life {
        retired: Some(T0 + 10),
        ..key.life
    };
    desk.put(Record::Key(KeyRecord { life, ..key }));
    ask().assert_passed();
    gateway.advance(10);
    ask().assert_refused(401, "credential-rejected");
}

#[test]
fn a_plan_limits_apps_that_are_made_and_what_they_used_outlives_a_reload() {
    let upstream = Upstream::start();
    let plans = "[plans.small]\nrate = \"1/h\"\nburst = 3\n";
    let setup = Setup::before(&upstream).more(plans);
    let text = setup.text();
    let (gateway, desk) = running(setup);
    let ask = |caller: &Caller| gateway.send(&caller.sign(&get(&gateway)));
    let mut record = app("made");
    record.plan = Some("small".to_owned());
    let caller = desk.caller(record.clone(), "made-1");
    for _ in 0..2 {
        ask(&caller).assert_passed();
    }
    // Neither a change of the app nor a reload gives anything back.
    desk.put(Record::App(record));
    gateway.reload(&text.replace("1/h", "2/h"));
    ask(&caller).assert_passed();
    ask(&caller).assert_refused(429, "rate-exceeded");
    // Another app with the same plan has its own.
    let mut record = app("another");
    record.plan = Some("small".to_owned());
    ask(&desk.caller(record, "another-1")).assert_passed();
}

#[test]
fn an_app_whose_plan_is_unknown_is_refused_and_no_reload_takes_a_plan_away_that_is_used() {
    let upstream = Upstream::start();
    let plans = "[plans.small]\nrate = \"100/s\"\n";
    let setup = Setup::before(&upstream).more(plans);
    let text = setup.text();
    let (gateway, desk) = running(setup);
    let ask = |caller: &Caller| gateway.send(&caller.sign(&get(&gateway)));
    let mut record = app("made");
    record.plan = Some("large".to_owned());
    let caller = desk.caller(record.clone(), "made-1");
    ask(&caller).assert_refused(403, "app-disabled");
    record.plan = Some("small".to_owned());
    desk.put(Record::App(record.clone()));
    ask(&caller).assert_passed();
    // One that gets tokens, so that apps which are not there are answered like it.
    let policy = serde_json::json!({ "evidence": ["instance-key"] });
    record.tokens = Some(serde_json::from_value(policy).unwrap());
    let signs = key_of("made", "made-2", desk.secret("made-2").1);
    desk.put(Record::App(record.clone()));
    desk.put(Record::Key(KeyRecord {
        attests: true,
        ..signs
    }));
    let why = gateway.reload_fails(&text.replace("[plans.small]", "[plans.big]"));
    assert!(why.contains("`[plans.small]` is gone"), "{why}");
    ask(&caller).assert_passed();
    record.plan = None;
    desk.put(Record::App(record));
    gateway.reload(&text.replace("[plans.small]", "[plans.big]"));
    ask(&caller).assert_passed();
}

/// An app whose workloads are known by this issuer.
fn known_by(name: &str, issuer: &str) -> AppRecord {
    let claims = serde_json::json!([{ "claim": "sub", "value": "repo:acme/app" }]);
    let policy = serde_json::json!({
        "evidence": ["oidc"],
        "workloads": [{ "issuer": issuer, "claims": claims }],
    });
    let policy: TokenPolicy = serde_json::from_value(policy).unwrap();
    AppRecord {
        tokens: Some(policy),
        ..app(name)
    }
}

#[test]
fn no_reload_takes_an_issuer_away_by_which_an_app_knows_its_workloads() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream).more(&format!(
        "[issuers.platform]\nissuer = \"{ISS}\"\naudience = \"{AUD}\"\n\
         algorithms = [\"RS256\"]\njwks = \"file:keys.json\"\n"
    ));
    setup.write("keys.json", every_key().to_string().as_bytes());
    let text = setup.text();
    let other = text.replace("[issuers.platform]", "[issuers.other]");
    let (gateway, desk) = running(setup);
    desk.put(Record::App(known_by("deploy", "platform")));
    // One that was never there cannot be lost, and keeps nothing else from being changed.
    desk.put(Record::App(known_by("misspelt", "plattform")));
    let why = gateway.reload_fails(&other);
    assert!(why.contains("`[issuers.platform]` is gone"), "{why}");
    gateway.reload(&text);
    desk.put(Record::App(app("deploy")));
    gateway.reload(&other);
    // What came with a reload stays as well.
    desk.put(Record::App(known_by("deploy", "other")));
    let why = gateway.reload_fails(&text);
    assert!(why.contains("`[issuers.other]` is gone"), "{why}");
    let gone = Change::Remove(Target::App("deploy".to_owned()), Expect::Present);
    desk.write(vec![gone]).unwrap();
    gateway.reload(&text);
}

#[test]
fn a_plan_that_no_app_in_force_has_is_not_missed_whoever_still_holds_an_app_of_before() {
    let folder = tempfile::tempdir().unwrap();
    let settings = registry::Settings {
        path: folder.path().join("apps.redb"),
        master: MasterKey::new(&Secret::new(vec![1; 32])).unwrap(),
    };
    let live = || {
        let plans = ["a", "b"].map(|plan| (Arc::<str>::from(plan), Assurance::default()));
        Live::new(
            settings.master.clone(),
            std::iter::empty(),
            plans.into_iter(),
        )
    };
    let store = Arc::new(registry::Registry::open(&settings).unwrap());
    let following = Arc::new(live());
    following.load(store.clone()).unwrap();
    store.watch(Arc::new(Follows(following.clone())));
    let missing = |live: &Live, known: &str| -> Vec<String> {
        let missing = live.missing_plans(&HashSet::from([Arc::from(known)]));
        missing.iter().map(ToString::to_string).collect()
    };
    let write = |change: Change| {
        let changes = vec![change];
        let dry_run = false;
        let audit = line();
        store
            .write(Write {
                changes,
                audit,
                dry_run,
            })
            .unwrap();
    };
    let put = |name: &str, plan: &str| {
        let mut record = app(name);
        record.plan = Some(plan.to_owned());
        write(Change::Put(Record::App(record), Expect::Any));
    };
    put("made", "a");
    put("another", "b");
    let held = following.app("made").unwrap();
    assert_eq!(missing(&following, "b"), ["a"]);
    put("made", "b");
    assert_eq!(missing(&following, "b"), [""; 0]);
    assert_eq!(missing(&following, "a"), ["b"]);
    // Of two that have it one is left.
    let gone = |name: &str| Change::Remove(Target::App(name.to_owned()), Expect::Present);
    write(gone("made"));
    assert_eq!(missing(&following, "a"), ["b"]);
    let anew = live();
    anew.load(store.clone()).unwrap();
    assert_eq!(missing(&anew, "a"), ["b"]);
    write(gone("another"));
    assert_eq!(missing(&following, "a"), [""; 0]);
    drop(held);
}

#[test]
fn an_app_of_the_file_goes_first_and_one_of_its_name_is_in_force_once_that_is_gone() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream);
    let text = setup.text();
    let (gateway, desk) = running(setup);
    let ask = |caller: &Caller| gateway.send(&caller.sign(&get(&gateway)));
    let caller = desk.caller(app("other"), "made-1");
    ask(&caller).assert_refused(401, "credential-rejected");
    // A key with the id of one of the file never counts.
    let thief = desk.caller(app("thief"), "mobile-2026");
    ask(&thief).assert_refused(401, "credential-rejected");
    ask(&crate::harness::caller()).assert_passed();
    let without = text.replace("[apps.other]", "[apps.third]");
    gateway.reload(&without);
    ask(&caller).assert_passed();
    gateway.reload(&text);
    ask(&caller).assert_refused(401, "credential-rejected");
}

#[test]
fn a_static_key_is_known_by_its_hash_and_its_caller_is_told_that_it_is_deprecated() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream).route("accept = [\"http-signature\", \"api-key\"]\n");
    let (gateway, desk) = running(setup);
    let printed = Printed::new(Kind::Static);
    let ask = || gateway.send(&get(&gateway).field("X-Api-Key", printed.expose()));
    ask().assert_refused(401, "credential-rejected");
    let hash = desk.master.hash_static(printed.expose().as_bytes());
    desk.put(Record::App(app("made")));
    let key = key_of("made", "legacy", Material::Static { hash });
    desk.put(Record::Key(key.clone()));
    let response = ask();
    response.assert_passed();
    assert!(response.field("deprecation").is_some());
    assert_eq!(upstream.only().field("portcullis-key"), Some("legacy"));
    let metrics = gateway.ask_admin("/metrics").text();
    assert!(
        metrics.contains("portcullis_api_key_requests_total{app=\"made\"} 1"),
        "{metrics}"
    );
    let life = key.life.revoke(T0).unwrap();
    desk.put(Record::Key(KeyRecord { life, ..key }));
    ask().assert_refused(401, "credential-rejected");
}

#[test]
fn a_key_that_nobody_has_is_refused_like_an_unknown_one_and_raises_an_alarm() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream).route("accept = [\"http-signature\", \"api-key\"]\n");
    let (mut gateway, desk) = running(setup);
    let (printed, material) = desk.secret("bait");
    let shown = Printed::new(Kind::Static);
    let hash = desk.master.hash_static(shown.expose().as_bytes());
    desk.put(Record::App(app("made")));
    for (id, material) in [
        ("bait", material),
        ("static-bait", Material::Static { hash }),
    ] {
        let mut key = key_of("made", id, material);
        key.honey = true;
        desk.put(Record::Key(key));
    }
    let responses = {
        let signed = |id: &str| {
            let caller = Caller::new(id, printed.expose().as_bytes());
            gateway.send(&caller.sign(&get(&gateway)))
        };
        let by_static = |key: &str| gateway.send(&get(&gateway).field("X-Api-Key", key));
        [
            (signed("bait"), signed("nobody")),
            (
                by_static(shown.expose()),
                by_static("pcs_k_0123456789abcdef"),
            ),
        ]
    };
    for (bait, unknown) in responses {
        bait.assert_refused(401, "credential-rejected");
        let strip = |text: String| {
            let mut lines: serde_json::Value = serde_json::from_str(&text).unwrap();
            lines.as_object_mut().unwrap().remove("request_id");
            lines
        };
        assert_eq!(strip(bait.text()), strip(unknown.text()));
    }
    upstream.assert_silent();
    let metrics = gateway.ask_admin("/metrics").text();
    assert!(
        metrics.contains("portcullis_honey_keys_shown_total 2"),
        "{metrics}"
    );
    gateway.stop();
    let store = reopened(&gateway.folder());
    let all = Page {
        after: None,
        limit: 10,
    };
    let events = store.audit(Log::Events, &all).unwrap().items;
    let mut targets: Vec<_> = events.iter().map(|event| &*event.target).collect();
    targets.sort_unstable();
    assert_eq!(targets, ["key/bait", "key/static-bait"]);
    assert!(events.iter().all(|event| event.who == "peer:127.0.0.1"));
}

#[test]
fn when_a_key_was_last_used_is_known_after_the_gateway_has_ended() {
    let upstream = Upstream::start();
    let (mut gateway, desk) = running(Setup::before(&upstream));
    let caller = desk.caller(app("made"), "made-1");
    let mut now = T0;
    for seconds in [0, 10, 7_200] {
        gateway.advance(seconds);
        now += i64::try_from(seconds).unwrap();
        let fresh = caller.clone().at(now);
        gateway.send(&fresh.sign(&get(&gateway))).assert_passed();
    }
    gateway.stop();
    let uses = reopened(&gateway.folder()).uses_of("made-1").unwrap();
    let last = uses.schemes.get(Scheme::HttpSignature.name());
    assert_eq!(last, Some(&now));
}

#[test]
fn refused_tokens_of_the_admin_api_stand_in_the_audit_and_guesses_without_end_in_few_lines() {
    let upstream = Upstream::start();
    let mut gateway = with_tokens(Setup::before(&upstream)).start();
    let admin = gateway.admin();
    for number in 0..100 {
        ask(admin, &format!("{WRITE}{number}"), "GET", "/v1/apps");
        ask(admin, READ, "POST", "/v1/apps").assert_refused(403, "role-too-low");
    }
    gateway.advance(60);
    ask(admin, "another", "GET", "/v1/apps").assert_refused(401, "token-rejected");
    // Who shows none guesses at nothing.
    gateway
        .ask_admin("/v1/apps")
        .assert_refused(401, "token-missing");
    // What a flood left is told though nobody is refused any more, and at a stop at once.
    wait_until("the rest is told", || {
        let events = ask(admin, READ, "GET", "/v1/audit?log=events&who=admin:read").json();
        let items = events["items"].as_array().unwrap();
        let times = items.iter().filter_map(|line| line["times"].as_u64());
        times.sum::<u64>() == 100
    });
    for _ in 0..5 {
        ask(admin, READ, "POST", "/v1/apps").assert_refused(403, "role-too-low");
    }
    gateway.stop();
    let store = reopened(&gateway.folder());
    let all = Page {
        after: None,
        limit: 100,
    };
    let events = store.audit(Log::Events, &all).unwrap().items;
    assert!(events.iter().all(|event| event.what == "admin.refuse"));
    let told = |who: &str, why: &str| {
        let outcome = Outcome::Refused(why.to_owned());
        let of = events
            .iter()
            .filter(|event| event.who == who && event.outcome == outcome);
        of.map(|event| event.times).sum::<u64>()
    };
    assert_eq!(told("peer:127.0.0.1", "token-rejected"), 101);
    assert_eq!(told("admin:read", "role-too-low"), 105);
    // Of each the first, what its flood left, and what came after: in two lines where the gateway told the flood's first.
    assert!(events.len() <= 6, "{events:?}");
}

fn reopened(folder: &Path) -> registry::Registry {
    registry::Registry::open(&registry::Settings {
        path: folder.join("state/portcullis.redb"),
        master: master_of(folder),
    })
    .unwrap()
}

/// Follows a store as a gateway does.
struct Follows(Arc<Live>);

impl Watcher for Follows {
    fn changed(&self, touched: &Touched) {
        self.0.refresh(touched);
    }
}

/// What a look-up says of each key, as far as it can be compared.
fn looked_up(registry: &Registry, ids: &[String]) -> BTreeMap<String, (String, Option<i64>, bool)> {
    let found = ids.iter().filter_map(|id| Some((id, registry.key(id)?)));
    let told = |key: Arc<Key>| (key.app.name.to_string(), key.not_after, key.app.enabled);
    found.map(|(id, key)| (id.clone(), told(key))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Whatever is done, look-ups say what the store says, before and after it is opened anew; what was
    /// replaced knows it.
    #[test]
    fn after_any_changes_look_ups_say_what_the_store_says(
        steps in proptest::collection::vec((0..6_u8, 0..4_usize, 0..8_usize), 1..40),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let settings = registry::Settings {
            path: folder.path().join("apps.redb"),
            master: MasterKey::new(&Secret::new(vec![1; 32])).unwrap(),
        };
        let live = || Live::new(settings.master.clone(), std::iter::empty(), std::iter::empty());
        let store = Arc::new(registry::Registry::open(&settings).unwrap());
        let following = Arc::new(live());
        following.load(store.clone()).unwrap();
        store.watch(Arc::new(Follows(following.clone())));
        let beside: Arc<dyn Beside> = following.clone();
        let looks = Registry::default().beside(Some(beside));
        let ids: Vec<String> = (0..8).map(|number| format!("key-{number}")).collect();
        let mut held: Vec<Arc<Key>> = Vec::new();
        for (step, app_number, key_number) in steps {
            let (name, id) = (format!("app-{app_number}"), &ids[key_number]);
            let change = match step {
                0 => Change::Put(Record::App(app(&name)), Expect::Any),
                1 => {
                    let mut off = app(&name);
                    off.enabled = false;
                    Change::Put(Record::App(off), Expect::Present)
                }
                2 | 3 => {
                    let sealed = settings.master.seal(id, &Secret::new(vec![step; 32]));
                    let material = Material::Secret { algorithm: Algorithm::HmacSha256, sealed };
                    let mut key = key_of(&name, id, material);
                    key.life.retired = (step == 3).then_some(T0 + 5);
                    Change::Put(Record::Key(key), Expect::Any)
                }
                4 => Change::Remove(Target::Key(id.clone()), Expect::Any),
                _ => Change::Remove(Target::App(name), Expect::Any),
            };
            let _ = store.write(Write { changes: vec![change], audit: line(), dry_run: false });
            held.extend(ids.iter().filter_map(|id| looks.key(id)));
            let told = ids.iter().filter_map(|id| {
                let key = store.key(id).unwrap()?;
                let owner = store.app(&key.app).unwrap().unwrap();
                Some((id.clone(), (key.app, key.life.retired, owner.enabled)))
            });
            prop_assert_eq!(looked_up(&looks, &ids), told.collect::<BTreeMap<_, _>>());
        }
        for key in held {
            let now = looks.key(&key.id);
            prop_assert_eq!(key.is_current(), now.is_some_and(|now| Arc::ptr_eq(&now, &key)));
        }
        let anew = Arc::new(live());
        anew.load(store).unwrap();
        prop_assert_eq!(anew.sizes(), following.sizes());
        let beside: Arc<dyn Beside> = anew;
        let again = Registry::default().beside(Some(beside));
        prop_assert_eq!(looked_up(&again, &ids), looked_up(&looks, &ids));
    }
}
