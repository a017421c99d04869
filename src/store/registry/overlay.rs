//! A file that can be read and not written: what the store would write – a
//! mark that it is open, or what a crash left unfinished – stays in memory.
//! Nothing is committed over it.

use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Bound;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes that are kept together.
const PAGE: usize = 4_096;
/// Pages that are kept: what a crash left unfinished of the largest commit, many times over.
const MAX_PAGES: usize = 16_384;

#[derive(Debug)]
pub(super) struct Overlay {
    file: FileBackend,
    laid: Mutex<Laid>,
}

#[derive(Debug)]
struct Laid {
    len: u64,
    /// How much of the file counts: what was cut off and then added again is empty.
    of_file: u64,
    pages: BTreeMap<u64, Box<[u8; PAGE]>>,
}

impl Overlay {
    /// Over the file at `path`, which must be there.
    pub(super) fn over(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).open(path)?;
        Self::of(file)
    }

    fn of(file: File) -> io::Result<Self> {
        let len = file.metadata()?.len();
        let file = FileBackend::new(file).map_err(io::Error::other)?;
        let laid = Laid {
            len,
            of_file: len,
            pages: BTreeMap::new(),
        };
        Ok(Self {
            file,
            laid: Mutex::new(laid),
        })
    }

    fn laid(&self) -> MutexGuard<'_, Laid> {
        self.laid.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What stands there in the file, and beyond what counts of it nothing.
    fn below(&self, laid: &Laid, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let there = laid.of_file.saturating_sub(offset).min(out.len() as u64) as usize;
        let (there, beyond) = out.split_at_mut(there);
        beyond.fill(0);
        if there.is_empty() {
            return Ok(());
        }
        self.file.read(offset, there)
    }
}

/// The pieces of a stretch: which page, where in it, and where in the stretch.
fn pieces(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done == len {
            return None;
        }
        let at = offset + done as u64;
        let within = (at % PAGE as u64) as usize;
        let some = (PAGE - within).min(len - done);
        let piece = (at / PAGE as u64, within, done..done + some);
        done += some;
        Some(piece)
    })
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.laid().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let laid = self.laid();
        let end = offset.checked_add(out.len() as u64);
        if end.is_none_or(|end| end > laid.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if laid.pages.is_empty() {
            return self.below(&laid, offset, out);
        }
        for (page, within, range) in pieces(offset, out.len()) {
            let part = &mut out[range];
            match laid.pages.get(&page) {
                Some(bytes) => part.copy_from_slice(&bytes[within..within + part.len()]),
                None => self.below(&laid, page * PAGE as u64 + within as u64, part)?,
            }
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut laid = self.laid();
        if len < laid.len {
            laid.of_file = laid.of_file.min(len);
            laid.pages.retain(|page, _| page * (PAGE as u64) < len);
            let last = len / PAGE as u64;
            if let Some(bytes) = laid.pages.get_mut(&last) {
                bytes[(len % PAGE as u64) as usize..].fill(0);
            }
        }
        laid.len = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut laid = self.laid();
        for (page, within, range) in pieces(offset, data.len()) {
            if !laid.pages.contains_key(&page) {
                if laid.pages.len() == MAX_PAGES {
                    return Err(io::ErrorKind::StorageFull.into());
                }
                let mut bytes = Box::new([0; PAGE]);
                self.below(&laid, page * PAGE as u64, &mut *bytes)?;
                laid.pages.insert(page, bytes);
            }
            if let Some(bytes) = laid.pages.get_mut(&page) {
                let part = &data[range];
                bytes[within..within + part.len()].copy_from_slice(part);
            }
        }
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    /// Shared, since nothing is written: who writes the file is kept out, another reader is not.
    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.query_lock_range(start, end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Over a file it is what a file would be, and the file stays as it is.
        #[test]
        fn it_is_as_a_file_that_could_be_written(
            first in proptest::collection::vec(any::<u8>(), 0..20_000),
            steps in proptest::collection::vec((any::<bool>(), 0..24_000_usize, 0..9_000_usize, any::<u8>()), 1..20),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("file");
            std::fs::write(&path, &first).unwrap();
            let overlay = Overlay::over(&path).unwrap();
            let mut model = first.clone();
            for (cuts, at, len, byte) in steps {
                if cuts {
                    overlay.set_len(at as u64).unwrap();
                    model.resize(at, 0);
                } else if at + len <= model.len() {
                    overlay.write(at as u64, &vec![byte; len]).unwrap();
                    model[at..at + len].fill(byte);
                }
                let mut all = vec![1; model.len()];
                overlay.read(0, &mut all).unwrap();
                prop_assert_eq!(&all, &model);
                prop_assert!(overlay.read(1, &mut all).is_err() || all.is_empty());
            }
            prop_assert_eq!(std::fs::read(&path).unwrap(), first);
        }
    }

    #[test]
    fn it_keeps_no_more_than_it_may() {
        let overlay = Overlay::of(tempfile::tempfile().unwrap()).unwrap();
        let page = [1; PAGE];
        for number in 0..MAX_PAGES as u64 {
            overlay.write(number * PAGE as u64, &page).unwrap();
        }
        let one_more = overlay.write((MAX_PAGES * PAGE) as u64, &page);
        assert_eq!(one_more.unwrap_err().kind(), io::ErrorKind::StorageFull);
        overlay.write(0, &page).unwrap();
    }
}
