//! How often apps of the registry have shown static keys.

use crate::apps::Uses;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// Apps whose uses are told by name.
const MAX_NAMED: usize = 256;

/// As many apps by name as have room, all others together. Which of both an app is stays as long as the process
/// lives, also when the app is deleted: so no number ever falls.
#[derive(Default)]
pub(super) struct Counted {
    named: BTreeMap<Arc<str>, Arc<Uses>>,
    others: Option<Arc<Uses>>,
}

impl Counted {
    /// Where uses of `app` are counted.
    pub(super) fn of(&mut self, app: &str) -> Arc<Uses> {
        if let Some(uses) = self.named.get(app) {
            return uses.clone();
        }
        if self.named.len() >= MAX_NAMED {
            return self.others.get_or_insert_default().clone();
        }
        let uses = Arc::<Uses>::default();
        self.named.insert(app.into(), uses.clone());
        uses
    }

    /// All of them, the others without a name; but not those `taken` by `gateway.toml`, which are told with its apps.
    pub(super) fn told(&self, taken: &HashSet<Arc<str>>) -> Vec<(Option<Arc<str>>, u64)> {
        let named = self.named.iter().filter(|(app, _)| !taken.contains(*app));
        let named = named.map(|(app, uses)| (Some(app.clone()), uses.get()));
        let others = self.others.iter().map(|uses| (None, uses.get()));
        named.chain(others).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn use_all(counted: &mut Counted, apps: impl Iterator<Item = usize>) {
        for app in apps {
            counted.of(&format!("app-{app:03}")).count();
        }
    }

    fn told(counted: &Counted) -> Vec<(Option<Arc<str>>, u64)> {
        counted.told(&HashSet::new())
    }

    #[test]
    fn apps_beyond_those_with_names_are_counted_together() {
        let mut counted = Counted::default();
        use_all(&mut counted, 0..MAX_NAMED);
        assert!(told(&counted).iter().all(|(app, _)| app.is_some()));
        use_all(&mut counted, 0..MAX_NAMED + 2);
        let told = told(&counted);
        assert_eq!(told.len(), MAX_NAMED + 1);
        assert_eq!(told[0], (Some(Arc::<str>::from("app-000")), 2));
        assert_eq!(told.last(), Some(&(None, 2)));
    }

    #[test]
    fn no_number_falls_when_apps_come_and_go() {
        let mut counted = Counted::default();
        use_all(&mut counted, 100..100 + MAX_NAMED + 2);
        let before = told(&counted);
        // One that stands before them by its name, one that was deleted and is made anew.
        use_all(&mut counted, [0, 100].into_iter());
        for (app, uses) in before {
            let now = told(&counted).into_iter().find(|(name, _)| *name == app);
            assert!(now.unwrap().1 >= uses, "{app:?}");
        }
    }

    #[test]
    fn an_app_of_the_file_is_told_there_alone() {
        let mut counted = Counted::default();
        use_all(&mut counted, 0..2);
        let taken = HashSet::from([Arc::from("app-000")]);
        let left = Arc::<str>::from("app-001");
        assert_eq!(counted.told(&taken), [(Some(left), 1)]);
    }
}
