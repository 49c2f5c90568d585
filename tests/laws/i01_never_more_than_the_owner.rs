//! I1: token may => owner may, for every action, subject, field and row.
//!
//! The oracle knows nothing of rules and decisions: it asks the owner's permissions one by one, row by row.

use keyward::admin::{Owner, OwnerState};
use keyward::authz::{
    Action, Ceiling, ConditionClause, Conditions, Fields, HAS_SAME_ROLE_AS_CREATOR, IS_CREATOR, Resource, Scope,
    Verdict,
};
use keyward::guard::Principal;
use keyward::testing::World;
use keyward::time::Timestamp;
use keyward::token::{Token, TokenAuthority, TokenId, TokenKind};
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
    permission().prop_map(|Permission { scope, when }| Grant { scope, chosen: when })
}

fn row() -> impl Strategy<Value = Value> {
    let creator = prop_oneof![Just(json!(ME)), Just(json!(8)), Just(json!(null))];
    let roles = prop::sample::subsequence(vec![1i64, 2, 3, 4], 0..=3);
    (creator, roles).prop_map(|(creator, roles)| {
        json!({"title": "t", "slug": "s", "body": "b", "creator_id": creator, "creator_role_ids": roles})
    })
}

/// The two conditions of the reference, in plain words.
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
        keyward::HashKey::parse(keyward::testing::SALT).unwrap(),
    );
    Token {
        id: TokenId(1),
        name: "t".into(),
        description: String::new(),
        digest: format.issue(TokenKind::Admin, &keyward::token::OsEntropy).unwrap().digest,
        hint: String::new(),
        created_at: Timestamp(0),
        updated_at: Timestamp(0),
        lifespan: None,
        last_used_at: None,
        expires_at: None,
        authority: TokenAuthority::Admin { owner: OwnerId(ME), grants },
    }
}

fn principal(grants: Vec<Grant>, ceiling: &Ceiling) -> Principal {
    let owner = Owner {
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

    /// For stored grants whatever they are: the token may exactly what its grants say and its owner may.
    #[test]
    fn what_a_token_may_its_owner_may(
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
                // Sorting by a field must not tell of rows on which it is hidden.
                for field in FIELDS.iter().filter(|f| decision.may_query(f).is_ok()) {
                    prop_assert!(visible.as_ref().is_none_or(|v| v.contains(field)), "{} on {}", field, row);
                }
            }
        }
    }

    /// A grant that passes the check is one whose every field the owner holds; and "all" needs all.
    #[test]
    fn the_check_asks_for_every_field(permissions in prop::collection::vec(permission(), 0..6), grant in grant()) {
        let holds = |field: &str| permissions.iter().any(|p| {
            p.scope.action == grant.scope.action && p.scope.resource == grant.scope.resource && p.scope.fields.contains(field)
        });
        let expected = match &grant.scope.fields {
            Fields::Only(set) => set.as_slice().iter().all(|f| holds(f.as_str())),
            // Nobody names this field, so whoever holds it holds all.
            Fields::All => holds("no such field"),
        };
        prop_assert_eq!(Ceiling::Of(permissions).check(&grant).is_ok(), expected);
        prop_assert!(Ceiling::Unlimited.check(&grant).is_ok());
    }

    /// Chosen conditions narrow and never widen.
    #[test]
    fn a_super_admins_token_keeps_its_chosen_conditions(grant in grant(), row in row()) {
        let caller = principal(vec![grant.clone()], &Ceiling::Unlimited);
        let resource = grant.scope.resource.as_ref().map(Resource::as_str);
        let decision = decide(&caller, grant.scope.action.as_str(), resource);
        prop_assert_eq!(decision.admits(&row), any_holds(&grant.chosen, &row));
    }

    /// What is required together is no more than each, what is required as alternatives no less.
    #[test]
    fn compound_requirements_are_what_their_parts_are(
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

/// A token as actor is never super admin, whatever its owner is.
#[test]
fn a_token_of_a_super_admin_has_its_grants_and_no_more() {
    let caller = principal(vec![Grant::new("read")], &Ceiling::Unlimited);
    assert_eq!(decide(&caller, "read", None).verdict(), Verdict::Allowed);
    assert_eq!(decide(&caller, "update", None).verdict(), Verdict::Refused);
    assert_eq!(principal(vec![], &Ceiling::Unlimited).verdict(&action("read")), Verdict::Refused);
}

/// A missing subject is no wildcard, neither way.
#[test]
fn resources_match_exactly() {
    let with = principal(vec![Grant::new("read").on("article")], &Ceiling::Unlimited);
    let without = principal(vec![Grant::new("read")], &Ceiling::Unlimited);
    assert_eq!(with.verdict(&action("read")), Verdict::Refused);
    assert_eq!(without.verdict(&action("read").on("article")), Verdict::Refused);
    assert_eq!(with.verdict(&action("read").on("Article")), Verdict::Refused);
}

/// The same through real requests: each role's fields come under that role's conditions.
#[tokio::test]
async fn through_requests_fields_come_with_their_own_conditions() {
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
