//! Stores: where tokens, owners and roles live.
//!
//! [`Store`] is what the gate needs and no more; a foreign database that is only read implements it alone. [`WriteStore`] adds
//! the transactions of the services. [`contract`] holds the suite that every backend runs.

#[cfg(any(test, feature = "testing"))]
pub mod contract;
mod memory;
#[cfg(feature = "sqlite")]
mod sql;

pub use memory::MemoryStore;
#[cfg(feature = "sqlite")]
pub use sql::{SqliteOptions, SqliteStore};

use crate::domain::{
    AuditEvent, Ceiling, Digest, Grant, Owner, OwnerId, OwnerState, Permission, Role, RoleId, SaltId, Tag, Timestamp,
    Token, TokenAuthority, TokenId,
};
use async_trait::async_trait;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// What the gate needs of a store.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// What is known of the token with this digest, and the sequence of the last change, both from one snapshot.
    ///
    /// # Errors
    /// If the store cannot tell. "There is no such token" is an answer, not an error.
    async fn resolve(&self, digest: &Digest) -> Result<Snapshot, StoreError>;

    /// Notes when tokens were last used; of two uses the later one stays. Tokens that are gone are passed over.
    ///
    /// Use is not a change: it moves no sequence.
    ///
    /// # Errors
    /// If nothing was noted.
    async fn note_uses(&self, uses: &[Use]) -> Result<(), StoreError>;
}

/// A store that can be changed.
#[async_trait]
pub trait WriteStore: Store {
    /// Opens a transaction. Writers follow one another; the next one waits up to 5 s for this one.
    ///
    /// # Errors
    /// If there is none to be had in that time.
    async fn begin(&self) -> Result<Box<dyn Transaction>, StoreError>;
}

/// A change in the making. Dropped without [`commit`](Self::commit), it never was.
#[async_trait]
pub trait Transaction: Send {
    /// The sequence that this change will have.
    fn seq(&self) -> u64;
    /// The store's time.
    fn now(&self) -> Timestamp;

    /// Adds a role.
    async fn insert_role(&mut self, role: NewRole) -> Result<RoleId, StoreError>;
    /// The role with this id.
    async fn role(&mut self, id: RoleId) -> Result<Option<Role>, StoreError>;
    /// Whether a role has this name.
    async fn role_name_taken(&mut self, name: &str) -> Result<bool, StoreError>;
    /// Replaces a role's permissions.
    async fn set_permissions(&mut self, id: RoleId, permissions: &[Permission]) -> Result<(), StoreError>;

    /// Adds an owner.
    async fn insert_owner(&mut self, owner: NewOwner) -> Result<OwnerId, StoreError>;
    /// The owner with this id.
    async fn owner(&mut self, id: OwnerId) -> Result<Option<Owner>, StoreError>;
    /// Whether an owner has this e-mail address, in any case.
    async fn email_taken(&mut self, email: &str) -> Result<bool, StoreError>;
    /// Sets an owner's state.
    async fn set_owner_state(&mut self, id: OwnerId, state: OwnerState) -> Result<(), StoreError>;
    /// Replaces an owner's roles.
    async fn set_owner_roles(&mut self, id: OwnerId, roles: &[RoleId]) -> Result<(), StoreError>;
    /// All that an owner may grant.
    async fn ceiling(&mut self, id: OwnerId) -> Result<Ceiling, StoreError>;
    /// How many active super admins there are besides this owner.
    async fn other_super_admins(&mut self, id: OwnerId) -> Result<u64, StoreError>;
    /// Ends an owner's sessions, and answers with their digests.
    async fn delete_sessions(&mut self, id: OwnerId) -> Result<Vec<Digest>, StoreError>;

    /// Adds a token.
    async fn insert_token(&mut self, token: NewToken) -> Result<TokenId, StoreError>;
    /// The token with this id.
    async fn token(&mut self, id: TokenId) -> Result<Option<Token>, StoreError>;
    /// Whether an admin or content token has this name.
    async fn token_name_taken(&mut self, name: &str) -> Result<bool, StoreError>;
    /// Removes a token with all that is its own.
    async fn delete_token(&mut self, id: TokenId) -> Result<(), StoreError>;

    /// Adds an audit event.
    async fn audit(&mut self, event: AuditEvent) -> Result<(), StoreError>;

    /// Makes it so, for everybody, with one change row that carries `tags`.
    ///
    /// # Errors
    /// If it did not happen, or ([`StoreError::Unknown`]) if nobody can tell whether it did.
    async fn commit(self: Box<Self>, tags: &[Tag]) -> Result<(), StoreError>;
}

/// What is known of a digest at one moment.
#[derive(Debug)]
pub struct Snapshot {
    /// The sequence of the last change that this snapshot contains.
    pub seq: u64,
    /// The token and what it rests on; `None` if there is no such token.
    pub record: Option<Record>,
}

/// A token and what it rests on.
#[derive(Debug)]
pub struct Record {
    /// The token.
    pub token: Token,
    /// Its owner and their ceiling; `None` for content tokens, and where the owner is gone.
    pub owner: Option<(Owner, Ceiling)>,
    /// When it was last used, as far as the store knows.
    pub last_used_at: Option<Timestamp>,
    /// The store's time. How long the token still lives is reckoned from it.
    pub now: Timestamp,
}

impl Record {
    /// Everything whose change makes this record stale.
    pub fn tags(&self) -> Box<[Tag]> {
        let owner = self.owner.as_ref().map(|(owner, _)| owner);
        let roles = owner.iter().flat_map(|o| o.roles.iter().map(|r| Tag::role(*r)));
        let fixed = [Tag::ALL, Tag::token(&self.token.digest)];
        fixed.into_iter().chain(self.token.owner().map(Tag::owner)).chain(roles).collect()
    }
}

/// A role to be.
#[derive(Clone, Debug)]
pub struct NewRole {
    /// Unique.
    pub name: String,
    /// Free text.
    pub description: String,
    /// What it allows.
    pub permissions: Vec<Permission>,
}

/// An owner to be.
#[derive(Clone, Debug)]
pub struct NewOwner {
    /// Unique, compared without case.
    pub email: String,
    /// First name; may be empty.
    pub firstname: String,
    /// Last name; may be empty.
    pub lastname: String,
    /// Where the account stands.
    pub state: OwnerState,
    /// Their roles.
    pub roles: Vec<RoleId>,
}

/// A token to be.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// Unique among admin and content tokens; empty for sessions.
    pub name: String,
    /// Free text.
    pub description: String,
    /// The keyed hash of its secret.
    pub digest: Digest,
    /// The salt of that hash.
    pub salt: SaltId,
    /// The last four characters of its secret.
    pub hint: String,
    /// How long it lives; `None`: for ever.
    pub lifespan: Option<Duration>,
    /// What it stands for.
    pub authority: TokenAuthority,
}

impl NewToken {
    /// The grants of an admin token; none for the other kinds.
    pub fn grants(&self) -> &[Grant] {
        match &self.authority {
            TokenAuthority::Admin { grants, .. } => grants,
            _ => &[],
        }
    }
}

/// A use of a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Use {
    /// Which.
    pub token: TokenId,
    /// When, by this node's wall clock.
    pub at: Timestamp,
    /// From where, if the server said.
    pub address: Option<IpAddr>,
}

/// A store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// It could not be reached, or answered with an error of its own.
    #[error("the store could not be asked")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It was busy for too long.
    #[error("the store was busy for too long")]
    Busy,
    /// What was asked does not fit what is there: a name that is taken, a thing that does not exist. Nothing happened.
    #[error("the change does not fit what is there")]
    Conflict(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It holds something that cannot be.
    #[error("the store holds something that cannot be: {0}")]
    Corrupt(String),
    /// The connection was lost while committing: the change may have happened.
    #[error("nobody can tell whether the change happened")]
    Unknown(#[source] Box<dyn std::error::Error + Send + Sync>),
}

#[async_trait]
impl<S: Store + ?Sized> Store for Arc<S> {
    async fn resolve(&self, digest: &Digest) -> Result<Snapshot, StoreError> {
        (**self).resolve(digest).await
    }

    async fn note_uses(&self, uses: &[Use]) -> Result<(), StoreError> {
        (**self).note_uses(uses).await
    }
}

#[async_trait]
impl<S: WriteStore + ?Sized> WriteStore for Arc<S> {
    async fn begin(&self) -> Result<Box<dyn Transaction>, StoreError> {
        (**self).begin().await
    }
}
