//! `[state] registry` and `master_key`.

use super::Gathered;
use crate::apps::made::MasterKey;
use crate::config::file::State;
use crate::config::gather::Draft;
use crate::config::read::At;
use crate::config::secrets::{Places, Reference};
use crate::crypto;
use crate::secret::Secret;
use crate::store::registry::{Settings, Teller, probe_of, sealed_under_another};
use std::path::Path;

/// The file's name in `[state] directory`.
const FILE: &str = "portcullis.redb";
/// The master key's, unless it is said where that is.
const MASTER_KEY: &str = "master.key";

/// There is a problem, which stands among the others.
pub(super) struct Told;

/// The registry; `None` where it is off.
pub(super) fn registry(
    state: &State,
    places: &Places<'_>,
    gathered: &mut Gathered<'_>,
) -> Result<Option<Settings>, Told> {
    let directory = Path::new(&state.directory.0);
    let path = match &state.registry {
        None => Some(directory.join(FILE)),
        Some(place) => place.value.0.clone(),
    };
    let Some(path) = path else {
        if let Some(at) = &state.master_key {
            let draft = at.problem("the registry is off: there is nothing to seal");
            gathered.problem(draft.hint("take `master_key` away").warning());
        }
        return Ok(None);
    };
    let there = places.directory.join(&path);
    // The directory is one, or will be by the first start.
    let is_folder = path == directory || (places.reads_files() && there.is_dir());
    if let (true, Some(at)) = (is_folder, &state.registry) {
        let draft = at.problem(format!("`{}` is a folder", path.display()));
        let hint = format!("a file in it: `redb:{}`", path.join(FILE).display());
        gathered.problem(draft.accepted("accepted: a file").hint(hint));
        return Err(Told);
    }
    let usual = || At {
        value: Reference::Generated(directory.join(MASTER_KEY)),
        span: 0..0,
        key: "state.master_key".to_owned(),
    };
    let at = state.master_key.clone().unwrap_or_else(usual);
    // Another one would open nothing, and be taken for the right one by who makes the next copy. Looked at in this
    // order: a first start beside us makes the key before the registry.
    let is_there = !matches!(there.try_exists(), Ok(false));
    if is_there && places.lacks(&at.value) {
        let (key, path) = (&at.value, path.display());
        let found = format!("`{key}` is missing, and `{path}` is sealed under it");
        let hint = format!(
            "bring it back from a copy; where there is none, move `{path}` away: both are made anew, and empty"
        );
        gathered.problem(at.problem(found).hint(hint));
        return Err(Told);
    }
    let opened = places.open(&at.value);
    let secret = gathered.take(&at, opened).ok_or(Told)?.secret;
    let is_had = secret.is_some();
    // One that is still to be made, or was not read.
    let secret = secret.unwrap_or_else(nobodys);
    let master = match MasterKey::new(&secret) {
        Ok(master) => master,
        Err(bad) => {
            let hint = "`openssl rand -base64 32` prints a good one; write `base64:` before it";
            gathered.problem(at.problem(bad.to_string()).hint(hint));
            return Err(Told);
        }
    };
    let settings = Settings {
        path: there,
        master,
    };
    // Told before a gateway that has the registry is asked to leave it. One that runs goes on with the key it has.
    if is_there
        && is_had
        && places.in_force.is_empty()
        && let Some(teller) = sealed_under_another(&settings)
    {
        gathered.problem(other_key(&at, &path, teller));
        return Err(Told);
    }
    Ok(Some(settings))
}

fn other_key(at: &At<Reference>, path: &Path, teller: Teller) -> Draft {
    let (key, registry) = (&at.value, path.display());
    let found = format!("`{key}` is another master key than `{registry}` is sealed under");
    let hint = match teller {
        Teller::Registry => format!(
            "bring the right one back from a copy; where there is none, move `{registry}` away: it is made anew, and empty"
        ),
        Teller::Probe => format!(
            "bring the right one back; another process has the registry, so that `{}` tells it: where that is left of an earlier registry, remove it",
            probe_of(path).display()
        ),
    };
    let accepted = "accepted: the key that it was made with";
    at.problem(found).accepted(accepted).hint(hint)
}

fn nobodys() -> Secret {
    let mut bytes = vec![0; 32];
    crypto::random(&mut bytes);
    Secret::new(bytes)
}
