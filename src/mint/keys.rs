//! `jwks.json`: whoever gets a token signed with a private key can check it (RFC 7517, section 5).

use crate::apps::Registry;
use std::fmt::Write as _;

/// Keys that are told; apps with public-key algorithms are few. Any stranger may ask, and all are written anew for
/// each: so many RSA keys of 4096 bits are 200 KiB.
pub(super) const MAX_KEYS: usize = 256;

/// The public halves of all keys that sign tokens now or later, and whether they are all.
pub(super) fn public(registry: &Registry, now: i64) -> (String, bool) {
    // One more than are told: so it is seen that one is left out.
    let beside = registry.minters_beside(now, MAX_KEYS + 1);
    let minters = registry.minters().chain(&beside);
    let lasting = minters.flat_map(|minter| minter.published(now));
    let mut is_whole = true;
    let mut set = String::from("{\"keys\":[");
    let mut told = 0;
    for key in lasting {
        let signer = key.signer.as_deref();
        let Some(jwk) = signer.and_then(|signer| signer.signs().public_jwk()) else {
            continue;
        };
        if told == MAX_KEYS {
            is_whole = false;
            break;
        }
        if told > 0 {
            set.push(',');
        }
        told += 1;
        let members = jwk.trim_end_matches('}');
        let id = serde_json::Value::from(&*key.id);
        let algorithm = key.algorithm().jose_name();
        let _ = write!(
            set,
            "{members},\"use\":\"sig\",\"alg\":\"{algorithm}\",\"kid\":{id}}}"
        );
    }
    set.push_str("]}");
    (set, is_whole)
}
