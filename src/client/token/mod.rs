//! For those who get their tokens from a gateway's key service: [`Tokens`] gets one, and another in time.
//!
//! How requests are sent is up to the program, behind [`Transport`]; so is what shows that it is genuine, behind
//! [`Evidence`]. Calls block: a program that must not wait calls from a thread that may.
//!
//! ```no_run
//! use portcullis::client::token::{Answer, Dev, Tokens, Transport};
//!
//! struct Https;
//!
//! impl Transport for Https {
//!     fn post(&self, path: &str, body: &[u8]) -> Result<Answer, String> {
//!         // POST `body` as `application/json` to https://api.example.com/.portcullis/{path}
//!         # let _ = (path, body);
//!         Err("…".to_owned())
//!     }
//! }
//!
//! let evidence = Dev::new("my-laptop"); // or an enrolled `InstanceKey`, or a `Workload`
//! let tokens = Tokens::new("mobile", Https, evidence).pay("Bearer the-users-own");
//! let token = tokens.token()?;
//! let mut request = http::Request::get("https://api.example.com/orders/1").body(())?;
//! request.headers_mut().insert("portcullis-token", token.field()?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `examples/enrolled_app.rs` goes the whole way: it enrols at its first run, binds its tokens to its user and its key,
//! and proves the key with every call.

mod evidence;
mod no_token;
mod wire;

pub use evidence::{Asked, Dev, Evidence, InstanceKey, Workload, instance_key, instance_text};
pub use no_token::NoToken;
pub use wire::{Answer, MAX_ANSWER, Transport, enrol};

use crate::clock::{Clock, Now};
use crate::crypto::digest::sha256;
use crate::crypto::{PrivateKey, random};
use crate::schemes::token::attestation::ATTESTATION_TYPE;
use crate::schemes::token::binding::pay;
use crate::secret::Secret;
use data_encoding::BASE64URL_NOPAD;
use http::HeaderValue;
use http::header::InvalidHeaderValue;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A token is renewed when less than this part of its life is left.
const MARGIN: u32 = 5;
/// But no earlier than this before its end.
const MAX_MARGIN: Duration = Duration::from_mins(2);
/// The first pause after a failure; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Who has had no token refused for so long begins anew with the pauses between tokens that are refused.
const QUIET: Duration = Duration::from_mins(2);
/// The longest pause that we choose.
const MAX_PAUSE: Duration = Duration::from_mins(1);
/// The longest pause that a gateway may ask for.
const MAX_ASKED: Duration = Duration::from_mins(10);
/// The longest life of a token that is believed.
const MAX_LIFE: Duration = Duration::from_hours(24);

/// A token. Does not print.
pub struct Token {
    text: Secret,
    ends: Now,
}

impl Token {
    /// As it stands in `Portcullis-Token`.
    pub fn text(&self) -> &str {
        std::str::from_utf8(self.text.expose()).unwrap_or_default()
    }

    /// The value of the field.
    ///
    /// # Errors
    /// [`InvalidHeaderValue`]: it was no token.
    pub fn field(&self) -> Result<HeaderValue, InvalidHeaderValue> {
        let mut value = HeaderValue::from_bytes(self.text.expose())?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// When it ends by the clock on the wall, in Unix seconds.
    pub const fn expires_at(&self) -> i64 {
        self.ends.unix_seconds()
    }

    /// How long it is good from `now` on: by the clock on the wall and by the one that only runs, whichever is over first.
    fn left(&self, now: Now) -> Duration {
        let running = self.ends.monotonic().saturating_sub(now.monotonic());
        let wall = self.ends.unix_seconds().saturating_sub(now.unix_seconds());
        running.min(Duration::from_secs(u64::try_from(wall).unwrap_or_default()))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({} bytes)", self.text.len())
    }
}

/// Keeps a token of an app, and gets another before it ends.
///
/// However many threads ask, one asks the gateway; who has no token waits for what comes of it. While the gateway
/// cannot be reached pauses grow up to a minute, and a token that is still good is used to its end.
pub struct Tokens {
    app: String,
    transport: Box<dyn Transport>,
    evidence: Box<dyn Evidence>,
    pay: Option<String>,
    confirmation: Option<String>,
    /// The key itself, where the token is to hold it.
    confirming: Option<String>,
    scope: Option<String>,
    typ: Option<&'static str>,
    clock: Clock,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    token: Option<Arc<Token>>,
    /// When less than this is left, another is asked for.
    margin: Duration,
    /// Whether somebody is asking.
    is_asking: bool,
    /// How often somebody has asked.
    rounds: u64,
    /// What came of the last time, if it was nothing.
    failed: Option<NoToken>,
    failures: u32,
    /// How many tokens were refused where they were shown, with no quiet time between, and when the last was.
    refused: u32,
    refused_at: Duration,
    /// No sooner than this, on the clock that only runs.
    not_before: Duration,
}

impl Tokens {
    /// Tokens of `app`, of the key service that `transport` leads to.
    pub fn new(
        app: &str,
        transport: impl Transport + 'static,
        evidence: impl Evidence + 'static,
    ) -> Self {
        Self {
            app: app.to_owned(),
            transport: Box::new(transport),
            evidence: Box::new(evidence),
            pay: None,
            confirmation: None,
            confirming: None,
            scope: None,
            typ: None,
            clock: Clock::system(),
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Bound to this `Authorization`, which goes along with every request.
    #[must_use]
    pub fn pay(mut self, authorization: &str) -> Self {
        self.pay = Some(pay(authorization.as_bytes()));
        self
    }

    /// Bound to the key with this thumbprint (RFC 7638): [`DpopKey::thumbprint`](super::DpopKey::thumbprint).
    #[must_use]
    pub fn bound_to(mut self, thumbprint: &str) -> Self {
        self.confirmation = Some(thumbprint.to_owned());
        self.confirming = None;
        self
    }

    /// Bound to this key, whose public half the token will hold: besides a DPoP proof, a signature of the request by it is
    /// taken, where the route accepts `"token+http-signature"`.
    #[must_use]
    pub fn bound_to_key(mut self, key: &PrivateKey) -> Self {
        // It has the members that RFC 7638 hashes, in its order.
        let jwk = key.public_jwk();
        self.confirmation = Some(BASE64URL_NOPAD.encode(&sha256(&[jwk.as_bytes()])));
        self.confirming = Some(jwk);
        self
    }

    /// For these scopes only, joined by spaces.
    #[must_use]
    pub fn scope(mut self, scope: &str) -> Self {
        self.scope = Some(scope.to_owned());
        self
    }

    /// Attestations of the app as a client of OAuth, in place of tokens for the gateway's own routes: to be shown by
    /// [`AttestedClient`](super::AttestedClient) with the key that they are [bound to](Self::bound_to_key).
    #[must_use]
    pub const fn client_attestations(mut self) -> Self {
        self.typ = Some(ATTESTATION_TYPE);
        self
    }

    /// Takes the time from `clock`.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// A token that is good now.
    ///
    /// # Errors
    /// [`NoToken`].
    pub fn token(&self) -> Result<Arc<Token>, NoToken> {
        let mut state = self.lock();
        loop {
            let now = self.clock.now();
            let left = state
                .token
                .as_ref()
                .map_or(Duration::ZERO, |token| token.left(now));
            let good = state.token.clone().filter(|_| !left.is_zero());
            let pause = state.not_before.saturating_sub(now.monotonic());
            let waits = state.is_asking || !pause.is_zero();
            match good {
                Some(token) if left > state.margin || waits => return Ok(token),
                None if state.is_asking => {
                    let round = state.rounds;
                    let wait = self
                        .changed
                        .wait_while(state, |state| state.rounds == round);
                    state = wait.unwrap_or_else(PoisonError::into_inner);
                    // Whatever came of it came for all who waited.
                    if let Some(failed) = &state.failed {
                        return Err(failed.clone());
                    }
                }
                None if !pause.is_zero() => {
                    let last = state.failed.clone().unwrap_or(NoToken::Nonsense("nothing"));
                    return Err(NoToken::Pausing {
                        after: pause,
                        last: Box::new(last),
                    });
                }
                good => return self.renewed(state, good),
            }
        }
    }

    /// Says that `token` was refused where it was shown: the next is another. The first time there is one at once; where
    /// that is refused too, and so on, pauses grow up to a minute: whoever gets decoys does not ask without end.
    pub fn refused(&self, token: &Token) {
        let mut state = self.lock();
        // Somebody else has said so before, and there is another by now.
        if !(state.token.as_deref()).is_some_and(|kept| std::ptr::eq(kept, token)) {
            return;
        }
        state.token = None;
        let now = self.clock.now().monotonic();
        if now.saturating_sub(state.refused_at) > QUIET {
            state.refused = 0;
        }
        if state.refused > 0 {
            state.not_before = now + pause(state.refused - 1);
            state.failed = Some(NoToken::RefusedAgain);
        }
        state.refused = state.refused.saturating_add(1);
        state.refused_at = now;
    }

    fn renewed(
        &self,
        mut state: MutexGuard<'_, State>,
        good: Option<Arc<Token>>,
    ) -> Result<Arc<Token>, NoToken> {
        state.is_asking = true;
        drop(state);
        // Also when the transport panics, nobody waits for ever.
        let mut asking = Asking {
            tokens: self,
            came: Err(NoToken::Nonsense("nothing")),
        };
        asking.came = self.ask();
        let came = asking.came.clone();
        drop(asking);
        match (came, good) {
            (Ok((token, _)), _) | (Err(_), Some(token)) => Ok(token),
            (Err(failed), None) => Err(failed),
        }
    }

    /// A challenge, evidence, a token.
    fn ask(&self) -> Result<(Arc<Token>, Duration), NoToken> {
        let challenge = wire::challenge(&*self.transport, &self.app)?;
        let asked = Asked {
            app: &self.app,
            challenge: &challenge,
            pay: self.pay.as_deref(),
            confirmation: self.confirmation.as_deref(),
            scope: self.scope.as_deref(),
            typ: self.typ,
        };
        // From before it was made: no answer is slow enough to make it seem younger.
        let now = self.clock.now();
        let evidence = self.evidence.show(&asked).map_err(NoToken::Evidence)?;
        let jwk = self.confirming.as_deref();
        let (text, life) = wire::token(&*self.transport, &asked, jwk, &evidence)?;
        let life = Duration::from_secs(life).min(MAX_LIFE);
        let token = Token {
            text: Secret::new(text.into_bytes()),
            ends: Now::new(now.unix() + life, now.monotonic() + life),
        };
        Ok((Arc::new(token), life))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens")
            .field("app", &self.app)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// Whoever asks; when it is over, all others hear of it.
struct Asking<'t> {
    tokens: &'t Tokens,
    came: Result<(Arc<Token>, Duration), NoToken>,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let mut state = self.tokens.lock();
        state.is_asking = false;
        state.rounds += 1;
        match &self.came {
            Ok((token, life)) => {
                // Not all instances of an app at one moment, after the gateway came back.
                let margin = (*life / MARGIN).min(MAX_MARGIN);
                state.margin = margin / 2 + part_of(margin / 2);
                state.token = Some(token.clone());
                state.failed = None;
                state.failures = 0;
                state.not_before = Duration::ZERO;
            }
            Err(failed) => {
                let asked = match failed {
                    NoToken::Refused { retry_after, .. } => retry_after.unwrap_or_default(),
                    _ => Duration::ZERO,
                };
                let pause = pause(state.failures).max(asked.min(MAX_ASKED));
                state.not_before = self.tokens.clock.now().monotonic() + pause;
                state.failures = state.failures.saturating_add(1);
                state.failed = Some(failed.clone());
            }
        }
        drop(state);
        self.tokens.changed.notify_all();
    }
}

/// The pause after so many failures before.
fn pause(failures: u32) -> Duration {
    let pause = FIRST_PAUSE * 2_u32.saturating_pow(failures.min(16));
    let pause = pause.min(MAX_PAUSE);
    pause / 2 + part_of(pause / 2)
}

/// Some part of `most`, another each time.
fn part_of(most: Duration) -> Duration {
    let mut byte = [0];
    random(&mut byte);
    most * u32::from(byte[0]) / 255
}

#[cfg(test)]
mod tests;
