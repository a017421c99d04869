//! The trace a request belongs to (W3C Trace Context, section 3.2). We read
//! its id for the log; the field itself is passed on as it came.

use http::{HeaderMap, HeaderName};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The trace id of a request: 32 hexadecimal digits; `None` when there is no
/// `traceparent`, more than one, or one that is not as the standard has it.
pub fn trace_id(fields: &HeaderMap) -> Option<Box<str>> {
    let mut values = fields.get_all(TRACEPARENT).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    parse(value.to_str().ok()?).map(Box::from)
}

/// `VERSION-TRACE-PARENT-FLAGS`; a version of the future may say more behind a `-`.
fn parse(value: &str) -> Option<&str> {
    let mut parts = value.splitn(5, '-');
    let (version, trace) = (parts.next()?, parts.next()?);
    let (parent, flags) = (parts.next()?, parts.next()?);
    let has_more = parts.next().is_some();
    let is_good = is_hex(version, 2)
        && version != "ff"
        && !(version == "00" && has_more)
        && is_hex(trace, 32)
        && is_hex(parent, 16)
        && is_hex(flags, 2)
        && !is_zero(trace)
        && !is_zero(parent);
    is_good.then_some(trace)
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_zero(text: &str) -> bool {
    text.bytes().all(|b| b == b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

    #[test]
    fn a_traceparent_is_read_as_the_standard_has_it() {
        let good = format!("00-{TRACE}-b7ad6b7169203331-01");
        assert_eq!(parse(&good), Some(TRACE));
        assert_eq!(
            parse(&format!("cc-{TRACE}-b7ad6b7169203331-01")),
            Some(TRACE)
        );
        assert_eq!(
            parse(&format!("cc-{TRACE}-b7ad6b7169203331-01-more-")),
            Some(TRACE)
        );
        for bad in [
            String::new(),
            format!("{good}-more"),
            format!("{good}-"),
            format!("ff-{TRACE}-b7ad6b7169203331-01"),
            format!("0-{TRACE}-b7ad6b7169203331-01"),
            format!("00-{TRACE}-b7ad6b7169203331"),
            format!("00-{TRACE}-b7ad6b7169203331-1"),
            format!("00-{TRACE}-b7ad6b7169203331-01 "),
            format!("00-{TRACE}-0000000000000000-01"),
            format!("00-{}-b7ad6b7169203331-01", "0".repeat(32)),
            format!("00-{}-b7ad6b7169203331-01", TRACE.to_uppercase()),
            format!("00-{}-b7ad6b7169203331-01", &TRACE[1..]),
            format!("cc-{TRACE}-b7ad6b7169203331-01.more"),
        ] {
            assert_eq!(parse(&bad), None, "{bad}");
        }
    }

    #[test]
    fn two_traceparents_are_none() {
        let mut fields = HeaderMap::new();
        assert_eq!(trace_id(&fields), None);
        let value = format!("00-{TRACE}-b7ad6b7169203331-01");
        fields.append("traceparent", value.parse().unwrap());
        assert_eq!(trace_id(&fields).as_deref(), Some(TRACE));
        fields.append("traceparent", value.parse().unwrap());
        assert_eq!(trace_id(&fields), None);
    }
}
