//! Read-only access to a file of another program, with writes only on request.

use super::database_file::Identity;
use super::error::{OpenError, open_error, query_error};
use super::{WAIT_TIMEOUT, file, pool, rows};
use crate::store::StoreError;
use arc_swap::ArcSwap;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqlitePool};
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(Clone)]
pub(in crate::store) struct ReadOnlyDatabase {
    path: PathBuf,
    options: SqliteConnectOptions,
    connections: u32,
    readers: Arc<ArcSwap<Readers>>,
}

/// Connections to the file that was at the path.
struct Readers {
    file: Identity,
    pool: SqlitePool,
}

impl ReadOnlyDatabase {
    /// Opens an existing file.
    pub(in crate::store) async fn open(path: &Path, connections: u32) -> Result<Self, StoreError> {
        let path = file(path)?;
        let file = identify(&path)?;
        let options =
            SqliteConnectOptions::new().filename(&path).busy_timeout(WAIT_TIMEOUT).disable_statement_logging();
        let readers = Readers { file, pool: readers(&options, connections) };
        sqlx::query("SELECT COUNT(*) FROM sqlite_master")
            .fetch_one(&readers.pool)
            .await
            .map_err(|error| open_error(&path, error))?;
        Ok(Self { path, options, connections, readers: Arc::new(ArcSwap::from_pointee(readers)) })
    }

    /// Returns the text that a statement returns.
    pub(in crate::store) async fn text(
        &self,
        statement: &'static str,
        parameter: Option<&str>,
    ) -> Result<String, StoreError> {
        let mut query = sqlx::query(statement);
        if let Some(parameter) = parameter {
            query = query.bind(parameter);
        }
        let pool = self.present()?;
        rows::get(&query.fetch_one(&pool).await.map_err(query_error)?, "found")
    }

    /// Returns connections to the file that is at the path now.
    fn present(&self) -> Result<SqlitePool, StoreError> {
        let file = identify(&self.path)?;
        let known = self.readers.load();
        if known.file == file {
            return Ok(known.pool.clone());
        }
        let pool = readers(&self.options, self.connections);
        self.readers.store(Arc::new(Readers { file, pool: pool.clone() }));
        Ok(pool)
    }

    /// Writes on request, on a connection of its own.
    pub(in crate::store) async fn write(&self, statement: &'static str, parameter: &str) -> Result<(), StoreError> {
        let mut connection = self.options.connect().await.map_err(query_error)?;
        sqlx::query(statement).bind(parameter).execute(&mut connection).await.map_err(query_error)?;
        connection.close().await.map_err(query_error)
    }

    pub(in crate::store) async fn close(&self) {
        self.readers.load_full().pool.close().await;
    }
}

fn identify(path: &Path) -> Result<Identity, OpenError> {
    Identity::at(path).map_err(|error| OpenError::NotThere(path.to_owned(), error))
}

fn readers(options: &SqliteConnectOptions, connections: u32) -> SqlitePool {
    pool().max_connections(connections).connect_lazy_with(options.clone().read_only(true))
}
