//! `--scheme webhook`.

use super::{Proof, bad_key};
use crate::apps::{Key, Scheme};
use crate::cli::key::NamedKey;
use crate::cli::message::Message;
use crate::cli::stop::Stop;
use crate::client::WebhookSigner;
use crate::clock::Clock;
use crate::config::{self, KeyNote};
use crate::crypto::{Algorithm, random};
use crate::route::{Sender, Table};
use crate::schemes::webhook::sign::CannotSign;
use crate::schemes::webhook::standard;
use crate::secret::Secret;
use anyhow::Result;
use clap::{Args, ValueEnum};
use data_encoding::{BASE32_NOPAD, BASE64};
use http::Method;
use std::path::Path;

/// Random bytes of an id.
const ID_BYTES: usize = 15;

/// As which sender to sign.
#[derive(Args, Clone)]
pub(in crate::cli) struct WebhookArgs {
    /// In whose way to sign with `--scheme webhook`
    #[arg(long, value_name = "NAME", help_heading = "Signature")]
    sender: Option<SenderName>,
    /// The message's id, which `standard-webhooks` signs [default: a fresh one]
    #[arg(long, value_name = "TEXT", help_heading = "Signature")]
    message_id: Option<String>,
}

/// A sender, as it is named on the command line.
#[derive(Clone, Copy, ValueEnum)]
pub(in crate::cli) enum SenderName {
    /// Whoever follows standardwebhooks.com; with `--algorithm ed25519`, `v1a`
    StandardWebhooks,
    /// GitHub
    Github,
    /// Stripe
    Stripe,
    /// Slack
    Slack,
}

impl SenderName {
    /// What it names.
    pub(in crate::cli) const fn named(self) -> Sender {
        match self {
            Self::StandardWebhooks => Sender::StandardWebhooks,
            Self::Github => Sender::Github,
            Self::Stripe => Sender::Stripe,
            Self::Slack => Sender::Slack,
        }
    }
}

impl WebhookArgs {
    pub(super) const fn given(&self) -> [(&'static str, bool); 2] {
        [
            ("--sender", self.sender.is_some()),
            ("--message-id", self.message_id.is_some()),
        ]
    }

    pub(super) fn prove(&self, key: &NamedKey, message: &Message, clock: Clock) -> Result<Proof> {
        let sender = self.sender.map(SenderName::named).ok_or_else(|| {
            Stop::usage("`--scheme webhook` needs `--sender`")
                .hint("`--sender standard-webhooks`, `github`, `stripe` or `slack`")
        })?;
        if message.method != Method::POST {
            return Err(Stop::usage(format!(
                "webhooks are `POST`, and this is `{}`",
                message.method
            ))
            .hint("give it a body with `-d`, or say `-X POST`")
            .into());
        }
        let id = match (&self.message_id, sender) {
            (Some(id), Sender::StandardWebhooks) => id.clone(),
            (Some(_), _) => {
                let message = format!("`{}` signs no id", sender.name());
                return Err(Stop::usage(message)
                    .hint("leave `--message-id` away")
                    .into());
            }
            (None, _) => fresh_id(),
        };
        let mut secret = key_bytes(sender, key.algorithm, key.written.expose())?;
        if sender == Sender::StandardWebhooks && key.algorithm.is_mac() {
            // As such a sender writes it.
            secret = Secret::new(BASE64.encode(secret.expose()).into_bytes());
        }
        let signer = WebhookSigner::new(sender, key.algorithm, &secret)
            .map_err(bad_key)?
            .clock(clock);
        let made = signer
            .sign(&id, &message.body)
            .map_err(|why| cannot_sign(&why))?;
        Ok(Proof::of(&made.fields, String::from_utf8(made.text).ok()))
    }
}

/// The secret of a key of the configuration at `config`, as the gateway reads it.
pub(in crate::cli) fn secret_of(
    config: &Path,
    note: &KeyNote,
    key: Option<&Key>,
    routes: &Table,
) -> Option<Secret> {
    let written = config::written_secret(config, note)?;
    match key.and_then(|key| Some((sender_of(key, routes)?, key.algorithm()))) {
        Some((sender, algorithm)) => key_bytes(sender, algorithm, written.expose()).ok(),
        None => Some(config::decode(written.expose()).ok()?.0),
    }
}

/// Whose webhooks a key signs, where it signs some.
fn sender_of(key: &Key, routes: &Table) -> Option<Sender> {
    if !key.schemes.contains(Scheme::Webhook) {
        return None;
    }
    let mut webhooks = { routes.routes().iter() }.filter_map(|route| route.webhooks.as_ref());
    let of_its_app = webhooks.find(|webhooks| webhooks.app == key.app.index)?;
    Some(of_its_app.sender)
}

/// The bytes of a sender's key, as `gateway.toml` reads what stands in its file.
pub(in crate::cli) fn key_bytes(
    sender: Sender,
    algorithm: Algorithm,
    written: &[u8],
) -> Result<Secret> {
    let is_mac = algorithm.is_mac();
    if config::says_how(written) {
        let (bytes, _) = config::decode(written).map_err(|closed| {
            Stop::usage(format!("the secret cannot be read: {}", closed.message))
        })?;
        return Ok(bytes);
    }
    let as_it_is = || Secret::new(written.to_vec());
    Ok(match sender {
        Sender::StandardWebhooks if is_mac => {
            let bytes = standard::secret(written).ok_or_else(|| {
                Stop::usage("the secret is not base64, as Standard Webhooks have it")
                    .hint("`whsec_…`, as the sender shows it; or `base64:…` or `hex:…`")
            })?;
            Secret::new(bytes)
        }
        Sender::StandardWebhooks => {
            let public = standard::public_key(written).map(String::into_bytes);
            let private = standard::private_key(written);
            private.or(public.map(Secret::new)).unwrap_or_else(as_it_is)
        }
        _ => as_it_is(),
    })
}

fn fresh_id() -> String {
    let mut bytes = [0; ID_BYTES];
    random(&mut bytes);
    format!("msg_{}", BASE32_NOPAD.encode(&bytes))
}

fn cannot_sign(why: &CannotSign) -> Stop {
    let stop = Stop::usage(format!("this webhook cannot be signed: {why}"));
    match why {
        CannotSign::Algorithm { .. } => stop.hint(
            "leave `--algorithm` away; `--algorithm ed25519` is for `--sender standard-webhooks`",
        ),
        CannotSign::Id(_) => stop,
    }
}
