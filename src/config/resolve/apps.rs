//! `[apps]`: apps, their plans and keys.

use super::shared::Shared;
use super::{Gathered, certificates, issuers, keys, tokens, webhooks};
use crate::apps::{App, Assurance, Certified, Key, Mode, Policy, Scheme, SchemeSet};
use crate::config::file::{self, File};
use crate::config::read::At;
use crate::config::secrets::Places;
use crate::config::table::Required;
use crate::config::times::Moment;
use crate::limit::app::Plan;
use crate::route::Sender;
use crate::secret::Secret;
use std::collections::HashMap;
use std::sync::Arc;

/// Every app and key that could be read.
#[derive(Default)]
pub(super) struct Registered {
    pub(super) apps: Vec<Arc<App>>,
    pub(super) plans: Vec<Option<Arc<Plan>>>,
    pub(super) keys: Vec<Key>,
    /// The secrets of those whose callers may be told what they did wrong.
    pub(super) told: Vec<(Arc<str>, Secret)>,
    pub(super) certificates: Vec<Certified>,
}

pub(super) fn registered(
    file: &File,
    plans: &[Option<Arc<Plan>>],
    places: &Places<'_>,
    gathered: &mut Gathered<'_>,
) -> Registered {
    unique(file, gathered);
    certificates::unique(file, gathered);
    let mut registered = Registered::default();
    let mut shared = Shared::default();
    for (index, (name, app)) in file.apps.entries.iter().enumerate() {
        let Some(app) = app else { continue };
        let owner = Arc::new(App {
            name: name.value.as_str().into(),
            index,
            scopes: app.scopes.0.iter().map(|scope| scope.0.as_str()).collect(),
            enabled: app.enabled,
            explain: app.explain,
            policy: Policy {
                assurance: least(app, file),
                downgrade: app.downgrade,
                mode: app.mode.value,
            },
            made: None,
            tokens: app.tokens.as_ref().and_then(|tokens| {
                let policy = tokens::policy(app, tokens, file, gathered);
                policy.map(Arc::new)
            }),
        });
        if app.mode.value == Mode::Observe {
            let draft = app.mode.problem(
                "this app is refused for nothing but its proof: the rest is only observed",
            );
            let hint = "`portcullis readiness` tells from the access log whether it would break";
            gathered.problem(draft.hint(hint).warning());
        }
        for one in &app.keys.0 {
            let mut opened = None;
            let sender = webhooks::sender_of(one, &name.value, file);
            let key = key(one, &owner, sender, places, &mut opened, gathered);
            // One that is not read is no key of its own.
            if let Some(key) = key.as_ref().filter(|_| places.reads_files()) {
                shared.look(one, key, opened.as_ref(), gathered);
            }
            let told = key.as_ref().map(|key| key.id.clone()).zip(opened);
            let may_be_told = app.explain || file.server.explain;
            registered.told.extend(told.filter(|_| may_be_told));
            registered.keys.extend(key);
        }
        for one in &app.certificates.0 {
            let known = certificates::certified(one, &owner, gathered);
            registered.certificates.extend(known);
        }
        if app.keys.0.is_empty()
            && app.certificates.0.is_empty()
            && app.api_keys.0.is_empty()
            && !issuers::name_app(file, &name.value)
            && !gathered.problems.any_at(&format!("{}.keys", name.key))
            && !gathered
                .problems
                .any_at(&format!("{}.certificates", name.key))
            && !gathered.problems.any_at(&format!("{}.api_keys", name.key))
        {
            let draft = name.problem("this app has no keys: nobody can prove to be it");
            gathered.problem(draft.warning().of_absence());
        }
        registered.plans.push(plan(app, file, plans, gathered));
        registered.apps.push(owner);
    }
    registered
}

fn unique(file: &File, gathered: &mut Gathered<'_>) {
    let apps = file.apps.entries.iter().filter_map(|(_, app)| app.as_ref());
    let ids = apps.flat_map(|app| {
        let certificates = app.certificates.0.iter().map(|one| &one.id);
        let static_keys = app.api_keys.0.iter().map(|one| &one.id);
        let keys = app.keys.0.iter().map(|key| &key.id);
        keys.chain(certificates).chain(static_keys)
    });
    let mut seen = HashMap::new();
    for id in ids.filter_map(Required::get) {
        if let Some(first) = seen.insert(id.value.0.as_str(), id.key.as_str()) {
            let message = format!("`{}` is the id of another key too, `{first}`", id.value.0);
            let draft = id
                .problem(message)
                .accepted("a key id stands once, whichever the app");
            gathered.problem(draft);
        }
    }
}

/// How well the app must be proven, as its plan says.
fn least(app: &file::App, file: &File) -> Assurance {
    let place = app
        .plan
        .as_ref()
        .and_then(|name| file.plans.place(&name.value.0));
    let plan = place.and_then(|place| file.plans.entries.get(place)?.1.as_ref());
    plan.and_then(|plan| plan.assurance.as_ref())
        .map_or(Assurance::None, |asked| asked.value.0)
}

fn plan(
    app: &file::App,
    file: &File,
    plans: &[Option<Arc<Plan>>],
    gathered: &mut Gathered<'_>,
) -> Option<Arc<Plan>> {
    let name = app.plan.as_ref()?;
    let place = file.plans.place(&name.value.0);
    if place.is_none() && !gathered.problems.any_at("plans") {
        let message = format!("`{}` is not a plan", name.value.0);
        let draft = name
            .problem(message)
            .nearest(&name.value.0, file.plans.names(), "plan");
        gathered.problem(draft.of_absence());
    }
    plans.get(place?)?.clone()
}

fn key(
    key: &file::Key,
    app: &Arc<App>,
    sender: Option<Sender>,
    places: &Places<'_>,
    opened: &mut Option<Secret>,
    gathered: &mut Gathered<'_>,
) -> Option<Key> {
    webhooks::check_schemes(key, gathered);
    proves_something(key, gathered);
    let mut private = None;
    let verifying = keys::verifying(key, sender, places, opened, &mut private, gathered);
    let signer = app
        .tokens
        .is_some()
        .then(|| keys::signer(key, verifying.as_ref(), private, gathered));
    if key.attests.value
        && !key
            .schemes
            .as_ref()
            .is_some_and(|all| all.0 == [Scheme::Token])
    {
        let draft = key.attests.problem(
            "what a key that attests signs is more than a key's: it may prove tokens only",
        );
        let draft = draft.accepted("`schemes = [\"token\"]` beside it");
        gathered
            .problem(draft.hint("whoever calls must not hold it, or callers attest themselves"));
    }
    dates(key.not_before.as_ref(), key.not_after.as_ref(), gathered);
    Some(Key {
        id: key.id.get()?.value.0.as_str().into(),
        app: app.clone(),
        verifying: verifying?,
        not_before: key.not_before.as_ref().map(|at| at.value.0),
        not_after: key.not_after.as_ref().map(|at| at.value.0),
        enabled: key.enabled,
        schemes: match &key.schemes {
            Some(several) => several.0.iter().copied().collect(),
            None => SchemeSet::of_keys(),
        },
        attests: key.attests.value,
        signer: signer.flatten(),
        made: None,
    })
}

/// Whether some scheme that the key may prove takes its algorithm. Of webhooks their route asks more.
fn proves_something(key: &file::Key, gathered: &mut Gathered<'_>) {
    let (Some(at), Some(schemes)) = (key.algorithm.get(), &key.schemes) else {
        return;
    };
    let takes = |scheme: &Scheme| *scheme == Scheme::Webhook || scheme.takes(at.value);
    // A scheme that cannot be read is a problem of its own.
    let is_broken = || {
        let key = at.key.trim_end_matches(".algorithm");
        gathered.problems.any_within(key, &[])
    };
    if schemes.0.iter().any(takes) || is_broken() {
        return;
    }
    let able = Scheme::ALL.into_iter().filter(|one| one.takes(at.value));
    let able: Vec<_> = able.map(|scheme| format!("`\"{scheme}\"`")).collect();
    let draft = at.problem("none of `schemes` takes a key of this algorithm: it proves nothing");
    gathered.problem(draft.accepted(format!("one of these in `schemes`: {}", able.join(", "))));
}

pub(super) fn dates(
    start: Option<&At<Moment>>,
    end: Option<&At<Moment>>,
    gathered: &mut Gathered<'_>,
) {
    let Some(end) = end else { return };
    if let Some(start) = start
        && start.value.0 >= end.value.0
    {
        gathered.problem(end.problem("this is not after `not_before`: the key can never be used"));
        return;
    }
    let draft = end
        .problem("the key is no longer in force")
        .hint("take it away, or give it a later `not_after`");
    gathered.dated.push((end.value.0, draft.warning()));
}
