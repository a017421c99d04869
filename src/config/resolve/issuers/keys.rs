//! Where the keys of an issuer are: in a file, on the web, or a secret.

use super::{Gathered, Outsider};
use crate::config::outside::KeySetAt;
use crate::config::read::At;
use crate::config::resolve::ITS_K;
use crate::config::resolve::upstreams;
use crate::config::secrets::{Places, Reference, SecretFile};
use crate::crypto::{Algorithm, BadKey, HmacKey};
use crate::forward::upstream::{Protocol, tls};
use crate::issuers::{Place, Settings, Source};
use crate::schemes::token::{BadKeySet, KeySet, Keys};
use std::sync::Arc;

impl Outsider<'_> {
    pub(super) fn keys(
        &self,
        algorithms: Option<&[Algorithm]>,
        places: &Places<'_>,
        gathered: &mut Gathered<'_>,
    ) -> Option<(Keys, Option<Source>)> {
        let issuer = self.issuer;
        let told = |key: &str| format!("{}.{key}", self.name.key);
        if let Some(ca) = &issuer.ca
            && !matches!(&issuer.jwks, Some(at) if matches!(&at.value, KeySetAt::Web(place) if place.is_tls()))
        {
            let draft = ca.problem("nothing of this issuer is fetched over TLS");
            gathered.problem(draft.hint("`jwks = \"https://…\"`, or take `ca` away"));
            return None;
        }
        match (&issuer.jwks, &issuer.secret) {
            (Some(at), None) => match &at.value {
                KeySetAt::File(file) => {
                    let keys = key_file(at, file, algorithms, places, gathered)?;
                    Some((Keys::fixed(keys), None))
                }
                KeySetAt::Web(place) => {
                    let source = self.source(at, place, algorithms?, places, gathered)?;
                    Some((Keys::to_be_fetched(), Some(source)))
                }
            },
            (None, Some(reference)) => {
                let secret = secret(reference, places, gathered)?;
                Some((Keys::fixed(KeySet::of_secret(None, secret)), None))
            }
            (Some(_), Some(secret)) => {
                gathered.problem(
                    secret
                        .problem("this issuer has `jwks` as well")
                        .accepted("one of the two"),
                );
                None
            }
            (None, None) => {
                let broken = ["jwks", "secret"].map(told);
                if !broken.iter().any(|key| gathered.problems.any_at(key)) {
                    let draft = self
                        .name
                        .problem("this issuer has neither `jwks` nor `secret`");
                    gathered.problem(draft.accepted("one of the two").of_absence());
                }
                None
            }
        }
    }

    fn source(
        &self,
        at: &At<KeySetAt>,
        place: &Place,
        algorithms: &[Algorithm],
        places: &Places<'_>,
        gathered: &mut Gathered<'_>,
    ) -> Option<Source> {
        let issuer = self.issuer;
        let tls = match &issuer.ca {
            Some(ca) => {
                let opened = gathered.take(ca, places.pem(ca, false))?;
                let pem = opened.secret.map(|pem| pem.expose().to_vec());
                tls::Settings {
                    ca: Some(pem.unwrap_or_default()),
                    ..tls::Settings::default()
                }
            }
            None => tls::Settings::default(),
        };
        let client = if place.is_tls() && places.reads_files() {
            match tls::Client::new(&tls, Protocol::Http1) {
                Ok(client) => {
                    if let Some(authorities) = client.of_the_system() {
                        let key = format!("issuers.{}.ca", self.name.value);
                        gathered.fingerprints.add_digest(key, *authorities);
                    }
                    Some(Arc::new(client))
                }
                Err(bad) => {
                    let text = bad.to_string();
                    let draft = match &issuer.ca {
                        Some(ca) => upstreams::problem(ca, &text),
                        None => upstreams::problem(at, &text),
                    };
                    gathered.problem(draft);
                    return None;
                }
            }
        } else {
            None
        };
        Some(Source::new(Settings {
            name: self.name.value.as_str().into(),
            place: place.clone(),
            tls: client,
            algorithms: algorithms.to_vec(),
            refresh: issuer.refresh.value.0,
            cooldown: issuer.cooldown.value.0,
            stale: issuer.stale.value.0,
        }))
    }
}

fn key_file(
    at: &At<KeySetAt>,
    file: &SecretFile,
    algorithms: Option<&[Algorithm]>,
    places: &Places<'_>,
    gathered: &mut Gathered<'_>,
) -> Option<KeySet> {
    let opened = gathered.take(at, places.pem(file, false))?;
    let Some(content) = opened.secret else {
        return Some(KeySet::empty());
    };
    match KeySet::read(content.expose(), algorithms?) {
        Ok(set) => Some(set),
        // Whoever takes back a key that is in the wrong hands may write just this.
        Err(bad @ BadKeySet::Empty) => {
            let draft = at.problem(format!("no token of this issuer is taken: {bad}"));
            gathered.problem(draft.warning().hint("list the keys that it signs with now"));
            Some(KeySet::empty())
        }
        Err(bad) => {
            gathered.problem(at.problem(format!("the file cannot be used: {bad}")));
            None
        }
    }
}

pub(super) fn secret(
    reference: &At<Reference>,
    places: &Places<'_>,
    gathered: &mut Gathered<'_>,
) -> Option<HmacKey> {
    if matches!(reference.value, Reference::Generated(_)) {
        let draft = reference.problem("the issuer has this secret, so that it cannot be made here");
        gathered.problem(draft.hint("put it into a file and write `file:PATH`"));
        return None;
    }
    let opened = gathered.take(reference, places.open(reference))?;
    let Some(secret) = opened.secret else {
        return Some(HmacKey::dummy(Algorithm::HmacSha256));
    };
    match HmacKey::new(Algorithm::HmacSha256, &secret) {
        Ok(key) => Some(key),
        Err(bad) => {
            let draft = reference.problem(bad.to_string());
            gathered.problem(match bad {
                BadKey::Weak(_) => {
                    draft.hint("is it written as `base64:…`, as the issuer has given it?")
                }
                BadKey::SecretAsJwk(_) => draft.hint(ITS_K),
                _ => draft,
            });
            None
        }
    }
}
