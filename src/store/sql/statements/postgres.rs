//! Statements that only PostgreSQL has, and its dialect of the others.

statements!(postgres);

/// Stops logging hand-written changes, until the next statement or the end of the transaction.
pub const SUSPEND_HAND_LOG: &str = "SET LOCAL keyward.writer = 'on'";
pub const RESUME_HAND_LOG: &str = "SET LOCAL keyward.writer = 'off'";

/// Begins a transaction that writes, whatever the role's defaults for isolation and access are.
pub const BEGIN_MIGRATION: &str = "BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE";

/// Starts a writer, with limits on its waits, its statements and its silence, after which it loses the epoch to waiting
/// writers. The triggers that log hand-written changes skip this transaction, which writes its own change row. All
/// settings end with the transaction, so a pooler may give the connection to another client then.
macro_rules! begin {
    ($unless:literal) => {
        concat!(
            "BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE; SET LOCAL jit = off; SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '120s'; ",
            "SET LOCAL idle_in_transaction_session_timeout = '4s'; SET LOCAL keyward.writer = 'on'; SELECT set_config('synchronous_commit', 'on', TRUE) ",
            "WHERE current_setting('synchronous_commit') IN (",
            $unless,
            ")"
        )
    };
}
/// An acknowledged change survives a crash, whatever the role's setting is.
pub const BEGIN: &str = begin!("'off'");
/// The same, confirmed by the synchronous replicas.
pub const BEGIN_CONFIRMED: &str = begin!("'off', 'local'");

/// Begins a part of a transaction of the host. What it holds from now on, all other writers wait for: so the host loses
/// it after 30 s of silence, if it has no limit of its own.
macro_rules! join {
    ($unless:literal) => {
        concat!(
            "SELECT current_setting('lock_timeout') AS lock_timeout, set_config('lock_timeout', '5s', TRUE), ",
            "set_config('keyward.writer', 'on', TRUE), set_config('synchronous_commit', CASE ",
            "WHEN current_setting('synchronous_commit') IN (",
            $unless,
            ") THEN 'on' ELSE current_setting('synchronous_commit') END, TRUE), ",
            "set_config('idle_in_transaction_session_timeout', CASE ",
            "WHEN current_setting('idle_in_transaction_session_timeout') = '0' THEN '30s' ",
            "ELSE current_setting('idle_in_transaction_session_timeout') END, TRUE), ",
            postgres!(who)
        )
    };
}
pub const JOIN: &str = join!("'off'");
pub const JOIN_CONFIRMED: &str = join!("'off', 'local'");
/// Ends a part of a transaction of the host: its own statements on our tables are changes by hand.
pub const LEAVE: &str = "SELECT set_config('lock_timeout', $1, TRUE), set_config('keyward.writer', 'off', TRUE)";
/// For writes that are no changes and need no confirmation: uses, and old rows of the log of changes.
pub const BEGIN_UNCONFIRMED: &str = "BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE; SET LOCAL lock_timeout = '5s'; \
     SET LOCAL idle_in_transaction_session_timeout = '4s'; SET LOCAL synchronous_commit = local";
pub const BEGIN_READING: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET LOCAL jit = off; \
     SET LOCAL idle_in_transaction_session_timeout = '30s'; SET LOCAL statement_timeout = '30s'";
/// Starts a look-up. Just-in-time compilation never pays here: after an import of many tokens, before the tables are
/// analysed, the planner's estimate made it compile for half a second per look-up.
///
/// The server ends an abandoned look-up by itself. Otherwise sessions would pile up while another session locks the
/// tables.
pub const BEGIN_LOOK_UP: &str = "BEGIN ISOLATION LEVEL READ COMMITTED, READ ONLY; SET LOCAL jit = off; SET LOCAL statement_timeout = '2s'; \
     SET LOCAL idle_in_transaction_session_timeout = '4s'";
pub const LOOK_UP_SETTINGS: &str =
    "SET jit = off; SET statement_timeout = '2s'; SET default_transaction_read_only = on";

/// Replaces the ancestors of a token: PostgreSQL spends a third of a look-up on preparing their subquery, even if it does
/// not execute it, and few tokens have any.
macro_rules! no_ancestors {
    () => {
        "t.parent_id IS NOT NULL AS has_parent, CAST(NULL AS TEXT) AS ancestors"
    };
}
/// [`RESOLVE`] without ancestors. Look a token up again with `RESOLVE` if it has a parent.
pub const RESOLVE_ALONE: &str = resolve!(postgres, no_ancestors!());
/// [`RESOLVE_MANY`] without ancestors, likewise.
pub const RESOLVE_MANY_ALONE: &str = resolve!(many postgres, no_ancestors!());

/// One query selects, records and deletes the grants at one moment.
macro_rules! clamp {
    ($which:expr) => {
        concat!(
            "WITH marked AS MATERIALIZED (",
            $which,
            "), remembered AS (",
            insert_events!("'token', g.token_id, 'admin'"),
            grant_details!(postgres, "g", " FROM keyward_grant_field f WHERE f.grant_id = g.id"),
            " FROM marked g ORDER BY g.id), ",
            "gone AS (DELETE FROM keyward_grant g USING marked m WHERE g.id = m.id RETURNING g.token_id) ",
            "SELECT COUNT(*) AS grants, COUNT(DISTINCT token_id) AS tokens FROM gone"
        )
    };
}
pub const CLAMP_MEMBERS: &str = clamp!(of_members!("$8", "$9"));
pub const CLAMP_OWNER: &str = clamp!(of_owner!("$8", "$9"));
pub const CLAMP_UNKNOWN: &str = clamp!(of_unknown!(postgres, "$8"));
pub const CLAMP_LISTED: &str = clamp!(of_listed!(postgres, "$8"));

/// Needs no confirmation by replicas.
pub const SEND_HINT: &str = "SELECT set_config('synchronous_commit', 'local', TRUE), pg_notify($1, '')";
/// Waits until the present holder of the epoch has ended.
pub const WAIT_FOR_WRITER: &str = "SELECT installation FROM keyward_epoch WHERE id = 1 FOR UPDATE";

/// Commits a message that replicas have to confirm, whatever the role's setting is; returns whether there are such
/// replicas.
pub const HEARTBEAT: &str = concat!(
    "SELECT CAST(pg_logical_emit_message(TRUE, 'keyward', '') AS TEXT), set_config('synchronous_commit', CASE ",
    "WHEN current_setting('synchronous_commit') IN ('off', 'local') THEN 'on' ",
    "ELSE current_setting('synchronous_commit') END, TRUE), ",
    "current_setting('synchronous_standby_names') <> '' AS confirmed, ",
    postgres!(who)
);
pub const IS_REPLICA: &str = "SELECT pg_is_in_recovery() AS replica";
/// Returns which server answers, after the beginning of a transaction.
pub const SERVER: &str = concat!("SELECT ", postgres!(who));
pub const SESSION_ID: &str = "SELECT pg_backend_pid() AS session";
/// Ends sessions of this name that wait for replicas. They would wait for ever, and do not notice that their client is
/// gone.
pub const END_WAITING_SESSIONS: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
     WHERE application_name = $1 AND wait_event = 'SyncRep'";
/// For a migration: it may take long, and notices about existing objects are suppressed.
pub const MIGRATION_SETTINGS: &str = "SET LOCAL client_min_messages = warning; SET LOCAL lock_timeout = '30s'; \
     SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0";
/// Waits for another node that migrates the schema `$1`, for 30 s at most.
pub const LOCK_MIGRATIONS: &str = "SELECT pg_advisory_xact_lock(7738711, hashtext($1))";

/// Returns the role and the meaning of unqualified names: `writable` is the first schema of the search path in which
/// tables may be created.
pub const SESSION_INFO: &str = "SELECT CAST(current_user AS TEXT) AS role, CAST(current_database() AS TEXT) AS database, \
     (SELECT CAST(pg_encoding_to_char(d.encoding) AS TEXT) FROM pg_database d WHERE d.datname = current_database()) AS encoding, \
     current_setting('search_path') AS path, \
     (SELECT CAST(p.s AS TEXT) FROM unnest(current_schemas(FALSE)) WITH ORDINALITY AS p (s, n) \
     WHERE has_schema_privilege(CAST(p.s AS TEXT), 'CREATE') ORDER BY p.n LIMIT 1) AS writable";
/// Every schema of the database that holds tables of an installation.
pub const INSTALLATIONS: &str = "SELECT CAST(n.nspname AS TEXT) AS schema, has_schema_privilege(n.oid, 'USAGE') AS usable, \
     CAST(pg_get_userbyid(c.relowner) AS TEXT) AS owner FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
     WHERE c.relname = 'keyward_epoch' AND c.relkind = 'r' AND c.relpersistence <> 't' ORDER BY n.nspname";
pub const SCHEMA_EXISTS: &str = "SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = $1) AS found";
/// The tables of the schema `$1` that this role may not read, and those that it may read but not write.
pub const MISSING_RIGHTS: &str = "SELECT string_agg(CAST(c.relname AS TEXT), ', ' ORDER BY c.relname) \
     FILTER (WHERE NOT has_table_privilege(c.oid, 'SELECT')) AS unread, \
     string_agg(CAST(c.relname AS TEXT), ', ' ORDER BY c.relname) FILTER (WHERE c.relname <> 'keyward_migrations' \
     AND NOT has_table_privilege(c.oid, CASE c.relname WHEN 'keyward_epoch' THEN 'UPDATE' ELSE 'INSERT' END)) AS unwritten \
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
     WHERE n.nspname = $1 AND c.relkind = 'r' AND c.relname LIKE 'keyward\\_%'";
/// Counts functions of the schema `$1` that look for tables elsewhere, because the schema had another name when they
/// were created.
pub const MISDIRECTED_FUNCTIONS: &str = "SELECT COUNT(*) AS n FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace \
     WHERE n.nspname = $1 AND p.proname IN ('keyward_drop_grant_fields', 'keyward_log_by_hand', 'keyward_log_accounts', 'keyward_account_changed') \
     AND NOT COALESCE(p.proconfig && ARRAY['search_path=' || quote_ident($1) || ', pg_temp', \
     'search_path=' || quote_ident($1) || ',pg_temp'], FALSE)";
/// For a migration: unqualified names mean the schema `$1` only.
pub const SET_SEARCH_PATH: &str = "SELECT set_config('search_path', quote_ident($1) || ', pg_temp', TRUE)";
pub const CURRENT_SCHEMA: &str = "SELECT CAST(current_schema() AS TEXT) AS home";
pub const PIN_SEARCH_PATH: [&str; 4] = [
    "ALTER FUNCTION keyward_drop_grant_fields() SET search_path FROM CURRENT",
    "ALTER FUNCTION keyward_log_by_hand() SET search_path FROM CURRENT",
    "ALTER FUNCTION keyward_log_accounts() SET search_path FROM CURRENT",
    "ALTER FUNCTION keyward_account_changed(TEXT) SET search_path FROM CURRENT",
];
pub const APPLIED_MIGRATIONS: &str = "SELECT version, checksum FROM keyward_migrations ORDER BY version";
pub const INSTALLATION: &str = "SELECT installation FROM keyward_epoch WHERE id = 1";
