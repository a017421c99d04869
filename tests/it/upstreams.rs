//! Upstreams over TLS, over HTTP/2 and through Unix sockets; gRPC both ways.

use crate::harness::{Binary, DEADLINE, Gateway, Setup, Token, Upstream, h2, h2_upstream, tls_upstream};
use crate::interop::installed;
use h2_upstream::Http2Upstream;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tls_upstream::{Authority, Wanted};
