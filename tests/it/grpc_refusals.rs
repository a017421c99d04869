//! Refused calls of gRPC: what its clients read.

use crate::harness::{Caller, Gateway, Request, Response, Setup, Upstream, caller};
use bytes::Bytes;
use http::HeaderMap;
use std::net::SocketAddr;

/// An answer as a client of HTTP/2 sees it that nobody here wrote.
#[derive(Debug)]
struct Answer {
    status: u16,
    fields: HeaderMap,
    /// Whether it ended with its head.
    head_only: bool,
}

impl Answer {
    fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(|value| value.to_str().unwrap())
    }
}

fn call(address: SocketAddr, request: &Request) -> Answer {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let request = request.clone();
    runtime.block_on(async move {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(async move {
            let _ = connection.await;
        });
        let mut head = http::Request::builder()
            .method(&*request.method)
            .uri(format!("http://{}{}", request.authority, request.target));
        for (name, value) in &request.fields {
            head = head.header(name, value);
        }
        let (answer, mut body) = client.send_request(head.body(()).unwrap(), false).unwrap();
        // The call goes on: what refuses it must not wait for its end.
        body.send_data(Bytes::from_static(b"\0\0\0\0\0"), false)
            .unwrap();
        let (head, body) = answer.await.unwrap().into_parts();
        Answer {
            status: head.status.as_u16(),
            fields: head.headers,
            head_only: body.is_end_stream(),
        }
    })
}

fn grpc(gateway: &Gateway) -> Request {
    gateway
        .request("POST", "/orders.Orders/Get")
        .field("Content-Type", "application/grpc+proto")
        .field("TE", "trailers")
}

/// As [`Caller::sign`], with a body's digest that is of something else.
fn signed(gateway: &Gateway, caller: &Caller) -> Request {
    let digest = crate::harness::caller::content_digest(b"\0\0\0\0\0");
    caller.sign(&grpc(gateway).field("Content-Digest", &digest))
}

#[test]
fn a_refused_call_ends_with_its_head_which_says_why() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    let answer = call(gateway.address(), &grpc(&gateway));
    assert_eq!(answer.status, 200);
    assert!(answer.head_only, "trailers-only: {answer:?}");
    assert_eq!(answer.field("content-type"), Some("application/grpc"));
    assert_eq!(answer.field("grpc-status"), Some("16"));
    assert_eq!(answer.field("portcullis-code"), Some("credential-missing"));
    assert!(
        answer
            .field("grpc-message")
            .is_some_and(|text| !text.is_empty())
    );
    assert_eq!(answer.field("content-length"), None);
    // What helps to sign stays.
    assert!(answer.field("accept-signature").is_some());
    assert!(answer.field("www-authenticate").is_some());
    let record = gateway.record(0);
    assert_eq!(
        (&record["status"], &record["code"]),
        (&401.into(), &"credential-missing".into())
    );
    assert_eq!(
        record["request_id"],
        answer.field("portcullis-request-id").unwrap()
    );
    upstream.assert_silent();
}

#[test]
fn each_refusal_has_the_status_that_grpc_gives_it() {
    let closed = crate::harness::Closed::port();
    let gateway = Setup::with_servers(&format!("\"http://{}\"", closed.address()))
        .routes(
            "[[routes]]\nname = \"all\"\npath = \"/orders.Orders/**\"\nupstream = \"backend\"\n\
             accept = [\"http-signature\"]\nbody = { verify = \"while-forwarding\" }\n\
             [[routes]]\nname = \"scoped\"\npath = \"/scoped/**\"\nupstream = \"backend\"\n\
             accept = [\"http-signature\"]\nscopes = [\"none\"]\n\
             [[routes]]\nname = \"get\"\npath = \"/get\"\nmethods = [\"GET\"]\nupstream = \"backend\"\n\
             accept = [\"public\"]\n",
        )
        .app("plan = \"slow\"")
        .more("[plans.slow]\nrate = \"1/h\"")
        .start();
    let to = |target: &str| {
        let mut request = grpc(&gateway);
        request.target = target.into();
        request
    };
    let digest = crate::harness::caller::content_digest(b"\0\0\0\0\0");
    let scoped = Caller::other().sign(&to("/scoped/x").field("Content-Digest", &digest));
    for (request, status, code) in [
        (to("/none"), "12", "no-route"),
        (to("/get"), "12", "method-not-allowed"),
        (to("/orders.Orders/%zz"), "13", "ambiguous-path"),
        (
            to("/orders.Orders/Get").field("Expect", "x"),
            "3",
            "expectation-failed",
        ),
        (scoped, "7", "scope-missing"),
        (signed(&gateway, &caller()), "14", "upstream-unreachable"),
        (signed(&gateway, &caller().nonce("2")), "8", "rate-exceeded"),
    ] {
        let answer = call(gateway.address(), &request);
        assert_eq!(
            (
                answer.status,
                answer.field("grpc-status"),
                answer.field("portcullis-code")
            ),
            (200, Some(status), Some(code)),
            "{answer:?}"
        );
        assert!(answer.head_only, "{answer:?}");
        if code == "rate-exceeded" {
            assert!(answer.field("retry-after").is_some(), "{answer:?}");
            assert!(answer.field("ratelimit").is_some(), "{answer:?}");
        }
    }
}

#[test]
fn over_http_1_1_it_is_the_same() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    let mut request = grpc(&gateway).body("x");
    request.fields[0].1 = "application/grpc-web".into();
    let response: Response = gateway.send(&request);
    assert_eq!(response.status, 200);
    assert_eq!(response.field("grpc-status"), Some("16"));
    assert_eq!(response.text(), "");
    assert!(response.complete);
}

#[test]
fn other_requests_are_refused_as_ever() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    let json = gateway
        .request("POST", "/")
        .field("Content-Type", "application/json");
    gateway
        .send(&json)
        .assert_refused(401, "credential-missing");
    let get = gateway
        .request("GET", "/")
        .field("Content-Type", "application/grpc");
    gateway.send(&get).assert_refused(401, "credential-missing");
}
