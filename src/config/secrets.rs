//! References to secrets, and how they are opened.
//!
//! What a secret holds never leaves this file but as a [`Secret`]; messages
//! name the reference alone.

pub(super) use super::references::{Given, PublicReference, Reference, ReferenceOrOff, SecretFile};

use super::lent::{Us, open_to_others};

use crate::apps::made::{Kind, Printed};
use crate::crypto;
use crate::secret::Secret;
use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD, HEXLOWER_PERMISSIVE};
use std::collections::HashSet;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The largest file that is read for a secret or a certificate chain.
const MAX_FILE: u64 = 1 << 20;

/// Bytes in a secret that we make.
const GENERATED: usize = 32;

/// What a configuration is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// To run on it: `generated:` secrets are made where they are missing.
    Serve,
    /// To look at it: secrets are read, nothing is made. A key whose secret
    /// is still to be made is one that nobody knows.
    Check,
    /// For its text alone: no file and no variable is read. Every key is one that nobody knows.
    Text,
}

/// Where secrets are looked for.
pub(super) struct Places<'a> {
    pub(super) directory: &'a Path,
    pub(super) env: &'a dyn Fn(&str) -> Option<String>,
    pub(super) mode: Mode,
    /// The files of a gateway that runs: what it goes on with is made no second time.
    pub(super) in_force: HashSet<&'a Path>,
}

/// A secret that was opened.
#[derive(Debug, Default)]
pub(super) struct Opened {
    /// Its bytes; `None` where it is still to be made, or was not read at all.
    pub(super) secret: Option<Secret>,
    /// The file it came from.
    pub(super) file: Option<PathBuf>,
    /// What someone should know.
    pub(super) warnings: Vec<(String, String)>,
}

/// What someone should know of a secret that is good all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Beware {
    pub(crate) message: &'static str,
    pub(crate) hint: &'static str,
}

/// What is told of a secret that may have a byte more than its writer thinks.
const NEWLINE: Beware = Beware {
    message: "the secret's bytes end in a newline, which is part of it",
    hint: "if that is not meant, write the file without it, or as `base64:…`",
};

impl Opened {
    /// A newline at its end is taken off later: there is nothing to tell.
    pub(super) fn forgive_newline(&mut self) {
        self.warnings.retain(|(what, _)| what != NEWLINE.message);
    }
}

/// Why a secret cannot be opened.
#[derive(Debug)]
pub(crate) struct Closed {
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl Closed {
    fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
        }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl<'a> Places<'a> {
    /// For a gateway that does not run yet.
    pub(super) fn new(
        directory: &'a Path,
        env: &'a dyn Fn(&str) -> Option<String>,
        mode: Mode,
    ) -> Self {
        Self {
            directory,
            env,
            mode,
            in_force: HashSet::new(),
        }
    }

    /// Whether nothing is made, and no gateway runs that had files of these.
    pub(super) fn only_looks(&self) -> bool {
        self.mode == Mode::Check && self.in_force.is_empty()
    }

    /// Whether files are looked at.
    pub(super) fn reads_files(&self) -> bool {
        self.mode != Mode::Text
    }

    /// What a secret's reference leads to, as it is written.
    pub(super) fn written(&self, reference: &Reference) -> Option<Zeroizing<Vec<u8>>> {
        match reference {
            Reference::Env(name) => Some(Zeroizing::new((self.env)(name)?.into_bytes())),
            Reference::File(path) | Reference::Generated(path) => {
                let (content, _) = read(&self.directory.join(path), MAX_FILE).ok()?;
                Some(content)
            }
        }
    }

    /// Whether a secret says how it is written: `base64:` or `hex:`.
    pub(super) fn says_how(&self, reference: &Reference) -> bool {
        let written = self.written(reference);
        written.is_some_and(|text| says_how(&text))
    }

    /// Opens a secret by which others are known. One that a running gateway goes on with is never made anew.
    pub(super) fn open(&self, reference: &Reference) -> Result<Opened, Closed> {
        let mut opened = Opened::default();
        if self.mode == Mode::Text {
            return Ok(opened);
        }
        if let Reference::Generated(path) = reference
            && self.in_force.contains(self.directory.join(path).as_path())
            && !self.is_there(path)?
        {
            let path = path.display();
            let message = format!("`{path}` is gone; what it held is still in force");
            return Err(Closed::new(message).hint(
                "put it back, from a copy if need be, before any restart: what is made in its place is another one",
            ));
        }
        let Some(content) = self.written_or_made(reference, fresh, &mut opened)? else {
            return Ok(opened);
        };
        let (secret, beware) = decode(&content)?;
        let told = beware.map(|told| (told.message.to_owned(), told.hint.to_owned()));
        opened.warnings.extend(told);
        opened.secret = Some(secret);
        Ok(opened)
    }

    /// Opens a secret that is taken as it is written, but for an end of line. Where it is to be generated it is
    /// what `make` makes.
    pub(super) fn as_written(
        &self,
        reference: &Reference,
        make: fn() -> Zeroizing<String>,
    ) -> Result<Opened, Closed> {
        let mut opened = Opened::default();
        if self.mode != Mode::Text
            && let Some(content) = self.written_or_made(reference, make, &mut opened)?
        {
            opened.secret = Some(Secret::new(content.trim_ascii_end().to_vec()));
        }
        Ok(opened)
    }

    /// What a secret's reference leads to; `None` where it is still to be made.
    fn written_or_made(
        &self,
        reference: &Reference,
        make: fn() -> Zeroizing<String>,
        opened: &mut Opened,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, Closed> {
        let content = match reference {
            Reference::Env(name) => {
                let value = (self.env)(name).ok_or_else(|| {
                    Closed::new(format!("the variable `{name}` is not set"))
                        .hint(format!("set `{name}` where the gateway is started"))
                })?;
                Zeroizing::new(value.into_bytes())
            }
            Reference::File(path) => self.content(path, opened)?,
            Reference::Generated(path) => {
                if !self.is_there(path)? {
                    let there = self.directory.join(path);
                    if self.mode == Mode::Check {
                        opened.file = Some(there);
                        return Ok(None);
                    }
                    generate(&there, make).map_err(|error| {
                        // The error's own text may name a file beside it.
                        let why = error.kind();
                        Closed::new(format!("`{}` cannot be made: {why}", path.display()))
                            .hint("its folder must be one that the gateway's user can write to")
                    })?;
                }
                self.content(path, opened)?
            }
        };
        Ok(Some(content))
    }

    /// Whether what `reference` leads to is still to be made: no gateway that runs has had it.
    pub(super) fn lacks(&self, reference: &Reference) -> bool {
        let Reference::Generated(path) = reference else {
            return false;
        };
        self.reads_files()
            && matches!(self.is_there(path), Ok(false))
            && !self.in_force.contains(self.directory.join(path).as_path())
    }

    /// Whether a secret that is made where it is missing is there. One that cannot be looked at may well be.
    fn is_there(&self, path: &Path) -> Result<bool, Closed> {
        self.folders_can_be(path)?;
        let found = self.directory.join(path).try_exists();
        found.map_err(|error| unreadable(path, &error))
    }

    /// Whether nothing but folders stands where the folders of `path` are, or are to be.
    fn folders_can_be(&self, path: &Path) -> Result<(), Closed> {
        let is_in_the_way = |folder: &&Path| {
            let there = self.directory.join(folder);
            there.exists() && !there.is_dir()
        };
        let Some(found) = path.ancestors().skip(1).find(is_in_the_way) else {
            return Ok(());
        };
        let (path, found) = (path.display(), found.display());
        let message = format!("`{path}` cannot be made: `{found}` is in the way");
        Err(Closed::new(message).hint(format!("`{found}` is a file: a folder is needed there")))
    }

    /// Reads a public key, which others may read as well.
    pub(super) fn public(&self, reference: &PublicReference) -> Result<Opened, Closed> {
        let Reference::File(path) = &reference.0 else {
            let mut opened = self.open(&reference.0)?;
            opened.warnings.clear();
            return Ok(opened);
        };
        self.pem(&SecretFile(path.clone()), false)
    }

    /// Reads a private key in PEM or as a JWK, which nobody else may read.
    pub(super) fn private(&self, reference: &PublicReference) -> Result<Opened, Closed> {
        match &reference.0 {
            Reference::File(path) => self.pem(&SecretFile(path.clone()), true),
            other => self.open(other),
        }
    }

    /// Reads a certificate or its key. `private` warns when others can read it too.
    pub(super) fn pem(&self, file: &SecretFile, private: bool) -> Result<Opened, Closed> {
        let mut opened = Opened::default();
        if self.mode == Mode::Text {
            return Ok(opened);
        }
        let content = self.content(&file.0, &mut opened)?;
        if !private {
            opened.warnings.clear();
        }
        opened.secret = Some(Secret::new(content.to_vec()));
        Ok(opened)
    }

    fn content(&self, path: &Path, opened: &mut Opened) -> Result<Zeroizing<Vec<u8>>, Closed> {
        let there = self.directory.join(path);
        let (content, metadata) =
            read(&there, MAX_FILE).map_err(|error| unreadable(path, &error))?;
        opened
            .warnings
            .extend(open_to_others(path, &metadata, &Us::now()));
        opened.file = Some(there);
        Ok(content)
    }
}

/// What to do about a file that is closed to us.
pub(super) const READABLE: &str =
    "the user that the gateway runs as must be allowed to read it; run commands as that user";

fn unreadable(path: &Path, error: &io::Error) -> Closed {
    let closed = Closed::new(format!("`{}` cannot be read: {error}", path.display()));
    match error.kind() {
        io::ErrorKind::NotFound => closed.hint("paths are relative to this file's folder"),
        io::ErrorKind::PermissionDenied => closed.hint(READABLE),
        _ => closed,
    }
}

/// Reads a whole file of at most `limit` bytes, and what the system knows of it. What is no
/// file is not opened: a pipe would make us wait.
pub(super) fn read(path: &Path, limit: u64) -> io::Result<(Zeroizing<Vec<u8>>, fs::Metadata)> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.len() > limit {
        return Err(io::Error::other(format!("it has more than {limit} bytes")));
    }
    // Room for all of it at once: a buffer that grows leaves copies behind.
    let mut content = Zeroizing::new(Vec::with_capacity(metadata.len() as usize + 1));
    file.take(limit).read_to_end(&mut content)?;
    Ok((content, metadata))
}

/// Whether a secret's text says itself how it is written.
pub(crate) fn says_how(content: &[u8]) -> bool {
    content.starts_with(b"base64:") || content.starts_with(b"hex:")
}

/// The bytes that a secret's text stands for, and what is to be told when a newline is one of them.
pub(crate) fn decode(content: &[u8]) -> Result<(Secret, Option<Beware>), Closed> {
    if let Some(text) = content.strip_prefix(b"base64:") {
        let text = text.trim_ascii_end();
        // Padded or not, in either alphabet: all four are what tools print.
        let decoded = [BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD]
            .iter()
            .find_map(|encoding| encoding.decode(text).ok());
        return match decoded {
            Some(bytes) => Ok((Secret::new(bytes), None)),
            None => Err(Closed::new("what stands after `base64:` is not base64")
                .hint("`openssl rand -base64 32` prints a good one")),
        };
    }
    if let Some(text) = content.strip_prefix(b"hex:") {
        return match HEXLOWER_PERMISSIVE.decode(text.trim_ascii_end()) {
            Ok(bytes) => Ok((Secret::new(bytes), None)),
            Err(_) => Err(Closed::new("what stands after `hex:` is not hexadecimal")
                .hint("`openssl rand -hex 32` prints a good one")),
        };
    }
    if let Some(made) = made_and_redirected(content) {
        return Ok((Secret::new(made.to_vec()), None));
    }
    let beware = content.ends_with(b"\n").then_some(NEWLINE);
    Ok((Secret::new(content.to_vec()), beware))
}

/// A key of our making without the line end behind it, as one has who redirects what prints it: that is none of
/// its characters, and its check sum says that nothing else is missing.
fn made_and_redirected(content: &[u8]) -> Option<&[u8]> {
    let line = content.strip_suffix(b"\n")?;
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let text = std::str::from_utf8(line).ok()?;
    Printed::read(Kind::Secret, text).ok().map(|_| line)
}

/// Fresh random bytes, as the secret of a key is written.
fn fresh() -> Zeroizing<String> {
    let mut bytes = Zeroizing::new([0; GENERATED]);
    crypto::random(&mut *bytes);
    Zeroizing::new(format!("base64:{}\n", BASE64.encode(&*bytes)))
}

/// Writes the secret that `make` makes. Of two processes that do so at the
/// same time one wins, and both read the winner's.
fn generate(path: &Path, make: fn() -> Zeroizing<String>) -> io::Result<()> {
    let folder = crate::store::folder_of(path);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    let text = make();
    // Mode 0600, whole and on disk before it gets its name.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => File::open(folder)?.sync_all(),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error.error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt as _;

    fn places(directory: &Path, mode: Mode) -> Places<'_> {
        Places::new(directory, &|_| None, mode)
    }

    #[test]
    fn a_generated_secret_is_made_once_and_only_we_can_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let reference = Reference::Generated("deep/key".into());
        let checked = places(folder.path(), Mode::Check).open(&reference).unwrap();
        assert!(checked.secret.is_none());
        assert!(!folder.path().join("deep").exists());

        let serve = places(folder.path(), Mode::Serve);
        let first = serve.open(&reference).unwrap();
        let second = serve.open(&reference).unwrap();
        assert!(first.warnings.is_empty());
        let bytes = |opened: &Opened| opened.secret.as_ref().unwrap().expose().to_vec();
        assert_eq!(bytes(&first), bytes(&second));
        assert_eq!(bytes(&first).len(), GENERATED);
        let mode = |path: &str| fs::metadata(folder.path().join(path)).unwrap().mode() & 0o777;
        assert_eq!((mode("deep"), mode("deep/key")), (0o700, 0o600));
    }

    #[test]
    fn a_generated_secret_that_a_running_gateway_goes_on_with_is_made_no_second_time() {
        let folder = tempfile::tempdir().unwrap();
        let had = folder.path().join("had");
        let reference = |name: &str| Reference::Generated(name.into());
        for mode in [Mode::Check, Mode::Serve] {
            let mut places = places(folder.path(), mode);
            places.in_force.insert(&had);
            let closed = places.open(&reference("./had")).unwrap_err();
            let message = "`./had` is gone; what it held is still in force";
            assert_eq!(closed.message, message);
            assert!(closed.hint.is_some());
            assert!(!places.lacks(&reference("had")) && !had.exists());
            // One that it has never had is made as ever.
            assert!(mode == Mode::Serve || places.lacks(&reference("new")));
            let opened = places.open(&reference("new")).unwrap();
            assert_eq!(opened.secret.is_some(), mode == Mode::Serve);
        }
    }

    #[test]
    fn a_file_where_a_folder_is_needed_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("state"), "").unwrap();
        for path in ["state/key", "state/deep/key"] {
            let reference = Reference::Generated(path.into());
            for mode in [Mode::Check, Mode::Serve] {
                let closed = places(folder.path(), mode).open(&reference).unwrap_err();
                let message = format!("`{path}` cannot be made: `state` is in the way");
                assert_eq!(closed.message, message);
                let hint = closed.hint.unwrap();
                assert_eq!(hint, "`state` is a file: a folder is needed there");
            }
        }
    }

    #[test]
    fn a_generated_secret_that_cannot_be_looked_at_is_not_taken_for_one_to_be_made() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("state", folder.path().join("state")).unwrap();
        let reference = Reference::Generated("state/key".into());
        for mode in [Mode::Check, Mode::Serve] {
            let closed = places(folder.path(), mode).open(&reference).unwrap_err();
            let told = closed.message;
            assert!(told.starts_with("`state/key` cannot be read: "), "{told}");
        }
    }

    #[test]
    fn processes_that_generate_at_once_agree() {
        let folder = tempfile::tempdir().unwrap();
        let reference = Reference::Generated("key".into());
        let open = || {
            let opened = places(folder.path(), Mode::Serve).open(&reference).unwrap();
            opened.secret.unwrap().expose().to_vec()
        };
        let all: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        assert!(all.iter().all(|one| *one == all[0]));
    }

    #[test]
    fn a_secret_is_read_as_base64_as_hex_or_as_it_is() {
        for (text, bytes, newline) in [
            (&b"base64:AQID\n"[..], &[1, 2, 3][..], false),
            (b"base64:AQIDBA", &[1, 2, 3, 4], false),
            (b"base64:_-8=", &[255, 239], false),
            (b"hex:0aFF\r\n", &[10, 255], false),
            (b"raw", b"raw", false),
            (b"raw\n", b"raw\n", true),
        ] {
            let (secret, beware) = decode(text).unwrap();
            let beware = beware.is_some();
            assert_eq!((secret.expose(), beware), (bytes, newline));
        }
        for text in [&b"base64:?"[..], b"hex:0", b"hex:0g"] {
            assert!(decode(text).is_err());
        }
    }

    #[test]
    fn a_line_end_behind_a_key_of_our_making_is_no_part_of_it() {
        let made = Printed::new(Kind::Secret);
        let text = made.expose();
        for end in ["", "\n", "\r\n"] {
            let (secret, beware) = decode(format!("{text}{end}").as_bytes()).unwrap();
            assert_eq!(
                (secret.expose(), beware),
                (text.as_bytes(), None),
                "{end:?}"
            );
        }
        // One line end only, and only behind what is such a key.
        for other in [
            format!("{text}\n\n"),
            format!("{text} \n"),
            format!("{text}0\n"),
        ] {
            let (secret, beware) = decode(other.as_bytes()).unwrap();
            let expected = (other.as_bytes(), Some(NEWLINE));
            assert_eq!((secret.expose(), beware), expected, "{other:?}");
        }
    }

    #[test]
    fn what_is_no_file_is_not_opened() {
        let reference = Reference::File("/dev/zero".into());
        let closed = places(Path::new("."), Mode::Serve)
            .open(&reference)
            .unwrap_err();
        assert_eq!(
            closed.message,
            "`/dev/zero` cannot be read: it is not a file"
        );
    }
}
