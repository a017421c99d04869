//! What wakes a running gateway: signals, and files that changed.

use super::beside;
use crate::store::folder_of;
use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

/// How long nothing has to change any more before files are read: editors write in several steps.
const SETTLE: Duration = Duration::from_millis(200);
/// How long files are waited for that are still being written, or change without end.
const MOST: Duration = Duration::from_secs(5);
/// How often files are looked at besides: a link, a folder or a network can change them unseen.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often they are read again while they are not taken over: what they lacked may have come.
const TRY_EVERY: Duration = Duration::from_secs(5);
/// How often it is looked at what of the configuration in force is past its date by now.
const LOOK_AT_DATES_EVERY: Duration = Duration::from_hours(1);

/// What it means that a folder is not watched.
const UNWATCHED: &str =
    "a changed file is seen within a second, but not whether it is still being written";

/// Why the gateway wakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wake {
    /// To read its configuration again: a file changed.
    Changed,
    /// To read its configuration again: someone asks for it, and waits for an answer.
    Asked,
    /// Its configuration was read again by somebody else.
    Reloaded,
    /// To look at dates.
    Dates,
    /// To stop.
    Stop,
}

/// Everything that can wake a gateway.
pub(super) struct Wakes {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    /// This and the next would end a process that does not take them.
    user_1: Signal,
    user_2: Signal,
    changed: mpsc::Receiver<()>,
    names: Names,
    eyes: Eyes,
    /// When dates are looked at next.
    dates: Instant,
}

/// Looks at files, one look at a time and beside the main loop: they may lie where nothing answers.
struct Eyes {
    watch: Arc<Mutex<Watch>>,
    /// The look that is not over yet, and whether something looks other.
    looking: Option<JoinHandle<Option<bool>>>,
}

impl Eyes {
    /// Whether a file looks other than when it was last looked at: after a pause. What a
    /// look has found is kept for whoever asks next where nobody waits for it any more.
    async fn look_after(&mut self, pause: Duration) -> bool {
        sleep(pause).await;
        let watch = &self.watch;
        let looking = self.looking.get_or_insert_with(|| {
            let watch = watch.clone();
            beside::begin(move || hold(&watch).look_other())
        });
        let found = looking.await;
        self.looking = None;
        found.ok().flatten().unwrap_or(false)
    }
}

/// What is watched, and how it looked.
struct Watch {
    watcher: Option<RecommendedWatcher>,
    /// The folders that are watched, each as which it was when the watch began.
    watched: BTreeMap<PathBuf, Option<Identity>>,
    /// Folders that cannot be watched, which was told.
    unwatched: BTreeSet<PathBuf>,
    names: Names,
    /// The files, each as it was when it was last looked at: before it was read.
    files: Looks,
}

/// How a file looks, links followed: device, number, size, and when it was changed.
type Look = (u64, u64, u64, [i64; 4]);

/// Which folder it is, whatever its name: device and number.
type Identity = (u64, u64);

fn look(file: &Path) -> Option<Look> {
    let of = fs::metadata(file).ok()?;
    let times = [of.mtime(), of.mtime_nsec(), of.ctime(), of.ctime_nsec()];
    Some((of.dev(), of.ino(), of.size(), times))
}

/// How each of some files looks.
#[derive(Default, PartialEq, Eq)]
pub(super) struct Looks(HashMap<PathBuf, Option<Look>>);

impl Looks {
    /// Of `files`, as they are now.
    pub(super) fn of(files: &[PathBuf]) -> Self {
        Self::default().follow(files)
    }

    /// Of `files`: of those among them that are known as they were, of the others as they are now.
    pub(super) fn follow(&self, files: &[PathBuf]) -> Self {
        let seen = |file: &PathBuf| self.0.get(file).copied();
        let looks = files
            .iter()
            .map(|file| (file.clone(), seen(file).unwrap_or_else(|| look(file))));
        Self(looks.collect())
    }
}

/// The names of the watched files. Others change in the same folders, some
/// all the time: the memory of proofs may lie beside a key.
#[derive(Clone, Default)]
struct Names(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    names: HashSet<OsString>,
    /// Those that somebody writes, and has not closed yet.
    written: HashSet<PathBuf>,
}

impl Names {
    fn set<'f>(&self, files: impl Iterator<Item = &'f Path>) {
        let names = files.filter_map(Path::file_name);
        self.known().names = names.map(ToOwned::to_owned).collect();
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        hold(&self.0)
    }

    fn may_have_changed(&self, event: &notify::Event) -> bool {
        let closed = EventKind::Access(AccessKind::Close(AccessMode::Write));
        if event.kind.is_access() && event.kind != closed {
            return false;
        }
        let mut known = self.known();
        let is_ours = |path: &&PathBuf| {
            path.file_name().is_none_or(|name| {
                // Orchestrators swap a link, `..data`, behind the file.
                known.names.contains(name) || name.as_encoded_bytes().starts_with(b"..")
            })
        };
        let ours: Vec<PathBuf> = event.paths.iter().filter(is_ours).cloned().collect();
        for path in &ours {
            if matches!(event.kind, EventKind::Modify(ModifyKind::Data(_))) {
                known.written.insert(path.clone());
            } else if !matches!(event.kind, EventKind::Modify(ModifyKind::Metadata(_))) {
                known.written.remove(path);
            }
        }
        !ours.is_empty()
    }

    /// Whether one of them is still being written.
    fn are_being_written(&self) -> bool {
        !self.known().written.is_empty()
    }

    /// Whoever has not closed them by now is not waited for.
    fn give_up(&self) {
        self.known().written.clear();
    }
}

impl Wakes {
    /// Watches the folders of `files`, and of those that links among them lead to: editors and
    /// orchestrators replace files, which a watch on the file itself would miss.
    ///
    /// # Errors
    /// When signals cannot be received. A watch that cannot be set up is a
    /// warning: files are looked at all the same.
    pub(super) fn new(files: &[PathBuf]) -> std::io::Result<Self> {
        // One waiting wake stands for any number of changes.
        let (sender, changed) = mpsc::channel(1);
        let names = Names::default();
        let wanted = names.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // What cannot be told may be a change.
            if event.map_or(true, |event| wanted.may_have_changed(&event)) {
                let _ = sender.try_send(());
            }
        });
        let watcher = watcher
            .inspect_err(|why| tracing::warn!("files are not watched ({why}): {UNWATCHED}"))
            .ok();
        let mut watch = Watch {
            watcher,
            watched: BTreeMap::new(),
            unwatched: BTreeSet::new(),
            names: names.clone(),
            files: Looks::default(),
        };
        watch.follow(files);
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            user_1: signal(SignalKind::user_defined1())?,
            user_2: signal(SignalKind::user_defined2())?,
            changed,
            names,
            eyes: Eyes {
                watch: Arc::new(Mutex::new(watch)),
                looking: None,
            },
            dates: Instant::now() + LOOK_AT_DATES_EVERY,
        })
    }

    /// Watches the folders of `files` from now on, and of what links lead to now.
    pub(super) fn watch(&mut self, files: &[PathBuf]) {
        hold(&self.eyes.watch).follow(files);
    }

    /// Does `work` beside the main loop, and watches the files that it gives back. `false`: the gateway
    /// was told to stop meanwhile, and nobody waits for it any more.
    pub(super) async fn watch_after(
        &mut self,
        work: impl FnOnce() -> Vec<PathBuf> + Send + 'static,
    ) -> bool {
        let watch = self.eyes.watch.clone();
        let done = beside::begin(move || {
            let files = work();
            hold(&watch).follow(&files);
        });
        tokio::select! {
            _ = done => true,
            () = self.told_to_stop() => false,
        }
    }

    /// Waits for the next reason to wake, which may be that `reloaded` rings. `tries` is whether
    /// what was read last was not taken over.
    pub(super) async fn next(&mut self, reloaded: &Notify, tries: bool) -> Wake {
        let again = Instant::now() + TRY_EVERY;
        loop {
            tokio::select! {
                () = reloaded.notified() => return Wake::Reloaded,
                _ = self.terminate.recv() => return Wake::Stop,
                _ = self.interrupt.recv() => return Wake::Stop,
                _ = self.hang_up.recv() => return Wake::Asked,
                _ = self.user_1.recv() => tell_ignored("SIGUSR1"),
                _ = self.user_2.recv() => tell_ignored("SIGUSR2"),
                Some(()) = self.changed.recv() => break,
                is_other = self.eyes.look_after(LOOK_EVERY) => {
                    if is_other {
                        break;
                    }
                }
                () = sleep_until(again), if tries => return Wake::Changed,
                () = sleep_until(self.dates) => {
                    self.dates = Instant::now() + LOOK_AT_DATES_EVERY;
                    return Wake::Dates;
                }
            }
        }
        let until = Instant::now() + MOST;
        while Instant::now() < until {
            // Whoever asks meanwhile does not wait.
            tokio::select! {
                is_other = self.eyes.look_after(SETTLE) => {
                    if !is_other && !self.names.are_being_written() {
                        break;
                    }
                }
                Some(()) = self.changed.recv() => {}
                _ = self.hang_up.recv() => return Wake::Asked,
                _ = self.terminate.recv() => return Wake::Stop,
                _ = self.interrupt.recv() => return Wake::Stop,
            }
        }
        self.names.give_up();
        Wake::Changed
    }

    /// Waits until the gateway is told to stop, be it once more.
    pub(super) async fn told_to_stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

impl Watch {
    /// Watches the folders of `files` from now on, and of what links lead to now.
    fn follow(&mut self, files: &[PathBuf]) {
        // Those that are known have been read since: what changed meanwhile is still to be seen.
        self.files = self.files.follow(files);
        let targets: Vec<PathBuf> = files
            .iter()
            .filter_map(|file| fs::canonicalize(file).ok())
            .collect();
        let all = || files.iter().chain(&targets).map(PathBuf::as_path);
        self.names.set(all());
        let folders: BTreeSet<&Path> = all().map(folder_of).collect();
        let folders = folders.into_iter().map(|folder| {
            let identity = look(folder).map(|(device, number, ..)| (device, number));
            (true_name(folder), identity)
        });
        self.watch_folders(folders.collect());
    }

    fn watch_folders(&mut self, folders: BTreeMap<PathBuf, Option<Identity>>) {
        let Some(watcher) = &mut self.watcher else {
            return;
        };
        let known = self.watched.iter();
        // One in whose place another has come is let go too: its own end would end the watch of that.
        for (gone, _) in known.filter(|(path, was)| folders.get(*path) != Some(*was)) {
            let _ = watcher.unwatch(gone);
        }
        let mut unwatched = BTreeSet::new();
        // Those that are watched, too: the watch of one that was deleted, and made again, is over.
        for one in folders.keys() {
            if let Err(why) = watcher.watch(one, RecursiveMode::NonRecursive) {
                if !self.unwatched.contains(one) {
                    tracing::warn!("`{}` is not watched ({why}): {UNWATCHED}", one.display());
                }
                unwatched.insert(one.clone());
            }
        }
        self.watched = folders;
        self.unwatched = unwatched;
    }

    /// Whether a file looks other than when it was last looked at.
    fn look_other(&mut self) -> bool {
        let mut is_other = false;
        for (file, before) in &mut self.files.0 {
            let now = look(file);
            is_other |= now != *before;
            *before = now;
        }
        is_other
    }
}

/// Other servers open their logs again at the one, and start their next version at the other.
fn tell_ignored(signal: &str) {
    tracing::warn!(
        "{signal} is ignored: it opens no log again, and starts no other gateway (docs/operating.md)"
    );
}

fn hold<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The name of a folder without links. Of one that is watched under two names nothing is told any more
/// once one of them is let go.
fn true_name(folder: &Path) -> PathBuf {
    fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use notify::Event;
    use notify::event::{DataChange, MetadataKind, RenameMode};
    use std::io::Write as _;

    #[test]
    fn what_is_still_being_written_is_waited_for_until_it_is_closed_or_replaced() {
        let file = PathBuf::from("/etc/portcullis/gateway.toml");
        let closed = EventKind::Access(AccessKind::Close(AccessMode::Write));
        let replaced = EventKind::Modify(ModifyKind::Name(RenameMode::To));
        let written = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        let names = Names::default();
        names.set(std::iter::once(file.as_path()));
        let tell =
            |kind, path: &Path| names.may_have_changed(&Event::new(kind).add_path(path.to_owned()));
        for end in [closed, replaced] {
            assert!(tell(written, &file));
            assert!(names.are_being_written());
            let changed_mode = EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any));
            assert!(tell(changed_mode, &file) && names.are_being_written());
            assert!(tell(end, &file));
            assert!(!names.are_being_written());
        }
        assert!(!tell(EventKind::Access(AccessKind::Read), &file));
        assert!(!tell(written, Path::new("/etc/portcullis/other")));
        assert!(!names.are_being_written());
    }

    #[tokio::test]
    async fn a_change_behind_a_link_is_seen_once() {
        let folder = tempfile::TempDir::new().unwrap();
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        fs::write(&target, "one").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let missing = folder.path().join("missing");
        let mut wakes = Wakes::new(&[link, missing.clone()]).unwrap();
        assert!(!look_other(&wakes));
        fs::write(&target, "other").unwrap();
        assert!(look_other(&wakes) && !look_other(&wakes));
        fs::write(&missing, "").unwrap();
        assert!(look_other(&wakes) && !look_other(&wakes));
        // What changes while it is read is seen thereafter.
        fs::write(&missing, "more").unwrap();
        wakes.watch(&[missing]);
        assert!(look_other(&wakes) && !look_other(&wakes));
    }

    fn look_other(wakes: &Wakes) -> bool {
        hold(&wakes.eyes.watch).look_other()
    }

    #[tokio::test]
    async fn a_look_that_hangs_keeps_nobody_waiting_and_is_not_lost() {
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "one").unwrap();
        let mut wakes = Wakes::new(std::slice::from_ref(&file)).unwrap();
        // Nobody tells of changes.
        hold(&wakes.eyes.watch).watcher = None;
        let (held, is_held) = std::sync::mpsc::channel();
        let (answer, answers) = std::sync::mpsc::channel::<()>();
        let watch = wakes.eyes.watch.clone();
        let hung = std::thread::spawn(move || {
            let _watch = hold(&watch);
            held.send(()).unwrap();
            let _ = answers.recv();
        });
        is_held.recv().unwrap();
        fs::write(&file, "other").unwrap();
        let moment = Duration::from_millis(1);
        let looked = tokio::time::timeout(moment, wakes.eyes.look_after(Duration::ZERO)).await;
        assert!(looked.is_err());
        let reloaded = Notify::new();
        reloaded.notify_one();
        assert_eq!(wakes.next(&reloaded, false).await, Wake::Reloaded);
        drop(answer);
        assert_eq!(wakes.next(&reloaded, false).await, Wake::Changed);
        hung.join().unwrap();
    }

    /// Waits until a watched file is told of, however often.
    async fn told(wakes: &mut Wakes) {
        let told = tokio::time::timeout(MOST, wakes.changed.recv()).await;
        told.expect("a change is told").expect("somebody watches");
    }

    #[tokio::test]
    async fn what_is_still_being_written_behind_a_link_is_waited_for() {
        let folder = tempfile::TempDir::new().unwrap();
        let [real, other, etc] = ["real", "other", "etc"].map(|name| folder.path().join(name));
        for folder in [&real, &other, &etc] {
            fs::create_dir(folder).unwrap();
        }
        let link = etc.join("gateway.toml");
        let files = [link.clone()];
        let mut wakes = Wakes::new(&files).unwrap();
        // The link is swapped; what it leads to then has another name, too.
        for target in [real.join("gateway.toml"), other.join("gateway-2.toml")] {
            fs::write(&target, "one half").unwrap();
            let swapped = etc.join("swapped");
            std::os::unix::fs::symlink(&target, &swapped).unwrap();
            fs::rename(&swapped, &link).unwrap();
            told(&mut wakes).await;
            wakes.watch(&files);
            assert!(!wakes.names.are_being_written());
            let mut open = fs::OpenOptions::new().append(true).open(&target).unwrap();
            open.write_all(b" and the other").unwrap();
            while !wakes.names.are_being_written() {
                told(&mut wakes).await;
            }
            drop(open);
            while wakes.names.are_being_written() {
                told(&mut wakes).await;
            }
        }
    }

    #[tokio::test]
    async fn a_folder_that_was_replaced_is_watched_as_the_one_before() {
        let root = tempfile::TempDir::new().unwrap();
        let [etc, old] = ["etc", "old"].map(|name| root.path().join(name));
        let files = [etc.join("gateway.toml")];
        fs::create_dir(&etc).unwrap();
        fs::write(&files[0], "one").unwrap();
        let mut wakes = Wakes::new(&files).unwrap();
        fs::rename(&etc, &old).unwrap();
        fs::create_dir(&etc).unwrap();
        fs::write(&files[0], "other").unwrap();
        assert!(look_other(&wakes));
        wakes.watch(&files);
        let mut open = fs::OpenOptions::new().append(true).open(&files[0]).unwrap();
        open.write_all(b" half").unwrap();
        while !wakes.names.are_being_written() {
            told(&mut wakes).await;
        }
    }
}
