//! A caller that signs after RFC 9421, written from the standard and without
//! a line of the library: a mistake would have to be made twice to stay hidden.

use super::pair::Pair;
use super::setup::{OTHER_SECRET, SECRET, SECRET_512};
use super::{Request, now};
use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256, Sha512};
use std::fmt::Write as _;

/// Who signs, and how.
#[derive(Clone, Debug)]
pub struct Caller {
    key_id: String,
    secret: Vec<u8>,
    sha512: bool,
    pair: Option<Pair>,
    label: String,
    created: Option<i64>,
    parameters: String,
    components: Option<Vec<String>>,
    values: Vec<(String, String)>,
    digest: bool,
    nameless: bool,
}

/// The caller that setups know: key `mobile-2026`, clock at [`now`].
pub fn caller() -> Caller {
    Caller::new("mobile-2026", SECRET)
}

impl Caller {
    /// A caller with a key for HMAC-SHA-256.
    pub fn new(key_id: &str, secret: &[u8]) -> Self {
        Self {
            key_id: key_id.into(),
            secret: secret.into(),
            sha512: false,
            pair: None,
            label: "sig".into(),
            created: Some(now()),
            parameters: String::new(),
            components: None,
            values: Vec::new(),
            digest: true,
            nameless: false,
        }
    }

    /// The caller with key `mobile-512`, for HMAC-SHA-512.
    pub fn sha512() -> Self {
        Self {
            sha512: true,
            ..Self::new("mobile-512", SECRET_512)
        }
    }

    /// The caller of the other app.
    pub fn other() -> Self {
        Self::new("other-2026", OTHER_SECRET)
    }

    /// Says another key's id.
    pub fn key_id(mut self, id: &str) -> Self {
        self.key_id = id.into();
        self
    }

    /// Signs with another secret.
    pub fn secret(mut self, secret: &[u8]) -> Self {
        self.secret = secret.into();
        self
    }

    /// Says no `keyid`.
    pub const fn without_key_id(mut self) -> Self {
        self.nameless = true;
        self
    }

    /// Signs with a key pair instead of a secret.
    pub fn pair(mut self, pair: Pair) -> Self {
        self.pair = Some(pair);
        self
    }

    /// Signs under another label.
    pub fn label(mut self, label: &str) -> Self {
        self.label = label.into();
        self
    }

    /// Signs at another time.
    pub const fn at(mut self, created: i64) -> Self {
        self.created = Some(created);
        self
    }

    /// Says no time.
    pub const fn without_created(mut self) -> Self {
        self.created = None;
        self
    }

    /// Signs with a nonce.
    pub fn nonce(self, nonce: &str) -> Self {
        self.parameter(&format!("nonce=\"{nonce}\""))
    }

    /// Signs with a parameter more, as it stands behind the `;`.
    pub fn parameter(mut self, text: &str) -> Self {
        let _ = write!(self.parameters, ";{text}");
        self
    }

    /// Covers these components and no others, named as in `Signature-Input`; quotes are added to a bare name.
    pub fn covering(mut self, components: &[&str]) -> Self {
        self.components = Some(
            components
                .iter()
                .map(|name| {
                    if name.starts_with('"') {
                        (*name).to_owned()
                    } else {
                        format!("\"{name}\"")
                    }
                })
                .collect(),
        );
        self
    }

    /// Covers one more, exactly as it stands.
    pub fn covering_also(mut self, component: &str) -> Self {
        self.components
            .get_or_insert_default()
            .push(component.into());
        self
    }

    /// Signs `value` for a component, whatever the request has.
    pub fn value(mut self, component: &str, value: &str) -> Self {
        self.values.push((component.into(), value.into()));
        self
    }

    /// Adds no `Content-Digest`.
    pub const fn without_digest(mut self) -> Self {
        self.digest = false;
        self
    }

    /// The request with its signature.
    pub fn sign(&self, request: &Request) -> Request {
        let mut request = request.clone();
        if self.digest
            && let Some(body) = &request.body
            && request.value("content-digest").is_none()
        {
            let digest = content_digest(body);
            request = request.field("Content-Digest", &digest);
        }
        let params = self.signature_params(&request);
        let mac = self.mac(self.base(&request).as_bytes());
        request
            .field("Signature-Input", &format!("{}={params}", self.label))
            .field(
                "Signature",
                &format!("{}=:{}:", self.label, BASE64.encode(&mac)),
            )
    }

    /// What is signed (section 2.5).
    pub fn base(&self, request: &Request) -> String {
        let mut base = String::new();
        for component in self.components(request) {
            let value = self
                .values
                .iter()
                .find(|(known, _)| *known == component)
                .map_or_else(|| component_value(request, &component), |(_, v)| v.clone());
            let _ = writeln!(base, "{component}: {value}");
        }
        let _ = write!(
            base,
            "\"@signature-params\": {}",
            self.signature_params(request)
        );
        base
    }

    /// The MAC of `text` under this caller's key, or the signature by its pair.
    pub fn mac(&self, text: &[u8]) -> Vec<u8> {
        if let Some(pair) = &self.pair {
            pair.sign(text)
        } else if self.sha512 {
            let mut mac = Hmac::<Sha512>::new_from_slice(&self.secret).unwrap();
            mac.update(text);
            mac.finalize().into_bytes().to_vec()
        } else {
            let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).unwrap();
            mac.update(text);
            mac.finalize().into_bytes().to_vec()
        }
    }

    /// Its key's id.
    pub fn id(&self) -> &str {
        &self.key_id
    }

    fn components(&self, request: &Request) -> Vec<String> {
        if let Some(components) = &self.components {
            return components.clone();
        }
        let mut names = vec!["@method", "@authority", "@path"];
        match request.query() {
            None => {}
            Some("") => names.push("@target-uri"),
            Some(_) => names.push("@query"),
        }
        for name in ["authorization", "content-digest"] {
            if request.value(name).is_some() {
                names.push(name);
            }
        }
        names.iter().map(|name| format!("\"{name}\"")).collect()
    }

    fn signature_params(&self, request: &Request) -> String {
        let mut params = format!("({})", self.components(request).join(" "));
        if let Some(created) = self.created {
            let _ = write!(params, ";created={created}");
        }
        if !self.nameless {
            let _ = write!(params, ";keyid=\"{}\"", self.key_id);
        }
        params.push_str(&self.parameters);
        params
    }
}

/// `Content-Digest` of a body, by SHA-256.
pub fn content_digest(body: &[u8]) -> String {
    format!("sha-256=:{}:", BASE64.encode(&Sha256::digest(body)))
}

/// A component's value (sections 2.1 and 2.2); those with parameters are the test's to tell.
fn component_value(request: &Request, component: &str) -> String {
    let name = component
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or_else(|| panic!("say the value of {component}"));
    match name {
        "@method" => request.method.clone(),
        "@authority" => request.authority.to_ascii_lowercase(),
        "@scheme" => request.scheme.into(),
        "@target-uri" => format!(
            "{}://{}{}",
            request.scheme, request.authority, request.target
        ),
        "@request-target" => request.target.clone(),
        "@path" => request.path().into(),
        "@query" => format!("?{}", request.query().unwrap_or_default()),
        "host" => request.authority.clone(),
        field => request
            .value(field)
            .unwrap_or_else(|| panic!("the request has no `{field}` to sign")),
    }
}
