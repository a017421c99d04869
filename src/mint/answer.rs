//! The answer to evidence: a token, or what looks like one.

use super::ask::{ForToken, Typ};
use super::evidence::Examined;
use super::token::{self, Claims};
use super::{InForce, Reason, Service};
use crate::apps::{Key, LIFETIME, Minter, nobody};
use crate::replay::Recorded;
use bytes::Bytes;
use serde_json::json;
use std::sync::Arc;

/// An answer to evidence.
#[derive(Debug)]
pub struct Judged {
    /// What is sent, once `unwritten` is written down.
    pub body: Bytes,
    /// What was used up by it; of a decoy, what costs as much to write.
    pub unwritten: Recorded,
    /// The app, as it was named.
    pub app: Arc<str>,
    /// The instance that asked, or claimed to be.
    pub instance: Option<Arc<str>>,
    /// The key that signed, or why it is a decoy.
    pub made: Result<Arc<Key>, Reason>,
}

impl Service {
    /// The token, or what looks like it.
    pub(super) fn answer(
        &self,
        asked: &ForToken<'_>,
        examined: &Examined<'_>,
        minter: Option<&Minter>,
        made: Result<(&Arc<Key>, Recorded), (Reason, bool)>,
        with: InForce<'_>,
    ) -> Judged {
        let InForce { settings, now, .. } = with;
        let now = now.unix_seconds();
        let lifetime = minter.map_or(LIFETIME, |minter| minter.policy.lifetime);
        let lifetime = lifetime.min(settings.max_lifetime).as_secs();
        let (sub, aud) = match asked.typ {
            Typ::Jwt => (examined.subject.as_deref(), settings.audience.as_deref()),
            // It is shown to authorization servers, each of which its proof names.
            Typ::ClientAttestation => {
                let client = minter.filter(|minter| *minter.app.name == *asked.app);
                (client.and_then(|one| one.policy.client_id.as_deref()), None)
            }
        };
        let mut claims = Claims {
            jti: token::fresh_name(),
            iss: &settings.issuer,
            sub: sub.unwrap_or(&asked.app),
            aud,
            iat: now,
            exp: now.saturating_add(i64::try_from(lifetime).unwrap_or(i64::MAX)),
            // Of what an app may do, a guesser learns nothing: he is promised whatever he asked for.
            scope: asked.scope.as_deref().map(str::to_owned),
            build: examined.build.as_deref(),
            instance: examined.instance.as_deref(),
            pay: asked.pay.as_deref(),
            cnf: asked.cnf.as_ref(),
        };
        // Made up for known apps too, so that none is told by what is not hashed for it.
        let of_nobody = token::key_id_of_nobody(&asked.app, &self.seed);
        let (token, unwritten, made) = match made {
            Ok((key, written)) => {
                claims.scope = token::narrowed(&key.app.scopes, asked.scope.as_deref());
                let signer = key.signer.as_deref().unwrap_or_else(|| nobody());
                let token = token::real(key, signer, asked.typ, &claims);
                (token, written, Ok(key.clone()))
            }
            Err((why, is_known)) => {
                let key = minter.and_then(|one| one.key(now).or(one.keys.first()));
                let signer = key.and_then(|key| key.signer.as_deref());
                let id = match key.filter(|_| is_known) {
                    Some(key) => key.id.clone(),
                    None => of_nobody.into(),
                };
                let signer = signer.unwrap_or_else(|| nobody());
                let token = token::decoy(&id, signer, asked.typ, &claims);
                (token, with.memory.blank(), Err(why))
            }
        };
        let answer = json!({ "token": token, "expires_in": lifetime });
        Judged {
            body: answer.to_string().into(),
            unwritten,
            app: (*asked.app).into(),
            instance: examined.instance.as_deref().map(Into::into),
            made,
        }
    }
}
