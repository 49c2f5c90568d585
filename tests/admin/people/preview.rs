//! Previews of the grants that a change would remove, and the tokens of a person.

use crate::people::setup::{Setup, assert_rejected, paths};
use keyward::admin::{Actor, Clamped, ServiceError};
use keyward::authz::ConditionClause;
use keyward::store::Digest;
use keyward::store::TokenQuery;
use keyward::token::{Token, TokenId, TokenKind};
use keyward::{Grant, NewAdminToken, OwnerId, Permission, RoleId};

fn permitted(actions: &[&str]) -> Vec<Permission> {
    actions.iter().map(|a| Permission::new(*a)).collect()
}

fn takes(tokens: u64, grants: u64) -> Clamped {
    Clamped { tokens, grants, permissions: 0 }
}

async fn token(setup: &Setup, name: &str, owner: OwnerId, actions: &[&str]) -> Token {
    let new = NewAdminToken::new(name, owner).grants(actions.iter().map(|a| Grant::new(*a)));
    setup.keyward.tokens().issue_admin(new).await.unwrap().token
}

/// Returns the result of a preview and asserts that it left no event, no change and no lock.
async fn rehearsed<T>(setup: &Setup, call: impl Future<Output = T>) -> T {
    let sequence = async || setup.keyward.store().resolve(&Digest::Native([0; 27])).await.unwrap().seq;
    let before = sequence().await;
    let (answer, events) = setup.during(call).await;
    assert!(events.is_empty(), "{events:?}");
    assert_eq!(sequence().await, before);
    drop(setup.keyward.store().begin().await.unwrap());
    answer
}

pub(crate) async fn preview_of_a_smaller_role_counts_lost_grants(setup: Setup) {
    let super_admin = setup.super_admin().await;
    let role = setup.role("R", permitted(&["a", "b", "c"])).await;
    let other = setup.role("O", permitted(&["b"])).await;
    let (ada, bob) = (setup.person("ada@x.test", &[role]).await, setup.person("bob@x.test", &[role, other]).await);
    let chief = setup.person("chief@x.test", &[role, RoleId::SUPER_ADMIN]).await;
    token(&setup, "1", ada, &["a", "b", "c"]).await;
    let kept = token(&setup, "2", ada, &["a"]).await;
    let held = token(&setup, "3", bob, &["b", "c"]).await;
    token(&setup, "4", chief, &["b", "z"]).await;
    let roles = || setup.keyward.roles().acting_as(Actor::Person(super_admin));
    let before = roles().read(role).await.unwrap();
    for (actions, expected) in [
        (&["a", "b", "c"][..], takes(0, 0)),
        (&["a", "b", "c", "d"], takes(0, 0)),
        (&["a", "b"], takes(2, 2)),
        (&["a", "c"], takes(1, 1)),
        (&["a"], takes(2, 3)),
        (&[], takes(3, 5)),
    ] {
        let clamped = rehearsed(&setup, roles().preview_clamp(role, permitted(actions))).await.unwrap();
        assert_eq!(clamped, expected, "{actions:?}");
    }
    assert_eq!(roles().read(role).await.unwrap(), before);
    // The change has the previewed effect.
    let (answer, events) = setup.during(roles().set_permissions(role, permitted(&["a"]))).await;
    answer.unwrap();
    assert_eq!(events.len(), 1 + 3, "one event for the role and one for each grant");
    let grants = async |id| setup.keyward.tokens().read(id).await.unwrap().token.grants().to_vec();
    assert_eq!(grants(kept.id).await, [Grant::new("a")]);
    assert_eq!(grants(held.id).await, [Grant::new("b")]);
}

pub(crate) async fn preview_of_fewer_roles_counts_lost_grants(setup: Setup) {
    let super_admin = setup.super_admin().await;
    let (a, b) = (setup.role("A", permitted(&["a", "x"])).await, setup.role("B", permitted(&["b", "x"])).await);
    let ada = setup.person("ada@x.test", &[a, b]).await;
    token(&setup, "1", ada, &["a", "b", "x"]).await;
    token(&setup, "2", ada, &["b"]).await;
    token(&setup, "of another owner", setup.person("bob@x.test", &[b]).await, &["b"]).await;
    let owners = || setup.keyward.owners().acting_as(Actor::Person(super_admin));
    for (roles, expected) in [
        (vec![a, b], takes(0, 0)),
        (vec![b, a, b], takes(0, 0)),
        (vec![a], takes(2, 2)),
        (vec![b], takes(1, 1)),
        (vec![], takes(2, 4)),
    ] {
        assert_eq!(rehearsed(&setup, owners().preview_clamp(ada, roles.clone())).await.unwrap(), expected, "{roles:?}");
    }
    assert_eq!(setup.owner(ada).await.roles, [a, b]);
}

pub(crate) async fn preview_applies_the_rules_of_the_change(setup: Setup) {
    let super_admin = setup.super_admin().await;
    let (low, high) = (setup.role("L", permitted(&["a"])).await, setup.role("H", permitted(&["b"])).await);
    let editor = setup.person("editor@x.test", &[low]).await;
    let token = token(&setup, "t", editor, &["a"]).await;
    let roles = |actor| setup.keyward.roles().acting_as(actor);
    let owners = |actor| setup.keyward.owners().acting_as(actor);
    for actor in [Actor::Token(token.id), Actor::Visitor] {
        assert_rejected!(rehearsed(&setup, roles(actor).preview_clamp(low, vec![])).await, ServiceError::Forbidden(_));
        assert_rejected!(
            rehearsed(&setup, owners(actor).preview_clamp(editor, vec![])).await,
            ServiceError::Forbidden(_)
        );
    }
    let editors = Actor::Person(editor);
    assert_rejected!(rehearsed(&setup, roles(editors).preview_clamp(high, vec![])).await, ServiceError::Forbidden(_));
    let more = permitted(&["a", "b"]);
    assert_eq!(paths(rehearsed(&setup, roles(editors).preview_clamp(low, more)).await), ["permissions.1"]);
    assert_rejected!(
        rehearsed(&setup, owners(editors).preview_clamp(super_admin, vec![])).await,
        ServiceError::Forbidden(_)
    );
    assert_rejected!(
        rehearsed(&setup, owners(editors).preview_clamp(editor, vec![low, high])).await,
        ServiceError::Forbidden(_)
    );
    assert_eq!(rehearsed(&setup, roles(editors).preview_clamp(low, vec![])).await.unwrap(), takes(1, 1));

    let by_super_admin = Actor::Person(super_admin);
    let no_role = rehearsed(&setup, roles(by_super_admin).preview_clamp(RoleId(4711), vec![])).await;
    assert_rejected!(no_role, ServiceError::NotFound("role"));
    let built_in = rehearsed(&setup, roles(by_super_admin).preview_clamp(RoleId::SUPER_ADMIN, vec![])).await;
    assert_rejected!(built_in, ServiceError::Impossible(_));
    let odd = vec![Permission::new("a").when(ConditionClause::from_list(["no::such"]))];
    assert_eq!(
        paths(rehearsed(&setup, roles(by_super_admin).preview_clamp(low, odd)).await),
        ["permissions.0.conditions.0"]
    );
    assert_rejected!(
        rehearsed(&setup, owners(by_super_admin).preview_clamp(super_admin, vec![low])).await,
        ServiceError::LastSuperAdmin
    );
    let missing = rehearsed(&setup, owners(by_super_admin).preview_clamp(editor, vec![low, RoleId(4711)])).await;
    assert_eq!(paths(missing), ["roles.1"]);
    let seen = roles(by_super_admin).read(low).await.unwrap().version();
    setup.keyward.roles().set_permissions(low, permitted(&["a", "c"])).await.unwrap();
    let stale = roles(by_super_admin).if_version(seen);
    assert_rejected!(rehearsed(&setup, stale.preview_clamp(low, vec![])).await, ServiceError::Changed("role"));
}

pub(crate) async fn tokens_are_counted_per_role(setup: Setup) {
    let super_admin = setup.super_admin().await;
    let (a, b) = (setup.role("A", permitted(&["a"])).await, setup.role("B", []).await);
    let unused = setup.role("N", []).await;
    let (ada, bob) = (setup.person("ada@x.test", &[a, b]).await, setup.person("bob@x.test", &[b]).await);
    let own = token(&setup, "1", ada, &["a"]).await;
    token(&setup, "2", bob, &[]).await;
    token(&setup, "3", bob, &[]).await;
    setup.sign_in("bob@x.test").await;
    let expected = [(RoleId::SUPER_ADMIN, 0), (a, 1), (b, 3), (unused, 0)];
    let counted = async |actor| setup.keyward.roles().acting_as(actor).tokens_of_members().await;
    for actor in [Actor::Service, Actor::Person(super_admin), Actor::Person(bob)] {
        assert_eq!(counted(actor).await.unwrap(), expected);
    }
    let of_each = async |actor| setup.keyward.owners().acting_as(actor).tokens_of(&[bob, super_admin]).await;
    assert_eq!(of_each(Actor::Person(bob)).await.unwrap(), of_each(Actor::Service).await.unwrap());
    for actor in [Actor::Token(own.id), Actor::Visitor] {
        assert_rejected!(counted(actor).await, ServiceError::Forbidden(_));
        assert_rejected!(of_each(actor).await, ServiceError::Forbidden(_));
    }
}

pub(crate) async fn tokens_of_a_person_are_listed_for_that_person_and_super_admins(setup: Setup) {
    let super_admin = setup.super_admin().await;
    let role = setup.role("A", permitted(&["a", "admin::admin-tokens.read"])).await;
    let (ada, bob) = (setup.person("ada@x.test", &[role]).await, setup.person("bob@x.test", &[role]).await);
    let second = token(&setup, "b", ada, &["a"]).await;
    let first = token(&setup, "a", ada, &[]).await;
    token(&setup, "c", bob, &[]).await;
    let session = setup.sign_in("ada@x.test").await.session.token.id;
    let tokens = |actor| setup.keyward.tokens().acting_as(actor);
    let of = async |actor, owner, kind| -> Result<Vec<TokenId>, ServiceError> {
        let listed = tokens(actor).list(&TokenQuery { owner: Some(owner), ..TokenQuery::of(kind) }).await?.items;
        assert!(listed.iter().all(|t| t.owner.as_ref().is_some_and(|o| o.id == owner)));
        Ok(listed.iter().map(|t| t.token.id).collect())
    };
    for actor in [Actor::Service, Actor::Person(super_admin), Actor::Person(ada), Actor::Token(first.id)] {
        assert_eq!(of(actor, ada, TokenKind::Admin).await.unwrap(), [first.id, second.id], "{actor:?}");
    }
    for actor in [Actor::Person(bob), Actor::Visitor] {
        assert_rejected!(of(actor, ada, TokenKind::Admin).await, ServiceError::Forbidden(_));
    }
    assert_rejected!(of(Actor::Token(first.id), bob, TokenKind::Admin).await, ServiceError::Forbidden(_));
    assert_rejected!(of(Actor::Person(bob), OwnerId(4711), TokenKind::Admin).await, ServiceError::Forbidden(_));
    assert_rejected!(
        of(Actor::Person(super_admin), OwnerId(4711), TokenKind::Admin).await,
        ServiceError::NotFound("owner")
    );
    // Sessions are private, also from super admins.
    assert_eq!(of(Actor::Person(ada), ada, TokenKind::Session).await.unwrap(), [session]);
    for actor in [Actor::Person(super_admin), Actor::Token(first.id)] {
        assert_rejected!(of(actor, ada, TokenKind::Session).await, ServiceError::Forbidden(_));
    }
}
