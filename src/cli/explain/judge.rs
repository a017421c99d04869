//! The way of a request, step by step, with what is known before it is sent.

use super::case::Case;
use super::ground::{Gateway, Ground};
use super::report::{Outcome, Refused, Report, Request, Route as RouteShown, Step};
use super::{advice, body, head, shown, unknown, veil};
use crate::apps::Mode;
use crate::authorize::{self, Heights};
use crate::cli::pasted::{Body, Pasted, announced};
use crate::clock::Now;
use crate::crypto::digest::sha256;
use crate::gateway::refusal::Refusal;
use crate::gateway::{asked_protocol, is_of_foreign_page, route_of_preflight};
use crate::replay::{self, Memories, Memory, Recorded};
use crate::route::{Accept, NoRoute, Route};
use crate::schemes::{
    self, Caller, Malformed, Observed, PAIR, Presented, Received, Rules, Surroundings, token,
};
use http::Version;
use http::header::ORIGIN;
use std::sync::atomic::{AtomicBool, Ordering};

/// Tokens that are kept while one request is judged.
const CACHED_TOKENS: usize = 1;

/// What is noted of a request to `https` where the gateway takes it for one to `http`.
const TAKEN_AS_HTTP: &str = "this gateway ends no TLS and hears of none: it takes requests as `http`; behind TLS that others end it needs `[server] public_url`, or `trusted_proxies` (here `--https` stands for them)";

/// Judges `raw` as the gateway would at `now`. `base` is the caller's own signature base.
pub(in crate::cli) fn judge(
    raw: &Pasted,
    ground: &Ground,
    base: Option<&[u8]>,
    now: Now,
) -> Report {
    let way = Way {
        raw,
        body: &raw.body,
        ground,
        base,
        now,
    };
    let report = way.judged();
    // An editor ends a file with a newline that the body did not have when it was proven.
    let without = raw.body.without_newline().filter(|_| !report.passes);
    let Some(body) = without else {
        return report;
    };
    let mut again = Way { body: &body, ..way }.judged();
    // It is so only where a proof says it: one that holds without the newline and does not with it.
    let is_proven = again.steps.len() > report.steps.len() || again.passes && again.proves_body;
    if !is_proven {
        return report;
    }
    again.notes.push(
        "the body is the one that was proven without the newline at its end: taken as the editor's"
            .to_owned(),
    );
    again
}

/// A step has refused the request, and the report says why.
pub(super) struct Stopped;

#[derive(Clone, Copy)]
struct Way<'w> {
    raw: &'w Pasted,
    body: &'w Body,
    ground: &'w Ground,
    base: Option<&'w [u8]>,
    now: Now,
}

impl Way<'_> {
    fn judged(&self) -> Report {
        let mut report = Report {
            at: self.now.unix_seconds(),
            notes: self.raw.notes.clone(),
            ..Report::default()
        };
        report.passes = self.go(&mut report).is_ok();
        report
    }

    /// The steps in the gateway's order (see `gateway`).
    fn go(&self, report: &mut Report) -> Result<(), Stopped> {
        let parts = &self.raw.parts;
        if let Some(fault) = head::fault(parts) {
            return Err(refuse(report, "head", &Refusal::Wire(fault), None));
        }
        let is_to_https = self.raw.tls == Some(true);
        let is_plain = self.ground.gateway == Gateway::Plain;
        if is_to_https && is_plain && !self.ground.is_tls {
            report.notes.push(TAKEN_AS_HTTP.to_owned());
        }
        let around = Surroundings {
            tls: self.ground.is_tls || is_to_https && !is_plain,
            http2: parts.version == Version::HTTP_2,
            has_body: self.raw.has_body(),
            public_url: self.ground.public_url.as_ref(),
        };
        let received = Received::read(&parts.method, &parts.uri, &parts.headers, around).map_err(
            |malformed| {
                let change = advice::head(&malformed);
                refuse(report, "head", &Refusal::Head(malformed), change)
            },
        )?;
        let body = self.body.bytes();
        let hash = body.map(|bytes| sha256(&[bytes]));
        let received = received.with_body_hash(hash.as_ref()).with_body(body);
        report.request = Some(Request {
            method: received.method().to_string(),
            scheme: received.scheme().to_owned(),
            authority: received.authority().to_owned(),
            target: veil::query(received.target(), &self.ground.nowhere),
        });
        pass(report, "head", "one reading");
        if let Some(route) = route_of_preflight(&received, &self.ground.routes) {
            preflight(&received, route, report);
            return Ok(());
        }
        let route = self.route(&received, report)?;
        let caller = self.credential(&received, route, report)?;
        let (scheme, proof) = (caller.scheme(), caller.body().clone());
        let permit = self.single_use(caller, &received, route, report)?;
        pass(report, "scopes", &scopes(route));
        drop(permit);
        report.steps.push(Step {
            name: "limits",
            outcome: Outcome::NotChecked,
            note: "how much the app has used is known to the running gateway alone".to_owned(),
        });
        let length = body::length(self.body, announced(&parts.headers));
        body::judge((self.body, length), (scheme, &proof), route, report)
    }

    fn route(&self, received: &Received<'_>, report: &mut Report) -> Result<&Route, Stopped> {
        let routes = &self.ground.routes;
        let found = routes.find(received.host(), received.method(), received.path());
        let route = match found {
            Ok(route) => route,
            Err(none) => {
                let change = advice::route(&none, routes, received);
                if let NoRoute::NotFound = none {
                    shown::credentials(report, self.case(received, &self.ground.nowhere));
                }
                return Err(refuse(report, "route", &Refusal::Route(none), change));
            }
        };
        report.route = Some(shown_route(route));
        if let Err(ambiguous) = received.path().allowed_by(route.path_encoding) {
            let malformed = Malformed::Path(ambiguous);
            let change = advice::head(&malformed);
            return Err(refuse(report, "route", &Refusal::Head(malformed), change));
        }
        pass(report, "route", &format!("`{}`", route.name));
        Ok(route)
    }

    fn case<'c>(&'c self, received: &'c Received<'c>, route: &'c Route) -> Case<'c> {
        Case {
            received,
            route,
            ground: self.ground,
            callers_text: self.base,
            refused: None,
            now: self.now,
        }
    }

    fn credential(
        &self,
        received: &Received<'_>,
        route: &Route,
        report: &mut Report,
    ) -> Result<Caller, Stopped> {
        if let Some(caller) = Caller::anonymous(route) {
            pass(
                report,
                "credential",
                "the route is public: none is looked at",
            );
            return Ok(caller);
        }
        if route.mode == Mode::Observe {
            report.notes.push(
                "the route only observes: the request passes whatever is found below".to_owned(),
            );
        }
        let case = self.case(received, route);
        let cache = token::Cache::new(CACHED_TOKENS);
        let rules = Rules {
            registry: &self.ground.registry,
            freshness: self.ground.freshness,
            tokens: &self.ground.tokens,
            verified: &cache,
            // Whoever runs this command has the configuration, and sees the text above.
            explain: false,
        };
        let verified = Presented::read(received, route)
            .and_then(|presented| presented.verify(received, route, rules, self.now));
        let refused = verified.as_ref().err();
        shown::credentials(report, Case { refused, ..case });
        match verified {
            Ok(caller) => {
                let note = match (caller.key_id(), caller.app()) {
                    (Some(key), Some(app)) => format!("key `{key}` of app `{}`", app.name),
                    _ => String::new(),
                };
                pass(report, "credential", &note);
                Ok(caller)
            }
            Err(why) => {
                if let (schemes::Refused::Unread, Body::Broken(fault)) = (&why, self.body) {
                    // Such a body is read before it is known who calls.
                    return Err(body::broken(fault, report));
                }
                let change = advice::credential(&why, case, report);
                if unknown::may_be_made(&why, case) {
                    report.steps.push(Step {
                        name: "credential",
                        outcome: Outcome::NotChecked,
                        note: "keys made at run time are not known here".to_owned(),
                    });
                    report.undecided = change;
                    return Err(Stopped);
                }
                let refusal = Refusal::Credential(why);
                Err(refuse(report, "credential", &refusal, change))
            }
        }
    }

    fn single_use(
        &self,
        caller: Caller,
        received: &Received<'_>,
        route: &Route,
        report: &mut Report,
    ) -> Result<authorize::Permit, Stopped> {
        let asked = Asked(AtomicBool::new(false));
        let memories = Memories {
            enforced: &asked,
            observed: &asked,
        };
        if caller.observed_on(route) == Some(Observed::App) {
            report.notes.push(
                "the app only observes: once a request is proven to be its own, what is asked of it refuses nothing"
                    .to_owned(),
            );
        }
        let slack = self.ground.freshness.skew * 2;
        let method = &self.raw.parts.method;
        let switches = asked_protocol(route, &self.raw.parts, self.raw.has_body()).is_some();
        if switches && is_of_foreign_page(route, received) {
            let change = "add its origin to `cors` of the route, if its pages may call".to_owned();
            return Err(refuse(report, "origin", &Refusal::Origin, Some(change)));
        }
        let is_proven = caller.proof().is_some();
        let has = shown::names(caller.scopes());
        let fresh = replay::check(caller, route, method, switches, memories, slack, self.now)
            .expect("this memory takes every proof");
        let note = if asked.0.load(Ordering::Relaxed) {
            "passes once only; whether it did is known to the running gateway alone"
        } else if is_proven {
            "may pass again while its time lasts"
        } else {
            "nothing to remember"
        };
        report.steps.push(Step {
            name: "replay",
            outcome: Outcome::NotChecked,
            note: note.to_owned(),
        });
        // What an app has moved up to is known to the running gateway alone.
        let checked = authorize::check(fresh, route, &Heights::new([]));
        // Where it is only observed, too: what is asked here is whether it would pass.
        let checked = checked.and_then(|permit| match permit.would_refuse() {
            Some(denied) => Err(denied.clone()),
            None => Ok(permit),
        });
        checked.map_err(|denied| {
            let (step, change) = match &denied {
                authorize::Refused::ScopeMissing(scope) => (
                    "scopes",
                    format!(
                        "app and token together allow {has}; give the app `{scope}` in `gateway.toml`, or use a token whose `scope` does not leave it out"
                    ),
                ),
                _ => (
                    "assurance",
                    "prove it better, or ask for less: `assurance` of the route, or of the app's plan"
                        .to_owned(),
                ),
            };
            refuse(report, step, &Refusal::Denied(denied), Some(change))
        })
    }
}

/// Takes down a preflight, whose answer needs neither proof nor upstream.
fn preflight(received: &Received<'_>, route: &Route, report: &mut Report) {
    report.route = Some(shown_route(route));
    let origin = received.fields().get(ORIGIN);
    let asked = route.cors.as_ref().zip(origin);
    let note = if asked.is_some_and(|(cors, origin)| cors.allows(origin.as_bytes())) {
        "answered here, without a proof"
    } else {
        "answered here; its origin is none of those in `cors`, so that the browser goes no further"
    };
    pass(report, "preflight", note);
}

fn shown_route(route: &Route) -> RouteShown {
    RouteShown {
        name: route.name.to_string(),
        path: route.path.to_string(),
        accepts: match route.accept {
            Accept::Public => vec!["public"],
            Accept::Proven(schemes) => {
                let alone = schemes.iter().map(crate::apps::Scheme::name);
                alone.chain(route.pair.then_some(PAIR)).collect()
            }
        },
        scopes: route.scopes.iter().map(str::to_owned).collect(),
    }
}

/// A memory that only tells whether it was asked.
struct Asked(AtomicBool);

impl Memory for Asked {
    fn record(&self, _: replay::Once, _: Now) -> Result<Recorded, replay::Refused> {
        self.0.store(true, Ordering::Relaxed);
        Ok(Recorded::NOWHERE)
    }

    fn write_down(&self, _: Recorded) -> Result<(), replay::Refused> {
        Ok(())
    }
}

fn scopes(route: &Route) -> String {
    if route.scopes.is_empty() {
        "the route asks for none".to_owned()
    } else {
        format!("has {}", shown::names(&route.scopes))
    }
}

pub(super) fn pass(report: &mut Report, name: &'static str, note: &str) {
    report.steps.push(Step {
        name,
        outcome: Outcome::Passed,
        note: note.to_owned(),
    });
}

pub(super) fn refuse(
    report: &mut Report,
    step: &'static str,
    refusal: &Refusal,
    change: Option<String>,
) -> Stopped {
    let code = refusal.code();
    report.steps.push(Step {
        name: step,
        outcome: Outcome::Refused,
        note: code.word().to_owned(),
    });
    report.refused = Some(Refused {
        step,
        status: code.status().as_u16(),
        code: code.word(),
        title: code.title(),
        detail: refusal.detail(),
        reason: refusal.reason(),
        change,
    });
    Stopped
}
