//! Parses JSON bodies, and names all mistakes by their paths.
//!
//! serde's derive with `serde_path_to_error` was considered in place of this file. It stops at the first mistake, where
//! this API names all. Its messages come from `serde_json` and quote the value, which may be a password. Neither sees
//! duplicate members below a field that is kept as a `Value`. No library bounds the number of values, which take more
//! memory than their text.

use super::failure::Problem;
use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error as _, Expected, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, Visitor,
};
use serde::{Deserialize, forward_to_deserialize_any};
use serde_json::{Map, Value, json};
use std::cell::{Cell, RefCell};
use std::fmt;

/// Members whose values never appear in a response (invariant no-secret-leaks).
const SECRETS: [&str; 8] =
    ["password", "currentPassword", "accessKey", "registrationToken", "setupCode", "userInfo", "token", "secret"];
/// The largest number of mistakes that a response names. Each takes another pass over the body.
const MOST_MISTAKES: usize = 20;
/// The largest number of values that these passes visit. For a large body only the first mistake is named.
const MOST_VISITS: usize = 20_000;
/// The longest value or name that a response repeats.
const LONGEST_ECHO: usize = 100;

/// The largest number of values in a body, nested ones included: each takes much more memory than its text.
const MOST_VALUES: usize = 100_000;
/// The largest number of objects in a body, which take the most memory.
const MOST_OBJECTS: usize = 20_000;

/// Parses a body: one object, without duplicate members.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, Problem> {
    // JSON must not begin with a byte order mark (RFC 8259 section 8.1), and editors do not show it.
    if bytes.starts_with(&[0xEF, 0xBB, 0xBF]) {
        return Err(Problem::at([""; 0], "The body begins with a byte order mark (BOM): send UTF-8 without one"));
    }
    if bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]) {
        return Err(Problem::at(
            [""; 0],
            "The body begins with a byte order mark of UTF-16: send UTF-8, without a mark",
        ));
    }
    let counts = Counts::default();
    // serde_json refuses more than 128 levels.
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let parsed =
        StrictValue(&counts).deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value));
    let Counts { duplicate, values, objects } = counts;
    match (parsed, duplicate.into_inner()) {
        (Ok(value), _) if value.is_object() => Ok(value),
        (Ok(_), _) => Err(Problem::at([""; 0], "The body must be an object")),
        (Err(_), _) if values.get() > MOST_VALUES || objects.get() > MOST_OBJECTS => {
            let message = format!("The body has more than {MOST_VALUES} values or {MOST_OBJECTS} objects");
            Err(Problem::at([""; 0], message))
        }
        (Err(_), Some(path)) => Err(Problem::at(path.into_iter().rev(), "is there twice")),
        (Err(error), None) => Err(Problem::at([""; 0], format!("The body is not JSON: {error}"))),
    }
}

/// Converts a parsed body.
///
/// # Errors
/// The mistakes in its shape, each with its path.
pub(super) fn read<T: DeserializeOwned>(sent: &Value) -> Result<T, Vec<Problem>> {
    let mismatch = match T::deserialize(Reader(sent)) {
        Ok(value) => return Ok(value),
        Err(mismatch) => mismatch,
    };
    // serde stops at the first mistake. It is repaired in a copy, which is converted again until no more is found.
    let (mut copy, mut problems, mut next) = (sent.clone(), Vec::new(), Some(mismatch));
    let rounds = (MOST_VISITS / count_values(sent)).min(MOST_MISTAKES);
    for round in 1.. {
        let Some(mismatch) = next.take() else { break };
        let path: Vec<String> = mismatch.path.iter().rev().cloned().collect();
        if round < rounds {
            next = repair::<T>(&mut copy, &path, mismatch.echo);
        }
        // A mistake below an earlier one is a mistake of its substitute.
        let is_known = problems.iter().any(|problem: &Problem| path.starts_with(&problem.path));
        if !is_known || problems.is_empty() {
            problems.push(describe(sent, path, mismatch));
        }
    }
    Err(problems)
}

fn describe(sent: &Value, path: Vec<String>, mismatch: Mismatch) -> Problem {
    let value = if mismatch.echo { path.iter().try_fold(sent, |value, part| child(value, part)) } else { None };
    let is_secret = path.iter().any(|part| SECRETS.contains(&part.as_str()));
    let is_short = |v: &&Value| !v.is_object() && !v.is_array() && v.to_string().len() <= LONGEST_ECHO;
    let value = value.filter(|_| !is_secret).filter(is_short).cloned();
    Problem { path, message: mismatch.message, value }
}

/// Replaces or removes the mistake, and returns the next one. `None` if there is none, or no substitute helps.
fn repair<T: DeserializeOwned>(copy: &mut Value, path: &[String], is_value: bool) -> Option<Mismatch> {
    let (last, above) = path.split_last()?;
    // An unknown name is removed. An invalid or missing value gets a substitute.
    let substitutes = [Value::Null, "".into(), json!([]), json!({}), 0.into()].map(Some);
    let removal = [None].into_iter().filter(|_| !is_value);
    for substitute in removal.chain(substitutes) {
        let parent = above.iter().try_fold(&mut *copy, |value, part| child_mut(value, part))?;
        match (parent, substitute) {
            (Value::Object(members), None) => drop(members.remove(last)),
            (Value::Object(members), Some(value)) => drop(members.insert(last.clone(), value)),
            (Value::Array(items), Some(value)) => *items.get_mut(last.parse::<usize>().ok()?)? = value,
            (Value::Array(_), None) => continue,
            _ => return None,
        }
        let mismatch = T::deserialize(Reader(copy)).err()?;
        if !mismatch.path.iter().rev().eq(path) {
            return Some(mismatch);
        }
    }
    None
}

/// Counts a value and all values in it.
fn count_values(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count_values).sum(),
        Value::Object(members) => members.values().map(count_values).sum(),
        _ => 0,
    }
}

fn child_mut<'v>(value: &'v mut Value, part: &str) -> Option<&'v mut Value> {
    match value {
        Value::Array(items) => items.get_mut(part.parse::<usize>().ok()?),
        other => other.get_mut(part),
    }
}

/// Deserializes a field that may be left out but must not be `null`.
pub(super) fn non_null<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Deserializes a field that may be left out, or `null` to clear it.
pub(super) fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Deserializes a text that may be left out, or `null`, which means an empty one.
pub(super) fn text_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Option::<String>::deserialize(deserializer).map(|text| Some(text.unwrap_or_default()))
}

fn child<'v>(value: &'v Value, part: &str) -> Option<&'v Value> {
    match value {
        Value::Array(items) => items.get(part.parse::<usize>().ok()?),
        other => other.get(part),
    }
}

/// Deserializes a `Value` without duplicate members: parsers disagree about which of two counts.
#[derive(Clone, Copy)]
struct StrictValue<'p>(&'p Counts);

/// The state of a parse.
#[derive(Default)]
struct Counts {
    /// The path of a duplicate member, the innermost part first.
    duplicate: RefCell<Option<Vec<String>>>,
    values: Cell<usize>,
    objects: Cell<usize>,
}

impl StrictValue<'_> {
    /// Counts a value or an object.
    fn count<E: serde::de::Error>(counter: &Cell<usize>, most: usize) -> Result<(), E> {
        counter.set(counter.get() + 1);
        if counter.get() > most { Err(E::custom("the body has too many values")) } else { Ok(()) }
    }

    /// Extends the path of a duplicate on the way out.
    fn extend_path<T, E>(self, part: impl FnOnce() -> String, result: Result<T, E>) -> Result<T, E> {
        if let (Err(_), Some(path)) = (&result, &mut *self.0.duplicate.borrow_mut()) {
            path.push(part());
        }
        result
    }
}

impl<'de> DeserializeSeed<'de> for StrictValue<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        struct AnyVisitor<'p>(StrictValue<'p>);

        impl<'de> Visitor<'de> for AnyVisitor<'_> {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }

            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value::Null)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
                Ok(value.into())
            }

            fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
                Ok(value.into())
            }

            fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
                Ok(value.into())
            }

            fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
                Ok(value.into())
            }

            fn visit_str<E>(self, value: &str) -> Result<Value, E> {
                Ok(value.into())
            }

            fn visit_string<E>(self, value: String) -> Result<Value, E> {
                Ok(value.into())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = self.0.extend_path(|| list.len().to_string(), items.next_element_seed(self.0))? {
                    list.push(item);
                }
                Ok(list.into())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
                StrictValue::count(&self.0.0.objects, MOST_OBJECTS)?;
                let mut object = Map::new();
                while let Some(name) = members.next_key::<String>()? {
                    if object.contains_key(&name) {
                        *self.0.0.duplicate.borrow_mut() = Some(vec![shorten(&name)]);
                        return Err(A::Error::custom("a member is there twice"));
                    }
                    let value = self.0.extend_path(|| shorten(&name), members.next_value_seed(self.0))?;
                    object.insert(name, value);
                }
                Ok(object.into())
            }
        }

        Self::count(&self.0.values, MOST_VALUES)?;
        deserializer.deserialize_any(AnyVisitor(self))
    }
}

/// Shortens a name that the client chose.
fn shorten(name: &str) -> String {
    match name.char_indices().nth(LONGEST_ECHO) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

/// A value that does not have the expected type.
#[derive(Debug)]
struct Mismatch {
    /// The innermost part first.
    path: Vec<String>,
    message: String,
    /// Whether the response repeats the value.
    echo: bool,
}

impl Mismatch {
    fn new(path: &[&str], message: String, echo: bool) -> Self {
        Self { path: path.iter().map(|&part| part.to_owned()).collect(), message, echo }
    }

    fn below(mut self, part: impl Into<String>) -> Self {
        self.path.push(part.into());
        self
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Mismatch {}

impl serde::de::Error for Mismatch {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(&[], message.to_string(), true)
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        // serde names Rust's types; clients know those of JSON.
        let expected = match expected.to_string().as_str() {
            "a sequence" => "an array".to_owned(),
            "i64" | "u64" | "u32" => "a whole number".to_owned(),
            other => other.to_owned(),
        };
        Self::new(&[], format!("must be {expected}"), true)
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(unexpected, expected)
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::new(&[], format!("must be one of {}", expected.join(", ")), true)
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        // Without echo: a misspelt `password` holds a secret too.
        let known = match expected {
            [] => "nothing is".to_owned(),
            some => format!("there are {}", some.join(", ")),
        };
        Self::new(&[&shorten(field)], format!("is not known here: {known}"), false)
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(&[field], "is required".to_owned(), false)
    }
}

/// Deserializes from a `Value`, with paths in its errors.
struct Reader<'de>(&'de Value);

impl<'de> Reader<'de> {
    fn unexpected(&self) -> Unexpected<'de> {
        match self.0 {
            Value::Null => Unexpected::Unit,
            Value::Bool(value) => Unexpected::Bool(*value),
            Value::Number(_) => Unexpected::Other("number"),
            Value::String(text) => Unexpected::Str(text),
            Value::Array(_) => Unexpected::Seq,
            Value::Object(_) => Unexpected::Map,
        }
    }
}

impl<'de> Deserializer<'de> for Reader<'de> {
    type Error = Mismatch;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(number), ..) => visitor.visit_u64(number),
                (_, Some(number), _) => visitor.visit_i64(number),
                (.., number) => visitor.visit_f64(number.unwrap_or(f64::NAN)),
            },
            Value::String(text) if text.contains('\0') => Err(Mismatch::new(&[], "must not contain NUL".into(), false)),
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Array(items) => visitor.visit_seq(Items(items.iter().enumerate())),
            Value::Object(members) => visitor.visit_map(Members { left: members.iter(), current: None }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_newtype_struct(self)
    }

    /// Accepts objects only. serde would accept an array too, by the order of the fields.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        if self.0.is_object() {
            self.deserialize_any(visitor)
        } else {
            Err(Mismatch::invalid_type(self.unexpected(), &"an object"))
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        let Value::String(word) = self.0 else { return Err(Mismatch::invalid_type(self.unexpected(), &"a string")) };
        let word: StrDeserializer<'_, Mismatch> = word.as_str().into_deserializer();
        visitor.visit_enum(word)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier ignored_any
    }
}

struct Items<'de>(std::iter::Enumerate<std::slice::Iter<'de, Value>>);

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Mismatch;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Mismatch> {
        let Some((i, item)) = self.0.next() else { return Ok(None) };
        seed.deserialize(Reader(item)).map(Some).map_err(|mismatch| mismatch.below(i.to_string()))
    }
}

struct Members<'de> {
    left: serde_json::map::Iter<'de>,
    current: Option<(&'de String, &'de Value)>,
}

impl<'de> MapAccess<'de> for Members<'de> {
    type Error = Mismatch;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Mismatch> {
        self.current = self.left.next();
        let Some((name, _)) = self.current else { return Ok(None) };
        let name: StrDeserializer<'_, Mismatch> = name.as_str().into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Mismatch> {
        let (name, value) = self.current.ok_or_else(|| Mismatch::custom("a value without a name"))?;
        seed.deserialize(Reader(value)).map_err(|mismatch| mismatch.below(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[derive(Deserialize, Debug)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        #[serde(rename = "list")]
        _list: Vec<Inner>,
        #[serde(rename = "password")]
        _password: Option<String>,
    }

    #[derive(Deserialize, Debug)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[serde(rename = "name")]
        _name: String,
    }

    fn first_problem(value: Value) -> (Vec<String>, Option<Value>) {
        let problem = read::<Outer>(&value).unwrap_err().remove(0);
        (problem.path, problem.value)
    }

    #[test]
    fn rejection_names_all_mistakes_of_a_body() {
        let paths = |value: Value| -> Vec<String> {
            read::<Outer>(&value).unwrap_err().into_iter().map(|problem| problem.path.join(".")).collect()
        };
        assert_eq!(paths(json!({})), ["list"]);
        assert_eq!(paths(json!({"list": 1, "password": 2, "no": 3})), ["list", "no", "password"]);
        let items = json!({"list": [{}, {"name": 1, "x": 2}, "y"], "password": []});
        assert_eq!(paths(items), ["list.0.name", "list.1.name", "list.1.x", "list.2", "password"]);
        let many: Vec<Value> = (0..500).map(|_| json!({})).collect();
        assert_eq!(paths(json!({"list": many})).len(), 20);
        let large: Vec<Value> = (0..100_000).map(|_| json!({})).collect();
        assert_eq!(paths(json!({"list": large})).len(), 1);
    }

    #[test]
    fn mistake_is_named_by_its_path() {
        let inner = |value: Value| json!({"list": [{"name": "a"}, value]});
        let at = |path: &[&str]| path.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>();
        assert_eq!(first_problem(inner(json!({"name": 5}))), (at(&["list", "1", "name"]), Some(json!(5))));
        assert_eq!(first_problem(inner(json!({"name": "\0"}))), (at(&["list", "1", "name"]), None));
        assert_eq!(first_problem(inner(json!({}))), (at(&["list", "1", "name"]), None));
        assert_eq!(first_problem(inner(json!({"nam": "x", "name": "a"}))), (at(&["list", "1", "nam"]), None));
        assert_eq!(first_problem(inner(json!(["a"]))), (at(&["list", "1"]), None));
        assert_eq!(first_problem(json!({"list": {}})), (at(&["list"]), None));
        assert_eq!(first_problem(json!({"list": [], "password": 7})), (at(&["password"]), None));
        assert_eq!(first_problem(json!({})), (at(&["list"]), None));
        assert!(read::<Outer>(&inner(json!({"name": "b"}))).is_ok());
    }

    #[test]
    fn duplicate_member_is_named_by_its_path() {
        let long = "n".repeat(1_000);
        for (bad, path) in [
            (r#"{"a":1,"a":1}"#, "a"),
            (r#"{"x":{"a":1,"b":2,"a":2}}"#, "x.a"),
            (r#"{"x":[[],[{"a":[]},{"b":1,"b":"#, "x.1.1.b"),
            (&format!("{{\"{long}\":1,\"{long}\":2}}"), &format!("{}…", &long[..LONGEST_ECHO])),
        ] {
            let problem = parse(bad.as_bytes()).unwrap_err();
            assert_eq!((problem.path.join(".").as_str(), problem.message.as_str()), (path, "is there twice"));
        }
        // Other errors of the parser have no path.
        assert!(parse(br#"{"x":[1,{"a":}]}"#).unwrap_err().path.is_empty());
        assert_eq!(first_problem(json!({ &long: 1 })).0, [format!("{}…", &long[..LONGEST_ECHO])]);
    }

    #[test]
    fn number_of_values_in_a_body_is_bounded() {
        let of = |piece: &str, n: usize| format!("{{\"a\":[{}]}}", vec![piece; n].join(","));
        // The body and the list count too.
        assert!(parse(of("0", MOST_VALUES - 2).as_bytes()).is_ok());
        assert!(parse(of("{}", MOST_OBJECTS - 1).as_bytes()).is_ok());
        for (piece, n) in
            [("0", MOST_VALUES - 1), ("[]", MOST_VALUES), ("{}", MOST_OBJECTS), (r#"{"a":{"":[]}}"#, 10_000)]
        {
            let problem = parse(of(piece, n).as_bytes()).unwrap_err();
            assert_eq!(problem.message, "The body has more than 100000 values or 20000 objects", "{piece}");
            assert!(problem.path.is_empty());
        }
    }

    #[test]
    fn byte_order_mark_is_rejected_by_name() {
        let message = |bytes: &[u8]| parse(bytes).unwrap_err().message;
        assert!(message(b"\xEF\xBB\xBF{}").contains("byte order mark (BOM)"));
        assert!(message(b"\xFF\xFE{\0}\0").contains("UTF-16") && message(b"\xFE\xFF\0{\0}").contains("UTF-16"));
        assert!(parse(b"{}").is_ok());
    }

    #[test]
    fn body_has_to_be_one_object_without_duplicates() {
        for bad in ["", "[]", "5", "null", "{", "{}{}", r#"{"a":1,"a":1}"#, r#"{"x":{"a":1,"a":2}}"#, "{\"a\":1e999}"] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(parse("{\"a\":".repeat(100_000).as_bytes()).is_err() && parse(&[0xff]).is_err());
        assert_eq!(parse(b"{\"a\":[1,-2,0.5,null,true,\"x\"]}").unwrap(), json!({"a": [1, -2, 0.5, null, true, "x"]}));
    }
}
