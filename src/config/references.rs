//! Where secrets, public keys and certificates are, as it is written.

use super::mask::REFERENCES;
use super::read::{At, Found, Reader, Value};
use super::shape::Shape;
use super::values::{Refused, Word};
use serde_json::{Value as Json, json};
use std::fmt;
use std::ops::Deref;
use std::path::PathBuf;

/// The longest path, in bytes.
const MAX_PATH: usize = 4096;

/// Where a secret is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reference {
    /// In a variable of the environment.
    Env(String),
    /// In a file.
    File(PathBuf),
    /// In a file that we make when it is not there.
    Generated(PathBuf),
}

/// Where a secret is, or `"off"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ReferenceOrOff(pub(super) Option<Reference>);

/// Where a secret is that others have made, and so is never made here: what is `generated:` all the same is refused
/// by whoever takes the secret, and knows whose it is.
#[derive(Debug)]
pub(super) struct Given(At<Reference>);

/// Where a public key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PublicReference(pub(super) Reference);

/// Where a certificate or its key is: a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SecretFile(pub(super) PathBuf);

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Generated(path) => write!(f, "generated:{}", path.display()),
        }
    }
}

impl Word for Reference {
    const TAKES: &'static str =
        "a reference: `\"env:NAME\"`, `\"file:PATH\"` or `\"generated:PATH\"`";
    const SECRET: bool = true;

    fn parse(text: &str) -> Result<Self, Refused> {
        if let Some(name) = text.strip_prefix("env:") {
            if is_variable(name) {
                return Ok(Self::Env(name.to_owned()));
            }
            let refused = Refused::new("after `env:` is not the name of a variable");
            return Err(refused.hint("a name has letters, digits and `_`"));
        }
        if let Some(path) = text.strip_prefix("file:") {
            return path_of(path).map(Self::File);
        }
        if let Some(path) = text.strip_prefix("generated:") {
            return path_of(path).map(Self::Generated);
        }
        Err(Refused::new("is not a reference").hint(
            "a secret is never written here: put it into a file and write `file:PATH`, or let the first start make one by `generated:PATH`",
        ))
    }

    fn schema() -> Json {
        json!({ "type": "string", "pattern": format!("^({}).+$", REFERENCES.join("|")) })
    }
}

impl Word for ReferenceOrOff {
    const TAKES: &'static str =
        "a reference, `\"env:NAME\"`, `\"file:PATH\"` or `\"generated:PATH\"`, or `\"off\"`";
    const SECRET: bool = true;

    fn parse(text: &str) -> Result<Self, Refused> {
        match text {
            "off" => Ok(Self(None)),
            text => Reference::parse(text).map(|reference| Self(Some(reference))),
        }
    }

    fn schema() -> Json {
        json!({ "type": "string", "pattern": format!("^(off$|({}).+$)", REFERENCES.join("|")) })
    }
}

impl Deref for Given {
    type Target = At<Reference>;

    fn deref(&self) -> &At<Reference> {
        &self.0
    }
}

impl Value for Given {
    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let at = At::<OfOthers>::read(found, reader)?;
        Some(Self(at.map(|reference| reference.0)))
    }

    fn shape() -> Shape {
        OfOthers::shape()
    }
}

/// The word of a [`Given`].
struct OfOthers(Reference);

impl Word for OfOthers {
    const TAKES: &'static str = "a reference: `\"env:NAME\"` or `\"file:PATH\"`";
    const SECRET: bool = true;

    fn parse(text: &str) -> Result<Self, Refused> {
        if REFERENCES.iter().any(|prefix| text.starts_with(prefix)) {
            return Reference::parse(text).map(Self);
        }
        Err(Refused::new("is not a reference")
            .hint("a secret is never written here: put it into a file and write `file:PATH`"))
    }

    fn schema() -> Json {
        json!({ "type": "string", "pattern": "^(env:|file:).+$" })
    }
}

impl Word for PublicReference {
    const TAKES: &'static str = "a reference: `\"file:PATH\"` or `\"env:NAME\"`";
    // Who confuses the halves of a pair writes the private one here.
    const SECRET: bool = true;

    fn parse(text: &str) -> Result<Self, Refused> {
        match Reference::parse(text) {
            Ok(Reference::Generated(_)) => {
                Err(Refused::new("would be made here").hint(
                    "the caller makes the pair, and gives its public half: `openssl genpkey -algorithm ed25519`",
                ))
            }
            Ok(reference) => Ok(Self(reference)),
            Err(_) => Err(Refused::new("is not a reference")
                .hint("put the key into a file and write `file:PATH`")),
        }
    }

    fn schema() -> Json {
        json!({ "type": "string", "pattern": "^(file:|env:).+$" })
    }
}

impl Word for SecretFile {
    const TAKES: &'static str = "a file: `\"file:PATH\"`";
    const SECRET: bool = true;

    fn parse(text: &str) -> Result<Self, Refused> {
        match text.strip_prefix("file:") {
            Some(path) => path_of(path).map(Self),
            None => Err(Refused::new("is not a reference to a file")),
        }
    }

    fn schema() -> Json {
        json!({ "type": "string", "pattern": "^file:.+$" })
    }
}

fn path_of(text: &str) -> Result<PathBuf, Refused> {
    let good = (1..=MAX_PATH).contains(&text.len()) && !text.contains(char::is_control);
    good.then(|| PathBuf::from(text))
        .ok_or_else(|| Refused::new("names no file"))
}

fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
