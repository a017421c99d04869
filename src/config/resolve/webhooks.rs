//! `webhook` of a route, and the keys that webhooks are signed with.

use super::Gathered;
use crate::apps::Scheme;
use crate::config::file::{App, File, Key, Route, Webhook};
use crate::config::gather::Draft;
use crate::config::read::At;
use crate::config::view::{size, time};
use crate::config::words::Accepted;
use crate::route::{self, BodyVerify, SigV4};
use crate::schemes::webhook::Sender;
use crate::schemes::webhook::verify::{MAX_KEYS, is_of};
use http::Method;

/// Whose webhooks are taken: said where they are accepted, and only there.
pub(super) fn webhooks(
    route: &Route,
    file: &File,
    gathered: &mut Gathered<'_>,
) -> Option<route::Webhooks> {
    let list = route.accept.get().map_or(&[][..], |accept| &accept.0);
    let is_it = |one: &&At<Accepted>| one.value == Accepted::Proven(Scheme::Webhook);
    let accepted = list.iter().find(is_it);
    let (told, at) = match (&route.webhook, accepted) {
        (None, None) => return None,
        (Some(told), Some(at)) => (told, at),
        (None, Some(at)) => {
            let place = at.key.rsplit_once(".accept").map(|(route, _)| route);
            let is_broken = |place| gathered.problems.any_at(&format!("{place}.webhook"));
            if !place.is_some_and(is_broken) {
                let draft = at.problem("`webhook` needs to know whose they are");
                let draft =
                    draft.accepted("`webhook = { sender = \"…\", app = \"…\" }` on the route");
                gathered.problem(draft.of_absence());
            }
            return None;
        }
        (Some(told), None) => {
            let draft = told.problem("this is of `webhook`, which the route does not accept");
            gathered.problem(draft.hint("add `\"webhook\"` to `accept`, or take `webhook` away"));
            return None;
        }
    };
    for draft in misfits(route, &told.value, at, file) {
        gathered.problem(draft);
    }
    let sender = told.value.sender.get()?.value;
    let app = app(&told.value, sender, file, gathered)?;
    Some(route::Webhooks {
        sender,
        app,
        query: told.value.query,
        window: told.value.window.as_ref().map(|window| window.value.0),
        hold: told.value.hold.value.0,
    })
}

/// What on the route does not go with webhooks.
fn misfits(route: &Route, told: &Webhook, at: &At<Accepted>, file: &File) -> Vec<Draft> {
    let mut all = Vec::new();
    if route.body.verify == BodyVerify::WhileForwarding {
        all.push(
            at.problem("the body of a webhook is what is signed: it is read before it is forwarded")
                .hint("take `verify = \"while-forwarding\"` away, or have a route of its own for webhooks"),
        );
    }
    let methods = route.methods.as_ref().map(|several| &several.0);
    if methods.is_some_and(|methods| !methods.contains(&Method::POST)) {
        let draft = at.problem("webhooks are `POST`, which is not among the route's `methods`");
        all.push(draft.hint("add `\"POST\"` to `methods`"));
    }
    if let Some(window) = &told.window
        && window.value.0 > file.freshness.window.value.0
    {
        let most = time(file.freshness.window.value.0);
        let draft = window.problem("this is longer than `[freshness] window`");
        all.push(draft.accepted(format!("at most `\"{most}\"`")));
    }
    if let (Some(window), Some(sender)) = (&told.window, told.sender.get())
        && sender.value == Sender::Github
    {
        let draft = window.problem("GitHub says no time: this has no effect");
        let hint =
            "take `window` away: a copy is known for `[freshness] window` and twice its `skew`";
        all.push(draft.hint(hint).warning());
    }
    if told.hold.value.0 > SigV4::MAX_HOLD {
        let draft = told
            .hold
            .problem("strangers could take too much memory, before they have proven anything");
        all.push(draft.accepted(format!("at most `\"{}\"`", size(SigV4::MAX_HOLD))));
    }
    all
}

/// The app whose keys are tried, by its place.
fn app(told: &Webhook, sender: Sender, file: &File, gathered: &mut Gathered<'_>) -> Option<usize> {
    let name = told.app.get()?;
    let Some(place) = file.apps.place(&name.value.0) else {
        if !gathered.problems.any_at("apps") {
            let message = format!("`{}` is not an app", name.value.0);
            let draft = name
                .problem(message)
                .nearest(&name.value.0, file.apps.names(), "app");
            gathered.problem(draft.of_absence());
        }
        return None;
    };
    if let Some(other) = senders(file, &name.value.0).find(|other| *other != sender) {
        let message = format!(
            "`{}` sends in the way of `{}` too",
            name.value.0,
            other.name()
        );
        let draft = name.problem(message);
        gathered.problem(draft.hint("give each sender an app of its own"));
    }
    let app = file.apps.entries.get(place)?.1.as_ref();
    let keys: Vec<&Key> = app.map_or_else(Vec::new, |app| signing(app).collect());
    let is_broken = gathered.problems.any_at(&format!("apps.{}", name.value.0));
    if keys.is_empty() && !is_broken {
        let message = format!("no key of `{}` is for webhooks", name.value.0);
        let draft = name
            .problem(message)
            .accepted("`schemes = [\"webhook\"]` on a key");
        gathered.problem(draft.of_absence());
    }
    if keys.len() > MAX_KEYS {
        let message = format!("{} keys of `{}` are for webhooks", keys.len(), name.value.0);
        let draft = name
            .problem(message)
            .accepted(format!("at most {MAX_KEYS}"));
        gathered.problem(draft.hint("a webhook names no key: each one is tried"));
    }
    for algorithm in keys.iter().filter_map(|key| key.algorithm.get()) {
        if !is_of(sender, algorithm.value) {
            let message = format!("`{}` does not sign with this", sender.name());
            let accepted = match sender {
                Sender::StandardWebhooks => "`\"hmac-sha256\"` (`v1`) or `\"ed25519\"` (`v1a`)",
                _ => "`\"hmac-sha256\"`",
            };
            gathered.problem(algorithm.problem(message).accepted(accepted));
        }
    }
    Some(place)
}

/// The keys of an app that webhooks may be signed with.
fn signing(app: &App) -> impl Iterator<Item = &Key> {
    app.keys.0.iter().filter(|key| is_for_webhooks(key))
}

fn is_for_webhooks(key: &Key) -> bool {
    let schemes = key.schemes.as_ref();
    schemes.is_some_and(|schemes| schemes.0.contains(&Scheme::Webhook))
}

/// In whose way an app sends, on each route that takes its webhooks.
fn senders<'f>(file: &'f File, app: &'f str) -> impl Iterator<Item = Sender> + 'f {
    let told = file
        .routes
        .0
        .iter()
        .filter_map(|route| route.webhook.as_ref());
    told.filter(move |told| told.value.app.get().is_some_and(|name| name.value.0 == app))
        .filter_map(|told| told.value.sender.get())
        .map(|sender| sender.value)
}

/// In whose way a key of this app is written, where it is for webhooks.
pub(super) fn sender_of(key: &Key, app: &str, file: &File) -> Option<Sender> {
    is_for_webhooks(key).then(|| senders(file, app).next())?
}

/// Whether what a key may prove goes together: problems where it does not.
pub(super) fn check_schemes(key: &Key, gathered: &mut Gathered<'_>) {
    let Some(id) = key.id.get() else { return };
    let Some(schemes) = &key.schemes else { return };
    if is_for_webhooks(key) && schemes.0.len() > 1 {
        let draft = id.problem("a key for webhooks is for them alone: whoever sends them has it");
        gathered.problem(draft.accepted("`schemes = [\"webhook\"]`"));
    }
    let strong = [Scheme::HttpSignature, Scheme::Token];
    let asked = schemes.0.iter().find(|scheme| strong.contains(scheme));
    if let (true, Some(scheme)) = (key.weak_secret.value, asked) {
        let message = format!("a weak secret is never enough for `{scheme}`");
        let draft = key.weak_secret.problem(message);
        gathered.problem(draft.hint("give the caller a secret of 32 bytes"));
    }
}
