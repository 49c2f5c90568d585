//! Reads of the store: for one look-up, or for several that wait for a permit together.
//!
//! A look-up that gets a permit at once reads alone: it does not wait for company. If all permits are taken, look-ups of
//! one lane wait side by side, and the first one with a permit reads for the others too. That needs a store that
//! [reads many faster](crate::store::Store::batch_size). Doubtful look-ups and those over their budget always read
//! alone, so that none of them delays a look-up of another lane.

use super::lanes::Permit;
use super::{Lane, Resolver};
use crate::domain::{Digest, MonotonicTime, Unavailable};
use crate::store::{Snapshot, StoreError};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Mutex, MutexGuard, PoisonError};
use std::collections::VecDeque;
use tokio::sync::oneshot;

/// The answer of the store to a look-up.
pub(super) struct Read {
    /// The era in which the store was asked.
    pub(super) era: u64,
    /// A moment before the store was asked.
    pub(super) asked: MonotonicTime,
    pub(super) snapshot: Snapshot,
}

type Answer = Result<Read, Unavailable>;

/// Look-ups that wait for a permit, and may be read together, by lane.
#[derive(Default)]
pub(super) struct Waiting {
    known: Queue,
    unknown: Queue,
    /// The number of running look-ups without a permit of their own.
    riders: AtomicUsize,
}

/// First come, first served.
#[derive(Default)]
struct Queue(Mutex<VecDeque<Waiter>>);

struct Waiter {
    digest: Digest,
    answer: oneshot::Sender<Answer>,
}

impl Waiting {
    /// Returns the number of running look-ups that have no permit of their own.
    pub(super) fn riders(&self) -> usize {
        self.riders.load(Ordering::Relaxed)
    }

    fn queue(&self, lane: Lane) -> Option<&Queue> {
        match lane {
            Lane::Known => Some(&self.known),
            Lane::Unknown => Some(&self.unknown),
            Lane::Doubtful | Lane::OverBudget(_) => None,
        }
    }
}

impl Queue {
    fn join(&self, digest: Digest) -> oneshot::Receiver<Answer> {
        let (answer, receiver) = oneshot::channel();
        self.waiters().push_back(Waiter { digest, answer });
        receiver
    }

    /// Removes the waiter with this digest; false if another look-up reads for it.
    fn leave(&self, digest: &Digest) -> bool {
        let mut waiters = self.waiters();
        let place = waiters.iter().position(|waiter| waiter.digest == *digest);
        place.and_then(|place| waiters.remove(place)).is_some()
    }

    /// Removes those that have waited longest.
    fn take(&self, most: usize) -> Vec<Waiter> {
        let mut waiters = self.waiters();
        let most = most.min(waiters.len());
        // The runtime may have ended before the task of a waiter did.
        waiters.drain(..most).filter(|waiter| !waiter.answer.is_closed()).collect()
    }

    fn waiters(&self) -> MutexGuard<'_, VecDeque<Waiter>> {
        // No code in here panics half-way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Look-ups that share the permit of another one.
struct Riders<'r> {
    waiters: Vec<Waiter>,
    count: usize,
    riders: &'r AtomicUsize,
}

impl<'r> Riders<'r> {
    fn new(waiters: Vec<Waiter>, riders: &'r AtomicUsize) -> Self {
        let count = waiters.len();
        riders.fetch_add(count, Ordering::Relaxed);
        Self { waiters, count, riders }
    }
}

impl Drop for Riders<'_> {
    fn drop(&mut self) {
        self.riders.fetch_sub(self.count, Ordering::Relaxed);
    }
}

impl Resolver {
    /// Reads the store for a look-up, or has it read by another one of the same lane.
    pub(super) async fn read(&self, digest: Digest, lane: Lane) -> Answer {
        let batch = self.store.batch_size();
        let permit = self.lanes.try_acquire(lane);
        let queue = self.waiting.queue(lane).filter(|_| batch > 1 && permit.is_none());
        let Some(queue) = queue else {
            let permit = match permit {
                Some(permit) => permit,
                None => self.acquire(lane).await?,
            };
            return self.read_one(&permit, digest).await;
        };
        let mut answer = queue.join(digest);
        let permit = tokio::select! {
            biased;
            answer = &mut answer => return answer.unwrap_or(Err(Unavailable::Store)),
            permit = self.acquire(lane) => permit,
        };
        if !queue.leave(&digest) {
            // Another look-up reads for this one, which needs no permit.
            drop(permit);
            return answer.await.unwrap_or(Err(Unavailable::Store));
        }
        let permit = permit?;
        let riders = queue.take(batch - 1);
        match riders.is_empty() {
            true => self.read_one(&permit, digest).await,
            false => self.read_many(&permit, digest, riders).await,
        }
    }

    async fn acquire(&self, lane: Lane) -> Result<Permit<'_>, Unavailable> {
        let permit = tokio::time::timeout(self.limits.queue, self.lanes.acquire(lane)).await;
        permit.map_err(|_| Unavailable::Overloaded)
    }

    async fn read_one(&self, _: &Permit<'_>, digest: Digest) -> Answer {
        self.counts.record_read();
        let (era, asked) = (self.freshness.era(), self.clock.moment());
        let snapshot = self.until_late(self.store.resolve(&digest)).await?;
        Ok(Read { era, asked, snapshot })
    }

    /// Reads for this look-up and for the riders, and answers the riders. If the read as a whole fails, so do all.
    async fn read_many(&self, _: &Permit<'_>, digest: Digest, riders: Vec<Waiter>) -> Answer {
        let mut riders = Riders::new(riders, &self.waiting.riders);
        let digests: Vec<Digest> = std::iter::once(digest).chain(riders.waiters.iter().map(|r| r.digest)).collect();
        self.counts.record_read();
        // All riders joined before this moment.
        let (era, asked) = (self.freshness.era(), self.clock.moment());
        let read = self.until_late(self.store.resolve_many(&digests)).await;
        let mut answers = read.map(|snapshots| snapshots.into_iter().fuse());
        let mut next = || match &mut answers {
            Ok(snapshots) => match snapshots.next() {
                Some(Ok(snapshot)) => Ok(Read { era, asked, snapshot }),
                Some(Err(error)) => Err(self.failed(&error)),
                None => Err(Unavailable::Store),
            },
            Err(unavailable) => Err(*unavailable),
        };
        let own = next();
        for rider in riders.waiters.drain(..) {
            // Its task may be gone with the runtime.
            _ = rider.answer.send(next());
        }
        own
    }

    async fn until_late<T>(&self, read: impl Future<Output = Result<T, StoreError>>) -> Result<T, Unavailable> {
        match tokio::time::timeout(self.limits.lookup, read).await {
            Ok(read) => read.map_err(|error| self.failed(&error)),
            Err(_) => Err(Unavailable::Deadline),
        }
    }

    fn failed(&self, error: &StoreError) -> Unavailable {
        // Made-up secrets in Strapi's format get this far.
        if let Some(count) = self.lookup_log_limit.count(self.clock.moment()) {
            tracing::warn!(error = error as &dyn std::error::Error, count, "look-up failed");
        }
        Unavailable::Store
    }
}

#[cfg(test)]
mod tests;
