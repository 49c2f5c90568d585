//! Incidents: requests with a genuine secret that the owner of the token should know of. A background task writes them to the audit log.

use crate::domain::{LogLimit, MonotonicTime, TokenId, TokenKind};
use crate::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use futures_util::future::BoxFuture;
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

/// The shortest time between two recorded incidents of one kind and token.
const INTERVAL: Duration = Duration::from_secs(60);
/// The most incidents that wait to be written, and the most that are remembered as recorded.
const MOST_INCIDENTS: usize = 4096;

/// A request with a genuine secret that the owner of the token should know of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Incident {
    pub(crate) kind: IncidentKind,
    pub(crate) token: TokenId,
    pub(crate) token_kind: TokenKind,
    pub(crate) address: Option<IpAddr>,
}

/// The kind of an incident.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum IncidentKind {
    /// The secret was replaced, and its grace period is over: a sign of theft.
    SecretReused,
    /// The client is in none of the token's networks.
    NetworkRefused,
}

impl IncidentKind {
    #[cfg(feature = "metrics")]
    fn as_str(self) -> &'static str {
        match self {
            Self::SecretReused => "secret_reused",
            Self::NetworkRefused => "network_refused",
        }
    }
}

type Record = Box<dyn Fn(Incident) -> BoxFuture<'static, bool> + Send + Sync>;

/// The incidents that are not written yet: at most one a minute for each kind and token. Made-up secrets cause none.
pub(crate) struct Incidents {
    pending: Mutex<Pending>,
    record: OnceLock<Record>,
    log_limit: LogLimit,
}

#[derive(Default)]
struct Pending {
    queue: Vec<Incident>,
    noted: HashMap<(IncidentKind, TokenId), MonotonicTime>,
}

impl Default for Incidents {
    fn default() -> Self {
        Self { pending: Mutex::default(), record: OnceLock::new(), log_limit: LogLimit::new() }
    }
}

impl Incidents {
    /// Sets the function that records an incident. It returns false if recording should be tried again.
    pub(crate) fn record_by(&self, record: impl Fn(Incident) -> BoxFuture<'static, bool> + Send + Sync + 'static) {
        _ = self.record.set(Box::new(record));
    }

    /// Adds an incident to those that are pending, unless one of its kind and token was recorded within the last minute.
    #[cold]
    pub(crate) fn note(&self, incident: Incident, now: MonotonicTime) {
        let Incident { kind, token, .. } = incident;
        #[cfg(feature = "metrics")]
        metrics::counter!("keyward_incidents_total", "kind" => kind.as_str()).increment(1);
        let mut pending = self.lock();
        let is_recent = |at: &MonotonicTime| now.since(*at) < INTERVAL;
        if pending.noted.get(&(kind, token)).is_some_and(is_recent) {
            return;
        }
        if pending.noted.len() >= MOST_INCIDENTS {
            pending.noted.retain(|_, at| is_recent(at));
        }
        if pending.noted.len() >= MOST_INCIDENTS || pending.queue.len() >= MOST_INCIDENTS {
            drop(pending);
            if let Some(count) = self.log_limit.count(now) {
                tracing::warn!(count, "too many incidents at once: some are not in the audit log");
            }
            return;
        }
        pending.noted.insert((kind, token), now);
        pending.queue.push(incident);
    }

    /// Records the pending incidents. Those that cannot be recorded stay pending.
    pub(super) async fn write(&self) {
        let Some(record) = self.record.get() else {
            self.lock().queue.clear();
            return;
        };
        let queue = std::mem::take(&mut self.lock().queue);
        let mut left = Vec::new();
        for incident in queue {
            // A store that fails is not asked again for the others.
            if !left.is_empty() || !record(incident).await {
                left.push(incident);
            }
        }
        self.lock().queue.extend(left);
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        // No code in here panics half-way through a change.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
