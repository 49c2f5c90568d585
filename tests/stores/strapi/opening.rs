//! Errors for databases that are not Strapi's or cannot be read.

use crate::strapi::setup::Setup;
use keyward::strapi::{StrapiOptions, StrapiStore};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::error::Error;

/// Returns an error with all its causes.
async fn wrong(address: &str) -> String {
    let error = StrapiStore::open(address).await.expect_err(address);
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        message += &format!(": {error}");
        cause = error.source();
    }
    message
}

#[tokio::test]
async fn invalid_addresses_and_files_are_rejected() {
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
        let message = wrong(&address).await;
        assert!(message.contains(says) && !message.contains("hunter2"), "{address}: {message}");
    }
    assert!(!file("none.db").exists(), "no file is created");
}

#[tokio::test]
async fn foreign_or_older_schema_is_rejected() {
    for mut setup in Setup::on_both().await {
        StrapiStore::open(&setup.address).await.unwrap().close().await;
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
            setup.sql(change).await;
            let message = wrong(&setup.address).await;
            assert!(message.contains(says), "{message}");
            setup.sql(back).await;
        }
        StrapiStore::open(&setup.address).await.unwrap().close().await;
    }
}

#[tokio::test]
async fn column_of_another_type_fails_startup() {
    let Some(mut setup) = Setup::on_postgres().await else { return };
    setup.sql("ALTER TABLE strapi_api_tokens ALTER COLUMN expires_at TYPE TEXT").await;
    let message = wrong(&setup.address).await;
    assert!(message.contains("the tables cannot be read: check that the role may SELECT"), "{message}");
}

#[tokio::test]
async fn read_privilege_is_sufficient_and_its_absence_is_reported() {
    let Some(mut setup) = Setup::on_postgres().await else { return };
    let secret = setup.token(1, "NULL", "'full-access'").await;
    let mut root = PgConnection::connect(&setup.address).await.unwrap();
    let role = format!("guest_{}", std::process::id());
    let mut by_root = async |text: String| sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut root).await.unwrap();
    by_root(format!("CREATE ROLE {role} LOGIN PASSWORD 'x'")).await;
    let (scheme, rest) = setup.address.split_once("//").unwrap();
    let address = format!("{scheme}//{role}:x@{}", rest.split_once('@').unwrap().1);
    let message = wrong(&address).await;
    assert!(message.contains("may SELECT") && message.contains("permission denied"), "{message}");
    by_root(format!("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")).await;
    let store = StrapiStore::open(&address).await.unwrap();
    assert_eq!(crate::strapi::setup::ask(&setup.keyward_on(store), &secret).await.1, 200);
    by_root(format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

/// For example a restored backup: an open connection would read the former file forever.
#[cfg(unix)]
#[tokio::test]
async fn replaced_file_is_reopened_and_a_missing_file_is_503() {
    let (mut setup, mut other) = (Setup::in_a_file().await, Setup::in_a_file().await);
    let secret = setup.token(1, "NULL", "'full-access'").await;
    other.token(2, "NULL", "'full-access'").await;
    let keyward = setup.keyward().await;
    assert_eq!(crate::strapi::setup::ask(&keyward, &secret).await.1, 200);
    let path = |setup: &Setup| setup.address.strip_prefix("sqlite:").unwrap().to_owned();
    std::fs::rename(path(&other), path(&setup)).unwrap();
    setup.clock.advance(keyward::guard::Limits::default().max_staleness);
    assert_eq!(crate::strapi::setup::ask(&keyward, &secret).await.1, 401);
    std::fs::remove_file(path(&setup)).unwrap();
    setup.clock.advance(keyward::guard::Limits::default().max_staleness);
    assert_eq!(crate::strapi::setup::ask(&keyward, &secret).await.1, 503, "the file is missing");
}

/// No statement on its connections can write.
#[tokio::test]
async fn database_is_opened_read_only() {
    let setup = Setup::in_a_file().await;
    let file = setup.address.strip_prefix("sqlite:").unwrap();
    let mut permissions = std::fs::metadata(file).unwrap().permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(file, permissions).unwrap();
    let before = std::fs::read(file).unwrap();
    let store = StrapiStore::open_with(&setup.address, StrapiOptions::default()).await.unwrap();
    store.unsupported_rows(&keyward::authz::Conditions::default()).await.unwrap();
    store.close().await;
    assert_eq!(std::fs::read(file).unwrap(), before);
}
