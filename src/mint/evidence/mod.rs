//! Evidence that a genuine instance of an app asks.
//!
//! One file a kind, one trait for all. Each says what the evidence claims, whether it holds or not, since a
//! decoy is made of the claims; and each costs the same whether it holds or not.

mod dev;
mod instance_key;
mod oidc;

pub use instance_key::{Signed, signed_text};

use super::ask::Typ;
use super::members::Members;
use super::{Malformed, Reason, Settings};
use crate::apps::{Evidence, Minter, Registry};
use crate::replay::Once;
use crate::schemes::token;
use std::borrow::Cow;
use std::net::IpAddr;

/// Bytes that the texts of one piece of evidence may have.
pub const MAX_EVIDENCE: usize = 16 * 1024;
/// Bytes the name of an instance may have.
pub(super) const MAX_INSTANCE: usize = 64;

/// Evidence as it was shown, of one kind.
#[derive(Debug)]
pub(super) enum Shown<'b> {
    Dev(dev::Dev<'b>),
    InstanceKey(instance_key::InstanceKey<'b>),
    Oidc(oidc::Oidc<'b>),
}

/// What an answer to a challenge is judged by.
pub(super) struct Question<'q> {
    /// The app, or the one that it is answered like.
    pub(super) minter: Option<&'q Minter>,
    /// The app, as it is named.
    pub(super) app: &'q str,
    /// The challenge as it was sent.
    pub(super) challenge: &'q str,
    /// `pay` as it was sent.
    pub(super) pay: Option<&'q str>,
    /// The thumbprint of the key that the token is to be bound to.
    pub(super) cnf: Option<&'q str>,
    /// `scope` as it was sent.
    pub(super) scope: Option<&'q str>,
    /// What kind of token is asked for.
    pub(super) typ: Typ,
    pub(super) registry: &'q Registry,
    pub(super) settings: &'q Settings,
    /// What is known of issuers outside.
    pub(super) tokens: &'q token::Settings,
    /// Where it is asked from.
    pub(super) peer: Option<IpAddr>,
    pub(super) now: i64,
}

/// What evidence claims, and whether that holds.
#[derive(Debug)]
pub(super) struct Examined<'b> {
    /// Who asks, for `sub`.
    pub(super) subject: Option<Cow<'b, str>>,
    pub(super) instance: Option<Cow<'b, str>>,
    pub(super) build: Option<Cow<'b, str>>,
    /// Whether a build is something that this kind tells at all.
    pub(super) tells_build: bool,
    /// What of it may be used once only, or why it does not hold.
    pub(super) verdict: Result<Option<Once>, Reason>,
}

/// A kind of evidence.
pub(super) trait Kind<'b>: Sized {
    /// The word for it.
    const EVIDENCE: Evidence;

    /// Reads its members; whoever calls refuses what is left of them.
    fn read(members: &mut Members<'b>) -> Result<Self, Malformed>;

    /// Bytes of all that was sent.
    fn size(&self) -> usize;

    /// Examines it, at the same cost whatever it finds.
    fn examine(&self, question: &Question<'_>) -> Examined<'b>;
}

impl<'b> Shown<'b> {
    /// Reads it by its `format`.
    pub(super) fn read(mut members: Members<'b>) -> Result<Self, Malformed> {
        let format = members.required("format", 64)?;
        let shown = match Evidence::from_name(&format) {
            Some(Evidence::Dev) => Self::Dev(Kind::read(&mut members)?),
            Some(Evidence::Oidc) => Self::Oidc(Kind::read(&mut members)?),
            Some(Evidence::InstanceKey) => Self::InstanceKey(Kind::read(&mut members)?),
            None => {
                let known = Evidence::ALL.map(|one| format!("`{}`", one.name()));
                return Err(members.wrong("format", &format!("one of {}", known.join(", "))));
            }
        };
        members.end()?;
        Ok(shown)
    }

    /// Of which kind it is.
    pub(super) const fn evidence(&self) -> Evidence {
        match self {
            Self::Dev(_) => dev::Dev::EVIDENCE,
            Self::InstanceKey(_) => instance_key::InstanceKey::EVIDENCE,
            Self::Oidc(_) => oidc::Oidc::EVIDENCE,
        }
    }

    /// Examines it, by the rules of its kind and of every kind.
    pub(super) fn examine(&self, question: &Question<'_>) -> Examined<'b> {
        let (mut examined, size) = match self {
            Self::Dev(shown) => (shown.examine(question), shown.size()),
            Self::InstanceKey(shown) => (shown.examine(question), shown.size()),
            Self::Oidc(shown) => (shown.examine(question), shown.size()),
        };
        let policy = question.minter.map(|minter| &minter.policy);
        let is_taken = policy.is_some_and(|policy| policy.evidence.contains(&self.evidence()));
        let takes_build = !examined.tells_build
            || policy.is_some_and(|policy| policy.takes_build(examined.build.as_deref()));
        if size > MAX_EVIDENCE {
            examined.verdict = Err(Reason::TooLarge);
        } else if !is_taken {
            examined.verdict = Err(Reason::NotAccepted);
        } else if !takes_build && examined.verdict.is_ok() {
            examined.verdict = Err(Reason::Build);
        }
        examined
    }
}
