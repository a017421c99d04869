//! Who signs, for what, and which fields.

use crate::crypto::aws4::{Scope, TERMINATION};
use std::borrow::Cow;

/// Fields that one signature may cover.
pub const MAX_COVERED: usize = 64;
/// Bytes that a region or a service may have.
const MAX_SCOPE: usize = 64;

/// `KEY/20150830/us-east-1/service/aws4_request`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential<'r> {
    text: Cow<'r, str>,
    /// Where they end, in this order, each behind a slash but the first.
    key_id: usize,
    date: usize,
    region: usize,
    service: usize,
}

/// The names of fields, joined by `;`, in order, each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedFields<'r>(Cow<'r, str>);

impl<'r> Credential<'r> {
    /// The same, borrowing nothing.
    pub(super) fn into_owned(self) -> Credential<'static> {
        Credential {
            text: Cow::Owned(self.text.into_owned()),
            ..self
        }
    }

    pub(super) fn read(text: Cow<'r, str>) -> Result<Self, String> {
        let malformed =
            || format!("`Credential` is not like `KEY/20150830/REGION/SERVICE/{TERMINATION}`");
        let scope = Self::scope_of(&text).ok_or_else(malformed)?;
        let date_is_good = scope.date.len() == 8 && scope.date.bytes().all(|b| b.is_ascii_digit());
        if !date_is_good || !is_scope_word(scope.region) || !is_scope_word(scope.service) {
            return Err(malformed());
        }
        let service = text.len() - TERMINATION.len() - 1;
        let region = service - scope.service.len() - 1;
        let date = region - scope.region.len() - 1;
        let key_id = date - scope.date.len() - 1;
        if key_id == 0 {
            return Err(malformed());
        }
        Ok(Self {
            text,
            key_id,
            date,
            region,
            service,
        })
    }

    fn scope_of(text: &str) -> Option<Scope<'_>> {
        // From the end: a key id may hold slashes.
        let mut parts = text.rsplitn(5, '/');
        if parts.next()? != TERMINATION {
            return None;
        }
        let (service, region, date) = (parts.next()?, parts.next()?, parts.next()?);
        parts.next()?;
        Some(Scope {
            date,
            region,
            service,
        })
    }

    /// The key id: claimed, not proven.
    pub fn key_id(&self) -> &str {
        self.text.get(..self.key_id).unwrap_or_default()
    }

    /// Day, region and service.
    pub fn scope(&self) -> Scope<'_> {
        let part = |before: usize, end: usize| self.text.get(before + 1..end).unwrap_or_default();
        Scope {
            date: part(self.key_id, self.date),
            region: part(self.date, self.region),
            service: part(self.region, self.service),
        }
    }

    /// All but the key id.
    pub fn scope_text(&self) -> &str {
        self.text.get(self.key_id + 1..).unwrap_or_default()
    }
}

/// What the name of a field is made of (RFC 9110, section 5.6.2), in lower case.
const IN_NAME: [bool; 256] = {
    let mut all = [false; 256];
    let mut byte = 0;
    while byte < all.len() {
        all[byte] = matches!(byte as u8,
            b'a'..=b'z' | b'0'..=b'9' | b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+'
            | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~');
        byte += 1;
    }
    all
};

/// What a region or a service may be.
pub fn is_scope_word(text: &str) -> bool {
    (1..=MAX_SCOPE).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

impl<'r> SignedFields<'r> {
    pub(super) fn read(text: Cow<'r, str>) -> Result<Self, String> {
        let mut before = "";
        for (at, name) in text.split(';').enumerate() {
            if at == MAX_COVERED {
                return Err(format!("`SignedHeaders` has more than {MAX_COVERED} names"));
            }
            if name.is_empty() || !name.bytes().all(|byte| IN_NAME[byte as usize]) {
                return Err(format!(
                    "`SignedHeaders`: `{name}` is no name of a field in lower case"
                ));
            }
            if name <= before {
                return Err(format!(
                    "`SignedHeaders`: `{name}` stands behind `{before}`; names are sorted, each once"
                ));
            }
            before = name;
        }
        Ok(Self(text))
    }

    /// As it is written.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// The names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.split(';')
    }

    /// Whether a field is signed.
    pub fn has(&self, field: &str) -> bool {
        self.names().any(|name| name.eq_ignore_ascii_case(field))
    }
}
