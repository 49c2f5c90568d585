//! SQLite's statements.

statements!(sqlite);

pub const BEGIN: &str = "BEGIN IMMEDIATE";

/// Until the second one, what is written is not logged as a change by hand.
pub const UNLOGGED: &str = "UPDATE keyward_epoch SET op_id = 'keys' WHERE id = 1";
pub const LOGGED_AGAIN: &str = RELEASE_EPOCH;

pub const HAS_MIGRATIONS: &str =
    "SELECT COUNT(*) AS n FROM sqlite_master WHERE type = 'table' AND name = 'keyward_migrations'";
pub const MIGRATED: &str = "SELECT version, checksum FROM keyward_migrations ORDER BY version";
/// Moves the write-ahead log into the file, and empties the log.
pub const FOLD: &str = "PRAGMA wal_checkpoint(TRUNCATE)";
/// Makes the log unnecessary, and answers with the kind of journal. Needs the only connection.
pub const FOLD_FOR_GOOD: &str = "PRAGMA journal_mode = DELETE";
pub const COPY: &str = "VACUUM INTO $1";

/// SQLite has no changes within a query, so what goes is marked first.
macro_rules! mark {
    ($which:expr) => {
        concat!("INSERT INTO keyward_clamped (grant_id, token_id) SELECT id, token_id FROM (", $which, ")")
    };
}
pub const MARK_OF_MEMBERS: &str = mark!(of_members!("$1", "$2"));
pub const MARK_OF_OWNER: &str = mark!(of_owner!("$1", "$2"));
pub const MARK_UNKNOWN: &str = mark!(of_unknown!(sqlite, "$1"));
pub const REMEMBER_MARKED: &str = concat!(
    remember!("'token', c.token_id, 'admin'"),
    facts!(sqlite, "g", " FROM keyward_grant_field f WHERE f.grant_id = g.id"),
    " FROM keyward_clamped c JOIN keyward_grant g ON g.id = c.grant_id ORDER BY c.grant_id"
);
pub const DELETE_MARKED: &str = "DELETE FROM keyward_grant WHERE id IN (SELECT grant_id FROM keyward_clamped)";
pub const COUNT_MARKED: &str = "SELECT COUNT(DISTINCT token_id) AS n FROM keyward_clamped";
pub const UNMARK: &str = "DELETE FROM keyward_clamped";
