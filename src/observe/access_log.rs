//! The access log: workers write lines into buffers, one thread writes buffers out.
//!
//! A worker only ever appends to memory. What cannot be written in time –
//! a full disk, a pipe that nobody reads – is dropped, whole lines at a time,
//! and counted. A line that is torn in its middle takes none after it along.

use super::Record;
use super::line::{Format, Stamp};
use super::losing::Losing;
use super::sink::give;
use crate::clock::Now;
use crate::lanes::Lanes;
use prometheus_client::metrics::counter::Counter;
use std::collections::VecDeque;
use std::fmt;
use std::io::{Write, stdout};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// A buffer of this many bytes is handed to the writer.
pub const BUFFER: usize = 64 * 1024;
/// Room behind it for the line that fills it.
const ROOM: usize = 4 * 1024;
/// Buffers that may wait for the writer. What goes into one together waits in one.
pub const MAX_WAITING: usize = 16;
/// A line is handed to the writer at the latest after this time.
pub const INTERVAL: Duration = Duration::from_millis(100);
/// How long [`Observer::flush`](super::Observer::flush) waits for a slow sink.
pub const FLUSH_DEADLINE: Duration = Duration::from_secs(2);

/// Where the access log goes, and how its lines look.
pub struct AccessLog {
    sink: Box<dyn Write + Send>,
    format: Format,
}

impl AccessLog {
    /// To standard output.
    pub fn stdout(format: Format) -> Self {
        Self::to(Box::new(stdout()), format)
    }

    /// To a sink of one's own. It is written to by one thread, and may block.
    pub fn to(sink: Box<dyn Write + Send>, format: Format) -> Self {
        Self { sink, format }
    }
}

impl fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccessLog({:?})", self.format)
    }
}

/// The workers' end of the log.
#[derive(Debug)]
pub(super) struct Log {
    format: Format,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    pens: Lanes<Mutex<Pen>>,
    queue: Mutex<Queue>,
    /// The writer has something to do.
    work: Condvar,
    /// The writer has done what a flush asked for.
    done: Condvar,
    dropped: Counter,
    losing: Mutex<Losing>,
}

/// What a worker writes with.
#[derive(Debug, Default)]
struct Pen {
    lines: Lines,
    stamp: Stamp,
}

/// Lines on their way to the sink.
#[derive(Debug, Default)]
struct Lines {
    bytes: Vec<u8>,
    count: u64,
    /// When the first and the last were written, in monotonic time.
    first: Duration,
    last: Duration,
}

impl Lines {
    fn has_room_for(&self, more: &Self) -> bool {
        self.bytes.len() + more.bytes.len() <= BUFFER + ROOM
    }

    fn append(&mut self, more: &Self) {
        self.bytes.extend_from_slice(&more.bytes);
        self.count += more.count;
        self.last = self.last.max(more.last);
    }
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Lines>,
    /// Flushes asked for, and those of them that are done.
    asked: u64,
    flushed: u64,
    closed: bool,
}

impl Log {
    /// Starts the writer.
    pub(super) fn start(log: AccessLog, workers: usize, dropped: Counter) -> Self {
        let shared = Arc::new(Shared {
            pens: Lanes::new(workers, Mutex::default),
            queue: Mutex::default(),
            work: Condvar::new(),
            done: Condvar::new(),
            dropped,
            losing: Mutex::default(),
        });
        let writer = Writer {
            shared: shared.clone(),
            sink: log.sink,
            swept: Duration::ZERO,
            is_torn: false,
            is_failing: false,
            spare: Vec::new(),
        };
        thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || writer.run())
            .expect("a process that starts can start a thread");
        Self {
            format: log.format,
            shared,
        }
    }

    /// Writes the line of `record`, which ended at `now`. Never waits for the sink.
    pub(super) fn write(&self, record: &Record, now: Now) {
        let full = {
            let mut pen = lock(self.shared.pens.own());
            let Pen { lines, stamp } = &mut *pen;
            if lines.count == 0 {
                lines.first = now.monotonic();
                lines.bytes.reserve(BUFFER + ROOM);
            }
            lines.last = now.monotonic();
            lines.count += 1;
            self.format.write(&mut lines.bytes, stamp, record, now);
            let age = lines.last.saturating_sub(lines.first);
            (lines.bytes.len() >= BUFFER || age >= INTERVAL).then(|| std::mem::take(lines))
        };
        if let Some(lines) = full {
            self.shared.hand_over(lines);
        }
    }

    /// Waits until all that was written so far is out; `false` at the deadline.
    pub(super) fn flush(&self) -> bool {
        let mut queue = lock(&self.shared.queue);
        queue.asked += 1;
        let asked = queue.asked;
        self.shared.work.notify_one();
        let (queue, _) = self
            .shared
            .done
            .wait_timeout_while(queue, FLUSH_DEADLINE, |queue| queue.flushed < asked)
            .unwrap_or_else(PoisonError::into_inner);
        queue.flushed >= asked
    }
}

impl Drop for Log {
    /// Lets the writer write what there is, and end.
    fn drop(&mut self) {
        lock(&self.shared.queue).closed = true;
        self.shared.work.notify_one();
    }
}

impl Shared {
    fn hand_over(&self, lines: Lines) {
        let mut queue = lock(&self.queue);
        if let Some(last) = queue.waiting.back_mut()
            && last.has_room_for(&lines)
        {
            // Many workers hand a few lines over each, and fill no more buffers than one with many.
            last.append(&lines);
            return;
        }
        if queue.waiting.len() >= MAX_WAITING {
            drop(queue);
            self.lose(lines.count, lines.last, &"nobody takes them in time");
            return;
        }
        queue.waiting.push_back(lines);
        drop(queue);
        self.work.notify_one();
    }

    /// Counts lines that are lost at a time; then tells it.
    fn lose(&self, lines: u64, at: Duration, error: &dyn fmt::Display) {
        self.dropped.inc_by(lines);
        lock(&self.losing).more(lines, at, error);
    }
}

/// The thread that writes.
struct Writer {
    shared: Arc<Shared>,
    sink: Box<dyn Write + Send>,
    /// When the workers' buffers were last emptied, as far as lines tell the time.
    swept: Duration,
    /// Whether the sink was last given a part of a line only.
    is_torn: bool,
    /// Whether it did not take all that it was last given.
    is_failing: bool,
    /// A buffer to leave behind where one is taken.
    spare: Vec<u8>,
}

/// What the writer does next.
enum Turn {
    Write(Lines),
    /// Nothing waits: look into the workers' buffers.
    Sweep {
        /// Flushes that are done by it.
        flushes: u64,
        /// Whether that was all.
        ends: bool,
    },
}

impl Writer {
    fn run(mut self) {
        loop {
            match self.next() {
                Turn::Write(lines) => {
                    let at = lines.last;
                    self.put(lines);
                    // A busy worker must not keep the lines of an idle one back.
                    if at.saturating_sub(self.swept) >= INTERVAL {
                        self.swept = at;
                        self.sweep();
                    }
                    self.settle();
                }
                Turn::Sweep { flushes, ends } => {
                    self.sweep();
                    self.settle();
                    lock(&self.shared.queue).flushed = flushes;
                    self.shared.done.notify_all();
                    if ends {
                        return;
                    }
                }
            }
        }
    }

    /// Waits for lines, a flush, the end, or until it is time to sweep.
    fn next(&self) -> Turn {
        let idle = |queue: &mut Queue| {
            queue.waiting.is_empty() && queue.asked == queue.flushed && !queue.closed
        };
        let queue = lock(&self.shared.queue);
        let (mut queue, _) = self
            .shared
            .work
            .wait_timeout_while(queue, INTERVAL, idle)
            .unwrap_or_else(PoisonError::into_inner);
        match queue.waiting.pop_front() {
            Some(lines) => Turn::Write(lines),
            None => Turn::Sweep {
                flushes: queue.asked,
                ends: queue.closed,
            },
        }
    }

    /// Tells that no more lines are lost, once all that waited are written.
    fn settle(&self) {
        let mut losing = lock(&self.shared.losing);
        if losing.is_told() && !self.is_failing && lock(&self.shared.queue).waiting.is_empty() {
            losing.no_more();
        }
    }

    /// Writes what the workers' buffers hold.
    fn sweep(&mut self) {
        let shared = self.shared.clone();
        for pen in shared.pens.iter() {
            let lines = {
                let mut pen = lock(pen);
                if pen.lines.count == 0 {
                    continue;
                }
                let bytes = std::mem::take(&mut self.spare);
                let empty = Lines {
                    bytes,
                    ..Lines::default()
                };
                std::mem::replace(&mut pen.lines, empty)
            };
            self.put(lines);
        }
    }

    /// Writes lines out, and counts those that the sink did not take whole.
    fn put(&mut self, mut lines: Lines) {
        if self.is_torn {
            // Whoever reads must not take the first line for the rest of the torn one.
            lines.bytes.insert(0, b'\n');
        }
        let (taken, given) = give(&mut *self.sink, &lines.bytes);
        self.is_failing = given.is_err();
        if let Err(why) = given {
            let taken = &lines.bytes[..taken];
            let ends = taken.split(|byte| *byte == b'\n').count() as u64 - 1;
            let whole = ends.saturating_sub(self.is_torn.into());
            let lost = lines.count.saturating_sub(whole);
            self.shared.lose(lost, lines.last, &why);
            self.is_torn = taken.last().map_or(self.is_torn, |last| *last != b'\n');
        } else {
            self.is_torn = false;
        }
        lines.bytes.clear();
        self.spare = lines.bytes;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
