//! Records changes and decisions on one clock, and checks that they agree.
//!
//! A token passes or fails in alternating turns; a change begins the next turn. The moment of a commit is unknown, but it lies between the
//! change's request and its response (or, without a response, the moment at which the change was observed). So a node may judge by a turn
//! from the request that began it until the response to the request that ended it, plus the bound on all nodes but the one that gave that
//! response. A decision agrees if some turn with its verdict overlaps the time between its request and its response. All times are of
//! this process, so nothing is assumed about other clocks.

use std::collections::HashSet;
use std::fmt;
use std::time::{Duration, Instant};

pub(crate) type NodeId = usize;
pub(crate) type TokenId = usize;
pub(crate) type ChangeId = usize;

/// The record of a run.
#[derive(Debug)]
pub(crate) struct History {
    bound: Duration,
    tokens: Vec<Vec<Turn>>,
    decisions: Vec<Decision>,
    changes: usize,
}

/// A span in which a token passes or fails.
#[derive(Clone, Copy, Debug)]
struct Turn {
    passes: bool,
    /// When the change that began it was requested.
    asked: Instant,
    /// The node of the change.
    node: Option<NodeId>,
    change: ChangeId,
    outcome: Outcome,
}

/// The outcome of a change.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome {
    /// Not yet known.
    Open,
    /// Its node acknowledged it at this time.
    Acknowledged(Instant),
    /// It was observed at this time.
    Seen(Instant),
    /// It did not happen.
    Never,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Decision {
    pub(crate) token: TokenId,
    pub(crate) node: NodeId,
    pub(crate) begins: Instant,
    pub(crate) ends: Instant,
    pub(crate) verdict: Verdict,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    Passed,
    /// 401 or 403.
    Denied,
    /// 503.
    Unavailable,
    /// No response.
    Silence,
}

/// The result of checking a part of a history.
#[derive(Default, Debug)]
pub(crate) struct Findings {
    pub(crate) passed: usize,
    pub(crate) refused: usize,
    pub(crate) unavailable: usize,
    pub(crate) silence: usize,
    /// Changes that were acknowledged.
    pub(crate) acknowledged: usize,
    /// Changes without a response, with either outcome.
    pub(crate) doubtful: usize,
    /// For each change that removed access and each other node: how long after the response a request that still passed began.
    pub(crate) staleness: Vec<Duration>,
    pub(crate) wrong: Vec<Wrong>,
}

/// A decision that agrees with no turn.
#[derive(Clone, Debug)]
pub(crate) struct Wrong {
    pub(crate) decision: Decision,
    /// How long after the bound it began; `None` for one that came too early.
    pub(crate) late: Duration,
    /// Whether its node itself had acknowledged the change.
    pub(crate) after_own_answer: bool,
}

impl History {
    pub(crate) fn new(bound: Duration) -> Self {
        Self { bound, tokens: Vec::new(), decisions: Vec::new(), changes: 0 }
    }

    /// Adds a token that every node knows.
    pub(crate) fn token(&mut self, passes: bool, since: Instant) -> TokenId {
        let turn = Turn { passes, asked: since, node: None, change: usize::MAX, outcome: Outcome::Seen(since) };
        self.tokens.push(vec![turn]);
        self.tokens.len() - 1
    }

    /// Records that a change is about to be requested that makes these tokens pass or fail. It may affect any number of records.
    pub(crate) fn ask(&mut self, tokens: &[TokenId], passes: bool, node: Option<NodeId>, asked: Instant) -> ChangeId {
        let change = self.changes;
        self.changes += 1;
        for token in tokens {
            self.tokens[*token].push(Turn { passes, asked, node, change, outcome: Outcome::Open });
        }
        change
    }

    pub(crate) fn settle(&mut self, tokens: &[TokenId], change: ChangeId, outcome: Outcome) {
        for token in tokens {
            for turn in self.tokens[*token].iter_mut().filter(|turn| turn.change == change) {
                turn.outcome = outcome;
            }
        }
    }

    /// Describes the last turns of a token.
    pub(crate) fn describe_turns(&self, token: TokenId) -> String {
        let turns = &self.tokens[token];
        let last = &turns[turns.len().saturating_sub(4)..];
        let one = |turn: &Turn| {
            let node = turn.node.map_or("no node's".to_owned(), |node| format!("node {}'s", node + 1));
            let outcome = match turn.outcome {
                Outcome::Open => "open".to_owned(),
                Outcome::Acknowledged(at) => format!("acknowledged after {:?}", at - turn.asked),
                Outcome::Seen(at) => format!("seen after {:?}", at - turn.asked),
                Outcome::Never => "never".to_owned(),
            };
            let ago = last[last.len() - 1].asked - turn.asked;
            format!("{node}, passes: {}, asked {ago:?} before the last, {outcome}", turn.passes)
        };
        last.iter().map(one).collect::<Vec<_>>().join("; ")
    }

    pub(crate) fn tokens(&self) -> impl Iterator<Item = TokenId> + use<> {
        0..self.tokens.len()
    }

    pub(crate) fn decided(&mut self, decision: Decision) {
        self.decisions.push(decision);
    }

    /// Returns the present verdict of a token; `None` while it is unknown.
    pub(crate) fn passes(&self, token: TokenId) -> Option<bool> {
        let turns = &self.tokens[token];
        if turns.iter().any(|turn| matches!(turn.outcome, Outcome::Open)) {
            return None;
        }
        turns.iter().rev().find(|turn| turn.outcome.done().is_some()).map(|turn| turn.passes)
    }

    /// Checks all decisions since the last call. Every change must be settled.
    pub(crate) fn findings(&mut self) -> Findings {
        let mut found = Findings::default();
        let decisions = std::mem::take(&mut self.decisions);
        for decision in &decisions {
            match decision.verdict {
                Verdict::Passed => found.passed += 1,
                Verdict::Denied => found.refused += 1,
                Verdict::Unavailable => found.unavailable += 1,
                Verdict::Silence => found.silence += 1,
            }
            found.wrong.extend(self.wrong(decision));
        }
        let Some(since) = decisions.iter().map(|decision| decision.begins).min() else { return found };
        let mut by_token: Vec<Vec<&Decision>> = vec![Vec::new(); self.tokens.len()];
        decisions.iter().for_each(|decision| by_token[decision.token].push(decision));
        let mut counted = HashSet::new();
        for (turns, decisions) in self.tokens.iter().zip(&by_token) {
            for (i, turn) in turns.iter().enumerate().filter(|(_, turn)| turn.asked >= since) {
                let answered = match turn.outcome {
                    Outcome::Acknowledged(answered) => Some(answered),
                    _ => None,
                };
                if counted.insert(turn.change) && (turn.node.is_some() || answered.is_some()) {
                    let of = if answered.is_some() { &mut found.acknowledged } else { &mut found.doubtful };
                    *of += 1;
                }
                let Some(answered) = answered else { continue };
                let before = turns[..i].iter().rev().find(|turn| turn.outcome.done().is_some());
                if turn.passes || before.is_none_or(|before| !before.passes) {
                    continue;
                }
                let until = turns[i + 1..].iter().find(|turn| turn.passes).map(|turn| turn.asked);
                found.staleness.extend(staleness(decisions, turn.node, answered, until));
            }
        }
        found
    }

    fn wrong(&self, decision: &Decision) -> Option<Wrong> {
        let passes = match decision.verdict {
            Verdict::Passed => true,
            Verdict::Denied => false,
            Verdict::Unavailable | Verdict::Silence => return None,
        };
        let turns = &self.tokens[decision.token];
        // The nearest of all ends that it came too late for.
        let mut nearest = None;
        for (i, turn) in turns.iter().enumerate() {
            if turn.passes != passes || matches!(turn.outcome, Outcome::Never) || turn.asked > decision.ends {
                continue;
            }
            let ended = turns[i + 1..].iter().filter_map(|next| {
                let (done, acknowledged) = next.outcome.done()?;
                let own = acknowledged && next.node == Some(decision.node);
                Some((if own { done } else { done + self.bound }, own))
            });
            match ended.min_by_key(|(until, _)| *until) {
                Some((until, own)) if until < decision.begins => {
                    nearest = nearest.max(Some((until, own)));
                }
                _ => return None,
            }
        }
        let late = nearest.map_or(Duration::ZERO, |(until, _)| decision.begins - until);
        Some(Wrong { decision: *decision, late, after_own_answer: nearest.is_some_and(|(_, own)| own) })
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Decision { token, node, verdict, .. } = self.decision;
        let late = self.late.as_secs_f64() * 1000.0;
        write!(f, "token {token}, {verdict:?} at node {}, ", node + 1)?;
        match (self.after_own_answer, self.late.is_zero()) {
            (true, _) => write!(f, "{late:.1} ms after the node itself had said otherwise"),
            (false, false) => write!(f, "{late:.1} ms after the bound"),
            (false, true) => write!(f, "which it never was, or not yet"),
        }
    }
}

impl Outcome {
    /// Returns the time since which it has certainly happened, and whether its node acknowledged it.
    fn done(self) -> Option<(Instant, bool)> {
        match self {
            Self::Acknowledged(at) => Some((at, true)),
            Self::Seen(at) => Some((at, false)),
            Self::Open | Self::Never => None,
        }
    }
}

/// For each other node with requests in time: how long after the response a request that still passed began.
fn staleness(
    decisions: &[&Decision],
    node: Option<NodeId>,
    answered: Instant,
    until: Option<Instant>,
) -> impl Iterator<Item = Duration> {
    let mut last = [None; 8];
    for decision in decisions {
        let in_time = decision.begins > answered && until.is_none_or(|until| decision.ends < until);
        if in_time && Some(decision.node) != node {
            let stale = match decision.verdict {
                Verdict::Passed => decision.begins - answered,
                _ => Duration::ZERO,
            };
            last[decision.node] = last[decision.node].max(Some(stale));
        }
    }
    last.into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Duration = Duration::from_secs(2);

    struct Recorder {
        history: History,
        start: Instant,
        token: TokenId,
    }

    impl Recorder {
        #[allow(clippy::disallowed_methods, reason = "any instant will do")]
        fn of(passes: bool) -> Self {
            let (mut history, start) = (History::new(BOUND), Instant::now());
            let token = history.token(passes, start);
            Self { history, start, token }
        }

        fn at(&self, ms: u64) -> Instant {
            self.start + Duration::from_millis(ms)
        }

        /// Records a change at node 0, from its request to its outcome.
        fn change(&mut self, passes: bool, asked: u64, outcome: impl FnOnce(&Self) -> Outcome) {
            let change = self.history.ask(&[self.token], passes, Some(0), self.at(asked));
            let outcome = outcome(self);
            self.history.settle(&[self.token], change, outcome);
        }

        fn decided(&mut self, node: NodeId, begins: u64, ends: u64, verdict: Verdict) -> Option<Wrong> {
            let (token, begins, ends) = (self.token, self.at(begins), self.at(ends));
            self.history.decided(Decision { token, node, begins, ends, verdict });
            self.history.findings().wrong.pop()
        }
    }

    #[test]
    fn stale_allow_within_the_bound_is_valid_on_other_nodes_only() {
        let mut recorder = Recorder::of(true);
        recorder.change(false, 100, |t| Outcome::Acknowledged(t.at(110)));
        assert!(recorder.decided(1, 2109, 2200, Verdict::Passed).is_none());
        let wrong = recorder.decided(1, 2111, 2200, Verdict::Passed).unwrap();
        assert!(wrong.late == Duration::from_millis(1) && !wrong.after_own_answer);
        assert!(recorder.decided(0, 109, 300, Verdict::Passed).is_none(), "it may have been decided before the change");
        assert!(recorder.decided(0, 111, 300, Verdict::Passed).unwrap().after_own_answer);
        assert!(recorder.decided(0, 50, 99, Verdict::Denied).is_some(), "before the change was requested");
        assert!(recorder.decided(1, 50, 101, Verdict::Denied).is_none());
        assert!(recorder.decided(1, 9000, 9001, Verdict::Unavailable).is_none());
    }

    #[test]
    fn denial_after_the_bound_of_a_grant_is_a_violation() {
        let mut recorder = Recorder::of(false);
        recorder.change(true, 100, |t| Outcome::Acknowledged(t.at(110)));
        assert!(recorder.decided(1, 2109, 2110, Verdict::Denied).is_none());
        assert!(recorder.decided(1, 2111, 2112, Verdict::Denied).is_some());
        assert!(recorder.decided(0, 111, 112, Verdict::Denied).is_some());
        assert!(recorder.decided(1, 90, 99, Verdict::Passed).is_some());
    }

    #[test]
    fn unacknowledged_change_counts_from_its_first_observation() {
        let mut recorder = Recorder::of(true);
        recorder.change(false, 100, |t| Outcome::Seen(t.at(5000)));
        assert!(recorder.decided(0, 6999, 7000, Verdict::Passed).is_none(), "the change was not acknowledged");
        assert!(recorder.decided(0, 7001, 7002, Verdict::Passed).is_some());
        let mut recorder = Recorder::of(true);
        recorder.change(false, 100, |_| Outcome::Never);
        assert!(recorder.decided(1, 9000, 9001, Verdict::Passed).is_none());
        assert!(recorder.decided(1, 9000, 9001, Verdict::Denied).is_some(), "the change never happened");
        assert_eq!(recorder.history.passes(recorder.token), Some(true));
    }

    #[test]
    fn first_of_two_ends_counts() {
        let mut recorder = Recorder::of(true);
        recorder.change(false, 100, |t| Outcome::Acknowledged(t.at(110)));
        recorder.change(true, 200, |t| Outcome::Acknowledged(t.at(210)));
        recorder.change(false, 300, |t| Outcome::Acknowledged(t.at(310)));
        assert!(recorder.decided(0, 311, 312, Verdict::Passed).is_some());
        assert!(recorder.decided(0, 250, 251, Verdict::Denied).is_some());
        assert!(recorder.decided(1, 2309, 2310, Verdict::Passed).is_none());
        assert!(recorder.decided(1, 2311, 2312, Verdict::Passed).is_some());
    }

    #[test]
    fn staleness_is_measured_from_the_response() {
        let mut recorder = Recorder::of(true);
        recorder.change(false, 100, |t| Outcome::Acknowledged(t.at(110)));
        for (node, begins, verdict) in [
            (0, 111, Verdict::Denied),
            (1, 115, Verdict::Passed),
            (1, 130, Verdict::Passed),
            (1, 140, Verdict::Denied),
            (2, 120, Verdict::Denied),
        ] {
            let (token, begins) = (recorder.token, recorder.at(begins));
            let ends = begins + Duration::from_millis(1);
            recorder.history.decided(Decision { token, node, begins, ends, verdict });
        }
        // The change must begin with the decisions, as it belongs to the run.
        let (token, begins) = (recorder.token, recorder.at(10));
        recorder.history.decided(Decision { token, node: 1, begins, ends: begins, verdict: Verdict::Passed });
        let found = recorder.history.findings();
        assert_eq!(found.staleness, [Duration::from_millis(20), Duration::ZERO]);
        assert_eq!((found.acknowledged, found.passed, found.refused, found.wrong.len()), (1, 3, 3, 0));
    }
}
