//! What the admin API works on while a gateway runs.

use super::control::Control;
use super::systemd;
use super::watch::Wake;
use crate::admin::api::{Configured, ConfiguredApp, ConfiguredKey, Desk, Guard, Reloaded, Turns};
use crate::apps::Scheme;
use crate::apps::made::{MasterKey, Store};
use crate::clock::Now;
use crate::config::Config;
use crate::crypto::VerifyingKey;
use crate::observe::Observer;
use std::sync::Arc;

impl Desk for Control {
    fn configured(&self) -> Arc<Configured> {
        Self::configured(self)
    }

    fn store(&self) -> Option<&Arc<dyn Store>> {
        self.store.as_ref()
    }

    fn master(&self) -> Option<&MasterKey> {
        self.master.as_ref()
    }

    fn reload(&self, dry_run: bool) -> Result<Reloaded, String> {
        let Some(file) = &self.file else {
            return Err("this gateway has no file to read again".to_owned());
        };
        if dry_run {
            return self.would_reload(file);
        }
        systemd::reloading();
        let result = self.reload_file(file, Wake::Asked);
        systemd::ready();
        self.reloaded.notify_one();
        result
    }

    fn turns(&self) -> Option<&Turns> {
        Some(&self.turns)
    }

    fn now(&self) -> Now {
        self.shared.clock.now()
    }

    fn is_serving(&self) -> bool {
        true
    }
}

/// Shows how many tokens were refused.
pub(super) fn show(observer: &Observer, guard: &Arc<Guard>) {
    let guard = guard.clone();
    observer.counter(
        "admin_tokens_refused",
        "Tokens that were refused on the admin listener",
        move || guard.refusals(),
    );
}

/// What a configuration says of apps and keys.
pub(crate) fn configured(config: &Config) -> Configured {
    let blueprint = &config.gateway;
    let apps = blueprint.apps.iter().zip(&blueprint.plans);
    let apps = apps.map(|(app, plan)| {
        let shown = ConfiguredApp {
            plan: plan.as_ref().map(|plan| plan.name.clone()),
            scopes: app.scopes.iter().map(ToOwned::to_owned).collect(),
            enabled: app.enabled,
            explain: app.explain,
            mode: app.policy.mode.name(),
            downgrade: app.policy.downgrade.name(),
            tokens: app.tokens.as_deref().cloned(),
        };
        (app.name.to_string(), shown)
    });
    let keys = blueprint.keys.iter().map(|key| {
        let shown = ConfiguredKey {
            app: key.app.name.to_string(),
            kind: match &key.verifying {
                VerifyingKey::Mac(_) => "secret",
                VerifyingKey::Public(_) => "public-key",
            },
            algorithm: Some(key.algorithm().name()),
            schemes: key.schemes.iter().map(Scheme::name).collect(),
            not_before: key.not_before,
            not_after: key.not_after,
            enabled: key.enabled,
            attests: key.attests,
        };
        (key.id.to_string(), shown)
    });
    let certificates = blueprint.certificates.iter().map(|known| {
        let shown = ConfiguredKey {
            app: known.app.name.to_string(),
            kind: "certificate",
            algorithm: None,
            schemes: vec![Scheme::ClientCertificate.name()],
            not_before: known.not_before,
            not_after: known.not_after,
            enabled: known.enabled,
            attests: false,
        };
        (known.id.to_string(), shown)
    });
    let lists = blueprint.static_keys.iter().flat_map(|keys| &keys.list);
    let static_keys = lists.map(|key| {
        let shown = ConfiguredKey {
            app: key.app.name.to_string(),
            kind: "static",
            algorithm: None,
            schemes: vec![Scheme::ApiKey.name()],
            not_before: key.not_before,
            not_after: key.not_after,
            enabled: key.enabled,
            attests: false,
        };
        (key.id.to_string(), shown)
    });
    let issuers = blueprint.tokens.issuers().iter();
    let issuers = issuers.map(|issuer| issuer.name.to_string());
    Configured {
        apps: apps.collect(),
        keys: keys.chain(certificates).chain(static_keys).collect(),
        plans: config.plans.iter().cloned().collect(),
        issuers: issuers.collect(),
    }
}
