//! Stores of tokens, owners, roles and the audit log.
//!
//! [`Store`] has what the guard needs; a foreign database that is only read implements it alone, and so do [own
//! stores](crate::guide::own_stores). [`WriteStore`] adds views and transactions for the services, made of traits by entity. [`contract`] is
//! the suite of tests that every store runs.

mod accounts;
mod audit;
#[cfg(any(test, feature = "testing"))]
pub mod contract;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod host_transaction;
mod imports;
mod keys;
mod list;
mod memory;
mod new;
mod notices;
mod recent;
mod roles;
mod selection;
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
pub use audit::{AuditBounds, ReadAudit, WriteAudit};
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use host_transaction::HostTransaction;
pub use imports::{ReadImports, WriteImports};
pub use keys::{ReadKeys, WriteKeys};
pub(crate) use list::one_part_each;
pub use list::{
    EventQuery, EventsOfActor, Filter, FilterTest, MetadataFilter, OwnerField, OwnerQuery, OwnerSort, Page, Paging,
    SignInPlace, TokenField, TokenQuery, TokenSort,
};
pub use memory::MemoryStore;
pub use new::{Imported, NameScope, NewOwner, NewRole, NewToken, Profile, StoredSecret, TokenTimes};
pub use notices::{Lease, Notice, NoticeKey, NoticeQuery, NoticeReason, ReadNotices, WriteNotices};
pub use recent::{RecentPosition, RecentTokens};
pub use roles::{ReadRoles, WriteRoles};
pub use selection::{SelectedToken, TokenSelection};
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use sql::MigrationFile;
#[cfg(feature = "postgres")]
pub use sql::postgres::{PostgresOptions, PostgresStore};
#[cfg(feature = "sqlite")]
pub use sql::sqlite::{SqliteOptions, SqliteStore};
pub use tokens::{Clamp, Clamped, Proposed, REMEMBERED_SECRETS, ReadTokens, WriteTokens};

use crate::domain::{AccountKey, Ceiling, Owner, OwnerId, Timestamp, Token, TokenId};
use async_trait::async_trait;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// A store that resolves tokens: the part that the guard needs.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Returns the token with this digest and the sequence of the last change, both from one snapshot.
    ///
    /// A store that [remembers replaced secrets](crate::token::Token::previous) finds a token by their digests too. What such a secret is
    /// worth is decided by [`Token::previous`](crate::token::Token::previous): a digest that is neither the token's nor that one's has ended.
    ///
    /// # Errors
    /// [`StoreError`] if the store fails. An unknown digest is not an error.
    async fn resolve(&self, digest: &Digest) -> Result<Snapshot, StoreError>;

    /// Returns for each digest, in this order, what [`resolve`](Self::resolve) returns. Each snapshot has the sequence of
    /// its moment; the moments may differ.
    ///
    /// The default reads them one after another.
    ///
    /// # Errors
    /// [`StoreError`] if the store fails. A token that cannot be read is an error of its own, and does not affect the
    /// others.
    async fn resolve_many(&self, digests: &[Digest]) -> Result<Vec<Result<Snapshot, StoreError>>, StoreError> {
        let mut snapshots = Vec::with_capacity(digests.len());
        for digest in digests {
            snapshots.push(self.resolve(digest).await);
        }
        Ok(snapshots)
    }

    /// Returns how many digests [`resolve_many`](Self::resolve_many) is asked for at most. More than one if it reads
    /// them faster than concurrent calls of [`resolve`](Self::resolve); the default is one, and then it is never called.
    fn batch_size(&self) -> usize {
        1
    }

    /// Stores when tokens were last used; of two uses the later one stays. Tokens that do not exist are skipped.
    ///
    /// A use is not a change: it does not raise the sequence.
    ///
    /// # Errors
    /// [`StoreError`] if no use was stored.
    async fn note_uses(&self, uses: &[Use]) -> Result<(), StoreError>;

    /// Returns how the changes of other nodes become known.
    fn following(&self) -> Following;

    /// Returns the check values of the keys that the data uses; `None` if this store has none.
    ///
    /// # Errors
    /// [`StoreError`] if the store fails.
    async fn key_checks(&self) -> Result<Option<Vec<KeyCheck>>, StoreError>;

    /// Returns a page of the admin and content tokens that were used last: about `tokens` of them on all pages, from
    /// the position that the page before returned. Sessions are not among them.
    ///
    /// A [warm-up](crate::Builder::warm_up) reads them. It must not delay look-ups: use other connections than
    /// [`resolve`](Self::resolve). The default returns none.
    ///
    /// # Errors
    /// [`StoreError`] if the store fails.
    async fn recent_tokens(&self, tokens: u32, position: Option<RecentPosition>) -> Result<RecentTokens, StoreError> {
        _ = (tokens, position);
        Ok(RecentTokens::default())
    }

    /// Closes all connections, for all clones, after the statements that run. [`Keyward::shutdown`](crate::guard::Guard::shutdown) calls
    /// it.
    async fn close(&self);
}

/// How the changes of other nodes become known.
#[derive(Debug)]
pub enum Following {
    /// Not at all: cached principals are loaded again after [`Limits::max_staleness`](crate::guard::Limits::max_staleness).
    Blind,
    /// By the change log.
    Log(Box<dyn ChangeLog>),
}

/// The change log, polled by one reader on a connection of its own.
#[async_trait]
pub trait ChangeLog: fmt::Debug + Send + 'static {
    /// Reads the changes after `applied` from one snapshot of the live primary: a lagging replica is an error.
    ///
    /// The caller may drop the future at its deadline. The next call must then work, on a new connection if necessary.
    ///
    /// # Errors
    /// [`StoreError`] if the store fails.
    async fn poll(&mut self, applied: Option<&Applied>) -> Result<Poll, StoreError>;

    /// Waits until there are probably changes to read. It is a hint: it may return without changes, or never.
    async fn hint(&mut self);

    /// Deletes changes from before `before` (the store's time), except the latest ones: the oldest thousand, so that one call is short. If it
    /// deleted as many, the caller calls it again.
    ///
    /// The caller may drop the future, as with [`poll`](Self::poll).
    ///
    /// # Errors
    /// [`StoreError`] if the store fails.
    async fn forget(&mut self, before: Timestamp) -> Result<u64, StoreError>;
}

/// The most changes that are deleted at a time.
pub(crate) const BATCH: u64 = 1000;

/// A change that a reader has applied. The store needs both fields: after a restore, another change may have this sequence.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Applied {
    /// The sequence.
    pub seq: u64,
    /// The id.
    pub op_id: String,
}

/// The result of a poll.
#[derive(Clone, Debug)]
pub struct Poll {
    /// The store's time.
    pub now: Timestamp,
    /// The sequence of the last change.
    pub head: u64,
    /// Whether the log has the applied change; true if the poll named none.
    pub known: bool,
    /// The first thousand changes after the applied one, in order. If the poll named none, only the last change, if there is one.
    pub changes: Vec<LoggedChange>,
}

/// A committed change.
#[derive(Clone, Debug)]
pub struct LoggedChange {
    /// The sequence: one more than that of the change before.
    pub seq: u64,
    /// The id.
    pub op_id: String,
    /// The time, by the store's clock.
    pub at: Timestamp,
    /// The tags of the principals that the change made stale.
    pub tags: Vec<Tag>,
}

/// A store that the services read and change.
#[async_trait]
pub trait WriteStore: Store {
    /// Opens a transaction. Writers are serialised; the next one waits up to 5 s for this one.
    ///
    /// # Errors
    /// [`StoreError::Busy`] after that wait, or another error if the store fails.
    async fn begin(&self) -> Result<Box<dyn Transaction>, StoreError>;

    /// Opens a transaction within an open one of the host. If it fails, its changes are rolled back alone.
    ///
    /// Its [`commit`](Transaction::commit) ends it. The change counts when the host commits, and nothing of it is left
    /// if the host rolls back. From here until then the host holds the lock that serialises writers.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] if the store takes no such transaction, which is the default; else like
    /// [`begin`](Self::begin).
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    async fn begin_within<'t>(&'t self, host: HostTransaction<'t>) -> Result<Box<dyn Transaction + 't>, StoreError> {
        _ = host;
        Err(StoreError::Invalid("the store takes no transaction of this kind: pass one of its own database".into()))
    }

    /// Tells other nodes that a transaction of the host committed a change. It is a hint, and may do nothing.
    fn announce(&self) {}

    /// Opens a view of one moment. It takes no writer's lock.
    ///
    /// # Errors
    /// [`StoreError`] if the store fails.
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
pub trait View:
    ReadRoles + ReadAccounts + ReadTokens + ReadAudit + ReadNotices + ReadImports + ReadKeys + Send
{
    /// Returns the store's time when the view was opened.
    fn now(&self) -> Timestamp;

    /// Returns whether there is no owner and no token of any kind.
    async fn is_empty(&mut self) -> Result<bool, StoreError>;
}

/// An open transaction. If it is dropped without [`commit`](Self::commit), it is rolled back.
///
/// A change of a record that does not exist is a [`StoreError::Conflict`], unless the method says otherwise.
#[async_trait]
pub trait Transaction:
    View + WriteRoles + WriteAccounts + WriteTokens + WriteAudit + WriteNotices + WriteImports + WriteKeys
{
    /// Returns the sequence that this change will have.
    fn seq(&self) -> u64;
    /// Returns the id that this change will have, if the store has a change log.
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

/// The token of a digest at one moment.
#[derive(Debug)]
pub struct Snapshot {
    /// The sequence of the last change in this snapshot.
    pub seq: u64,
    /// The id of that change; `None` if there was no change yet, or the store has no change log.
    pub op_id: Option<String>,
    /// The token with its owner and ceiling; `None` if there is no such token.
    pub record: Option<Record>,
}

/// A token with its owner and ceiling.
#[derive(Debug)]
pub struct Record {
    /// The token.
    pub token: Token,
    /// The owner and its ceiling; `None` for content tokens, and if the owner does not exist.
    pub owner: Option<(Owner, Ceiling)>,
    /// The store's time, against which expiry is computed.
    pub now: Timestamp,
}

impl Record {
    /// Returns the host's key of the owner, if it is an account of the host.
    pub(crate) fn account(&self) -> Option<&AccountKey> {
        self.owner.as_ref().and_then(|(owner, _)| owner.account.as_ref())
    }
}

/// A use of a token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Use {
    /// The token.
    pub token: TokenId,
    /// The digest of the secret that was presented.
    pub digest: Digest,
    /// The time, by this node's wall clock.
    pub at: Timestamp,
    /// The client's address, if the server knows it.
    pub address: Option<IpAddr>,
    /// The tool of an MCP server that was called: its name, or the method of another call.
    pub tool: Option<Arc<str>>,
}

/// An error of a store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store could not be reached, or failed.
    #[error("store unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The store was busy for too long.
    #[error(
        "store busy for too long: another transaction kept its lock (a call inside a transaction of the host waits for that \
         transaction itself: use Tokens::within or AccountReports::within)"
    )]
    Busy,
    /// A transaction of the host in SQLite cannot write, as it has read before another connection wrote.
    #[error(
        "the transaction has read, and another connection writes or has written since, so it cannot write: begin it with \
         BEGIN IMMEDIATE"
    )]
    DeferredTransaction,
    /// The change conflicts with the data: a name that is taken, a record that does not exist. Nothing happened.
    #[error("the change conflicts with the data in the store")]
    Conflict(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A value cannot be stored: a character or a number that the store does not take. Nothing happened, and a retry would fail too.
    #[error("a value of the change cannot be stored")]
    Invalid(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The store holds invalid data.
    #[error("corrupt data in store: {0}")]
    Corrupt(String),
    /// The connection was lost during the commit: the change may have happened.
    #[error("the outcome of the commit is unknown")]
    Unknown(#[source] Box<dyn std::error::Error + Send + Sync>),
}

#[async_trait]
impl<S: Store + ?Sized> Store for Arc<S> {
    async fn resolve(&self, digest: &Digest) -> Result<Snapshot, StoreError> {
        (**self).resolve(digest).await
    }

    async fn resolve_many(&self, digests: &[Digest]) -> Result<Vec<Result<Snapshot, StoreError>>, StoreError> {
        (**self).resolve_many(digests).await
    }

    fn batch_size(&self) -> usize {
        (**self).batch_size()
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

    async fn recent_tokens(&self, tokens: u32, position: Option<RecentPosition>) -> Result<RecentTokens, StoreError> {
        (**self).recent_tokens(tokens, position).await
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

    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    async fn begin_within<'t>(&'t self, host: HostTransaction<'t>) -> Result<Box<dyn Transaction + 't>, StoreError> {
        (**self).begin_within(host).await
    }

    fn announce(&self) {
        (**self).announce();
    }

    async fn view(&self) -> Result<Box<dyn View>, StoreError> {
        (**self).view().await
    }

    async fn sign_in_candidate(&self, email: &str) -> Result<Option<(OwnerId, PasswordHash)>, StoreError> {
        (**self).sign_in_candidate(email).await
    }
}
