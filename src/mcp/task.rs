//! Tasks of the server. A task belongs to the caller whose call began it. The tool of that call decides who may use it.
//!
//! Revision 2025-11-25 has tasks, and so has the extension `io.modelcontextprotocol/tasks`. They are kept in memory,
//! because the server's tasks end with its process. An unknown task is answered as one that does not exist.

use super::caller::Holder;
use crate::domain::Decision;
use crate::guard::AuthContext;
use serde_json::Value;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

/// The most tasks of one caller. A new one replaces the oldest.
const MOST_TASKS: usize = 256;
/// The most callers with tasks. A new caller replaces the one whose last task is the oldest.
const MOST_HOLDERS: usize = 10_000;

/// The known tasks. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Tasks(Arc<Mutex<TaskTable>>);

/// The tasks of all callers.
#[derive(Default)]
struct TaskTable {
    by_holder: HashMap<Holder, HolderTasks>,
    /// The number of tasks so far.
    count: u64,
}

/// The tasks of one caller.
#[derive(Default)]
struct HolderTasks {
    /// The oldest first.
    tasks: VecDeque<Task>,
    /// The number of the last task.
    last: u64,
}

struct Task {
    id: String,
    tool: String,
    /// What its caller was allowed. The result may show it.
    decision: Decision,
}

impl Tasks {
    /// Keeps the task that a result of this tool has begun, if it has. Tasks of the public are not kept: it is no caller.
    pub(super) fn keep(&self, auth: &AuthContext, tool: &str, decision: Decision, result: &Value) {
        if let (Some(holder), Some(id)) = (Holder::of(auth), id_of(result)) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).keep(holder, id, tool, decision);
        }
    }

    /// Returns the tool whose call by this caller began a task, and the decision on that call.
    pub(super) fn tool(&self, auth: &AuthContext, id: &str) -> Option<(String, Decision)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).tool(&Holder::of(auth)?, id)
    }
}

impl TaskTable {
    fn keep(&mut self, holder: Holder, id: &str, tool: &str, decision: Decision) {
        if self.by_holder.len() >= MOST_HOLDERS && !self.by_holder.contains_key(&holder) {
            let oldest = self.by_holder.iter().min_by_key(|(_, begun)| begun.last);
            let oldest = oldest.map(|(holder, _)| holder.clone());
            oldest.and_then(|oldest| self.by_holder.remove(&oldest));
        }
        self.count += 1;
        let begun = self.by_holder.entry(holder).or_default();
        begun.last = self.count;
        begun.tasks.retain(|task| task.id != id);
        if begun.tasks.len() >= MOST_TASKS {
            begun.tasks.pop_front();
        }
        begun.tasks.push_back(Task { id: id.to_owned(), tool: tool.to_owned(), decision });
    }

    fn tool(&self, holder: &Holder, id: &str) -> Option<(String, Decision)> {
        let tasks = &self.by_holder.get(holder)?.tasks;
        tasks.iter().find(|task| task.id == id).map(|task| (task.tool.clone(), task.decision.clone()))
    }
}

/// Returns the id of the task that a result of `tools/call` began. It is a member of `task`, or of the result itself in
/// the extension.
fn id_of(result: &Value) -> Option<&str> {
    let of_extension = || result.get("taskId").filter(|_| result["resultType"] == "task");
    result["task"].get("taskId").or_else(of_extension)?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::TokenId;
    use serde_json::json;

    #[test]
    fn the_oldest_task_is_forgotten_for_a_new_one() {
        let (mut known, holder) = (TaskTable::default(), Holder::Token(TokenId(1)));
        for n in 0..=MOST_TASKS {
            known.keep(holder.clone(), &n.to_string(), "t", Decision::denied());
            // A task that is kept again is the newest.
            known.keep(holder.clone(), "1", "t", Decision::denied());
        }
        assert_eq!(known.tool(&holder, "0"), None);
        for kept in ["1", "3", &MOST_TASKS.to_string()] {
            assert_eq!(known.tool(&holder, kept).map(|(tool, _)| tool).as_deref(), Some("t"), "{kept}");
        }
        assert_eq!(known.tool(&Holder::Token(TokenId(2)), "1"), None);
        assert_eq!(known.by_holder[&holder].tasks.len(), MOST_TASKS);
    }

    #[test]
    fn the_caller_with_the_oldest_task_is_forgotten_for_a_new_one() {
        let (mut known, holder) = (TaskTable::default(), |n: usize| Holder::Token(TokenId(i64::try_from(n).unwrap())));
        for n in 0..MOST_HOLDERS {
            known.keep(holder(n), "1", "t", Decision::denied());
        }
        known.keep(holder(0), "2", "t", Decision::denied());
        known.keep(holder(MOST_HOLDERS), "1", "t", Decision::denied());
        assert_eq!(known.by_holder.len(), MOST_HOLDERS);
        assert!(known.tool(&holder(0), "1").is_some() && known.tool(&holder(1), "1").is_none());
    }

    #[test]
    fn a_task_is_known_by_the_forms_of_both_revisions() {
        for (result, id) in [
            (json!({"task": {"taskId": "a", "status": "working"}}), Some("a")),
            (json!({"resultType": "task", "taskId": "a"}), Some("a")),
            (json!({"resultType": "complete", "taskId": "a"}), None),
            (json!({"taskId": "a"}), None),
            (json!({"task": "a"}), None),
            (json!({"content": []}), None),
        ] {
            assert_eq!(id_of(&result), id, "{result}");
        }
    }
}
