//! The main loop: one thread that hears signals, has files looked at, and ends the gateway.

use super::watch::{Wake, Wakes};
use super::{Args, Running, StartOptions, Warnings, panics, start, systemd};
use crate::cli::files::{self, Need};
use crate::clock::Clock;
use crate::config::Config;
use crate::forward::body::set_aside;
use crate::route::{Accept, BodyVerify, Route};
use crate::server::Handed;
use crate::{observe, store};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::task::JoinHandle;

/// Runs a gateway until it is told to stop.
///
/// # Errors
/// When it cannot start.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    // Before there are threads: it changes the environment.
    let handed = Handed::from_environment();
    super::init_events()?;
    panics::tell_the_place_only();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    // Before the file is read and an address is told: no change and no signal is missed from here on.
    let mut wakes = {
        let _inside = runtime.enter();
        files::outlive_size_limit()?;
        Wakes::new(std::slice::from_ref(&args.config))?
    };
    let loaded = match Config::load(&args.config) {
        Ok(loaded) => loaded,
        Err(report) => {
            crate::cli::aside(&report.coloured());
            return Ok(ExitCode::from(2));
        }
    };
    for warning in Warnings::of(&loaded).at(Clock::system().now()) {
        tracing::warn!("{warning}");
    }
    wakes.watch(&loaded.config.files);
    let (need, may_be_open) = (Need::of(&loaded.config), files::raise());
    if let Some(shortage) = need.shortage(may_be_open) {
        tracing::warn!("too few files may be open: {shortage}");
    }
    tell_of_bodies(&loaded.config);
    let ended = runtime.block_on(async {
        let given_up = Arc::<AtomicBool>::default();
        let options = StartOptions::default()
            .connections(need.connections_within(may_be_open))
            .handed(handed)
            .file(args.config.clone())
            .unless(given_up.clone());
        let mut starting = tokio::task::spawn_blocking(move || start(loaded, options));
        tokio::select! {
            started = &mut starting => {
                let running = started??;
                let (pulse, proofs) = (running.workers.pulse(), running.control.proofs.clone());
                let disk_answers = move || proofs.disk_answers();
                let stop = running.control.stop.clone();
                tokio::spawn(systemd::keep_alive(pulse, disk_answers, stop));
                systemd::ready();
                return until_stopped(running, wakes, &args.config).await;
            }
            () = wakes.told_to_stop() => given_up.store(true, Ordering::Release),
        }
        // It may serve by now, or still be waiting for a gateway before it.
        match starting.await? {
            Ok(running) => drained(running, wakes).await,
            Err(why) if why.is::<store::embedded::OpenError>() => {
                tracing::info!("stopped before it began to serve");
                Ok(ExitCode::SUCCESS)
            }
            Err(why) => Err(why),
        }
    });
    // A read that hangs is not waited for.
    runtime.shutdown_background();
    ended
}

/// Warns where large bodies have to wait for their check and nowhere to: small ones would pass, so that nobody would see it.
fn tell_of_bodies(config: &Config) {
    let mut routes = config.gateway.routes.in_order().iter();
    let sets_aside = |route: &Arc<Route>| {
        route.accept != Accept::Public
            && route.body.verify == BodyVerify::BeforeForwarding
            && route.body.limit > set_aside::MAX_IN_MEMORY as u64
    };
    if routes.any(sets_aside)
        && let Err(why) = set_aside::try_it()
    {
        tracing::warn!(
            "bodies over 1 MiB that are checked before forwarding will be refused: no file can be made in `{}` ({why}); \
             hint: let `TMPDIR` name a folder that the gateway may write to, or give their routes `body = {{ verify = \"while-forwarding\" }}`",
            set_aside::folder().display()
        );
    }
}

/// Reloads when it is asked to or a file changes; drains and returns when told to stop.
async fn until_stopped(
    running: Running,
    mut wakes: Wakes,
    config: &Path,
) -> anyhow::Result<ExitCode> {
    loop {
        let control = running.control.clone();
        let tries = control.is_not_taken();
        let goes_on = match wakes.next(&running.control.reloaded, tries).await {
            Wake::Stop => false,
            Wake::Reloaded => wakes.watch_after(move || control.files()).await,
            Wake::Dates => {
                let looks = wakes.watch_after(move || {
                    control.look_at_dates();
                    control.files()
                });
                looks.await
            }
            wake @ (Wake::Changed | Wake::Asked) => {
                systemd::reloading();
                let config = config.to_owned();
                let is_read = wakes.watch_after(move || {
                    // It has told by itself what came of it.
                    let _ = control.reload_file(&config, wake);
                    control.files()
                });
                let is_read = is_read.await;
                if is_read {
                    systemd::ready();
                }
                is_read
            }
        };
        if !goes_on {
            break;
        }
    }
    drained(running, wakes).await
}

/// Stops it, at once when told to stop again.
async fn drained(running: Running, mut wakes: Wakes) -> anyhow::Result<ExitCode> {
    systemd::stopping();
    let stopping = tokio::task::spawn_blocking(move || running.stop());
    tokio::select! {
        ended = stopped(stopping) => ended,
        () = wakes.told_to_stop() => {
            tracing::warn!("told to stop again: not waiting");
            observe::last_words();
            std::process::exit(1)
        }
    }
}

/// Tells how many requests were cut off. A stop that panicked is none.
async fn stopped(stopping: JoinHandle<usize>) -> anyhow::Result<ExitCode> {
    let cut = stopping.await?;
    tracing::info!(cut, "stopped");
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::task::spawn_blocking;

    #[tokio::test]
    async fn a_stop_that_panics_is_no_good_end() {
        assert!(stopped(spawn_blocking(|| 0)).await.is_ok());
        assert!(
            stopped(spawn_blocking(|| panic!("it fails")))
                .await
                .is_err()
        );
    }
}
