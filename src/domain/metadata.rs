//! Metadata: a JSON object that a token carries for the host.

use serde::Serialize;
use serde_json::{Map, Value};
use std::fmt;
use std::sync::Arc;

/// A JSON object that a token carries for the host: a team, a ticket, a build.
///
/// keyward stores and returns it, and decides nothing by it. It is no place for secrets: all who may see the token, and
/// all who read its audit events, see it in plain text. Clones share it. Its `Debug` output does not show it.
///
/// ```
/// use keyward::token::Metadata;
/// use serde_json::json;
/// let metadata = Metadata::from_iter([("team".to_owned(), json!("ci"))]);
/// assert_eq!(metadata.get("team"), Some(&json!("ci")));
/// assert_eq!(metadata.to_string(), r#"{"team":"ci"}"#);
/// ```
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Metadata(#[serde(serialize_with = "serialize_shared")] Arc<Value>);

fn serialize_shared<S: serde::Serializer>(value: &Arc<Value>, serializer: S) -> Result<S::Ok, S::Error> {
    value.serialize(serializer)
}

impl Metadata {
    /// The most bytes of the compact text that the services accept.
    pub const MOST_BYTES: usize = 2048;

    /// Returns the value, which is an object.
    pub fn as_value(&self) -> &Value {
        &self.0
    }

    /// Returns a member of the object.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// Returns the approximate bytes on the heap.
    pub(crate) fn weight(&self) -> usize {
        // The two counters of the Arc.
        16 + size_of::<Value>() + heap_bytes(&self.0)
    }
}

impl From<Map<String, Value>> for Metadata {
    fn from(members: Map<String, Value>) -> Self {
        Self(Arc::new(Value::Object(members)))
    }
}

impl FromIterator<(String, Value)> for Metadata {
    fn from_iter<T: IntoIterator<Item = (String, Value)>>(members: T) -> Self {
        Map::from_iter(members).into()
    }
}

/// Writes the compact text.
impl fmt::Display for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metadata(..)")
    }
}

/// Returns at least the bytes that a value has on the heap: an object is a B-tree, whose nodes have room for eleven
/// members and are at least half full, unless there is one node only.
fn heap_bytes(value: &Value) -> usize {
    const NODE: usize = 11 * size_of::<(String, Value)>() + 128;
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.capacity(),
        Value::Array(items) => items.capacity() * size_of::<Value>() + items.iter().map(heap_bytes).sum::<usize>(),
        Value::Object(members) => {
            let nodes = members.len().div_ceil(5);
            let members = members.iter().map(|(name, value)| name.capacity() + heap_bytes(value));
            nodes * NODE + members.sum::<usize>()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn metadata_weighs_its_heap_bytes_at_least() {
        let (many, nested) =
            (format!("[{}]", vec![r#"{"":0}"#; 290].join(",")), r#"{"a":"#.repeat(30) + "0" + &"}".repeat(30));
        let members = |n: usize| (0..n).map(|i| (format!("{i}"), json!(i))).collect::<Map<_, _>>();
        let texts = [many, nested, "0".to_owned(), json!([1, "two", [3.5, null]]).to_string()];
        let texts = texts.into_iter().chain([1, 11, 12, 100, 300].map(|n| Value::Object(members(n)).to_string()));
        for text in texts {
            let mut made = None;
            let counted = allocation_counter::measure(|| {
                let value: Value = serde_json::from_str(&text).unwrap();
                made = Some(Metadata::from_iter([("a".to_owned(), value)]));
            });
            let (weight, bytes) = (made.unwrap().weight(), usize::try_from(counted.bytes_current).unwrap());
            assert!(weight >= bytes && weight <= 3 * bytes, "{weight} for {bytes} bytes: {text}");
        }
    }

    #[test]
    fn debug_output_does_not_show_metadata() {
        let metadata = Metadata::from_iter([("team".to_owned(), json!("ci"))]);
        assert_eq!(format!("{metadata:?}"), "Metadata(..)");
    }
}
