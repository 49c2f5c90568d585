//! A store in memory: for tests, demonstrations and tools. What it holds ends with the process.

mod clamp;
mod transaction;
mod view;

use super::{
    Following, Imported, Record, Snapshot, Store, StoreError, Transaction, Use, View, WriteStore, sign_in_candidate_in,
};
use crate::domain::{
    AuditEvent, Ceiling, Clock, Digest, HashKeyId, KeyCheck, KeyKind, Owner, OwnerId, PasswordHash, Role, RoleId,
    SealedSecret, SystemClock, Timestamp, Token, TokenId,
};
use arc_swap::ArcSwap;
use async_trait::async_trait;
use rpds::{HashTrieMapSync, RedBlackTreeMapSync};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// A store in memory. Clones share their content.
///
/// The content is a persistent value: a transaction works on a copy (which costs nothing until it changes something), and a
/// commit puts that copy in the content's place. Readers never wait.
#[derive(Clone)]
pub struct MemoryStore {
    inner: Arc<Inner>,
}

struct Inner {
    clock: Arc<dyn Clock>,
    content: ArcSwap<Content>,
    writer: Arc<Mutex<()>>,
    /// Apart from the content, so that uses are noted while somebody writes.
    uses: ArcSwap<Uses>,
}

type Uses = HashTrieMapSync<TokenId, (Timestamp, Option<IpAddr>)>;

#[derive(Clone)]
struct Content {
    seq: u64,
    next_id: i64,
    next_event: i64,
    roles: RedBlackTreeMapSync<RoleId, Arc<Role>>,
    owners: RedBlackTreeMapSync<OwnerId, Arc<Owner>>,
    /// By e-mail address, in the form that is compared.
    by_email: HashTrieMapSync<String, OwnerId>,
    passwords: HashTrieMapSync<OwnerId, PasswordHash>,
    invitations: HashTrieMapSync<Digest, (OwnerId, Timestamp)>,
    tokens: RedBlackTreeMapSync<TokenId, Arc<Token>>,
    by_digest: HashTrieMapSync<Digest, TokenId>,
    /// By name, in the form that is compared.
    token_names: HashTrieMapSync<String, TokenId>,
    sealed: HashTrieMapSync<TokenId, SealedSecret>,
    /// By source, what it is called there, and the word for its kind.
    imported: HashTrieMapSync<(String, String, &'static str), Imported>,
    /// By kind and id of the key.
    key_checks: RedBlackTreeMapSync<(KeyKind, String), String>,
    /// Under which hash key a token's digest was made.
    hash_keys: HashTrieMapSync<TokenId, HashKeyId>,
    events: RedBlackTreeMapSync<i64, Arc<AuditEvent>>,
}

/// The content as somebody sees it: through a view, or with the writer's lock as a change in the making.
struct Open<L> {
    store: Arc<Inner>,
    content: Content,
    uses: Arc<Uses>,
    lock: L,
}

/// What makes it a change.
struct Lock {
    removed: Vec<TokenId>,
    /// Uses from before this installation.
    used: Vec<(TokenId, Timestamp)>,
    _guard: OwnedMutexGuard<()>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::with_clock(Arc::new(SystemClock))
    }
}

impl MemoryStore {
    /// An empty store on this clock. It has the super admin role and nobody in it.
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
            by_digest: HashTrieMapSync::new_sync(),
            token_names: HashTrieMapSync::new_sync(),
            sealed: HashTrieMapSync::new_sync(),
            imported: HashTrieMapSync::new_sync(),
            key_checks: RedBlackTreeMapSync::new_sync(),
            hash_keys: HashTrieMapSync::new_sync(),
            events: RedBlackTreeMapSync::new_sync(),
        };
        let inner = Inner {
            clock,
            content: ArcSwap::from_pointee(content),
            writer: Arc::default(),
            uses: ArcSwap::from_pointee(HashTrieMapSync::new_sync()),
        };
        Self { inner: Arc::new(inner) }
    }
}

/// What tests ask of a store besides the contract.
#[cfg(any(test, feature = "testing"))]
impl MemoryStore {
    /// The audit events so far, oldest first. For tests: it gives all there are.
    pub fn audit_events(&self) -> Vec<AuditEvent> {
        self.inner.content.load().events.values().map(|e| AuditEvent::clone(e)).collect()
    }

    /// When a token was last used, and from where, as far as that was written. For tests.
    pub fn last_use(&self, id: TokenId) -> Option<(Timestamp, Option<IpAddr>)> {
        self.inner.uses.load().get(&id).copied()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}

impl Content {
    /// The token with this digest and what it rests on.
    fn record(&self, digest: &Digest, uses: &Uses, now: Timestamp) -> Option<Record> {
        let token = self.by_digest.get(digest).and_then(|id| self.tokens.get(id))?;
        let owner = token.owner().and_then(|id| self.owners.get(&id));
        let owner = owner.map(|owner| (Owner::clone(owner), self.ceiling(owner)));
        Some(Record { token: used(token, uses), owner, now })
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

    async fn note_uses(&self, uses: &[Use]) -> Result<(), StoreError> {
        self.inner.uses.rcu(|noted| {
            // Within, so that a token which goes meanwhile is seen to have gone: its last use is taken away after the token.
            let content = self.inner.content.load();
            let mut noted = Uses::clone(noted);
            for u in uses.iter().filter(|u| content.tokens.contains_key(&u.token)) {
                if noted.get(&u.token).is_none_or(|(at, _)| *at <= u.at) {
                    noted.insert_mut(u.token, (u.at, u.address));
                }
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
        let mut writing = self.open(Lock { removed: Vec::new(), used: Vec::new(), _guard: lock });
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

/// A token with its last use, which is kept apart from it.
fn used(token: &Token, uses: &Uses) -> Token {
    Token { last_used_at: uses.get(&token.id).map(|(at, _)| *at), ..token.clone() }
}

fn unless(clash: bool, why: &'static str) -> Result<(), StoreError> {
    if clash { Err(conflict(why)) } else { Ok(()) }
}

fn conflict(why: &'static str) -> StoreError {
    StoreError::Conflict(why.into())
}
