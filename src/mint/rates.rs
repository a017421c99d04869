//! How many tokens an app, and each of its instances, may get.

use super::evidence::Examined;
use super::reason::Instead;
use super::{InForce, No, Reason, Service, Settings};
use crate::apps::{App, Key};
use crate::limit::Debts;
use crate::limit::app::Rate;
use std::collections::HashMap;
use std::sync::Arc;

/// Those of an app.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// Tokens that the app may get.
    pub app: Option<Rate>,
    /// Tokens that each instance of it, or workload, may get.
    pub instance: Option<Rate>,
}

/// Which app has which.
#[derive(Clone, Debug, Default)]
pub struct TokenRates {
    /// Where its plan says nothing else, or it has none.
    pub usual: Rates,
    /// Of plans that do say something.
    pub plans: HashMap<Arc<str>, Rates>,
    /// The plans of apps of the configuration; others bring theirs along.
    pub plan_of: HashMap<Arc<str>, Arc<str>>,
}

impl Settings {
    /// Those of `app`.
    pub(super) fn rates_of(&self, app: &App) -> &Rates {
        let rates = &self.rates;
        let plan = match &app.made {
            Some(made) => made.plan.as_ref().map(|plan| &plan.name),
            None => rates.plan_of.get(&app.name),
        };
        let own = plan.and_then(|plan| rates.plans.get(plan));
        own.unwrap_or(&rates.usual)
    }
}

impl Service {
    /// Counts a token against its app and its instance, now that both are proven: against both, or neither.
    pub(super) fn charge(
        &self,
        key: &Key,
        examined: &Examined<'_>,
        with: InForce<'_>,
    ) -> Result<(), No> {
        let app = &key.app.name;
        let rates = with.settings.rates_of(&key.app);
        let waits = |why, wait| {
            self.tell(app, why, Instead::Wait, with.now);
            No::Rate(why, wait)
        };
        let subject = examined.subject.as_deref().zip(rates.instance.as_ref());
        let instance = subject.map(|(subject, rate)| {
            let debts = self.instances.get_or_init(Debts::new);
            (debts, (&**app, subject), rate)
        });
        if let Some((debts, name, rate)) = instance {
            let within = debts.check(name, rate, with.now);
            within.map_err(|wait| waits(Reason::InstanceRate, wait))?;
        }
        if let Some(rate) = &rates.app {
            let within = self.apps.admit(app, rate, with.now);
            within.map_err(|wait| waits(Reason::AppRate, wait))?;
        }
        if let Some((debts, name, rate)) = instance
            && let Err(wait) = debts.admit(name, rate, with.now)
        {
            // Another request of the instance came between.
            if rates.app.is_some() {
                self.apps.take_back(app);
            }
            return Err(waits(Reason::InstanceRate, wait));
        }
        Ok(())
    }

    /// Takes back what [`Self::charge`] counted: there is no token after all.
    pub(super) fn take_back(&self, key: &Key, examined: &Examined<'_>, with: InForce<'_>) {
        let app = &key.app.name;
        let rates = with.settings.rates_of(&key.app);
        if rates.app.is_some() {
            self.apps.take_back(app);
        }
        let subject = examined.subject.as_deref().zip(rates.instance.as_ref());
        if let (Some((subject, rate)), Some(debts)) = (subject, self.instances.get()) {
            debts.take_back((&**app, subject), rate);
        }
    }
}
