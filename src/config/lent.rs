//! Whom a secret's file is open to.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// The user that we run as, and the groups that it is in.
pub(super) struct Us {
    user: u32,
    groups: Vec<u32>,
}

impl Us {
    pub(super) fn now() -> Self {
        let mut groups: Vec<u32> = rustix::process::getgroups()
            .unwrap_or_default()
            .into_iter()
            .map(rustix::process::Gid::as_raw)
            .collect();
        groups.push(rustix::process::getegid().as_raw());
        Self {
            user: rustix::process::geteuid().as_raw(),
            groups,
        }
    }
}

/// What is told of a secret's file that others than its reader are let at. Of another owner's it is the group that
/// lets us read it: if that were closed, we were shut out.
pub(super) fn open_to_others(path: &Path, of: &Metadata, us: &Us) -> Option<(String, String)> {
    // The superuser reads whatever the mode: to him it is the gateway's group that a file of another group is lent to.
    let is_lent = if us.user == 0 {
        of.gid() != 0
    } else {
        of.uid() != us.user && us.groups.contains(&of.gid())
    };
    let (closed, mode) = if is_lent { (0o027, 640) } else { (0o077, 600) };
    let path = path.display();
    (of.mode() & closed != 0).then(|| {
        let what = format!("others can read `{path}` (mode {:04o})", of.mode() & 0o7777);
        let what_to_do = if us.user == 0 || of.uid() == us.user || is_lent {
            format!("`chmod {mode} {path}`")
        } else {
            format!("it is not the gateway's own: `chown` it to the user that the gateway runs as, then `chmod {mode} {path}`")
        };
        (what, what_to_do)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    /// The hint at a file of this mode, to such a user.
    fn hint(mode: u32, us: &Us) -> Option<String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::set_permissions(file.path(), Permissions::from_mode(mode)).unwrap();
        let of = file.as_file().metadata().unwrap();
        open_to_others(Path::new("key"), &of, us).map(|(_, hint)| hint)
    }

    #[test]
    fn a_file_that_its_group_lets_us_read_is_not_to_be_closed_to_the_group() {
        let file = tempfile::tempfile().unwrap().metadata().unwrap();
        let stranger = file.uid() + 1;
        let lent = Us {
            user: stranger,
            groups: vec![file.gid() + 1, file.gid()],
        };
        assert_eq!(hint(0o640, &lent), None);
        assert_eq!(hint(0o440, &lent), None);
        for mode in [0o644, 0o660] {
            assert_eq!(hint(mode, &lent).unwrap(), "`chmod 640 key`");
        }
        let owner = Us {
            user: file.uid(),
            groups: vec![file.gid()],
        };
        assert_eq!(hint(0o600, &owner), None);
        assert_eq!(hint(0o640, &owner).unwrap(), "`chmod 600 key`");
        let neither = Us {
            user: stranger,
            groups: Vec::new(),
        };
        let hint = hint(0o644, &neither).unwrap();
        assert!(hint.contains("`chown` it to the user"), "{hint}");
    }
}
