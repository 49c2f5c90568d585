//! Read-only access to a database of another program, with writes only on request.

use super::connection::ManagedConnection;
use super::connections::{Connections, PoolKind};
use super::error::query_error;
use super::opening::connect;
use super::{PostgresOptions, address, rows, statements, unless_abandoned};
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
        Ok(Self { connections: connect(address, options, None).await?, pooler: options.pooler })
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
                ManagedConnection::read(&self.connections, ask)
                    .await?
                    .pop()
                    .ok_or(sqlx::Error::RowNotFound)
                    .map_err(query_error)?
            }
            None => {
                let mut connection =
                    ManagedConnection::begin(&self.connections, PoolKind::Readers, statements::BEGIN_READING).await?;
                connection.set_busy(true);
                let abandoned = connection.wait_until_abandoned();
                let ask = query(statement).persistent(false);
                let row = unless_abandoned(abandoned, ask.fetch_one(&mut *connection)).await.map_err(query_error)?;
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
        let abandoned = connection.wait_until_abandoned();
        let note = query(statement).bind(parameter).persistent(!self.pooler);
        unless_abandoned(abandoned, note.execute(&mut *connection)).await.map_err(query_error)?;
        connection.set_busy(false);
        connection.commit().await.map_err(query_error)
    }

    pub(in crate::store) async fn close(&self) {
        self.connections.close().await;
    }
}
