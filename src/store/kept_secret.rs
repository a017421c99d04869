//! A secret of our own, in a file of `[state] directory`: made at the first start, the same at each one after it.

use super::whole;
use crate::crypto::random;
use crate::secret::Secret;
use data_encoding::BASE64;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Bytes of one that we make.
const LENGTH: usize = 32;
/// Bytes its file may have.
const LONGEST: u64 = 1024;

/// Why it cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// The system does not let us.
    #[error("`{}` cannot be read or made: {why}", path.display())]
    Io {
        /// Where it lies.
        path: PathBuf,
        /// What the system said.
        why: io::Error,
    },
    /// It is not as we write it.
    #[error(
        "`{}` is not 32 bytes in base64\n\nhint: remove the file, and another is made",
        .0.display()
    )]
    Content(PathBuf),
}

/// The secret of this name. Nobody else has the folder meanwhile: whoever calls holds it.
///
/// # Errors
/// [`Unusable`].
pub fn read_or_make(directory: &Path, name: &str) -> Result<Secret, Unusable> {
    let path = directory.join(name);
    let failed = |why| Unusable::Io {
        path: path.clone(),
        why,
    };
    let file = match fs::File::open(&path) {
        Ok(file) => file,
        Err(why) if why.kind() == io::ErrorKind::NotFound => {
            return make(directory, name).map_err(failed);
        }
        Err(why) => return Err(failed(why)),
    };
    let mut text = Zeroizing::new(Vec::with_capacity(LONGEST as usize + 1));
    file.take(LONGEST).read_to_end(&mut text).map_err(failed)?;
    let bytes = BASE64.decode(text.trim_ascii_end()).map(Zeroizing::new);
    match bytes {
        Ok(bytes) if bytes.len() == LENGTH => Ok(Secret::new(bytes.to_vec())),
        _ => Err(Unusable::Content(path)),
    }
}

fn make(directory: &Path, name: &str) -> io::Result<Secret> {
    let mut bytes = Zeroizing::new([0; LENGTH]);
    random(&mut *bytes);
    let text = Zeroizing::new(format!("{}\n", BASE64.encode(&*bytes)));
    whole::write(directory, name, text.as_bytes())?;
    Ok(Secret::new(bytes.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn it_is_made_once_for_us_alone_and_is_the_same_thereafter() {
        let folder = tempfile::tempdir().unwrap();
        let made = read_or_make(folder.path(), "one.key").unwrap();
        let again = read_or_make(folder.path(), "one.key").unwrap();
        assert_eq!(made.expose(), again.expose());
        let other = read_or_make(folder.path(), "other.key").unwrap();
        assert_ne!(made.expose(), other.expose());
        let file = fs::metadata(folder.path().join("one.key")).unwrap();
        assert_eq!(file.permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_is_no_secret_is_refused_and_what_was_not_finished_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("one.key"), "short").unwrap();
        let refused = read_or_make(folder.path(), "one.key").unwrap_err();
        assert!(matches!(refused, Unusable::Content(_)));
        fs::write(folder.path().join("other.key.new"), "sh").unwrap();
        assert_eq!(read_or_make(folder.path(), "other.key").unwrap().len(), 32);
    }
}
