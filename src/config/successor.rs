//! A file that may follow the configuration of a gateway that runs.

use super::secrets::{Mode, Places};
use super::{Config, Loaded, Report};
use std::path::{Path, PathBuf};

/// The text of a file, read once: what is looked at is what is run on then.
pub(crate) struct Successor<'a> {
    path: &'a Path,
    name: String,
    text: String,
    /// The files that the gateway runs on.
    in_force: &'a [PathBuf],
}

impl<'a> Successor<'a> {
    /// Reads the file at `path`, for a gateway that runs on the files `in_force`.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub(crate) fn read(path: &'a Path, in_force: &'a [PathBuf]) -> Result<Self, Report> {
        let name = path.display().to_string();
        let text = super::text_of(path, &name)?;
        Ok(Self {
            path,
            name,
            text,
            in_force,
        })
    }

    /// Looks at it; makes nothing.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(crate) fn check(&self) -> Result<Loaded, Report> {
        self.understand(Mode::Check)
    }

    /// To run on it: `generated:` secrets that are new are made. One that is in force and gone is a problem.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(crate) fn load(&self) -> Result<Loaded, Report> {
        self.understand(Mode::Serve)
    }

    pub(super) fn understand(&self, mode: Mode) -> Result<Loaded, Report> {
        let mut places = Places::new(crate::store::folder_of(self.path), &super::variable, mode);
        places.in_force = self.in_force.iter().map(PathBuf::as_path).collect();
        let mut loaded = Config::understand(&self.text, &self.name, &places)?;
        loaded.config.files.insert(0, self.path.to_owned());
        Ok(loaded)
    }
}
