//! Which key to use: its id, its algorithm, and where its secret lies.

use super::stop::Stop;
use crate::config;
use crate::crypto::Algorithm;
use crate::secret::Secret;
use anyhow::Result;
use clap::{Args, ValueEnum};
use std::io::{Read, Write as _};

/// Bytes a secret's file may have: far more than any key needs.
const MAX_SECRET_FILE: u64 = 64 * 1024;

/// A key named on the command line.
#[derive(Args, Clone)]
pub(super) struct KeyArgs {
    /// The key's id, as the gateway knows it
    #[arg(long, value_name = "ID", help_heading = "Key")]
    key_id: Option<String>,
    /// Where the secret lies: `env:NAME` or `file:PATH`, holding `base64:…`, `hex:…` or the bytes themselves – or a
    /// private key, in PEM or as a JWK
    #[arg(long, value_name = "REFERENCE", help_heading = "Key")]
    secret: Option<String>,
    /// Read the secret from standard input
    #[arg(long, conflicts_with = "secret", help_heading = "Key")]
    secret_stdin: bool,
    /// The algorithm the key is for
    #[arg(
        long,
        value_name = "NAME",
        default_value = "hmac-sha256",
        help_heading = "Key"
    )]
    algorithm: AlgorithmName,
}

/// An algorithm, as it is named on the command line.
#[derive(Clone, Copy, ValueEnum)]
pub(super) enum AlgorithmName {
    /// HMAC with SHA-256
    HmacSha256,
    /// HMAC with SHA-512
    HmacSha512,
    /// Ed25519; `EdDSA` in a token
    Ed25519,
    /// ECDSA on curve P-256; `ES256` in a token
    EcdsaP256Sha256,
    /// ECDSA on curve P-384; `ES384` in a token
    EcdsaP384Sha384,
    /// RSA with PSS padding and SHA-512
    RsaPssSha512,
    /// RSA with PSS padding and SHA-256: `PS256`, for tokens only
    RsaPssSha256,
    /// RSA with the padding of PKCS #1 v1.5 and SHA-256; `RS256` in a token
    #[value(name = "rsa-v1_5-sha256")]
    RsaV15Sha256,
}

impl AlgorithmName {
    pub(super) const fn algorithm(self) -> Algorithm {
        match self {
            Self::HmacSha256 => Algorithm::HmacSha256,
            Self::HmacSha512 => Algorithm::HmacSha512,
            Self::Ed25519 => Algorithm::Ed25519,
            Self::EcdsaP256Sha256 => Algorithm::EcdsaP256Sha256,
            Self::EcdsaP384Sha384 => Algorithm::EcdsaP384Sha384,
            Self::RsaPssSha512 => Algorithm::RsaPssSha512,
            Self::RsaPssSha256 => Algorithm::RsaPssSha256,
            Self::RsaV15Sha256 => Algorithm::RsaV15Sha256,
        }
    }
}

/// A key, ready to use. Does not print.
pub(super) struct NamedKey {
    /// What stands in `keyid` or `kid`.
    pub(super) id: String,
    /// The one algorithm it is for.
    pub(super) algorithm: Algorithm,
    /// Its secret.
    pub(super) secret: Secret,
    /// The secret as it is written.
    pub(super) written: Secret,
}

impl KeyArgs {
    /// Whether standard input is the secret's.
    pub(super) const fn takes_stdin(&self) -> bool {
        self.secret_stdin
    }

    /// Whether any is named.
    pub(super) const fn is_given(&self) -> bool {
        self.secret.is_some() || self.secret_stdin || self.key_id.is_some()
    }

    /// The key that the command needs.
    pub(super) fn required(&self) -> Result<NamedKey> {
        self.optional()?.ok_or_else(|| {
            Stop::usage("`--key-id` and a secret are needed")
                .hint("`--key-id demo --secret env:DEMO_KEY`, or `--secret file:demo.key`")
                .into()
        })
    }

    /// The key of a proof that names none.
    pub(super) fn unnamed(&self) -> Result<NamedKey> {
        let written = match &self.secret {
            Some(reference) => referenced(SECRET, reference)?,
            None if self.secret_stdin => read_bounded(std::io::stdin().lock(), "standard input")?,
            None => {
                return Err(Stop::usage("a secret is needed")
                    .hint("`--secret env:LEGACY_KEY`, or `--secret file:legacy.key`")
                    .into());
            }
        };
        let written = without_line_end(written)?;
        Ok(NamedKey {
            id: self.key_id.clone().unwrap_or_default(),
            algorithm: self.algorithm.algorithm(),
            secret: Secret::new(written.clone()),
            written: Secret::new(written),
        })
    }

    /// The key, if one is named.
    pub(super) fn optional(&self) -> Result<Option<NamedKey>> {
        let id = match (&self.key_id, self.secret.is_some() || self.secret_stdin) {
            (Some(id), true) => id.clone(),
            (None, false) => return Ok(None),
            (Some(_), false) => {
                return Err(Stop::usage(
                    "`--key-id` needs `--secret` or `--secret-stdin` beside it",
                )
                .hint("`--secret env:NAME` or `--secret file:PATH`")
                .into());
            }
            (None, true) => {
                return Err(Stop::usage("a secret needs `--key-id` beside it").into());
            }
        };
        let written = match &self.secret {
            Some(reference) => referenced(SECRET, reference)?,
            None => read_bounded(std::io::stdin().lock(), "standard input")?,
        };
        let algorithm = self.algorithm.algorithm();
        let (secret, beware) = decode(&written)?;
        // The text of a private key ends in one as a rule, which is nothing to who reads it.
        if let Some(warning) = beware.filter(|_| algorithm.is_mac()) {
            // Who does not look at it has the proof all the same.
            let _ = writeln!(anstream::stderr(), "{warning}");
        }
        Ok(Some(NamedKey {
            id,
            algorithm,
            secret,
            written: Secret::new(without_line_end(written)?),
        }))
    }
}

/// The option that names the secret of a proof.
const SECRET: &str = "--secret";

/// The secret that `option`, another than `--secret`, names.
pub(super) fn named_by(option: &str, reference: &str) -> Result<Secret> {
    let (secret, _) = decode(&referenced(option, reference)?)?;
    Ok(secret)
}

fn referenced(option: &str, reference: &str) -> Result<Vec<u8>> {
    match reference.split_once(':') {
        Some(("env", name)) => from_environment(option, name),
        Some(("file", path)) => {
            let file = std::fs::File::open(path).map_err(|why| {
                let whose = match option {
                    SECRET => "the secret's file".to_owned(),
                    option => format!("the file of `{option}`,"),
                };
                Stop::usage(format!("{whose} `{path}` cannot be opened: {why}"))
            })?;
            read_bounded(file, path)
        }
        // The value is not repeated: it may be the secret.
        _ => Err(Stop::usage(format!(
            "`{option}` takes a reference, `env:NAME` or `file:PATH`, never the secret itself"
        ))
        .hint(format!(
            "what stands in a command line is seen by every process, and kept by the shell; put it into a file and say `{option} file:PATH`"
        ))
        .into()),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the command line names this variable; no configuration is read here"
)]
fn from_environment(option: &str, name: &str) -> Result<Vec<u8>> {
    match std::env::var(name) {
        Ok(text) => Ok(text.into_bytes()),
        Err(std::env::VarError::NotPresent) => {
            // A fresh one would match nothing: the gateway has its own already.
            Err(Stop::usage(format!(
                "the environment has no variable `{name}`, which `{option}` names"
            ))
            .hint("is it exported?")
            .into())
        }
        Err(std::env::VarError::NotUnicode(_)) => {
            Err(Stop::usage(format!("the variable `{name}` is not text"))
                .hint("write the secret as `base64:…` or `hex:…`")
                .into())
        }
    }
}

fn read_bounded(from: impl Read, shown: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(MAX_SECRET_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(|why| Stop::usage(format!("the secret in `{shown}` cannot be read: {why}")))?;
    if bytes.len() as u64 > MAX_SECRET_FILE {
        return Err(Stop::usage(format!(
            "`{shown}` has more than {MAX_SECRET_FILE} bytes, which is no secret"
        ))
        .into());
    }
    Ok(bytes)
}

/// As `gateway.toml` reads it, and what `check` would tell of it.
fn decode(bytes: &[u8]) -> Result<(Secret, Option<String>)> {
    let (secret, beware) = config::decode(bytes).map_err(|closed| {
        let stop = Stop::usage(format!("the secret cannot be read: {}", closed.message));
        match closed.hint {
            Some(hint) => stop.hint(hint),
            None => stop,
        }
    })?;
    let warning = beware.map(|told| format!("warning: {}\n\nhint: {}", told.message, told.hint));
    Ok((secret, warning))
}

/// The same text without a line end that is no part of the secret, where it is not to be decoded.
fn without_line_end(mut written: Vec<u8>) -> Result<Vec<u8>> {
    if !config::says_how(&written) {
        let (secret, _) = decode(&written)?;
        written.truncate(secret.expose().len());
    }
    Ok(written)
}
