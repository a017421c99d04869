//! Sockets that were handed over to us: by systemd, or by the gateway before us.

use super::listen::{BACKLOG, BindError, Listen, Listener};
use listenfd::ListenFd;
use socket2::SockRef;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::{fs, io};

/// Sockets that listen already. What is left of them when every listener has
/// its own is refused: callers would come in where nobody answers.
#[derive(Debug, Default)]
pub struct Handed {
    listeners: Vec<(Listen, Listener)>,
    /// What we cannot listen on, in words.
    strange: Vec<String>,
}

impl Handed {
    /// What `LISTEN_FDS` tells of (`sd_listen_fds`(3)), if it is meant for this
    /// process. The variables are taken away, so that no child takes them for
    /// its own; so this is for the start of the process, before it has threads.
    pub fn from_environment() -> Self {
        // The environment is read by the crate, in one place with the files it
        // tells of: `config` opens no socket.
        let mut found = ListenFd::from_env();
        let mut handed = Self::default();
        for index in 0..found.len() {
            match listener(&mut found, index).and_then(|one| Ok((one.place()?, one))) {
                Ok(one) => handed.listeners.push(one),
                Err(error) => handed.strange.push(format!("number {index} ({error})")),
            }
        }
        handed
    }

    /// These sockets.
    ///
    /// # Errors
    /// When the system does not tell where one of them listens.
    pub fn of(listeners: Vec<Listener>) -> io::Result<Self> {
        let placed = listeners.into_iter().map(|one| Ok((one.place()?, one)));
        Ok(Self {
            listeners: placed.collect::<io::Result<_>>()?,
            strange: Vec::new(),
        })
    }

    /// A socket that listens at `place`, if there is one left: of several
    /// that share a port, one after the other.
    pub fn take(&mut self, place: &Listen) -> Option<Listener> {
        let mut listeners = self.listeners.iter();
        let found = listeners.position(|(at, _)| is_one_place(at, place))?;
        Some(self.listeners.swap_remove(found).1)
    }

    /// Why a place cannot be listened at: what is in the way there may be a socket that was handed over, and is left.
    pub(super) fn or_in_the_way(&self, error: BindError) -> BindError {
        let BindError::InUse(wanted) = &error else {
            return error;
        };
        let mut left = self.listeners.iter().map(|(place, _)| place);
        match left.find(|place| place.meets(wanted)) {
            Some(handed) => BindError::HandedOver {
                wanted: wanted.clone(),
                handed: handed.clone(),
            },
            None => error,
        }
    }

    /// Refuses what nobody took. `wanted` is every place that is listened at.
    ///
    /// # Errors
    /// [`BindError::NotAsked`] names what was handed over, and what is wanted.
    pub fn none_is_left<'l>(
        &self,
        wanted: impl IntoIterator<Item = &'l Listen>,
    ) -> Result<(), BindError> {
        let places = self.listeners.iter().map(|(place, _)| format!("`{place}`"));
        let Some(handed) = places.chain(self.strange.iter().cloned()).next() else {
            return Ok(());
        };
        let wanted: Vec<_> = wanted
            .into_iter()
            .map(|place| format!("`{place}`"))
            .collect();
        Err(BindError::NotAsked {
            handed,
            wanted: wanted.join(", "),
        })
    }
}

/// Whether they are one: the path of a socket in the file system may be written in several ways.
fn is_one_place(one: &Listen, other: &Listen) -> bool {
    match (one, other) {
        (Listen::Unix(path), Listen::Unix(other)) => {
            path == other || file(path).is_some_and(|there| file(other) == Some(there))
        }
        _ => one == other,
    }
}

/// Device and number of a file.
fn file(path: &Path) -> Option<(u64, u64)> {
    let there = fs::metadata(path).ok()?;
    Some((there.dev(), there.ino()))
}

fn listener(found: &mut ListenFd, index: usize) -> io::Result<Listener> {
    let listener = match found.take_unix_listener(index) {
        Ok(Some(listener)) => Listener::Unix(listener),
        _ => found
            .take_tcp_listener(index)?
            .map(Listener::Tcp)
            .ok_or_else(|| io::Error::other("it is taken already"))?,
    };
    // One that listens is left as it is but for the length of its queue; one
    // that cannot, since it is connected, says so.
    match &listener {
        Listener::Tcp(listener) => SockRef::from(listener).listen(BACKLOG as i32)?,
        Listener::Unix(listener) => SockRef::from(listener).listen(BACKLOG as i32)?,
    }
    Ok(listener)
}
