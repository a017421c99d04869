//! The HTTP library, which speaks HTTP/2 for us, with every bound set by us
//! and none left to its defaults.

use super::Deadlines;
use super::streams::Streams;
use h2::Reason;
use hyper::server::conn::http2;
use hyper_util::rt::TokioTimer;
use std::error::Error as _;
use std::time::Duration;

/// Requests at a time on one HTTP/2 connection.
pub(super) const H2_STREAMS: u32 = 100;
/// Bytes of a head after decompression, as RFC 9113 counts them (32 for each field on top). The library
/// refuses more in silence: it is some more than what may pass, so that most are refused by us.
const H2_HEAD: u32 = 48 * 1024;
/// Bytes of a frame.
const H2_FRAME: u32 = 16 * 1024;
/// Bytes of a body in flight, for each stream…
const H2_STREAM_WINDOW: u32 = 64 * 1024;
/// …and for the whole connection. Half of these is what small DATA that nobody has read may lack to
/// 256 bytes each, all together, before the library ends the connection: a stream's window full of messages
/// of 11 bytes or more, as gRPC frames them, is less, so that one server that pauses ends nobody's connection.
pub(super) const H2_CONNECTION_WINDOW: u32 = 2 * 1024 * 1024;
/// Bytes of a response kept for each stream until its client takes them.
const H2_SEND_BUFFER: usize = 64 * 1024;
/// Bytes that field compression may remember.
const H2_HEADER_TABLE: u32 = 4 * 1024;
/// Streams a client may open and reset before we look at them, until the connection ends.
const H2_RESETS_PENDING: usize = 20;
/// Streams we may have to reset for its errors, until the connection ends.
const H2_RESETS_LOCAL: usize = 100;
/// How often we ask whether an HTTP/2 client is still there, and how long it may take to say so.
const H2_PING_EVERY: Duration = Duration::from_secs(30);
const H2_PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Whether the library ended a connection since its client sent too much that is cheap for it.
pub(super) fn is_of_a_flood(error: &hyper::Error) -> bool {
    let cause = error.source();
    let cause = cause.and_then(|cause| cause.downcast_ref::<h2::Error>());
    cause.is_some_and(|cause| {
        cause.is_library() && cause.reason() == Some(Reason::ENHANCE_YOUR_CALM)
    })
}

/// HTTP/2.
pub(super) fn http2(deadlines: Deadlines) -> http2::Builder<Streams> {
    let mut builder = http2::Builder::new(Streams::new(deadlines));
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(H2_STREAMS)
        .max_header_list_size(H2_HEAD)
        .max_frame_size(H2_FRAME)
        .initial_stream_window_size(H2_STREAM_WINDOW)
        .initial_connection_window_size(H2_CONNECTION_WINDOW)
        .adaptive_window(false)
        .max_send_buf_size(H2_SEND_BUFFER)
        .header_table_size(H2_HEADER_TABLE)
        .max_pending_accept_reset_streams(H2_RESETS_PENDING)
        .max_local_error_reset_streams(H2_RESETS_LOCAL)
        .keep_alive_interval(H2_PING_EVERY)
        .keep_alive_timeout(H2_PING_TIMEOUT)
        .auto_date_header(true);
    builder
}
