//! Tables whose keys we name: each is written once, as a struct, and that is
//! its reader and its documentation too.

use super::read::{Found, Table, Value};
use super::shape::{Presence, Shape};

/// The field of a table: `T` with a default, `Option<T>`, or [`Required`].
pub(super) trait Field: Sized {
    /// Reads what stands under the key, if anything does.
    fn read(
        found: Option<&Found<'_>>,
        default: Option<&'static str>,
        table: &mut Table<'_, '_>,
    ) -> Self;

    /// What it takes.
    fn shape() -> Shape;

    /// Whether it can be left out.
    fn presence(default: Option<&'static str>) -> Presence;
}

/// A value that must be there. Without it there is a problem, and no configuration.
#[derive(Debug)]
pub(super) struct Required<T>(Option<T>);

impl<T> Required<T> {
    /// The value, unless there is a problem with it.
    pub(super) const fn get(&self) -> Option<&T> {
        self.0.as_ref()
    }
}

impl<T: Value> Field for T {
    fn read(
        found: Option<&Found<'_>>,
        default: Option<&'static str>,
        table: &mut Table<'_, '_>,
    ) -> Self {
        let default = default.expect("a field that is neither optional nor required has a default");
        found
            .and_then(|found| T::read(found, table.reader))
            .unwrap_or_else(|| table.default(default))
    }

    fn shape() -> Shape {
        <T as Value>::shape()
    }

    fn presence(default: Option<&'static str>) -> Presence {
        Presence::Default(default.unwrap_or_default())
    }
}

impl<T: Value> Field for Option<T> {
    fn read(found: Option<&Found<'_>>, _: Option<&'static str>, table: &mut Table<'_, '_>) -> Self {
        found.and_then(|found| T::read(found, table.reader))
    }

    fn shape() -> Shape {
        <T as Value>::shape()
    }

    fn presence(_: Option<&'static str>) -> Presence {
        Presence::Optional
    }
}

impl<T: Value> Field for Required<T> {
    fn read(found: Option<&Found<'_>>, _: Option<&'static str>, table: &mut Table<'_, '_>) -> Self {
        let Some(found) = found else {
            table.missing(&<T as Value>::shape());
            return Self(None);
        };
        Self(T::read(found, table.reader))
    }

    fn shape() -> Shape {
        <T as Value>::shape()
    }

    fn presence(_: Option<&'static str>) -> Presence {
        Presence::Required
    }
}

/// Writes a table once: as a struct, as its reader, as its documentation.
macro_rules! table {
    ($(#[doc = $about:literal])* pub struct $name:ident {
        $($(#[doc = $doc:literal])* pub $field:ident: $kind:ty $(= $default:tt)?,)*
    }) => {
        $(#[doc = $about])*
        #[derive(Debug)]
        pub(in crate::config) struct $name {
            $($(#[doc = $doc])* pub(in crate::config) $field: $kind,)*
        }

        impl $crate::config::read::Value for $name {
            fn read(
                found: &$crate::config::read::Found<'_>,
                reader: &mut $crate::config::read::Reader<'_>,
            ) -> Option<Self> {
                const NAMES: &[&str] = &[$($crate::config::table::name_of(stringify!($field))),*];
                let (mut table, found) =
                    reader.open(found, NAMES, <Self as $crate::config::read::Value>::shape)?;
                Some(Self {
                    $($field: table.field(found, $crate::config::table::name_of(stringify!($field)), table!(@default $($default)?)),)*
                })
            }

            fn shape() -> $crate::config::shape::Shape {
                $crate::config::shape::Shape::Table($crate::config::shape::TableShape {
                    about: $crate::config::shape::paragraph(&[$($about),*]),
                    fields: vec![$($crate::config::shape::FieldShape {
                        name: $crate::config::table::name_of(stringify!($field)),
                        about: $crate::config::shape::paragraph(&[$($doc),*]),
                        shape: <$kind as $crate::config::table::Field>::shape(),
                        presence: <$kind as $crate::config::table::Field>::presence(
                            table!(@default $($default)?),
                        ),
                    }),*],
                })
            }
        }
    };
    (@default) => { None };
    (@default $default:tt) => { Some(stringify!($default)) };
}

/// The key of a field; one that is a word of the language stands as `r#word`.
pub(super) const fn name_of(field: &'static str) -> &'static str {
    match field.as_bytes() {
        [b'r', b'#', ..] => field.split_at(2).1,
        _ => field,
    }
}

pub(super) use table;
