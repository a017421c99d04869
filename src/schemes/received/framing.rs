//! What a head says of its connection and of its body.

use super::{MAX_NOMINATED, Malformed};
use http::{HeaderMap, header};

/// Fields that `Connection` may not name (a hop would drop them).
const KEPT: [&str; 13] = [
    "authorization",
    "content-digest",
    "content-length",
    "content-type",
    "cookie",
    "date",
    "dpop",
    "forwarded",
    "host",
    "signature",
    "signature-input",
    "transfer-encoding",
    "portcullis-token",
];

/// What a head says of the connection and of its body.
pub(super) fn check(fields: &HeaderMap) -> Result<(), Malformed> {
    let mut nominated = 0;
    for value in fields.get_all(header::CONNECTION) {
        let text = value
            .to_str()
            .map_err(|_| Malformed::Framing("`Connection` is not a list of names"))?;
        for name in text.split(',').map(str::trim) {
            nominated += 1;
            if nominated > MAX_NOMINATED {
                return Err(Malformed::Framing("`Connection` names too many fields"));
            }
            if KEPT.iter().any(|kept| kept.eq_ignore_ascii_case(name))
                || name
                    .get(..11)
                    .is_some_and(|front| front.eq_ignore_ascii_case("portcullis-"))
            {
                return Err(Malformed::Connection(name.into()));
            }
        }
    }
    if let Some(coding) = fields.get(header::TRANSFER_ENCODING) {
        if !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
            return Err(Malformed::Framing(
                "the only transfer coding accepted is `chunked`, once",
            ));
        }
        if fields.contains_key(header::CONTENT_LENGTH) {
            return Err(Malformed::Framing(
                "`Content-Length` and `Transfer-Encoding` exclude each other",
            ));
        }
    }
    if let Some(expect) = fields.get(header::EXPECT)
        && !expect.as_bytes().eq_ignore_ascii_case(b"100-continue")
    {
        return Err(Malformed::Expectation);
    }
    Ok(())
}
