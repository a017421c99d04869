use super::ours::Identity;
use super::*;
use crate::apps::Scopes;
use crate::forward::body::{Meter, prepare};
use crate::forward::{Head, form};
use crate::route::{Accept, BodyPolicy, BodyVerify, Inject, InjectedField, Route};
use crate::schemes::digest::BodyProof;
use crate::secret::Secret;
use bytes::Bytes;
use http::{Request, Version};
use http_body_util::{Empty, Full};
use std::collections::BTreeMap;

const ANYONE: Told<'static> = Told {
    assurance: "none",
    is_unframed: false,
    identity: None,
};

fn head(fields: &[(&'static str, &'static str)]) -> Head {
    let mut parts = Box::new(Request::new(()).into_parts().0);
    for (name, value) in fields {
        parts.headers.append(*name, HeaderValue::from_static(value));
    }
    Head {
        parts,
        target: "/".parse().unwrap(),
        authority: "api.example.com".into(),
        scheme: "https",
        asked: crate::clock::Clock::by_hand(1_000_000).0.now(),
        peer: Some([192, 0, 2, 1].into()),
        via: Vec::new(),
        request_id: *b"0123456789abcdef0123456789abcdef",
        would_refuse: None,
        drops_keys: true,
        upgrade: None,
    }
}

fn route() -> Route {
    Route::any("test")
}

async fn no_body() -> ProvenBody {
    let policy = BodyPolicy {
        limit: 10,
        verify: BodyVerify::BeforeForwarding,
    };
    prepare(
        Empty::<Bytes>::new(),
        &BodyProof::Unproven,
        policy,
        Meter::default(),
    )
    .await
    .unwrap()
}

fn prepared<'r>(head: &'r Head, route: &'r Route, told: &Told<'r>) -> Prepared<'r> {
    Prepared {
        told: *told,
        route,
        head,
        inject: form::injected(route, told),
        is_longer: false,
    }
}

async fn sent(head: &Head, route: &Route, told: &Told<'_>) -> BTreeMap<String, Vec<String>> {
    let sent = lines(head, route, told, &no_body().await);
    let mut in_map: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in &request(&prepared(head, route, told), &no_body().await) {
        let value = value.to_str().unwrap().to_owned();
        in_map.entry(name.to_string()).or_default().push(value);
    }
    // `Connection` is of HTTP/1.1 alone.
    let mut same = sent.clone();
    same.remove("connection");
    assert_eq!(same, in_map, "the same goes out in both forms");
    sent
}

/// What is in a head of HTTP/1.1.
fn lines(
    head: &Head,
    route: &Route,
    told: &Told<'_>,
    body: &ProvenBody,
) -> BTreeMap<String, Vec<String>> {
    let mut text = BytesMut::new();
    write_head(&mut text, &prepared(head, route, told), body, false);
    let text = std::str::from_utf8(&text).unwrap();
    let fields = text.strip_prefix("GET / HTTP/1.1\r\n").unwrap();
    let fields = fields.strip_suffix("\r\n\r\n").unwrap();
    let mut sent: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in fields.split("\r\n") {
        let (name, value) = line.split_once(": ").unwrap();
        sent.entry(name.to_owned())
            .or_default()
            .push(value.to_owned());
    }
    sent
}

/// What was sent besides what is set on every request.
async fn passed(fields: &[(&'static str, &'static str)], route: &Route) -> String {
    passed_by(fields, route, &ANYONE).await
}

async fn passed_by(
    fields: &[(&'static str, &'static str)],
    route: &Route,
    told: &Told<'_>,
) -> String {
    let sent = sent(&head(fields), route, told).await;
    let mut set_always = sent_always(told).await;
    set_always.retain(|name, values| sent.get(name) == Some(values));
    let lines: Vec<String> = sent
        .iter()
        .filter(|(name, _)| !set_always.contains_key(*name))
        .map(|(name, values)| format!("{name}: {}", values.join(" | ")))
        .collect();
    lines.join("\n")
}

async fn sent_always(told: &Told<'_>) -> BTreeMap<String, Vec<String>> {
    sent(&head(&[]), &route(), told).await
}

#[tokio::test]
async fn a_proven_caller_is_told_by_name() {
    let scopes: Scopes = ["orders", "read"].into_iter().collect();
    let told = Told {
        assurance: "signed",
        is_unframed: false,
        identity: Some(Identity {
            app: "mobile",
            key: "mobile-2026",
            scheme: Scheme::HttpSignature,
            scheme_name: "http-signature",
            shows_token: false,
            scopes: &scopes,
        }),
    };
    let sent = sent_always(&told).await;
    let lines: Vec<String> = sent
        .iter()
        .map(|(name, values)| format!("{name}: {}", values.join(" | ")))
        .collect();
    assert_eq!(
        lines,
        [
            "connection: keep-alive",
            "forwarded: for=192.0.2.1;host=api.example.com;proto=https",
            "host: api.example.com",
            "portcullis-app: mobile",
            "portcullis-assurance: signed",
            "portcullis-key: mobile-2026",
            "portcullis-request-id: 0123456789abcdef0123456789abcdef",
            "portcullis-scheme: http-signature",
            "portcullis-scopes: orders read",
            "via: 1.1 portcullis",
            "x-forwarded-for: 192.0.2.1",
            "x-forwarded-host: api.example.com",
            "x-forwarded-proto: https",
        ]
    );
}

#[tokio::test]
async fn an_anonymous_caller_has_no_name_whatever_it_says() {
    let sent = sent(
        &head(&[
            ("portcullis-app", "admin"),
            ("portcullis-scopes", "all"),
            ("portcullis_key", "k"),
            ("portcullis.scheme", "s"),
            ("portcullis-request-id", "mine"),
        ]),
        &route(),
        &ANYONE,
    )
    .await;
    let ours: Vec<&String> = sent
        .keys()
        .filter(|name| name.starts_with("portcullis"))
        .collect();
    assert_eq!(ours, ["portcullis-assurance", "portcullis-request-id"]);
    assert_eq!(sent["portcullis-assurance"], ["none"]);
    assert_eq!(
        sent["portcullis-request-id"],
        ["0123456789abcdef0123456789abcdef"]
    );
}

#[tokio::test]
async fn forged_origin_and_control_fields_are_dropped_in_every_spelling() {
    for name in [
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-prefix",
        "x_forwarded_for",
        "x.forwarded.for",
        "x-forwarded",
        "x-real-ip",
        "x_real_ip",
        "x-request-id",
        "via",
        "x-original-url",
        "x-rewrite-url",
        "x-http-method-override",
        "x-accel-redirect",
        "x-sendfile",
        "x-sendfile-type",
        "proxy",
        "proxy-authorization",
        "proxy-connection",
        "remote-user",
        "remote_user",
        "client-cert",
        "client-cert-chain",
        "ssl-client-verify",
        "x-ssl-client-dn",
        "http2-settings",
        "upgrade",
        "keep-alive",
        "trailer",
        "expect",
        "transfer-encoding",
    ] {
        assert_eq!(passed(&[(name, "forged")], &route()).await, "", "{name}");
    }
}

#[tokio::test]
async fn all_else_passes_byte_for_byte_and_in_order() {
    let fields = [
        ("accept", "*/*"),
        ("authorization", "Bearer of-a-user"),
        ("content-digest", "sha-256=:AA==:"),
        ("traceparent", "00-1-2-01"),
        ("x-many", "2"),
        ("x-many", "1, 3"),
        ("x-many", "2"),
        ("x-originals", "kept"),
        ("viable", "kept"),
        ("portcullisx", "kept"),
    ];
    assert_eq!(
        passed(&fields, &route()).await,
        "accept: */*\nauthorization: Bearer of-a-user\ncontent-digest: sha-256=:AA==:\n\
         portcullisx: kept\ntraceparent: 00-1-2-01\nviable: kept\n\
         x-many: 2 | 1, 3 | 2\nx-originals: kept"
    );
}

#[tokio::test]
async fn what_another_proxy_has_signed_passes_and_what_it_only_says_does_not() {
    let fields = [
        ("x-amzn-oidc-accesstoken", "token"),
        ("x-amzn-oidc-data", "signed"),
        ("x-amzn-oidc-identity", "forged"),
        ("x-goog-authenticated-user-email", "forged"),
        ("x-goog-iap-jwt-assertion", "signed"),
    ];
    assert_eq!(
        passed(&fields, &route()).await,
        "x-amzn-oidc-accesstoken: token\nx-amzn-oidc-data: signed\n\
         x-goog-iap-jwt-assertion: signed"
    );
}

#[tokio::test]
async fn what_connection_names_goes_and_never_one_of_ours() {
    let fields = [
        ("connection", "close, X-Hop"),
        (
            "connection",
            "Via, host,x-forwarded-for , portcullis-request-id",
        ),
        ("x-hop", "1"),
        ("x-hop", "2"),
        ("x-stays", "3"),
    ];
    assert_eq!(passed(&fields, &route()).await, "x-stays: 3");
}

#[tokio::test]
async fn proof_fields_reach_the_backend_only_where_the_route_says_so() {
    let fields = [
        ("signature", "sig=:AA==:"),
        ("signature-input", "sig=()"),
        ("signature-base-digest", "x"),
        ("portcullis-token", "t"),
        ("signature-other", "kept"),
    ];
    assert_eq!(passed(&fields, &route()).await, "signature-other: kept");
    let keeps = Route {
        keep_proof: true,
        ..route()
    };
    assert_eq!(
        passed(&fields, &keeps).await,
        "portcullis-token: t\nsignature: sig=:AA==:\nsignature-base-digest: x\n\
         signature-input: sig=()\nsignature-other: kept"
    );
}

#[tokio::test]
async fn authorization_is_dropped_only_when_it_is_the_proof() {
    let route = Route {
        token_fields: vec![HeaderName::from_static("x-token"), AUTHORIZATION],
        ..route()
    };
    let scopes = Scopes::none();
    let by = |scheme| Told {
        assurance: "key",
        is_unframed: false,
        identity: Some(Identity {
            app: "a",
            key: "k",
            scheme,
            scheme_name: scheme.name(),
            shows_token: scheme == Scheme::Token,
            scopes: &scopes,
        }),
    };
    let bearer = ("authorization", "Bearer t");
    let alone = passed_by(&[bearer], &route, &by(Scheme::Token)).await;
    assert_eq!(alone, "");
    let beside_a_token = [bearer, ("x-token", "t")];
    let kept = passed_by(&beside_a_token, &route, &by(Scheme::Token)).await;
    assert_eq!(kept, "authorization: Bearer t");
    let kept = passed_by(&[bearer], &route, &by(Scheme::HttpSignature)).await;
    assert_eq!(kept, "authorization: Bearer t");
    assert_eq!(passed(&[bearer], &route).await, "authorization: Bearer t");
}

#[tokio::test]
async fn cookies_that_http2_split_are_joined() {
    let fields = [("cookie", "a=1"), ("cookie", "b=2"), ("cookie", "c=3")];
    assert_eq!(passed(&fields, &route()).await, "cookie: a=1; b=2; c=3");
}

#[tokio::test]
async fn the_will_to_take_trailers_is_all_that_te_says() {
    let asked = passed(&[("te", "deflate;q=0.5, trailers")], &route()).await;
    assert_eq!(asked, "connection: te, keep-alive\nte: trailers");
    assert_eq!(passed(&[("te", "deflate")], &route()).await, "");
}

#[tokio::test]
async fn an_ipv6_peer_and_a_host_with_a_port_are_quoted_in_forwarded() {
    let mut head = Head {
        authority: "[2001:db8::2]:8443".into(),
        peer: Some("2001:db8::1".parse().unwrap()),
        ..head(&[])
    };
    head.parts.version = Version::HTTP_2;
    let sent = sent(&head, &route(), &ANYONE).await;
    assert_eq!(
        sent["forwarded"],
        ["for=\"[2001:db8::1]\";host=\"[2001:db8::2]:8443\";proto=https"]
    );
    assert_eq!(sent["x-forwarded-for"], ["2001:db8::1"]);
    assert_eq!(sent["via"], ["2.0 portcullis"]);
}

#[tokio::test]
async fn a_peer_that_is_ipv4_in_ipv6_is_told_as_ipv4() {
    let head = Head {
        peer: Some("::ffff:192.0.2.7".parse().unwrap()),
        ..head(&[])
    };
    let sent = sent(&head, &route(), &ANYONE).await;
    assert_eq!(sent["x-forwarded-for"], ["192.0.2.7"]);
}

#[tokio::test]
async fn each_request_has_at_most_one_framing_field() {
    let policy = BodyPolicy {
        limit: 10,
        verify: BodyVerify::BeforeForwarding,
    };
    let body = prepare(
        Full::from("hello"),
        &BodyProof::Unproven,
        policy,
        Meter::default(),
    )
    .await
    .unwrap();
    // Its own length, whatever was said of it.
    let known = head(&[("content-length", "7")]);
    let fields = lines(&known, &route(), &ANYONE, &body);
    assert_eq!(fields["content-length"], ["5"]);
    assert!(!fields.contains_key("transfer-encoding"));

    for (method, came, expected) in [
        (Method::GET, None, None),
        (Method::GET, Some("0"), Some("0")),
        (Method::POST, None, Some("0")),
        (Method::POST, Some("0"), Some("0")),
        (Method::DELETE, None, None),
    ] {
        let mut head = head(&[]);
        head.parts.method = method;
        if let Some(came) = came {
            head.parts
                .headers
                .insert(CONTENT_LENGTH, HeaderValue::from_static(came));
        }
        let fields = request(&prepared(&head, &route(), &ANYONE), &no_body().await);
        let length = fields
            .get(CONTENT_LENGTH)
            .map(|value| value.to_str().unwrap());
        assert_eq!(length, expected);
        assert!(!fields.contains_key(TRANSFER_ENCODING));
    }
}

#[test]
fn an_answer_keeps_nothing_of_its_hop_and_says_nothing_for_us() {
    let mut fields = HeaderMap::new();
    for (name, value) in [
        ("connection", "keep-alive, X-Hop"),
        ("keep-alive", "timeout=5"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("proxy-authenticate", "Basic"),
        ("x-hop", "1"),
        ("portcullis-app", "forged"),
        ("portcullis-request-id", "forged"),
        ("content-length", "5"),
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
        ("trailer", "x-sum"),
    ] {
        fields.append(name, HeaderValue::from_static(value));
    }
    answer(&mut fields);
    let mut left: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
    left.sort_unstable();
    assert_eq!(
        left,
        ["content-length", "set-cookie", "set-cookie", "trailer"]
    );
}

/// A route that adds two fields.
fn injecting(accept: Accept) -> Route {
    let field = |name, value: &str| InjectedField {
        name,
        value: Secret::new(value.into()),
        from: "env:X".into(),
    };
    let key = field(HeaderName::from_static("x-api-key"), "ours");
    Route {
        accept,
        inject: Some(Box::new(Inject {
            fields: vec![key, field(AUTHORIZATION, "Basic b3Vycw==")],
            form: Vec::new(),
        })),
        ..route()
    }
}

#[tokio::test]
async fn what_is_added_replaces_what_came_under_any_spelling_of_the_name() {
    let came = [
        ("x-api-key", "theirs"),
        ("x-api-key", "theirs too"),
        ("x.api.key", "theirs as well"),
        ("authorization", "Bearer theirs"),
        ("x-api-keys", "another"),
    ];
    let route = injecting(Accept::Public);
    let sent = sent(&head(&came), &route, &ANYONE).await;
    assert_eq!(sent["x-api-key"], ["ours"]);
    assert_eq!(sent["authorization"], ["Basic b3Vycw=="]);
    assert_eq!(sent["x-api-keys"], ["another"]);
    assert!(!sent.contains_key("x.api.key"));
}

#[tokio::test]
async fn nothing_is_added_for_whom_an_observing_route_does_not_know() {
    let came = [("x-api-key", "theirs")];
    let passed = passed(&came, &injecting(route().accept)).await;
    assert_eq!(passed, "x-api-key: theirs");
}

#[tokio::test]
async fn what_is_added_stays_out_of_the_tables_of_a_connection() {
    let (head, route) = (head(&[]), injecting(Accept::Public));
    let fields = request(&prepared(&head, &route, &ANYONE), &no_body().await);
    assert!(fields["x-api-key"].is_sensitive());
    assert!(fields[AUTHORIZATION].is_sensitive());
}
