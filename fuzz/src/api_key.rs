//! Static keys. In: a head. What it shows is looked up as it came; where the
//! key stands is taken out of the target, and nothing else with it.

use super::{gate, head};
use portcullis::apps::{KeyHash, Pepper, Registry, StaticKey, Uses};
use portcullis::route::{Bind, KeyPlaces, KeyWord, Route};
use portcullis::schemes::api_key::{Place, Presented, verify, without_key};
use portcullis::schemes::{Received, Refused};
use std::sync::Arc;

/// The static key that is known.
const KEY: &str = "a-static-key-of-the-fuzz-targets";
/// The parameter that may hold one.
const PARAMETER: &str = "api_key";

/// What must hold of any head.
pub(super) fn check(bytes: &[u8]) {
    let Some((method, uri, fields)) = head::read(bytes) else {
        return;
    };
    let Ok(received) = Received::read(&method, &uri, &fields, gate::around(false)) else {
        return;
    };
    let route = Route {
        key_places: Some(Arc::new(KeyPlaces {
            fields: vec!["x-api-key".parse().expect("a field's name")],
            authorization: KeyWord::ALL.to_vec(),
            query: Some(PARAMETER.into()),
            unread: false,
        })),
        ..gate::route(Bind::None)
    };
    let rest = without_key(received.target(), PARAMETER);
    if let Some(rest) = &rest {
        assert!(rest.len() < received.target().len());
        assert_eq!(without_key(rest, PARAMETER), None, "it is out of it");
    }
    match Presented::read(&received, &route) {
        Ok(None) => assert!(rest.is_none(), "what is taken out was read"),
        Ok(Some(presented)) => {
            assert_eq!(presented.place == Place::Query, rest.is_some());
            let text = String::from_utf8_lossy(bytes).into_owned();
            match verify(&presented, &registry(), gate::now()) {
                Ok(caller) => {
                    // Spelled out, or in an encoding that can be undone.
                    let is_plain = text.contains(KEY);
                    assert!(
                        is_plain || text.contains('%') || text.to_lowercase().contains("basic")
                    );
                    assert!(caller.static_key().is_some() && caller.proof().is_none());
                }
                Err(Refused::Rejected { .. }) => {}
                Err(other) => panic!("{other:?}"),
            }
            assert!(!format!("{presented:?}").contains(KEY));
        }
        Err(Refused::Malformed(why)) => assert!(!why.contains(KEY), "{why}"),
        Err(other) => panic!("{other:?}"),
    }
    // Where no app has a static key none is read.
    let none = Presented::read(&received, &gate::route(Bind::None));
    assert!(matches!(none, Ok(None)));
}

fn registry() -> Registry {
    let registry = gate::registry();
    let pepper = Pepper::new(gate::key());
    let app = registry.apps()[0].clone();
    let key = StaticKey {
        id: "legacy-1".into(),
        app,
        hash: KeyHash::of(&pepper, KEY.as_bytes()),
        not_before: None,
        not_after: None,
        enabled: true,
        uses: Arc::new(Uses::default()),
        made: None,
    };
    let whole = registry.with_static_keys(pepper, vec![key]);
    whole.expect("there is one key")
}
