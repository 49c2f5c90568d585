//! Previews of the grants that a change would remove, and the tokens of a person.

use crate::people::setup::{Setup, paths, refused};
use keyward::store::{TokenQuery, WriteStore};
use keyward::{
    Clamped, Digest, Doer, Grant, Kind, NewAdminToken, OwnerId, Permission, RoleId, ServiceError, Token, TokenId, When,
};

fn permitted(actions: &[&str]) -> Vec<Permission> {
    actions.iter().map(|a| Permission::new(*a)).collect()
}

fn takes(tokens: u64, grants: u64) -> Clamped {
    Clamped { tokens, grants, permissions: 0 }
}

async fn token<S: WriteStore>(setup: &Setup<S>, name: &str, owner: OwnerId, actions: &[&str]) -> Token {
    let new = NewAdminToken::new(name, owner).grants(actions.iter().map(|a| Grant::new(*a)));
    setup.keyward.tokens().issue_admin(new).await.unwrap().token
}

/// Returns the result of a preview and asserts that it left no event, no change and no lock.
async fn rehearsed<S: WriteStore, T>(setup: &Setup<S>, call: impl Future<Output = T>) -> T {
    let sequence = async || setup.keyward.store().resolve(&Digest::Native([0; 27])).await.unwrap().seq;
    let before = sequence().await;
    let (answer, events) = setup.during(call).await;
    assert!(events.is_empty(), "{events:?}");
    assert_eq!(sequence().await, before);
    drop(setup.keyward.store().begin().await.unwrap());
    answer
}

pub(crate) async fn preview_of_a_smaller_role_counts_lost_grants<S: WriteStore>(setup: Setup<S>) {
    let boss = setup.boss().await;
    let role = setup.role("R", permitted(&["a", "b", "c"])).await;
    let other = setup.role("O", permitted(&["b"])).await;
    let (ada, bob) = (setup.person("ada@x.test", &[role]).await, setup.person("bob@x.test", &[role, other]).await);
    let chief = setup.person("chief@x.test", &[role, RoleId::SUPER_ADMIN]).await;
    token(&setup, "1", ada, &["a", "b", "c"]).await;
    let kept = token(&setup, "2", ada, &["a"]).await;
    let held = token(&setup, "3", bob, &["b", "c"]).await;
    token(&setup, "4", chief, &["b", "z"]).await;
    let roles = || setup.keyward.roles().by(Doer::Person(boss));
    let before = roles().read(role).await.unwrap();
    for (actions, expected) in [
        (&["a", "b", "c"][..], takes(0, 0)),
        (&["a", "b", "c", "d"], takes(0, 0)),
        (&["a", "b"], takes(2, 2)),
        (&["a", "c"], takes(1, 1)),
        (&["a"], takes(2, 3)),
        (&[], takes(3, 5)),
    ] {
        let told = rehearsed(&setup, roles().would_clamp(role, permitted(actions))).await.unwrap();
        assert_eq!(told, expected, "{actions:?}");
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

pub(crate) async fn preview_of_fewer_roles_counts_lost_grants<S: WriteStore>(setup: Setup<S>) {
    let boss = setup.boss().await;
    let (a, b) = (setup.role("A", permitted(&["a", "x"])).await, setup.role("B", permitted(&["b", "x"])).await);
    let ada = setup.person("ada@x.test", &[a, b]).await;
    token(&setup, "1", ada, &["a", "b", "x"]).await;
    token(&setup, "2", ada, &["b"]).await;
    token(&setup, "of another owner", setup.person("bob@x.test", &[b]).await, &["b"]).await;
    let owners = || setup.keyward.owners().by(Doer::Person(boss));
    for (roles, expected) in [
        (vec![a, b], takes(0, 0)),
        (vec![b, a, b], takes(0, 0)),
        (vec![a], takes(2, 2)),
        (vec![b], takes(1, 1)),
        (vec![], takes(2, 4)),
    ] {
        assert_eq!(rehearsed(&setup, owners().would_clamp(ada, roles.clone())).await.unwrap(), expected, "{roles:?}");
    }
    assert_eq!(setup.owner(ada).await.roles, [a, b]);
}

pub(crate) async fn preview_applies_the_rules_of_the_change<S: WriteStore>(setup: Setup<S>) {
    let boss = setup.boss().await;
    let (low, high) = (setup.role("L", permitted(&["a"])).await, setup.role("H", permitted(&["b"])).await);
    let editor = setup.person("editor@x.test", &[low]).await;
    let token = token(&setup, "t", editor, &["a"]).await;
    let roles = |doer| setup.keyward.roles().by(doer);
    let owners = |doer| setup.keyward.owners().by(doer);
    for doer in [Doer::Token(token.id), Doer::Visitor] {
        refused!(rehearsed(&setup, roles(doer).would_clamp(low, vec![])).await, ServiceError::Forbidden(_));
        refused!(rehearsed(&setup, owners(doer).would_clamp(editor, vec![])).await, ServiceError::Forbidden(_));
    }
    let editors = Doer::Person(editor);
    refused!(rehearsed(&setup, roles(editors).would_clamp(high, vec![])).await, ServiceError::Forbidden(_));
    let more = permitted(&["a", "b"]);
    assert_eq!(paths(rehearsed(&setup, roles(editors).would_clamp(low, more)).await), ["permissions.1"]);
    refused!(rehearsed(&setup, owners(editors).would_clamp(boss, vec![])).await, ServiceError::Forbidden(_));
    refused!(rehearsed(&setup, owners(editors).would_clamp(editor, vec![low, high])).await, ServiceError::Forbidden(_));
    assert_eq!(rehearsed(&setup, roles(editors).would_clamp(low, vec![])).await.unwrap(), takes(1, 1));

    let by_boss = Doer::Person(boss);
    let no_role = rehearsed(&setup, roles(by_boss).would_clamp(RoleId(4711), vec![])).await;
    refused!(no_role, ServiceError::NotFound("role"));
    let built_in = rehearsed(&setup, roles(by_boss).would_clamp(RoleId::SUPER_ADMIN, vec![])).await;
    refused!(built_in, ServiceError::Impossible(_));
    let odd = vec![Permission::new("a").when(When::from_list(["no::such"]))];
    assert_eq!(paths(rehearsed(&setup, roles(by_boss).would_clamp(low, odd)).await), ["permissions.0.conditions.0"]);
    refused!(rehearsed(&setup, owners(by_boss).would_clamp(boss, vec![low])).await, ServiceError::LastSuperAdmin);
    let missing = rehearsed(&setup, owners(by_boss).would_clamp(editor, vec![low, RoleId(4711)])).await;
    assert_eq!(paths(missing), ["roles.1"]);
    let seen = roles(by_boss).read(low).await.unwrap().version();
    setup.keyward.roles().set_permissions(low, permitted(&["a", "c"])).await.unwrap();
    let stale = roles(by_boss).only_if(seen);
    refused!(rehearsed(&setup, stale.would_clamp(low, vec![])).await, ServiceError::Changed("role"));
}

pub(crate) async fn tokens_are_counted_per_role<S: WriteStore>(setup: Setup<S>) {
    let boss = setup.boss().await;
    let (a, b) = (setup.role("A", permitted(&["a"])).await, setup.role("B", []).await);
    let unused = setup.role("N", []).await;
    let (ada, bob) = (setup.person("ada@x.test", &[a, b]).await, setup.person("bob@x.test", &[b]).await);
    let own = token(&setup, "1", ada, &["a"]).await;
    token(&setup, "2", bob, &[]).await;
    token(&setup, "3", bob, &[]).await;
    setup.sign_in("bob@x.test").await;
    let expected = [(RoleId::SUPER_ADMIN, 0), (a, 1), (b, 3), (unused, 0)];
    let counted = async |doer| setup.keyward.roles().by(doer).tokens_of_members().await;
    for doer in [Doer::Service, Doer::Person(boss), Doer::Person(bob)] {
        assert_eq!(counted(doer).await.unwrap(), expected);
    }
    let of_each = async |doer| setup.keyward.owners().by(doer).tokens_of(&[bob, boss]).await;
    assert_eq!(of_each(Doer::Person(bob)).await.unwrap(), of_each(Doer::Service).await.unwrap());
    for doer in [Doer::Token(own.id), Doer::Visitor] {
        refused!(counted(doer).await, ServiceError::Forbidden(_));
        refused!(of_each(doer).await, ServiceError::Forbidden(_));
    }
}

pub(crate) async fn tokens_of_a_person_are_listed_for_that_person_and_super_admins<S: WriteStore>(setup: Setup<S>) {
    let boss = setup.boss().await;
    let role = setup.role("A", permitted(&["a", "admin::admin-tokens.read"])).await;
    let (ada, bob) = (setup.person("ada@x.test", &[role]).await, setup.person("bob@x.test", &[role]).await);
    let second = token(&setup, "b", ada, &["a"]).await;
    let first = token(&setup, "a", ada, &[]).await;
    token(&setup, "c", bob, &[]).await;
    let session = setup.sign_in("ada@x.test").await.session.token.id;
    let tokens = |doer| setup.keyward.tokens().by(doer);
    let of = async |doer, owner, kind| -> Result<Vec<TokenId>, ServiceError> {
        let listed = tokens(doer).list(&TokenQuery { owner: Some(owner), ..TokenQuery::of(kind) }).await?.items;
        assert!(listed.iter().all(|t| t.owner.as_ref().is_some_and(|o| o.id == owner)));
        Ok(listed.iter().map(|t| t.token.id).collect())
    };
    for doer in [Doer::Service, Doer::Person(boss), Doer::Person(ada), Doer::Token(first.id)] {
        assert_eq!(of(doer, ada, Kind::Admin).await.unwrap(), [first.id, second.id], "{doer:?}");
    }
    for doer in [Doer::Person(bob), Doer::Visitor] {
        refused!(of(doer, ada, Kind::Admin).await, ServiceError::Forbidden(_));
    }
    refused!(of(Doer::Token(first.id), bob, Kind::Admin).await, ServiceError::Forbidden(_));
    refused!(of(Doer::Person(bob), OwnerId(4711), Kind::Admin).await, ServiceError::Forbidden(_));
    refused!(of(Doer::Person(boss), OwnerId(4711), Kind::Admin).await, ServiceError::NotFound("owner"));
    // Sessions are private, also from super admins.
    assert_eq!(of(Doer::Person(ada), ada, Kind::Session).await.unwrap(), [session]);
    for doer in [Doer::Person(boss), Doer::Token(first.id)] {
        refused!(of(doer, ada, Kind::Session).await, ServiceError::Forbidden(_));
    }
}
