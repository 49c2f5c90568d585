//! Events within a transaction of the host: they have their ids before they are visible.

use super::{Scene, next};
use futures_util::FutureExt;
use keyward::admin::{Cursor, LifecycleChange};
use keyward::token::ContentAccess;
use keyward::{NewContentToken, NewRole, PostgresStore, SqliteStore};
use keyward_test_support::postgres as server;
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};

fn new(name: &str) -> NewContentToken {
    NewContentToken::new(name, ContentAccess::ReadOnly)
}

/// Stages changes in transactions of the host, while another node waits to commit one.
macro_rules! story {
    ($scene:ident, $begin:expr) => {{
        let (one, two) = (&$scene.one.keyward, &$scene.two.keyward);
        let mut follow = two.audit().follow(Cursor::start());
        for n in 0..4 {
            let is_committed = n % 2 == 0;
            let mut transaction = $begin;
            let staged = one.tokens().within(&mut transaction).issue_content(new(&format!("{n}"))).await.unwrap();
            let other = tokio::spawn({
                let two = two.clone();
                async move { two.roles().create(NewRole::new(format!("{n}"))).await.unwrap().id }
            });
            // The event has an id by now, and no reader skips it.
            let end = two.audit().last_cursor().await.unwrap();
            let mut late = two.audit().follow(end);
            for _ in 0..50 {
                assert!(
                    follow.next_now().is_none() && late.next_now().is_none(),
                    "nothing is visible before the commit"
                );
                tokio::task::yield_now().await;
            }
            match is_committed {
                true => {
                    transaction.commit().await.unwrap();
                    staged.committed();
                }
                false => transaction.rollback().await.unwrap(),
            }
            let role = other.await.unwrap();
            for follow in [&mut follow, &mut late] {
                if is_committed {
                    let LifecycleChange::TokenIssued { token, .. } = next(follow).await.change else { panic!() };
                    assert_eq!(token.name, Some(format!("{n}")));
                }
                assert_eq!(next(follow).await.change, LifecycleChange::RoleCreated(role), "in the order of commits");
            }
        }
    }};
}

trait NextNow {
    fn next_now(&mut self) -> Option<String>;
}

impl NextNow for keyward::admin::Follow {
    fn next_now(&mut self) -> Option<String> {
        use futures_util::StreamExt;
        self.next().now_or_never().map(|event| format!("{event:?}"))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn staged_events_are_followed_in_the_order_of_commits_on_sqlite() {
    let directory = tempfile::tempdir().unwrap();
    let file = SqliteConnectOptions::new().filename(directory.path().join("app.db"));
    let file = file.create_if_missing(true).journal_mode(SqliteJournalMode::Wal);
    let pool = SqlitePoolOptions::new().max_connections(4).connect_with(file).await.unwrap();
    let one = SqliteStore::from_pool(pool.clone()).await.unwrap();
    let two = SqliteStore::open(directory.path().join("app.db")).await.unwrap();
    let scene = Scene::new(one, two, std::sync::Arc::default(), None, None);
    story!(scene, pool.begin_with("BEGIN IMMEDIATE").await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn staged_events_are_followed_in_the_order_of_commits_on_postgres() {
    let Some(url) = server::create_database().await else { return };
    let pool = PgPoolOptions::new().max_connections(8).connect_lazy(&url).unwrap();
    let one = PostgresStore::from_pool(pool.clone()).await.unwrap();
    let two = PostgresStore::connect(&url).await.unwrap();
    let scene = Scene::new(one, two, std::sync::Arc::default(), None, None);
    story!(scene, pool.begin().await.unwrap());
}
