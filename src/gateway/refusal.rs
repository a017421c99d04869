//! The table of refusals: every reason's status, its stable code, whose fault
//! it is, and what the caller is told (design, section 7; RFC 9457).

mod credential;
mod minting;
mod problem;
mod token;

pub(super) use credential::{dpop_error, oauth_error};
pub use problem::Problem;

use crate::forward::body::BodyError;
use crate::forward::{self, Failed};
use crate::limit::overload::Overloaded;
use crate::route::NoRoute;
use crate::schemes::aws_sigv4::chunked::BadChunks;
use crate::schemes::{self, Malformed, Unbound};
use crate::server::Fault;
use crate::{authorize, limit, mint, replay};
use http::StatusCode;
use std::time::Duration;

/// Where the table is explained; the code is the fragment.
const DOCUMENTATION: &str = "docs/refusals.md";

/// The reason in records of a proof that lacks a nonce, which the answer gives.
pub const NONCE_MISSING: &str = "nonce-missing";

/// Why a request gets no answer of its upstream.
#[derive(Debug)]
pub enum Refusal {
    /// Its bytes are no request.
    Wire(Fault),
    /// Its head can be read in two ways, or is over a bound.
    Head(Malformed),
    /// No route takes it.
    Route(NoRoute),
    /// Its address has to wait.
    Peer(limit::peer::Refused),
    /// What it shows does not let it in.
    Credential(schemes::Refused),
    /// Its proof was used, or cannot be remembered.
    Replay(replay::Refused),
    /// It asks to switch protocols, for a page that may not call.
    Origin,
    /// Its app may not do this, or not so.
    Denied(authorize::Refused),
    /// Its app has to wait.
    Limit(limit::Refused),
    /// As many tunnels as may be are open.
    Tunnels,
    /// Everyone has to wait.
    Overloaded(Overloaded),
    /// The upstream gave no answer, or its body broke off.
    Forward(Failed),
    /// The key service has no answer.
    Mint(mint::No),
    /// We panicked.
    Internal,
}

/// Whose fault a refusal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// Someone unproven: counted against its address.
    Stranger,
    /// A proven caller.
    Caller,
    /// The upstream.
    Upstream,
    /// This gateway, or what it stands on.
    Gateway,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident $code:literal $status:ident $blame:ident $title:literal;)*) => {
        /// A stable word for programs. What callers may rely on.
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

            /// Whose fault it is.
            pub const fn blame(self) -> Blame {
                match self { $(Self::$name => Blame::$blame,)* }
            }

            /// The same short sentence every time.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }
        }
    };
}

codes! {
    /// The bytes are no request, or one with two readings.
    MalformedRequest "malformed-request" BAD_REQUEST Stranger "The request cannot be read in one way only";
    /// The credential cannot be read.
    MalformedCredential "malformed-credential" BAD_REQUEST Stranger "The credential cannot be read";
    /// The path has two readings.
    AmbiguousPath "ambiguous-path" BAD_REQUEST Stranger "The path can be read in more than one way";
    /// There is no credential.
    CredentialMissing "credential-missing" UNAUTHORIZED Stranger "The request shows no credential";
    /// Unknown key and bad signature alike.
    CredentialRejected "credential-rejected" UNAUTHORIZED Stranger "The credential does not hold";
    /// A part that must be covered is not.
    CoverageMissing "coverage-missing" UNAUTHORIZED Stranger "The signature does not cover enough";
    /// The proof's time is outside the window.
    ClockSkew "clock-skew" UNAUTHORIZED Stranger "The credential's time is outside the accepted window";
    /// The proof says that it is over.
    CredentialExpired "credential-expired" UNAUTHORIZED Stranger "The credential has expired";
    /// The proof was used before.
    Replayed "replayed" UNAUTHORIZED Stranger "The credential was used before";
    /// The body is not the one whose digest was given.
    DigestMismatch "digest-mismatch" UNAUTHORIZED Stranger "The body does not match its digest";
    /// The token is bound to another `Authorization`.
    BindingMismatch "binding-mismatch" UNAUTHORIZED Stranger "The token is bound to something else";
    /// The route does not accept this scheme.
    SchemeNotAccepted "scheme-not-accepted" UNAUTHORIZED Stranger "This kind of credential is not accepted here";
    /// The evidence does not hold.
    EvidenceRejected "evidence-rejected" FORBIDDEN Stranger "The evidence does not hold";
    /// The app lacks a scope.
    ScopeMissing "scope-missing" FORBIDDEN Caller "The app may not do this";
    /// The caller is proven less well than is asked for.
    AssuranceTooLow "assurance-too-low" FORBIDDEN Caller "The caller is not proven well enough";
    /// The app is switched off.
    AppDisabled "app-disabled" FORBIDDEN Caller "The app is switched off";
    /// A page of another origin asks to switch protocols.
    OriginNotAllowed "origin-not-allowed" FORBIDDEN Caller "Pages of this origin may not do this";
    /// No route takes it.
    NoRoute "no-route" NOT_FOUND Stranger "There is nothing here";
    /// The route does not take this method.
    MethodNotAllowed "method-not-allowed" METHOD_NOT_ALLOWED Stranger "The method is not allowed here";
    /// The request did not arrive in time.
    RequestTimeout "request-timeout" REQUEST_TIMEOUT Stranger "The request did not arrive in time";
    /// The body is over the route's limit.
    BodyTooLarge "body-too-large" PAYLOAD_TOO_LARGE Caller "The body is too large";
    /// The target is over its limit.
    UriTooLong "uri-too-long" URI_TOO_LONG Stranger "The target is too long";
    /// The expectation is none we know.
    ExpectationFailed "expectation-failed" EXPECTATION_FAILED Stranger "The expectation is not known";
    /// The head is over its limits.
    HeadersTooLarge "headers-too-large" REQUEST_HEADER_FIELDS_TOO_LARGE Stranger "The head is too large";
    /// The app's rate is used up.
    RateExceeded "rate-exceeded" TOO_MANY_REQUESTS Caller "The app's rate is used up";
    /// Too many of the app's requests are in flight.
    ConcurrencyExceeded "concurrency-exceeded" TOO_MANY_REQUESTS Caller "Too many requests of the app are in flight";
    /// The address caused too many refusals, or asked too much.
    PeerLimited "peer-limited" TOO_MANY_REQUESTS Caller "This address has to wait";
    /// We failed.
    InternalError "internal-error" INTERNAL_SERVER_ERROR Gateway "The gateway failed at this request";
    /// No server of the upstream can be reached.
    UpstreamUnreachable "upstream-unreachable" BAD_GATEWAY Upstream "The upstream cannot be reached";
    /// The upstream's answer is no valid HTTP, or its connection ended before there was one.
    UpstreamInvalid "upstream-invalid" BAD_GATEWAY Upstream "The upstream's answer is not valid";
    /// As much is under way as may be.
    Overloaded "overloaded" SERVICE_UNAVAILABLE Gateway "The gateway has too much to do now";
    /// What must be written cannot be written.
    StoreUnavailable "store-unavailable" SERVICE_UNAVAILABLE Gateway "The gateway cannot remember this request";
    /// There is no room to remember the proof.
    ReplayStoreFull "replay-store-full" SERVICE_UNAVAILABLE Gateway "The gateway cannot remember more requests now";
    /// The upstream did not answer in time.
    UpstreamTimeout "upstream-timeout" GATEWAY_TIMEOUT Upstream "The upstream did not answer in time";
}

impl Refusal {
    /// Its row in the table.
    pub const fn code(&self) -> Code {
        match self {
            Self::Wire(Fault::Malformed(_)) => Code::MalformedRequest,
            Self::Wire(Fault::HeadTooLarge) => Code::HeadersTooLarge,
            Self::Wire(Fault::TargetTooLong) => Code::UriTooLong,
            Self::Wire(Fault::HeadTimeout) => Code::RequestTimeout,
            Self::Head(malformed) => match malformed {
                Malformed::Path(_) => Code::AmbiguousPath,
                Malformed::TargetTooLong(_) => Code::UriTooLong,
                Malformed::HeadTooLarge => Code::HeadersTooLarge,
                Malformed::Expectation => Code::ExpectationFailed,
                _ => Code::MalformedRequest,
            },
            Self::Route(NoRoute::NotFound) => Code::NoRoute,
            Self::Route(NoRoute::MethodNotAllowed(_)) => Code::MethodNotAllowed,
            Self::Route(NoRoute::Ambiguous(_)) => Code::AmbiguousPath,
            Self::Peer(_) => Code::PeerLimited,
            Self::Credential(refused) => credential::code(refused),
            Self::Replay(refused) => match refused {
                replay::Refused::Replayed | replay::Refused::MaybeReplayed => Code::Replayed,
                replay::Refused::Full | replay::Refused::Crowded { .. } => Code::ReplayStoreFull,
                replay::Refused::Unavailable => Code::StoreUnavailable,
            },
            Self::Origin => Code::OriginNotAllowed,
            Self::Denied(authorize::Refused::ScopeMissing(_)) => Code::ScopeMissing,
            Self::Denied(_) => Code::AssuranceTooLow,
            Self::Limit(limit::Refused::Rate { .. }) => Code::RateExceeded,
            Self::Limit(limit::Refused::Concurrency { .. }) => Code::ConcurrencyExceeded,
            Self::Tunnels | Self::Overloaded(_) => Code::Overloaded,
            Self::Mint(no) => minting::code(no),
            Self::Internal => Code::InternalError,
            Self::Forward(failed) => match failed {
                Failed::Unreachable(_) => Code::UpstreamUnreachable,
                Failed::Timeout { .. } => Code::UpstreamTimeout,
                Failed::Invalid(_) | Failed::Broke(_) => Code::UpstreamInvalid,
                Failed::Overloaded(_) => Code::Overloaded,
                Failed::Body(body) => match body {
                    BodyError::TooLarge { .. } | BodyError::NotHeld { .. } => Code::BodyTooLarge,
                    BodyError::Chunks(BadChunks::Framing(_))
                    | BodyError::BrokeOff(_)
                    | BodyError::Form(_) => Code::MalformedRequest,
                    BodyError::Mismatch(_) | BodyError::Chunks(_) => Code::DigestMismatch,
                    BodyError::NoRoom => Code::Overloaded,
                    BodyError::Timeout => Code::RequestTimeout,
                    BodyError::Spill(_) => Code::StoreUnavailable,
                },
            },
        }
    }

    /// Who has caused it.
    pub const fn blame(&self) -> Blame {
        match self {
            // Of a body that is read before its proof: nobody is proven by it.
            Self::Forward(Failed::Body(BodyError::NotHeld { .. })) => Blame::Stranger,
            _ => self.code().blame(),
        }
    }

    /// Whether the body did not come to its end.
    pub const fn is_of_an_unfinished_body(&self) -> bool {
        matches!(
            self,
            Self::Forward(Failed::Body(BodyError::BrokeOff(_) | BodyError::Timeout))
        )
    }

    /// When to come again, for `Retry-After`.
    pub fn retry_after(&self) -> Option<Duration> {
        const LATER: Duration = Duration::from_secs(1);
        match self {
            Self::Mint(no) => minting::retry_after(no),
            Self::Peer(refused) => Some(refused.wait()),
            Self::Limit(limit::Refused::Rate { retry_after, .. }) => Some(*retry_after),
            Self::Tunnels
            | Self::Limit(limit::Refused::Concurrency { .. })
            | Self::Forward(
                Failed::Overloaded(_) | Failed::Body(BodyError::NoRoom | BodyError::Spill(_)),
            )
            | Self::Overloaded(_)
            | Self::Replay(replay::Refused::Unavailable) => Some(LATER),
            Self::Replay(refused) => until_remembered(*refused),
            _ => None,
        }
    }

    /// What the caller is told: enough for an honest one to mend it, nothing for a guesser.
    pub fn detail(&self) -> String {
        match self {
            Self::Wire(Fault::Malformed(what)) => (*what).to_owned(),
            Self::Wire(Fault::HeadTooLarge) => Malformed::HeadTooLarge.to_string(),
            Self::Wire(Fault::TargetTooLong) => format!(
                "The target is longer than {} bytes.",
                schemes::received::MAX_TARGET
            ),
            Self::Wire(Fault::HeadTimeout) => "The head of the request did not arrive in time.".to_owned(),
            Self::Head(malformed) => malformed.to_string(),
            Self::Route(NoRoute::NotFound) => "No route of this gateway answers for this host and path.".to_owned(),
            Self::Route(NoRoute::MethodNotAllowed(_)) => "`Allow` lists the methods this path takes.".to_owned(),
            Self::Route(NoRoute::Ambiguous(why)) => Malformed::Path(*why).to_string(),
            Self::Peer(limit::peer::Refused::Failures(_)) => "Too many requests from this address were refused; `Retry-After` tells when to come again.".to_owned(),
            Self::Peer(limit::peer::Refused::Requests(_)) => "Too much was asked from this address; `Retry-After` tells when to come again.".to_owned(),
            Self::Credential(refused) => credential::detail(refused),
            Self::Replay(replay::Refused::Replayed) => "This very proof was used before, perhaps by a try that did not arrive whole. Sign each request anew: with a fresh `nonce` or `jti` where the scheme has one, and else in another second.".to_owned(),
            Self::Replay(replay::Refused::MaybeReplayed) => "The proof was made before this gateway's memory of proofs begins, so that it may have been used. Sign the request anew.".to_owned(),
            Self::Replay(_) => "The request was not forwarded; try again later.".to_owned(),
            Self::Origin => "This route switches protocols for pages of some origins only (`cors`), and the page's `Origin` is none of them.".to_owned(),
            Self::Denied(refused) => credential::denied(refused),
            Self::Limit(limit::Refused::Rate { .. }) => "`RateLimit` tells how the app stands, `Retry-After` when to come again.".to_owned(),
            Self::Limit(limit::Refused::Concurrency { limit, .. }) => format!("At most {limit} requests of this app may be in flight; wait for one to end."),
            Self::Tunnels => "As many switched connections as may be are open; try again later.".to_owned(),
            Self::Overloaded(_) => "The request was not forwarded: too many are in flight. `Retry-After` tells when to come again; sign anew then.".to_owned(),
            Self::Mint(no) => minting::detail(no),
            Self::Internal => "Something broke in the gateway while it answered this request; it may have reached the server behind it.".to_owned(),
            Self::Forward(failed) => match failed {
                Failed::Body(BodyError::Mismatch(_)) => "The body does not match its digest: it was changed on its way, or the digest is of other bytes.".to_owned(),
                Failed::Body(BodyError::TooLarge { limit }) => format!("This route takes bodies of at most {limit} bytes."),
                Failed::Body(BodyError::NotHeld { limit }) => format!("The body has to be read before its proof can be checked, and at most {limit} bytes are read for that: send less. A signature of AWS's is checked without the body where `X-Amz-Content-Sha256` tells its hash."),
                Failed::Body(BodyError::Form(bad)) => format!("The form cannot be forwarded: {bad}."),
                Failed::Body(BodyError::Chunks(bad)) => format!("Of a body in pieces: {bad}."),
                Failed::Body(BodyError::NoRoom) => "The body has to be read before its proof can be checked, and there is no room for it. Come again later. A signature of AWS's is checked without the body where `X-Amz-Content-Sha256` tells its hash.".to_owned(),
                Failed::Body(BodyError::Timeout) => "The body did not arrive in time.".to_owned(),
                // Of its framing and its connection: nobody else has a word in it.
                Failed::Body(BodyError::BrokeOff(why)) => format!("The body cannot be read to its end: {why}."),
                Failed::Body(BodyError::Spill(_)) => "The request was not forwarded; try again later.".to_owned(),
                Failed::Overloaded(_) => "The request was not forwarded; `Retry-After` tells when to come again.".to_owned(),
                // What a backend does is not a caller's business: the record has it.
                _ => "The request passed the gateway; the server behind it did not answer.".to_owned(),
            },
        }
    }

    /// The true reason, for the record.
    pub fn reason(&self) -> String {
        match self {
            Self::Credential(schemes::Refused::Rejected { why, .. }) => why.name().to_owned(),
            Self::Credential(schemes::Refused::Binding(Unbound::Nonce | Unbound::Challenge)) => {
                NONCE_MISSING.to_owned()
            }
            Self::Mint(mint::No::Rejected(why) | mint::No::Rate(why, _)) => why.name().to_owned(),
            Self::Forward(failed) => failed.to_string(),
            Self::Replay(refused) => refused.to_string(),
            Self::Overloaded(why) => why.to_string(),
            Self::Internal => "a panic: an event tells where".to_owned(),
            _ => self.detail(),
        }
    }

    /// The document for the caller.
    pub fn problem(&self, request_id: &str) -> Problem {
        let code = self.code();
        let mut problem = Problem {
            kind: format!("{DOCUMENTATION}#{}", code.word()),
            title: code.title(),
            status: code.status().as_u16(),
            code: code.word(),
            detail: self.detail(),
            request_id: request_id.to_owned(),
            server_time: None,
            credential_time: None,
            missing: None,
            error: None,
            signature_base: None,
            signature_base_matches: None,
            mistake: None,
            hint: None,
        };
        match self {
            Self::Credential(schemes::Refused::Skew { ours, theirs, .. }) => {
                problem.server_time = Some(*ours);
                problem.credential_time = Some(*theirs);
            }
            Self::Credential(
                schemes::Refused::Coverage(these) | schemes::Refused::NobodySigns(these),
            ) => problem.missing = Some(these.clone()),
            Self::Credential(schemes::Refused::Rejected {
                explained: Some(explained),
                ..
            }) => {
                problem.signature_base = Some(explained.base.to_string());
                problem.signature_base_matches = explained.same_text;
            }
            _ => {}
        }
        problem
    }
}

/// When there is room for a proof that cannot be remembered now; `None` where that is not why it is refused.
fn until_remembered(refused: replay::Refused) -> Option<Duration> {
    /// Proofs end one by one, minutes after they were used: who comes again each second only adds to the crowd.
    const FULL: Duration = Duration::from_secs(30);
    match refused {
        replay::Refused::Full => Some(FULL),
        replay::Refused::Crowded { seconds } => Some(Duration::from_secs(seconds.into())),
        _ => None,
    }
}

impl From<forward::body::BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        Self::Forward(Failed::Body(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apps::Scheme;
    use crate::route::{KeyPlaces, KeyWord};
    use http::header::{AUTHORIZATION, HeaderName};
    use std::sync::Arc;

    #[test]
    fn every_code_is_one_of_a_kind_and_its_status_is_an_error() {
        for (at, code) in Code::ALL.iter().enumerate() {
            assert!(code.status().is_client_error() || code.status().is_server_error());
            assert!(
                Code::ALL[at + 1..]
                    .iter()
                    .all(|other| other.word() != code.word())
            );
        }
    }

    #[test]
    fn every_code_is_documented_with_its_status() {
        let page = include_str!("../../docs/refusals.md");
        for code in Code::ALL {
            let (word, status) = (code.word(), code.status().as_u16());
            let row = format!("| {status} | <a id=\"{word}\"></a>`{word}` |");
            assert!(page.contains(&row), "{row}");
        }
        assert_eq!(page.matches("<a id=").count(), Code::ALL.len());
    }

    #[test]
    fn what_all_can_do_about_a_body_that_is_not_read_ahead_is_told_before_what_callers_of_aws_can()
    {
        for (why, all) in [
            (BodyError::NotHeld { limit: 7 }, "send less."),
            (BodyError::NoRoom, "Come again later."),
        ] {
            let told = Refusal::from(why).detail();
            // Senders of webhooks are told the same, and can do nothing of AWS's.
            let aws = format!("{all} A signature of AWS's is checked without");
            assert!(told.contains(&aws), "{told}");
        }
    }

    #[test]
    fn who_shows_nothing_is_told_what_the_route_takes_and_where() {
        let places = KeyPlaces {
            fields: vec![HeaderName::from_static("x-api-key")],
            authorization: vec![KeyWord::Basic],
            query: Some("key".into()),
            unread: false,
        };
        let detail = |schemes: &[Scheme], pair: bool, is_bound: bool| {
            let wanted = schemes::Wanted {
                schemes: schemes.iter().copied().collect(),
                pair,
                token_fields: vec![HeaderName::from_static("portcullis-token"), AUTHORIZATION],
                is_bound,
                key_places: Some(Arc::new(places.clone())),
            };
            Refusal::Credential(schemes::Refused::Nothing(Box::new(wanted))).detail()
        };
        assert_eq!(
            detail(&[Scheme::Token], false, false),
            "Send a token, in `Portcullis-Token` or `Authorization: Bearer`."
        );
        assert_eq!(
            detail(&[Scheme::Token], false, true),
            "Send a token, in `Portcullis-Token` or `Authorization: DPoP`, and its proof in `DPoP`."
        );
        assert_eq!(
            detail(&[Scheme::ApiKey], false, false),
            "Send a static key, in `X-Api-Key` or `Authorization: Basic` or `?key=`."
        );
        let both = detail(&[], true, false);
        assert!(both.contains("`Portcullis-Token`") && both.contains("`Signature-Input`"));
    }

    #[test]
    fn milliseconds_are_told_from_a_clock_that_is_wrong() {
        let detail = |theirs| {
            let (of, ours) = (schemes::Timed::Credential, 1_800_000_000);
            Refusal::Credential(schemes::Refused::Skew { of, ours, theirs }).detail()
        };
        assert!(detail(1_800_000_000_000).contains("milliseconds"));
        assert!(detail(1_800_003_600).contains("3600 s apart"));
    }

    #[test]
    fn a_guesser_cannot_tell_an_unknown_key_from_a_wrong_signature() {
        let answer = |why| {
            let refusal = Refusal::Credential(schemes::Refused::Rejected {
                why,
                explained: None,
            });
            serde_json::to_string(&refusal.problem("1")).unwrap()
        };
        let first = answer(schemes::Why::UnknownKey);
        for why in [
            schemes::Why::WrongSignature,
            schemes::Why::KeyNotActive,
            schemes::Why::KeyNotForScheme,
            schemes::Why::WrongAlgorithm,
        ] {
            assert_eq!(answer(why), first);
        }
    }
}
