//! Admission of look-ups to the store.
//!
//! A bounded number of reads runs at a time; other look-ups wait in lanes. Only the lane of
//! known tokens can take all permits: such tokens cannot be made up, so a quarter of the permits is reserved for them.
//! The other lanes are for tokens that the node has not seen since it started; doubtful tokens get a small part:
//!
//! | lane | requests | permits, of 16 |
//! | --- | --- | --- |
//! | known | in the cache, or admitted before, and to be reloaded | 16 |
//! | unknown | not in the cache, with a valid check | 12 |
//! | doubtful | not in the cache, in Strapi's or a legacy format, which have no check | 4 |
//! | over budget | not in the cache, from an address over its failure budget | 2, and one for each address |
//!
//! Each lane is first come, first served. A look-up without a permit within [`Limits::queue`](super::Limits::queue) is
//! answered 503.

use tokio::sync::{Semaphore, SemaphorePermit};

/// The number of queues for networks over their budget, chosen by a keyed hash of the network.
const QUEUES: usize = 64;

/// The lane in which a look-up waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Lane {
    Known,
    Unknown,
    Doubtful,
    /// The hash of a network over its budget.
    OverBudget(u64),
}

pub(super) struct Lanes {
    /// The number of permits.
    size: usize,
    permits: Semaphore,
    unknown: Semaphore,
    doubtful: Semaphore,
    over_budget: Semaphore,
    /// One permit each, so that one network at a time competes with other networks, however many requests it sends.
    queues: [Semaphore; QUEUES],
}

/// A permit for one read, until it is dropped.
#[must_use]
pub(super) struct Permit<'l> {
    _permits: [Option<SemaphorePermit<'l>>; 4],
}

impl Lane {
    pub(super) fn is_over_budget(self) -> bool {
        matches!(self, Self::OverBudget(_))
    }
}

impl Lanes {
    pub(super) fn new(permits: usize) -> Self {
        let of = |permits: usize| Semaphore::new(permits.clamp(1, Semaphore::MAX_PERMITS));
        Self {
            size: permits.clamp(1, Semaphore::MAX_PERMITS),
            permits: of(permits),
            unknown: of(permits - permits / 4),
            doubtful: of(permits / 4),
            over_budget: of(permits / 8),
            queues: std::array::from_fn(|_| of(1)),
        }
    }

    /// Returns the number of permits in use.
    pub(super) fn running(&self) -> usize {
        self.size.saturating_sub(self.permits.available_permits())
    }

    /// Returns a permit if one is free and no look-up waits for it.
    pub(super) fn try_acquire(&self, lane: Lane) -> Option<Permit<'_>> {
        let mut acquired = [const { None }; 4];
        for (semaphore, acquired) in self.semaphores(lane).into_iter().zip(&mut acquired) {
            if let Some(semaphore) = semaphore {
                *acquired = Some(semaphore.try_acquire().ok()?);
            }
        }
        Some(Permit { _permits: acquired })
    }

    /// Waits for a permit: in the narrowest lane first, so that no request holds a permit that a wider lane waits for.
    pub(super) async fn acquire(&self, lane: Lane) -> Permit<'_> {
        let mut acquired = [const { None }; 4];
        for (semaphore, acquired) in self.semaphores(lane).into_iter().zip(&mut acquired) {
            if let Some(semaphore) = semaphore {
                // The semaphores are never closed, so acquiring succeeds in the end.
                *acquired = semaphore.acquire().await.ok();
            }
        }
        Permit { _permits: acquired }
    }

    /// Returns the semaphores of a lane, the narrowest first.
    fn semaphores(&self, lane: Lane) -> [Option<&Semaphore>; 4] {
        let (all, unknown) = (Some(&self.permits), Some(&self.unknown));
        match lane {
            Lane::Known => [None, None, None, all],
            Lane::Unknown => [None, None, unknown, all],
            Lane::Doubtful => [None, Some(&self.doubtful), unknown, all],
            Lane::OverBudget(network) => {
                let queue = &self.queues[(network % QUEUES as u64) as usize];
                [Some(queue), Some(&self.over_budget), unknown, all]
            }
        }
    }
}
