//! What an operation is, and which one a request asks for.

use super::Answer;
use super::call::Call;
use super::problem::{Code, Fault, Problem};
use super::table::OPERATIONS;
use super::tokens::Role;
use http::Method;

/// What an operation does to what exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It only looks.
    Looks,
    /// It makes something, or does something that concerns no one thing: no `If-Match`.
    Makes,
    /// It changes what exists: `If-Match` is required.
    Changes,
}

/// A parameter of the query.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// What it is, in words.
    pub about: &'static str,
    /// Which words it takes; none listed are any.
    pub words: &'static [&'static str],
}

/// What answers a call.
pub type Run = fn(&Call<'_>) -> Result<Answer, Problem>;

/// One operation.
pub struct Operation {
    /// Its name.
    pub id: &'static str,
    /// Its method.
    pub method: &'static str,
    /// Its path; what stands in braces is filled in.
    pub path: &'static str,
    /// What it does, in one line.
    pub summary: &'static str,
    /// More about it.
    pub about: &'static str,
    /// Who may ask.
    pub role: Role,
    /// What it does to what exists.
    pub effect: Effect,
    /// What its query may hold, besides `dry_run` for what does not only look.
    pub query: &'static [Parameter],
    /// The schema of its body, where it takes one.
    pub body: Option<&'static str>,
    /// Whether it must have one.
    pub needs_body: bool,
    /// Its status when it is done, and the schema of what it answers then.
    pub answer: (u16, &'static str),
    /// What it refuses besides what all do.
    pub refuses: &'static [Code],
    /// What answers it.
    pub run: Run,
}

/// What stands at a path.
pub enum Found {
    /// An operation, and what fills the braces of its path.
    Operation(&'static Operation, Vec<(&'static str, String)>),
    /// Operations of other methods.
    OtherMethods(String),
    /// Nothing.
    Nothing,
}

/// Finds the operation of a request. `HEAD` is answered as `GET`.
///
/// # Errors
/// When a part of the path is not percent-encoded text.
pub fn find(method: &Method, path: &str) -> Result<Found, Problem> {
    let wanted = if method == Method::HEAD {
        "GET"
    } else {
        method.as_str()
    };
    let mut others = Vec::new();
    for operation in OPERATIONS {
        let Some(parts) = fits(operation.path, path)? else {
            continue;
        };
        if operation.method == wanted {
            return Ok(Found::Operation(operation, parts));
        }
        others.push(operation.method);
        if operation.method == "GET" {
            others.push("HEAD");
        }
    }
    Ok(if others.is_empty() {
        Found::Nothing
    } else {
        Found::OtherMethods(others.join(", "))
    })
}

/// What fills the braces of `template` in `path`; `None` when it is another path.
fn fits(
    template: &'static str,
    path: &str,
) -> Result<Option<Vec<(&'static str, String)>>, Problem> {
    let mut parts = Vec::new();
    let (mut wanted, mut given) = (template.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => break,
            (Some(wanted), Some(given)) => {
                let name = wanted
                    .strip_prefix('{')
                    .and_then(|name| name.strip_suffix('}'));
                match name {
                    Some(_) if given.is_empty() => return Ok(None),
                    Some(name) => parts.push((name, given)),
                    None if wanted != given => return Ok(None),
                    None => {}
                }
            }
            _ => return Ok(None),
        }
    }
    let decode = |(name, given): (&'static str, &str)| {
        decoded(given).map(|text| (name, text)).ok_or_else(|| {
            let fault = Fault::new(format!("path {name}"), "is not percent-encoded text");
            Problem::from(fault.accepted("UTF-8, `%` as `%25` and `/` as `%2F`"))
                .coded(Code::Malformed)
        })
    };
    parts
        .into_iter()
        .map(decode)
        .collect::<Result<_, _>>()
        .map(Some)
}

/// Percent-encoded text as it was before.
pub fn decoded(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'%' {
            out.push(*first);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        let digits = std::str::from_utf8(digits).ok()?;
        let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        out.push(u8::from_str_radix(digits, 16).ok().filter(|_| is_hex)?);
        rest = after;
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn an_operation_is_found_by_its_path_and_method() {
        let found = find(&Method::GET, "/v1/apps/mobile").ok().unwrap();
        let Found::Operation(operation, parts) = found else {
            panic!("no operation");
        };
        assert_eq!(operation.id, "showApp");
        assert_eq!(parts, [("app", "mobile".to_owned())]);
        let found = find(&Method::HEAD, "/v1/keys/a%2Fb%25").ok().unwrap();
        let Found::Operation(_, parts) = found else {
            panic!("no operation");
        };
        assert_eq!(parts, [("key", "a/b%".to_owned())]);
        for path in ["/v1", "/v1/", "/v1/apps/", "/v1/apps/a/b/c", "/v2/apps"] {
            let found = find(&Method::GET, path).ok().unwrap();
            assert!(matches!(found, Found::Nothing), "{path}");
        }
        for path in ["/v1/apps/%", "/v1/apps/%f", "/v1/apps/%+1", "/v1/apps/%ff"] {
            assert_eq!(
                find(&Method::GET, path).err().unwrap().code,
                Code::Malformed
            );
        }
        let found = find(&Method::TRACE, "/v1/status").ok().unwrap();
        let Found::OtherMethods(allow) = found else {
            panic!("an operation");
        };
        assert_eq!(allow, "GET, HEAD");
    }

    #[test]
    fn no_two_operations_are_the_same() {
        let mut ids = HashSet::new();
        let mut places = HashSet::new();
        for one in OPERATIONS {
            assert!(ids.insert(one.id), "{}", one.id);
            assert!(places.insert((one.method, one.path)), "{}", one.path);
            let looks = one.effect == Effect::Looks;
            assert_eq!(looks, one.method == "GET", "{}", one.id);
            assert_eq!(looks, one.role == Role::Read, "{}", one.id);
        }
    }
}
