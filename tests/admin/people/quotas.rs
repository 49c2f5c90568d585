//! Limits per owner, and the independence of look-ups and writers from lists and previews.

use crate::people::setup::{PASSWORD, Setup, paths};
use keyward::admin::{Actor, AuditAction, AuditTarget, Clamped, NewSession, Policy, ServiceError, TokenUpdate};
use keyward::authz::Fields;
use keyward::store::Digest;
use keyward::store::{Paging, TokenQuery, TokenSort};
use keyward::token::{ContentAccess, TokenKind};
use keyward::{Grant, NewAdminToken, NewContentToken, NewRole, Permission};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(2);

/// Returns the same installation with at most two tokens and sessions per owner, and three roles.
fn small(setup: Setup) -> Setup {
    let mut policy = Policy::default();
    (policy.tokens_per_owner, policy.content_tokens, policy.sessions_per_owner, policy.roles) = (2, 2, 2, 3);
    Setup::on(setup.keyward.store().clone(), setup.clock.clone(), |b| b.policy(policy).store_is_exclusive())
}

/// Asserts that a call is rejected because of this field and changes nothing.
async fn changes_nothing<T>(setup: &Setup, field: &str, call: impl Future<Output = Result<T, ServiceError>>) {
    let sequence = async || setup.keyward.store().resolve(&Digest::Native([0; 27])).await.unwrap().seq;
    let before = sequence().await;
    let (answer, events) = setup.during(call).await;
    assert_eq!(paths(answer), [field]);
    assert!(events.is_empty() && sequence().await == before, "{field}: {events:?}");
}

pub(crate) async fn tokens_per_owner_are_limited_by_the_policy(setup: Setup) {
    let setup = small(setup);
    let role = setup.role("R", [Permission::new("a")]).await;
    let (ada, bob) = (setup.person("ada@x.test", &[role]).await, setup.person("bob@x.test", &[role]).await);
    let tokens = setup.keyward.tokens();
    let of = |name: &str, owner| NewAdminToken::new(name, owner);
    tokens.clone().acting_as(Actor::Person(ada)).issue_admin(of("1", ada)).await.unwrap();
    let second = tokens.issue_admin(of("2", ada)).await.unwrap().token.id;
    // The limits apply to the host, too.
    for actor in [Actor::Person(ada), Actor::Service] {
        changes_nothing(&setup, "owner", tokens.clone().acting_as(actor).issue_admin(of("3", ada))).await;
    }
    setup.sign_in("ada@x.test").await;
    tokens.issue_admin(of("of another", bob)).await.unwrap();
    tokens.revoke(second).await.unwrap();
    tokens.issue_admin(of("3", ada)).await.unwrap();

    for name in ["c1", "c2"] {
        tokens.issue_content(NewContentToken::new(name, ContentAccess::ReadOnly)).await.unwrap();
    }
    changes_nothing(&setup, "kind", tokens.issue_content(NewContentToken::new("c3", ContentAccess::ReadOnly))).await;

    setup.role("third", []).await;
    changes_nothing(&setup, "name", setup.keyward.roles().create(NewRole::new("fourth"))).await;
}

pub(crate) async fn duplicate_grants_are_rejected(setup: Setup) {
    let fields = |names: &[&str]| Fields::only(names.iter().copied()).unwrap();
    let role = setup.role("R", [Permission::new("a"), Permission::new("b").on("x")]).await;
    let ada = setup.person("ada@x.test", &[role]).await;
    let tokens = setup.keyward.tokens();
    let new = |grants: Vec<Grant>| NewAdminToken::new("t", ada).grants(grants);
    let on = || Grant::new("b").on("x");
    let twice = vec![Grant::new("a"), on().fields(fields(&["p", "q"])), on().fields(fields(&["q", "p"]))];
    changes_nothing(&setup, "grants.2", tokens.issue_admin(new(twice))).await;
    let kept = vec![Grant::new("a"), on().fields(fields(&["p"])), on().fields(fields(&["q"]))];
    let id = tokens.issue_admin(new(kept.clone())).await.unwrap().token.id;
    let twice = vec![on(), Grant::new("a"), on()];
    let update = TokenUpdate { grants: Some(twice), ..TokenUpdate::default() };
    changes_nothing(&setup, "grants.2", tokens.update(id, update)).await;
    let many = (0..1_001).map(|n| on().fields(fields(&[&n.to_string()]))).collect();
    let update = TokenUpdate { grants: Some(many), ..TokenUpdate::default() };
    changes_nothing(&setup, "grants", tokens.update(id, update)).await;
    assert_eq!(tokens.read(id).await.unwrap().token.grants(), kept);
}

pub(crate) async fn session_over_the_limit_ends_the_oldest(setup: Setup) {
    let setup = small(setup);
    let (ada, bob) = (setup.person("ada@x.test", &[]).await, setup.person("bob@x.test", &[]).await);
    let first = setup.sign_in("ada@x.test").await;
    let second = setup.sign_in("ada@x.test").await;
    let of_bob = setup.sign_in("bob@x.test").await;
    let (third, events) = setup.during(setup.try_sign_in("ada@x.test", PASSWORD, None)).await;
    let third = third.unwrap();
    let whats: Vec<AuditAction> = events.iter().map(|e| e.what).collect();
    assert_eq!(whats, [AuditAction::SignedOut, AuditAction::SignedIn]);
    assert_eq!(events[0].target, AuditTarget::Token(first.session.token.id, TokenKind::Session));
    assert_eq!(events[0].origin.actor, Actor::Person(ada));
    assert!(!setup.lives(&first.session.secret).await);
    for session in [&second, &third, &of_bob] {
        assert!(setup.lives(&session.session.secret).await);
    }
    // Also for the host, which opens sessions itself.
    let day = Duration::from_secs(86_400);
    let opened =
        setup.keyward.tokens().open_session(NewSession { owner: ada, idle: day, lifespan: day }).await.unwrap();
    assert!(!setup.lives(&second.session.secret).await && setup.lives(&opened.secret).await);
    let listed = setup.keyward.sessions().acting_as(Actor::Person(ada)).list().await.unwrap();
    assert_eq!(listed.iter().map(|t| t.id).collect::<Vec<_>>(), [third.session.token.id, opened.token.id]);
    assert_eq!(setup.keyward.sessions().acting_as(Actor::Person(bob)).list().await.unwrap().len(), 1);
}

pub(crate) async fn page_size_is_bounded(setup: Setup) {
    let ada = setup.person("ada@x.test", &[]).await;
    for name in ["b", "A", "c"] {
        setup.keyward.tokens().issue_admin(NewAdminToken::new(name, ada)).await.unwrap();
    }
    let list = async |page, page_size| {
        let query = TokenQuery { paging: Paging { page, page_size }, ..TokenQuery::of(TokenKind::Admin) };
        setup.keyward.tokens().acting_as(Actor::Person(ada)).list(&query).await
    };
    for (page, page_size, names) in [(1, 1_000, vec!["A", "b", "c"]), (2, 2, vec!["c"]), (3, 2, vec![])] {
        let page = list(page, page_size).await.unwrap();
        assert_eq!(page.items.iter().map(|d| d.token.name.as_str()).collect::<Vec<_>>(), names);
        assert_eq!(page.total, 3);
        assert!(page.items.iter().all(|d| d.owner.as_ref().is_some_and(|o| o.id == ada)));
    }
    assert_eq!(paths(list(0, 10).await), ["page"]);
    for size in [0, 1_001, u32::MAX] {
        assert_eq!(paths(list(1, size).await), ["page_size"]);
    }
    let latest = TokenQuery { sort: TokenSort::CreatedAt, descending: true, ..TokenQuery::of(TokenKind::Admin) };
    let listed = setup.keyward.tokens().list(&latest).await.unwrap();
    assert_eq!(listed.items.first().map(|d| d.token.name.as_str()), Some("c"));
}

pub(crate) async fn lists_do_not_delay_look_ups(setup: Setup) {
    let ada = setup.person("ada@x.test", &[]).await;
    let issued = setup.keyward.tokens().issue_admin(NewAdminToken::new("cold", ada)).await.unwrap();
    let store = setup.keyward.store();
    // As many lists as there are connections for them, and more that wait.
    let mut held = Vec::new();
    while let Ok(view) = tokio::time::timeout(SOON / 4, store.view()).await {
        held.push(view.unwrap());
        if held.len() == 64 {
            // The memory store has no limit.
            break;
        }
    }
    let tokens = setup.keyward.tokens();
    let query = TokenQuery::of(TokenKind::Admin);
    let lists = futures_util::future::join_all((0..16).map(|_| tokens.list(&query)));
    let look_up = tokio::time::timeout(SOON, store.resolve(&issued.token.digest));
    tokio::select! {
        biased;
        lists = lists => assert!(lists.iter().all(Result::is_ok), "in memory none waits"),
        looked = look_up => assert!(looked.expect("the look-up does not wait for lists").unwrap().record.is_some()),
    }
    drop(held);
}

pub(crate) async fn previews_and_writers_do_not_block_each_other(setup: Setup) {
    let super_admin = setup.super_admin().await;
    let role = setup.role("R", [Permission::new("a"), Permission::new("b")]).await;
    let ada = setup.person("ada@x.test", &[role]).await;
    let new = NewAdminToken::new("t", ada).grants([Grant::new("a"), Grant::new("b")]);
    setup.keyward.tokens().issue_admin(new).await.unwrap();
    let takes = |tokens, grants| Clamped { tokens, grants, permissions: 0 };
    // During a change.
    let mut change = setup.keyward.store().begin().await.unwrap();
    change.set_permissions(role, &[]).await.unwrap();
    let roles = setup.keyward.roles().acting_as(Actor::Person(super_admin));
    let preview = tokio::time::timeout(SOON, roles.preview_clamp(role, vec![Permission::new("a")]));
    assert_eq!(preview.await.expect("the preview does not wait for the writer").unwrap(), takes(1, 1));
    let owners = setup.keyward.owners().acting_as(Actor::Person(super_admin));
    let preview = tokio::time::timeout(SOON, owners.preview_clamp(ada, vec![]));
    assert_eq!(preview.await.expect("the preview does not wait for the writer").unwrap(), takes(1, 2));
    drop(change);
    // During a preview, changes are committed; the preview keeps its snapshot.
    let mut view = setup.keyward.store().view().await.unwrap();
    let proposed = || keyward::store::Proposed::Roles(ada, &[]);
    assert_eq!(view.preview_clamp(proposed()).await.unwrap(), takes(1, 2));
    let program = setup.keyward.roles();
    let set = tokio::time::timeout(SOON, program.set_permissions(role, vec![Permission::new("a")]));
    set.await.expect("the writer does not wait for the preview").unwrap();
    assert_eq!(view.preview_clamp(proposed()).await.unwrap(), takes(1, 2));
    drop(view);
    assert_eq!(roles.preview_clamp(role, vec![]).await.unwrap(), takes(1, 1));
}
