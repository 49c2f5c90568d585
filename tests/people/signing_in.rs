//! Signing in and out.

use crate::house::{House, PASSWORD, ip, password, refused};
use keyward::admin::{Actor, AuditAction, AuditTarget, OwnerState, ServiceError};
use keyward::token::TokenKind;
use keyward::{NewAdminToken, NewOwner};
use std::time::Duration;

const WINDOW: Duration = Duration::from_secs(300);

pub(crate) async fn somebody_signs_in_and_out(house: House) {
    let boss = house.boss().await;
    let (signed_in, events) = house.during(house.try_sign_in(" BOSS@example.test ", PASSWORD, ip(1))).await;
    let signed_in = signed_in.unwrap();
    let [event] = &events[..] else { panic!("{events:?}") };
    assert_eq!(
        (event.what, event.origin.actor, event.origin.address),
        (AuditAction::SignedIn, Actor::Person(boss), ip(1))
    );
    assert_eq!(event.target, AuditTarget::Token(signed_in.session.token.id, TokenKind::Session));
    assert_eq!((signed_in.owner.id, signed_in.session.token.owner()), (boss, Some(boss)));
    assert!(house.lives(&signed_in.session.secret).await);

    let id = signed_in.session.token.id;
    house.does(&[AuditAction::SignedOut], house.keyward.sessions().acting_as(Actor::Person(boss)).sign_out(id)).await;
    assert!(!house.lives(&signed_in.session.secret).await);
}

pub(crate) async fn nobody_learns_why_somebody_cannot_sign_in(house: House) {
    house.boss().await;
    for (email, state) in [
        ("off@x.test", OwnerState::Deactivated),
        ("out@x.test", OwnerState::Blocked),
        ("both@x.test", OwnerState::DeactivatedAndBlocked),
    ] {
        let id = house.person(email, &[]).await;
        house.keyward.owners().set_state(id, state).await.unwrap();
    }
    house.invite("invited@x.test", &[]).await;
    house.keyward.owners().create(NewOwner::new("without@x.test")).await.unwrap();
    let cases =
        ["off@x.test", "out@x.test", "both@x.test", "invited@x.test", "without@x.test", "nobody@x.test", "", "\0@"];
    for email in cases {
        let (answer, events) = house.during(house.try_sign_in(email, PASSWORD, None)).await;
        refused!(answer, ServiceError::WrongCredentials);
        assert!(events.is_empty());
    }
    for typed in ["passw0rd!", "", &"Passw0rd!".repeat(1000)] {
        refused!(house.try_sign_in("boss@example.test", typed, None).await, ServiceError::WrongCredentials);
    }
}

pub(crate) async fn guesses_are_limited_alike(house: House) {
    house.boss().await;
    for email in ["boss@example.test", "nobody@example.test"] {
        for _ in 0..5 {
            refused!(house.try_sign_in(email, "wrong", ip(1)).await, ServiceError::WrongCredentials);
        }
        match house.try_sign_in(email, PASSWORD, ip(1)).await {
            Err(ServiceError::TooManyAttempts(wait)) => assert_eq!(wait, WINDOW, "{email}"),
            other => panic!("{email}: {other:?}"),
        }
    }
    house.try_sign_in("boss@example.test", PASSWORD, ip(2)).await.unwrap();
    house.clock.advance(WINDOW - Duration::from_millis(1));
    refused!(house.try_sign_in("boss@example.test", PASSWORD, ip(1)).await, ServiceError::TooManyAttempts(_));
    house.clock.advance(Duration::from_millis(1));
    house.try_sign_in("boss@example.test", PASSWORD, ip(1)).await.unwrap();
}

pub(crate) async fn guesses_at_the_same_time_count_too(house: House) {
    house.boss().await;
    let guesses = (0..20).map(|_| house.try_sign_in("boss@example.test", "wrong", ip(1)));
    let answers = futures_util::future::join_all(guesses).await;
    let looked_at = answers.iter().filter(|a| matches!(a, Err(ServiceError::WrongCredentials))).count();
    let refused = answers.iter().filter(|a| matches!(a, Err(ServiceError::TooManyAttempts(_)))).count();
    assert_eq!((looked_at, refused), (5, 15));
}

pub(crate) async fn a_success_forgets_failures(house: House) {
    house.boss().await;
    for _ in 0..3 {
        for _ in 0..4 {
            refused!(house.try_sign_in("boss@example.test", "wrong", ip(1)).await, ServiceError::WrongCredentials);
        }
        house.try_sign_in("boss@example.test", PASSWORD, ip(1)).await.unwrap();
    }
}

pub(crate) async fn failures_are_remembered_in_aggregate(house: House) {
    let boss = house.boss().await;
    let before = house.events().await.len();
    for (email, typed) in
        [("boss@example.test", "Hunter2-typed"), ("who@typed.test", "Hunter2-typed"), ("who@typed.test", "x")]
    {
        refused!(house.try_sign_in(email, typed, ip(1)).await, ServiceError::WrongCredentials);
    }
    assert_eq!(house.events().await.len(), before, "written behind");
    house.keyward.flush().await;
    house.keyward.flush().await;
    let events = house.events().await.split_off(before);
    let [event] = &events[..] else { panic!("{events:?}") };
    assert_eq!(
        (event.what, event.target, event.origin.actor),
        (AuditAction::SignInsFailed, AuditTarget::Installation, Actor::Visitor)
    );
    let details = |part: &str| event.details[part].clone();
    assert_eq!((details("count"), details("accounts")), (3.into(), 2.into()));
    assert_eq!(details("users"), serde_json::json!([{"id": boss, "count": 1}]), "the account that exists");
    assert_eq!(details("addresses"), serde_json::json!([{"address": ip(1).unwrap().to_string(), "count": 3}]));
    assert!(!event.details.to_string().contains("test\""), "never what was typed");
    let role = house.role("R", ["admin::audit-logs.read".into()]).await;
    let reader = house.person("reader@x.test", &[role]).await;
    let query = keyward::store::EventQuery {
        actions: Some(vec![AuditAction::SignInsFailed]),
        ..keyward::store::EventQuery::all(keyward::store::Paging::FIRST)
    };
    let page = house.keyward.audit().acting_as(Actor::Person(reader)).list(&query).await.unwrap();
    let details = page.items[0].1.details.as_object().unwrap();
    let shown: Vec<&str> = details.keys().map(String::as_str).collect();
    assert_eq!(shown, ["accounts", "count", "throttled"], "which accounts, only those see who may list users");
}

pub(crate) async fn sessions_are_ones_own(house: House) {
    let boss = house.boss().await;
    let ada = house.person("ada@x.test", &[]).await;
    let (here, there) = (house.sign_in("ada@x.test").await, house.sign_in("ada@x.test").await);
    let others = house.sign_in("boss@example.test").await;
    let sessions = || house.keyward.sessions().acting_as(Actor::Person(ada));
    let listed: Vec<_> = sessions().list().await.unwrap().into_iter().map(|t| t.id).collect();
    assert_eq!(listed, [here.session.token.id, there.session.token.id]);
    refused!(sessions().revoke(others.session.token.id).await, ServiceError::NotFound(_));
    house.does(&[AuditAction::SignedOut], sessions().revoke(there.session.token.id)).await;
    assert!(house.lives(&here.session.secret).await && !house.lives(&there.session.secret).await);

    let token = NewAdminToken::new("deploy", boss).grants([keyward::Grant::new("any")]);
    let token = house.keyward.tokens().issue_admin(token).await.unwrap().token.id;
    refused!(sessions().sign_out(token).await, ServiceError::NotFound(_));
    for actor in [Actor::Token(token), Actor::Visitor, Actor::Service] {
        let sessions = || house.keyward.sessions().acting_as(actor);
        refused!(sessions().list().await, ServiceError::Forbidden(_));
        refused!(sessions().sign_out(others.session.token.id).await, ServiceError::Forbidden(_));
        refused!(sessions().revoke(others.session.token.id).await, ServiceError::Forbidden(_));
    }
    let by_token = house.keyward.sessions().acting_as(Actor::Token(token));
    refused!(by_token.sign_in("ada@x.test", &password(PASSWORD)).await, ServiceError::Forbidden(_));

    house.clock.advance(Duration::from_secs(2 * 60 * 60));
    assert!(sessions().list().await.unwrap().is_empty(), "idle for too long");
}

/// While one password is being hashed, another is set: what the older one has proved does not count any more.
pub(crate) async fn an_older_password_opens_nothing(house: House) {
    let ada = house.person("ada@x.test", &[]).await;
    let owners = house.keyward.owners();
    let sign_in = || house.try_sign_in("ada@x.test", PASSWORD, None);
    let (a, _, b, c, d) =
        tokio::join!(sign_in(), owners.set_password(ada, password("N3w-password")), sign_in(), sign_in(), sign_in());
    for answer in [a, b, c, d] {
        match answer {
            Ok(signed_in) => assert!(!house.lives(&signed_in.session.secret).await, "it was opened before, and ended"),
            Err(error) => assert!(matches!(error, ServiceError::WrongCredentials), "{error:?}"),
        }
    }
}

/// Fifty wrong guesses, from ten addresses that are not the owner's.
async fn guess_elsewhere(house: &House, email: &str) {
    for n in 10..20 {
        for _ in 0..5 {
            refused!(house.try_sign_in(email, "wrong", ip(n)).await, ServiceError::WrongCredentials);
        }
    }
}

#[tokio::test]
async fn guesses_elsewhere_lock_out_no_owner_from_a_known_place() {
    let house = crate::house::in_memory();
    let boss = house.boss().await;
    house.try_sign_in("boss@example.test", PASSWORD, ip(1)).await.unwrap();
    guess_elsewhere(&house, "boss@example.test").await;
    refused!(house.try_sign_in("boss@example.test", PASSWORD, ip(2)).await, ServiceError::TooManyAttempts(_));
    house.try_sign_in("boss@example.test", PASSWORD, ip(1)).await.unwrap();
    let update = keyward::admin::ProfileUpdate {
        password: Some(password("N3w-password")),
        current_password: Some(password(PASSWORD)),
        ..Default::default()
    };
    let elsewhere = house.keyward.sessions().acting_as(Actor::Person(boss)).from_address(ip(3));
    elsewhere.update_me(update).await.unwrap();
    house.try_sign_in("boss@example.test", "N3w-password", ip(3)).await.unwrap();
    for _ in 0..5 {
        refused!(house.try_sign_in("boss@example.test", "wrong", ip(1)).await, ServiceError::WrongCredentials);
    }
    refused!(house.try_sign_in("boss@example.test", "N3w-password", ip(1)).await, ServiceError::TooManyAttempts(_));
}
