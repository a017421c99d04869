//! Values as bodies, queries and answers spell them.

use super::body::{Wrong, kind, shown, shown_message};
use crate::apps::made::{is_key_id, is_name, is_scope};
use crate::apps::{Downgrade, Evidence, Mode, Scheme, TokenPolicy, is_build};
use crate::crypto::Algorithm;
use jiff::Timestamp;
use jiff::civil::date;
use jiff::fmt::temporal::Pieces;
use serde_json::Value as Json;

/// Scopes of one app.
const MAX_SCOPES: usize = 64;
/// Characters of a public key.
const MAX_PUBLIC_KEY: usize = 16 * 1024;
/// The longest time that is taken, in seconds: ten years.
const MAX_SECONDS: u32 = 315_360_000;

/// A moment in answers: RFC 3339, in whole seconds, UTC.
pub(super) fn moment(unix_seconds: i64) -> String {
    Timestamp::from_second(unix_seconds)
        .map_or_else(|_| unix_seconds.to_string(), |at| at.to_string())
}

/// A moment as it is asked for, in `gateway.toml` too: a date is its first second, UTC. What is too late to be
/// told, as the last day of year 9999 that stands for never, is the last that can be.
pub(crate) fn moment_of(text: &str) -> Option<i64> {
    let midnight = |_| format!("{text}T00:00:00Z").parse::<Timestamp>();
    let at = text.parse::<Timestamp>().or_else(midnight);
    at.ok()
        .or_else(|| is_past_the_last(text).then_some(Timestamp::MAX))
        .map(Timestamp::as_second)
}

/// Whether it is a moment of the last two days of year 9999, of which a part is later than any [`Timestamp`].
fn is_past_the_last(text: &str) -> bool {
    Pieces::parse(text).is_ok_and(|pieces| {
        let is_whole = pieces.time().is_some() == pieces.to_numeric_offset().is_some();
        is_whole && pieces.date() >= date(9999, 12, 30)
    })
}

fn text<'j>(value: &'j Json, accepted: &str) -> Result<&'j str, Wrong> {
    value.as_str().ok_or_else(|| Wrong::kind(value, accepted))
}

fn fits(value: &Json, accepted: &str, good: fn(&str) -> bool) -> Result<String, Wrong> {
    let text = text(value, accepted)?;
    if good(text) {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(
        format!("`{}` cannot stand here", shown(text)),
        accepted,
    ))
}

/// The name of an app, a plan or a build.
pub(super) fn name(value: &Json) -> Result<String, Wrong> {
    fits(
        value,
        "a name of 1 to 64 letters, digits, `-`, `_` and `.`",
        is_name,
    )
}

/// A build of an app.
pub(super) fn build(value: &Json) -> Result<String, Wrong> {
    fits(
        value,
        "a build of 1 to 64 visible ASCII characters without `\"` and `\\`",
        is_build,
    )
}

/// How the key service serves an app.
pub(super) fn tokens(value: &Json) -> Result<TokenPolicy, Wrong> {
    const TAKES: &str = "as `tokens` of an app in gateway.toml, where `evidence` has `\"instance-key\"` or `\"oidc\"`";
    // Its own reader says what is wrong with it.
    let policy: TokenPolicy = serde_json::from_value(value.clone())
        .map_err(|why| Wrong::new(shown_message(&why.to_string()), TAKES))?;
    if policy.evidence.contains(&Evidence::Dev) {
        let message = "`dev` is no evidence for an app that is made at run time";
        return Err(Wrong::new(message, TAKES));
    }
    Ok(policy)
}

/// The id of a key.
pub(super) fn key_id(value: &Json) -> Result<String, Wrong> {
    fits(
        value,
        "an id of 1 to 256 visible ASCII characters without `\"` and `\\`",
        is_key_id,
    )
}

/// The scopes of an app.
pub(super) fn scopes(value: &Json) -> Result<Vec<String>, Wrong> {
    const TAKES: &str = "a list of at most 64 scopes, each 1 to 64 visible ASCII characters without `,`, `\"` and `\\`";
    let items = value.as_array().ok_or_else(|| Wrong::kind(value, TAKES))?;
    if items.len() > MAX_SCOPES {
        return Err(Wrong::new("has more than 64 scopes", TAKES));
    }
    let mut scopes: Vec<String> = Vec::with_capacity(items.len());
    for item in items {
        let scope = fits(item, TAKES, is_scope)?;
        if scopes.contains(&scope) {
            return Err(Wrong::new(
                format!("`{}` stands there twice", shown(&scope)),
                TAKES,
            ));
        }
        scopes.push(scope);
    }
    Ok(scopes)
}

/// `true` or `false`.
pub(super) fn flag(value: &Json) -> Result<bool, Wrong> {
    let flag = value.as_bool();
    flag.ok_or_else(|| Wrong::kind(value, "`true` or `false`"))
}

/// A moment.
pub(super) fn when(value: &Json) -> Result<i64, Wrong> {
    const TAKES: &str = "a moment, `\"2027-01-31T12:00:00Z\"`, or a date, `\"2027-01-31\"`";
    let text = text(value, TAKES)?;
    moment_of(text).ok_or_else(|| Wrong::new(format!("`{}` is no moment", shown(text)), TAKES))
}

/// A time in seconds.
pub(super) fn seconds(value: &Json) -> Result<u32, Wrong> {
    number(
        value,
        MAX_SECONDS,
        "seconds, a whole number from 1 to 315360000",
    )
}

/// How often a code may be used.
pub(super) fn uses(value: &Json) -> Result<u32, Wrong> {
    number(value, 10_000, "a whole number from 1 to 10000")
}

fn number(value: &Json, most: u32, accepted: &str) -> Result<u32, Wrong> {
    let Json::Number(found) = value else {
        return Err(Wrong::kind(value, accepted));
    };
    let number = found.as_u64().and_then(|number| u32::try_from(number).ok());
    number
        .filter(|number| (1..=most).contains(number))
        .ok_or_else(|| {
            Wrong::new(
                format!("`{}` is out of range", shown(&found.to_string())),
                accepted,
            )
        })
}

fn word<T>(value: &Json, words: &[&str], from: impl Fn(&str) -> Option<T>) -> Result<T, Wrong> {
    let listed: Vec<String> = words.iter().map(|word| format!("`\"{word}\"`")).collect();
    let accepted = listed.join(", ");
    let text = text(value, &accepted)?;
    from(text).ok_or_else(|| Wrong::new(format!("`{}` is not known here", shown(text)), accepted))
}

/// What is asked of an app that is proven.
pub(super) fn mode(value: &Json) -> Result<Mode, Wrong> {
    let known = [Mode::Enforce, Mode::Observe];
    word(value, &known.map(Mode::name), |text| {
        known.into_iter().find(|one| one.name() == text)
    })
}

/// Whether an app may fall back.
pub(super) fn downgrade(value: &Json) -> Result<Downgrade, Wrong> {
    let known = [Downgrade::Allow, Downgrade::Refuse];
    word(value, &known.map(Downgrade::name), |text| {
        known.into_iter().find(|one| one.name() == text)
    })
}

/// The algorithm of a key.
pub(super) fn algorithm(value: &Json) -> Result<Algorithm, Wrong> {
    let names = Algorithm::ALL.map(Algorithm::name);
    word(value, &names, Algorithm::from_name)
}

/// What a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyKind {
    /// A secret that we make.
    Secret,
    /// A static key that we make.
    Static,
    /// A public key that is given.
    Public,
    /// A pair that we make, for tokens of the key service.
    Pair,
}

/// The kind of a key.
pub(super) fn key_kind(value: &Json) -> Result<KeyKind, Wrong> {
    word(
        value,
        &["secret", "public-key", "pair", "static"],
        |text| match text {
            "secret" => Some(KeyKind::Secret),
            "public-key" => Some(KeyKind::Public),
            "pair" => Some(KeyKind::Pair),
            "static" => Some(KeyKind::Static),
            _ => None,
        },
    )
}

/// What a key may prove.
pub(super) fn schemes(value: &Json) -> Result<Vec<Scheme>, Wrong> {
    const KNOWN: [Scheme; 5] = [
        Scheme::HttpSignature,
        Scheme::AwsSigv4,
        Scheme::HmacAuth,
        Scheme::Token,
        Scheme::Webhook,
    ];
    let names = KNOWN.map(Scheme::name);
    let listed = names.map(|name| format!("`\"{name}\"`")).join(", ");
    let accepted = format!("a list of schemes: {listed}");
    let items = value.as_array().filter(|items| !items.is_empty());
    let items = items.ok_or_else(|| Wrong::new(format!("found {}", kind(value)), &*accepted))?;
    let mut schemes = Vec::with_capacity(KNOWN.len());
    for item in items {
        let scheme = word(item, &names, |text| {
            KNOWN.into_iter().find(|one| one.name() == text)
        })?;
        if schemes.contains(&scheme) {
            return Err(Wrong::new(
                format!("`{}` stands there twice", scheme.name()),
                accepted,
            ));
        }
        schemes.push(scheme);
    }
    Ok(schemes)
}

/// A public key, in PEM or as a JWK: as text, or as the JWK itself.
pub(super) fn public_key(value: &Json) -> Result<String, Wrong> {
    const TAKES: &str = "a public key in PEM, or a JWK";
    let text = match value {
        Json::String(text) => text.clone(),
        Json::Object(_) => value.to_string(),
        other => return Err(Wrong::kind(other, TAKES)),
    };
    // What is wrong is not shown: it may be the private half.
    let short = text.len() <= MAX_PUBLIC_KEY;
    short
        .then_some(text)
        .ok_or_else(|| Wrong::new("has more than 16 KiB", TAKES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_time_or_a_date_and_one_that_stands_for_never_is_the_last() {
        let last = moment_of("9999-12-30T22:00:00Z");
        assert_eq!(last.map(moment).as_deref(), Some("9999-12-30T22:00:00Z"));
        for (text, at) in [
            ("2027-01-15", Some(1_799_971_200)),
            ("2027-01-15T08:00:00Z", Some(1_800_000_000)),
            ("2027-01-15T09:00:00+01:00", Some(1_800_000_000)),
            ("9999-12-30", moment_of("9999-12-30T00:00:00Z")),
            ("9999-12-31", last),
            ("9999-12-31T23:59:59Z", last),
            ("9999-12-31T23:59:59-11:00", last),
            ("9999-12-31T23:59:59", None),
            ("9999-12-31T23:59", None),
            ("9999-12-31Z", None),
            ("9999-12-32", None),
            ("10000-01-01", None),
            ("-009999-01-01", None),
            ("2027-01-15T08:00:00", None),
            ("never", None),
            ("", None),
        ] {
            assert_eq!(moment_of(text), at, "{text}");
        }
        assert!(last > moment_of("9999-12-30"));
    }
}
