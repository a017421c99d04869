//! What someone should know about a configuration, told once.

use crate::clock::Now;
use crate::config::{Loaded, Problem};
use std::collections::HashSet;

/// What is told of the configuration in force. Its lines may have moved since.
#[derive(Default)]
pub(super) struct Warned(HashSet<(String, String)>);

/// What someone should know about it at a time, as `check` tells it.
pub(super) fn warnings(loaded: &Loaded, now: Now) -> Vec<Problem> {
    let lapsed = loaded.lapsed(now.unix_seconds());
    loaded.warnings.iter().chain(lapsed).cloned().collect()
}

impl Warned {
    /// Tells of those that were not told of the configuration before.
    pub(super) fn tell(&mut self, warnings: &[Problem]) {
        for warning in self.anew(warnings) {
            tracing::warn!("{warning}");
        }
    }

    /// As [`Warned::tell`], where they were told already.
    pub(super) fn know(&mut self, warnings: &[Problem]) {
        self.anew(warnings);
    }

    fn anew<'w>(&mut self, warnings: &'w [Problem]) -> Vec<&'w Problem> {
        let subject = |warning: &Problem| (warning.key.clone(), warning.message.clone());
        let before = std::mem::replace(&mut self.0, warnings.iter().map(subject).collect());
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
        let loaded = crate::config::from_text(&format!("{OPEN}{apps}"), "gateway.toml").unwrap();
        super::warnings(&loaded, Now::new(Duration::ZERO, Duration::ZERO))
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
}
