//! Reads for explanations: the token as a look-up would find it, without a trace in the cache.

use super::entry::{Entry, has_ended};
use super::freshness::Stamp;
use super::lookup::{Absent, LookupOutcome};
use super::reads::Read;
use super::{KnownSecret, Lane, Resolver};
use crate::domain::{MonotonicTime, Unavailable};
use crate::store::Record;
use crate::sync::Arc;
use std::time::Duration;

/// The pause before a read that a change has overtaken is repeated.
const PAUSE: Duration = Duration::from_millis(10);

/// The token of a secret, as the store has it.
pub(crate) enum Examined {
    Found(Arc<Entry>, Box<Record>),
    /// Whether there is a token, whose owner is missing.
    Absent {
        has_token: bool,
        /// Whether it was a secret of that token, and was replaced.
        replaced: bool,
    },
}

impl Resolver {
    /// Reads the token of a secret as [`ask`](Self::ask) does, under the same conditions. The result is not cached, and no
    /// use is noted.
    pub(crate) async fn examine(self: &Arc<Self>, secret: KnownSecret) -> Result<Examined, Unavailable> {
        let begun = self.clock.moment();
        let until_current = async {
            self.fitting_keys().await?;
            loop {
                if !self.freshness.has_lease(self.clock.moment()) {
                    self.await_first_lease().await?;
                }
                let lane = self.lane(&secret, Lane::Unknown);
                let Read { era, asked, mut snapshot } = self.read(secret.digest, lane).await?;
                if let Some(record) = &mut snapshot.record {
                    self.accounts.answer_record(record).await.map_err(|_| Unavailable::Store)?;
                }
                self.freshness.observe(era, snapshot.seq, snapshot.op_id.as_deref());
                let stamp = Stamp { era, seq: snapshot.seq };
                let entry = snapshot.record.as_ref().and_then(|record| Entry::of(record, secret, stamp, asked, self));
                let outcome = match entry.map(Arc::new) {
                    Some(entry) => LookupOutcome::Found(entry),
                    None => LookupOutcome::Absent(Absent {
                        stamp,
                        owner: snapshot.record.as_ref().and_then(|record| record.token.owner()),
                        until: MonotonicTime::NEVER,
                        replaced: None,
                        rejected: None,
                    }),
                };
                let has_lease = self.freshness.has_lease(self.clock.moment());
                if !has_lease || !outcome.is_current(&secret.digest, begun, &self.freshness) {
                    // Overtaken by a change, or the store lags.
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
                return Ok(match (outcome, snapshot.record) {
                    (LookupOutcome::Found(entry), Some(record)) => Examined::Found(entry, Box::new(record)),
                    (_, record) => Examined::Absent {
                        has_token: record.is_some(),
                        replaced: record.is_some_and(|record| has_ended(&record, &secret.digest)),
                    },
                });
            }
        };
        tokio::time::timeout(self.limits.request, until_current).await.unwrap_or(Err(Unavailable::Deadline))
    }
}
