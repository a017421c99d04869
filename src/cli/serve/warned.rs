//! What someone should know about a configuration, told once.

use crate::clock::Now;
use crate::config::{Dated, Loaded, Problem};
use std::collections::HashSet;

/// What is told of the configuration in force. Its lines may have moved since.
#[derive(Default)]
pub(super) struct Warned {
    told: HashSet<(String, String)>,
    warnings: Warnings,
}

/// What someone should know about a configuration, some of it at its time.
#[derive(Default)]
pub(super) struct Warnings {
    always: Vec<Problem>,
    dated: Dated,
}

impl Warnings {
    /// Those of a configuration.
    pub(super) fn of(loaded: &Loaded) -> Self {
        Self {
            always: loaded.warnings.clone(),
            dated: loaded.dated.clone(),
        }
    }

    /// Those that hold at a time, as `check` tells them.
    pub(super) fn at(&self, now: Now) -> Vec<Problem> {
        let dated = self.dated.at(now.unix_seconds());
        self.always.iter().chain(dated).cloned().collect()
    }
}

impl Warned {
    /// All that holds by now was told already.
    pub(super) fn knowing(warnings: Warnings, now: Now) -> Self {
        let mut warned = Self::default();
        warned.anew(&warnings.at(now));
        warned.warnings = warnings;
        warned
    }

    /// Another configuration is in force: tells what was not told of the one before.
    pub(super) fn tell(&mut self, warnings: Warnings, now: Now) {
        self.warnings = warnings;
        self.look(now);
    }

    /// Tells of what the time has come since.
    pub(super) fn look(&mut self, now: Now) {
        let warnings = self.warnings.at(now);
        for warning in self.anew(&warnings) {
            tracing::warn!("{warning}");
        }
    }

    fn anew<'w>(&mut self, warnings: &'w [Problem]) -> Vec<&'w Problem> {
        let subject = |warning: &Problem| (warning.key.clone(), warning.message.clone());
        let before = std::mem::replace(&mut self.told, warnings.iter().map(subject).collect());
        let anew = |warning: &&Problem| !before.contains(&subject(warning));
        warnings.iter().filter(anew).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const OPEN: &str = "[upstreams.backend]\nservers = [\"http://127.0.0.1:1\"]\n[[routes]]\nname = \"all\"\n\
                        path = \"/**\"\nupstream = \"backend\"\naccept = [\"public\"]\n";

    fn warnings(apps: &str) -> Vec<Problem> {
        of(apps).at(at(0))
    }

    fn of(apps: &str) -> Warnings {
        let loaded = crate::config::from_text(&format!("{OPEN}{apps}"), "gateway.toml").unwrap();
        Warnings::of(&loaded)
    }

    fn at(unix_seconds: u64) -> Now {
        Now::new(Duration::from_secs(unix_seconds), Duration::ZERO)
    }

    #[test]
    fn what_the_configuration_before_was_warned_of_is_not_told_again_wherever_it_stands_now() {
        let mut warned = Warned::default();
        let mut told = |warnings: &[Problem]| {
            let anew = warned.anew(warnings).into_iter();
            anew.map(|warning| warning.key.clone()).collect::<Vec<_>>()
        };
        let one = warnings("[apps.shop]\n");
        assert_eq!(told(&one), ["apps.shop"]);
        let two = warnings("[apps.kiosk]\n\n# Moved.\n[apps.shop]\n");
        assert_eq!(told(&two), ["apps.kiosk"]);
        assert!(told(&two).is_empty());
        assert!(told(&[]).is_empty());
        assert_eq!(told(&one), ["apps.shop"], "it was gone");
    }

    #[test]
    fn what_comes_to_its_time_while_the_configuration_is_in_force_is_told_once() {
        const SUNSET: &str = "[apps.shop]\n[api_keys]\nsunset = 1970-01-02\n";
        let mut warned = Warned::knowing(of(SUNSET), at(86_399));
        let mut told = |now| {
            let warnings = warned.warnings.at(at(now));
            warned.anew(&warnings).len()
        };
        assert_eq!(
            [86_399, 86_400, 90_000, 93_600].map(&mut told),
            [0, 1, 0, 0]
        );
    }
}
