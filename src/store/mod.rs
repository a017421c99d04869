//! What must be remembered, behind the traits of the rooms that need it.

pub mod embedded;
