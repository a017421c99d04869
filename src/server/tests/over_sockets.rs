//! The whole room: real sockets, real threads.

use super::*;
use crate::secret::Secret;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, CertifiedKey, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::net::SocketAddr;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

fn settings(workers: usize, max_connections: usize) -> Settings {
    Settings {
        listen: vec![
            Listen::Tcp("127.0.0.1:0".parse().unwrap()),
            Listen::Tcp("127.0.0.1:0".parse().unwrap()),
        ],
        socket_mode: 0o660,
        workers,
        tls: None,
        caps: Caps {
            connections: max_connections,
            ..NO_CAPS
        },
        forwarders: Forwarders::default(),
        deadlines: DEADLINES,
    }
}

struct Gateway {
    address: SocketAddr,
    toy: Toy,
    stop: CancellationToken,
    running: Option<Running>,
}

impl Gateway {
    fn start(settings: &Settings, certificates: Option<Arc<tls::Certificates>>) -> Self {
        let bound = bind(settings, &mut Handed::default()).unwrap();
        let address = bound.addresses()[0];
        let (toy, stop) = (Toy::new(), CancellationToken::new());
        let handler = toy.clone();
        let running = run(
            bound,
            settings,
            certificates,
            move |_| handler.clone(),
            &stop,
        )
        .unwrap();
        Self {
            address,
            toy,
            stop,
            running: Some(running),
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Stops and waits, without holding up the test's own tasks.
    async fn stop(&mut self) -> Drained {
        self.stop.cancel();
        let running = self.running.take().unwrap();
        tokio::task::spawn_blocking(move || running.wait())
            .await
            .unwrap()
    }
}

async fn ask(stream: &mut (impl AsyncWriteExt + AsyncReadExt + Unpin), text: &str) -> String {
    stream.write_all(&request(text)).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"]") {
        assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0);
    }
    bodies(std::str::from_utf8(&answer).unwrap()).remove(0)
}

#[tokio::test]
async fn every_worker_listens_on_every_address_and_answers() {
    let settings = settings(2, 100);
    let bound = bind(&settings, &mut Handed::default()).unwrap();
    let addresses = bound.addresses();
    assert_eq!(addresses.len(), 2);
    let stop = CancellationToken::new();
    let running = run(bound, &settings, None, |_| Toy::new(), &stop).unwrap();
    for address in addresses {
        for _ in 0..8 {
            let mut stream = TcpStream::connect(address).await.unwrap();
            assert_eq!(ask(&mut stream, "GET /1").await, "GET /1 []");
            assert_eq!(ask(&mut stream, "POST /2|x").await, "POST /2 [x]");
        }
    }
    stop.cancel();
    let drained = tokio::task::spawn_blocking(move || running.wait())
        .await
        .unwrap();
    assert_eq!(drained, Drained { cut: 0 });
}

#[tokio::test]
async fn of_sockets_that_share_a_port_each_is_served_by_some_worker() {
    for workers in [1, 2, 5] {
        let first = bind(&settings(3, 100), &mut Handed::default()).unwrap();
        let address = first.addresses()[0];
        let all = first.workers.into_iter().flatten();
        let sockets = all.map(|(listener, _)| listener).collect();
        let settings = Settings {
            listen: first.places.clone(),
            ..settings(workers, 100)
        };
        let mut handed = Handed::of(sockets).unwrap();
        let bound = bind(&settings, &mut handed).unwrap();
        handed.none_is_left(&settings.listen).unwrap();
        let stop = CancellationToken::new();
        let running = run(bound, &settings, None, |_| Toy::new(), &stop).unwrap();
        for _ in 0..32 {
            let mut stream = TcpStream::connect(address).await.unwrap();
            assert_eq!(ask(&mut stream, "GET /1").await, "GET /1 []");
        }
        stop.cancel();
        let wait = move || running.wait();
        tokio::task::spawn_blocking(wait).await.unwrap();
    }
}

#[test]
fn a_socket_handed_over_that_is_in_the_way_is_named_and_not_taken_for_another_gateway() {
    let every = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = every.local_addr().unwrap().port();
    let wanted = Listen::Tcp(format!("127.0.0.1:{port}").parse().unwrap());
    let settings = Settings {
        listen: vec![wanted.clone()],
        ..settings(1, 1)
    };
    let mut handed = Handed::of(vec![Listener::Tcp(every)]).unwrap();
    let errors = [
        bind(&settings, &mut handed).unwrap_err(),
        bind_single(&wanted, 0o660, &mut handed).unwrap_err(),
    ];
    for error in errors.map(|error| error.to_string()) {
        let said = format!(
            "cannot listen on `{wanted}`: the socket `0.0.0.0:{port}` that was handed over to us is in the way\n\nhint: `ListenStream=` of the socket unit"
        );
        assert!(error.starts_with(&said), "{error}");
    }
}

#[test]
fn a_unix_socket_handed_over_is_known_by_its_file_however_its_path_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gate.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let mut handed = Handed::of(vec![Listener::Unix(listener)]).unwrap();
    std::os::unix::fs::symlink(folder.path(), folder.path().join("here")).unwrap();
    let settings = Settings {
        listen: vec![Listen::Unix(folder.path().join("here/gate.sock"))],
        ..settings(2, 1)
    };
    let bound = bind(&settings, &mut handed).unwrap();
    assert!(bound.is_handed_on());
    handed.none_is_left(&settings.listen).unwrap();
}

/// Listens at addresses of both families, with one port.
fn bind_both(order: [&str; 2]) -> (Bound, Settings) {
    // At every address of both, without listening: nobody who asks for any port gets this one,
    // and we get it beside, since the system lets it be used again.
    let held = tokio::net::TcpSocket::new_v6().unwrap();
    held.set_reuseaddr(true).unwrap();
    held.bind("[::]:0".parse().unwrap()).unwrap();
    let port = held.local_addr().unwrap().port();
    let places = order.map(|all| Listen::Tcp(format!("{all}:{port}").parse().unwrap()));
    let settings = Settings {
        listen: places.to_vec(),
        ..settings(2, 100)
    };
    let bound = bind(&settings, &mut Handed::default()).unwrap();
    (bound, settings)
}

#[tokio::test]
async fn every_address_of_ipv4_and_of_ipv6_may_be_listened_on_side_by_side() {
    std::net::TcpListener::bind("[::1]:0")
        .expect("this test needs a system that speaks IPv6 to itself");
    for order in [
        ["0.0.0.0", "[::]"],
        ["[::]", "0.0.0.0"],
        ["[::]", "127.0.0.1"],
    ] {
        let (bound, settings) = bind_both(order);
        assert_eq!(bound.places(), settings.listen);
        let port = bound.addresses()[0].port();
        let stop = CancellationToken::new();
        let running = run(bound, &settings, None, |_| Toy::new(), &stop).unwrap();
        for loopback in ["127.0.0.1", "[::1]"] {
            let stream = TcpStream::connect(format!("{loopback}:{port}")).await;
            let mut stream = stream.unwrap_or_else(|why| panic!("{loopback}: {why}"));
            assert_eq!(ask(&mut stream, "GET /1").await, "GET /1 []");
        }
        stop.cancel();
        let wait = move || running.wait();
        tokio::task::spawn_blocking(wait).await.unwrap();
    }
}

#[test]
fn an_address_that_another_gateway_has_is_refused_with_a_hint() {
    let first = bind(&settings(1, 1), &mut Handed::default()).unwrap();
    let address = first.addresses()[0];
    let second = Settings {
        listen: vec![Listen::Tcp(address)],
        ..settings(2, 1)
    };
    let error = bind(&second, &mut Handed::default()).unwrap_err();
    assert!(matches!(&error, BindError::InUse(at) if *at == Listen::Tcp(address)));
    assert_eq!(
        error.to_string(),
        format!(
            "cannot listen on `{address}`: the address is in use\n\nhint: is another gateway running? set `[server] listen`"
        )
    );
    drop(first);
    assert_eq!(
        bind(&second, &mut Handed::default()).unwrap().addresses(),
        [address]
    );
}

#[test]
fn an_address_of_another_machine_is_refused_with_a_hint() {
    let settings = Settings {
        listen: vec![Listen::Tcp("192.0.2.1:0".parse().unwrap())],
        ..settings(1, 1)
    };
    assert!(matches!(
        bind(&settings, &mut Handed::default()),
        Err(BindError::NotHere(_))
    ));
}

#[tokio::test]
async fn connections_over_the_cap_are_closed_at_once() {
    let mut gateway = Gateway::start(&settings(2, 2), None);
    let mut first = gateway.connect().await;
    let mut second = gateway.connect().await;
    assert_eq!(ask(&mut first, "GET /1").await, "GET /1 []");
    assert_eq!(ask(&mut second, "GET /2").await, "GET /2 []");
    let mut third = gateway.connect().await;
    assert_eq!(third.read(&mut [0; 8]).await.unwrap_or(0), 0);
    // Those that are in notice nothing.
    assert_eq!(ask(&mut first, "GET /1").await, "GET /1 []");
    let counts = gateway.running.as_ref().unwrap().counts();
    assert_eq!(counts.full(), 1);
    // A place that is given back is the next one's.
    first.write_all(&request("GET /#")).await.unwrap();
    first.read_to_end(&mut Vec::new()).await.unwrap();
    drop(first);
    loop {
        let mut next = gateway.connect().await;
        let _ = next.write_all(&request("GET /3")).await;
        if next.read(&mut [0; 8]).await.is_ok_and(|read| read > 0) {
            break;
        }
    }
    drop(second);
    assert_eq!(gateway.stop().await, Drained { cut: 0 });
}

#[tokio::test]
async fn a_request_in_flight_is_finished_and_no_connection_accepted_after_a_stop() {
    let mut gateway = Gateway::start(&settings(1, 10), None);
    let mut stream = gateway.connect().await;
    stream.write_all(&request("GET /held")).await.unwrap();
    gateway.toy.begun.acquire().await.unwrap().forget();
    let idle = {
        let mut idle = gateway.connect().await;
        ask(&mut idle, "GET /1").await;
        idle
    };
    gateway.stop.cancel();
    // An idle connection ends only after the listeners are closed.
    let mut idle = idle;
    assert_eq!(idle.read(&mut [0; 8]).await.unwrap(), 0);
    assert!(TcpStream::connect(gateway.address).await.is_err());
    gateway.toy.release.add_permits(1);
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert_eq!(bodies(&answer), ["GET /held []"]);
    assert_eq!(gateway.stop().await, Drained { cut: 0 });
}

#[tokio::test]
async fn a_refused_client_that_keeps_sending_can_read_why() {
    let mut gateway = Gateway::start(&settings(1, 10), None);
    let stream = gateway.connect().await;
    let (mut read, mut write) = stream.into_split();
    write
        .write_all(b"GET /#x HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    let sending = tokio::spawn(async move {
        for _ in 0..20 {
            write.write_all(&[b'x'; 10 * 1024]).await.unwrap();
        }
        write
    });
    let write = sending.await.unwrap();
    let mut answer = String::new();
    read.read_to_string(&mut answer).await.unwrap();
    assert_eq!(bodies(&answer), ["Malformed(\"the target holds a `#`\")"]);
    drop((read, write));
    gateway.stop().await;
}

#[tokio::test]
async fn behind_an_answer_that_is_not_taken_the_system_holds_nothing_for_its_client() {
    let mut settings = settings(1, 1);
    settings.deadlines.write = Duration::from_millis(100);
    let mut gateway = Gateway::start(&settings, None);
    let counts = gateway.running.as_ref().unwrap().counts();
    let mut client = gateway.connect().await;
    let socket = socket2::SockRef::from(&client);
    socket.set_recv_buffer_size(64 * 1024).unwrap();
    client.write_all(&request("GET /vast")).await.unwrap();
    client.readable().await.unwrap();
    while counts.open() > 0 {
        tokio::task::yield_now().await;
    }
    let end = client.read_to_end(&mut Vec::new()).await;
    assert_eq!(end.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    gateway.stop().await;
}

fn certificate(name: &str) -> (tls::Settings, RootCertStore) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let settings = tls::Settings {
        certificate: made.cert.pem().into_bytes(),
        key: Secret::new(made.signing_key.serialize_pem().into_bytes()),
        clients: None,
    };
    (settings, roots)
}

fn connector(roots: RootCertStore, alpn: &[&str]) -> TlsConnector {
    connector_as(None, roots, alpn)
}

/// As [`connector`], for one who may show a certificate.
fn connector_as(
    client: Option<&CertifiedKey<KeyPair>>,
    roots: RootCertStore,
    alpn: &[&str],
) -> TlsConnector {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match client {
        None => config.with_no_client_auth(),
        Some(CertifiedKey { cert, signing_key }) => {
            let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
            config
                .with_client_auth_cert(vec![cert.der().clone()], key.into())
                .unwrap()
        }
    };
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

/// `mine`, for clients who may show, or have to, what one of these authorities has signed.
fn mutual(mine: &tls::Settings, authorities: String, is_required: bool) -> tls::Settings {
    tls::Settings {
        certificate: mine.certificate.clone(),
        key: Secret::new(mine.key.expose().to_vec()),
        clients: Some(tls::ClientAuth {
            authorities: authorities.into_bytes(),
            is_required,
        }),
    }
}

/// A client's certificate, and in PEM the authority that has signed it and no other.
fn client() -> (CertifiedKey<KeyPair>, String) {
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, "An authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let authority = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let params = CertificateParams::new(["client.test".to_owned()]).unwrap();
    let signing_key = KeyPair::generate().unwrap();
    let cert = params.signed_by(&signing_key, &issuer).unwrap();
    (CertifiedKey { cert, signing_key }, authority)
}

fn name(name: &str) -> ServerName<'static> {
    ServerName::try_from(name.to_owned()).unwrap()
}

#[tokio::test]
async fn the_protocol_over_tls_is_the_one_agreed_on() {
    let (mine, roots) = certificate("a.test");
    let certificates = Arc::new(tls::Certificates::new(&mine).unwrap());
    let mut gateway = Gateway::start(&settings(1, 10), Some(certificates));
    for alpn in [&[][..], &["http/1.1"]] {
        let tcp = gateway.connect().await;
        let connector = connector(roots.clone(), alpn);
        let mut stream = connector.connect(name("a.test"), tcp).await.unwrap();
        assert_eq!(ask(&mut stream, "GET /1").await, "GET /1 over TLS []");
        assert_eq!(ask(&mut stream, "POST /2|x").await, "POST /2 over TLS [x]");
    }
    let tcp = gateway.connect().await;
    let connector = connector(roots, &["h2", "http/1.1"]);
    let stream = connector.connect(name("a.test"), tcp).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    let connection = tokio::spawn(connection);
    let request = Request::get("https://a.test/3")
        .body(Full::<Bytes>::default())
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    let answer = response.collect().await.unwrap().to_bytes();
    assert_eq!(answer, "GET https://a.test/3 over TLS []");
    drop(sender);
    connection.await.unwrap().unwrap();
    assert_eq!(gateway.stop().await, Drained { cut: 0 });
}

#[tokio::test]
async fn a_replaced_certificate_is_shown_to_new_connections_and_old_ones_live_on() {
    let (old, old_roots) = certificate("old.test");
    let (new, new_roots) = certificate("new.test");
    let certificates = Arc::new(tls::Certificates::new(&old).unwrap());
    let mut gateway = Gateway::start(&settings(1, 10), Some(certificates.clone()));
    let before = connector(old_roots, &[]);
    let tcp = gateway.connect().await;
    let mut first = before.connect(name("old.test"), tcp).await.unwrap();
    assert_eq!(ask(&mut first, "GET /1").await, "GET /1 over TLS []");

    certificates.replace(&new).unwrap();
    let after = connector(new_roots, &[]);
    let tcp = gateway.connect().await;
    let mut second = after.connect(name("new.test"), tcp).await.unwrap();
    assert_eq!(ask(&mut second, "GET /2").await, "GET /2 over TLS []");
    assert_eq!(ask(&mut first, "GET /3").await, "GET /3 over TLS []");
    drop((first, second));
    gateway.stop().await;
}

#[tokio::test]
async fn a_client_certificate_that_is_taken_no_more_proves_nothing_and_ends_its_connection() {
    let (mine, roots) = certificate("a.test");
    let ((shows, authority), (_, other)) = (client(), client());
    let taking = |authorities| mutual(&mine, authorities, true);
    let first = taking(authority.clone());
    let certificates = Arc::new(tls::Certificates::new(&first).unwrap());
    let mut gateway = Gateway::start(&settings(1, 10), Some(certificates.clone()));

    let tcp = gateway.connect().await;
    let connector = connector_as(Some(&shows), roots.clone(), &[]);
    let mut one = connector.connect(name("a.test"), tcp).await.unwrap();
    let tcp = gateway.connect().await;
    let connector = connector_as(Some(&shows), roots, &["h2"]);
    let two = connector.connect(name("a.test"), tcp).await.unwrap();
    let (mut two, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(two))
            .await
            .unwrap();
    let connection = tokio::spawn(connection);
    let mut ask_two = async || {
        let request = Request::get("https://a.test/2");
        let request = request.body(Full::<Bytes>::default()).unwrap();
        let response = two.send_request(request).await.unwrap();
        response.collect().await.unwrap().to_bytes()
    };

    let both = taking(authority + &other);
    for settings in [&first, &both, &both] {
        certificates.replace(settings).unwrap();
        let answer = ask(&mut one, "GET /1").await;
        assert_eq!(answer, "GET /1 over mutual TLS []");
        let answer = ask_two().await;
        assert_eq!(answer, "GET https://a.test/2 over mutual TLS []");
    }
    certificates.replace(&taking(other)).unwrap();
    assert_eq!(ask(&mut one, "GET /1").await, "GET /1 over TLS []");
    assert_eq!(one.read(&mut [0]).await.unwrap(), 0);
    drop(one);
    assert_eq!(ask_two().await, "GET https://a.test/2 over TLS []");
    let _ = connection.await.unwrap();
    gateway.stop().await;
}

#[tokio::test]
async fn a_client_certificate_that_is_taken_no_more_leads_to_no_tunnel() {
    let (mine, roots) = certificate("a.test");
    let ((shows, authority), (_, other)) = (client(), client());
    let first = mutual(&mine, authority, true);
    let certificates = Arc::new(tls::Certificates::new(&first).unwrap());
    let mut gateway = Gateway::start(&settings(1, 10), Some(certificates.clone()));
    let tcp = gateway.connect().await;
    let connector = connector_as(Some(&shows), roots, &[]);
    let mut stream = connector.connect(name("a.test"), tcp).await.unwrap();
    let answer = ask(&mut stream, "GET /1").await;
    assert_eq!(answer, "GET /1 over mutual TLS []");

    let next = mutual(&mine, other, true);
    certificates.replace(&next).unwrap();
    let asking = "GET /switch HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
    stream.write_all(asking.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert_eq!(bodies(&answer), ["GET /switch over TLS []"]);
    gateway.stop().await;
}

/// Kind and stream of the next frame of HTTP/2; `None` at the end.
async fn next_frame(stream: &mut (impl AsyncReadExt + Unpin)) -> Option<(u8, u32)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.ok()?;
    let [a, b, c, kind, _, id @ ..] = head;
    let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
    stream.read_exact(&mut payload).await.ok()?;
    Some((kind, u32::from_be_bytes(id)))
}

#[tokio::test]
async fn a_client_whose_certificate_is_taken_no_more_cannot_keep_its_http_2_connection() {
    const HEADERS: u8 = 1;
    let (mine, roots) = certificate("a.test");
    let ((shows, authority), (_, other)) = (client(), client());
    let first = mutual(&mine, authority, true);
    let certificates = Arc::new(tls::Certificates::new(&first).unwrap());
    let mut gateway = Gateway::start(&settings(1, 10), Some(certificates.clone()));
    let tcp = gateway.connect().await;
    let connector = connector_as(Some(&shows), roots, &["h2"]);
    let mut stream = connector.connect(name("a.test"), tcp).await.unwrap();
    stream.write_all(HELLO).await.unwrap();
    // It always has a request in flight, and never answers our goodbye.
    let held = get_on(1, "/held", true);
    stream.write_all(&held).await.unwrap();
    gateway.toy.begun.acquire().await.unwrap().forget();

    let next = mutual(&mine, other, true);
    certificates.replace(&next).unwrap();
    let mut answered = 0;
    'open: for id in (3..).step_by(2).take(300) {
        if stream.write_all(&get_on(id, "/", true)).await.is_err() {
            break;
        }
        loop {
            match next_frame(&mut stream).await {
                None => break 'open,
                Some((HEADERS, of)) if of == id => break,
                Some(_) => {}
            }
        }
        answered += 1;
    }
    // The one by which the loss is found, and all that may cross our goodbye.
    assert_eq!(answered, 101);
    assert_eq!(gateway.stop().await, Drained { cut: 0 });
}

#[tokio::test]
async fn a_client_that_has_shown_no_certificate_has_one_answer_more_where_it_must_now() {
    let (mine, roots) = certificate("a.test");
    let (_, authority) = client();
    let optional = mutual(&mine, authority.clone(), false);
    let certificates = Arc::new(tls::Certificates::new(&optional).unwrap());
    let mut gateway = Gateway::start(&settings(1, 10), Some(certificates.clone()));
    let tcp = gateway.connect().await;
    let connector = connector(roots, &[]);
    let mut stream = connector.connect(name("a.test"), tcp).await.unwrap();
    for _ in 0..2 {
        assert_eq!(ask(&mut stream, "GET /1").await, "GET /1 over TLS []");
        certificates.replace(&optional).unwrap();
    }
    let required = mutual(&mine, authority, true);
    certificates.replace(&required).unwrap();
    assert_eq!(ask(&mut stream, "GET /2").await, "GET /2 over TLS []");
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    gateway.stop().await;
}

#[tokio::test]
async fn a_client_that_does_not_speak_tls_gives_its_place_back() {
    let (mine, roots) = certificate("a.test");
    let certificates = Arc::new(tls::Certificates::new(&mine).unwrap());
    let mut gateway = Gateway::start(&settings(1, 1), Some(certificates));
    let mut clear = gateway.connect().await;
    clear.write_all(&request("GET /1")).await.unwrap();
    let mut alert = Vec::new();
    clear.read_to_end(&mut alert).await.unwrap();
    assert_eq!(alert.first(), Some(&21), "a TLS alert");
    let tcp = gateway.connect().await;
    let connector = connector(roots, &[]);
    let mut stream = connector.connect(name("a.test"), tcp).await.unwrap();
    assert_eq!(ask(&mut stream, "GET /2").await, "GET /2 over TLS []");
    drop(stream);
    gateway.stop().await;
}
