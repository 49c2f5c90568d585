//! Fields in the arguments of a tool: a schema shows those that the caller may set, and a call may name no others.

use super::message::{is_same_folded, shorten};
use crate::domain::Decision;
use serde_json::{Map, Value};

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
            if let Some(other) = members.keys().find(|other| *other != name && is_same_folded(other, name)) {
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
        Narrowing { fields: self, decision, root: &root }.narrow(schema, &self.path, DEEPEST);
        remove_unused_definitions(schema);
    }
}

/// The removal of fields from one schema.
struct Narrowing<'a> {
    fields: &'a FieldsAt,
    decision: &'a Decision,
    /// The whole schema as it was, which references are looked up in.
    root: &'a Value,
}

impl Narrowing<'_> {
    /// Narrows a part of the schema that describes the object at the start of this path.
    fn narrow(&self, schema: &mut Value, path: &[String], depth: usize) {
        let Value::Object(members) = schema else { return };
        let Some(depth) = depth.checked_sub(1) else { return members.clear() };
        self.resolve(members);
        for several in ["anyOf", "oneOf", "allOf"] {
            let branches = members.get_mut(several).and_then(Value::as_array_mut);
            branches.into_iter().flatten().for_each(|branch| self.narrow(branch, path, depth));
        }
        match path {
            [] => {
                if let Some(Value::Object(properties)) = members.get_mut("properties") {
                    properties.retain(|name, _| self.fields.allows(self.decision, name));
                }
                if let Some(Value::Array(required)) = members.get_mut("required") {
                    required.retain(|name| name.as_str().is_some_and(|name| self.fields.allows(self.decision, name)));
                }
                if let Some(items) = members.get_mut("items") {
                    self.narrow(items, path, depth);
                }
            }
            [name, rest @ ..] => {
                if let Some(property) = members.get_mut("properties").and_then(|properties| properties.get_mut(name)) {
                    self.narrow(property, rest, depth);
                }
            }
        }
    }

    /// Replaces a reference by a copy of its target. Other references to the same target are then not narrowed.
    fn resolve(&self, members: &mut Map<String, Value>) {
        for _ in 0..DEEPEST {
            let Some(Value::String(reference)) = members.remove("$ref") else { return };
            let target = reference.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
            for (name, value) in target.and_then(Value::as_object).into_iter().flatten() {
                // A reference to the root would copy all definitions.
                if !DEFINITIONS.contains(&name.as_str()) {
                    members.entry(name).or_insert_with(|| value.clone());
                }
            }
        }
    }
}

/// Removes the definitions that no reference names any more: they may contain the removed fields.
fn remove_unused_definitions(schema: &mut Value) {
    for key in DEFINITIONS {
        let names = |schema: &Value| -> Vec<String> {
            schema[key].as_object().into_iter().flat_map(Map::keys).cloned().collect()
        };
        let mut before = usize::MAX;
        while names(schema).len() < before {
            before = names(schema).len();
            for name in names(schema) {
                let definition = schema[key].as_object_mut().and_then(|definitions| definitions.remove(&name));
                let pointer = format!("#/{key}/{}", name.replace('~', "~0").replace('/', "~1"));
                if let (true, Some(definition)) = (refers(schema, &pointer), definition) {
                    schema[key][name] = definition;
                }
            }
        }
    }
}

/// Returns whether a schema refers to this place or to one below it.
fn refers(schema: &Value, pointer: &str) -> bool {
    match schema {
        Value::Object(members) => members.iter().any(|(name, value)| match value.as_str() {
            Some(reference) if name == "$ref" => {
                reference.strip_prefix(pointer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
            _ => refers(value, pointer),
        }),
        Value::Array(items) => items.iter().any(|item| refers(item, pointer)),
        _ => false,
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
