//! `[tokens]` and `[apps.NAME.tokens]`: what is asked of tokens, and who gets them here.

use super::{Gathered, limit};
use crate::apps::{self, ClaimRule, Evidence, Scheme, TokenPolicy};
use crate::config::file::{App, AppTokens, File};
use crate::config::lists::OneOrMore;
use crate::config::read::At;
use crate::config::registry::RegistryPlace;
use crate::config::values::Text;
use crate::mint;
use crate::schemes::freshness::Freshness;
use crate::schemes::token;

/// What is asked of tokens that are shown.
pub(super) fn settings(file: &File, freshness: Freshness) -> token::Settings {
    let audience = file.tokens.audience.as_ref();
    let mut tokens = token::Settings::new(
        audience.map(|text| text.0.as_str().into()),
        file.tokens.max_lifetime.0,
        freshness.skew,
    );
    tokens.dpop = token::dpop::Settings {
        freshness,
        nonce: file.tokens.dpop_nonce,
    };
    tokens
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
        dev: with_tokens().any(|tokens| takes(tokens, Evidence::Dev)) && is_only_here(file),
    })
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
    evidence(tokens, file, gathered);
    let workloads = workloads(tokens, file, gathered);
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

fn apps_of(file: &File) -> impl Iterator<Item = &App> {
    file.apps.entries.iter().filter_map(|(_, app)| app.as_ref())
}

fn takes(tokens: &AppTokens, wanted: Evidence) -> bool {
    let list = tokens.evidence.get();
    list.is_some_and(|list| list.0.iter().any(|one| one.value == wanted))
}

/// Whether only this machine can connect.
fn is_only_here(file: &File) -> bool {
    let mut places = file.server.listen.0.iter();
    places.all(|one| {
        one.value
            .0
            .address()
            .is_some_and(|at| at.ip().is_loopback())
    })
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

fn evidence(tokens: &AppTokens, file: &File, gathered: &mut Gathered<'_>) {
    let Some(list) = tokens.evidence.get() else {
        return;
    };
    for one in &list.0 {
        match one.value {
            Evidence::Dev if !is_only_here(file) => {
                let draft =
                    one.problem("anyone who reaches the gateway gets a token without evidence");
                gathered.problem(draft.accepted("`\"dev\"` where every `[server] listen` is an address of this machine, `127.0.0.1:…`"));
            }
            Evidence::InstanceKey => {
                let draft = one
                    .problem("instances enrol in the registry, and this app does not stand there");
                gathered.problem(
                    draft.hint("`portcullis app create` makes one that does: docs/registry.md"),
                );
            }
            Evidence::Oidc if tokens.workloads.0.is_empty() => {
                let draft = one.problem("nothing says which workloads are this app");
                gathered.problem(draft.of_absence().hint(
                    "`workloads = [{ issuer = \"NAME\", claims = [{ claim = \"sub\", value = \"…\" }] }]`",
                ));
            }
            _ => {}
        }
    }
}

fn workloads(
    tokens: &AppTokens,
    file: &File,
    gathered: &mut Gathered<'_>,
) -> Option<Vec<apps::Workload>> {
    let mut workloads = Vec::new();
    let mut is_whole = true;
    for one in &tokens.workloads.0 {
        let (Some(issuer), Some(claims)) = (one.issuer.get(), one.claims.get()) else {
            is_whole = false;
            continue;
        };
        if !takes(tokens, Evidence::Oidc) && tokens.evidence.get().is_some() {
            let draft = issuer.problem("a workload is nothing without `\"oidc\"` in `evidence`");
            gathered.problem(draft);
            is_whole = false;
        }
        let name = &issuer.value.0;
        if file.issuers.place(name).is_none() && !gathered.problems.any_at("issuers") {
            let draft = issuer.problem(format!("`{name}` is not an issuer"));
            let draft = draft.nearest(name, file.issuers.names(), "issuer");
            gathered.problem(draft.of_absence());
            is_whole = false;
        }
        let texts = |OneOrMore(list): &OneOrMore<Text>| -> Vec<Box<str>> {
            list.iter().map(|text| text.0.as_str().into()).collect()
        };
        let rules = claims.0.iter().filter_map(|rule| {
            Some(ClaimRule {
                claim: texts(rule.claim.get()?),
                value: texts(rule.value.get()?),
            })
        });
        let rules: Vec<_> = rules.collect();
        // One that cannot be read would leave the workload open to more than it says.
        is_whole &= rules.len() == claims.0.len();
        workloads.push(apps::Workload {
            issuer: name.as_str().into(),
            claims: rules,
            single_use: one.single_use,
        });
    }
    is_whole.then_some(workloads)
}
