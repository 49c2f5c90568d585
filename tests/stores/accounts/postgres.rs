//! On PostgreSQL.

use super::*;
use keyward::PostgresStore;
use keyward_test_support::postgres;
use sqlx::Row;
use sqlx::postgres::PgPoolOptions;

type Pool = sqlx::PgPool;
type Tx = sqlx::Transaction<'static, sqlx::Postgres>;

const USERS: &str =
    "CREATE TABLE app_user (id TEXT PRIMARY KEY, name TEXT NOT NULL, active BOOLEAN NOT NULL, role TEXT NOT NULL);
    INSERT INTO app_user VALUES ('ada', 'Ada', TRUE, 'editor'), ('eve', 'Eve', TRUE, 'editor')";

/// The application is in another schema than keyward, and its search path does not name that.
const TRIGGER: &str = "CREATE FUNCTION report_user() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM keyward.keyward_account_changed(COALESCE(NEW.id, OLD.id));
        RETURN NULL;
    END $$;
    CREATE TRIGGER report_user AFTER UPDATE OR DELETE ON app_user FOR EACH ROW EXECUTE FUNCTION report_user()";

fn pool(url: &str) -> Pool {
    PgPoolOptions::new().max_connections(8).connect_lazy(url).unwrap()
}

async fn node(pool: &Pool) -> Node {
    let options = keyward::store::PostgresOptions::default().schema("keyward");
    let store = PostgresStore::from_pool_with(pool.clone(), options).await.unwrap();
    Node::on(store, |builder| builder.accounts(Users(pool.clone())))
}

async fn open(url: &str) -> Scene<Pool> {
    let pool = pool(url);
    Scene { one: node(&pool).await, two: node(&pool).await, pool }
}

async fn scene_with_name() -> Option<(String, Scene<Pool>)> {
    let url = postgres::create_database().await?;
    sqlx::raw_sql(USERS).execute(&pool(&url)).await.unwrap();
    let scene = open(&url).await;
    Some((url, scene))
}

async fn scene() -> Option<Scene<Pool>> {
    scene_with_name().await.map(|(_, scene)| scene)
}

const COUNT_REPORTS: &str = "SELECT COUNT(*) FROM keyward.keyward_account_change";

async fn begin(pool: &Pool) -> Tx {
    pool.begin().await.unwrap()
}

tests_of_an_engine!(scene(), scene_with_name(), begin);
