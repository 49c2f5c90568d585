//! no-escalation and token-gains-nothing (`docs/invariants.md`): an actor gives no account more permissions than it has; a token changes
//! no account.

use crate::people::setup::{PASSWORD, Setup, assert_rejected, password};
use keyward::admin::{Actor, OwnerState, OwnerUpdate, Owners, ServiceError};
use keyward::authz::{ConditionClause, HAS_SAME_ROLE_AS_CREATOR, IS_CREATOR};
use keyward::{Grant, NewAdminToken, NewOwner, OwnerId, Permission, RoleId};

fn none() -> OwnerUpdate {
    OwnerUpdate::default()
}

fn every_change() -> Vec<OwnerUpdate> {
    vec![
        OwnerUpdate { email: Some("mine@x.test".into()), ..none() },
        OwnerUpdate { firstname: Some("X".into()), ..none() },
        OwnerUpdate { active: Some(false), ..none() },
        OwnerUpdate { blocked: Some(true), ..none() },
        OwnerUpdate { roles: Some(vec![]), ..none() },
        OwnerUpdate { password: Some(password("Taken0ver")), ..none() },
    ]
}

fn owners(setup: &Setup, actor: OwnerId) -> Owners {
    setup.keyward.owners().acting_as(Actor::Person(actor))
}

pub(crate) async fn account_with_more_permissions_is_not_changed(setup: Setup) {
    let super_admin = setup.super_admin().await;
    let (low, high) = (setup.role("L", ["a".into()]).await, setup.role("H", ["a".into(), "b".into()]).await);
    let editor = setup.person("editor@x.test", &[low]).await;
    let chief = setup.person("chief@x.test", &[high]).await;
    let peer = setup.person("peer@x.test", &[low]).await;
    let invited = setup.invite("strong@x.test", &[high]).await.owner.id;
    let before = setup.events().await.len();
    for stronger in [super_admin, chief, invited] {
        for change in every_change() {
            assert_rejected!(owners(&setup, editor).update(stronger, change).await, ServiceError::Forbidden(_));
        }
        assert_rejected!(owners(&setup, editor).delete(stronger).await, ServiceError::Forbidden(_));
        assert_rejected!(owners(&setup, editor).invite_again(stronger).await, ServiceError::Forbidden(_));
    }
    assert_eq!(setup.events().await.len(), before);
    for change in every_change() {
        let credentials = change.email.is_some() || change.password.is_some();
        let changed = owners(&setup, chief).update(peer, change.clone()).await;
        match credentials {
            // An active account changes them itself.
            true => assert_rejected!(changed, ServiceError::Forbidden(_)),
            false => drop(changed.unwrap()),
        }
        owners(&setup, super_admin).update(peer, change).await.unwrap();
    }
    owners(&setup, chief).delete(peer).await.unwrap();
}

pub(crate) async fn actor_grants_only_own_permissions(setup: Setup) {
    setup.super_admin().await;
    let own = |action: &str| Permission::new(action).on("article").when(ConditionClause::from_list([IS_CREATOR]));
    let (low, high) = (setup.role("L", ["a".into(), own("read")]).await, setup.role("H", ["b".into()]).await);
    let all = setup.role("All", [Permission::new("read").on("article")]).await;
    let empty = setup.role("Empty", []).await;
    let part = setup.role("Part", ["a".into()]).await;
    let editor = setup.person("editor@x.test", &[low]).await;
    let weak = setup.person("weak@x.test", &[]).await;
    let editors = owners(&setup, editor);
    for role in [RoleId::SUPER_ADMIN, high, all] {
        let new = NewOwner::new("new@x.test").roles([role]);
        assert_rejected!(editors.create(new.clone()).await, ServiceError::Exceeds(_));
        assert_rejected!(editors.invite(new).await, ServiceError::Exceeds(_));
        assert_rejected!(editors.set_roles(weak, vec![low, role]).await, ServiceError::Exceeds(_));
    }
    // An actor who may not read roles learns nothing about their permissions.
    match editors.create(NewOwner::new("new@x.test").roles([high])).await {
        Err(ServiceError::Exceeds(problems)) => {
            assert!(problems.len() == 1 && !problems[0].message.contains(" hold "), "{problems:?}");
        }
        other => panic!("{other:?}"),
    }
    editors.set_roles(weak, vec![low]).await.unwrap();
    editors.set_roles(weak, vec![]).await.unwrap();
    editors.set_roles(weak, vec![part, empty]).await.unwrap();
    let invited = editors.invite(NewOwner::new("new@x.test").roles([low])).await.unwrap();
    let again = editors.invite_again(invited.owner.id).await.unwrap();
    setup.accept(&again.secret).await.unwrap();
}

pub(crate) async fn actor_does_not_change_own_roles(setup: Setup) {
    setup.super_admin().await;
    let low = setup.role("L", ["a".into()]).await;
    let empty = setup.role("Empty", []).await;
    let editor = setup.person("editor@x.test", &[low]).await;
    let editors = owners(&setup, editor);
    for roles in [vec![low, RoleId::SUPER_ADMIN], vec![low, empty], vec![empty]] {
        assert_rejected!(editors.set_roles(editor, roles).await, ServiceError::Forbidden(_) | ServiceError::Exceeds(_));
    }
    // A stolen session must not become a stolen account.
    for update in [
        OwnerUpdate { password: Some(password("Taken0ver")), ..none() },
        OwnerUpdate { email: Some("mine@x.test".into()), ..none() },
    ] {
        assert_rejected!(editors.update(editor, update).await, ServiceError::Forbidden(_));
    }
    let same = OwnerUpdate { email: Some("editor@x.test".into()), firstname: Some("E".into()), ..none() };
    editors.update(editor, same).await.unwrap();
    editors.set_roles(editor, vec![]).await.unwrap();
    setup.sign_in("editor@x.test").await;
}

/// Rows are shared by role and owned by people: another role or another person sees other rows.
pub(crate) async fn actor_cannot_control_an_account_that_sees_other_rows(setup: Setup) {
    setup.super_admin().await;
    let shared = Permission::new("read").on("article").when(ConditionClause::from_list([HAS_SAME_ROLE_AS_CREATOR]));
    let low = setup.role("L", [shared]).await;
    let team = setup.role("Team", []).await;
    let editor = setup.person("editor@x.test", &[low]).await;
    let peer = setup.person("peer@x.test", &[low]).await;
    let editors = owners(&setup, editor);
    let controlled = NewOwner::new("controlled@x.test").roles([low, team]);
    assert_rejected!(editors.invite(controlled).await, ServiceError::Forbidden(_));
    assert_rejected!(editors.set_roles(peer, vec![low, team]).await, ServiceError::Forbidden(_));
    for update in [
        OwnerUpdate { password: Some(password("Taken0ver")), ..none() },
        OwnerUpdate { email: Some("mine@x.test".into()), ..none() },
    ] {
        assert_rejected!(editors.update(peer, update).await, ServiceError::Forbidden(_));
    }
    editors.update(peer, OwnerUpdate { firstname: Some("P".into()), ..none() }).await.unwrap();
    editors.set_state(peer, OwnerState::Deactivated).await.unwrap();
    let invited = setup.invite("controlled@x.test", &[low, team]).await.owner.id;
    assert_rejected!(editors.invite_again(invited).await, ServiceError::Forbidden(_));
}

pub(crate) async fn tokens_and_anonymous_callers_change_no_account(setup: Setup) {
    let super_admin = setup.super_admin().await;
    let weak = setup.person("weak@x.test", &[]).await;
    let new = NewAdminToken::new("deploy", super_admin).grants([Grant::new("admin::users.update")]);
    let token = setup.keyward.tokens().issue_admin(new).await.unwrap().token.id;
    let before = setup.events().await;
    for actor in [Actor::Token(token), Actor::Visitor] {
        let owners = || setup.keyward.owners().acting_as(actor);
        for target in [super_admin, weak] {
            for change in every_change() {
                assert_rejected!(owners().update(target, change).await, ServiceError::Forbidden(_));
            }
            assert_rejected!(owners().delete(target).await, ServiceError::Forbidden(_));
            assert_rejected!(owners().invite_again(target).await, ServiceError::Forbidden(_));
            assert_rejected!(owners().set_password(target, password(PASSWORD)).await, ServiceError::Forbidden(_));
        }
        assert_rejected!(owners().create(NewOwner::new("n@x.test")).await, ServiceError::Forbidden(_));
        assert_rejected!(owners().invite(NewOwner::new("n@x.test")).await, ServiceError::Forbidden(_));
    }
    assert_eq!(setup.events().await, before);
}
