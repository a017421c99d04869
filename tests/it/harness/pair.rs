//! Key pairs that sign by OpenSSL's own program: what the library signs and
//! verifies stands against another implementation.

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXUPPER};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A key pair for one algorithm.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The algorithm, as `gateway.toml` names it; also the id of its key.
    pub algorithm: &'static str,
    /// What a token calls the algorithm, if tokens are signed with it.
    pub jose: Option<&'static str>,
    private: PathBuf,
    /// Of PSS padding, as OpenSSL names it.
    salt: &'static str,
}

/// A pair for each algorithm that has pairs.
pub fn pairs() -> Vec<Pair> {
    [
        ("ed25519", Some("EdDSA"), "rfc9421/keys/test-key-ed25519"),
        (
            "ecdsa-p256-sha256",
            Some("ES256"),
            "rfc9421/keys/test-key-ecc-p256",
        ),
        ("ecdsa-p384-sha384", Some("ES384"), "openssl/p384"),
        ("rsa-pss-sha512", None, "rfc9421/keys/test-key-rsa"),
        ("rsa-pss-sha256", Some("PS256"), "rfc9421/keys/test-key-rsa"),
        (
            "rsa-v1_5-sha256",
            Some("RS256"),
            "rfc9421/keys/test-key-rsa",
        ),
    ]
    .map(|(algorithm, jose, file)| Pair {
        algorithm,
        jose,
        private: vectors().join(format!("{file}.pem")),
        salt: "digest",
    })
    .into()
}

fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/vectors")
}

impl Pair {
    /// The pair of that algorithm.
    pub fn of(algorithm: &str) -> Self {
        let mut all = pairs().into_iter();
        all.find(|pair| pair.algorithm == algorithm).unwrap()
    }

    /// Whether requests are signed with it.
    pub fn signs_requests(&self) -> bool {
        self.algorithm != "rsa-pss-sha256"
    }

    /// Another pair for the same algorithm, made in `folder`.
    pub fn stranger(&self, folder: &Path) -> Self {
        let private = folder.join(format!("stranger-{}.pem", self.algorithm));
        let kind: &[&str] = match self.algorithm {
            "ed25519" => &["-algorithm", "ed25519"],
            "ecdsa-p256-sha256" => &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
            "ecdsa-p384-sha384" => &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
            _ => &["-algorithm", "RSA"],
        };
        let made = Command::new("openssl")
            .arg("genpkey")
            .args(kind)
            .arg("-out")
            .arg(&private)
            .output()
            .expect("openssl is needed");
        assert!(made.status.success(), "{made:?}");
        Self {
            private,
            ..self.clone()
        }
    }

    /// Signs with the longest salt that fits.
    pub const fn longest_salt(mut self) -> Self {
        self.salt = "max";
        self
    }

    /// The file of the private key.
    pub fn private(&self) -> &Path {
        &self.private
    }

    /// The public key in PEM.
    pub fn public_pem(&self) -> String {
        let printed = Command::new("openssl")
            .args(["pkey", "-pubout", "-in"])
            .arg(&self.private)
            .output()
            .expect("openssl is needed");
        assert!(printed.status.success(), "{printed:?}");
        String::from_utf8(printed.stdout).unwrap()
    }

    /// The public key as a JWK of this name.
    pub fn jwk(&self, name: &str) -> Value {
        let pem = self.public_pem();
        let lines = pem.lines().filter(|line| !line.starts_with('-'));
        let der = BASE64.decode(lines.collect::<String>().as_bytes()).unwrap();
        let end = |bytes: usize| BASE64URL_NOPAD.encode(&der[der.len() - bytes..]);
        let half = |size: usize, from_end: usize| {
            let start = der.len() - from_end * size;
            BASE64URL_NOPAD.encode(&der[start..start + size])
        };
        let mut jwk = match self.algorithm {
            "ed25519" => json!({ "kty": "OKP", "crv": "Ed25519", "x": end(32) }),
            "ecdsa-p256-sha256" => {
                json!({ "kty": "EC", "crv": "P-256", "x": half(32, 2), "y": half(32, 1) })
            }
            "ecdsa-p384-sha384" => {
                json!({ "kty": "EC", "crv": "P-384", "x": half(48, 2), "y": half(48, 1) })
            }
            _ => json!({ "kty": "RSA", "n": self.modulus(), "e": "AQAB" }),
        };
        jwk["kid"] = name.into();
        jwk["alg"] = self.jose.into();
        jwk["use"] = "sig".into();
        jwk
    }

    fn modulus(&self) -> String {
        let printed = Command::new("openssl")
            .args(["rsa", "-noout", "-modulus", "-in"])
            .arg(&self.private)
            .output()
            .expect("openssl is needed");
        let text = String::from_utf8(printed.stdout).unwrap();
        let digits = text.trim().strip_prefix("Modulus=").unwrap();
        BASE64URL_NOPAD.encode(&HEXUPPER.decode(digits.as_bytes()).unwrap())
    }

    /// A signature of `text`.
    pub fn sign(&self, text: &[u8]) -> Vec<u8> {
        let made = self.sign_der(text);
        match self.algorithm {
            "ecdsa-p256-sha256" => raw(&made, 32),
            "ecdsa-p384-sha384" => raw(&made, 48),
            _ => made,
        }
    }

    /// A signature of `text`, where it is one of ECDSA in the form that OpenSSL gives it.
    pub fn sign_der(&self, text: &[u8]) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let input = folder.path().join("text");
        fs::write(&input, text).unwrap();
        let padding = format!("rsa_pss_saltlen:{}", self.salt);
        let mut command = Command::new("openssl");
        match self.algorithm {
            "ed25519" => command.args(["pkeyutl", "-sign", "-rawin", "-inkey"]),
            "ecdsa-p384-sha384" => command.args(["dgst", "-sha384", "-sign"]),
            "rsa-pss-sha512" => command.args(["dgst", "-sha512", "-sign"]),
            _ => command.args(["dgst", "-sha256", "-sign"]),
        };
        command.arg(&self.private);
        if self.algorithm.starts_with("rsa-pss") {
            command.args(["-sigopt", "rsa_padding_mode:pss", "-sigopt", &padding]);
        }
        if self.algorithm == "ed25519" {
            command.arg("-in");
        }
        let made = command.arg(&input).output().expect("openssl is needed");
        assert!(made.status.success(), "{made:?}");
        made.stdout
    }
}

/// Both numbers of a DER signature side by side, as RFC 9421 and RFC 7518 have them.
fn raw(der: &[u8], size: usize) -> Vec<u8> {
    let mut out = vec![0; 2 * size];
    let mut rest = &der[2..];
    for half in out.chunks_mut(size) {
        let (number, behind) = rest[2..].split_at(usize::from(rest[1]));
        let number = &number[number.len().saturating_sub(size)..];
        half[size - number.len()..].copy_from_slice(number);
        rest = behind;
    }
    out
}
