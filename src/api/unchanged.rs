//! Read-only fields in updates. Clients may send an object as they read it; its read-only fields have to be unchanged.

use super::failure::{Failure, Problem};
use crate::domain::date;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::borrow::Cow;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema, schema::SchemaType};
use utoipa::{PartialSchema, ToSchema};

/// A read-only field of an update; `None` if the client left it out.
#[derive(Default)]
pub(super) struct Unchanged(Option<Value>);

impl<'de> Deserialize<'de> for Unchanged {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(|value| Self(Some(value)))
    }
}

impl Unchanged {
    pub(super) fn is_present(&self) -> bool {
        self.0.is_some()
    }
}

impl PartialSchema for Unchanged {
    fn schema() -> RefOr<Schema> {
        let description = "Read-only: leave it out, or send the value as it was read.";
        ObjectBuilder::new().schema_type(SchemaType::AnyValue).description(Some(description)).into()
    }
}

impl ToSchema for Unchanged {
    fn name() -> Cow<'static, str> {
        "Unchanged".into()
    }
}

/// Compares the read-only fields of an update with the current object.
pub(super) struct Comparison {
    current: Value,
    problems: Vec<Problem>,
}

impl Comparison {
    pub(super) fn new(current: &impl Serialize) -> Self {
        // Serializing cannot fail: the API's objects consist of texts, numbers and lists.
        Self { current: serde_json::to_value(current).unwrap_or_default(), problems: Vec::new() }
    }

    /// Requires that these fields equal the current ones.
    pub(super) fn fields<'a>(self, fields: impl IntoIterator<Item = (&'a str, &'a Unchanged)>) -> Self {
        fields.into_iter().fold(self, |all, (name, sent)| all.field(name, sent, |sent, current| sent == current))
    }

    /// Requires that a field is the same as the current one, by the given comparison.
    pub(super) fn field(mut self, name: &str, sent: &Unchanged, is_same: impl Fn(&Value, &Value) -> bool) -> Self {
        let current = self.current.get(name).unwrap_or(&Value::Null);
        if sent.0.as_ref().is_some_and(|sent| !is_same(sent, current)) {
            self.problems.push(Problem::at([name], "cannot be changed"));
        }
        self
    }

    /// Ends the comparison.
    ///
    /// # Errors
    /// A 400 that names each changed field.
    pub(super) fn finish(self) -> Result<(), Failure> {
        if self.problems.is_empty() { Ok(()) } else { Err(Failure::invalid(self.problems)) }
    }
}

/// Compares lifespans. They are shown as text; clients may send a number too.
pub(super) fn is_same_lifespan(sent: &Value, current: &Value) -> bool {
    sent == current || sent.as_u64().is_some_and(|ms| current.as_str() == Some(ms.to_string().as_str()))
}

/// Compares times that advance by themselves, such as the last use: the client may have read an earlier one.
pub(super) fn is_not_later(sent: &Value, current: &Value) -> bool {
    let parse = |value: &Value| value.as_str().and_then(date::parse);
    sent.is_null() || matches!((parse(sent), parse(current)), (Some(sent), Some(current)) if sent <= current)
}

/// Compares objects. Clients may send the object, some of its members, or its id.
pub(super) fn is_same_object(sent: &Value, current: &Value) -> bool {
    match sent {
        Value::Object(members) if current.is_object() => {
            members.iter().all(|(name, value)| current.get(name) == Some(value))
        }
        Value::Number(_) => current.get("id") == Some(sent),
        other => other == current,
    }
}

/// Compares lists of objects, in any order.
pub(super) fn are_same_objects(sent: &Value, current: &Value) -> bool {
    match (sent, current) {
        (Value::Array(sent), Value::Array(current)) => {
            let is_current = |one: &Value| current.iter().any(|other| is_same_object(one, other));
            // Both directions: `[1, 1]` is not `[1, 2]`.
            let is_sent = |other: &Value| sent.iter().any(|one| is_same_object(one, other));
            sent.len() == current.len() && sent.iter().all(is_current) && current.iter().all(is_sent)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lists_are_the_same_if_they_have_the_same_members() {
        let current = json!([{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]);
        for same in [json!([1, 2]), json!([2, 1]), json!([{"id": 2}, 1]), current.clone()] {
            assert!(are_same_objects(&same, &current), "{same}");
        }
        for other in
            [json!([1, 1]), json!([1]), json!([1, 2, 2]), json!([1, 3]), json!([1, {"id": 2, "name": "x"}]), json!(1)]
        {
            assert!(!are_same_objects(&other, &current), "{other}");
        }
    }
}
