//! `assurance` of a route: somebody must be able to show as much.

use super::Gathered;
use super::routes::is_pair;
use crate::apps::{Assurance, Scheme};
use crate::config::file::{File, Route};
use crate::route::Accept;

/// How well a caller must be proven: as well as something that is accepted can prove it.
pub(super) fn assurance(
    route: &Route,
    accept: Accept,
    file: &File,
    gathered: &mut Gathered<'_>,
) -> Option<Assurance> {
    let Some(asked) = &route.assurance else {
        return Some(Assurance::None);
    };
    let Accept::Proven(accepted) = accept else {
        gathered.problem(
            asked
                .problem("a public route knows no caller: this would refuse everyone")
                .hint(
                    "take `assurance` away, or say in `accept` what callers prove themselves with",
                ),
        );
        return None;
    };
    let tokens = if somebody_attests(file) || super::tokens::may_be_made(file) {
        Assurance::Attested
    } else {
        Assurance::Key
    };
    let best = |scheme| match scheme {
        Scheme::HttpSignature | Scheme::AwsSigv4 | Scheme::HmacAuth => Assurance::Signed,
        Scheme::Token => tokens,
        Scheme::ClientCertificate | Scheme::ApiKey | Scheme::Webhook => Assurance::Key,
    };
    let alone = accepted.iter().map(best).max();
    let both = is_pair(route).then(|| tokens.and(Assurance::Signed));
    let most = alone.max(both).unwrap_or_default();
    if most >= asked.value.0 {
        return Some(asked.value.0);
    }
    let message = format!(
        "nobody can pass: what `accept` lets in proves `{}` at most",
        most.name()
    );
    gathered.problem(asked.problem(message).hint(match asked.value.0 {
        Assurance::Signed => "add `\"http-signature\"` to `accept`",
        Assurance::Attested => "accept `\"token\"`, and say `attests = true` of the key that such tokens are signed with",
        _ => "accept `\"token+http-signature\"`, and say `attests = true` of the key that such tokens are signed with",
    }));
    None
}

/// Whether a token lets in by itself.
pub(super) fn takes_tokens(accept: Accept) -> bool {
    matches!(accept, Accept::Proven(schemes) if schemes.contains(Scheme::Token))
}

/// Whether some token can be `attested`.
fn somebody_attests(file: &File) -> bool {
    let apps = file.apps.entries.iter().filter_map(|(_, app)| app.as_ref());
    let mut keys = apps.flat_map(|app| &app.keys.0);
    let mut issuers = file.issuers.entries.iter();
    keys.any(|key| key.attests.value)
        || issuers.any(|(_, one)| one.as_ref().is_some_and(|one| one.attests))
}
