//! A resolved token, as cached.

use super::Resolver;
use super::freshness::{Freshness, Stamp, Standing};
use super::usage::{NOTE_EVERY, WRITE_EVERY};
use crate::domain::{Conditions, Digest, MonotonicTime, Principal, Reason, Timestamp, TokenAuthority};
use crate::store::Record;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// In the order in which a request reads it, so that with many tokens it waits for few lines of memory.
#[repr(C)]
pub(crate) struct Entry {
    digest: Kept,
    /// From then on it must be read again before it is judged: a session may have been used elsewhere.
    pub(super) reload: MonotonicTime,
    standing: Standing,
    /// From then on it is expired.
    pub(super) ends: MonotonicTime,
    noted: AtomicU64,
    owner_active: bool,
    pub(crate) principal: Principal,
    pub(super) stamp: Stamp,
    pub(crate) conditions: Arc<Conditions>,
    pub(crate) resolver: Weak<Resolver>,
}

/// The digest of an entry's token. The long ones of the reference would make all entries long.
enum Kept {
    Nobodys,
    Native([u8; 27]),
    Strapi(Box<[u8; 64]>),
}

impl Entry {
    /// `None` if the token is owned and its owner is gone. `asked`: read before the store was asked.
    pub(super) fn of(record: &Record, stamp: Stamp, asked: MonotonicTime, home: &Arc<Resolver>) -> Option<Self> {
        let owner = record.owner.as_ref().map(|(owner, ceiling)| (owner, ceiling));
        let token = &record.token;
        let left = |at: Timestamp| asked.plus(at.since(record.now));
        let used = [token.last_used_at, home.usage.pending(token.id)].into_iter().flatten().max();
        let mut ends = token.expires_at.map_or(MonotonicTime::NEVER, left);
        let mut reload = asked.plus(home.reload_after);
        if let TokenAuthority::Session { idle, .. } = token.authority {
            let idle_until = left(used.unwrap_or(token.created_at).max(token.created_at).plus(idle).plus(NOTE_EVERY));
            if idle_until <= asked {
                // Over, as far as the store knows; another node may have a use yet to write.
                ends = idle_until;
                reload = reload.min(asked.plus(WRITE_EVERY));
            } else {
                reload = reload.min(idle_until);
            }
        }
        Some(Self {
            principal: home.names.share(Principal::of(token, owner)?, &home.conditions),
            digest: match token.digest {
                Digest::Native(digest) => Kept::Native(digest),
                Digest::Strapi(digest) => Kept::Strapi(Box::new(digest)),
            },
            conditions: home.conditions.clone(),
            resolver: Arc::downgrade(home),
            stamp,
            standing: Standing::default(),
            ends,
            reload,
            owner_active: owner.is_none_or(|(owner, _)| owner.state.is_active()),
            noted: AtomicU64::new(used.map_or(0, |at| asked.0.saturating_sub(nanos(record.now.since(at))).max(1))),
        })
    }

    /// Nobody, in a content group.
    pub(crate) fn public(principal: Principal, conditions: Arc<Conditions>) -> Self {
        Self {
            principal,
            digest: Kept::Nobodys,
            conditions,
            resolver: Weak::new(),
            stamp: Stamp { era: 0, seq: 0, tags: Box::default() },
            standing: Standing::default(),
            ends: MonotonicTime::NEVER,
            reload: MonotonicTime::NEVER,
            owner_active: true,
            noted: AtomicU64::new(0),
        }
    }

    /// Expiry, then owner.
    pub(crate) fn judge(&self, now: MonotonicTime) -> Result<(), Reason> {
        if now >= self.ends {
            return Err(Reason::Expired);
        }
        if self.owner_active { Ok(()) } else { Err(Reason::OwnerInactive) }
    }

    /// Whether it is the entry of the token with this digest.
    pub(super) fn is_of(&self, digest: &Digest) -> bool {
        match (&self.digest, digest) {
            (Kept::Native(kept), Digest::Native(digest)) => kept == digest,
            (Kept::Strapi(kept), Digest::Strapi(digest)) => **kept == *digest,
            _ => false,
        }
    }

    /// The digest of its token; `None` for nobody.
    pub(crate) fn digest(&self) -> Option<Digest> {
        match &self.digest {
            Kept::Nobodys => None,
            Kept::Native(digest) => Some(Digest::Native(*digest)),
            Kept::Strapi(digest) => Some(Digest::Strapi(**digest)),
        }
    }

    /// Whether nothing that it rests on has changed since it was read.
    pub(super) fn stands(&self, freshness: &Freshness) -> bool {
        freshness.still_stands(&self.stamp, &self.standing)
    }

    /// When it ends by itself, or has to be looked at again.
    pub(crate) fn next_deadline(&self) -> MonotonicTime {
        self.ends.min(self.reload)
    }

    /// Whether a use now is worth noting: the first in `every`. Of many threads one is told yes.
    pub(super) fn claim_note(&self, now: MonotonicTime, every: Duration) -> bool {
        let last = self.noted.load(Ordering::Relaxed);
        (last == 0 || now.0.saturating_sub(last) >= nanos(every))
            && self.noted.compare_exchange(last, now.0.max(1), Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Bytes, roughly.
    pub(super) fn weight(&self) -> u64 {
        // Besides itself: the two counters of its Arc, and its place in the cache's tables.
        const AROUND: usize = 16 + size_of::<u64>() + 40;
        let digest = if let Kept::Strapi(long) = &self.digest { size_of_val(&**long) } else { 0 };
        (size_of::<Self>() + AROUND + digest + size_of_val(&*self.stamp.tags) + self.principal.weight()) as u64
    }
}

fn nanos(d: Duration) -> u64 {
    u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)
}
