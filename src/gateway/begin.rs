//! The steps that take no time: from a request's head to a caller who is
//! proven, fresh, allowed and within its limits.

use super::minting::{self, Asked};
use super::outcome::Stopped;
use super::refusal::Refusal;
use super::reload::Settings;
use super::static_keys::{key_places_to_empty, target};
use super::unread::{Known, Unread};
use super::{Ending, Gateway, answer, challenge, cors, observed, tunnels};
use crate::apps::{Mode, Scheme};
use crate::authorize;
use crate::clock::Now;
use crate::forward::Head;
use crate::limit::{self, Charged, Limits};
use crate::observe::Record;
use crate::replay::{self, Memories};
use crate::route::{Accept, Route};
use crate::schemes::doctor::{self, Finding};
use crate::schemes::{self, Caller, Malformed, Presented, Received, Rules, Surroundings, Unbound};
use crate::server::{Peer, RequestBody};
use http::request::Parts;
use http::{HeaderMap, Method, Response, StatusCode};
use std::sync::Arc;

/// What becomes of a request by its head.
pub(super) enum Begun {
    /// It may pass, with this body.
    Passing(Box<Passing>, RequestBody),
    /// It is for the key service.
    Asked(Box<Asked>, RequestBody),
    /// It has its answer, and needs no upstream.
    Answered(Box<Response<()>>),
    /// Of its body something has to come first.
    Unread(Box<Unread>, RequestBody),
}

/// What the head of a request comes to.
pub(super) enum Judged {
    Passing(Box<Passing>),
    Unread(Box<Unread>),
    Asked(Box<Asked>),
}

impl Judged {
    /// Whether an app has proven itself by it.
    pub(super) fn is_of_an_app(&self) -> bool {
        matches!(self, Self::Passing(passing) if passing.charged.permit().caller().app().is_some())
    }
}

/// A request that may pass, taken out of its head.
pub(super) struct Passing {
    pub(super) charged: Charged,
    pub(super) route: Arc<Route>,
    pub(super) head: Head,
}

impl Gateway {
    /// Every step that takes no time.
    pub(super) fn begin(
        &self,
        settings: &Settings,
        peer: &Peer,
        parts: Box<Parts>,
        body: RequestBody,
        ending: &mut Ending,
        now: Now,
    ) -> Result<Begun, Box<Stopped>> {
        let known = Known::of(&body);
        let has_body = known.has_body();
        ending.describe(&parts);
        if parts.method == Method::OPTIONS
            && let Some(preflight) = self.preflight(settings, peer, &parts, has_body, now)
        {
            let response = cors::preflighted(preflight, ending)?;
            return Ok(Begun::Answered(Box::new(response)));
        }
        // Unknown sources pay first: this look-up is cheaper than any cryptography.
        let peers = &self.shared.peers;
        let checked = peers.check(&settings.peers, peer.address, now);
        let judged = match checked {
            Ok(()) => {
                let record = ending.record();
                self.judge(settings, peer, parts, known, record, now)
            }
            Err(refused) => {
                let told = cors::Told::of_unread(settings, peer, &parts, has_body);
                Err(Stopped::told(Refusal::Peer(refused), None, told))
            }
        };
        match judged {
            Ok(Judged::Passing(passing)) => Ok(Begun::Passing(passing, body)),
            Ok(Judged::Unread(unread)) => Ok(Begun::Unread(unread, body)),
            Ok(Judged::Asked(asked)) => Ok(Begun::Asked(asked, body)),
            Err(stopped) => Err(stopped),
        }
    }

    /// Every step that needs only the head, and the body's hash where it was read.
    pub(super) fn judge(
        &self,
        settings: &Settings,
        peer: &Peer,
        parts: Box<Parts>,
        known: Known<'_>,
        record: &mut Record,
        now: Now,
    ) -> Result<Judged, Box<Stopped>> {
        let has_body = known.has_body();
        let received = read_head(settings, peer, &parts, has_body)
            .map_err(Refusal::Head)?
            .with_certificate(peer.certificate.as_deref())
            .with_untold_length(known.is_untold())
            .with_body_hash(known.whole().map(|body| &body.sha256))
            .with_body(known.whole().map(|body| &*body.bytes));
        record.host = received.host().into();
        if let Some(door) = minting::door(settings, &parts) {
            let door = door.map_err(|refusal| {
                let told = cors::Told::of_minting(settings, &parts.headers);
                Stopped::told(refusal, None, told)
            })?;
            return Ok(Judged::Asked(Box::new(Asked::new(door, parts))));
        }

        let route = settings
            .routes
            .find(received.host(), received.method(), received.path())
            .map_err(Refusal::Route)?;
        record.route = Some((route.index, route.name.clone()));
        received
            .path()
            .allowed_by(route.path_encoding)
            .map_err(|ambiguous| Refusal::Head(Malformed::Path(ambiguous)))?;

        let upgrade = tunnels::asked(route, &parts, has_body);
        let switches = upgrade.is_some();
        let proven = self.prove(settings, &received, route, switches, record, now);
        let hold = || route.hold(record.scheme == Some(Scheme::Webhook.name()));
        if let Some(wait) = known.wait(&proven, hold) {
            let told = cors::Told::of(route, &parts.headers);
            return Ok(Judged::Unread(Box::new(Unread {
                parts,
                wait,
                told,
                counts: route.mode == Mode::Enforce,
            })));
        }
        let charged = proven.map_err(|refusal| {
            let mut asks = HeaderMap::new();
            let error = challenge::attestation_error(route, &received, &refusal);
            if refusal.code().status() == StatusCode::UNAUTHORIZED {
                answer::ask_for_proof(&mut asks, route, &received);
                challenge::ask_for_token(&mut asks, route, &refusal, error);
                if let Some(field) = challenge::nonce_field(&refusal) {
                    challenge::give_nonce(&mut asks, field, &settings.tokens.dpop.nonces, now);
                }
            }
            cors::Told::of(route, &parts.headers).tell(&mut asks);
            let finding = Self::finding(settings, &refusal, &received, route, now);
            let mut stopped = Box::<Stopped>::from(refusal);
            stopped.asks = asks;
            stopped.finding = finding;
            stopped.oauth_error = error;
            stopped
        })?;
        let key_places = key_places_to_empty(route, &settings.registry);
        let head = Head {
            drops_keys: key_places.is_some(),
            authority: received.authority().into(),
            scheme: if received.scheme() == "https" {
                "https"
            } else {
                "http"
            },
            target: target(&parts.uri, key_places),
            peer: peer.address,
            asked: now,
            via: peer.via.clone(),
            request_id: *record.id.digits(),
            would_refuse: record.observed.as_ref().and_then(|one| one.would_refuse),
            parts,
            upgrade,
        };
        Ok(Judged::Passing(Box::new(Passing {
            charged,
            route: route.clone(),
            head,
        })))
    }

    /// From a credential to a caller within its limits. The order is the
    /// point: each step takes what the one before has proven.
    fn prove(
        &self,
        settings: &Settings,
        received: &Received<'_>,
        route: &Route,
        switches: bool,
        record: &mut Record,
        now: Now,
    ) -> Result<Charged, Refusal> {
        let caller = match route.accept {
            Accept::Public => Caller::anonymous(route).ok_or(schemes::Refused::Missing),
            Accept::Proven(_) => self.verify(settings, received, route, record, now),
        };
        let caller = caller.or_else(|refused| {
            let unproven = Caller::unproven(route, &refused);
            let refusal = Refusal::Credential(refused);
            let Some(caller) = unproven else {
                return Err(refusal);
            };
            let finding = Self::finding(settings, &refusal, received, route, now);
            observed::note_unproven(record, &refusal, finding.as_ref(), &settings.registry);
            Ok(caller)
        })?;
        if let (Some(app), Some(key)) = (caller.app(), caller.key_id()) {
            record.app = Some(app.name.clone());
            record.key = Some(key.clone());
            record.instance = caller.instance().cloned();
            record.scheme = caller.scheme_name();
            record.claimed_key = None;
            caller.note_use(&settings.registry, now.unix_seconds());
        }
        if switches && cors::is_of_foreign_page(route, received) {
            match caller.observed_on(route) {
                Some(by) => observed::note_origin(record, by),
                None => return Err(Refusal::Origin),
            }
        }
        // While its body was held back others were charged for later moments.
        let charged_at = match received.body() {
            Some(_) => self.shared.clock.later(now),
            None => now,
        };
        // What an app sends beyond its rate takes up no room in the memory that all share.
        if caller.observed_on(route).is_none() {
            limit::look(&caller, &settings.limits, charged_at).map_err(Refusal::Limit)?;
        }
        // A proof is used up only once it holds, else anyone could burn another's
        // nonces. It stays used when a later step refuses.
        let slack = settings.freshness.skew * 2;
        let memories = Memories {
            enforced: &*self.shared.memory,
            observed: &*self.shared.observed,
        };
        let method = received.method();
        let fresh = replay::check(caller, route, method, switches, memories, slack, now)
            .map_err(Refusal::Replay)?;
        let permit =
            authorize::check(fresh, route, &self.shared.heights).map_err(Refusal::Denied)?;
        // The app is charged last: before verification its name was only a claim.
        let limits = Limits {
            enforced: &settings.limits,
            observed: &settings.observed_limits,
        };
        let charged = limit::charge(permit, limits, charged_at).map_err(Refusal::Limit)?;
        observed::note_steps(record, &charged);
        Ok(charged)
    }

    /// What an honest caller did wrong, where it may be told, if only by who reads the record.
    fn finding(
        settings: &Settings,
        refusal: &Refusal,
        received: &Received<'_>,
        route: &Route,
        now: Now,
    ) -> Option<Finding> {
        let Refusal::Credential(refused) = refusal else {
            return None;
        };
        let (registry, explain) = (&settings.registry, settings.explain);
        doctor::examine(
            refused,
            received,
            route,
            registry,
            explain,
            &settings.doctor,
            now,
        )
    }

    fn verify(
        &self,
        settings: &Settings,
        received: &Received<'_>,
        route: &Route,
        record: &mut Record,
        now: Now,
    ) -> Result<Caller, schemes::Refused> {
        let presented = Presented::read(received, route)?;
        if let Some(nonce) = presented.nonce() {
            self.shared.memory.expect(nonce);
        }
        let rules = Rules {
            registry: &settings.registry,
            freshness: settings.freshness,
            tokens: &settings.tokens,
            verified: &self.shared.tokens,
            explain: settings.explain,
        };
        presented
            .verify(received, route, rules, now)
            .map_err(|refused| {
                // Where it would do for a request without a body, the first byte shows whether this is one.
                let is_unbegun = matches!(refused, schemes::Refused::Coverage(_))
                    && (received.without_body_of_untold_length())
                        .is_some_and(|empty| presented.verify(&empty, route, rules, now).is_ok());
                if is_unbegun {
                    schemes::Refused::Unbegun
                } else {
                    refused
                }
            })
            .inspect_err(|refused| {
                record.scheme = Some(presented.scheme_name());
                let claimed = presented.claimed_key(&settings.registry);
                record.claimed_key = claimed.map(Into::into);
                if *refused == schemes::Refused::AppDisabled {
                    // The proof holds: whose it is, is known.
                    record.app = presented.app_of_key(&settings.registry);
                }
                // The same of a token whose proof lacks a nonce: told as its next request is, which has one, or one caller
                // would be two for whoever reads what is observed.
                if route.mode == Mode::Observe
                    && let schemes::Refused::Binding(Unbound::Nonce | Unbound::Challenge) = refused
                    && let Some(key) = presented.key_of_token(rules, now)
                {
                    record.app = Some(key.app.name.clone());
                    record.claimed_key = Some((&*key.id).into());
                }
                // Nobody who knows no key learns by it that one was laid out: all unknown ones are looked up.
                if settings.registry.has_honey() && refused.is_unknown_key() {
                    let claimed = record.claimed_key.as_deref();
                    let key = presented.honey(claimed, &settings.registry);
                    if let (Some(key), Some(alarm)) = (key, &self.shared.alarm) {
                        alarm(&key, record.peer, now);
                    }
                }
            })
    }
}

/// A request's head, as it came over this connection.
pub(super) fn read_head<'r>(
    settings: &'r Settings,
    peer: &Peer,
    parts: &'r Parts,
    has_body: bool,
) -> Result<Received<'r>, Malformed> {
    let around = Surroundings {
        tls: peer.tls,
        http2: parts.version == http::Version::HTTP_2,
        has_body,
        public_url: settings.public_url.as_ref(),
    };
    Received::read(&parts.method, &parts.uri, &parts.headers, around)
}
