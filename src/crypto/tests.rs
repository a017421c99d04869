//! Public and private keys against others' vectors.

use super::{Algorithm, BadKey, PrivateKey, PssSalt, PublicKey, SigningKey, VerifyingKey};
use crate::secret::Secret;
use data_encoding::{BASE64, HEXLOWER};
use serde_json::{Value, json};

macro_rules! vectors {
    ($file:literal) => {
        serde_json::from_str::<Value>(include_str!(concat!("../../tests/it/vectors/", $file)))
            .unwrap()
    };
}

const PAIRS: [Algorithm; 6] = [
    Algorithm::Ed25519,
    Algorithm::EcdsaP256Sha256,
    Algorithm::EcdsaP384Sha384,
    Algorithm::RsaPssSha512,
    Algorithm::RsaPssSha256,
    Algorithm::RsaV15Sha256,
];

fn hex(value: &Value) -> Vec<u8> {
    HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap()
}

fn public(algorithm: Algorithm, text: &str) -> Result<PublicKey, BadKey> {
    PublicKey::read(algorithm, text.as_bytes(), PssSalt::Digest)
}

fn private(algorithm: Algorithm, text: &str) -> Result<PrivateKey, BadKey> {
    PrivateKey::read(algorithm, &Secret::new(text.as_bytes().to_vec()))
}

/// Every case of a file, by the key in PEM and, where there is one, by the JWK.
fn wycheproof(file: &Value, algorithm: Algorithm) {
    let mut checked = 0;
    for group in file["testGroups"].as_array().unwrap() {
        let pem = public(algorithm, group["publicKeyPem"].as_str().unwrap()).unwrap();
        let jwk = group.get("publicKeyJwk").map(|jwk| {
            let mut jwk = jwk.clone();
            // Some groups have the key's id as its algorithm.
            jwk.as_object_mut().unwrap().remove("kid");
            public(algorithm, &jwk.to_string()).unwrap()
        });
        for case in group["tests"].as_array().unwrap() {
            let (text, signature) = (hex(&case["msg"]), hex(&case["sig"]));
            let valid = case["result"] == "valid";
            assert_eq!(pem.verify(&text, &signature), valid, "{case}");
            if let Some(jwk) = &jwk {
                assert_eq!(jwk.verify(&text, &signature), valid, "{case}");
            }
            checked += 1;
        }
    }
    assert_eq!(Some(checked), file["numberOfTests"].as_u64());
}

#[test]
fn wycheproof_cases_of_ed25519_hold() {
    wycheproof(
        &vectors!("wycheproof/ed25519_test.json"),
        Algorithm::Ed25519,
    );
}

#[test]
fn wycheproof_cases_of_ecdsa_on_p256_hold() {
    wycheproof(
        &vectors!("wycheproof/ecdsa_secp256r1_sha256_p1363_test.json"),
        Algorithm::EcdsaP256Sha256,
    );
}

#[test]
fn wycheproof_cases_of_rsa_pss_hold() {
    wycheproof(
        &vectors!("wycheproof/rsa_pss_2048_sha256_mgf1_32_test.json"),
        Algorithm::RsaPssSha256,
    );
    wycheproof(
        &vectors!("wycheproof/rsa_pss_4096_sha512_mgf1_64_test.json"),
        Algorithm::RsaPssSha512,
    );
}

#[test]
fn wycheproof_signatures_of_rsa_pss_with_other_parameters_do_not_hold() {
    let file = vectors!("wycheproof/rsa_pss_misc_test.json");
    let mut held = 0;
    for group in file["testGroups"].as_array().unwrap() {
        let pem = group["publicKeyPem"].as_str().unwrap();
        for (algorithm, hash, salt) in [
            (Algorithm::RsaPssSha512, "SHA-512", 64),
            (Algorithm::RsaPssSha256, "SHA-256", 32),
        ] {
            let key = public(algorithm, pem).unwrap();
            let right = group["sha"] == hash && group["mgfSha"] == hash && group["sLen"] == salt;
            for case in group["tests"].as_array().unwrap() {
                let holds = key.verify(&hex(&case["msg"]), &hex(&case["sig"]));
                assert_eq!(holds, right, "{case}");
                held += usize::from(holds);
            }
        }
    }
    assert_eq!(held, 2);
}

#[test]
fn wycheproof_keys_that_are_bad_or_for_something_else_verify_nothing() {
    let file = vectors!("wycheproof/json_web_key_test.json");
    let mut checked = 0;
    for group in file["testGroups"].as_array().unwrap() {
        let [jwk] = group["private"]["keys"].as_array().unwrap().as_slice() else {
            continue;
        };
        let mut jwk = jwk.clone();
        if jwk["kty"] == "oct" {
            continue;
        }
        for member in ["d", "p", "q", "dp", "dq", "qi"] {
            jwk.as_object_mut().unwrap().remove(member);
        }
        let algorithm = match jwk["kty"].as_str().unwrap() {
            "EC" => Algorithm::EcdsaP256Sha256,
            _ => Algorithm::RsaV15Sha256,
        };
        let key = public(algorithm, &jwk.to_string());
        for case in group["tests"].as_array().unwrap() {
            let (signed, signature) = case["jws"].as_str().unwrap().rsplit_once('.').unwrap();
            let signature = data_encoding::BASE64URL_NOPAD
                .decode(signature.as_bytes())
                .unwrap();
            let holds = key
                .as_ref()
                .is_ok_and(|key| key.verify(signed.as_bytes(), &signature));
            assert_eq!(
                holds,
                case["result"] == "valid",
                "{}: {key:?}",
                case["comment"]
            );
            checked += 1;
        }
    }
    assert_eq!(checked, 9);
}

#[test]
fn signatures_of_rfc_9421_appendix_b_hold_over_their_printed_bases() {
    let (keys, cases) = (
        vectors!("rfc9421/keys.json"),
        vectors!("rfc9421/cases.json"),
    );
    let mut checked = Vec::new();
    for case in cases["cases"].as_array().unwrap() {
        let algorithm = Algorithm::from_name(case["alg"].as_str().unwrap()).unwrap();
        if algorithm.is_mac() {
            continue;
        }
        let names = &keys[case["keyid"].as_str().unwrap()];
        let base = case["signature_base"].as_str().unwrap().as_bytes();
        let signature = case["signature"].as_str().unwrap();
        let signature = signature.split_once("=:").unwrap().1.trim_end_matches(':');
        let signature = BASE64.decode(signature.as_bytes()).unwrap();
        let key = public(algorithm, names["public_pem"].as_str().unwrap()).unwrap();
        assert!(key.verify(base, &signature), "{}", case["id"]);
        let mut changed = base.to_vec();
        changed[3] ^= 1;
        assert!(!key.verify(&changed, &signature), "{}", case["id"]);

        let secret = private(algorithm, names["private_pem"].as_str().unwrap()).unwrap();
        let made = secret.sign(base);
        assert_eq!(made == signature, case["deterministic"] == true);
        assert!(key.verify(base, &made));
        assert!(secret.public().unwrap().verify(base, &signature));
        checked.push(algorithm);
    }
    for algorithm in [
        Algorithm::RsaPssSha512,
        Algorithm::EcdsaP256Sha256,
        Algorithm::Ed25519,
    ] {
        assert!(checked.contains(&algorithm), "{algorithm}");
    }
}

/// The keys of the standard, each as PEM and as JWK.
fn standard() -> Vec<(Algorithm, Value)> {
    let keys = vectors!("rfc9421/keys.json");
    [
        (Algorithm::Ed25519, "test-key-ed25519"),
        (Algorithm::EcdsaP256Sha256, "test-key-ecc-p256"),
        (Algorithm::RsaPssSha512, "test-key-rsa-pss"),
        (Algorithm::RsaPssSha256, "test-key-rsa"),
        (Algorithm::RsaV15Sha256, "test-key-rsa"),
    ]
    .map(|(algorithm, name)| (algorithm, keys[name].clone()))
    .into()
}

/// A JWK without what only its owner knows.
fn public_half(jwk: &Value) -> Value {
    let mut jwk = jwk.clone();
    for member in ["d", "p", "q", "dp", "dq", "qi"] {
        jwk.as_object_mut().unwrap().remove(member);
    }
    jwk
}

#[test]
fn a_pair_is_the_same_in_pem_and_as_a_jwk() {
    for (algorithm, key) in standard() {
        let pem = private(algorithm, key["private_pem"].as_str().unwrap()).unwrap();
        let jwk = key["jwk"].to_string();
        let of_jwk = private(algorithm, &jwk).unwrap();
        let half = public(algorithm, &public_half(&key["jwk"]).to_string()).unwrap();
        for secret in [&pem, &of_jwk] {
            let signature = secret.sign(b"text");
            for key in [&half, &pem.public().unwrap()] {
                assert!(key.verify(b"text", &signature), "{algorithm}");
                assert!(!key.verify(b"texT", &signature), "{algorithm}");
                assert!(!key.verify(b"text", &signature[1..]), "{algorithm}");
                assert!(!key.verify(b"text", b""), "{algorithm}");
            }
        }
        assert_eq!(public(algorithm, &jwk).unwrap_err(), BadKey::Private);
        let half = public_half(&key["jwk"]).to_string();
        assert_eq!(private(algorithm, &half).unwrap_err(), BadKey::Public);
        let pem = key["private_pem"].as_str().unwrap();
        assert_eq!(public(algorithm, pem).unwrap_err(), BadKey::Private);
        let pem = key["public_pem"].as_str().unwrap();
        assert_eq!(private(algorithm, pem).unwrap_err(), BadKey::Public);
    }
}

#[test]
fn a_key_is_taken_for_the_algorithms_of_its_kind_only() {
    for (own, key) in standard() {
        for algorithm in PAIRS {
            let is_rsa = |one: Algorithm| one.name().starts_with("rsa");
            let fits = algorithm == own || (is_rsa(own) && is_rsa(algorithm));
            for half in [
                public(algorithm, key["public_pem"].as_str().unwrap()).is_ok(),
                public(algorithm, &public_half(&key["jwk"]).to_string()).is_ok(),
                private(algorithm, &key["jwk"].to_string()).is_ok(),
            ] {
                assert_eq!(half, fits, "{own} as {algorithm}");
            }
        }
        for mac in Algorithm::MACS {
            assert!(public(mac, key["public_pem"].as_str().unwrap()).is_err());
            let text = key["private_pem"].as_str().unwrap().as_bytes().to_vec();
            assert!(SigningKey::new(mac, &Secret::new(text)).is_err());
        }
    }
    // Its own name narrows it: such a key is for PSS alone.
    let pss = vectors!("rfc9421/keys.json")["test-key-rsa-pss"]["private_pem"].clone();
    let pss = pss.as_str().unwrap();
    assert!(private(Algorithm::RsaPssSha512, pss).is_ok());
    assert!(matches!(
        private(Algorithm::RsaV15Sha256, pss).unwrap_err(),
        BadKey::OtherKind { .. }
    ));
}

#[test]
fn what_a_jwk_says_of_its_use_is_kept_to() {
    let key = vectors!("rfc9421/keys.json")["test-key-ed25519"]["jwk"].clone();
    let with = |member: &str, value: Value| {
        let mut jwk = public_half(&key);
        jwk[member] = value;
        public(Algorithm::Ed25519, &jwk.to_string()).map(|_| ())
    };
    for (member, good, bad) in [
        ("alg", json!("EdDSA"), json!("ES256")),
        ("alg", json!("Ed25519"), json!("ed25519")),
        ("use", json!("sig"), json!("enc")),
        ("key_ops", json!(["verify"]), json!(["sign"])),
    ] {
        assert_eq!(with(member, good), Ok(()));
        let algorithm = Algorithm::Ed25519;
        assert_eq!(
            with(member, bad),
            Err(BadKey::OtherUse { member, algorithm })
        );
    }
    for (member, bad) in [
        ("x", json!("AAAA")),
        ("x", json!("?")),
        ("x", Value::Null),
        ("kty", json!("XXX")),
        ("crv", json!("X25519")),
    ] {
        assert!(matches!(with(member, bad), Err(BadKey::Unreadable(_))));
    }
}

#[test]
fn rsa_keys_have_a_size_within_bounds_and_sound_numbers() {
    let key = |modulus: &[u8], exponent: &[u8]| {
        PublicKey::rsa(Algorithm::RsaV15Sha256, modulus, exponent, PssSalt::Digest).map(|_| ())
    };
    let modulus = |size: usize| {
        let mut bytes = vec![0xa5; size];
        bytes[0] = 0x80;
        bytes
    };
    for size in [256, 384, 512] {
        assert_eq!(key(&modulus(size), &[1, 0, 1]), Ok(()));
        assert_eq!(key(&modulus(size), &[3]), Ok(()));
    }
    for (size, bits) in [(255, 2040), (513, 4104), (1024, 8192)] {
        assert_eq!(key(&modulus(size), &[1, 0, 1]), Err(BadKey::Size { bits }));
    }
    let mut small = modulus(256);
    small[0] = 0x7f;
    assert_eq!(key(&small, &[1, 0, 1]), Err(BadKey::Size { bits: 2047 }));
    for exponent in [&[][..], &[1], &[2], &[1, 0, 0], &[1, 0, 0, 0, 1]] {
        assert!(key(&modulus(256), exponent).is_err(), "{exponent:?}");
    }
    let mut even = modulus(256);
    even[255] = 0xa4;
    assert!(key(&even, &[1, 0, 1]).is_err());
}

#[test]
fn an_ed25519_key_under_which_anybody_can_sign_is_refused_however_it_is_given() {
    // The neutral point and one of order four; the front of their DER says that they are of Ed25519.
    for first in [1, 0] {
        let mut point = [0; 32];
        point[0] = first;
        let x = data_encoding::BASE64URL_NOPAD.encode(&point);
        let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": x }).to_string();
        let der = [
            &[0x30, 42, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 33, 0][..],
            &point,
        ]
        .concat();
        let body = BASE64.encode(&der);
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n");
        let told =
            BadKey::Unreadable("its point has a small order, so that anybody can sign for it");
        for read in [
            public(Algorithm::Ed25519, &jwk),
            public(Algorithm::Ed25519, &pem),
            PublicKey::of_der(Algorithm::Ed25519, &der),
        ] {
            assert_eq!(read.unwrap_err(), told);
        }
    }
}

#[test]
fn a_number_beyond_the_modulus_is_no_signature_and_costs_as_much_as_one() {
    let pem = include_str!("../../tests/it/vectors/rfc9421/keys/test-key-rsa.pub.pem");
    let own = private(
        Algorithm::RsaV15Sha256,
        include_str!("../../tests/it/vectors/rfc9421/keys/test-key-rsa.pem"),
    );
    let right = own.unwrap().sign(b"text");
    let key = public(Algorithm::RsaV15Sha256, pem).unwrap();
    // Whatever is looked at is below the modulus of a key, be it a double's.
    for key in [&key, &key.double(), &key.double(), &key.double()] {
        for signature in [&right[..], &[0xff; 256], &[0; 256]] {
            let number = key.below_modulus(signature);
            assert_eq!(number.len(), 256);
            assert!(key.is_below_modulus(&number));
        }
        for signature in [&[][..], &[7; 64], &[0xff; 255], &[0xff; 257]] {
            assert_eq!(*key.below_modulus(signature), *signature);
        }
        assert!(!key.verify(b"text", &[0xff; 256]));
    }
    assert!(key.verify(b"text", &right));
    // A right one with the modulus added is the same to RSA, and no signature.
    let mut more = right.clone();
    let mut carry = 0;
    for (digit, add) in more.iter_mut().rev().zip(key.modulus().iter().rev()) {
        let sum = u16::from(*digit) + u16::from(*add) + carry;
        *digit = sum as u8;
        carry = sum >> 8;
    }
    assert!(!key.verify(b"text", &more));
}

#[test]
fn salts_of_another_length_are_taken_where_the_key_says_so() {
    let file = vectors!("wycheproof/rsa_pss_misc_test.json");
    let mut lengths = Vec::new();
    for group in file["testGroups"].as_array().unwrap() {
        if group["sha"] != "SHA-512" || group["mgfSha"] != "SHA-512" {
            continue;
        }
        let pem = group["publicKeyPem"].as_str().unwrap().as_bytes();
        let key = PublicKey::read(Algorithm::RsaPssSha512, pem, PssSalt::Any).unwrap();
        let case = &group["tests"][0];
        if key.verify(&hex(&case["msg"]), &hex(&case["sig"])) {
            lengths.push(group["sLen"].as_u64().unwrap());
        }
    }
    assert_eq!(lengths, [64]);

    // The longest that fits: 256 - 64 - 2 bytes. Made by `openssl dgst -sigopt rsa_pss_saltlen:max`.
    let pem = include_str!("../../tests/it/vectors/rfc9421/keys/test-key-rsa.pub.pem").as_bytes();
    let signature = include_str!("../../tests/it/vectors/openssl/rsa-pss-sha512-longest-salt.txt");
    let signature = BASE64.decode(signature.trim().as_bytes()).unwrap();
    for (salt, holds) in [(PssSalt::Digest, false), (PssSalt::Any, true)] {
        let key = PublicKey::read(Algorithm::RsaPssSha512, pem, salt).unwrap();
        assert_eq!(key.verify(b"text", &signature), holds);
        assert!(!key.verify(b"texT", &signature));
        let own = private(
            Algorithm::RsaPssSha512,
            include_str!("../../tests/it/vectors/rfc9421/keys/test-key-rsa.pem"),
        );
        assert!(key.verify(b"text", &own.unwrap().sign(b"text")));
    }
}

#[test]
fn another_spelling_of_a_signature_has_the_same_tag() {
    // Of ECDSA, (r, n - s) is a signature wherever (r, s) is: whoever remembered
    // signatures would take a copy for something new.
    const ORDER: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    let (algorithm, key) = standard().swap_remove(1);
    let pair = private(algorithm, key["private_pem"].as_str().unwrap()).unwrap();
    let key = VerifyingKey::from(pair.public().unwrap());
    let signature = pair.sign(b"text");
    let mut other = signature.clone();
    let order = HEXLOWER.decode(ORDER.as_bytes()).unwrap();
    let mut borrow = 0;
    for at in (0..32).rev() {
        let difference = i16::from(order[at]) - i16::from(signature[32 + at]) - borrow;
        borrow = i16::from(difference < 0);
        other[32 + at] = difference.rem_euclid(256) as u8;
    }
    assert_ne!(other, signature);
    let tag = |signature: &[u8]| key.verify(b"text", signature).unwrap().as_bytes().to_vec();
    assert_eq!(tag(&other), tag(&signature));
}

#[test]
fn a_pair_on_p384_signs_and_verifies() {
    let pem = include_str!("../../tests/it/vectors/openssl/p384.pem");
    let pair = private(Algorithm::EcdsaP384Sha384, pem).unwrap();
    let pem = include_str!("../../tests/it/vectors/openssl/p384.pub.pem");
    let key = public(Algorithm::EcdsaP384Sha384, pem).unwrap();
    let signature = pair.sign(b"text");
    assert_eq!(signature.len(), 96);
    assert!(key.verify(b"text", &signature) && !key.verify(b"texT", &signature));
    assert!(private(Algorithm::EcdsaP256Sha256, pem).is_err());
    assert!(public(Algorithm::EcdsaP256Sha256, pem).is_err());
}

#[test]
fn keys_do_not_print() {
    for (algorithm, key) in standard() {
        let pair = private(algorithm, key["private_pem"].as_str().unwrap()).unwrap();
        let shown = format!("{pair:?} {:?}", pair.public().unwrap());
        assert_eq!(
            shown,
            format!("PrivateKey({algorithm}) PublicKey({algorithm})")
        );
    }
}
