//! Every statement as the database gets it, checked and printed.

use super::{postgres, sqlite};
use crate::store::SqliteStore;
use sqlx::{AssertSqlSafe, ConnectOptions, sqlite::SqliteConnectOptions};
use std::collections::BTreeSet;

type Statement = (&'static str, &'static str);

macro_rules! named {
    ($engine:ident: $($name:ident)*) => {
        vec![$((stringify!($name), $engine::$name)),*]
    };
}

/// The statements that both engines have.
macro_rules! shared {
    ($engine:ident) => {{
        let mut all: Vec<Statement> = named!($engine:
            READ_EPOCH HAS_RECORDS TAKE_EPOCH INSERT_CHANGE RELEASE_EPOCH IS_CHANGE_COMMITTED POLL DELETE_OLD_CHANGES RESOLVE RESOLVE_MANY
            NTH_LATEST_USE RECENT_TOKENS NOTE_USES NOTE_PREVIOUS_USES LAST_USE INSERT_ROLE ROLE COUNT_MEMBERS ROLES ROLE_WITH_NAME UPDATE_ROLE DELETE_ROLE TOUCH_ROLE
            CLEAR_PERMISSIONS INSERT_PERMISSIONS INSERT_PERMISSION_FIELDS INSERT_OWNER OWNER OWNER_WITH_EMAIL OWNERS_BY_EMAIL OWNER_OF_ACCOUNT ACCOUNTS REPORTED_ACCOUNTS DELETE_ACCOUNT_REPORTS
            SIGN_IN_CANDIDATE OWNERS_ASCENDING OWNERS_DESCENDING COUNT_OWNERS PASSWORD UPDATE_OWNER
            SET_PASSWORD AUDIT_TOKENS_OF_OWNER DELETE_OWNER SET_OWNER_STATE TOUCH_OWNER CLEAR_OWNER_ROLES
            INSERT_OWNER_ROLES CEILING CEILINGS OTHER_SUPER_ADMINS ROLES_MEET DELETE_SESSIONS
            DELETE_ENDED_SESSIONS INVITATION INSERT_INVITATION DELETE_INVITATIONS INSERT_TOKEN INSERT_GRANTS
            INSERT_GRANT_FIELDS INSERT_CONTENT_ACTIONS TOKEN DESCENDANTS TOKENS_BY_NAME_ASCENDING
            TOKENS_BY_NAME_DESCENDING TOKENS_OF_OWNER_BY_NAME_ASCENDING TOKENS_OF_OWNER_BY_NAME_DESCENDING
            TOKENS_ASCENDING TOKENS_DESCENDING TOKENS_OF_OWNER_ASCENDING TOKENS_OF_OWNER_DESCENDING
            COUNT_MATCHING_TOKENS COUNT_MATCHING_TOKENS_OF_OWNER COUNT_TOKENS COUNT_TOKENS_OF_OWNER
            TOKENS_OF_MEMBERS TOKENS_OF_OWNERS GRANTS_OF_OWNER TOKEN_WITH_NAME SEALED_SECRET UPDATE_TOKEN CLEAR_GRANTS
            CLEAR_CONTENT_ACTIONS SET_SECRET REMEMBER_SECRET END_PREVIOUS_SECRETS FORGET_SECRETS FORGET_SECRET_USE SET_EXPIRY SEAL_SECRET DELETE_TOKEN HAS_OWNERS NTH_LATEST_EVENT SELECTED_TOKENS SELECTED_TOKENS_OF_OWNER AUDIT_REVOKED_TOKENS DELETE_GRANTS_OF_TOKENS DELETE_TOKENS
            SIGN_IN_PLACES TOKEN_OWNERS COUNT_ROWS_WITHOUT_KEYS KEY_CHECKS SET_KEY_CHECK KEY_USES IMPORTED IMPORTED_TOKEN
            INSERT_IMPORTED BACKDATE_OWNER BACKDATE_TOKEN BACKDATE_USE PREVIEW_CLAMP_MEMBERS PREVIEW_CLAMP_OWNER
            AUDIT_UNKNOWN_PERMISSIONS TOUCH_ROLES_OF_UNKNOWN DELETE_UNKNOWN_PERMISSIONS INSERT_AUDIT
            AUDIT_EVENTS EVENTS_DESCENDING EVENTS_ASCENDING COUNT_EVENTS DELETE_EVENTS
            EVENTS_AFTER AUDIT_BOUNDS INSERT_AUDIT_LIST NOTE_DELETED_EVENTS LEASE SET_LEASE EXPIRING_TOKENS UNUSED_TOKENS ADD_NOTICES
        );
        for [batch, used, set] in [$engine::KEYS_OF_ROLES, $engine::KEYS_OF_OWNERS, $engine::KEYS_OF_TOKENS] {
            all.extend([("KEYS", batch), ("KEYS", used), ("KEYS", set)]);
        }
        all
    }};
}

fn of_sqlite() -> Vec<Statement> {
    let mut all = shared!(sqlite);
    all.extend(named!(sqlite:
        SUSPEND_HAND_LOG RESUME_HAND_LOG HAS_MIGRATIONS MAIN_FILE JOURNAL_MODE LOCKING_MODE FOREIGN_KEYS APPLIED_MIGRATIONS MARK_OF_MEMBERS MARK_OF_OWNER MARK_UNKNOWN MARK_LISTED
        AUDIT_MARKED DELETE_MARKED COUNT_MARKED UNMARK
    ));
    all
}

fn of_postgres() -> Vec<Statement> {
    let mut all = shared!(postgres);
    all.extend(named!(postgres:
        SUSPEND_HAND_LOG RESUME_HAND_LOG BEGIN BEGIN_CONFIRMED BEGIN_UNCONFIRMED BEGIN_READING BEGIN_LOOK_UP
        LOOK_UP_SETTINGS CLAMP_MEMBERS CLAMP_OWNER CLAMP_UNKNOWN CLAMP_LISTED RESOLVE_ALONE RESOLVE_MANY_ALONE SEND_HINT WAIT_FOR_WRITER HEARTBEAT IS_REPLICA SESSION_ID
        END_WAITING_SESSIONS MIGRATION_SETTINGS LOCK_MIGRATIONS BEGIN_MIGRATION SERVER JOIN JOIN_CONFIRMED LEAVE SESSION_INFO INSTALLATIONS SCHEMA_EXISTS MISSING_RIGHTS
        MISDIRECTED_FUNCTIONS SET_SEARCH_PATH CURRENT_SCHEMA APPLIED_MIGRATIONS INSTALLATION
    ));
    all
}

fn print(engine: &str, statements: &[Statement]) {
    for (name, text) in statements {
        println!("-- {engine} {name}\n{text};\n");
    }
    let bytes: usize = statements.iter().map(|(_, text)| text.len()).sum();
    println!("-- {engine}: {} statements, {bytes} bytes", statements.len());
}

/// Run with `-- --nocapture` to see the statements, for example to paste one into `EXPLAIN`.
#[tokio::test]
async fn statements_are_valid_sqlite() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("keyward.db");
    let _store = SqliteStore::open(&file).await.unwrap();
    let mut connection = SqliteConnectOptions::new().filename(&file).connect().await.unwrap();
    let statements = of_sqlite();
    for (name, text) in &statements {
        let explained = sqlx::query(AssertSqlSafe(format!("EXPLAIN {text}"))).fetch_all(&mut connection).await;
        assert!(explained.is_ok_and(|steps| !steps.is_empty()), "{name}: {text}");
    }
    print("SQLite", &statements);
    print("PostgreSQL", &of_postgres());
}

#[test]
fn every_statement_is_listed() {
    let constants = |source: &'static str| {
        let lines = source.lines().filter_map(|line| line.trim().strip_prefix("pub const "));
        lines.filter_map(|line| line.split_once(": &str")).map(|(name, _)| name)
    };
    let listed = |statements: Vec<Statement>| statements.into_iter().map(|(name, _)| name).collect::<BTreeSet<_>>();
    let shared = include_str!("mod.rs");
    let not_explained = ["BEGIN", "CHECKPOINT", "LEAVE_WAL_MODE", "VACUUM_INTO"];
    let sqlite: BTreeSet<&str> = constants(shared).chain(constants(include_str!("sqlite.rs"))).collect();
    assert!(sqlite.iter().all(|name| listed(of_sqlite()).contains(name) || not_explained.contains(name)));
    let postgres: BTreeSet<&str> = constants(shared).chain(constants(include_str!("postgres.rs"))).collect();
    assert!(postgres.is_subset(&listed(of_postgres())));
}
