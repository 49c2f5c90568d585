//! A cached token with its principal.

use super::Resolver;
use super::cache_key::{CacheKey, KnownSecret};
use super::freshness::{Freshness, LastChecked, Stamp};
use super::token_limits::EntryLimits;
use super::usage::{NOTE_EVERY, WRITE_EVERY};
use crate::domain::{
    Conditions, Digest, MonotonicTime, Principal, Reason, Requirement, StepName, Tag, Timestamp, Token, TokenAuthority,
    TokenKind, TokenKinds, Verdict,
};
use crate::store::Record;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Arc, OnceLock, Weak};
use std::net::IpAddr;
use std::time::Duration;

/// A cached token with its principal.
///
/// Fields are in the order in which a request reads them, so that a request touches few cache lines.
#[repr(C)]
pub(crate) struct Entry {
    /// The part of its cache key that the cache does not compare.
    cache_key_rest: u64,
    /// Until then requests are admitted without another judgement, as far as time decides. At the start of time if the
    /// owner is deactivated, or the token is disabled or has limits.
    admissible_until: MonotonicTime,
    last_checked: LastChecked,
    last_noted: AtomicU64,
    verdicts: Verdicts,
    /// The kinds of group that the secret opens: that of the record if the prefix names it, else none.
    opens: TokenKinds,
    owner_active: bool,
    enabled: bool,
    /// Whether it is the entry of requests without a credential.
    pub(crate) is_public: bool,
    prefix: Option<TokenKind>,
    // A request that meets a numbered requirement reads nothing from here on.
    pub(crate) principal: Principal,
    /// From then on the token is expired.
    pub(super) ends: MonotonicTime,
    /// From then on the entry must be reloaded before use: another node may have recorded a use of the session.
    pub(super) reload: MonotonicTime,
    cache_key_bucket: u64,
    digest: EntryDigest,
    pub(super) stamp: Stamp,
    context: Arc<EntryContext>,
}

/// All that the entries of a resolver have in common. One pointer in each entry is shorter than two.
pub(crate) struct EntryContext {
    conditions: Arc<Conditions>,
    resolver: Weak<Resolver>,
    /// Limits that each request has to meet. An entry with limits has a context of its own.
    limits: Option<EntryLimits>,
    /// The end of the grace period of a previous secret. Its entry has a context of its own, too.
    grace_end: Option<MonotonicTime>,
}

impl EntryContext {
    pub(super) fn new(conditions: Arc<Conditions>, resolver: Weak<Resolver>) -> Arc<Self> {
        Arc::new(Self { conditions, resolver, limits: None, grace_end: None })
    }

    /// Returns this context, or one with these limits and this end.
    fn with(self: Arc<Self>, limits: Option<EntryLimits>, grace_end: Option<MonotonicTime>) -> Arc<Self> {
        if limits.is_none() && grace_end.is_none() {
            return self;
        }
        Arc::new(Self { conditions: self.conditions.clone(), resolver: self.resolver.clone(), limits, grace_end })
    }

    fn is_shared(&self) -> bool {
        self.limits.is_none() && self.grace_end.is_none()
    }
}

/// The digest of an entry's token. Those of other formats are boxed, or all entries would be larger.
enum EntryDigest {
    Public,
    Native([u8; 27]),
    Foreign(Box<Digest>),
}

/// The verdicts of a principal on the requirements below 32, two bits each. A principal never changes, so a verdict
/// holds as long as the entry exists. Two different verdicts for one number, if there were any, would add up to a denial.
#[derive(Default)]
struct Verdicts(AtomicU64);

impl Verdicts {
    fn get_or_insert_with(&self, number: usize, judge: impl FnOnce() -> Verdict) -> Verdict {
        let shift = 2 * number as u32;
        match self.0.load(Ordering::Relaxed).checked_shr(shift).map(|bits| bits & 3) {
            Some(0b01) => Verdict::Allowed,
            Some(0b10) => Verdict::Partial,
            Some(0b11) => Verdict::Denied,
            place => {
                let verdict = judge();
                if place.is_some() {
                    self.insert(shift, verdict);
                }
                verdict
            }
        }
    }

    #[cold]
    fn insert(&self, shift: u32, verdict: Verdict) {
        let bits = match verdict {
            Verdict::Allowed => 0b01,
            Verdict::Partial => 0b10,
            Verdict::Denied => 0b11,
        };
        self.0.fetch_or(bits << shift, Ordering::Relaxed);
    }
}

impl Entry {
    /// Builds the entry of a record; `None` if the owner of the token is gone, or the secret has ended. `asked` is a moment before the store was
    /// asked.
    pub(super) fn of(
        record: &Record,
        secret: KnownSecret,
        stamp: Stamp,
        asked: MonotonicTime,
        resolver: &Arc<Resolver>,
    ) -> Option<Self> {
        let owner = record.owner.as_ref().map(|(owner, ceiling)| (owner, ceiling));
        let token = &record.token;
        let left = |at: Timestamp| asked.plus(at.since(record.now));
        let used = [token.last_used_at, resolver.usage.pending(token.id)].into_iter().flatten().max();
        let mut ends = token.expires_at.map_or(MonotonicTime::NEVER, left);
        let mut reload = asked.plus(resolver.reload_after);
        if owner.is_some_and(|(owner, _)| owner.account.is_some()) {
            reload = reload.min(asked.plus(resolver.accounts.max_age));
        }
        let grace_end = match token.digest == secret.digest {
            true => None,
            false => Some(left(grace_end(token, &secret.digest, record.now)?)),
        };
        // When its grace period ends, the store says what the secret is then.
        reload = reload.min(grace_end.unwrap_or(MonotonicTime::NEVER));
        let mut end_idle = |idle: Duration, used: Option<Timestamp>, created: Timestamp| {
            let idle_until = left(used.unwrap_or(created).max(created).plus(idle).plus(NOTE_EVERY));
            if idle_until <= asked {
                // Idle as far as the store knows; another node may not have written a later use yet.
                ends = ends.min(idle_until);
                reload = reload.min(asked.plus(WRITE_EVERY));
            } else {
                reload = reload.min(idle_until);
            }
        };
        if let TokenAuthority::Session { idle, .. } = token.authority {
            end_idle(idle, used, token.created_at);
        }
        if let Some(idle) = token.limits.idle_expiry {
            end_idle(idle, used, token.created_at);
        }
        for ancestor in &token.ancestors {
            if let Some(idle) = ancestor.limits.idle_expiry {
                let used = [ancestor.last_used_at, resolver.usage.pending(ancestor.id)].into_iter().flatten().max();
                end_idle(idle, used, ancestor.created_at);
            }
        }
        for expires_at in token.ancestors.iter().filter_map(|ancestor| ancestor.expires_at) {
            ends = ends.min(left(expires_at));
        }
        let mut principal = Principal::of(token, owner)?;
        if resolver.keeps_names() {
            principal = principal.with_names(&token.name, owner.map(|(owner, _)| owner.display_name()));
        }
        let owner_active = owner.is_none_or(|(owner, _)| owner.state.is_active());
        let enabled = token.all_limits().all(|limits| limits.enabled);
        let limits = EntryLimits::of(token, resolver);
        let at_once = owner_active && enabled && limits.is_none();
        // Of this secret: a use of the other one is no use of it.
        let noted = if token.digest == secret.digest {
            token.secret_used
        } else {
            token.previous.as_ref().and_then(|previous| previous.used)
        };
        let pending = resolver.usage.pending_of(token.id, &secret.digest);
        let noted = [noted.map(|used| used.at), pending].into_iter().flatten().max();
        Some(Self {
            cache_key_rest: secret.cache_key.rest,
            cache_key_bucket: secret.cache_key.bucket,
            admissible_until: if at_once { ends.min(reload) } else { MonotonicTime(0) },
            opens: opened_by(secret.prefix, token.kind()),
            is_public: false,
            prefix: secret.prefix,
            principal: resolver.names.share(principal, &resolver.conditions),
            digest: match secret.digest {
                Digest::Native(digest) => EntryDigest::Native(digest),
                digest => EntryDigest::Foreign(Box::new(digest)),
            },
            context: resolver.entry_context().with(limits, grace_end),
            stamp,
            last_checked: LastChecked::default(),
            ends,
            reload,
            owner_active,
            enabled,
            verdicts: Verdicts::default(),
            last_noted: AtomicU64::new(
                noted.map_or(0, |at| asked.0.saturating_sub(nanos(record.now.since(at))).max(1)),
            ),
        })
    }

    /// Builds the entry of a record for which no secret was verified. It has no cache key, and opens no group.
    pub(super) fn warmed(
        record: &Record,
        stamp: Stamp,
        asked: MonotonicTime,
        resolver: &Arc<Resolver>,
    ) -> Option<Self> {
        let entry = Self::of(record, KnownSecret::uncached(record.token.digest), stamp, asked, resolver)?;
        Some(Self { opens: TokenKinds::default(), ..entry })
    }

    /// Makes a warmed entry that of this verified secret.
    pub(super) fn known_by(self, secret: &KnownSecret) -> Self {
        let opens = self.principal.kind().map_or_else(TokenKinds::default, |kind| opened_by(secret.prefix, kind));
        let CacheKey { bucket, rest } = secret.cache_key;
        Self { cache_key_bucket: bucket, cache_key_rest: rest, prefix: secret.prefix, opens, ..self }
    }

    /// Builds the entry of requests without a credential in a content group.
    pub(crate) fn public(principal: Principal, conditions: Arc<Conditions>) -> Self {
        Self {
            principal,
            cache_key_rest: 0,
            cache_key_bucket: 0,
            is_public: true,
            admissible_until: MonotonicTime::NEVER,
            opens: TokenKinds::default(),
            prefix: None,
            digest: EntryDigest::Public,
            context: EntryContext::new(conditions, Weak::new()),
            stamp: Stamp { era: 0, seq: 0 },
            last_checked: LastChecked::default(),
            ends: MonotonicTime::NEVER,
            reload: MonotonicTime::NEVER,
            owner_active: true,
            enabled: true,
            verdicts: Verdicts::default(),
            last_noted: AtomicU64::new(0),
        }
    }

    /// Returns the entry of a caller that meets no requirement. It has no secret, so that it is not valid when it is judged again.
    #[cold]
    pub(crate) fn without_rights() -> &'static Arc<Self> {
        static ENTRY: OnceLock<Arc<Entry>> = OnceLock::new();
        let public = || Self::public(Principal::public([].into()), Arc::default());
        ENTRY.get_or_init(|| Arc::new(Self { is_public: false, ..public() }))
    }

    /// Judges the token itself: the first check that fails decides.
    pub(crate) fn judge(&self, now: MonotonicTime) -> Result<(), Reason> {
        self.checks(now).into_iter().try_for_each(|(_, outcome)| outcome)
    }

    /// Returns the checks of the token itself, in order, each with the step that an explanation shows. A check of another
    /// limit belongs into this list.
    pub(crate) fn checks(&self, now: MonotonicTime) -> [(StepName, Result<(), Reason>); 3] {
        let expiry = if now >= self.ends { Err(Reason::Expired) } else { Ok(()) };
        let owner = if self.owner_active { Ok(()) } else { Err(Reason::OwnerInactive) };
        let enabled = if self.enabled { Ok(()) } else { Err(Reason::Disabled) };
        [(StepName::Expiry, expiry), (StepName::Owner, owner), (StepName::Enabled, enabled)]
    }

    /// Checks the networks and rates of the token, and counts the request.
    pub(crate) fn admit(&self, address: impl FnOnce() -> Option<IpAddr>) -> Result<(), Reason> {
        match &self.context.limits {
            None => Ok(()),
            Some(limits) => {
                limits.admit_address(address())?;
                limits.count()
            }
        }
    }

    /// Checks the networks of the token alone, for a request that is not sent.
    pub(crate) fn admit_address(&self, address: Option<IpAddr>) -> Result<(), Reason> {
        self.context.limits.as_ref().map_or(Ok(()), |limits| limits.admit_address(address))
    }

    /// Returns whether the token may have limits, by the part of the entry that every request reads.
    #[inline]
    pub(crate) fn may_have_limits(&self) -> bool {
        self.admissible_until == MonotonicTime(0)
    }

    /// Returns true if this is the entry of the secret with this key, which was verified when the entry was made. The
    /// entry was found by the other part of the key.
    pub(super) fn is_known_by(&self, key: CacheKey) -> bool {
        self.cache_key_rest == key.rest
    }

    /// Returns true if the token opens a group of these kinds, is not expired and need not be reloaded, and its owner
    /// is active.
    pub(super) fn is_admissible(&self, kinds: TokenKinds, now: MonotonicTime) -> bool {
        self.opens(kinds) && now < self.admissible_until
    }

    /// Returns true if nothing but the limits of the token can reject a request to a group of these kinds.
    #[inline(never)]
    pub(super) fn needs_only_limits(&self, kinds: TokenKinds, now: MonotonicTime) -> bool {
        let has_limits = self.context.limits.is_some();
        has_limits && self.opens(kinds) && now < self.next_deadline() && self.judge(now).is_ok()
    }

    /// Returns true if the token opens a group of these kinds.
    pub(super) fn opens(&self, kinds: TokenKinds) -> bool {
        kinds.intersects(self.opens)
    }

    /// Returns true if this is the entry of this verified secret.
    pub(super) fn is_of(&self, secret: &KnownSecret) -> bool {
        self.has_digest(&secret.digest) && self.cache_key() == secret.cache_key
    }

    /// Returns true if this is a warmed entry of the token of this verified secret.
    pub(super) fn is_warmed_for(&self, secret: &KnownSecret) -> bool {
        self.has_digest(&secret.digest) && self.cache_key() == CacheKey::NONE
    }

    fn has_digest(&self, digest: &Digest) -> bool {
        match (&self.digest, digest) {
            (EntryDigest::Native(kept), Digest::Native(digest)) => kept == digest,
            (EntryDigest::Foreign(kept), digest) => **kept == *digest,
            _ => false,
        }
    }

    fn cache_key(&self) -> CacheKey {
        CacheKey { bucket: self.cache_key_bucket, rest: self.cache_key_rest }
    }

    /// Returns the meanings of conditions.
    pub(crate) fn conditions(&self) -> &Conditions {
        &self.context.conditions
    }

    /// Returns the resolver that made the entry; `None` if it is gone, and for the public principal.
    pub(crate) fn resolver(&self) -> Option<Arc<Resolver>> {
        self.context.resolver.upgrade()
    }

    /// Returns the digest of the token; `None` for the public principal.
    pub(crate) fn digest(&self) -> Option<Digest> {
        match &self.digest {
            EntryDigest::Public => None,
            EntryDigest::Native(digest) => Some(Digest::Native(*digest)),
            EntryDigest::Foreign(digest) => Some(**digest),
        }
    }

    /// Returns the secret that admitted requests; `None` for the public principal.
    pub(crate) fn secret(&self) -> Option<KnownSecret> {
        let digest = self.digest()?;
        Some(KnownSecret { digest, prefix: self.prefix, cache_key: self.cache_key() })
    }

    /// Returns the principal's verdict on the requirement with this number, and remembers it.
    pub(crate) fn verdict(&self, number: usize, requirement: &Requirement) -> Verdict {
        self.verdicts.get_or_insert_with(number, || self.principal.verdict(requirement))
    }

    /// Returns true if no change since the entry was read touched one of its tags.
    #[inline]
    pub(super) fn is_current(&self, freshness: &Freshness) -> bool {
        freshness.is_still_current(self.stamp, || self.tags(), &self.last_checked)
    }

    /// Returns the tags of everything that the entry depends on.
    pub(super) fn tags(&self) -> impl Iterator<Item = Tag> {
        let token = self.digest().map(|digest| Tag::token(&digest));
        let owner = self.principal.owner().map(Tag::owner);
        let roles = self.principal.roles().iter().map(|role| Tag::role(*role));
        [Some(Tag::ALL), token, owner].into_iter().flatten().chain(roles)
    }

    /// Returns the moment at which the entry expires or has to be reloaded.
    pub(crate) fn next_deadline(&self) -> MonotonicTime {
        self.ends.min(self.reload)
    }

    /// Returns the time until the token expires, or until the grace period of its secret ends; `None` if neither does.
    #[cfg(feature = "mcp")]
    pub(crate) fn expires_in(&self, now: MonotonicTime) -> Option<Duration> {
        let end = self.ends.min(self.context.grace_end.unwrap_or(MonotonicTime::NEVER));
        (end < MonotonicTime::NEVER).then(|| end.since(now))
    }

    /// Returns whether no use was noted within the last interval of `every`.
    #[inline]
    pub(super) fn is_note_due(&self, now: MonotonicTime, every: Duration) -> bool {
        is_due(self.last_noted.load(Ordering::Relaxed), now, every)
    }

    /// Returns true for the first use in each interval of `every`, and for one thread only.
    pub(super) fn claim_note(&self, now: MonotonicTime, every: Duration) -> bool {
        let last = self.last_noted.load(Ordering::Relaxed);
        is_due(last, now, every)
            && self.last_noted.compare_exchange(last, now.0.max(1), Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Returns the approximate size in bytes.
    pub(super) fn weight(&self) -> u64 {
        // The two counters of its Arc, and its place in the cache's tables.
        const OVERHEAD: usize = 16 + size_of::<u64>() + 40;
        let digest = if let EntryDigest::Foreign(boxed) = &self.digest { size_of_val(&**boxed) } else { 0 };
        let context = if self.context.is_shared() { 0 } else { size_of::<EntryContext>() };
        let limits = self.context.limits.as_ref().map_or(0, EntryLimits::weight);
        (size_of::<Self>() + OVERHEAD + digest + context + limits + self.principal.weight()) as u64
    }
}

/// Returns whether this secret of a token was replaced, and its grace period is over.
pub(super) fn has_ended(record: &Record, digest: &Digest) -> bool {
    record.token.digest != *digest && grace_end(&record.token, digest, record.now).is_none()
}

/// Returns the end of the grace period of this secret of a token; `None` if it is over.
fn grace_end(token: &Token, digest: &Digest, now: Timestamp) -> Option<Timestamp> {
    let previous = token.previous.as_ref().filter(|previous| previous.digest == *digest)?;
    Some(previous.ends_at).filter(|ends| now < *ends)
}

/// Returns the kinds of group that a secret opens: that of its token if the prefix names it or there is none.
fn opened_by(prefix: Option<TokenKind>, kind: TokenKind) -> TokenKinds {
    if prefix.is_none_or(|prefix| prefix == kind) { TokenKinds::of(&[kind]) } else { TokenKinds::default() }
}

fn is_due(last_noted: u64, now: MonotonicTime, every: Duration) -> bool {
    last_noted == 0 || now.0.saturating_sub(last_noted) >= nanos(every)
}

fn nanos(d: Duration) -> u64 {
    u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With the two counters of its `Arc`.
    #[test]
    fn what_a_hit_reads_is_as_long_as_a_cache_line() {
        assert!(std::mem::offset_of!(Entry, principal) + 2 * size_of::<usize>() <= 64);
    }

    #[test]
    fn a_verdict_is_remembered_for_its_number_alone() {
        let verdicts = Verdicts::default();
        let of = |number: usize| [Verdict::Denied, Verdict::Partial, Verdict::Allowed][number % 3];
        for number in 0..32 {
            assert_eq!(verdicts.get_or_insert_with(number, || of(number)), of(number));
        }
        for number in 0..32 {
            assert_eq!(verdicts.get_or_insert_with(number, || panic!("judged again")), of(number), "{number}");
        }
        // Later numbers are judged each time.
        for verdict in [Verdict::Allowed, Verdict::Denied] {
            assert_eq!(verdicts.get_or_insert_with(32, || verdict), verdict);
        }
    }
}
