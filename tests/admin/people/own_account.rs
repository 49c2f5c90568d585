//! Changes that people make to their own account.

use crate::people::setup::{PASSWORD, Setup, assert_rejected, ip, password, paths};
use keyward::admin::{Actor, AuditAction, ProfileUpdate, ServiceError};
use keyward::authz::{ConditionClause, IS_CREATOR};
use keyward::token::ContentAccess;
use keyward::{Grant, NewAdminToken, NewContentToken, Permission};

const NEW: &str = "N3w-password";

fn none() -> ProfileUpdate {
    ProfileUpdate::default()
}

pub(crate) async fn own_name_changes_without_a_password(setup: Setup) {
    let ada = setup.person("ada@x.test", &[]).await;
    let session = setup.sign_in("ada@x.test").await.session;
    let me = || setup.keyward.sessions().acting_as(Actor::Person(ada));
    let update = ProfileUpdate {
        firstname: Some(" Ada ".into()),
        username: Some(Some("countess".into())),
        email: Some("ada@x.test".into()),
        ..none()
    };
    let (owner, events) = setup.during(me().update_me(update.clone())).await;
    let owner = owner.unwrap();
    assert_eq!((owner.firstname.as_str(), owner.username.as_deref()), ("Ada", Some("countess")));
    let [event] = &events[..] else { panic!("{events:?}") };
    assert_eq!((event.what, event.origin.actor), (AuditAction::OwnerUpdated, Actor::Person(ada)));
    let expected = serde_json::json!({
        "firstname": {"before": "", "after": "Ada"}, "username": {"before": null, "after": "countess"},
    });
    assert_eq!(event.details, expected);
    setup.does(&[], me().update_me(update)).await;
    assert!(setup.lives(&session.secret).await);
    let wrong = ProfileUpdate { firstname: Some("a\nb".into()), lastname: Some("x".repeat(256)), ..none() };
    assert_eq!(paths(me().update_me(wrong).await), ["firstname", "lastname"]);
    let me = me();
    let nameless = ProfileUpdate { username: Some(None), ..none() };
    assert_eq!(setup.does(&[AuditAction::OwnerUpdated], me.update_me(nameless)).await.username, None);
    assert_eq!(me.me().await.unwrap().0.id, ada);
}

pub(crate) async fn own_address_and_password_change_only_with_the_password(setup: Setup) {
    let ada = setup.person("ada@x.test", &[]).await;
    setup.person("bob@x.test", &[]).await;
    let me = || setup.keyward.sessions().acting_as(Actor::Person(ada));
    let (here, there) = (setup.sign_in("ada@x.test").await.session, setup.sign_in("ada@x.test").await.session);
    let changed = |current: Option<&str>| ProfileUpdate {
        password: Some(password(NEW)),
        current_password: current.map(password),
        ..none()
    };
    let moved = |to: &str, current: &str| ProfileUpdate {
        email: Some(to.into()),
        current_password: Some(password(current)),
        ..none()
    };
    assert_eq!(paths(me().update_me(changed(None)).await), ["current_password"]);
    assert_eq!(paths(me().update_me(changed(Some("wrong"))).await), ["current_password"]);
    assert_eq!(paths(me().update_me(moved("new@x.test", NEW)).await), ["current_password"]);
    assert_rejected!(
        me().update_me(moved("BOB@x.test", PASSWORD)).await,
        ServiceError::Taken { field: keyward::admin::FieldName::Email, .. }
    );
    let weak = ProfileUpdate { password: Some(password("ada")), ..changed(Some(PASSWORD)) };
    assert_eq!(paths(me().update_me(weak).await), ["password"; 3]);
    assert!(setup.lives(&here.secret).await);

    setup.does(&[AuditAction::PasswordSet], me().update_me(changed(Some(PASSWORD)))).await;
    assert!(!setup.lives(&here.secret).await && !setup.lives(&there.secret).await);
    assert_rejected!(setup.try_sign_in("ada@x.test", PASSWORD, None).await, ServiceError::WrongCredentials);
    let session = setup.try_sign_in("ada@x.test", NEW, None).await.unwrap().session;
    setup.does(&[AuditAction::OwnerUpdated], me().update_me(moved("new@x.test", NEW))).await;
    assert!(!setup.lives(&session.secret).await);
    let both = ProfileUpdate { password: Some(password(PASSWORD)), ..moved("ada@x.test", NEW) };
    setup.does(&[AuditAction::OwnerUpdated, AuditAction::PasswordSet], me().update_me(both)).await;
    setup.sign_in("ada@x.test").await;
}

pub(crate) async fn guesses_at_the_own_password_are_limited(setup: Setup) {
    let ada = setup.person("ada@x.test", &[]).await;
    let me = || setup.keyward.sessions().acting_as(Actor::Person(ada)).from_address(ip(1));
    let guess = |typed: &str| ProfileUpdate {
        password: Some(password(NEW)),
        current_password: Some(password(typed)),
        ..none()
    };
    for _ in 0..5 {
        assert_eq!(paths(me().update_me(guess("wrong")).await), ["current_password"]);
    }
    assert_rejected!(me().update_me(guess(PASSWORD)).await, ServiceError::TooManyAttempts(_));
    assert_rejected!(setup.try_sign_in("ada@x.test", PASSWORD, ip(1)).await, ServiceError::TooManyAttempts(_));
}

pub(crate) async fn token_changes_nothing_of_its_owner(setup: Setup) {
    let super_admin = setup.super_admin().await;
    let new = NewAdminToken::new("deploy", super_admin).grants([Grant::new("read")]);
    let token = Actor::Token(setup.keyward.tokens().issue_admin(new).await.unwrap().token.id);
    let content = NewContentToken::new("site", ContentAccess::FullAccess);
    let content = Actor::Token(setup.keyward.tokens().issue_content(content).await.unwrap().token.id);
    let sessions = |actor| setup.keyward.sessions().acting_as(actor);
    let (owner, roles) = sessions(token).me().await.unwrap();
    assert_eq!((owner.id, roles.len()), (super_admin, 1));
    let update = ProfileUpdate { firstname: Some("X".into()), current_password: Some(password(PASSWORD)), ..none() };
    for actor in [token, content, Actor::Visitor, Actor::Service] {
        let (answer, events) = setup.during(sessions(actor).update_me(update.clone())).await;
        assert_rejected!(answer, ServiceError::Forbidden(_));
        assert!(events.is_empty());
    }
    for actor in [content, Actor::Visitor] {
        assert_rejected!(sessions(actor).me().await, ServiceError::Forbidden(_));
        assert_rejected!(sessions(actor).permissions().await, ServiceError::Forbidden(_));
    }
}

pub(crate) async fn account_lists_its_own_permissions(setup: Setup) {
    let own = ConditionClause::from_list([IS_CREATOR]);
    let read = || Permission::new("read").on("article").when(own.clone());
    let role = setup.role("Editor", [read(), "write".into()]).await;
    let ada = setup.person("ada@x.test", &[role]).await;
    let new = NewAdminToken::new("deploy", ada).grants([Grant::new("read").on("article")]);
    let token = setup.keyward.tokens().issue_admin(new).await.unwrap().token.id;
    let sessions = |actor| setup.keyward.sessions().acting_as(actor);
    assert_eq!(sessions(Actor::Person(ada)).permissions().await.unwrap().len(), 2);
    assert_eq!(sessions(Actor::Token(token)).permissions().await.unwrap(), [read()]);
}
