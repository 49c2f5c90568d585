//! The table of an MCP server: what each tool, resource, prompt and method requires.

use super::json;
use super::message::{INVALID_PARAMS, METHOD_NOT_FOUND, Message, Method, RESOURCE_NOT_FOUND, RpcError, is_known};
use super::uri::{covers, decoded, is_ambiguous, literal};
use crate::domain::Requirement;
use crate::guard::AuthContext;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The tools, resources and prompts of an MCP server, each with the requirement of its callers.
///
/// One table decides calls and lists. What it does not name is refused for every caller: tools, resources and prompts, and
/// methods that the protocol's revisions do not define.
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
    /// By URI prefix.
    resources: BTreeMap<String, Rule>,
    methods: BTreeMap<String, Rule>,
    pub(super) origins: Vec<String>,
    pub(super) body_limit: usize,
    pub(super) depth: usize,
}

/// The requirement of an entry of the table.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Rule(pub(super) Arc<Requirement>);

impl Rule {
    /// Returns whether the caller may use the entry. Calls and lists are decided here (invariant one-table).
    pub(super) fn allows(&self, auth: &AuthContext) -> bool {
        auth.meets(&self.0)
    }
}

/// The judgement of a message that is not to reach the server.
#[derive(PartialEq, Debug)]
pub(super) enum Refusal {
    /// The caller does not meet this requirement.
    Forbidden(Rule),
    /// The server is said to have nothing of this name.
    Unknown(RpcError),
}

impl Default for Tools {
    fn default() -> Self {
        Self::new()
    }
}

impl Tools {
    /// Creates an empty table: every call is refused.
    pub fn new() -> Self {
        Self {
            tools: BTreeMap::new(),
            prompts: BTreeMap::new(),
            resources: BTreeMap::new(),
            methods: BTreeMap::new(),
            origins: Vec::new(),
            body_limit: 1024 * 1024,
            depth: json::DEPTH,
        }
    }

    /// Adds a tool. Its callers need the permission for every row and field. A caller who may for some only is rejected:
    /// use [`tool_with_decision`](Self::tool_with_decision) for a tool that filters rows.
    ///
    /// # Panics
    /// If the tool is there already, or if the requirement reads a path parameter.
    pub fn tool(self, name: impl Into<String>, requirement: Requirement) -> Self {
        self.tool_with_decision(name, requirement.whole())
    }

    /// Adds a tool that takes the decision on its requirement. Callers who may for some rows or fields reach it too, and
    /// it has to apply [`AuthContext::decision`] to what it reads and writes.
    ///
    /// # Panics
    /// As [`tool`](Self::tool).
    pub fn tool_with_decision(mut self, name: impl Into<String>, requirement: Requirement) -> Self {
        insert(&mut self.tools, "tool", name.into(), requirement);
        self
    }

    /// Adds the resources whose URI this prefix covers, by whole segments: `config://app` covers `config://app/x`, not
    /// `config://apps`. The longest prefix wins. Bytes are compared as sent. A URI with dot segments or encoded
    /// separators is refused. Callers need the permission for every row and field.
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

    /// Adds a method that the table does not decide by itself: of an extension, as `tasks/get`, or of your own. Its
    /// parameters are not judged.
    ///
    /// # Panics
    /// If the table decides the method already, or if the requirement reads a path parameter.
    pub fn method(mut self, name: impl Into<String>, requirement: Requirement) -> Self {
        let name = name.into();
        assert!(!is_known(&name), "the table decides {name} already: remove it, or add what it refers to");
        insert(&mut self.methods, "method", name, requirement.whole());
        self
    }

    /// Admits requests of pages of this origin, such as `https://inspector.example.com`. Without it, requests with an
    /// `Origin` header are refused unless it is loopback (DNS rebinding).
    pub fn origin(mut self, origin: impl Into<String>) -> Self {
        self.origins.push(origin.into());
        self
    }

    /// Sets the largest body of a request, in bytes. The default is 1 MiB.
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
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

    pub(super) fn of_tool(&self, name: &str) -> Option<&Rule> {
        self.tools.get(name)
    }

    pub(super) fn of_prompt(&self, name: &str) -> Option<&Rule> {
        self.prompts.get(name)
    }

    pub(super) fn of_resource(&self, uri: &str) -> Option<&Rule> {
        if is_ambiguous(uri) {
            return None;
        }
        let rule = self.of_longest_prefix(uri, |prefix| prefix)?;
        if uri.contains('%') {
            // A server that decodes the URI, once or twice, must not find it below another prefix.
            let once = decoded(uri);
            let twice = decoded(&once);
            let differs = |reading: &str| self.of_longest_prefix(reading, decoded) != Some(rule);
            if differs(&once) || differs(&twice) || twice.contains(char::is_control) {
                return None;
            }
        }
        Some(rule)
    }

    /// Returns the rule of the longest prefix that covers a URI, with the prefixes read like this.
    fn of_longest_prefix<'a, T: AsRef<str>>(&'a self, uri: &str, read: impl Fn(&'a str) -> T) -> Option<&'a Rule> {
        let prefixes = self.resources.iter().map(|(prefix, rule)| (read(prefix), rule));
        let covering = prefixes.filter(|(prefix, _)| covers(prefix.as_ref(), uri));
        covering.max_by_key(|(prefix, _)| prefix.as_ref().len()).map(|(_, rule)| rule)
    }

    /// Returns the rule of a URI template: that of its text before the first expression.
    pub(super) fn of_template(&self, template: &str) -> Option<&Rule> {
        self.of_resource(literal(template))
    }

    /// Judges a message, and returns what its caller has to meet: nothing beyond a credential if it is empty.
    ///
    /// # Errors
    /// [`Refusal`] if the server must not see the message.
    pub(super) fn judge(&self, message: &Message<'_>, auth: &AuthContext) -> Result<Vec<Rule>, Refusal> {
        let rules = self.rules(message).map_err(Refusal::Unknown)?;
        match rules.iter().find(|rule| !rule.allows(auth)) {
            Some(rule) => Err(Refusal::Forbidden(Rule::clone(rule))),
            None => Ok(rules.into_iter().cloned().collect()),
        }
    }

    fn rules(&self, message: &Message<'_>) -> Result<Vec<&Rule>, RpcError> {
        let unknown =
            |kind: &str, name: &str| RpcError::new(INVALID_PARAMS, format!("Unknown {kind}: {}", short(name)));
        let no_resource = |_: &str| RpcError::new(RESOURCE_NOT_FOUND, "Resource not found");
        let one = |rule: Option<_>, error: RpcError| rule.map(|rule| vec![rule]).ok_or(error);
        match &message.method {
            Method::Open => Ok(Vec::new()),
            Method::Tool(name) => one(self.of_tool(name), unknown("tool", name)),
            Method::Prompt(name) | Method::CompletePrompt(name) => one(self.of_prompt(name), unknown("prompt", name)),
            Method::Resource(uri) => one(self.of_resource(uri), no_resource(uri)),
            Method::CompleteTemplate(uri) => one(self.of_template(uri), no_resource(uri)),
            Method::Listen(uris) => {
                uris.iter().map(|uri| self.of_resource(uri).ok_or_else(|| no_resource(uri))).collect()
            }
            Method::Other => {
                let name = message.name.unwrap_or_default();
                one(
                    self.methods.get(name),
                    RpcError::new(METHOD_NOT_FOUND, format!("Method not found: {}", short(name))),
                )
            }
        }
    }
}

fn insert(rules: &mut BTreeMap<String, Rule>, kind: &str, name: String, requirement: Requirement) {
    assert!(!requirement.has_params(), "the {kind} {name} has no path parameters: {requirement}");
    let earlier = rules.insert(name.clone(), Rule(Arc::new(requirement)));
    assert!(earlier.is_none(), "the {kind} {name} is there twice: remove one");
}

/// Returns the start of a name that a client sent.
fn short(name: &str) -> &str {
    &name[..name.floor_char_boundary(100)]
}
