//! Backups of a database in use, and their restore while it is not in use.

use super::app;
use super::files::{chain, names, opened, place};
use keyward::store::StoreError;
use keyward::{NewRole, SqliteStore};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, Row};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

fn beside(file: &Path, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}{suffix}", file.display()))
}

fn rejection(done: Result<(), StoreError>) -> String {
    chain(&done.unwrap_err())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backup_is_consistent_while_others_write() {
    let (dir, file) = place();
    let world = opened(&file).await;
    let key = world.editor().issue().await;
    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn({
        let (keyward, stop) = (world.keyward.clone(), stop.clone());
        async move {
            for n in 0.. {
                if stop.load(Ordering::Relaxed) {
                    return n;
                }
                keyward.roles().create(NewRole::new(format!("written {n}"))).await.unwrap();
            }
            0
        }
    });
    let mut before = 0;
    for n in 0..3 {
        let copy = dir.path().join(format!("copy{n}"));
        if n == 1 {
            SqliteStore::backup_file(&file, &copy).await.unwrap();
        } else {
            world.store.backup(&copy).await.unwrap();
        }
        assert!(
            !names(&dir).iter().any(|name| name.starts_with("copy") && name.contains(['-', '.'])),
            "{:?}",
            names(&dir)
        );
        let mut connection = SqliteConnectOptions::new().filename(&copy).connect().await.unwrap();
        let whole: String = sqlx::query("PRAGMA integrity_check").fetch_one(&mut connection).await.unwrap().get(0);
        assert_eq!(whole, "ok");
        let both = "SELECT (SELECT seq FROM keyward_epoch), (SELECT COUNT(*) FROM keyward_change)";
        let both = sqlx::query(both).fetch_one(&mut connection).await.unwrap();
        let (seq, rows): (i64, i64) = (both.get(0), both.get(1));
        assert_eq!(seq, rows, "the backup is a snapshot of one moment");
        assert!(seq >= before);
        before = seq;
        connection.close().await.unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    assert!(writer.await.unwrap() > 0);
    app(&opened(&dir.path().join("copy2")).await).get("/admin/any").bearer(&key.secret).await.assert_ok();
}

#[tokio::test]
async fn failed_backup_replaces_nothing_and_leaves_nothing() {
    let (dir, file) = place();
    let world = opened(&file).await;
    let there = dir.path().join("there");
    fs::write(&there, "another file").unwrap();
    for done in [world.store.backup(&there).await, SqliteStore::backup_file(&file, &there).await] {
        let message = rejection(done);
        assert!(message.contains(&*there.to_string_lossy()) && message.contains("there already"), "{message}");
    }
    assert_eq!(fs::read_to_string(&there).unwrap(), "another file");
    let message = rejection(world.store.backup(dir.path().join("missing/copy")).await);
    assert!(message.contains("missing does not exist"), "{message}");
    let message = rejection(SqliteStore::backup_file(dir.path().join("none.db"), dir.path().join("copy")).await);
    assert!(message.contains("none.db"), "{message}");
    assert_eq!(names(&dir), ["keyward.db", "keyward.db-shm", "keyward.db-wal", "there"]);
}

#[tokio::test]
async fn restore_brings_back_the_backup_and_keeps_the_former_file() {
    let (dir, file) = place();
    let (world, copy) = (opened(&file).await, dir.path().join("copy"));
    let (gone, late) = (world.editor().issue().await, world.editor());
    world.store.backup(&copy).await.unwrap();
    let late = late.issue().await;
    world.keyward.tokens().revoke(gone.id).await.unwrap();
    let message = rejection(SqliteStore::restore(&copy, &file).await);
    assert!(message.contains(&*file.to_string_lossy()) && message.contains("open in another process"), "{message}");
    app(&world).get("/admin/any").bearer(&late.secret).await.assert_ok();
    world.keyward.shutdown().await;

    SqliteStore::restore(&copy, &file).await.unwrap();
    assert_eq!(names(&dir), ["copy", "keyward.db", "keyward.db.before-restore"]);
    let restored = opened(&file).await;
    app(&restored).get("/admin/any").bearer(&gone.secret).await.assert_ok();
    app(&restored).get("/admin/any").bearer(&late.secret).await.assert_status(401);
    restored.keyward.shutdown().await;
    let kept = opened(&beside(&file, ".before-restore")).await;
    app(&kept).get("/admin/any").bearer(&late.secret).await.assert_ok();
}

#[tokio::test]
async fn file_that_is_not_a_backup_is_not_restored() {
    let (dir, file) = place();
    let world = opened(&file).await;
    let key = world.editor().issue().await;
    world.keyward.shutdown().await;
    let (letter, other) = (dir.path().join("letter"), dir.path().join("other"));
    fs::write(&letter, "a letter, and no database. ".repeat(100)).unwrap();
    let mut connection = SqliteConnectOptions::new().filename(&other).create_if_missing(true).connect().await.unwrap();
    sqlx::query("CREATE TABLE article (id INT)").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    for (from, why) in [
        (&letter, "not an SQLite database"),
        (&other, "no tables of keyward"),
        (&dir.path().join("none"), "no such file"),
    ] {
        let message = rejection(SqliteStore::restore(from, &file).await);
        assert!(message.contains(&*from.to_string_lossy()) && message.contains(why), "{message}");
    }
    assert_eq!(names(&dir), ["keyward.db", "letter", "other"]);
    app(&opened(&file).await).get("/admin/any").bearer(&key.secret).await.assert_ok();
}

/// Copies the files as a process killed now leaves them. The database was written `age` seconds ago, its log ten.
#[allow(clippy::disallowed_methods, reason = "times of files")]
fn killed(file: &Path, to: &Path, age: u64) {
    for suffix in ["", "-wal", "-shm"] {
        fs::copy(beside(file, suffix), beside(to, suffix)).unwrap();
    }
    for (suffix, age) in [("", age), ("-wal", 10)] {
        let file = File::options().write(true).open(beside(to, suffix)).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
    }
}

/// The log of a killed process would be replayed into the backup.
#[tokio::test]
async fn backup_copied_over_a_database_and_its_log_is_rejected() {
    let (dir, file) = place();
    let (world, backup) = (opened(&file).await, dir.path().join("backup"));
    let (early, late) = (world.editor().issue().await, world.editor());
    world.store.backup(&backup).await.unwrap();
    let late = late.issue().await;
    // After a checkpoint of the whole log, the file is younger than the log in regular use, too.
    for (moved, age) in [(false, 20), (true, 5)] {
        if moved {
            let mut connection = SqliteConnectOptions::new().filename(&file).connect().await.unwrap();
            sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").execute(&mut connection).await.unwrap();
            connection.close().await.unwrap();
        }
        let left = dir.path().join(format!("left-{moved}.db"));
        killed(&file, &left, age);
        app(&opened(&left).await).get("/admin/any").bearer(&late.secret).await.assert_ok();

        let copied_over = dir.path().join(format!("copied-over-{moved}.db"));
        killed(&file, &copied_over, age);
        fs::copy(&backup, &copied_over).unwrap();
        let message = rejection(SqliteStore::open(&copied_over).await.map(drop));
        for part in [&*copied_over.to_string_lossy(), "-wal", "-shm", "copied over"] {
            assert!(message.contains(part), "{part}: {message}");
        }
        assert!(rejection(SqliteStore::backup_file(&copied_over, dir.path().join("x")).await).contains("copied over"));
        for suffix in ["-wal", "-shm"] {
            fs::remove_file(beside(&copied_over, suffix)).unwrap();
        }
        let restored = opened(&copied_over).await;
        app(&restored).get("/admin/any").bearer(&early.secret).await.assert_ok();
        app(&restored).get("/admin/any").bearer(&late.secret).await.assert_status(401);
    }
}

/// A restore also moves the log of a killed process away.
#[tokio::test]
async fn restore_is_not_undone_by_the_log_of_a_killed_process() {
    let (dir, file) = place();
    let (world, backup) = (opened(&file).await, dir.path().join("backup"));
    let (early, late) = (world.editor().issue().await, world.editor());
    world.store.backup(&backup).await.unwrap();
    let late = late.issue().await;
    let left = dir.path().join("left.db");
    killed(&file, &left, 20);
    SqliteStore::restore(&backup, &left).await.unwrap();
    let restored = opened(&left).await;
    app(&restored).get("/admin/any").bearer(&early.secret).await.assert_ok();
    app(&restored).get("/admin/any").bearer(&late.secret).await.assert_status(401);
    let kept = opened(&beside(&left, ".before-restore")).await;
    app(&kept).get("/admin/any").bearer(&late.secret).await.assert_ok();
}
