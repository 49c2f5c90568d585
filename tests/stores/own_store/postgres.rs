//! The guide's store over an application's own tables, on PostgreSQL.

use super::{app, guard, rejected};
use async_trait::async_trait;
use keyward::admin::{Owner, OwnerState};
use keyward::authz::Ceiling;
use keyward::guard::{InvalidCredential, Reason};
use keyward::store::contract::{self, ReadOnlyBackend};
use keyward::store::{
    Applied, ChangeLog, Digest, Following, KeyCheck, LoggedChange, Poll, Record, Snapshot, Store, StoreError, Tag, Use,
};
use keyward::time::Timestamp;
use keyward::token::{Token, TokenAuthority, TokenId, TokenKind, TokenLimits};
use keyward::{Grant, OwnerId, Permission};
use keyward_test_support::postgres;
use sqlx::postgres::{PgListener, PgRow};
use sqlx::{PgPool, Row};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use tokio::sync::Notify;

const TABLES: &str = "
CREATE TABLE person (id BIGSERIAL PRIMARY KEY, email TEXT NOT NULL, active BOOLEAN NOT NULL);

CREATE TABLE api_key (
    id BIGSERIAL PRIMARY KEY,
    person_id BIGINT NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    digest TEXT NOT NULL UNIQUE,
    scopes TEXT NOT NULL,
    expires_at BIGINT,
    last_used_at BIGINT
);

CREATE TABLE key_epoch (seq BIGINT NOT NULL);

INSERT INTO key_epoch VALUES (0);

CREATE TABLE key_change (
    seq BIGINT PRIMARY KEY,
    op_id TEXT NOT NULL DEFAULT gen_random_uuid()::text,
    at BIGINT NOT NULL DEFAULT (extract(epoch FROM clock_timestamp()) * 1000)::bigint,
    person_id BIGINT,
    digest TEXT
);

CREATE FUNCTION number_key_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE key_epoch SET seq = seq + 1 RETURNING seq INTO NEW.seq; -- locked until the commit
    NOTIFY key_change; -- sent by the commit
    RETURN NEW;
END $$;

CREATE TRIGGER key_change_numbered BEFORE INSERT ON key_change
FOR EACH ROW EXECUTE FUNCTION number_key_change();

CREATE FUNCTION log_key_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN INSERT INTO key_change (digest) VALUES (OLD.digest); END IF;
    IF TG_OP <> 'DELETE' THEN INSERT INTO key_change (digest) VALUES (NEW.digest); END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER key_inserted_or_deleted AFTER INSERT OR DELETE ON api_key
FOR EACH ROW EXECUTE FUNCTION log_key_change();

CREATE TRIGGER key_updated AFTER UPDATE ON api_key
FOR EACH ROW WHEN (NEW.last_used_at IS NOT DISTINCT FROM OLD.last_used_at) EXECUTE FUNCTION log_key_change();

CREATE FUNCTION log_person_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO key_change (person_id) VALUES (OLD.id);
    RETURN NULL;
END $$;

CREATE TRIGGER person_changed AFTER UPDATE OR DELETE ON person
FOR EACH ROW EXECUTE FUNCTION log_person_change();
";

#[derive(Clone, Debug)]
struct PgAppStore {
    db: PgPool,
    changed: Arc<Notify>,
}

/// Wakes the reader of the log at each commit, of any node.
async fn listen(db: PgPool, changed: Arc<Notify>) -> sqlx::Result<()> {
    let mut listener = PgListener::connect_with(&db).await?;
    listener.listen("key_change").await?;
    loop {
        listener.recv().await?;
        changed.notify_one();
    }
}

impl PgAppStore {
    async fn create(db: PgPool) -> sqlx::Result<Self> {
        sqlx::raw_sql(TABLES).execute(&db).await?;
        let changed = Arc::<Notify>::default();
        tokio::spawn(listen(db.clone(), changed.clone()));
        Ok(Self { db, changed })
    }
}

fn unavailable(error: sqlx::Error) -> StoreError {
    StoreError::Unavailable(Box::new(error))
}

const RESOLVE: &str = "
SELECT e.seq, c.op_id, (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now,
    k.id, k.name, k.scopes, k.expires_at, p.id AS person_id, p.email, p.active
FROM key_epoch AS e
LEFT JOIN key_change AS c ON c.seq = e.seq
LEFT JOIN api_key AS k ON k.digest = $1
LEFT JOIN person AS p ON p.id = k.person_id
";

#[async_trait]
impl Store for PgAppStore {
    async fn resolve(&self, digest: &Digest) -> Result<Snapshot, StoreError> {
        let row = sqlx::query(RESOLVE).bind(digest.to_hex()).fetch_one(&self.db).await.map_err(unavailable)?;
        snapshot(&row, digest).map_err(unavailable)
    }

    async fn note_uses(&self, uses: &[Use]) -> Result<(), StoreError> {
        let (ids, times): (Vec<_>, Vec<_>) = uses.iter().map(|used| (used.token.0, used.at.0)).unzip();
        let latest = "UPDATE api_key SET last_used_at = greatest(last_used_at, u.at) \
                      FROM unnest($1::bigint[], $2::bigint[]) AS u (id, at) WHERE api_key.id = u.id";
        sqlx::query(latest).bind(ids).bind(times).execute(&self.db).await.map(drop).map_err(unavailable)
    }

    fn following(&self) -> Following {
        Following::Log(Box::new(Log(self.clone())))
    }

    async fn key_checks(&self) -> Result<Option<Vec<KeyCheck>>, StoreError> {
        Ok(None)
    }

    async fn close(&self) {}
}

fn snapshot(row: &PgRow, digest: &Digest) -> sqlx::Result<Snapshot> {
    let seq: i64 = row.try_get("seq")?;
    Ok(Snapshot { seq: seq.cast_unsigned(), op_id: row.try_get("op_id")?, record: record(row, digest)? })
}

fn record(row: &PgRow, digest: &Digest) -> sqlx::Result<Option<Record>> {
    let (Some(id), Some(person)) = (row.try_get("id")?, row.try_get("person_id")?) else { return Ok(None) };
    let scopes: String = row.try_get("scopes")?;
    let expires_at: Option<i64> = row.try_get("expires_at")?;
    let token = Token {
        metadata: None,
        id: TokenId(id),
        name: row.try_get("name")?,
        description: String::new(),
        digest: *digest,
        hint: String::new(),
        lifespan: None,
        expires_at: expires_at.map(Timestamp),
        created_at: Timestamp(0),
        updated_at: Timestamp(0),
        last_used_at: None,
        last_used_tool: None,
        limits: TokenLimits::none(),
        secret_used: None,
        previous: None,
        ancestors: Vec::new(),
        parent_secret: None,
        authority: TokenAuthority::Admin {
            owner: OwnerId(person),
            grants: scopes.split_whitespace().map(Grant::new).collect(),
        },
    };
    let state = OwnerState::of(row.try_get("active")?, false);
    let owner = Owner { state, ..Owner::new(OwnerId(person), row.try_get::<String, _>("email")?) };
    let ceiling = Ceiling::Of(["articles.read", "articles.write"].map(Permission::new).into());
    Ok(Some(Record { token, owner: Some((owner, ceiling)), now: Timestamp(row.try_get("now")?) }))
}

#[derive(Debug)]
struct Log(PgAppStore);

#[async_trait]
impl ChangeLog for Log {
    async fn poll(&mut self, applied: Option<&Applied>) -> Result<Poll, StoreError> {
        let begin = self.0.db.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
        let mut tx = begin.await.map_err(unavailable)?;
        let head = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint, seq FROM key_epoch";
        let (now, head): (i64, i64) = sqlx::query_as(head).fetch_one(&mut *tx).await.map_err(unavailable)?;
        let from = applied.map_or(head, |applied| applied.seq.cast_signed());
        let rows = sqlx::query("SELECT * FROM key_change WHERE seq >= $1 ORDER BY seq LIMIT 1001").bind(from);
        let rows = rows.fetch_all(&mut *tx).await.map_err(unavailable)?;
        let mut changes = rows.iter().map(change).collect::<sqlx::Result<Vec<_>>>().map_err(unavailable)?;
        let is_applied =
            |change: &LoggedChange| applied.is_some_and(|a| a.seq == change.seq && a.op_id == change.op_id);
        let known = applied.is_none() || changes.first().is_some_and(is_applied);
        changes.retain(|change| !is_applied(change));
        Ok(Poll { now: Timestamp(now), head: head.cast_unsigned(), known, changes })
    }

    async fn hint(&mut self) {
        self.0.changed.notified().await;
    }

    async fn forget(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        let oldest = "DELETE FROM key_change WHERE seq IN (SELECT seq FROM key_change \
                      WHERE at < $1 AND seq < (SELECT seq FROM key_epoch) ORDER BY seq LIMIT 1000)";
        let deleted = sqlx::query(oldest).bind(before.0).execute(&self.0.db).await.map_err(unavailable)?;
        Ok(deleted.rows_affected())
    }
}

fn change(row: &PgRow) -> sqlx::Result<LoggedChange> {
    let person: Option<i64> = row.try_get("person_id")?;
    let digest: Option<String> = row.try_get("digest")?;
    let token = digest.map(|digest| Digest::from_hex(&digest).map_or(Tag::ALL, |digest| Tag::token(&digest)));
    let tags = token.into_iter().chain(person.map(|id| Tag::owner(OwnerId(id)))).collect();
    let seq: i64 = row.try_get("seq")?;
    let at = Timestamp(row.try_get("at")?);
    Ok(LoggedChange { seq: seq.cast_unsigned(), op_id: row.try_get("op_id")?, at, tags })
}

struct Application {
    store: PgAppStore,
    last: AtomicU8,
}

impl Application {
    /// `None` if this machine has no PostgreSQL.
    async fn new() -> Option<Self> {
        let db = PgPool::connect(&postgres::create_database().await?).await.unwrap();
        Some(Self { store: PgAppStore::create(db).await.unwrap(), last: AtomicU8::new(0) })
    }

    async fn insert_digest(&self, digest: &Digest, name: &str, action: &str) {
        let insert = "WITH owner AS (INSERT INTO person (email, active) VALUES ($1, TRUE) RETURNING id) \
                      INSERT INTO api_key (person_id, name, digest, scopes) SELECT id, $1, $2, $3 FROM owner";
        let insert = sqlx::query(insert).bind(name).bind(digest.to_hex()).bind(action);
        insert.execute(&self.store.db).await.unwrap();
    }
}

#[async_trait]
impl ReadOnlyBackend for Application {
    fn store(&self) -> &dyn Store {
        &self.store
    }

    fn actions(&self) -> [&'static str; 2] {
        ["articles.read", "articles.write"]
    }

    async fn insert(&self, name: &str, action: &'static str) -> Digest {
        let digest = Digest::Native([self.last.fetch_add(1, Ordering::Relaxed) + 1; 27]);
        self.insert_digest(&digest, name, action).await;
        digest
    }

    async fn set_expiry(&self, digest: &Digest, at: Timestamp) {
        let update = sqlx::query("UPDATE api_key SET expires_at = $2 WHERE digest = $1");
        update.bind(digest.to_hex()).bind(at.0).execute(&self.store.db).await.unwrap();
    }

    async fn revoke(&self, digest: &Digest) {
        let delete = sqlx::query("DELETE FROM api_key WHERE digest = $1");
        delete.bind(digest.to_hex()).execute(&self.store.db).await.unwrap();
    }

    async fn deactivate_owner(&self, digest: &Digest) -> bool {
        let update = "UPDATE person SET active = FALSE WHERE id = (SELECT person_id FROM api_key WHERE digest = $1)";
        sqlx::query(update).bind(digest.to_hex()).execute(&self.store.db).await.unwrap();
        true
    }
}

#[tokio::test]
async fn own_store_on_postgres_keeps_the_contract() {
    let Some(_) = postgres::shared_server() else { return };
    contract::read_only(async || Application::new().await.unwrap()).await;
}

/// Another program revokes a key: the trigger notifies the listener.
#[tokio::test]
async fn own_store_on_postgres_hears_of_changes_by_sql() {
    let Some(application) = Application::new().await else { return };
    let guard = guard(&application.store);
    let app = app(&guard);
    let new = guard.new_secret(TokenKind::Admin).unwrap();
    application.insert_digest(&new.digest, "ci", "articles.read").await;
    app.get("/api/articles").bearer(&new.secret).await.assert_ok();
    application.revoke(&new.digest).await;
    assert_eq!(rejected(&app, &new.secret).await, Reason::Invalid(InvalidCredential::Unknown));
}
