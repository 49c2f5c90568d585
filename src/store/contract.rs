//! The suite that every backend runs: the promises of [`Store`](super::Store), [`WriteStore`] and [`Transaction`], case by case.
//!
//! ```no_run
//! # async fn demo() {
//! keyward::store::contract::run(async || keyward::MemoryStore::default()).await;
//! # }
//! ```
//!
//! [`read_only`] is the suite for a [`Store`](super::Store) that keyward only reads.

#![expect(clippy::expect_used, reason = "a failure in this suite is a failed test")]

mod batches;
mod changes;
mod clamping;
mod fixtures;
mod importing;
mod keys;
mod notices;
mod people;
mod read_only;
mod selection;
mod tokens;
mod views;
mod writing;

pub use read_only::{ReadOnlyBackend, read_only};

use super::{MemoryStore, StoreError, Transaction, WriteStore};
use crate::domain::{AuditEvent, Timestamp, TokenId};
use async_trait::async_trait;
use std::net::IpAddr;

/// A store under test, with queries for the stored events and uses.
#[async_trait]
pub trait Backend: WriteStore {
    /// Returns all audit events, oldest first.
    async fn audit_events(&self) -> Result<Vec<AuditEvent>, StoreError>;
    /// Returns the time and client address of a token's last use, as far as it is written.
    async fn last_use(&self, id: TokenId) -> Result<Option<(Timestamp, Option<IpAddr>)>, StoreError>;
}

#[async_trait]
impl Backend for MemoryStore {
    async fn audit_events(&self) -> Result<Vec<AuditEvent>, StoreError> {
        Ok(self.audit_events())
    }

    async fn last_use(&self, id: TokenId) -> Result<Option<(Timestamp, Option<IpAddr>)>, StoreError> {
        Ok(self.last_use(id))
    }
}

#[cfg(feature = "sqlite")]
#[async_trait]
impl Backend for super::SqliteStore {
    async fn audit_events(&self) -> Result<Vec<AuditEvent>, StoreError> {
        self.audit_events().await
    }

    async fn last_use(&self, id: TokenId) -> Result<Option<(Timestamp, Option<IpAddr>)>, StoreError> {
        self.last_use(id).await
    }
}

#[cfg(feature = "postgres")]
#[async_trait]
impl Backend for super::PostgresStore {
    async fn audit_events(&self) -> Result<Vec<AuditEvent>, StoreError> {
        self.audit_events().await
    }

    async fn last_use(&self, id: TokenId) -> Result<Option<(Timestamp, Option<IpAddr>)>, StoreError> {
        self.last_use(id).await
    }
}

/// Runs every case, each on a store of its own. `fresh` returns a store that has only the super admin role.
///
/// # Panics
/// If the store breaks a rule. The message names it.
pub async fn run<S: Backend, F: AsyncFn() -> S>(fresh: F) {
    writing::new_store_has_the_super_admin_role(&fresh().await).await;
    writing::uncommitted_changes_are_rolled_back(&fresh().await).await;
    writing::each_commit_raises_the_sequence_by_one(&fresh().await).await;
    writing::snapshot_is_entirely_before_or_after_a_change(&fresh().await).await;
    writing::writers_are_serialized(&fresh().await).await;
    writing::audit_events_keep_their_order(&fresh().await).await;
    writing::invalid_references_are_conflicts(&fresh().await).await;
    people::roles_are_read_back_unchanged(&fresh().await).await;
    people::permissions_are_replaced_as_a_whole(&fresh().await).await;
    people::owners_are_read_back_unchanged(&fresh().await).await;
    people::addresses_are_unique_in_any_case(&fresh().await).await;
    people::accounts_are_owners_by_their_key(&fresh().await).await;
    people::ceiling_is_the_union_of_the_roles(&fresh().await).await;
    people::super_admins_have_no_ceiling(&fresh().await).await;
    people::other_super_admins_are_counted(&fresh().await).await;
    people::owners_with_roles_of_two_lists_are_detected(&fresh().await).await;
    tokens::tokens_are_read_back_unchanged(&fresh().await).await;
    tokens::hundreds_of_grants_keep_their_order(&fresh().await).await;
    tokens::unknown_digest_resolves_to_no_record(&fresh().await).await;
    tokens::names_are_unique_except_for_sessions(&fresh().await).await;
    tokens::names_are_unique_in_their_scope(&fresh().await).await;
    tokens::sessions_of_an_owner_are_deleted_together(&fresh().await).await;
    tokens::deleted_token_does_not_resolve(&fresh().await).await;
    tokens::ids_are_not_reused(&fresh().await).await;
    tokens::latest_use_is_kept(&fresh().await).await;
    batches::many_tokens_resolve_like_one(&fresh().await).await;
    batches::tokens_are_found_with_their_ancestors(&fresh().await).await;
    batches::batch_is_entirely_before_or_after_a_change(&fresh().await).await;
    tokens::recent_tokens_are_read_in_pages(&fresh().await).await;
    views::view_reads_one_point_in_time(&fresh().await).await;
    views::store_is_empty_until_an_owner_or_token_is_added(&fresh().await).await;
    views::lists_are_sorted_and_complete(&fresh().await).await;
    views::owners_are_searched_sorted_and_paged(&fresh().await).await;
    views::tokens_are_searched_sorted_and_paged(&fresh().await).await;
    views::events_are_filtered_and_paged(&fresh().await).await;
    views::owners_of_deleted_tokens_are_known(&fresh().await).await;
    views::owners_and_tokens_are_filtered(&fresh().await).await;
    views::tokens_are_filtered_by_metadata(&fresh().await).await;
    views::sign_in_places_are_the_latest_of_each_person(&fresh().await).await;
    views::sign_in_candidates_are_active_owners_with_a_password(&fresh().await).await;
    views::nth_latest_event_of_an_actor_is_found(&fresh().await).await;
    changes::owners_are_changed_one_part_at_a_time(&fresh().await).await;
    changes::roles_are_changed_and_deleted_without_members(&fresh().await).await;
    changes::deleting_an_owner_cascades(&fresh().await).await;
    changes::new_invitation_replaces_the_old_one(&fresh().await).await;
    changes::tokens_are_changed_within_their_kind(&fresh().await).await;
    changes::new_secret_replaces_the_old_one(&fresh().await).await;
    changes::expired_sessions_are_deleted(&fresh().await).await;
    changes::dropped_transactions_change_nothing(&fresh().await).await;
    importing::imported_keys_outlive_their_records(&fresh().await).await;
    importing::imported_records_keep_their_times(&fresh().await).await;
    keys::key_check_values_are_stored(&fresh().await).await;
    keys::tokens_are_counted_per_key(&fresh().await).await;
    notices::events_are_read_in_the_order_of_commits(&fresh().await).await;
    notices::bounds_of_the_log_are_known(&fresh().await).await;
    notices::leases_are_stored_by_name(&fresh().await).await;
    notices::expiring_tokens_are_due_once_for_the_nearest_time(&fresh().await).await;
    notices::tokens_that_are_not_used_are_due_once_for_each_use(&fresh().await).await;
    notices::notices_that_no_longer_fit_are_not_recorded(&fresh().await).await;
    clamping::clamping_agrees_with_the_ceiling(&fresh().await).await;
    clamping::preview_counts_as_many_as_the_clamp_deletes(&fresh().await).await;
    clamping::unknown_actions_are_clamped_for_all_owners(&fresh().await).await;
    clamping::listed_grants_are_clamped(&fresh().await).await;
    selection::selections_agree_with_the_tokens(&fresh().await).await;
    selection::revoked_tokens_are_gone_with_an_event_each(&fresh().await).await;
    selection::tokens_are_revoked_together_or_not_at_all(&fresh().await).await;
}
