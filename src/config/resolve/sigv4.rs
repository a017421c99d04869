//! `sigv4` of a route.

use super::Gathered;
use crate::apps::Scheme;
use crate::config::file::Route;
use crate::config::lists::Several;
use crate::config::view::{size, time};
use crate::config::words::ScopeWord;
use crate::route::{self, Accept};

/// What is taken of AWS's signers: said only where they are accepted.
pub(super) fn sigv4(
    route: &Route,
    accept: Option<Accept>,
    gathered: &mut Gathered<'_>,
) -> route::SigV4 {
    let Some(told) = &route.sigv4 else {
        return route::SigV4::default();
    };
    let is_accepted = match accept {
        Some(Accept::Proven(schemes)) => schemes.contains(Scheme::AwsSigv4),
        Some(Accept::Public) => false,
        // A problem of its own.
        None => true,
    };
    if !is_accepted {
        let draft = told.problem("this is of `aws-sigv4`, which the route does not accept");
        gathered.problem(draft.hint("add `\"aws-sigv4\"` to `accept`, or take `sigv4` away"));
    }
    let told = &told.value;
    let (life, most) = (told.presigned.value.0, route::SigV4::MAX_PRESIGNED);
    if life > most {
        let draft = told
            .presigned
            .problem("a presigned URL would live too long");
        gathered.problem(draft.accepted(format!("at most `\"{}\"`", time(most))));
    }
    let (hold, most) = (told.hold.value.0, route::SigV4::MAX_HOLD);
    if hold > most {
        let draft = told
            .hold
            .problem("strangers could take too much memory, before they have proven anything");
        let draft = draft.accepted(format!("at most `\"{}\"`", size(most)));
        gathered.problem(draft.hint("callers who send `X-Amz-Content-Sha256` need none of it"));
    }
    let words = |list: &Option<Several<ScopeWord>>| {
        let list = list.iter().flat_map(|several| &several.0);
        list.map(|word| word.0.as_str().into()).collect()
    };
    route::SigV4 {
        regions: words(&told.regions),
        services: words(&told.services),
        path: told.path,
        plus_is_space: told.plus_is_space,
        presigned: life,
        unsigned_content_sha256: told.unsigned_content_sha256,
        hold,
    }
}
