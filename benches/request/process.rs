//! The processes under measure: where they run, where they listen, what they spent.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Which core a process runs on, where there are two and `taskset` is there.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// The proxy under measure, alone.
    Proxy,
    /// Load and origin.
    Rest,
}

impl Place {
    const fn core(self) -> &'static str {
        match self {
            Self::Proxy => "0",
            Self::Rest => "1",
        }
    }
}

/// Moves this process there.
pub(super) fn settle(place: Place) {
    if can_pin() {
        let _ = Command::new("taskset")
            .args(["-cp", place.core(), &std::process::id().to_string()])
            .stdout(Stdio::null())
            .status();
    }
}

fn can_pin() -> bool {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    // After `settle` this process itself has one core only; the machine's count stands in /proc.
    let machine = fs::read_to_string("/proc/cpuinfo")
        .map_or(cores, |text| text.matches("processor\t").count());
    let taskset = Command::new("taskset")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    machine > 1 && taskset.is_ok_and(|status| status.success())
}

/// A child process that listens; killed when dropped.
pub(super) struct Process {
    child: Child,
    pub(super) address: SocketAddr,
}

impl Process {
    /// This very program in another role; it tells its address on its first line.
    pub(super) fn role(role: &str, arguments: &[&str], place: Place) -> Self {
        let program = std::env::current_exe().expect("this program");
        let mut child = command(&program, place)
            .arg(role)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program runs");
        let mut line = String::new();
        let out = child.stdout.take().expect("a pipe");
        BufReader::new(out).read_line(&mut line).expect("a line");
        let address = line.trim().parse().expect("an address on the first line");
        Self { child, address }
    }

    /// The gateway, before `upstream`, with its files in `folder`.
    pub(super) fn gateway(folder: &Path, upstream: &str, place: Place) -> Self {
        let file = folder.join("gateway.toml");
        fs::write(&file, crate::scenario::config(upstream)).expect("a file");
        fs::write(folder.join("bench.key"), crate::scenario::SECRET).expect("a file");
        let mut child = command(Path::new(env!("CARGO_BIN_EXE_portcullis")), place)
            .arg("--config")
            .arg(&file)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the gateway runs");
        let mut lines = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut told = String::new();
        let address = loop {
            let start = told.len();
            let read = lines.read_line(&mut told).expect("a line");
            assert!(read > 0, "the gateway does not start:\n{told}");
            if let Some(address) = listening(&told[start..]) {
                break address;
            }
        };
        // Kept empty, so that the gateway never waits for us to read.
        std::thread::spawn(move || lines.read_to_end(&mut Vec::new()));
        Self { child, address }
    }

    /// Microseconds of processor time that the process spends while `work` runs.
    pub(super) fn spent(&self, work: impl FnOnce()) -> f64 {
        let before = self.processor_time();
        work();
        (self.processor_time() - before) as f64 / 1_000.0
    }

    /// Nanoseconds on a processor, over all of its threads: exact, where `stat` counts in ticks.
    fn processor_time(&self) -> u64 {
        let tasks = format!("/proc/{}/task", self.child.id());
        let mut sum = 0;
        for task in fs::read_dir(tasks).expect("the process runs") {
            let file = task.expect("a task").path().join("schedstat");
            // A thread may end between the two reads.
            let Ok(text) = fs::read_to_string(file) else {
                continue;
            };
            let first = text.split(' ').next().and_then(|word| word.parse().ok());
            sum += first.unwrap_or(0_u64);
        }
        sum
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(program: &Path, place: Place) -> Command {
    if !can_pin() {
        return Command::new(program);
    }
    let mut command = Command::new("taskset");
    command.arg("-c").arg(place.core()).arg(program);
    command
}

/// The address that the gateway's event `listening` tells.
fn listening(line: &str) -> Option<SocketAddr> {
    let event: serde_json::Value = serde_json::from_str(line).ok()?;
    let fields = event.get("fields").unwrap_or(&event);
    if fields.get("message")? != "listening" {
        return None;
    }
    fields.get("address")?.as_str()?.parse().ok()
}
