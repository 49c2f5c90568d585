//! `keyward import strapi`.

use crate::context::{Access, Context};
use crate::database::Database;
use crate::failure::{Failure, one_line};
use crate::key_settings::Keys;
use clap::Args;
use keyward::MemoryStore;
use keyward::admin::ServiceError;
use keyward::strapi::{Import, ImportError, Report, StrapiEncryptionKey, StrapiStore, import};
use keyward::token::StrapiHashKey;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(Args)]
pub(crate) struct Strapi {
    /// The database of Strapi, which is only read: sqlite:FILE or postgres://USER@HOST/DATABASE; or STRAPI_DATABASE.
    #[arg(long, value_name = "DATABASE")]
    from: Option<String>,
    /// A name for this Strapi: the same for every import from it, and another for another Strapi.
    #[arg(long, value_name = "NAME", default_value = "strapi")]
    source: String,
    /// Only print the report.
    #[arg(long)]
    dry_run: bool,
    /// Read API_TOKEN_SALT from this file, or - for standard input.
    #[arg(long, value_name = "FILE")]
    salt_file: Option<PathBuf>,
    /// Read ENCRYPTION_KEY from this file, or - for standard input.
    #[arg(long, value_name = "FILE")]
    strapi_encryption_key_file: Option<PathBuf>,
}

impl Strapi {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let variables = context.variables()?;
        let from = Database::address(self.from.as_deref(), "--from", &variables, "STRAPI_DATABASE")?;
        let into = context.database()?;
        let source = Database::parse(&from, &context.settings)
            .ok_or_else(|| Failure::usage(format!("--from: {}", crate::database::FORM)))?;
        if is_same(&source, &into) {
            return Err(Failure::usage("--database is the database of Strapi itself: give keyward one of its own"));
        }
        let file = self.salt_file.as_deref();
        let salt = match variables.secret(&["API_TOKEN_SALT"], "--salt-file", file, &context.stdin)? {
            None => variables.secret(&["KEYWARD_STRAPI_HASH_KEY"], "", None, &context.stdin)?,
            salt => salt,
        };
        let salt =
            salt.ok_or_else(|| Failure::usage("API_TOKEN_SALT or --salt-file is missing: the salt of Strapi"))?;
        let salt =
            StrapiHashKey::new(&salt.value).map_err(|error| Failure::usage(format!("{}: {error}", salt.source)))?;
        let key = self.strapi_encryption_key_file.as_deref();
        let key = variables.secret(&["ENCRYPTION_KEY"], "--strapi-encryption-key-file", key, &context.stdin)?;
        let mut options = Import::default().source(self.source);
        if let Some(key) = key {
            options = options.encryption_key(StrapiEncryptionKey::new(&key.value));
        }
        if self.dry_run {
            options = options.dry_run();
        }
        let strapi = StrapiStore::open(&from).await?;
        // An import issues no token, so it takes no hash key. One that is set is compared with the data.
        let keyward = if self.dry_run && !into.has_tables().await.unwrap_or(true) {
            // A dry run creates nothing: without tables of keyward, there was no earlier import.
            let keys = Keys::read(&variables, &context.settings, &context.stdin)?;
            let store = Arc::new(MemoryStore::default());
            context.build(store, keys, |builder| builder.strapi_hash_key(salt)).await?
        } else {
            context.open_with(Access::Read, |builder| builder.strapi_hash_key(salt)).await?
        };
        let imported = import(keyward, &strapi, &options).await;
        strapi.close().await;
        let report = imported.map_err(failure)?;
        let lines = |report: &Report| report.to_string().trim_end().to_owned();
        context.out.print(&report, lines, |_| None)
    }
}

fn failure(error: ImportError) -> Failure {
    let line = one_line(&error);
    match error {
        ImportError::Source => Failure::usage(format!("--source: {line}")),
        ImportError::Unread(_) | ImportError::Refused(ServiceError::Store(_)) => Failure::Unavailable(line),
        _ => Failure::Failed(line),
    }
}

/// Returns whether both are the same database, as far as their addresses tell.
fn is_same(one: &Database, other: &Database) -> bool {
    match (one, other) {
        (Database::File(one), Database::File(other)) => {
            let whole = |file: &Path| file.canonicalize().ok();
            whole(one).is_some_and(|one| whole(other) == Some(one))
        }
        (Database::Postgres { url: one, .. }, Database::Postgres { url: other, .. }) => one == other,
        _ => false,
    }
}
