//! The suite for stores that keyward only reads: the promises of [`Store`] and [`ChangeLog`](crate::store::ChangeLog), case by case.

mod log;
mod tokens;

use crate::domain::{Digest, Principal, Timestamp};
use crate::store::{Record, Snapshot, Store};
use async_trait::async_trait;

/// A store over tables of your own, with the changes that your application makes to them.
///
/// The tables start without tokens. Each change is one transaction, which is committed when the method returns. A method
/// that fails panics. The names that the suite passes are distinct.
#[async_trait]
pub trait ReadOnlyBackend: Send + Sync {
    /// Returns the store under test.
    fn store(&self) -> &dyn Store;
    /// Returns two actions that a token can be issued for.
    fn actions(&self) -> [&'static str; 2];
    /// Inserts a token with this name for this action alone, without an expiry, and returns the digest of its secret. If
    /// tokens have owners, the owner is active, may do both actions, and has no other token.
    async fn insert(&self, name: &str, action: &'static str) -> Digest;
    /// Sets the time at which a token expires.
    async fn set_expiry(&self, digest: &Digest, at: Timestamp);
    /// Revokes a token.
    async fn revoke(&self, digest: &Digest);
    /// Deactivates the owner of a token. Returns false, and does nothing, if tokens have no owners.
    async fn deactivate_owner(&self, digest: &Digest) -> bool;
}

/// Runs every case for stores that keyward only reads. `fresh` returns one over tables without tokens.
///
/// A store that is [`Following::Blind`](crate::store::Following::Blind) skips the rules of sequence and log.
///
/// ```
/// # use keyward::store::contract::{self, ReadOnlyBackend};
/// async fn app_store_keeps_the_contract<B: ReadOnlyBackend>(fresh: impl AsyncFn() -> B) {
///     contract::read_only(fresh).await;
/// }
/// ```
///
/// # Panics
/// If the store breaks a rule. The message names it.
pub async fn read_only<B: ReadOnlyBackend, F: AsyncFn() -> B>(fresh: F) {
    tokens::inserted_token_resolves(&fresh().await).await;
    tokens::unknown_digest_is_no_error(&fresh().await).await;
    tokens::expiry_is_read(&fresh().await).await;
    tokens::revoked_token_does_not_resolve(&fresh().await).await;
    tokens::token_of_an_inactive_owner_is_not_valid(&fresh().await).await;
    tokens::many_tokens_resolve_like_one(&fresh().await).await;
    tokens::uses_are_no_changes(&fresh().await).await;
    log::each_change_raises_the_sequence(&fresh().await).await;
    log::snapshot_is_of_one_moment(&fresh().await).await;
    log::first_poll_reports_the_last_change_only(&fresh().await).await;
    log::changes_are_reported_once_in_order(&fresh().await).await;
    log::changes_have_the_tags_of_stale_principals(&fresh().await).await;
    log::thousands_of_changes_are_reported_in_parts(&fresh().await).await;
    log::lost_changes_are_unknown(&fresh().await).await;
    log::forgetting_keeps_the_last_change(&fresh().await).await;
    log::dropped_poll_spoils_nothing(&fresh().await).await;
}

/// No token has this digest.
const UNKNOWN: Digest = Digest::Native([0; 27]);

async fn resolve(backend: &impl ReadOnlyBackend, digest: &Digest) -> Snapshot {
    backend.store().resolve(digest).await.expect("a digest is resolved, known or not")
}

async fn insert(backend: &impl ReadOnlyBackend, name: &str) -> Digest {
    let [action, _] = backend.actions();
    backend.insert(name, action).await
}

/// Returns true if a request with this token is admitted, as far as the record decides.
fn is_valid(record: &Record) -> bool {
    let is_over = record.token.expires_at.is_some_and(|at| at <= record.now);
    !is_over && principal(record).is_some() && record.owner.as_ref().is_none_or(|(owner, _)| owner.state.is_active())
}

fn principal(record: &Record) -> Option<Principal> {
    Principal::of(&record.token, record.owner.as_ref().map(|(owner, ceiling)| (owner, ceiling)))
}
