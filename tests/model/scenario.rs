//! The events that a run of the model allows, and the mistake that it makes.

use crate::{Mistake, protocol::Protocol};

/// The span of the lease, in ticks.
pub(crate) const LEASE: u8 = 2;

/// How the node learns of changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Following {
    /// It follows the log, under a lease.
    Log,
    /// Only the node itself changes the store: its lease has no end.
    Exclusive,
}

/// How the changes of a host's users reach the node, if the owner of the token is one of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Accounts {
    /// The owner is keyward's own.
    None,
    /// The host's commit has its row in the log: by `within`, or by a trigger.
    InOneCommit,
    /// The host commits, and reports it afterwards or never.
    ReportedAfter,
    /// The host reports nothing.
    Unreported,
}

/// Events beyond other writers, polls, look-ups and a revoke through this node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    pub(crate) following: Following,
    /// The node forgets everything and starts again.
    pub(crate) restarts: bool,
    /// Look-ups may read from a replica that is behind.
    pub(crate) lagging_replicas: bool,
    /// Another primary takes over; the old one is frozen, and look-ups may still read from it.
    pub(crate) failover: bool,
    /// A poll commits a heartbeat that needs a quorum: it never reaches the old primary.
    pub(crate) quorum_heartbeat: bool,
    /// The store may be set back to an older moment.
    pub(crate) set_back: SetBack,
    /// Changes are made through this node as well.
    pub(crate) own_changes: bool,
    /// The answer to a commit of this node may be lost.
    pub(crate) lost_answers: bool,
    pub(crate) accounts: Accounts,
    /// An answer of the host is believed for the span of the lease only, from the start of the look-up.
    pub(crate) answers_end: bool,
    /// The host may answer from a replica that has not seen its last commit.
    pub(crate) host_replica: bool,
    /// The maximal number of transactions, those of the host included.
    pub(crate) writes: u8,
    pub(crate) mistake: Option<Mistake>,
}

/// When a store may be set back, once, to any older moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SetBack {
    Never,
    /// In states where the next poll detects it: the reader has applied the lost changes, or no look-up under way has read them and no poll
    /// was sent before this node saw them.
    Noticed,
    AtAnyTime,
}

impl Scenario {
    pub(crate) fn design(writes: u8) -> Self {
        Self {
            following: Following::Log,
            restarts: false,
            lagging_replicas: false,
            failover: false,
            quorum_heartbeat: false,
            set_back: SetBack::Never,
            own_changes: true,
            lost_answers: false,
            accounts: Accounts::None,
            answers_end: false,
            host_replica: false,
            writes,
            mistake: None,
        }
    }

    pub(crate) fn exclusive(self) -> Self {
        Self { following: Following::Exclusive, ..self }
    }

    pub(crate) fn restarts(self) -> Self {
        Self { restarts: true, ..self }
    }

    pub(crate) fn lagging_replicas(self) -> Self {
        Self { lagging_replicas: true, ..self }
    }

    pub(crate) fn failover(self) -> Self {
        Self { failover: true, quorum_heartbeat: true, ..self }
    }

    pub(crate) fn failover_without_heartbeat(self) -> Self {
        Self { failover: true, ..self }
    }

    pub(crate) fn set_back(self, set_back: SetBack) -> Self {
        Self { set_back, ..self }
    }

    pub(crate) fn without_own_changes(self) -> Self {
        Self { own_changes: false, ..self }
    }

    pub(crate) fn lost_answers(self) -> Self {
        Self { lost_answers: true, ..self }
    }

    pub(crate) fn accounts(self, accounts: Accounts) -> Self {
        Self { accounts, ..self }
    }

    pub(crate) fn answers_end(self) -> Self {
        Self { answers_end: true, ..self }
    }

    pub(crate) fn host_replica(self) -> Self {
        Self { host_replica: true, ..self }
    }

    pub(crate) fn with(self, mistake: Mistake) -> Protocol {
        Protocol(Self { mistake: Some(mistake), ..self })
    }

    /// Returns whether the host is asked for the owner.
    pub(crate) fn asks_host(&self) -> bool {
        self.accounts != Accounts::None
    }

    pub(crate) fn makes(&self, mistake: Mistake) -> bool {
        self.mistake == Some(mistake)
    }
}
