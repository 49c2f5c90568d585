//! The ceiling: everything an owner may grant, and the effect of a grant under it.

use super::ceiling_index::CeilingIndex;
use super::{
    Action, ConditionClause, ConditionExpr, EffectivePermission, Field, Fields, Grant, Permission, Resource, Scope,
};
use std::fmt;
use std::sync::Arc;

/// Everything an owner may grant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ceiling {
    /// A super admin's ceiling: no limit.
    Unlimited,
    /// The permissions of all roles of any other owner.
    Of(Vec<Permission>),
    /// The actions on resources that a policy of the host allows, for all fields and rows.
    Policy(CeilingPolicy),
}

/// A question of the host: may the account do this action on this resource?
///
/// Two policies are equal only if one is a clone of the other.
#[derive(Clone)]
pub struct CeilingPolicy(Arc<Allows>);

type Allows = dyn Fn(&Action, Option<&Resource>) -> bool + Send + Sync;

impl CeilingPolicy {
    pub(super) fn new(allows: impl Fn(&Action, Option<&Resource>) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(allows))
    }

    /// Returns whether the account may do this action on this resource.
    pub fn allows(&self, action: &Action, resource: Option<&Resource>) -> bool {
        (self.0)(action, resource)
    }
}

impl PartialEq for CeilingPolicy {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for CeilingPolicy {}

impl fmt::Debug for CeilingPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CeilingPolicy(..)")
    }
}

/// A grant exceeds the owner's ceiling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BeyondCeiling {
    /// The permission that the owner lacks.
    pub excess: Excess,
    /// The grant's action and resource, for the message.
    pub(super) of: String,
}

/// The part of a grant that exceeds the ceiling of its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Excess {
    /// The action on that resource.
    Action,
    /// All fields: the owner has only some.
    AllFields,
    /// These fields.
    Fields(Vec<Field>),
    /// All rows: the owner has only those that satisfy conditions.
    Conditions,
}

impl fmt::Display for BeyondCeiling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.excess {
            Excess::Action => write!(f, "the owner does not hold {}", self.of),
            Excess::Conditions => write!(f, "the owner holds {} under stricter conditions only", self.of),
            Excess::AllFields => write!(f, "the owner holds {} for some fields only: name the fields", self.of),
            Excess::Fields(fields) => {
                let names: Vec<&str> = fields.iter().map(Field::as_str).collect();
                write!(f, "the owner does not hold {} for {}", self.of, names.join(", "))
            }
        }
    }
}

impl std::error::Error for BeyondCeiling {}

impl Ceiling {
    /// Checks that `grant` lies within the ceiling.
    ///
    /// Each of its fields must be held by some permission for the action and resource; all fields only by a permission
    /// that has all.
    ///
    /// # Errors
    /// Returns [`BeyondCeiling`] with what the owner lacks.
    pub fn check(&self, grant: &Grant) -> Result<(), BeyondCeiling> {
        self.index_of(&grant.scope.action, grant.scope.resource.as_ref()).check(grant)
    }

    /// Checks that an owner with this ceiling may delegate `permission` to others.
    ///
    /// Each of its fields must be held under conditions that are no stricter; all fields only by a permission that has
    /// all.
    ///
    /// # Errors
    /// Returns [`BeyondCeiling`] with what the owner lacks.
    #[cfg_attr(not(any(feature = "strapi", feature = "ui")), allow(dead_code, reason = "other features ask an index"))]
    pub(crate) fn check_delegation(&self, permission: &Permission) -> Result<(), BeyondCeiling> {
        self.index_of(&permission.scope.action, permission.scope.resource.as_ref()).check_delegation(permission)
    }

    /// Builds an index of the permissions for this action on this resource only.
    fn index_of(&self, action: &Action, resource: Option<&Resource>) -> CeilingIndex<'_> {
        match self {
            Self::Unlimited | Self::Policy(_) => CeilingIndex::of(self),
            Self::Of(permissions) => {
                let concerns = |p: &&Permission| p.scope.action == *action && p.scope.resource.as_ref() == resource;
                CeilingIndex::over(permissions.iter().filter(concerns))
            }
        }
    }

    /// Returns the effect of `grant`: one effective permission for each permission that it intersects.
    ///
    /// Each keeps the conditions of its permission with *its* fields; duplicates are dropped. Whatever an effective
    /// permission allows, the owner may do (invariant never-more-than-owner), also for grants that
    /// [`check`](Self::check) would reject today.
    pub fn effect(&self, grant: &Grant) -> Vec<EffectivePermission> {
        let rule = |fields: Fields, when: &ConditionClause| EffectivePermission {
            scope: Scope { action: grant.scope.action.clone(), resource: grant.scope.resource.clone(), fields },
            guard: ConditionExpr::all([when.clone(), grant.chosen.clone()]),
        };
        match self {
            Self::Unlimited => vec![rule(grant.scope.fields.clone(), &ConditionClause::Always)],
            Self::Policy(policy) if policy.allows(&grant.scope.action, grant.scope.resource.as_ref()) => {
                vec![rule(grant.scope.fields.clone(), &ConditionClause::Always)]
            }
            Self::Policy(_) => Vec::new(),
            Self::Of(permissions) => {
                let met = permissions.iter().filter(|p| concerns(p, grant));
                let mut rules = Vec::new();
                for rule in met.filter_map(|p| Some(rule(p.scope.fields.intersect(&grant.scope.fields)?, &p.when))) {
                    if !rules.contains(&rule) {
                        rules.push(rule);
                    }
                }
                rules
            }
        }
    }
}

impl Ceiling {
    /// Returns the permissions that a grant intersects: those of which [`effect`](Self::effect) makes effective ones.
    /// `None` if the ceiling lists none and allows the grant as a whole.
    pub(crate) fn met_by(&self, grant: &Grant) -> Option<Vec<&Permission>> {
        match self {
            Self::Unlimited => None,
            Self::Policy(policy) if policy.allows(&grant.scope.action, grant.scope.resource.as_ref()) => None,
            Self::Policy(_) => Some(Vec::new()),
            Self::Of(permissions) => {
                let met = permissions.iter().filter(|p| concerns(p, grant));
                Some(met.filter(|p| p.scope.fields.intersect(&grant.scope.fields).is_some()).collect())
            }
        }
    }
}

pub(super) fn describe(action: &Action, resource: Option<&Resource>) -> String {
    resource.map_or_else(|| action.to_string(), |resource| format!("{action} on {resource}"))
}

fn concerns(permission: &Permission, grant: &Grant) -> bool {
    permission.scope.action == grant.scope.action && permission.scope.resource == grant.scope.resource
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ConditionId;

    fn read() -> Permission {
        Permission::new("read").on("article")
    }

    fn only(fields: &[&str]) -> Fields {
        Fields::only(fields.iter().copied()).unwrap()
    }

    #[test]
    fn each_field_may_be_held_by_another_role() {
        let ceiling = Ceiling::Of(vec![read().fields(only(&["title"])), read().fields(only(&["body"]))]);
        let ask = |f| ceiling.check(&Grant::new("read").on("article").fields(f)).map_err(|e| e.excess);
        assert_eq!(ask(only(&["title", "body"])), Ok(()));
        assert_eq!(ask(only(&["title", "slug"])), Err(Excess::Fields(vec!["slug".into()])));
        assert_eq!(ask(Fields::All), Err(Excess::AllFields));
        assert_eq!(ceiling.check(&Grant::new("read")).map_err(|e| e.excess), Err(Excess::Action));
    }

    #[test]
    fn conditions_stay_with_their_fields() {
        let own = ConditionClause::from_list(["own"]);
        let ceiling =
            Ceiling::Of(vec![read().fields(only(&["title"])), read().fields(only(&["body"])).when(own.clone())]);
        let grant = Grant::new("read").on("article").fields(only(&["title", "body"]));
        let rules = ceiling.effect(&grant);
        assert_eq!(rules.len(), 2);
        let of = |f: &str| rules.iter().find(|r| r.scope.fields.contains(f)).unwrap();
        assert!(of("title").guard.is_always());
        assert_eq!(of("body").guard.parts(), [own]);
        assert_eq!(ceiling.index().shown_conditions(&grant), [ConditionId::new("own")]);
        assert!(
            ceiling.index().shown_conditions(&Grant::new("read").on("article").fields(only(&["title"]))).is_empty()
        );
    }

    #[test]
    fn an_owner_cannot_give_a_permission_beyond_the_ceiling() {
        let (own, shared) = (ConditionClause::from_list(["own"]), ConditionClause::from_list(["shared"]));
        let ceiling = Ceiling::Of(vec![
            read().fields(only(&["title"])),
            read().fields(only(&["body", "slug"])).when(own.clone()),
            read().fields(only(&["body"])).when(shared.clone()),
        ]);
        let gift = |p: Permission| ceiling.check_delegation(&p).map_err(|e| e.excess);
        assert_eq!(gift(read().fields(only(&["title"]))), Ok(()));
        assert_eq!(gift(read().fields(only(&["title", "body"])).when(own.clone())), Ok(()));
        assert_eq!(gift(read().fields(only(&["body"])).when(ConditionClause::from_list(["own", "shared"]))), Ok(()));
        assert_eq!(gift(read().fields(only(&["slug"])).when(shared)), Err(Excess::Conditions));
        assert_eq!(gift(read().fields(only(&["body"]))), Err(Excess::Conditions));
        assert_eq!(gift(read().when(own)), Err(Excess::AllFields));
        assert!(
            ceiling.covers(&ceiling) && Ceiling::Unlimited.covers(&ceiling) && !ceiling.covers(&Ceiling::Unlimited)
        );
    }

    #[test]
    fn duplicate_effective_permissions_are_dropped() {
        let ceiling = Ceiling::Of(vec![read().when(ConditionClause::from_list(["own"])), read(), read()]);
        assert_eq!(ceiling.effect(&Grant::new("read").on("article")).len(), 2);
    }

    #[test]
    fn chosen_conditions_are_added() {
        let chosen = ConditionClause::from_list(["own"]);
        let grant = Grant::new("read").on("article").chosen(chosen.clone());
        assert_eq!(Ceiling::Unlimited.effect(&grant)[0].guard.parts(), std::slice::from_ref(&chosen));
        assert_eq!(Ceiling::Of(vec![read()]).effect(&grant)[0].guard.parts(), [chosen]);
    }
}
