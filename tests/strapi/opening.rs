//! What is said of a database that cannot be read as the reference's.

use crate::house::House;
use keyward::strapi::{StrapiOptions, StrapiStore};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::error::Error;

/// The whole chain of what is wrong.
async fn wrong(address: &str) -> String {
    let error = StrapiStore::open(address).await.expect_err(address);
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        told += &format!(": {error}");
        cause = error.source();
    }
    told
}

#[tokio::test]
async fn addresses_and_files() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name);
    std::fs::write(file("text.db"), "no database at all, but long enough to have a header of its own: ".repeat(20))
        .unwrap();
    std::fs::write(file("empty.db"), "").unwrap();
    let sqlite = |name: &str| format!("sqlite:{}", file(name).display());
    for (address, says) in [
        (sqlite("none.db"), "there is no such file"),
        (sqlite("text.db"), "text.db is not an SQLite database"),
        (sqlite("empty.db"), "none of Strapi's tables is there"),
        ("sqlite:".to_owned(), "names no file"),
        ("sqlite::memory:".to_owned(), "names no file"),
        ("data.db".to_owned(), "write sqlite:FILE or postgres://"),
        ("mysql://root:hunter2@localhost/x".to_owned(), "write sqlite:FILE or postgres://"),
        ("postgres:hunter2".to_owned(), "write postgres://"),
        ("postgres://u:hunter2@127.0.0.1:1/x".to_owned(), "refused"),
    ] {
        let told = wrong(&address).await;
        assert!(told.contains(says) && !told.contains("hunter2"), "{address}: {told}");
    }
    assert!(!file("none.db").exists(), "nothing is made");
}

#[tokio::test]
async fn schemas() {
    for mut house in House::on_both().await {
        StrapiStore::open(&house.address).await.unwrap().close().await;
        for (change, back, says) in [
            (
                "ALTER TABLE strapi_api_tokens RENAME COLUMN kind TO sort",
                "ALTER TABLE strapi_api_tokens RENAME COLUMN sort TO kind",
                "the table strapi_api_tokens has no column kind: the schema is not that of Strapi 5.54",
            ),
            (
                "ALTER TABLE admin_users_roles_lnk RENAME TO other",
                "ALTER TABLE other RENAME TO admin_users_roles_lnk",
                "there is no table admin_users_roles_lnk: the schema is not that of Strapi 5.54",
            ),
            (
                "ALTER TABLE admin_permissions_role_lnk RENAME TO admin_permissions_role_links",
                "ALTER TABLE admin_permissions_role_links RENAME TO admin_permissions_role_lnk",
                "Strapi 4",
            ),
        ] {
            house.sql(change).await;
            let told = wrong(&house.address).await;
            assert!(told.contains(says), "{told}");
            house.sql(back).await;
        }
        StrapiStore::open(&house.address).await.unwrap().close().await;
    }
}

#[tokio::test]
async fn a_column_of_another_type_is_said_at_the_start() {
    let Some(mut house) = House::on_postgres().await else { return };
    house.sql("ALTER TABLE strapi_api_tokens ALTER COLUMN expires_at TYPE TEXT").await;
    let told = wrong(&house.address).await;
    assert!(told.contains("the tables cannot be read: check that the role may SELECT"), "{told}");
}

#[tokio::test]
async fn a_role_that_may_only_read_is_enough_and_one_that_may_not_is_told() {
    let Some(mut house) = House::on_postgres().await else { return };
    let secret = house.token(1, "NULL", "'full-access'").await;
    let mut root = PgConnection::connect(&house.address).await.unwrap();
    let role = format!("guest_{}", std::process::id());
    let mut by_root = async |text: String| sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut root).await.unwrap();
    by_root(format!("CREATE ROLE {role} LOGIN PASSWORD 'x'")).await;
    let (scheme, rest) = house.address.split_once("//").unwrap();
    let address = format!("{scheme}//{role}:x@{}", rest.split_once('@').unwrap().1);
    let told = wrong(&address).await;
    assert!(told.contains("may SELECT") && told.contains("permission denied"), "{told}");
    by_root(format!("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")).await;
    let store = StrapiStore::open(&address).await.unwrap();
    assert_eq!(crate::house::ask(&house.keyward_on(store), &secret).await.1, 200);
    by_root(format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

/// A backup that is put back, say: whoever has the older file open would read that for ever.
#[cfg(unix)]
#[tokio::test]
async fn a_file_that_took_anothers_place_is_read_and_one_that_is_gone_is_no_answer() {
    let (mut house, mut other) = (House::in_a_file().await, House::in_a_file().await);
    let secret = house.token(1, "NULL", "'full-access'").await;
    other.token(2, "NULL", "'full-access'").await;
    let keyward = house.keyward().await;
    assert_eq!(crate::house::ask(&keyward, &secret).await.1, 200);
    let path = |house: &House| house.address.strip_prefix("sqlite:").unwrap().to_owned();
    std::fs::rename(path(&other), path(&house)).unwrap();
    house.clock.advance(keyward::guard::Limits::default().max_staleness);
    assert_eq!(crate::house::ask(&keyward, &secret).await.1, 401);
    std::fs::remove_file(path(&house)).unwrap();
    house.clock.advance(keyward::guard::Limits::default().max_staleness);
    assert_eq!(crate::house::ask(&keyward, &secret).await.1, 503, "nobody can tell");
}

/// Whoever opens it cannot write, whatever is asked of the connections.
#[tokio::test]
async fn it_is_opened_read_only() {
    let house = House::in_a_file().await;
    let file = house.address.strip_prefix("sqlite:").unwrap();
    let mut permissions = std::fs::metadata(file).unwrap().permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(file, permissions).unwrap();
    let before = std::fs::read(file).unwrap();
    let store = StrapiStore::open_with(&house.address, StrapiOptions::default()).await.unwrap();
    store.not_understood(&keyward::authz::Conditions::default()).await.unwrap();
    store.close().await;
    assert_eq!(std::fs::read(file).unwrap(), before);
}
