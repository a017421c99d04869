//! On this machine: memory for what is hot, files for what must outlive a crash.

mod blanks;
mod crowd;
mod disk;
mod floor;
mod format;
mod found;
mod journal;
mod lane;
mod life;
mod lines;
mod segment;
mod table;

pub use table::Table;

use super::Settings;
use crate::clock::{Clock, Now, whole_seconds};
use crate::replay::{Memory, Once, ProofId, Recorded, Refused};
use blanks::Blanks;
use disk::{Disk, LOOKING, Seen};
use found::Taken;
use journal::{Boot, Journal, hold};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How often files are tended and expired proofs swept.
const TENDING: Duration = Duration::from_secs(1);
/// Turns in which all shards are swept once.
const SWEEP_TURNS: usize = 16;
/// How long a file of the journal is written, in seconds.
const SHORTEST_SPAN: i64 = 60;
const LONGEST_SPAN: i64 = 3_600;
/// The bit by which the number of a blank differs from those of proofs.
const BLANK: u64 = 1 << 63;

/// The memory of proofs: what passed does not pass again, in this process and
/// in those that follow it.
///
/// It is in memory, and each proof is written to a file before its request
/// passes. After the process died, however it died, the next one knows all
/// of it. After the machine died the next one refuses proofs that were made
/// before its start (and `skew` longer), since the last ones may be lost.
///
/// Dropping it writes everything to the disk; a later start, in whatever
/// boot, then misses nothing.
#[derive(Debug)]
pub struct Proofs {
    shared: Arc<Shared>,
    /// What tends the files, and what looks whether their disk answers.
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// What was there when the memory of proofs was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Proofs that are known from before.
    pub loaded: usize,
    /// Proofs made at or before this second are refused where they may be
    /// used once only: the memory of them is lost.
    pub floor: Option<i64>,
    /// What was lost and why, for the log.
    pub note: Option<String>,
}

/// Why the memory of proofs cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error(
        "`{}` is in use by another gateway\n\nhint: for two that run at once, give each a `[state] directory` of its own; for one that takes over, whose new directory would know none of the proofs that were used, set a longer `[state] wait` and hand it the other's sockets, or let the other end first",
        directory.display()
    )]
    InUse {
        /// Where it lies.
        directory: PathBuf,
    },
    /// It cannot be read or written.
    #[error(
        "`{}` cannot be used for the memory of proofs: {why}\n\nhint: `[state] directory` must be one that the gateway's user can write to",
        directory.display()
    )]
    Io {
        /// Where it lies.
        directory: PathBuf,
        /// What the system said.
        why: std::io::Error,
    },
}

impl Memory for Proofs {
    fn record(&self, once: Once, now: Now) -> Result<Recorded, Refused> {
        self.shared.record(once, now)
    }

    fn record_of(&self, app: &Arc<str>, once: Once, now: Now) -> Result<Recorded, Refused> {
        self.shared.record_of(Some(app), once, now)
    }

    fn look(&self, once: Once, now: Now) -> Result<(), Refused> {
        self.shared.look(once, now)
    }

    fn expect(&self, id: ProofId) {
        self.shared.table.expect(id);
    }

    fn blank(&self) -> Recorded {
        self.shared.blank()
    }

    fn write_down(&self, proof: Recorded) -> Result<(), Refused> {
        self.shared.write_down(proof)
    }
}

impl Proofs {
    /// Opens the memory, or begins one. Loads what earlier processes left.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(settings: &Settings, clock: &Clock) -> Result<(Self, Opened), OpenError> {
        let (shared, opened) = Shared::open(settings, boot(), clock.now())?;
        let proofs = Self {
            shared: Arc::new(shared),
            threads: Mutex::default(),
        };
        let clock = clock.clone();
        proofs
            .spawn("proofs", move |shared| shared.tend_until_stopped(&clock))
            .and_then(|()| proofs.spawn("disk", Shared::look_until_stopped))
            .map_err(|why| OpenError::Io {
                directory: settings.directory.clone(),
                why,
            })?;
        Ok((proofs, opened))
    }

    fn spawn(
        &self,
        name: &str,
        work: impl FnOnce(&Shared) + Send + 'static,
    ) -> std::io::Result<()> {
        let shared = self.shared.clone();
        let thread = thread::Builder::new().name(name.to_owned());
        let running = thread.spawn(move || work(&shared))?;
        hold(&self.threads).push(running);
        Ok(())
    }

    /// Proofs that are remembered.
    pub fn len(&self) -> usize {
        self.shared.table.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.shared.table.is_empty()
    }

    /// Proofs that can be remembered.
    pub fn capacity(&self) -> usize {
        self.shared.table.capacity()
    }

    /// Whether the last proof could be written down, and the disk answers. While it could not,
    /// proofs are refused; each is a new attempt, but where the disk does not answer.
    pub fn is_writable(&self) -> bool {
        self.shared.is_writable()
    }

    /// Whether no write waits for a disk that does not answer. While one does, so does the worker that writes.
    pub fn disk_answers(&self) -> bool {
        !self.shared.disk.is_stuck()
    }

    /// For how many seconds all that may be used once only is refused, since the clock was ahead and was set back.
    pub fn refused_for(&self) -> i64 {
        self.shared.refused_for.load(Ordering::Relaxed)
    }

    /// Takes over new settings, before any proof is checked by them. What is
    /// remembered stays, each for as long as was asked for it, and is refused
    /// thereafter where the new ones ask for longer; a new `directory` needs a
    /// new process.
    pub fn reconfigure(&self, settings: &Settings, now: Now) {
        self.shared.reconfigure(settings, now.unix_seconds());
    }

    /// Ends it and writes everything to the disk, as dropping it does, but
    /// says when that fails. Another process may open it from then on; here
    /// no proof is accepted any more.
    ///
    /// # Errors
    /// What the system said. The next start then counts as one after the
    /// machine died, if the machine does before it.
    pub fn close(&self) -> std::io::Result<()> {
        let mut threads = hold(&self.threads);
        if self.shared.stopped.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        for thread in threads.drain(..) {
            thread.thread().unpark();
            // It ended by a panic or not: either way it writes no more.
            let _ = thread.join();
        }
        self.shared.close()
    }
}

impl Drop for Proofs {
    fn drop(&mut self) {
        let _ = self.close();
    }
}

#[derive(Debug)]
struct Shared {
    table: Table,
    disk: Arc<Disk>,
    journal: Journal,
    blanks: Blanks,
    /// How long a file of the journal is written, in seconds.
    span: AtomicI64,
    /// How long a proof is remembered, in seconds.
    retention: AtomicI64,
    /// For how many seconds from now on nothing that is made is accepted.
    refused_for: AtomicI64,
    stopped: AtomicBool,
}

impl Shared {
    fn open(settings: &Settings, boot: Boot, now: Now) -> Result<(Self, Opened), OpenError> {
        let taken = found::take(settings.directory.join("replay"))?;
        Self::of(taken, settings, boot, now)
    }

    fn of(
        taken: Taken,
        settings: &Settings,
        boot: Boot,
        now: Now,
    ) -> Result<(Self, Opened), OpenError> {
        let (table, disk) = (Table::new(settings.proofs), Arc::<Disk>::default());
        let (journal, note) = Journal::open(taken, settings, boot, now, &table, disk.clone())?;
        let floor = journal.floor.second();
        let retention = whole_seconds(settings.retention);
        let oldest = now.unix_seconds().saturating_sub(retention);
        let opened = Opened {
            loaded: table.len(),
            floor: (floor >= oldest).then_some(floor),
            note,
        };
        let shared = Self {
            table,
            blanks: Blanks::new(journal.directory.clone(), disk.clone()),
            disk,
            journal,
            span: AtomicI64::new(span(settings)),
            retention: AtomicI64::new(retention),
            refused_for: AtomicI64::new(0),
            stopped: AtomicBool::new(false),
        };
        Ok((shared, opened))
    }

    fn record(&self, once: Once, now: Now) -> Result<Recorded, Refused> {
        self.record_of(None, once, now)
    }

    fn record_of(&self, app: Option<&Arc<str>>, once: Once, now: Now) -> Result<Recorded, Refused> {
        let (life, second) = (&self.journal.life, now.unix_seconds());
        let is_over = || life.is_over(&once, second, self.table.forgotten());
        if once.made <= self.journal.floor.at(now) || is_over() {
            return Err(Refused::MaybeReplayed);
        }
        let Once { id, until, .. } = once;
        let inserted = self.table.insert(id, until, app, now);
        inserted.inspect_err(|refused| self.table.tell_of(*refused, now))?;
        // It may have been forgotten a moment before.
        if is_over() {
            return Err(Refused::MaybeReplayed);
        }
        // Where this fails, or the writing, the proof stays used: it may be on its way to the file.
        let number = self.journal.append(id.0, until);
        number.map(Recorded).map_err(|_| Refused::Unavailable)
    }

    fn look(&self, once: Once, now: Now) -> Result<(), Refused> {
        let (life, second) = (&self.journal.life, now.unix_seconds());
        let is_over = life.is_over(&once, second, self.table.forgotten());
        if once.made <= self.journal.floor.at(now) || is_over {
            return Err(Refused::MaybeReplayed);
        }
        self.table.look(once, now)?;
        // Recorded now it would be used up for nothing. `tend` finds out when that is over.
        if self.is_writable() {
            Ok(())
        } else {
            Err(Refused::Unavailable)
        }
    }

    fn is_writable(&self) -> bool {
        self.journal.is_writable() && !self.disk.is_stuck()
    }

    fn blank(&self) -> Recorded {
        Recorded(self.blanks.append() | BLANK)
    }

    fn write_down(&self, Recorded(number): Recorded) -> Result<(), Refused> {
        if number & BLANK != 0 {
            self.blanks.write(number & !BLANK);
            return Ok(());
        }
        self.journal.write(number).map_err(|_| Refused::Unavailable)
    }

    fn reconfigure(&self, settings: &Settings, now: i64) {
        let forgotten = self.table.forgotten();
        self.journal.life.change(settings, now, forgotten);
        self.table.resize(settings.proofs);
        self.span.store(span(settings), Ordering::Relaxed);
        self.retention
            .store(whole_seconds(settings.retention), Ordering::Relaxed);
    }

    fn tend_until_stopped(&self, clock: &Clock) {
        while !self.stopped.load(Ordering::Acquire) {
            thread::park_timeout(TENDING);
            self.tend(clock.now());
        }
    }

    /// Behind whoever waits for the disk just now: while that does not answer nothing could be sealed.
    fn close(&self) -> std::io::Result<()> {
        self.blanks.wait();
        self.journal.wait();
        self.journal.close()
    }

    /// Apart from what tends the files, which may wait for the disk itself.
    fn look_until_stopped(&self) {
        let mut seen = Seen::default();
        while !self.stopped.load(Ordering::Acquire) {
            thread::park_timeout(LOOKING);
            self.disk.look(&mut seen);
        }
    }

    fn tend(&self, now: Now) {
        self.journal.floor.follow(now);
        let now = now.unix_seconds();
        self.table.sweep_some(SWEEP_TURNS, now);
        self.journal.tend(now, self.span.load(Ordering::Relaxed));
        self.look_ahead(now);
    }

    /// Looks whether proofs were forgotten that end so far ahead that whatever is made now ends before them: the clock
    /// was ahead while they were used, and was set back since.
    fn look_ahead(&self, now: i64) {
        let ends = now.saturating_add(self.retention.load(Ordering::Relaxed));
        let refused_for = self.table.forgotten().saturating_sub(ends).max(0);
        let before = self.refused_for.swap(refused_for, Ordering::Relaxed);
        if refused_for > 0 && before == 0 {
            tracing::error!(
                seconds = refused_for,
                "single-use requests are refused: the clock was ahead and was set back, and proofs that were used meanwhile are forgotten"
            );
        } else if refused_for == 0 && before > 0 {
            tracing::info!("single-use requests pass again: the clock is where it was ahead to");
        }
    }
}

fn span(settings: &Settings) -> i64 {
    let half = i64::try_from(settings.retention.as_secs() / 2).unwrap_or(LONGEST_SPAN);
    half.clamp(SHORTEST_SPAN, LONGEST_SPAN)
}

/// Which boot of the machine this is.
fn boot() -> Boot {
    let told = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits = told.trim().replace('-', "");
    u128::from_str_radix(&digits, 16).map_or([0; 16], u128::to_be_bytes)
}

#[cfg(test)]
mod tests;
