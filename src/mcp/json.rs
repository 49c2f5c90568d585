//! Strict reading of JSON: the layer and the server behind it must not read two different things.

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use std::collections::HashSet;
use std::fmt;

/// The deepest nesting of a message by default.
pub(super) const DEPTH: usize = 64;

/// Reads a text as JSON.
///
/// # Errors
/// Returns an error if the text is not JSON in UTF-8 without a byte order mark, if two members of an object have one
/// name, or if it is nested more deeply than `depth`.
pub(super) fn read(text: &[u8], depth: usize) -> Result<Value, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    Checked { depth }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    serde_json::from_slice(text)
}

/// Reads a value without keeping it, and fails on what [`read`] rejects.
struct Checked {
    depth: usize,
}

impl Checked {
    fn inner<E: Error>(&self) -> Result<usize, E> {
        self.depth.checked_sub(1).ok_or_else(|| E::custom("nested too deeply"))
    }
}

impl<'de> DeserializeSeed<'de> for Checked {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Checked {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let depth = self.inner()?;
        while items.next_element_seed(Checked { depth })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let depth = self.inner()?;
        let mut names = HashSet::new();
        while let Some(name) = members.next_key::<String>()? {
            // A member of this name makes serde_json read its text as JSON, if a feature is on.
            if name == "$serde_json::private::RawValue" {
                return Err(A::Error::custom("a reserved member"));
            }
            members.next_value_seed(Checked { depth })?;
            if !names.insert(name) {
                return Err(A::Error::custom("two members of one name"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_readers_may_read_differently_is_rejected() {
        for text in [
            r#"{"a":1,"a":2}"#,
            r#"{"a":1,"\u0061":1}"#,
            r#"[{"b":{"c":1,"d":2,"c":1}}]"#,
            "\u{feff}{}",
            "{} {}",
            "{}x",
            r#"{"a":1,}"#,
            "{'a':1}",
            r#"{"a":NaN}"#,
            r#"{"a":1e999}"#,
            r#"{"a":"\ud800"}"#,
            "{\"a\":\"\n\"}",
            r#"{"$serde_json::private::RawValue":"1"}"#,
            "",
        ] {
            assert!(read(text.as_bytes(), DEPTH).is_err(), "{text}");
        }
        assert!(read(b"{\"a\":\"\xff\"}", DEPTH).is_err());
        assert!(read(&"{}".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>(), DEPTH).is_err());
        let value = read(br#" {"a":[1,-2,3.5,"x",null,true,{}],"A":{}} "#, DEPTH).unwrap();
        assert_eq!(value, serde_json::json!({"a": [1, -2, 3.5, "x", null, true, {}], "A": {}}));
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(read(nested(8).as_bytes(), 8).is_ok());
        assert!(read(nested(9).as_bytes(), 8).is_err());
        assert!(read(nested(1_000_000).as_bytes(), 100_000).is_err(), "the parser has a bound of its own");
    }
}
