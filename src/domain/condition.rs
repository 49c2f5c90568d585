//! Conditions: predicates on attributes of a row, which the host maps to its data.

use super::{AccountKey, ConditionClause, ConditionExpr, ConditionId, OwnerId, RoleId};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// Strapi's condition that the owner created the row.
pub const IS_CREATOR: &str = "admin::is-creator";
/// Strapi's condition that the row's creator and the owner share a role.
pub const HAS_SAME_ROLE_AS_CREATOR: &str = "admin::has-same-role-as-creator";

/// The owner on whose behalf a request acts, as conditions see them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConditionContext {
    /// The owner's id.
    pub owner: OwnerId,
    /// The host's key of the owner, if it is an account of the host.
    pub account: Option<AccountKey>,
    /// The owner's roles, ascending.
    pub roles: Arc<[RoleId]>,
}

/// A property of a row that conditions refer to. It need not be a visible field.
///
/// Compare attributes that derive from an account's roles, such as those of the row's creator, with
/// [`Predicate::SharesRole`]: then keyward knows that they change with role assignments. Any other attribute is assumed
/// not to depend on roles.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Attribute(pub &'static str);

impl Attribute {
    /// The id of the owner who created the row.
    pub const CREATOR_ID: Attribute = Attribute("creator_id");
    /// The ids of the roles that the row's creator has *now*.
    pub const CREATOR_ROLE_IDS: Attribute = Attribute("creator_role_ids");
}

/// A value that an attribute is compared with; also a bind parameter of an [`SqlFilter`](crate::authz::SqlFilter).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    /// An integer.
    Int(i64),
    /// A string.
    Text(String),
    /// A boolean.
    Bool(bool),
}

impl Value {
    fn is(&self, json: &serde_json::Value) -> bool {
        match self {
            Self::Int(n) => json.as_i64() == Some(*n),
            Self::Text(t) => json.as_str() == Some(t),
            Self::Bool(b) => json.as_bool() == Some(*b),
        }
    }
}

/// A predicate on a row. It is false if an attribute is missing or has another type.
///
/// There is no negation: it would make a missing attribute allow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Predicate {
    /// True for every row.
    Always,
    /// False for every row.
    Never,
    /// True if the attribute has this value.
    Is(Attribute, Value),
    /// True if the attribute has one of these values.
    IsOneOf(Attribute, Vec<Value>),
    /// True if the attribute is a list of role ids of which the owner has one.
    SharesRole(Attribute, ConditionContext),
    /// True if all of these are.
    All(Vec<Predicate>),
    /// True if any of these is.
    Any(Vec<Predicate>),
}

impl Predicate {
    /// Evaluates the predicate on `row`, a JSON object with the attributes as members.
    pub fn holds(&self, row: &serde_json::Value) -> bool {
        let attribute = |a: &Attribute| row.get(a.0);
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Is(a, value) => attribute(a).is_some_and(|v| value.is(v)),
            Self::IsOneOf(a, values) => attribute(a).is_some_and(|v| values.iter().any(|value| value.is(v))),
            Self::SharesRole(a, actor) => attribute(a).and_then(serde_json::Value::as_array).is_some_and(|ids| {
                ids.iter().filter_map(serde_json::Value::as_i64).any(|id| actor.roles.contains(&RoleId(id)))
            }),
            Self::All(parts) => parts.iter().all(|p| p.holds(row)),
            Self::Any(parts) => parts.iter().any(|p| p.holds(row)),
        }
    }
}

type MakePredicate = Arc<dyn Fn(&ConditionContext) -> Predicate + Send + Sync>;

/// The registered conditions, each with its meaning for an owner. A condition that is not registered denies.
///
/// ```
/// use keyward::authz::{Attribute, Conditions, Predicate, Value};
/// let conditions = Conditions::default()
///     .register("shop::in-stock", |_actor| Predicate::Is(Attribute("in_stock"), Value::Bool(true)));
/// assert!(conditions.contains("shop::in-stock") && conditions.contains("admin::is-creator"));
/// ```
#[derive(Clone)]
pub struct Conditions(HashMap<ConditionId, MakePredicate>);

impl Default for Conditions {
    /// Registers Strapi's two conditions: [`IS_CREATOR`] and [`HAS_SAME_ROLE_AS_CREATOR`].
    fn default() -> Self {
        Self(HashMap::new())
            .register(IS_CREATOR, |actor| Predicate::Is(Attribute::CREATOR_ID, Value::Int(actor.owner.0)))
            .register(HAS_SAME_ROLE_AS_CREATOR, |actor| {
                Predicate::SharesRole(Attribute::CREATOR_ROLE_IDS, actor.clone())
            })
    }
}

impl Conditions {
    /// Returns an empty registry, for decisions that depend on no condition.
    pub(crate) fn none() -> Self {
        Self(HashMap::new())
    }

    /// Registers a condition, replacing one with the same id. `meaning` returns the predicate for an owner.
    #[must_use]
    pub fn register(
        mut self,
        id: impl Into<ConditionId>,
        meaning: impl Fn(&ConditionContext) -> Predicate + Send + Sync + 'static,
    ) -> Self {
        self.0.insert(id.into(), Arc::new(meaning));
        self
    }

    /// Returns true if `id` is registered.
    pub fn contains(&self, id: &str) -> bool {
        self.0.contains_key(&ConditionId::new(id))
    }

    /// Returns the registered ids, in no order.
    pub fn ids(&self) -> impl Iterator<Item = &ConditionId> {
        self.0.keys()
    }

    /// Returns the predicate of a condition for `actor`; `None` if it is not registered.
    pub(crate) fn meaning(&self, id: &ConditionId, actor: &ConditionContext) -> Option<Predicate> {
        self.0.get(id).map(|meaning| meaning(actor))
    }

    /// Returns true if `guard` can hold: at least one condition of each part is registered.
    pub(crate) fn can_hold(&self, guard: &ConditionExpr) -> bool {
        guard.parts().iter().all(|when| when.as_slice().iter().any(|id| self.0.contains_key(id)))
    }

    /// Returns the predicate of `guard` for `actor`.
    pub(crate) fn predicate(&self, guard: &ConditionExpr, actor: &ConditionContext) -> Predicate {
        let mut parts: Vec<Predicate> = guard.parts().iter().map(|when| self.any_of(when, actor)).collect();
        match parts.len() {
            0 => Predicate::Always,
            1 => parts.swap_remove(0),
            _ => Predicate::All(parts),
        }
    }

    fn any_of(&self, when: &ConditionClause, actor: &ConditionContext) -> Predicate {
        let ConditionClause::AnyOf(set) = when else { return Predicate::Always };
        let meaning = |id| self.0.get(id).map_or(Predicate::Never, |meaning| meaning(actor));
        let mut parts: Vec<Predicate> = set.as_slice().iter().map(meaning).collect();
        if parts.len() == 1 { parts.swap_remove(0) } else { Predicate::Any(parts) }
    }
}

impl fmt::Debug for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn actor() -> ConditionContext {
        ConditionContext { owner: OwnerId(7), account: None, roles: [RoleId(2), RoleId(3)].into() }
    }

    fn holds(ids: &[&str], row: serde_json::Value) -> bool {
        let guard = ConditionExpr::all([ConditionClause::from_list(ids.iter().copied())]);
        Conditions::default().predicate(&guard, &actor()).holds(&row)
    }

    #[test]
    fn strapi_conditions_hold_by_creator_and_by_shared_role() {
        assert!(holds(&[IS_CREATOR], json!({"creator_id": 7})));
        assert!(!holds(&[IS_CREATOR], json!({"creator_id": 8})));
        assert!(!holds(&[IS_CREATOR], json!({"creator_id": "7"})));
        assert!(!holds(&[IS_CREATOR], json!({})));
        assert!(!holds(&[IS_CREATOR], json!(null)));
        assert!(holds(&[HAS_SAME_ROLE_AS_CREATOR], json!({"creator_role_ids": [9, 3]})));
        assert!(!holds(&[HAS_SAME_ROLE_AS_CREATOR], json!({"creator_role_ids": [9]})));
        assert!(!holds(&[HAS_SAME_ROLE_AS_CREATOR], json!({"creator_role_ids": 3})));
    }

    #[test]
    fn a_value_equals_only_values_of_its_type() {
        for (value, same, others) in [
            (Value::Int(1), json!(1), [json!(2), json!("1"), json!(true), json!(null)]),
            (Value::Text("on".into()), json!("on"), [json!("off"), json!(["on"]), json!(true), json!(null)]),
            (Value::Bool(true), json!(true), [json!(false), json!(1), json!("true"), json!(null)]),
        ] {
            let is = Predicate::Is(Attribute("it"), value.clone());
            let one_of = Predicate::IsOneOf(Attribute("it"), vec![Value::Int(7), value]);
            for predicate in [is, one_of] {
                assert!(predicate.holds(&json!({ "it": same })), "{predicate:?}");
                assert!(others.iter().all(|other| !predicate.holds(&json!({ "it": other }))), "{predicate:?}");
                assert!(!predicate.holds(&json!({ "other": same })), "{predicate:?}");
            }
        }
    }

    /// The meaning of a condition may depend on the owner alone.
    #[test]
    fn a_condition_on_the_owner_alone_does_not_depend_on_the_row() {
        let conditions = Conditions::default()
            .register("is-seven", |a| if a.owner == OwnerId(7) { Predicate::Always } else { Predicate::Never });
        let guard = ConditionExpr::all([ConditionClause::from_list(["is-seven"])]);
        assert_eq!(conditions.predicate(&guard, &actor()), Predicate::Always);
        let other = ConditionContext { owner: OwnerId(8), ..actor() };
        assert_eq!(conditions.predicate(&guard, &other), Predicate::Never);
    }

    #[test]
    fn ids_lists_registered_conditions() {
        let conditions = Conditions::default().register("own", |_| Predicate::Always);
        let mut ids: Vec<&str> = conditions.ids().map(ConditionId::as_str).collect();
        ids.sort_unstable();
        assert_eq!(ids, [HAS_SAME_ROLE_AS_CREATOR, IS_CREATOR, "own"]);
        assert!(ids.iter().all(|id| format!("{conditions:?}").contains(id)));
    }

    #[test]
    fn an_unknown_condition_denies_without_affecting_alternatives() {
        assert!(!holds(&["no::such"], json!({"creator_id": 7})));
        assert!(holds(&["no::such", IS_CREATOR], json!({"creator_id": 7})));
        assert!(holds(&[], json!({})));
    }
}
