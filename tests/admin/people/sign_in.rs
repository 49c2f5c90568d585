//! Signing in and out.

use crate::people::setup::{PASSWORD, Setup, assert_rejected, ip, password};
use keyward::admin::{Actor, AuditAction, AuditTarget, OwnerState, ServiceError};
use keyward::token::TokenKind;
use keyward::{NewAdminToken, NewOwner};
use std::time::Duration;

const WINDOW: Duration = Duration::from_secs(300);

pub(crate) async fn person_signs_in_and_out(setup: Setup) {
    let super_admin = setup.super_admin().await;
    let (signed_in, events) = setup.during(setup.try_sign_in(" ROOT@example.test ", PASSWORD, ip(1))).await;
    let signed_in = signed_in.unwrap();
    let [event] = &events[..] else { panic!("{events:?}") };
    assert_eq!(
        (event.what, event.origin.actor, event.origin.address),
        (AuditAction::SignedIn, Actor::Person(super_admin), ip(1))
    );
    assert_eq!(event.target, AuditTarget::Token(signed_in.session.token.id, TokenKind::Session));
    assert_eq!((signed_in.owner.id, signed_in.session.token.owner()), (super_admin, Some(super_admin)));
    assert!(setup.lives(&signed_in.session.secret).await);

    let id = signed_in.session.token.id;
    setup
        .does(&[AuditAction::SignedOut], setup.keyward.sessions().acting_as(Actor::Person(super_admin)).sign_out(id))
        .await;
    assert!(!setup.lives(&signed_in.session.secret).await);
}

pub(crate) async fn failed_sign_in_does_not_reveal_the_reason(setup: Setup) {
    setup.super_admin().await;
    for (email, state) in [
        ("off@x.test", OwnerState::Deactivated),
        ("out@x.test", OwnerState::Blocked),
        ("both@x.test", OwnerState::DeactivatedAndBlocked),
    ] {
        let id = setup.person(email, &[]).await;
        setup.keyward.owners().set_state(id, state).await.unwrap();
    }
    setup.invite("invited@x.test", &[]).await;
    setup.keyward.owners().create(NewOwner::new("without@x.test")).await.unwrap();
    let cases =
        ["off@x.test", "out@x.test", "both@x.test", "invited@x.test", "without@x.test", "nobody@x.test", "", "\0@"];
    for email in cases {
        let (answer, events) = setup.during(setup.try_sign_in(email, PASSWORD, None)).await;
        assert_rejected!(answer, ServiceError::WrongCredentials);
        assert!(events.is_empty());
    }
    for typed in ["passw0rd!", "", &"Passw0rd!".repeat(1000)] {
        assert_rejected!(setup.try_sign_in("root@example.test", typed, None).await, ServiceError::WrongCredentials);
    }
}

pub(crate) async fn guesses_are_limited_alike_for_known_and_unknown_addresses(setup: Setup) {
    setup.super_admin().await;
    for email in ["root@example.test", "nobody@example.test"] {
        for _ in 0..5 {
            assert_rejected!(setup.try_sign_in(email, "wrong", ip(1)).await, ServiceError::WrongCredentials);
        }
        match setup.try_sign_in(email, PASSWORD, ip(1)).await {
            Err(ServiceError::TooManyAttempts(wait)) => assert_eq!(wait, WINDOW, "{email}"),
            other => panic!("{email}: {other:?}"),
        }
    }
    setup.try_sign_in("root@example.test", PASSWORD, ip(2)).await.unwrap();
    setup.clock.advance(WINDOW - Duration::from_millis(1));
    assert_rejected!(setup.try_sign_in("root@example.test", PASSWORD, ip(1)).await, ServiceError::TooManyAttempts(_));
    setup.clock.advance(Duration::from_millis(1));
    setup.try_sign_in("root@example.test", PASSWORD, ip(1)).await.unwrap();
}

pub(crate) async fn concurrent_guesses_count(setup: Setup) {
    setup.super_admin().await;
    let guesses = (0..20).map(|_| setup.try_sign_in("root@example.test", "wrong", ip(1)));
    let answers = futures_util::future::join_all(guesses).await;
    let looked_at = answers.iter().filter(|a| matches!(a, Err(ServiceError::WrongCredentials))).count();
    let refused = answers.iter().filter(|a| matches!(a, Err(ServiceError::TooManyAttempts(_)))).count();
    assert_eq!((looked_at, refused), (5, 15));
}

pub(crate) async fn success_resets_failures(setup: Setup) {
    setup.super_admin().await;
    for _ in 0..3 {
        for _ in 0..4 {
            assert_rejected!(
                setup.try_sign_in("root@example.test", "wrong", ip(1)).await,
                ServiceError::WrongCredentials
            );
        }
        setup.try_sign_in("root@example.test", PASSWORD, ip(1)).await.unwrap();
    }
}

pub(crate) async fn failures_are_counted_in_aggregate(setup: Setup) {
    let super_admin = setup.super_admin().await;
    let before = setup.events().await.len();
    for (email, typed) in
        [("root@example.test", "Hunter2-typed"), ("who@typed.test", "Hunter2-typed"), ("who@typed.test", "x")]
    {
        assert_rejected!(setup.try_sign_in(email, typed, ip(1)).await, ServiceError::WrongCredentials);
    }
    assert_eq!(setup.events().await.len(), before, "failures are written in the background");
    setup.keyward.flush().await;
    setup.keyward.flush().await;
    let events = setup.events().await.split_off(before);
    let [event] = &events[..] else { panic!("{events:?}") };
    assert_eq!(
        (event.what, event.target, event.origin.actor),
        (AuditAction::SignInsFailed, AuditTarget::Installation, Actor::Visitor)
    );
    let details = |part: &str| event.details[part].clone();
    assert_eq!((details("count"), details("accounts")), (3.into(), 2.into()));
    assert_eq!(details("users"), serde_json::json!([{"id": super_admin, "count": 1}]), "only the existing account");
    assert_eq!(details("addresses"), serde_json::json!([{"address": ip(1).unwrap().to_string(), "count": 3}]));
    assert!(!event.details.to_string().contains("test\""), "the typed address is not recorded");
    let role = setup.role("R", ["admin::audit-logs.read".into()]).await;
    let reader = setup.person("reader@x.test", &[role]).await;
    let query = keyward::store::EventQuery {
        actions: Some(vec![AuditAction::SignInsFailed]),
        ..keyward::store::EventQuery::all(keyward::store::Paging::FIRST)
    };
    let page = setup.keyward.audit().acting_as(Actor::Person(reader)).list(&query).await.unwrap();
    let details = page.items[0].1.details.as_object().unwrap();
    let shown: Vec<&str> = details.keys().map(String::as_str).collect();
    assert_eq!(shown, ["accounts", "count", "throttled"], "only readers who may list users see the accounts");
}

pub(crate) async fn person_sees_and_ends_only_own_sessions(setup: Setup) {
    let super_admin = setup.super_admin().await;
    let ada = setup.person("ada@x.test", &[]).await;
    let (here, there) = (setup.sign_in("ada@x.test").await, setup.sign_in("ada@x.test").await);
    let others = setup.sign_in("root@example.test").await;
    let sessions = || setup.keyward.sessions().acting_as(Actor::Person(ada));
    let listed: Vec<_> = sessions().list().await.unwrap().into_iter().map(|t| t.id).collect();
    assert_eq!(listed, [here.session.token.id, there.session.token.id]);
    assert_rejected!(sessions().revoke(others.session.token.id).await, ServiceError::NotFound(_));
    setup.does(&[AuditAction::SignedOut], sessions().revoke(there.session.token.id)).await;
    assert!(setup.lives(&here.session.secret).await && !setup.lives(&there.session.secret).await);

    let token = NewAdminToken::new("deploy", super_admin).grants([keyward::Grant::new("any")]);
    let token = setup.keyward.tokens().issue_admin(token).await.unwrap().token.id;
    assert_rejected!(sessions().sign_out(token).await, ServiceError::NotFound(_));
    for actor in [Actor::Token(token), Actor::Visitor, Actor::Service] {
        let sessions = || setup.keyward.sessions().acting_as(actor);
        assert_rejected!(sessions().list().await, ServiceError::Forbidden(_));
        assert_rejected!(sessions().sign_out(others.session.token.id).await, ServiceError::Forbidden(_));
        assert_rejected!(sessions().revoke(others.session.token.id).await, ServiceError::Forbidden(_));
    }
    let by_token = setup.keyward.sessions().acting_as(Actor::Token(token));
    assert_rejected!(by_token.sign_in("ada@x.test", &password(PASSWORD)).await, ServiceError::Forbidden(_));

    setup.clock.advance(Duration::from_secs(2 * 60 * 60));
    assert!(sessions().list().await.unwrap().is_empty(), "the session was idle for too long");
}

/// Another password is set while one is being hashed: the sign-in with the former password fails.
pub(crate) async fn former_password_does_not_sign_in(setup: Setup) {
    let ada = setup.person("ada@x.test", &[]).await;
    let owners = setup.keyward.owners();
    let sign_in = || setup.try_sign_in("ada@x.test", PASSWORD, None);
    let (a, _, b, c, d) =
        tokio::join!(sign_in(), owners.set_password(ada, password("N3w-password")), sign_in(), sign_in(), sign_in());
    for answer in [a, b, c, d] {
        match answer {
            Ok(signed_in) => assert!(!setup.lives(&signed_in.session.secret).await, "it was opened before, and ended"),
            Err(error) => assert!(matches!(error, ServiceError::WrongCredentials), "{error:?}"),
        }
    }
}

/// Sends fifty wrong guesses from ten addresses that are not the owner's.
async fn guess_elsewhere(setup: &Setup, email: &str) {
    for n in 10..20 {
        for _ in 0..5 {
            assert_rejected!(setup.try_sign_in(email, "wrong", ip(n)).await, ServiceError::WrongCredentials);
        }
    }
}

#[tokio::test]
async fn guesses_from_other_addresses_do_not_lock_out_a_known_address() {
    let setup = crate::people::setup::in_memory();
    let super_admin = setup.super_admin().await;
    setup.try_sign_in("root@example.test", PASSWORD, ip(1)).await.unwrap();
    guess_elsewhere(&setup, "root@example.test").await;
    assert_rejected!(setup.try_sign_in("root@example.test", PASSWORD, ip(2)).await, ServiceError::TooManyAttempts(_));
    setup.try_sign_in("root@example.test", PASSWORD, ip(1)).await.unwrap();
    let update = keyward::admin::ProfileUpdate {
        password: Some(password("N3w-password")),
        current_password: Some(password(PASSWORD)),
        ..Default::default()
    };
    let elsewhere = setup.keyward.sessions().acting_as(Actor::Person(super_admin)).from_address(ip(3));
    elsewhere.update_me(update).await.unwrap();
    setup.try_sign_in("root@example.test", "N3w-password", ip(3)).await.unwrap();
    for _ in 0..5 {
        assert_rejected!(setup.try_sign_in("root@example.test", "wrong", ip(1)).await, ServiceError::WrongCredentials);
    }
    assert_rejected!(
        setup.try_sign_in("root@example.test", "N3w-password", ip(1)).await,
        ServiceError::TooManyAttempts(_)
    );
}
