//! The table of an MCP server: the requirement of each tool, resource, prompt and method.

use super::fields::FieldsAt;
use super::introspection::{self, PERMISSIONS, WHOAMI};
use super::json;
use super::message::{
    INVALID_PARAMS, METHOD_NOT_FOUND, Message, Method, RESOURCE_NOT_FOUND, RpcError, is_known, shorten,
};
use super::task::Tasks;
use super::uri::{covers, decode_percent, expansions, is_ambiguous, literal, normalized};
use crate::domain::{Requirement, authenticated};
use crate::guard::AuthContext;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The tools, resources and prompts of an MCP server, each with the requirement of its callers.
///
/// One table decides calls and lists. Every caller is rejected for a tool, resource or prompt that the table does not name,
/// and for a method that neither the table names nor the protocol defines.
///
/// ```
/// use keyward::mcp::Tools;
/// use keyward::{action, authenticated};
/// let tools = Tools::new()
///     .tool("search_articles", action("article.read"))
///     .tool("publish_article", action("article.publish").on("article"))
///     .tool_with_decision("list_drafts", action("article.read").on("draft"))
///     .resources("article://", action("article.read"))
///     .prompt("summarize", authenticated());
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Tools {
    tools: BTreeMap<String, Rule>,
    prompts: BTreeMap<String, Rule>,
    /// The rules by URI prefix.
    resources: BTreeMap<String, Rule>,
    methods: BTreeMap<String, Rule>,
    /// The places of fields by tool.
    fields: BTreeMap<String, FieldsAt>,
    /// Whether the layer answers the tools of introspection.
    introspection: bool,
    pub(super) origins: Vec<String>,
    pub(super) body_limit: usize,
    pub(super) answer_limit: usize,
    pub(super) depth: usize,
}

/// The requirement of an entry of the table.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Rule(pub(super) Arc<Requirement>);

impl Rule {
    /// Returns whether the caller may use the entry. Calls and lists both ask here (invariant one-table).
    pub(super) fn allows(&self, auth: &AuthContext) -> bool {
        auth.meets(&self.0)
    }
}

/// Other readings of a URI: a server may ignore case, or parts that name no resource, and it may decode the URI once or
/// twice. A resource has to have the same requirement in each.
const READINGS: [fn(&str) -> String; 3] = [normalized, decode_percent, |uri| decode_percent(&decode_percent(uri))];

/// The reason why a message must not reach the server.
#[derive(PartialEq, Debug)]
pub(super) enum JudgeError {
    /// The caller does not meet this requirement.
    Forbidden(Rule),
    /// The message names an unknown entry, or a field that the caller may not set. This is its answer.
    Invalid(RpcError),
}

impl Default for Tools {
    fn default() -> Self {
        Self::new()
    }
}

impl Tools {
    /// Creates an empty table: every call is rejected.
    pub fn new() -> Self {
        Self {
            tools: BTreeMap::new(),
            prompts: BTreeMap::new(),
            resources: BTreeMap::new(),
            methods: BTreeMap::new(),
            fields: BTreeMap::new(),
            introspection: false,
            origins: Vec::new(),
            body_limit: 1024 * 1024,
            answer_limit: 16 * 1024 * 1024,
            depth: json::DEPTH,
        }
    }

    /// Adds a tool. Its callers need the permission for every row and field. A caller with the permission for some rows or
    /// fields is rejected: use [`tool_with_decision`](Self::tool_with_decision) for a tool that filters rows.
    ///
    /// # Panics
    /// If the tool is there already, or if the requirement reads a path parameter.
    pub fn tool(self, name: impl Into<String>, requirement: Requirement) -> Self {
        self.tool_with_decision(name, requirement.whole())
    }

    /// Adds a tool that takes the decision on its requirement. Callers with the permission for some rows or fields reach it
    /// too, so it has to apply [`AuthContext::decision`] to all that it reads and writes.
    ///
    /// # Panics
    /// As [`tool`](Self::tool).
    pub fn tool_with_decision(mut self, name: impl Into<String>, requirement: Requirement) -> Self {
        insert(&mut self.tools, "tool", name.into(), requirement);
        self
    }

    /// Sets the place of the fields in the arguments of a tool: a JSON Pointer (RFC 6901), which is empty for the arguments
    /// themselves. A caller who may set only some fields sees only these in the input schema. A call that names another
    /// field is answered by an error with its name. Every caller may name the members in `always`, such as ids.
    ///
    /// The tool still applies [`AuthContext::decision`] to rows.
    ///
    /// ```
    /// use keyward::action;
    /// use keyward::mcp::Tools;
    /// // Arguments of the form `{"id": 1, "data": {"title": "..", "body": ".."}}`.
    /// let tools = Tools::new()
    ///     .tool_with_decision("update_article", action("article.update").on("article"))
    ///     .fields_at("update_article", "/data", &[]);
    /// ```
    ///
    /// # Panics
    /// If the table does not have the tool, if the place of its fields is set already, or if `pointer` is no JSON Pointer.
    pub fn fields_at(mut self, tool: &str, pointer: &str, always: &[&str]) -> Self {
        assert!(self.tools.contains_key(tool), "there is no tool {tool}: add it first");
        let earlier = self.fields.insert(tool.to_owned(), FieldsAt::new(pointer, always));
        assert!(earlier.is_none(), "the fields of the tool {tool} are there twice: remove one");
        self
    }

    /// Adds two tools that describe the caller: `whoami` (kind and name of its token, its owner, the time left) and
    /// `list_my_permissions`. The layer answers their calls, and every valid caller may use them. The answer contains names
    /// if [they are kept](crate::Builder::caller_names).
    ///
    /// # Panics
    /// If a tool of one of these names is there already.
    pub fn introspection(mut self) -> Self {
        self.introspection = true;
        self.tool(WHOAMI, authenticated()).tool(PERMISSIONS, authenticated())
    }

    /// Adds the resources whose URI this prefix covers, by whole segments: `config://app` covers `config://app/x`, not
    /// `config://apps`. The longest prefix wins. Bytes are compared as sent. A URI with dot segments or encoded
    /// separators is rejected. Callers need the permission for every row and field.
    ///
    /// # Panics
    /// If the prefix is empty or there already, or if the requirement reads a path parameter.
    pub fn resources(mut self, prefix: impl Into<String>, requirement: Requirement) -> Self {
        let prefix = prefix.into();
        assert!(!prefix.is_empty(), "the prefix of resources is empty: name their scheme at least");
        insert(&mut self.resources, "prefix of resources", prefix, requirement.whole());
        self
    }

    /// Adds a prompt. Its callers need the permission for every row and field.
    ///
    /// # Panics
    /// As [`tool`](Self::tool).
    pub fn prompt(mut self, name: impl Into<String>, requirement: Requirement) -> Self {
        insert(&mut self.prompts, "prompt", name.into(), requirement.whole());
        self
    }

    /// Adds a method that the protocol does not define, such as one of an extension. Its parameters are not judged.
    ///
    /// # Panics
    /// If the table decides the method already, or if the requirement reads a path parameter.
    pub fn method(mut self, name: impl Into<String>, requirement: Requirement) -> Self {
        let name = name.into();
        assert!(!is_known(&name), "the table decides {name} already: remove it, or add what it refers to");
        insert(&mut self.methods, "method", name, requirement.whole());
        self
    }

    /// Admits requests of pages of this origin, such as `https://inspector.example.com`. Pages of loopback origins are
    /// always admitted. Requests with another `Origin` header are rejected (DNS rebinding).
    pub fn origin(mut self, origin: impl Into<String>) -> Self {
        self.origins.push(origin.into());
        self
    }

    /// Sets the largest body of a request, in bytes. The default is 1 MiB.
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }

    /// Sets the largest answer of the server, in bytes: of a JSON body, and of each event of a stream. The layer reads a
    /// whole answer to filter its lists. A larger one becomes an error. The default is 16 MiB.
    pub fn answer_limit(mut self, bytes: usize) -> Self {
        self.answer_limit = bytes;
        self
    }

    /// Sets the deepest nesting of a message. The default is 64.
    pub fn depth_limit(mut self, depth: usize) -> Self {
        self.depth = depth;
        self
    }

    /// Returns the requirements of all entries.
    pub(super) fn requirements(&self) -> impl Iterator<Item = &Requirement> {
        [&self.tools, &self.prompts, &self.resources, &self.methods].into_iter().flatten().map(|(_, rule)| &*rule.0)
    }

    pub(super) fn rule_of_tool(&self, name: &str) -> Option<&Rule> {
        self.tools.get(name)
    }

    /// Returns the rule of a task: that of the tool whose call by this caller began it. `None` if the task was begun with
    /// permissions for more rows or fields: its result may show them.
    pub(super) fn rule_of_task(&self, tasks: &Tasks, auth: &AuthContext, id: &str) -> Option<&Rule> {
        let (tool, begun) = tasks.tool(auth, id)?;
        let rule = self.rule_of_tool(&tool)?;
        (!rule.allows(auth) || auth.decide(&rule.0).covers(&begun)).then_some(rule)
    }

    /// Returns whether the layer answers calls of this tool.
    pub(super) fn answers(&self, tool: &str) -> bool {
        self.introspection && [WHOAMI, PERMISSIONS].contains(&tool)
    }

    /// Returns the tools that the layer answers, as lists show them.
    pub(super) fn own_tools(&self) -> impl Iterator<Item = serde_json::Value> {
        introspection::definitions().into_iter().filter(|_| self.introspection)
    }

    /// Removes from the schema of a tool the fields that the caller may not set.
    pub(super) fn narrow(&self, tool: &mut serde_json::Value, auth: &AuthContext) {
        let name = tool["name"].as_str().unwrap_or_default();
        if let (Some(fields), Some(rule)) = (self.fields.get(name), self.rule_of_tool(name))
            && let Some(schema) = tool.get_mut("inputSchema")
        {
            fields.narrow(schema, &auth.decide(&rule.0));
        }
    }

    pub(super) fn rule_of_prompt(&self, name: &str) -> Option<&Rule> {
        self.prompts.get(name)
    }

    pub(super) fn rule_of_resource(&self, uri: &str) -> Option<&Rule> {
        let is_clear = !is_ambiguous(uri) && !decode_percent(&decode_percent(uri)).contains(char::is_control);
        if is_clear { self.rule_in_all_readings(uri) } else { None }
    }

    /// Returns the rule of a URI if it is the same however a server reads the URI.
    fn rule_in_all_readings(&self, uri: &str) -> Option<&Rule> {
        let rule = self.find_longest_prefix(uri, |prefix| prefix)?;
        READINGS.iter().all(|read| self.find_longest_prefix(&read(uri), read) == Some(rule)).then_some(rule)
    }

    /// Returns the rule of the longest prefix that covers a URI. `read` transforms each prefix before the comparison.
    fn find_longest_prefix<'a, T: AsRef<str>>(&'a self, uri: &str, read: impl Fn(&'a str) -> T) -> Option<&'a Rule> {
        let prefixes = self.resources.iter().map(|(prefix, rule)| (read(prefix), rule));
        let covering = prefixes.filter(|(prefix, _)| covers(prefix.as_ref(), uri));
        covering.max_by_key(|(prefix, _)| prefix.as_ref().len()).map(|(_, rule)| rule)
    }

    /// Returns the rules of all prefixes that cover an expansion of a URI template. `None` if an expansion has no prefix.
    pub(super) fn rules_of_template(&self, template: &str) -> Option<Vec<&Rule>> {
        let literal = literal(template);
        // Decoded, an encoded brace begins an expression.
        let decoded = decode_percent(&decode_percent(template));
        if is_ambiguous(literal) || decoded.matches(['{', '}']).count() != template.matches(['{', '}']).count() {
            return None;
        }
        let mut rules: Vec<&Rule> =
            expansions(template).iter().map(|uri| self.rule_in_all_readings(uri)).collect::<Option<_>>()?;
        if literal.len() < template.len() {
            let is_below = |prefix: &str| {
                prefix.starts_with(literal) || READINGS.iter().any(|read| read(prefix).starts_with(&read(literal)))
            };
            rules.extend(self.resources.iter().filter(|(prefix, _)| is_below(prefix)).map(|(_, rule)| rule));
        }
        Some(rules)
    }

    /// Judges a message, and returns the rules that its caller has to meet. If there are none, a credential is enough.
    ///
    /// # Errors
    /// [`JudgeError`] if the message must not reach the server.
    pub(super) fn judge(
        &self,
        message: &Message<'_>,
        auth: &AuthContext,
        tasks: &Tasks,
    ) -> Result<Vec<Rule>, JudgeError> {
        let rules = self.rules(message, auth, tasks).map_err(JudgeError::Invalid)?;
        if let Some(rule) = rules.iter().find(|rule| !rule.allows(auth)) {
            return Err(JudgeError::Forbidden(Rule::clone(rule)));
        }
        if let Method::Tool { name, arguments } = message.method
            && let (Some(fields), Some(rule)) = (self.fields.get(name), self.rule_of_tool(name))
        {
            let checked = fields.check(arguments, &auth.decide(&rule.0));
            checked.map_err(|text| JudgeError::Invalid(RpcError::new(INVALID_PARAMS, text)))?;
        }
        Ok(rules.into_iter().cloned().collect())
    }

    /// Returns the rules of the entries that a message names.
    ///
    /// # Errors
    /// The answer to a message that names an unknown entry.
    fn rules(&self, message: &Message<'_>, auth: &AuthContext, tasks: &Tasks) -> Result<Vec<&Rule>, RpcError> {
        let unknown = |kind: &str, name: &str| {
            let text = format!("Unknown {kind}: {}", shorten(name));
            RpcError::new(INVALID_PARAMS, text)
        };
        let no_resource = || RpcError::new(RESOURCE_NOT_FOUND, "Resource not found");
        let resource = |uri: &str| self.rule_of_resource(uri).ok_or_else(no_resource);
        let task = |id: &str| {
            self.rule_of_task(tasks, auth, id).ok_or_else(|| RpcError::new(INVALID_PARAMS, "Task not found"))
        };
        let rule = match &message.method {
            Method::Open => return Ok(Vec::new()),
            Method::CompleteTemplate(uri) => return self.rules_of_template(uri).ok_or_else(no_resource),
            Method::Listen { uris, tasks } => {
                let resources = uris.iter().map(|uri| resource(uri));
                return resources.chain(tasks.iter().map(|id| task(id))).collect();
            }
            Method::Tool { name, .. } => self.rule_of_tool(name).ok_or_else(|| unknown("tool", name)),
            Method::Prompt(name) | Method::CompletePrompt(name) => {
                self.rule_of_prompt(name).ok_or_else(|| unknown("prompt", name))
            }
            Method::Resource(uri) => resource(uri),
            Method::Task(id) => task(id),
            Method::Other => {
                let name = message.name.unwrap_or_default();
                let unknown = || RpcError::new(METHOD_NOT_FOUND, format!("Method not found: {}", shorten(name)));
                self.methods.get(name).ok_or_else(unknown)
            }
        };
        rule.map(|rule| vec![rule])
    }
}

fn insert(rules: &mut BTreeMap<String, Rule>, kind: &str, name: String, requirement: Requirement) {
    assert!(!requirement.has_params(), "the {kind} {name} has no path parameters: {requirement}");
    let earlier = rules.insert(name.clone(), Rule(Arc::new(requirement)));
    assert!(earlier.is_none(), "the {kind} {name} is there twice: remove one");
}
