//! Why no token was made: for whoever keeps the gateway, and nobody else.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident $word:literal;)*) => {
        /// Why an answer to a challenge gets no token.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Reason {
            $($(#[$doc])* $name,)*
        }

        impl Reason {
            /// Every one.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The word in metrics, the access log and the audit.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }
        }
    };
}

reasons! {
    /// No app of that name gets tokens.
    UnknownApp "unknown-app";
    /// The app is switched off.
    AppDisabled "app-disabled";
    /// None of its keys may sign now.
    NoKey "no-key-in-force";
    /// The challenge is none of ours, or another app's.
    ForeignChallenge "challenge-foreign";
    /// The challenge is over.
    ExpiredChallenge "challenge-expired";
    /// The challenge is of a time that has not come.
    EarlyChallenge "challenge-early";
    /// The challenge was answered before.
    ReusedChallenge "challenge-reused";
    /// The app takes no evidence of this kind.
    NotAccepted "evidence-not-accepted";
    /// The evidence is too large.
    TooLarge "evidence-too-large";
    /// The app does not take this build.
    Build "build-not-accepted";
    /// No instance of the app has this id.
    UnknownInstance "unknown-instance";
    /// The instance was revoked.
    RevokedInstance "instance-revoked";
    /// The signature is not the instance's, or of another text.
    WrongSignature "wrong-signature";
    /// No code to enrol by is like this one.
    UnknownCode "code-unknown";
    /// The code is over, or used up.
    ExpiredCode "code-expired";
    /// The platform's assertion does not hold.
    Assertion "assertion-rejected";
    /// The platform's assertion is over.
    ExpiredAssertion "assertion-expired";
    /// It was made for another challenge.
    Nonce "assertion-of-another-challenge";
    /// It is of no workload that is the app.
    Workload "workload-not-accepted";
    /// It was used before.
    ReusedAssertion "assertion-reused";
    /// It was made before this gateway's memory begins: it may have been used.
    OldAssertion "assertion-before-memory";
    /// The app is no client of OAuth that could be attested.
    NoClient "no-oauth-client";
    /// The app got as many tokens as it may.
    AppRate "app-rate";
    /// The instance, or the workload, got as many tokens as it may.
    InstanceRate "instance-rate";
}

/// What there is in place of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Instead {
    /// An error, which the app prefers.
    Refusal,
    /// A decoy.
    Decoy,
    /// The word that it has to wait.
    Wait,
}

impl Instead {
    const ALL: [Self; 3] = [Self::Refusal, Self::Decoy, Self::Wait];

    /// The word in metrics.
    const fn name(self) -> &'static str {
        match self {
            Self::Refusal => "refused",
            Self::Decoy => "decoy",
            Self::Wait => "limited",
        }
    }

    /// The word in the audit.
    pub(super) const fn event(self) -> &'static str {
        match self {
            Self::Refusal => "token.refuse",
            Self::Decoy => "token.decoy",
            Self::Wait => "token.limit",
        }
    }
}

/// How many tokens were made, and how many were not, for each reason.
#[derive(Debug)]
pub(super) struct Counts {
    minted: AtomicU64,
    others: Box<[[AtomicU64; Instead::ALL.len()]]>,
}

impl Counts {
    pub(super) fn new() -> Self {
        let none = |_: &Reason| <[AtomicU64; Instead::ALL.len()]>::default();
        Self {
            minted: AtomicU64::new(0),
            others: Reason::ALL.iter().map(none).collect(),
        }
    }

    pub(super) fn minted(&self) {
        self.minted.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn failed(&self, why: Reason, instead: Instead) {
        if let Some(counts) = self.others.get(why as usize) {
            counts[instead as usize].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What was answered, why, and how often.
    pub(super) fn all(&self) -> Vec<(&'static str, &'static str, u64)> {
        let get = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let others = Reason::ALL
            .iter()
            .zip(&self.others)
            .flat_map(|(why, counts)| {
                Instead::ALL.map(|one| (one.name(), why.name(), get(&counts[one as usize])))
            });
        std::iter::once(("minted", "ok", get(&self.minted)))
            .chain(others.filter(|(.., number)| *number > 0))
            .collect()
    }
}
