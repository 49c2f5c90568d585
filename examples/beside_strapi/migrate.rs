//! The import of roles, users and tokens into a database of keyward.

use crate::options::ImportOptions;
use keyward::store::WriteStore;
use keyward::strapi::{StrapiStore, import};
use keyward::token::{HashKeyRing, StrapiHashKey};
use keyward::{HashKey, Keyward, MemoryStore, PostgresStore, SqliteStore};
use sqlx::{AnyConnection, Connection};
use std::error::Error;
use std::io::Write;
use std::path::Path;

pub(crate) async fn import_into(
    database: &str,
    hash_key: StrapiHashKey,
    options: ImportOptions,
) -> Result<(), Box<dyn Error>> {
    if is_same(database, &options.into) {
        return Err("--into is the database of Strapi itself: give keyward one of its own".into());
    }
    let strapi = StrapiStore::open(database).await?;
    match options.into.strip_prefix("sqlite:") {
        // A dry run creates nothing: without keyward's tables, there was no earlier import.
        _ if options.dry_run && !has_keyward_tables(&options.into).await? => {
            run(MemoryStore::default(), &strapi, hash_key, options).await?;
        }
        Some(file) => {
            let store = SqliteStore::open(file).await?;
            run(store.clone(), &strapi, hash_key, options).await?;
            store.close().await;
        }
        None if options.into.starts_with("postgres") => {
            let store = PostgresStore::connect(&options.into).await?;
            run(store.clone(), &strapi, hash_key, options).await?;
            store.close().await;
        }
        None => return Err("--into: write sqlite: and a file, or postgres://user@host/database".into()),
    }
    strapi.close().await;
    Ok(())
}

/// Returns whether both addresses name the same database, as far as they tell.
fn is_same(one: &str, other: &str) -> bool {
    match (one.strip_prefix("sqlite:"), other.strip_prefix("sqlite:")) {
        (Some(one), Some(other)) => match (Path::new(one).canonicalize(), Path::new(other).canonicalize()) {
            (Ok(one), Ok(other)) => one == other,
            _ => false,
        },
        _ => one == other,
    }
}

/// Returns whether keyward's tables exist in this database.
async fn has_keyward_tables(address: &str) -> Result<bool, Box<dyn Error>> {
    let url = match address.strip_prefix("sqlite:") {
        Some(file) if !Path::new(file).exists() => return Ok(false),
        Some(file) => {
            let file = file.replace('%', "%25").replace('?', "%3F").replace('#', "%23");
            format!("sqlite:{file}?mode=ro")
        }
        None => address.to_owned(),
    };
    sqlx::any::install_default_drivers();
    let mut connection = AnyConnection::connect(&url).await?;
    let row = sqlx::query("SELECT 1 FROM keyward_epoch").fetch_optional(&mut connection).await;
    connection.close().await?;
    Ok(row.is_ok())
}

async fn run(
    store: impl WriteStore,
    strapi: &StrapiStore,
    strapi_hash_key: StrapiHashKey,
    options: ImportOptions,
) -> Result<(), Box<dyn Error>> {
    // An import issues no token, so any hash key will do. One that is set is compared with the data of the
    // installation.
    let hash_key = match std::env::var("KEYWARD_HASH_KEY").or_else(|_| std::env::var("KEYWARD_SALT")) {
        Ok(hash_keys) => HashKeyRing::parse(&hash_keys).map_err(|error| format!("KEYWARD_HASH_KEY: {error}"))?,
        Err(_) => HashKey::generate()?.0.into(),
    };
    let mut builder = Keyward::builder(store).hash_key(hash_key).strapi_hash_key(strapi_hash_key).admin("/admin");
    if let Some(keys) = options.encryption {
        builder = builder.encryption(keys);
    }
    let report = import(&builder.build()?, strapi, &options.import).await?;
    // The import is done, also if the report cannot be written.
    _ = write!(std::io::stdout(), "{report}");
    Ok(())
}
