//! PostgreSQL's statements.

statements!(postgres);

/// Until the second one, or the end of the transaction, what is written is not logged as a change by hand.
pub const UNLOGGED: &str = "SET LOCAL keyward.writer = 'on'";
pub const LOGGED_AGAIN: &str = "SET LOCAL keyward.writer = 'off'";

/// What a writer may wait for; how long one statement may take; and after what time one that fell silent loses the epoch, so that who waits gets it. The triggers that
/// log what is changed by hand leave this transaction alone: it logs itself. All of it ends with the transaction, so a
/// pooler may give the connection to somebody else then.
macro_rules! begin {
    ($unless:literal) => {
        concat!(
            "BEGIN; SET LOCAL jit = off; SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '120s'; ",
            "SET LOCAL idle_in_transaction_session_timeout = '4s'; SET LOCAL keyward.writer = 'on'; SELECT set_config('synchronous_commit', 'on', TRUE) ",
            "WHERE current_setting('synchronous_commit') IN (",
            $unless,
            ")"
        )
    };
}
/// What was acknowledged outlives a crash, whatever the role's setting says.
pub const BEGIN: &str = begin!("'off'");
/// And is confirmed by the replicas that have to.
pub const BEGIN_CONFIRMED: &str = begin!("'off', 'local'");
/// For what is no change and need not be confirmed by anybody: the log of uses, and what is too old in the log of changes.
pub const BEGIN_ASIDE: &str = "BEGIN; SET LOCAL lock_timeout = '5s'; \
     SET LOCAL idle_in_transaction_session_timeout = '4s'; SET LOCAL synchronous_commit = local";
pub const BEGIN_READING: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET LOCAL jit = off; \
     SET LOCAL idle_in_transaction_session_timeout = '30s'; SET LOCAL statement_timeout = '30s'";
/// Nothing here runs for so long that compiling it would pay. But after many tokens were imported, and before the tables are
/// analysed, the planner takes a look-up for long enough: then compiling took half a second each.
///
/// A look-up that nobody waits for any more leaves a session behind which the server ends by itself, or there would be no end of
/// them while somebody locks the tables.
pub const BEGIN_LOOK_UP: &str = "BEGIN READ ONLY; SET LOCAL jit = off; SET LOCAL statement_timeout = '2s'; \
     SET LOCAL idle_in_transaction_session_timeout = '4s'";
pub const LOOK_UPS_END: &str = "SET jit = off; SET statement_timeout = '2s'; SET default_transaction_read_only = on";

/// All in one query: what goes is found, remembered and deleted of one moment.
macro_rules! clamp {
    ($which:expr) => {
        concat!(
            "WITH marked AS MATERIALIZED (",
            $which,
            "), remembered AS (",
            remember!("'token', g.token_id, 'admin'"),
            facts!(postgres, "g", " FROM keyward_grant_field f WHERE f.grant_id = g.id"),
            " FROM marked g ORDER BY g.id), ",
            "gone AS (DELETE FROM keyward_grant g USING marked m WHERE g.id = m.id RETURNING g.token_id) ",
            "SELECT COUNT(*) AS grants, COUNT(DISTINCT token_id) AS tokens FROM gone"
        )
    };
}
pub const CLAMP_MEMBERS: &str = clamp!(of_members!("$7", "$8"));
pub const CLAMP_OWNER: &str = clamp!(of_owner!("$7", "$8"));
pub const CLAMP_UNKNOWN: &str = clamp!(of_unknown!(postgres, "$7"));

/// It need not wait for replicas.
pub const HINT: &str = "SELECT set_config('synchronous_commit', 'local', TRUE), pg_notify('keyward', '')";
/// Waits until whoever has the epoch is done, one way or the other.
pub const AFTER_WRITERS: &str = "SELECT seq FROM keyward_epoch WHERE id = 1 FOR UPDATE";

/// Commits something that replicas have to confirm, whatever the role's setting says; and whether there are any that have to.
pub const HEARTBEAT: &str = concat!(
    "SELECT CAST(pg_logical_emit_message(TRUE, 'keyward', '') AS TEXT), set_config('synchronous_commit', CASE ",
    "WHEN current_setting('synchronous_commit') IN ('off', 'local') THEN 'on' ",
    "ELSE current_setting('synchronous_commit') END, TRUE), ",
    "current_setting('synchronous_standby_names') <> '' AS confirmed, ",
    postgres!(who)
);
pub const RECOVERY: &str = "SELECT pg_is_in_recovery() AS replica";
pub const SESSION: &str = "SELECT pg_backend_pid() AS session";
/// Ends sessions of this name that wait for replicas. They would do so for ever, and do not hear that nobody waits for them.
pub const END_WAITING: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
     WHERE application_name = $1 AND wait_event = 'SyncRep'";
/// Who migrates waits for whoever does so already, and not for ever. What is there already is no news.
pub const LOCK_MIGRATIONS: &str = "SET LOCAL client_min_messages = warning; SET LOCAL lock_timeout = '30s'; SELECT pg_advisory_xact_lock(7738711720364864)";
pub const MIGRATED: &str = "SELECT to_regclass('keyward_migrations') IS NOT NULL AS migrated";
pub const NEWEST_MIGRATION: &str = "SELECT MAX(version) AS version FROM keyward_migrations";
