//! `client_attestation` of a route.

use super::Gathered;
use super::assurance::takes_tokens;
use crate::apps::Assurance;
use crate::config::file::{ClientAttestation, Route};
use crate::config::lists::OneOrMore;
use crate::config::read::At;
use crate::config::values::Text;
use crate::route::{self, Accept};

pub(super) fn client_attestation(
    at: &At<ClientAttestation>,
    route: &Route,
    accept: Option<Accept>,
    gathered: &mut Gathered<'_>,
) -> Option<Box<route::ClientAttestation>> {
    let told = &at.value;
    if accept.is_some_and(|accept| !takes_tokens(accept)) {
        let draft = at.problem("this is of tokens, and the route accepts none by themselves");
        gathered
            .problem(draft.hint("add `\"token\"` to `accept`, or take `client_attestation` away"));
        return None;
    }
    let attests = route.assurance.as_ref();
    if attests.is_none_or(|asked| asked.value.0 < Assurance::Attested) {
        let draft =
            at.problem("tokens that apps make themselves pass here too: they attest nothing");
        gathered.problem(
            draft
                .hint("`assurance = \"attested\"` on the route")
                .warning(),
        );
    }
    let texts = |list: &OneOrMore<At<Text>>| {
        let list = list.0.iter();
        list.map(|text| text.value.0.as_str().into()).collect()
    };
    Some(Box::new(route::ClientAttestation {
        audiences: texts(told.audience.get()?),
        client_ids: told.client_id.as_ref().map(texts).unwrap_or_default(),
        challenge: told.challenge,
    }))
}
