//! What benches have in common that compare operations of microseconds: groups whose members take turns, and a table
//! of the ratios.

mod asked;
mod measure;
pub(crate) mod table;

pub(crate) use asked::{Asked, run};

use std::hint::black_box;

/// One thing to be done again and again.
pub(crate) type Op = Box<dyn Fn()>;

/// What takes turns.
pub(crate) struct Group {
    pub(crate) name: String,
    /// What nobody can do without, over the very same texts.
    pub(crate) bare: Option<Bare>,
    /// The good one first.
    pub(crate) cases: Vec<Case>,
    /// Whether it is proven by hashing alone.
    pub(crate) is_hashed: bool,
}

pub(crate) struct Bare {
    pub(crate) name: &'static str,
    pub(crate) run: Op,
}

pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) run: Op,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Good,
    Bad,
    /// What must not be told from a good one by a stopwatch.
    Alike,
    /// Held against nothing.
    Other,
}

impl Group {
    pub(crate) fn of(name: &str, bare: Option<Bare>, cases: Vec<Case>) -> Self {
        Self {
            name: name.to_owned(),
            bare,
            cases,
            is_hashed: false,
        }
    }

    pub(crate) fn hashed(name: &str, bare: Bare, cases: Vec<Case>) -> Self {
        Self {
            is_hashed: true,
            ..Self::of(name, Some(bare), cases)
        }
    }
}

/// Lives as long as the bench.
pub(crate) fn keep<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

pub(crate) fn bare<T>(name: &'static str, run: impl Fn() -> T + 'static) -> Bare {
    let run = Box::new(move || {
        black_box(run());
    });
    Bare { name, run }
}

pub(crate) fn case<T>(name: &'static str, kind: Kind, run: impl Fn() -> T + 'static) -> Case {
    let run = Box::new(move || {
        black_box(run());
    });
    Case { name, kind, run }
}
