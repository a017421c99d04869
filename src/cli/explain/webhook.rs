//! What a webhook says and signs, for a reader.

use super::case::Case;
use super::ground::Ground;
use super::report::{Parameter, Part as PartShown, Report, Signature, State};
use super::shown::moment;
use crate::apps::{App, Key};
use crate::cli::compare::OTHER_BODY;
use crate::route::{Route, Sender};
use crate::schemes::Received;
use crate::schemes::doctor::{Sample, Tries};
use crate::schemes::webhook::{Presented, mistakes, standard};
use std::sync::Arc;

/// Takes down the webhook, if the request shows one that can be read.
/// What cannot be is told by the step that refuses it.
pub(super) fn credential(report: &mut Report, case: Case<'_>) {
    let received = case.received;
    let Ok(Some(presented)) = Presented::read(received, case.route) else {
        return;
    };
    let is_unread = received.has_body() && received.body().is_none();
    let longest = Tries::all().longest();
    let is_longer = received.body().is_some_and(|body| body.len() > longest);
    let mut shown = Signature {
        label: format!("webhook of {}", presented.sender.name()),
        covers: covers(presented.sender, received),
        parameters: parameters(&presented, case.now.unix_seconds()),
        parts: vec![PartShown {
            part: "body",
            component: "body".into(),
            state: State::Covered,
        }],
        no_base: match () {
            () if is_unread => Some("the body is what is signed, and it is not there".to_owned()),
            () if is_longer => Some(format!(
                "the body has more than {} MiB: of a longer one it is told whether it passes, and no more",
                longest / (1024 * 1024)
            )),
            () => None,
        },
        ..Signature::default()
    };
    let keys = keys(case.route, case.ground);
    let samples = mistakes::samples(&presented, received, keys, longest);
    // Whichever of the keys has signed.
    for sample in &samples {
        if shown.holds != Some(true) {
            let found = (shown.likely.take(), shown.mistake.take());
            case.judge(&mut shown, sample);
            if shown.holds == Some(false) && found.1.is_some() {
                (shown.likely, shown.mistake) = found;
            }
        }
    }
    if let Some(caller) = case.callers_text
        && let Some(sample) = meant(&samples, case, caller)
        && let Some(compared) = case.compare(report, sample)
        && compared.mistake.is_none()
        && !compared.same
    {
        // Where both part in the body, it is of another one.
        let front = presented.message.front.as_bytes();
        let says = if caller.starts_with(front) {
            OTHER_BODY
        } else {
            "what stands before the body differs: it is made of the fields as they were sent"
        };
        compared.likely = Some(says.to_owned());
    }
    report.signatures.push(shown);
}

/// Which of `samples`, of one key each, the caller's text is laid beside: that of a key that signed it, or else ours.
fn meant<'a, 's>(
    samples: &'a [Sample<'s>],
    case: Case<'_>,
    caller: &[u8],
) -> Option<&'a Sample<'s>> {
    let mut all = samples.iter();
    let signed = all.find(|sample| case.signed(sample, caller).1 == Some(true));
    let mut all = samples.iter();
    let holds = || all.find(|sample| case.holds(sample) == Some(true));
    signed.or_else(holds).or(samples.first())
}

/// The sender whose webhook it is, if there is one to read.
pub(super) fn shown(received: &Received<'_>, route: &Route) -> Option<Sender> {
    let presented = Presented::read(received, route).ok()??;
    Some(presented.sender)
}

/// The app whose keys are tried.
pub(super) fn app<'g>(route: &Route, ground: &'g Ground) -> Option<&'g Arc<App>> {
    ground.registry.apps().get(route.webhooks.as_ref()?.app)
}

fn keys<'g>(route: &Route, ground: &'g Ground) -> &'g [Arc<Key>] {
    let app = route.webhooks.as_ref().map(|webhooks| webhooks.app);
    app.map_or(&[], |app| ground.registry.webhook_keys(app))
}

fn covers(sender: Sender, received: &Received<'_>) -> Vec<String> {
    let mut names = match sender {
        Sender::StandardWebhooks => standard::covered(received.fields()).to_vec(),
        Sender::Github => Vec::new(),
        Sender::Stripe => vec!["t"],
        Sender::Slack => vec!["x-slack-request-timestamp"],
    };
    names.push("body");
    names.into_iter().map(str::to_owned).collect()
}

fn parameters(presented: &Presented<'_>, now: i64) -> Vec<Parameter> {
    let message = &presented.message;
    let id = message.id.map(|id| Parameter {
        name: "id".to_owned(),
        value: id.to_owned(),
        note: None,
    });
    let time = message.time.map(|time| Parameter {
        name: "time".to_owned(),
        value: time.to_string(),
        note: Some(moment(time, now)),
    });
    let count = message.macs.len() + message.pairs.len();
    let several = (count > 1).then(|| Parameter {
        name: "of them".to_owned(),
        value: count.to_string(),
        note: Some("any one is enough".to_owned()),
    });
    id.into_iter().chain(time).chain(several).collect()
}
