//! What `gateway.toml` says of apps and keys, as the API shows it.

use super::values::moment;
use crate::apps::TokenPolicy;
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};

/// Where an app or a key stands that the API cannot change.
pub(super) const IN_FILE: &str = "gateway.toml";

/// Apps and keys of one configuration, and what those of the registry may name of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configured {
    /// By name.
    pub apps: BTreeMap<String, ConfiguredApp>,
    /// By id.
    pub keys: BTreeMap<String, ConfiguredKey>,
    /// The names of plans.
    pub plans: BTreeSet<String>,
    /// The names of issuers.
    pub issuers: BTreeSet<String>,
}

impl Configured {
    /// Whether `next` lacks a plan or an issuer of these, which apps of the registry may name.
    pub fn loses(&self, next: &Self) -> bool {
        !(self.plans.is_subset(&next.plans) && self.issuers.is_subset(&next.issuers))
    }
}

/// An app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfiguredApp {
    /// Its plan.
    pub plan: Option<String>,
    /// Its scopes.
    pub scopes: Vec<String>,
    /// Whether it may call.
    pub enabled: bool,
    /// Whether its refusals are explained.
    pub explain: bool,
    /// `enforce` or `observe`.
    pub mode: &'static str,
    /// `allow` or `refuse`.
    pub downgrade: &'static str,
    /// How the key service serves it.
    pub tokens: Option<TokenPolicy>,
}

/// A key, of whatever kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfiguredKey {
    /// The app that owns it.
    pub app: String,
    /// `secret`, `public-key`, `static` or `certificate`.
    pub kind: &'static str,
    /// Its algorithm, where it has one.
    pub algorithm: Option<&'static str>,
    /// What it may prove.
    pub schemes: Vec<&'static str>,
    /// The first second it may be used.
    pub not_before: Option<i64>,
    /// The first second it may no longer be used.
    pub not_after: Option<i64>,
    /// Whether it may be used at all.
    pub enabled: bool,
    /// Whether who holds it looks at an instance before it makes it a token.
    pub attests: bool,
}

impl ConfiguredApp {
    /// As the API shows it.
    pub fn shown(&self, name: &str) -> Json {
        json!({
            "name": name,
            "source": IN_FILE,
            "plan": self.plan,
            "scopes": self.scopes,
            "enabled": self.enabled,
            "explain": self.explain,
            "mode": self.mode,
            "downgrade": self.downgrade,
            "tokens": self.tokens,
            "in_force": true,
        })
    }
}

impl ConfiguredKey {
    /// As the API shows it at `unix_seconds`.
    pub fn shown(&self, id: &str, unix_seconds: i64) -> Json {
        json!({
            "id": id,
            "app": self.app,
            "source": IN_FILE,
            "kind": self.kind,
            "algorithm": self.algorithm,
            "state": self.state(unix_seconds),
            "schemes": self.schemes,
            "not_before": self.not_before.map(moment),
            "not_after": self.not_after.map(moment),
            "attests": self.attests,
            "in_force": true,
        })
    }

    fn state(&self, unix_seconds: i64) -> &'static str {
        if !self.enabled || self.not_after.is_some_and(|until| unix_seconds >= until) {
            "retired"
        } else if self.not_before.is_some_and(|from| unix_seconds < from) {
            "pending"
        } else {
            "active"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plan_or_an_issuer_that_is_taken_away_is_lost() {
        let with = |plans: &[&str], issuers: &[&str], apps: &[&str]| {
            let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect();
            let app = ConfiguredApp {
                plan: None,
                scopes: Vec::new(),
                enabled: false,
                explain: false,
                mode: "enforce",
                downgrade: "allow",
                tokens: None,
            };
            Configured {
                apps: apps
                    .iter()
                    .map(|name| ((*name).to_owned(), app.clone()))
                    .collect(),
                plans: names(plans),
                issuers: names(issuers),
                ..Configured::default()
            }
        };
        let before = with(&["small", "big"], &["ci"], &["shop"]);
        for (next, is_lost) in [
            (before.clone(), false),
            (with(&["small", "big"], &["ci"], &[]), false),
            (
                with(&["small", "big", "new"], &["ci", "new"], &["shop"]),
                false,
            ),
            (with(&["small", "new"], &["ci"], &["shop"]), true),
            (with(&["small", "big"], &["new"], &["shop"]), true),
        ] {
            assert_eq!(before.loses(&next), is_lost, "{next:?}");
        }
    }
}
