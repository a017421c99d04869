//! Lines that someone else writes: an access log, a process's output.

use super::DEADLINE;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

/// Whole lines, in order; whoever reads may wait for one.
#[derive(Clone, Debug, Default)]
pub struct Lines(Arc<(Mutex<Text>, Condvar)>);

#[derive(Debug, Default)]
struct Text {
    bytes: Vec<u8>,
    ended: bool,
}

impl Lines {
    /// Gathers what `source` gives, on a thread of its own, until its end.
    pub fn of(source: impl Read + Send + 'static) -> Self {
        let lines = Self::default();
        let mut sink = lines.clone();
        std::thread::spawn(move || {
            let mut source = BufReader::new(source);
            let mut line = Vec::new();
            while matches!(source.read_until(b'\n', &mut line), Ok(n) if n > 0) {
                sink.write_all(&line).unwrap();
                line.clear();
            }
            sink.lock().ended = true;
            sink.0.1.notify_all();
        });
        lines
    }

    /// All of it so far.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.lock().bytes).into_owned()
    }

    /// The first line for which `wanted` says so; waits for it.
    pub fn wait_for(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        self.wait_until(what, |text| {
            text.lines()
                .find(|line| wanted(line))
                .map(ToOwned::to_owned)
        })
    }

    /// Waits until so many lines hold `text`.
    pub fn wait_for_count(&self, text: &str, count: usize) {
        self.wait_until(&format!("{text}, {count} times"), |all| {
            (all.lines().filter(|line| line.contains(text)).count() >= count).then_some(())
        });
    }

    /// The first `count` lines; waits for them.
    pub fn first(&self, count: usize) -> Vec<String> {
        self.wait_until(&format!("{count} lines"), |text| {
            let whole = text.rfind('\n').map_or("", |end| &text[..end]);
            let lines: Vec<_> = whole.lines().map(ToOwned::to_owned).collect();
            (lines.len() >= count).then(|| lines[..count].to_vec())
        })
    }

    /// Waits for the end of what it gathers.
    pub fn wait_for_end(&self) {
        let text = self.lock();
        let (text, waited) = self
            .0
            .1
            .wait_timeout_while(text, DEADLINE, |text| !text.ended)
            .unwrap();
        // A test that fails still has to show what was said: nobody may fail with the lock in hand.
        drop(text);
        assert!(!waited.timed_out(), "it does not end");
    }

    fn wait_until<T>(&self, what: &str, find: impl Fn(&str) -> Option<T>) -> T {
        let mut text = self.lock();
        loop {
            if let Some(found) = find(&String::from_utf8_lossy(&text.bytes)) {
                return found;
            }
            let mut in_vain = text.ended;
            if !in_vain {
                let (next, waited) = self.0.1.wait_timeout(text, DEADLINE).unwrap();
                (text, in_vain) = (next, waited.timed_out());
            }
            if in_vain {
                drop(text);
                panic!("waited in vain for {what} in:\n{}", self.text());
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Text> {
        self.0.0.lock().unwrap()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lock().bytes.extend_from_slice(bytes);
        self.0.1.notify_all();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
