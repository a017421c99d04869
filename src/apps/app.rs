//! An app, and a key of it.

use super::{
    Assurance, Made, MadeKey, PlanInForce, Policy, SchemeSet, Scopes, Signer, TokenPolicy,
};
use crate::crypto::{Algorithm, HmacKey, VerifyingKey};
use std::sync::Arc;

/// A registered program that calls.
#[derive(Debug)]
pub struct App {
    /// Its name in `[apps.NAME]`.
    pub name: Arc<str>,
    /// Its place in the registry it was built for; rooms that keep something
    /// per app (limits) keep it in a list by this number.
    pub index: usize,
    /// What it may do.
    pub scopes: Scopes,
    /// `false` refuses every key of it.
    pub enabled: bool,
    /// Whether refusals show this app the text we verified against.
    pub explain: bool,
    /// What is asked of it.
    pub policy: Policy,
    /// How it gets tokens of the key service; `None` where it gets none.
    pub tokens: Option<Arc<TokenPolicy>>,
    /// What it has that was made at run time; `None` of one of `gateway.toml`.
    pub made: Option<Made>,
}

impl App {
    /// One that may nothing yet, alone in its registry.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            index: 0,
            scopes: Scopes::none(),
            enabled: true,
            explain: false,
            policy: Policy::default(),
            tokens: None,
            made: None,
        }
    }

    /// Whether its keys prove anything: it is switched on, and its plan is one of the settings in force.
    pub fn is_enabled(&self) -> bool {
        self.enabled && self.plan().is_none_or(PlanInForce::is_known)
    }

    /// How well it must be proven.
    pub fn assurance(&self) -> Assurance {
        let plan = self.plan().map(PlanInForce::assurance);
        plan.unwrap_or(self.policy.assurance)
    }

    fn plan(&self) -> Option<&PlanInForce> {
        self.made.as_ref()?.plan.as_deref()
    }
}

/// One credential of an app.
#[derive(Debug)]
pub struct Key {
    /// What a caller puts into `keyid` or `kid`.
    pub id: Arc<str>,
    /// The app that owns it.
    pub app: Arc<App>,
    /// The key itself, bound to its algorithm.
    pub verifying: VerifyingKey,
    /// First second it may be used, Unix time.
    pub not_before: Option<i64>,
    /// First second it may no longer be used, Unix time.
    pub not_after: Option<i64>,
    /// `false` refuses it whatever the dates say.
    pub enabled: bool,
    /// What it may prove.
    pub schemes: SchemeSet,
    /// Whether who holds it looks at an instance of the app before it makes it a token.
    pub attests: bool,
    /// What signs tokens here, where the key service does so with this key.
    pub signer: Option<Arc<Signer>>,
    /// What it has that was made at run time; `None` of one of `gateway.toml`.
    pub made: Option<Box<MadeKey>>,
}

impl Key {
    /// One that may be used from now on, for whatever its kind can prove.
    pub fn new(id: impl Into<Arc<str>>, app: Arc<App>, verifying: impl Into<VerifyingKey>) -> Self {
        Self {
            id: id.into(),
            app,
            verifying: verifying.into(),
            not_before: None,
            not_after: None,
            enabled: true,
            schemes: SchemeSet::all(),
            attests: false,
            signer: None,
            made: None,
        }
    }

    /// The one algorithm it may be used with.
    pub const fn algorithm(&self) -> Algorithm {
        self.verifying.algorithm()
    }

    /// Its secret, where it has one.
    pub const fn mac(&self) -> Option<&HmacKey> {
        self.verifying.mac()
    }

    /// Whether it is still the one that a look-up by its id finds. One of a configuration is as long as that is in force.
    pub fn is_current(&self) -> bool {
        self.made.as_ref().is_none_or(|made| made.is_current())
    }

    /// Whether another should be used.
    pub fn is_draining(&self, unix_seconds: i64) -> bool {
        let made = self.made.as_ref();
        made.is_some_and(|made| made.is_draining(unix_seconds))
    }

    /// Whether it may be used at `unix_seconds`.
    pub fn is_active(&self, unix_seconds: i64) -> bool {
        self.enabled
            && self.not_before.is_none_or(|from| unix_seconds >= from)
            && self.not_after.is_none_or(|until| unix_seconds < until)
    }
}
