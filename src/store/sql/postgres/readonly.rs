//! A database that is somebody else's: only read, and never changed unless asked to.

use super::connection::Held;
use super::connections::{Connections, Side};
use super::error::asking;
use super::{PostgresOptions, address, or, reach, rows, statements};
use crate::store::StoreError;
use sqlx::query;
use std::sync::Arc;

#[derive(Clone)]
pub(in crate::store) struct Guest {
    connections: Arc<Connections>,
    pooler: bool,
}

impl Guest {
    pub(in crate::store) async fn connect(url: &str, options: &PostgresOptions) -> Result<Self, StoreError> {
        let address = address::read(url, options)?;
        Ok(Self { connections: reach(address, options).await?, pooler: options.pooler })
    }

    /// The one text that a statement gives. With a parameter it is a look-up, which has little time.
    pub(in crate::store) async fn text(
        &self,
        statement: &'static str,
        parameter: Option<&str>,
    ) -> Result<String, StoreError> {
        let row = match parameter {
            Some(parameter) => {
                let ask = || query(statement).bind(parameter);
                Held::read(&self.connections, self.pooler, ask)
                    .await?
                    .ok_or(sqlx::Error::RowNotFound)
                    .map_err(asking)?
            }
            None => {
                let mut held = Held::begin(&self.connections, Side::Reading, statements::BEGIN_READING).await?;
                held.set_busy(true);
                let given_up = held.given_up();
                let ask = query(statement).persistent(false);
                let row = or(given_up, ask.fetch_one(&mut *held)).await.map_err(asking)?;
                held.set_busy(false);
                row
            }
        };
        rows::get(&row, "found")
    }

    /// Changes something after all.
    pub(in crate::store) async fn write(&self, statement: &'static str, parameter: &str) -> Result<(), StoreError> {
        let mut held = Held::begin(&self.connections, Side::Writing, statements::BEGIN_ASIDE).await?;
        held.set_busy(true);
        let given_up = held.given_up();
        let note = query(statement).bind(parameter).persistent(!self.pooler);
        or(given_up, note.execute(&mut *held)).await.map_err(asking)?;
        held.set_busy(false);
        held.commit().await.map_err(asking)
    }

    pub(in crate::store) async fn close(&self) {
        self.connections.close().await;
    }
}
