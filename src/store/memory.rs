//! A store in memory: for tests, demonstrations and tools. What it holds ends with the process.

use super::{NewOwner, NewRole, NewToken, Record, Snapshot, Store, StoreError, Transaction, Use, WriteStore};
use crate::domain::{
    AuditEvent, Ceiling, Clock, Digest, Kind, Owner, OwnerId, OwnerState, Permission, Role, RoleId, SystemClock, Tag,
    Timestamp, Token, TokenAuthority, TokenId,
};
use arc_swap::ArcSwap;
use async_trait::async_trait;
use dashmap::DashMap;
use rpds::{HashTrieMapSync, RedBlackTreeMapSync, VectorSync};
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
    uses: DashMap<TokenId, (Timestamp, Option<IpAddr>)>,
}

#[derive(Clone)]
struct Content {
    seq: u64,
    next_id: i64,
    roles: RedBlackTreeMapSync<RoleId, Arc<Role>>,
    owners: RedBlackTreeMapSync<OwnerId, Arc<Owner>>,
    tokens: RedBlackTreeMapSync<TokenId, Arc<Token>>,
    by_digest: HashTrieMapSync<Digest, TokenId>,
    token_names: HashTrieMapSync<String, TokenId>,
    events: VectorSync<Arc<AuditEvent>>,
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
            name: "Super Admin".into(),
            description: "Has no ceiling".into(),
            permissions: Vec::new(),
        };
        let content = Content {
            seq: 0,
            next_id: 2,
            roles: RedBlackTreeMapSync::new_sync().insert(super_admin.id, Arc::new(super_admin)),
            owners: RedBlackTreeMapSync::new_sync(),
            tokens: RedBlackTreeMapSync::new_sync(),
            by_digest: HashTrieMapSync::new_sync(),
            token_names: HashTrieMapSync::new_sync(),
            events: VectorSync::new_sync(),
        };
        let inner =
            Inner { clock, content: ArcSwap::from_pointee(content), writer: Arc::default(), uses: DashMap::new() };
        Self { inner: Arc::new(inner) }
    }

    /// The audit events so far, oldest first.
    pub fn audit_events(&self) -> Vec<AuditEvent> {
        self.inner.content.load().events.iter().map(|e| AuditEvent::clone(e)).collect()
    }

    /// When a token was last used, and from where, as far as that was written.
    pub fn last_use(&self, id: TokenId) -> Option<(Timestamp, Option<IpAddr>)> {
        self.inner.uses.get(&id).map(|u| *u)
    }
}

impl Content {
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
        let token = content.by_digest.get(digest).and_then(|id| content.tokens.get(id));
        let record = token.map(|token| Record {
            token: Token::clone(token),
            owner: token
                .owner()
                .and_then(|id| content.owners.get(&id))
                .map(|owner| (Owner::clone(owner), content.ceiling(owner))),
            last_used_at: self.inner.uses.get(&token.id).map(|u| u.0),
            now: self.inner.clock.now(),
        });
        Ok(Snapshot { seq: content.seq, record })
    }

    async fn note_uses(&self, uses: &[Use]) -> Result<(), StoreError> {
        let content = self.inner.content.load();
        for u in uses.iter().filter(|u| content.tokens.contains_key(&u.token)) {
            let mut noted = self.inner.uses.entry(u.token).or_insert((u.at, u.address));
            if noted.0 <= u.at {
                *noted = (u.at, u.address);
            }
        }
        Ok(())
    }
}

#[async_trait]
impl WriteStore for MemoryStore {
    async fn begin(&self) -> Result<Box<dyn Transaction>, StoreError> {
        let lock = self.inner.writer.clone().lock_owned();
        let lock = tokio::time::timeout(Duration::from_secs(5), lock).await.map_err(|_| StoreError::Busy)?;
        let mut content = Content::clone(&self.inner.content.load());
        content.seq += 1;
        Ok(Box::new(Writing { store: self.inner.clone(), content, removed: Vec::new(), _lock: lock }))
    }
}

struct Writing {
    store: Arc<Inner>,
    content: Content,
    removed: Vec<TokenId>,
    _lock: OwnedMutexGuard<()>,
}

impl Writing {
    fn next_id(&mut self) -> i64 {
        let id = self.content.next_id;
        self.content.next_id += 1;
        id
    }

    fn change_owner(&mut self, id: OwnerId, change: impl FnOnce(&mut Owner)) -> Result<(), StoreError> {
        let owner = self.content.owners.get(&id).ok_or_else(|| conflict("there is no such owner"))?;
        let mut owner = Owner::clone(owner);
        change(&mut owner);
        self.content.owners.insert_mut(id, Arc::new(owner));
        Ok(())
    }

    fn roles_exist(&self, roles: &[RoleId]) -> Result<(), StoreError> {
        unless(roles.iter().any(|id| !self.content.roles.contains_key(id)), "there is no such role")
    }

    fn remove(&mut self, token: &Token) {
        self.content.by_digest.remove_mut(&token.digest);
        if token.kind() != Kind::Session {
            self.content.token_names.remove_mut(&token.name);
        }
        self.content.tokens.remove_mut(&token.id);
        self.removed.push(token.id);
    }
}

#[async_trait]
impl Transaction for Writing {
    fn seq(&self) -> u64 {
        self.content.seq
    }

    fn now(&self) -> Timestamp {
        self.store.clock.now()
    }

    async fn insert_role(&mut self, new: NewRole) -> Result<RoleId, StoreError> {
        unless(self.role_name_taken(&new.name).await?, "the name is taken")?;
        let id = RoleId(self.next_id());
        let NewRole { name, description, permissions } = new;
        self.content.roles.insert_mut(id, Arc::new(Role { id, name, description, permissions }));
        Ok(id)
    }

    async fn role(&mut self, id: RoleId) -> Result<Option<Role>, StoreError> {
        Ok(self.content.roles.get(&id).map(|r| Role::clone(r)))
    }

    async fn role_name_taken(&mut self, name: &str) -> Result<bool, StoreError> {
        Ok(self.content.roles.values().any(|r| r.name == name))
    }

    async fn set_permissions(&mut self, id: RoleId, permissions: &[Permission]) -> Result<(), StoreError> {
        let role = self.content.roles.get(&id).ok_or_else(|| conflict("there is no such role"))?;
        let role = Role { permissions: permissions.to_vec(), ..Role::clone(role) };
        self.content.roles.insert_mut(id, Arc::new(role));
        Ok(())
    }

    async fn insert_owner(&mut self, new: NewOwner) -> Result<OwnerId, StoreError> {
        unless(self.email_taken(&new.email).await?, "the e-mail address is taken")?;
        self.roles_exist(&new.roles)?;
        let id = OwnerId(self.next_id());
        let NewOwner { email, firstname, lastname, state, roles } = new;
        let owner = Owner { id, email, firstname, lastname, state, roles: sorted(&roles) };
        self.content.owners.insert_mut(id, Arc::new(owner));
        Ok(id)
    }

    async fn owner(&mut self, id: OwnerId) -> Result<Option<Owner>, StoreError> {
        Ok(self.content.owners.get(&id).map(|o| Owner::clone(o)))
    }

    async fn email_taken(&mut self, email: &str) -> Result<bool, StoreError> {
        let email = email.to_lowercase();
        Ok(self.content.owners.values().any(|o| o.email.to_lowercase() == email))
    }

    async fn set_owner_state(&mut self, id: OwnerId, state: OwnerState) -> Result<(), StoreError> {
        self.change_owner(id, |owner| owner.state = state)
    }

    async fn set_owner_roles(&mut self, id: OwnerId, roles: &[RoleId]) -> Result<(), StoreError> {
        self.roles_exist(roles)?;
        self.change_owner(id, |owner| owner.roles = sorted(roles))
    }

    async fn ceiling(&mut self, id: OwnerId) -> Result<Ceiling, StoreError> {
        let owner = self.content.owners.get(&id);
        Ok(owner.map_or(Ceiling::Of(Vec::new()), |owner| self.content.ceiling(owner)))
    }

    async fn other_super_admins(&mut self, id: OwnerId) -> Result<u64, StoreError> {
        let others = self.content.owners.values();
        let counts = |o: &&Arc<Owner>| o.id != id && o.state.is_active() && o.is_super_admin();
        Ok(others.filter(counts).count() as u64)
    }

    async fn delete_sessions(&mut self, id: OwnerId) -> Result<Vec<Digest>, StoreError> {
        let is_session = |t: &&Arc<Token>| matches!(t.authority, TokenAuthority::Session { owner, .. } if owner == id);
        let sessions: Vec<Arc<Token>> = self.content.tokens.values().filter(is_session).cloned().collect();
        for session in &sessions {
            self.remove(session);
        }
        Ok(sessions.iter().map(|s| s.digest).collect())
    }

    async fn insert_token(&mut self, new: NewToken) -> Result<TokenId, StoreError> {
        let id = TokenId(self.next_id());
        let created_at = self.now();
        let token = Token {
            id,
            name: new.name,
            description: new.description,
            digest: new.digest,
            hint: new.hint,
            created_at,
            expires_at: new.lifespan.map(|span| created_at.plus(span)),
            authority: new.authority,
        };
        unless(token.owner().is_some_and(|id| !self.content.owners.contains_key(&id)), "there is no such owner")?;
        unless(self.content.by_digest.contains_key(&token.digest), "the digest is taken")?;
        let named = token.kind() != Kind::Session;
        unless(named && self.content.token_names.contains_key(&token.name), "the name is taken")?;
        self.content.by_digest.insert_mut(token.digest, id);
        if named {
            self.content.token_names.insert_mut(token.name.clone(), id);
        }
        self.content.tokens.insert_mut(id, Arc::new(token));
        Ok(id)
    }

    async fn token(&mut self, id: TokenId) -> Result<Option<Token>, StoreError> {
        Ok(self.content.tokens.get(&id).map(|t| Token::clone(t)))
    }

    async fn token_name_taken(&mut self, name: &str) -> Result<bool, StoreError> {
        Ok(self.content.token_names.contains_key(name))
    }

    async fn delete_token(&mut self, id: TokenId) -> Result<(), StoreError> {
        if let Some(token) = self.content.tokens.get(&id).cloned() {
            self.remove(&token);
        }
        Ok(())
    }

    async fn audit(&mut self, event: AuditEvent) -> Result<(), StoreError> {
        self.content.events.push_back_mut(Arc::new(event));
        Ok(())
    }

    async fn commit(self: Box<Self>, _tags: &[Tag]) -> Result<(), StoreError> {
        for id in &self.removed {
            self.store.uses.remove(id);
        }
        self.store.content.store(Arc::new(self.content));
        Ok(())
    }
}

fn unless(clash: bool, why: &'static str) -> Result<(), StoreError> {
    if clash { Err(conflict(why)) } else { Ok(()) }
}

fn conflict(why: &'static str) -> StoreError {
    StoreError::Conflict(why.into())
}

fn sorted(roles: &[RoleId]) -> Vec<RoleId> {
    let mut roles = roles.to_vec();
    roles.sort_unstable();
    roles.dedup();
    roles
}
