//! `[issuers]`: whose tokens are taken besides those of apps.

mod keys;

use super::{Gathered, tokens};
use crate::apps::App;
use crate::config::file::{ClaimedApp, File, Issuer};
use crate::config::lists::OneOrMore;
use crate::config::outside::KeySetAt;
use crate::config::read::At;
use crate::config::secrets::{Places, SecretFile};
use crate::config::values::{Name, Text};
use crate::crypto::{Algorithm, HmacKey, PssSalt, PublicKey, VerifyingKey};
use crate::issuers::Source;
use crate::route::{MAX_ISSUERS, Route, Table};
use crate::schemes::token::{self, ClaimPath, MAX_TRIED, Whose};
use std::collections::HashMap;
use std::sync::Arc;

/// Every issuer, where the keys of some are fetched from, and a key that nobody has.
pub(super) struct Outside {
    pub(super) issuers: Vec<token::Issuer>,
    pub(super) sources: Vec<(usize, Source)>,
    pub(super) double: VerifyingKey,
}

/// `None` when there is a problem with one of them.
pub(super) fn outside(
    file: &File,
    apps: &[Arc<App>],
    places: &Places<'_>,
    gathered: &mut Gathered<'_>,
) -> Option<Outside> {
    let entries = &file.issuers.entries;
    if let Some((name, _)) = entries.get(MAX_ISSUERS) {
        let draft = name.problem(format!("there are more than {MAX_ISSUERS} issuers"));
        gathered.problem(draft);
    }
    let mut outside = Outside {
        issuers: Vec::new(),
        sources: Vec::new(),
        double: HmacKey::dummy(Algorithm::HmacSha256).into(),
    };
    let mut is_whole = true;
    for (place, (name, issuer)) in entries.iter().enumerate() {
        let made = issuer.as_ref().and_then(|issuer| {
            let outsider = Outsider { name, issuer, file };
            outsider.made(apps, places, gathered)
        });
        let Some((issuer, source, algorithm)) = made else {
            is_whole = false;
            continue;
        };
        if place == 0 && !algorithm.is_mac() {
            outside.double = PublicKey::dummy(algorithm, PssSalt::Digest).into();
        }
        outside.sources.extend(source.map(|source| (place, source)));
        outside.issuers.push(issuer);
    }
    is_whole.then_some(outside)
}

/// Whoever is taken in a field, or says who an app's workloads are, has to be tried there: a key without a name may be
/// that of every token, and there is an end to how many one token is tried with.
pub(super) fn all_are_tried(
    file: &File,
    table: Option<&Table>,
    outside: Option<&Outside>,
    gathered: &mut Gathered<'_>,
) {
    let (Some(table), Some(outside)) = (table, outside) else {
        return;
    };
    for route in table.routes() {
        for takers in &route.token_takers {
            let all = outside.issuers.iter().enumerate();
            let taken = all.filter(|(place, _)| takers.issuers.has(*place));
            for issuer in token::never_tried(taken.map(|(_, issuer)| issuer)) {
                never_tried(issuer, Trying::Route(route), file, gathered);
            }
        }
    }
    for (app, tokens) in tokens::of_apps(file) {
        let workloads = tokens.workloads.0.iter();
        let names: Vec<&str> = workloads
            .filter_map(|workload| Some(workload.issuer.get()?.value.0.as_str()))
            .collect();
        let theirs = outside.issuers.iter();
        let theirs = theirs.filter(|issuer| names.contains(&&*issuer.name));
        for issuer in token::never_tried(theirs) {
            never_tried(issuer, Trying::App(app), file, gathered);
        }
    }
}

/// What tries a token with the keys of several issuers.
#[derive(Clone, Copy)]
enum Trying<'t> {
    Route(&'t Route),
    /// Of this name, which has workloads.
    App(&'t str),
}

fn never_tried(
    issuer: &token::Issuer,
    trying: Trying<'_>,
    file: &File,
    gathered: &mut Gathered<'_>,
) {
    let mut names = file.issuers.entries.iter().map(|(name, _)| name);
    let name = names.find(|name| *name.value == *issuer.name);
    // Once is enough, wherever else it is so.
    let Some(name) = name.filter(|name| !gathered.problems.any_at(&name.key)) else {
        return;
    };
    let (tried, place, hint) = match trying {
        Trying::Route(route) => (
            format!("token on the route `{}`", route.name),
            "in a field",
            "give some of the issuers other `headers`, or name fewer in the route's `issuers`",
        ),
        Trying::App(app) => (
            format!("evidence of a workload of `{app}`"),
            "among an app's issuers",
            "name fewer issuers in the app's `workloads`",
        ),
    };
    let message = format!("no {tried} is tried with the key of this issuer");
    let draft = name.problem(message).accepted(format!(
        "at most {MAX_TRIED} keys of one algorithm {place} have no name"
    ));
    gathered.problem(draft.hint(hint));
}

/// Whether some issuer's tokens stand for this app.
pub(super) fn name_app(file: &File, app: &str) -> bool {
    let issuers = file.issuers.entries.iter();
    let mut named = issuers.filter_map(|(_, one)| one.as_ref()).flat_map(|one| {
        let claimed = one.apps.0.iter().filter_map(|one| one.app.get());
        one.app.iter().chain(claimed)
    });
    named.any(|name| name.value.0 == app)
}

struct Outsider<'f> {
    name: &'f At<String>,
    issuer: &'f Issuer,
    file: &'f File,
}

type Made = (token::Issuer, Option<Source>, Algorithm);

impl Outsider<'_> {
    fn made(
        &self,
        apps: &[Arc<App>],
        places: &Places<'_>,
        gathered: &mut Gathered<'_>,
    ) -> Option<Made> {
        let issuer = self.issuer;
        let whose = self.whose(apps, gathered);
        self.names_are_there(gathered);
        let algorithms = self.algorithms(gathered);
        self.times(gathered);
        let keys = self.keys(algorithms.as_deref(), places, gathered);
        let signature_secret = match &issuer.signature_secret {
            Some(reference) => Some(keys::secret(reference, places, gathered)?),
            None => None,
        };
        let (keys, source) = keys?;
        let path = |path: &OneOrMore<Text>| {
            ClaimPath(path.0.iter().map(|name| name.0.as_str().into()).collect())
        };
        let audiences = issuer.audience.iter().flat_map(|several| &several.0);
        Some((
            token::Issuer {
                name: self.name.value.as_str().into(),
                iss: issuer
                    .issuer
                    .as_ref()
                    .map(|text| text.value.0.as_str().into()),
                audiences: audiences.map(|text| text.value.0.as_str().into()).collect(),
                fields: issuer
                    .headers
                    .0
                    .iter()
                    .map(|name| name.value.clone())
                    .collect(),
                signature_key: issuer
                    .signature_key
                    .as_ref()
                    .map(|name| name.0.as_str().into()),
                signature_secret,
                attests: issuer.attests,
                max_lifetime: issuer.max_lifetime.0,
                whose: whose?,
                scopes: issuer.scope_claim.as_ref().map(path),
                algorithms: algorithms.clone()?,
                keys: Arc::new(keys),
                keys_from: self.keys_from()?.into(),
            },
            source,
            *algorithms?.first()?,
        ))
    }

    /// Keys that anyone can fetch sign for everyone: a token must say by whom and for whom it is.
    fn names_are_there(&self, gathered: &mut Gathered<'_>) {
        let issuer = self.issuer;
        let Some(jwks) = &issuer.jwks else { return };
        for (key, is_there, what) in [
            ("issuer", issuer.issuer.is_some(), "whose tokens are meant"),
            (
                "audience",
                issuer.audience.is_some(),
                "for whom they must be",
            ),
        ] {
            let key_path = format!("{}.{key}", self.name.key);
            if !is_there && !gathered.problems.any_at(&key_path) {
                let message = format!("this issuer has no `{key}`: it does not say {what}");
                let draft = jwks.problem(message).of_absence();
                gathered.problem(draft.hint(
                    "many programs get tokens signed with these keys; one that was made for another must not pass",
                ));
            }
        }
    }

    /// What its tokens are signed with: secrets and public keys are not mixed.
    fn algorithms(&self, gathered: &mut Gathered<'_>) -> Option<Vec<Algorithm>> {
        let list = &self.issuer.algorithms.get()?.0;
        let is_secret = self.issuer.secret.is_some();
        let is_public = self.issuer.jwks.is_some();
        for one in list {
            let name = one.value.0.jose_name();
            let told = if one.value.0.is_mac() && is_public {
                Some((
                    format!("`{name}` is signed with a secret, and a key set is public"),
                    "whoever fetches the keys could sign with them",
                ))
            } else if !one.value.0.is_mac() && is_secret {
                Some((
                    format!("`{name}` is not signed with a secret"),
                    "`algorithms = [\"HS256\"]`, or `jwks` in place of `secret`",
                ))
            } else {
                None
            };
            if let Some((message, hint)) = told {
                gathered.problem(one.problem(message).hint(hint));
                return None;
            }
        }
        Some(list.iter().map(|one| one.value.0).collect())
    }

    fn keys_from(&self) -> Option<String> {
        match (&self.issuer.jwks, &self.issuer.secret) {
            (Some(at), _) => Some(match &at.value {
                KeySetAt::File(SecretFile(path)) => format!("file:{}", path.display()),
                KeySetAt::Web(place) => place.to_string(),
            }),
            (None, secret) => secret.as_ref().map(|secret| secret.value.to_string()),
        }
    }

    fn times(&self, gathered: &mut Gathered<'_>) {
        let issuer = self.issuer;
        let (refresh, cooldown) = (issuer.refresh.value.0, issuer.cooldown.value.0);
        if refresh < cooldown {
            let draft = issuer.refresh.problem("this is shorter than `cooldown`");
            gathered.problem(draft);
        }
        if issuer.stale.value.0 < refresh.saturating_add(cooldown) {
            let draft = issuer
                .stale
                .problem("this is shorter than `refresh` and `cooldown` together");
            gathered.problem(draft.hint(
                "keys that end before a fetch that is due has had its time refuse good tokens",
            ));
        }
    }

    fn whose(&self, apps: &[Arc<App>], gathered: &mut Gathered<'_>) -> Option<Whose> {
        let issuer = self.issuer;
        match (&issuer.app, &issuer.claim) {
            (Some(app), None) => {
                self.has_no_apps(gathered)?;
                self.app(app, apps, gathered).map(Whose::App)
            }
            (None, Some(claim)) => {
                if issuer.apps.0.is_empty() {
                    let key = format!("{}.apps", self.name.key);
                    if !gathered.problems.any_at(&key) {
                        let draft = claim.problem("no value of this claim stands for an app");
                        gathered.problem(
                            draft
                                .hint("`apps = [{ value = \"…\", app = \"…\" }]`")
                                .of_absence(),
                        );
                    }
                    return None;
                }
                let path = claim.value.0.iter().map(|name| name.0.as_str().into());
                let claimed = self.claimed(&issuer.apps.0, apps, gathered)?;
                Some(Whose::Claim(ClaimPath(path.collect()), claimed))
            }
            (None, None) if tokens::may_name_issuer(self.file, &self.name.value) => {
                self.has_no_apps(gathered)?;
                Some(Whose::NoApp)
            }
            (both, _) => {
                let broken = ["app", "claim"].map(|key| format!("{}.{key}", self.name.key));
                if !broken.iter().any(|key| gathered.problems.any_at(key)) {
                    let found = match both {
                        Some(_) => "this issuer has an `app` and a `claim`",
                        None => "this issuer has neither an `app` nor a `claim`",
                    };
                    let draft = self.name.problem(found).accepted("one of the two");
                    gathered.problem(draft);
                }
                None
            }
        }
    }

    /// Without a claim that tells them apart, `apps` says nothing.
    fn has_no_apps(&self, gathered: &mut Gathered<'_>) -> Option<()> {
        // A claim that cannot be read is told of by itself.
        let claim = format!("{}.claim", self.name.key);
        let first = self.issuer.apps.0.first();
        let first = first.filter(|_| !gathered.problems.any_at(&claim));
        let Some(one) = first.and_then(|one| one.value.get()) else {
            return Some(());
        };
        gathered.problem(one.problem("`apps` is nothing without `claim`"));
        None
    }

    fn claimed(
        &self,
        list: &[ClaimedApp],
        apps: &[Arc<App>],
        gathered: &mut Gathered<'_>,
    ) -> Option<HashMap<Box<str>, Arc<App>>> {
        let mut claimed = HashMap::new();
        let mut is_whole = true;
        for one in list {
            let app = one
                .app
                .get()
                .and_then(|name| self.app(name, apps, gathered));
            let (Some(value), Some(app)) = (one.value.get(), app) else {
                is_whole = false;
                continue;
            };
            if claimed.insert(value.value.0.as_str().into(), app).is_some() {
                gathered.problem(value.problem("this value stands for another app too"));
            }
        }
        is_whole.then_some(claimed)
    }

    fn app(
        &self,
        name: &At<Name>,
        apps: &[Arc<App>],
        gathered: &mut Gathered<'_>,
    ) -> Option<Arc<App>> {
        let found = apps.iter().find(|app| *app.name == name.value.0);
        let is_written = self.file.apps.place(&name.value.0).is_some();
        if !is_written && !gathered.problems.any_at("apps") {
            let message = format!("`{}` is not an app", name.value.0);
            let draft = name.problem(message);
            let draft = draft.nearest(&name.value.0, self.file.apps.names(), "app");
            gathered.problem(draft.of_absence());
        }
        found.cloned()
    }
}
