//! What the resolver keeps of what it read, and how often it asks.

use super::*;
use crate::domain::{Action, ContentAccess, SystemClock, Timestamp, Token, TokenAuthority, TokenId};
use crate::store::{KeyCheck, Record, Snapshot, StoreError, Use};
use async_trait::async_trait;
use std::sync::atomic::{AtomicU64, Ordering};

/// A store in which every digest is a token's. It stands at its first change, and counts reads and noted uses.
#[derive(Default)]
struct Tokens {
    reads: AtomicU64,
    noted: AtomicU64,
}

/// More reads than any test here expects: from then on the store does not answer.
const TOO_OFTEN: u64 = 5000;

#[async_trait]
impl Store for Tokens {
    async fn resolve(&self, digest: &Digest) -> Result<Snapshot, StoreError> {
        if self.reads.fetch_add(1, Ordering::SeqCst) > TOO_OFTEN {
            std::future::pending::<()>().await;
        }
        Ok(Snapshot { seq: 1, op_id: None, record: Some(record(*digest)) })
    }

    async fn note_uses(&self, uses: &[Use]) -> Result<(), StoreError> {
        self.noted.fetch_add(uses.len() as u64, Ordering::SeqCst);
        Ok(())
    }

    fn following(&self) -> Following {
        Following::Blind
    }

    async fn key_checks(&self) -> Result<Option<Vec<KeyCheck>>, StoreError> {
        Ok(None)
    }

    async fn close(&self) {}
}

fn record(digest: Digest) -> Record {
    let token = Token {
        id: TokenId(1),
        name: "one".into(),
        description: String::new(),
        digest,
        hint: String::new(),
        lifespan: None,
        expires_at: None,
        created_at: Timestamp(0),
        updated_at: Timestamp(0),
        last_used_at: None,
        authority: TokenAuthority::Content { access: ContentAccess::Custom(vec![Action::new("find"); 9].into()) },
    };
    Record { token, owner: None, now: Timestamp(0) }
}

fn started(limits: Limits) -> (Arc<Resolver>, Arc<Tokens>) {
    let store = Arc::new(Tokens::default());
    (Resolver::start(store.clone(), Arc::new(SystemClock), Conditions::default(), limits, true), store)
}

fn digest(n: u64, rest: u8) -> Digest {
    let mut bytes = [rest; 27];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    Digest::Native(bytes)
}

/// The same of the reference.
fn long_digest(n: u64, rest: u8) -> Digest {
    let mut bytes = [rest; 64];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    Digest::Strapi(bytes)
}

#[tokio::test]
async fn the_cache_takes_as_many_bytes_as_it_may_and_no_more() {
    let limits = Limits { cache_bytes: 100_000, ..Limits::default() };
    let (resolver, _) = started(limits);
    for n in 0..2000_u64 {
        // Spread as digests are.
        let digest = digest(n.wrapping_mul(0x9E37_79B9_7F4A_7C15), 0);
        assert!(matches!(resolver.clone().ask(digest, Lane::Unknown).await, Ok(Resolved::Found(_))));
    }
    let health = resolver.health();
    let most = limits.cache_bytes / size_of::<Entry>() as u64;
    assert!((most / 4..=most).contains(&health.cache_entries), "{} of {most} at most", health.cache_entries);
    assert!((limits.cache_bytes / 2..=limits.cache_bytes).contains(&health.cache_bytes), "{}", health.cache_bytes);
}

#[tokio::test]
async fn an_entry_weighs_what_it_holds_and_its_place() {
    let (resolver, _) = started(Limits::default());
    for digest in [digest(7, 1), long_digest(7, 1)] {
        let (mut made, record) = (None, record(digest));
        let counted = allocation_counter::measure(|| {
            let stamp = Stamp { era: 0, seq: 1, tags: record.tags() };
            made = Entry::of(&record, stamp, MonotonicTime(0), &resolver).map(Arc::new);
        });
        let (entry, bytes) = (made.unwrap(), u64::try_from(counted.bytes_current).unwrap());
        // The list of actions is the record's own, and is not made again here.
        let (weight, bytes) = (entry.weight(), bytes + entry.principal.weight() as u64);
        // The place: its key, and what a table has for it.
        assert!((bytes + 40..=bytes + 56).contains(&weight), "{weight} of {bytes}");
    }
}

/// Two look-ups of one token may land in either order.
#[tokio::test]
async fn an_old_answer_does_not_take_the_place_of_a_newer_one() {
    for (one, another) in [(digest(7, 1), digest(7, 2)), (long_digest(7, 1), long_digest(7, 2))] {
        let (resolver, _) = started(Limits::default());
        let of = |digest: Digest, era, seq| {
            let stamp = Stamp { era, seq, tags: record(digest).tags() };
            Arc::new(Entry::of(&record(digest), stamp, MonotonicTime(0), &resolver).unwrap())
        };
        let stays = |later: &Arc<Entry>| {
            resolver.keep(&one, later);
            let kept = resolver.cache.peek(&one.prefix()).unwrap();
            Arc::ptr_eq(&kept, later)
        };
        assert!(stays(&of(one, 1, 5)));
        assert!(!stays(&of(one, 1, 4)), "what it says is older");
        // Read again at the same moment of the log, it is good for longer.
        assert!(stays(&of(one, 1, 5)) && stays(&of(one, 1, 6)));
        assert!(stays(&of(one, 2, 3)), "the numbers of another era say nothing");
        resolver.keep(&another, &of(another, 2, 9));
        assert!(stays(&of(one, 2, 4)), "nor do those of another token");
    }
}

#[tokio::test]
async fn what_is_kept_is_known_by_its_whole_digest() {
    for (one, another) in [(digest(7, 1), digest(7, 2)), (long_digest(7, 1), long_digest(7, 2))] {
        let (resolver, store) = started(Limits::default());
        assert!(matches!(resolver.clone().ask(one, Lane::Unknown).await, Ok(Resolved::Found(_))));
        let now = resolver.clock.moment();
        assert!(matches!(resolver.known(&one, now), Some(Resolved::Found(entry)) if entry.digest() == Some(one)));
        // It begins like the other one.
        assert!(resolver.known(&another, now).is_none());
        assert_eq!(store.reads.load(Ordering::SeqCst), 1);
    }
}

/// What it says was overtaken by a change that it does not know yet.
#[tokio::test(start_paused = true)]
async fn a_store_that_is_behind_is_asked_less_and_less_often() {
    let (resolver, store) = started(Limits::default());
    let digest = digest(7, 1);
    resolver.freshness.raise(2, &[Tag::token(&digest)]);
    let answer = resolver.clone().ask(digest, Lane::Unknown).await;
    assert!(matches!(answer, Err(Unavailable::Deadline)));
    let reads = store.reads.load(Ordering::SeqCst);
    // Ten a second in the end, and some more at first.
    assert!((20..=30).contains(&reads), "{reads} reads in two seconds");
}

#[tokio::test(start_paused = true)]
async fn uses_are_written_behind() {
    let (resolver, store) = started(Limits::default());
    resolver.write_uses_behind();
    let Ok(Resolved::Found(entry)) = resolver.clone().ask(digest(7, 1), Lane::Unknown).await else { panic!() };
    // What there is at the first tick is nothing.
    tokio::time::sleep(Duration::from_millis(1)).await;
    resolver.note_use(&entry, resolver.clock.moment(), || None);
    assert_eq!(store.noted.load(Ordering::SeqCst), 0);
    tokio::time::sleep(usage::WRITE_EVERY).await;
    assert_eq!(store.noted.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn who_has_a_turn_does_not_wait_for_one() {
    let (resolver, store) = started(Limits { lookups: 8, ..Limits::default() });
    store.reads.store(TOO_OFTEN + 1, Ordering::SeqCst);
    for n in 0..8 {
        tokio::spawn(resolver.clone().ask(digest(n, 1), Lane::Known));
    }
    for (network, flights, waiting) in [(1, 9, 1), (2, 10, 2)] {
        tokio::spawn(resolver.clone().ask(digest(100 + network, 1), Lane::Aside(network)));
        tokio::time::sleep(Duration::from_millis(1)).await;
        let health = resolver.health();
        assert_eq!((health.lookups_in_flight, health.lookups_waiting), (flights, waiting));
    }
}

#[test]
fn strict_limits_are_a_quarter_of_the_usual_and_leave_time_to_poll_twice() {
    let (strict, usual) = (Limits::strict(), Limits::default());
    assert_eq!(strict.max_staleness * 4, usual.max_staleness);
    assert!(strict.leave_time() && usual.leave_time());
    // In all else they are as usual.
    let Limits { max_staleness, poll_every, poll_deadline, .. } = usual;
    assert_eq!(Limits { max_staleness, poll_every, poll_deadline, ..strict }, usual);
}

/// A store that can be told not to answer.
#[derive(Default)]
struct Fickle(AtomicU64);

const WELL: u64 = 0;
const FAILING: u64 = 1;
const SILENT: u64 = 2;

#[async_trait]
impl Store for Fickle {
    async fn resolve(&self, _: &Digest) -> Result<Snapshot, StoreError> {
        match self.0.load(Ordering::SeqCst) {
            FAILING => Err(StoreError::Busy),
            SILENT => std::future::pending().await,
            _ => Ok(Snapshot { seq: 0, op_id: None, record: None }),
        }
    }

    async fn note_uses(&self, _: &[Use]) -> Result<(), StoreError> {
        Ok(())
    }

    fn following(&self) -> Following {
        Following::Blind
    }

    async fn key_checks(&self) -> Result<Option<Vec<KeyCheck>>, StoreError> {
        Ok(None)
    }

    async fn close(&self) {}
}

/// A clock that goes on when it is told.
#[derive(Default)]
struct Hand(AtomicU64);

impl Hand {
    fn advance(&self, by: Duration) {
        self.0.fetch_add(u64::try_from(by.as_nanos()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp(0)
    }

    fn moment(&self) -> MonotonicTime {
        MonotonicTime(self.0.load(Ordering::SeqCst))
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_look_ups_are_not_answered_is_not_ready() {
    let (store, clock) = (Arc::new(Fickle::default()), Arc::new(Hand::default()));
    let resolver = Resolver::start(store.clone(), clock.clone(), Conditions::default(), Limits::default(), true);
    let mut next = 0;
    let mut ask = async |how, times, lane| {
        store.0.store(how, Ordering::SeqCst);
        for _ in 0..times {
            next += 1;
            let digest = if lane == Lane::Doubtful { long_digest(next, 0) } else { digest(next, 0) };
            _ = resolver.clone().ask(digest, if lane == Lane::Doubtful { Lane::Unknown } else { lane }).await;
        }
        resolver.health().ready
    };
    for how in [FAILING, SILENT] {
        assert!(ask(WELL, 2, Lane::Unknown).await);
        assert!(ask(how, 2, Lane::Unknown).await, "two of them say nothing yet");
        assert!(!ask(how, 1, Lane::Unknown).await, "three, and most of all");
        assert!(ask(WELL, 2, Lane::Unknown).await, "most are answered again");
        assert!(!ask(how, 3, Lane::Unknown).await);
        clock.advance(Duration::from_secs(5));
        assert!(!ask(WELL, 0, Lane::Unknown).await, "it counts for five seconds at least");
        clock.advance(Duration::from_secs(5));
        assert!(ask(WELL, 0, Lane::Unknown).await, "and for ten at most");
        // What may be made up says nothing.
        assert!(ask(how, 9, Lane::Aside(1)).await && ask(how, 9, Lane::Doubtful).await);
        clock.advance(Duration::from_secs(60));
    }
}
