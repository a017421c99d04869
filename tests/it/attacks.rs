//! Lists of attacks, as bytes: each is sent without a proof to routes that are
//! open to all, and with a good one to routes that ask for it; on a connection
//! of its own, and behind a good request. What reaches the upstream is looked
//! at byte by byte: never malformed, never smuggled, never under a path that
//! nobody may ask for, never with a forged identity.
//!
//! A list is a file in `attacks/`. `==` starts a case; `refused` (with the
//! statuses, one of which must come, and `close` where the connection must end),
//! `broken` (a 400, and no complete body may reach the upstream) or `forwarded`
//! says what must happen. `sees` and `hides` say what must and must not stand in
//! what the upstream gets, in any case of letters, and `body` what its body is.
//! `each` gives a value for `{each}`. Lines that start with `|` are the bytes,
//! with escapes as in Rust.

use crate::harness::raw::find;
use crate::harness::upstream::Got;
use crate::harness::{Connection, DEADLINE, Gateway, Request, Setup, Token, Upstream, caller, h2};
use std::io::{Read as _, Write as _};
use std::sync::{Mutex, mpsc};

#[test]
fn no_smuggled_request_reaches_an_upstream() {
    run(include_str!("attacks/smuggling.txt"));
}

#[test]
fn no_spelling_of_a_denied_path_reaches_an_upstream() {
    run(include_str!("attacks/paths.txt"));
}

#[test]
fn no_forged_identity_reaches_an_upstream() {
    run(include_str!("attacks/identity.txt"));
}

#[test]
fn no_field_that_may_stand_once_reaches_an_upstream_twice() {
    run(include_str!("attacks/singles.txt"));
}

#[test]
fn no_denied_path_reaches_an_upstream_over_http_2() {
    over_http_2(include_str!("attacks/paths.txt"), |run, value| {
        let target = String::from_utf8(run.fill(value, "")).unwrap();
        run.gateway.request("GET", &target)
    });
}

#[test]
fn no_forged_identity_reaches_an_upstream_over_http_2() {
    over_http_2(include_str!("attacks/identity.txt"), |run, value| {
        let fields = String::from_utf8(unescaped(value)).unwrap();
        let request = run.gateway.request("GET", "/");
        fields.split("\r\n").fold(request, |request, field| {
            let (name, value) = field.split_once(':').unwrap();
            request.field(name, value.trim())
        })
    });
}

#[test]
fn no_body_that_a_backend_leaves_unread_is_its_next_request() {
    for proven in [false, true] {
        let (took, upstream) = reading_no_bodies();
        let gateway = gateway(&upstream, proven);
        let body = format!(
            "GET /admin/delete-all HTTP/1.1\r\nHost: {}\r\nPortcullis-App: root\r\n\r\n",
            gateway.address()
        );
        for method in ["GET", "HEAD", "OPTIONS", "DELETE", "PURGE"] {
            for (http2, te) in [(false, false), (false, true), (true, false), (true, true)] {
                let told = format!("{method} (proven: {proven}, HTTP/2: {http2}, TE: {te})");
                let mut request = gateway.request(method, "/").body(body.clone());
                if te {
                    request = request.field("te", "trailers");
                }
                if proven {
                    let nonce = format!("{method}-{http2}-{te}");
                    request = caller().nonce(&nonce).sign(&request);
                }
                let answer = if http2 {
                    let request = request.field("content-length", &body.len().to_string());
                    h2::send(&request, gateway.address())
                } else {
                    request.send_to(gateway.address())
                };
                assert_eq!(answer.status, 200, "{told}");
                let took = took.recv_timeout(DEADLINE);
                let took = took.unwrap_or_else(|_| panic!("{told}: the connection lives on"));
                assert_eq!(took, [format!("{method} / HTTP/1.1")], "{told}");
            }
        }
    }
}

/// A backend that takes what follows a head for the next one, until it hears that there is none. Of each
/// connection it tells, when the other end has closed it, the first lines of the requests that it took.
fn reading_no_bodies() -> (mpsc::Receiver<Vec<String>>, Upstream) {
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let upstream = Upstream::raw(move |stream, _| {
        let (mut read, mut took, mut is_last) = (Vec::new(), Vec::new(), false);
        loop {
            while let (false, Some(end)) = (is_last, find(&read, b"\r\n\r\n")) {
                let head: Vec<u8> = read.drain(..end + 4).collect();
                let head = String::from_utf8(head).unwrap();
                is_last = head.contains("\r\nconnection: close\r\n");
                took.push(head.lines().next().unwrap().to_owned());
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            }
            let mut some = [0; 4096];
            match stream.read(&mut some) {
                Ok(0) | Err(_) => break,
                Ok(count) => read.extend_from_slice(&some[..count]),
            }
        }
        let _ = tell.lock().unwrap().send(took);
    });
    (told, upstream)
}

/// Sends a request for each value of a list. Whatever the answer, no more of
/// it reaches the upstream than over HTTP/1.1.
fn over_http_2(list: &str, request: impl Fn(&Run<'_>, &str) -> Request) {
    for proven in [false, true] {
        let upstream = Upstream::start();
        let gateway = gateway(&upstream, proven);
        let run = Run {
            upstream: &upstream,
            gateway: &gateway,
            proven,
            token: &Token::new().text(),
        };
        let mut seen = 0;
        let cases = cases(list);
        let values = cases.iter().flat_map(|case| {
            // Not those that are whole request lines, which HTTP/2 has none of.
            let whole = case.name.starts_with("Targets that name");
            case.each
                .iter()
                .filter(move |_| !whole)
                .map(move |each| (case, each))
        });
        for (case, value) in values {
            let told = format!("{}: {value}\n(proven: {proven}, HTTP/2)", case.name);
            let mut request = request(&run, value);
            if proven {
                let mut signed = request.clone();
                signed.fields.clear();
                request.fields.extend(caller().sign(&signed).fields);
            }
            let lower = h2::lower(&request);
            let fields = h2::fields(&request, &lower);
            let answer = h2::ask(gateway.address(), &fields, None);
            let status = answer.map(|answer| answer.status);
            let good = status.is_none_or(|status| status == 200 || (400..500).contains(&status));
            assert!(good, "{told}\ngot {status:?}");
            for got in upstream.heard().iter().skip(seen) {
                run.inspect(got, &told);
                assert!(!got.head.contains("forged"), "{told}\n{}", got.head);
                seen += 1;
            }
        }
        assert!(seen > 5, "{seen} requests passed");
    }
}

#[derive(Clone, Debug, Default)]
struct Case {
    name: String,
    expects: Expects,
    sees: Vec<String>,
    hides: Vec<String>,
    body: Vec<u8>,
    each: Vec<String>,
    bytes: String,
}

#[derive(Clone, Debug, Default)]
enum Expects {
    #[default]
    Nothing,
    Refused {
        statuses: Vec<u16>,
        close: bool,
    },
    Broken,
    Forwarded,
}

fn cases(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in text.lines() {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        if word == "==" {
            cases.push(Case {
                name: rest.into(),
                ..Case::default()
            });
            continue;
        }
        if matches!(word, "" | "#") {
            continue;
        }
        let case = cases.last_mut().expect("a case starts with `==`");
        match word {
            "refused" => {
                let (statuses, close) = match rest.strip_suffix(", close") {
                    Some(statuses) => (statuses, true),
                    None => (rest, false),
                };
                let statuses = statuses.split(' ').map(|one| one.parse().unwrap());
                case.expects = Expects::Refused {
                    statuses: statuses.collect(),
                    close,
                };
            }
            "broken" => case.expects = Expects::Broken,
            "forwarded" => case.expects = Expects::Forwarded,
            "sees" => case.sees.push(rest.into()),
            "hides" => case.hides.push(rest.into()),
            "body" => case.body = unescaped(rest),
            "each" => case.each.push(rest.into()),
            "|" => case.bytes.push_str(rest),
            _ => panic!("`{word}` says nothing in a list of attacks"),
        }
    }
    cases
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.chars();
    while let Some(one) = rest.next() {
        if one != '\\' {
            bytes.extend(one.to_string().bytes());
            continue;
        }
        bytes.push(match rest.next() {
            Some('r') => b'\r',
            Some('n') => b'\n',
            Some('t') => b'\t',
            Some('\\') => b'\\',
            Some('x') => {
                let digits: String = rest.by_ref().take(2).collect();
                u8::from_str_radix(&digits, 16).unwrap()
            }
            other => panic!("`\\{other:?}` is no escape"),
        });
    }
    bytes
}

/// A gateway whose routes are open to all, or ask for a proof; `/admin` is for nobody.
fn gateway(upstream: &Upstream, proven: bool) -> Gateway {
    let accept = if proven {
        "\"http-signature\", \"token\""
    } else {
        "\"public\""
    };
    Setup::before(upstream)
        .routes(&format!(
            "[[routes]]\nname = \"all\"\npath = \"/**\"\nupstream = \"backend\"\naccept = [{accept}]\n\
             body = {{ limit = \"1 MiB\", verify = \"while-forwarding\" }}\n\
             [[routes]]\nname = \"admin\"\npath = \"/admin/**\"\nupstream = \"backend\"\n\
             accept = [\"http-signature\", \"token\"]\nscopes = [\"nobody-has-it\"]\n"
        ))
        .start()
}

struct Run<'r> {
    upstream: &'r Upstream,
    gateway: &'r Gateway,
    proven: bool,
    token: &'r str,
}

fn run(list: &str) {
    let cases = cases(list);
    assert!(!cases.is_empty());
    for proven in [false, true] {
        let upstream = Upstream::start();
        let gateway = gateway(&upstream, proven);
        let run = Run {
            upstream: &upstream,
            gateway: &gateway,
            proven,
            token: &Token::new().text(),
        };
        for case in &cases {
            let each = if case.each.is_empty() {
                &[String::new()][..]
            } else {
                &case.each
            };
            for value in each {
                for pipelined in [false, true] {
                    run.attack(case, value, pipelined);
                }
            }
        }
    }
}

impl Run<'_> {
    fn attack(&self, case: &Case, value: &str, pipelined: bool) {
        let told = format!(
            "{}: {value}\n(proven: {}, pipelined: {pipelined})",
            case.name, self.proven
        );
        let bytes = self.fill(&case.bytes, value);
        let before = self.upstream.heard().len();
        let mut connection = Connection::open(self.gateway.address());
        let first = if pipelined {
            let good = self.fill(
                "GET /first HTTP/1.1\\r\\nHost: {host}\\r\\n{token}\\r\\n",
                "",
            );
            connection.send(&[good, bytes].concat());
            assert_eq!(connection.response().status, 200, "{told}");
            1
        } else {
            connection.send(&bytes);
            0
        };
        if matches!(case.expects, Expects::Broken) {
            connection.finish();
        }
        let answer = connection.try_response_to("GET");
        let status = answer.as_ref().map(|answer| answer.status);
        let new = |upstream: &Upstream| -> Vec<Got> {
            (before + first..upstream.heard().len())
                .map(|place| upstream.got(place))
                .collect()
        };
        match &case.expects {
            Expects::Nothing => panic!("{told}: nothing is expected"),
            Expects::Refused { statuses, close } => {
                let good = status.is_some_and(|status| statuses.contains(&status));
                assert!(good, "{told}\ngot {answer:?}");
                if *close {
                    assert!(connection.is_closed(), "{told}\nthe connection lives on");
                }
                assert!(
                    new(self.upstream).is_empty(),
                    "{told}\n{:#?}",
                    new(self.upstream)
                );
            }
            Expects::Broken => {
                assert_eq!(status, Some(400), "{told}\ngot {answer:?}");
                let complete = new(self.upstream).iter().any(|got| got.complete);
                assert!(!complete, "{told}\n{:#?}", new(self.upstream));
            }
            Expects::Forwarded => {
                assert_eq!(status, Some(200), "{told}\ngot {answer:?}");
                let new = new(self.upstream);
                assert_eq!(new.len(), 1, "{told}\n{new:#?}");
                assert_eq!(new[0].body, case.body, "{told}");
                let head = new[0].head.to_ascii_lowercase();
                for seen in &case.sees {
                    let seen = String::from_utf8(self.fill(seen, value)).unwrap();
                    assert!(head.contains(&seen.to_ascii_lowercase()), "{told}\n{head}");
                }
                for hidden in &case.hides {
                    assert!(!head.contains(hidden.as_str()), "{told}\n{head}");
                }
            }
        }
        for got in self.upstream.heard().iter().skip(before) {
            self.inspect(got, &told);
        }
    }

    /// The bytes of a case, with everything filled in.
    fn fill(&self, text: &str, value: &str) -> Vec<u8> {
        let token = if self.proven {
            format!("Portcullis-Token: {}\\r\\n", self.token)
        } else {
            String::new()
        };
        let text = text.replace("{each}", value).replace("{token}", &token);
        let text = text.replace("{host}", &self.gateway.address().to_string());
        let Some((start, rest)) = text.split_once("{signature ") else {
            return unescaped(&text);
        };
        let (signed, end) = rest.split_once('}').expect("`{signature METHOD TARGET}`");
        let (method, target) = signed.split_once(' ').expect("a method and a target");
        let proof = if self.proven {
            self.signature(method, target)
        } else {
            String::new()
        };
        [unescaped(start), proof.into_bytes(), unescaped(end)].concat()
    }

    fn signature(&self, method: &str, target: &str) -> String {
        let target = String::from_utf8(unescaped(target)).unwrap();
        let host = format!("http://{}", self.gateway.address());
        let target = target.strip_prefix(&host).unwrap_or(&target);
        let signed = caller().sign(&self.gateway.request(method, target));
        let fields = signed.fields.iter();
        fields
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect::<Vec<_>>()
            .concat()
    }

    /// What holds of every request that reaches an upstream.
    fn inspect(&self, got: &Got, told: &str) {
        let told = format!("{told}\nthe upstream got\n{}", got.head);
        let lines: Vec<&str> = got
            .head
            .strip_suffix("\r\n\r\n")
            .unwrap()
            .split("\r\n")
            .collect();
        let bare = |line: &&str| line.bytes().any(|byte| byte < b' ' || byte == 0x7f);
        assert!(!lines.iter().any(bare), "{told}");
        let words: Vec<&str> = lines[0].split(' ').collect();
        assert!(words.len() == 3 && words[2] == "HTTP/1.1", "{told}");
        assert!(words[1].starts_with('/'), "{told}");
        assert!(!got.target().starts_with("/smuggled"), "{told}");
        assert!(!is_denied(got.target()), "{told}");
        for line in &lines[1..] {
            let name = line.split(':').next().unwrap();
            let is_token = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            assert!(!name.is_empty() && name.bytes().all(is_token), "{told}");
        }
        let host = self.gateway.address().to_string();
        assert_eq!(got.values("host"), [host.as_str()], "{told}");
        let framings = got.values("content-length").len() + got.values("transfer-encoding").len();
        assert!(framings <= 1, "{told}");
        let app = self.proven.then_some("mobile");
        assert_eq!(got.field("portcullis-app"), app, "{told}");
        let client = format!("for=127.0.0.1;host=\"{host}\";proto=http");
        assert_eq!(got.field("forwarded"), Some(client.as_str()), "{told}");
    }
}

/// Whether some server could take `target` for one under `/admin`.
fn is_denied(target: &str) -> bool {
    let path = target.split(['?', '#']).next().unwrap();
    let path = decoded(&path.to_ascii_lowercase());
    let path = path.replace('\\', "/").replace('\0', "");
    let mut normal: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        let bare = segment.split(';').next().unwrap();
        match bare {
            "" | "." => {}
            ".." => {
                normal.pop();
            }
            _ => normal.push(bare),
        }
    }
    normal.first() == Some(&"admin")
}

fn decoded(path: &str) -> String {
    let mut text = String::new();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('%') {
        text.push_str(before);
        rest = after;
        let digits = after.get(..2).unwrap_or_default();
        if let Ok(byte) = u8::from_str_radix(digits, 16) {
            text.push(char::from(byte));
            rest = &after[2..];
        } else {
            text.push('%');
        }
    }
    text + rest
}
