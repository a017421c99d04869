//! Signers of AWS's in other languages, unchanged, as they stand in `examples/clients`, and `curl --aws-sigv4`.

use crate::harness::setup::SECRET;
use crate::harness::{Binary, Gateway, Request, Setup, Upstream};
use crate::interop::{assert_refused, clients, request, run};
use serde_json::Value;
use std::process::Command;

/// A caller: its file, and how it is told for what to sign.
#[derive(Clone, Copy, Debug)]
struct Client {
    file: &'static str,
    more: &'static [&'static str],
    /// What it makes of `q=a+b` in a URL, where the route takes that for what it sends.
    plus: Plus,
}

/// How a client treats `+` in a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plus {
    /// It signs what it sends.
    AsSent,
    /// It signs a space, and sends `+`.
    Space,
}

const BOTOCORE: Client = Client {
    file: "python/botocore_client.py",
    more: &[],
    plus: Plus::AsSent,
};
const BOTOCORE_S3: Client = Client {
    file: "python/botocore_client.py",
    more: &["--service", "s3"],
    plus: Plus::AsSent,
};
const AWS4: Client = Client {
    file: "node/aws4-client.mjs",
    more: &[],
    plus: Plus::AsSent,
};
const AWS4FETCH: Client = Client {
    file: "node/aws4fetch-client.mjs",
    more: &[],
    plus: Plus::Space,
};
const AXIOS: Client = Client {
    file: "node/aws4-axios-client.mjs",
    more: &[],
    plus: Plus::Space,
};
const SMITHY: Client = Client {
    file: "node/smithy-client.mjs",
    more: &[],
    plus: Plus::AsSent,
};

const WAIVE_BODY: &str =
    "waive = [{ part = \"body\", until = 2099-01-01, reason = \"presigned as for S3\" }]";

fn setup(upstream: &Upstream, lines: &str) -> Setup {
    let setup = Setup::before(upstream).route(&format!("accept = [\"aws-sigv4\"]\n{lines}"));
    // AWS's secrets are text, and so is this one.
    setup.write_secret("mobile.key", SECRET);
    setup
}

fn start(lines: &str) -> (Upstream, Gateway) {
    let upstream = Upstream::start();
    let gateway = Gateway::start_now(setup(&upstream, lines));
    (upstream, gateway)
}

impl Client {
    /// Runs it; its last line is JSON.
    fn run(self, gateway: &Gateway, target: &str, more: &[&str]) -> Value {
        let more = [self.more, more].concat();
        run(
            self.file,
            gateway,
            target,
            ("mobile-2026", "mobile.key"),
            &more,
        )
    }

    /// What it signs, to be sent by the test, changed or not.
    fn sign(self, gateway: &Gateway, target: &str, more: &[&str]) -> Request {
        let printed = self.run(gateway, target, &[&["--print"], more].concat());
        let url = printed["url"].as_str().unwrap();
        let at = format!("http://{}", gateway.address());
        let target = url.strip_prefix(&at).expect("it is sent to the gateway");
        request(gateway, target, &printed)
    }
}

const POST: [&str; 4] = ["--method", "POST", "--body", "{\"count\": 1}"];

fn accepted_as_it_comes(client: Client) {
    let (upstream, gateway) = start("");
    for (target, more) in [
        ("/orders/7", &[][..]),
        ("/orders/7?b=2&a=1&a=2", &[]),
        ("/caf%C3%A9/a%20b?q=a%20b&r=%E2%82%AC", &[]),
        ("/a:b@c,d?q=x:y@z/w", &[]),
        ("/orders?q", &["--method", "DELETE"]),
        ("/orders", &POST),
        (
            "/orders?x=1",
            &["--method", "PUT", "--body", "{\"count\": 2}"],
        ),
        ("/orders/8", &["--presign", "60"]),
    ] {
        // See the table in docs/aws-sigv4.md: it would send its query twice.
        let answer = client.run(&gateway, target, more);
        assert_eq!(
            answer["status"], 200,
            "{client:?} {target} {more:?}: {answer}"
        );
        assert_eq!(answer["body"], "hello");
    }
    for got in upstream.heard() {
        assert_eq!(got.field("portcullis-key"), Some("mobile-2026"));
        assert_eq!(got.field("portcullis-scheme"), Some("aws-sigv4"));
        assert_eq!(got.field("authorization"), None);
    }
    let lines = match client.plus {
        Plus::AsSent => "",
        Plus::Space => "sigv4 = { plus_is_space = true }",
    };
    let refused = client.run(&gateway, "/orders?q=a+b", &[])["status"] == 401;
    assert_eq!(refused, client.plus == Plus::Space);
    let (_upstream, gateway) = start(lines);
    let answer = client.run(&gateway, "/orders?q=a+b", &[]);
    assert_eq!(answer["status"], 200, "{client:?}: {answer}");
}

fn each_change_is_refused(client: Client) {
    let (upstream, gateway) = start("");
    let target = "/orders/7?item=1";
    let signed = client.sign(&gateway, target, &POST);
    let refused = |what: &str, request: &Request, codes: &[&str]| {
        assert_refused(client, what, &gateway.send(request), codes);
    };
    let changed = |what: &str, change: &dyn Fn(Request) -> Request, codes: &[&str]| {
        refused(what, &change(signed.clone()), codes);
    };
    let rejected = &["credential-rejected"][..];
    for (what, request) in signed.elsewhere() {
        refused(what, &request, rejected);
    }
    changed(
        "time",
        &|r| {
            r.change("X-Amz-Date", |at| {
                // Another second of the same day.
                let second = if at.ends_with("0Z") { "1Z" } else { "0Z" };
                format!("{}{second}", &at[..at.len() - 2])
            })
        },
        rejected,
    );
    changed(
        "lost time",
        &|r| r.without("X-Amz-Date"),
        &["malformed-credential"],
    );
    changed(
        "a field of AWS's",
        &|r| r.field("X-Amz-Acl", "public-read"),
        &["coverage-missing"],
    );
    changed(
        "signature",
        &|r| {
            r.change("Authorization", |v| {
                let (front, signature) = v.split_once("Signature=").unwrap();
                let flipped: String = signature.chars().rev().collect();
                format!("{front}Signature={flipped}")
            })
        },
        rejected,
    );
    changed(
        "no proof",
        &|r| r.without("Authorization"),
        &["credential-missing"],
    );
    if signed.value("Content-Type").is_some_and(|_| {
        signed
            .value("Authorization")
            .unwrap()
            .contains("content-type;")
    }) {
        changed(
            "field",
            &|r| r.change("Content-Type", |_| "text/html".into()),
            rejected,
        );
    }
    if signed.value("X-Amz-Content-Sha256").is_some() {
        changed(
            "digest and body",
            &|r| {
                // SHA-256 of `{}`.
                let digest = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
                r.change("X-Amz-Content-Sha256", |_| digest.into())
                    .body("{}")
            },
            rejected,
        );
    }
    let unknown = client.sign(&gateway, target, &["--key-id", "mobile-2099"]);
    refused("unknown key", &unknown, rejected);
    let wrong = gateway.setup().write_secret("wrong.key", &[b'x'; 32]);
    let wrong = client.sign(
        &gateway,
        target,
        &["--secret-file", wrong.to_str().unwrap()],
    );
    refused("wrong secret", &wrong, rejected);
    let body = client.sign(&gateway, target, &[]).body("{}");
    refused(
        "added body",
        &body,
        &["credential-rejected", "digest-mismatch"],
    );
    let url = client.sign(&gateway, "/orders/9", &["--presign", "60"]);
    let other = |r: &str| r.replace("/orders/9", "/orders/8");
    let mut moved = url.clone();
    moved.target = other(&url.target);
    refused("presigned path", &moved, rejected);
    let mut longer = url.clone();
    longer.target = if url.target.contains("X-Amz-Expires=60") {
        url.target.replace("X-Amz-Expires=60", "X-Amz-Expires=61")
    } else {
        format!("{}&X-Amz-Expires=60", url.target)
    };
    refused("presigned life", &longer, rejected);
    let mut method = url.clone();
    method.method = "DELETE".into();
    refused("presigned method", &method, rejected);
    refused(
        "presigned, with a body",
        &url.body("x"),
        &["credential-rejected", "coverage-missing"],
    );
    assert!(
        upstream
            .heard()
            .iter()
            .all(|got| got.line().starts_with("GET"))
    );

    let before = upstream.heard().len();
    let once = client.sign(&gateway, "/once", &POST);
    gateway.send(&once).assert_passed();
    refused("replayed", &once, &["replayed"]);
    // It uses the request up, so it comes last.
    changed(
        "body",
        &|r| r.body("{\"count\": 2}"),
        &["credential-rejected", "digest-mismatch"],
    );
    assert_eq!(upstream.heard().len(), before + 1);

    // A gateway whose clock is elsewhere.
    for unix in [Binary::now() - 3600, Binary::now() + 3600] {
        let upstream = Upstream::start();

        let gateway = Gateway::start_at(setup(&upstream, ""), unix);
        let answer = client.run(&gateway, target, &POST);
        assert_eq!(answer["status"], 401, "{client:?}: {answer}");
        assert!(answer["body"].as_str().unwrap().contains("clock-skew"));
        upstream.assert_silent();
    }
}

clients! {
    BOTOCORE: botocore_is_accepted_as_it_comes, each_change_to_a_request_of_botocores_is_refused;
    BOTOCORE_S3: botocore_as_for_s3_is_accepted_as_it_comes, each_change_to_one_as_for_s3_is_refused;
    AWS4: aws4_is_accepted_as_it_comes, each_change_to_a_request_of_aws4s_is_refused;
    AWS4FETCH: aws4fetch_is_accepted_as_it_comes, each_change_to_a_request_of_aws4fetchs_is_refused;
    AXIOS: aws4_axios_is_accepted_as_it_comes, each_change_to_a_request_of_aws4_axios_is_refused;
    SMITHY: smithy_is_accepted_as_it_comes, each_change_to_a_request_of_smithys_is_refused;
}

#[test]
fn the_hash_that_aws4_axios_adds_unsigned_is_taken_where_the_route_says_so() {
    let more = [&POST[..], &["--add-content-sha"]].concat();
    let (_upstream, gateway) = start("");
    let refused = AXIOS.run(&gateway, "/orders", &more);
    assert_eq!(refused["status"], 401, "{refused}");
    assert!(
        refused["body"]
            .as_str()
            .unwrap()
            .contains("`x-amz-content-sha256`")
    );
    let (_upstream, gateway) = start("sigv4 = { unsigned_content_sha256 = true }");
    let answer = AXIOS.run(&gateway, "/orders", &more);
    assert_eq!(answer["status"], 200, "{answer}");
}

#[test]
fn a_presigned_url_of_aws4_axios_with_a_query_is_refused_since_it_sends_that_twice() {
    let (_upstream, gateway) = start("");
    let answer = AXIOS.run(&gateway, "/orders?a=1", &["--presign", "60"]);
    assert_eq!(answer["status"], 401, "{answer}");
}

#[test]
fn what_botocore_presigns_as_for_s3_uploads_by_waiver() {
    let presign = |gateway: &Gateway| {
        let url = BOTOCORE_S3.sign(gateway, "/files/1", &["--method", "PUT", "--presign", "60"]);
        url.body("anything")
    };
    let (upstream, gateway) = start("");
    gateway
        .send(&presign(&gateway))
        .assert_refused(401, "coverage-missing");
    upstream.assert_silent();
    let (upstream, gateway) = start(WAIVE_BODY);
    gateway.send(&presign(&gateway)).assert_passed();
    assert_eq!(upstream.only().body, b"anything");
}

#[test]
fn what_botocore_sends_in_pieces_arrives_whole() {
    let more = [&POST[..], &["--trailer"]].concat();
    let (upstream, gateway) = start("");
    let refused = BOTOCORE.run(&gateway, "/files/1", &more);
    assert_eq!(refused["status"], 401, "{refused}");
    upstream.assert_silent();
    let (upstream, gateway) = start(WAIVE_BODY);
    let answer = BOTOCORE.run(&gateway, "/files/1", &more);
    assert_eq!(answer["status"], 200, "{answer}");
    let got = upstream.only();
    assert_eq!(got.body, b"{\"count\": 1}");
    assert_eq!(got.field("content-length"), Some("12"));
    for name in [
        "content-encoding",
        "x-amz-trailer",
        "x-amz-decoded-content-length",
    ] {
        assert_eq!(got.field(name), None, "{name}");
    }
    let signed = BOTOCORE.sign(&gateway, "/files/2", &more);
    let signed = signed.without("Transfer-Encoding").chunked();
    let mut changed = signed.clone();
    let body = String::from_utf8(signed.body.unwrap()).unwrap();
    changed.body = Some(body.replace(": 1", ": 2").into_bytes());
    gateway
        .send(&changed)
        .assert_refused(401, "digest-mismatch");
    assert_eq!(upstream.heard().len(), 1);
}

#[test]
fn the_whole_s3_client_of_botocore_puts_gets_and_presigns() {
    const S3: Client = Client {
        file: "python/botocore_s3_client.py",
        more: &[],
        plus: Plus::AsSent,
    };
    let upstream = Upstream::answering(|_, wire| wire.answer(200, &[("ETag", "\"x\"")], b""));
    let gateway = Gateway::start_now(setup(&upstream, ""));
    let target = "/bucket/a folder/caf\u{e9}.txt";
    let put = S3.run(&gateway, target, &["--method", "PUT", "--body", "hello"]);
    assert_eq!(put["status"], 200, "{put}");
    assert_eq!(S3.run(&gateway, target, &[])["status"], 200);
    let got = upstream.got(0);
    assert_eq!(got.target(), "/bucket/a%20folder/caf%C3%A9.txt");
    assert_eq!(got.body, b"hello");
    let other = gateway.setup().write_secret("wrong.key", &[b'x'; 40]);
    let refused = S3.run(
        &gateway,
        target,
        &["--secret-file", other.to_str().unwrap()],
    );
    assert_eq!(refused["status"], 401);
    let printed = S3.run(&gateway, target, &["--presign", "60"]);
    let url = printed["url"].as_str().unwrap();
    let at = format!("http://{}", gateway.address());
    let url = gateway.request("GET", url.strip_prefix(&at).unwrap());
    assert_eq!(gateway.send(&url).status, 200);
    assert_eq!(upstream.heard().len(), 3);
}

/// `curl --aws-sigv4`, its status and body.
fn curl(gateway: &Gateway, target: &str, more: &[&str]) -> (u16, String) {
    let secret = std::str::from_utf8(SECRET).unwrap();
    let output = Command::new("curl")
        .args([
            "--silent",
            "--show-error",
            "--noproxy",
            "*",
            "--max-time",
            "30",
        ])
        .args(["--aws-sigv4", "aws:amz:us-east-1:api"])
        .args(["--user", &format!("mobile-2026:{secret}")])
        .args(["--write-out", "\n%{http_code}"])
        .args(more)
        .arg(format!("http://{}{target}", gateway.address()))
        .output()
        .expect("curl is needed");
    let text = String::from_utf8(output.stdout).unwrap();
    let (body, status) = text.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), body.to_owned())
}

#[test]
fn curl_is_accepted_as_it_comes() {
    let (upstream, gateway) = start("");
    let post = [
        "--data",
        "{\"count\": 1}",
        "--header",
        "Content-Type: application/json",
    ];
    for (target, more) in [
        ("/orders/7", &[][..]),
        ("/orders/7?a=1&a=2&b=2", &[]),
        ("/orders/7?b=2&a=1", &[]),
        ("/caf%C3%A9/a%20b?q=a%20b", &[]),
        ("/orders?q=a+b", &[]),
        ("/orders", &["--request", "DELETE"]),
        ("/orders", &post),
        ("/orders?x=1", &post),
        ("/h2c", &["--http2-prior-knowledge"]),
        ("/h2c", &["--http2-prior-knowledge", "--data", "x=1"]),
    ] {
        let (status, body) = curl(&gateway, target, more);
        assert_eq!((status, &*body), (200, "hello"), "{target} {more:?}");
    }
    assert_eq!(upstream.heard().len(), 10);
    let (status, body) = curl(&gateway, "/orders", &["--user", "mobile-2026:of-another"]);
    assert_eq!(status, 401);
    assert!(body.contains("credential-rejected"), "{body}");
}

/// A request of curl's to the gateway, taken down by a server that is none of ours.
fn taken_down(gateway: &Gateway) -> String {
    let listening = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let other = listening.local_addr().unwrap();
    let host = format!("Host: {}", gateway.address());
    let taker = std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        let (mut stream, _) = listening.accept().unwrap();
        let mut text = Vec::new();
        let mut buffer = [0; 4096];
        while !text.ends_with(b"{\"count\": 1}") {
            let read = stream.read(&mut buffer).unwrap();
            assert!(read > 0);
            text.extend_from_slice(&buffer[..read]);
        }
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            .unwrap();
        String::from_utf8(text).unwrap()
    });
    let secret = std::str::from_utf8(SECRET).unwrap();
    let status = Command::new("curl")
        .args([
            "--silent",
            "--show-error",
            "--noproxy",
            "*",
            "--max-time",
            "30",
        ])
        .args(["--aws-sigv4", "aws:amz:us-east-1:api", "--header", &host])
        .args(["--user", &format!("mobile-2026:{secret}")])
        .args([
            "--data",
            "{\"count\": 1}",
            "--header",
            "Content-Type: application/json",
        ])
        .arg(format!("http://{other}/orders/7?item=1"))
        .status()
        .expect("curl is needed");
    assert!(status.success());
    taker.join().unwrap()
}

#[test]
fn each_change_to_a_request_of_curls_is_refused() {
    let (upstream, gateway) = start("");
    let text = taken_down(&gateway);
    let send = |text: &str| {
        let mut connection = gateway.connect();
        connection.send(text.as_bytes());
        connection.response_to("POST")
    };
    let behind = |start: &str| {
        let (_, rest) = text.split_once(start).expect(start);
        rest.split("\r\n").next().unwrap()
    };
    let time = behind("X-Amz-Date: ");
    // Another second of the same day.
    let end = if time.ends_with("0Z") { "1Z" } else { "0Z" };
    let other_time = format!("{}{end}", &time[..time.len() - 2]);
    let signature = behind("Signature=");
    let reversed: String = signature.chars().rev().collect();
    let rejected = "credential-rejected";
    let malformed = "malformed-credential";
    for (what, from, to, code) in [
        ("method", "POST ", "PUT ", rejected),
        ("path", "/orders/7", "/orders/8", rejected),
        ("query", "item=1", "item=2", rejected),
        ("header", "application/json", "application/jsom", rejected),
        ("body", "\"count\": 1", "\"count\": 2", rejected),
        ("time", time, &other_time, rejected),
        ("time's form", "Z\r\n", "z\r\n", malformed),
        ("host", "Host: 127.0.0.1", "Host: localhost", rejected),
        ("signature", signature, &reversed, rejected),
        ("signature's form", "Signature=", "Signature=0", malformed),
        ("list", "host;", "", "coverage-missing"),
    ] {
        let changed = text.replace(from, to);
        assert_ne!(changed, text, "{what}");
        assert_refused("curl", what, &send(&changed), &[code]);
    }
    let of_nobody = format!("mobile-2099:{}", std::str::from_utf8(SECRET).unwrap());
    let (status, body) = curl(&gateway, "/orders/7", &["--user", &of_nobody]);
    assert_eq!(status, 401);
    assert!(body.contains(rejected), "{body}");
    upstream.assert_silent();
    send(&text).assert_passed();
    assert_refused("curl", "replayed", &send(&text), &["replayed"]);
    assert_eq!(upstream.heard().len(), 1);

    // A gateway whose clock is elsewhere.
    for unix in [Binary::now() - 3600, Binary::now() + 3600] {
        let upstream = Upstream::start();
        let gateway = Gateway::start_at(setup(&upstream, ""), unix);
        let (status, body) = curl(&gateway, "/orders/7", &[]);
        assert_eq!(status, 401, "{body}");
        assert!(body.contains("clock-skew"), "{body}");
        upstream.assert_silent();
    }
}
