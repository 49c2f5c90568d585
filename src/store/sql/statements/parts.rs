//! Parts that several statements share.

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

/// The columns of the role `r`.
macro_rules! role {
    ($word:ident) => {
        concat!(
            "r.id, r.code, r.name, r.description, r.created_at, r.updated_at, ",
            permissions!($word, "keyward_role_permission p WHERE p.role_id = r.id")
        )
    };
}

/// The grants `g` of a token as JSON.
macro_rules! grants {
    ($word:ident, $which:literal) => {
        concat!(
            "(SELECT ",
            $word!(array concat!(
                $word!(object),
                "('action', g.action, 'subject', g.subject, 'all', CASE WHEN g.all_fields THEN 1 ELSE 0 END, ",
                "'conditions', g.chosen, 'delegate', CASE WHEN g.may_delegate THEN 1 ELSE 0 END, 'fields', ",
                $word!(json),
                "((SELECT ",
                $word!(array "f.field"),
                " FROM keyward_grant_field f WHERE f.grant_id = g.id))",
                ") ORDER BY g.position"
            )),
            " FROM keyward_grant g WHERE ",
            $which,
            ")"
        )
    };
}

/// The secret before the present one of the token `t` as JSON, or null.
macro_rules! previous_secret {
    ($word:ident) => {
        concat!(
            "CAST((SELECT ",
            $word!(object),
            "('digest', p.digest, 'hint', p.hint, 'replaced_at', p.replaced_at, 'ends_at', p.ends_at, ",
            "'used_at', p.last_used_at, 'address', p.address) FROM keyward_previous_secret p ",
            "WHERE p.token_id = t.id ORDER BY p.id DESC LIMIT 1) AS TEXT) AS previous"
        )
    };
}

/// The tokens from which the token `t` comes as JSON, its parent first; null if it comes from none.
macro_rules! ancestors {
    ($word:ident) => {
        concat!(
            "CASE WHEN t.parent_id IS NOT NULL THEN CAST((WITH RECURSIVE line (id, depth) AS (",
            "SELECT CAST(t.parent_id AS BIGINT), 1 UNION ALL SELECT k.parent_id, l.depth + 1 FROM line l ",
            "JOIN keyward_token k ON k.id = l.id WHERE k.parent_id IS NOT NULL AND l.depth < 16) SELECT ",
            $word!(array concat!(
                $word!(object),
                "('id', a.id, 'enabled', CASE WHEN a.enabled THEN 1 ELSE 0 END, 'networks', a.networks, ",
                "'rate_limit', a.rate_limit, 'rate_window_ms', a.rate_window_ms, 'idle_expiry_ms', a.idle_expiry_ms, ",
                "'expires_at', a.expires_at, 'created_at', a.created_at, 'last_used_at', v.last_used_at, 'grants', ",
                $word!(json),
                "(",
                grants!($word, "g.token_id = a.id AND g.may_delegate"),
                ")) ORDER BY l.depth"
            )),
            " FROM line l JOIN keyward_token a ON a.id = l.id ",
            "LEFT JOIN keyward_token_use v ON v.token_id = a.id) AS TEXT) END AS ancestors"
        )
    };
}

/// The columns of the token `t`, with its grants and actions, its secrets and its last use `u`.
macro_rules! token {
    ($word:ident) => {
        token!($word, ancestors!($word))
    };
    ($word:ident, $ancestors:expr) => {
        concat!(
            "t.id AS token_id, t.kind, t.name, t.description, t.metadata, t.digest, t.hint, t.lifespan_ms, t.expires_at, ",
            "t.created_at, t.updated_at, u.last_used_at, u.tool AS last_used_tool, u.secret_used_at, u.secret_address, ",
            "t.parent_digest, t.enabled, t.networks, t.rate_limit, t.rate_window_ms, t.idle_expiry_ms, ",
            previous_secret!($word),
            ", ",
            $ancestors,
            ", t.owner_id AS token_owner_id, t.access, t.idle_ms, CAST(",
            grants!($word, "g.token_id = t.id"),
            " AS TEXT) AS grants, CAST((SELECT ",
            $word!(array "c.action ORDER BY c.action"),
            " FROM keyward_content_action c WHERE c.token_id = t.id) AS TEXT) AS content_actions"
        )
    };
}

/// Tokens `t` with all their columns.
macro_rules! tokens {
    ($word:ident) => {
        concat!("SELECT ", token!($word), " FROM keyward_token t LEFT JOIN keyward_token_use u ON u.token_id = t.id ")
    };
}

/// Returns true if a row passes the filters of one column: `$filters` is the list of all filters, `$name` the column's
/// name in it, `$column` the column. The subqueries do not depend on the row, so each is evaluated once.
macro_rules! column_filter {
    ($word:ident, $filters:literal, $name:literal, $column:literal) => {
        concat!(
            " AND (NOT EXISTS (SELECT 1 FROM ",
            $word!(elements $filters),
            " WHERE e.value ->> 'column' = '",
            $name,
            "' AND e.value ->> 'test' = 'equals') OR ",
            $column,
            " IN (SELECT e.value ->> 'text' FROM ",
            $word!(elements $filters),
            " WHERE e.value ->> 'column' = '",
            $name,
            "' AND e.value ->> 'test' = 'equals')) AND (NOT EXISTS (SELECT 1 FROM ",
            $word!(elements $filters),
            " WHERE e.value ->> 'column' = '",
            $name,
            "' AND e.value ->> 'test' = 'contains') OR ",
            $word!(contains $column,
                "(SELECT e.value ->> 'text' FROM ",
                $word!(elements $filters),
                " WHERE e.value ->> 'column' = '",
                $name,
                "' AND e.value ->> 'test' = 'contains' LIMIT 1)"),
            ")"
        )
    };
}

/// Returns true if a token passes the filter of its metadata, of which the list has at most one.
macro_rules! metadata_filter {
    ($word:ident, $filters:literal) => {
        concat!(
            " AND (NOT EXISTS (SELECT 1 FROM ",
            $word!(elements $filters),
            " WHERE e.value ->> 'column' = 'metadata') OR ",
            $word!(text_member "t.metadata",
                "(SELECT e.value ->> 'member' FROM ",
                $word!(elements $filters),
                " WHERE e.value ->> 'column' = 'metadata' LIMIT 1)"),
            " = (SELECT e.value ->> 'text' FROM ",
            $word!(elements $filters),
            " WHERE e.value ->> 'column' = 'metadata' LIMIT 1))"
        )
    };
}

/// Selects tokens: `$1` kind, `$2` text to search for, `$3` time at which they must not have expired, `$4` filters;
/// `$and` adds a condition.
macro_rules! matching_tokens {
    ($word:ident, $and:literal) => {
        concat!(
            " FROM keyward_token t WHERE t.kind = $1 AND (CAST($2 AS TEXT) IS NULL OR ",
            $word!(within "t.name", "$2"),
            " OR ",
            $word!(within "t.description", "$2"),
            " OR t.owner_id IN (SELECT o.id FROM keyward_owner o WHERE ",
            $word!(within "COALESCE(NULLIF(TRIM(o.firstname || ' ' || o.lastname), ''), o.username, o.email)", "$2"),
            ")) AND (CAST($3 AS BIGINT) IS NULL OR t.expires_at IS NULL OR t.expires_at > $3)",
            column_filter!($word, "$4", "id", "CAST(t.id AS TEXT)"),
            column_filter!($word, "$4", "name", "t.name"),
            column_filter!($word, "$4", "description", "t.description"),
            column_filter!($word, "$4", "owner", "CAST(t.owner_id AS TEXT)"),
            column_filter!($word, "$4", "access", "t.access"),
            metadata_filter!($word, "$4"),
            $and
        )
    };
}

/// Orders tokens by name, like the index of lists.
macro_rules! tokens_by_name {
    ($direction:literal) => {
        concat!(" ORDER BY lower(t.name) ", $direction, ", t.id ", $direction)
    };
}

/// Orders tokens by the word `$7`.
macro_rules! tokens_by_word {
    ($direction:literal) => {
        concat!(
            " ORDER BY CASE $7 WHEN 'owner' THEN (SELECT lower(COALESCE(NULLIF(TRIM(o.firstname || ' ' || o.lastname), ''), ",
            "o.username, o.email)) FROM keyward_owner o WHERE o.id = t.owner_id) WHEN 'access' THEN t.access END ",
            $direction,
            ", CASE $7 WHEN 'created-at' THEN t.created_at WHEN 'expires-at' THEN COALESCE(t.expires_at, 9223372036854775807) ",
            "WHEN 'last-used-at' THEN COALESCE((SELECT v.last_used_at FROM keyward_token_use v WHERE v.token_id = t.id), ",
            "-9223372036854775807) END ",
            $direction,
            ", t.id ",
            $direction
        )
    };
}

/// A page of tokens: `$5` size, `$6` offset. Grants and actions are read for tokens on the page only.
macro_rules! tokens_page {
    ($word:ident, $and:literal, $order:expr) => {
        concat!(
            tokens!($word),
            "WHERE t.id IN (SELECT t.id",
            matching_tokens!($word, $and),
            $order,
            " LIMIT $5 OFFSET $6)",
            $order
        )
    };
}

/// The columns of an audit event.
macro_rules! event {
    () => {
        "SELECT id, at, doer_kind, doer_id, address, tool, what, cause, target_kind, target_id, target_detail, details"
    };
}

/// The columns of the owner `o`, with their roles.
macro_rules! owner {
    ($word:ident) => {
        concat!(
            "o.id AS owner_id, o.account, o.kind AS owner_kind, o.email, o.firstname, o.lastname, o.username, o.state, ",
            "o.created_at AS owner_created_at, o.updated_at AS owner_updated_at, ",
            role_ids!($word),
            " AS role_ids"
        )
    };
}

/// The permissions of all roles of the owner `o`.
macro_rules! owner_permissions {
    ($word:ident) => {
        permissions!(
            $word,
            "keyward_owner_role m JOIN keyward_role_permission p ON p.role_id = m.role_id WHERE m.owner_id = o.id"
        )
    };
}

/// Selects the token of a digest with everything that decides about it, and the last change.
macro_rules! resolve {
    ($word:ident, $ancestors:expr) => {
        resolve!($word, $ancestors, "", "", "CAST($1 AS TEXT)")
    };
    (many $word:ident, $ancestors:expr) => {
        resolve!(
            $word,
            $ancestors,
            "e.key AS place, ",
            concat!("CROSS JOIN ", $word!(elements "$1"), " "),
            "e.value ->> 'text'"
        )
    };
    ($word:ident, $ancestors:expr, $place:expr, $from:expr, $digest:literal) => {
        concat!(
            "SELECT ",
            $place,
            "x.seq, (SELECT k.op_id FROM keyward_change k WHERE k.seq = x.seq) AS op_id, ",
            $word!(now),
            " AS now",
            $word!(installation),
            ", ",
            token!($word, $ancestors),
            ", ",
            owner!($word),
            ", ",
            owner_permissions!($word),
            " FROM keyward_epoch x ",
            $from,
            "LEFT JOIN keyward_token t ON t.id = COALESCE((SELECT d.id FROM keyward_token d WHERE d.digest = ",
            $digest,
            "), (SELECT d.token_id FROM keyward_previous_secret d WHERE d.digest = ",
            $digest,
            ")) LEFT JOIN keyward_owner o ON o.id = t.owner_id ",
            "LEFT JOIN keyward_token_use u ON u.token_id = t.id ",
            "WHERE x.id = 1"
        )
    };
}

/// Inserts a list of permissions or grants: `$1` id of the role or token, `$2` the list; `$more` are further columns.
macro_rules! insert_list {
    ($word:ident, $into:literal, $more:literal) => {
        concat!(
            "INSERT INTO ",
            $into,
            " SELECT CAST($1 AS BIGINT), e.key, e.value ->> 'action', e.value ->> 'subject', ",
            "CAST(e.value ->> 'all' AS BOOLEAN), e.value ->> 'conditions'",
            $more,
            " FROM ",
            $word!(elements "$2"),
            " ORDER BY e.key"
        )
    };
}

/// Selects owners: `$1` text to search for (all if null), `$2` filters.
macro_rules! matching_owners {
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
            ")",
            column_filter!($word, "$2", "id", "CAST(o.id AS TEXT)"),
            column_filter!($word, "$2", "email", "o.email"),
            column_filter!($word, "$2", "email-key", "o.email_key"),
            column_filter!($word, "$2", "firstname", "o.firstname"),
            column_filter!($word, "$2", "lastname", "o.lastname"),
            column_filter!($word, "$2", "username", "o.username"),
            column_filter!($word, "$2", "state", "o.state")
        )
    };
}

/// Orders owners by the word `$3`. No user name comes before an empty one.
macro_rules! owners_order {
    ($direction:literal) => {
        concat!(
            " ORDER BY CASE $3 WHEN 'email' THEN o.email_key WHEN 'firstname' THEN o.firstname ",
            "WHEN 'lastname' THEN o.lastname WHEN 'username' THEN COALESCE('+' || o.username, '') END ",
            $direction,
            ", CASE $3 WHEN 'created-at' THEN o.created_at END ",
            $direction,
            ", o.id ",
            $direction
        )
    };
}

/// A page of owners. Their roles are read for owners on the page only.
macro_rules! owners {
    ($word:ident, $direction:literal) => {
        concat!(
            "SELECT ",
            owner!($word),
            " FROM keyward_owner o WHERE o.id IN (SELECT o.id",
            matching_owners!($word),
            owners_order!($direction),
            " LIMIT $4 OFFSET $5)",
            owners_order!($direction)
        )
    };
}

/// Selects events: `$1` list of actions, `$2` to `$4` target, `$5` person, `$6` token, `$7` start, `$8` end, `$9` owner
/// of the tokens, `$10` id, `$11` exclusive upper bound of the id.
macro_rules! matching_events {
    ($word:ident) => {
        concat!(" FROM keyward_audit WHERE (CAST($1 AS TEXT) IS NULL OR what IN (SELECT e.value ->> 'text' FROM ",
            $word!(elements "$1"),
        ")) AND id >= COALESCE(CAST($10 AS BIGINT), 0) AND id <= COALESCE(CAST($10 AS BIGINT), 9223372036854775807) \
         AND id < COALESCE(CAST($11 AS BIGINT), 9223372036854775807) \
         AND (CAST($2 AS TEXT) IS NULL OR (target_kind = $2 AND target_id IS NOT DISTINCT FROM $3 \
         AND target_detail IS NOT DISTINCT FROM $4)) \
         AND (CAST($5 AS BIGINT) IS NULL OR (doer_kind = 'person' AND doer_id = $5)) \
         AND (CAST($6 AS BIGINT) IS NULL OR (doer_kind = 'token' AND doer_id = $6)) \
         AND (CAST($7 AS BIGINT) IS NULL OR at >= $7) AND (CAST($8 AS BIGINT) IS NULL OR at < $8) \
         AND (CAST($9 AS BIGINT) IS NULL OR target_kind <> 'token' OR target_detail = 'content' \
         OR EXISTS (SELECT 1 FROM keyward_token t WHERE t.id = keyward_audit.target_id AND t.owner_id = $9) OR CAST(",
            $word!(document "details"),
            " ->> 'owner' AS BIGINT) = $9)")
    };
}

/// The ids in the list of tokens `$1`.
macro_rules! token_ids {
    ($word:ident) => {
        concat!("SELECT CAST(e.value ->> 'token' AS BIGINT) FROM ", $word!(elements "$1"))
    };
}

/// The ids in the list of tokens `$list`.
macro_rules! listed_tokens {
    ($word:ident, $list:literal) => {
        concat!("SELECT CAST(e.value ->> 'token' AS BIGINT) FROM ", $word!(elements $list))
    };
}

/// Selects tokens by id: `$1` kind, `$2` role of the owner, `$3` exclusive upper bound of the creation time, `$4` whether a use with an
/// address is required, `$5` size; `$and` adds a condition.
macro_rules! selected_tokens {
    ($and:literal) => {
        concat!(
            "SELECT t.id AS token_id, t.kind, t.owner_id, t.tag, t.updated_at, u.address, (SELECT p.digest FROM keyward_previous_secret p ",
            "WHERE p.token_id = t.id ORDER BY p.id DESC LIMIT 1) AS previous FROM keyward_token t ",
            "LEFT JOIN keyward_token_use u ON u.token_id = t.id WHERE (CAST($1 AS TEXT) IS NULL OR t.kind = $1) ",
            "AND (CAST($2 AS BIGINT) IS NULL OR EXISTS (SELECT 1 FROM keyward_owner_role m ",
            "WHERE m.owner_id = t.owner_id AND m.role_id = $2)) ",
            "AND (CAST($3 AS BIGINT) IS NULL OR t.created_at < $3) ",
            "AND (NOT CAST($4 AS BOOLEAN) OR u.address IS NOT NULL)",
            $and,
            " ORDER BY t.id LIMIT $5"
        )
    };
}

/// Statements that fill in comparison keys of a column: for rows that match `$new`, unique among those that match
/// `$unique`.
macro_rules! keys {
    ($word:ident, $table:literal, $column:literal, $new:literal, $unique:literal) => {
        [
            concat!(
                "SELECT id, ", $column, " AS text, ", $column, "_key AS now FROM ", $table,
                " WHERE ", $new, "id > $1 ORDER BY id LIMIT 1000"
            ),
            concat!(
                "SELECT ", $column, "_key AS key FROM ", $table, " WHERE ", $unique, $column,
                "_key IN (SELECT e.value ->> 'key' FROM ", $word!(elements "$1"), ")"
            ),
            concat!(
                "UPDATE ", $table, " SET ", $column, "_key = n.form FROM (SELECT CAST(e.value ->> 'id' AS BIGINT) AS id, ",
                "e.value ->> 'key' AS form FROM ", $word!(elements "$1"), ") AS n WHERE ", $table, ".id = n.id"
            ),
        ]
    };
}

/// Inserts an event for each row of the following query: `$1` time, `$2` and `$3` actor, `$4` address, `$5` tool,
/// `$6` action, `$7` cause.
macro_rules! insert_events {
    ($target:literal) => {
        concat!(
            "INSERT INTO keyward_audit ",
            "(at, doer_kind, doer_id, address, tool, what, cause, target_kind, target_id, target_detail, details) ",
            "SELECT CAST($1 AS BIGINT), CAST($2 AS TEXT), CAST($3 AS BIGINT), CAST($4 AS TEXT), CAST($5 AS TEXT), ",
            "CAST($6 AS TEXT), CAST($7 AS TEXT), ",
            $target,
            ", "
        )
    };
}

/// The details of a grant or permission: `fields` is a query for the names of its fields, as an array.
macro_rules! grant_details {
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

/// Selects the grants beyond their owner's ceiling, of those that `$from` joins as `g` with their token `t`: the rule
/// of `Ceiling::check`.
///
/// A preview passes the effect of a proposed change: `$with` defines its tables, `$roles` is the table of assignments,
/// `$but` excludes the roles `m` that are taken away, and `$or_all` and `$or_field` test what is added.
///
/// There are two steps, or PostgreSQL would read the fields of every grant: the first step finds the grants for which
/// fields matter. The added permissions are tested separately: joined with the tables, PostgreSQL chose a nested loop
/// that did not end within a minute.
macro_rules! beyond_ceiling {
    ($with:expr, $roles:literal, $but:literal, $or_all:literal, $or_field:literal, $from:expr, $super_admin:literal) => {
        concat!(
            "WITH ",
            $with,
            "doubtful AS MATERIALIZED (",
            "SELECT g.id, g.token_id, g.action, g.subject, g.all_fields, t.owner_id FROM ",
            $from,
            " AND t.kind = 'admin' AND NOT EXISTS (SELECT 1 FROM ",
            $roles,
            " m WHERE m.owner_id = t.owner_id AND m.role_id = ",
            $super_admin,
            ")",
            $or_all,
            " AND NOT EXISTS (SELECT 1 FROM ",
            $roles,
            " m JOIN keyward_role_permission p ON p.role_id = m.role_id WHERE m.owner_id = t.owner_id",
            $but,
            " AND p.action = g.action AND p.subject IS NOT DISTINCT FROM g.subject AND p.all_fields)) \
             SELECT d.id, d.token_id, d.action, d.subject, d.all_fields FROM doubtful d \
             WHERE d.all_fields OR EXISTS (SELECT 1 FROM keyward_grant_field f WHERE f.grant_id = d.id",
            $or_field,
            " AND NOT EXISTS (SELECT 1 FROM ",
            $roles,
            " m JOIN keyward_role_permission p ON p.role_id = m.role_id \
             JOIN keyward_role_permission_field h ON h.permission_id = p.id WHERE m.owner_id = d.owner_id",
            $but,
            " AND p.action = d.action AND p.subject IS NOT DISTINCT FROM d.subject AND h.field = f.field))"
        )
    };
    ($from:expr, $super_admin:literal) => {
        beyond_ceiling!("", "keyward_owner_role", "", "", "", $from, $super_admin)
    };
}

/// Returns true if an action is not in the list `$parameter`.
macro_rules! not_in_list {
    ($word:ident, $action:literal, $parameter:literal) => {
        concat!($action, " NOT IN (SELECT e.value ->> 'action' FROM ", $word!(elements $parameter), ")")
    };
}

/// The grants `g` of members of the role `$whose`, with their token `t`.
macro_rules! grants_of_members {
    ($whose:literal) => {
        concat!(
            "keyward_owner_role s JOIN keyward_token t ON t.owner_id = s.owner_id ",
            "JOIN keyward_grant g ON g.token_id = t.id WHERE s.role_id = ",
            $whose
        )
    };
}

/// The grants `g` of the owner `$whose`, with their token `t`.
macro_rules! grants_of_owner {
    ($whose:literal) => {
        concat!("keyward_token t JOIN keyward_grant g ON g.token_id = t.id WHERE t.owner_id = ", $whose)
    };
}

/// The grants to remove from members of the role `$whose`.
macro_rules! of_members {
    ($whose:literal, $super_admin:literal) => {
        beyond_ceiling!(grants_of_members!($whose), $super_admin)
    };
}

/// The grants to remove from the owner `$whose`.
macro_rules! of_owner {
    ($whose:literal, $super_admin:literal) => {
        beyond_ceiling!(grants_of_owner!($whose), $super_admin)
    };
}

/// The grants that members of the role `$1` would lose if it had the permissions `$3` with the fields `$4`; `$2` is the
/// super admin role.
macro_rules! of_members_with {
    ($word:ident) => {
        beyond_ceiling!(
            concat!(
                "proposed AS MATERIALIZED (SELECT e.key, e.value ->> 'action' AS action, e.value ->> 'subject' AS subject, ",
                "CAST(e.value ->> 'all' AS BOOLEAN) AS all_fields FROM ",
                $word!(elements "$3"),
                "), proposed_field AS MATERIALIZED (SELECT p.action, p.subject, e.value ->> 'field' AS field FROM ",
                $word!(elements "$4"),
                " JOIN proposed p ON p.key = CAST(e.value ->> 'of' AS BIGINT)), "
            ),
            "keyward_owner_role",
            " AND m.role_id <> $1",
            " AND NOT EXISTS (SELECT 1 FROM proposed p \
             WHERE p.action = g.action AND p.subject IS NOT DISTINCT FROM g.subject AND p.all_fields)",
            " AND NOT EXISTS (SELECT 1 FROM proposed_field h \
             WHERE h.action = d.action AND h.subject IS NOT DISTINCT FROM d.subject AND h.field = f.field)",
            grants_of_members!("$1"),
            "$2"
        )
    };
}

/// The grants that the owner `$1` would lose if they had the roles `$3`; `$2` is the super admin role.
macro_rules! of_owner_with {
    ($word:ident) => {
        beyond_ceiling!(
            concat!(
                "assigned AS MATERIALIZED (SELECT CAST($1 AS BIGINT) AS owner_id, r.id AS role_id FROM keyward_role r ",
                "WHERE r.id IN (SELECT CAST(e.value ->> 'role' AS BIGINT) FROM ",
                $word!(elements "$3"),
                ")), "
            ),
            "assigned",
            "",
            "",
            "",
            grants_of_owner!("$1"),
            "$2"
        )
    };
}

/// The grants to remove because the list `$list` has their tokens and places.
macro_rules! of_listed {
    ($word:ident, $list:literal) => {
        concat!(
            "SELECT g.id, g.token_id, g.action, g.subject, g.all_fields FROM (SELECT h.*, ",
            "row_number() OVER (PARTITION BY h.token_id ORDER BY h.position) - 1 AS place ",
            "FROM keyward_grant h WHERE h.token_id IN (",
            listed_tokens!($word, $list),
            ")) g WHERE (g.token_id, g.place) IN (SELECT CAST(e.value ->> 'token' AS BIGINT), ",
            "CAST(e.value ->> 'place' AS BIGINT) FROM ",
            $word!(elements $list),
            ")"
        )
    };
}

/// The grants to remove because their action is not in the list `$known`.
macro_rules! of_unknown {
    ($word:ident, $known:literal) => {
        concat!(
            "SELECT g.id, g.token_id, g.action, g.subject, g.all_fields FROM keyward_grant g WHERE ",
            not_in_list!($word, "g.action", $known)
        )
    };
}
