//! Issuers outside: whose tokens are taken besides those of apps, and which
//! app such a token stands for.

use super::bound::Bound;
use super::claims::texts;
use super::json::{Json, member};
use super::keys::Keys;
use super::{Why, rejected};
use crate::apps::{App, Scopes};
use crate::crypto::{Algorithm, HmacKey};
use crate::schemes::Refused;
use http::HeaderName;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// `[issuers.NAME]`.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// Its name in `[issuers]`.
    pub name: Arc<str>,
    /// What `iss` must be, when set.
    pub iss: Option<Box<str>>,
    /// What `aud` must hold one of, unless there is none.
    pub audiences: Vec<Box<str>>,
    /// Fields its tokens may stand in, lower case.
    pub fields: Vec<HeaderName>,
    /// Whether it looks at an instance of the app before it makes it a token.
    pub attests: bool,
    /// The longest life of its tokens.
    pub max_lifetime: Duration,
    /// Whose its tokens are.
    pub whose: Whose,
    /// The claim that holds the public key of the installation, which then signs requests too: in
    /// DER, on P-256.
    pub signature_key: Option<Box<str>>,
    /// What requests with its tokens are signed with where these name no key.
    pub signature_secret: Option<HmacKey>,
    /// The claim that names scopes; without one a token has those of its app.
    pub scopes: Option<ClaimPath>,
    /// What its tokens may be signed with.
    pub algorithms: Vec<Algorithm>,
    /// What its tokens are verified with.
    pub keys: Arc<Keys>,
    /// Where these come from, for people.
    pub keys_from: Box<str>,
}

/// Which app a token stands for.
#[derive(Clone, Debug)]
pub enum Whose {
    /// Always this one.
    App(Arc<App>),
    /// The one that a claim's value stands for.
    Claim(ClaimPath, HashMap<Box<str>, Arc<App>>),
    /// None: they are evidence for the key service, and no route takes them.
    NoApp,
}

/// The names that lead to a claim: one, or those of the objects it lies in before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPath(pub Vec<Box<str>>);

impl Issuer {
    /// The app that a token with these claims stands for.
    pub(super) fn app(&self, claims: &[(Cow<'_, str>, Json<'_>)]) -> Result<&Arc<App>, Refused> {
        let no_app = || rejected(Why::Claim("app"));
        let (path, apps) = match &self.whose {
            Whose::App(app) => return Ok(app),
            Whose::Claim(path, apps) => (path, apps),
            Whose::NoApp => return Err(no_app()),
        };
        let value = path.find(claims).ok_or_else(no_app)?;
        let mut found: Option<&Arc<App>> = None;
        for name in texts(value).ok_or_else(no_app)? {
            let Some(app) = apps.get(name) else { continue };
            // A list that names two apps names none.
            if found.is_some_and(|before| !Arc::ptr_eq(before, app)) {
                return Err(no_app());
            }
            found = Some(app);
        }
        found.ok_or_else(no_app)
    }

    /// What a token with these claims may do of all that `app` may.
    pub(super) fn scopes(
        &self,
        app: &App,
        claims: &[(Cow<'_, str>, Json<'_>)],
    ) -> Result<Scopes, Refused> {
        let Some(path) = &self.scopes else {
            return Ok(app.scopes.clone());
        };
        let Some(value) = path.find(claims) else {
            return Ok(Scopes::none());
        };
        let texts = texts(value).ok_or_else(|| rejected(Why::Claim("scope")))?;
        Ok(app.scopes.narrowed(texts.flat_map(|text| text.split(' '))))
    }
}

impl Issuer {
    /// What a token with these claims is bound to in its issuer's own way.
    pub(super) fn binding(
        &self,
        claims: &[(Cow<'_, str>, Json<'_>)],
    ) -> Result<Option<Bound>, Refused> {
        let named = self.signature_key.as_ref().and_then(|wanted| {
            let found = claims.iter().find(|(name, _)| **name == **wanted);
            found.map(|(_, value)| value)
        });
        match (named, &self.signature_secret) {
            (Some(Json::Text(key)), _) => Bound::to_key_of_claim(key).map(Some),
            (Some(_), _) => Err(rejected(Why::Claim("signature_key"))),
            (None, Some(secret)) => Ok(Some(Bound::to_secret(secret))),
            (None, None) => Ok(None),
        }
    }
}

impl ClaimPath {
    fn find<'c>(&self, claims: &'c [(Cow<'c, str>, Json<'c>)]) -> Option<&'c Json<'c>> {
        find(&self.0, claims)
    }
}

/// The claim that these names lead to.
pub(super) fn find<'c>(
    path: &[Box<str>],
    claims: &'c [(Cow<'c, str>, Json<'c>)],
) -> Option<&'c Json<'c>> {
    let (last, objects) = path.split_last()?;
    let mut members = claims;
    for name in objects {
        match member(members, name)? {
            Json::Object(inner) => members = inner,
            _ => return None,
        }
    }
    member(members, last)
}

impl std::fmt::Display for ClaimPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join("."))
    }
}
