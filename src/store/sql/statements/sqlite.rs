//! Statements that only SQLite has, and its dialect of the others.

statements!(sqlite);

pub const BEGIN: &str = "BEGIN IMMEDIATE";

/// Stops logging hand-written changes, until the next statement.
pub const SUSPEND_HAND_LOG: &str = "UPDATE keyward_epoch SET op_id = 'keys' WHERE id = 1";
pub const RESUME_HAND_LOG: &str = RELEASE_EPOCH;

pub const HAS_MIGRATIONS: &str =
    "SELECT COUNT(*) AS n FROM sqlite_master WHERE type = 'table' AND name = 'keyward_migrations'";
/// The settings of a connection of the host.
pub const MAIN_FILE: &str = "SELECT COALESCE(file, '') AS value FROM pragma_database_list WHERE name = 'main'";
pub const JOURNAL_MODE: &str = "SELECT journal_mode AS value FROM pragma_journal_mode";
pub const LOCKING_MODE: &str = "SELECT locking_mode AS value FROM pragma_locking_mode";
pub const FOREIGN_KEYS: &str = "SELECT foreign_keys FROM pragma_foreign_keys";
pub const APPLIED_MIGRATIONS: &str = "SELECT version, checksum FROM keyward_migrations ORDER BY version";
/// Moves the write-ahead log into the file, and empties the log.
pub const CHECKPOINT: &str = "PRAGMA wal_checkpoint(TRUNCATE)";
/// Leaves the write-ahead log mode, and returns the new mode. Needs the only connection.
pub const LEAVE_WAL_MODE: &str = "PRAGMA journal_mode = DELETE";
pub const VACUUM_INTO: &str = "VACUUM INTO $1";

/// SQLite has no data-modifying queries, so the grants are marked first.
macro_rules! mark {
    ($which:expr) => {
        concat!("INSERT INTO keyward_clamped (grant_id, token_id) SELECT id, token_id FROM (", $which, ")")
    };
}
pub const MARK_OF_MEMBERS: &str = mark!(of_members!("$1", "$2"));
pub const MARK_OF_OWNER: &str = mark!(of_owner!("$1", "$2"));
pub const MARK_UNKNOWN: &str = mark!(of_unknown!(sqlite, "$1"));
pub const MARK_LISTED: &str = mark!(of_listed!(sqlite, "$1"));
// Joined in this order: the planner knows no sizes of `keyward_clamped`, and would read all grants.
pub const AUDIT_MARKED: &str = concat!(
    insert_events!("'token', c.token_id, 'admin'"),
    grant_details!(sqlite, "g", " FROM keyward_grant_field f WHERE f.grant_id = g.id"),
    " FROM keyward_clamped c CROSS JOIN keyward_grant g ON g.id = c.grant_id ORDER BY c.grant_id"
);
pub const DELETE_MARKED: &str = "DELETE FROM keyward_grant WHERE id IN (SELECT grant_id FROM keyward_clamped)";
pub const COUNT_MARKED: &str = "SELECT COUNT(DISTINCT token_id) AS n FROM keyward_clamped";
pub const UNMARK: &str = "DELETE FROM keyward_clamped";
