//! `upgrade` of a route: what its upstream must speak.

use super::Gathered;
use crate::config::file::{File, Route};
use crate::forward::upstream::Protocol;

/// What `upgrade` of a route names is spoken over HTTP/1.1 alone.
pub(super) fn can_switch(
    route: &Route,
    upstream: Option<usize>,
    file: &File,
    gathered: &mut Gathered<'_>,
) {
    let entry = upstream.and_then(|place| file.upstreams.entries.get(place));
    if let Some((_, Some(upstream))) = entry
        && upstream.protocol.value == Protocol::Http2
        && !route.upgrade.0.is_empty()
        && let Some(name) = route.upstream.get()
    {
        let draft = name.problem("it speaks HTTP/2 alone, and what `upgrade` names needs HTTP/1.1");
        gathered.problem(
            draft.hint("`protocol = \"auto\"` or `\"http1\"` there, or another upstream for it"),
        );
    }
}
