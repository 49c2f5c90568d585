//! Notices about tokens, and leases.

use super::{Content, Lock, Open, Uses};
use crate::domain::{Timestamp, Token, TokenId, TokenKind};
use crate::store::{Lease, Notice, NoticeKey, NoticeQuery, NoticeReason, ReadNotices, StoreError, WriteNotices};
use async_trait::async_trait;
use std::time::Duration;

#[async_trait]
impl<L: Send> ReadNotices for Open<L> {
    async fn lease(&mut self, name: &str) -> Result<Option<Lease>, StoreError> {
        Ok(self.content.leases.get(name).cloned())
    }

    async fn due_notices(&mut self, query: &NoticeQuery<'_>, limit: u32) -> Result<Vec<Notice>, StoreError> {
        let now = self.store.clock.now();
        let tokens = self.content.tokens.values().filter(|token| token.kind() != TokenKind::Session);
        let notice = |token: &Token| {
            let reason = match *query {
                NoticeQuery::Expiring { lead_times, expired_after } => expiring(token, lead_times, expired_after, now)?,
                NoticeQuery::Usage { idle, unused, after } => {
                    let last_use = self.uses.of_tokens.get(&token.id).map(|used| used.at);
                    not_used(token, last_use, idle, unused, now).filter(|_| token.id > after)?
                }
            };
            let Token { id, name, .. } = token;
            let notice = Notice { token: *id, kind: token.kind(), owner: token.owner(), name: name.clone(), reason };
            self.content.is_new(&notice.key()).then_some(notice)
        };
        let mut due: Vec<Notice> = tokens.filter_map(|token| notice(token)).collect();
        // Tokens are in the order of their ids, which the sort keeps.
        due.sort_by_key(|notice| match notice.reason {
            NoticeReason::Expiring { expires_at, .. } => expires_at,
            NoticeReason::Idle { .. } | NoticeReason::Unused { .. } => Timestamp(0),
        });
        due.truncate(limit as usize);
        Ok(due)
    }
}

/// Returns the notice of the shortest time before the expiry that has begun since the token was issued.
fn expiring(token: &Token, lead_times: &[Duration], expired_after: Timestamp, now: Timestamp) -> Option<NoticeReason> {
    let expires_at = token.expires_at.filter(|at| *at > expired_after)?;
    let begins = |span: &Duration| expires_at.0.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX));
    let has_begun = |span: &&Duration| begins(span) <= now.0 && begins(span) > token.created_at.0;
    let lead_time = *lead_times.iter().filter(has_begun).min()?;
    Some(NoticeReason::Expiring { expires_at, lead_time })
}

fn not_used(
    token: &Token,
    last_use: Option<Timestamp>,
    idle: Option<Duration>,
    unused: Option<Duration>,
    now: Timestamp,
) -> Option<NoticeReason> {
    if token.expires_at.is_some_and(|at| at <= now) {
        return None;
    }
    let is_over = |since: Timestamp, span: Duration| since.plus(span) <= now;
    match last_use {
        Some(last_used_at) => {
            idle.filter(|span| is_over(last_used_at, *span)).map(|_| NoticeReason::Idle { last_used_at })
        }
        None => unused
            .filter(|span| is_over(token.created_at, *span))
            .map(|_| NoticeReason::Unused { created_at: token.created_at }),
    }
}

impl Content {
    /// Returns whether there is no record of a notice, nor of a later one for the same expiry.
    fn is_new(&self, key: &NoticeKey) -> bool {
        let same = |other: &NoticeKey| (other.reason, other.mark) == (key.reason, key.mark) && other.step <= key.step;
        !self.notices.get(&key.token).into_iter().flatten().any(same)
    }

    fn still_fits(&self, notice: &Notice, uses: &Uses) -> bool {
        let Some(token) = self.tokens.get(&notice.token).filter(|token| token.kind() != TokenKind::Session) else {
            return false;
        };
        let last_use = uses.of_tokens.get(&token.id).map(|used| used.at);
        match notice.reason {
            NoticeReason::Expiring { expires_at, .. } => token.expires_at == Some(expires_at),
            NoticeReason::Idle { last_used_at } => last_use == Some(last_used_at),
            NoticeReason::Unused { .. } => last_use.is_none(),
        }
    }

    fn add_notice(&mut self, id: TokenId, key: NoticeKey) {
        let mut keys = self.notices.get(&id).cloned().unwrap_or_default();
        keys.push(key);
        self.notices.insert_mut(id, keys);
    }
}

#[async_trait]
impl WriteNotices for Open<Lock> {
    async fn set_lease(&mut self, name: &str, lease: &Lease) -> Result<(), StoreError> {
        self.content.leases.insert_mut(name.to_owned(), lease.clone());
        Ok(())
    }

    async fn add_notices(&mut self, due: &[Notice]) -> Result<Vec<Notice>, StoreError> {
        let mut added = Vec::new();
        for notice in due {
            if self.content.still_fits(notice, &self.uses) && self.content.is_new(&notice.key()) {
                self.content.add_notice(notice.token, notice.key());
                added.push(notice.clone());
            }
        }
        Ok(added)
    }
}
