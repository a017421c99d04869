//! Whose webhooks a route takes.

use std::time::Duration;

/// Who sends webhooks, and so how they are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sender {
    /// Whoever follows standardwebhooks.com.
    StandardWebhooks,
    /// GitHub.
    Github,
    /// Stripe.
    Stripe,
    /// Slack.
    Slack,
}

impl Sender {
    /// Every sender, in the order they are documented.
    pub const ALL: [Self; 4] = [
        Self::StandardWebhooks,
        Self::Github,
        Self::Stripe,
        Self::Slack,
    ];

    /// Its name in `sender`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::StandardWebhooks => "standard-webhooks",
            Self::Github => "github",
            Self::Stripe => "stripe",
            Self::Slack => "slack",
        }
    }

    /// The fields that hold its signatures, of which a backend gets none.
    pub const fn proof_fields(self) -> &'static [&'static str] {
        match self {
            Self::StandardWebhooks => &["webhook-signature", "svix-signature"],
            Self::Github => &["x-hub-signature-256", "x-hub-signature"],
            Self::Stripe => &["stripe-signature"],
            Self::Slack => &["x-slack-signature"],
        }
    }

    /// The fields that it signs, which a backend needs to tell one message from another.
    pub const fn signed_fields(self) -> &'static [&'static str] {
        match self {
            Self::StandardWebhooks => &[
                "webhook-id",
                "webhook-timestamp",
                "svix-id",
                "svix-timestamp",
            ],
            Self::Slack => &["x-slack-request-timestamp"],
            // All that is signed stands in the field of the signature, or is the body.
            Self::Github | Self::Stripe => &[],
        }
    }
}

/// What a route that accepts `webhook` takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhooks {
    /// In whose way they are signed.
    pub sender: Sender,
    /// Whose keys are tried, by `App::index`: a webhook names none.
    pub app: usize,
    /// Whether there may be a query, which no sender signs.
    pub query: bool,
    /// How old one may be; `None` is what `[freshness]` says.
    pub window: Option<Duration>,
    /// Bytes of a body that are taken in before the proof is known.
    pub hold: u64,
}
