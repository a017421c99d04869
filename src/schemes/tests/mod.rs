//! What holds of every scheme.

mod alike;

use http::{HeaderMap, HeaderName, HeaderValue};

/// Fields, in order.
pub(super) fn fields(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        map.append(name, HeaderValue::from_str(value).unwrap());
    }
    map
}
