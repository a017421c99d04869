//! The built binary: for what only a process has, such as signals, memory and an end.

use super::lines::Lines;
use super::{Request, Response, Setup};
use serde_json::Value;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::LazyLock;

/// Names the binary that is under test, in place of the one that is built
/// beside the tests: `./test release` sets it to the one that is delivered.
static NAMED: LazyLock<Option<PathBuf>> = LazyLock::new(|| {
    #[expect(
        clippy::disallowed_methods,
        reason = "it tells the tests something, and the gateway nothing"
    )]
    let named = std::env::var_os("PORTCULLIS_TESTED")?;
    Some(PathBuf::from(named))
});

/// Whether another binary is under test than the one that is built beside the tests.
pub fn is_named() -> bool {
    NAMED.is_some()
}

/// The binary under test.
pub fn program() -> &'static Path {
    let built = Path::new(env!("CARGO_BIN_EXE_portcullis"));
    NAMED.as_deref().unwrap_or(built)
}

/// A running process; killed when dropped.
#[derive(Debug)]
pub struct Binary {
    setup: Setup,
    child: Child,
    /// The access log.
    pub stdout: Lines,
    /// What it tells its operator.
    pub stderr: Lines,
    address: SocketAddr,
    admin: SocketAddr,
}

impl Binary {
    /// Runs `portcullis serve` on the setup's text.
    pub fn spawn(setup: Setup) -> Self {
        let text = setup.text();
        Self::spawn_on(setup, &text)
    }

    /// Runs `portcullis serve` on this text, in the setup's folder.
    pub fn spawn_on(setup: Setup, text: &str) -> Self {
        let command = Command::new(program());
        Self::spawn_by(setup, text, command)
    }

    /// Runs it where no file may have more than 512 bytes: a disk that is full.
    pub fn spawn_with_small_files(setup: Setup) -> Self {
        // There the registry could not be made at all.
        let text = setup
            .text()
            .replace("[state]\n", "[state]\nregistry = \"off\"\n");
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg("ulimit -f 1; exec \"$0\" \"$@\"")
            .arg(program());
        Self::spawn_by(setup, &text, command)
    }

    /// Runs it with all that it can say about itself.
    pub fn spawn_talkative(setup: Setup) -> Self {
        let text = setup.text();
        let mut command = Command::new(program());
        command.env("PORTCULLIS_LOG", "trace");
        Self::spawn_by(setup, &text, command)
    }

    /// Hands a listening socket over to it, as systemd does.
    pub fn spawn_with_socket(setup: Setup, text: &str, socket: OwnedFd) -> Self {
        Self::spawn_from(setup, text, handing_over(), socket.into())
    }

    /// Hands a socket over to what does not start, and gives back its exit code and what it says.
    pub fn fails_with_socket(setup: &Setup, text: &str, socket: OwnedFd) -> (Option<i32>, String) {
        let file = setup.write("gateway.toml", text.as_bytes());
        let output = handing_over()
            .arg("serve")
            .arg("--config")
            .arg(&file)
            .current_dir(setup.folder())
            .stdin(socket)
            .output()
            .unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), told)
    }

    /// Runs it with these variables set.
    pub fn spawn_with(setup: Setup, variables: &[(&str, &str)]) -> Self {
        let text = setup.text();
        let mut command = Command::new(program());
        command.envs(variables.iter().copied());
        Self::spawn_by(setup, &text, command)
    }

    /// Runs it on this text by a command that ends in it.
    pub fn spawn_by(setup: Setup, text: &str, command: Command) -> Self {
        Self::spawn_from(setup, text, command, Stdio::null())
    }

    fn spawn_from(setup: Setup, text: &str, mut command: Command, stdin: Stdio) -> Self {
        let file = setup.write("gateway.toml", text.as_bytes());
        let mut child = command
            .arg("serve")
            .arg("--config")
            .arg(&file)
            .current_dir(setup.folder())
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = Lines::of(child.stdout.take().unwrap());
        let stderr = Lines::of(child.stderr.take().unwrap());
        let admin = stderr.wait_for("its admin address", |line| {
            event(line, "admin listening").is_some() || is_fatal(line)
        });
        let admin = event(&admin, "admin listening")
            .unwrap_or_else(|| panic!("it does not start:\n{}", stderr.text()));
        let address = stderr.wait_for("its address", |line| event(line, "listening").is_some());
        let address = event(&address, "listening").unwrap();
        Self {
            setup,
            child,
            stdout,
            stderr,
            address,
            admin,
        }
    }

    /// Ends it as power would, and runs another on the same files and state.
    pub fn killed_and_restarted(mut self) -> Self {
        self.kill();
        self.restarted()
    }

    /// Runs another on the same files and state, once this one has ended.
    pub fn restarted(self) -> Self {
        self.restarted_by(Command::new(program()))
    }

    /// The same, by a command that ends in it.
    pub fn restarted_by(self, command: Command) -> Self {
        let text = self.setup.text();
        self.restarted_as(&text, command)
    }

    /// The same, on another text.
    pub fn restarted_on(self, text: &str) -> Self {
        self.restarted_as(text, Command::new(program()))
    }

    fn restarted_as(mut self, text: &str, command: Command) -> Self {
        let setup = std::mem::replace(
            &mut self.setup,
            Setup::with_servers("\"http://127.0.0.1:1\""),
        );
        Self::spawn_by(setup, text, command)
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends it a signal by name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        self.stderr.wait_for_end();
        self.child.wait().unwrap()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// The time that it runs by, in Unix seconds.
    pub fn now() -> i64 {
        portcullis::clock::Clock::system().now().unix_seconds()
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its admin listener is.
    pub const fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Its configuration.
    pub const fn setup(&self) -> &Setup {
        &self.setup
    }

    /// Replaces its configuration's file, as editors do.
    pub fn rewrite(&self, text: &str) {
        let new = self.setup.write("gateway.toml.new", text.as_bytes());
        std::fs::rename(new, self.setup.path("gateway.toml")).unwrap();
    }

    /// Puts another configuration in force, which must be a good one.
    pub fn reload(&self, text: &str) {
        const DONE: &str = "configuration reloaded";
        if std::fs::read_to_string(self.setup.path("gateway.toml")).unwrap() == text {
            // Of what changes nothing it does not say so.
            return;
        }
        let before = self.stderr.text().matches(DONE).count();
        self.rewrite(text);
        self.stderr.wait_for_count(DONE, before + 1);
    }

    /// A request to it.
    pub fn request(&self, method: &str, target: &str) -> Request {
        Request::new(method, target).to(self.address)
    }

    /// Sends one request over a connection of its own.
    pub fn send(&self, request: &Request) -> Response {
        request.send_to(self.address)
    }

    /// What the kernel tells of it.
    pub fn process(&self) -> PathBuf {
        format!("/proc/{}", self.child.id()).into()
    }

    /// Bytes of memory it had at most.
    pub fn peak_memory(&self) -> u64 {
        self.status("VmHWM:")
    }

    /// Bytes of memory it has.
    pub fn memory(&self) -> u64 {
        self.status("VmRSS:")
    }

    fn status(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(self.process().join("status")).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .expect("a kernel that tells it");
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
        kib * 1024
    }
}

impl Drop for Binary {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let _ = writeln!(
                std::io::stderr(),
                "--- the gateway said:\n{}--- and logged:\n{}",
                self.stderr.text(),
                self.stdout.text()
            );
        }
    }
}

/// Its standard input becomes the socket that it is handed over.
fn handing_over() -> Command {
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg("exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" \"$@\"")
        .arg(program());
    command
}

/// The address that an event of that name tells.
fn event(line: &str, message: &str) -> Option<SocketAddr> {
    let event: Value = serde_json::from_str(line).ok()?;
    let fields = event.get("fields").unwrap_or(&event);
    if fields["message"] != message {
        return None;
    }
    fields["address"].as_str()?.parse().ok()
}

fn is_fatal(line: &str) -> bool {
    // What it says of a disk that is full it says and goes on.
    let goes_on = line.contains("requests are verified as before")
        || line.contains("proofs cannot be written down");
    line.starts_with("error") || line.contains("\"ERROR\"") && !goes_on
}
