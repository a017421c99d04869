//! The field that holds the proof, read strictly. Everything borrows from it.

use super::parameters::{Parameters, is_token_char};
use crate::crypto::Algorithm;
use crate::route::{Dialect, Route};
use crate::schemes::received::{Field, Received};
use crate::schemes::words::words;
use crate::schemes::{Refused, base64};
use http::header::{AUTHORIZATION, HeaderName, HeaderValue, PROXY_AUTHORIZATION};

/// Bytes the field may have.
pub const MAX_FIELD: usize = 8 * 1024;
/// Names that one signature may cover.
pub const MAX_COVERED: usize = 64;
/// Digits of a time in Unix seconds.
const MAX_DIGITS: usize = 15;
/// Where the draft lets a signature stand too (section 4), if RFC 9421's other field is not there.
const SIGNATURE: HeaderName = HeaderName::from_static("signature");

/// The signature that a request shows.
#[derive(Debug)]
pub struct Presented<'r> {
    /// What it says of itself, and so what is signed.
    pub input: Input<'r>,
    /// The algorithm it names. `None` leaves it to the key.
    pub algorithm: Option<Algorithm>,
    /// The signature's bytes.
    pub signature: Vec<u8>,
    /// Whether `Authorization` holds it.
    pub in_authorization: bool,
}

/// What is signed: which items, in which dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Input<'r> {
    /// Whose way of signing it is.
    pub dialect: Dialect,
    /// `keyId`, or `username`.
    pub key_id: &'r str,
    /// `created`.
    pub created: Option<Seconds<'r>>,
    /// `expires`.
    pub expires: Option<Seconds<'r>>,
    list: &'r str,
}

/// A time in Unix seconds, as it is written and as it is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seconds<'r> {
    /// As it is written, and signed.
    pub text: &'r str,
    /// In whole seconds.
    pub value: i64,
}

/// What one name of the list stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'r> {
    /// Kong's `request-line`: the first line of the request.
    RequestLine,
    /// `@request-target` or `(request-target)`: method, path and query.
    Target,
    /// `(created)`.
    Created,
    /// `(expires)`.
    Expires,
    /// A field, its name as it is written in the list.
    Field(&'r str),
}

impl<'r> Presented<'r> {
    /// The signature that `received` shows in the dialect of `route`; `None`
    /// where it shows none, or where the route has no dialect.
    ///
    /// # Errors
    /// [`Refused::Malformed`] says what cannot be read.
    pub fn read(received: &Received<'r>, route: &Route) -> Result<Option<Self>, Refused> {
        let Some(dialect) = route.dialect else {
            return Ok(None);
        };
        let Some((name, value)) = find(received, dialect)? else {
            return Ok(None);
        };
        let shown = shown(&name);
        let malformed = |why: String| Refused::Malformed(format!("`{shown}`: {why}"));
        if value.len() > MAX_FIELD {
            return Err(malformed(format!("it has more than {MAX_FIELD} bytes")));
        }
        let text = value
            .to_str()
            .map_err(|_| malformed("it holds a byte outside ASCII".to_owned()))?;
        let text = if name == SIGNATURE {
            text
        } else {
            text.get(word(dialect).len()..).unwrap_or_default()
        };
        let mut presented = Self::of_parameters(dialect, text).map_err(malformed)?;
        presented.in_authorization = name == AUTHORIZATION;
        Ok(Some(presented))
    }

    /// Reads what stands behind the word of the dialect.
    fn of_parameters(dialect: Dialect, text: &'r str) -> Result<Self, String> {
        let [key_id, algorithm, list, signature, created, expires] = values(dialect, text)?;
        let needed = |value: Option<&'r str>, name| {
            let value = value.filter(|value| !value.is_empty());
            value.ok_or_else(|| format!("the parameter `{name}` is needed"))
        };
        let named = names(dialect);
        let signature = needed(signature, "signature")?;
        let algorithm = match dialect {
            Dialect::Kong | Dialect::Apisix => Some(needed(algorithm, "algorithm")?),
            Dialect::Cavage12 => algorithm,
        };
        let list = match (dialect, list) {
            (Dialect::Kong, list) => needed(list, "headers")?,
            // Section 2.1.6 of the draft. Of older ones it was the date, which is too little as well.
            (Dialect::Cavage12, None) if created.is_some() => "(created)",
            (Dialect::Cavage12 | Dialect::Apisix, None) => "",
            (_, Some("")) => return Err("`headers` is empty".to_owned()),
            (_, Some(list)) => list,
        };
        let input = Input {
            dialect,
            key_id: needed(key_id, named[0])?,
            created: created.map(|text| seconds("created", text)).transpose()?,
            expires: expires.map(|text| seconds("expires", text)).transpose()?,
            list,
        };
        input.check_list(algorithm)?;
        let algorithm = algorithm.map_or(Ok(None), |name| algorithm_of(dialect, name))?;
        let mut bytes = Vec::new();
        if !base64::read(signature.as_bytes(), &mut bytes) {
            return Err("`signature` is not base64".to_owned());
        }
        Ok(Self {
            input,
            algorithm,
            signature: bytes,
            in_authorization: false,
        })
    }

    /// The key id: claimed, not proven.
    pub const fn claimed_key(&self) -> &'r str {
        self.input.key_id
    }
}

impl<'r> Input<'r> {
    /// What a signer of its own makes, which knows its list to be right.
    pub(super) fn written(
        dialect: Dialect,
        key_id: &'r str,
        created: Option<Seconds<'r>>,
        list: &'r str,
        algorithm: Option<&str>,
    ) -> Result<Self, String> {
        let input = Self {
            dialect,
            key_id,
            created,
            expires: None,
            list,
        };
        input.check_list(algorithm).map(|()| input)
    }

    /// The names that are covered, as they are written.
    pub fn names(&self) -> impl Iterator<Item = &'r str> + use<'r> {
        words(self.list, b' ').filter(|name| !name.is_empty())
    }

    /// What is covered, in order.
    pub fn items(&self) -> impl Iterator<Item = Item<'r>> + use<'r> {
        let dialect = self.dialect;
        // What stands there was checked when it was read.
        self.names().map(move |name| Item::named(dialect, name))
    }

    /// Whether a field is covered.
    pub fn covers(&self, field: &str) -> bool {
        self.items()
            .any(|item| matches!(item, Item::Field(name) if name.eq_ignore_ascii_case(field)))
    }

    fn check_list(&self, algorithm: Option<&str>) -> Result<(), String> {
        if self.list.is_empty() {
            return Ok(());
        }
        for (at, name) in words(self.list, b' ').enumerate() {
            if at == MAX_COVERED {
                return Err(format!("`headers` has more than {MAX_COVERED} names"));
            }
            let item = Item::named(self.dialect, name);
            let is_no_field = || name.is_empty() || !name.bytes().all(is_token_char);
            if matches!(item, Item::Field(_)) && is_no_field() {
                return Err(format!(
                    "`headers`: `{name}` is no name; one space stands between names"
                ));
            }
            let is_told_before = |other: &str| other.eq_ignore_ascii_case(name);
            if words(self.list, b' ').take(at).any(is_told_before) {
                return Err(format!("`headers` has `{name}` twice"));
            }
            let (time, parameter) = match item {
                Item::Created => (self.created, "created"),
                Item::Expires => (self.expires, "expires"),
                Item::RequestLine | Item::Target | Item::Field(_) => continue,
            };
            if time.is_none() {
                return Err(format!(
                    "`headers` has `{name}`, and there is no `{parameter}`"
                ));
            }
            // Section 2.3 of the draft: these are of older drafts, which had no such names.
            if let Some(algorithm) = algorithm.filter(|name| is_of_older_drafts(name)) {
                return Err(format!(
                    "`{name}` does not go with `algorithm=\"{algorithm}\"`: say `hs2019`, or leave `algorithm` out"
                ));
            }
        }
        Ok(())
    }
}

impl<'r> Item<'r> {
    /// What `name` stands for in a list.
    fn named(dialect: Dialect, name: &'r str) -> Self {
        match (dialect, name) {
            (Dialect::Kong, "request-line") => Self::RequestLine,
            (Dialect::Kong | Dialect::Apisix, "@request-target")
            | (Dialect::Cavage12, "(request-target)") => Self::Target,
            (Dialect::Cavage12, "(created)") => Self::Created,
            (Dialect::Cavage12, "(expires)") => Self::Expires,
            _ => Self::Field(name),
        }
    }
}

/// Whether `value`, of `Authorization`, is a proof in `dialect`.
pub fn is_proof(dialect: Dialect, value: &HeaderValue) -> bool {
    let word = word(dialect).as_bytes();
    let value = value.as_bytes();
    value
        .split_at_checked(word.len())
        .is_some_and(|(front, rest)| {
            front.eq_ignore_ascii_case(word) && matches!(rest, [] | [b' ' | b'\t', ..])
        })
}

/// The word that a proof begins with.
pub(super) const fn word(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Kong => "hmac",
        Dialect::Apisix | Dialect::Cavage12 => "Signature",
    }
}

/// The one field that holds a proof.
fn find<'r>(
    received: &Received<'r>,
    dialect: Dialect,
) -> Result<Option<(HeaderName, &'r HeaderValue)>, Refused> {
    let mut found: Option<(HeaderName, &HeaderValue)> = None;
    let mut look = |name: HeaderName, is_proof: &dyn Fn(&HeaderValue) -> bool| {
        for value in received.lines(name.as_str()) {
            if !is_proof(value) {
                continue;
            }
            if let Some((first, _)) = found.replace((name.clone(), value)) {
                return Err(Refused::Malformed(format!(
                    "`{}` and `{}` both hold a signature; send one",
                    shown(&first),
                    shown(&name)
                )));
            }
        }
        Ok(())
    };
    let is_of_dialect = |value: &HeaderValue| is_proof(dialect, value);
    if received.shows(Field::Authorization) {
        look(AUTHORIZATION, &is_of_dialect)?;
    }
    if dialect == Dialect::Kong {
        look(PROXY_AUTHORIZATION, &is_of_dialect)?;
    }
    let is_alone = received.shows(Field::Signature) && !received.shows(Field::SignatureInput);
    if dialect == Dialect::Cavage12 && is_alone {
        look(SIGNATURE, &|_| true)?;
    }
    Ok(found)
}

const fn names(dialect: Dialect) -> [&'static str; 6] {
    let key_id = match dialect {
        Dialect::Kong => "username",
        Dialect::Apisix | Dialect::Cavage12 => "keyId",
    };
    [
        key_id,
        "algorithm",
        "headers",
        "signature",
        "created",
        "expires",
    ]
}

/// The values of [`names`]. Others say nothing (section 2.2 of the draft).
fn values(dialect: Dialect, text: &str) -> Result<[Option<&str>; 6], String> {
    let known = match dialect {
        Dialect::Cavage12 => 6,
        // They know no time but a field's.
        Dialect::Kong | Dialect::Apisix => 4,
    };
    let mut values = [None; 6];
    let mut parameters = Parameters::new(text);
    let all = &names(dialect)[..known];
    while let Some((name, value)) = parameters.next()? {
        // Nearly all write them as they are written here.
        let place = all.iter().position(|known| *known == name);
        let in_any_case = || {
            all.iter()
                .position(|known| known.eq_ignore_ascii_case(name))
        };
        let slot = place.or_else(in_any_case).and_then(|at| values.get_mut(at));
        if slot.is_some_and(|slot| slot.replace(value).is_some()) {
            return Err(format!("the parameter `{name}` is there twice"));
        }
    }
    Ok(values)
}

/// The algorithm that `name` stands for; `None` leaves it to the key.
fn algorithm_of(dialect: Dialect, name: &str) -> Result<Option<Algorithm>, String> {
    match (dialect, name) {
        (Dialect::Cavage12, "hs2019") => return Ok(None),
        (_, "hmac-sha256") => return Ok(Some(Algorithm::HmacSha256)),
        (_, "hmac-sha512") => return Ok(Some(Algorithm::HmacSha512)),
        (Dialect::Cavage12, "rsa-sha256") => return Ok(Some(Algorithm::RsaV15Sha256)),
        // The second is what a widely used library calls it.
        (Dialect::Cavage12, "ed25519" | "ed25519-sha512") => return Ok(Some(Algorithm::Ed25519)),
        _ => {}
    }
    let also = match dialect {
        Dialect::Cavage12 => "`hs2019`, `rsa-sha256`, `ed25519`, ",
        Dialect::Kong | Dialect::Apisix => "",
    };
    Err(format!(
        "`algorithm=\"{name}\"` is not accepted; {also}`hmac-sha256` and `hmac-sha512` are"
    ))
}

/// Names that begin so are deprecated, and cannot go with the draft's own times.
fn is_of_older_drafts(algorithm: &str) -> bool {
    ["rsa", "hmac", "ecdsa"]
        .iter()
        .any(|front| algorithm.starts_with(front))
}

/// Whole seconds as they are written anew, with a fraction for `expires` alone (section 2.1.5).
fn seconds<'r>(name: &str, text: &'r str) -> Result<Seconds<'r>, String> {
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) if name == "expires" => (whole, fraction),
        _ => (text, "0"),
    };
    let digits = |text: &str| {
        (1..=MAX_DIGITS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    let is_canonical = whole == "0" || !whole.starts_with('0');
    if !digits(whole) || !digits(fraction) || !is_canonical {
        return Err(format!("`{name}` is not a time in Unix seconds"));
    }
    whole
        .parse()
        .map(|value| Seconds { text, value })
        .map_err(|_| format!("`{name}` is not a time in Unix seconds"))
}

/// The field's name as people write it.
fn shown(name: &HeaderName) -> &'static str {
    match name.as_str() {
        "authorization" => "Authorization",
        "proxy-authorization" => "Proxy-Authorization",
        _ => "Signature",
    }
}
