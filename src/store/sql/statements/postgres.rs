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
pub const AFTER_WRITERS: &str = "SELECT installation FROM keyward_epoch WHERE id = 1 FOR UPDATE";

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

/// Who asks, and what unqualified names mean: `writable` is the first schema of the search path in which tables may be made.
pub const AT_HOME: &str = "SELECT CAST(current_user AS TEXT) AS role, CAST(current_database() AS TEXT) AS database, \
     (SELECT CAST(pg_encoding_to_char(d.encoding) AS TEXT) FROM pg_database d WHERE d.datname = current_database()) AS encoding, \
     current_setting('search_path') AS path, \
     (SELECT CAST(p.s AS TEXT) FROM unnest(current_schemas(FALSE)) WITH ORDINALITY AS p (s, n) \
     WHERE has_schema_privilege(CAST(p.s AS TEXT), 'CREATE') ORDER BY p.n LIMIT 1) AS writable";
/// Every schema of the database that holds tables of an installation.
pub const INSTALLATIONS: &str = "SELECT CAST(n.nspname AS TEXT) AS schema, has_schema_privilege(n.oid, 'USAGE') AS usable, \
     CAST(pg_get_userbyid(c.relowner) AS TEXT) AS owner FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
     WHERE c.relname = 'keyward_epoch' AND c.relkind = 'r' AND c.relpersistence <> 't' ORDER BY n.nspname";
pub const SCHEMA_EXISTS: &str = "SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = $1) AS found";
/// Which of the tables of the schema `$1` this role may not read, and which it may read but not write to.
pub const DENIED: &str = "SELECT string_agg(CAST(c.relname AS TEXT), ', ' ORDER BY c.relname) \
     FILTER (WHERE NOT has_table_privilege(c.oid, 'SELECT')) AS unread, \
     string_agg(CAST(c.relname AS TEXT), ', ' ORDER BY c.relname) FILTER (WHERE c.relname <> 'keyward_migrations' \
     AND NOT has_table_privilege(c.oid, CASE c.relname WHEN 'keyward_epoch' THEN 'UPDATE' ELSE 'INSERT' END)) AS unwritten \
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
     WHERE n.nspname = $1 AND c.relkind = 'r' AND c.relname LIKE 'keyward\\_%'";
/// How many functions of the schema `$1` look for tables elsewhere: it had another name when they were made.
pub const ASTRAY: &str = "SELECT COUNT(*) AS n FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace \
     WHERE n.nspname = $1 AND p.proname IN ('keyward_drop_grant_fields', 'keyward_log_by_hand') \
     AND NOT COALESCE('search_path=' || quote_ident($1) || ', pg_temp' = ANY (p.proconfig), FALSE)";
/// For a migration: unqualified names mean the schema `$1`, and nothing else.
pub const GO_HOME: &str = "SELECT set_config('search_path', quote_ident($1) || ', pg_temp', TRUE)";
pub const HOME: &str = "SELECT CAST(current_schema() AS TEXT) AS home";
pub const PIN: [&str; 2] = [
    "ALTER FUNCTION keyward_drop_grant_fields() SET search_path FROM CURRENT",
    "ALTER FUNCTION keyward_log_by_hand() SET search_path FROM CURRENT",
];
pub const MIGRATED: &str = "SELECT version, checksum FROM keyward_migrations ORDER BY version";
pub const INSTALLATION: &str = "SELECT installation FROM keyward_epoch WHERE id = 1";
