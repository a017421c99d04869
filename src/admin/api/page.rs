//! Lists in pages: in the order of a name, going on after the last one.

use super::body::shown;
use super::call::Call;
use super::problem::{Fault, Problem};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value as Json, json};

/// How many are listed where it is not said.
const USUAL: usize = 100;
/// How many are listed at most.
pub const MOST: usize = 1_000;

/// Which part of a list is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// After which name.
    pub after: Option<String>,
    /// How many.
    pub limit: usize,
}

impl Page {
    /// What the query of `call` asks for.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of(call: &Call<'_>) -> Result<Self, Problem> {
        let limit = match call.query("limit") {
            None => USUAL,
            Some(text) => {
                let limit = text.parse().ok().filter(|limit| (1..=MOST).contains(limit));
                limit.ok_or_else(|| {
                    Fault::new("query limit", format!("`{}` is out of range", shown(text)))
                        .accepted("a number from 1 to 1000")
                })?
            }
        };
        let after = call.query("page").map(|text| {
            let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok();
            bytes
                .and_then(|bytes| String::from_utf8(bytes).ok())
                .ok_or_else(|| {
                    Fault::new("query page", "is no page of ours")
                        .accepted("`next` of the answer before, as it stands there")
                })
        });
        Ok(Self {
            after: after.transpose()?,
            limit,
        })
    }

    /// The page itself, from at least one more than it holds where there are more. They come in the order of
    /// their names.
    pub fn show<T>(&self, mut items: Vec<T>, name: fn(&T) -> &str, shown: fn(&T) -> Json) -> Json {
        let more = items.len() > self.limit;
        items.truncate(self.limit);
        let next = items
            .last()
            .filter(|_| more)
            .map(|last| BASE64URL_NOPAD.encode(name(last).as_bytes()));
        json!({ "items": items.iter().map(shown).collect::<Vec<_>>(), "next": next })
    }

    /// Whether the thing of that name comes after what was listed.
    pub fn comes_after(&self, name: &str) -> bool {
        self.after.as_deref().is_none_or(|after| name > after)
    }
}
