//! A request and its answer on one stream of an HTTP/2 connection.

use super::body::{BodyError, ProvenBody, Sending, Sent};
use super::exchange::Deadlines;
use super::http1::State;
use super::upload::{Cut, Upload, Uploading};
use super::upstream::{MAX_ANSWER_FIELDS, Slot};
use super::{Failed, Late};
use crate::clock::alarm::Alarm;
use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::{Reason, RecvStream};
use http::header::{CONTENT_LENGTH, HOST};
use http::request::Parts;
use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, Version, response};
use http_body::{Body as _, Frame, SizeHint};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::time::Instant;

/// Answers before the answer (1xx) that are passed over.
const MAX_INTERIM: usize = 8;
/// What a head may count that goes beside others. A server may end a connection, with all that is on
/// it, for one that is longer than it takes: from 8 KiB for a field (nginx; 4 KiB before 1.19.7), for all of
/// it (Netty), or from 16 KiB (`HAProxy`). What is added on the way has the rest.
const LONG_HEAD: usize = 4 * 1024;
/// What a field counts besides name and value (RFC 9113, section 6.5.2).
const FIELD: usize = 32;
/// What the widest byte counts: HTTP/2 packs those that are rare into up to 30 bits.
const WIDEST: usize = 4;

/// Sends `request` on the stream that `slot` is the place for, and waits for
/// the answer's head. An error comes with the request when the server has
/// certainly not processed it (RFC 9113, section 8.7).
pub(super) async fn send(
    slot: &mut Slot,
    scheme: Scheme,
    request: Request<ProvenBody>,
    deadlines: &Deadlines,
) -> Result<(response::Parts, Streamed), (Option<ProvenBody>, Failed)> {
    let (parts, mut body) = request.into_parts();
    let Some(head) = head(parts, scheme) else {
        let why = "the request's authority cannot be said in HTTP/2".to_owned();
        return Err((None, Failed::Invalid(why)));
    };
    let sending = body.watch();
    let unsent = |body, why: &h2::Error| {
        let why = format!("it did not take the request: {why}");
        (Some(body), Failed::Unreachable(why))
    };
    if let Err(why) = poll_fn(|cx| slot.sender().poll_ready(cx)).await {
        return Err(unsent(body, &why));
    }
    let (mut answer, stream) = match slot.sender().send_request(head, body.is_end_stream()) {
        Ok(sent) => sent,
        Err(why) => return Err(unsent(body, &why)),
    };
    let mut upload = Upload::new(stream, body);
    let from = Instant::now();
    let mut alarm = Alarm::default();
    let mut interim = 0;
    let response = poll_fn(|cx| {
        if let Poll::Ready(Err(Cut::Body(error))) = upload.poll(cx) {
            return Poll::Ready(Err(Ended::Body(error)));
        }
        if let Poll::Ready(answer) = poll_answer(&mut answer, &mut interim, cx) {
            return Poll::Ready(answer);
        }
        let state = match sending.as_deref().map(Sending::get) {
            // Without a body all of it is sent.
            None => State::Ended(from),
            Some(Sent::Ended(at)) => State::Ended(at),
            Some(Sent::Taken(at)) => State::Stuck(at),
            Some(Sent::AllThereIs) => State::AllThereIs,
        };
        deadlines
            .poll_late(state, from, |until| alarm.poll(cx, until))
            .map(|late| Err(Ended::Late(late)))
    })
    .await;
    match response {
        Ok(response) => {
            slot.heard();
            check(&response).map_err(|why| (None, Failed::Invalid(why.into())))?;
            let upload = upload.go_on(deadlines.end);
            let sending = sending.filter(|_| upload.is_some());
            let (head, body) = response.into_parts();
            let body = Streamed::new(body, &head, upload, sending);
            Ok((head, body))
        }
        Err(Ended::Body(error)) => Err((None, Failed::Body(error))),
        Err(Ended::Late(late)) => {
            slot.late();
            Err((None, Failed::late(late)))
        }
        Err(Ended::TooManyInterim) => {
            let why = format!("it has more than {MAX_INTERIM} interim answers");
            Err((None, Failed::Invalid(why)))
        }
        Err(Ended::Broken(why)) => {
            if has_ended(&why) {
                slot.over();
            }
            let unprocessed = upload.untouched().filter(|_| is_unprocessed(&why));
            if unprocessed.is_none() && (why.is_io() || why.is_go_away()) {
                slot.broke();
            }
            match unprocessed {
                Some(body) => Err(unsent(body, &why)),
                _ if why.is_io() && slot.is_dead() => Err((None, Failed::late(Late::Ping))),
                _ if why.is_io() => Err((None, Failed::Broke(why.to_string()))),
                _ => Err((None, Failed::Invalid(why.to_string()))),
            }
        }
    }
}

/// Whether a head is longer than what goes beside others, as a server may count it: unpacked or not.
pub(super) fn is_long(target: &str, authority: &str, fields: &HeaderMap) -> bool {
    let values = || {
        let values = fields.values().map(HeaderValue::as_bytes);
        values.chain([target.as_bytes(), authority.as_bytes()])
    };
    let names: usize = fields
        .iter()
        .map(|(name, _)| name.as_str().len() + FIELD)
        .sum();
    let bytes: usize = values().map(<[u8]>::len).sum();
    if names + bytes > LONG_HEAD || names + WIDEST * bytes <= LONG_HEAD {
        return names + bytes > LONG_HEAD;
    }
    let widths: usize = values().flatten().map(|byte| width(*byte)).sum();
    names + widths > LONG_HEAD
}

/// What a byte of a value counts, or more.
const fn width(byte: u8) -> usize {
    match byte {
        // At most 8 bits each (RFC 7541, appendix B).
        b'a'..=b'z' | b'A'..=b'Z' | b','..=b';' | b' ' | b'%' | b'&' | b'*' | b'=' | b'_' => 1,
        _ => WIDEST,
    }
}

/// Why there is no answer's head.
enum Ended {
    Body(BodyError),
    Late(Late),
    TooManyInterim,
    Broken(h2::Error),
}

fn poll_answer(
    answer: &mut ResponseFuture,
    interim: &mut usize,
    cx: &mut Context<'_>,
) -> Poll<Result<Response<RecvStream>, Ended>> {
    while let Poll::Ready(Some(one)) = answer.poll_informational(cx) {
        if let Err(why) = one {
            return Poll::Ready(Err(Ended::Broken(why)));
        }
        *interim += 1;
        if *interim > MAX_INTERIM {
            return Poll::Ready(Err(Ended::TooManyInterim));
        }
    }
    Pin::new(answer).poll(cx).map_err(Ended::Broken)
}

/// Whether the server says that it did nothing with the request: it refused
/// the stream, or said good-bye naming an earlier one as its last. Where it says so for an
/// error, the request itself may be that, and would end the next connection too.
fn is_unprocessed(why: &h2::Error) -> bool {
    let reason = if why.is_go_away() {
        Reason::NO_ERROR
    } else {
        Reason::REFUSED_STREAM
    };
    why.is_remote() && why.reason() == Some(reason)
}

/// Whether the stream was ended by the server, or with its connection: there
/// is nothing left of it that we could reset.
fn has_ended(why: &h2::Error) -> bool {
    why.is_remote() || why.is_io()
}

/// Whether it is the library that takes this stream for invalid. Where no body can be the length may be of another
/// answer (RFC 9110, section 8.6): that is an error to it unless the end comes with the head.
fn is_by_the_library(why: &h2::Error) -> bool {
    why.is_reset() && why.is_library() && why.reason() == Some(Reason::PROTOCOL_ERROR)
}

/// The head as HTTP/2 has it: the host is no field. None that belongs to a
/// connection was put among them ([`super::Outgoing::request`]).
fn head(mut parts: Parts, scheme: Scheme) -> Option<Request<()>> {
    let host = parts.headers.remove(HOST)?;
    let authority = Authority::try_from(host.as_bytes()).ok()?;
    let mut uri = http::uri::Parts::default();
    uri.scheme = Some(scheme);
    uri.authority = Some(authority);
    uri.path_and_query = Some(parts.uri.path_and_query()?.clone());
    let mut request = Request::new(());
    *request.method_mut() = parts.method;
    *request.uri_mut() = Uri::from_parts(uri).ok()?;
    *request.version_mut() = Version::HTTP_2;
    *request.headers_mut() = parts.headers;
    Some(request)
}

/// What the HTTP library lets through and two readers could read differently.
fn check(response: &Response<RecvStream>) -> Result<(), &'static str> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Err("it switches protocols, which HTTP/2 cannot");
    }
    if response.status().as_u16() >= 600 {
        return Err("its status is not between 100 and 599");
    }
    if response.headers().len() > MAX_ANSWER_FIELDS {
        return Err("it has too many fields");
    }
    let mut lengths = response.headers().get_all(CONTENT_LENGTH).iter();
    if lengths.next().is_some() && lengths.next().is_some() {
        return Err("there is more than one `Content-Length`");
    }
    Ok(())
}

/// An answer's body as it arrives.
pub(super) struct Streamed {
    body: RecvStream,
    /// Whether its status leaves no room for a body (RFC 9110, section 6.4.1).
    has_none: bool,
    is_data_over: bool,
    /// Of data still to come, where the server has said so.
    left: Option<u64>,
    /// The last of it, until it shows that nothing comes behind.
    last: Option<Bytes>,
    /// Whether it has ended, though the library takes that for an error.
    is_over: bool,
    /// Whether it broke off by the server, or with its connection.
    is_cut: bool,
    upload: Option<Uploading>,
    /// How the sending of the request's body goes, while it does.
    sending: Option<Arc<Sending>>,
}

impl Streamed {
    fn new(
        body: RecvStream,
        head: &response::Parts,
        upload: Option<Uploading>,
        sending: Option<Arc<Sending>>,
    ) -> Self {
        let length = head.headers.get(CONTENT_LENGTH);
        Self {
            body,
            has_none: matches!(
                head.status,
                StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
            ),
            is_data_over: false,
            left: length.and_then(|length| length.to_str().ok()?.parse().ok()),
            last: None,
            is_over: false,
            is_cut: false,
            upload,
            sending,
        }
    }

    /// When some of the request's body was last taken.
    pub(super) fn sent_at(&self) -> Option<Instant> {
        self.sending.as_deref().map(Sending::last_taken)
    }

    /// Whether its stream is over though it did not end: it broke off by the server, or with its
    /// connection.
    pub(super) const fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// What is left of the request's body, when the answer has ended.
    pub(super) const fn take_upload(&mut self) -> Option<Uploading> {
        self.upload.take()
    }

    fn broke_off(&mut self, why: &h2::Error) -> Failed {
        self.is_cut = has_ended(why);
        Failed::Invalid(format!("it broke off: {why}"))
    }

    /// The next frame.
    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failed>>> {
        if let Some(upload) = &mut self.upload
            && let Poll::Ready(end) = Pin::new(upload).poll(cx)
        {
            self.upload = None;
            if let Some(Err(Cut::Body(error))) = end {
                return Poll::Ready(Some(Err(Failed::Body(error))));
            }
        }
        while !self.is_data_over {
            match ready!(self.body.poll_data(cx)) {
                // The end alone.
                Some(Ok(data)) if data.is_empty() => {}
                Some(Ok(_)) if self.has_none => {
                    let why = "it has a body where none can be".to_owned();
                    return Poll::Ready(Some(Err(Failed::Invalid(why))));
                }
                Some(Ok(data)) => {
                    self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
                    if let Some(sending) = &self.sending {
                        sending.note_answer();
                    }
                    // The client has room for it: the server may send as much again.
                    let _ = self.body.flow_control().release_capacity(data.len());
                    if self.left == Some(0) && !self.body.is_end_stream() {
                        // With it the client has what was announced, and would take
                        // for whole what the library is about to call an error.
                        self.last = Some(data);
                        continue;
                    }
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Err(why)) if self.has_none && is_by_the_library(&why) => {
                    self.is_over = true;
                    return Poll::Ready(None);
                }
                Some(Err(why)) => return Poll::Ready(Some(Err(self.broke_off(&why)))),
                None => self.is_data_over = true,
            }
        }
        if let Some(last) = self.last.take() {
            return Poll::Ready(Some(Ok(Frame::data(last))));
        }
        Poll::Ready(match ready!(self.body.poll_trailers(cx)) {
            Ok(Some(trailers)) if trailers.len() > MAX_ANSWER_FIELDS => {
                Some(Err(Failed::Invalid("it has too many trailers".to_owned())))
            }
            Ok(Some(trailers)) => Some(Ok(Frame::trailers(trailers))),
            Ok(None) => None,
            Err(why) => Some(Err(self.broke_off(&why))),
        })
    }

    /// Whether nothing more comes.
    pub(super) fn is_end_stream(&self) -> bool {
        self.is_over || self.last.is_none() && self.body.is_end_stream()
    }

    /// Bytes to come, where that is known.
    pub(super) fn size_hint(&self) -> SizeHint {
        match self.left {
            _ if self.is_end_stream() => SizeHint::with_exact(0),
            Some(left) => {
                let last = self.last.as_ref().map_or(0, Bytes::len);
                SizeHint::with_exact(left + last as u64)
            }
            None => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_long_by_what_it_is_packed_or_unpacked() {
        for (byte, times, expected) in [
            (b'a', 4_000, false),
            (b'a', 4_100, true),
            (b'{', 1_000, false),
            (b'{', 1_100, true),
            (b'\xff', 1_100, true),
        ] {
            let value = HeaderValue::from_bytes(&[byte].repeat(times)).unwrap();
            let fields = HeaderMap::from_iter([(HOST, value)]);
            assert_eq!(is_long("/", "a", &fields), expected, "{byte} {times}");
        }
        let mut fields = HeaderMap::new();
        for _ in 0..130 {
            fields.append(HOST, HeaderValue::from_static(""));
        }
        assert!(is_long("/", "a", &fields));
        assert!(is_long(&"/".repeat(4_100), "a", &HeaderMap::new()));
    }
}
