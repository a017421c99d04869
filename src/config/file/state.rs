//! `[state]` as written.

use crate::config::read::At;
use crate::config::registry::RegistryPlace;
use crate::config::secrets::Reference;
use crate::config::table::table;
use crate::config::times::Period;
use crate::config::values::Text;

table! {
    /// What must outlive the process.
    pub struct State {
        /// The folder for it, relative to this file's folder.
        pub directory: Text = "state",
        /// How long to wait at the start for another gateway that still has the folder, and is about to end. Only
        /// where our sockets were handed over to us; else a folder in use is an error at once.
        pub wait: Period = "60s",
        /// Where apps are kept that are made at run time: `"redb:PATH"`, one file, relative to this file's folder, or
        /// `"off"`. Where it is not said, `portcullis.redb` in `directory`. See docs/registry.md.
        pub registry: Option<At<RegistryPlace>>,
        /// The secret that seals the secrets in it, and that static keys in it are hashed under. Where it is not said, a
        /// file in `directory` that is made at the first start, `master.key`. Without it no secret there can be read.
        pub master_key: Option<At<Reference>>,
    }
}
