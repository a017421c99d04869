//! Apps that are made at run time: their records, what may be done to them,
//! and what is needed from a store that keeps them.
//!
//! In: what an operator or the key service wants. Out: [`Write`]s for a
//! [`Store`], and what it holds. Nothing here knows how it is stored, and
//! time comes in as an argument.

pub mod live;

mod audit;
mod life;
mod printed;
mod records;
mod rotate;
mod seal;
mod store;
mod words;

pub use audit::{AuditEntry, Log, Outcome};
pub use life::{KeyState, Life, NotSo};
pub use printed::{BadPrint, Kind, PATTERN, Printed};
pub use records::{
    AppRecord, EnrolmentRecord, InstanceRecord, KeyRecord, KeyUses, MAX_RECORD, Material, Record,
    Revision, Sealed, Target, is_key_id, is_name, is_scope,
};
pub use rotate::{NotRotated, Overlap, rotate};
pub use seal::{MasterKey, NotOpened};
pub use store::{
    Change, Expect, MAX_CHANGES, MAX_KEYS, MAX_PAGE, Page, Paged, Store, Touched, Unreadable,
    Watcher, Whole, Write, WriteError,
};
