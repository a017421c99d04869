//! Whether a file that lies open is still the one that stands under its name.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Which file it is, whatever its name: device and number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity(u64, u64);

impl Identity {
    /// Of a file that was looked at.
    pub(super) fn of(file: &Metadata) -> Self {
        Self(file.dev(), file.ino())
    }

    /// Of what stands at `path`, if anything does.
    pub(super) fn at(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().as_ref().map(Self::of)
    }

    /// Whether it still stands at `path`. Where the system does not tell, it does.
    pub(super) fn stands_at(self, path: &Path) -> bool {
        match fs::metadata(path) {
            Ok(there) => Self::of(&there) == self,
            Err(why) => why.kind() != io::ErrorKind::NotFound,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_moved_or_replaced_stands_there_no_more_until_it_is_back() {
        let folder = tempfile::tempdir().unwrap();
        let (path, aside) = (folder.path().join("file"), folder.path().join("aside"));
        assert_eq!(Identity::at(&path), None);
        fs::write(&path, "one").unwrap();
        let one = Identity::at(&path).unwrap();
        fs::write(&path, "the same, changed").unwrap();
        assert!(one.stands_at(&path));
        fs::rename(&path, &aside).unwrap();
        assert!(!one.stands_at(&path));
        fs::write(&path, "another").unwrap();
        assert!(!one.stands_at(&path) && one.stands_at(&aside));
        fs::rename(&aside, &path).unwrap();
        assert!(one.stands_at(&path));
    }
}
