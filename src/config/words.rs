//! Words of the rooms: routes, schemes, algorithms, addresses.

use super::gather::shown;
use super::paces::{BURST_TOO_LARGE, Pace, PaceOrOff};
use super::read::{Found, Reader, Value};
use super::shape::Shape;
use super::table::{Required, table};
use super::values::{Count, Refused, Word, one_of};
use crate::apps::{Assurance, Downgrade, Evidence, Mode, OnFailure, Scheme};
use crate::crypto::Algorithm;
use crate::forward::upstream::Protocol;
use crate::route::{
    BadPattern, Bind, BodyVerify, Dialect, HostPattern, Part, PathEncoding, PathPattern,
    ReplayPolicy, Sender, SignedPath,
};
use crate::schemes::authority::port_of;
use crate::schemes::{PublicUrl, aws_sigv4};
use http::uri::Authority;
use http::{HeaderName, Method};
use serde_json::{Value as Json, json};
use std::borrow::Cow;
use toml::de::DeValue;

/// Gives a word of a few its reader, from its names.
macro_rules! words {
    ($kind:ty, $takes:literal, [$($name:literal => $value:expr),* $(,)?]) => {
        impl Word for $kind {
            const TAKES: &'static str = $takes;

            fn parse(text: &str) -> Result<Self, Refused> {
                one_of(text, &[$($name),*], |text| match text {
                    $($name => Some($value),)*
                    _ => None,
                })
            }

            fn schema() -> Json {
                json!({ "type": "string", "enum": [$($name),*] })
            }
        }
    };
}

words!(Scheme, "a scheme: `\"http-signature\"`, `\"aws-sigv4\"`, `\"hmac-auth\"`, `\"token\"` or `\"webhook\"`", [
    "http-signature" => Self::HttpSignature,
    "aws-sigv4" => Self::AwsSigv4,
    "hmac-auth" => Self::HmacAuth,
    "token" => Self::Token,
    "webhook" => Self::Webhook,
]);

words!(Sender, "a sender: `\"standard-webhooks\"`, `\"github\"`, `\"stripe\"` or `\"slack\"`", [
    "standard-webhooks" => Self::StandardWebhooks,
    "github" => Self::Github,
    "stripe" => Self::Stripe,
    "slack" => Self::Slack,
]);

words!(Algorithm, "an algorithm: `\"hmac-sha256\"`, `\"hmac-sha512\"`, `\"ed25519\"`, `\"ecdsa-p256-sha256\"`, `\"ecdsa-p384-sha384\"`, `\"rsa-pss-sha512\"`, `\"rsa-pss-sha256\"` or `\"rsa-v1_5-sha256\"`", [
    "hmac-sha256" => Self::HmacSha256,
    "hmac-sha512" => Self::HmacSha512,
    "ed25519" => Self::Ed25519,
    "ecdsa-p256-sha256" => Self::EcdsaP256Sha256,
    "ecdsa-p384-sha384" => Self::EcdsaP384Sha384,
    "rsa-pss-sha512" => Self::RsaPssSha512,
    "rsa-pss-sha256" => Self::RsaPssSha256,
    "rsa-v1_5-sha256" => Self::RsaV15Sha256,
]);

words!(ReplayPolicy, "`\"standard\"`, `\"strict\"` or `\"off\"`", [
    "standard" => Self::Standard,
    "strict" => Self::Strict,
    "off" => Self::Off,
]);

words!(Bind, "`\"none\"`, `\"authorization\"`, `\"key\"` or `\"dpop\"`", [
    "none" => Self::None,
    "authorization" => Self::Authorization,
    "key" => Self::Key,
    "dpop" => Self::Dpop,
]);

words!(Dialect, "a dialect: `\"kong\"`, `\"apisix\"` or `\"cavage-12\"`", [
    "kong" => Self::Kong,
    "apisix" => Self::Apisix,
    "cavage-12" => Self::Cavage12,
]);

words!(SignedPath, "`\"any\"`, `\"as-sent\"` or `\"encoded-again\"`", [
    "any" => Self::Any,
    "as-sent" => Self::AsSent,
    "encoded-again" => Self::EncodedAgain,
]);

/// A region or a service of AWS's scopes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ScopeWord(pub(super) String);

impl Word for ScopeWord {
    const TAKES: &'static str = "up to 64 letters, digits, `-`, `_` and `.`: `\"eu-central-1\"`";

    fn parse(text: &str) -> Result<Self, Refused> {
        if aws_sigv4::is_scope_word(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Refused::new("cannot stand in a scope"))
        }
    }

    fn schema() -> Json {
        json!({ "type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$" })
    }
}

words!(BodyVerify, "`\"before-forwarding\"` or `\"while-forwarding\"`", [
    "before-forwarding" => Self::BeforeForwarding,
    "while-forwarding" => Self::WhileForwarding,
]);

words!(Protocol, "`\"auto\"`, `\"http1\"` or `\"http2\"`", [
    "auto" => Self::Auto,
    "http1" => Self::Http1,
    "http2" => Self::Http2,
]);

words!(PathEncoding, "`\"strict\"` or `\"legacy\"`", [
    "strict" => Self::Strict,
    "legacy" => Self::Legacy,
]);

words!(Part, "a part: `\"method\"`, `\"authority\"`, `\"path\"`, `\"query\"`, `\"authorization\"` or `\"body\"`", [
    "method" => Self::Method,
    "authority" => Self::Authority,
    "path" => Self::Path,
    "query" => Self::Query,
    "authorization" => Self::Authorization,
    "body" => Self::Body,
]);

/// How well a caller must be proven, where that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked(pub(super) Assurance);

words!(Asked, "`\"key\"`, `\"signed\"`, `\"attested\"` or `\"attested+signed\"`", [
    "key" => Self(Assurance::Key),
    "signed" => Self(Assurance::Signed),
    "attested" => Self(Assurance::Attested),
    "attested+signed" => Self(Assurance::AttestedSigned),
]);

words!(Evidence, "evidence: `\"instance-key\"`, `\"oidc\"` or `\"dev\"`", [
    "instance-key" => Self::InstanceKey,
    "oidc" => Self::Oidc,
    "dev" => Self::Dev,
]);

words!(OnFailure, "`\"decoy\"` or `\"refuse\"`", [
    "decoy" => Self::Decoy,
    "refuse" => Self::Refuse,
]);

words!(Mode, "`\"enforce\"` or `\"observe\"`", [
    "enforce" => Self::Enforce,
    "observe" => Self::Observe,
]);

words!(Downgrade, "`\"allow\"` or `\"refuse\"`", [
    "allow" => Self::Allow,
    "refuse" => Self::Refuse,
]);

/// Who may pass: anyone, or whoever proves itself by a scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Accepted {
    /// Anyone.
    Public,
    /// Whoever proves itself so.
    Proven(Scheme),
    /// Whoever proves itself by a token and a signature.
    Pair,
}

words!(Accepted, "a scheme, `\"http-signature\"`, `\"aws-sigv4\"`, `\"hmac-auth\"`, `\"token\"`, `\"client-certificate\"`, `\"api-key\"` or `\"webhook\"`, two at once, `\"token+http-signature\"`, or `\"public\"`", [
    "http-signature" => Self::Proven(Scheme::HttpSignature),
    "aws-sigv4" => Self::Proven(Scheme::AwsSigv4),
    "hmac-auth" => Self::Proven(Scheme::HmacAuth),
    "token" => Self::Proven(Scheme::Token),
    "client-certificate" => Self::Proven(Scheme::ClientCertificate),
    "api-key" => Self::Proven(Scheme::ApiKey),
    "webhook" => Self::Proven(Scheme::Webhook),
    "token+http-signature" => Self::Pair,
    "http-signature+token" => Self::Pair,
    "public" => Self::Public,
]);

impl Word for PathPattern {
    const TAKES: &'static str =
        "a path: `\"/orders\"`, `\"/orders/*\"` (one segment), `\"/orders/**\"` (all below)";

    fn parse(text: &str) -> Result<Self, Refused> {
        Self::new(text).map_err(|bad| {
            let refused = Refused::new(format!("is not a path pattern: {bad}"));
            match bad {
                BadPattern::Escaped => refused.hint("write it plain"),
                _ => refused,
            }
        })
    }

    fn schema() -> Json {
        json!({ "type": "string", "pattern": "^/" })
    }
}

impl Word for HostPattern {
    const TAKES: &'static str = "a host: `\"api.example.com\"`, `\"*.example.com\"`";

    fn parse(text: &str) -> Result<Self, Refused> {
        if text.contains(':') && !text.starts_with('[') {
            return Err(Refused::new("is not a host").hint("a host stands without scheme and port"));
        }
        Self::new(text).map_err(|bad| Refused::new(format!("is not a host: {bad}")))
    }
}

impl Word for Method {
    const TAKES: &'static str = "a method in upper case: `\"GET\"`, `\"POST\"`";

    fn parse(text: &str) -> Result<Self, Refused> {
        let upper = text.to_ascii_uppercase();
        match Self::from_bytes(upper.as_bytes()) {
            Ok(Self::CONNECT | Self::TRACE) => Err(Refused::new("is never passed on")),
            Ok(_) if upper != text => {
                Err(Refused::new("is not a method")
                    .hint(format!("methods are upper case: `{upper}`")))
            }
            Ok(method) if text.len() <= 32 => Ok(method),
            _ => Err(Refused::new("is not a method")),
        }
    }
}

impl Word for HeaderName {
    const TAKES: &'static str =
        "a field name: `\"Portcullis-Token\"`; `\"authorization\"` means `Authorization: Bearer`";

    fn said(text: &str) -> Cow<'_, str> {
        text.to_ascii_lowercase().into()
    }

    fn parse(text: &str) -> Result<Self, Refused> {
        /// Fields that have another meaning already.
        const TAKEN: [&str; 8] = [
            "host",
            "connection",
            "content-length",
            "transfer-encoding",
            "content-digest",
            "signature",
            "signature-input",
            "cookie",
        ];
        let name =
            Self::from_bytes(text.as_bytes()).map_err(|_| Refused::new("is not a field name"))?;
        if TAKEN.contains(&name.as_str()) {
            return Err(Refused::new("has another meaning already"));
        }
        let mut odd = text
            .chars()
            .filter(|c| !c.is_ascii_alphanumeric() && *c != '-');
        if let Some(odd) = odd.next() {
            let why = format!("holds `{odd}`, which some servers read as `-`");
            return Err(Refused::new(why));
        }
        Ok(name)
    }
}

/// Reads the field of a token on a command line as one of the file is read.
pub(crate) fn place_of_token(text: &str) -> Result<HeaderName, String> {
    HeaderName::parse(text).map_err(|refused| refused.sentence(HeaderName::TAKES))
}

impl Word for PublicUrl {
    const TAKES: &'static str = "scheme and authority: `\"https://api.example.com\"`";

    fn parse(text: &str) -> Result<Self, Refused> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(Refused::new("is not a URL").hint(format!("`https://{}`?", shown(text))));
        };
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if !matches!(path, "" | "/") {
            return Err(
                Refused::new("has more than scheme and authority").hint(format!(
                    "`{}` is enough",
                    shown(&format!("{scheme}://{authority}"))
                )),
            );
        }
        let own = match scheme {
            "http" => 80,
            "https" => 443,
            _ => return Err(Refused::new("is neither `http` nor `https`")),
        };
        let (host, port) = host_and_port(authority)?;
        let authority = match port {
            Some(port) if port != own => format!("{host}:{port}"),
            _ => host,
        };
        Ok(Self {
            scheme: scheme.into(),
            authority: authority.into(),
        })
    }
}

/// Host in lower case, IPv6 in brackets, and port.
pub(super) fn host_and_port(text: &str) -> Result<(String, Option<u16>), Refused> {
    if text.contains('@') {
        return Err(Refused::new("holds a user name or a password"));
    }
    let authority: Authority = text.parse().map_err(|_| Refused::new("names no host"))?;
    let name = authority.host().to_ascii_lowercase();
    if name.is_empty() || authority.as_str().ends_with(':') {
        return Err(Refused::new("names no host, or an empty port"));
    }
    let port = port_of(&authority).map_err(|bad| Refused::new(bad.to_string()))?;
    Ok((name, port))
}

/// A rate with its burst, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limit(pub(super) Option<(Pace, Option<u32>)>);

table! {
    /// A rate with its burst.
    pub struct PaceAndBurst {
        /// How many, in how long.
        pub rate: Required<PaceOrOff>,
        /// How many may come at once. The rate's count where it is not said.
        pub burst: Option<Count>,
    }
}

impl Value for Limit {
    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        match found.get_ref() {
            DeValue::Table(_) => {
                let both = PaceAndBurst::read(found, reader)?;
                let (pace, burst) = (both.rate.get()?.0, both.burst.map(|count| count.0));
                if let (Some(pace), Some(burst)) = (pace, burst)
                    && burst > pace.most_at_once()
                {
                    let most = pace.most_at_once();
                    let draft = reader.problem(found, format!("`burst`: {BURST_TOO_LARGE}"));
                    let draft = draft.accepted(format!("a burst of at most {most} at this rate"));
                    reader.problems.push(draft);
                    return None;
                }
                Some(Self(pace.map(|pace| (pace, burst))))
            }
            DeValue::String(_) => {
                let pace = PaceOrOff::read(found, reader)?.0;
                Some(Self(pace.map(|pace| (pace, None))))
            }
            _ => {
                reader.mistyped(found, &Self::shape());
                None
            }
        }
    }

    fn shape() -> Shape {
        Shape::Either(vec![<PaceOrOff as Value>::shape(), PaceAndBurst::shape()])
    }
}
