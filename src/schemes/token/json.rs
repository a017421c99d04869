//! JSON read strictly: every name once, a bounded depth, whole numbers apart
//! from others. Two readers that keep different ones of two equal names would
//! see different tokens.

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Deserializer;
use std::borrow::Cow;
use std::fmt;

/// How deep values may nest; the outermost object is the first.
pub(crate) const MAX_DEPTH: usize = 8;
/// Members an object may have.
pub(crate) const MAX_MEMBERS: usize = 256;

/// A JSON value, borrowed where nothing in it is escaped.
#[derive(Debug, PartialEq)]
pub(crate) enum Json<'j> {
    Text(Cow<'j, str>),
    Integer(i64),
    /// A number that is written with a fraction or an exponent, or has no room in 64 bits.
    Fraction(f64),
    List(Vec<Json<'j>>),
    Object(Vec<(Cow<'j, str>, Json<'j>)>),
    /// `null`, `true`, `false`, or a whole number beyond the largest [`Json::Integer`]: nothing we ask for.
    Other,
}

/// The text is no JSON object, or not one that has a single reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a JSON object with every name once, at most {MAX_DEPTH} deep and {MAX_MEMBERS} wide")]
pub(crate) struct BadJson;

/// The members of an object, in order.
pub(crate) type Members<'j> = Vec<(Cow<'j, str>, Json<'j>)>;

/// What an object says under a name.
pub(crate) fn member<'m, 'j>(
    members: &'m [(Cow<'j, str>, Json<'j>)],
    name: &str,
) -> Option<&'m Json<'j>> {
    let found = members.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value)
}

/// The members of the object that `bytes` hold.
pub(crate) fn read_object(bytes: &[u8]) -> Result<Members<'_>, BadJson> {
    read_object_or_place(bytes).map_err(|_| BadJson)
}

/// The same; where it fails, the line and the column at which it does, from 1.
pub(crate) fn read_object_or_place(bytes: &[u8]) -> Result<Members<'_>, (usize, usize)> {
    let place = |error: serde_json::Error| (error.line(), error.column());
    let mut reader = Deserializer::from_slice(bytes);
    let value = Value { depth: 1 }.deserialize(&mut reader).map_err(place)?;
    reader.end().map_err(place)?;
    match value {
        Json::Object(members) => Ok(members),
        _ => Err((1, 1)),
    }
}

struct Value {
    depth: usize,
}

impl<'j> DeserializeSeed<'j> for Value {
    type Value = Json<'j>;

    fn deserialize<D: serde::Deserializer<'j>>(self, reader: D) -> Result<Json<'j>, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'j> Visitor<'j> for Value {
    type Value = Json<'j>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Json<'j>, E> {
        Ok(Json::Other)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Json<'j>, E> {
        Ok(Json::Other)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Json<'j>, E> {
        Ok(Json::Fraction(number))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Json<'j>, E> {
        Ok(Json::Integer(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Json<'j>, E> {
        Ok(i64::try_from(number).map_or(Json::Other, Json::Integer))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'j str) -> Result<Json<'j>, E> {
        Ok(Json::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Json<'j>, E> {
        Ok(Json::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'j>>(self, mut list: A) -> Result<Json<'j>, A::Error> {
        let inner = self.inner()?;
        let mut items = Vec::new();
        while let Some(item) = list.next_element_seed(Value { depth: inner })? {
            items.push(item);
        }
        Ok(Json::List(items))
    }

    fn visit_map<A: MapAccess<'j>>(self, mut map: A) -> Result<Json<'j>, A::Error> {
        let inner = self.inner()?;
        let mut members: Members<'j> = Vec::new();
        // Where each stands, in the order of their names: to look at every pair of names would let strangers
        // have us do the square of what they send.
        let mut by_name: Vec<usize> = Vec::new();
        while let Some(name) = map.next_key_seed(Name)? {
            let found = by_name.binary_search_by(|place| members[*place].0.cmp(&name));
            let Err(place) = found else {
                return Err(A::Error::custom(BadJson));
            };
            if members.len() == MAX_MEMBERS {
                return Err(A::Error::custom(BadJson));
            }
            by_name.insert(place, members.len());
            members.push((name, map.next_value_seed(Value { depth: inner })?));
        }
        Ok(Json::Object(members))
    }
}

impl Value {
    /// The depth of what lies in this list or object.
    fn inner<E: Error>(&self) -> Result<usize, E> {
        if self.depth > MAX_DEPTH {
            return Err(E::custom(BadJson));
        }
        Ok(self.depth + 1)
    }
}

/// A member's name.
struct Name;

impl<'j> DeserializeSeed<'j> for Name {
    type Value = Cow<'j, str>;

    fn deserialize<D: serde::Deserializer<'j>>(self, reader: D) -> Result<Cow<'j, str>, D::Error> {
        reader.deserialize_str(self)
    }
}

impl<'j> Visitor<'j> for Name {
    type Value = Cow<'j, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'j str) -> Result<Cow<'j, str>, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Cow<'j, str>, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_good(text: &str) -> bool {
        read_object(text.as_bytes()).is_ok()
    }

    #[test]
    fn a_name_that_stands_twice_is_refused_at_any_depth_and_however_it_is_escaped() {
        assert!(is_good(r#"{"a":{"b":1},"b":1}"#));
        assert!(!is_good(r#"{"a":1,"a":1}"#));
        assert!(!is_good(r#"{"a":1,"\u0061":1}"#));
        assert!(!is_good(r#"{"x":[{"a":1,"a":2}]}"#));
        assert!(!is_good(r#"{"x":{"y":{"a":1,"a":2}}}"#));
    }

    #[test]
    fn nesting_ends_at_its_bound() {
        let nested = |depth: usize| format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
        assert!(is_good(&nested(MAX_DEPTH)));
        assert!(!is_good(&nested(MAX_DEPTH + 1)));
        let list = |depth: usize| format!(r#"{{"a":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
        assert!(is_good(&list(MAX_DEPTH - 1)));
        assert!(!is_good(&list(MAX_DEPTH)));
        assert!(!is_good(&list(2_000)));
    }

    #[test]
    fn an_object_has_a_bounded_number_of_members() {
        let wide = |members: usize| {
            let members: Vec<String> = (0..members).map(|n| format!(r#""{n}":0"#)).collect();
            format!("{{{}}}", members.join(","))
        };
        assert!(is_good(&wide(MAX_MEMBERS)));
        assert!(!is_good(&wide(MAX_MEMBERS + 1)));
    }

    #[test]
    fn the_first_of_many_names_may_not_stand_again_behind_the_others() {
        let names: Vec<String> = (0..MAX_MEMBERS - 1)
            .map(|n| format!(r#""{n}":{n}"#))
            .collect();
        let text = format!("{{{}}}", names.join(","));
        let members = read_object(text.as_bytes()).unwrap();
        for (n, (name, value)) in members.iter().enumerate() {
            assert_eq!(*name, n.to_string());
            assert_eq!(*value, Json::Integer(n as i64));
        }
        for again in 0..MAX_MEMBERS - 1 {
            let twice = format!(r#"{{{},"{again}":0}}"#, names.join(","));
            assert!(!is_good(&twice), "{again}");
        }
    }

    #[test]
    fn only_one_whole_object_is_taken() {
        for text in [
            "",
            " ",
            "null",
            "1",
            r#""text""#,
            "[]",
            "{}{}",
            "{} x",
            "{}\0",
            "{'a':1}",
            "{a:1}",
            r#"{"a":1,}"#,
            r#"{"a":01}"#,
            r#"{"a":1e999}"#,
            "{\"a\":\"\u{0}\"}",
            r#"{"a":"\ud800"}"#,
            "\u{feff}{}",
            r#"{"a":NaN}"#,
            "{\"a\":1/**/}",
        ] {
            assert!(!is_good(text), "{text}");
        }
        assert!(read_object(b"{\"a\":\"\xff\"}").is_err());
        assert!(is_good(" {\t\"a\"\r\n: 1 } "));
    }

    #[test]
    fn a_number_is_whole_only_when_it_is_written_so() {
        let members =
            read_object(br#"{"a":7,"b":-7,"c":7.0,"d":7e0,"e":9223372036854775808,"f":-0}"#)
                .unwrap();
        let values: Vec<_> = members.into_iter().map(|(_, value)| value).collect();
        assert_eq!(values[0], Json::Integer(7));
        assert_eq!(values[1], Json::Integer(-7));
        assert_eq!(values[2], Json::Fraction(7.0));
        assert_eq!(values[3], Json::Fraction(7.0));
        assert_eq!(values[4], Json::Other);
        assert_eq!(values[5], Json::Fraction(0.0));
    }
}
