//! The proof that the command line asks for: a signature or a token.

mod api_key;
mod aws_sigv4;
mod dpop;
mod hmac_auth;
mod keys;
mod token;
mod webhook;

pub(super) use hmac_auth::DialectName;
pub(super) use keys::Keys;
pub(super) use webhook::{SenderName, key_bytes, secret_of};

use super::key::{KeyArgs, NamedKey};
use super::message::Message;
use super::moment::unix_seconds;
use super::stop::Stop;
use crate::client::{SignError, Signer};
use crate::clock::Clock;
use crate::config::ITS_K;
use crate::config::period;
use crate::crypto::BadKey;
use crate::schemes::aws_sigv4::X_AMZ_CONTENT_SHA256;
use crate::schemes::digest::{CONTENT_DIGEST, Digests};
use crate::schemes::explained::{SIGNATURE_BASE_DIGEST, digest_field};
use crate::schemes::hmac_auth::digest::DIGEST;
use crate::schemes::http_signature::sign::CannotSign;
use crate::schemes::http_signature::{SIGNATURE, SIGNATURE_INPUT};
use anyhow::Result;
use clap::{Args, ValueEnum};
use data_encoding::{BASE64, HEXLOWER};
use http::{HeaderName, HeaderValue, Uri};
use std::time::Duration;

/// How to prove the request.
#[derive(Args, Clone)]
pub(super) struct ProofArgs {
    #[command(flatten)]
    pub(super) key: KeyArgs,
    /// The way to prove the request
    #[arg(
        long,
        value_name = "NAME",
        default_value = "http-signature",
        help_heading = "Proof"
    )]
    scheme: SchemeName,
    /// Cover one component more: `x-request-id`, or `"priority";sf`; may be given again
    #[arg(long, value_name = "COMPONENT", help_heading = "Signature")]
    cover: Vec<String>,
    /// Send no nonce: a GET may then pass more than once
    #[arg(long, help_heading = "Signature")]
    no_nonce: bool,
    /// Say when the signature ends: so long after it is made
    #[arg(long, value_name = "DURATION", value_parser = period, help_heading = "Signature")]
    expires: Option<Duration>,
    /// Claim another time than now, in Unix seconds: for experiments, since a gateway refuses what is too old
    #[arg(long, value_name = "UNIX", value_parser = unix_seconds, help_heading = "Proof")]
    created: Option<u64>,
    /// The label that joins the two fields [default: sig1]
    #[arg(long, value_name = "NAME", help_heading = "Signature")]
    label: Option<String>,
    /// What the signature is for
    #[arg(long, value_name = "TEXT", help_heading = "Signature")]
    tag: Option<String>,
    #[command(flatten)]
    token: token::TokenArgs,
    #[command(flatten)]
    hmac: hmac_auth::HmacArgs,
    #[command(flatten)]
    static_key: api_key::ApiKeyArgs,
    #[command(flatten)]
    aws: aws_sigv4::AwsArgs,
    #[command(flatten)]
    webhook: webhook::WebhookArgs,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SchemeName {
    /// HTTP Message Signatures, RFC 9421: signs this very request
    HttpSignature,
    /// AWS Signature Version 4; see `--region`, `--service` and `--presign`
    AwsSigv4,
    /// Signed as for another gateway: Kong, Apache APISIX, or after draft-cavage-12; see `--dialect`
    HmacAuth,
    /// A short-lived JWT in `Portcullis-Token` or where `--token-place` says
    Token,
    /// A static key as it stands, in `X-Api-Key` or where `--key-place` says; `--key-id` is not needed
    ApiKey,
    /// A webhook as its sender signs it; see `--sender`. `--key-id` is not needed
    Webhook,
}

/// What to add to a request, and the text that was signed. Does not print.
#[derive(Clone, Default)]
pub(super) struct Proof {
    /// The fields, in the order to send them.
    pub(super) fields: Vec<(HeaderName, String)>,
    /// The signature base; none for a token.
    pub(super) base: Option<String>,
    /// Where to send it, where that holds the proof.
    pub(super) uri: Option<Uri>,
}

impl Proof {
    /// Fields, and the text that was signed for them.
    fn of(fields: &[(HeaderName, HeaderValue)], base: Option<String>) -> Self {
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into();
        Self {
            fields: { fields.iter() }
                .map(|(name, value)| (name.clone(), text(value)))
                .collect(),
            base,
            uri: None,
        }
    }

    /// `Signature-Base-Digest`, by which a gateway can tell whether key or text is wrong.
    pub(super) fn base_digest(&self) -> Option<(HeaderName, String)> {
        let base = self.base.as_ref()?;
        Some((SIGNATURE_BASE_DIGEST, digest_field(base.as_bytes())))
    }
}

impl ProofArgs {
    /// Proves `message`.
    pub(super) fn prove(&self, message: &Message, clock: Clock) -> Result<Proof> {
        self.prove_with(&self.keys()?, message, clock)
    }

    /// Whether the nonce of a proof beside a token is named, and so is to be just this one.
    pub(super) const fn names_nonce(&self) -> bool {
        self.token.names_nonce()
    }

    /// Proves `message` with keys that were read before.
    pub(super) fn prove_with(&self, keys: &Keys, message: &Message, clock: Clock) -> Result<Proof> {
        let key = &keys.named;
        let clock = match self.created {
            Some(unix) => Clock::by_hand(unix).0,
            None => clock,
        };
        match self.scheme {
            SchemeName::HttpSignature => self.signature(key, message, clock),
            SchemeName::AwsSigv4 => self.aws.prove(key, message, clock),
            SchemeName::HmacAuth => self.hmac.prove(key, message, &self.cover, clock),
            SchemeName::Token => self.token.prove(keys, message, clock),
            SchemeName::ApiKey => self.static_key.prove(&key.written),
            SchemeName::Webhook => self.webhook.prove(key, message, clock),
        }
    }

    /// Proves a request that is never sent, to learn what is wrong with key and options.
    pub(super) fn try_out(&self, keys: &Keys, message: &Message) -> Result<()> {
        if self.scheme == SchemeName::Webhook {
            return Err(Stop::usage(
                "a webhook is signed over its body, which goes on here as it comes",
            )
            .hint("`portcullis request --scheme webhook` signs one and sends it")
            .into());
        }
        // What is covered or bound to, a real request has.
        let bare = Self {
            cover: Vec::new(),
            token: self.token.unbound(),
            ..self.clone()
        };
        let proof = bare.prove_with(keys, message, Clock::system())?;
        if proof.uri.is_some() {
            return Err(
                Stop::usage("`--presign` makes a URL, and each request has its own").into(),
            );
        }
        Ok(())
    }

    /// The field that tells the body's digest, where the scheme covers one.
    pub(super) fn digest_field(&self, sha256: &[u8]) -> Option<(HeaderName, String)> {
        let text = BASE64.encode(sha256);
        match self.scheme {
            SchemeName::HttpSignature => Some((CONTENT_DIGEST, format!("sha-256=:{text}:"))),
            SchemeName::AwsSigv4 => Some((X_AMZ_CONTENT_SHA256, HEXLOWER.encode(sha256))),
            SchemeName::HmacAuth => Some((DIGEST, format!("SHA-256={text}"))),
            SchemeName::Token | SchemeName::ApiKey | SchemeName::Webhook => None,
        }
    }

    /// An option of the other scheme would do nothing: say so instead.
    fn refuse_strays(&self) -> Result<()> {
        let of_signature = [
            ("--cover", !self.cover.is_empty()),
            ("--no-nonce", self.no_nonce),
            ("--expires", self.expires.is_some()),
            ("--label", self.label.is_some()),
            ("--tag", self.tag.is_some()),
        ];
        let of_hmac = [("--dialect", self.hmac.is_given())];
        let of_key = [("--key-place", self.static_key.is_given())];
        let of_token = self.token.given();
        let of_aws = self.aws.given();
        let of_webhook = self.webhook.given();
        let (of_both, of_one_signature) = of_signature.split_at(1);
        let (token, hmac) = ((&of_token[..], "token"), (&of_hmac[..], "hmac-auth"));
        let aws = (&of_aws[..], "aws-sigv4");
        let key = (&of_key[..], "api-key");
        let hook = (&of_webhook[..], "webhook");
        let of_time = [("--created", self.created.is_some())];
        let time = (&of_time[..], "http-signature");
        let one = (of_one_signature, "http-signature");
        let both = (of_both, "http-signature");
        let strays = match self.scheme {
            SchemeName::HttpSignature => vec![token, hmac, aws, key, hook],
            SchemeName::AwsSigv4 => vec![token, hmac, both, one, key, hook],
            SchemeName::HmacAuth => vec![token, one, aws, key, hook],
            SchemeName::Token => vec![both, one, hmac, aws, key, hook],
            SchemeName::ApiKey => vec![token, both, one, hmac, aws, hook, time],
            SchemeName::Webhook => vec![token, both, one, hmac, aws, key],
        };
        let strays = strays
            .iter()
            .flat_map(|(options, scheme)| options.iter().map(move |one| (one, *scheme)));
        match strays.into_iter().find(|((_, given), _)| *given) {
            Some(((option, _), scheme)) => {
                Err(Stop::usage(format!("`{option}` belongs to `--scheme {scheme}`")).into())
            }
            None => Ok(()),
        }
    }

    fn signature(&self, key: &NamedKey, message: &Message, clock: Clock) -> Result<Proof> {
        let mut signer = Signer::new(&key.id, key.algorithm, &key.secret)
            .map_err(bad_key)?
            .clock(clock);
        for component in &self.cover {
            signer = signer.cover(component);
        }
        if self.no_nonce {
            signer = signer.reusable();
        }
        if let Some(expires) = self.expires {
            signer = signer.lifetime(expires);
        }
        if let Some(label) = &self.label {
            signer = signer.label(label);
        }
        if let Some(tag) = &self.tag {
            signer = signer.tag(tag);
        }
        sign(&signer, message)
    }
}

/// Signs `message` with `signer`.
pub(super) fn sign(signer: &Signer, message: &Message) -> Result<Proof> {
    let mut fields = message.fields.clone();
    // A digest that the caller wrote is taken as it is, be it wrong: that is an experiment.
    let given = fields.contains_key(CONTENT_DIGEST);
    let digest = (!message.body.is_empty() && !given).then(|| Digests::field_of(&message.body));
    let made = signer
        .sign_head(
            &message.method,
            &message.uri,
            &mut fields,
            digest.as_deref(),
        )
        .map_err(|why| {
            cannot_sign(&why, |why| match why {
                CannotSign::Absent(component) => Some(format!(
                    "add the header that `--cover {component}` names with `-H`, or leave it out"
                )),
                CannotSign::Unreadable(_) => None,
            })
        })?;
    let mut added = Vec::with_capacity(3);
    added.extend(digest.map(|digest| (CONTENT_DIGEST, digest)));
    added.push((SIGNATURE_INPUT, made.input));
    added.push((SIGNATURE, made.signature));
    Ok(Proof {
        fields: added,
        base: Some(made.base),
        uri: None,
    })
}

/// What is wrong with a key, and what to do about it.
pub(super) fn bad_key(bad: BadKey) -> Stop {
    let stop = Stop::usage(bad.to_string());
    match bad {
        BadKey::Weak(_) => {
            stop.hint("`openssl rand -base64 32` makes a good one; write it as `base64:…`")
        }
        BadKey::SecretAsJwk(_) => stop.hint(ITS_K),
        BadKey::KeyAsSecret { .. } => stop.hint("name what it is for with `--algorithm`"),
        BadKey::Unreadable(_) => stop.hint("`openssl genpkey -algorithm ed25519` makes a good one"),
        _ => stop,
    }
}

fn cannot_sign<C: std::error::Error>(
    why: &SignError<C>,
    hint: impl Fn(&C) -> Option<String>,
) -> Stop {
    let stop = Stop::usage(format!("this request cannot be signed: {why}"));
    let hint = match why {
        SignError::CannotSign(why) => hint(why),
        SignError::Malformed(_) => Some(
            "a gateway refuses it before it looks at a signature; see `portcullis explain`"
                .to_owned(),
        ),
        SignError::NotAbsolute => None,
    };
    match hint {
        Some(hint) => stop.hint(hint),
        None => stop,
    }
}
