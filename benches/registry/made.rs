//! A registry of so many apps, as the admin API would have made it.

use data_encoding::BASE64;
use portcullis::apps::made::live::Live;
use portcullis::apps::made::{
    AppRecord, AuditEntry, Change, Expect, KeyRecord, Kind, Life, MAX_CHANGES, MasterKey, Material,
    Outcome, Printed, Record, Revision, Store, Touched, Watcher, Write,
};
use portcullis::apps::{self, Beside, Downgrade, Mode};
use portcullis::crypto::Algorithm;
use portcullis::secret::Secret;
use portcullis::store::registry::{Registry, Settings};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

const MASTER: [u8; 32] = [7; 32];
/// Writes that are made at a time.
const AT_A_TIME: usize = 8;
const MADE_AT: i64 = 1_700_000_000;

/// One that lies in the folder of a gateway.
pub(super) struct Stored {
    file: PathBuf,
    master: MasterKey,
}

/// What a gateway has of it while it runs.
pub(super) struct InForce {
    pub(super) store: Arc<Registry>,
    /// What a request asks.
    pub(super) looks: apps::Registry,
}

/// Follows each change, before whoever made it is answered.
struct Follows(Arc<Live>);

impl Watcher for Follows {
    fn changed(&self, touched: &Touched) {
        self.0.refresh(touched);
    }
}

pub(super) fn key_id(number: usize) -> String {
    format!("app-{number}-2026")
}

fn app_name(number: usize) -> String {
    format!("app-{number}")
}

impl Stored {
    /// Makes it where a gateway with `home` looks for it.
    pub(super) fn make(home: &Path, apps: usize) -> Self {
        let state = home.join("state");
        fs::create_dir_all(&state).expect("a folder");
        let key = state.join("master.key");
        fs::write(&key, format!("base64:{}\n", BASE64.encode(&MASTER))).expect("a file");
        fs::set_permissions(key, Permissions::from_mode(0o600)).expect("it is ours");
        let stored = Self {
            file: state.join("portcullis.redb"),
            master: MasterKey::new(&Secret::new(MASTER.to_vec())).expect("a good secret"),
        };
        let store = stored.open();
        let numbers: Vec<usize> = (0..apps).collect();
        let writes: Vec<_> = numbers.chunks(MAX_CHANGES / 2).collect();
        for some in writes.chunks(AT_A_TIME) {
            thread::scope(|scope| {
                for numbers in some {
                    scope.spawn(|| {
                        let records = numbers.iter().flat_map(|number| {
                            let app = Record::App(app(*number));
                            [app, Record::Key(stored.key(*number))]
                        });
                        put(&*store, records);
                    });
                }
            });
        }
        stored
    }

    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Opens it as a gateway does.
    pub(super) fn in_force(&self) -> InForce {
        let store = self.open();
        let (taken, plans) = (std::iter::empty(), std::iter::empty());
        let live = Arc::new(Live::new(self.master.clone(), taken, plans));
        let loaded = live.load(store.clone());
        loaded.expect("a registry that can be read");
        store.watch(Arc::new(Follows(live.clone())));
        let beside: Arc<dyn Beside> = live;
        let looks = apps::Registry::default().beside(Some(beside));
        InForce { store, looks }
    }

    fn open(&self) -> Arc<Registry> {
        let settings = Settings {
            path: self.file.clone(),
            master: self.master.clone(),
        };
        Arc::new(Registry::open(&settings).expect("a registry"))
    }

    /// Puts another key in place of that of this number.
    pub(super) fn change(&self, store: &dyn Store, number: usize) {
        put(store, [Record::Key(self.key(number))].into_iter());
    }

    fn key(&self, number: usize) -> KeyRecord {
        let id = key_id(number);
        let sealed = self.master.seal(&id, &Printed::new(Kind::Secret).secret());
        KeyRecord {
            id,
            app: app_name(number),
            material: Material::Secret {
                algorithm: Algorithm::HmacSha256,
                sealed,
            },
            schemes: None,
            life: Life::active_from(MADE_AT),
            not_after: None,
            honey: false,
            attests: false,
            made_at: MADE_AT,
            rotated_from: None,
            revision: Revision::default(),
        }
    }
}

fn put(store: &dyn Store, records: impl Iterator<Item = Record>) {
    let changes = records.map(|record| Change::Put(record, Expect::Any));
    let written = store.write(Write {
        changes: changes.collect(),
        audit: line(),
        dry_run: false,
    });
    written.expect("a store that can be written");
}

fn app(number: usize) -> AppRecord {
    AppRecord {
        name: app_name(number),
        plan: Some("wide".to_owned()),
        scopes: vec!["orders".to_owned(), "read".to_owned()],
        enabled: true,
        explain: false,
        mode: Mode::Enforce,
        downgrade: Downgrade::Allow,
        tokens: None,
        made_at: MADE_AT,
        revision: Revision::default(),
    }
}

fn line() -> AuditEntry {
    AuditEntry {
        at: MADE_AT,
        who: "bench".to_owned(),
        what: "key.create".to_owned(),
        target: "several".to_owned(),
        before: None,
        after: None,
        outcome: Outcome::Done,
        times: 1,
    }
}
