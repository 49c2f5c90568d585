//! The filter of the server's messages. The table that decides calls also decides which entries of a list and which
//! notifications reach the caller.

use super::task::Tasks;
use super::tools::{Rule, Tools};
use crate::guard::AuthContext;
use serde_json::{Map, Value};
use std::sync::Arc;

/// A filter of the messages that answer one request.
pub(super) struct Filter {
    pub(super) tools: Arc<Tools>,
    pub(super) tasks: Tasks,
    /// The calls of the request: their ids, with the names of tools.
    pub(super) calls: Vec<(Value, String)>,
}

/// The outcome of filtering a message.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum FilterOutcome {
    Unchanged,
    Changed,
    /// The caller must not see it.
    Withheld,
}

/// A search for the rules of an item; `None` if the table does not have it.
type Find<'a> = dyn Fn(&str) -> Option<Vec<&'a Rule>> + 'a;

impl Filter {
    /// Filters a message to a caller with these permissions.
    ///
    /// It knows a list by its shape, not by its request: a resumed stream contains answers to earlier requests.
    pub(super) fn apply(&self, message: &mut Value, auth: &AuthContext) -> FilterOutcome {
        if let Value::Array(batch) = message {
            return self.apply_to_batch(batch, auth);
        }
        let method = message.get("method").and_then(Value::as_str);
        if method.is_some_and(|method| !self.shows(method, &message["params"], auth)) {
            return FilterOutcome::Withheld;
        }
        if let Some((_, tool)) = self.calls.iter().find(|(id, _)| *id == message["id"])
            && let Some(rule) = self.tools.rule_of_tool(tool)
        {
            self.tasks.keep(auth, tool, auth.decide(&rule.0), &message["result"]);
        }
        // A server may repeat the method beside its result.
        match message.get_mut("result").and_then(Value::as_object_mut) {
            Some(result) => self.filter_lists(result, auth),
            None => FilterOutcome::Unchanged,
        }
    }

    fn apply_to_batch(&self, batch: &mut Vec<Value>, auth: &AuthContext) -> FilterOutcome {
        let mut outcomes = Vec::with_capacity(batch.len());
        batch.retain_mut(|message| {
            outcomes.push(self.apply(message, auth));
            outcomes.last() != Some(&FilterOutcome::Withheld)
        });
        match outcomes.iter().all(|outcome| *outcome == FilterOutcome::Unchanged) {
            true => FilterOutcome::Unchanged,
            false if batch.is_empty() => FilterOutcome::Withheld,
            false => FilterOutcome::Changed,
        }
    }

    /// Returns whether a request or notification of the server may reach the caller.
    fn shows(&self, method: &str, params: &Value, auth: &AuthContext) -> bool {
        match method {
            "notifications/resources/updated" => {
                let rule = params["uri"].as_str().and_then(|uri| self.tools.rule_of_resource(uri));
                rule.is_some_and(|rule| rule.allows(auth))
            }
            // It may come before the answer that begins the task. It is withheld then: clients do not rely on it.
            "notifications/tasks/status" | "notifications/tasks" => {
                let rule = params["taskId"].as_str().and_then(|id| self.tools.rule_of_task(&self.tasks, auth, id));
                rule.is_some_and(|rule| rule.allows(auth))
            }
            _ => true,
        }
    }

    /// Filters the lists of a result.
    fn filter_lists(&self, result: &mut Map<String, Value>, auth: &AuthContext) -> FilterOutcome {
        let mut changed = false;
        // A cache must not serve a filtered list to another caller.
        if let Some(scope) = result.get_mut("cacheScope").filter(|scope| *scope != "private") {
            *scope = Value::from("private");
            changed = true;
        }
        let one = |rule: Option<_>| rule.map(|rule| vec![rule]);
        let mut retain = |list: &str, member: &str, find: &Find<'_>| {
            let Some(items) = result.get_mut(list) else { return };
            changed = true;
            let allowed = |item: &Value| {
                let rules = item.get(member).and_then(Value::as_str).and_then(find);
                rules.is_some_and(|rules| rules.iter().all(|rule| rule.allows(auth)))
            };
            match items {
                Value::Array(items) => items.retain(allowed),
                other => *other = Value::Array(Vec::new()),
            }
        };
        let of_server = |name: &str| self.tools.rule_of_tool(name).filter(|_| !self.tools.answers(name));
        retain("tools", "name", &|name| one(of_server(name)));
        retain("tasks", "taskId", &|id| one(self.tools.rule_of_task(&self.tasks, auth, id)));
        retain("prompts", "name", &|name| one(self.tools.rule_of_prompt(name)));
        retain("resources", "uri", &|uri| one(self.tools.rule_of_resource(uri)));
        retain("resourceTemplates", "uriTemplate", &|template| self.tools.rules_of_template(template));
        let is_last = result.get("nextCursor").is_none_or(Value::is_null);
        if let Some(Value::Array(tools)) = result.get_mut("tools") {
            tools.iter_mut().for_each(|tool| self.tools.narrow(tool, auth));
            tools.extend(self.tools.own_tools().filter(|_| is_last));
        }
        if changed { FilterOutcome::Changed } else { FilterOutcome::Unchanged }
    }
}
