//! The database of the installation: its address, and opening it.

use crate::arguments::Settings;
use crate::failure::Failure;
use crate::key_settings::Variables;
use keyward::store::{PostgresOptions, SqliteOptions, StoreError, WriteStore};
use keyward::{PostgresStore, SqliteStore};
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, SqliteConnection};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The longest wait for a connection.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) const FORM: &str = "write sqlite: and a file, such as sqlite:keyward.db, or postgres://user@host/database";

/// Where the tables are.
#[derive(Clone, PartialEq)]
pub(crate) enum Database {
    /// A file of SQLite.
    File(PathBuf),
    /// A PostgreSQL database.
    Postgres {
        /// The address, which may contain a password.
        url: String,
        schema: Option<String>,
        pooler: bool,
    },
}

impl Database {
    /// Reads the address from the argument or the environment.
    pub(crate) fn of(settings: &Settings, variables: &Variables) -> Result<Self, Failure> {
        let address = Self::address(settings.database.as_deref(), "--database", variables, "KEYWARD_DATABASE")?;
        // The text may contain a password, so it is not repeated.
        Self::parse(&address, settings).ok_or_else(|| Failure::usage(format!("--database: {FORM}")))
    }

    /// Returns an address from an argument, else from a variable.
    pub(crate) fn address(
        argument: Option<&str>,
        name: &str,
        variables: &Variables,
        variable: &str,
    ) -> Result<String, Failure> {
        match (argument, variables.get(variable)) {
            (Some(address), _) if has_password(address) => Err(Failure::usage(format!(
                "{name}: other users of this machine can see a password in it: set {variable} or PGPASSWORD, or use ~/.pgpass"
            ))),
            (Some(address), _) => Ok(address.to_owned()),
            (None, Some(address)) => Ok(address),
            (None, None) => Err(Failure::usage(format!("{name} or {variable} is missing: {FORM}"))),
        }
    }

    /// Parses an address.
    pub(crate) fn parse(address: &str, settings: &Settings) -> Option<Self> {
        if address.starts_with("postgres://") || address.starts_with("postgresql://") {
            let (schema, pooler) = (settings.schema.clone(), settings.pooler);
            return Some(Self::Postgres { url: address.to_owned(), schema, pooler });
        }
        let file = address.strip_prefix("sqlite:").filter(|file| !file.is_empty() && !file.starts_with(':'))?;
        Some(Self::File(file.into()))
    }

    /// Opens the store. With `migrates`, missing tables are created, and older ones migrated.
    pub(crate) async fn open(&self, migrates: bool) -> Result<Arc<dyn WriteStore>, Failure> {
        let opened: Result<Arc<dyn WriteStore>, StoreError> = match self {
            Self::File(file) if !migrates && !file.exists() => return Err(self.without_tables("there is no such file")),
            Self::File(file) => {
                let options = SqliteOptions::default().readers(1);
                let options = if migrates { options } else { options.without_migrations() };
                SqliteStore::open_with(file, options).await.map(|store| Arc::new(store) as _)
            }
            Self::Postgres { url, schema, pooler } => {
                let mut options = PostgresOptions::default().connections(2);
                if !migrates {
                    options = options.without_migrations();
                }
                if let Some(schema) = schema {
                    options = options.schema(schema);
                }
                if *pooler {
                    options = options.transaction_pooler();
                }
                PostgresStore::connect_with(url, options).await.map(|store| Arc::new(store) as _)
            }
        };
        match opened {
            Ok(store) => Ok(store),
            Err(_) if !migrates && matches!(self.has_tables().await, Ok(false)) => {
                Err(self.without_tables("the database has no tables of keyward"))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn without_tables(&self, why: &str) -> Failure {
        Failure::Unavailable(format!("{self}: {why}: `keyward init` creates the tables"))
    }

    /// Returns whether the tables of keyward are there.
    pub(crate) async fn has_tables(&self) -> sqlx::Result<bool> {
        match self {
            Self::File(file) if !file.exists() => Ok(false),
            Self::File(file) => {
                let mut connection = SqliteConnectOptions::new().filename(file).read_only(true).connect().await?;
                let row = sqlx::query("SELECT 1 FROM keyward_epoch").fetch_optional(&mut connection).await;
                connection.close().await?;
                Ok(row.is_ok())
            }
            Self::Postgres { schema, .. } => {
                let mut connection = self.connect_postgres().await?;
                let home =
                    schema.as_ref().map(|name| format!("\"{}\".", name.replace('"', "\"\""))).unwrap_or_default();
                let select = AssertSqlSafe(format!("SELECT 1 FROM {home}keyward_epoch"));
                let row = sqlx::query(select).persistent(false).fetch_optional(&mut connection).await;
                connection.close().await?;
                Ok(row.is_ok())
            }
        }
    }

    /// Connects to PostgreSQL, beside the store.
    ///
    /// # Errors
    /// Also if this is a file.
    pub(crate) async fn connect_postgres(&self) -> sqlx::Result<PgConnection> {
        let Self::Postgres { url, pooler, .. } = self else { return Err(sqlx::Error::WorkerCrashed) };
        // Poolers reject the parameter for floating-point numbers.
        let mut options = url.parse::<PgConnectOptions>()?.extra_float_digits(None).disable_statement_logging();
        if *pooler {
            options = options.statement_cache_capacity(0);
        }
        // A host that does not answer would keep it for minutes.
        tokio::time::timeout(PATIENCE, options.connect()).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
    }

    /// Connects to the file, beside the store.
    pub(crate) async fn connect_file(file: &Path) -> sqlx::Result<SqliteConnection> {
        SqliteConnectOptions::new().filename(file).foreign_keys(true).disable_statement_logging().connect().await
    }
}

/// Formats the address without its password.
impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => write!(f, "sqlite:{}", file.display()),
            Self::Postgres { url, .. } => match url.parse::<PgConnectOptions>() {
                Ok(options) => {
                    let (host, port) = (options.get_host(), options.get_port());
                    let database = options.get_database().unwrap_or_else(|| options.get_username());
                    write!(f, "postgres://{}@{host}:{port}/{database}", options.get_username())
                }
                Err(_) => f.write_str("the PostgreSQL database"),
            },
        }
    }
}

/// Returns whether an address contains a password.
fn has_password(address: &str) -> bool {
    let Some((_, rest)) = address.split_once("://") else { return false };
    let (authority, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
    user.contains(':') || parameters.split('&').any(|parameter| parameter.starts_with("password="))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_addresses_are_noticed() {
        for with in ["postgres://a:b@h/d", "postgres://a:b/c@h/d", "postgres://h/d?sslmode=prefer&password=x"] {
            assert!(has_password(with), "{with}");
        }
        for without in ["sqlite:a:b@c", "postgres://a@h:5432/d", "postgres://h:5432/d", "postgres:///d?host=/tmp"] {
            assert!(!has_password(without), "{without}");
        }
    }

    #[test]
    fn an_address_is_shown_without_its_password() {
        let url = "postgres://ada:hidden@db.example.test/app".to_owned();
        let shown = Database::Postgres { url, schema: None, pooler: false }.to_string();
        assert_eq!(shown, "postgres://ada@db.example.test:5432/app");
    }
}
