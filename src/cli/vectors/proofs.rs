//! The proof of a request, as a client makes it.

use super::cases::{Maker, Way};
use super::changes::{Change, Draft, NOBODY};
use super::keys::{self, Holder};
use crate::apps::Scheme;
use crate::client::{AwsSigner, HmacSigner, Signer};
use crate::clock::Clock;
use crate::crypto::digest::sha256;
use crate::crypto::{Algorithm, PrivateKey, SigningKey};
use crate::route::{Bind, Route, Sender};
use crate::schemes::digest::Digests;
use crate::schemes::hmac_auth::verify::is_of;
use crate::schemes::token::dpop::{DPOP, ProofClaims, sign_proof};
use crate::schemes::{token, webhook};
use crate::secret::Secret;
use anyhow::Result;
use data_encoding::BASE64URL_NOPAD;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue, Uri};

/// How long a token lives, if it may.
const LIFETIME: i64 = 300;

impl Maker {
    /// Adds the proof; false where no key of this kind makes one.
    pub(super) fn sign(
        &self,
        draft: &mut Draft,
        route: &Route,
        way: Way,
        holder: &Holder,
        change: Change,
    ) -> Result<bool> {
        let other;
        let secret = match change {
            Change::Secret if !holder.algorithm.is_mac() => return Ok(false),
            Change::Secret => {
                let front = sha256(&[b"another", holder.secret.expose()]);
                other = Secret::new([front, front].concat());
                &other
            }
            _ => &holder.secret,
        };
        let id = if change == Change::KeyId {
            NOBODY
        } else {
            &holder.id
        };
        if way != Way::Pair {
            return match way {
                Way::One(Scheme::Token) => {
                    self.token(draft, route, way, holder, (id, secret), change)
                }
                Way::One(scheme) => {
                    self.signature(draft, route, scheme, holder, (id, secret), change)
                }
                Way::Pair => Ok(false),
            };
        }
        let scheme = Scheme::HttpSignature;
        Ok(
            self.token(draft, route, way, holder, (id, secret), Change::None)?
                && self.signature(draft, route, scheme, holder, (id, secret), change)?,
        )
    }

    fn signature(
        &self,
        draft: &mut Draft,
        route: &Route,
        scheme: Scheme,
        holder: &Holder,
        (id, secret): (&str, &Secret),
        change: Change,
    ) -> Result<bool> {
        let webhooks = route.webhooks.as_ref();
        let webhooks = webhooks.filter(|_| scheme == Scheme::Webhook);
        let freshness = webhooks.map_or(self.ground.freshness, |webhooks| {
            webhook::verify::freshness(webhooks, self.ground.freshness)
        });
        let at = self.moment(change, freshness.window.as_secs(), freshness.skew.as_secs());
        let clock = Clock::by_hand(at).0;
        let uri: Uri = self.url(draft).parse()?;
        let body = draft.body.as_deref().unwrap_or_default().as_bytes();
        match (scheme, route.dialect) {
            (Scheme::HttpSignature, _) if holder.algorithm.is_for_requests() => {
                let signer = Signer::new(id, holder.algorithm, secret)?;
                let signer = signer.reusable().clock(clock);
                let digest = (!body.is_empty()).then(|| Digests::field_of(body));
                let (method, fields) = (&draft.method, &mut draft.fields);
                let made = signer.sign_head(method, &uri, fields, digest.as_deref())?;
                draft.text = Some(made.base);
            }
            (Scheme::HmacAuth, Some(dialect)) if is_of(dialect, holder.algorithm) => {
                let signer = HmacSigner::new(dialect, id, holder.algorithm, secret)?.clock(clock);
                let made = signer.sign(&draft.method, &uri, &draft.fields, body)?;
                for (name, value) in made.fields {
                    draft.fields.insert(name, value);
                }
                draft.text = Some(made.text);
            }
            (Scheme::AwsSigv4, _) if holder.algorithm == Algorithm::HmacSha256 => {
                let pinned = &route.sigv4;
                let region = pinned.regions.first().map_or("us-east-1", |name| &**name);
                let service = pinned.services.first().map_or("api", |name| &**name);
                let signer = AwsSigner::new(id, secret, region, service)?.clock(clock);
                let made = signer.sign(&draft.method, &uri, &draft.fields, body)?;
                for (name, value) in made.fields {
                    draft.fields.insert(name, value);
                }
                draft.text = Some(made.text);
            }
            (Scheme::Webhook, _) => {
                let Some(webhooks) = webhooks else {
                    return Ok(false);
                };
                return self.webhook(
                    draft,
                    webhooks.sender,
                    holder.algorithm,
                    secret,
                    (change, at),
                );
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn webhook(
        &self,
        draft: &mut Draft,
        sender: Sender,
        algorithm: Algorithm,
        secret: &Secret,
        (change, at): (Change, u64),
    ) -> Result<bool> {
        let tells_no_time = sender == Sender::Github;
        let is_of_time = matches!(change, Change::Old | Change::Ahead);
        if !webhook::verify::is_of(sender, algorithm) || tells_no_time && is_of_time {
            return Ok(false);
        }
        let key = SigningKey::taken_over(algorithm, secret)?;
        let parameters = webhook::sign::Parameters {
            sender,
            id: &self.id(),
            time: at as i64,
        };
        let body = draft.body.as_deref().unwrap_or_default();
        let made = webhook::sign::sign(body.as_bytes(), &parameters, &key)?;
        draft.fields.extend(
            made.fields
                .into_iter()
                .map(|(name, value)| (Some(name), value)),
        );
        draft.text = String::from_utf8(made.text).ok();
        Ok(true)
    }

    fn token(
        &self,
        draft: &mut Draft,
        route: &Route,
        way: Way,
        holder: &Holder,
        (id, secret): (&str, &Secret),
        change: Change,
    ) -> Result<bool> {
        let tokens = &self.ground.tokens;
        let lifetime = LIFETIME.min(tokens.max_lifetime.as_secs() as i64);
        let made = self.moment(change, lifetime.unsigned_abs(), tokens.skew.as_secs()) as i64;
        let pay = draft.fields.get(AUTHORIZATION);
        let pay = pay.map(|value| token::binding::pay(value.as_bytes()));
        let bound = bound_to(route, way, holder)?;
        let thumbprint = bound.as_ref().map(thumbprint).transpose()?;
        // Another for each: on some routes a token passes once.
        let jti = self.id();
        let claims = token::Claims {
            iat: made,
            exp: made + lifetime,
            aud: tokens.audience.as_deref(),
            pay: pay.as_deref(),
            jti: Some(&jti),
            cnf: thumbprint.as_deref().map(|jkt| token::Confirmation { jkt }),
            ..token::Claims::default()
        };
        let key = SigningKey::new(holder.algorithm, secret)?;
        let (Ok(text), Some(field)) = (token::sign(id, &key, &claims), field_of_tokens(route))
        else {
            return Ok(false);
        };
        // A signature of the request shows the key by itself.
        let bound = bound.filter(|_| way != Way::Pair);
        if let Some(key) = &bound {
            let proof = self.dpop(draft, key, &text);
            draft.fields.insert(DPOP, HeaderValue::from_str(&proof)?);
        }
        let text = match (*field == AUTHORIZATION, bound) {
            (false, _) => text,
            (true, Some(_)) => format!("DPoP {text}"),
            (true, None) => format!("Bearer {text}"),
        };
        draft
            .fields
            .insert(field.clone(), HeaderValue::from_str(&text)?);
        Ok(true)
    }

    /// The proof of `key` that goes with this request and this token.
    fn dpop(&self, draft: &Draft, key: &PrivateKey, token: &str) -> String {
        let claims = ProofClaims {
            method: draft.method.as_str(),
            url: &self.url(draft),
            token,
            iat: self.time as i64,
            // It passes once, and the key is the same in all folders: no two may have one name.
            jti: &BASE64URL_NOPAD.encode(&sha256(&[token.as_bytes()])),
            nonce: None,
        };
        sign_proof(key, &claims)
    }

    /// Where the request goes.
    fn url(&self, draft: &Draft) -> String {
        format!("{}://{}{}", self.scheme(), draft.authority, draft.target)
    }

    /// When a request is made whose proof lasts `back` seconds and may be `ahead`.
    const fn moment(&self, change: Change, back: u64, ahead: u64) -> u64 {
        match change {
            Change::Old => self.time.saturating_sub(back + 1),
            Change::Ahead => self.time + ahead + 60,
            _ => self.time,
        }
    }
}

/// Where a token goes: not into the field that it is bound to.
fn field_of_tokens(route: &Route) -> Option<&HeaderName> {
    let is_bound = route.bind == Bind::Authorization;
    let mut fields = route.token_fields.iter();
    fields.find(|name| !is_bound || **name != AUTHORIZATION)
}

/// The key that a token is bound to, where `route` asks for one: that of the signature beside it, or
/// one that its DPoP proof shows. No token can be bound to a shared secret.
fn bound_to(route: &Route, way: Way, holder: &Holder) -> Result<Option<PrivateKey>> {
    if !matches!(route.bind, Bind::Key | Bind::Dpop) {
        return Ok(None);
    }
    if way != Way::Pair {
        return keys::of_proofs().map(Some);
    }
    let signs = !holder.algorithm.is_mac();
    let pair = signs.then(|| PrivateKey::read(holder.algorithm, &holder.secret));
    Ok(pair.transpose()?)
}

/// What a token calls the key that it is bound to.
fn thumbprint(key: &PrivateKey) -> Result<String> {
    Ok(BASE64URL_NOPAD.encode(key.public()?.thumbprint()))
}
