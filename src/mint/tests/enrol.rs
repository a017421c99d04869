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

    fn note_seen(&self, _: &str, _: i64) {}

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

    fn instance(&self, _: &str) -> Result<Option<InstanceRecord>, Unreadable> {
        Ok(None)
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

    fn each_app(&self, _: &(dyn Fn(&[Whole]) + Sync)) -> Result<(), Unreadable> {
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

#[test]
fn whatever_is_wrong_with_it_an_enrolment_costs_the_same() {
    let mut store = Watched::default();
    let good = store.add("phone", T0 + 60);
    let over = store.add("phone", T0);
    let of_off = store.add("off", T0 + 60);
    let of_plain = store.add("plain", T0 + 60);
    let made_up = Printed::new(Kind::Enrolment);
    let cost = |app: &str, code: &str, build: &str| {
        let key = json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" });
        let body = json!({ "app": app, "code": code, "build": build, "key": key }).to_string();
        let (done, blocks) = blocks::counted(|| {
            let enrolling = Enrolling::read(body.as_bytes()).unwrap();
            enrolling.carry_out(&store, "peer:192.0.2.1", T0)
        });
        let asked = std::mem::take(&mut *store.asked.lock().unwrap());
        (done, asked, blocks)
    };
    let (done, asked, blocks) = cost("phone", &good, "1.4.2");
    assert_eq!((done, asked), (Ok(()), vec!["code", "app", "write"]));
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
            (refused, vec!["code", "app", "note"], blocks),
            "{why:?}"
        );
    }
}
