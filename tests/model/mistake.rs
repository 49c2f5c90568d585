//! The mistakes that the model must detect. Each changes one line of the protocol.

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mistake {
    /// The lease runs from when a poll's answer is applied, not from when the poll was sent.
    LeaseFromTheAnswer,
    /// The lease is renewed first, and then the tags are raised.
    LeaseBeforeTags,
    /// A poll with a partial answer renews the lease.
    PartialPollRenews,
    /// A cached entry is used until a change drops it, independently of when it was read.
    UnversionedFill,
    /// A look-up reads the row first and the sequence in a second snapshot.
    SequenceAfterRow,
    /// A waiter uses the answer of a look-up without checking that it is still current.
    JoinerNotRevalidated,
    /// Sequences are drawn without a lock: they commit in any order, and some never do.
    SequencesWithoutLock,
    /// The log is first read without raising the floor.
    FloorOfZeroAtStart,
    /// An era begins without a floor.
    FloorOfZeroLater,
    /// An era begins with the first poll, and the clock forgets what was raised before.
    EraAtTheStart,
    /// An era begins with the clock of the last one.
    ClockIsKept,
    /// A look-up answers without a lease, after any time.
    UnleasedLookUp,
    /// A look-up answers without a lease if it took no longer than the lease's span.
    UnleasedQuickLookUp,
    /// A revoke is acknowledged, and its tags are left to the next poll.
    AcknowledgedBeforeRaised,
    /// A log that is not continuous is followed from its new end, in the old era.
    NoEraSwap,
    /// The continuity of a log is judged by sequences only.
    DivergenceBySequence,
    /// Changes that look-ups and own changes see before the reader are not recorded.
    NothingAheadIsKept,
    /// Of those, only the sequences are recorded.
    AheadWithoutIds,
    /// A log that ends before a seen change is taken for a continuous one.
    AheadWithoutHighest,
    /// An uncertain commit does not record how far the log went.
    NothingIsSeenInDoubt,
    /// A change of this node is raised by its sequence, even if that is not new.
    OwnChangeOfAnySequence,
    /// The sequence that a change must follow is read before the change waits for the lock.
    HighestBeforeTheLock,
    /// A look-up takes its era when it lands, not when it starts.
    EraOfTheLanding,
    /// A commit of unknown outcome is taken for a failed one.
    UnknownCommitIgnored,
    /// The tags of a commit of unknown outcome are raised, and nothing ends the doubt.
    UnknownCommitNotSettled,
    /// The host is asked before the store is read.
    AskedBeforeSnapshot,
    /// The host reports a change before it commits it.
    ReportedBeforeCommit,
    /// A trigger logs nothing and takes no lock if it sees no owner. Another transaction adds the owner meanwhile.
    UnknownOwnerNotLogged,
    /// An answer of the host is believed from when the look-up lands.
    BelievedFromTheAnswer,
    /// A waiter uses an answer of the host of any age.
    WaiterIgnoresAge,
    /// That the host has no such account is cached without the tag of the owner.
    AbsenceWithoutOwner,
    /// The host is asked for an issue before the issue takes the lock.
    IssueAsksBeforeLock,
    /// The host is asked for a clamp before the clamp takes the lock.
    ClampAsksBeforeLock,
}
