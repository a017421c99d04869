//! Signs webhooks as senders do, to try a receiver.

use crate::clock::Clock;
use crate::crypto::{Algorithm, BadKey, SigningKey};
use crate::schemes::webhook::Sender;
use crate::schemes::webhook::sign::{CannotSign, Parameters, Signed, sign};
use crate::schemes::webhook::standard;
use crate::secret::Secret;

/// Signs webhooks with one key.
#[derive(Clone, Debug)]
pub struct WebhookSigner {
    sender: Sender,
    key: SigningKey,
    clock: Clock,
}

impl WebhookSigner {
    /// A signer for messages of `sender`. Their secrets may be short: they are as the sender made them.
    /// One of Standard Webhooks is written as it comes, `whsec_…`, a private key of theirs `whsk_…` or in PEM.
    ///
    /// # Errors
    /// [`BadKey`] when `secret` cannot be a key of `algorithm`.
    pub fn new(sender: Sender, algorithm: Algorithm, secret: &Secret) -> Result<Self, BadKey> {
        let written = match sender {
            Sender::StandardWebhooks if algorithm.is_mac() => {
                standard::secret(secret.expose()).map(Secret::new)
            }
            Sender::StandardWebhooks => standard::private_key(secret.expose()),
            _ => None,
        };
        let key = SigningKey::taken_over(algorithm, written.as_ref().unwrap_or(secret))?;
        Ok(Self {
            sender,
            key,
            clock: Clock::system(),
        })
    }

    /// Signs by another clock.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Signs `body`; `id` is the message's, which `standard-webhooks` alone signs.
    ///
    /// # Errors
    /// [`CannotSign`].
    pub fn sign(&self, id: &str, body: &[u8]) -> Result<Signed, CannotSign> {
        let parameters = Parameters {
            sender: self.sender,
            id,
            time: self.clock.now().unix_seconds(),
        };
        sign(body, &parameters, &self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(sender: Sender, secret: &str, at: u64, id: &str, body: &str) -> Vec<String> {
        let secret = Secret::new(secret.as_bytes().to_vec());
        let signer = WebhookSigner::new(sender, Algorithm::HmacSha256, &secret).unwrap();
        let made = signer.clock(Clock::by_hand(at).0).sign(id, body.as_bytes());
        let fields = made.unwrap().fields;
        fields
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect()
    }

    /// The constants of the vectors in `tests/it/vectors/webhooks`.
    #[test]
    fn what_is_signed_is_what_senders_sign() {
        assert_eq!(
            signed(
                Sender::StandardWebhooks,
                "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                1_614_265_330,
                "msg_p5jXN8AQM9LWM0D4loKWxJek",
                "{\"test\": 2432232314}"
            ),
            [
                "webhook-id: msg_p5jXN8AQM9LWM0D4loKWxJek",
                "webhook-timestamp: 1614265330",
                "webhook-signature: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            ]
        );
        assert_eq!(
            signed(
                Sender::Github,
                "It's a Secret to Everybody",
                0,
                "",
                "Hello, World!"
            ),
            [
                "x-hub-signature-256: sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
            ]
        );
        assert_eq!(
            signed(
                Sender::Stripe,
                "whsec_test_secret_5f0c",
                1_492_774_577,
                "",
                "{\"id\":\"evt_1\",\"object\":\"event\"}"
            ),
            [
                "stripe-signature: t=1492774577,v1=b8682d215d4304866df8e4c1af0956c7b9eac2d5360809c7735719fa00ad6618"
            ]
        );
    }

    #[test]
    fn what_a_sender_does_not_sign_with_or_cannot_say_is_refused() {
        let secret = Secret::new(vec![7; 32]);
        let wrong = WebhookSigner::new(Sender::Stripe, Algorithm::HmacSha512, &secret).unwrap();
        assert!(matches!(
            wrong.sign("", b""),
            Err(CannotSign::Algorithm { .. })
        ));
        let standard = Sender::StandardWebhooks;
        let signer = WebhookSigner::new(standard, Algorithm::HmacSha256, &secret).unwrap();
        assert!(matches!(signer.sign("a.1", b""), Err(CannotSign::Id(_))));
    }
}
