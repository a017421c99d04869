//! The room before HTTP/2 servers.

use super::*;
use crate::sending::tests::with_little_room;
use h2::server::{self, SendResponse};
use h2::{Reason, RecvStream};
use http::StatusCode;
use std::future::poll_fn;
use std::ops::Range;
use tokio::sync::mpsc;

/// A gate that knows that the servers speak HTTP/2.
fn gate(ports: &[u16]) -> Gate {
    set(ports, |_| {})
}

fn set(ports: &[u16], set: impl FnOnce(&mut Settings)) -> Gate {
    Gate::set(ports, |it| {
        it.protocol = Protocol::Http2;
        set(it);
    })
}

type Connection = server::Connection<TcpStream, Bytes>;
type Stream = (Request<RecvStream>, SendResponse<Bytes>);

async fn accept(listener: &TcpListener) -> Connection {
    accept_with(listener, &mut server::Builder::new()).await
}

async fn accept_with(listener: &TcpListener, builder: &mut server::Builder) -> Connection {
    let (stream, _) = listener.accept().await.unwrap();
    builder.handshake(stream).await.unwrap()
}

/// Takes requests on one connection and hands them to the test, until it ends.
fn taking(mut connection: Connection) -> mpsc::Receiver<Stream> {
    let (sender, receiver) = mpsc::channel(16);
    tokio::spawn(async move {
        while let Some(Ok(stream)) = connection.accept().await {
            let _ = sender.send(stream).await;
        }
    });
    receiver
}

fn ok(answer: &mut SendResponse<Bytes>) {
    let mut body = answer.send_response(Response::new(()), false).unwrap();
    body.send_data(Bytes::from_static(b"ok"), true).unwrap();
}

/// Answers everything on every connection with `ok`; tells how many connections came.
fn answering(listener: TcpListener, streams: u32) -> Arc<AtomicUsize> {
    let connections = Arc::new(AtomicUsize::new(0));
    let counter = connections.clone();
    tokio::spawn(async move {
        loop {
            let mut builder = server::Builder::new();
            builder.max_concurrent_streams(streams);
            let connection = accept_with(&listener, &mut builder).await;
            counter.fetch_add(1, Ordering::SeqCst);
            let mut requests = taking(connection);
            tokio::spawn(async move {
                while let Some((_, mut answer)) = requests.recv().await {
                    ok(&mut answer);
                }
            });
        }
    });
    connections
}

#[tokio::test]
async fn many_requests_share_one_connection_and_say_their_authority() {
    let (listener, port) = listen().await;
    let server = tokio::spawn(async move {
        let mut requests = taking(accept(&listener).await);
        let mut seen = Vec::new();
        // Answered only when all of them are there.
        for _ in 0..3 {
            seen.push(requests.recv().await.unwrap());
        }
        for (_, answer) in &mut seen {
            ok(answer);
        }
        seen.swap_remove(0).0
    });
    let gate = gate(&[port]);
    let mut first = head(Method::GET, "/a%2fB/?");
    first
        .parts
        .headers
        .append("te", "trailers".parse().unwrap());
    first
        .parts
        .headers
        .append("connection", "te, x-hop".parse().unwrap());
    first.parts.headers.append("x-hop", "1".parse().unwrap());
    let all = tokio::join!(
        async { text(gate.send(first, nothing().await).await).await },
        async { text(gate.get("/").await).await },
        async { text(gate.get("/").await).await },
    );
    assert_eq!(all, ("ok".into(), "ok".into(), "ok".into()));
    let seen = server.await.unwrap();
    assert_eq!(seen.uri(), "http://api.example.com/a%2fB/?");
    assert_eq!(seen.headers()["te"], "trailers");
    for gone in ["host", "connection", "x-hop", "transfer-encoding"] {
        assert!(!seen.headers().contains_key(gone), "{gone}");
    }
}

#[tokio::test]
async fn a_body_goes_out_with_its_length_or_without_and_whole() {
    let (listener, port) = listen().await;
    let server = tokio::spawn(async move {
        let mut requests = taking(accept(&listener).await);
        let mut got = Vec::new();
        for _ in 0..2 {
            let (request, mut answer) = requests.recv().await.unwrap();
            let (head, mut body) = request.into_parts();
            let mut bytes = Vec::new();
            while let Some(data) = body.data().await {
                let data = data.unwrap();
                body.flow_control().release_capacity(data.len()).unwrap();
                bytes.extend_from_slice(&data);
            }
            let length = head.headers.get(CONTENT_LENGTH).cloned();
            got.push((length, bytes.len()));
            ok(&mut answer);
        }
        got
    });
    let gate = gate(&[port]);
    let piece: &'static [u8] = &PIECE;
    for body in [
        Framed::of_known_length(&[piece, piece, b"end"]),
        Framed::of_unknown_length(&[piece, piece, b"end"]),
    ] {
        assert_eq!(text(gate.post(unproven(body).await).await).await, "ok");
    }
    let bytes = 2 * PIECE.len() + 3;
    let got = server.await.unwrap();
    assert_eq!(got[0], (Some(bytes.into()), bytes));
    assert_eq!(got[1], (None, bytes));
}

#[tokio::test]
async fn a_second_connection_is_made_when_all_streams_of_the_first_are_in_use() {
    let (listener, port) = listen().await;
    let server = tokio::spawn(async move {
        let mut streams = Vec::new();
        for _ in 0..2 {
            let mut builder = server::Builder::new();
            builder.max_concurrent_streams(1);
            let connection = accept_with(&listener, &mut builder).await;
            let mut requests = taking(connection);
            streams.push(requests.recv().await.unwrap());
            // Kept, so that it goes on to be read.
            tokio::spawn(async move { while requests.recv().await.is_some() {} });
        }
        for (_, answer) in &mut streams {
            ok(answer);
        }
        listener
    });
    let gate = gate(&[port]);
    let both = tokio::join!(async { text(gate.get("/").await).await }, async {
        text(gate.get("/").await).await
    },);
    assert_eq!(both, ("ok".into(), "ok".into()));
    server.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn requests_at_a_time_are_bounded_by_max_connections() {
    let (listener, port) = listen().await;
    let server = tokio::spawn(async move {
        let mut requests = taking(accept(&listener).await);
        let first = requests.recv().await.unwrap();
        (first, requests)
    });
    let gate = set(&[port], |it| {
        it.max_connections = 1;
        it.connect = Duration::from_secs(3);
    });
    let ((), second) = tokio::join!(
        async {
            tokio::select! {
                _ = gate.get("/") => panic!("nobody answers"),
                () = tokio::time::sleep(Duration::from_secs(10)) => {}
            }
        },
        gate.get("/"),
    );
    let Err(Failed::Overloaded(why)) = second else {
        panic!("there is no place");
    };
    assert!(why.contains("all of its 1 connections are in use"), "{why}");
    drop(server.await.unwrap());
}

#[tokio::test]
async fn a_refused_stream_goes_on_elsewhere_with_its_body() {
    let (listener, port) = listen().await;
    let server = tokio::spawn(async move {
        let mut requests = taking(accept(&listener).await);
        let (_, mut answer) = requests.recv().await.unwrap();
        ok(&mut answer);
        let (_, mut answer) = requests.recv().await.unwrap();
        answer.send_reset(Reason::REFUSED_STREAM);
        // Another connection, and the same request.
        let mut requests = taking(accept(&listener).await);
        let (request, mut answer) = requests.recv().await.unwrap();
        let mut body = request.into_body();
        let data = body.data().await.unwrap().unwrap();
        ok(&mut answer);
        data
    });
    let gate = gate(&[port]);
    assert_eq!(text(gate.get("/").await).await, "ok");
    let body = unproven(Framed::of_known_length(&[b"hello"])).await;
    assert_eq!(text(gate.post(body).await).await, "ok");
    assert_eq!(server.await.unwrap(), "hello");
}

#[tokio::test]
async fn a_stream_that_is_refused_on_a_connection_made_for_it_goes_out_on_another() {
    let (listener, port) = listen().await;
    let server = tokio::spawn(async move {
        let mut requests = taking(accept(&listener).await);
        let (_, mut answer) = requests.recv().await.unwrap();
        answer.send_reset(Reason::REFUSED_STREAM);
        let mut requests = taking(accept(&listener).await);
        let (request, mut answer) = requests.recv().await.unwrap();
        let data = request.into_body().data().await.unwrap().unwrap();
        ok(&mut answer);
        data
    });
    let gate = gate(&[port]);
    let body = unproven(Framed::of_known_length(&[b"hello"])).await;
    assert_eq!(text(gate.post(body).await).await, "ok");
    assert_eq!(server.await.unwrap(), "hello");
}

#[tokio::test]
async fn a_server_that_refuses_every_stream_is_asked_twice_for_each_request() {
    let (listener, port) = listen().await;
    let refused = Arc::new(AtomicUsize::new(0));
    let counter = refused.clone();
    tokio::spawn(async move {
        loop {
            let mut requests = taking(accept(&listener).await);
            let counter = counter.clone();
            tokio::spawn(async move {
                while let Some((_, mut answer)) = requests.recv().await {
                    counter.fetch_add(1, Ordering::SeqCst);
                    answer.send_reset(Reason::REFUSED_STREAM);
                }
            });
        }
    });
    let gate = gate(&[port]);
    for requests in 1..=3 {
        let failed = gate.get("/").await.unwrap_err();
        assert!(matches!(failed, Failed::Unreachable(_)), "{failed}");
        assert_eq!(refused.load(Ordering::SeqCst), 2 * requests);
    }
}

/// Says good-bye for `code` to every request, as if it had come behind the last one that is
/// processed; tells how many came.
fn taking_none(listener: TcpListener, code: u8) -> Arc<AtomicUsize> {
    let came = Arc::new(AtomicUsize::new(0));
    let counter = came.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // It ends when we leave.
            tokio::spawn(take_none(stream, code, counter.clone()));
        }
    });
    came
}

async fn take_none(mut stream: TcpStream, code: u8, came: Arc<AtomicUsize>) -> io::Result<()> {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let settings = [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 100];
    stream.write_all(&settings).await?;
    stream.read_exact(&mut [0; PREFACE.len()]).await?;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        stream.read_exact(&mut vec![0; length as usize]).await?;
        let is_request = head[3] == 1;
        if is_request {
            came.fetch_add(1, Ordering::SeqCst);
            let bye = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, code];
            stream.write_all(&bye).await?;
        }
    }
}

#[tokio::test]
async fn what_a_good_bye_left_behind_goes_elsewhere_but_not_where_it_tells_an_error() {
    // A request that is the error would end one connection after the other.
    for (reason, times) in [(Reason::NO_ERROR, 4), (Reason::ENHANCE_YOUR_CALM, 1)] {
        let ((one, port), (other, other_port)) = (listen().await, listen().await);
        let code = u32::from(reason) as u8;
        let came = [taking_none(one, code), taking_none(other, code)];
        let gate = gate(&[port, other_port]);
        let failed = gate.post(nothing().await).await.unwrap_err();
        let came: usize = came.iter().map(|came| came.load(Ordering::SeqCst)).sum();
        assert_eq!(came, times, "{reason}: {failed}");
    }
}

#[tokio::test]
async fn a_long_head_goes_over_a_connection_that_no_other_request_is_on() {
    let (listener, port) = listen().await;
    let (asked, mut requests) = mpsc::channel(16);
    tokio::spawn(async move {
        for connection in 0.. {
            let mut streams = taking(accept(&listener).await);
            let asked = asked.clone();
            tokio::spawn(async move {
                while let Some((_, answer)) = streams.recv().await {
                    asked.send((connection, answer)).await.unwrap();
                }
            });
        }
    });
    let gate = Arc::new(gate(&[port]));
    let send = |head| {
        let gate = gate.clone();
        tokio::spawn(async move { text(gate.send(head, nothing().await).await).await })
    };
    let mut under_way = Vec::new();
    for (head, expected) in [
        (head(Method::GET, "/"), 0),
        (long_head(), 1),
        (long_head(), 2),
        (head(Method::GET, "/"), 0),
    ] {
        let going = send(head);
        let (connection, answer) = requests.recv().await.unwrap();
        assert_eq!(connection, expected);
        under_way.push((going, answer));
    }
    for (going, mut answer) in under_way {
        ok(&mut answer);
        assert_eq!(going.await.unwrap(), "ok");
    }
    // They wait for the next of their kind, the last one first.
    for (head, expected) in [(long_head(), 2), (head(Method::GET, "/"), 0)] {
        let going = send(head);
        let (connection, mut answer) = requests.recv().await.unwrap();
        assert_eq!(connection, expected);
        ok(&mut answer);
        assert_eq!(going.await.unwrap(), "ok");
    }
}

#[tokio::test]
async fn long_heads_for_which_their_connections_end_eject_no_server() {
    let mut ports = Vec::new();
    for _ in 0..2 {
        let (listener, port) = listen().await;
        ports.push(port);
        tokio::spawn(async move {
            loop {
                let mut connection = accept(&listener).await;
                let begun = connection.accept().await;
                drop((connection, begun));
            }
        });
    }
    let gate = set(&ports, |it| {
        it.balance.ejection = Some(Ejection {
            failures: 1,
            time: LONG,
            at_most: 50,
        });
    });
    for _ in 0..4 {
        let failed = gate.send(long_head(), nothing().await).await.unwrap_err();
        assert!(matches!(failed, Failed::Broke(_)), "{failed}");
    }
    assert_eq!(gate.upstream.servers_by_state()[0], ("up", 2));
}

#[tokio::test]
async fn a_connection_that_breaks_is_one_failure_however_many_requests_are_on_it() {
    const AT_ONCE: usize = 8;
    let (listener, port) = listen().await;
    tokio::spawn(async move {
        loop {
            let mut connection = accept(&listener).await;
            let mut begun = Vec::new();
            while begun.len() < AT_ONCE {
                begun.push(connection.accept().await.unwrap().unwrap());
            }
            drop((connection, begun));
        }
    });
    let gate = Arc::new(set(&[port], |it| {
        it.max_connections = AT_ONCE;
        it.balance.ejection = Some(Ejection {
            failures: 2,
            time: LONG,
            at_most: 100,
        });
    }));
    for up in [1, 0] {
        let asked: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                let gate = gate.clone();
                tokio::spawn(async move { gate.post(nothing().await).await })
            })
            .collect();
        for one in asked {
            let failed = one.await.unwrap().unwrap_err();
            assert!(matches!(failed, Failed::Broke(_)), "{failed}");
        }
        assert_eq!(gate.upstream.servers_by_state()[0], ("up", up));
    }
}

#[tokio::test]
async fn a_stream_that_was_reset_for_any_other_reason_is_not_sent_again() {
    let (listener, port) = listen().await;
    let server = tokio::spawn(async move {
        let mut requests = taking(accept(&listener).await);
        let (_, mut answer) = requests.recv().await.unwrap();
        answer.send_reset(Reason::INTERNAL_ERROR);
        // The connection lives on.
        let (_, mut answer) = requests.recv().await.unwrap();
        ok(&mut answer);
    });
    let gate = gate(&[port]);
    let failed = gate.get("/").await.unwrap_err();
    assert!(matches!(failed, Failed::Invalid(_)), "{failed}");
    assert_eq!(text(gate.get("/").await).await, "ok");
    server.await.unwrap();
}

#[tokio::test]
async fn after_a_good_bye_new_requests_go_on_a_new_connection_and_old_ones_end() {
    let (listener, port) = listen().await;
    let (said, has_said) = tokio::sync::oneshot::channel();
    let server = tokio::spawn(async move {
        let mut connection = accept(&listener).await;
        let (_, mut answer) = connection.accept().await.unwrap().unwrap();
        connection.graceful_shutdown();
        let mut body = answer.send_response(Response::new(()), false).unwrap();
        let old = tokio::spawn(async move { while connection.accept().await.is_some() {} });
        said.send(()).unwrap();
        let mut requests = taking(accept(&listener).await);
        let (_, mut answer) = requests.recv().await.unwrap();
        ok(&mut answer);
        body.send_data(Bytes::from_static(b"old"), true).unwrap();
        old.await.unwrap();
    });
    let gate = gate(&[port]);
    let first = gate.get("/").await;
    has_said.await.unwrap();
    // Until the good-bye is heard a request may still be sent, and is refused or answered.
    assert_eq!(text(gate.get("/").await).await, "ok");
    assert_eq!(text(first).await, "old");
    server.await.unwrap();
}

#[tokio::test]
async fn a_request_whose_client_leaves_is_reset_alone() {
    let (listener, port) = listen().await;
    let (arrived, has_arrived) = tokio::sync::oneshot::channel();
    let server = tokio::spawn(async move {
        let mut requests = taking(accept(&listener).await);
        let (_, mut left) = requests.recv().await.unwrap();
        arrived.send(()).unwrap();
        let reason = poll_fn(|cx| left.poll_reset(cx)).await.unwrap();
        let (_, mut answer) = requests.recv().await.unwrap();
        ok(&mut answer);
        reason
    });
    let gate = gate(&[port]);
    tokio::select! {
        _ = gate.get("/") => panic!("nobody answers"),
        arrived = has_arrived => arrived.unwrap(),
    }
    assert_eq!(text(gate.get("/").await).await, "ok");
    assert_eq!(server.await.unwrap(), Reason::CANCEL);
}

#[tokio::test]
async fn clients_that_come_and_go_end_no_connection_that_others_are_answered_on() {
    let (listener, port) = listen().await;
    let (arrived, mut arrivals) = mpsc::channel(1);
    let connections = Arc::new(AtomicUsize::new(0));
    let counter = connections.clone();
    tokio::spawn(async move {
        loop {
            let mut requests = taking(accept(&listener).await);
            counter.fetch_add(1, Ordering::SeqCst);
            let arrived = arrived.clone();
            tokio::spawn(async move {
                while let Some((_, answer)) = requests.recv().await {
                    arrived.send(answer).await.unwrap();
                }
            });
        }
    });
    let gate = Arc::new(gate(&[port]));
    let held = tokio::spawn({
        let gate = gate.clone();
        async move { text(gate.get("/").await).await }
    });
    let mut first = arrivals.recv().await.unwrap();
    // Servers count over half a minute: Netty up to 200.
    for reset in 0..200 {
        tokio::select! {
            _ = gate.get("/") => panic!("nobody answers"),
            arrived = arrivals.recv() => drop(arrived),
        }
        assert_eq!(connections.load(Ordering::SeqCst), 1 + reset / 100);
    }
    ok(&mut first);
    assert_eq!(held.await.unwrap(), "ok");
}

#[tokio::test(start_paused = true)]
async fn clients_that_come_and_go_make_us_reset_no_more_than_a_bound() {
    let (listener, port) = listen().await;
    let began = Arc::new(AtomicUsize::new(0));
    let counter = began.clone();
    tokio::spawn(async move {
        let mut requests = taking(accept(&listener).await);
        let (_, mut answer) = requests.recv().await.unwrap();
        ok(&mut answer);
        // Kept: to drop one would end it.
        let mut under_way = Vec::new();
        while let Some(stream) = requests.recv().await {
            under_way.push(stream);
            counter.fetch_add(1, Ordering::SeqCst);
        }
    });
    let gate = set(&[port], |it| {
        it.max_connections = 8;
        it.connect = Duration::from_secs(3);
    });
    assert_eq!(text(gate.get("/").await).await, "ok");
    // Time stands still until nothing else can move: each of them arrives.
    for _ in 0..900 {
        let impatient = tokio::time::timeout(Duration::from_millis(1), gate.get("/"));
        impatient.await.unwrap_err();
    }
    // What is free in a second, and then a place each.
    let began = began.load(Ordering::SeqCst);
    assert!((64..=64 + 8).contains(&began), "{began}");
}

#[tokio::test(start_paused = true)]
async fn the_next_server_has_its_own_time_to_connect() {
    let ((_silent, silent), (listener, port)) = (listen().await, listen().await);
    answering(listener, 100);
    // Which of the two is asked first is left to chance.
    for _ in 0..8 {
        let gate = set(&[silent, port], |it| it.connect = Duration::from_secs(3));
        assert_eq!(text(gate.get("/").await).await, "ok");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_time_is_over_goes_to_no_other_server() {
    let ((_one, one), (_other, other)) = (listen().await, listen().await);
    let gate = set(&[one, other], |it| {
        it.total = Duration::from_secs(3);
        it.balance.ejection = Some(Ejection {
            failures: 1,
            time: LONG,
            at_most: 100,
        });
    });
    let failed = gate.get("/").await.unwrap_err();
    let late = failed.to_string();
    let names = |port| {
        late == format!("the upstream did not begin to speak HTTP/2 in time: `127.0.0.1:{port}`")
    };
    assert!(names(one) || names(other), "{late}");
    // Only the one that took all of it is to blame.
    assert_eq!(gate.upstream.servers_by_state()[0], ("up", 1));
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_a_place_is_not_the_servers_time_to_connect() {
    let (listener, port) = listen().await;
    tokio::spawn(async move {
        let mut old = accept(&listener).await;
        let (_, mut answer) = old.accept().await.unwrap().unwrap();
        old.graceful_shutdown();
        tokio::spawn(async move { while old.accept().await.is_some() {} });
        sleep(Duration::from_secs(2)).await;
        ok(&mut answer);
        let (stream, _) = listener.accept().await.unwrap();
        sleep(Duration::from_millis(1_500)).await;
        let mut requests = taking(server::handshake(stream).await.unwrap());
        let (_, mut answer) = requests.recv().await.unwrap();
        ok(&mut answer);
    });
    let gate = set(&[port], |it| {
        it.max_connections = 1;
        it.connect = Duration::from_secs(3);
    });
    let both = tokio::join!(async { text(gate.get("/").await).await }, async {
        text(gate.get("/").await).await
    });
    assert_eq!(both, ("ok".into(), "ok".into()));
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_stream_that_was_refused_is_not_the_servers_time_to_connect() {
    let (listener, port) = listen().await;
    tokio::spawn(async move {
        let mut requests = taking(accept(&listener).await);
        let (_, mut answer) = requests.recv().await.unwrap();
        ok(&mut answer);
        let (_, mut answer) = requests.recv().await.unwrap();
        sleep(Duration::from_secs(3)).await;
        answer.send_reset(Reason::REFUSED_STREAM);
        let (stream, _) = listener.accept().await.unwrap();
        sleep(Duration::from_millis(500)).await;
        let mut requests = taking(server::handshake(stream).await.unwrap());
        let (_, mut answer) = requests.recv().await.unwrap();
        ok(&mut answer);
    });
    let gate = set(&[port], |it| it.connect = Duration::from_secs(2));
    for _ in 0..2 {
        assert_eq!(text(gate.get("/").await).await, "ok");
    }
}

#[tokio::test]
async fn answers_that_the_server_breaks_off_leave_their_places_at_once() {
    const AT_ONCE: usize = 80;
    let (listener, port) = listen().await;
    let (go, going) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let mut connection = accept(&listener).await;
        let mut begun = Vec::new();
        while begun.len() < AT_ONCE {
            let (_, mut answer) = connection.accept().await.unwrap().unwrap();
            begun.push(answer.send_response(Response::new(()), false).unwrap());
        }
        tokio::select! {
            _ = connection.accept() => panic!("nobody asks for more"),
            told = going => told.unwrap(),
        }
        drop((connection, begun));
    });
    let gate = Arc::new(set(&[port], |it| it.max_connections = AT_ONCE));
    let begun = at_once(&gate, AT_ONCE).await;
    assert_eq!(gate.pool.free_places(), 0);
    go.send(()).unwrap();
    for answer in begun {
        whole(answer).await.unwrap_err();
    }
    // None of them was for us to reset, and is paid for.
    assert_eq!(gate.pool.free_places(), AT_ONCE);
}

/// What begins to come for so many requests that are sent together.
async fn at_once(gate: &Arc<Gate>, count: usize) -> Vec<Answer> {
    let asked: Vec<_> = (0..count)
        .map(|_| {
            let gate = gate.clone();
            tokio::spawn(async move { gate.get("/").await.unwrap() })
        })
        .collect();
    let mut answers = Vec::new();
    for one in asked {
        answers.push(one.await.unwrap());
    }
    answers
}

#[tokio::test]
async fn requests_that_ask_to_leave_http_eject_no_server() {
    let ((one, port), (other, other_port)) = (listen().await, listen().await);
    answering(one, 100);
    answering(other, 100);
    let gate = set(&[port, other_port], |it| {
        it.balance.ejection = Some(Ejection {
            failures: 2,
            time: LONG,
            at_most: 100,
        });
    });
    for _ in 0..10 {
        let mut asks = head(Method::GET, "/");
        asks.upgrade = Some("websocket".parse().unwrap());
        let failed = gate.send(asks, nothing().await).await.unwrap_err();
        assert!(matches!(failed, Failed::Unreachable(_)), "{failed}");
    }
    assert_eq!(gate.upstream.servers_by_state()[0], ("up", 2));
    // No other could do it, and is asked.
    assert_eq!(gate.upstream.retries()[0], ("sent", 0));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_asks_to_leave_http_takes_no_stream() {
    let (listener, port) = listen().await;
    answering(listener, 100);
    let gate = set(&[port], |it| it.max_connections = 1);
    assert_eq!(text(gate.get("/").await).await, "ok");
    let from = Instant::now();
    for _ in 0..100 {
        let mut asks = head(Method::GET, "/");
        asks.upgrade = Some("websocket".parse().unwrap());
        let failed = gate.send(asks, nothing().await).await.unwrap_err();
        assert!(matches!(failed, Failed::Unreachable(_)), "{failed}");
    }
    assert_eq!(text(gate.get("/").await).await, "ok");
    // Nothing was begun that had to be reset, and paid for.
    assert_eq!(from.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn trailers_and_an_answer_of_trailers_only_pass() {
    let (listener, port) = listen().await;
    tokio::spawn(async move {
        let mut requests = taking(accept(&listener).await);
        let (_, mut answer) = requests.recv().await.unwrap();
        let mut body = answer.send_response(Response::new(()), false).unwrap();
        body.send_data(Bytes::from_static(b"ok"), false).unwrap();
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", "9".parse().unwrap());
        trailers.insert("x-unknown", "kept".parse().unwrap());
        trailers.insert("portcullis-app", "forged".parse().unwrap());
        trailers.insert("set-cookie", "a=b".parse().unwrap());
        body.send_trailers(trailers).unwrap();
        let (_, mut answer) = requests.recv().await.unwrap();
        let mut head = Response::new(());
        head.headers_mut()
            .insert("grpc-status", "5".parse().unwrap());
        answer.send_response(head, true).unwrap();
        requests.recv().await
    });
    let gate = gate(&[port]);
    let answer = gate.get("/").await.unwrap();
    let whole = answer.response.into_body().collect().await.unwrap();
    let trailers = whole.trailers().unwrap();
    assert_eq!(trailers["grpc-status"], "9");
    assert_eq!(trailers["x-unknown"], "kept");
    assert_eq!(trailers.len(), 2);
    let only = gate.get("/").await.unwrap().response;
    assert_eq!(only.headers()["grpc-status"], "5");
    assert!(http_body::Body::is_end_stream(only.body()));
}

#[tokio::test]
async fn an_answer_to_head_keeps_its_length_and_has_no_body() {
    let (listener, port) = listen().await;
    tokio::spawn(async move {
        let mut requests = taking(accept(&listener).await);
        let (_, mut answer) = requests.recv().await.unwrap();
        let head = Response::builder().header(CONTENT_LENGTH, "9");
        answer.send_response(head.body(()).unwrap(), true).unwrap();
        requests.recv().await
    });
    let gate = gate(&[port]);
    let answer = gate.send(head(Method::HEAD, "/"), nothing().await).await;
    let answer = answer.unwrap();
    assert_eq!(answer.response.headers()[CONTENT_LENGTH], "9");
    assert_eq!(whole(answer).await.unwrap(), "");
}

#[tokio::test]
async fn data_where_no_body_can_be_are_an_error() {
    for status in [204, 304] {
        let (listener, port) = listen().await;
        tokio::spawn(async move {
            let mut requests = taking(accept(&listener).await);
            let (_, mut answer) = requests.recv().await.unwrap();
            let head = Response::builder().status(status).body(()).unwrap();
            let mut out = answer.send_response(head, false).unwrap();
            out.send_data(Bytes::from_static(b"hello"), true).unwrap();
            requests.recv().await
        });
        let gate = gate(&[port]);
        let failed = whole(gate.get("/").await.unwrap()).await.unwrap_err();
        assert!(failed.to_string().contains("where none can be"), "{failed}");
    }
}

#[tokio::test]
async fn a_304_may_tell_a_length_and_end_behind_its_head() {
    let (listener, port) = listen().await;
    tokio::spawn(async move {
        let mut requests = taking(accept(&listener).await);
        let (_, mut answer) = requests.recv().await.unwrap();
        let head = Response::builder().status(304).header(CONTENT_LENGTH, "5");
        let head = head.body(()).unwrap();
        let mut out = answer.send_response(head, false).unwrap();
        out.send_data(Bytes::new(), true).unwrap();
        let (_, mut answer) = requests.recv().await.unwrap();
        ok(&mut answer);
        requests.recv().await
    });
    let gate = gate(&[port]);
    let answer = gate.get("/").await.unwrap();
    assert_eq!(answer.response.status(), StatusCode::NOT_MODIFIED);
    let mut body = answer.response.into_body();
    assert!(body.frame().await.is_none());
    // Else it would be told as cut.
    assert!(body.is_end_stream());
    assert_eq!(text(gate.get("/").await).await, "ok");
}

#[tokio::test]
async fn empty_frames_of_many_answers_end_no_connection_that_others_are_answered_on() {
    const ROUNDS: usize = 250;
    let (listener, port) = listen().await;
    let connections = Arc::new(AtomicUsize::new(0));
    let counter = connections.clone();
    let (held, mut waits) = mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            let mut requests = taking(accept(&listener).await);
            counter.fetch_add(1, Ordering::SeqCst);
            let held = held.clone();
            tokio::spawn(async move {
                while let Some((request, mut answer)) = requests.recv().await {
                    let mut body = answer.send_response(Response::new(()), false).unwrap();
                    if request.uri().path() == "/held" {
                        held.send(body).await.unwrap();
                        continue;
                    }
                    body.send_data(Bytes::new(), false).unwrap();
                    body.send_data(Bytes::from_static(b"ok"), true).unwrap();
                }
            });
        }
    });
    let gate = Arc::new(set(&[port], |it| it.max_connections = 400));
    let held = gate.get("/held").await.unwrap();
    for _ in 0..ROUNDS {
        assert_eq!(text(gate.get("/").await).await, "ok");
    }
    let mut rest = waits.recv().await.unwrap();
    rest.send_data(Bytes::from_static(b"held"), true).unwrap();
    assert_eq!(whole(held).await.unwrap(), "held");
    // Each is left while as many are free as there were.
    assert_eq!(connections.load(Ordering::SeqCst), ROUNDS / 50);
    for _ in 0..2 {
        for answer in at_once(&gate, 150).await {
            assert_eq!(whole(answer).await.unwrap(), "ok");
        }
    }
}

/// A body of what is sent to it, unproven.
async fn fed() -> (mpsc::Sender<Bytes>, ProvenBody) {
    let (pieces, body) = mpsc::channel(1);
    let body = prepare(Fed(body), &BodyProof::Unproven, BEFORE, Meter::default());
    (pieces, body.await.unwrap())
}

/// Sends each piece of the first request back before the next one comes.
async fn echo(listener: TcpListener) -> Option<Stream> {
    let mut requests = taking(accept(&listener).await);
    let (request, mut answer) = requests.recv().await.unwrap();
    let mut body = request.into_body();
    let mut out = answer.send_response(Response::new(()), false).unwrap();
    while let Some(data) = body.data().await {
        let data = data.unwrap();
        body.flow_control().release_capacity(data.len()).unwrap();
        out.send_data(data, false).unwrap();
    }
    out.send_data(Bytes::new(), true).unwrap();
    requests.recv().await
}

#[tokio::test]
async fn an_early_answer_and_the_rest_of_the_body_go_on_together() {
    let (listener, port) = listen().await;
    let server = tokio::spawn(echo(listener));
    let (pieces, body) = fed().await;
    let gate = gate(&[port]);
    let answer = gate.post(body).await.unwrap();
    let mut echo = answer.response.into_body();
    for piece in ["one", "two", "three"] {
        pieces.send(Bytes::from(piece)).await.unwrap();
        let frame = echo.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), piece);
    }
    drop(pieces);
    assert!(echo.frame().await.is_none());
    drop((gate, echo));
    server.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_a_client_sends_keeps_a_stream_open_whose_server_is_silent() {
    let (listener, port) = listen().await;
    tokio::spawn(async move {
        let mut requests = taking(accept(&listener).await);
        let (request, mut answer) = requests.recv().await.unwrap();
        let _out = answer.send_response(Response::new(()), false).unwrap();
        let mut body = request.into_body();
        while body.data().await.is_some_and(|data| data.is_ok()) {}
    });
    let (pieces, body) = fed().await;
    let gate = set(&[port], |it| it.idle = Duration::from_secs(3));
    let mut answer = gate.post(body).await.unwrap().response.into_body();
    let started = tokio::time::Instant::now();
    let feeding = async {
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_secs(2)).await;
            pieces.send(Bytes::from_static(b"x")).await.unwrap();
        }
    };
    let (frame, ()) = tokio::join!(answer.frame(), feeding);
    let failed = frame.unwrap().unwrap_err();
    assert_eq!(failed.to_string(), "the upstream did not go on in time");
    assert_eq!(started.elapsed().as_secs(), 13);
    drop(pieces);
}

#[tokio::test(start_paused = true)]
async fn small_pieces_that_are_answered_one_by_one_wait_for_no_others() {
    // Time passes where nothing else is to be done: by 5 ms where one waits, and by whole seconds, until a look at the connection,
    // where the system is late with what was sent.
    const WAITS: Range<Duration> = Duration::from_millis(1)..Duration::from_secs(1);
    let (listener, port) = listen().await;
    tokio::spawn(echo(listener));
    let (pieces, body) = fed().await;
    let gate = gate(&[port]);
    let mut echo = gate.post(body).await.unwrap().response.into_body();
    let mut waited = 0;
    for _ in 0..1_000 {
        let from = Instant::now();
        pieces.send(Bytes::from_static(b"x")).await.unwrap();
        echo.frame().await.unwrap().unwrap();
        waited += u32::from(WAITS.contains(&from.elapsed()));
    }
    // Else each would, but for a hundred.
    assert_eq!(waited, 0);
}

#[tokio::test]
async fn many_small_pieces_of_a_body_go_in_few_frames() {
    let (listener, port) = listen().await;
    let server = tokio::spawn(async move {
        let mut requests = taking(accept(&listener).await);
        let (request, mut answer) = requests.recv().await.unwrap();
        let mut body = request.into_body();
        let (mut frames, mut bytes) = (0, Vec::new());
        while let Some(data) = body.data().await {
            frames += 1;
            bytes.extend_from_slice(&data.unwrap());
        }
        ok(&mut answer);
        tokio::spawn(async move { requests.recv().await });
        (frames, bytes)
    });
    let (pieces, body) = fed().await;
    let gate = gate(&[port]);
    let sent: Vec<u8> = (0..10_000).map(|number| number as u8).collect();
    let from = Instant::now();
    let feeding = async {
        for piece in sent.chunks(1) {
            pieces.send(Bytes::copy_from_slice(piece)).await.unwrap();
        }
        drop(pieces);
    };
    let (answer, ()) = tokio::join!(gate.post(body), feeding);
    assert_eq!(text(answer).await, "ok");
    let (frames, got) = server.await.unwrap();
    assert_eq!(got, sent);
    // A hundred in a second, one for each 5 ms, ten of 1,024 bytes, and the end.
    let most = 112 + from.elapsed().as_millis() * 3 / 10;
    assert!(frames <= most, "{frames} frames");
}

#[tokio::test]
async fn what_has_no_body_is_tried_once_more_where_its_connection_breaks() {
    let (listener, port) = listen().await;
    let server = tokio::spawn(async move {
        let mut first = accept(&listener).await;
        let stream = first.accept().await.unwrap().unwrap();
        drop((stream, first));
        let mut requests = taking(accept(&listener).await);
        let (_, mut answer) = requests.recv().await.unwrap();
        ok(&mut answer);
        requests.recv().await
    });
    let gate = gate(&[port]);
    assert_eq!(text(gate.get("/").await).await, "ok");
    drop(gate);
    server.await.unwrap();
}

#[tokio::test]
async fn a_body_found_wrong_after_an_early_answer_cuts_both() {
    let (listener, port) = listen().await;
    let server = tokio::spawn(async move {
        let mut requests = taking(accept(&listener).await);
        let (request, mut answer) = requests.recv().await.unwrap();
        let _out = answer.send_response(Response::new(()), false).unwrap();
        let mut body = request.into_body();
        let mut got = Vec::new();
        loop {
            match body.data().await {
                Some(Ok(data)) => got.extend_from_slice(&data),
                Some(Err(why)) => return (got, why.reason()),
                None => panic!("a clean end"),
            }
        }
    });
    let (pieces, body) = mpsc::channel::<Bytes>(1);
    let digest = digest_of(b"other");
    let body = prepare(Fed(body), &digest, WHILE, Meter::default())
        .await
        .unwrap();
    let gate = gate(&[port]);
    let mut answer = gate.post(body).await.unwrap().response.into_body();
    for piece in ["one", "two"] {
        pieces.send(Bytes::from(piece)).await.unwrap();
    }
    drop(pieces);
    let error = answer.frame().await.unwrap().unwrap_err();
    assert!(error.to_string().contains("does not match"), "{error}");
    let (got, reason) = server.await.unwrap();
    // The reset may overtake what was sent before it; what is held back never comes.
    assert!(b"one".starts_with(&got), "{got:?}");
    assert_eq!(reason, Some(Reason::CANCEL));
}

#[tokio::test(start_paused = true)]
async fn what_is_left_of_a_body_after_the_whole_answer_has_a_bound() {
    let (listener, port) = listen().await;
    let server = tokio::spawn(async move {
        let mut requests = taking(accept(&listener).await);
        let (request, mut answer) = requests.recv().await.unwrap();
        ok(&mut answer);
        let mut body = request.into_body();
        assert_eq!(body.data().await.unwrap().unwrap(), "part");
        // Still open: the answer did not end it.
        body.data().await.unwrap().unwrap_err().reason()
    });
    let body = unproven(Framed::of_unknown_length(&[b"part"]).then_stalls()).await;
    let gate = gate(&[port]);
    let started = tokio::time::Instant::now();
    assert_eq!(text(gate.post(body).await).await, "ok");
    assert_eq!(server.await.unwrap(), Some(Reason::CANCEL));
    assert_eq!(started.elapsed().as_secs(), 10);
}

#[tokio::test]
async fn an_answer_that_is_reset_in_the_middle_is_an_error() {
    for reason in [Reason::INTERNAL_ERROR, Reason::CANCEL, Reason::NO_ERROR] {
        let (listener, port) = listen().await;
        tokio::spawn(async move {
            let mut requests = taking(accept(&listener).await);
            let (_, mut answer) = requests.recv().await.unwrap();
            let mut body = answer.send_response(Response::new(()), false).unwrap();
            body.send_data(Bytes::from_static(b"hel"), false).unwrap();
            body.send_reset(reason);
            requests.recv().await
        });
        let gate = gate(&[port]);
        let failed = match gate.get("/").await {
            Ok(answer) => whole(answer).await.is_err(),
            Err(failed) => matches!(failed, Failed::Invalid(_)),
        };
        assert!(failed, "{reason}");
    }
}

#[tokio::test]
async fn an_answer_that_is_no_valid_one_is_none() {
    let many: HeaderMap = (0..101)
        .map(|n| (format!("x-{n}").parse().unwrap(), "y".parse().unwrap()))
        .collect();
    let lengths: HeaderMap = {
        let mut lengths = HeaderMap::new();
        lengths.append(CONTENT_LENGTH, "0".parse().unwrap());
        lengths.append(CONTENT_LENGTH, "0".parse().unwrap());
        lengths
    };
    for fields in [many, lengths] {
        let (listener, port) = listen().await;
        tokio::spawn(async move {
            let mut requests = taking(accept(&listener).await);
            let (_, mut answer) = requests.recv().await.unwrap();
            let mut head = Response::new(());
            *head.headers_mut() = fields;
            answer.send_response(head, true).unwrap();
            requests.recv().await
        });
        let failed = gate(&[port]).get("/").await.unwrap_err();
        assert!(matches!(failed, Failed::Invalid(_)), "{failed}");
    }
}

#[tokio::test]
async fn endless_interim_answers_are_given_up() {
    let (listener, port) = listen().await;
    tokio::spawn(async move {
        let mut requests = taking(accept(&listener).await);
        let (_, mut answer) = requests.recv().await.unwrap();
        for _ in 0..9 {
            let mut hint = Response::new(());
            *hint.status_mut() = StatusCode::EARLY_HINTS;
            answer.send_informational(hint).unwrap();
        }
        requests.recv().await
    });
    let failed = gate(&[port]).get("/").await.unwrap_err();
    assert!(failed.to_string().contains("interim"), "{failed}");
}

#[tokio::test]
async fn a_server_that_speaks_http1_only_is_told_apart_before_anything_is_sent() {
    let (listener, port) = listen().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let bad = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";
        stream.write_all(bad).await.unwrap();
        let mut got = Vec::new();
        let _ = stream.read_to_end(&mut got).await;
        got
    });
    let failed = gate(&[port]).get("/secret").await.unwrap_err();
    let Failed::Unreachable(why) = &failed else {
        panic!("{failed}");
    };
    assert!(why.contains("it does not speak HTTP/2"), "{why}");
    let got = server.await.unwrap();
    assert!(!got.windows(6).any(|bytes| bytes == b"secret"));
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_request_says_good_bye_when_it_is_old() {
    let (listener, port) = listen().await;
    let server = tokio::spawn(async move {
        let mut connection = accept(&listener).await;
        let (_, mut answer) = connection.accept().await.unwrap().unwrap();
        ok(&mut answer);
        // A clean end: not an error.
        assert!(connection.accept().await.is_none());
    });
    let gate = gate(&[port]);
    let started = tokio::time::Instant::now();
    text(gate.get("/").await).await;
    server.await.unwrap();
    assert_eq!(started.elapsed().as_secs(), 30);
    drop(gate);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_no_longer_answers_a_ping_is_given_up() {
    let (listener, port) = listen().await;
    let (arrived, has_arrived) = tokio::sync::oneshot::channel();
    let server = tokio::spawn(async move {
        let mut connection = accept(&listener).await;
        let stream = connection.accept().await.unwrap().unwrap();
        arrived.send(()).unwrap();
        // Open, and nobody reads it any more.
        std::future::pending::<()>().await;
        drop((connection, stream));
    });
    let gate = gate(&[port]);
    let started = tokio::time::Instant::now();
    // It is not tried once more.
    let failed = gate.post(nothing().await).await.unwrap_err();
    let why = failed.to_string();
    let late = format!("the upstream did not answer our ping in time: `127.0.0.1:{port}`");
    assert_eq!(why, late);
    assert_eq!(started.elapsed().as_secs(), 40);
    has_arrived.await.unwrap();
    server.abort();
}

#[tokio::test(start_paused = true)]
async fn a_server_that_takes_an_upload_slowly_is_not_given_up_though_it_answers_no_ping() {
    const WINDOW: [u8; 4] = 0x3fff_ffff_u32.to_be_bytes();
    const SECOND: Duration = Duration::from_secs(1);
    let listener = with_little_room();
    let port = listener.local_addr().unwrap().port();
    let mut server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let settings = [&[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4][..], &WINDOW].concat();
        let window = [&[0, 0, 4, 8, 0, 0, 0, 0, 0][..], &WINDOW].concat();
        stream
            .write_all(&[settings, window].concat())
            .await
            .unwrap();
        let mut piece = vec![0; 32 * 1024];
        for number in 0..90 {
            stream.read_exact(&mut piece).await.unwrap();
            // Once it takes nothing for so long that it is asked.
            sleep(if number == 40 { 52 * SECOND } else { SECOND }).await;
        }
    });
    let (pieces, body) = fed().await;
    let feeding = async move {
        let piece = Bytes::from(vec![0; 16 * 1024]);
        while pieces.send(piece.clone()).await.is_ok() {}
    };
    let gate = gate(&[port]);
    tokio::select! {
        failed = gate.post(body) => panic!("{failed:?}"),
        () = feeding => panic!("nobody takes the body"),
        taken = &mut server => taken.unwrap(),
    }
}

#[tokio::test(start_paused = true)]
async fn what_has_no_body_is_tried_once_more_where_its_server_answers_no_ping() {
    let (listener, port) = listen().await;
    tokio::spawn(async move {
        let mut frozen = accept(&listener).await;
        let _stream = frozen.accept().await.unwrap().unwrap();
        let mut requests = taking(accept(&listener).await);
        let (_, mut answer) = requests.recv().await.unwrap();
        ok(&mut answer);
        requests.recv().await
    });
    let gate = gate(&[port]);
    assert_eq!(text(gate.get("/").await).await, "ok");
}

#[tokio::test(start_paused = true)]
async fn a_connection_on_which_nothing_was_heard_in_time_gets_no_more_requests() {
    let (listener, port) = listen().await;
    let server = tokio::spawn(async move {
        let mut silent = accept(&listener).await;
        let stream = silent.accept().await.unwrap().unwrap();
        let mut requests = taking(accept(&listener).await);
        let (_, mut answer) = requests.recv().await.unwrap();
        ok(&mut answer);
        drop((silent, stream));
        requests.recv().await
    });
    let gate = set(&[port], |it| it.first_byte = Duration::from_secs(3));
    let failed = gate.get("/").await.unwrap_err();
    let late = format!("the upstream did not answer in time: `127.0.0.1:{port}`");
    assert_eq!(failed.to_string(), late);
    assert_eq!(text(gate.get("/").await).await, "ok");
    drop(gate);
    server.await.unwrap();
}

#[tokio::test]
async fn connections_are_few_however_many_requests_come_at_once() {
    let (listener, port) = listen().await;
    let connections = answering(listener, 100);
    let gate = Arc::new(set(&[port], |it| it.max_connections = 64));
    let many: Vec<_> = (0..64)
        .map(|_| {
            let gate = gate.clone();
            tokio::spawn(async move { text(gate.get("/").await).await })
        })
        .collect();
    for one in many {
        assert_eq!(one.await.unwrap(), "ok");
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

/// A body that a test feeds.
struct Fed(mpsc::Receiver<Bytes>);

impl Body for Fed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, io::Error>>> {
        self.0
            .poll_recv(cx)
            .map(|piece| piece.map(|piece| Ok(http_body::Frame::data(piece))))
    }
}
