//! `portcullis sidecar`: a local proxy that signs for tools that cannot.
//!
//! In: requests of this machine's own tools. Out: the same, proven, to one
//! place; its answers as they are. Whoever reaches it can call as its key: so
//! it listens on this machine alone unless told otherwise, and serves no web page.

mod signing;

use super::message::{Message, Source, without_user};
use super::prove::{Keys, ProofArgs};
use super::send::PORTS;
use super::stop::{FAILED, Stop};
use crate::clock::Clock;
use crate::config::{Config, period};
use crate::forward::upstream::Upstream;
use crate::schemes::authority::port_of;
use crate::server::{self, BindError, Handed, Listen};
use anyhow::Result;
use bytes::Bytes;
use http::{HeaderMap, Method, Uri};
use signing::{MAX_KEPT, Shared, Signing};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Bytes a body may have: its front is held in memory, the rest in a file.
const MAX_BODY: u64 = 1024 * 1024 * 1024;
/// How long a pause within a request or an answer may last at least, and what is in flight at a stop has.
const MIN_PATIENCE: Duration = Duration::from_mins(1);
/// How long a request may take, from its first byte to the last of its answer.
const MAX_EXCHANGE: Duration = Duration::from_hours(24);

/// Sign what local tools send, and send it on
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Where to listen: a loopback address with a port, or `unix:PATH`
    #[arg(long, value_name = "PLACE", default_value = "127.0.0.1:9000")]
    listen: String,
    /// Whom the requests are for: scheme and host
    #[arg(long, value_name = "URL")]
    to: String,
    /// Listen where others can reach it, who then call as this key
    #[arg(long)]
    for_others_too: bool,
    /// Trust these authorities for `https`, in place of the system's
    #[arg(long, value_name = "FILE")]
    cacert: Option<String>,
    /// How long an answer may take to begin, or to go on after a pause
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = period)]
    timeout: Duration,
    #[command(flatten)]
    proof: ProofArgs,
}

const EXAMPLES: &str = "\
Examples:
  For tools that speak plain HTTP to 127.0.0.1:9000:
    portcullis sidecar --to https://api.example.com --key-id demo --secret file:demo.key
    curl http://127.0.0.1:9000/orders
  On a Unix socket, as a caller of Kong signs:
    portcullis sidecar --listen unix:api.sock --to https://api.example.com --scheme hmac-auth --dialect kong \\
        --key-id demo --secret env:DEMO_KEY

It stops on SIGINT and SIGTERM, once the requests in flight are answered, for which they have `--timeout` and a minute
at least; at the second one at once.";

/// What `--to` says. The parser of the command line, which repeats what it refuses, does not read it: it may hold a
/// password.
fn destination(text: &str) -> Result<Uri, Stop> {
    let shown = without_user(text);
    let bad = || {
        Stop::usage(format!("`--to` `{shown}` is no place to send to"))
            .hint("scheme and host are accepted, and nothing behind: `https://api.example.com`")
    };
    let uri: Uri = text.parse().map_err(|_| bad())?;
    if let Some(Err(none)) = uri.authority().map(port_of) {
        return Err(Stop::usage(format!("`--to` `{shown}` {none}")).hint(PORTS));
    }
    let has_place = matches!(uri.scheme_str(), Some("http" | "https")) && uri.authority().is_some();
    let is_bare =
        uri.path() == "/" && uri.query().is_none() && !text.contains(['@', '#', '"', '\\']);
    if has_place && is_bare {
        Ok(uri)
    } else {
        Err(bad())
    }
}

/// Runs the command.
pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let to = destination(&args.to)?;
    let keys = args.proof.keys()?;
    try_out(args, &to, &keys)?;
    let (settings, upstream) = settings(args, &to)?;
    let on_loopback = settings.listen.iter().all(|place| match place {
        Listen::Tcp(address) => address.ip().is_loopback(),
        Listen::Unix(_) => true,
    });
    if !on_loopback && !args.for_others_too {
        return Err(Stop::usage(format!(
            "`{}` can be reached by others, whose requests would be signed with this key",
            args.listen
        ))
        .hint("listen on `127.0.0.1:9000` or `unix:PATH`; `--for-others-too` says that it is meant")
        .into());
    }
    // No page reaches a Unix socket, whatever name it calls it by, unless somebody passes a port on to it.
    let by_address = { settings.listen.iter() }.any(|place| matches!(place, Listen::Tcp(_)));
    let bound = server::bind(&settings, &mut Handed::default())
        .map_err(|why| cannot_listen(&args.listen, &why))?;
    let places: Vec<String> = bound.places().iter().map(ToString::to_string).collect();
    let shared = Arc::new(Shared {
        proof: args.proof.clone(),
        keys,
        to: to.clone(),
        upstream,
        only_local_names: by_address && on_loopback,
        limit: MAX_BODY,
        places: Semaphore::new(MAX_KEPT),
        clock: Clock::system(),
    });
    let stop = CancellationToken::new();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut told = {
        let _inside = runtime.enter();
        Told::new()?
    };
    let running = server::run(
        bound,
        &settings,
        None,
        move |_| Signing::new(shared.clone()),
        &stop,
    )?;
    let mut out = anstream::stderr();
    writeln!(out, "signs what comes to {}, for {to}", places.join(", "))?;
    runtime.block_on(async {
        told.once().await;
        stop.cancel();
        let ended = tokio::task::spawn_blocking(move || running.wait());
        tokio::select! {
            drained = ended => Ok(match drained {
                Ok(drained) if drained.cut == 0 => ExitCode::SUCCESS,
                _ => ExitCode::from(FAILED),
            }),
            () = told.once() => std::process::exit(i32::from(FAILED)),
        }
    })
}

/// The server's own hints name its settings, which are none of this command's.
fn cannot_listen(place: &str, why: &BindError) -> Stop {
    Stop::failed(format!("cannot listen on `{place}`: {}", why.why())).hint(
        "`--listen` takes another place: an address of this machine with a free port above 1023, or `unix:PATH` in a folder that is there and yours",
    )
}

/// Proves a request that is never sent: what is wrong with key and options is told at once.
fn try_out(args: &Args, to: &Uri, keys: &Keys) -> Result<()> {
    let message = Message {
        method: Method::GET,
        uri: to.clone(),
        fields: HeaderMap::new(),
        body: Bytes::new(),
        source: Source::Inline,
    };
    args.proof.try_out(keys, &message)
}

/// The settings of the rooms, as a configuration of these few lines has them.
fn settings(args: &Args, to: &Uri) -> Result<(server::Settings, Upstream)> {
    let listen = toml_text(&args.listen)?;
    let tls = match &args.cacert {
        Some(path) if to.scheme_str() == Some("https") => {
            format!("tls = {{ ca = {} }}\n", toml_text(&format!("file:{path}"))?)
        }
        _ => String::new(),
    };
    let to = to.to_string();
    let to = to.trim_end_matches('/');
    // A tool of this machine may be as slow as it likes; others could hold connections open with a byte now and then.
    let pace = if args.for_others_too {
        ""
    } else {
        "min_rate = \"off\"\n"
    };
    let begins = args.timeout.as_millis();
    let pause = args.timeout.max(MIN_PATIENCE).as_millis();
    let whole = args.timeout.max(MAX_EXCHANGE).as_millis();
    let text = format!(
        "[server]\nlisten = {listen}\nsocket_mode = \"0600\"\nworkers = 1\n\
         body_timeout = \"{pause}ms\"\ndrain_timeout = \"{pause}ms\"\n{pace}\n\
         [admin]\nlisten = \"off\"\n\n[state]\nregistry = \"off\"\n\n\
         [upstreams.to]\nservers = [\"{to}\"]\ntimeout = \"{begins}ms\"\n\
         idle_timeout = \"{pause}ms\"\ntotal_timeout = \"{whole}ms\"\n{tls}\n\
         [[routes]]\nname = \"all\"\npath = \"/**\"\nupstream = \"to\"\naccept = [\"public\"]\n"
    );
    let no_variable = |_: &str| None;
    let loaded = Config::from_text(&text, "the command line", Path::new("."), &no_variable)
        .map_err(|report| Stop::bad_config(&report))?;
    let upstream = loaded.config.gateway.upstreams.into_iter().next();
    let upstream = upstream.ok_or_else(|| Stop::usage("`--to` names no server"))?;
    Ok((loaded.config.server, Upstream::new(upstream, None)))
}

/// A text of the command line as TOML writes it.
fn toml_text(text: &str) -> Result<String, Stop> {
    if text.contains(['"', '\\']) || text.contains(char::is_control) {
        let shown = text.escape_debug();
        return Err(Stop::usage(format!(
            "`{shown}` holds a quote or a backslash"
        )));
    }
    Ok(format!("\"{text}\""))
}

/// What tells us to stop.
struct Told {
    terminate: Signal,
    interrupt: Signal,
}

impl Told {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn once(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Alone {
        #[command(flatten)]
        args: Args,
    }

    fn of(more: &[&str]) -> (server::Settings, Upstream) {
        let to = ["sidecar", "--to", "http://127.0.0.1:1"];
        let args = Alone::try_parse_from(to.iter().chain(more)).unwrap().args;
        settings(&args, &destination(&args.to).unwrap()).unwrap()
    }

    #[test]
    fn nothing_is_given_up_sooner_than_the_timeout_says() {
        for (said, begins, pause) in [
            (&[][..], 300_000, 300_000),
            (&["--timeout", "1900ms"], 1_900, 60_000),
            (&["--timeout", "90s"], 90_000, 90_000),
            (&["--timeout", "2d"], 172_800_000, 172_800_000),
        ] {
            let (server, upstream) = of(said);
            let (of_client, of_server) = (server.deadlines, upstream.settings());
            let (begins, pause) = (Duration::from_millis(begins), Duration::from_millis(pause));
            assert_eq!(of_server.first_byte, begins, "{said:?}");
            for found in [of_server.idle, of_client.body, of_client.drain] {
                assert_eq!(found, pause, "{said:?}");
            }
            let whole = begins.max(Duration::from_hours(24));
            assert_eq!(of_server.total, whole, "{said:?}");
        }
    }

    #[test]
    fn a_tool_of_this_machine_may_be_slow_and_others_may_not() {
        let rate = |said: &[&str]| of(said).0.deadlines.pace.rate;
        for said in [&[][..], &["--listen", "unix:tool.sock"]] {
            assert_eq!(rate(said), None, "{said:?}");
        }
        assert!(rate(&["--listen", "0.0.0.0:0", "--for-others-too"]).is_some());
    }

    #[test]
    fn a_place_that_is_refused_is_told_without_its_password() {
        for to in [
            "http://me:canary@h/",
            "http://me:canary@h:0",
            "http://me:canary@h/a b",
        ] {
            let told = destination(to).unwrap_err().to_string();
            assert!(told.contains("`http://…@h"), "{told}");
            assert!(!told.contains("canary"), "{told}");
        }
    }
}
