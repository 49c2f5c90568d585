//! Tests of the cache's content and of the number of store reads.

use super::*;
use crate::domain::{
    Action, Ceiling, ContentAccess, OsEntropy, Owner, OwnerId, OwnerState, RoleId, SystemClock, Tag, Timestamp, Token,
    TokenAuthority, TokenId, TokenLimits,
};
use crate::store::{KeyCheck, RecentPosition, RecentTokens, Record, Snapshot, StoreError, Use};
use async_trait::async_trait;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};

/// A store in which every digest belongs to a token. It is at its first change, and counts reads and noted uses.
#[derive(Default)]
struct Tokens {
    reads: AtomicU64,
    noted: AtomicU64,
}

/// More reads than any test here expects: beyond, the store does not answer.
const MAX_READS: u64 = 5000;

#[async_trait]
impl Store for Tokens {
    async fn resolve(&self, digest: &Digest) -> Result<Snapshot, StoreError> {
        if self.reads.fetch_add(1, Ordering::SeqCst) > MAX_READS {
            std::future::pending::<()>().await;
        }
        Ok(Snapshot { seq: 1, op_id: None, record: Some(record(*digest)) })
    }

    async fn note_uses(&self, uses: &[Use]) -> Result<(), StoreError> {
        self.noted.fetch_add(uses.len() as u64, Ordering::SeqCst);
        Ok(())
    }

    /// Pages of a hundred tokens, without end.
    async fn recent_tokens(&self, _: u32, at: Option<RecentPosition>) -> Result<RecentTokens, StoreError> {
        let first = at.map_or(0, |at| at.after.0);
        let records = (first..first + 100).map(|n| {
            // Spread like real digests.
            let mut record = record(secret(n.cast_unsigned().wrapping_mul(0x9E37_79B9_7F4A_7C15), 0).digest);
            record.token.id = TokenId(n);
            record
        });
        let next = Some(RecentPosition { since: Timestamp(0), after: TokenId(first + 100) });
        Ok(RecentTokens { seq: 1, op_id: None, records: records.collect(), next })
    }

    fn following(&self) -> Following {
        Following::Blind
    }

    async fn key_checks(&self) -> Result<Option<Vec<KeyCheck>>, StoreError> {
        Ok(None)
    }

    async fn close(&self) {}
}

pub(super) fn record(digest: Digest) -> Record {
    let token = Token {
        id: TokenId(1),
        name: "one".into(),
        description: String::new(),
        metadata: None,
        digest,
        hint: String::new(),
        lifespan: None,
        expires_at: None,
        created_at: Timestamp(0),
        updated_at: Timestamp(0),
        last_used_at: None,
        last_used_tool: None,
        limits: TokenLimits::none(),
        secret_used: None,
        previous: None,
        ancestors: Vec::new(),
        parent_secret: None,
        authority: TokenAuthority::Content { access: ContentAccess::Custom(vec![Action::new("find"); 9].into()) },
    };
    Record { token, owner: None, now: Timestamp(0) }
}

fn start(limits: Limits) -> (Arc<Resolver>, Arc<Tokens>) {
    let store = Arc::new(Tokens::default());
    (
        Resolver::start(
            store.clone(),
            Arc::new(SystemClock),
            Conditions::default(),
            limits,
            cache_keys(),
            HostAccounts::none(),
            true,
        ),
        store,
    )
}

pub(super) fn cache_keys() -> CacheKeys {
    CacheKeys::draw(&OsEntropy).unwrap()
}

/// A secret that the cache finds by `n`.
pub(super) fn secret(n: u64, rest: u8) -> KnownSecret {
    let mut bytes = [rest; 27];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    KnownSecret { digest: Digest::Native(bytes), prefix: None, cache_key: CacheKey { bucket: n, rest: rest.into() } }
}

/// The same in Strapi's format.
pub(super) fn strapi_secret(n: u64, rest: u8) -> KnownSecret {
    let mut bytes = [rest; 64];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    KnownSecret { digest: Digest::Strapi(bytes), ..secret(n, rest) }
}

#[tokio::test]
async fn the_cache_stays_within_its_byte_limit() {
    let limits = Limits { cache_bytes: 100_000, ..Limits::default() };
    let (resolver, _) = start(limits);
    for n in 0..2000_u64 {
        // Spread like real keys.
        let secret = secret(n.wrapping_mul(0x9E37_79B9_7F4A_7C15), 0);
        assert!(matches!(resolver.clone().ask(secret, Lane::Unknown).await, Ok(Resolved::Found(_))));
    }
    let health = resolver.health();
    let most = limits.cache_bytes / size_of::<Entry>() as u64;
    assert!((most / 4..=most).contains(&health.cache_entries), "{} of {most} at most", health.cache_entries);
    assert!((limits.cache_bytes / 2..=limits.cache_bytes).contains(&health.cache_bytes), "{}", health.cache_bytes);
}

/// Waits until the warm-up has ended.
async fn warm(resolver: &Arc<Resolver>, tokens: u32) -> Health {
    resolver.warm_up(tokens);
    while resolver.warm_up.is_running() {
        tokio::task::yield_now().await;
    }
    resolver.health()
}

#[tokio::test]
async fn the_warm_up_leaves_a_quarter_of_the_cache_and_evicts_nothing() {
    let limits = Limits { cache_bytes: 1_000_000, ..Limits::default() };
    let (resolver, _) = start(limits);
    // Spread like real keys.
    // From 1: the token of 0 has the place of a warmed one.
    let cached: Vec<_> = (1..=100_u64).map(|n| secret(n.wrapping_mul(0xD1B5_4A32_D192_ED03), 1)).collect();
    for secret in &cached {
        assert!(matches!(resolver.clone().ask(*secret, Lane::Unknown).await, Ok(Resolved::Found(_))));
    }
    let health = warm(&resolver, u32::MAX).await;
    let page = 100 * (health.cache_bytes / health.cache_entries);
    assert!((700_000..=750_000 + page).contains(&health.cache_bytes), "{} bytes", health.cache_bytes);
    assert_eq!(health.warmed_tokens, health.cache_entries - 100);
    let now = resolver.clock.moment();
    assert!(cached.iter().all(|secret| matches!(resolver.known(secret, now), Some(Resolved::Found(_)))));
    assert_eq!(warm(&resolver, u32::MAX).await.warmed_tokens, health.warmed_tokens, "there is no room");
}

#[tokio::test]
async fn the_warm_up_ends_after_as_many_tokens_as_it_is_asked_for() {
    let (resolver, _) = start(Limits::default());
    assert_eq!(warm(&resolver, 0).await.warmed_tokens, 0);
    assert_eq!(warm(&resolver, 250).await.warmed_tokens, 300, "whole pages");
}

/// No secret can have the key of a warmed entry; if one had, it would open no group.
#[tokio::test]
async fn a_warmed_entry_is_found_by_a_verified_secret_only() {
    let (resolver, _) = start(Limits::default());
    warm(&resolver, 100).await;
    let (verified, now) = (secret(0x9E37_79B9_7F4A_7C15, 0), resolver.clock.moment());
    let kinds = TokenKinds::of(&crate::domain::TokenKind::ALL);
    for rest in [0, 1] {
        assert!(resolver.find_hit(CacheKey { bucket: verified.digest.prefix(), rest }, kinds, now).is_none());
    }
    assert!(!resolver.cache.peek(&verified.digest.prefix()).unwrap().is_admissible(kinds, now));
    let verified = KnownSecret { cache_key: CacheKey { bucket: 7, rest: 7 }, ..verified };
    assert!(resolver.find_hit(verified.cache_key, kinds, now).is_none());
    assert!(matches!(resolver.known(&verified, now), Some(Resolved::Found(_))));
    assert!(resolver.find_hit(verified.cache_key, kinds, now).is_some());
    assert!(resolver.cache.peek(&verified.digest.prefix()).is_none(), "it has moved");
}

#[tokio::test]
async fn an_entry_weighs_its_heap_bytes_and_its_slot() {
    let (resolver, _) = start(Limits::default());
    // Shared by all entries.
    let _context = resolver.entry_context();
    for secret in [secret(7, 1), strapi_secret(7, 1)] {
        let (mut made, record) = (None, record(secret.digest));
        let counted = allocation_counter::measure(|| {
            let stamp = Stamp { era: 0, seq: 1 };
            made = Entry::of(&record, secret, stamp, MonotonicTime(0), &resolver).map(Arc::new);
        });
        let (entry, bytes) = (made.unwrap(), u64::try_from(counted.bytes_current).unwrap());
        // The list of actions belongs to the record and is not copied here.
        let (weight, bytes) = (entry.weight(), bytes + entry.principal.weight() as u64);
        // The key, and the table's slot for it.
        assert!((bytes + 40..=bytes + 56).contains(&weight), "{weight} of {bytes}");
    }
}

/// A change of anything that a record depends on makes its entry stale.
#[test]
fn an_entry_has_the_tags_of_its_token_owner_and_roles() {
    let (resolver, _) = start(Limits::default());
    let secret = secret(7, 1);
    let roles = [RoleId(2), RoleId(5)];
    let owner = Owner {
        account: None,
        kind: crate::domain::AccountKind::Person,
        id: OwnerId(3),
        email: "ada@example.org".into(),
        firstname: String::new(),
        lastname: String::new(),
        username: None,
        state: OwnerState::Active,
        roles: roles.into(),
        created_at: Timestamp(0),
        updated_at: Timestamp(0),
    };
    let token = |authority| Token { authority, ..record(secret.digest).token };
    let [admin, session] = [
        TokenAuthority::Admin { owner: owner.id, grants: Vec::new() },
        TokenAuthority::Session { owner: owner.id, idle: Duration::from_secs(9) },
    ]
    .map(token);
    let of_owner =
        [Tag::ALL, Tag::token(&secret.digest), Tag::owner(owner.id), Tag::role(roles[0]), Tag::role(roles[1])];
    for (token, tags) in [(admin, &of_owner[..]), (session, &of_owner), (record(secret.digest).token, &of_owner[..2])] {
        let owner = token.owner().map(|_| (owner.clone(), Ceiling::Unlimited));
        let record = Record { token, owner, now: Timestamp(0) };
        let entry = Entry::of(&record, secret, Stamp { era: 0, seq: 1 }, MonotonicTime(0), &resolver).unwrap();
        assert_eq!(entry.tags().collect::<Vec<_>>(), tags);
    }
}

/// Two look-ups of one token may finish in either order.
#[tokio::test]
async fn an_older_snapshot_does_not_replace_a_newer_one() {
    for (one, another) in [(secret(7, 1), secret(7, 2)), (strapi_secret(7, 1), strapi_secret(7, 2))] {
        let (resolver, _) = start(Limits::default());
        let of = |secret: KnownSecret, era, seq| {
            let record = record(secret.digest);
            let stamp = Stamp { era, seq };
            Arc::new(Entry::of(&record, secret, stamp, MonotonicTime(0), &resolver).unwrap())
        };
        let stays = |later: &Arc<Entry>| {
            resolver.insert(&one, later);
            let kept = resolver.cache.peek(&one.cache_key.bucket).unwrap();
            Arc::ptr_eq(&kept, later)
        };
        assert!(stays(&of(one, 1, 5)));
        assert!(!stays(&of(one, 1, 4)), "an older snapshot");
        // A later read at the same sequence has a later deadline.
        assert!(stays(&of(one, 1, 5)) && stays(&of(one, 1, 6)));
        assert!(stays(&of(one, 2, 3)), "sequences of another era do not compare");
        resolver.insert(&another, &of(another, 2, 9));
        assert!(stays(&of(one, 2, 4)), "sequences of another token do not compare");
    }
}

#[tokio::test]
async fn a_cached_entry_is_found_by_its_whole_key() {
    for (one, another) in [(secret(7, 1), secret(7, 2)), (strapi_secret(7, 1), strapi_secret(7, 2))] {
        let (resolver, store) = start(Limits::default());
        assert!(matches!(resolver.clone().ask(one, Lane::Unknown).await, Ok(Resolved::Found(_))));
        let now = resolver.clock.moment();
        assert!(
            matches!(resolver.known(&one, now), Some(Resolved::Found(entry)) if entry.digest() == Some(one.digest))
        );
        // The other key has the same first half.
        assert!(resolver.known(&another, now).is_none());
        assert_eq!(store.reads.load(Ordering::SeqCst), 1);
    }
}

/// The store's answer is older than a change that it does not have yet.
#[tokio::test(start_paused = true)]
async fn a_lagging_store_is_asked_with_growing_pauses() {
    let (resolver, store) = start(Limits::default());
    let secret = secret(7, 1);
    resolver.freshness.invalidate(2, &[Tag::token(&secret.digest)]);
    let answer = resolver.clone().ask(secret, Lane::Unknown).await;
    assert!(matches!(answer, Err(Unavailable::Deadline)));
    let reads = store.reads.load(Ordering::SeqCst);
    // Ten a second in the end, and some more at first.
    assert!((20..=30).contains(&reads), "{reads} reads in two seconds");
}

#[tokio::test(start_paused = true)]
async fn uses_are_written_in_the_background() {
    let (resolver, store) = start(Limits::default());
    resolver.write_uses_behind();
    let Ok(Resolved::Found(entry)) = resolver.clone().ask(secret(7, 1), Lane::Unknown).await else { panic!() };
    // Nothing is pending at the first tick.
    tokio::time::sleep(Duration::from_millis(1)).await;
    resolver.note_use(&entry, resolver.clock.moment(), || None);
    assert_eq!(store.noted.load(Ordering::SeqCst), 0);
    tokio::time::sleep(usage::WRITE_EVERY).await;
    assert_eq!(store.noted.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn running_lookups_are_not_counted_as_waiting() {
    let (resolver, store) = start(Limits { lookups: 8, ..Limits::default() });
    store.reads.store(MAX_READS + 1, Ordering::SeqCst);
    for n in 0..8 {
        tokio::spawn(resolver.clone().ask(secret(n, 1), Lane::Known));
    }
    for (network, flights, waiting) in [(1, 9, 1), (2, 10, 2)] {
        tokio::spawn(resolver.clone().ask(secret(100 + network, 1), Lane::OverBudget(network)));
        tokio::time::sleep(Duration::from_millis(1)).await;
        let health = resolver.health();
        assert_eq!((health.lookups_in_flight, health.lookups_waiting), (flights, waiting));
    }
}

#[test]
fn strict_limits_are_a_quarter_of_the_default_and_leave_time_for_a_retry() {
    let (strict, usual) = (Limits::strict(), Limits::default());
    assert_eq!(strict.max_staleness * 4, usual.max_staleness);
    assert!(strict.leave_time() && usual.leave_time());
    // All other limits are the default ones.
    let Limits { max_staleness, poll_every, poll_deadline, .. } = usual;
    assert_eq!(Limits { max_staleness, poll_every, poll_deadline, ..strict }, usual);
}

/// A store that can be switched to fail or to hang.
#[derive(Default)]
struct SwitchableStore(AtomicU64);

const HEALTHY: u64 = 0;
const FAILING: u64 = 1;
const SILENT: u64 = 2;

#[async_trait]
impl Store for SwitchableStore {
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

/// A clock that a test advances.
#[derive(Default)]
pub(super) struct TestClock(AtomicU64);

impl TestClock {
    pub(super) fn advance(&self, by: Duration) {
        self.0.fetch_add(u64::try_from(by.as_nanos()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(0)
    }

    fn moment(&self) -> MonotonicTime {
        MonotonicTime(self.0.load(Ordering::SeqCst))
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_lookups_fail_is_not_ready() {
    let (store, clock) = (Arc::new(SwitchableStore::default()), Arc::new(TestClock::default()));
    let resolver = Resolver::start(
        store.clone(),
        clock.clone(),
        Conditions::default(),
        Limits::default(),
        cache_keys(),
        HostAccounts::none(),
        true,
    );
    let mut next = 0;
    let mut ask = async |how, times, lane| {
        store.0.store(how, Ordering::SeqCst);
        for _ in 0..times {
            next += 1;
            let secret = if lane == Lane::Doubtful { strapi_secret(next, 0) } else { secret(next, 0) };
            _ = resolver.clone().ask(secret, if lane == Lane::Doubtful { Lane::Unknown } else { lane }).await;
        }
        resolver.health().ready
    };
    for how in [FAILING, SILENT] {
        assert!(ask(HEALTHY, 2, Lane::Unknown).await);
        assert!(ask(how, 2, Lane::Unknown).await, "two failures are too few");
        assert!(!ask(how, 1, Lane::Unknown).await, "three failures, and most of all look-ups");
        assert!(ask(HEALTHY, 2, Lane::Unknown).await, "most succeed again");
        assert!(!ask(how, 3, Lane::Unknown).await);
        clock.advance(Duration::from_secs(5));
        assert!(!ask(HEALTHY, 0, Lane::Unknown).await, "an outcome counts for five seconds at least");
        clock.advance(Duration::from_secs(5));
        assert!(ask(HEALTHY, 0, Lane::Unknown).await, "and for ten at most");
        // Look-ups that may be made up do not count.
        assert!(ask(how, 9, Lane::OverBudget(1)).await && ask(how, 9, Lane::Doubtful).await);
        clock.advance(Duration::from_secs(60));
    }
}

/// bounded-by-strangers (`docs/invariants.md`): a client that makes up keys of a format without a key fills no bucket of its choice.
#[test]
fn tables_of_unknown_digests_hash_with_a_key() {
    let digest = Digest::Legacy([7; 32]);
    assert_ne!(HashUnknown::default().hash_one(digest), HashUnknown::default().hash_one(digest));
}
