//! The members of a JSON object that a stranger sent: each is taken once, by its type, and what is left over
//! is refused. Says where it is wrong.

use super::Malformed;
use crate::schemes::token::json::{Json, Members as List, read_object_or_place};
use std::borrow::Cow;

/// What is left of an object.
pub(super) struct Members<'j> {
    /// How its members are called before their own names: empty, or `evidence.`.
    path: &'static str,
    left: List<'j>,
}

impl<'j> Members<'j> {
    /// The object that `body` is.
    pub(super) fn read(body: &'j [u8]) -> Result<Self, Malformed> {
        let left = read_object_or_place(body).map_err(|(line, column)| {
            Malformed(format!(
                "The body is not one JSON object with every name once, at line {line}, column {column}."
            ))
        })?;
        Ok(Self { path: "", left })
    }

    /// The member of that name, if it is there.
    fn take(&mut self, name: &str) -> Option<Json<'j>> {
        let place = self.left.iter().position(|(known, _)| known == name)?;
        Some(self.left.swap_remove(place).1)
    }

    /// A text that may be left out, of at most `longest` bytes, none of them a control character.
    pub(super) fn text(
        &mut self,
        name: &str,
        longest: usize,
    ) -> Result<Option<Cow<'j, str>>, Malformed> {
        match self.take(name) {
            None => Ok(None),
            Some(Json::Text(text))
                if (1..=longest).contains(&text.len()) && !text.contains(char::is_control) =>
            {
                Ok(Some(text))
            }
            Some(_) => Err(self.wrong(name, &format!("a text of 1 to {longest} bytes"))),
        }
    }

    /// A text that must be there.
    pub(super) fn required(
        &mut self,
        name: &str,
        longest: usize,
    ) -> Result<Cow<'j, str>, Malformed> {
        self.text(name, longest)?.ok_or_else(|| self.missing(name))
    }

    /// An object that may be left out; `path` is how its members are called.
    pub(super) fn object(
        &mut self,
        name: &str,
        path: &'static str,
    ) -> Result<Option<Self>, Malformed> {
        match self.take(name) {
            None => Ok(None),
            Some(Json::Object(left)) => Ok(Some(Self { path, left })),
            Some(_) => Err(self.wrong(name, "an object")),
        }
    }

    /// Passes over a member that may be there and means nothing here.
    pub(super) fn skip(&mut self, name: &str) {
        self.take(name);
    }

    /// Refuses what is left.
    pub(super) fn end(self) -> Result<(), Malformed> {
        match self.left.first() {
            None => Ok(()),
            // As long as any name we know: what a stranger sent is not sent back at length.
            Some((name, _)) => Err(Malformed(format!(
                "`{}{}` is not known here.",
                self.path,
                name.chars()
                    .filter(|c| !c.is_control())
                    .take(32)
                    .collect::<String>()
            ))),
        }
    }

    pub(super) fn missing(&self, name: &str) -> Malformed {
        Malformed(format!("`{}{name}` is missing.", self.path))
    }

    pub(super) fn wrong(&self, name: &str, accepted: &str) -> Malformed {
        Malformed(format!("`{}{name}` is not {accepted}.", self.path))
    }
}
