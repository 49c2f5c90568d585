//! A store in memory, for tests, demonstrations and tools. Its content ends with the process.

mod clamp;
mod notices;
mod selection;
mod transaction;
mod view;

use super::{
    Following, Imported, Lease, NameScope, NoticeKey, RecentPosition, RecentTokens, Record, Snapshot, Store,
    StoreError, Transaction, Use, View, WriteStore, sign_in_candidate_in,
};
use crate::domain::{
    Ancestor, AuditEvent, Ceiling, Clock, Digest, HashKeyId, KeyCheck, KeyKind, LastUse, Owner, OwnerId, PasswordHash,
    Role, RoleId, SealedSecret, SystemClock, Timestamp, Token, TokenId, TokenKind,
};
use crate::sync::{Arc, ArcSwap};
use async_trait::async_trait;
use rpds::{HashTrieMapSync, RedBlackTreeMapSync};
use std::fmt;
#[cfg(any(test, feature = "testing"))]
use std::net::IpAddr;
use std::time::Duration;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// A store in memory. Clones share their content.
///
/// The content is a persistent value: a transaction works on a copy, which shares all that it does not change, and a commit replaces the
/// content by that copy. Readers never wait.
#[derive(Clone)]
pub struct MemoryStore {
    inner: Arc<Inner>,
}

struct Inner {
    clock: Arc<dyn Clock>,
    content: ArcSwap<Content>,
    writer: Arc<Mutex<()>>,
    /// Separate from the content, so that uses are stored during a transaction.
    uses: ArcSwap<Uses>,
}

/// The last uses of tokens and of their secrets.
#[derive(Clone)]
struct Uses {
    of_tokens: HashTrieMapSync<TokenId, Use>,
    of_secrets: HashTrieMapSync<Digest, LastUse>,
}

impl Uses {
    fn new() -> Self {
        Self { of_tokens: HashTrieMapSync::new_sync(), of_secrets: HashTrieMapSync::new_sync() }
    }

    /// Notes a use, unless a later one is noted.
    fn note(&mut self, noted: &Use) {
        let is_later = |earlier: Timestamp| earlier <= noted.at;
        if self.of_tokens.get(&noted.token).is_none_or(|earlier| is_later(earlier.at)) {
            self.of_tokens.insert_mut(noted.token, noted.clone());
        }
        if self.of_secrets.get(&noted.digest).is_none_or(|earlier| is_later(earlier.at)) {
            self.of_secrets.insert_mut(noted.digest, LastUse { at: noted.at, address: noted.address });
        }
    }
}

#[derive(Clone)]
struct Content {
    seq: u64,
    next_id: i64,
    next_event: i64,
    roles: RedBlackTreeMapSync<RoleId, Arc<Role>>,
    owners: RedBlackTreeMapSync<OwnerId, Arc<Owner>>,
    /// By the comparable form of the e-mail address.
    by_email: HashTrieMapSync<String, OwnerId>,
    passwords: HashTrieMapSync<OwnerId, PasswordHash>,
    invitations: HashTrieMapSync<Digest, (OwnerId, Timestamp)>,
    tokens: RedBlackTreeMapSync<TokenId, Arc<Token>>,
    /// The number of tokens, by kind and owner.
    token_counts: HashTrieMapSync<(TokenKind, Option<OwnerId>), u64>,
    by_digest: HashTrieMapSync<Digest, TokenId>,
    /// Those of one comparable form of the name, each with the scope in which it is unique.
    token_names: HashTrieMapSync<String, Vec<(NameScope, TokenId)>>,
    sealed: HashTrieMapSync<TokenId, SealedSecret>,
    /// By source, key there, and the word for its kind.
    imported: HashTrieMapSync<(String, String, &'static str), Imported>,
    /// By kind and id of the key.
    key_checks: RedBlackTreeMapSync<(KeyKind, String), String>,
    /// The tokens of replaced secrets.
    by_previous: HashTrieMapSync<Digest, TokenId>,
    /// The digests of the replaced secrets of a token, the oldest first.
    replaced: HashTrieMapSync<TokenId, Vec<Digest>>,
    /// The tokens that a token made.
    children: HashTrieMapSync<TokenId, Vec<TokenId>>,
    /// The hash key of each token's digest.
    hash_keys: HashTrieMapSync<TokenId, HashKeyId>,
    /// Those of the secrets before the present ones.
    former_hash_keys: HashTrieMapSync<TokenId, HashKeyId>,
    events: RedBlackTreeMapSync<i64, Arc<AuditEvent>>,
    /// The highest id of an event that was deleted.
    deleted_event: i64,
    leases: HashTrieMapSync<String, Lease>,
    /// The recorded notices of each token.
    notices: HashTrieMapSync<TokenId, Vec<NoticeKey>>,
}

/// An open view, or with the writer's lock an open transaction.
struct Open<L> {
    store: Arc<Inner>,
    content: Content,
    uses: Arc<Uses>,
    lock: L,
}

/// The state of a transaction.
struct Lock {
    removed: Vec<TokenId>,
    /// Digests of secrets that are no longer remembered.
    forgotten: Vec<Digest>,
    /// Uses of imported tokens from before this installation.
    used: Vec<Use>,
    _guard: OwnedMutexGuard<()>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::with_clock(Arc::new(SystemClock))
    }
}

impl MemoryStore {
    /// Creates a store on this clock. It has the super admin role, without members.
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        let super_admin = Role {
            id: RoleId::SUPER_ADMIN,
            code: Some("strapi-super-admin".into()),
            name: "Super Admin".into(),
            description: "Has no ceiling".into(),
            permissions: Vec::new(),
            created_at: Timestamp(0),
            updated_at: Timestamp(0),
        };
        let content = Content {
            seq: 0,
            next_id: 2,
            next_event: 1,
            roles: RedBlackTreeMapSync::new_sync().insert(super_admin.id, Arc::new(super_admin)),
            owners: RedBlackTreeMapSync::new_sync(),
            by_email: HashTrieMapSync::new_sync(),
            passwords: HashTrieMapSync::new_sync(),
            invitations: HashTrieMapSync::new_sync(),
            tokens: RedBlackTreeMapSync::new_sync(),
            token_counts: HashTrieMapSync::new_sync(),
            by_digest: HashTrieMapSync::new_sync(),
            token_names: HashTrieMapSync::new_sync(),
            sealed: HashTrieMapSync::new_sync(),
            imported: HashTrieMapSync::new_sync(),
            key_checks: RedBlackTreeMapSync::new_sync(),
            by_previous: HashTrieMapSync::new_sync(),
            replaced: HashTrieMapSync::new_sync(),
            children: HashTrieMapSync::new_sync(),
            hash_keys: HashTrieMapSync::new_sync(),
            former_hash_keys: HashTrieMapSync::new_sync(),
            events: RedBlackTreeMapSync::new_sync(),
            deleted_event: 0,
            leases: HashTrieMapSync::new_sync(),
            notices: HashTrieMapSync::new_sync(),
        };
        let inner = Inner {
            clock,
            content: ArcSwap::from_pointee(content),
            writer: Arc::default(),
            uses: ArcSwap::from_pointee(Uses::new()),
        };
        Self { inner: Arc::new(inner) }
    }
}

/// Reads for tests.
#[cfg(any(test, feature = "testing"))]
impl MemoryStore {
    /// Returns all audit events, the oldest first. For tests.
    pub fn audit_events(&self) -> Vec<AuditEvent> {
        self.inner.content.load().events.values().map(|e| AuditEvent::clone(e)).collect()
    }

    /// Returns the last stored use of a token. For tests.
    pub fn last_use(&self, id: TokenId) -> Option<(Timestamp, Option<IpAddr>)> {
        self.inner.uses.load().of_tokens.get(&id).map(|used| (used.at, used.address))
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}

impl Content {
    /// Returns the token with this digest, with its owner and ceiling.
    fn record(&self, digest: &Digest, uses: &Uses, now: Timestamp) -> Option<Record> {
        let id = self.by_digest.get(digest).or_else(|| self.by_previous.get(digest))?;
        let token = self.tokens.get(id)?;
        let owner = token.owner().and_then(|id| self.owners.get(&id));
        let owner = owner.map(|owner| (Owner::clone(owner), self.ceiling(owner)));
        Some(Record { token: self.with_uses(token, uses, now), owner, now })
    }

    /// Returns a token with what is stored separately: its last uses, and the tokens that it comes from.
    fn with_uses(&self, token: &Token, uses: &Uses, now: Timestamp) -> Token {
        let used = uses.of_tokens.get(&token.id);
        let mut token = Token {
            last_used_at: used.map(|used| used.at),
            last_used_tool: used.and_then(|used| used.tool.clone()),
            secret_used: uses.of_secrets.get(&token.digest).copied(),
            ..token.clone().at(now)
        };
        if let Some(previous) = &mut token.previous {
            previous.used = uses.of_secrets.get(&previous.digest).copied();
        }
        for ancestor in &mut token.ancestors {
            ancestor.last_used_at = uses.of_tokens.get(&ancestor.id).map(|used| used.at);
            if let Some(now) = self.tokens.get(&ancestor.id) {
                *ancestor = Ancestor { last_used_at: ancestor.last_used_at, ..Ancestor::of(now) };
            }
        }
        token
    }

    fn key_checks(&self) -> Vec<KeyCheck> {
        let check = |((kind, id), value): (&(KeyKind, String), &String)| KeyCheck {
            kind: *kind,
            id: id.clone(),
            value: value.clone(),
        };
        self.key_checks.iter().map(check).collect()
    }

    fn count_members(&self, id: RoleId) -> u64 {
        self.owners.values().filter(|owner| owner.roles.contains(&id)).count() as u64
    }

    fn ceiling(&self, owner: &Owner) -> Ceiling {
        if owner.is_super_admin() {
            return Ceiling::Unlimited;
        }
        let roles = owner.roles.iter().filter_map(|id| self.roles.get(id));
        Ceiling::Of(roles.flat_map(|r| r.permissions.iter().cloned()).collect())
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn resolve(&self, digest: &Digest) -> Result<Snapshot, StoreError> {
        let content = self.inner.content.load();
        let record = content.record(digest, &self.inner.uses.load(), self.inner.clock.now());
        Ok(Snapshot { seq: content.seq, op_id: None, record })
    }

    fn following(&self) -> Following {
        Following::Blind
    }

    async fn key_checks(&self) -> Result<Option<Vec<KeyCheck>>, StoreError> {
        Ok(Some(self.inner.content.load().key_checks()))
    }

    async fn recent_tokens(&self, tokens: u32, _: Option<RecentPosition>) -> Result<RecentTokens, StoreError> {
        let (content, uses, now) = (self.inner.content.load(), self.inner.uses.load(), self.inner.clock.now());
        let mut recent: Vec<_> = uses.of_tokens.iter().map(|(id, used)| (used.at, *id)).collect();
        recent.sort_unstable_by_key(|(at, id)| (std::cmp::Reverse(*at), *id));
        let used = recent.into_iter().filter_map(|(_, id)| content.tokens.get(&id));
        let used = used.filter(|token| token.kind() != TokenKind::Session).take(tokens as usize);
        let mut records: Vec<_> = used.filter_map(|token| content.record(&token.digest, &uses, now)).collect();
        records.sort_unstable_by_key(|record| record.token.id);
        Ok(RecentTokens { seq: content.seq, op_id: None, records, next: None })
    }

    async fn note_uses(&self, uses: &[Use]) -> Result<(), StoreError> {
        self.inner.uses.rcu(|noted| {
            // Loaded in the loop, so that a token which is deleted meanwhile is skipped: its uses are removed after the token.
            let content = self.inner.content.load();
            let mut noted = Uses::clone(noted);
            for u in uses.iter().filter(|u| content.tokens.contains_key(&u.token)) {
                noted.note(u);
            }
            noted
        });
        Ok(())
    }

    async fn close(&self) {}
}

#[async_trait]
impl WriteStore for MemoryStore {
    async fn begin(&self) -> Result<Box<dyn Transaction>, StoreError> {
        let lock = self.inner.writer.clone().lock_owned();
        let lock = tokio::time::timeout(Duration::from_secs(5), lock).await.map_err(|_| StoreError::Busy)?;
        let mut writing =
            self.open(Lock { removed: Vec::new(), forgotten: Vec::new(), used: Vec::new(), _guard: lock });
        writing.content.seq += 1;
        Ok(Box::new(writing))
    }

    async fn view(&self) -> Result<Box<dyn View>, StoreError> {
        Ok(Box::new(self.open(())))
    }

    async fn sign_in_candidate(&self, email: &str) -> Result<Option<(OwnerId, PasswordHash)>, StoreError> {
        sign_in_candidate_in(&mut self.open(()), email).await
    }
}

impl MemoryStore {
    fn open<L>(&self, lock: L) -> Open<L> {
        let content = Content::clone(&self.inner.content.load());
        Open { store: self.inner.clone(), content, uses: self.inner.uses.load_full(), lock }
    }
}

fn unless(clash: bool, why: &'static str) -> Result<(), StoreError> {
    if clash { Err(conflict(why)) } else { Ok(()) }
}

fn conflict(why: &'static str) -> StoreError {
    StoreError::Conflict(why.into())
}
