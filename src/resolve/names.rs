//! Deduplication of names: a store returns them anew for every token, and a thousand tokens use the same few actions
//! and fields.

use crate::domain::{Action, Conditions, EffectivePermission, FieldSet, Fields, Principal, Resource, RoleId, Scope};
use crate::sync::{Arc, Mutex, PoisonError};
use std::collections::HashSet;
use std::hash::Hash;

/// The names that cached principals use, one copy of each.
#[derive(Default)]
pub(super) struct Names {
    actions: Interner<Action>,
    resources: Interner<Resource>,
    fields: Interner<FieldSet>,
    roles: Interner<Arc<[RoleId]>>,
}

impl Names {
    /// Returns the principal with shared names, and without permissions that never apply because a condition is not
    /// registered.
    pub(super) fn share(&self, principal: Principal, conditions: &Conditions) -> Principal {
        let share = |rule: &EffectivePermission| EffectivePermission {
            scope: Scope {
                action: self.actions.get(&rule.scope.action),
                resource: rule.scope.resource.as_ref().map(|resource| self.resources.get(resource)),
                fields: match &rule.scope.fields {
                    Fields::All => Fields::All,
                    Fields::Only(set) if set.as_slice().len() > MAX_FIELDS => rule.scope.fields.clone(),
                    Fields::Only(set) => Fields::Only(self.fields.get(set)),
                },
            },
            guard: rule.guard.clone(),
        };
        principal
            .map_roles(|roles| self.roles.get(roles))
            .map_rules(|rule| conditions.can_hold(&rule.guard).then(|| share(rule)))
    }
}

/// Values of which one copy is shared. When there are too many, all are dropped and collected anew.
struct Interner<T>(Mutex<HashSet<T>>);

const MAX_VALUES: usize = 8192;
/// Larger sets of fields are not shared: they are few, or no two are equal.
const MAX_FIELDS: usize = 64;

impl<T> Default for Interner<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone + Eq + Hash> Interner<T> {
    fn get(&self, value: &T) -> T {
        let mut values = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = values.get(value) {
            return found.clone();
        }
        if values.len() >= MAX_VALUES {
            values.clear();
        }
        values.insert(value.clone());
        value.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Authority, ConditionContext, ConditionExpr, OwnerId};

    #[test]
    fn equal_names_share_one_text() {
        let names = Interner::default();
        let (a, b) = (names.get(&Action::new("x.read")), names.get(&Action::new("x.read")));
        assert!(std::ptr::eq(a.as_str(), b.as_str()));
        assert_eq!(names.get(&Action::new("y.read")), Action::new("y.read"));
        assert!(std::ptr::eq(a.as_str(), names.get(&Action::new("x.read")).as_str()), "the first name is still shared");
    }

    #[test]
    fn equal_field_sets_are_shared_unless_they_are_very_large() {
        let names = Names::default();
        let fields_of = |many: usize| {
            let fields = Fields::only((0..many).map(|n| format!("field {n}"))).unwrap();
            let rule = EffectivePermission {
                scope: Scope { action: "read".into(), resource: None, fields },
                guard: ConditionExpr::ALWAYS,
            };
            let (owner, rules) =
                (ConditionContext { owner: OwnerId(1), account: None, roles: [].into() }, [rule].into());
            let session = Authority::Session { owner, rules: Some(rules) };
            let shared = names.share(Principal::with(session), &Conditions::default());
            let Authority::Session { rules: Some(rules), .. } = shared.authority() else { panic!() };
            let Fields::Only(set) = rules[0].scope.fields.clone() else { panic!() };
            set
        };
        for (many, one) in [(1, true), (2, true), (MAX_FIELDS, true), (MAX_FIELDS + 1, false), (1000, false)] {
            let (a, b) = (fields_of(many), fields_of(many));
            assert_eq!((a == b, std::ptr::eq(a.as_slice(), b.as_slice())), (true, one), "{many}");
        }
    }

    #[test]
    fn interned_values_stay_within_the_bound() {
        let names = Interner::default();
        for n in 0..3 * MAX_VALUES {
            assert_eq!(names.get(&n), n);
            assert!(names.0.lock().is_ok_and(|values| values.len() <= MAX_VALUES));
        }
    }
}
