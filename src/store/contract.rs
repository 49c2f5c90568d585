//! The suite that every backend runs: what [`Store`](super::Store), [`WriteStore`] and [`Transaction`] promise, case by case.
//!
//! ```no_run
//! # async fn demo() {
//! keyward::store::contract::run(async || keyward::MemoryStore::default()).await;
//! # }
//! ```

#![expect(clippy::expect_used, reason = "what fails in a suite is a failed test")]

mod changes;
mod clamping;
mod fixtures;
mod importing;
mod keys;
mod people;
mod tokens;
mod views;
mod writing;

use super::{MemoryStore, StoreError, Transaction, WriteStore};
use crate::domain::{AuditEvent, Timestamp, TokenId};
use async_trait::async_trait;
use std::net::IpAddr;

/// A store under test: besides the contract, what tells whether events and uses were kept.
#[async_trait]
pub trait Backend: WriteStore {
    /// The audit events so far, oldest first.
    async fn audit_events(&self) -> Result<Vec<AuditEvent>, StoreError>;
    /// When a token was last used, and from where, as far as that was written.
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

/// Runs every case, each on a store of its own: `fresh` gives one with nothing in it but the super admin role.
///
/// # Panics
/// If the store breaks a rule. The message says which.
pub async fn run<S: Backend, F: AsyncFn() -> S>(fresh: F) {
    writing::a_fresh_store_has_the_super_admin_role(&fresh().await).await;
    writing::what_was_not_committed_never_was(&fresh().await).await;
    writing::each_commit_raises_the_sequence_by_one(&fresh().await).await;
    writing::a_snapshot_is_all_old_or_all_new(&fresh().await).await;
    writing::writers_follow_one_another(&fresh().await).await;
    writing::audit_events_keep_their_order(&fresh().await).await;
    writing::what_does_not_fit_is_a_conflict(&fresh().await).await;
    people::roles_come_back_as_they_were(&fresh().await).await;
    people::permissions_are_replaced_as_a_whole(&fresh().await).await;
    people::owners_come_back_as_they_were(&fresh().await).await;
    people::addresses_are_unique_in_any_case(&fresh().await).await;
    people::a_ceiling_is_what_the_roles_hold(&fresh().await).await;
    people::super_admins_have_no_ceiling(&fresh().await).await;
    people::other_super_admins_are_counted(&fresh().await).await;
    people::roles_meet_in_an_owner(&fresh().await).await;
    tokens::tokens_come_back_as_they_were(&fresh().await).await;
    tokens::hundreds_of_grants_keep_their_order(&fresh().await).await;
    tokens::an_unknown_digest_is_an_answer(&fresh().await).await;
    tokens::names_are_taken_by_all_but_sessions(&fresh().await).await;
    tokens::sessions_end_together(&fresh().await).await;
    tokens::a_deleted_token_is_gone(&fresh().await).await;
    tokens::no_id_is_used_again(&fresh().await).await;
    tokens::the_latest_use_stays(&fresh().await).await;
    views::a_view_is_of_one_moment(&fresh().await).await;
    views::an_installation_is_empty_until_somebody_comes(&fresh().await).await;
    views::lists_are_sorted_and_whole(&fresh().await).await;
    views::owners_are_searched_sorted_and_paged(&fresh().await).await;
    views::tokens_are_searched_sorted_and_paged(&fresh().await).await;
    views::events_are_found_and_paged(&fresh().await).await;
    views::owners_of_tokens_are_remembered(&fresh().await).await;
    views::owners_and_tokens_are_filtered(&fresh().await).await;
    views::the_places_of_sign_ins_are_found(&fresh().await).await;
    views::who_may_sign_in_is_found(&fresh().await).await;
    views::the_nth_latest_event_of_an_actor_is_found(&fresh().await).await;
    changes::owners_are_changed_one_part_at_a_time(&fresh().await).await;
    changes::roles_are_changed_and_go_when_nobody_has_them(&fresh().await).await;
    changes::a_deleted_owner_leaves_nothing(&fresh().await).await;
    changes::invitations_replace_one_another(&fresh().await).await;
    changes::tokens_are_changed_within_their_kind(&fresh().await).await;
    changes::a_new_secret_ends_the_old_one(&fresh().await).await;
    changes::ended_sessions_are_swept(&fresh().await).await;
    changes::nothing_stays_of_what_was_dropped(&fresh().await).await;
    importing::what_came_is_remembered_for_good(&fresh().await).await;
    importing::what_is_older_keeps_its_times(&fresh().await).await;
    keys::check_values_of_keys_are_kept(&fresh().await).await;
    keys::tokens_are_counted_by_their_keys(&fresh().await).await;
    clamping::clamping_agrees_with_the_ceiling(&fresh().await).await;
    clamping::a_preview_counts_what_the_clamp_takes(&fresh().await).await;
    clamping::unknown_actions_go_from_everybody(&fresh().await).await;
}
