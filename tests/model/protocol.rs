//! The protocol as a model: its actions and properties.
//!
//! A decision changes no state, so it is not an action: the properties evaluate in every state the decision from the cache and that
//! of a look-up that lands now.

use crate::Mistake;
use crate::node::{Answer, Flight, Node, OVER, Poll, Revoke, Taken};
use crate::scenario::{Accounts, Following, LEASE, Scenario, SetBack};
use crate::store::{Open, Report, Snapshot, Store};
use stateright::{Model, Property};

/// bounded-staleness: an allow that has been wrong for longer than the span of the lease.
pub(crate) const STALE_ALLOW: &str = "no allow from a state older than L";
/// bounded-staleness: the same for a deny.
pub(crate) const STALE_DENY: &str = "no deny from a state older than L";
/// next-request: the node that made a change judges by it.
pub(crate) const ALLOW_AFTER_ACK: &str = "no allow after a local revoke was acknowledged";
/// The same for a change by which the host admits its user again.
pub(crate) const DENY_AFTER_ACK: &str = "no deny after a local report was acknowledged";
/// A node that knows the whole log and has no uncertain commit uses its reads.
pub(crate) const SHUT_OUT: &str = "what is read now counts";

pub(crate) struct Protocol(pub(crate) Scenario);

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct State {
    pub(crate) store: Store,
    pub(crate) node: Node,
}

/// A readable state of the store: its number of changes.
type Length = u8;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Action {
    /// Time passes.
    Tick,
    /// Another writer opens a transaction and has its sequence.
    Begin { tagged: bool },
    /// It commits.
    Commit { writer: usize },
    /// It rolls back.
    RollBack { writer: usize },
    /// Another primary takes over.
    FailOver,
    /// The store is set back to its first so many changes.
    SetBack { kept: Length },
    /// The host commits a change of its user, without a row in the log.
    CommitOfHost,

    /// The poller takes its timestamp and sends a poll.
    SendPoll,
    /// The poll fails or returns too late.
    LosePoll,
    /// A store answers the poll.
    AnswerPoll { from: Length },
    /// The changes of the poll are raised.
    ApplyPoll,
    /// The lease is renewed.
    RenewLease,

    /// A look-up starts and takes its era.
    StartLookUp,
    /// A store takes the look-up's snapshot.
    ReadLookUp { from: Length },
    /// A mistake: the sequence is read after the row, or after the host was asked.
    ReadSequence,
    /// The host answers the look-up, with its last commit or from a replica without it.
    AskHost { behind: bool },
    /// The answer goes to the cache and to the waiters.
    LandLookUp,

    /// A mistake: the state that a revoke follows is read before it has the lock.
    BeginRevoke,
    /// A revoke through this node is committed.
    CommitRevoke,
    /// Its tags are raised and it is acknowledged.
    AcknowledgeRevoke,
    /// The response to its commit is lost: its tags are raised, and its caller gets an unknown outcome.
    LoseAnswer,
    /// The transaction in doubt turns out to be committed.
    DoubtCommits,
    /// The transaction in doubt turns out to be rolled back.
    DoubtRollsBack,
    /// One more change with the same tags ends the doubt.
    Settle,
    /// The node starts again.
    Restart,
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::default()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        // Without a log the node itself raises its changes, immediately.
        let at_once = self.0.following == Following::Exclusive && matches!(state.node.revoke, Revoke::Committed { .. });
        if !at_once {
            actions.push(Action::Tick);
        }
        self.of_writers(state, actions);
        if self.0.following == Following::Log {
            self.of_poller(state, actions);
        }
        self.of_look_ups(state, actions);
        self.of_revoke(state, actions);
        if self.0.restarts && state.node.lease.is_some() {
            actions.push(Action::Restart);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut next = *last;
        self.take(&mut next, action);
        self.forget_what_is_over(&mut next);
        // This loses nothing: an action without effect leads to no new state.
        (next != *last).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(STALE_ALLOW, |model: &Self, state: &State| {
                state.store.allows() || !model.promises(state) || !model.tells(state, true)
            }),
            Property::always(STALE_DENY, |model: &Self, state: &State| {
                !state.store.allows() || !model.promises(state) || !model.tells(state, false)
            }),
            Property::always(ALLOW_AFTER_ACK, |model: &Self, state: &State| {
                !state.is_acknowledged() || state.store.allows() || !model.tells(state, true)
            }),
            Property::always(DENY_AFTER_ACK, |model: &Self, state: &State| {
                !state.is_acknowledged() || !state.store.allows() || !model.tells(state, false)
            }),
            Property::always(SHUT_OUT, |model: &Self, state: &State| {
                let settled = !state.store.locked() && state.node.revoke != Revoke::InDoubt;
                let knows = model.0.following == Following::Exclusive || state.node.knows(&state.store.log);
                !settled || !knows || state.node.stands(state.store.log.now(), &model.0)
            }),
        ]
    }
}

impl State {
    fn is_acknowledged(&self) -> bool {
        matches!(self.node.revoke, Revoke::Acknowledged { .. })
    }
}

impl Protocol {
    /// Returns whether the present verdict is old enough to count. With reports alone, its age is that of the report.
    fn promises(&self, State { store, .. }: &State) -> bool {
        let reported = self.0.accounts != Accounts::ReportedAfter || self.0.answers_end || store.report == Report::Done;
        reported && store.age > LEASE
    }

    /// Returns whether this verdict could be given now.
    fn tells(&self, state: &State, verdict: bool) -> bool {
        [state.node.cached(&self.0), state.node.landing(&self.0)].contains(&Some(verdict))
    }

    fn of_writers(&self, State { store, node }: &State, actions: &mut Vec<Action>) {
        let others = self.0.following == Following::Log;
        let free = !store.locked() || self.0.makes(Mistake::SequencesWithoutLock);
        if others && free && store.writes < self.0.writes && store.writers.iter().any(Option::is_none) {
            let possible = |tagged: &bool| !tagged || self.may_tag(store);
            actions.extend([true, false].into_iter().filter(possible).map(|tagged| Action::Begin { tagged }));
        }
        if self.may_commit_of_host(store) {
            actions.push(Action::CommitOfHost);
        }
        for writer in (0..store.writers.len()).filter(|writer| store.writers[*writer].is_some()) {
            actions.extend([Action::Commit { writer }, Action::RollBack { writer }]);
        }
        if store.in_doubt.is_some() {
            actions.extend([Action::DoubtCommits, Action::DoubtRollsBack]);
        }
        if store.locked() {
            return;
        }
        if self.0.failover && store.frozen.is_none() {
            actions.push(Action::FailOver);
        }
        if !store.was_set_back {
            let possible = |kept: &Length| match self.0.set_back {
                SetBack::Never => false,
                SetBack::Noticed => node.notices(store.log.at(*kept).seq),
                SetBack::AtAnyTime => true,
            };
            actions.extend((0..store.log.length()).filter(possible).map(|kept| Action::SetBack { kept }));
        }
    }

    fn of_poller(&self, State { store, node }: &State, actions: &mut Vec<Action>) {
        match node.poll {
            Poll::None => actions.push(Action::SendPoll),
            Poll::Sent { .. } => {
                actions.extend([Action::LosePoll, Action::AnswerPoll { from: store.log.length() }]);
                if let Some(from) = store.frozen.filter(|_| !self.0.quorum_heartbeat) {
                    actions.push(Action::AnswerPoll { from });
                }
            }
            Poll::Answered { .. } if self.0.makes(Mistake::LeaseBeforeTags) => actions.push(Action::RenewLease),
            Poll::Answered { .. } | Poll::Renewed { .. } => actions.push(Action::ApplyPoll),
            Poll::Raised { .. } => actions.push(Action::RenewLease),
        }
    }

    fn of_look_ups(&self, State { store, node }: &State, actions: &mut Vec<Action>) {
        let length = store.log.length();
        match node.flight {
            Flight::None => actions.push(Action::StartLookUp),
            Flight::Started(_) if self.0.lagging_replicas => {
                actions.extend((0..=length).map(|from| Action::ReadLookUp { from }));
            }
            Flight::Started(_) => {
                actions.push(Action::ReadLookUp { from: length });
                actions.extend(store.frozen.filter(|from| *from < length).map(|from| Action::ReadLookUp { from }));
            }
            Flight::Row(..) => actions.push(Action::ReadSequence),
            Flight::Unasked(..) => {
                actions.push(Action::AskHost { behind: false });
                let changed = store.turned_by_host || store.log.iter().any(|change| change.tagged);
                if self.0.host_replica && changed {
                    actions.push(Action::AskHost { behind: true });
                }
            }
            Flight::Read(..) => actions.push(Action::LandLookUp),
        }
    }

    fn of_revoke(&self, State { store, node }: &State, actions: &mut Vec<Action>) {
        let free = self.0.own_changes && !store.locked() && store.writes < self.0.writes;
        let sensible = if self.0.asks_host() { self.may_tag(store) } else { store.log.now().allows };
        let early = self.0.makes(Mistake::HighestBeforeTheLock);
        match node.revoke {
            Revoke::NotYet if early => actions.push(Action::BeginRevoke),
            Revoke::NotYet | Revoke::Begun(_) if free && sensible && store.frozen.is_none() => {
                actions.push(Action::CommitRevoke);
                // A transaction for the change that settles it.
                if self.0.lost_answers && store.writes + 1 < self.0.writes {
                    actions.push(Action::LoseAnswer);
                }
            }
            Revoke::Committed { .. } => actions.push(Action::AcknowledgeRevoke),
            Revoke::InDoubt if free => actions.push(Action::Settle),
            _ => {}
        }
    }

    /// Returns whether a change with the tag may begin: if it is a report, there must be something to report.
    fn may_tag(&self, store: &Store) -> bool {
        match self.0.accounts {
            Accounts::None | Accounts::InOneCommit => true,
            Accounts::ReportedAfter => store.report == self.unreported(),
            Accounts::Unreported => false,
        }
    }

    /// Returns the state in which a report may begin.
    fn unreported(&self) -> Report {
        if self.0.makes(Mistake::ReportedBeforeCommit) { Report::Done } else { Report::Due }
    }

    fn may_commit_of_host(&self, store: &Store) -> bool {
        let in_time = !self.0.makes(Mistake::ReportedBeforeCommit) || store.report == Report::Due;
        match self.0.accounts {
            Accounts::None => false,
            Accounts::InOneCommit => self.0.makes(Mistake::UnknownOwnerNotLogged) && store.writes < self.0.writes,
            Accounts::ReportedAfter => in_time && store.writes < self.0.writes,
            Accounts::Unreported => store.writes < self.0.writes,
        }
    }

    fn begin(&self, store: &mut Store, tagged: bool) -> Open {
        if tagged && self.0.accounts == Accounts::ReportedAfter {
            store.report = Report::Open;
        }
        store.open(tagged)
    }

    /// A change with the tag is one of the verdict, or the report of one.
    fn commit(&self, store: &mut Store, open: Open) {
        if !open.tagged || self.0.accounts != Accounts::ReportedAfter {
            return store.commit(open);
        }
        store.commit_again(open);
        if store.report == Report::Open {
            store.report = if self.0.makes(Mistake::ReportedBeforeCommit) { Report::Due } else { Report::Done };
        }
        if !self.0.answers_end {
            store.age = 0;
        }
    }

    fn take(&self, State { store, node }: &mut State, action: Action) {
        let scenario = &self.0;
        match action {
            Action::Tick => {
                store.age = (store.age + 1).min(OVER);
                node.tick(scenario);
            }
            Action::Begin { tagged } => {
                let open = self.begin(store, tagged);
                if let Some(writer) = store.writers.iter_mut().find(|writer| writer.is_none()) {
                    *writer = Some(open);
                }
            }
            Action::Commit { writer } => {
                if let Some(open) = store.writers[writer].take() {
                    self.commit(store, open);
                }
            }
            Action::RollBack { writer } => {
                store.writers[writer] = None;
                if store.report == Report::Open {
                    store.report = self.unreported();
                }
                if !scenario.makes(Mistake::SequencesWithoutLock) {
                    store.drawn -= 1;
                }
            }
            Action::FailOver => store.frozen = Some(store.log.length()),
            Action::SetBack { kept } => store.set_back(kept),
            Action::CommitOfHost => {
                store.commit_of_host();
                if self.0.accounts == Accounts::ReportedAfter {
                    let early = self.0.makes(Mistake::ReportedBeforeCommit);
                    store.report = if early { Report::Done } else { Report::Due };
                }
                // The promise was about an earlier one.
                match &mut node.revoke {
                    Revoke::Committed { decides, .. } => *decides = false,
                    Revoke::Acknowledged { .. } => node.revoke = Revoke::Over,
                    _ => {}
                }
            }

            Action::SendPoll => node.poll = Poll::Sent { age: 0, highest: node.seen.highest },
            Action::LosePoll => node.poll = Poll::None,
            Action::AnswerPoll { from } => {
                if let Poll::Sent { age, highest } = node.poll {
                    let answer = Answer::of(&store.log[..usize::from(from)], node.applied);
                    node.poll = Poll::Answered { age, highest, answer };
                }
            }
            Action::ApplyPoll => {
                node.poll = match node.poll {
                    Poll::Answered { age, highest, answer } => {
                        let caught_up = node.apply(answer, highest, scenario);
                        if caught_up { Poll::Raised { age } } else { Poll::None }
                    }
                    Poll::Renewed { highest, answer } => {
                        node.apply(answer, highest, scenario);
                        Poll::None
                    }
                    other => other,
                }
            }
            Action::RenewLease => {
                node.poll = match node.poll {
                    Poll::Answered { age, highest, answer } => {
                        node.renew(age, scenario);
                        Poll::Renewed { highest, answer }
                    }
                    Poll::Raised { age } => {
                        node.renew(age, scenario);
                        Poll::None
                    }
                    other => other,
                }
            }

            Action::StartLookUp => node.flight = Flight::Started(Taken { of_this_era: true, age: 0 }),
            Action::ReadLookUp { from } => {
                if let Flight::Started(taken) = node.flight {
                    let snapshot = store.log.at(from);
                    node.flight = if scenario.makes(Mistake::SequenceAfterRow) {
                        Flight::Row(taken, snapshot.allows)
                    } else if scenario.makes(Mistake::AskedBeforeSnapshot) {
                        Flight::Row(taken, store.allows())
                    } else if scenario.asks_host() {
                        Flight::Unasked(taken, Snapshot { allows: false, ..snapshot })
                    } else {
                        Flight::Read(taken, snapshot)
                    };
                }
            }
            Action::ReadSequence => {
                if let Flight::Row(taken, allows) = node.flight {
                    node.flight = Flight::Read(taken, Snapshot { allows, ..store.log.now() });
                }
            }
            Action::AskHost { behind } => {
                if let Flight::Unasked(taken, snapshot) = node.flight {
                    node.flight = Flight::Read(taken, Snapshot { allows: store.allows() != behind, ..snapshot });
                }
            }
            Action::LandLookUp => node.land(scenario),

            Action::BeginRevoke => node.revoke = Revoke::Begun(node.begun()),
            Action::CommitRevoke => {
                let begun = if let Revoke::Begun(begun) = node.revoke { begun } else { node.begun() };
                let open = self.begin(store, true);
                self.commit(store, open);
                node.revoke = Revoke::Committed { seq: open.seq, op: open.op, begun, decides: true };
            }
            Action::AcknowledgeRevoke => {
                if let Revoke::Committed { seq, op, begun, decides } = node.revoke {
                    if !scenario.makes(Mistake::AcknowledgedBeforeRaised) {
                        node.raise_own(begun, seq, Some(op), scenario);
                    }
                    node.revoke = if decides { Revoke::Acknowledged { op } } else { Revoke::Over };
                }
            }
            Action::LoseAnswer => {
                let open = store.open(true);
                store.in_doubt = Some(open);
                if scenario.makes(Mistake::UnknownCommitIgnored) {
                    node.revoke = Revoke::Over;
                } else {
                    node.raise_own(node.begun(), open.seq, None, scenario);
                    let settled = scenario.makes(Mistake::UnknownCommitNotSettled);
                    node.revoke = if settled { Revoke::Over } else { Revoke::InDoubt };
                }
            }
            Action::DoubtCommits => {
                if let Some(open) = store.in_doubt.take() {
                    store.commit(open);
                }
            }
            Action::DoubtRollsBack => {
                store.in_doubt = None;
                store.drawn -= 1;
            }
            Action::Settle => {
                let (open, begun) = (store.open(true), node.begun());
                store.commit_again(open);
                node.raise_own(begun, open.seq, Some(open.op), scenario);
                node.revoke = Revoke::Over;
            }
            Action::Restart => node.restart(),
        }
    }

    /// Merges states that behave alike from now on.
    fn forget_what_is_over(&self, State { store, node }: &mut State) {
        // Within an era nothing decreases: an entry that is stale stays stale.
        if node.entry.is_some_and(|entry| !node.is_current(entry, &self.0)) {
            node.entry = None;
        }
        // The promise was about this change. Another one followed, or the store has lost it.
        match &mut node.revoke {
            Revoke::Committed { op, decides, .. } => *decides &= store.decided_by() == Some(*op),
            Revoke::Acknowledged { op } if store.decided_by() != Some(*op) => node.revoke = Revoke::Over,
            _ => {}
        }
    }
}
