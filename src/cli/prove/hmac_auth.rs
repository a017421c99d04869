//! `--scheme hmac-auth`.

use super::{Proof, bad_key, cannot_sign};
use crate::cli::key::NamedKey;
use crate::cli::message::Message;
use crate::cli::stop::Stop;
use crate::client::HmacSigner;
use crate::clock::Clock;
use crate::route::Dialect;
use crate::schemes::hmac_auth::sign::CannotSign;
use crate::schemes::hmac_auth::text::NoText;
use anyhow::Result;
use clap::{Args, ValueEnum};

/// As whose caller to sign.
#[derive(Args, Clone)]
pub(in crate::cli) struct HmacArgs {
    /// In whose way to sign with `--scheme hmac-auth`
    #[arg(long, value_name = "NAME", help_heading = "Signature")]
    dialect: Option<DialectName>,
}

/// A dialect, as it is named on the command line.
#[derive(Clone, Copy, ValueEnum)]
pub(in crate::cli) enum DialectName {
    /// Kong's `hmac-auth` plug-in
    Kong,
    /// Apache APISIX's `hmac-auth` plug-in, from version 3
    Apisix,
    /// draft-cavage-http-signatures-12
    #[value(name = "cavage-12")]
    Cavage12,
}

impl DialectName {
    /// What it names.
    pub(in crate::cli) const fn named(self) -> Dialect {
        match self {
            Self::Kong => Dialect::Kong,
            Self::Apisix => Dialect::Apisix,
            Self::Cavage12 => Dialect::Cavage12,
        }
    }
}

impl HmacArgs {
    pub(super) const fn is_given(&self) -> bool {
        self.dialect.is_some()
    }

    pub(super) fn prove(
        &self,
        key: &NamedKey,
        message: &Message,
        cover: &[String],
        clock: Clock,
    ) -> Result<Proof> {
        let dialect = self.dialect.ok_or_else(|| {
            Stop::usage("`--scheme hmac-auth` needs `--dialect`")
                .hint("`--dialect kong`, `apisix` or `cavage-12`")
        })?;
        let mut signer = HmacSigner::new(dialect.named(), &key.id, key.algorithm, &key.secret)
            .map_err(bad_key)?
            .clock(clock);
        for field in cover {
            signer = signer.cover(field);
        }
        let made = signer
            .sign(
                &message.method,
                &message.uri,
                &message.fields,
                &message.body,
            )
            .map_err(|why| cannot_sign(&why, hint))?;
        Ok(Proof::of(&made.fields, Some(made.text)))
    }
}

fn hint(why: &CannotSign) -> Option<String> {
    match why {
        CannotSign::NoText(NoText::Absent(field)) => Some(format!(
            "add the header that `--cover {field}` names with `-H`, or leave it out"
        )),
        CannotSign::Taken => {
            Some("leave the header away, or sign with `--scheme http-signature`".to_owned())
        }
        _ => None,
    }
}
