//! Comparison keys of names and e-mail addresses, for rows that were written by an older release or by hand.

use super::error::query_error;
use super::lists::json;
use super::{Engine, rows, statements};
use crate::domain::comparable;
use crate::store::StoreError;
use serde::Serialize;
use sqlx::{Database, query, raw_sql};
use std::collections::HashSet;

/// A row with its comparison key.
#[derive(Serialize)]
struct KeyedRow {
    id: i64,
    key: String,
}

/// Fills in missing comparison keys. Nodes need not hear of it, because nothing changes that they decide by.
///
/// Of two rows that compare equal, the older one gets the key. The other one keeps its spelling and gets a key that no
/// text has, until it is renamed.
pub(super) async fn fill(connection: &mut <Engine as Database>::Connection) -> Result<(), StoreError> {
    let missing = query(statements::COUNT_ROWS_WITHOUT_KEYS)
        .persistent(false)
        .fetch_one(&mut *connection)
        .await
        .map_err(query_error)?;
    if rows::get::<i64>(&missing, "n")? == 0 {
        return Ok(());
    }
    raw_sql(statements::SUSPEND_HAND_LOG).execute(&mut *connection).await.map_err(query_error)?;
    for [batch, taken, set] in [statements::KEYS_OF_ROLES, statements::KEYS_OF_OWNERS, statements::KEYS_OF_TOKENS] {
        let mut last = 0_i64;
        loop {
            let rows =
                query(batch).bind(last).persistent(false).fetch_all(&mut *connection).await.map_err(query_error)?;
            let mut keyed = Vec::with_capacity(rows.len());
            for row in &rows {
                let (text, now): (String, Option<String>) = (rows::get(row, "text")?, rows::maybe(row, "now")?);
                last = rows::get(row, "id")?;
                let key = comparable(&text);
                if now.as_ref() != Some(&key) {
                    keyed.push(KeyedRow { id: last, key });
                }
            }
            if !keyed.is_empty() {
                let given = query(taken).bind(json(&keyed)).persistent(false);
                let given = given.fetch_all(&mut *connection).await.map_err(query_error)?;
                let mut used = given.iter().map(|row| rows::get(row, "key")).collect::<Result<HashSet<String>, _>>()?;
                for KeyedRow { id, key } in &mut keyed {
                    if !used.insert(key.clone()) {
                        // Names contain no control characters.
                        *key = format!("{key}\u{1}{id}");
                    }
                }
                let set = query(set).bind(json(&keyed)).persistent(false);
                set.execute(&mut *connection).await.map_err(query_error)?;
            }
            if rows.is_empty() {
                break;
            }
        }
    }
    raw_sql(statements::RESUME_HAND_LOG).execute(&mut *connection).await.map_err(query_error)?;
    Ok(())
}
