//! `Max-Forwards` of `OPTIONS` (RFC 9110, section 7.6.2): who asks what a
//! gateway on the way can do, and not the server behind it.

use super::answer::{allowed, tell_standing};
use super::cors::Told;
use crate::forward::Head;
use crate::limit::app::Standing;
use crate::route::Route;
use http::header::{ALLOW, HeaderValue, MAX_FORWARDS};
use http::{Method, Response, StatusCode};

/// Counts this hop. True when the request has none left: then it is meant for us.
pub(super) fn is_last(head: &mut Head) -> bool {
    if head.parts.method != Method::OPTIONS {
        return false;
    }
    let left = head
        .parts
        .headers
        .get(MAX_FORWARDS)
        .and_then(|value| value.to_str().ok()?.parse::<u32>().ok());
    match left {
        None => false,
        Some(0) => true,
        Some(left) => {
            let left = HeaderValue::from(left - 1);
            head.parts.headers.insert(MAX_FORWARDS, left);
            false
        }
    }
}

/// The answer to a request that is meant for us: what passes on `route`, in
/// `Allow`, unless every method does.
pub(super) fn answer(route: &Route, standing: Option<Standing>, told: Told) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let fields = response.headers_mut();
    if !route.methods.is_empty() {
        fields.extend(allowed(&route.methods).map(|methods| (ALLOW, methods)));
    }
    tell_standing(fields, standing);
    told.tell(fields);
    response
}
