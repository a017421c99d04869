//! `[apps]`: the certificates that apps are known by.

use super::Gathered;
use crate::apps::{App, Certified, Who};
use crate::config::file::{self, File};
use crate::crypto::certificate::Name;
use data_encoding::HEXLOWER;
use std::collections::HashMap;
use std::sync::Arc;

pub(super) fn certified(
    one: &file::Certificate,
    app: &Arc<App>,
    gathered: &mut Gathered<'_>,
) -> Option<Certified> {
    super::apps::dates(one.not_before.as_ref(), one.not_after.as_ref(), gathered);
    let id = one.id.get()?;
    let who = match (&one.name, &one.sha256) {
        (Some(name), None) => Who::Name(Name::of_text(&name.value.0)),
        (None, Some(digest)) => Who::Fingerprint(digest.value.0),
        (both, _) => {
            let place = id.key.trim_end_matches(".id");
            let broken = ["name", "sha256"].map(|key| format!("{place}.{key}"));
            if broken.iter().any(|key| gathered.problems.any_at(key)) {
                return None;
            }
            let found = match both {
                Some(_) => "this certificate has a `name` and a `sha256`",
                None => "this certificate has neither a `name` nor a `sha256`",
            };
            gathered.problem(id.problem(found).accepted("one of the two"));
            return None;
        }
    };
    Some(Certified {
        id: id.value.0.as_str().into(),
        app: app.clone(),
        who,
        not_before: one.not_before.as_ref().map(|at| at.value.0),
        not_after: one.not_after.as_ref().map(|at| at.value.0),
        enabled: one.enabled,
    })
}

/// A certificate stands for one app.
pub(super) fn unique(file: &File, gathered: &mut Gathered<'_>) {
    let apps = file.apps.entries.iter().filter_map(|(_, app)| app.as_ref());
    let mut seen = HashMap::new();
    for one in apps.flat_map(|app| &app.certificates.0) {
        let name = one.name.as_ref().map(|name| {
            let text = Name::of_text(&name.value.0).to_string();
            (
                text,
                name.key.as_str(),
                name.problem("this name stands for another certificate too"),
            )
        });
        let digest = one.sha256.as_ref().map(|digest| {
            let text = HEXLOWER.encode(&digest.value.0);
            (
                text,
                digest.key.as_str(),
                digest.problem("this is another certificate's too"),
            )
        });
        for (text, key, problem) in name.into_iter().chain(digest) {
            if let Some(first) = seen.insert(text, key) {
                gathered.problem(problem.hint(format!("it is that of `{first}`")));
            }
        }
    }
}
