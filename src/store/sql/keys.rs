//! The forms by which names and e-mail addresses are compared, for rows that were written before there were any, or by hand.

use super::error::asking;
use super::lists::json;
use super::{Engine, rows, statements};
use crate::domain::comparable;
use crate::store::StoreError;
use serde::Serialize;
use sqlx::{Database, query, raw_sql};
use std::collections::HashSet;

/// A row, and its form.
#[derive(Serialize)]
struct Line {
    id: i64,
    key: String,
}

/// Fills in what is missing. It is no change that a node has to hear of: nothing that the gate judges by is touched.
///
/// Of two rows that compare equal, the older one has the form. The other one keeps its spelling and gets a form that no text has, until
/// it is renamed.
pub(super) async fn fill(connection: &mut <Engine as Database>::Connection) -> Result<(), StoreError> {
    let missing =
        query(statements::WITHOUT_KEYS).persistent(false).fetch_one(&mut *connection).await.map_err(asking)?;
    if rows::get::<i64>(&missing, "n")? == 0 {
        return Ok(());
    }
    raw_sql(statements::UNLOGGED).execute(&mut *connection).await.map_err(asking)?;
    for [batch, taken, set] in [statements::KEYS_OF_ROLES, statements::KEYS_OF_OWNERS, statements::KEYS_OF_TOKENS] {
        let mut last = 0_i64;
        loop {
            let found = query(batch).bind(last).persistent(false).fetch_all(&mut *connection).await.map_err(asking)?;
            let mut lines = Vec::with_capacity(found.len());
            for row in &found {
                let (text, now): (String, Option<String>) = (rows::get(row, "text")?, rows::maybe(row, "now")?);
                last = rows::get(row, "id")?;
                let key = comparable(&text);
                if now.as_ref() != Some(&key) {
                    lines.push(Line { id: last, key });
                }
            }
            if !lines.is_empty() {
                let given = query(taken).bind(json(&lines)).persistent(false);
                let given = given.fetch_all(&mut *connection).await.map_err(asking)?;
                let mut given =
                    given.iter().map(|row| rows::get(row, "key")).collect::<Result<HashSet<String>, _>>()?;
                for Line { id, key } in &mut lines {
                    if !given.insert(key.clone()) {
                        // No name has a control character.
                        *key = format!("{key}\u{1}{id}");
                    }
                }
                let set = query(set).bind(json(&lines)).persistent(false);
                set.execute(&mut *connection).await.map_err(asking)?;
            }
            if found.is_empty() {
                break;
            }
        }
    }
    raw_sql(statements::LOGGED_AGAIN).execute(&mut *connection).await.map_err(asking)?;
    Ok(())
}
