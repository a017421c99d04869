//! What it costs to be told that one cannot enrol.

use super::T0;
use crate::apps::made::{
    AppRecord, AuditEntry, EnrolmentRecord, InstanceRecord, KeyRecord, KeyUses, Kind, Log, Page,
    Paged, Printed, Revision, Store, Unreadable, Whole, Write, WriteError,
};
use crate::crypto::blocks;
use crate::crypto::digest::sha256;
use crate::mint::enrol::Enrolling;
use crate::mint::{No, Reason};
use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use std::sync::Mutex;

/// A registry with the app `phone`, one that is off, and codes; it counts what is asked of it.
#[derive(Debug, Default)]
struct Watched {
    codes: Vec<EnrolmentRecord>,
    /// What is enrolled, and whether it was not revoked.
    enrolled: Vec<(String, bool)>,
    asked: Mutex<Vec<&'static str>>,
}

impl Watched {
    fn add(&mut self, app: &str, expires: i64) -> String {
        let printed = Printed::new(Kind::Enrolment);
        self.codes.push(EnrolmentRecord {
            hash: HEXLOWER.encode(&sha256(&[printed.expose().as_bytes()])),
            app: app.to_owned(),
            build: None,
            expires,
            uses: 1,
            made_at: T0,
            revision: Revision::default(),
        });
        printed.expose().to_owned()
    }

    fn note_that(&self, what: &'static str) {
        self.asked.lock().unwrap().push(what);
    }
}

const fn nothing<T>() -> Paged<T> {
    Paged {
        items: Vec::new(),
        next: None,
    }
}

impl Store for Watched {
    fn write(&self, _: Write) -> Result<Revision, WriteError> {
        self.note_that("write");
        Ok(Revision::default())
    }

    fn note(&self, _: AuditEntry) {
        self.note_that("note");
    }

    fn note_use(&self, _: &str, _: &'static str, _: i64) {}

    fn note_seen(&self, _: &str, _: Option<&str>, _: i64) {}

    fn app(&self, name: &str) -> Result<Option<AppRecord>, Unreadable> {
        self.note_that("app");
        let tokens = json!({ "evidence": ["instance-key"], "builds": ["1.4.2"] });
        let app = |enabled: bool, tokens: Value| {
            let record =
                json!({ "name": name, "enabled": enabled, "tokens": tokens, "made_at": T0 });
            serde_json::from_value(record).unwrap()
        };
        Ok(match name {
            "phone" => Some(app(true, tokens)),
            "off" => Some(app(false, tokens)),
            "plain" => Some(app(true, Value::Null)),
            _ => None,
        })
    }

    fn apps(&self, _: &Page) -> Result<Paged<AppRecord>, Unreadable> {
        Ok(nothing())
    }

    fn key(&self, _: &str) -> Result<Option<KeyRecord>, Unreadable> {
        Ok(None)
    }

    fn keys_of(&self, _: &str) -> Result<Vec<KeyRecord>, Unreadable> {
        Ok(Vec::new())
    }

    fn keys(&self, _: &Page) -> Result<Paged<KeyRecord>, Unreadable> {
        Ok(nothing())
    }

    fn uses_of(&self, _: &str) -> Result<KeyUses, Unreadable> {
        Ok(KeyUses::default())
    }

    fn instance(&self, id: &str) -> Result<Option<InstanceRecord>, Unreadable> {
        self.note_that("instance");
        let found = self.enrolled.iter().find(|(known, _)| known == id);
        Ok(found.map(|(id, enabled)| {
            let record = json!({
                "id": id, "app": "phone", "public": "{}", "thumbprint": "", "enabled": enabled, "enrolled_at": T0,
            });
            serde_json::from_value(record).unwrap()
        }))
    }

    fn instances_of(&self, _: &str, _: &Page) -> Result<Paged<InstanceRecord>, Unreadable> {
        Ok(nothing())
    }

    fn enrolment(&self, hash: &str) -> Result<Option<EnrolmentRecord>, Unreadable> {
        self.note_that("code");
        Ok(self.codes.iter().find(|code| code.hash == hash).cloned())
    }

    fn enrolments_of(&self, _: &str, _: &Page) -> Result<Paged<EnrolmentRecord>, Unreadable> {
        Ok(nothing())
    }

    fn each_app(&self, _: &mut dyn FnMut(&[Whole])) -> Result<(), Unreadable> {
        Ok(())
    }

    fn each_instance(&self, _: &mut dyn FnMut(InstanceRecord)) -> Result<(), Unreadable> {
        Ok(())
    }

    fn audit(&self, _: Log, _: &Page) -> Result<Paged<AuditEntry>, Unreadable> {
        Ok(nothing())
    }

    fn revision(&self) -> Revision {
        Revision::default()
    }

    fn is_writable(&self) -> bool {
        true
    }
}

/// What a key asks who enrols.
fn asked(app: &str, code: &str, build: &str, x: &str) -> Enrolling {
    let key = json!({ "kty": "OKP", "crv": "Ed25519", "x": x });
    let body = json!({ "app": app, "code": code, "build": build, "key": key }).to_string();
    Enrolling::read(body.as_bytes()).unwrap()
}

const KEY: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
const OTHER_KEY: &str = "O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik";

#[test]
fn a_key_that_has_enrolled_gets_its_id_again_by_the_same_code_and_a_revoked_one_nothing() {
    let mut store = Watched::default();
    let (code, other) = (store.add("phone", T0 + 60), store.add("phone", T0 + 60));
    let enrolling = asked("phone", &code, "1.4.2", KEY);
    let id = enrolling.id().to_owned();
    let carried_out = |store: &Watched, code: &str, key: &str| {
        let again = asked("phone", code, "1.4.2", key);
        let done = again.carry_out(store, "peer:192.0.2.1", T0 + 90);
        let asked = std::mem::take(&mut *store.asked.lock().unwrap());
        (again.id() == id, done, asked.contains(&"write"))
    };
    store.enrolled.push((id.clone(), true));
    // Used up, it is not there any more; or it is over.
    for _ in 0..2 {
        assert_eq!(carried_out(&store, &code, KEY), (true, Ok(()), false));
        store.codes.retain(|one| one.uses == 0);
    }
    let unknown = Err(No::Rejected(Reason::UnknownCode));
    for (code, key) in [(&code, OTHER_KEY), (&other, KEY)] {
        let found = carried_out(&store, code, key);
        assert_eq!(found, (false, unknown.clone(), false));
    }
    let third = store.add("phone", T0 + 120);
    assert_eq!(carried_out(&store, &third, KEY), (false, Ok(()), true));
    store.enrolled[0].1 = false;
    let revoked = Err(No::Rejected(Reason::RevokedInstance));
    assert_eq!(carried_out(&store, &code, KEY), (true, revoked, false));
}

#[test]
fn whatever_is_wrong_with_it_an_enrolment_costs_the_same() {
    let mut store = Watched::default();
    let good = store.add("phone", T0 + 60);
    let over = store.add("phone", T0);
    let of_off = store.add("off", T0 + 60);
    let of_plain = store.add("plain", T0 + 60);
    let made_up = Printed::new(Kind::Enrolment);
    let cost = |app: &str, code: &str, build: &str| {
        let (done, blocks) = blocks::counted(|| {
            let enrolling = asked(app, code, build, KEY);
            enrolling.carry_out(&store, "peer:192.0.2.1", T0)
        });
        let asked = std::mem::take(&mut *store.asked.lock().unwrap());
        (done, asked, blocks)
    };
    let (done, asked, blocks) = cost("phone", &good, "1.4.2");
    assert_eq!(
        (done, asked),
        (Ok(()), vec!["instance", "code", "app", "write"])
    );
    for (why, app, code, build) in [
        (Reason::UnknownCode, "phone", made_up.expose(), "1.4.2"),
        (Reason::UnknownCode, "phony", made_up.expose(), "1.4.2"),
        (Reason::UnknownCode, "phony", &good, "1.4.2"),
        (Reason::ExpiredCode, "phone", &over, "1.4.2"),
        (Reason::AppDisabled, "off", &of_off, "1.4.2"),
        (Reason::NotAccepted, "plain", &of_plain, "1.4.2"),
        (Reason::Build, "phone", &good, "1.3.0"),
    ] {
        let found = cost(app, code, build);
        let refused = Err(No::Rejected(why));
        assert_eq!(
            found,
            (refused, vec!["instance", "code", "app", "note"], blocks),
            "{why:?}"
        );
    }
}
