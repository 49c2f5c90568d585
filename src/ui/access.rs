//! What a content token may do, as forms have it: a type, and for custom ones a list of actions.

use super::failure::{Complaints, Failure, capital};
use super::form::Sent;
use super::state::Pages;
use crate::domain::{Action, ContentAccess, Token};
use std::collections::{HashMap, HashSet};

/// What it may do, in a few words.
pub(super) fn told(token: &Token) -> String {
    match token.access() {
        Some(ContentAccess::ReadOnly) => "Read-only".to_owned(),
        Some(ContentAccess::FullAccess) => "Full access".to_owned(),
        Some(ContentAccess::Custom(actions)) if actions.len() == 1 => "Custom, 1 action".to_owned(),
        Some(ContentAccess::Custom(actions)) => format!("Custom, {} actions", actions.len()),
        None => String::new(),
    }
}

/// What is chosen of what a token may do: a type, and a list that counts where the type is custom.
pub(super) struct Chosen {
    word: String,
    actions: Vec<Action>,
}

impl Chosen {
    pub(super) fn of(access: &ContentAccess) -> Self {
        let actions = match access {
            ContentAccess::Custom(actions) => actions.to_vec(),
            ContentAccess::ReadOnly | ContentAccess::FullAccess => Vec::new(),
        };
        Self { word: access.as_str().to_owned(), actions }
    }

    pub(super) fn sent(sent: &Sent) -> Self {
        Self { word: sent.text("type").to_owned(), actions: sent.all("action").map(Action::new).collect() }
    }

    pub(super) fn count(&self) -> usize {
        self.actions.len()
    }

    /// As a service takes it.
    pub(super) fn access(self) -> Result<ContentAccess, Failure> {
        match self.word.as_str() {
            "read-only" => Ok(ContentAccess::ReadOnly),
            "full-access" => Ok(ContentAccess::FullAccess),
            "custom" => Ok(ContentAccess::Custom(self.actions.into())),
            _ => Err(Failure::bad_request("Choose what the token may do: read-only, full access, or custom.")),
        }
    }

    pub(super) fn types(&self, has_actions: bool) -> Vec<Type> {
        let custom = match has_actions {
            true => "Exactly the actions that you choose below.",
            false => "Exactly the actions that you choose. Nothing can be chosen: no content action is registered.",
        };
        let all = [
            ("read-only", "Read-only", "Finds and reads everything. Changes nothing."),
            ("full-access", "Full access", "Reads, creates, changes and deletes everything, also what is added later."),
            ("custom", "Custom", custom),
        ];
        let one = |(word, title, text)| Type { word, title, text, chosen: self.word == word };
        all.into_iter().map(one).collect()
    }

    /// All that can be listed, by what stands before the last dot; and what is listed although it is not registered any more.
    pub(super) fn parts(&self, pages: &Pages) -> Vec<Part> {
        let known = pages.words.catalogue.content_actions();
        let (chosen, registered): (HashSet<&Action>, HashSet<&Action>) =
            (self.actions.iter().collect(), known.iter().collect());
        let gone = self.actions.iter().filter(|action| !registered.contains(action));
        let mut parts: Vec<Part> = Vec::new();
        let mut places: HashMap<(String, bool), usize> = HashMap::new();
        let mut add = |action: &Action, gone: bool| {
            let (title, name) = action.as_str().rsplit_once('.').unwrap_or(("Others", action.as_str()));
            let chosen = chosen.contains(action);
            let deed = Deed { action: action.to_string(), name: name.to_owned(), chosen };
            let place = *places.entry((title.to_owned(), gone)).or_insert_with(|| {
                parts.push(Part { title: title.to_owned(), gone, actions: Vec::new() });
                parts.len() - 1
            });
            parts[place].actions.push(deed);
        };
        known.iter().for_each(|action| add(action, false));
        // Without any catalogue nothing is gone: anything can be listed.
        gone.for_each(|action| add(action, !known.is_empty()));
        parts
    }
}

/// What a service says of the list; the same thing once.
pub(super) fn wrong(found: &Complaints) -> Vec<String> {
    let mut all: Vec<String> = found.below("access").into_iter().map(capital).collect();
    all.dedup();
    all
}

/// Whether two accesses are the same, whatever the order of a list.
pub(super) fn same(before: Option<&ContentAccess>, after: &ContentAccess) -> bool {
    match (before, after) {
        (Some(ContentAccess::Custom(before)), ContentAccess::Custom(after)) => {
            before.iter().collect::<HashSet<_>>() == after.iter().collect()
        }
        (before, after) => before == Some(after),
    }
}

/// A type of access to choose.
pub(super) struct Type {
    pub(super) word: &'static str,
    pub(super) title: &'static str,
    pub(super) text: &'static str,
    pub(super) chosen: bool,
}

/// Actions with the same beginning.
pub(super) struct Part {
    pub(super) title: String,
    /// No catalogue has them any more.
    pub(super) gone: bool,
    pub(super) actions: Vec<Deed>,
}

pub(super) struct Deed {
    pub(super) action: String,
    pub(super) name: String,
    pub(super) chosen: bool,
}
