//! Health, readiness, metrics.

use crate::harness::secure::Authority;
use crate::harness::{
    Connection, Gateway, Request, Response, Setup, Token, Upstream, caller, issuer,
};
use std::collections::{BTreeMap, BTreeSet};

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
fn count(gateway: &Gateway, name: &str, labels: &[&str]) -> u64 {
    lines(gateway, name)
        .iter()
        .filter(|line| labels.iter().all(|label| line.contains(label)))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
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
    for (labels, expected) in [
        (&["route=\"all\"", "status=\"2xx\"", "reason=\"ok\""][..], 3),
        (&["route=\"all\"", "reason=\"credential-missing\""], 2),
        (&["route=\"all\"", "reason=\"credential-rejected\""], 1),
        (&["reason=\"no-route\""], 0),
    ] {
        assert_eq!(
            count(&gateway, name, labels),
            expected,
            "{labels:?}: {:#?}",
            lines(&gateway, name)
        );
    }
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

/// The page of metrics, for a reader that accepts this.
fn page(gateway: &Gateway, accept: &str) -> Response {
    let request = Request::new("GET", "/metrics").field("Accept", accept);
    request.to(gateway.admin()).send_to(gateway.admin())
}

#[test]
fn the_exposition_is_of_the_form_that_its_reader_asks_for() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    gateway
        .send(&caller().sign(&gateway.request("GET", "/")))
        .assert_passed();
    gateway.record(0);
    let open = page(
        &gateway,
        "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2",
    );
    let text = page(&gateway, "text/plain;version=0.0.4;q=1,*/*;q=0.1");
    for (metrics, kind, told) in [
        (
            &open,
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            [
                "# TYPE portcullis_build info",
                "# TYPE portcullis_config_reloads counter",
                "# TYPE portcullis_requests counter",
                "# EOF",
            ],
        ),
        (
            &text,
            "text/plain; version=0.0.4; charset=utf-8",
            [
                "# TYPE portcullis_build_info gauge",
                "# TYPE portcullis_config_reloads_total counter",
                "# TYPE portcullis_requests_total counter",
                "# TYPE portcullis_request_duration_seconds histogram",
            ],
        ),
    ] {
        assert_eq!(metrics.field("content-type"), Some(kind));
        let text = metrics.text();
        for line in told {
            assert!(text.lines().any(|known| known == line), "{line}\n{text}");
        }
        for line in text.lines() {
            let known = line.starts_with("# ")
                || line.rsplit_once(' ').is_some_and(|(name, value)| {
                    name.starts_with(|first: char| first.is_ascii_alphabetic())
                        && value.parse::<f64>().is_ok()
                });
            assert!(known, "{line}");
        }
    }
    assert!(open.text().ends_with("\n# EOF\n"));
    assert!(!text.text().contains("# EOF"));
    let series = |metrics: &Response| -> Vec<String> {
        let text = metrics.text();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let series = lines.map(|line| line.rsplit_once(' ').expect("a value").0.to_owned());
        series.collect()
    };
    assert_eq!(series(&open), series(&text));
}

/// Each series that an expression names, with what it asks of the labels.
fn selectors(expression: &str) -> Vec<(&str, Vec<&str>)> {
    let begins = expression.match_indices("portcullis_");
    let selector = |(at, _): (usize, &str)| {
        let rest = &expression[at..];
        let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '_');
        let (name, rest) = rest.split_at(end.unwrap_or(rest.len()));
        let labels = rest
            .strip_prefix('{')
            .and_then(|rest| rest.split_once('}'))
            .map_or("", |(labels, _)| labels);
        let labels = labels.split(',').filter(|label| !label.is_empty());
        (name, labels.collect::<Vec<_>>())
    };
    begins.map(selector).collect()
}

/// An upstream whose servers are shown a certificate of ours.
fn shown_a_certificate(setup: &Setup) -> &'static str {
    let authority = Authority::new();
    let client = authority.certify("gateway.internal");
    setup.write("ca.pem", authority.pem().as_bytes());
    setup.write("client.pem", client.certificate.as_bytes());
    setup.write_secret("client.key", client.key.as_bytes());
    "[upstreams.others]\nservers = [\"https://127.0.0.1:1\"]\n\
     tls = { ca = \"file:ca.pem\", certificate = \"file:client.pem\", key = \"file:client.key\" }\n"
}

#[test]
fn each_series_that_an_alert_waits_for_is_there_before_it_happens() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/observe.md"))
        .expect("the page is there");
    let table = page
        .split("\nWorth an alert:\n\n")
        .nth(1)
        .and_then(|rest| rest.split("\n\n").next())
        .expect("it has a table");
    let upstream = Upstream::start();
    let issuer = issuer::Issuer::start(&issuer::every_key());
    let setup = Setup::before(&upstream);
    let others = shown_a_certificate(&setup);
    let gateway = setup
        .more(&issuer::section(&issuer.url(), ""))
        .more(others)
        .start();
    let fresh = gateway.ask_admin("/metrics").text();
    let shown: Vec<(&str, &str)> = fresh
        .lines()
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(series, _)| series.split_once('{').unwrap_or((series, "")))
        .collect();
    let mut looked_for = 0;
    for expression in table
        .lines()
        .skip(2)
        .filter_map(|row| row.split('|').nth(1))
    {
        for (name, wanted) in selectors(expression) {
            let fits = |labels: &str| {
                wanted.iter().all(|one| match one.split_once("!=") {
                    Some((label, value)) => !labels.contains(&format!("{label}={value}")),
                    None => labels.contains(one),
                })
            };
            let is_there = |(known, labels): &(&str, &str)| *known == name && fits(labels);
            assert!(shown.iter().any(is_there), "{expression}\n{fresh}");
            looked_for += 1;
        }
    }
    assert!(looked_for >= 12, "{table}");
}

#[test]
fn silent_connections_make_way_for_whoever_asks_and_are_told_of_once() {
    const TOLD: &str = "idle connections to the admin listener are closed";
    let upstream = Upstream::start();
    let binary = Setup::before(&upstream).spawn();
    let _silent: Vec<_> = (0..70).map(|_| Connection::open(binary.admin())).collect();
    for path in ["/livez", "/readyz", "/metrics"] {
        let request = Request::new("GET", path).to(binary.admin());
        assert_eq!(request.send_to(binary.admin()).status, 200, "{path}");
    }
    binary
        .stderr
        .wait_for("the event", |line| line.contains(TOLD));
    assert_eq!(binary.stderr.text().matches(TOLD).count(), 1);
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

#[test]
fn every_metric_is_documented_with_its_labels_and_no_other() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/observe.md"))
        .expect("the page is there");
    let table = page
        .split("\n## Metrics\n\n")
        .nth(1)
        .and_then(|rest| rest.split("\n\n").next())
        .expect("it has a table");
    let words = |cell: &str| -> BTreeSet<String> {
        let names = cell.split_whitespace();
        names
            .map(|name| name.trim_matches('`').to_owned())
            .collect()
    };
    let documented: BTreeMap<String, BTreeSet<String>> = table
        .lines()
        .skip(2)
        .map(|row| {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            (cells[1].trim_matches('`').to_owned(), words(cells[3]))
        })
        .collect();

    let upstream = Upstream::start();
    let issuer = issuer::Issuer::start(&issuer::every_key());
    let setup = Setup::before(&upstream);
    // What tells of static keys, issuers, certificates and observed rules is there where there are some.
    let others = shown_a_certificate(&setup);
    setup.write_secret("old.static", b"canary-static-key-0123456789\n");
    let gateway = setup
        .route("mode = \"observe\"")
        .more(&issuer::section(&issuer.url(), ""))
        .more("[apps.old]\napi_keys = [{ id = \"old\", secret = \"file:old.static\", not_after = 2027-02-01 }]")
        .more(others)
        .start();
    gateway
        .send(&caller().sign(&gateway.request("GET", "/")))
        .assert_passed();
    gateway.record(0);
    let text = gateway.ask_admin("/metrics").text();
    let mut told: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let series = line.rsplit_once(' ').expect("a value").0;
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let histogram = ["_bucket", "_sum", "_count"].iter().find_map(|end| {
            name.strip_suffix(end)
                .filter(|name| name.ends_with("_seconds"))
        });
        told.entry(histogram.unwrap_or(name).to_owned())
            .or_default()
            .extend(
                labels
                    .split(',')
                    .filter_map(|label| Some(label.split_once('=')?.0.to_owned()))
                    .filter(|label| label != "le"),
            );
    }
    assert_eq!(documented, told);
}
