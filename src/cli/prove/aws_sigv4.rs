//! `--scheme aws-sigv4`.

use super::{Proof, bad_key, cannot_sign};
use crate::cli::key::NamedKey;
use crate::cli::message::Message;
use crate::cli::stop::Stop;
use crate::client::{AwsSigner, SignError};
use crate::clock::Clock;
use crate::crypto::Algorithm;
use crate::schemes::aws_sigv4::sign::CannotSign;
use anyhow::Result;
use clap::Args;
use std::time::Duration;

/// For what to sign.
#[derive(Clone, Args)]
pub(in crate::cli) struct AwsArgs {
    /// The region to sign for with `--scheme aws-sigv4`
    #[arg(long, value_name = "NAME", help_heading = "Signature")]
    region: Option<String>,
    /// The service to sign for with `--scheme aws-sigv4`
    #[arg(long, value_name = "NAME", help_heading = "Signature")]
    service: Option<String>,
    /// Put the signature into the URL, which lives so long, with `--scheme aws-sigv4`
    #[arg(long, value_name = "SECONDS", help_heading = "Signature")]
    presign: Option<u32>,
}

impl AwsArgs {
    pub(super) const fn given(&self) -> [(&'static str, bool); 3] {
        [
            ("--region", self.region.is_some()),
            ("--service", self.service.is_some()),
            ("--presign", self.presign.is_some()),
        ]
    }

    pub(super) fn prove(&self, key: &NamedKey, message: &Message, clock: Clock) -> Result<Proof> {
        let (Some(region), Some(service)) = (&self.region, &self.service) else {
            return Err(
                Stop::usage("`--scheme aws-sigv4` needs `--region` and `--service`")
                    .hint("any names will do where the gateway's route pins none: `--region us-east-1 --service api`")
                    .into(),
            );
        };
        if key.algorithm != Algorithm::HmacSha256 {
            let why = SignError::CannotSign(CannotSign::Algorithm);
            return Err(cannot_sign(&why, hint).into());
        }
        let signer = AwsSigner::new(&key.id, &key.secret, region, service)
            .map_err(bad_key)?
            .clock(clock);
        let (method, uri) = (&message.method, &message.uri);
        let (fields, body) = (&message.fields, &message.body);
        if let Some(seconds) = self.presign {
            let life = Duration::from_secs(u64::from(seconds));
            let made = signer.presign(method, uri, fields, body, life);
            let made = made.map_err(|why| cannot_sign(&why, hint))?;
            return Ok(Proof {
                uri: Some(made.uri),
                base: Some(made.text),
                ..Proof::default()
            });
        }
        let made = signer
            .sign(method, uri, fields, body)
            .map_err(|why| cannot_sign(&why, hint))?;
        Ok(Proof::of(&made.fields, Some(made.text)))
    }
}

fn hint(why: &CannotSign) -> Option<String> {
    let hint = match why {
        CannotSign::Taken => {
            "put the signature into the URL, with `--presign`, or leave the header away"
        }
        CannotSign::Algorithm => "leave `--algorithm` away, or sign with `--scheme http-signature`",
        _ => return None,
    };
    Some(hint.to_owned())
}
