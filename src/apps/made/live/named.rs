//! What apps in force name of the settings: settings without it cannot follow.

use super::Held;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// How many apps in force name each plan, and how often they name each issuer. An app that was replaced
/// is not in force, whoever still holds it.
#[derive(Default)]
pub(super) struct Named {
    pub(super) plans: Times,
    pub(super) issuers: Times,
}

/// How often each name is named.
#[derive(Default)]
pub(super) struct Times(HashMap<Arc<str>, usize>);

impl Named {
    /// An app is in force.
    pub(super) fn add(&mut self, held: &Held) {
        if let Some(plan) = plan_of(held) {
            self.plans.add(plan);
        }
        for issuer in issuers_of(held) {
            self.issuers.add(issuer);
        }
    }

    /// It is no more, or another is in its place.
    pub(super) fn subtract(&mut self, held: &Held) {
        if let Some(plan) = plan_of(held) {
            self.plans.subtract(plan);
        }
        for issuer in issuers_of(held) {
            self.issuers.subtract(issuer);
        }
    }
}

impl Times {
    fn add(&mut self, name: &str) {
        if let Some(times) = self.0.get_mut(name) {
            *times += 1;
        } else {
            self.0.insert(name.into(), 1);
        }
    }

    fn subtract(&mut self, name: &str) {
        if let Some(times) = self.0.get_mut(name) {
            *times -= 1;
            if *times == 0 {
                self.0.remove(name);
            }
        }
    }

    /// The names that are not among the `known` ones, in order.
    pub(super) fn missing(&self, known: &HashSet<Arc<str>>) -> Vec<Arc<str>> {
        let names = self.0.keys();
        let mut missing: Vec<_> = names
            .filter(|name| !known.contains(*name))
            .cloned()
            .collect();
        missing.sort_unstable();
        missing
    }
}

fn plan_of(held: &Held) -> Option<&str> {
    let plan = held.app.made.as_ref()?.plan.as_ref()?;
    Some(&plan.name)
}

fn issuers_of(held: &Held) -> impl Iterator<Item = &str> {
    let workloads = held.app.tokens.iter().flat_map(|policy| &policy.workloads);
    workloads.map(|one| &*one.issuer)
}
