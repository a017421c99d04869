//! The JWK of a public key, as short as it can be, and its digest (RFC 7638).

use super::Algorithm;
use super::digest::sha256;
use data_encoding::BASE64URL_NOPAD;

/// Of a key that is a point: 32 bytes of Ed25519, or an uncompressed one.
pub(super) fn of_point(algorithm: Algorithm, point: &[u8]) -> [u8; 32] {
    sha256(&[point_jwk(algorithm, point).as_bytes()])
}

/// Of an RSA key, by its numbers.
pub(super) fn of_rsa(modulus: &[u8], exponent: &[u8]) -> [u8; 32] {
    sha256(&[rsa_jwk(modulus, exponent).as_bytes()])
}

/// The members that are needed and no others, in the one order and without white space.
pub(super) fn point_jwk(algorithm: Algorithm, point: &[u8]) -> String {
    let encode = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
    let curve = match algorithm {
        Algorithm::EcdsaP256Sha256 => "P-256",
        Algorithm::EcdsaP384Sha384 => "P-384",
        _ => return format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, encode(point)),
    };
    // Behind a byte that says that it is uncompressed.
    let halves = point.get(1..).unwrap_or_default();
    let (x, y) = halves.split_at(halves.len() / 2);
    format!(
        r#"{{"crv":"{curve}","kty":"EC","x":"{}","y":"{}"}}"#,
        encode(x),
        encode(y)
    )
}

/// As [`point_jwk`], of an RSA key.
pub(super) fn rsa_jwk(modulus: &[u8], exponent: &[u8]) -> String {
    format!(
        r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#,
        BASE64URL_NOPAD.encode(exponent),
        BASE64URL_NOPAD.encode(modulus)
    )
}

#[cfg(test)]
mod tests {
    use crate::crypto::{Algorithm, PublicJwk};
    use data_encoding::BASE64URL_NOPAD;

    #[test]
    fn thumbprints_are_those_of_the_standards() {
        // RFC 7638, section 3.1; RFC 8037, appendix A.3; RFC 9449, section 6.1.
        let rsa = PublicJwk {
            kty: "RSA",
            n: Some(
                "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
            ),
            e: Some("AQAB"),
            ..PublicJwk::default()
        };
        let ed25519 = PublicJwk {
            kty: "OKP",
            crv: Some("Ed25519"),
            x: Some("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"),
            ..PublicJwk::default()
        };
        let p256 = PublicJwk {
            kty: "EC",
            crv: Some("P-256"),
            x: Some("l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs"),
            y: Some("9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"),
            ..PublicJwk::default()
        };
        for (jwk, algorithm, thumbprint) in [
            (
                rsa,
                Algorithm::RsaV15Sha256,
                "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
            ),
            (
                ed25519,
                Algorithm::Ed25519,
                "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
            ),
            (
                p256,
                Algorithm::EcdsaP256Sha256,
                "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I",
            ),
        ] {
            assert!(jwk.suits(algorithm));
            let key = jwk.key(algorithm).unwrap();
            assert_eq!(BASE64URL_NOPAD.encode(key.thumbprint()), thumbprint);
        }
        assert!(!rsa.suits(Algorithm::Ed25519));
        assert!(p256.key(Algorithm::EcdsaP384Sha384).is_err());
    }
}
