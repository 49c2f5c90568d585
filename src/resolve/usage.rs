//! Last uses of tokens, written in the background: at most one a minute for each token, one statement for each batch.

use super::entry::Entry;
use crate::domain::{Clock, Digest, MonotonicTime, Timestamp, TokenId};
use crate::store::{Store, Use};
#[cfg(feature = "mcp")]
use crate::sync::Arc;
use crate::sync::{Mutex, MutexGuard, PoisonError};
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

/// How often a token's use is noted.
pub(super) const NOTE_EVERY: Duration = Duration::from_secs(60);
/// How often noted uses are written.
pub(super) const WRITE_EVERY: Duration = Duration::from_secs(5);

/// Uses that are not written yet, one for each secret of a token. Bounded by the number of tokens: made-up ones never get
/// here.
#[derive(Default)]
pub(crate) struct Usage {
    pending: Mutex<HashMap<TokenId, Vec<Use>>>,
}

impl Usage {
    #[inline]
    pub(crate) fn note(
        &self,
        entry: &Entry,
        now: MonotonicTime,
        clock: &dyn Clock,
        address: impl FnOnce() -> Option<IpAddr>,
    ) {
        if entry.is_note_due(now, NOTE_EVERY) {
            self.claim_and_insert(entry, now, clock, address);
        }
    }

    #[cold]
    fn claim_and_insert(
        &self,
        entry: &Entry,
        now: MonotonicTime,
        clock: &dyn Clock,
        address: impl FnOnce() -> Option<IpAddr>,
    ) {
        if !entry.claim_note(now, NOTE_EVERY) {
            return;
        }
        if let (Some(token), Some(digest)) = (entry.principal.token(), entry.digest()) {
            let (at, address) = (clock.now(), address());
            let mut pending = self.lock();
            let uses = pending.entry(token).or_default();
            // A use from an unknown address hides no known one that is not written yet.
            let known = uses.iter().find(|used| used.digest == digest).and_then(|used| used.address);
            uses.retain(|used| used.digest != digest);
            uses.push(Use { token, digest, at, address: address.or(known), tool: None });
        }
    }

    /// Adds the tool that was called to the token's use, if that is not written yet.
    #[cfg(feature = "mcp")]
    pub(crate) fn note_tool(&self, token: TokenId, tool: &Arc<str>) {
        if let Some(pending) = self.lock().get_mut(&token).and_then(|uses| uses.last_mut()) {
            pending.tool = Some(tool.clone());
        }
    }

    /// Returns the last use that is not written yet.
    pub(super) fn pending(&self, token: TokenId) -> Option<Timestamp> {
        self.lock().get(&token).and_then(|uses| uses.iter().map(|used| used.at).max())
    }

    /// Returns the last use of this secret of a token that is not written yet.
    pub(super) fn pending_of(&self, token: TokenId, digest: &Digest) -> Option<Timestamp> {
        let pending = self.lock();
        pending.get(&token)?.iter().find(|used| used.digest == *digest).map(|used| used.at)
    }

    /// Writes pending uses. Uses that cannot be written stay pending.
    pub(super) async fn write(&self, store: &dyn Store) {
        let batch: Vec<Use> = self.lock().values().flatten().cloned().collect();
        if batch.is_empty() {
            return;
        }
        match store.note_uses(&batch).await {
            Ok(()) => {
                let mut pending = self.lock();
                for written in &batch {
                    if let Some(uses) = pending.get_mut(&written.token) {
                        uses.retain(|used| used != written);
                        if uses.is_empty() {
                            pending.remove(&written.token);
                        }
                    }
                }
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    uses = batch.len(),
                    "cannot write token uses yet"
                );
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TokenId, Vec<Use>>> {
        // No code in here panics half-way through a change.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
