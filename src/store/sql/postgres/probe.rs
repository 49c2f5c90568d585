//! The first connection: whatever is wrong with an address is said here, before anything relies on it.

use super::error::{OpenError, asking, connecting};
use super::{Connections, NAME, PATIENCE, rows, statements};
use crate::store::StoreError;
use sqlx::{Connection, PgConnection, raw_sql};
use std::io::ErrorKind;
use std::time::Duration;

/// How long until somebody who was not let in tries again.
const PAUSE: Duration = Duration::from_millis(100);

/// How often to look for a pooler before there is none.
const LOOKS: usize = 5;

/// Looks who is there, and whether that can be what the options say it is.
pub(super) async fn look(connections: &Connections, pooler: bool) -> Result<(), StoreError> {
    let mut connection = connect(connections).await?;
    let replica = raw_sql(statements::RECOVERY).fetch_one(&mut connection).await.map_err(asking)?;
    if rows::get::<bool>(&replica, "replica")? {
        return Err(OpenError::Replica.into());
    }
    if !pooler && shares_sessions(&mut connection, connections).await? {
        return Err(OpenError::Pooler.into());
    }
    _ = connection.close().await;
    Ok(())
}

/// Whether the address leads to a pooler that has to be named, as far as that can be told now.
pub(super) async fn is_shared(connections: &Connections) -> Result<bool, StoreError> {
    let mut one = connections.own(NAME).await.map_err(asking)?;
    let shared = shares_sessions(&mut one, connections).await;
    _ = one.close().await;
    shared
}

/// Connects. A server that is just starting, or has no room just now, is waited for.
async fn connect(connections: &Connections) -> Result<PgConnection, StoreError> {
    let mut last = None;
    let connected = tokio::time::timeout(PATIENCE, async {
        loop {
            match connections.own(NAME).await {
                Ok(connection) => return Ok(connection),
                Err(error) if is_passing(&error) => last = Some(error),
                Err(error) => return Err(connecting(error, connections.address())),
            }
            tokio::time::sleep(PAUSE).await;
        }
    });
    match connected.await {
        Ok(connected) => connected,
        Err(_) => Err(last.map_or(OpenError::Silent.into(), |error| connecting(error, connections.address()))),
    }
}

fn is_passing(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => error.kind() == ErrorKind::ConnectionRefused,
        sqlx::Error::Database(error) => error.is_transient_in_connect_phase(),
        _ => false,
    }
}

/// Whether two connections of ours can have the same session of the server, or one connection two: then a pooler is in between that
/// gives each transaction any of them.
///
/// One look is luck: a pooler may give a session to others only a moment after its answer.
async fn shares_sessions(one: &mut PgConnection, connections: &Connections) -> Result<bool, StoreError> {
    let mut other = connections.own(NAME).await.map_err(|error| connecting(error, connections.address()))?;
    let looked = tokio::time::timeout(PATIENCE, async {
        for _ in 0..LOOKS {
            let first = session(one).await?;
            raw_sql("BEGIN").execute(&mut other).await.map_err(asking)?;
            // The other one keeps its session for as long as its transaction is open, so the first one must get another.
            let shares = session(&mut other).await? == first || session(one).await? != first;
            raw_sql("ROLLBACK").execute(&mut other).await.map_err(asking)?;
            if shares {
                return Ok(true);
            }
        }
        Ok(false)
    });
    let shares = looked.await.unwrap_or_else(|_| Err(OpenError::Silent.into()));
    _ = other.close().await;
    shares
}

async fn session(connection: &mut PgConnection) -> Result<i32, StoreError> {
    // To the end of the answer: before that a pooler does not give the session to anybody.
    let rows = raw_sql(statements::SESSION).fetch_all(connection).await.map_err(asking)?;
    rows::get(rows.first().ok_or(OpenError::Silent)?, "session")
}
