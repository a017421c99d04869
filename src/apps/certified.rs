//! Apps that are known by a certificate.

use super::App;
use crate::crypto::certificate::{Certificate, Name};
use std::collections::HashMap;
use std::sync::Arc;

/// One credential of an app: a certificate of a client, by what is known of it.
#[derive(Debug)]
pub struct Certified {
    /// Its id beside those of keys, for logs and the upstream.
    pub id: Arc<str>,
    /// The app that owns it.
    pub app: Arc<App>,
    /// Which certificate it is.
    pub who: Who,
    /// First second it may be used, Unix time.
    pub not_before: Option<i64>,
    /// First second it may no longer be used, Unix time.
    pub not_after: Option<i64>,
    /// `false` refuses it whatever the dates say.
    pub enabled: bool,
}

/// Which certificate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Who {
    /// Any that is made out to this name.
    Name(Name),
    /// The one of these bytes, by their SHA-256.
    Fingerprint([u8; 32]),
}

/// Why a certificate stands for no app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoOne {
    /// Nothing is known of it.
    Unknown,
    /// It is made out to names of several credentials.
    Several,
}

impl Certified {
    /// Whether it may be used at `unix_seconds`.
    pub fn is_active(&self, unix_seconds: i64) -> bool {
        self.enabled
            && self.not_before.is_none_or(|from| unix_seconds >= from)
            && self.not_after.is_none_or(|until| unix_seconds < until)
    }
}

/// The certificates of one configuration.
#[derive(Debug, Default)]
pub(super) struct Certificates(HashMap<Who, Arc<Certified>>);

impl Certificates {
    pub(super) fn new(list: Vec<Certified>) -> Self {
        let known = list.into_iter().map(Arc::new);
        Self(known.map(|one| (one.who.clone(), one)).collect())
    }

    /// Its bytes say more than its names.
    pub(super) fn find(&self, certificate: &Certificate) -> Result<&Arc<Certified>, NoOne> {
        let whole = Who::Fingerprint(*certificate.fingerprint());
        if let Some(found) = self.0.get(&whole) {
            return Ok(found);
        }
        let names = certificate.names().iter().cloned().map(Who::Name);
        let mut found = names.filter_map(|name| self.0.get(&name));
        let first = found.next().ok_or(NoOne::Unknown)?;
        if found.all(|other| Arc::ptr_eq(first, other)) {
            Ok(first)
        } else {
            Err(NoOne::Several)
        }
    }
}
