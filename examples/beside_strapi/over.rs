//! The way over: roles, people and tokens, into a database of keyward's own.

use crate::options::Over;
use keyward::strapi::{StrapiStore, import};
use keyward::{Keyward, MemoryStore, PostgresStore, ReferenceSalt, Salt, SqliteStore, WriteStore};
use std::error::Error;
use std::path::Path;

pub(crate) async fn take_over(database: &str, salt: ReferenceSalt, over: Over) -> Result<(), Box<dyn Error>> {
    let reference = StrapiStore::open(database).await?;
    match over.into.strip_prefix("sqlite:") {
        // A dry run does not even make the file.
        Some(file) if over.dry_run && !Path::new(file).exists() => {
            into(MemoryStore::default(), &reference, salt, over).await?;
        }
        Some(file) => {
            let store = SqliteStore::open(file).await?;
            into(store.clone(), &reference, salt, over).await?;
            store.close().await;
        }
        None if over.into.starts_with("postgres") => {
            let store = PostgresStore::connect(&over.into).await?;
            into(store.clone(), &reference, salt, over).await?;
            store.close().await;
        }
        None => return Err("--into: write sqlite: and a file, or postgres://user@host/database".into()),
    }
    reference.close().await;
    Ok(())
}

async fn into(
    store: impl WriteStore,
    reference: &StrapiStore,
    reference_salt: ReferenceSalt,
    over: Over,
) -> Result<(), Box<dyn Error>> {
    // Nothing is issued here, so any salt will do.
    let (salt, _) = Salt::generate()?;
    let mut builder = Keyward::builder(store).salt(salt).reference_salt(reference_salt).admin("/admin");
    if let Some(keys) = over.encryption {
        builder = builder.encryption(keys);
    }
    let report = import(&builder.build()?, reference, &over.import).await?;
    print!("{report}");
    Ok(())
}
