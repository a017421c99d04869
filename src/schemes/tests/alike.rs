//! Unknown key and wrong signature are the same work, in every scheme: as many hashes, MACs and signatures are
//! computed, of as many bytes. And so is what the doctor does behind them.

use crate::apps::{App, Key, KeyHash, Pepper, Registry, SchemeSet, StaticKey, Uses};
use crate::clock::Now;
use crate::crypto::blocks::counted;
use crate::crypto::{Algorithm, HmacKey, PssSalt, PublicKey, VerifyingKey, Work};
use crate::route::{Dialect, IssuerSet, KeyPlaces, Route, Sender, Takers, Webhooks};
use crate::schemes::doctor::{self, Budget};
use crate::schemes::freshness::Freshness;
use crate::schemes::token::{Cache, Issuer, KeySet, Keys, Settings, Whose};
use crate::schemes::{Presented, Received, Refused, Rules, Surroundings, Why};
use crate::secret::Secret;
use data_encoding::{BASE64, BASE64URL_NOPAD};
use http::{HeaderMap, HeaderName, Method, Uri};
use std::sync::Arc;
use std::time::Duration;

/// 2027-01-15, 8 o'clock.
const NOW: u64 = 1_800_000_000;
/// Two ids of one length.
const KNOWN: &str = "known-2026";
const NOBODYS: &str = "nobody-xyz";

const SECRET: [u8; 32] = [0xa7; 32];
const BODY: &[u8] = b"{\"type\": \"order.paid\"}";

/// A key of every kind that verifies.
fn kinds() -> Vec<VerifyingKey> {
    let public = |algorithm, text: &str| {
        let key = PublicKey::read(algorithm, text.as_bytes(), PssSalt::Digest);
        VerifyingKey::from(key.unwrap())
    };
    let mac = |algorithm| {
        let secret = Secret::new(SECRET.to_vec());
        VerifyingKey::from(HmacKey::new(algorithm, &secret).unwrap())
    };
    macro_rules! pem {
        ($name:literal) => {
            include_str!(concat!("../../../tests/it/vectors/rfc9421/keys/", $name))
        };
    }
    vec![
        mac(Algorithm::HmacSha256),
        mac(Algorithm::HmacSha512),
        public(Algorithm::Ed25519, pem!("test-key-ed25519.pub.pem")),
        public(
            Algorithm::EcdsaP256Sha256,
            pem!("test-key-ecc-p256.pub.pem"),
        ),
        public(Algorithm::RsaPssSha512, pem!("test-key-rsa-pss.pub.pem")),
        public(Algorithm::RsaV15Sha256, pem!("test-key-rsa.pub.pem")),
    ]
}

fn app() -> Arc<App> {
    Arc::new(App::new("mobile"))
}

fn key(id: &str, verifying: VerifyingKey, schemes: SchemeSet) -> Key {
    Key {
        schemes,
        ..Key::new(id, app(), verifying)
    }
}

/// One key, and so many more of the same app.
fn registry(verifying: &VerifyingKey, siblings: usize) -> Registry {
    registry_of(verifying, std::iter::repeat_n(verifying, siblings))
}

/// One key, and more of the same app, of these kinds.
fn registry_of<'k>(
    verifying: &VerifyingKey,
    siblings: impl Iterator<Item = &'k VerifyingKey>,
) -> Registry {
    let sibling = |(number, kind): (usize, &VerifyingKey)| {
        let id = format!("sibling-{number}");
        key(&id, kind.double(), SchemeSet::all())
    };
    let one = key(KNOWN, verifying.clone(), SchemeSet::all());
    let keys = std::iter::once(one).chain(siblings.enumerate().map(sibling));
    Registry::new(vec![app()], keys.collect(), 1).unwrap()
}

/// MACs and signatures, and what SHA-256 took in for them.
#[derive(Debug, PartialEq)]
struct Done {
    work: Vec<(Work, usize)>,
    blocks: usize,
}

/// A request with these fields, and what is asked of it.
struct Scene {
    method: Method,
    target: Uri,
    fields: HeaderMap,
    body: Option<&'static [u8]>,
    route: Route,
    tokens: Settings,
}

impl Scene {
    fn new(fields: &[(&str, &str)]) -> Self {
        let mut map = HeaderMap::new();
        for (name, value) in [("host", "api.example")].iter().chain(fields) {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            map.insert(name, value.parse().unwrap());
        }
        Self {
            method: Method::GET,
            target: "/orders?b=2&a=1".parse().unwrap(),
            fields: map,
            body: None,
            route: Route::any("any"),
            tokens: Settings::new(None, Duration::from_mins(15), Duration::from_secs(30)),
        }
    }

    /// Why it is refused, and the work of it; with the doctor's behind it, where `explain` is on.
    fn refused(&self, registry: &Registry, explain: bool) -> (Why, Done) {
        let now = Now::new(Duration::from_secs(NOW), Duration::ZERO);
        let around = Surroundings {
            tls: true,
            http2: false,
            has_body: self.body.is_some(),
            public_url: None,
        };
        let received = Received::read(&self.method, &self.target, &self.fields, around).unwrap();
        let received = received.with_body(self.body);
        let cache = Cache::new(8);
        let rules = Rules {
            registry,
            freshness: Freshness::USUAL,
            tokens: &self.tokens,
            verified: &cache,
            explain: false,
        };
        let presented = Presented::read(&received, &self.route).unwrap();
        Work::taken();
        let verify = || presented.verify(&received, &self.route, rules, now);
        let (refused, mut blocks) = counted(verify);
        let refused = refused.unwrap_err();
        let Refused::Rejected { why, .. } = &refused else {
            panic!("{refused:?}");
        };
        if explain {
            let (budget, route) = (Budget::default(), &self.route);
            let examine =
                || doctor::examine(&refused, &received, route, registry, true, &budget, now);
            let (told, more) = counted(examine);
            assert_eq!(told, None);
            blocks += more;
        }
        let work = Work::taken();
        assert!(!work.is_empty() || blocks > 0);
        assert!(!explain || work.len() > 8 || blocks > 200, "{work:?}");
        (*why, Done { work, blocks })
    }
}

/// Holds that a request by an id that nobody has and one by a known one are the same work.
fn assert_alike(what: &str, verifying: &VerifyingKey, by: impl Fn(&str) -> Scene) {
    for siblings in [0, 1, 3, 12] {
        for explain in [false, true] {
            let registry = registry(verifying, siblings);
            let secret = Secret::new(SECRET.to_vec());
            let registry = registry.telling(vec![(KNOWN.into(), secret)], true);
            // Some doubles are made when they are first needed.
            by(NOBODYS).refused(&registry, explain);
            let (why, known) = by(KNOWN).refused(&registry, explain);
            assert_eq!(why, Why::WrongSignature, "{what}");
            let (why, nobodys) = by(NOBODYS).refused(&registry, explain);
            assert_eq!(why, Why::UnknownKey, "{what}");
            assert_eq!(known, nobodys, "{what}, {siblings} more, {explain}");
        }
    }
}

/// As many bytes as a signature of this key has.
fn guess(verifying: &VerifyingKey) -> Vec<u8> {
    let length = match verifying.algorithm() {
        Algorithm::HmacSha256 => 32,
        Algorithm::HmacSha512 | Algorithm::Ed25519 | Algorithm::EcdsaP256Sha256 => 64,
        _ => 256,
    };
    vec![0x5a; length]
}

/// A request that nobody has signed with the key of that id.
fn guessed(verifying: &VerifyingKey, id: &str) -> Scene {
    let signature = format!("sig=:{}:", BASE64.encode(&guess(verifying)));
    let input = format!(
        "sig=(\"@method\" \"@authority\" \"@path\" \"@query\");created={NOW};keyid=\"{id}\""
    );
    Scene::new(&[("signature-input", &input), ("signature", &signature)])
}

#[test]
fn of_http_signature() {
    for verifying in kinds() {
        let name = verifying.algorithm().name();
        assert_alike(name, &verifying, |id| guessed(&verifying, id));
    }
}

/// Of what kinds the other keys of an app are is told by nothing, nor whether a secret is kept.
#[test]
fn of_apps_with_keys_of_several_kinds() {
    let kinds = kinds();
    for named in &kinds {
        let alone = registry(named, 0).telling(Vec::new(), true);
        // Its double is made when it is first needed.
        guessed(named, NOBODYS).refused(&alone, true);
        let (_, nobodys) = guessed(named, NOBODYS).refused(&alone, true);
        let assert_same = |what: &str, registry: Registry| {
            let (why, known) = guessed(named, KNOWN).refused(&registry, true);
            assert_eq!(why, Why::WrongSignature);
            let named = named.algorithm().name();
            assert_eq!(known, nobodys, "{named} beside {what}");
        };
        assert_same("none", alone);
        let secrets = || vec![(KNOWN.into(), Secret::new(SECRET.to_vec()))];
        for other in &kinds {
            let beside = registry_of(named, std::iter::repeat_n(other, 7));
            let name = other.algorithm().name();
            assert_same(name, beside.telling(secrets(), true));
        }
        let beside = registry_of(named, kinds.iter().chain(&kinds));
        assert_same("all kinds", beside.telling(secrets(), true));
    }
}

#[test]
fn of_aws_sigv4() {
    let signature = "5a".repeat(32);
    let mac = &kinds()[0];
    assert_alike("in the header", mac, |id| {
        let value = format!(
            "AWS4-HMAC-SHA256 Credential={id}/20270115/us-east-1/api/aws4_request, SignedHeaders=host;x-amz-date, Signature={signature}"
        );
        Scene::new(&[
            ("x-amz-date", "20270115T080000Z"),
            ("authorization", &value),
        ])
    });
    assert_alike("in the URL", mac, |id| {
        Scene {
        target: format!(
            "/orders?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={id}%2F20270115%2Fus-east-1%2Fapi%2Faws4_request\
             &X-Amz-Date=20270115T080000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature={signature}"
        )
        .parse()
        .unwrap(),
        ..Scene::new(&[])
    }
    });
}

#[test]
fn of_hmac_auth() {
    let mac = &kinds()[0];
    let signature = BASE64.encode(&guess(mac));
    for dialect in Dialect::ALL {
        assert_alike(dialect.name(), mac, |id| {
            let (word, name, list) = match dialect {
                Dialect::Kong => ("hmac", "username", "date request-line"),
                Dialect::Apisix => ("Signature", "keyId", "@request-target date"),
                Dialect::Cavage12 => ("Signature", "keyId", "(request-target) host date"),
            };
            let value = format!(
                "{word} {name}=\"{id}\", algorithm=\"hmac-sha256\", headers=\"{list}\", signature=\"{signature}\""
            );
            let fields = [
                ("date", "Fri, 15 Jan 2027 08:00:00 GMT"),
                ("authorization", &*value),
            ];
            let mut scene = Scene::new(&fields);
            scene.route.dialect = Some(dialect);
            scene
        });
    }
}

/// A token with this `kid` that nobody has signed.
fn token(verifying: &VerifyingKey, id: &str) -> String {
    let part = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
    let header = format!(
        "{{\"alg\":\"{}\",\"kid\":\"{id}\"}}",
        verifying.algorithm().jose_name()
    );
    let claims = format!("{{\"exp\":{}}}", NOW + 60);
    let signature = BASE64URL_NOPAD.encode(&guess(verifying));
    format!("{}.{}.{signature}", part(&header), part(&claims))
}

#[test]
fn of_tokens() {
    let for_tokens = kinds().into_iter();
    for verifying in for_tokens.filter(|one| one.algorithm().is_for_tokens()) {
        let name = verifying.algorithm().name();
        assert_alike(name, &verifying, |id| {
            Scene::new(&[("portcullis-token", &token(&verifying, id))])
        });
    }
}

#[test]
fn of_tokens_of_issuers() {
    let mac = &kinds()[0];
    let scene = |id: &str, own: bool, name: Option<&str>| {
        let mut scene = Scene::new(&[("portcullis-token", &token(mac, id))]);
        let issuer = Issuer {
            name: "outside".into(),
            iss: None,
            audiences: Vec::new(),
            fields: Vec::new(),
            attests: false,
            max_lifetime: Duration::from_hours(1),
            whose: Whose::App(app()),
            signature_key: None,
            signature_secret: None,
            scopes: None,
            algorithms: vec![Algorithm::HmacSha256],
            keys: Arc::new(Keys::fixed(KeySet::of_secret(
                name,
                HmacKey::dummy(Algorithm::HmacSha256),
            ))),
            keys_from: "here".into(),
        };
        scene.route.token_takers = vec![Takers {
            own,
            issuers: IssuerSet::NONE.with(0),
        }];
        scene.tokens = scene.tokens.with_issuers(vec![issuer], mac.double());
        scene
    };
    let none = Registry::new(vec![app()], Vec::new(), 1).unwrap();
    let (why, known) = scene(KNOWN, false, Some(KNOWN)).refused(&none, false);
    assert_eq!(why, Why::WrongSignature);
    let (why, nobodys) = scene(NOBODYS, false, Some(KNOWN)).refused(&none, false);
    assert_eq!(why, Why::UnknownKey);
    assert_eq!(known, nobodys);
    // Ours beside a key of an issuer that has no name, and is tried for every one.
    let ours = registry(mac, 0);
    let (_, known) = scene(KNOWN, true, None).refused(&ours, false);
    let (_, nobodys) = scene(NOBODYS, true, None).refused(&ours, false);
    assert_eq!(known, nobodys);
}

#[test]
fn of_static_keys() {
    let pepper = Pepper::new(HmacKey::dummy(Algorithm::HmacSha256));
    let (over, unknown) = ("a-key-that-is-over", "a-key-nobody-has-x");
    let known = StaticKey {
        id: KNOWN.into(),
        app: app(),
        hash: KeyHash::of(&pepper, over.as_bytes()),
        not_before: None,
        not_after: Some(1),
        enabled: true,
        uses: Arc::new(Uses::default()),
        made: None,
    };
    let registry = Registry::new(vec![app()], Vec::new(), 1).unwrap();
    let registry = registry.with_static_keys(pepper, vec![known]).unwrap();
    let work = |shown: &str| {
        let mut scene = Scene::new(&[("x-api-key", shown)]);
        scene.route.key_places = Some(Arc::new(KeyPlaces {
            fields: vec![HeaderName::from_static("x-api-key")],
            ..KeyPlaces::default()
        }));
        scene.refused(&registry, false)
    };
    let ((over, known), (unknown, nobodys)) = (work(over), work(unknown));
    assert_eq!((over, unknown), (Why::KeyNotActive, Why::UnknownKey));
    assert_eq!(known, nobodys);
}

/// A webhook names no key: all of its app are tried. One whose app has none is the work of one.
#[test]
fn of_webhooks() {
    let mac = &kinds()[0];
    let hex = "5a".repeat(32);
    let base64 = BASE64.encode(&guess(mac));
    let time = NOW.to_string();
    for (sender, fields) in [
        (
            Sender::StandardWebhooks,
            vec![
                ("webhook-id", "msg_1".to_owned()),
                ("webhook-timestamp", time.clone()),
                ("webhook-signature", format!("v1,{base64} v1,{base64}")),
            ],
        ),
        (
            Sender::Github,
            vec![("x-hub-signature-256", format!("sha256={hex}"))],
        ),
        (
            Sender::Stripe,
            vec![("stripe-signature", format!("t={time},v1={hex},v1={hex}"))],
        ),
        (
            Sender::Slack,
            vec![
                ("x-slack-request-timestamp", time.clone()),
                ("x-slack-signature", format!("v0={hex}")),
            ],
        ),
    ] {
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| (*name, &**value))
            .collect();
        let work = |keys: Vec<Key>| {
            let registry = Registry::new(vec![app()], keys, 1).unwrap();
            let mut scene = Scene::new(&fields);
            scene.method = Method::POST;
            scene.target = "/hooks".parse().unwrap();
            scene.body = Some(BODY);
            scene.route.webhooks = Some(Webhooks {
                sender,
                app: 0,
                query: false,
                window: None,
                hold: 1024,
            });
            let (why, work) = scene.refused(&registry, false);
            assert_eq!(why, Why::WrongSignature);
            work
        };
        let schemes: SchemeSet = [crate::apps::Scheme::Webhook].into_iter().collect();
        let one = |id: &str| key(id, mac.double(), schemes);
        let alone = work(vec![one("a")]);
        // The double is made when it is first needed.
        work(Vec::new());
        assert_eq!(work(Vec::new()), alone, "{sender:?}");
        let both = work(vec![one("a"), one("b")]);
        assert_eq!(both.work.len(), 2 * alone.work.len());
    }
}
