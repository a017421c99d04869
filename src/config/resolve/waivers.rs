//! `waive` of a route.

use super::Gathered;
use crate::config::file::{Route, Waiver};
use crate::route;

/// What a proof need not cover, each part until its date.
pub(super) fn waivers(route: &Route, gathered: &mut Gathered<'_>) -> Option<Vec<route::Waiver>> {
    let list = &route.waive.0;
    for (number, one) in list.iter().enumerate() {
        let Some(part) = one.part.get() else {
            continue;
        };
        let before = list.iter().take(number);
        let mut before = before.filter_map(|one| one.part.get());
        if let Some(first) = before.find(|first| first.value == part.value) {
            // One of the two would be overlooked when it lapses, or is given a later date.
            let message = format!("`{}` is waived in `{}` too", part.value.name(), first.key);
            gathered.problem(part.problem(message).accepted("a part stands once"));
        }
    }
    let all: Vec<_> = list.iter().map(|one| waiver(one, gathered)).collect();
    all.into_iter().collect()
}

fn waiver(waiver: &Waiver, gathered: &mut Gathered<'_>) -> Option<route::Waiver> {
    let (part, until) = (waiver.part.get()?, waiver.until.get()?.0);
    let message = format!(
        "the waiver of `{}` has lapsed: it no longer waives",
        part.value.name()
    );
    let draft = part
        .problem(message)
        .hint("take it away, or give it a later `until`");
    gathered.dated.push((until, draft.warning()));
    Some(route::Waiver {
        part: part.value,
        until,
        reason: waiver.reason.get()?.0.clone(),
    })
}
