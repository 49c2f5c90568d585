//! Rules for tokens, of the installation and of roles.

use super::*;
use keyward::admin::{TokenRules, TokenUpdate, Violation};
use keyward::{NewAdminToken, NewRole};

fn rules(policy: Policy) -> Policy {
    let mut policy = policy;
    policy.token_rules = TokenRules::none().longest_lifespan(30 * DAY).name_pattern("*-*").unwrap();
    policy.role_rules = vec![("Deployer".into(), TokenRules::none().must_have_network().most_tokens(1))];
    policy
}

#[tokio::test]
async fn violations_are_named_and_change_nothing() {
    let site = Site::with(rules, |builder| builder).await;
    let list = "/admin/admin-tokens";
    let ask = async |body: Value| site.post(&site.session, list, body).await;
    let week = 604_800_000_i64;
    assert_field(&ask(json!({"name": "ci-prod", "lifespan": null})).await, &["lifespan"]);
    assert_field(&ask(json!({"name": "ci-prod", "lifespan": 7_776_000_000_i64})).await, &["lifespan"]);
    assert_field(&ask(json!({"name": "ci", "lifespan": week})).await, &["name"]);
    let both = ask(json!({"name": "ci", "lifespan": null})).await;
    assert_field(&both, &["name"]);
    assert_field(&both, &["lifespan"]);
    let token = made(&ask(json!({"name": "ci-prod", "lifespan": week})).await);
    let path = format!("{list}/{}", token.id);
    let rename = site.app.put(&path).bearer(site.session.as_str()).json(&json!({"name": "ci"})).await;
    assert_field(&rename, &["name"]);
    let content = json!({"name": "shop", "type": "read-only", "lifespan": week});
    assert_field(&site.post(&site.session, "/admin/api-tokens", content).await, &["name"]);
}

#[tokio::test]
async fn a_role_adds_rules() {
    let site = Site::with(rules, |builder| builder).await;
    let keyward = &site.world.keyward;
    let role = keyward.roles().create(NewRole::new("deployer")).await.unwrap().id;
    let owner = keyward.owners().create(NewOwner::new("dee@example.test").roles([role])).await.unwrap().id;
    let new = || NewAdminToken::new("ci-prod", owner);
    let refused = keyward.tokens().issue_admin(new()).await.unwrap_err().to_string();
    assert!(refused.contains("networks"), "{refused}");
    let limits = keyward::token::TokenLimits::none().networks(["10.0.0.0/8".parse().unwrap()]);
    let token = keyward.tokens().issue_admin(new().limits(limits.clone())).await.unwrap().token;
    let second = NewAdminToken { name: "ci-test".into(), ..new() }.limits(limits);
    let refused = keyward.tokens().issue_admin(second).await.unwrap_err().to_string();
    assert!(refused.contains("at most 1"), "{refused}");
    let update = TokenUpdate { networks: Some(Vec::new()), ..TokenUpdate::default() };
    keyward.tokens().update(token.id, update).await.unwrap_err();
}

#[tokio::test]
async fn tokens_from_before_are_listed_and_stay() {
    let site = Site::new().await;
    let old = site.admin(json!({"name": "old"})).await;
    let fine = site.admin(json!({"name": "fine-one", "lifespan": 604_800_000})).await;
    let (store, clock) = (site.world.store.clone(), site.world.clock.clone());
    let strict = World::on(store, clock, |builder| builder.api("/admin").policy(rules(Policy::default())));
    let app = app(&strict);
    let listed = app.get("/admin/admin-tokens/violations").bearer(site.session.as_str()).await.assert_ok().json();
    let [token] = listed["data"].as_array().unwrap().as_slice() else { panic!("{listed}") };
    assert_eq!((&token["id"], &token["name"]), (&json!(old.id), &json!("old")));
    let named: Vec<&str> =
        token["violations"].as_array().unwrap().iter().map(|v| v["rule"].as_str().unwrap()).collect();
    assert_eq!(named, ["no-expiry", "name"]);
    for key in [&old.key, &fine.key] {
        app.get("/admin/x").bearer(key).await.assert_ok();
    }
    // What it violates already may stay; other fields may change.
    let path = format!("/admin/admin-tokens/{}", old.id);
    app.put(&path).bearer(site.session.as_str()).json(&json!({"description": "kept"})).await.assert_ok();
    let found = strict.keyward.tokens().violations().await.unwrap();
    assert_eq!(found[0].violations, [Violation::NoExpiry, Violation::Name("*-*".into())]);
}
