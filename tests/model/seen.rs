//! The part of the log that the node has seen: `Seen` of `src/resolve/freshness.rs`.

use crate::Mistake;
use crate::node::Answer;
use crate::scenario::Scenario;
use crate::store::{Change, ROOM};

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Seen {
    /// The last change that was seen or read.
    pub(crate) highest: u8,
    /// The ids of changes, by their sequences.
    seen: [Option<u8>; ROOM],
    /// One sequence was seen with two ids.
    torn: bool,
}

impl Seen {
    /// Starts an era with this floor.
    pub(crate) fn of(floor: u8) -> Self {
        Self { highest: floor, ..Self::default() }
    }

    /// Without an id, only the state before the change is known.
    pub(crate) fn saw(&mut self, seq: u8, op: Option<u8>, scenario: &Scenario) {
        if scenario.makes(Mistake::NothingAheadIsKept) {
            return;
        }
        let Some(op) = op else {
            if !scenario.makes(Mistake::NothingIsSeenInDoubt) {
                self.highest = self.highest.max(seq - 1);
            }
            return;
        };
        self.highest = self.highest.max(seq);
        // Before the first change there is no id to compare.
        if seq > 0 && !scenario.makes(Mistake::AheadWithoutIds) {
            let kept = *self.seen[usize::from(seq) - 1].get_or_insert(op);
            self.torn |= kept != op;
        }
    }

    /// Returns whether a poll is continuous with it. `highest` is the value before the poll was sent.
    pub(crate) fn agrees(&self, highest: u8, answer: &Answer, scenario: &Scenario) -> bool {
        let known = |change: Change| self.seen[usize::from(change.seq) - 1].is_none_or(|op| op == change.op);
        let behind = answer.head < highest && !scenario.makes(Mistake::AheadWithoutHighest);
        !self.torn && !behind && answer.change.is_none_or(known)
    }

    pub(crate) fn read(&mut self, change: Change, scenario: &Scenario) {
        self.highest = self.highest.max(change.seq);
        self.saw(change.seq, Some(change.op), scenario);
    }
}
