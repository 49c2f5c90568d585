//! People, on every store: sign-in, registration, own and other accounts.

mod account_policy;
mod other_accounts;
mod own_account;
mod preview;
mod quotas;
mod registration;
mod setup;
mod sign_in;
mod versions;

/// Runs each test on each store.
macro_rules! on_every_store {
    ($($module:ident { $($test:ident)* })*) => {
        mod memory {
            $($(#[tokio::test] async fn $test() { crate::people::$module::$test(crate::people::setup::in_memory()).await; })*)*
        }

        mod sqlite {
            $($(#[tokio::test] async fn $test() {
                let dir = tempfile::tempdir().unwrap();
                crate::people::$module::$test(crate::people::setup::in_file(dir.path()).await).await;
            })*)*
        }

        #[cfg(feature = "postgres")]
        mod postgres {
            $($(#[tokio::test] async fn $test() {
                if let Some(setup) = crate::people::setup::in_postgres().await {
                    crate::people::$module::$test(setup).await;
                }
            })*)*
        }
    };
}

on_every_store! {
    sign_in {
        person_signs_in_and_out
        failed_sign_in_does_not_reveal_the_reason
        guesses_are_limited_alike_for_known_and_unknown_addresses
        concurrent_guesses_count
        success_resets_failures
        failures_are_counted_in_aggregate
        person_sees_and_ends_only_own_sessions
        former_password_does_not_sign_in
    }
    registration {
        first_super_admin_needs_the_setup_code
        only_one_account_becomes_first_super_admin
        invitation_is_accepted_once
        replaced_withdrawn_or_expired_invitation_is_rejected
        invited_account_is_not_activated_by_others
    }
    own_account {
        own_name_changes_without_a_password
        own_address_and_password_change_only_with_the_password
        guesses_at_the_own_password_are_limited
        token_changes_nothing_of_its_owner
        account_lists_its_own_permissions
    }
    other_accounts {
        each_change_has_one_event
        all_invalid_fields_are_reported_at_once
        ended_sessions_do_not_revive
        smaller_role_removes_grants
        last_super_admin_is_kept
        concurrent_deletions_keep_one_super_admin
        deleted_account_takes_its_tokens_and_sessions
        only_the_host_sets_a_password_without_the_old_one
        debug_output_has_no_secret
    }
    quotas {
        tokens_per_owner_are_limited_by_the_policy
        duplicate_grants_are_rejected
        session_over_the_limit_ends_the_oldest
        page_size_is_bounded
        lists_do_not_delay_look_ups
        previews_and_writers_do_not_block_each_other
    }
    account_policy {
        account_with_more_permissions_is_not_changed
        actor_grants_only_own_permissions
        actor_does_not_change_own_roles
        actor_cannot_control_an_account_that_sees_other_rows
        tokens_and_anonymous_callers_change_no_account
    }
    preview {
        preview_of_a_smaller_role_counts_lost_grants
        preview_of_fewer_roles_counts_lost_grants
        preview_applies_the_rules_of_the_change
        tokens_are_counted_per_role
        tokens_of_a_person_are_listed_for_that_person_and_super_admins
    }
    versions {
        second_update_of_the_same_version_is_rejected
        any_change_in_between_makes_an_update_stale
        last_use_and_password_do_not_make_an_update_stale
        role_update_is_atomic
        stale_version_is_not_reported_without_permission
        unchecked_version_is_rejected
    }
}
