//! Webhooks. In: a head. Its fields are read in each sender's way and verified as they came, with a body of
//! nothing; and once more with the MAC that our key makes, so that what lies behind it is reached too.

use super::{gate, head};
use http::{HeaderMap, Method, Uri};
use portcullis::route::{Bind, Route, Sender, Webhooks};
use portcullis::schemes::freshness::Freshness;
use portcullis::schemes::webhook::read::{MAX_MACS, MAX_PAIRS, Message};
use portcullis::schemes::webhook::{Presented, Rules, verify};
use portcullis::schemes::{Caller, Received, Refused};

/// What must hold of any head.
pub(super) fn check(bytes: &[u8]) {
    let Some((_, uri, fields)) = head::read(bytes) else {
        return;
    };
    for sender in Sender::ALL {
        let route = Route {
            webhooks: Some(Webhooks {
                sender,
                app: 0,
                query: true,
                window: None,
                hold: 1,
            }),
            ..gate::route(Bind::None)
        };
        let verdict = verdict(&uri, &fields, &route, None);
        assert!(
            !matches!(verdict, Some(Ok(_))),
            "a webhook that nobody signed passed"
        );
        let Some(message) = read(&uri, &fields, &route) else {
            continue;
        };
        assert!(message.macs.len() <= MAX_MACS && message.pairs.len() <= MAX_PAIRS);
        let mac = gate::key().sign(message.front.as_bytes());
        if let Some(Ok(caller)) = self::verdict(&uri, &fields, &route, Some(mac.as_bytes())) {
            let proof = caller.proof().expect("a webhook is a proof");
            assert!(proof.last_second >= gate::NOW);
        }
    }
}

fn read(uri: &Uri, fields: &HeaderMap, route: &Route) -> Option<Message<'static>> {
    let around = gate::around(false);
    let received = Received::read(&Method::POST, uri, fields, around).ok()?;
    let presented = Presented::read(&received, route).ok()??;
    let Message {
        time,
        front,
        macs,
        pairs,
        ..
    } = presented.message;
    Some(Message {
        id: None,
        time,
        front,
        macs,
        pairs,
    })
}

/// What becomes of it; with `mac` in place of its own.
fn verdict(
    uri: &Uri,
    fields: &HeaderMap,
    route: &Route,
    mac: Option<&[u8]>,
) -> Option<Result<Caller, Refused>> {
    let around = gate::around(false);
    let received = Received::read(&Method::POST, uri, fields, around).ok()?;
    let mut presented = Presented::read(&received, route).ok()??;
    if let Some(mac) = mac {
        presented.message.macs = vec![mac.to_vec()];
    }
    let registry = gate::registry();
    let rules = Rules {
        registry: &registry,
        freshness: Freshness::USUAL,
        explain: false,
    };
    Some(verify(&presented, &received, route, rules, gate::now()))
}
