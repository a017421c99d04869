//! What the program itself has to tell – start, reload, drain, warnings – on standard error.
//!
//! Nobody waits for it: a thread writes what is told, and what finds no room is lost and counted. A
//! standard error that nobody reads holds up no request and no stop.

use super::sink::give;
use std::io::{self, IsTerminal, Write, stderr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt;

/// Events that wait to be written.
const QUEUE: usize = 1024;
/// How long the end of the program waits for them.
const LAST_WORDS: Duration = Duration::from_millis(500);
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// What watches files tells each change in their folders: of a standard error that lies in one of them each line is a
/// change, which makes the next line. It warns of folders that are gone, too, as after each swap of a Kubernetes secret;
/// what matters of its errors it gives back, and whoever watches tells it.
const NO_CHANGES_OF_FOLDERS: &str = "notify=off";

/// Whose events there are: all that a filter may name by its first name alone.
const CRATES: [&str; 10] = [
    "portcullis",
    "h2",
    "hyper",
    "hyper_util",
    "mio",
    "notify",
    "redb",
    "rustls",
    "tokio",
    "tokio_util",
];

/// Events that were told and are not written yet, and those that were lost since that was last told.
static WAITING: AtomicU64 = AtomicU64::new(0);
static LOST: AtomicU64 = AtomicU64::new(0);

/// Where events go: to the thread that writes them.
#[derive(Clone)]
struct Lines(SyncSender<Vec<u8>>);

impl Lines {
    /// Starts the thread that writes to `out`.
    fn to(mut out: impl Write + Send + 'static) -> io::Result<Self> {
        let (sender, lines): (_, Receiver<Vec<u8>>) = sync_channel(QUEUE);
        let write = move || {
            let mut is_torn = false;
            for line in lines {
                let is_out = put(&mut out, line, &mut is_torn);
                WAITING.fetch_sub(1, Ordering::AcqRel);
                if !is_out {
                    // Whichever gets through next is followed by how many did not.
                    LOST.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
                let lost = LOST.swap(0, Ordering::Relaxed);
                if lost > 0 {
                    tracing::warn!(lost, "events were lost: nobody has read standard error");
                }
            }
        };
        let thread = std::thread::Builder::new().name("events".to_owned());
        thread.spawn(write)?;
        Ok(Self(sender))
    }
}

/// Writes one event. `is_torn` says whether a part only of the one before was taken: this one begins on
/// a line of its own then. `false`: it is lost.
fn put(out: &mut dyn Write, mut line: Vec<u8>, is_torn: &mut bool) -> bool {
    if *is_torn {
        line.insert(0, b'\n');
    }
    let (taken, _) = give(out, &line);
    let last = line[..taken].last();
    *is_torn = last.map_or(*is_torn, |last| *last != b'\n');
    taken == line.len()
}

impl Write for Lines {
    /// One event, whole.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        WAITING.fetch_add(1, Ordering::AcqRel);
        if self.0.try_send(line.to_vec()).is_err() {
            WAITING.fetch_sub(1, Ordering::AcqRel);
            LOST.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Waits a moment, before the program ends, for what was told to be written.
pub fn last_words() {
    let mut left = LAST_WORDS;
    while WAITING.load(Ordering::Acquire) > 0 && !left.is_zero() {
        std::thread::sleep(LOOK_EVERY);
        left = left.saturating_sub(LOOK_EVERY);
    }
}

/// Events cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum BadEvents {
    /// The filter cannot be read.
    #[error("the filter `{0}` is not like `info` or `portcullis=debug,warn`")]
    Filter(String),
    /// A word of the filter is no level: taken for a crate that there is not, it would switch off all events.
    #[error("`{0}` is no level; `off`, `error`, `warn`, `info`, `debug` and `trace` are")]
    Level(String),
    /// There is no thread for them.
    #[error("no thread can be started: {0}")]
    Thread(#[from] io::Error),
    /// Events of this process go elsewhere already.
    #[error("events are set up already")]
    Twice,
}

/// How events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventFormat {
    /// One JSON object a line, rather than text for people.
    pub json: bool,
    /// Whether text has colours.
    pub colour: bool,
}

impl EventFormat {
    /// Text on a terminal, coloured unless `no_color`; JSON on a pipe.
    pub fn of_stderr(no_color: bool) -> Self {
        let is_terminal = stderr().is_terminal();
        Self {
            json: !is_terminal,
            colour: is_terminal && !no_color,
        }
    }
}

/// Sends the `tracing` events of this process to standard error, as far as
/// `filter` lets them.
///
/// # Errors
/// [`BadEvents`].
pub fn init_events(format: EventFormat, filter: &str) -> Result<(), BadEvents> {
    let filter = filter_of(filter)?;
    let lines = Lines::to(stderr())?;
    let events = fmt()
        .with_writer(move || lines.clone())
        .with_env_filter(filter)
        .with_ansi(format.colour)
        .with_target(false);
    let set = if format.json {
        events.json().flatten_event(true).try_init()
    } else {
        events.try_init()
    };
    set.map_err(|_| BadEvents::Twice)
}

fn filter_of(text: &str) -> Result<EnvFilter, BadEvents> {
    // `EnvFilter` takes the white space behind a word for a part of it.
    let words: Vec<&str> = text.split(',').map(str::trim).collect();
    if let Some(word) = words.iter().find(|word| !says_something(word)) {
        return Err(BadEvents::Level((*word).to_owned()));
    }
    let read = |filter: &str| {
        let filter = EnvFilter::try_new(filter);
        filter.map_err(|_| BadEvents::Filter(text.to_owned()))
    };
    let is_nothing = words.iter().all(|word| word.is_empty());
    let words = words.join(",");
    // Nothing asked for is errors, of all.
    if is_nothing {
        return read(&words);
    }
    // In front: who asks for them by name gets them.
    read(&format!("{NO_CHANGES_OF_FOLDERS},{words}"))
}

/// Whether a word of a filter is a level, or names by itself what there is; all else says with `=` or `[` what it is.
fn says_something(word: &str) -> bool {
    let (name, _) = word.split_once("::").unwrap_or((word, ""));
    word.is_empty()
        || word.contains(['=', '[', '{', '}', ']'])
        || word.parse::<LevelFilter>().is_ok()
        || CRATES.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes one line, and then nothing until it is dropped.
    struct Stuck(std::sync::mpsc::Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn nobody_waits_for_a_standard_error_that_nobody_reads() {
        let (reads, stuck) = sync_channel(0);
        let mut lines = Lines::to(Stuck(stuck)).unwrap();
        let all = QUEUE as u64 + 100;
        for _ in 0..all {
            lines.write_all(b"a line\n").unwrap();
        }
        let waiting = WAITING.load(Ordering::Acquire);
        let lost = LOST.load(Ordering::Relaxed);
        // One may be in the writer's hands.
        assert!((QUEUE as u64..=QUEUE as u64 + 1).contains(&waiting));
        assert_eq!(waiting + lost, all);
        drop(reads);
        while WAITING.load(Ordering::Acquire) > 0 {
            std::thread::yield_now();
        }
    }

    /// Has room for so many bytes.
    struct Disk(usize, Vec<u8>);

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.0);
            if taken == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.0 -= taken;
            self.1.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_event_that_is_not_taken_whole_is_lost_and_takes_none_after_it_along() {
        let (mut disk, mut is_torn) = (Disk(10, Vec::new()), false);
        let mut tell = |disk: &mut Disk| put(disk, b"a line\n".to_vec(), &mut is_torn);
        assert!(tell(&mut disk));
        assert!(!tell(&mut disk) && !tell(&mut disk));
        disk.0 = 100;
        assert!(tell(&mut disk) && tell(&mut disk));
        assert_eq!(disk.1, b"a line\na l\na line\na line\n");
    }

    #[test]
    fn changes_of_folders_are_told_to_nobody_who_does_not_ask_for_them_by_name() {
        let directives = |text: &str| {
            let filter = filter_of(text).unwrap().to_string();
            let mut directives: Vec<String> = filter.split(',').map(ToOwned::to_owned).collect();
            directives.sort();
            directives
        };
        for usual in ["info", "warn", "trace", "portcullis::server=info"] {
            assert!(
                directives(usual).contains(&"notify=off".to_owned()),
                "{usual}"
            );
        }
        assert_eq!(directives("portcullis=debug,warn").len(), 3);
        assert_eq!(directives("trace,notify=trace"), ["notify=trace", "trace"]);
        assert!(!directives("").concat().contains("notify"));
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_named() {
        let format = EventFormat {
            json: true,
            colour: false,
        };
        let bad = init_events(format, "portcullis=loud").unwrap_err();
        assert!(bad.to_string().contains("`portcullis=loud`"));
    }

    #[test]
    fn a_word_that_is_no_level_does_not_switch_off_all_events() {
        for (filter, word) in [
            ("warning", "warning"),
            ("err", "err"),
            ("information", "information"),
            ("portcullis=debug, debg", "debg"),
            ("sever::http1", "sever::http1"),
        ] {
            let bad = filter_of(filter).unwrap_err().to_string();
            assert!(bad.contains(&format!("`{word}` is no level")), "{bad}");
        }
        for (filter, most) in [
            ("WARN", LevelFilter::WARN),
            (" info ", LevelFilter::INFO),
            ("3", LevelFilter::INFO),
            ("off", LevelFilter::OFF),
            ("warn, portcullis=debug", LevelFilter::DEBUG),
            ("warn,hyper=debug,", LevelFilter::DEBUG),
            ("mine=debug", LevelFilter::DEBUG),
            ("portcullis", LevelFilter::TRACE),
            ("portcullis::server,h2", LevelFilter::TRACE),
            ("[request]=info", LevelFilter::TRACE),
            ("portcullis[request{path=\"/\"}]=debug", LevelFilter::TRACE),
        ] {
            let read = filter_of(filter).unwrap();
            assert!(read.max_level_hint() <= Some(most), "{filter}: {read}");
        }
    }
}
