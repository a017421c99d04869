//! The registry's probe once more, in a file beside it: so a master key can be tried while another process has the
//! registry, which nobody else can open then.
//!
//! It is a copy, and may be an old one: of a registry that lay there before. So it has the last word only where the
//! registry itself cannot be asked, and whoever opens that sees to it that the copy is its own.

use super::Settings;
use super::open::{self, OpenError, Opened};
use crate::crypto::digest::sha256;
use crate::store::whole;
use data_encoding::BASE64;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// Bytes it may have. What is longer is none of ours.
const LONGEST: u64 = 1024;
/// Bytes of the check sum: what is damaged says nothing.
const CHECK: usize = 8;

/// What tells that a registry is sealed under another master key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Teller {
    /// The registry itself.
    Registry,
    /// The probe beside it, while another process has the registry.
    Probe,
}

/// Where the probe of the registry at `path` lies.
pub fn probe_of(path: &Path) -> PathBuf {
    open::beside(path, "probe")
}

/// Whether the registry is known to be sealed under another master key than this one. Waits for nobody, and writes
/// nothing. Where there is no probe, or it knows the key, nothing is known: that is found as the registry is opened.
pub fn sealed_under_another(settings: &Settings) -> Option<Teller> {
    let Settings { path, master } = settings;
    if master.made(&read(path)?) {
        return None;
    }
    match open::tried(path, master) {
        Err(OpenError::OtherMasterKey { .. }) => Some(Teller::Registry),
        Err(OpenError::InUse { .. }) => Some(Teller::Probe),
        _ => None,
    }
}

/// Sees to it that the one beside the registry at `path` is its own. Where it cannot be, only the warning is lost.
pub(super) fn keep(path: &Path, opened: &Opened) {
    let Ok((_, Some(probe))) = open::told(&opened.database) else {
        return;
    };
    if read(path).is_none_or(|found| found != probe)
        && let Err(why) = write(path, &probe)
        // Of one that is only read that was told.
        && opened.unwritable.is_none()
    {
        let path = probe_of(path);
        let path = path.display();
        tracing::warn!(%path, %why, "what knows the master key again cannot be written: another key is only found as the registry is opened");
    }
}

/// What stands in it, where it is there and whole.
fn read(path: &Path) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    let file = File::open(probe_of(path)).ok()?;
    file.take(LONGEST).read_to_end(&mut text).ok()?;
    let mut probe = BASE64.decode(text.trim_ascii_end()).ok()?;
    let check = probe.split_off(probe.len().checked_sub(CHECK)?);
    (check == check_of(&probe)).then_some(probe)
}

fn write(path: &Path, probe: &[u8]) -> io::Result<()> {
    let place = probe_of(path);
    if place.metadata().is_ok_and(|there| there.len() > LONGEST) {
        return Err(io::Error::other("another file has its name"));
    }
    let text = BASE64.encode(&[probe, &check_of(probe)].concat());
    let name = place.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
    whole::write(
        whole::folder_of(&place),
        name,
        format!("{text}\n").as_bytes(),
    )
}

fn check_of(probe: &[u8]) -> [u8; CHECK] {
    let mut check = [0; CHECK];
    check.copy_from_slice(&sha256(&[probe])[..CHECK]);
    check
}

#[cfg(test)]
mod tests {
    use super::super::Registry;
    use super::*;
    use crate::apps::made::MasterKey;
    use crate::secret::Secret;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    /// The registry of this name, with the master key of this number.
    fn of(folder: &Path, name: &str, key: u8) -> Settings {
        Settings {
            path: folder.join(name),
            master: MasterKey::new(&Secret::new(vec![key; 32])).unwrap(),
        }
    }

    fn open(settings: &Settings) -> Registry {
        Registry::open(settings).unwrap()
    }

    #[test]
    fn another_master_key_is_found_whoever_has_the_registry() {
        let folder = tempfile::tempdir().unwrap();
        let [right, wrong] = [1, 2].map(|key| of(folder.path(), "apps.redb", key));
        assert_eq!(sealed_under_another(&wrong), None, "there is none yet");
        let registry = open(&right);
        assert_eq!(sealed_under_another(&wrong), Some(Teller::Probe));
        assert_eq!(sealed_under_another(&right), None);
        let mode = fs::metadata(probe_of(&right.path)).unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
        drop(registry);
        let before = fs::read(&right.path).unwrap();
        assert_eq!(sealed_under_another(&wrong), Some(Teller::Registry));
        assert_eq!(sealed_under_another(&right), None);
        assert!(fs::read(&right.path).unwrap() == before, "it was changed");
    }

    #[test]
    fn a_probe_that_is_left_of_an_earlier_registry_shuts_nobody_out_and_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let [first, second] = [1, 2].map(|key| of(folder.path(), "apps.redb", key));
        drop(open(&first));
        fs::remove_file(&first.path).unwrap();
        let elsewhere = of(folder.path(), "copy.redb", 2);
        drop(open(&elsewhere));
        fs::rename(&elsewhere.path, &second.path).unwrap();
        assert_eq!(sealed_under_another(&second), None);
        let _registry = open(&second);
        assert_eq!(sealed_under_another(&second), None);
        assert_eq!(sealed_under_another(&first), Some(Teller::Probe));
    }

    #[test]
    fn a_probe_of_another_registry_under_the_same_key_becomes_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let [one, two] = ["one.redb", "two.redb"].map(|name| of(folder.path(), name, 1));
        drop((open(&one), open(&two)));
        let own = fs::read(probe_of(&one.path)).unwrap();
        fs::copy(probe_of(&two.path), probe_of(&one.path)).unwrap();
        drop(open(&one));
        assert!(fs::read(probe_of(&one.path)).unwrap() == own);
    }

    #[test]
    fn one_that_is_missing_or_damaged_tells_nothing_until_the_registry_is_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let [right, wrong] = [1, 2].map(|key| of(folder.path(), "apps.redb", key));
        drop(open(&right));
        let place = probe_of(&right.path);
        let whole = fs::read(&place).unwrap();
        let mut changed = whole.clone();
        changed[20] ^= 1;
        for left in [None, Some(&b""[..]), Some(&changed), Some(&whole[..40])] {
            match left {
                None => fs::remove_file(&place).unwrap(),
                Some(text) => fs::write(&place, text).unwrap(),
            }
            let registry = open(&right);
            assert!(fs::read(&place).unwrap() == whole);
            drop(registry);
            match left {
                None => fs::remove_file(&place).unwrap(),
                Some(text) => fs::write(&place, text).unwrap(),
            }
            assert_eq!(sealed_under_another(&wrong), None, "{left:?}");
        }
    }

    #[test]
    fn a_registry_opens_where_no_probe_can_be_written_and_what_is_none_of_ours_stays() {
        let folder = tempfile::tempdir().unwrap();
        let [right, wrong] = [1, 2].map(|key| of(folder.path(), "apps.redb", key));
        let place = probe_of(&right.path);
        fs::create_dir(&place).unwrap();
        drop(open(&right));
        assert_eq!(sealed_under_another(&wrong), None);
        fs::remove_dir(&place).unwrap();
        // Whoever gives a registry such a name does not lose it.
        let named = of(folder.path(), "apps.redb.probe", 2);
        drop(open(&named));
        drop(open(&right));
        drop(open(&named));
    }
}
