//! Files of `[state] directory` that are written anew: whole or not at all, whatever dies meanwhile.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The folder in which a file lies.
pub(crate) fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Writes the file of this name, for our eyes only. It lies beside it as `NAME.new` until all of it is on the disk.
pub(super) fn write(directory: &Path, name: impl AsRef<OsStr>, content: &[u8]) -> io::Result<()> {
    let path = directory.join(name.as_ref());
    let mut unfinished = path.clone().into_os_string();
    unfinished.push(".new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    File::open(directory)?.sync_all()
}
