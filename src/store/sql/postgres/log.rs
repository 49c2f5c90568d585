//! The log of changes, as every node reads it.

use super::connection::Held;
use super::error::{OpenError, asking};
use super::listen::Listening;
use super::{NAME, PATIENCE, PostgresStore, Side, no_epoch, probe, rows, statements};
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
    /// By what name the server knows this reader.
    name: String,
    /// Gone while a poll is under way: one that is given up takes its connection along.
    connection: Option<PgConnection>,
    /// An earlier connection is gone, and its session may still be there.
    left: bool,
    /// Which server answered last.
    server: Option<i64>,
    /// Whether replicas had to confirm the last heartbeat.
    confirmed: bool,
    listening: Listening,
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
            // It was lost while nobody used it.
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
        let mut held = Held::begin(&self.store.connections, Side::Writing, statements::BEGIN_ASIDE).await?;
        held.set_busy(true);
        self.store.recognise_tables(&mut held).await?;
        let forget = self.store.prepared(query(statements::FORGET).bind(before.0))?;
        let done = forget.execute(&mut *held).await.map_err(asking)?;
        held.set_busy(false);
        held.commit().await.map_err(asking)?;
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
            left: false,
            server: None,
            confirmed: true,
            listening: Listening::default(),
        }
    }

    async fn connect(&mut self) -> Result<PgConnection, StoreError> {
        let mut connection = self.store.connections.own(&self.name).await.map_err(asking)?;
        if !self.store.pooler {
            raw_sql(statements::LOOK_UPS_END).execute(&mut connection).await.map_err(asking)?;
            // Not in the time that there is for a poll: it takes connections of its own.
            tokio::spawn(look_for_a_pooler(self.store.clone()));
        }
        if self.left && self.store.heartbeat {
            self.ask(&mut connection, query(statements::END_WAITING).bind(&self.name)).await?;
        }
        self.left = true;
        Ok(connection)
    }

    /// Reads the log from the live primary.
    async fn read(&mut self, connection: &mut PgConnection, applied: Option<&Applied>) -> Result<PgRow, StoreError> {
        let confirmed_by = match self.store.heartbeat {
            true => Some(self.beat(connection).await?),
            false => None,
        };
        let (seq, op_id) = (applied.map(|a| a.seq.cast_signed()), applied.map(|a| a.op_id.clone()));
        let poll = self.store.prepared(query(statements::POLL).bind(seq).bind(op_id))?;
        let row = self.ask(connection, poll).await?.ok_or_else(no_epoch)?;
        if rows::get::<bool>(&row, "replica")? {
            return Err(OpenError::Replica.into());
        }
        if self.store.connections.are_shared() {
            return Err(OpenError::Pooler.into());
        }
        let server = rows::get::<i64>(&row, "server")?;
        if confirmed_by.is_some_and(|by| by != server) {
            return Err(StoreError::Unavailable("the address leads to two servers at a time".into()));
        }
        self.meet(server);
        Ok(row)
    }

    /// Commits something that replicas have to confirm, and answers which server did so. What is read from that server afterwards
    /// contains all that was committed anywhere before this was confirmed.
    async fn beat(&mut self, connection: &mut PgConnection) -> Result<i64, StoreError> {
        let row = self.ask(connection, query(statements::HEARTBEAT)).await?.ok_or_else(no_epoch)?;
        let confirmed = rows::get::<bool>(&row, "confirmed")?;
        if self.confirmed && !confirmed {
            tracing::warn!(
                "synchronous_standby_names is empty: no replica confirms a heartbeat, and it proves nothing"
            );
        }
        self.confirmed = confirmed;
        rows::get(&row, "server")
    }

    /// One statement, to its end. Behind a pooler it has a transaction around it: else its parts could reach different servers.
    async fn ask(
        &self,
        connection: &mut PgConnection,
        query: Query<'_, Postgres, PgArguments>,
    ) -> Result<Option<PgRow>, StoreError> {
        if !self.store.pooler {
            return Ok(query.fetch_all(connection).await.map_err(asking)?.pop());
        }
        raw_sql(statements::BEGIN_LOOK_UP).execute(&mut *connection).await.map_err(asking)?;
        let row = query.persistent(false).fetch_all(&mut *connection).await.map_err(asking)?.pop();
        raw_sql("COMMIT").execute(connection).await.map_err(asking)?;
        Ok(row)
    }

    /// A server that is another one than the last has taken its place: what leads to the old one is of no use any more.
    fn meet(&mut self, server: i64) {
        if self.server.replace(server).is_some_and(|last| last != server) {
            tracing::info!("the address of the database leads to another server now");
            self.store.connections.renew();
            self.listening.end();
        }
    }
}

/// The address may lead to one since this connection was made.
async fn look_for_a_pooler(store: PostgresStore) {
    let looked = tokio::time::timeout(PATIENCE, probe::is_shared(&store.connections));
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
