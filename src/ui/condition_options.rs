//! The conditions of a role's permissions: what can be chosen, and what is.

use super::grants::Chosen;
use super::matrix::{NOT_HELD, Words, condition_name};
use crate::domain::{ActionEntry, CeilingIndex, ConditionClause, ConditionId, Fields, Permission, Resource, Scope};

/// The conditions that a permission of a role can have.
pub(super) struct Offer {
    /// As the form sends them.
    pub(super) name: &'static str,
    /// What it says while none is chosen.
    pub(super) none: &'static str,
    /// What choosing means.
    pub(super) hint: &'static str,
    pub(super) choices: Vec<Choice>,
}

pub(super) struct Choice {
    pub(super) value: String,
    pub(super) title: String,
    pub(super) checked: bool,
    /// Why it cannot be chosen.
    pub(super) denied: Option<&'static str>,
}

impl Offer {
    pub(super) fn is_chosen(&self) -> bool {
        self.choices.iter().any(|choice| choice.checked)
    }

    /// What is chosen, in a few words.
    pub(super) fn said(&self) -> String {
        let chosen: Vec<&str> = self.choices.iter().filter(|c| c.checked).map(|c| c.title.as_str()).collect();
        if chosen.is_empty() { self.none.to_owned() } else { chosen.join(", ") }
    }
}

/// What can be offered for an action on a subject.
pub(super) struct Offering<'a> {
    pub(super) words: &'a Words,
    /// Of whoever gives it away.
    pub(super) ceiling: &'a CeilingIndex<'a>,
    pub(super) chosen: &'a Chosen,
    pub(super) entry: &'a ActionEntry,
    pub(super) resource: Option<&'a Resource>,
}

impl Offering<'_> {
    /// The conditions of an action, for all of its fields that have none of their own.
    pub(super) fn of_all(&self, held: Option<&Fields>) -> Option<Offer> {
        let (action, resource) = (&self.entry.id, self.resource);
        let chosen = self.chosen.when(action, resource);
        let fields = held.cloned().unwrap_or(Fields::All);
        let mine = |when: ConditionClause| self.is_mine(fields.clone(), when);
        let is_free = mine(ConditionClause::Always);
        // What can be given under conditions only begins with those.
        let begins = self.chosen.fields(action, resource).is_none() && held.is_some() && !is_free;
        let choice = |id: &ConditionId| {
            let is_chosen = matches!(&chosen, ConditionClause::AnyOf(set) if set.contains(id.as_str()));
            let denied = (!is_chosen && !mine(ConditionClause::from_list([id.clone()]))).then_some(NOT_HELD);
            Choice {
                value: serde_json::json!([action, resource, id]).to_string(),
                title: condition_name(id),
                checked: is_chosen || (begins && denied.is_none()),
                denied,
            }
        };
        let hint = match (is_free, held) {
            (false, Some(_)) => "Yours to give under conditions only.",
            _ => "Where any of these holds:",
        };
        let choices: Vec<Choice> = self.offered(&chosen).iter().map(choice).collect();
        let none = if resource.is_some() { "every entry" } else { "always" };
        (!choices.is_empty()).then_some(Offer { name: "condition", none, hint, choices })
    }

    /// The conditions of one field, instead of those of the rest.
    pub(super) fn of_field(&self, field: &str) -> Option<Offer> {
        let (action, resource) = (&self.entry.id, self.resource);
        let chosen = self.chosen.when_apart(action, resource, field);
        let fields = Fields::only([field]).unwrap_or(Fields::All);
        let choice = |id: Option<&ConditionId>| {
            let checked = match (chosen, id) {
                (None, _) => false,
                (Some(when), None) => *when == ConditionClause::Always,
                (Some(when), Some(id)) => when.as_slice().contains(id),
            };
            let mine = self.is_mine(fields.clone(), ConditionClause::from_list(id.cloned()));
            Choice {
                value: serde_json::json!([action, resource, field, id]).to_string(),
                title: id.map_or("every entry".to_owned(), condition_name),
                checked,
                denied: (!checked && !mine).then_some(NOT_HELD),
            }
        };
        let offered = self.offered(chosen.unwrap_or(&ConditionClause::Always));
        if offered.is_empty() {
            return None;
        }
        let choices = std::iter::once(None).chain(offered.iter().map(Some)).map(choice).collect();
        let (none, hint) = ("as above", "For this field instead:");
        Some(Offer { name: "apart", none, hint, choices })
    }

    /// Whether whoever has the ceiling may give this away.
    fn is_mine(&self, fields: Fields, when: ConditionClause) -> bool {
        let gift = Permission {
            scope: Scope { action: self.entry.id.clone(), resource: self.resource.cloned(), fields },
            when,
        };
        self.ceiling.check_gift(&gift).is_ok()
    }

    /// The conditions to choose from; whatever is chosen stays among them.
    fn offered(&self, chosen: &ConditionClause) -> Vec<ConditionId> {
        let mut ids = chosen.as_slice().to_vec();
        // Who holds an action of these pages under conditions does not hold it.
        if self.entry.has_conditions && !self.words.own.contains(&self.entry.id) {
            ids.extend(self.words.conditions.ids().cloned());
        }
        ids.sort_unstable();
        ids.dedup();
        ids
    }
}
