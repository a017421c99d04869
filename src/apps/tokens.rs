//! What the key service gives an app: by which evidence, for how long, and what it does with those who fail.
//!
//! The same shape stands in `gateway.toml` under `[apps.NAME.tokens]` and in the record of an app that was
//! made at run time.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Builds an app may list.
const MAX_BUILDS: usize = 64;
/// Bytes a build's name may have.
pub const MAX_BUILD: usize = 64;
/// Workloads an app may list.
const MAX_WORKLOADS: usize = 32;
/// Claims a workload may be known by, and values of one.
const MAX_CLAIMS: usize = 16;
/// Bytes the id of a client of OAuth may have.
const MAX_CLIENT_ID: usize = 256;
/// How long a token lives unless it is said.
pub const LIFETIME: Duration = Duration::from_mins(5);

/// How an instance of an app proves to be genuine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Evidence {
    /// A key that was enrolled signs the challenge.
    InstanceKey,
    /// A platform says which workload asks, by a JWT of an issuer in `[issuers]`.
    Oidc,
    /// Nothing: for a listener that only this machine reaches.
    Dev,
}

impl Evidence {
    /// Every one, in the order they are documented.
    pub const ALL: [Self; 3] = [Self::InstanceKey, Self::Oidc, Self::Dev];

    /// The word on the wire and in `gateway.toml`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InstanceKey => "instance-key",
            Self::Oidc => "oidc",
            Self::Dev => "dev",
        }
    }

    /// The one of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }
}

/// What whoever fails gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// A token that looks like any other and opens nothing.
    #[default]
    Decoy,
    /// An error.
    Refuse,
}

impl OnFailure {
    /// The word in `gateway.toml`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Decoy => "decoy",
            Self::Refuse => "refuse",
        }
    }
}

/// How an app gets tokens of the key service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct TokenPolicy {
    /// Ids of the keys that sign: the first of them that is in force does. None: every key of the app that can,
    /// the one that came last before others.
    pub keys: Vec<Box<str>>,
    /// How long a token lives.
    pub lifetime: Duration,
    /// What is taken as evidence.
    pub evidence: Vec<Evidence>,
    /// Builds that get tokens, and whose tokens hold; none listed is every build.
    pub builds: Vec<Box<str>>,
    /// What whoever fails gets.
    pub on_failure: OnFailure,
    /// Which workloads are the app, for `oidc`.
    pub workloads: Vec<Workload>,
    /// What it is called as a client of OAuth, where it is one that gets attestations.
    pub client_id: Option<Box<str>>,
}

/// A workload, by what its platform says of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// Who says so: a name in `[issuers]`.
    pub issuer: Box<str>,
    /// What all must hold of it.
    pub claims: Vec<ClaimRule>,
    /// Whether what its platform says holds for one token only.
    #[serde(default = "yes")]
    pub single_use: bool,
}

/// A claim, and the values of it that are taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimRule {
    /// Its name, or those of the objects it lies in before it.
    #[serde(with = "one_or_more")]
    pub claim: Vec<Box<str>>,
    /// The values: one of them must be the claim's, or stand in its list.
    #[serde(with = "one_or_more")]
    pub value: Vec<Box<str>>,
}

impl TokenPolicy {
    /// Whether tokens of this build are made, and hold.
    pub fn takes_build(&self, build: Option<&str>) -> bool {
        self.builds.is_empty()
            || build.is_some_and(|build| self.builds.iter().any(|one| **one == *build))
    }
}

const fn yes() -> bool {
    true
}

/// A [`TokenPolicy`] as it is written in JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default, with = "one_or_more", skip_serializing_if = "Vec::is_empty")]
    key: Vec<Box<str>>,
    #[serde(default = "five_minutes")]
    lifetime: String,
    evidence: Vec<Evidence>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    builds: Vec<Box<str>>,
    #[serde(default)]
    on_failure: OnFailure,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    workloads: Vec<Workload>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client_id: Option<Box<str>>,
}

fn five_minutes() -> String {
    "5m".to_owned()
}

impl From<TokenPolicy> for Written {
    fn from(policy: TokenPolicy) -> Self {
        let seconds = policy.lifetime.as_secs();
        Self {
            key: policy.keys,
            lifetime: match seconds {
                seconds if seconds > 0 && seconds.is_multiple_of(60) => {
                    format!("{}m", seconds / 60)
                }
                seconds => format!("{seconds}s"),
            },
            evidence: policy.evidence,
            builds: policy.builds,
            on_failure: policy.on_failure,
            workloads: policy.workloads,
            client_id: policy.client_id,
        }
    }
}

/// Why a [`TokenPolicy`] is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPolicy {
    /// `lifetime` is no time.
    #[error("`lifetime` is no time of a minute's kind: `\"30s\"`, `\"5m\"`")]
    Lifetime,
    /// `evidence` is empty.
    #[error("`evidence` is empty: nobody could get a token")]
    NoEvidence,
    /// `builds` has too many, or one that is no name.
    #[error(
        "`builds` are at most {MAX_BUILDS} names of 1 to {MAX_BUILD} visible ASCII characters without `\"` and `\\`"
    )]
    Builds,
    /// `oidc` without `workloads`, or the other way.
    #[error("`\"oidc\"` in `evidence` and `workloads` go together")]
    Workloads,
    /// Too many workloads.
    #[error("there are more than {MAX_WORKLOADS} `workloads`")]
    TooManyWorkloads,
    /// A workload that anyone of its issuer is.
    #[error("a workload has 1 to {MAX_CLAIMS} `claims`, and each 1 to {MAX_CLAIMS} values")]
    Claims,
    /// `client_id` is none.
    #[error("`client_id` has 1 to {MAX_CLIENT_ID} visible ASCII characters without `\"` and `\\`")]
    ClientId,
}

impl TokenPolicy {
    /// Checks what no reader of one value can see.
    ///
    /// # Errors
    /// [`BadPolicy`].
    pub fn check(&self) -> Result<(), BadPolicy> {
        if self.evidence.is_empty() {
            return Err(BadPolicy::NoEvidence);
        }
        if self.builds.len() > MAX_BUILDS || !self.builds.iter().all(|build| is_build(build)) {
            return Err(BadPolicy::Builds);
        }
        if self.evidence.contains(&Evidence::Oidc) == self.workloads.is_empty() {
            return Err(BadPolicy::Workloads);
        }
        if self.workloads.len() > MAX_WORKLOADS {
            return Err(BadPolicy::TooManyWorkloads);
        }
        let few = 1..=MAX_CLAIMS;
        let is_known =
            |rule: &ClaimRule| few.contains(&rule.claim.len()) && few.contains(&rule.value.len());
        let is_one =
            |one: &Workload| few.contains(&one.claims.len()) && one.claims.iter().all(is_known);
        if !self.workloads.iter().all(is_one) {
            return Err(BadPolicy::Claims);
        }
        if !self.client_id.as_deref().is_none_or(is_client_id) {
            return Err(BadPolicy::ClientId);
        }
        Ok(())
    }
}

/// Whether `text` can name a build: it stands in tokens and logs.
pub fn is_build(text: &str) -> bool {
    (1..=MAX_BUILD).contains(&text.len()) && is_plain(text)
}

/// Whether `text` can name a client of OAuth (RFC 6749, appendix A.1, without spaces).
fn is_client_id(text: &str) -> bool {
    (1..=MAX_CLIENT_ID).contains(&text.len()) && is_plain(text)
}

fn is_plain(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
    text.bytes().all(fits)
}

impl TryFrom<Written> for TokenPolicy {
    type Error = BadPolicy;

    fn try_from(written: Written) -> Result<Self, BadPolicy> {
        let policy = Self {
            keys: written.key,
            lifetime: lifetime(&written.lifetime).ok_or(BadPolicy::Lifetime)?,
            evidence: written.evidence,
            builds: written.builds,
            on_failure: written.on_failure,
            workloads: written.workloads,
            client_id: written.client_id,
        };
        policy.check()?;
        Ok(policy)
    }
}

fn lifetime(text: &str) -> Option<Duration> {
    const UNITS: [(char, u64); 3] = [('s', 1), ('m', 60), ('h', 3_600)];
    let (unit, seconds) = UNITS.into_iter().find(|(unit, _)| text.ends_with(*unit))?;
    let number: u32 = text.strip_suffix(unit)?.parse().ok()?;
    (number > 0).then(|| Duration::from_secs(u64::from(number) * seconds))
}

/// One text, or several in a list.
mod one_or_more {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        One(Box<str>),
        More(Vec<Box<str>>),
    }

    pub(super) fn serialize<S: Serializer>(list: &[Box<str>], to: S) -> Result<S::Ok, S::Error> {
        match list {
            [one] => one.serialize(to),
            list => list.serialize(to),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<Box<str>>, D::Error> {
        Ok(match Either::deserialize(from)? {
            Either::One(one) => vec![one],
            Either::More(list) => list,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<TokenPolicy, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_written_is_read_again() {
        let text = r#"{"key":"mobile-tokens","lifetime":"5m","evidence":["instance-key","oidc"],"builds":["1.4.2"],"on_failure":"refuse","workloads":[{"issuer":"github","claims":[{"claim":"repository","value":["acme/app","acme/other"]},{"claim":["kubernetes.io","namespace"],"value":"prod"}],"single_use":true}]}"#;
        let policy = read(text).unwrap();
        assert_eq!(policy.lifetime, Duration::from_mins(5));
        assert_eq!(serde_json::to_string(&policy).unwrap(), text);
        let short = read(r#"{"evidence":["dev"],"lifetime":"90s"}"#).unwrap();
        assert!(short.keys.is_empty() && short.on_failure == OnFailure::Decoy);
        assert_eq!(short.lifetime, Duration::from_secs(90));
        assert!(serde_json::to_string(&short).unwrap().contains("\"90s\""));
    }

    #[test]
    fn what_would_let_in_nobody_or_anybody_is_refused() {
        let long = format!(r#"{{"evidence":["dev"],"builds":["{}"]}}"#, "x".repeat(65));
        for (text, why) in [
            (r#"{"evidence":[]}"#, "`evidence` is empty"),
            (r#"{"evidence":["dev"],"lifetime":"0s"}"#, "`lifetime`"),
            (r#"{"evidence":["dev"],"lifetime":"5"}"#, "`lifetime`"),
            (r#"{"evidence":["oidc"]}"#, "go together"),
            (
                r#"{"evidence":["dev"],"workloads":[{"issuer":"a","claims":[]}]}"#,
                "go together",
            ),
            (
                r#"{"evidence":["oidc"],"workloads":[{"issuer":"a","claims":[]}]}"#,
                "`claims`",
            ),
            (r#"{"evidence":["dev"],"other":1}"#, "unknown field"),
            (r#"{"evidence":["psychic"]}"#, "unknown variant"),
            (&*long, "`builds`"),
        ] {
            let refused = read(text).unwrap_err();
            assert!(refused.contains(why), "{text}: {refused}");
        }
    }

    #[test]
    fn a_build_that_is_not_listed_gets_nothing() {
        let any = read(r#"{"evidence":["dev"]}"#).unwrap();
        assert!(any.takes_build(None) && any.takes_build(Some("1")));
        let some = read(r#"{"evidence":["dev"],"builds":["1.4.2"]}"#).unwrap();
        assert!(some.takes_build(Some("1.4.2")));
        assert!(!some.takes_build(Some("1.4.1")) && !some.takes_build(None));
    }
}
