//! The library's `client::token` before the real key service.

use crate::harness::key_service::{call, phone};
use crate::harness::{Gateway, Request, Setup, Upstream, now};
use portcullis::client::token::{Answer, Dev, NoToken, Tokens, Transport};
use portcullis::clock::{Clock, Hand};
use std::net::SocketAddr;
use std::time::Duration;

/// How the tests send requests.
struct Wire(SocketAddr);

impl Transport for Wire {
    fn post(&self, path: &str, body: &[u8]) -> Result<Answer, String> {
        let request = Request::new("POST", &format!("/.portcullis/{path}"))
            .field("Content-Type", "application/json")
            .body(body);
        let response = request.to(self.0).send_to(self.0);
        Ok(Answer {
            status: response.status,
            body: response.text().into_bytes(),
            retry_after: response
                .field("retry-after")
                .and_then(|text| text.parse().ok()),
        })
    }
}

fn start(upstream: &Upstream, tokens: &str) -> Gateway {
    Setup::before(upstream)
        .route("assurance = \"attested\"\naccept = [\"token\"]\nbind = \"authorization\"")
        .more(&phone(tokens))
        .start()
}

/// An app whose user has this `Authorization`, with a clock of its own.
fn app(gateway: &Gateway, user: &str) -> (Tokens, Hand) {
    let (clock, hand) = Clock::by_hand(u64::try_from(now()).unwrap());
    let evidence = Dev::new("laptop").build("1.4.2");
    let tokens = Tokens::new("phone", Wire(gateway.address()), evidence);
    (tokens.pay(user).clock(clock), hand)
}

#[test]
fn a_token_of_the_key_service_opens_the_route_for_its_user_and_is_renewed() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "evidence = [\"dev\"]");
    let (tokens, hand) = app(&gateway, "Bearer ada");
    let first = tokens.token().unwrap();
    call(&gateway, first.text(), Some("Bearer ada")).assert_passed();
    call(&gateway, first.text(), Some("Bearer eve")).assert_refused(401, "binding-mismatch");
    assert_eq!(tokens.token().unwrap().text(), first.text());
    hand.advance(Duration::from_secs(290));
    let second = tokens.token().unwrap();
    assert_ne!(second.text(), first.text());
    call(&gateway, second.text(), Some("Bearer ada")).assert_passed();
}

#[test]
fn who_is_not_genuine_gets_a_token_that_opens_nothing_or_is_told_so() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "evidence = [\"dev\"]\nbuilds = [\"9.9.9\"]");
    let (tokens, _) = app(&gateway, "Bearer ada");
    let decoy = tokens.token().unwrap();
    call(&gateway, decoy.text(), Some("Bearer ada")).assert_refused(401, "credential-rejected");
    upstream.assert_silent();
    let gateway = start(
        &upstream,
        "evidence = [\"dev\"]\nbuilds = [\"9.9.9\"]\non_failure = \"refuse\"",
    );
    let (tokens, _) = app(&gateway, "Bearer ada");
    let refused = tokens.token().unwrap_err();
    let NoToken::Refused { status, code, .. } = refused else {
        panic!("{refused}");
    };
    assert_eq!((status, code.as_deref()), (403, Some("evidence-rejected")));
}
