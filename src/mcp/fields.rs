//! Fields in the arguments of a tool: a schema shows those that the caller may set, and a call may name no others.

use super::message::{may_be_read_as, shorten};
use super::uri::decode_percent;
use crate::domain::Decision;
use serde_json::{Map, Value};
use std::cell::Cell;
use std::collections::HashSet;

/// The place of fields in the arguments of a tool.
#[derive(Clone, Debug)]
pub(super) struct FieldsAt {
    /// The members that lead to the fields, outermost first.
    path: Vec<String>,
    /// The members beside the fields that every caller may name, such as ids.
    always: Vec<String>,
}

/// The deepest nesting of a schema that is followed.
const DEEPEST: usize = 32;
/// The most values that references add to a schema: definitions that refer to others twice would double at each step.
const MOST_COPIED: usize = 10_000;
/// The members of a schema that hold under a condition.
const CONDITIONS: [&str; 4] = ["if", "then", "else", "not"];
/// The members of a schema that hold definitions for `$ref`.
const DEFINITIONS: [&str; 2] = ["$defs", "definitions"];

impl FieldsAt {
    /// Reads the place from a JSON Pointer (RFC 6901).
    ///
    /// # Panics
    /// If the text is no JSON Pointer.
    pub(super) fn new(pointer: &str, always: &[&str]) -> Self {
        assert!(pointer.is_empty() || pointer.starts_with('/'), "{pointer} is no JSON Pointer: begin it with a slash");
        let path = pointer.split('/').skip(1).map(|name| name.replace("~1", "/").replace("~0", "~")).collect();
        Self { path, always: always.iter().map(|&name| name.to_owned()).collect() }
    }

    /// Returns whether a call may name this member. Schemas and calls both ask here (invariant one-table).
    fn allows(&self, decision: &Decision, name: &str) -> bool {
        self.always.iter().any(|always| always == name) || decision.may_set(name)
    }

    /// Checks that the arguments name only fields that the decision allows.
    ///
    /// # Errors
    /// Returns the text of the answer, which names the field.
    pub(super) fn check(&self, arguments: &Value, decision: &Decision) -> Result<(), String> {
        let mut place = arguments;
        for name in &self.path {
            let members = match place {
                Value::Null => return Ok(()),
                Value::Object(members) => members,
                _ => return Err(format!("what holds {} is no object", shorten(name))),
            };
            if let Some(other) = members.keys().find(|other| may_be_read_as(other, name)) {
                return Err(format!("the member {} is another spelling of {name}", shorten(other)));
            }
            match members.get(name) {
                Some(member) => place = member,
                None => return Ok(()),
            }
        }
        self.check_names(place, decision)
    }

    /// Checks the names in an object, or in each object of a list.
    fn check_names(&self, place: &Value, decision: &Decision) -> Result<(), String> {
        match place {
            Value::Null => Ok(()),
            Value::Array(items) => items.iter().try_for_each(|item| self.check_names(item, decision)),
            Value::Object(members) => match members.keys().find(|name| !self.allows(decision, name)) {
                Some(name) => Err(format!("the field {} is not allowed: leave it out", shorten(name))),
                None => Ok(()),
            },
            // Some servers parse a text as JSON: the text may hold an object.
            _ => Err("the fields are in no object".into()),
        }
    }

    /// Removes from an input schema the fields that the decision does not allow.
    pub(super) fn narrow(&self, schema: &mut Value, decision: &Decision) {
        let root = schema.clone();
        let left = Cell::new(MOST_COPIED);
        Narrowing { fields: self, decision, root: &root, left }.narrow(schema, &self.path, DEEPEST);
        remove_unused_definitions(schema);
    }
}

/// The removal of fields from one schema.
struct Narrowing<'a> {
    fields: &'a FieldsAt,
    decision: &'a Decision,
    /// The whole schema as it was, which references are looked up in.
    root: &'a Value,
    /// How many values references may add yet.
    left: Cell<usize>,
}

impl Narrowing<'_> {
    /// Narrows a part of the schema that describes the object at the start of this path.
    fn narrow(&self, schema: &mut Value, path: &[String], depth: usize) {
        let Value::Object(members) = schema else { return };
        let depth = depth.checked_sub(1).filter(|_| self.resolve(members));
        let Some(depth) = depth else { return members.clear() };
        // A condition that loses a name would hold for other calls.
        let loses = |part: &Value| {
            let mut narrowed = part.clone();
            self.narrow(&mut narrowed, path, depth);
            narrowed != *part
        };
        if CONDITIONS.iter().any(|name| members.get(*name).is_some_and(loses)) {
            CONDITIONS.iter().for_each(|name| drop(members.remove(*name)));
        }
        for (name, part) in members.iter_mut() {
            match (name.as_str(), part) {
                ("anyOf" | "oneOf" | "allOf", Value::Array(branches)) => {
                    branches.iter_mut().for_each(|branch| self.narrow(branch, path, depth));
                }
                ("dependentSchemas" | "dependencies", Value::Object(branches)) => {
                    branches.values_mut().for_each(|branch| self.narrow(branch, path, depth));
                }
                ("default" | "const", value) => self.narrow_value(value, path),
                ("examples" | "enum", Value::Array(values)) => {
                    values.iter_mut().for_each(|value| self.narrow_value(value, path));
                }
                ("properties", part) => {
                    if let [name, rest @ ..] = path
                        && let Some(property) = part.get_mut(name)
                    {
                        self.narrow(property, rest, depth);
                    }
                }
                ("items" | "prefixItems" | "additionalItems" | "contains", part) if path.is_empty() => match part {
                    Value::Array(items) => items.iter_mut().for_each(|item| self.narrow(item, path, depth)),
                    part => self.narrow(part, path, depth),
                },
                _ => {}
            }
        }
        if path.is_empty() {
            self.narrow_names(members);
        }
    }

    /// Removes the names of other fields from the schema of the fields.
    fn narrow_names(&self, members: &mut Map<String, Value>) {
        let allows = |name: &str| self.fields.allows(self.decision, name);
        let retain = |names: &mut Value| {
            if let Value::Array(names) = names {
                names.retain(|name| name.as_str().is_some_and(allows));
            }
        };
        for part in ["properties", "dependentRequired", "dependentSchemas", "dependencies"] {
            if let Some(Value::Object(by_name)) = members.get_mut(part) {
                by_name.retain(|name, _| allows(name));
                if part != "properties" {
                    by_name.values_mut().for_each(retain);
                }
            }
        }
        members.get_mut("required").into_iter().for_each(retain);
        members.get_mut("propertyNames").and_then(|names| names.get_mut("enum")).into_iter().for_each(retain);
    }

    /// Removes other fields from a value that the schema shows.
    fn narrow_value(&self, value: &mut Value, path: &[String]) {
        match (value, path) {
            (Value::Array(items), []) => items.iter_mut().for_each(|item| self.narrow_value(item, path)),
            (Value::Object(members), []) => members.retain(|name, _| self.fields.allows(self.decision, name)),
            (Value::Object(members), [name, rest @ ..]) => {
                members.get_mut(name).into_iter().for_each(|member| self.narrow_value(member, rest));
            }
            _ => {}
        }
    }

    /// Replaces a reference by what it refers to: other references to it are not narrowed. Returns false if that is too
    /// much.
    fn resolve(&self, members: &mut Map<String, Value>) -> bool {
        for _ in 0..DEEPEST {
            let Some(Value::String(reference)) = members.remove("$ref") else { return true };
            let target = reference.strip_prefix('#').and_then(|pointer| self.root.pointer(&decode_percent(pointer)));
            for (name, value) in target.and_then(Value::as_object).into_iter().flatten() {
                // The schema itself has definitions.
                if DEFINITIONS.contains(&name.as_str()) || members.contains_key(name) {
                    continue;
                }
                let Some(left) = self.left.get().checked_sub(size(value)) else { return false };
                self.left.set(left);
                members.insert(name.clone(), value.clone());
            }
        }
        false
    }
}

/// Returns the number of values within a value, and itself.
fn size(value: &Value) -> usize {
    match value {
        Value::Object(members) => 1 + members.values().map(size).sum::<usize>(),
        Value::Array(items) => 1 + items.iter().map(size).sum::<usize>(),
        _ => 1,
    }
}

/// Removes definitions that no reference reaches any more: they show the fields that were removed.
fn remove_unused_definitions(schema: &mut Value) {
    let Value::Object(members) = schema else { return };
    let (mut reached, mut used) = (Vec::new(), HashSet::new());
    for (_, part) in members.iter().filter(|(name, _)| !DEFINITIONS.contains(&name.as_str())) {
        add_references(part, &mut reached);
    }
    while let Some(definition) = reached.pop() {
        if let Some(part) = members.get(&definition.0).and_then(|definitions| definitions.get(&definition.1))
            && !used.contains(&definition)
        {
            add_references(part, &mut reached);
            used.insert(definition);
        }
    }
    for key in DEFINITIONS {
        if let Some(Value::Object(definitions)) = members.get_mut(key) {
            definitions.retain(|name, _| used.contains(&(key.to_owned(), name.clone())));
        }
    }
}

/// Adds the definitions that a part of a schema refers to, each as the member that holds it and its name.
fn add_references(part: &Value, to: &mut Vec<(String, String)>) {
    match part {
        Value::Object(members) => members.iter().for_each(|(name, value)| match value.as_str() {
            Some(reference) if name == "$ref" => {
                let pointer = reference.strip_prefix("#/").map(decode_percent);
                if let Some((key, rest)) = pointer.as_deref().and_then(|pointer| pointer.split_once('/')) {
                    let name = rest.split('/').next().unwrap_or_default();
                    to.push((key.to_owned(), name.replace("~1", "/").replace("~0", "~")));
                }
            }
            _ => add_references(value, to),
        }),
        Value::Array(items) => items.iter().for_each(|item| add_references(item, to)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ConditionExpr, DecisionRule, Fields, Predicate};
    use serde_json::json;

    fn titles() -> Decision {
        let (guard, predicate) = (ConditionExpr::ALWAYS, Predicate::Always);
        Decision::of([DecisionRule { fields: Fields::only(["title"]).unwrap(), guard, predicate }])
    }

    fn narrowed(pointer: &str, mut schema: Value) -> Value {
        FieldsAt::new(pointer, &["id"]).narrow(&mut schema, &titles());
        schema
    }

    #[test]
    fn a_schema_shows_the_allowed_fields() {
        let object = |names: &[&str]| {
            let properties: Map<_, _> =
                names.iter().map(|&name| (name.to_owned(), json!({"type": "string"}))).collect();
            json!({"type": "object", "properties": properties, "required": names, "additionalProperties": false})
        };
        let (all, some) = (object(&["body", "id", "title"]), object(&["id", "title"]));
        assert_eq!(narrowed("", all.clone()), some);
        let below = |fields: &Value| json!({"properties": {"body": {}, "data": fields}, "required": ["body", "data"]});
        assert_eq!(narrowed("/data", below(&all)), below(&some));
        let several = |fields: &Value| below(&json!({"items": {"anyOf": [fields, {"type": "null"}]}}));
        assert_eq!(narrowed("/data", several(&all)), several(&some));
        assert_eq!(narrowed("/other", below(&all)), below(&all));
    }

    #[test]
    fn a_reference_is_narrowed_where_the_fields_are() {
        let article = json!({"properties": {"title": {"$ref": "#/$defs/Text"}, "body": {"$ref": "#/$defs/Long"}}});
        let definitions = json!({"Article": article, "Text": {"type": "string"}, "Long": {"$ref": "#/$defs/Text"}});
        let schema = |data: Value, other: Value, definitions: &Value| json!({"properties": {"data": data, "other": other}, "$defs": definitions});
        let reference = || json!({"$ref": "#/$defs/Article"});
        let inlined = json!({"properties": {"title": {"$ref": "#/$defs/Text"}}});
        let text = json!({"Text": {"type": "string"}});
        assert_eq!(
            narrowed("/data", schema(reference(), json!({}), &definitions)),
            schema(inlined.clone(), json!({}), &text)
        );
        assert_eq!(
            narrowed("/data", schema(reference(), reference(), &definitions)),
            schema(inlined, reference(), &definitions),
            "what others refer to stays"
        );
        let endless = json!({"$ref": "#/$defs/A", "$defs": {"A": {"allOf": [{"$ref": "#/$defs/A"}]}}});
        assert!(narrowed("", endless)["allOf"].is_array());
    }

    #[test]
    fn a_call_names_no_other_field() {
        let check = |pointer: &str, arguments: Value| FieldsAt::new(pointer, &["id"]).check(&arguments, &titles());
        for allowed in [json!({"id": 1, "title": "t"}), json!({}), Value::Null, json!([{"title": "t"}])] {
            assert_eq!(check("", allowed.clone()), Ok(()));
            assert_eq!(check("/data", json!({"data": allowed, "body": 1})), Ok(()));
        }
        let body = "the field body is not allowed: leave it out";
        for fields in [json!({"title": "t", "body": "b"}), json!([{"title": "t"}, [{"body": "b"}]])] {
            assert_eq!(check("", fields.clone()).unwrap_err(), body);
            assert_eq!(check("/data", json!({"data": fields})).unwrap_err(), body);
        }
        for refused in [json!({"data": "{\"body\": 1}"}), json!("{\"data\": 1}"), json!({"Data": {}}), json!([1])] {
            assert!(check("/data", refused.clone()).is_err(), "{refused}");
        }
        assert!(check("", json!({"Title": "t"})).is_err());
    }
}
