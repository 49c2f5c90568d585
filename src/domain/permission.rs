//! Permissions, grants and effective permissions.

use super::{Action, ConditionId, ConditionSet, EmptySet, Field, FieldSet, Resource};
use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;

/// A selection of a resource's fields.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Fields {
    /// All fields, including those added later.
    All,
    /// Only these fields.
    Only(FieldSet),
}

impl Fields {
    /// Selects only these fields.
    ///
    /// # Errors
    /// Returns [`EmptySet`] if there are none: "no field" is not a permission.
    pub fn only<I: Into<Field>>(fields: impl IntoIterator<Item = I>) -> Result<Self, EmptySet> {
        FieldSet::new(fields).map(Self::Only)
    }

    /// Returns true if `field` is selected.
    pub fn contains(&self, field: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(set) => set.contains(field),
        }
    }

    /// Returns true if every field of `other` is selected.
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All, _) => true,
            (Self::Only(_), Self::All) => false,
            (Self::Only(a), Self::Only(b)) => b.is_subset(a),
        }
    }

    /// Returns the bytes on the heap.
    pub(crate) fn weight(&self) -> usize {
        let counters = 2 * size_of::<usize>();
        let of = |field: &Field| size_of::<Field>() + field.as_str().len() + counters;
        match self {
            Self::All => 0,
            Self::Only(set) => counters + set.as_slice().iter().map(of).sum::<usize>(),
        }
    }

    /// Returns the fields in both; `None` if there are none.
    pub fn intersect(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::All, x) | (x, Self::All) => Some(x.clone()),
            (Self::Only(a), Self::Only(_)) => {
                Self::only(a.as_slice().iter().filter(|f| other.contains(f.as_str())).cloned()).ok()
            }
        }
    }

    /// Returns the fields in either.
    pub fn union(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Only(a), Self::Only(b)) => {
                Self::only(a.as_slice().iter().chain(b.as_slice()).cloned()).unwrap_or(Self::Only(a.clone()))
            }
            _ => Self::All,
        }
    }
}

/// A condition, or alternatives of which any suffices.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum ConditionClause {
    /// No condition.
    Always,
    /// Any of these conditions must hold.
    AnyOf(ConditionSet),
}

impl ConditionClause {
    /// Reads a list of alternatives in which "none" means "always".
    pub fn from_list<I: Into<ConditionId>>(conditions: impl IntoIterator<Item = I>) -> Self {
        ConditionSet::new(conditions).map_or(Self::Always, Self::AnyOf)
    }

    /// Returns the conditions; empty for `Always`.
    pub fn as_slice(&self) -> &[ConditionId] {
        match self {
            Self::Always => &[],
            Self::AnyOf(set) => set.as_slice(),
        }
    }

    /// Returns the bytes on the heap.
    fn weight(&self) -> usize {
        let counters = 2 * size_of::<usize>();
        let of = |id: &ConditionId| size_of::<ConditionId>() + id.as_str().len() + counters;
        match self {
            Self::Always => 0,
            Self::AnyOf(set) => counters + set.as_slice().iter().map(of).sum::<usize>(),
        }
    }

    /// Returns true if this clause implies `other` for every row.
    fn implies(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::Always) => true,
            (Self::Always, Self::AnyOf(_)) => false,
            (Self::AnyOf(a), Self::AnyOf(b)) => a.is_subset(b),
        }
    }
}

/// An action, on which resource and fields: the part that permissions, grants and effective permissions have in common.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Scope {
    /// The action.
    pub action: Action,
    /// The resource; `None` for an action that has none.
    pub resource: Option<Resource>,
    /// The fields of the resource.
    pub fields: Fields,
}

impl Scope {
    /// Creates a scope of the action with all fields and no resource.
    pub fn new(action: impl Into<Action>) -> Self {
        Self { action: action.into(), resource: None, fields: Fields::All }
    }
}

/// Formats as `action`, or `action on resource`.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.resource {
            None => write!(f, "{}", self.action),
            Some(resource) => write!(f, "{} on {resource}", self.action),
        }
    }
}

/// A permission of a role: a scope, and the conditions under which it holds.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Permission {
    /// The action, resource and fields.
    pub scope: Scope,
    /// The conditions, any of which suffices.
    pub when: ConditionClause,
}

impl Permission {
    /// Creates a permission with all fields, no condition and no resource.
    pub fn new(action: impl Into<Action>) -> Self {
        Self { scope: Scope::new(action), when: ConditionClause::Always }
    }

    /// Sets the resource.
    #[must_use]
    pub fn on(mut self, resource: impl Into<Resource>) -> Self {
        self.scope.resource = Some(resource.into());
        self
    }

    /// Sets the fields.
    #[must_use]
    pub fn fields(mut self, fields: Fields) -> Self {
        self.scope.fields = fields;
        self
    }

    /// Sets the conditions.
    #[must_use]
    pub fn when(mut self, when: ConditionClause) -> Self {
        self.when = when;
        self
    }
}

impl From<&str> for Permission {
    fn from(action: &str) -> Self {
        Self::new(action)
    }
}

/// Grants everything that a permission allows. Its conditions apply as well, because the owner is bound by them.
impl From<&Permission> for Grant {
    fn from(p: &Permission) -> Self {
        Self { scope: p.scope.clone(), chosen: ConditionClause::Always, may_delegate: false }
    }
}

/// A grant of a token: effective only as far as its owner's permissions cover it.
///
/// ```
/// use keyward::authz::Fields;
/// use keyward::Grant;
/// let grant = Grant::new("plugin::content-manager.explorer.read").on("api::article.article").fields(Fields::only(["title"])?);
/// # Ok::<_, keyward::authz::EmptySet>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Grant {
    /// The action, resource and fields.
    pub scope: Scope,
    /// Conditions that a super admin chose in addition to those of the owner's permissions.
    pub chosen: ConditionClause,
    /// Whether the token may pass it on to tokens that it makes itself.
    pub may_delegate: bool,
}

impl Grant {
    /// Creates a grant with all fields, no chosen condition and no resource.
    pub fn new(action: impl Into<Action>) -> Self {
        Self { scope: Scope::new(action), chosen: ConditionClause::Always, may_delegate: false }
    }

    /// Sets the resource.
    #[must_use]
    pub fn on(mut self, resource: impl Into<Resource>) -> Self {
        self.scope.resource = Some(resource.into());
        self
    }

    /// Sets the fields.
    #[must_use]
    pub fn fields(mut self, fields: Fields) -> Self {
        self.scope.fields = fields;
        self
    }

    /// Lets the token pass it on to [tokens that it makes itself](crate::admin::Tokens::issue_child).
    #[must_use]
    pub fn may_delegate(mut self) -> Self {
        self.may_delegate = true;
        self
    }

    /// Sets the chosen conditions.
    #[must_use]
    pub fn chosen(mut self, when: ConditionClause) -> Self {
        self.chosen = when;
        self
    }
}

/// The conditions of an effective permission: those of the owner's permission *and* those chosen for the grant.
// `None` if there is no condition: a constant then, and each cached permission is 8 bytes shorter than with a `Vec`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ConditionExpr(Option<Box<[ConditionClause]>>);

impl ConditionExpr {
    /// No condition.
    pub const ALWAYS: ConditionExpr = ConditionExpr(None);

    /// Combines clauses, all of which must hold. A clause that another one implies is dropped.
    pub fn all(parts: impl IntoIterator<Item = ConditionClause>) -> Self {
        let mut kept: Vec<ConditionClause> = Vec::new();
        for part in parts {
            if !kept.iter().any(|k| k.implies(&part)) && part != ConditionClause::Always {
                kept.retain(|k| !part.implies(k));
                kept.push(part);
            }
        }
        Self((!kept.is_empty()).then(|| kept.into()))
    }

    /// Combines two expressions, both of which must hold.
    pub(crate) fn and(&self, other: &Self) -> Self {
        Self::all(self.parts().iter().chain(other.parts()).cloned())
    }

    /// Returns true if there is no condition.
    pub fn is_always(&self) -> bool {
        self.0.is_none()
    }

    /// Returns the clauses, all of which must hold.
    pub fn parts(&self) -> &[ConditionClause] {
        self.0.as_deref().unwrap_or_default()
    }

    /// Returns the bytes on the heap.
    pub(crate) fn weight(&self) -> usize {
        self.parts().iter().map(|part| size_of::<ConditionClause>() + part.weight()).sum()
    }

    /// Returns true if this expression surely implies `other` for every row. May return false although that is so.
    pub(crate) fn implies(&self, other: &Self) -> bool {
        other.parts().iter().all(|o| self.parts().iter().any(|s| s.implies(o)))
    }
}

/// A grant intersected with one permission of the owner.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct EffectivePermission {
    /// The action, resource and fields.
    pub scope: Scope,
    /// The conditions of the permission and those chosen for the grant.
    pub guard: ConditionExpr,
}

impl EffectivePermission {
    /// Returns whether it is of the same action and resource.
    pub(super) fn concerns(&self, scope: &Scope) -> bool {
        self.scope.action == scope.action && self.scope.resource == scope.resource
    }
}

impl From<&Permission> for EffectivePermission {
    fn from(p: &Permission) -> Self {
        Self { scope: p.scope.clone(), guard: ConditionExpr::all([p.when.clone()]) }
    }
}

/// Returns true if two lists have the same items equally often, in any order.
pub(crate) fn same_in_any_order<T: Eq + Hash>(one: &[T], other: &[T]) -> bool {
    if one == other {
        return true;
    }
    let mut counts: HashMap<&T, usize> = HashMap::with_capacity(one.len());
    one.iter().for_each(|item| *counts.entry(item).or_default() += 1);
    one.len() == other.len()
        && other.iter().all(|item| match counts.get_mut(item) {
            Some(left) if *left > 0 => {
                *left -= 1;
                true
            }
            _ => false,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_sets_are_never_empty() {
        assert_eq!(Fields::only(Vec::<Field>::new()), Err(EmptySet));
        let (ab, c) = (Fields::only(["b", "a", "a"]).unwrap(), Fields::only(["c"]).unwrap());
        assert_eq!(ab.intersect(&c), None);
        assert_eq!(ab.intersect(&Fields::All), Some(ab.clone()));
        assert_eq!(ab.union(&c), Fields::only(["a", "b", "c"]).unwrap());
        assert!(Fields::All.covers(&ab) && !ab.covers(&Fields::All) && !ab.covers(&c));
    }

    #[test]
    fn condition_expressions_imply_conservatively() {
        let one = ConditionExpr::all([ConditionClause::from_list(["x"])]);
        let either = ConditionExpr::all([ConditionClause::from_list(["x", "y"])]);
        let both = ConditionExpr::all([ConditionClause::from_list(["x"]), ConditionClause::from_list(["z"])]);
        assert!(one.implies(&either) && !either.implies(&one));
        assert!(both.implies(&one) && !one.implies(&both));
        assert!(one.implies(&ConditionExpr::ALWAYS) && !ConditionExpr::ALWAYS.implies(&one));
    }

    #[test]
    fn an_implied_clause_is_dropped() {
        let (x, either, z) = (
            ConditionClause::from_list(["x"]),
            ConditionClause::from_list(["x", "y"]),
            ConditionClause::from_list(["z"]),
        );
        for order in [[x.clone(), either.clone()], [either.clone(), x.clone()]] {
            assert_eq!(ConditionExpr::all(order).parts(), std::slice::from_ref(&x));
        }
        assert_eq!(ConditionExpr::all([either.clone(), z.clone()]).parts(), [either, z]);
    }
}
