//! The caching node: its state of one token, of the log, and of its lease. The names are those of `src/resolve`.
//!
//! Ages are in ticks and saturate just above the span of the lease: older makes no difference. So runs are unbounded and the number of
//! states is finite.

use crate::Mistake;
use crate::scenario::{Following, LEASE, Scenario};
use crate::seen::Seen;
use crate::store::{Change, Log, Snapshot};

/// The saturated age.
pub(crate) const OVER: u8 = LEASE + 1;

/// The last change that the reader of the log applied.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Applied {
    pub(crate) seq: u8,
    op: u8,
}

impl From<Change> for Applied {
    fn from(change: Change) -> Self {
        Self { seq: change.seq, op: change.op }
    }
}

/// The answer to a poll. A store answers with the next change only: more than one is always a partial answer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Answer {
    pub(crate) head: u8,
    known: bool,
    pub(crate) change: Option<Change>,
}

impl Answer {
    /// Returns the answer of a store with this log.
    pub(crate) fn of(log: &[Change], applied: Option<Applied>) -> Self {
        let head = log.iter().map(|change| change.seq).max().unwrap_or(0);
        let Some(applied) = applied else {
            return Self { head, known: true, change: log.last().copied() };
        };
        Self {
            head,
            known: log.iter().any(|change| Applied::from(*change) == applied),
            change: log.iter().filter(|change| change.seq > applied.seq).min_by_key(|change| change.seq).copied(),
        }
    }
}

/// The poll under way: how long ago it was sent, and the last change seen before.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) enum Poll {
    #[default]
    None,
    Sent {
        age: u8,
        highest: u8,
    },
    Answered {
        age: u8,
        highest: u8,
        answer: Answer,
    },
    /// Its change is raised; the lease is to be renewed.
    Raised {
        age: u8,
    },
    /// A mistake: the lease is renewed; its change is to be raised.
    Renewed {
        highest: u8,
        answer: Answer,
    },
}

/// The look-up under way. Joining it only adds a waiter, so the model assumes that one has joined just now.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) enum Flight {
    #[default]
    None,
    Started(Taken),
    /// A mistake: the row is read, and the sequence is not.
    Row(Taken, bool),
    /// The snapshot is taken; the host is to be asked for the verdict.
    Unasked(Taken, Snapshot),
    /// The snapshot is taken; the answer is on its way.
    Read(Taken, Snapshot),
}

impl Flight {
    fn taken(&mut self) -> Option<&mut Taken> {
        match self {
            Self::None => None,
            Self::Started(taken) | Self::Row(taken, _) | Self::Unasked(taken, _) | Self::Read(taken, _) => Some(taken),
        }
    }
}

/// A cached entry.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Entry {
    pub(crate) snapshot: Snapshot,
    /// The age of its look-up, if the host's answer ends.
    age: u8,
}

/// The state that a look-up reads at its start.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Taken {
    /// Whether the era that it began in is still the present one. Eras are only ever compared for being the same.
    pub(crate) of_this_era: bool,
    /// Its age; counted only if it is used: the host's answer ends, or for a mistake.
    pub(crate) age: u8,
}

/// The state when a change of this node got its sequence.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Begun {
    /// Whether the era that it was begun in is still the present one.
    pub(crate) of_this_era: bool,
    pub(crate) highest: u8,
}

/// The revoke through this node. There is at most one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) enum Revoke {
    #[default]
    NotYet,
    /// A mistake: its state is read before it has the lock on the epoch.
    Begun(Begun),
    /// It is in the store; its tags must be raised before it is acknowledged.
    Committed {
        seq: u8,
        op: u8,
        begun: Begun,
        /// Whether the verdict is still that of this change: later changes of others are not promised immediately.
        decides: bool,
    },
    Acknowledged {
        op: u8,
    },
    /// Its outcome is unknown; one more change settles it.
    InDoubt,
    /// It is over or has no waiter.
    Over,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Node {
    /// The slot of the token's tag in the tag clock.
    pub(crate) clock: u8,
    /// The floor of the present era.
    pub(crate) floor: u8,
    /// How long ago the poll was sent that the lease comes from.
    pub(crate) lease: Option<u8>,
    /// The position in the log; none before the first poll or with an empty log.
    pub(crate) applied: Option<Applied>,
    pub(crate) seen: Seen,
    pub(crate) poll: Poll,
    /// The cached entry of the token in the present era.
    pub(crate) entry: Option<Entry>,
    pub(crate) flight: Flight,
    pub(crate) revoke: Revoke,
}

/// Returns whether an answer of the host of this age is believed.
fn believes(age: u8, scenario: &Scenario) -> bool {
    !scenario.answers_end || age <= LEASE
}

impl Node {
    pub(crate) fn stands(&self, snapshot: Snapshot, scenario: &Scenario) -> bool {
        let untagged = scenario.makes(Mistake::AbsenceWithoutOwner) && !snapshot.allows;
        scenario.makes(Mistake::UnversionedFill)
            || (snapshot.seq >= self.floor && (untagged || self.clock <= snapshot.seq))
    }

    pub(crate) fn is_current(&self, Entry { snapshot, age }: Entry, scenario: &Scenario) -> bool {
        self.stands(snapshot, scenario) && believes(age, scenario)
    }

    pub(crate) fn leased(&self, scenario: &Scenario) -> bool {
        scenario.following == Following::Exclusive || self.lease.is_some_and(|age| age <= LEASE)
    }

    /// Returns the decision of a request that finds the token in the cache now.
    pub(crate) fn cached(&self, scenario: &Scenario) -> Option<bool> {
        let entry = self.entry?;
        (self.leased(scenario) && self.is_current(entry, scenario)).then_some(entry.snapshot.allows)
    }

    /// Returns the decision of a waiter if the look-up lands now.
    pub(crate) fn landing(&self, scenario: &Scenario) -> Option<bool> {
        let Flight::Read(taken, snapshot) = self.flight else { return None };
        let of_this_era = taken.of_this_era || scenario.makes(Mistake::EraOfTheLanding);
        let stands = scenario.makes(Mistake::JoinerNotRevalidated) || (of_this_era && self.stands(snapshot, scenario));
        let leased = self.leased(scenario)
            || scenario.makes(Mistake::UnleasedLookUp)
            || (scenario.makes(Mistake::UnleasedQuickLookUp) && taken.age <= LEASE);
        let believed = believes(taken.age, scenario) || scenario.makes(Mistake::WaiterIgnoresAge);
        (stands && leased && believed).then_some(snapshot.allows)
    }

    /// Returns whether the next poll would detect that the store has lost the changes after `kept`.
    pub(crate) fn notices(&self, kept: u8) -> bool {
        let applied = self.applied.is_some_and(|applied| applied.seq > kept);
        let read =
            matches!(self.flight, Flight::Unasked(_, snapshot) | Flight::Read(_, snapshot) if snapshot.seq > kept);
        let asked = matches!(self.poll, Poll::Sent { highest, .. } if self.seen.highest > highest.max(kept));
        applied || (!read && !asked)
    }

    /// A look-up lands: its answer is kept, unless a newer one admits the token already.
    pub(crate) fn land(&mut self, scenario: &Scenario) {
        let Flight::Read(taken, snapshot) = std::mem::take(&mut self.flight) else { return };
        let newer = |Entry { snapshot: kept, .. }: Entry| {
            kept.allows && snapshot.allows && kept.seq > snapshot.seq && !scenario.makes(Mistake::UnversionedFill)
        };
        if !taken.of_this_era && !scenario.makes(Mistake::EraOfTheLanding) {
            return;
        }
        if scenario.following == Following::Log {
            self.seen.saw(snapshot.seq, Some(snapshot.op), scenario);
        }
        if !self.entry.is_some_and(newer) {
            let from_now = !scenario.answers_end || scenario.makes(Mistake::BelievedFromTheAnswer);
            // Its id was recorded.
            self.entry =
                Some(Entry { snapshot: Snapshot { op: 0, ..snapshot }, age: if from_now { 0 } else { taken.age } });
        }
    }

    pub(crate) fn raise(&mut self, seq: u8, scenario: &Scenario) {
        self.clock = self.clock.max(seq);
        if scenario.makes(Mistake::UnversionedFill) {
            self.entry = None;
        }
    }

    /// Returns the state for a change of this node that gets its sequence now.
    pub(crate) fn begun(&self) -> Begun {
        Begun { of_this_era: true, highest: self.seen.highest }
    }

    /// Raises a change of this node. It has no id if its outcome is unknown.
    pub(crate) fn raise_own(&mut self, begun: Begun, seq: u8, op: Option<u8>, scenario: &Scenario) {
        let follows = scenario.following == Following::Log;
        if !begun.of_this_era {
            return self.begin_era(self.seen.highest, scenario);
        }
        if follows && seq <= begun.highest && !scenario.makes(Mistake::OwnChangeOfAnySequence) {
            return self.begin_era(seq, scenario);
        }
        if follows {
            self.seen.saw(seq, op, scenario);
        }
        self.raise(seq, scenario);
    }

    fn begin_era(&mut self, floor: u8, scenario: &Scenario) {
        self.seen = Seen::of(floor);
        if scenario.makes(Mistake::NoEraSwap) {
            return;
        }
        self.floor = if scenario.makes(Mistake::FloorOfZeroLater) { 0 } else { floor };
        if !scenario.makes(Mistake::ClockIsKept) {
            self.clock = 0;
        }
        self.entry = None;
        if let Some(taken) = self.flight.taken() {
            taken.of_this_era = false;
        }
        if let Revoke::Begun(begun) | Revoke::Committed { begun, .. } = &mut self.revoke {
            begun.of_this_era = false;
        }
    }

    /// Reads the log from here on.
    fn raise_floor(&mut self, floor: u8, scenario: &Scenario) {
        let first = self.lease.is_none();
        let mistaken = if first { Mistake::FloorOfZeroAtStart } else { Mistake::FloorOfZeroLater };
        if first && scenario.makes(Mistake::EraAtTheStart) {
            self.begin_era(floor, scenario);
        } else if !scenario.makes(mistaken) {
            self.floor = self.floor.max(floor);
        }
    }

    /// Raises the changes of a poll. Returns whether the node then knows the whole log of that poll.
    pub(crate) fn apply(&mut self, answer: Answer, highest: u8, scenario: &Scenario) -> bool {
        let Answer { head, known, change } = answer;
        let goes_on = self.applied.is_none_or(|applied| {
            let follows = change.is_none_or(|change| change.seq == applied.seq + 1);
            (known || scenario.makes(Mistake::DivergenceBySequence)) && head >= applied.seq && follows
        });
        if !goes_on || !self.seen.agrees(highest, &answer, scenario) {
            self.begin_era(head, scenario);
            self.applied = None;
            return false;
        }
        if self.applied.is_none() {
            self.raise_floor(head, scenario);
        } else if let Some(change) = change.filter(|change| change.tagged) {
            self.raise(change.seq, scenario);
        }
        if let Some(change) = change {
            self.applied = Some(change.into());
            self.seen.read(change, scenario);
        }
        self.applied.map_or(0, |applied| applied.seq) >= head || scenario.makes(Mistake::PartialPollRenews)
    }

    pub(crate) fn renew(&mut self, age: u8, scenario: &Scenario) {
        let age = if scenario.makes(Mistake::LeaseFromTheAnswer) { 0 } else { age };
        self.lease = Some(self.lease.map_or(age, |present| present.min(age)));
    }

    pub(crate) fn tick(&mut self, scenario: &Scenario) {
        let older = |age: &mut u8| *age = (*age + 1).min(OVER);
        self.lease.as_mut().map(older);
        if let Poll::Sent { age, .. } | Poll::Answered { age, .. } | Poll::Raised { age } = &mut self.poll {
            older(age);
        }
        let answers_end = scenario.answers_end || scenario.makes(Mistake::UnleasedQuickLookUp);
        if let Some(taken) = self.flight.taken().filter(|_| answers_end) {
            older(&mut taken.age);
        }
        if let Some(entry) = self.entry.as_mut().filter(|_| scenario.answers_end) {
            older(&mut entry.age);
        }
    }

    /// Forgets everything. Waiters get no answer.
    pub(crate) fn restart(&mut self) {
        let revoke = match self.revoke {
            Revoke::Begun(_) | Revoke::Committed { .. } | Revoke::InDoubt => Revoke::Over,
            settled => settled,
        };
        *self = Self { revoke, ..Self::default() };
    }

    /// Returns whether it has applied the whole log and caches nothing that is not in it.
    pub(crate) fn knows(&self, log: &Log) -> bool {
        self.applied == log.last().copied().map(Applied::from) && self.seen.highest <= log.now().seq
    }
}
