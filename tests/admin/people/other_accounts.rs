//! Changes of other people's accounts.

use crate::people::setup::{PASSWORD, Setup, assert_rejected, password, paths};
use keyward::admin::{Actor, AuditAction, AuditCause, AuditTarget, Lifespan, OwnerState, OwnerUpdate, ServiceError};
use keyward::{Grant, NewAdminToken, NewOwner, RoleId};

const NEW: &str = "N3w-password";

fn none() -> OwnerUpdate {
    OwnerUpdate::default()
}

pub(crate) async fn each_change_has_one_event(setup: Setup) {
    let super_admin = setup.super_admin().await;
    let (a, b) = (setup.role("A", ["a".into()]).await, setup.role("B", ["b".into()]).await);
    let ada = setup.person("ada@x.test", &[b]).await;
    let owners = || setup.keyward.owners().acting_as(Actor::Person(super_admin));
    let everything = OwnerUpdate {
        email: Some(" ada@y.test ".into()),
        firstname: Some("Ada".into()),
        lastname: Some("".into()),
        username: Some(Some("ada".into())),
        active: Some(false),
        blocked: Some(true),
        roles: Some(vec![b, a, a]),
        password: Some(password(NEW)),
    };
    let (owner, events) = setup.during(owners().update(ada, everything.clone())).await;
    let owner = owner.unwrap();
    assert_eq!((owner.email.as_str(), owner.state), ("ada@y.test", OwnerState::DeactivatedAndBlocked));
    assert_eq!(owner.roles, [a, b]);
    let whats: Vec<_> = events.iter().map(|e| e.what).collect();
    assert_eq!(
        whats,
        [AuditAction::OwnerUpdated, AuditAction::OwnerStateSet, AuditAction::OwnerRolesSet, AuditAction::PasswordSet]
    );
    assert!(events.iter().all(|e| e.target == AuditTarget::Owner(ada) && e.origin.actor == Actor::Person(super_admin)));
    assert_eq!(events[0].details["email"], serde_json::json!({"before": "ada@x.test", "after": "ada@y.test"}));
    assert!(events[0].details.get("lastname").is_none());
    assert_eq!(events[1].details, serde_json::json!({"before": "active", "after": "deactivated-and-blocked"}));
    assert_eq!(events[2].details, serde_json::json!({"before": [b], "after": [a, b]}));
    setup.does(&[], owners().update(ada, OwnerUpdate { password: None, ..everything })).await;
    let owners = owners();
    let lift = OwnerUpdate { blocked: Some(false), ..none() };
    let lifted = setup.does(&[AuditAction::OwnerStateSet], owners.update(ada, lift)).await;
    assert_eq!(lifted.state, OwnerState::Deactivated);
    setup.does(&[AuditAction::OwnerCreated], owners.create(NewOwner::new("c@x.test"))).await;
    setup.does(&[AuditAction::OwnerInvited], owners.invite(NewOwner::new("i@x.test"))).await;
}

pub(crate) async fn all_invalid_fields_are_reported_at_once(setup: Setup) {
    let super_admin = setup.super_admin().await;
    let ada = setup.person("ada@x.test", &[]).await;
    let owners = || setup.keyward.owners().acting_as(Actor::Person(super_admin));
    let long = "x".repeat(256);
    let new = NewOwner::new("no address").named(&long, "a\u{0}b").roles([RoleId(77), RoleId(1), RoleId(78)]);
    let wrong = ["firstname", "lastname", "email", "roles.0", "roles.2"];
    assert_eq!(paths(owners().create(new.clone()).await), wrong);
    assert_eq!(paths(owners().invite(new).await), wrong);
    let update = OwnerUpdate {
        email: Some("a@b@c".into()),
        username: Some(Some(long)),
        roles: Some(vec![RoleId(77)]),
        password: Some(password("Passw0r")),
        ..none()
    };
    let (answer, events) = setup.during(owners().update(ada, update)).await;
    assert_eq!(paths(answer), ["username", "email", "password", "roles.0"]);
    assert!(events.is_empty());
    let too_long = format!("{}@x.test", "a".repeat(248));
    for email in ["", "@", "a@", "@b", "a b@c", "a@b\n c", "a\u{7f}@b", &too_long] {
        assert_eq!(paths(owners().create(NewOwner::new(email)).await), ["email"], "{email:?}");
    }
    owners().create(NewOwner::new(&too_long[1..])).await.unwrap();
    let taken = |email: &str| OwnerUpdate { email: Some(email.into()), ..none() };
    assert_rejected!(
        owners().create(NewOwner::new("ADA@x.test")).await,
        ServiceError::Taken { field: keyward::admin::FieldName::Email, .. }
    );
    assert_rejected!(
        owners().invite(NewOwner::new("ada@x.test")).await,
        ServiceError::Taken { field: keyward::admin::FieldName::Email, .. }
    );
    assert_rejected!(
        owners().update(ada, taken("ROOT@example.test")).await,
        ServiceError::Taken { field: keyward::admin::FieldName::Email, .. }
    );
    setup.does(&[], owners().update(ada, taken("ADA@x.test"))).await; // kept in lower case: no change
}

pub(crate) async fn ended_sessions_do_not_revive(setup: Setup) {
    setup.super_admin().await;
    let ada = setup.person("ada@x.test", &[]).await;
    let ends = [
        OwnerUpdate { active: Some(false), ..none() },
        OwnerUpdate { blocked: Some(true), ..none() },
        OwnerUpdate { password: Some(password(PASSWORD)), ..none() },
        OwnerUpdate { email: Some("ada@y.test".into()), ..none() },
    ];
    let back = OwnerUpdate { active: Some(true), blocked: Some(false), email: Some("ada@x.test".into()), ..none() };
    for end in ends {
        let session = setup.sign_in("ada@x.test").await.session;
        setup.keyward.owners().update(ada, end.clone()).await.unwrap();
        assert!(!setup.lives(&session.secret).await, "{end:?}");
        setup.keyward.owners().update(ada, back.clone()).await.unwrap();
        assert!(!setup.lives(&session.secret).await, "{end:?}");
    }
    let session = setup.sign_in("ada@x.test").await.session;
    let names = OwnerUpdate { firstname: Some("Ada".into()), active: Some(true), roles: Some(vec![]), ..none() };
    setup.keyward.owners().update(ada, names).await.unwrap();
    assert!(setup.lives(&session.secret).await);
}

pub(crate) async fn smaller_role_removes_grants(setup: Setup) {
    let super_admin = setup.super_admin().await;
    let (wide, narrow) = (setup.role("W", ["a".into(), "b".into()]).await, setup.role("N", ["a".into()]).await);
    let ada = setup.person("ada@x.test", &[wide]).await;
    let other = setup.person("other@x.test", &[RoleId::SUPER_ADMIN]).await;
    for (owner, grants) in [(ada, ["a", "b"]), (other, ["a", "z"])] {
        let new = NewAdminToken::new(format!("of {owner}"), owner).grants(grants.map(Grant::new));
        let id = setup.keyward.tokens().issue_admin(new.lifespan(Lifespan::Unlimited)).await.unwrap().token.id;
        let owners = setup.keyward.owners().acting_as(Actor::Person(super_admin));
        let (answer, events) = setup.during(owners.set_roles(owner, vec![narrow])).await;
        answer.unwrap();
        let [set, clamped] = &events[..] else { panic!("{events:?}") };
        assert_eq!((set.what, clamped.what), (AuditAction::OwnerRolesSet, AuditAction::GrantClamped));
        assert_eq!(clamped.cause, Some(AuditCause::OwnerRoles(owner)));
        assert_eq!(clamped.target, AuditTarget::Token(id, keyward::token::TokenKind::Admin));
        assert_eq!(clamped.details["action"], grants[1]);
    }
}

pub(crate) async fn last_super_admin_is_kept(setup: Setup) {
    let super_admin = setup.super_admin().await;
    let invited = setup.invite("second@x.test", &[RoleId::SUPER_ADMIN]).await.owner.id;
    let owners = || setup.keyward.owners();
    let ends = || {
        [
            OwnerUpdate { active: Some(false), ..none() },
            OwnerUpdate { blocked: Some(true), ..none() },
            OwnerUpdate { roles: Some(vec![]), ..none() },
        ]
    };
    for actor in [Actor::Service, Actor::Person(super_admin)] {
        for end in ends() {
            let (answer, events) = setup.during(owners().acting_as(actor).update(super_admin, end)).await;
            assert_rejected!(answer, ServiceError::LastSuperAdmin);
            assert!(events.is_empty());
        }
        assert_rejected!(owners().acting_as(actor).delete(super_admin).await, ServiceError::LastSuperAdmin);
        assert_rejected!(
            owners().acting_as(actor).set_state(super_admin, OwnerState::Blocked).await,
            ServiceError::LastSuperAdmin
        );
        assert_rejected!(owners().acting_as(actor).set_roles(super_admin, vec![]).await, ServiceError::LastSuperAdmin);
    }
    owners().delete(invited).await.unwrap();
    let off = setup.person("off@x.test", &[RoleId::SUPER_ADMIN]).await;
    owners().set_state(off, OwnerState::Deactivated).await.unwrap();
    assert_rejected!(owners().delete(super_admin).await, ServiceError::LastSuperAdmin);
    owners().set_state(off, OwnerState::Active).await.unwrap();
    owners().delete(super_admin).await.unwrap();
    assert_rejected!(owners().delete(off).await, ServiceError::LastSuperAdmin);
}

pub(crate) async fn concurrent_deletions_keep_one_super_admin(setup: Setup) {
    let a = setup.super_admin().await;
    let b = setup.person("b@x.test", &[RoleId::SUPER_ADMIN]).await;
    let (by_a, by_b) =
        (setup.keyward.owners().acting_as(Actor::Person(a)), setup.keyward.owners().acting_as(Actor::Person(b)));
    let (first, second) = tokio::join!(by_a.set_roles(b, vec![]), by_b.set_roles(a, vec![]));
    assert_eq!(usize::from(first.is_ok()) + usize::from(second.is_ok()), 1);
    let left = if first.is_ok() { a } else { b };
    assert!(setup.owner(left).await.is_super_admin());
    assert_rejected!(setup.keyward.owners().delete(left).await, ServiceError::LastSuperAdmin);
}

pub(crate) async fn deleted_account_takes_its_tokens_and_sessions(setup: Setup) {
    let super_admin = setup.super_admin().await;
    let role = setup.role("A", ["a".into()]).await;
    let ada = setup.person("ada@x.test", &[role]).await;
    let new = NewAdminToken::new("deploy", ada).grants([Grant::new("a")]);
    let token = setup.keyward.tokens().issue_admin(new).await.unwrap();
    let session = setup.sign_in("ada@x.test").await.session;
    let owners = setup.keyward.owners().acting_as(Actor::Person(super_admin));
    let (gone, events) = setup.during(owners.delete(ada)).await;
    assert_eq!(gone.unwrap().id, ada);
    let mut whats: Vec<_> = events.iter().map(|e| (e.what, e.cause)).collect();
    whats.sort_by_key(|(what, _)| *what != AuditAction::OwnerDeleted);
    assert_eq!(
        whats,
        [(AuditAction::OwnerDeleted, None), (AuditAction::TokenRevoked, Some(AuditCause::OwnerDeleted(ada)))]
    );
    let deleted = events.iter().find(|e| e.what == AuditAction::OwnerDeleted).unwrap();
    assert_eq!((&deleted.details["email"], &deleted.details["tokens"]), (&"ada@x.test".into(), &1.into()));
    assert!(!setup.lives(&token.secret).await && !setup.lives(&session.secret).await);
    assert_rejected!(owners.read(ada).await, ServiceError::NotFound(_));
    assert_rejected!(owners.delete(ada).await, ServiceError::NotFound(_));
    let next = setup.person("ada@x.test", &[role]).await;
    assert!(next > ada, "ids are not reused");
    assert!(setup.keyward.roles().delete(role).await.is_err(), "the role has members");
}

pub(crate) async fn only_the_host_sets_a_password_without_the_old_one(setup: Setup) {
    let super_admin = setup.super_admin().await;
    let ada = setup.person("ada@x.test", &[]).await;
    let session = setup.sign_in("ada@x.test").await.session;
    let by_super_admin = setup.keyward.owners().acting_as(Actor::Person(super_admin));
    assert_rejected!(by_super_admin.set_password(ada, password(NEW)).await, ServiceError::Forbidden(_));
    assert_eq!(paths(setup.keyward.owners().set_password(ada, password("weak")).await).len(), 3);
    setup.does(&[AuditAction::PasswordSet], setup.keyward.owners().set_password(ada, password(NEW))).await;
    assert!(!setup.lives(&session.secret).await);
    setup.try_sign_in("ada@x.test", NEW, None).await.unwrap();
    assert_rejected!(
        setup.keyward.owners().set_password(keyward::OwnerId(999), password(NEW)).await,
        ServiceError::NotFound(_)
    );
}

pub(crate) async fn debug_output_has_no_secret(setup: Setup) {
    setup.super_admin().await;
    let invited = setup.invite("new@x.test", &[]).await;
    let update = OwnerUpdate { password: Some(password("S3cretly-typed")), ..none() };
    let output = format!("{:?} {invited:?} {update:?}", crate::people::setup::registration(&invited.secret));
    let signed_in = setup.accept(&invited.secret).await.unwrap();
    setup.keyward.owners().update(signed_in.owner.id, update).await.unwrap();
    let again = setup.try_sign_in("new@x.test", "S3cretly-typed", None).await.unwrap();
    assert_rejected!(setup.try_sign_in("new@x.test", "S3cretly-wrong", None).await, ServiceError::WrongCredentials);
    setup.keyward.flush().await;
    let output = format!("{output} {signed_in:?} {again:?} {:?}", setup.events().await);
    let secrets = [PASSWORD, "S3cretly", invited.secret.expose(), again.session.secret.expose(), "$argon2"];
    for secret in secrets {
        assert!(!output.contains(secret), "{secret}");
    }
}
