//! An update with a stale version is rejected.

use crate::people::setup::{PASSWORD, Setup, assert_rejected, password, paths};
use keyward::admin::{
    Actor, AuditAction, NewSession, OwnerState, OwnerUpdate, Owners, ProfileUpdate, Roles, ServiceError, TokenUpdate,
    Tokens,
};
use keyward::store::Use;
use keyward::token::{ContentAccess, Token};
use keyward::{Grant, NewAdminToken, NewContentToken, NewOwner, NewRole, OwnerId, Permission};
use std::time::Duration;

fn named(name: &str) -> TokenUpdate {
    TokenUpdate { name: Some(name.into()), ..TokenUpdate::default() }
}

fn described(text: &str) -> keyward::admin::RoleUpdate {
    keyward::admin::RoleUpdate { description: Some(text.into()), ..keyward::admin::RoleUpdate::default() }
}

fn called(name: &str) -> OwnerUpdate {
    OwnerUpdate { firstname: Some(name.into()), ..OwnerUpdate::default() }
}

fn permitted(actions: &[&str]) -> Vec<Permission> {
    actions.iter().map(|a| Permission::new(*a)).collect()
}

async fn token(setup: &Setup, owner: OwnerId, actions: &[&str]) -> Token {
    let new = NewAdminToken::new("deploy", owner).grants(actions.iter().map(|a| Grant::new(*a)));
    setup.keyward.tokens().issue_admin(new).await.unwrap().token
}

fn services(setup: &Setup, actor: OwnerId) -> (Tokens, Roles, Owners) {
    let (keyward, actor) = (&setup.keyward, Actor::Person(actor));
    (keyward.tokens().acting_as(actor), keyward.roles().acting_as(actor), keyward.owners().acting_as(actor))
}

/// Asserts that an update is rejected as stale and changes nothing.
macro_rules! too_late {
    ($setup:expr, $what:literal, $call:expr) => {
        let (answer, events) = $setup.during($call).await;
        assert_rejected!(answer, ServiceError::Changed($what));
        assert!(events.is_empty(), "{events:?}");
    };
}

pub(crate) async fn second_update_of_the_same_version_is_rejected(setup: Setup) {
    let super_admin = setup.super_admin().await;
    let (tokens, roles, owners) = services(&setup, super_admin);

    let seen = token(&setup, super_admin, &["a"]).await;
    let (id, version) = (seen.id, seen.version());
    let now = tokens.clone().if_version(version).update(id, named("first")).await.unwrap();
    too_late!(setup, "token", tokens.clone().if_version(version).update(id, named("second")));
    too_late!(setup, "token", tokens.clone().if_version(version).regenerate(id));
    too_late!(setup, "token", tokens.clone().if_version(version).revoke(id));
    assert_eq!(tokens.read(id).await.unwrap().token.version(), now.token.version());
    let regenerated = tokens.clone().if_version(now.token.version()).regenerate(id).await.unwrap();
    assert!(setup.lives(&regenerated.secret).await);
    too_late!(setup, "token", tokens.clone().if_version(now.token.version()).regenerate(id));
    too_late!(setup, "token", tokens.clone().if_version(now.token.version()).update(id, named("second")));
    assert!(setup.lives(&regenerated.secret).await);
    tokens.clone().if_version(regenerated.token.version()).revoke(id).await.unwrap();
    assert_rejected!(
        tokens.clone().if_version(version).update(id, named("second")).await,
        ServiceError::NotFound("token")
    );

    let seen = roles.create(NewRole::new("R").permissions(permitted(&["a"]))).await.unwrap();
    let (id, version) = (seen.id, seen.version());
    let now = roles.clone().if_version(version).update(id, described("first")).await.unwrap();
    too_late!(setup, "role", roles.clone().if_version(version).update(id, described("second")));
    too_late!(setup, "role", roles.clone().if_version(version).set_permissions(id, vec![]));
    too_late!(setup, "role", roles.clone().if_version(version).delete(id));
    assert_eq!(roles.read(id).await.unwrap(), now);

    let seen = setup.owner(setup.person("ada@x.test", &[]).await).await;
    let (id, version) = (seen.id, seen.version());
    let now = owners.clone().if_version(version).update(id, called("First")).await.unwrap();
    too_late!(setup, "owner", owners.clone().if_version(version).update(id, called("Second")));
    too_late!(setup, "owner", owners.clone().if_version(version).set_state(id, OwnerState::Blocked));
    too_late!(setup, "owner", owners.clone().if_version(version).delete(id));
    let own = setup.keyward.sessions().acting_as(Actor::Person(id)).if_version(version);
    let profile = ProfileUpdate { lastname: Some("Second".into()), ..ProfileUpdate::default() };
    too_late!(setup, "owner", own.update_me(profile));
    assert_eq!(setup.owner(id).await, now);
}

pub(crate) async fn any_change_in_between_makes_an_update_stale(setup: Setup) {
    let super_admin = setup.super_admin().await;
    let (tokens, roles, owners) = services(&setup, super_admin);
    let role = setup.role("R", permitted(&["a", "b"])).await;
    let ada = setup.person("ada@x.test", &[role]).await;

    // A grant that a smaller role removed stays removed, although the form still has it ticked.
    let seen = token(&setup, ada, &["a", "b"]).await;
    roles.set_permissions(role, permitted(&["a"])).await.unwrap();
    let grants = TokenUpdate { grants: Some(seen.grants().to_vec()), ..named("new") };
    too_late!(setup, "token", tokens.clone().if_version(seen.version()).update(seen.id, grants));
    let now = tokens.read(seen.id).await.unwrap().token;
    assert_eq!((now.name.as_str(), now.grants()), ("deploy", &[Grant::new("a")][..]));
    owners.set_roles(ada, vec![]).await.unwrap();
    too_late!(setup, "token", tokens.clone().if_version(now.version()).update(seen.id, named("new")));

    // A change that was undone makes no version stale.
    let now = tokens.read(seen.id).await.unwrap().token;
    tokens.update(seen.id, named("fro")).await.unwrap();
    tokens.update(seen.id, named("deploy")).await.unwrap();
    tokens.clone().if_version(now.version()).update(seen.id, named("new")).await.unwrap();

    let site = NewContentToken::new("site", ContentAccess::ReadOnly);
    let site = tokens.issue_content(site).await.unwrap().token;
    let wider = TokenUpdate { access: Some(ContentAccess::FullAccess), ..TokenUpdate::default() };
    tokens.update(site.id, wider).await.unwrap();
    too_late!(setup, "token", tokens.clone().if_version(site.version()).update(site.id, named("new")));
}

pub(crate) async fn last_use_and_password_do_not_make_an_update_stale(setup: Setup) {
    let super_admin = setup.super_admin().await;
    let (tokens, _, owners) = services(&setup, super_admin);
    let seen = token(&setup, super_admin, &["a"]).await;
    setup.clock.advance(Duration::from_secs(60));
    let used = Use {
        token: seen.id,
        digest: seen.digest,
        at: keyward::time::Clock::now(&*setup.clock),
        address: None,
        tool: None,
    };
    setup.keyward.store().note_uses(&[used]).await.unwrap();
    assert!(tokens.read(seen.id).await.unwrap().token.last_used_at.is_some());
    tokens.if_version(seen.version()).update(seen.id, named("new")).await.unwrap();

    let seen = setup.owner(setup.person("ada@x.test", &[]).await).await;
    setup.keyward.owners().set_password(seen.id, password(PASSWORD)).await.unwrap();
    owners.if_version(seen.version()).update(seen.id, called("Ada")).await.unwrap();
}

pub(crate) async fn role_update_is_atomic(setup: Setup) {
    let super_admin = setup.super_admin().await;
    let (_, roles, _) = services(&setup, super_admin);
    let role = setup.role("R", permitted(&["a", "b"])).await;
    token(&setup, setup.person("ada@x.test", &[role]).await, &["a", "b"]).await;
    let all = keyward::admin::RoleUpdate {
        name: Some(" S ".into()),
        description: Some("smaller".into()),
        permissions: Some(permitted(&["a"])),
    };
    let expected = [AuditAction::RoleUpdated, AuditAction::RolePermissionsSet, AuditAction::GrantClamped];
    let now = setup.does(&expected, roles.update(role, all.clone())).await;
    assert_eq!((now.name.as_str(), now.description.as_str()), ("S", "smaller"));
    assert_eq!(now.permissions, permitted(&["a"]));
    setup.does(&[], roles.update(role, all)).await;

    // If one part is invalid, nothing is changed.
    let odd = Permission::new("c").when(keyward::authz::ConditionClause::from_list(["no::such"]));
    let update = keyward::admin::RoleUpdate { permissions: Some(vec![odd]), ..described("other") };
    let (answer, events) = setup.during(roles.update(role, update)).await;
    assert_eq!(paths(answer), ["permissions.0.conditions.0"]);
    assert!(events.is_empty());
    setup.role("Taken", []).await;
    let update =
        keyward::admin::RoleUpdate { name: Some("Taken".into()), permissions: Some(vec![]), description: None };
    assert_rejected!(
        roles.update(role, update).await,
        ServiceError::Taken { field: keyward::admin::FieldName::Name, .. }
    );
    assert_eq!(roles.read(role).await.unwrap(), now);
}

pub(crate) async fn stale_version_is_not_reported_without_permission(setup: Setup) {
    let super_admin = setup.super_admin().await;
    let low = setup.role("L", permitted(&["a"])).await;
    let high = setup.keyward.roles().create(NewRole::new("H").permissions(permitted(&["b"]))).await.unwrap();
    let editor = setup.person("editor@x.test", &[low]).await;
    let (tokens, roles, owners) = services(&setup, editor);
    let (seen, person) = (token(&setup, super_admin, &["a"]).await, setup.owner(super_admin).await);
    let (_, by_super_admin, _) = services(&setup, super_admin);
    setup.keyward.tokens().update(seen.id, named("other")).await.unwrap();
    by_super_admin.update(high.id, described("other")).await.unwrap();
    setup.keyward.owners().update(super_admin, called("Other")).await.unwrap();
    let call = tokens.if_version(seen.version()).update(seen.id, named("x")).await;
    assert_rejected!(call, ServiceError::Forbidden(_));
    assert_rejected!(
        roles.if_version(high.version()).update(high.id, described("x")).await,
        ServiceError::Forbidden(_)
    );
    assert_rejected!(
        owners.if_version(person.version()).update(super_admin, called("X")).await,
        ServiceError::Forbidden(_)
    );
}

pub(crate) async fn unchecked_version_is_rejected(setup: Setup) {
    let super_admin = setup.super_admin().await;
    let (tokens, roles, owners) = services(&setup, super_admin);
    let version = setup.owner(super_admin).await.version();
    let (answer, events) = setup
        .during(async {
            assert_rejected!(
                tokens.if_version(version).issue_admin(NewAdminToken::new("x", super_admin)).await,
                ServiceError::Impossible(_)
            );
            assert_rejected!(roles.if_version(version).create(NewRole::new("x")).await, ServiceError::Impossible(_));
            assert_rejected!(
                owners.if_version(version).create(NewOwner::new("x@x.test")).await,
                ServiceError::Impossible(_)
            );
            let session =
                NewSession { owner: super_admin, idle: Duration::from_secs(120), lifespan: Duration::from_secs(120) };
            setup.keyward.tokens().if_version(version).open_session(session).await
        })
        .await;
    assert_rejected!(answer, ServiceError::Impossible(_));
    assert!(events.is_empty());
}
