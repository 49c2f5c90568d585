//! The guide, page by page.
//!
//! | page | subject |
//! | --- | --- |
//! | [`tutorial`] | the first service, owner and token |
//! | [`concepts`] | the words, the kinds of token, and why a token never does more than its owner |
//! | [`guarding`] | route groups, requirements, rejections, long requests and responses |
//! | [`mcp`] | the guard of an MCP server: calls, lists, fields, tasks, sessions and streams |
//! | [`forward_auth`] | answers to proxies: nginx, Traefik, Caddy, HAProxy, Envoy |
//! | [`conditions`] | permissions for some rows and some fields |
//! | [`walkthrough`] | the management API with curl, and the settings pages |
//! | [`command_line`] | the program `keyward`: tokens, owners, roles and the audit log at a shell |
//! | [`configuration`] | hash keys, encryption keys, durations, quotas, limits |
//! | [`stores`] | SQLite, PostgreSQL, memory |
//! | [`own_stores`] | keys in your own tables, beside users that you have already |
//! | [`your_users`] | your users as owners of tokens: ceilings, reports of changes, sessions |
//! | [`your_database`] | your pool, schema, migrations and transactions |
//! | [`many_nodes`] | the staleness bound, its assumptions, and measurements during faults |
//! | [`explaining`] | why a request is rejected; introspection, `whoami`, and revocation by the bearer |
//! | [`lifecycle_events`] | the audit log as a stream, notices about tokens, webhooks |
//! | [`operating`] | serving, proxies, health, metrics, backups, key rotation, incidents |
//! | [`key_life`] | rotation with a grace period, limits, rules, tokens for sub-agents |
//! | [`leaks`] | what to do when a key leaks: finding it, revoking many, reports of secret scanning |
//! | [`migrating`] | running beside a Strapi 5, and importing from it |
//! | [`adopting_keys`] | taking over the keys of your own table |
//! | [`testing`] | tests of a service that keyward guards |
//! | [`known_failures`] | how comparable systems failed, and the tests that hold keyward to it |
//!
//! Examples of the pages are compiled with all features.

/// Makes a page of the guide from a Markdown file.
///
/// The page is rendered with any set of features; its examples are compiled with the feature `full` only. A link to an item of a
/// feature that is off leads to the table of features.
macro_rules! page {
    ($name:ident, $file:literal $(, $feature:tt: [$($item:literal => $path:literal),+ $(,)?])* $(,)?) => {
        #[cfg_attr(any(not(doctest), feature = "full"), doc = include_str!($file))]
        #[doc = ""]
        $($(
            #[cfg_attr(feature = $feature, doc = concat!("[`", $item, "`]: ", $path))]
            #[cfg_attr(not(feature = $feature), doc = concat!("[`", $item, "`]: crate#features"))]
        )+)*
        pub mod $name {}
    };
}

page!(tutorial, "tutorial.md");
page!(concepts, "concepts.md");
page!(guarding, "guarding.md", "api": ["RouteSecurity" => "crate::api::RouteSecurity"]);
page!(
    mcp,
    "mcp.md",
    "mcp": [
        "GuardedRouter::mcp" => "crate::GuardedRouter::mcp",
        "Group::mcp" => "crate::Group::mcp",
        "Group::protected_resource" => "crate::Group::protected_resource",
        "Tools::method" => "crate::mcp::Tools::method",
        "Tools::tool_with_decision" => "crate::mcp::Tools::tool_with_decision",
        "Tools::fields_at" => "crate::mcp::Tools::fields_at",
        "Tools::introspection" => "crate::mcp::Tools::introspection",
        "Tools::body_limit" => "crate::mcp::Tools::body_limit",
        "Tools::answer_limit" => "crate::mcp::Tools::answer_limit",
        "Tools::depth_limit" => "crate::mcp::Tools::depth_limit",
        "Tools::origin" => "crate::mcp::Tools::origin",
        "mcp::caller" => "crate::mcp::caller",
    ],
);
page!(
    forward_auth,
    "forward_auth.md",
    "forward-auth": [
        "forward_auth::router" => "crate::forward_auth::router()",
        "Rule" => "crate::forward_auth::Rule",
        "Rule::exact" => "crate::forward_auth::Rule::exact",
        "Rule::allow_partial_decisions" => "crate::forward_auth::Rule::allow_partial_decisions",
        "Rules::nginx" => "crate::forward_auth::Rules::nginx",
        "Rules::ingress_nginx" => "crate::forward_auth::Rules::ingress_nginx",
        "Rules::traefik" => "crate::forward_auth::Rules::traefik",
        "Rules::caddy" => "crate::forward_auth::Rules::caddy",
        "Rules::haproxy" => "crate::forward_auth::Rules::haproxy",
        "Rules::envoy" => "crate::forward_auth::Rules::envoy",
        "Rules::trusted_proxies" => "crate::forward_auth::Rules::trusted_proxies",
        "Rules::identity_header" => "crate::forward_auth::Rules::identity_header",
    ],
);
page!(conditions, "conditions.md");
page!(
    walkthrough,
    "walkthrough.md",
    "api": [
        "api::router" => "crate::api::router",
        "Mount::own_tokens" => "crate::guard::Mount::own_tokens",
        "Mount::sign_in" => "crate::guard::Mount::sign_in",
    ],
    "ui": ["ui::router" => "crate::ui::router"],
);
page!(command_line, "command_line.md");
page!(
    configuration,
    "configuration.md",
    "people": ["Builder::allow_open_setup" => "crate::Builder::allow_open_setup"],
    "reveal": ["Builder::encryption" => "crate::Builder::encryption"],
);
page!(
    stores,
    "stores.md",
    "sqlite": [
        "SqliteStore" => "crate::SqliteStore",
        "SqliteOptions::readers" => "crate::store::SqliteOptions::readers",
    ],
    "postgres": [
        "PostgresStore" => "crate::PostgresStore",
        "PostgresOptions::connections" => "crate::store::PostgresOptions::connections",
    ],
    "strapi": ["StrapiStore" => "crate::strapi::StrapiStore"],
    "testing": ["store::contract" => "crate::store::contract"],
);
page!(own_stores, "own_stores.md", "testing": ["store::contract::read_only" => "crate::store::contract::read_only"]);
page!(
    your_users,
    "your_users.md",
    "sqlite": ["within" => "crate::accounts::AccountReports::within"],
);
page!(
    your_database,
    "your_database.md",
    "postgres": [
        "PostgresStore::from_pool" => "crate::PostgresStore::from_pool",
        "PostgresStore::migration_files" => "crate::PostgresStore::migration_files",
        "PostgresOptions::schema" => "crate::store::PostgresOptions::schema",
    ],
    "sqlite": [
        "SqliteStore::from_pool" => "crate::SqliteStore::from_pool",
        "SqliteStore::migration_files" => "crate::SqliteStore::migration_files",
    ],
);
page!(
    many_nodes,
    "many_nodes.md",
    "reveal": ["Builder::encryption" => "crate::Builder::encryption"],
    "postgres": ["synchronous_heartbeat" => "crate::store::PostgresOptions::synchronous_heartbeat"],
);
page!(explaining, "explaining.md", "api": ["api::whoami" => "crate::api::whoami"]);
page!(lifecycle_events, "lifecycle_events.md");
page!(
    operating,
    "operating.md",
    "people": ["Builder::allow_open_setup" => "crate::Builder::allow_open_setup", "Owners::set_password" => "crate::admin::Owners::set_password"],
    "reveal": ["Builder::accept_new_encryption_key" => "crate::Builder::accept_new_encryption_key"],
    "api": ["body_deadline" => "crate::Builder::body_deadline"],
    "postgres": ["PostgresOptions::schema" => "crate::store::PostgresOptions::schema"],
    "sqlite": [
        "SqliteStore::backup" => "crate::SqliteStore::backup",
        "SqliteStore::restore" => "crate::SqliteStore::restore",
    ],
);
page!(key_life, "key_life.md");
page!(
    leaks,
    "leaks.md",
    "secret-scanning": [
        "SecretScanning::report_only" => "crate::admin::SecretScanning::report_only",
    ],
);
page!(
    migrating,
    "migrating.md",
    "reveal": ["Builder::encryption" => "crate::Builder::encryption"],
    "strapi": [
        "strapi::import" => "crate::strapi::import()",
        "Import::source" => "crate::strapi::Import::source",
    ],
);
page!(
    testing,
    "testing.md",
    "testing": [
        "World" => "crate::testing::World",
        "store::contract" => "crate::store::contract",
    ],
);
page!(adopting_keys, "adopting_keys.md");
page!(known_failures, "known_failures.md");
