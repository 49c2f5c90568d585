//! Every store keeps the common contract, and SQLite's additions to it.

use keyward::MemoryStore;
use keyward::store::contract;
use keyward_test_support::postgres;

#[tokio::test]
async fn memory_keeps_the_contract() {
    contract::run(async || MemoryStore::default()).await;
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_keeps_the_contract() {
    let Some(_) = postgres::shared_server() else { return };
    contract::run(async || crate::connect_store(keyward::store::PostgresOptions::default()).await.unwrap()).await;
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use keyward::store::{Digest, SqliteOptions, Store, StoreError, Tag, WriteStore};
    use keyward::store::{NewRole, Transaction, contract};
    use keyward::time::{Clock, MonotonicTime, Timestamp};
    use keyward::{Permission, RoleId, SqliteStore};
    use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
    use sqlx::{Connection, Row, SqliteConnection, SqlitePool};
    use std::path::{Path, PathBuf};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use tempfile::TempDir;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn sqlite_keeps_the_contract() {
        let (dir, next) = (TempDir::new().unwrap(), AtomicU32::new(0));
        contract::run(async || {
            let file = dir.path().join(format!("{}.db", next.fetch_add(1, Ordering::Relaxed)));
            SqliteStore::open(file).await.unwrap()
        })
        .await;
    }

    #[tokio::test]
    async fn reopening_keeps_all_records() {
        let (_dir, file) = place();
        let store = SqliteStore::open(&file).await.unwrap();
        let role = add_role(&store, "editor").await;
        store.close().await;
        assert!(!file.with_extension("db-wal").exists(), "closing merges the log into the file");

        let store = SqliteStore::open_with(&file, SqliteOptions::default().readers(0)).await.unwrap();
        assert_eq!(seq(&store).await, 1);
        let mut tx = store.begin().await.unwrap();
        assert_eq!(tx.seq(), 2);
        assert_eq!(tx.role(role).await.unwrap().unwrap().permissions, [Permission::new("read")]);
    }

    #[tokio::test]
    async fn acknowledged_change_survives_without_closing() {
        let (_dir, file) = place();
        let store = SqliteStore::open(&file).await.unwrap();
        let role = add_role(&store, "editor").await;
        let left = left_behind(&file).await;
        assert!(left.begin().await.unwrap().role(role).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn process_that_ends_in_a_transaction_leaves_nothing() {
        let (_dir, file) = place();
        let store = SqliteStore::open(&file).await.unwrap();
        let mut tx = store.begin().await.unwrap();
        tx.insert_role(role("abandoned")).await.unwrap();
        let left = left_behind(&file).await;
        assert_eq!(seq(&left).await, 0);
        assert!(left.begin().await.unwrap().role_with_name("abandoned").await.unwrap().is_none());

        drop(tx);
        assert!(store.begin().await.unwrap().role_with_name("abandoned").await.unwrap().is_none());
        let open: Option<String> = scalar(&file, "SELECT op_id FROM keyward_epoch").await;
        assert_eq!(open, None, "no operation is open");
    }

    #[tokio::test]
    async fn handles_on_one_file_see_each_others_commits() {
        let (_dir, file) = place();
        let (one, two) = (SqliteStore::open(&file).await.unwrap(), SqliteStore::open(&file).await.unwrap());
        let role = add_role(&one, "editor").await;
        assert_eq!(seq(&two).await, 1);
        let mut tx = two.begin().await.unwrap();
        assert!(tx.role(role).await.unwrap().is_some());
        tx.set_permissions(role, &[]).await.unwrap();
        tx.commit(&[]).await.unwrap();
        assert_eq!(seq(&one).await, 2);
        assert!(one.begin().await.unwrap().role(role).await.unwrap().unwrap().permissions.is_empty());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn concurrent_creation_and_writes_of_one_file_succeed() {
        let (_dir, file) = place();
        let tasks: Vec<_> = (0..8)
            .map(|n| {
                let file = file.clone();
                tokio::spawn(async move {
                    let store = SqliteStore::open(file).await.unwrap();
                    add_role(&store, &format!("role {n}")).await
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(seq(&SqliteStore::open(&file).await.unwrap()).await, 8, "each change counts once");
    }

    #[tokio::test]
    async fn each_commit_writes_one_change_row() {
        let (_dir, file) = place();
        let store = SqliteStore::open_with(&file, SqliteOptions::default().clock(Arc::new(Stopped))).await.unwrap();
        let tags = [Tag::role(RoleId(7)), Tag(u64::MAX), Tag::ALL];
        store.begin().await.unwrap().commit(&tags).await.unwrap();
        drop(store.begin().await.unwrap());
        store.begin().await.unwrap().commit(&[]).await.unwrap();

        let mut connection = raw(&file).await;
        let rows =
            sqlx::query("SELECT seq, op_id, at, tags FROM keyward_change ORDER BY seq").fetch_all(&mut connection);
        let rows = rows.await.unwrap();
        let seqs: Vec<i64> = rows.iter().map(|r| r.get("seq")).collect();
        assert_eq!(seqs, [1, 2], "no gap, and nothing of the dropped transaction");
        assert_ne!(rows[0].get::<String, _>("op_id"), rows[1].get::<String, _>("op_id"));
        assert_eq!(rows[0].get::<i64, _>("at"), Stopped.now().0, "times come from the store's clock");
        let kept: Vec<i64> = serde_json::from_str(rows[0].get("tags")).unwrap();
        assert_eq!(kept, tags.map(|t| t.0.cast_signed()));
        assert_eq!(rows[1].get::<String, _>("tags"), "[]");
    }

    #[tokio::test]
    async fn in_memory_address_is_rejected() {
        for path in [":memory:", "", "file::memory:?cache=shared", "file:some.db"] {
            let message = rejection(SqliteStore::open(path).await);
            assert!(message.contains("names no file") && message.contains("MemoryStore"), "{path:?}: {message}");
        }
    }

    #[tokio::test]
    async fn file_that_is_not_a_database_is_rejected_and_unchanged() {
        let (_dir, file) = place();
        let text = "This is a letter, and not a database. ".repeat(200);
        std::fs::write(&file, &text).unwrap();
        let message = rejection(SqliteStore::open(&file).await);
        assert!(message.contains("is not an SQLite database"), "{message}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    }

    #[tokio::test]
    async fn missing_directory_is_reported() {
        let (dir, _) = place();
        let message = rejection(SqliteStore::open(dir.path().join("missing/keyward.db")).await);
        assert!(message.contains("missing does not exist: create it"), "{message}");
        let message = rejection(SqliteStore::open(dir.path()).await);
        assert!(message.contains("is a directory: name a file in it"), "{message}");
    }

    #[tokio::test]
    async fn file_of_a_newer_version_is_rejected() {
        let (_dir, file) = place();
        SqliteStore::open(&file).await.unwrap().close().await;
        let newer = "INSERT INTO keyward_migrations (version, description, success, checksum, execution_time) \
                     VALUES (99, 'later', TRUE, x'00', 0)";
        sqlx::query(newer).execute(&mut raw(&file).await).await.unwrap();
        let message = rejection(SqliteStore::open(&file).await);
        assert!(message.contains("migration 99") && message.contains("newer version"), "{message}");
    }

    /// Restores the schema before names were compared in normalized form.
    #[tokio::test]
    async fn migration_adds_comparable_names() {
        let (_dir, file) = place();
        let store = SqliteStore::open(&file).await.unwrap();
        let roles = [add_role(&store, "Author").await, add_role(&store, "other").await];
        let digest = issue(&store).await;
        let (before, owner) = (seq(&store).await, store.resolve(&digest).await.unwrap().record.unwrap().token);
        store.close().await;
        let older = "DROP INDEX keyward_role_comparable; ALTER TABLE keyward_role DROP COLUMN name_key; \
                     DROP INDEX keyward_token_name_in_scope; ALTER TABLE keyward_token DROP COLUMN name_scope; \
         ALTER TABLE keyward_token DROP COLUMN name_key; \
                     CREATE UNIQUE INDEX keyward_token_name ON keyward_token (name) WHERE kind <> 'session'; \
                     UPDATE keyward_epoch SET op_id = 'older'; UPDATE keyward_role SET name = 'AUTHOR' WHERE name = 'other'; \
                     UPDATE keyward_owner SET email = 'Cafe\u{301}@x', email_key = 'cafe\u{301}@x'; \
                     UPDATE keyward_epoch SET op_id = NULL; DELETE FROM keyward_migrations WHERE version IN (20, 40)";
        sqlx::raw_sql(older).execute(&mut raw(&file).await).await.unwrap();

        for _ in 0..2 {
            let store = SqliteStore::open(&file).await.unwrap();
            assert_eq!(seq(&store).await, before, "the migration is not a change of permissions");
            let mut tx = store.begin().await.unwrap();
            assert_eq!(tx.role_with_name("author").await.unwrap(), Some(roles[0]), "the older role has the name");
            assert_eq!(tx.role(roles[1]).await.unwrap().unwrap().name, "AUTHOR", "the other role keeps its spelling");
            assert_eq!(tx.role_with_name("SUPER ADMIN").await.unwrap(), Some(RoleId::SUPER_ADMIN));
            assert_eq!(
                tx.token_with_name(&owner.name.to_uppercase(), keyward::store::NameScope::Installation).await.unwrap(),
                Some(owner.id)
            );
            assert_eq!(tx.owner_with_email("CAFÉ@X").await.unwrap(), owner.owner());
            tx.update_role(roles[1], "writer", "").await.unwrap();
            drop(tx);
            store.close().await;
        }
    }

    #[tokio::test]
    async fn host_migrations_coexist() {
        use sqlx::SqlSafeStr;
        use sqlx::migrate::{Migration, MigrationType, Migrator};
        let (_dir, file) = place();
        let host = |pool: SqlitePool| async move {
            let sql = "CREATE TABLE IF NOT EXISTS article (id INTEGER PRIMARY KEY)".into_sql_str();
            let migration = Migration::new(1, "articles".into(), MigrationType::Simple, sql, false);
            Migrator::with_migrations(vec![migration]).run(&pool).await
        };
        let options = SqliteConnectOptions::new().filename(&file).create_if_missing(true);
        let pool = SqlitePoolOptions::new().connect_with(options).await.unwrap();
        host(pool.clone()).await.unwrap();
        let store = SqliteStore::open(&file).await.unwrap();
        add_role(&store, "editor").await;
        host(pool.clone()).await.unwrap();
        sqlx::query("INSERT INTO article (id) VALUES (1)").execute(&pool).await.unwrap();
        assert_eq!(seq(&SqliteStore::open(&file).await.unwrap()).await, 1);
        let hosts: i64 = scalar(&file, "SELECT COUNT(*) FROM _sqlx_migrations").await;
        assert_eq!(hosts, 1, "keyward's migrations are not among the host's");
    }

    #[tokio::test]
    async fn unreadable_row_is_corrupt_and_rejected() {
        let damages = [
            ("UPDATE keyward_token SET created_at = 'yesterday'", "created_at"),
            ("UPDATE keyward_grant SET chosen = 'own'", "grants"),
            ("UPDATE keyward_grant SET chosen = '[1]'", "grants"),
            ("DELETE FROM keyward_grant_field", "grants"),
            ("UPDATE keyward_grant SET all_fields = TRUE", "grants"),
            ("UPDATE keyward_role_permission SET conditions = '{}'", "permissions"),
            ("UPDATE keyward_role_permission SET action = CAST(x'ff' AS TEXT)", "permissions"),
            ("UPDATE keyward_owner SET state = 'retired'", "state"),
            ("UPDATE keyward_owner SET email = x'ff'", "email"),
            ("UPDATE keyward_token SET kind = 'other'", "kind"),
            ("UPDATE keyward_token SET kind = 'session'", "idle_ms"),
            (
                "INSERT INTO keyward_token_use (token_id, last_used_at) SELECT id, 'x' FROM keyward_token",
                "last_used_at",
            ),
            ("UPDATE keyward_epoch SET seq = -1", "seq"),
            ("DELETE FROM keyward_epoch", "keyward_epoch"),
        ];
        for (damage, column) in damages {
            let (_dir, file) = place();
            let store = SqliteStore::open(&file).await.unwrap();
            let digest = issue(&store).await;
            assert!(store.resolve(&digest).await.unwrap().record.is_some());
            let mut connection = raw(&file).await;
            sqlx::query("PRAGMA ignore_check_constraints = ON").execute(&mut connection).await.unwrap();
            sqlx::query(damage).execute(&mut connection).await.unwrap();
            let answer = store.resolve(&digest).await;
            let Err(StoreError::Corrupt(message)) = &answer else { panic!("{damage}: {answer:?}") };
            assert!(message.contains(column), "{damage}: {message}");
        }
    }

    #[tokio::test]
    async fn writer_that_waits_too_long_gets_an_error() {
        let (_dir, file) = place();
        let store = SqliteStore::open(&file).await.unwrap();
        let mut other = raw(&file).await;
        sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
        let (waiting, mine) = tokio::join!(store.begin(), SqliteStore::open(&file));
        assert!(matches!(waiting, Err(StoreError::Busy)), "another process writes");
        mine.expect("opening writes nothing if the tables are up to date").close().await;
        assert_eq!(seq(&store).await, 0, "readers do not wait");
        sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
        add_role(&store, "after").await;
        assert_eq!(seq(&store).await, 1, "the connection works as before");
    }

    #[tokio::test]
    async fn transaction_does_nothing_after_an_error() {
        let (_dir, file) = place();
        let store = SqliteStore::open(&file).await.unwrap();
        add_role(&store, "editor").await;
        let mut tx = store.begin().await.unwrap();
        tx.insert_role(role("first")).await.unwrap();
        assert!(matches!(tx.insert_role(role("editor")).await, Err(StoreError::Conflict(_))));
        assert!(tx.insert_role(role("second")).await.is_err());
        assert!(tx.commit(&[]).await.is_err(), "a failed transaction is not committed in part");
        let mut tx = store.begin().await.unwrap();
        assert_eq!(tx.seq(), 2);
        assert!(tx.role_with_name("first").await.unwrap().is_none());
    }

    fn place() -> (TempDir, PathBuf) {
        let dir = TempDir::new().unwrap();
        let file = dir.path().join("key ward?#%.db");
        (dir, file)
    }

    /// Opens a copy of the files, as a process killed now leaves them.
    async fn left_behind(file: &Path) -> SqliteStore {
        let copy = file.with_file_name("copy.db");
        for end in ["", "-wal"] {
            let name = |f: &Path| PathBuf::from(format!("{}{end}", f.display()));
            std::fs::copy(name(file), name(&copy)).unwrap();
        }
        SqliteStore::open(&copy).await.unwrap()
    }

    fn role(name: &str) -> NewRole {
        NewRole { name: name.into(), description: String::new(), permissions: vec![Permission::new("read")] }
    }

    async fn add_role(store: &SqliteStore, name: &str) -> RoleId {
        let mut tx: Box<dyn Transaction> = store.begin().await.unwrap();
        let id = tx.insert_role(role(name)).await.unwrap();
        tx.commit(&[Tag::role(id)]).await.unwrap();
        id
    }

    /// Creates an owner with a role, and an admin token with one grant for some fields.
    async fn issue(store: &SqliteStore) -> Digest {
        use keyward::authz::Fields;
        use keyward::store::{NameScope, NewToken};
        use keyward::testing::SecretFormat;
        use keyward::token::{OsEntropy, TokenAuthority, TokenKind};
        use keyward::{Grant, HashKey, NewOwner};
        let format = SecretFormat::new(&Default::default(), HashKey::generate().unwrap().0);
        let issued = format.issue(TokenKind::Admin, &OsEntropy).unwrap();
        let mut tx = store.begin().await.unwrap();
        let role = tx.insert_role(role("editor")).await.unwrap();
        let owner = NewOwner::new("a@b").roles([role]);
        let owner = tx.insert_owner(owner).await.unwrap();
        let grants = vec![Grant::new("read").fields(Fields::only(["title"]).unwrap())];
        let token = NewToken {
            name: "token".into(),
            scope: NameScope::Installation,
            description: String::new(),
            metadata: None,
            digest: issued.digest,
            hash_key: issued.hash_key,
            hint: issued.secret.hint().into(),
            lifespan: None,
            authority: TokenAuthority::Admin { owner, grants },
            limits: keyward::token::TokenLimits::none(),
            parent: None,
        };
        tx.insert_token(token).await.unwrap();
        tx.commit(&[]).await.unwrap();
        issued.digest
    }

    async fn seq(store: &SqliteStore) -> u64 {
        store.resolve(&Digest::Native([0; 27])).await.unwrap().seq
    }

    async fn raw(file: &Path) -> SqliteConnection {
        SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(file)).await.unwrap()
    }

    async fn scalar<T>(file: &Path, sql: &'static str) -> T
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite> + Send + Unpin,
    {
        sqlx::query_scalar(sql).fetch_one(&mut raw(file).await).await.unwrap()
    }

    /// Returns an error with all its causes.
    fn rejection(opened: Result<SqliteStore, StoreError>) -> String {
        let Err(error) = opened else { panic!("it was opened") };
        let mut message = error.to_string();
        let mut next = std::error::Error::source(&error);
        while let Some(source) = next {
            message = format!("{message}: {source}");
            next = source.source();
        }
        message
    }

    struct Stopped;

    impl Clock for Stopped {
        fn now(&self) -> Timestamp {
            Timestamp(1_700_000_000_123)
        }

        fn moment(&self) -> MonotonicTime {
            MonotonicTime(0)
        }
    }
}
