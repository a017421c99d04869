//! What a static key says, for a reader. The key itself is not shown.

use super::case::Case;
use super::report::{Report, StaticKey};
use crate::schemes::api_key::Presented;

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
