//! `--scheme api-key`.

use super::Proof;
use crate::cli::stop::Stop;
use crate::config;
use crate::route::KeyWord;
use crate::secret::Secret;
use anyhow::Result;
use clap::Args;
use data_encoding::BASE64;

/// Where the key stands unless told otherwise.
const USUAL_PLACE: &str = "X-Api-Key";

/// Where to put a static key.
#[derive(Args, Clone)]
pub(in crate::cli) struct ApiKeyArgs {
    /// Where the key stands: a field, or `Authorization: Bearer`, `ApiKey` or `Basic` [default: X-Api-Key]
    #[arg(long, value_name = "PLACE", help_heading = "Static key")]
    key_place: Option<String>,
}

impl ApiKeyArgs {
    pub(super) const fn is_given(&self) -> bool {
        self.key_place.is_some()
    }

    pub(super) fn prove(&self, written: &Secret) -> Result<Proof> {
        let place = self.key_place.as_deref().unwrap_or(USUAL_PLACE);
        let (field, word) = config::place_of_key(place)
            .map_err(|why| Stop::usage(format!("`--key-place`: {why}")))?;
        let key = config::checked_static_key(written.expose()).map_err(|why| {
            Stop::usage(why).hint("the key alone, and nothing else, stands in the file")
        })?;
        let key = String::from_utf8_lossy(key);
        let value = match word {
            None => key.into_owned(),
            Some(word @ KeyWord::Basic) => {
                format!(
                    "{} {}",
                    word.name(),
                    BASE64.encode(format!("{key}:").as_bytes())
                )
            }
            Some(word) => format!("{} {key}", word.name()),
        };
        Ok(Proof {
            fields: vec![(field, value)],
            ..Proof::default()
        })
    }
}
