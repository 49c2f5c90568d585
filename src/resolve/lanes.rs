//! Whose look-up is next.
//!
//! The store is asked by so many at a time and no more. Who waits for a turn waits in a lane, and no lane can take all turns but
//! that of tokens which are known already: they cannot be made up, so a quarter of the turns is theirs alone. What is left is for
//! tokens that nobody has seen since the start; and of that a small part for those that are likely to be nobody's:
//!
//! | lane | who | turns, of 16 |
//! | --- | --- | --- |
//! | known | in the cache, or let in before, to be read again | 16 |
//! | unknown | not in the cache, with a right check | 12 |
//! | doubtful | not in the cache, in the reference's format, which has no check | 4 |
//! | aside | not in the cache, from an address over its failure budget | 2, and one for each address |
//!
//! A lane is first come, first served, and who gets no turn within [`Limits::queue`](super::Limits::queue) is answered 503.

use tokio::sync::{Semaphore, SemaphorePermit};

/// How many queues those over their budget are spread over, by a keyed hash of their network.
const QUEUES: usize = 64;

/// Where a look-up waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Lane {
    Known,
    Unknown,
    Doubtful,
    /// With a number for the network that is over its budget.
    Aside(u64),
}

pub(super) struct Lanes {
    /// How many turns there are.
    most: usize,
    turns: Semaphore,
    unknown: Semaphore,
    doubtful: Semaphore,
    aside: Semaphore,
    /// One turn each: however many requests come from one network, one of them at a time is in the queue with other networks.
    queues: [Semaphore; QUEUES],
}

/// A turn, until it is dropped.
#[must_use]
pub(super) struct Turn<'l> {
    _held: [Option<SemaphorePermit<'l>>; 4],
}

impl Lane {
    pub(super) fn is_aside(self) -> bool {
        matches!(self, Self::Aside(_))
    }
}

impl Lanes {
    pub(super) fn new(turns: usize) -> Self {
        let of = |permits: usize| Semaphore::new(permits.clamp(1, Semaphore::MAX_PERMITS));
        Self {
            most: turns.clamp(1, Semaphore::MAX_PERMITS),
            turns: of(turns),
            unknown: of(turns - turns / 4),
            doubtful: of(turns / 4),
            aside: of(turns / 8),
            queues: std::array::from_fn(|_| of(1)),
        }
    }

    /// How many have a turn now.
    pub(super) fn running(&self) -> usize {
        self.most.saturating_sub(self.turns.available_permits())
    }

    /// Waits for a turn: in the narrowest place first, so that nobody holds what somebody of a wider lane waits for.
    pub(super) async fn turn(&self, lane: Lane) -> Turn<'_> {
        let (all, unknown) = (Some(&self.turns), Some(&self.unknown));
        let places = match lane {
            Lane::Known => [None, None, None, all],
            Lane::Unknown => [None, None, unknown, all],
            Lane::Doubtful => [None, Some(&self.doubtful), unknown, all],
            Lane::Aside(network) => {
                let queue = &self.queues[(network % QUEUES as u64) as usize];
                [Some(queue), Some(&self.aside), unknown, all]
            }
        };
        let mut held = [const { None }; 4];
        for (place, held) in places.into_iter().zip(&mut held) {
            if let Some(place) = place {
                // None is ever closed, so there is always a turn in the end.
                *held = place.acquire().await.ok();
            }
        }
        Turn { _held: held }
    }
}
