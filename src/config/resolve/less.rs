//! Whether one route asks for less than another, as far as that can be said of any request. What is only other is
//! no difference here: `bind` to one thing or another, `dialect`, `issuers`; nor is `replay = "strict"`, which asks
//! for more of some requests only.

use crate::apps::{Mode, Scheme};
use crate::route::{Accept, Bind, ReplayPolicy, Route, Waiver};

/// What `to` does not ask for that `from` does.
pub(super) fn less(to: &Route, from: &Route) -> Option<String> {
    if from.accept == Accept::Public || from.mode == Mode::Observe {
        return None;
    }
    if to.accept == Accept::Public {
        return Some("which is public".to_owned());
    }
    if to.mode == Mode::Observe {
        return Some("which refuses nobody".to_owned());
    }
    if let Some(scope) = to.scopes.missing(&from.scopes) {
        return Some(format!("which does not ask for the scope `{scope}`"));
    }
    if to.assurance < from.assurance {
        return Some("whose `assurance` is lower".to_owned());
    }
    let least = proofs(from).map(|(_, strength)| strength).min();
    if let Some((name, _)) = proofs(to).find(|(_, strength)| Some(*strength) < least) {
        return Some(format!(
            "which accepts `{name}`, less than whatever is accepted here"
        ));
    }
    if to.accepts(Scheme::Token) && is_looser(to.bind, from.bind) {
        return Some("whose `bind` asks for less".to_owned());
    }
    if to.replay == ReplayPolicy::Off && has_single_use(from) {
        return Some("where nothing passes only once".to_owned());
    }
    let waived = to.waivers.iter().find(|one| !covers(&from.waivers, one))?;
    Some(format!("which waives `{}`", waived.part.name()))
}

/// Whether some of its requests pass only once whatever they show: unbound tokens, certificates and static keys come again.
fn has_single_use(route: &Route) -> bool {
    let again = [Scheme::Token, Scheme::ClientCertificate, Scheme::ApiKey];
    let mut once = Scheme::ALL
        .into_iter()
        .filter(|one| route.accepts(*one) && !again.contains(one));
    match route.replay {
        ReplayPolicy::Off => false,
        ReplayPolicy::Strict => true,
        ReplayPolicy::Standard => {
            route.pair || matches!(route.bind, Bind::Key | Bind::Dpop) || once.next().is_some()
        }
    }
}

/// What lets in, and how strong it is at least: as `downgrade` counts, and both together more than one.
fn proofs(route: &Route) -> impl Iterator<Item = (&'static str, u8)> {
    let strength = |scheme| match scheme {
        Scheme::ApiKey => 0,
        Scheme::Token | Scheme::ClientCertificate | Scheme::Webhook => 1,
        Scheme::HttpSignature | Scheme::AwsSigv4 | Scheme::HmacAuth => 2,
    };
    let schemes = Scheme::ALL.into_iter().filter(|one| route.accepts(*one));
    let pair = route.pair.then_some(("token+http-signature", 3));
    schemes
        .map(move |one| (one.name(), strength(one)))
        .chain(pair)
}

const fn is_looser(to: Bind, from: Bind) -> bool {
    match from {
        Bind::None => false,
        Bind::Authorization | Bind::Key => matches!(to, Bind::None),
        Bind::Dpop => matches!(to, Bind::None | Bind::Key),
    }
}

/// Whether one of `waivers` waives the same for as long.
fn covers(waivers: &[Waiver], waiver: &Waiver) -> bool {
    let mut same = waivers.iter().filter(|one| one.part == waiver.part);
    same.any(|one| one.until >= waiver.until)
}
