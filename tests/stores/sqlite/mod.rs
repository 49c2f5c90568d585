//! The gate on SQLite files.

mod backups;
mod files;

use axum::routing::get;
use keyward::admin::{Actor, OwnerState};
use keyward::authz::{
    Attribute, ConditionClause, Conditions, Fields, HAS_SAME_ROLE_AS_CREATOR, IS_CREATOR, SqlFilter, SqlMap, Value,
};
use keyward::guard::{InvalidCredential, Reason};
use keyward::store::SqliteOptions;
use keyward::store::{Following, Store, WriteStore};
use keyward::testing::{App, ManualClock, World};
use keyward::time::Timestamp;
use keyward::token::ContentAccess;
use keyward::{Decision, Grant, GuardedRouter, Permission, SqliteStore, action, authenticated};
use proptest::prelude::*;
use serde_json::json;
use sqlx::{AssertSqlSafe, Row, SqlitePool};
use std::sync::Arc;
use std::time::Duration;

struct File {
    dir: tempfile::TempDir,
    world: World<SqliteStore>,
}

impl File {
    async fn new() -> Self {
        let (dir, clock) = (tempfile::tempdir().unwrap(), Arc::new(ManualClock::default()));
        let options = SqliteOptions::default().clock(clock.clone());
        let store = SqliteStore::open_with(dir.path().join("keyward.db"), options).await.unwrap();
        // The only handle, with a clock that jumps: without this option each jump would end the lease.
        Self { dir, world: World::on(store, clock, |b| b.store_is_exclusive()) }
    }

    async fn pool(&self) -> SqlitePool {
        SqlitePool::connect(&format!("sqlite://{}", self.dir.path().join("keyward.db").display())).await.unwrap()
    }

    /// Returns every byte of the database on disk.
    fn bytes(&self) -> Vec<u8> {
        let files = std::fs::read_dir(self.dir.path()).unwrap();
        files.flat_map(|f| std::fs::read(f.unwrap().path()).unwrap()).collect()
    }
}

fn app<S: WriteStore + Clone>(world: &World<S>) -> App {
    let ok = || get(|| async {});
    world.guard(
        GuardedRouter::new()
            .route("/admin/hooks", action("admin::webhooks.read"), ok())
            .route("/admin/any", authenticated(), ok())
            .route("/api/find", action("api::article.article.find"), ok()),
    )
}

#[tokio::test]
async fn old_changes_are_removed_in_batches() {
    let file = File::new().await;
    let pool = file.pool().await;
    // The first 2 400 changes are old, and so is the last one.
    let many = "UPDATE keyward_epoch SET seq = 2501, op_id = NULL; \
                WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 2501) \
                INSERT INTO keyward_change (seq, op_id, at, tags) \
                SELECT n, n, CASE WHEN n <= 2400 OR n = 2501 THEN 7 ELSE 8 END, '[]' FROM c";
    sqlx::raw_sql(many).execute(&pool).await.unwrap();
    let Following::Log(mut log) = file.world.keyward.store().following() else { unreachable!() };
    let first =
        async || -> i64 { sqlx::query("SELECT MIN(seq) FROM keyward_change").fetch_one(&pool).await.unwrap().get(0) };
    for (gone, left) in [(1000, 1001), (1000, 2001), (400, 2401), (0, 2401)] {
        assert_eq!(log.forget(Timestamp(8)).await.unwrap(), gone);
        assert_eq!(first().await, left);
    }
    assert_eq!(log.forget(Timestamp(9)).await.unwrap(), 100);
    assert_eq!(first().await, 2501, "the last change is kept");
}

#[tokio::test]
async fn token_is_issued_used_and_revoked() {
    let file = File::new().await;
    let (world, app) = (&file.world, app(&file.world));
    let key = world.editor().with("admin::webhooks.read").for_time(Duration::from_secs(3600)).issue().await;
    let session = world.super_admin().sign_in().await;
    let content = world.content(ContentAccess::Custom(["api::article.article.find".into()].into())).await;
    let hooks = async || app.get("/admin/hooks").bearer(&key.secret).await;

    hooks().await.assert_ok();
    app.get("/admin/any").bearer(&session.secret).await.assert_ok();
    app.get("/api/find").bearer(&content.secret).await.assert_ok();
    app.get("/api/find").bearer(&key.secret).await.assert_rejected(Reason::Invalid(InvalidCredential::WrongKind));
    app.get("/admin/any").bearer(&content.secret).await.assert_rejected(Reason::Invalid(InvalidCredential::WrongKind));

    let owners = world.keyward.owners();
    owners.set_state(key.owner(), OwnerState::Deactivated).await.unwrap();
    hooks().await.assert_rejected(Reason::OwnerInactive);
    owners.set_state(key.owner(), OwnerState::Active).await.unwrap();
    hooks().await.assert_ok();
    world.keyward.roles().set_permissions(key.role(), vec![]).await.unwrap();
    hooks().await.assert_rejected(Reason::Forbidden);
    let key = world.editor().with("admin::webhooks.read").for_time(Duration::from_secs(3600)).issue().await;
    let hooks = async || app.get("/admin/hooks").bearer(&key.secret).await;
    hooks().await.assert_ok();
    world.clock.advance(Duration::from_secs(3600));
    hooks().await.assert_rejected(Reason::Expired);
    world.keyward.tokens().revoke(key.id).await.unwrap();
    hooks().await.assert_rejected(Reason::Invalid(InvalidCredential::Unknown));
    app.get("/api/find").bearer(&content.secret).await.assert_ok();

    world.keyward.flush().await;
    let (at, _) = file.world.store.last_use(content.id).await.unwrap().unwrap();
    assert!(at <= keyward::time::Clock::now(&*world.clock));
}

/// no-secret-leaks (`docs/invariants.md`): the database holds no secret and no key.
#[tokio::test]
async fn stolen_file_holds_no_usable_secret() {
    let file = File::new().await;
    let (world, app) = (&file.world, app(&file.world));
    let keys = [
        world.editor().with("admin::webhooks.read").issue().await,
        world.super_admin().sign_in().await,
        world.content(ContentAccess::FullAccess).await,
    ];
    for key in &keys {
        app.get("/admin/any").bearer(&key.secret).await;
    }
    world.keyward.flush().await;
    let bytes = file.bytes();
    let holds = |text: &str| bytes.windows(text.len()).any(|w| w == text.as_bytes());
    assert!(holds("admin::webhooks.read"), "the search finds present text");
    for key in &keys {
        let secret = key.secret.expose();
        // The last characters are the hint, which is stored on purpose.
        assert!(!holds(secret) && !holds(&secret[secret.len() - 50..secret.len() - 7]));
        assert!(!holds(&secret[secret.len() - 7..]), "nor the whole check");
    }
    assert!(!holds(keyward::testing::HASH_KEY));
}

/// A corrupt permission of its owner does not keep a super admin or the host from revoking a token.
#[tokio::test]
async fn token_with_unreadable_owner_permissions_is_revoked() {
    let file = File::new().await;
    let (world, app) = (&file.world, app(&file.world));
    let key = world.editor().with("admin::webhooks.read").issue().await;
    app.get("/admin/hooks").bearer(&key.secret).await.assert_ok();
    let damage = "UPDATE keyward_role_permission SET conditions = 'nonsense'";
    sqlx::raw_sql(damage).execute(&file.pool().await).await.unwrap();
    let tokens = world.keyward.tokens();
    tokens.read(key.id).await.unwrap_err();
    let root = Actor::Person(world.super_admin().sign_in().await.owner());
    tokens.acting_as(root).revoke(key.id).await.unwrap();
    app.get("/admin/hooks").bearer(&key.secret).await.assert_rejected(Reason::Invalid(InvalidCredential::Unknown));
}

#[tokio::test]
async fn acknowledged_change_is_visible_to_the_next_process() {
    let file = File::new().await;
    let app = app(&file.world);
    let gone = file.world.editor().issue().await;
    let kept = file.world.editor().issue().await;
    app.get("/admin/any").bearer(&gone.secret).await.assert_ok();
    file.world.keyward.tokens().revoke(gone.id).await.unwrap();
    // No close and no shutdown, as after kill -9.
    let again = SqliteStore::open(file.dir.path().join("keyward.db")).await.unwrap();
    let world = World::on(again, Arc::new(ManualClock::default()), |b| b.store_is_exclusive());
    let app = self::app(&world);
    app.get("/admin/any").bearer(&gone.secret).await.assert_rejected(Reason::Invalid(InvalidCredential::Unknown));
    app.get("/admin/any").bearer(&kept.secret).await.assert_ok();
}

/// Rows that are filtered by SQL and one by one.
const ROWS: [(i64, &str, Option<usize>); 6] =
    [(1, "a", Some(0)), (2, "b", Some(1)), (3, "c", Some(2)), (4, "d", None), (5, "e", Some(0)), (6, "f", Some(1))];

fn map() -> SqlMap {
    SqlMap::default()
        .field("title", "r.title")
        .attribute(Attribute::CREATOR_ID, "r.creator_id")
        .roles("SELECT role_id FROM keyward_owner_role WHERE owner_id =", "r.creator_id")
}

async fn ids(pool: &SqlitePool, filter: &SqlFilter) -> Vec<i64> {
    let sql = format!("SELECT r.id FROM probe r WHERE r.id > $1 AND {} ORDER BY r.id", filter.sql);
    let mut query = sqlx::query(AssertSqlSafe(sql)).bind(0i64);
    for value in &filter.binds {
        query = match value {
            Value::Int(n) => query.bind(*n),
            Value::Text(t) => query.bind(t.clone()),
            Value::Bool(b) => query.bind(*b),
        };
    }
    query.fetch_all(pool).await.unwrap().iter().map(|row| row.get(0)).collect()
}

/// never-more-than-owner (`docs/invariants.md`) in SQL: the filter selects exactly the rows that the decision allows one by one, with
/// current roles.
#[test]
fn sql_filter_and_decision_agree() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (file, pool, people) = runtime.block_on(async {
        let file = File::new().await;
        let people =
            [file.world.editor().issue().await, file.world.editor().issue().await, file.world.editor().issue().await];
        let pool = file.pool().await;
        sqlx::raw_sql("CREATE TABLE probe (id INTEGER PRIMARY KEY, title TEXT, creator_id BIGINT)")
            .execute(&pool)
            .await
            .unwrap();
        for (id, title, creator) in ROWS {
            let insert = sqlx::query("INSERT INTO probe VALUES ($1, $2, $3)").bind(id).bind(title);
            insert.bind(creator.map(|c| people[c].owner().0)).execute(&pool).await.unwrap();
        }
        // The first and the second person share a role.
        let both = vec![people[0].role(), people[1].role()];
        file.world.keyward.owners().set_roles(people[1].owner(), both).await.unwrap();
        (file, pool, people)
    });
    let roles_of = |person: usize| match person {
        1 => vec![people[0].role().0, people[1].role().0],
        other => vec![people[other].role().0],
    };
    let rows: Vec<serde_json::Value> = ROWS
        .iter()
        .map(|(id, title, creator)| {
            let roles = creator.map(roles_of).unwrap_or_default();
            json!({"id": id, "title": title, "creator_id": creator.map(|c| people[c].owner().0), "creator_role_ids": roles})
        })
        .collect();

    let when = prop::sample::subsequence(&[IS_CREATOR, HAS_SAME_ROLE_AS_CREATOR, "no::such"][..], 0..=3)
        .prop_map(ConditionClause::from_list);
    let permission = (when.clone(), prop::bool::ANY).prop_map(|(when, all)| {
        let fields = if all { Fields::All } else { Fields::only(["title"]).unwrap() };
        Permission::new("read").on("probe").fields(fields).when(when)
    });
    let strategy = (prop::collection::vec(permission, 0..4), when, 0..3usize);
    let config = ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    runner
        .run(&strategy, |(permissions, chosen, me)| {
            let grant = Grant::new("read").on("probe").chosen(chosen);
            let grants = vec![grant.clone(), grant.fields(Fields::only(["title"]).unwrap())];
            let decision = decide(permissions, grants, people[me].owner(), &roles_of(me));
            let by_hand: Vec<i64> =
                rows.iter().filter(|r| decision.admits(r)).map(|r| r["id"].as_i64().unwrap()).collect();
            let by_sql = runtime.block_on(ids(&pool, &decision.filter(&map(), 2)));
            prop_assert_eq!(by_sql, by_hand, "{:?}", decision);
            Ok(())
        })
        .unwrap();

    // The second person loses the shared role in the table only: no cached entry is invalidated.
    let only_same =
        vec![Permission::new("read").on("probe").when(ConditionClause::from_list([HAS_SAME_ROLE_AS_CREATOR]))];
    let decision = decide(only_same, vec![Grant::new("read").on("probe")], people[0].owner(), &roles_of(0));
    runtime.block_on(async {
        assert_eq!(ids(&pool, &decision.filter(&map(), 2)).await, [1, 2, 5, 6]);
        let only = vec![people[1].role()];
        file.world.keyward.owners().set_roles(people[1].owner(), only).await.unwrap();
        assert_eq!(ids(&pool, &decision.filter(&map(), 2)).await, [1, 5]);
        assert!(
            ids(&pool, &decision.filter(&SqlMap::default(), 2)).await.is_empty(),
            "an attribute without a column denies"
        );
    });
}

fn decide(permissions: Vec<Permission>, grants: Vec<Grant>, me: keyward::OwnerId, roles: &[i64]) -> Decision {
    use keyward::RoleId;
    use keyward::admin::Owner;
    use keyward::authz::Ceiling;
    use keyward::guard::Principal;
    use keyward::time::Timestamp;
    use keyward::token::{Token, TokenAuthority, TokenId, TokenLimits};
    let owner = Owner {
        account: None,
        kind: keyward::accounts::AccountKind::Person,
        id: me,
        email: String::new(),
        firstname: String::new(),
        lastname: String::new(),
        username: None,
        state: OwnerState::Active,
        roles: roles.iter().map(|r| RoleId(*r)).collect(),
        created_at: Timestamp(0),
        updated_at: Timestamp(0),
    };
    let token = Token {
        id: TokenId(1),
        name: String::new(),
        description: String::new(),
        metadata: None,
        digest: keyward::store::Digest::Native([0; 27]),
        hint: String::new(),
        created_at: Timestamp(0),
        updated_at: Timestamp(0),
        lifespan: None,
        last_used_at: None,
        last_used_tool: None,
        limits: TokenLimits::none(),
        secret_used: None,
        previous: None,
        ancestors: Vec::new(),
        parent_secret: None,
        expires_at: None,
        authority: TokenAuthority::Admin { owner: me, grants },
    };
    let principal = Principal::of(&token, Some((&owner, &Ceiling::Of(permissions)))).unwrap();
    principal.decide(&action("read").on("probe"), &Conditions::default())
}

/// An unreadable row is an error of the server (503), not of the caller (401).
#[tokio::test]
async fn corrupt_row_is_503() {
    let file = File::new().await;
    let app = app(&file.world);
    let key = file.world.editor().with("admin::webhooks.read").issue().await;
    let pool = file.pool().await;
    sqlx::query("UPDATE keyward_grant SET chosen = 'no list' WHERE token_id = $1")
        .bind(key.id.0)
        .execute(&pool)
        .await
        .unwrap();
    app.get("/admin/hooks").bearer(&key.secret).await.assert_status(503);
    assert!(
        file.world.keyward.store().resolve(&keyward::store::Digest::Native([1; 27])).await.unwrap().record.is_none()
    );
}
