//! The health protocol of gRPC (`grpc.health.v1.Health/Check`): what is asked, and what is answered.

use crate::forward::arriving::Arriving;
use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, StatusCode, response};
use std::future::poll_fn;

/// Where it is asked.
pub const PATH: &str = "/grpc.health.v1.Health/Check";
/// Bytes that an answer's message may have, with its frame.
const MAX_MESSAGE: usize = 1024;
/// Bytes of a frame before its message: whether it is compressed, and how long it is.
const FRAME: usize = 5;
/// The kinds that fields of a message are of.
const VARINT: u64 = 0;
const EIGHT_BYTES: u64 = 1;
const COUNTED: u64 = 2;
const FOUR_BYTES: u64 = 5;
/// The field of the request that names the service.
const SERVICE: u8 = 1 << 3 | COUNTED as u8;
/// What the answer's field `status` says of a service that is well.
const SERVING: u64 = 1;

/// What is sent: asks for `service`, or the whole server where it is empty.
pub(super) fn question(service: &str) -> Bytes {
    let mut message = BytesMut::new();
    if !service.is_empty() {
        message.put_u8(SERVICE);
        let mut length = service.len();
        while length > 0x7f {
            message.put_u8(length as u8 | 0x80);
            length >>= 7;
        }
        message.put_u8(length as u8);
        message.put_slice(service.as_bytes());
    }
    let mut framed = BytesMut::with_capacity(FRAME + message.len());
    framed.put_u8(0);
    framed.put_u32(message.len() as u32);
    framed.put_slice(&message);
    framed.freeze()
}

/// Reads an answer to its end: whether the service is well, or why it is not.
pub(super) async fn read(head: &response::Parts, mut arriving: Arriving) -> Result<(), String> {
    if head.status != StatusCode::OK {
        return Err(format!("it answered {}", head.status.as_u16()));
    }
    let mut message = BytesMut::new();
    let mut trailers = HeaderMap::new();
    while let Some(frame) = poll_fn(|cx| arriving.poll_next(cx)).await {
        let frame = frame.map_err(|failed| failed.to_string())?;
        match frame.into_data() {
            Ok(data) if message.len() + data.len() > MAX_MESSAGE => {
                return Err("its answer is too long for one of gRPC's health checks".to_owned());
            }
            Ok(data) => message.put_slice(&data),
            Err(frame) => trailers = frame.into_trailers().unwrap_or_default(),
        }
    }
    let status = trailers.get("grpc-status");
    let status = status.or_else(|| head.headers.get("grpc-status"));
    match status.map(http::HeaderValue::as_bytes) {
        Some(b"0") => says(&message),
        Some(b"5") => Err("it does not know the service (grpc-status 5)".to_owned()),
        Some(b"12") => Err("it does not have `grpc.health.v1.Health` (grpc-status 12)".to_owned()),
        Some(other) => {
            let other = String::from_utf8_lossy(other);
            Err(format!("it answered with grpc-status {other}"))
        }
        None => Err("its answer has no grpc-status".to_owned()),
    }
}

/// What a frame with its message says.
fn says(framed: &[u8]) -> Result<(), String> {
    let status = framed
        .split_first_chunk::<FRAME>()
        .and_then(|([is_compressed, length @ ..], message)| {
            let is_whole = u32::from_be_bytes(*length) as usize == message.len();
            (*is_compressed == 0 && is_whole).then_some(message)
        })
        .and_then(status);
    match status {
        Some(SERVING) => Ok(()),
        Some(0) => Err("it says UNKNOWN".to_owned()),
        Some(2) => Err("it says NOT_SERVING".to_owned()),
        Some(3) => Err("it says SERVICE_UNKNOWN".to_owned()),
        Some(other) => Err(format!("it says {other}")),
        None => Err("its answer is no message of `grpc.health.v1.Health`".to_owned()),
    }
}

/// The first field of a message, which is 0 where it is not there.
fn status(mut message: &[u8]) -> Option<u64> {
    let mut status = 0;
    while !message.is_empty() {
        let key = varint(&mut message)?;
        match (key >> 3, key & 7) {
            (1, VARINT) => status = varint(&mut message)?,
            (_, VARINT) => {
                varint(&mut message)?;
            }
            (_, EIGHT_BYTES) => message = message.get(8..)?,
            (_, FOUR_BYTES) => message = message.get(4..)?,
            (_, COUNTED) => {
                let length = usize::try_from(varint(&mut message)?).ok()?;
                message = message.get(length..)?;
            }
            _ => return None,
        }
    }
    Some(status)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_framed_and_names_its_service() {
        assert_eq!(question("")[..], [0; 5]);
        assert_eq!(question("a.B")[..], *b"\0\0\0\0\x05\x0a\x03a.B");
        let long = question(&"a".repeat(300));
        assert_eq!(long[..8], *b"\0\0\0\x01\x2f\x0a\xac\x02");
        assert_eq!(long.len(), 308);
    }

    #[test]
    fn only_who_says_that_it_serves_is_well() {
        for (framed, expected) in [
            (&b"\0\0\0\0\x02\x08\x01"[..], Ok(())),
            // Fields that we do not know, of each kind, pass.
            (
                b"\0\0\0\0\x17\x10\x80\x01\x19abcdefgh\x22\x02ab\x2dabcd\x08\x01",
                Ok(()),
            ),
            (b"\0\0\0\0\0", Err("it says UNKNOWN")),
            (b"\0\0\0\0\x02\x08\x02", Err("it says NOT_SERVING")),
            (b"\0\0\0\0\x02\x08\x03", Err("it says SERVICE_UNKNOWN")),
            (b"\0\0\0\0\x02\x08\x04", Err("it says 4")),
        ] {
            let expected: Result<(), String> = expected.map_err(str::to_owned);
            assert_eq!(says(framed), expected, "{framed:?}");
        }
        for framed in [
            &b""[..],
            b"\0\0\0\0",
            b"\x01\0\0\0\x02\x08\x01",
            b"\0\0\0\0\x03\x08\x01",
            b"\0\0\0\0\x02\x08\x01\x08",
            b"\0\0\0\0\x02\x08\x81",
            b"\0\0\0\0\x03\x12\x05a",
            b"\0\0\0\0\x01\x0b",
            b"\0\0\0\0\x0c\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        ] {
            let why = says(framed).unwrap_err();
            assert!(why.starts_with("its answer is no message"), "{why}");
        }
    }
}
