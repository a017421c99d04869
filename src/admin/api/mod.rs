//! The admin API, `/v1/…`: JSON over what `gateway.toml` and the registry hold.
//!
//! A request comes in as values and an answer goes out as one: no socket is
//! known here. So the same code serves the admin listener and the commands
//! that work on a registry which no gateway has open.

pub mod body;
pub mod call;
mod configured;
mod openapi;
pub mod operations;
pub mod page;
mod problem;
mod refused;
mod schemas;
mod tokens;
mod turns;
mod values;

mod apps;
mod devices;
mod history;
mod keys;
mod made;
mod material;
mod process;
mod table;

pub use body::MAX_BODY;
pub use configured::{Configured, ConfiguredApp, ConfiguredKey};
pub use problem::{Code, Fault, Problem};
pub use tokens::{Guard, Role, Token, Tokens, Who};
pub use turns::{Changing, Reloading, Turns};
pub(crate) use values::moment_of;

use crate::apps::made::{MasterKey, Store};
use crate::clock::Now;
use call::Call;
use http::{HeaderMap, Method, StatusCode};
use operations::Found;
use serde_json::Value as Json;
use std::sync::Arc;

/// What the API works on.
pub trait Desk: Send + Sync + 'static {
    /// What `gateway.toml` says of apps and plans, as it is in force.
    fn configured(&self) -> Arc<Configured>;

    /// What keeps apps that are made at run time; `None` where nothing does.
    fn store(&self) -> Option<&Arc<dyn Store>>;

    /// What seals the secrets in it.
    fn master(&self) -> Option<&MasterKey>;

    /// Reads the configuration again and puts it into force, or only says what that would change.
    ///
    /// # Errors
    /// Why that cannot be.
    fn reload(&self, dry_run: bool) -> Result<Reloaded, String>;

    /// How changes and reloads take turns, where it can be read again.
    fn turns(&self) -> Option<&Turns> {
        None
    }

    /// The time.
    fn now(&self) -> Now;

    /// Whether a gateway runs on this.
    fn is_serving(&self) -> bool;
}

/// What came of reading the configuration again, or would.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Each key with what it was and is.
    pub changes: Vec<String>,
    /// What someone should know about the configuration, as `portcullis check` tells it.
    pub warnings: Vec<String>,
}

/// A request to the API.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Its path, as it was sent.
    pub path: &'a str,
    /// Its query, without the `?`.
    pub query: Option<&'a str>,
    /// Its fields.
    pub fields: &'a HeaderMap,
    /// Its body, at most [`MAX_BODY`] bytes.
    pub body: &'a [u8],
}

/// What the API answers.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its body.
    pub body: Json,
    /// How the thing it shows is tagged.
    pub etag: Option<String>,
    /// Whether it refuses.
    pub is_problem: bool,
    /// The methods that the path takes, where that is why it refuses.
    pub allow: Option<String>,
    /// When to come again.
    pub retry_after: Option<u64>,
}

impl Answer {
    /// A good answer.
    pub fn ok(body: Json) -> Self {
        Self {
            status: StatusCode::OK,
            body,
            etag: None,
            is_problem: false,
            allow: None,
            retry_after: None,
        }
    }

    /// Adds how the thing it shows is tagged.
    #[must_use]
    pub fn tagged(mut self, etag: Option<String>) -> Self {
        self.etag = etag;
        self
    }
}

impl From<Problem> for Answer {
    fn from(problem: Problem) -> Self {
        Self {
            status: problem.code.status(),
            body: problem.body(),
            etag: problem.told.etag,
            is_problem: true,
            allow: problem.told.allow,
            retry_after: problem.told.retry_after,
        }
    }
}

/// Whether a path is the API's.
pub fn is_of_api(path: &str) -> bool {
    path == "/v1" || path.starts_with("/v1/")
}

/// Whether a path is shown to whoever asks: the document tells nothing of this gateway.
pub fn is_open(path: &str) -> bool {
    path == openapi::PATH
}

/// The document of the API (OpenAPI 3.1).
pub fn document() -> Json {
    openapi::document()
}

/// Answers what `who` asks, which may wait for the disk.
pub fn answer(desk: &dyn Desk, who: &Who, asked: &Asked<'_>) -> Answer {
    run(desk, who, asked).unwrap_or_else(Answer::from)
}

fn run(desk: &dyn Desk, who: &Who, asked: &Asked<'_>) -> Result<Answer, Problem> {
    let (operation, parts) = match operations::find(asked.method, asked.path)? {
        Found::Operation(operation, parts) => (operation, parts),
        Found::OtherMethods(allow) => {
            let detail = format!("`{}` is not taken here", body::shown(asked.method.as_str()));
            let problem = Problem::new(Code::Method, detail);
            return Err(problem.hint(format!("accepted: {allow}")).allow(allow));
        }
        Found::Nothing => {
            let detail = format!("nothing is at `{}`", body::shown(asked.path));
            return Err(Problem::new(Code::NoRoute, detail)
                .hint(format!("`GET {}` lists what there is", openapi::PATH)));
        }
    };
    if operation.role > who.role {
        let detail = format!("`{}` shows the token that may only look", who.name);
        return Err(Problem::new(Code::RoleTooLow, detail)
            .hint("changes are made with the token that `[admin] token` names"));
    }
    let call = Call::of(operation, parts, desk, who, asked)?;
    (operation.run)(&call)
}
