//! Stores: where tokens, owners and roles live.
//!
//! [`Store`] is what the gate needs and no more; a foreign database that is only read implements it alone. [`WriteStore`] adds
//! the transactions of the services. [`contract`] holds the suite that every backend runs.
//!
//! What it takes to use a store is at the root of the crate too; what is here alone is for those who write one.

#[cfg(any(test, feature = "testing"))]
pub mod contract;
mod list;
mod memory;
mod new;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod sql;
#[cfg(feature = "strapi")]
pub(crate) mod strapi;

pub use crate::domain::{
    Digest, KeyCheck, KeyKind, KeyUse, MalformedDigest, PasswordHash, SealedSecret, Tag, comparable,
};
pub(crate) use list::one_part_each;
pub use list::{
    EventQuery, EventsOfActor, Filter, FilterTest, OwnerField, OwnerQuery, OwnerSort, Page, Paging, SignInPlace,
    TokenField, TokenQuery, TokenSort,
};
pub use memory::MemoryStore;
pub use new::{Imported, NewOwner, NewRole, NewToken, Profile, TokenTimes};
#[cfg(feature = "postgres")]
pub use sql::postgres::{PostgresOptions, PostgresStore};
#[cfg(feature = "sqlite")]
pub use sql::sqlite::{SqliteOptions, SqliteStore};

use crate::domain::{
    Action, AuditCause, AuditEvent, AuditOrigin, Ceiling, Fields, HashKeyId, Owner, OwnerId, OwnerState, Permission,
    Role, RoleId, Scope, Timestamp, Token, TokenAuthority, TokenId, TokenKind,
};
use async_trait::async_trait;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

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

    /// How changes become known that others make.
    fn following(&self) -> Following;

    /// The check values of the keys that the data rests on; `None` if this store keeps none.
    ///
    /// # Errors
    /// If the store cannot tell.
    async fn key_checks(&self) -> Result<Option<Vec<KeyCheck>>, StoreError> {
        Ok(None)
    }

    /// Closes all connections, for all clones, after what they are at. [`Keyward::shutdown`](crate::guard::Guard::shutdown) calls it.
    async fn close(&self) {}
}

/// How changes become known that others make.
#[derive(Debug)]
pub enum Following {
    /// Not at all: what was read is used for [`Limits::max_staleness`](crate::guard::Limits::max_staleness), and then read again.
    Blind,
    /// By the log of changes.
    Log(Box<dyn ChangeLog>),
}

/// The log of changes, read over and over by one reader on a connection of its own.
#[async_trait]
pub trait ChangeLog: fmt::Debug + Send + 'static {
    /// Reads what was changed after `applied`, all from one snapshot of the live primary: a replica that lags is an error.
    ///
    /// The caller gives up after a deadline of its own by dropping the future. The next call must then work, on a new connection
    /// if need be.
    ///
    /// # Errors
    /// If the store cannot tell.
    async fn poll(&mut self, applied: Option<&Applied>) -> Result<Poll, StoreError>;

    /// Wakes when there is probably something to read. It may wake for nothing, and it may never wake: it is a hint.
    async fn hint(&mut self);

    /// Deletes changes that happened before `before` (the store's time), but never the latest ones. A thousand at most, the
    /// oldest first: whoever waits for them to go has little time. If there were as many, it is called again.
    ///
    /// The caller gives up by dropping the future, as with [`poll`](Self::poll).
    ///
    /// # Errors
    /// If the store cannot do it.
    async fn forget(&mut self, before: Timestamp) -> Result<u64, StoreError>;
}

/// How many changes are deleted at a time.
pub(crate) const BATCH: u64 = 1000;

/// A change that a reader has applied. The store knows it by both: after a restore, another change may have its sequence.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Applied {
    /// Its sequence.
    pub seq: u64,
    /// Its id.
    pub op_id: String,
}

/// What a poll has read.
#[derive(Clone, Debug)]
pub struct Poll {
    /// The store's time.
    pub now: Timestamp,
    /// The sequence of the last change.
    pub head: u64,
    /// Whether the change asked after is there as it was applied; true if none was asked after.
    pub known: bool,
    /// The changes after it in order, or the first thousand of them; if none was asked after, the last one alone, if there is any.
    pub changes: Vec<LoggedChange>,
}

/// A committed change.
#[derive(Clone, Debug)]
pub struct LoggedChange {
    /// Its sequence: one more than that of the change before.
    pub seq: u64,
    /// Its id.
    pub op_id: String,
    /// When, by the store's clock.
    pub at: Timestamp,
    /// What it touched.
    pub tags: Vec<Tag>,
}

/// A store that can be changed.
#[async_trait]
pub trait WriteStore: Store {
    /// Opens a transaction. Writers follow one another; the next one waits up to 5 s for this one.
    ///
    /// # Errors
    /// If there is none to be had in that time.
    async fn begin(&self) -> Result<Box<dyn Transaction>, StoreError>;

    /// Opens a view: all that is read through it is of one moment, and no writer waits for it.
    ///
    /// # Errors
    /// If there is none to be had.
    async fn view(&self) -> Result<Box<dyn View>, StoreError>;

    /// Returns the active owner with this e-mail address and their password, for a sign-in.
    ///
    /// A store that gives look-ups connections of their own reads it there: lists must not delay sign-ins.
    ///
    /// # Errors
    /// If the store cannot tell.
    async fn sign_in_candidate(&self, email: &str) -> Result<Option<(OwnerId, PasswordHash)>, StoreError> {
        let mut view = self.view().await?;
        // No owner has this id. The same is asked for every address, so that timing does not tell which accounts exist.
        let id = view.owner_with_email(email).await?.unwrap_or(OwnerId(0));
        let active = view.owner(id).await?.is_some_and(|owner| owner.state.is_active());
        let password = view.password(id).await?;
        Ok(password.filter(|_| active).map(|password| (id, password)))
    }
}

/// What can be read, of one moment. Roles are listed completely, other lists page by page.
#[async_trait]
pub trait View: Send {
    /// The store's time when this began.
    fn now(&self) -> Timestamp;

    /// Whether there is no owner and no token of any kind: nobody has been here yet.
    async fn is_empty(&mut self) -> Result<bool, StoreError>;

    /// The role with this id.
    async fn role(&mut self, id: RoleId) -> Result<Option<Role>, StoreError>;
    /// The number of owners who have this role.
    async fn count_members(&mut self, id: RoleId) -> Result<u64, StoreError>;
    /// Every role by id, each with how many owners have it.
    async fn roles(&mut self) -> Result<Vec<(Role, u64)>, StoreError>;
    /// The role with this name, by its [comparable](comparable()) form.
    async fn role_named(&mut self, name: &str) -> Result<Option<RoleId>, StoreError>;

    /// The owner with this id.
    async fn owner(&mut self, id: OwnerId) -> Result<Option<Owner>, StoreError>;
    /// The owner with this e-mail address, by its [comparable](comparable()) form.
    async fn owner_with_email(&mut self, email: &str) -> Result<Option<OwnerId>, StoreError>;
    /// Those of these e-mail addresses, in their [comparable](comparable()) form, that belong to owners, in no order.
    async fn owners_by_email(&mut self, emails: &[&str]) -> Result<Vec<(String, OwnerId)>, StoreError>;
    /// Whether there is any owner.
    async fn has_owners(&mut self) -> Result<bool, StoreError>;
    /// A page of owners.
    async fn owners(&mut self, query: &OwnerQuery) -> Result<Page<Owner>, StoreError>;
    /// Those of these owners that exist, by id, each with all that they may grant.
    async fn ceilings(&mut self, ids: &[OwnerId]) -> Result<Vec<(Owner, Ceiling)>, StoreError>;
    /// All that an owner may grant; nothing, if there is no such owner.
    async fn ceiling(&mut self, id: OwnerId) -> Result<Ceiling, StoreError>;
    /// How many active super admins there are besides this owner.
    async fn other_super_admins(&mut self, id: OwnerId) -> Result<u64, StoreError>;
    /// Whether an owner who is no super admin, whatever their state, has a role of each of these lists. It may be one role that is in both.
    async fn roles_meet(&mut self, one: &[RoleId], other: &[RoleId]) -> Result<bool, StoreError>;
    /// An owner's password, if they have one.
    async fn password(&mut self, id: OwnerId) -> Result<Option<PasswordHash>, StoreError>;
    /// Whom the invitation with this digest is for, and until when.
    async fn invitation(&mut self, digest: &Digest) -> Result<Option<(OwnerId, Timestamp)>, StoreError>;

    /// The token with this id.
    async fn token(&mut self, id: TokenId) -> Result<Option<Token>, StoreError>;
    /// A page of tokens.
    async fn tokens(&mut self, query: &TokenQuery) -> Result<Page<Token>, StoreError>;
    /// How many tokens of a kind there are, of all owners or of one.
    async fn count_tokens(&mut self, kind: TokenKind, owner: Option<OwnerId>) -> Result<u64, StoreError>;
    /// The admin or content token with this name, by its [comparable](comparable()) form.
    async fn token_named(&mut self, name: &str) -> Result<Option<TokenId>, StoreError>;
    /// The token with this digest, of any kind, and what it rests on: as [`Store::resolve`] answers, but of this moment.
    async fn record(&mut self, digest: &Digest) -> Result<Option<Record>, StoreError>;
    /// The sealed secret of a token, if there is one.
    async fn sealed_secret(&mut self, id: TokenId) -> Result<Option<SealedSecret>, StoreError>;
    /// Every role by id, each with how many admin tokens its members have.
    async fn tokens_of_members(&mut self) -> Result<Vec<(RoleId, u64)>, StoreError>;
    /// Those of these owners that exist, by id, each with how many admin tokens they have.
    async fn tokens_of_owners(&mut self, ids: &[OwnerId]) -> Result<Vec<(OwnerId, u64)>, StoreError>;

    /// What [`clamp`](Transaction::clamp) would take if this change were made, as a count of tokens and grants. It reads, and so waits
    /// for no writer and keeps none waiting. A role or an owner that does not exist loses nothing.
    async fn preview_clamp(&mut self, proposed: Proposed<'_>) -> Result<Clamped, StoreError>;
    /// The owners of these admin tokens and sessions, as far as they are there, or the audit log remembers who issued or lost them; in
    /// no order.
    async fn token_owners(&mut self, ids: &[TokenId]) -> Result<Vec<(TokenId, OwnerId)>, StoreError>;

    /// All that ever came from elsewhere, in no order: from which source, what it is called there, and what it is here. What was deleted
    /// here since is among it.
    async fn imported(&mut self) -> Result<Vec<(String, String, Imported)>, StoreError>;

    /// When an actor did this for the `nth` time (from 1), counted back from the latest; `None` if it did so less often. It is asked with the
    /// writers' lock held, so it must not depend on how long the audit log is.
    async fn nth_latest_event(&mut self, nth: u32, of: &EventsOfActor) -> Result<Option<Timestamp>, StoreError>;
    /// Where people signed in since then, by the audit log: of each person the latest [`SignInPlace::OF_A_PERSON`] addresses, in all the
    /// latest [`SignInPlace::MOST`]; in no order.
    async fn sign_in_places(&mut self, since: Timestamp) -> Result<Vec<SignInPlace>, StoreError>;
    /// The check values of the keys that the data rests on.
    async fn key_checks(&mut self) -> Result<Vec<KeyCheck>, StoreError>;
    /// How many tokens rest on each key, by kind and id.
    async fn key_uses(&mut self) -> Result<Vec<KeyUse>, StoreError>;

    /// A page of audit events with their ids, the latest first.
    async fn events(&mut self, query: &EventQuery) -> Result<Page<(i64, AuditEvent)>, StoreError>;
}

/// A change in the making. Dropped without [`commit`](Self::commit), it never was.
///
/// Whatever is to be changed must be there: else it is a [`StoreError::Conflict`], unless said otherwise.
#[async_trait]
pub trait Transaction: View {
    /// The sequence that this change will have.
    fn seq(&self) -> u64;
    /// The id that it will have, if there is a log of changes to follow.
    fn op_id(&self) -> Option<&str>;

    /// Adds a role.
    async fn insert_role(&mut self, role: NewRole) -> Result<RoleId, StoreError>;
    /// Sets a role's name and description.
    async fn update_role(&mut self, id: RoleId, name: &str, description: &str) -> Result<(), StoreError>;
    /// Replaces a role's permissions.
    async fn set_permissions(&mut self, id: RoleId, permissions: &[Permission]) -> Result<(), StoreError>;
    /// Removes a role that nobody has.
    async fn delete_role(&mut self, id: RoleId) -> Result<(), StoreError>;

    /// Adds an owner.
    async fn insert_owner(&mut self, owner: NewOwner) -> Result<OwnerId, StoreError>;
    /// Sets an owner's e-mail address and names.
    async fn update_owner(&mut self, id: OwnerId, profile: &Profile) -> Result<(), StoreError>;
    /// Sets an owner's state.
    async fn set_owner_state(&mut self, id: OwnerId, state: OwnerState) -> Result<(), StoreError>;
    /// Replaces an owner's roles.
    async fn set_owner_roles(&mut self, id: OwnerId, roles: &[RoleId]) -> Result<(), StoreError>;
    /// Sets an owner's password.
    async fn set_password(&mut self, id: OwnerId, password: &PasswordHash) -> Result<(), StoreError>;
    /// Removes an owner with their tokens, sessions and invitations. For each admin token it adds an event
    /// [`AuditAction::TokenRevoked`](crate::admin::AuditAction::TokenRevoked) with the cause [`AuditCause::OwnerDeleted`].
    async fn delete_owner(&mut self, id: OwnerId, origin: &AuditOrigin) -> Result<(), StoreError>;
    /// Ends an owner's sessions, and answers with their digests.
    async fn delete_sessions(&mut self, id: OwnerId) -> Result<Vec<Digest>, StoreError>;

    /// Gives an owner an invitation; older ones of theirs are gone.
    async fn insert_invitation(&mut self, id: OwnerId, digest: &Digest, ends: Timestamp) -> Result<(), StoreError>;
    /// Removes an owner's invitations, and answers how many there were.
    async fn delete_invitations(&mut self, id: OwnerId) -> Result<u64, StoreError>;

    /// Adds a token.
    async fn insert_token(&mut self, token: NewToken) -> Result<TokenId, StoreError>;
    /// Replaces a token's name, description and what it stands for; kind and owner stay what they are.
    async fn update_token(
        &mut self,
        id: TokenId,
        name: &str,
        description: &str,
        authority: &TokenAuthority,
    ) -> Result<(), StoreError>;
    /// Replaces a token's secret. A sealed copy of the older one is gone.
    async fn set_secret(
        &mut self,
        id: TokenId,
        digest: &Digest,
        hash_key: &HashKeyId,
        hint: &str,
    ) -> Result<(), StoreError>;
    /// Keeps a token's secret, sealed.
    async fn seal_secret(&mut self, id: TokenId, sealed: &SealedSecret) -> Result<(), StoreError>;
    /// Removes a token with all that is its own. One that is gone already is passed over.
    async fn delete_token(&mut self, id: TokenId) -> Result<(), StoreError>;
    /// Removes sessions that ended before now, and answers how many.
    async fn delete_ended_sessions(&mut self) -> Result<u64, StoreError>;
    /// Removes grants that their owners no longer hold, as [`Clamp`] says, and answers what went. For each it adds an event
    /// [`AuditAction::GrantClamped`](crate::admin::AuditAction::GrantClamped) on the token, with the grant as details: `{"action", "resource", "fields"}`, where `fields` is
    /// null for all and otherwise a list. Super admins hold everything.
    async fn clamp(&mut self, clamp: Clamp<'_>, origin: &AuditOrigin, cause: AuditCause)
    -> Result<Clamped, StoreError>;

    /// Remembers for good that this came from a source, and what it is called there. Nothing of a kind comes twice.
    async fn remember_imported(&mut self, source: &str, key: &str, what: Imported) -> Result<(), StoreError>;
    /// Sets when an owner's account was made, for one that is older than this installation.
    async fn backdate_owner(&mut self, id: OwnerId, created_at: Timestamp) -> Result<(), StoreError>;
    /// Sets when a token was made, when it ends and when it was last used, for one that is older than this installation and was
    /// added by this change.
    async fn backdate_token(&mut self, id: TokenId, times: TokenTimes) -> Result<(), StoreError>;

    /// Keeps the check value of a key, in the place of the one that the key's kind and id had.
    async fn set_key_check(&mut self, check: &KeyCheck) -> Result<(), StoreError>;

    /// Adds an audit event.
    async fn audit(&mut self, event: AuditEvent) -> Result<(), StoreError>;
    /// Removes events from before `before`, and answers how many.
    async fn delete_events(&mut self, before: Timestamp) -> Result<u64, StoreError>;

    /// Makes it so, for everybody, with one change row that carries `tags`.
    ///
    /// # Errors
    /// If it did not happen, or ([`StoreError::Unknown`]) if nobody can tell whether it did.
    async fn commit(self: Box<Self>, tags: &[Tag]) -> Result<(), StoreError>;
}

/// Describes a scope in the details of audit events.
pub(crate) fn scope_details(scope: &Scope) -> serde_json::Value {
    let fields = match &scope.fields {
        Fields::All => None,
        Fields::Only(set) => Some(set.as_slice()),
    };
    serde_json::json!({"action": scope.action, "subject": scope.resource, "fields": fields})
}

/// Which grants go.
#[derive(Clone, Copy, Debug)]
pub enum Clamp<'a> {
    /// Of every member of this role: the grants that [`Ceiling::check`] refuses.
    Members(RoleId),
    /// Of this owner: the same.
    Owner(OwnerId),
    /// Of everybody, super admins too: the grants, and the permissions of roles, whose action is none of these. For each
    /// permission there is an event [`AuditAction::PermissionClamped`](crate::admin::AuditAction::PermissionClamped) on the role, with the same details.
    Unknown(&'a [Action]),
}

/// A change that is not made, only asked about: see [`View::preview_clamp`].
#[derive(Clone, Copy, Debug)]
pub enum Proposed<'a> {
    /// This role has these permissions instead of its own, and its members' grants are clamped.
    Permissions(RoleId, &'a [Permission]),
    /// This owner has these roles instead of their own, and their grants are clamped.
    Roles(OwnerId, &'a [RoleId]),
}

/// What went.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Clamped {
    /// From how many tokens.
    pub tokens: u64,
    /// How many of their grants.
    pub grants: u64,
    /// How many permissions of roles.
    pub permissions: u64,
}

/// What is known of a digest at one moment.
#[derive(Debug)]
pub struct Snapshot {
    /// The sequence of the last change that this snapshot contains.
    pub seq: u64,
    /// The id of that change; `None` if there was none yet, or there is no log of changes to follow.
    pub op_id: Option<String>,
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
    /// A value of the change cannot be kept: a character or a number that the store does not take. Nothing happened, and nothing
    /// would if it were tried again.
    #[error("the store cannot keep a value of the change")]
    Invalid(#[source] Box<dyn std::error::Error + Send + Sync>),
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

    fn following(&self) -> Following {
        (**self).following()
    }

    async fn key_checks(&self) -> Result<Option<Vec<KeyCheck>>, StoreError> {
        (**self).key_checks().await
    }

    async fn close(&self) {
        (**self).close().await;
    }
}

#[async_trait]
impl<S: WriteStore + ?Sized> WriteStore for Arc<S> {
    async fn begin(&self) -> Result<Box<dyn Transaction>, StoreError> {
        (**self).begin().await
    }

    async fn view(&self) -> Result<Box<dyn View>, StoreError> {
        (**self).view().await
    }
}
