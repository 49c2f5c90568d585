//! Permissions, conditions and decisions: the vocabulary of authorization.
//!
//! A [`Permission`] belongs to a role and bounds an owner. A token carries [`Grant`]s. A route states a
//! [`Requirement`], and the answer for one caller is a [`Decision`]: denied, allowed, or allowed for some rows and
//! fields. A [`Catalogue`] lists the actions and resources that exist. See the guide on
//! [conditions](crate::guide::conditions).

pub use crate::domain::{
    Action, ActionEntry, Attribute, BeyondCeiling, Catalogue, Ceiling, ConditionClause, ConditionContext,
    ConditionExpr, ConditionId, ConditionSet, Conditions, Decision, DecisionRule, Denied, EffectivePermission,
    EmptySet, Excess, Field, FieldSet, Fields, Grant, HAS_SAME_ROLE_AS_CREATOR, HiddenField, IS_CREATOR, Permission,
    Predicate, Rename, Requirement, Resource, ResourceEntry, ResourceKind, Scope, Section, SqlFilter, SqlMap,
    UnknownColumn, Value, Verdict, action, all_of, any_of, authenticated,
};
