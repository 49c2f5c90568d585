//! The first super admin, and invited accounts.

use crate::people::setup::{PASSWORD, Setup, assert_rejected, password, paths, registration};
use keyward::RoleId;
use keyward::admin::{Actor, AuditAction, FirstAdmin, OwnerState, OwnerUpdate, Registration, ServiceError};
use std::time::Duration;

fn first(email: &str) -> FirstAdmin {
    FirstAdmin {
        email: email.into(),
        firstname: "Ada".into(),
        lastname: " Lovelace ".into(),
        username: Some(String::new()),
        password: password(PASSWORD),
    }
}

pub(crate) async fn first_super_admin_needs_the_setup_code(setup: Setup) {
    let sessions = || setup.keyward.sessions().acting_as(Actor::Visitor);
    let invented = "kw_invite_0000000000000000000000000000000000000000000000000";
    assert_eq!(paths(sessions().register_first(first("ada@x.test"), Some(invented)).await), ["setup_code"]);
    assert_rejected!(sessions().setup_code().await, ServiceError::Forbidden(_));
    let code = setup.keyward.sessions().setup_code().await.unwrap().unwrap();
    let again = setup.keyward.sessions().setup_code().await.unwrap().unwrap();
    assert_eq!(code.expose(), again.expose());
    for wrong in [None, Some(""), Some(invented), Some(&code.expose()[1..])] {
        assert_eq!(paths(sessions().register_first(first("ada@x.test"), wrong).await), ["setup_code"]);
    }
    let all_wrong = FirstAdmin { firstname: "\u{7}".into(), password: password("weak"), ..first("ada") };
    let wrong = paths(sessions().register_first(all_wrong, Some(code.expose())).await);
    assert_eq!(wrong, ["firstname", "email", "password", "password", "password"]);
    assert!(setup.events().await.is_empty());

    let visitor = sessions();
    let call = visitor.register_first(first(" ada@x.test "), Some(code.expose()));
    let ada = setup.does(&[AuditAction::OwnerCreated], call).await;
    assert!(setup.lives(&ada.session.secret).await);
    assert_eq!(
        (ada.owner.email.as_str(), ada.owner.lastname.as_str(), &ada.owner.username),
        ("ada@x.test", "Lovelace", &None)
    );
    assert_eq!((ada.owner.state, &ada.owner.roles[..]), (OwnerState::Active, &[RoleId::SUPER_ADMIN][..]));
    assert_rejected!(
        sessions().register_first(first("b@x.test"), Some(code.expose())).await,
        ServiceError::Impossible(_)
    );
    assert!(setup.keyward.sessions().setup_code().await.unwrap().is_none());
    setup.sign_in("ada@x.test").await;
}

pub(crate) async fn only_one_account_becomes_first_super_admin(setup: Setup) {
    let code = setup.keyward.sessions().setup_code().await.unwrap().unwrap();
    let sessions = setup.keyward.sessions().acting_as(Actor::Visitor);
    let (a, b) = tokio::join!(
        sessions.register_first(first("a@x.test"), Some(code.expose())),
        sessions.register_first(first("b@x.test"), Some(code.expose())),
    );
    assert_eq!(usize::from(a.is_ok()) + usize::from(b.is_ok()), 1);
    assert_rejected!(if a.is_err() { a } else { b }, ServiceError::Impossible(_) | ServiceError::Invalid(_));
    assert_eq!(setup.events().await.len(), 1);
}

#[tokio::test]
async fn open_setup_accepts_the_first_visitor() {
    let clock = std::sync::Arc::new(keyward::testing::ManualClock::default());
    let store = keyward::MemoryStore::with_clock(clock.clone());
    let setup = Setup::on(store, clock, |b| b.allow_open_setup());
    let sessions = || setup.keyward.sessions().acting_as(Actor::Visitor);
    for elsewhere in [None, Some("evil.test"), Some("localhost.evil.test"), Some("")] {
        let refused = sessions().register_first_at(elsewhere, first("a@x.test"), None).await;
        assert_eq!(paths(refused), ["setup_code"], "{elsewhere:?}");
    }
    assert!(setup.events().await.is_empty());
    sessions().register_first_at(Some("localhost:8080"), first("a@x.test"), None).await.unwrap();
}

#[tokio::test]
async fn open_setup_needs_the_code_under_another_host_name() {
    let clock = std::sync::Arc::new(keyward::testing::ManualClock::default());
    let store = keyward::MemoryStore::with_clock(clock.clone());
    let setup = Setup::on(store, clock, |b| b.allow_open_setup());
    let code = setup.keyward.sessions().setup_code().await.unwrap().unwrap();
    let sessions = setup.keyward.sessions().acting_as(Actor::Visitor);
    sessions.register_first_at(Some("keys.example.test"), first("a@x.test"), Some(code.expose())).await.unwrap();
}

pub(crate) async fn invitation_is_accepted_once(setup: Setup) {
    let role = setup.role("Editor", ["read".into()]).await;
    let invited = setup.invite("new@x.test", &[role]).await;
    assert_eq!((invited.owner.state, &invited.owner.roles[..]), (OwnerState::Invited, &[role][..]));
    let sessions = || setup.keyward.sessions().acting_as(Actor::Visitor);
    assert_eq!(sessions().invited(invited.secret.expose()).await.unwrap().email, "new@x.test");
    assert_eq!(paths(sessions().invited("kw_invite_made_up").await), ["invitation"]);
    let weak = Registration { password: password("new@x.test"), ..registration(&invited.secret) };
    assert_eq!(paths(setup.keyward.sessions().register(weak).await), ["password"; 3]);
    let (a, b) = tokio::join!(setup.accept(&invited.secret), setup.accept(&invited.secret));
    assert_eq!(usize::from(a.is_ok()) + usize::from(b.is_ok()), 1);
    let (accepted, late) = match (a, b) {
        (Ok(a), b) => (a, b),
        (a, b) => (b.unwrap(), a),
    };
    assert_eq!(paths(late), ["invitation"]);
    assert_eq!(paths(setup.accept(&invited.secret).await), ["invitation"]);
    assert_eq!(paths(sessions().invited(invited.secret.expose()).await), ["invitation"]);
    assert_eq!((accepted.owner.state, accepted.owner.firstname.as_str()), (OwnerState::Active, "New"));
    assert!(setup.lives(&accepted.session.secret).await);
    let registered = setup.events().await.iter().filter(|e| e.what == AuditAction::OwnerRegistered).count();
    assert_eq!(registered, 1);
    setup.sign_in("new@x.test").await;
    assert_rejected!(setup.keyward.owners().invite_again(accepted.owner.id).await, ServiceError::Impossible(_));
}

pub(crate) async fn replaced_withdrawn_or_expired_invitation_is_rejected(setup: Setup) {
    let owners = setup.keyward.owners();
    let older = setup.invite("new@x.test", &[]).await;
    let id = older.owner.id;
    let again = async || setup.does(&[AuditAction::OwnerInvitedAgain], owners.invite_again(id)).await;
    let newer = again().await;
    assert_eq!(paths(setup.accept(&older.secret).await), ["invitation"], "replaced");
    let withdraw = OwnerUpdate { active: Some(false), ..OwnerUpdate::default() };
    let left = setup.does(&[AuditAction::InvitationWithdrawn], owners.update(id, withdraw.clone())).await;
    assert_eq!(left.state, OwnerState::Invited);
    setup.does(&[], owners.update(id, withdraw)).await;
    assert_eq!(paths(setup.accept(&newer.secret).await), ["invitation"], "withdrawn");

    let moved = again().await;
    let elsewhere = OwnerUpdate { email: Some("right@x.test".into()), ..OwnerUpdate::default() };
    setup.does(&[AuditAction::OwnerUpdated], owners.update(id, elsewhere)).await;
    assert_eq!(paths(setup.accept(&moved.secret).await), ["invitation"], "the invitation went to another address");

    let over = again().await;
    setup.clock.advance(Duration::from_secs(7 * 24 * 60 * 60));
    assert_eq!(paths(setup.accept(&over.secret).await), ["invitation"], "over");
    let stranger = over.secret.expose().replace("invite", "session");
    for unknown in ["", "kw_invite_", &stranger, &over.secret.expose()[..59]] {
        let unknown = Registration { invitation: unknown.into(), ..registration(&over.secret) };
        assert_eq!(paths(setup.keyward.sessions().register(unknown).await), ["invitation"]);
    }
    owners.delete(id).await.unwrap();
    assert_eq!(paths(setup.accept(&over.secret).await), ["invitation"], "gone");

    let good = setup.invite("good@x.test", &[]).await;
    setup.clock.advance(Duration::from_secs(7 * 24 * 60 * 60 - 1));
    setup.accept(&good.secret).await.unwrap();
}

pub(crate) async fn invited_account_is_not_activated_by_others(setup: Setup) {
    let invited = setup.invite("new@x.test", &[]).await;
    let owners = setup.keyward.owners();
    let update = |update| owners.update(invited.owner.id, update);
    let none = OwnerUpdate::default;
    assert_eq!(paths(update(OwnerUpdate { active: Some(true), ..none() }).await), ["active"]);
    assert_eq!(paths(update(OwnerUpdate { blocked: Some(true), ..none() }).await), ["blocked"]);
    assert_eq!(paths(update(OwnerUpdate { password: Some(password(PASSWORD)), ..none() }).await), ["password"]);
    let unchanged = OwnerUpdate { blocked: Some(false), ..none() };
    setup.does(&[], update(unchanged)).await;
    setup.accept(&invited.secret).await.unwrap();
}
