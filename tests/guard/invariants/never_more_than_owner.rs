//! never-more-than-owner (`docs/invariants.md`): what a token may do, its owner may do, for every action, resource, field and row.
//!
//! The oracle does not use effective permissions or decisions: it checks the owner's permissions one by one, row by row.

use keyward::admin::{Owner, OwnerState};
use keyward::authz::{
    Action, Ceiling, ConditionClause, Conditions, Fields, HAS_SAME_ROLE_AS_CREATOR, IS_CREATOR, Resource, Scope,
    Verdict,
};
use keyward::guard::Principal;
use keyward::testing::World;
use keyward::time::Timestamp;
use keyward::token::{Token, TokenAuthority, TokenId, TokenKind, TokenLimits};
use keyward::{Decision, Grant, GuardedRouter, OwnerId, Permission, RoleId, action};
use proptest::prelude::*;
use serde_json::{Value, json};

const ACTIONS: [&str; 2] = ["read", "update"];
const SUBJECTS: [Option<&str>; 3] = [None, Some("article"), Some("page")];
const FIELDS: [&str; 3] = ["title", "slug", "body"];
const CONDITIONS: [&str; 3] = [IS_CREATOR, HAS_SAME_ROLE_AS_CREATOR, "no::such"];
const ME: i64 = 7;
const MY_ROLES: [i64; 2] = [2, 3];

fn fields() -> impl Strategy<Value = Fields> {
    let some = prop::sample::subsequence(&FIELDS[..], 1..=3).prop_map(|f| Fields::only(f).unwrap());
    prop_oneof![Just(Fields::All), some]
}

fn when() -> impl Strategy<Value = ConditionClause> {
    prop::sample::subsequence(&CONDITIONS[..], 0..=2).prop_map(ConditionClause::from_list)
}

fn permission() -> impl Strategy<Value = Permission> {
    (prop::sample::select(&ACTIONS[..]), prop::sample::select(&SUBJECTS[..]), fields(), when()).prop_map(
        |(action, resource, fields, when)| Permission {
            scope: Scope { action: action.into(), resource: resource.map(Resource::from), fields },
            when,
        },
    )
}

fn grant() -> impl Strategy<Value = Grant> {
    permission().prop_map(|Permission { scope, when }| Grant { scope, chosen: when, may_delegate: false })
}

fn row() -> impl Strategy<Value = Value> {
    let creator = prop_oneof![Just(json!(ME)), Just(json!(8)), Just(json!(null))];
    let roles = prop::sample::subsequence(vec![1i64, 2, 3, 4], 0..=3);
    (creator, roles).prop_map(|(creator, roles)| {
        json!({"title": "t", "slug": "s", "body": "b", "creator_id": creator, "creator_role_ids": roles})
    })
}

/// Strapi's two conditions, written out.
fn holds(condition: &str, row: &Value) -> bool {
    match condition {
        IS_CREATOR => row["creator_id"] == json!(ME),
        HAS_SAME_ROLE_AS_CREATOR => {
            row["creator_role_ids"].as_array().unwrap().iter().any(|r| MY_ROLES.contains(&r.as_i64().unwrap()))
        }
        _ => false,
    }
}

fn any_holds(when: &ConditionClause, row: &Value) -> bool {
    when.as_slice().is_empty() || when.as_slice().iter().any(|c| holds(c.as_str(), row))
}

fn owner_may(permissions: &[Permission], action: &str, resource: Option<&str>, field: &str, row: &Value) -> bool {
    permissions.iter().any(|p| {
        p.scope.action.as_str() == action
            && p.scope.resource.as_ref().map(Resource::as_str) == resource
            && p.scope.fields.contains(field)
            && any_holds(&p.when, row)
    })
}

fn grant_says(grants: &[Grant], action: &str, resource: Option<&str>, field: &str, row: &Value) -> bool {
    grants.iter().any(|g| {
        g.scope.action.as_str() == action
            && g.scope.resource.as_ref().map(Resource::as_str) == resource
            && g.scope.fields.contains(field)
            && any_holds(&g.chosen, row)
    })
}

fn token(grants: Vec<Grant>) -> Token {
    let format = keyward::testing::SecretFormat::new(
        &Default::default(),
        keyward::HashKey::parse(keyward::testing::HASH_KEY).unwrap(),
    );
    Token {
        id: TokenId(1),
        name: "t".into(),
        description: String::new(),
        metadata: None,
        digest: format.issue(TokenKind::Admin, &keyward::token::OsEntropy).unwrap().digest,
        hint: String::new(),
        created_at: Timestamp(0),
        updated_at: Timestamp(0),
        lifespan: None,
        last_used_at: None,
        last_used_tool: None,
        limits: TokenLimits::none(),
        secret_used: None,
        previous: None,
        ancestors: Vec::new(),
        parent_secret: None,
        expires_at: None,
        authority: TokenAuthority::Admin { owner: OwnerId(ME), grants },
    }
}

fn principal(grants: Vec<Grant>, ceiling: &Ceiling) -> Principal {
    let owner = Owner {
        account: None,
        kind: keyward::accounts::AccountKind::Person,
        id: OwnerId(ME),
        email: String::new(),
        firstname: String::new(),
        lastname: String::new(),
        username: None,
        state: OwnerState::Active,
        roles: MY_ROLES.map(RoleId).to_vec(),
        created_at: Timestamp(0),
        updated_at: Timestamp(0),
    };
    Principal::of(&token(grants), Some((&owner, ceiling))).unwrap()
}

fn decide(principal: &Principal, name: &str, resource: Option<&str>) -> Decision {
    let requirement = match resource {
        Some(resource) => action(name).on(resource),
        None => action(name),
    };
    let decision = principal.decide(&requirement, &Conditions::default());
    assert_eq!(decision.verdict(), principal.verdict(&requirement));
    decision
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    /// For arbitrary stored grants, a token may do exactly what both its grants and its owner's permissions allow.
    #[test]
    fn token_permissions_are_a_subset_of_the_owners(
        permissions in prop::collection::vec(permission(), 0..6),
        grants in prop::collection::vec(grant(), 0..5),
        rows in prop::collection::vec(row(), 1..5),
    ) {
        let caller = principal(grants.clone(), &Ceiling::Of(permissions.clone()));
        for (name, resource) in ACTIONS.iter().flat_map(|a| SUBJECTS.map(|s| (*a, s))) {
            let decision = decide(&caller, name, resource);
            for row in &rows {
                let visible = decision.fields_of(row);
                prop_assert_eq!(visible.is_some(), decision.admits(row));
                for field in FIELDS {
                    let may = visible.as_ref().is_some_and(|v| v.contains(field));
                    let owner = owner_may(&permissions, name, resource, field, row);
                    prop_assert!(!may || owner, "{} of {:?} on {}", field, resource, row);
                    prop_assert_eq!(may, owner && grant_says(&grants, name, resource, field, row));
                }
                // Sorting by a field must not reveal rows on which the field is hidden.
                for field in FIELDS.iter().filter(|f| decision.may_query(f).is_ok()) {
                    prop_assert!(visible.as_ref().is_none_or(|v| v.contains(field)), "{} on {}", field, row);
                }
            }
        }
    }

    /// A grant passes the check only if the owner holds each of its fields; a grant of all fields needs all fields.
    #[test]
    fn ceiling_check_covers_every_field(permissions in prop::collection::vec(permission(), 0..6), grant in grant()) {
        let holds = |field: &str| permissions.iter().any(|p| {
            p.scope.action == grant.scope.action && p.scope.resource == grant.scope.resource && p.scope.fields.contains(field)
        });
        let expected = match &grant.scope.fields {
            Fields::Only(set) => set.as_slice().iter().all(|f| holds(f.as_str())),
            // No generated permission names this field: holding it means holding all fields.
            Fields::All => holds("no such field"),
        };
        prop_assert_eq!(Ceiling::Of(permissions).check(&grant).is_ok(), expected);
        prop_assert!(Ceiling::Unlimited.check(&grant).is_ok());
    }

    /// Chosen conditions narrow a grant and never widen it.
    #[test]
    fn token_of_a_super_admin_keeps_its_chosen_conditions(grant in grant(), row in row()) {
        let caller = principal(vec![grant.clone()], &Ceiling::Unlimited);
        let resource = grant.scope.resource.as_ref().map(Resource::as_str);
        let decision = decide(&caller, grant.scope.action.as_str(), resource);
        prop_assert_eq!(decision.admits(&row), any_holds(&grant.chosen, &row));
    }

    /// `all_of` allows no more than each of its parts, `any_of` no less.
    #[test]
    fn compound_requirements_equal_the_combination_of_their_parts(
        permissions in prop::collection::vec(permission(), 0..6),
        row in row(),
    ) {
        let grants: Vec<Grant> = permissions.iter().map(Grant::from).collect();
        let caller = principal(grants, &Ceiling::Of(permissions));
        let parts = ACTIONS.map(|a| action(a).on("article"));
        let each = parts.clone().map(|p| caller.decide(&p, &Conditions::default()));
        let both = caller.decide(&keyward::all_of(parts.clone()), &Conditions::default());
        let either = caller.decide(&keyward::any_of(parts), &Conditions::default());
        for field in FIELDS {
            let may = |d: &Decision| d.fields_of(&row).is_some_and(|v| v.contains(field));
            prop_assert_eq!(may(&both), each.iter().all(may));
            prop_assert_eq!(may(&either), each.iter().any(may));
        }
    }
}

/// A token as actor is never a super admin, even if its owner is one.
#[test]
fn token_of_a_super_admin_has_only_its_grants() {
    let caller = principal(vec![Grant::new("read")], &Ceiling::Unlimited);
    assert_eq!(decide(&caller, "read", None).verdict(), Verdict::Allowed);
    assert_eq!(decide(&caller, "update", None).verdict(), Verdict::Denied);
    assert_eq!(principal(vec![], &Ceiling::Unlimited).verdict(&action("read")), Verdict::Denied);
}

/// A missing resource is not a wildcard, neither in a grant nor in a requirement.
#[test]
fn missing_resource_is_not_a_wildcard() {
    let with = principal(vec![Grant::new("read").on("article")], &Ceiling::Unlimited);
    let without = principal(vec![Grant::new("read")], &Ceiling::Unlimited);
    assert_eq!(with.verdict(&action("read")), Verdict::Denied);
    assert_eq!(without.verdict(&action("read").on("article")), Verdict::Denied);
    assert_eq!(with.verdict(&action("read").on("Article")), Verdict::Denied);
}

/// The same through real requests: the fields of each role are limited by the conditions of that role.
#[tokio::test]
async fn requests_keep_fields_with_the_conditions_of_their_role() {
    let world = World::new();
    let list = |auth: keyward::AdminAuth, decision: Decision| async move {
        let me = auth.owner().unwrap().0;
        let rows = [json!({"title": "a", "body": "mine", "creator_id": me}), json!({"title": "b", "body": "theirs"})];
        axum::Json(rows.into_iter().filter_map(|r| decision.project(r, &[])).collect::<Vec<_>>())
    };
    let requirement = action("read").on("article");
    let app = world.guard(GuardedRouter::new().route("/admin/list", requirement, axum::routing::get(list)));
    let read = || Permission::new("read").on("article");
    let only = |f: &str| Fields::only([f]).unwrap();
    let key = world
        .editor()
        .holds(read().fields(only("title")))
        .holds(read().fields(only("body")).when(ConditionClause::from_list([IS_CREATOR])))
        .carries(Grant {
            scope: Scope {
                action: Action::new("read"),
                ..Grant::from(&read().fields(Fields::only(["title", "body"]).unwrap())).scope
            },
            ..Grant::from(&read().fields(Fields::only(["title", "body"]).unwrap()))
        })
        .issue()
        .await;
    let answer = app.get("/admin/list").bearer(&key.secret).await;
    assert_eq!(answer.assert_ok().json(), json!([{"title": "a", "body": "mine"}, {"title": "b"}]));
}
