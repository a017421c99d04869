//! What is kept of each app, key, instance and enrolment. The fields are part
//! of the store's format: a change of them is a new version of it.

use super::life::Life;
use crate::apps::{Downgrade, Mode, Scheme, TokenPolicy};
use crate::crypto::Algorithm;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Bytes that a record has at most, as it is stored.
pub const MAX_RECORD: usize = 64 << 10;

/// Which commit has last changed a record; a later one is larger. 0: none yet.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Revision(pub u64);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppRecord {
    /// Its name; no app of `gateway.toml` has the same.
    pub name: String,
    /// Its limits: a name in `[plans]`. Without one it has no limit.
    #[serde(default)]
    pub plan: Option<String>,
    /// What it may do.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// `false` refuses all its keys.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Whether its callers are told what they did wrong.
    #[serde(default)]
    pub explain: bool,
    /// Whether what is asked of it, once it is proven, is enforced.
    #[serde(default)]
    pub mode: Mode,
    /// Whether it may fall back to a weaker proof.
    #[serde(default)]
    pub downgrade: Downgrade,
    /// How the key service serves it; without it, it does not.
    #[serde(default)]
    pub tokens: Option<TokenPolicy>,
    /// When it was made, Unix time.
    pub made_at: i64,
    /// Which commit has last changed it. The store sets it.
    #[serde(default)]
    pub revision: Revision,
}

/// A key of an app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRecord {
    /// What a caller puts into `keyid` or `kid`. No key of `gateway.toml` has the same.
    pub id: String,
    /// The app that owns it.
    pub app: String,
    /// The key itself.
    pub material: Material,
    /// What it may prove; where it is not said, as for a key of `gateway.toml`.
    #[serde(default)]
    pub schemes: Option<Vec<Scheme>>,
    /// Since when it is active, draining, retired.
    pub life: Life,
    /// The first second at which it may no longer be used, whatever its state. A key that follows it has the same.
    #[serde(default)]
    pub not_after: Option<i64>,
    /// Nobody has it: who shows it has found it where it was laid out.
    #[serde(default)]
    pub honey: bool,
    /// Whether somebody alone holds it who looks at an instance of the app before he makes it a token.
    #[serde(default)]
    pub attests: bool,
    /// When it was made, Unix time.
    pub made_at: i64,
    /// The key that it follows.
    #[serde(default)]
    pub rotated_from: Option<String>,
    /// Which commit has last changed it. The store sets it.
    #[serde(default)]
    pub revision: Revision,
}

/// What is kept of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, tag = "kind", rename_all = "kebab-case")]
pub enum Material {
    /// A secret that both sides have.
    Secret {
        /// The one algorithm it is used with.
        algorithm: Algorithm,
        /// The secret, for the key's id.
        sealed: Sealed,
    },
    /// A public key; its caller has the private one.
    Public {
        /// The one algorithm it is used with.
        algorithm: Algorithm,
        /// In PEM, or a JWK.
        public: String,
        /// Whether any salt of `rsa-pss-…` is taken.
        #[serde(default)]
        any_salt: bool,
    },
    /// A key pair of the gateway's own, for tokens that the key service signs.
    Pair {
        /// The one algorithm it is used with.
        algorithm: Algorithm,
        /// The public half, a JWK.
        public: String,
        /// The private half, in PEM, for the key's id.
        sealed: Sealed,
    },
    /// A static key: HMAC-SHA-256 of it, in hexadecimal digits, under [`super::MasterKey::pepper`].
    Static {
        /// The digits.
        hash: String,
    },
}

impl Material {
    /// The one algorithm it is used with; `None` for a static key.
    pub const fn algorithm(&self) -> Option<Algorithm> {
        match self {
            Self::Secret { algorithm, .. }
            | Self::Public { algorithm, .. }
            | Self::Pair { algorithm, .. } => Some(*algorithm),
            Self::Static { .. } => None,
        }
    }
}

/// A secret under the master key, in base64. Useless to who has only this.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sealed(pub(super) String);

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed(..)")
    }
}

/// An instance of an app, on one device or server, known by a key of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstanceRecord {
    /// Its id.
    pub id: String,
    /// The app that it is one of.
    pub app: String,
    /// Its public key, a JWK.
    pub public: String,
    /// RFC 7638 thumbprint of that, base64url.
    pub thumbprint: String,
    /// Which build of the app it is, as it said when it enrolled or was last seen.
    #[serde(default)]
    pub build: Option<String>,
    /// `false`: it was revoked.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// When it was enrolled, Unix time.
    pub enrolled_at: i64,
    /// When it was last seen, Unix time, give or take a minute.
    #[serde(default)]
    pub last_seen: Option<i64>,
    /// Which commit has last changed it. The store sets it.
    #[serde(default)]
    pub revision: Revision,
}

/// A one-time code by which instances enrol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolmentRecord {
    /// SHA-256 of the code, in hexadecimal digits: its id too.
    pub hash: String,
    /// For instances of this app.
    pub app: String,
    /// For this build only.
    #[serde(default)]
    pub build: Option<String>,
    /// The first second at which it may no longer be used, Unix time.
    pub expires: i64,
    /// How many instances may still enrol by it.
    pub uses: u32,
    /// When it was made, Unix time.
    pub made_at: i64,
    /// Which commit has last changed it. The store sets it.
    #[serde(default)]
    pub revision: Revision,
}

/// When a key was last used, by scheme, Unix time, give or take a minute.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyUses {
    /// By the scheme's name.
    pub schemes: BTreeMap<String, i64>,
}

impl KeyUses {
    /// Adds a use by the scheme of that name.
    pub fn add(&mut self, scheme: &str, at: i64) {
        match self.schemes.get_mut(scheme) {
            Some(last) => *last = at.max(*last),
            None => {
                self.schemes.insert(scheme.to_owned(), at);
            }
        }
    }

    /// When it was last used in any way.
    pub fn last(&self) -> Option<i64> {
        self.schemes.values().copied().max()
    }
}

/// Any record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// An app.
    App(AppRecord),
    /// A key.
    Key(KeyRecord),
    /// An instance.
    Instance(InstanceRecord),
    /// A code to enrol by.
    Enrolment(EnrolmentRecord),
}

/// Which record.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// The app of this name.
    App(String),
    /// The key of this id.
    Key(String),
    /// The instance of this id.
    Instance(String),
    /// The code of this hash.
    Enrolment(String),
}

impl Target {
    /// Its name or id.
    pub fn id(&self) -> &str {
        match self {
            Self::App(id) | Self::Key(id) | Self::Instance(id) | Self::Enrolment(id) => id,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::App(_) => "app",
            Self::Key(_) => "key",
            Self::Instance(_) => "instance",
            Self::Enrolment(_) => "enrolment",
        };
        write!(f, "{kind} `{}`", self.id())
    }
}

impl Record {
    /// Which one it is.
    pub fn target(&self) -> Target {
        match self {
            Self::App(app) => Target::App(app.name.clone()),
            Self::Key(key) => Target::Key(key.id.clone()),
            Self::Instance(one) => Target::Instance(one.id.clone()),
            Self::Enrolment(one) => Target::Enrolment(one.hash.clone()),
        }
    }

    /// The app that it is, or belongs to.
    pub fn app(&self) -> &str {
        match self {
            Self::App(app) => &app.name,
            Self::Key(key) => &key.app,
            Self::Instance(one) => &one.app,
            Self::Enrolment(one) => &one.app,
        }
    }

    /// Which commit has last changed it.
    pub const fn revision(&self) -> Revision {
        match self {
            Self::App(app) => app.revision,
            Self::Key(key) => key.revision,
            Self::Instance(one) => one.revision,
            Self::Enrolment(one) => one.revision,
        }
    }

    /// Says which commit changes it; for stores.
    pub const fn set_revision(&mut self, revision: Revision) {
        match self {
            Self::App(app) => app.revision = revision,
            Self::Key(key) => key.revision = revision,
            Self::Instance(one) => one.revision = revision,
            Self::Enrolment(one) => one.revision = revision,
        }
    }

    /// Why no store takes it, where it is not as it must be.
    pub fn wrong(&self) -> Option<String> {
        let name = |text: &str, what: &str| {
            (!is_name(text)).then(|| {
                format!("{what} `{text}` is not a name: 1 to 64 letters, digits, `-`, `_` and `.`")
            })
        };
        let id = |text: &str| {
            (!is_key_id(text)).then(|| {
                format!(
                    "`{text}` is not an id: 1 to 256 visible ASCII characters without `\"` and `\\`"
                )
            })
        };
        match self {
            Self::App(app) => name(&app.name, "the app")
                .or_else(|| app.plan.as_deref().and_then(|plan| name(plan, "the plan")))
                .or_else(|| {
                    let mut scopes = app.scopes.iter();
                    let wrong = scopes.find(|scope| !is_scope(scope))?;
                    Some(format!("`{wrong}` is not a scope"))
                }),
            Self::Key(key) => id(&key.id)
                .or_else(|| name(&key.app, "the app"))
                .or_else(|| {
                    let wrong = !key.life.is_in_order();
                    wrong.then(|| "the key would be retired before it is drained, or drained before it is active".to_owned())
                }),
            Self::Instance(one) => id(&one.id).or_else(|| name(&one.app, "the app")),
            Self::Enrolment(one) => id(&one.hash).or_else(|| name(&one.app, "the app")),
        }
    }
}

/// Whether `text` can be the name of an app or a plan, as in `gateway.toml`.
pub fn is_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=64).contains(&text.len()) && text.bytes().all(fits)
}

/// Whether `text` can be the id of a key, as in `gateway.toml`.
pub fn is_key_id(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
    (1..=256).contains(&text.len()) && text.bytes().all(fits)
}

/// Whether `text` can be a scope, as in `gateway.toml`.
pub fn is_scope(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b',');
    (1..=64).contains(&text.len()) && text.bytes().all(fits)
}

const fn yes() -> bool {
    true
}
