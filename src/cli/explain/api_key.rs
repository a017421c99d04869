//! What a static key says, for a reader. The key itself is not shown.

use super::case::Case;
use super::report::{Report, StaticKey};
use crate::route::Route;
use crate::schemes::api_key::{Presented, without_key};

/// What stands for a key that was in the query.
const VEILED: &str = "***";

/// Takes down the key, if the request shows one that can be read.
pub(super) fn credential(report: &mut Report, case: Case<'_>) {
    let Ok(Some(presented)) = Presented::read(case.received, case.route) else {
        return;
    };
    let known = presented.known(&case.ground.registry);
    report.static_key = Some(StaticKey {
        place: presented.place.to_string(),
        id: known.map(|known| known.id.to_string()),
    });
}

/// The target without the key that may stand in its query.
pub(super) fn veiled(target: &str, route: &Route) -> Option<String> {
    let places = route.key_places.as_deref()?;
    let name = places.query.as_deref()?;
    let rest = without_key(target, name)?;
    let sign = if rest.contains('?') { '&' } else { '?' };
    Some(format!("{rest}{sign}{name}={VEILED}"))
}
