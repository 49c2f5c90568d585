//! Every statement, once. The texts are SQLite's and PostgreSQL's alike, but for the few words that a dialect macro brings.

/// SQLite's words: aggregate to an array; build an object; JSON text as JSON, not as a string; the elements of the array in
/// a parameter as rows `e(key, value)`, counted from 0.
macro_rules! sqlite {
    (array) => {
        "json_group_array"
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
}

/// The ids of the roles of the owner `o`, ascending.
macro_rules! role_ids {
    ($word:ident) => {
        concat!(
            "(SELECT ",
            $word!(array),
            "(m.role_id ORDER BY m.role_id) FROM keyward_owner_role m WHERE m.owner_id = o.id)"
        )
    };
}

/// Permissions `p` with their fields, in the order of their roles.
macro_rules! permissions {
    ($word:ident, $from:literal) => {
        concat!(
            "(SELECT ",
            $word!(array),
            "(",
            $word!(object),
            "('action', p.action, 'subject', p.subject, 'all', CASE WHEN p.all_fields THEN 1 ELSE 0 END, ",
            "'conditions', p.conditions, 'fields', ",
            $word!(json),
            "((SELECT ",
            $word!(array),
            "(f.field) FROM keyward_role_permission_field f WHERE f.permission_id = p.id))",
            ") ORDER BY p.role_id, p.position) FROM ",
            $from,
            ") AS permissions"
        )
    };
}

/// What the token `t` is, with its grants and actions.
macro_rules! token {
    ($word:ident) => {
        concat!(
            "t.id AS token_id, t.kind, t.name, t.description, t.digest, t.hint, t.created_at, t.expires_at, ",
            "t.owner_id AS token_owner_id, t.access, t.idle_ms, (SELECT ",
            $word!(array),
            "(",
            $word!(object),
            "('action', g.action, 'subject', g.subject, 'all', CASE WHEN g.all_fields THEN 1 ELSE 0 END, ",
            "'conditions', g.chosen, 'fields', ",
            $word!(json),
            "((SELECT ",
            $word!(array),
            "(f.field) FROM keyward_grant_field f WHERE f.grant_id = g.id))",
            ") ORDER BY g.position) FROM keyward_grant g WHERE g.token_id = t.id) AS grants, (SELECT ",
            $word!(array),
            "(c.action ORDER BY c.action) FROM keyward_content_action c WHERE c.token_id = t.id) AS content_actions"
        )
    };
}

/// What the owner `o` is, with their roles.
macro_rules! owner {
    ($word:ident) => {
        concat!("o.id AS owner_id, o.email, o.firstname, o.lastname, o.state, ", role_ids!($word), " AS role_ids")
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

macro_rules! statements {
    ($word:ident) => {
        pub(super) const BEGIN: &str = "BEGIN IMMEDIATE";

        pub(super) const TAKE_EPOCH: &str =
            "UPDATE keyward_epoch SET seq = seq + 1, op_id = $1 WHERE id = 1 RETURNING seq";
        pub(super) const INSERT_CHANGE: &str =
            "INSERT INTO keyward_change (seq, op_id, at, tags) VALUES ($1, $2, $3, $4)";
        pub(super) const RELEASE_EPOCH: &str = "UPDATE keyward_epoch SET op_id = NULL WHERE id = 1";
        pub(super) const CHANGE_HAPPENED: &str =
            "SELECT COUNT(*) AS happened FROM keyward_change WHERE seq = $1 AND op_id = $2";

        /// One row, also if there is no such token: then all but `seq` is null or empty.
        pub(super) const RESOLVE: &str = concat!(
            "SELECT x.seq, ",
            token!($word),
            ", ",
            owner!($word),
            ", ",
            held!($word),
            ", u.last_used_at FROM keyward_epoch x ",
            "LEFT JOIN keyward_token t ON t.digest = $1 ",
            "LEFT JOIN keyward_owner o ON o.id = t.owner_id ",
            "LEFT JOIN keyward_token_use u ON u.token_id = t.id ",
            "WHERE x.id = 1"
        );

        /// Of two uses in one batch the later one counts, of two at the same time the one that was noted last.
        pub(super) const NOTE_USES: &str = concat!(
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
        pub(super) const LAST_USE: &str = "SELECT last_used_at, address FROM keyward_token_use WHERE token_id = $1";

        pub(super) const INSERT_ROLE: &str = "INSERT INTO keyward_role \
             (name, description, super_admin, created_at, updated_at) VALUES ($1, $2, FALSE, $3, $3) RETURNING id";
        pub(super) const ROLE: &str = concat!(
            "SELECT r.id, r.name, r.description, ",
            permissions!($word, "keyward_role_permission p WHERE p.role_id = r.id"),
            " FROM keyward_role r WHERE r.id = $1"
        );
        pub(super) const ROLE_NAME_TAKEN: &str = "SELECT COUNT(*) AS n FROM keyward_role WHERE name = $1";
        pub(super) const TOUCH_ROLE: &str = "UPDATE keyward_role SET updated_at = $2 WHERE id = $1";
        pub(super) const CLEAR_PERMISSIONS: &str = "DELETE FROM keyward_role_permission WHERE role_id = $1";
        pub(super) const INSERT_PERMISSIONS: &str = insert_list!(
            $word,
            "keyward_role_permission (role_id, position, action, subject, all_fields, conditions)"
        );
        pub(super) const INSERT_PERMISSION_FIELDS: &str = concat!(
            "INSERT INTO keyward_role_permission_field (permission_id, field) SELECT p.id, e.value ->> 'field' FROM ",
            $word!(elements "$2"),
            " JOIN keyward_role_permission p ON p.role_id = $1 AND p.position = CAST(e.value ->> 'of' AS BIGINT)"
        );

        pub(super) const INSERT_OWNER: &str = "INSERT INTO keyward_owner \
             (email, email_key, firstname, lastname, state, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $6) RETURNING id";
        pub(super) const OWNER: &str = concat!("SELECT ", owner!($word), " FROM keyward_owner o WHERE o.id = $1");
        pub(super) const EMAIL_TAKEN: &str = "SELECT COUNT(*) AS n FROM keyward_owner WHERE email_key = $1";
        pub(super) const SET_OWNER_STATE: &str = "UPDATE keyward_owner SET state = $2, updated_at = $3 WHERE id = $1";
        pub(super) const TOUCH_OWNER: &str = "UPDATE keyward_owner SET updated_at = $2 WHERE id = $1";
        pub(super) const CLEAR_OWNER_ROLES: &str = "DELETE FROM keyward_owner_role WHERE owner_id = $1";
        pub(super) const INSERT_OWNER_ROLES: &str = concat!(
            "INSERT INTO keyward_owner_role (owner_id, role_id) ",
            "SELECT DISTINCT CAST($1 AS BIGINT), CAST(e.value ->> 'role' AS BIGINT) FROM ",
            $word!(elements "$2")
        );
        pub(super) const CEILING: &str = concat!(
            "SELECT ",
            role_ids!($word),
            " AS role_ids, ",
            held!($word),
            " FROM keyward_owner o WHERE o.id = $1"
        );
        pub(super) const OTHER_SUPER_ADMINS: &str = "SELECT COUNT(*) AS n FROM keyward_owner_role m \
             JOIN keyward_owner o ON o.id = m.owner_id WHERE m.role_id = $2 AND o.id <> $1 AND o.state = 'active'";
        pub(super) const DELETE_SESSIONS: &str =
            "DELETE FROM keyward_token WHERE owner_id = $1 AND kind = 'session' RETURNING digest";

        pub(super) const INSERT_TOKEN: &str = "INSERT INTO keyward_token \
             (kind, name, description, digest, salt_id, tag, hint, owner_id, access, idle_ms, lifespan_ms, expires_at, \
             created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13) RETURNING id";
        pub(super) const INSERT_GRANTS: &str =
            insert_list!($word, "keyward_grant (token_id, position, action, subject, all_fields, chosen)");
        pub(super) const INSERT_GRANT_FIELDS: &str = concat!(
            "INSERT INTO keyward_grant_field (grant_id, field) SELECT g.id, e.value ->> 'field' FROM ",
            $word!(elements "$2"),
            " JOIN keyward_grant g ON g.token_id = $1 AND g.position = CAST(e.value ->> 'of' AS BIGINT)"
        );
        pub(super) const INSERT_CONTENT_ACTIONS: &str = concat!(
            "INSERT INTO keyward_content_action (token_id, action) ",
            "SELECT DISTINCT CAST($1 AS BIGINT), e.value ->> 'action' FROM ",
            $word!(elements "$2")
        );
        pub(super) const TOKEN: &str = concat!("SELECT ", token!($word), " FROM keyward_token t WHERE t.id = $1");
        pub(super) const TOKEN_NAME_TAKEN: &str =
            "SELECT COUNT(*) AS n FROM keyward_token WHERE name = $1 AND kind <> 'session'";
        pub(super) const DELETE_TOKEN: &str = "DELETE FROM keyward_token WHERE id = $1";

        pub(super) const INSERT_AUDIT: &str = "INSERT INTO keyward_audit \
             (at, doer_kind, doer_id, what, target_kind, target_id, target_detail, details) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
        pub(super) const AUDIT_EVENTS: &str = "SELECT at, doer_kind, doer_id, what, target_kind, target_id, \
             target_detail, details FROM keyward_audit ORDER BY id";
    };
}

statements!(sqlite);
