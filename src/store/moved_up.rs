//! What each app has moved up to, in a file for the next process.
//!
//! It is small – a line for each app that says `downgrade = "refuse"` – and
//! changes a few times in an app's life, so it is written whole, beside what
//! it replaces, by a thread of its own: no request waits for it. Should the
//! process die within the moments that takes, the app's next strong proof
//! moves it up again.

use super::whole;
use crate::authorize::{Heights, Strength};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The file's name in `[state] directory`.
const NAME: &str = "moved-up";
/// Bytes it may have: a line is at most 100 of them, and a million apps may have one each.
const LONGEST: u64 = 128 << 20;
/// When a write that failed is tried again.
const AGAIN: Duration = Duration::from_secs(1);
const HEADING: &str = "\
# What each app with `downgrade = \"refuse\"` has moved up to. Written by the gateway.
# To let one start anew, take its `downgrade` away, reload, and say it again.
";

/// Why the file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// The system does not let us.
    #[error("`{}` cannot be read: {why}", path.display())]
    Io {
        /// Where it lies.
        path: PathBuf,
        /// What the system said.
        why: io::Error,
    },
    /// It is not as we write it.
    #[error(
        "`{}`, line {line}, is not an app and what it has moved up to\n\nhint: mend the line, or remove the file to let every app start anew",
        path.display()
    )]
    Line {
        /// Where it lies.
        path: PathBuf,
        /// Which, from 1.
        line: usize,
    },
}

/// Keeps the file as [`Heights`] are. Dropping it writes what is still to be written.
#[derive(Debug)]
pub struct Keeper {
    shared: Arc<Shared>,
    writing: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    directory: PathBuf,
    heights: Arc<Heights>,
    asked: Mutex<Asked>,
    woken: Condvar,
}

#[derive(Debug, Default)]
struct Asked {
    to_write: bool,
    to_stop: bool,
}

impl Keeper {
    /// Reads the file in `directory`, which is there, and keeps it from then on.
    ///
    /// # Errors
    /// [`Unreadable`]: what an app has moved up to would be forgotten.
    pub fn open(directory: &Path) -> Result<(Self, Arc<Heights>), Unreadable> {
        let path = directory.join(NAME);
        let heights = Arc::new(Heights::new(read(&path)?));
        let shared = Arc::new(Shared {
            directory: directory.to_owned(),
            heights: heights.clone(),
            asked: Mutex::default(),
            woken: Condvar::new(),
        });
        let told = Arc::downgrade(&shared);
        heights.on_change(move || {
            if let Some(shared) = told.upgrade() {
                shared.asked().to_write = true;
                shared.woken.notify_one();
            }
        });
        let writing = thread::Builder::new()
            .name("moved-up".to_owned())
            .spawn({
                let shared = shared.clone();
                move || shared.write_until_stopped()
            })
            .map_err(|why| Unreadable::Io { path, why })?;
        let keeper = Self {
            shared,
            writing: Mutex::new(Some(writing)),
        };
        Ok((keeper, heights))
    }

    /// Writes what is still to be written, and ends.
    pub fn close(&self) {
        let mut writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(writing) = writing.take() {
            self.shared.asked().to_stop = true;
            self.shared.woken.notify_one();
            // It ended by a panic or not: either way it writes no more.
            let _ = writing.join();
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_until_stopped(&self) {
        let mut failed = false;
        loop {
            let is_idle = |asked: &mut Asked| !asked.to_write && !asked.to_stop;
            let asked = self.woken.wait_while(self.asked(), is_idle);
            let mut asked = asked.unwrap_or_else(PoisonError::into_inner);
            let (to_write, to_stop) = (std::mem::take(&mut asked.to_write), asked.to_stop);
            drop(asked);
            if to_write {
                // As they are now: a rise that comes meanwhile asks again.
                let written = write(&self.directory, &self.heights);
                if let Err(why) = &written {
                    self.asked().to_write = true;
                    if !std::mem::replace(&mut failed, true) {
                        let directory = self.directory.display();
                        tracing::error!(%directory, %why, "what apps have moved up to cannot be written; a restart would forget it");
                    }
                } else if std::mem::take(&mut failed) {
                    tracing::info!("what apps have moved up to is written again");
                }
            }
            if to_stop {
                return;
            }
            if failed {
                let asked = self.asked();
                let _ = self
                    .woken
                    .wait_timeout_while(asked, AGAIN, |asked| !asked.to_stop);
            }
        }
    }
}

fn read(path: &Path) -> Result<Vec<(Box<str>, Strength)>, Unreadable> {
    let unreadable = |why| Unreadable::Io {
        path: path.to_owned(),
        why,
    };
    let mut text = String::new();
    match File::open(path) {
        Ok(file) => {
            file.take(LONGEST)
                .read_to_string(&mut text)
                .map_err(unreadable)?;
        }
        Err(why) if why.kind() == io::ErrorKind::NotFound => {}
        Err(why) => return Err(unreadable(why)),
    }
    let lines = text.lines().zip(1..);
    lines
        .filter(|(line, _)| !line.is_empty() && !line.starts_with('#'))
        .map(|(line, number)| {
            line.split_once(' ')
                .and_then(|(app, name)| Some((app.into(), Strength::from_name(name)?)))
                .ok_or_else(|| Unreadable::Line {
                    path: path.to_owned(),
                    line: number,
                })
        })
        .collect()
}

fn write(directory: &Path, heights: &Heights) -> io::Result<()> {
    let mut text = HEADING.to_owned();
    for (app, strength) in heights.all() {
        let _ = writeln!(text, "{app} {}", strength.name());
    }
    whole::write(directory, NAME, text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apps::{App, Downgrade, Mode, Policy};
    use std::fs;

    fn app(name: &str, downgrade: Downgrade) -> Arc<App> {
        Arc::new(App {
            policy: Policy {
                downgrade,
                ..Policy::default()
            },
            ..App::new(name)
        })
    }

    fn strength(name: &str) -> Strength {
        Strength::from_name(name).unwrap()
    }

    fn reach(heights: &Heights, app: &str, shown: &str) -> Result<(), Strength> {
        heights.reach(app, strength(shown), strength(shown), Mode::Enforce)
    }

    fn known(directory: &Path) -> Vec<(String, &'static str)> {
        let (_keeper, heights) = Keeper::open(directory).unwrap();
        let all = heights.all().into_iter();
        all.map(|(app, strength)| (app.to_string(), strength.name()))
            .collect()
    }

    #[test]
    fn what_apps_have_moved_up_to_outlives_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let apps = [
            app("a", Downgrade::Refuse),
            app("b", Downgrade::Refuse),
            app("c", Downgrade::Allow),
        ];
        let (keeper, heights) = Keeper::open(folder.path()).unwrap();
        heights.keep(|| apps.clone());
        for (name, shown) in [("a", "key"), ("a", "signed"), ("b", "key"), ("c", "signed")] {
            reach(&heights, name, shown).unwrap();
        }
        assert_eq!(reach(&heights, "a", "key"), Err(strength("signed")));
        reach(&heights, "a", "signed").unwrap();
        drop(keeper);
        let both = [("a".to_owned(), "signed"), ("b".to_owned(), "key")];
        assert_eq!(known(folder.path()), both);
        // Who need not be kept to it any more starts anew.
        let (keeper, heights) = Keeper::open(folder.path()).unwrap();
        heights.keep(|| [app("a", Downgrade::Allow), app("b", Downgrade::Refuse)]);
        reach(&heights, "a", "key").unwrap();
        drop(keeper);
        assert_eq!(known(folder.path()), both[1..]);
    }

    #[test]
    fn of_apps_that_may_be_back_it_stays_and_of_those_that_are_there_what_they_ask_for() {
        let folder = tempfile::tempdir().unwrap();
        let (keeper, heights) = Keeper::open(folder.path()).unwrap();
        heights.keep(|| ["a", "b"].map(|name| app(name, Downgrade::Refuse)));
        for name in ["a", "b"] {
            reach(&heights, name, "signed").unwrap();
        }
        heights.keep_others(|| [app("a", Downgrade::Allow)]);
        drop(keeper);
        assert_eq!(known(folder.path()), [("b".to_owned(), "signed")]);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_not_taken_for_none() {
        let folder = tempfile::tempdir().unwrap();
        for text in ["a", "a better", "a  signed", "# ok\nb key\n\n a key"] {
            fs::write(folder.path().join(NAME), text).unwrap();
            let told = Keeper::open(folder.path()).unwrap_err().to_string();
            assert!(told.contains("remove the file"), "{told}");
        }
        fs::write(folder.path().join(NAME), [0xff, 0xfe]).unwrap();
        assert!(Keeper::open(folder.path()).is_err());
    }

    #[test]
    fn what_cannot_be_written_is_tried_again_and_does_not_hold_up_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let (keeper, heights) = Keeper::open(folder.path()).unwrap();
        heights.keep(|| [app("a", Downgrade::Refuse)]);
        // A folder stands where the file is to be written.
        fs::create_dir(folder.path().join("moved-up.new")).unwrap();
        reach(&heights, "a", "signed").unwrap();
        keeper.close();
        assert!(!folder.path().join(NAME).exists());
    }
}
