//! Notices about tokens as query parameters and rows.

use super::lists::json;
use super::{Arguments, Engine, Row, corrupt, rows, statements};
use crate::domain::{OwnerId, Timestamp, TokenId, TokenKind};
use crate::store::{Lease, Notice, NoticeKey, NoticeQuery, NoticeReason, StoreError};
use serde::Serialize;
use sqlx::query;
use sqlx::query::Query;
use std::time::Duration;

/// Returns the query for the notices that are due.
pub(super) fn due(asked: &NoticeQuery<'_>, now: Timestamp, limit: u32) -> Query<'static, Engine, Arguments> {
    #[derive(Serialize)]
    struct Line {
        ms: i64,
    }
    let before = |span: Duration| now.0.saturating_sub(millis(span));
    match *asked {
        NoticeQuery::Expiring { lead_times, expired_after } => {
            let lines: Vec<Line> = lead_times.iter().map(|span| Line { ms: millis(*span) }).collect();
            let longest = lead_times.iter().max().copied().unwrap_or_default();
            query(statements::EXPIRING_TOKENS)
                .bind(now.0)
                .bind(json(&lines))
                .bind(expired_after.0)
                .bind(now.plus(longest).0)
                .bind(i64::from(limit))
        }
        NoticeQuery::Usage { idle, unused, after } => query(statements::UNUSED_TOKENS)
            .bind(now.0)
            .bind(idle.map(before))
            .bind(unused.map(before))
            .bind(after.0)
            .bind(i64::from(limit)),
    }
}

/// Reads a row of [`due`].
pub(super) fn notice(row: &Row, asked: &NoticeQuery<'_>) -> Result<Notice, StoreError> {
    let reason = match asked {
        NoticeQuery::Expiring { .. } => {
            let lead_time = rows::unsigned("step", rows::get(row, "step")?).map(Duration::from_millis)?;
            NoticeReason::Expiring { expires_at: Timestamp(rows::get(row, "mark")?), lead_time }
        }
        NoticeQuery::Usage { .. } => match rows::maybe(row, "last_used_at")?.map(Timestamp) {
            Some(last_used_at) => NoticeReason::Idle { last_used_at },
            None => NoticeReason::Unused { created_at: Timestamp(rows::get(row, "created_at")?) },
        },
    };
    let kind = TokenKind::from_word(&rows::get::<String>(row, "kind")?);
    Ok(Notice {
        token: TokenId(rows::get(row, "token_id")?),
        kind: kind.ok_or_else(|| corrupt("kind", "no such kind"))?,
        owner: rows::maybe(row, "owner_id")?.map(OwnerId),
        name: rows::get(row, "name")?,
        reason,
    })
}

/// Returns the query that records notices, and returns the keys of those that are new.
pub(super) fn add(due: &[Notice]) -> Query<'static, Engine, Arguments> {
    #[derive(Serialize)]
    struct Line {
        token: TokenId,
        reason: &'static str,
        mark: i64,
        step: i64,
    }
    let line = |notice: &Notice| {
        let NoticeKey { token, reason, mark, step } = notice.key();
        Line { token, reason, mark, step }
    };
    query(statements::ADD_NOTICES).bind(json(&due.iter().map(line).collect::<Vec<_>>()))
}

/// Reads a row of [`add`].
pub(super) fn key(row: &Row) -> Result<NoticeKey, StoreError> {
    let word = rows::get::<String>(row, "reason")?;
    let reason = ["expiring", "idle", "unused"].into_iter().find(|reason| *reason == word);
    Ok(NoticeKey {
        token: TokenId(rows::get(row, "token_id")?),
        reason: reason.ok_or_else(|| corrupt("reason", "no such reason"))?,
        mark: rows::get(row, "mark")?,
        step: rows::get(row, "step")?,
    })
}

pub(super) fn lease(row: &Row) -> Result<Lease, StoreError> {
    Ok(Lease {
        holder: rows::get(row, "holder")?,
        ends_at: Timestamp(rows::get(row, "ends_at")?),
        begun_at: Timestamp(rows::get(row, "begun_at")?),
        complete_at: rows::maybe(row, "complete_at")?.map(Timestamp),
    })
}

/// Saturates at 292 million years.
fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}
