//! All statements on Strapi's tables. Each returns one row with one JSON text, so that both engines are read alike.

/// The time of a column in milliseconds; invalid times unchanged.
#[rustfmt::skip]
macro_rules! time {
    (sqlite_words, $column:literal) => { $column };
    (postgres_words, $column:literal) => { concat!("FLOOR(EXTRACT(EPOCH FROM ", $column, ") * 1000)") };
}

/// Permissions `p`, linked by `l`.
macro_rules! permissions {
    ($word:ident, $links:literal) => {
        concat!(
            $word!(json),
            "((SELECT ",
            $word!(array concat!(
                $word!(object),
                "('id', p.id, 'action', p.action, 'subject', p.subject, ",
                "'parameters', CAST(p.action_parameters AS TEXT), 'properties', CAST(p.properties AS TEXT), ",
                "'conditions', CAST(p.conditions AS TEXT)) ORDER BY p.id"
            )),
            " FROM admin_permissions p JOIN ",
            $links,
            "))"
        )
    };
}

/// The columns of the role `r`. The super admin's permissions bound no token and are left out.
macro_rules! role {
    ($word:ident) => {
        concat!(
            $word!(object),
            "('id', r.id, 'document_id', r.document_id, 'name', r.name, 'code', r.code, 'description', r.description, ",
            "'permissions', ",
            permissions!(
                $word,
                "admin_permissions_role_lnk l ON l.permission_id = p.id \
                 WHERE l.role_id = r.id AND r.code IS DISTINCT FROM 'strapi-super-admin'"
            ),
            ")"
        )
    };
}

/// The columns of the user `u`, with these `roles`.
macro_rules! user {
    ($word:ident, $roles:expr, $more:expr) => {
        concat!(
            $word!(object),
            "('id', u.id, 'document_id', u.document_id, 'firstname', u.firstname, 'lastname', u.lastname, ",
            "'username', u.username, 'email', u.email, 'active', CASE WHEN u.is_active = TRUE THEN 1 ELSE 0 END, ",
            "'blocked', CASE WHEN COALESCE(u.blocked, FALSE) = FALSE THEN 0 ELSE 1 END, ",
            "'invited', CASE WHEN u.registration_token IS NULL THEN 0 ELSE 1 END, 'created_at', ",
            time!($word, "u.created_at"),
            ", 'roles', ",
            $word!(json),
            "((SELECT ",
            $word!(array concat!($roles, " ORDER BY r.id")),
            " FROM admin_roles r WHERE r.id IN (SELECT m.role_id FROM admin_users_roles_lnk m WHERE m.user_id = u.id)))",
            $more,
            ")"
        )
    };
}

/// The columns of the token `t`, with these `owners`.
macro_rules! token {
    ($word:ident, $owners:expr, $more:expr) => {
        concat!(
            $word!(object),
            "('id', t.id, 'document_id', t.document_id, 'name', t.name, 'description', t.description, 'kind', t.kind, ",
            "'type', t.type, 'access_key', t.access_key, 'lifespan', t.lifespan, 'expires_at', ",
            time!($word, "t.expires_at"),
            ", 'created_at', ",
            time!($word, "t.created_at"),
            ", 'last_used_at', ",
            time!($word, "t.last_used_at"),
            ", 'permissions', ",
            permissions!(
                $word,
                "admin_permissions_api_token_lnk l ON l.permission_id = p.id WHERE l.api_token_id = t.id"
            ),
            ", 'actions', ",
            $word!(json),
            "((SELECT ",
            $word!(array "c.action ORDER BY c.id"),
            " FROM strapi_api_token_permissions c JOIN strapi_api_token_permissions_token_lnk l ",
            "ON l.api_token_permission_id = c.id WHERE l.api_token_id = t.id)), 'owners', ",
            $word!(json),
            "((SELECT ",
            $word!(array concat!($owners, " ORDER BY u.id")),
            " FROM admin_users u WHERE u.id IN ",
            "(SELECT o.user_id FROM strapi_api_tokens_admin_user_owner_lnk o WHERE o.api_token_id = t.id)))",
            $more,
            ")"
        )
    };
}

/// Rows of a table as a list.
macro_rules! all {
    ($word:ident, $item:expr, $from:literal) => {
        concat!($word!(json), "((SELECT ", $word!(array concat!($item, " ORDER BY ", $from, ".id")))
    };
}

/// The resources that have locales: there each permission is for some locales, and one that names none is for none.
/// Only Strapi's own schema defines them, and the super admin's permissions, which Strapi rewrites at each start.
macro_rules! localised {
    ($word:ident) => {
        concat!(
            $word!(json),
            "((SELECT ",
            $word!(array "DISTINCT p.subject"),
            " FROM admin_permissions p JOIN admin_permissions_role_lnk l ON l.permission_id = p.id JOIN admin_roles r \
             ON r.id = l.role_id WHERE r.code = 'strapi-super-admin' AND p.subject IS NOT NULL \
             AND CAST(p.properties AS TEXT) LIKE '%\"locales\":%'))"
        )
    };
}

macro_rules! statements {
    ($word:ident) => {
        /// The tokens with this digest, their owners and permissions.
        pub(in crate::store::strapi) const RESOLVE: &str = concat!(
            "SELECT CAST(",
            $word!(object),
            "('now', ",
            $word!(now),
            ", 'localised', ",
            localised!($word),
            ", 'tokens', ",
            all!($word, token!($word, user!($word, role!($word), ""), ""), "t"),
            " FROM strapi_api_tokens t WHERE t.access_key = $1))) AS TEXT) AS found"
        );

        /// Everything that can be imported.
        pub(in crate::store::strapi) const SELECT_ALL: &str = concat!(
            "SELECT CAST(",
            $word!(object),
            "('localised', ",
            localised!($word),
            ", 'roles', ",
            all!($word, role!($word), "r"),
            " FROM admin_roles r)), 'users', ",
            all!($word, user!($word, concat!($word!(object), "('id', r.id)"), ", 'password', u.password"), "u"),
            " FROM admin_users u)), 'tokens', ",
            all!($word, token!($word, concat!($word!(object), "('id', u.id)"), ", 'sealed', t.encrypted_key"), "t"),
            " FROM strapi_api_tokens t))) AS TEXT) AS found"
        );
    };
}

pub(super) mod sqlite {
    use crate::store::sql::sqlite_words;

    statements!(sqlite_words);

    /// All existing columns.
    pub(in crate::store::strapi) const COLUMNS: &str = "SELECT CAST(json_group_array(m.name || '.' || p.name) AS TEXT) \
         AS found FROM sqlite_master m JOIN pragma_table_info(m.name) p WHERE m.type IN ('table', 'view')";

    /// Notes uses, at most one an hour for each token, like Strapi.
    pub(in crate::store::strapi) const NOTE_USES: &str = "UPDATE strapi_api_tokens SET last_used_at = u.at FROM \
         (SELECT e.value ->> 'token' AS token, e.value ->> 'at' AS at FROM json_each($1) AS e) AS u \
         WHERE id = u.token AND (last_used_at IS NULL OR last_used_at < u.at - 3600000)";
}

pub(super) mod postgres {
    use crate::store::sql::postgres_words;

    statements!(postgres_words);

    pub(in crate::store::strapi) const COLUMNS: &str = "SELECT CAST(COALESCE(json_agg(c.relname || '.' || a.attname), \
         '[]') AS TEXT) AS found FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid \
         WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v') AND pg_table_is_visible(c.oid)";

    pub(in crate::store::strapi) const NOTE_USES: &str = "UPDATE strapi_api_tokens t SET last_used_at = u.at FROM \
         (SELECT CAST(e.value ->> 'token' AS BIGINT) AS token, TIMESTAMP 'epoch' + \
         CAST(e.value ->> 'at' AS BIGINT) * INTERVAL '1 millisecond' AS at FROM json_array_elements(CAST($1 AS JSON)) AS e) u \
         WHERE t.id = u.token AND (t.last_used_at IS NULL OR t.last_used_at < u.at - INTERVAL '1 hour')";
}

/// The tables and columns that are read.
pub(super) const REQUIRED_COLUMNS: [(&str, &[&str]); 10] = [
    (
        "strapi_api_tokens",
        &[
            "id",
            "document_id",
            "name",
            "description",
            "kind",
            "type",
            "access_key",
            "encrypted_key",
            "lifespan",
            "expires_at",
            "last_used_at",
            "created_at",
        ],
    ),
    ("strapi_api_tokens_admin_user_owner_lnk", &["api_token_id", "user_id"]),
    ("strapi_api_token_permissions", &["id", "action"]),
    ("strapi_api_token_permissions_token_lnk", &["api_token_permission_id", "api_token_id"]),
    ("admin_permissions", &["id", "action", "action_parameters", "subject", "properties", "conditions"]),
    ("admin_permissions_api_token_lnk", &["permission_id", "api_token_id"]),
    ("admin_permissions_role_lnk", &["permission_id", "role_id"]),
    ("admin_roles", &["id", "document_id", "name", "code", "description"]),
    (
        "admin_users",
        &[
            "id",
            "document_id",
            "firstname",
            "lastname",
            "username",
            "email",
            "password",
            "registration_token",
            "is_active",
            "blocked",
            "created_at",
        ],
    ),
    ("admin_users_roles_lnk", &["user_id", "role_id"]),
];
