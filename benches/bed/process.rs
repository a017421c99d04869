//! The processes under watch: where they run, what they spend, what they hold.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Which core a process runs on, where there are two and `taskset` is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The proxy under measure, alone.
    Proxy,
    /// Load and origin.
    Rest,
    /// Wherever the system puts it.
    Anywhere,
}

impl Place {
    const fn cores(self) -> &'static str {
        match self {
            Self::Proxy => "0",
            Self::Rest => "1",
            Self::Anywhere => "0,1",
        }
    }
}

/// Moves this process there, with all its threads.
pub(crate) fn settle(place: Place) {
    if can_pin() {
        let _ = Command::new("taskset")
            .args(["-acp", place.cores(), &std::process::id().to_string()])
            .stdout(Stdio::null())
            .status();
    }
}

/// As many as we may, and `wanted` where we may raise what we may: load and
/// origin hold one for each of their connections. Gives back how many it is.
pub(crate) fn allow_open_files(wanted: u64) -> u64 {
    let most = getrlimit(Resource::Nofile).maximum;
    let limit = |files| Rlimit {
        current: files,
        maximum: files,
    };
    if most.is_some_and(|most| most < wanted)
        && setrlimit(Resource::Nofile, limit(Some(wanted))).is_ok()
    {
        return wanted;
    }
    setrlimit(Resource::Nofile, limit(most)).expect("it is within what we may");
    most.unwrap_or(u64::MAX)
}

/// Whether the proxy can have a core to itself.
pub(crate) fn can_pin() -> bool {
    // After `settle` this process itself has one core only; the machine's count stands in /proc.
    let cores =
        fs::read_to_string("/proc/cpuinfo").map_or(1, |text| text.matches("processor\t").count());
    let taskset = Command::new("taskset")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    cores > 1 && taskset.is_ok_and(|status| status.success())
}

/// A command that will run there.
pub(crate) fn command(program: &Path, place: Place) -> Command {
    let mut command = if can_pin() {
        let mut command = Command::new("taskset");
        command.arg("-c").arg(place.cores()).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.stdin(Stdio::null());
    command
}

/// A child process; killed when dropped.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn new(child: Child) -> Self {
        Self(child)
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }

    /// Microseconds of processor time that the process spends while `work`
    /// runs, on all of its threads and those of its children.
    pub(crate) fn spent<T>(&self, work: impl FnOnce() -> T) -> (f64, T) {
        let mut before = HashMap::new();
        threads(self.id(), &mut before);
        let done = work();
        let mut after = HashMap::new();
        threads(self.id(), &mut after);
        // A thread that began meanwhile had spent nothing; of one that ended, the last bit is lost.
        let sum: u64 = after
            .iter()
            .map(|(thread, spent)| spent - before.get(thread).unwrap_or(&0))
            .sum();
        (sum as f64 / 1_000.0, done)
    }

    /// Memory in use, in KiB.
    pub(crate) fn resident(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// The most memory that was in use since [`Process::forget_peak`], in KiB.
    pub(crate) fn peak(&self) -> u64 {
        self.status("VmHWM:")
    }

    pub(crate) fn forget_peak(&self) {
        let file = format!("/proc/{}/clear_refs", self.id());
        fs::write(file, "5").expect("the process is ours");
    }

    pub(crate) fn threads(&self) -> u64 {
        self.status("Threads:")
    }

    pub(crate) fn open_files(&self) -> u64 {
        let folder = format!("/proc/{}/fd", self.id());
        fs::read_dir(folder).map_or(0, |files| files.count() as u64)
    }

    fn status(&self, field: &str) -> u64 {
        status(&self.id().to_string(), field)
    }
}

/// Memory in use by this very process, in KiB.
pub(crate) fn own_resident() -> u64 {
    status("self", "VmRSS:")
}

fn status(process: &str, field: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    let number = line.and_then(|rest| rest.split_whitespace().next());
    number.and_then(|word| word.parse().ok()).unwrap_or(0)
}

/// This very program in another role, which tells its address on its first line.
pub(crate) fn role(arguments: &[&str], place: Place) -> (Process, SocketAddr) {
    let program = std::env::current_exe().expect("this program");
    let mut child = command(&program, place)
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program runs");
    let mut line = String::new();
    let out = child.stdout.take().expect("a pipe");
    BufReader::new(out).read_line(&mut line).expect("a line");
    let address = line.trim().parse().expect("an address on the first line");
    (Process(child), address)
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Nanoseconds on a processor, by thread: exact, where `stat` counts in ticks.
fn threads(process: u32, spent: &mut HashMap<u32, u64>) {
    let Ok(tasks) = fs::read_dir(format!("/proc/{process}/task")) else {
        return;
    };
    for task in tasks.flatten() {
        let folder = task.path();
        let id = task.file_name().to_string_lossy().parse();
        let text = fs::read_to_string(folder.join("schedstat")).unwrap_or_default();
        let first = text.split(' ').next().and_then(|word| word.parse().ok());
        if let (Ok(id), Some(nanos)) = (id, first) {
            spent.insert(id, nanos);
        }
        let children = fs::read_to_string(folder.join("children")).unwrap_or_default();
        for child in children.split_whitespace() {
            if let Ok(child) = child.parse() {
                threads(child, spent);
            }
        }
    }
}
