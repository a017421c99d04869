//! `portcullis check`: a configuration as it was understood, or all that is wrong with it.

mod credentials;
mod hosts;
mod issuers;
mod notes;
mod places;
mod strangers;
mod tunnels;
mod waivers;

use super::files::Need;
use super::stop::Stop;
use crate::apps::{Assurance, Mode};
use crate::clock::Clock;
use crate::config::{self, Config, Loaded, Problem, Report, time};
use crate::limit::app::{Plan, Rate};
use crate::route::{Accept, Bind, ReplayPolicy, Route};
use crate::schemes::PAIR;
use crate::server::Fields;
use clap::{Args as Arguments, ValueEnum};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// Read a configuration; print it as it was understood, or all that is wrong with it
#[derive(Debug, Arguments)]
#[command(
    after_help = "Examples:\n  portcullis check\n  portcullis check -c /etc/portcullis/gateway.toml --json\n\nExits with 0 when the configuration can be used, with 2 when it cannot. Nothing is made, and no port is opened."
)]
pub struct Args {
    /// The configuration
    #[arg(short, long, value_name = "FILE", default_value = "gateway.toml")]
    pub config: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Print the schema for editors or the reference page instead, as this version has them
    #[arg(long, value_enum, value_name = "WHAT", conflicts_with_all = ["config", "json"])]
    pub print: Option<Page>,
}

/// What can be printed besides a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Page {
    /// The JSON schema of gateway.toml
    Schema,
    /// Every key of gateway.toml, in Markdown
    Reference,
}

/// The exit code of a configuration that cannot be used.
const BAD_CONFIG: u8 = 2;

/// Runs the command. What it finds goes to the output, what is wrong to the error output.
pub fn run(args: &Args, clock: &Clock) -> ExitCode {
    match args.print {
        Some(Page::Schema) => return print(&config::schema_json()),
        Some(Page::Reference) => return print(&config::reference_page()),
        None => {}
    }
    match Config::check(&args.config) {
        Ok(loaded) => {
            let warnings: Vec<&Problem> = loaded
                .warnings
                .iter()
                .chain(loaded.lapsed(clock.now().unix_seconds()))
                .collect();
            let notes = notes::of(&loaded);
            if args.json {
                let json = serde_json::json!({ "ok": true, "config": loaded.resolved, "warnings": warnings, "notes": notes });
                return print(&format!("{json:#}\n"));
            }
            for warning in &warnings {
                let _ = writeln!(anstream::stderr(), "warning: {warning}");
            }
            for note in notes {
                let _ = writeln!(anstream::stderr(), "note: {note}");
            }
            print(&described(
                &args.config.display().to_string(),
                &loaded,
                warnings.len(),
            ))
        }
        Err(report) => refused(&report, args.json),
    }
}

fn refused(report: &Report, json: bool) -> ExitCode {
    if json {
        print(&format!("{:#}\n", report.to_json()));
    } else {
        // Colours are taken out again where the error output is no terminal.
        let _ = writeln!(anstream::stderr(), "{}", report.coloured());
    }
    ExitCode::from(BAD_CONFIG)
}

/// Whoever closes the output early has seen enough; what is lost otherwise is told.
fn print(text: &str) -> ExitCode {
    let mut out = anstream::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(why) if why.kind() != std::io::ErrorKind::BrokenPipe => {
            let told = format!("standard output cannot be written: {why}");
            super::complain(&Stop::failed(told).into())
        }
        _ => ExitCode::SUCCESS,
    }
}

/// The configuration for people.
fn described(name: &str, loaded: &Loaded, warnings: usize) -> String {
    let mut out = String::new();
    top(&mut out, &loaded.config);
    upstreams(&mut out, loaded);
    routes(&mut out, &loaded.config);
    waivers::describe(&mut out, &loaded.config);
    apps(&mut out, loaded);
    issuers::describe(&mut out, loaded);
    let noun = if warnings == 1 { "warning" } else { "warnings" };
    let _ = writeln!(out, "\n{name} is good; {warnings} {noun}");
    out
}

fn top(out: &mut String, config: &Config) {
    let listen: Vec<String> = config
        .server
        .listen
        .iter()
        .map(ToString::to_string)
        .collect();
    let tls = if config.server.tls.is_some() {
        "TLS"
    } else {
        "no TLS"
    };
    let workers = config.server.workers;
    line(
        out,
        "listen",
        &format!("{} ({tls}), {workers} worker threads", listen.join(", ")),
    );
    if let Some(url) = &config.gateway.public_url {
        line(
            out,
            "public URL",
            &format!("{}://{}", url.scheme, url.authority),
        );
    }
    let admin = config
        .admin
        .listen
        .as_ref()
        .map_or("off".to_owned(), ToString::to_string);
    line(out, "admin", &admin);
    let caps = &config.server.caps;
    line(
        out,
        "connections",
        &format!(
            "{} in all, {} of an address; up to {} open files",
            caps.connections,
            caps.per_address,
            Need::of(config).all()
        ),
    );
    let forwarders = &config.server.forwarders;
    if !forwarders.trusted.0.is_empty() {
        let trusted: Vec<_> = forwarders
            .trusted
            .0
            .iter()
            .map(ToString::to_string)
            .collect();
        let how = match (forwarders.proxy_protocol, forwarders.fields) {
            (true, Fields::Off) => "PROXY header".to_owned(),
            (true, fields) => format!("PROXY header, {}", fields.name()),
            (false, fields) => fields.name().to_owned(),
        };
        line(out, "believed", &format!("{} ({how})", trusted.join(", ")));
    }
    let fresh = &config.gateway.freshness;
    line(
        out,
        "proofs",
        &format!(
            "up to {} old, {} ahead, {} remembered",
            time(fresh.window),
            time(fresh.skew),
            config.state.proofs
        ),
    );
    let peers = &config.gateway.peers;
    line(
        out,
        "peers",
        &format!(
            "refused requests {}; requests {}",
            pace(peers.failures),
            pace(peers.rate)
        ),
    );
    let overload = &config.gateway.overload;
    let mut routes = config.gateway.routes.routes().iter();
    let asks = routes.any(|route| route.accept != Accept::Public);
    let without = format!(", up to {} of them without a proof", overload.unproven());
    line(
        out,
        "in flight",
        &format!(
            "{} requests{}, {} more on reserved routes; {} may wait for {}",
            overload.in_flight,
            if asks { &*without } else { "" },
            overload.reserve,
            overload.queue,
            time(overload.queue_timeout)
        ),
    );
    if config.gateway.explain {
        line(
            out,
            "explain",
            "every refused caller is shown the text we checked",
        );
    }
}

fn upstreams(out: &mut String, loaded: &Loaded) {
    let _ = writeln!(out, "\nupstreams");
    for upstream in &loaded.config.gateway.upstreams {
        let servers: Vec<String> = upstream.servers.iter().map(config::server).collect();
        line(out, &upstream.name, &servers.join(", "));
    }
}

fn routes(out: &mut String, config: &Config) {
    let _ = writeln!(out, "\nroutes, in the order in which they are tried");
    if config.gateway.routes.routes().is_empty() {
        line(out, "none", "every request gets 404");
    }
    for route in config.gateway.routes.in_order() {
        let upstream = config
            .gateway
            .upstreams
            .get(route.upstream)
            .map_or("", |one| &*one.name);
        line(
            out,
            &route.name,
            &format!("{} → {upstream}: {}", what(route), who(route)),
        );
    }
}

fn what(route: &Route) -> String {
    let methods: Vec<&str> = route.methods.iter().map(http::Method::as_str).collect();
    let methods = if methods.is_empty() {
        "any method".to_owned()
    } else {
        methods.join(" ")
    };
    let host = route
        .host
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default();
    format!("{methods} {host}{}", route.path)
}

fn who(route: &Route) -> String {
    let mut out = match route.accept {
        Accept::Public => "PUBLIC, anyone may pass".to_owned(),
        Accept::Proven(schemes) => {
            let alone = schemes.iter().map(crate::apps::Scheme::name);
            let all: Vec<&str> = alone.chain(route.pair.then_some(PAIR)).collect();
            all.join(" or ")
        }
    };
    if route.mode == Mode::Observe {
        out.push_str(", OBSERVED ONLY");
    }
    if route.assurance > Assurance::None {
        let _ = write!(out, "; proven `{}` or better", route.assurance.name());
    }
    if let Some(to) = bound_to(route.bind) {
        let _ = write!(out, "; tokens bound to {to}");
    }
    if !route.scopes.is_empty() {
        let scopes: Vec<&str> = route.scopes.iter().collect();
        let _ = write!(out, "; scopes {}", scopes.join(" "));
    }
    let _ = write!(out, "; bodies up to {}", config::size(route.body.limit));
    if route.webhooks.is_some() && route.hold(true) < route.body.limit {
        let _ = write!(out, ", of webhooks {}", config::size(route.hold(true)));
    }
    if route.replay == ReplayPolicy::Strict {
        out.push_str("; every request once");
    }
    if let Some(count) = route.in_flight {
        let _ = write!(out, "; {count} in flight");
    }
    if route.reserved {
        out.push_str("; may use the reserve");
    }
    out
}

/// What tokens must be bound to.
const fn bound_to(bind: Bind) -> Option<&'static str> {
    match bind {
        Bind::None => None,
        Bind::Authorization => Some("`Authorization`"),
        Bind::Key => Some("a key"),
        Bind::Dpop => Some("a DPoP key"),
    }
}

fn apps(out: &mut String, loaded: &Loaded) {
    let gateway = &loaded.config.gateway;
    let _ = writeln!(out, "\napps");
    for (app, plan) in gateway.apps.iter().zip(&gateway.plans) {
        let scopes: Vec<&str> = app.scopes.iter().collect();
        let scopes = if scopes.is_empty() {
            "no scopes".to_owned()
        } else {
            format!("scopes {}", scopes.join(" "))
        };
        let off = if app.enabled { "" } else { "SWITCHED OFF; " };
        line(
            out,
            &app.name,
            &format!("{off}{}; {scopes}", limits(plan.as_deref())),
        );
        for one in gateway.keys.iter().filter(|key| key.app.index == app.index) {
            line(out, "", &credentials::key(one, loaded));
        }
        let certificates = gateway.certificates.iter();
        for one in certificates.filter(|one| one.app.index == app.index) {
            line(out, "", &credentials::certificate(one));
        }
        let static_keys = gateway.static_keys.iter().flat_map(|keys| &keys.list);
        for one in static_keys.filter(|one| one.app.index == app.index) {
            line(out, "", &credentials::static_key(one));
        }
    }
}

fn limits(plan: Option<&Plan>) -> String {
    let Some(plan) = plan else {
        return "no limits".to_owned();
    };
    let mut text = format!("plan {}: {}", plan.name, amounts(plan));
    for (assurance, better) in &plan.better {
        let _ = write!(text, "; if {}: {}", assurance.name(), amounts(better));
    }
    text
}

fn amounts(plan: &Plan) -> String {
    let flight = plan
        .concurrency
        .map_or(String::new(), |count| format!(", {count} in flight"));
    format!("{}{flight}", pace(plan.rate))
}

fn pace(rate: Option<Rate>) -> String {
    match rate {
        Some(rate) => format!(
            "{} in {}, {} at once",
            rate.count,
            time(rate.period),
            rate.burst
        ),
        None => "without limit".to_owned(),
    }
}

fn line(out: &mut String, name: &str, text: &str) {
    let _ = writeln!(out, "  {name:<12} {text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_configuration_is_described_with_all_that_weakens_it() {
        let text = r#"
            upstreams.orders.servers = ["echo:"]
            [[routes]]
            name = "all"
            path = "/**"
            upstream = "orders"
            accept = ["public"]
            [[routes]]
            name = "orders"
            path = "/orders"
            upstream = "orders"
            accept = ["token"]
            replay = "off"
            waive = [{ part = "body", until = 2027-03-01, reason = "legacy uploader" }]
            [apps.mobile]
            keys = [{ id = "m", algorithm = "hmac-sha256", secret = "generated:m.key", not_after = 2027-01-31 }]
        "#;
        let loaded = config::from_text(text, "gateway.toml").unwrap();
        let text = described("gateway.toml", &loaded, 0);
        for part in [
            "orders       any method /orders → orders: token",
            "all          any method /** → orders: PUBLIC, anyone may pass",
            "`body` need not be covered until 2027-03-01: legacy uploader",
            "the same request may pass many times",
            "key m: hmac-sha256, generated:m.key (will be generated at the first start), until 2027-01-31",
            "gateway.toml is good; 0 warnings",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        let routes = text.find("/orders →").zip(text.find("/** →"));
        assert!(
            routes.is_some_and(|(first, second)| first < second),
            "{text}"
        );
    }

    #[test]
    fn what_a_route_asks_for_beside_a_proof_is_told() {
        let text = r#"
            upstreams.orders.servers = ["echo:"]
            [[routes]]
            name = "both"
            path = "/both"
            upstream = "orders"
            accept = ["token+http-signature"]
            [[routes]]
            name = "either"
            path = "/either"
            upstream = "orders"
            accept = ["token+http-signature", "http-signature"]
            mode = "observe"
            assurance = "signed"
            [[routes]]
            name = "bound"
            path = "/bound"
            upstream = "orders"
            accept = ["token"]
            bind = "key"
            [[routes]]
            name = "hooks"
            path = "/hooks"
            upstream = "orders"
            accept = ["webhook"]
            webhook = { sender = "github", app = "hub" }
            [apps.hub]
            keys = [{ id = "hub", algorithm = "hmac-sha256", secret = "generated:hub.key", schemes = ["webhook"] }]
        "#;
        let loaded = config::from_text(text, "gateway.toml").unwrap();
        let text = described("gateway.toml", &loaded, 0);
        for part in [
            "/both → orders: token+http-signature; bodies",
            "/either → orders: http-signature or token+http-signature, OBSERVED ONLY; proven `signed` or better; bodies",
            "/bound → orders: token; tokens bound to a key; bodies",
            "bodies up to 10 MiB, of webhooks 1 MiB",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }

    #[test]
    fn a_gateway_without_routes_is_told_to_let_nothing_pass() {
        let loaded = config::from_text("", "gateway.toml").unwrap();
        let text = described("gateway.toml", &loaded, 0);
        assert!(text.contains("every request gets 404"), "{text}");
        let warned: Vec<_> = loaded.warnings.iter().map(ToString::to_string).collect();
        let told = "routes: there are no `[[routes]]`: every request gets 404";
        assert_eq!(warned.len(), 1, "{warned:?}");
        assert!(warned[0].contains(told), "{warned:?}");
    }

    #[test]
    fn the_arguments_fit_together() {
        use clap::Args as _;
        Args::augment_args(clap::Command::new("check")).debug_assert();
    }
}
