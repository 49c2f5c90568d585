//! Random tables and callers, and the uses that they allow. Levels decide here, not keyward's decisions.

use super::readers::Use;
use fastrand::Rng;
use keyward::authz::Fields;
use keyward::mcp::Tools;
use keyward::{Permission, Requirement, action, all_of, any_of, authenticated};
use std::collections::BTreeMap;

pub const TOOLS: [&str; 12] = [
    "search",
    "publish",
    "Search",
    "a/b",
    "käse",
    "two words",
    "",
    "日本語",
    "quote\"s",
    "tools/call",
    "7",
    "v2.name-x_y",
];
pub const PROMPTS: [&str; 4] = ["summarize", "search", "Ünïcode", "sum"];
/// Prefixes of resources, some of which are below others.
pub const PREFIXES: [&str; 13] = [
    "article://",
    "article://private",
    "article://private/",
    "file:///",
    "file:///public",
    "file:///public/drafts/",
    "file:///team@home",
    "file:///a.b",
    "config:",
    "config://app",
    "x:a",
    "x:a:b",
    "file:///café",
];
pub const METHODS: [&str; 2] = ["x/mine", "x/other"];
/// The number of actions.
pub const ACTIONS: usize = 4;

/// The part of an action that a caller has: nothing, some of its fields, or all of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Level {
    Nothing,
    Some,
    All,
}

/// The levels of a caller, by action.
pub type Levels = [Level; ACTIONS];

/// A requirement.
#[derive(Clone, Debug)]
enum Need {
    Anyone,
    Action(usize),
    AnyOf(Vec<Need>),
    AllOf(Vec<Need>),
}

/// An entry of the table.
#[derive(Clone, Debug)]
struct Entry {
    need: Need,
    /// Whether it takes a partial decision.
    filters: bool,
}

/// The entries of a server, each with the need of its callers.
#[derive(Clone, Default, Debug)]
pub struct Table {
    tools: BTreeMap<&'static str, Entry>,
    prompts: BTreeMap<&'static str, Entry>,
    resources: BTreeMap<&'static str, Entry>,
    methods: BTreeMap<&'static str, Entry>,
}

/// Returns random levels of a caller.
pub fn levels(random: &mut Rng) -> Levels {
    std::array::from_fn(|_| [Level::Nothing, Level::Some, Level::All, Level::All, Level::All][random.usize(..5)])
}

/// Returns the permissions of a caller with these levels.
pub fn permissions(levels: &Levels) -> impl Iterator<Item = Permission> {
    levels.iter().enumerate().filter_map(|(i, level)| {
        let permission = Permission::new(format!("a{i}")).on("article");
        match level {
            Level::Nothing => None,
            Level::Some => Some(permission.fields(Fields::only(["title"]).unwrap())),
            Level::All => Some(permission),
        }
    })
}

impl Table {
    /// Returns a table with most of the names.
    pub fn random(random: &mut Rng) -> Self {
        let mut table = Self::default();
        fill(&mut table.tools, &TOOLS, random);
        fill(&mut table.prompts, &PROMPTS, random);
        fill(&mut table.resources, &PREFIXES, random);
        fill(&mut table.methods, &METHODS, random);
        for entries in [&mut table.prompts, &mut table.resources, &mut table.methods] {
            entries.values_mut().for_each(|entry| entry.filters = false);
        }
        table
    }

    /// Returns the table as keyward takes it.
    pub fn tools(&self) -> Tools {
        let mut tools = Tools::new();
        for (name, entry) in &self.tools {
            tools = match entry.filters {
                true => tools.tool_with_decision(*name, entry.need.requirement()),
                false => tools.tool(*name, entry.need.requirement()),
            };
        }
        let tools = self.prompts.iter().fold(tools, |tools, (name, e)| tools.prompt(*name, e.need.requirement()));
        let tools = self.resources.iter().fold(tools, |tools, (name, e)| tools.resources(*name, e.need.requirement()));
        self.methods.iter().fold(tools, |tools, (name, e)| tools.method(*name, e.need.requirement()))
    }

    /// Returns whether a caller may use this. Names are compared as they are.
    pub fn allows(&self, levels: &Levels, used: &Use) -> bool {
        let meets = |entry: Option<&Entry>| {
            entry.is_some_and(|entry| match entry.need.level(levels) {
                Level::Nothing => false,
                Level::Some => entry.filters,
                Level::All => true,
            })
        };
        let entry = match used {
            Use::Tool(name) => self.tools.get(name.as_str()),
            Use::Prompt(name) => self.prompts.get(name.as_str()),
            Use::Method(name) => self.methods.get(name.as_str()),
            Use::Resource(uri) => self.of_resource(uri),
            // Every expansion of the template has to be allowed.
            Use::Template(template) => {
                let (literal, expression) = template.split_once('{').unwrap_or((template, ""));
                let below = |prefix: &&&str| prefix.starts_with(literal) && literal.len() < template.len();
                let expanded = match expression.chars().next() {
                    None => literal.to_owned(),
                    Some(operator @ ('/' | '?' | '#')) => format!("{literal}{operator}zz"),
                    Some(_) => format!("{literal}zz"),
                };
                let all = self.resources.keys().filter(below).all(|prefix| meets(self.resources.get(*prefix)));
                return all && meets(self.of_resource(literal)) && meets(self.of_resource(&expanded));
            }
        };
        meets(entry)
    }

    /// Returns the entry of the longest prefix that ends where a part of the URI ends.
    fn of_resource(&self, uri: &str) -> Option<&Entry> {
        let ends = |prefix: &str| match uri[prefix.len()..].chars().next() {
            None | Some('/' | '?' | '#') => true,
            Some(_) => prefix.ends_with('/') || prefix.ends_with(':'),
        };
        let covering = self.resources.iter().filter(|(prefix, _)| uri.starts_with(**prefix) && ends(prefix));
        covering.max_by_key(|(prefix, _)| prefix.len()).map(|(_, entry)| entry)
    }
}

fn fill(entries: &mut BTreeMap<&'static str, Entry>, names: &[&'static str], random: &mut Rng) {
    for name in names {
        if random.u8(..5) > 0 {
            entries.insert(name, Entry { need: Need::random(random, 2), filters: random.bool() });
        }
    }
}

impl Need {
    fn random(random: &mut Rng, depth: usize) -> Self {
        match random.u8(..if depth == 0 { 6 } else { 8 }) {
            0 => Self::Anyone,
            1..6 => Self::Action(random.usize(..ACTIONS)),
            kind => {
                let parts = (0..random.usize(..4)).map(|_| Self::random(random, depth - 1)).collect();
                if kind == 6 { Self::AnyOf(parts) } else { Self::AllOf(parts) }
            }
        }
    }

    fn requirement(&self) -> Requirement {
        match self {
            Self::Anyone => authenticated(),
            Self::Action(i) => action(format!("a{i}")).on("article"),
            Self::AnyOf(parts) => any_of(parts.iter().map(Self::requirement)),
            Self::AllOf(parts) => all_of(parts.iter().map(Self::requirement)),
        }
    }

    fn level(&self, levels: &Levels) -> Level {
        let each = |parts: &[Self]| parts.iter().map(|part| part.level(levels)).collect::<Vec<_>>();
        match self {
            Self::Anyone => Level::All,
            Self::Action(i) => levels[*i],
            Self::AnyOf(parts) => each(parts).into_iter().max().unwrap_or(Level::Nothing),
            Self::AllOf(parts) => each(parts).into_iter().min().unwrap_or(Level::Nothing),
        }
    }
}
