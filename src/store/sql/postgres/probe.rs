//! Checks of the server before the store is used: all problems with an address are reported here.

use super::error::{OpenError, connection_error, query_error};
use super::{Connections, NAME, WAIT_TIMEOUT, rows, statements};
use crate::store::StoreError;
use sqlx::{Connection, PgConnection, raw_sql};
use std::io::ErrorKind;
use std::time::Duration;

/// The pause before another attempt to connect.
const PAUSE: Duration = Duration::from_millis(100);

/// How many attempts to detect a pooler find none before there is none.
const ATTEMPTS: usize = 5;

/// Checks that the server is a primary, and that it is a pooler only if the options declare one.
pub(super) async fn check_server(connections: &Connections, pooler: bool) -> Result<(), StoreError> {
    let mut connection = connect(connections).await?;
    let replica = raw_sql(statements::IS_REPLICA).fetch_one(&mut connection).await.map_err(query_error)?;
    if rows::get::<bool>(&replica, "replica")? {
        return Err(OpenError::Replica.into());
    }
    if !pooler && shares_sessions(&mut connection, connections).await? {
        return Err(OpenError::Pooler.into());
    }
    _ = connection.close().await;
    Ok(())
}

/// Returns true if an undeclared pooler is detected.
pub(super) async fn is_shared(connections: &Connections) -> Result<bool, StoreError> {
    let mut one = connections.own(NAME).await.map_err(query_error)?;
    let shared = shares_sessions(&mut one, connections).await;
    _ = one.close().await;
    shared
}

/// Connects, waiting for a server that is starting or has no free connection.
async fn connect(connections: &Connections) -> Result<PgConnection, StoreError> {
    let mut last = None;
    let connected = tokio::time::timeout(WAIT_TIMEOUT, async {
        loop {
            match connections.own(NAME).await {
                Ok(connection) => return Ok(connection),
                Err(error) if is_transient(&error) => last = Some(error),
                Err(error) => return Err(connection_error(error, connections.address())),
            }
            tokio::time::sleep(PAUSE).await;
        }
    });
    match connected.await {
        Ok(connected) => connected,
        Err(_) => Err(last.map_or(OpenError::Silent.into(), |error| connection_error(error, connections.address()))),
    }
}

fn is_transient(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => error.kind() == ErrorKind::ConnectionRefused,
        sqlx::Error::Database(error) => error.is_transient_in_connect_phase(),
        _ => false,
    }
}

/// Returns true if two of our connections can get the same session of the server, or one connection two sessions. Then
/// a pooler in between assigns sessions to transactions.
///
/// One attempt may miss that: a pooler may give a session to another client only a moment after its response.
async fn shares_sessions(one: &mut PgConnection, connections: &Connections) -> Result<bool, StoreError> {
    let mut other = connections.own(NAME).await.map_err(|error| connection_error(error, connections.address()))?;
    let result = tokio::time::timeout(WAIT_TIMEOUT, async {
        for _ in 0..ATTEMPTS {
            let first = session(one).await?;
            raw_sql("BEGIN").execute(&mut other).await.map_err(query_error)?;
            // The second connection keeps its session while its transaction is open, so the first one must get another.
            let shares = session(&mut other).await? == first || session(one).await? != first;
            raw_sql("ROLLBACK").execute(&mut other).await.map_err(query_error)?;
            if shares {
                return Ok(true);
            }
        }
        Ok(false)
    });
    let shares = result.await.unwrap_or_else(|_| Err(OpenError::Silent.into()));
    _ = other.close().await;
    shares
}

async fn session(connection: &mut PgConnection) -> Result<i32, StoreError> {
    // Reads to the end of the response: a pooler keeps the session until then.
    let rows = raw_sql(statements::SESSION_ID).fetch_all(connection).await.map_err(query_error)?;
    rows::get(rows.first().ok_or(OpenError::Silent)?, "session")
}
