//! For those who call as AWS's clients do.

use super::{SignError, ascii, received, target_of, with_host};
use crate::clock::Clock;
use crate::crypto::digest::sha256;
use crate::crypto::{Algorithm, BadKey, HmacKey};
use crate::schemes::aws_sigv4::sign::{
    CannotSign, MAX_PRESIGNED, Parameters, presign, presigned_query, sign,
};
use crate::schemes::aws_sigv4::{EMPTY_SHA256, UNSIGNED_PAYLOAD, X_AMZ_CONTENT_SHA256, X_AMZ_DATE};
use crate::schemes::date;
use crate::secret::Secret;
use data_encoding::HEXLOWER;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use std::time::Duration;

/// Fields that something between signer and gateway sets, changes or takes off.
const UNSIGNED: [&str; 8] = [
    "connection",
    "content-length",
    "expect",
    "keep-alive",
    "te",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];

/// Signs requests with one key, for one region and service (AWS Signature Version 4).
#[derive(Clone, Debug)]
pub struct AwsSigner {
    key_id: String,
    key: HmacKey,
    region: String,
    service: String,
    clock: Clock,
}

/// What to add to a request, and the text that was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsSigned {
    /// The fields, in the order to send them.
    pub fields: Vec<(HeaderName, HeaderValue)>,
    /// The canonical request.
    pub text: String,
}

/// A presigned URL, and the text that was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsPresigned {
    /// The URL: whoever has it may use it, until its life is over.
    pub uri: Uri,
    /// The canonical request.
    pub text: String,
}

/// Why a request cannot be signed.
pub type AwsSignError = SignError<CannotSign>;

impl AwsSigner {
    /// A signer for `region` and `service`: whatever names the gateway takes.
    ///
    /// # Errors
    /// [`BadKey`], such as when the secret has fewer than 8 bytes.
    pub fn new(key_id: &str, secret: &Secret, region: &str, service: &str) -> Result<Self, BadKey> {
        Ok(Self {
            key_id: key_id.to_owned(),
            key: HmacKey::weak(Algorithm::HmacSha256, secret)?,
            region: region.to_owned(),
            service: service.to_owned(),
            clock: Clock::system(),
        })
    }

    /// Takes the time from `clock`.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// What to add to a request of these fields and this body, empty for none.
    /// All of its fields are signed but those that belong to a connection. An
    /// `X-Amz-Content-Sha256` that is there already is signed as it stands.
    ///
    /// # Errors
    /// [`AwsSignError`].
    pub fn sign(
        &self,
        method: &Method,
        uri: &Uri,
        fields: &HeaderMap,
        body: &[u8],
    ) -> Result<AwsSigned, AwsSignError> {
        if fields.contains_key(AUTHORIZATION) {
            return Err(SignError::CannotSign(CannotSign::Taken));
        }
        let now = self.clock.now().unix_seconds();
        let mut all = with_host(fields, uri)?;
        let mut added = Vec::with_capacity(3);
        let hash = HEXLOWER.encode(&sha256(&[body]));
        for (name, value) in [
            (X_AMZ_DATE, date::write_basic(now)),
            (X_AMZ_CONTENT_SHA256, hash),
        ] {
            if name == X_AMZ_DATE || !all.contains_key(&name) {
                all.insert(name.clone(), ascii(&value));
                added.push((name, ascii(&value)));
            }
        }
        let payload = all.get(X_AMZ_CONTENT_SHA256).cloned();
        let payload = payload.as_ref().and_then(|value| value.to_str().ok());
        let signed = names(&all);
        let parameters = self.parameters(now, &signed, payload.unwrap_or(UNSIGNED_PAYLOAD));
        let has_body = !body.is_empty();
        let made = received(method, uri, &target_of(uri), &all, has_body, |received| {
            sign(received, &parameters, &self.key)
        })?;
        added.push((AUTHORIZATION, ascii(&made.value)));
        Ok(AwsSigned {
            fields: added,
            text: made.text,
        })
    }

    /// A URL that holds the proof of a request of this method, of these fields, and
    /// of this body, empty for none; for the service `s3` it leaves an empty body open.
    ///
    /// # Errors
    /// [`AwsSignError`].
    pub fn presign(
        &self,
        method: &Method,
        uri: &Uri,
        fields: &HeaderMap,
        body: &[u8],
        life: Duration,
    ) -> Result<AwsPresigned, AwsSignError> {
        if life < Duration::from_secs(1) || life > MAX_PRESIGNED {
            return Err(SignError::CannotSign(CannotSign::Life));
        }
        let seconds = life.as_secs() as u32;
        let now = self.clock.now().unix_seconds();
        let all = with_host(fields, uri)?;
        let signed = names(&all);
        let hash = HEXLOWER.encode(&sha256(&[body]));
        let payload = match body {
            [] if self.service == "s3" => UNSIGNED_PAYLOAD,
            [] => EMPTY_SHA256,
            _ => &hash,
        };
        let parameters = self.parameters(now, &signed, payload);
        let more = presigned_query(&parameters, seconds);
        let target = match uri.query() {
            None | Some("") => format!("{}?{more}", uri.path()),
            Some(query) => format!("{}?{query}&{more}", uri.path()),
        };
        let made = received(method, uri, &target, &all, !body.is_empty(), |received| {
            presign(received, &parameters, &self.key)
        })?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(AwsSignError::NotAbsolute);
        };
        let whole = format!(
            "{scheme}://{authority}{target}&X-Amz-Signature={}",
            made.value
        );
        Ok(AwsPresigned {
            uri: whole.parse().map_err(|_| AwsSignError::NotAbsolute)?,
            text: made.text,
        })
    }

    fn parameters<'a>(&'a self, time: i64, signed: &'a str, payload: &'a str) -> Parameters<'a> {
        Parameters {
            key_id: &self.key_id,
            region: &self.region,
            service: &self.service,
            time,
            signed,
            payload,
        }
    }
}

/// The names of the fields to sign, in order.
fn names(all: &HeaderMap) -> String {
    let names = all.keys().map(HeaderName::as_str);
    let mut names: Vec<&str> = names.filter(|name| !UNSIGNED.contains(name)).collect();
    names.sort_unstable();
    names.join(";")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer(service: &str) -> AwsSigner {
        let secret = Secret::new(b"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_vec());
        AwsSigner::new("AKIDEXAMPLE", &secret, "us-east-1", service)
            .unwrap()
            .clock(Clock::by_hand(1_440_938_160).0)
    }

    #[test]
    fn all_fields_are_signed_but_those_of_a_connection() {
        let mut fields = HeaderMap::new();
        fields.insert("x-b", HeaderValue::from_static("2"));
        fields.insert("user-agent", HeaderValue::from_static("x"));
        let uri = "https://example.amazonaws.com/a%20b?b=2&a=1"
            .parse()
            .unwrap();
        let signed = signer("service")
            .sign(&Method::POST, &uri, &fields, b"{}")
            .unwrap();
        let text = "POST\n/a%2520b\na=1&b=2\nhost:example.amazonaws.com\nx-amz-content-sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a\nx-amz-date:20150830T123600Z\nx-b:2\n\nhost;x-amz-content-sha256;x-amz-date;x-b\n44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
        assert_eq!(signed.text, text);
        let value = signed.fields.last().unwrap().1.to_str().unwrap();
        assert!(value.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-b, Signature="));
    }

    #[test]
    fn cookies_in_several_lines_are_signed_as_the_one_that_is_forwarded() {
        let mut fields = HeaderMap::new();
        for (name, value) in [
            ("cookie", "a=1"),
            ("cookie", "b=2"),
            ("x-list", "1"),
            ("x-list", "2"),
        ] {
            fields.append(name, HeaderValue::from_static(value));
        }
        let uri = "https://example.amazonaws.com/".parse().unwrap();
        let signed = signer("service")
            .sign(&Method::GET, &uri, &fields, b"")
            .unwrap();
        assert!(
            signed.text.contains("\ncookie:a=1; b=2\nhost:"),
            "{}",
            signed.text
        );
        assert!(signed.text.contains("\nx-list:1,2\n"), "{}", signed.text);
    }

    #[test]
    fn a_presigned_url_of_s3_leaves_the_body_open_and_its_path_as_it_is() {
        let uri = "https://example.amazonaws.com/a%20b".parse().unwrap();
        let fields = HeaderMap::new();
        let presign = |service: &str, life| {
            let life = Duration::from_secs(life);
            signer(service).presign(&Method::GET, &uri, &fields, b"", life)
        };
        let made = presign("s3", 60).unwrap();
        assert!(made.text.starts_with("GET\n/a%20b\nX-Amz-Algorithm="));
        assert!(made.text.ends_with("\nhost\nUNSIGNED-PAYLOAD"));
        assert!(made.uri.query().unwrap().contains("&X-Amz-Expires=60&"));
        for life in [0, 7 * 24 * 3600 + 1] {
            assert_eq!(
                presign("s3", life),
                Err(SignError::CannotSign(CannotSign::Life))
            );
        }
    }
}
