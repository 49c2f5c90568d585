//! Names, kept once: a store reads those of every token anew, and a thousand tokens name the same few actions and fields.

use crate::domain::{Action, Conditions, EffectivePermission, FieldSet, Fields, Principal, Resource, Scope};
use std::collections::HashSet;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

/// What the cached principals name.
#[derive(Default)]
pub(super) struct Names {
    actions: Shared<Action>,
    resources: Shared<Resource>,
    fields: Shared<FieldSet>,
}

impl Names {
    /// The same principal, with the names that others have already, and without rules that never apply: those under conditions that
    /// nobody has registered.
    pub(super) fn share(&self, principal: Principal, conditions: &Conditions) -> Principal {
        let share = |rule: &EffectivePermission| EffectivePermission {
            scope: Scope {
                action: self.actions.get(&rule.scope.action),
                resource: rule.scope.resource.as_ref().map(|resource| self.resources.get(resource)),
                fields: match &rule.scope.fields {
                    Fields::All => Fields::All,
                    Fields::Only(set) if set.as_slice().len() > MOST_FIELDS => rule.scope.fields.clone(),
                    Fields::Only(set) => Fields::Only(self.fields.get(set)),
                },
            },
            guard: rule.guard.clone(),
        };
        principal.map_rules(|rule| conditions.can_hold(&rule.guard).then(|| share(rule)))
    }
}

/// Values of which one copy serves all. Beyond a bound all are forgotten, and found together anew.
struct Shared<T>(Mutex<HashSet<T>>);

const KEPT: usize = 8192;
/// A set of more fields is not kept: those are few, or no two are alike.
const MOST_FIELDS: usize = 64;

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone + Eq + Hash> Shared<T> {
    fn get(&self, value: &T) -> T {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = kept.get(value) {
            return found.clone();
        }
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(value.clone());
        value.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Authority, ConditionContext, ConditionExpr, OwnerId};

    #[test]
    fn equal_names_are_one_text() {
        let names = Shared::default();
        let (a, b) = (names.get(&Action::new("x.read")), names.get(&Action::new("x.read")));
        assert!(std::ptr::eq(a.as_str(), b.as_str()));
        assert_eq!(names.get(&Action::new("y.read")), Action::new("y.read"));
        assert!(std::ptr::eq(a.as_str(), names.get(&Action::new("x.read")).as_str()), "the other one is still there");
    }

    #[test]
    fn sets_of_fields_are_one_unless_they_are_very_large() {
        let names = Names::default();
        let fields_of = |many: usize| {
            let fields = Fields::only((0..many).map(|n| format!("field {n}"))).unwrap();
            let rule = EffectivePermission {
                scope: Scope { action: "read".into(), resource: None, fields },
                guard: ConditionExpr::ALWAYS,
            };
            let (owner, rules) = (ConditionContext { owner: OwnerId(1), roles: [].into() }, [rule].into());
            let session = Authority::Session { owner, rules: Some(rules) };
            let shared = names.share(Principal::with(session), &Conditions::default());
            let Authority::Session { rules: Some(rules), .. } = shared.authority() else { panic!() };
            let Fields::Only(set) = rules[0].scope.fields.clone() else { panic!() };
            set
        };
        for (many, one) in [(1, true), (2, true), (MOST_FIELDS, true), (MOST_FIELDS + 1, false), (1000, false)] {
            let (a, b) = (fields_of(many), fields_of(many));
            assert_eq!((a == b, std::ptr::eq(a.as_slice(), b.as_slice())), (true, one), "{many}");
        }
    }

    #[test]
    fn there_are_never_more_than_the_bound() {
        let names = Shared::default();
        for n in 0..3 * KEPT {
            assert_eq!(names.get(&n), n);
            assert!(names.0.lock().is_ok_and(|kept| kept.len() <= KEPT));
        }
    }
}
