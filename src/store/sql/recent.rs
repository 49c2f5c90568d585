//! The tokens that were used last.

use super::view::Reading;
use super::{rows, statements};
use crate::domain::{Timestamp, TokenId};
use crate::store::{RecentPosition, RecentTokens, StoreError, View};
use sqlx::query;

/// The number of tokens on a page: a few milliseconds of the database's time.
const PAGE_SIZE: u32 = 200;

impl Reading {
    /// Returns the page at a position, or the first one.
    ///
    /// The time since which a token must have been used is determined once. There is no index on last uses, because
    /// each use would have to write to it.
    pub(super) async fn recent_tokens(
        &mut self,
        tokens: u32,
        position: Option<RecentPosition>,
    ) -> Result<RecentTokens, StoreError> {
        let position = match position {
            Some(position) => position,
            None => {
                let row = self.row(query(statements::NTH_LATEST_USE).bind(i64::from(tokens))).await?;
                let since = row.map(|row| rows::maybe(&row, "since")).transpose()?.flatten();
                let Some(since) = since.map(Timestamp) else { return Ok(RecentTokens::default()) };
                RecentPosition { since, after: TokenId(0) }
            }
        };
        let page =
            query(statements::RECENT_TOKENS).bind(position.since.0).bind(position.after.0).bind(i64::from(PAGE_SIZE));
        let (rows, mut page) = (self.rows(page).await?, RecentTokens::default());
        for row in &rows {
            let snapshot = rows::snapshot(row, self.now())?;
            (page.seq, page.op_id) = (snapshot.seq, snapshot.op_id);
            page.records.extend(snapshot.record);
        }
        let is_full = page.records.len() == PAGE_SIZE as usize;
        page.next =
            page.records.last().filter(|_| is_full).map(|last| RecentPosition { after: last.token.id, ..position });
        Ok(page)
    }
}
