//! How many tokens an app, and each of its instances, may get.

use super::Settings;
use crate::apps::App;
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
