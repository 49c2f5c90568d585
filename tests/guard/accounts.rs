//! Accounts of the host as owners of tokens: never more than the account, at every moment and in every way of reporting.

use async_trait::async_trait;
use http::HeaderName;
use keyward::accounts::{Account, AccountKey, AccountKind, Accounts, AccountsError};
use keyward::admin::{
    AuditAction, AuditCause, AuditTarget, DescribedToken, EventQuery, OwnerUpdate, ServiceError, TokenUpdate,
};
use keyward::authz::{Attribute, ConditionClause, Conditions, Predicate, Value};
use keyward::guard::{Limits, Reason, Unavailable};
use keyward::store::{Digest, Paging, Store, TokenQuery};
use keyward::testing::{App, ManualClock, World};
use keyward::token::TokenKind;
use keyward::{Auth, Grant, Group, GuardedRouter, NewAdminToken, Permission, action, authenticated};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Semaphore;

/// An account, and the permits that its answers wait for.
type DelayedAccount = (&'static str, Arc<Semaphore>);
/// The clock of the installation, and how far an answer advances it.
type AnswerTime = (Arc<ManualClock>, Duration);

/// The users of a host.
#[derive(Clone, Default)]
struct Users {
    accounts: Arc<Mutex<HashMap<String, Account>>>,
    managers: Arc<Mutex<Vec<(String, String)>>>,
    fails: Arc<Mutex<bool>>,
    hangs: Arc<Mutex<bool>>,
    /// If its semaphore is closed, its answers fail.
    delayed: Arc<Mutex<Option<DelayedAccount>>>,
    answer_time: Arc<Mutex<Option<AnswerTime>>>,
    asked: Arc<AtomicUsize>,
}

impl Users {
    fn with(self, key: &str, account: Account) -> Self {
        self.set(key, account);
        self
    }

    fn set(&self, key: &str, account: Account) {
        self.accounts.lock().unwrap().insert(key.into(), account);
    }

    fn remove(&self, key: &str) {
        self.accounts.lock().unwrap().remove(key);
    }

    fn fail(&self, fails: bool) {
        *self.fails.lock().unwrap() = fails;
    }
}

#[async_trait]
impl Accounts for Users {
    async fn account(&self, key: &AccountKey) -> Result<Option<Account>, AccountsError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if let Some((clock, time)) = &*self.answer_time.lock().unwrap() {
            clock.advance(*time);
        }
        if *self.hangs.lock().unwrap() {
            std::future::pending::<()>().await;
        }
        let delayed = self.delayed.lock().unwrap().clone().filter(|(account, _)| *account == key.as_str());
        if let Some((_, permits)) = delayed {
            permits.acquire().await?.forget();
        }
        if *self.fails.lock().unwrap() {
            return Err("no database".into());
        }
        Ok(self.accounts.lock().unwrap().get(key.as_str()).cloned())
    }

    async fn manages(&self, actor: &AccountKey, account: &AccountKey) -> Result<bool, AccountsError> {
        let pair = (actor.as_str().to_owned(), account.as_str().to_owned());
        Ok(self.managers.lock().unwrap().contains(&pair))
    }
}

fn key(text: &str) -> AccountKey {
    AccountKey::new(text).unwrap()
}

fn editor() -> Account {
    Account::new("Ada").permissions(["article.read", "article.write"])
}

fn new(name: &str, owner: &str, actions: &[&'static str]) -> NewAdminToken {
    NewAdminToken::new(name, key(owner)).grants(actions.iter().copied().map(Grant::new))
}

#[derive(Clone)]
struct User(&'static str);

/// An application with these users, which signs people in by a request extension.
fn world(users: &Users) -> World {
    world_with(users, |builder| builder)
}

fn world_with(users: &Users, settings: impl FnOnce(keyward::Builder) -> keyward::Builder) -> World {
    let users = users.clone();
    World::bare(|builder| {
        settings(
            builder
                .accounts(users)
                .signed_in(|headers, extensions| {
                    let by_header = || headers.get("x-user").and_then(|user| AccountKey::new(user.to_str().ok()?).ok());
                    extensions.get::<User>().map(|user| key(user.0)).or_else(by_header)
                })
                .admin("/v1")
                .group(Group::admin("/both").or_signed_in())
                .group(Group::sessions("/people")),
        )
    })
}

fn app(world: &World) -> App {
    let read = |auth: Auth| async move { auth.account().map(ToString::to_string).unwrap_or_default() };
    world.guard(
        GuardedRouter::new()
            .get("/v1/read", action("article.read"), read)
            .get("/v1/write", action("article.write"), read)
            .get("/both/read", action("article.read"), read)
            .post("/both/write", action("article.write"), read)
            .get("/people/me", authenticated(), read)
            .get("/people/write", action("article.write"), read),
    )
}

#[tokio::test]
async fn a_token_is_never_stronger_than_its_account() {
    let users = Users::default().with("ada", editor());
    let (world, ada) = (world(&users), key("ada"));
    let app = app(&world);
    let tokens = world.keyward.tokens();
    let beyond = tokens.issue_admin(new("all", "ada", &["article.read", "article.delete"])).await.unwrap_err();
    assert_eq!(beyond.to_string(), "grants.1: the owner does not hold article.delete");
    let missing = tokens.issue_admin(new("eve", "eve", &[])).await;
    assert!(matches!(missing, Err(ServiceError::NotFound("account"))), "{missing:?}");

    let token = tokens.issue_admin(new("both", "ada", &["article.read", "article.write"])).await.unwrap();
    let get = async |path: &str| app.get(path).bearer(&token.secret).await;
    assert_eq!(get("/v1/read").await.assert_ok().body, "ada");
    get("/v1/write").await.assert_ok();

    // A smaller ceiling: what went does not come back (clamped-stays-clamped).
    users.set("ada", Account::new("Ada").permissions(["article.read"]));
    let clamped = world.keyward.accounts().changed(&ada).await.unwrap();
    assert_eq!((clamped.tokens, clamped.grants), (1, 1));
    get("/v1/write").await.assert_rejected(Reason::Forbidden);
    get("/v1/read").await.assert_ok();
    users.set("ada", editor());
    world.keyward.accounts().changed(&ada).await.unwrap();
    get("/v1/write").await.assert_rejected(Reason::Forbidden);
    let events = world.keyward.audit().list(&EventQuery::all(Paging::FIRST)).await.unwrap().items;
    let owner = world.keyward.accounts().owner(&ada).await.unwrap();
    let clamp = events.iter().filter(|e| e.1.what == AuditAction::GrantClamped).collect::<Vec<_>>();
    assert_eq!(clamp.len(), 1);
    assert_eq!(clamp[0].1.cause, Some(AuditCause::AccountChanged(owner.id)));
    assert_eq!(clamp[0].1.target, AuditTarget::Token(token.token.id, TokenKind::Admin));

    // Suspended, active again, missing, there again, removed.
    users.set("ada", editor().suspended());
    world.keyward.accounts().changed(&ada).await.unwrap();
    get("/v1/read").await.assert_rejected(Reason::OwnerInactive);
    let inactive = tokens.issue_admin(new("another", "ada", &[])).await;
    assert!(matches!(inactive, Err(ServiceError::OwnerInactive)), "{inactive:?}");
    users.set("ada", editor());
    world.keyward.accounts().changed(&ada).await.unwrap();
    get("/v1/read").await.assert_ok();
    users.remove("ada");
    world.keyward.accounts().changed(&ada).await.unwrap();
    get("/v1/read").await.assert_status(401);
    users.set("ada", editor());
    world.keyward.accounts().changed(&ada).await.unwrap();
    get("/v1/read").await.assert_ok();
    world.keyward.accounts().removed(&ada).await.unwrap();
    get("/v1/read").await.assert_status(401);
    assert_eq!(world.keyward.tokens().list(&TokenQuery::of(TokenKind::Admin)).await.unwrap().total, 0);
    // An account that keyward does not know may be reported.
    assert_eq!(world.keyward.accounts().changed(&key("eve")).await.unwrap().tokens, 0);
    world.keyward.accounts().removed(&key("eve")).await.unwrap();
}

/// Way (d): nothing is reported, and an answer is believed for `max_staleness`.
#[tokio::test]
async fn an_account_is_asked_again_after_the_bound() {
    let users = Users::default().with("ada", editor());
    let world = world(&users);
    let app = app(&world);
    let token = world.keyward.tokens().issue_admin(new("t", "ada", &["article.read"])).await.unwrap();
    let read = || async { app.get("/v1/read").bearer(&token.secret).await };
    read().await.assert_ok();
    let asked = users.asked.load(Ordering::SeqCst);
    users.set("ada", editor().suspended());
    world.clock.advance(Limits::default().max_staleness - Duration::from_millis(1));
    read().await.assert_ok();
    assert_eq!(users.asked.load(Ordering::SeqCst), asked);
    world.clock.advance(Duration::from_millis(1));
    read().await.assert_rejected(Reason::OwnerInactive);
    // So is one that was missing.
    users.remove("ada");
    world.clock.advance(Limits::default().max_staleness);
    read().await.assert_status(401);
    users.set("ada", editor());
    world.clock.advance(Limits::default().max_staleness);
    read().await.assert_ok();
}

/// With reports of every change, no answer is too old.
#[cfg(feature = "sqlite")]
#[tokio::test]
async fn reported_changes_spare_the_host() {
    let users = Users::default().with("ada", editor());
    let file = tempfile::tempdir().unwrap();
    let store = keyward::SqliteStore::open(file.path().join("keyward.db")).await.unwrap();
    let host = users.clone();
    let world = World::on(Arc::new(store), Arc::default(), |builder| {
        builder.accounts(host).all_account_changes_reported().admin("/v1")
    });
    let app = world.guard(GuardedRouter::new().get("/v1/read", action("article.read"), || async {}));
    let token = world.keyward.tokens().issue_admin(new("t", "ada", &["article.read"])).await.unwrap();
    let answered = async || {
        let answers = async {
            while app.get("/v1/read").bearer(&token.secret).await.status != 200 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), answers).await.expect("the node follows the log");
    };
    answered().await;
    let asked = users.asked.load(Ordering::SeqCst);
    world.clock.advance(Duration::from_secs(3600));
    answered().await;
    assert_eq!(users.asked.load(Ordering::SeqCst), asked);
}

/// A look-up that meets a grant beyond the ceiling has it removed for good.
#[tokio::test]
async fn a_grant_that_a_look_up_finds_beyond_the_ceiling_is_removed() {
    let users = Users::default().with("ada", editor());
    let world = world(&users);
    let app = app(&world);
    let token = world.keyward.tokens().issue_admin(new("t", "ada", &["article.read", "article.write"])).await.unwrap();
    users.set("ada", Account::new("Ada").permissions(["article.read"]));
    app.get("/v1/write").bearer(&token.secret).await.assert_rejected(Reason::Forbidden);
    let grants = || async { world.keyward.tokens().read(token.token.id).await.unwrap().token.grants().len() };
    tokio::time::timeout(Duration::from_secs(30), async {
        while grants().await != 1 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the grant is removed");
    users.set("ada", editor());
    world.clock.advance(Limits::default().max_staleness);
    app.get("/v1/write").bearer(&token.secret).await.assert_rejected(Reason::Forbidden);
    app.get("/v1/read").bearer(&token.secret).await.assert_ok();
}

/// own-failure-is-503: the host's failure is ours.
#[tokio::test]
async fn a_failing_host_is_a_503_and_never_a_401() {
    let users = Users::default().with("ada", editor());
    let world = world(&users);
    let app = app(&world);
    let tokens = world.keyward.tokens();
    let token = tokens.issue_admin(new("t", "ada", &["article.read"])).await.unwrap();
    app.get("/v1/read").bearer(&token.secret).await.assert_ok();
    users.fail(true);
    // The answer is believed until it is too old.
    app.get("/v1/read").bearer(&token.secret).await.assert_ok();
    world.clock.advance(Limits::default().max_staleness);
    for _ in 0..2 {
        let answer = app.get("/v1/read").bearer(&token.secret).await;
        answer.assert_rejected(Reason::Unavailable(Unavailable::Store)).assert_status(503);
    }
    let error = tokens.issue_admin(new("u", "ada", &[])).await.unwrap_err();
    assert!(matches!(error, ServiceError::Store(_)) && error.status() == 503, "{error:?}");
    assert!(matches!(world.keyward.accounts().changed(&key("ada")).await, Err(ServiceError::Store(_))));
    users.fail(false);
    app.get("/v1/read").bearer(&token.secret).await.assert_ok();
}

#[tokio::test]
async fn a_hanging_host_has_a_deadline() {
    let users = Users::default().with("ada", editor());
    let mut limits = Limits::default();
    limits.lookup = Duration::from_millis(50);
    let world = world_with(&users, |builder| builder.limits(limits));
    let app = app(&world);
    let token = world.keyward.tokens().issue_admin(new("t", "ada", &["article.read"])).await.unwrap();
    app.get("/v1/read").bearer(&token.secret).await.assert_ok();
    *users.hangs.lock().unwrap() = true;
    world.clock.advance(Limits::default().max_staleness);
    app.get("/v1/read").bearer(&token.secret).await.assert_status(503);
    *users.hangs.lock().unwrap() = false;
    app.get("/v1/read").bearer(&token.secret).await.assert_ok();
}

/// single-flight: many requests with one cold token ask the host once.
#[tokio::test]
async fn concurrent_requests_ask_the_host_once() {
    let users = Users::default().with("ada", editor());
    let world = world(&users);
    let app = app(&world);
    let token = world.keyward.tokens().issue_admin(new("t", "ada", &["article.read"])).await.unwrap();
    let asked = users.asked.load(Ordering::SeqCst);
    let requests = (0..50).map(|_| async { app.get("/v1/read").bearer(&token.secret).await.status.as_u16() });
    assert!(futures_util::future::join_all(requests).await.iter().all(|status| *status == 200));
    assert_eq!(users.asked.load(Ordering::SeqCst), asked + 1);
}

#[tokio::test]
async fn a_policy_decides_without_a_list() {
    let allowed = Arc::new(Mutex::new("article."));
    let by_policy = |prefix: &Arc<Mutex<&'static str>>| {
        let prefix = prefix.clone();
        Account::new("Grace").allowed_if(move |action, _| action.as_str().starts_with(*prefix.lock().unwrap()))
    };
    let users = Users::default().with("grace", by_policy(&allowed));
    let world = world(&users);
    let app = app(&world);
    let tokens = world.keyward.tokens();
    let beyond = tokens.issue_admin(new("t", "grace", &["comment.read"])).await.unwrap_err();
    assert_eq!(beyond.to_string(), "grants.0: the owner does not hold comment.read");
    let token = tokens.issue_admin(new("t", "grace", &["article.read"])).await.unwrap();
    app.get("/v1/read").bearer(&token.secret).await.assert_ok();
    app.get("/v1/write").bearer(&token.secret).await.assert_rejected(Reason::Forbidden);
    app.get("/people/write").header(HeaderName::from_static("x-user"), "grace").await.assert_ok();
    // Everybody may be affected: one report for all, and the clamp behind.
    *allowed.lock().unwrap() = "comment.";
    let sweep = world.keyward.accounts().policy_changed().await.unwrap();
    app.get("/v1/read").bearer(&token.secret).await.assert_rejected(Reason::Forbidden);
    app.get("/people/write")
        .header(HeaderName::from_static("x-user"), "grace")
        .await
        .assert_rejected(Reason::Forbidden);
    let progress = sweep.finished().await;
    assert!(progress.finished && progress.failed == 0 && progress.accounts == 1, "{progress:?}");
    *allowed.lock().unwrap() = "article.";
    world.keyward.accounts().policy_changed().await.unwrap().finished().await;
    app.get("/v1/read").bearer(&token.secret).await.assert_rejected(Reason::Forbidden);
}

/// Each account of three batches has one token, whose grant its ceiling then no longer covers.
#[tokio::test(start_paused = true)]
async fn an_account_that_fails_keeps_no_other_from_being_swept() {
    let users = Users::default();
    let world = world(&users);
    let tokens = world.keyward.tokens();
    let names: Vec<String> = (0..120).map(|n| if n == 60 { "broken".into() } else { format!("user-{n}") }).collect();
    for name in &names {
        users.set(name, editor());
        tokens.issue_admin(new(name, name, &["article.read", "article.write"])).await.unwrap();
        users.set(name, Account::new("Ada").permissions(["article.read"]));
    }
    let closed = Arc::new(Semaphore::new(0));
    closed.close();
    *users.delayed.lock().unwrap() = Some(("broken", closed));
    let progress = world.keyward.accounts().policy_changed().await.unwrap().finished().await;
    assert_eq!((progress.accounts, progress.failed), (120, 1), "{progress:?}");
    assert_eq!((progress.clamped.tokens, progress.clamped.grants), (119, 119));
    let paging = Paging { page: 1, page_size: Paging::LARGEST };
    let listed = tokens.list(&TokenQuery { paging, ..TokenQuery::of(TokenKind::Admin) }).await.unwrap().items;
    for DescribedToken { token, .. } in &listed {
        let expected = if token.name == "broken" { 2 } else { 1 };
        assert_eq!(token.grants().len(), expected, "{}", token.name);
    }
    *users.delayed.lock().unwrap() = None;
    let progress = world.keyward.accounts().policy_changed().await.unwrap().finished().await;
    assert_eq!((progress.failed, progress.clamped.grants), (0, 1), "the sweep can be repeated: {progress:?}");
}

#[tokio::test(start_paused = true)]
async fn a_sweep_of_a_slow_host_keeps_other_writers_waiting_for_a_few_answers_only() {
    let users = Users::default();
    let world = world(&users);
    let tokens = world.keyward.tokens();
    for n in 0..60 {
        let name = format!("user-{n}");
        users.set(&name, editor());
        tokens.issue_admin(new(&name, &name, &["article.write"])).await.unwrap();
        users.set(&name, Account::new("Ada"));
    }
    let seq = async || world.store.resolve(&Digest::Native([0; 27])).await.unwrap().seq;
    let before = seq().await;
    *users.answer_time.lock().unwrap() = Some((world.clock.clone(), Duration::from_millis(9)));
    let progress = world.keyward.accounts().policy_changed().await.unwrap().finished().await;
    assert_eq!((progress.accounts, progress.clamped.grants), (60, 60), "{progress:?}");
    // 20 ms are over with the third answer. One change more is that of the policy.
    assert_eq!(seq().await - before, 1 + 17 + 4, "of fifty accounts three at a time, then of ten");
}

#[tokio::test]
async fn a_sweep_leaves_accounts_cached_that_have_not_changed() {
    let users = Users::default().with("ada", editor()).with("eve", editor());
    let world = world(&users);
    let app = app(&world);
    let tokens = world.keyward.tokens();
    let ada = tokens.issue_admin(new("a", "ada", &["article.read"])).await.unwrap();
    tokens.issue_admin(new("e", "eve", &["article.read"])).await.unwrap();
    users.set("eve", Account::new("Eve").permissions(["article.write"]));
    let permits = Arc::new(Semaphore::new(0));
    *users.delayed.lock().unwrap() = Some(("eve", permits.clone()));
    let asked = users.asked.load(Ordering::SeqCst);
    let sweep = world.keyward.accounts().policy_changed().await.unwrap();
    // The sweep has asked for Ada, and waits for the answer about Eve in the same transaction.
    while users.asked.load(Ordering::SeqCst) < asked + 2 {
        tokio::task::yield_now().await;
    }
    app.get("/v1/read").bearer(&ada.secret).await.assert_ok();
    let asked = users.asked.load(Ordering::SeqCst);
    permits.add_permits(1);
    let progress = sweep.finished().await;
    assert_eq!((progress.accounts, progress.clamped.grants), (2, 1), "{progress:?}");
    app.get("/v1/read").bearer(&ada.secret).await.assert_ok();
    assert_eq!(users.asked.load(Ordering::SeqCst), asked, "Ada is cached");
}

#[tokio::test]
async fn conditions_compare_with_the_key_of_the_account() {
    let own = Permission::new("article.read").when(ConditionClause::from_list(["own"]));
    let users = Users::default().with("ada", Account::new("Ada").permissions([own]));
    let world = world_with(&users, |builder| {
        builder.conditions(Conditions::default().register("own", |context| match &context.account {
            Some(key) => Predicate::Is(Attribute("author"), Value::Text(key.to_string())),
            None => Predicate::Never,
        }))
    });
    let rows = [serde_json::json!({"author": "ada"}), serde_json::json!({"author": "eve"})];
    let list = move |auth: Auth| async move {
        let decision = auth.require_decision(&action("article.read")).unwrap();
        rows.iter().map(|row| decision.admits(row).to_string()).collect::<Vec<_>>().join(" ")
    };
    let app = world.guard(GuardedRouter::new().get("/v1/list", authenticated(), list));
    let token = world.keyward.tokens().issue_admin(new("t", "ada", &["article.read"])).await.unwrap();
    assert_eq!(app.get("/v1/list").bearer(&token.secret).await.assert_ok().body, "true false");
}

#[tokio::test]
async fn the_session_of_the_host_acts_for_its_account() {
    let users = Users::default().with("ada", editor()).with("joan", Account::new("Joan").suspended());
    let world = world(&users);
    let app = app(&world);
    let token = world.keyward.tokens().issue_admin(new("t", "ada", &["article.read"])).await.unwrap();
    let get = |path: &str, user: &str| app.get(path).header(HeaderName::from_static("x-user"), user);
    for _ in 0..2 {
        assert_eq!(get("/people/me", "ada").await.assert_ok().body, "ada");
        get("/both/read", "ada").await.assert_ok();
        get("/people/write", "ada").await.assert_ok();
        // Not where only credentials count.
        get("/v1/read", "ada").await.assert_rejected(Reason::NoCredential);
        get("/people/me", "joan").await.assert_rejected(Reason::OwnerInactive);
        get("/people/me", "eve").await.assert_status(401);
        app.get("/people/me").await.assert_rejected(Reason::NoCredential);
    }
    // A credential is judged alone, also an invalid one.
    let invalid = get("/both/read", "ada").header(HeaderName::from_static("authorization"), "Bearer kw_admin_x");
    invalid.await.assert_status(401);
    get("/people/me", "ada").bearer(&token.secret).await.assert_status(401);
    assert_eq!(get("/both/read", "joan").bearer(&token.secret).await.assert_ok().body, "ada");
    // The browser sends the host's cookie by itself: an unsafe method needs a proof.
    let post = || app.post("/both/write").header(HeaderName::from_static("x-user"), "ada");
    post().await.assert_rejected(Reason::CrossOrigin);
    post().header(HeaderName::from_static("sec-fetch-site"), "cross-site").await.assert_rejected(Reason::CrossOrigin);
    post().header(HeaderName::from_static("sec-fetch-site"), "same-origin").await.assert_ok();
    app.post("/both/write").bearer(&token.secret).await.assert_rejected(Reason::Forbidden);
    // Suspended: the next request, and again after it is active.
    users.set("ada", editor().suspended());
    world.keyward.accounts().changed(&key("ada")).await.unwrap();
    get("/people/me", "ada").await.assert_rejected(Reason::OwnerInactive);
    users.set("ada", editor());
    world.keyward.accounts().changed(&key("ada")).await.unwrap();
    get("/people/me", "ada").await.assert_ok();
    let events = world.keyward.audit().list(&EventQuery::all(Paging::FIRST)).await.unwrap().items;
    assert_eq!(events.iter().filter(|e| e.1.what == AuditAction::SignedIn).count(), 2, "once for each session");
}

/// A proxy in front may ask for Basic authentication, or add a credential of its own to every request.
#[tokio::test]
async fn credentials_of_another_system_do_not_hide_the_session_of_the_host() {
    const AUTHORIZATION: HeaderName = HeaderName::from_static("authorization");
    const USER: HeaderName = HeaderName::from_static("x-user");
    let users = Users::default().with("ada", editor());
    let shop = || Group::content("/shop").public_actions(["article.read"]).or_signed_in();
    let world = world_with(&users, |builder| builder.group(shop()));
    let who = |auth: Auth| async move { auth.account().map(ToString::to_string).unwrap_or_default() };
    let app = world.guard(
        GuardedRouter::new()
            .get("/v1/read", action("article.read"), who)
            .get("/both/read", action("article.read"), who)
            .post("/both/write", action("article.write"), who)
            .get("/people/me", authenticated(), who)
            .get("/shop/read", action("article.read"), who),
    );
    let token = world.keyward.tokens().issue_admin(new("t", "ada", &["article.read"])).await.unwrap();
    let malformed = Reason::Invalid(keyward::guard::InvalidCredential::Malformed);
    let jwt = format!("Bearer eyJhbGciOiJIUzI1NiJ9.{}", "a".repeat(48));
    for other in ["Basic YWRhOnB3", "Negotiate abc", "Bearer", "Bearer of-another-system", jwt.as_str()] {
        for path in ["/people/me", "/both/read", "/shop/read"] {
            let get = || app.get(path).header(AUTHORIZATION, other);
            assert_eq!(get().header(USER, "ada").await.assert_ok().body, "ada", "{path} {other}");
            // Without a signed-in account such a credential is invalid, and the caller is not the public.
            get().await.assert_rejected(malformed);
        }
        // No session opens this group.
        app.get("/v1/read").header(AUTHORIZATION, other).header(USER, "ada").await.assert_rejected(malformed);
        let post = || app.post("/both/write").header(AUTHORIZATION, other).header(USER, "ada");
        post().await.assert_rejected(Reason::CrossOrigin);
        post().header(HeaderName::from_static("sec-fetch-site"), "same-origin").await.assert_ok();
    }
    let valid = format!("Bearer {}", token.secret.expose());
    let relabelled = valid.replace("kw_admin_", "kw_content_");
    let (bare, upper, quoted) = (&valid["Bearer ".len()..], valid.replace("kw_", "KW_"), valid.replace("kw_", "\"kw_"));
    let (other_scheme, spaced) = (format!("Token {bare}"), format!("{valid} "));
    for own in ["Bearer kw_admin_x", "bearer  kw_session_x", &valid[..valid.len() - 1], relabelled.as_str()]
        .into_iter()
        .chain([bare, &upper, &quoted, &other_scheme, &spaced])
    {
        for path in ["/people/me", "/both/read", "/shop/read"] {
            app.get(path).header(AUTHORIZATION, own).header(USER, "ada").await.assert_status(401);
        }
    }
    app.get("/people/me").bearer(&token.secret).header(USER, "ada").await.assert_status(401);
    // Without sessions of the host, no header is ignored.
    let plain = World::bare(|builder| builder.group(Group::sessions("/people")));
    let app = plain.guard(GuardedRouter::new().get("/people/me", authenticated(), || async {}));
    app.get("/people/me").header(AUTHORIZATION, "Basic YWRhOnB3").await.assert_rejected(malformed);
}

#[tokio::test]
async fn sessions_of_the_host_need_both_settings() {
    fn build(settings: impl FnOnce(keyward::Builder) -> keyward::Builder) -> Result<(), String> {
        let hash_key = keyward::HashKey::parse(keyward::testing::HASH_KEY).unwrap();
        let builder = keyward::Keyward::builder(keyward::MemoryStore::default()).hash_key(hash_key);
        settings(builder).build().map(drop).map_err(|error| error.to_string())
    }
    let both = || Group::admin("/both").or_signed_in();
    assert!(build(|b| b.accounts(Users::default()).signed_in(|_, _| None).group(both())).is_ok());
    let error = build(|b| b.accounts(Users::default()).group(both())).unwrap_err();
    assert_eq!(
        error,
        "the group `/both` has `.or_signed_in()`, but nothing says who is signed in: add `.signed_in(..)`"
    );
    let error = build(|b| b.signed_in(|_, _| None).admin("/v1")).unwrap_err();
    assert_eq!(error, "`.signed_in(..)` names accounts of yours, which keyward has to know: add `.accounts(..)`");
}

#[cfg(feature = "api")]
#[tokio::test]
async fn names_are_unique_per_owner_unless_the_api_of_strapi_is_served() {
    use keyward::admin::{Policy, TokenNames};
    use keyward::guard::Mount;
    let users = Users::default().with("ada", editor()).with("eve", editor());
    let per_installation = |builder: keyward::Builder| {
        let mut policy = Policy::default();
        policy.token_names = Some(TokenNames::UniquePerInstallation);
        builder.policy(policy)
    };
    let cases: [(World, bool); 4] = [
        (world(&users), true),
        (world_with(&users, |builder| builder.api(Mount::own_tokens("/keys"))), true),
        (world_with(&users, |builder| builder.api("/manage")), false),
        (world_with(&users, per_installation), false),
    ];
    for (i, (world, allowed)) in cases.iter().enumerate() {
        let tokens = world.keyward.tokens();
        tokens.issue_admin(new("ci", "ada", &[])).await.unwrap();
        assert!(tokens.issue_admin(new("CI", "ada", &[])).await.is_err(), "{i}");
        assert_eq!(tokens.issue_admin(new("ci", "eve", &[])).await.is_ok(), *allowed, "{i}");
    }
}

/// The services act for the account by the rules of a session; the commit checks it again (valid-at-commit).
#[tokio::test]
async fn a_signed_in_account_manages_its_own_tokens() {
    let users = Users::default().with("ada", editor()).with("eve", editor());
    let world = world(&users);
    let actors = Arc::new(Mutex::new(Vec::new()));
    let keep = actors.clone();
    let app = world.guard(GuardedRouter::new().get("/people/me", authenticated(), move |auth: Auth| async move {
        keep.lock().unwrap().push(auth.actor().unwrap());
    }));
    for user in ["ada", "eve"] {
        app.get("/people/me").header(HeaderName::from_static("x-user"), user).await.assert_ok();
    }
    let [ada, eve] = actors.lock().unwrap().clone().try_into().unwrap();
    let tokens = |actor: &keyward::admin::AdmittedActor| world.keyward.tokens().acting_as(actor);
    let own = tokens(&ada).issue_admin(new("own", "ada", &["article.read"])).await.unwrap();
    let other = tokens(&ada).issue_admin(new("other", "eve", &[])).await;
    assert!(matches!(other, Err(ServiceError::Forbidden(_))), "{other:?}");
    let unknown = tokens(&ada).issue_admin(new("unknown", "nobody-known", &[])).await;
    assert!(matches!(unknown, Err(ServiceError::Forbidden(_))), "{unknown:?}");
    assert!(tokens(&eve).regenerate(own.token.id).await.is_err());
    assert!(tokens(&eve).revoke(own.token.id).await.is_err());
    assert_eq!(tokens(&eve).list(&TokenQuery::of(TokenKind::Admin)).await.unwrap().total, 0);
    assert_eq!(tokens(&ada).list(&TokenQuery::of(TokenKind::Admin)).await.unwrap().total, 1);
    tokens(&ada).regenerate(own.token.id).await.unwrap();
    // Content tokens have no owner: an ordinary user of the host does not reach them.
    let content = keyward::NewContentToken::new("content", keyward::token::ContentAccess::FullAccess);
    let content = world.keyward.tokens().issue_content(content).await.unwrap().token.id;
    assert!(tokens(&ada).regenerate(content).await.is_err());
    assert!(tokens(&ada).revoke(content).await.is_err());
    assert!(tokens(&ada).read(content).await.is_err());
    let listed = tokens(&ada).list(&TokenQuery::of(TokenKind::Content)).await.unwrap_err();
    let takes = "not allowed: seeing content tokens takes the action admin::api-tokens.read";
    assert_eq!(listed.to_string(), takes);
    let more = keyward::NewContentToken::new("more", keyward::token::ContentAccess::ReadOnly);
    let issued = tokens(&ada).issue_content(more).await.unwrap_err();
    assert_eq!(issued.to_string(), "not allowed: issuing content tokens takes the action admin::api-tokens.create");
    // An account is the host's to change.
    let id = world.keyward.accounts().owner(&key("ada")).await.unwrap().id;
    let update = OwnerUpdate { firstname: Some("Eve".into()), ..OwnerUpdate::default() };
    let changed = world.keyward.owners().update(id, update).await;
    assert_eq!(changed.unwrap_err().to_string(), "not allowed: the account belongs to the host: change it there");
    assert!(world.keyward.owners().delete(id).await.is_err());
    // The account shrinks after the request was admitted.
    users.set("ada", editor().suspended());
    let late = tokens(&ada).issue_admin(new("late", "ada", &[])).await;
    assert!(late.is_err(), "{late:?}");
}

/// no-escalation: managing an account gives no more than the manager holds.
#[tokio::test]
async fn managers_stay_within_the_ceilings_of_both() {
    let users = Users::default()
        .with("boss", Account::new("Boss").permissions(["article.read", "comment.read"]))
        .with("bot", Account::new("Bot").permissions(["article.read", "article.write"]));
    users.managers.lock().unwrap().push(("boss".into(), "bot".into()));
    let world = world(&users);
    let actor = Arc::new(Mutex::new(None));
    let keep = actor.clone();
    let app = world.guard(GuardedRouter::new().get("/people/me", authenticated(), move |auth: Auth| async move {
        *keep.lock().unwrap() = auth.actor();
    }));
    app.get("/people/me").header(HeaderName::from_static("x-user"), "boss").await.assert_ok();
    let boss = actor.lock().unwrap().clone().unwrap();
    let tokens = || world.keyward.tokens().acting_as(&boss);
    let read = tokens().issue_admin(new("read", "bot", &["article.read"])).await.unwrap();
    let beyond = tokens().issue_admin(new("write", "bot", &["article.write"])).await.unwrap_err();
    assert_eq!(beyond.to_string(), "grants.0: you do not hold this for all rows yourself: leave it out");
    let beyond = tokens().issue_admin(new("comment", "bot", &["comment.read"])).await.unwrap_err();
    assert_eq!(beyond.to_string(), "grants.0: the owner does not hold comment.read");
    let wide = world.keyward.tokens().issue_admin(new("wide", "bot", &["article.write"])).await.unwrap();
    assert!(tokens().regenerate(wide.token.id).await.is_err(), "its secret would write");
    let more = TokenUpdate { grants: Some(vec![Grant::new("article.write")]), ..TokenUpdate::default() };
    assert!(tokens().update(read.token.id, more).await.is_err());
    tokens().regenerate(read.token.id).await.unwrap();
    let bot = world.keyward.accounts().owner(&key("bot")).await.unwrap().id;
    let query = TokenQuery { owner: Some(bot), ..TokenQuery::of(TokenKind::Admin) };
    assert_eq!(tokens().list(&query).await.unwrap().total, 2);
    assert_eq!(tokens().read(read.token.id).await.unwrap().token.name, "read");
    tokens().revoke(wide.token.id).await.unwrap();
    // No manager any more.
    users.managers.lock().unwrap().clear();
    assert!(tokens().revoke(read.token.id).await.is_err());
    assert!(tokens().list(&query).await.is_err());
}

/// An administrator with few permissions revokes the leaked key of a colleague, by `manages`.
#[tokio::test]
async fn a_person_who_manages_a_colleague_revokes_its_keys() {
    let users =
        Users::default().with("admin", Account::new("Admin").permissions(["user.manage"])).with("ada", editor());
    users.managers.lock().unwrap().push(("admin".into(), "ada".into()));
    let world = world(&users);
    let actor = Arc::new(Mutex::new(None));
    let keep = actor.clone();
    let app = world.guard(GuardedRouter::new().get("/people/me", authenticated(), move |auth: Auth| async move {
        *keep.lock().unwrap() = auth.actor();
    }));
    app.get("/people/me").header(HeaderName::from_static("x-user"), "admin").await.assert_ok();
    let admin = actor.lock().unwrap().clone().unwrap();
    let leaked = world.keyward.tokens().issue_admin(new("leaked", "ada", &["article.write"])).await.unwrap();
    let tokens = || world.keyward.tokens().only(TokenKind::Admin).acting_as(&admin);
    let ada = world.keyward.accounts().owner(&key("ada")).await.unwrap().id;
    let query = TokenQuery { owner: Some(ada), ..TokenQuery::of(TokenKind::Admin) };
    assert_eq!(tokens().list(&query).await.unwrap().items[0].token.id, leaked.token.id);
    assert!(tokens().regenerate(leaked.token.id).await.is_err(), "its secret would do more than the administrator");
    tokens().revoke(leaked.token.id).await.unwrap();
    let events = world.keyward.audit().list(&EventQuery::all(Paging::FIRST)).await.unwrap().items;
    let by = world.keyward.accounts().owner(&key("admin")).await.unwrap().id;
    let revoked: Vec<_> = events.iter().filter(|e| e.1.what == AuditAction::TokenRevoked).collect();
    assert_eq!(revoked.len(), 1);
    assert_eq!(revoked[0].1.origin.actor, keyward::admin::Actor::Person(by));
}

/// Sessions of the host open the whole management API where its group says so.
#[cfg(feature = "api")]
#[tokio::test]
async fn the_host_opens_the_management_api_to_its_sessions() {
    let users = Users::default().with("root", Account::new("Root").unlimited());
    for opened in [true, false] {
        let world = world_with(&users, |builder| {
            let group = Group::admin("/manage");
            builder.group(if opened { group.or_signed_in() } else { group }).api("/manage")
        });
        let app = world.guard(keyward::api::router(&world.keyward));
        let listed = app.get("/manage/admin-tokens").header(HeaderName::from_static("x-user"), "root").await;
        match opened {
            true => listed.assert_ok(),
            false => listed.assert_rejected(Reason::NoCredential),
        };
    }
}

/// Two accounts, and a person of keyward's own, may have one e-mail address.
#[tokio::test]
async fn accounts_live_beside_people_of_keyward() {
    let users = Users::default()
        .with("Ada", editor().email("ada@example.test"))
        .with("ada", editor().email("ada@example.test"));
    let world = world(&users);
    let own = world.editor().with("article.read").issue().await;
    let app = app(&world);
    for (name, account) in [("one", "Ada"), ("two", "ada")] {
        let token = world.keyward.tokens().issue_admin(new(name, account, &["article.read"])).await.unwrap();
        assert_eq!(app.get("/v1/read").bearer(&token.secret).await.assert_ok().body, account);
    }
    assert_eq!(app.get("/v1/read").bearer(&own.secret).await.assert_ok().body, "");
    let owner = world.keyward.accounts().owner(&key("Ada")).await.unwrap();
    assert_eq!((owner.display_name().as_str(), owner.email.as_str()), ("Ada", "ada@example.test"));
    world.keyward.accounts().changed(&key("ada")).await.unwrap();
    world.keyward.accounts().changed(&key("Ada")).await.unwrap();
}

/// Without the host's accounts, their tokens are a failure of ours.
#[tokio::test]
async fn tokens_of_accounts_need_the_host() {
    let users = Users::default().with("ada", editor());
    let one = world(&users);
    let token = one.keyward.tokens().issue_admin(new("t", "ada", &["article.read"])).await.unwrap();
    let two = World::on(one.store.clone(), one.clock.clone(), |builder| builder.admin("/v1"));
    app_of(&two).get("/v1/read").bearer(&token.secret).await.assert_status(503);
}

/// `AuthContext::actor` of the public is none.
#[tokio::test]
async fn without_an_actor_a_service_does_nothing() {
    let users = Users::default().with("ada", editor());
    let world = world(&users);
    let token = world.keyward.tokens().issue_admin(new("t", "ada", &[])).await.unwrap().token.id;
    let tokens = || world.keyward.tokens().acting_as(None::<keyward::admin::AdmittedActor>);
    for error in [
        tokens().issue_admin(new("u", "ada", &[])).await.unwrap_err(),
        tokens().list(&TokenQuery::of(TokenKind::Admin)).await.unwrap_err(),
        tokens().regenerate(token).await.unwrap_err(),
        tokens().revoke(token).await.unwrap_err(),
    ] {
        assert_eq!(error.status(), 403, "{error}");
    }
}

fn app_of(world: &World) -> App {
    world.guard(GuardedRouter::new().get("/v1/read", action("article.read"), || async {}))
}

/// Services of keyward's own: they never sign in, and those who cover them manage their tokens.
#[tokio::test]
async fn services_are_managed_by_people_who_cover_them() {
    let world = World::with(|builder| builder);
    let routes = GuardedRouter::new().get("/admin/read", action("article.read"), || async {});
    let app = world.guard(routes);
    let keyward = &world.keyward;
    let role = async |name: &str, permissions: &[&'static str]| {
        let role = keyward::NewRole::new(name).permissions(permissions.iter().copied());
        keyward.roles().create(role).await.unwrap().id
    };
    let reads = role("reads", &["article.read"]).await;
    let person = async |email: &str, roles| keyward.owners().create(keyward::NewOwner::new(email).roles(roles)).await;
    let wide = role("wide", &["article.read", "article.write"]).await;
    let (ada, eve) = (person("ada@x.test", vec![wide]).await.unwrap(), person("eve@x.test", vec![]).await.unwrap());
    let robot = keyward.owners().create(keyward::NewOwner::service("robot").roles([reads])).await.unwrap();
    assert_eq!((robot.display_name().as_str(), robot.email.as_str()), ("robot", ""));
    let again = keyward.owners().create(keyward::NewOwner::service("Robot")).await.unwrap_err();
    assert_eq!(again.to_string(), "firstname: Name already taken");
    for (new, message) in [
        (keyward::NewOwner::service(" "), "firstname: must be the name of the service"),
        (
            keyward::NewOwner { email: "r@x.test".into(), ..keyward::NewOwner::service("r") },
            "email: a service has no e-mail address: leave it out",
        ),
    ] {
        assert_eq!(keyward.owners().create(new).await.unwrap_err().to_string(), message);
    }
    let tokens = |id| keyward.tokens().acting_as(keyward::admin::Actor::Person(id));
    let new = |name: &str| NewAdminToken::new(name, robot.id).grants([Grant::new("article.read")]);
    let token = tokens(ada.id).issue_admin(new("ci")).await.unwrap();
    app.get("/admin/read").bearer(&token.secret).await.assert_ok();
    assert!(matches!(tokens(eve.id).issue_admin(new("eve")).await, Err(ServiceError::Forbidden(_))));
    assert!(tokens(eve.id).revoke(token.token.id).await.is_err());
    // No other person manages a person, even one with fewer permissions.
    let other = tokens(ada.id).issue_admin(NewAdminToken::new("other", eve.id)).await;
    assert!(matches!(other, Err(ServiceError::Forbidden(_))));
    // It never signs in.
    let hour = Duration::from_secs(3600);
    let session = keyward::admin::NewSession { owner: robot.id, idle: hour, lifespan: hour };
    assert!(matches!(keyward.tokens().open_session(session).await, Err(ServiceError::Forbidden(_))));
    let update = OwnerUpdate { email: Some("robot@x.test".into()), ..OwnerUpdate::default() };
    assert!(keyward.owners().update(robot.id, update).await.is_err());
    #[cfg(feature = "people")]
    assert!(keyward.owners().invite(keyward::NewOwner::service("other")).await.is_err());
    // Who no longer covers it manages it no longer.
    keyward.owners().set_roles(ada.id, vec![]).await.unwrap();
    assert!(tokens(ada.id).regenerate(token.token.id).await.is_err());
    app.get("/admin/read").bearer(&token.secret).await.assert_ok();
    keyward.owners().delete(robot.id).await.unwrap();
    app.get("/admin/read").bearer(&token.secret).await.assert_status(401);
}

#[tokio::test]
async fn a_service_of_the_host_has_no_session() {
    let users = Users::default().with("bot", editor().kind(AccountKind::Service)).with("ada", editor());
    let world = world(&users);
    let app = app(&world);
    let get = |user: &str| app.get("/people/me").header(HeaderName::from_static("x-user"), user);
    get("bot").await.assert_status(401);
    get("ada").await.assert_ok();
    users.set("ada", editor().kind(AccountKind::Organisation));
    world.keyward.accounts().changed(&key("ada")).await.unwrap();
    get("ada").await.assert_status(401);
    let token = world.keyward.tokens().issue_admin(new("t", "bot", &["article.read"])).await.unwrap();
    app.get("/v1/read").bearer(&token.secret).await.assert_ok();
}

#[tokio::test]
async fn names_of_the_caller_take_no_read() {
    let users = Users::default().with("ada", editor());
    for kept in [true, false] {
        let world = world_with(&users, |builder| if kept { builder.caller_names() } else { builder });
        let names = |auth: Auth| async move { format!("{:?} {:?}", auth.token_name(), auth.owner_name()) };
        let app = world.guard(GuardedRouter::new().get("/v1/x", authenticated(), names).get(
            "/people/x",
            authenticated(),
            names,
        ));
        let token = world.keyward.tokens().issue_admin(new("deploy", "ada", &[])).await.unwrap();
        for _ in 0..2 {
            let body = app.get("/v1/x").bearer(&token.secret).await.assert_ok().body.clone();
            assert_eq!(body, if kept { r#"Some("deploy") Some("Ada")"# } else { "None None" });
        }
        let body = app.get("/people/x").header(HeaderName::from_static("x-user"), "ada").await.assert_ok().body.clone();
        assert_eq!(body, if kept { r#"None Some("Ada")"# } else { "None None" });
    }
}
