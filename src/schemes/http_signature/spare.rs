//! Lists that are used again: what one request's signatures were read into,
//! those of the next are, so that nothing is allocated for them.

use super::component::Component;
use super::read::{Candidate, MAX_SIGNATURES};
use std::cell::RefCell;

/// Bytes that a kept signature may have room for.
const MAX_SIGNATURE: usize = 1024;
/// Room that a list has at first: most signatures need no more.
const COMPONENTS: usize = 8;

/// What a thread keeps: empty lists, one of each kind for each signature that a request may show.
#[derive(Default)]
struct Spare {
    candidates: Vec<Candidate<'static>>,
    components: Vec<Vec<Component<'static>>>,
    signatures: Vec<Vec<u8>>,
}

thread_local! {
    static SPARE: RefCell<Spare> = RefCell::default();
}

pub(super) fn candidates<'r>() -> Vec<Candidate<'r>> {
    SPARE.with_borrow_mut(|spare| emptied(std::mem::take(&mut spare.candidates)))
}

pub(super) fn components<'r>() -> Vec<Component<'r>> {
    let kept = SPARE.with_borrow_mut(|spare| spare.components.pop());
    kept.map_or_else(|| Vec::with_capacity(COMPONENTS), emptied)
}

pub(super) fn signature() -> Vec<u8> {
    let kept = SPARE.with_borrow_mut(|spare| spare.signatures.pop());
    kept.unwrap_or_default()
}

/// Keeps the lists of signatures that nobody looks at any more.
pub(super) fn take_back(mut candidates: Vec<Candidate<'_>>) {
    SPARE.with_borrow_mut(|spare| {
        for candidate in candidates.drain(..) {
            let (input, mut signature) = (candidate.input, candidate.signature);
            if spare.components.len() < MAX_SIGNATURES {
                spare.components.push(emptied(input.components));
            }
            // One that was not read took none of those that are kept, and has no room to give.
            let is_of_use = (1..=MAX_SIGNATURE).contains(&signature.capacity());
            if is_of_use && spare.signatures.len() < MAX_SIGNATURES {
                signature.clear();
                spare.signatures.push(signature);
            }
        }
        spare.candidates = emptied(candidates);
    });
}

/// The list without what is in it, for things of another life: collecting
/// from a list into one of the same layout takes its room over.
fn emptied<A, B>(mut list: Vec<A>) -> Vec<B> {
    list.clear();
    let none = |_| unreachable!("the list is empty");
    list.into_iter().map(none).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schemes::http_signature::read::{Input, Presented};
    use crate::schemes::received::{Received, Surroundings};
    use crate::schemes::tests::fields;
    use http::{Method, Uri};

    #[test]
    fn an_emptied_list_keeps_its_room() {
        let text = String::from("(\"a\")");
        let mut list: Vec<Component<'_>> = Vec::with_capacity(9);
        list.extend(Input::read(&text).unwrap().components);
        let room = list.as_ptr() as usize;
        let kept: Vec<Component<'static>> = emptied(list);
        assert_eq!((kept.len(), kept.capacity()), (0, 9));
        assert_eq!(kept.as_ptr() as usize, room);
    }

    #[test]
    fn no_number_of_requests_makes_a_thread_keep_more() {
        let three = "a=();created=1, b=();created=1, c=();created=1";
        let broken = format!("{three}, d=(");
        for (input, signature) in [
            (&*broken, "a=:AA==:"),
            (three, "a=:AA==:"),
            (three, "a=:AA==:, b=:AA==:, c=:AA==:, d=:AA==:"),
            (three, "a=::, b=::, c=::"),
            (three, "a=:AA==:, b=:AA==:, c=:AA==:"),
        ] {
            let fields = fields(&[
                ("host", "api.example.com"),
                ("signature-input", input),
                ("signature", signature),
            ]);
            let (method, target) = (Method::GET, Uri::from_static("/"));
            let around = Surroundings {
                tls: true,
                http2: false,
                has_body: false,
                public_url: None,
            };
            let received = Received::read(&method, &target, &fields, around).unwrap();
            for _ in 0..1_000 {
                drop(Presented::read(&received));
            }
            SPARE.with_borrow(|spare| {
                assert!(spare.signatures.len() <= MAX_SIGNATURES, "{signature}");
                assert!(spare.components.len() <= MAX_SIGNATURES, "{signature}");
            });
        }
    }
}
