//! A backend of calls as gRPC has them, over HTTP/2 in clear text or under TLS: it begins its
//! answer at once, gives back what comes, and ends with a trailer. As servers do that pass bodies on, it gives
//! back the empty frame that ends a request, too, before the trailer: a frame that brings nothing, not even the end.

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Request, Response};
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

pub(crate) const MEDIA_TYPE: &str = "application/grpc";
/// The trailer that tells how a call went, and its value where all went well.
pub(crate) const STATUS: &str = "grpc-status";
pub(crate) const WELL: &str = "0";

/// Listens on a free port, in the runtime that we are in.
pub(crate) async fn start(tls: Option<TlsAcceptor>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let tls = tls.clone();
            tokio::spawn(async move {
                match tls {
                    None => serve(stream).await,
                    Some(tls) => {
                        if let Ok(stream) = tls.accept(stream).await {
                            serve(stream).await;
                        }
                    }
                }
            });
        }
    });
    address
}

/// Answers what comes, until the other side has enough.
async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin) {
    let Ok(mut connection) = h2::server::handshake(stream).await else {
        return;
    };
    while let Some(Ok((request, respond))) = connection.accept().await {
        tokio::spawn(answer(request, respond));
    }
}

async fn answer(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
) -> Result<(), h2::Error> {
    let head = Response::builder()
        .header(CONTENT_TYPE, MEDIA_TYPE)
        .body(())
        .expect("a head");
    let mut back = respond.send_response(head, false)?;
    let mut messages = request.into_body();
    while let Some(piece) = messages.data().await {
        let piece = piece?;
        messages.flow_control().release_capacity(piece.len())?;
        back.send_data(piece, false)?;
    }
    let mut trailers = HeaderMap::new();
    trailers.insert(STATUS, HeaderValue::from_static(WELL));
    back.send_trailers(trailers)
}
