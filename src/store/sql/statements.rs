//! Every statement, once. The texts are SQLite's and PostgreSQL's alike, but for the few words that a dialect macro brings.

/// SQLite's words: an array of what is aggregated; an object; whether JSON text is JSON, not a string, inside another; the
/// elements of the array in a parameter as rows `e(key, value)`, counted from 0; whether a parameter's text is in a column, in
/// any case; the time; who answers.
#[cfg(feature = "sqlite")]
macro_rules! sqlite {
    (array $($content:tt)*) => {
        concat!("json_group_array(", $($content)*, ")")
    };
    (object) => {
        "json_object"
    };
    (json) => {
        "json"
    };
    (elements $parameter:literal) => {
        concat!("json_each(", $parameter, ") AS e")
    };
    (within $column:literal, $parameter:literal) => {
        concat!("instr(lower(", $column, "), lower(", $parameter, ")) > 0")
    };
    // SQLite is never asked for the time.
    (now) => {
        "0"
    };
    // Who it is that answers: a file is nobody.
    (who) => {
        "0 AS server"
    };
}
#[cfg(feature = "strapi")]
pub(in crate::store) use sqlite as sqlite_words;

/// PostgreSQL's.
#[cfg(feature = "postgres")]
macro_rules! postgres {
    (array $($content:tt)*) => {
        concat!("COALESCE(json_agg(", $($content)*, "), '[]')")
    };
    (object) => {
        "json_build_object"
    };
    (json) => {
        ""
    };
    (elements $parameter:literal) => {
        concat!(
            "(SELECT a.n - 1 AS key, a.value FROM json_array_elements(CAST(",
            $parameter,
            " AS JSON)) WITH ORDINALITY AS a (value, n)) AS e"
        )
    };
    (within $column:literal, $parameter:literal) => {
        concat!("strpos(lower(", $column, "), lower(CAST(", $parameter, " AS TEXT) COLLATE \"C\")) > 0")
    };
    (now) => {
        "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"
    };
    // Two servers did not start at the same moment.
    (who) => {
        concat!(
            "CAST(EXTRACT(EPOCH FROM pg_postmaster_start_time()) * 1000000 AS BIGINT) AS server, ",
            "pg_is_in_recovery() AS replica"
        )
    };
}
#[cfg(feature = "strapi")]
pub(in crate::store) use postgres as postgres_words;

/// The ids of the roles of the owner `o`, ascending.
macro_rules! role_ids {
    ($word:ident) => {
        concat!(
            "CAST((SELECT ",
            $word!(array "m.role_id ORDER BY m.role_id"),
            " FROM keyward_owner_role m WHERE m.owner_id = o.id) AS TEXT)"
        )
    };
}

/// Permissions `p` with their fields, in the order of their roles.
macro_rules! permissions {
    ($word:ident, $from:literal) => {
        concat!(
            "CAST((SELECT ",
            $word!(array concat!(
                $word!(object),
                "('action', p.action, 'subject', p.subject, 'all', CASE WHEN p.all_fields THEN 1 ELSE 0 END, ",
                "'conditions', p.conditions, 'fields', ",
                $word!(json),
                "((SELECT ",
                $word!(array "f.field"),
                " FROM keyward_role_permission_field f WHERE f.permission_id = p.id))",
                ") ORDER BY p.role_id, p.position"
            )),
            " FROM ",
            $from,
            ") AS TEXT) AS permissions"
        )
    };
}

/// What the role `r` is.
macro_rules! role {
    ($word:ident) => {
        concat!(
            "r.id, r.code, r.name, r.description, r.created_at, r.updated_at, ",
            permissions!($word, "keyward_role_permission p WHERE p.role_id = r.id")
        )
    };
}

/// What the token `t` is, with its grants and actions, and its last use `u`.
macro_rules! token {
    ($word:ident) => {
        concat!(
            "t.id AS token_id, t.kind, t.name, t.description, t.digest, t.hint, t.lifespan_ms, t.expires_at, ",
            "t.created_at, t.updated_at, u.last_used_at, t.owner_id AS token_owner_id, t.access, t.idle_ms, CAST((SELECT ",
            $word!(array concat!(
                $word!(object),
                "('action', g.action, 'subject', g.subject, 'all', CASE WHEN g.all_fields THEN 1 ELSE 0 END, ",
                "'conditions', g.chosen, 'fields', ",
                $word!(json),
                "((SELECT ",
                $word!(array "f.field"),
                " FROM keyward_grant_field f WHERE f.grant_id = g.id))",
                ") ORDER BY g.position"
            )),
            " FROM keyward_grant g WHERE g.token_id = t.id) AS TEXT) AS grants, CAST((SELECT ",
            $word!(array "c.action ORDER BY c.action"),
            " FROM keyward_content_action c WHERE c.token_id = t.id) AS TEXT) AS content_actions"
        )
    };
}

/// Tokens `t`, all that they are.
macro_rules! tokens {
    ($word:ident) => {
        concat!("SELECT ", token!($word), " FROM keyward_token t LEFT JOIN keyward_token_use u ON u.token_id = t.id ")
    };
}

/// What an audit event says.
macro_rules! event {
    () => {
        "SELECT id, at, doer_kind, doer_id, address, what, cause, target_kind, target_id, target_detail, details"
    };
}

/// What the owner `o` is, with their roles.
macro_rules! owner {
    ($word:ident) => {
        concat!(
            "o.id AS owner_id, o.email, o.firstname, o.lastname, o.username, o.state, ",
            "o.created_at AS owner_created_at, o.updated_at AS owner_updated_at, ",
            role_ids!($word),
            " AS role_ids"
        )
    };
}

/// All that the owner `o` holds.
macro_rules! held {
    ($word:ident) => {
        permissions!(
            $word,
            "keyward_owner_role m JOIN keyward_role_permission p ON p.role_id = m.role_id WHERE m.owner_id = o.id"
        )
    };
}

/// Adds a list of permissions or grants: `$1` whose, `$2` the list.
macro_rules! insert_list {
    ($word:ident, $into:literal) => {
        concat!(
            "INSERT INTO ",
            $into,
            " SELECT CAST($1 AS BIGINT), e.key, e.value ->> 'action', e.value ->> 'subject', ",
            "CAST(e.value ->> 'all' AS BOOLEAN), e.value ->> 'conditions' FROM ",
            $word!(elements "$2"),
            " ORDER BY e.key"
        )
    };
}

/// Which owners a search `$1` finds: all, if it is null.
macro_rules! found {
    ($word:ident) => {
        concat!(
            " FROM keyward_owner o WHERE (CAST($1 AS TEXT) IS NULL OR ",
            $word!(within "o.email", "$1"),
            " OR ",
            $word!(within "o.firstname", "$1"),
            " OR ",
            $word!(within "o.lastname", "$1"),
            " OR ",
            $word!(within "o.username", "$1"),
            ")"
        )
    };
}

/// Owners sorted by `$2`, in either direction. Who has no username comes before who has an empty one.
macro_rules! sorted {
    ($direction:literal) => {
        concat!(
            " ORDER BY CASE $2 WHEN 'email' THEN o.email_key WHEN 'firstname' THEN o.firstname ",
            "WHEN 'lastname' THEN o.lastname WHEN 'username' THEN COALESCE('+' || o.username, '') END ",
            $direction,
            ", CASE $2 WHEN 'created-at' THEN o.created_at END ",
            $direction,
            ", o.id ",
            $direction
        )
    };
}

/// A page of owners. Their roles are read for those on the page only.
macro_rules! owners {
    ($word:ident, $direction:literal) => {
        concat!(
            "SELECT ",
            owner!($word),
            " FROM keyward_owner o WHERE o.id IN (SELECT o.id",
            found!($word),
            sorted!($direction),
            " LIMIT $3 OFFSET $4)",
            sorted!($direction)
        )
    };
}

/// The events that are asked for: `$1` what, `$2` to `$4` the target, `$5` the person, `$6` the token, `$7` since, `$8` until.
macro_rules! asked_for {
    () => {
        " FROM keyward_audit WHERE (CAST($1 AS TEXT) IS NULL OR what = $1) \
         AND (CAST($2 AS TEXT) IS NULL OR (target_kind = $2 AND target_id IS NOT DISTINCT FROM $3 \
         AND target_detail IS NOT DISTINCT FROM $4)) \
         AND (CAST($5 AS BIGINT) IS NULL OR (doer_kind = 'person' AND doer_id = $5)) \
         AND (CAST($6 AS BIGINT) IS NULL OR (doer_kind = 'token' AND doer_id = $6)) \
         AND (CAST($7 AS BIGINT) IS NULL OR at >= $7) AND (CAST($8 AS BIGINT) IS NULL OR at < $8)"
    };
}

/// Adds an event for each row of what follows: `$1` when, `$2` and `$3` who, `$4` from where, `$5` what, `$6` why.
macro_rules! remember {
    ($target:literal) => {
        concat!(
            "INSERT INTO keyward_audit ",
            "(at, doer_kind, doer_id, address, what, cause, target_kind, target_id, target_detail, details) ",
            "SELECT CAST($1 AS BIGINT), CAST($2 AS TEXT), CAST($3 AS BIGINT), CAST($4 AS TEXT), CAST($5 AS TEXT), ",
            "CAST($6 AS TEXT), ",
            $target,
            ", "
        )
    };
}

/// The facts about a grant or permission: `fields` is a query for the names of its fields, as an array.
macro_rules! facts {
    ($word:ident, $of:literal, $fields:literal) => {
        concat!(
            "CAST(",
            $word!(object),
            "('action', ",
            $of,
            ".action, 'subject', ",
            $of,
            ".subject, 'fields', ",
            $word!(json),
            "(CASE WHEN ",
            $of,
            ".all_fields THEN 'null' ELSE (SELECT ",
            $word!(array "f.field ORDER BY f.field"),
            $fields,
            ") END)) AS TEXT)"
        )
    };
}

/// Which grants are beyond their owner's ceiling, of those that `$from` joins as `g` with their token `t`: the rule of
/// `Ceiling::check`.
///
/// In two steps, or PostgreSQL would look into the fields of every grant: whether fields matter is known after the first.
macro_rules! beyond {
    ($from:expr, $super_admin:literal) => {
        concat!(
            "WITH doubtful AS MATERIALIZED (",
            "SELECT g.id, g.token_id, g.action, g.subject, g.all_fields, t.owner_id FROM ",
            $from,
            " AND t.kind = 'admin' ",
            "AND NOT EXISTS (SELECT 1 FROM keyward_owner_role m WHERE m.owner_id = t.owner_id AND m.role_id = ",
            $super_admin,
            ") AND NOT EXISTS (SELECT 1 FROM keyward_owner_role m JOIN keyward_role_permission p ON p.role_id = m.role_id \
             WHERE m.owner_id = t.owner_id AND p.action = g.action AND p.subject IS NOT DISTINCT FROM g.subject \
             AND p.all_fields)) \
             SELECT d.id, d.token_id, d.action, d.subject, d.all_fields FROM doubtful d \
             WHERE d.all_fields OR EXISTS (SELECT 1 FROM keyward_grant_field f WHERE f.grant_id = d.id AND NOT EXISTS (\
             SELECT 1 FROM keyward_owner_role m JOIN keyward_role_permission p ON p.role_id = m.role_id \
             JOIN keyward_role_permission_field h ON h.permission_id = p.id \
             WHERE m.owner_id = d.owner_id AND p.action = d.action AND p.subject IS NOT DISTINCT FROM d.subject \
             AND h.field = f.field))"
        )
    };
}

/// Whether an action is not in the list `$parameter`.
macro_rules! unknown {
    ($word:ident, $action:literal, $parameter:literal) => {
        concat!($action, " NOT IN (SELECT e.value ->> 'action' FROM ", $word!(elements $parameter), ")")
    };
}

macro_rules! statements {
    ($word:ident) => {
        /// The first read of a view: it fixes the moment that the view is of.
        pub(in crate::store::sql) const LOOK: &str =
            concat!("SELECT seq, ", $word!(now), " AS now FROM keyward_epoch WHERE id = 1");
        pub(in crate::store::sql) const SOMEBODY: &str = "SELECT COUNT(*) AS n FROM keyward_epoch \
             WHERE EXISTS (SELECT 1 FROM keyward_owner) OR EXISTS (SELECT 1 FROM keyward_token)";

        pub(in crate::store::sql) const TAKE_EPOCH: &str = concat!(
            "UPDATE keyward_epoch SET seq = seq + 1, op_id = $1 WHERE id = 1 RETURNING seq, ",
            $word!(now),
            " AS now"
        );
        pub(in crate::store::sql) const INSERT_CHANGE: &str =
            "INSERT INTO keyward_change (seq, op_id, at, tags) VALUES ($1, $2, $3, $4)";
        pub(in crate::store::sql) const RELEASE_EPOCH: &str = "UPDATE keyward_epoch SET op_id = NULL WHERE id = 1";
        pub(in crate::store::sql) const CHANGE_HAPPENED: &str =
            "SELECT COUNT(*) AS happened FROM keyward_change WHERE seq = $1 AND op_id = $2";

        /// The head, the store's time, and the changes after `$1`; without `$1`, the last one. All of one moment.
        pub(in crate::store::sql) const POLL: &str = concat!(
            "SELECT x.seq, ",
            $word!(now),
            " AS now, ",
            $word!(who),
            ", CASE WHEN CAST($1 AS BIGINT) IS NULL OR EXISTS (SELECT 1 FROM keyward_change k ",
            "WHERE k.seq = $1 AND k.op_id = $2) THEN 1 ELSE 0 END AS known, CAST((SELECT ",
            $word!(array concat!($word!(object), "('seq', c.seq, 'op_id', c.op_id, 'at', c.at, 'tags', c.tags) ORDER BY c.seq")),
            " FROM (SELECT k.seq, k.op_id, k.at, k.tags FROM keyward_change k ",
            "WHERE k.seq > COALESCE($1, x.seq - 1) ORDER BY k.seq LIMIT 1000) AS c) AS TEXT) AS changes ",
            "FROM keyward_epoch x WHERE x.id = 1"
        );
        pub(in crate::store::sql) const FORGET: &str =
            "DELETE FROM keyward_change WHERE seq IN (SELECT seq FROM keyward_change \
             WHERE at < $1 AND seq < (SELECT seq FROM keyward_epoch WHERE id = 1) ORDER BY seq LIMIT 1000)";

        /// One row, also if there is no such token: then all but `seq` is null or empty.
        pub(in crate::store::sql) const RESOLVE: &str = concat!(
            "SELECT x.seq, (SELECT k.op_id FROM keyward_change k WHERE k.seq = x.seq) AS op_id, ",
            $word!(now),
            " AS now, ",
            token!($word),
            ", ",
            owner!($word),
            ", ",
            held!($word),
            " FROM keyward_epoch x ",
            "LEFT JOIN keyward_token t ON t.digest = $1 ",
            "LEFT JOIN keyward_owner o ON o.id = t.owner_id ",
            "LEFT JOIN keyward_token_use u ON u.token_id = t.id ",
            "WHERE x.id = 1"
        );

        /// Of two uses in one batch the later one counts, of two at the same time the one that was noted last.
        pub(in crate::store::sql) const NOTE_USES: &str = concat!(
            "INSERT INTO keyward_token_use (token_id, last_used_at, address) ",
            "SELECT n.token_id, n.at, n.address FROM (",
            "SELECT CAST(e.value ->> 'token' AS BIGINT) AS token_id, CAST(e.value ->> 'at' AS BIGINT) AS at, ",
            "e.value ->> 'address' AS address, row_number() OVER (PARTITION BY e.value ->> 'token' ",
            "ORDER BY CAST(e.value ->> 'at' AS BIGINT) DESC, e.key DESC) AS place FROM ",
            $word!(elements "$1"),
            ") AS n JOIN keyward_token t ON t.id = n.token_id WHERE n.place = 1 ",
            "ON CONFLICT (token_id) DO UPDATE SET last_used_at = excluded.last_used_at, address = excluded.address ",
            "WHERE excluded.last_used_at >= keyward_token_use.last_used_at"
        );
        #[cfg(any(test, feature = "testing"))]
        pub(in crate::store::sql) const LAST_USE: &str = "SELECT last_used_at, address FROM keyward_token_use WHERE token_id = $1";

        pub(in crate::store::sql) const INSERT_ROLE: &str = "INSERT INTO keyward_role \
             (name, description, super_admin, created_at, updated_at) VALUES ($1, $2, FALSE, $3, $3) RETURNING id";
        pub(in crate::store::sql) const ROLE: &str = concat!("SELECT ", role!($word), " FROM keyward_role r WHERE r.id = $1");
        pub(in crate::store::sql) const ROLES: &str = concat!(
            "SELECT ",
            role!($word),
            ", (SELECT COUNT(*) FROM keyward_owner_role m WHERE m.role_id = r.id) AS members ",
            "FROM keyward_role r ORDER BY r.id"
        );
        pub(in crate::store::sql) const ROLE_NAMED: &str = "SELECT id FROM keyward_role WHERE name = $1";
        pub(in crate::store::sql) const UPDATE_ROLE: &str =
            "UPDATE keyward_role SET name = $2, description = $3, updated_at = $4 WHERE id = $1";
        pub(in crate::store::sql) const DELETE_ROLE: &str = "DELETE FROM keyward_role WHERE id = $1 AND NOT super_admin";
        pub(in crate::store::sql) const TOUCH_ROLE: &str = "UPDATE keyward_role SET updated_at = $2 WHERE id = $1";
        pub(in crate::store::sql) const CLEAR_PERMISSIONS: &str = "DELETE FROM keyward_role_permission WHERE role_id = $1";
        pub(in crate::store::sql) const INSERT_PERMISSIONS: &str = insert_list!(
            $word,
            "keyward_role_permission (role_id, position, action, subject, all_fields, conditions)"
        );
        pub(in crate::store::sql) const INSERT_PERMISSION_FIELDS: &str = concat!(
            "INSERT INTO keyward_role_permission_field (permission_id, field) SELECT p.id, e.value ->> 'field' FROM ",
            $word!(elements "$2"),
            " JOIN keyward_role_permission p ON p.role_id = $1 AND p.position = CAST(e.value ->> 'of' AS BIGINT)"
        );

        pub(in crate::store::sql) const INSERT_OWNER: &str = "INSERT INTO keyward_owner \
             (email, email_key, firstname, lastname, username, state, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $7) RETURNING id";
        pub(in crate::store::sql) const OWNER: &str = concat!("SELECT ", owner!($word), " FROM keyward_owner o WHERE o.id = $1");
        pub(in crate::store::sql) const OWNER_WITH_EMAIL: &str = "SELECT id FROM keyward_owner WHERE email_key = $1";
        pub(in crate::store::sql) const OWNERS_ASCENDING: &str = owners!($word, "ASC");
        pub(in crate::store::sql) const OWNERS_DESCENDING: &str = owners!($word, "DESC");
        pub(in crate::store::sql) const COUNT_OWNERS: &str = concat!("SELECT COUNT(*) AS n", found!($word));
        pub(in crate::store::sql) const PASSWORD: &str = "SELECT password_hash FROM keyward_owner WHERE id = $1";
        pub(in crate::store::sql) const UPDATE_OWNER: &str = "UPDATE keyward_owner SET email = $2, email_key = $3, firstname = $4, \
             lastname = $5, username = $6, updated_at = $7 WHERE id = $1";
        pub(in crate::store::sql) const SET_PASSWORD: &str =
            "UPDATE keyward_owner SET password_hash = $2, updated_at = $3 WHERE id = $1";
        pub(in crate::store::sql) const REMEMBER_TOKENS_OF_OWNER: &str = concat!(
            remember!("'token', t.id, 'admin'"),
            "CAST(",
            $word!(object),
            "('name', t.name, 'owner', t.owner_id) AS TEXT) ",
            "FROM keyward_token t WHERE t.owner_id = $7 AND t.kind = 'admin' ORDER BY t.id"
        );
        pub(in crate::store::sql) const DELETE_OWNER: &str = "DELETE FROM keyward_owner WHERE id = $1";
        pub(in crate::store::sql) const SET_OWNER_STATE: &str = "UPDATE keyward_owner SET state = $2, updated_at = $3 WHERE id = $1";
        pub(in crate::store::sql) const TOUCH_OWNER: &str = "UPDATE keyward_owner SET updated_at = $2 WHERE id = $1";
        pub(in crate::store::sql) const CLEAR_OWNER_ROLES: &str = "DELETE FROM keyward_owner_role WHERE owner_id = $1";
        pub(in crate::store::sql) const INSERT_OWNER_ROLES: &str = concat!(
            "INSERT INTO keyward_owner_role (owner_id, role_id) ",
            "SELECT DISTINCT CAST($1 AS BIGINT), CAST(e.value ->> 'role' AS BIGINT) FROM ",
            $word!(elements "$2")
        );
        pub(in crate::store::sql) const CEILING: &str = concat!(
            "SELECT ",
            role_ids!($word),
            " AS role_ids, ",
            held!($word),
            " FROM keyward_owner o WHERE o.id = $1"
        );
        pub(in crate::store::sql) const CEILINGS: &str = concat!(
            "SELECT ",
            owner!($word),
            ", ",
            held!($word),
            " FROM keyward_owner o WHERE o.id IN (SELECT CAST(e.value ->> 'owner' AS BIGINT) FROM ",
            $word!(elements "$1"),
            ") ORDER BY o.id"
        );
        pub(in crate::store::sql) const OTHER_SUPER_ADMINS: &str = "SELECT COUNT(*) AS n FROM keyward_owner_role m \
             JOIN keyward_owner o ON o.id = m.owner_id WHERE m.role_id = $2 AND o.id <> $1 AND o.state = 'active'";
        pub(in crate::store::sql) const DELETE_SESSIONS: &str =
            "DELETE FROM keyward_token WHERE owner_id = $1 AND kind = 'session' RETURNING digest";
        pub(in crate::store::sql) const DELETE_ENDED_SESSIONS: &str =
            "DELETE FROM keyward_token WHERE kind = 'session' AND expires_at < $1";

        pub(in crate::store::sql) const INVITATION: &str = "SELECT owner_id, expires_at FROM keyward_invitation WHERE digest = $1";
        pub(in crate::store::sql) const INSERT_INVITATION: &str = "INSERT INTO keyward_invitation \
             (owner_id, digest, created_at, expires_at) VALUES ($1, $2, $3, $4)";
        pub(in crate::store::sql) const DELETE_INVITATIONS: &str = "DELETE FROM keyward_invitation WHERE owner_id = $1";

        pub(in crate::store::sql) const INSERT_TOKEN: &str = "INSERT INTO keyward_token \
             (kind, name, description, digest, salt_id, tag, hint, owner_id, access, idle_ms, lifespan_ms, expires_at, \
             created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13) RETURNING id";
        pub(in crate::store::sql) const INSERT_GRANTS: &str =
            insert_list!($word, "keyward_grant (token_id, position, action, subject, all_fields, chosen)");
        pub(in crate::store::sql) const INSERT_GRANT_FIELDS: &str = concat!(
            "INSERT INTO keyward_grant_field (grant_id, field) SELECT g.id, e.value ->> 'field' FROM ",
            $word!(elements "$2"),
            " JOIN keyward_grant g ON g.token_id = $1 AND g.position = CAST(e.value ->> 'of' AS BIGINT)"
        );
        pub(in crate::store::sql) const INSERT_CONTENT_ACTIONS: &str = concat!(
            "INSERT INTO keyward_content_action (token_id, action) ",
            "SELECT DISTINCT CAST($1 AS BIGINT), e.value ->> 'action' FROM ",
            $word!(elements "$2")
        );
        pub(in crate::store::sql) const TOKEN: &str = concat!(tokens!($word), "WHERE t.id = $1");
        pub(in crate::store::sql) const TOKENS_OF_KIND: &str = concat!(tokens!($word), "WHERE t.kind = $1 ORDER BY t.name, t.id");
        pub(in crate::store::sql) const TOKENS_OF_OWNER: &str =
            concat!(tokens!($word), "WHERE t.kind = $1 AND t.owner_id = $2 ORDER BY t.name, t.id");
        pub(in crate::store::sql) const TOKENS_OF_MEMBERS: &str = "SELECT r.id, COUNT(t.id) AS n \
             FROM keyward_role r LEFT JOIN keyward_owner_role m ON m.role_id = r.id \
             LEFT JOIN keyward_token t ON t.owner_id = m.owner_id AND t.kind = 'admin' GROUP BY r.id ORDER BY r.id";
        pub(in crate::store::sql) const TOKENS_OF_OWNERS: &str = concat!(
            "SELECT o.id, COUNT(t.id) AS n FROM keyward_owner o \
             LEFT JOIN keyward_token t ON t.owner_id = o.id AND t.kind = 'admin' \
             WHERE o.id IN (SELECT CAST(e.value ->> 'owner' AS BIGINT) FROM ",
            $word!(elements "$1"),
            ") GROUP BY o.id ORDER BY o.id"
        );
        pub(in crate::store::sql) const TOKEN_NAMED: &str = "SELECT id FROM keyward_token WHERE name = $1 AND kind <> 'session'";
        pub(in crate::store::sql) const TOKEN_WITH_DIGEST: &str = "SELECT id FROM keyward_token WHERE digest = $1";
        pub(in crate::store::sql) const SEALED_KEY: &str = "SELECT sealed_key, sealed_with FROM keyward_token WHERE id = $1";
        pub(in crate::store::sql) const UPDATE_TOKEN: &str = "UPDATE keyward_token \
             SET name = $4, description = $5, access = $6, idle_ms = $7, updated_at = $8 \
             WHERE id = $1 AND kind = $2 AND owner_id IS NOT DISTINCT FROM $3";
        pub(in crate::store::sql) const CLEAR_GRANTS: &str = "DELETE FROM keyward_grant WHERE token_id = $1";
        pub(in crate::store::sql) const CLEAR_CONTENT_ACTIONS: &str = "DELETE FROM keyward_content_action WHERE token_id = $1";
        pub(in crate::store::sql) const SET_SECRET: &str = "UPDATE keyward_token SET digest = $2, salt_id = $3, tag = $4, hint = $5, \
             sealed_key = NULL, sealed_with = NULL, updated_at = $6 WHERE id = $1";
        pub(in crate::store::sql) const SEAL_KEY: &str = "UPDATE keyward_token SET sealed_key = $2, sealed_with = $3 WHERE id = $1";
        pub(in crate::store::sql) const DELETE_TOKEN: &str = "DELETE FROM keyward_token WHERE id = $1";

        pub(in crate::store::sql) const IMPORTED: &str = "SELECT source, kind, foreign_key, id FROM keyward_import";
        pub(in crate::store::sql) const REMEMBER_IMPORTED: &str =
            "INSERT INTO keyward_import (source, kind, foreign_key, id) VALUES ($1, $2, $3, $4)";
        pub(in crate::store::sql) const BACKDATE_OWNER: &str = "UPDATE keyward_owner SET created_at = $2 WHERE id = $1";
        pub(in crate::store::sql) const BACKDATE_TOKEN: &str =
            "UPDATE keyward_token SET created_at = $2, expires_at = $3 WHERE id = $1";
        pub(in crate::store::sql) const BACKDATE_USE: &str =
            "INSERT INTO keyward_token_use (token_id, last_used_at) VALUES ($1, $2)";

        pub(in crate::store::sql) const REMEMBER_UNKNOWN_PERMISSIONS: &str = concat!(
            remember!("'role', p.role_id, NULL"),
            facts!($word, "p", " FROM keyward_role_permission_field f WHERE f.permission_id = p.id"),
            " FROM keyward_role_permission p WHERE ",
            unknown!($word, "p.action", "$7"),
            " ORDER BY p.role_id, p.position"
        );
        pub(in crate::store::sql) const TOUCH_ROLES_OF_UNKNOWN: &str = concat!(
            "UPDATE keyward_role SET updated_at = $1 WHERE id IN (SELECT p.role_id FROM keyward_role_permission p WHERE ",
            unknown!($word, "p.action", "$2"),
            ")"
        );
        pub(in crate::store::sql) const DELETE_UNKNOWN_PERMISSIONS: &str =
            concat!("DELETE FROM keyward_role_permission WHERE ", unknown!($word, "action", "$1"));

        pub(in crate::store::sql) const INSERT_AUDIT: &str = "INSERT INTO keyward_audit \
             (at, doer_kind, doer_id, address, what, cause, target_kind, target_id, target_detail, details) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
        #[cfg(any(test, feature = "testing"))]
        pub(in crate::store::sql) const AUDIT_EVENTS: &str = concat!(event!(), " FROM keyward_audit ORDER BY id");
        pub(in crate::store::sql) const EVENTS: &str = concat!(event!(), asked_for!(), " ORDER BY id DESC LIMIT $9 OFFSET $10");
        pub(in crate::store::sql) const COUNT_EVENTS: &str = concat!("SELECT COUNT(*) AS n", asked_for!());
        pub(in crate::store::sql) const DELETE_EVENTS: &str = "DELETE FROM keyward_audit WHERE at < $1";
    };
}

/// Which grants of members of the role `$whose` go.
macro_rules! of_members {
    ($whose:literal, $super_admin:literal) => {
        beyond!(
            concat!(
                "keyward_owner_role s JOIN keyward_token t ON t.owner_id = s.owner_id ",
                "JOIN keyward_grant g ON g.token_id = t.id WHERE s.role_id = ",
                $whose
            ),
            $super_admin
        )
    };
}

/// Which grants of the owner `$whose` go.
macro_rules! of_owner {
    ($whose:literal, $super_admin:literal) => {
        beyond!(
            concat!("keyward_token t JOIN keyward_grant g ON g.token_id = t.id WHERE t.owner_id = ", $whose),
            $super_admin
        )
    };
}

/// Which grants go because their action is not in the list `$known`.
macro_rules! of_unknown {
    ($word:ident, $known:literal) => {
        concat!(
            "SELECT g.id, g.token_id, g.action, g.subject, g.all_fields FROM keyward_grant g WHERE ",
            unknown!($word, "g.action", $known)
        )
    };
}

#[cfg(feature = "sqlite")]
pub(super) mod sqlite {
    statements!(sqlite);

    pub(in crate::store::sql) const BEGIN: &str = "BEGIN IMMEDIATE";

    /// SQLite has no changes within a query, so what goes is marked first.
    macro_rules! mark {
        ($which:expr) => {
            concat!("INSERT INTO keyward_clamped (grant_id, token_id) SELECT id, token_id FROM (", $which, ")")
        };
    }
    pub(in crate::store::sql) const MARK_OF_MEMBERS: &str = mark!(of_members!("$1", "$2"));
    pub(in crate::store::sql) const MARK_OF_OWNER: &str = mark!(of_owner!("$1", "$2"));
    pub(in crate::store::sql) const MARK_UNKNOWN: &str = mark!(of_unknown!(sqlite, "$1"));
    pub(in crate::store::sql) const REMEMBER_MARKED: &str = concat!(
        remember!("'token', c.token_id, 'admin'"),
        facts!(sqlite, "g", " FROM keyward_grant_field f WHERE f.grant_id = g.id"),
        " FROM keyward_clamped c JOIN keyward_grant g ON g.id = c.grant_id ORDER BY c.grant_id"
    );
    pub(in crate::store::sql) const DELETE_MARKED: &str =
        "DELETE FROM keyward_grant WHERE id IN (SELECT grant_id FROM keyward_clamped)";
    pub(in crate::store::sql) const COUNT_MARKED: &str = "SELECT COUNT(DISTINCT token_id) AS n FROM keyward_clamped";
    pub(in crate::store::sql) const UNMARK: &str = "DELETE FROM keyward_clamped";
}

#[cfg(feature = "postgres")]
pub(super) mod postgres {
    statements!(postgres);

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
    pub(in crate::store::sql) const BEGIN: &str = begin!("'off'");
    /// And is confirmed by the replicas that have to.
    pub(in crate::store::sql) const BEGIN_CONFIRMED: &str = begin!("'off', 'local'");
    /// For what is no change and need not be confirmed by anybody: the log of uses, and what is too old in the log of changes.
    pub(in crate::store::sql) const BEGIN_ASIDE: &str = "BEGIN; SET LOCAL lock_timeout = '5s'; \
         SET LOCAL idle_in_transaction_session_timeout = '4s'; SET LOCAL synchronous_commit = local";
    pub(in crate::store::sql) const BEGIN_READING: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET LOCAL jit = off; \
         SET LOCAL idle_in_transaction_session_timeout = '30s'; SET LOCAL statement_timeout = '30s'";
    /// Nothing here runs for so long that compiling it would pay. But after many tokens were imported, and before the tables are
    /// analysed, the planner takes a look-up for long enough: then compiling took half a second each.
    ///
    /// A look-up that nobody waits for any more leaves a session behind which the server ends by itself, or there would be no end of
    /// them while somebody locks the tables.
    pub(in crate::store::sql) const BEGIN_LOOK_UP: &str = "BEGIN READ ONLY; SET LOCAL jit = off; SET LOCAL statement_timeout = '2s'; \
         SET LOCAL idle_in_transaction_session_timeout = '4s'";
    pub(in crate::store::sql) const LOOK_UPS_END: &str =
        "SET jit = off; SET statement_timeout = '2s'; SET default_transaction_read_only = on";

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
    pub(in crate::store::sql) const CLAMP_MEMBERS: &str = clamp!(of_members!("$7", "$8"));
    pub(in crate::store::sql) const CLAMP_OWNER: &str = clamp!(of_owner!("$7", "$8"));
    pub(in crate::store::sql) const CLAMP_UNKNOWN: &str = clamp!(of_unknown!(postgres, "$7"));

    /// It need not wait for replicas.
    pub(in crate::store::sql) const HINT: &str =
        "SELECT set_config('synchronous_commit', 'local', TRUE), pg_notify('keyward', '')";
    /// Waits until whoever has the epoch is done, one way or the other.
    pub(in crate::store::sql) const AFTER_WRITERS: &str = "SELECT seq FROM keyward_epoch WHERE id = 1 FOR UPDATE";

    /// Commits something that replicas have to confirm, whatever the role's setting says; and whether there are any that have to.
    pub(in crate::store::sql) const HEARTBEAT: &str = concat!(
        "SELECT CAST(pg_logical_emit_message(TRUE, 'keyward', '') AS TEXT), set_config('synchronous_commit', CASE ",
        "WHEN current_setting('synchronous_commit') IN ('off', 'local') THEN 'on' ",
        "ELSE current_setting('synchronous_commit') END, TRUE), ",
        "current_setting('synchronous_standby_names') <> '' AS confirmed, ",
        postgres!(who)
    );
    pub(in crate::store::sql) const RECOVERY: &str = "SELECT pg_is_in_recovery() AS replica";
    pub(in crate::store::sql) const SESSION: &str = "SELECT pg_backend_pid() AS session";
    /// Ends sessions of this name that wait for replicas. They would do so for ever, and do not hear that nobody waits for them.
    pub(in crate::store::sql) const END_WAITING: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE application_name = $1 AND wait_event = 'SyncRep'";
    /// Who migrates waits for whoever does so already, and not for ever. What is there already is no news.
    pub(in crate::store::sql) const LOCK_MIGRATIONS: &str = "SET LOCAL client_min_messages = warning; SET LOCAL lock_timeout = '30s'; SELECT pg_advisory_xact_lock(7738711720364864)";
    pub(in crate::store::sql) const MIGRATED: &str = "SELECT to_regclass('keyward_migrations') IS NOT NULL AS migrated";
    pub(in crate::store::sql) const NEWEST_MIGRATION: &str = "SELECT MAX(version) AS version FROM keyward_migrations";
}
