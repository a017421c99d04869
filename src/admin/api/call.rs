//! One call of an operation: its query, its precondition, who asks.

use super::body::{Fields, shown};
use super::operations::{Effect, Operation, decoded};
use super::problem::{Code, Fault, Problem};
use super::tokens::Who;
use super::{Asked, Desk};
use crate::clock::Now;
use http::HeaderMap;
use http::header::{CONTENT_TYPE, IF_MATCH};
use std::collections::BTreeMap;

/// What tells that nothing is to be written.
pub const DRY_RUN: &str = "dry_run";

/// Which revision of a thing a change is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// It does not say.
    None,
    /// Whichever there is.
    Any,
    /// One of these tags.
    Tags(Vec<String>),
}

/// A call that can be answered.
pub struct Call<'a> {
    /// What the API works on.
    pub desk: &'a dyn Desk,
    /// Who asks.
    pub who: &'a Who,
    /// When.
    pub now: Now,
    /// Whether nothing is to be written.
    pub dry_run: bool,
    operation: &'static Operation,
    parts: Vec<(&'static str, String)>,
    query: BTreeMap<&'static str, String>,
    precondition: Precondition,
    fields: &'a HeaderMap,
    body: &'a [u8],
}

impl<'a> Call<'a> {
    /// Reads what `asked` says besides its body.
    ///
    /// # Errors
    /// When its query or its precondition cannot be read.
    pub fn of(
        operation: &'static Operation,
        parts: Vec<(&'static str, String)>,
        desk: &'a dyn Desk,
        who: &'a Who,
        asked: &Asked<'a>,
    ) -> Result<Self, Problem> {
        let mut query = query(operation, asked.query.unwrap_or_default())?;
        let dry_run = match query.remove(DRY_RUN).as_deref() {
            None | Some("false") => false,
            Some("true" | "") => true,
            Some(other) => {
                let fault = Fault::new("query dry_run", format!("`{}` is neither", shown(other)));
                return Err(fault.accepted("`true` or `false`").into());
            }
        };
        Ok(Self {
            desk,
            who,
            now: desk.now(),
            dry_run,
            operation,
            parts,
            query,
            precondition: precondition(asked.fields)?,
            fields: asked.fields,
            body: asked.body,
        })
    }

    /// What fills the braces of that name in the path.
    pub fn part(&self, name: &str) -> &str {
        let mut parts = self.parts.iter();
        let found = parts.find(|(known, _)| *known == name);
        found.map_or("", |(_, text)| text)
    }

    /// What the query says for that name.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    /// What the query says, where it takes a few words only.
    ///
    /// # Errors
    /// When it is another one.
    pub fn word(&self, name: &str) -> Result<Option<&str>, Problem> {
        let Some(given) = self.query(name) else {
            return Ok(None);
        };
        let mut parameters = self.operation.query.iter();
        let known = parameters.find(|one| one.name == name);
        let words = known.map_or(&[][..], |one| one.words);
        if words.contains(&given) {
            return Ok(Some(given));
        }
        let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
        let fault = Fault::new(
            format!("query {name}"),
            format!("`{}` is not known here", shown(given)),
        );
        Err(fault.accepted(words.join(", ")).into())
    }

    /// The body's members.
    ///
    /// # Errors
    /// When it is not said to be JSON, or is none of ours.
    pub fn body(&self) -> Result<Fields, Problem> {
        if !self.body.is_empty() {
            let mut kinds = self.fields.get_all(CONTENT_TYPE).iter();
            let kind = kinds.next().and_then(|kind| kind.to_str().ok());
            let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or("");
            let is_json = kind.trim().eq_ignore_ascii_case("application/json");
            if !is_json || kinds.next().is_some() {
                return Err(Problem::new(
                    Code::NotJson,
                    format!("`Content-Type` is `{}`", shown(kind.trim())),
                )
                .hint("`Content-Type: application/json` is accepted"));
            }
        }
        Fields::of(self.body)
    }

    /// That a call has no body, where its operation takes none.
    ///
    /// # Errors
    /// When it has one.
    pub fn no_body(&self) -> Result<(), Problem> {
        self.body()?.done()
    }

    /// Holds the call against the revision that there is.
    ///
    /// # Errors
    /// It does not say of which revision it is, or of an older one.
    pub fn matches(&self, revision: u64) -> Result<(), Problem> {
        let etag = etag(revision);
        match &self.precondition {
            Precondition::Any => Ok(()),
            Precondition::Tags(tags) if tags.contains(&etag) => Ok(()),
            Precondition::Tags(_) => Err(Problem::new(
                Code::Stale,
                format!("it is `ETag: {etag}` by now"),
            )
            .hint("read it again, see what has changed, and send the change with the new tag")
            .tagged(etag)),
            Precondition::None => Err(Problem::new(
                Code::MatchMissing,
                "`If-Match` tells which revision is meant, so that nobody's change is overwritten",
            )
            .hint(format!(
                "`If-Match: {etag}` is the one that there is; `If-Match: *` is whichever there is"
            ))
            .tagged(etag)),
        }
    }

    /// Whether it must not overwrite anybody's change.
    pub fn is_change(&self) -> bool {
        self.operation.effect == Effect::Changes
    }
}

/// How a thing of that revision is tagged.
pub fn etag(revision: u64) -> String {
    format!("\"{revision}\"")
}

fn query(operation: &Operation, text: &str) -> Result<BTreeMap<&'static str, String>, Problem> {
    let mut taken = BTreeMap::new();
    let mut names: Vec<&'static str> = operation.query.iter().map(|one| one.name).collect();
    if operation.effect != Effect::Looks {
        names.push(DRY_RUN);
    }
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let at = || format!("query {}", shown(name));
        let Some(known) = names.iter().find(|known| **known == name) else {
            let accepted = if names.is_empty() {
                "no parameter at all".to_owned()
            } else {
                let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
                names.join(", ")
            };
            return Err(Fault::new(at(), "is not known here")
                .accepted(accepted)
                .into());
        };
        let Some(value) = decoded(value) else {
            return Err(Fault::new(at(), "is not percent-encoded text").into());
        };
        if taken.insert(*known, value).is_some() {
            return Err(Fault::new(at(), "stands there twice").into());
        }
    }
    Ok(taken)
}

fn precondition(fields: &HeaderMap) -> Result<Precondition, Problem> {
    let mut tags = Vec::new();
    for value in fields.get_all(IF_MATCH) {
        let bad = || {
            Problem::new(Code::Malformed, "`If-Match` cannot be read")
                .hint("an `ETag` as it was answered, quotes included: `If-Match: \"17\"`; or `*`")
        };
        let text = value.to_str().map_err(|_| bad())?.trim();
        if text == "*" {
            return Ok(Precondition::Any);
        }
        for tag in text.split(',').map(str::trim) {
            let is_tag = tag.trim_start_matches("W/").len() > 1
                && tag.trim_start_matches("W/").starts_with('"')
                && tag.ends_with('"');
            if !is_tag {
                return Err(bad());
            }
            tags.push(tag.to_owned());
        }
    }
    Ok(if tags.is_empty() {
        Precondition::None
    } else {
        Precondition::Tags(tags)
    })
}
