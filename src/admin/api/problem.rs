//! The table of what the API refuses: stable code, status, and what is told (RFC 9457).

use http::StatusCode;
use serde_json::{Value as Json, json};

/// Where the table is explained; the code is the fragment.
const DOCUMENTATION: &str = "docs/admin-api.md";

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident $code:literal $status:ident $title:literal;)*) => {
        /// A stable word for programs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// Every code, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The word itself.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// The status it comes with.
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)* }
            }

            /// It in a few words.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }
        }
    };
}

codes! {
    /// The request is not of a form that can be read.
    Malformed "malformed-request" BAD_REQUEST "The request cannot be read";
    /// What it says cannot be taken.
    Invalid "invalid" UNPROCESSABLE_ENTITY "A value is refused";
    /// It shows no token.
    TokenMissing "token-missing" UNAUTHORIZED "A token is needed";
    /// Its token is none of ours.
    TokenRejected "token-rejected" UNAUTHORIZED "The token is not known";
    /// Its token may only read.
    RoleTooLow "role-too-low" FORBIDDEN "The token may only read";
    /// There is no such path.
    NoRoute "no-route" NOT_FOUND "There is nothing at this path";
    /// There is no such thing.
    NotFound "not-found" NOT_FOUND "There is no such thing";
    /// The path takes other methods.
    Method "method-not-allowed" METHOD_NOT_ALLOWED "The path does not take this method";
    /// It is there already.
    Exists "exists" CONFLICT "It is there already";
    /// It stands in `gateway.toml`.
    Configured "configured-in-file" CONFLICT "It stands in gateway.toml, and is changed there";
    /// There are as many as there may be.
    TooMany "too-many" CONFLICT "There are as many as there may be";
    /// What is asked cannot be done in the state it is in.
    State "wrong-state" CONFLICT "Its state does not allow that";
    /// It was changed since it was read.
    Stale "stale" PRECONDITION_FAILED "It was changed since it was read";
    /// The body is over the bound.
    TooLarge "body-too-large" PAYLOAD_TOO_LARGE "The body is too large";
    /// The body is not said to be JSON.
    NotJson "not-json" UNSUPPORTED_MEDIA_TYPE "The body is not said to be JSON";
    /// A change does not say of what.
    MatchMissing "if-match-missing" PRECONDITION_REQUIRED "A change needs If-Match";
    /// Too many refused tokens.
    Limited "too-many-refused" TOO_MANY_REQUESTS "Too many tokens were refused";
    /// The body did not come in time.
    Timeout "request-timeout" REQUEST_TIMEOUT "The body did not come in time";
    /// We failed.
    Internal "internal" INTERNAL_SERVER_ERROR "The gateway failed";
    /// There is no registry.
    Off "registry-off" SERVICE_UNAVAILABLE "There is no registry";
    /// The registry cannot be read.
    Unreadable "registry-unreadable" SERVICE_UNAVAILABLE "The registry cannot be read";
    /// The registry cannot be written.
    Unwritable "registry-unwritable" SERVICE_UNAVAILABLE "The registry cannot be written";
    /// Too much waits for the registry, or a reload keeps it waiting.
    Busy "registry-busy" SERVICE_UNAVAILABLE "No change can be taken right now";
    /// What is in force stays, since the file is not good, or asks for a restart.
    NotReloaded "not-reloaded" CONFLICT "The configuration is not taken over";
}

/// One value that is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where: a JSON pointer into the body, `query NAME`, `path NAME` or `field NAME`.
    pub at: String,
    /// What is wrong, with what was found in backticks.
    pub detail: String,
    /// What is accepted there.
    pub accepted: Option<String>,
}

impl Fault {
    /// A fault of what stands at `at`.
    pub fn new(at: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            at: at.into(),
            detail: detail.into(),
            accepted: None,
        }
    }

    /// Says what is accepted.
    #[must_use]
    pub fn accepted(mut self, text: impl Into<String>) -> Self {
        self.accepted = Some(text.into());
        self
    }
}

/// Why nothing was done.
#[derive(Clone, Debug)]
pub struct Problem {
    /// Its code.
    pub code: Code,
    /// All that is told of it.
    pub told: Box<Told>,
}

/// What is told of a problem.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// What is wrong.
    pub detail: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Which values are refused.
    pub faults: Vec<Fault>,
    /// How the thing is tagged now, where that is why.
    pub etag: Option<String>,
    /// The methods that the path takes, where that is why.
    pub allow: Option<String>,
    /// When to come again, in seconds.
    pub retry_after: Option<u64>,
}

impl Problem {
    /// A problem.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        let told = Told {
            detail: detail.into(),
            ..Told::default()
        };
        Self {
            code,
            told: Box::new(told),
        }
    }

    /// Values that are refused, all that are.
    pub fn invalid(faults: Vec<Fault>) -> Self {
        let detail = match faults.as_slice() {
            [one] => format!("{}: {}", one.at, one.detail),
            several => format!("{} values are refused", several.len()),
        };
        let mut problem = Self::new(Code::Invalid, detail);
        problem.told.faults = faults;
        problem
    }

    /// The same by another code.
    #[must_use]
    pub fn coded(mut self, code: Code) -> Self {
        self.code = code;
        self
    }

    /// Says which methods the path takes.
    #[must_use]
    pub fn allow(mut self, methods: impl Into<String>) -> Self {
        self.told.allow = Some(methods.into());
        self
    }

    /// Says when to come again.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.told.retry_after = Some(seconds);
        self
    }

    /// Says what to do about it.
    #[must_use]
    pub fn hint(mut self, text: impl Into<String>) -> Self {
        self.told.hint = Some(text.into());
        self
    }

    /// Says how the thing is tagged now.
    #[must_use]
    pub fn tagged(mut self, etag: impl Into<String>) -> Self {
        self.told.etag = Some(etag.into());
        self
    }

    /// As it is answered.
    pub fn body(&self) -> Json {
        let faults = self.told.faults.iter().map(|fault| {
            let mut shown = json!({ "at": fault.at, "detail": fault.detail });
            if let Some(accepted) = &fault.accepted {
                shown["accepted"] = accepted.as_str().into();
            }
            shown
        });
        let mut body = json!({
            "type": format!("{DOCUMENTATION}#{}", self.code.word()),
            "title": self.code.title(),
            "status": self.code.status().as_u16(),
            "code": self.code.word(),
            "detail": self.told.detail,
        });
        if let Some(hint) = &self.told.hint {
            body["hint"] = hint.as_str().into();
        }
        if !self.told.faults.is_empty() {
            body["errors"] = faults.collect();
        }
        body
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        Self::invalid(vec![fault])
    }
}
