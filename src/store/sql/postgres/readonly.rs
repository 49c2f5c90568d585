//! Read-only access to a database of another program, with writes only on request.

use super::connection::ManagedConnection;
use super::connections::{Connections, PoolKind};
use super::error::asking;
use super::{PostgresOptions, address, or, reach, rows, statements};
use crate::store::StoreError;
use sqlx::query;
use std::sync::Arc;

#[derive(Clone)]
pub(in crate::store) struct ReadOnlyDatabase {
    connections: Arc<Connections>,
    pooler: bool,
}

impl ReadOnlyDatabase {
    pub(in crate::store) async fn connect(url: &str, options: &PostgresOptions) -> Result<Self, StoreError> {
        let address = address::read(url, options)?;
        Ok(Self { connections: reach(address, options).await?, pooler: options.pooler })
    }

    /// Returns the text that a statement returns. With a parameter it is a look-up, which has a short timeout.
    pub(in crate::store) async fn text(
        &self,
        statement: &'static str,
        parameter: Option<&str>,
    ) -> Result<String, StoreError> {
        let row = match parameter {
            Some(parameter) => {
                let ask = || query(statement).bind(parameter);
                ManagedConnection::read(&self.connections, self.pooler, ask)
                    .await?
                    .ok_or(sqlx::Error::RowNotFound)
                    .map_err(asking)?
            }
            None => {
                let mut connection =
                    ManagedConnection::begin(&self.connections, PoolKind::Readers, statements::BEGIN_READING).await?;
                connection.set_busy(true);
                let given_up = connection.given_up();
                let ask = query(statement).persistent(false);
                let row = or(given_up, ask.fetch_one(&mut *connection)).await.map_err(asking)?;
                connection.set_busy(false);
                row
            }
        };
        rows::get(&row, "found")
    }

    /// Writes on request.
    pub(in crate::store) async fn write(&self, statement: &'static str, parameter: &str) -> Result<(), StoreError> {
        let mut connection =
            ManagedConnection::begin(&self.connections, PoolKind::Writers, statements::BEGIN_UNCONFIRMED).await?;
        connection.set_busy(true);
        let given_up = connection.given_up();
        let note = query(statement).bind(parameter).persistent(!self.pooler);
        or(given_up, note.execute(&mut *connection)).await.map_err(asking)?;
        connection.set_busy(false);
        connection.commit().await.map_err(asking)
    }

    pub(in crate::store) async fn close(&self) {
        self.connections.close().await;
    }
}
