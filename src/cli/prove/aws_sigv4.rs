//! `--scheme aws-sigv4`.

use super::{Proof, bad_key};
use crate::cli::key::NamedKey;
use crate::cli::message::Message;
use crate::cli::stop::Stop;
use crate::client::{AwsSignError, AwsSigner};
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
            return Err(cannot_sign(&AwsSignError::CannotSign(CannotSign::Algorithm)).into());
        }
        let signer = AwsSigner::new(&key.id, &key.secret, region, service)
            .map_err(bad_key)?
            .clock(clock);
        let (method, uri) = (&message.method, &message.uri);
        let (fields, body) = (&message.fields, &message.body);
        if let Some(seconds) = self.presign {
            let life = Duration::from_secs(u64::from(seconds));
            let made = signer.presign(method, uri, fields, body, life);
            let made = made.map_err(|why| cannot_sign(&why))?;
            return Ok(Proof {
                uri: Some(made.uri),
                base: Some(made.text),
                ..Proof::default()
            });
        }
        let made = signer
            .sign(method, uri, fields, body)
            .map_err(|why| cannot_sign(&why))?;
        let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into();
        let fields = made.fields.iter();
        Ok(Proof {
            fields: fields
                .map(|(name, value)| (name.clone(), text(value)))
                .collect(),
            base: Some(made.text),
            ..Proof::default()
        })
    }
}

fn cannot_sign(why: &AwsSignError) -> Stop {
    let stop = Stop::usage(format!("this request cannot be signed: {why}"));
    match why {
        AwsSignError::CannotSign(CannotSign::Taken) => {
            stop.hint("put the signature into the URL, with `--presign`, or leave the header away")
        }
        AwsSignError::CannotSign(CannotSign::Algorithm) => {
            stop.hint("leave `--algorithm` away, or sign with `--scheme http-signature`")
        }
        AwsSignError::Malformed(_) => stop
            .hint("a gateway refuses it before it looks at a signature; see `portcullis explain`"),
        _ => stop,
    }
}
