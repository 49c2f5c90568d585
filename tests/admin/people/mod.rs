//! People: signing in, registering, their own account and those of others, on every store.

mod house;
mod others;
mod own_account;
mod quotas;
mod reach;
mod registering;
mod rehearsal;
mod signing_in;
mod stale;

/// Each law on each store.
macro_rules! laws {
    ($($module:ident { $($law:ident)* })*) => {
        mod memory {
            $($(#[tokio::test] async fn $law() { crate::people::$module::$law(crate::people::house::in_memory()).await; })*)*
        }

        mod sqlite {
            $($(#[tokio::test] async fn $law() {
                let dir = tempfile::tempdir().unwrap();
                crate::people::$module::$law(crate::people::house::in_file(dir.path()).await).await;
            })*)*
        }

        #[cfg(feature = "postgres")]
        mod postgres {
            $($(#[tokio::test] async fn $law() {
                if let Some(house) = crate::people::house::in_postgres().await {
                    crate::people::$module::$law(house).await;
                }
            })*)*
        }
    };
}

laws! {
    signing_in {
        somebody_signs_in_and_out
        nobody_learns_why_somebody_cannot_sign_in
        guesses_are_limited_alike
        guesses_at_the_same_time_count_too
        a_success_forgets_failures
        failures_are_remembered_in_aggregate
        sessions_are_ones_own
        an_older_password_opens_nothing
    }
    registering {
        the_first_super_admin_needs_the_code
        only_one_is_the_first
        an_invitation_is_accepted_once
        an_invitation_dies
        who_was_invited_is_not_switched_on_by_others
    }
    own_account {
        names_change_without_a_password
        what_one_signs_in_with_takes_the_password
        guesses_at_the_own_password_are_limited
        a_token_is_not_its_owner
        everybody_sees_what_they_may_do
    }
    others {
        one_event_for_each_kind_of_change
        everything_wrong_is_said_at_once
        sessions_end_and_do_not_revive
        a_smaller_role_takes_grants
        the_last_super_admin_stays
        two_super_admins_do_not_end_both
        who_goes_takes_everything_along
        only_the_program_sets_a_password_by_itself
        nothing_shows_a_secret
    }
    quotas {
        an_owner_has_as_many_tokens_as_the_policy_allows
        a_token_carries_no_grant_twice
        one_more_session_ends_the_oldest
        a_page_is_of_a_size_that_a_store_can_bear
        lists_keep_no_look_up_waiting
        a_preview_and_a_writer_do_not_wait_for_one_another
    }
    reach {
        nobody_touches_the_stronger
        nobody_gives_more_than_they_hold
        nobody_gives_themselves_a_role
        nobody_becomes_somebody_who_sees_other_rows
        tokens_and_visitors_change_nobody
    }
    rehearsal {
        a_smaller_role_tells_what_it_would_take
        fewer_roles_tell_what_they_would_take
        a_rehearsal_obeys_the_rules
        tokens_are_counted_for_each_role
        tokens_of_one_person_are_for_them_and_super_admins
    }
    stale {
        of_two_updates_the_second_is_refused
        whatever_came_between_counts
        what_no_form_shows_does_not_count
        a_role_changes_at_once
        who_may_not_learns_that_and_no_more
        a_version_that_nobody_looks_at_is_refused
    }
}
