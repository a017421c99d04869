use super::{Place, Presented, verify, without_key};
use crate::apps::{App, KeyHash, Pepper, Registry, Scheme, SchemeSet, Scopes, StaticKey, Uses};
use crate::clock::Now;
use crate::crypto::{Algorithm, HmacKey};
use crate::route::{Accept, KeyPlaces, KeyWord, Route};
use crate::schemes::{Assurance, Received, Refused, Surroundings, Why};
use crate::secret::Secret;
use data_encoding::BASE64;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use std::sync::Arc;
use std::time::Duration;

const KEY: &str = "canary-static-key-0123456789";
const NOW: u64 = 1_800_000_000;

fn route() -> Route {
    Route {
        key_places: Some(Arc::new(KeyPlaces {
            fields: vec![
                HeaderName::from_static("x-api-key"),
                HeaderName::from_static("apikey"),
            ],
            authorization: KeyWord::ALL.to_vec(),
            query: Some("api_key".into()),
            unread: false,
        })),
        ..Route::any("test")
    }
}

fn registry(change: impl Fn(&mut App, &mut StaticKey)) -> Registry {
    let pepper = HmacKey::new(Algorithm::HmacSha256, &Secret::new(vec![7; 32])).unwrap();
    let pepper = Pepper::new(pepper);
    let mut all = Vec::new();
    let mut apps = Vec::new();
    for (index, (name, id, key)) in [
        ("old", "legacy-1", KEY),
        ("other", "legacy-2", "another-static-key-01234"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut app = App {
            index,
            scopes: ["orders"].into_iter().collect::<Scopes>(),
            explain: true,
            ..App::new(name)
        };
        let mut known = StaticKey {
            id: id.into(),
            app: Arc::new(App {
                index,
                explain: true,
                ..App::new(name)
            }),
            hash: KeyHash::of(&pepper, key.as_bytes()),
            not_before: None,
            not_after: None,
            enabled: true,
            uses: Arc::new(Uses::default()),
            made: None,
        };
        change(&mut app, &mut known);
        known.app = Arc::new(app);
        apps.push(known.app.clone());
        all.push(known);
    }
    Registry::new(apps, Vec::new(), 1)
        .unwrap()
        .with_static_keys(pepper, all)
        .unwrap()
}

struct Shown {
    uri: Uri,
    fields: HeaderMap,
}

fn shown(target: &str, fields: &[(&'static str, &str)]) -> Shown {
    let mut all = HeaderMap::new();
    all.insert("host", HeaderValue::from_static("api.example"));
    for (name, value) in fields {
        all.append(*name, value.parse().unwrap());
    }
    Shown {
        uri: target.parse().unwrap(),
        fields: all,
    }
}

impl Shown {
    fn received(&self) -> Received<'_> {
        let around = Surroundings {
            tls: true,
            http2: false,
            has_body: false,
            public_url: None,
        };
        Received::read(&Method::GET, &self.uri, &self.fields, around).unwrap()
    }

    fn read(&self, route: &Route) -> Result<Option<Place>, Refused> {
        let presented = Presented::read(&self.received(), route)?;
        Ok(presented.map(|presented| presented.place))
    }

    fn verified(&self, registry: &Registry) -> Result<String, Refused> {
        let received = self.received();
        let presented = Presented::read(&received, &route())?.ok_or(Refused::Missing)?;
        let now = Now::new(Duration::from_secs(NOW), Duration::ZERO);
        let caller = verify(&presented, registry, now)?;
        assert_eq!(caller.scheme(), Some(Scheme::ApiKey));
        assert_eq!(caller.assurance(), Assurance::Key);
        assert!(caller.proof().is_none(), "it is no single proof");
        Ok(caller.key_id().unwrap().to_string())
    }
}

fn rejected(why: Why) -> Refused {
    Refused::Rejected {
        why,
        explained: None,
    }
}

fn basic(text: &str) -> String {
    format!("Basic {}", BASE64.encode(text.as_bytes()))
}

#[test]
fn a_key_is_known_wherever_it_may_stand() {
    let registry = registry(|_, _| {});
    for shown in [
        shown("/", &[("x-api-key", KEY)]),
        shown("/", &[("apikey", KEY)]),
        shown("/", &[("authorization", &format!("Bearer {KEY}"))]),
        shown("/", &[("authorization", &format!("bearer   {KEY}"))]),
        shown("/", &[("authorization", &format!("ApiKey {KEY}"))]),
        shown("/", &[("authorization", &basic(&format!("{KEY}:")))]),
        shown(
            "/",
            &[("authorization", &basic(&format!("legacy-1:{KEY}")))],
        ),
        shown(&format!("/?a=1&api_key={KEY}&b"), &[]),
        shown(&format!("/?api_key={}", KEY.replace('-', "%2D")), &[]),
    ] {
        let known = shown.verified(&registry);
        assert_eq!(known.as_deref(), Ok("legacy-1"), "{:?}", shown.fields);
    }
    assert_eq!(registry.static_key_of("legacy-1").unwrap().uses.get(), 9);
    assert_eq!(registry.static_key_of("legacy-2").unwrap().uses.get(), 0);
}

#[test]
fn what_stands_elsewhere_is_no_key() {
    let elsewhere = [
        shown("/", &[]),
        shown("/", &[("x-apikey", KEY)]),
        shown("/", &[("authorization", &format!("Digest {KEY}"))]),
        shown("/", &[("authorization", &format!("Bearer2 {KEY}"))]),
        shown(&format!("/?API_KEY={KEY}&xapi_key={KEY}"), &[]),
    ];
    for shown in &elsewhere {
        assert_eq!(shown.read(&route()), Ok(None));
    }
    // Where no app has any, or only one of the registry may, nothing is looked at.
    let there = shown("/", &[("x-api-key", KEY)]);
    assert_eq!(there.read(&Route::any("test")), Ok(None));
    let places = route().key_places.as_deref().cloned().unwrap();
    let unread = Route {
        key_places: Some(Arc::new(KeyPlaces {
            unread: true,
            ..places
        })),
        ..route()
    };
    assert_eq!(there.read(&unread), Ok(None));
    // And `Authorization` is the backend's on a route that does not accept static keys.
    let signed = Route {
        accept: Accept::Proven([Scheme::HttpSignature].into_iter().collect::<SchemeSet>()),
        ..route()
    };
    let bearer = shown("/", &[("authorization", &format!("Bearer {KEY}"))]);
    assert_eq!(bearer.read(&signed), Ok(None));
    let field = there.read(&signed).unwrap();
    assert_eq!(
        field,
        Some(Place::Field(HeaderName::from_static("x-api-key")))
    );
}

#[test]
fn what_is_no_key_or_more_than_one_is_malformed_and_not_repeated() {
    let long = "k".repeat(513);
    for shown in [
        shown("/", &[("x-api-key", "")]),
        shown("/", &[("x-api-key", &format!("{KEY} x"))]),
        shown("/", &[("x-api-key", &long)]),
        shown("/", &[("x-api-key", "caf\u{e9}")]),
        shown("/", &[("authorization", "Bearer")]),
        shown("/", &[("authorization", "Basic !")]),
        shown("/", &[("authorization", &basic(KEY))]),
        shown("/", &[("authorization", &basic(":"))]),
        shown(
            "/",
            &[("authorization", &basic(&format!("{long}{long}:x")))],
        ),
        shown("/?api_key", &[]),
        shown("/?api_key=", &[]),
        shown("/?api_key=%4", &[]),
        shown("/?api_key=%zz", &[]),
        shown("/?api_key=a%20b", &[]),
        shown("/", &[("x-api-key", KEY), ("x-api-key", KEY)]),
        shown("/", &[("x-api-key", KEY), ("apikey", KEY)]),
        shown(&format!("/?api_key={KEY}"), &[("x-api-key", KEY)]),
        shown(&format!("/?api_key={KEY}&api_key={KEY}"), &[]),
    ] {
        match shown.read(&route()) {
            Err(Refused::Malformed(why)) => assert!(!why.contains("canary"), "{why}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn who_has_no_key_or_another_ones_id_is_unknown() {
    let registry = registry(|_, _| {});
    let changed = KEY.replace('0', "1");
    for shown in [
        shown("/", &[("x-api-key", &changed)]),
        shown("/", &[("x-api-key", &KEY[1..])]),
        shown("/", &[("x-api-key", "k")]),
        shown(
            "/",
            &[("authorization", &basic(&format!("legacy-2:{KEY}")))],
        ),
    ] {
        assert_eq!(shown.verified(&registry), Err(rejected(Why::UnknownKey)));
    }
    let nobody = Registry::new(Vec::new(), Vec::new(), 1).unwrap();
    let there = shown("/", &[("x-api-key", KEY)]);
    assert_eq!(there.verified(&nobody), Err(rejected(Why::UnknownKey)));
}

#[test]
fn a_key_is_taken_while_it_is_in_force() {
    let told = |change: &dyn Fn(&mut App, &mut StaticKey)| {
        let registry = registry(change);
        shown("/", &[("x-api-key", KEY)]).verified(&registry)
    };
    let now = NOW as i64;
    let inactive = Err(rejected(Why::KeyNotActive));
    assert_eq!(told(&|_, key| key.enabled = false), inactive);
    assert_eq!(told(&|_, key| key.not_before = Some(now + 1)), inactive);
    assert_eq!(told(&|_, key| key.not_after = Some(now)), inactive);
    assert!(told(&|_, key| key.not_after = Some(now + 1)).is_ok());
    assert_eq!(
        told(&|app, _| app.enabled = false),
        Err(Refused::AppDisabled)
    );
}

#[test]
fn neither_keys_nor_hashes_print() {
    let there = shown("/", &[("x-api-key", KEY)]);
    let received = there.received();
    let presented = Presented::read(&received, &route()).unwrap();
    let printed = format!("{presented:?} {:?}", registry(|_, _| {}));
    assert!(!printed.contains("canary"), "{printed}");
    assert!(printed.contains("KeyHash(..)"));
}

#[test]
fn a_key_is_taken_out_of_the_query_and_nothing_else_is_changed() {
    for (target, rest) in [
        ("/a?api_key=x", Some("/a")),
        ("/a?api_key=x&b=%2f", Some("/a?b=%2f")),
        ("/a?b&api_key=x&&c=1&c=2", Some("/a?b&&c=1&c=2")),
        ("/a?api_key=x&api_key=y", Some("/a")),
        ("/a?api_key", Some("/a")),
        ("/a?b=api_key=x", None),
        ("/a?", None),
        ("/api_key=x", None),
    ] {
        assert_eq!(without_key(target, "api_key").as_deref(), rest, "{target}");
    }
}
