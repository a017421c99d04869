//! Calls of the admin API, by who has the token: any method, path, query, `If-Match` and body, over a registry of its own.

use http::Method;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue, IF_MATCH};
use portcullis::admin::api::{
    self, Answer, Asked, Code, Configured, Desk, Reloaded, Who, body::Fields,
};
use portcullis::apps::made::{MasterKey, Store};
use portcullis::clock::{Clock, Now};
use portcullis::secret::Secret;
use portcullis::store::registry::{Registry, Settings};
use serde_json::Value;
use std::sync::{Arc, OnceLock};

/// What is called: opened once, and never written, since every call is a dry run.
struct Table {
    configured: Arc<Configured>,
    store: Arc<dyn Store>,
    master: MasterKey,
    clock: Clock,
}

impl Desk for Table {
    fn configured(&self) -> Arc<Configured> {
        self.configured.clone()
    }

    fn store(&self) -> Option<&Arc<dyn Store>> {
        Some(&self.store)
    }

    fn master(&self) -> Option<&MasterKey> {
        Some(&self.master)
    }

    fn reload(&self, _: bool) -> Result<Reloaded, String> {
        Ok(Reloaded::default())
    }

    fn now(&self) -> Now {
        self.clock.now()
    }

    fn is_serving(&self) -> bool {
        true
    }
}

fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        let path =
            std::env::temp_dir().join(format!("portcullis-fuzz-{}.redb", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let master = MasterKey::new(&Secret::new(vec![7; 32])).expect("it is long enough");
        let settings = Settings {
            path: path.clone(),
            master: master.clone(),
        };
        let store = Registry::open(&settings).expect("it can be made");
        let table = Table {
            configured: Arc::default(),
            store: Arc::new(store),
            master,
            clock: Clock::by_hand(1_800_000_000).0,
        };
        for (call, body) in [
            ("/v1/apps", r#"{"name": "shop"}"#),
            ("/v1/keys", r#"{"app": "shop", "id": "shop-1"}"#),
        ] {
            let made = ask(&table, "POST", call, None, None, body.as_bytes());
            assert_eq!(made.status, 201);
        }
        // Nothing is written any more: its name is of no use.
        let _ = std::fs::remove_file(&path);
        table
    })
}

fn ask(
    table: &Table,
    method: &str,
    path: &str,
    query: Option<&str>,
    tag: Option<&[u8]>,
    body: &[u8],
) -> Answer {
    let mut fields = HeaderMap::new();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(tag) = tag.and_then(|tag| HeaderValue::from_bytes(tag).ok()) {
        fields.insert(IF_MATCH, tag);
    }
    let method = Method::from_bytes(method.as_bytes()).unwrap_or(Method::POST);
    let asked = Asked {
        method: &method,
        path,
        query,
        fields: &fields,
        body,
    };
    api::answer(table, &Who::of_user("fuzz"), &asked)
}

/// The first line is `METHOD TARGET`, the second `If-Match`, the rest the body.
pub(crate) fn check(bytes: &[u8]) {
    let mut parts = bytes.splitn(3, |byte| *byte == b'\n');
    let line = String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    let tag = parts.next().unwrap_or_default();
    let body = parts.next().unwrap_or_default();
    let (method, target) = line.split_once(' ').unwrap_or(("GET", &line));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let query = match method {
        "GET" | "HEAD" => query.to_owned(),
        _ => format!("{query}&dry_run=true"),
    };
    let table = table();
    let before = table.store.revision();
    let answer = ask(table, method, path, Some(&query), Some(tag), body);
    assert_eq!(before, table.store.revision(), "a dry run writes");
    let status = answer.status.as_u16();
    assert_eq!(answer.is_problem, status >= 400);
    if answer.is_problem {
        let code = answer.body["code"].as_str().expect("a code");
        assert!(
            Code::ALL
                .iter()
                .any(|known| known.word() == code && known.status() == status)
        );
        assert_ne!(answer.body["code"], "internal");
    } else if method != "GET" && method != "HEAD" && !path.ends_with("reload") {
        assert_eq!(answer.body["dry_run"], true);
        assert!(answer.body["secret"].is_null() && answer.body["code"].is_null());
    }
    // What our reader takes is JSON to another one too.
    if Fields::of(body).is_ok() && !body.is_empty() {
        let other: Value = serde_json::from_slice(body).expect("JSON");
        assert!(other.is_object());
    }
}
