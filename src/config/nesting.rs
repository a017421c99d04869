//! Keys in a table within their own: in TOML whatever follows `[server.drain]` is of that.

use super::file::File;
use super::read::{Step, Value as _, key_of};
use super::shape::Shape;

/// What to do about a key of this name that is unknown at `path`, where a table above has one.
pub(super) fn hint(path: &[Step], name: &str) -> Option<String> {
    let mut shape = File::shape();
    let mut above = None;
    for (depth, step) in path.iter().enumerate() {
        if let Shape::Table(table) = &shape
            && table.fields.iter().any(|field| field.name == name)
        {
            above = Some(depth);
        }
        shape = within(shape, step)?;
    }
    let (above, _) = path.split_at(above?);
    let table = key_of(above);
    if table.is_empty() {
        return Some(format!(
            "`{name}` stands at the top of the file, within no other table"
        ));
    }
    // Not before the one that it is in: that may come behind others.
    Some(format!(
        "it is a key of `{table}`: write it before any table within that begins"
    ))
}

/// What stands at `step` of what looks like `shape`.
fn within(shape: Shape, step: &Step) -> Option<Shape> {
    match (shape, step) {
        (Shape::Table(table), Step::Key(name)) => {
            let mut fields = table.fields.into_iter();
            let field = fields.find(|field| field.name == *name);
            field.map(|field| field.shape)
        }
        (Shape::Named(item), Step::Name(_))
        | (Shape::List(item) | Shape::OneOrMore(item), Step::Index(_)) => Some(*item),
        (Shape::OneOrMore(item), _) => within(*item, step),
        (Shape::Either(shapes), _) => shapes.into_iter().find_map(|shape| within(shape, step)),
        _ => None,
    }
}
