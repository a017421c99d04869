use super::open::Step;
use super::*;
use crate::apps::made::{
    AppRecord, AuditEntry, Change, EnrolmentRecord, Expect, InstanceRecord, KeyRecord, Life, Log,
    MAX_KEYS, Material, Outcome, Page, Record, Store as _, Target, Touched,
};
use crate::apps::{Downgrade, Mode};
use crate::secret::Secret;
use std::fs;
use std::sync::mpsc::channel;

fn master(byte: u8) -> MasterKey {
    MasterKey::new(&Secret::new(vec![byte; 32])).unwrap()
}

fn settings(folder: &Path) -> Settings {
    Settings {
        path: folder.join("apps.redb"),
        master: master(1),
    }
}

fn opened(folder: &Path) -> Registry {
    Registry::open(&settings(folder)).unwrap()
}

fn app(name: &str) -> Record {
    Record::App(AppRecord {
        name: name.to_owned(),
        plan: None,
        scopes: vec!["orders".to_owned()],
        enabled: true,
        explain: false,
        mode: Mode::Enforce,
        downgrade: Downgrade::Allow,
        tokens: None,
        made_at: 1,
        revision: Revision(0),
    })
}

fn key(id: &str, app: &str) -> Record {
    Record::Key(KeyRecord {
        id: id.to_owned(),
        app: app.to_owned(),
        material: Material::Static {
            hash: "00".repeat(32),
        },
        schemes: None,
        life: Life::active_from(1),
        not_after: None,
        honey: false,
        attests: false,
        made_at: 1,
        rotated_from: None,
        revision: Revision(0),
    })
}

fn instance(id: &str, app: &str) -> Record {
    Record::Instance(InstanceRecord {
        id: id.to_owned(),
        app: app.to_owned(),
        public: "{}".to_owned(),
        thumbprint: "t".to_owned(),
        build: None,
        enabled: true,
        enrolled_at: 1,
        last_seen: None,
        revision: Revision(0),
    })
}

fn code(hash: &str, app: &str) -> Record {
    Record::Enrolment(EnrolmentRecord {
        hash: hash.to_owned(),
        app: app.to_owned(),
        build: None,
        expires: 10,
        uses: 1,
        made_at: 1,
        revision: Revision(0),
    })
}

fn line(what: &str) -> AuditEntry {
    AuditEntry {
        at: 1,
        who: "test".to_owned(),
        what: what.to_owned(),
        target: "app/a".to_owned(),
        before: None,
        after: None,
        outcome: Outcome::Done,
        times: 1,
    }
}

fn write(registry: &Registry, changes: Vec<Change>) -> Result<Revision, WriteError> {
    registry.write(Write {
        changes,
        audit: line("test"),
        dry_run: false,
    })
}

fn put(registry: &Registry, records: Vec<Record>) -> Result<Revision, WriteError> {
    let changes = records.into_iter();
    write(
        registry,
        changes
            .map(|record| Change::Put(record, Expect::Absent))
            .collect(),
    )
}

fn page(after: Option<&str>, limit: usize) -> Page {
    Page {
        after: after.map(str::to_owned),
        limit,
    }
}

#[test]
fn what_was_acknowledged_is_there_after_the_next_start_with_its_audit() {
    let folder = tempfile::tempdir().unwrap();
    let registry = opened(folder.path());
    assert_eq!(
        put(&registry, vec![app("a"), key("k", "a"), instance("i", "a")]),
        Ok(Revision(1))
    );
    assert_eq!(put(&registry, vec![app("b")]), Ok(Revision(2)));
    drop(registry);
    let registry = opened(folder.path());
    assert_eq!(registry.revision(), Revision(2));
    let known = registry.app("a").unwrap().unwrap();
    assert_eq!((&*known.name, known.revision), ("a", Revision(1)));
    assert_eq!(registry.keys_of("a").unwrap().len(), 1);
    assert_eq!(registry.instance("i").unwrap().unwrap().app, "a");
    let lines = registry.audit(Log::Changes, &page(None, 10)).unwrap();
    assert_eq!(lines.items.len(), 2);
}

#[test]
fn of_a_write_all_is_done_or_nothing_and_the_error_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let registry = opened(folder.path());
    put(&registry, vec![app("a"), key("k", "a")]).unwrap();
    let exists = WriteError::Exists(Target::Key("k".to_owned()));
    assert_eq!(put(&registry, vec![app("b"), key("k", "b")]), Err(exists));
    assert_eq!(registry.app("b").unwrap(), None);

    let stranger = put(&registry, vec![key("k2", "nobody")]);
    let missing = WriteError::Missing(Target::App("nobody".to_owned()));
    assert_eq!(stranger, Err(missing));

    let stale = Change::Put(app("a"), Expect::Revision(Revision(9)));
    let conflict = WriteError::Conflict {
        target: Target::App("a".to_owned()),
        current: Revision(1),
    };
    assert_eq!(write(&registry, vec![stale]), Err(conflict));

    put(&registry, vec![app("b")]).unwrap();
    let moved = write(&registry, vec![Change::Put(key("k", "b"), Expect::Any)]);
    assert!(matches!(moved, Err(WriteError::Invalid(_))), "{moved:?}");
    for bad in [
        app("a b"),
        app(""),
        key("\"", "a"),
        key(&"k".repeat(257), "a"),
    ] {
        let refused = put(&registry, vec![bad]);
        assert!(
            matches!(refused, Err(WriteError::Invalid(_))),
            "{refused:?}"
        );
    }
    let mut large = app("large");
    if let Record::App(app) = &mut large {
        app.scopes = vec!["s".repeat(64); 1_000];
    }
    assert!(matches!(
        put(&registry, vec![large]),
        Err(WriteError::Invalid(_))
    ));
    // None of it stands in the audit, nor counts.
    let lines = registry.audit(Log::Changes, &page(None, 10)).unwrap();
    assert_eq!((lines.items.len(), registry.revision()), (2, Revision(2)));
}

#[test]
fn a_dry_run_says_what_a_write_would_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let registry = opened(folder.path());
    let dry = |record: Record| {
        registry.write(Write {
            changes: vec![Change::Put(record, Expect::Absent)],
            audit: line("dry"),
            dry_run: true,
        })
    };
    assert_eq!(dry(app("a")), Ok(Revision(0)));
    assert!(dry(key("k", "a")).is_err());
    assert_eq!(registry.app("a").unwrap(), None);
    put(&registry, vec![app("a")]).unwrap();
    assert!(matches!(dry(app("a")), Err(WriteError::Exists(_))));
}

#[test]
fn with_an_app_goes_all_that_belongs_to_it_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let registry = opened(folder.path());
    for name in ["a", "a-b", "b"] {
        let of = |what: &str| format!("{what}-{name}");
        let all = vec![
            app(name),
            key(&of("k"), name),
            instance(&of("i"), name),
            code(&of("c"), name),
        ];
        put(&registry, all).unwrap();
    }
    let gone = Change::Remove(Target::App("a".to_owned()), Expect::Present);
    // In the same write another app may take its name and the ids of its keys.
    let anew = [app("a"), key("k-a", "a")].map(|record| Change::Put(record, Expect::Absent));
    let changes = [vec![gone.clone()], anew.to_vec()].concat();
    write(&registry, changes).unwrap();
    assert_eq!(registry.keys_of("a").unwrap().len(), 1);
    assert_eq!(registry.instance("i-a").unwrap(), None);
    write(&registry, vec![gone]).unwrap();
    assert_eq!(registry.key("k-a").unwrap(), None);
    assert_eq!(registry.enrolment("c-a").unwrap(), None);
    let all = registry.apps(&page(None, 10)).unwrap().items;
    let names: Vec<_> = all.into_iter().map(|app| app.name).collect();
    assert_eq!(names, ["a-b", "b"]);
    assert!(registry.key("k-a-b").unwrap().is_some());
    let instances = registry.instances_of("a-b", &page(None, 10)).unwrap();
    assert_eq!(instances.items.len(), 1);
    let gone = Change::Remove(Target::App("a".to_owned()), Expect::Any);
    assert!(matches!(
        write(&registry, vec![gone]),
        Err(WriteError::Missing(_))
    ));
}

#[test]
fn an_app_has_a_bound_on_its_keys_that_counts_those_of_the_same_write() {
    let folder = tempfile::tempdir().unwrap();
    let registry = opened(folder.path());
    put(&registry, vec![app("a"), app("b")]).unwrap();
    let keys = |from: usize, to: usize| {
        let keys = (from..to).map(|number| key(&format!("k{number}"), "a"));
        keys.collect::<Vec<_>>()
    };
    put(&registry, keys(0, MAX_KEYS - 2)).unwrap();
    let over = put(&registry, keys(MAX_KEYS - 2, MAX_KEYS + 1));
    assert!(matches!(over, Err(WriteError::TooMany { .. })), "{over:?}");
    put(&registry, keys(MAX_KEYS - 2, MAX_KEYS)).unwrap();
    let again = Change::Put(key("k0", "a"), Expect::Present);
    write(&registry, vec![again]).unwrap();
    put(&registry, vec![key("other", "b")]).unwrap();
}

#[test]
fn pages_lead_through_all_of_it_once() {
    let folder = tempfile::tempdir().unwrap();
    let registry = opened(folder.path());
    let names: Vec<String> = (0..25).map(|number| format!("app-{number:02}")).collect();
    put(&registry, names.iter().map(|name| app(name)).collect()).unwrap();
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let paged = registry.apps(&page(after.as_deref(), 10)).unwrap();
        found.extend(paged.items.into_iter().map(|app| app.name));
        match paged.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert_eq!(found, names);
    for number in 0..5 {
        put(&registry, vec![app(&format!("late-{number}"))]).unwrap();
    }
    let first = registry.audit(Log::Changes, &page(None, 4)).unwrap();
    let second = registry.audit(Log::Changes, &page(first.next.as_deref(), 4));
    assert_eq!((first.items.len(), second.unwrap().items.len()), (4, 2));
    assert!(registry.audit(Log::Changes, &page(Some("x"), 4)).is_err());
}

#[test]
fn of_many_who_want_the_same_name_at_once_one_gets_it_and_all_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let registry = opened(folder.path());
    let results: Vec<_> = std::thread::scope(|scope| {
        let tries = (0..16).map(|_| scope.spawn(|| put(&registry, vec![app("a")])));
        let tries: Vec<_> = tries.collect();
        tries.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(results.iter().filter(|one| one.is_ok()).count(), 1);
    let others = results.iter().filter_map(|one| one.as_ref().err());
    assert!(
        others
            .clone()
            .all(|why| matches!(why, WriteError::Exists(_)))
    );
    assert_eq!(others.count(), 15);
}

#[derive(Debug)]
struct Told(std::sync::mpsc::SyncSender<Touched>);

impl Watcher for Told {
    fn changed(&self, touched: &Touched) {
        self.0.send(touched.clone()).unwrap();
    }
}

#[test]
fn who_watches_knows_of_a_change_before_who_made_it() {
    let folder = tempfile::tempdir().unwrap();
    let registry = opened(folder.path());
    let (told, heard) = sync_channel(16);
    registry.watch(Arc::new(Told(told)));
    put(&registry, vec![app("a"), key("k", "a"), instance("i", "a")]).unwrap();
    let touched = heard.try_recv().unwrap();
    assert_eq!(touched.apps.iter().collect::<Vec<_>>(), ["a"]);
    assert_eq!(touched.instances.iter().collect::<Vec<_>>(), ["i"]);
    let _ = put(&registry, vec![app("a")]).unwrap_err();
    assert!(heard.try_recv().is_err());
    let gone = Change::Remove(Target::App("a".to_owned()), Expect::Any);
    write(&registry, vec![gone]).unwrap();
    assert!(heard.try_recv().unwrap().removed.contains("a"));
}

#[test]
fn a_file_that_is_in_use_is_not_opened_twice_and_is_given_up_on_close() {
    let folder = tempfile::tempdir().unwrap();
    let registry = opened(folder.path());
    let settings = settings(folder.path());
    let second = Registry::open(&settings).unwrap_err();
    assert!(matches!(second, OpenError::InUse { .. }), "{second}");
    registry.note(line("left"));
    registry.close();
    assert_eq!(put(&registry, vec![app("a")]), Err(WriteError::Closed));
    let unread = registry.app("a").unwrap_err().to_string();
    assert!(unread.ends_with("this gateway is about to end"), "{unread}");
    assert!(!registry.is_writable());
    let second = Registry::open(&settings).unwrap();
    // What was left to write was written.
    let events = second.audit(Log::Events, &page(None, 10)).unwrap();
    assert_eq!(events.items.len(), 1);
}

#[test]
fn of_several_that_open_a_folder_without_a_file_at_once_each_has_it_in_turn() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let names = ["a", "b", "c", "d"];
    thread::scope(|scope| {
        for name in names {
            let settings = &settings;
            scope.spawn(move || {
                let registry = Registry::open_in_turn(settings, Duration::from_mins(1)).unwrap();
                put(&registry, vec![app(name)]).unwrap();
            });
        }
    });
    let all = opened(folder.path()).apps(&page(None, 10)).unwrap().items;
    let found: Vec<_> = all.into_iter().map(|app| app.name).collect();
    assert_eq!(found, names);
    // The registry, and its probe.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn who_waits_for_a_file_that_is_not_given_up_is_told_that_it_is_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let _held = opened(folder.path());
    let refused = Registry::open_in_turn(&settings(folder.path()), LOOK_AGAIN).unwrap_err();
    assert!(matches!(refused, OpenError::InUse { .. }), "{refused}");
}

#[test]
fn what_crashes_left_of_a_file_that_was_being_made_is_in_nobodys_way_and_goes() {
    let folder = tempfile::tempdir().unwrap();
    for left in ["apps.redb.new", "apps.redb.new-0", "apps.redb.new-1"] {
        fs::write(folder.path().join(left), "unfinished").unwrap();
    }
    let registry = opened(folder.path());
    put(&registry, vec![app("a")]).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn what_crashes_left_goes_whatever_its_number_and_files_of_others_stay() {
    let folder = tempfile::tempdir().unwrap();
    let strange = "apps.redb.new-copy";
    for left in ["apps.redb.new-1", "apps.redb.new-7", strange] {
        fs::write(folder.path().join(left), "unfinished").unwrap();
    }
    drop(opened(folder.path()));
    let files = fs::read_dir(folder.path()).unwrap();
    let mut names: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["apps.redb", strange, "apps.redb.probe"]);
}

#[test]
fn only_we_can_read_the_file_and_no_secret_stands_in_it() {
    use std::os::unix::fs::MetadataExt as _;
    let folder = tempfile::tempdir().unwrap();
    let registry = opened(folder.path());
    let mut sealed = key("k", "a");
    if let Record::Key(key) = &mut sealed {
        let secret = Secret::new(b"canary-in-a-registry-0123456789".to_vec());
        key.material = Material::Secret {
            algorithm: crate::crypto::Algorithm::HmacSha256,
            sealed: master(1).seal("k", &secret),
        };
    }
    put(&registry, vec![app("a"), sealed]).unwrap();
    drop(registry);
    let path = folder.path().join("apps.redb");
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    let content = fs::read(&path).unwrap();
    assert!(!content.windows(6).any(|window| window == b"canary"));
    let probe = folder.path().join("apps.redb.probe");
    assert_eq!(fs::metadata(&probe).unwrap().mode() & 0o777, 0o600);
    let names = fs::read_dir(folder.path()).unwrap();
    assert_eq!(names.count(), 2);
}

#[test]
fn another_master_key_and_what_is_no_registry_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    drop(opened(folder.path()));
    let other = Settings {
        master: master(2),
        ..settings(folder.path())
    };
    let refused = Registry::open(&other).unwrap_err();
    assert!(
        matches!(refused, OpenError::OtherMasterKey { .. }),
        "{refused}"
    );

    for content in [vec![], b"text".to_vec(), vec![0; 100_000]] {
        fs::write(folder.path().join("apps.redb"), content).unwrap();
        let refused = Registry::open(&settings(folder.path())).unwrap_err();
        let is_told = refused.to_string().contains("hint: ");
        assert!(
            is_told && !matches!(refused, OpenError::InUse { .. }),
            "{refused}"
        );
    }
}

#[test]
fn a_later_format_is_refused_and_an_earlier_one_is_brought_up_beside_a_copy() {
    /// The apps of the second format are all switched off: something to see.
    const STEP: Step = |of| {
        let mut table = of.open_table(tables::APPS)?;
        let mut off = Vec::new();
        for entry in redb::ReadableTable::iter(&table)? {
            let (name, bytes) = entry?;
            let text = String::from_utf8_lossy(bytes.value());
            let text = text.replace("\"enabled\":true", "\"enabled\":false");
            off.push((name.value().to_owned(), text));
        }
        for (name, text) in off {
            table.insert(&*name, text.as_bytes())?;
        }
        Ok(())
    };
    const FAILS: Step = |of| {
        STEP(of)?;
        Err(redb::Error::Corrupted("as a test".to_owned()))
    };
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let registry = opened(folder.path());
    put(&registry, vec![app("a")]).unwrap();
    drop(registry);

    // A step that fails leaves the file as it was, for the version before.
    let fails = Format { steps: &[FAILS] };
    Registry::of_format(&settings, fails).unwrap_err();
    assert!(opened(folder.path()).app("a").unwrap().unwrap().enabled);

    let second = Format { steps: &[STEP] };
    let registry = Registry::of_format(&settings, second).unwrap();
    assert!(!registry.app("a").unwrap().unwrap().enabled);
    drop(registry);
    let copy = folder.path().join("apps.redb.v1");
    // It stays brought up, and the version before says whose it is.
    drop(Registry::of_format(&settings, second).unwrap());
    let refused = Registry::open(&settings).unwrap_err();
    assert!(
        matches!(refused, OpenError::Newer { found: 2, .. }),
        "{refused}"
    );
    fs::rename(copy, &settings.path).unwrap();
    assert!(opened(folder.path()).app("a").unwrap().unwrap().enabled);
}

#[test]
fn events_alike_become_one_and_a_flood_of_others_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let registry = opened(folder.path());
    for number in 0..10_000 {
        registry.note(line("token.refuse"));
        registry.note(AuditEntry {
            target: format!("app/{number}"),
            ..line("token.refuse")
        });
    }
    registry.close();
    let registry = opened(folder.path());
    let events = registry.audit(Log::Events, &page(None, 1_000)).unwrap();
    assert!(events.items.len() < 2_000, "{}", events.items.len());
    let times: u64 = events.items.iter().map(|event| event.times).sum();
    assert_eq!(times, 20_000);
}

#[test]
fn a_flood_of_refusals_hides_no_alarm_and_pushes_none_out() {
    let folder = tempfile::tempdir().unwrap();
    let registry = opened(folder.path());
    let refused = |number: usize| AuditEntry {
        target: format!("app/{number}"),
        outcome: Outcome::Refused("unknown-app".to_owned()),
        ..line("token.refuse")
    };
    let alarm = AuditEntry {
        target: "key/bait".to_owned(),
        outcome: Outcome::Alarm("a key was shown that nobody has".to_owned()),
        ..line("key.honey")
    };
    (0..1_000).for_each(|number| registry.note(refused(number)));
    registry.note(alarm.clone());
    (1_000..2_000).for_each(|number| registry.note(refused(number)));
    registry.close();
    let registry = opened(folder.path());
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let paged = registry
            .audit(Log::Events, &page(after.as_deref(), 7))
            .unwrap();
        found.extend(paged.items);
        match paged.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert_eq!(found.iter().filter(|one| **one == alarm).count(), 1);
    let refusals = found.iter().filter(|one| **one != alarm);
    assert_eq!(refusals.map(|one| one.times).sum::<u64>(), 2_000);

    // They are kept apart, each with its bound.
    let database = registry.shared.database.load_full().unwrap();
    let transaction = database.begin_write().unwrap();
    let more: Vec<_> = (0..20).map(refused).collect();
    apply::add_events(&transaction, tables::EVENTS, 5, &more).unwrap();
    transaction.commit().unwrap();
    let all = registry.audit(Log::Events, &page(None, 100)).unwrap();
    assert_eq!(all.items.len(), 6);
    assert!(all.items.contains(&alarm));
}

#[test]
fn last_uses_are_kept_by_key_and_scheme_and_go_with_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let registry = opened(folder.path());
    put(&registry, vec![app("a"), key("k", "a"), instance("i", "a")]).unwrap();
    for (scheme, at) in [
        ("token", 5),
        ("http-signature", 9),
        ("token", 7),
        ("token", 6),
    ] {
        registry.note_use("k", scheme, at);
    }
    registry.note_use("nobody", "token", 5);
    registry.note_seen("i", None, 12);
    registry.note_seen("nobody", None, 12);
    registry.close();
    let registry = opened(folder.path());
    let uses = registry.uses_of("k").unwrap();
    assert_eq!(uses.last(), Some(9));
    assert_eq!(uses.schemes.get("token"), Some(&7));
    assert_eq!(registry.uses_of("nobody").unwrap().last(), None);
    let seen = registry.instance("i").unwrap().unwrap();
    assert_eq!((seen.last_seen, seen.revision), (Some(12), Revision(1)));
    assert_eq!(registry.instance("nobody").unwrap(), None);
    let gone = Change::Remove(Target::Key("k".to_owned()), Expect::Any);
    write(&registry, vec![gone]).unwrap();
    assert_eq!(registry.uses_of("k").unwrap().last(), None);
}

#[test]
fn an_instance_is_of_the_build_as_which_it_was_last_seen() {
    let folder = tempfile::tempdir().unwrap();
    let seen = |notes: &[(&str, i64)]| {
        let registry = opened(folder.path());
        if notes.is_empty() {
            put(&registry, vec![app("a"), instance("i", "a")]).unwrap();
        }
        for (build, at) in notes {
            registry.note_seen("i", Some(build), *at);
        }
        registry.close();
        let seen = opened(folder.path()).instance("i").unwrap().unwrap();
        (seen.build, seen.last_seen, seen.revision)
    };
    let of = |build: &str, at| (Some(build.to_owned()), Some(at), Revision(1));
    seen(&[]);
    assert_eq!(seen(&[("1.5", 12), ("1.4", 11)]), of("1.5", 12));
    assert_eq!(seen(&[("1.6", 13), ("1.7", 13)]), of("1.7", 13));
    // It may go back to an older one, but what comes late was before.
    assert_eq!(seen(&[("1.4", 12)]), of("1.7", 13));
    assert_eq!(seen(&[("1.4", 14)]), of("1.4", 14));
}

#[test]
fn last_uses_of_keys_go_with_their_app_and_are_not_told_of_anothers_key() {
    let folder = tempfile::tempdir().unwrap();
    let registry = opened(folder.path());
    put(&registry, vec![app("a"), key("k", "a"), key("l", "a")]).unwrap();
    put(&registry, vec![app("b"), key("m", "b")]).unwrap();
    for id in ["k", "l", "m"] {
        registry.note_use(id, "token", 5);
    }
    registry.close();
    let registry = opened(folder.path());
    assert_eq!(registry.uses_of("l").unwrap().last(), Some(5));
    let gone = Change::Remove(Target::App("a".to_owned()), Expect::Any);
    write(&registry, vec![gone]).unwrap();
    put(&registry, vec![key("k", "b")]).unwrap();
    for (id, last) in [("k", None), ("l", None), ("m", Some(5))] {
        assert_eq!(registry.uses_of(id).unwrap().last(), last, "{id}");
    }
}

#[test]
fn a_use_that_is_not_written_yet_is_told_and_none_of_a_key_that_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let registry = opened(folder.path());
    put(&registry, vec![app("a"), key("k", "a")]).unwrap();
    let last = |id: &str| registry.uses_of(id).unwrap().last();
    registry.note_use("k", "token", 5);
    registry.note_use("nobody", "token", 5);
    assert_eq!((last("k"), last("nobody")), (Some(5), None));
    // Also while nothing can be written.
    let (path, aside) = (registry.path(), folder.path().join("aside"));
    fs::rename(path, &aside).unwrap();
    put(&registry, vec![app("b")]).unwrap_err();
    assert!(!registry.is_writable());
    registry.note_use("k", "token", 7);
    assert_eq!(last("k"), Some(7));
    fs::rename(&aside, path).unwrap();
    let gone = Change::Remove(Target::Key("k".to_owned()), Expect::Any);
    write(&registry, vec![gone]).unwrap();
    assert_eq!(last("k"), None);
    // One that comes under its name was never used.
    put(&registry, vec![key("k", "a")]).unwrap();
    assert_eq!(last("k"), None);
}

#[test]
fn uses_are_told_while_they_are_being_written() {
    let mut pending = Pending::default();
    pending.add_use("k", "token", 5);
    let taken = pending.take();
    assert!(pending.is_empty());
    pending.add_use("k", "api-key", 6);
    let both = [("token", 5), ("api-key", 6)];
    assert_eq!(pending.uses_of("k"), both);
    pending.put_back(taken);
    let mut told = pending.uses_of("k");
    told.sort_unstable();
    assert_eq!(told, [("api-key", 6), ("token", 5)]);
}

#[test]
fn a_file_that_is_taken_away_or_replaced_while_it_is_open_takes_no_change_until_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let registry = opened(folder.path());
    put(&registry, vec![app("a")]).unwrap();
    let (path, aside) = (registry.path(), folder.path().join("aside"));
    fs::rename(path, &aside).unwrap();
    for is_replaced in [false, true] {
        if is_replaced {
            fs::copy(&aside, path).unwrap();
        }
        let refused = put(&registry, vec![app("b")]).unwrap_err();
        assert!(matches!(refused, WriteError::Unwritable(_)), "{refused}");
        assert!(refused.to_string().contains("taken away"), "{refused}");
        assert!(!registry.is_writable());
        // What is open is still read.
        assert!(registry.app("a").unwrap().is_some());
    }
    fs::rename(&aside, path).unwrap();
    put(&registry, vec![app("c")]).unwrap();
    assert!(registry.is_writable());
    registry.close();
    let registry = opened(folder.path());
    assert!(registry.app("b").unwrap().is_none() && registry.app("c").unwrap().is_some());
}

/// Bytes of a page of the store.
const PAGE: usize = 4_096;

/// What is done to each registry that opens though something in it is damaged: at which page, is told too. How many
/// do not open.
fn though_damaged(mut does: impl FnMut(usize, &Registry)) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let registry = opened(folder.path());
    for number in 0..6 {
        let (name, id) = (format!("a{number}"), format!("k{number}"));
        put(&registry, vec![app(&name), key(&id, &name)]).unwrap();
    }
    registry.close();
    let good = fs::read(registry.path()).unwrap();
    let mut not_opened = 0;
    let pages = good.chunks(PAGE).enumerate();
    let used = pages.filter(|(_, bytes)| bytes.iter().any(|byte| *byte != 0));
    // All of a page, and what stands behind its head.
    let kinds = [(0, 0), (0, 0xff), (64, 0xff)];
    for ((place, bytes), (from, by)) in
        used.flat_map(|page| kinds.into_iter().map(move |kind| (page, kind)))
    {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path());
        let mut bad = good.clone();
        bad[place * PAGE..][from..bytes.len()].fill(by);
        fs::write(&settings.path, &bad).unwrap();
        match Registry::open(&settings) {
            Ok(registry) => does(place, &registry),
            Err(_) => not_opened += 1,
        }
    }
    not_opened
}

#[test]
fn a_damaged_file_is_told_and_neither_ends_the_process_nor_what_writes() {
    let mut not_written = 0;
    let not_opened = though_damaged(|place, registry| {
        let _ = registry.apps(&page(None, 10));
        let _ = registry.audit(Log::Changes, &page(None, 10));
        for name in ["y", "z"] {
            match put(registry, vec![app(name)]) {
                Ok(_) => {}
                Err(WriteError::Unwritable(_) | WriteError::Unknown(_)) => {
                    assert!(!registry.is_writable(), "{place}");
                    not_written += 1;
                }
                Err(why) => panic!("{place}: {why}"),
            }
        }
    });
    let both = not_opened > 0 && not_written > 0;
    assert!(both, "{not_opened} {not_written}");
}

#[test]
fn nothing_more_is_written_into_a_damaged_file_and_what_can_be_read_of_it_still_can_be() {
    let (mut damaged, mut are_read) = (0, 0);
    though_damaged(|place, registry| {
        let (_jobs, none) = sync_channel(1);
        // What writes it by itself waits for a change that nobody hands to it.
        let mut writer = Writer::new(registry.shared.clone(), none, None);
        let mut commit = |name: Option<&str>| {
            let (answer, answered) = sync_channel(1);
            let write = name.map(|name| Write {
                changes: vec![Change::Put(app(name), Expect::Absent)],
                audit: line("test"),
                dry_run: false,
            });
            let asked = write.map(|write| (Box::new(write), answer));
            writer.commit(asked.into_iter().collect());
            answered.recv()
        };
        let first = commit(Some("y")).unwrap();
        if !first.is_err_and(|why| why.to_string().contains("contradicts itself")) {
            return;
        }
        damaged += 1;
        let read = || registry.apps(&page(None, 10)).is_ok();
        let could_be_read = read();
        let before = fs::read(registry.path()).unwrap();
        // As it is tried again after a while, and with the next change.
        for name in [None, Some("z"), None] {
            let _ = commit(name);
            assert!(!registry.is_writable(), "{place}");
        }
        assert!(fs::read(registry.path()).unwrap() == before, "{place}");
        assert_eq!(read(), could_be_read, "{place}");
        are_read += u32::from(could_be_read);
    });
    assert!(damaged > 0 && are_read > 0, "{damaged} {are_read}");
}

/// Panics over each change.
struct Panics;

impl Watcher for Panics {
    fn changed(&self, _: &Touched) {
        panic!("a change cannot be followed");
    }
}

#[test]
fn after_a_panic_over_a_change_none_is_taken_and_that_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let registry = opened(folder.path());
    put(&registry, vec![app("a")]).unwrap();
    registry.watch(Arc::new(Panics));
    let first = put(&registry, vec![app("b")]).unwrap_err();
    assert!(matches!(first, WriteError::Unknown(_)), "{first}");
    let next = put(&registry, vec![app("c")]).unwrap_err();
    assert!(matches!(next, WriteError::Unwritable(_)), "{next}");
    assert!(next.to_string().contains("restart"), "{next}");
    assert!(!registry.is_writable());
    registry.note(line("late"));
    registry.close();
    let closed = put(&registry, vec![app("d")]);
    assert_eq!(closed, Err(WriteError::Closed));
    assert!(opened(folder.path()).app("c").unwrap().is_none());
}

#[test]
fn a_file_that_can_only_be_read_is_read_as_the_crash_left_it_and_stays_so() {
    let folder = tempfile::tempdir().unwrap();
    let registry = opened(folder.path());
    put(&registry, vec![app("a"), key("k", "a")]).unwrap();
    // As `kill -9` leaves it: it was not closed.
    let path = folder.path().join("left.redb");
    fs::copy(registry.path(), &path).unwrap();
    let before = fs::read(&path).unwrap();
    let reader = open::to_read(&path).unwrap();
    assert_eq!(reads::revision(&reader).unwrap(), 1);
    let transaction = reader.begin_read().unwrap();
    let kept = tables::read::<KeyRecord>(&transaction, tables::KEYS, "k");
    assert_eq!(kept.unwrap().unwrap().app, "a");
    // Another may read it, and nobody write it.
    drop(open::to_read(&path).unwrap());
    let settings = Settings {
        path: path.clone(),
        master: master(1),
    };
    let writer = Registry::open(&settings).unwrap_err();
    assert!(matches!(writer, OpenError::InUse { .. }), "{writer}");
    drop((transaction, reader));
    assert_eq!(fs::read(&path).unwrap(), before);
    let writer = Registry::open(&settings).unwrap();
    let reader = open::to_read(&path).unwrap_err();
    assert!(matches!(reader, OpenError::InUse { .. }), "{reader}");
    assert!(writer.is_writable() && writer.app("a").unwrap().is_some());
}

mod failing {
    use super::*;
    use redb::StorageBackend;
    use redb::backends::{FileBackend, InMemoryBackend};
    use std::io;
    use std::sync::atomic::AtomicUsize;

    /// A disk that is full when it is told to be.
    #[derive(Debug)]
    struct Disk {
        memory: InMemoryBackend,
        full: Arc<AtomicBool>,
    }

    impl Disk {
        fn may(&self) -> io::Result<()> {
            if self.full.load(Ordering::Acquire) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            Ok(())
        }
    }

    impl StorageBackend for Disk {
        fn len(&self) -> io::Result<u64> {
            self.memory.len()
        }
        fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
            self.memory.read(offset, out)
        }
        fn set_len(&self, len: u64) -> io::Result<()> {
            self.may()?;
            self.memory.set_len(len)
        }
        fn sync_data(&self) -> io::Result<()> {
            self.may()?;
            self.memory.sync_data()
        }
        fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
            self.may()?;
            self.memory.write(offset, data)
        }
    }

    #[test]
    fn a_full_disk_refuses_writes_with_its_reason_and_the_store_works_again_thereafter() {
        let folder = tempfile::tempdir().unwrap();
        // What it finds when it opens again.
        let registry = opened(folder.path());
        put(&registry, vec![app("a")]).unwrap();
        registry.close();

        let full = Arc::<AtomicBool>::default();
        let disk = Disk {
            memory: InMemoryBackend::new(),
            full: full.clone(),
        };
        let database = redb::Builder::new().create_with_backend(disk).unwrap();
        let transaction = database.begin_write().unwrap();
        tables::make_all(&transaction).unwrap();
        transaction.commit().unwrap();
        let opened = Opened {
            database,
            unwritable: None,
        };
        let registry = Registry::with(&settings(folder.path()).path, opened).unwrap();
        put(&registry, vec![app("b")]).unwrap();
        assert!(registry.is_writable());

        full.store(true, Ordering::Release);
        registry.note(line("late"));
        let (told, heard) = channel();
        std::thread::scope(|scope| {
            for number in 0..4 {
                let (told, registry) = (told.clone(), &registry);
                scope.spawn(move || told.send(put(registry, vec![app(&format!("c{number}"))])));
            }
        });
        // The first learns why; the file was opened again by then, and takes the others, or not.
        let results: Vec<_> = heard.try_iter().collect();
        let unwritable = results
            .iter()
            .find(|one| matches!(one, Err(WriteError::Unwritable(_))));
        let why = unwritable.unwrap().as_ref().unwrap_err().to_string();
        assert!(why.contains("nothing was changed"), "{why}");
        put(&registry, vec![app("d")]).unwrap();
        assert!(registry.is_writable());
        assert!(registry.app("a").unwrap().is_some());
        // What nobody waited for was kept, and written with it.
        let events = registry.audit(Log::Events, &page(None, 10)).unwrap();
        let events: Vec<_> = events
            .items
            .iter()
            .map(|one| (&*one.what, one.times))
            .collect();
        assert_eq!(events, [("late", 1)]);
    }

    /// A disk that takes everything, and confirms so many times more that it has.
    #[derive(Debug)]
    struct Unsafe {
        file: FileBackend,
        left: Arc<AtomicUsize>,
        /// Where its file stands and is put when it does not confirm, if it is: it cannot be opened again then.
        moves: Arc<OnceLock<[PathBuf; 2]>>,
    }

    impl StorageBackend for Unsafe {
        fn len(&self) -> io::Result<u64> {
            self.file.len()
        }
        fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
            self.file.read(offset, out)
        }
        fn set_len(&self, len: u64) -> io::Result<()> {
            self.file.set_len(len)
        }
        fn sync_data(&self) -> io::Result<()> {
            let less = |left: usize| left.checked_sub(1);
            let left = self
                .left
                .try_update(Ordering::AcqRel, Ordering::Acquire, less);
            if left.is_err() {
                if let Some([from, to]) = self.moves.get() {
                    let _ = fs::rename(from, to);
                }
                return Err(io::Error::other("it is not on the disk"));
            }
            self.file.sync_data()
        }
        fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
            self.file.write(offset, data)
        }
        fn close(&self) -> io::Result<()> {
            self.file.close()
        }
    }

    /// A registry with the app `a` in it, whose disk confirms as often as is said, and who is told of its changes.
    struct Unconfirmed {
        registry: Registry,
        left: Arc<AtomicUsize>,
        moves: Arc<OnceLock<[PathBuf; 2]>>,
        heard: std::sync::mpsc::Receiver<Touched>,
    }

    impl Unconfirmed {
        fn new(folder: &Path) -> Self {
            let registry = opened(folder);
            put(&registry, vec![app("a")]).unwrap();
            registry.close();
            let path = settings(folder).path;
            let mut options = fs::OpenOptions::new();
            let file = options.read(true).write(true).open(&path).unwrap();
            let left = Arc::new(AtomicUsize::new(usize::MAX));
            let moves = Arc::<OnceLock<_>>::default();
            let disk = Unsafe {
                file: FileBackend::new(file).unwrap(),
                left: left.clone(),
                moves: moves.clone(),
            };
            let opened = Opened {
                database: redb::Builder::new().create_with_backend(disk).unwrap(),
                unwritable: None,
            };
            let registry = Registry::with(&path, opened).unwrap();
            let (told, heard) = sync_channel(16);
            registry.watch(Arc::new(Told(told)));
            Self {
                registry,
                left,
                moves,
                heard,
            }
        }

        /// Which apps were told of since it was asked last.
        fn told(&self) -> Vec<String> {
            let touched = self.heard.try_iter();
            touched.flat_map(|touched| touched.apps).collect()
        }
    }

    #[test]
    fn what_the_disk_does_not_confirm_is_in_force_if_it_is_in_the_file() {
        let mut was_there = Vec::new();
        // One commit confirms more than once.
        for confirmed in 0.. {
            let folder = tempfile::tempdir().unwrap();
            let disk = Unconfirmed::new(folder.path());
            let registry = &disk.registry;
            disk.left.store(confirmed, Ordering::Release);
            let Err(why) = put(registry, vec![app("b")]) else {
                break;
            };
            let is_there = registry.app("b").unwrap().is_some();
            let is_told = disk.told() == ["b"];
            let is_said = matches!(why, WriteError::Unconfirmed(_));
            assert_eq!((is_told, is_said), (is_there, is_there), "{why}");
            // What follows has a number of its own.
            let next = put(registry, vec![app("c")]).unwrap();
            let before = registry.app("b").unwrap();
            assert!(before.is_none_or(|before| before.revision < next));
            was_there.push(is_there);
        }
        assert!(was_there.contains(&true), "{was_there:?}");
    }

    #[test]
    fn what_is_found_in_a_file_that_could_not_be_opened_at_once_is_in_force_before_anything_else() {
        let mut was_there = Vec::new();
        for confirmed in 0.. {
            let folder = tempfile::tempdir().unwrap();
            let disk = Unconfirmed::new(folder.path());
            let registry = &disk.registry;
            let (path, aside) = (registry.path(), folder.path().join("aside"));
            registry.note(line("late"));
            disk.moves.set([path.to_owned(), aside.clone()]).unwrap();
            disk.left.store(confirmed, Ordering::Release);
            let Err(why) = put(registry, vec![app("b")]) else {
                break;
            };
            // Nobody says that it was not made, nor that it is in force.
            assert!(!matches!(why, WriteError::Unconfirmed(_)), "{why}");
            assert!(registry.app("b").is_err() && !registry.is_writable());
            // One that comes meanwhile is told that it is not made.
            let meanwhile = put(registry, vec![app("m")]);
            let is_refused = matches!(meanwhile, Err(WriteError::Unwritable(_)));
            assert!(is_refused && disk.told().is_empty(), "{meanwhile:?}");

            fs::rename(&aside, path).unwrap();
            let next = put(registry, vec![app("c")]).unwrap();
            let before = registry.app("b").unwrap();
            let told = disk.told();
            if let Some(before) = &before {
                assert!(matches!(why, WriteError::Unknown(_)), "{why}");
                assert!(before.revision < next, "{next}");
                assert_eq!(told, ["b", "c"]);
            } else {
                assert_eq!(told, ["c"]);
            }
            assert_eq!(registry.app("m").unwrap(), None);
            let events = registry.audit(Log::Events, &page(None, 10)).unwrap();
            let times: Vec<_> = events.items.iter().map(|one| one.times).collect();
            assert_eq!(times, [1]);
            was_there.push(before.is_some());
        }
        assert!(was_there.contains(&true), "{was_there:?}");
    }

    #[test]
    fn of_a_commit_that_is_not_confirmed_only_what_it_changed_is_said_to_be_in_force() {
        let mut was_there = Vec::new();
        for confirmed in 0.. {
            let folder = tempfile::tempdir().unwrap();
            let disk = Unconfirmed::new(folder.path());
            let (_jobs, none) = sync_channel(1);
            // In one commit, whoever is how fast.
            let mut committing = Writer::new(disk.registry.shared.clone(), none, None);
            let (mut writes, mut answers) = (Vec::new(), Vec::new());
            for (name, dry_run) in [("b", false), ("a", false), ("d", true)] {
                let (answer, answered) = sync_channel(1);
                let write = Write {
                    changes: vec![Change::Put(app(name), Expect::Absent)],
                    audit: line("test"),
                    dry_run,
                };
                writes.push((Box::new(write), answer));
                answers.push(answered);
            }
            disk.left.store(confirmed, Ordering::Release);
            committing.commit(writes);
            let told: Vec<_> = answers.iter().map(|one| one.recv().unwrap()).collect();
            if told[0].is_ok() {
                break;
            }
            let is_there = disk.registry.app("b").unwrap().is_some();
            was_there.push(is_there);
            if is_there {
                assert!(matches!(told[0], Err(WriteError::Unconfirmed(_))));
                let exists = WriteError::Exists(Target::App("a".to_owned()));
                assert_eq!(told[1..], [Err(exists), Ok(Revision(2))]);
            } else {
                let is_unwritable =
                    |one: &Result<_, _>| matches!(one, Err(WriteError::Unwritable(_)));
                assert!(told.iter().all(is_unwritable), "{told:?}");
            }
        }
        assert!(was_there.contains(&true), "{was_there:?}");
    }
}
