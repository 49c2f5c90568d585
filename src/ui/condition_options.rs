//! Menus of conditions for the permissions of a role.

use super::grants::Selection;
use super::registry::{Registry, condition_label};
use crate::domain::{ActionEntry, CeilingIndex, ConditionClause, ConditionId, Fields, Permission, Resource, Scope};

/// The reason why a permission or a condition cannot be granted.
pub(super) const NOT_GRANTABLE: &str = "you cannot grant this";

/// The conditions that a permission of a role can have.
pub(super) struct ConditionMenu {
    /// The name of the form field.
    pub(super) name: &'static str,
    /// The summary while no condition is selected.
    pub(super) none: &'static str,
    pub(super) hint: &'static str,
    pub(super) options: Vec<ConditionOption>,
}

pub(super) struct ConditionOption {
    pub(super) value: String,
    pub(super) title: String,
    pub(super) checked: bool,
    /// The reason why it cannot be selected.
    pub(super) denied: Option<&'static str>,
}

impl ConditionMenu {
    pub(super) fn has_selection(&self) -> bool {
        self.options.iter().any(|option| option.checked)
    }

    pub(super) fn summary(&self) -> String {
        let selected = self.options.iter().filter(|option| option.checked);
        let titles: Vec<&str> = selected.map(|option| option.title.as_str()).collect();
        if titles.is_empty() { self.none.to_owned() } else { titles.join(", ") }
    }
}

/// Builds the menus for an action on a resource.
pub(super) struct MenuBuilder<'a> {
    pub(super) registry: &'a Registry,
    /// The ceiling of the person who edits the role.
    pub(super) ceiling: &'a CeilingIndex<'a>,
    pub(super) selection: &'a Selection,
    pub(super) entry: &'a ActionEntry,
    pub(super) resource: Option<&'a Resource>,
}

impl MenuBuilder<'_> {
    /// Builds the menu for all fields of an action that have no menu selection of their own.
    pub(super) fn build_for_action(&self, grantable: Option<&Fields>) -> Option<ConditionMenu> {
        let (action, resource) = (&self.entry.id, self.resource);
        let selected = self.selection.clause(action, resource);
        let fields = grantable.cloned().unwrap_or(Fields::All);
        let can_grant = |clause: ConditionClause| self.can_grant(fields.clone(), clause);
        let is_unconditional = can_grant(ConditionClause::Always);
        // A permission that can only be granted under conditions starts with them selected.
        let preselects = self.selection.fields(action, resource).is_none() && grantable.is_some() && !is_unconditional;
        let option = |id: &ConditionId| {
            let is_selected = matches!(&selected, ConditionClause::AnyOf(set) if set.contains(id.as_str()));
            let is_denied = !is_selected && !can_grant(ConditionClause::from_list([id.clone()]));
            ConditionOption {
                value: serde_json::json!([action, resource, id]).to_string(),
                title: condition_label(id),
                checked: is_selected || (preselects && !is_denied),
                denied: is_denied.then_some(NOT_GRANTABLE),
            }
        };
        let hint = match (is_unconditional, grantable) {
            (false, Some(_)) => "You can grant this under conditions only.",
            _ => "Applies to entries where any of these holds:",
        };
        let options: Vec<ConditionOption> = self.conditions(&selected).iter().map(option).collect();
        let none = if resource.is_some() { "every entry" } else { "always" };
        (!options.is_empty()).then_some(ConditionMenu { name: "condition", none, hint, options })
    }

    /// Builds the menu for one field, whose conditions replace those of the action.
    pub(super) fn build_for_field(&self, field: &str) -> Option<ConditionMenu> {
        let (action, resource) = (&self.entry.id, self.resource);
        let selected = self.selection.field_clause(action, resource, field);
        let fields = Fields::only([field]).unwrap_or(Fields::All);
        let option = |id: Option<&ConditionId>| {
            let checked = match (selected, id) {
                (None, _) => false,
                (Some(clause), None) => *clause == ConditionClause::Always,
                (Some(clause), Some(id)) => clause.as_slice().contains(id),
            };
            let can_grant = self.can_grant(fields.clone(), ConditionClause::from_list(id.cloned()));
            ConditionOption {
                value: serde_json::json!([action, resource, field, id]).to_string(),
                title: id.map_or("every entry".to_owned(), condition_label),
                checked,
                denied: (!checked && !can_grant).then_some(NOT_GRANTABLE),
            }
        };
        let conditions = self.conditions(selected.unwrap_or(&ConditionClause::Always));
        if conditions.is_empty() {
            return None;
        }
        let options = std::iter::once(None).chain(conditions.iter().map(Some)).map(option).collect();
        let (none, hint) = ("same as the action", "Conditions of this field:");
        Some(ConditionMenu { name: "apart", none, hint, options })
    }

    fn can_grant(&self, fields: Fields, when: ConditionClause) -> bool {
        let scope = Scope { action: self.entry.id.clone(), resource: self.resource.cloned(), fields };
        self.ceiling.check_delegation(&Permission { scope, when }).is_ok()
    }

    /// Returns the conditions of a menu. Selected ones stay in it, even if they are no longer registered.
    fn conditions(&self, selected: &ConditionClause) -> Vec<ConditionId> {
        let mut ids = selected.as_slice().to_vec();
        // The routes of keyward itself require their actions without conditions.
        if self.entry.has_conditions && !self.registry.own_actions.contains(&self.entry.id) {
            ids.extend(self.registry.conditions.ids().cloned());
        }
        ids.sort_unstable();
        ids.dedup();
        ids
    }
}
