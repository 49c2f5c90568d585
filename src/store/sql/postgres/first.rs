//! The first connection: whatever is wrong with an address is said here, before anything relies on it.

use super::error::{OpenError, asking};
use super::{Connections, NAME, PATIENCE, rows, statements};
use crate::store::StoreError;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{Connection, PgConnection, raw_sql};
use std::io::ErrorKind;
use std::time::Duration;

/// How long until somebody who was not let in tries again.
const PAUSE: Duration = Duration::from_millis(100);

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

/// What an error of connecting means.
fn connecting(error: sqlx::Error, address: &PgConnectOptions) -> StoreError {
    let checked = matches!(address.get_ssl_mode(), PgSslMode::VerifyCa | PgSslMode::VerifyFull);
    match error {
        sqlx::Error::Tls(_) => OpenError::Encryption(error).into(),
        // What the library for TLS does not accept.
        sqlx::Error::Io(ref why) if checked && why.kind() == ErrorKind::InvalidData => {
            OpenError::Certificate(error).into()
        }
        // No server answers so.
        sqlx::Error::Io(ref why) if address.get_socket().is_none() && is_of_a_file(why.kind()) => {
            OpenError::CertificateFile(error).into()
        }
        error => asking(error),
    }
}

fn is_of_a_file(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::NotFound | ErrorKind::PermissionDenied | ErrorKind::IsADirectory)
}

/// Whether two connections of ours can have the same session of the server, or one connection two: then a pooler is in between that
/// gives each transaction any of them.
async fn shares_sessions(one: &mut PgConnection, connections: &Connections) -> Result<bool, StoreError> {
    let mut other = connections.own(NAME).await.map_err(|error| connecting(error, connections.address()))?;
    let looked = tokio::time::timeout(PATIENCE, async {
        let first = session(one).await?;
        raw_sql("BEGIN").execute(&mut other).await.map_err(asking)?;
        // The other one keeps its session for as long as its transaction is open, so the first one must get another.
        let shares = session(&mut other).await? == first || session(one).await? != first;
        raw_sql("ROLLBACK").execute(&mut other).await.map_err(asking)?;
        Ok(shares)
    });
    let shares = looked.await.unwrap_or_else(|_| Err(OpenError::Silent.into()));
    _ = other.close().await;
    shares
}

async fn session(connection: &mut PgConnection) -> Result<i32, StoreError> {
    let row = raw_sql(statements::SESSION).fetch_one(connection).await.map_err(asking)?;
    rows::get(&row, "session")
}
