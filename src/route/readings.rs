//! What servers make of a path that do more with it than we do.
//!
//! Of canonical paths, which are ASCII with escapes in upper case, in one pass
//! each: strangers choose how long they are.

use super::Ambiguous;

/// What a server does, `None` where that leaves `path` as it is.
type Reading = fn(path: &str) -> Option<String>;

/// In the order in which they are done, each with and without the others.
const READINGS: [Reading; 10] = [
    without_authority,
    // Slashes are decoded first: parameters end at them then, too.
    with_slashes,
    without_parameters,
    // `%3B` is decoded behind that, and begins parameters then.
    with_semicolons,
    without_query,
    without_fragment,
    without_parameters,
    with_slashes,
    // What was decoded first is taken for a URL only then.
    without_authority,
    merged,
];

/// How many a path may have. A URL within a path has some twenty; each is held and looked up.
const MAX_READINGS: usize = 48;

/// What `path` may become, without `path` itself.
///
/// # Errors
/// [`Ambiguous::ManyReadings`].
pub(super) fn of(path: &str) -> Result<Vec<String>, Ambiguous> {
    let mut forms = vec![path.to_owned()];
    for reading in READINGS {
        for at in 0..forms.len() {
            let Some(form) = forms.get(at).and_then(|known| reading(known)) else {
                continue;
            };
            if forms.contains(&form) {
                continue;
            }
            if forms.len() > MAX_READINGS {
                return Err(Ambiguous::ManyReadings);
            }
            forms.push(form);
        }
    }
    Ok(forms.split_off(1))
}

/// `path` taken for a URL: what follows `//` is a host there (RFC 3986, section 4.2), for WHATWG behind any
/// number of slashes.
fn without_authority(path: &str) -> Option<String> {
    let authority = path.strip_prefix("//")?.trim_start_matches('/');
    let at = authority.find('/');
    Some(at.map_or("/", |at| &authority[at..]).to_owned())
}

/// `path` up to where a query begins once `%3F` is decoded.
fn without_query(path: &str) -> Option<String> {
    Some(path.split_once("%3F")?.0.to_owned())
}

/// `path` up to where a fragment begins once `%23` is decoded.
fn without_fragment(path: &str) -> Option<String> {
    Some(path.split_once("%23")?.0.to_owned())
}

/// `path` with each segment up to its first `;`.
fn without_parameters(path: &str) -> Option<String> {
    if !path.contains(';') {
        return None;
    }
    let mut is_left_out = false;
    let keeps = |sign: &char| {
        is_left_out = *sign == ';' || *sign != '/' && is_left_out;
        !is_left_out
    };
    Some(path.chars().filter(keeps).collect())
}

fn with_semicolons(path: &str) -> Option<String> {
    path.contains("%3B").then(|| path.replace("%3B", ";"))
}

fn with_slashes(path: &str) -> Option<String> {
    path.contains("%2F").then(|| path.replace("%2F", "/"))
}

/// `path` with one slash for several.
fn merged(path: &str) -> Option<String> {
    if !path.contains("//") {
        return None;
    }
    let mut before = ' ';
    let keeps = |sign: &char| {
        let is_second = *sign == '/' && before == '/';
        before = *sign;
        !is_second
    };
    Some(path.chars().filter(keeps).collect())
}
