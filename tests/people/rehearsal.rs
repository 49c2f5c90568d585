//! What a change would take away, told before it is made; and whose tokens there are.

use crate::house::{House, paths, refused};
use keyward::admin::{Actor, Clamped, ServiceError};
use keyward::authz::ConditionClause;
use keyward::store::Digest;
use keyward::store::{TokenQuery, WriteStore};
use keyward::token::{Token, TokenId, TokenKind};
use keyward::{Grant, NewAdminToken, OwnerId, Permission, RoleId};

fn permitted(actions: &[&str]) -> Vec<Permission> {
    actions.iter().map(|a| Permission::new(*a)).collect()
}

fn takes(tokens: u64, grants: u64) -> Clamped {
    Clamped { tokens, grants, permissions: 0 }
}

async fn token(house: &House, name: &str, owner: OwnerId, actions: &[&str]) -> Token {
    let new = NewAdminToken::new(name, owner).grants(actions.iter().map(|a| Grant::new(*a)));
    house.keyward.tokens().issue_admin(new).await.unwrap().token
}

/// What a rehearsal answers. It has left nothing: no event, no step of the log, and the next writer need not wait.
async fn rehearsed<T>(house: &House, call: impl Future<Output = T>) -> T {
    let sequence = async || house.keyward.store().resolve(&Digest::Native([0; 27])).await.unwrap().seq;
    let before = sequence().await;
    let (answer, events) = house.during(call).await;
    assert!(events.is_empty(), "{events:?}");
    assert_eq!(sequence().await, before);
    drop(house.keyward.store().begin().await.unwrap());
    answer
}

pub(crate) async fn a_smaller_role_tells_what_it_would_take(house: House) {
    let boss = house.boss().await;
    let role = house.role("R", permitted(&["a", "b", "c"])).await;
    let other = house.role("O", permitted(&["b"])).await;
    let (ada, bob) = (house.person("ada@x.test", &[role]).await, house.person("bob@x.test", &[role, other]).await);
    let chief = house.person("chief@x.test", &[role, RoleId::SUPER_ADMIN]).await;
    token(&house, "1", ada, &["a", "b", "c"]).await;
    let kept = token(&house, "2", ada, &["a"]).await;
    let held = token(&house, "3", bob, &["b", "c"]).await;
    token(&house, "4", chief, &["b", "z"]).await;
    let roles = || house.keyward.roles().acting_as(Actor::Person(boss));
    let before = roles().read(role).await.unwrap();
    for (actions, expected) in [
        (&["a", "b", "c"][..], takes(0, 0)),
        (&["a", "b", "c", "d"], takes(0, 0)),
        (&["a", "b"], takes(2, 2)),
        (&["a", "c"], takes(1, 1)),
        (&["a"], takes(2, 3)),
        (&[], takes(3, 5)),
    ] {
        let told = rehearsed(&house, roles().preview_clamp(role, permitted(actions))).await.unwrap();
        assert_eq!(told, expected, "{actions:?}");
    }
    assert_eq!(roles().read(role).await.unwrap(), before);
    // It is what then happens.
    let (answer, events) = house.during(roles().set_permissions(role, permitted(&["a"]))).await;
    answer.unwrap();
    assert_eq!(events.len(), 1 + 3, "the role, and each grant");
    let grants = async |id| house.keyward.tokens().read(id).await.unwrap().token.grants().to_vec();
    assert_eq!(grants(kept.id).await, [Grant::new("a")]);
    assert_eq!(grants(held.id).await, [Grant::new("b")]);
}

pub(crate) async fn fewer_roles_tell_what_they_would_take(house: House) {
    let boss = house.boss().await;
    let (a, b) = (house.role("A", permitted(&["a", "x"])).await, house.role("B", permitted(&["b", "x"])).await);
    let ada = house.person("ada@x.test", &[a, b]).await;
    token(&house, "1", ada, &["a", "b", "x"]).await;
    token(&house, "2", ada, &["b"]).await;
    token(&house, "of somebody else", house.person("bob@x.test", &[b]).await, &["b"]).await;
    let owners = || house.keyward.owners().acting_as(Actor::Person(boss));
    for (roles, expected) in [
        (vec![a, b], takes(0, 0)),
        (vec![b, a, b], takes(0, 0)),
        (vec![a], takes(2, 2)),
        (vec![b], takes(1, 1)),
        (vec![], takes(2, 4)),
    ] {
        assert_eq!(rehearsed(&house, owners().preview_clamp(ada, roles.clone())).await.unwrap(), expected, "{roles:?}");
    }
    assert_eq!(house.owner(ada).await.roles, [a, b]);
}

pub(crate) async fn a_rehearsal_obeys_the_rules(house: House) {
    let boss = house.boss().await;
    let (low, high) = (house.role("L", permitted(&["a"])).await, house.role("H", permitted(&["b"])).await);
    let editor = house.person("editor@x.test", &[low]).await;
    let token = token(&house, "t", editor, &["a"]).await;
    let roles = |actor| house.keyward.roles().acting_as(actor);
    let owners = |actor| house.keyward.owners().acting_as(actor);
    for actor in [Actor::Token(token.id), Actor::Visitor] {
        refused!(rehearsed(&house, roles(actor).preview_clamp(low, vec![])).await, ServiceError::Forbidden(_));
        refused!(rehearsed(&house, owners(actor).preview_clamp(editor, vec![])).await, ServiceError::Forbidden(_));
    }
    let editors = Actor::Person(editor);
    refused!(rehearsed(&house, roles(editors).preview_clamp(high, vec![])).await, ServiceError::Forbidden(_));
    let more = permitted(&["a", "b"]);
    assert_eq!(paths(rehearsed(&house, roles(editors).preview_clamp(low, more)).await), ["permissions.1"]);
    refused!(rehearsed(&house, owners(editors).preview_clamp(boss, vec![])).await, ServiceError::Forbidden(_));
    refused!(
        rehearsed(&house, owners(editors).preview_clamp(editor, vec![low, high])).await,
        ServiceError::Forbidden(_)
    );
    assert_eq!(rehearsed(&house, roles(editors).preview_clamp(low, vec![])).await.unwrap(), takes(1, 1));

    let by_boss = Actor::Person(boss);
    let no_role = rehearsed(&house, roles(by_boss).preview_clamp(RoleId(4711), vec![])).await;
    refused!(no_role, ServiceError::NotFound("role"));
    let built_in = rehearsed(&house, roles(by_boss).preview_clamp(RoleId::SUPER_ADMIN, vec![])).await;
    refused!(built_in, ServiceError::Impossible(_));
    let odd = vec![Permission::new("a").when(ConditionClause::from_list(["no::such"]))];
    assert_eq!(paths(rehearsed(&house, roles(by_boss).preview_clamp(low, odd)).await), ["permissions.0.conditions.0"]);
    refused!(rehearsed(&house, owners(by_boss).preview_clamp(boss, vec![low])).await, ServiceError::LastSuperAdmin);
    let missing = rehearsed(&house, owners(by_boss).preview_clamp(editor, vec![low, RoleId(4711)])).await;
    assert_eq!(paths(missing), ["roles.1"]);
    let seen = roles(by_boss).read(low).await.unwrap().version();
    house.keyward.roles().set_permissions(low, permitted(&["a", "c"])).await.unwrap();
    let stale = roles(by_boss).if_version(seen);
    refused!(rehearsed(&house, stale.preview_clamp(low, vec![])).await, ServiceError::Changed("role"));
}

pub(crate) async fn tokens_are_counted_for_each_role(house: House) {
    let boss = house.boss().await;
    let (a, b) = (house.role("A", permitted(&["a"])).await, house.role("B", []).await);
    let nobodys = house.role("N", []).await;
    let (ada, bob) = (house.person("ada@x.test", &[a, b]).await, house.person("bob@x.test", &[b]).await);
    let own = token(&house, "1", ada, &["a"]).await;
    token(&house, "2", bob, &[]).await;
    token(&house, "3", bob, &[]).await;
    house.sign_in("bob@x.test").await;
    let expected = [(RoleId::SUPER_ADMIN, 0), (a, 1), (b, 3), (nobodys, 0)];
    let counted = async |actor| house.keyward.roles().acting_as(actor).tokens_of_members().await;
    for actor in [Actor::Service, Actor::Person(boss), Actor::Person(bob)] {
        assert_eq!(counted(actor).await.unwrap(), expected);
    }
    let of_each = async |actor| house.keyward.owners().acting_as(actor).tokens_of(&[bob, boss]).await;
    assert_eq!(of_each(Actor::Person(bob)).await.unwrap(), of_each(Actor::Service).await.unwrap());
    for actor in [Actor::Token(own.id), Actor::Visitor] {
        refused!(counted(actor).await, ServiceError::Forbidden(_));
        refused!(of_each(actor).await, ServiceError::Forbidden(_));
    }
}

pub(crate) async fn tokens_of_one_person_are_for_them_and_super_admins(house: House) {
    let boss = house.boss().await;
    let role = house.role("A", permitted(&["a", "admin::admin-tokens.read"])).await;
    let (ada, bob) = (house.person("ada@x.test", &[role]).await, house.person("bob@x.test", &[role]).await);
    let second = token(&house, "b", ada, &["a"]).await;
    let first = token(&house, "a", ada, &[]).await;
    token(&house, "c", bob, &[]).await;
    let session = house.sign_in("ada@x.test").await.session.token.id;
    let tokens = |actor| house.keyward.tokens().acting_as(actor);
    let of = async |actor, owner, kind| -> Result<Vec<TokenId>, ServiceError> {
        let listed = tokens(actor).list(&TokenQuery { owner: Some(owner), ..TokenQuery::of(kind) }).await?.items;
        assert!(listed.iter().all(|t| t.owner.as_ref().is_some_and(|o| o.id == owner)));
        Ok(listed.iter().map(|t| t.token.id).collect())
    };
    for actor in [Actor::Service, Actor::Person(boss), Actor::Person(ada), Actor::Token(first.id)] {
        assert_eq!(of(actor, ada, TokenKind::Admin).await.unwrap(), [first.id, second.id], "{actor:?}");
    }
    for actor in [Actor::Person(bob), Actor::Visitor] {
        refused!(of(actor, ada, TokenKind::Admin).await, ServiceError::Forbidden(_));
    }
    refused!(of(Actor::Token(first.id), bob, TokenKind::Admin).await, ServiceError::Forbidden(_));
    refused!(of(Actor::Person(bob), OwnerId(4711), TokenKind::Admin).await, ServiceError::Forbidden(_));
    refused!(of(Actor::Person(boss), OwnerId(4711), TokenKind::Admin).await, ServiceError::NotFound("owner"));
    // Sessions are private, from super admins too.
    assert_eq!(of(Actor::Person(ada), ada, TokenKind::Session).await.unwrap(), [session]);
    for actor in [Actor::Person(boss), Actor::Token(first.id)] {
        refused!(of(actor, ada, TokenKind::Session).await, ServiceError::Forbidden(_));
    }
}
