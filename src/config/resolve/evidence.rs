//! `evidence` and `workloads` of `[apps.NAME.tokens]`: what an instance shows to get a token.

use super::Gathered;
use crate::apps::{self, ClaimRule, Evidence};
use crate::config::file::{AppTokens, File};
use crate::config::lists::OneOrMore;
use crate::config::read::At;
use crate::config::values::Text;
use std::net::IpAddr;

/// Whether its tokens are given for `wanted`.
pub(super) fn takes(tokens: &AppTokens, wanted: Evidence) -> bool {
    let list = tokens.evidence.get();
    list.is_some_and(|list| list.0.iter().any(|one| one.value == wanted))
}

/// Looks for evidence that nobody can show here, or anybody.
pub(super) fn check(tokens: &AppTokens, file: &File, gathered: &mut Gathered<'_>) {
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
            Evidence::Dev if is_behind_proxies(file) => {
                let draft =
                    one.problem("anyone whom a proxy lets through gets a token without evidence");
                gathered
                    .problem(draft.accepted("`\"dev\"` where `[server] trusted_proxies` is empty"));
            }
            Evidence::Dev => warn_of_proxy(one, file, gathered),
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
            Evidence::Oidc => {}
        }
    }
}

/// Whether only this machine can connect.
pub(super) fn is_only_here(file: &File) -> bool {
    let mut places = file.server.listen.0.iter();
    places.all(|one| {
        one.value
            .0
            .address()
            .is_some_and(|at| at.ip().is_loopback())
    })
}

/// Whether a proxy that connects may speak for somebody elsewhere.
pub(super) fn is_behind_proxies(file: &File) -> bool {
    !file.server.trusted_proxies.0.is_empty()
}

/// A proxy that the configuration does not name looks like this machine, and so does everybody behind it.
fn warn_of_proxy(dev: &At<Evidence>, file: &File, gathered: &mut Gathered<'_>) {
    let Some(url) = &file.server.public_url else {
        return;
    };
    let host = url.value.host().trim_matches(['[', ']']);
    let is_here = host.eq_ignore_ascii_case("localhost")
        || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    if is_here {
        return;
    }
    let draft = dev.problem(format!(
        "callers know this gateway as `{host}`: anyone whom a proxy there lets through gets a token without evidence"
    ));
    gathered.problem(draft.warning().hint(
        "`\"dev\"` is for the machine that an app is developed on: leave it, or `public_url`, out elsewhere",
    ));
}

/// Which jobs and workloads elsewhere are instances of the app; `None` where one cannot be used.
pub(super) fn workloads(
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
