//! Stores: where tokens, owners and roles live.
//!
//! [`Store`] is what the gate needs and no more; a foreign database that is only read implements it alone. [`WriteStore`] adds
//! the transactions of the services. [`contract`] holds the suite that every backend runs.
//!
//! What it takes to use a store is at the root of the crate too; what is here alone is for those who write one.

mod accounts;
mod audit;
#[cfg(any(test, feature = "testing"))]
pub mod contract;
mod imports;
mod keys;
mod list;
mod memory;
mod new;
mod roles;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod sql;
#[cfg(feature = "strapi")]
pub(crate) mod strapi;
mod tokens;

pub use crate::domain::{
    Digest, KeyCheck, KeyKind, KeyUse, MalformedDigest, PasswordHash, SealedSecret, Tag, comparable,
};
pub use accounts::{ReadAccounts, WriteAccounts};
pub(crate) use audit::scope_details;
pub use audit::{ReadAudit, WriteAudit};
pub use imports::{ReadImports, WriteImports};
pub use keys::{ReadKeys, WriteKeys};
pub(crate) use list::one_part_each;
pub use list::{
    EventQuery, EventsOfActor, Filter, FilterTest, OwnerField, OwnerQuery, OwnerSort, Page, Paging, SignInPlace,
    TokenField, TokenQuery, TokenSort,
};
pub use memory::MemoryStore;
pub use new::{Imported, NewOwner, NewRole, NewToken, Profile, TokenTimes};
pub use roles::{ReadRoles, WriteRoles};
#[cfg(feature = "postgres")]
pub use sql::postgres::{PostgresOptions, PostgresStore};
#[cfg(feature = "sqlite")]
pub use sql::sqlite::{SqliteOptions, SqliteStore};
pub use tokens::{Clamp, Clamped, Proposed, ReadTokens, WriteTokens};

use crate::domain::{Ceiling, Owner, OwnerId, Timestamp, Token, TokenId};
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

    /// Returns the check values of the keys that the data rests on; `None` if this store has none.
    ///
    /// # Errors
    /// [`StoreError`] if the store fails.
    async fn key_checks(&self) -> Result<Option<Vec<KeyCheck>>, StoreError>;

    /// Closes all connections, for all clones, after the statements that run. [`Keyward::shutdown`](crate::guard::Guard::shutdown) calls
    /// it.
    async fn close(&self);
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

    /// Returns the active owner with this e-mail address and the owner's password, for a sign-in.
    ///
    /// A store with separate connections for look-ups reads it there: lists must not delay sign-ins. Others may use
    /// [`sign_in_candidate_in`].
    ///
    /// # Errors
    /// [`StoreError`] if the store fails.
    async fn sign_in_candidate(&self, email: &str) -> Result<Option<(OwnerId, PasswordHash)>, StoreError>;
}

/// A view of a store at one moment. Roles are listed completely, other lists page by page.
#[async_trait]
pub trait View: ReadRoles + ReadAccounts + ReadTokens + ReadAudit + ReadImports + ReadKeys + Send {
    /// The store's time when the view was opened.
    fn now(&self) -> Timestamp;

    /// Returns whether there is no owner and no token of any kind.
    async fn is_empty(&mut self) -> Result<bool, StoreError>;
}

/// An open transaction. If it is dropped without [`commit`](Self::commit), it is rolled back.
///
/// A change of a record that does not exist is a [`StoreError::Conflict`], unless the method says otherwise.
#[async_trait]
pub trait Transaction: View + WriteRoles + WriteAccounts + WriteTokens + WriteAudit + WriteImports + WriteKeys {
    /// The sequence that this change will have.
    fn seq(&self) -> u64;
    /// The id that this change will have, if the store has a change log.
    fn op_id(&self) -> Option<&str>;

    /// Commits, with one row in the change log that carries `tags`.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] if the outcome is unknown; any other error if the change did not happen.
    async fn commit(self: Box<Self>, tags: &[Tag]) -> Result<(), StoreError>;
}

/// Returns the active owner with this e-mail address and the owner's password, as a view shows it. For stores whose
/// [`WriteStore::sign_in_candidate`] needs no connection of its own.
///
/// # Errors
/// [`StoreError`] if the view fails.
pub async fn sign_in_candidate_in(
    view: &mut dyn View,
    email: &str,
) -> Result<Option<(OwnerId, PasswordHash)>, StoreError> {
    // No owner has this id. Every address takes the same reads, so that the timing does not tell which accounts exist.
    let id = view.owner_with_email(email).await?.unwrap_or(OwnerId(0));
    let is_active = view.owner(id).await?.is_some_and(|owner| owner.state.is_active());
    let password = view.password(id).await?;
    Ok(password.filter(|_| is_active).map(|password| (id, password)))
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

    async fn sign_in_candidate(&self, email: &str) -> Result<Option<(OwnerId, PasswordHash)>, StoreError> {
        (**self).sign_in_candidate(email).await
    }
}
