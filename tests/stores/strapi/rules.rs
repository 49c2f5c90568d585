//! The mapping of Strapi's rows to tokens and permissions.

use crate::strapi::setup::{READ, Setup, ask, digest};
use keyward::guard::Limits;
use serde_json::{Value, json};
use std::time::Duration;

const ALL: &str = "'{}'";
const ALWAYS: &str = "'[]'";
const OWN: &str = "'[\"admin::is-creator\"]'";

/// Returns the rules of a token whose owner's role and which itself have these properties and conditions.
async fn rules(setup: &mut Setup, role: (&str, &str), token: (&str, &str)) -> Value {
    setup.sql("DELETE FROM admin_permissions_role_lnk; DELETE FROM admin_permissions_api_token_lnk").await;
    setup.reads("role", 2, role.0, role.1).await;
    setup.reads("token", 1, token.0, token.1).await;
    match setup.ask(&format!("{:0>256}", 1)).await {
        (200, 401, rules) => rules,
        (403, 401, _) => Value::Null,
        other => panic!("{other:?}"),
    }
}

async fn with_a_token(setup: &mut Setup) -> String {
    setup.role(2).await;
    setup.user(7, &[2]).await;
    setup.admin_token(1, 7).await
}

#[tokio::test]
async fn grant_is_intersected_with_its_owners_permissions() {
    for mut setup in Setup::on_both().await {
        with_a_token(&mut setup).await;
        let setup = &mut setup;
        let title = r#"'{"fields": ["title"]}'"#;
        let both = r#"'{"fields": ["title", "body"]}'"#;
        assert_eq!(rules(setup, (ALL, ALWAYS), (ALL, ALWAYS)).await, json!([[null, []]]));
        assert_eq!(rules(setup, (both, ALWAYS), (title, ALWAYS)).await, json!([[["title"], []]]));
        assert_eq!(rules(setup, (title, ALWAYS), (ALL, ALWAYS)).await, json!([[["title"], []]]));
        assert_eq!(rules(setup, (r#"'{"fields": ["slug"]}'"#, ALWAYS), (title, ALWAYS)).await, Value::Null);
        // Conditions come from the owner; those of the token's row apply too, without duplicates.
        assert_eq!(rules(setup, (ALL, OWN), (ALL, ALWAYS)).await, json!([[null, [["admin::is-creator"]]]]));
        assert_eq!(rules(setup, (ALL, OWN), (ALL, OWN)).await, json!([[null, [["admin::is-creator"]]]]));
        assert_eq!(rules(setup, (ALL, ALWAYS), (ALL, OWN)).await, json!([[null, [["admin::is-creator"]]]]));
        let either = r#"'["admin::is-creator", "admin::has-same-role-as-creator"]'"#;
        assert_eq!(rules(setup, (ALL, OWN), (ALL, either)).await, json!([[null, [["admin::is-creator"]]]]));
        // NULL in a role's permission means no restriction, as in Strapi.
        assert_eq!(rules(setup, ("NULL", "NULL"), (ALL, ALWAYS)).await, json!([[null, []]]));
        assert_eq!(rules(setup, ("'null'", "'null'"), (ALL, ALWAYS)).await, json!([[null, []]]));
        assert_eq!(rules(setup, (r#"'{"fields": null}'"#, "'null'"), (ALL, ALWAYS)).await, json!([[null, []]]));
        assert!(setup.left().await.is_empty());
    }
}

#[tokio::test]
async fn unsupported_conditions_allow_nothing_and_are_reported() {
    for mut setup in Setup::on_both().await {
        with_a_token(&mut setup).await;
        let setup = &mut setup;
        for (bad, why) in [
            ((r#"'{"fields": []}'"#, ALWAYS), "empty, which allows nothing"),
            ((r#"'{"fields": "title"}'"#, ALWAYS), "properties.fields are no list"),
            ((r#"'{"fields": [1]}'"#, ALWAYS), "properties.fields are no list"),
            ((r#"'{"locales": ["en"]}'"#, ALWAYS), "property locales is not known"),
            ((r#"'{"fields": ["title"], "locales": []}'"#, ALWAYS), "property locales is not known"),
            (("'[]'", ALWAYS), "properties are no JSON object"),
            ((ALL, r#"'[1]'"#), "conditions are no list"),
            ((ALL, r#"'["no::such"]'"#), "no::such is not registered"),
        ] {
            assert_eq!(rules(setup, (ALL, ALWAYS), bad).await, Value::Null, "of a token: {bad:?}");
            let left = setup.left().await;
            assert!(left.len() == 1 && left[0].contains("token 1 \"token 1\"") && left[0].contains(why), "{left:?}");
            assert_eq!(rules(setup, bad, (ALL, ALWAYS)).await, Value::Null, "of a role: {bad:?}");
            let left = setup.left().await;
            assert!(left.len() == 1 && left[0].contains("role 2 \"Role 2\"") && left[0].contains(why), "{left:?}");
        }
        for bad in ["'{}'", "'\"admin::is-creator\"'"] {
            assert_eq!(rules(setup, (ALL, bad), (ALL, ALWAYS)).await, Value::Null);
            assert!(setup.left().await[0].contains("conditions are no list"));
        }
        // A known condition beside it still applies: any of them suffices.
        let beside = r#"'["no::such", "admin::is-creator"]'"#;
        let rules = rules(setup, (ALL, beside), (ALL, ALWAYS)).await;
        assert_eq!(rules, json!([[null, [["admin::is-creator", "no::such"]]]]));
        // An invalid permission does not affect others.
        setup.reads("role", 2, r#"'{"fields": []}'"#, ALWAYS).await;
        setup
            .permission("role", 2, &format!("'{READ}', '{{\"stage\": 1}}', 'api::article.article', '{{}}', '[]'"))
            .await;
        setup.permission("role", 2, "NULL, NULL, NULL, NULL, NULL").await;
        assert_eq!(setup.ask(&format!("{:0>256}", 1)).await.0, 200);
        let left = setup.left().await;
        assert!(left.iter().any(|l| l.contains("parameters of the action")), "{left:?}");
        assert!(left.iter().any(|l| l.contains("has no action")), "{left:?}");
    }
}

/// Strapi answers 500 to every request with it; here the token is rejected.
#[tokio::test]
async fn token_with_a_permission_that_strapi_fails_at_is_rejected() {
    for mut setup in Setup::on_both().await {
        let secret = with_a_token(&mut setup).await;
        setup.reads("role", 2, ALL, ALWAYS).await;
        setup.reads("token", 1, ALL, ALWAYS).await;
        assert_eq!(setup.ask(&secret).await.0, 200);
        let null_field = r#"'{"fields": null}'"#;
        for (column, bad, status) in [
            ("properties", "NULL", 401),
            ("properties", "'null'", 401),
            ("properties", "'{}'", 200),
            ("conditions", "NULL", 401),
            ("conditions", "'null'", 401),
            ("conditions", "'{}'", 401),
            ("conditions", "'false'", 401),
            ("conditions", "'\"admin::is-creator\"'", 401),
            ("conditions", "'[]'", 200),
            ("properties", null_field, 200),
            ("action_parameters", "NULL", 200),
        ] {
            let rows = "WHERE id IN (SELECT permission_id FROM admin_permissions_api_token_lnk)";
            setup.sql(&format!("UPDATE admin_permissions SET {column} = {bad} {rows}")).await;
            let (admin, content, _) = setup.ask(&secret).await;
            assert_eq!((admin, content), (status, 401), "{column} {bad}");
            let left = setup.left().await;
            assert_eq!(left.iter().any(|l| l.contains("at which Strapi fails")), status == 401, "{left:?}");
        }
    }
}

#[tokio::test]
async fn empty_resource_counts_as_none() {
    for mut setup in Setup::on_both().await {
        let secret = with_a_token(&mut setup).await;
        setup.permission("role", 2, "'admin::webhooks.read', '{}', NULL, '{}', '[]'").await;
        setup.permission("token", 1, "'admin::webhooks.read', '{}', '', '{}', '[]'").await;
        assert_eq!(setup.ask_for_webhooks(&secret).await, 200);
        setup.sql("UPDATE admin_permissions SET subject = 'all' WHERE subject = ''").await;
        assert_eq!(setup.ask_for_webhooks(&secret).await, 403);
    }
}

#[tokio::test]
async fn permission_without_locales_allows_nothing_where_locales_are_used() {
    for mut setup in Setup::on_both().await {
        setup.user(7, &[1]).await;
        let secret = setup.admin_token(1, 7).await;
        setup.reads("role", 1, r#"'{"fields": ["title"]}'"#, ALWAYS).await;
        setup.reads("token", 1, ALL, ALWAYS).await;
        assert_eq!(setup.ask(&secret).await.0, 200, "articles have no locales");
        setup.role(2).await;
        let mut set = async |whose: &str, properties: &str| {
            let rows = format!("SELECT permission_id FROM admin_permissions_{whose}_lnk");
            let change = format!("UPDATE admin_permissions SET properties = '{properties}' WHERE id IN ({rows})");
            setup.sql(&change).await;
            (setup.ask(&secret).await.0, setup.left().await)
        };
        // This is how a super admin's permissions are stored.
        let (status, left) = set("role", r#"{"fields": ["title"], "locales": ["en"]}"#).await;
        assert!(status == 403 && left.len() == 1 && left[0].contains("has locales"), "{left:?}");
        assert_eq!(
            set("api_token", r#"{"locales": ["en"]}"#).await.0,
            403,
            "for some locales, which keyward cannot distinguish"
        );
        assert_eq!(set("api_token", r#"{"locales": null}"#).await, (200, vec![]), "for all locales");
        // The same in a role that other actors may write has no effect.
        setup.sql("UPDATE admin_permissions_role_lnk SET role_id = 2").await;
        setup.sql("UPDATE admin_permissions SET properties = '{}' WHERE id = 2").await;
        assert_eq!(setup.ask(&secret).await.0, 200);
    }
}

/// Rows that were copied by hand share a document id.
#[tokio::test]
async fn rows_with_one_document_id_are_all_imported() {
    let mut setup = Setup::in_a_file().await;
    for id in 1..=2 {
        setup.token(id, "NULL", "'full-access'").await;
    }
    setup.sql("UPDATE strapi_api_tokens SET document_id = 'same'").await;
    let keyward = keyward::Keyward::builder(keyward::MemoryStore::default())
        .hash_key(keyward::HashKey::generate().unwrap().0)
        .strapi_hash_key(keyward::token::StrapiHashKey::new(crate::strapi::setup::SALT).unwrap())
        .content("/api")
        .build()
        .unwrap();
    let import = keyward::strapi::Import::default();
    let report = keyward::strapi::import(&keyward, &setup.store().await, &import).await.unwrap();
    assert_eq!(report.came.content_tokens, 2, "{report}");
    let again = keyward::strapi::import(&keyward, &setup.store().await, &import).await.unwrap();
    assert!(again.came.is_empty(), "{again}");
}

#[tokio::test]
async fn field_named_locales_is_not_a_locale() {
    for mut setup in Setup::on_both().await {
        let secret = with_a_token(&mut setup).await;
        setup.reads("role", 2, ALL, ALWAYS).await;
        setup.reads("token", 1, ALL, ALWAYS).await;
        setup.reads("role", 1, r#"'{"fields": ["locales", "title"]}'"#, ALWAYS).await;
        assert_eq!(setup.ask(&secret).await.0, 200);
        setup.reads("role", 1, r#"'{"fields": ["title"], "locales": ["en"]}'"#, ALWAYS).await;
        assert_eq!(setup.ask(&secret).await.0, 403);
    }
}

#[tokio::test]
async fn invalid_json_allows_nothing() {
    // PostgreSQL does not accept this value.
    let mut setup = Setup::in_a_file().await;
    with_a_token(&mut setup).await;
    for (bad, column) in
        [(("'{'", ALWAYS), "properties"), ((ALL, "'['"), "conditions"), (("'{\"fields\":'", ALWAYS), "properties")]
    {
        assert_eq!(rules(&mut setup, (ALL, ALWAYS), bad).await, Value::Null);
        assert_eq!(rules(&mut setup, bad, (ALL, ALWAYS)).await, Value::Null);
        assert!(setup.left().await[0].contains(&format!("its {column} are no JSON")));
    }
}

#[tokio::test]
async fn strapi_kinds_and_types_map_to_token_kinds() {
    for mut setup in Setup::on_both().await {
        let mut id = 0;
        let mut cases = Vec::new();
        for (kind, access, expected) in [
            ("NULL", "'read-only'", (401, 200)),
            ("'content-api'", "'read-only'", (401, 200)),
            ("'content-api'", "'full-access'", (401, 200)),
            ("'content-api'", "'custom'", (401, 403)),
            ("'content-api'", "NULL", (401, 403)),
            ("'content-api'", "'root'", (401, 403)),
            ("NULL", "NULL", (401, 403)),
            // Rejected kinds.
            ("'admin'", "'full-access'", (401, 401)),
            ("'transfer'", "'full-access'", (401, 401)),
            ("''", "'full-access'", (401, 401)),
        ] {
            id += 1;
            cases.push((setup.token(id, kind, access).await, kind, access, expected));
        }
        let custom = setup.token(50, "'content-api'", "'custom'").await;
        setup
            .sql(
                "INSERT INTO strapi_api_token_permissions (action) VALUES ('api::article.article.create'), (NULL), \
                 ('api::article.article.find'); \
                 INSERT INTO strapi_api_token_permissions_token_lnk VALUES (1, 50), (2, 50), (3, 50)",
            )
            .await;
        cases.push((custom, "custom with find", "", (401, 200)));
        for (secret, kind, access, expected) in cases {
            let (admin, content, _) = setup.ask(&secret).await;
            assert_eq!((admin, content), expected, "{kind} {access}");
        }
        assert_eq!(setup.ask(&"f".repeat(256)).await.0, 401, "it was never issued");
    }
}

#[tokio::test]
async fn state_and_roles_of_the_owner_limit_its_tokens() {
    for mut setup in Setup::on_both().await {
        let secret = with_a_token(&mut setup).await;
        setup.reads("role", 2, ALL, ALWAYS).await;
        setup.reads("token", 1, ALL, ALWAYS).await;
        let keyward = setup.keyward().await;
        assert_eq!(ask(&keyward, &secret).await.0, 200);
        for (change, status) in [
            ("UPDATE admin_users SET is_active = FALSE", 401),
            ("UPDATE admin_users SET is_active = NULL", 401),
            ("UPDATE admin_users SET is_active = TRUE, blocked = TRUE", 401),
            ("UPDATE admin_users SET blocked = NULL", 200),
            ("DELETE FROM admin_users_roles_lnk", 403),
            ("INSERT INTO admin_users_roles_lnk VALUES (7, 1)", 200),
            ("UPDATE admin_roles SET id = 91 WHERE id = 1; UPDATE admin_users_roles_lnk SET role_id = 91", 200),
            ("UPDATE admin_roles SET code = 'other' WHERE id = 91", 403),
            ("UPDATE admin_roles SET code = 'strapi-super-admin', id = 3 WHERE id = 91", 403),
            ("UPDATE admin_users_roles_lnk SET role_id = 3", 200),
            ("INSERT INTO strapi_api_tokens_admin_user_owner_lnk VALUES (1, 7)", 200),
            ("UPDATE strapi_api_tokens_admin_user_owner_lnk SET user_id = 8", 401),
            ("UPDATE strapi_api_tokens_admin_user_owner_lnk SET user_id = 7", 200),
            ("DELETE FROM strapi_api_tokens_admin_user_owner_lnk", 401),
            ("INSERT INTO strapi_api_tokens_admin_user_owner_lnk VALUES (1, 7)", 200),
            ("UPDATE strapi_api_tokens SET kind = NULL", 401),
            ("UPDATE strapi_api_tokens SET kind = 'admin'", 200),
            ("DELETE FROM admin_permissions_api_token_lnk", 403),
            ("DELETE FROM admin_users", 401),
        ] {
            setup.sql(change).await;
            setup.clock.advance(Limits::default().max_staleness);
            assert_eq!(ask(&keyward, &secret).await.0, status, "at the end of the bound, after {change}");
        }
    }
}

#[tokio::test]
async fn token_of_a_super_admin_has_its_grants() {
    for mut setup in Setup::on_both().await {
        setup.user(7, &[1]).await;
        let secret = setup.admin_token(1, 7).await;
        assert_eq!(setup.ask(&secret).await.0, 403, "the token itself is never a super admin");
        setup.reads("token", 1, r#"'{"fields": ["title"]}'"#, OWN).await;
        assert_eq!(setup.ask(&secret).await.2, json!([[["title"], [["admin::is-creator"]]]]));
    }
}

#[tokio::test]
async fn duplicate_owner_or_secret_is_rejected() {
    for mut setup in Setup::on_both().await {
        let secret = with_a_token(&mut setup).await;
        setup.reads("role", 2, ALL, ALWAYS).await;
        setup.reads("token", 1, ALL, ALWAYS).await;
        setup.user(8, &[1]).await;
        setup.sql("INSERT INTO strapi_api_tokens_admin_user_owner_lnk VALUES (1, 8)").await;
        assert_eq!(setup.ask(&secret).await.0, 401);
        assert!(setup.left().await[0].contains("several owners"));
        setup.sql("DELETE FROM strapi_api_tokens_admin_user_owner_lnk WHERE user_id = 8").await;
        assert_eq!(setup.ask(&secret).await.0, 200);
        setup.token(2, "NULL", "'full-access'").await;
        setup
            .sql("UPDATE strapi_api_tokens SET access_key = (SELECT access_key FROM strapi_api_tokens WHERE id = 1)")
            .await;
        let (admin, content, _) = setup.ask(&secret).await;
        assert_eq!((admin, content), (401, 401));
    }
}

#[tokio::test]
async fn timestamps_are_read_and_applied() {
    for mut setup in Setup::on_both().await {
        let secret = setup.token(1, "NULL", "'full-access'").await;
        // PostgreSQL uses its own time, which is the machine's.
        let now = if setup.address.starts_with("sqlite") { 1_767_225_600_000 } else { now() };
        for (left, status) in [(3_600_000, 200), (-1000, 401)] {
            let at = setup.time(now + left);
            setup.sql(&format!("UPDATE strapi_api_tokens SET expires_at = {at}")).await;
            let keyward = setup.keyward().await;
            assert_eq!(ask(&keyward, &secret).await.1, status, "{left} ms are left");
            // On time, with a warm cache.
            setup.clock.advance(Duration::from_millis(100));
            assert_eq!(ask(&keyward, &secret).await.1, status);
        }
    }
    let mut setup = Setup::in_a_file().await;
    let secret = setup.token(1, "NULL", "'full-access'").await;
    for (text, status) in
        [("'2099-01-01T00:00:00.000Z'", 200), ("'2099-01-01'", 200), ("'2001-01-01T00:00:00.000Z'", 401)]
    {
        setup.sql(&format!("UPDATE strapi_api_tokens SET expires_at = {text}")).await;
        assert_eq!(setup.ask(&secret).await.1, status, "{text}");
        assert!(setup.left().await.is_empty());
    }
    for bad in ["'2099-01-01 00:00:00'", "'soon'", "1e300", "''"] {
        setup.sql(&format!("UPDATE strapi_api_tokens SET expires_at = {bad}")).await;
        assert_eq!(setup.ask(&secret).await.1, 401, "{bad} is no valid time: the token may have expired");
        assert!(setup.left().await[0].contains("expires_at is no time"));
    }
}

#[tokio::test]
async fn invalid_lifespan_is_ignored() {
    let mut setup = Setup::in_a_file().await;
    let secret = setup.token(1, "NULL", "'full-access'").await;
    for odd in ["'a while'", "''", "1.5", "-5", "604800000"] {
        setup.sql(&format!("UPDATE strapi_api_tokens SET lifespan = {odd}")).await;
        assert_eq!(setup.ask(&secret).await.1, 200, "{odd}");
        assert!(setup.left().await.is_empty(), "the other rows can be read");
    }
}

#[tokio::test]
async fn stored_digest_is_compared_verbatim() {
    for mut setup in Setup::on_both().await {
        let secret = setup.token(1, "NULL", "'full-access'").await;
        assert!(setup.ask(&secret).await.1 == 200 && setup.left().await.is_empty());
        let digest = digest(&secret);
        for odd in [format!("upper('{digest}')"), format!("'{digest} '"), format!("'{}'", &digest[2..]), "NULL".into()]
        {
            setup.sql(&format!("UPDATE strapi_api_tokens SET access_key = {odd}")).await;
            assert_eq!(setup.ask(&secret).await.1, 401, "{odd}");
            assert!(
                setup.left().await[0].contains("its access_key is no HMAC-SHA-512"),
                "and the token is not imported"
            );
        }
    }
}

#[tokio::test]
async fn owner_is_active_only_with_the_value_1() {
    let mut setup = Setup::in_a_file().await;
    let secret = with_a_token(&mut setup).await;
    setup.reads("role", 2, ALL, ALWAYS).await;
    setup.reads("token", 1, ALL, ALWAYS).await;
    for (active, status) in [("1", 200), ("'1'", 200), ("2", 401), ("'true'", 401), ("'yes'", 401), ("0", 401)] {
        setup.sql(&format!("UPDATE admin_users SET is_active = {active}")).await;
        assert_eq!(setup.ask(&secret).await.0, status, "{active}");
    }
}

fn now() -> i64 {
    i64::try_from(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

#[tokio::test]
async fn keyward_tokens_are_unknown_in_strapi() {
    let setup = Setup::in_a_file().await;
    let keyward = setup.keyward().await;
    let format = keyward::testing::SecretFormat::new(
        &keyward::token::TokenPrefix::default(),
        keyward::HashKey::generate().unwrap().0,
    );
    let issued = format.issue(keyward::token::TokenKind::Admin, &keyward::token::OsEntropy).unwrap();
    assert_eq!(ask(&keyward, issued.secret.expose()).await.0, 401);
}
