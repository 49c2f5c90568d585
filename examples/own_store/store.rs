//! A store over an application's own tables. Its parts are shown and explained in `src/guide/own_stores.md`.

use async_trait::async_trait;
use keyward::admin::{Owner, OwnerState};
use keyward::authz::Ceiling;
use keyward::guard::Guard;
use keyward::store::{
    Applied, ChangeLog, Digest, Following, KeyCheck, LoggedChange, Poll, Record, Snapshot, Store, StoreError, Tag, Use,
};
use keyward::time::Timestamp;
use keyward::token::{Secret, Token, TokenAuthority, TokenId, TokenKind, TokenLimits};
use keyward::{Grant, OwnerId, Permission};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqlitePool};
use std::error::Error;
use std::sync::Arc;
use tokio::sync::Notify;

const TABLES: &str = "
CREATE TABLE person (
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- no id is used twice
    email TEXT NOT NULL,
    role TEXT NOT NULL,
    active BOOLEAN NOT NULL
);

CREATE TABLE api_key (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    person_id INTEGER NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    digest TEXT NOT NULL UNIQUE, -- of the secret, which is not stored
    hash_key TEXT NOT NULL, -- the name of the key that made the digest
    hint TEXT NOT NULL, -- the last four characters of the secret
    scopes TEXT NOT NULL, -- actions, with spaces between
    created_at INTEGER NOT NULL DEFAULT (CAST(unixepoch('subsec') * 1000 AS INTEGER)),
    expires_at INTEGER,
    last_used_at INTEGER,
    UNIQUE (person_id, name)
);
";

const CHANGES: &str = "
CREATE TABLE key_change (
    seq INTEGER PRIMARY KEY, -- one more than the last: SQLite has one writer at a time
    op_id TEXT NOT NULL DEFAULT (lower(hex(randomblob(16)))),
    at INTEGER NOT NULL DEFAULT (CAST(unixepoch('subsec') * 1000 AS INTEGER)),
    person_id INTEGER, -- the keys of this person are stale
    digest TEXT -- this key is stale
);

CREATE TRIGGER person_updated AFTER UPDATE ON person
BEGIN INSERT INTO key_change (person_id) VALUES (OLD.id); END;

CREATE TRIGGER person_deleted AFTER DELETE ON person
BEGIN INSERT INTO key_change (person_id) VALUES (OLD.id); END;

CREATE TRIGGER key_inserted AFTER INSERT ON api_key
BEGIN INSERT INTO key_change (digest) VALUES (NEW.digest); END;

CREATE TRIGGER key_updated AFTER UPDATE ON api_key
WHEN NEW.last_used_at IS OLD.last_used_at -- a use is not a change
BEGIN INSERT INTO key_change (digest) VALUES (OLD.digest), (NEW.digest); END;

CREATE TRIGGER key_deleted AFTER DELETE ON api_key
BEGIN INSERT INTO key_change (digest) VALUES (OLD.digest); END;
";

/// The tables of the application, as keyward reads them. Clones share the pool.
#[derive(Clone, Debug)]
pub(crate) struct AppStore {
    db: SqlitePool,
    changed: Arc<Notify>,
}

impl AppStore {
    /// Creates the tables in an empty database.
    pub(crate) async fn create(db: SqlitePool) -> sqlx::Result<Self> {
        sqlx::raw_sql(TABLES).execute(&db).await?;
        sqlx::raw_sql(CHANGES).execute(&db).await?;
        Ok(Self { db, changed: Arc::default() })
    }

    /// Wakes the reader of the log. Call it after each commit that concerns people or keys.
    pub(crate) fn announce(&self) {
        self.changed.notify_one();
    }
}

/// Returns the permissions of a role, which the application keeps in its code.
fn ceiling(role: &str) -> Ceiling {
    let actions: &[&str] = match role {
        "editor" => &["articles.read", "articles.write"],
        "reader" => &["articles.read"],
        _ => &[],
    };
    Ceiling::Of(actions.iter().map(|action| Permission::new(*action)).collect())
}

impl AppStore {
    /// Issues a key to a person. The secret is shown once.
    pub(crate) async fn issue(
        &self,
        guard: &Guard,
        person: i64,
        name: &str,
        scopes: &[&str],
    ) -> Result<Secret, Box<dyn Error + Send + Sync>> {
        let role: String =
            sqlx::query_scalar("SELECT role FROM person WHERE id = ?1").bind(person).fetch_one(&self.db).await?;
        for scope in scopes {
            ceiling(&role).check(&Grant::new(*scope))?;
        }
        let new = guard.new_secret(TokenKind::Admin)?;
        let insert = "INSERT INTO api_key (person_id, name, digest, hash_key, hint, scopes) \
                      VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let insert = sqlx::query(insert).bind(person).bind(name).bind(new.digest.to_hex());
        let insert = insert.bind(new.hash_key.as_str()).bind(new.secret.hint()).bind(scopes.join(" "));
        insert.execute(&self.db).await?;
        self.announce();
        Ok(new.secret)
    }

    /// Revokes a key of a person; false if there was none with this name.
    pub(crate) async fn revoke(&self, person: i64, name: &str) -> sqlx::Result<bool> {
        let delete = sqlx::query("DELETE FROM api_key WHERE person_id = ?1 AND name = ?2").bind(person).bind(name);
        let deleted = delete.execute(&self.db).await?.rows_affected() > 0;
        self.announce();
        Ok(deleted)
    }
}

/// One statement reads one snapshot: the last change, the key, and its person.
const RESOLVE: &str = "
SELECT last.seq, last.op_id, CAST(unixepoch('subsec') * 1000 AS INTEGER) AS now,
    k.id, k.name, k.hint, k.scopes, k.created_at, k.expires_at, k.last_used_at,
    p.id AS person_id, p.email, p.role, p.active
FROM (SELECT 1)
LEFT JOIN (SELECT seq, op_id FROM key_change ORDER BY seq DESC LIMIT 1) AS last ON TRUE
LEFT JOIN api_key AS k ON k.digest = ?1
LEFT JOIN person AS p ON p.id = k.person_id
";

#[async_trait]
impl Store for AppStore {
    async fn resolve(&self, digest: &Digest) -> Result<Snapshot, StoreError> {
        let row = sqlx::query(RESOLVE).bind(digest.to_hex()).fetch_one(&self.db).await.map_err(unavailable)?;
        snapshot(&row, digest).map_err(unavailable)
    }

    async fn note_uses(&self, uses: &[Use]) -> Result<(), StoreError> {
        let mut tx = self.db.begin().await.map_err(unavailable)?;
        for used in uses {
            let latest = "UPDATE api_key SET last_used_at = max(coalesce(last_used_at, 0), ?2) WHERE id = ?1";
            let latest = sqlx::query(latest).bind(used.token.0).bind(used.at.0);
            latest.execute(&mut *tx).await.map_err(unavailable)?;
        }
        tx.commit().await.map_err(unavailable)
    }

    fn following(&self) -> Following {
        Following::Log(Box::new(Log(self.clone())))
    }

    async fn key_checks(&self) -> Result<Option<Vec<KeyCheck>>, StoreError> {
        Ok(None) // there are no check values of keys
    }

    async fn close(&self) {} // the pool is the application's
}

/// A database that cannot be read is an error: the answer is 503, and no key is taken for an unknown one.
fn unavailable(error: sqlx::Error) -> StoreError {
    StoreError::Unavailable(Box::new(error))
}

fn snapshot(row: &SqliteRow, digest: &Digest) -> sqlx::Result<Snapshot> {
    let seq: Option<i64> = row.try_get("seq")?;
    let seq = seq.unwrap_or(0).cast_unsigned();
    Ok(Snapshot { seq, op_id: row.try_get("op_id")?, record: record(row, digest)? })
}

fn record(row: &SqliteRow, digest: &Digest) -> sqlx::Result<Option<Record>> {
    let (Some(id), Some(person)) = (row.try_get("id")?, row.try_get("person_id")?) else { return Ok(None) };
    let time = |column| row.try_get::<Option<i64>, _>(column).map(|ms| ms.map(Timestamp));
    let scopes: String = row.try_get("scopes")?;
    let grants = scopes.split_whitespace().map(Grant::new).collect();
    let created_at = Timestamp(row.try_get("created_at")?);
    let token = Token {
        metadata: None,
        id: TokenId(id),
        name: row.try_get("name")?,
        description: String::new(),
        digest: *digest,
        hint: row.try_get("hint")?,
        lifespan: None,
        expires_at: time("expires_at")?,
        created_at,
        updated_at: created_at,
        last_used_at: time("last_used_at")?,
        last_used_tool: None,
        limits: TokenLimits::none(),
        secret_used: None,
        previous: None,
        ancestors: Vec::new(),
        parent_secret: None,
        authority: TokenAuthority::Admin { owner: OwnerId(person), grants },
    };
    // Without roles, which are of keyward's tables: this application's role is in the ceiling.
    let state = OwnerState::of(row.try_get("active")?, false);
    let owner = Owner {
        state,
        created_at,
        updated_at: created_at,
        ..Owner::new(OwnerId(person), row.try_get::<String, _>("email")?)
    };
    let role: String = row.try_get("role")?;
    Ok(Some(Record { token, owner: Some((owner, ceiling(&role))), now: Timestamp(row.try_get("now")?) }))
}

#[derive(Debug)]
struct Log(AppStore);

#[async_trait]
impl ChangeLog for Log {
    async fn poll(&mut self, applied: Option<&Applied>) -> Result<Poll, StoreError> {
        // One snapshot for both statements.
        let mut tx = self.0.db.begin().await.map_err(unavailable)?;
        let head = "SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER), coalesce(max(seq), 0) FROM key_change";
        let (now, head): (i64, i64) = sqlx::query_as(head).fetch_one(&mut *tx).await.map_err(unavailable)?;
        // From the applied change on, which shows whether the log still has it; at first, only the last change.
        let from = applied.map_or(head, |applied| applied.seq.cast_signed());
        let rows = sqlx::query("SELECT * FROM key_change WHERE seq >= ?1 ORDER BY seq LIMIT 1001").bind(from);
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
                      WHERE at < ?1 AND seq < (SELECT max(seq) FROM key_change) ORDER BY seq LIMIT 1000)";
        let deleted = sqlx::query(oldest).bind(before.0).execute(&self.0.db).await.map_err(unavailable)?;
        Ok(deleted.rows_affected())
    }
}

fn change(row: &SqliteRow) -> sqlx::Result<LoggedChange> {
    let person: Option<i64> = row.try_get("person_id")?;
    let digest: Option<String> = row.try_get("digest")?;
    // A digest that cannot be read concerns all keys.
    let token = digest.map(|digest| Digest::from_hex(&digest).map_or(Tag::ALL, |digest| Tag::token(&digest)));
    let tags = token.into_iter().chain(person.map(|id| Tag::owner(OwnerId(id)))).collect();
    let seq: i64 = row.try_get("seq")?;
    let at = Timestamp(row.try_get("at")?);
    Ok(LoggedChange { seq: seq.cast_unsigned(), op_id: row.try_get("op_id")?, at, tags })
}
