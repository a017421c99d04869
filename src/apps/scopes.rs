//! What a caller may do: a set of names that can only shrink.

use std::sync::Arc;

/// A set of scope names, sorted, cheap to copy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes(Option<Arc<[Box<str>]>>);

impl Scopes {
    /// No scope at all.
    pub const fn none() -> Self {
        Self(None)
    }

    /// Whether `scope` is in the set.
    pub fn contains(&self, scope: &str) -> bool {
        self.names()
            .binary_search_by(|name| (**name).cmp(scope))
            .is_ok()
    }

    /// The first of `wanted` that is not in this set.
    pub fn missing<'w>(&self, wanted: &'w Self) -> Option<&'w str> {
        wanted
            .names()
            .iter()
            .map(|name| &**name)
            .find(|name| !self.contains(name))
    }

    /// Those scopes of this set that `asked` names too: what a token's
    /// `scope` can do is narrow, never widen.
    #[must_use]
    pub fn narrowed<'a>(&self, asked: impl IntoIterator<Item = &'a str>) -> Self {
        asked
            .into_iter()
            .filter(|scope| self.contains(scope))
            .collect()
    }

    /// The names, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.names().iter().map(|name| &**name)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.names().is_empty()
    }

    fn names(&self) -> &[Box<str>] {
        self.0.as_deref().unwrap_or_default()
    }
}

impl<'a> FromIterator<&'a str> for Scopes {
    fn from_iter<T: IntoIterator<Item = &'a str>>(names: T) -> Self {
        let mut names: Vec<Box<str>> = names.into_iter().map(Box::from).collect();
        names.sort_unstable();
        names.dedup();
        if names.is_empty() {
            return Self(None);
        }
        Self(Some(names.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narrowing_never_adds_a_scope() {
        let app: Scopes = ["orders", "read"].into_iter().collect();
        let token = app.narrowed(["orders", "admin"]);
        assert_eq!(token.iter().collect::<Vec<_>>(), ["orders"]);
    }

    #[test]
    fn the_first_missing_scope_is_named() {
        let app: Scopes = ["read"].into_iter().collect();
        let wanted: Scopes = ["read", "write"].into_iter().collect();
        assert_eq!(app.missing(&wanted), Some("write"));
        assert_eq!(wanted.missing(&app), None);
    }
}
