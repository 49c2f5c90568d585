//! The store: a log of changes in the order of their commits, with failover and restore.

use std::ops::Deref;

/// The capacity of a log; above every bound on writes.
pub(crate) const ROOM: usize = 4;

/// A committed change.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Change {
    /// Its sequence.
    pub(crate) seq: u8,
    /// Its id, which no other change ever has.
    pub(crate) op: u8,
    /// Whether it carries the one tag that this model follows.
    pub(crate) tagged: bool,
    /// Whether the token is admitted after it.
    pub(crate) allows: bool,
}

/// A snapshot of a reader.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Snapshot {
    pub(crate) allows: bool,
    pub(crate) seq: u8,
    /// The id of the change with that sequence; zero before the first.
    pub(crate) op: u8,
}

/// Committed changes. A reader always sees a prefix of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Log {
    changes: [Change; ROOM],
    len: u8,
}

impl Deref for Log {
    type Target = [Change];

    fn deref(&self) -> &[Change] {
        &self.changes[..usize::from(self.len)]
    }
}

impl Log {
    pub(crate) fn push(&mut self, change: Change) {
        self.changes[usize::from(self.len)] = change;
        self.len += 1;
    }

    /// Truncates the log, as restoring a backup does.
    pub(crate) fn cut(&mut self, kept: u8) {
        self.changes[usize::from(kept)..].fill(Change::default());
        self.len = kept;
    }

    pub(crate) fn length(&self) -> u8 {
        self.len
    }

    /// Returns the snapshot of a reader with the first `length` changes. Before the first change, the token is admitted.
    pub(crate) fn at(&self, length: u8) -> Snapshot {
        let seen = &self[..usize::from(length)];
        let latest = seen.iter().max_by_key(|change| change.seq).copied().unwrap_or_default();
        Snapshot { allows: seen.last().is_none_or(|change| change.allows), seq: latest.seq, op: latest.op }
    }

    pub(crate) fn now(&self) -> Snapshot {
        self.at(self.len)
    }
}

/// Whether the log has a report of the host's last commit.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) enum Report {
    #[default]
    Done,
    Due,
    /// A transaction with the report is open.
    Open,
}

/// A transaction that has its sequence and is not committed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Open {
    pub(crate) seq: u8,
    pub(crate) op: u8,
    pub(crate) tagged: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Store {
    pub(crate) log: Log,
    /// The age of the token's present verdict, in ticks.
    pub(crate) age: u8,
    /// Transactions of other writers. The lock on the epoch leaves room for one; the second is for a mistake.
    pub(crate) writers: [Option<Open>; 2],
    /// A transaction of this node whose commit has no response yet. It holds the lock until it ends.
    pub(crate) in_doubt: Option<Open>,
    /// The number of transactions so far: bounds the model and gives each its id.
    pub(crate) writes: u8,
    /// The last assigned sequence; for commits under the lock it is the head of the log, too.
    pub(crate) drawn: u8,
    /// After a failover: the number of changes on the old primary, which does not know that it was replaced.
    pub(crate) frozen: Option<u8>,
    /// Whether it was set back to an older moment.
    pub(crate) was_set_back: bool,
    /// Whether the host has turned the verdict of the log into its opposite, by commits of its own.
    pub(crate) turned_by_host: bool,
    pub(crate) report: Report,
}

impl Store {
    /// Returns the token's present verdict.
    pub(crate) fn allows(&self) -> bool {
        self.log.now().allows != self.turned_by_host
    }

    /// Commits a change of the host's that is not in the log.
    pub(crate) fn commit_of_host(&mut self) {
        self.writes += 1;
        self.turned_by_host = !self.turned_by_host;
        self.age = 0;
    }

    /// Returns whether the lock on the epoch is held.
    pub(crate) fn locked(&self) -> bool {
        self.in_doubt.is_some() || self.writers.iter().any(Option::is_some)
    }

    pub(crate) fn open(&mut self, tagged: bool) -> Open {
        self.writes += 1;
        self.drawn += 1;
        Open { seq: self.drawn, op: self.writes, tagged }
    }

    /// A tagged change turns the verdict into its opposite.
    pub(crate) fn commit(&mut self, open: Open) {
        let allows = self.log.now().allows != open.tagged;
        self.write(open, allows);
    }

    /// A change with the tag that leaves the verdict as it is.
    pub(crate) fn commit_again(&mut self, open: Open) {
        let allows = self.log.now().allows;
        self.write(open, allows);
    }

    fn write(&mut self, Open { seq, op, tagged }: Open, allows: bool) {
        if allows != self.log.now().allows {
            self.age = 0;
        }
        self.log.push(Change { seq, op, tagged, allows });
    }

    pub(crate) fn set_back(&mut self, kept: u8) {
        let before = self.log.now().allows;
        self.log.cut(kept);
        self.drawn = self.log.now().seq;
        self.was_set_back = true;
        if before != self.log.now().allows {
            self.age = 0;
        }
    }

    /// Returns the change that the present verdict comes from.
    pub(crate) fn decided_by(&self) -> Option<u8> {
        self.log.iter().rfind(|change| change.tagged).map(|change| change.op)
    }
}
