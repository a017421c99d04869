//! A map that is used again: the fields of an answer stand where those of a
//! request stood that is over, so that nothing is allocated for them.

use http::HeaderMap;
use std::cell::RefCell;

/// Fields that a map may have room for that is kept.
const MAX_FIELDS: usize = 64;

thread_local! {
    /// One of a worker: mostly there is one, and another costs what it always did.
    static SPARE: RefCell<HeaderMap> = RefCell::default();
}

/// Makes an empty map one with room for so many.
pub(super) fn make_room(fields: &mut HeaderMap, number: usize) {
    SPARE.with_borrow_mut(|spare| std::mem::swap(spare, fields));
    fields.reserve(number);
}

/// Gives the fields of a request back, once nobody asks for them any more.
pub fn take_back(mut fields: HeaderMap) {
    if fields.capacity() <= MAX_FIELDS {
        fields.clear();
        SPARE.with_borrow_mut(|spare| *spare = fields);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn fields(number: usize) -> HeaderMap {
        let mut fields = HeaderMap::new();
        make_room(&mut fields, number);
        fields
    }

    #[test]
    fn a_map_comes_back_empty_and_with_its_room() {
        let mut map = fields(20);
        let room = map.capacity();
        map.insert("authorization", HeaderValue::from_static("secret"));
        take_back(map);
        let again = fields(1);
        assert!(again.is_empty() && again.capacity() == room);
        assert_eq!(fields(1).get("authorization"), None);
    }

    #[test]
    fn a_map_that_one_large_request_needed_is_not_kept() {
        take_back(HeaderMap::with_capacity(1_000));
        assert!(fields(1).capacity() < 1_000);
    }
}
