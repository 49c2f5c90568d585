//! The mistakes that the model has to notice. Each is one line of the protocol done otherwise.

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mistake {
    /// The lease runs from when a poll's answer is applied, not from when the poll was sent.
    LeaseFromTheAnswer,
    /// The lease is renewed first, and then the tags are raised.
    LeaseBeforeTags,
    /// A poll that brought a part of what there is renews the lease.
    PartialPollRenews,
    /// What is in the cache counts until a change drops it; when it was read does not matter.
    UnversionedFill,
    /// A look-up reads the row first and the sequence in a second snapshot.
    SequenceAfterRow,
    /// Whoever waited for a look-up takes its answer without asking whether it still stands.
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
    /// A look-up answers without a lease, however long it took.
    UnleasedLookUp,
    /// A look-up answers without a lease if it took no longer than the lease's span.
    UnleasedQuickLookUp,
    /// A revoke is acknowledged, and its tags are left to the next poll.
    AcknowledgedBeforeRaised,
    /// A log that does not go on is followed from its new end, in the old era.
    NoEraSwap,
    /// Whether a log goes on is told by the sequences alone.
    DivergenceBySequence,
    /// What look-ups and own changes see before the reader does is not kept.
    NothingAheadIsKept,
    /// Of that, the sequences alone are kept.
    AheadWithoutIds,
    /// A log that ends before what was seen is taken for one that goes on.
    AheadWithoutHighest,
    /// A commit in doubt tells nothing of how far the log went.
    NothingIsSeenInDoubt,
    /// A change of this node is raised by its sequence, also where it is no new one.
    OwnChangeOfAnySequence,
    /// What its sequence has to come after is noted before it waits for the lock.
    HighestBeforeTheLock,
    /// A look-up takes its era when it lands, not when it starts.
    EraOfTheLanding,
    /// A commit of unknown outcome is taken for one that did not happen.
    UnknownCommitIgnored,
    /// The tags of a commit of unknown outcome are raised, and nothing ends the doubt.
    UnknownCommitNotSettled,
}
