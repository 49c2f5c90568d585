//! What the node saw of the log before its reader did: `Ahead` of `src/resolve/freshness.rs`.

use crate::Mistake;
use crate::node::Answer;
use crate::scenario::Scenario;
use crate::store::{Change, ROOM};

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Ahead {
    /// The last change that was seen or read.
    pub(crate) highest: u8,
    /// The last change that was read.
    read: u8,
    /// The ids of changes after that, by their sequences.
    seen: [Option<u8>; ROOM],
    /// One sequence was seen with two ids.
    torn: bool,
}

impl Ahead {
    /// Of an era that begins with this floor.
    pub(crate) fn of(floor: u8) -> Self {
        Self { highest: floor, read: floor, ..Self::default() }
    }

    /// Without an id, what came before is all that is known.
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
        if seq > self.read && !scenario.makes(Mistake::AheadWithoutIds) {
            let kept = *self.seen[usize::from(seq) - 1].get_or_insert(op);
            self.torn |= kept != op;
        }
    }

    /// Whether a poll fits. `highest`: what it was before the poll was sent.
    pub(crate) fn agrees(&self, highest: u8, answer: &Answer, scenario: &Scenario) -> bool {
        let known = |change: Change| self.seen[usize::from(change.seq) - 1].is_none_or(|op| op == change.op);
        let behind = answer.head < highest && !scenario.makes(Mistake::AheadWithoutHighest);
        !self.torn && !behind && answer.change.is_none_or(known)
    }

    pub(crate) fn read(&mut self, seq: u8) {
        self.read = seq;
        self.highest = self.highest.max(seq);
        self.seen[..usize::from(seq)].fill(None);
    }
}
