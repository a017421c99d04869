//! Asking servers how they are, on and on.

use super::balance::{Standing, nanos};
use super::health::Health;
use super::pool::Pool;
use super::resolve::{Addresses, Resolve, System};
use super::{Place, Settings, Way, dice, grpc_health};
use crate::clock::Clock;
use crate::forward::body::ProvenBody;
use crate::forward::errands::{Errand, Errands};
use crate::forward::exchange::{Deadlines, Tried, exchange};
use crate::forward::{Failed, Late, Outgoing};
use bytes::{BufMut as _, BytesMut};
use http::{HeaderValue, Method, Request, Uri, header};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

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

/// Whether a check was good, or why it was not. Nothing where that tells nothing of the server.
type Asked = Option<Result<(), String>>;

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
        let addresses = self.place.addresses();
        loop {
            if let Some(result) = self.ask_all(&addresses, &System).await {
                self.tell(result, &clock);
            }
            let part = dice::throw(dice::Dice::part);
            sleep(every.mul_f64(1.0 - JITTER + 2.0 * JITTER * part)).await;
        }
    }
}

impl Outgoing for Check {
    fn method(&self) -> &Method {
        if self.health.grpc.is_some() {
            &Method::POST
        } else {
            &Method::GET
        }
    }

    fn upgrade(&self) -> Option<&HeaderValue> {
        None
    }

    /// It has a connection of its own, whatever it is.
    fn is_long(&self) -> bool {
        false
    }

    /// Of a `GET`: gRPC is not spoken so.
    fn write(&self, text: &mut BytesMut, _: &ProvenBody, _: bool) {
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
        *request.method_mut() = self.method().clone();
        *request.uri_mut() = Uri::from(self.health.path.clone());
        let fields = request.headers_mut();
        fields.insert(header::USER_AGENT, HeaderValue::from_static(AGENT));
        if self.health.grpc.is_some() {
            let grpc = HeaderValue::from_static("application/grpc");
            fields.insert(header::CONTENT_TYPE, grpc);
            fields.insert(header::TE, HeaderValue::from_static("trailers"));
        }
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

    /// Asks the server; where it has a name each of its addresses, and the server is as well as the best of them.
    async fn ask_all(&self, addresses: &Addresses, resolver: &dyn Resolve) -> Asked {
        let Some(left_out) = &self.place.left_out else {
            return self.ask_in_turn(None).await;
        };
        let by = Instant::now() + self.health.timeout.min(super::MAX_DEADLINE);
        let found = match addresses.find(by, resolver).await {
            Ok(found) => found,
            Err(why) => return told(&Failed::connecting(&why, Late::LookUp).of(&self.label)),
        };
        left_out.learn(found.clone());
        if let [only] = found[..] {
            return self.ask_in_turn(Some(only)).await;
        }
        let mut asking = JoinSet::new();
        for address in found {
            let check = self.clone();
            asking.spawn(async move { (address, check.ask_in_turn(Some(address)).await) });
        }
        let (mut is_good, mut tells, mut last) = (false, true, None);
        while let Some(asked) = asking.join_next().await {
            let Ok((address, Some(result))) = asked else {
                tells = false;
                continue;
            };
            is_good |= result.is_ok();
            let why = result.err();
            if let Some(is_up) = left_out.checked(address, why.is_none(), &self.health) {
                self.tell_of(address, is_up, why.as_deref());
            }
            last = why.or(last);
        }
        if is_good {
            return Some(Ok(()));
        }
        last.filter(|_| tells).map(Err)
    }

    async fn ask_in_turn(&self, at: Option<SocketAddr>) -> Asked {
        let _turn = AT_A_TIME.acquire().await.ok()?;
        self.ask_in_time(at).await
    }

    async fn ask_in_time(&self, at: Option<SocketAddr>) -> Asked {
        // Over first, so that they say what there was no time for.
        let deadlines = Deadlines::start(&self.settings);
        timeout(self.health.timeout, self.ask(at, &deadlines))
            .await
            .unwrap_or_else(|_| Some(Err("it did not answer in time".into())))
    }

    /// Asks once, over a new connection of the kind that requests go over.
    async fn ask(&self, at: Option<SocketAddr>, deadlines: &Deadlines) -> Asked {
        let body = match &self.health.grpc {
            Some(service) => ProvenBody::whole(grpc_health::question(service)),
            None => ProvenBody::empty(),
        };
        let pool = Pool::for_one(&self.place, at);
        let (place, way) = (&self.place, &mut Way::default());
        match exchange(self, body, place, &self.label, &pool, deadlines, way).await {
            Tried::Answered(head, arriving) if self.health.grpc.is_some() => {
                Some(grpc_health::read(&head, arriving).await)
            }
            // What it says besides its status is not read: the connection is closed.
            Tried::Answered(head, _) => {
                let status = head.status.as_u16();
                Some(if self.health.status.contains(&status) {
                    Ok(())
                } else {
                    Err(format!("it answered {status}"))
                })
            }
            Tried::Switched(..) => Some(Err("it switches protocols".into())),
            Tried::NotSent(_, failed)
            | Tried::Lacking(_, failed)
            | Tried::Unfit(_, failed)
            | Tried::Failed(failed)
            | Tried::Excused(failed) => told(&failed),
        }
    }

    fn tell_of(&self, address: SocketAddr, is_up: bool, why: Option<&str>) {
        let (upstream, server) = (&*self.settings.name, &*self.label);
        if is_up {
            tracing::info!(upstream, server, %address, "an address is up: its health checks pass");
        } else {
            tracing::warn!(
                upstream,
                server,
                %address,
                why,
                "an address is down: its health checks fail"
            );
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

fn told(failed: &Failed) -> Asked {
    failed.is_the_servers().then(|| Err(failed.to_string()))
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
    use crate::forward::upstream::resolve::Found;
    use crate::forward::upstream::tests::checked;
    use crate::forward::upstream::{MAX_IDLE, Protocol, Server, Upstream};
    use http::{HeaderMap, Response};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    /// Of a server, by checks that `set` says more of.
    fn check(host: &str, port: u16, set: impl FnOnce(&mut Settings, &mut Health)) -> Check {
        let long = Duration::from_hours(1);
        let mut settings = Settings {
            name: "test".into(),
            servers: vec![Server::Http {
                host: host.into(),
                port,
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
            keep_alive: Some(MAX_IDLE),
        };
        let mut health = settings.balance.health.take().unwrap();
        set(&mut settings, &mut health);
        settings.balance.health = Some(health);
        Upstream::new(settings, None).checks().remove(0)
    }

    #[tokio::test(start_paused = true)]
    async fn of_a_server_that_never_answers_it_is_said_that_it_did_not_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let check = check("127.0.0.1", port, |_, _| {});
        let from = Instant::now();
        let why = check.ask_in_time(None).await.unwrap().unwrap_err();
        assert!(why.contains(" did not answer in time"), "{why}");
        assert_eq!(from.elapsed().as_secs(), 2);
    }

    /// Finds these addresses, or never finds any; and how often it was asked.
    struct Finds(Option<Vec<SocketAddr>>, AtomicUsize);

    impl Resolve for Finds {
        fn resolve(&self, _: &str, _: u16) -> Found {
            self.1.fetch_add(1, Ordering::SeqCst);
            match self.0.clone() {
                Some(found) => Box::pin(async move { Ok(found) }),
                None => Box::pin(std::future::pending()),
            }
        }
    }

    /// Answers everything with this status, and counts how often.
    async fn answering(status: u16) -> (SocketAddr, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                count.fetch_add(1, Ordering::SeqCst);
                let answer = format!("HTTP/1.1 {status} Told\r\nContent-Length: 0\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        (address, asked)
    }

    #[tokio::test]
    async fn each_address_of_a_name_is_asked_and_the_name_is_as_well_as_the_best_of_them() {
        let ((good, asked_good), (sick, asked_sick)) = (answering(200).await, answering(500).await);
        let check = check("orders.test", 80, |_, health| health.unhealthy_after = 3);
        let left_out = check.place.left_out.as_ref().unwrap();
        let rules = checked(Rules::default());
        let addresses = check.place.addresses();
        let both = Finds(Some(vec![good, sick]), AtomicUsize::new(0));
        for round in 1..=3 {
            let may = |address| left_out.way(&rules, true, 0).may(Some(address));
            assert!(may(good) && may(sick), "{round}");
            assert_eq!(check.ask_all(&addresses, &both).await, Some(Ok(())));
            let asked = [&asked_good, &asked_sick].map(|asked| asked.load(Ordering::SeqCst));
            assert_eq!(asked, [round, round]);
            if round == 3 {
                assert!(may(good) && !may(sick));
            }
        }
        let sick = Finds(Some(vec![sick]), AtomicUsize::new(0));
        let told = check.ask_all(&addresses, &sick).await;
        assert_eq!(told, Some(Err("it answered 500".to_owned())));
    }

    #[tokio::test(start_paused = true)]
    async fn while_a_resolver_hangs_checks_look_a_name_up_once() {
        let check = check("orders.test", 80, |_, _| {});
        let addresses = check.place.addresses();
        let hangs = Finds(None, AtomicUsize::new(0));
        for _ in 0..5 {
            let why = check.ask_all(&addresses, &hangs).await;
            let why = why.unwrap().unwrap_err();
            assert!(why.contains("was not looked up in time"), "{why}");
        }
        assert_eq!(hangs.1.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_server_of_grpc_is_well_when_it_says_so() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let check = check("127.0.0.1", port, |_, health| {
            health.grpc = Some("a.B".into());
            health.path = grpc_health::PATH.parse().unwrap();
        });
        let answers = [
            (&b"\0\0\0\0\x02\x08\x01"[..], "0", Ok(())),
            (b"\0\0\0\0\x02\x08\x02", "0", Err("it says NOT_SERVING")),
            (
                b"",
                "12",
                Err("it does not have `grpc.health.v1.Health` (grpc-status 12)"),
            ),
        ];
        let serving = tokio::spawn(async move {
            for (message, status, _) in answers {
                let (stream, _) = listener.accept().await.unwrap();
                let mut connection = h2::server::handshake(stream).await.unwrap();
                let (mut request, mut answer) = connection.accept().await.unwrap().unwrap();
                tokio::spawn(async move { while connection.accept().await.is_some() {} });
                assert_eq!(request.method(), Method::POST);
                assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
                assert_eq!(request.headers()["content-type"], "application/grpc");
                let question = request.body_mut().data().await.unwrap().unwrap();
                assert_eq!(question[..], *b"\0\0\0\0\x05\x0a\x03a.B");
                let mut body = answer.send_response(Response::new(()), false).unwrap();
                body.send_data(message.into(), false).unwrap();
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", status.parse().unwrap());
                body.send_trailers(trailers).unwrap();
            }
        });
        for (_, _, expected) in answers {
            let expected = expected.map_err(str::to_owned);
            assert_eq!(check.ask_in_time(None).await, Some(expected));
        }
        serving.await.unwrap();
    }
}
