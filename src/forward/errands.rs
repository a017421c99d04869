//! A thread that sees to things on and on, each in a task of its own: one for
//! a gateway, started when a configuration first wants something of it.

use crate::clock::Clock;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::thread;
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// What is seen to.
pub trait Errand: Clone + Send + Sync + 'static {
    /// The thread's name.
    const THREAD: &'static str;

    /// Whether `other` is the same thing, to be seen to in the same way: then it goes on as it was.
    fn is_as(&self, other: &Self) -> bool;

    /// Sees to it, on and on.
    fn go_on(self, clock: Clock) -> impl Future<Output = ()> + Send;
}

/// Sees to what is wanted until it is dropped.
#[derive(Debug)]
pub struct Errands<E> {
    clock: Clock,
    wanted: watch::Sender<Vec<E>>,
    thread: Mutex<Option<thread::JoinHandle<()>>>,
}

impl<E: Errand> Errands<E> {
    /// Nothing is seen to yet.
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            wanted: watch::Sender::new(Vec::new()),
            thread: Mutex::new(None),
        }
    }

    /// Sees to these from now on, and to no others.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn set(&self, wanted: Vec<E>) -> io::Result<()> {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if thread.is_none() && !wanted.is_empty() {
            *thread = Some(self.start()?);
        }
        self.wanted.send_replace(wanted);
        Ok(())
    }

    fn start(&self) -> io::Result<thread::JoinHandle<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let wanted = self.wanted.subscribe();
        let clock = self.clock.clone();
        thread::Builder::new()
            .name(E::THREAD.to_owned())
            .spawn(move || {
                runtime.block_on(run(wanted, clock));
                // A name that is being looked up is not waited for.
                runtime.shutdown_background();
            })
    }
}

impl<E> Drop for Errands<E> {
    fn drop(&mut self) {
        let thread = self.thread.get_mut();
        let thread = thread.unwrap_or_else(PoisonError::into_inner).take();
        // The thread ends when nobody can want anything any more.
        self.wanted = watch::Sender::new(Vec::new());
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

/// Ends its task when it is dropped.
struct Running<E> {
    errand: E,
    task: AbortHandle,
}

impl<E> Drop for Running<E> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run<E: Errand>(mut wanted: watch::Receiver<Vec<E>>, clock: Clock) {
    let mut running: Vec<Running<E>> = Vec::new();
    loop {
        let errands = wanted.borrow_and_update().clone();
        running.retain(|one| errands.iter().any(|errand| errand.is_as(&one.errand)));
        for errand in errands {
            if running.iter().any(|one| one.errand.is_as(&errand)) {
                continue;
            }
            let task = tokio::spawn(errand.clone().go_on(clock.clone()));
            running.push(Running {
                errand,
                task: task.abort_handle(),
            });
        }
        if wanted.changed().await.is_err() {
            return;
        }
    }
}
