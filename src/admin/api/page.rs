//! Lists in pages: in the order of a name, going on after the last one.

use super::body::shown;
use super::call::Call;
use super::problem::{Fault, Problem};
use crate::apps::made::{self as records, Paged, Unreadable};
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
            let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
            text.ok_or_else(Self::foreign)
        });
        Ok(Self {
            after: after.transpose()?,
            limit,
        })
    }

    /// The page asked for is none of ours.
    pub fn foreign() -> Fault {
        Fault::new("query page", "is no page of ours")
            .accepted("`next` of the answer before, as it stands there")
    }

    /// What a call asks for to go on after `name`.
    pub fn token(name: &str) -> String {
        BASE64URL_NOPAD.encode(name.as_bytes())
    }

    /// The same part of a list of the registry, and whether more comes after it.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn of_store<T>(
        &self,
        read: impl FnOnce(&records::Page) -> Result<Paged<T>, Unreadable>,
    ) -> Result<(Vec<T>, bool), Unreadable> {
        let page = records::Page {
            after: self.after.clone(),
            limit: self.limit,
        };
        let read = read(&page)?;
        Ok((read.items, read.next.is_some()))
    }

    /// The page itself, from things by their names. There are `more` than these, or as many as come after it.
    pub fn show(&self, mut items: Vec<(String, Json)>, more: bool) -> Json {
        items.sort_by(|(one, _), (other, _)| one.cmp(other));
        let mut end = self.limit.min(items.len());
        // What the file and the registry both have stands on one page: the next begins behind the name.
        while let Some([(last, _), (next, _)]) = items.get(end.wrapping_sub(1)..=end)
            && last == next
        {
            end += 1;
        }
        let more = more || items.len() > end;
        items.truncate(end);
        let next = items.last().filter(|_| more);
        let next = next.map(|(name, _)| Self::token(name));
        let items: Vec<Json> = items.into_iter().map(|(_, shown)| shown).collect();
        json!({ "items": items, "next": next })
    }

    /// Whether the thing of that name comes after what was listed.
    pub fn comes_after(&self, name: &str) -> bool {
        self.after.as_deref().is_none_or(|after| name > after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_of_one_name_stand_on_one_page() {
        let named = |names: &[&str]| {
            let items = names.iter().map(|name| ((*name).to_owned(), json!(name)));
            items.collect::<Vec<_>>()
        };
        let page = |limit| Page { after: None, limit };
        for (limit, names, more, shown) in [
            (1, &["a", "a", "b"][..], true, &["a", "a"][..]),
            (2, &["a", "b", "b"], false, &["a", "b", "b"]),
            (2, &["a", "b", "c"], true, &["a", "b"]),
            (3, &["a", "b"], false, &["a", "b"]),
            (3, &[], false, &[]),
        ] {
            let told = page(limit).show(named(names), false);
            assert_eq!(told["items"], json!(shown), "{limit} of {names:?}");
            assert_eq!(told["next"].is_null(), !more, "{limit} of {names:?}");
        }
    }
}
