use super::escape::MAX_TEXT;
use super::line::Stamp;
use super::*;
use http::{Method, Version};
use proptest::prelude::*;
use serde_json::Value;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

const CODES: [&str; 2] = ["credential-rejected", "no-route"];

fn at(millis: u64) -> Now {
    let time = Duration::from_millis(millis);
    Now::new(time, time)
}

const START: u64 = 1_800_000_000_000;

fn record() -> Record {
    let peer = Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10)));
    let mut record = Record::open(
        b"0123456789abcdef0123456789abcdef".into(),
        at(START),
        peer,
        false,
    );
    record.method = Some(Method::GET);
    record.host = "api.example.com".into();
    record.path = "/orders/1".into();
    record.status = 200;
    record
}

/// A record with every field filled.
fn full() -> Record {
    Record {
        version: Version::HTTP_2,
        tls: true,
        peer: Some("2001:db8::1".parse().unwrap()),
        route: Some((1, "orders".into())),
        app: Some("mobile".into()),
        key: Some("mobile-2026".into()),
        instance: Some("q8Bx0cR1V2k6yJmZ3nD4eA".into()),
        scheme: Some("token"),
        claimed_key: Some("someone".into()),
        trace: Some("0af7651916cd43dd8448eb211c80319c".into()),
        code: Some("credential-rejected"),
        reason: Some("wrong-signature".into()),
        observed: Some(Box::new(Observed {
            by: "route",
            would_refuse: Some("replayed"),
            reason: Some("used".into()),
            claimed_app: Some("mobile".into()),
            nonce_in: None,
        })),
        status: 401,
        bytes_in: 12,
        bytes_out: 3_456,
        upstream: Some("127.0.0.1:9000".into()),
        upstream_asked: Some(at(START + 2)),
        upstream_answered: Some(at(START + 9)),
        cut: true,
        ..record()
    }
}

fn line(format: Format, record: &Record) -> String {
    let mut out = Vec::new();
    format.write(&mut out, &mut Stamp::default(), record, at(START + 12));
    String::from_utf8(out).unwrap()
}

fn json(record: &Record) -> Value {
    serde_json::from_str(&line(Format::Json, record)).unwrap()
}

/// A sink that tells what it got, and can be held shut.
struct Sink {
    told: Sender<Vec<u8>>,
    gate: Arc<(Mutex<bool>, Condvar)>,
}

struct Reader {
    told: Receiver<Vec<u8>>,
    gate: Arc<(Mutex<bool>, Condvar)>,
}

fn sink() -> (AccessLog, Reader) {
    let (tell, told) = channel();
    let gate = Arc::new((Mutex::new(true), Condvar::new()));
    let sink = Sink {
        told: tell,
        gate: gate.clone(),
    };
    let log = AccessLog::to(Box::new(sink), Format::Json);
    (log, Reader { told, gate })
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let open = self.gate.0.lock().unwrap();
        drop(self.gate.1.wait_while(open, |open| !*open).unwrap());
        let _ = self.told.send(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Reader {
    fn hold(&self, shut: bool) {
        *self.gate.0.lock().unwrap() = !shut;
        self.gate.1.notify_all();
    }

    /// Everything written until the writer has ended.
    fn rest(self) -> String {
        String::from_utf8(self.told.into_iter().flatten().collect()).unwrap()
    }
}

fn observer(access_log: Option<AccessLog>) -> (Observer, Labels) {
    let observer = Observer::new(Settings {
        access_log,
        workers: 2,
        codes: CODES.to_vec(),
        shown: vec![(401, CODES[0])],
    });
    let labels = observer.labels(&["public".into(), "orders".into()]);
    (observer, labels)
}

/// What stands in the first column of the table under `heading` in docs/observe.md.
fn documented(heading: &str) -> std::collections::BTreeSet<String> {
    let page = include_str!("../../docs/observe.md");
    let section = page.split("\n## ").find(|part| part.starts_with(heading));
    let table = section
        .unwrap()
        .split("\n\n")
        .find(|part| part.starts_with("| "));
    let cells = table
        .unwrap()
        .lines()
        .skip(2)
        .filter_map(|row| row.split('|').nth(1));
    let names = cells.flat_map(str::split_whitespace);
    names
        .map(|name| name.trim_matches('`').to_owned())
        .collect()
}

#[test]
fn every_field_of_a_record_is_documented_and_no_other() {
    let written = json(&full());
    let written = written.as_object().unwrap().keys().cloned().collect();
    assert_eq!(documented("Access records"), written);
}

#[test]
fn a_record_is_one_line_of_json() {
    let expected = r#"{"time":"2027-01-15T08:00:00.000Z","request_id":"0123456789abcdef0123456789abcdef","peer":"192.0.2.10","tls":false,"version":"1.1","method":"GET","host":"api.example.com","path":"/orders/1","status":200,"bytes_in":0,"bytes_out":0,"duration_ms":12.000}"#;
    assert_eq!(line(Format::Json, &record()), format!("{expected}\n"));
    let full = json(&full());
    for (field, value) in [
        ("peer", "2001:db8::1"),
        ("version", "2"),
        ("route", "orders"),
        ("app", "mobile"),
        ("key", "mobile-2026"),
        ("instance", "q8Bx0cR1V2k6yJmZ3nD4eA"),
        ("scheme", "token"),
        ("claimed_key", "someone"),
        ("trace", "0af7651916cd43dd8448eb211c80319c"),
        ("code", "credential-rejected"),
        ("reason", "wrong-signature"),
        ("upstream", "127.0.0.1:9000"),
    ] {
        assert_eq!(full[field], value, "{field}");
    }
    assert_eq!(full["upstream_ms"], 7.0);
    assert_eq!(full["bytes_out"], 3_456);
    assert_eq!(
        (&full["tls"], &full["cut"]),
        (&Value::Bool(true), &Value::Bool(true))
    );
}

#[test]
fn what_was_no_request_leaves_a_line_too() {
    let peer = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let mut nothing = Record::open(
        b"0123456789abcdef0123456789abcdef".into(),
        at(START),
        peer,
        false,
    );
    nothing.reason = Some("head-timeout".into());
    let told = json(&nothing);
    for absent in ["method", "host", "path", "status", "route", "upstream_ms"] {
        assert!(told.get(absent).is_none(), "{absent}");
    }
    assert!(
        line(Format::Readable { colour: false }, &nothing).starts_with("08:00:00.000 --- - - - ")
    );
}

#[test]
fn a_line_for_people_tells_who_and_why() {
    let plain = Format::Readable { colour: false };
    assert_eq!(
        line(plain, &record()),
        "08:00:00.000 200 GET api.example.com /orders/1 12.000ms 192.0.2.10 0123456789abcdef0123456789abcdef\n"
    );
    assert_eq!(
        line(plain, &full()),
        "08:00:00.000 401 GET api.example.com /orders/1 12.000ms mobile/mobile-2026 \
         credential-rejected (wrong-signature) would be replayed (used) claims key someone cut 0123456789abcdef0123456789abcdef\n"
    );
    let coloured = line(Format::Readable { colour: true }, &record());
    assert!(coloured.contains("\u{1b}[32m200\u{1b}[0m"));
}

#[test]
fn a_strangers_text_is_cut_at_its_bound() {
    let mut long = record();
    long.path = format!("/{}", "é".repeat(8_000)).into();
    let told = json(&long);
    let path = told["path"].as_str().unwrap();
    assert!(path.ends_with("é..."));
    assert_eq!(path.len(), MAX_TEXT - 1 + 3);
}

proptest! {
    #[test]
    fn no_text_of_a_stranger_breaks_out_of_its_line(text in any::<String>(), more in "[\\x00-\\x9f\"\\\\]{0,20}") {
        let mut hostile = full();
        let texts = [&text, &more];
        hostile.host = texts[0].as_str().into();
        hostile.path = texts[1].as_str().into();
        hostile.claimed_key = Some(texts[0].as_str().into());
        hostile.reason = Some(texts[1].as_str().into());
        let told = json(&hostile);
        prop_assert_eq!(told["claimed_key"].as_str(), Some(&*text));
        prop_assert_eq!(told["reason"].as_str(), Some(&*more));
        for format in [Format::Json, Format::Readable { colour: false }] {
            let line = line(format, &hostile);
            let (inside, end) = line.split_at(line.len() - 1);
            prop_assert_eq!(end, "\n");
            prop_assert!(inside.bytes().all(|b| matches!(b, b' '..=b'~')), "{}", inside);
        }
    }
}

#[test]
fn every_record_is_written_before_the_writer_ends() {
    let (log, reader) = sink();
    let (observer, labels) = observer(Some(log));
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let observer = observer.clone();
            let labels = observer.labels(&[]);
            std::thread::spawn(move || {
                for _ in 0..300 {
                    observer.finish(&labels, &full(), at(START + 1));
                }
            })
        })
        .collect();
    for worker in workers {
        worker.join().unwrap();
    }
    observer.finish(&labels, &record(), at(START + 1));
    drop(observer);
    let written = reader.rest();
    assert_eq!(written.lines().count(), 1_201);
    for line in written.lines() {
        serde_json::from_str::<Value>(line).unwrap();
    }
}

#[test]
fn a_single_line_does_not_wait_for_others() {
    let (log, reader) = sink();
    let (observer, labels) = observer(Some(log));
    observer.finish(&labels, &record(), at(START));
    assert!(reader.told.recv().unwrap().ends_with(b"}\n"));
}

#[test]
fn a_flush_waits_for_the_lines_before_it() {
    let (log, reader) = sink();
    let (observer, labels) = observer(Some(log));
    for _ in 0..3 {
        observer.finish(&labels, &record(), at(START));
    }
    while !observer.flush() {}
    let written: Vec<u8> = reader.told.try_iter().flatten().collect();
    assert_eq!(String::from_utf8(written).unwrap().lines().count(), 3);
}

#[test]
fn a_sink_that_blocks_costs_lines_and_no_request() {
    const LINES: usize = 2_000;
    let (log, reader) = sink();
    let (observer, labels) = observer(Some(log));
    reader.hold(true);
    for _ in 0..LINES {
        let mut record = record();
        record.path = "/x".repeat(MAX_TEXT / 2).into();
        observer.finish(&labels, &record, at(START));
    }
    // The queue, the buffer at the sink and the ones in the making hold far fewer.
    assert!(dropped(&observer) > LINES / 4);
    reader.hold(false);
    while !observer.flush() {}
    let dropped = dropped(&observer);
    drop(observer);
    assert_eq!(reader.rest().lines().count() + dropped, LINES);
}

/// Lines of the log that were lost.
fn dropped(observer: &Observer) -> usize {
    let page = observer.render_metrics();
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix("portcullis_access_log_dropped_total "))
        .unwrap();
    line.parse().unwrap()
}

#[test]
fn a_sink_that_blocks_costs_no_line_while_few_wait_however_often_they_are_handed_over() {
    const ROUNDS: u64 = 40;
    let (log, reader) = sink();
    let (observer, labels) = observer(Some(log));
    reader.hold(true);
    for round in 0..ROUNDS {
        // The second is written so long after the first that both are handed over.
        for age in [0, access_log::INTERVAL.as_millis() as u64] {
            observer.finish(&labels, &record(), at(START + 1_000 * round + age));
        }
    }
    assert_eq!(dropped(&observer), 0);
    reader.hold(false);
    while !observer.flush() {}
    assert_eq!(dropped(&observer), 0);
    drop(observer);
    assert_eq!(reader.rest().lines().count() as u64, 2 * ROUNDS);
}

#[test]
fn a_sink_that_takes_nothing_now_and_then_costs_no_line() {
    struct Pipe(Sink, bool);
    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            self.0.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (tell, told) = channel();
    let gate = Arc::new((Mutex::new(true), Condvar::new()));
    let pipe = Pipe(Sink { told: tell, gate }, false);
    let (observer, labels) = observer(Some(AccessLog::to(Box::new(pipe), Format::Json)));
    for _ in 0..3 {
        observer.finish(&labels, &record(), at(START));
        while !observer.flush() {}
    }
    assert_eq!(dropped(&observer), 0);
    drop(observer);
    let written: Vec<u8> = told.into_iter().flatten().collect();
    assert_eq!(String::from_utf8(written).unwrap().lines().count(), 3);
}

#[test]
fn a_sink_that_fails_costs_lines_and_is_counted() {
    struct Broken;
    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (observer, labels) = observer(Some(AccessLog::to(Box::new(Broken), Format::Json)));
    observer.finish(&labels, &record(), at(START));
    while !observer.flush() {}
    assert!(
        observer
            .render_metrics()
            .contains("portcullis_access_log_dropped_total 1\n")
    );
}

/// A disk with room for so many bytes, of which it takes a few at a time.
#[derive(Clone)]
struct Disk(Arc<Mutex<(usize, Vec<u8>)>>);

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut disk = self.0.lock().unwrap();
        let taken = bytes.len().min(disk.0).min(100);
        if taken == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        disk.0 -= taken;
        disk.1.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_line_that_a_full_disk_tears_takes_none_after_it_along() {
    let whole = line(Format::Json, &record());
    let length = whole.len();
    for cut in [0, 1, length / 2, length - 1] {
        let disk = Disk(Arc::new(Mutex::new((2 * length + cut, Vec::new()))));
        let log = AccessLog::to(Box::new(disk.clone()), Format::Json);
        let (observer, labels) = observer(Some(log));
        let write = |lines: usize| {
            for _ in 0..lines {
                observer.finish(&labels, &record(), at(START + 12));
            }
            while !observer.flush() {}
        };
        let dropped = |lines: usize| {
            let told = format!("portcullis_access_log_dropped_total {lines}\n");
            observer.render_metrics().contains(&told)
        };
        write(4);
        assert!(dropped(2), "two were written whole, {cut}");
        write(1);
        assert!(dropped(3), "there is no room yet, {cut}");
        disk.0.lock().unwrap().0 = usize::MAX;
        write(2);
        assert!(dropped(3), "there is room, {cut}");

        let torn = match cut {
            0 => String::new(),
            _ => format!("{}\n", &whole[..cut]),
        };
        let written = String::from_utf8(disk.0.lock().unwrap().1.clone()).unwrap();
        assert_eq!(written, format!("{whole}{whole}{torn}{whole}{whole}"));
    }
}

#[test]
fn a_client_that_was_gone_is_in_no_class_and_a_servers_own_499_is() {
    let (observer, labels) = observer(None);
    let gone = Record {
        status: CLIENT_WENT,
        cut: true,
        ..record()
    };
    let sent = Record {
        status: CLIENT_WENT,
        ..record()
    };
    assert_eq!(json(&gone)["status"], 499);
    for ended in [&gone, &sent] {
        observer.finish(&labels, ended, at(START + 12));
    }
    let page = observer.render_metrics();
    for line in [
        r#"portcullis_requests_total{route="none",status="none",reason="cut"} 1"#,
        r#"portcullis_requests_total{route="none",status="4xx",reason="ok"} 1"#,
    ] {
        assert!(page.lines().any(|found| found == line), "{line}\n\n{page}");
    }
}

#[test]
fn requests_are_counted_by_route_and_reason() {
    let (observer, labels) = observer(None);
    observer.opened();
    observer.opened();
    observer.opened();
    observer.finish(&labels, &full(), at(START + 12));
    observer.finish(&labels, &record(), at(START + 12));
    let page = observer.render_metrics();
    for line in [
        r#"portcullis_requests_total{route="orders",status="4xx",reason="credential-rejected"} 1"#,
        r#"portcullis_requests_total{route="none",status="2xx",reason="ok"} 1"#,
        r#"portcullis_request_duration_seconds_bucket{le="0.025",route="orders"} 1"#,
        r#"portcullis_request_duration_seconds_bucket{le="0.01",route="orders"} 0"#,
        r#"portcullis_request_duration_seconds_bucket{le="+Inf",route="orders"} 1"#,
        r#"portcullis_upstream_duration_seconds_bucket{le="0.01",route="orders"} 1"#,
        r#"portcullis_upstream_duration_seconds_count{route="none"} 0"#,
        r#"portcullis_bytes_in_total{route="orders"} 12"#,
        r#"portcullis_bytes_out_total{route="orders"} 3456"#,
        "portcullis_requests_in_flight 1",
        "portcullis_access_log_dropped_total 0",
        concat!(
            r#"portcullis_build_info{version=""#,
            env!("CARGO_PKG_VERSION"),
            r#""} 1"#
        ),
    ] {
        assert!(page.lines().any(|found| found == line), "{line}\n\n{page}");
    }
    assert!(page.ends_with("# EOF\n"));
}

#[test]
fn what_an_alert_waits_for_is_on_the_page_before_it_happens() {
    let (observer, labels) = observer(None);
    let page = observer.render_metrics();
    for line in [
        r#"portcullis_requests_total{route="orders",status="4xx",reason="credential-rejected"} 0"#,
        r#"portcullis_requests_total{route="none",status="5xx",reason="ok"} 0"#,
        r#"portcullis_requests_total{route="orders",status="none",reason="cut"} 0"#,
        r#"portcullis_observed_requests_total{route="orders",reason="ok"} 0"#,
        r#"portcullis_would_refuse_total{route="orders"} 0"#,
    ] {
        assert!(page.lines().any(|found| found == line), "{line}\n\n{page}");
    }
    // Of three routes, and nothing else for each.
    let requests = |page: &str| page.matches("\nportcullis_requests_total{").count();
    assert_eq!(requests(&page), 9);

    let mut ended = full();
    for (would_refuse, times) in [(None, 1), (Some(CODES[0]), 2), (Some(CODES[1]), 3)] {
        ended.observed = Some(Box::new(Observed {
            by: "app",
            would_refuse,
            reason: None,
            claimed_app: None,
            nonce_in: None,
        }));
        for _ in 0..times {
            observer.finish(&labels, &ended, at(START));
        }
    }
    let page = observer.render_metrics();
    for line in [
        r#"portcullis_observed_requests_total{route="orders",reason="ok"} 1"#,
        r#"portcullis_observed_requests_total{route="orders",reason="credential-rejected"} 2"#,
        r#"portcullis_observed_requests_total{route="orders",reason="no-route"} 3"#,
        r#"portcullis_would_refuse_total{route="orders"} 5"#,
        r#"portcullis_would_refuse_total{route="public"} 0"#,
    ] {
        assert!(page.lines().any(|found| found == line), "{line}\n\n{page}");
    }
}

#[test]
fn no_label_is_a_strangers() {
    let (observer, labels) = observer(None);
    let canary = "canary";
    for code in [None, Some("a-code-of-no-table")] {
        let mut hostile = full();
        hostile.method = Some(Method::from_bytes(b"CANARY").unwrap());
        hostile.host = canary.into();
        hostile.path = canary.into();
        hostile.claimed_key = Some(canary.into());
        hostile.reason = Some(canary.into());
        hostile.trace = Some(canary.into());
        hostile.upstream = Some(canary.into());
        hostile.route = Some((7, canary.into()));
        hostile.status = 999;
        hostile.code = code;
        observer.finish(&labels, &hostile, at(START));
    }
    let page = observer.render_metrics();
    assert!(!page.to_lowercase().contains(canary));
    for reason in ["cut", "other"] {
        let line = format!(
            r#"portcullis_requests_total{{route="none",status="none",reason="{reason}"}} 1"#
        );
        assert!(page.lines().any(|found| found == line), "{line}\n\n{page}");
    }
}

#[test]
fn counters_outlive_a_reload() {
    let (observer, labels) = observer(None);
    observer.finish(&labels, &full(), at(START));
    let labels = observer.labels(&["else".into(), "orders".into()]);
    observer.finish(&labels, &full(), at(START));
    observer.reloaded(true, at(START));
    observer.reloaded(false, at(START + 5_000));
    let page = observer.render_metrics();
    for line in [
        r#"portcullis_requests_total{route="orders",status="4xx",reason="credential-rejected"} 2"#,
        r#"portcullis_config_reloads_total{result="success"} 1"#,
        r#"portcullis_config_reloads_total{result="failure"} 1"#,
        "portcullis_config_last_reload_success_timestamp 1800000000",
        "portcullis_config_in_force 0",
    ] {
        assert!(page.lines().any(|found| found == line), "{line}\n\n{page}");
    }
    observer.reloaded(true, at(START + 6_000));
    let page = observer.render_metrics();
    assert!(page.contains("\nportcullis_config_in_force 1\n"), "{page}");
}

#[test]
fn a_number_of_another_room_is_read_when_it_is_asked_for() {
    let (observer, _) = observer(None);
    let kept = Arc::new(std::sync::atomic::AtomicI64::new(1));
    observer.gauge("remembered_proofs", "Proofs", || 0);
    let shown = kept.clone();
    observer.gauge("remembered_proofs", "Proofs", move || {
        shown.load(std::sync::atomic::Ordering::Relaxed)
    });
    kept.store(7, std::sync::atomic::Ordering::Relaxed);
    let page = observer.render_metrics();
    let found = |line: &&str| line.starts_with("portcullis_remembered_proofs ");
    assert_eq!(
        page.lines().filter(found).collect::<Vec<_>>(),
        ["portcullis_remembered_proofs 7"]
    );
}
