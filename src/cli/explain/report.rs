//! What is found of a request: plain data, for a reader or as JSON.

use crate::cli::compare::Difference;
use serde::Serialize;
use std::borrow::Cow;

/// All that is found.
#[derive(Debug, Default, Serialize)]
pub(in crate::cli) struct Report {
    /// Whether the request would pass.
    pub(in crate::cli) passes: bool,
    /// Whether the body is there, and is the one that was proven.
    #[serde(skip)]
    pub(super) proves_body: bool,
    /// The moment it was judged at, Unix seconds.
    pub(super) at: i64,
    /// The request line and the authority, as the gateway takes them.
    pub(super) request: Option<Request>,
    /// The route that takes it.
    pub(super) route: Option<Route>,
    /// Its signatures.
    pub(super) signatures: Vec<Signature>,
    /// Its token.
    pub(super) token: Option<Token>,
    /// The proof of a key beside it (RFC 9449).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) dpop: Option<Token>,
    /// Its static key.
    pub(super) static_key: Option<StaticKey>,
    /// Every step of its way, up to the one that refuses it.
    pub(super) steps: Vec<Step>,
    /// Why it would be refused.
    pub(in crate::cli) refused: Option<Refused>,
    /// Why it cannot be told here whether it would.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) undecided: Option<String>,
    /// The caller's own signature base beside ours.
    pub(super) compared: Option<Compared>,
    /// What a reader should know beside.
    pub(super) notes: Vec<String>,
}

/// The request, as the gateway takes it.
#[derive(Debug, Serialize)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) scheme: String,
    pub(super) authority: String,
    pub(super) target: String,
}

/// A route, by what it asks for.
#[derive(Debug, Serialize)]
pub(super) struct Route {
    pub(super) name: String,
    pub(super) path: String,
    pub(super) accepts: Vec<&'static str>,
    pub(super) scopes: Vec<String>,
}

/// One signature.
#[derive(Debug, Default, Serialize)]
pub(super) struct Signature {
    pub(super) label: String,
    /// Component identifiers, in order.
    pub(super) covers: Vec<String>,
    /// Parameters, in order, each with its value and what it means.
    pub(super) parameters: Vec<Parameter>,
    /// What must be covered, and whether it is.
    pub(super) parts: Vec<Part>,
    /// The lines of the signature base, values of credentials digested.
    pub(super) base: Option<Vec<String>>,
    /// Why there is no signature base.
    pub(super) no_base: Option<String>,
    /// The lines of the text that holds its hash and is signed, where that is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) string_to_sign: Option<Vec<String>>,
    /// Whether the signature is the key's; `None` when the key is not known.
    pub(super) holds: Option<bool>,
    /// The mistake that was made, when we can make it again.
    pub(super) likely: Option<String>,
    /// Its stable word.
    pub(super) mistake: Option<&'static str>,
}

/// One parameter of a signature.
#[derive(Debug, Serialize)]
pub(super) struct Parameter {
    pub(super) name: String,
    pub(super) value: String,
    /// For a time: how long ago.
    pub(super) note: Option<String>,
}

/// A part that every proof must cover.
#[derive(Debug, Serialize)]
pub(super) struct Part {
    pub(super) part: &'static str,
    pub(super) component: Cow<'static, str>,
    pub(super) state: State,
}

/// Whether a part is covered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum State {
    /// It is.
    Covered,
    /// It must be, and is not.
    Missing,
    /// It is not, and the route does not mind for now.
    Waived,
    /// The request does not have it.
    Absent,
}

/// A token, without its signature.
#[derive(Debug, Serialize)]
pub(super) struct Token {
    pub(super) field: String,
    pub(super) header: serde_json::Value,
    pub(super) claims: serde_json::Value,
    /// The issuer outside whose it seems to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) issuer: Option<String>,
    /// How the times among the claims stand to now.
    pub(super) times: Vec<Parameter>,
    /// Whether its signature is the key's, where the key is known.
    #[serde(skip)]
    pub(super) holds: Option<bool>,
    /// The mistake that was made, when we can make it again.
    pub(super) likely: Option<String>,
    /// Its stable word.
    pub(super) mistake: Option<&'static str>,
}

/// A static key, without the key.
#[derive(Debug, Serialize)]
pub(super) struct StaticKey {
    pub(super) place: String,
    /// Which one it is; `None` when nobody has it.
    pub(super) id: Option<String>,
}

/// One step of the way.
#[derive(Debug, Serialize)]
pub(super) struct Step {
    pub(super) name: &'static str,
    pub(super) outcome: Outcome,
    pub(super) note: String,
}

/// How a step ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Outcome {
    /// It lets the request pass.
    Passed,
    /// It refuses it.
    Refused,
    /// Only the running gateway knows.
    NotChecked,
}

/// Why a request would be refused: the row of the table, and what to change.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct Refused {
    pub(super) step: &'static str,
    pub(in crate::cli) status: u16,
    pub(in crate::cli) code: &'static str,
    pub(super) title: &'static str,
    /// What the caller is told.
    pub(super) detail: String,
    /// The true reason.
    pub(super) reason: String,
    pub(super) change: Option<String>,
}

/// The caller's own signature base beside ours.
#[derive(Debug, Serialize)]
pub(super) struct Compared {
    /// Which of the signatures ours is of.
    #[serde(skip)]
    pub(super) of: usize,
    /// Whether it is the string to sign, and not the text whose hash that holds.
    #[serde(skip)]
    pub(super) is_to_sign: bool,
    pub(super) same: bool,
    pub(super) difference: Option<Difference>,
    /// Why most likely.
    pub(super) likely: Option<String>,
    /// The stable word of that, where it is a mistake that we can make again.
    pub(super) mistake: Option<&'static str>,
    /// What the key says of a text that differs, where it is known: whether it is what was signed.
    pub(super) by_key: Option<String>,
}

impl Compared {
    /// What to change, as far as the two texts tell.
    pub(super) fn hint(&self) -> Option<String> {
        let told = [self.likely.as_deref(), self.by_key.as_deref()];
        let told: Vec<&str> = told.into_iter().flatten().collect();
        (!told.is_empty()).then(|| told.join("; "))
    }
}
