//! Who asks: the tokens of `[admin]`, and what each may do.

use super::problem::{Code, Problem};
use super::refused::Refused;
use crate::apps::made::AuditEntry;
use crate::clock::Now;
use crate::crypto::digest::sha256;
use arc_swap::ArcSwap;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use subtle::ConstantTimeEq;

/// Refused tokens that are answered at once.
const REFUSED_AT_ONCE: u32 = 20;
/// How often one more is.
const REFUSED_EVERY: Duration = Duration::from_secs(1);
/// Bytes of a token that are looked at: longer ones are none of ours.
const MAX_TOKEN: usize = 512;

/// What a token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// To look.
    Read,
    /// To change, too.
    Write,
}

impl Role {
    /// Its word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// Whoever asks, as the audit tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// A token's key of `[admin]`, or the Unix user who runs a command on the registry itself.
    pub name: String,
    /// What they may do.
    pub role: Role,
}

/// A token, of which only a digest is kept.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Token([u8; 32]);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

impl Token {
    /// Takes it from its text.
    pub fn of(text: &[u8]) -> Self {
        Self(sha256(&[text]))
    }
}

/// The tokens in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Who shows it may change things.
    pub write: Option<Token>,
    /// Who shows it may look.
    pub read: Option<Token>,
}

impl Tokens {
    /// Whether there is none.
    pub const fn are_off(&self) -> bool {
        self.write.is_none() && self.read.is_none()
    }

    /// Whose token that is. Both are compared, whatever comes of it.
    fn owner(&self, shown: &[u8]) -> Option<Who> {
        let shown = Token::of(shown);
        let is =
            |token: Option<Token>| token.is_some_and(|token| bool::from(token.0.ct_eq(&shown.0)));
        let (write, read) = (is(self.write), is(self.read));
        match (write, read) {
            (true, _) => Some(Who::by("admin:write", Role::Write)),
            (_, true) => Some(Who::by("admin:read", Role::Read)),
            _ => None,
        }
    }
}

impl Who {
    /// Anyone, who showed no token.
    pub fn anyone() -> Self {
        Self::by("anyone", Role::Read)
    }

    /// The user who runs this program, and so may do what its files allow.
    pub fn of_user(name: &str) -> Self {
        Self::by(&format!("cli:{name}"), Role::Write)
    }

    fn by(name: &str, role: Role) -> Self {
        let name = name.to_owned();
        Self { name, role }
    }
}

/// Who looks at tokens that are shown.
#[derive(Debug, Default)]
pub struct Guard {
    tokens: ArcSwap<Tokens>,
    refusals: Mutex<Refusals>,
    told: Refused,
}

/// Refused tokens: how many may still be answered at once, and since when.
#[derive(Debug)]
struct Refusals {
    left: u32,
    since: Duration,
    total: u64,
}

impl Default for Refusals {
    fn default() -> Self {
        Self {
            left: REFUSED_AT_ONCE,
            since: Duration::ZERO,
            total: 0,
        }
    }
}

impl Guard {
    /// One who knows these tokens.
    pub fn new(tokens: Tokens) -> Self {
        Self {
            tokens: ArcSwap::from_pointee(tokens),
            refusals: Mutex::default(),
            told: Refused::default(),
        }
    }

    /// Takes others instead.
    pub fn replace(&self, tokens: Tokens) {
        self.tokens.store(Arc::new(tokens));
    }

    /// Whether there is no token, and so no API.
    pub fn is_off(&self) -> bool {
        self.tokens.load().are_off()
    }

    /// Who shows the token in `fields`.
    ///
    /// A good token passes however many were refused before: who guesses, and has no chance among 2^190,
    /// must not keep the operator out. What is limited is the work and the lines of the log that guesses cost.
    ///
    /// # Errors
    /// There is none, it is none of ours, or too many were not.
    pub fn enter(&self, fields: &HeaderMap, now: Now) -> Result<Who, Problem> {
        let mut values = fields.get_all(AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(Problem::new(
                Code::TokenMissing,
                "one field `Authorization: Bearer …` is needed",
            )
            .hint("the token stands in the file that `[admin] token` names"));
        };
        let shown = bearer(value.as_bytes()).filter(|shown| shown.len() <= MAX_TOKEN);
        if let Some(who) = shown.and_then(|shown| self.tokens.load().owner(shown)) {
            return Ok(who);
        }
        Err(self.refused(now))
    }

    /// The line of the audit that is due when `who` was refused so, if one is: what has no token, or asks for
    /// something wrong, guesses at nothing.
    pub fn line(&self, who: &str, code: Code, now: Now) -> Option<AuditEntry> {
        let why = match code {
            Code::TokenRejected | Code::Limited => Code::TokenRejected,
            Code::RoleTooLow => code,
            _ => return None,
        };
        self.told.line(who, why.word(), now)
    }

    /// The lines that are due of refusals that made none, where no further one does.
    pub fn due(&self, now: Now) -> Vec<AuditEntry> {
        self.told.due(now)
    }

    /// The lines of all refusals that made none: the last ones.
    pub fn rest(&self, now: Now) -> Vec<AuditEntry> {
        self.told.rest(now)
    }

    /// Tokens that were refused.
    pub fn refusals(&self) -> u64 {
        self.locked().total
    }

    fn refused(&self, now: Now) -> Problem {
        let mut refusals = self.locked();
        let passed = now.monotonic().saturating_sub(refusals.since);
        let more = (passed.as_nanos() / REFUSED_EVERY.as_nanos()).min(REFUSED_AT_ONCE.into());
        if more > 0 {
            refusals.left = (refusals.left + more as u32).min(REFUSED_AT_ONCE);
            refusals.since = now.monotonic();
        }
        refusals.total = refusals.total.saturating_add(1);
        if refusals.left == 0 {
            return Problem::new(Code::Limited, "too many tokens were refused just now")
                .retry_after(REFUSED_EVERY.as_secs());
        }
        refusals.left -= 1;
        tracing::warn!("a token was refused on the admin listener");
        Problem::new(
            Code::TokenRejected,
            "the token is neither `[admin] token` nor `read_token` of this gateway",
        )
        .hint("is it another gateway's? the token stands in the file that `[admin] token` names; one that was replaced there counts a moment later, and after a restart where the configuration waits for one")
    }

    fn locked(&self) -> MutexGuard<'_, Refusals> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    let token = token.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"bearer ") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn fields(value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static(value))])
    }

    fn at(seconds: u64) -> Now {
        Now::new(Duration::from_secs(seconds), Duration::from_secs(seconds))
    }

    #[test]
    fn each_token_has_its_role_and_others_have_none() {
        let tokens = Tokens {
            write: Some(Token::of(b"one")),
            read: Some(Token::of(b"two")),
        };
        let door = Guard::new(tokens);
        let role = |value| door.enter(&fields(value), at(0)).map(|who| who.role);
        assert_eq!(role("Bearer one").unwrap(), Role::Write);
        assert_eq!(role("bearer  two").unwrap(), Role::Read);
        for value in ["Bearer three", "Bearer", "Bearer ", "Basic one", "one"] {
            assert_eq!(
                role(value).unwrap_err().code,
                Code::TokenRejected,
                "{value}"
            );
        }
        let none = door.enter(&HeaderMap::new(), at(0)).unwrap_err();
        assert_eq!(none.code, Code::TokenMissing);
        let mut twice = fields("Bearer one");
        twice.append(AUTHORIZATION, HeaderValue::from_static("Bearer one"));
        let twice = door.enter(&twice, at(0)).unwrap_err();
        assert_eq!(twice.code, Code::TokenMissing);
    }

    #[test]
    fn refused_tokens_are_limited_and_good_ones_are_not() {
        let tokens = Tokens {
            write: Some(Token::of(b"one")),
            read: None,
        };
        let door = Guard::new(tokens);
        let guess = |now| door.enter(&fields("Bearer x"), now).unwrap_err().code;
        for _ in 0..REFUSED_AT_ONCE {
            assert_eq!(guess(at(1)), Code::TokenRejected);
        }
        assert_eq!(guess(at(1)), Code::Limited);
        assert!(door.enter(&fields("Bearer one"), at(1)).is_ok());
        assert_eq!(guess(at(3)), Code::TokenRejected);
        assert_eq!(guess(at(3)), Code::TokenRejected);
        assert_eq!(guess(at(3)), Code::Limited);
        assert_eq!(door.refusals(), u64::from(REFUSED_AT_ONCE) + 4);
    }
}
