//! The registered actions, resources and conditions: their labels, and which of them forms can show.

use crate::domain::{
    Action, ActionEntry, Catalogue, ConditionId, Conditions, Field, Fields, Grant, HAS_SAME_ROLE_AS_CREATOR,
    IS_CREATOR, Permission, Resource, ResourceEntry, Scope, Section,
};
use std::collections::HashSet;

/// The registered actions, resources and conditions.
pub(super) struct Registry {
    pub(super) catalogue: Catalogue,
    pub(super) conditions: Conditions,
    /// The actions of keyward itself, which have no rows and hence no conditions.
    pub(super) own_actions: HashSet<Action>,
}

/// Actions that no token can use: a token changes no people and roles, no tokens but itself, and opens no pages.
const NOT_FOR_TOKENS: [&str; 14] = [
    "admin::admin-tokens.access",
    "admin::admin-tokens.create",
    "admin::admin-tokens.update",
    "admin::api-tokens.access",
    "admin::api-tokens.create",
    "admin::api-tokens.update",
    "admin::api-tokens.regenerate",
    "admin::api-tokens.delete",
    "admin::users.create",
    "admin::users.update",
    "admin::users.delete",
    "admin::roles.create",
    "admin::roles.update",
    "admin::roles.delete",
];

impl Registry {
    pub(super) fn new(catalogue: Catalogue, conditions: &Conditions) -> Self {
        let own_actions = Catalogue::default().actions().iter().map(|entry| entry.id.clone()).collect();
        Self { catalogue, conditions: conditions.clone(), own_actions }
    }

    /// Splits the fields of a grant into those that a token's form shows and the others.
    pub(super) fn split_grant(&self, grant: &Grant) -> (Option<Fields>, Option<Fields>) {
        if !is_for_tokens(&grant.scope.action) {
            return (None, Some(grant.scope.fields.clone()));
        }
        self.split_fields(&grant.scope)
    }

    /// Splits a token's grants into those that its form shows and the others.
    pub(super) fn split_grants(&self, grants: &[Grant]) -> (Vec<Grant>, Vec<Grant>) {
        let split = |grant: &Grant| {
            let limit = |fields: Option<Fields>| fields.map(|fields| grant.clone().fields(fields));
            let (shown, hidden) = self.split_grant(grant);
            (limit(shown), limit(hidden))
        };
        let (shown, hidden): (Vec<_>, Vec<_>) = grants.iter().map(split).unzip();
        (shown.into_iter().flatten().collect(), hidden.into_iter().flatten().collect())
    }

    /// Splits a role's permissions into those that its form shows and the others.
    pub(super) fn split_permissions(&self, permissions: &[Permission]) -> (Vec<Permission>, Vec<Permission>) {
        let split = |permission: &Permission| {
            let limit = |fields: Option<Fields>| fields.map(|fields| permission.clone().fields(fields));
            let (shown, hidden) = self.split_fields(&permission.scope);
            (limit(shown), limit(hidden))
        };
        let (shown, hidden): (Vec<_>, Vec<_>) = permissions.iter().map(split).unzip();
        (shown.into_iter().flatten().collect(), hidden.into_iter().flatten().collect())
    }

    /// Returns whether a role's form shows all of a permission.
    pub(super) fn shows_permission(&self, permission: &Permission) -> bool {
        self.split_fields(&permission.scope).1.is_none()
    }

    /// Splits fields into those that have a box and the others, which have left the catalogue.
    fn split_fields(&self, scope: &Scope) -> (Option<Fields>, Option<Fields>) {
        let Some((entry, resource)) = self.find_entry(&scope.action, scope.resource.as_ref()) else {
            return (None, Some(scope.fields.clone()));
        };
        let Fields::Only(set) = &scope.fields else { return (Some(Fields::All), None) };
        let Some(resource) = resource.filter(|_| entry.has_fields) else { return (None, Some(scope.fields.clone())) };
        let (shown, hidden): (Vec<_>, Vec<_>) =
            set.as_slice().iter().cloned().partition(|field| resource.fields.contains(field));
        (Fields::only(shown).ok(), Fields::only(hidden).ok())
    }

    /// Returns the entries of an action on a resource, if forms show it.
    fn find_entry(
        &self,
        action: &Action,
        resource: Option<&Resource>,
    ) -> Option<(&ActionEntry, Option<&ResourceEntry>)> {
        let entry = self.catalogue.actions().iter().find(|entry| entry.id == *action)?;
        match (&entry.section, resource) {
            (Section::Resources(resources), Some(resource)) => {
                let known = self.catalogue.resources().iter().find(|known| known.id == *resource)?;
                resources.contains(resource).then_some((entry, Some(known)))
            }
            (Section::Resources(_), None) => None,
            (_, resource) => resource.is_none().then_some((entry, None)),
        }
    }

    /// Returns the label of an action on a resource, such as "Article: Read".
    pub(super) fn action_label(&self, action: &Action, resource: Option<&Resource>) -> String {
        let entry = self.catalogue.actions().iter().find(|entry| entry.id == *action);
        let name = entry.map_or(action.as_str(), |entry| entry.display_name.as_str());
        let group = match (entry.map(|entry| &entry.section), resource) {
            (_, Some(resource)) => {
                let known = self.catalogue.resources().iter().find(|known| known.id == *resource);
                Some(known.map_or(resource.as_str(), |known| known.display_name.as_str()))
            }
            (Some(Section::Settings { category, .. }), None) => Some(category.as_str()),
            (Some(Section::Plugin { plugin, .. }), None) => Some(plugin.as_str()),
            _ => None,
        };
        match group {
            Some(group) => format!("{group}: {name}"),
            None => name.to_owned(),
        }
    }

    /// Returns the same with the fields, such as "Article: Read (title, body)".
    pub(super) fn scope_label(&self, scope: &Scope) -> String {
        let label = self.action_label(&scope.action, scope.resource.as_ref());
        let Fields::Only(set) = &scope.fields else { return label };
        let fields: Vec<&str> = set.as_slice().iter().map(Field::as_str).collect();
        format!("{label} ({})", fields.join(", "))
    }
}

/// Returns whether a token can use an action.
pub(super) fn is_for_tokens(action: &Action) -> bool {
    !NOT_FOR_TOKENS.contains(&action.as_str())
}

/// Returns the label of a condition.
pub(super) fn condition_label(id: &ConditionId) -> String {
    match id.as_str() {
        IS_CREATOR => "own entries only".to_owned(),
        HAS_SAME_ROLE_AS_CREATOR => "entries of people with the same role".to_owned(),
        other => other.to_owned(),
    }
}
