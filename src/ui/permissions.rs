//! The permissions of a role, as a form shows and sends them.
//!
//! A role can have several permissions for one action on one resource, such as the titles of all entries and the bodies
//! of the user's own. A form has one box for each field. So it shows the conditions of each field, and those of all
//! fields if there are any; the two forms mean the same.

use super::failure::Failure;
use super::form::FormFields;
use super::grants::{ActionKey, ActionSelection, ClauseBuilder, Selection, SelectionBuilder};
use super::registry::Registry;
use crate::domain::{Action, ConditionClause, Field, Fields, Permission, Resource, Scope};
use std::collections::{BTreeMap, HashMap, HashSet};

/// The conditions of all permissions for one action on one resource.
#[derive(Default)]
struct ActionClauses {
    /// The conditions of permissions for all fields, if there are any.
    all_fields: Option<ClauseBuilder>,
    fields: BTreeMap<Field, ClauseBuilder>,
}

impl Selection {
    /// Parses the form of a role.
    pub(super) fn parse_role(form: &FormFields) -> Result<Self, Failure> {
        let mut builder = SelectionBuilder::parse(form)?;
        // A condition of one field, or `null` for every entry.
        for list in form.lists("apart") {
            let Ok([Some(action), resource, Some(field), id]) = <[_; 4]>::try_from(list?) else {
                return Err(Failure::incomplete_form());
            };
            let field = field.into();
            let action = builder.0.get_mut(&(action.into(), resource.map(Into::into)));
            if let Some(action) = action.filter(|action| action.has(&field)) {
                action.field_clauses.entry(field).or_default().add(&ConditionClause::from_list(id));
            }
        }
        Ok(builder.build())
    }

    pub(super) fn from_permissions(permissions: &[Permission]) -> Self {
        let mut all: BTreeMap<ActionKey, ActionClauses> = BTreeMap::new();
        for Permission { scope: Scope { action, resource, fields }, when } in permissions {
            let clauses = all.entry((action.clone(), resource.clone())).or_default();
            match fields {
                Fields::All => clauses.all_fields.get_or_insert_default().add(when),
                Fields::Only(set) => {
                    set.as_slice().iter().for_each(|field| clauses.fields.entry(field.clone()).or_default().add(when));
                }
            }
        }
        Self(all.into_iter().filter_map(|(key, clauses)| Some((key, clauses.into_selection()?))).collect())
    }

    /// Returns the conditions of a field that differ from those of its action.
    pub(super) fn field_clause(
        &self,
        action: &Action,
        resource: Option<&Resource>,
        field: &str,
    ) -> Option<&ConditionClause> {
        self.get(action, resource)?.field_clauses.get(&Field::from(field))
    }

    /// Returns the selection as permissions: for each action and resource one for all fields, then one for each list of
    /// conditions.
    pub(super) fn permissions(&self) -> Vec<Permission> {
        let mut all = Vec::new();
        for ((action, resource), ActionSelection { fields, clause, field_clauses }) in &self.0 {
            let permission = |fields: Fields, when: &ConditionClause| Permission {
                scope: Scope { action: action.clone(), resource: resource.clone(), fields },
                when: when.clone(),
            };
            let groups = match fields {
                Fields::All => {
                    all.push(permission(Fields::All, clause));
                    group_by_clause(field_clauses.iter().filter(|(_, own)| !implies(own, clause)))
                }
                Fields::Only(set) => {
                    let fields = set.as_slice().iter();
                    group_by_clause(fields.map(|field| (field, field_clauses.get(field).unwrap_or(clause))))
                }
            };
            let groups = groups.into_iter();
            all.extend(groups.filter_map(|(when, fields)| Some(permission(Fields::only(fields).ok()?, when))));
        }
        all
    }

    /// Returns the new permissions of a role; `None` if they do not change. Permissions that the form does not show
    /// stay.
    pub(super) fn update_permissions(&self, before: &[Permission], registry: &Registry) -> Option<Vec<Permission>> {
        let (shown, hidden) = registry.split_permissions(before);
        let (old, mut new) = (Self::from_permissions(&shown).permissions(), self.permissions());
        let is_same = old.iter().collect::<HashSet<_>>() == new.iter().collect();
        new.extend(hidden);
        (!is_same).then_some(new)
    }
}

/// Groups fields by their conditions, in the order in which the conditions first appear.
fn group_by_clause<'a>(
    fields: impl Iterator<Item = (&'a Field, &'a ConditionClause)>,
) -> Vec<(&'a ConditionClause, Vec<Field>)> {
    let mut groups: Vec<(&ConditionClause, Vec<Field>)> = Vec::new();
    let mut indexes: HashMap<&ConditionClause, usize> = HashMap::new();
    for (field, clause) in fields {
        let index = *indexes.entry(clause).or_insert_with(|| {
            groups.push((clause, Vec::new()));
            groups.len() - 1
        });
        groups[index].1.push(field.clone());
    }
    groups
}

impl ActionClauses {
    fn into_selection(self) -> Option<ActionSelection> {
        let mut field_clauses: BTreeMap<Field, ConditionClause> =
            self.fields.into_iter().map(|(field, clause)| (field, clause.build())).collect();
        if let Some(all_fields) = self.all_fields {
            let clause = all_fields.build();
            field_clauses.retain(|_, own| !implies(own, &clause));
            return Some(ActionSelection { fields: Fields::All, clause, field_clauses });
        }
        let fields = Fields::only(field_clauses.keys().cloned()).ok()?;
        let clause = most_common_clause(&field_clauses);
        field_clauses.retain(|_, own| *own != clause);
        Some(ActionSelection { fields, clause, field_clauses })
    }
}

/// Returns the conditions that most fields have; an added field gets them too. A tie goes to a clause with conditions,
/// because it allows less.
fn most_common_clause(fields: &BTreeMap<Field, ConditionClause>) -> ConditionClause {
    let mut counts: HashMap<&ConditionClause, usize> = HashMap::new();
    fields.values().for_each(|clause| *counts.entry(clause).or_default() += 1);
    let most = fields.values().max_by_key(|clause| (counts.get(clause).copied(), **clause != ConditionClause::Always));
    most.cloned().unwrap_or(ConditionClause::Always)
}

/// Returns whether every entry that satisfies `clause` satisfies `other`.
fn implies(clause: &ConditionClause, other: &ConditionClause) -> bool {
    match (clause, other) {
        (_, ConditionClause::Always) => true,
        (ConditionClause::Always, ConditionClause::AnyOf(_)) => false,
        (ConditionClause::AnyOf(clause), ConditionClause::AnyOf(other)) => clause.is_subset(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ActionEntry, Catalogue, ConditionExpr, Conditions, EffectivePermission, ResourceEntry};
    use proptest::prelude::*;

    const FIELDS: [&str; 3] = ["title", "body", "slug"];
    const CONDITIONS: [&str; 2] = ["own", "shared"];

    fn clause() -> impl Strategy<Value = ConditionClause> {
        proptest::sample::subsequence(CONDITIONS.to_vec(), 0..=2).prop_map(ConditionClause::from_list)
    }

    fn permissions() -> impl Strategy<Value = Vec<Permission>> {
        let fields = proptest::sample::subsequence(FIELDS.to_vec(), 0..=3);
        let fields = fields.prop_map(|fields| Fields::only(fields).unwrap_or(Fields::All));
        let one = (proptest::sample::select(vec!["read", "write"]), fields, clause());
        let one =
            one.prop_map(|(action, fields, when)| Permission::new(action).on("article").fields(fields).when(when));
        proptest::collection::vec(one, 0..6)
    }

    /// Returns whether permissions include a field of an entry for which these conditions hold. `other` is a field that
    /// is added later.
    fn allows(permissions: &[Permission], action: &str, field: &str, holds: &[&str]) -> bool {
        permissions.iter().map(EffectivePermission::from).any(|rule| {
            let guard = |part: &ConditionClause| part.as_slice().iter().any(|id| holds.contains(&id.as_str()));
            rule.scope.action.as_str() == action
                && rule.scope.fields.contains(field)
                && ConditionExpr::parts(&rule.guard).iter().all(guard)
        })
    }

    proptest! {
        #[test]
        fn form_allows_exactly_what_the_role_allows(permissions in permissions()) {
            let formed = Selection::from_permissions(&permissions).permissions();
            for action in ["read", "write"] {
                for field in FIELDS.into_iter().chain(["other"]) {
                    for holds in [&[][..], &["own"], &["shared"], &["own", "shared"]] {
                        prop_assert_eq!(
                            allows(&permissions, action, field, holds),
                            allows(&formed, action, field, holds)
                        );
                    }
                }
            }
            prop_assert_eq!(Selection::from_permissions(&formed).permissions(), formed);
        }
    }

    #[test]
    fn saving_without_a_change_keeps_the_permissions() {
        let empty = Registry::new(Catalogue::default(), &Conditions::default());
        let own = ConditionClause::from_list(["own"]);
        let read =
            |fields: &[&str]| Permission::new("read").on("article").fields(Fields::only(fields.to_vec()).unwrap());
        let before = [read(&["title"]), read(&["title", "body"]).when(own.clone())];
        let registry_with = |entry: ActionEntry| {
            let catalogue =
                Catalogue::default().resource(ResourceEntry::collection("article", "Article").fields(FIELDS));
            Registry::new(catalogue.action(entry), &Conditions::default())
        };
        let known = registry_with(ActionEntry::on_resources("read", "Read", ["article"]).with_fields());
        assert_eq!(Selection::from_permissions(&before).update_permissions(&before, &known), None);
        // Permissions that the form does not show stay.
        assert_eq!(Selection::default().update_permissions(&before, &empty), None);
        assert_eq!(Selection::default().update_permissions(&before, &known), Some(Vec::new()));
        // Fields that left the catalogue are not a change.
        let gone = [read(&["title", "gone"]), read(&["title", "body"]).when(own.clone())];
        let (shown, hidden) = known.split_permissions(&gone);
        assert_eq!(Selection::from_permissions(&shown).update_permissions(&gone, &known), None);
        assert_eq!(hidden, [read(&["gone"])]);
        assert_eq!(Selection::default().update_permissions(&gone, &known), Some(hidden));
        let fewer = Selection::from_permissions(&[read(&["title"])]);
        assert_eq!(fewer.update_permissions(&before, &known), Some(vec![read(&["title"])]));
    }
}
