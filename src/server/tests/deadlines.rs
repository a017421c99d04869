//! Every wait on a client has an end. Time stands still unless everybody waits.

use super::*;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, ReadBuf, join, split};
use tokio::time::{Instant, advance, sleep};

const SECOND: Duration = Duration::from_secs(1);

fn almost(deadline: Duration) -> Duration {
    deadline.saturating_sub(SECOND)
}

async fn rest(mut client: DuplexStream) -> (String, Duration) {
    let start = Instant::now();
    let mut text = String::new();
    client.read_to_string(&mut text).await.unwrap();
    (text, start.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_byte_ends_in_silence_when_it_was_idle_too_long() {
    let (client, _worker, served) = connect(&Toy::new());
    assert_eq!(rest(client).await, (String::new(), DEADLINES.idle));
    served.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_connection_ends_in_silence_when_it_is_idle_too_long_between_requests() {
    let (mut client, _worker, _served) = connect(&Toy::new());
    for _ in 0..3 {
        client.write_all(&request("GET /1")).await.unwrap();
        sleep(almost(DEADLINES.idle)).await;
    }
    let (text, waited) = rest(client).await;
    assert_eq!(bodies(&text), ["GET /1 []"; 3]);
    assert_eq!(waited, SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_silent_client_of_http2_is_not_waited_for_when_we_stop() {
    for settings in [&b""[..], &[0, 0, 0, 4, 0, 0, 0, 0, 0]] {
        let (mut client, worker, served) = connect(&Toy::new());
        let hello = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], settings].concat();
        client.write_all(&hello).await.unwrap();
        sleep(SECOND).await;
        let start = Instant::now();
        worker.close();
        served.await.unwrap();
        assert!(start.elapsed() <= 3 * SECOND, "{:?}", start.elapsed());
        assert_eq!(worker.cut(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_of_http2_that_still_opens_windows_is_waited_for_a_while_when_we_stop() {
    let window = [0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let (mut client, worker, served) = connect(&Toy::new());
    let hello = [
        &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..],
        &[0, 0, 0, 4, 0, 0, 0, 0, 0],
    ];
    client.write_all(&hello.concat()).await.unwrap();
    sleep(SECOND).await;
    let start = Instant::now();
    worker.close();
    // It never answers our goodbye.
    while client.write_all(&window).await.is_ok() {
        sleep(SECOND).await;
    }
    served.await.unwrap();
    let waited = start.elapsed();
    assert!((9 * SECOND..=12 * SECOND).contains(&waited), "{waited:?}");
    assert_eq!(worker.cut(), 0);
}

/// Counts how often it is asked for what has come.
struct Asked<R>(R, Arc<AtomicUsize>);

impl<R: AsyncRead + Unpin> AsyncRead for Asked<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_comes_to_rest() {
    let (mut client, ours) = duplex(64 * 1024);
    let asked = Arc::default();
    let (reads, writes) = split(ours);
    let ours = join(Asked(reads, Arc::clone(&asked)), writes);
    let worker = Arc::new(Worker::new(Toy::new(), DEADLINES, None, admission()));
    let asking = worker.closing().asking();
    tokio::spawn(async move { worker.serve_clear(ours, CLIENT, asking).await });
    client.write_all(&request("GET /1")).await.unwrap();
    sleep(SECOND).await;
    let before = asked.load(Ordering::Relaxed);
    sleep(almost(almost(DEADLINES.idle))).await;
    assert_eq!(asked.load(Ordering::Relaxed), before);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_is_noticed_also_behind_more_than_it_asked_and_during_a_stop() {
    for (stops, more) in [(false, ""), (false, "G"), (true, ""), (true, "\r\n")] {
        let toy = Toy::new();
        let (mut client, worker, served) = connect(&toy);
        let asks = [request("GET /held"), more.into()].concat();
        client.write_all(&asks).await.unwrap();
        toy.begun.acquire().await.unwrap().forget();
        if stops {
            worker.close();
            sleep(SECOND).await;
        }
        drop(client);
        // It is not answered: nobody lets it go on.
        let noticed = tokio::time::timeout(SECOND, served).await;
        assert!(noticed.is_ok(), "{stops} {more:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_has_to_be_complete_in_time_however_it_dribbles() {
    for (start, dribble) in [
        ("G", ""),
        ("GET / HTTP/1.1\r\nX: ", "x"),
        // What could become HTTP/2.
        ("P", ""),
        ("PRI * HTTP/", ""),
    ] {
        let (mut client, _worker, served) = connect(&Toy::new());
        sleep(almost(DEADLINES.idle)).await;
        let begun = Instant::now();
        client.write_all(start.as_bytes()).await.unwrap();
        for _ in 0..7 {
            sleep(SECOND).await;
            client.write_all(dribble.as_bytes()).await.unwrap();
        }
        let (text, _) = rest(client).await;
        assert_eq!(bodies(&text), ["HeadTimeout"], "{start:?}");
        assert!(text.contains("connection: close"), "{start:?}: {text}");
        assert_eq!(begun.elapsed(), DEADLINES.head, "{start:?}");
        served.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn the_head_of_a_second_request_has_its_own_deadline() {
    let (mut client, _worker, _served) = connect(&Toy::new());
    let both = [request("GET /1"), b"GET /2".to_vec()].concat();
    client.write_all(&both).await.unwrap();
    let (text, waited) = rest(client).await;
    assert_eq!(bodies(&text), ["GET /1 []", "HeadTimeout"]);
    assert_eq!(waited, DEADLINES.head);
}

#[tokio::test(start_paused = true)]
async fn an_empty_line_before_a_request_does_not_start_its_deadline() {
    let (mut client, _worker, _served) = connect(&Toy::new());
    client.write_all(b"\r\n").await.unwrap();
    sleep(DEADLINES.head + SECOND).await;
    client.write_all(&request("GET /1")).await.unwrap();
    let (text, _) = rest(client).await;
    assert_eq!(bodies(&text), ["GET /1 []"]);
}

#[tokio::test(start_paused = true)]
async fn a_body_may_dribble_but_not_stop() {
    let (mut client, _worker, _served) = connect(&Toy::new());
    let head = b"POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n";
    client.write_all(head).await.unwrap();
    for _ in 0..8 {
        sleep(almost(DEADLINES.body)).await;
        client.write_all(b"x").await.unwrap();
    }
    let (text, waited) = rest(client).await;
    assert_eq!(bodies(&text), ["body: Some(TimedOut)"]);
    assert_eq!(waited, DEADLINES.body);
}

#[tokio::test(start_paused = true)]
async fn no_deadline_of_the_client_runs_while_we_work() {
    let toy = Toy::new();
    let (mut client, _worker, _served) = connect(&toy);
    client.write_all(&request("POST /held|body")).await.unwrap();
    toy.begun.acquire().await.unwrap().forget();
    advance(10 * DEADLINES.idle).await;
    toy.release.add_permits(1);
    let (text, waited) = rest(client).await;
    assert_eq!(bodies(&text), ["POST /held [body]"]);
    assert_eq!(waited, DEADLINES.idle);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_take_its_answer_is_let_go() {
    let (mut client, _worker, served) = connect(&Toy::new());
    client.write_all(&request("GET /large")).await.unwrap();
    let start = Instant::now();
    served.await.unwrap();
    assert_eq!(start.elapsed(), DEADLINES.write);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_its_answer_slowly_gets_all_of_it() {
    let (mut client, _worker, _served) = connect(&Toy::new());
    client.write_all(&request("GET /large")).await.unwrap();
    let mut taken = 0;
    let mut piece = vec![0; 64 * 1024];
    while taken < 1024 * 1024 {
        sleep(almost(DEADLINES.write)).await;
        taken += client.read(&mut piece).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_http_2_connection_ends_when_it_has_had_no_request_for_too_long() {
    use hyper_util::rt::{TokioExecutor, TokioIo};
    let toy = Toy::new();
    let (client, _worker, served) = connect(&toy);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(client))
            .await
            .unwrap();
    let connection = tokio::spawn(connection);
    let request = |path: &str| {
        let uri = format!("http://a{path}");
        Request::get(uri).body(Full::<Bytes>::default()).unwrap()
    };
    sleep(almost(DEADLINES.idle)).await;
    sender.send_request(request("/1")).await.unwrap();
    let held = tokio::spawn(sender.send_request(request("/held")));
    toy.begun.acquire().await.unwrap().forget();
    sleep(3 * DEADLINES.idle).await;
    toy.release.add_permits(1);
    assert_eq!(held.await.unwrap().unwrap().status(), 200);
    let start = Instant::now();
    served.await.unwrap();
    connection.await.unwrap().unwrap();
    assert_eq!(start.elapsed(), DEADLINES.idle);
}

/// The next frame's kind and flags, and what it holds.
async fn frame(client: &mut DuplexStream) -> (u8, u8, Vec<u8>) {
    let mut head = [0; 9];
    client.read_exact(&mut head).await.unwrap();
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; length as usize];
    client.read_exact(&mut payload).await.unwrap();
    (head[3], head[4], payload)
}

const RST_STREAM: u8 = 3;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const ACK: u8 = 1;

#[tokio::test(start_paused = true)]
async fn requests_of_http2_that_were_waited_for_may_all_be_given_up() {
    const AT_ONCE: u32 = 100;
    let toy = Toy::new();
    let (mut client, _worker, _served) = connect(&toy);
    client.write_all(HELLO).await.unwrap();
    let mut streams = (0..).map(|place| 2 * place + 1);
    for _ in 0..5 {
        let streams: Vec<u32> = streams.by_ref().take(AT_ONCE as usize).collect();
        for id in &streams {
            client.write_all(&get_on(*id, "/held", true)).await.unwrap();
        }
        toy.begun.acquire_many(AT_ONCE).await.unwrap().forget();
        sleep(SECOND / 2).await;
        for id in &streams {
            let head = [0, 0, 4, RST_STREAM, 0];
            let reset = [&head[..], &id.to_be_bytes(), &[0, 0, 0, 8]].concat();
            client.write_all(&reset).await.unwrap();
        }
    }
    let ping = [&[0, 0, 8, PING, 0, 0, 0, 0, 0], &b"settled?"[..]].concat();
    client.write_all(&ping).await.unwrap();
    while frame(&mut client).await != (PING, ACK, b"settled?".to_vec()) {}
}

#[tokio::test(start_paused = true)]
async fn an_http_2_client_that_says_nothing_is_asked_whether_it_is_there_and_let_go_of() {
    for answers in [true, false] {
        let toy = Toy::new();
        let (mut client, _worker, served) = connect(&toy);
        let asks = [HELLO, &get_on(1, "/held", true)].concat();
        client.write_all(&asks).await.unwrap();
        toy.begun.acquire().await.unwrap().forget();
        for _ in 0..3 {
            let start = Instant::now();
            let asked = loop {
                let (kind, flags, payload) = frame(&mut client).await;
                if (kind, flags) == (PING, 0) {
                    break payload;
                }
            };
            assert!((30 * SECOND..=45 * SECOND).contains(&start.elapsed()));
            if !answers {
                break;
            }
            let pong = [&[0, 0, 8, PING, ACK, 0, 0, 0, 0], &asked[..]].concat();
            client.write_all(&pong).await.unwrap();
        }
        let start = Instant::now();
        if answers {
            toy.release.add_permits(1);
            while frame(&mut client).await.0 != 0 {}
            assert_eq!(start.elapsed(), Duration::ZERO);
        } else {
            while frame(&mut client).await.0 != GOAWAY {}
            assert_eq!(start.elapsed(), 10 * SECOND);
            served.await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_http_2_client_that_says_something_is_waited_for_though_it_does_not_answer() {
    const WINDOW_UPDATE: [u8; 13] = [0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let toy = Toy::new();
    let (mut client, _worker, served) = connect(&toy);
    let asks = [HELLO, &get_on(1, "/held", true)].concat();
    client.write_all(&asks).await.unwrap();
    while frame(&mut client).await.0 != PING {}
    let start = Instant::now();
    for _ in 0..20 {
        sleep(5 * SECOND).await;
        client.write_all(&WINDOW_UPDATE).await.unwrap();
    }
    while frame(&mut client).await.0 != GOAWAY {}
    assert!((110 * SECOND..=120 * SECOND).contains(&start.elapsed()));
    served.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_http_2_client_whose_answer_is_long_on_its_way_is_there() {
    const WINDOW: [u8; 4] = 0x3fff_ffff_u32.to_be_bytes();
    // What the system holds of it on both sides.
    let (mut client, ours) = duplex(4 * 1024 * 1024);
    let worker = Arc::new(Worker::new(Toy::new(), DEADLINES, None, admission()));
    let asking = worker.closing().asking();
    tokio::spawn(async move { worker.serve_clear(ours, CLIENT, asking).await });
    let settings = [&HELLO[..24], &[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4], &WINDOW].concat();
    let window = [&[0, 0, 4, 8, 0, 0, 0, 0, 0][..], &WINDOW].concat();
    let asks = [settings, window, get_on(1, "/vast", true)].concat();
    client.write_all(&asks).await.unwrap();
    let start = Instant::now();
    while start.elapsed() < 300 * SECOND {
        // 64 KiB a second.
        for _ in 0..4 {
            let (kind, flags, payload) = frame(&mut client).await;
            assert_ne!(kind, GOAWAY, "{:?}", start.elapsed());
            if (kind, flags) == (PING, 0) {
                let pong = [&[0, 0, 8, PING, ACK, 0, 0, 0, 0], &payload[..]].concat();
                client.write_all(&pong).await.unwrap();
            }
        }
        sleep(SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_of_http2_that_still_sends_is_reset_behind_its_answer_only_after_a_moment() {
    const DATA: u8 = 0;
    let piece = |ends: bool| [0, 0, 1, DATA, u8::from(ends), 0, 0, 0, 1, b'x'];
    for ends in [true, false] {
        let (mut client, _worker, _served) = connect(&Toy::new());
        let asks = [HELLO, &get_on(1, "/unread", false)].concat();
        client.write_all(&asks).await.unwrap();
        let start = Instant::now();
        let mut answer = Vec::new();
        loop {
            let (kind, flags, payload) = frame(&mut client).await;
            assert_ne!(kind, RST_STREAM, "in place of the answer");
            if kind == DATA {
                answer.extend(payload);
                if flags & 1 == 1 {
                    break;
                }
            }
        }
        assert_eq!(answer, b"unread");
        assert_eq!(
            start.elapsed(),
            Duration::ZERO,
            "nothing waits for the body"
        );
        for last in [false, ends] {
            sleep(SECOND / 4).await;
            client.write_all(&piece(last)).await.unwrap();
        }
        if ends {
            sleep(2 * SECOND).await;
            client
                .write_all(b"\0\0\x08\x06\0\0\0\0\0settled?")
                .await
                .unwrap();
        }
        let (kind, error) = loop {
            let (kind, flags, payload) = frame(&mut client).await;
            if kind == RST_STREAM || (kind == PING && flags & 1 == 1) {
                break (kind, payload);
            }
        };
        if ends {
            assert_eq!(
                kind, PING,
                "it has ended by itself: there is nothing to reset"
            );
        } else {
            // NO_ERROR: the answer is good.
            assert_eq!((kind, &*error), (RST_STREAM, &[0; 4][..]));
            assert_eq!(start.elapsed(), SECOND);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_of_http2_that_nobody_reads_takes_no_task_once_all_of_it_is_here() {
    const DATA: u8 = 0;
    let last = |length: u8| {
        let head = [0, 0, length, DATA, 1, 0, 0, 0, 1];
        [&head[..], &vec![b'x'; length.into()]].concat()
    };
    for (body, tasks) in [(last(0), b"0"), (last(5), b"0"), (Vec::new(), b"1")] {
        let (mut client, _worker, _served) = connect(&Toy::new());
        let asks = [HELLO, &get_on(1, "/dropped", false), &body].concat();
        client.write_all(&asks).await.unwrap();
        let told = loop {
            let (kind, _, payload) = frame(&mut client).await;
            if kind == DATA && !payload.is_empty() {
                break payload;
            }
        };
        assert_eq!(told, tasks);
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_of_http2_that_stops_ends_its_connection_in_time() {
    let mut head = get_on(1, "/1", true);
    // Another frame of it is to come.
    head[4] = 1;
    for sent in [head.len(), head.len() - 1] {
        let (mut client, _worker, served) = connect(&Toy::new());
        client.write_all(HELLO).await.unwrap();
        client.write_all(&head[..sent]).await.unwrap();
        let (start, mut told) = (Instant::now(), Vec::new());
        client.read_to_end(&mut told).await.unwrap();
        assert_eq!(start.elapsed(), DEADLINES.head, "{sent} bytes");
        drop(client);
        served.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_of_http2_that_asks_on_behind_our_goodbye_is_cut_off() {
    let toy = Toy::new();
    toy.release.add_permits(1_000);
    let (mut client, ours) = duplex(64 * 1024);
    let deadlines = Deadlines {
        idle: SECOND,
        ..DEADLINES
    };
    let worker = Arc::new(Worker::new(toy.clone(), deadlines, None, admission()));
    let serving = worker.clone();
    let asking = worker.closing().asking();
    let served = tokio::spawn(async move { serving.serve_clear(ours, CLIENT, asking).await });
    client.write_all(HELLO).await.unwrap();
    sleep(2 * SECOND).await;
    for stream in (1..).step_by(2).take(300) {
        // The first stays open: its body does not come. Our goodbye is never answered.
        let request = get_on(stream, "/held", stream > 1);
        if client.write_all(&request).await.is_err() {
            break;
        }
        sleep(Duration::from_millis(10)).await;
    }
    served.await.unwrap();
    assert_eq!(toy.begun.available_permits(), 100);
    assert_eq!(worker.cut(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_request_in_flight_is_finished_when_we_stop() {
    let toy = Toy::new();
    let (mut client, worker, served) = connect(&toy);
    client.write_all(&request("GET /held")).await.unwrap();
    toy.begun.acquire().await.unwrap().forget();
    worker.close();
    sleep(almost(DEADLINES.drain)).await;
    toy.release.add_permits(1);
    let (text, waited) = rest(client).await;
    assert_eq!(bodies(&text), ["GET /held []"]);
    assert!(text.contains("connection: close"));
    assert_eq!(waited, Duration::ZERO);
    served.await.unwrap();
    assert_eq!(worker.cut(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_outlasts_the_drain_is_cut_and_counted() {
    let toy = Toy::new();
    let (mut client, worker, served) = connect(&toy);
    client.write_all(&request("GET /held")).await.unwrap();
    toy.begun.acquire().await.unwrap().forget();
    worker.close();
    assert_eq!(rest(client).await, (String::new(), DEADLINES.drain));
    served.await.unwrap();
    assert_eq!(worker.cut(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_taken_when_the_drain_ends_counts_as_cut() {
    let (mut client, worker, served) = connect(&Toy::new());
    client.write_all(&request("GET /large")).await.unwrap();
    sleep(SECOND).await;
    worker.close();
    served.await.unwrap();
    assert_eq!(worker.cut(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_ends_at_once_when_we_stop() {
    let (mut client, worker, _served) = connect(&Toy::new());
    client.write_all(&request("GET /1")).await.unwrap();
    sleep(SECOND).await;
    worker.close();
    let (text, waited) = rest(client).await;
    assert_eq!(bodies(&text), ["GET /1 []"]);
    assert_eq!(waited, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_first_request_that_comes_as_we_stop_is_answered() {
    let (mut client, worker, _served) = connect(&Toy::new());
    sleep(SECOND).await;
    worker.close();
    client.write_all(&request("GET /1")).await.unwrap();
    let (text, _) = rest(client).await;
    assert_eq!(bodies(&text), ["GET /1 []"]);
    assert!(text.contains("connection: close"));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_brings_nothing_as_we_stop_ends_soon() {
    let (client, worker, served) = connect(&Toy::new());
    sleep(SECOND).await;
    worker.close();
    let (text, waited) = rest(client).await;
    assert_eq!(text, "");
    assert!(waited < SECOND);
    served.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_drips_its_first_bytes_holds_no_stop_up() {
    let (mut client, worker, served) = connect(&Toy::new());
    client.write_all(b"P").await.unwrap();
    sleep(SECOND).await;
    let start = Instant::now();
    worker.close();
    tokio::spawn(async move {
        for byte in b"RI * HTTP/2.0\r\n\r\nSM\r\n\r\n" {
            sleep(Duration::from_millis(400)).await;
            if client.write_all(&[*byte]).await.is_err() {
                return;
            }
        }
    });
    worker.closing().settled().await;
    served.await.unwrap();
    assert!(start.elapsed() < SECOND, "{:?}", start.elapsed());
}

const LAST: &[u8] = b"GET /1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn a_client_that_was_told_the_end_keeps_its_place_no_longer_than_a_moment() {
    for (talks_on, waited) in [(false, SECOND), (true, 10 * SECOND)] {
        let (client, _worker, served) = connect(&Toy::new());
        let (mut read, mut write) = split(client);
        write.write_all(LAST).await.unwrap();
        let start = Instant::now();
        let mut text = String::new();
        read.read_to_string(&mut text).await.unwrap();
        assert_eq!(bodies(&text), ["GET /1 []"]);
        assert_eq!(start.elapsed(), Duration::ZERO);
        if talks_on {
            tokio::spawn(async move {
                while write.write_all(b"x").await.is_ok() {
                    sleep(Duration::from_millis(400)).await;
                }
            });
        }
        served.await.unwrap();
        assert_eq!(start.elapsed(), waited, "{talks_on}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_ends_when_it_is_told_to_gives_its_place_back_at_once() {
    let (mut client, _worker, served) = connect(&Toy::new());
    client.write_all(LAST).await.unwrap();
    let start = Instant::now();
    let (text, _) = rest(client).await;
    assert_eq!(bodies(&text), ["GET /1 []"]);
    served.await.unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_was_idle_for_a_moment_is_not_heard_out_when_we_stop() {
    let (mut client, worker, served) = connect(&Toy::new());
    client.write_all(&request("GET /1")).await.unwrap();
    sleep(2 * SECOND).await;
    let start = Instant::now();
    worker.close();
    served.await.unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn no_client_is_heard_out_for_longer_than_the_drain() {
    let toy = Toy::new();
    let (mut client, worker, served) = connect(&toy);
    client.write_all(&request("GET /held")).await.unwrap();
    toy.begun.acquire().await.unwrap().forget();
    let start = Instant::now();
    worker.close();
    sleep(DEADLINES.drain.saturating_sub(SECOND / 2)).await;
    toy.release.add_permits(1);
    served.await.unwrap();
    assert_eq!(start.elapsed(), DEADLINES.drain);
    assert_eq!(worker.cut(), 0);
    // It has its answer all the same.
    let (text, _) = rest(client).await;
    assert_eq!(bodies(&text), ["GET /held []"]);
}
