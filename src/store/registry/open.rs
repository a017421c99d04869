//! The file: made whole or not at all, of a version that we know, under the
//! master key that we have.

use super::overlay::Overlay;
use super::reads;
use super::tables::{self, Fault, META, PROBE, REVISION, VERSION};
use crate::apps::made::MasterKey;
use crate::store::whole;
use redb::{Database, DatabaseError, ReadableDatabase, StorageError, WriteTransaction};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The version that this gateway writes.
pub const FORMAT: u64 = 1;

/// What of the file is kept in memory.
const CACHE: usize = 16 << 20;

/// From one version to the next, within the transaction that also counts it up.
pub(super) type Step = fn(&WriteTransaction) -> Result<(), redb::Error>;

/// The versions of the format: a step from each older one, from 1 on.
#[derive(Clone, Copy)]
pub(super) struct Format {
    pub(super) steps: &'static [Step],
}

impl Format {
    /// What we write.
    pub(super) const OURS: Self = Self { steps: &[] };

    const fn version(self) -> u64 {
        self.steps.len() as u64 + 1
    }
}

const _: () = assert!(Format::OURS.version() == FORMAT);

/// Why the registry cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error(
        "`{}` is in use by another gateway or command\n\nhint: where a gateway runs, its admin API makes changes",
        path.display()
    )]
    InUse {
        /// Where it lies.
        path: PathBuf,
    },
    /// A later version of the gateway has written it.
    #[error(
        "`{}` was written by a later version of the gateway: its format is {found}, this version knows {FORMAT}\n\nhint: run the later version, or bring back the copy that it made beside the file",
        path.display()
    )]
    Newer {
        /// Where it lies.
        path: PathBuf,
        /// Its version.
        found: u64,
    },
    /// Its secrets are sealed under another master key.
    #[error(
        "`{}` was sealed under another master key\n\nhint: bring back the secret that `[state] master_key` led to; without it no secret in the registry can be read",
        path.display()
    )]
    OtherMasterKey {
        /// Where it lies.
        path: PathBuf,
    },
    /// It is something else, or damaged.
    #[error(
        "`{}` is not a registry, or is damaged: {why}\n\nhint: bring back a copy of it (docs/operating.md)",
        path.display()
    )]
    NoRegistry {
        /// Where it lies.
        path: PathBuf,
        /// What was found.
        why: String,
    },
    /// The system does not let us.
    #[error(
        "`{}` cannot be used for the registry: {why}\n\nhint: its folder must be one that the gateway's user can write to",
        path.display()
    )]
    Io {
        /// Where it lies.
        path: PathBuf,
        /// What the system said.
        why: io::Error,
    },
}

/// The file, open.
pub(super) struct Opened {
    pub(super) database: Database,
    /// Why it is there only to be read.
    pub(super) unwritable: Option<io::Error>,
}

/// What `opens` comes to, of a damaged file too.
pub(super) fn caught<T>(
    path: &Path,
    opens: impl FnOnce() -> Result<T, OpenError>,
) -> Result<T, OpenError> {
    tables::caught(|| Ok(opens())).unwrap_or_else(|fault| Err(failed(path, fault)))
}

/// Opens the file at `path`, or makes it.
pub(super) fn database(
    path: &Path,
    master: &MasterKey,
    format: Format,
) -> Result<Opened, OpenError> {
    let io = |why| OpenError::Io {
        path: path.to_owned(),
        why,
    };
    if !path.try_exists().map_err(io)? {
        make(path, master, format)?;
    }
    let opened = again(path)?;
    let found = version(path, &opened.database, master)?;
    if found == format.version() {
        return Ok(opened);
    }
    if found > format.version() {
        let path = path.to_owned();
        return Err(OpenError::Newer { path, found });
    }
    // The copy is made of a file that nobody writes.
    drop(opened.database);
    if let Some(why) = opened.unwritable {
        return Err(io(why));
    }
    let copy = beside(path, &format!("v{found}"));
    copy_whole(path, &copy).map_err(io)?;
    let database = to_write(path)?;
    migrate(&database, found, format).map_err(|fault| failed(path, fault))?;
    let (from, to, copy) = (found, format.version(), copy.display());
    tracing::info!(from, to, %copy, "the registry has a new format; the old file was kept");
    Ok(Opened {
        database,
        unwritable: None,
    })
}

/// Opens what is there: where it cannot be written, to be read.
pub(super) fn again(path: &Path) -> Result<Opened, OpenError> {
    let io = match to_write(path) {
        Ok(database) => {
            return Ok(Opened {
                database,
                unwritable: None,
            });
        }
        Err(OpenError::Io { path, why }) => (path, why),
        Err(why) => return Err(why),
    };
    let (path, why) = io;
    match to_read(&path) {
        Ok(database) => Ok(Opened {
            database,
            unwritable: Some(why),
        }),
        Err(in_use @ OpenError::InUse { .. }) => Err(in_use),
        Err(_) => Err(OpenError::Io { path, why }),
    }
}

/// Whether the file opens with this master key, without a change to it and without a wait.
pub(super) fn tried(path: &Path, master: &MasterKey) -> Result<(), OpenError> {
    caught(path, || version(path, &to_read(path)?, master).map(drop))
}

/// The last revision that was written to it.
pub(super) fn revision(path: &Path, database: &Database) -> Result<u64, OpenError> {
    reads::revision(database).map_err(|fault| failed(path, fault))
}

/// Whether the system would let us write it; the disk may still be full.
pub(super) fn may_write(path: &Path) -> io::Result<()> {
    OpenOptions::new().read(true).write(true).open(path)?;
    Ok(())
}

fn to_write(path: &Path) -> Result<Database, OpenError> {
    let opened = redb::Builder::new().set_cache_size(CACHE).open(path);
    opened.map_err(|why| not_opened(path, why))
}

/// With what a crash left unfinished put right in memory alone.
pub(super) fn to_read(path: &Path) -> Result<Database, OpenError> {
    let overlay = Overlay::over(path).map_err(|why| OpenError::Io {
        path: path.to_owned(),
        why,
    })?;
    let opened = redb::Builder::new()
        .set_cache_size(CACHE)
        .create_with_backend(overlay);
    opened.map_err(|why| not_opened(path, why))
}

fn not_opened(path: &Path, why: DatabaseError) -> OpenError {
    match why {
        DatabaseError::DatabaseAlreadyOpen => OpenError::InUse {
            path: path.to_owned(),
        },
        why => failed(path, why.into()),
    }
}

fn failed(path: &Path, fault: Fault) -> OpenError {
    let path = path.to_owned();
    match fault {
        // What is no such file, it says so too.
        Fault::Store(redb::Error::Io(why)) if why.kind() != io::ErrorKind::InvalidData => {
            OpenError::Io { path, why }
        }
        fault => OpenError::NoRegistry {
            path,
            why: fault.to_string(),
        },
    }
}

pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

/// Under another name first: a file with the right name is whole.
fn make(path: &Path, master: &MasterKey, format: Format) -> Result<(), OpenError> {
    let io = |why| OpenError::Io {
        path: path.to_owned(),
        why,
    };
    let folder = whole::folder_of(path);
    fs::create_dir_all(folder).map_err(io)?;
    let (unfinished, file) = begin(path).map_err(io)?;
    let made = fill(file, master, format)
        .map_err(|fault| failed(path, fault))
        .and_then(|()| name(&unfinished, path).map_err(io));
    // Whatever came of it: where the disk is full, each try would leave one.
    let _ = fs::remove_file(&unfinished);
    made?;
    sweep(path, folder);
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(io)
}

/// An empty file under a name that nobody else has, and that name.
fn begin(path: &Path) -> io::Result<(PathBuf, File)> {
    let mut number = 0;
    loop {
        let unfinished = unfinished(path, number);
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&unfinished);
        match opened {
            Err(why) if why.kind() == io::ErrorKind::AlreadyExists => number += 1,
            opened => return opened.map(|file| (unfinished, file)),
        }
    }
}

fn unfinished(path: &Path, number: u64) -> PathBuf {
    beside(path, &format!("new-{number}"))
}

fn fill(file: File, master: &MasterKey, format: Format) -> Result<(), Fault> {
    let database = redb::Builder::new()
        .set_cache_size(CACHE)
        .create_with_backend(redb::backends::FileBackend::new(file)?)?;
    let transaction = database.begin_write()?;
    tables::make_all(&transaction)?;
    {
        let mut meta = transaction.open_table(META)?;
        meta.insert(VERSION, &format.version().to_be_bytes()[..])?;
        meta.insert(REVISION, &0_u64.to_be_bytes()[..])?;
        meta.insert(PROBE, &master.probe()[..])?;
    }
    transaction.commit()?;
    Ok(())
}

/// Gives it the right name. Of several that make one at the same time the first wins: the others use that.
fn name(unfinished: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(unfinished, path) {
        // Ours may be gone by then: the first sweeps.
        Err(_) if path.exists() => Ok(()),
        linked => linked,
    }
}

/// Removes what crashes have left, of earlier versions too. What another still makes is of no use either, now that
/// there is a registry. They need not be numbered without a gap.
fn sweep(path: &Path, folder: &Path) {
    let _ = fs::remove_file(beside(path, "new"));
    let (Some(name), Ok(entries)) = (path.file_name(), fs::read_dir(folder)) else {
        return;
    };
    let begins = [name.as_bytes(), b".new-"].concat();
    for entry in entries.flatten() {
        let found = entry.file_name();
        let number = found.as_bytes().strip_prefix(&*begins);
        if number.is_some_and(|number| number.iter().all(u8::is_ascii_digit)) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// What it says of its version, and by what it knows its master key again.
pub(super) fn told(database: &Database) -> Result<(Option<u64>, Option<Vec<u8>>), Fault> {
    let transaction = database.begin_read()?;
    let meta = transaction.open_table(META)?;
    let probe = meta.get(PROBE)?.map(|bytes| bytes.value().to_vec());
    Ok((tables::number(&meta, VERSION)?, probe))
}

fn version(path: &Path, database: &Database, master: &MasterKey) -> Result<u64, OpenError> {
    let (version, probe) = told(database).map_err(|fault| failed(path, fault))?;
    let path = path.to_owned();
    let (Some(version), Some(probe)) = (version, probe) else {
        let why = "it does not say its version".to_owned();
        return Err(OpenError::NoRegistry { path, why });
    };
    // The key is asked about only where we know how it is kept.
    if version <= FORMAT && !master.made(&probe) {
        return Err(OpenError::OtherMasterKey { path });
    }
    Ok(version)
}

fn copy_whole(from: &Path, to: &Path) -> io::Result<()> {
    let unfinished = beside(to, "new");
    fs::copy(from, &unfinished)?;
    File::open(&unfinished)?.sync_all()?;
    fs::rename(&unfinished, to)?;
    File::open(whole::folder_of(to))?.sync_all()
}

/// All steps in one transaction: it is of one version or of another, never between.
fn migrate(database: &Database, from: u64, format: Format) -> Result<(), Fault> {
    let transaction = database.begin_write()?;
    for step in &format.steps[from.saturating_sub(1) as usize..] {
        step(&transaction)?;
    }
    transaction
        .open_table(META)?
        .insert(VERSION, &format.version().to_be_bytes()[..])?;
    transaction.commit()?;
    Ok(())
}

/// Whether a store that says this has to be opened again before it does anything more.
pub(super) fn is_broken(fault: &Fault) -> bool {
    !matches!(
        fault,
        Fault::Record(..)
            | Fault::Unwritable(_)
            | Fault::TakenAway
            | Fault::Store(redb::Error::ValueTooLarge(_))
    )
}

impl From<StorageError> for OpenError {
    fn from(why: StorageError) -> Self {
        failed(Path::new(""), why.into())
    }
}
