//! The access of a content token in forms: a type, and a list of actions for the custom type.

use super::failure::Failure;
use super::form::FormFields;
use super::form_errors::FormErrors;
use super::state::Pages;
use crate::admin::capitalize;
use crate::domain::{Action, ContentAccess, Token};
use std::collections::{HashMap, HashSet};

/// Summarizes the access of a token.
pub(super) fn summarize(token: &Token) -> String {
    match token.access() {
        Some(ContentAccess::ReadOnly) => "Read-only".to_owned(),
        Some(ContentAccess::FullAccess) => "Full access".to_owned(),
        Some(ContentAccess::Custom(actions)) if actions.len() == 1 => "Custom, 1 action".to_owned(),
        Some(ContentAccess::Custom(actions)) => format!("Custom, {} actions", actions.len()),
        None => String::new(),
    }
}

/// The selected access. The actions apply to the custom type only.
pub(super) struct AccessSelection {
    word: String,
    actions: Vec<Action>,
}

impl AccessSelection {
    pub(super) fn new(access: &ContentAccess) -> Self {
        let actions = match access {
            ContentAccess::Custom(actions) => actions.to_vec(),
            ContentAccess::ReadOnly | ContentAccess::FullAccess => Vec::new(),
        };
        Self { word: access.as_str().to_owned(), actions }
    }

    pub(super) fn parse(form: &FormFields) -> Self {
        Self { word: form.text("type").to_owned(), actions: form.all("action").map(Action::new).collect() }
    }

    pub(super) fn count(&self) -> usize {
        self.actions.len()
    }

    pub(super) fn into_access(self) -> Result<ContentAccess, Failure> {
        match self.word.as_str() {
            "read-only" => Ok(ContentAccess::ReadOnly),
            "full-access" => Ok(ContentAccess::FullAccess),
            "custom" => Ok(ContentAccess::Custom(self.actions.into())),
            _ => Err(Failure::bad_request("Select a token type: read-only, full access or custom.")),
        }
    }

    pub(super) fn types(&self, has_actions: bool) -> Vec<AccessType> {
        let custom = match has_actions {
            true => "Only the actions that you select below.",
            false => "Only the actions that you select. There are none yet: the service registers no content actions.",
        };
        let all = [
            ("read-only", "Read-only", "Can find and read all content. Changes nothing."),
            (
                "full-access",
                "Full access",
                "Can read, create, change and delete all content, including content added later.",
            ),
            ("custom", "Custom", custom),
        ];
        let option = |(word, title, text)| AccessType { word, title, text, selected: self.word == word };
        all.into_iter().map(option).collect()
    }

    /// Groups actions by the part before the last dot: all registered ones, and selected ones that are no longer
    /// registered.
    pub(super) fn groups(&self, pages: &Pages) -> Vec<ContentActionGroup> {
        let known = pages.registry.catalogue.content_actions();
        let (selected, registered): (HashSet<&Action>, HashSet<&Action>) =
            (self.actions.iter().collect(), known.iter().collect());
        let unregistered = self.actions.iter().filter(|action| !registered.contains(action));
        let mut groups: Vec<ContentActionGroup> = Vec::new();
        let mut indexes: HashMap<(String, bool), usize> = HashMap::new();
        let mut add = |action: &Action, is_unregistered: bool| {
            let (title, name) = action.as_str().rsplit_once('.').unwrap_or(("Others", action.as_str()));
            let option = ContentActionOption {
                action: action.to_string(),
                name: name.to_owned(),
                selected: selected.contains(action),
            };
            let index = *indexes.entry((title.to_owned(), is_unregistered)).or_insert_with(|| {
                groups.push(ContentActionGroup { title: title.to_owned(), is_unregistered, actions: Vec::new() });
                groups.len() - 1
            });
            groups[index].actions.push(option);
        };
        known.iter().for_each(|action| add(action, false));
        // Without a catalogue any action is accepted.
        unregistered.for_each(|action| add(action, !known.is_empty()));
        groups
    }
}

/// Returns the errors of the access, without repetition.
pub(super) fn access_errors(errors: &FormErrors) -> Vec<String> {
    let mut all: Vec<String> = errors.below("access").into_iter().map(capitalize).collect();
    all.dedup();
    all
}

/// Returns whether two accesses are the same, in any order of their actions.
pub(super) fn is_same_access(before: Option<&ContentAccess>, after: &ContentAccess) -> bool {
    match (before, after) {
        (Some(ContentAccess::Custom(before)), ContentAccess::Custom(after)) => {
            before.iter().collect::<HashSet<_>>() == after.iter().collect()
        }
        (before, after) => before == Some(after),
    }
}

/// A type of access, as an option of a form.
pub(super) struct AccessType {
    pub(super) word: &'static str,
    pub(super) title: &'static str,
    pub(super) text: &'static str,
    pub(super) selected: bool,
}

/// Actions with the same prefix.
pub(super) struct ContentActionGroup {
    pub(super) title: String,
    /// Whether the catalogue no longer has them.
    pub(super) is_unregistered: bool,
    pub(super) actions: Vec<ContentActionOption>,
}

pub(super) struct ContentActionOption {
    pub(super) action: String,
    pub(super) name: String,
    pub(super) selected: bool,
}
