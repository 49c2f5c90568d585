//! Attacks on accounts of the host.

use async_trait::async_trait;
use http::HeaderName;
use keyward::accounts::{Account, AccountKey, AccountKind, Accounts, AccountsError};
use keyward::admin::ServiceError;
use keyward::authz::{Attribute, ConditionClause, Conditions, Predicate, Value};
use keyward::store::TokenQuery;
use keyward::testing::{App, World};
use keyward::token::TokenKind;
use keyward::{Auth, Grant, Group, GuardedRouter, NewAdminToken, NewOwner, NewRole, Permission, action, authenticated};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[derive(Clone, Default)]
struct Users {
    accounts: Arc<Mutex<HashMap<String, Account>>>,
    broken: Arc<Mutex<Option<String>>>,
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
}

#[async_trait]
impl Accounts for Users {
    async fn account(&self, key: &AccountKey) -> Result<Option<Account>, AccountsError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.broken.lock().unwrap().as_deref() == Some(key.as_str()) {
            return Err("this row cannot be read".into());
        }
        Ok(self.accounts.lock().unwrap().get(key.as_str()).cloned())
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

fn world_with(users: &Users, settings: impl FnOnce(keyward::Builder) -> keyward::Builder) -> World {
    let users = users.clone();
    World::bare(|builder| {
        settings(
            builder
                .accounts(users)
                .signed_in(|headers, _| {
                    headers.get("x-user").and_then(|user| AccountKey::new(user.to_str().ok()?).ok())
                })
                .admin("/v1")
                .group(Group::sessions("/people")),
        )
    })
}

fn app(world: &World) -> App {
    let read = |auth: Auth| async move { auth.account().map(ToString::to_string).unwrap_or_default() };
    world.guard(GuardedRouter::new().get("/v1/read", action("article.read"), read).get(
        "/people/me",
        authenticated(),
        read,
    ))
}

fn user(app: &App, name: &str) -> keyward::testing::TestRequest {
    app.get("/people/me").header(HeaderName::from_static("x-user"), name)
}

/// bounded-by-strangers: whom keyward rejects takes the lock of writers, and asks the host under it, once for each request.
#[tokio::test]
async fn a_rejected_account_costs_no_write_for_each_request() {
    for account in [Some(editor().suspended()), Some(editor().kind(AccountKind::Service)), None] {
        let users = Users::default();
        if let Some(account) = account.clone() {
            users.set("joan", account);
        }
        let world = world_with(&users, |builder| builder);
        let app = app(&world);
        for _ in 0..50 {
            user(&app, "joan").await.assert_status(401);
        }
        let asked = users.asked.load(Ordering::SeqCst);
        assert!(asked <= 2, "{account:?}: {asked} write transactions for 50 rejected requests");
    }
}

/// single-flight: the first requests of an account open its session by one write.
#[tokio::test]
async fn the_first_requests_of_an_account_are_one_write() {
    let users = Users::default().with("ada", editor());
    let world = world_with(&users, |builder| builder);
    let app = app(&world);
    let requests = (0..50).map(|_| async { user(&app, "ada").await.status.as_u16() });
    assert!(futures_util::future::join_all(requests).await.iter().all(|status| *status == 200));
    let asked = users.asked.load(Ordering::SeqCst);
    assert!(asked <= 3, "the host was asked {asked} times for 50 first requests");
}

/// next-request: `changed` for an account that is there again.
#[tokio::test]
async fn an_account_that_is_there_again_is_so_at_once() {
    let users = Users::default().with("ada", editor());
    let world = world_with(&users, |builder| builder);
    let app = app(&world);
    let token = world.keyward.tokens().issue_admin(new("t", "ada", &["article.read"])).await.unwrap();
    users.remove("ada");
    app.get("/v1/read").bearer(&token.secret).await.assert_status(401);
    users.set("ada", editor());
    world.keyward.accounts().changed(&key("ada")).await.unwrap();
    app.get("/v1/read").bearer(&token.secret).await.assert_ok();
}

#[tokio::test]
async fn a_person_who_was_a_service_is_signed_in_at_once() {
    let users = Users::default().with("ada", editor());
    let world = world_with(&users, |builder| builder);
    let app = app(&world);
    user(&app, "ada").await.assert_ok();
    users.set("ada", editor().kind(AccountKind::Service));
    world.keyward.accounts().changed(&key("ada")).await.unwrap();
    user(&app, "ada").await.assert_status(401);
    users.set("ada", editor());
    world.keyward.accounts().changed(&key("ada")).await.unwrap();
    user(&app, "ada").await.assert_ok();
}

/// "After how long without use the session of an account is opened anew."
#[tokio::test]
async fn an_account_returns_after_a_year() {
    let users = Users::default().with("ada", editor());
    let world = world_with(&users, |builder| builder);
    let app = app(&world);
    user(&app, "ada").await.assert_ok();
    world.clock.advance(Duration::from_secs(367 * 24 * 3600));
    user(&app, "ada").await.assert_ok();
}

/// An installation that is dropped ends, with accounts of the host too.
#[tokio::test]
async fn a_dropped_installation_lets_the_host_go() {
    let users = Users::default().with("ada", editor());
    let world = world_with(&users, |builder| builder);
    drop(world);
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(Arc::strong_count(&users.asked), 1, "a background task keeps the host's accounts, and the store");
}

/// The documented way to suspend: "Its tokens are kept, and rejected until it is active again".
#[tokio::test]
async fn tokens_of_a_suspended_account_are_kept() {
    let users = Users::default().with("ada", editor());
    let world = world_with(&users, |builder| builder);
    let app = app(&world);
    let token = world.keyward.tokens().issue_admin(new("t", "ada", &["article.read"])).await.unwrap();
    users.set("ada", Account::new("Ada").suspended());
    world.keyward.accounts().changed(&key("ada")).await.unwrap();
    app.get("/v1/read").bearer(&token.secret).await.assert_status(401);
    users.set("ada", editor());
    world.keyward.accounts().changed(&key("ada")).await.unwrap();
    app.get("/v1/read").bearer(&token.secret).await.assert_ok();
}

/// One account that the host cannot read does not hide the tokens of others.
#[tokio::test]
async fn one_broken_account_hides_no_list() {
    let users = Users::default().with("ada", editor()).with("eve", editor());
    let world = world_with(&users, |builder| builder);
    for owner in ["ada", "eve"] {
        world.keyward.tokens().issue_admin(new(owner, owner, &["article.read"])).await.unwrap();
    }
    *users.broken.lock().unwrap() = Some("eve".into());
    let listed = world.keyward.tokens().list(&TokenQuery::of(TokenKind::Admin)).await;
    assert!(listed.is_ok(), "{listed:?}");
}

/// no-escalation: the rows that an account of the host reaches are those of its own key.
#[tokio::test]
async fn an_account_gives_no_rows_that_it_does_not_reach() {
    let permissions = || {
        ["admin::users.create", "admin::roles.read"]
            .map(Permission::new)
            .into_iter()
            .chain([Permission::new("article.read").when(ConditionClause::from_list(["tenant"]))])
    };
    let users = Users::default().with("boss", Account::new("Boss").permissions(permissions()));
    let world = world_with(&users, |builder| {
        // People of keyward's own are staff, who see all tenants. Users of the host see their own.
        builder.conditions(Conditions::default().register("tenant", |context| match &context.account {
            Some(key) => Predicate::Is(Attribute("tenant"), Value::Text(key.to_string())),
            None => Predicate::All(Vec::new()),
        }))
    });
    let actor = Arc::new(Mutex::new(None));
    let keep = actor.clone();
    let app = world.guard(GuardedRouter::new().get("/people/me", authenticated(), move |auth: Auth| async move {
        *keep.lock().unwrap() = auth.actor();
    }));
    user(&app, "boss").await.assert_ok();
    let boss = actor.lock().unwrap().clone().unwrap();
    let role = NewRole::new("reader")
        .permissions([Permission::new("article.read").when(ConditionClause::from_list(["tenant"]))]);
    let role = world.keyward.roles().create(role).await.unwrap();
    let owners = world.keyward.owners().acting_as(&boss);
    let created = owners.create(NewOwner::new("puppet@x.test").roles([role.id])).await;
    assert!(created.is_err(), "the actor reads one tenant, its puppet all: {created:?}");
    let invited = owners.invite(NewOwner::new("puppet2@x.test").roles([role.id])).await;
    assert!(matches!(invited, Err(ServiceError::Exceeds(_) | ServiceError::Forbidden(_))), "{:?}", invited.map(drop));
}

/// A host on SQLite, which reports by SQL.
struct Reported {
    keyward: keyward::Keyward,
    pool: sqlx::SqlitePool,
}

async fn reported(users: impl Accounts) -> Reported {
    let file = tempfile::tempdir().unwrap().keep().join("app.db");
    let store = keyward::SqliteStore::open(file.to_str().unwrap()).await.unwrap();
    let (hash_key, _) = keyward::HashKey::generate().unwrap();
    let keyward = keyward::Keyward::builder(store).hash_key(hash_key).accounts(users).admin("/v1").build().unwrap();
    let pool = sqlx::SqlitePool::connect(&format!("sqlite://{}", file.display())).await.unwrap();
    Reported { keyward, pool }
}

/// A report that cannot be handled keeps no later one from being handled.
#[tokio::test]
async fn a_broken_report_blocks_no_other() {
    let users = Users::default().with("ada", editor()).with("eve", editor());
    let Reported { keyward, pool } = reported(users.clone()).await;
    let token = keyward.tokens().issue_admin(new("t", "ada", &["article.write"])).await.unwrap();
    keyward.tokens().issue_admin(new("u", "eve", &["article.write"])).await.unwrap();
    *users.broken.lock().unwrap() = Some("eve".into());
    users.set("ada", Account::new("Ada").permissions(["article.read"]));
    sqlx::raw_sql("INSERT INTO keyward_account_change (account) VALUES ('eve'), ('ada')").execute(&pool).await.unwrap();
    let mut grants = 1;
    for _ in 0..50 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        grants = keyward.tokens().issue_admin(new("probe", "eve", &[])).await.map_or(grants, |_| grants);
        let events =
            keyward.audit().list(&keyward::admin::EventQuery::all(keyward::store::Paging::FIRST)).await.unwrap();
        if events.items.iter().any(|(_, e)| e.what == keyward::admin::AuditAction::GrantClamped) {
            grants = 0;
        }
    }
    assert_eq!(grants, 0, "the grant of {} is not removed after 5 s", token.token.id);
}

#[derive(Clone)]
struct Slow(Users, Arc<Mutex<Duration>>);

#[async_trait]
impl Accounts for Slow {
    async fn account(&self, key: &AccountKey) -> Result<Option<Account>, AccountsError> {
        let pause = *self.1.lock().unwrap();
        tokio::time::sleep(pause).await;
        self.0.account(key).await
    }
}

/// Reports of many accounts do not keep others from writing.
#[tokio::test]
async fn reports_leave_writers_alone() {
    let users = Users::default();
    let pause = Arc::new(Mutex::new(Duration::ZERO));
    let Reported { keyward, pool } = reported(Slow(users.clone(), pause.clone())).await;
    for n in 0..100 {
        users.set(&format!("u{n}"), editor());
        keyward.accounts().owner(&key(&format!("u{n}"))).await.unwrap();
    }
    *pause.lock().unwrap() = Duration::from_millis(100);
    let all: Vec<String> = (0..100).map(|n| format!("('u{n}')")).collect();
    let report = format!("INSERT INTO keyward_account_change (account) VALUES {}", all.join(","));
    sqlx::raw_sql(sqlx::AssertSqlSafe(report)).execute(&pool).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let created = keyward.roles().create(NewRole::new("reader")).await;
    assert!(created.is_ok(), "{created:?}");
}
