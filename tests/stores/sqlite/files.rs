//! The file of a store: closed, replaced, moved, and its access rights.

use super::app;
use keyward::SqliteStore;
use keyward::store::SqliteOptions;
use keyward::store::{NewRole, Store, WriteStore};
use keyward::testing::{ManualClock, World};
use keyward::time::Timestamp;
use keyward::token::OsEntropy;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Row};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// Longer than a lease.
const LATER: Duration = Duration::from_secs(3);

pub(super) fn place() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("keyward.db");
    (dir, file)
}

/// Returns an installation that follows the log of changes.
pub(super) async fn opened(file: &Path) -> World<SqliteStore> {
    let clock = Arc::new(ManualClock::default());
    let options = SqliteOptions::default().clock(clock.clone());
    let store = SqliteStore::open_with(file, options).await.unwrap_or_else(|error| panic!("{}", chain(&error)));
    World::on(store, clock, |b| b.entropy(Arc::new(OsEntropy)))
}

/// Returns an error with all its causes.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", chain(cause)),
        None => error.to_string(),
    }
}

pub(super) fn names(dir: &TempDir) -> Vec<String> {
    let files = fs::read_dir(dir.path()).unwrap();
    let mut names: Vec<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn role(name: &str) -> NewRole {
    NewRole { name: name.into(), description: String::new(), permissions: vec![] }
}

#[tokio::test]
async fn shutdown_leaves_one_complete_file() {
    let (dir, file) = place();
    let world = opened(&file).await;
    world.keyward.set_up().await.unwrap();
    let key = world.editor().with("admin::webhooks.read").issue().await;
    let app = app(&world);
    app.get("/admin/hooks").bearer(&key.secret).await.assert_ok();
    assert_eq!(names(&dir), ["keyward.db", "keyward.db-shm", "keyward.db-wal"]);
    world.keyward.shutdown().await;
    assert_eq!(names(&dir), ["keyward.db"]);
    // Read the file only: SQLite ignores the log of an immutable file.
    let alone = SqliteConnectOptions::new().filename(&file).immutable(true).read_only(true);
    let tokens = sqlx::query("SELECT COUNT(*) FROM keyward_token_use");
    let used: i64 = tokens.fetch_one(&mut alone.connect().await.unwrap()).await.unwrap().get(0);
    assert_eq!(used, 1, "the last recorded use is in it");
    // The file is not opened again.
    world.clock.advance(LATER);
    app.get("/admin/hooks").bearer(&key.secret).await.assert_status(503);
    assert!(world.keyward.tokens().revoke(key.id).await.is_err());
    world.keyward.shutdown().await;
    assert_eq!(names(&dir), ["keyward.db"]);
}

#[tokio::test]
async fn replaced_file_is_noticed_within_the_lease_and_takes_no_change() {
    let (dir, file) = place();
    let (world, copy) = (opened(&file).await, dir.path().join("copy.db"));
    let (cached, cold) = (world.editor().issue().await, world.editor().issue().await);
    let app = app(&world);
    app.get("/admin/any").bearer(&cached.secret).await.assert_ok();
    world.store.backup(&copy).await.unwrap();
    // This change is in the log of the replaced file, and not in the copy.
    world.keyward.tokens().revoke(cold.id).await.unwrap();
    let mut begun = world.keyward.store().begin().await.unwrap();
    begun.insert_role(role("lost")).await.unwrap();
    fs::rename(&copy, &file).unwrap();

    begun.commit(&[]).await.unwrap_err();
    app.get("/admin/any").bearer(&cold.secret).await.assert_status(503);
    let message = chain(&world.keyward.tokens().revoke(cached.id).await.unwrap_err());
    assert!(message.contains(&*file.to_string_lossy()) && message.contains("another file"), "{message}");
    world.clock.advance(LATER);
    app.get("/admin/any").bearer(&cached.secret).await.assert_status(503);
    assert!(!world.keyward.health().ready);
    world.keyward.shutdown().await;
    assert_eq!(names(&dir), ["keyward.db", "keyward.db-shm", "keyward.db-wal"], "the log is emptied, not removed");
    assert_eq!(fs::metadata(file.with_extension("db-wal")).unwrap().len(), 0);

    let next = opened(&file).await;
    for key in [&cached, &cold] {
        super::app(&next).get("/admin/any").bearer(&key.secret).await.assert_ok();
    }
    assert!(next.keyward.store().view().await.unwrap().role_with_name("lost").await.unwrap().is_none());
    next.keyward.tokens().revoke(cached.id).await.unwrap();
}

#[tokio::test]
async fn moved_file_is_used_again_when_it_is_back() {
    let (dir, file) = place();
    let world = opened(&file).await;
    let (key, cold) = (world.editor().issue().await, world.editor().issue().await);
    let (app, away) = (app(&world), dir.path().join("away.db"));
    // Use a connection that stays open.
    world.keyward.store().sign_in_candidate("ada@example.test").await.unwrap();
    fs::rename(&file, &away).unwrap();
    app.get("/admin/any").bearer(&cold.secret).await.assert_status(503);
    let message = chain(&world.keyward.tokens().revoke(key.id).await.unwrap_err());
    assert!(message.contains(&*file.to_string_lossy()) && message.contains("no longer there"), "{message}");
    let now = [keyward::store::Use {
        token: key.id,
        digest: keyward::store::Digest::Native([0; 27]),
        at: Timestamp(1),
        address: None,
        tool: None,
    }];
    assert!(world.keyward.store().note_uses(&now).await.is_err());
    assert!(world.keyward.store().sign_in_candidate("ada@example.test").await.is_err());
    assert!(!file.exists(), "no connection created a new file");
    fs::rename(&away, &file).unwrap();
    app.get("/admin/any").bearer(&cold.secret).await.assert_ok();
    world.keyward.tokens().revoke(key.id).await.unwrap();
    world.keyward.shutdown().await;
    let next = opened(&file).await;
    super::app(&next).get("/admin/any").bearer(&key.secret).await.assert_status(401);
    super::app(&next).get("/admin/any").bearer(&cold.secret).await.assert_ok();
}

#[tokio::test]
async fn emptied_file_is_503() {
    let (_dir, file) = place();
    let world = opened(&file).await;
    let key = world.editor().issue().await;
    fs::File::create(&file).unwrap();
    app(&world).get("/admin/any").bearer(&key.secret).await.assert_status(503);
    let message = chain(&world.keyward.tokens().revoke(key.id).await.unwrap_err());
    assert!(message.contains(&*file.to_string_lossy()) && message.contains("emptied"), "{message}");
}

#[cfg(unix)]
#[tokio::test]
async fn files_are_readable_by_their_owner_only() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let (dir, file) = place();
    let world = opened(&file).await;
    world.editor().issue().await;
    world.store.backup(dir.path().join("keyward.db.backup")).await.unwrap();
    assert_eq!(names(&dir).len(), 4);
    for name in names(&dir) {
        assert_eq!(fs::metadata(dir.path().join(&name)).unwrap().mode() & 0o777, 0o600, "{name}");
    }
    world.keyward.shutdown().await;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    opened(&file).await;
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o640, "the operator's mode is kept");
}
