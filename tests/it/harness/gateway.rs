//! The gateway in this process, through the library, with a clock set by hand;
//! or, where one is named to be tested, the binary, which has the system's clock.

use super::lines::Lines;
use super::{Binary, Connection, Request, Response, Setup, T0, binary};
use portcullis::cli::serve::{self, Running, StartOptions};
use portcullis::clock::{Clock, Hand};
use portcullis::config::{Config, Loaded};
use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;

/// A running gateway; stops when dropped.
pub struct Gateway(Runs);

enum Runs {
    Here(Box<Here>),
    There(Box<Binary>),
}

/// In this process.
struct Here {
    setup: Setup,
    running: Option<Running>,
    hand: Hand,
    log: Lines,
}

impl Gateway {
    /// The seam between these tests and the library: text in, a running gateway out.
    pub fn start(setup: Setup) -> Self {
        if binary::is_named() {
            Self(Runs::There(Box::new(Binary::spawn(setup))))
        } else {
            Self::start_by_hand(setup, T0)
        }
    }

    /// As [`Gateway::start`], with the clock at another time, which no binary can be told.
    pub fn start_at(setup: Setup, unix_seconds: i64) -> Self {
        assert!(
            !binary::is_named(),
            "this test sets the clock by hand, and a binary has its own"
        );
        Self::start_by_hand(setup, unix_seconds)
    }

    fn start_by_hand(setup: Setup, unix_seconds: i64) -> Self {
        let (clock, hand) = Clock::by_hand(unix_seconds as u64);
        Self::start_by(setup, clock, hand)
    }

    /// With the system's clock, for callers that cannot be told the time.
    pub fn start_now(setup: Setup) -> Self {
        if binary::is_named() {
            return Self(Runs::There(Box::new(Binary::spawn(setup))));
        }
        let (_, idle) = Clock::by_hand(0);
        Self::start_by(setup, Clock::system(), idle)
    }

    fn start_by(setup: Setup, clock: Clock, hand: Hand) -> Self {
        let log = Lines::default();
        let options = StartOptions::default()
            .clock(clock)
            .access_log(Box::new(log.clone()));
        let running = serve::start(config(&setup, &setup.text()), options)
            .unwrap_or_else(|error| panic!("the gateway does not start: {error:#}"));
        Self(Runs::Here(Box::new(Here {
            setup,
            running: Some(running),
            hand,
            log,
        })))
    }

    /// Where apps are kept that are made at run time.
    pub fn registry(&self) -> std::sync::Arc<dyn portcullis::apps::made::Store> {
        match &self.0 {
            Runs::Here(here) => here.running().registry().expect("it has a registry"),
            Runs::There(_) => panic!("another process has it"),
        }
    }

    /// Why another configuration is not put in force.
    pub fn reload_fails(&self, text: &str) -> String {
        match &self.0 {
            Runs::Here(here) => {
                let reloaded = here.running().reload(config(&here.setup, text));
                reloaded.expect_err("it is not taken over").to_string()
            }
            Runs::There(_) => panic!("another process does not tell"),
        }
    }

    /// Stops it; its files stay until it is dropped.
    pub fn stop(&mut self) {
        if let Runs::Here(here) = &mut self.0
            && let Some(running) = here.running.take()
        {
            running.stop();
        }
    }

    /// Where its files are.
    pub fn folder(&self) -> std::path::PathBuf {
        match &self.0 {
            Runs::Here(here) => here.setup.folder().to_owned(),
            Runs::There(_) => panic!("another process has them"),
        }
    }

    /// Puts another configuration in force, which must be a good one.
    pub fn reload(&self, text: &str) {
        match &self.0 {
            Runs::Here(here) => {
                let reloaded = here.running().reload(config(&here.setup, text));
                reloaded.unwrap_or_else(|error| panic!("the gateway does not reload: {error:#}"));
            }
            Runs::There(binary) => binary.reload(text),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        match &self.0 {
            Runs::Here(here) => here.running().addresses[0],
            Runs::There(binary) => binary.address(),
        }
    }

    /// Where its admin listener is.
    pub fn admin(&self) -> SocketAddr {
        match &self.0 {
            Runs::Here(here) => here
                .running()
                .admin
                .expect("the setup has an admin listener"),
            Runs::There(binary) => binary.admin(),
        }
    }

    /// Its configuration.
    pub const fn setup(&self) -> &Setup {
        match &self.0 {
            Runs::Here(here) => &here.setup,
            Runs::There(binary) => binary.setup(),
        }
    }

    /// Seconds on its clock.
    pub fn advance(&self, seconds: u64) {
        self.hand().advance(Duration::from_secs(seconds));
    }

    /// Moves its clock, which no binary lets us do.
    pub fn hand(&self) -> &Hand {
        match &self.0 {
            Runs::Here(here) => &here.hand,
            Runs::There(_) => panic!("this test sets the clock by hand, and a binary has its own"),
        }
    }

    /// A request to it.
    pub fn request(&self, method: &str, target: &str) -> Request {
        Request::new(method, target).to(self.address())
    }

    /// A connection to it.
    pub fn connect(&self) -> Connection {
        Connection::open(self.address())
    }

    /// Sends one request over a connection of its own.
    pub fn send(&self, request: &Request) -> Response {
        request.send_to(self.address())
    }

    /// Its access log.
    pub const fn log(&self) -> &Lines {
        match &self.0 {
            Runs::Here(here) => &here.log,
            Runs::There(binary) => &binary.stdout,
        }
    }

    /// The access record of the `n`th request, counted from 0; waits for it.
    pub fn record(&self, n: usize) -> Value {
        let lines = self.log().first(n + 1);
        serde_json::from_str(&lines[n]).expect("an access record is JSON")
    }

    /// What the admin listener answers.
    pub fn ask_admin(&self, path: &str) -> Response {
        Request::new("GET", path)
            .to(self.admin())
            .send_to(self.admin())
    }
}

impl Here {
    fn running(&self) -> &Running {
        self.running.as_ref().expect("it runs until it is dropped")
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop();
        }
    }
}

fn config(setup: &Setup, text: &str) -> Loaded {
    // Nothing comes from the environment but what a test puts into its files.
    let environment = |_: &str| None;
    Config::from_text(text, "gateway.toml", setup.folder(), &environment)
        .unwrap_or_else(|problems| panic!("the test's configuration:\n{problems}\n{text}"))
}
