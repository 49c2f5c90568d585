//! Messages of JSON-RPC 2.0: the parts that a decision depends on.

use serde_json::{Map, Value, json};

/// An error of JSON-RPC, as the answer to a message.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct RpcError {
    pub(super) code: i32,
    pub(super) message: String,
}

pub(super) const PARSE_ERROR: i32 = -32700;
pub(super) const INVALID_REQUEST: i32 = -32600;
pub(super) const METHOD_NOT_FOUND: i32 = -32601;
pub(super) const INVALID_PARAMS: i32 = -32602;
pub(super) const INTERNAL_ERROR: i32 = -32603;
/// The code of revisions before 2026-07-28.
pub(super) const RESOURCE_NOT_FOUND: i32 = -32002;
pub(super) const HEADER_MISMATCH: i32 = -32020;

impl RpcError {
    pub(super) fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// Returns the answer to the message with this id.
    pub(super) fn answer(&self, id: &Value) -> Value {
        json!({"jsonrpc": "2.0", "id": id, "error": {"code": self.code, "message": self.message}})
    }
}

/// A message: a request, a notification without an id, or the response to a request of the server.
#[derive(Debug)]
pub(super) struct Message<'a> {
    /// `Null` for a notification.
    pub(super) id: &'a Value,
    /// The method's name; `None` for a response.
    pub(super) name: Option<&'a str>,
    pub(super) method: Method<'a>,
    /// The revision that the message names.
    pub(super) protocol_version: Option<&'a str>,
}

/// A method, with the names that its requirement depends on.
#[derive(PartialEq, Debug)]
pub(super) enum Method<'a> {
    /// Open to every valid caller: the handshake, lists, notifications, and responses.
    Open,
    Tool {
        name: &'a str,
        arguments: &'a Value,
    },
    Prompt(&'a str),
    /// Reads a resource, or subscribes to it in revisions before 2026-07-28.
    Resource(&'a str),
    /// Subscribes to resources and tasks.
    Listen {
        uris: Vec<&'a str>,
        tasks: Vec<&'a str>,
    },
    /// Asks for a task, or changes it.
    Task(&'a str),
    CompletePrompt(&'a str),
    /// Completes an argument of the resources of a URI template.
    CompleteTemplate(&'a str),
    /// Another method. It is rejected unless the host declared it.
    Other,
}

/// The methods that every valid caller may use.
const OPEN: [&str; 9] = [
    "initialize",
    "ping",
    "server/discover",
    "logging/setLevel",
    "tools/list",
    "resources/list",
    "resources/templates/list",
    "prompts/list",
    "tasks/list",
];
/// The notifications of clients, which every valid caller may send.
const NOTIFICATIONS: [&str; 6] = [
    "notifications/initialized",
    "notifications/cancelled",
    "notifications/progress",
    "notifications/roots/list_changed",
    "notifications/elicitation/response",
    "notifications/tasks/status",
];
/// The most resources, and the most tasks, of one subscription.
const MOST_SUBSCRIBED: usize = 100;
/// The methods whose requirement depends on their parameters.
const NAMING: [&str; 11] = [
    "tools/call",
    "resources/read",
    "resources/subscribe",
    "resources/unsubscribe",
    "prompts/get",
    "completion/complete",
    "subscriptions/listen",
    "tasks/get",
    "tasks/result",
    "tasks/update",
    "tasks/cancel",
];

/// Returns whether the table decides the method without a declaration of its own.
pub(super) fn is_known(method: &str) -> bool {
    OPEN.contains(&method) || NAMING.contains(&method) || NOTIFICATIONS.contains(&method)
}

/// The members that a decision depends on. A reader that ignores case would take another spelling for one of them.
const DECIDING: [&str; 14] = [
    "jsonrpc",
    "id",
    "method",
    "params",
    "result",
    "error",
    "name",
    "arguments",
    "uri",
    "ref",
    "type",
    "notifications",
    "taskId",
    "_meta",
];
/// The bytes of the longest of them.
const LONGEST_DECIDING: usize = 13;

impl<'a> Message<'a> {
    /// Reads a message from its JSON.
    ///
    /// # Errors
    /// Returns the error to answer with, and the id if it is known.
    pub(super) fn read(json: &'a Value) -> Result<Self, (RpcError, &'a Value)> {
        let invalid = |message: &str, id| (RpcError::new(INVALID_REQUEST, message), id);
        let Value::Object(members) = json else { return Err(invalid("not a message", &Value::Null)) };
        let id = members.get("id").unwrap_or(&Value::Null);
        let is_id = id.is_string() || id.is_i64() || id.is_u64();
        if members.contains_key("id") && !is_id {
            return Err(invalid("an id is a string or an integer", &Value::Null));
        }
        check_spelling(members).map_err(|message| invalid(&message, id))?;
        if members.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
            return Err(invalid("not a message of JSON-RPC 2.0", id));
        }
        let answers = ["result", "error"].iter().filter(|name| members.contains_key(**name)).count();
        let Some(method) = members.get("method") else {
            return match answers == 1 && is_id {
                true => Ok(Self { id, name: None, method: Method::Open, protocol_version: None }),
                false => Err(invalid("neither a request nor a response", id)),
            };
        };
        let Some(name) = method.as_str().filter(|_| answers == 0) else {
            return Err(invalid("both a request and a response, or a method that is no text", id));
        };
        if name.starts_with("notifications/") && members.contains_key("id") {
            return Err(invalid("a notification has no id", id));
        }
        let params = match members.get("params") {
            None => None,
            Some(Value::Object(params)) => Some(params),
            Some(_) => return Err((RpcError::new(INVALID_PARAMS, "params is an object"), id)),
        };
        let method = Method::read(name, params).map_err(|message| (RpcError::new(INVALID_PARAMS, message), id))?;
        let version = &json["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"];
        Ok(Self { id, name: Some(name), method, protocol_version: version.as_str() })
    }

    /// Returns the name of the tool that the message calls; of other calls that have a requirement, the method.
    pub(super) fn tool(&self) -> Option<&str> {
        match self.method {
            Method::Open => None,
            Method::Tool { name, .. } => Some(name),
            _ => self.name,
        }
    }

    /// Returns whether the message is a request, which has an answer.
    pub(super) fn is_request(&self) -> bool {
        self.name.is_some() && !self.id.is_null()
    }
}

impl<'a> Method<'a> {
    /// Reads what the requirement of a method depends on.
    fn read(name: &str, params: Option<&'a Map<String, Value>>) -> Result<Self, String> {
        if NOTIFICATIONS.contains(&name) || OPEN.contains(&name) {
            return Ok(Self::Open);
        }
        if !NAMING.contains(&name) {
            return Ok(Self::Other);
        }
        let params = params.ok_or("params is missing")?;
        check_spelling(params)?;
        Ok(match name {
            // It needs no permission: the answer contains nothing of the resource.
            "resources/unsubscribe" => Self::Open,
            "tools/call" => Self::Tool {
                name: read_text(params, "name")?,
                arguments: params.get("arguments").unwrap_or(&Value::Null),
            },
            "tasks/get" | "tasks/result" | "tasks/update" | "tasks/cancel" => Self::Task(read_text(params, "taskId")?),
            "prompts/get" => Self::Prompt(read_text(params, "name")?),
            "completion/complete" => {
                let Some(Value::Object(reference)) = params.get("ref") else { return Err("ref is no object".into()) };
                check_spelling(reference)?;
                match read_text(reference, "type")? {
                    "ref/prompt" if !reference.contains_key("uri") => {
                        Self::CompletePrompt(read_text(reference, "name")?)
                    }
                    "ref/resource" if !reference.contains_key("name") => {
                        Self::CompleteTemplate(read_text(reference, "uri")?)
                    }
                    _ => return Err("ref is neither a prompt nor a resource".into()),
                }
            }
            "subscriptions/listen" => {
                let Some(Value::Object(filter)) = params.get("notifications") else {
                    return Err("notifications is no object".into());
                };
                // A filter of an extension is rejected, because a URI in it would not be judged.
                let lists = ["toolsListChanged", "promptsListChanged", "resourcesListChanged"];
                let (resources, tasks) = ("resourceSubscriptions", "taskIds");
                let is_known = |name: &str| lists.contains(&name) || name == resources || name == tasks;
                if let Some(other) = filter.keys().find(|name| !is_known(name)) {
                    return Err(format!("unknown filter {}", shorten(other)));
                }
                Self::Listen { uris: read_texts(filter, resources)?, tasks: read_texts(filter, tasks)? }
            }
            _ => Self::Resource(read_text(params, "uri")?),
        })
    }
}

/// Returns the text of a member.
fn read_text<'a>(members: &'a Map<String, Value>, name: &str) -> Result<&'a str, String> {
    members.get(name).and_then(Value::as_str).ok_or_else(|| format!("{name} is no text"))
}

/// Returns the texts of a list; none if the member is missing.
fn read_texts<'a>(members: &'a Map<String, Value>, name: &str) -> Result<Vec<&'a str>, String> {
    match members.get(name) {
        None => Ok(Vec::new()),
        Some(Value::Array(items)) if items.len() > MOST_SUBSCRIBED => {
            Err(format!("more than {MOST_SUBSCRIBED} {name} in one subscription"))
        }
        Some(Value::Array(items)) => {
            let texts: Option<_> = items.iter().map(Value::as_str).collect();
            texts.ok_or_else(|| format!("{name} holds texts"))
        }
        Some(_) => Err(format!("{name} is no array")),
    }
}

/// Checks that no reader could take another member for a deciding one. Some readers ignore case, end texts at a zero
/// byte, or inherit from `__proto__`.
fn check_spelling(members: &Map<String, Value>) -> Result<(), String> {
    match members.keys().find(|name| is_other_spelling(name)) {
        Some(name) => Err(format!("the member {} may be read as another one: remove it", shorten(name))),
        None => Ok(()),
    }
}

/// Returns whether a name is no deciding one, but some reader takes it for one.
fn is_other_spelling(name: &str) -> bool {
    if name == "__proto__" {
        return true;
    }
    if let Some((read, _)) = name.split_once('\0') {
        return DECIDING.contains(&read) || is_other_spelling(read);
    }
    // Folding makes no character shorter than one byte, and none is longer than four.
    if name.len() > 4 * LONGEST_DECIDING || DECIDING.contains(&name) {
        return false;
    }
    let is_deciding = |name: &str| DECIDING.iter().any(|deciding| deciding.eq_ignore_ascii_case(name));
    match name.is_ascii() {
        true => is_deciding(name),
        false => is_deciding(&name.to_lowercase().to_uppercase()),
    }
}

/// Returns whether a reader that folds case takes two names for one.
fn is_same_folded(one: &str, other: &str) -> bool {
    let folded = |name: &str| name.to_lowercase().to_uppercase();
    one.eq_ignore_ascii_case(other) || (!(one.is_ascii() && other.is_ascii()) && folded(one) == folded(other))
}

/// Returns whether some reader takes a name for another one, or for its holder's prototype.
pub(super) fn may_be_read_as(name: &str, other: &str) -> bool {
    let read = name.split('\0').next().unwrap_or_default();
    name == "__proto__" || (name != other && is_same_folded(read, other))
}

/// Returns the start of a name that a client sent.
pub(super) fn shorten(name: &str) -> &str {
    &name[..name.floor_char_boundary(100)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition, in the most direct form.
    fn folds_to_another(name: &str) -> bool {
        let folded = |name: &str| name.to_lowercase().to_uppercase();
        !DECIDING.contains(&name) && DECIDING.iter().any(|deciding| folded(name) == folded(deciding))
    }

    #[test]
    fn other_spellings_of_deciding_members_are_found() {
        for name in ["Method", "METHOD", "paramſ", "\u{131}d", "urI", "_META", "reſult"] {
            assert!(is_other_spelling(name) && folds_to_another(name), "{name}");
        }
        assert!(["method\0", "Method\0x", "__proto__"].into_iter().all(is_other_spelling));
        for name in ["method", "methods", "m\u{e9}thod", "", "\u{130}d", "title", &"\u{17f}".repeat(100)] {
            assert!(!is_other_spelling(name) && !folds_to_another(name), "{name}");
        }
        assert!(DECIDING.iter().all(|name| name.is_ascii() && name.len() <= LONGEST_DECIDING));
    }

    #[test]
    fn spellings_are_found_as_the_definition_says() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..20_000 {
            let deciding = DECIDING[random.usize(..DECIDING.len())];
            let name: String = deciding
                .chars()
                .map(|c| match (random.u8(..12), c) {
                    (0, c) => c.to_ascii_uppercase(),
                    (1, 's') => '\u{17f}',
                    (1, 'i') => '\u{131}',
                    (2, 'i') => '\u{130}',
                    (1, 'k') => '\u{212a}',
                    (3, _) => random.char(..),
                    (_, c) => c,
                })
                .collect();
            assert_eq!(is_other_spelling(&name), folds_to_another(&name), "{name}");
        }
    }
}
