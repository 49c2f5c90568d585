//! The revocation protocol (next-request and bounded-staleness in `docs/invariants.md`), checked in every order of its steps: one caching
//! node, one token, one store with a log of changes, and an adversarial scheduler. Each known mistake must be detected.
//!
//! The owner of the token may be an account of a host (host-is-the-source): then the host's state is a store of its own, which a look-up
//! asks in a second step. `clamps` is a model of the writers that ask it.
//!
//! Time is unbounded, as only ages matter; the number of transactions is bounded. With one more transaction it runs for some minutes:
//!
//! ```text
//! KEYWARD_MODEL=deep cargo test --test model -- --nocapture
//! ```
//!
//! Not in the model: expiry, the bounds of the cache, queues and deadlines (a look-up may take forever), more than one tag (two in one
//! slot cost a reload), more than one node (nodes share only the store), the order of memory accesses within one step, and a gate that
//! pauses between reading the lease and the clock. States are distinguished by 64-bit fingerprints.

mod clamps;
mod mistake;
mod node;
mod protocol;
mod scenario;
mod seen;
mod store;

use clamps::{Clamps, MISSED, REMOVED, REVIVED, Way};
use mistake::Mistake;
use protocol::{ALLOW_AFTER_ACK, DENY_AFTER_ACK, Protocol, SHUT_OUT, STALE_ALLOW, STALE_DENY};
use scenario::{Accounts, Scenario, SetBack};
use stateright::{Checker, HasDiscoveries, Model};
use std::fmt::Debug;
use std::hash::Hash;

fn deep() -> bool {
    std::env::var("KEYWARD_MODEL").is_ok_and(|depth| depth == "deep")
}

/// Returns the design with this many transactions, or one more in a deep run.
fn design(writes: u8) -> Scenario {
    Scenario::design(writes + u8::from(deep()))
}

/// Asserts that no order of steps breaks a property.
fn holds(name: &str, scenario: Scenario) {
    model_holds(name, Protocol(scenario));
}

fn model_holds<M>(name: &str, model: M)
where
    M: Model<Action: Clone + Debug + PartialEq, State: Clone + Debug + PartialEq + Hash + Send + Sync>
        + Send
        + Sync
        + 'static,
{
    let checked = model.checker().finish_when(HasDiscoveries::Any).spawn_bfs().join();
    if let Some((property, path)) = checked.discoveries().into_iter().next() {
        panic!("{name}: {property}: {:?}", path.into_actions());
    }
    println!("holds: {name}: {} states, {} steps", checked.unique_state_count(), checked.state_count());
}

/// Asserts that some order of steps breaks this property.
fn breaks<M>(name: &str, property: &'static str, model: M)
where
    M: Model<Action: Clone + Debug + PartialEq, State: Clone + Debug + PartialEq + Hash + Send + Sync>
        + Send
        + Sync
        + 'static,
{
    let checked = model.checker().finish_when(HasDiscoveries::AnyOf([property].into())).spawn_bfs().join();
    let states = checked.unique_state_count();
    let path = checked.discovery(property).unwrap_or_else(|| panic!("{name}: not detected in {states} states"));
    println!("noticed: {name}: {states} states: {property}: {:?}", path.into_actions());
}

#[test]
fn design_keeps_its_properties() {
    holds("the design", design(2));
}

#[test]
fn design_survives_restarts() {
    holds("restart", design(2).restarts());
}

#[test]
fn design_survives_lagging_replicas() {
    holds("lagging replicas", design(2).lagging_replicas());
}

#[test]
fn design_survives_restarts_and_lagging_replicas() {
    holds("restart and lagging replicas", design(2).restarts().lagging_replicas());
}

#[test]
fn design_survives_failover() {
    holds("failover with a quorum heartbeat", design(2).failover());
}

#[test]
fn design_survives_restarts_lag_and_failover() {
    let all = design(2).failover().restarts().lagging_replicas();
    holds("failover, restart, lagging replicas", all);
}

#[test]
fn design_survives_a_restored_store() {
    let set_back = design(2).set_back(SetBack::Noticed);
    holds("a store that is set back", set_back);
    holds("a store that is set back, restart", set_back.restarts());
    holds("a store that is set back, failover", set_back.failover());
    holds("a store that is set back, lagging replicas", set_back.without_own_changes().lagging_replicas());
    if deep() {
        // Transactions for a lost change, an uncertain one, and one that settles it.
        holds("a store that is set back, lost answers", set_back.lost_answers());
    }
}

#[test]
fn design_survives_lost_commit_responses() {
    holds("lost answers", design(2).lost_answers());
    holds("lost responses, no other writer", design(3).exclusive().lost_answers());
}

/// Ways (a) and (b) of `docs/accounts.md`: the change of the host's user and the row in the log are one commit.
#[test]
fn accounts_changed_in_one_commit_keep_the_properties() {
    let accounts = design(2).accounts(Accounts::InOneCommit);
    holds("accounts, one commit, restart and lagging replicas", accounts.restarts().lagging_replicas());
    // With one transaction more in a deep run.
    let accounts = design(1).accounts(Accounts::InOneCommit);
    holds("accounts, one commit, failover", accounts.failover());
    holds("accounts, one commit, a store that is set back", accounts.answers_end().set_back(SetBack::Noticed));
}

/// Way (c): the bound counts from the report.
#[test]
fn accounts_reported_after_the_commit_keep_the_properties() {
    let accounts = design(3).accounts(Accounts::ReportedAfter);
    holds("accounts, reports", accounts);
    holds("accounts, reports, no other writer", accounts.exclusive());
}

/// Way (d), and the other ways with it: the bound counts from the host's commit, and the log has no part in it.
#[test]
fn unreported_accounts_keep_the_bound() {
    let accounts = design(2).answers_end();
    holds("accounts, nothing reported", accounts.accounts(Accounts::Unreported));
    holds("accounts, nothing reported, no other writer", accounts.accounts(Accounts::Unreported).exclusive());
    holds("accounts, reports or none", accounts.accounts(Accounts::ReportedAfter));
}

#[test]
fn account_mistakes_are_detected() {
    use Mistake::*;
    let one_commit = design(2).accounts(Accounts::InOneCommit);
    breaks("asked before the snapshot", ALLOW_AFTER_ACK, one_commit.with(AskedBeforeSnapshot));
    breaks("absence without the tag of the owner", DENY_AFTER_ACK, one_commit.with(AbsenceWithoutOwner));
    breaks("a trigger that sees no owner", STALE_ALLOW, one_commit.with(UnknownOwnerNotLogged));
    let after = design(2).accounts(Accounts::ReportedAfter);
    breaks("asked before the snapshot, reports", ALLOW_AFTER_ACK, after.with(AskedBeforeSnapshot));
    breaks("reported before the commit", STALE_ALLOW, after.with(ReportedBeforeCommit));
    let unreported = design(2).accounts(Accounts::Unreported);
    breaks("believed without end", STALE_ALLOW, Protocol(unreported));
    breaks("believed from the answer", STALE_ALLOW, unreported.answers_end().with(BelievedFromTheAnswer));
    breaks("a waiter ignores the age", STALE_ALLOW, unreported.answers_end().with(WaiterIgnoresAge));
}

/// The clamp, and the issue that runs beside it.
#[test]
fn clamp_misses_no_token() {
    model_holds("clamps within the commit", Clamps::of(Way::Within).without_revival());
    model_holds("clamps of a trigger's reports", Clamps::of(Way::Trigger));
    model_holds("clamps of reports after the commit", Clamps::of(Way::After));
}

#[test]
fn clamp_mistakes_are_detected() {
    use Mistake::*;
    for way in [Way::Within, Way::Trigger, Way::After] {
        breaks("issue asks before its lock", MISSED, Clamps::of(way).with(IssueAsksBeforeLock));
    }
    breaks("clamp asks before its lock", MISSED, Clamps::of(Way::Trigger).with(ClampAsksBeforeLock));
    breaks("clamp asks before its lock, reports", REMOVED, Clamps::of(Way::After).with(ClampAsksBeforeLock));
    breaks("a trigger that sees no owner", MISSED, Clamps::of(Way::Trigger).with(UnknownOwnerNotLogged));
    breaks("reported before the commit", MISSED, Clamps::of(Way::After).with(ReportedBeforeCommit));
}

/// Only a clamp within the commit sees each state of the account: `docs/accounts.md` says so.
#[test]
fn grant_of_an_account_that_shrinks_and_grows_may_stay() {
    for way in [Way::Trigger, Way::After] {
        breaks("shrinks and grows", REVIVED, Clamps::of(way).without_revival());
    }
}

/// A host that answers from a replica breaks each promise: `docs/accounts.md` says so.
#[test]
fn answers_of_a_replica_break_the_promises() {
    let replica = design(2).host_replica();
    breaks("a replica, one commit", ALLOW_AFTER_ACK, Protocol(replica.accounts(Accounts::InOneCommit)));
    breaks("a replica, reports", STALE_ALLOW, Protocol(replica.accounts(Accounts::ReportedAfter)));
    breaks("a replica, nothing reported", STALE_ALLOW, Protocol(replica.accounts(Accounts::Unreported).answers_end()));
}

/// Properties that the code does not keep. If one of these no longer breaks, move it to the tests that hold.
///
/// A look-up reads a change, the store is set back before it, and then the look-up lands. Its answer looks like one that is younger than
/// the last poll, and reloading every such answer would never end while others write. The first poll sent after the landing detects it.
/// Until then the answer is used, also beyond the span of the lease or after an acknowledgement. In this case the bound is the lease
/// and one poll.
///
/// On a replica, look-ups do not wait for a change of this node that spans the beginning of an era. The change has the number of the
/// lost store or of its replacement. Waiting for the higher one would reject every request until the next poll, and no store of keyward
/// reads from replicas.
///
/// The host's answer may be from a change that is lost when the store is set back, with the node never having seen its number. Unless
/// answers end, nothing makes the entry stale.
#[test]
fn known_gaps_still_break_their_properties() {
    let any = design(2).set_back(SetBack::AtAnyTime);
    breaks("gap: set back under a look-up", STALE_DENY, Protocol(any.without_own_changes()));
    breaks("gap: set back under a look-up, then a revoke", ALLOW_AFTER_ACK, Protocol(any));
    let accounts = design(2).accounts(Accounts::InOneCommit).set_back(SetBack::Noticed);
    breaks("gap: set back after the host was asked", STALE_ALLOW, Protocol(accounts));
    let replicas = design(2).set_back(SetBack::Noticed).lagging_replicas();
    breaks("gap: set back, a revoke, and a lagging replica", ALLOW_AFTER_ACK, Protocol(replicas));
}

#[test]
fn lease_mistakes_are_detected() {
    use Mistake::*;
    breaks("the lease runs from the answer", STALE_ALLOW, design(2).with(LeaseFromTheAnswer));
    breaks("the lease before the tags", STALE_ALLOW, design(2).with(LeaseBeforeTags));
    breaks("a partial poll renews the lease", STALE_ALLOW, design(3).with(PartialPollRenews));
    let frozen = design(2).failover_without_heartbeat();
    breaks("a poll that only reads, failover", STALE_ALLOW, Protocol(frozen));
    breaks("a look-up without a lease", STALE_ALLOW, design(2).with(UnleasedLookUp));
    let (quick, kept) = (UnleasedQuickLookUp, design(2));
    breaks("a quick look-up without a lease, replicas", STALE_ALLOW, kept.lagging_replicas().with(quick));
    breaks("a quick look-up without a lease, failover", STALE_ALLOW, kept.failover().with(quick));
}

#[test]
fn cache_mistakes_are_detected() {
    use Mistake::*;
    breaks("a fill without a version", ALLOW_AFTER_ACK, design(2).with(UnversionedFill));
    breaks("the sequence read after the row", ALLOW_AFTER_ACK, design(2).with(SequenceAfterRow));
    breaks("who joins does not ask again", ALLOW_AFTER_ACK, design(2).with(JoinerNotRevalidated));
    breaks("sequences without a lock", STALE_ALLOW, design(2).with(SequencesWithoutLock));
    breaks("acknowledged before it is raised", ALLOW_AFTER_ACK, design(2).with(AcknowledgedBeforeRaised));
}

#[test]
fn era_mistakes_are_detected() {
    use Mistake::*;
    let restarted = design(2).restarts().lagging_replicas();
    breaks("a floor of zero at the start", STALE_ALLOW, restarted.with(FloorOfZeroAtStart));
    let (set_back, replicas) = (design(2).set_back(SetBack::Noticed), design(2).lagging_replicas());
    breaks("a floor of zero when set back", STALE_ALLOW, set_back.lagging_replicas().with(FloorOfZeroLater));
    breaks("no new era when set back", STALE_ALLOW, set_back.with(NoEraSwap));
    breaks("divergence by the sequence alone", STALE_DENY, set_back.with(DivergenceBySequence));
    breaks("the era is that of the landing", STALE_DENY, set_back.with(EraOfTheLanding));
    breaks("a clock that is kept when set back", SHUT_OUT, set_back.with(ClockIsKept));
    breaks("an era at the start, replicas", ALLOW_AFTER_ACK, replicas.with(EraAtTheStart));
}

#[test]
fn read_ahead_mistakes_are_detected() {
    use Mistake::*;
    let set_back = design(2).set_back(SetBack::Noticed);
    breaks("nothing is kept", STALE_ALLOW, set_back.with(NothingAheadIsKept));
    breaks("the sequences alone", STALE_DENY, set_back.with(AheadWithoutIds));
    breaks("the ids alone", STALE_ALLOW, set_back.with(AheadWithoutHighest));
    breaks("an own change of any sequence", ALLOW_AFTER_ACK, set_back.with(OwnChangeOfAnySequence));
    let three = design(3).set_back(SetBack::Noticed);
    breaks("noted before the lock", ALLOW_AFTER_ACK, three.with(HighestBeforeTheLock));
    breaks("a commit in doubt that tells nothing", SHUT_OUT, three.lost_answers().with(NothingIsSeenInDoubt));
}

#[test]
fn uncertain_commit_mistakes_are_detected() {
    use Mistake::*;
    let alone = design(2).exclusive().lost_answers();
    breaks("an unknown commit is ignored", STALE_ALLOW, alone.with(UnknownCommitIgnored));
    breaks("an unknown commit is not settled", SHUT_OUT, alone.with(UnknownCommitNotSettled));
}
