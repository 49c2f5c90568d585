//! The way over: roles, people and tokens, into a database of keyward's own.

use crate::options::Over;
use keyward::store::WriteStore;
use keyward::strapi::{StrapiStore, import};
use keyward::token::{HashKeyRing, StrapiHashKey};
use keyward::{HashKey, Keyward, MemoryStore, PostgresStore, SqliteStore};
use sqlx::{AnyConnection, Connection};
use std::error::Error;
use std::io::Write;
use std::path::Path;

pub(crate) async fn take_over(database: &str, hash_key: StrapiHashKey, over: Over) -> Result<(), Box<dyn Error>> {
    if same(database, &over.into) {
        return Err("--into is the database of Strapi itself: give keyward one of its own".into());
    }
    let reference = StrapiStore::open(database).await?;
    match over.into.strip_prefix("sqlite:") {
        // A dry run makes nothing: where keyward has no tables yet, nothing came before.
        _ if over.dry_run && !is_ours(&over.into).await? => {
            into(MemoryStore::default(), &reference, hash_key, over).await?;
        }
        Some(file) => {
            let store = SqliteStore::open(file).await?;
            into(store.clone(), &reference, hash_key, over).await?;
            store.close().await;
        }
        None if over.into.starts_with("postgres") => {
            let store = PostgresStore::connect(&over.into).await?;
            into(store.clone(), &reference, hash_key, over).await?;
            store.close().await;
        }
        None => return Err("--into: write sqlite: and a file, or postgres://user@host/database".into()),
    }
    reference.close().await;
    Ok(())
}

/// Whether both addresses lead to the same place, as far as they tell.
fn same(one: &str, other: &str) -> bool {
    match (one.strip_prefix("sqlite:"), other.strip_prefix("sqlite:")) {
        (Some(one), Some(other)) => match (Path::new(one).canonicalize(), Path::new(other).canonicalize()) {
            (Ok(one), Ok(other)) => one == other,
            _ => false,
        },
        _ => one == other,
    }
}

/// Whether keyward has its tables there already.
async fn is_ours(address: &str) -> Result<bool, Box<dyn Error>> {
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
    let found = sqlx::query("SELECT 1 FROM keyward_epoch").fetch_optional(&mut connection).await;
    connection.close().await?;
    Ok(found.is_ok())
}

async fn into(
    store: impl WriteStore,
    reference: &StrapiStore,
    strapi_hash_key: StrapiHashKey,
    over: Over,
) -> Result<(), Box<dyn Error>> {
    // Nothing is issued here, so any salt will do. That of the installation is compared with its data.
    let hash_key = match std::env::var("KEYWARD_SALT") {
        Ok(hash_keys) => HashKeyRing::parse(&hash_keys).map_err(|error| format!("KEYWARD_SALT: {error}"))?,
        Err(_) => HashKey::generate()?.0.into(),
    };
    let mut builder = Keyward::builder(store).hash_key(hash_key).strapi_hash_key(strapi_hash_key).admin("/admin");
    if let Some(keys) = over.encryption {
        builder = builder.encryption(keys);
    }
    let report = import(&builder.build()?, reference, &over.import).await?;
    // What came came, also if nobody reads on.
    _ = write!(std::io::stdout(), "{report}");
    Ok(())
}
