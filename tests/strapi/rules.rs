//! What the rows of the reference come to here.

use crate::house::{House, READ, ask, digest};
use keyward::guard::Limits;
use serde_json::{Value, json};
use std::time::Duration;

const ALL: &str = "'{}'";
const ALWAYS: &str = "'[]'";
const OWN: &str = "'[\"admin::is-creator\"]'";

/// A token's rules where its owner's role and it have these properties and conditions.
async fn rules(house: &mut House, role: (&str, &str), token: (&str, &str)) -> Value {
    house.sql("DELETE FROM admin_permissions_role_lnk; DELETE FROM admin_permissions_api_token_lnk").await;
    house.reads("role", 2, role.0, role.1).await;
    house.reads("token", 1, token.0, token.1).await;
    match house.ask(&format!("{:0>256}", 1)).await {
        (200, 401, rules) => rules,
        (403, 401, _) => Value::Null,
        other => panic!("{other:?}"),
    }
}

async fn with_a_token(house: &mut House) -> String {
    house.role(2).await;
    house.user(7, &[2]).await;
    house.admin_token(1, 7).await
}

#[tokio::test]
async fn a_grant_is_met_with_its_owners_permissions() {
    for mut house in House::on_both().await {
        with_a_token(&mut house).await;
        let house = &mut house;
        let title = r#"'{"fields": ["title"]}'"#;
        let both = r#"'{"fields": ["title", "body"]}'"#;
        assert_eq!(rules(house, (ALL, ALWAYS), (ALL, ALWAYS)).await, json!([[null, []]]));
        assert_eq!(rules(house, (both, ALWAYS), (title, ALWAYS)).await, json!([[["title"], []]]));
        assert_eq!(rules(house, (title, ALWAYS), (ALL, ALWAYS)).await, json!([[["title"], []]]));
        assert_eq!(rules(house, (r#"'{"fields": ["slug"]}'"#, ALWAYS), (title, ALWAYS)).await, Value::Null);
        // Conditions come from the owner; those of the row count too, but are not said twice.
        assert_eq!(rules(house, (ALL, OWN), (ALL, ALWAYS)).await, json!([[null, [["admin::is-creator"]]]]));
        assert_eq!(rules(house, (ALL, OWN), (ALL, OWN)).await, json!([[null, [["admin::is-creator"]]]]));
        assert_eq!(rules(house, (ALL, ALWAYS), (ALL, OWN)).await, json!([[null, [["admin::is-creator"]]]]));
        let either = r#"'["admin::is-creator", "admin::has-same-role-as-creator"]'"#;
        assert_eq!(rules(house, (ALL, OWN), (ALL, either)).await, json!([[null, [["admin::is-creator"]]]]));
        // NULL of a role is what it is there: nothing said.
        assert_eq!(rules(house, ("NULL", "NULL"), (ALL, ALWAYS)).await, json!([[null, []]]));
        assert_eq!(rules(house, ("'null'", "'null'"), (ALL, ALWAYS)).await, json!([[null, []]]));
        assert_eq!(rules(house, (r#"'{"fields": null}'"#, "'null'"), (ALL, ALWAYS)).await, json!([[null, []]]));
        assert!(house.left().await.is_empty());
    }
}

#[tokio::test]
async fn what_is_not_understood_allows_nothing_and_is_reported() {
    for mut house in House::on_both().await {
        with_a_token(&mut house).await;
        let house = &mut house;
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
            assert_eq!(rules(house, (ALL, ALWAYS), bad).await, Value::Null, "of a token: {bad:?}");
            let left = house.left().await;
            assert!(left.len() == 1 && left[0].contains("token 1 \"token 1\"") && left[0].contains(why), "{left:?}");
            assert_eq!(rules(house, bad, (ALL, ALWAYS)).await, Value::Null, "of a role: {bad:?}");
            let left = house.left().await;
            assert!(left.len() == 1 && left[0].contains("role 2 \"Role 2\"") && left[0].contains(why), "{left:?}");
        }
        for bad in ["'{}'", "'\"admin::is-creator\"'"] {
            assert_eq!(rules(house, (ALL, bad), (ALL, ALWAYS)).await, Value::Null);
            assert!(house.left().await[0].contains("conditions are no list"));
        }
        // One that is known beside it still counts: any of them suffices.
        let beside = r#"'["no::such", "admin::is-creator"]'"#;
        let rules = rules(house, (ALL, beside), (ALL, ALWAYS)).await;
        assert_eq!(rules, json!([[null, [["admin::is-creator", "no::such"]]]]));
        // One bad permission spoils no other.
        house.reads("role", 2, r#"'{"fields": []}'"#, ALWAYS).await;
        house
            .permission("role", 2, &format!("'{READ}', '{{\"stage\": 1}}', 'api::article.article', '{{}}', '[]'"))
            .await;
        house.permission("role", 2, "NULL, NULL, NULL, NULL, NULL").await;
        assert_eq!(house.ask(&format!("{:0>256}", 1)).await.0, 200);
        let left = house.left().await;
        assert!(left.iter().any(|l| l.contains("parameters of the action")), "{left:?}");
        assert!(left.iter().any(|l| l.contains("has no action")), "{left:?}");
    }
}

/// There it is a 500, whatever is asked; here such a token is nobody's.
#[tokio::test]
async fn a_token_with_a_permission_that_the_reference_fails_at_is_nobodys() {
    for mut house in House::on_both().await {
        let secret = with_a_token(&mut house).await;
        house.reads("role", 2, ALL, ALWAYS).await;
        house.reads("token", 1, ALL, ALWAYS).await;
        assert_eq!(house.ask(&secret).await.0, 200);
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
            house.sql(&format!("UPDATE admin_permissions SET {column} = {bad} {rows}")).await;
            let (admin, content, _) = house.ask(&secret).await;
            assert_eq!((admin, content), (status, 401), "{column} {bad}");
            let left = house.left().await;
            assert_eq!(left.iter().any(|l| l.contains("at which Strapi fails")), status == 401, "{left:?}");
        }
    }
}

#[tokio::test]
async fn an_empty_resource_is_none() {
    for mut house in House::on_both().await {
        let secret = with_a_token(&mut house).await;
        house.permission("role", 2, "'admin::webhooks.read', '{}', NULL, '{}', '[]'").await;
        house.permission("token", 1, "'admin::webhooks.read', '{}', '', '{}', '[]'").await;
        assert_eq!(house.ask_for_webhooks(&secret).await, 200);
        house.sql("UPDATE admin_permissions SET subject = 'all' WHERE subject = ''").await;
        assert_eq!(house.ask_for_webhooks(&secret).await, 403);
    }
}

#[tokio::test]
async fn where_there_are_locales_a_permission_that_names_none_allows_nothing() {
    for mut house in House::on_both().await {
        house.user(7, &[1]).await;
        let secret = house.admin_token(1, 7).await;
        house.reads("role", 1, r#"'{"fields": ["title"]}'"#, ALWAYS).await;
        house.reads("token", 1, ALL, ALWAYS).await;
        assert_eq!(house.ask(&secret).await.0, 200, "articles have none");
        house.role(2).await;
        let mut set = async |whose: &str, properties: &str| {
            let rows = format!("SELECT permission_id FROM admin_permissions_{whose}_lnk");
            let change = format!("UPDATE admin_permissions SET properties = '{properties}' WHERE id IN ({rows})");
            house.sql(&change).await;
            (house.ask(&secret).await.0, house.left().await)
        };
        // So a super admin's permissions say it.
        let (status, left) = set("role", r#"{"fields": ["title"], "locales": ["en"]}"#).await;
        assert!(status == 403 && left.len() == 1 && left[0].contains("has locales"), "{left:?}");
        assert_eq!(
            set("api_token", r#"{"locales": ["en"]}"#).await.0,
            403,
            "for some, which nobody here can tell apart"
        );
        assert_eq!(set("api_token", r#"{"locales": null}"#).await, (200, vec![]), "for all");
        // The same said by a role that anybody may write says nothing.
        house.sql("UPDATE admin_permissions_role_lnk SET role_id = 2").await;
        house.sql("UPDATE admin_permissions SET properties = '{}' WHERE id = 2").await;
        assert_eq!(house.ask(&secret).await.0, 200);
    }
}

/// Rows that were copied by hand have one document id.
#[tokio::test]
async fn copied_rows_come_all() {
    let mut house = House::in_a_file().await;
    for id in 1..=2 {
        house.token(id, "NULL", "'full-access'").await;
    }
    house.sql("UPDATE strapi_api_tokens SET document_id = 'same'").await;
    let keyward = keyward::Keyward::builder(keyward::MemoryStore::default())
        .hash_key(keyward::HashKey::generate().unwrap().0)
        .strapi_hash_key(keyward::token::StrapiHashKey::new(crate::house::SALT).unwrap())
        .content("/api")
        .build()
        .unwrap();
    let import = keyward::strapi::Import::default();
    let report = keyward::strapi::import(&keyward, &house.store().await, &import).await.unwrap();
    assert_eq!(report.came.content_tokens, 2, "{report}");
    let again = keyward::strapi::import(&keyward, &house.store().await, &import).await.unwrap();
    assert!(again.came.is_empty(), "{again}");
}

#[tokio::test]
async fn a_field_called_locales_is_no_locale() {
    for mut house in House::on_both().await {
        let secret = with_a_token(&mut house).await;
        house.reads("role", 2, ALL, ALWAYS).await;
        house.reads("token", 1, ALL, ALWAYS).await;
        house.reads("role", 1, r#"'{"fields": ["locales", "title"]}'"#, ALWAYS).await;
        assert_eq!(house.ask(&secret).await.0, 200);
        house.reads("role", 1, r#"'{"fields": ["title"], "locales": ["en"]}'"#, ALWAYS).await;
        assert_eq!(house.ask(&secret).await.0, 403);
    }
}

#[tokio::test]
async fn json_that_is_none_allows_nothing() {
    // PostgreSQL does not take it.
    let mut house = House::in_a_file().await;
    with_a_token(&mut house).await;
    for (bad, column) in
        [(("'{'", ALWAYS), "properties"), ((ALL, "'['"), "conditions"), (("'{\"fields\":'", ALWAYS), "properties")]
    {
        assert_eq!(rules(&mut house, (ALL, ALWAYS), bad).await, Value::Null);
        assert_eq!(rules(&mut house, bad, (ALL, ALWAYS)).await, Value::Null);
        assert!(house.left().await[0].contains(&format!("its {column} are no JSON")));
    }
}

#[tokio::test]
async fn kinds_and_types() {
    for mut house in House::on_both().await {
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
            // Nobody's.
            ("'admin'", "'full-access'", (401, 401)),
            ("'transfer'", "'full-access'", (401, 401)),
            ("''", "'full-access'", (401, 401)),
        ] {
            id += 1;
            cases.push((house.token(id, kind, access).await, kind, access, expected));
        }
        let custom = house.token(50, "'content-api'", "'custom'").await;
        house
            .sql(
                "INSERT INTO strapi_api_token_permissions (action) VALUES ('api::article.article.create'), (NULL), \
                 ('api::article.article.find'); \
                 INSERT INTO strapi_api_token_permissions_token_lnk VALUES (1, 50), (2, 50), (3, 50)",
            )
            .await;
        cases.push((custom, "custom with find", "", (401, 200)));
        for (secret, kind, access, expected) in cases {
            let (admin, content, _) = house.ask(&secret).await;
            assert_eq!((admin, content), expected, "{kind} {access}");
        }
        assert_eq!(house.ask(&"f".repeat(256)).await.0, 401, "nobody has issued it");
    }
}

#[tokio::test]
async fn owners_bound_their_tokens() {
    for mut house in House::on_both().await {
        let secret = with_a_token(&mut house).await;
        house.reads("role", 2, ALL, ALWAYS).await;
        house.reads("token", 1, ALL, ALWAYS).await;
        let keyward = house.keyward().await;
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
            house.sql(change).await;
            house.clock.advance(Limits::default().max_staleness);
            assert_eq!(ask(&keyward, &secret).await.0, status, "at the end of the bound, after {change}");
        }
    }
}

#[tokio::test]
async fn a_super_admins_token_has_what_it_was_given() {
    for mut house in House::on_both().await {
        house.user(7, &[1]).await;
        let secret = house.admin_token(1, 7).await;
        assert_eq!(house.ask(&secret).await.0, 403, "never super admin itself");
        house.reads("token", 1, r#"'{"fields": ["title"]}'"#, OWN).await;
        assert_eq!(house.ask(&secret).await.2, json!([[["title"], [["admin::is-creator"]]]]));
    }
}

#[tokio::test]
async fn two_owners_or_two_tokens_of_one_secret_are_nobody() {
    for mut house in House::on_both().await {
        let secret = with_a_token(&mut house).await;
        house.reads("role", 2, ALL, ALWAYS).await;
        house.reads("token", 1, ALL, ALWAYS).await;
        house.user(8, &[1]).await;
        house.sql("INSERT INTO strapi_api_tokens_admin_user_owner_lnk VALUES (1, 8)").await;
        assert_eq!(house.ask(&secret).await.0, 401);
        assert!(house.left().await[0].contains("several owners"));
        house.sql("DELETE FROM strapi_api_tokens_admin_user_owner_lnk WHERE user_id = 8").await;
        assert_eq!(house.ask(&secret).await.0, 200);
        house.token(2, "NULL", "'full-access'").await;
        house
            .sql("UPDATE strapi_api_tokens SET access_key = (SELECT access_key FROM strapi_api_tokens WHERE id = 1)")
            .await;
        let (admin, content, _) = house.ask(&secret).await;
        assert_eq!((admin, content), (401, 401));
    }
}

#[tokio::test]
async fn times_are_read_and_kept() {
    for mut house in House::on_both().await {
        let secret = house.token(1, "NULL", "'full-access'").await;
        // PostgreSQL is asked for the time itself, which is the machine's.
        let now = if house.address.starts_with("sqlite") { 1_767_225_600_000 } else { now() };
        for (left, status) in [(3_600_000, 200), (-1000, 401)] {
            let at = house.time(now + left);
            house.sql(&format!("UPDATE strapi_api_tokens SET expires_at = {at}")).await;
            let keyward = house.keyward().await;
            assert_eq!(ask(&keyward, &secret).await.1, status, "{left} ms are left");
            // On time, with a warm cache.
            house.clock.advance(Duration::from_millis(100));
            assert_eq!(ask(&keyward, &secret).await.1, status);
        }
    }
    let mut house = House::in_a_file().await;
    let secret = house.token(1, "NULL", "'full-access'").await;
    for (text, status) in
        [("'2099-01-01T00:00:00.000Z'", 200), ("'2099-01-01'", 200), ("'2001-01-01T00:00:00.000Z'", 401)]
    {
        house.sql(&format!("UPDATE strapi_api_tokens SET expires_at = {text}")).await;
        assert_eq!(house.ask(&secret).await.1, status, "{text}");
        assert!(house.left().await.is_empty());
    }
    for bad in ["'2099-01-01 00:00:00'", "'soon'", "1e300", "''"] {
        house.sql(&format!("UPDATE strapi_api_tokens SET expires_at = {bad}")).await;
        assert_eq!(house.ask(&secret).await.1, 401, "{bad} is no time: it may be over");
        assert!(house.left().await[0].contains("expires_at is no time"));
    }
}

#[tokio::test]
async fn a_lifespan_that_is_no_number_spoils_nothing() {
    let mut house = House::in_a_file().await;
    let secret = house.token(1, "NULL", "'full-access'").await;
    for odd in ["'a while'", "''", "1.5", "-5", "604800000"] {
        house.sql(&format!("UPDATE strapi_api_tokens SET lifespan = {odd}")).await;
        assert_eq!(house.ask(&secret).await.1, 200, "{odd}");
        assert!(house.left().await.is_empty(), "and the rest can be read");
    }
}

#[tokio::test]
async fn a_digest_is_what_is_written() {
    for mut house in House::on_both().await {
        let secret = house.token(1, "NULL", "'full-access'").await;
        assert!(house.ask(&secret).await.1 == 200 && house.left().await.is_empty());
        let digest = digest(&secret);
        for odd in [format!("upper('{digest}')"), format!("'{digest} '"), format!("'{}'", &digest[2..]), "NULL".into()]
        {
            house.sql(&format!("UPDATE strapi_api_tokens SET access_key = {odd}")).await;
            assert_eq!(house.ask(&secret).await.1, 401, "{odd}");
            assert!(
                house.left().await[0].contains("its access_key is no HMAC-SHA-512"),
                "and is not taken over either"
            );
        }
    }
}

#[tokio::test]
async fn an_owner_is_active_by_one_and_nothing_else() {
    let mut house = House::in_a_file().await;
    let secret = with_a_token(&mut house).await;
    house.reads("role", 2, ALL, ALWAYS).await;
    house.reads("token", 1, ALL, ALWAYS).await;
    for (active, status) in [("1", 200), ("'1'", 200), ("2", 401), ("'true'", 401), ("'yes'", 401), ("0", 401)] {
        house.sql(&format!("UPDATE admin_users SET is_active = {active}")).await;
        assert_eq!(house.ask(&secret).await.0, status, "{active}");
    }
}

fn now() -> i64 {
    i64::try_from(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

#[tokio::test]
async fn tokens_of_ours_are_none_there() {
    let house = House::in_a_file().await;
    let keyward = house.keyward().await;
    let format = keyward::testing::SecretFormat::new(
        &keyward::token::TokenPrefix::default(),
        keyward::HashKey::generate().unwrap().0,
    );
    let issued = format.issue(keyward::token::TokenKind::Admin, &keyward::token::OsEntropy).unwrap();
    assert_eq!(ask(&keyward, issued.secret.expose()).await.0, 401);
}
