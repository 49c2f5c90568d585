//! All statements, written once for both engines.
//!
//! SQLite and PostgreSQL differ in a few words, which the dialect macros in `words.rs` supply. That is why the statements are
//! macros and not plain constants: 47 of the 102 shared statements differ between the engines, mostly in how they read JSON.
//! As constants for each engine they would be 206 kB of SQL instead of 53 kB, and every rule would be written twice.
//!
//! The test `statements_are_valid_sqlite` prints every statement as the database gets it, ready for `EXPLAIN`:
//! `cargo test --all-features --lib statements_are_valid_sqlite -- --nocapture`.

#![allow(unreachable_pub, reason = "`pub` keeps a hundred constants readable")]

#[macro_use]
mod words;
#[macro_use]
mod parts;

/// The uses of `$1`.
macro_rules! uses {
    ($word:ident) => {
        concat!(
            "(SELECT CAST(e.value ->> 'token' AS BIGINT) AS token_id, CAST(e.value ->> 'at' AS BIGINT) AS at, ",
            "e.value ->> 'address' AS address, e.value ->> 'tool' AS tool, e.value ->> 'digest' AS digest, ",
            "e.key AS number FROM ",
            $word!(elements "$1"),
            ")"
        )
    };
}

/// Sets a column of a use to the new value, unless the known one is of a later time.
macro_rules! unless_later {
    ($time:literal, $column:literal) => {
        concat!(
            $column,
            " = CASE WHEN excluded.",
            $time,
            " IS NULL OR keyward_token_use.",
            $time,
            " > excluded.",
            $time,
            " THEN keyward_token_use.",
            $column,
            " ELSE excluded.",
            $column,
            " END"
        )
    };
}

macro_rules! statements {
    ($word:ident) => {
        /// The first read of a view, which fixes its point in time.
        pub const READ_EPOCH: &str =
            concat!("SELECT seq, ", $word!(now), " AS now", $word!(installation), " FROM keyward_epoch WHERE id = 1");
        pub const HAS_RECORDS: &str = "SELECT COUNT(*) AS n FROM keyward_epoch \
             WHERE EXISTS (SELECT 1 FROM keyward_owner) OR EXISTS (SELECT 1 FROM keyward_token)";

        pub const TAKE_EPOCH: &str = concat!(
            "UPDATE keyward_epoch SET seq = seq + 1, op_id = $1 WHERE id = 1 RETURNING seq, ",
            $word!(now),
            " AS now",
            $word!(installation)
        );
        pub const INSERT_CHANGE: &str =
            "INSERT INTO keyward_change (seq, op_id, at, tags) VALUES ($1, $2, $3, $4)";
        pub const RELEASE_EPOCH: &str = "UPDATE keyward_epoch SET op_id = NULL WHERE id = 1";
        pub const IS_CHANGE_COMMITTED: &str =
            "SELECT COUNT(*) AS happened FROM keyward_change WHERE seq = $1 AND op_id = $2";

        /// Returns the head of the log, the store's time, and the changes after `$1`; without `$1`, the last change.
        /// All are of one moment.
        pub const POLL: &str = concat!(
            "SELECT x.seq, ",
            $word!(now),
            " AS now, ",
            $word!(who),
            $word!(installation),
            ", CASE WHEN CAST($1 AS BIGINT) IS NULL OR EXISTS (SELECT 1 FROM keyward_change k ",
            "WHERE k.seq = $1 AND k.op_id = $2) THEN 1 ELSE 0 END AS known, CAST((SELECT ",
            $word!(array concat!($word!(object), "('seq', c.seq, 'op_id', c.op_id, 'at', c.at, 'tags', c.tags) ORDER BY c.seq")),
            " FROM (SELECT k.seq, k.op_id, k.at, k.tags FROM keyward_change k ",
            "WHERE k.seq > COALESCE($1, x.seq - 1) ORDER BY k.seq LIMIT 1000) AS c) AS TEXT) AS changes ",
            "FROM keyward_epoch x WHERE x.id = 1"
        );
        pub const DELETE_OLD_CHANGES: &str =
            "DELETE FROM keyward_change WHERE seq IN (SELECT seq FROM keyward_change \
             WHERE at < $1 AND seq < (SELECT seq FROM keyward_epoch WHERE id = 1) ORDER BY seq LIMIT 1000)";

        /// Returns one row, also if there is no such token: then all columns but `seq` are null or empty.
        ///
        /// The digest is cast to text to hide it from SQLite's planner, which after an ANALYZE plans anew for each
        /// value that is bound and compared with an indexed column.
        pub const RESOLVE: &str = resolve!($word, ancestors!($word));
        /// Returns such a row for each text of the list `$1`, with its place in the list. All are of one moment.
        pub const RESOLVE_MANY: &str = resolve!(many $word, ancestors!($word));

        /// Returns the time since which the `$1` tokens were used that were used last, or null.
        pub const NTH_LATEST_USE: &str =
            "SELECT MIN(r.last_used_at) AS since FROM (SELECT u.last_used_at FROM keyward_token_use u \
             JOIN keyward_token t ON t.id = u.token_id WHERE t.kind <> 'session' \
             ORDER BY u.last_used_at DESC LIMIT $1) AS r";
        /// Returns tokens with an id above `$2` that were used since `$1`, `$3` at most, like `RESOLVE`.
        pub const RECENT_TOKENS: &str = concat!(
            "SELECT x.seq, (SELECT k.op_id FROM keyward_change k WHERE k.seq = x.seq) AS op_id, ",
            token!($word),
            ", ",
            owner!($word),
            ", ",
            owner_permissions!($word),
            " FROM keyward_epoch x LEFT JOIN (SELECT n.token_id, n.last_used_at, n.tool, n.secret_used_at, n.secret_address FROM keyward_token_use n ",
            "JOIN keyward_token s ON s.id = n.token_id ",
            "WHERE n.last_used_at >= $1 AND n.token_id > $2 AND s.kind <> 'session' ",
            "ORDER BY n.token_id LIMIT $3) AS u ON TRUE ",
            "LEFT JOIN keyward_token t ON t.id = u.token_id ",
            "LEFT JOIN keyward_owner o ON o.id = t.owner_id ",
            "WHERE x.id = 1 ORDER BY u.token_id"
        );

        /// Of two uses in one batch the later one counts; of two at the same time, the one noted last. Which secret is the
        /// present one is decided here: a token may have got another one since its use.
        pub const NOTE_USES: &str = concat!(
            "INSERT INTO keyward_token_use (token_id, last_used_at, address, tool, secret_used_at, secret_address) ",
            "SELECT n.token_id, n.at, n.address, n.tool, n.secret_at, n.secret_address FROM (SELECT t.id AS token_id, ",
            "u.at, u.address, u.tool, ",
            "row_number() OVER (PARTITION BY t.id ORDER BY u.at DESC, u.number DESC) AS place, ",
            "first_value(CASE WHEN u.digest = t.digest THEN u.at END) OVER of_secret AS secret_at, ",
            "first_value(CASE WHEN u.digest = t.digest THEN u.address END) OVER of_secret AS secret_address FROM ",
            uses!($word),
            " AS u JOIN keyward_token t ON t.id = u.token_id WINDOW of_secret AS ",
            "(PARTITION BY t.id ORDER BY (u.digest = t.digest) DESC, u.at DESC, u.number DESC)) AS n WHERE n.place = 1 ",
            "ON CONFLICT (token_id) DO UPDATE SET ",
            unless_later!("last_used_at", "last_used_at"), ", ",
            unless_later!("last_used_at", "address"), ", ",
            unless_later!("last_used_at", "tool"), ", ",
            unless_later!("secret_used_at", "secret_address"), ", ",
            unless_later!("secret_used_at", "secret_used_at")
        );
        /// Notes uses of secrets that were replaced. It comes first: a rotation takes its locks in this order.
        pub const NOTE_PREVIOUS_USES: &str = concat!(
            "UPDATE keyward_previous_secret SET last_used_at = n.at, address = n.address FROM (SELECT u.digest, u.at, u.address, ",
            "row_number() OVER (PARTITION BY u.digest ORDER BY u.at DESC, u.number DESC) AS place FROM ",
            uses!($word),
            " AS u) AS n WHERE n.place = 1 AND n.digest = keyward_previous_secret.digest ",
            "AND (keyward_previous_secret.last_used_at IS NULL OR keyward_previous_secret.last_used_at <= n.at)"
        );
        #[cfg(any(test, feature = "testing"))]
        pub const LAST_USE: &str = "SELECT last_used_at, address, tool FROM keyward_token_use WHERE token_id = $1";

        pub const INSERT_ROLE: &str = "INSERT INTO keyward_role \
             (name, name_key, description, super_admin, created_at, updated_at) \
             VALUES ($1, $2, $3, FALSE, $4, $4) RETURNING id";
        pub const ROLE: &str = concat!("SELECT ", role!($word), " FROM keyward_role r WHERE r.id = $1");
        pub const COUNT_MEMBERS: &str = "SELECT COUNT(*) AS n FROM keyward_owner_role WHERE role_id = $1";
        pub const ROLES: &str = concat!(
            "SELECT ",
            role!($word),
            ", (SELECT COUNT(*) FROM keyward_owner_role m WHERE m.role_id = r.id) AS members ",
            "FROM keyward_role r ORDER BY r.id"
        );
        pub const ROLE_WITH_NAME: &str = "SELECT id FROM keyward_role WHERE name_key = $1";
        pub const UPDATE_ROLE: &str =
            "UPDATE keyward_role SET name = $2, name_key = $3, description = $4, updated_at = $5 WHERE id = $1";
        pub const DELETE_ROLE: &str = "DELETE FROM keyward_role WHERE id = $1 AND NOT super_admin";
        pub const TOUCH_ROLE: &str = "UPDATE keyward_role SET updated_at = $2 WHERE id = $1";
        pub const CLEAR_PERMISSIONS: &str = "DELETE FROM keyward_role_permission WHERE role_id = $1";
        pub const INSERT_PERMISSIONS: &str = insert_list!(
            $word,
            "keyward_role_permission (role_id, position, action, subject, all_fields, conditions)",
            ""
        );
        pub const INSERT_PERMISSION_FIELDS: &str = concat!(
            "INSERT INTO keyward_role_permission_field (permission_id, field) SELECT p.id, e.value ->> 'field' FROM ",
            $word!(elements "$2"),
            " JOIN keyward_role_permission p ON p.role_id = $1 AND p.position = CAST(e.value ->> 'of' AS BIGINT)"
        );

        pub const INSERT_OWNER: &str = "INSERT INTO keyward_owner \
             (email, email_key, firstname, lastname, username, state, created_at, updated_at, account, kind) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8, $9) RETURNING id";
        pub const OWNER: &str = concat!("SELECT ", owner!($word), " FROM keyward_owner o WHERE o.id = $1");
        pub const OWNER_WITH_EMAIL: &str = "SELECT id FROM keyward_owner WHERE email_key = $1";
        pub const OWNER_OF_ACCOUNT: &str = "SELECT id FROM keyward_owner WHERE account = $1";
        pub const ACCOUNTS: &str = concat!(
            "SELECT ",
            owner!($word),
            " FROM keyward_owner o WHERE o.account IS NOT NULL AND o.id > $1 ORDER BY o.id LIMIT $2"
        );
        pub const REPORTED_ACCOUNTS: &str = "SELECT id, account FROM keyward_account_change WHERE id > $1 ORDER BY id LIMIT $2";
        pub const DELETE_ACCOUNT_REPORTS: &str = concat!(
            "DELETE FROM keyward_account_change WHERE id IN (SELECT CAST(e.value ->> 'id' AS BIGINT) FROM ",
            $word!(elements "$1"),
            ")"
        );
        pub const OWNERS_BY_EMAIL: &str = concat!(
            "SELECT o.email_key, o.id FROM keyward_owner o WHERE o.email_key IN (SELECT e.value ->> 'text' FROM ",
            $word!(elements "$1"),
            ")"
        );
        pub const SIGN_IN_CANDIDATE: &str = concat!(
            "SELECT o.id AS owner_id, o.password_hash",
            $word!(installation),
            " FROM keyward_epoch x LEFT JOIN keyward_owner o \
             ON o.email_key = CAST($1 AS TEXT) AND o.state = 'active' AND o.password_hash IS NOT NULL WHERE x.id = 1"
        );
        pub const OWNERS_ASCENDING: &str = owners!($word, "ASC");
        pub const OWNERS_DESCENDING: &str = owners!($word, "DESC");
        pub const COUNT_OWNERS: &str = concat!("SELECT COUNT(*) AS n", matching_owners!($word));
        pub const PASSWORD: &str = "SELECT password_hash FROM keyward_owner WHERE id = $1";
        pub const UPDATE_OWNER: &str = "UPDATE keyward_owner SET email = $2, \
             email_key = CASE WHEN account IS NULL THEN $3 ELSE email_key END, firstname = $4, \
             lastname = $5, username = $6, updated_at = $7 WHERE id = $1";
        pub const SET_PASSWORD: &str =
            "UPDATE keyward_owner SET password_hash = $2, updated_at = $3 WHERE id = $1";
        pub const AUDIT_TOKENS_OF_OWNER: &str = concat!(
            insert_events!("'token', t.id, 'admin'"),
            "CAST(",
            $word!(object),
            "('name', t.name, 'owner', t.owner_id) AS TEXT) ",
            "FROM keyward_token t WHERE t.owner_id = $8 AND t.kind = 'admin' ORDER BY t.id"
        );
        pub const DELETE_OWNER: &str = "DELETE FROM keyward_owner WHERE id = $1";
        pub const SET_OWNER_STATE: &str = "UPDATE keyward_owner SET state = $2, updated_at = $3 WHERE id = $1";
        pub const TOUCH_OWNER: &str = "UPDATE keyward_owner SET updated_at = $2 WHERE id = $1";
        pub const CLEAR_OWNER_ROLES: &str = "DELETE FROM keyward_owner_role WHERE owner_id = $1";
        pub const INSERT_OWNER_ROLES: &str = concat!(
            "INSERT INTO keyward_owner_role (owner_id, role_id) ",
            "SELECT DISTINCT CAST($1 AS BIGINT), CAST(e.value ->> 'role' AS BIGINT) FROM ",
            $word!(elements "$2")
        );
        pub const CEILING: &str = concat!(
            "SELECT ",
            role_ids!($word),
            " AS role_ids, ",
            owner_permissions!($word),
            " FROM keyward_owner o WHERE o.id = $1"
        );
        pub const CEILINGS: &str = concat!(
            "SELECT ",
            owner!($word),
            ", ",
            owner_permissions!($word),
            " FROM keyward_owner o WHERE o.id IN (SELECT CAST(e.value ->> 'owner' AS BIGINT) FROM ",
            $word!(elements "$1"),
            ") ORDER BY o.id"
        );
        pub const OTHER_SUPER_ADMINS: &str = "SELECT COUNT(*) AS n FROM keyward_owner_role m \
             JOIN keyward_owner o ON o.id = m.owner_id WHERE m.role_id = $2 AND o.id <> $1 AND o.state = 'active'";
        pub const ROLES_MEET: &str = concat!(
            "SELECT COUNT(*) AS n FROM (SELECT a.owner_id FROM keyward_owner_role a ",
            "JOIN keyward_owner_role b ON b.owner_id = a.owner_id ",
            "WHERE a.role_id IN (SELECT CAST(e.value ->> 'role' AS BIGINT) FROM ",
            $word!(elements "$1"),
            ") AND b.role_id IN (SELECT CAST(e.value ->> 'role' AS BIGINT) FROM ",
            $word!(elements "$2"),
            ") AND NOT EXISTS (SELECT 1 FROM keyward_owner_role s WHERE s.owner_id = a.owner_id AND s.role_id = $3) ",
            "LIMIT 1) met"
        );
        pub const DELETE_SESSIONS: &str =
            "DELETE FROM keyward_token WHERE owner_id = $1 AND kind = 'session' RETURNING digest";
        pub const DELETE_ENDED_SESSIONS: &str =
            "DELETE FROM keyward_token WHERE kind = 'session' AND expires_at < $1";

        pub const INVITATION: &str = "SELECT owner_id, expires_at FROM keyward_invitation WHERE digest = $1";
        pub const INSERT_INVITATION: &str = "INSERT INTO keyward_invitation \
             (owner_id, digest, created_at, expires_at) VALUES ($1, $2, $3, $4)";
        pub const DELETE_INVITATIONS: &str = "DELETE FROM keyward_invitation WHERE owner_id = $1";

        pub const INSERT_TOKEN: &str = "INSERT INTO keyward_token \
             (kind, name, description, digest, salt_id, tag, hint, owner_id, access, idle_ms, lifespan_ms, expires_at, \
             created_at, updated_at, name_key, name_scope, metadata, enabled, networks, rate_limit, rate_window_ms, \
             idle_expiry_ms, parent_id, parent_digest) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23) \
             RETURNING id";
        pub const INSERT_GRANTS: &str = insert_list!(
            $word,
            "keyward_grant (token_id, position, action, subject, all_fields, chosen, may_delegate)",
            ", CAST(e.value ->> 'delegate' AS BOOLEAN)"
        );
        pub const INSERT_GRANT_FIELDS: &str = concat!(
            "INSERT INTO keyward_grant_field (grant_id, field) SELECT g.id, e.value ->> 'field' FROM ",
            $word!(elements "$2"),
            " JOIN keyward_grant g ON g.token_id = $1 AND g.position = CAST(e.value ->> 'of' AS BIGINT)"
        );
        pub const INSERT_CONTENT_ACTIONS: &str = concat!(
            "INSERT INTO keyward_content_action (token_id, action) ",
            "SELECT DISTINCT CAST($1 AS BIGINT), e.value ->> 'action' FROM ",
            $word!(elements "$2")
        );
        pub const TOKEN: &str = concat!(tokens!($word), "WHERE t.id = $1");
        pub const DESCENDANTS: &str = concat!(
            "WITH RECURSIVE line (id) AS (SELECT k.id FROM keyward_token k WHERE k.parent_id IN (",
            listed_tokens!($word, "$1"),
            ") UNION SELECT k.id FROM line l JOIN keyward_token k ON k.parent_id = l.id) ",
            tokens!($word),
            // A token is younger than its parent.
            "WHERE t.id IN (SELECT l.id FROM line l) ORDER BY t.id"
        );
        pub const TOKENS_BY_NAME_ASCENDING: &str = tokens_page!($word, "", tokens_by_name!("ASC"));
        pub const TOKENS_BY_NAME_DESCENDING: &str = tokens_page!($word, "", tokens_by_name!("DESC"));
        pub const TOKENS_OF_OWNER_BY_NAME_ASCENDING: &str =
            tokens_page!($word, " AND t.owner_id = $7", tokens_by_name!("ASC"));
        pub const TOKENS_OF_OWNER_BY_NAME_DESCENDING: &str =
            tokens_page!($word, " AND t.owner_id = $7", tokens_by_name!("DESC"));
        pub const TOKENS_ASCENDING: &str = tokens_page!($word, "", tokens_by_word!("ASC"));
        pub const TOKENS_DESCENDING: &str = tokens_page!($word, "", tokens_by_word!("DESC"));
        pub const TOKENS_OF_OWNER_ASCENDING: &str =
            tokens_page!($word, " AND t.owner_id = $8", tokens_by_word!("ASC"));
        pub const TOKENS_OF_OWNER_DESCENDING: &str =
            tokens_page!($word, " AND t.owner_id = $8", tokens_by_word!("DESC"));
        pub const COUNT_MATCHING_TOKENS: &str = concat!("SELECT COUNT(*) AS n", matching_tokens!($word, ""));
        pub const COUNT_MATCHING_TOKENS_OF_OWNER: &str =
            concat!("SELECT COUNT(*) AS n", matching_tokens!($word, " AND t.owner_id = $5"));
        pub const COUNT_TOKENS: &str = "SELECT COUNT(*) AS n FROM keyward_token WHERE kind = $1";
        pub const COUNT_TOKENS_OF_OWNER: &str =
            "SELECT COUNT(*) AS n FROM keyward_token WHERE kind = $1 AND owner_id = $2";
        pub const TOKENS_OF_MEMBERS: &str = "SELECT r.id, COUNT(t.id) AS n \
             FROM keyward_role r LEFT JOIN keyward_owner_role m ON m.role_id = r.id \
             LEFT JOIN keyward_token t ON t.owner_id = m.owner_id AND t.kind = 'admin' GROUP BY r.id ORDER BY r.id";
        pub const TOKENS_OF_OWNERS: &str = concat!(
            "SELECT o.id, COUNT(t.id) AS n FROM keyward_owner o \
             LEFT JOIN keyward_token t ON t.owner_id = o.id AND t.kind = 'admin' \
             WHERE o.id IN (SELECT CAST(e.value ->> 'owner' AS BIGINT) FROM ",
            $word!(elements "$1"),
            ") GROUP BY o.id ORDER BY o.id"
        );
        pub const GRANTS_OF_OWNER: &str = concat!(
            "SELECT t.id, CAST(",
            grants!($word, "g.token_id = t.id"),
            " AS TEXT) AS grants FROM keyward_token t WHERE t.owner_id = $1 AND t.kind = 'admin' ORDER BY t.id"
        );
        /// `$2` is the number of the scope.
        pub const TOKEN_WITH_NAME: &str = "SELECT id FROM keyward_token WHERE name_key = $1 AND kind <> 'session' \
             AND (CAST($2 AS BIGINT) = 0 OR COALESCE(owner_id, -1) = $2) ORDER BY id LIMIT 1";
        pub const SEALED_SECRET: &str = "SELECT sealed_secret, sealed_with FROM keyward_token WHERE id = $1";
        pub const UPDATE_TOKEN: &str = "UPDATE keyward_token \
             SET name = COALESCE($4, name), name_key = COALESCE($5, name_key), description = $6, access = $7, idle_ms = $8, \
             updated_at = $9, name_scope = COALESCE($10, name_scope), metadata = $11, enabled = $12, networks = $13, \
             rate_limit = $14, rate_window_ms = $15, idle_expiry_ms = $16 \
             WHERE id = $1 AND kind = $2 AND owner_id IS NOT DISTINCT FROM $3";
        pub const CLEAR_GRANTS: &str = "DELETE FROM keyward_grant WHERE token_id = $1";
        pub const CLEAR_CONTENT_ACTIONS: &str = "DELETE FROM keyward_content_action WHERE token_id = $1";
        pub const SET_SECRET: &str = "UPDATE keyward_token SET digest = $2, salt_id = $3, tag = $4, hint = $5, \
             sealed_secret = NULL, sealed_with = NULL, updated_at = $6 WHERE id = $1";
        pub const REMEMBER_SECRET: &str = "INSERT INTO keyward_previous_secret \
             (token_id, digest, salt_id, hint, replaced_at, ends_at, last_used_at, address) \
             SELECT t.id, t.digest, t.salt_id, t.hint, CAST($2 AS BIGINT), CAST($3 AS BIGINT), u.secret_used_at, u.secret_address \
             FROM keyward_token t LEFT JOIN keyward_token_use u ON u.token_id = t.id WHERE t.id = $1";
        pub const END_PREVIOUS_SECRETS: &str =
            "UPDATE keyward_previous_secret SET ends_at = $2 WHERE token_id = $1 AND ends_at > $2";
        pub const FORGET_SECRETS: &str = "DELETE FROM keyward_previous_secret WHERE token_id = $1 AND id NOT IN (\
             SELECT p.id FROM keyward_previous_secret p WHERE p.token_id = $1 ORDER BY p.id DESC LIMIT $2)";
        pub const FORGET_SECRET_USE: &str =
            "UPDATE keyward_token_use SET secret_used_at = NULL, secret_address = NULL WHERE token_id = $1";
        pub const SET_EXPIRY: &str = "UPDATE keyward_token SET expires_at = $2, updated_at = $3 WHERE id = $1";
        pub const SEAL_SECRET: &str = "UPDATE keyward_token SET sealed_secret = $2, sealed_with = $3 WHERE id = $1";
        pub const DELETE_TOKEN: &str = "DELETE FROM keyward_token WHERE id = $1";
        pub const SELECTED_TOKENS: &str = selected_tokens!("");
        pub const SELECTED_TOKENS_OF_OWNER: &str = selected_tokens!(" AND t.owner_id = $6");
        pub const AUDIT_REVOKED_TOKENS: &str = concat!(
            insert_events!("'token', t.id, t.kind"),
            "CAST(",
            $word!(object),
            "('name', t.name, 'owner', t.owner_id, 'selection', CAST($9 AS TEXT)) AS TEXT) FROM keyward_token t WHERE t.id IN (",
            listed_tokens!($word, "$8"),
            ") ORDER BY t.id"
        );
        /// Deleted before their tokens, whose cascade would take a statement for each token.
        pub const DELETE_GRANTS_OF_TOKENS: &str =
            concat!("DELETE FROM keyward_grant WHERE token_id IN (", listed_tokens!($word, "$1"), ")");
        pub const DELETE_TOKENS: &str =
            concat!("DELETE FROM keyward_token WHERE id IN (", listed_tokens!($word, "$1"), ")");

        pub const HAS_OWNERS: &str = "SELECT COUNT(*) AS n FROM keyward_epoch \
             WHERE EXISTS (SELECT 1 FROM keyward_owner WHERE account IS NULL AND kind = 'person')";
        pub const NTH_LATEST_EVENT: &str = "SELECT at FROM keyward_audit \
             WHERE doer_kind = $1 AND doer_id = $2 AND what = $3 AND at >= $4 \
             AND (CAST($5 AS TEXT) IS NULL OR target_kind = $5 AND target_id = $6) \
             ORDER BY at DESC LIMIT 1 OFFSET $7";
        pub const SIGN_IN_PLACES: &str = "SELECT p.doer_id, o.email, p.address, p.last FROM (\
             SELECT a.doer_id, a.address, MAX(a.at) AS last, \
             row_number() OVER (PARTITION BY a.doer_id ORDER BY MAX(a.at) DESC) AS place FROM keyward_audit a \
             WHERE a.at >= $1 AND a.what = 'signed-in' AND a.doer_kind = 'person' AND a.address IS NOT NULL \
             GROUP BY a.doer_id, a.address) AS p JOIN keyward_owner o ON o.id = p.doer_id \
             WHERE p.place <= $2 ORDER BY p.last DESC LIMIT $3";
        pub const TOKEN_OWNERS: &str = concat!(
            "SELECT t.id, t.owner_id AS owner FROM keyward_token t WHERE t.owner_id IS NOT NULL AND t.id IN (",
            token_ids!($word),
            ") UNION SELECT a.target_id, CAST(",
            $word!(document "a.details"),
            " ->> 'owner' AS BIGINT) FROM keyward_audit a \
             WHERE a.target_kind = 'token' AND a.what IN ('token-issued', 'token-revoked') AND a.target_id IN (",
            token_ids!($word),
            ") AND ",
            $word!(document "a.details"),
            " ->> 'owner' IS NOT NULL"
        );

        /// Counts rows without a comparison key.
        pub const COUNT_ROWS_WITHOUT_KEYS: &str = "SELECT (SELECT COUNT(*) FROM keyward_role WHERE name_key IS NULL) \
             + (SELECT COUNT(*) FROM keyward_token WHERE name_key IS NULL AND kind <> 'session') AS n";
        /// The next rows after an id with their present keys; those of the given keys that are used; and the update of
        /// keys. Without `IS TRUE` the engine would find all rows without a key by the index of the keys, and sort them for each
        /// batch.
        pub const KEYS_OF_ROLES: [&str; 3] = keys!($word, "keyward_role", "name", "(name_key IS NULL) IS TRUE AND ", "");
        pub const KEYS_OF_OWNERS: [&str; 3] = keys!($word, "keyward_owner", "email", "account IS NULL AND email <> '' AND ", "");
        pub const KEYS_OF_TOKENS: [&str; 3] =
            keys!($word, "keyward_token", "name", "(name_key IS NULL) IS TRUE AND kind <> 'session' AND ", "kind <> 'session' AND ");

        pub const KEY_CHECKS: &str = "SELECT kind, id, value FROM keyward_key ORDER BY kind, id";
        pub const SET_KEY_CHECK: &str = "INSERT INTO keyward_key (kind, id, value) VALUES ($1, $2, $3) \
             ON CONFLICT (kind, id) DO UPDATE SET value = excluded.value";
        /// Counts secrets for each hash key, also those in their grace period, and tokens for each encryption key.
        pub const KEY_USES: &str = "SELECT 'hash' AS kind, s.salt_id AS id, COUNT(*) AS n FROM (\
             SELECT t.salt_id FROM keyward_token t UNION ALL \
             SELECT p.salt_id FROM keyward_previous_secret p WHERE p.ends_at > $1) AS s GROUP BY s.salt_id \
             UNION ALL SELECT 'encryption' AS kind, t.sealed_with AS id, COUNT(*) AS n FROM keyward_token t \
             WHERE t.sealed_with IS NOT NULL GROUP BY t.sealed_with ORDER BY 1, 2";

        pub const IMPORTED: &str = "SELECT source, kind, foreign_key, id FROM keyward_import";
        pub const IMPORTED_TOKEN: &str =
            "SELECT id FROM keyward_import WHERE source = $1 AND kind = 'token' AND foreign_key = $2";
        pub const INSERT_IMPORTED: &str =
            "INSERT INTO keyward_import (source, kind, foreign_key, id) VALUES ($1, $2, $3, $4)";
        pub const BACKDATE_OWNER: &str = "UPDATE keyward_owner SET created_at = $2 WHERE id = $1";
        pub const BACKDATE_TOKEN: &str =
            "UPDATE keyward_token SET created_at = $2, expires_at = $3 WHERE id = $1";
        pub const BACKDATE_USE: &str =
            "INSERT INTO keyward_token_use (token_id, last_used_at) VALUES ($1, $2)";

        pub const PREVIEW_CLAMP_MEMBERS: &str = concat!(
            "SELECT COUNT(*) AS grants, COUNT(DISTINCT b.token_id) AS tokens FROM (",
            of_members_with!($word),
            ") AS b"
        );
        pub const PREVIEW_CLAMP_OWNER: &str = concat!(
            "SELECT COUNT(*) AS grants, COUNT(DISTINCT b.token_id) AS tokens FROM (",
            of_owner_with!($word),
            ") AS b"
        );

        pub const AUDIT_UNKNOWN_PERMISSIONS: &str = concat!(
            insert_events!("'role', p.role_id, NULL"),
            grant_details!($word, "p", " FROM keyward_role_permission_field f WHERE f.permission_id = p.id"),
            " FROM keyward_role_permission p WHERE ",
            not_in_list!($word, "p.action", "$8"),
            " ORDER BY p.role_id, p.position"
        );
        pub const TOUCH_ROLES_OF_UNKNOWN: &str = concat!(
            "UPDATE keyward_role SET updated_at = $1 WHERE id IN (SELECT p.role_id FROM keyward_role_permission p WHERE ",
            not_in_list!($word, "p.action", "$2"),
            ")"
        );
        pub const DELETE_UNKNOWN_PERMISSIONS: &str =
            concat!("DELETE FROM keyward_role_permission WHERE ", not_in_list!($word, "action", "$1"));

        pub const INSERT_AUDIT: &str = "INSERT INTO keyward_audit \
             (at, doer_kind, doer_id, address, tool, what, cause, target_kind, target_id, target_detail, details) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
        #[cfg(any(test, feature = "testing"))]
        pub const AUDIT_EVENTS: &str = concat!(event!(), " FROM keyward_audit ORDER BY id");
        pub const EVENTS_DESCENDING: &str =
            concat!(event!(), matching_events!($word), " ORDER BY id DESC LIMIT $12 OFFSET $13");
        pub const EVENTS_ASCENDING: &str =
            concat!(event!(), matching_events!($word), " ORDER BY id ASC LIMIT $12 OFFSET $13");
        pub const COUNT_EVENTS: &str = concat!("SELECT COUNT(*) AS n", matching_events!($word));
        pub const EVENTS_AFTER: &str = concat!(event!(), " FROM keyward_audit WHERE id > $1 ORDER BY id LIMIT $2");
        pub const AUDIT_BOUNDS: &str = "SELECT (SELECT a.at FROM keyward_audit a WHERE a.id = $1) AS at, \
             COALESCE((SELECT MAX(a.id) FROM keyward_audit a), 0) AS last, d.last_id AS deleted \
             FROM keyward_audit_deleted d WHERE d.id = 1";
        /// Inserts the events of the list `$1`.
        pub const INSERT_AUDIT_LIST: &str = concat!(
            "INSERT INTO keyward_audit \
             (at, doer_kind, doer_id, address, tool, what, cause, target_kind, target_id, target_detail, details) \
             SELECT CAST(e.value ->> 'at' AS BIGINT), e.value ->> 'actor', CAST(e.value ->> 'actor_id' AS BIGINT), \
             e.value ->> 'address', e.value ->> 'tool', e.value ->> 'what', e.value ->> 'cause', e.value ->> 'target', \
             CAST(e.value ->> 'target_id' AS BIGINT), e.value ->> 'detail', e.value ->> 'details' FROM ",
            $word!(elements "$1"),
            " ORDER BY e.key"
        );
        pub const DELETE_EVENTS: &str = "DELETE FROM keyward_audit WHERE at < $1";
        /// Notes the highest id of the events that are about to be deleted. Without the addition an engine could look for
        /// it from the newest event down, through all that stay.
        pub const NOTE_DELETED_EVENTS: &str = "UPDATE keyward_audit_deleted SET last_id = o.last FROM \
             (SELECT MAX(a.id + 0) AS last FROM keyward_audit a WHERE a.at < $1) AS o WHERE id = 1 AND last_id < o.last";

        pub const LEASE: &str = "SELECT holder, ends_at, begun_at, complete_at FROM keyward_lease WHERE name = $1";
        pub const SET_LEASE: &str = "INSERT INTO keyward_lease (name, holder, ends_at, begun_at, complete_at) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, \
             ends_at = excluded.ends_at, begun_at = excluded.begun_at, complete_at = excluded.complete_at";
        /// Selects tokens that expire after `$3` and until `$4`: `$1` now, `$2` list of the times before the expiry, of
        /// which the shortest that has begun since the token was issued is `step`, `$5` limit.
        pub const EXPIRING_TOKENS: &str = concat!(
            "SELECT d.token_id, d.kind, d.owner_id, d.name, d.mark, d.step FROM (\
             SELECT t.id AS token_id, t.kind, t.owner_id, t.name, t.expires_at AS mark, \
             (SELECT MIN(CAST(e.value ->> 'ms' AS BIGINT)) FROM ",
            $word!(elements "$2"),
            " WHERE CAST(e.value ->> 'ms' AS BIGINT) >= t.expires_at - $1 \
             AND CAST(e.value ->> 'ms' AS BIGINT) < t.expires_at - t.created_at) AS step \
             FROM keyward_token t WHERE t.kind <> 'session' AND t.expires_at > $3 AND t.expires_at <= $4) AS d \
             WHERE d.step IS NOT NULL AND NOT EXISTS (SELECT 1 FROM keyward_notice n WHERE n.token_id = d.token_id \
             AND n.reason = 'expiring' AND n.mark = d.mark AND n.step <= d.step) ORDER BY d.mark, d.token_id LIMIT $5"
        );
        /// Selects tokens with an id above `$4` that were not used since `$2`, or never and issued until `$3`: `$1` now,
        /// `$5` limit.
        pub const UNUSED_TOKENS: &str = "SELECT t.id AS token_id, t.kind, t.owner_id, t.name, u.last_used_at, t.created_at \
             FROM keyward_token t LEFT JOIN keyward_token_use u ON u.token_id = t.id WHERE t.id > $4 AND t.kind <> 'session' \
             AND (t.expires_at IS NULL OR t.expires_at > $1) AND (u.last_used_at <= CAST($2 AS BIGINT) \
             OR (u.token_id IS NULL AND t.created_at <= CAST($3 AS BIGINT))) AND NOT EXISTS (SELECT 1 FROM keyward_notice n \
             WHERE n.token_id = t.id AND n.reason = CASE WHEN u.token_id IS NULL THEN 'unused' ELSE 'idle' END \
             AND n.mark = COALESCE(u.last_used_at, 0)) ORDER BY t.id LIMIT $5";
        /// Records the notices of the list `$1` that still fit their token, and returns those that are new.
        pub const ADD_NOTICES: &str = concat!(
            "INSERT INTO keyward_notice (token_id, reason, mark, step) SELECT n.token_id, n.reason, n.mark, n.step FROM (\
             SELECT CAST(e.value ->> 'token' AS BIGINT) AS token_id, e.value ->> 'reason' AS reason, \
             CAST(e.value ->> 'mark' AS BIGINT) AS mark, CAST(e.value ->> 'step' AS BIGINT) AS step FROM ",
            $word!(elements "$1"),
            ") AS n JOIN keyward_token t ON t.id = n.token_id LEFT JOIN keyward_token_use u ON u.token_id = t.id \
             WHERE t.kind <> 'session' AND ((n.reason = 'expiring' AND t.expires_at = n.mark \
             AND NOT EXISTS (SELECT 1 FROM keyward_notice p WHERE p.token_id = n.token_id AND p.reason = n.reason \
             AND p.mark = n.mark AND p.step <= n.step)) OR (n.reason = 'idle' AND u.last_used_at = n.mark) \
             OR (n.reason = 'unused' AND u.token_id IS NULL)) \
             ON CONFLICT (token_id, reason, mark, step) DO NOTHING RETURNING token_id, reason, mark, step"
        );
    };
}

#[cfg(feature = "postgres")]
pub(super) mod postgres;
#[cfg(feature = "sqlite")]
pub(super) mod sqlite;
#[cfg(feature = "strapi")]
pub(in crate::store) use words::{postgres_words, sqlite_words};
#[cfg(all(test, feature = "postgres", feature = "sqlite"))]
mod tests;
