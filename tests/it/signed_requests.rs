//! Requests that prove themselves by an HTTP message signature.

use crate::harness::setup::SECRET;
use crate::harness::{Caller, Gateway, Request, Setup, T0, Upstream, caller, h2};
use data_encoding::BASE64;

fn gateway() -> (Upstream, Gateway) {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    (upstream, gateway)
}

/// A request with all that can be changed in it.
fn whole(gateway: &Gateway) -> Request {
    gateway
        .request("POST", "/orders/7?item=1&item=2")
        .field("Authorization", "Bearer of-the-user")
        .field("Content-Type", "application/json")
        .body("{\"count\": 1}")
}

#[test]
fn method_authority_path_and_query_are_enough() {
    let (upstream, gateway) = gateway();
    let request = gateway.request("GET", "/orders/7?item=1&item=2");
    gateway.send(&caller().sign(&request)).assert_passed();
    assert_eq!(
        upstream.only().line(),
        "GET /orders/7?item=1&item=2 HTTP/1.1"
    );
}

#[test]
fn every_way_to_cover_the_target_is_accepted() {
    let (_upstream, gateway) = gateway();
    for target in ["/orders/7", "/orders/7?item=1&item=2", "/", "/a%20b?x=%2F"] {
        for covered in [
            &["@method", "@authority", "@path", "@query"][..],
            &["@query", "@path", "@authority", "@method"],
            &["@method", "@target-uri"],
            &["@method", "@authority", "@target-uri"],
            &["@method", "@authority", "@request-target"],
        ] {
            let request = gateway.request("GET", target);
            let response = gateway.send(&caller().covering(covered).sign(&request));
            assert_eq!(
                response.status,
                200,
                "{target} {covered:?}: {}",
                response.text()
            );
        }
    }
}

#[test]
fn a_query_need_not_be_covered_where_there_is_none() {
    let (_upstream, gateway) = gateway();
    let request = gateway.request("GET", "/orders/7");
    let signer = caller().covering(&["@method", "@authority", "@path"]);
    gateway.send(&signer.sign(&request)).assert_passed();
}

#[test]
fn an_empty_query_is_a_query() {
    let (upstream, gateway) = gateway();
    let request = gateway.request("GET", "/orders/7?");
    for covered in [
        &["@method", "@authority", "@request-target"][..],
        &["@method", "@target-uri"],
    ] {
        let signed = caller().covering(covered).sign(&request);
        gateway.send(&signed).assert_passed();
        assert_eq!(upstream.heard().last().unwrap().target(), "/orders/7?");
        let mut added = caller()
            .covering(covered)
            .sign(&gateway.request("GET", "/orders/7"));
        added.target.push('?');
        let refused = gateway.send(&added);
        refused.assert_refused(401, "credential-rejected");
    }
    // `@query` is `?` with and without it, so nobody can cover it by that.
    let covered = &["@method", "@authority", "@path", "@query"];
    let mut added = caller()
        .covering(covered)
        .sign(&gateway.request("GET", "/orders/7"));
    gateway.send(&added).assert_passed();
    let before = upstream.heard().len();
    added.target.push('?');
    let refused = gateway.send(&added);
    refused.assert_refused(401, "coverage-missing");
    assert_eq!(
        refused.json()["missing"],
        serde_json::json!(["@target-uri"])
    );
    assert_eq!(upstream.heard().len(), before);
}

#[test]
fn neither_label_nor_algorithm_nor_expiry_nor_nonce_nor_tag_is_demanded_but_each_is_honoured() {
    let (_upstream, gateway) = gateway();
    let request = gateway.request("GET", "/orders/7");
    for signer in [
        caller(),
        caller().label("pyhms"),
        caller().label("*a-1.b_2"),
        caller().parameter("alg=\"hmac-sha256\""),
        caller().parameter(&format!("expires={}", T0 + 60)),
        caller().nonce("n-1"),
        caller().parameter("tag=\"app\""),
        caller().parameter("of-ours=1;more"),
    ] {
        let response = gateway.send(&signer.sign(&request));
        assert_eq!(response.status, 200, "{signer:?}: {}", response.text());
    }
}

#[test]
fn a_key_for_sha_512_signs_with_sha_512() {
    let (_upstream, gateway) = gateway();
    let request = whole(&gateway);
    gateway
        .send(&Caller::sha512().sign(&request))
        .assert_passed();
    let named = Caller::sha512().parameter("alg=\"hmac-sha512\"");
    gateway
        .send(&named.sign(&gateway.request("GET", "/")))
        .assert_passed();
}

#[test]
fn a_sha_512_digest_is_accepted_and_every_known_member_must_match() {
    let (upstream, gateway) = gateway();
    let good = "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:";
    let also = "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:";
    let wrong = "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPF=:";
    let body = "{\"hello\": \"world\"}";
    for digest in [
        good.to_owned(),
        also.to_owned(),
        format!("{good}, {also}"),
        format!("{good}, md5=:Sd/dVLAcvNLSq16eXua5uQ==:"),
    ] {
        let request = gateway
            .request("POST", "/")
            .field("Content-Digest", &digest);
        let response = gateway.send(
            &caller()
                .nonce(&digest.len().to_string())
                .sign(&request.body(body)),
        );
        assert_eq!(response.status, 200, "{digest}: {}", response.text());
    }
    let heard = upstream.heard().len();
    let request = gateway
        .request("POST", "/")
        .field(
            "Content-Digest",
            &format!("{good}, {}", wrong.replace("BPF=", "BPA=")),
        )
        .body(body);
    gateway
        .send(&caller().sign(&request))
        .assert_refused(401, "digest-mismatch");
    assert_eq!(upstream.heard().len(), heard);
}

#[test]
fn a_digest_of_a_weak_algorithm_alone_does_not_cover_a_body() {
    let (upstream, gateway) = gateway();
    let request = gateway
        .request("POST", "/")
        .field("Content-Digest", "md5=:Sd/dVLAcvNLSq16eXua5uQ==:")
        .body("{\"hello\": \"world\"}");
    let response = gateway.send(&caller().sign(&request));
    assert!((400..402).contains(&response.status), "{}", response.text());
    assert!(response.text().contains("sha-256"), "{}", response.text());
    upstream.assert_silent();
}

#[test]
fn a_digest_of_nothing_may_be_covered_by_a_request_without_body() {
    let (_upstream, gateway) = gateway();
    let request = gateway.request("GET", "/").field(
        "Content-Digest",
        "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:",
    );
    gateway.send(&caller().sign(&request)).assert_passed();
}

#[test]
fn a_body_without_a_length_that_has_no_byte_is_none() {
    let (upstream, gateway) = gateway();
    let (address, target) = (gateway.address(), gateway.request("POST", "/orders/7"));
    let signed = |nonce: &str| caller().nonce(nonce).sign(&target);
    let empty = signed("1").body("").chunked();
    gateway.send(&empty).assert_passed();
    gateway.send(&empty).assert_refused(401, "replayed");
    assert_eq!(h2::send(&signed("2").body(""), address).status, 200);

    let over_http_1 = gateway.send(&signed("3").body("x").chunked());
    over_http_1.assert_refused(401, "coverage-missing");
    let over_http_2 = h2::send(&signed("4").body("x"), address);
    assert_eq!(over_http_2.status, 401);
    for refused in [over_http_1, over_http_2] {
        let told = refused.text();
        assert!(told.contains("`content-digest`"), "{told}");
    }
    let heard = upstream.heard();
    assert_eq!(heard.len(), 2);
    assert!(heard.iter().all(|got| got.body.is_empty()));
}

#[test]
fn only_who_has_signed_all_but_a_body_is_waited_for() {
    let (upstream, gateway) = gateway();
    let request = gateway.request("POST", "/orders/7");
    let request = request.field("Expect", "100-continue").body("").chunked();
    let signed = |caller: Caller| caller.without_digest().sign(&request);
    let wrong = Caller::new("mobile-2026", b"another secret of thirty-two bytes");
    let too_little = caller().covering(&["@method", "@authority"]);
    let begun = |request: &Request| {
        let mut connection = gateway.connect();
        connection.send(&request.head());
        let (status, _) = connection.head().unwrap();
        (connection, status)
    };
    for refused in [request.clone(), signed(wrong), signed(too_little)] {
        assert_eq!(begun(&refused).1, 401);
    }
    let signed = signed(caller());
    let (mut connection, status) = begun(&signed);
    assert_eq!(status, 100);
    connection.send(&signed.framed_body());
    connection.response_to("POST").assert_passed();
    assert_eq!(upstream.heard().len(), 1);
}

#[test]
fn fields_can_be_covered_by_each_parameter_that_a_request_can_carry() {
    let (_upstream, gateway) = gateway();
    let request = gateway
        .request("GET", "/orders?baz=batman&qux=&param=some%20value")
        .field("X-Dict", " a=1,    b=2;x=1;y=2,   c=(a   b   c)")
        .field("X-Two", "value, with, lots")
        .field("X-Two", "of, commas")
        .field("X-Empty", "");
    let target = ["\"@method\"", "\"@authority\"", "\"@path\"", "\"@query\""];
    for (component, value) in [
        ("\"x-dict\"", "a=1,    b=2;x=1;y=2,   c=(a   b   c)"),
        ("\"x-dict\";key=\"a\"", "1"),
        ("\"x-dict\";key=\"b\"", "2;x=1;y=2"),
        ("\"x-dict\";key=\"c\"", "(a b c)"),
        ("\"x-two\"", "value, with, lots, of, commas"),
        (
            "\"x-two\";bs",
            ":dmFsdWUsIHdpdGgsIGxvdHM=:, :b2YsIGNvbW1hcw==:",
        ),
        ("\"x-empty\"", ""),
        ("\"@query-param\";name=\"baz\"", "batman"),
        ("\"@query-param\";name=\"qux\"", ""),
        ("\"@query-param\";name=\"param\"", "some%20value"),
        ("\"@scheme\"", "http"),
    ] {
        let signer = caller()
            .covering(&[target.as_slice(), &[component]].concat())
            .value(component, value);
        let response = gateway.send(&signer.sign(&request));
        assert_eq!(response.status, 200, "{component}: {}", response.text());

        let liar = caller()
            .covering(&[target.as_slice(), &[component]].concat())
            .value(component, &format!("{value}x"));
        let response = gateway.send(&liar.sign(&request));
        assert_eq!(response.status, 401, "{component}: {}", response.text());
    }
}

#[test]
fn known_structured_fields_can_be_covered_reserialized() {
    let (_upstream, gateway) = gateway();
    let digest = "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:";
    let request = gateway
        .request("POST", "/")
        .field("Priority", "u=1,    i")
        .field("Content-Digest", digest)
        .body("{\"hello\": \"world\"}");
    let signer = caller()
        .covering(&[
            "@method",
            "@target-uri",
            "\"priority\";sf",
            "\"content-digest\";sf",
        ])
        .value("\"priority\";sf", "u=1, i")
        .value("\"content-digest\";sf", digest);
    gateway.send(&signer.sign(&request)).assert_passed();
}

#[test]
fn a_digest_covered_by_one_member_does_not_cover_the_body() {
    let (_upstream, gateway) = gateway();
    let request = gateway
        .request("POST", "/")
        .field(
            "Content-Digest",
            "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:",
        )
        .body("{\"hello\": \"world\"}");
    let component = "\"content-digest\";key=\"sha-256\"";
    let signer = caller()
        .covering(&["@method", "@target-uri", component])
        .value(component, ":X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:");
    // A member binds itself only: another one could be added beside it.
    gateway
        .send(&signer.sign(&request))
        .assert_refused(401, "coverage-missing");
}

#[test]
fn cookies_are_signed_as_they_are_forwarded() {
    let (upstream, gateway) = gateway();
    let signer = caller().covering(&["@method", "@authority", "@path", "cookie"]);
    assert_cookies_are_signed_as_forwarded(&gateway, &upstream, true, |get| signer.sign(get));
}

/// In whatever scheme `sign` signs a request with its cookies. `over_either` is whether what is signed holds
/// over HTTP/2 as well.
pub(crate) fn assert_cookies_are_signed_as_forwarded(
    gateway: &Gateway,
    upstream: &Upstream,
    over_either: bool,
    sign: impl Fn(&Request) -> Request,
) {
    let with = |cookies: &str| sign(&gateway.request("GET", "/").field("Cookie", cookies));
    let split = |signed: &Request, one: &str, other: &str| {
        let rest = signed.clone().without("cookie");
        rest.field("Cookie", one).field("Cookie", other)
    };
    let signed = with("theme=dark, admin=1");
    gateway.send(&signed).assert_passed();
    // Split in two it would be forwarded as two cookies, be it signed with a space behind the comma or without.
    for signed in [signed, with("theme=dark,admin=1")] {
        let split = split(&signed, "theme=dark", "admin=1");
        gateway
            .send(&split)
            .assert_refused(401, "credential-rejected");
        assert_eq!(h2::send(&split, gateway.address()).status, 401);
    }
    assert_eq!(upstream.heard().len(), 1);
    // And whoever signs the whole may have it split on the way.
    let split = split(&with("a=1; b=2"), "a=1", "b=2");
    gateway.send(&split).assert_passed();
    assert_eq!(upstream.got(1).values("cookie"), ["a=1; b=2"]);
    if over_either {
        h2::send(&split, gateway.address()).assert_passed();
        assert_eq!(upstream.got(2).values("cookie"), ["a=1; b=2"]);
    }
}

#[test]
fn options_of_the_root_and_of_the_whole_server_are_two_requests() {
    let (upstream, gateway) = gateway();
    let mut signed = caller()
        .covering(&["@method", "@authority", "@path"])
        .sign(&gateway.request("OPTIONS", "/"));
    gateway.send(&signed).assert_passed();
    signed.target = "*".into();
    gateway
        .send(&signed)
        .assert_refused(400, "malformed-credential");
    assert_eq!(upstream.heard().len(), 1);
    let signed = caller()
        .covering(&["@method", "@authority", "@request-target"])
        .sign(&gateway.request("OPTIONS", "*"));
    gateway.send(&signed).assert_passed();
    assert_eq!(upstream.got(1).target(), "*");
}

#[test]
fn components_that_a_request_cannot_carry_are_refused_for_a_stated_reason() {
    let (upstream, gateway) = gateway();
    let request = gateway
        .request("GET", "/orders?a=1&a=2")
        .field("X-Field", "1")
        .field("X-List", "(");
    let target = ["@method", "@authority", "@path", "@query"];
    for (component, reason) in [
        ("\"x-field\";tr", "tr"),
        ("\"@method\";req", "req"),
        ("\"x-field\";req", "req"),
        ("\"x-field\";new", "new"),
        ("\"@status\"", "@status"),
        ("\"@new\"", "@new"),
        ("\"@path\";sf", "sf"),
        ("\"x-field\";bs;sf", "bs"),
        ("\"x-field\";bs;key=\"a\"", "bs"),
        ("\"x-field\";key=1", "key"),
        ("\"x-field\";sf=?0", "sf"),
        ("\"x-list\";sf", "x-list"),
        ("\"x-field\";key=\"none\"", "x-field"),
        ("\"x-absent\"", "x-absent"),
        ("\"X-Field\"", "X-Field"),
        ("\"@query-param\";name=\"a\"", "a"),
        ("\"@query-param\";name=\"absent\"", "absent"),
        ("\"@query-param\"", "name"),
        ("\"@signature-params\"", "@signature-params"),
        ("x-field", "x-field"),
        ("7", "7"),
    ] {
        let signer = caller()
            .covering(&target)
            .covering_also(component)
            .value(component, "1");
        let response = gateway.send(&signer.sign(&request));
        assert!(
            (400..402).contains(&response.status),
            "{component}: {} {}",
            response.status,
            response.text()
        );
        assert!(
            ["malformed-credential", "coverage-missing"].contains(&response.code().as_str()),
            "{component}: {}",
            response.text()
        );
        assert!(
            response.detail().contains(reason),
            "{component}: the reason is not told: {}",
            response.text()
        );
    }
    upstream.assert_silent();
}

#[test]
fn a_component_covered_twice_is_refused() {
    let (upstream, gateway) = gateway();
    let signer = caller().covering(&["@method", "@target-uri", "@method"]);
    gateway
        .send(&signer.sign(&gateway.request("GET", "/")))
        .assert_refused(400, "malformed-credential");
    upstream.assert_silent();
}

#[test]
fn of_several_labels_the_one_that_satisfies_counts() {
    let (_upstream, gateway) = gateway();
    let request = gateway.request("GET", "/orders");
    let by_a_proxy = Caller::new("proxy", b"a secret that nobody here knows!").label("proxy");
    let both = caller().sign(&by_a_proxy.sign(&request));
    gateway.send(&both).assert_passed();
    let both = by_a_proxy.sign(&caller().sign(&request));
    gateway.send(&both).assert_passed();
    let uncovering = caller().label("small").covering(&["@method"]);
    let both = caller().sign(&uncovering.sign(&request));
    gateway.send(&both).assert_passed();
}

#[test]
fn more_than_four_labels_are_refused() {
    let (upstream, gateway) = gateway();
    let mut request = gateway.request("GET", "/orders");
    for number in 0..4 {
        let stranger = Caller::new("stranger", SECRET).label(&format!("s{number}"));
        request = stranger.sign(&request);
    }
    let request = caller().sign(&request);
    let response = gateway.send(&request);
    assert!((400..402).contains(&response.status), "{}", response.text());
    upstream.assert_silent();
}

#[test]
fn a_label_twice_or_on_one_side_only_is_refused() {
    let (upstream, gateway) = gateway();
    let request = gateway.request("GET", "/orders");
    let signed = caller().sign(&request);
    let twice = caller().sign(&signed);
    gateway
        .send(&twice)
        .assert_refused(400, "malformed-credential");
    for lost in ["Signature", "Signature-Input"] {
        let response = gateway.send(&signed.clone().without(lost));
        assert!(
            (400..402).contains(&response.status),
            "{lost}: {}",
            response.text()
        );
        let renamed = signed.clone().change(lost, |value| format!("x{value}"));
        let response = gateway.send(&renamed);
        assert!(
            (400..402).contains(&response.status),
            "{lost}: {}",
            response.text()
        );
    }
    upstream.assert_silent();
}

#[test]
fn spelling_of_the_signature_input_does_not_matter() {
    let (_upstream, gateway) = gateway();
    let signed = caller().sign(&gateway.request("GET", "/orders?x=1"));
    let spaced = signed.change("Signature-Input", |value| {
        value
            .replace("(\"", "(  \"")
            .replace("\" \"", "\"   \"")
            .replace("\")", "\" )")
    });
    gateway.send(&spaced).assert_passed();
}

#[test]
fn each_change_to_what_is_covered_is_refused() {
    let (upstream, gateway) = gateway();
    let signed = caller().sign(&whole(&gateway));
    let changed = |change: &dyn Fn(&mut Request)| {
        let mut request = signed.clone();
        change(&mut request);
        gateway.send(&request)
    };
    for method in ["PUT", "DELETE", "PATCH", "POSt"] {
        let response = changed(&|request| request.method = method.into());
        assert!(
            (400..402).contains(&response.status),
            "{method}: {}",
            response.text()
        );
    }
    for target in [
        "/orders/8?item=1&item=2",
        "/orders?item=1&item=2",
        "/orders/7/x?item=1&item=2",
        "/Orders/7?item=1&item=2",
        "/orders/%37?item=1&item=2",
        "/orders/7?item=2&item=1",
        "/orders/7?item=1",
        "/orders/7",
        "/orders/7?item=1&item=2&admin=1",
        "/orders/7?item=1&item=2&",
        "/orders/7?item=1&%69tem=2",
        "/orders/7?item=1&item=3",
    ] {
        changed(&|request| request.target = target.into())
            .assert_refused(401, "credential-rejected");
    }
    changed(&|request| request.target = "/orders/7?".into())
        .assert_refused(401, "coverage-missing");
    changed(&|request| request.authority = "other.example".into())
        .assert_refused(401, "credential-rejected");
    changed(&|request| *request = request.clone().change("Authorization", |v| format!("{v}x")))
        .assert_refused(401, "credential-rejected");
    changed(&|request| {
        *request = request
            .clone()
            .change("Content-Digest", |v| v.replace("=:", "0:"));
    })
    .assert_refused(400, "malformed-credential");
    changed(&|request| {
        *request = request.clone().change("Content-Digest", |_| {
            "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:".into()
        });
    })
    .assert_refused(401, "credential-rejected");
    upstream.assert_silent();
    // None of that used the request itself up.
    gateway.send(&signed).assert_passed();
}

#[test]
fn each_change_to_a_body_is_refused() {
    let (upstream, gateway) = gateway();
    for (number, body) in [
        Some("{\"count\": 2}"),
        Some("{\"count\": 1} "),
        Some("{\"count\": 1"),
        Some(""),
        None,
    ]
    .into_iter()
    .enumerate()
    {
        let signer = caller().nonce(&number.to_string());
        let mut request = signer.sign(&whole(&gateway));
        request.body = body.map(Into::into);
        gateway
            .send(&request)
            .assert_refused(401, "digest-mismatch");
    }
    upstream.assert_silent();
}

#[test]
fn a_change_of_any_byte_of_what_is_covered_is_refused() {
    let (upstream, gateway) = gateway();
    let signed = caller().nonce("n").sign(&whole(&gateway));
    let mut tried = 0;
    let mut refused = |what: &str, changed: &Request| {
        let response = gateway.send(changed);
        assert!(
            (400..402).contains(&response.status),
            "{what}: {:?}: {} {}",
            String::from_utf8_lossy(&changed.bytes()),
            response.status,
            response.text()
        );
        tried += 1;
    };
    for changed in with_each_byte_changed(&signed.method) {
        refused(
            "method",
            &Request {
                method: changed,
                ..signed.clone()
            },
        );
    }
    for changed in with_each_byte_changed(&signed.target) {
        refused(
            "target",
            &Request {
                target: changed,
                ..signed.clone()
            },
        );
    }
    for changed in with_each_byte_changed(&signed.authority) {
        refused(
            "authority",
            &Request {
                authority: changed,
                ..signed.clone()
            },
        );
    }
    for field in [
        "Authorization",
        "Content-Digest",
        "Signature-Input",
        "Signature",
    ] {
        for changed in with_each_byte_changed(&signed.value(field).unwrap()) {
            refused(field, &signed.clone().change(field, |_| changed.clone()));
        }
    }
    assert!(tried > 250, "{tried} changes");
    upstream.assert_silent();
    gateway.send(&signed).assert_passed();
    // A body uses the request up that it came with.
    let body = String::from_utf8(signed.body.clone().unwrap()).unwrap();
    for (number, changed) in with_each_byte_changed(&body).enumerate() {
        let signed = caller().nonce(&number.to_string()).sign(&whole(&gateway));
        gateway
            .send(&signed.body(changed))
            .assert_refused(401, "digest-mismatch");
    }
    assert_eq!(upstream.heard().len(), 1);
}

/// A text, once with each of its bytes changed by one bit.
fn with_each_byte_changed(text: &str) -> impl Iterator<Item = String> {
    (0..text.len()).map(|place| {
        let mut bytes = text.as_bytes().to_vec();
        bytes[place] ^= 1;
        String::from_utf8(bytes).unwrap()
    })
}

#[test]
fn taking_a_covered_part_away_is_refused() {
    let (upstream, gateway) = gateway();
    let signed = caller().sign(&whole(&gateway));
    for field in ["Authorization", "Content-Digest"] {
        let response = gateway.send(&signed.clone().without(field));
        assert!(
            (400..402).contains(&response.status),
            "{field}: {}",
            response.text()
        );
    }
    upstream.assert_silent();
}

#[test]
fn adding_a_part_that_must_be_covered_is_refused() {
    let (upstream, gateway) = gateway();
    let request = gateway.request("POST", "/orders/7");
    let signed = caller().sign(&request);
    let cases = [
        signed.clone().field("Authorization", "Basic YWxsOm1pbmU="),
        signed.clone().body("added"),
        signed.clone().body("added").chunked(),
        signed
            .clone()
            .field(
                "Content-Digest",
                "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:",
            )
            .body("{\"hello\": \"world\"}"),
    ];
    for (case, part) in cases.iter().zip([
        "authorization",
        "content-digest",
        "content-digest",
        "content-digest",
    ]) {
        let response = gateway.send(case);
        response.assert_refused(401, "coverage-missing");
        assert!(
            response.text().contains(part),
            "{part}: {}",
            response.text()
        );
    }
    let mut query = signed.clone();
    query.target.push_str("?admin=1");
    let response = gateway.send(&query);
    response.assert_refused(401, "coverage-missing");
    assert!(response.text().contains("@query"), "{}", response.text());
    upstream.assert_silent();
}

#[test]
fn a_signature_that_covers_too_little_is_refused_and_says_what_is_missing() {
    let (upstream, gateway) = gateway();
    let request = gateway.request("GET", "/orders/7?item=1");
    for (covered, missing) in [
        (&[][..], &["@method", "@authority", "@path", "@query"][..]),
        (&["@authority", "@path", "@query"], &["@method"]),
        (&["@method", "@path", "@query"], &["@authority"]),
        (&["@method", "@request-target"], &["@authority"]),
        (&["@method", "@authority", "@query"], &["@path"]),
        (&["@method", "@authority", "@path"], &["@query"]),
        (
            &[
                "@method",
                "@authority",
                "@path",
                "\"@query-param\";name=\"item\"",
            ],
            &["@query"],
        ),
    ] {
        let signer = caller()
            .covering(covered)
            .value("\"@query-param\";name=\"item\"", "1");
        let response = gateway.send(&signer.sign(&request));
        response.assert_refused(401, "coverage-missing");
        for part in missing {
            assert!(
                response.detail().contains(part),
                "{covered:?} lacks {part}: {}",
                response.text()
            );
        }
    }
    let request = request.body("x");
    let signer = caller().covering(&["@method", "@target-uri"]);
    let response = gateway.send(&signer.sign(&request));
    response.assert_refused(401, "coverage-missing");
    assert!(
        response.detail().contains("content-digest"),
        "{}",
        response.text()
    );
    upstream.assert_silent();
}

#[test]
fn created_and_keyid_are_needed() {
    let (upstream, gateway) = gateway();
    let request = gateway.request("GET", "/orders");
    let response = gateway.send(&caller().without_created().sign(&request));
    assert!((400..402).contains(&response.status), "{}", response.text());
    assert!(response.detail().contains("created"), "{}", response.text());
    let signed = caller().sign(&request).change("Signature-Input", |value| {
        value.replace(";keyid=\"mobile-2026\"", "")
    });
    let response = gateway.send(&signed);
    assert!((400..402).contains(&response.status), "{}", response.text());
    assert!(response.detail().contains("keyid"), "{}", response.text());
    upstream.assert_silent();
}

#[test]
fn a_stale_or_future_request_is_refused_and_told_both_times() {
    let (upstream, gateway) = gateway();
    let request = gateway.request("GET", "/orders");
    for created in [T0 - 301 - 30, T0 - 86_400, T0 + 31, T0 + 86_400, 0] {
        let response = gateway.send(&caller().at(created).sign(&request));
        response.assert_refused(401, "clock-skew");
        let text = response.text();
        assert!(text.contains(&T0.to_string()), "{text}");
        assert!(text.contains(&created.to_string()), "{text}");
    }
    upstream.assert_silent();
    for created in [T0 - 299, T0, T0 + 29] {
        gateway
            .send(&caller().at(created).sign(&request))
            .assert_passed();
    }
}

#[test]
fn an_expired_request_is_refused_though_it_is_young() {
    let (upstream, gateway) = gateway();
    let request = gateway.request("GET", "/orders");
    let signer = caller()
        .at(T0 - 60)
        .parameter(&format!("expires={}", T0 - 40));
    gateway
        .send(&signer.sign(&request))
        .assert_refused(401, "credential-expired");
    upstream.assert_silent();
}

#[test]
fn times_that_are_no_whole_seconds_are_refused() {
    let (upstream, gateway) = gateway();
    let request = gateway.request("GET", "/orders");
    for created in [
        "1.5",
        "\"1800000000\"",
        "-1",
        "?1",
        "999999999999999",
        "1800000000.0",
    ] {
        let signer = caller()
            .without_created()
            .parameter(&format!("created={created}"));
        let response = gateway.send(&signer.sign(&request));
        assert!(
            (400..402).contains(&response.status),
            "{created}: {}",
            response.text()
        );
    }
    upstream.assert_silent();
}

#[test]
fn an_algorithm_that_is_not_the_keys_is_refused() {
    let (upstream, gateway) = gateway();
    let request = gateway.request("GET", "/orders");
    for algorithm in ["hmac-sha512", "ed25519", "none", "", "HMAC-SHA256"] {
        let signer = caller().parameter(&format!("alg=\"{algorithm}\""));
        let response = gateway.send(&signer.sign(&request));
        assert!(
            (400..402).contains(&response.status),
            "{algorithm}: {}",
            response.text()
        );
    }
    let confused = Caller::new("mobile-512", crate::harness::setup::SECRET_512);
    gateway
        .send(&confused.sign(&request))
        .assert_refused(401, "credential-rejected");
    upstream.assert_silent();
}

#[test]
fn an_unknown_key_and_a_wrong_signature_have_the_same_answer() {
    let (upstream, gateway) = gateway();
    let request = gateway.request("GET", "/orders");
    let unknown = gateway.send(&caller().key_id("mobile-2099").sign(&request));
    let wrong = gateway.send(
        &caller()
            .secret(b"not the secret of this very key!")
            .sign(&request),
    );
    unknown.assert_refused(401, "credential-rejected");
    assert_eq!(unknown.seen(), wrong.seen());
    assert_eq!(unknown.body.len(), wrong.body.len());
    upstream.assert_silent();
    assert_ne!(gateway.record(0)["reason"], gateway.record(1)["reason"]);
}

#[test]
fn a_signature_of_the_wrong_length_or_form_is_refused() {
    let (upstream, gateway) = gateway();
    let signed = caller().sign(&gateway.request("GET", "/orders"));
    let mac = {
        let value = signed.value("signature").unwrap();
        BASE64
            .decode(&value.as_bytes()[5..value.len() - 1])
            .unwrap()
    };
    for bytes in [
        &mac[..16],
        &mac[..31],
        &[][..],
        &[mac.as_slice(), &[0]].concat(),
    ] {
        let shown = format!("sig=:{}:", BASE64.encode(bytes));
        let response = gateway.send(&signed.clone().change("Signature", |_| shown.clone()));
        assert!(
            (400..402).contains(&response.status),
            "{shown}: {}",
            response.text()
        );
    }
    for shown in [
        "sig=1",
        "sig",
        "sig=\"x\"",
        "sig=:%%:",
        "sig=(:AAAA:)",
        ":AAAA:",
        "sig=:AAAA",
        "",
    ] {
        let response = gateway.send(&signed.clone().change("Signature", |_| shown.into()));
        assert!(
            (400..402).contains(&response.status),
            "{shown}: {}",
            response.text()
        );
    }
    upstream.assert_silent();
}

#[test]
fn a_signature_input_that_cannot_be_read_is_refused_with_a_reason() {
    let (upstream, gateway) = gateway();
    let signed = caller().sign(&gateway.request("GET", "/orders"));
    let many = format!(
        "sig=({});created={T0};keyid=\"mobile-2026\"",
        "\"x\" ".repeat(100)
    );
    let long = format!("sig=();created={T0};keyid=\"{}\"", "k".repeat(9000));
    for input in [
        "",
        "sig",
        "sig=",
        "sig=(",
        "sig=()",
        "sig=1",
        "sig=\"\"",
        "sig=(\"@method\"",
        "=()",
        "SIG=()",
        "sig=();created=1;keyid",
        "sig=();created;keyid=\"mobile-2026\"",
        "sig=() x",
        "sig=(),",
        ",",
        "sig=(\"\u{e9}\")",
        "sig=(\"@method\");created=1800000000;keyid=\"mobile-2026\";alg=1",
        "sig=(\"@method\");created=1800000000;keyid=\"mobile-2026\";nonce=1",
        &many,
        &long,
    ] {
        let response = gateway.send(&signed.clone().change("Signature-Input", |_| input.into()));
        assert!(
            (400..402).contains(&response.status),
            "{input}: {} {}",
            response.status,
            response.text()
        );
        assert!(
            !response.detail().is_empty(),
            "{input}: {}",
            response.text()
        );
    }
    upstream.assert_silent();
}

#[test]
fn what_callers_sign_is_the_public_url_where_there_is_one() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream)
        .server("public_url = \"https://api.example.com\"")
        .start();
    let mut outside = Request::new("GET", "/orders?x=1").authority("api.example.com");
    outside.scheme = "https";
    for covered in [
        &["@method", "@target-uri"][..],
        &["@method", "@authority", "@path", "@query"],
    ] {
        let signed = caller().covering(covered).sign(&outside);
        gateway.send(&signed).assert_passed();
        let mut inside = signed;
        inside.authority = "10.0.0.7:8080".into();
        gateway.send(&inside).assert_passed();
    }
    let named_inside = caller().sign(&gateway.request("GET", "/orders?x=1"));
    gateway
        .send(&named_inside)
        .assert_refused(401, "credential-rejected");
}

#[test]
fn the_host_is_signed_in_lower_case_without_the_schemes_own_port() {
    let (_upstream, gateway) = gateway();
    let mut request = Request::new("GET", "/orders").authority("Api.Example.COM:80");
    let signer = caller()
        .covering(&["@method", "@authority", "@path"])
        .value("\"@authority\"", "api.example.com");
    gateway.send(&signer.sign(&request)).assert_passed();
    request.authority = "API.example.com:8080".into();
    let signer = caller()
        .covering(&["@method", "@authority", "@path"])
        .value("\"@authority\"", "api.example.com:8080");
    gateway.send(&signer.sign(&request)).assert_passed();
}

#[test]
fn a_key_that_is_switched_off_early_late_or_for_another_scheme_is_refused_like_an_unknown_one() {
    let upstream = Upstream::start();
    let key = |id: &str, more: &str| {
        format!(
            "{{ id = \"{id}\", algorithm = \"hmac-sha256\", secret = \"file:mobile.key\"{more} }},\n"
        )
    };
    let keys = [
        key("early", ", not_before = 2027-01-16"),
        key("late", ", not_after = 2027-01-15"),
        key("token-only", ", schemes = [\"token\"]"),
        key("on", ", not_before = 2027-01-15, not_after = 2027-01-16"),
    ]
    .concat();
    let gateway = Setup::before(&upstream)
        .more(&format!("[apps.dated]\nkeys = [\n{keys}]"))
        .start();
    // T0 is 2027-01-15T08:00:00Z.
    let request = gateway.request("GET", "/orders");
    for id in ["early", "late", "token-only"] {
        gateway
            .send(&caller().key_id(id).sign(&request))
            .assert_refused(401, "credential-rejected");
    }
    gateway
        .send(&caller().key_id("on").sign(&request))
        .assert_passed();
}

#[test]
fn an_app_that_is_switched_off_is_told_so_once_it_has_proven_itself() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).app("enabled = false").start();
    let request = gateway.request("GET", "/orders");
    gateway
        .send(&caller().sign(&request))
        .assert_refused(403, "app-disabled");
    gateway
        .send(
            &caller()
                .secret(b"not the secret of this very key!")
                .sign(&request),
        )
        .assert_refused(401, "credential-rejected");
    upstream.assert_silent();
}

#[test]
fn a_waived_part_need_not_be_covered_until_its_date() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream)
        .route("waive = [{ part = \"body\", until = 2027-01-16, reason = \"legacy uploader\" }]")
        .start();
    let signer = caller()
        .covering(&["@method", "@target-uri"])
        .without_digest();
    let request = gateway.request("POST", "/orders").body("anything");
    gateway.send(&signer.sign(&request)).assert_passed();
    gateway.advance(86_400);
    let later = signer.at(T0 + 86_400);
    gateway
        .send(&later.sign(&request))
        .assert_refused(401, "coverage-missing");
}

#[test]
fn http_2_is_verified_by_the_same_rules() {
    use crate::harness::curl::h2c;
    use crate::harness::h2;
    let (upstream, gateway) = gateway();
    let request = whole(&gateway);
    let signed = caller().sign(&request);
    let response = h2c(&signed, gateway.address());
    assert_eq!(response.status, 200, "{}", response.text());
    let got = upstream.only();
    assert_eq!(got.line(), "POST /orders/7?item=1&item=2 HTTP/1.1");
    assert_eq!(got.body, b"{\"count\": 1}");

    let code = |changed: &Request| {
        let response = h2::send(changed, gateway.address());
        assert_eq!(response.status, 401);
        response.json()["code"].clone()
    };
    let signed = caller().nonce("2").sign(&request);
    let mut other = signed.clone();
    other.target = "/orders/8?item=1&item=2".into();
    assert_eq!(code(&other), "credential-rejected");
    let added = signed.field("X-Uncovered", "may be added");
    assert_eq!(h2::send(&added, gateway.address()).status, 200);
    assert_eq!(code(&added), "replayed");
    let mut other = caller().nonce("3").sign(&request);
    other.body = Some(b"{\"count\": 2}".into());
    assert_eq!(code(&other), "digest-mismatch");
    assert_eq!(upstream.heard().len(), 2);
}
