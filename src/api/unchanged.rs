//! Objects that were read and are put back: what cannot be changed has to be as it is.

use super::failure::{Failure, Problem};
use crate::domain::date;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::borrow::Cow;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema, schema::SchemaType};
use utoipa::{PartialSchema, ToSchema};

/// A field that is read and never written; `None` if it was left out.
#[derive(Default)]
pub(super) struct Unchanged(Option<Value>);

impl<'de> Deserialize<'de> for Unchanged {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(|value| Self(Some(value)))
    }
}

impl Unchanged {
    pub(super) fn is_given(&self) -> bool {
        self.0.is_some()
    }
}

impl PartialSchema for Unchanged {
    fn schema() -> RefOr<Schema> {
        let description = "Cannot be changed: leave it out, or send what was read.";
        ObjectBuilder::new().schema_type(SchemaType::AnyValue).description(Some(description)).into()
    }
}

impl ToSchema for Unchanged {
    fn name() -> Cow<'static, str> {
        "Unchanged".into()
    }
}

/// Compares fields with what is shown of an object.
pub(super) struct Comparison {
    shown: Value,
    problems: Vec<Problem>,
}

impl Comparison {
    pub(super) fn with(shown: &impl Serialize) -> Self {
        // What is shown is made of texts, numbers and lists, which JSON has.
        Self { shown: serde_json::to_value(shown).unwrap_or_default(), problems: Vec::new() }
    }

    /// These fields have to be as they are shown.
    pub(super) fn fields<'a>(self, fields: impl IntoIterator<Item = (&'a str, &'a Unchanged)>) -> Self {
        fields.into_iter().fold(self, |all, (name, sent)| all.field(name, sent, |sent, shown| sent == shown))
    }

    /// This field has to be the `same` as it is shown.
    pub(super) fn field(mut self, name: &str, sent: &Unchanged, same: impl Fn(&Value, &Value) -> bool) -> Self {
        let shown = self.shown.get(name).unwrap_or(&Value::Null);
        if sent.0.as_ref().is_some_and(|sent| !same(sent, shown)) {
            self.problems.push(Problem::at([name], "cannot be changed"));
        }
        self
    }

    pub(super) fn done(self) -> Result<(), Failure> {
        if self.problems.is_empty() { Ok(()) } else { Err(Failure::invalid(self.problems)) }
    }
}

/// A length of time: shown as a text, and a number will do.
pub(super) fn same_lifespan(sent: &Value, shown: &Value) -> bool {
    sent == shown || sent.as_u64().is_some_and(|ms| shown.as_str() == Some(ms.to_string().as_str()))
}

/// A time that goes on by itself: what was read may be older than what is shown now.
pub(super) fn not_later(sent: &Value, shown: &Value) -> bool {
    let at = |value: &Value| value.as_str().and_then(date::parse);
    sent.is_null() || matches!((at(sent), at(shown)), (Some(sent), Some(shown)) if sent <= shown)
}

/// Something that is shown as an object: that object, parts of it, or its id.
pub(super) fn same_object(sent: &Value, shown: &Value) -> bool {
    match sent {
        Value::Object(members) if shown.is_object() => {
            members.iter().all(|(name, value)| shown.get(name) == Some(value))
        }
        Value::Number(_) => shown.get("id") == Some(sent),
        other => other == shown,
    }
}

/// A list of such things, in any order.
pub(super) fn same_objects(sent: &Value, shown: &Value) -> bool {
    match (sent, shown) {
        (Value::Array(sent), Value::Array(shown)) => {
            let among = |one: &Value| shown.iter().any(|s| same_object(one, s));
            // Both ways: one that is sent twice is not the other one.
            let sent_too = |s: &Value| sent.iter().any(|one| same_object(one, s));
            sent.len() == shown.len() && sent.iter().all(among) && shown.iter().all(sent_too)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_list_is_the_same_if_each_of_it_is_there() {
        let shown = json!([{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]);
        for same in [json!([1, 2]), json!([2, 1]), json!([{"id": 2}, 1]), shown.clone()] {
            assert!(same_objects(&same, &shown), "{same}");
        }
        for other in
            [json!([1, 1]), json!([1]), json!([1, 2, 2]), json!([1, 3]), json!([1, {"id": 2, "name": "x"}]), json!(1)]
        {
            assert!(!same_objects(&other, &shown), "{other}");
        }
    }
}
