//! The workers: a thread each, with a runtime, listeners and a handler of its own.

use super::admission::Admission;
use super::connection::Worker;
use super::counts::Counts;
use super::drain::{Asking, Settled, Unsettled};
use super::listen::{BACKLOG, Bound, Listener};
use super::socket::{Entrance, Stream};
use super::socket_file::SocketFile;
use super::tls::Certificates;
use super::{Handler, Settings};
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::task::Poll;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::Mutex;
use tokio::task::{self, JoinSet};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a listener rests when the system has no more to give, files for one.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Workers at work.
#[derive(Debug)]
pub struct Running {
    workers: Vec<JoinHandle<usize>>,
    goodbye: CancellationToken,
    settled: Settled,
    /// Removed when the workers have ended.
    files: Vec<SocketFile>,
    pulse: Pulse,
    counts: Arc<Counts>,
}

/// Tells whether the workers live.
#[derive(Clone, Debug)]
pub struct Pulse(Arc<[Life]>);

/// A worker, and what it was asked to do last to show that it lives. However many ask, no more than that waits for it.
#[derive(Debug)]
struct Life {
    worker: Handle,
    asked: Mutex<Option<task::JoinHandle<()>>>,
}

impl Pulse {
    /// That of workers by their runtimes.
    pub(crate) fn of(workers: impl IntoIterator<Item = Handle>) -> Self {
        let life = |worker| Life {
            worker,
            asked: Mutex::default(),
        };
        Self(workers.into_iter().map(life).collect())
    }

    /// Waits until each worker has done something, and no longer than `patience`. Gives back the number of the first
    /// that has not: something holds it, or it has ended.
    pub async fn silent(&self, patience: Duration) -> Option<usize> {
        let mut lives = 0;
        let all = async {
            for worker in &*self.0 {
                if !worker.beats().await {
                    return false;
                }
                lives += 1;
            }
            true
        };
        let all = tokio::time::timeout(patience, all).await;
        (all != Ok(true)).then_some(lives)
    }
}

impl Life {
    async fn beats(&self) -> bool {
        let mut asked = self.asked.lock().await;
        // What it did when nobody waited any more says nothing of now.
        if asked.as_ref().is_some_and(task::JoinHandle::is_finished) {
            *asked = None;
        }
        let beat = asked.get_or_insert_with(|| self.worker.spawn(async {}));
        let lives = beat.await.is_ok();
        *asked = None;
        lives
    }
}

/// How the workers ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Requests that were cut off because they outlasted `deadlines.drain`.
    pub cut: usize,
}

impl Running {
    /// Lets every connection end behind its next answer; goes on to accept
    /// and to answer.
    pub fn say_goodbye(&self) {
        self.goodbye.cancel();
    }

    /// Waits, after a stop, until no request can come any more; the last ones
    /// may still be answered. Blocks the thread, for a moment.
    pub fn settled(&self) {
        self.settled.wait();
    }

    /// Whether the workers live.
    pub fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }

    /// What was turned away before it was a request.
    pub fn counts(&self) -> Arc<Counts> {
        self.counts.clone()
    }

    /// Waits until every worker has stopped. Blocks the thread.
    ///
    /// # Panics
    /// When a worker did.
    pub fn wait(self) -> Drained {
        let cut = self
            .workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic)))
            .sum();
        drop(self.files);
        Drained { cut }
    }
}

/// Starts the workers. `make` makes the handler of each, on its thread and
/// within its runtime. With `certificates` every listener speaks TLS.
///
/// On `stop` they accept no more (of a listener that is theirs alone, what
/// waits already still), end idle connections, give requests in flight until `deadlines.drain`, and end.
///
/// # Errors
/// When the system has no more threads or files.
pub fn run<H, M>(
    bound: Bound,
    settings: &Settings,
    certificates: Option<Arc<Certificates>>,
    make: M,
    stop: &CancellationToken,
) -> io::Result<Running>
where
    H: Handler,
    M: Fn(usize) -> H + Send + Sync + 'static,
{
    let make = Arc::new(make);
    let tls = certificates.map(|certificates| certificates.acceptor());
    let deadlines = settings.deadlines;
    let counts: Arc<Counts> = Arc::default();
    let admission = Arc::new(Admission::new(
        &settings.caps,
        settings.forwarders.clone(),
        counts.clone(),
    ));
    // Ends the workers that have started when another cannot.
    let stop = stop.child_token();
    let unless_complete = stop.clone().drop_guard();
    let goodbye = CancellationToken::new();
    let (unsettled, settled) = Settled::new();
    let mut workers = Vec::new();
    let mut runtimes = Vec::new();
    for (index, listeners) in bound.workers.into_iter().enumerate() {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        runtimes.push(runtime.handle().clone());
        let doors = doors(&runtime, listeners, &admission, &stop)?;
        let (make, tls) = (make.clone(), tls.clone());
        let end = End {
            goodbye: goodbye.clone(),
            stop: stop.clone(),
            unsettled: unsettled.clone(),
        };
        let admission = admission.clone();
        let worker = move |index| Worker::new(make(index), deadlines, tls, admission);
        let work = move || {
            let cut = runtime.block_on(async { work(worker(index), doors, end).await });
            // Whatever a handler still has to do for nobody is dropped, not waited for.
            runtime.shutdown_background();
            cut
        };
        let name = format!("worker-{index}");
        workers.push(thread::Builder::new().name(name).spawn(work)?);
    }
    unless_complete.disarm();
    Ok(Running {
        workers,
        goodbye,
        settled,
        files: bound.files,
        pulse: Pulse::of(runtimes),
        counts,
    })
}

/// How a worker learns that it comes to its end, and tells how far it is.
struct End {
    goodbye: CancellationToken,
    stop: CancellationToken,
    unsettled: Unsettled,
}

/// A listener and what it needs to let a connection in.
struct Door {
    listener: Entrance,
    /// Connections that wait when we stop and are let in: none where another
    /// process has the listener too, or will.
    last: Range<u32>,
    admission: Arc<Admission>,
    stop: CancellationToken,
}

fn doors(
    runtime: &Runtime,
    listeners: Vec<(Listener, bool)>,
    admission: &Arc<Admission>,
    stop: &CancellationToken,
) -> io::Result<Vec<Door>> {
    let _registers_there = runtime.enter();
    listeners
        .into_iter()
        .map(|(listener, outlives_us)| {
            Ok(Door {
                listener: Entrance::open(listener)?,
                last: 0..if outlives_us { 0 } else { BACKLOG },
                admission: admission.clone(),
                stop: stop.clone(),
            })
        })
        .collect()
}

async fn work<H: Handler>(worker: Worker<H>, doors: Vec<Door>, end: End) -> usize {
    let worker = Arc::new(worker);
    let connections = TaskTracker::new();
    let mut open: JoinSet<()> = doors
        .into_iter()
        .map(|door| door.keep(worker.clone(), connections.clone()))
        .collect();
    tokio::select! {
        () = end.stop.cancelled() => {}
        () = end.goodbye.cancelled() => {
            worker.closing().say_goodbye();
            end.stop.cancelled().await;
        }
    }
    while open.join_next().await.is_some() {}
    worker.close();
    worker.closing().settled().await;
    drop(end.unsettled);
    connections.close();
    connections.wait().await;
    let tunnels = worker.tunnels_cut();
    if tunnels > 0 {
        tracing::warn!(tunnels, "closed tunnels that outlasted the drain");
    }
    worker.cut()
}

impl Door {
    /// Lets connections in until we stop; then those that wait already, and closes.
    async fn keep<H: Handler>(mut self, worker: Arc<Worker<H>>, connections: TaskTracker) {
        while let Some(accepted) = self.next().await {
            let (stream, address) = match accepted {
                Ok(accepted) => accepted,
                Err(error) if ends_one_connection(&error) => continue,
                Err(error) => {
                    self.admission.counts.cannot_accept(&error);
                    tokio::select! {
                        () = tokio::time::sleep(ACCEPT_PAUSE) => continue,
                        () = self.stop.cancelled() => return,
                    }
                }
            };
            // Who finds no place is closed at once: waiting would use up files, and
            // a balancer would take us for slow where we are full.
            let Some(place) = self.admission.enter(address) else {
                continue;
            };
            let worker = worker.clone();
            let asking: Asking = worker.closing().asking();
            connections.spawn(async move { worker.serve(stream, address, place, asking).await });
        }
    }

    /// The next connection. When we stop: of those that wait, the `last`.
    async fn next(&mut self) -> Option<io::Result<(Stream, Option<IpAddr>)>> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => {}
            accepted = self.listener.accept() => return Some(accepted),
        }
        self.last.next()?;
        // The runtime asks the system anew: what has come since it last did waits, too.
        tokio::task::yield_now().await;
        poll_fn(|cx| match self.listener.poll_accept(cx) {
            Poll::Ready(accepted) => Poll::Ready(Some(accepted)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }
}

/// Errors of the connection that was to be accepted, not of the listener (accept(2)).
fn ends_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Far longer than what it is given to takes, where it is not to be waited for.
    const LONG: Duration = Duration::from_secs(30);
    const SHORT: Duration = Duration::from_millis(1);

    fn runtime() -> Runtime {
        Builder::new_current_thread().enable_all().build().unwrap()
    }

    #[test]
    fn a_worker_that_something_holds_is_named_and_however_many_ask_is_asked_once() {
        // The first one is the one that asks. The second does nothing until a thread runs it.
        let (here, held) = (runtime(), runtime());
        let pulse = Pulse::of([here.handle().clone(), held.handle().clone()]);
        for _ in 0..10 {
            assert_eq!(here.block_on(pulse.silent(SHORT)), Some(1));
        }
        assert_eq!(held.metrics().num_alive_tasks(), 1);
        let stop = CancellationToken::new();
        let released = stop.clone();
        let worker = thread::spawn(move || held.block_on(released.cancelled()));
        assert_eq!(here.block_on(pulse.silent(LONG)), None);
        stop.cancel();
        worker.join().unwrap();
    }

    #[test]
    fn a_worker_that_has_ended_is_not_waited_for() {
        let (here, ended) = (runtime(), runtime());
        let pulse = Pulse::of([ended.handle().clone()]);
        ended.shutdown_background();
        assert_eq!(here.block_on(pulse.silent(LONG)), Some(0));
    }
}
