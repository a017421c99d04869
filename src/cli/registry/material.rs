//! What a new key is made of, as the command line says it.

use crate::cli::message::read_bounded;
use crate::cli::stop::Stop;
use anyhow::Result;
use clap::Args as ClapArgs;
use serde_json::{Map, Value as Json};
use std::path::{Path, PathBuf};

/// Bytes of a public key's file.
const MAX_PUBLIC_KEY: u64 = 16 * 1024;

/// What a new key is made of.
#[derive(ClapArgs)]
pub(super) struct Material {
    /// The algorithm [default: hmac-sha256, or that of the old key]
    #[arg(long, value_name = "NAME")]
    algorithm: Option<String>,
    /// The public key, in PEM or as a JWK, of a pair that its caller made
    #[arg(long, value_name = "FILE")]
    public_key: Option<PathBuf>,
}

impl Material {
    /// Says so in a body.
    pub(super) fn say(&self, body: &mut Map<String, Json>) -> Result<()> {
        if let Some(algorithm) = &self.algorithm {
            body.insert("algorithm".to_owned(), algorithm.as_str().into());
        }
        if let Some(path) = &self.public_key {
            body.insert("public_key".to_owned(), public_key(path)?.into());
        }
        Ok(())
    }
}

fn public_key(path: &Path) -> Result<String> {
    let shown = path.display().to_string();
    let file = std::fs::File::open(path).map_err(|why| {
        Stop::usage(format!(
            "the public key's file `{shown}` cannot be opened: {why}"
        ))
    })?;
    let bytes = read_bounded(file, &shown, MAX_PUBLIC_KEY)?;
    String::from_utf8(bytes)
        .map_err(|_| Stop::usage(format!("`{shown}` is no public key in PEM, and no JWK")).into())
}
