//! The log of changes, as every node reads it.

use super::connection::ManagedConnection;
use super::error::{OpenError, query_error};
use super::listen::HintListener;
use super::{NAME, PoolKind, PostgresStore, WAIT_TIMEOUT, no_epoch, probe, rows, statements};
use crate::domain::Timestamp;
use crate::store::{Applied, ChangeLog, Poll, StoreError};
use async_trait::async_trait;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{PgConnection, Postgres, query, raw_sql};
use std::fmt;
use uuid::Uuid;

pub(super) struct Log {
    store: PostgresStore,
    /// The application name of this reader's connection.
    name: String,
    /// `None` while a poll is running: an abandoned poll drops its connection.
    connection: Option<PgConnection>,
    /// An earlier connection was lost, and its session may still exist.
    had_connection: bool,
    /// The server that answered last.
    server: Option<i64>,
    /// Whether replicas had to confirm the last heartbeat.
    confirmed: bool,
    listening: HintListener,
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").finish_non_exhaustive()
    }
}

#[async_trait]
impl ChangeLog for Log {
    async fn poll(&mut self, applied: Option<&Applied>) -> Result<Poll, StoreError> {
        let (mut connection, kept) = match self.connection.take() {
            Some(connection) => (connection, true),
            None => (self.connect().await?, false),
        };
        let row = match self.read(&mut connection, applied).await {
            // The connection was lost while it was idle.
            Err(error) if kept && is_lost(&error) => {
                connection = self.connect().await?;
                self.read(&mut connection, applied).await?
            }
            read => read?,
        };
        let poll = rows::poll(&row, self.store.time(&row)?)?;
        self.connection = Some(connection);
        Ok(poll)
    }

    async fn hint(&mut self) {
        self.listening.hint(&self.store).await;
    }

    async fn forget(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        let mut connection =
            ManagedConnection::begin(&self.store.connections, PoolKind::Writers, statements::BEGIN_UNCONFIRMED).await?;
        connection.set_busy(true);
        self.store.check_installation(&mut connection).await?;
        let forget = self.store.prepared(query(statements::DELETE_OLD_CHANGES).bind(before.0))?;
        let done = forget.execute(&mut *connection).await.map_err(query_error)?;
        connection.set_busy(false);
        connection.commit().await.map_err(query_error)?;
        Ok(done.rows_affected())
    }
}

impl Log {
    pub(super) fn new(store: &PostgresStore) -> Self {
        let name = format!("{NAME} log {}", Uuid::new_v4().simple());
        let store = store.clone();
        Self {
            store,
            name,
            connection: None,
            had_connection: false,
            server: None,
            confirmed: true,
            listening: HintListener::default(),
        }
    }

    async fn connect(&mut self) -> Result<PgConnection, StoreError> {
        let mut connection = self.store.connections.own(&self.name).await.map_err(query_error)?;
        if !self.store.pooler {
            raw_sql(statements::LOOK_UP_SETTINGS).execute(&mut connection).await.map_err(query_error)?;
            // Outside the deadline of a poll, on connections of its own.
            tokio::spawn(detect_pooler(self.store.clone()));
        }
        if self.had_connection && self.store.heartbeat {
            self.fetch(&mut connection, query(statements::END_WAITING_SESSIONS).bind(&self.name)).await?;
        }
        self.had_connection = true;
        Ok(connection)
    }

    /// Reads the log from the live primary.
    async fn read(&mut self, connection: &mut PgConnection, applied: Option<&Applied>) -> Result<PgRow, StoreError> {
        let confirmed_by = match self.store.heartbeat {
            true => Some(self.send_heartbeat(connection).await?),
            false => None,
        };
        let (seq, op_id) = (applied.map(|a| a.seq.cast_signed()), applied.map(|a| a.op_id.clone()));
        let poll = self.store.prepared(query(statements::POLL).bind(seq).bind(op_id))?;
        let row = self.fetch(connection, poll).await?.ok_or_else(no_epoch)?;
        if rows::get::<bool>(&row, "replica")? {
            return Err(OpenError::Replica.into());
        }
        if self.store.connections.are_shared() {
            return Err(OpenError::Pooler.into());
        }
        let server = rows::get::<i64>(&row, "server")?;
        if confirmed_by.is_some_and(|by| by != server) {
            return Err(StoreError::Unavailable(
                "the address leads to two servers at a time: check the failover set-up".into(),
            ));
        }
        self.note_server(server);
        Ok(row)
    }

    /// Commits a heartbeat that replicas have to confirm, and returns the server that did so. Reads from that server
    /// afterwards contain everything that was committed anywhere before the confirmation.
    async fn send_heartbeat(&mut self, connection: &mut PgConnection) -> Result<i64, StoreError> {
        let row = self.fetch(connection, query(statements::HEARTBEAT)).await?.ok_or_else(no_epoch)?;
        let confirmed = rows::get::<bool>(&row, "confirmed")?;
        if self.confirmed && !confirmed {
            tracing::warn!(
                "synchronous_standby_names is empty: no replica confirms heartbeats, so the staleness bound does not hold through a failover"
            );
        }
        self.confirmed = confirmed;
        rows::get(&row, "server")
    }

    /// Runs one statement. Behind a pooler it gets a transaction: otherwise its parts could reach different servers.
    async fn fetch(
        &self,
        connection: &mut PgConnection,
        query: Query<'_, Postgres, PgArguments>,
    ) -> Result<Option<PgRow>, StoreError> {
        if !self.store.pooler {
            return Ok(query.fetch_all(connection).await.map_err(query_error)?.pop());
        }
        raw_sql(statements::BEGIN_LOOK_UP).execute(&mut *connection).await.map_err(query_error)?;
        let row = query.persistent(false).fetch_all(&mut *connection).await.map_err(query_error)?.pop();
        raw_sql("COMMIT").execute(connection).await.map_err(query_error)?;
        Ok(row)
    }

    /// Compares the server with the last one. If it is another, connections to the former server are replaced.
    fn note_server(&mut self, server: i64) {
        self.store.connections.note_server(server);
        if self.server.replace(server).is_some_and(|last| last != server) {
            tracing::info!("the database address leads to another server now");
            self.store.connections.renew();
            self.listening.stop();
        }
    }
}

/// The address may lead to a pooler since this connection was opened.
async fn detect_pooler(store: PostgresStore) {
    let looked = tokio::time::timeout(WAIT_TIMEOUT, probe::is_shared(&store.connections));
    if let Ok(Ok(shared)) = looked.await {
        store.connections.set_shared(shared);
    }
}

fn is_lost(error: &StoreError) -> bool {
    match error {
        StoreError::Unavailable(why) => matches!(why.downcast_ref(), Some(sqlx::Error::Io(_))),
        _ => false,
    }
}
