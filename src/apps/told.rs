//! What is kept of apps whose callers may be told what they did wrong.

use super::{App, Key};
use crate::secret::Secret;
use std::collections::HashMap;
use std::sync::Arc;

/// The secrets of keys, to try what a caller makes of one that it reads wrongly,
/// and the keys of each app.
#[derive(Debug)]
pub struct Told {
    secrets: HashMap<Arc<str>, Secret>,
    keys: Vec<Vec<Arc<Key>>>,
}

impl Told {
    pub(super) fn new<'k>(
        secrets: Vec<(Arc<str>, Secret)>,
        keys: impl Iterator<Item = &'k Arc<Key>>,
    ) -> Self {
        let mut by_app: Vec<Vec<Arc<Key>>> = Vec::new();
        for key in keys {
            let index = key.app.index;
            if by_app.len() <= index {
                by_app.resize_with(index + 1, Vec::new);
            }
            by_app[index].push(key.clone());
        }
        for keys in &mut by_app {
            // The same ones are tried every time, the newest names first.
            keys.sort_unstable_by(|one, other| other.id.cmp(&one.id));
        }
        Self {
            secrets: secrets.into_iter().collect(),
            keys: by_app,
        }
    }

    /// The secret of a key.
    pub fn secret(&self, id: &str) -> Option<&Secret> {
        self.secrets.get(id)
    }

    /// Every key of an app.
    pub fn keys_of(&self, app: &App) -> &[Arc<Key>] {
        self.keys.get(app.index).map_or(&[], Vec::as_slice)
    }
}
