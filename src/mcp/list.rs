//! Lists in answers of the server: they show what the caller may use, by the table that decides calls.

use super::tools::{Rule, Tools};
use crate::guard::AuthContext;
use serde_json::Value;
use std::sync::Arc;

/// A filter of the answers to one caller.
#[derive(Clone)]
pub(super) struct Filter {
    pub(super) tools: Arc<Tools>,
    pub(super) auth: AuthContext,
}

/// Finds the rule of an item.
type Find<'a> = dyn Fn(&str) -> Option<&'a Rule> + 'a;

impl Filter {
    /// Filters an answer, and returns whether it was changed.
    ///
    /// It is known by its shape: a stream that is resumed holds answers to earlier requests.
    pub(super) fn apply(&self, answer: &mut Value) -> bool {
        if let Value::Array(batch) = answer {
            return batch.iter_mut().fold(false, |changed, answer| self.apply(answer) | changed);
        }
        let Some(Value::Object(result)) = answer.get_mut("result") else { return false };
        let mut changed = false;
        // What depends on the caller must not be served to another one.
        if let Some(scope) = result.get_mut("cacheScope").filter(|scope| *scope != "private") {
            *scope = Value::from("private");
            changed = true;
        }
        let mut retain = |list: &str, member: &str, rule: &Find<'_>| {
            let Some(items) = result.get_mut(list) else { return };
            changed = true;
            let allowed = |item: &Value| {
                item.get(member).and_then(Value::as_str).and_then(rule).is_some_and(|rule| rule.allows(&self.auth))
            };
            match items {
                Value::Array(items) => items.retain(allowed),
                other => *other = Value::Array(Vec::new()),
            }
        };
        retain("tools", "name", &|name| self.tools.of_tool(name));
        retain("prompts", "name", &|name| self.tools.of_prompt(name));
        retain("resources", "uri", &|uri| self.tools.of_resource(uri));
        retain("resourceTemplates", "uriTemplate", &|template| self.tools.of_template(template));
        changed
    }
}
