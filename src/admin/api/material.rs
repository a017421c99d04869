//! What a new key is made of: a secret of ours, or the public half of a pair.

use super::body::{Fields, Wrong};
use super::call::Call;
use super::values::{self, KeyKind};
use crate::apps::Scheme;
use crate::apps::made::{Kind, MasterKey, Material, Printed};
use crate::crypto::{Algorithm, BadKey, PrivateKey, PssSalt, PublicKey, generate};

/// What a body says a new key is to be.
pub(super) struct Asked {
    pub(super) algorithm: Option<Algorithm>,
    pub(super) public_key: Option<String>,
    pub(super) any_salt: bool,
}

impl Asked {
    pub(super) fn of(body: &mut Fields) -> Self {
        Self {
            algorithm: body.optional("algorithm", values::algorithm),
            public_key: body.optional("public_key", values::public_key),
            any_salt: body.optional("any_salt", values::flag).unwrap_or_default(),
        }
    }

    /// The key itself, and its text where we make it. On a dry run it is made too, and forgotten.
    pub(super) fn material(
        &self,
        kind: KeyKind,
        id: &str,
        call: &Call<'_>,
        body: &mut Fields,
    ) -> (Option<Material>, Option<Printed>) {
        let Some(master) = call.desk.master() else {
            return (None, None);
        };
        if kind != KeyKind::Public && self.public_key.is_some() {
            let wrong = Wrong::new("this kind of key has none", "nothing");
            body.fault("public_key", wrong);
        }
        match kind {
            KeyKind::Public => (self.public(body), None),
            KeyKind::Pair => (self.pair(id, master, body), None),
            KeyKind::Static => {
                if self.algorithm.is_some() {
                    body.fault("algorithm", Wrong::new("a static key has none", "nothing"));
                }
                let printed = Printed::new(Kind::Static);
                let hash = master.hash_static(printed.expose().as_bytes());
                (Some(Material::Static { hash }), Some(printed))
            }
            KeyKind::Secret => {
                let algorithm = self.algorithm.unwrap_or(Algorithm::HmacSha256);
                if !matches!(algorithm, Algorithm::HmacSha256 | Algorithm::HmacSha512) {
                    let wrong = Wrong::new(
                        format!("`{}` is not for a secret", algorithm.name()),
                        "`\"hmac-sha256\"`, `\"hmac-sha512\"`; or `public_key` beside it",
                    );
                    body.fault("algorithm", wrong);
                    return (None, None);
                }
                let printed = Printed::new(Kind::Secret);
                let sealed = master.seal(id, &printed.secret());
                (Some(Material::Secret { algorithm, sealed }), Some(printed))
            }
        }
    }

    /// A pair of ours: the private half is sealed, and leaves the gateway never.
    fn pair(&self, id: &str, master: &MasterKey, body: &mut Fields) -> Option<Material> {
        let algorithm = self.algorithm.unwrap_or(Algorithm::Ed25519);
        let private = generate(algorithm);
        let read = private.as_ref().map(|one| PrivateKey::read(algorithm, one));
        let (Some(private), Some(Ok(read))) = (private, read) else {
            let wrong = Wrong::new(
                format!("`{}` is not for a pair that is made here", algorithm.name()),
                "`\"ed25519\"`, `\"ecdsa-p256-sha256\"`, `\"ecdsa-p384-sha384\"`",
            );
            body.fault("algorithm", wrong);
            return None;
        };
        Some(Material::Pair {
            algorithm,
            public: read.public_jwk(),
            sealed: master.seal(id, &private),
        })
    }

    fn public(&self, body: &mut Fields) -> Option<Material> {
        let Some(public) = &self.public_key else {
            if !body.is_refused() {
                let accepted = "a public key in PEM, or a JWK";
                body.fault("public_key", Wrong::new("is missing", accepted));
            }
            return None;
        };
        let Some(algorithm) = self.algorithm else {
            if !body.is_refused() {
                let accepted = "the algorithm that the key signs with: `\"ed25519\"`, …";
                body.fault("algorithm", Wrong::new("is missing", accepted));
            }
            return None;
        };
        let salt = if self.any_salt {
            PssSalt::Any
        } else {
            PssSalt::Digest
        };
        match PublicKey::read(algorithm, public.as_bytes(), salt) {
            Ok(_) => Some(Material::Public {
                algorithm,
                public: public.clone(),
                any_salt: self.any_salt,
            }),
            Err(bad) => {
                let accepted = match bad {
                    BadKey::Private => "the public half: `openssl pkey -in private.pem -pubout`",
                    _ => "a public key of that algorithm, in PEM or as a JWK",
                };
                body.fault("public_key", Wrong::new(bad.to_string(), accepted));
                None
            }
        }
    }
}

/// Adds a fault where a key cannot prove what is said of it: a static key proves itself alone, and one that attests
/// tokens alone, whose algorithm has to sign them. Where that is wrong, so is the value named `at`.
pub(super) fn can_prove(
    material: Option<&Material>,
    schemes: Option<&[Scheme]>,
    attests: bool,
    at: &str,
    body: &mut Fields,
) {
    if matches!(material, Some(Material::Static { .. })) {
        if schemes.is_some() {
            let wrong = Wrong::new("a static key proves nothing but itself", "`null`");
            body.fault("schemes", wrong);
        }
        return;
    }
    if !attests {
        return;
    }
    let of_none = |algorithm: &Algorithm| !algorithm.is_for_tokens();
    let algorithm = material.and_then(Material::algorithm);
    if let Some(algorithm) = algorithm.filter(of_none) {
        let fits = |one: &Algorithm| one.is_for_tokens() && one.is_mac() == algorithm.is_mac();
        let names = Algorithm::ALL.into_iter().filter(fits);
        let names: Vec<String> = names.map(|one| format!("`\"{}\"`", one.name())).collect();
        let wrong = Wrong::new(
            format!(
                "`{}` signs no tokens, and a key that attests signs nothing else",
                algorithm.name()
            ),
            format!("an algorithm of tokens: {}", names.join(", ")),
        );
        body.fault(at, wrong);
    }
    if schemes.is_some_and(|said| said != [Scheme::Token]) {
        let wrong = Wrong::new(
            "a key that attests proves tokens, and nothing else",
            "`[\"token\"]`",
        );
        body.fault("schemes", wrong);
    }
}
