//! Notices about tokens in a store, and the lease of the node that makes them.

use super::StoreError;
use crate::domain::{AuditAction, AuditTarget, OwnerId, Timestamp, TokenId, TokenKind};
use async_trait::async_trait;
use serde_json::{Value, json};
use std::time::Duration;

/// Reads leases, and the notices that are due.
#[async_trait]
pub trait ReadNotices {
    /// Returns the lease of this name, as it was stored last.
    async fn lease(&mut self, name: &str) -> Result<Option<Lease>, StoreError>;
    /// Lists notices that are due at the time of this view and not recorded, the first `limit`. Sessions get none.
    async fn due_notices(&mut self, query: &NoticeQuery<'_>, limit: u32) -> Result<Vec<Notice>, StoreError>;
}

/// Writes leases, and records notices.
#[async_trait]
pub trait WriteNotices {
    /// Stores a lease in place of an earlier one of this name.
    async fn set_lease(&mut self, name: &str, lease: &Lease) -> Result<(), StoreError>;
    /// Records notices, and returns those that it has recorded. It leaves out a notice that was recorded before, and one whose token has
    /// changed so that it no longer fits: the token is gone, expires at another time, or was used.
    ///
    /// The record of a token goes with the token. It adds no audit events.
    async fn add_notices(&mut self, due: &[Notice]) -> Result<Vec<Notice>, StoreError>;
}

/// A lease: the right of one node to do a job, until a time by the store's clock.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lease {
    /// The holder, by a random text that is drawn for each run of the job.
    pub holder: String,
    /// The end, by the store's clock. From then on another holder may take the lease.
    pub ends_at: Timestamp,
    /// When the job began to be done in this store.
    pub begun_at: Timestamp,
    /// The time up to which everything that was due has been done.
    pub complete_at: Option<Timestamp>,
}

/// The notices to look for.
#[derive(Clone, Copy, Debug)]
pub enum NoticeQuery<'a> {
    /// Tokens that expire within one of these times, or expired after `expired_after`. The soonest first.
    ///
    /// A token gets a notice of the shortest of these times that it is within, unless it was issued within that time. If it has expired,
    /// that is the shortest of all. There is none if a notice of the same time or a shorter one was recorded for the same expiry.
    Expiring {
        /// How long before the expiry there are notices.
        lead_times: &'a [Duration],
        /// Tokens that expired at this time or before get none.
        expired_after: Timestamp,
    },
    /// Unexpired tokens that were not used for these times, by id. There is one notice for each last use, and one for no use.
    Usage {
        /// How long ago the last use must be.
        idle: Option<Duration>,
        /// How long ago a token without any use must have been issued.
        unused: Option<Duration>,
        /// Only tokens with a higher id.
        after: TokenId,
    },
}

/// A notice about a token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notice {
    /// The token.
    pub token: TokenId,
    /// The kind of the token.
    pub kind: TokenKind,
    /// The owner of the token.
    pub owner: Option<OwnerId>,
    /// The name of the token.
    pub name: String,
    /// The reason for the notice.
    pub reason: NoticeReason,
}

/// The reason for a notice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum NoticeReason {
    /// The token expires soon, or has expired.
    Expiring {
        /// The expiry.
        expires_at: Timestamp,
        /// The time before the expiry for which this notice is.
        lead_time: Duration,
    },
    /// The token was not used for long.
    Idle {
        /// The last use.
        last_used_at: Timestamp,
    },
    /// The token was never used.
    Unused {
        /// The time of issue.
        created_at: Timestamp,
    },
}

impl Notice {
    /// Returns the action of the notice's audit event.
    pub fn action(&self) -> AuditAction {
        match self.reason {
            NoticeReason::Expiring { .. } => AuditAction::TokenExpiring,
            NoticeReason::Idle { .. } => AuditAction::TokenIdle,
            NoticeReason::Unused { .. } => AuditAction::TokenUnused,
        }
    }

    /// Returns the target of the notice's audit event.
    pub fn target(&self) -> AuditTarget {
        AuditTarget::Token(self.token, self.kind)
    }

    /// Returns the details of the notice's audit event.
    pub fn details(&self) -> Value {
        let (name, owner) = (&self.name, self.owner);
        match self.reason {
            NoticeReason::Expiring { expires_at, lead_time } => {
                let lead_time = u64::try_from(lead_time.as_millis()).unwrap_or(u64::MAX);
                json!({"name": name, "owner": owner, "expiresAt": expires_at.to_string(), "leadTime": lead_time})
            }
            NoticeReason::Idle { last_used_at } => {
                json!({"name": name, "owner": owner, "lastUsedAt": last_used_at.to_string()})
            }
            NoticeReason::Unused { created_at } => {
                json!({"name": name, "owner": owner, "createdAt": created_at.to_string()})
            }
        }
    }

    /// Returns the key under which the notice is recorded.
    pub fn key(&self) -> NoticeKey {
        let (reason, mark, step) = match self.reason {
            NoticeReason::Expiring { expires_at, lead_time } => ("expiring", expires_at.0, millis(lead_time)),
            NoticeReason::Idle { last_used_at } => ("idle", last_used_at.0, 0),
            // A token is unused once, whatever an import says about its creation.
            NoticeReason::Unused { .. } => ("unused", 0, 0),
        };
        NoticeKey { token: self.token, reason, mark, step }
    }
}

/// The key under which a notice is recorded, once for ever.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NoticeKey {
    /// The token.
    pub token: TokenId,
    /// The word for the reason: `expiring`, `idle` or `unused`.
    pub reason: &'static str,
    /// The expiry or the last use in milliseconds; 0 for no use.
    pub mark: i64,
    /// The time before the expiry in milliseconds; 0 for other reasons.
    pub step: i64,
}

/// Returns milliseconds. Saturates at 292 million years.
fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}
