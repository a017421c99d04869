//! What the benches of the whole gateway stand on: processes that are watched,
//! an origin, and a caller that signs ahead of time and speaks HTTP/1.1 and
//! HTTP/2 with as little work of its own as can be, since it shares a core with the origin.

pub(crate) mod calls;
pub(crate) mod certificate;
pub(crate) mod gateway;
pub(crate) mod http1;
pub(crate) mod http2;
pub(crate) mod link;
pub(crate) mod load;
pub(crate) mod origin;
pub(crate) mod process;
pub(crate) mod sign;
pub(crate) mod websocket;
