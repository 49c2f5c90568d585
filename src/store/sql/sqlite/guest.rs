//! A file that is somebody else's: only read, and never changed unless asked to.

use super::error::{OpenError, asking, opening};
use super::{PATIENCE, file, pool, rows};
use crate::store::StoreError;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqlitePool};
use std::path::Path;

#[derive(Clone)]
pub(in crate::store) struct Guest {
    readers: SqlitePool,
    file: SqliteConnectOptions,
}

impl Guest {
    /// Opens a file that is there.
    pub(in crate::store) async fn open(path: &Path, connections: u32) -> Result<Self, StoreError> {
        let path = file(path)?;
        if let Err(error) = std::fs::metadata(&path) {
            return Err(OpenError::NotThere(error).into());
        }
        let file = SqliteConnectOptions::new().filename(path).busy_timeout(PATIENCE).disable_statement_logging();
        let readers = pool().max_connections(connections).connect_lazy_with(file.clone().read_only(true));
        drop(readers.acquire().await.map_err(opening)?);
        Ok(Self { readers, file })
    }

    /// The one text that a statement gives.
    pub(in crate::store) async fn text(
        &self,
        statement: &'static str,
        parameter: Option<&str>,
    ) -> Result<String, StoreError> {
        let mut query = sqlx::query(statement);
        if let Some(parameter) = parameter {
            query = query.bind(parameter);
        }
        rows::get(&query.fetch_one(&self.readers).await.map_err(opening)?, "found")
    }

    /// Changes something after all, on a connection for this once.
    pub(in crate::store) async fn write(&self, statement: &'static str, parameter: &str) -> Result<(), StoreError> {
        let mut connection = self.file.connect().await.map_err(asking)?;
        sqlx::query(statement).bind(parameter).execute(&mut connection).await.map_err(asking)?;
        connection.close().await.map_err(asking)
    }

    pub(in crate::store) async fn close(&self) {
        self.readers.close().await;
    }
}
