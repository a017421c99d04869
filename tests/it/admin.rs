//! Health, readiness, metrics.

use crate::harness::{Gateway, Setup, Token, Upstream, caller};

fn lines(gateway: &Gateway, name: &str) -> Vec<String> {
    let metrics = gateway.ask_admin("/metrics");
    assert_eq!(metrics.status, 200);
    metrics
        .text()
        .lines()
        .filter(|line| line.starts_with(name))
        .map(ToOwned::to_owned)
        .collect()
}

/// The sum of a counter's lines that hold every one of `labels`.
fn count(gateway: &Gateway, name: &str, labels: &[&str]) -> f64 {
    lines(gateway, name)
        .iter()
        .filter(|line| labels.iter().all(|label| line.contains(label)))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum()
}

#[test]
fn it_is_alive_and_ready() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    for path in ["/livez", "/readyz"] {
        assert_eq!(gateway.ask_admin(path).status, 200, "{path}");
    }
    assert_eq!(gateway.ask_admin("/").status, 404);
    assert_eq!(gateway.ask_admin("/livez/x").status, 404);
}

#[test]
fn none_of_it_is_on_the_public_listener() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    for path in ["/livez", "/readyz", "/metrics"] {
        gateway
            .send(&gateway.request("GET", path))
            .assert_refused(401, "credential-missing");
    }
    upstream.assert_silent();
}

#[test]
fn requests_are_counted_by_route_status_and_reason() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    let request = gateway.request("GET", "/");
    for _ in 0..3 {
        gateway.send(&caller().sign(&request)).assert_passed();
    }
    for _ in 0..2 {
        gateway
            .send(&request)
            .assert_refused(401, "credential-missing");
    }
    gateway
        .send(&caller().key_id("unknown").sign(&request))
        .assert_refused(401, "credential-rejected");
    gateway.log().first(6);
    let name = "portcullis_requests_total";
    assert!(
        count(&gateway, name, &["route=\"all\""]) >= 6.0,
        "{:#?}",
        lines(&gateway, name)
    );
    let refused = "portcullis_refus";
    assert!(
        (count(&gateway, refused, &["credential-missing"]) - 2.0).abs() < 0.1,
        "{:#?}",
        lines(&gateway, "portcullis")
    );
    assert!(
        (count(&gateway, refused, &["credential-rejected"]) - 1.0).abs() < 0.1,
        "{:#?}",
        lines(&gateway, "portcullis")
    );
}

#[test]
fn label_values_are_bounded_whatever_strangers_send() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    let ask = |number: usize| {
        let method = format!("M{}", "X".repeat(number));
        let request = gateway
            .request(&method, &format!("/path-{number}"))
            .authority(&format!("host-{number}.example"));
        gateway.send(&caller().key_id(&format!("key-{number}")).sign(&request));
        gateway.send(&request.field(
            "Portcullis-Token",
            &Token::new().header("kid", format!("kid-{number}")).text(),
        ));
    };
    ask(0);
    gateway.log().first(2);
    let before = lines(&gateway, "portcullis").len();
    for number in 1..20 {
        ask(number);
    }
    gateway.log().first(40);
    let after = lines(&gateway, "portcullis").len();
    assert_eq!(before, after, "strangers make series");
    let text = gateway.ask_admin("/metrics").text();
    for word in ["path-", "host-", "key-1", "kid-1", "MX"] {
        assert!(!text.contains(word), "`{word}` is in the metrics");
    }
}

#[test]
fn the_exposition_is_of_the_form_that_prometheus_reads() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    gateway
        .send(&caller().sign(&gateway.request("GET", "/")))
        .assert_passed();
    gateway.record(0);
    let metrics = gateway.ask_admin("/metrics");
    let kind = metrics.field("content-type").expect("a content type");
    assert!(
        kind.starts_with("application/openmetrics-text") || kind.starts_with("text/plain"),
        "{kind}"
    );
    let text = metrics.text();
    assert!(text.ends_with("# EOF\n"), "{text}");
    for line in text.lines() {
        let known = line.starts_with("# ")
            || line.rsplit_once(' ').is_some_and(|(name, value)| {
                name.starts_with(|first: char| first.is_ascii_alphabetic())
                    && value.parse::<f64>().is_ok()
            });
        assert!(known, "{line}");
    }
}

#[test]
fn the_admin_listener_has_bounds_too() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    let mut connection = crate::harness::Connection::open(gateway.admin());
    connection.send(b"GET /livez HTTP/1.1\r\nHost: a\r\nX: ");
    connection.send(&vec![b'x'; 1 << 20]);
    if let Some(response) = connection.try_response_to("GET") {
        assert!((400..500).contains(&response.status), "{response:?}");
    }
    assert_eq!(gateway.ask_admin("/livez").status, 200);
}
