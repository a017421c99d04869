//! `[tokens]` and `[apps.NAME.tokens]`: what is asked of tokens, and who gets them here.

use super::{Gathered, evidence, limit};
use crate::apps::{self, Evidence, Scheme, TokenPolicy};
use crate::config::file::{App, AppTokens, File};
use crate::config::lists::OneOrMore;
use crate::config::read::At;
use crate::config::registry::RegistryPlace;
use crate::config::secrets::Places;
use crate::mint;
use crate::schemes::freshness::Freshness;
use crate::schemes::token;
use crate::schemes::token::dpop::nonce::Nonces;
use http::HeaderName;
use http::header::AUTHORIZATION;
use std::iter;

/// What is asked of tokens that are shown.
pub(super) fn settings(
    file: &File,
    freshness: Freshness,
    places: &Places<'_>,
    gathered: &mut Gathered<'_>,
) -> token::Settings {
    let audience = file.tokens.audience.as_ref();
    let mut tokens = token::Settings::new(
        audience.map(|text| text.0.as_str().into()),
        file.tokens.max_lifetime.0,
        freshness.skew,
    );
    tokens.dpop = token::dpop::Settings {
        freshness,
        nonce: file.tokens.dpop_nonce,
        nonces: nonces(file, places, gathered).unwrap_or_else(Nonces::own),
    };
    tokens
}

/// Who makes nonces for DPoP, where that is not this process alone.
fn nonces(file: &File, places: &Places<'_>, gathered: &mut Gathered<'_>) -> Option<Nonces> {
    let at = file.tokens.nonce_secret.as_ref()?;
    let opened = places.open(&at.value);
    let secret = gathered.take(at, opened)?.secret?;
    match Nonces::shared(&secret) {
        Ok(nonces) => Some(nonces),
        Err(bad) => {
            let draft = at.problem(bad.to_string());
            gathered.problem(
                draft.hint("`openssl rand -base64 32` makes a good one; write it as `base64:…`"),
            );
            None
        }
    }
}

/// The key service, where an app gets tokens of it.
pub(super) fn minting(
    file: &File,
    freshness: Freshness,
    gathered: &mut Gathered<'_>,
) -> Option<mint::Settings> {
    let with_tokens = || apps_of(file).filter_map(|app| app.tokens.as_ref());
    let first = with_tokens().next();
    if first.is_none() && !may_be_made(file) {
        return None;
    }
    let prefix = &file.tokens.prefix;
    for route in &file.routes.0 {
        let Some(path) = route.path.get() else {
            continue;
        };
        let pattern = path.value.to_string();
        let below = pattern.strip_prefix(&*prefix.value.0);
        if below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
            let message = format!("the key service answers below `{}`", prefix.value.0);
            let draft = path.problem(message);
            gathered.problem(
                draft.hint("another path for this route, or `[tokens] prefix` for the key service"),
            );
        }
    }
    if let (Some(first), None) = (first, &file.tokens.audience) {
        let draft = first
            .problem("its tokens do not say what they are for: `[tokens] audience` is not set");
        gathered.problem(draft.warning().hint(
            "`audience = \"https://api.example.com\"`: a token for this gateway opens no other that knows the key",
        ));
    }
    let public_url = file.server.public_url.as_ref();
    let issuer = match (&file.tokens.issuer, public_url) {
        (Some(issuer), _) => issuer.0.clone(),
        (None, Some(url)) => format!("{}://{}", url.value.scheme, url.value.authority),
        (None, None) => "portcullis".to_owned(),
    };
    Some(mint::Settings {
        prefix: prefix.value.0.clone(),
        issuer: issuer.into(),
        audience: file
            .tokens
            .audience
            .as_ref()
            .map(|text| text.0.as_str().into()),
        max_lifetime: file.tokens.max_lifetime.0,
        skew: freshness.skew,
        rate: limit(file.tokens.rate),
        rates: rates(file),
        dev: with_tokens().any(|tokens| evidence::takes(tokens, Evidence::Dev))
            && evidence::is_only_here(file)
            && !evidence::is_behind_proxies(file),
    })
}

/// Every field in which a token may stand, on whatever route.
pub(super) fn all_fields(file: &File) -> impl Iterator<Item = &HeaderName> {
    let of_routes = file.routes.0.iter();
    let of_routes = of_routes.filter_map(|route| route.token_headers.as_ref());
    let of_issuers = file.issuers.entries.iter();
    let of_issuers = of_issuers.filter_map(|(_, issuer)| Some(&issuer.as_ref()?.headers));
    let lists = iter::once(&file.tokens.headers);
    let lists = lists.chain(of_routes).chain(of_issuers);
    lists.flat_map(|list| &list.0).map(|name| &name.value)
}

/// Those of other routes than the one with `own`. `Authorization` may be the backend's there.
pub(super) fn foreign_fields(file: &File, own: &[HeaderName]) -> Vec<HeaderName> {
    let mut foreign: Vec<HeaderName> = Vec::new();
    for name in all_fields(file) {
        if *name != AUTHORIZATION && !own.contains(name) && !foreign.contains(name) {
            foreign.push(name.clone());
        }
    }
    foreign
}

/// How many tokens apps may get, by their plans.
fn rates(file: &File) -> mint::TokenRates {
    let usual = mint::Rates {
        app: limit(file.tokens.app_rate),
        instance: limit(file.tokens.instance_rate),
    };
    let plans = file.plans.entries.iter().filter_map(|(name, plan)| {
        let plan = plan.as_ref()?;
        let own = mint::Rates {
            app: plan.tokens.map_or(usual.app, limit),
            instance: plan.instance_tokens.map_or(usual.instance, limit),
        };
        (own != usual).then(|| (name.value.as_str().into(), own))
    });
    let plans_of = file.apps.entries.iter().filter_map(|(name, app)| {
        let plan = app.as_ref()?.plan.as_ref()?;
        Some((name.value.as_str().into(), plan.value.0.as_str().into()))
    });
    mint::TokenRates {
        usual,
        plans: plans.collect(),
        plan_of: plans_of.collect(),
    }
}

/// How an app gets its tokens.
pub(super) fn policy(
    app: &App,
    tokens: &At<AppTokens>,
    file: &File,
    gathered: &mut Gathered<'_>,
) -> Option<TokenPolicy> {
    let keys = keys(app, tokens, gathered);
    if tokens.lifetime.value.0 > file.tokens.max_lifetime.0 {
        let draft = tokens.lifetime.problem("no token may live so long");
        gathered.problem(draft.accepted("at most `[tokens] max_lifetime`"));
    }
    evidence::check(tokens, file, gathered);
    let workloads = evidence::workloads(tokens, file, gathered);
    let policy = TokenPolicy {
        keys: keys?,
        lifetime: tokens.lifetime.value.0,
        evidence: tokens
            .evidence
            .get()?
            .0
            .iter()
            .map(|one| one.value)
            .collect(),
        builds: tokens
            .builds
            .0
            .iter()
            .map(|build| build.0.clone())
            .collect(),
        on_failure: tokens.on_failure,
        workloads: workloads?,
        client_id: tokens
            .client_id
            .as_ref()
            .map(|text| text.value.0.as_str().into()),
    };
    // What is told above, with its place, is not told again.
    match policy.check() {
        Err(
            bad @ (apps::BadPolicy::Builds
            | apps::BadPolicy::TooManyWorkloads
            | apps::BadPolicy::Claims),
        ) => {
            gathered.problem(tokens.problem(bad.to_string()));
            None
        }
        Err(bad @ apps::BadPolicy::ClientId) => {
            let told = tokens.client_id.as_ref();
            gathered.problem(told.map_or_else(
                || tokens.problem(bad.to_string()),
                |told| told.problem(bad.to_string()),
            ));
            None
        }
        Err(_) => None,
        Ok(()) => Some(policy),
    }
}

/// Whether the workloads of some app may be known by this issuer: of one here that names it, or of one that
/// is made at run time.
pub(super) fn may_name_issuer(file: &File, issuer: &str) -> bool {
    let tokens = apps_of(file).filter_map(|app| app.tokens.as_ref());
    let mut named = tokens
        .flat_map(|tokens| &tokens.workloads.0)
        .filter_map(|workload| workload.issuer.get());
    may_be_made(file) || named.any(|name| name.value.0 == issuer)
}

/// Whether an issuer's tokens stand for no app.
pub(super) fn is_evidence_only(file: &File, issuer: &str) -> bool {
    let place = file.issuers.place(issuer);
    let issuer_of = |place: usize| file.issuers.entries.get(place)?.1.as_ref();
    place
        .and_then(issuer_of)
        .is_some_and(|one| one.app.is_none() && one.claim.is_none())
        && may_name_issuer(file, issuer)
}

/// Whether apps, and keys that attest, may be made at run time.
pub(super) fn may_be_made(file: &File) -> bool {
    !matches!(&file.state.registry, Some(at) if at.value == RegistryPlace(None))
}

/// The apps that get tokens of the key service, by their names.
pub(super) fn of_apps(file: &File) -> impl Iterator<Item = (&str, &AppTokens)> {
    let entries = file.apps.entries.iter();
    entries.filter_map(|(name, app)| {
        let tokens = app.as_ref()?.tokens.as_ref()?;
        Some((name.value.as_str(), &tokens.value))
    })
}

pub(super) fn apps_of(file: &File) -> impl Iterator<Item = &App> {
    file.apps.entries.iter().filter_map(|(_, app)| app.as_ref())
}

/// The ids of the keys that sign: each is one of the app's that can.
fn keys(app: &App, tokens: &At<AppTokens>, gathered: &mut Gathered<'_>) -> Option<Vec<Box<str>>> {
    // As the key service chooses; that `schemes` of one that attests are `["token"]` is asked where the key is read.
    let can_sign = |key: &crate::config::file::Key| {
        let algorithm = key.algorithm.get().map(|one| one.value);
        key.attests.value
            && (key.secret.is_some() || key.private_key.is_some())
            && algorithm.is_none_or(crate::crypto::Algorithm::is_for_tokens)
    };
    let Some(OneOrMore(named)) = &tokens.value.key else {
        if !app.keys.0.iter().any(can_sign) {
            let scheme = Scheme::Token;
            let draft = tokens
                .problem("no key of this app can sign its tokens")
                .of_absence();
            gathered.problem(draft.hint(format!(
                "one with `attests = true`, `schemes = [\"{scheme}\"]`, and a `secret` or a `private_key`"
            )));
            return None;
        }
        return Some(Vec::new());
    };
    let mut ids = Vec::new();
    let mut is_whole = true;
    for name in named {
        let id = &name.value.0;
        let is_it =
            |key: &&crate::config::file::Key| key.id.get().is_some_and(|own| own.value.0 == *id);
        match app.keys.0.iter().find(is_it) {
            Some(key) if can_sign(key) => ids.push(id.as_str().into()),
            Some(_) => {
                is_whole = false;
                let draft = name.problem(format!("`{id}` cannot sign tokens here"));
                gathered.problem(draft.hint(
                    "it needs `attests = true`, `schemes = [\"token\"]`, a `secret` or a `private_key`, and an algorithm of tokens",
                ));
            }
            None => {
                is_whole = false;
                let own = app.keys.0.iter().filter_map(|key| key.id.get());
                let own: Vec<&str> = own.map(|own| own.value.0.as_str()).collect();
                let draft = name.problem(format!("`{id}` is not a key of this app"));
                gathered.problem(draft.nearest(id, own.into_iter(), "key").of_absence());
            }
        }
    }
    is_whole.then_some(ids)
}
