//! I19 and I7: nobody makes themselves or anybody else stronger than they are, and a token nobody at all.

use crate::house::{House, PASSWORD, password, refused};
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

fn owners(house: &House, actor: OwnerId) -> Owners {
    house.keyward.owners().acting_as(Actor::Person(actor))
}

pub(crate) async fn nobody_touches_the_stronger(house: House) {
    let boss = house.boss().await;
    let (low, high) = (house.role("L", ["a".into()]).await, house.role("H", ["a".into(), "b".into()]).await);
    let editor = house.person("editor@x.test", &[low]).await;
    let chief = house.person("chief@x.test", &[high]).await;
    let peer = house.person("peer@x.test", &[low]).await;
    let invited = house.invite("strong@x.test", &[high]).await.owner.id;
    let before = house.events().await.len();
    for stronger in [boss, chief, invited] {
        for change in every_change() {
            refused!(owners(&house, editor).update(stronger, change).await, ServiceError::Forbidden(_));
        }
        refused!(owners(&house, editor).delete(stronger).await, ServiceError::Forbidden(_));
        refused!(owners(&house, editor).invite_again(stronger).await, ServiceError::Forbidden(_));
    }
    assert_eq!(house.events().await.len(), before);
    for change in every_change() {
        let credentials = change.email.is_some() || change.password.is_some();
        let changed = owners(&house, chief).update(peer, change.clone()).await;
        match credentials {
            // An account that was used changes them itself.
            true => refused!(changed, ServiceError::Forbidden(_)),
            false => drop(changed.unwrap()),
        }
        owners(&house, boss).update(peer, change).await.unwrap();
    }
    owners(&house, chief).delete(peer).await.unwrap();
}

pub(crate) async fn nobody_gives_more_than_they_hold(house: House) {
    house.boss().await;
    let own = |action: &str| Permission::new(action).on("article").when(ConditionClause::from_list([IS_CREATOR]));
    let (low, high) = (house.role("L", ["a".into(), own("read")]).await, house.role("H", ["b".into()]).await);
    let all = house.role("All", [Permission::new("read").on("article")]).await;
    let empty = house.role("Empty", []).await;
    let part = house.role("Part", ["a".into()]).await;
    let editor = house.person("editor@x.test", &[low]).await;
    let weak = house.person("weak@x.test", &[]).await;
    let editors = owners(&house, editor);
    for role in [RoleId::SUPER_ADMIN, high, all] {
        let new = NewOwner::new("new@x.test").roles([role]);
        refused!(editors.create(new.clone()).await, ServiceError::Exceeds(_));
        refused!(editors.invite(new).await, ServiceError::Exceeds(_));
        refused!(editors.set_roles(weak, vec![low, role]).await, ServiceError::Exceeds(_));
    }
    // What a role holds is not told to an actor who may not read roles.
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
    house.accept(&again.secret).await.unwrap();
}

pub(crate) async fn nobody_gives_themselves_a_role(house: House) {
    house.boss().await;
    let low = house.role("L", ["a".into()]).await;
    let empty = house.role("Empty", []).await;
    let editor = house.person("editor@x.test", &[low]).await;
    let editors = owners(&house, editor);
    for roles in [vec![low, RoleId::SUPER_ADMIN], vec![low, empty], vec![empty]] {
        refused!(editors.set_roles(editor, roles).await, ServiceError::Forbidden(_) | ServiceError::Exceeds(_));
    }
    // A session that is stolen for a moment is no account that is stolen for good.
    for update in [
        OwnerUpdate { password: Some(password("Taken0ver")), ..none() },
        OwnerUpdate { email: Some("mine@x.test".into()), ..none() },
    ] {
        refused!(editors.update(editor, update).await, ServiceError::Forbidden(_));
    }
    let same = OwnerUpdate { email: Some("editor@x.test".into()), firstname: Some("E".into()), ..none() };
    editors.update(editor, same).await.unwrap();
    editors.set_roles(editor, vec![]).await.unwrap();
    house.sign_in("editor@x.test").await;
}

/// Rows are shared by role and owned by people: a role more, or another person, are other rows.
pub(crate) async fn nobody_becomes_somebody_who_sees_other_rows(house: House) {
    house.boss().await;
    let shared = Permission::new("read").on("article").when(ConditionClause::from_list([HAS_SAME_ROLE_AS_CREATOR]));
    let low = house.role("L", [shared]).await;
    let team = house.role("Team", []).await;
    let editor = house.person("editor@x.test", &[low]).await;
    let peer = house.person("peer@x.test", &[low]).await;
    let editors = owners(&house, editor);
    let puppet = NewOwner::new("puppet@x.test").roles([low, team]);
    refused!(editors.invite(puppet).await, ServiceError::Forbidden(_));
    refused!(editors.set_roles(peer, vec![low, team]).await, ServiceError::Forbidden(_));
    for update in [
        OwnerUpdate { password: Some(password("Taken0ver")), ..none() },
        OwnerUpdate { email: Some("mine@x.test".into()), ..none() },
    ] {
        refused!(editors.update(peer, update).await, ServiceError::Forbidden(_));
    }
    editors.update(peer, OwnerUpdate { firstname: Some("P".into()), ..none() }).await.unwrap();
    editors.set_state(peer, OwnerState::Deactivated).await.unwrap();
    let invited = house.invite("puppet@x.test", &[low, team]).await.owner.id;
    refused!(editors.invite_again(invited).await, ServiceError::Forbidden(_));
}

pub(crate) async fn tokens_and_visitors_change_nobody(house: House) {
    let boss = house.boss().await;
    let weak = house.person("weak@x.test", &[]).await;
    let new = NewAdminToken::new("deploy", boss).grants([Grant::new("admin::users.update")]);
    let token = house.keyward.tokens().issue_admin(new).await.unwrap().token.id;
    let before = house.events().await;
    for actor in [Actor::Token(token), Actor::Visitor] {
        let owners = || house.keyward.owners().acting_as(actor);
        for target in [boss, weak] {
            for change in every_change() {
                refused!(owners().update(target, change).await, ServiceError::Forbidden(_));
            }
            refused!(owners().delete(target).await, ServiceError::Forbidden(_));
            refused!(owners().invite_again(target).await, ServiceError::Forbidden(_));
            refused!(owners().set_password(target, password(PASSWORD)).await, ServiceError::Forbidden(_));
        }
        refused!(owners().create(NewOwner::new("n@x.test")).await, ServiceError::Forbidden(_));
        refused!(owners().invite(NewOwner::new("n@x.test")).await, ServiceError::Forbidden(_));
    }
    assert_eq!(house.events().await, before);
}
