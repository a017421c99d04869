//! Asking servers how they are, on and on.

use super::Place;
use super::Settings;
use super::balance::{Standing, nanos};
use super::dice;
use super::health::Health;
use super::pool::Pool;
use crate::clock::Clock;
use crate::forward::Outgoing;
use crate::forward::body::ProvenBody;
use crate::forward::errands::{Errand, Errands};
use crate::forward::exchange::{Deadlines, Tried, exchange};
use bytes::{BufMut as _, BytesMut};
use http::{HeaderValue, Method, Request, Uri, header};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

/// Checks that are under way at a time.
const MAX_AT_A_TIME: usize = 64;
static AT_A_TIME: Semaphore = Semaphore::const_new(MAX_AT_A_TIME);
/// By how much a pause differs from what is set, so that the checks of many
/// gateways do not fall together.
const JITTER: f64 = 0.1;
/// No pause between two checks of a server is shorter.
const LEAST_PAUSE: Duration = Duration::from_millis(10);
/// Who asks.
const AGENT: &str = "portcullis-health";

/// One server that is to be checked, and how.
#[derive(Clone, Debug)]
pub struct Check {
    pub(super) label: Arc<str>,
    pub(super) place: Arc<Place>,
    pub(super) standing: Arc<Standing>,
    pub(super) settings: Arc<Settings>,
    pub(super) health: Health,
}

/// Checks servers until it is dropped.
pub type Checks = Errands<Check>;

impl Errand for Check {
    const THREAD: &'static str = "health";

    fn is_as(&self, other: &Self) -> bool {
        // The settings hold the health, and more that a check does not depend on.
        Arc::ptr_eq(&self.standing, &other.standing)
            && self.health == other.health
            && self.place == other.place
            && self.settings.name == other.settings.name
    }

    async fn go_on(self, clock: Clock) {
        let every = self.health.every.max(LEAST_PAUSE);
        sleep(every.mul_f64(JITTER * dice::throw(dice::Dice::part))).await;
        loop {
            let Ok(place) = AT_A_TIME.acquire().await else {
                return;
            };
            let result = self.ask_in_time().await;
            drop(place);
            self.tell(result, &clock);
            let part = dice::throw(dice::Dice::part);
            sleep(every.mul_f64(1.0 - JITTER + 2.0 * JITTER * part)).await;
        }
    }
}

impl Outgoing for Check {
    fn method(&self) -> &Method {
        &Method::GET
    }

    fn upgrade(&self) -> Option<&HeaderValue> {
        None
    }

    fn write(&self, text: &mut BytesMut, _: &ProvenBody) {
        for part in [
            "GET ",
            self.health.path.as_str(),
            " HTTP/1.1\r\nhost: ",
            self.host(),
        ] {
            text.put_slice(part.as_bytes());
        }
        text.put_slice(b"\r\nuser-agent: ");
        text.put_slice(AGENT.as_bytes());
        text.put_slice(b"\r\n\r\n");
    }

    fn request(&self, body: ProvenBody) -> Request<ProvenBody> {
        let mut request = Request::new(body);
        *request.uri_mut() = Uri::from(self.health.path.clone());
        let fields = request.headers_mut();
        fields.insert(header::USER_AGENT, HeaderValue::from_static(AGENT));
        if let Ok(host) = HeaderValue::from_str(self.host()) {
            fields.insert(header::HOST, host);
        }
        request
    }
}

impl Check {
    /// A socket of this machine has no name of its own.
    fn host(&self) -> &str {
        if self.label.starts_with("unix:") {
            "localhost"
        } else {
            &self.label
        }
    }

    async fn ask_in_time(&self) -> Result<(), String> {
        timeout(self.health.timeout, self.ask())
            .await
            .unwrap_or_else(|_| Err("it did not answer in time".into()))
    }

    /// Asks once, over a new connection of the kind that requests go over.
    async fn ask(&self) -> Result<(), String> {
        let deadlines = Deadlines::start(&self.settings);
        let (body, pool) = (ProvenBody::empty(), Pool::for_one());
        let tried = exchange(self, body, &self.place, &self.label, &pool, &deadlines).await;
        match tried {
            // What it says besides its status is not read: the connection is closed.
            Tried::Answered(head, _) => {
                let status = head.status.as_u16();
                if self.health.status.contains(&status) {
                    Ok(())
                } else {
                    Err(format!("it answered {status}"))
                }
            }
            Tried::Switched(..) => Err("it switches protocols".into()),
            Tried::NotSent(_, failed) | Tried::Unfit(_, failed) | Tried::Failed(failed) => {
                Err(failed.to_string())
            }
        }
    }

    fn tell(&self, result: Result<(), String>, clock: &Clock) {
        let (upstream, server) = (&*self.settings.name, &*self.label);
        match self.standing.streak.checked(result.is_ok(), &self.health) {
            None => {}
            Some(true) => {
                self.standing.comes_back(nanos(clock.now()));
                tracing::info!(upstream, server, "a server is up: its health checks pass");
            }
            Some(false) => {
                let why = result.err().unwrap_or_default();
                tracing::warn!(
                    upstream,
                    server,
                    why,
                    "a server is down: its health checks fail"
                );
            }
        }
    }
}

/// The deadlines of a check are its own. That it has to be over is seen to by who asks: here it
/// would hide what there was no time for.
pub(super) fn settings_of_a_check(settings: &Settings, health: &Health) -> Settings {
    let whole = health.timeout.min(super::MAX_DEADLINE);
    Settings {
        connect: whole,
        first_byte: whole,
        idle: whole,
        total: super::MAX_DEADLINE,
        ..settings.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forward::upstream::balance::Rules;
    use crate::forward::upstream::tests::checked;
    use crate::forward::upstream::{Protocol, Server, Upstream};
    use tokio::net::TcpListener;

    #[tokio::test(start_paused = true)]
    async fn of_a_server_that_never_answers_it_is_said_that_it_did_not_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let long = Duration::from_hours(1);
        let settings = Settings {
            name: "test".into(),
            servers: vec![Server::Http {
                host: "127.0.0.1".into(),
                port: listener.local_addr().unwrap().port(),
            }],
            connect: long,
            first_byte: long,
            idle: long,
            total: long,
            max_connections: 1,
            balance: checked(Rules::default()),
            protocol: Protocol::Auto,
            tls: None,
            resolve_every: long,
        };
        let check = Upstream::new(settings, None).checks().remove(0);
        let from = tokio::time::Instant::now();
        let why = check.ask_in_time().await.unwrap_err();
        assert!(why.ends_with(" did not answer in time"), "{why}");
        assert_eq!(from.elapsed().as_secs(), 2);
    }
}
