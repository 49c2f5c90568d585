//! The caching node: what it remembers of one token, of the log, and of its lease. The names are those of `src/resolve`.
//!
//! Ages are in ticks and end just above the lease's span: older makes no difference. So a run may last for ever, and there are
//! still only so many states.

use crate::Mistake;
use crate::scenario::{EraClock, Following, LEASE, Scenario};
use crate::store::{Change, Log, Snapshot};

/// An age that is over.
pub(crate) const OVER: u8 = LEASE + 1;

/// The change that the reader of the log applied last.
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

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Reader {
    started: bool,
    pub(crate) applied: Option<Applied>,
    /// A mistake: the log did not go on, and the next poll is to begin no era.
    goes_on: bool,
}

/// The answer to a poll. A store answers with the next change only: more than one is always a partial answer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Answer {
    head: u8,
    known: bool,
    change: Option<Change>,
}

impl Answer {
    /// What a store answers that has this log.
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

/// The one poll that is under way, and how long ago it was sent.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) enum Poll {
    #[default]
    None,
    Sent {
        age: u8,
    },
    Answered {
        age: u8,
        answer: Answer,
    },
    /// Its change is raised; the lease is to be renewed.
    Raised {
        age: u8,
    },
    /// A mistake: the lease is renewed; its change is to be raised.
    Renewed {
        answer: Answer,
    },
}

/// The one look-up that is under way. Joining it changes nothing but who hears the answer, so somebody is always taken to have
/// joined just now.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) enum Flight {
    #[default]
    None,
    Started(Taken),
    /// A mistake: the row is read, and the sequence is not.
    Row(Taken, bool),
    /// The snapshot is taken; the answer is on its way.
    Read(Taken, Snapshot),
}

/// What a look-up knows from its start.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Taken {
    /// Whether the era that it began in is still the present one. Eras are only ever compared for being the same.
    pub(crate) of_this_era: bool,
    /// How long ago it began; counted only for a mistake that asks.
    pub(crate) age: u8,
}

/// The revoke through this node. There is at most one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) enum Revoke {
    #[default]
    NotYet,
    /// It is in the store; its tags are to be raised before anybody is told.
    Committed {
        seq: u8,
        op: u8,
        of_this_era: bool,
        /// Whether the verdict is still this change's: what others made of it since is not promised at once.
        decides: bool,
    },
    Acknowledged {
        op: u8,
    },
    /// Nobody knows whether it was committed; one more change is to end the doubt.
    InDoubt,
    /// It is over, or nobody waits for it any more.
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
    pub(crate) reader: Reader,
    pub(crate) poll: Poll,
    /// What is cached of the token, in the present era.
    pub(crate) entry: Option<Snapshot>,
    pub(crate) flight: Flight,
    pub(crate) revoke: Revoke,
}

impl Node {
    pub(crate) fn stands(&self, snapshot: Snapshot, scenario: &Scenario) -> bool {
        scenario.makes(Mistake::UnversionedFill) || (snapshot.seq >= self.floor && self.clock <= snapshot.seq)
    }

    pub(crate) fn leased(&self, scenario: &Scenario) -> bool {
        scenario.following == Following::Exclusive || self.lease.is_some_and(|age| age <= LEASE)
    }

    /// What somebody is told who asks now and finds the token in the cache.
    pub(crate) fn cached(&self, scenario: &Scenario) -> Option<bool> {
        let entry = self.entry?;
        (self.leased(scenario) && self.stands(entry, scenario)).then_some(entry.allows)
    }

    /// What somebody is told who waits for the look-up, if it lands now.
    pub(crate) fn landing(&self, scenario: &Scenario) -> Option<bool> {
        let Flight::Read(taken, snapshot) = self.flight else { return None };
        let of_this_era = taken.of_this_era || scenario.makes(Mistake::EraOfTheLanding);
        let stands = scenario.makes(Mistake::JoinerNotRevalidated) || (of_this_era && self.stands(snapshot, scenario));
        let leased = self.leased(scenario)
            || scenario.makes(Mistake::UnleasedLookUp)
            || (scenario.makes(Mistake::UnleasedQuickLookUp) && taken.age <= LEASE);
        (stands && leased).then_some(snapshot.allows)
    }

    /// A look-up lands: its answer is kept, unless a newer one admits the token already.
    pub(crate) fn land(&mut self, scenario: &Scenario) {
        let Flight::Read(taken, snapshot) = std::mem::take(&mut self.flight) else { return };
        let newer = |kept: Snapshot| {
            kept.allows && snapshot.allows && kept.seq > snapshot.seq && !scenario.makes(Mistake::UnversionedFill)
        };
        let of_this_era = taken.of_this_era || scenario.makes(Mistake::EraOfTheLanding);
        if of_this_era && !self.entry.is_some_and(newer) {
            self.entry = Some(snapshot);
        }
    }

    pub(crate) fn raise(&mut self, seq: u8, scenario: &Scenario) {
        self.clock = self.clock.max(seq);
        if scenario.makes(Mistake::UnversionedFill) {
            self.entry = None;
        }
    }

    /// Raises a change of this node.
    pub(crate) fn raise_own(&mut self, seq: u8, of_this_era: bool, scenario: &Scenario) {
        if of_this_era || scenario.era_clock == EraClock::IsKept {
            self.raise(seq, scenario);
        } else {
            self.begin_era(self.floor, scenario);
        }
    }

    fn begin_era(&mut self, floor: u8, scenario: &Scenario) {
        let first = self.lease.is_none();
        let mistaken = if first { Mistake::FloorOfZeroAtStart } else { Mistake::FloorOfZeroLater };
        self.floor = if scenario.makes(mistaken) { 0 } else { floor };
        if scenario.era_clock == EraClock::StartsAnew {
            self.clock = 0;
        }
        self.entry = None;
        if let Flight::Started(taken) | Flight::Row(taken, _) | Flight::Read(taken, _) = &mut self.flight {
            taken.of_this_era = false;
        }
        if let Revoke::Committed { of_this_era, .. } = &mut self.revoke {
            *of_this_era = false;
        }
    }

    /// Raises what a poll brought. Whether the node then knows all that the poll could know.
    pub(crate) fn apply(&mut self, answer: Answer, scenario: &Scenario) -> bool {
        let Answer { head, known, change } = answer;
        let Some(applied) = self.reader.applied else {
            if (!self.reader.started || change.is_some()) && !self.reader.goes_on {
                self.begin_era(head, scenario);
            }
            self.reader = Reader { started: true, applied: change.map(Applied::from), goes_on: false };
            return true;
        };
        let by_sequence = scenario.makes(Mistake::DivergenceBySequence);
        let follows = change.is_none_or(|change| change.seq == applied.seq + 1);
        if (!known && !by_sequence) || head < applied.seq || !follows {
            self.reader = Reader { goes_on: scenario.makes(Mistake::NoEraSwap), ..Reader::default() };
            return false;
        }
        if let Some(change) = change {
            if change.tagged {
                self.raise(change.seq, scenario);
            }
            self.reader.applied = Some(change.into());
        }
        change.map_or(applied.seq, |change| change.seq) >= head || scenario.makes(Mistake::PartialPollRenews)
    }

    pub(crate) fn renew(&mut self, age: u8, scenario: &Scenario) {
        let age = if scenario.makes(Mistake::LeaseFromTheAnswer) { 0 } else { age };
        self.lease = Some(self.lease.map_or(age, |present| present.min(age)));
    }

    pub(crate) fn tick(&mut self, scenario: &Scenario) {
        let older = |age: &mut u8| *age = (*age + 1).min(OVER);
        self.lease.as_mut().map(older);
        if let Poll::Sent { age } | Poll::Answered { age, .. } | Poll::Raised { age } = &mut self.poll {
            older(age);
        }
        if scenario.makes(Mistake::UnleasedQuickLookUp)
            && let Flight::Started(taken) | Flight::Row(taken, _) | Flight::Read(taken, _) = &mut self.flight
        {
            older(&mut taken.age);
        }
    }

    /// Forgets everything. Whoever waited for an answer never gets one.
    pub(crate) fn restart(&mut self) {
        let revoke = match self.revoke {
            Revoke::Committed { .. } | Revoke::InDoubt => Revoke::Over,
            settled => settled,
        };
        *self = Self { revoke, ..Self::default() };
    }

    /// The latest sequence that anything here rests on.
    pub(crate) fn held(&self) -> u8 {
        let read = match self.flight {
            Flight::Read(_, snapshot) => snapshot.seq,
            _ => 0,
        };
        let written = match self.revoke {
            Revoke::Committed { seq, .. } => seq,
            _ => 0,
        };
        read.max(written).max(self.clock).max(self.entry.map_or(0, |entry| entry.seq))
    }

    /// Whether the node would notice, or need not, that the store has lost what comes after `kept`.
    pub(crate) fn notices(&self, kept: Snapshot) -> bool {
        self.reader.applied.is_some_and(|applied| applied.seq > kept.seq) || self.held() <= kept.seq
    }

    /// Whether it has applied the whole log.
    pub(crate) fn knows(&self, log: &Log) -> bool {
        self.reader.started && self.reader.applied == log.last().copied().map(Applied::from)
    }
}
