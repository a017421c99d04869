//! The room before servers that speak TLS.

use super::*;
use crate::forward::upstream::tls;
use h2::server;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Who a server is, and who trusts it: PEM, and its key.
struct Shown {
    certificate: String,
    key: String,
}

impl Shown {
    fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        Self {
            certificate: made.cert.pem(),
            key: made.signing_key.serialize_pem(),
        }
    }

    /// Settles on one of `alpn`; a client may say who it is, if `asks`.
    fn acceptor(&self, alpn: &[&str], asks: bool) -> TlsAcceptor {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let chain = CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap();
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if asks {
            let mut roots = RootCertStore::empty();
            roots.add(chain.clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .allow_unauthenticated()
                .build()
                .unwrap();
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        let mut config = builder.with_single_cert(vec![chain], key).unwrap();
        config.alpn_protocols = alpn.iter().map(|one| one.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }

    /// A gate before a server of this certificate.
    fn gate(&self, port: u16, set: impl FnOnce(&mut Settings)) -> Gate {
        let trust = tls::Settings {
            ca: Some(self.certificate.clone().into_bytes()),
            identity: None,
            server_name: Some("localhost".into()),
        };
        Gate::set(&[], |it| {
            it.servers.push(Server::Https {
                host: "127.0.0.1".into(),
                port,
            });
            it.tls = Some(Arc::new(tls::Client::new(&trust, it.protocol).unwrap()));
            set(it);
        })
    }
}

async fn accept(listener: &TcpListener, acceptor: &TlsAcceptor) -> TlsStream<TcpStream> {
    let (stream, _) = listener.accept().await.unwrap();
    acceptor.accept(stream).await.unwrap()
}

/// Answers with `ok`, in the version that was settled on, until the client has gone.
async fn answer(stream: TcpStream, acceptor: TlsAcceptor) {
    let Ok(mut stream) = acceptor.accept(stream).await else {
        return;
    };
    if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
        while stream.read_u8().await.is_ok() {
            read_head(&mut stream).await;
            stream.write_all(OK).await.unwrap();
            stream.flush().await.unwrap();
        }
        return;
    }
    let Ok(mut connection) = server::handshake(stream).await else {
        return;
    };
    while let Some(Ok((_, mut answer))) = connection.accept().await {
        let mut body = answer.send_response(Response::new(()), false).unwrap();
        body.send_data(Bytes::from_static(b"ok"), true).unwrap();
    }
}

#[tokio::test]
async fn a_connection_that_breaks_is_no_refusal_where_the_server_asks_who_we_are() {
    let (listener, port) = listen().await;
    let shown = Shown::new();
    let acceptor = shown.acceptor(&["http/1.1"], true);
    let server = tokio::spawn(async move {
        let mut first = accept(&listener, &acceptor).await;
        read_head(&mut first).await;
        drop(first);
        let mut second = accept(&listener, &acceptor).await;
        read_head(&mut second).await;
        second.write_all(OK).await.unwrap();
        second.flush().await.unwrap();
        second
    });
    let gate = shown.gate(port, |_| {});
    assert_eq!(text(gate.get("/").await).await, "ok");
    server.await.unwrap();
}

#[tokio::test]
async fn what_is_no_answer_is_no_refusal_where_the_server_asks_who_we_are() {
    let (listener, port) = listen().await;
    let shown = Shown::new();
    let acceptor = shown.acceptor(&["http/1.1"], true);
    let server = tokio::spawn(async move {
        let mut stream = accept(&listener, &acceptor).await;
        read_head(&mut stream).await;
        stream.write_all(b"hello\r\n\r\n").await.unwrap();
        stream.flush().await.unwrap();
        stream
    });
    let failed = shown.gate(port, |_| {}).get("/").await.unwrap_err();
    assert!(matches!(failed, Failed::Invalid(_)), "{failed}");
    server.await.unwrap();
}

#[tokio::test]
async fn a_server_that_only_asked_who_we_are_has_no_hint_when_it_is_gone() {
    let (listener, port) = listen().await;
    let shown = Shown::new();
    let acceptor = shown.acceptor(&["http/1.1"], true);
    let server = tokio::spawn(async move {
        let mut stream = accept(&listener, &acceptor).await;
        read_head(&mut stream).await;
        let last = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
        stream.write_all(last).await.unwrap();
        stream.shutdown().await.unwrap();
    });
    let gate = shown.gate(port, |_| {});
    assert_eq!(text(gate.get("/").await).await, "");
    server.await.unwrap();
    let failed = gate.get("/").await.unwrap_err();
    assert!(matches!(failed, Failed::Unreachable(_)), "{failed}");
    assert!(!failed.to_string().contains("hint"), "{failed}");
}

#[tokio::test]
async fn who_could_not_leave_http_leaves_his_connection_to_the_next_who_wants_to() {
    let (listener, port) = listen().await;
    let shown = Shown::new();
    let acceptor = shown.acceptor(&["h2", "http/1.1"], false);
    let connections = Arc::new(AtomicUsize::new(0));
    let counter = connections.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            counter.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(answer(stream, acceptor.clone()));
        }
    });
    for others_come_first in [true, false] {
        let gate = shown.gate(port, |_| {});
        let before = connections.load(Ordering::SeqCst);
        if others_come_first {
            assert_eq!(text(gate.get("/").await).await, "ok");
        }
        for _ in 0..20 {
            let mut asks = head(Method::GET, "/");
            asks.upgrade = Some("websocket".parse().unwrap());
            assert_eq!(text(gate.send(asks, nothing().await).await).await, "ok");
            // Over HTTP/2.
            assert_eq!(text(gate.get("/").await).await, "ok");
        }
        assert_eq!(connections.load(Ordering::SeqCst) - before, 2);
    }
}

#[tokio::test]
async fn connections_that_wait_for_requests_of_another_kind_make_way() {
    const PLACES: usize = 2;
    let (listener, port) = listen().await;
    let shown = Shown::new();
    let acceptor = shown.acceptor(&["h2", "http/1.1"], false);
    let open = Arc::new(AtomicUsize::new(0));
    let (counter, (closed, mut ends)) = (open.clone(), mpsc::unbounded_channel());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            counter.fetch_add(1, Ordering::SeqCst);
            let (counter, closed, acceptor) = (counter.clone(), closed.clone(), acceptor.clone());
            tokio::spawn(async move {
                answer(stream, acceptor).await;
                counter.fetch_sub(1, Ordering::SeqCst);
                let _ = closed.send(());
            });
        }
    });
    let gate = shown.gate(port, |it| it.max_connections = PLACES);
    let asks = || {
        let mut asks = head(Method::GET, "/");
        asks.upgrade = Some("websocket".parse().unwrap());
        asks
    };
    // As many connections wait as there are places.
    let both = tokio::join!(async { gate.send(asks(), nothing().await).await }, async {
        gate.send(asks(), nothing().await).await
    },);
    assert_eq!(text(both.0).await + &text(both.1).await, "okok");
    assert_eq!(open.load(Ordering::SeqCst), PLACES);
    // One makes way for a head that goes over HTTP/2 and apart.
    assert_eq!(
        text(gate.send(long_head(), nothing().await).await).await,
        "ok"
    );
    ends.recv().await.unwrap();
    assert_eq!(open.load(Ordering::SeqCst), PLACES);
}

#[tokio::test]
async fn whoever_asks_a_server_of_http2_alone_to_leave_http_ejects_it_not() {
    let (listener, port) = listen().await;
    let shown = Shown::new();
    let acceptor = shown.acceptor(&["h2"], false);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(answer(stream, acceptor.clone()));
        }
    });
    let gate = shown.gate(port, |it| {
        it.balance.ejection = Some(Ejection {
            failures: 1,
            time: LONG,
            at_most: 100,
        });
    });
    let mut asks = head(Method::GET, "/");
    asks.upgrade = Some("websocket".parse().unwrap());
    let failed = gate.send(asks, nothing().await).await.unwrap_err();
    assert!(matches!(failed, Failed::Unreachable(_)), "{failed}");
    assert_eq!(gate.upstream.servers_by_state()[0], ("up", 1));
    assert_eq!(text(gate.get("/").await).await, "ok");
}

#[tokio::test]
async fn a_server_that_comes_to_speak_http2_gets_one_connection_for_many_requests() {
    const AT_ONCE: usize = 64;
    let (listener, port) = listen().await;
    let shown = Shown::new();
    let (before, since) = (
        shown.acceptor(&["http/1.1"], false),
        shown.acceptor(&["h2"], false),
    );
    let connections = Arc::new(AtomicUsize::new(0));
    let counter = connections.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let is_first = counter.fetch_add(1, Ordering::SeqCst) == 0;
            let acceptor = if is_first { &before } else { &since };
            tokio::spawn(answer(stream, acceptor.clone()));
        }
    });
    let gate = Arc::new(shown.gate(port, |it| it.max_connections = AT_ONCE));
    assert_eq!(text(gate.get("/").await).await, "ok");
    let mut made = 0;
    for _ in 0..2 {
        // Longer than a connection is kept without a request. Time stands still for that alone: handshakes take some.
        tokio::time::pause();
        sleep(Duration::from_mins(1)).await;
        tokio::time::resume();
        let until_now = connections.load(Ordering::SeqCst);
        let burst: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                let gate = gate.clone();
                tokio::spawn(async move { text(gate.get("/").await).await })
            })
            .collect();
        for one in burst {
            assert_eq!(one.await.unwrap(), "ok");
        }
        made = connections.load(Ordering::SeqCst) - until_now;
    }
    assert_eq!(made, 1);
}
