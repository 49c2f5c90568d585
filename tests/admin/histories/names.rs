//! Generators of permissions and grants, and an evaluation of their meaning.

use keyward::authz::{ConditionClause, Fields, HAS_SAME_ROLE_AS_CREATOR, IS_CREATOR, Resource, Scope};
use keyward::{Grant, Permission, RoleId};
use proptest::prelude::*;
use serde_json::{Value, json};

pub(crate) const ACTIONS: [&str; 3] = ["read", "update", "plain"];
pub(crate) const SUBJECTS: [Option<&str>; 2] = [None, Some("article")];
pub(crate) const FIELDS: [&str; 2] = ["title", "body"];
const CONDITIONS: [&str; 2] = [IS_CREATOR, HAS_SAME_ROLE_AS_CREATOR];

fn fields() -> impl Strategy<Value = Fields> {
    let some = prop::sample::subsequence(&FIELDS[..], 1..=2).prop_map(|f| Fields::only(f).unwrap());
    prop_oneof![2 => Just(Fields::All), 3 => some]
}

pub(crate) fn permission() -> impl Strategy<Value = Permission> {
    let when = prop_oneof![3 => Just(vec![]), 2 => prop::sample::subsequence(&CONDITIONS[..], 1..=2)];
    (prop::sample::select(&ACTIONS[..]), prop::sample::select(&SUBJECTS[..]), fields(), when).prop_map(
        |(action, resource, fields, when)| Permission {
            scope: Scope { action: action.into(), resource: resource.map(Resource::from), fields },
            when: ConditionClause::from_list(when),
        },
    )
}

pub(crate) fn permissions() -> impl Strategy<Value = Vec<Permission>> {
    prop::collection::vec(permission(), 0..6)
}

/// Grants, mostly without chosen conditions, which only super admins may set.
pub(crate) fn grants() -> impl Strategy<Value = Vec<Grant>> {
    let grant = (permission(), prop::bool::weighted(0.2)).prop_map(|(p, chosen)| {
        let when = p.when.clone();
        let grant = Grant::from(&p);
        if chosen { grant.chosen(when) } else { grant }
    });
    // Duplicates are rejected.
    prop::collection::vec(grant, 0..4).prop_map(once)
}

/// Removes duplicates.
pub(crate) fn once(grants: Vec<Grant>) -> Vec<Grant> {
    let mut kept: Vec<Grant> = Vec::new();
    for grant in grants {
        if !kept.contains(&grant) {
            kept.push(grant);
        }
    }
    kept
}

/// Returns a row created by `creator`, who has these roles.
pub(crate) fn row(creator: i64, roles: &[RoleId]) -> Value {
    let roles: Vec<i64> = roles.iter().map(|r| r.0).collect();
    json!({"title": "t", "body": "b", "creator_id": creator, "creator_role_ids": roles})
}

/// Returns whether any of these conditions holds for the account `me`; an empty list always holds.
pub(crate) fn any_holds(when: &ConditionClause, row: &Value, me: i64, roles: &[RoleId]) -> bool {
    let holds = |condition: &str| match condition {
        IS_CREATOR => row["creator_id"] == json!(me),
        HAS_SAME_ROLE_AS_CREATOR => {
            row["creator_role_ids"].as_array().unwrap().iter().any(|r| roles.contains(&RoleId(r.as_i64().unwrap())))
        }
        _ => false,
    };
    when.as_slice().is_empty() || when.as_slice().iter().any(|c| holds(c.as_str()))
}

/// A permission check: one action on one field.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question {
    pub(crate) action: &'static str,
    pub(crate) resource: Option<&'static str>,
    /// A field that no permission names stands for future fields.
    pub(crate) field: &'static str,
}

pub(crate) fn questions() -> impl Iterator<Item = Question> {
    let all = ACTIONS.iter().flat_map(|a| SUBJECTS.iter().map(move |s| (*a, *s)));
    all.flat_map(|(action, resource)| {
        FIELDS.into_iter().chain(["to come"]).map(move |field| Question { action, resource, field })
    })
}

impl Question {
    /// Returns whether this permission covers the check.
    pub(crate) fn concerns(self, action: &str, resource: Option<&Resource>, fields: &Fields) -> bool {
        action == self.action && resource.map(Resource::as_str) == self.resource && fields.contains(self.field)
    }

    /// Returns whether an account with these permissions may do it on this row.
    pub(crate) fn allowed(self, held: &[Permission], row: &Value, me: i64, roles: &[RoleId]) -> bool {
        held.iter().any(|p| {
            self.concerns(p.scope.action.as_str(), p.scope.resource.as_ref(), &p.scope.fields)
                && any_holds(&p.when, row, me, roles)
        })
    }
}

/// Returns whether permissions cover a grant: each of its fields by some permission, all fields by one with all.
pub(crate) fn covers_grant(grant: &Grant, permissions: &[Permission]) -> bool {
    let one = |field: &str| {
        permissions.iter().any(|p| {
            p.scope.action == grant.scope.action
                && p.scope.resource == grant.scope.resource
                && p.scope.fields.contains(field)
        })
    };
    match &grant.scope.fields {
        Fields::All => one("to come"),
        Fields::Only(set) => set.as_slice().iter().all(|f| one(f.as_str())),
    }
}
