//! Keys that are one and the same under several ids.

use super::Gathered;
use crate::apps::{Key, Scheme};
use crate::config::file;
use crate::crypto::digest::sha256;
use crate::secret::Secret;
use std::collections::HashMap;
use std::sync::Arc;

/// Whose each key is, by the hash of its secret or its thumbprint.
#[derive(Default)]
pub(super) struct Shared {
    first: HashMap<[u8; 32], Holder>,
}

#[derive(Clone)]
struct Holder {
    id: Arc<str>,
    app: Arc<str>,
    is_webhooks: bool,
}

impl Shared {
    /// Warns of a key that another app has too, or a webhook's that callers sign with: not every scheme
    /// signs the id.
    pub(super) fn look(
        &mut self,
        written: &file::Key,
        key: &Key,
        secret: Option<&Secret>,
        gathered: &mut Gathered<'_>,
    ) {
        let mark = match (secret, key.verifying.public()) {
            (Some(secret), _) => sha256(&[secret.expose()]),
            (None, Some(public)) => *public.thumbprint(),
            (None, None) => return,
        };
        let holder = Holder {
            id: key.id.clone(),
            app: key.app.name.clone(),
            is_webhooks: key.schemes.contains(Scheme::Webhook),
        };
        let first = self.first.entry(mark).or_insert_with(|| holder.clone());
        let is_alike = first.app == holder.app && first.is_webhooks == holder.is_webhooks;
        if is_alike {
            return;
        }
        let Some(at) = written.id.get() else { return };
        let draft = at.problem(format!(
            "this is the same key as `{}`, which is {}",
            first.id,
            if first.app == holder.app {
                "for another kind of message".to_owned()
            } else {
                format!("of the app `{}`", first.app)
            }
        ));
        let hint = "what is signed with the one can pass as the other's, since not every scheme signs the key id: give each a key of its own";
        gathered.problem(draft.hint(hint).warning());
    }
}
