//! Issue and clamp of the tokens of one account of the host: two writers that ask the host with the lock on the epoch held.
//!
//! The host's commits have numbers. At even ones the account covers the grant of the token, at odd ones it does not.

use crate::Mistake;
use stateright::{Model, Property};

/// Once a report is complete, each grant has passed an answer of the host that is no older than the reported commit.
pub(crate) const MISSED: &str = "a clamp misses no token";
/// A clamp removes no grant that passed a newer answer than the clamp's own.
pub(crate) const REMOVED: &str = "a clamp removes no grant that was issued after it";
/// A grant that its account did not cover at some time is removed, also if the account covers it again.
pub(crate) const REVIVED: &str = "no grant survives an account that shrinks and grows";

/// How the host reports its commits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    /// The commit clamps the tokens.
    Within,
    /// The commit holds the lock and adds a report to a table, which a clamp empties later.
    Trigger,
    /// The host commits, and then reports.
    After,
}

pub(crate) struct Clamps {
    way: Way,
    mistake: Option<Mistake>,
    /// Whether [`REVIVED`] is a property.
    without_revival: bool,
}

/// The number of commits of the host.
const COMMITS: u8 = 3;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Writer {
    Host,
    Issue,
    Clamp,
}

/// A writer between its begin and its commit.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Begun {
    /// The last commit of the host at that time.
    host: u8,
    /// The commit that the host's answer is from.
    answer: Option<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Grant {
    /// The commit of the host by which it was issued.
    issued: u8,
    /// The commit by which it was last checked.
    checked: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct State {
    /// The last commit of the host.
    host: u8,
    /// The host's transaction is open.
    host_open: bool,
    /// The last commit of the host whose report is complete.
    reported: u8,
    /// The holder of the lock on the epoch.
    lock: Option<Writer>,
    issue: Option<Begun>,
    clamp: Option<Begun>,
    grant: Option<Grant>,
    removed_newer: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Action {
    /// The host's transaction takes the lock, if it ever does.
    BeginHost,
    CommitHost,
    /// A writer begins: its caller has called it.
    Begin(Writer),
    /// It takes the lock.
    Lock(Writer),
    /// The host answers it.
    Ask(Writer),
    Commit(Writer),
}

fn covers(commit: u8) -> bool {
    commit.is_multiple_of(2)
}

impl State {
    /// Checks the grant by an answer from this commit, and removes it if the account does not cover it.
    fn check(&mut self, commit: u8) {
        if let Some(grant) = &mut self.grant {
            if covers(commit) {
                grant.checked = grant.checked.max(commit);
            } else {
                self.removed_newer |= grant.checked > commit;
                self.grant = None;
            }
        }
    }

    fn writer(&mut self, writer: Writer) -> &mut Option<Begun> {
        if writer == Writer::Issue { &mut self.issue } else { &mut self.clamp }
    }
}

impl Clamps {
    pub(crate) fn of(way: Way) -> Self {
        Self { way, mistake: None, without_revival: false }
    }

    pub(crate) fn without_revival(self) -> Self {
        Self { without_revival: true, ..self }
    }

    pub(crate) fn with(self, mistake: Mistake) -> Self {
        Self { mistake: Some(mistake), ..self }
    }

    fn makes(&self, mistake: Mistake) -> bool {
        self.mistake == Some(mistake)
    }

    /// Returns whether this writer asks the host before it has the lock.
    fn asks_early(&self, writer: Writer) -> bool {
        self.makes(if writer == Writer::Issue { Mistake::IssueAsksBeforeLock } else { Mistake::ClampAsksBeforeLock })
    }

    fn host_locks(&self) -> bool {
        self.way != Way::After && !self.makes(Mistake::UnknownOwnerNotLogged)
    }
}

impl Model for Clamps {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::default()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let early = self.makes(Mistake::ReportedBeforeCommit);
        if state.host_open {
            // A report before the commit is the host's own call: it commits afterwards.
            if !early || state.reported > state.host {
                actions.push(Action::CommitHost);
            }
        } else if state.host < COMMITS && (!self.host_locks() || state.lock.is_none()) {
            actions.push(Action::BeginHost);
        }
        if state.issue.is_none() && state.grant.is_none() {
            actions.push(Action::Begin(Writer::Issue));
        }
        let due = if early { state.host_open && state.reported <= state.host } else { state.reported < state.host };
        if state.clamp.is_none() && due && self.way != Way::Within {
            actions.push(Action::Begin(Writer::Clamp));
        }
        for (writer, begun) in [(Writer::Issue, state.issue), (Writer::Clamp, state.clamp)] {
            let Some(begun) = begun else { continue };
            let locked = state.lock == Some(writer);
            if begun.answer.is_none() && (locked || self.asks_early(writer)) {
                actions.push(Action::Ask(writer));
            }
            if state.lock.is_none() && (begun.answer.is_some() || !self.asks_early(writer)) {
                actions.push(Action::Lock(writer));
            }
            if locked && begun.answer.is_some() {
                actions.push(Action::Commit(writer));
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut next = *last;
        match action {
            Action::BeginHost => {
                next.host_open = true;
                if self.host_locks() {
                    next.lock = Some(Writer::Host);
                }
            }
            Action::CommitHost => {
                next.host_open = false;
                next.host += 1;
                if self.way == Way::Within {
                    next.check(next.host);
                    next.reported = next.host;
                }
                if next.lock == Some(Writer::Host) {
                    next.lock = None;
                }
            }
            Action::Begin(writer) => {
                let host = next.host + u8::from(writer == Writer::Clamp && self.makes(Mistake::ReportedBeforeCommit));
                *next.writer(writer) = Some(Begun { host, answer: None });
            }
            Action::Lock(writer) => next.lock = Some(writer),
            Action::Ask(writer) => {
                let answer = Some(next.host);
                *next.writer(writer) = next.writer(writer).map(|begun| Begun { answer, ..begun });
            }
            Action::Commit(writer) => {
                next.lock = None;
                let Some(Begun { host, answer: Some(answer) }) = next.writer(writer).take() else { return None };
                match writer {
                    Writer::Issue if covers(answer) => next.grant = Some(Grant { issued: answer, checked: answer }),
                    Writer::Issue | Writer::Host => {}
                    Writer::Clamp => {
                        next.check(answer);
                        // The table is emptied: reports that were added meanwhile go with the others.
                        next.reported = if self.way == Way::Trigger { next.host } else { host };
                    }
                }
            }
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(MISSED, |_: &Self, state: &State| {
                state.grant.is_none_or(|grant| state.reported < state.host || grant.checked >= state.host)
            }),
            Property::always(REMOVED, |_: &Self, state: &State| !state.removed_newer),
            Property::always(REVIVED, |model: &Self, state: &State| {
                let survives = |grant: Grant| state.reported >= state.host && grant.issued < state.host;
                !model.without_revival || !state.grant.is_some_and(survives)
            }),
        ]
    }
}
