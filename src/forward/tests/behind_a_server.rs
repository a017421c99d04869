//! The room with bodies as the HTTP library hands them over.

use super::*;
use crate::route::BodyPolicy;
use crate::schemes::digest::{CONTENT_DIGEST, Digests};
use http::StatusCode;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};

/// Forwards one request; a failure is answered with 502 and its text.
async fn pass(
    gate: Arc<Gate>,
    policy: BodyPolicy,
    request: Request<Incoming>,
) -> Response<Either<AnswerBody, Full<Bytes>>> {
    let (parts, body) = request.into_parts();
    let proof = match Digests::read(&parts.headers).unwrap() {
        Some(digests) => BodyProof::Digests(digests),
        None => BodyProof::Unproven,
    };
    let head = Head {
        parts: Box::new(parts),
        ..head(Method::GET, "/")
    };
    let meter = Meter::of(&body);
    let passed = match prepare(body, &proof, policy, meter).await {
        Ok(body) => gate.send(head, body).await,
        Err(error) => Err(error.into()),
    };
    match passed {
        Ok(answer) => answer.response.map(Either::Left),
        Err(failed) => {
            let mut response = Response::new(Either::Right(Full::from(failed.to_string())));
            *response.status_mut() = StatusCode::BAD_GATEWAY;
            response
        }
    }
}

/// Takes one connection and passes what comes on it through `gate`.
async fn front(gate: Gate, policy: BodyPolicy) -> u16 {
    let (listener, port) = listen().await;
    let gate = Arc::new(gate);
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let service = service_fn(move |request| {
            let passing = pass(gate.clone(), policy, request);
            async move { Ok::<_, std::convert::Infallible>(passing.await) }
        });
        let served = hyper_util::rt::TokioIo::new(stream);
        let mut first = [0; 3];
        let is_http2 = served.inner().peek(&mut first).await.unwrap() == 3 && &first == b"PRI";
        if is_http2 {
            hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(served, service)
                .await
        } else {
            hyper::server::conn::http1::Builder::new()
                .half_close(true)
                .serve_connection(served, service)
                .await
        }
    });
    port
}

async fn connect(port: u16) -> TcpStream {
    TcpStream::connect(("127.0.0.1", port)).await.unwrap()
}

async fn answer_of(mut client: TcpStream) -> String {
    client.shutdown().await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_tampered_upload_is_cut_before_its_end_and_told() {
    let (listener, port) = listen().await;
    let (seen, has_seen) = tokio::sync::oneshot::channel();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let head = read_head(&mut stream).await;
        seen.send(()).unwrap();
        let mut body = Vec::new();
        let _ = stream.read_to_end(&mut body).await;
        (head, body)
    });
    let mut client = connect(front(Gate::before(&[port]), WHILE).await).await;
    let digest = Digests::field_of(b"hello world!");
    let start = format!(
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-digest: {digest}\r\ncontent-length: 12\r\n\r\nhello "
    );
    client.write_all(start.as_bytes()).await.unwrap();
    // The upstream has heard of the request, and the rest is another one.
    has_seen.await.unwrap();
    client.write_all(b"there!").await.unwrap();
    let answer = answer_of(client).await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    assert!(answer.ends_with("the body does not match its digest"));
    let (head, body) = server.await.unwrap();
    assert!(head.contains("content-length: 12\r\n"), "{head}");
    assert!(body.len() < 12, "{body:?}");
}

#[tokio::test]
async fn a_client_that_leaves_in_a_body_that_is_checked_first_reaches_no_server() {
    let (listener, port) = listen().await;
    let mut client = connect(front(Gate::before(&[port]), BEFORE).await).await;
    let digest = Digests::field_of(b"hello");
    let start = format!(
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-digest: {digest}\r\ncontent-length: 5\r\n\r\nhel"
    );
    client.write_all(start.as_bytes()).await.unwrap();
    answer_of(client).await;
    let none = listener.into_std().unwrap().accept().unwrap_err();
    assert_eq!(none.kind(), io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn a_large_upload_arrives_whole_either_way() {
    let body: Vec<u8> = (0..2_000_000_u32).map(|n| ((n * 31) >> 7) as u8).collect();
    for policy in [BEFORE, WHILE] {
        let echo = Gate::set(&[], |it| it.servers.push(Server::Echo));
        let mut client = connect(front(echo, policy).await).await;
        let digest = Digests::field_of(&body);
        let head = format!(
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-digest: {digest}\r\ncontent-length: 2000000\r\n\r\n"
        );
        client.write_all(head.as_bytes()).await.unwrap();
        client.write_all(&body).await.unwrap();
        let answer = answer_of(client).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(answer.contains("\"length\": 2000000"), "{answer}");
        let sha256 = data_encoding::HEXLOWER.encode(&crate::crypto::digest::sha256(&[&body]));
        assert!(answer.contains(&sha256), "{answer}");
    }
}

#[tokio::test]
async fn an_http2_request_goes_on_as_http1_with_one_cookie_and_the_right_framing() {
    for (declared, framing) in [
        (Some("5"), "content-length: 5"),
        (None, "transfer-encoding: chunked"),
    ] {
        let (listener, port) = listen().await;
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let head = read_head(&mut stream).await;
            let wanted = if head.contains("chunked") { 15 } else { 5 };
            let mut body = vec![0; wanted];
            stream.read_exact(&mut body).await.unwrap();
            stream.write_all(OK).await.unwrap();
            (head, String::from_utf8(body).unwrap())
        });
        let client = connect(front(Gate::before(&[port]), WHILE).await).await;
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(client))
                .await
                .unwrap();
        tokio::spawn(connection);
        let mut request = Request::post("http://api.example.com/")
            .header("cookie", "a=1")
            .header("cookie", "b=2")
            .header(CONTENT_DIGEST, Digests::field_of(b"hello"));
        if let Some(length) = declared {
            request = request.header(CONTENT_LENGTH, length);
        }
        let body = Framed::of_unknown_length(&[b"hello"]);
        let response = sender
            .send_request(request.body(body).unwrap())
            .await
            .unwrap();
        let answer = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(answer, "ok");
        let (head, body) = server.await.unwrap();
        assert!(head.starts_with("POST / HTTP/1.1\r\n"), "{head}");
        assert!(head.contains("\r\ncookie: a=1; b=2\r\n"), "{head}");
        assert!(head.contains("\r\nvia: 2.0 portcullis\r\n"), "{head}");
        assert!(head.contains(&format!("\r\n{framing}\r\n")), "{head}");
        assert!(
            body == "hello" || body == "5\r\nhello\r\n0\r\n\r\n",
            "{body}"
        );
    }
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_request_along() {
    let (listener, port) = listen().await;
    let (seen, has_seen) = tokio::sync::oneshot::channel();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_head(&mut stream).await;
        seen.send(()).unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    });
    let mut client = connect(front(Gate::before(&[port]), WHILE).await).await;
    client
        .write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\npart")
        .await
        .unwrap();
    has_seen.await.unwrap();
    drop(client);
    server.await.unwrap();
}
