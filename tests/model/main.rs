//! The revocation protocol (I3, I4), checked in every order in which its steps can come: one caching node, one token, one store
//! with a log of changes, and a scheduler that does its worst. Each mistake that we could think of must be noticed.
//!
//! Time has no end here, as ages are all that counts; what is bounded is the number of transactions. With one more of them, for
//! some minutes:
//!
//! ```text
//! KEYWARD_MODEL=deep cargo test --test model -- --nocapture
//! ```
//!
//! Not in it: expiry, the cache's bounds, queues and deadlines (a look-up may take for ever), more than one tag (two in one slot
//! cost a reload), more than one node (nodes share nothing but the store), the order of memory accesses within one step, and a
//! gate that pauses between its look at the lease and its look at the clock. States are told apart by 64-bit fingerprints.

mod mistake;
mod node;
mod protocol;
mod scenario;
mod seen;
mod store;

use mistake::Mistake;
use protocol::{ALLOW_AFTER_ACK, Protocol, SHUT_OUT, STALE_ALLOW, STALE_DENY};
use scenario::{Scenario, SetBack};
use stateright::{Checker, HasDiscoveries, Model};

fn deep() -> bool {
    std::env::var("KEYWARD_MODEL").is_ok_and(|depth| depth == "deep")
}

/// The design with as many transactions as are asked for, or one more.
fn design(writes: u8) -> Scenario {
    Scenario::design(writes + u8::from(deep()))
}

/// No order of steps breaks a property.
fn holds(name: &str, scenario: Scenario) {
    let checked = Protocol(scenario).checker().finish_when(HasDiscoveries::Any).spawn_bfs().join();
    if let Some((property, path)) = checked.discoveries().into_iter().next() {
        panic!("{name}: {property}: {:?}", path.into_actions());
    }
    println!("holds: {name}: {} states, {} steps", checked.unique_state_count(), checked.state_count());
}

/// Some order of steps breaks this property.
fn breaks(name: &str, property: &'static str, protocol: Protocol) {
    let checked = protocol.checker().finish_when(HasDiscoveries::AnyOf([property].into())).spawn_bfs().join();
    let states = checked.unique_state_count();
    let path = checked.discovery(property).unwrap_or_else(|| panic!("{name}: not noticed in {states} states"));
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
        // Room for a change that is lost, one in doubt, and one that settles it.
        holds("a store that is set back, lost answers", set_back.lost_answers());
    }
}

#[test]
fn design_survives_lost_commit_responses() {
    holds("lost answers", design(2).lost_answers());
    holds("lost answers, nobody else writes", design(3).exclusive().lost_answers());
}

/// What our code does not keep. If one of these no longer breaks, it belongs among what holds.
///
/// A look-up that has read what is lost lands once the store is set back. Nothing tells its answer from one that is younger than
/// the last poll, and to ask again for every such answer would be to ask for ever while others write. The first poll that is sent
/// after the landing notices; until then the answer counts, also beyond the span of the lease or after an acknowledgement. It is
/// the one moment in which the bound is that of the lease and a poll.
///
/// At a replica a change of this node that spans the beginning of an era is not waited for. It has the number of the store that
/// was lost or of the one that took its place: to wait for the higher one would shut everybody out until the next poll, and no
/// store of ours has replicas.
#[test]
fn known_gaps_still_break_their_properties() {
    let any = design(2).set_back(SetBack::AtAnyTime);
    breaks("gap: set back under a look-up", STALE_DENY, Protocol(any.without_own_changes()));
    breaks("gap: set back under a look-up, then a revoke", ALLOW_AFTER_ACK, Protocol(any));
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
